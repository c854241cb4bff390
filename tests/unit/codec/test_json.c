#include "meros/codec/json.h"

#include <criterion/criterion.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

TestSuite(json_parse, .init = json_start);
TestSuite(json_obj, .init = json_start);
TestSuite(json_write, .init = json_start);

static struct json *read_text(const char *text)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *v = NULL;
    enum meros_code rc = json_parse(text, strlen(text), &v, &err);
    cr_assert_eq(rc, MEROS_OK, "%s: %s", text, err.detail);
    return v;
}

/* The detail with which a text is refused. */
static const char *refused_n(const char *text, size_t n)
{
    static struct meros_err err;
    struct json *v = (struct json *)8;
    err_clear(&err);
    char *exact = malloc(n + 1); /* no terminator within the allocation's reach: reading past the end is caught */
    memcpy(exact, text, n);
    char *tight = realloc(exact, n > 0 ? n : 1);
    enum meros_code rc = json_parse(tight, n, &v, &err);
    free(tight);
    cr_assert_eq(rc, MEROS_INVALID, "taken: %s", text);
    cr_assert_eq(v, (struct json *)8, "the out parameter is untouched");
    return err.detail;
}
static const char *refused(const char *text)
{
    return refused_n(text, strlen(text));
}
static void refused_at(const char *text, int line, int column)
{
    char want[60];
    snprintf(want, sizeof want, "line %d, column %d: ", line, column);
    const char *detail = refused(text);
    cr_assert_eq(strncmp(detail, want, strlen(want)), 0, "%s\n%s, not %s", text, detail, want);
}

Test(json_parse, every_kind_of_value)
{
    struct json *v = read_text(" {\"n\": null, \"t\": true, \"f\": false, \"i\": -7, \"d\": 1.5, \"s\": \"x\", \"a\": [1, 2], \"o\": {}} \n");
    cr_assert_eq(json_kind(v), JSON_KIND_OBJECT);
    cr_assert_eq(json_count(v), 8);
    cr_assert_eq(json_kind(json_get(v, "n")), JSON_KIND_NULL);
    cr_assert(json_bool(json_get(v, "t")) && !json_bool(json_get(v, "f")));
    cr_assert_eq(json_kind(json_get(v, "f")), JSON_KIND_BOOL);
    cr_assert(json_is_int(json_get(v, "i")) && json_int(json_get(v, "i")) == -7 && json_num(json_get(v, "i")) == -7);
    cr_assert(!json_is_int(json_get(v, "d")) && json_num(json_get(v, "d")) == 1.5 && json_int(json_get(v, "d")) == 0);
    cr_assert(str_is(json_str(json_get(v, "s")), "x"));
    cr_assert_eq(json_count(json_get(v, "a")), 2);
    cr_assert_eq(json_int(json_at(json_get(v, "a"), 1)), 2);
    cr_assert_null(json_at(json_get(v, "a"), 2));
    cr_assert_eq(json_count(json_get(v, "o")), 0);
    cr_assert_null(json_get(v, "absent"));
    json_free(v);
}

Test(json_parse, accessors_take_nothing_and_the_wrong_kind)
{
    struct json *v = read_text("[1]");
    cr_assert_eq(json_kind(NULL), JSON_KIND_NULL);
    cr_assert(json_get(NULL, "a") == NULL && json_get(v, "a") == NULL && json_at(NULL, 0) == NULL);
    cr_assert(!str_present(json_str(v)) && isnan(json_num(v)) && !json_is_int(v) && json_int(v) == 0 && !json_bool(v));
    cr_assert(!str_present(json_str(NULL)) && isnan(json_num(NULL)) && !json_bool(NULL) && json_count(NULL) == 0);
    const void *at = NULL;
    struct str name;
    const struct json *value;
    cr_assert_not(json_next(v, &at, &name, &value));
    json_free(v);
    json_free(NULL);
}

Test(json_parse, a_lone_value_is_a_text_too)
{
    static const char *const texts[] = {"1", "\"x\"", "null", "true", "[]", " -0.5e-3 "};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) json_free(read_text(texts[i]));
}

Test(json_parse, members_come_in_the_order_written)
{
    struct json *v = read_text("{\"z\":1,\"a\":2,\"\":3,\"\\u00e4\":4}");
    const void *at = NULL;
    struct str name;
    const struct json *value;
    static const char *const want[] = {"z", "a", "", "\xC3\xA4"};
    int i = 0;
    while (json_next(v, &at, &name, &value)) {
        cr_assert(str_is(name, want[i]), "%d", i);
        cr_assert_eq(json_int(value), ++i);
    }
    cr_assert_eq(i, 4);
    json_free(v);
}

Test(json_parse, integers_to_the_edges_of_int64)
{
    struct json *v = read_text("[9223372036854775807, -9223372036854775808, 1.0, 1e2]");
    cr_assert_eq(json_int(json_at(v, 0)), INT64_MAX);
    cr_assert_eq(json_int(json_at(v, 1)), INT64_MIN);
    cr_assert(!json_is_int(json_at(v, 2)) && !json_is_int(json_at(v, 3)), "only what is written as an integer is one");
    json_free(v);
}

Test(json_parse, numbers_that_do_not_fit_are_refused)
{
    cr_assert(strstr(refused("9223372036854775808"), "too large"));
    cr_assert(strstr(refused("[-9223372036854775809]"), "too large"));
    cr_assert(strstr(refused("{\"a\":1e400}"), "too large"));
    struct json *v = read_text("1e-400");
    cr_assert_eq(json_num(v), 0);
    json_free(v);
}

/* What jsonb makes of 1e300 must not keep a whole table from being read. */
Test(json_parse, stored_text_may_hold_integers_of_any_length)
{
    char text_[400] = "{\"small\":7,\"big\":1";
    size_t n = strlen(text_);
    memset(text_ + n, '0', 300);
    strcpy(text_ + n + 300, "}");
    struct meros_err e = MEROS_ERR_INIT;
    struct json *v = NULL;
    cr_assert_eq(json_parse_stored(text_, strlen(text_), &v, &e), MEROS_OK, "%s", e.detail);
    cr_assert(json_num(json_get(v, "big")) == 1e300 && json_num(json_get(v, "small")) == 7);
    json_free(v);
    cr_assert_eq(json_parse_stored("{\"i\":7}", 7, &v, &e), MEROS_OK);
    cr_assert(json_is_int(json_get(v, "i")));
    json_free(v);
    cr_assert_eq(json_parse_stored("[1e400]", 7, &v, &e), MEROS_INVALID);
    cr_assert_eq(json_parse_stored("[1", 2, &v, &e), MEROS_INVALID);
}

Test(json_parse, what_json_does_not_allow_is_refused)
{
    static const char *const bad[] = {"",        " ",      "{",       "}",      "[1,]",    "{\"a\":1,}", "{\"a\"}",  "{a:1}", "'x'",    "01",
                                      "+1",      ".5",     "1.",      "1e",     "NaN",     "Infinity",   "-",        "tru",   "nulll",  "[1] 2",
                                      "\"\t\"",  "\"\\x\"", "\"\\u12\"", "\"abc", "/*c*/ 1", "[1 2]",     "{\"a\" 1}", "[",     "\xEF\xBB\xBF{}", "0x10"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_assert_eq(strncmp(refused(bad[i]), "line 1, column ", 15), 0);
}

Test(json_parse, text_that_is_no_text_is_refused)
{
    cr_assert(strstr(refused("\"\xFF\""), "UTF-8"));
    refused("\"\xC3\"");
    refused("\"\xED\xA0\x80\"");
    refused("\"\\ud800\"");
    refused("\"\\udc00\\ud800\"");
    cr_assert(strstr(refused("\"a\\u0000b\""), "NUL"));
    refused("{\"a\\u0000\": 1}");
    refused_n("\"a\0b\"", 5);
    refused_n("1\0", 2);
    refused_n("[1\0,2]", 6);
}

Test(json_parse, a_name_twice_in_one_object_is_refused)
{
    cr_assert(strstr(refused("{\"a\":1,\"b\":{\"c\":1,\"c\":2}}"), "twice"));
    json_free(read_text("{\"a\":{\"b\":1},\"b\":{\"a\":1}}"));
}

Test(json_parse, nesting_is_limited_before_anything_is_built)
{
    char text[200];
    for (int brace = 0; brace < 2; brace++) {
        for (int depth = JSON_DEPTH_MAX; depth <= JSON_DEPTH_MAX + 1; depth++) {
            size_t n = 0;
            for (int i = 0; i < depth; i++) n += (size_t)sprintf(text + n, brace ? "{\"\":" : "[");
            n += (size_t)sprintf(text + n, "1");
            for (int i = 0; i < depth; i++) n += (size_t)sprintf(text + n, brace ? "}" : "]");
            if (depth <= JSON_DEPTH_MAX) json_free(read_text(text));
            else cr_assert(strstr(refused(text), "nested 32 deep"));
        }
    }
    json_free(read_text("[\"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[\\\"[[[\", 1]"));
    size_t n = 1 << 20;
    char *bomb = malloc(n + 1);
    memset(bomb, '[', n);
    bomb[n] = '\0';
    cr_assert(strstr(refused(bomb), "line 1, column 33: "));
    free(bomb);
}

Test(json_parse, faults_are_told_by_line_and_column_in_characters)
{
    refused_at("{\"a\": x}", 1, 7);
    refused_at("{\n  \"a\": 1,\n  \"b\": ?\n}", 3, 8);
    refused_at("{\"\xC3\xA4\xC3\xA4\": ?}", 1, 8);
    refused_at("[1] 2", 1, 5);
    refused_at("", 1, 1);
    refused_at("{\n  \"kind\": train\n}", 2, 11);
    refused_at("[1, 1e400]", 1, 5);
}

Test(json_parse, what_was_sent_is_not_quoted_back)
{
    cr_assert_null(strstr(refused("{\"email\": \"anna@example.org\" oops}"), "anna"));
    cr_assert_null(strstr(refused("{\"anna@example.org\":1, \"anna@example.org\":1}"), "anna"));
}

/* --- objects read field by field */

static struct meros_err err;
static struct json_obj obj;
static struct json *root;

static void begin(const char *text)
{
    err_clear(&err);
    root = read_text(text);
    json_obj_begin(&obj, root, "", &err);
}
static void end_ok(void)
{
    cr_assert_eq(json_obj_end(&obj), MEROS_OK, "%s", err.detail);
    cr_assert_eq(err.code, MEROS_OK);
    json_free(root);
}
static void end_with(const char *pointer, const char *detail)
{
    cr_assert_eq(json_obj_end(&obj), MEROS_INVALID);
    cr_assert_eq(err.code, MEROS_INVALID);
    cr_assert_eq(err.n_fields, 1, "%zu faults, the first at %s", err.n_fields, err.fields[0].pointer);
    cr_assert_str_eq(err.fields[0].pointer, pointer);
    cr_assert_str_eq(err.fields[0].detail, detail);
    json_free(root);
}

Test(json_obj, every_field_that_is_right)
{
    static const char *const words[] = {"asc", "desc", NULL};
    begin("{\"s\":\"\xC3\xA4\",\"id\":\"c/1\",\"e\":\"desc\",\"i\":5,\"n\":2.5,\"b\":true,\"t\":\"1970-01-02\",\"o\":{\"x\":1},\"a\":[1],\"any\":[]}");
    cr_assert(str_is(json_obj_str(&obj, "s", JSON_REQUIRED, 2), "\xC3\xA4"));
    cr_assert(str_is(json_obj_id(&obj, "id", JSON_REQUIRED), "c/1"));
    cr_assert_eq(json_obj_enum(&obj, "e", 0, words, 0), 1);
    cr_assert_eq(json_obj_int(&obj, "i", 0, 5, 5, 0), 5);
    cr_assert_eq(json_obj_num(&obj, "n", 0, 0, 3, 0), 2.5);
    cr_assert_eq(json_obj_bool(&obj, "b", 0, false), true);
    cr_assert_eq(json_obj_time(&obj, "t", 0, 0), TIME_DAY);
    cr_assert_eq(json_count(json_obj_object(&obj, "o", 0)), 1);
    cr_assert_eq(json_count(json_obj_array(&obj, "a", 0, 1)), 1);
    cr_assert_eq(json_kind(json_obj_any(&obj, "any", 0)), JSON_KIND_ARRAY);
    end_ok();
}

Test(json_obj, an_absent_field_has_its_default)
{
    static const char *const words[] = {"asc", "desc", NULL};
    begin("{}");
    cr_assert_not(str_present(json_obj_str(&obj, "s", 0, 10)));
    cr_assert_not(str_present(json_obj_id(&obj, "id", 0)));
    cr_assert_eq(json_obj_enum(&obj, "e", 0, words, 1), 1);
    cr_assert_eq(json_obj_int(&obj, "i", 0, 1, 9, 4), 4);
    cr_assert_eq(json_obj_num(&obj, "n", 0, 0, 1, .5), .5);
    cr_assert_eq(json_obj_bool(&obj, "b", 0, true), true);
    cr_assert_eq(json_obj_time(&obj, "t", 0, 77), 77);
    cr_assert(json_obj_object(&obj, "o", 0) == NULL && json_obj_array(&obj, "a", 0, 1) == NULL && json_obj_any(&obj, "x", 0) == NULL);
    end_ok();
}

Test(json_obj, a_required_field_that_is_missing_is_named)
{
    begin("{}");
    json_obj_id(&obj, "customer_id", JSON_REQUIRED);
    end_with("/customer_id", "is required");
}

Test(json_obj, null_is_a_fault_unless_allowed)
{
    begin("{\"a\":null}");
    json_obj_str(&obj, "a", 0, 10);
    end_with("/a", "must be a string, not null");
    begin("{\"a\":null,\"b\":null}");
    cr_assert_not(str_present(json_obj_str(&obj, "a", JSON_NULLABLE, 10)));
    cr_assert_eq(json_obj_int(&obj, "b", JSON_NULLABLE | JSON_REQUIRED, 0, 1, 1), 1, "a required null is there");
    end_ok();
}

Test(json_obj, a_wrong_kind_is_told_in_words)
{
    begin("{\"k\":\"8\"}");
    cr_assert_eq(json_obj_int(&obj, "k", 0, 1, 10, 3), 3);
    end_with("/k", "must be a number, not a string");
    begin("{\"k\":1}");
    json_obj_bool(&obj, "k", 0, false);
    end_with("/k", "must be true or false, not a number");
}

Test(json_obj, values_out_of_bounds)
{
    static const char *const words[] = {"asc", "desc", NULL};
    begin("{\"k\":11}");
    json_obj_int(&obj, "k", 0, 1, 10, 3);
    end_with("/k", "must be a whole number from 1 to 10");
    begin("{\"k\":2.0}");
    json_obj_int(&obj, "k", 0, 1, 10, 3);
    end_with("/k", "must be a whole number from 1 to 10");
    begin("{\"k\":-0.1}");
    json_obj_num(&obj, "k", 0, 0, 1, 0);
    end_with("/k", "must be a number from 0 to 1");
    begin("{\"k\":\"ASC\"}");
    json_obj_enum(&obj, "k", 0, words, 0);
    end_with("/k", "must be one of: asc, desc");
    begin("{\"k\":\"abc\"}");
    json_obj_str(&obj, "k", 0, 2);
    end_with("/k", "must be at most 2 bytes long");
    begin("{\"k\":\"\"}");
    json_obj_id(&obj, "k", 0);
    end_with("/k", "must be 1 to 200 bytes long, without control characters");
    begin("{\"k\":[1,2,3]}");
    json_obj_array(&obj, "k", 0, 2);
    end_with("/k", "must have at most 2 items");
    begin("{\"k\":\"yesterday\"}");
    json_obj_time(&obj, "k", 0, 0);
    end_with("/k", "must be a time such as 2011-12-09T12:50:00Z");
}

Test(json_obj, members_nobody_asked_for_are_faults)
{
    begin("{\"kind\":\"x\",\"knid\":1}");
    json_obj_str(&obj, "kind", 0, 10);
    end_with("/knid", "is not a field that is known here");
    begin("{\"a\":1}");
    end_with("/a", "is not a field that is known here");
}

Test(json_obj, all_faults_are_collected_in_one_go)
{
    begin("{\"a\":1,\"b\":\"x\",\"zz\":0}");
    json_obj_str(&obj, "a", 0, 10);
    json_obj_int(&obj, "b", 0, 0, 1, 0);
    json_obj_id(&obj, "c", JSON_REQUIRED);
    json_obj_fault(&obj, "b", "says %s", "no");
    cr_assert_eq(json_obj_end(&obj), MEROS_INVALID);
    cr_assert_eq(err.n_fields, 5);
    cr_assert_str_eq(err.fields[3].detail, "says no");
    cr_assert_str_eq(err.fields[4].pointer, "/zz");
    cr_assert_str_eq(err.detail, "/a: must be a string, not a number");
    json_free(root);
}

Test(json_obj, pointers_lead_through_nested_objects_and_are_escaped)
{
    err_clear(&err);
    root = read_text("{\"a/b~c\":1}");
    json_obj_begin(&obj, root, "/params/reduce", &err);
    end_with("/params/reduce/a~1b~0c", "is not a field that is known here");
}

Test(json_obj, what_is_no_object_is_one_fault)
{
    begin("[]");
    json_obj_id(&obj, "a", JSON_REQUIRED);
    json_obj_int(&obj, "b", 0, 0, 1, 0);
    end_with("", "must be an object, not an array");
    cr_assert_str_eq(err.detail, "must be an object, not an array");
    err_clear(&err);
    json_obj_begin(&obj, NULL, "/params", &err);
    cr_assert_eq(json_obj_end(&obj), MEROS_INVALID);
    cr_assert_str_eq(err.fields[0].pointer, "/params");
}

Test(json_obj, endless_names_are_cut_between_characters)
{
    char text[3000];
    for (size_t shift = 0; shift < 4; shift++) {
        size_t n = (size_t)sprintf(text, "{\"%.*s", (int)shift, "xxxx");
        for (int i = 0; i < 300; i++, n += 4) memcpy(text + n, "\xF0\x9F\x98\x80", 4);
        strcpy(text + n, "\":1}");
        begin(text);
        cr_assert_eq(json_obj_end(&obj), MEROS_INVALID);
        cr_assert(utf8_valid(err.fields[0].pointer, strlen(err.fields[0].pointer)), "shift %zu", shift);
        json_free(root);
    }
}

Test(json_obj, an_object_with_thousands_of_unknown_members_is_one_error)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 5000; i++) buf_printf(&b, "%c\"m%d\":1", i ? ',' : '{', i);
    buf_char(&b, '}');
    begin(b.data);
    cr_assert_eq(json_obj_end(&obj), MEROS_INVALID);
    cr_assert_eq(err.n_fields, ERR_FIELDS_MAX);
    json_free(root);
    buf_done(&b);
}

/* --- writing */

static struct buf out;
static struct jsonw w;
static void write_begin(void)
{
    buf_done(&out);
    buf_init(&out, 1 << 20);
    jsonw_init(&w, &out);
}

Test(json_write, commas_stand_between_values_and_nowhere_else)
{
    write_begin();
    jsonw_begin_object(&w);
    jsonw_kint(&w, "a", 1);
    jsonw_key(&w, "b");
    jsonw_begin_array(&w);
    jsonw_begin_array(&w);
    jsonw_end_array(&w);
    jsonw_begin_object(&w);
    jsonw_end_object(&w);
    jsonw_num(&w, 1.5);
    jsonw_end_array(&w);
    jsonw_knull(&w, "c");
    jsonw_kraw(&w, "d", STR("{\"x\":1}"));
    jsonw_kraw(&w, "e", STR_NONE);
    jsonw_kbool(&w, "f", true);
    jsonw_kstr(&w, "g", STR_NONE);
    jsonw_kcstr(&w, "h", "");
    jsonw_kcstr(&w, "i", NULL);
    jsonw_ktime(&w, "j", 0);
    jsonw_ktime(&w, "k", TIME_NONE);
    jsonw_end_object(&w);
    cr_assert_str_eq(out.data, "{\"a\":1,\"b\":[[],{},1.5],\"c\":null,\"d\":{\"x\":1},\"e\":null,\"f\":true,\"g\":null,\"h\":\"\","
                               "\"i\":null,\"j\":\"1970-01-01T00:00:00Z\",\"k\":null}");
}

Test(json_write, every_byte_of_a_string_survives_reading_back)
{
    for (unsigned c = 1; c < 0x80; c++) {
        char text[4] = {'x', (char)c, 'y', '\0'};
        write_begin();
        jsonw_cstr(&w, text);
        for (size_t i = 0; i < out.len; i++) cr_assert_geq((unsigned char)out.data[i], 0x20);
        struct json *v = read_text(out.data);
        cr_assert(str_is(json_str(v), text), "%02x", c);
        json_free(v);
    }
    write_begin();
    jsonw_str(&w, STR("\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\"\\\n\r\t\x01</script>"));
    cr_assert_str_eq(out.data, "\"\xC3\xA4\xE2\x82\xAC\xF0\x9F\x98\x80\\\"\\\\\\n\\r\\t\\u0001</script>\"");
}

Test(json_write, keys_are_escaped_as_strings_are)
{
    write_begin();
    jsonw_begin_object(&w);
    jsonw_key_str(&w, STR("a\"\n"));
    jsonw_null(&w);
    jsonw_end_object(&w);
    cr_assert_str_eq(out.data, "{\"a\\\"\\n\":null}");
}

Test(json_write, numbers_are_short_and_read_back_the_same)
{
    static const struct {
        double v;
        const char *text;
    } known[] = {{0, "0"},     {-0.0, "0"},  {1, "1"},          {-1.5, "-1.5"},  {0.1, "0.1"},     {0.3, "0.3"}, {1e15, "1e+15"}, {100, "100"},
                 {1e21, "1e+21"}, {1e-7, "1e-07"}, {0.1 + 0.2, "0.30000000000000004"}, {1e300, "1e+300"}, {NAN, "null"}, {INFINITY, "null"}, {-INFINITY, "null"}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        write_begin();
        jsonw_num(&w, known[i].v);
        cr_assert_str_eq(out.data, known[i].text);
        char text[32];
        cr_assert_eq(json_number_text(known[i].v, text), strlen(text));
        cr_assert_str_eq(text, known[i].text);
    }
    uint64_t r = 1;
    for (int i = 0; i < 100000; i++) {
        r = r * UINT64_C(6364136223846793005) + 1442695040888963407u;
        double v;
        memcpy(&v, &r, sizeof v);
        if (i % 3 == 0) v = (double)(int64_t)r / 1000;
        if (i % 5 == 0) v = (double)(r >> 40) / 100;
        if (!isfinite(v)) continue;
        char text[32];
        json_number_text(v, text);
        if (strtod(text, NULL) != v) cr_assert_fail("%.17g became %s", v, text);
    }
    char text[32];
    cr_assert_eq(strtod((json_number_text(DBL_MAX, text), text), NULL), DBL_MAX);
    cr_assert_eq(strtod((json_number_text(DBL_TRUE_MIN, text), text), NULL), DBL_TRUE_MIN);
}

Test(json_write, integers_to_the_edges)
{
    write_begin();
    jsonw_begin_array(&w);
    jsonw_int(&w, INT64_MAX);
    jsonw_int(&w, INT64_MIN);
    jsonw_int(&w, 0);
    jsonw_end_array(&w);
    cr_assert_str_eq(out.data, "[9223372036854775807,-9223372036854775808,0]");
}

Test(json_write, money_is_rounded_below_a_millionth_and_to_cents_when_huge)
{
    write_begin();
    jsonw_begin_array(&w);
    jsonw_money(&w, 0.1 + 0.2);
    jsonw_money(&w, 9747747.933999);
    jsonw_money(&w, 98765432109.876543);
    jsonw_money(&w, 0.0149);
    jsonw_money(&w, -2.0050001);
    jsonw_money(&w, 100);
    jsonw_money(&w, NAN);
    jsonw_money(&w, -0.0000001);
    jsonw_end_array(&w);
    cr_assert_str_eq(out.data, "[0.3,9747747.933999,98765432109.88,0.0149,-2.005,100,null,0]");
}

Test(json_write, a_tree_is_written_as_it_was_read)
{
    const char *text = "{\"z\":[1,-2.5,true,false,null,\"\xC3\xA4\\n\"],\"a\":{\"\":{}},\"big\":9223372036854775807}";
    struct json *v = read_text(text);
    write_begin();
    jsonw_value(&w, v);
    cr_assert_str_eq(out.data, text);
    json_free(v);
}

Test(json_write, past_the_ceiling_the_buffer_says_so)
{
    buf_done(&out);
    buf_init(&out, 20);
    jsonw_init(&w, &out);
    jsonw_begin_array(&w);
    for (int i = 0; i < 100; i++) jsonw_cstr(&w, "abc");
    jsonw_end_array(&w);
    cr_assert(out.failed);
    buf_done(&out);
}
