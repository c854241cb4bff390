#include "meros/service/scoring.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/arena.h"
#include "meros/base/log.h"
#include "meros/model/artifact.h"
#include "meros/service/clv_population.h"
#include "meros/service/serving.h"
#include "meros/store/changed.h"
#include "meros/store/models.h"
#include "meros/store/segment_changes.h"
#include "meros/store/segments.h"
#include "meros/store/stats.h"
#include "meros/store/store.h"
#include "clv_active_priv.h"
#include "clv_priv.h"

bool scoring_step(const struct scoring_progress *p, double fraction)
{
    if (p == NULL || p->step == NULL) return true;
    return p->step(p->arg, p->from + (p->to - p->from) * (fraction > 1 ? 1 : fraction), p->stage);
}

static enum meros_code stopped(struct meros_err *err)
{
    return err_set(err, MEROS_CANCELLED, "The work was stopped.");
}

/* --- reading everybody */

enum { ROWS_PER_STEP = 4096, LIVE_BATCH = 2000 };

struct extraction {
    struct dataset *d;
    const struct segment_model *model;
    bool attributes;
    int64_t expected;
    const struct scoring_progress *progress;
};

static enum meros_code extract_row(void *arg, const struct customer_state *state, struct meros_err *err)
{
    struct extraction *x = arg;
    if (x->d->n % ROWS_PER_STEP == 0 && !scoring_step(x->progress, (double)x->d->n / (double)(x->expected + 1)))
        return stopped(err);
    struct json *attributes = NULL;
    if (x->attributes && state->attributes.n > 2) { /* "{}" is most of them */
        enum meros_code rc = json_parse_stored(state->attributes.p, state->attributes.n, &attributes, err);
        if (rc != MEROS_OK) return rc;
    }
    const int64_t at = x->model == NULL ? x->d->at : segment_model_moment(x->model, &state->stats, x->d->at);
    enum meros_code rc = dataset_add(x->d, &state->stats, attributes, at, err);
    json_free(attributes);
    return rc;
}

/* The present is read from the tables that are kept with every order and event, batch by batch: much faster than summing
 * up all rows, and the very numbers that live answers are made of. */
static enum meros_code extract_present(struct store_conn *c, struct extraction *x, struct meros_err *err)
{
    int64_t nos[LIVE_BATCH], after = 0;
    struct arena arena;
    enum meros_code rc;
    arena_init(&arena, 1u << 30);
    for (;;) {
        size_t n = 0;
        struct customer_state *states = arena_array(&arena, LIVE_BATCH, sizeof *states);
        rc = states == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.")
                            : store_customer_nos(c, after, nos, LIVE_BATCH, &n, err);
        if (rc != MEROS_OK || n == 0) break;
        rc = store_stats_live_by_no(c, nos, n, &arena, states, err);
        for (size_t i = 0; i < n && rc == MEROS_OK; i++)
            if (states[i].known) rc = extract_row(x, &states[i], err);
        if (rc != MEROS_OK) break;
        after = nos[n - 1];
        arena_done(&arena);
    }
    arena_done(&arena);
    return rc;
}

enum meros_code scoring_extract(struct service *svc, struct store_conn *c, int64_t as_of, int64_t at,
                                const struct segment_model *model, bool attributes, size_t extra_row_bytes,
                                const struct scoring_progress *progress, struct dataset *out, struct meros_err *err)
{
    const size_t budget = svc->settings.training_memory_bytes;
    struct dataset d;
    dataset_init(&d, at, model == NULL ? svc->settings.activity_half_life_days : model->half_life_days, budget);
    struct extraction x = {.d = &d, .model = model, .attributes = attributes, .progress = progress};
    enum meros_code rc = store_begin_snapshot(c, err);
    if (rc != MEROS_OK) return rc;
    rc = store_customers_count(c, &x.expected, err);
    if (rc == MEROS_OK) {
        const double need = (double)x.expected * (double)(dataset_row_bytes() + extra_row_bytes);
        if (need > (double)budget)
            rc = err_set(err, MEROS_OUT_OF_MEMORY,
                         "Working on %lld customers would take about %.0f MB, and a job may use %zu MB; raise "
                         "MEROS_TRAINING_MEMORY or name fewer features.",
                         (long long)x.expected, ceil(need / (1 << 20)), budget >> 20);
    }
    if (rc == MEROS_OK) rc = dataset_reserve(&d, (size_t)x.expected, err);
    if (rc == MEROS_OK)
        rc = as_of == TIME_NONE ? extract_present(c, &x, err) : store_stats_asof(c, as_of, extract_row, &x, err);
    store_rollback(c); /* it was only read */
    if (rc == MEROS_OK && !scoring_step(progress, 1)) rc = stopped(err);
    if (rc == MEROS_OK) *out = d;
    else dataset_done(&d);
    return rc;
}

/* --- judging */

static bool worths_step(void *progress)
{
    return scoring_step(progress, 0);
}

enum meros_code scoring_worths(struct service *svc, const struct dataset *d, int64_t as_of, const struct scoring_progress *progress,
                               double **out, struct meros_err *err)
{
    static const struct clv_ask usual = {CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0, false};
    struct clv_population p = {0};
    double *worths = malloc((d->n + 1) * sizeof *worths);
    enum meros_code rc = worths == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while scoring customers.")
                                        : clv_population_read(svc, NULL, as_of, worths_step, (void *)(uintptr_t)progress, &p, err);
    if (rc == MEROS_NOT_FOUND)
        rc = err_set(err, MEROS_UNPROCESSABLE, "Tiers of value need a model of lifetime value; POST /v1/jobs with {\"kind\": \"train.clv\"} first.");
    /* Both ascend by customer_no. */
    for (size_t i = 0, k = 0; i < d->n && rc == MEROS_OK; i++) {
        struct clv_answer a;
        while (k < p.n && p.customer_no[k] < d->customer_no[i]) k++;
        worths[i] = NAN;
        if (k == p.n || p.customer_no[k] != d->customer_no[i]) continue;
        clv_population_score(&p, &usual, k, k + 1, &a);
        worths[i] = clv_row_of(p.customer_no[k], &a, p.at).worth;
    }
    clv_population_done(&p);
    if (rc == MEROS_OK) *out = worths;
    else free(worths);
    return rc;
}

enum meros_code scoring_assign(const struct segment_model *m, const struct dataset *d, const double *worths, int32_t *labels,
                               struct meros_err *err)
{
    struct prep_plan plan;
    enum meros_code rc = prep_plan_init(&m->prep, d, &plan, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < d->n; i++) {
        struct prep_values values;
        prep_read_dataset(&m->prep, &plan, i, &values);
        labels[i] = segment_model_assign(m, d->raw + i * FEATURE_COUNT, &values, worths == NULL ? NAN : worths[i]);
    }
    prep_plan_done(&plan);
    return MEROS_OK;
}

/* --- writing */

static void write_feature(struct jsonw *w, const char *name, const struct feature_summary *f)
{
    jsonw_key(w, name);
    jsonw_begin_object(w);
    jsonw_knum(w, "mean", f->mean);
    jsonw_knum(w, "median", f->median);
    jsonw_knum(w, "z", f->z);
    jsonw_end_object(w);
}

/* The mean scores of an RFM group: how recent, frequent and valuable it is among buyers. */
static void write_rfm(struct jsonw *w, const struct segment_model *m, const struct dataset *d, const int32_t *labels, int segment)
{
    double sum[3] = {0};
    size_t n = 0;
    for (size_t i = 0; i < d->n; i++) {
        if (labels[i] != segment) continue;
        struct rfm_scores s = rfm_score(&m->cuts, d->raw + i * FEATURE_COUNT);
        if (s.r == 0) continue;
        sum[0] += s.r;
        sum[1] += s.f;
        sum[2] += s.m;
        n++;
    }
    jsonw_key(w, "rfm");
    jsonw_begin_object(w);
    jsonw_knum(w, "recency", n == 0 ? NAN : sum[0] / (double)n);
    jsonw_knum(w, "frequency", n == 0 ? NAN : sum[1] / (double)n);
    jsonw_knum(w, "monetary", n == 0 ? NAN : sum[2] / (double)n);
    jsonw_end_object(w);
}

static void write_profile(struct jsonw *w, const struct segment_model *m, const struct dataset *d, const int32_t *labels,
                          const struct describe *desc, int segment)
{
    const struct segment_summary *s = &desc->segments[segment];
    jsonw_begin_object(w);
    jsonw_key(w, "features");
    jsonw_begin_object(w);
    for (size_t j = 0; j < desc->n_features; j++) write_feature(w, desc->names[j], &s->features[j]);
    jsonw_end_object(w);
    jsonw_key(w, "distinguishing");
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n_distinguishing; i++) {
        const size_t j = s->distinguishing[i];
        jsonw_begin_object(w);
        jsonw_kcstr(w, "feature", desc->names[j]);
        jsonw_knum(w, "z", s->features[j].z);
        jsonw_kcstr(w, "direction", s->features[j].z > 0 ? "high" : "low");
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    if (m->method == SEGMENT_RFM) write_rfm(w, m, d, labels, segment);
    jsonw_end_object(w);
}

static void tier_words(const struct segment_model *m, int tier, char *out, size_t cap)
{
    const int tiers = m->n_segments - 1;
    const double low = tier < tiers - 1 ? m->tiers[tier] : 0, high = tier > 0 && tier < tiers ? m->tiers[tier - 1] : INFINITY;
    char from[32], to[32];
    snprintf(from, sizeof from, low < 10 ? "%.3g" : "%.0f", low); /* cents say nothing */
    snprintf(to, sizeof to, high < 10 ? "%.3g" : "%.0f", high);
    if (tier == tiers) snprintf(out, cap, "Customers who have bought nothing yet.");
    else if (tiers == 1) snprintf(out, cap, "Customers who have bought; they are all predicted to be worth much the same.");
    else if (isinf(high)) snprintf(out, cap, "Customers predicted to be worth %s or more in the next %.0f days.", from, CLV_HORIZON_DAYS);
    else if (low > 0) snprintf(out, cap, "Customers predicted to be worth %s to %s in the next %.0f days.", from, to, CLV_HORIZON_DAYS);
    else snprintf(out, cap, "Customers predicted to be worth less than %s in the next %.0f days.", to, CLV_HORIZON_DAYS);
}

static enum meros_code write_segments(struct store_conn *c, int64_t model_no, const struct segment_model *m,
                                      const struct dataset *d, const int32_t *labels, const struct describe *desc,
                                      struct meros_err *err)
{
    const size_t k = (size_t)m->n_segments;
    struct segment_row *rows = calloc(SEGMENTS_MAX, sizeof *rows);
    struct buf *texts = calloc(2 * SEGMENTS_MAX, sizeof *texts);
    enum meros_code rc = MEROS_OK;
    if (rows == NULL || texts == NULL) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while describing segments.");
        goto out;
    }
    for (size_t s = 0; s < k; s++) {
        struct buf *description = &texts[2 * s], *profile = &texts[2 * s + 1];
        buf_init(description, 4096);
        buf_init(profile, 1 << 20);
        char lead[160] = "";
        if (m->method == SEGMENT_RFM)
            snprintf(lead, sizeof lead, "Customers who %s.", rfm_group_words((enum rfm_group)s));
        if (m->method == SEGMENT_VALUE) tier_words(m, (int)s, lead, sizeof lead);
        describe_text(desc, (int)s, lead[0] == '\0' ? NULL : lead, description);
        struct jsonw w;
        jsonw_init(&w, profile);
        write_profile(&w, m, d, labels, desc, (int)s);
        if (profile->failed) {
            rc = err_set(err, MEROS_OUT_OF_MEMORY, "The profile of a segment is too large.");
            goto out;
        }
        rows[s] = (struct segment_row){
            .position = (int64_t)s,
            .id = str_of(m->segments[s].id),
            .label = str_of(m->segments[s].label),
            .description = {description->data, description->len},
            .size = (int64_t)desc->segments[s].size,
            .share = desc->segments[s].share,
            .revenue_share = desc->segments[s].revenue_share,
            .profile = {profile->data, profile->len},
        };
    }
    rc = store_segments_write(c, model_no, rows, k, err);
out:
    for (size_t i = 0; texts != NULL && i < 2 * k; i++) buf_done(&texts[i]);
    free(texts);
    free(rows);
    return rc;
}

enum meros_code scoring_write(struct store_conn *c, int64_t segmentation_no, int64_t model_no, const struct segment_model *m,
                              const struct dataset *d, const int32_t *labels, const struct describe *desc, int64_t at,
                              int64_t *out_changed, struct meros_err *err)
{
    struct str ids[SEGMENTS_MAX];
    for (int s = 0; s < m->n_segments; s++) ids[s] = str_of(m->segments[s].id);
    enum meros_code rc = write_segments(c, model_no, m, d, labels, desc, err);
    struct memberships_written written = {0};
    if (rc == MEROS_OK)
        rc = store_memberships_write(c, segmentation_no, model_no, at, d->customer_no, labels, d->n, ids, &written, err);
    if (rc == MEROS_OK && out_changed != NULL) *out_changed = written.changed;
    return rc;
}

/* --- everybody anew: activation and refresh */

struct loaded {
    int64_t model_no, version;
    char id[MODEL_ID_CAP];
    bool active;
    struct segment_model *model;
};

static enum meros_code load_row(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct loaded *l = arg;
    l->model_no = m->model_no;
    l->version = m->version;
    l->active = m->active;
    (void)str_copy(l->id, sizeof l->id, m->id);
    if (!str_is(m->kind, "segments")) return err_set(err, MEROS_CONFLICT, "The model is not one of a segmentation.");
    return MEROS_OK;
}

static enum meros_code load_model(struct store_conn *c, struct loaded *l, struct meros_err *err)
{
    struct buf bytes;
    buf_init(&bytes, ARTIFACT_MAX + 1);
    enum meros_code rc = store_model_artifact(c, l->model_no, &bytes, err);
    struct model m = {0};
    if (rc == MEROS_OK) rc = artifact_decode(bytes.data, bytes.len, &m, err);
    buf_done(&bytes);
    if (rc == MEROS_OK && m.kind != MODEL_SEGMENTS) {
        model_done(&m);
        rc = err_set(err, MEROS_INTERNAL, "The artifact of a segmentation is of another kind.");
    }
    if (rc == MEROS_OK) l->model = m.segments;
    return rc;
}

struct rescored {
    struct dataset d;
    int32_t *labels;
    double *worths; /* NULL: the method does not look at them */
    struct describe desc;
    int64_t at;
};

static void rescored_done(struct rescored *r)
{
    describe_done(&r->desc);
    free(r->labels);
    free(r->worths);
    dataset_done(&r->d);
}

/* The moment that a whole segmentation is said to be judged at: now, or the moment in the past that it was made for. */
static int64_t evaluation_moment(const struct segment_model *m, int64_t now)
{
    return m->as_of == TIME_NONE ? now : m->as_of;
}

static enum meros_code rescore(struct service *svc, struct store_conn *c, const struct segment_model *m,
                               const struct scoring_progress *progress, struct rescored *out, struct meros_err *err)
{
    const int64_t now = clock_now();
    struct rescored r = {.at = evaluation_moment(m, now)};
    enum meros_code rc = store_extraction_begin(c, err); /* until the connection is closed, or the caller ends it */
    if (rc == MEROS_OK)
        rc = scoring_extract(svc, c, TIME_NONE, now, m, segment_model_needs_attributes(m), sizeof(int32_t) + 24, progress, &r.d, err);
    if (rc != MEROS_OK) return rc;
    r.labels = malloc((r.d.n + 1) * sizeof *r.labels);
    if (r.labels == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while scoring customers.");
    if (rc == MEROS_OK && m->method == SEGMENT_VALUE) rc = scoring_worths(svc, &r.d, TIME_NONE, progress, &r.worths, err);
    if (rc == MEROS_OK) rc = scoring_assign(m, &r.d, r.worths, r.labels, err);
    if (rc == MEROS_OK) rc = describe_fit(&r.desc, &r.d, &m->prep, r.labels, m->n_segments, err);
    if (rc == MEROS_OK) rc = store_pending_settle(c, str_of(m->name), err);
    if (rc == MEROS_OK) *out = r;
    else rescored_done(&r);
    return rc;
}

/* Within a transaction. */
static enum meros_code write_rescored(struct store_conn *c, const struct loaded *l, const struct rescored *r,
                                      int64_t *out_changed, struct meros_err *err)
{
    int64_t segmentation_no, next;
    enum meros_code rc = store_segmentation_lock(c, str_of(l->model->name), &segmentation_no, &next, err);
    if (rc == MEROS_OK)
        rc = scoring_write(c, segmentation_no, l->model_no, l->model, &r->d, r->labels, &r->desc, r->at, out_changed, err);
    if (rc == MEROS_OK) rc = store_segments_evaluated(c, l->model_no, r->at, err);
    return rc;
}

enum meros_code scoring_activate(struct service *svc, struct str model_id, struct meros_err *err)
{
    struct loaded l = {0};
    struct rescored r = {0};
    struct store_conn *c = NULL;
    enum meros_code rc = store_connect(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, 0, err);
    if (rc == MEROS_OK) rc = store_model_get(c, model_id, load_row, &l, err);
    if (rc != MEROS_OK || l.active) goto out; /* activating the active one changes nothing */
    rc = load_model(c, &l, err);
    if (rc == MEROS_OK) rc = rescore(svc, c, l.model, NULL, &r, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc != MEROS_OK) goto out;
    rc = write_rescored(c, &l, &r, NULL, err);
    if (rc == MEROS_OK) rc = store_model_activate(c, l.model_no, clock_now(), err);
    if (rc == MEROS_OK) rc = serving_commit(svc, c, err);
    if (rc == MEROS_OK) log_info("model.activated", KV("model", l.id), KV("segmentation", l.model->name), KV_I("version", l.version));
    else store_rollback(c);
out:
    rescored_done(&r);
    segment_model_free(l.model);
    store_disconnect(c);
    return rc;
}

/* --- the refresh job */

enum { REFRESH_MODELS_MAX = 1000 };
struct active_models {
    struct loaded *models;
    size_t n;
};

static enum meros_code collect_active(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct active_models *a = arg;
    if (a->n == REFRESH_MODELS_MAX) return MEROS_OK;
    return load_row(&a->models[a->n++], m, err);
}

static void write_refreshed(struct jsonw *w, const struct loaded *l, size_t customers, int64_t changed, int64_t at)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "name", l->model->name);
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", l->id);
    jsonw_kint(w, "version", l->version);
    jsonw_end_object(w);
    jsonw_kint(w, "customers", (int64_t)customers);
    jsonw_kint(w, "changed", changed);
    jsonw_ktime(w, "evaluated_at", at);
    jsonw_end_object(w);
}

/* Whether it is active still, under the lock of its segmentation; else *l becomes the one that is. */
static enum meros_code keep_active(struct store_conn *c, struct loaded *l, bool *out_replaced, struct meros_err *err)
{
    int64_t no, next;
    struct loaded now = {0};
    enum meros_code rc = store_segmentation_lock(c, str_of(l->model->name), &no, &next, err);
    if (rc == MEROS_OK) rc = store_model_active(c, STR("segments"), str_of(l->model->name), load_row, &now, err);
    if (rc != MEROS_OK) return rc;
    *out_replaced = now.model_no != l->model_no;
    if (!*out_replaced) return MEROS_OK;
    segment_model_free(l->model);
    *l = now;
    return MEROS_OK;
}

/* One segmentation after the other, each in a transaction of its own, fenced: a refresh that is taken over does again
 * what it did, to the same end. *out_replaced: another model was made the active one meanwhile; nothing was written. */
static enum meros_code refresh_with(struct job_ctx *ctx, struct store_conn *c, struct loaded *l,
                                    const struct scoring_progress *progress, bool *out_replaced, struct meros_err *err)
{
    struct rescored r = {0};
    int64_t changed = 0;
    bool begun = false;
    *out_replaced = false;
    enum meros_code rc = load_model(c, l, err);
    if (rc == MEROS_OK) rc = rescore(ctx->svc, c, l->model, progress, &r, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc != MEROS_OK) goto out;
    begun = true;
    rc = job_fence(ctx, c, err);
    if (rc == MEROS_OK) rc = keep_active(c, l, out_replaced, err);
    if (rc != MEROS_OK || *out_replaced) goto out;
    rc = write_rescored(c, l, &r, &changed, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc == MEROS_OK) {
        begun = false;
        write_refreshed(ctx->result, l, r.d.n, changed, r.at);
    }
out:
    if (begun) store_rollback(c);
    store_extraction_end(c);
    rescored_done(&r);
    segment_model_free(l->model);
    l->model = NULL;
    return rc;
}

static enum meros_code refresh_one(struct job_ctx *ctx, struct store_conn *c, struct loaded *l,
                                   const struct scoring_progress *progress, struct meros_err *err)
{
    bool replaced = true;
    enum meros_code rc = MEROS_OK;
    while (rc == MEROS_OK && replaced) {
        if (!scoring_step(progress, 0)) return job_stopped(ctx, err);
        rc = refresh_with(ctx, c, l, progress, &replaced, err);
    }
    return rc;
}

/* What everybody is worth by the active model, where there is one. */
static enum meros_code refresh_clv(struct job_ctx *ctx, struct store_conn *c, struct meros_err *err)
{
    int64_t customers = 0;
    char id[MODEL_ID_CAP];
    int version = 0;
    bool there = false;
    enum meros_code rc = store_begin(c, err);
    if (rc != MEROS_OK) return rc;
    rc = job_fence(ctx, c, err);
    if (rc == MEROS_OK) rc = clv_rewrite(ctx->svc, c, &there, id, &version, &customers, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) {
        store_rollback(c);
        return rc;
    }
    if (!there) return MEROS_OK;
    struct jsonw *w = ctx->result;
    jsonw_key(w, "clv");
    jsonw_begin_object(w);
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", id);
    jsonw_kint(w, "version", version);
    jsonw_end_object(w);
    jsonw_kint(w, "customers", customers);
    jsonw_ktime(w, "evaluated_at", clock_now());
    jsonw_end_object(w);
    return MEROS_OK;
}

static enum meros_code refresh_check(struct service *svc, const struct json *params, struct meros_err *err)
{
    (void)svc;
    struct json_obj o;
    json_obj_begin(&o, params, "/params", err);
    return json_obj_end(&o);
}

static enum meros_code refresh_run(struct job_ctx *ctx, struct meros_err *err)
{
    struct active_models active = {.models = calloc(REFRESH_MODELS_MAX, sizeof *active.models)};
    struct store_conn *c = NULL;
    enum meros_code rc = active.models == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.")
                                               : store_connect(ctx->svc->store, &c, err);
    if (rc == MEROS_OK) job_uses(ctx, c);
    if (rc == MEROS_OK) rc = store_set_timeout(c, 0, err);
    if (rc == MEROS_OK) rc = store_model_list(c, STR("segments"), 1, 0, REFRESH_MODELS_MAX, collect_active, &active, err);
    if (rc != MEROS_OK) goto out;
    jsonw_begin_object(ctx->result);
    rc = refresh_clv(ctx, c, err);
    jsonw_key(ctx->result, "segmentations");
    jsonw_begin_array(ctx->result);
    for (size_t i = 0; i < active.n && rc == MEROS_OK; i++) {
        const struct scoring_progress progress = {job_step, ctx, (double)i / (double)active.n,
                                                  (double)(i + 1) / (double)active.n, "scoring"};
        rc = refresh_one(ctx, c, &active.models[i], &progress, err);
    }
    jsonw_end_array(ctx->result);
    jsonw_end_object(ctx->result);
    if (rc == MEROS_CANCELLED) rc = job_stopped(ctx, err);
out:
    free(active.models);
    job_uses(ctx, NULL);
    store_disconnect(c);
    return rc;
}

const struct job_kind scoring_refresh_kind = {
    .name = "refresh",
    .help = "Judge all customers anew with the active models and write down who is in which segment.",
    .check_params = refresh_check,
    .run = refresh_run,
};
