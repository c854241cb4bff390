#include "meros/ml/kmeans.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "kmeans_priv.h"

/* Values are compared as squares in float32, whose largest is 3e38. */
static const double FAR = 1e15;

enum meros_code kmeans_check_params(const struct kmeans_params *p, size_t n, size_t d, struct meros_err *err)
{
    if (n < 1 || d < 1)
        return err_set(err, MEROS_UNPROCESSABLE, "there is nothing to cluster: %zu rows of %zu columns", n,
                       d);
    if (n > KMEANS_ROWS_MAX)
        return err_set(err, MEROS_UNPROCESSABLE, "%zu rows are more than k-means takes (%d)", n,
                       KMEANS_ROWS_MAX);
    if (d > KMEANS_COLS_MAX)
        return err_set(err, MEROS_UNPROCESSABLE, "%zu columns are more than k-means takes (%d)", d,
                       KMEANS_COLS_MAX);
    if (p->k < 1 || p->k > KMEANS_K_MAX)
        return err_set(err, MEROS_UNPROCESSABLE, "k is %d; it must be 1 to %d", p->k, KMEANS_K_MAX);
    if ((size_t)p->k > n)
        return err_set(err, MEROS_UNPROCESSABLE, "k is %d, but there are only %zu rows to divide", p->k, n);
    if (p->n_init < 1 || p->n_init > 1000)
        return err_set(err, MEROS_UNPROCESSABLE, "n_init is %d; it must be 1 to 1000", p->n_init);
    if (p->max_iter < 1 || p->max_iter > 100000) {
        return err_set(err, MEROS_UNPROCESSABLE, "max_iter is %d; it must be 1 to 100000", p->max_iter);
    }
    if (!(p->tol >= 0 && p->tol < INFINITY))
        return err_set(err, MEROS_UNPROCESSABLE, "tol is %g; it must be 0 or more", p->tol);
    if (p->init == NULL) return MEROS_OK;
    for (size_t i = 0; i < (size_t)p->k * d; i++) {
        if (!isfinite(p->init[i])) {
            return err_set(err, MEROS_UNPROCESSABLE,
                           "start centre %zu has a value that is not a finite number in column %zu", i / d,
                           i % d);
        }
    }
    return MEROS_OK;
}

/* --- shapes and memory --- */

/* Chunks depend on (n, d, k) only. At most 64, so that adding them up is cheap; fewer where k * d is large,
 * so that their sums stay below 256 MB. Their rows are a multiple of 32, which all kernels' groups divide. */
void km_cut(struct km_data *m, int k)
{
    size_t width = (size_t)m->kernel->width, chunks = ((size_t)32 << 20) / ((size_t)k * m->d);
    if (chunks > KM_CHUNKS_MAX) chunks = KM_CHUNKS_MAX;
    if (chunks < 4) chunks = 4;
    size_t rows = (m->n + chunks - 1) / chunks;
    if (rows < 2048) rows = 2048;
    rows = (rows + KM_WIDTH_MAX - 1) / KM_WIDTH_MAX * KM_WIDTH_MAX;
    m->groups = (m->n + width - 1) / width;
    m->chunk_groups = rows / width;
    m->n_chunks = (m->groups + m->chunk_groups - 1) / m->chunk_groups;
}

static void tile_shape(const struct km_kernel *kernel, int k, struct km_tiles *t)
{
    int unit = kernel->tile_max / 3;
    t->n_tiles = (k + kernel->tile_max - 1) / kernel->tile_max;
    t->tile = ((k + t->n_tiles - 1) / t->n_tiles + unit - 1) / unit * unit;
}

/* Allocates when `allocate`, else only adds up: one list for both, so that they cannot disagree. */
struct taker {
    struct ml_need need;
    bool allocate, failed;
};
static void *take_raw(struct taker *t, size_t count, size_t size)
{
    ml_need_add(&t->need, count, size);
    if (!t->allocate) return NULL;
    void *p = ml_alloc_raw(count, size);
    if (p == NULL) t->failed = true;
    return p;
}
static void *take(struct taker *t, size_t count, size_t size)
{
    void *p = take_raw(t, count, size);
    return p == NULL ? NULL : memset(p, 0, count * size);
}

static void take_all(struct taker *t, const struct kmeans_params *params, struct km_data *m,
                     struct km_work *w, struct kmeans_result *r)
{
    size_t k = (size_t)params->k, d = m->d, padded = m->groups * (size_t)m->kernel->width;
    size_t threads = (size_t)ml_pool_threads(m->pool);
    bool seeding = params->init == NULL, several = seeding && params->n_init > 1;
    *w = (struct km_work){.k = params->k};
    tile_shape(m->kernel, params->k, &w->tiles);
    size_t places = (size_t)w->tiles.n_tiles * (size_t)w->tiles.tile;
    m->x = take_raw(t, padded * d,
                    sizeof *m->x); /* n, d and the width are bounded: no overflow before take's own check */
    m->mean = take(t, d, sizeof *m->mean);
    w->centres = take(t, k * d, sizeof *w->centres);
    w->next = take(t, k * d, sizeof *w->next);
    w->sums = take(t, k * d, sizeof *w->sums);
    w->counts = take(t, k, sizeof *w->counts);
    w->chunk_sums = take(t, m->n_chunks * k * d, sizeof *w->chunk_sums);
    w->chunk_counts = take(t, m->n_chunks * k, sizeof *w->chunk_counts);
    w->chunk_changed = take(t, m->n_chunks, sizeof *w->chunk_changed);
    w->chunk_value =
        take(t, KM_CHUNKS_MAX * KM_SEED_TILE, sizeof *w->chunk_value); /* the sample's chunks fit too */
    w->chunk_row = take(t, m->n_chunks, sizeof *w->chunk_row);
    w->labels = take_raw(t, padded, sizeof *w->labels);
    if (seeding) {
        size_t rows = km_seed_rows(m->n, params->k);
        w->sample = rows < m->n ? take_raw(t, rows * d, sizeof *w->sample) : NULL;
        w->sample_blocks = rows < m->n ? take(t, rows / KM_WIDTH_MAX, sizeof *w->sample_blocks) : NULL;
        w->closest = take_raw(t, rows < m->n ? rows : padded, sizeof *w->closest);
    }
    w->centred = take_raw(t, threads * KM_WIDTH_MAX * d, sizeof *w->centred);
    w->candidates = take(t, d * KM_SEED_TILE, sizeof *w->candidates);
    w->tiles.c = take(t, places * d, sizeof *w->tiles.c);
    w->tiles.half_norm2 = take(t, places, sizeof *w->tiles.half_norm2);
    *r = (struct kmeans_result){.k = params->k, .n = m->n, .d = d};
    r->centres = take(t, k * d, sizeof *r->centres);
    r->sizes = take(t, k, sizeof *r->sizes);
    r->labels =
        several ? take_raw(t, padded, sizeof *r->labels) : NULL; /* a single start's labels are handed over */
}

static void work_done(struct km_data *m, struct km_work *w)
{
    free(m->x);
    free(m->mean);
    free(w->centres);
    free(w->next);
    free(w->sums);
    free(w->counts);
    free(w->chunk_sums);
    free(w->chunk_counts);
    free(w->chunk_changed);
    free(w->chunk_value);
    free(w->chunk_row);
    free(w->labels);
    free(w->sample);
    free(w->sample_blocks);
    free(w->closest);
    free(w->centred);
    free(w->candidates);
    free(w->tiles.c);
    free(w->tiles.half_norm2);
}

size_t kmeans_memory(const struct kmeans_params *params, size_t n, size_t d, struct ml_pool *pool)
{
    struct km_data m = {.kernel = km_kernel_best(), .pool = pool, .n = n, .d = d};
    struct km_work w;
    struct kmeans_result r;
    struct taker t = {0};
    if (kmeans_check_params(params, n, d, NULL) != MEROS_OK) return 0;
    km_cut(&m, params->k);
    take_all(&t, params, &m, &w, &r);
    return t.need.overflow ? SIZE_MAX : t.need.bytes;
}

/* --- preparing the rows --- */

struct prepare {
    struct km_data *m;
    const float *x;
    double *sums; /* (n_chunks, d) */
    double
        *square; /* (n_chunks, KM_SEED_TILE), the first of each: sum of squared differences from the means */
    size_t *bad; /* n_chunks: first element that is not finite or too far from its mean; n * d for none */
    float *centred; /* (threads, KM_WIDTH_MAX, d): a group before it is packed */
};

static void sum_part(void *arg, size_t chunk, int worker)
{
    (void)worker;
    const struct prepare *p = arg;
    size_t d = p->m->d, width = (size_t)p->m->kernel->width, end = km_chunk_end(p->m, chunk) * width;
    double *restrict sum = p->sums + chunk * d;
    if (end > p->m->n) end = p->m->n;
    for (size_t f = 0; f < d; f++) sum[f] = 0;
    for (size_t i = chunk * p->m->chunk_groups * width; i < end; i++) {
        const float *restrict row = p->x + i * d;
        for (size_t f = 0; f < d; f++) sum[f] += (double)row[f];
    }
}

static void pack_part(void *arg, size_t chunk, int worker)
{
    const struct prepare *p = arg;
    const struct km_data *m = p->m;
    size_t d = m->d, width = (size_t)m->kernel->width;
    double *square = p->sums + chunk * d, total = 0;
    float *centred = p->centred + (size_t)worker * KM_WIDTH_MAX * d;
    for (size_t f = 0; f < d; f++) square[f] = 0;
    for (size_t g = chunk * m->chunk_groups; g < km_chunk_end(m, chunk); g++) {
        size_t count = m->n - g * width < width ? m->n - g * width : width;
        m->kernel->pack(p->x + g * width * d, count, d, m->mean, m->x + g * width * d, centred, square);
    }
    for (size_t f = 0; f < d; f++) total += square[f];
    p->square[chunk * KM_SEED_TILE] = total;
    p->bad[chunk] = m->n * d;
    if (total <= FAR * FAR) return; /* then no value is too far either; NaN is not <= */
    size_t end = km_chunk_end(m, chunk) * width;
    if (end > m->n) end = m->n;
    for (size_t e = chunk * m->chunk_groups * width * d; e < end * d; e++) {
        if (fabs((double)p->x[e] - m->mean[e % d]) <= FAR) continue;
        p->bad[chunk] = e;
        return;
    }
}

/* Centres and packs the rows. Refuses values that cannot be used, naming the first. */
static enum meros_code prepare(struct ml_matrix x, struct km_data *m, struct km_work *w,
                               struct meros_err *err)
{
    struct prepare p = {m, x.data, w->chunk_sums, w->chunk_value, w->chunk_row, w->centred};
    parallel_for(m->pool, m->n_chunks, sum_part, &p);
    for (size_t i = 0; i < m->n_chunks; i++) {
        for (size_t f = 0; f < m->d; f++) m->mean[f] += p.sums[i * m->d + f];
    }
    for (size_t f = 0; f < m->d; f++) m->mean[f] /= (double)m->n;
    parallel_for(m->pool, m->n_chunks, pack_part, &p);
    double square = 0;
    for (size_t i = 0; i < m->n_chunks; i++) {
        if (p.bad[i] != m->n * m->d) {
            /* A NaN spoils its column's mean and with it every row: look for the culprit itself first. */
            enum meros_code code = ml_check_finite(x, err);
            if (code != MEROS_OK) return code;
            return err_set(err, MEROS_UNPROCESSABLE,
                           "row %zu, column %zu is %g, too far from the column's mean %g for "
                           "float32 distances; scale the column first",
                           p.bad[i] / m->d, p.bad[i] % m->d, (double)x.data[p.bad[i]],
                           m->mean[p.bad[i] % m->d]);
        }
        square += p.square[i * KM_SEED_TILE];
    }
    m->mean_variance = square / (double)m->n / (double)m->d;
    return MEROS_OK;
}

/* --- the fit --- */

static void keep(const struct km_data *m, struct km_work *w, const struct km_outcome *o, int start,
                 bool last_alone, struct kmeans_result *r)
{
    for (int c = 0; c < w->k; c++) {
        for (size_t f = 0; f < m->d; f++) {
            r->centres[(size_t)c * m->d + f] = w->centres[(size_t)c * m->d + f] + m->mean[f];
        }
        r->sizes[c] = (size_t)w->counts[c];
    }
    if (last_alone) {
        r->labels = w->labels;
        w->labels = NULL;
    } else {
        memcpy(r->labels, w->labels, m->n * sizeof *r->labels);
    }
    r->inertia = o->inertia;
    r->iterations = o->iterations;
    r->converged = o->converged;
    r->start = start;
}

enum meros_code kmeans_fit(struct ml_matrix x, const struct kmeans_params *params, const struct ml_run *run,
                           struct kmeans_result *out, struct meros_err *err)
{
    enum meros_code code = kmeans_check_params(params, x.rows, x.cols, err);
    if (code != MEROS_OK) return code;
    size_t need = kmeans_memory(params, x.rows, x.cols, ml_run_pool(run)),
           budget = run == NULL ? 0 : run->memory_budget;
    struct ml_need total = {need, need == SIZE_MAX};
    code = ml_need_check(&total, budget, "k-means", err);
    if (code != MEROS_OK) return code;

    struct km_data m = {.kernel = km_kernel_best(), .pool = ml_run_pool(run), .n = x.rows, .d = x.cols};
    struct km_work w;
    struct kmeans_result r;
    struct taker t = {.allocate = true};
    km_cut(&m, params->k);
    take_all(&t, params, &m, &w, &r);
    if (t.failed) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "k-means needs %.1f MB of memory, which are not there",
                       (double)need / 1e6);
        goto out;
    }
    code = ml_run_check(run, 0, "reading the rows", err);
    if (code == MEROS_OK) code = prepare(x, &m, &w, err);
    if (code != MEROS_OK) goto out;

    int starts = params->init != NULL ? 1 : params->n_init;
    r.inertia = INFINITY;
    for (int s = 0; s < starts; s++) {
        struct km_outcome o;
        double fraction = (double)s / starts;
        if (params->init != NULL) {
            for (size_t i = 0; i < (size_t)w.k * m.d; i++) w.centres[i] = params->init[i] - m.mean[i % m.d];
        } else {
            struct ml_rng rng;
            ml_rng_stream(&rng, params->seed, (uint64_t)s);
            code = km_seed(&m, &w, &rng, run, fraction, err);
            if (code != MEROS_OK) goto out;
        }
        code = km_lloyd(&m, &w, params->max_iter, params->tol * m.mean_variance, run, fraction, 1.0 / starts,
                        &o, err);
        if (code != MEROS_OK) goto out;
        if (!isfinite(o.inertia)) {
            code = err_set(err, MEROS_INTERNAL, "k-means came to an inertia that is not a number");
            goto out;
        }
        if (o.inertia < r.inertia) keep(&m, &w, &o, s, starts == 1, &r);
    }
    for (int c = 0; c < r.k; c++) r.n_nonempty += r.sizes[c] > 0;
    *out = r;
    r = (struct kmeans_result){0};
out:
    kmeans_result_done(&r);
    work_done(&m, &w);
    return code;
}

void kmeans_result_done(struct kmeans_result *r)
{
    if (r == NULL) return;
    free(r->centres);
    free(r->labels);
    free(r->sizes);
    *r = (struct kmeans_result){0};
}

int kmeans_nearest(const double *centres, int k, size_t d, const double *row, double *out_distance2)
{
    int best = 0;
    double best2 = INFINITY;
    for (int c = 0; c < k; c++) {
        double sum = 0;
        for (size_t f = 0; f < d; f++) {
            double diff = row[f] - centres[(size_t)c * d + f];
            sum += diff * diff;
        }
        if (sum < best2) {
            best2 = sum;
            best = c;
        }
    }
    if (out_distance2 != NULL) *out_distance2 = best2;
    return best;
}
