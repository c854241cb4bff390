/* The published models, and the questions about customers that an asker (service/asker.h) reads for. */
#include "meros/service/serving.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum { READERS = 2, MODELS_MAX = 1000, ANSWER_MAX = 4 << 20, ANSWER_USUAL = 2000, STATEMENT_MS = 4000, QUERY_MEMORY = 256 << 20 };

/* What a query needs of its questions. */
struct work {
    char ids[SERVING_BATCH][ID_MAX];
    struct str views[SERVING_BATCH];
    int64_t ats[SERVING_BATCH];
};

struct model_serving {
    struct service *svc;
    struct snapshot_holder *models;
    pthread_mutex_t reload_lock; /* one reload at a time: an older set is never published after a newer one */
    pthread_mutex_t commit_lock; /* held while a commit publishes: who asks after the commit gets what it published */
    struct asker *asker;
};

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
    if (rc == MEROS_OK) shelf_models_changed(svc);
    return rc;
}

enum meros_code serving_commit(struct service *svc, struct store_conn *c, struct meros_err *err)
{
    struct model_serving *v = svc->serving;
    struct snapshot *s = NULL;
    if (v == NULL) return store_commit(c, err); /* a command that trains without serving */
    pthread_mutex_lock(&v->reload_lock);
    enum meros_code rc = load(v, c, &s, err);
    if (rc == MEROS_OK) {
        pthread_mutex_lock(&v->commit_lock);
        rc = store_commit(c, err);
        if (rc == MEROS_OK) snapshot_publish(v->models, s);
        pthread_mutex_unlock(&v->commit_lock);
    }
    if (rc != MEROS_OK) snapshot_release(s);
    pthread_mutex_unlock(&v->reload_lock);
    if (rc == MEROS_OK) shelf_models_changed(svc);
    return rc;
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

static enum meros_code answer(struct asker_reader *r, const struct serving_query *q, const struct serving_found *f, size_t i,
                              const struct clv_ask *clv, struct buf *json, struct meros_err *err)
{
    struct model_serving *v = r->ctx;
    const struct customer_state *s = &f->states[i];
    if (!s->known)
        return err_set(err, MEROS_NOT_FOUND,
                       "There is no customer with this id; one comes into being with PUT /v1/customers/{id}, an import or an event.");
    if (clv != NULL && q->models->clv == NULL) return clv_no_model(err);
    struct json *attributes = NULL, *consent = NULL;
    enum meros_code rc = MEROS_OK;
    const bool judged = clv == NULL && !serving_in_the_past(q, i) && q->audiences->n > 0;
    if (q->attributes && s->attributes.n > 2) rc = json_parse_stored(s->attributes.p, s->attributes.n, &attributes, err);
    if (rc == MEROS_OK && judged && q->audiences->consent && s->consent.n > 2) rc = json_parse_stored(s->consent.p, s->consent.n, &consent, err);
    if (rc != MEROS_OK) {
        json_free(attributes);
        return rc;
    }
    struct customer_state open = *s;
    struct audience_subject subject;
    if (judged) subject = serving_subject(q, f, i, attributes, consent, &r->arena);
    const struct serving_view view = {&open, attributes, &f->purchases[i], q->models, serving_memberships(f, s->stats.customer_no),
                                      q->ats[i], q->now, q->half_life_days, serving_in_the_past(q, i) ? NULL : q->audiences, judged ? &subject : NULL};
    if (clv != NULL) {
        serving_write_clv(json, &view, clv);
    } else {
        bool ok = true;
        open.email = unseal_text(v->svc, &r->arena, s->email, &ok);
        open.name = unseal_text(v->svc, &r->arena, s->name, &ok);
        open.phone = unseal_text(v->svc, &r->arena, s->phone, &ok);
        if (!ok) log_warn("customer.sealed", KV_I("customer_no", s->stats.customer_no), KV("advice", "sealed with another pii_key"));
        serving_write_customer(json, &view);
    }
    json_free(attributes);
    json_free(consent);
    return json->failed ? err_set(err, MEROS_OUT_OF_MEMORY, "The answer is too large.") : MEROS_OK;
}

static struct serving_ask *ask_of(struct asker_link *link)
{
    return (struct serving_ask *)(void *)link; /* its first member */
}

static void refuse(struct asker_link *link, const struct meros_err *err)
{
    ask_of(link)->done(ask_of(link), err->code, NULL, err);
}

/* Those who ask for everything stand first, then those who ask only for what the customer will be worth. */
static bool worth_alone(const struct asker_link *link)
{
    return ((const struct serving_ask *)(const void *)link)->clv != NULL;
}

static void take(void *work, size_t at, const struct asker_link *link)
{
    struct work *w = work;
    const struct serving_ask *ask = (const struct serving_ask *)(const void *)link;
    memcpy(w->ids[at], ask->customer_id.p, ask->customer_id.n);
    w->views[at] = (struct str){w->ids[at], ask->customer_id.n};
    w->ats[at] = ask->at;
}

static void run(struct asker_reader *r, size_t n)
{
    struct model_serving *v = r->ctx;
    const struct work *w = r->work;
    struct asker_link **asks;
    struct meros_err err = MEROS_ERR_INIT, one = MEROS_ERR_INIT; /* one: of a single answer */
    struct serving_query q = {w->views, w->ats, n, r->first, acquire(v), audiences_acquire(v->svc), clock_now(), v->svc->settings.activity_half_life_days, false};
    struct serving_found f = {0};
    for (size_t i = 0; i < q.models->n_models; i++) q.attributes |= segment_model_needs_attributes(q.models->models[i].model);
    q.attributes |= q.models->clv != NULL && trained_clv_needs_attributes(q.models->clv->model);
    q.attributes |= q.audiences->attributes;
    enum meros_code rc = asker_connect(r, &err);
    if (rc == MEROS_OK) rc = serving_fetch(r->conn, &r->arena, &q, &f, &err);
    rc = asker_failed(rc, &err);
    asker_claim(r, &asks);
    for (size_t i = 0; i < n; i++) {
        if (asks[i] == NULL) continue;
        if (rc != MEROS_OK) {
            refuse(asks[i], &err);
            continue;
        }
        struct serving_ask *ask = ask_of(asks[i]);
        struct buf json;
        buf_init(&json, ANSWER_MAX);
        (void)buf_reserve(&json, ANSWER_USUAL);
        enum meros_code answered = answer(r, &q, &f, i, ask->clv, &json, &one);
        ask->done(ask, answered, &json, &one);
        if (answered != MEROS_OK) err_clear(&one); /* it is large: cleared only where it was used */
        buf_done(&json);
    }
    metric_observe(metric(&batches, NULL), (double)n);
    snapshot_release(q.models);
    audience_set_release(q.audiences);
}

static const struct asker_kind kind = {
    .reader_name = "live-reader", .watch_name = "live-watch", .readers = READERS, .batch = SERVING_BATCH, .queue_max = SERVING_QUEUE_MAX,
    .work_bytes = sizeof(struct work), .memory = QUERY_MEMORY, .patience_ms = SERVING_PATIENCE_MS, .statement_ms = STATEMENT_MS,
    .behind = worth_alone, .take = take, .run = run, .refuse = refuse};

enum meros_code serving_ask(struct service *svc, struct serving_ask *ask, struct meros_err *err)
{
    return asker_ask(svc->serving->asker, &ask->link, err);
}

/* --- life */

enum meros_code serving_start(struct service *svc, struct meros_err *err)
{
    struct model_serving *v = calloc(1, sizeof *v);
    if (v == NULL || (v->models = snapshot_holder_new()) == NULL) {
        free(v);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    }
    v->svc = svc;
    pthread_mutex_init(&v->reload_lock, NULL);
    pthread_mutex_init(&v->commit_lock, NULL);
    svc->serving = v;
    enum meros_code rc = clv_lists_new(svc, err);
    if (rc == MEROS_OK) rc = serving_reload(svc, err);
    if (rc == MEROS_OK) rc = asker_start(&kind, v, svc->store, &v->asker, err);
    if (rc == MEROS_OK) rc = audiences_start(svc, err);
    if (rc == MEROS_OK) rc = listener_subscribe(svc, "models", models_changed, svc, err);
    if (rc == MEROS_OK) return MEROS_OK;
    serving_stop(svc);
    serving_free(svc);
    return rc;
}

void serving_stop(struct service *svc)
{
    if (svc->serving != NULL) asker_stop(svc->serving->asker);
}

void serving_free(struct service *svc)
{
    struct model_serving *v = svc->serving;
    if (v == NULL) return;
    clv_lists_free(svc);
    audiences_free(svc);
    snapshot_holder_free(v->models);
    pthread_mutex_destroy(&v->reload_lock);
    pthread_mutex_destroy(&v->commit_lock);
    asker_free(v->asker);
    free(v);
    svc->serving = NULL;
}
