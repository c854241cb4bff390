/* POST /v1/events and POST /v1/campaigns/{name}/outcomes. */
#include <criterion/criterion.h>
#include <stdio.h>
#include "client.h"

#define landed(r, accepted_, duplicates_, rejected_)                                                         \
    do {                                                                                                     \
        struct reply *landed_ = (r);                                                                         \
        expect(landed_, 200);                                                                                \
        cr_assert_eq(int_at(landed_, "/accepted"), (accepted_), "%s", landed_->body);                        \
        cr_assert_eq(int_at(landed_, "/duplicates"), (duplicates_), "%s", landed_->body);                    \
        cr_assert_eq(int_at(landed_, "/rejected"), (rejected_), "%s", landed_->body);                        \
        cr_assert_eq(count_at(landed_, "/errors"), (size_t)(rejected_));                                     \
    } while (0)

Test(events, one_event_is_in_its_customers_statistics_when_the_answer_arrives)
{
    landed(post("/v1/events", "{\"customer_id\":\"ev-one\",\"type\":\"page_viewed\",\"event_id\":\"1\"}"), 1, 0, 0);
    struct reply *r = get("/v1/customers/ev-one");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1);
}

Test(events, the_same_event_lands_once)
{
    const char *one = "{\"customer_id\":\"ev-twice\",\"type\":\"searched\",\"event_id\":\"1\"}";
    landed(post("/v1/events", one), 1, 0, 0);
    landed(post("/v1/events", one), 0, 1, 0);
    landed(post("/v1/events", text("[%s,%s]", one, one)), 0, 2, 0);
    cr_assert_eq(int_at(get("/v1/customers/ev-twice"), "/stats/events/searched/count"), 1);
}

Test(events, an_event_without_id_is_known_by_its_content)
{
    const char *at = "\"occurred_at\":\"2026-01-15T10:30:00Z\"";
    landed(post("/v1/events", text("[{\"customer_id\":\"ev-content\",\"type\":\"searched\",%s,\"properties\":{\"q\":\"a\"}},"
                                   "{\"customer_id\":\"ev-content\",\"type\":\"searched\",%s,\"properties\":{\"q\":\"b\"}},"
                                   "{\"customer_id\":\"ev-content\",\"type\":\"searched\",%s,\"properties\": { \"q\":\"a\"}}]", at, at, at)), 2, 1, 0);
    /* and by the same one in an import */
    struct reply *r = import_("events", "", text("{\"customer_id\":\"ev-content\",\"type\":\"searched\",%s,\"properties\":{ \"q\":\"b\"}}\n", at));
    expect(r, 200);
    cr_assert_eq(int_at(r, "/duplicates"), 1);
}

Test(events, a_bad_event_does_not_keep_its_neighbours_from_landing)
{
    struct call c = {.method = "POST", .path = "/v1/events", .unchecked = true, /* a request that is partly not as documented */
                     .body = "[{\"customer_id\":\"ev-row\",\"type\":\"a\"},{\"type\":\"b\"},7,{\"customer_id\":\"ev-row\",\"type\":\"c\","
                                         "\"occurred_at\":\"yesterday\"},{\"customer_id\":\"ev-row\",\"type\":\"d\",\"color\":1},"
                                         "{\"customer_id\":\"ev-row\",\"type\":\"e\"}]"};
    struct reply *r = call(&c);
    landed(r, 2, 0, 4);
    cr_assert_str_eq(text_at(r, "/errors/0/pointer"), "/1/customer_id");
    cr_assert_str_eq(text_at(r, "/errors/1/pointer"), "/2");
    cr_assert_str_eq(text_at(r, "/errors/2/pointer"), "/3/occurred_at");
    cr_assert_str_eq(text_at(r, "/errors/3/pointer"), "/4/color");
}

Test(events, where_nothing_is_valid_nothing_lands)
{
    expect_fault(post("/v1/events", "{\"customer_id\":\"ev-none\"}"), 400, "/type");
    struct reply *r = post("/v1/events", "[{\"customer_id\":\"ev-none\"},{\"type\":\"a\"}]");
    expect_fault(r, 400, "/0/type");
    expect_fault(r, 400, "/1/customer_id");
    expect(post("/v1/events", "[]"), 400);
    expect(get("/v1/customers/ev-none"), 404);
}

Test(events, a_body_that_is_not_json_is_refused_whole)
{
    static const char *const bodies[] = {
        "{\"customer_id\":\"ev-json\",\"type\":\"a\"", "[{\"customer_id\":\"ev-json\",\"type\":\"a\"}", "[{\"customer_id\":\"ev-json\",\"type\":\"a\"},]",
        "{\"customer_id\":\"ev-json\",\"type\":\"a\"} x", "{\"customer_id\":\"ev-json\",\"type\":\"a\\u0000\"}", "{\"customer_id\":\"ev-json\",\"type\":\"\xff\"}",
        "[{\"customer_id\":\"ev-json\",\"type\":\"a\"},{\"customer_id\":\"ev-json\",\"customer_id\":\"x\",\"type\":\"a\"}]",
        "[{\"customer_id\":\"ev-json\",\"type\":\"a\"} {\"customer_id\":\"ev-json\",\"type\":\"b\"}]"};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) {
        struct reply *r = post("/v1/events", bodies[i]);
        expect(r, 400);
        cr_assert(strstr(r->body, "line 1, column") != NULL, "%s", r->body);
    }
    expect(get("/v1/customers/ev-json"), 404);
}

Test(events, a_thousand_and_one_are_too_many)
{
    char *body = malloc(64 * 1001 + 3), *at = body;
    cr_assert(keep(body));
    for (int i = 0; i < 1001; i++) at += sprintf(at, "%c{\"customer_id\":\"ev-many\",\"type\":\"t%d\"}", i == 0 ? '[' : ',', i);
    strcpy(at, "]");
    expect(post("/v1/events", body), 413);
    expect(get("/v1/customers/ev-many"), 404);
    at = body;
    for (int i = 0; i < 1000; i++) at += sprintf(at, "%c{\"customer_id\":\"ev-many\",\"type\":\"t%d\"}", i == 0 ? '[' : ',', i);
    strcpy(at, "]");
    landed(post("/v1/events", body), 1000, 0, 0);
    landed(post("/v1/events", body), 0, 1000, 0);
}

Test(events, a_storefronts_key_may_send_them_and_a_readers_may_not)
{
    struct call c = {.method = "POST", .path = "/v1/events", .key = key_with("recommend"), .body = "{\"customer_id\":\"ev-scope\",\"type\":\"a\"}"};
    landed(call(&c), 1, 0, 0);
    c.key = key_with("read");
    expect(call(&c), 403);
    c.path = "/v1/campaigns/spring/outcomes", c.body = "{\"customer_id\":\"ev-scope\",\"type\":\"sent\"}", c.key = key_with("recommend");
    expect(call(&c), 403);
}

Test(events, an_idempotency_key_gives_the_first_answer_again)
{
    static const char *const headers[] = {"Idempotency-Key: events-once", NULL};
    struct call c = {.method = "POST", .path = "/v1/events", .body = "{\"customer_id\":\"ev-key\",\"type\":\"a\"}", .headers = headers};
    landed(call(&c), 1, 0, 0);
    struct reply *r = call(&c);
    landed(r, 1, 0, 0);
    cr_assert_str_eq(header_of(r, "Idempotency-Replayed"), "true");
    c.body = "{\"customer_id\":\"ev-key\",\"type\":\"b\"}";
    expect(call(&c), 422);
}

Test(outcomes, land_once_and_belong_to_the_campaign_of_the_path)
{
    const char *path = "/v1/campaigns/spring%20sale/outcomes";
    const char *both = "[{\"customer_id\":\"oc-1\",\"type\":\"sent\",\"variant\":\"a\"},{\"customer_id\":\"oc-1\",\"type\":\"converted\",\"value\":12.5,\"outcome_id\":\"o1\"}]";
    landed(post(path, both), 2, 0, 0);
    landed(post(path, both), 0, 2, 0);
    landed(post("/v1/campaigns/autumn/outcomes", both), 2, 0, 0);
    expect_fault(post(path, "{\"customer_id\":\"oc-1\",\"type\":\"ignored\"}"), 400, "/type");
    expect_fault(post(path, "{\"customer_id\":\"oc-1\",\"type\":\"sent\",\"campaign\":\"autumn\"}"), 400, "/campaign");
    struct reply *r = import_("outcomes", "", "campaign,customer_id,type,value,outcome_id\nspring sale,oc-1,converted,12.5,o1\nspring sale,oc-1,bounced,,\n");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/inserted"), 1);
    cr_assert_eq(int_at(r, "/duplicates"), 1);
}
