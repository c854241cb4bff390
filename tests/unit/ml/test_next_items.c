/* What is bought together, and what is bought next. */
#include <math.h>

#include "meros/ml/bought_together.h"
#include "meros/ml/transitions.h"
#include "recommend_data.h"

Test(bought_together, knows_lift_and_count_of_hand_worked_baskets)
{
    /* 8 baskets: {0 1} x 3, {0 2}, {0 1 2}, {3 4}, {2}, {} */
    const struct interaction t[] = {{0, 0, 1}, {0, 1, 5}, {1, 0, 1}, {1, 1, 1}, {2, 0, 2}, {2, 1, 1}, {3, 0, 1}, {3, 2, 1},
                                    {4, 0, 1}, {4, 1, 1}, {4, 2, 1}, {5, 3, 1}, {5, 4, 1}, {6, 2, 1}};
    struct both b = both_of(t, 14, 8, 5);
    struct bought_together_params p = {.k = 10, .min_count = 1, .min_lift = 0};
    struct bought_together r;
    cr_assert_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &r, NULL), MEROS_OK);
    const size_t start[] = {0, 2, 4, 6, 7, 8};
    const uint32_t item[] = {1, 2, 0, 2, 0, 1, 4, 3}, count[] = {4, 2, 4, 1, 2, 1, 1, 1};
    cr_assert_eq(r.table.n, 8);
    cr_expect_arr_eq(r.table.start, start, sizeof start);
    cr_expect_arr_eq(r.table.item, item, sizeof item);
    cr_expect_arr_eq(r.count, count, sizeof count);
    cr_expect_float_eq(bought_together_lift(&r, 0, 0), 8. * 4 / (5 * 4), 1e-12);
    cr_expect_float_eq(bought_together_lift(&r, 3, 6), 8, 1e-12, "once, together, and never else");
    cr_expect_float_eq(r.table.score[0], 1.6 * exp(-.98), 1e-6);
    cr_expect_float_eq(r.table.score[6], 8 * exp(-1.96), 1e-6);
    bought_together_done(&r);

    p.min_count = 2;
    p.min_lift = 1.2;
    cr_assert_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &r, NULL), MEROS_OK);
    cr_expect_eq(r.table.n, 2, "0 and 1 alone: 0 and 2 have lift 16/15, the others a single basket");
    bought_together_done(&r);
    both_done(&b);
}

Test(bought_together, of_random_baskets_is_what_counting_gives_with_any_number_of_threads)
{
    struct both b = both_random(400, 60, 2500, 4, false, 2);
    const struct bought_together_params p = {.k = 60, .min_count = 4, .min_lift = 1.1};
    struct bought_together one, three;
    struct ml_run run = {0};
    double *x = dense_of(&b.user);
    cr_assert_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &one, NULL), MEROS_OK);
    size_t pairs = 0;
    for (uint32_t i = 0; i < 60; i++) {
        for (uint32_t j = 0; j < 60; j++) {
            uint32_t both = 0;
            for (size_t u = 0; u < 400; u++) both += x[u * 60 + i] != 0 && x[u * 60 + j] != 0;
            const double lift = 400. * both / ((double)interactions_of(&b.item, i) * (double)interactions_of(&b.item, j));
            if (i == j || both < 4 || lift < 1.1) continue;
            pairs++;
            size_t e = one.table.start[i];
            while (e < one.table.start[i + 1] && one.table.item[e] != j) e++;
            cr_assert_lt(e, one.table.start[i + 1], "%u and %u belong together", i, j);
            cr_assert_eq(one.count[e], both);
            cr_assert_float_eq(bought_together_lift(&one, i, e), lift, 1e-9);
        }
    }
    cr_expect_eq(one.table.n, pairs);
    cr_expect_gt(pairs, 100);
    cr_assert_eq(ml_pool_new(&run.pool, 3, 0, NULL), MEROS_OK);
    cr_assert_eq(bought_together_fit(&b.user, &b.item, &p, &run, &three, NULL), MEROS_OK);
    ml_pool_free(run.pool);
    cr_assert_eq(three.table.n, pairs);
    cr_expect_arr_eq(one.table.item, three.table.item, pairs * sizeof *one.table.item);
    cr_expect_arr_eq(one.count, three.count, pairs * sizeof *one.count);
    bought_together_done(&one);
    bought_together_done(&three);
    free(x);
    both_done(&b);
}

Test(bought_together, of_nothing_is_nothing_and_nonsense_is_refused)
{
    struct both b = both_of(NULL, 0, 3, 4);
    struct bought_together_params p = BOUGHT_TOGETHER_PARAMS_DEFAULT;
    struct bought_together r = {0};
    cr_assert_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &r, NULL), MEROS_OK);
    cr_expect_eq(r.table.n, 0);
    bought_together_done(&r);
    p.min_count = 0;
    cr_expect_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &r, NULL), MEROS_UNPROCESSABLE);
    p = (struct bought_together_params){.k = 0, .min_count = 1};
    cr_expect_eq(bought_together_fit(&b.user, &b.item, &p, NULL, &r, NULL), MEROS_UNPROCESSABLE);
    cr_assert_null(r.table.start);
    both_done(&b);
}

Test(transitions, of_hand_worked_sequences)
{
    /* 0 1 2 | 0 0 1 | 2 */
    const size_t start[] = {0, 3, 6, 7};
    const uint32_t item[] = {0, 1, 2, 0, 0, 1, 2};
    const struct sequences s = {.n = 3, .start = start, .item = item};
    const struct transitions_params p = {.k = 5, .window = 2, .decay = .5, .shrink = 1};
    struct neighbours t;
    cr_assert_eq(transitions_fit(&s, 4, &p, 0, &t, NULL), MEROS_OK);
    /* 0 -> 1: 1 + 1 + .5 = 2.5; 0 -> 2: .5; 1 -> 2: 1 */
    const size_t rows[] = {0, 2, 3, 3, 3};
    const uint32_t to[] = {1, 2, 2};
    cr_assert_eq(t.n, 3);
    cr_expect_arr_eq(t.start, rows, sizeof rows);
    cr_expect_arr_eq(t.item, to, sizeof to);
    cr_expect_float_eq(t.score[0], 2.5 / 4, 1e-6);
    cr_expect_float_eq(t.score[1], .5 / 4, 1e-6);
    cr_expect_float_eq(t.score[2], 1. / 2, 1e-6);
    float scores[4] = {0};
    const uint32_t recent[] = {0, 77, 1};
    transitions_add_scores(&t, recent, 3, .5, scores);
    cr_expect_float_eq(scores[2], .5 + .25 * .5 / 4, 1e-6, "the last counts most");
    cr_expect_float_eq(scores[1], .25 * 2.5 / 4, 1e-6);
    neighbours_done(&t);
}

Test(transitions, weigh_events_keep_the_best_and_know_only_the_window)
{
    const size_t start[] = {0, 4};
    const uint32_t item[] = {0, 1, 2, 3};
    const float weight[] = {9, 1, 8, 8};
    const struct sequences s = {.n = 1, .start = start, .item = item, .weight = weight};
    struct transitions_params p = {.k = 1, .window = 2, .decay = 1, .shrink = 0};
    struct neighbours t;
    cr_assert_eq(transitions_fit(&s, 4, &p, 0, &t, NULL), MEROS_OK);
    cr_expect_eq(t.n, 3);
    cr_expect_eq(t.item[0], 2, "heavier than 1; 3 is out of the window");
    cr_expect_float_eq(t.score[0], 8. / 9, 1e-6);
    cr_expect_eq(t.item[1], 2, "of equals the lower");
    neighbours_done(&t);
}

Test(transitions, of_nothing_are_nothing_and_nonsense_is_refused)
{
    const size_t none[] = {0}, one[] = {0, 2};
    const uint32_t item[] = {0, 5};
    const float weight[] = {1, -1};
    struct sequences s = {.start = none};
    struct transitions_params p = TRANSITIONS_PARAMS_DEFAULT;
    struct meros_err err = MEROS_ERR_INIT;
    struct neighbours t = {0};
    cr_assert_eq(transitions_fit(&s, 3, &p, 0, &t, NULL), MEROS_OK);
    cr_expect_eq(t.n, 0);
    neighbours_done(&t);
    s = (struct sequences){.n = 1, .start = one, .item = item};
    cr_expect_eq(transitions_fit(&s, 5, &p, 0, &t, &err), MEROS_UNPROCESSABLE);
    cr_expect_str_eq(err.detail, "event 1 is of item 5 of 5");
    s.weight = weight;
    cr_expect_eq(transitions_fit(&s, 6, &p, 0, &t, &err), MEROS_UNPROCESSABLE);
    s.weight = NULL;
    cr_expect_eq(transitions_fit(&s, 6, &p, 10, &t, &err), MEROS_OUT_OF_MEMORY);
    cr_assert_eq(transitions_fit(&s, 6, &p, transitions_memory(&s, 6, &p), &t, &err), MEROS_OK, "what it says that it takes is enough");
    neighbours_done(&t);
    p.decay = 0;
    cr_expect_eq(transitions_fit(&s, 6, &p, 0, &t, &err), MEROS_UNPROCESSABLE);
    cr_assert_null(t.start);
}
