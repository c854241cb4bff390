/* Browsers of the shops that the operator names, and no others. */
#include <string.h>
#include "client.h"

static struct instance s;

static struct reply *from(const char *method, const char *path, const char *origin)
{
    const char *const headers[] = {text("Origin: %s", origin), "Access-Control-Request-Method: POST", "Access-Control-Request-Headers: authorization", NULL};
    return call(&(struct call){.method = method, .path = path, .key = strcmp(method, "OPTIONS") == 0 ? "" : NULL, .headers = headers});
}

/* One service for all of it: starting one takes longer than asking. */
Test(cors, origins_that_are_configured_may_call_and_others_may_not)
{
    instance_start(&s, (const char *const[]){"MEROS_CORS_ORIGINS=https://shop.example http://localhost:3000", NULL});
    client_use(&s);
    struct reply *r = from("GET", "/v1/jobs", "https://shop.example");
    expect(r, 200);
    cr_assert_str_eq(header_of(r, "Access-Control-Allow-Origin"), "https://shop.example");
    cr_assert_not_null(strcasestr(header_of(r, "Vary"), "Origin"));
    cr_assert_null(header_of(r, "Access-Control-Allow-Credentials"));
    cr_assert_not_null(strcasestr(header_of(r, "Access-Control-Expose-Headers"), "X-Request-Id"));

    r = from("OPTIONS", "/v1/jobs", "http://localhost:3000");
    expect(r, 204);
    cr_assert_str_eq(header_of(r, "Access-Control-Allow-Origin"), "http://localhost:3000");
    cr_assert_not_null(strstr(header_of(r, "Access-Control-Allow-Methods"), "POST"));
    cr_assert_not_null(strcasestr(header_of(r, "Access-Control-Allow-Headers"), "authorization"));
    cr_assert_not_null(header_of(r, "Access-Control-Max-Age"));

    r = from("GET", "/v1/jobs/job_nope", "https://shop.example");
    expect(r, 404);
    cr_assert_not_null(header_of(r, "Access-Control-Allow-Origin"), "a page must be able to read what went wrong");

    static const char *const others[] = {"https://evil.example", "null", "https://shop.example.evil.example", "https://shop.exampl", "http://shop.example", "https://SHOP.example/"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        r = from("GET", "/v1/jobs", others[i]);
        cr_assert_null(header_of(r, "Access-Control-Allow-Origin"), "%s", others[i]);
        cr_assert_not_null(strcasestr(header_of(r, "Vary"), "Origin"), "a cache must not give one origin's answer to another");
        cr_assert_null(header_of(from("OPTIONS", "/v1/jobs", others[i]), "Access-Control-Allow-Methods"));
    }
    /* What a storefront's page does, with a key that everybody can read: also what is refused it can read. */
    const char *const page[] = {"Origin: https://shop.example", NULL}, *const elsewhere[] = {"Origin: https://evil.example", NULL};
    const char *shop = key_with("recommend");
    r = from("OPTIONS", "/v1/collect", "https://shop.example");
    expect(r, 204);
    cr_assert_not_null(strcasestr(header_of(r, "Access-Control-Allow-Headers"), "content-type"));
    static const struct {
        const char *method, *path, *body;
        int status;
    } asked[] = {{"POST", "/v1/collect", "{\"events\":[],\"recommend\":{}}", 200}, {"POST", "/v1/events", "{\"customer_id\":\"cors-1\",\"type\":\"page_viewed\"}", 200}, {"POST", "/v1/rank", "{\"products\":[\"a\"]}", 200},
                 {"GET", "/v1/customers/anybody/recommendations", NULL, 200}, {"GET", "/v1/products/popular", NULL, 200},
                 {"POST", "/v1/collect", "{", 400}, {"GET", "/v1/customers/anybody", NULL, 403}};
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        struct call c = {.method = asked[i].method, .path = asked[i].path, .body = asked[i].body, .key = shop, .headers = page};
        r = call(&c);
        expect(r, asked[i].status);
        cr_assert_not_null(header_of(r, "Access-Control-Allow-Origin"), "%s", r->what);
        cr_assert_str_eq(header_of(r, "Access-Control-Allow-Origin"), "https://shop.example");
        c.headers = elsewhere;
        cr_assert_null(header_of(call(&c), "Access-Control-Allow-Origin"), "%s", r->what);
    }
    r = call(&(struct call){.method = "GET", .path = "/v1/products/popular", .key = "mk_wrong", .headers = page});
    expect(r, 401);
    cr_assert_not_null(header_of(r, "Access-Control-Allow-Origin"));
    instance_done(&s);
}
