#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "meros/codec/records.h"

static struct json_records r;
static struct json_record record;
static struct meros_err err;

/* How many records the text has; -1 if it is refused. */
static int count(const char *text)
{
    int n = 0;
    bool more = true;
    err_clear(&err);
    enum meros_code rc = json_records_begin(&r, text, strlen(text), &err);
    while (rc == MEROS_OK && (rc = json_records_next(&r, &record, &more, &err)) == MEROS_OK && more) n++;
    json_records_done(&r);
    return rc == MEROS_OK ? n : -1;
}

Test(records, one_object_is_one_record_and_an_array_as_many_as_it_has)
{
    cr_expect_eq(count("{}"), 1);
    cr_expect_eq(count(" \r\n{\"a\":1}\t"), 1);
    cr_expect_eq(count("[]"), 0);
    cr_expect_eq(count("[{},{\"a\":[1,{\"b\":2}]} , 7, \"x\", null]"), 5);
    cr_expect_eq(count("17"), 1);
}

Test(records, a_member_is_given_decoded_or_as_it_stands)
{
    bool more;
    const char *text = "[{\"n\\u0061me\":\"a\\\"\\ud83d\\ude00\",\"b\":{\"c\": [1]},\"d\":-1.5e3,\"e\":null}]";
    cr_assert_eq(json_records_begin(&r, text, strlen(text), &err), MEROS_OK);
    cr_assert_eq(json_records_next(&r, &record, &more, &err), MEROS_OK);
    cr_assert(more && r.array && record.object);
    cr_assert_eq(record.n, 4);
    cr_expect(str_is(record.members[0].name, "name") && str_is(record.members[0].text, "a\"\xf0\x9f\x98\x80"));
    cr_expect(record.members[1].kind == JSON_KIND_OBJECT && str_is(record.members[1].text, "{\"c\": [1]}"));
    cr_expect(record.members[2].kind == JSON_KIND_NUMBER && str_is(record.members[2].text, "-1.5e3"));
    cr_expect(record.members[3].kind == JSON_KIND_NULL);
    json_records_done(&r);
}

/* Strings are looked through eight bytes at a time. */
Test(records, bytes_that_end_or_spoil_a_string_are_found_wherever_they_stand)
{
    for (size_t at = 0; at < 27; at++)
        for (int c = 1; c < 256; c++) {
            char text[64] = "{\"a\":\"";
            const size_t from = strlen(text);
            memset(text + from, 'x', 27);
            if (c < 0x80) {
                text[from + at] = (char)c;
            } else if (at < 26) { /* U+0080 and on, in two bytes */
                text[from + at] = (char)(0xC0 | c >> 6);
                text[from + at + 1] = (char)(0x80 | (c & 0x3F));
            }
            strcpy(text + from + 27, "\"}");
            const bool escape = c == '\\' && (at == 26 || strchr("\"\\/bfnrtu", text[from + at + 1]) == NULL);
            cr_expect_eq(count(text), c < 0x20 || c == '"' || escape ? -1 : 1, "%d at %zu", c, at);
        }
}

Test(records, what_is_not_json_is_refused_with_its_place)
{
    static const char *const texts[] = {"", "{", "[", "[{}", "[{},]", "[,{}]", "{} {}", "[{}] x", "[{} {}]", "{\"a\":1,\"a\":2}", "{a:1}", "{\"a\"}", "{\"a\":01}",
                                        "{\"a\":\"\\u0000\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\x01\"}", "{\"a\":\"\xc3\"}", "{\"a\":1e999}", "tru", "{\"a\":nul}"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        cr_expect_eq(count(texts[i]), -1, "%s", texts[i]);
        cr_expect_eq(err.code, MEROS_INVALID);
        cr_expect(strstr(err.detail, "line 1, column ") != NULL, "%s: %s", texts[i], err.detail);
    }
    cr_expect_eq(count("[{},\n {\"a\" 1}]"), -1);
    cr_expect(strstr(err.detail, "line 2, column 7") != NULL, "%s", err.detail);
    cr_expect_eq(count("[\"\xc3\xa9\xff\"]"), -1);
    cr_expect(strstr(err.detail, "line 1, column 4") != NULL, "%s", err.detail);
}

Test(records, nesting_and_members_have_an_end)
{
    char text[2000], *at = text;
    for (int i = 0; i < 40; i++) *at++ = '[';
    for (int i = 0; i < 40; i++) *at++ = ']';
    *at = '\0';
    cr_expect_eq(count(text), -1);
    at = text + sprintf(text, "{");
    for (int i = 0; i <= RECORD_MEMBERS_MAX; i++) at += sprintf(at, "%s\"m%d\":1", i > 0 ? "," : "", i);
    strcpy(at, "}");
    cr_expect_eq(count(text), -1);
}
