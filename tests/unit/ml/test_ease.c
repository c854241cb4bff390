#include <math.h>

#include "meros/ml/blas.h"
#include "meros/ml/ease.h"
#include "recommend_data.h"
#include "spd_priv.h"

/* The inverse by Gauss-Jordan, in double. */
static double *naive_inverse(const double *a, size_t n)
{
    double *m = calloc(2 * n * n, sizeof *m), *out = calloc(n * n, sizeof *out);
    const size_t w = 2 * n;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) m[i * w + j] = a[i * n + j];
        m[i * w + n + i] = 1;
    }
    for (size_t k = 0; k < n; k++) {
        const double pivot = m[k * w + k];
        for (size_t j = 0; j < w; j++) m[k * w + j] /= pivot;
        for (size_t i = 0; i < n; i++) {
            const double factor = m[i * w + k];
            for (size_t j = 0; i != k && j < w; j++) m[i * w + j] -= factor * m[k * w + j];
        }
    }
    for (size_t i = 0; i < n; i++) memcpy(out + i * n, m + i * w + n, n * sizeof *out);
    free(m);
    return out;
}

Test(spd, inverse_in_tiles_is_the_inverse_for_every_number_of_tiles_and_thread)
{
    enum { N = 75 };
    static double dense[N * N], factor[N][N];
    static float a[N * N], first[N * N];
    static const size_t tiles[] = {100, 75, 40, 25, 16, 7, 1};
    struct ml_rng r;
    ml_start();
    ml_rng_seed(&r, 2);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) factor[i][j] = ml_rng_normal(&r);
    }
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            for (int k = 0; k < N; k++) dense[i * N + j] += factor[i][k] * factor[j][k];
        }
        dense[i * N + i] += 5;
    }
    double *want = naive_inverse(dense, N);
    for (size_t t = 0; t < sizeof tiles / sizeof *tiles; t++) {
        for (int threads = 1; threads <= 3; threads += 2) {
            struct ml_run run = {0};
            cr_assert_eq(ml_pool_new(&run.pool, threads, 0, NULL), MEROS_OK);
            for (int i = 0; i < N * N; i++) a[i] = (float)dense[i];
            cr_assert_eq(spd_invert(a, N, tiles[t], &run, 0, NULL), MEROS_OK);
            for (size_t i = 0; i < N; i++) {
                for (size_t j = 0; j <= i; j++) {
                    cr_assert_float_eq((double)a[i * N + j], want[i * N + j], 1e-4, "tile %zu, (%zu, %zu)", tiles[t], i, j);
                    if (threads == 3) cr_assert_eq(a[i * N + j], first[i * N + j], "threads change nothing");
                }
            }
            memcpy(first, a, sizeof a);
            ml_pool_free(run.pool);
        }
    }
    free(want);
    a[0] = -1;
    struct meros_err err = MEROS_ERR_INIT;
    cr_expect_eq(spd_invert(a, N, 16, NULL, 0, &err), MEROS_UNPROCESSABLE);
}

Test(ease, is_the_closed_form)
{
    enum { U = 60, I = 41 };
    struct both b = both_random(U, I, 700, 3, true, 3);
    double *x = dense_of(&b.user), gram[I * I] = {0};
    const double lambda = 7.5;
    for (size_t i = 0; i < I; i++) {
        for (size_t j = 0; j < I; j++) {
            for (size_t u = 0; u < U; u++) gram[i * I + j] += x[u * I + i] * x[u * I + j];
        }
        gram[i * I + i] += lambda;
    }
    double *p = naive_inverse(gram, I);
    struct ease_model m;
    ml_start();
    cr_assert_eq(ease_fit(&b.user, &b.item, lambda, NULL, &m, NULL), MEROS_OK);
    for (size_t i = 0; i < I; i++) {
        for (size_t j = 0; j < I; j++) {
            const double want = i == j ? 0 : -p[i * I + j] / p[j * I + j];
            cr_assert_float_eq((double)m.b[i * I + j], want, 1e-5, "(%zu, %zu)", i, j);
        }
    }
    float scores[I];
    const uint32_t history[] = {3, 500, 7};
    const float weights[] = {1, 9, -2};
    ease_score(&m, history, weights, 3, scores);
    for (size_t j = 0; j < I; j++) cr_expect_float_eq(scores[j], m.b[3 * I + j] - 2 * m.b[7 * I + j], 1e-6);
    free(p);
    free(x);
    ease_model_done(&m);
    both_done(&b);
}

Test(ease, an_item_of_nobody_says_nothing_and_is_never_predicted)
{
    const struct interaction t[] = {{0, 0, 1}, {0, 2, 1}, {1, 0, 1}};
    struct both b = both_of(t, 3, 2, 3);
    struct ease_model m;
    cr_assert_eq(ease_fit(&b.user, &b.item, 1, NULL, &m, NULL), MEROS_OK);
    for (int i = 0; i < 3; i++) cr_expect_eq(fabsf(m.b[3 + i]) + fabsf(m.b[3 * i + 1]), 0);
    cr_expect_gt(m.b[2], 0);
    ease_model_done(&m);
    both_done(&b);
    b = both_of(NULL, 0, 2, 0);
    cr_assert_eq(ease_fit(&b.user, &b.item, 1, NULL, &m, NULL), MEROS_OK);
    ease_model_done(&m);
    both_done(&b);
}

static bool never(void *arg, double fraction, const char *stage)
{
    (void)stage;
    cr_expect(fraction >= *(double *)arg && fraction <= 1);
    *(double *)arg = fraction;
    return fraction < 0.5;
}

Test(ease, refuses_what_makes_no_sense_stops_when_told_and_says_what_memory_it_would_need)
{
    struct both b = both_random(100, 600, 900, 3, false, 5);
    struct meros_err err = MEROS_ERR_INIT;
    struct ease_model m = {0};
    double fraction = 0;
    struct ml_run run = {.keep_going = never, .arg = &fraction};
    cr_expect_eq(ease_fit(&b.user, &b.item, 0, NULL, &m, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(ease_fit(&b.user, &b.item, NAN, NULL, &m, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(ease_fit(&b.user, &b.user, 1, NULL, &m, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(ease_fit(&b.user, &b.item, 1, &run, &m, &err), MEROS_CANCELLED);
    run = (struct ml_run){.memory_budget = ease_memory(600) - 1};
    cr_expect_eq(ease_fit(&b.user, &b.item, 1, &run, &m, &err), MEROS_OUT_OF_MEMORY);
    cr_expect_str_eq(err.detail, "EASE needs 1.4 MB of memory and may use 1.4 MB");
    cr_assert_null(m.b);
    run.memory_budget++;
    cr_expect_eq(ease_fit(&b.user, &b.item, 1, &run, &m, &err), MEROS_OK);
    ease_model_done(&m);
    both_done(&b);
}
