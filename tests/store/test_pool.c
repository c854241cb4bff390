#include <criterion/criterion.h>
#include <fcntl.h>
#include <pthread.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "pg.h"
#include "store_priv.h"

static const struct sql ONE = {"one", "select 1", SQL_ROW};
static const struct sql PID = {"pid", "select pg_backend_pid()", SQL_ROW};
static struct pg *db;
static struct meros_err err;

static void open_db(void)
{
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    db = pg_empty();
}

static void close_db(void)
{
    pg_done(db);
}

TestSuite(pool, .init = open_db, .fini = close_db);

static int64_t ms_since(int64_t start)
{
    return (clock_mono_ns() - start) / 1000000;
}

static void pause_ms(int ms)
{
    struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000};
    nanosleep(&t, NULL);
}

static pid_t backend(struct store_conn *c)
{
    struct rows r;
    cr_assert_eq(sql_exec0(c, &PID, &r, &err), MEROS_OK, "%s", err.detail);
    pid_t pid = (pid_t)rows_int(&r, 0, 0);
    rows_done(&r);
    return pid;
}

static enum meros_code use(struct store_pool *p)
{
    struct store_conn *c = NULL;
    struct rows r;
    enum meros_code rc = store_acquire(p, &c, &err);
    if (rc == MEROS_OK) rc = sql_exec0(c, &ONE, &r, &err);
    if (rc == MEROS_OK) rows_done(&r);
    store_release(p, c);
    return rc;
}

Test(pool, a_released_connection_is_used_again_and_is_as_new)
{
    struct store_conn *c = NULL;
    cr_assert_eq(store_acquire(db->pool, &c, &err), MEROS_OK);
    pid_t first = backend(c);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(store_set_timeout(c, 7777, &err), MEROS_OK);
    store_cancel(c);
    store_release(db->pool, c);
    cr_assert_eq(store_acquire(db->pool, &c, &err), MEROS_OK);
    cr_assert_eq(backend(c), first);
    static const struct sql STATE = {
        "state", "select current_setting('statement_timeout'), pg_current_xact_id_if_assigned() is null",
        SQL_ROW};
    struct rows r;
    cr_assert_eq(sql_exec0(c, &STATE, &r, &err), MEROS_OK);
    cr_assert(str_is(rows_text(&r, 0, 0), "30s"));
    rows_done(&r);
    cr_assert_eq(store_begin(c, &err), MEROS_OK, "no transaction is open");
    store_release(db->pool, c);
}

Test(pool, acquiring_waits_its_time_and_then_says_so)
{
    struct store_pool *p = NULL;
    struct store_conn *a = NULL, *b = NULL, *none = NULL;
    struct store_stats s;
    cr_assert_eq(
        store_open(&(struct store_config){.url = db->url, .max_connections = 2, .acquire_timeout_ms = 150},
                   &p, &err),
        MEROS_OK);
    cr_assert_eq(store_acquire(p, &a, &err), MEROS_OK);
    cr_assert_eq(store_acquire(p, &b, &err), MEROS_OK);
    int64_t start = clock_mono_ns();
    cr_assert_eq(store_acquire(p, &none, &err), MEROS_UNAVAILABLE);
    cr_assert_geq(ms_since(start), 140);
    cr_assert_lt(ms_since(start), 20000);
    cr_assert_gt(err.retry_after, 0);
    store_pool_stats(p, &s);
    cr_assert_eq(s.open, 2);
    cr_assert_eq(s.idle, 0);
    cr_assert_eq(s.timeouts, 1);
    store_release(p, a);
    cr_assert_eq(store_acquire(p, &a, &err), MEROS_OK);
    store_release(p, a);
    store_release(p, b);
    store_release(p, NULL);
    store_close(p);
}

struct asker {
    struct store_pool *pool;
    enum meros_code rc;
    int retry_after;
};

static void *ask_long(void *arg)
{
    struct asker *x = arg;
    struct store_conn *c = NULL;
    struct meros_err e = MEROS_ERR_INIT;
    x->rc = store_acquire_long(x->pool, &c, &e);
    x->retry_after = e.retry_after;
    store_release(x->pool, c);
    return NULL;
}

Test(pool, questions_that_take_long_leave_others_their_connections)
{
    enum { FLOOD = 12 };
    struct store_pool *p = NULL;
    struct store_conn *held[2], *others[8], *none = NULL;
    struct asker askers[FLOOD];
    pthread_t threads[FLOOD];
    cr_assert_eq(store_open(&(struct store_config){.url = db->url, .max_connections = 10, .acquire_timeout_ms = 200}, &p, &err), MEROS_OK);
    for (int i = 0; i < 2; i++) cr_assert_eq(store_acquire_long(p, &held[i], &err), MEROS_OK, "%s", err.detail);
    for (int i = 0; i < FLOOD; i++) {
        askers[i] = (struct asker){.pool = p};
        cr_assert_eq(pthread_create(&threads[i], NULL, ask_long, &askers[i]), 0);
    }
    for (int i = 0; i < 8; i++) cr_assert_eq(store_acquire(p, &others[i], &err), MEROS_OK, "%s", err.detail);
    for (int i = 0; i < FLOOD; i++) {
        pthread_join(threads[i], NULL);
        cr_assert_eq(askers[i].rc, MEROS_UNAVAILABLE);
        cr_assert_gt(askers[i].retry_after, 0);
    }
    store_release(p, held[0]);
    cr_assert_eq(store_acquire_long(p, &held[0], &err), MEROS_OK, "its place is free again");
    store_release(p, held[0]);
    cr_assert_eq(store_acquire(p, &held[0], &err), MEROS_OK);
    cr_assert_eq(store_acquire_long(p, &none, &err), MEROS_UNAVAILABLE, "there is room, but no connection");
    store_release(p, held[0]);
    for (int i = 0; i < 8; i++) store_release(p, others[i]);
    cr_assert_eq(store_acquire_long(p, &held[0], &err), MEROS_OK, "who got none holds no place");
    store_release(p, held[0]);
    store_release(p, held[1]);
    store_close(p);
}

struct worker {
    struct store_pool *pool;
    int done;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    for (int i = 0; i < 200; i++) {
        struct store_conn *c = NULL;
        struct rows r;
        struct meros_err e = MEROS_ERR_INIT;
        if (store_acquire(w->pool, &c, &e) != MEROS_OK) break;
        if (sql_exec0(c, &ONE, &r, &e) == MEROS_OK) w->done++;
        rows_done(&r);
        store_release(w->pool, c);
    }
    return NULL;
}

Test(pool, more_threads_than_connections_all_get_their_turn)
{
    struct store_pool *p = NULL;
    struct store_stats s;
    cr_assert_eq(
        store_open(&(struct store_config){.url = db->url, .max_connections = 3, .acquire_timeout_ms = 100000},
                   &p, &err),
        MEROS_OK);
    struct worker w[8];
    pthread_t t[8];
    for (int i = 0; i < 8; i++) {
        w[i] = (struct worker){.pool = p};
        pthread_create(&t[i], NULL, work, &w[i]);
    }
    for (int i = 0; i < 8; i++) {
        pthread_join(t[i], NULL);
        cr_assert_eq(w[i].done, 200);
    }
    store_pool_stats(p, &s);
    cr_assert_leq(s.open, 3);
    cr_assert_eq(s.idle, s.open);
    cr_assert_eq(s.acquired, 1600);
    store_close(p);
}

static void terminate_all(void)
{
    pg_run(db, "select pg_terminate_backend(pid, 5000) from pg_stat_activity"
               " where datname = current_database() and pid <> pg_backend_pid()");
}

Test(pool, a_terminated_session_costs_at_most_the_one_statement_that_was_running)
{
    struct store_conn *c = NULL;
    cr_assert_eq(store_acquire(db->pool, &c, &err), MEROS_OK);
    store_release(db->pool, c);
    terminate_all();
    cr_assert_eq(use(db->pool), MEROS_OK, "a dead idle connection is noticed before it is handed out");

    cr_assert_eq(store_acquire(db->pool, &c, &err), MEROS_OK);
    terminate_all();
    struct rows r;
    cr_assert_eq(sql_exec0(c, &ONE, &r, &err), MEROS_UNAVAILABLE);
    cr_assert(store_broken(c));
    cr_assert_eq(sql_exec0(c, &ONE, &r, &err), MEROS_UNAVAILABLE, "and stays so until it is released");
    store_release(db->pool, c);
    cr_assert_eq(use(db->pool), MEROS_OK);
}

Test(pool, an_impossible_url_is_refused_without_repeating_it)
{
    static const char *const bad[] = {"postgresql://user:secret@[host/db", "host=x secret", "secret",
                                      "nonsense=secret"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct store_pool *p = NULL;
        cr_assert_eq(store_open(&(struct store_config){.url = bad[i]}, &p, &err), MEROS_INVALID, "%s",
                     bad[i]);
        cr_assert_null(strstr(err.detail, "secret"), "%s", err.detail);
    }
    struct store_pool *p = NULL;
    cr_assert_eq(store_open(&(struct store_config){.url = NULL}, &p, &err), MEROS_INVALID);
}

Test(pool, starts_without_the_database_and_finds_it_when_it_comes)
{
    struct store_pool *p = NULL;
    char later[600];
    err_clear(&err);
    snprintf(later, sizeof later, "%s dbname=later_%d", db->url, (int)getpid());
    cr_assert_eq(store_open(&(struct store_config){.url = later, .acquire_timeout_ms = 60000}, &p, &err), MEROS_OK);
    cr_assert_eq(err.code, MEROS_OK);
    cr_assert_not(store_available(p));
    int64_t begin = clock_mono_ns();
    cr_assert_eq(use(p), MEROS_UNAVAILABLE);
    cr_assert_lt(ms_since(begin), 30000); /* not the whole time that acquiring may take */
    cr_assert_gt(err.retry_after, 0);
    char sql[100];
    snprintf(sql, sizeof sql, "create database later_%d", (int)getpid());
    pg_run(db, sql);
    begin = clock_mono_ns();
    while (use(p) != MEROS_OK && ms_since(begin) < 40000) pause_ms(10);
    cr_assert_lt(ms_since(begin), 40000);
    store_close(p);
    snprintf(sql, sizeof sql, "drop database later_%d with (force)", (int)getpid());
    pg_run(db, sql);
}

/* --- the embedded cluster, and a database that dies under the pool */
static char dir[64], url[CLUSTER_URL_MAX];

static void make_dir(void)
{
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    /* In memory where there is some: an honest fsync on a busy disk makes these tests slow, not better. */
    snprintf(dir, sizeof dir, "%s/meros-cluster-XXXXXX", access("/dev/shm", W_OK) == 0 ? "/dev/shm" : "/tmp");
    cr_assert_not_null(mkdtemp(dir));
    chmod(dir, 0711);
}

/* A cluster made by an earlier test of this run, copied: initdb takes longer than what is tested. */
static void make_dir_with_cluster(void)
{
    char made[256], command[1200];
    make_dir();
    snprintf(made, sizeof made, "%s/made", getenv("MEROS_TEST_PG"));
    int lock = open(getenv("MEROS_TEST_PG"), O_RDONLY | O_DIRECTORY);
    cr_assert(lock >= 0 && flock(lock, LOCK_EX) == 0);
    if (access(made, F_OK) != 0) {
        struct cluster *k = NULL;
        cr_assert_eq(cluster_start(dir, &k, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
        cluster_stop(k);
        snprintf(command, sizeof command, "cp -a '%s' '%s.new' && mv '%s.new' '%s'", dir, made, made, made);
    } else {
        snprintf(command, sizeof command, "cp -a '%s/.' '%s'", made, dir);
    }
    cr_assert_eq(system(command), 0);
    close(lock);
}

static pid_t postmaster(void)
{
    char path[128], line[32] = "";
    snprintf(path, sizeof path, "%s/postgres/data/postmaster.pid", dir);
    FILE *f = fopen(path, "r");
    if (f == NULL) return 0;
    if (fgets(line, sizeof line, f) == NULL) line[0] = '\0';
    fclose(f);
    return atoi(line);
}

/* Whatever a failed test left running. */
static void remove_dir(void)
{
    char command[128];
    pid_t pid = postmaster();
    if (pid > 1) {
        kill(pid, SIGQUIT);
        for (int i = 0; i < 6000 && kill(pid, 0) == 0; i++) pause_ms(5);
    }
    snprintf(command, sizeof command, "rm -rf '%s'", dir);
    if (system(command) != 0) perror(command);
}

TestSuite(cluster, .init = make_dir_with_cluster, .fini = remove_dir, .timeout = 240);
TestSuite(new_cluster, .init = make_dir, .fini = remove_dir, .timeout = 240);

static struct cluster *start(void)
{
    struct cluster *k = NULL;
    cr_assert_eq(cluster_start(dir, &k, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    return k;
}

static struct store_pool *pool(void)
{
    struct store_pool *p = NULL;
    cr_assert_eq(
        store_open(&(struct store_config){.url = url, .max_connections = 4, .acquire_timeout_ms = 30000}, &p,
                   &err),
        MEROS_OK, "%s", err.detail);
    return p;
}

static void in_pool(struct store_pool *p, const struct sql *s, int64_t *value)
{
    struct store_conn *c = NULL;
    struct rows r;
    cr_assert_eq(store_acquire(p, &c, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(sql_exec0(c, s, &r, &err), MEROS_OK, "%s", err.detail);
    if (value != NULL) *value = rows_int(&r, 0, 0);
    rows_done(&r);
    store_release(p, c);
}

static const struct sql MAKE = {"make", "create table kept as select generate_series(1, 1000) n",
                                SQL_NOTHING};
static const struct sql COUNT = {"count", "select count(*) from kept", SQL_ROW};

Test(new_cluster, is_made_once_keeps_its_data_and_stops_with_its_user)
{
    int64_t n = 0;
    struct cluster *k = start();
    cr_assert(cluster_alive(k));
    struct store_pool *p = pool();
    in_pool(p, &MAKE, NULL);
    store_close(p);
    pid_t pid = postmaster();
    cluster_stop(k);
    cr_assert_neq(kill(pid, 0), 0);
    cr_assert_eq(postmaster(), 0);
    int64_t begin = clock_mono_ns();
    k = start();
    cr_assert_lt(ms_since(begin), 60000, "the second start is quick");
    p = pool();
    in_pool(p, &COUNT, &n);
    cr_assert_eq(n, 1000);
    static const struct sql FACTS = {
        "facts",
        "select (current_setting('fsync') = 'on' and current_setting('synchronous_commit') = 'on'"
        " and current_setting('listen_addresses') = '' and current_setting('data_checksums') = 'on'"
        " and current_setting('log_min_error_statement') = 'panic'"
        " and current_setting('log_error_verbosity') = 'terse'"
        " and current_setting('log_parameter_max_length_on_error') = '0'"
        " and (select datcollate = 'C.UTF-8' from pg_database where datname = current_database())"
        " and not (select rolsuper from pg_roles where rolname = current_user))::int",
        SQL_ROW};
    in_pool(p, &FACTS, &n);
    cr_assert_eq(n, 1);
    store_close(p);
    cluster_stop(k);
    cluster_stop(NULL);
}

Test(cluster, a_second_service_on_the_folder_is_told_who_has_it)
{
    struct cluster *k = start(), *second = NULL;
    cr_assert_eq(cluster_start(dir, &second, url, sizeof url, &err), MEROS_CONFLICT);
    char pid[16];
    snprintf(pid, sizeof pid, "%d", (int)getpid());
    cr_assert_not_null(strstr(err.detail, pid), "%s", err.detail);
    cr_assert(cluster_alive(k));
    cluster_stop(k);
}

Test(cluster, a_command_uses_the_services_cluster_or_starts_it_for_itself)
{
    struct cluster *k = start(), *command = NULL;
    pid_t pid = postmaster();
    cr_assert_eq(cluster_attach(dir, &command, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(postmaster(), pid);
    cluster_stop(command);
    cr_assert(cluster_alive(k), "the command's end leaves the service alone");
    cr_assert_eq(cluster_attach(dir, &command, url, sizeof url, &err), MEROS_OK);
    cluster_stop(k);
    cr_assert(cluster_alive(command), "the service's end leaves the command its database");
    cluster_stop(command);
    cr_assert_eq(postmaster(), 0, "the last one out stops it");
    cr_assert_eq(cluster_attach(dir, &command, url, sizeof url, &err), MEROS_OK);
    store_close(pool());
    cluster_stop(command);
    cr_assert_eq(postmaster(), 0);
}

Test(cluster, a_service_killed_hard_leaves_it_to_be_adopted)
{
    pid_t child = fork();
    if (child == 0) {
        struct cluster *k = NULL;
        if (cluster_start(dir, &k, url, sizeof url, &err) != MEROS_OK) _exit(1);
        raise(SIGKILL);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFSIGNALED(status));
    pid_t pid = postmaster();
    cr_assert_eq(kill(pid, 0), 0);
    int64_t begin = clock_mono_ns();
    struct cluster *k = start();
    cr_assert_lt(ms_since(begin), 30000);
    cr_assert_eq(postmaster(), pid);
    cluster_stop(k);
    cr_assert_eq(postmaster(), 0);
}

Test(cluster, a_stale_pid_file_and_a_half_made_cluster_are_no_obstacle)
{
    char path[128], command[512];
    struct cluster *k = start();
    cluster_stop(k);
    snprintf(path, sizeof path, "%s/postgres/data/postmaster.pid", dir);
    FILE *f = fopen(path, "w");
    fprintf(f, "%d\n%s/postgres/data\n0\n5432\n%s/postgres/run\n\n  1 1\nready   \n", (int)getpid(), dir,
            dir);
    fclose(f);
    chmod(path, 0600);
    snprintf(command, sizeof command,
             "chown --reference=%s/postgres/data/PG_VERSION %s && mkdir %s/postgres/data.new", dir, path,
             dir);
    cr_assert_eq(system(command), 0);
    k = start();
    store_close(pool());
    cluster_stop(k);
    snprintf(command, sizeof command, "rm -rf %s/postgres/data && touch %s/postgres/data.new/PG_VERSION", dir,
             dir);
    cr_assert_eq(system(command), 0);
    k = start();
    store_close(pool());
    cluster_stop(k);
}

Test(cluster, a_killed_postmaster_comes_back_and_the_pool_with_it)
{
    int64_t n = 0;
    struct cluster *k = start();
    struct store_pool *p = pool();
    struct store_conn *busy = NULL;
    in_pool(p, &MAKE, NULL);
    cr_assert_eq(store_acquire(p, &busy, &err), MEROS_OK);
    pid_t old = postmaster(), left = backend(busy);
    kill(old, SIGKILL);
    kill(left, SIGSTOP); /* a backend too busy to notice that its postmaster is gone */
    int64_t begin = clock_mono_ns();
    while (use(p) == MEROS_OK && ms_since(begin) < 40000)
        pause_ms(10); /* its death is seen within a moment */
    cr_assert_lt(ms_since(begin), 40000);
    cr_assert_not(store_available(p));
    begin = clock_mono_ns();
    for (int i = 0; i < 100; i++) cr_assert_eq(use(p), MEROS_UNAVAILABLE);
    cr_assert_lt(ms_since(begin), 60000, "callers are refused at once, 100 in the time that acquiring may take two");
    cr_assert_gt(err.retry_after, 0);

    begin = clock_mono_ns();
    cr_assert_eq(cluster_tend(k, &err), MEROS_OK, "%s", err.detail);
    cr_assert_neq(postmaster(), old);
    while (use(p) != MEROS_OK && ms_since(begin) < 60000) pause_ms(10);
    cr_assert_lt(ms_since(begin), 60000, "%d ms", (int)ms_since(begin));
    in_pool(p, &COUNT, &n);
    cr_assert_eq(n, 1000);
    struct rows r;
    cr_assert_eq(sql_exec0(busy, &ONE, &r, &err), MEROS_UNAVAILABLE);
    store_release(p, busy);
    cr_assert_eq(use(p), MEROS_OK);
    store_close(p);
    cluster_stop(k);
}

Test(cluster, a_killed_backend_restarts_the_server_and_the_pool_follows)
{
    struct cluster *k = start();
    struct store_pool *p = pool();
    struct store_conn *c = NULL;
    cr_assert_eq(store_acquire(p, &c, &err), MEROS_OK);
    kill(backend(c), SIGKILL);
    struct rows r;
    cr_assert_eq(sql_exec0(c, &ONE, &r, &err), MEROS_UNAVAILABLE);
    store_release(p, c);
    int64_t begin = clock_mono_ns();
    while (use(p) != MEROS_OK && ms_since(begin) < 60000) pause_ms(10);
    cr_assert_lt(ms_since(begin), 60000);
    store_close(p);
    cluster_stop(k);
}

Test(cluster, what_clients_send_is_not_in_its_log_and_the_log_is_bounded)
{
    char path[128], old[160], found[512];
    struct cluster *k = start();
    struct store_pool *p = pool();
    struct store_conn *c = NULL;
    struct rows r;
    static const struct sql CAST = {"cast_text", "select $1::text::int, 'secret in text'", SQL_ROW};
    cr_assert_eq(store_acquire(p, &c, &err), MEROS_OK);
    cr_assert_eq(sql_exec(c, &CAST, &r, &err, P_CSTR("secret-value")), MEROS_UNPROCESSABLE);
    store_release(p, c);
    snprintf(path, sizeof path, "%s/postgres/log/postgresql.log", dir);
    snprintf(old, sizeof old, "%s.1", path);
    snprintf(found, sizeof found, "grep -q 'ready to accept' '%s' && ! grep -q secret '%s'", path, path);
    cr_assert_eq(system(found), 0);
    cr_assert_eq(truncate(path, 20 << 20), 0);
    cr_assert_eq(cluster_tend(k, &err), MEROS_OK);
    struct stat st;
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_lt(st.st_size, 1 << 20);
    cr_assert_eq(stat(old, &st), 0);
    cr_assert_leq(st.st_size, 8 << 20);
    store_close(p);
    cluster_stop(k);
}

Test(new_cluster, runs_for_an_ordinary_user_too)
{
    if (geteuid() != 0) cr_skip_test("the other tests already are that user");
    struct passwd *nobody = getpwnam("nobody");
    cr_assert_not_null(nobody);
    cr_assert_eq(chown(dir, nobody->pw_uid, nobody->pw_gid), 0);
    pid_t child = fork();
    if (child == 0) {
        struct cluster *k = NULL;
        if (setgid(nobody->pw_gid) != 0 || setuid(nobody->pw_uid) != 0) _exit(2);
        if (cluster_start(dir, &k, url, sizeof url, &err) != MEROS_OK) _exit(fprintf(stderr, "%s\n", err.detail));
        store_close(pool());
        cluster_stop(k);
        _exit(0);
    }
    int status;
    waitpid(child, &status, 0);
    cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    struct cluster *k = start(); /* root goes on as the user who made it */
    struct stat st;
    char path[128];
    snprintf(path, sizeof path, "%s/postgres/data/postmaster.pid", dir);
    cr_assert_eq(stat(path, &st), 0);
    cr_assert_eq(st.st_uid, nobody->pw_uid);
    store_close(pool());
    cluster_stop(k);
}

Test(new_cluster, a_long_path_gets_a_short_socket)
{
    char deep[256];
    snprintf(deep, sizeof deep, "%s/%0100d", dir, 7);
    struct cluster *k = NULL;
    cr_assert_eq(cluster_start(deep, &k, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    cr_assert_null(strstr(url, deep));
    store_close(pool());
    struct cluster *command = NULL;
    cr_assert_eq(cluster_attach(deep, &command, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    store_close(pool());
    cluster_stop(command);
    cluster_stop(k);
    char *run = strstr(url, "host='") + 6;
    run[strcspn(run, "'")] = '\0';
    rmdir(run);
}

Test(new_cluster, a_folder_that_postgres_cannot_enter_is_explained_by_living_elsewhere)
{
    char closed[128], line[256] = "";
    if (geteuid() != 0) cr_skip_test("only root runs PostgreSQL as another user");
    snprintf(closed, sizeof closed, "%s/closed", dir);
    mkdir(closed, 0700);
    snprintf(closed, sizeof closed, "%s/closed/var", dir);
    struct cluster *k = NULL;
    cr_assert_eq(cluster_start(closed, &k, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    store_close(pool());
    cluster_stop(k);
    char path[256], command[300];
    snprintf(path, sizeof path, "%s/postgres/location", closed);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    cr_assert_not_null(fgets(line, sizeof line, f));
    fclose(f);
    line[strcspn(line, "\n")] = '\0';
    cr_assert_eq(strncmp(line, "/var/lib/meros/", 15), 0);
    cr_assert_eq(cluster_attach(closed, &k, url, sizeof url, &err), MEROS_OK, "%s", err.detail);
    cluster_stop(k);
    snprintf(command, sizeof command, "rm -rf '%s'", line);
    cr_assert_eq(system(command), 0);
}

Test(cluster, strangers_on_the_machine_are_not_let_in)
{
    if (geteuid() != 0) cr_skip_test("needs root to be somebody else");
    struct cluster *k = start();
    char socket[256], command[1024];
    sscanf(url, "host='%255[^']'", socket);
    snprintf(command, sizeof command,
             "chmod 0777 '%s' '%s/.s.PGSQL.5432' && ! setpriv --reuid nobody --clear-groups "
             "%s/psql -h '%s' -U meros -d meros -c 'select 1' >/dev/null 2>&1",
             socket, socket, pg_bin(), socket);
    cr_assert_eq(system(command), 0);
    cluster_stop(k);
}
