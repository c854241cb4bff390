#include "meros/base/str.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static bool int_of(const char *s, int64_t *out)
{
    return str_to_int64(str_of(s), out);
}
static bool num_of(const char *s, double *out)
{
    return str_to_double(str_of(s), out);
}

Test(str, equality_knows_absent_and_empty)
{
    cr_assert(str_eq(STR(""), STR_NONE));
    cr_assert(str_present(STR("")) && !str_present(STR_NONE));
    cr_assert(str_is(STR("ab"), "ab") && !str_is(STR("ab"), "abc") && !str_is(STR("a\0b"), "a"));
    cr_assert(str_ieq(STR("Content-TYPE"), STR("content-type")) && !str_ieq(STR("a"), STR("ab")));
    cr_assert_not(str_ieq(STR("[\x5b"), STR("{\x7b")), "only letters fold");
    cr_assert_not(str_ieq(STR("\xC3\x84"), STR("\xC3\xA4")), "only ASCII folds");
}

Test(str, trim_takes_blanks_and_tabs_at_both_ends)
{
    cr_assert(str_is(str_trim(STR(" \t a b\t ")), "a b"));
    cr_assert_eq(str_trim(STR(" \t ")).n, 0);
    cr_assert_eq(str_trim(STR_NONE).n, 0);
    cr_assert(str_is(str_trim(STR("\na\n")), "\na\n"));
}

Test(str, copy_fits_with_its_terminator_or_leaves_an_empty_text)
{
    char to[4] = "zzz";
    cr_assert(str_copy(to, sizeof to, STR("abc")));
    cr_assert_str_eq(to, "abc");
    cr_assert_not(str_copy(to, sizeof to, STR("abcd")));
    cr_assert_str_eq(to, "");
    cr_assert_not(str_copy(NULL, 0, STR("")));
}

Test(str, integers_to_the_edges_of_int64)
{
    static const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-0", 0},
                {"7", 7},
                {"-7", -7},
                {"0010", 10},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN},
                {"0000000000000000000000000000000042", 42}};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        int64_t v = 99;
        cr_assert(int_of(good[i].text, &v) && v == good[i].value, "%s gave %lld", good[i].text, (long long)v);
    }
}

Test(str, what_is_not_wholly_an_integer_is_refused_and_nothing_is_written)
{
    static const char *const bad[] = {"", "-", "+1", " 1", "1 ", "1.0", "1e3", "0x10", "--1", "1-", "9223372036854775808",
                                      "-9223372036854775809", "18446744073709551617", "99999999999999999999999", "٣", "1\n"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t v = 99;
        cr_assert(!int_of(bad[i], &v) && v == 99, "\"%s\" gave %lld", bad[i], (long long)v);
    }
    int64_t v = 99;
    cr_assert_not(str_to_int64(STR("1\0"), &v));
    cr_assert_not(str_to_int64(STR_NONE, &v));
}

Test(str, doubles_read_as_strtod_reads_them)
{
    static const char *const good[] = {"0",     "-0",   "1",      "1.5",   "-2.25",  ".5",    "5.",    "1e3",   "1E3",      "1e+3",
                                       "1e-3",  "0.1",  "1e308",  "1e-320", "1e-400", "00.10", "123456789012345678901234567890",
                                       "2.2250738585072014e-308", "1.7976931348623157e308"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        double v = 99;
        cr_assert(num_of(good[i], &v) && v == strtod(good[i], NULL), "%s gave %.17g", good[i], v);
    }
}

Test(str, what_is_not_wholly_a_finite_number_is_refused_and_nothing_is_written)
{
    static const char *const bad[] = {"",     "-",   ".",    "-.",   "+1",  " 1",  "1 ",       "nan",  "inf", "-inf", "infinity", "0x10",
                                      "0x1p3", "1e",  "1e+",  "e3",   "1,5", "1.2.3", "1e5e5", "1e400", "-1e400", "1f", "1e1.5", "--1"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        double v = 99;
        cr_assert(!num_of(bad[i], &v) && v == 99, "\"%s\" gave %.17g", bad[i], v);
    }
    double v = 99;
    cr_assert_not(str_to_double(STR("1\0"), &v));
    cr_assert_not(str_to_double(STR_NONE, &v));
}

/* The definition, one code point at a time: the shortest encoding of a scalar value and nothing else. */
static bool naive_utf8(const unsigned char *p, size_t n)
{
    size_t i = 0;
    while (i < n) {
        int len = p[i] < 0x80 ? 1 : p[i] >> 5 == 6 ? 2 : p[i] >> 4 == 14 ? 3 : p[i] >> 3 == 30 ? 4 : 0;
        if (len == 0 || i + (size_t)len > n) return false;
        uint32_t v = len == 1 ? p[i] : p[i] & (0xFFu >> (len + 1));
        for (int k = 1; k < len; k++) {
            if (p[i + (size_t)k] >> 6 != 2) return false;
            v = v << 6 | (p[i + (size_t)k] & 63u);
        }
        int shortest = v < 0x80 ? 1 : v < 0x800 ? 2 : v < 0x10000 ? 3 : 4;
        if (shortest != len || v > 0x10FFFF || v - 0xD800 < 0x800) return false;
        i += (size_t)len;
    }
    return true;
}

Test(str, utf8_of_every_short_sequence_agrees_with_the_definition)
{
    unsigned char t[4];
    for (unsigned a = 0; a < 256; a++) {
        t[0] = (unsigned char)a;
        cr_assert_eq(utf8_valid((char *)t, 1), naive_utf8(t, 1));
        for (unsigned b = 0; b < 256; b++) {
            t[1] = (unsigned char)b;
            if (utf8_valid((char *)t, 2) != naive_utf8(t, 2)) cr_assert_fail("%02x %02x", a, b);
            for (unsigned c = 0x70; c < 0xD0; c++) {
                t[2] = (unsigned char)c;
                if (utf8_valid((char *)t, 3) != naive_utf8(t, 3)) cr_assert_fail("%02x %02x %02x", a, b, c);
                for (unsigned d = 0x7E; a >= 0xE0 && d < 0xC2; d += 3) {
                    t[3] = (unsigned char)d;
                    if (utf8_valid((char *)t, 4) != naive_utf8(t, 4)) cr_assert_fail("%02x %02x %02x %02x", a, b, c, d);
                }
            }
        }
    }
}

/* Long texts take the path of eight bytes at a time: the fault may be at any place. */
Test(str, utf8_of_long_texts_agrees_with_the_definition)
{
    static const char *const bits[] = {"a", "plain", "\xC3\xA4", "\xE2\x82\xAC", "\xF0\x9F\x98\x80", "", "\x7F", "01234567"};
    static const char *const faults[] = {"\x80", "\xC3", "\xE2\x82", "\xED\xA0\x80", "\xC0\xAF", "\xF4\x90\x80\x80", "\xFF", "\xF0\x80\x80\x80"};
    uint32_t r = 7;
    int invalid = 0;
    for (int round = 0; round < 20000; round++) {
        char t[200];
        size_t n = 0;
        while (n < 60) {
            r = r * 1664525u + 1013904223u;
            const char *piece = r >> 25 == 0 ? faults[r >> 8 & 7] : bits[r >> 8 & 7];
            memcpy(t + n, piece, strlen(piece));
            n += strlen(piece);
            if (r >> 27 == 1) break;
        }
        bool want = naive_utf8((unsigned char *)t, n);
        cr_assert_eq(utf8_valid(t, n), want);
        invalid += !want;
    }
    cr_assert(invalid > 1000 && invalid < 19000, "both kinds were tried");
    cr_assert(utf8_valid(NULL, 0) && utf8_valid("a\0b", 3));
}

Test(str, an_id_is_one_to_200_bytes_of_text_without_controls)
{
    char text[ID_MAX + 2];
    memset(text, 'x', sizeof text);
    cr_assert(id_valid((struct str){text, 1}) && id_valid((struct str){text, ID_MAX}));
    cr_assert(!id_valid((struct str){text, ID_MAX + 1}) && !id_valid(STR("")) && !id_valid(STR_NONE));
    cr_assert(id_valid(STR("a b")) && id_valid(STR(" ")) && id_valid(STR("K\xC3\xB6ln/%2F'\"\\;--")));
    cr_assert(id_valid(STR("\xF0\x9F\x98\x80")) && id_valid(STR("\xC2\xA0")), "U+00A0 is no control character");
    static const char *const bad[] = {"a\nb", "\t", "\x1F", "\x7F", "\xC2\x80", "x\xC2\x9F", "\xC3", "\xED\xA0\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_not(id_valid(str_of(bad[i])), "%zu", i);
    cr_assert_not(id_valid(STR("a\0b")));
}

Test(str, a_text_cut_anywhere_keeps_only_whole_characters)
{
    const char *text = "a\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80z";
    static const size_t want[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11};
    for (size_t n = 0; n <= strlen(text); n++) cr_assert_eq(utf8_cut(text, n), want[n], "%zu", n);
}
