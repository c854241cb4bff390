/* Threads: `readers` readers, each with a database connection of its own; one watch that blocks on nothing but its clock. The queue,
 * the batches at the database and `stopping` are under `lock`. */
#include "meros/service/asker.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "meros/base/clock.h"
#include "meros/base/thread.h"
#include "meros/store/store.h"

enum { WATCH_MS = 250 };

struct reader {
    struct asker_reader own;
    pthread_t thread;
    /* Under the lock. */
    struct asker_link **asks, **behind; /* kind->batch; behind: while a batch is taken */
    size_t n;
    bool at_database; /* the watch may take asks away: they become NULL */
};

struct asker {
    /* fixed */
    const struct asker_kind *kind;
    struct store_pool *store;
    bool watching;
    pthread_t watch;
    struct reader readers[ASKER_READERS_MAX];

    pthread_mutex_t lock;
    pthread_cond_t asked;   /* the queue is no longer empty, or stopping */
    pthread_cond_t stopped; /* for the watch */
    /* under lock */
    struct asker_link *head, **tail;
    size_t queued;
    int n_readers;
    bool stopping;
};

static const char silent[] = "The database did not answer in time; try again shortly.";

enum meros_code asker_failed(enum meros_code rc, struct meros_err *err)
{
    return rc == MEROS_TIMEOUT ? err_set(err, MEROS_UNAVAILABLE, "%s", silent) : rc;
}

static enum meros_code set_up(const struct asker *a, struct store_conn *c, struct meros_err *err)
{
    enum meros_code rc = store_set_timeout(c, a->kind->statement_ms, err);
    /* A lone question would be planned for anew at each call: that costs six times what the look-ups do. */
    return rc == MEROS_OK ? store_set_generic_plans(c, err) : rc;
}

enum meros_code asker_connect(struct asker_reader *r, struct meros_err *err)
{
    struct asker *a = r->asker;
    if (r->conn != NULL && store_broken(r->conn)) {
        store_disconnect(r->conn);
        r->conn = NULL;
    }
    if (r->conn != NULL) return MEROS_OK;
    if (!store_available(a->store)) return err_set(err, MEROS_UNAVAILABLE, "The database is away; try again shortly.");
    enum meros_code rc = store_connect(a->store, &r->conn, err);
    if (rc != MEROS_OK) return rc;
    rc = set_up(a, r->conn, err);
    if (rc == MEROS_OK) return rc;
    store_disconnect(r->conn);
    r->conn = NULL;
    return rc;
}

struct asker_link *asker_take(struct asker_reader *own, size_t i)
{
    struct reader *r = (struct reader *)(void *)own; /* its first member */
    pthread_mutex_lock(&own->asker->lock);
    struct asker_link *ask = r->asks[i];
    r->asks[i] = NULL;
    pthread_mutex_unlock(&own->asker->lock);
    return ask;
}

void asker_claim(struct asker_reader *own, struct asker_link ***out)
{
    struct reader *r = (struct reader *)(void *)own; /* its first member */
    pthread_mutex_lock(&own->asker->lock);
    r->at_database = false;
    pthread_mutex_unlock(&own->asker->lock);
    *out = r->asks;
}

/* Under the lock: moves what waits into the batch. */
static size_t take_batch(struct asker *a, struct reader *r)
{
    size_t first = 0, behind = 0;
    for (; a->head != NULL && first + behind < a->kind->batch; a->queued--) {
        struct asker_link *ask = a->head;
        a->head = ask->next;
        if (a->kind->behind != NULL && a->kind->behind(ask)) r->behind[behind++] = ask;
        else r->asks[first++] = ask;
    }
    if (a->head == NULL) a->tail = &a->head;
    if (behind > 0) memcpy(r->asks + first, r->behind, behind * sizeof(struct asker_link *));
    r->own.first = first;
    r->n = first + behind;
    r->at_database = true;
    for (size_t i = 0; i < r->n; i++) a->kind->take(r->own.work, i, r->asks[i]);
    return r->n;
}

static void *reading(void *arg)
{
    struct reader *r = arg;
    struct asker *a = r->own.asker;
    for (;;) {
        pthread_mutex_lock(&a->lock);
        while (a->head == NULL && !a->stopping) pthread_cond_wait(&a->asked, &a->lock);
        if (a->head == NULL) {
            pthread_mutex_unlock(&a->lock);
            return NULL;
        }
        const size_t n = take_batch(a, r);
        pthread_mutex_unlock(&a->lock);
        a->kind->run(&r->own, n);
        arena_done(&r->own.arena);
    }
}

/* Takes out of the queue and of stuck batches what has waited too long (or, at the end, all that waits). */
static void refuse_overdue(struct asker *a, int64_t before_ns, const struct meros_err *err)
{
    struct asker_link *late = NULL, **at;
    pthread_mutex_lock(&a->lock);
    for (at = &a->head; *at != NULL;) {
        struct asker_link *ask = *at;
        if (ask->since_ns >= before_ns) {
            at = &ask->next;
            continue;
        }
        *at = ask->next;
        a->queued--;
        ask->next = late;
        late = ask;
    }
    a->tail = at;
    for (int i = 0; i < a->n_readers; i++) {
        struct reader *r = &a->readers[i];
        for (size_t k = 0; k < r->n && r->at_database; k++) {
            if (r->asks[k] == NULL || r->asks[k]->since_ns >= before_ns) continue;
            r->asks[k]->next = late;
            late = r->asks[k];
            r->asks[k] = NULL;
        }
    }
    pthread_mutex_unlock(&a->lock);
    while (late != NULL) {
        struct asker_link *ask = late;
        late = ask->next;
        a->kind->refuse(ask, err);
    }
}

static void *watch(void *arg)
{
    struct asker *a = arg;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "%s", silent);
    pthread_mutex_lock(&a->lock);
    while (!a->stopping) {
        const int64_t until_ns = clock_mono_ns() + WATCH_MS * INT64_C(1000000);
        const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
        pthread_cond_timedwait(&a->stopped, &a->lock, &until);
        pthread_mutex_unlock(&a->lock);
        refuse_overdue(a, clock_mono_ns() - a->kind->patience_ms * INT64_C(1000000), &err);
        pthread_mutex_lock(&a->lock);
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

enum meros_code asker_ask(struct asker *a, struct asker_link *ask, struct meros_err *err)
{
    ask->next = NULL;
    pthread_mutex_lock(&a->lock);
    if (ask->since_ns == 0) ask->since_ns = clock_mono_ns();
    const bool refused = a->stopping || a->queued >= a->kind->queue_max;
    if (!refused) {
        *a->tail = ask;
        a->tail = &ask->next;
        a->queued++;
        pthread_cond_signal(&a->asked);
    }
    pthread_mutex_unlock(&a->lock);
    if (!refused) return MEROS_OK;
    return err_set(err, MEROS_UNAVAILABLE, "Too many requests are waiting for the database; try again shortly.");
}

static enum meros_code start_threads(struct asker *a, void *ctx, struct meros_err *err)
{
    for (int i = 0; i < a->kind->readers; i++) {
        struct reader *r = &a->readers[i];
        r->own.asker = a;
        r->own.ctx = ctx;
        arena_init(&r->own.arena, a->kind->memory);
        r->own.work = calloc(1, a->kind->work_bytes);
        r->asks = calloc(a->kind->batch, sizeof *r->asks);
        r->behind = calloc(a->kind->batch, sizeof *r->behind);
        if (r->own.work == NULL || r->asks == NULL || r->behind == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
        enum meros_code rc = thread_start(&r->thread, a->kind->reader_name, 0, reading, r, err);
        if (rc != MEROS_OK) return rc;
        pthread_mutex_lock(&a->lock);
        a->n_readers = i + 1;
        pthread_mutex_unlock(&a->lock);
    }
    enum meros_code rc = thread_start(&a->watch, a->kind->watch_name, 0, watch, a, err);
    a->watching = rc == MEROS_OK;
    return rc;
}

enum meros_code asker_start(const struct asker_kind *kind, void *ctx, struct store_pool *store, struct asker **out,
                            struct meros_err *err)
{
    struct asker *a = calloc(1, sizeof *a);
    if (a == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->asked, NULL);
    pthread_cond_init(&a->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    a->kind = kind;
    a->store = store;
    a->tail = &a->head;
    enum meros_code rc = start_threads(a, ctx, err);
    if (rc == MEROS_OK) {
        *out = a;
        return rc;
    }
    asker_stop(a);
    asker_free(a);
    return rc;
}

void asker_stop(struct asker *a)
{
    if (a == NULL) return;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "The service is stopping.");
    pthread_mutex_lock(&a->lock);
    const bool before = a->stopping;
    a->stopping = true;
    pthread_cond_broadcast(&a->asked);
    pthread_cond_broadcast(&a->stopped);
    pthread_mutex_unlock(&a->lock);
    if (before) return;
    refuse_overdue(a, INT64_MAX, &err);
    for (int i = 0; i < a->n_readers; i++) {
        pthread_join(a->readers[i].thread, NULL);
        store_disconnect(a->readers[i].own.conn);
        a->readers[i].own.conn = NULL;
    }
    if (a->watching) pthread_join(a->watch, NULL);
}

void asker_free(struct asker *a)
{
    if (a == NULL) return;
    for (int i = 0; i < ASKER_READERS_MAX; i++) {
        free(a->readers[i].own.work);
        free(a->readers[i].asks);
        free(a->readers[i].behind);
    }
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->asked);
    pthread_cond_destroy(&a->stopped);
    free(a);
}
