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
#include <libpq-fe.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"

enum {
    START_SECONDS = 600, /* recovery of a large log may take minutes; the process is watched meanwhile */
    STOP_SECONDS = 8     /* the service promises to be gone within 10 */
};

static void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

/* --- locks */
static int lock_open(const struct cluster *k, const char *name)
{
    char path[CLUSTER_PATH];
    cluster_join(path, k->base, name);
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
    if (k->lock_serve < 0) return cluster_failed(err, "The lock could not be opened in", k->base);
    if (flock(k->lock_serve, LOCK_EX | LOCK_NB) != 0) {
        ssize_t n = pread(k->lock_serve, text, sizeof text - 1, 0);
        return err_set(err, MEROS_CONFLICT,
                       "Another meros (process %d) already serves the folder %.300s. Stop it first, or use "
                       "another folder.",
                       n > 0 ? atoi(text) : 0, dir);
    }
    int n = snprintf(text, sizeof text, "%d\n", (int)getpid());
    if (ftruncate(k->lock_serve, 0) != 0 || pwrite(k->lock_serve, text, (size_t)n, 0) != n)
        return cluster_failed(err, "The lock could not be written in", k->base);
    return MEROS_OK;
}

/* --- starting */
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
            cluster_log_complaint(k, from, complaint, sizeof complaint);
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
            int fd = cluster_log_open(k);
            from = cluster_log_size(k);
            child = fd < 0 ? -1 : run_program(&k->user, a->argv, fd, false);
            if (fd >= 0) close(fd);
            free(a);
            if (child < 0) return cluster_failed(err, "PostgreSQL could not be started in", k->data);
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
    cluster_join(path, k->data, "PG_VERSION");
    int made_by = cluster_read_line(path, line) ? atoi(line) : 0;
    enum meros_code rc = find_binaries(made_by, k->bin, &k->major, err);
    if (rc == MEROS_OK && made_by == 0) rc = cluster_make(k, err);
    if (rc == MEROS_OK) rc = cluster_write_access(k, &changed, err);
    if (rc != MEROS_OK) return rc;
    cluster_log_bound(k);
    struct cluster_pid p = pid_read(k->data);
    bool adopted = pid_alive(p.pid, k->data);
    if (adopted && p.socket_dir[0] != '\0') memcpy(k->run, p.socket_dir, sizeof k->run);
    if (adopted && changed) kill(p.pid, SIGHUP);
    rc = ensure_running(k, err);
    if (rc == MEROS_OK) rc = make_database(k, err);
    if (rc == MEROS_OK && !lock_wait(k->lock_users, LOCK_SH))
        rc = cluster_failed(err, "The lock could not be taken in", k->base);
    return rc;
}

static enum meros_code cluster_open(const char *dir, bool serve, struct cluster **out, char *url,
                                    size_t url_cap, struct meros_err *err)
{
    struct cluster *k = calloc(1, sizeof *k);
    if (k == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory to start PostgreSQL.");
    k->lock_start = k->lock_users = k->lock_serve = -1;
    pthread_mutex_init(&k->lock, NULL);
    enum meros_code rc = cluster_settle(k, dir, err);
    if (rc == MEROS_OK && serve) rc = lock_service(k, dir, err);
    if (rc != MEROS_OK) goto out;
    k->lock_start = lock_open(k, "lock.start");
    k->lock_users = lock_open(k, "lock.users");
    if (k->lock_start < 0 || k->lock_users < 0 || !lock_wait(k->lock_start, LOCK_EX)) {
        rc = cluster_failed(err, "The locks could not be taken in", k->base);
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
    cluster_log_bound(k);
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
