/* What was not taken can be read. */
#include <string.h>
#include "client.h"

Test(rejections, need_a_key_that_reads_or_sends)
{
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections", .key = ""}), 401);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections", .key = key_with("train")}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections?limit=1", .key = key_with("ingest")}), 200);
    expect(call(&(struct call){.method = "GET", .path = "/v1/rejections?source=segment", .key = key_with("read")}), 200);
    expect_fault(get("/v1/rejections?source=nowhere"), 400, "?source");
}

Test(rejections, tell_of_events_that_were_wrong_newest_first_a_page_at_a_time)
{
    struct instance s; /* of its own: others are refused something, too */
    instance_start(&s, NULL);
    client_use(&s);
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/events", .unchecked = true, .body = "[{\"customer_id\":\"rej\",\"type\":\"x\"},{\"type\":\"x\"},{\"customer_id\":\"rej\",\"type\":\"x\",\"value\":\"many\"}]"});
    expect(r, 200);
    const char *request = header_of(r, "X-Request-Id");
    for (double until = seconds_now() + 60;; pause_ms(50)) {
        r = get("/v1/rejections?source=events&limit=2");
        size_t n = count_at(r, "/data");
        if (n == 2 && strcmp(text_at(r, "/data/0/request_id"), request) == 0) break;
        cr_assert_lt(seconds_now(), until, "the rejections do not show: %s", r->body);
    }
    cr_assert_str_eq(text_at(r, "/data/0/place"), "/2/value");
    cr_assert_str_eq(text_at(r, "/data/1/place"), "/1/customer_id");
    r = get("/v1/rejections?source=events&limit=1");
    cr_assert_str_eq(text_at(r, "/data/0/place"), "/2/value");
    r = get(text("/v1/rejections?source=events&limit=1&cursor=%s", text_at(r, "/next")));
    cr_assert_str_eq(text_at(r, "/data/0/place"), "/1/customer_id");
    cr_assert_null(strstr(r->body, "many"), "what was sent is not kept");
    cr_assert_not_null(strstr(get("/metrics")->body, "meros_rejections_total{source=\"events\"}"));
    instance_done(&s);
}
