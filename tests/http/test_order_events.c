/* Orders that follow from events: told by POST /v1/events, read as orders and statistics. */
#include <criterion/criterion.h>
#include "client.h"

#define TELL(type, id, more)                                                                                 \
    "{\"customer_id\":\"oe-" id "\",\"type\":\"order_" type "\",\"event_id\":\"" type "\",\"occurred_at\":\"2026-01-15T10:30:00Z\"," \
    "\"properties\":{\"order_id\":\"oe-o-" id "\"" more "}}"
#define EXAMPLE                                                                                              \
    ",\"total\":27.50,\"subtotal\":22.50,\"revenue\":25.00,\"shipping\":3,\"tax\":2,\"discount\":2.5,\"currency\":\"USD\"," \
    "\"products\":[{\"product_id\":\"oe-monopoly\",\"price\":19,\"quantity\":1},{\"product_id\":\"oe-uno\",\"price\":3,\"quantity\":2}]"

Test(order_events, a_completed_order_is_there_when_the_answer_arrives)
{
    expect(post("/v1/events", TELL("completed", "done", EXAMPLE)), 200);
    struct reply *r = get("/v1/customers/oe-done/orders");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/data"), 1);
    cr_assert_str_eq(text_at(r, "/data/0/order_id"), "oe-o-done");
    cr_assert_eq(count_at(r, "/data/0/lines"), 2);
    cr_assert_str_eq(text_at(r, "/data/0/lines/1/product_id"), "oe-uno");
    cr_assert_float_eq(num_at(r, "/data/0/revenue"), 25, 1e-9);
    r = get("/v1/customers/oe-done");
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    cr_assert_float_eq(num_at(r, "/stats/revenue"), 25, 1e-9);
    cr_assert_eq(int_at(r, "/stats/events/order_completed/count"), 1);
}

Test(order_events, refunds_and_cancellations_arrive_whenever_they_like)
{
    expect(post("/v1/events", TELL("refunded", "back", ",\"products\":[{\"product_id\":\"oe-uno\",\"quantity\":1}]")), 200);
    cr_assert_eq(count_at(get("/v1/customers/oe-back/orders"), "/data"), 0);
    expect(post("/v1/events", "[" TELL("completed", "back", EXAMPLE) "," TELL("completed", "back", EXAMPLE) "]"), 200);
    cr_assert_float_eq(num_at(get("/v1/customers/oe-back"), "/stats/revenue"), 22, 1e-9);
    expect(post("/v1/events", TELL("cancelled", "back", "")), 200);
    struct reply *r = get("/v1/customers/oe-back");
    cr_assert_eq(int_at(r, "/stats/orders"), 0);
    cr_assert_eq(count_at(get("/v1/customers/oe-back/orders"), "/data"), 0);
}

Test(order_events, an_import_of_events_makes_the_same_orders)
{
    expect(import_("events", "", TELL("completed", "file", EXAMPLE) "\n"), 200);
    cr_assert_float_eq(num_at(get("/v1/customers/oe-file"), "/stats/revenue"), 25, 1e-9);
    expect(post("/v1/events", TELL("completed", "file", EXAMPLE)), 200);
    cr_assert_eq(int_at(get("/v1/customers/oe-file"), "/stats/orders"), 1);
}

Test(order_events, an_order_that_cannot_be_is_refused_with_its_place)
{
    expect_fault(post("/v1/events", TELL("completed", "bad", ",\"products\":[{\"product_id\":\"a\"},{\"price\":-1}]")), 400, "/properties/products/1/price");
    expect_fault(post("/v1/events", "[" TELL("completed", "bad", ",\"revenue\":\"much\"") "]"), 400, "/0/properties/revenue");
    expect(get("/v1/customers/oe-bad"), 404);
}
