/* What to show a customer: trained on a made shop, asked in every way, never what the query excludes; events, the catalogue,
 * consent, rules and an absent database. */
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "meros/base/buf.h"
#include "meros/base/clock.h"

static struct instance s;

/* Customers have one of six tastes and buy mostly of that; product 0 is a consumable that people come back for. */
enum { PRODUCTS = 120, CUSTOMERS = 200, TASTES = 6 };
static bool bought[CUSTOMERS][PRODUCTS];
static uint32_t state = 9;

static uint32_t below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(state >> 8) * n >> 24);
}

static double price_of(int p)
{
    return p % 10 == 9 ? NAN : 3 + p % 40;
}

static const char *day(double ago)
{
    char t[TIME_TEXT];
    time_format(clock_now() / TIME_SECOND * TIME_SECOND - (int64_t)(ago * (double)TIME_DAY), t);
    return text("%s", t);
}

static void import_products(void)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int p = 0; p < PRODUCTS; p++) {
        buf_printf(&b, "{\"product_id\":\"p%03d\",\"name\":\"Thing %d\",\"category\":\"cat%d/sub%d\",\"colour\":\"%s\",\"size\":%d,\"tags\":[\"t%d\",\"all\"]", p, p,
                   p % TASTES, p % 4, p % 3 == 0 ? "red" : "blue", p % 5, p % 7);
        if (!isnan(price_of(p))) buf_printf(&b, ",\"price\":%g", price_of(p));
        buf_str(&b, "}\n");
    }
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/products", .type = "application/x-ndjson", .body = b.data, .n = b.len}), 200);
    buf_done(&b);
}

static void import_orders(void)
{
    struct buf b;
    buf_init(&b, 8 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int c = 0; c < CUSTOMERS; c++) {
        for (int o = 0; o < 4; o++) {
            const char *when = day(30 + below(200));
            for (int l = 0; l < 3; l++) {
                const int p = below(100) < 85 ? 6 * (int)(1 + below(PRODUCTS / 6 - 1)) + c % TASTES : (int)(1 + below(PRODUCTS - 1));
                if (p >= PRODUCTS || bought[c][p]) continue;
                bought[c][p] = true;
                buf_printf(&b, "o%d-%d,c%d,%s,p%03d,1,%d\n", c, o, c, when, p, 3 + p % 40);
            }
        }
        /* Every third customer buys product 0 every 30 days; of those the even ones a week ago, the odd ones 40 days ago. */
        for (int k = 0; c % 3 == 0 && k < 5; k++) {
            bought[c][0] = true;
            buf_printf(&b, "r%d-%d,c%d,%s,p000,1,3\n", c, k, c, day((c % 2 == 0 ? 7 : 40) + 30 * k));
        }
    }
    expect(call(&(struct call){.method = "POST", .path = "/v1/imports/orders", .type = "text/csv", .body = b.data, .n = b.len, .timeout = 120}), 200);
    buf_done(&b);
}

static struct reply *ask(const char *customer, const char *query)
{
    struct reply *r = get(text("/v1/customers/%s/recommendations%s", customer, query));
    expect(r, 200);
    return r;
}

static const char *item(const struct reply *r, size_t i)
{
    return text_at(r, text("/items/%zu/product_id", i));
}

static bool has_item(const struct reply *r, const char *product_id)
{
    for (size_t i = 0; i < count_at(r, "/items"); i++)
        if (strcmp(item(r, i), product_id) == 0) return true;
    return false;
}

static void same_items(const struct reply *a, const struct reply *b)
{
    cr_assert_eq(count_at(a, "/items"), count_at(b, "/items"), "%s\n%s", a->body, b->body);
    for (size_t i = 0; i < count_at(a, "/items"); i++) cr_assert_str_eq(item(a, i), item(b, i), "%s\n%s", a->body, b->body);
}

static const char *why(const struct reply *r)
{
    cr_assert_not(bool_at(r, "/personalised"), "%s", r->body);
    return text_at(r, "/reason_not_personalised");
}

/* --- before anything is known */

static void an_empty_shop_recommends_nothing(void)
{
    struct reply *r = ask("anybody", "");
    cr_assert_eq(count_at(r, "/items"), 0);
    cr_assert(null_at(r, "/model"));
    cr_assert_str_eq(why(r), "unknown_customer");
    cr_assert_eq(count_at(get("/v1/products/popular"), "/items"), 0);
    expect(get("/v1/products/p001/similar"), 404);
    expect(get("/v1/products/p001/bought-together"), 404);
    r = post("/v1/recommendations", "{}");
    expect(r, 200);
    cr_assert_str_eq(why(r), "no_model");
    cr_assert(null_at(r, "/customer_id"));
    r = post("/v1/rank", "{\"products\":[\"x\",\"y\"]}");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/items"), 2);
    cr_assert(null_at(r, "/items/1/score"));
}

static void without_a_model_the_catalogue_fills_the_shelf(void)
{
    struct reply *r = ask("c1", "?limit=100");
    cr_assert_eq(count_at(r, "/items"), 100);
    cr_assert_str_eq(why(r), "no_model");
    cr_assert_str_eq(text_at(r, "/strategy"), "popular");
    cr_assert_eq(count_at(r, "/fallback"), 1);
    for (size_t i = 0; i < 100; i++) cr_assert_not(bought[1][atoi(item(r, i) + 1)], "%s was bought", item(r, i));
    cr_assert_eq(count_at(ask("nobody", "?limit=100&category=cat3"), "/items"), PRODUCTS / TASTES);
}

/* --- with one */

static void the_model_answers_and_says_why(void)
{
    size_t own_taste = 0;
    for (int c = 0; c < 12; c++) {
        struct reply *r = ask(text("c%d", c), "");
        cr_assert_eq(count_at(r, "/items"), 10);
        cr_assert(bool_at(r, "/personalised"), "%s", r->body);
        cr_assert(null_at(r, "/reason_not_personalised"));
        cr_assert_eq(count_at(r, "/fallback"), 0, "%s", r->body);
        cr_assert_eq(strncmp(text_at(r, "/recommendation_id"), "rec_", 4), 0);
        cr_assert_eq(int_at(r, "/model/version"), 1);
        for (size_t i = 0; i < 10; i++) {
            own_taste += (size_t)(atoi(item(r, i) + 1) % TASTES == c % TASTES);
            if (strcmp(text_at(r, text("/items/%zu/reason/type", i)), "similar_to") != 0) continue;
            const char *because = text_at(r, text("/items/%zu/reason/product_id", i));
            cr_assert(bought[c][atoi(because + 1)], "%s is because of %s, which c%d never bought", item(r, i), because, c);
        }
    }
    cr_assert_gt(own_taste, 12 * 10 * 6 / 10, "only %zu of 120 are of the customer's taste", own_taste);
}

static void the_same_question_has_the_same_answer(void)
{
    for (int i = 0; i < 3; i++) same_items(ask("c7", "?limit=20&diversity=0.4"), ask("c7", "?limit=20&diversity=0.4"));
    struct reply *a = ask("c7", ""), *b = ask("c7", "");
    same_items(a, b);
    cr_assert_str_neq(text_at(a, "/recommendation_id"), text_at(b, "/recommendation_id"), "each answer has an id of its own");
    struct reply *six = ask("c7", "?limit=6");
    for (size_t i = 0; i < 6; i++) cr_assert_str_eq(item(six, i), item(a, i), "fewer are the first of more");
}

static void every_strategy_says_what_it_did(void)
{
    static const char *const words[] = {"popular", "trending", "similar", "bought_together", "sequence", "content", "als", "ease", "blend"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct reply *r = ask("c5", text("?limit=40&strategy=%s", words[i]));
        cr_assert_str_eq(text_at(r, "/strategy"), words[i]);
        cr_assert_eq(count_at(r, "/items"), 40, "%s: %zu", words[i], count_at(r, "/items"));
        cr_assert_eq(bool_at(r, "/personalised"), i >= 2, "%s", r->body);
    }
    same_items(ask("c5", "?strategy=popular&exclude_purchased=false"), get("/v1/products/popular"));
    expect_fault(get("/v1/customers/c5/recommendations?strategy=newest"), 400, "?strategy");
}

static void wrong_questions_are_refused(void)
{
    static const char *const wrong[][2] = {
        {"limit=0", "?limit"}, {"limit=101", "?limit"}, {"limit=ten", "?limit"}, {"strategy=best", "?strategy"}, {"diversity=1.1", "?diversity"},
        {"diversity=-0.1", "?diversity"}, {"diversity=nan", "?diversity"}, {"min_price=-1", "?min_price"}, {"min_price=5&max_price=4", "?min_price"},
        {"exclude_purchased=maybe", "?exclude_purchased"}, {"exclude_seen=2", "?exclude_seen"}, {"available=", "?available"},
        {"exclude=a,,b", "?exclude"}, {"attributes=red", "?attributes"}, {"attributes=:red", "?attributes"}, {"page=2", "?page"},
        {"attributes=a:1,b:1,c:1,d:1,e:1,f:1,g:1,h:1,i:1,j:1,k:1", "?attributes"}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        expect_fault(get(text("/v1/customers/c1/recommendations?%s", wrong[i][0])), 400, wrong[i][1]);
    static const char *const bodies[][2] = {
        {"{\"recent\":{}}", "/recent"}, {"{\"recent\":[{}]}", "/recent/0/product_id"}, {"{\"recent\":[{\"product_id\":\"\"}]}", "/recent/0/product_id"},
        {"{\"recent\":[{\"product_id\":\"p1\",\"when\":1}]}", "/recent/0/when"}, {"{\"limit\":0}", "/limit"}, {"{\"exclude\":[1]}", "/exclude/0"},
        {"{\"attributes\":{\"a\":[]}}", "/attributes"}, {"{\"min_price\":3,\"max_price\":2}", "/min_price"}, {"{\"strategy\":\"x\"}", "/strategy"},
        {"{\"customer_id\":\"\"}", "/customer_id"}, {"{\"what\":1}", "/what"}, {"{\"diversity\":2}", "/diversity"}};
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++) expect_fault(post("/v1/recommendations", bodies[i][0]), 400, bodies[i][1]);
    expect_fault(post("/v1/rank", "{}"), 400, "/products");
    expect_fault(post("/v1/rank", "{\"products\":[]}"), 400, "/products");
    expect_fault(post("/v1/rank", "{\"products\":[7]}"), 400, "/products/0");
    expect(post("/v1/recommendations", "[1"), 400);
    expect_fault(get("/v1/products/popular?strategy=als"), 400, "?strategy");
    expect(call(&(struct call){.method = "POST", .path = "/v1/recommendations", .type = "text/plain", .body = "{}"}), 415);
    expect(get("/v1/products/nowhere/similar"), 404);
    expect(get("/v1/products/nowhere/bought-together"), 404);
}

static void keys_need_the_scope(void)
{
    const char *shop = key_with("recommend"), *reader = key_with("read"), *sender = key_with("ingest");
    static const struct {
        const char *method, *path, *body;
    } all[] = {{"GET", "/v1/customers/c1/recommendations", NULL}, {"POST", "/v1/recommendations", "{}"}, {"POST", "/v1/rank", "{\"products\":[\"p001\"]}"},
               {"GET", "/v1/products/p001/similar", NULL}, {"GET", "/v1/products/p001/bought-together", NULL}, {"GET", "/v1/products/popular", NULL}};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        expect(call(&(struct call){.method = all[i].method, .path = all[i].path, .body = all[i].body, .key = shop}), 200);
        expect(call(&(struct call){.method = all[i].method, .path = all[i].path, .body = all[i].body, .key = reader}), 200);
        expect(call(&(struct call){.method = all[i].method, .path = all[i].path, .body = all[i].body, .key = sender}), 403);
        expect(call(&(struct call){.method = all[i].method, .path = all[i].path, .body = all[i].body, .key = ""}), 401);
    }
}

/* --- what is excluded never comes */

struct filters {
    int customer, limit, category, colour, size;
    bool purchased, seen;
    double min, max, diversity;
    bool excluded[PRODUCTS];
};

static bool admits(const struct filters *f, int p)
{
    const double price = price_of(p);
    if (f->excluded[p] || (f->category >= 0 && p % TASTES != f->category)) return false;
    if (!isnan(f->min) && !(price >= f->min)) return false;
    if (!isnan(f->max) && !(price <= f->max)) return false;
    if (f->colour >= 0 && (p % 3 == 0) != (f->colour == 0)) return false;
    if (f->size >= 0 && p % 5 != f->size) return false;
    if (f->customer >= 0 && bought[f->customer][p]) {
        if (f->seen) return false;
        if (f->purchased && p != 0) return false; /* product 0 may be due */
    }
    return true;
}

static const char *query_of(const struct filters *f, struct buf *b)
{
    static const char *const strategies[] = {"auto", "auto", "auto", "popular", "similar", "trending", "bought_together", "sequence"};
    buf_printf(b, "?limit=%d&exclude_purchased=%s&exclude_seen=%s&strategy=%s", f->limit, f->purchased ? "true" : "false", f->seen ? "true" : "false",
               strategies[below(8)]);
    if (f->category >= 0) buf_printf(b, "&category=cat%d", f->category);
    if (!isnan(f->min)) buf_printf(b, "&min_price=%g", f->min);
    if (!isnan(f->max)) buf_printf(b, "&max_price=%g", f->max);
    if (f->diversity > 0) buf_printf(b, "&diversity=%g", f->diversity);
    if (f->colour >= 0 || f->size >= 0) buf_str(b, "&attributes=");
    if (f->colour >= 0) buf_printf(b, "colour:%s%s", f->colour == 0 ? "red" : "blue", f->size >= 0 ? "," : "");
    if (f->size >= 0) buf_printf(b, "size:%d", f->size);
    bool first = true;
    for (int p = 0; p < PRODUCTS; p++) {
        if (!f->excluded[p]) continue;
        buf_printf(b, "%sp%03d", first ? "&exclude=nothing-of-this-name," : ",", p);
        first = false;
    }
    return b->data;
}

static void no_combination_of_filters_returns_what_it_excludes(void)
{
    for (int round = 0; round < 300; round++) {
        struct filters f = {.customer = (int)below(CUSTOMERS + 5), .limit = 1 + (int)below(100), .category = below(3) == 0 ? (int)below(TASTES) : -1,
                            .colour = below(4) == 0 ? (int)below(2) : -1, .size = below(5) == 0 ? (int)below(5) : -1, .purchased = below(3) != 0,
                            .seen = below(4) == 0, .min = below(4) == 0 ? below(30) : NAN, .max = below(4) == 0 ? 30 + below(20) : NAN,
                            .diversity = below(3) == 0 ? below(11) / 10. : 0};
        for (int p = 0; p < PRODUCTS && below(2) == 0; p++) f.excluded[below(PRODUCTS)] = true;
        struct buf b;
        buf_init(&b, 64 << 10);
        const char *customer = text("c%d", f.customer); /* the last few are nobody */
        if (f.customer >= CUSTOMERS) f.customer = -1;
        struct reply *r = ask(customer, query_of(&f, &b));
        const size_t n = count_at(r, "/items");
        size_t possible = 0;
        bool came[PRODUCTS] = {false};
        for (int p = 0; p < PRODUCTS; p++) possible += admits(&f, p);
        for (size_t i = 0; i < n; i++) {
            const int p = atoi(item(r, i) + 1);
            cr_assert(admits(&f, p), "p%03d came for %s%s", p, customer, b.data);
            cr_assert_not(came[p], "p%03d came twice for %s%s", p, customer, b.data);
            came[p] = true;
        }
        const size_t due = possible > 0 && admits(&f, 0) ? 1 : 0; /* whether product 0 is due is asked elsewhere */
        const size_t most = possible < (size_t)f.limit ? possible : (size_t)f.limit;
        cr_assert(n <= most && n + due >= most, "%zu of %zu places filled for %s%s", n, most, customer, b.data);
        buf_done(&b);
    }
}

/* --- now */

static void an_event_changes_the_very_next_answer(void)
{
    for (int i = 0; i < 20; i++) {
        const char *name = text("new%d", i);
        cr_assert_str_eq(why(ask(name, "")), "unknown_customer");
        const int p = 6 * (1 + i % 15) + i % TASTES;
        expect(post("/v1/events", text("{\"customer_id\":\"%s\",\"type\":\"product_added\",\"product_id\":\"p%03d\"}", name, p)), 200);
        struct reply *r = ask(name, "");
        cr_assert(bool_at(r, "/personalised"), "%s", r->body);
        cr_assert_not(has_item(ask(name, "?exclude_seen=true&limit=100"), text("p%03d", p)));
        const char *first = item(r, 0);
        expect(post("/v1/events", text("{\"customer_id\":\"%s\",\"type\":\"product_viewed\",\"product_id\":\"%s\"}", name, first)), 200);
        cr_assert_not(has_item(ask(name, "?exclude_seen=true&limit=100"), first), "seen a moment ago");
        expect(post("/v1/events", text("{\"customer_id\":\"%s\",\"type\":\"order_completed\",\"properties\":{\"order_id\":\"now-%d\",\"products\":"
                                       "[{\"product_id\":\"%s\",\"quantity\":1,\"price\":3}]}}", name, i, first)), 200);
        cr_assert_not(has_item(ask(name, "?limit=100"), first), "bought a moment ago");
        cr_assert(has_item(ask(name, "?limit=100&exclude_purchased=false&category=" ), first) || count_at(ask(name, "?limit=100&exclude_purchased=false"), "/items") == 100);
    }
}

static void view(const char *customer, const char *product)
{
    expect(post("/v1/events", text("{\"customer_id\":\"%s\",\"type\":\"product_viewed\",\"product_id\":\"%s\"}", customer, product)), 200);
}

/* Customers and products that the ingest path remembers: such an event is put into the shelf in memory. */
static void so_does_one_that_names_nothing_new(void)
{
    for (int i = 0; i < 30; i++) {
        const int p = 1 + 3 * i;
        const char *id = text("p%03d", p), *query = text("?exclude_seen=true&limit=100&category=cat%d", p % TASTES);
        for (int k = 0; k < 4; k++) view("known-b", id); /* each writer remembers for itself */
        view("known-a", "p000");
        cr_assert(has_item(ask("known-a", query), id));
        view("known-a", id);
        cr_assert_not(has_item(ask("known-a", query), id), "%s was seen a moment ago", id);
    }
}

static void what_is_not_available_never_comes(void)
{
    for (int i = 0; i < 5; i++) {
        const char *p = item(ask("c9", ""), 0), *path = text("/v1/products/%s", p);
        const double price = price_of(atoi(p + 1));
        const char *category = text_at(get(path), "/category");
        expect(put(path, text("{\"available\":false,\"category\":\"%s\",\"price\":%g}", category, isnan(price) ? 1 : price)), 200);
        cr_assert_not(has_item(ask("c9", "?limit=100"), p), "%s is not available", p);
        cr_assert_not(has_item(get("/v1/products/popular?limit=100"), p));
        cr_assert(has_item(ask("c9", text("?limit=100&available=false&category=%s", category)), p), "unless it is asked for");
        expect(put(path, text("{\"category\":\"%s\",\"price\":%g}", category, isnan(price) ? 1 : price)), 200);
        cr_assert_str_eq(item(ask("c9", ""), 0), p, "available again");
    }
    const char *gone = item(ask("c10", ""), 0);
    expect(delete_(text("/v1/products/%s", gone)), 204);
    cr_assert_not(has_item(ask("c10", "?limit=100&available=false"), gone), "not in the catalogue any more");
}

static void refused_consent_gets_what_is_popular_and_says_so(void)
{
    cr_assert(bool_at(ask("c11", ""), "/personalised"));
    expect(put("/v1/customers/c11/consent", "{\"profiling\":false}"), 200);
    struct reply *r = ask("c11", "?strategy=similar");
    cr_assert_str_eq(why(r), "consent");
    cr_assert_str_eq(text_at(r, "/strategy"), "popular");
    for (size_t i = 0; i < count_at(r, "/items"); i++) cr_assert_str_eq(text_at(r, text("/items/%zu/reason/type", i)), "popular");
    r = post("/v1/rank", "{\"customer_id\":\"c11\",\"products\":[\"p010\",\"p020\"]}");
    cr_assert_str_eq(why(r), "consent");
    expect(put("/v1/customers/c11/consent", "{\"profiling\":true}"), 200);
    cr_assert(bool_at(ask("c11", ""), "/personalised"));
}

static void what_is_used_up_comes_back_when_it_is_due(void)
{
    struct reply *r = ask("c3", "?limit=20"); /* bought 40 days ago, every 30 days before */
    cr_assert(has_item(r, "p000"), "due: %s", r->body);
    for (size_t i = 0; i < 20; i++)
        if (strcmp(item(r, i), "p000") == 0) cr_assert_str_eq(text_at(r, text("/items/%zu/reason/type", i)), "due_again");
    cr_assert_not(has_item(ask("c6", "?limit=100"), "p000"), "bought a week ago: not due");
    cr_assert_not(has_item(ask("c3", "?limit=100&exclude_seen=true"), "p000"));
    cr_assert_not(has_item(ask("c3", "?limit=100&exclude=p000"), "p000"));
}

static size_t categories(const struct reply *r)
{
    bool came[TASTES] = {false};
    size_t n = 0;
    for (size_t i = 0; i < count_at(r, "/items"); i++) {
        const int t = atoi(item(r, i) + 1) % TASTES;
        n += !came[t];
        came[t] = true;
    }
    return n;
}

static void diversity_makes_a_list_less_alike(void)
{
    size_t plain = 0, diverse = 0;
    for (int c = 20; c < 50; c++) {
        plain += categories(ask(text("c%d", c), ""));
        diverse += categories(ask(text("c%d", c), "?diversity=0.9"));
    }
    cr_assert_gt(diverse, plain, "%zu kinds of products with diversity, %zu without", diverse, plain);
}

/* --- visitors, products */

static void a_visitor_without_a_name_is_answered_from_what_was_looked_at(void)
{
    struct reply *r = post("/v1/recommendations", "{\"recent\":[{\"product_id\":\"nowhere\"},{\"product_id\":\"p008\"},{\"product_id\":\"p014\",\"type\":\"product_added\"}],"
                                                  "\"limit\":5,\"exclude\":[\"p020\",\"nothing\"],\"max_price\":30,\"attributes\":{\"tags\":\"all\"}}");
    expect(r, 200);
    cr_assert(bool_at(r, "/personalised"), "%s", r->body);
    cr_assert_eq(count_at(r, "/items"), 5);
    cr_assert_not(has_item(r, "p020"));
    for (size_t i = 0; i < 5; i++) cr_assert_leq(price_of(atoi(item(r, i) + 1)), 30);
    r = post("/v1/recommendations", "{\"recent\":[{\"product_id\":\"p008\",\"type\":\"order_completed\"}],\"limit\":100,\"category\":\"cat2\"}");
    cr_assert_not(has_item(r, "p008"), "bought");
    r = post("/v1/recommendations", "{\"recent\":[{\"product_id\":\"nowhere\"}]}");
    cr_assert_str_eq(why(r), "no_history");
    /* On top of what is known of a customer. */
    r = post("/v1/recommendations", "{\"customer_id\":\"c1\",\"recent\":[{\"product_id\":\"p050\"}],\"exclude_seen\":true,\"limit\":100}");
    expect(r, 200);
    cr_assert_str_eq(text_at(r, "/customer_id"), "c1");
    cr_assert_not(has_item(r, "p050"));
    for (size_t i = 0; i < count_at(r, "/items"); i++) cr_assert_not(bought[1][atoi(item(r, i) + 1)]);
    same_items(post("/v1/recommendations", "{\"customer_id\":\"c1\"}"), ask("c1", ""));
}

static void products_have_their_like_and_their_company(void)
{
    struct reply *r = get("/v1/products/p008/similar?limit=5");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/items"), 5);
    cr_assert_not(has_item(r, "p008"));
    cr_assert_str_eq(text_at(r, "/items/0/reason/product_id"), "p008");
    cr_assert_eq(atoi(item(r, 0) + 1) % TASTES, 8 % TASTES, "%s", r->body);
    expect(put("/v1/products/brand-new", "{\"category\":\"cat1/sub1\",\"name\":\"zzqx\"}"), 201);
    r = get("/v1/products/brand-new/similar?limit=8");
    cr_assert_eq(count_at(r, "/items"), 8, "what is popular in its category: %s", r->body);
    for (size_t i = 0; i < 8; i++) cr_assert_eq(atoi(item(r, i) + 1) % TASTES, 1);
    cr_assert_str_eq(text_at(r, "/fallback/0"), "popular");
    r = get("/v1/products/brand-new/bought-together");
    cr_assert_eq(count_at(r, "/items"), 0);
    size_t pairs = 0;
    for (int p = 1; p < 40; p++) {
        r = get(text("/v1/products/p%03d/bought-together?limit=100", p));
        if (r->status == 404) continue; /* deleted above */
        for (size_t i = 0; i < count_at(r, "/items"); i++, pairs++) {
            const double support = num_at(r, text("/items/%zu/support", i)), confidence = num_at(r, text("/items/%zu/confidence", i));
            cr_assert(support > 0 && support <= confidence && confidence <= 1 && num_at(r, text("/items/%zu/lift", i)) >= 1, "%s", r->body);
        }
    }
    cr_assert_gt(pairs, 0);
    r = get("/v1/products/popular?category=cat2&limit=100&trending=true");
    for (size_t i = 0; i < count_at(r, "/items"); i++) cr_assert_eq(atoi(item(r, i) + 1) % TASTES, 2);
    cr_assert_str_eq(text_at(r, "/strategy"), "trending");
}

static void given_products_are_put_in_order(void)
{
    struct reply *r = post("/v1/rank", "{\"customer_id\":\"c2\",\"products\":[\"p003\",\"nowhere\",\"p020\",\"p026\",\"p005\"]}");
    expect(r, 200);
    cr_assert_eq(count_at(r, "/items"), 5);
    cr_assert(bool_at(r, "/personalised"));
    cr_assert_str_eq(item(r, 4), "nowhere");
    cr_assert(null_at(r, "/items/4/score"));
    for (size_t i = 1; i < 4; i++) cr_assert_geq(num_at(r, text("/items/%zu/score", i - 1)), num_at(r, text("/items/%zu/score", i)));
    cr_assert_eq(atoi(item(r, 0) + 1) % TASTES, 2, "%s", r->body);
    struct reply *like = get("/v1/products/p003/similar?limit=8");
    r = post("/v1/rank", text("{\"recent\":[{\"product_id\":\"p003\"}],\"products\":[\"%s\",\"nowhere\",\"%s\"]}", item(like, 7), item(like, 0)));
    cr_assert_str_eq(item(r, 0), item(like, 0), "%s", r->body);
    cr_assert_str_eq(item(r, 1), item(like, 7), "%s", r->body);
    static const char *const words[] = {"popular", "trending", "similar", "bought_together", "sequence", "content"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        struct reply *list = ask("c2", text("?limit=40&strategy=%s", words[i]));
        r = post("/v1/rank", text("{\"customer_id\":\"c2\",\"strategy\":\"%s\",\"products\":[\"%s\",\"%s\"]}", words[i], item(list, 3), item(list, 0)));
        expect(r, 200);
        cr_assert_str_eq(text_at(r, "/strategy"), words[i]);
        cr_assert_eq(bool_at(r, "/personalised"), i >= 2);
        cr_assert_str_eq(item(r, 0), item(list, 0), "%s: %s", words[i], r->body);
        cr_assert_eq(num_at(r, "/items/0/score"), num_at(list, "/items/0/score"), "%s: %s", words[i], r->body);
    }
    cr_assert_str_eq(why(post("/v1/rank", "{\"products\":[\"p020\",\"p009\"]}")), "no_history");
    cr_assert_str_eq(why(post("/v1/rank", "{\"customer_id\":\"nobody\",\"products\":[\"p020\",\"p009\"]}")), "unknown_customer");
}

/* --- rules, people */

static void rules_block_pin_and_promote(void)
{
    struct reply *before = ask("c13", "");
    const char *first = item(before, 0);
    expect(put("/v1/recommendations/rules/no-first", text("{\"kind\":\"block\",\"products\":[\"%s\"]}", first)), 201);
    cr_assert_not(has_item(ask("c13", "?limit=100"), first));
    expect(delete_("/v1/recommendations/rules/no-first"), 204);
    same_items(before, ask("c13", ""));
    expect(put("/v1/recommendations/rules/no-cat2", "{\"kind\":\"block\",\"category\":\"cat2\"}"), 201);
    cr_assert_eq(count_at(ask("c13", "?category=cat2"), "/items"), 0);
    expect(delete_("/v1/recommendations/rules/no-cat2"), 204);

    const char *pinned = NULL; /* something that c13 would not get */
    for (int p = 100; p < PRODUCTS && pinned == NULL; p++)
        if (!bought[13][p] && !has_item(ask("c13", "?limit=20"), text("p%03d", p)) && get(text("/v1/products/p%03d", p))->status == 200) pinned = text("p%03d", p);
    expect(put("/v1/recommendations/rules/top", text("{\"kind\":\"pin\",\"products\":[\"%s\"],\"place\":3}", pinned)), 201);
    struct reply *r = ask("c13", "");
    cr_assert_str_eq(item(r, 2), pinned, "%s", r->body);
    cr_assert_str_eq(text_at(r, "/items/2/reason/type"), "pinned");
    cr_assert_str_eq(item(r, 0), first);
    cr_assert_eq(count_at(r, "/items"), 10);
    cr_assert_not(has_item(ask("c13", text("?exclude=%s", pinned)), pinned), "a pin does not go past a filter");
    expect(delete_("/v1/recommendations/rules/top"), 204);

    expect(put("/v1/recommendations/rules/promo", "{\"kind\":\"promote\",\"category\":\"cat4\",\"share\":0.3}"), 201);
    r = ask("c13", "");
    size_t promoted = 0;
    for (size_t i = 0; i < 10; i++) {
        if (strcmp(text_at(r, text("/items/%zu/reason/type", i)), "promoted") != 0) continue;
        promoted++;
        cr_assert_eq(atoi(item(r, i) + 1) % TASTES, 4);
    }
    cr_assert_eq(promoted, 3, "%s", r->body);
    expect(delete_("/v1/recommendations/rules/promo"), 204);
    same_items(before, ask("c13", ""));

    expect(put("/v1/recommendations/experiment", "{\"name\":\"try\",\"arms\":[\"similar\",\"popular\"],\"mode\":\"interleave\"}"), 201);
    r = ask("c13", "");
    cr_assert_str_eq(text_at(r, "/experiment/arm"), "interleaved");
    cr_assert_eq(count_at(r, "/items"), 10);
    same_items(r, ask("c13", ""));
    cr_assert(null_at(ask("c13", "?strategy=als"), "/experiment"));
    expect(delete_("/v1/recommendations/experiment"), 204);
    same_items(before, ask("c13", ""));
}

static void who_is_joined_or_erased_is_answered_so(void)
{
    expect(post("/v1/track", "{\"anonymousId\":\"anon-9\",\"event\":\"Product Viewed\",\"properties\":{\"product_id\":\"p031\"},\"messageId\":\"a1\"}"), 200);
    cr_assert(bool_at(ask("anon-9", ""), "/personalised"));
    cr_assert(has_item(ask("c14", "?exclude_seen=true&limit=100&category=cat1"), "p031") || bought[14][31]);
    expect(post("/v1/identify", "{\"anonymousId\":\"anon-9\",\"userId\":\"c14\",\"messageId\":\"a2\"}"), 200);
    cr_assert_not(has_item(ask("c14", "?exclude_seen=true&limit=100&category=cat1"), "p031"), "what the visitor saw is theirs now");
    same_items(ask("c14", ""), ask("anon-9", ""));
    expect(delete_("/v1/customers/c14"), 200);
    cr_assert_str_eq(why(ask("c14", "")), "unknown_customer");
    cr_assert_str_eq(why(ask("anon-9", "")), "unknown_customer");
}

static void the_database_away_is_no_reason_for_an_empty_shelf(void)
{
    struct reply *before = ask("c15", "");
    instance_signal_database(&s, SIGSTOP);
    struct reply *known = ask("c15", ""), *unknown = ask("never-heard-of", ""), *visitor = post("/v1/recommendations", "{\"recent\":[{\"product_id\":\"p008\"}]}");
    struct reply *similar = get("/v1/products/p008/similar");
    instance_signal_database(&s, SIGCONT);
    same_items(before, known);
    cr_assert(bool_at(known, "/personalised"));
    cr_assert_str_eq(why(unknown), "database_away");
    cr_assert_eq(count_at(unknown, "/items"), 10);
    cr_assert(bool_at(visitor, "/personalised"));
    expect(similar, 200);
}

Test(recommend, from_an_empty_shop_to_answers, .timeout = 900)
{
    instance_start(&s, NULL);
    client_use(&s);
    an_empty_shop_recommends_nothing();
    import_products();
    import_orders();
    without_a_model_the_catalogue_fills_the_shelf();
    run_job("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"item_knn\"}}");
    the_model_answers_and_says_why();
    the_same_question_has_the_same_answer();
    every_strategy_says_what_it_did();
    wrong_questions_are_refused();
    keys_need_the_scope();
    no_combination_of_filters_returns_what_it_excludes();
    an_event_changes_the_very_next_answer();
    so_does_one_that_names_nothing_new();
    what_is_used_up_comes_back_when_it_is_due();
    diversity_makes_a_list_less_alike();
    a_visitor_without_a_name_is_answered_from_what_was_looked_at();
    given_products_are_put_in_order();
    rules_block_pin_and_promote();
    refused_consent_gets_what_is_popular_and_says_so();
    who_is_joined_or_erased_is_answered_so();
    what_is_not_available_never_comes();
    products_have_their_like_and_their_company();
    the_database_away_is_no_reason_for_an_empty_shelf();
    instance_done(&s);
}
