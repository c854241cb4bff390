#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>

#include "meros/ml/repeat.h"
#include "meros/ml/rng.h"

static struct repeat_item fit(const struct repeat_purchase *p, size_t n, double end, const struct repeat_params *params)
{
    struct repeat_item one;
    cr_assert_eq(repeat_fit(p, n, 1, end, params, 0, &one, NULL), MEROS_OK);
    return one;
}

Test(repeat, counts_buyers_and_who_came_back_by_hand)
{
    const struct repeat_purchase p[] = {{1, 1, 10}, {1, 1, 40}, {1, 1, 40.5}, {2, 1, 5}, {3, 1, 7}, {3, 1, 27}, {3, 1, 47},
                                        {1, 0, 3},  {9, 1, 200}, {4, 1, 99}};
    const struct repeat_params params = {.min_repeats = 3, .min_share = 0.5, .min_gap = 1, .least_at_risk = 1};
    struct repeat_item out[3];
    cr_assert_eq(repeat_fit(p, 10, 3, 100, &params, 0, out, NULL), MEROS_OK);
    cr_expect(out[0].buyers == 1 && out[0].repeats == 0 && out[0].days == 0);
    cr_expect(out[1].buyers == 4 && out[1].repeaters == 2 && out[1].repeats == 3, "%u %u %u", out[1].buyers, out[1].repeaters, out[1].repeats);
    cr_expect_eq(out[1].share, 0.5f);
    /* spells: 1 (cut), 20, 20, 30, 53 (cut), 59.5 (cut), 95 (cut): F(20) = 1/3, F(30) = 1/2 */
    cr_expect_eq(out[1].days, 20);
    cr_expect(out[2].buyers == 0 && out[2].share == 0 && out[2].days == 0);
}

/* Half of the buyers come back every 30 days or so; the shop has looked on for 90 days, and they began at any of them. */
Test(repeat, does_not_take_what_was_not_seen_yet_for_what_never_comes)
{
    enum { BUYERS = 4000 };
    struct repeat_purchase *p = calloc(BUYERS * 40, sizeof *p);
    const struct repeat_params params = REPEAT_PARAMS_DEFAULT;
    struct ml_rng r;
    size_t n = 0, gaps = 0;
    double naive = 0;
    ml_rng_seed(&r, 3);
    for (uint32_t c = 0; c < BUYERS; c++) {
        double at = 90 * ml_rng_uniform(&r);
        p[n++] = (struct repeat_purchase){c, 0, at};
        for (;;) {
            if (ml_rng_below(&r, 2) == 0) break;
            const double gap = fmax(2, 60 + 20 * ml_rng_normal(&r));
            if ((at += gap) > 90) break;
            p[n++] = (struct repeat_purchase){c, 0, at};
            naive += gap;
            gaps++;
        }
    }
    const struct repeat_item one = fit(p, n, 90, &params);
    cr_expect_float_eq((double)one.days, 60, 5, "%g days", (double)one.days);
    cr_expect_lt(naive / (double)gaps, 55, "leaving out what was cut off makes %g", naive / (double)gaps);
    cr_expect_eq(one.repeats, gaps);
    free(p);
}

Test(repeat, too_few_are_no_consumable)
{
    struct repeat_purchase p[60];
    struct repeat_params params = REPEAT_PARAMS_DEFAULT;
    for (uint32_t i = 0; i < 60; i++) p[i] = (struct repeat_purchase){i < 50 ? i : i - 50, 0, i < 50 ? 1 : 11};
    struct repeat_item one = fit(p, 60, 40, &params); /* 10 of 50 */
    cr_expect_float_eq((double)one.share, 0.2, 1e-6);
    cr_expect_eq(one.days, 10);
    params.min_share = 0.25;
    cr_expect_eq(fit(p, 60, 40, &params).days, 0);
    params.min_share = 0.2;
    cr_expect_eq(fit(p, 60, 40, &params).days, 10);
    cr_expect_eq(fit(p, 54, 40, &params).days, 0, "four repeats");
    params.min_gap = 11;
    one = fit(p, 60, 40, &params);
    cr_expect(one.repeats == 0 && one.days == 0, "what is nearer than a gap is one purchase");
}

Test(repeat, order_changes_nothing_and_what_makes_no_sense_is_named)
{
    struct repeat_purchase p[200], q[200];
    const struct repeat_params params = {.min_repeats = 1, .min_share = 0, .min_gap = 0, .least_at_risk = 1};
    struct repeat_item a[5], b[5];
    struct ml_rng r;
    ml_rng_seed(&r, 1);
    for (size_t i = 0; i < 200; i++)
        p[i] = (struct repeat_purchase){(uint32_t)ml_rng_below(&r, 20), (uint32_t)ml_rng_below(&r, 5), (double)ml_rng_below(&r, 50)};
    for (size_t i = 0; i < 200; i++) q[i] = p[199 - i];
    cr_assert_eq(repeat_fit(p, 200, 5, 60, &params, 0, a, NULL), MEROS_OK);
    cr_assert_eq(repeat_fit(q, 200, 5, 60, &params, 0, b, NULL), MEROS_OK);
    cr_assert_arr_eq(a, b, sizeof a);
    cr_assert_eq(repeat_fit(NULL, 0, 5, 60, &params, 0, a, NULL), MEROS_OK);
    cr_assert_eq(repeat_fit(NULL, 0, 0, 60, &params, 0, a, NULL), MEROS_OK);
    struct meros_err err = MEROS_ERR_INIT;
    p[7].item = 5;
    cr_assert_eq(repeat_fit(p, 200, 5, 60, &params, 0, a, &err), MEROS_UNPROCESSABLE);
    cr_assert_not_null(strstr(err.detail, "purchase 7"));
    q[3].at = NAN;
    cr_assert_eq(repeat_fit(q, 200, 5, 60, &params, 0, a, NULL), MEROS_UNPROCESSABLE);
    cr_assert_eq(repeat_fit(q, 3, 5, 60, &params, 50, a, NULL), MEROS_OUT_OF_MEMORY);
    struct repeat_params bad = params;
    bad.min_share = NAN;
    cr_assert_eq(repeat_fit(q, 3, 5, 60, &bad, 0, a, NULL), MEROS_UNPROCESSABLE);
}
