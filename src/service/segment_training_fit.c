/* "train.segments": preparing and clustering, by each of the methods (k-means, RFM, tiers of value), and how good it is. */
#include "segment_training_priv.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/ml/matrix.h"
#include "meros/service/scoring.h"

enum { TIERS_AUTO_MIN = 3, TIERS_AUTO_MAX = 5 }; /* as many as somebody can treat differently */

/* --- 2. preparing */

static enum meros_code prepare(struct segment_training *t, const struct str *features, size_t n_features, struct prep *prep,
                               struct meros_err *err)
{
    enum meros_code rc = training_step(&t->base, 0.36, "preparing", err);
    const struct prep_params params = {t->params.scaling, features, n_features};
    if (rc == MEROS_OK) rc = prep_fit(&t->data, &params, prep, err);
    if (rc != MEROS_OK) return rc;
    t->x = ml_alloc(t->data.n * prep->n_columns, sizeof *t->x);
    if (t->x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while preparing %zu customers.", t->data.n);
    return prep_matrix(prep, &t->data, t->x, err);
}

static void hash_rows(const struct segment_training *t, unsigned char out[SHA256_BYTES])
{
    unsigned char parts[2 * SHA256_BYTES];
    crypto_sha256(t->data.customer_no, t->data.n * sizeof *t->data.customer_no, parts);
    crypto_sha256(t->data.raw, t->data.n * FEATURE_COUNT * sizeof *t->data.raw, parts + SHA256_BYTES);
    crypto_sha256(parts, sizeof parts, out);
}

/* --- 3. clustering */

static struct ml_run ml_run_of(const struct segment_training *t, struct training_part *part)
{
    return training_ml_run(part, t->data.bytes + t->data.n * t->model->prep.n_columns * sizeof *t->x);
}

/* Clusters that nobody is in (fewer distinct customers than k) are no segments. */
static enum meros_code keep_centres(struct segment_training *t, const struct kmeans_result *fit, struct meros_err *err)
{
    const size_t d = t->model->prep.n_columns;
    struct segment_model *m = t->model;
    struct segment_name *segments = calloc((size_t)fit->n_nonempty, sizeof *segments);
    m->centres = calloc((size_t)fit->n_nonempty * d + 1, sizeof *m->centres);
    if (segments == NULL || m->centres == NULL) {
        free(segments);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while clustering.");
    }
    free(m->segments);
    m->segments = segments;
    m->n_segments = 0;
    for (int c = 0; c < fit->k; c++) {
        if (fit->sizes[c] == 0) continue;
        memcpy(m->centres + (size_t)m->n_segments++ * d, fit->centres + (size_t)c * d, d * sizeof *m->centres);
    }
    t->iterations = fit->iterations;
    t->converged = fit->converged;
    return MEROS_OK;
}

static enum meros_code one_segment(struct segment_training *t, struct meros_err *err)
{
    t->model->n_segments = 1;
    t->model->centres = calloc(t->model->prep.n_columns + 1, sizeof *t->model->centres);
    t->converged = true;
    return t->model->centres == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.") : MEROS_OK;
}

static enum meros_code choose_k(struct segment_training *t, struct ml_matrix x, const struct kmeans_params *params,
                                const struct ml_run *run, struct meros_err *err)
{
    struct kmeans_choice choice;
    enum meros_code rc = kmeans_choose_k(x, params, KMEANS_AUTO_K_MIN, KMEANS_AUTO_K_MAX, run, &choice, err);
    if (rc != MEROS_OK) return rc;
    t->n_table = choice.n_table;
    memcpy(t->table, choice.table, choice.n_table * sizeof *t->table);
    t->index = choice.index;
    rc = keep_centres(t, &choice.fit, err);
    kmeans_choice_done(&choice);
    return rc;
}

/* Nobody differs from anybody in any feature that is looked at. */
static bool all_alike(const struct segment_training *t)
{
    const size_t d = t->model->prep.n_columns;
    for (size_t i = 1; i < t->data.n; i++)
        if (memcmp(t->x, t->x + i * d, d * sizeof *t->x) != 0) return false;
    return true;
}

static enum meros_code fit_kmeans(struct segment_training *t, struct meros_err *err)
{
    enum meros_code rc = prepare(t, t->params.features, t->params.n_features, &t->model->prep, err);
    if (rc == MEROS_OK) rc = training_step(&t->base, 0.4, "clustering", err);
    if (rc != MEROS_OK) return rc;
    const size_t n = t->data.n, d = t->model->prep.n_columns;
    if (t->params.k > 0 && (size_t)t->params.k > n)
        return err_set(err, MEROS_UNPROCESSABLE, "k is %d, but there are only %zu customers to divide.", t->params.k, n);
    const bool alike = d == 0 || all_alike(t);
    if (alike && t->params.k > 1)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "All %zu customers are alike in the features looked at; they cannot be divided into %d segments.", n,
                       t->params.k);
    if (t->params.k == 1 || alike || (t->params.k == 0 && n < 3)) return one_segment(t, err);

    struct kmeans_params params = KMEANS_PARAMS_DEFAULT;
    params.seed = (uint64_t)t->params.seed;
    struct training_part part = {&t->base, 0.4, 0.75, "clustering"};
    struct ml_run run = ml_run_of(t, &part);
    const struct ml_matrix x = {t->x, n, d};
    if (t->params.k == 0) {
        rc = choose_k(t, x, &params, &run, err);
    } else {
        struct kmeans_result fit;
        params.k = t->params.k;
        rc = kmeans_fit(x, &params, &run, &fit, err);
        if (rc == MEROS_OK) {
            rc = keep_centres(t, &fit, err);
            kmeans_result_done(&fit);
        }
    }
    return rc;
}

/* RFM needs no clustering; its quality indices are taken over the three measures of those who have bought. */
static enum meros_code fit_rfm(struct segment_training *t, struct prep *axes, struct meros_err *err)
{
    static const struct str features[] = {{"recency_days", 12}, {"frequency", 9}, {"monetary", 8}};
    enum meros_code rc = rfm_fit(&t->data, &t->model->cuts, err);
    if (rc == MEROS_OK) rc = prepare(t, features, 3, axes, err);
    if (rc != MEROS_OK) return rc;
    for (int g = 0; g < RFM_GROUP_COUNT; g++) {
        (void)str_copy(t->model->segments[g].id, sizeof t->model->segments[g].id, str_of(rfm_group_slug((enum rfm_group)g)));
        (void)str_copy(t->model->segments[g].label, sizeof t->model->segments[g].label,
                       str_of(rfm_group_label((enum rfm_group)g)));
    }
    t->converged = true;
    return MEROS_OK;
}

/* --- tiers of value: k-means over the logarithm of what customers are predicted to be worth, so that no bound lies among
 * customers who hardly differ, as one between equal numbers of customers would. */

/* The bound between two neighbouring tiers lies in the middle of their centres. */
static enum meros_code keep_tiers(struct segment_training *t, const struct kmeans_result *fit, struct meros_err *err)
{
    double centres[SEGMENTS_MAX];
    int k = 0;
    for (int c = 0; c < fit->k; c++)
        if (fit->sizes[c] > 0) centres[k++] = fit->centres[c];
    for (int i = 1; i < k; i++)
        for (int j = i; j > 0 && centres[j] > centres[j - 1]; j--) {
            const double lower = centres[j - 1];
            centres[j - 1] = centres[j];
            centres[j] = lower;
        }
    struct segment_model *m = t->model;
    struct segment_name *segments = calloc((size_t)k + 1, sizeof *segments);
    m->tiers = calloc((size_t)k, sizeof *m->tiers);
    if (segments == NULL || m->tiers == NULL) {
        free(segments);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while clustering.");
    }
    free(m->segments);
    m->segments = segments;
    m->n_segments = k + 1;
    for (int i = 0; i + 1 < k; i++) m->tiers[i] = expm1((centres[i] + centres[i + 1]) / 2);
    for (int i = 0; i <= k; i++) segment_tier_name(i, k, &segments[i]);
    t->iterations = fit->iterations;
    t->converged = fit->converged;
    return MEROS_OK;
}

static enum meros_code one_tier(struct segment_training *t, struct meros_err *err)
{
    size_t size = 1;
    double centre = 0;
    const struct kmeans_result fit = {.k = 1, .centres = &centre, .sizes = &size, .converged = true};
    return keep_tiers(t, &fit, err);
}

/* By the silhouette alone: along one line the other indices only ask for more and more tiers. */
static enum meros_code choose_tiers(struct segment_training *t, struct ml_matrix x, struct kmeans_params *params, const struct ml_run *run,
                                    struct meros_err *err)
{
    struct kmeans_choice choice;
    enum meros_code rc = kmeans_choose_k(x, params, TIERS_AUTO_MIN, TIERS_AUTO_MAX, run, &choice, err);
    if (rc != MEROS_OK) return rc;
    const struct kmeans_k_row *best = NULL;
    t->n_table = choice.n_table;
    t->index = "silhouette";
    for (size_t i = 0; i < choice.n_table; i++) {
        t->table[i] = choice.table[i];
        t->table[i].score = choice.table[i].silhouette;
        if (best == NULL || t->table[i].score > best->score) best = &t->table[i];
    }
    params->k = best != NULL && best->score > 0 ? best->k : TIERS_AUTO_MIN; /* NaN: not to be told */
    kmeans_choice_done(&choice);
    return MEROS_OK;
}

static enum meros_code find_tiers(struct segment_training *t, struct ml_matrix x, struct meros_err *err)
{
    struct kmeans_params params = KMEANS_PARAMS_DEFAULT;
    params.seed = (uint64_t)t->params.seed;
    params.k = t->params.k;
    struct training_part choosing = {&t->base, 0.4, 0.7, "clustering"}, part = {&t->base, 0.7, 0.75, "clustering"};
    struct ml_run run = ml_run_of(t, &choosing);
    struct kmeans_result fit;
    enum meros_code rc = t->params.k == 0 ? choose_tiers(t, x, &params, &run, err) : MEROS_OK;
    if (rc != MEROS_OK) return rc;
    run = ml_run_of(t, &part);
    rc = kmeans_fit(x, &params, &run, &fit, err);
    if (rc != MEROS_OK) return rc;
    rc = keep_tiers(t, &fit, err);
    kmeans_result_done(&fit);
    return rc;
}

/* x: (n) logarithms; of those who have bought nothing, nought: they are measured by nobody. */
static enum meros_code fit_value(struct segment_training *t, struct meros_err *err)
{
    const struct scoring_progress progress = {job_step, t->base.ctx, 0.36, 0.4, "preparing"};
    enum meros_code rc = scoring_worths(t->base.ctx->svc, &t->data, t->params.as_of, &progress, &t->worths, err);
    if (rc != MEROS_OK) return rc;
    float *bought = ml_alloc(t->data.n + 1, sizeof *bought);
    t->x = ml_alloc(t->data.n + 1, sizeof *t->x);
    if (bought == NULL || t->x == NULL) {
        free(bought);
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while preparing %zu customers.", t->data.n);
    }
    size_t n = 0;
    bool differ = false;
    for (size_t i = 0; i < t->data.n; i++) {
        t->x[i] = isnan(t->worths[i]) ? 0 : (float)log1p(t->worths[i]);
        if (isnan(t->worths[i])) continue;
        bought[n++] = t->x[i];
        differ |= bought[n - 1] != bought[0];
    }
    if (n == 0) {
        rc = err_set(err, MEROS_UNPROCESSABLE, "Nobody has bought anything yet; there is no value to divide customers by.");
    } else if (t->params.k > 0 && (size_t)t->params.k > n) {
        rc = err_set(err, MEROS_UNPROCESSABLE, "k is %d, but only %zu customers have bought.", t->params.k, n);
    } else if (!differ && t->params.k > 1) {
        rc = err_set(err, MEROS_UNPROCESSABLE, "All %zu customers who have bought are predicted to be worth the same; they cannot be divided into %d tiers.", n, t->params.k);
    } else if (t->params.k == 1 || !differ || (t->params.k == 0 && n <= TIERS_AUTO_MAX)) {
        rc = one_tier(t, err);
    } else {
        rc = find_tiers(t, (struct ml_matrix){bought, n, 1}, err);
    }
    free(bought);
    return rc;
}

static enum meros_code measure(struct segment_training *t, size_t columns, struct meros_err *err)
{
    if (columns == 0) return MEROS_OK;
    /* Those who have bought nothing are set apart, not clustered. */
    const int nobody = t->params.method == SEGMENT_RFM ? RFM_NO_PURCHASES : t->params.method == SEGMENT_VALUE ? t->model->n_segments - 1 : -1;
    struct training_part part = {&t->base, 0.75, 0.8, "clustering"};
    struct ml_run run = ml_run_of(t, &part);
    const struct cluster_metrics_params params = {.seed = (uint64_t)t->params.seed};
    int32_t *labels = malloc((t->data.n + 1) * sizeof *labels);
    if (labels == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while measuring the clustering.");
    for (size_t i = 0; i < t->data.n; i++)
        labels[i] = t->labels[i] == nobody ? -1 : t->labels[i];
    enum meros_code rc = cluster_metrics((struct ml_matrix){t->x, t->data.n, columns}, labels, t->model->n_segments, &params,
                                         &run, &t->metrics, err);
    free(labels);
    t->has_metrics = rc == MEROS_OK;
    return rc;
}

static void set_origin(struct segment_training *t)
{
    struct segment_model *m = t->model;
    (void)str_copy(m->name, sizeof m->name, t->params.name);
    m->seed = (uint64_t)t->params.seed;
    m->as_of = t->params.as_of;
    m->half_life_days = t->data.half_life_days;
    m->rows = t->data.n;
    hash_rows(t, m->row_hash);
    snprintf(m->build, sizeof m->build, "meros %s, kernel %s, %s", MEROS_VERSION, kmeans_kernel(), __VERSION__);
    m->data_from = t->data.first_at;
    m->data_to = t->data.last_at;
}

enum meros_code segment_training_fit(struct segment_training *t, struct meros_err *err)
{
    struct prep axes = {0};
    const enum segment_method method = t->params.method;
    t->model = segment_model_new(method, method == SEGMENT_RFM ? RFM_GROUP_COUNT : 1);
    if (t->model == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    enum meros_code rc = method == SEGMENT_RFM ? fit_rfm(t, &axes, err) : method == SEGMENT_VALUE ? fit_value(t, err) : fit_kmeans(t, err);
    if (rc == MEROS_OK) set_origin(t);
    t->labels = malloc((t->data.n + 1) * sizeof *t->labels);
    if (rc == MEROS_OK && t->labels == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    if (rc == MEROS_OK) rc = scoring_assign(t->model, &t->data, t->worths, t->labels, err);
    const size_t columns = method == SEGMENT_RFM ? axes.n_columns : method == SEGMENT_VALUE ? 1 : t->model->prep.n_columns;
    if (rc == MEROS_OK) rc = measure(t, columns, err);
    prep_done(&axes);
    free(t->x);
    t->x = NULL;
    return rc;
}
