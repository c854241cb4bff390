/* Threads: one writer with a database connection of its own; one watch that blocks on nothing but its clock. A request is
 * copied by whoever submits it, so that the heavy part runs on many threads and nobody has to ask who owns the data: the
 * copy (struct pending) belongs to the queue, then to the writer, until it is freed. What the writer and the watch share
 * is which request a copy still has to answer: `request`, taken out under the lock by whoever answers it.
 *
 * The writer sends the next batch before it answers the last one: while the database works, answers go out. */
#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "ingest_priv.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/sweeper.h"
#include "meros/store/store.h"

enum {
    BATCH_ITEMS = 4000,      /* of a transaction; one request may exceed it alone */
    BATCH_BYTES = 8 << 20,
    BATCH_MEMORY = 1 << 30,
    WATCH_MS = 100,
    PAUSE_MIN_MS = 10, PAUSE_MAX_MS = 500,
    AWAY_MS = 1000           /* after the database refused a batch for good, so long nothing new is taken */
};

struct queue {
    struct pending *head, **tail;
    size_t items, bytes;
};

struct ingest {
    struct service *svc;
    pthread_mutex_t lock;
    pthread_cond_t filled; /* the queue is no longer empty, or stopping */
    pthread_cond_t stopped; /* for the watch, and for the writer's pauses */
    struct queue queue;      /* under lock */
    struct pending *batch;   /* under lock: at the database; the watch may take requests out */
    int64_t away_until_ns;   /* under lock */
    bool stopping;           /* under lock */
    pthread_t writer, watch;
    bool writing, watching;
    struct landing landing;  /* the writer's */
};

/* --- metrics */

static const double size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static struct metric_family items_family = {
    .name = "meros_ingest_items_total", .help = "Events and other items by where they came from and what became of them.",
    .kind = METRIC_COUNTER, .labels = {"source", "outcome"}};
static struct metric_family refused_family = {
    .name = "meros_ingest_refused_total", .help = "Requests to the ingest path that were refused whole.", .kind = METRIC_COUNTER,
    .labels = {"source", "reason"}};
static struct metric_family sizes_family = {
    .name = "meros_ingest_batch_items", .help = "Items landed by one transaction.", .kind = METRIC_HISTOGRAM,
    .bounds = size_bounds, .n_bounds = sizeof size_bounds / sizeof size_bounds[0]};
static struct metric_family commits_family = {
    .name = "meros_ingest_commit_seconds", .help = "From sending a batch to the database to its commit.", .kind = METRIC_HISTOGRAM};
static struct metric_family depth_family = {
    .name = "meros_ingest_queue_items", .help = "Items that wait for the batch before theirs.", .kind = METRIC_GAUGE};
static struct metric_family retries_family = {
    .name = "meros_ingest_retries_total", .help = "Batches that were tried again.", .kind = METRIC_COUNTER};

static void count_refused(enum ingest_source source, const char *reason)
{
    metric_add(metric(&refused_family, (const char *const[]){ingest_source_name(source), reason}), 1);
}

static void count_items(const struct pending *p)
{
    static const char *const outcomes[] = {[INGEST_ACCEPTED] = "accepted", [INGEST_DUPLICATE] = "duplicate", [INGEST_REJECTED] = "rejected"};
    size_t n[3] = {0};
    for (size_t i = 0; i < p->n; i++) n[p->results[i].verdict]++;
    for (int v = 0; v < 3; v++)
        if (n[v] > 0) metric_add(metric(&items_family, (const char *const[]){ingest_source_name(p->source), outcomes[v]}), (double)n[v]);
}

/* --- copies */

/* The strings of an item that are to be copied; returns how many. */
enum { STRINGS_MAX = 12 };
static size_t strings_of(struct ingest_item *x, struct str *out[STRINGS_MAX])
{
    size_t n = 0;
    out[n++] = &x->customer_id;
    out[n++] = &x->anonymous_id;
    switch (x->kind) {
    case INGEST_EVENT:
        out[n++] = &x->event.event_id, out[n++] = &x->event.type, out[n++] = &x->event.product_id, out[n++] = &x->event.properties;
        break;
    case INGEST_TRAITS:
        out[n++] = &x->traits.email, out[n++] = &x->traits.name, out[n++] = &x->traits.phone;
        out[n++] = &x->traits.attributes, out[n++] = &x->traits.consent;
        break;
    case INGEST_ALIAS: out[n++] = &x->previous_id; break;
    case INGEST_OUTCOME: out[n++] = &x->outcome.campaign, out[n++] = &x->outcome.variant, out[n++] = &x->outcome.outcome_id; break;
    }
    return n;
}

static void move(struct str *s, char **at)
{
    if (!str_present(*s)) return;
    memcpy(*at, s->p, s->n);
    *s = (struct str){*at, s->n};
    *at += s->n + 1;
    (*at)[-1] = '\0'; /* so that an empty text has an address of its own */
}

static size_t bytes_of(const struct ingest_request *r)
{
    struct str *strings[STRINGS_MAX];
    size_t bytes = 0;
    for (size_t i = 0; i < r->n; i++) {
        struct ingest_item x = r->items[i];
        const size_t n = strings_of(&x, strings);
        for (size_t k = 0; k < n; k++) bytes += str_present(*strings[k]) ? strings[k]->n + 1 : 0;
    }
    for (size_t i = 0; i < r->n_offsets; i++) bytes += r->offsets[i].topic.n + 1;
    if (r->n_offsets > 0) bytes += strlen(r->offsets_group) + 1;
    return bytes;
}

static bool key_items(struct pending *p)
{
    struct buf scratch;
    bool ok = true;
    buf_init(&scratch, 2 * EXTRAS_MAX);
    for (size_t i = 0; i < p->n && ok; i++) {
        if (p->items[i].kind == INGEST_EVENT) p->keys[i] = event_key(&p->items[i].event, &scratch);
        else if (p->items[i].kind == INGEST_OUTCOME) p->keys[i] = outcome_key(&p->items[i].outcome, &scratch);
        ok = !scratch.failed;
    }
    buf_done(&scratch);
    return ok;
}

static struct pending *copy(struct ingest_request *r)
{
    const size_t head = sizeof(struct pending), items = r->n * sizeof(struct ingest_item), keys = r->n * sizeof(struct crypto_hash128),
                 results = r->n * sizeof(struct ingest_result), offsets = r->n_offsets * sizeof(struct ingest_offset);
    const size_t bytes = head + items + results + offsets + keys + bytes_of(r);
    char *block = malloc(bytes);
    if (block == NULL) return NULL;
    struct pending *p = (struct pending *)(void *)block;
    *p = (struct pending){.request = r, .bytes = bytes, .source = r->source, .n = r->n, .n_offsets = r->n_offsets};
    p->items = (struct ingest_item *)(void *)(block + head);
    p->results = (struct ingest_result *)(void *)(block + head + items);
    p->offsets = (struct ingest_offset *)(void *)(block + head + items + results);
    p->keys = (struct crypto_hash128 *)(void *)(block + head + items + results + offsets);
    char *at = block + head + items + results + offsets + keys;
    if (r->n > 0) memcpy(p->items, r->items, items);
    for (size_t i = 0; i < r->n; i++) {
        struct str *strings[STRINGS_MAX];
        const size_t n = strings_of(&p->items[i], strings);
        for (size_t k = 0; k < n; k++) move(strings[k], &at);
        if (p->items[i].kind == INGEST_EVENT) p->items[i].event.customer_id = p->items[i].customer_id;
        if (p->items[i].kind == INGEST_OUTCOME) p->items[i].outcome.customer_id = p->items[i].customer_id;
    }
    for (size_t i = 0; i < r->n_offsets; i++) {
        p->offsets[i] = r->offsets[i];
        move(&p->offsets[i].topic, &at);
    }
    if (r->n_offsets > 0) {
        struct str group = str_of(r->offsets_group);
        move(&group, &at);
        p->offsets_group = group.p;
    }
    if (key_items(p)) return p;
    free(p);
    return NULL;
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

enum meros_code ingest_submit(struct service *svc, struct ingest_request *r, struct meros_err *err)
{
    static const char away[] = "The database is away right now; nothing was taken, try again shortly.";
    struct ingest *g = svc->ingest;
    enum meros_code rc = check(r, err);
    if (rc != MEROS_OK) return rc;
    if (svc->draining) return refuse(r->source, MEROS_UNAVAILABLE, "draining", "The service is stopping; try again shortly.", err);
    if (!store_available(svc->store)) return refuse(r->source, MEROS_UNAVAILABLE, "database", away, err);
    struct pending *p = copy(r);
    if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");

    pthread_mutex_lock(&g->lock);
    p->submitted_ns = clock_mono_ns(); /* under the lock: the queue is in this order */
    const bool stopping = g->stopping, gone = p->submitted_ns < g->away_until_ns;
    const struct service_settings *limits = &svc->settings;
    const bool full = g->queue.head != NULL && (g->queue.items + p->n > limits->ingest_queue_items ||
                                                g->queue.bytes + p->bytes > limits->ingest_queue_bytes);
    const bool taken = !stopping && !gone && !full;
    if (taken) {
        const bool wake = g->queue.head == NULL;
        *g->queue.tail = p;
        g->queue.tail = &p->next;
        g->queue.items += p->n;
        g->queue.bytes += p->bytes;
        if (wake) pthread_cond_signal(&g->filled);
    }
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

/* Takes the request out of its copy, if nobody has. */
static struct ingest_request *claim(struct ingest *g, struct pending *p)
{
    pthread_mutex_lock(&g->lock);
    struct ingest_request *r = p->request;
    p->request = NULL;
    pthread_mutex_unlock(&g->lock);
    return r;
}

static void answer_all(struct ingest *g, struct pending *first, enum meros_code rc, const struct meros_err *err)
{
    while (first != NULL) {
        struct pending *p = first;
        first = p->next;
        struct ingest_request *r = claim(g, p);
        if (rc == MEROS_OK) count_items(p); /* also when nobody waits for it any more */
        else if (r != NULL) count_refused(p->source, "failed");
        if (r != NULL) {
            for (size_t i = 0; i < p->n && rc == MEROS_OK; i++) r->results[i] = p->results[i];
            r->done(r, rc, err);
        }
        free(p);
    }
}

/* Refuses what was submitted before a moment: out of the queue and out of the batch at the database, whose copies stay
 * with the writer. */
static void refuse_overdue(struct ingest *g, int64_t before_ns, const struct meros_err *err)
{
    struct pending *late = NULL, **end = &late;
    struct ingest_request *stuck[64];
    size_t n = 0;
    pthread_mutex_lock(&g->lock);
    while (g->queue.head != NULL && g->queue.head->submitted_ns < before_ns) {
        struct pending *p = g->queue.head; /* in the order of submitting, so the first young one ends it */
        g->queue.head = p->next;
        g->queue.items -= p->n;
        g->queue.bytes -= p->bytes;
        p->next = NULL;
        *end = p;
        end = &p->next;
    }
    if (g->queue.head == NULL) g->queue.tail = &g->queue.head;
    for (struct pending *p = g->batch; p != NULL && p->submitted_ns < before_ns && n < sizeof stuck / sizeof stuck[0]; p = p->next) {
        if (p->request == NULL) continue;
        stuck[n++] = p->request;
        p->request = NULL;
    }
    pthread_mutex_unlock(&g->lock);
    for (size_t i = 0; i < n; i++) {
        count_refused(stuck[i]->source, "overdue");
        stuck[i]->done(stuck[i], err->code, err);
    }
    answer_all(g, late, err->code, err);
    if (n == sizeof stuck / sizeof stuck[0]) refuse_overdue(g, before_ns, err);
}

static struct timespec after_ms(int ms)
{
    const int64_t ns = clock_mono_ns() + (int64_t)ms * 1000000;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static void *watch(void *arg)
{
    struct ingest *g = arg;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "The database did not answer in time; send it again shortly, what has landed will not land twice.");
    err.retry_after = 1;
    pthread_mutex_lock(&g->lock);
    while (g->writing) { /* to the end: the last batch may get stuck too */
        struct timespec until = after_ms(WATCH_MS);
        pthread_cond_timedwait(&g->stopped, &g->lock, &until);
        pthread_mutex_unlock(&g->lock);
        refuse_overdue(g, clock_mono_ns() - INGEST_PATIENCE_MS * INT64_C(1000000), &err);
        pthread_mutex_lock(&g->lock);
    }
    pthread_mutex_unlock(&g->lock);
    return NULL;
}

/* --- the writer */

/* Under the lock: what waits, up to a batch. */
static struct pending *take_batch(struct ingest *g)
{
    struct pending *first = g->queue.head, **end = &first;
    size_t items = 0, bytes = 0;
    while (*end != NULL && (items == 0 || (items + (*end)->n <= BATCH_ITEMS && bytes + (*end)->bytes <= BATCH_BYTES))) {
        items += (*end)->n > 0 ? (*end)->n : 1;
        bytes += (*end)->bytes;
        g->queue.items -= (*end)->n;
        g->queue.bytes -= (*end)->bytes;
        end = &(*end)->next;
    }
    g->queue.head = *end;
    *end = NULL;
    if (g->queue.head == NULL) g->queue.tail = &g->queue.head;
    g->batch = first;
    metric_set(metric(&depth_family, NULL), (double)g->queue.items);
    return first;
}

static bool anybody_waits(struct ingest *g, const struct pending *first)
{
    bool waits = false;
    pthread_mutex_lock(&g->lock);
    for (const struct pending *p = first; p != NULL && !waits; p = p->next) waits = p->request != NULL;
    pthread_mutex_unlock(&g->lock);
    return waits;
}

static bool worth_another_try(enum meros_code rc)
{
    return rc == MEROS_UNAVAILABLE || rc == MEROS_CONFLICT || rc == MEROS_TIMEOUT;
}

static void rest(struct ingest *g, int ms)
{
    struct timespec until = after_ms(ms);
    pthread_mutex_lock(&g->lock);
    if (!g->stopping) pthread_cond_timedwait(&g->stopped, &g->lock, &until);
    pthread_mutex_unlock(&g->lock);
}

/* Until the batch is committed, or nobody waits for it any more. */
static enum meros_code land(struct ingest *g, struct pending *first, struct meros_err *err)
{
    struct service *svc = g->svc;
    int pause_ms = PAUSE_MIN_MS;
    for (;;) {
        enum meros_code rc = landing_finish(&g->landing, first, err);
        if (!worth_another_try(rc)) return rc;
        if (svc->draining || !anybody_waits(g, first)) return err_set(err, MEROS_UNAVAILABLE, "The database is away right now; try again shortly.");
        metric_add(metric(&retries_family, NULL), 1);
        rest(g, pause_ms);
        pause_ms = pause_ms * 2 < PAUSE_MAX_MS ? pause_ms * 2 : PAUSE_MAX_MS;
        err_clear(err);
    }
}

static void note_failure(struct ingest *g, enum meros_code rc, const struct meros_err *err)
{
    log_warn("ingest.failed", KV("detail", err->detail), KV("sqlstate", err->sqlstate));
    if (rc != MEROS_UNAVAILABLE && rc != MEROS_TIMEOUT) return;
    pthread_mutex_lock(&g->lock);
    g->away_until_ns = clock_mono_ns() + AWAY_MS * INT64_C(1000000);
    pthread_mutex_unlock(&g->lock);
}

static void *write_batches(void *arg)
{
    struct ingest *g = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct pending *answered = NULL; /* committed, and yet to be told */
    for (;;) {
        pthread_mutex_lock(&g->lock);
        if (g->queue.head == NULL && answered != NULL) {
            pthread_mutex_unlock(&g->lock);
            answer_all(g, answered, MEROS_OK, NULL);
            answered = NULL;
            continue;
        }
        while (g->queue.head == NULL && !g->stopping) pthread_cond_wait(&g->filled, &g->lock);
        struct pending *batch = take_batch(g);
        pthread_mutex_unlock(&g->lock);
        if (batch == NULL) break;

        size_t items = 0;
        for (const struct pending *p = batch; p != NULL; p = p->next) items += p->n;
        const int64_t from = clock_mono_ns();
        err_clear(&err);
        landing_begin(&g->landing, batch);
        answer_all(g, answered, MEROS_OK, NULL);
        answered = NULL;
        enum meros_code rc = land(g, batch, &err);
        landing_end(&g->landing);
        if (rc == MEROS_OK) {
            sweeper_wake(g->svc);
            metric_observe(metric(&commits_family, NULL), (double)(clock_mono_ns() - from) / 1e9);
            metric_observe(metric(&sizes_family, NULL), (double)items);
        } else {
            note_failure(g, rc, &err);
        }
        pthread_mutex_lock(&g->lock);
        g->batch = NULL;
        pthread_mutex_unlock(&g->lock);
        if (rc == MEROS_OK) answered = batch;
        else answer_all(g, batch, rc, &err);
    }
    pthread_mutex_lock(&g->lock);
    g->writing = false;
    pthread_cond_broadcast(&g->stopped);
    pthread_mutex_unlock(&g->lock);
    landing_close(&g->landing);
    return NULL;
}

/* --- life */

enum meros_code ingest_start(struct service *svc, struct meros_err *err)
{
    struct ingest *g = calloc(1, sizeof *g);
    if (g == NULL || (g->landing.hints = ingest_hints_new()) == NULL) {
        free(g);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    g->svc = svc;
    g->landing.svc = svc;
    arena_init(&g->landing.arena, BATCH_MEMORY);
    g->queue.tail = &g->queue.head;
    commits_family.bounds = metric_seconds;
    commits_family.n_bounds = n_metric_seconds;
    pthread_mutex_init(&g->lock, NULL);
    pthread_cond_init(&g->filled, NULL);
    pthread_cond_init(&g->stopped, &monotonic);
    pthread_condattr_destroy(&monotonic);
    g->writing = true;
    enum meros_code rc = thread_start(&g->writer, "ingest-writer", 0, write_batches, g, err);
    if (rc != MEROS_OK) {
        g->writing = false;
        landing_close(&g->landing);
        g->stopping = true;
    }
    svc->ingest = g;
    if (rc == MEROS_OK) {
        rc = thread_start(&g->watch, "ingest-watch", 0, watch, g, err);
        g->watching = rc == MEROS_OK;
        if (rc != MEROS_OK) ingest_stop(svc);
    }
    if (rc != MEROS_OK) ingest_free(svc);
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
    pthread_join(g->writer, NULL);
    if (g->watching) pthread_join(g->watch, NULL);
}

void ingest_free(struct service *svc)
{
    struct ingest *g = svc->ingest;
    if (g == NULL) return;
    pthread_mutex_destroy(&g->lock);
    pthread_cond_destroy(&g->filled);
    pthread_cond_destroy(&g->stopped);
    free(g);
    svc->ingest = NULL;
}
