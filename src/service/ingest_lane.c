/* A lane's writer: gathers a batch, has it landed, answers. */
#include "ingest_priv.h"

#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/sweeper.h"
#include "meros/store/store.h"

enum {
    BATCH_ITEMS = 4000, /* of a transaction; one request may exceed it alone */
    BATCH_BYTES = 8 << 20,
    PAUSE_MIN_MS = 10, PAUSE_MAX_MS = 500,
    AWAY_MS = 1000,            /* after the database refused a batch for good, so long nothing new is taken */
    GATHER_MAX_NS = 3000000,   /* of gathering in all */
    GATHER_PAUSE_NS = 300000,  /* nothing has come for so long: nobody else will */
    ENOUGH = 48,               /* requests that wait: more would make the batch hardly cheaper, and it later */
    CHOOSE_FROM = 80,          /* requests that wait: then a lane takes its own customers' */
    CHOOSE_NS = 20000000       /* and those of others only if they have waited so long */
};

static const double size_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096};
static struct metric_family sizes_family = {
    .name = "meros_ingest_batch_items", .help = "Items landed by one transaction.", .kind = METRIC_HISTOGRAM,
    .bounds = size_bounds, .n_bounds = sizeof size_bounds / sizeof size_bounds[0]};
static struct metric_family commits_family = {
    .name = "meros_ingest_commit_seconds", .help = "From sending a batch to the database to its commit.", .kind = METRIC_HISTOGRAM};
static struct metric_family depth_family = {
    .name = "meros_ingest_queue_items", .help = "Items that wait for the batch before theirs.", .kind = METRIC_GAUGE};
static struct metric_family retries_family = {
    .name = "meros_ingest_retries_total", .help = "Batches that were tried again.", .kind = METRIC_COUNTER};

/* --- gathering */

static int64_t least(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

/* Under the lock: whichever other lane has a batch at the database; NULL: none. */
static const struct lane *busy_lane(const struct lane *l)
{
    for (int k = 0; k < INGEST_LANES; k++)
        if (&l->path->lanes[k] != l && l->path->lanes[k].batch != NULL) return &l->path->lanes[k];
    return NULL;
}

/* Under the lock: requests whose batches other lanes have at the database. */
static size_t under_way(const struct lane *l)
{
    size_t n = 0;
    for (int k = 0; k < INGEST_LANES; k++) n += &l->path->lanes[k] != l ? l->path->lanes[k].landing : 0;
    return n;
}

/* Under the lock, something waits. Clients that wait for their answers come again together as soon as they have them. The
 * batch that took the first few of them alone would make the rest wait for a whole commit more, and so on for ever. So for
 * a moment after its last batch a writer lets as many come as are its share, as long as they keep coming; while another
 * lane's commit is under way, which the next one has to wait for anyway, until shortly before its end (it began when that
 * batch was taken, or had to wait for this lane's last one). It never takes longer than a part of what a commit takes: next to nothing where the disk is fast. Who comes when nobody was answered
 * lately, or comes alone, does not wait. */
static void gather(struct lane *l)
{
    struct ingest *g = l->path;
    const int64_t pause = least(l->quickest_ns / 8, GATHER_PAUSE_NS), most = l->answered_ns + GATHER_MAX_NS;
    g->wanted = l->expected < ENOUGH ? l->expected : ENOUGH;
    while (g->head != NULL && g->requests < g->wanted && !g->stopping) {
        const struct lane *other = busy_lane(l);
        const int64_t now = clock_mono_ns(),
                      begun = other != NULL && other->taken_ns > l->answered_ns ? other->taken_ns : l->answered_ns,
                      until = other != NULL ? least(begun + l->quickest_ns / 8 * 5, most)
                                            : least(l->answered_ns + l->quickest_ns / 2, least(g->newest_ns + pause, most));
        if (now >= until) break;
        struct timespec at = ingest_after_ns(until - now);
        pthread_cond_timedwait(&g->filled, &g->lock, &at);
    }
    g->wanted = 0;
}

/* Whether a request may as well wait for the other lane's next batch. */
static bool for_another(const struct lane *l, const struct pending *p, int64_t before_ns)
{
    const unsigned mine = (unsigned)(l - l->path->lanes);
    return p->n == 1 && p->side % INGEST_LANES != mine && p->submitted_ns > before_ns;
}

/* Under the lock: what waits, up to a batch; and while others are under way no more than its share of all, so that the lanes'
 * batches become alike: of two that take in turns what has come, one would for ever have nearly all of the clients, and the
 * other's disk flush, which takes as long, carry a few. */
static struct pending *take_batch(struct lane *l, bool choose)
{
    struct ingest *g = l->path;
    struct pending *first = NULL, **end = &first, **at = &g->head;
    size_t items = 0, bytes = 0;
    const int64_t before_ns = clock_mono_ns() - CHOOSE_NS;
    const size_t others = under_way(l), most = others > 0 ? (g->requests + others + INGEST_LANES - 1) / INGEST_LANES : g->requests;
    while (*at != NULL && l->landing < most) {
        struct pending *p = *at;
        if (choose && for_another(l, p, before_ns)) {
            at = &p->next;
            continue;
        }
        const bool alone = p->n_offsets > 0; /* another reader may have landed it: then nobody else is to be refused with it */
        if (items > 0 && (alone || items + p->n > BATCH_ITEMS || bytes + p->bytes > BATCH_BYTES)) break;
        items += p->n > 0 ? p->n : 1;
        bytes += p->bytes;
        l->landing++;
        g->requests--;
        g->items -= p->n;
        g->bytes -= p->bytes;
        *at = p->next;
        if (g->tail == &p->next) g->tail = at;
        *end = p;
        end = &p->next;
        *end = NULL;
        if (alone) break;
    }
    l->batch = first;
    l->taken_ns = clock_mono_ns();
    metric_set(metric(&depth_family, NULL), (double)g->items);
    return first;
}

/* NULL: it is over. */
static struct pending *next_batch(struct lane *l)
{
    struct ingest *g = l->path;
    pthread_mutex_lock(&g->lock);
    while (g->gathering) pthread_cond_wait(&g->turn, &g->lock);
    g->gathering = true;
    while (g->head == NULL && !g->stopping) {
        g->wanted = 1;
        pthread_cond_wait(&g->filled, &g->lock);
    }
    gather(l);
    struct pending *batch = take_batch(l, g->requests >= CHOOSE_FROM);
    if (batch == NULL) batch = take_batch(l, false); /* all are another's */
    g->gathering = false;
    pthread_cond_signal(&g->turn);
    pthread_mutex_unlock(&g->lock);
    return batch;
}

/* --- landing */

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
    struct timespec until = ingest_after_ns(ms * INT64_C(1000000));
    pthread_mutex_lock(&g->lock);
    if (!g->stopping) pthread_cond_timedwait(&g->stopped, &g->lock, &until);
    pthread_mutex_unlock(&g->lock);
}

/* Until the batch is committed, or nobody waits for it any more. */
static enum meros_code land(struct lane *l, struct pending *first, struct meros_err *err)
{
    struct ingest *g = l->path;
    int pause_ms = PAUSE_MIN_MS;
    for (;;) {
        enum meros_code rc = landing_land(&l->work, first, err);
        if (!worth_another_try(rc)) return rc;
        if (g->svc->draining || !anybody_waits(g, first))
            return err_set(err, MEROS_UNAVAILABLE, "The database is away right now; try again shortly.");
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

static void note_success(struct lane *l, int64_t took_ns, size_t items)
{
    sweeper_wake(l->path->svc);
    metric_observe(metric(&commits_family, NULL), (double)took_ns / 1e9);
    metric_observe(metric(&sizes_family, NULL), (double)items);
    /* Down at once and up slowly: a commit that had to wait for somebody says nothing about the disk. */
    if (l->quickest_ns == 0 || took_ns < l->quickest_ns) l->quickest_ns = took_ns;
    else l->quickest_ns += (took_ns - l->quickest_ns) / 32;
}

void lane_metrics(void)
{
    commits_family.bounds = metric_seconds;
    commits_family.n_bounds = n_metric_seconds;
}

void *lane_write(void *arg)
{
    struct lane *l = arg;
    struct ingest *g = l->path;
    struct meros_err err = MEROS_ERR_INIT;
    for (struct pending *batch; (batch = next_batch(l)) != NULL;) {
        size_t items = 0;
        for (const struct pending *p = batch; p != NULL; p = p->next) items += p->n;
        const int64_t from = clock_mono_ns();
        err_clear(&err);
        enum meros_code rc = land(l, batch, &err);
        landing_end(&l->work);
        if (rc == MEROS_OK) note_success(l, clock_mono_ns() - from, items);
        else note_failure(g, rc, &err);
        pthread_mutex_lock(&g->lock);
        l->expected = (l->landing + g->requests + under_way(l)) / INGEST_LANES;
        l->batch = NULL;
        l->landing = 0;
        if (g->wanted > 0) pthread_cond_signal(&g->filled); /* who gathers waits for this commit no longer */
        pthread_mutex_unlock(&g->lock);
        ingest_answer_all(g, batch, rc, &err);
        l->answered_ns = clock_mono_ns();
    }
    pthread_mutex_lock(&g->lock);
    g->writing--;
    pthread_cond_broadcast(&g->stopped);
    pthread_mutex_unlock(&g->lock);
    return NULL;
}
