/* The connection pool under ThreadSanitizer: threads that use connections, one that cancels and kills
 * sessions under them, a listener that is woken, statistics read meanwhile. Exit status 0: every thread ended
 * in order. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "../../src/store/store_priv.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "pg.c"

enum { THREADS = 6, ROUNDS = 60 };

static const struct sql ADD = {"add", "select $1::bigint + 1, pg_sleep(0.001)", SQL_ROW};
static const struct sql NOTIFY = {"notify", "select pg_notify('meros_jobs', $1)", SQL_NOTHING};
static struct pg *db;
static _Atomic int right, wrong, failed_statements;
static _Atomic bool done;

/* The connection that each worker holds, for the one that cancels; its lock says that it is still held. */
static struct {
    pthread_mutex_t lock;
    struct store_conn *conn;
} held[THREADS];

static void *use(void *arg)
{
    int me = (int)(intptr_t)arg;
    for (int i = 0; i < ROUNDS; i++) {
        struct meros_err err = MEROS_ERR_INIT;
        struct store_conn *c = NULL;
        struct rows r = {0};
        if (store_acquire(db->pool, &c, &err) != MEROS_OK) {
            failed_statements++;
            continue;
        }
        pthread_mutex_lock(&held[me].lock);
        held[me].conn = c;
        pthread_mutex_unlock(&held[me].lock);
        if (sql_exec(c, &ADD, &r, &err, P_INT(i)) == MEROS_OK) {
            if (rows_int(&r, 0, 0) == i + 1) right++;
            else wrong++;
        } else {
            failed_statements++;
        }
        rows_done(&r);
        pthread_mutex_lock(&held[me].lock);
        held[me].conn = NULL;
        pthread_mutex_unlock(&held[me].lock);
        store_release(db->pool, c);
    }
    return NULL;
}

static void *disturb(void *arg)
{
    unsigned seed = 1;
    (void)arg;
    for (int i = 0; !done; i++) {
        struct store_stats s;
        /* However slow the machine: most statements are left in peace. */
        const int ended = right + failed_statements;
        for (int k = 0; k < 20000 && !done && right + failed_statements < ended + 3; k++) nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        store_pool_stats(db->pool, &s);
        (void)store_available(db->pool);
        int k = rand_r(&seed) % THREADS;
        pthread_mutex_lock(&held[k].lock);
        if (held[k].conn != NULL) store_cancel(held[k].conn);
        pthread_mutex_unlock(&held[k].lock);
        if (i % 10 == 9)
            pg_run(db,
                   "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database()"
                   " and pid <> pg_backend_pid() and query not like 'listen%' order by random() limit 1");
        nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return NULL;
}

static _Atomic int heard;
static struct store_conn *listener;

static void *listen_to(void *arg)
{
    char channel[64], payload[STORE_PAYLOAD_MAX];
    struct meros_err err = MEROS_ERR_INIT;
    (void)arg;
    while (!done && store_wait(listener, 10000, channel, payload, &err) == MEROS_OK)
        if (channel[0] != '\0') heard++;
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t workers[THREADS], disturber, ear;
    struct store_conn *c = NULL;
    if (!pg_server_start()) return 0;
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    db = pg_empty();
    for (int i = 0; i < THREADS; i++) pthread_mutex_init(&held[i].lock, NULL);
    if (store_connect(db->pool, &listener, &err) != MEROS_OK ||
        store_listen(listener, "meros_jobs", &err) != MEROS_OK) {
        fprintf(stderr, "pool: %s\n", err.detail);
        return 1;
    }
    pthread_create(&ear, NULL, listen_to, NULL);
    pthread_create(&disturber, NULL, disturb, NULL);
    for (int i = 0; i < THREADS; i++) pthread_create(&workers[i], NULL, use, (void *)(intptr_t)i);
    for (int i = 0; i < THREADS; i++) pthread_join(workers[i], NULL);
    if (store_acquire(db->pool, &c, &err) == MEROS_OK &&
        sql_exec(c, &NOTIFY, NULL, &err, P_CSTR("x")) == MEROS_OK)
        for (int i = 0; i < 6000 && heard == 0; i++) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    store_release(db->pool, c);
    done = true;
    store_wake(listener);
    pthread_join(ear, NULL);
    pthread_join(disturber, NULL);
    store_disconnect(listener);
    pg_done(db);
    printf("pool: %d right, %d wrong, %d failed as they should, %d heard\n", right, wrong, failed_statements,
           heard);
    return wrong == 0 && right > THREADS * ROUNDS / 4 ? 0 : 1;
}
