/* One thread, one connection. A sweep is one transaction:
 *   1. notes are taken away; who was in them is remembered if somebody is extracting (store/changed.h);
 *   2. the snapshot's models must be those that are active, else they are read again and the sweep begins anew;
 *   3. if nobody is writing memberships, and nobody begins to meanwhile (store_changes_look), everybody taken is judged and
 *      compared with the memberships: nearly always nothing has changed, and that is all. Compared beside a writer, somebody
 *      who goes back at this moment would be found where they were, just before the writer moves them away;
 *   4. for those who differ, or for all where somebody writes, the changes lock is taken, then steps 2 and 3 are done again:
 *      what another replica, a training or an erasure did in between is seen, and nobody else writes memberships until the
 *      commit;
 *   5. what everybody taken is worth is written down where it is not what it was (store/clv_list.h).
 * Between sweeps it writes down what the judgement of a whole segmentation has left pending (store/segment_changes.h), a slice
 * at a time. */
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/serving.h"
#include "meros/store/changed.h"
#include "meros/store/segments.h"
#include "clv_priv.h"
#include "sweeper_priv.h"

enum {
    POLL_MS = 250,        /* other replicas' changes are found by looking; one's own wake the thread */
    RETRY_MS = 500,
    AGAIN_MS = 250,       /* between two looks whether nobody extracts any more */
    STATEMENT_MS = 60000,
    STANDSTILL_MS = 10000,
    ARENA_MAX = 512 << 20,
    SETTLE_MS = 100,      /* between two sweeps that have little to do: under load many changes share one */
    BULK_EVERY = 4,       /* batches of single changes in a row before a slice of an import has its turn */
    BULK_AT_ONCE = 10,    /* slices in a row before there are pauses */
    BULK_PAUSE_MAX_MS = 500,
    REJUDGE_LOOK_S = 60,
    MANY = CHANGED_ROW_MAX / 4, /* customers of a sweep after which there are probably more */
    TARGETS_MAX = 1000
};

static const double delay_bounds[] = {.005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 60, 600};
static struct metric_family delays = {.name = "meros_sweep_delay_seconds",
                                      .help = "From a change of a customer to the commit of what followed from it, of the oldest of a sweep.",
                                      .kind = METRIC_HISTOGRAM, .labels = {"kind"}, .bounds = delay_bounds,
                                      .n_bounds = sizeof delay_bounds / sizeof delay_bounds[0]};
static struct metric_family judged = {
    .name = "meros_sweep_customers_total", .help = "Customers judged because they had changed.", .kind = METRIC_COUNTER, .labels = {"kind"}};
static struct metric_family moved = {
    .name = "meros_segment_changes_total", .help = "Segments entered and left, as recorded by the sweeper.", .kind = METRIC_COUNTER, .labels = {"type"}};
static struct metric_family failed = {
    .name = "meros_sweep_failures_total", .help = "Sweeps that failed and were tried again.", .kind = METRIC_COUNTER};

static void add(struct metric_family *family, const char *label, double v)
{
    metric_add(metric(family, (const char *const[]){label}), v);
}

/* --- which models */

struct looking {
    struct sweeper *s;
    size_t active;
    uint64_t models; /* a number for which ones */
};

static enum meros_code look_active(void *arg, int64_t segmentation_no, struct str name, int64_t model_no, struct meros_err *err)
{
    struct looking *l = arg;
    struct sweeper *s = l->s;
    const struct snapshot_model *m = snapshot_find(s->models, name);
    (void)err;
    l->active++;
    l->models = (l->models ^ (uint64_t)model_no) * UINT64_C(0x9E3779B97F4A7C15);
    if (m != NULL && m->model_no == model_no && s->n_targets < TARGETS_MAX)
        s->targets[s->n_targets++] = (struct target){segmentation_no, m};
    return MEROS_OK;
}

/* *out_stale: the snapshot is not what is active. fresh: it has been read again for this sweep; what differs then stays
 * different (a model that this program cannot decode) and is no reason to read it again next time. */
static enum meros_code find_targets(struct sweeper *s, bool fresh, bool *out_stale, struct meros_err *err)
{
    struct looking l = {.s = s};
    s->n_targets = 0;
    enum meros_code rc = store_segmentations_active(s->conn, look_active, &l, err);
    if (rc == MEROS_OK) rc = store_clv_active(s->conn, STR(TRAINED_CLV_NAME), &s->clv_active, err);
    if (rc != MEROS_OK) return rc;
    l.models = (l.models ^ (uint64_t)s->clv_active) * UINT64_C(0x9E3779B97F4A7C15);
    const bool differs = s->n_targets != l.active || s->n_targets != s->models->n_models ||
                         s->clv_active != (s->models->clv == NULL ? 0 : s->models->clv->model_no);
    if (fresh) s->differing = differs ? l.models : 0;
    *out_stale = differs && l.models != s->differing;
    return MEROS_OK;
}

/* --- a sweep */

struct sweep {
    bool bulk, stale;
    size_t taken;
    int64_t since; /* when the oldest change taken was noted */
    struct moves moves;
};

static enum meros_code take(struct sweeper *s, bool bulk_first, struct sweep *w, int64_t **nos, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (int i = 0; i < 2 && w->taken == 0 && rc == MEROS_OK; i++) {
        w->bulk = bulk_first == (i == 0);
        rc = store_changed_take(s->conn, w->bulk, nos, &w->taken, &w->since, err);
    }
    if (rc == MEROS_OK) rc = store_changed_remember(s->conn, *nos, w->taken, err);
    return rc;
}

/* Under the changes lock: what has been found before is found again, or is no longer so. */
static enum meros_code write_moves(struct sweeper *s, const int64_t *nos, size_t n, bool fresh, struct sweep *w, struct worths *worths, struct meros_err *err)
{
    enum meros_code rc = store_changes_lock(s->conn, err);
    if (rc == MEROS_OK) rc = find_targets(s, fresh, &w->stale, err);
    if (rc != MEROS_OK || w->stale) return rc;
    rc = sweeper_judge(s, nos, n, &w->moves, worths, err);
    if (rc == MEROS_OK) rc = store_moves_write(s->conn, w->moves.rows, w->moves.n, err);
    return rc;
}

static enum meros_code look_and_write(struct sweeper *s, const int64_t *nos, bool fresh, struct sweep *w, struct worths *worths, struct meros_err *err)
{
    struct worths again;
    bool alone = false;
    enum meros_code rc = store_changes_look(s->conn, &alone, err);
    if (rc == MEROS_OK && alone) rc = sweeper_judge(s, nos, w->taken, &w->moves, worths, err);
    if (rc != MEROS_OK || (alone && w->moves.n == 0)) return rc;
    const struct moves before = w->moves;
    rc = store_changes_looked(s->conn, err);
    if (rc == MEROS_OK && alone) rc = write_moves(s, before.nos, before.n_nos, fresh, w, &again, err);
    else if (rc == MEROS_OK) rc = write_moves(s, nos, w->taken, fresh, w, worths, err);
    return rc;
}

static enum meros_code write_worths(struct sweeper *s, const struct worths *worths, bool fresh, struct sweep *w, struct meros_err *err)
{
    bool active = true;
    if (s->models->clv == NULL) return MEROS_OK;
    enum meros_code rc = store_clv_write(s->conn, s->models->clv->model_no, worths->rows, worths->n_rows, worths->without, worths->n_without, &active, err);
    w->stale = !active && !fresh;
    return rc;
}

static enum meros_code in_transaction(struct sweeper *s, bool fresh, struct sweep *w, struct meros_err *err)
{
    int64_t *nos = NULL;
    struct worths worths = {0};
    enum meros_code rc = take(s, s->singles >= BULK_EVERY, w, &nos, err);
    if (rc == MEROS_OK && w->taken > 0) rc = find_targets(s, fresh, &w->stale, err);
    /* Before the changes lock: everybody's worth may be in writing, and joins and erasures, with all events behind them, wait
     * for that one. */
    if (rc == MEROS_OK && w->taken > 0 && !w->stale && s->models->clv != NULL) rc = store_clv_write_lock(s->conn, err);
    if (rc == MEROS_OK && w->taken > 0 && !w->stale) rc = look_and_write(s, nos, fresh, w, &worths, err);
    if (rc == MEROS_OK && w->taken > 0 && !w->stale) rc = write_worths(s, &worths, fresh, w, err);
    free(nos);
    return rc;
}

static void count(const struct sweep *w)
{
    const char *kind = w->bulk ? "bulk" : "single";
    size_t entered = 0, left = 0;
    for (size_t i = 0; i < w->moves.n; i++) {
        entered += str_present(w->moves.rows[i].entered);
        left += str_present(w->moves.rows[i].left);
    }
    add(&judged, kind, (double)w->taken);
    add(&moved, "segment.entered", (double)entered);
    add(&moved, "segment.left", (double)left);
    metric_observe(metric(&delays, &kind), (double)(clock_now() - w->since) / 1e6);
}

static enum meros_code sweep_with(struct sweeper *s, bool fresh, struct sweep *w, struct meros_err *err)
{
    *w = (struct sweep){0};
    s->models = serving_snapshot(s->svc);
    enum meros_code rc = store_begin(s->conn, err);
    if (rc == MEROS_OK) rc = in_transaction(s, fresh, w, err);
    if (rc == MEROS_OK && !w->stale && w->taken > 0) {
        /* Where nothing followed, the notes are all that would be there again; and events would wait while this is flushed. */
        if (w->moves.n == 0 && s->models->clv == NULL) rc = store_unforced(s->conn, err);
        if (rc == MEROS_OK) rc = store_commit(s->conn, err);
        else store_rollback(s->conn);
        if (rc == MEROS_OK) count(w);
    } else {
        store_rollback(s->conn);
    }
    snapshot_release(s->models);
    s->models = NULL;
    arena_done(&s->arena);
    return rc;
}

static enum meros_code sweep(struct sweeper *s, struct sweep *w, struct meros_err *err)
{
    enum meros_code rc = sweep_with(s, false, w, err);
    if (rc != MEROS_OK || !w->stale) return rc;
    rc = serving_reload(s->svc, err);
    if (rc == MEROS_OK) rc = sweep_with(s, true, w, err);
    return rc;
}

/* --- everybody, now and then */

/* Time moves nobody in a segmentation that was trained for a moment in the past, and makes nobody worth less by such a model. */
static bool time_matters(struct sweeper *s)
{
    const struct snapshot *models = serving_snapshot(s->svc);
    bool matters = models->clv != NULL && models->clv->model->as_of == TIME_NONE;
    for (size_t i = 0; i < models->n_models; i++) matters |= models->models[i].model->as_of == TIME_NONE;
    snapshot_release(models);
    return matters;
}

static enum meros_code rejudge(struct sweeper *s, struct meros_err *err)
{
    bool due = false;
    int64_t slices = 0;
    if (s->svc->settings.rejudge_hours == 0 || clock_mono_ns() < s->rejudge_due_ns) return MEROS_OK;
    s->rejudge_due_ns = clock_mono_ns() + REJUDGE_LOOK_S * INT64_C(1000000000);
    if (!time_matters(s)) return MEROS_OK;
    enum meros_code rc = store_begin(s->conn, err);
    if (rc == MEROS_OK) rc = store_changed_everybody_due(s->conn, s->svc->settings.rejudge_hours, &due, err);
    if (rc == MEROS_OK && due) rc = store_changed_note_everybody(s->conn, &slices, err);
    if (rc == MEROS_OK) rc = store_commit(s->conn, err);
    else store_rollback(s->conn);
    if (rc == MEROS_OK && due) log_info("sweeper.everybody", KV_I("slices", slices));
    return rc;
}

/* --- the thread */

struct pause {
    int64_t ms;
    bool insist; /* nobody wakes us */
};

/* True: stop. */
static bool rest(struct sweeper *s, struct pause p)
{
    const int64_t until_ns = clock_mono_ns() + p.ms * 1000000;
    const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&s->lock);
    while (!s->stop && (p.insist || !s->poked) && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0) {}
    s->poked = s->poked && p.insist; /* who called meanwhile is heard by the next rest */
    const bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

/* Lets go of the present connection. */
static void hold(struct sweeper *s, struct store_conn *c)
{
    pthread_mutex_lock(&s->lock);
    struct store_conn *old = s->conn;
    s->conn = c;
    pthread_mutex_unlock(&s->lock);
    store_disconnect(old);
}

static enum meros_code connected(struct sweeper *s, struct meros_err *err)
{
    struct store_conn *c = NULL;
    if (s->conn != NULL && !store_broken(s->conn)) return MEROS_OK;
    hold(s, NULL);
    if (!store_available(s->svc->store)) return err_set(err, MEROS_UNAVAILABLE, "The database is away.");
    enum meros_code rc = store_connect(s->svc->store, &c, err);
    if (rc != MEROS_OK) return rc;
    hold(s, c);
    rc = store_set_standstill(c, STANDSTILL_MS, err);
    return rc != MEROS_OK ? rc : store_set_timeout(c, STATEMENT_MS, err);
}

/* One look, and what is to follow it. */
static enum meros_code look(struct sweeper *s, struct pause *out, struct meros_err *err)
{
    bool noted = false, remembered = false, pending = false;
    int64_t settled = 0;
    struct sweep w = {0};
    const int64_t began_ns = clock_mono_ns();
    enum meros_code rc = connected(s, err);
    if (rc == MEROS_OK) rc = store_changed_any(s->conn, &noted, &remembered, &pending, err);
    if (rc == MEROS_OK && noted) rc = sweep(s, &w, err);
    if (rc == MEROS_OK && remembered && began_ns >= s->again_due_ns) {
        s->again_due_ns = began_ns + AGAIN_MS * INT64_C(1000000);
        rc = store_changed_again(s->conn, err);
    }
    if (rc == MEROS_OK && pending) rc = store_pending_settle_some(s->conn, &settled, err);
    if (rc == MEROS_OK && w.taken == 0) rc = rejudge(s, err);
    if (rc != MEROS_OK) return rc;
    s->singles = w.taken == 0 || w.bulk ? 0 : s->singles + 1;
    s->bulks = w.taken > 0 && w.bulk ? s->bulks + 1 : 0;
    *out = (struct pause){0};
    if (w.taken == 0) {
        out->ms = POLL_MS;
    } else if (!w.bulk && w.taken < MANY) {
        *out = (struct pause){SETTLE_MS, true};
    } else if (s->bulks > BULK_AT_ONCE) { /* as long as it took, so that others come to the machine and to the database */
        out->ms = (clock_mono_ns() - began_ns) / 1000000;
        if (out->ms > BULK_PAUSE_MAX_MS) out->ms = BULK_PAUSE_MAX_MS;
    }
    if (settled > 0 && out->ms > SETTLE_MS) *out = (struct pause){SETTLE_MS, true}; /* there are probably more */
    return MEROS_OK;
}

static void *sweeper_main(void *arg)
{
    struct sweeper *s = arg;
    struct meros_err err = MEROS_ERR_INIT;
    for (bool stop = false; !stop;) {
        struct pause p = {RETRY_MS, true};
        if (look(s, &p, &err) == MEROS_OK) {
            if (s->said) log_info("sweeper.recovered");
            s->said = false;
            stop = rest(s, p);
            continue;
        }
        if (err.code == MEROS_CANCELLED) break; /* sweeper_stop */
        add(&failed, NULL, 1);
        if (!s->said) log_warn("sweeper.failed", KV("detail", err.detail), KV("sqlstate", err.sqlstate));
        s->said = true;
        err_clear(&err);
        stop = rest(s, p);
    }
    return NULL;
}

enum meros_code sweeper_start(struct service *svc, struct meros_err *err)
{
    struct sweeper *s = calloc(1, sizeof *s);
    if (s == NULL || (s->targets = calloc(TARGETS_MAX, sizeof *s->targets)) == NULL) {
        free(s);
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the sweeper.");
    }
    s->svc = svc;
    arena_init(&s->arena, ARENA_MAX);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum meros_code rc = thread_start(&s->thread, "sweeper", 0, sweeper_main, s, err);
    s->started = rc == MEROS_OK;
    svc->sweeper = s;
    if (rc != MEROS_OK) sweeper_free(svc);
    return rc;
}

void sweeper_stop(struct service *svc)
{
    struct sweeper *s = svc->sweeper;
    if (s == NULL || !s->started) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    if (s->conn != NULL) store_cancel(s->conn); /* what it was doing is done again by whoever comes next */
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
    hold(s, NULL);
}

void sweeper_free(struct service *svc)
{
    struct sweeper *s = svc->sweeper;
    if (s == NULL) return;
    svc->sweeper = NULL;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    arena_done(&s->arena);
    free(s->targets);
    free(s);
}

void sweeper_wake(struct service *svc)
{
    struct sweeper *s = svc->sweeper;
    if (s == NULL) return;
    pthread_mutex_lock(&s->lock);
    if (!s->poked) pthread_cond_signal(&s->wake); /* else it has been called, and does not listen yet */
    s->poked = true;
    pthread_mutex_unlock(&s->lock);
}
