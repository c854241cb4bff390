/* A key that everybody can read because a page holds it: recommendations and events, and nothing else of all there is. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

/* By operationId; dialects whose key comes in the body or the path are asked by their own tests (test_dialects.c) what such a key may. */
static const char *const allowed[] = {
    "postEvents", "collect", "getRecommendations", "postRecommendations", "rankProducts", "getSimilarProducts", "getBoughtTogether",
    "getPopularProducts", "segmentBrowserIdentify", "segmentBrowserTrack", "segmentBrowserPage", "segmentBrowserScreen", "segmentBrowserGroup",
    "segmentBrowserAlias", "segmentBrowserBatch", "segmentIdentify", "segmentTrack", "segmentPage", "segmentScreen", "segmentGroup",
    "segmentAlias", "segmentBatch", "segmentImport", "segmentSettings", "ga4Collect", "ga4Validate", NULL};
static const char *const for_everybody[] = {"getHealth", "getReadiness", "getOpenApi", NULL};

static bool among(const char *const *list, const char *id)
{
    for (size_t i = 0; list[i] != NULL; i++)
        if (strcmp(list[i], id) == 0) return true;
    return false;
}

/* "/v1/customers/{customer_id}" -> "/v1/customers/sf-x" */
static const char *filled(const char *path)
{
    char out[300];
    size_t n = 0;
    for (const char *p = path; *p != '\0' && n + 8 < sizeof out; p++) {
        if (*p != '{') {
            out[n++] = *p;
            continue;
        }
        n += (size_t)sprintf(out + n, "sf-x");
        p = strchr(p, '}');
    }
    out[n] = '\0';
    return text("%s", out);
}

struct asking {
    const char *key;
    size_t asked, let_in;
};

static void ask(void *arg, const struct operation *op)
{
    struct asking *x = arg;
    const bool body = strcmp(op->method, "get") != 0 && strcmp(op->method, "delete") != 0;
    if (strncmp(op->id, "posthog", 7) == 0 || among(for_everybody, op->id)) return;
    char method[8] = "";
    for (size_t i = 0; i + 1 < sizeof method && op->method[i] != '\0'; i++) method[i] = (char)(op->method[i] & ~32);
    struct reply *r = call(&(struct call){.method = method, .path = filled(op->path), .key = x->key, .body = body ? "{}" : NULL, .unchecked = true});
    x->asked++;
    if (among(allowed, op->id)) {
        x->let_in += r->status != 401 && r->status != 403;
        return;
    }
    cr_expect_eq(r->status, 403, "%s (%s %s) was answered %d: %.300s", op->id, op->method, op->path, r->status, r->body);
}

Test(storefront, a_key_that_only_recommends_is_refused_by_everything_else)
{
    struct asking x = {.key = key_with("recommend")};
    openapi_each(client_contract(), ask, &x);
    cr_expect_gt(x.asked, 60, "all operations were asked");
}

Test(storefront, such_a_key_may_send_events_for_customers_and_ask_what_to_show)
{
    const char *key = key_with("recommend");
    expect(call(&(struct call){.method = "POST", .path = "/v1/events", .key = key, .body = "{\"customer_id\":\"sf-1\",\"type\":\"product_viewed\",\"product_id\":\"sf-p\"}"}), 200);
    expect(call(&(struct call){.method = "GET", .path = "/v1/customers/sf-1", .key = key}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/v1/customers/sf-1/events", .key = key}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/v1/products/sf-p/likely-buyers", .key = key}), 403);
    expect(call(&(struct call){.method = "GET", .path = "/v1/recommendations/performance", .key = key}), 403);
}
