/* Threads: a writer a lane with a database connection of its own; one watch that blocks on nothing but its clock. A request
 * is copied by whoever submits it, so that the heavy part runs on many threads and nobody has to ask who owns the data: the
 * copy (struct pending) belongs to the queue, then to a writer, until it is freed. What the writers and the watch
 * share is which request a copy still has to answer: `request`, taken out under the lock by whoever answers it. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "ingest_priv.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/store/store.h"

enum { WATCH_MS = 100, BATCH_MEMORY = 1 << 30 };

/* --- metrics */

static struct metric_family items_family = {
    .name = "meros_ingest_items_total", .help = "Events and other items by where they came from and what became of them.",
    .kind = METRIC_COUNTER, .labels = {"source", "outcome"}};
static struct metric_family refused_family = {
    .name = "meros_ingest_refused_total", .help = "Requests to the ingest path that were refused whole.", .kind = METRIC_COUNTER,
    .labels = {"source", "reason"}};
static void count_refused(enum ingest_source source, const char *reason)
{
    metric_add(metric(&refused_family, (const char *const[]){ingest_source_name(source), reason}), 1);
}

/* What became of a batch's items; told to the metrics once a batch, since finding a counter costs more than adding to it. */
struct tally {
    size_t n[INGEST_SOURCE_COUNT][3];
};

static void tally_add(struct tally *t, const struct pending *p)
{
    for (size_t i = 0; i < p->n; i++) t->n[p->source][p->results[i].verdict]++;
}

static void tally_tell(const struct tally *t)
{
    static const char *const outcomes[] = {[INGEST_ACCEPTED] = "accepted", [INGEST_DUPLICATE] = "duplicate", [INGEST_REJECTED] = "rejected"};
    for (int s = 0; s < INGEST_SOURCE_COUNT; s++)
        for (int v = 0; v < 3; v++)
            if (t->n[s][v] > 0)
                metric_add(metric(&items_family, (const char *const[]){ingest_source_name((enum ingest_source)s), outcomes[v]}), (double)t->n[s][v]);
}

/* --- submitting */

static enum meros_code refuse(enum ingest_source source, enum meros_code code, const char *reason, const char *detail, struct meros_err *err)
{
    count_refused(source, reason);
    err_set(err, code, "%s", detail);
    if (err != NULL) err->retry_after = 1;
    return code;
}

static enum meros_code check(const struct ingest_request *r, struct meros_err *err)
{
    if (r->n > INGEST_ITEMS_MAX) return err_set(err, MEROS_TOO_LARGE, "At most %d items may come in one request.", INGEST_ITEMS_MAX);
    return MEROS_OK;
}

/* Under the lock. */
static void enqueue(struct ingest *g, struct pending *p)
{
    *g->tail = p;
    g->tail = &p->next;
    g->requests++;
    g->items += p->n;
    g->bytes += p->bytes;
    g->newest_ns = p->submitted_ns;
    if (g->requests == g->wanted) pthread_cond_signal(&g->filled);
}

enum meros_code ingest_submit(struct service *svc, struct ingest_request *r, struct meros_err *err)
{
    static const char away[] = "The database is away right now; nothing was taken, try again shortly.";
    struct ingest *g = svc->ingest;
    enum meros_code rc = check(r, err);
    if (rc != MEROS_OK) return rc;
    if (svc->draining) return refuse(r->source, MEROS_UNAVAILABLE, "draining", "The service is stopping; try again shortly.", err);
    if (!store_available(svc->store)) return refuse(r->source, MEROS_UNAVAILABLE, "database", away, err);
    struct pending *p = pending_copy(svc, r);
    if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");

    pthread_mutex_lock(&g->lock);
    p->submitted_ns = clock_mono_ns(); /* under the lock: the queue is in this order */
    p->due_ns = p->submitted_ns + (r->patience_ms > 0 ? r->patience_ms : INGEST_PATIENCE_MS) * INT64_C(1000000);
    const bool stopping = g->stopping, gone = p->submitted_ns < g->away_until_ns;
    const struct service_settings *limits = &svc->settings;
    const bool full = g->head != NULL && (g->items + p->n > limits->ingest_queue_items || g->bytes + p->bytes > limits->ingest_queue_bytes);
    const bool taken = !stopping && !gone && !full;
    if (taken) enqueue(g, p);
    pthread_mutex_unlock(&g->lock);
    if (taken) return MEROS_OK;
    free(p);
    if (stopping) return refuse(r->source, MEROS_UNAVAILABLE, "draining", "The service is stopping; try again shortly.", err);
    if (gone) return refuse(r->source, MEROS_UNAVAILABLE, "database", away, err);
    return refuse(r->source, MEROS_RATE_LIMITED, "queue", "More comes in than the database takes; nothing was taken, try again shortly.", err);
}

struct waiter {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    bool done;
    enum meros_code rc;
    struct meros_err *err;
};

static void wake(struct ingest_request *r, enum meros_code rc, const struct meros_err *err)
{
    struct waiter *w = r->arg;
    pthread_mutex_lock(&w->lock);
    w->done = true;
    w->rc = rc;
    if (rc != MEROS_OK && err != NULL && w->err != NULL) *w->err = *err;
    pthread_cond_signal(&w->answered);
    pthread_mutex_unlock(&w->lock);
}

enum meros_code ingest_land(struct service *svc, struct ingest_request *r, struct meros_err *err)
{
    struct waiter w = {.lock = PTHREAD_MUTEX_INITIALIZER, .answered = PTHREAD_COND_INITIALIZER, .err = err};
    r->done = wake;
    r->arg = &w;
    enum meros_code rc = ingest_submit(svc, r, err);
    if (rc != MEROS_OK) return rc;
    pthread_mutex_lock(&w.lock);
    while (!w.done) pthread_cond_wait(&w.answered, &w.lock);
    pthread_mutex_unlock(&w.lock);
    pthread_mutex_destroy(&w.lock);
    pthread_cond_destroy(&w.answered);
    return w.rc;
}

/* --- answering */

/* Takes the requests out of their copies, where nobody has. */
static void claim_all(struct ingest *g, struct pending *first)
{
    pthread_mutex_lock(&g->lock);
    for (struct pending *p = first; p != NULL; p = p->next) {
        p->claimed = p->request;
        p->request = NULL;
    }
    pthread_mutex_unlock(&g->lock);
}

void ingest_answer_all(struct ingest *g, struct pending *first, enum meros_code rc, const struct meros_err *err)
{
    struct tally tally = {0};
    claim_all(g, first);
    while (first != NULL) {
        struct pending *p = first;
        first = p->next;
        struct ingest_request *r = p->claimed;
        if (rc == MEROS_OK) tally_add(&tally, p); /* also when nobody waits for it any more */
        else if (r != NULL) count_refused(p->source, "failed");
        if (r != NULL) {
            for (size_t i = 0; i < p->n && rc == MEROS_OK; i++) r->results[i] = p->results[i];
            if (r->frees_spent) {
                r->spent = p;
                p = NULL;
            }
            r->done(r, rc, err);
        }
        free(p);
    }
    tally_tell(&tally);
}

/* Refuses what is due: out of the queue and out of the batches at the database, whose copies stay with their writers. */
static void refuse_overdue(struct ingest *g, int64_t now_ns, const struct meros_err *err)
{
    const int64_t young_ns = now_ns - INGEST_PATIENCE_LEAST_MS * INT64_C(1000000); /* what came since is not due */
    struct pending *late = NULL, **end = &late, **at = &g->head;
    struct ingest_request *stuck[64];
    const size_t most = sizeof stuck / sizeof stuck[0];
    size_t n = 0;
    pthread_mutex_lock(&g->lock);
    while (*at != NULL && (*at)->submitted_ns <= young_ns) { /* in the order of submitting, so the first young one ends it */
        struct pending *p = *at;
        if (p->due_ns > now_ns) {
            at = &p->next;
            continue;
        }
        *at = p->next;
        if (g->tail == &p->next) g->tail = at;
        g->requests--;
        g->items -= p->n;
        g->bytes -= p->bytes;
        p->next = NULL;
        *end = p;
        end = &p->next;
    }
    for (int k = 0; k < INGEST_LANES; k++)
        for (struct pending *p = g->lanes[k].batch; p != NULL && p->submitted_ns <= young_ns && n < most; p = p->next) {
            if (p->request == NULL || p->due_ns > now_ns) continue;
            stuck[n++] = p->request;
            p->request = NULL;
        }
    pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; i < n; i++) {
        count_refused(stuck[i]->source, "overdue");
        stuck[i]->done(stuck[i], err->code, err);
    }
    ingest_answer_all(g, late, err->code, err);
    if (n == most) refuse_overdue(g, now_ns, err);
}

struct timespec ingest_after_ns(int64_t ns)
{
    const int64_t at = clock_mono_ns() + ns;
    return (struct timespec){.tv_sec = at / 1000000000, .tv_nsec = at % 1000000000};
}

static void *watch(void *arg)
{
    struct ingest *g = arg;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "The database did not answer in time; send it again shortly, what has landed will not land twice.");
    err.retry_after = 1;
    pthread_mutex_lock(&g->lock);
    while (g->writing > 0) { /* to the end: the last batch may get stuck too */
        struct timespec until = ingest_after_ns(WATCH_MS * INT64_C(1000000));
        pthread_cond_timedwait(&g->stopped, &g->lock, &until);
        pthread_mutex_unlock(&g->lock);
        refuse_overdue(g, clock_mono_ns(), &err);
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* --- life */

static bool lanes_init(struct ingest *g)
{
    bool ok = true;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->filled, &monotonic);
    pthread_cond_init(&g->turn, NULL);
    pthread_cond_init(&g->stopped, &monotonic);
    g->tail = &g->head;
    for (int k = 0; k < INGEST_LANES; k++) {
        struct lane *l = &g->lanes[k];
        l->path = g;
        l->work.svc = g->svc;
        l->work.hints = ingest_hints_new();
        ok = ok && l->work.hints != NULL;
        arena_init(&l->work.arena, BATCH_MEMORY);
    }
    pthread_condattr_destroy(&monotonic);
    return ok;
}

static enum meros_code lanes_start(struct ingest *g, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    lane_metrics();
    pthread_mutex_lock(&g->lock); /* writers begin when all have been started, or stop at once */
    for (int k = 0; k < INGEST_LANES && rc == MEROS_OK; k++) {
        rc = thread_start(&g->lanes[k].writer, "ingest-writer", 0, lane_write, &g->lanes[k], err);
        g->lanes[k].started = rc == MEROS_OK;
        g->writing += rc == MEROS_OK;
    }
    pthread_mutex_unlock(&g->lock);
    return rc;
}

enum meros_code ingest_start(struct service *svc, struct meros_err *err)
{
    struct ingest *g = calloc(1, sizeof *g);
    if (g == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    g->svc = svc;
    svc->ingest = g;
    enum meros_code rc = lanes_init(g) ? lanes_start(g, err) : err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    if (rc == MEROS_OK) {
        rc = thread_start(&g->watch, "ingest-watch", 0, watch, g, err);
        g->watching = rc == MEROS_OK;
    }
    if (rc == MEROS_OK) return rc;
    ingest_stop(svc);
    ingest_free(svc);
    return rc;
}

void ingest_stop(struct service *svc)
{
    struct ingest *g = svc->ingest;
    if (g == NULL) return;
    pthread_mutex_lock(&g->lock);
    const bool before = g->stopping;
    g->stopping = true;
    pthread_cond_broadcast(&g->filled);
    pthread_cond_broadcast(&g->stopped);
    pthread_mutex_unlock(&g->lock);
    if (before) return;
    for (int k = 0; k < INGEST_LANES; k++) {
        if (g->lanes[k].started) pthread_join(g->lanes[k].writer, NULL);
        landing_close(&g->lanes[k].work);
    }
    if (g->watching) pthread_join(g->watch, NULL);
}

void ingest_free(struct service *svc)
{
    struct ingest *g = svc->ingest;
    if (g == NULL) return;
    pthread_cond_destroy(&g->filled);
    pthread_cond_destroy(&g->turn);
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->stopped);
    free(g);
    svc->ingest = NULL;
}
