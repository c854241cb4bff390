/* "train.segments": extracting, what segments are called, storing. Stages 2 and 3, from statistics to a model, are in
 * training_fit.c. */
#include "training_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/log.h"
#include "meros/ml/assign.h"
#include "meros/service/scoring.h"
#include "meros/service/serving.h"
#include "meros/store/changed.h"
#include "meros/store/models.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"

enum meros_code training_step(struct training *t, double fraction, const char *stage, struct meros_err *err)
{
    return job_step(t->ctx, fraction, stage) ? MEROS_OK : job_stopped(t->ctx, err);
}

/* --- 1. extracting */

static bool wants_attributes(const struct segment_params *p)
{
    if (p->method != SEGMENT_KMEANS) return false;
    if (p->n_features == 0) return true;
    for (size_t i = 0; i < p->n_features; i++)
        if (p->features[i].n >= 10 && memcmp(p->features[i].p, "attributes", 10) == 0) return true;
    return false;
}

static enum meros_code extract(struct training *t, struct meros_err *err)
{
    struct service *svc = t->ctx->svc;
    t->at = t->params.as_of == TIME_NONE ? clock_now() : t->params.as_of;
    enum meros_code rc = store_connect(svc->store, &t->conn, err);
    if (rc == MEROS_OK) job_uses(t->ctx, t->conn);
    if (rc == MEROS_OK) rc = store_set_timeout(t->conn, 0, err);
    if (rc == MEROS_OK) rc = store_extraction_begin(t->conn, err); /* until the connection is closed */
    if (rc != MEROS_OK) return rc;
    /* A row of the matrix (before columns are chosen, the catalogue's), labels, and the scratch of profiles. */
    const size_t extra = FEATURE_COUNT * sizeof(float) + 2 * sizeof(int32_t) + 3 * sizeof(double);
    const struct scoring_progress progress = {job_step, t->ctx, 0, 0.35, "extracting"};
    rc = scoring_extract(svc, t->conn, t->params.as_of, t->at, NULL, wants_attributes(&t->params), extra, &progress, &t->data,
                         err);
    if (rc == MEROS_CANCELLED) return job_stopped(t->ctx, err);
    if (rc != MEROS_OK) return rc;
    if (t->data.n > 0) return MEROS_OK;
    if (t->params.as_of == TIME_NONE)
        return err_set(err, MEROS_UNPROCESSABLE, "There are no customers to divide; import customers, orders or events first.");
    char text[TIME_TEXT];
    time_format(t->params.as_of, text);
    return err_set(err, MEROS_UNPROCESSABLE, "No customer was known before %s, the `as_of` of this training.", text);
}

/* --- 4. the names of segments */

/* The number of an id "s12"; 0 for any other. */
static int64_t id_number(struct str id)
{
    int64_t n;
    return id.n > 1 && id.p[0] == 's' && str_to_int64((struct str){id.p + 1, id.n - 1}, &n) && n > 0 ? n : 0;
}

/* How many customers of each old segment (by its number) are in each new one; both sides come by customer_no. */
struct overlap {
    const struct training *t;
    size_t at; /* row of the dataset reached */
    int64_t numbers[SEGMENTS_MAX];
    int n_old;
    int64_t counts[SEGMENTS_MAX * SEGMENTS_MAX]; /* (old, new), rows of SEGMENTS_MAX */
};

static enum meros_code count_overlap(void *arg, int64_t customer_no, struct str segment_id, struct meros_err *err)
{
    struct overlap *o = arg;
    (void)err;
    const struct dataset *d = &o->t->data;
    const int64_t number = id_number(segment_id);
    while (o->at < d->n && d->customer_no[o->at] < customer_no) o->at++;
    if (number == 0 || o->at == d->n || d->customer_no[o->at] != customer_no) return MEROS_OK;
    int old = 0;
    while (old < o->n_old && o->numbers[old] != number) old++;
    if (old == SEGMENTS_MAX) return MEROS_OK;
    if (old == o->n_old) o->numbers[o->n_old++] = number;
    o->counts[old * SEGMENTS_MAX + o->t->labels[o->at]]++;
    return MEROS_OK;
}

/* Orders segments by `number` and renames clusters accordingly, in centres, labels and description. */
static enum meros_code reorder(struct training *t, const int64_t *number, struct meros_err *err)
{
    struct segment_model *m = t->model;
    const int k = m->n_segments;
    const size_t d = m->prep.n_columns;
    int order[SEGMENTS_MAX], position[SEGMENTS_MAX];
    for (int i = 0; i < k; i++) {
        int at = i;
        while (at > 0 && number[order[at - 1]] > number[i]) {
            order[at] = order[at - 1];
            at--;
        }
        order[at] = i;
    }
    double *centres = malloc(((size_t)k * d + 1) * sizeof *centres);
    struct segment_summary *segments = calloc(SEGMENTS_MAX, sizeof *segments);
    if (centres == NULL || segments == NULL) {
        free(centres);
        free(segments);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    }
    for (int p = 0; p < k; p++) {
        position[order[p]] = p;
        memcpy(centres + (size_t)p * d, m->centres + (size_t)order[p] * d, d * sizeof *centres);
        segments[p] = t->desc.segments[order[p]];
        snprintf(m->segments[p].id, sizeof m->segments[p].id, "s%lld", (long long)number[order[p]]);
    }
    for (size_t i = 0; i < t->data.n; i++) t->labels[i] = position[t->labels[i]];
    free(m->centres);
    m->centres = centres;
    free(t->desc.segments);
    t->desc.segments = segments; /* their features point into desc.cells, which stays */
    return MEROS_OK;
}

/* Ids: a segment that continues one of the active model keeps its id; others get numbers never used before, larger
 * segments first. In the transaction that holds the segmentation. */
static enum meros_code name_segments(struct training *t, int64_t segmentation_no, int64_t *next, struct meros_err *err)
{
    if (t->params.method != SEGMENT_KMEANS) return MEROS_OK; /* they have names of their own */
    const int k = t->model->n_segments;
    int64_t number[SEGMENTS_MAX] = {0};
    int old_of_new[SEGMENTS_MAX];
    struct overlap *o = calloc(1, sizeof *o);
    if (o == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    o->t = t;
    enum meros_code rc = store_memberships_read(t->conn, segmentation_no, count_overlap, o, err);
    if (rc == MEROS_OK && o->n_old > 0) {
        for (int old = 0; old < o->n_old; old++) /* to rows of k, in place */
            memmove(o->counts + old * k, o->counts + old * SEGMENTS_MAX, (size_t)k * sizeof *o->counts);
        rc = label_match(o->counts, o->n_old, k, LABEL_MATCH_MIN_SHARE, old_of_new, err);
        for (int c = 0; c < k && rc == MEROS_OK; c++)
            if (old_of_new[c] >= 0) number[c] = o->numbers[old_of_new[c]];
    }
    free(o);
    for (;;) {
        int largest = -1;
        for (int c = 0; c < k; c++)
            if (number[c] == 0 && (largest < 0 || t->desc.segments[c].size > t->desc.segments[largest].size)) largest = c;
        if (largest < 0) break;
        number[largest] = (*next)++;
    }
    return rc == MEROS_OK ? reorder(t, number, err) : rc;
}

static void label_segments(struct training *t)
{
    if (t->params.method != SEGMENT_KMEANS) return;
    char labels[SEGMENTS_MAX][SEGMENT_LABEL_MAX + 1];
    describe_label(&t->desc, labels);
    for (int s = 0; s < t->model->n_segments; s++) memcpy(t->model->segments[s].label, labels[s], sizeof labels[s]);
}

/* --- 5. storing */

static void write_k_table(const struct training *t, struct jsonw *w)
{
    jsonw_kcstr(w, "k_chosen_by", t->index);
    jsonw_key(w, "k_table");
    jsonw_begin_array(w);
    for (size_t i = 0; i < t->n_table; i++) {
        const struct kmeans_k_row *r = &t->table[i];
        jsonw_begin_object(w);
        jsonw_kint(w, "k", r->k);
        jsonw_knum(w, "silhouette", r->silhouette);
        jsonw_knum(w, "calinski_harabasz", r->calinski_harabasz);
        jsonw_knum(w, "davies_bouldin", r->davies_bouldin);
        jsonw_knum(w, "inertia", r->inertia);
        jsonw_knum(w, "score", r->score);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_importances(const struct training *t, struct jsonw *w)
{
    jsonw_key(w, "feature_importances");
    jsonw_begin_array(w);
    for (size_t j = 0; j < t->desc.n_features; j++) {
        jsonw_begin_object(w);
        jsonw_kcstr(w, "feature", t->desc.names[j]);
        jsonw_knum(w, "importance", describe_importance(&t->desc, j));
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_metrics(const struct training *t, struct jsonw *w)
{
    const bool known = t->has_metrics;
    int segments = 0;
    for (int s = 0; s < t->desc.k; s++) segments += t->desc.segments[s].size > 0;
    jsonw_begin_object(w);
    jsonw_knum(w, "silhouette", known ? t->metrics.silhouette : NAN);
    jsonw_knum(w, "calinski_harabasz", known ? t->metrics.calinski_harabasz : NAN);
    jsonw_knum(w, "davies_bouldin", known ? t->metrics.davies_bouldin : NAN);
    if (t->params.method != SEGMENT_RFM) {
        jsonw_knum(w, "inertia", known ? t->metrics.inertia : 0);
        jsonw_kint(w, "iterations", t->iterations);
        jsonw_kbool(w, "converged", t->converged);
    }
    if (known && !t->metrics.silhouette_exact) jsonw_kint(w, "silhouette_rows", (int64_t)t->metrics.silhouette_rows);
    jsonw_kint(w, "customers", (int64_t)t->data.n);
    jsonw_kint(w, "segments", segments);
    if (t->params.method == SEGMENT_VALUE) {
        jsonw_key(w, "tiers"); /* from which value on a customer is in each but the last */
        jsonw_begin_array(w);
        for (int i = 0; i + 2 < t->model->n_segments; i++) jsonw_num(w, t->model->tiers[i]);
        jsonw_end_array(w);
    }
    if (t->index != NULL) write_k_table(t, w);
    write_importances(t, w);
    jsonw_end_object(w);
}

static void write_features(const struct training *t, struct jsonw *w)
{
    static const char *const rfm[] = {"recency_days", "frequency", "monetary"};
    jsonw_begin_array(w);
    for (size_t i = 0; t->params.method == SEGMENT_RFM && i < 3; i++) jsonw_cstr(w, rfm[i]);
    if (t->params.method == SEGMENT_VALUE) jsonw_cstr(w, "clv");
    for (size_t j = 0; j < t->model->prep.n_columns; j++) {
        struct buf name;
        buf_init(&name, 4096);
        prep_column_name(&t->model->prep, j, &name);
        jsonw_str(w, (struct str){name.data, name.len});
        buf_done(&name);
    }
    jsonw_end_array(w);
}

static enum meros_code insert_model(struct training *t, struct meros_err *err)
{
    struct jsonw w;
    jsonw_init(&w, &t->metrics_json);
    write_metrics(t, &w);
    jsonw_init(&w, &t->features_json);
    write_features(t, &w);
    jsonw_init(&w, &t->params_json);
    segment_params_write(&t->params, &w);
    t->model->trained_at = clock_now();
    if (t->metrics_json.failed || t->features_json.failed || t->params_json.failed)
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while writing down the model.");
    const struct segment_model *m = t->model;
    const struct model_row row = {
        .name = t->params.name,
        .algorithm = str_of(segment_method_words[m->method]),
        .params = {t->params_json.data, t->params_json.len},
        .features = {t->features_json.data, t->features_json.len},
        .metrics = {t->metrics_json.data, t->metrics_json.len},
        .seed = t->params.seed,
        .as_of = m->as_of,
        .evaluated_at = t->at,
        .trained_at = m->trained_at,
        .data_from = m->data_from,
        .data_to = m->data_to,
        .rows = (int64_t)m->rows,
        .row_hash = {(const char *)m->row_hash, SHA256_BYTES},
        .build = str_of(m->build),
        .job_id = str_of(t->ctx->id),
    };
    return models_store(t->conn, &(struct model){MODEL_SEGMENTS, {t->model}}, &row, &t->stored, err);
}

static void write_result(struct training *t)
{
    struct jsonw *w = t->ctx->result;
    jsonw_begin_object(w);
    jsonw_key(w, "model");
    models_write_ref(w, &t->stored, MODEL_SEGMENTS, t->model->name, segment_method_words[t->model->method]);
    jsonw_kraw(w, "metrics", (struct str){t->metrics_json.data, t->metrics_json.len});
    jsonw_key(w, "segments");
    jsonw_begin_array(w);
    for (int s = 0; s < t->model->n_segments; s++) {
        if (t->desc.segments[s].size == 0) continue;
        jsonw_begin_object(w);
        jsonw_kcstr(w, "id", t->model->segments[s].id);
        jsonw_kcstr(w, "label", t->model->segments[s].label);
        jsonw_kint(w, "size", (int64_t)t->desc.segments[s].size);
        jsonw_knum(w, "share", t->desc.segments[s].share);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

/* The one transaction that others see. */
static enum meros_code write_all(struct training *t, struct meros_err *err)
{
    int64_t segmentation_no, next;
    enum meros_code rc = store_segmentation_lock(t->conn, t->params.name, &segmentation_no, &next, err);
    if (rc == MEROS_OK) rc = name_segments(t, segmentation_no, &next, err);
    if (rc != MEROS_OK) return rc;
    label_segments(t);
    rc = store_segmentation_set_next(t->conn, segmentation_no, next, err);
    if (rc == MEROS_OK) rc = insert_model(t, err);
    if (rc == MEROS_OK) rc = training_step(t, 0.9, "storing", err);
    if (rc == MEROS_OK)
        rc = scoring_write(t->conn, segmentation_no, t->stored.no, t->model, &t->data, t->labels, &t->desc, t->at, NULL, err);
    if (rc == MEROS_OK) rc = store_model_activate(t->conn, t->stored.no, t->model->trained_at, err);
    if (rc != MEROS_OK) return rc;
    write_result(t);
    rc = training_step(t, 0.99, "storing", err);
    if (rc == MEROS_OK) rc = job_finish_in(t->ctx, t->conn, err);
    return rc;
}

static enum meros_code store_it(struct training *t, struct meros_err *err)
{
    enum meros_code rc = training_step(t, 0.85, "storing", err);
    if (rc == MEROS_OK) rc = store_begin(t->conn, err);
    if (rc != MEROS_OK) return rc;
    struct snapshot *active = NULL;
    rc = write_all(t, err);
    if (rc == MEROS_OK) rc = serving_publish_begin(t->ctx->svc, t->conn, &active, err);
    if (rc == MEROS_OK) {
        rc = store_commit(t->conn, err);
        serving_publish_end(t->ctx->svc, active, rc == MEROS_OK);
    }
    if (rc != MEROS_OK) {
        store_rollback(t->conn);
        return rc;
    }
    log_info("model.trained", KV("model", t->stored.id), KV("segmentation", t->model->name), KV_I("version", t->stored.version),
             KV("algorithm", segment_method_words[t->model->method]), KV_I("customers", t->data.n),
             KV_I("segments", t->model->n_segments));
    return MEROS_OK;
}

static void training_done(struct training *t)
{
    job_uses(t->ctx, NULL);
    store_disconnect(t->conn);
    ml_pool_free(t->pool);
    describe_done(&t->desc);
    segment_model_free(t->model);
    free(t->labels);
    free(t->worths);
    free(t->x);
    dataset_done(&t->data);
    buf_done(&t->metrics_json);
    buf_done(&t->features_json);
    buf_done(&t->params_json);
    free(t);
}

static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
{
    struct training *t = calloc(1, sizeof *t);
    if (t == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    t->ctx = ctx;
    buf_init(&t->metrics_json, 1 << 20);
    buf_init(&t->features_json, 1 << 20);
    buf_init(&t->params_json, 1 << 16);
    enum meros_code rc = segment_params_read(ctx->params, clock_now(), &t->params, err);
    if (rc == MEROS_OK) rc = ml_pool_new(&t->pool, ctx->svc->settings.training_threads, 0, err);
    if (rc == MEROS_OK) rc = extract(t, err);
    if (rc == MEROS_OK) rc = training_fit(t, err);
    if (rc == MEROS_OK) rc = training_step(t, 0.8, "describing", err);
    if (rc == MEROS_OK) rc = describe_fit(&t->desc, &t->data, &t->model->prep, t->labels, t->model->n_segments, err);
    if (rc == MEROS_OK) rc = store_it(t, err);
    if (rc == MEROS_CANCELLED) rc = job_stopped(ctx, err);
    training_done(t);
    return rc;
}

static enum meros_code check(struct service *svc, const struct json *params, struct meros_err *err)
{
    (void)svc;
    struct segment_params ignored;
    return segment_params_read(params, clock_now(), &ignored, err);
}

const struct job_kind training_segments_kind = {
    .name = "train.segments",
    .help = "Divide the customers into segments.",
    .check_params = check,
    .run = run,
};
