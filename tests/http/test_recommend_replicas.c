/* Two services on one database: what is said to one of them is known to the other, and outlives the one that it was said to. */
#include "client.h"
#include "meros/base/clock.h"
#include "pg.h"
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { PRODUCTS = 8, LIMIT_MS = 60000 };
#define KEY_HEX "0707070707070707070707070707070707070707070707070707070707070707"

static struct instance a, b;
static struct pg *db;
static const char *key;

static void begin(void)
{
    db = pg_fresh();
    const char *const env[] = {text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL};
    instance_start(&a, env);
    instance_start(&b, env);
    client_use(&a);
    key = key_with("admin");
    for (int i = 0; i < PRODUCTS; i++) expect(put(text("/v1/products/p%d", i), text("{\"name\":\"product %d\"}", i)), 201);
}

static struct reply *ask(const struct instance *of, const char *query)
{
    client_use(of);
    struct reply *r = call(&(struct call){.method = "GET", .path = text("/v1/customers/c1/recommendations?limit=20%s", query), .key = key});
    expect(r, 200);
    return r;
}

static bool has(const struct reply *r, const char *product)
{
    for (size_t i = 0; i < count_at(r, "/items"); i++)
        if (strcmp(text_at(r, text("/items/%zu/product_id", i)), product) == 0) return true;
    return false;
}

/* Until b's answer has the product, or has it not. Milliseconds. */
static double await(const char *query, const char *product, bool wanted)
{
    const int64_t from = clock_mono_ns();
    for (;;) {
        if (has(ask(&b, query), product) == wanted) break;
        cr_assert_lt(clock_mono_ns() - from, LIMIT_MS * INT64_C(1000000), "%s", product);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return (double)(clock_mono_ns() - from) / 1e6;
}

static void view(const struct instance *at_, const char *product)
{
    client_use(at_);
    expect(call(&(struct call){.method = "POST", .path = "/v1/events", .key = key,
                               .body = text("{\"customer_id\":\"c1\",\"type\":\"product_viewed\",\"product_id\":\"%s\"}", product)}), 200);
}

Test(recommend_replicas, know_within_a_second_or_so_what_another_was_told_also_if_it_was_killed, .timeout = 400)
{
    begin();
    await("", "p7", true); /* products told of by one are recommended by the other */
    view(&a, "p0");
    cr_assert(!has(ask(&a, "&exclude_seen=true"), "p0"), "the one who was told knows at once");
    await("&exclude_seen=true", "p0", false);
    double longest = 0;
    for (int i = 1; i < 4; i++) {
        cr_assert(has(ask(&b, "&exclude_seen=true"), text("p%d", i))); /* in its memory from now on */
        view(&a, text("p%d", i));
        cr_assert(!has(ask(&a, "&exclude_seen=true"), text("p%d", i)));
        const double ms = await("&exclude_seen=true", text("p%d", i), false);
        if (ms > longest) longest = ms;
    }
    cr_log_info("known to the other after %.0f ms at most", longest);

    client_use(&a);
    expect(call(&(struct call){.method = "PUT", .path = "/v1/products/p7", .key = key, .body = "{\"available\":false}"}), 200);
    cr_assert(!has(ask(&a, ""), "p7"));
    await("", "p7", false);

    expect(call(&(struct call){.method = "PUT", .path = "/v1/customers/c1/consent", .key = key, .body = "{\"profiling\":false}"}), 200);
    cr_assert_str_eq(text_at(ask(&b, ""), "/reason_not_personalised"), "consent", "b was told itself");
    client_use(&a);
    for (int64_t from = clock_mono_ns();; nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL)) {
        struct reply *r = ask(&a, "");
        if (!null_at(r, "/reason_not_personalised") && strcmp(text_at(r, "/reason_not_personalised"), "consent") == 0) break;
        cr_assert_lt(clock_mono_ns() - from, LIMIT_MS * INT64_C(1000000));
    }
    client_use(&b);
    expect(call(&(struct call){.method = "PUT", .path = "/v1/customers/c1/consent", .key = key, .body = "{\"profiling\":true}"}), 200);

    cr_assert(has(ask(&b, "&exclude_seen=true"), "p5"));
    view(&a, "p5");
    instance_kill(&a);
    await("&exclude_seen=true", "p5", false);
    client_use(NULL);
    instance_done(&a);
    instance_done(&b);
    pg_done(db);
}
