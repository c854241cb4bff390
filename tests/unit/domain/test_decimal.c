#include <criterion/criterion.h>
#include <math.h>
#include "meros/domain/decimal.h"

static const char *parsed(const char *text, int64_t limit)
{
    static char out[DECIMAL_TEXT];
    struct decimal d;
    if (!decimal_parse(str_of(text), limit, &d)) return "refused";
    decimal_text(d, out);
    return out;
}

Test(decimal, reads_numbers_exactly_and_without_trailing_zeros)
{
    static const char *const cases[][2] = {{"0", "0"},       {"-0", "0"},         {"12", "12"},       {"12.50", "12.5"}, {"-3.14", "-3.14"},
                                           {".5", "0.5"},    {"5.", "5"},         {"1e3", "1000"},    {"1.25E-2", "0.0125"},
                                           {"007", "7"},     {"0.000001", "0.000001"}, {"100", "100"}, {"-0.05", "-0.05"}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        cr_expect_str_eq(parsed(cases[k][0], 1000000), cases[k][1], "%s gave %s", cases[k][0], parsed(cases[k][0], 1000000));
}

Test(decimal, rounds_what_lies_past_six_decimals_half_away_from_zero)
{
    cr_expect_str_eq(parsed("2.5500000000000003", 100), "2.55");
    cr_expect_str_eq(parsed("0.0000005", 100), "0.000001");
    cr_expect_str_eq(parsed("-0.0000005", 100), "-0.000001");
    cr_expect_str_eq(parsed("0.00000049999", 100), "0");
    cr_expect_str_eq(parsed("1e-30", 100), "0");
    cr_expect_str_eq(parsed("0.1499999999999999944488848768742172978818416595458984", 100), "0.15");
}

Test(decimal, refuses_what_is_no_number)
{
    static const char *const bad[] = {"", "-", ".", "e5", "1e", "1e+", "+1", " 1", "1 ", "1,5", "0x10", "nan", "inf", "1.2.3", "--1", "1-"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) cr_expect_str_eq(parsed(bad[k], 100), "refused", "%s", bad[k]);
}

Test(decimal, refuses_what_lies_past_the_limit)
{
    cr_expect_str_eq(parsed("100", 100), "100");
    cr_expect_str_eq(parsed("-100", 100), "-100");
    cr_expect_str_eq(parsed("100.000001", 100), "refused");
    cr_expect_str_eq(parsed("1e300", 100), "refused");
    cr_expect_str_eq(parsed("1e999999999", 100), "refused");
    cr_expect_str_eq(parsed("99999999999999999999999999999999999999", INT64_C(1000000000000)), "refused");
    cr_expect_str_eq(parsed("0e999999999", 100), "0");
}

Test(decimal, multiplies_to_six_decimals)
{
    struct decimal a, b, c;
    cr_assert(decimal_parse(STR("-3"), 1000, &a) && decimal_parse(STR("2.55"), 1000, &b));
    cr_assert(decimal_multiply(a, b, 1000, &c));
    cr_expect(c.unscaled == -765 && c.scale == 2);
    cr_assert(decimal_parse(STR("0.333333"), 1000, &a) && decimal_parse(STR("0.5"), 1000, &b));
    cr_assert(decimal_multiply(a, b, 1000, &c));
    cr_expect(c.unscaled == 166667 && c.scale == 6);
    cr_assert(decimal_parse(STR("1000000000"), 1000000000, &a));
    cr_expect(!decimal_multiply(a, a, INT64_C(1000000000000), &c));
}

Test(decimal, knows_its_sign_and_its_double)
{
    struct decimal none = {0}, d;
    cr_expect(isnan(decimal_double(none)) && decimal_sign(none) == 0);
    cr_assert(decimal_parse(STR("-0.1"), 10, &d));
    cr_expect(decimal_double(d) == -0.1 && decimal_sign(d) == -1);
}
