/* The embedded PostgreSQL: where it lives, who starts it, who stops it.
 *
 *   DIR/postgres/data           the cluster, made by initdb in data.new and renamed when whole
 *   DIR/postgres/run            its socket (elsewhere when the path is longer than a socket address holds)
 *   DIR/postgres/log            what it says, bounded
 *   DIR/postgres/pg_*.conf      who may connect: the operating system's user is the proof (peer); no
 *                               password, no TCP
 *   DIR/postgres/lock.serve     held by the one service of this folder
 *   DIR/postgres/lock.users     held shared by every process that uses the cluster; the last one out stops it
 *   DIR/postgres/lock.start     held while starting and stopping, so that these exclude each other
 *   DIR/postgres/location       only when root's user for PostgreSQL cannot reach DIR: where all of it lives
 *
 * Locks are flock(2), so a killed process holds none. The postmaster has a session of its own and outlives a
 * service that is killed -9; the next start adopts it, which takes milliseconds and no recovery. */
#include "cluster_priv.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"

enum {
    SOCKET_PATH_MAX = 107,   /* of struct sockaddr_un, without its NUL */
    START_SECONDS = 600,     /* recovery of a large log may take minutes; the process is watched meanwhile */
    STOP_SECONDS = 8,        /* the service promises to be gone within 10 */
    LOG_MAX = 8 * 1024 * 1024
};

struct cluster {
    /* immutable after opening */
    char base[CLUSTER_PATH], data[CLUSTER_PATH], run[CLUSTER_PATH], log[CLUSTER_PATH], bin[CLUSTER_PATH];
    int major;
    struct cluster_user user; /* PostgreSQL runs as this one */
    struct cluster_user self;
    int lock_start, lock_users, lock_serve;
    /* under lock: starting again */
    pthread_mutex_t lock;
    int64_t next_try_ns;
    int failures;
};

static void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static enum meros_code failed(struct meros_err *err, const char *what, const char *path)
{
    return err_set(err, MEROS_UNAVAILABLE, "%s %.300s: %s.", what, path, strerror(errno));
}

/* settle() has seen to it that the base leaves room for every name of ours. */
static void join(char out[CLUSTER_PATH], const char *a, const char *b)
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
            if (chmod(part, mode) != 0) return failed(err, "The mode could not be set of", part);
        } else if (errno != EEXIST) {
            return failed(err, "This folder could not be made:", part);
        }
    }
    return MEROS_OK;
}

/* A folder of PostgreSQL's own user. */
static enum meros_code make_owned(const struct cluster_user *u, const char *path, struct meros_err *err)
{
    struct stat st;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) return failed(err, "This folder could not be made:", path);
    if (lstat(path, &st) != 0 || !S_ISDIR(st.st_mode)) return failed(err, "This is not a folder:", path);
    if (st.st_uid == u->uid) return MEROS_OK;
    if (!u->switch_to || st.st_uid != 0)
        return err_set(err, MEROS_CONFLICT,
                       "The folder %.300s belongs to another user; start as that user or as root.", path);
    if (lchown(path, u->uid, u->gid) != 0) return failed(err, "This folder could not be given away:", path);
    return MEROS_OK;
}

static void hash_of(const char *text, char out[33])
{
    struct crypto_hash128 h = crypto_hash128(text, strlen(text));
    hex_encode(h.bytes, 8, out);
}

static bool read_line(const char *path, char out[CLUSTER_PATH])
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
    if (!ok || rename(temporary, path) != 0) return failed(err, "This file could not be written:", path);
    *out_changed = true;
    return MEROS_OK;
}

/* Where the cluster of DIR lives: DIR/postgres, or, when root's user for PostgreSQL cannot get there (a
 * checkout under /root), a folder of /var/lib/meros, remembered in DIR/postgres/location. */
static enum meros_code settle(struct cluster *k, const char *dir, struct meros_err *err)
{
    char absolute[PATH_MAX], home[CLUSTER_PATH], location[CLUSTER_PATH], hash[33];
    enum meros_code rc = make_dirs(dir, 0711, err);
    if (rc != MEROS_OK) return rc;
    if (realpath(dir, absolute) == NULL) return failed(err, "This folder cannot be used:", dir);
    if (strlen(absolute) > CLUSTER_PATH - 64 || strpbrk(absolute, "\n'") != NULL)
        return err_set(err, MEROS_INVALID,
                       "The name of the data folder is too long or holds a quote or a line end.");
    join(home, absolute, "postgres");
    join(location, home, "location");
    if ((rc = make_dirs(home, 0711, err)) != MEROS_OK) return rc;

    if ((rc = user_by_uid(geteuid(), false, &k->self, err)) != MEROS_OK) return rc;
    if (!read_line(location, k->base)) memcpy(k->base, home, sizeof home);
    struct stat st;
    join(k->data, k->base, "data");
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
        join(k->run, k->base, "run");
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
    join(k->data, k->base, "data");
    join(k->run, k->base, "run");
    join(k->log, k->base, "log");
    if ((rc = make_dirs(k->log, 0700, err)) != MEROS_OK) return rc;
    join(k->log, k->base, "log/postgresql.log");

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

/* --- locks */
static int lock_open(const struct cluster *k, const char *name)
{
    char path[CLUSTER_PATH];
    join(path, k->base, name);
    return open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

static bool lock_wait(int fd, int how)
{
    while (flock(fd, how) != 0)
        if (errno != EINTR) return false;
    return true;
}

static enum meros_code lock_service(struct cluster *k, const char *dir, struct meros_err *err)
{
    char text[16] = "";
    k->lock_serve = lock_open(k, "lock.serve");
    if (k->lock_serve < 0) return failed(err, "The lock could not be opened in", k->base);
    if (flock(k->lock_serve, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(k->lock_serve, text, sizeof text - 1, 0);
        return err_set(err, MEROS_CONFLICT,
                       "Another meros (process %d) already serves the folder %.300s. Stop it first, or use "
                       "another folder.",
                       n > 0 ? atoi(text) : 0, dir);
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(k->lock_serve, 0) != 0 || pwrite(k->lock_serve, text, (size_t)n, 0) != n)
        return failed(err, "The lock could not be written in", k->base);
    return MEROS_OK;
}

/* --- what PostgreSQL says */
static int log_open(const struct cluster *k)
{
    return open(k->log, O_RDWR | O_APPEND | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
}

/* The postmaster keeps its end open, so a full log is copied aside and cut rather than renamed. */
static void log_bound(const struct cluster *k)
{
    struct stat st;
    int fd = log_open(k);
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
static void log_complaint(const struct cluster *k, off_t from, char *out, size_t cap)
{
    char text[8192] = "";
    int fd = log_open(k);
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

static off_t log_size(const struct cluster *k)
{
    struct stat st;
    return stat(k->log, &st) == 0 ? st.st_size : 0;
}

/* --- making and starting */
static enum meros_code make_cluster(struct cluster *k, struct meros_err *err)
{
    char fresh[CLUSTER_PATH], initdb[CLUSTER_PATH], complaint[256];
    join(fresh, k->base, "data.new");
    join(initdb, k->bin, "initdb");
    int fd = log_open(k);
    if (fd < 0) return failed(err, "The log could not be opened:", k->log);
    off_t from = log_size(k);
    int64_t start = clock_mono_ns();
    /* A start that was killed half-way left this behind. */
    char *const rm[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, (char[]){"--"}, fresh, NULL};
    enum meros_code rc = MEROS_OK;
    if (access(fresh, F_OK) == 0 && run_program(&k->self, rm, fd, true) != 0)
        rc = failed(err, "This half-made cluster could not be removed:", fresh);
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
        log_complaint(k, from, complaint, sizeof complaint);
        rc = err_set(err, MEROS_UNAVAILABLE, "initdb could not make the database cluster (%s); see %.200s.",
                     complaint, k->log);
        goto out;
    }
    if (rename(fresh, k->data) != 0) rc = failed(err, "The new cluster could not be put in place:", k->data);
    else log_info("cluster.made", KV("folder", k->data), KV_I("ms", (clock_mono_ns() - start) / 1000000));
out:
    close(fd);
    return rc;
}

static enum meros_code write_access(struct cluster *k, bool *out_changed, struct meros_err *err)
{
    char path[CLUSTER_PATH], text[1024];
    join(path, k->base, "pg_hba.conf");
    enum meros_code rc = write_file(path, "local all all peer map=meros\n", out_changed, err);
    if (rc != MEROS_OK) return rc;
    snprintf(text, sizeof text,
             "meros root meros\nmeros root meros_admin\nmeros \"%s\" meros\nmeros \"%s\" meros_admin\n",
             k->user.name, k->user.name);
    join(path, k->base, "pg_ident.conf");
    return write_file(path, text, out_changed, err);
}

struct arguments {
    char *argv[CLUSTER_ARGS];
    char text[CLUSTER_ARGS][CLUSTER_PATH + 64];
    int n;
};

__attribute__((format(printf, 2, 3))) static void argument(struct arguments *a, const char *format, ...)
{
    assert(a->n < CLUSTER_ARGS - 1);
    va_list ap;
    va_start(ap, format);
    vsnprintf(a->text[a->n], sizeof a->text[0], format, ap);
    va_end(ap);
    a->argv[a->n] = a->text[a->n];
    a->n++;
}

__attribute__((format(printf, 2, 3))) static void setting(struct arguments *a, const char *format, ...)
{
    char text[CLUSTER_PATH + 64];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    argument(a, "-c");
    argument(a, "%s", text);
}

/* Settings go on the command line: a new version of the program changes them without editing anybody's file.
 */
static void settings(const struct cluster *k, struct arguments *a)
{
    long long mb = memory_bytes() / (1024 * 1024), shared = mb / 4;
    if (shared > 1024) shared = 1024;
    if (shared < 32) shared = 32;
    struct statvfs shm;
    bool small_shm =
        statvfs("/dev/shm", &shm) != 0 || (long long)shm.f_blocks * (long long)shm.f_frsize < 256LL << 20;
    argument(a, "%s/postgres", k->bin);
    argument(a, "-D");
    argument(a, "%s", k->data);
    argument(a, "-k");
    argument(a, "%s", k->run);
    setting(a, "listen_addresses=");
    setting(a, "port=5432");
    setting(a, "unix_socket_permissions=0700");
    setting(a, "hba_file=%s/pg_hba.conf", k->base);
    setting(a, "ident_file=%s/pg_ident.conf", k->base);
    setting(a, "max_connections=100");
    setting(a, "shared_buffers=%lldMB", shared);
    setting(a, "effective_cache_size=%lldMB", mb / 2 < 64 ? 64 : mb / 2);
    setting(a, "work_mem=%lldMB", mb >= 4096 ? 16LL : 4LL);
    setting(a, "maintenance_work_mem=%lldMB", mb >= 4096 ? 256LL : 64LL);
    /* Containers often have 64 MB of /dev/shm, too little for a parallel query. */
    setting(a, "dynamic_shared_memory_type=%s", small_shm ? "mmap" : "posix");
    setting(a, "fsync=on");
    setting(a, "synchronous_commit=on");
    setting(a, "full_page_writes=on");
    /* Debian's PostgreSQL has lz4, cheaper by far than the built-in compression. */
    setting(a, "wal_compression=%s", strncmp(k->bin, "/usr/lib/postgresql/", 20) == 0 ? "lz4" : "on");
    setting(a, "max_wal_size=4GB");
    setting(a, "min_wal_size=256MB");
    setting(a, "wal_level=replica");
    setting(a, "checkpoint_timeout=15min");
    setting(a, "random_page_cost=1.1");
    setting(a, "effective_io_concurrency=100");
    setting(a, "jit=off");
    setting(a, "autovacuum=on");
    setting(a, "autovacuum_naptime=20s");
    setting(a, "autovacuum_vacuum_cost_limit=1000");
    setting(a, "timezone=UTC");
    setting(a, "log_timezone=UTC");
    setting(a, "logging_collector=off");
    setting(a, "log_destination=stderr");
    setting(a, "log_line_prefix=%%m [%%p] ");
    setting(a, "log_checkpoints=off");
    /* Statements, parameters and details hold people's data: none of them in the log. */
    setting(a, "log_statement=none");
    setting(a, "log_min_messages=log"); /* its own life and death, not clients' errors, which quote values */
    setting(a, "log_min_error_statement=panic");
    setting(a, "log_error_verbosity=terse");
    setting(a, "log_parameter_max_length=0");
    setting(a, "log_parameter_max_length_on_error=0");
    a->argv[a->n] = NULL;
}

static void clear_leftovers(const struct cluster *k)
{
    int signal_number = SIGQUIT;
    for (int waited = 0; signal_leftovers(&k->user, k->data, signal_number) > 0; waited += 10) {
        if (waited == 0) log_warn("cluster.leftovers", KV("folder", k->data));
        signal_number = waited < 1000 ? 0 : SIGKILL;
        if (waited > 10000) return; /* unkillable: PostgreSQL itself will say what is wrong */
        pause_ms(10);
    }
}

/* Until the postmaster is ready; started if it is not there. Holds lock.start. */
static enum meros_code ensure_running(struct cluster *k, struct meros_err *err)
{
    int64_t start = clock_mono_ns(), deadline = start + (int64_t)START_SECONDS * 1000000000;
    pid_t child = 0;
    bool recovering = false;
    off_t from = 0;
    while (clock_mono_ns() < deadline) {
        struct cluster_pid p = pid_read(k->data);
        bool alive = pid_alive(p.pid, k->data);
        if (alive && strcmp(p.status, "ready") == 0) {
            log_info(child != 0 ? "cluster.started" : "cluster.adopted", KV_I("pid", p.pid),
                     KV_I("ms", (clock_mono_ns() - start) / 1000000));
            return MEROS_OK;
        }
        if (!alive && child != 0 && !pid_alive(child, k->data)) {
            char complaint[256];
            log_complaint(k, from, complaint, sizeof complaint);
            /* One that a killed service was just starting came first: that one is waited for. */
            if (strstr(complaint, "postmaster.pid") != NULL && strstr(complaint, "already exists") != NULL) {
                child = 0;
                pause_ms(20);
                continue;
            }
            return err_set(err, MEROS_UNAVAILABLE, "PostgreSQL did not start (%s); see %.200s.", complaint,
                           k->log);
        }
        if (!alive && child == 0) {
            clear_leftovers(k);
            struct arguments *a = calloc(1, sizeof *a);
            if (a == NULL)
                return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory to start PostgreSQL.");
            settings(k, a);
            int fd = log_open(k);
            from = log_size(k);
            child = fd < 0 ? -1 : run_program(&k->user, a->argv, fd, false);
            if (fd >= 0) close(fd);
            free(a);
            if (child < 0) return failed(err, "PostgreSQL could not be started in", k->data);
            /* The child shows PostgreSQL's command line only after exec; do not take that moment for its
             * death. */
            for (int i = 0; i < 200 && !pid_alive(child, k->data) && kill(child, 0) == 0; i++) pause_ms(1);
        }
        if (!recovering && clock_mono_ns() - start > INT64_C(3000000000)) {
            recovering = true;
            log_info("cluster.waiting", KV("status", p.status[0] ? p.status : "starting"));
        }
        pause_ms(5);
    }
    return err_set(err, MEROS_UNAVAILABLE, "PostgreSQL was not ready after %d s; see %.200s.", START_SECONDS,
                   k->log);
}

/* The service's own role and database; the role owns the database and is no superuser. */
static enum meros_code make_database(const struct cluster *k, struct meros_err *err)
{
    static const char *const steps[][2] = {
        {"select 1 from pg_roles where rolname = 'meros'", "create role meros login"},
        {"select 1 from pg_database where datname = 'meros'", "create database meros owner meros"},
    };
    const char *const keys[] = {"host", "port", "user", "dbname", "connect_timeout", NULL};
    const char *const values[] = {k->run, "5432", "meros_admin", "postgres", "10", NULL};
    PGconn *c = PQconnectdbParams(keys, values, 0);
    bool ok = PQstatus(c) == CONNECTION_OK;
    for (size_t i = 0; ok && i < 2; i++) {
        PGresult *r = PQexec(c, steps[i][0]);
        ok = PQresultStatus(r) == PGRES_TUPLES_OK;
        bool there = ok && PQntuples(r) > 0;
        PQclear(r);
        if (!ok || there) continue;
        r = PQexec(c, steps[i][1]);
        ok = PQresultStatus(r) == PGRES_COMMAND_OK;
        PQclear(r);
    }
    enum meros_code rc = MEROS_OK;
    if (!ok) {
        char message[256];
        snprintf(message, sizeof message, "%.*s", (int)strcspn(PQerrorMessage(c), "\n"), PQerrorMessage(c));
        rc = err_set(err, MEROS_UNAVAILABLE, "The service's database could not be set up: %s.", message);
    }
    PQfinish(c);
    return rc;
}

static void cluster_free(struct cluster *k)
{
    if (k->lock_serve >= 0) close(k->lock_serve);
    if (k->lock_users >= 0) close(k->lock_users);
    if (k->lock_start >= 0) close(k->lock_start);
    pthread_mutex_destroy(&k->lock);
    free(k);
}

/* Everything that happens under lock.start. */
static enum meros_code enter(struct cluster *k, struct meros_err *err)
{
    char path[CLUSTER_PATH], line[CLUSTER_PATH] = "";
    bool changed = false;
    join(path, k->data, "PG_VERSION");
    int made_by = read_line(path, line) ? atoi(line) : 0;
    enum meros_code rc = find_binaries(made_by, k->bin, &k->major, err);
    if (rc == MEROS_OK && made_by == 0) rc = make_cluster(k, err);
    if (rc == MEROS_OK) rc = write_access(k, &changed, err);
    if (rc != MEROS_OK) return rc;
    log_bound(k);
    struct cluster_pid p = pid_read(k->data);
    bool adopted = pid_alive(p.pid, k->data);
    if (adopted && p.socket_dir[0] != '\0') memcpy(k->run, p.socket_dir, sizeof k->run);
    if (adopted && changed) kill(p.pid, SIGHUP);
    rc = ensure_running(k, err);
    if (rc == MEROS_OK) rc = make_database(k, err);
    if (rc == MEROS_OK && !lock_wait(k->lock_users, LOCK_SH))
        rc = failed(err, "The lock could not be taken in", k->base);
    return rc;
}

static enum meros_code cluster_open(const char *dir, bool serve, struct cluster **out, char *url,
                                    size_t url_cap, struct meros_err *err)
{
    struct cluster *k = calloc(1, sizeof *k);
    if (k == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory to start PostgreSQL.");
    k->lock_start = k->lock_users = k->lock_serve = -1;
    pthread_mutex_init(&k->lock, NULL);
    enum meros_code rc = settle(k, dir, err);
    if (rc == MEROS_OK && serve) rc = lock_service(k, dir, err);
    if (rc != MEROS_OK) goto out;
    k->lock_start = lock_open(k, "lock.start");
    k->lock_users = lock_open(k, "lock.users");
    if (k->lock_start < 0 || k->lock_users < 0 || !lock_wait(k->lock_start, LOCK_EX)) {
        rc = failed(err, "The locks could not be taken in", k->base);
        goto out;
    }
    rc = enter(k, err);
    flock(k->lock_start, LOCK_UN);
    if (rc != MEROS_OK) goto out;
    int n = snprintf(url, url_cap, "host='%s' port=5432 user=meros dbname=meros", k->run);
    if (n < 0 || (size_t)n >= url_cap) {
        rc = err_set(err, MEROS_INTERNAL, "The address of the database does not fit.");
        cluster_stop(k);
        return rc;
    }
    *out = k;
    k = NULL;
out:
    if (k != NULL) cluster_free(k);
    return rc;
}

enum meros_code cluster_start(const char *dir, struct cluster **out, char *url, size_t url_cap,
                              struct meros_err *err)
{
    return cluster_open(dir, true, out, url, url_cap, err);
}

enum meros_code cluster_attach(const char *dir, struct cluster **out, char *url, size_t url_cap,
                               struct meros_err *err)
{
    return cluster_open(dir, false, out, url, url_cap, err);
}

void cluster_stop(struct cluster *k)
{
    if (k == NULL) return;
    lock_wait(k->lock_start, LOCK_EX);
    flock(k->lock_users, LOCK_UN);
    struct cluster_pid p = pid_read(k->data);
    if (flock(k->lock_users, LOCK_EX | LOCK_NB) != 0) {
        log_info("cluster.left_running", KV("reason", "another meros uses it"));
    } else if (pid_alive(p.pid, k->data)) {
        int64_t start = clock_mono_ns(), deadline = start + (int64_t)STOP_SECONDS * 1000000000;
        kill(p.pid, SIGINT); /* "fast": sessions end, a checkpoint is written */
        while (pid_alive(p.pid, k->data) && clock_mono_ns() < deadline) pause_ms(5);
        /* Our own child stays in the table for a moment after its memory is gone. */
        for (int i = 0; i < 200 && waitpid(p.pid, NULL, WNOHANG) == 0 && !pid_alive(p.pid, k->data); i++)
            pause_ms(1);
        if (pid_alive(p.pid, k->data))
            log_warn("cluster.still_stopping",
                     KV("note", "its last checkpoint goes on; the next start waits for it"));
        else log_info("cluster.stopped", KV_I("ms", (clock_mono_ns() - start) / 1000000));
    }
    cluster_free(k);
}

bool cluster_alive(struct cluster *k)
{
    return pid_alive(pid_read(k->data).pid, k->data);
}

enum meros_code cluster_tend(struct cluster *k, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    pthread_mutex_lock(&k->lock);
    log_bound(k);
    if (cluster_alive(k)) goto out;
    if (clock_mono_ns() < k->next_try_ns) {
        rc = err_set(err, MEROS_UNAVAILABLE, "PostgreSQL is down and will be started again shortly.");
        goto out;
    }
    log_warn("cluster.died", KV("folder", k->data));
    lock_wait(k->lock_start, LOCK_EX);
    rc = ensure_running(k, err);
    flock(k->lock_start, LOCK_UN);
    if (rc == MEROS_OK) {
        k->failures = 0;
    } else {
        int seconds = 1 << (k->failures < 5 ? k->failures : 5);
        k->failures++;
        k->next_try_ns = clock_mono_ns() + (int64_t)seconds * 1000000000;
    }
out:
    pthread_mutex_unlock(&k->lock);
    return rc;
}
