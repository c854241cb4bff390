/* Where the embedded PostgreSQL lives: its folders and files, making a cluster, and the log that it writes. */
#include "cluster_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"

enum {
    SOCKET_PATH_MAX = 107, /* of struct sockaddr_un, without its NUL */
    LOG_MAX = 8 * 1024 * 1024
};

enum meros_code cluster_failed(struct meros_err *err, const char *what, const char *path)
{
    return err_set(err, MEROS_UNAVAILABLE, "%s %.300s: %s.", what, path, strerror(errno));
}

/* cluster_settle() has seen to it that the base leaves room for every name of ours. */
void cluster_join(char out[CLUSTER_PATH], const char *a, const char *b)
{
    size_t a_n = strlen(a), b_n = strlen(b);
    assert(a_n + b_n + 2 <= CLUSTER_PATH);
    memcpy(out, a, a_n);
    out[a_n] = '/';
    memcpy(out + a_n + 1, b, b_n + 1);
}

/* --- folders */
static enum meros_code make_dirs(const char *path, mode_t mode, struct meros_err *err)
{
    char part[CLUSTER_PATH];
    for (size_t i = 1; path[i - 1]; i++) {
        if (path[i] != '/' && path[i] != '\0') continue;
        snprintf(part, sizeof part, "%.*s", (int)i, path);
        /* chmod: the mask of the shell that started us must not decide who may pass through. */
        if (mkdir(part, mode) == 0) {
            if (chmod(part, mode) != 0) return cluster_failed(err, "The mode could not be set of", part);
        } else if (errno != EEXIST) {
            return cluster_failed(err, "This folder could not be made:", part);
        }
    }
    return MEROS_OK;
}

/* A folder of PostgreSQL's own user. */
static enum meros_code make_owned(const struct cluster_user *u, const char *path, struct meros_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return cluster_failed(err, "This folder could not be made:", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return cluster_failed(err, "This is not a folder:", path);
    if (st.st_uid == u->uid) return MEROS_OK;
    if (!u->switch_to || st.st_uid != 0)
        return err_set(err, MEROS_CONFLICT,
                       "The folder %.300s belongs to another user; start as that user or as root.", path);
    if (lchown(path, u->uid, u->gid) != 0) return cluster_failed(err, "This folder could not be given away:", path);
    return MEROS_OK;
}

static void hash_of(const char *text, char out[33])
{
    struct crypto_hash128 h = crypto_hash128(text, strlen(text));
    hex_encode(h.bytes, 8, out);
}

bool cluster_read_line(const char *path, char out[CLUSTER_PATH])
{
    FILE *f = fopen(path, "re");
    if (f == NULL) return false;
    bool ok = fgets(out, CLUSTER_PATH, f) != NULL;
    if (ok) out[strcspn(out, "\n")] = '\0';
    fclose(f);
    return ok;
}

static enum meros_code write_file(const char *path, const char *text, bool *out_changed,
                                  struct meros_err *err)
{
    char old[8192] = "", temporary[CLUSTER_PATH + 8];
    FILE *f = fopen(path, "re");
    if (f != NULL) {
        old[fread(old, 1, sizeof old - 1, f)] = '\0';
        fclose(f);
        if (strcmp(old, text) == 0) return MEROS_OK;
    }
    snprintf(temporary, sizeof temporary, "%s.new", path);
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0644);
    size_t n = strlen(text);
    bool ok = fd >= 0 && fchmod(fd, 0644) == 0 && write(fd, text, n) == (ssize_t)n && fsync(fd) == 0;
    if (fd >= 0) close(fd);
    if (!ok || rename(temporary, path) != 0) return cluster_failed(err, "This file could not be written:", path);
    *out_changed = true;
    return MEROS_OK;
}

/* Where the cluster of DIR lives: DIR/postgres, or, when root's user for PostgreSQL cannot get there (a
 * checkout under /root), a folder of /var/lib/meros, remembered in DIR/postgres/location. */
enum meros_code cluster_settle(struct cluster *k, const char *dir, struct meros_err *err)
{
    char absolute[PATH_MAX], home[CLUSTER_PATH], location[CLUSTER_PATH], hash[33];
    enum meros_code rc = make_dirs(dir, 0711, err);
    if (rc != MEROS_OK) return rc;
    if (realpath(dir, absolute) == NULL) return cluster_failed(err, "This folder cannot be used:", dir);
    if (strlen(absolute) > CLUSTER_PATH - 64 || strpbrk(absolute, "\n'") != NULL)
        return err_set(err, MEROS_INVALID,
                       "The name of the data folder is too long or holds a quote or a line end.");
    cluster_join(home, absolute, "postgres");
    cluster_join(location, home, "location");
    if ((rc = make_dirs(home, 0711, err)) != MEROS_OK) return rc;

    if ((rc = user_by_uid(geteuid(), false, &k->self, err)) != MEROS_OK) return rc;
    if (!cluster_read_line(location, k->base)) memcpy(k->base, home, sizeof home);
    struct stat st;
    cluster_join(k->data, k->base, "data");
    if (k->self.uid != 0) {
        k->user = k->self;
    } else if (stat(k->data, &st) == 0 && st.st_uid != 0) {
        rc = user_by_uid(st.st_uid, true, &k->user,
                         err); /* made by an ordinary user earlier: stay with that one */
    } else {
        rc = user_by_name("postgres", &k->user, err);
    }
    if (rc != MEROS_OK) return rc;

    if (strcmp(k->base, home) == 0) {
        cluster_join(k->run, k->base, "run");
        if ((rc = make_owned(&k->user, k->run, err)) != MEROS_OK) return rc;
        if (!user_can_use(&k->user, k->run)) {
            if (!k->user.switch_to || stat(k->data, &st) == 0)
                return err_set(err, MEROS_FORBIDDEN, "The user %s cannot use the folder %.300s.",
                               k->user.name, k->run);
            hash_of(absolute, hash);
            bool changed;
            char text[CLUSTER_PATH + 8];
            snprintf(k->base, sizeof k->base, "/var/lib/meros/%s", hash);
            log_warn("cluster.elsewhere", KV("folder", home), KV("used_instead", k->base),
                     KV("reason", "PostgreSQL does not run as root and its user cannot enter the folder"));
            if ((rc = make_dirs(k->base, 0711, err)) != MEROS_OK) return rc;
            snprintf(text, sizeof text, "%s\n", k->base);
            if ((rc = write_file(location, text, &changed, err)) != MEROS_OK) return rc;
        }
    } else if ((rc = make_dirs(k->base, 0711, err)) != MEROS_OK) {
        return rc;
    }
    cluster_join(k->data, k->base, "data");
    cluster_join(k->run, k->base, "run");
    cluster_join(k->log, k->base, "log");
    if ((rc = make_dirs(k->log, 0700, err)) != MEROS_OK) return rc;
    cluster_join(k->log, k->base, "log/postgresql.log");

    /* The socket's address must fit, and commas and quotes separate folders in PostgreSQL's setting. */
    if (strlen(k->run) + sizeof "/.s.PGSQL.5432" - 1 > SOCKET_PATH_MAX || strpbrk(k->run, ",\"\\ ") != NULL) {
        hash_of(k->base, hash);
        if (k->self.uid == 0) {
            if ((rc = make_dirs("/run/meros", 0755, err)) != MEROS_OK) return rc;
            snprintf(k->run, sizeof k->run, "/run/meros/%s", hash);
        } else {
            snprintf(k->run, sizeof k->run, "/tmp/meros-%d-%s", (int)k->self.uid, hash);
        }
    }
    return make_owned(&k->user, k->run, err);
}

/* --- what PostgreSQL says */
int cluster_log_open(const struct cluster *k)
{
    return open(k->log, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The postmaster keeps its end open, so a full log is copied aside and cut rather than renamed. */
void cluster_log_bound(const struct cluster *k)
{
    struct stat st;
    int fd = cluster_log_open(k);
    if (fd >= 0 && fstat(fd, &st) == 0 && st.st_size > LOG_MAX) {
        char path[CLUSTER_PATH + 8];
        snprintf(path, sizeof path, "%s.1", k->log);
        int old = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
        char block[65536];
        off_t at = st.st_size - LOG_MAX;
        for (ssize_t n; old >= 0 && (n = pread(fd, block, sizeof block, at)) > 0; at += n)
            if (write(old, block, (size_t)n) != n) break;
        if (old >= 0) close(old);
        if (ftruncate(fd, 0) != 0) log_warn("cluster.log_not_cut", KV("file", k->log));
    }
    if (fd >= 0) close(fd);
}

/* The last thing it complained about since `from`, for an error message. */
void cluster_log_complaint(const struct cluster *k, off_t from, char *out, size_t cap)
{
    char text[8192] = "";
    int fd = cluster_log_open(k);
    struct stat st;
    snprintf(out, cap, "it said nothing");
    if (fd < 0) return;
    if (fstat(fd, &st) == 0 && st.st_size - from > (off_t)sizeof text - 1)
        from = st.st_size - (off_t)sizeof text + 1;
    ssize_t n = pread(fd, text, sizeof text - 1, from);
    close(fd);
    text[n < 0 ? 0 : n] = '\0';
    char *rest = NULL;
    for (char *line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
        char *at = strstr(line, "FATAL:");
        if (at == NULL) at = strstr(line, "PANIC:");
        if (at == NULL) at = strstr(line, "error:");
        if (at != NULL) snprintf(out, cap, "%s", at);
    }
}

off_t cluster_log_size(const struct cluster *k)
{
    struct stat st;
    return stat(k->log, &st) == 0 ? st.st_size : 0;
}

/* --- making */
enum meros_code cluster_make(struct cluster *k, struct meros_err *err)
{
    char fresh[CLUSTER_PATH], initdb[CLUSTER_PATH], complaint[256];
    cluster_join(fresh, k->base, "data.new");
    cluster_join(initdb, k->bin, "initdb");
    int fd = cluster_log_open(k);
    if (fd < 0) return cluster_failed(err, "The log could not be opened:", k->log);
    off_t from = cluster_log_size(k);
    int64_t start = clock_mono_ns();
    /* A start that was killed half-way left this behind. */
    char *const rm[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, (char[]){"--"}, fresh, NULL};
    enum meros_code rc = MEROS_OK;
    if (access(fresh, F_OK) == 0 && run_program(&k->self, rm, fd, true) != 0)
        rc = cluster_failed(err, "This half-made cluster could not be removed:", fresh);
    if (rc == MEROS_OK) rc = make_owned(&k->user, fresh, err);
    if (rc != MEROS_OK) goto out;
    char *const argv[] = {initdb,
                          (char[]){"-D"},
                          fresh,
                          (char[]){"-U"},
                          (char[]){"meros_admin"},
                          (char[]){"-E"},
                          (char[]){"UTF8"},
                          (char[]){"--locale=C.UTF-8"},
                          (char[]){"--auth=reject"},
                          (char[]){"--data-checksums"},
                          NULL};
    int status = run_program(&k->user, argv, fd, true);
    if (status != 0) {
        cluster_log_complaint(k, from, complaint, sizeof complaint);
        rc = err_set(err, MEROS_UNAVAILABLE, "initdb could not make the database cluster (%s); see %.200s.",
                     complaint, k->log);
        goto out;
    }
    if (rename(fresh, k->data) != 0) rc = cluster_failed(err, "The new cluster could not be put in place:", k->data);
    else log_info("cluster.made", KV("folder", k->data), KV_I("ms", (clock_mono_ns() - start) / 1000000));
out:
    close(fd);
    return rc;
}

enum meros_code cluster_write_access(struct cluster *k, bool *out_changed, struct meros_err *err)
{
    char path[CLUSTER_PATH], text[1024];
    cluster_join(path, k->base, "pg_hba.conf");
    enum meros_code rc = write_file(path, "local all all peer map=meros\n", out_changed, err);
    if (rc != MEROS_OK) return rc;
    snprintf(text, sizeof text,
             "meros root meros\nmeros root meros_admin\nmeros \"%s\" meros\nmeros \"%s\" meros_admin\n",
             k->user.name, k->user.name);
    cluster_join(path, k->base, "pg_ident.conf");
    return write_file(path, text, out_changed, err);
}
