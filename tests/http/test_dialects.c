/* What the SDKs of others send is taken as they send it: keys where they put them, answers that they can live with. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "meros/base/crypto.h"

static const struct reply *sent; /* the last answer of send_() */

static struct reply *send_as(const char *path, const char *type, const char *authorization, const char *body)
{
    const char *const headers[] = {authorization, NULL};
    struct reply *r = call(&(struct call){.method = "POST", .path = path, .key = "", .type = type, .body = body,
                                          .headers = authorization != NULL ? headers : NULL});
    sent = r;
    return r;
}

static const char *basic(const char *user, const char *rest)
{
    char raw[200], encoded[300];
    size_t n = (size_t)snprintf(raw, sizeof raw, "%s%s", user, rest), at = 0;
    static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        unsigned v = (unsigned)(unsigned char)raw[i] << 16 | (i + 1 < n ? (unsigned)(unsigned char)raw[i + 1] << 8 : 0) | (i + 2 < n ? (unsigned char)raw[i + 2] : 0);
        encoded[at++] = digits[v >> 18];
        encoded[at++] = digits[v >> 12 & 63];
        encoded[at++] = i + 1 < n ? digits[v >> 6 & 63] : '=';
        encoded[at++] = i + 2 < n ? digits[v & 63] : '=';
    }
    encoded[at] = '\0';
    return text("Authorization: Basic %s", encoded);
}

static const char *track(const char *who, const char *id, const char *more)
{
    return text("{\"userId\":\"%s\",\"event\":\"Clicked\",\"messageId\":\"%s\"%s}", who, id, more);
}

static size_t events_of(const char *who)
{
    struct reply *r = get(text("/v1/customers/%s/events", who));
    return r->status == 404 ? 0 : count_at(r, "/data");
}

/* --- keys */

Test(dialects, a_key_comes_as_user_name_as_token_or_in_the_body)
{
    const char *key = key_with("ingest"), *write_key = text(",\"writeKey\":\"%s\"", key);
    expect(send_as("/v1/track", NULL, basic(key, ":"), track("keys", "1", "")), 200);
    cr_assert_str_eq(sent->body, "{\"success\":true}");
    expect(send_as("/v1/track", NULL, basic(key, ""), track("keys", "2", "")), 200);
    expect(send_as("/v1/track", NULL, text("Authorization: Bearer %s", key), track("keys", "3", "")), 200);
    expect(send_as("/v1/track", NULL, NULL, track("keys", "4", write_key)), 200);
    expect(send_as("/v1/track", NULL, "Authorization: Bearer somebody-elses-token", track("keys", "5", write_key)), 200);
    expect(send_as("/v1/track", "text/plain;charset=UTF-8", NULL, track("keys", "6", write_key)), 200);
    expect(send_as("/v1/track", "application/x-www-form-urlencoded", basic(key, ":"), track("keys", "7", "")), 200);
    cr_assert_eq(events_of("keys"), 7);
}

Test(dialects, a_wrong_key_is_401_and_one_without_the_scope_403)
{
    const char *reader = key_with("read"), *shop = key_with("recommend");
    struct reply *r = send_as("/v1/track", NULL, NULL, track("nobody", "1", ""));
    expect(r, 401);
    cr_assert_not_null(header_of(r, "WWW-Authenticate"));
    expect(send_as("/v1/track", NULL, basic("wrong", ":"), track("nobody", "1", "")), 401);
    expect(send_as("/v1/track", NULL, NULL, track("nobody", "1", ",\"writeKey\":\"wrong\"")), 401);
    expect(send_as("/v1/track", NULL, NULL, track("nobody", "1", text(",\"writeKey\":\"%s\"", reader))), 403);
    expect(send_as("/v1/track", NULL, basic(reader, ":"), track("nobody", "1", "")), 403);
    expect(send_as("/v1/track", NULL, basic(shop, ":"), track("nobody", "1", "")), 403);
    expect(send_as("/mp/collect?api_secret=wrong", NULL, NULL, "{}"), 401);
    expect(send_as("/batch/", NULL, NULL, "{\"api_key\":\"wrong\",\"batch\":[]}"), 401);
    expect(send_as("/flags/?v=2", NULL, NULL, "{\"token\":\"wrong\"}"), 401);
    cr_assert_eq(events_of("nobody"), 0);
}

Test(dialects, the_key_of_a_body_is_known_to_the_access_line_and_in_no_log)
{
    const char *key = key_with("ingest");
    char *log;
    expect(send_as("/v1/track", NULL, NULL, track("quiet", "1", text(",\"writeKey\":\"%s\"", key))), 200);
    expect(send_as(text("/mp/collect?measurement_id=G-1&api_secret=%s", key), NULL, NULL, "{\"client_id\":\"c\",\"events\":[{\"name\":\"x\"}]}"), 204);
    const char *line_of = text("request=%s route=ga4Collect", header_of(sent, "X-Request-Id"));
    struct reply *settings = call(&(struct call){.method = "GET", .path = text("/v1/projects/%s/settings", key), .key = ""});
    expect(settings, 200);
    instance_await_log(client_instance(), line_of, 60); /* a line is written after its answer has gone */
    instance_await_log(client_instance(), text("request=%s route=segmentSettings", header_of(settings, "X-Request-Id")), 60);
    log = instance_log(client_instance(), 0);
    cr_assert_null(strstr(log, key), "a key was logged");
    char *line = strstr(log, line_of);
    cr_assert(line != NULL && strstr(line, "key=key_") != NULL && strstr(line, "key=key_") < strchr(line, '\n'));
    free(log);
}

Test(dialects, a_page_with_a_public_key_may_send_and_ask_for_its_settings)
{
    static const char *const paths[][2] = {{"/v1/t", "track"}, {"/v1/p", "page"}, {"/v1/s", "screen"}};
    const char *shop = key_with("recommend"), *secret = text(",\"writeKey\":\"%s\"", shop);
    for (size_t k = 0; k < 3; k++) expect(send_as(paths[k][0], "text/plain", basic(shop, ":"), track("page", paths[k][1], secret)), 200);
    expect(send_as("/v1/b", "text/plain", NULL, text("{\"batch\":[{\"type\":\"track\",\"anonymousId\":\"page\",\"event\":\"E\",\"messageId\":\"b\"}]%s}", secret)), 200);
    cr_assert_eq(events_of("page"), 4);
    struct reply *r = call(&(struct call){.method = "GET", .path = text("/v1/projects/%s/settings", shop), .key = ""});
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/integrations/Segment.io/apiKey"), shop);
    cr_assert_str_eq(text_at(r, "/integrations/Segment.io/apiHost"), text("127.0.0.1:%d/v1", client_instance()->port));
    expect(call(&(struct call){.method = "GET", .path = "/v1/projects/wrong/settings", .key = ""}), 404);
}

Test(dialects, a_public_key_names_visitors_and_joins_no_two_customers)
{
    const char *shop = key_with("recommend"), *secret = text("\"writeKey\":\"%s\"", shop);
    for (int k = 0; k < 2; k++) {
        const char *who = k == 0 ? "\"userId\":\"pub-known\"" : "\"anonymousId\":\"pub-visitor\"";
        expect(send_as("/v1/track", "application/json", basic(client_instance()->key, ":"), text("{%s,\"event\":\"E\",\"messageId\":\"pub-%d\"}", who, k)), 200);
    }
    expect(send_as("/v1/track", "application/json", basic(client_instance()->key, ":"), "{\"userId\":\"pub-me\",\"event\":\"E\",\"messageId\":\"pub-2\"}"), 200);
    expect(send_as("/v1/a", "text/plain", NULL, text("{\"userId\":\"pub-me\",\"previousId\":\"pub-known\",\"messageId\":\"a1\",%s}", secret)), 200);
    cr_assert_eq(events_of("pub-me"), 1);
    cr_assert_eq(events_of("pub-known"), 1);
    expect(send_as("/v1/a", "text/plain", NULL, text("{\"userId\":\"pub-me\",\"previousId\":\"pub-visitor\",\"messageId\":\"a2\",%s}", secret)), 200);
    cr_assert_eq(events_of("pub-me"), 2);
}

/* --- what is answered */

Test(dialects, one_wrong_message_costs_the_others_nothing_and_can_be_read_about)
{
    const char *batch = "{\"batch\":[{\"type\":\"track\",\"userId\":\"mixed\",\"event\":\"E\",\"messageId\":\"1\"},{\"type\":\"track\",\"event\":\"E\",\"messageId\":\"mixed-2\"},"
                        "{\"type\":\"nonsense\",\"userId\":\"mixed\"},{\"type\":\"track\",\"userId\":\"mixed\",\"event\":\"E\",\"messageId\":\"4\"}]}";
    struct reply *r = post("/v1/batch", batch);
    expect(r, 200);
    cr_assert_str_eq(r->body, "{\"success\":true}");
    cr_assert_str_eq(header_of(r, "X-Meros-Accepted"), "2");
    cr_assert_str_eq(header_of(r, "X-Meros-Rejected"), "2");
    cr_assert_eq(events_of("mixed"), 2);
    r = post("/v1/batch?strict=1", batch);
    expect(r, 200);
    cr_assert_not(bool_at(r, "/success"));
    cr_assert_eq(int_at(r, "/accepted"), 2);
    cr_assert_eq(count_at(r, "/rejected"), 2);
    cr_assert_eq(int_at(r, "/rejected/0/index"), 1);
    cr_assert_str_eq(text_at(r, "/rejected/0/code"), "no_user_anon_id");
    cr_assert_str_eq(text_at(r, "/rejected/1/code"), "unknown_type");
    cr_assert_eq(events_of("mixed"), 2);
    const char *request = header_of(r, "X-Request-Id");
    for (double until = seconds_now() + 60;; pause_ms(50)) {
        bool there = false;
        r = get("/v1/rejections?source=segment&limit=100");
        for (size_t k = 0; k < count_at(r, "/data") && !there; k++)
            there = strcmp(text_at(r, text("/data/%zu/place", k)), "/batch/1") == 0 && !null_at(r, text("/data/%zu/message_id", k)) &&
                    strcmp(text_at(r, text("/data/%zu/message_id", k)), "mixed-2") == 0 && strcmp(text_at(r, text("/data/%zu/request_id", k)), request) == 0;
        if (there) break;
        cr_assert_lt(seconds_now(), until, "the rejection does not show: %s", r->body);
    }
}

Test(dialects, only_json_that_is_none_or_too_much_is_refused_whole)
{
    static char big[600000];
    expect(call(&(struct call){.method = "POST", .path = "/v1/batch", .body = "{\"batch\":[", .type = "text/plain"}), 400);
    expect(call(&(struct call){.method = "POST", .path = "/v1/track", .body = "[]", .type = "text/plain"}), 400);
    memset(big, ' ', sizeof big - 1);
    expect(call(&(struct call){.method = "POST", .path = "/v1/track", .body = big, .n = 33000, .type = "text/plain"}), 413);
    expect(call(&(struct call){.method = "POST", .path = "/v1/batch", .body = big, .n = 520000, .type = "text/plain"}), 413);
    expect(post("/v1/batch", "{\"batch\":[]}"), 200);
}

Test(dialects, a_large_gzipped_batch_of_any_media_type_lands_whole)
{
    char *body = malloc(500000);
    size_t n = (size_t)sprintf(body, "{\"batch\":[");
    for (int k = 0; k < 1000; k++)
        n += (size_t)sprintf(body + n, "%s{\"type\":\"track\",\"userId\":\"heavy\",\"event\":\"E\",\"messageId\":\"%d\",\"properties\":{\"some\":\"text that takes its room, as texts do\",\"n\":%d}}", k > 0 ? "," : "", k, k);
    sprintf(body + n, "]}");
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/batch", .type = "application/x-www-form-urlencoded", .body = body, .gzip = true});
    expect(r, 200);
    cr_assert_str_eq(header_of(r, "X-Meros-Accepted"), "1000");
    r = get("/v1/customers/heavy/events?limit=1000");
    cr_assert_eq(count_at(r, "/data"), 1000);
    free(body);
}

Test(dialects, a_message_that_comes_twice_lands_once)
{
    expect(post("/v1/track", track("twice", "m", "")), 200);
    struct reply *r = post("/v1/track", track("twice", "m", ""));
    expect(r, 200);
    cr_assert_str_eq(header_of(r, "X-Meros-Accepted"), "1");
    cr_assert_eq(events_of("twice"), 1);
}

/* --- each call */

Test(dialects, every_call_of_segment_finds_its_place)
{
    static const char *const suffix[][2] = {{"identify", "i"}, {"group", "g"}, {"alias", "a"}};
    for (int k = 0; k < 2; k++) {
        const char *id = k == 0 ? "calls" : "browser-calls";
        expect(post(text("/v1/%s", suffix[0][k]), text("{\"userId\":\"%s\",\"traits\":{\"email\":\"c@x.io\",\"firstName\":\"Ada\",\"lastName\":\"B\",\"plan\":\"pro\"}}", id)), 200);
        expect(post(text("/v1/%s", suffix[1][k]), text("{\"userId\":\"%s\",\"groupId\":\"g-1\",\"traits\":{\"industry\":\"tea\"}}", id)), 200);
        expect(post("/v1/page", text("{\"anonymousId\":\"%s-visitor\",\"name\":\"Home\",\"messageId\":\"p\"}", id)), 200);
        expect(post("/v1/screen", text("{\"userId\":\"%s\",\"name\":\"Main\",\"messageId\":\"s\"}", id)), 200);
        expect(post(text("/v1/%s", suffix[2][k]), text("{\"userId\":\"%s\",\"previousId\":\"%s-visitor\"}", id, id)), 200);
        struct reply *r = get(text("/v1/customers/%s", id));
        expect(r, 200);
        cr_assert_str_eq(text_at(r, "/email"), "c@x.io");
        cr_assert_str_eq(text_at(r, "/name"), "Ada B");
        cr_assert_str_eq(text_at(r, "/attributes/plan"), "pro");
        cr_assert_str_eq(text_at(r, "/attributes/group/id"), "g-1");
        cr_assert_str_eq(text_at(r, "/attributes/group/industry"), "tea");
        cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1, "the visitor's history comes along");
        cr_assert_eq(events_of(id), 2);
        cr_assert_str_eq(text_at(get(text("/v1/customers/%s-visitor", id)), "/customer_id"), text("%s", id));
    }
}

static void order(const char *event, const char *id, const char *properties)
{
    expect(post("/v1/track", text("{\"userId\":\"buyer\",\"event\":\"%s\",\"messageId\":\"%s\",\"timestamp\":\"2026-01-0%cT10:00:00Z\",\"properties\":%s}", event, id, id[0], properties)), 200);
}

Test(dialects, orders_are_made_changed_refunded_and_cancelled)
{
    order("Order Completed", "1-done", "{\"order_id\":\"o1\",\"total\":27.50,\"subtotal\":22.50,\"revenue\":25.00,\"shipping\":3,\"tax\":2,\"discount\":2.5,\"currency\":\"USD\","
                                       "\"products\":[{\"product_id\":\"507\",\"price\":19,\"quantity\":1},{\"product_id\":\"505\",\"price\":3,\"quantity\":2}]}");
    order("Completed Order", "2-other", "{\"orderId\":\"o2\",\"revenue\":\"10.00\",\"products\":[{\"id\":\"507\",\"price\":\"10\",\"quantity\":1}]}");
    struct reply *r = get("/v1/customers/buyer");
    cr_assert_eq(int_at(r, "/stats/orders"), 2);
    cr_assert_float_eq(num_at(r, "/stats/revenue"), 35, 1e-9);
    order("Order Refunded", "3-back", "{\"order_id\":\"o1\",\"products\":[{\"product_id\":\"505\",\"price\":3,\"quantity\":2}]}");
    order("Order Cancelled", "4-never", "{\"order_id\":\"o2\"}");
    r = get("/v1/customers/buyer");
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    cr_assert_lt(num_at(r, "/stats/revenue"), 25);
    cr_assert_gt(num_at(r, "/stats/revenue"), 0);
    cr_assert_float_eq(num_at(r, "/stats/gross_revenue"), 25, 1e-9);
}

Test(dialects, history_is_imported_with_its_own_times)
{
    expect(post("/v1/import", "{\"sentAt\":\"2026-01-01T00:00:00Z\",\"batch\":[{\"type\":\"track\",\"userId\":\"past\",\"event\":\"E\",\"messageId\":\"1\",\"timestamp\":\"2015-03-01T12:00:00Z\"}]}"), 200);
    cr_assert_str_eq(text_at(get("/v1/customers/past/events"), "/data/0/occurred_at"), "2015-03-01T12:00:00Z");
}

/* --- Google Analytics */

Test(dialects, google_is_answered_204_whatever_it_sends)
{
    const char *key = key_with("ingest"), *path = text("/mp/collect?measurement_id=G-1&api_secret=%s", key);
    struct reply *r = send_as(path, "text/plain", NULL,
                              "{\"client_id\":\"ga-visitor\",\"user_id\":\"ga\",\"user_properties\":{\"plan\":{\"value\":\"pro\"}},\"events\":["
                              "{\"name\":\"page_view\"},{\"name\":\"purchase\",\"params\":{\"transaction_id\":\"ga-1\",\"value\":20,\"items\":[{\"item_id\":\"p1\",\"price\":10,\"quantity\":2}]}},{\"name\":\"9\"}]}");
    expect(r, 204);
    cr_assert_eq(r->n, 0);
    expect(send_as(path, "text/plain", NULL, "nonsense"), 204);
    expect(call(&(struct call){.method = "POST", .path = path, .key = ""}), 204);
    r = get("/v1/customers/ga");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/attributes/plan"), "pro");
    cr_assert_eq(int_at(r, "/stats/orders"), 1);
    cr_assert_float_eq(num_at(r, "/stats/revenue"), 20, 1e-9);
    cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1);
    cr_assert_str_eq(text_at(get("/v1/customers/ga-visitor"), "/customer_id"), "ga");
}

Test(dialects, google_is_told_what_is_wrong_where_it_asks)
{
    const char *path = text("/debug/mp/collect?api_secret=%s", key_with("ingest"));
    struct reply *r = send_as(path, NULL, NULL, "{\"client_id\":\"ga-debug\",\"events\":[{\"name\":\"9\"}]}");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/validationMessages/0/fieldPath"), "events[0].name");
    cr_assert_str_eq(text_at(r, "/validationMessages/0/validationCode"), "NAME_INVALID");
    r = send_as(path, NULL, NULL, "{\"client_id\":\"ga-debug\",\"events\":[{\"name\":\"page_view\"}]}");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/validationMessages"), 0);
    cr_assert_eq(events_of("ga-debug"), 0);
}

/* --- PostHog */

Test(dialects, posthog_sends_with_and_without_a_slash_and_finds_no_flags)
{
    const char *key = key_with("ingest");
    for (int k = 0; k < 2; k++) {
        struct reply *r = send_as(k == 0 ? "/batch/" : "/batch", NULL, NULL,
                                  text("{\"api_key\":\"%s\",\"batch\":[{\"event\":\"Product Viewed\",\"distinct_id\":\"hog\",\"uuid\":\"%d\",\"properties\":{\"product_id\":\"p1\"}}]}", key, k));
        expect(r, 200);
        cr_assert_str_eq(r->body, "{\"status\":1}");
        expect(send_as(k == 0 ? "/flags/?v=2" : "/flags", NULL, NULL, text("{\"token\":\"%s\",\"distinct_id\":\"hog\"}", key)), 200);
    }
    cr_assert_eq(events_of("hog"), 2);
}
