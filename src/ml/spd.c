/* Cholesky factor, inverse of the factor, and product of that with itself, as LAPACK's potrf, trtri and lauum, but on
 * tiles: each step of a loop over diagonal tiles k is one LAPACK call on the tile and then independent products of
 * tiles, which the pool's threads take. A tile's operations come in an order that does not depend on the threads.
 * (Agullo et al., "Towards an efficient tile matrix inversion of symmetric positive definite matrices", 2010.)
 *
 * A row-major lower half L with A = L L'. Tile (i, j) holds rows i * tile .. and columns j * tile .. */
#include "spd_priv.h"

#include <stdbool.h>

#include "meros/ml/blas.h"

struct tiles {
    float *a;
    size_t n, tile, count, k;
    bool bad; /* a diagonal tile was not positive definite; written by whoever factors it, one at a time */
};

static float *at(const struct tiles *t, size_t i, size_t j)
{
    return t->a + i * t->tile * t->n + j * t->tile;
}

static size_t rows(const struct tiles *t, size_t i)
{
    return i + 1 < t->count ? t->tile : t->n - i * t->tile;
}

/* Tiles side by side are multiplied in one call, so that what stands to their left is packed once for all of them. */
enum { ABREAST = 4 };

static size_t groups(size_t tiles)
{
    return (tiles + ABREAST - 1) / ABREAST;
}

/* Part p of a triangle of tiles, row by row: of row i its diagonal tile (*count 0) and then the groups of those before it, of which
 * *j is the first. */
static void triangle(size_t p, size_t *i, size_t *j, size_t *count)
{
    for (*i = 0; p > groups(*i); ++*i) p -= 1 + groups(*i);
    *j = p == 0 ? *i : (p - 1) * ABREAST;
    *count = p == 0 ? 0 : *i - *j < ABREAST ? *i - *j : ABREAST;
}

static size_t triangle_parts(size_t rows)
{
    size_t parts = 0;
    for (size_t i = 0; i < rows; i++) parts += 1 + groups(i);
    return parts;
}

/* --- L L' = A --- */

static void factor_column(void *arg, size_t part, int worker)
{
    (void)worker;
    const struct tiles *t = arg;
    const size_t i = t->k + 1 + part;
    ml_trsm_f32(ML_RIGHT, true, rows(t, i), rows(t, t->k), 1, at(t, t->k, t->k), t->n, at(t, i, t->k), t->n);
}

static void factor_diagonal(struct tiles *t, size_t k)
{
    t->bad = !ml_potrf_f32(at(t, k, k), rows(t, k), t->n);
}

/* The first part makes the next diagonal tile ready, and factors it at once while the other threads have work left. */
static void factor_rest(void *arg, size_t part, int worker)
{
    (void)worker;
    struct tiles *t = arg;
    const size_t k = t->k;
    size_t i, j, count;
    triangle(part, &i, &j, &count);
    i += k + 1;
    j += k + 1;
    if (count == 0)
        ml_syrk_f32(false, rows(t, i), rows(t, k), -1, at(t, i, k), t->n, at(t, i, i), t->n);
    else
        ml_gemm_f32(false, true, rows(t, i), count * t->tile, rows(t, k), -1, at(t, i, k), t->n, at(t, j, k), t->n, 1,
                    at(t, i, j), t->n);
    if (part == 0) factor_diagonal(t, k + 1);
}

/* --- L becomes its inverse --- */

static void invert_below(void *arg, size_t part, int worker) /* (m, k) = -(m, k) (k, k)^-1 */
{
    (void)worker;
    const struct tiles *t = arg;
    const size_t m = t->k + 1 + part;
    ml_trsm_f32(ML_RIGHT, false, rows(t, m), rows(t, t->k), -1, at(t, t->k, t->k), t->n, at(t, m, t->k), t->n);
}

static void invert_rest(void *arg, size_t part, int worker) /* (m, j) += (m, k) (k, j), m > k > j */
{
    (void)worker;
    const struct tiles *t = arg;
    const size_t k = t->k, m = k + 1 + part / groups(k), j = part % groups(k) * ABREAST, count = k - j < ABREAST ? k - j : ABREAST;
    ml_gemm_f32(false, false, rows(t, m), count * t->tile, rows(t, k), 1, at(t, m, k), t->n, at(t, k, j), t->n, 1, at(t, m, j),
                t->n);
}

static void invert_left(void *arg, size_t j, int worker) /* (k, j) = (k, k)^-1 (k, j) */
{
    (void)worker;
    const struct tiles *t = arg;
    ml_trsm_f32(ML_LEFT, false, rows(t, t->k), rows(t, j), 1, at(t, t->k, t->k), t->n, at(t, t->k, j), t->n);
}

/* Nobody reads a diagonal tile of L after its step: all are inverted together. */
static void invert_diagonal(void *arg, size_t k, int worker)
{
    (void)worker;
    const struct tiles *t = arg;
    ml_trtri_f32(at(t, k, k), rows(t, k), t->n);
}

/* --- L becomes L' L --- */

static void product_rest(void *arg, size_t part, int worker) /* (m, j) += (k, m)' (k, j), k > m >= j */
{
    (void)worker;
    const struct tiles *t = arg;
    size_t m, j, count;
    triangle(part, &m, &j, &count);
    if (count == 0 && m + 1 == t->k) ml_lauum_f32(at(t, m, m), rows(t, m), t->n); /* as late as can be: beside other work */
    if (count == 0)
        ml_syrk_f32(true, rows(t, m), rows(t, t->k), 1, at(t, t->k, m), t->n, at(t, m, m), t->n);
    else
        ml_gemm_f32(true, false, rows(t, m), count * t->tile, rows(t, t->k), 1, at(t, t->k, m), t->n, at(t, t->k, j), t->n, 1,
                    at(t, m, j), t->n);
}

static void product_row(void *arg, size_t j, int worker) /* (k, j) = (k, k)' (k, j) */
{
    (void)worker;
    const struct tiles *t = arg;
    ml_trmm_f32(rows(t, t->k), rows(t, j), at(t, t->k, t->k), t->n, at(t, t->k, j), t->n);
}

/* Each of the three loops is a third of the operations. */
static enum meros_code go_on(const struct ml_run *run, const struct tiles *t, int loop, double done, struct meros_err *err)
{
    return ml_run_check(run, done + (1 - done) * ((double)loop + (double)t->k / (double)t->count) / 3,
                        "inverting the matrix of items", err);
}

enum meros_code spd_invert(float *a, size_t n, size_t tile, const struct ml_run *run, double done, struct meros_err *err)
{
    struct tiles t = {.a = a, .n = n, .tile = tile, .count = (n + tile - 1) / tile};
    struct ml_pool *pool = ml_run_pool(run);
    enum meros_code code = MEROS_OK;
    if (t.count == 0) return MEROS_OK;
    factor_diagonal(&t, 0);
    for (t.k = 0; t.k < t.count && code == MEROS_OK; t.k++) {
        const size_t below = t.count - t.k - 1;
        if (t.bad) return err_set(err, MEROS_UNPROCESSABLE, "the matrix is not positive definite: its numbers are too far apart");
        parallel_for(pool, below, factor_column, &t);
        parallel_for(pool, triangle_parts(below), factor_rest, &t);
        code = go_on(run, &t, 0, done, err);
    }
    for (t.k = 0; t.k < t.count && code == MEROS_OK; t.k++) {
        const size_t below = t.count - t.k - 1;
        parallel_for(pool, below, invert_below, &t);
        parallel_for(pool, below * groups(t.k), invert_rest, &t);
        parallel_for(pool, t.k, invert_left, &t);
        code = go_on(run, &t, 1, done, err);
    }
    if (code != MEROS_OK) return code;
    parallel_for(pool, t.count, invert_diagonal, &t);
    for (t.k = 0; t.k < t.count && code == MEROS_OK; t.k++) {
        parallel_for(pool, triangle_parts(t.k), product_rest, &t);
        parallel_for(pool, t.k, product_row, &t);
        code = go_on(run, &t, 2, done, err);
    }
    ml_lauum_f32(at(&t, t.count - 1, t.count - 1), rows(&t, t.count - 1), n);
    return code;
}
