/* Calinski-Harabasz and Davies-Bouldin from the clusters' means, in double; agreement of two labellings from
 * their contingency table. The silhouette is in silhouette.c. */
#include "meros/ml/cluster_metrics.h"

#include <math.h>
#include <stdlib.h>

#include "cluster_priv.h"

enum { CHUNK_ROWS = 8192 };

struct spread {
    struct ml_matrix x;
    const int32_t *labels;
    int k;
    size_t chunks;
    double *sums;     /* (chunks, k, d) */
    size_t *counts;   /* (chunks, k) */
    double *means;    /* (k, d) */
    double *square;   /* (chunks, k): squared distances to the means */
    double *distance; /* (chunks, k): distances to the means */
};

static size_t chunk_end(const struct spread *s, size_t chunk)
{
    size_t rows = (s->x.rows + s->chunks - 1) / s->chunks, end = (chunk + 1) * rows;
    return end < s->x.rows ? end : s->x.rows;
}
static size_t chunk_begin(const struct spread *s, size_t chunk)
{
    return chunk == 0 ? 0 : chunk_end(s, chunk - 1);
}

static void sum_part(void *arg, size_t chunk, int worker)
{
    (void)worker;
    const struct spread *s = arg;
    size_t d = s->x.cols, k = (size_t)s->k;
    for (size_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        if (s->labels[i] < 0) continue;
        double *sum = s->sums + (chunk * k + (size_t)s->labels[i]) * d;
        for (size_t f = 0; f < d; f++) sum[f] += (double)s->x.data[i * d + f];
        s->counts[chunk * k + (size_t)s->labels[i]]++;
    }
}

static void spread_part(void *arg, size_t chunk, int worker)
{
    (void)worker;
    const struct spread *s = arg;
    size_t d = s->x.cols, k = (size_t)s->k;
    for (size_t i = chunk_begin(s, chunk); i < chunk_end(s, chunk); i++) {
        if (s->labels[i] < 0) continue;
        const double *mean = s->means + (size_t)s->labels[i] * d;
        double sum = 0;
        for (size_t f = 0; f < d; f++) {
            double diff = (double)s->x.data[i * d + f] - mean[f];
            sum += diff * diff;
        }
        s->square[chunk * k + (size_t)s->labels[i]] += sum;
        s->distance[chunk * k + (size_t)s->labels[i]] += sqrt(sum);
    }
}

static double distance2(const double *a, const double *b, size_t d)
{
    double sum = 0;
    for (size_t f = 0; f < d; f++) sum += (a[f] - b[f]) * (a[f] - b[f]);
    return sum;
}

/* The first chunk's entries hold the totals from here on. */
static void add_up(struct spread *s)
{
    size_t d = s->x.cols, k = (size_t)s->k;
    for (size_t i = 1; i < s->chunks; i++) {
        for (size_t j = 0; j < k * d; j++) s->sums[j] += s->sums[i * k * d + j];
        for (size_t j = 0; j < k; j++) s->counts[j] += s->counts[i * k + j];
    }
    for (size_t j = 0; j < k * d; j++)
        s->means[j] = s->counts[j / d] > 0 ? s->sums[j] / (double)s->counts[j / d] : 0;
}

static void indices(struct spread *s, struct cluster_metrics *m)
{
    size_t d = s->x.cols, k = (size_t)s->k;
    for (size_t i = 1; i < s->chunks; i++) {
        for (size_t j = 0; j < k; j++) {
            s->square[j] += s->square[i * k + j];
            s->distance[j] += s->distance[i * k + j];
        }
    }
    double *overall = s->sums, within = 0, between = 0; /* the first row of sums is free to be reused */
    for (size_t f = 0; f < d; f++) {
        double total = 0;
        for (size_t j = 0; j < k; j++) total += s->means[j * d + f] * (double)s->counts[j];
        overall[f] = total / (double)m->rows;
    }
    for (size_t j = 0; j < k; j++) {
        within += s->square[j];
        if (s->counts[j] > 0) between += (double)s->counts[j] * distance2(s->means + j * d, overall, d);
    }
    m->inertia = within;
    if (m->clusters < 2) return;
    double n = (double)m->rows, c = (double)m->clusters;
    if (m->rows > (size_t)m->clusters)
        m->calinski_harabasz = within > 0 ? between / within * (n - c) / (c - 1) : 1;
    double worst_sum = 0;
    for (size_t i = 0; i < k; i++) {
        double worst = 0;
        for (size_t j = 0; j < k; j++) {
            if (i == j || s->counts[i] == 0 || s->counts[j] == 0) continue;
            double apart = sqrt(distance2(s->means + i * d, s->means + j * d, d));
            double ratio = s->distance[i] / (double)s->counts[i] + s->distance[j] / (double)s->counts[j];
            if (apart > 0 && ratio / apart > worst) worst = ratio / apart;
        }
        worst_sum += worst;
    }
    m->davies_bouldin = worst_sum / c;
}

enum meros_code cluster_metrics(struct ml_matrix x, const int32_t *labels, int k,
                                const struct cluster_metrics_params *params, const struct ml_run *run,
                                struct cluster_metrics *out, struct meros_err *err)
{
    if (k < 1 || k > KMEANS_K_MAX || x.cols < 1) {
        return err_set(err, MEROS_UNPROCESSABLE, "indices are for 1 to %d clusters of rows with columns",
                       KMEANS_K_MAX);
    }
    struct cluster_metrics m = {
        .silhouette = NAN, .calinski_harabasz = NAN, .davies_bouldin = NAN, .silhouette_exact = true};
    struct spread s = {.x = x, .labels = labels, .k = k};
    size_t kd = (size_t)k * x.cols;
    s.chunks = (x.rows + CHUNK_ROWS - 1) / CHUNK_ROWS;
    if (s.chunks > 64) s.chunks = 64;
    if (s.chunks < 1) s.chunks = 1;
    struct ml_need need = {0};
    ml_need_add(&need, (s.chunks + 1) * kd, sizeof(double));
    ml_need_add(&need, s.chunks * (size_t)k, 2 * sizeof(double) + sizeof(size_t));
    silhouette_need(&need, x, k, params);
    enum meros_code code =
        ml_need_check(&need, run == NULL ? 0 : run->memory_budget, "the quality of the clusters", err);
    if (code == MEROS_OK) code = ml_run_check(run, 0, "measuring the clusters", err);
    if (code != MEROS_OK) return code;
    s.sums = ml_alloc(s.chunks * kd, sizeof *s.sums);
    s.counts = ml_alloc(s.chunks * (size_t)k, sizeof *s.counts);
    s.means = ml_alloc(kd, sizeof *s.means);
    s.square = ml_alloc(s.chunks * (size_t)k, sizeof *s.square);
    s.distance = ml_alloc(s.chunks * (size_t)k, sizeof *s.distance);
    if (s.sums == NULL || s.counts == NULL || s.means == NULL || s.square == NULL || s.distance == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory to measure the clusters");
        goto out;
    }
    parallel_for(ml_run_pool(run), s.chunks, sum_part, &s);
    add_up(&s);
    for (int c = 0; c < k; c++) {
        m.rows += s.counts[c];
        m.clusters += s.counts[c] > 0;
    }
    if (m.rows > 0) {
        parallel_for(ml_run_pool(run), s.chunks, spread_part, &s);
        indices(&s, &m);
    }
    if (m.clusters > 1) code = silhouette_of(x, labels, k, m.rows, params, run, &m, err);
    if (code == MEROS_OK) *out = m;
out:
    free(s.sums);
    free(s.counts);
    free(s.means);
    free(s.square);
    free(s.distance);
    return code;
}

/* --- agreement of two labellings --- */

void contingency(const int32_t *a, int ka, const int32_t *b, int kb, size_t n, int64_t *table)
{
    for (size_t i = 0; i < (size_t)ka * (size_t)kb; i++) table[i] = 0;
    for (size_t i = 0; i < n; i++) {
        if (a[i] >= 0 && b[i] >= 0) table[(size_t)a[i] * (size_t)kb + (size_t)b[i]]++;
    }
}

static double pairs(double n)
{
    return n * (n - 1) / 2;
}

static double margin(const int64_t *table, size_t first, size_t step, int count)
{
    double sum = 0;
    for (int i = 0; i < count; i++) sum += (double)table[first + (size_t)i * step];
    return sum;
}

double adjusted_rand_index(const int64_t *table, int ka, int kb)
{
    double both = 0, in_a = 0, in_b = 0, n = 0;
    for (int i = 0; i < ka; i++) {
        double row = margin(table, (size_t)i * (size_t)kb, 1, kb);
        in_a += pairs(row);
        n += row;
        for (int j = 0; j < kb; j++) both += pairs((double)table[i * kb + j]);
    }
    for (int j = 0; j < kb; j++) in_b += pairs(margin(table, (size_t)j, (size_t)kb, ka));
    double expected = n < 2 ? 0 : in_a * in_b / pairs(n), most = (in_a + in_b) / 2;
    /* Both put everything together, or everything apart: they agree and nothing else was possible. */
    return most == expected ? 1 : (both - expected) / (most - expected);
}

static double entropy_of(double part, double n)
{
    return part > 0 ? -(part / n) * log(part / n) : 0;
}

double normalized_mutual_info(const int64_t *table, int ka, int kb)
{
    double n = margin(table, 0, 1, ka * kb), ha = 0, hb = 0, hab = 0;
    if (!(n > 0)) return 1;
    for (int i = 0; i < ka; i++) ha += entropy_of(margin(table, (size_t)i * (size_t)kb, 1, kb), n);
    for (int j = 0; j < kb; j++) hb += entropy_of(margin(table, (size_t)j, (size_t)kb, ka), n);
    for (int i = 0; i < ka * kb; i++) hab += entropy_of((double)table[i], n);
    if (ha == 0 && hb == 0) return 1; /* both are a single cluster, as scikit-learn has it */
    double info = ha + hb - hab;
    return info > 0 ? info / ((ha + hb) / 2) : 0;
}
