/* cluster_metrics: the quality of a given labelling. choose_k: k-means with k "auto". */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/ml/cluster_metrics.h"
#include "meros/ml/matrix.h"

/* JSON has no NaN: an index that is undefined is null. */
static const char *number(char *to, size_t cap, double v)
{
    if (isfinite(v))
        snprintf(to, cap, "%.9g", v);
    else
        snprintf(to, cap, "null");
    return to;
}

static void print(const char *task, size_t n, double seconds, const struct cluster_metrics *m,
                  const char *more)
{
    char s[3][32];
    bench_print(task, n, seconds,
                "\"silhouette\": %s, \"silhouette_exact\": %s, \"silhouette_rows\": %zu, "
                "\"calinski_harabasz\": %s, \"davies_bouldin\": %s, \"inertia\": %.9g, \"clusters\": %d%s",
                number(s[0], sizeof s[0], m->silhouette), m->silhouette_exact ? "true" : "false",
                m->silhouette_rows, number(s[1], sizeof s[1], m->calinski_harabasz),
                number(s[2], sizeof s[2], m->davies_bouldin), m->inertia, m->clusters, more);
}

static enum meros_code to_labels(const struct npy *y, size_t rows, int32_t **out, int *out_k,
                                 struct meros_err *err)
{
    if (y->rows * y->cols != rows) {
        return err_set(err, MEROS_INVALID, "--y has %zu labels, --x %zu rows", y->rows * y->cols, rows);
    }
    int32_t *labels = ml_alloc(rows, sizeof *labels);
    if (labels == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu labels", rows);
    int k = 1;
    for (size_t i = 0; i < rows; i++) {
        if (!(y->f64[i] >= -1 && y->f64[i] < KMEANS_K_MAX) || y->f64[i] != floor(y->f64[i])) {
            free(labels);
            return err_set(err, MEROS_INVALID, "--y: label %zu is %g; labels are 0 to %d, -1 for noise", i,
                           y->f64[i], KMEANS_K_MAX - 1);
        }
        labels[i] = (int32_t)y->f64[i];
        if (labels[i] >= k) k = labels[i] + 1;
    }
    *out = labels;
    *out_k = k;
    return MEROS_OK;
}

static enum meros_code run_metrics(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"silhouette_rows", "seed", NULL};
    struct npy x = {0}, y = {0};
    int32_t *labels = NULL;
    int k = 0;
    int64_t rows, seed;
    struct ml_run with = {.pool = a->pool};
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "silhouette_rows", SILHOUETTE_ROWS_DEFAULT, &rows, err);
    if (code == MEROS_OK) code = bench_whole(a, "seed", 0, &seed, err);
    if (code == MEROS_OK && (a->x == NULL || a->y == NULL || a->init != NULL || rows < 2)) {
        code =
            err_set(err, MEROS_INVALID, "cluster_metrics needs --x and --y, no --init, silhouette_rows >= 2");
    }
    if (code == MEROS_OK) code = npy_load(a->x, NPY_F32, &x, err);
    if (code == MEROS_OK) code = npy_load(a->y, NPY_F64, &y, err);
    if (code == MEROS_OK) code = to_labels(&y, x.rows, &labels, &k, err);
    if (code == MEROS_OK) {
        struct cluster_metrics m;
        struct cluster_metrics_params p = {(size_t)rows, (uint64_t)seed};
        double start = bench_seconds();
        code = cluster_metrics((struct ml_matrix){x.f32, x.rows, x.cols}, labels, k, &p, &with, &m, err);
        if (code == MEROS_OK) print("cluster_metrics", x.rows, bench_seconds() - start, &m, "");
    }
    free(labels);
    npy_done(&x);
    npy_done(&y);
    return code;
}

static enum meros_code run_choose(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"k_min", "k_max", "n_init", "seed", NULL};
    struct npy x = {0};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c = {0};
    int64_t k_min, k_max, n_init, seed;
    struct ml_run with = {.pool = a->pool};
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "k_min", KMEANS_AUTO_K_MIN, &k_min, err);
    if (code == MEROS_OK) code = bench_whole(a, "k_max", KMEANS_AUTO_K_MAX, &k_max, err);
    if (code == MEROS_OK) code = bench_whole(a, "n_init", p.n_init, &n_init, err);
    if (code == MEROS_OK) code = bench_whole(a, "seed", 0, &seed, err);
    if (code == MEROS_OK && (a->x == NULL || a->y != NULL || a->init != NULL)) {
        code = err_set(err, MEROS_INVALID, "choose_k needs --x, and no --y or --init");
    }
    if (code == MEROS_OK) code = npy_load(a->x, NPY_F32, &x, err);
    if (code == MEROS_OK) {
        p.n_init = n_init >= 1 && n_init <= 1000 ? (int)n_init : 0; /* refused in words by the fit */
        p.seed = (uint64_t)seed;
        int from = k_min >= 0 && k_min <= 1000 ? (int)k_min : 0,
            to = k_max >= 0 && k_max <= 1000 ? (int)k_max : 0;
        double start = bench_seconds();
        code = kmeans_choose_k((struct ml_matrix){x.f32, x.rows, x.cols}, &p, from, to, &with, &c, err);
        if (code == MEROS_OK) {
            char more[64];
            snprintf(more, sizeof more, ", \"k\": %d, \"index\": \"%s\"", c.fit.k, c.index);
            print("choose_k", x.rows, bench_seconds() - start, &c.metrics, more);
        }
    }
    kmeans_choice_done(&c);
    npy_done(&x);
    return code;
}

const struct bench_task bench_cluster_metrics = {
    .name = "cluster_metrics",
    .usage = "    --x (n, d)  rows     --y (n)  their labels, 0 and up, -1 for noise\n"
             "    --param silhouette_rows=20000 (exact up to so many rows, a sample of them above) seed=0\n"
             "    quality: silhouette, calinski_harabasz, davies_bouldin, inertia, clusters\n",
    .run = run_metrics,
};
const struct bench_task bench_choose_k = {
    .name = "choose_k",
    .usage = "    --x (n, d)  rows to cluster with k-means, k \"auto\"\n"
             "    --param k_min=2 k_max=12 n_init=4 seed=0\n"
             "    quality: that of cluster_metrics, k, index (which rule decided)\n",
    .run = run_choose,
};
