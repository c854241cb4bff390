/* Which customers would want a product, and what many customers want most: held against what each of them is recommended. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"
#include "meros/base/buf.h"
#include "meros/base/clock.h"

static struct instance s;

/* Customers have one of five tastes and buy mostly of that. */
enum { PRODUCTS = 60, CUSTOMERS = 150, TASTES = 5 };
static bool bought[CUSTOMERS][PRODUCTS];
static uint32_t state = 4;

static uint32_t below(uint32_t n)
{
    state = state * 1664525u + 1013904223u;
    return (uint32_t)((uint64_t)(state >> 8) * n >> 24);
}

static const char *ago(double days)
{
    char t[TIME_TEXT];
    time_format(clock_now() / TIME_SECOND * TIME_SECOND - (int64_t)(days * (double)TIME_DAY), t);
    return text("%s", t);
}

static void begin(const char *training)
{
    struct buf b;
    instance_start(&s, NULL);
    client_use(&s);
    buf_init(&b, 4 << 20);
    for (int p = 0; p < PRODUCTS; p++) buf_printf(&b, "{\"product_id\":\"p%02d\",\"name\":\"Thing %d\",\"category\":\"cat%d\"}\n", p, p, p % TASTES);
    expect(import_("products", "", b.data), 200);
    buf_clear(&b);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int c = 0; c < CUSTOMERS; c++) {
        for (int o = 0; o < 4; o++) {
            const char *when = ago(10 + below(150));
            for (int l = 0; l < 3; l++) {
                const int p = below(100) < 85 ? TASTES * (int)below(PRODUCTS / TASTES) + c % TASTES : (int)below(PRODUCTS);
                if (bought[c][p]) continue;
                bought[c][p] = true;
                buf_printf(&b, "o%d-%d,c%03d,%s,p%02d,1,5\n", c, o, c, when, p);
            }
        }
    }
    expect(import_("orders", "", b.data), 200);
    buf_done(&b);
    run_job(training);
}

static void end(void)
{
    client_use(NULL);
    instance_done(&s);
}

static double score_of(const char *customer, const char *strategy, const char *product)
{
    struct reply *r = get(text("/v1/customers/%s/recommendations?strategy=%s&limit=100&exclude_purchased=false", customer, strategy));
    expect(r, 200);
    for (size_t i = 0; i < count_at(r, "/items"); i++)
        if (strcmp(text_at(r, text("/items/%zu/product_id", i)), product) == 0) return num_at(r, text("/items/%zu/score", i));
    return NAN;
}

/* Who has it is left out, the order is that of the scores, and the scores are those of each one's own recommendations. */
static void expect_buyers(const char *strategy, int product)
{
    const char *id = text("p%02d", product);
    struct reply *r = get(text("/v1/products/%s/likely-buyers?limit=40&strategy=%s", id, strategy));
    expect(r, 200);
    cr_assert(bool_at(r, "/known_to_model"));
    const size_t n = count_at(r, "/data");
    int of_taste = 0;
    cr_assert_gt(n, 10, "%s: %s", strategy, r->body);
    for (size_t i = 0; i < n; i++) {
        const char *who = text_at(r, text("/data/%zu/customer_id", i));
        const double score = num_at(r, text("/data/%zu/score", i));
        cr_expect_not(bought[atoi(who + 1)][product], "%s bought %s", who, id);
        if (i > 0) cr_expect_leq(score, num_at(r, text("/data/%zu/score", i - 1)));
        if (i % 8 == 0) cr_expect_float_eq(score, score_of(who, strategy, id), 1e-4 * (1 + fabs(score)), "%s, %s", strategy, who);
        if (i < 10) of_taste += atoi(who + 1) % TASTES == product % TASTES;
    }
    cr_expect_geq(of_taste, 6, "%s: %d of the ten likeliest have the taste", strategy, of_taste);
}

Test(reco_people, likely_buyers_are_those_to_whom_a_product_is_recommended_the_most)
{
    begin("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"auto\"}}");
    static const char *const strategies[] = {"similar", "ease", "als"};
    for (size_t i = 0; i < sizeof strategies / sizeof strategies[0]; i++) {
        struct reply *r = get(text("/v1/products/p07/likely-buyers?strategy=%s", strategies[i]));
        if (r->status == 422) continue; /* the model has no such component */
        expect_buyers(strategies[i], 7);
        expect_buyers(strategies[i], 33);
    }
    struct reply *all = get("/v1/products/p07/likely-buyers?limit=1000&exclude_purchased=false&strategy=similar");
    expect(all, 200);
    int have = 0;
    for (size_t i = 0; i < count_at(all, "/data"); i++) have += !null_at(all, text("/data/%zu/bought_at", i));
    cr_expect_gt(have, 0, "those who have it are among them when they are asked for");

    /* who refused profiling is left out, whoever they are */
    const char *first = text_at(all, "/data/0/customer_id");
    expect(put(text("/v1/customers/%s/consent", first), "{\"profiling\":false}"), 200);
    struct reply *without = get("/v1/products/p07/likely-buyers?limit=1000&exclude_purchased=false&strategy=similar");
    expect(without, 200);
    for (size_t i = 0; i < count_at(without, "/data"); i++) cr_expect_str_neq(text_at(without, text("/data/%zu/customer_id", i)), first);

    /* a product that came after the training */
    expect(put("/v1/products/new", "{\"name\":\"New\"}"), 201);
    struct reply *r = get("/v1/products/new/likely-buyers?strategy=similar");
    expect(r, 200);
    cr_expect(!bool_at(r, "/known_to_model") && count_at(r, "/data") == 0);
    expect(get("/v1/products/nothing/likely-buyers"), 404);
    expect(get("/v1/products/p07/likely-buyers?strategy=popular"), 400);
    expect(get("/v1/products/p07/likely-buyers?limit=0"), 400);
    end();
}

Test(reco_people, without_a_model_nobody_is_likelier_and_it_says_so)
{
    expect(put("/v1/products/rp-lone", "{\"name\":\"Lone\"}"), 201);
    struct reply *r = get("/v1/products/rp-lone/likely-buyers");
    expect(r, 404);
    cr_expect_not_null(strstr(text_at(r, "/detail"), "train.recommendations"));
}

/* --- many at once */

enum { GROUP = 12 };

/* Every product's score for a customer, from their own recommendations. */
static void own_scores(const char *customer, double score[PRODUCTS])
{
    struct reply *r = get(text("/v1/customers/%s/recommendations?strategy=als&limit=100&exclude_purchased=false", customer));
    expect(r, 200);
    for (int p = 0; p < PRODUCTS; p++) score[p] = NAN;
    for (size_t i = 0; i < count_at(r, "/items"); i++)
        score[atoi(text_at(r, text("/items/%zu/product_id", i)) + 1)] = num_at(r, text("/items/%zu/score", i));
}

static void standardise(double score[PRODUCTS])
{
    double sum = 0, squares = 0;
    for (int p = 0; p < PRODUCTS; p++) {
        cr_assert(isfinite(score[p]), "p%02d has no score", p);
        sum += score[p], squares += score[p] * score[p];
    }
    const double mean = sum / PRODUCTS, deviation = sqrt(squares / PRODUCTS - mean * mean);
    for (int p = 0; p < PRODUCTS; p++) score[p] = (score[p] - mean) / deviation;
}

static int by_number(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static void same_items(const struct reply *a, const struct reply *b)
{
    cr_assert_eq(count_at(a, "/items"), count_at(b, "/items"));
    for (size_t i = 0; i < count_at(a, "/items"); i++) {
        cr_expect_str_eq(text_at(a, text("/items/%zu/product_id", i)), text_at(b, text("/items/%zu/product_id", i)));
        cr_expect_float_eq(num_at(a, text("/items/%zu/score", i)), num_at(b, text("/items/%zu/score", i)), 1e-5);
        cr_expect_eq(int_at(a, text("/items/%zu/in_top_10", i)), int_at(b, text("/items/%zu/in_top_10", i)));
    }
}

static void group_is_the_mean_of_its_customers(void)
{
    double mean[PRODUCTS] = {0}, score[PRODUCTS];
    int top[PRODUCTS] = {0};
    char list[400] = "";
    for (int c = 0; c < GROUP; c++) {
        const char *id = text("c%03d", c * 7);
        sprintf(list + strlen(list), "%s\"%s\"", c > 0 ? "," : "", id);
        own_scores(id, score);
        standardise(score);
        for (int p = 0; p < PRODUCTS; p++)
            if (!bought[c * 7][p]) mean[p] += score[p] / GROUP; /* who has it is indifferent */
        struct reply *own = get(text("/v1/customers/%s/recommendations?strategy=als&limit=10", id));
        expect(own, 200);
        for (size_t i = 0; i < 10; i++) top[atoi(text_at(own, text("/items/%zu/product_id", i)) + 1)]++;
    }
    struct reply *r = post("/v1/recommendations/group", text("{\"customers\":[%s,\"c000\",\"nobody\"],\"strategy\":\"als\",\"limit\":10}", list));
    expect(r, 200);
    cr_expect(int_at(r, "/customers") == GROUP && int_at(r, "/personal") == GROUP, "one twice and one that nobody is: %.200s", r->body);
    cr_assert_eq(count_at(r, "/items"), 10);
    double sorted[PRODUCTS];
    memcpy(sorted, mean, sizeof sorted);
    qsort(sorted, PRODUCTS, sizeof *sorted, by_number);
    for (size_t i = 0; i < 10; i++) {
        const int p = atoi(text_at(r, text("/items/%zu/product_id", i)) + 1);
        cr_expect_float_eq(num_at(r, text("/items/%zu/score", i)), mean[p], 1e-3, "p%02d", p);
        cr_expect_float_eq(mean[p], sorted[PRODUCTS - 1 - i], 1e-3, "the %zu. is the %zu. best", i + 1, i + 1);
        cr_expect_eq(int_at(r, text("/items/%zu/in_top_10", i)), top[p], "p%02d", p);
    }
    const char *best = text_at(r, "/items/0/product_id");
    struct reply *without = post("/v1/recommendations/group", text("{\"customers\":[%s],\"strategy\":\"als\",\"exclude\":[\"%s\"],\"category\":\"cat%d\",\"limit\":30}",
                                                                   list, best, atoi(best + 1) % TASTES));
    expect(without, 200);
    cr_expect_eq(count_at(without, "/items"), PRODUCTS / TASTES - 1);
    for (size_t i = 0; i < count_at(without, "/items"); i++) {
        const char *id = text_at(without, text("/items/%zu/product_id", i));
        cr_expect(strcmp(id, best) != 0 && atoi(id + 1) % TASTES == atoi(best + 1) % TASTES, "%s", id);
    }
}

static void segment_is_the_group_of_its_members(void)
{
    run_job("{\"kind\":\"train.segments\",\"params\":{\"name\":\"people\",\"k\":3}}");
    struct reply *members = get("/v1/segmentations/people/segments/s1/customers?limit=1000");
    expect(members, 200);
    char *list = calloc(1, 1 << 16);
    const size_t n = count_at(members, "/data");
    for (size_t i = 0; i < n; i++) sprintf(list + strlen(list), "%s\"%s\"", i > 0 ? "," : "", text_at(members, text("/data/%zu/customer_id", i)));
    struct reply *segment = get("/v1/segmentations/people/segments/s1/recommendations?limit=20");
    struct reply *group = post("/v1/recommendations/group", text("{\"customers\":[%s],\"limit\":20}", list));
    expect(segment, 200);
    expect(group, 200);
    cr_expect_eq(int_at(segment, "/customers"), (int64_t)n);
    same_items(segment, group);
    same_items(segment, get("/v1/segmentations/people/segments/s1/recommendations?limit=20"));
    free(list);
    expect(get("/v1/segmentations/nothing/segments/s1/recommendations"), 404);
    expect(get("/v1/segmentations/people/segments/s99/recommendations"), 404);
}

Test(reco_people, many_customers_want_what_they_want_on_average)
{
    begin("{\"kind\":\"train.recommendations\",\"params\":{\"algorithm\":\"als\"}}");
    group_is_the_mean_of_its_customers();
    segment_is_the_group_of_its_members();
    expect(put("/v1/customers/c000/consent", "{\"profiling\":false}"), 200);
    struct reply *r = post("/v1/recommendations/group", "{\"customers\":[\"c000\"],\"limit\":5}");
    expect(r, 200);
    cr_expect(int_at(r, "/refused_profiling") == 1 && int_at(r, "/personal") == 0 && count_at(r, "/items") == 5, "%s", r->body);
    cr_expect(null_at(r, "/items/0/score"));
    expect_fault(post("/v1/recommendations/group", "{\"customers\":[]}"), 400, "/customers");
    expect_fault(post("/v1/recommendations/group", "{\"customers\":[\"a\",\"\"]}"), 400, "/customers/1");
    expect(post("/v1/recommendations/group", "{\"customers\":[\"c001\"],\"strategy\":\"popular\"}"), 422);
    end();
}
