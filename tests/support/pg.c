/* The server belongs to a guardian process, a grandchild of the test run that waits for the run's end (pidfd)
 * and then kills the server and removes its files: it cannot be forgotten, whatever happens to the run. Being
 * no child of the run, it is not in the way of a test runner that waits for its children. */
#include "pg.h"

#include <fcntl.h>
#include <libpq-fe.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include "../../src/store/cluster_priv.h"

static const char TEMPLATE[] = "meros_template";

__attribute__((noreturn, format(printf, 1, 2))) static void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fprintf(stderr, "tests/support/pg.c: ");
    vfprintf(stderr, format, ap);
    fprintf(stderr, "\n");
    va_end(ap);
    abort();
}

static void server_url(const char *dir, const char *database, char *out, size_t cap)
{
    snprintf(out, cap, "host=%s port=5432 user=meros dbname=%s", dir, database);
}

static void pause_ms(int ms)
{
    usleep((useconds_t)ms * 1000);
}

/* --- the guardian */
static void say(int fd, const char *what)
{
    if (write(fd, what, strlen(what)) < 0) return; /* the run is gone already; we are about to notice */
}

static const char *apply_migrations(const char *dir)
{
    static char problem[ERR_DETAIL_MAX];
    char url[512];
    struct meros_err err = MEROS_ERR_INIT;
    struct store_pool *p = NULL;
    int applied, version;
    server_url(dir, "postgres", url, sizeof url);
    PGconn *c = PQconnectdb(url);
    PGresult *r = PQexec(c, "create database meros_template");
    bool ok = PQresultStatus(r) == PGRES_COMMAND_OK;
    PQclear(r);
    PQfinish(c);
    if (!ok) return "the template database could not be made";
    server_url(dir, TEMPLATE, url, sizeof url);
    enum meros_code rc = store_open(&(struct store_config){.url = url}, &p, &err);
    if (rc == MEROS_OK) rc = store_migrate(p, &applied, &version, &err);
    store_close(p);
    snprintf(problem, sizeof problem, "%s", err.detail);
    return rc == MEROS_OK ? NULL : problem;
}

static const char *make_server(const char *dir, const char *bin, const struct cluster_user *u, int log_fd)
{
    char data[CLUSTER_PATH], initdb[CLUSTER_PATH + 16], postgres[CLUSTER_PATH + 16];
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(initdb, sizeof initdb, "%s/initdb", bin);
    snprintf(postgres, sizeof postgres, "%s/postgres", bin);
#define A(s) (char[]){s}
    char *const make[] = {initdb,
                          A("-D"),
                          data,
                          A("-U"),
                          A("meros"),
                          A("-E"),
                          A("UTF8"),
                          A("--locale=C.UTF-8"),
                          A("--auth=trust"),
                          A("--no-sync"),
                          NULL};
    if (run_program(u, make, log_fd, true) != 0) return "initdb failed";
    char socket[CLUSTER_PATH];
    snprintf(socket, sizeof socket, "%s", dir);
    char *const start[] = {postgres,
                           A("-D"),
                           data,
                           A("-k"),
                           socket,
                           A("-c"),
                           A("listen_addresses="),
                           A("-c"),
                           A("unix_socket_permissions=0700"),
                           A("-c"),
                           A("port=5432"),
                           A("-c"),
                           A("fsync=off"),
                           A("-c"),
                           A("synchronous_commit=off"),
                           A("-c"),
                           A("full_page_writes=off"),
                           A("-c"),
                           A("wal_level=minimal"),
                           A("-c"),
                           A("max_wal_senders=0"),
                           A("-c"),
                           A("max_connections=200"),
                           A("-c"),
                           A("shared_buffers=128MB"),
                           A("-c"),
                           A("max_wal_size=2GB"),
                           A("-c"),
                           A("autovacuum=off"),
                           A("-c"),
                           A("jit=off"),
                           A("-c"),
                           A("timezone=UTC"),
                           NULL};
#undef A
    pid_t pid = run_program(u, start, log_fd, false);
    for (int i = 0; i < 24000; i++) { /* two minutes */
        if (strcmp(pid_read(data).status, "ready") == 0) return apply_migrations(dir);
        if (waitpid(pid, NULL, WNOHANG) == pid) break;
        pause_ms(5);
    }
    return "the test server did not start";
}

static void remove_server(const char *dir, const struct cluster_user *self, int log_fd)
{
    char data[CLUSTER_PATH], folder[CLUSTER_PATH];
    snprintf(data, sizeof data, "%s/data", dir);
    snprintf(folder, sizeof folder, "%s", dir);
    pid_t pid = pid_read(data).pid;
    if (pid_alive(pid, data)) kill(pid, SIGQUIT);
    for (int i = 0; i < 2000 && pid_alive(pid, data); i++) pause_ms(5);
    char *const rm[] = {(char[]){"/bin/rm"}, (char[]){"-rf"}, (char[]){"--"}, folder, NULL};
    run_program(self, rm, log_fd, true);
}

__attribute__((noreturn)) static void guard(const char *dir, const char *bin, const struct cluster_user *u,
                                            int run_fd, int tell)
{
    struct cluster_user self = *u;
    self.switch_to = false;
    setsid();
    signal(SIGPIPE, SIG_IGN);
    const char *log = getenv("MEROS_TEST_PG_LOG");
    int log_fd = log != NULL && *log ? dup(2) : open("/dev/null", O_WRONLY | O_CLOEXEC);
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    dup2(null, 0), dup2(null, 1), dup2(null, 2); /* so that nobody waits for us at the end of a pipe */
    const char *problem = make_server(dir, bin, u, log_fd);
    if (problem != NULL) {
        say(tell, problem);
        remove_server(dir, &self, log_fd);
        _exit(1);
    }
    say(tell, "ready");
    close(tell);
    struct pollfd run = {.fd = run_fd, .events = POLLIN};
    while (poll(&run, 1, -1) < 0) continue;
    remove_server(dir, &self, log_fd);
    _exit(0);
}

bool pg_server_start(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct cluster_user u;
    char bin[CLUSTER_PATH], dir[64];
    int major, tell[2];
    if (getenv("MEROS_TEST_PG") != NULL) return true;
    if (find_binaries(0, bin, &major, &err) != MEROS_OK ||
        (geteuid() == 0 ? user_by_name("postgres", &u, &err) : user_by_uid(geteuid(), false, &u, &err)) !=
            MEROS_OK) {
        fprintf(stderr, "tests that need PostgreSQL are skipped: %s\n", err.detail);
        return false;
    }
    struct statvfs shm;
    bool memory =
        statvfs("/dev/shm", &shm) == 0 && (long long)shm.f_bavail * (long long)shm.f_frsize > 2LL << 30;
    snprintf(dir, sizeof dir, "%s/meros-test-XXXXXX",
             memory && access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    if (mkdtemp(dir) == NULL) die("no temporary folder");
    if (u.switch_to && chown(dir, u.uid, u.gid) != 0)
        die("the temporary folder could not be given to %s", u.name);
    int run_fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    if (run_fd < 0 || pipe(tell) != 0) die("no file descriptors");
    pid_t child = fork();
    if (child == 0) {
        if (fork() != 0) _exit(0);
        close(tell[0]);
        guard(dir, bin, &u, run_fd, tell[1]);
    }
    waitpid(child, NULL, 0);
    close(tell[1]);
    close(run_fd);
    char answer[600] = "";
    size_t n = 0;
    for (ssize_t got; n < sizeof answer - 1 && (got = read(tell[0], answer + n, sizeof answer - 1 - n)) > 0;)
        n += (size_t)got;
    close(tell[0]);
    answer[n] = '\0';
    setenv("MEROS_TEST_PG_BIN", bin, 1);
    setenv("MEROS_TEST_PG", strcmp(answer, "ready") == 0 ? dir : "", 1);
    if (strcmp(answer, "ready") != 0) setenv("MEROS_TEST_PG_PROBLEM", answer, 1);
    return true;
}

/* --- databases */
static PGconn *connect_to(const char *url)
{
    PGconn *c = PQconnectdb(url);
    if (PQstatus(c) != CONNECTION_OK) die("%s", PQerrorMessage(c));
    return c;
}

static PGresult *execute(PGconn *c, const char *sql)
{
    PGresult *r = PQexec(c, sql);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) die("%s in: %s", PQerrorMessage(c), sql);
    return r;
}

static void admin(const char *format, const char *name, const char *more)
{
    char url[512], sql[256];
    server_url(getenv("MEROS_TEST_PG"), "postgres", url, sizeof url);
    PGconn *c = connect_to(url);
    snprintf(sql, sizeof sql, format, name, more);
    PQclear(execute(c, sql));
    PQfinish(c);
}

static struct pg *make(const char *template)
{
    static int count;
    const char *dir = getenv("MEROS_TEST_PG");
    if (dir == NULL) die("no server: PostgreSQL is not installed, or pg_server_start() was not called");
    if (*dir == '\0') die("no server: %s", getenv("MEROS_TEST_PG_PROBLEM"));
    struct pg *db = calloc(1, sizeof *db);
    struct meros_err err = MEROS_ERR_INIT;
    snprintf(db->name, sizeof db->name, "test_%d_%d", (int)getpid(), ++count);
    admin("create database %s template %s", db->name, template);
    server_url(dir, db->name, db->url, sizeof db->url);
    if (store_open(&(struct store_config){.url = db->url, .acquire_timeout_ms = 30000}, &db->pool, &err) != MEROS_OK)
        die("%s", err.detail);
    return db;
}

struct pg *pg_fresh(void)
{
    return make(TEMPLATE);
}

struct pg *pg_empty(void)
{
    return make("template1");
}

void pg_done(struct pg *db)
{
    if (db == NULL) return;
    for (int i = 0; i < db->n_conns; i++) store_release(db->pool, db->conns[i]);
    store_close(db->pool);
    admin("drop database %s with (force)%s", db->name, "");
    free(db);
}

struct store_conn *pg_conn(struct pg *db)
{
    struct meros_err err = MEROS_ERR_INIT;
    if (db->n_conns == (int)(sizeof db->conns / sizeof db->conns[0])) die("too many connections in one test");
    if (store_acquire(db->pool, &db->conns[db->n_conns], &err) != MEROS_OK) die("%s", err.detail);
    return db->conns[db->n_conns++];
}

void pg_run(struct pg *db, const char *sql)
{
    PGconn *c = connect_to(db->url);
    PQclear(execute(c, sql));
    PQfinish(c);
}

char *pg_text(struct pg *db, const char *sql)
{
    PGconn *c = connect_to(db->url);
    PGresult *r = execute(c, sql);
    if (PQntuples(r) != 1 || PQnfields(r) != 1)
        die("%d rows of %d columns from: %s", PQntuples(r), PQnfields(r), sql);
    char *out = strdup(PQgetisnull(r, 0, 0) ? "(null)" : PQgetvalue(r, 0, 0));
    PQclear(r);
    PQfinish(c);
    return out;
}

long long pg_int(struct pg *db, const char *sql)
{
    char *text = pg_text(db, sql);
    long long v = strtoll(text, NULL, 10);
    free(text);
    return v;
}

double pg_num(struct pg *db, const char *sql)
{
    char *text = pg_text(db, sql);
    double v = strtod(text, NULL);
    free(text);
    return v;
}

char *pg_table(struct pg *db, const char *sql)
{
    PGconn *c = connect_to(db->url);
    PGresult *r = execute(c, sql);
    char *out = NULL;
    size_t n = 0;
    FILE *f = open_memstream(&out, &n);
    for (int i = 0; i < PQntuples(r); i++)
        for (int k = 0; k < PQnfields(r); k++)
            fprintf(f, "%s%s", PQgetisnull(r, i, k) ? "(null)" : PQgetvalue(r, i, k),
                    k + 1 < PQnfields(r) ? "|" : "\n");
    fclose(f);
    PQclear(r);
    PQfinish(c);
    return out;
}

const char *pg_bin(void)
{
    return getenv("MEROS_TEST_PG_BIN");
}
