#include "spool_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { BUFFERS_MEMORY = 8 << 20, BUFFER_MIN = 8 << 10, BUFFER_MAX = 128 << 10, HEADER = 8 };

/* A row as it is kept: the lengths of its key and itself, four bytes each, then the two. */
static uint32_t number_at(const char *p)
{
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static size_t size_at(const char *p)
{
    return HEADER + (size_t)number_at(p) + number_at(p + 4);
}

static struct str key_at(const char *p)
{
    return (struct str){p + HEADER, number_at(p)};
}

static int compare(struct str a, struct str b)
{
    int c = memcmp(a.p, b.p, a.n < b.n ? a.n : b.n);
    return c != 0 ? c : (a.n > b.n) - (a.n < b.n);
}

static int by_key(const void *a, const void *b)
{
    const char *const *x = a, *const *y = b;
    int c = compare(key_at(*x), key_at(*y));
    return c != 0 ? c : (*x > *y) - (*x < *y); /* as they came */
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the rows of an import.");
}

static enum meros_code failed(struct meros_err *err, const char *doing)
{
    int e = errno;
    return err_set(err, e == ENOSPC || e == EDQUOT ? MEROS_UNAVAILABLE : MEROS_INTERNAL,
                   "The import's rows cannot be kept on disk while %s: %s.", doing, strerror(e));
}

enum meros_code spool_open(struct spool *s, const char *dir, struct meros_err *err)
{
    *s = (struct spool){.dir = dir, .fd = -1, .block = malloc(SPOOL_MEMORY)};
    return s->block != NULL ? MEROS_OK : no_memory(err);
}

void spool_close(struct spool *s)
{
    if (s->fd >= 0) close(s->fd);
    for (size_t k = 0; k < s->n_runs; k++) free(s->runs[k].buf);
    free(s->runs);
    free(s->heap);
    free(s->block);
    *s = (struct spool){.fd = -1};
}

/* --- writing */

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

/* Sorts the block. Files come sorted often enough for a look whether there is anything to do. */
static enum meros_code sort_block(struct spool *s, struct meros_err *err)
{
    bool sorted = true;
    const char *last = NULL;
    for (size_t at = 0; at < s->len && sorted; at += size_at(s->block + at)) {
        sorted = last == NULL || compare(key_at(last), key_at(s->block + at)) <= 0;
        last = s->block + at;
    }
    if (sorted) return MEROS_OK;
    const char **rows = malloc(s->n * sizeof *rows);
    char *arranged = malloc(SPOOL_MEMORY);
    if (rows == NULL || arranged == NULL) {
        free(rows);
        free(arranged);
        return no_memory(err);
    }
    size_t n = 0, to = 0;
    for (size_t at = 0; at < s->len; at += size_at(s->block + at)) rows[n++] = s->block + at;
    qsort(rows, n, sizeof *rows, by_key);
    for (size_t k = 0; k < n; k++) {
        const size_t size = size_at(rows[k]);
        memcpy(arranged + to, rows[k], size);
        to += size;
    }
    free(rows);
    free(s->block);
    s->block = arranged;
    return MEROS_OK;
}

static enum meros_code add_run(struct spool *s, struct spool_run run, struct meros_err *err)
{
    if (s->n_runs == s->cap_runs) {
        size_t cap = s->cap_runs == 0 ? 16 : 2 * s->cap_runs;
        struct spool_run *more = realloc(s->runs, cap * sizeof *more);
        if (more == NULL) return no_memory(err);
        s->runs = more;
        s->cap_runs = cap;
    }
    s->runs[s->n_runs++] = run;
    return MEROS_OK;
}

static enum meros_code flush(struct spool *s, struct meros_err *err)
{
    const int64_t from = s->written;
    enum meros_code rc = s->fd < 0 ? make_file(s, err) : MEROS_OK;
    if (rc == MEROS_OK) rc = sort_block(s, err);
    if (rc != MEROS_OK) return rc;
    for (size_t at = 0; at < s->len;) {
        ssize_t n = pwrite(s->fd, s->block + at, s->len - at, s->written);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return failed(err, "they are written");
        at += (size_t)n;
        s->written += n;
    }
    s->len = s->n = 0;
    return add_run(s, (struct spool_run){.at = from, .end = s->written, .base = from}, err);
}

enum meros_code spool_put(struct spool *s, struct str key, struct str row, struct meros_err *err)
{
    const uint32_t lengths[2] = {(uint32_t)key.n, (uint32_t)row.n};
    if (key.n > SPOOL_MEMORY / 2 || row.n > SPOOL_MEMORY / 2 - HEADER)
        return err_set(err, MEROS_INTERNAL, "A row of %zu bytes is too large to be kept.", row.n);
    if (SPOOL_MEMORY - s->len < HEADER + key.n + row.n) {
        enum meros_code rc = flush(s, err);
        if (rc != MEROS_OK) return rc;
    }
    memcpy(s->block + s->len, lengths, HEADER);
    memcpy(s->block + s->len + HEADER, key.p, key.n);
    memcpy(s->block + s->len + HEADER + key.n, row.p, row.n);
    s->len += HEADER + key.n + row.n;
    s->n++;
    return MEROS_OK;
}

/* --- reading */

/* Has n bytes from the head on in the buffer. */
static enum meros_code fetch(struct spool *s, struct spool_run *r, size_t n, struct meros_err *err)
{
    if (r->at >= r->base && r->at + (int64_t)n <= r->base + (int64_t)r->len) return MEROS_OK;
    if (n > r->cap) {
        char *more = realloc(r->buf, n);
        if (more == NULL) return no_memory(err);
        r->buf = more;
        r->cap = n;
    }
    r->base = r->at;
    r->len = 0;
    const int64_t left = r->end - r->at;
    const size_t want = left < (int64_t)r->cap ? (size_t)left : r->cap;
    while (r->len < want) {
        ssize_t got = pread(s->fd, r->buf + r->len, want - r->len, r->base + (int64_t)r->len);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return failed(err, "they are read back");
        r->len += (size_t)got;
    }
    return r->len >= n ? MEROS_OK : err_set(err, MEROS_INTERNAL, "The import's rows were cut short on disk.");
}

static const char *head_of(const struct spool_run *r)
{
    return r->buf + (r->at - r->base);
}

static enum meros_code fetch_head(struct spool *s, struct spool_run *r, struct meros_err *err)
{
    if (r->at == r->end) return MEROS_OK;
    enum meros_code rc = fetch(s, r, HEADER, err);
    return rc != MEROS_OK ? rc : fetch(s, r, size_at(head_of(r)), err);
}

/* Runs are in the order of the file, so of equal keys the earlier run's are first. */
static bool before(const struct spool *s, size_t a, size_t b)
{
    int c = compare(key_at(head_of(&s->runs[a])), key_at(head_of(&s->runs[b])));
    return c != 0 ? c < 0 : a < b;
}

static void sift_down(struct spool *s, size_t at)
{
    for (size_t least; ; at = least) {
        least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < s->n_heap; child++)
            if (before(s, s->heap[child], s->heap[least])) least = child;
        if (least == at) return;
        const size_t t = s->heap[at];
        s->heap[at] = s->heap[least];
        s->heap[least] = t;
    }
}

static enum meros_code make_heap(struct spool *s, struct meros_err *err)
{
    s->n_heap = 0;
    for (size_t k = 0; k < s->n_runs; k++) {
        enum meros_code rc = fetch_head(s, &s->runs[k], err);
        if (rc != MEROS_OK) return rc;
        if (s->runs[k].at < s->runs[k].end) s->heap[s->n_heap++] = k;
    }
    for (size_t k = s->n_heap / 2; k-- > 0;) sift_down(s, k);
    return MEROS_OK;
}

enum meros_code spool_end(struct spool *s, struct meros_err *err)
{
    enum meros_code rc;
    if (s->fd >= 0) {
        if (s->len > 0 && (rc = flush(s, err)) != MEROS_OK) return rc;
        size_t share = BUFFERS_MEMORY / s->n_runs;
        share = share < BUFFER_MIN ? BUFFER_MIN : share > BUFFER_MAX ? BUFFER_MAX : share;
        for (size_t k = 0; k < s->n_runs; k++) {
            if ((s->runs[k].buf = malloc(share)) == NULL) return no_memory(err);
            s->runs[k].cap = share;
        }
        free(s->block);
    } else {
        if ((rc = sort_block(s, err)) != MEROS_OK) return rc;
        rc = add_run(s, (struct spool_run){.end = (int64_t)s->len, .buf = s->block, .len = s->len, .cap = SPOOL_MEMORY}, err);
        if (rc != MEROS_OK) return rc;
    }
    s->block = NULL;
    if ((s->heap = malloc(s->n_runs * sizeof *s->heap)) == NULL) return no_memory(err);
    spool_mark(s);
    return make_heap(s, err);
}

bool spool_head(const struct spool *s, struct str *key, struct str *row)
{
    if (s->n_heap == 0) return false;
    const char *p = head_of(&s->runs[s->heap[0]]);
    *key = key_at(p);
    *row = (struct str){key->p + key->n, number_at(p + 4)};
    return true;
}

enum meros_code spool_next(struct spool *s, struct meros_err *err)
{
    if (s->n_heap == 0) return MEROS_OK;
    struct spool_run *r = &s->runs[s->heap[0]];
    r->at += (int64_t)size_at(head_of(r));
    if (r->at == r->end) s->heap[0] = s->heap[--s->n_heap];
    else {
        enum meros_code rc = fetch_head(s, r, err);
        if (rc != MEROS_OK) return rc;
    }
    sift_down(s, 0);
    return MEROS_OK;
}

void spool_mark(struct spool *s)
{
    for (size_t k = 0; k < s->n_runs; k++) s->runs[k].marked = s->runs[k].at;
}

enum meros_code spool_return(struct spool *s, struct meros_err *err)
{
    for (size_t k = 0; k < s->n_runs; k++) s->runs[k].at = s->runs[k].marked;
    return make_heap(s, err);
}
