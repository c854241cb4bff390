#include <criterion/criterion.h>
#include <math.h>

#include "meros/ml/popularity.h"

enum { NO = POPULARITY_NO_CATEGORY };

Test(popularity, halves_with_the_half_life_and_lists_the_best_first_over_all_and_by_category)
{
    const struct popularity_event e[] = {{0, 4, 10}, {1, 1, 0}, {2, 3, 0}, {2, -1, 0}, {3, 1, 20}, {3, 1.75f, 0}, {4, 1, 0}, {4, -2, 0}, {5, 1, -3}};
    const int32_t category[] = {0, 2, 0, 2, 0, NO};
    struct popularity p;
    cr_assert_eq(popularity_fit(e, 9, 6, 10, category, 3, &p, NULL), MEROS_OK);
    const float score[] = {2, 1, 2, 2, -1, 1};
    const uint32_t order[] = {0, 2, 3, 1, 5}, of[] = {0, 2, 3, 1};
    const size_t start[] = {0, 2, 2, 4};
    cr_expect_arr_eq(p.score, score, sizeof score);
    cr_assert_eq(p.n, 5);
    cr_expect_arr_eq(p.order, order, sizeof order, "equals by number; what was returned more than taken is in no list");
    cr_expect_arr_eq(p.start, start, sizeof start);
    cr_expect_arr_eq(p.of, of, sizeof of);
    popularity_done(&p);
}

Test(popularity, without_half_life_adds_up_and_without_events_is_empty)
{
    const struct popularity_event e[] = {{1, 1, 1e9}, {1, 1, 0}};
    struct popularity p;
    cr_assert_eq(popularity_fit(e, 2, 2, 0, NULL, 7, &p, NULL), MEROS_OK);
    cr_expect_eq(p.score[1], 2);
    cr_expect_eq(p.categories, 0);
    cr_expect_eq(p.n, 1);
    popularity_done(&p);
    cr_assert_eq(popularity_fit(NULL, 0, 0, 5, NULL, 0, &p, NULL), MEROS_OK);
    cr_expect_eq(p.n, 0);
    popularity_done(&p);
}

Test(popularity, refuses_what_makes_no_sense_by_number)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct popularity p = {0};
    struct popularity_event e[] = {{0, 1, 1}, {2, 1, 1}};
    const int32_t category[] = {0, 1};
    cr_expect_eq(popularity_fit(e, 2, 2, 1, NULL, 0, &p, &err), MEROS_UNPROCESSABLE);
    cr_expect_str_eq(err.detail, "event 1 (item 2 of 2, weight 1, age 1) makes no sense");
    e[1] = (struct popularity_event){1, NAN, 0};
    cr_expect_eq(popularity_fit(e, 2, 2, 1, NULL, 0, &p, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(popularity_fit(e, 1, 2, -1, NULL, 0, &p, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(popularity_fit(e, 1, 2, 1, category, 1, &p, &err), MEROS_UNPROCESSABLE);
    cr_expect_str_eq(err.detail, "item 1 is of category 1 of 1");
    cr_assert_null(p.score);
}
