#include <criterion/criterion.h>
#include <criterion/new/assert.h>

#include "meros/base/clock.h"
#include "meros/domain/purchase_days.h"

#define HISTORY(end, ...)                                                                                    \
    purchase_history_of((const struct purchase_day[]){__VA_ARGS__},                                          \
                        sizeof((const struct purchase_day[]){__VA_ARGS__}) / sizeof(struct purchase_day), end)

Test(purchase_days, the_first_purchase_is_no_repeat_and_times_are_differences_of_days)
{
    struct purchase_history h = HISTORY(100, {10, 1, 50}, {40, 2, 30}, {70, 1, 10});
    cr_assert(h.any);
    cr_assert_eq(h.first, 10);
    cr_assert_eq(h.last, 70);
    cr_assert_eq(h.x, 2);
    cr_assert_eq(h.t_x, 60);
    cr_assert_eq(h.t, 90);
    cr_assert_eq(h.valued, 2);
    cr_assert_float_eq(h.mean_value, 20, 1e-12);
    cr_assert_eq(h.all_valued, 3);
    cr_assert_float_eq(h.all_value, 90, 1e-12);
}

Test(purchase_days, the_last_day_counts_and_what_comes_after_it_does_not)
{
    struct purchase_history h = HISTORY(40, {10, 1, 50}, {40, 1, 30}, {41, 1, 10});
    cr_assert_eq(h.x, 1);
    cr_assert_eq(h.t_x, 30);
    cr_assert_eq(h.t, 30);
    cr_assert_float_eq(h.mean_value, 30, 1e-12);
    cr_assert_not(HISTORY(9, {10, 1, 50}).any);
    cr_assert_not(purchase_history_of(NULL, 0, 9).any);
}

Test(purchase_days, what_only_comes_back_is_subtracted_from_the_last_purchase_before_it)
{
    struct purchase_history h = HISTORY(100, {10, 1, 50}, {40, 1, 30}, {45, 0, -12}, {70, 1, 10});
    cr_assert_eq(h.x, 2);
    cr_assert_eq(h.t_x, 60, "a return is no purchase");
    cr_assert_float_eq(h.mean_value, 14, 1e-12);
    h = HISTORY(44, {10, 1, 50}, {40, 1, 30}, {45, 0, -12});
    cr_assert_float_eq(h.mean_value, 30, 1e-12, "what has not come back yet is not known");
    h = HISTORY(100, {10, 1, 50}, {20, 0, -50}, {40, 1, 30});
    cr_assert_float_eq(h.mean_value, 30, 1e-12, "that of the first purchase is no matter of repeat purchases");
    h = HISTORY(100, {5, 0, -50}, {10, 1, 50}, {40, 1, 30});
    cr_assert_eq(h.first, 10);
    cr_assert_float_eq(h.mean_value, 30, 1e-12, "nothing came before it that it could be of");
}

Test(purchase_days, a_purchase_of_no_value_counts_but_not_for_values)
{
    struct purchase_history h = HISTORY(100, {10, 1, 50}, {40, 1, 30}, {50, 1, 0}, {60, 1, 20}, {61, 0, -25});
    cr_assert_eq(h.x, 3);
    cr_assert_eq(h.valued, 1);
    cr_assert_eq(h.excluded, 2);
    cr_assert_float_eq(h.mean_value, 30, 1e-12);
    h = HISTORY(100, {10, 1, 50}, {40, 1, -3});
    cr_assert_eq(h.valued, 0);
    cr_assert_eq(h.mean_value, 0);
}

Test(purchase_days, purchases_of_a_hold_out_are_counted_by_day)
{
    const struct purchase_day days[] = {{10, 1, 50}, {40, 3, 30}, {45, 0, -1}, {50, 1, 1}};
    cr_assert_eq(purchase_days_between(days, 4, 10, 50), 2);
    cr_assert_eq(purchase_days_between(days, 4, 10, 49), 1);
    cr_assert_eq(purchase_days_between(days, 4, 9, 10), 1);
    cr_assert_eq(purchase_days_between(days, 4, 50, 90), 0);
    cr_assert_eq(purchase_days_last(days, 3, 7), 45);
    cr_assert_eq(purchase_days_last(days, 0, 7), 7);
}

Test(purchase_days, moments_lie_in_the_day_that_began_before_them)
{
    cr_assert_eq(day_of_time(0), 0);
    cr_assert_eq(day_of_time(TIME_DAY - 1), 0);
    cr_assert_eq(day_of_time(TIME_DAY), 1);
    cr_assert_eq(day_of_time(-1), -1);
    cr_assert_eq(day_of_time(-TIME_DAY), -1);
}
