/* Audiences: rules with names, who is in them, and why. */
#include <stdio.h>
#include <string.h>
#include "client.h"
#include "pg.h"

#define AUDIENCES "/v1/audiences"
#define KEY_HEX "0707070707070707070707070707070707070707070707070707070707070707"

/* Customers of a test's own: what it asks for is of those alone. */
static void make_customers(const char *shop)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    for (int i = 0; i < 30; i++)
        buf_printf(&b, "{\"customer_id\":\"%s-%02d\",\"shop\":\"%s\",\"age\":%d,\"zip\":\"%d\",\"tags\":[\"t%d\",\"all\"],\"born\":\"%d-02-03\"}\n", shop, i, shop, 20 + i,
                   1000 + i, i % 3, 1970 + i);
    struct reply *r = import_("customers", "", b.data);
    expect(r, 200);
    cr_assert_eq(int_at(r, "/inserted"), 30);
    buf_done(&b);
}

static struct reply *preview(const char *shop, const char *rule)
{
    return post(AUDIENCES "/preview", text("{\"rule\":{\"all\":[{\"field\":\"attributes.shop\",\"op\":\"=\",\"value\":\"%s\"},%s]}}", shop, rule));
}

static void expect_preview(const char *shop, const char *rule, int64_t customers)
{
    struct reply *r = preview(shop, rule);
    expect(r, 200);
    cr_assert_eq(int_at(r, "/customers"), customers, "%lld, not %lld: %s", (long long)int_at(r, "/customers"), (long long)customers, rule);
    cr_assert_eq((int64_t)count_at(r, "/sample"), customers < 10 ? customers : 10);
}

static bool named(struct reply *customer, const char *audience)
{
    expect(customer, 200);
    for (size_t i = 0; i < count_at(customer, "/audiences"); i++)
        if (strcmp(text_at(customer, text("/audiences/%zu", i)), audience) == 0) return true;
    return false;
}

Test(audiences, are_made_shown_listed_replaced_and_deleted)
{
    struct reply *made = put(AUDIENCES "/au-one", "{\"rule\":{\"field\":\"stats.orders\",\"op\":\">=\",\"value\":2},\"description\":\"Twice\"}");
    expect(made, 201);
    cr_assert_str_eq(text_at(made, "/name"), "au-one");
    cr_assert_str_eq(text_at(made, "/description"), "Twice");
    cr_assert_str_eq(text_at(made, "/rule/op"), ">=");
    struct reply *same = put(AUDIENCES "/au-one", "{\"description\":\"Twice\",\"rule\":{\"value\":2.0,\"op\":\">=\",\"field\":\"stats.orders\"}}");
    expect(same, 200);
    cr_assert_str_eq(text_at(same, "/changed_at"), text_at(made, "/changed_at"), "it is the same rule");
    struct reply *again = put(AUDIENCES "/au-one", "{\"rule\":{\"not\":{\"event\":\"searched\"}}}");
    expect(again, 200);
    cr_assert(null_at(again, "/description"), "replaced, not merged");
    cr_assert_eq(int_at(again, "/rule/not/count/>="), 1, "what was left out is said");
    cr_assert_str_neq(text_at(again, "/changed_at"), text_at(made, "/changed_at"));
    cr_assert_str_eq(text_at(again, "/created_at"), text_at(made, "/created_at"));
    struct reply *seen = get(AUDIENCES "/au-one");
    expect(seen, 200);
    cr_assert_str_eq(text_at(seen, "/rule/not/event"), "searched");
    expect(put(AUDIENCES "/au-two", "{\"rule\":{\"all\":[]}}"), 201);
    struct reply *page = get(AUDIENCES "?limit=1");
    expect(page, 200);
    bool found = false;
    for (int i = 0; i < 60 && !found; i++) {
        found = strcmp(text_at(page, "/data/0/name"), "au-two") == 0;
        cr_assert(found || !null_at(page, "/next"));
        if (!found) page = get(text(AUDIENCES "?limit=1&cursor=%s", text_at(page, "/next")));
    }
    expect(delete_(AUDIENCES "/au-one"), 204);
    expect(delete_(AUDIENCES "/au-two"), 204);
    expect(get(AUDIENCES "/au-one"), 404);
    expect(get(AUDIENCES "/au-one/summary"), 404);
    expect(get(AUDIENCES "/au-one/customers"), 404);
    expect(get(AUDIENCES "/au-one/recommendations"), 404);
    expect(get(AUDIENCES "/au-one/customers/nobody"), 404);
    expect(delete_(AUDIENCES "/au-one"), 404);
}

Test(audiences, rules_are_refused_where_they_are_wrong)
{
    expect_fault(put(AUDIENCES "/au-wrong", "{}"), 400, "/rule");
    expect_fault(put(AUDIENCES "/au-wrong", "[]"), 400, "");
    expect_fault(put(AUDIENCES "/au-wrong", "{\"rule\":{\"all\":[]},\"colour\":1}"), 400, "/colour");
    expect_fault(put(AUDIENCES "/au-wrong", "{\"rule\":{\"all\":[]},\"description\":7}"), 400, "/description");
    expect_fault(put(AUDIENCES "/au-wrong", "{\"rule\":{\"all\":[{\"field\":\"stats.orders\",\"op\":\"like\",\"value\":1}]}}"), 400, "/rule/all/0/op");
    expect_fault(post(AUDIENCES "/preview", "{\"rule\":{\"any\":[{\"field\":\"stats.nothing\",\"op\":\"=\",\"value\":1}]}}"), 400, "/rule/any/0/field");
    expect_fault(post(AUDIENCES "/preview", "{\"rule\":{\"field\":\"scores.churn\",\"op\":\">\",\"value\":0.5}}"), 400, "/rule/field");
    expect_fault(post(AUDIENCES "/preview", "{\"rule\":{\"all\":[]},\"limit\":3}"), 400, "/limit");
    expect_fault(post(AUDIENCES "/preview", "{\"limit\":3}"), 400, "/rule");
    /* Both of a wrong rule and what stands beside it are told. */
    struct reply *both = put(AUDIENCES "/au-wrong", "{\"rule\":{\"event\":\"\"},\"colour\":1}");
    expect_fault(both, 400, "/rule/event");
    expect_fault(both, 400, "/colour");
    expect(post(AUDIENCES "/preview", "{\"rule\":{\"field\":\"attributes.x\",\"op\":\"=\",\"value\":\"a\\u0000b\"}}"), 400);
    struct buf deep;
    buf_init(&deep, 1 << 20);
    buf_str(&deep, "{\"rule\":");
    for (int i = 0; i < 11; i++) buf_str(&deep, "{\"not\":");
    buf_str(&deep, "{\"all\":[]}");
    for (int i = 0; i < 12; i++) buf_char(&deep, '}');
    expect(post(AUDIENCES "/preview", deep.data), 400);
    buf_done(&deep);
    expect(get(AUDIENCES "/au-wrong"), 404);
}

Test(audiences, a_preview_counts_whom_a_rule_means)
{
    make_customers("aup");
    expect_preview("aup", "{\"all\":[]}", 30);
    expect_preview("aup", "{\"field\":\"attributes.age\",\"op\":\"<\",\"value\":25}", 5);
    expect_preview("aup", "{\"field\":\"attributes.zip\",\"op\":\"between\",\"value\":[1000,1003]}", 4); /* text that is a number */
    expect_preview("aup", "{\"field\":\"attributes.zip\",\"op\":\"starts_with\",\"value\":\"101\"}", 10);
    expect_preview("aup", "{\"field\":\"attributes.tags\",\"op\":\"contains\",\"value\":\"t1\"}", 10);
    expect_preview("aup", "{\"field\":\"attributes.born\",\"op\":\"before\",\"value\":\"1980-02-03\"}", 10);
    expect_preview("aup", "{\"field\":\"attributes.age\",\"op\":\"in\",\"value\":[20,21,99]}", 2);
    expect_preview("aup", "{\"field\":\"attributes.age\",\"op\":\"not_in\",\"value\":[20,21,99]}", 28);
    expect_preview("aup", "{\"field\":\"attributes.nothing\",\"op\":\"!=\",\"value\":\"x\"}", 30);
    expect_preview("aup", "{\"field\":\"attributes.nothing\",\"op\":\"exists\"}", 0);
    expect_preview("aup", "{\"field\":\"stats.recency_days\",\"op\":\"<\",\"value\":10000}", 0);
    expect_preview("aup", "{\"field\":\"segments.nowhere\",\"op\":\"=\",\"value\":\"s1\"}", 0);
    expect_preview("aup", "{\"field\":\"attributes.x\\\"') or true; drop table customers; --\",\"op\":\"=\",\"value\":\"' or ''='\"}", 0);
    expect_preview("aup", "{\"any\":[{\"field\":\"attributes.age\",\"op\":\"=\",\"value\":20},{\"not\":{\"field\":\"attributes.age\",\"op\":\"<=\",\"value\":47}}]}", 3);
    struct buf list;
    buf_init(&list, 1 << 20);
    buf_str(&list, "{\"field\":\"attributes.zip\",\"op\":\"in\",\"value\":[\"1005\"");
    for (int i = 1; i < 1000; i++) buf_printf(&list, ",\"%d\"", 100000 + i);
    buf_str(&list, "]}");
    expect_preview("aup", list.data, 1);
    buf_done(&list);
}

Test(audiences, follow_the_last_commit_for_one_and_for_all)
{
    make_customers("auf");
    const char *rule = "{\"rule\":{\"all\":[{\"field\":\"attributes.shop\",\"op\":\"=\",\"value\":\"auf\"},"
                       "{\"event\":\"product_viewed\",\"count\":{\">=\":2},\"within_days\":7,\"where\":{\"category\":\"auf garden\"}}]}}";
    expect(import_("products", "", "product_id,category\nauf-p,auf garden/tools\nauf-q,auf gardening\n"), 200);
    expect(put(AUDIENCES "/au-viewers", rule), 201);
    cr_assert_not(named(get("/v1/customers/auf-03"), "au-viewers"));
    for (int i = 0; i < 2; i++) {
        expect(post("/v1/events", text("[{\"customer_id\":\"auf-03\",\"type\":\"product_viewed\",\"product_id\":\"auf-p\",\"event_id\":\"auf-%d\"},"
                                       "{\"customer_id\":\"auf-04\",\"type\":\"product_viewed\",\"product_id\":\"auf-q\",\"event_id\":\"auf-q%d\"}]", i, i)), 200);
        cr_assert_eq(named(get("/v1/customers/auf-03"), "au-viewers"), i == 1);
        struct reply *all = get(AUDIENCES "/au-viewers/customers");
        expect(all, 200);
        cr_assert_eq(count_at(all, "/data"), (size_t)i);
    }
    cr_assert_not(named(get("/v1/customers/auf-04"), "au-viewers"));
    cr_assert(null_at(get("/v1/customers/auf-03?at=2020-01-01"), "/audiences"), "the past is not known");
    struct reply *sum = get(AUDIENCES "/au-viewers/summary");
    expect(sum, 200);
    cr_assert_eq(int_at(sum, "/customers"), 1);
    cr_assert_str_eq(text_at(sum, "/sample/0"), "auf-03");
    /* Nothing is left of who is erased. */
    expect(delete_("/v1/customers/auf-03"), 200);
    cr_assert_eq(int_at(get(AUDIENCES "/au-viewers/summary"), "/customers"), 0);
    expect(get(AUDIENCES "/au-viewers/customers/auf-03"), 404);
    expect(delete_(AUDIENCES "/au-viewers"), 204);
    cr_assert_not(named(get("/v1/customers/auf-04"), "au-viewers"));
}

Test(audiences, members_come_in_pages)
{
    make_customers("aug");
    expect(put(AUDIENCES "/au-pages", "{\"rule\":{\"all\":[{\"field\":\"attributes.shop\",\"op\":\"=\",\"value\":\"aug\"},{\"field\":\"attributes.age\",\"op\":\">=\",\"value\":25}]}}"), 201);
    size_t n = 0;
    const char *path = AUDIENCES "/au-pages/customers?limit=10", *last = "";
    while (path != NULL) {
        struct reply *r = get(path);
        expect(r, 200);
        for (size_t i = 0; i < count_at(r, "/data"); i++, n++) {
            const char *id = text_at(r, text("/data/%zu/customer_id", i));
            cr_assert_gt(strcmp(id, last), 0, "each once");
            last = id;
        }
        path = null_at(r, "/next") ? NULL : text(AUDIENCES "/au-pages/customers?limit=10&cursor=%s", text_at(r, "/next"));
    }
    cr_assert_eq(n, 25);
    expect_fault(get(AUDIENCES "/au-pages/customers?cursor=x"), 400, "?cursor");
    expect(delete_(AUDIENCES "/au-pages"), 204);
}

Test(audiences, say_why_somebody_is_in_and_why_not)
{
    make_customers("auw");
    expect(put("/v1/customers/auw-07/consent", "{\"marketing\":false}"), 200);
    expect(put(AUDIENCES "/au-why", "{\"rule\":{\"all\":[{\"field\":\"attributes.shop\",\"op\":\"=\",\"value\":\"auw\"},"
                                    "{\"not\":{\"field\":\"consent.marketing\",\"op\":\"=\",\"value\":false}},"
                                    "{\"any\":[{\"field\":\"attributes.tags\",\"op\":\"contains\",\"value\":\"t1\"},{\"event\":\"searched\"}]}]}}"), 201);
    struct reply *out = get(AUDIENCES "/au-why/customers/auw-07");
    expect(out, 200);
    cr_assert_not(bool_at(out, "/in"));
    cr_assert_eq(count_at(out, "/reasons"), 1);
    cr_assert_str_eq(text_at(out, "/reasons/0/pointer"), "/all/1/not");
    cr_assert_str_eq(text_at(out, "/reasons/0/condition/field"), "consent.marketing");
    cr_assert_not(bool_at(out, "/reasons/0/value"));
    cr_assert(bool_at(out, "/reasons/0/met"));
    struct reply *in = get(AUDIENCES "/au-why/customers/auw-01");
    expect(in, 200);
    cr_assert(bool_at(in, "/in"));
    cr_assert_eq(count_at(in, "/reasons"), 3, "the search did not decide");
    cr_assert(null_at(in, "/reasons/1/value"));
    cr_assert_str_eq(text_at(in, "/reasons/2/value/0"), "t1");
    struct reply *neither = get(AUDIENCES "/au-why/customers/auw-02");
    expect(neither, 200);
    cr_assert_eq(count_at(neither, "/reasons"), 2, "either would have done");
    cr_assert_eq(int_at(neither, "/reasons/1/value"), 0, "searches");
    expect(get(AUDIENCES "/au-why/customers/nobody-of-this-name"), 404);
    expect(delete_(AUDIENCES "/au-why"), 204);
}

Test(audiences, what_they_want_most_is_told)
{
    make_customers("aur");
    expect(import_("orders", "", "order_id,customer_id,ordered_at,product_id,quantity,unit_price\naur-1,aur-01,2026-01-01,aur-p,1,5\n"), 200);
    expect(put(AUDIENCES "/au-wants", "{\"rule\":{\"field\":\"attributes.shop\",\"op\":\"=\",\"value\":\"aur\"}}"), 201);
    struct reply *r = get(AUDIENCES "/au-wants/recommendations?limit=3");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/customers"), 30);
    expect(delete_(AUDIENCES "/au-wants"), 204);
}

Test(audiences, that_would_cost_every_customer_too_much_are_refused)
{
    struct buf b;
    struct instance s; /* of its own: what is refused depends on all audiences that there are */
    instance_start(&s, NULL);
    client_use(&s);
    buf_init(&b, 1 << 20);
    buf_str(&b, "{\"rule\":{\"all\":[{\"event\":\"x\"}");
    for (int i = 1; i < 100; i++) buf_str(&b, ",{\"event\":\"x\"}");
    buf_str(&b, "]}}");
    for (int i = 0; i < 5; i++) expect(put(text(AUDIENCES "/au-%d", i), b.data), 201);
    expect(put(AUDIENCES "/au-5", "{\"rule\":{\"event\":\"x\"}}"), 409);
    expect(put(AUDIENCES "/au-0", b.data), 200);
    expect(put(AUDIENCES "/au-5", "{\"rule\":{\"event\":\"product_viewed\"}}"), 201);
    for (int i = 6; i < 200; i++) expect(put(text(AUDIENCES "/au-%d", i), "{\"rule\":{\"all\":[]}}"), 201);
    expect(put(AUDIENCES "/au-200", "{\"rule\":{\"all\":[]}}"), 409);
    expect(put("/v1/customers/au-anna", "{}"), 201);
    cr_assert_eq(count_at(get("/v1/customers/au-anna"), "/audiences"), 194);
    buf_done(&b);
    client_use(NULL);
    instance_done(&s);
}

/* Until the other replica's answer about the customer has the audience, or has it not. */
static void await_named(const char *key, bool wanted)
{
    const double until = seconds_now() + 60;
    while (named(call(&(struct call){.method = "GET", .path = "/v1/customers/anna", .key = key}), "au-shared") != wanted) {
        cr_assert_lt(seconds_now(), until, "the other replica was not told");
        pause_ms(20);
    }
}

Test(audiences, of_one_replica_are_those_of_the_other, .timeout = 400)
{
    struct pg *db = pg_fresh();
    struct instance a, b;
    instance_start(&a, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL});
    instance_start(&b, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_PII_KEY=" KEY_HEX, NULL});
    client_use(&a);
    const char *key = key_with("admin");
    expect(put("/v1/customers/anna", "{}"), 201);
    expect(put(AUDIENCES "/au-shared", "{\"rule\":{\"all\":[]}}"), 201);
    client_use(&b);
    expect(call(&(struct call){.method = "GET", .path = AUDIENCES "/au-shared/customers/anna", .key = key}), 200); /* asked for by name: at once */
    await_named(key, true);
    client_use(&a);
    expect(delete_(AUDIENCES "/au-shared"), 204);
    client_use(&b);
    await_named(key, false);
    client_use(NULL);
    instance_done(&a);
    instance_done(&b);
    pg_done(db);
}

Test(audiences, are_changed_by_admin_and_train_and_seen_by_read)
{
    const char *train = key_with("train"), *reader = key_with("read"), *shop = key_with("recommend"), *ingest = key_with("ingest");
    const char *body = "{\"rule\":{\"all\":[]}}";
    expect(call(&(struct call){.method = "PUT", .path = AUDIENCES "/au-scopes", .key = reader, .body = body}), 403);
    expect(call(&(struct call){.method = "PUT", .path = AUDIENCES "/au-scopes", .key = train, .body = body}), 201);
    expect(call(&(struct call){.method = "GET", .path = AUDIENCES "/au-scopes", .key = reader}), 200);
    expect(call(&(struct call){.method = "GET", .path = AUDIENCES "/au-scopes/customers", .key = reader}), 200);
    expect(call(&(struct call){.method = "POST", .path = AUDIENCES "/preview", .key = reader, .body = body}), 200);
    expect(call(&(struct call){.method = "GET", .path = AUDIENCES "/au-scopes", .key = shop}), 403);
    expect(call(&(struct call){.method = "POST", .path = AUDIENCES "/preview", .key = ingest, .body = body}), 403);
    expect(call(&(struct call){.method = "DELETE", .path = AUDIENCES "/au-scopes", .key = reader}), 403);
    expect(call(&(struct call){.method = "DELETE", .path = AUDIENCES "/au-scopes", .key = train}), 204);
}
