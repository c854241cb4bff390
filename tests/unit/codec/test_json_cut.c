#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "meros/codec/json_cut.h"

static enum meros_code check(const char *s, struct meros_err *err)
{
    return json_check(s, strlen(s), err);
}

Test(json_cut, takes_what_json_is_whatever_it_means)
{
    static const char *const good[] = {"1", "-0.5e+3", "\"\"", " [ ] ", "{}", "[1,[2,{\"a\":[]}],null]", "{\"a\":1,\"a\":2}", "\"\\u0000\\ud83d\"",
                                       "1e999", "123456789012345678901234567890", "{\"\\\"\":true,\"b\":false}"};
    struct meros_err err = MEROS_ERR_INIT;
    for (size_t k = 0; k < sizeof good / sizeof good[0]; k++) cr_assert_eq(check(good[k], &err), MEROS_OK, "%s: %s", good[k], err.detail);
}

Test(json_cut, refuses_what_is_no_json)
{
    static const char *const bad[] = {"", " ", "tru", "01", "1.", "-", "1e", "+1", "[1,]", "[,1]", "{\"a\"}", "{\"a\":}", "{a:1}", "{\"a\":1,}", "[1 2]", "[1}",
                                      "{]", "\"a", "\"\\x\"", "\"\\u12g4\"", "\"a\nb\"", "1 2", "[[]", "]", "\"\\"};
    struct meros_err err = MEROS_ERR_INIT;
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) cr_assert_eq(check(bad[k], &err), MEROS_INVALID, "%s", bad[k]);
    cr_assert_eq(check("[1,\n 2,\n x]", &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "line 3, column 2"), "%s", err.detail);
}

Test(json_cut, is_deep_but_not_bottomless)
{
    static char text[2000];
    struct meros_err err = MEROS_ERR_INIT;
    memset(text, '[', 512), memset(text + 512, ']', 512);
    cr_assert_eq(json_check(text, 1024, &err), MEROS_OK);
    memset(text, '[', 513), memset(text + 513, ']', 513);
    cr_assert_eq(json_check(text, 1026, &err), MEROS_INVALID);
}

static const char *pieces(const char *text)
{
    static char out[500];
    struct json_cut c;
    struct str name, value;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(check(text, &err), MEROS_OK);
    out[0] = '\0';
    json_cut_begin(&c, str_of(text));
    while (json_cut_next(&c, &name, &value))
        snprintf(out + strlen(out), sizeof out - strlen(out), "%.*s=%.*s;", (int)name.n, name.n > 0 ? name.p : "", (int)value.n, value.p);
    return out;
}

Test(json_cut, gives_members_and_elements_as_they_were_written)
{
    cr_assert_str_eq(pieces(" { \"a\" : 1 , \"b\\n\":[ {\"c\" : \"}],\"} , 2 ] ,\"d\" : \"x\\\"y\"\n} "), "a=1;b\\n=[ {\"c\" : \"}],\"} , 2 ];d=\"x\\\"y\";");
    cr_assert_str_eq(pieces("[ 1 ,\"two\", {} , [3] ,null ]"), "=1;=\"two\";={};=[3];=null;");
    cr_assert_str_eq(pieces("{}"), "");
    cr_assert_str_eq(pieces("[]"), "");
    cr_assert_str_eq(pieces("\"{}\""), "");
    cr_assert(str_is(json_cut_plain(STR("\"abc\"")), "abc"));
    cr_assert_not(str_present(json_cut_plain(STR("\"a\\u0062c\""))));
    cr_assert_not(str_present(json_cut_plain(STR("12"))));
}
