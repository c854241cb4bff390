#include <criterion/criterion.h>
#include <math.h>

#include "meros/ml/quantile.h"
#include "meros/ml/rng.h"

Test(quantile, is_linear_between_the_sorted_values)
{
    double v[] = {10, 1, 4, 2};
    values_sort(v, 4);
    cr_expect_eq(quantile_sorted(v, 4, 0), 1);
    cr_expect_eq(quantile_sorted(v, 4, 1), 10);
    cr_expect_float_eq(quantile_sorted(v, 4, 0.25), 1.75, 1e-12); /* numpy.quantile([1, 2, 4, 10], .25) */
    cr_expect_float_eq(quantile_sorted(v, 4, 0.9), 8.2, 1e-12);
    cr_expect_eq(median_sorted(v, 4), 3);
    cr_expect_float_eq(iqr_sorted(v, 4), 5.5 - 1.75, 1e-12);
}

Test(quantile, of_nothing_is_nan_and_of_one_value_is_the_value)
{
    double one = 7;
    cr_expect(isnan(quantile_sorted(NULL, 0, 0.5)));
    cr_expect_eq(quantile_sorted(&one, 1, 0.3), 7);
    cr_expect_eq(iqr_sorted(&one, 1), 0);
}

Test(quantile, median_absolute_deviation_ignores_a_wild_value)
{
    double v[] = {1, 2, 3, 4, 1e9}, scratch[5];
    cr_expect_eq(mad_sorted(v, 5, scratch), 1);
}

static void scores_are(const double *sorted, size_t n, enum score_ties ties, const int *want,
                       const char *what)
{
    double cuts[4];
    score_cuts(sorted, n, 5, ties, cuts);
    for (int i = 1; i < 4; i++) cr_expect(cuts[i] >= cuts[i - 1], "%s: cuts rise", what);
    for (size_t i = 0; i < n; i++) {
        cr_expect_eq(score_of(cuts, 5, sorted[i]), want[i], "%s: value %zu scores %d, want %d", what, i,
                     score_of(cuts, 5, sorted[i]), want[i]);
    }
}

Test(scores, ten_different_values_make_five_pairs)
{
    double v[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10};
    int want[] = {1, 1, 2, 2, 3, 3, 4, 4, 5, 5};
    scores_are(v, 10, SCORE_TIES_LOW, want, "low");
    scores_are(v, 10, SCORE_TIES_MID, want, "mid");
}

Test(scores, sixty_per_cent_at_frequency_one)
{
    double v[] = {1, 1, 1, 1, 1, 1, 2, 3, 5, 9};
    int low[] = {1, 1, 1, 1, 1, 1, 4, 4, 5, 5}, mid[] = {2, 2, 2, 2, 2, 2, 4, 4, 5, 5};
    scores_are(v, 10, SCORE_TIES_LOW, low, "low");
    scores_are(v, 10, SCORE_TIES_MID, mid, "mid");
}

Test(scores, all_values_equal)
{
    double v[] = {4, 4, 4, 4};
    int low[] = {1, 1, 1, 1}, mid[] = {3, 3, 3, 3};
    scores_are(v, 4, SCORE_TIES_LOW, low, "low");
    scores_are(v, 4, SCORE_TIES_MID, mid, "mid");
}

Test(scores, one_and_two_values)
{
    double one[] = {3}, two[] = {3, 8};
    int low1[] = {1}, mid1[] = {3}, low2[] = {1, 3}, mid2[] = {2, 4};
    scores_are(one, 1, SCORE_TIES_LOW, low1, "one low");
    scores_are(one, 1, SCORE_TIES_MID, mid1, "one mid");
    scores_are(two, 2, SCORE_TIES_LOW, low2, "two low");
    scores_are(two, 2, SCORE_TIES_MID, mid2, "two mid");
}

Test(scores, a_live_value_outside_what_was_seen_gets_the_end_scores)
{
    double v[] = {1, 2, 3, 4, 5}, cuts[4];
    score_cuts(v, 5, 5, SCORE_TIES_LOW, cuts);
    cr_expect_eq(score_of(cuts, 5, -100), 1);
    cr_expect_eq(score_of(cuts, 5, 2.5), 2);
    cr_expect_eq(score_of(cuts, 5, 1e12), 5);
    score_cuts(NULL, 0, 5, SCORE_TIES_LOW, cuts);
    cr_expect_eq(score_of(cuts, 5, 1e12), 1, "nothing was seen: nothing is above the lowest score");
}

Test(scores, follow_the_rank_whatever_the_values)
{
    struct ml_rng r;
    ml_rng_seed(&r, 1);
    for (int round = 0; round < 200; round++) {
        double v[60], cuts[4];
        size_t n = 1 + ml_rng_below(&r, 60), kinds = 1 + ml_rng_below(&r, 12);
        for (size_t i = 0; i < n; i++) v[i] = (double)ml_rng_below(&r, kinds);
        values_sort(v, n);
        for (int ties = 0; ties < 2; ties++) {
            score_cuts(v, n, 5, (enum score_ties)ties, cuts);
            for (size_t i = 0; i < n; i++) {
                size_t less = 0, same = 0;
                for (size_t j = 0; j < n; j++) {
                    less += v[j] < v[i];
                    same += v[j] == v[i];
                }
                size_t rank2 = 2 * less + (ties == SCORE_TIES_MID ? same : 0);
                cr_assert_eq(score_of(cuts, 5, v[i]), 1 + (int)(5 * rank2 / (2 * n)));
            }
        }
    }
}

Test(moments, agree_with_the_two_pass_formulas)
{
    double v[] = {2, 4, 4, 4, 5, 5, 7, 9};
    struct moments m = {0};
    for (int i = 0; i < 8; i++) moments_add(&m, v[i]);
    cr_expect_eq(m.n, 8);
    cr_expect_float_eq(m.mean, 5, 1e-12);
    cr_expect_float_eq(moments_variance(&m), 4, 1e-12);
    cr_expect_float_eq(moments_sd(&m), 2, 1e-12);
    cr_expect_float_eq(moments_skewness(&m), 0.65625, 1e-12); /* sum (v - 5)^3 / 8 / 2^3 = 42 / 64 */
    cr_expect_eq(m.min, 2);
    cr_expect_eq(m.max, 9);
}

Test(moments, merged_parts_are_the_whole)
{
    struct ml_rng r;
    ml_rng_seed(&r, 3);
    struct moments whole = {0}, part[3] = {{0}}, merged = {0};
    for (int i = 0; i < 3000; i++) {
        double v = exp(ml_rng_normal(&r)) + 100;
        moments_add(&whole, v);
        if (i % 7 != 0)
            moments_add(&part[i % 2], v); /* the third stays for every seventh */
        else
            moments_add(&part[2], v);
    }
    for (int i = 0; i < 3; i++) moments_merge(&merged, &part[i]);
    cr_expect_eq(merged.n, whole.n);
    cr_expect_float_eq(merged.mean, whole.mean, 1e-10);
    cr_expect_float_eq(moments_variance(&merged), moments_variance(&whole), 1e-9);
    cr_expect_float_eq(moments_skewness(&merged), moments_skewness(&whole), 1e-9);
    cr_expect_eq(merged.min, whole.min);
    cr_expect_eq(merged.max, whole.max);
}

Test(moments, of_nothing_or_constants_have_no_spread)
{
    struct moments m = {0};
    cr_expect_eq(moments_variance(&m), 0);
    for (int i = 0; i < 5; i++) moments_add(&m, 0.1);
    cr_expect_lt(moments_variance(&m), 1e-30);
    cr_expect(isfinite(moments_skewness(&m)));
}
