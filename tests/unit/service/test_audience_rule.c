/* Rules of audiences: what is understood, in which form it is kept, what is refused and where. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include "meros/service/audience_rule.h"

static struct arena arena;

static enum meros_code decode(const char *text, struct audience_rule *out, struct meros_err *err)
{
    struct json *v = NULL;
    json_start();
    cr_assert_eq(json_parse(text, strlen(text), &v, err), MEROS_OK, "%s: %s", err->detail, text);
    arena_init(&arena, 16 << 20);
    enum meros_code rc = audience_rule_decode(v, "/rule", &arena, out, err);
    json_free(v);
    return rc;
}

static void expect_form(const char *text, const char *form)
{
    struct audience_rule r;
    struct meros_err err = MEROS_ERR_INIT;
    struct buf b;
    struct jsonw w;
    cr_assert_eq(decode(text, &r, &err), MEROS_OK, "%s: %s", err.detail, text);
    buf_init(&b, 1 << 20);
    jsonw_init(&w, &b);
    audience_rule_write(&w, &r);
    cr_expect_str_eq(b.data, form);
    arena_done(&arena);
    cr_assert_eq(decode(b.data, &r, &err), MEROS_OK);
    struct buf again;
    buf_init(&again, 1 << 20);
    jsonw_init(&w, &again);
    audience_rule_write(&w, &r);
    cr_expect_str_eq(again.data, b.data, "the canonical form is its own");
    buf_done(&b);
    buf_done(&again);
    arena_done(&arena);
}

static void expect_fault(const char *text, const char *pointer)
{
    struct audience_rule r;
    struct meros_err err = MEROS_ERR_INIT;
    bool found = false;
    cr_assert_eq(decode(text, &r, &err), MEROS_INVALID, "%s", text);
    for (size_t i = 0; i < err.n_fields; i++) found |= strcmp(err.fields[i].pointer, pointer) == 0;
    cr_expect(found, "no fault at %s but at %s (%s): %s", pointer, err.n_fields > 0 ? err.fields[0].pointer : "nothing", err.detail, text);
    arena_done(&arena);
}

Test(audience_rule, is_kept_in_one_form)
{
    expect_form("{\"value\":30,\"op\":\"<=\",\"field\":\"stats.recency_days\"}", "{\"field\":\"stats.recency_days\",\"op\":\"<=\",\"value\":30}");
    expect_form("{\"field\":\"stats.last_order_at\",\"op\":\"after\",\"value\":\"2026-01-02T03:00:00+01:00\"}",
                "{\"field\":\"stats.last_order_at\",\"op\":\"after\",\"value\":\"2026-01-02T02:00:00Z\"}");
    expect_form("{\"field\":\"attributes.country\",\"op\":\"in\",\"value\":[\"DE\",\"AT\"]}",
                "{\"field\":\"attributes.country\",\"op\":\"in\",\"value\":[\"DE\",\"AT\"]}");
    expect_form("{\"field\":\"attributes.a.b c\",\"op\":\"exists\"}", "{\"field\":\"attributes.a.b c\",\"op\":\"exists\",\"value\":true}");
    expect_form("{\"field\":\"attributes.born\",\"op\":\"between\",\"value\":[\"1980-01-01\",\"1989-12-31\"]}",
                "{\"field\":\"attributes.born\",\"op\":\"between\",\"value\":[\"1980-01-01T00:00:00Z\",\"1989-12-31T00:00:00Z\"]}");
    expect_form("{\"event\":\"product_viewed\"}", "{\"event\":\"product_viewed\",\"count\":{\">=\":1}}");
    expect_form("{\"where\":{\"category\":\"a/b\",\"product_id\":\"p\"},\"within_days\":0.5,\"count\":{\"<\":9,\">=\":3},\"event\":\"x\"}",
                "{\"event\":\"x\",\"count\":{\"<\":9,\">=\":3},\"within_days\":0.5,\"where\":{\"product_id\":\"p\",\"category\":\"a/b\"}}");
    expect_form("{\"all\":[]}", "{\"all\":[]}");
    expect_form("{\"not\":{\"any\":[{\"field\":\"consent.marketing\",\"op\":\"=\",\"value\":false},{\"all\":[{\"field\":\"segments.rfm\",\"op\":\"!=\",\"value\":\"lost\"}]}]}}",
                "{\"not\":{\"any\":[{\"field\":\"consent.marketing\",\"op\":\"=\",\"value\":false},{\"all\":[{\"field\":\"segments.rfm\",\"op\":\"!=\",\"value\":\"lost\"}]}]}}");
}

Test(audience_rule, is_refused_where_it_is_wrong)
{
    static const struct { const char *text, *pointer; } wrong[] = {
        {"[]", "/rule"},
        {"null", "/rule"},
        {"{}", "/rule"},
        {"{\"op\":\"=\",\"value\":1}", "/rule"},
        {"{\"field\":\"stats.age\",\"op\":\"=\",\"value\":1}", "/rule/field"},
        {"{\"field\":\"stats\",\"op\":\"=\",\"value\":1}", "/rule/field"},
        {"{\"field\":\"attributes.\",\"op\":\"=\",\"value\":1}", "/rule/field"},
        {"{\"field\":\"segments.\",\"op\":\"=\",\"value\":\"x\"}", "/rule/field"},
        {"{\"field\":\"scores.churn\",\"op\":\">\",\"value\":0.5}", "/rule/field"},
        {"{\"field\":7,\"op\":\"=\",\"value\":1}", "/rule/field"},
        {"{\"field\":\"stats.orders\",\"value\":1}", "/rule/op"},
        {"{\"field\":\"stats.orders\",\"op\":\"like\",\"value\":1}", "/rule/op"},
        {"{\"field\":\"stats.orders\",\"op\":\"contains\",\"value\":\"1\"}", "/rule/op"},
        {"{\"field\":\"consent.marketing\",\"op\":\"<\",\"value\":true}", "/rule/op"},
        {"{\"field\":\"segments.rfm\",\"op\":\">\",\"value\":\"a\"}", "/rule/op"},
        {"{\"field\":\"stats.orders\",\"op\":\"=\"}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"=\",\"value\":\"1\"}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"=\",\"value\":null}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"=\",\"value\":{}}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"in\",\"value\":5}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"in\",\"value\":[]}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"in\",\"value\":[1,\"2\"]}", "/rule/value/1"},
        {"{\"field\":\"stats.orders\",\"op\":\"between\",\"value\":[1]}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"between\",\"value\":[2,1]}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"exists\",\"value\":1}", "/rule/value"},
        {"{\"field\":\"stats.last_order_at\",\"op\":\"before\",\"value\":\"soon\"}", "/rule/value"},
        {"{\"field\":\"stats.last_order_at\",\"op\":\"within_days\",\"value\":0}", "/rule/value"},
        {"{\"field\":\"stats.last_order_at\",\"op\":\"within_days\",\"value\":1e9}", "/rule/value"},
        {"{\"field\":\"stats.last_order_at\",\"op\":\"within_days\",\"value\":\"7\"}", "/rule/value"},
        {"{\"field\":\"consent.sale\",\"op\":\"=\",\"value\":\"true\"}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"=\",\"value\":null}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"<\",\"value\":\"b\"}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"<\",\"value\":true}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"contains\",\"value\":5}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"in\",\"value\":[true]}", "/rule/value"},
        {"{\"field\":\"attributes.x\",\"op\":\"in\",\"value\":[[]]}", "/rule/value"},
        {"{\"field\":\"stats.orders\",\"op\":\"=\",\"value\":1,\"unit\":\"days\"}", "/rule/unit"},
        {"{\"all\":{}}", "/rule/all"},
        {"{\"any\":[]}", "/rule/any"},
        {"{\"all\":[],\"any\":[]}", "/rule/any"},
        {"{\"all\":[7]}", "/rule/all/0"},
        {"{\"not\":[]}", "/rule/not"},
        {"{\"not\":{\"any\":[{\"all\":[]},{\"field\":\"x\",\"op\":\"=\",\"value\":1}]}}", "/rule/not/any/1/field"},
        {"{\"event\":\"\"}", "/rule/event"},
        {"{\"event\":\"x\",\"count\":3}", "/rule/count"},
        {"{\"event\":\"x\",\"count\":{}}", "/rule/count"},
        {"{\"event\":\"x\",\"count\":{\"in\":3}}", "/rule/count/in"},
        {"{\"event\":\"x\",\"count\":{\">\":-1}}", "/rule/count/>"},
        {"{\"event\":\"x\",\"count\":{\">\":1.5}}", "/rule/count/>"},
        {"{\"event\":\"x\",\"within_days\":0}", "/rule/within_days"},
        {"{\"event\":\"x\",\"within_days\":\"7\"}", "/rule/within_days"},
        {"{\"event\":\"x\",\"where\":{}}", "/rule/where"},
        {"{\"event\":\"x\",\"where\":{\"brand\":\"b\"}}", "/rule/where/brand"},
        {"{\"event\":\"x\",\"where\":{\"category\":\"\"}}", "/rule/where/category"},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) expect_fault(wrong[i].text, wrong[i].pointer);
}

Test(audience_rule, faults_of_several_places_are_told_together)
{
    struct audience_rule r;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(decode("{\"all\":[{\"field\":\"stats.x\",\"op\":\"=\",\"value\":1},{\"field\":\"stats.orders\",\"op\":\"~\",\"value\":1}]}", &r, &err), MEROS_INVALID);
    cr_assert_eq(err.n_fields, 2);
    arena_done(&arena);
}

static void nested(struct buf *b, int levels)
{
    buf_clear(b);
    for (int i = 1; i < levels; i++) buf_str(b, "{\"not\":");
    buf_str(b, "{\"event\":\"x\"}");
    for (int i = 1; i < levels; i++) buf_char(b, '}');
}

static void many(struct buf *b, int n)
{
    buf_clear(b);
    buf_str(b, "{\"all\":[");
    for (int i = 0; i < n; i++) buf_printf(b, "%s{\"event\":\"x\"}", i > 0 ? "," : "");
    buf_str(b, "]}");
}

Test(audience_rule, is_bounded)
{
    struct audience_rule r;
    struct meros_err err = MEROS_ERR_INIT;
    struct buf b;
    buf_init(&b, 1 << 20);
    nested(&b, AUDIENCE_DEPTH_MAX);
    cr_expect_eq(decode(b.data, &r, &err), MEROS_OK, "%s", err.detail);
    arena_done(&arena);
    nested(&b, AUDIENCE_DEPTH_MAX + 1);
    expect_fault(b.data, "/rule/not/not/not/not/not/not/not/not/not/not");
    many(&b, AUDIENCE_LEAVES_MAX);
    cr_expect_eq(decode(b.data, &r, &err), MEROS_OK, "%s", err.detail);
    cr_expect_eq(r.n_leaves, (size_t)AUDIENCE_LEAVES_MAX);
    arena_done(&arena);
    many(&b, AUDIENCE_LEAVES_MAX + 1);
    expect_fault(b.data, "/rule/all/100");
    buf_clear(&b);
    buf_str(&b, "{\"field\":\"attributes.x\",\"op\":\"in\",\"value\":[1");
    for (int i = 0; i < AUDIENCE_LIST_MAX; i++) buf_str(&b, ",1");
    buf_str(&b, "]}");
    expect_fault(b.data, "/rule/value");
    buf_clear(&b);
    buf_str(&b, "{\"all\":[");
    for (int i = 0; i <= AUDIENCE_VALUES_MAX / AUDIENCE_LIST_MAX; i++) {
        buf_str(&b, i == 0 ? "{\"field\":\"attributes.x\",\"op\":\"in\",\"value\":[1" : ",{\"field\":\"attributes.x\",\"op\":\"in\",\"value\":[1");
        for (int k = 1; k < AUDIENCE_LIST_MAX; k++) buf_str(&b, ",1");
        buf_str(&b, "]}");
    }
    buf_str(&b, "]}");
    expect_fault(b.data, "/rule/all/10/value");
    buf_done(&b);
}

Test(audience_rule, a_condition_is_found_again_by_its_pointer)
{
    struct audience_rule r;
    struct meros_err err = MEROS_ERR_INIT;
    char at[ERR_POINTER_MAX];
    static const char *const where[] = {"/all/1", "/all/2/not/any/0", "/all/2/not/any/1", "/all/3"};
    cr_assert_eq(decode("{\"all\":[{\"all\":[]},{\"event\":\"a\"},{\"not\":{\"any\":[{\"event\":\"b\"},{\"event\":\"c\"}]}},{\"event\":\"d\"}]}", &r, &err), MEROS_OK);
    for (size_t i = 0; i < 4; i++) {
        cr_assert(audience_leaf_pointer(&r, i, at, sizeof at));
        cr_expect_str_eq(at, where[i]);
    }
    cr_expect_not(audience_leaf_pointer(&r, 2, at, 5));
    arena_done(&arena);
}
