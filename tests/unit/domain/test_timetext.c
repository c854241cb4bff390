#include <criterion/criterion.h>
#include "meros/domain/timetext.h"

static const char *with(const char *pattern, bool day_first, const char *text)
{
    static char out[TIME_TEXT];
    struct timetext t = {pattern == NULL ? STR_NONE : str_of(pattern), day_first};
    int64_t at;
    if (!timetext_read(&t, str_of(text), &at)) return "refused";
    time_format(at, out);
    return out;
}

Test(timetext, reads_iso_and_slashes_without_a_pattern)
{
    cr_expect_str_eq(with(NULL, false, "2011-12-09T12:50:00+01:00"), "2011-12-09T11:50:00Z");
    cr_expect_str_eq(with(NULL, false, "2011-12-09 12:50"), "2011-12-09T12:50:00Z");
    cr_expect_str_eq(with(NULL, false, "12/1/2010 8:26"), "2010-12-01T08:26:00Z");
    cr_expect_str_eq(with(NULL, true, "12/1/2010 8:26"), "2010-01-12T08:26:00Z");
    cr_expect_str_eq(with(NULL, false, "12/31/2010"), "2010-12-31T00:00:00Z");
    cr_expect_str_eq(with(NULL, false, "1/2/2010 12:05:09 AM"), "2010-01-02T00:05:09Z");
    cr_expect_str_eq(with(NULL, false, "1/2/2010 12:05 pm"), "2010-01-02T12:05:00Z");
}

Test(timetext, refuses_slashes_that_cannot_be)
{
    static const char *const bad[] = {"13/1/2010", "2/30/2010", "1/1/10", "1/1/20100", "1/1/2010 24:00", "1/1/2010 8", "1/1/2010x",
                                      "1/1/2010 13:00 PM", "//", "1/1/", "", "1/1/2010 8:26 XM"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) cr_expect_str_eq(with(NULL, false, bad[k]), "refused", "%s", bad[k]);
    cr_expect_str_eq(with(NULL, true, "1/13/2010"), "refused");
}

Test(timetext, reads_by_a_pattern)
{
    static const char *const cases[][3] = {
        {"%Y%m%d", "20101231", "2010-12-31T00:00:00Z"},
        {"%d.%m.%Y %H:%M", "5.3.2011 7:09", "2011-03-05T07:09:00Z"},
        {"%d %b %Y", "05 MAR 2011", "2011-03-05T00:00:00Z"},
        {"%B %e, %Y", "March  5, 2011", "2011-03-05T00:00:00Z"},
        {"%a, %d %b %Y %T %z", "Sat, 05 Mar 2011 07:09:11 -0130", "2011-03-05T08:39:11Z"},
        {"%m/%d/%y %I:%M %p", "03/05/69 12:30 AM", "1969-03-05T00:30:00Z"},
        {"%D", "03/05/68", "2068-03-05T00:00:00Z"},
        {"%F %T.%f", "2011-03-05 07:09:11.25", "2011-03-05T07:09:11.25Z"},
        {"%Y-%j", "2012-366", "2012-12-31T00:00:00Z"},
        {"%s", "1299306551", "2011-03-05T06:29:11Z"},
        {"%F%%%R %Z", "2011-03-05%07:09 UTC", "2011-03-05T07:09:00Z"}};
    for (size_t k = 0; k < sizeof cases / sizeof cases[0]; k++)
        cr_expect_str_eq(with(cases[k][0], false, cases[k][1]), cases[k][2], "%s of %s gave %s", cases[k][0], cases[k][1],
                         with(cases[k][0], false, cases[k][1]));
}

Test(timetext, refuses_what_the_pattern_does_not_say)
{
    cr_expect_str_eq(with("%Y-%m-%d", false, "2011-02-30"), "refused");
    cr_expect_str_eq(with("%Y-%m-%d", false, "2011-02-03 "), "refused");
    cr_expect_str_eq(with("%Y-%m-%d", false, "2011/02/03"), "refused");
    cr_expect_str_eq(with("%Y-%j", false, "2011-366"), "refused");
    cr_expect_str_eq(with("%d %b %Y", false, "05 Foo 2011"), "refused");
    cr_expect_str_eq(with("%Y-%m-%d", false, ""), "refused");
}

Test(timetext, checks_patterns_before_use)
{
    struct meros_err err = MEROS_ERR_INIT;
    static const char *const bad[] = {"", "%", "%Y-%m-%", "%Y-%m-%d %Q", "%H:%M", "%Y-%m", "%m/%d", "%Ey-%m-%d"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) cr_expect_eq(timetext_check(str_of(bad[k]), &err), MEROS_INVALID, "%s", bad[k]);
    static const char *const good[] = {"%Y-%m-%d", "%s", "%F", "%y%j", "%d.%m.%y um %H Uhr"};
    for (size_t k = 0; k < sizeof good / sizeof good[0]; k++) cr_expect_eq(timetext_check(str_of(good[k]), &err), MEROS_OK, "%s", good[k]);
}
