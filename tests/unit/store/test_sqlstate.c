#include <criterion/criterion.h>
#include "meros/base/clock.h"
#include "plumbing.h"

static void means(const char *state, enum meros_code code, bool broken)
{
    struct sqlstate s = sqlstate_look(state);
    cr_assert_eq(s.code, code, "%s is %s", state, meros_code_slug(s.code));
    cr_assert_eq(s.broken, broken, "%s", state);
    cr_assert_gt(strlen(s.detail), 10);
}

Test(sqlstate, classes_and_exceptions_in_them_become_codes)
{
    means("23505", MEROS_CONFLICT, false);
    means("23502", MEROS_UNPROCESSABLE, false);
    means("23P01", MEROS_CONFLICT, false);
    means("22P02", MEROS_UNPROCESSABLE, false);
    means("08006", MEROS_UNAVAILABLE, true);
    means("53300", MEROS_UNAVAILABLE, true);
    means("57P01", MEROS_UNAVAILABLE, true);
    means("57P02", MEROS_UNAVAILABLE, true);
    means("57P03", MEROS_UNAVAILABLE, true);
    means("57014", MEROS_TIMEOUT, false);
    means("40001", MEROS_UNAVAILABLE, false);
    means("40P01", MEROS_UNAVAILABLE, false);
    means("55P03", MEROS_UNAVAILABLE, false);
    means("25P03", MEROS_TIMEOUT, true);
    means("25006", MEROS_UNAVAILABLE, true);
    means("42601", MEROS_INTERNAL, false);
    means("XX000", MEROS_INTERNAL, false);
    means("", MEROS_INTERNAL, false);
    means("2", MEROS_INTERNAL, false);
}

Test(sqlstate, messages_lose_what_may_be_data)
{
    char out[200];
    sqlstate_primary("22P02", "invalid input syntax for type numeric: \"secret\"", out, sizeof out);
    cr_assert_str_eq(out, "invalid input syntax for type numeric");
    sqlstate_primary("22003", "value \"123456\" is out of range for type integer", out, sizeof out);
    cr_assert_str_eq(out, "value \"...\" is out of range for type integer");
    sqlstate_primary("22003", "value \"unclosed", out, sizeof out);
    cr_assert_str_eq(out, "value \"");
    sqlstate_primary("42P01", "relation \"nothing\" does not exist\nsecond line", out, sizeof out);
    cr_assert_str_eq(out, "relation \"nothing\" does not exist");
    char small[12];
    sqlstate_primary("42601", "a message longer than there is room for", small, sizeof small);
    cr_assert_lt(strlen(small), sizeof small);
}

Test(times, convert_to_postgresql_and_back)
{
    cr_assert_eq(time_to_pg(INT64_C(946684800000000)), 0);
    cr_assert_eq(time_from_pg(0), INT64_C(946684800000000));
    int64_t some[] = {0, -1, 1, INT64_C(1700000000123456), -PG_EPOCH, INT64_C(253402300799999999)};
    for (size_t i = 0; i < sizeof some / sizeof some[0]; i++)
        cr_assert_eq(time_from_pg(time_to_pg(some[i])), some[i]);
    cr_assert_eq(time_from_pg(INT64_MAX), INT64_MAX, "infinity is the end of time");
    cr_assert_neq(time_from_pg(INT64_MIN), TIME_NONE, "minus infinity is not null");
    cr_assert_eq(time_to_pg(INT64_MIN + 1), INT64_MIN, "no overflow");
}
