#include "spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum meros_code spool_open(struct spool *s, const char *dir, struct meros_err *err)
{
    *s = (struct spool){.dir = dir, .fd = -1, .block = malloc(SPOOL_MEMORY)};
    return s->block != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0) close(s->fd);
    free(s->block);
    *s = (struct spool){.fd = -1};
}

static enum meros_code failed(struct meros_err *err, const char *doing)
{
    int e = errno;
    return err_set(err, e == ENOSPC || e == EDQUOT ? MEROS_UNAVAILABLE : MEROS_INTERNAL,
                   "The import's rows cannot be kept on disk while %s: %s.", doing, strerror(e));
}

static enum meros_code make_file(struct spool *s, struct meros_err *err)
{
    const char *dir = s->dir != NULL ? s->dir : getenv("TMPDIR");
    if (dir == NULL || dir[0] == '\0') dir = P_tmpdir;
    s->fd = open(dir, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (s->fd >= 0) return MEROS_OK;
    char path[4096]; /* some file systems (overlayfs of old, NFS) know no O_TMPFILE */
    if (snprintf(path, sizeof path, "%s/meros-import-XXXXXX", dir) >= (int)sizeof path) errno = ENAMETOOLONG;
    else s->fd = mkostemp(path, O_CLOEXEC);
    if (s->fd < 0) return failed(err, "a file is made for them");
    unlink(path);
    return MEROS_OK;
}

static enum meros_code flush(struct spool *s, struct meros_err *err)
{
    if (s->fd < 0) {
        enum meros_code rc = make_file(s, err);
        if (rc != MEROS_OK) return rc;
    }
    for (size_t at = 0; at < s->len;) {
        ssize_t n = pwrite(s->fd, s->block + at, s->len - at, s->written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failed(err, "they are written");
        at += (size_t)n;
        s->written += n;
    }
    s->len = 0;
    return MEROS_OK;
}

enum meros_code spool_put(struct spool *s, const void *p, size_t n, struct meros_err *err)
{
    for (const char *from = p; n > 0;) {
        if (s->len == SPOOL_MEMORY) {
            enum meros_code rc = flush(s, err);
            if (rc != MEROS_OK) return rc;
        }
        size_t take = n < SPOOL_MEMORY - s->len ? n : SPOOL_MEMORY - s->len;
        memcpy(s->block + s->len, from, take);
        s->len += take;
        from += take;
        n -= take;
    }
    return MEROS_OK;
}

enum meros_code spool_rewind(struct spool *s, struct meros_err *err)
{
    if (s->fd >= 0 && !s->reading) {
        enum meros_code rc = flush(s, err);
        if (rc != MEROS_OK) return rc;
    }
    if (s->fd >= 0) s->len = 0; /* what is in the block is in the file too */
    s->reading = true;
    s->at = 0;
    s->read = 0;
    return MEROS_OK;
}

enum meros_code spool_get(struct spool *s, void *p, size_t n, bool *got, struct meros_err *err)
{
    char *to = p;
    *got = true;
    while (n > 0) {
        if (s->at == s->len) {
            if (s->fd < 0 || s->read == s->written) {
                *got = false;
                return MEROS_OK;
            }
            ssize_t r = pread(s->fd, s->block, SPOOL_MEMORY, s->read);
            if (r < 0 && errno == EINTR) continue;
            if (r <= 0) return failed(err, "they are read back");
            s->read += r;
            s->len = (size_t)r;
            s->at = 0;
        }
        size_t take = n < s->len - s->at ? n : s->len - s->at;
        memcpy(to, s->block + s->at, take);
        s->at += take;
        to += take;
        n -= take;
    }
    return MEROS_OK;
}
