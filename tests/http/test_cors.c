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

    static const char *const others[] = {"https://evil.example", "null", "https://shop.example.evil.example", "http://shop.example", "https://SHOP.example/"};
    for (size_t i = 0; i < sizeof others / sizeof others[0]; i++) {
        r = from("GET", "/v1/jobs", others[i]);
        cr_assert_null(header_of(r, "Access-Control-Allow-Origin"), "%s", others[i]);
        cr_assert_not_null(strcasestr(header_of(r, "Vary"), "Origin"), "a cache must not give one origin's answer to another");
        cr_assert_null(header_of(from("OPTIONS", "/v1/jobs", others[i]), "Access-Control-Allow-Methods"));
    }
    instance_done(&s);
}
