/* Idempotency-Key: done once, answered alike. */
#include <stdio.h>
#include <string.h>
#include "client.h"

#define WITH(k) ((const char *const[]){"Idempotency-Key: " k, NULL})

static const char orders[] = "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n"
                             "idem-1,idem-a,2026-01-01,p,1,2.5\nidem-2,idem-b,2026-01-02,q,2,3\n";

static struct reply *post_with(const char *path, const char *const *headers, const char *type, const char *body)
{
    return call(&(struct call){.method = "POST", .path = path, .headers = headers, .type = type, .body = body});
}

Test(idempotency, the_same_request_gets_the_same_answer_and_makes_one_thing)
{
    struct reply *a = post_with("/v1/keys", WITH("same"), NULL, "{\"name\":\"once\",\"scopes\":[\"read\"]}");
    struct reply *b = post_with("/v1/keys", WITH("same"), NULL, "{\"name\":\"once\",\"scopes\":[\"read\"]}");
    expect(a, 201);
    expect(b, 201);
    cr_assert_str_eq(a->body, b->body);
    cr_assert_str_eq(header_of(a, "Location"), header_of(b, "Location"));
    cr_assert_null(header_of(a, "Idempotency-Replayed"));
    cr_assert_str_eq(header_of(b, "Idempotency-Replayed"), "true");
    struct reply *c = post_with("/v1/keys", WITH("other"), NULL, "{\"name\":\"once\",\"scopes\":[\"read\"]}");
    expect(c, 201);
    cr_assert_str_neq(text_at(a, "/id"), text_at(c, "/id"), "another key is another request");
}

Test(idempotency, another_request_with_the_same_key_is_refused)
{
    expect(post_with("/v1/keys", WITH("reused"), NULL, "{\"name\":\"one\",\"scopes\":[\"read\"]}"), 201);
    expect(post_with("/v1/keys", WITH("reused"), NULL, "{\"name\":\"two\",\"scopes\":[\"read\"]}"), 422);
}

Test(idempotency, what_failed_is_not_kept)
{
    expect(post_with("/v1/keys", WITH("mended"), NULL, "{\"name\":\"one\",\"scopes\":[\"wrong\"]}"), 400);
    expect(post_with("/v1/keys", WITH("mended"), NULL, "{\"name\":\"one\",\"scopes\":[\"read\"]}"), 201);
}

Test(idempotency, a_key_is_visible_text_of_at_most_255_bytes)
{
    char longest[300] = "Idempotency-Key: ";
    struct reply *r = post_with("/v1/keys", (const char *const[]){"Idempotency-Key: a b", NULL}, NULL, "{}");
    expect(r, 400);
    cr_assert_not_null(strstr(text_at(r, "/detail"), "Idempotency-Key"));
    memset(longest + 17, 'k', 256);
    expect(post_with("/v1/keys", (const char *const[]){longest, NULL}, NULL, "{}"), 400);
}

Test(idempotency, keys_of_other_principals_do_not_meet)
{
    struct reply *second = post("/v1/keys", "{\"name\":\"second admin\",\"scopes\":[\"admin\"]}");
    expect(second, 201);
    struct reply *a = post_with("/v1/keys", WITH("shared"), NULL, "{\"name\":\"x\",\"scopes\":[\"read\"]}");
    struct reply *b = call(&(struct call){.method = "POST", .path = "/v1/keys", .headers = WITH("shared"), .key = text_at(second, "/key"),
                                          .body = "{\"name\":\"x\",\"scopes\":[\"read\"]}"});
    expect(a, 201);
    expect(b, 201);
    cr_assert_str_neq(text_at(a, "/id"), text_at(b, "/id"));
}

Test(idempotency, a_job_is_queued_once)
{
    struct reply *a = post_with("/v1/jobs", WITH("job"), NULL, "{\"kind\":\"refresh\"}");
    struct reply *b = post_with("/v1/jobs", WITH("job"), NULL, "{\"kind\":\"refresh\"}");
    expect(a, 202);
    expect(b, 202);
    cr_assert_str_eq(text_at(a, "/id"), text_at(b, "/id"));
}

Test(idempotency, a_streamed_import_is_recognised_by_its_content)
{
    struct reply *a = post_with("/v1/imports/orders", WITH("import"), "text/csv", orders);
    expect(a, 200);
    struct reply *b = post_with("/v1/imports/orders", WITH("import"), "text/csv", orders);
    expect(b, 200);
    cr_assert_str_eq(b->body, a->body, "the first answer, not one that counts duplicates");
    cr_assert_str_eq(header_of(b, "Idempotency-Replayed"), "true");
    struct reply *zipped = call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .headers = WITH("import"), .type = "text/csv",
                                               .body = orders, .gzip = true});
    expect(zipped, 200);
    cr_assert_str_eq(zipped->body, a->body, "compressed, it is the same file");
    struct reply *other = post_with("/v1/imports/orders", WITH("import"), "text/csv",
                                    "order_id,customer_id,ordered_at,product_id,quantity,unit_price\nidem-9,idem-never,2026-01-01,p,1,2.5\n");
    expect(other, 422);
    expect(get("/v1/customers/idem-never/orders"), 404);
    expect(post_with("/v1/imports/orders?on_error=abort", WITH("import"), "text/csv", orders), 422);
}

struct slow {
    size_t at;
    int asked;
};

/* At half of the body, while its import waits for the rest, the same request comes a second time (by hand: curl is busy
 * with the first). */
static size_t drip(void *arg, char *to, size_t cap)
{
    struct slow *s = arg;
    size_t whole = strlen(orders), half = whole / 2, left = s->at < half ? half - s->at : whole - s->at;
    if (s->at == half && s->asked++ == 0) {
        const char *request = text("POST /v1/imports/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nConnection: close\r\n"
                                   "Idempotency-Key: slow\r\nContent-Type: text/csv\r\nContent-Length: %zu\r\n\r\n%s",
                                   client_instance()->key, whole, orders);
        pause_ms(300); /* the service has begun with the first half by then */
        const char *answer = raw_exchange(request, strlen(request), 5);
        cr_assert_not_null(strstr(answer, " 409 Conflict"), "%s", answer);
        cr_assert_not_null(strstr(answer, "Retry-After: "), "%s", answer);
    }
    size_t n = left < cap ? left : cap;
    memcpy(to, orders + s->at, n);
    s->at += n;
    return n;
}

Test(idempotency, the_same_request_meanwhile_is_told_to_come_again)
{
    struct slow s = {0};
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .headers = WITH("slow"), .type = "text/csv",
                                          .source = drip, .source_arg = &s});
    expect(r, 200);
    cr_assert_eq(s.asked, 1);
    struct reply *again = post_with("/v1/imports/orders", WITH("slow"), "text/csv", orders);
    expect(again, 200);
    cr_assert_str_eq(again->body, r->body);
}
