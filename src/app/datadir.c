/* The folder of everything on disk: made when missing, keeper of the secret key. */
#include "app_priv.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "meros/base/crypto.h"
#include "meros/base/str.h"

static enum meros_code in_folder(const char *folder, const char *name, char *out, size_t cap, struct meros_err *err)
{
    if ((size_t)snprintf(out, cap, "%s/%s", folder, name) >= cap)
        return err_set(err, MEROS_INVALID, "data_dir is too long a path");
    return MEROS_OK;
}

enum meros_code datadir_make(const char *folder, struct meros_err *err)
{
    char path[4097];
    if (!str_copy(path, sizeof path, str_of(folder))) return err_set(err, MEROS_INVALID, "data_dir is too long a path");
    for (char *p = path + 1;; p++) {
        if (*p != '/' && *p != '\0') continue;
        char c = *p;
        *p = '\0';
        /* Readable by others, as PostgreSQL's own user must get through it; what is secret in it is closed itself. */
        if (mkdir(path, 0755) != 0 && errno != EEXIST)
            return err_set(err, MEROS_INVALID, "cannot make the folder \"%.300s\" of data_dir: %s", path, strerror(errno));
        if (c == '\0') break;
        *p = c;
    }
    if (access(folder, W_OK | X_OK) != 0)
        return err_set(err, MEROS_INVALID, "cannot write to data_dir \"%.300s\": %s", folder, strerror(errno));
    return MEROS_OK;
}

enum meros_code datadir_read_line(const char *folder, const char *name, char *out, size_t cap, struct meros_err *err)
{
    char path[4200];
    enum meros_code rc = in_folder(folder, name, path, sizeof path, err);
    if (rc != MEROS_OK) return rc;
    FILE *f = fopen(path, "re");
    if (f == NULL)
        return err_set(err, errno == ENOENT ? MEROS_NOT_FOUND : MEROS_INVALID, "cannot read \"%.300s\": %s", path, strerror(errno));
    bool got = fgets(out, (int)cap, f) != NULL;
    fclose(f);
    if (!got) return err_set(err, MEROS_INVALID, "\"%.300s\" is empty", path);
    out[strcspn(out, "\r\n")] = '\0';
    return MEROS_OK;
}

/* Writes the key to a file of its own first: a crash leaves either no key or a whole one. */
static enum meros_code write_key(const char *folder, const char *hex, struct meros_err *err)
{
    char path[4200], temporary[4200];
    enum meros_code rc = in_folder(folder, "secret.key", path, sizeof path, err);
    if (rc == MEROS_OK) rc = in_folder(folder, "secret.key.new", temporary, sizeof temporary, err);
    if (rc != MEROS_OK) return rc;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    bool ok = fd >= 0 && dprintf(fd, "%s\n", hex) > 0 && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    /* link refuses to replace: of two services that start at once on one folder, both read the first one's key */
    if (ok && link(temporary, path) != 0 && errno != EEXIST) ok = false;
    int saved = errno;
    unlink(temporary);
    if (ok && (fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) >= 0) {
        fsync(fd);
        close(fd);
    }
    return ok ? MEROS_OK : err_set(err, MEROS_INVALID, "cannot write \"%.300s\": %s", path, strerror(saved));
}

enum meros_code datadir_secret_key(const char *folder, unsigned char out[SEAL_KEY_BYTES], bool *out_made, struct meros_err *err)
{
    char text[256];
    bool made = false;
    enum meros_code rc = datadir_read_line(folder, "secret.key", text, sizeof text, err);
    if (rc == MEROS_NOT_FOUND) {
        unsigned char fresh[SEAL_KEY_BYTES];
        crypto_random(fresh, sizeof fresh);
        hex_encode(fresh, sizeof fresh, text);
        crypto_wipe(fresh, sizeof fresh);
        made = true;
        rc = write_key(folder, text, err);
        if (rc == MEROS_OK) rc = datadir_read_line(folder, "secret.key", text, sizeof text, err);
    }
    if (rc == MEROS_OK && !config_key_bytes(text, out))
        rc = err_set(err, MEROS_INVALID, "\"%.300s/secret.key\" does not hold 32 bytes as 64 hex digits or base64", folder);
    crypto_wipe(text, sizeof text);
    if (rc == MEROS_OK) *out_made = made;
    return rc;
}
