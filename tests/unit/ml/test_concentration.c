#include <criterion/criterion.h>
#include <math.h>
#include "meros/ml/concentration.h"

#define NEAR(value, want) cr_assert_float_eq(value, want, 1e-12, "%.17g, not %.17g", (double)(value), (double)(want))

Test(concentration, equal_values_have_no_inequality)
{
    const double v[] = {3, 3, 3, 3, 3};
    NEAR(gini_sorted(v, 5), 0);
    NEAR(top_share_sorted(v, 5, .2), .2);
    NEAR(top_share_sorted(v, 5, .5), .5);
}

Test(concentration, one_who_holds_all)
{
    const double v[] = {0, 0, 0, 0, 7};
    NEAR(gini_sorted(v, 5), .8); /* 1 - 1/n */
    NEAR(top_share_sorted(v, 5, .2), 1);
    NEAR(top_share_sorted(v, 5, .1), .5); /* half of that one */
}

/* By the definition: mean absolute difference over twice the mean. */
Test(concentration, gini_is_the_mean_difference)
{
    const double v[] = {.5, 1, 1, 4, 9.25};
    double difference = 0, sum = 0;
    for (int i = 0; i < 5; i++) {
        sum += v[i];
        for (int j = 0; j < 5; j++) difference += fabs(v[i] - v[j]);
    }
    NEAR(gini_sorted(v, 5), difference / 25 / (2 * sum / 5));
}

Test(concentration, all_hold_all_and_nobody_nothing)
{
    const double v[] = {1, 2, 3};
    NEAR(top_share_sorted(v, 3, 1), 1);
    NEAR(top_share_sorted(v, 3, 0), 0);
    const double nought[] = {0, 0};
    cr_assert(isnan(gini_sorted(nought, 2)) && isnan(top_share_sorted(nought, 2, .5)));
    cr_assert(isnan(gini_sorted(NULL, 0)) && isnan(top_share_sorted(NULL, 0, .5)));
}
