#include <criterion/criterion.h>
#include <math.h>
#include "meros/ml/proportions.h"

static void expect_interval(struct ml_interval x, double low, double high, double within)
{
    cr_expect_float_eq(x.low, low, within, "%.6f", x.low);
    cr_expect_float_eq(x.high, high, within, "%.6f", x.high);
}

/* Newcombe 1998, "Two-sided confidence intervals for the single proportion", table I, method 3 (score without correction). */
Test(proportions, wilsons_interval_is_that_of_newcombes_table)
{
    expect_interval(wilson_interval(81, 263), 0.2553, 0.3662, 5e-5);
    expect_interval(wilson_interval(15, 148), 0.0624, 0.1605, 5e-5);
    expect_interval(wilson_interval(0, 20), 0, 0.1611, 5e-5);
    expect_interval(wilson_interval(1, 29), 0.0061, 0.1718, 5e-5);
    expect_interval(wilson_interval(20, 20), 1 - 0.1611, 1, 5e-5);
    cr_expect(isnan(wilson_interval(0, 0).low) && isnan(wilson_interval(0, 0).high));
}

/* Newcombe 1998, "Interval estimation for the difference", table II, method 10: a: 56/70 - 48/80, c: 6/7 - 2/7, h: 10/10 - 0/10. */
Test(proportions, the_interval_of_a_difference_is_that_of_newcombes_table)
{
    expect_interval(newcombe_interval(48, 80, 56, 70), 0.0524, 0.3339, 5e-5);
    expect_interval(newcombe_interval(2, 7, 6, 7), 0.0582, 0.8062, 5e-5);
    expect_interval(newcombe_interval(0, 10, 10, 10), 0.6075, 1, 5e-5);
    expect_interval(newcombe_interval(56, 70, 48, 80), -0.3339, -0.0524, 5e-5);
}

Test(proportions, the_test_of_two_is_the_chi_squared_of_the_table_of_four)
{
    /* chi2 = 6.9655 for 56/70 against 48/80; its p with one degree of freedom */
    const double chi2 = 150 * pow(56 * 32 - 14 * 48.0, 2) / (70.0 * 80 * 104 * 46);
    cr_expect_float_eq(two_proportions_p(48, 80, 56, 70), erfc(sqrt(chi2 / 2)), 1e-12);
    cr_expect_float_eq(two_proportions_p(10, 100, 20, 200), 1, 1e-12);
    cr_expect_eq(two_proportions_p(0, 100, 0, 200), 1);
    cr_expect_eq(two_proportions_p(100, 100, 200, 200), 1);
    cr_expect(isnan(two_proportions_p(0, 0, 1, 2)));
}

Test(proportions, the_sign_test_is_exact)
{
    cr_expect_float_eq(sign_test_p(1, 10), 2 * 11.0 / 1024, 1e-12);
    cr_expect_float_eq(sign_test_p(9, 10), 2 * 11.0 / 1024, 1e-12);
    cr_expect_float_eq(sign_test_p(0, 5), 2.0 / 32, 1e-12);
    cr_expect_eq(sign_test_p(5, 10), 1);
    cr_expect_float_eq(sign_test_p(3, 7), 1, 1e-12);
    cr_expect(isnan(sign_test_p(0, 0)));
    /* a million: the normal approximation with correction for continuity */
    const double z = (500000 - 499000 - 0.5) / sqrt(250000);
    cr_expect_float_eq(sign_test_p(499000, 1000000), erfc(z / sqrt(2)), 1e-5);
}

Test(proportions, a_share_is_held_against_the_intended_one)
{
    cr_expect_float_eq(share_p(60, 100, 0.5), erfc(2 / sqrt(2)), 1e-12);
    cr_expect_eq(share_p(50, 100, 0.5), 1);
    cr_expect(isnan(share_p(0, 0, 0.5)) && isnan(share_p(0, 5, 0)));
}
