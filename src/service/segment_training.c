/* "train.segments": extracting, what segments are called, what is stored. From statistics to a model: segment_training_fit.c; the
 * course of the job: training.c. */
#include "segment_training_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/clock.h"
#include "meros/ml/assign.h"
#include "meros/service/scoring.h"
#include "meros/store/changed.h"
#include "meros/store/models.h"
#include "meros/store/segment_changes.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"

/* --- 1. extracting */

static bool wants_attributes(const struct segment_params *p)
{
    if (p->method != SEGMENT_KMEANS) return false;
    if (p->n_features == 0) return true;
    for (size_t i = 0; i < p->n_features; i++)
        if (p->features[i].n >= 10 && memcmp(p->features[i].p, "attributes", 10) == 0) return true;
    return false;
}

static enum meros_code extract(struct segment_training *t, struct meros_err *err)
{
    enum meros_code rc = store_extraction_begin(t->base.conn, err); /* until the connection is closed */
    if (rc != MEROS_OK) return rc;
    /* A row of the matrix (before columns are chosen, the catalogue's), labels, and the scratch of profiles. */
    const size_t extra = FEATURE_COUNT * sizeof(float) + 2 * sizeof(int32_t) + 3 * sizeof(double);
    const struct scoring_progress progress = {job_step, t->base.ctx, 0, 0.35, "extracting"};
    rc = scoring_extract(t->base.ctx->svc, t->base.conn, t->params.as_of, t->base.at, NULL, wants_attributes(&t->params), extra,
                         &progress, &t->data, err);
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
    const struct segment_training *t;
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
static enum meros_code reorder(struct segment_training *t, const int64_t *number, struct meros_err *err)
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
static enum meros_code name_segments(struct segment_training *t, int64_t segmentation_no, int64_t *next, struct meros_err *err)
{
    if (t->params.method != SEGMENT_KMEANS) return MEROS_OK; /* they have names of their own */
    const int k = t->model->n_segments;
    int64_t number[SEGMENTS_MAX] = {0};
    int old_of_new[SEGMENTS_MAX];
    struct overlap *o = calloc(1, sizeof *o);
    if (o == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    o->t = t;
    enum meros_code rc = store_memberships_read(t->base.conn, segmentation_no, count_overlap, o, err);
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

static void label_segments(struct segment_training *t)
{
    if (t->params.method != SEGMENT_KMEANS) return;
    char labels[SEGMENTS_MAX][SEGMENT_LABEL_MAX + 1];
    describe_label(&t->desc, labels);
    for (int s = 0; s < t->model->n_segments; s++) memcpy(t->model->segments[s].label, labels[s], sizeof labels[s]);
}

/* --- 5. storing */

static void write_k_table(const struct segment_training *t, struct jsonw *w)
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

static void write_importances(const struct segment_training *t, struct jsonw *w)
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

static void write_metrics(const struct segment_training *t, struct jsonw *w)
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

/* What the model looks at: prepared columns, or what its method goes by. */
static void write_features(struct segment_training *t)
{
    switch (t->params.method) {
    case SEGMENT_RFM: buf_str(&t->base.features, "[\"recency_days\",\"frequency\",\"monetary\"]"); break;
    case SEGMENT_VALUE: buf_str(&t->base.features, "[\"clv\"]"); break;
    default: training_write_columns(&t->base, &t->model->prep);
    }
}

/* --- 6. what the course of a training asks of this kind */

static struct segment_training *of(struct training *t)
{
    return (struct segment_training *)t;
}

static enum meros_code read(struct training *base, int64_t now, struct meros_err *err)
{
    struct segment_training *t = of(base);
    enum meros_code rc = segment_params_read(base->ctx->params, now, &t->params, err);
    base->as_of = t->params.as_of;
    return rc;
}

static void write_params(const struct training *base, struct jsonw *w)
{
    segment_params_write(&((const struct segment_training *)base)->params, w);
}

static enum meros_code learn(struct training *base, struct meros_err *err)
{
    struct segment_training *t = of(base);
    enum meros_code rc = extract(t, err);
    if (rc == MEROS_OK) rc = segment_training_fit(t, err);
    if (rc == MEROS_OK) rc = training_step(base, 0.8, "describing", err);
    if (rc == MEROS_OK) rc = describe_fit(&t->desc, &t->data, &t->model->prep, t->labels, t->model->n_segments, err);
    if (rc == MEROS_OK) rc = store_pending_settle(base->conn, t->params.name, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw w;
    jsonw_init(&w, &base->metrics);
    write_metrics(t, &w);
    write_features(t);
    return MEROS_OK;
}

static enum meros_code lock(struct training *base, struct meros_err *err)
{
    struct segment_training *t = of(base);
    int64_t next;
    enum meros_code rc = store_segmentation_lock(base->conn, t->params.name, &t->segmentation_no, &next, err);
    if (rc == MEROS_OK) rc = name_segments(t, t->segmentation_no, &next, err);
    if (rc != MEROS_OK) return rc;
    label_segments(t);
    return store_segmentation_set_next(base->conn, t->segmentation_no, next, err);
}

static void row(struct training *base, struct model_row *row, struct model *out)
{
    struct segment_training *t = of(base);
    struct segment_model *m = t->model;
    m->trained_at = base->trained_at;
    out->segments = m;
    row->name = str_of(m->name);
    row->algorithm = str_of(segment_method_words[m->method]);
    row->seed = t->params.seed;
    row->as_of = m->as_of;
    row->data_from = m->data_from;
    row->data_to = m->data_to;
    row->rows = (int64_t)m->rows;
    row->row_hash = (struct str){(const char *)m->row_hash, SHA256_BYTES};
    row->build = str_of(m->build);
}

static enum meros_code activate(struct training *base, struct meros_err *err)
{
    struct segment_training *t = of(base);
    enum meros_code rc = scoring_write(base->conn, t->segmentation_no, base->stored.no, t->model, &t->data, t->labels, &t->desc,
                                       base->at, NULL, err);
    return rc == MEROS_OK ? store_model_activate(base->conn, base->stored.no, base->trained_at, err) : rc;
}

static void write_result(const struct training *base, struct jsonw *w)
{
    const struct segment_training *t = (const struct segment_training *)base;
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
}

static void done(struct training *base)
{
    struct segment_training *t = of(base);
    describe_done(&t->desc);
    segment_model_free(t->model);
    free(t->labels);
    free(t->worths);
    free(t->x);
    dataset_done(&t->data);
}

static const struct training_kind kind = {
    .model = MODEL_SEGMENTS,
    .size = sizeof(struct segment_training),
    .read = read,
    .write_params = write_params,
    .learn = learn,
    .lock = lock,
    .row = row,
    .activate = activate,
    .write_result = write_result,
    .done = done,
};

static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
{
    return training_run(&kind, ctx, err);
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
