/* Two services on one database: what is said to one of them is known to the other, and outlives the one that it was said to. */
#include "client.h"
#include "meros/base/clock.h"
#include "pg.h"
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PRODUCTS = 8, LIMIT_MS = 60000 };
#define KEY_HEX "0707070707070707070707070707070707070707070707070707070707070707"

static struct instance a, b;
static struct pg *db;
static const char *key;

/* more_of_b: what b's connections say besides. */
static void begin(const char *more_of_b)
{
    db = pg_fresh();
    instance_start(&a, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL});
    instance_start(&b, (const char *const[]){text("MEROS_DATABASE_URL=%s%s", db->url, more_of_b), "MEROS_PII_KEY=" KEY_HEX, NULL});
    client_use(&a);
    key = key_with("admin");
    for (int i = 0; i < PRODUCTS; i++) expect(put(text("/v1/products/p%d", i), text("{\"name\":\"product %d\"}", i)), 201);
}

static void end(void)
{
    client_use(NULL);
    instance_done(&a);
    instance_done(&b);
    pg_done(db);
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
    begin("");
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
    end();
}

/* --- rules and experiments */

static void tell(const char *method, const char *what, const char *body)
{
    client_use(&a);
    struct reply *r = call(&(struct call){.method = method, .path = text("/v1/recommendations/%s", what), .key = key, .body = body});
    cr_assert(r->status == 200 || r->status == 201 || r->status == 204, "%s: %d %s", r->what, r->status, r->body);
}

static bool is_first(const struct reply *r, const char *product)
{
    return strcmp(text_at(r, "/items/0/product_id"), product) == 0;
}

static bool has_promoted(const struct reply *r, const char *product)
{
    for (size_t i = 0; i < count_at(r, "/items"); i++)
        if (strcmp(text_at(r, text("/items/%zu/reason/type", i)), "promoted") == 0) return strcmp(text_at(r, text("/items/%zu/product_id", i)), product) == 0;
    return false;
}

static bool is_of_experiment(const struct reply *r, const char *name)
{
    return !null_at(r, "/experiment") && strcmp(text_at(r, "/experiment/name"), name) == 0;
}

/* Who was told obeys in its next answer, and the other before long. */
static void both_obey(bool (*holds)(const struct reply *r, const char *what), const char *what, bool wanted)
{
    cr_assert_eq(holds(ask(&a, ""), what), wanted, "%s: who was told knows at once", what);
    const int64_t from = clock_mono_ns();
    while (holds(ask(&b, ""), what) != wanted) {
        cr_assert_lt(clock_mono_ns() - from, LIMIT_MS * INT64_C(1000000), "%s: the other was never told", what);
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    cr_log_info("%s: obeyed by the other after %.0f ms", what, (double)(clock_mono_ns() - from) / 1e6);
}

/* Each change alone, so that none is learned of by the way. */
static void every_change_is_obeyed(void)
{
    tell("PUT", "rules/no", "{\"kind\":\"block\",\"products\":[\"p1\"]}");
    both_obey(has, "p1", false);
    tell("PUT", "rules/no", "{\"kind\":\"block\",\"products\":[\"p2\"]}");
    both_obey(has, "p2", false);
    cr_assert(has(ask(&b, ""), "p1"), "the rule is another one now");
    tell("PUT", "rules/top", "{\"kind\":\"pin\",\"products\":[\"p3\"],\"place\":1}");
    both_obey(is_first, "p3", true);
    tell("PUT", "rules/push", "{\"kind\":\"promote\",\"products\":[\"p4\"],\"share\":0.2}");
    both_obey(has_promoted, "p4", true);
    tell("PUT", "experiment", "{\"name\":\"spring\",\"arms\":[\"popular\",\"trending\"]}");
    both_obey(is_of_experiment, "spring", true);
    cr_assert_str_eq(text_at(ask(&a, ""), "/experiment/arm"), text_at(ask(&b, ""), "/experiment/arm"), "one customer, one arm, whoever answers");
    tell("PUT", "experiment", "{\"name\":\"summer\",\"arms\":[\"popular\",\"trending\"],\"mode\":\"interleave\"}");
    both_obey(is_of_experiment, "summer", true);
}

static void every_end_is_obeyed(void)
{
    tell("DELETE", "experiment", NULL);
    both_obey(is_of_experiment, "summer", false);
    tell("DELETE", "rules/push", NULL);
    both_obey(has_promoted, "p4", false);
    tell("DELETE", "rules/top", NULL);
    both_obey(is_first, "p3", false);
    tell("DELETE", "rules/no", NULL);
    both_obey(has, "p2", true);
}

Test(recommend_replicas, obey_rules_and_experiments_that_another_was_told_of_also_if_they_were_cut_off, .timeout = 400)
{
    /* b has a name of its own at the database, by which it can be shut out. It is a superuser as the other is. */
    const char *const role = text("other_%d", (int)getpid());
    struct pg *beside = pg_empty();
    pg_run(beside, text("create role %s superuser login", role));
    begin(text(" user=%s", role));
    await("", "p7", true);
    every_change_is_obeyed();
    every_end_is_obeyed();

    cr_assert_gt(pg_int(beside, text("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '%s' and query ilike 'listen %%'", role)), 0);
    every_change_is_obeyed(); /* the first while nobody listens, or just before or after */

    /* Shut out, it goes by what it knew; what was said meanwhile it learns when it is let in again. */
    pg_run(beside, text("alter role %s nologin", role));
    cr_assert_gt(pg_int(beside, text("select count(pg_terminate_backend(pid)) from pg_stat_activity where usename = '%s'", role)), 0);
    tell("PUT", "rules/no", "{\"kind\":\"block\",\"products\":[\"p5\"]}");
    tell("PUT", "rules/top", "{\"kind\":\"pin\",\"products\":[\"p6\"],\"place\":1}");
    tell("DELETE", "experiment", NULL);
    cr_assert_not(has(ask(&a, ""), "p5"));
    cr_assert(has(ask(&b, ""), "p5") && is_first(ask(&b, ""), "p3") && is_of_experiment(ask(&b, ""), "summer"));
    pg_run(beside, text("alter role %s login", role));
    both_obey(has, "p5", false);
    both_obey(is_first, "p6", true);
    both_obey(is_of_experiment, "summer", false);
    end();
    pg_run(beside, text("drop role %s", role));
    pg_done(beside);
}
