/* Customers and products, one by one and in lists. */
#include <stdio.h>
#include <string.h>
#include "client.h"

Test(customers, are_created_then_replaced)
{
    struct reply *r = put("/v1/customers/cu1", "{\"email\":\"cu1@example.org\",\"name\":\"Anna\",\"created_at\":\"2025-03-01T09:00:00+01:00\",\"attributes\":{\"country\":\"DE\",\"age\":41,\"vip\":true,\"tags\":[\"a\",{\"b\":null}]}}");
    expect(r, 201);
    cr_assert_str_eq(text_at(r, "/email"), "cu1@example.org");
    r = get("/v1/customers/cu1");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/created_at"), "2025-03-01T08:00:00Z");
    cr_assert_eq(int_at(r, "/attributes/age"), 41);
    cr_assert(bool_at(r, "/attributes/vip"));
    cr_assert_eq(int_at(r, "/stats/orders"), 0);
    cr_assert(null_at(r, "/stats/recency_days") && null_at(r, "/stats/average_order_value"));
    r = put("/v1/customers/cu1", "{\"attributes\":{\"country\":\"AT\"}}");
    expect(r, 200);
    cr_assert(null_at(r, "/email") && null_at(r, "/name"), "what the body leaves out is forgotten");
    cr_assert_null(at(get("/v1/customers/cu1"), "/attributes/age"));
}

Test(customers, are_patched_member_by_member)
{
    put("/v1/customers/cu2", "{\"email\":\"cu2@example.org\",\"attributes\":{\"a\":1,\"b\":2}}");
    struct reply *r = patch("/v1/customers/cu2", "{\"name\":\"Bob\",\"attributes\":{\"a\":null,\"c\":3}}");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/email"), "cu2@example.org");
    cr_assert_str_eq(text_at(r, "/name"), "Bob");
    cr_assert(at(r, "/attributes/a") == NULL && int_at(r, "/attributes/b") == 2 && int_at(r, "/attributes/c") == 3);
    r = patch("/v1/customers/cu2", "{\"email\":null}");
    cr_assert(null_at(r, "/email") && strcmp(text_at(r, "/name"), "Bob") == 0);
    expect(patch("/v1/customers/cu2-nobody", "{\"name\":\"x\"}"), 404);
}

Test(customers, consent_purpose_by_purpose_and_before_anybody_knows_them)
{
    expect(get("/v1/customers/cc1/consent"), 404);
    struct reply *r = put("/v1/customers/cc1/consent", "{\"profiling\":false,\"marketing\":true}");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/customer_id"), "cc1");
    r = put("/v1/customers/cc1/consent", "{\"marketing\":null,\"sale\":false}");
    expect(r, 200);
    r = get("/v1/customers/cc1/consent");
    expect(r, 200);
    cr_assert(!bool_at(r, "/consent/profiling") && !bool_at(r, "/consent/sale") && at(r, "/consent/marketing") == NULL);
    put("/v1/customers/cc2", "{\"name\":\"Anna\",\"attributes\":{\"a\":1}}");
    expect(put("/v1/customers/cc2/consent", "{\"profiling\":true}"), 200);
    r = get("/v1/customers/cc2");
    cr_assert(bool_at(r, "/consent/profiling") && strcmp(text_at(r, "/name"), "Anna") == 0 && int_at(r, "/attributes/a") == 1);
    expect_fault(put("/v1/customers/cc2/consent", "{\"profiling\":\"no\"}"), 400, "/profiling");
    expect_fault(put("/v1/customers/cc2/consent", "{\"spying\":true}"), 400, "/spying");
    expect(put("/v1/customers/cc2/consent", "{}"), 400);
}

Test(customers, are_erased_with_their_orders_and_events)
{
    put("/v1/customers/cu3", "{\"name\":\"Carl\"}");
    import_("orders", NULL, "order_id,customer_id,ordered_at,amount\ncu3-1,cu3,2026-01-15,10\n");
    import_("events", NULL, "{\"event_id\":\"cu3-e\",\"customer_id\":\"cu3\",\"type\":\"page_viewed\",\"occurred_at\":\"2026-01-15T10:00:00Z\"}\n");
    struct reply *r = delete_("/v1/customers/cu3");
    cr_assert(r->status == 200 || r->status == 204, "%d %s", r->status, r->body);
    expect(get("/v1/customers/cu3"), 404);
    expect(get("/v1/customers/cu3/orders"), 404);
    expect(get("/v1/customers/cu3/events"), 404);
    expect(delete_("/v1/customers/cu3"), 404);
}

Test(customers, ids_are_any_text_of_1_to_200_bytes)
{
    static const char *const ids[][2] = {{"cu4%2Fa%2Fb", "cu4/a/b"}, {"cu4%20x", "cu4 x"}, {"cu4%25", "cu4%"}, {"K%C3%B6ln-cu4", "K\xC3\xB6ln-cu4"}, {"cu4%3Fq%3D1%26", "cu4?q=1&"},
                                         {"cu4%2B+", "cu4++"}, {"..cu4", "..cu4"}, {"cu4%27%22%3B--", "cu4'\";--"}, {"%F0%9F%98%80cu4", "\xF0\x9F\x98\x80" "cu4"}, {"cu4..%5C", "cu4..\\"}};
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        expect(put(text("/v1/customers/%s", ids[i][0]), "{}"), 201);
        struct reply *r = get(text("/v1/customers/%s", ids[i][0]));
        expect(r, 200);
        cr_assert_str_eq(text_at(r, "/customer_id"), ids[i][1]);
    }
    char id[202];
    memset(id, 'c', sizeof id);
    expect(put(text("/v1/customers/%.*s", 200, id), "{}"), 201);
    expect(put(text("/v1/customers/%.*s", 201, id), "{}"), 400);
    static const char *const bad[] = {"a%00b", "%0A", "%FF", "%C2%80", "%7F", "%zz"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect(put(text("/v1/customers/%s", bad[i]), "{}"), 400);
}

Test(customers, wrong_fields_are_pointed_at)
{
    struct reply *r = put("/v1/customers/cu5", "{\"emial\":\"x\",\"name\":7,\"created_at\":\"soon\",\"attributes\":[],\"consent\":{\"marketing\":\"yes\",\"spam\":true}}");
    expect(r, 400);
    cr_assert(has_fault(r, "/emial") && has_fault(r, "/name") && has_fault(r, "/created_at") && has_fault(r, "/attributes"), "%s", r->body);
    cr_assert(has_fault(r, "/consent/marketing") && has_fault(r, "/consent/spam"), "%s", r->body);
    expect(get("/v1/customers/cu5"), 404);
    expect_fault(put("/v1/customers/cu5", "{\"customer_id\":\"other\"}"), 400, "/customer_id");
}

Test(customers, consent_is_kept)
{
    struct reply *r = put("/v1/customers/cu6", "{\"consent\":{\"profiling\":true,\"marketing\":false}}");
    expect(r, 201);
    r = get("/v1/customers/cu6");
    cr_assert(bool_at(r, "/consent/profiling") && !bool_at(r, "/consent/marketing") && at(r, "/consent/sale") == NULL, "%s", r->body);
}

Test(customers, an_order_is_in_the_statistics_once_its_import_is_answered)
{
    import_("orders", NULL, "order_id,customer_id,ordered_at,amount\ncu7-1,cu7,2026-01-10T00:00:00Z,100\n");
    struct reply *r = get("/v1/customers/cu7?at=2026-01-20T00:00:00Z");
    expect(r, 200);
    cr_assert_float_eq(num_at(r, "/stats/recency_days"), 10, 1e-9);
    import_("orders", NULL, "order_id,customer_id,ordered_at,amount\ncu7-2,cu7,2026-01-15T00:00:00Z,50\n");
    r = get("/v1/customers/cu7?at=2026-01-20T00:00:00Z");
    cr_assert_float_eq(num_at(r, "/stats/recency_days"), 5, 1e-9);
    cr_assert_float_eq(num_at(r, "/stats/average_order_value"), 75, 1e-9);
    cr_assert_float_eq(num_at(r, "/stats/tenure_days"), 10, 1e-9);
    expect_fault(get("/v1/customers/cu7?at=whenever"), 400, "?at");
}

/* Follows `next` from a page of `limit` to the end; calls between pages add rows. */
static size_t walk(const char *list, int limit, const char *prefix, char seen[][32], size_t cap, int added)
{
    size_t n = 0;
    const char *cursor = "", *member = strstr(list, "products") != NULL ? "product_id" : "customer_id";
    for (int page = 0; cursor != NULL; page++) {
        struct reply *r = get(text("%s?limit=%d%s", list, limit, cursor));
        expect(r, 200);
        cr_assert_leq(count_at(r, "/data"), (size_t)limit);
        for (size_t i = 0; i < count_at(r, "/data"); i++) {
            const char *id = text_at(r, text("/data/%zu/%s", i, member));
            if (strncmp(id, prefix, strlen(prefix)) != 0) continue;
            for (size_t j = 0; j < n; j++) cr_assert_str_neq(seen[j], id, "%s twice", id);
            cr_assert_lt(n, cap);
            snprintf(seen[n++], 32, "%s", id);
        }
        if (page < added) expect(put(text("%s/late-%s-%d", list, prefix, page), "{}"), 201);
        cursor = null_at(r, "/next") ? NULL : text("&cursor=%s", text_at(r, "/next"));
        cr_assert_lt(page, 3000);
    }
    return n;
}

Test(customers, the_list_misses_and_repeats_nobody_while_customers_are_added)
{
    static char seen[100][32];
    for (int i = 0; i < 45; i++) expect(put(text("/v1/customers/cu8-%02d", i), "{}"), 201);
    cr_assert_eq(walk("/v1/customers", 10, "cu8-", seen, 100, 3), 45);
}

Test(customers, orders_and_events_page_newest_first)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,amount\n");
    for (int i = 0; i < 25; i++) buf_printf(&b, "cu9-%02d,cu9,2026-01-%02dT00:00:00Z,%d\n", i, 1 + i, i);
    expect(import_("orders", NULL, b.data), 200);
    buf_clear(&b);
    for (int i = 0; i < 25; i++) buf_printf(&b, "{\"event_id\":\"cu9-%02d\",\"customer_id\":\"cu9\",\"type\":\"page_viewed\",\"occurred_at\":\"2026-01-%02dT00:00:00Z\"}\n", i, 1 + i % 5);
    expect(import_("events", NULL, b.data), 200);
    buf_done(&b);
    static const char *const lists[] = {"orders", "events"};
    for (int l = 0; l < 2; l++) {
        const char *cursor = "", *last = "9999", *at_name = l == 0 ? "ordered_at" : "occurred_at";
        size_t n = 0;
        while (cursor != NULL) {
            struct reply *r = get(text("/v1/customers/cu9/%s?limit=7%s", lists[l], cursor));
            expect(r, 200);
            for (size_t i = 0; i < count_at(r, "/data"); i++, n++) {
                const char *time = text_at(r, text("/data/%zu/%s", i, at_name));
                cr_assert_leq(strcmp(time, last), 0);
                last = time;
            }
            cursor = null_at(r, "/next") ? NULL : text("&cursor=%s", text_at(r, "/next"));
        }
        cr_assert_eq(n, 25, "%s", lists[l]);
    }
    expect(get("/v1/customers/cu9-nobody/orders"), 404);
}

Test(products, are_created_replaced_listed_and_taken_out)
{
    struct reply *r = put("/v1/products/pr1", "{\"name\":\"Mug\",\"category\":\"Home/Kitchen\",\"price\":7.5,\"attributes\":{\"colour\":\"blue\"}}");
    expect(r, 201);
    r = get("/v1/products/pr1");
    expect(r, 200);
    cr_assert_eq(num_at(r, "/price"), 7.5);
    cr_assert(bool_at(r, "/available"));
    r = put("/v1/products/pr1", "{\"name\":\"Mug\",\"available\":false}");
    expect(r, 200);
    cr_assert(null_at(r, "/price") && !bool_at(r, "/available"));
    import_("orders", NULL, "order_id,customer_id,ordered_at,product_id,amount\npr1-o,pr1-c,2026-01-15,pr1,10\n");
    expect(delete_("/v1/products/pr1"), 204);
    expect(get("/v1/products/pr1"), 404);
    expect(delete_("/v1/products/pr1"), 404);
    cr_assert_eq(num_at(get("/v1/customers/pr1-c"), "/stats/revenue"), 10, "past orders stay");
    expect_fault(put("/v1/products/pr1", "{\"price\":-1}"), 400, "/price");
    expect_fault(put("/v1/products/pr1", "{\"colour\":\"blue\"}"), 400, "/colour");
}

Test(products, the_list_pages)
{
    static char seen[40][32];
    for (int i = 0; i < 12; i++) expect(put(text("/v1/products/pr2-%02d", i), "{}"), 201);
    cr_assert_eq(walk("/v1/products", 5, "pr2-", seen, 40, 2), 12);
}

Test(customers, what_a_key_for_reading_may_not_write)
{
    const char *key = key_with("read");
    expect(call(&(struct call){.method = "PUT", .path = "/v1/customers/cu10", .body = "{}", .key = key}), 403);
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .body = "order_id\n", .type = "text/csv", .key = key}), 403);
}
