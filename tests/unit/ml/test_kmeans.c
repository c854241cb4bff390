#include <criterion/criterion.h>

#include "data.h"

/* --- the reference: Lloyd as the header describes it, nothing fused, everything in double --- */

struct naive {
    double *centres;
    int32_t *labels;
    double inertia;
    int iterations;
    bool converged;
};

static double distance2(const float *x, const double *c, size_t d)
{
    double s = 0;
    for (size_t f = 0; f < d; f++) s += ((double)x[f] - c[f]) * ((double)x[f] - c[f]);
    return s;
}

static size_t naive_assign(struct ml_matrix x, int k, struct naive *m)
{
    size_t changed = 0;
    m->inertia = 0;
    for (size_t i = 0; i < x.rows; i++) {
        int32_t best = 0;
        double best2 = INFINITY;
        for (int c = 0; c < k; c++) {
            double d2 = distance2(x.data + i * x.cols, m->centres + (size_t)c * x.cols, x.cols);
            if (d2 < best2) {
                best2 = d2;
                best = c;
            }
        }
        changed += m->labels[i] != best;
        m->labels[i] = best;
        m->inertia += best2;
    }
    return changed;
}

static double mean_variance(struct ml_matrix x)
{
    double total = 0;
    for (size_t f = 0; f < x.cols; f++) {
        double mean = 0, var = 0;
        for (size_t i = 0; i < x.rows; i++) mean += (double)x.data[i * x.cols + f];
        mean /= (double)x.rows;
        for (size_t i = 0; i < x.rows; i++) var += pow((double)x.data[i * x.cols + f] - mean, 2);
        total += var / (double)x.rows;
    }
    return total / (double)x.cols;
}

static struct naive naive_lloyd(struct ml_matrix x, int k, const double *init, int max_iter, double tol)
{
    size_t d = x.cols;
    struct naive m = {.centres = calloc((size_t)k * d, sizeof(double)),
                      .labels = calloc(x.rows, sizeof(int32_t))};
    double *sums = calloc((size_t)k * d, sizeof(double)), limit = tol * mean_variance(x);
    size_t *counts = calloc((size_t)k, sizeof(size_t));
    memcpy(m.centres, init, (size_t)k * d * sizeof(double));
    for (size_t i = 0; i < x.rows; i++) m.labels[i] = -1;
    while (m.iterations < max_iter && !m.converged) {
        m.iterations++;
        if (naive_assign(x, k, &m) == 0) {
            m.converged = true;
            break;
        }
        memset(sums, 0, (size_t)k * d * sizeof(double));
        memset(counts, 0, (size_t)k * sizeof(size_t));
        for (size_t i = 0; i < x.rows; i++) {
            counts[m.labels[i]]++;
            for (size_t f = 0; f < d; f++) sums[(size_t)m.labels[i] * d + f] += (double)x.data[i * d + f];
        }
        double shift = 0;
        for (size_t j = 0; j < (size_t)k * d; j++) {
            double v = counts[j / d] > 0 ? sums[j] / (double)counts[j / d] : m.centres[j];
            shift += (v - m.centres[j]) * (v - m.centres[j]);
            m.centres[j] = v;
        }
        m.converged = shift <= limit;
    }
    naive_assign(x, k, &m);
    free(sums);
    free(counts);
    return m;
}

static void naive_done(struct naive *m)
{
    free(m->centres);
    free(m->labels);
}

static double *first_rows(struct ml_matrix x, int k)
{
    double *c = calloc((size_t)k * x.cols, sizeof *c);
    for (size_t i = 0; i < (size_t)k * x.cols; i++) c[i] = (double)x.data[i];
    return c;
}

static struct kmeans_result fit(struct ml_matrix x, const struct kmeans_params *p)
{
    struct kmeans_result r = {0};
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(kmeans_fit(x, p, NULL, &r, &err), MEROS_OK, "%s", err.detail);
    return r;
}

static void refuses(struct ml_matrix x, struct kmeans_params p, const char *words)
{
    struct kmeans_result r = {0};
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(kmeans_fit(x, &p, NULL, &r, &err), MEROS_UNPROCESSABLE, "expected a refusal: %s", words);
    cr_assert_not_null(strstr(err.detail, words), "\"%s\" is not in: %s", words, err.detail);
    cr_assert_null(r.centres, "out is untouched on failure");
}

static const char *const kernel_names[] = {"avx512", "avx2", "portable"};

Test(kmeans, agrees_with_the_naive_version_for_every_kernel_and_shape)
{
    static const struct {
        size_t n, d;
        int k;
    } shape[] = {{1000, 16, 12}, {3001, 2, 3}, {777, 1, 5}, {5000, 7, 16},
                 {2049, 33, 13}, {600, 5, 40}, {4100, 3, 1}};
    for (size_t s = 0; s < sizeof shape / sizeof shape[0]; s++) {
        struct blobs b = blobs_make(shape[s].n, shape[s].d, shape[s].k, 3, 11 + s);
        double *init = first_rows(b.x, shape[s].k);
        struct naive want = naive_lloyd(b.x, shape[s].k, init, 300, 1e-4);
        for (int i = 0; i < 3; i++) {
            if (!kmeans_force_kernel(kernel_names[i])) continue; /* not on this machine */
            struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
            p.k = shape[s].k;
            p.init = init;
            struct kmeans_result r = fit(b.x, &p);
            cr_expect(fabs(r.inertia - want.inertia) <= 1e-6 * want.inertia,
                      "shape %zu, %s: inertia %.10g, want %.10g", s, kernel_names[i], r.inertia,
                      want.inertia);
            cr_expect_eq(r.iterations, want.iterations, "shape %zu, %s: %d iterations, want %d", s,
                         kernel_names[i], r.iterations, want.iterations);
            cr_expect_eq(r.converged, want.converged);
            size_t differ = 0, total = 0;
            for (size_t j = 0; j < shape[s].n; j++) differ += r.labels[j] != want.labels[j];
            for (int c = 0; c < r.k; c++) total += r.sizes[c];
            cr_expect_leq(differ, shape[s].n / 1000, "shape %zu, %s: %zu labels differ", s, kernel_names[i],
                          differ);
            cr_expect_eq(total, shape[s].n);
            for (size_t j = 0; j < (size_t)r.k * r.d; j++) {
                cr_expect(fabs(r.centres[j] - want.centres[j]) < 1e-2, "shape %zu: centre value %zu", s, j);
            }
            kmeans_result_done(&r);
        }
        kmeans_force_kernel(NULL);
        naive_done(&want);
        free(init);
        blobs_done(&b);
    }
}

Test(kmeans, finds_blobs_that_are_far_apart)
{
    struct blobs b = blobs_make(3000, 6, 7, 20, 5);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 7;
    struct kmeans_result r = fit(b.x, &p);
    int32_t of[7];
    memset(of, 0xff, sizeof of);
    for (size_t i = 0; i < b.x.rows; i++) {
        if (of[b.labels[i]] < 0) of[b.labels[i]] = r.labels[i];
        cr_assert_eq(of[b.labels[i]], r.labels[i], "row %zu is apart from its blob", i);
    }
    cr_expect_eq(r.n_nonempty, 7);
    cr_expect(r.converged);
    kmeans_result_done(&r);
    blobs_done(&b);
}

Test(kmeans, more_iterations_never_raise_the_inertia)
{
    struct blobs b = blobs_make(2000, 4, 9, 1, 3);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 9;
    p.n_init = 1;
    p.tol = 0;
    double before = INFINITY;
    for (p.max_iter = 1; p.max_iter < 30; p.max_iter++) {
        struct kmeans_result r = fit(b.x, &p);
        cr_expect_leq(r.inertia, before * (1 + 1e-7), "at %d iterations", p.max_iter);
        before = r.inertia;
        kmeans_result_done(&r);
    }
    blobs_done(&b);
}

Test(kmeans, more_starts_never_raise_the_inertia_and_the_best_start_is_named)
{
    struct blobs b = blobs_make(1500, 3, 12, 2, 8);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 12;
    double before = INFINITY;
    for (p.n_init = 1; p.n_init <= 6; p.n_init++) {
        struct kmeans_result r = fit(b.x, &p);
        cr_expect_leq(r.inertia, before);
        cr_expect(r.start >= 0 && r.start < p.n_init);
        before = r.inertia;
        kmeans_result_done(&r);
    }
    blobs_done(&b);
}

Test(kmeans, same_bits_for_every_number_of_threads)
{
    struct blobs b = blobs_make(20000, 5, 8, 2, 21);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.n_init = 2;
    struct kmeans_result want = fit(b.x, &p);
    for (int threads = 1; threads <= 5; threads++) {
        struct ml_run run = {0};
        struct kmeans_result r = {0};
        cr_assert_eq(ml_pool_new(&run.pool, threads, 0, NULL), MEROS_OK);
        cr_assert_eq(kmeans_fit(b.x, &p, &run, &r, NULL), MEROS_OK);
        cr_expect_eq(memcmp(r.centres, want.centres, (size_t)r.k * r.d * sizeof *r.centres), 0, "%d threads",
                     threads);
        cr_expect_eq(memcmp(r.labels, want.labels, r.n * sizeof *r.labels), 0, "%d threads", threads);
        cr_expect_eq(memcmp(&r.inertia, &want.inertia, sizeof r.inertia), 0, "%d threads", threads);
        kmeans_result_done(&r);
        ml_pool_free(run.pool);
    }
    kmeans_result_done(&want);
    blobs_done(&b);
}

Test(kmeans, another_seed_starts_elsewhere_and_the_same_seed_does_not)
{
    struct blobs b = blobs_make(500, 3, 30, 0.1, 4); /* one cloud: every start ends somewhere else */
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 10;
    p.n_init = 1;
    struct kmeans_result one = fit(b.x, &p), again = fit(b.x, &p);
    p.seed = 1;
    struct kmeans_result other = fit(b.x, &p);
    cr_expect_eq(one.inertia, again.inertia);
    cr_expect_neq(one.inertia, other.inertia);
    kmeans_result_done(&one);
    kmeans_result_done(&again);
    kmeans_result_done(&other);
    blobs_done(&b);
}

Test(kmeans, one_row_is_its_own_cluster)
{
    float x[] = {3, -4, 5};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 1;
    struct kmeans_result r = fit((struct ml_matrix){x, 1, 3}, &p);
    cr_expect_eq(r.labels[0], 0);
    cr_expect_eq(r.inertia, 0);
    cr_expect_eq(r.centres[1], -4);
    cr_expect_eq(r.sizes[0], 1);
    kmeans_result_done(&r);
}

Test(kmeans, k_1_gives_the_mean_and_the_total_variance)
{
    float x[] = {1, 2, 3, 6};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 1;
    struct kmeans_result r = fit((struct ml_matrix){x, 4, 1}, &p);
    cr_expect_float_eq(r.centres[0], 3, 1e-12);
    cr_expect_float_eq(r.inertia, 14, 1e-9);
    kmeans_result_done(&r);
}

Test(kmeans, k_above_the_distinct_rows_leaves_the_rest_empty)
{
    float x[100];
    for (int i = 0; i < 100; i++) x[i] = (float)(i % 3) * 10; /* 50 rows of 2: pairs repeat with period 3 */
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 6;
    for (p.seed = 0; p.seed < 20; p.seed++) {
        struct kmeans_result r = fit((struct ml_matrix){x, 50, 2}, &p);
        cr_expect_eq(r.n_nonempty, 3);
        cr_expect_lt(r.inertia, 1e-9);
        for (int c = 0; c < 6 * 2; c++) cr_expect(isfinite(r.centres[c]));
        kmeans_result_done(&r);
    }
}

Test(kmeans, equal_rows_are_one_cluster)
{
    float x[64];
    for (int i = 0; i < 64; i++) x[i] = 0.1f;
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 4;
    struct kmeans_result r = fit((struct ml_matrix){x, 32, 2}, &p);
    cr_expect_eq(r.n_nonempty, 1);
    cr_expect_lt(r.inertia, 1e-12);
    cr_expect(r.converged);
    kmeans_result_done(&r);
}

Test(kmeans, k_equal_to_n_gives_every_row_a_cluster)
{
    float x[] = {0, 1, 5, 9, 14, 20, 100};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 7;
    struct kmeans_result r = fit((struct ml_matrix){x, 7, 1}, &p);
    cr_expect_eq(r.n_nonempty, 7);
    cr_expect_lt(r.inertia, 1e-9);
    kmeans_result_done(&r);
}

Test(kmeans, a_constant_column_changes_nothing)
{
    struct blobs b = blobs_make(400, 3, 4, 6, 9);
    float *wide = calloc(400 * 4, sizeof *wide);
    for (size_t i = 0; i < 400; i++) {
        memcpy(wide + i * 4, b.values + i * 3, 3 * sizeof *wide);
        wide[i * 4 + 3] = 1234.5f;
    }
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 4;
    struct kmeans_result r = fit(b.x, &p), w = fit((struct ml_matrix){wide, 400, 4}, &p);
    cr_expect_eq(memcmp(r.labels, w.labels, 400 * sizeof *r.labels), 0);
    cr_expect_float_eq(w.centres[3], 1234.5, 1e-9);
    kmeans_result_done(&r);
    kmeans_result_done(&w);
    free(wide);
    blobs_done(&b);
}

Test(kmeans, an_empty_cluster_takes_the_farthest_row)
{
    /* Both centres at 0 or beyond everything: centre 1 has no row and must take the row at 50. */
    float x[] = {0, 1, 2, 3, 50};
    double init[] = {0, 1000};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 2;
    p.init = init;
    struct kmeans_result r = fit((struct ml_matrix){x, 5, 1}, &p);
    cr_expect_eq(r.n_nonempty, 2);
    cr_expect_float_eq(r.centres[0], 1.5, 1e-6);
    cr_expect_float_eq(r.centres[1], 50, 1e-5);
    cr_expect_eq(r.labels[4], 1);
    kmeans_result_done(&r);
}

Test(kmeans, several_empty_clusters_take_different_rows)
{
    float x[] = {0, 1, 2, 3, 50, 70, 90};
    double init[] = {0, 1e6, 2e6, 3e6};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 4;
    p.init = init;
    struct kmeans_result r = fit((struct ml_matrix){x, 7, 1}, &p);
    cr_expect_eq(r.n_nonempty, 4);
    cr_expect_float_eq(r.inertia, 5, 1e-6); /* 0..3 around 1.5, and three rows alone */
    kmeans_result_done(&r);
}

Test(kmeans, an_offset_far_from_zero_does_not_blur_the_clusters)
{
    float x[200];
    for (int i = 0; i < 200; i++)
        x[i] = 1e6f + (float)(i % 2); /* squares would be 1e12: float32 could not tell */
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 2;
    struct kmeans_result r = fit((struct ml_matrix){x, 200, 1}, &p);
    cr_expect_eq(r.sizes[0], 100);
    cr_expect_lt(r.inertia, 1e-9);
    kmeans_result_done(&r);
}

Test(kmeans, nan_and_infinity_are_refused_by_row_and_column)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 2;
    float x[600];
    for (int i = 0; i < 600; i++) x[i] = (float)(i % 7);
    x[301] = NAN;
    refuses((struct ml_matrix){x, 300, 2}, p, "row 150, column 1 is NaN");
    x[301] = -INFINITY;
    refuses((struct ml_matrix){x, 300, 2}, p, "row 150, column 1 is infinite");
    x[301] = 3e20f;
    refuses((struct ml_matrix){x, 300, 2}, p, "scale the column");
}

Test(kmeans, wrong_parameters_are_refused_in_words)
{
    float x[] = {1, 2, 3, 4};
    double init[] = {1, NAN};
    struct ml_matrix m = {x, 4, 1};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 2;
#define WITH(change, words)                                                                                  \
    do {                                                                                                     \
        struct kmeans_params q = p;                                                                          \
        change;                                                                                              \
        refuses(m, q, words);                                                                                \
    } while (0)
    WITH(q.k = 0, "k is 0");
    WITH(q.k = 5, "only 4 rows");
    WITH(q.k = KMEANS_K_MAX + 1, "k is 1001");
    WITH(q.n_init = 0, "n_init is 0");
    WITH(q.max_iter = 0, "max_iter is 0");
    WITH(q.tol = -1, "tol is -1");
    WITH(q.tol = NAN, "tol is");
    WITH(q.init = init, "start centre 1");
    refuses((struct ml_matrix){x, 0, 1}, p, "nothing to cluster");
    refuses((struct ml_matrix){x, 4, 0}, p, "nothing to cluster");
}

Test(kmeans, refuses_before_it_starts_when_the_budget_is_too_small)
{
    struct blobs b = blobs_make(5000, 4, 3, 3, 2);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_result r = {0};
    struct meros_err err = MEROS_ERR_INIT;
    size_t need = kmeans_memory(&p, 5000, 4, NULL);
    struct ml_run run = {.memory_budget = need - 1};
    cr_expect_gt(need, 5000 * 4 * sizeof(float));
    cr_expect_eq(kmeans_fit(b.x, &p, &run, &r, &err), MEROS_OUT_OF_MEMORY);
    cr_expect_not_null(strstr(err.detail, "MB"));
    run.memory_budget = need;
    cr_expect_eq(kmeans_fit(b.x, &p, &run, &r, &err), MEROS_OK);
    kmeans_result_done(&r);
    blobs_done(&b);
}

struct watch {
    int calls, stop_at;
    double last;
    bool fell;
};
static bool watching(void *arg, double fraction, const char *stage)
{
    struct watch *w = arg;
    if (fraction < w->last || fraction < 0 || fraction > 1 || stage == NULL) w->fell = true;
    w->last = fraction;
    return ++w->calls != w->stop_at;
}

Test(kmeans, reports_rising_progress_and_stops_when_told)
{
    struct blobs b = blobs_make(3000, 4, 6, 1, 2);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct watch w = {0};
    struct ml_run run = {.keep_going = watching, .arg = &w};
    struct kmeans_result r = {0};
    cr_assert_eq(kmeans_fit(b.x, &p, &run, &r, NULL), MEROS_OK);
    cr_expect_gt(w.calls, 10);
    cr_expect_not(w.fell);
    kmeans_result_done(&r);
    for (int at = 1; at < 15; at++) {
        w = (struct watch){.stop_at = at};
        cr_expect_eq(kmeans_fit(b.x, &p, &run, &r, NULL), MEROS_CANCELLED);
        cr_expect_eq(w.calls, at, "not asked again after a no");
        cr_expect_null(r.centres);
    }
    blobs_done(&b);
}

Test(kmeans, nearest_agrees_with_the_labels)
{
    struct blobs b = blobs_make(1000, 3, 5, 3, 2);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_result r = fit(b.x, &p);
    double sum = 0;
    for (size_t i = 0; i < 1000; i++) {
        double row[3], d2;
        for (int f = 0; f < 3; f++) row[f] = (double)b.values[i * 3 + (size_t)f];
        cr_expect_eq(kmeans_nearest(r.centres, r.k, 3, row, &d2), r.labels[i]);
        sum += d2;
    }
    cr_expect_float_eq(sum, r.inertia, 1e-6 * r.inertia);
    kmeans_result_done(&r);
    blobs_done(&b);
}

Test(kmeans, many_rows_start_from_a_sample_and_still_find_rare_blobs)
{
    /* More than 65,536 rows, sorted by blob, the rarest with 0.5 % of them at the end. */
    size_t n = 80000, d = 2;
    float *x = calloc(n * d, sizeof *x);
    struct ml_rng rng;
    ml_rng_seed(&rng, 6);
    for (size_t i = 0; i < n; i++) {
        double blob = i < n / 2 ? 0 : i < n - n / 200 ? 30 : 90;
        for (size_t f = 0; f < d; f++) x[i * d + f] = (float)(blob + ml_rng_normal(&rng));
    }
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 3;
    p.n_init = 2;
    struct kmeans_result r = fit((struct ml_matrix){x, n, d}, &p), again = {0};
    cr_expect_eq(r.sizes[r.labels[0]], n / 2);
    cr_expect_eq(r.sizes[r.labels[n - 1]], n / 200);
    struct ml_run run = {0};
    cr_assert_eq(ml_pool_new(&run.pool, 3, 0, NULL), MEROS_OK);
    cr_assert_eq(kmeans_fit((struct ml_matrix){x, n, d}, &p, &run, &again, NULL), MEROS_OK);
    cr_expect_eq(memcmp(r.centres, again.centres, 3 * d * sizeof *r.centres), 0, "threads change nothing");
    cr_expect_eq(memcmp(r.labels, again.labels, n * sizeof *r.labels), 0, "threads change nothing");
    kmeans_result_done(&r);
    kmeans_result_done(&again);
    ml_pool_free(run.pool);
    free(x);
}

Test(kmeans, start_centres_at_absurd_places_do_no_harm)
{
    struct blobs b = blobs_make(300, 2, 3, 8, 2);
    double init[] = {1e300, -1e300, 0, 0, -1e200, 1e-300};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    p.k = 3;
    p.init = init;
    struct kmeans_result r = fit(b.x, &p);
    cr_expect_eq(r.n_nonempty, 3);
    cr_expect(isfinite(r.inertia));
    kmeans_result_done(&r);
    blobs_done(&b);
}
