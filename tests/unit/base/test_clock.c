#include "meros/base/clock.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <time.h>

static const char *text_of(int64_t t)
{
    static char out[TIME_TEXT];
    size_t n = time_format(t, out);
    cr_assert_eq(n, strlen(out));
    return out;
}

static int64_t parsed(const char *s)
{
    int64_t t = 4711;
    cr_assert(time_parse(str_of(s), &t), "%s was refused", s);
    return t;
}

Test(clock, days_agree_with_timegm_over_four_centuries)
{
    for (int64_t day = -400 * 366; day < 400 * 366; day++) {
        time_t seconds = (time_t)(day * 86400);
        struct tm tm;
        gmtime_r(&seconds, &tm);
        int64_t y;
        unsigned m, d;
        civil_from_days(day, &y, &m, &d);
        if (y != tm.tm_year + 1900 || m != (unsigned)tm.tm_mon + 1 || d != (unsigned)tm.tm_mday)
            cr_assert_fail("day %lld became %lld-%u-%u", (long long)day, (long long)y, m, d);
        if (days_from_civil(y, m, d) != day) cr_assert_fail("%lld-%u-%u", (long long)y, m, d);
        if (timegm(&tm) != seconds) cr_assert_fail("timegm disagrees");
    }
}

Test(clock, months_have_their_days_and_leap_years_their_29th)
{
    cr_assert_eq(days_in_month(2023, 2), 28);
    cr_assert_eq(days_in_month(2024, 2), 29);
    cr_assert_eq(days_in_month(1900, 2), 28);
    cr_assert_eq(days_in_month(2000, 2), 29);
    cr_assert_eq(days_in_month(2023, 4), 30);
    cr_assert_eq(days_in_month(2023, 12), 31);
}

Test(clock, formats_as_rfc3339_with_the_fraction_it_needs)
{
    cr_assert_str_eq(text_of(0), "1970-01-01T00:00:00Z");
    cr_assert_str_eq(text_of(1), "1970-01-01T00:00:00.000001Z");
    cr_assert_str_eq(text_of(500000), "1970-01-01T00:00:00.5Z");
    cr_assert_str_eq(text_of(-1), "1969-12-31T23:59:59.999999Z");
    cr_assert_str_eq(text_of(-TIME_DAY), "1969-12-31T00:00:00Z");
    cr_assert_str_eq(text_of(INT64_C(1323435000) * TIME_SECOND), "2011-12-09T12:50:00Z");
}

Test(clock, any_value_fits_its_buffer)
{
    char out[TIME_TEXT];
    cr_assert_lt(time_format(INT64_MAX, out), TIME_TEXT);
    cr_assert_lt(time_format(TIME_NONE, out), TIME_TEXT);
    cr_assert_lt(time_format(TIME_NONE + 1, out), TIME_TEXT);
}

Test(clock, what_it_formats_it_parses_back)
{
    uint64_t r = 42;
    for (int i = 0; i < 200000; i++) {
        r = r * UINT64_C(6364136223846793005) + 1;
        int64_t t = (int64_t)(r >> 10) % (INT64_C(253402300800) * TIME_SECOND);
        if (i & 1) t = -(t % (INT64_C(62135596800) * TIME_SECOND));
        if (i % 3 == 0) t -= t % TIME_SECOND;
        char out[TIME_TEXT];
        size_t n = time_format(t, out);
        int64_t back = 0;
        if (!time_parse((struct str){out, n}, &back) || back != t) cr_assert_fail("%lld became %s", (long long)t, out);
    }
}

Test(clock, offsets_are_converted_to_utc)
{
    int64_t noon = parsed("2011-12-09T12:00:00Z");
    static const char *const same[] = {"2011-12-09T13:00:00+01:00", "2011-12-09T06:30:00-05:30", "2011-12-09T13:00:00+0100",
                                       "2011-12-09T13:00+01",       "2011-12-09t12:00:00z",      "2011-12-09 12:00:00Z",
                                       "2011-12-09T12:00:00-00:00", "2011-12-10T11:59:00+23:59", "2011-12-09T12:00:00.000000000Z"};
    for (size_t i = 0; i < sizeof same / sizeof same[0]; i++) cr_assert_eq(parsed(same[i]), noon, "%s", same[i]);
}

Test(clock, a_bare_date_or_time_is_utc)
{
    cr_assert_eq(parsed("2011-12-09"), parsed("2011-12-09T00:00:00Z"));
    cr_assert_eq(parsed("2011-12-09 12:50"), parsed("2011-12-09T12:50:00Z"));
    cr_assert_eq(parsed("2011-12-09T12:50:01.25"), parsed("2011-12-09T12:50:01.250000Z"));
}

Test(clock, fractions_past_microseconds_are_cut)
{
    cr_assert_eq(parsed("1970-01-01T00:00:00.1234569Z"), 123456);
    cr_assert_eq(parsed("1970-01-01T00:00:00.000000999999Z"), 0);
}

Test(clock, second_60_is_the_next_minutes_first)
{
    cr_assert_eq(parsed("2016-12-31T23:59:60Z"), parsed("2017-01-01T00:00:00Z"));
    cr_assert_eq(parsed("2017-01-01T00:59:60+01:00"), parsed("2017-01-01T00:00:00Z"));
}

Test(clock, leap_days_exist_only_in_leap_years)
{
    int64_t t;
    cr_assert_eq(parsed("2024-02-29"), parsed("2024-03-01") - TIME_DAY);
    cr_assert_eq(parsed("2000-02-29"), parsed("2000-03-01") - TIME_DAY);
    cr_assert(!time_parse(STR("2023-02-29"), &t) && !time_parse(STR("1900-02-29"), &t) && !time_parse(STR("2100-02-29"), &t));
}

Test(clock, anything_else_is_refused_and_nothing_is_written)
{
    static const char *const bad[] = {
        "", "2011", "2011-12", "2011-12-9", "11-12-09", "2011-13-01", "2011-00-01", "2011-12-00", "2011-02-30", "2011-04-31", "0000-01-01",
        "2011-12-09T", "2011-12-09T1", "2011-12-09T12", "2011-12-09T12:", "2011-12-09T24:00", "2011-12-09T25:00:00Z", "2011-12-09T12:60",
        "2011-12-09T12:50:61Z", "2011-12-09T12:50:00.", "2011-12-09T12:50:00.Z", "2011-12-09T12:50:00ZZ", "2011-12-09T12:50:00+",
        "2011-12-09T12:50:00+1", "2011-12-09T12:50:00+01:", "2011-12-09T12:50:00+01:6", "2011-12-09T12:50:00+24:00",
        "2011-12-09T12:50:00+01:60", "2011-12-09T12:50:00 Z", " 2011-12-09", "2011-12-09 ", "2011/12/09", "2011-12-09Z", "-011-12-09",
        "+2011-12-09", "12/1/2010 8:26", "now", "infinity", "2011-12-09X12:50", "2011-12-09T12:50:00.1234567890123Z", "2011-12-09T-1:50",
        "20a1-12-09", "9999-12-31T23:59:60Z", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00+00:01"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int64_t t = 4711;
        cr_assert(!time_parse(str_of(bad[i]), &t) && t == 4711, "\"%s\" was taken as %lld", bad[i], (long long)t);
    }
    int64_t t = 4711;
    cr_assert_not(time_parse(STR_NONE, &t));
    cr_assert_not(time_parse(STR("2011-12-09\0"), &t));
}

Test(clock, the_first_and_last_moment_are_taken)
{
    cr_assert_str_eq(text_of(parsed("0001-01-01T00:00:00Z")), "0001-01-01T00:00:00Z");
    cr_assert_str_eq(text_of(parsed("9999-12-31T23:59:59.999999Z")), "9999-12-31T23:59:59.999999Z");
}

Test(clock, a_text_shorter_than_its_view_is_never_read_past)
{
    const char *full = "2011-12-09T12:50:00.123456+01:00";
    for (size_t n = 0; n <= strlen(full); n++) {
        char *exact = malloc(n + 1); /* one spare: malloc(0) may be NULL */
        memcpy(exact, full, n);
        int64_t t;
        bool ok = time_parse((struct str){exact, n}, &t);
        cr_assert_eq(ok, n == 10 || n == 16 || n == 19 || (n >= 21 && n <= 26) || n == 29 || n == 32, "%zu", n);
        free(exact);
    }
}

Test(clock, the_clocks_run)
{
    int64_t wall = clock_now(), mono = clock_mono_ns();
    cr_assert(wall > parsed("2024-01-01") && wall < parsed("2200-01-01"));
    struct timespec ms = {.tv_nsec = 2000000};
    nanosleep(&ms, NULL);
    cr_assert_geq(clock_mono_ns() - mono, 2000000);
}
