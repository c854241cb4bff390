/* Events in and recommendations out in one round trip. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "meros/base/clock.h"

static void products(void)
{
    for (int i = 0; i < 6; i++) {
        struct reply *r = put(text("/v1/products/co-%d", i), text("{\"name\":\"Thing %d\",\"category\":\"collected\"}", i));
        cr_assert(r->status == 200 || r->status == 201, "%s", r->body);
    }
}

static bool holds(const struct reply *r, const char *product)
{
    for (size_t i = 0; i < count_at(r, "/recommendations/items"); i++)
        if (strcmp(text_at(r, text("/recommendations/items/%zu/product_id", i)), product) == 0) return true;
    return false;
}

static struct reply *collect(const char *events, const char *recommend)
{
    return post("/v1/collect", text("{\"events\":%s,\"recommend\":%s}", events, recommend));
}

static const char *viewed(const char *who, int product, int i)
{
    return text("{\"event_id\":\"v%d\",\"customer_id\":\"%s\",\"type\":\"product_viewed\",\"product_id\":\"co-%d\"}", i, who, product);
}

#define SHELF "{\"limit\":5,\"category\":\"collected\",\"exclude_seen\":true}"

Test(collect, what_was_done_a_moment_ago_is_in_the_very_answer)
{
    products();
    for (int i = 0; i < 5; i++) {
        struct reply *r = collect(text("[%s]", viewed("co-anna", i, i)), SHELF);
        expect(r, 200);
        cr_assert_eq(int_at(r, "/accepted"), 1);
        cr_assert_str_eq(text_at(r, "/recommendations/customer_id"), "co-anna", "the customer of the last event");
        cr_assert_eq(count_at(r, "/recommendations/items"), 5 - i);
        for (int k = 0; k <= i; k++) cr_assert_not(holds(r, text("co-%d", k)), "co-%d was seen: %s", k, r->body);
    }
    struct reply *again = collect(viewed("co-anna", 0, 0), text("{\"customer_id\":\"co-anna\",\"limit\":1,\"category\":\"collected\"}"));
    expect(again, 200);
    cr_expect(int_at(again, "/accepted") == 0 && int_at(again, "/duplicates") == 1);
    cr_expect_eq(count_at(again, "/recommendations/items"), 1);
}

Test(collect, who_refused_profiling_gets_popular_products_whatever_was_looked_at)
{
    products();
    expect(put("/v1/customers/co-carl/consent", "{\"profiling\":false}"), 200);
    struct reply *r = collect(viewed("co-carl", 1, 1), "{\"recent\":[{\"product_id\":\"co-2\"}],\"limit\":2}");
    expect(r, 200);
    cr_expect_str_eq(text_at(r, "/recommendations/customer_id"), "co-carl");
    cr_expect_str_eq(text_at(r, "/recommendations/reason_not_personalised"), "consent");
}

Test(collect, wrong_events_keep_nothing_from_coming)
{
    products();
    struct reply *r = collect(text("[{\"customer_id\":\"co-bert\"},%s,7]", viewed("co-bert", 1, 1)), SHELF);
    expect(r, 200);
    cr_expect(int_at(r, "/accepted") == 1 && int_at(r, "/rejected") == 2);
    cr_expect_str_eq(text_at(r, "/errors/0/pointer"), "/events/0/type");
    cr_expect_str_eq(text_at(r, "/errors/1/pointer"), "/events/2");
    cr_expect_not(holds(r, "co-1"));
    r = collect("[]", "{\"recent\":[{\"product_id\":\"co-1\"}],\"limit\":2}");
    expect(r, 200);
    cr_expect(null_at(r, "/recommendations/customer_id") && count_at(r, "/recommendations/items") == 2);
    r = collect("{\"customer_id\":\"co-bert\"}", "{}");
    expect(r, 200);
    cr_expect_eq(int_at(r, "/rejected"), 1);
    cr_expect_str_eq(text_at(r, "/errors/0/pointer"), "/events/type");
}

Test(collect, what_cannot_be_asked_for_is_refused_with_pointers_and_nothing_lands)
{
    expect_fault(post("/v1/collect", "{\"recommend\":{}}"), 400, "/events");
    expect_fault(post("/v1/collect", "{\"events\":[]}"), 400, "/recommend");
    expect_fault(post("/v1/collect", "{\"events\":[],\"recommend\":{},\"recommend\":{}}"), 400, "/recommend");
    expect(post("/v1/collect", "{\"events\":[],\"recommend\":{},\"colour\":1}"), 400);
    expect(post("/v1/collect", "[]"), 400);
    expect(post("/v1/collect", "{\"events\":[}"), 400);
    expect_fault(collect(viewed("co-nobody", 1, 1), "{\"limit\":0}"), 400, "/recommend/limit");
    expect_fault(collect(viewed("co-nobody", 1, 1), "{\"recent\":[{}]}"), 400, "/recommend/recent/0/product_id");
    expect_fault(collect(viewed("co-nobody", 1, 1), "{\"exclude\":[\"a\",1]}"), 400, "/recommend/exclude/1");
    expect_fault(collect(viewed("co-nobody", 1, 1), "{\"min_price\":2,\"max_price\":1}"), 400, "/recommend/min_price");
    expect(get("/v1/customers/co-nobody"), 404);
    expect(call(&(struct call){.method = "POST", .path = "/v1/collect", .key = key_with("read"), .body = "{\"events\":[],\"recommend\":{}}"}), 403);
    expect(call(&(struct call){.method = "POST", .path = "/v1/collect", .key = key_with("recommend"), .body = "{\"events\":[],\"recommend\":{}}"}), 200);
}

Test(collect, the_same_under_an_idempotency_key_is_answered_the_same)
{
    products();
    const char *const once[] = {"Idempotency-Key: co-once", NULL};
    struct call c = {.method = "POST", .path = "/v1/collect", .headers = once,
                     .body = text("{\"events\":%s,\"recommend\":" SHELF "}", "{\"customer_id\":\"co-once\",\"type\":\"product_viewed\",\"product_id\":\"co-2\"}")};
    struct reply *first = call(&c), *second = call(&c);
    expect(first, 200);
    expect(second, 200);
    cr_expect_eq(int_at(first, "/accepted"), 1);
    cr_expect_not(holds(first, "co-2"));
    cr_expect_str_eq(first->body, second->body);
}

Test(collect, while_the_database_is_away_there_is_a_shelf_all_the_same)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    products();
    expect(collect(viewed("co-anna", 0, 0), SHELF), 200);
    instance_signal_database(&s, SIGSTOP);
    const double from = seconds_now();
    struct reply *r = collect(viewed("co-anna", 1, 1), "{\"limit\":3}");
    const double took = seconds_now() - from;
    instance_signal_database(&s, SIGCONT);
    expect(r, 503);
    cr_expect_lt(took, 6.5, "one patience for both, not that of events and then that of a shelf: %.1f s", took);
    cr_expect_not(bool_at(r, "/recommendations/stale"), "what did not land is not missing");
    cr_expect_not_null(header_of(r, "Retry-After"));
    cr_expect_str_eq(r->type, "application/problem+json");
    cr_expect_eq(count_at(r, "/recommendations/items"), 3);
    for (double end = seconds_now() + 60; seconds_now() < end; pause_ms(100)) {
        r = collect(viewed("co-anna", 1, 1), SHELF);
        if (r->status == 200) break;
    }
    expect(r, 200);
    cr_expect_eq(int_at(r, "/accepted") + int_at(r, "/duplicates"), 1);
    cr_expect_not(holds(r, "co-1"));
    client_use(NULL);
    instance_done(&s);
}

Test(collect, what_cannot_be_read_again_is_given_and_said_to_be_stale)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    products();
    expect(collect(viewed("co-anna", 0, 0), SHELF), 200);
    struct reply *r = get("/v1/customers/co-anna/recommendations?limit=2");
    expect(r, 200);
    cr_expect_not(bool_at(r, "/stale"));
    /* A product that nobody has heard of: the shelf that is in memory is out of date, and is read again by the next question. */
    expect(post("/v1/events", "{\"customer_id\":\"co-anna\",\"type\":\"product_viewed\",\"product_id\":\"co-fresh\"}"), 200);
    instance_signal_database(&s, SIGSTOP);
    struct reply *stale = get("/v1/customers/co-anna/recommendations?limit=2");
    struct reply *ranked = post("/v1/rank", "{\"customer_id\":\"co-anna\",\"products\":[\"co-1\",\"co-2\"]}");
    struct reply *both = collect(viewed("co-anna", 1, 1), "{\"limit\":3}");
    struct reply *unknown = get("/v1/customers/co-nobody/recommendations?limit=2");
    instance_signal_database(&s, SIGCONT);
    expect(stale, 200);
    cr_expect(bool_at(stale, "/stale"), "%s", stale->body);
    cr_expect_eq(count_at(stale, "/items"), 2);
    expect(ranked, 200);
    cr_expect(bool_at(ranked, "/stale"), "%s", ranked->body);
    expect(both, 503);
    cr_expect(bool_at(both, "/recommendations/stale"), "%s", both->body);
    expect(unknown, 200);
    cr_expect_str_eq(text_at(unknown, "/reason_not_personalised"), "database_away");
    cr_expect_not(bool_at(unknown, "/stale"));
    for (double end = seconds_now() + 60; seconds_now() < end; pause_ms(100)) {
        r = get("/v1/customers/co-anna/recommendations?limit=2");
        expect(r, 200);
        if (!bool_at(r, "/stale") && strcmp(text_at(r, "/reason_not_personalised"), "database_away") != 0) break;
    }
    cr_expect_not(bool_at(r, "/stale"), "%s", r->body);
    client_use(NULL);
    instance_done(&s);
}
