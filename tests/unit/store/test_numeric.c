#include <criterion/criterion.h>
#include "plumbing.h"

/* Reads the binary form back as PostgreSQL does, into decimal text. */
static void decode(const unsigned char *p, size_t n, char *out)
{
    int digits = (int16_t)get16(p), weight = (int16_t)get16(p + 2), scale = get16(p + 6);
    cr_assert_eq(n, 8 + 2 * (size_t)digits);
    if (digits > 0) {
        cr_assert_neq(get16(p + 8), 0, "no zeros in front");
        cr_assert_neq(get16(p + 6 + 2 * digits), 0, "no zeros behind");
    }
    if (get16(p + 4) == 0x4000) *out++ = '-';
    char all[200] = "";
    int at = 0;
    for (int i = weight < 0 ? 0 : weight; i >= -4; i--) {
        int k = weight - i, d = k >= 0 && k < digits ? get16(p + 8 + 2 * k) : 0;
        cr_assert_lt(d, 10000);
        at += sprintf(all + at, "%04d", d);
    }
    int point = at - 16; /* four groups stand behind it */
    int first = 0;
    while (first < point - 1 && all[first] == '0') first++;
    out += sprintf(out, "%.*s", point - first, all + first);
    if (scale > 0) sprintf(out, ".%.*s", scale, all + point);
}

static void expect(int64_t unscaled, int scale, const char *text)
{
    unsigned char bytes[NUMERIC_MAX];
    char got[200];
    size_t n = numeric_encode(unscaled, scale, bytes);
    cr_assert_leq(n, sizeof bytes);
    decode(bytes, n, got);
    cr_assert_str_eq(got, text);
}

Test(numeric, whole_numbers_and_fractions_are_written_as_postgresql_reads_them)
{
    expect(0, 0, "0");
    expect(0, 2, "0.00");
    expect(1, 0, "1");
    expect(-1, 0, "-1");
    expect(9999, 0, "9999");
    expect(10000, 0, "10000");
    expect(100000000, 0, "100000000");
    expect(255, 2, "2.55");
    expect(-255, 2, "-2.55");
    expect(5, 2, "0.05");
    expect(1, 12, "0.000000000001");
    expect(123456789, 4, "12345.6789");
    expect(10000, 4, "1.0000");
    expect(10, 5, "0.00010");
}

Test(numeric, the_ends_of_the_range_fit)
{
    expect(INT64_MAX, 0, "9223372036854775807");
    expect(INT64_MIN, 0, "-9223372036854775808");
    expect(INT64_MAX, 12, "9223372.036854775807");
    expect(INT64_MIN, 1, "-922337203685477580.8");
    expect(INT64_MIN, 9, "-9223372036.854775808");
}
