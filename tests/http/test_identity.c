/* Who is who, as a site tells it: a visitor browses, logs in, and is one customer under either id. */
#include <criterion/criterion.h>
#include "client.h"

static void tell(const char *path, const char *body)
{
    expect(post(path, body), 200);
}

Test(identity, the_history_of_a_visitor_is_the_customers_after_identify)
{
    expect(post("/v1/events", "{\"customer_id\":\"id-u1\",\"type\":\"order_completed\",\"event_id\":\"1\",\"properties\":{\"order_id\":\"id-o1\",\"revenue\":10}}"), 200);
    tell("/v1/page", "{\"anonymousId\":\"id-a1\",\"messageId\":\"m1\",\"name\":\"Home\"}");
    tell("/v1/track", "{\"anonymousId\":\"id-a1\",\"messageId\":\"m2\",\"event\":\"Order Completed\",\"properties\":{\"order_id\":\"id-o2\",\"revenue\":5}}");
    struct reply *r = get("/v1/customers/id-a1");
    cr_assert_str_eq(text_at(r, "/customer_id"), "id-a1");
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    tell("/v1/identify", "{\"userId\":\"id-u1\",\"anonymousId\":\"id-a1\",\"messageId\":\"m3\",\"traits\":{\"plan\":\"pro\"}}");
    static const char *const ids[] = {"/v1/customers/id-u1", "/v1/customers/id-a1"};
    for (int k = 0; k < 2; k++) {
        r = get(ids[k]);
        expect(r, 200);
        cr_assert_str_eq(text_at(r, "/customer_id"), "id-u1");
        cr_assert_eq(int_at(r, "/stats/orders"), 2);
        cr_assert_float_eq(num_at(r, "/stats/revenue"), 15, 1e-9);
        cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1);
        cr_assert_str_eq(text_at(r, "/attributes/plan"), "pro");
    }
    cr_assert_eq(count_at(get("/v1/customers/id-a1/orders"), "/data"), 2);
}

Test(identity, a_visitor_who_signs_up_keeps_history_and_traits)
{
    tell("/v1/identify", "{\"anonymousId\":\"id-a2\",\"messageId\":\"m1\",\"traits\":{\"source\":\"ad\",\"email\":\"ada@example.com\"}}");
    tell("/v1/page", "{\"anonymousId\":\"id-a2\",\"messageId\":\"m2\"}");
    cr_assert_str_eq(text_at(get("/v1/customers/id-a2"), "/customer_id"), "id-a2");
    tell("/v1/track", "{\"userId\":\"id-u2\",\"anonymousId\":\"id-a2\",\"messageId\":\"m3\",\"event\":\"Signed Up\"}");
    struct reply *r = get("/v1/customers/id-a2");
    cr_assert_str_eq(text_at(r, "/customer_id"), "id-u2");
    cr_assert_str_eq(text_at(r, "/attributes/source"), "ad");
    cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1);
}

Test(identity, the_second_who_logs_in_on_a_shared_device_takes_nothing_over)
{
    tell("/v1/page", "{\"userId\":\"id-u3\",\"anonymousId\":\"id-a3\",\"messageId\":\"m1\"}");
    tell("/v1/page", "{\"userId\":\"id-u4\",\"anonymousId\":\"id-a3\",\"messageId\":\"m2\"}");
    cr_assert_eq(int_at(get("/v1/customers/id-u4"), "/stats/events/page_viewed/count"), 1);
    cr_assert_str_eq(text_at(get("/v1/customers/id-a3"), "/customer_id"), "id-u3");
}

Test(identity, an_alias_makes_one_of_two_and_erasing_by_any_name_erases_all)
{
    tell("/v1/page", "{\"userId\":\"id-u5\",\"messageId\":\"m1\"}");
    tell("/v1/page", "{\"userId\":\"id-u6\",\"messageId\":\"m2\"}");
    tell("/v1/alias", "{\"previousId\":\"id-u5\",\"userId\":\"id-u6\",\"messageId\":\"m3\"}");
    struct reply *r = get("/v1/customers/id-u5");
    cr_assert_str_eq(text_at(r, "/customer_id"), "id-u6");
    cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 2);
    expect(delete_("/v1/customers/id-u5"), 200);
    expect(get("/v1/customers/id-u6"), 404);
}
