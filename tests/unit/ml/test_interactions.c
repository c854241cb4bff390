#include <math.h>

#include "meros/ml/interactions.h"
#include "recommend_data.h"

Test(interactions, rows_ascend_duplicates_are_summed_and_zeros_vanish)
{
    const struct interaction t[] = {{2, 1, 1}, {0, 3, 2}, {2, 0, 4}, {0, 3, 0.5f}, {0, 1, -1}, {1, 2, 3}, {1, 2, -3}, {2, 1, 1}};
    struct interactions x;
    cr_assert_eq(interactions_build(t, 8, 4, 5, 0, &x, NULL), MEROS_OK);
    const size_t start[] = {0, 2, 2, 4, 4};
    const uint32_t col[] = {1, 3, 0, 1};
    const float weight[] = {-1, 2.5f, 4, 2};
    cr_assert_eq(x.n, 4);
    cr_expect_arr_eq(x.start, start, sizeof start);
    cr_expect_arr_eq(x.col, col, sizeof col);
    cr_expect_arr_eq(x.weight, weight, sizeof weight);
    cr_expect_eq(interactions_at(&x, 0, 3), 2.5f);
    cr_expect_eq(interactions_at(&x, 0, 2), 0);
    cr_expect_eq(interactions_at(&x, 3, 4), 0);
    interactions_done(&x);
}

Test(interactions, a_transpose_holds_the_same_and_back_again_is_the_first)
{
    struct both b = both_random(40, 23, 500, 3, true, 9);
    struct interactions back;
    for (uint32_t u = 0; u < 40; u++) {
        for (uint32_t i = 0; i < 23; i++) cr_assert_eq(interactions_at(&b.user, u, i), interactions_at(&b.item, i, u));
    }
    cr_assert_eq(interactions_transpose(&b.item, 0, &back, NULL), MEROS_OK);
    cr_expect_arr_eq(back.start, b.user.start, 41 * sizeof *back.start);
    cr_expect_arr_eq(back.col, b.user.col, back.n * sizeof *back.col);
    cr_expect_arr_eq(back.weight, b.user.weight, back.n * sizeof *back.weight);
    interactions_done(&back);
    both_done(&b);
}

Test(interactions, agree_with_a_dense_sum_of_many_triples)
{
    enum { N = 5000, R = 30, C = 40 };
    static struct interaction t[N];
    static double want[R][C];
    struct ml_rng r;
    struct interactions x;
    ml_rng_seed(&r, 4);
    for (int i = 0; i < N; i++) {
        t[i] = (struct interaction){(uint32_t)ml_rng_below(&r, R), (uint32_t)ml_rng_below(&r, C), (float)ml_rng_normal(&r)};
        want[t[i].row][t[i].col] += (double)t[i].weight;
    }
    cr_assert_eq(interactions_build(t, N, R, C, 0, &x, NULL), MEROS_OK);
    for (uint32_t i = 0; i < R; i++) {
        for (uint32_t j = 0; j < C; j++) cr_assert_float_eq((double)interactions_at(&x, i, j), want[i][j], 1e-6);
    }
    interactions_done(&x);
}

Test(interactions, of_nothing_are_an_empty_matrix)
{
    struct both b = both_of(NULL, 0, 3, 2);
    cr_expect_eq(b.user.n + b.item.n, 0);
    cr_expect_eq(b.user.start[3] + b.item.start[2], 0);
    both_done(&b);
    b = both_of(NULL, 0, 0, 0);
    both_done(&b);
}

Test(interactions, outside_the_matrix_not_finite_or_too_large_are_refused_by_number)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct interactions x = {0};
    struct interaction t[] = {{0, 0, 1}, {1, 2, 1}, {1, 1, NAN}};
    cr_expect_eq(interactions_build(t, 3, 2, 2, 0, &x, &err), MEROS_UNPROCESSABLE);
    cr_expect_str_eq(err.detail, "interaction 1 is of user 1 with item 2, outside 2 x 2");
    cr_expect_eq(interactions_build(t, 3, 2, 3, 0, &x, &err), MEROS_UNPROCESSABLE);
    cr_expect_str_eq(err.detail, "interaction 2 weighs NaN, not a number that can be used");
    t[1] = t[2] = (struct interaction){1, 1, 3e38f};
    cr_expect_eq(interactions_build(t, 3, 2, 2, 0, &x, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(interactions_build(t, 3, 2, 2, 100, &x, &err), MEROS_OUT_OF_MEMORY);
    cr_assert_null(x.start);
}
