/* The silhouette (Rousseeuw 1987): for a row, a = its mean distance to the other rows of its cluster, b = the
 * least mean distance to the rows of another cluster, s = (b - a) / max(a, b), 0 for a row alone in its
 * cluster; the index is the mean of s.
 *
 * Rows are packed cluster by cluster as for k-means (kmeans_priv.h), so that one pass over a cluster's groups
 * gives four rows' distances to it. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cluster_priv.h"
#include "kmeans_priv.h"

enum { PART_ROWS = 128 }; /* a multiple of KM_SEED_TILE */
enum { SILHOUETTE_STREAM = 0x5117 };

struct silhouette {
    const struct km_kernel *kernel;
    size_t d, rows;
    int k;
    float *x;       /* packed by cluster */
    size_t *first;  /* k: a cluster's first group */
    size_t *size;   /* k */
    size_t *place;  /* rows: where a row (in order of clusters) lies, counted in rows with padding */
    int32_t *label; /* rows: in the same order */
    double *part;   /* sums of s by part */
    size_t parts;
    float *from;  /* (threads, d, KM_SEED_TILE) */
    double *sums; /* (threads, k, KM_SEED_TILE) */
};

static size_t sample_size(const struct cluster_metrics_params *params, size_t rows)
{
    size_t most =
        params == NULL || params->silhouette_rows == 0 ? SILHOUETTE_ROWS_DEFAULT : params->silhouette_rows;
    return rows < most ? rows : most;
}

void silhouette_need(struct ml_need *need, struct ml_matrix x, int k,
                     const struct cluster_metrics_params *params)
{
    size_t rows = sample_size(params, x.rows), padded = rows + (size_t)k * KM_WIDTH_MAX;
    ml_need_add(need, padded * x.cols, sizeof(float));
    ml_need_add(need, rows, 2 * sizeof(size_t) + sizeof(int32_t));
}

static float value_at(const struct silhouette *s, size_t place, size_t f)
{
    size_t width = (size_t)s->kernel->width;
    return s->x[(place / width * s->d + f) * width + place % width];
}

static void part_of_rows(void *arg, size_t part, int worker)
{
    struct silhouette *s = arg;
    size_t width = (size_t)s->kernel->width, k = (size_t)s->k;
    float *from = s->from + (size_t)worker * s->d * KM_SEED_TILE;
    double *sums = s->sums + (size_t)worker * k * KM_SEED_TILE, total = 0;
    size_t end = (part + 1) * PART_ROWS < s->rows ? (part + 1) * PART_ROWS : s->rows;
    for (size_t i = part * PART_ROWS; i < end; i += KM_SEED_TILE) {
        size_t count = end - i < KM_SEED_TILE ? end - i : KM_SEED_TILE;
        for (size_t t = 0; t < KM_SEED_TILE; t++) {
            size_t place = s->place[t < count ? i + t : i];
            for (size_t f = 0; f < s->d; f++) from[f * KM_SEED_TILE + t] = value_at(s, place, f);
        }
        for (size_t c = 0; c < k; c++) {
            s->kernel->distance_sums(s->x + s->first[c] * s->d * width, s->size[c], s->d, from,
                                     sums + c * KM_SEED_TILE);
        }
        for (size_t t = 0; t < count; t++) {
            size_t own = (size_t)s->label[i + t];
            if (s->size[own] == 1) continue; /* alone: 0 */
            double a = sums[own * KM_SEED_TILE + t] / (double)(s->size[own] - 1), b = INFINITY;
            for (size_t c = 0; c < k; c++) {
                double mean =
                    s->size[c] == 0 || c == own ? INFINITY : sums[c * KM_SEED_TILE + t] / (double)s->size[c];
                if (mean < b) b = mean;
            }
            double larger = a > b ? a : b;
            if (larger > 0) total += (b - a) / larger;
        }
    }
    s->part[part] = total;
}

/* Takes the labelled rows whose turn is in `turn` (ascending; NULL: all) in the order of their clusters: row
 * = their numbers in x, s->place = where they lie when packed. at: k, scratch. */
static void order(struct silhouette *s, const int32_t *labels, size_t n, const size_t *turn, size_t *row,
                  size_t *at)
{
    size_t width = (size_t)s->kernel->width, group = 0, taken = 0;
    for (int round = 0; round < 2; round++) { /* count, then place */
        size_t labelled = 0;
        taken = 0;
        for (size_t i = 0; i < n && taken < s->rows; i++) {
            if (labels[i] < 0) continue;
            if (turn != NULL && labelled++ != turn[taken]) continue;
            taken++;
            if (round == 0)
                s->size[labels[i]]++;
            else
                row[at[labels[i]]++] = i;
        }
        for (size_t c = 0, sum = 0; round == 0 && c < (size_t)s->k; c++) {
            at[c] = sum;
            sum += s->size[c];
        }
    }
    for (size_t c = 0, i = 0; c < (size_t)s->k; c++) {
        s->first[c] = group;
        for (size_t j = 0; j < s->size[c]; j++, i++) {
            s->place[i] = group * width + j;
            s->label[i] = (int32_t)c;
        }
        group += (s->size[c] + width - 1) / width;
    }
}

static void pack(struct silhouette *s, struct ml_matrix x, const size_t *row, double *mean)
{
    size_t d = s->d, width = (size_t)s->kernel->width;
    for (size_t i = 0; i < s->rows; i++) {
        for (size_t f = 0; f < d; f++) mean[f] += (double)x.data[row[i] * d + f];
    }
    for (size_t f = 0; f < d; f++) mean[f] /= (double)s->rows;
    for (size_t i = 0; i < s->rows; i++) {
        float *to = s->x + s->place[i] / width * d * width + s->place[i] % width;
        for (size_t f = 0; f < d; f++) to[f * width] = (float)((double)x.data[row[i] * d + f] - mean[f]);
    }
}

enum meros_code silhouette_of(struct ml_matrix x, const int32_t *labels, int k, size_t rows,
                              const struct cluster_metrics_params *params, const struct ml_run *run,
                              struct cluster_metrics *m, struct meros_err *err)
{
    struct silhouette s = {
        .kernel = km_kernel_best(), .d = x.cols, .rows = sample_size(params, rows), .k = k};
    enum meros_code code = MEROS_OK;
    size_t *turn = NULL, *row = NULL, *at = NULL, threads = (size_t)ml_pool_threads(ml_run_pool(run));
    double *mean = NULL;
    s.parts = (s.rows + PART_ROWS - 1) / PART_ROWS;
    s.x = ml_alloc((s.rows + (size_t)k * KM_WIDTH_MAX) * s.d, sizeof *s.x);
    s.first = ml_alloc((size_t)k, sizeof *s.first);
    s.size = ml_alloc((size_t)k, sizeof *s.size);
    s.place = ml_alloc(s.rows, sizeof *s.place);
    s.label = ml_alloc(s.rows, sizeof *s.label);
    s.part = ml_alloc(s.parts, sizeof *s.part);
    s.from = ml_alloc(threads * s.d * KM_SEED_TILE, sizeof *s.from);
    s.sums = ml_alloc(threads * (size_t)k * KM_SEED_TILE, sizeof *s.sums);
    row = ml_alloc(s.rows, sizeof *row);
    at = ml_alloc((size_t)k, sizeof *at);
    mean = ml_alloc(s.d, sizeof *mean);
    if (s.rows < rows) turn = ml_alloc(s.rows, sizeof *turn);
    if (s.x == NULL || s.first == NULL || s.size == NULL || s.place == NULL || s.label == NULL ||
        s.part == NULL || s.from == NULL || s.sums == NULL || row == NULL || at == NULL || mean == NULL ||
        (s.rows < rows && turn == NULL)) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the silhouette of %zu rows", s.rows);
        goto out;
    }
    m->silhouette_exact = turn == NULL;
    m->silhouette_rows = s.rows;
    m->silhouette_seed = params == NULL ? 0 : params->seed;
    if (turn != NULL) {
        struct ml_rng rng;
        ml_rng_stream(&rng, m->silhouette_seed, SILHOUETTE_STREAM);
        ml_rng_sample(&rng, rows, s.rows, turn);
    }
    order(&s, labels, x.rows, turn, row, at);
    int clusters = 0;
    for (int c = 0; c < k; c++) clusters += s.size[c] > 0;
    if (clusters < 2) goto out; /* the sample met one cluster only: undefined, NaN stays */
    pack(&s, x, row, mean);
    parallel_for(ml_run_pool(run), s.parts, part_of_rows, &s);
    double total = 0;
    for (size_t i = 0; i < s.parts; i++) total += s.part[i];
    m->silhouette = total / (double)s.rows;
out:
    free(s.x);
    free(s.first);
    free(s.size);
    free(s.place);
    free(s.label);
    free(s.part);
    free(s.from);
    free(s.sums);
    free(row);
    free(at);
    free(mean);
    free(turn);
    return code;
}
