#include <criterion/criterion.h>

#include "data.h"
#include "meros/ml/cluster_metrics.h"

static double row_distance(struct ml_matrix x, size_t i, size_t j)
{
    double s = 0;
    for (size_t f = 0; f < x.cols; f++)
        s += pow((double)x.data[i * x.cols + f] - (double)x.data[j * x.cols + f], 2);
    return sqrt(s);
}

static double naive_silhouette(struct ml_matrix x, const int32_t *labels, int k)
{
    double total = 0;
    size_t rows = 0;
    for (size_t i = 0; i < x.rows; i++) {
        double sum[64] = {0}, b = INFINITY, a;
        size_t count[64] = {0};
        if (labels[i] < 0) continue;
        rows++;
        for (size_t j = 0; j < x.rows; j++) {
            if (labels[j] < 0) continue;
            sum[labels[j]] += row_distance(x, i, j);
            count[labels[j]]++;
        }
        if (count[labels[i]] == 1) continue;
        a = sum[labels[i]] / (double)(count[labels[i]] - 1);
        for (int c = 0; c < k; c++) {
            if (c != labels[i] && count[c] > 0 && sum[c] / (double)count[c] < b)
                b = sum[c] / (double)count[c];
        }
        total += (b - a) / fmax(a, b);
    }
    return total / (double)rows;
}

static struct cluster_metrics measure(struct ml_matrix x, const int32_t *labels, int k,
                                      const struct cluster_metrics_params *p)
{
    struct cluster_metrics m;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(cluster_metrics(x, labels, k, p, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

Test(cluster_metrics, four_points_worked_by_hand)
{
    float x[] = {0, 2, 10, 14};
    int32_t labels[] = {0, 0, 1, 1};
    struct cluster_metrics m = measure((struct ml_matrix){x, 4, 1}, labels, 2, NULL);
    cr_expect_float_eq(m.inertia, 1 + 1 + 4 + 4, 1e-12);
    cr_expect_float_eq(m.calinski_harabasz, (121.0 / 1) / (10.0 / 2), 1e-9); /* between = 2 * 5.5^2 * 2 */
    cr_expect_float_eq(m.davies_bouldin, (1 + 2) / 11.0, 1e-12);
    double s = ((12 - 2) / 12.0 + (10 - 2) / 10.0 + (9 - 4) / 9.0 + (13 - 4) / 13.0) / 4;
    cr_expect_float_eq(m.silhouette, s, 1e-6);
    cr_expect(m.silhouette_exact);
    cr_expect_eq(m.clusters, 2);
}

Test(cluster_metrics, silhouette_agrees_with_the_naive_one_for_every_kernel)
{
    struct blobs b = blobs_make(501, 5, 6, 2, 31);
    b.labels[7] = -1;                                                                  /* noise */
    for (size_t i = 0; i < 501; i++) b.labels[i] = b.labels[i] == 2 ? 3 : b.labels[i]; /* 2 is empty */
    b.labels[8] = 6;                                                                   /* alone */
    double want = naive_silhouette(b.x, b.labels, 7);
    static const char *const names[] = {"avx512", "avx2", "portable"};
    for (int i = 0; i < 3; i++) {
        if (!kmeans_force_kernel(names[i])) continue;
        struct cluster_metrics m = measure(b.x, b.labels, 7, NULL);
        cr_expect_float_eq(m.silhouette, want, 1e-5, "%s: %g, want %g", names[i], m.silhouette, want);
        cr_expect_eq(m.rows, 500);
        cr_expect_eq(m.clusters, 6);
    }
    kmeans_force_kernel(NULL);
    blobs_done(&b);
}

Test(cluster_metrics, a_sampled_silhouette_says_so_and_is_near)
{
    struct blobs b = blobs_make(6000, 3, 4, 4, 17);
    struct cluster_metrics_params p = {.silhouette_rows = 1500, .seed = 5};
    struct cluster_metrics exact = measure(b.x, b.labels, 4, NULL), sampled = measure(b.x, b.labels, 4, &p);
    struct cluster_metrics again = measure(b.x, b.labels, 4, &p);
    cr_expect(exact.silhouette_exact);
    cr_expect_not(sampled.silhouette_exact);
    cr_expect_eq(sampled.silhouette_rows, 1500);
    cr_expect_eq(sampled.silhouette_seed, 5);
    cr_expect_float_eq(sampled.silhouette, exact.silhouette, 0.03);
    cr_expect_eq(sampled.silhouette, again.silhouette);
    blobs_done(&b);
}

Test(cluster_metrics, do_not_depend_on_threads)
{
    struct blobs b = blobs_make(30000, 3, 4, 2, 17);
    struct cluster_metrics want = measure(b.x, b.labels, 4, NULL), got;
    struct ml_run run = {0};
    cr_assert_eq(ml_pool_new(&run.pool, 3, 0, NULL), MEROS_OK);
    cr_assert_eq(cluster_metrics(b.x, b.labels, 4, NULL, &run, &got, NULL), MEROS_OK);
    cr_expect_eq(want.silhouette, got.silhouette);
    cr_expect_eq(want.calinski_harabasz, got.calinski_harabasz);
    cr_expect_eq(want.davies_bouldin, got.davies_bouldin);
    ml_pool_free(run.pool);
    blobs_done(&b);
}

Test(cluster_metrics, are_nan_for_one_cluster)
{
    float x[] = {1, 2, 3};
    int32_t labels[] = {0, 0, 0}, noise[] = {-1, -1, -1};
    struct cluster_metrics m = measure((struct ml_matrix){x, 3, 1}, labels, 2, NULL);
    cr_expect(isnan(m.silhouette));
    cr_expect(isnan(m.calinski_harabasz));
    cr_expect(isnan(m.davies_bouldin));
    cr_expect_float_eq(m.inertia, 2, 1e-12);
    m = measure((struct ml_matrix){x, 3, 1}, noise, 2, NULL);
    cr_expect_eq(m.rows, 0);
    cr_expect(isnan(m.silhouette));
}

Test(agreement, of_labellings_worked_by_hand)
{
    /* scikit-learn's documentation: labels [0, 0, 1, 1] and [0, 0, 1, 2] */
    int32_t a[] = {0, 0, 1, 1}, b[] = {0, 0, 1, 2};
    int64_t t[6];
    contingency(a, 2, b, 3, 4, t);
    cr_expect_eq(t[0], 2);
    cr_expect_eq(t[4], 1);
    cr_expect_eq(t[5], 1);
    cr_expect_float_eq(adjusted_rand_index(t, 2, 3), 0.571428571, 1e-8);
    cr_expect_float_eq(normalized_mutual_info(t, 2, 3), 0.8, 1e-9);
}

Test(agreement, does_not_care_about_names_of_labels)
{
    struct ml_rng r;
    ml_rng_seed(&r, 6);
    int32_t a[200], b[200];
    int64_t t[25];
    for (int i = 0; i < 200; i++) {
        a[i] = (int32_t)ml_rng_below(&r, 5);
        b[i] = (a[i] * 2 + 1) % 5;
    }
    contingency(a, 5, b, 5, 200, t);
    cr_expect_float_eq(adjusted_rand_index(t, 5, 5), 1, 1e-12);
    cr_expect_float_eq(normalized_mutual_info(t, 5, 5), 1, 1e-12);
    for (int i = 0; i < 200; i++) b[i] = (int32_t)ml_rng_below(&r, 5);
    contingency(a, 5, b, 5, 200, t);
    cr_expect_lt(fabs(adjusted_rand_index(t, 5, 5)), 0.05);
}

Test(agreement, of_trivial_labellings_is_defined)
{
    int32_t same[] = {0, 0, 0}, apart[] = {0, 1, 2};
    int64_t t[9];
    contingency(same, 1, same, 1, 3, t);
    cr_expect_eq(adjusted_rand_index(t, 1, 1), 1);
    cr_expect_eq(normalized_mutual_info(t, 1, 1), 1);
    contingency(apart, 3, apart, 3, 3, t);
    cr_expect_eq(adjusted_rand_index(t, 3, 3), 1);
    contingency(same, 1, apart, 3, 3, t);
    cr_expect_eq(adjusted_rand_index(t, 1, 3), 0);
    cr_expect_eq(normalized_mutual_info(t, 1, 3), 0);
}

/* --- k "auto" --- */

static int chosen(struct ml_matrix x, const char **index)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c;
    struct meros_err err = MEROS_ERR_INIT;
    p.n_init = 2;
    cr_assert_eq(kmeans_choose_k(x, &p, 2, 10, NULL, &c, &err), MEROS_OK, "%s", err.detail);
    int k = c.fit.k;
    cr_expect_eq(c.n_table, 9);
    for (size_t i = 1; i < c.n_table; i++) cr_expect_leq(c.table[i].inertia, c.table[i - 1].inertia * 1.001);
    if (index != NULL) *index = c.index;
    kmeans_choice_done(&c);
    return k;
}

Test(choose_k, finds_the_number_of_blobs)
{
    for (int k = 2; k <= 8; k++) {
        struct blobs b = blobs_make(1200, 6, k, 5, 40 + (uint64_t)k);
        cr_expect_eq(chosen(b.x, NULL), k, "%d blobs", k);
        blobs_done(&b);
    }
}

Test(choose_k, does_not_say_2_of_skewed_purchases_without_groups)
{
    struct ml_rng r;
    ml_rng_seed(&r, 1);
    size_t n = 1500;
    float *x = calloc(n * 3, sizeof *x);
    for (size_t i = 0; i < n; i++) { /* recency, frequency, money: correlated, log-scaled */
        double z = ml_rng_normal(&r), frequency = 1 + floor(exp(0.8 * z + 0.6 * ml_rng_normal(&r)));
        x[i * 3] = (float)log1p(-log(1 - ml_rng_uniform(&r)) * 100 / (1 + exp(z)));
        x[i * 3 + 1] = (float)log1p(frequency);
        x[i * 3 + 2] = (float)log1p(frequency * exp(3 + 0.7 * ml_rng_normal(&r)));
    }
    const char *index = NULL;
    int k = chosen((struct ml_matrix){x, n, 3}, &index);
    cr_expect(k >= 3 && k <= 8, "k is %d", k);
    cr_expect_str_eq(index, "knee");
    free(x);
}

Test(choose_k, of_few_distinct_rows_stops_at_them)
{
    float x[40];
    for (int i = 0; i < 40; i++) x[i] = (float)(i % 3) * 5;
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c;
    cr_assert_eq(kmeans_choose_k((struct ml_matrix){x, 40, 1}, &p, 2, 10, NULL, &c, NULL), MEROS_OK);
    cr_expect_eq(c.fit.k, 3);
    cr_expect_eq(c.n_table, 2);
    kmeans_choice_done(&c);
}

Test(choose_k, refuses_when_there_is_nothing_to_choose)
{
    float x[] = {1, 1, 1, 1, 1};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c;
    struct meros_err err = MEROS_ERR_INIT;
    cr_expect_eq(kmeans_choose_k((struct ml_matrix){x, 5, 1}, &p, 2, 10, NULL, &c, &err),
                 MEROS_UNPROCESSABLE);
    cr_expect_not_null(strstr(err.detail, "nothing to divide"));
    cr_expect_eq(kmeans_choose_k((struct ml_matrix){x, 2, 1}, &p, 2, 10, NULL, &c, &err),
                 MEROS_UNPROCESSABLE);
    cr_expect_eq(kmeans_choose_k((struct ml_matrix){x, 5, 1}, &p, 1, 10, NULL, &c, &err),
                 MEROS_UNPROCESSABLE);
}

static bool rising(void *arg, double fraction, const char *stage)
{
    double *last = arg;
    if (fraction < *last || fraction > 1 || stage == NULL)
        cr_expect_fail("progress fell from %g to %g", *last, fraction);
    *last = fraction;
    return true;
}

Test(choose_k, reports_rising_progress)
{
    struct blobs b = blobs_make(500, 3, 4, 5, 2);
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c;
    double last = 0;
    struct ml_run run = {.keep_going = rising, .arg = &last};
    cr_assert_eq(kmeans_choose_k(b.x, &p, 2, 6, &run, &c, NULL), MEROS_OK);
    cr_expect_gt(last, 0.9);
    kmeans_choice_done(&c);
    blobs_done(&b);
}
