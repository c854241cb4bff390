/* Threads: `readers` reader threads, each with a database connection of its own; one watch thread that blocks on nothing
 * but its clock. The queue, the batches at the database and `stopping` are under `lock`. An ask belongs to the queue, to
 * a batch, or to whoever took it out under the lock and calls its done(): no two at once. */
#include "meros/service/serving.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "meros/base/arena.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/codec/json.h"
#include "meros/model/artifact.h"
#include "meros/service/clv.h"
#include "meros/service/clv_lists.h"
#include "meros/service/listener.h"
#include "meros/service/shelf.h"
#include "meros/store/models.h"
#include "meros/store/store.h"
#include "seal_priv.h"
#include "serving_priv.h"

enum { READERS = 2, MODELS_MAX = 1000, ANSWER_MAX = 4 << 20, ANSWER_USUAL = 2000, WATCH_MS = 250, STATEMENT_MS = 4000 };

struct batch {
    /* Under the lock. */
    struct serving_ask *asks[SERVING_BATCH];
    size_t n;
    size_t whole;     /* the first so many ask for everything, the others only for what the customer will be worth */
    bool at_database; /* the watch may take the asks away: n becomes 0 */
    int64_t since_ns;
    /* The reader's own: what the query needs, so that asks may go while it runs. */
    char ids[SERVING_BATCH][ID_MAX + 1];
    struct str views[SERVING_BATCH];
    int64_t ats[SERVING_BATCH];
};

struct reader {
    struct model_serving *serving;
    struct store_conn *conn; /* NULL: none now */
    struct arena arena;
    struct batch batch;
    pthread_t thread;
};

struct model_serving {
    struct service *svc;
    struct snapshot_holder *models;
    pthread_mutex_t reload_lock; /* one reload at a time: an older set is never published after a newer one */
    pthread_mutex_t commit_lock; /* held while a commit publishes: who asks after the commit gets what it published */
    pthread_mutex_t lock;
    pthread_cond_t asked;   /* the queue is no longer empty, or stopping */
    pthread_cond_t stopped; /* for the watch */
    struct serving_ask *head, **tail; /* under lock */
    size_t queued;                    /* under lock */
    bool stopping;                    /* under lock */
    struct reader readers[READERS];
    int n_readers;
    pthread_t watch;
    bool watching;
};

static const char silent[] = "The database did not answer in time; try again shortly.";
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128, 256};
static struct metric_family batches = {.name = "meros_customer_reads_per_query",
                                       .help = "Customer reads answered with one database query.",
                                       .kind = METRIC_HISTOGRAM,
                                       .bounds = batch_bounds,
                                       .n_bounds = sizeof batch_bounds / sizeof batch_bounds[0]};

/* --- models */

struct active_model {
    int64_t model_no;
    int version;
    char id[MODEL_ID_CAP];
};
struct collected {
    struct active_model *rows;
    size_t n;
};

static enum meros_code collect(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct collected *all = arg;
    (void)err;
    if (all->n == MODELS_MAX) return MEROS_OK;
    struct active_model *a = &all->rows[all->n];
    a->model_no = m->model_no;
    a->version = (int)m->version;
    (void)str_copy(a->id, sizeof a->id, m->id);
    all->n++;
    return MEROS_OK;
}

/* Takes over *m, or lets go of what no answer needs. */
static void place(struct snapshot *s, const struct active_model *a, struct model *m)
{
    if (m->kind == MODEL_SEGMENTS) {
        struct snapshot_model slot = {.model = m->segments, .version = a->version, .model_no = a->model_no};
        memcpy(slot.id, a->id, sizeof slot.id);
        snapshot_add(s, &slot);
    } else if (m->kind == MODEL_RECOMMENDATIONS && s->recommender == NULL) {
        struct snapshot_recommender slot = {.recommender = m->recommender, .version = a->version, .model_no = a->model_no};
        memcpy(slot.id, a->id, sizeof slot.id);
        snapshot_add_recommender(s, &slot);
    } else if (m->kind == MODEL_CLV && !m->clv->contract && s->clv == NULL) {
        struct snapshot_clv slot = {.model = m->clv, .version = a->version, .model_no = a->model_no};
        memcpy(slot.id, a->id, sizeof slot.id);
        snapshot_add_clv(s, &slot);
    } else {
        model_done(m);
    }
}

/* Whether the last snapshot has this model as what may be kept: a model that is stored never changes. */
static bool keep(struct snapshot *s, const struct active_model *a, const struct snapshot *last)
{
    if (last->recommender == NULL || last->recommender->model_no != a->model_no || s->recommender != NULL) return false;
    snapshot_keep_recommender(s, last);
    return true;
}

/* The caller holds the reload lock. */
static enum meros_code load(struct model_serving *v, struct store_conn *c, struct snapshot **out, struct meros_err *err)
{
    struct collected all = {.rows = calloc(MODELS_MAX, sizeof *all.rows)};
    struct snapshot *s = NULL;
    struct buf bytes;
    buf_init(&bytes, ARTIFACT_MAX + 1);
    enum meros_code rc = all.rows == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.") : MEROS_OK;
    if (rc == MEROS_OK) rc = store_model_list(c, STR_NONE, 1, 0, MODELS_MAX, collect, &all, err);
    if (rc == MEROS_OK && (s = snapshot_new(all.n)) == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    const struct snapshot *last = snapshot_acquire(v->models);
    for (size_t i = 0; i < all.n && rc == MEROS_OK; i++) {
        if (keep(s, &all.rows[i], last)) continue;
        struct model m = {0};
        struct meros_err why = MEROS_ERR_INIT;
        buf_clear(&bytes);
        rc = store_model_artifact(c, all.rows[i].model_no, &bytes, err);
        if (rc != MEROS_OK) break;
        if (artifact_decode(bytes.data, bytes.len, &m, &why) == MEROS_OK) place(s, &all.rows[i], &m);
        else log_error("model.unusable", KV("model", all.rows[i].id), KV("detail", why.detail));
    }
    snapshot_release(last);
    buf_done(&bytes);
    free(all.rows);
    if (rc == MEROS_OK) *out = s;
    else snapshot_release(s);
    return rc;
}

enum meros_code serving_reload(struct service *svc, struct meros_err *err)
{
    struct model_serving *v = svc->serving;
    if (v == NULL) return MEROS_OK; /* a command that trains without serving */
    struct store_conn *c = NULL;
    struct snapshot *s = NULL;
    pthread_mutex_lock(&v->reload_lock);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    /* One view of which are active and of their artifacts. */
    if (rc == MEROS_OK) rc = store_begin_snapshot(c, err);
    if (rc == MEROS_OK) {
        rc = load(v, c, &s, err);
        store_rollback(c);
    }
    store_release(svc->store, c);
    if (rc == MEROS_OK) {
        log_info("models.published", KV_I("models", s->n_models));
        snapshot_publish(v->models, s);
    }
    pthread_mutex_unlock(&v->reload_lock);
    if (rc == MEROS_OK) shelf_warm(svc);
    return rc;
}

enum meros_code serving_publish_begin(struct service *svc, struct store_conn *c, struct snapshot **out, struct meros_err *err)
{
    struct model_serving *v = svc->serving;
    *out = NULL;
    if (v == NULL) return MEROS_OK; /* a command that trains without serving */
    pthread_mutex_lock(&v->reload_lock);
    enum meros_code rc = load(v, c, out, err);
    if (rc == MEROS_OK) pthread_mutex_lock(&v->commit_lock);
    else pthread_mutex_unlock(&v->reload_lock);
    return rc;
}

void serving_publish_end(struct service *svc, struct snapshot *s, bool committed)
{
    struct model_serving *v = svc->serving;
    if (v == NULL) return;
    if (committed) snapshot_publish(v->models, s);
    else snapshot_release(s);
    pthread_mutex_unlock(&v->commit_lock);
    pthread_mutex_unlock(&v->reload_lock);
    if (committed) shelf_warm(svc);
}

static const struct snapshot *acquire(struct model_serving *v)
{
    pthread_mutex_lock(&v->commit_lock);
    const struct snapshot *s = snapshot_acquire(v->models);
    pthread_mutex_unlock(&v->commit_lock);
    return s;
}

const struct snapshot *serving_snapshot(struct service *svc)
{
    return acquire(svc->serving);
}

struct snapshot_holder *serving_models(struct service *svc)
{
    return svc->serving->models;
}

static void models_changed(void *arg, const char *payload)
{
    struct service *svc = arg;
    struct meros_err err = MEROS_ERR_INIT;
    (void)payload;
    if (serving_reload(svc, &err) != MEROS_OK) log_warn("models.reload", KV("detail", err.detail));
}

/* --- one batch */

static enum meros_code open_connection(struct reader *r, struct meros_err *err)
{
    struct service *svc = r->serving->svc;
    if (r->conn != NULL && !store_broken(r->conn)) return MEROS_OK;
    store_disconnect(r->conn);
    r->conn = NULL;
    if (!store_available(svc->store)) return err_set(err, MEROS_UNAVAILABLE, "The database is away; try again shortly.");
    enum meros_code rc = store_connect(svc->store, &r->conn, err);
    if (rc != MEROS_OK) return rc;
    rc = store_set_timeout(r->conn, STATEMENT_MS, err);
    /* A lone customer would be planned for anew at each call: that costs six times what the look-ups do. */
    if (rc == MEROS_OK) rc = store_set_generic_plans(r->conn, err);
    if (rc != MEROS_OK) {
        store_disconnect(r->conn);
        r->conn = NULL;
    }
    return rc;
}

static enum meros_code answer(struct reader *r, const struct serving_query *q, const struct serving_found *f, size_t i, struct buf *json,
                              struct meros_err *err)
{
    const struct customer_state *s = &f->states[i];
    if (!s->known)
        return err_set(err, MEROS_NOT_FOUND,
                       "There is no customer with this id; one comes into being with PUT /v1/customers/{id}, an import or an event.");
    const struct clv_ask *clv = r->batch.asks[i]->clv;
    if (clv != NULL && q->models->clv == NULL) return clv_no_model(err);
    struct json *attributes = NULL;
    if (q->attributes && s->attributes.n > 2) {
        enum meros_code rc = json_parse_stored(s->attributes.p, s->attributes.n, &attributes, err);
        if (rc != MEROS_OK) return rc;
    }
    struct customer_state open = *s;
    const struct serving_view view = {&open, attributes, &f->purchases[i], q->models, serving_memberships(f, s->stats.customer_no),
                                      q->ats[i], q->now, q->half_life_days};
    if (clv != NULL) {
        serving_write_clv(json, &view, clv);
    } else {
        bool ok = true;
        open.email = unseal_text(r->serving->svc, &r->arena, s->email, &ok);
        open.name = unseal_text(r->serving->svc, &r->arena, s->name, &ok);
        open.phone = unseal_text(r->serving->svc, &r->arena, s->phone, &ok);
        if (!ok) log_warn("customer.sealed", KV_I("customer_no", s->stats.customer_no), KV("advice", "sealed with another pii_key"));
        serving_write_customer(json, &view);
    }
    json_free(attributes);
    return json->failed ? err_set(err, MEROS_OUT_OF_MEMORY, "The answer is too large.") : MEROS_OK;
}

static void refuse(struct serving_ask *ask, const struct meros_err *err)
{
    ask->done(ask, err->code, NULL, err);
}

static void run_batch(struct reader *r, size_t n)
{
    struct model_serving *v = r->serving;
    struct batch *b = &r->batch;
    struct meros_err err = MEROS_ERR_INIT, one = MEROS_ERR_INIT; /* one: of a single answer */
    struct serving_query q = {b->views, b->ats, n, b->whole, acquire(v), clock_now(), v->svc->settings.activity_half_life_days, false};
    struct serving_found f = {0};
    for (size_t i = 0; i < q.models->n_models; i++) q.attributes |= segment_model_needs_attributes(q.models->models[i].model);
    q.attributes |= q.models->clv != NULL && trained_clv_needs_attributes(q.models->clv->model);
    enum meros_code rc = open_connection(r, &err);
    if (rc == MEROS_OK) rc = serving_fetch(r->conn, &r->arena, &q, &f, &err);
    if (rc == MEROS_TIMEOUT) rc = err_set(&err, MEROS_UNAVAILABLE, "%s", silent);

    pthread_mutex_lock(&v->lock);
    b->at_database = false; /* from here on the asks are ours, if they still are */
    const size_t left = b->n;
    pthread_mutex_unlock(&v->lock);

    for (size_t i = 0; i < left; i++) {
        if (rc != MEROS_OK) {
            refuse(b->asks[i], &err);
            continue;
        }
        struct buf json;
        buf_init(&json, ANSWER_MAX);
        (void)buf_reserve(&json, ANSWER_USUAL);
        enum meros_code answered = answer(r, &q, &f, i, &json, &one);
        b->asks[i]->done(b->asks[i], answered, &json, &one);
        if (answered != MEROS_OK) err_clear(&one); /* it is large: cleared only where it was used */
        buf_done(&json);
    }
    metric_observe(metric(&batches, NULL), (double)n);
    snapshot_release(q.models);
    arena_done(&r->arena);
}

/* --- threads */

/* Under the lock: moves what waits into the batch, those who ask for everything first. */
static void take_batch(struct model_serving *v, struct batch *b)
{
    struct serving_ask *worth[SERVING_BATCH];
    size_t n_worth = 0;
    b->whole = 0;
    while (v->head != NULL && b->whole + n_worth < SERVING_BATCH) {
        struct serving_ask *a = v->head;
        v->head = a->next;
        v->queued--;
        if (a->clv != NULL) worth[n_worth++] = a;
        else b->asks[b->whole++] = a;
    }
    if (v->head == NULL) v->tail = &v->head;
    memcpy(b->asks + b->whole, worth, n_worth * sizeof *worth);
    b->n = b->whole + n_worth;
    b->at_database = true;
    b->since_ns = INT64_MAX;
    for (size_t i = 0; i < b->n; i++) {
        const struct serving_ask *a = b->asks[i];
        memcpy(b->ids[i], a->customer_id.p, a->customer_id.n);
        b->views[i] = (struct str){b->ids[i], a->customer_id.n};
        b->ats[i] = a->at;
        if (a->asked_ns < b->since_ns) b->since_ns = a->asked_ns;
    }
}

static void *read_customers(void *arg)
{
    struct reader *r = arg;
    struct model_serving *v = r->serving;
    for (;;) {
        pthread_mutex_lock(&v->lock);
        while (v->head == NULL && !v->stopping) pthread_cond_wait(&v->asked, &v->lock);
        if (v->head == NULL) {
            pthread_mutex_unlock(&v->lock);
            return NULL;
        }
        take_batch(v, &r->batch);
        const size_t n = r->batch.n;
        pthread_mutex_unlock(&v->lock);
        run_batch(r, n);
    }
}

/* Takes out of the queue and of stuck batches what has waited too long (or, at the end, all that waits). */
static void refuse_overdue(struct model_serving *v, int64_t before_ns, const struct meros_err *err)
{
    struct serving_ask *late = NULL, **at;
    pthread_mutex_lock(&v->lock);
    for (at = &v->head; *at != NULL && (*at)->asked_ns < before_ns;) {
        struct serving_ask *a = *at; /* the queue is in the order of asking, so the first young one ends it */
        *at = a->next;
        v->queued--;
        a->next = late;
        late = a;
    }
    if (v->head == NULL) v->tail = &v->head;
    for (int i = 0; i < v->n_readers; i++) {
        struct batch *b = &v->readers[i].batch;
        if (!b->at_database || b->since_ns >= before_ns) continue;
        for (size_t k = 0; k < b->n; k++) {
            b->asks[k]->next = late;
            late = b->asks[k];
        }
        b->n = 0;
    }
    pthread_mutex_unlock(&v->lock);
    while (late != NULL) {
        struct serving_ask *a = late;
        late = a->next;
        refuse(a, err);
    }
}

static void *watch(void *arg)
{
    struct model_serving *v = arg;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "%s", silent);
    pthread_mutex_lock(&v->lock);
    while (!v->stopping) {
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        until.tv_nsec += WATCH_MS * 1000000L;
        if (until.tv_nsec >= 1000000000L) {
            until.tv_nsec -= 1000000000L;
            until.tv_sec++;
        }
        pthread_cond_timedwait(&v->stopped, &v->lock, &until);
        pthread_mutex_unlock(&v->lock);
        refuse_overdue(v, clock_mono_ns() - SERVING_PATIENCE_MS * INT64_C(1000000), &err);
        pthread_mutex_lock(&v->lock);
    }
    pthread_mutex_unlock(&v->lock);
    return NULL;
}

enum meros_code serving_ask(struct service *svc, struct serving_ask *ask, struct meros_err *err)
{
    struct model_serving *v = svc->serving;
    ask->next = NULL;
    ask->asked_ns = clock_mono_ns();
    pthread_mutex_lock(&v->lock);
    const bool refused = v->stopping || v->queued >= SERVING_QUEUE_MAX;
    if (!refused) {
        *v->tail = ask;
        v->tail = &ask->next;
        v->queued++;
        pthread_cond_signal(&v->asked);
    }
    pthread_mutex_unlock(&v->lock);
    if (!refused) return MEROS_OK;
    return err_set(err, MEROS_UNAVAILABLE, "Too many requests are waiting for the database; try again shortly.");
}

/* --- life */

static enum meros_code start_threads(struct model_serving *v, struct meros_err *err)
{
    for (int i = 0; i < READERS; i++) {
        struct reader *r = &v->readers[i];
        r->serving = v;
        arena_init(&r->arena, 256u << 20);
        enum meros_code rc = thread_start(&r->thread, "live-reader", 0, read_customers, r, err);
        if (rc != MEROS_OK) return rc;
        pthread_mutex_lock(&v->lock);
        v->n_readers = i + 1;
        pthread_mutex_unlock(&v->lock);
    }
    enum meros_code rc = thread_start(&v->watch, "live-watch", 0, watch, v, err);
    v->watching = rc == MEROS_OK;
    return rc;
}

enum meros_code serving_start(struct service *svc, struct meros_err *err)
{
    struct model_serving *v = calloc(1, sizeof *v);
    if (v == NULL || (v->models = snapshot_holder_new()) == NULL) {
        free(v);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    }
    v->svc = svc;
    v->tail = &v->head;
    pthread_mutex_init(&v->reload_lock, NULL);
    pthread_mutex_init(&v->commit_lock, NULL);
    pthread_mutex_init(&v->lock, NULL);
    pthread_cond_init(&v->asked, NULL);
    pthread_cond_init(&v->stopped, NULL);
    svc->serving = v;
    enum meros_code rc = clv_lists_new(svc, err);
    if (rc == MEROS_OK) rc = serving_reload(svc, err);
    if (rc == MEROS_OK) rc = start_threads(v, err);
    if (rc == MEROS_OK) rc = listener_subscribe(svc, "models", models_changed, svc, err);
    if (rc == MEROS_OK) return MEROS_OK;
    serving_stop(svc);
    serving_free(svc);
    return rc;
}

void serving_stop(struct service *svc)
{
    struct model_serving *v = svc->serving;
    if (v == NULL) return;
    struct meros_err err = MEROS_ERR_INIT;
    err_set(&err, MEROS_UNAVAILABLE, "The service is stopping.");
    pthread_mutex_lock(&v->lock);
    const bool before = v->stopping;
    v->stopping = true;
    pthread_cond_broadcast(&v->asked);
    pthread_cond_broadcast(&v->stopped);
    pthread_mutex_unlock(&v->lock);
    if (before) return;
    refuse_overdue(v, INT64_MAX, &err);
    for (int i = 0; i < v->n_readers; i++) {
        pthread_join(v->readers[i].thread, NULL);
        store_disconnect(v->readers[i].conn);
        v->readers[i].conn = NULL;
    }
    if (v->watching) pthread_join(v->watch, NULL);
}

void serving_free(struct service *svc)
{
    struct model_serving *v = svc->serving;
    if (v == NULL) return;
    clv_lists_free(svc);
    snapshot_holder_free(v->models);
    pthread_mutex_destroy(&v->reload_lock);
    pthread_mutex_destroy(&v->commit_lock);
    pthread_mutex_destroy(&v->lock);
    pthread_cond_destroy(&v->asked);
    pthread_cond_destroy(&v->stopped);
    free(v);
    svc->serving = NULL;
}
