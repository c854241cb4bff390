/* k-means: exact Lloyd iterations from k-means++ starts.
 *
 *   X is (n, d), row-major float32.   Centres are (k, d), row-major double.   Labels are 0 .. k-1.
 *
 * What is computed is scikit-learn's KMeans(algorithm="lloyd"), so that either checks the other:
 *   - greedy k-means++ seeding (Arthur & Vassilvitskii 2007; 2 + log k candidates a centre, the best kept),
 *     n_init starts, the one with the least inertia kept (the earliest of equal ones); of more than 65,536
 *     rows a start is chosen from a random sample of so many (kmeans_seed.c: what that costs and saves);
 *   - an iteration assigns every row to its nearest centre (the lowest number of equally near ones) and moves
 *     centres to the means of their rows; it is the last when no label changed ("strict"), or when the sum of
 *     the squared moves of the centres is at most tol * the mean of the columns' variances, after which rows
 *     are assigned once more;
 *   - a centre that lost all its rows restarts at the row farthest from its own centre (several: the farthest
 *     rows in turn), the means of that iteration being taken without that row in its old cluster;
 *   - inertia is the sum of squared distances of rows to the centres returned.
 * Distances are compared in float32 on centred columns; sums, means, moves and inertia are in double. On data
 * with clusters, iterations and inertia are those of scikit-learn. Where there are none (one Gaussian cloud)
 * the moves linger about the tolerance, and ours, scikit-learn's float32 and its float64 runs may each stop at
 * another iteration, at inertias that differ by less than 1e-4 of themselves.
 *
 * Deterministic: same data, parameters and CPU kind give the same bits, however many threads the pool has.
 * Kernels for AVX-512, AVX2 and plain C are chosen at run time and differ in the last bits of float32
 * distances only.
 *
 * Degenerate input: k larger than the number of distinct rows gives as many non-empty clusters as there are
 * distinct rows, the rest have size 0 (n_nonempty says how many are not). Constant columns do not matter.
 * NaN, infinite values and values farther than 1e15 from their column's mean are refused by name. */
#ifndef MEROS_ML_KMEANS_H
#define MEROS_ML_KMEANS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/matrix.h"
#include "meros/ml/parallel.h"

enum { KMEANS_K_MAX = 1000, KMEANS_COLS_MAX = 4096, KMEANS_ROWS_MAX = 2000000000 };

struct kmeans_params {
    int k;        /* 1 .. KMEANS_K_MAX, at most the number of rows */
    int n_init;   /* starts, 1 .. 1000; one alone when init is given */
    int max_iter; /* 1 .. 100000 */
    double tol;   /* >= 0, relative to the mean variance; 0: until no label changes */
    uint64_t seed;
    const double *init; /* (k, d) centres to start from; NULL: k-means++ */
};
#define KMEANS_PARAMS_DEFAULT                                                                                \
    {                                                                                                        \
        .k = 8, .n_init = 4, .max_iter = 300, .tol = 1e-4, .seed = 0, .init = NULL                           \
    }

struct kmeans_result {
    int k;
    size_t n, d;
    double *centres; /* (k, d) */
    int32_t *labels; /* n */
    size_t *sizes;   /* k */
    int n_nonempty;
    double inertia;
    int iterations; /* of the start that was kept */
    bool converged; /* false: stopped by max_iter */
    int start;      /* which of the starts was kept, from 0 */
};

/* What is wrong with the parameters for (n, d) data, in words, before any work. */
enum meros_code kmeans_check_params(const struct kmeans_params *params, size_t n, size_t d,
                                    struct meros_err *err) MEROS_MUSTCHECK;

/* The bytes that kmeans_fit will have allocated at its peak, result included; 0 for bad parameters. */
size_t kmeans_memory(const struct kmeans_params *params, size_t n, size_t d, struct ml_pool *pool);

/* *out is written on success only; kmeans_result_done frees what is in it (and takes an all-zero one). x is
 * only read. MEROS_UNPROCESSABLE for bad parameters or data, MEROS_OUT_OF_MEMORY, MEROS_CANCELLED. run may be
 * NULL. */
enum meros_code kmeans_fit(struct ml_matrix x, const struct kmeans_params *params, const struct ml_run *run,
                           struct kmeans_result *out, struct meros_err *err) MEROS_MUSTCHECK;
void kmeans_result_done(struct kmeans_result *r);

/* The nearest of (k, d) centres to one row, in double (the lowest number of equally near ones). out_distance2
 * may be NULL. For one row at a time: live scoring. */
int kmeans_nearest(const double *centres, int k, size_t d, const double *row, double *out_distance2);

/* Which kernel runs here: "avx512", "avx2" or "portable". kmeans_force_kernel is for tests and measurements:
 * false if this machine cannot run it; NULL goes back to the best. Not thread-safe. */
const char *kmeans_kernel(void);
bool kmeans_force_kernel(const char *name);

#endif
