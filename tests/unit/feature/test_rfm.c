#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "meros/feature/rfm.h"

static const int64_t NOW = INT64_C(1700000000) * TIME_SECOND;

static void add(struct dataset *d, int64_t orders, double revenue, int recency_days)
{
    struct customer_stats s = {
        .customer_no = (int64_t)d->n + 1,
        .created_at = NOW - 900 * TIME_DAY,
        .orders = orders,
        .revenue = revenue,
        .gross_revenue = revenue,
        .first_order_at = orders == 0 ? TIME_NONE : NOW - 800 * TIME_DAY,
        .last_order_at = orders == 0 ? TIME_NONE : NOW - recency_days * TIME_DAY,
        .last_seen_at = TIME_NONE,
    };
    cr_assert_eq(dataset_add(d, &s, NULL, d->at, NULL), MEROS_OK);
}

static const float *row(const struct dataset *d, size_t i)
{
    return d->raw + i * FEATURE_COUNT;
}

Test(rfm, quintiles_of_distinct_values_are_fifths_and_recent_is_better)
{
    struct dataset d;
    struct rfm_cuts cuts;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 100; i++) add(&d, i + 1, 10 * (i + 1), 100 - i);
    cr_assert_eq(rfm_fit(&d, &cuts, NULL), MEROS_OK);
    int counts[3][6] = {{0}};
    for (size_t i = 0; i < d.n; i++) {
        struct rfm_scores s = rfm_score(&cuts, row(&d, i));
        counts[0][s.r]++;
        counts[1][s.f]++;
        counts[2][s.m]++;
    }
    for (int axis = 0; axis < 3; axis++)
        for (int score = 1; score <= 5; score++) cr_assert_eq(counts[axis][score], 20, "axis %d score %d", axis, score);
    cr_assert_eq(rfm_group_of(rfm_score(&cuts, row(&d, 99))), RFM_CHAMPIONS);
    cr_assert_eq(rfm_group_of(rfm_score(&cuts, row(&d, 0))), RFM_LOST);
    dataset_done(&d);
}

Test(rfm, equal_values_get_equal_scores_and_single_orders_score_one)
{
    struct dataset d;
    struct rfm_cuts cuts;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 60; i++) add(&d, 1, 20, 5 + i);
    for (int i = 0; i < 40; i++) add(&d, 2 + i, 100 + i, 5 + i);
    cr_assert_eq(rfm_fit(&d, &cuts, NULL), MEROS_OK);
    for (size_t i = 0; i < 60; i++) cr_assert_eq(rfm_score(&cuts, row(&d, i)).f, 1);
    cr_assert_eq(rfm_score(&cuts, row(&d, 99)).f, 5);
    dataset_done(&d);
}

Test(rfm, who_never_bought_is_a_group_of_its_own_and_moves_no_quintile)
{
    struct dataset d, more;
    struct rfm_cuts cuts, same;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    dataset_init(&more, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 50; i++) {
        add(&d, i + 1, i + 1, i + 1);
        add(&more, i + 1, i + 1, i + 1);
        add(&more, 0, 0, 0);
    }
    cr_assert_eq(rfm_fit(&d, &cuts, NULL), MEROS_OK);
    cr_assert_eq(rfm_fit(&more, &same, NULL), MEROS_OK);
    cr_assert_arr_eq(&cuts, &same, sizeof cuts);
    cr_assert_eq(rfm_group_of(rfm_score(&same, row(&more, 1))), RFM_NO_PURCHASES);
    dataset_done(&d);
    dataset_done(&more);
}

Test(rfm, nobody_who_bought_is_an_error)
{
    struct dataset d;
    struct rfm_cuts cuts;
    struct meros_err err = MEROS_ERR_INIT;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    add(&d, 0, 0, 0);
    cr_assert_eq(rfm_fit(&d, &cuts, &err), MEROS_UNPROCESSABLE);
    dataset_done(&d);
}

Test(rfm, all_the_same_is_neither_best_nor_worst)
{
    struct dataset d;
    struct rfm_cuts cuts;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 10; i++) add(&d, 2, 50, 20);
    cr_assert_eq(rfm_fit(&d, &cuts, NULL), MEROS_OK);
    struct rfm_scores s = rfm_score(&cuts, row(&d, 0));
    cr_assert_eq(s.r, 3);
    cr_assert_eq(s.m, 3);
    dataset_done(&d);
}

Test(rfm, every_cell_has_a_group_and_every_group_has_cells)
{
    bool seen[RFM_GROUP_COUNT] = {false};
    for (int r = 1; r <= 5; r++)
        for (int f = 1; f <= 5; f++)
            for (int m = 1; m <= 5; m++) {
                enum rfm_group g = rfm_group_of((struct rfm_scores){r, f, m});
                cr_assert_lt((int)g, RFM_NO_PURCHASES);
                seen[g] = true;
            }
    for (int g = 0; g < RFM_NO_PURCHASES; g++) cr_assert(seen[g], "%s", rfm_group_slug((enum rfm_group)g));
}

Test(rfm, the_corners_are_what_marketers_call_them)
{
    cr_assert_eq(rfm_group_of((struct rfm_scores){5, 5, 5}), RFM_CHAMPIONS);
    cr_assert_eq(rfm_group_of((struct rfm_scores){5, 1, 1}), RFM_NEW_CUSTOMERS);
    cr_assert_eq(rfm_group_of((struct rfm_scores){1, 5, 5}), RFM_CANT_LOSE_THEM);
    cr_assert_eq(rfm_group_of((struct rfm_scores){1, 1, 1}), RFM_LOST);
    cr_assert_eq(rfm_group_of((struct rfm_scores){3, 3, 3}), RFM_NEED_ATTENTION);
    cr_assert_eq(rfm_group_of((struct rfm_scores){4, 4, 4}), RFM_LOYAL);
}
