/* Inside k-means: the packed data, the kernels, and the two halves of a start (seeding, Lloyd iterations).
 *
 * Rows are packed once, centred, in groups of `width` (what a kernel handles at a time), feature-major inside
 * a group: element (row g * width + w, column f) is x[(g * d + f) * width + w]. A register then holds one
 * column of 4, 8 or 16 rows, distances need no horizontal sum and the nearest centre no horizontal minimum.
 * The last group is padded with zeros; padding rows keep label -1.
 *
 * Work is cut into chunks of rows by the shape of the problem alone. */
#ifndef MEROS_ML_KMEANS_PRIV_H
#define MEROS_ML_KMEANS_PRIV_H

#include <stdint.h>
#include "meros/ml/kmeans.h"
#include "meros/ml/rng.h"

enum { KM_WIDTH_MAX = 32, KM_SEED_TILE = 4 };
enum { KM_CHUNKS_MAX = 64 };

/* Centres as an assignment kernel reads them: tiles of `tile` centres; in a tile, column by column. Unused
 * places of the last tile have half_norm2 = +inf, so that they are nearest to nothing. */
struct km_tiles {
    int n_tiles, tile;
    float *c;          /* (n_tiles, d, tile) */
    float *half_norm2; /* (n_tiles, tile): |c|^2 / 2 */
};

struct km_kernel {
    const char *name;
    int width;    /* rows in a group */
    int tile_max; /* centres at a time; tiles are a third, two thirds or all of it */

    /* One group: subtracts the means (d) from `count` row-major rows, adds the squares to square (d) and
     * packs the rows, padding with zeros. centred: (width, d) scratch. */
    void (*pack)(const float *rows, size_t count, size_t d, const double *mean, float *to, float *centred,
                 double *square);

    /* Gives the rows of groups g0..g1-1 (of n rows in all) their nearest centre. Where the label changes, the
     * row is moved from its old centre's entry of sums (k, d) and counts (k) to its new one's. Returns how
     * many changed. */
    size_t (*assign)(const float *x, size_t g0, size_t g1, size_t n, size_t d, const struct km_tiles *t,
                     int32_t *labels, double *sums, int64_t *counts);

    /* The sum of squared distances of the rows to the centres (k, d) of their labels, in double. */
    double (*inertia)(const float *x, size_t g0, size_t g1, size_t n, size_t d, const double *centres,
                      const int32_t *labels);

    /* KM_SEED_TILE candidate centres, column by column: out_sums[t] = sum over rows of min(closest,
     * distance^2). */
    void (*try_seeds)(const float *x, size_t g0, size_t g1, size_t d, const float *candidates,
                      const float *closest, double out_sums[KM_SEED_TILE]);
    /* closest = min(closest, distance^2 to the centre). Returns its sum. Padding rows have 0 and keep it. */
    double (*add_seed)(const float *x, size_t g0, size_t g1, size_t d, const float *centre, float *closest);

    /* For the silhouette: out_sums[t] = sum of the distances (not squared) of `rows` packed rows to each of
     * KM_SEED_TILE rows `from` (d, KM_SEED_TILE). */
    void (*distance_sums)(const float *x, size_t rows, size_t d, const float *from,
                          double out_sums[KM_SEED_TILE]);
};
const struct km_kernel *km_kernel_best(void); /* of this machine, or the forced one */

struct km_data {
    const struct km_kernel *kernel;
    struct ml_pool *pool;
    size_t n, d, groups;
    float *x;
    double *mean;                  /* d */
    double mean_variance;          /* of the columns */
    size_t n_chunks, chunk_groups; /* chunk i has groups i * chunk_groups .. */
};

static inline size_t km_chunk_end(const struct km_data *m, size_t chunk)
{
    size_t end = (chunk + 1) * m->chunk_groups;
    return end < m->groups ? end : m->groups;
}
static inline float km_value(const struct km_data *m, size_t row, size_t col)
{
    size_t w = (size_t)m->kernel->width;
    return m->x[(row / w * m->d + col) * w + row % w];
}

/* What the starts work in; allocated once for all of them. */
struct km_work {
    int k;
    double *centres, *next; /* (k, d), centred */
    double *sums;           /* (k, d): of the rows by label */
    int64_t *counts;        /* k */
    double *chunk_sums;     /* (n_chunks, k, d) */
    int64_t *chunk_counts;  /* (n_chunks, k) */
    size_t *chunk_changed;  /* n_chunks */
    double *chunk_value;    /* (n_chunks, KM_SEED_TILE) */
    size_t *chunk_row;      /* n_chunks */
    int32_t *labels;        /* groups * width */
    float *sample;          /* packed rows that starts are chosen from; NULL: all rows are */
    size_t *sample_blocks;  /* which blocks of KM_WIDTH_MAX rows they are */
    float *closest;         /* (rows that starts are chosen from, padded) */
    float *candidates;      /* (d, KM_SEED_TILE) */
    float *centred;         /* (threads, KM_WIDTH_MAX, d); preparing only */
    struct km_tiles tiles;
};

/* How many rows starts are chosen from. */
size_t km_seed_rows(size_t n, int k);
void km_cut(struct km_data *m, int k); /* groups and chunks from n, d, the kernel and k */

/* A start: k centres by greedy k-means++ into w->centres. */
enum meros_code km_seed(const struct km_data *m, struct km_work *w, struct ml_rng *rng,
                        const struct ml_run *run, double fraction, struct meros_err *err) MEROS_MUSTCHECK;

struct km_outcome {
    double inertia;
    int iterations;
    bool converged;
};
/* Lloyd iterations from w->centres, which become the final ones; w->labels and w->counts go with them.
 * Progress runs from fraction to fraction + share. */
enum meros_code km_lloyd(const struct km_data *m, struct km_work *w, int max_iter, double tol,
                         const struct ml_run *run, double fraction, double share, struct km_outcome *out,
                         struct meros_err *err) MEROS_MUSTCHECK;

#endif
