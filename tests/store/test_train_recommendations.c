/* From events and orders to a model of recommendations: hold-out, choice, what is stored; odd shops. */
#include <math.h>

#include "import_support.h"
#include "meros/base/clock.h"
#include "meros/ml/topk.h"
#include "meros/model/artifact.h"
#include "meros/service/models.h"
#include "training_support.h"

static void open_shop_with(struct shop *s, int threads, size_t memory)
{
    shop_open(s);
    training_on(&s->svc, threads, memory);
}

static void open_shop(struct shop *s)
{
    open_shop_with(s, 2, 256u << 20);
}

static void close_shop(struct shop *s)
{
    training_off(&s->svc);
    shop_close(s);
}

/* The result of a training that succeeds; json_free it. */
static struct json *train(struct shop *s, const char *params)
{
    return succeed(&s->svc, "train.recommendations", params);
}

static void fails(struct shop *s, const char *params, const char *words)
{
    const struct seen *seen = run_to_end(&s->svc, "train.recommendations", params);
    cr_assert_eq(seen->state, JOB_FAILED, "%s: %s", params, seen->result);
    cr_assert_not_null(strstr(seen->error, words), "%s", seen->error);
}

static const struct json *metric(const struct json *result, const char *name)
{
    return json_get(json_get(result, "metrics"), name);
}

static struct str algorithm_of(const struct json *result)
{
    return json_str(metric(result, "algorithm"));
}

static const struct json *candidate(const struct json *result, const char *algorithm)
{
    const struct json *all = metric(result, "candidates");
    for (size_t i = 0; i < json_count(all); i++)
        if (str_is(json_str(json_get(json_at(all, i), "algorithm")), algorithm)) return json_at(all, i);
    return NULL;
}

/* The model that is stored as the active one; recommender_free it. */
static struct recommender *stored(struct shop *s)
{
    char *id = pg_text(s->db, "select model_id from models where kind = 'recommendations' and active");
    struct buf bytes;
    struct model m = {0};
    buf_init(&bytes, (size_t)1 << 30);
    for (size_t before = SIZE_MAX; bytes.len != before;) {
        before = bytes.len;
        cr_assert_eq(models_export(&s->svc, str_of(id), bytes.len, &bytes, &s->err), MEROS_OK, "%s", s->err.detail);
    }
    cr_assert_eq(artifact_decode(bytes.data, bytes.len, &m, &s->err), MEROS_OK, "%s", s->err.detail);
    buf_done(&bytes);
    free(id);
    return m.recommender;
}

static uint32_t item_of(struct shop *s, const struct recommender *r, const char *product_id)
{
    char sql[200];
    snprintf(sql, sizeof sql, "select product_no from products where product_id = '%s'", product_id);
    return recommender_item(r, pg_int(s->db, sql));
}

static void import(struct shop *s, enum dataset_kind dataset, struct buf *b)
{
    buf_char(b, '\0');
    shop_import(s, (struct import_options){.dataset = dataset}, b->data);
    buf_done(b);
}

static unsigned below(uint64_t *r, unsigned n)
{
    *r = *r * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*r >> 33) % n;
}

/* Customers who like one of four corners of the catalogue, of ten products each, and view a dozen over some days; every third
 * order is of the two first products of the corner. */
static void fill(struct shop *s, unsigned customers)
{
    struct buf events, orders;
    uint64_t r = 7;
    buf_init(&events, 16 << 20);
    buf_init(&orders, 16 << 20);
    buf_str(&events, "customer_id,type,occurred_at,product_id\n");
    buf_str(&orders, "order_id,customer_id,ordered_at,product_id,quantity\n");
    for (unsigned c = 0; c < customers; c++) {
        const unsigned corner = c % 4;
        for (unsigned k = 0; k < 12; k++)
            buf_printf(&events, "c%u,product_viewed,2024-03-%02uT%02u:00:00Z,p%u%u\n", c, 1 + 2 * k, below(&r, 24),
                       below(&r, 8) == 0 ? below(&r, 4) : corner, below(&r, 10));
        if (c % 3 == 0)
            for (unsigned k = 0; k < 2; k++)
                buf_printf(&orders, "o%u,c%u,2024-03-%02uT12:00:00Z,p%u%u,1\n", c, c, 1 + c % 28, corner, k);
    }
    import(s, DATASET_EVENTS, &events);
    import(s, DATASET_ORDERS, &orders);
}

Test(train_recommendations, finds_what_customers_like_and_says_how_well, .timeout = 300)
{
    struct shop s;
    open_shop(&s);
    fill(&s, 400);
    struct buf products;
    buf_init(&products, 1 << 20);
    buf_str(&products, "product_id,name,category,colour\n");
    for (int i = 0; i < 40; i++)
        buf_printf(&products, "p%d%d,%s number %d,Shop/%s,%s\n", i / 10, i % 10, (const char *[]){"Mug", "Lamp", "Rug", "Vase"}[i / 10], i, i < 20 ? "Bright" : "Soft", i % 2 ? "red" : "blue");
    buf_str(&products, "new,Mug never seen,Shop/Bright,red\n");
    import(&s, DATASET_PRODUCTS, &products);
    struct json *result = train(&s, "{\"holdout\":2}");
    const struct json *test = metric(result, "test"), *baseline = metric(result, "baseline");
    cr_expect_eq(json_int(json_get(test, "users")), 400);
    cr_expect_gt(json_num(json_get(test, "ndcg_at_10")), 1.5 * json_num(json_get(baseline, "ndcg_at_10")));
    cr_expect_eq(json_count(metric(result, "candidates")), RECO_ALGORITHMS);
    cr_expect(str_is(json_str(metric(result, "chosen_by")), "validation.ndcg_at_10"));
    double best = 0;
    for (size_t i = 0; i < json_count(metric(result, "candidates")); i++)
        best = fmax(best, json_num(json_get(json_get(json_at(metric(result, "candidates"), i), "validation"), "ndcg_at_10")));
    cr_expect_eq(json_num(json_get(metric(result, "validation"), "ndcg_at_10")), best, "the best of the validation was chosen");
    cr_expect_eq(json_int(metric(result, "customers")), 400);
    cr_expect_eq(json_int(metric(result, "products")), 41);
    cr_expect_eq(json_int(metric(result, "products_with_text")), 41);
    cr_expect_eq(json_int(metric(result, "orders")), 134);

    /* The model that is stored answers by itself. */
    struct recommender *r = stored(&s);
    cr_assert_eq(r->items, 41);
    cr_expect(str_is(algorithm_of(result), reco_algorithm_words[r->algorithm]));
    for (int a = 0; a <= RECO_ITEM_KNN; a++) cr_expect(recommender_has(r, (enum reco_algorithm)a), "%s", reco_algorithm_words[a]);
    const uint32_t mug = item_of(&s, r, "p00"), other = item_of(&s, r, "p01"), fresh = item_of(&s, r, "new");
    cr_assert_neq(fresh, RECO_NO_ITEM, "a product nobody has met is among the items for what is said of it");
    cr_expect_eq(r->popular[fresh], 0);
    cr_expect_gt(r->content.start[fresh + 1], r->content.start[fresh]);
    cr_assert_gt(r->together.table.start[mug + 1], r->together.table.start[mug]);
    cr_expect_eq(r->together.table.item[r->together.table.start[mug]], other);
    struct reco_history h = {.item = (const uint32_t[]){mug, other}, .weight = (const float[]){1, 1}, .n = 2};
    float scores[41], scratch[41];
    recommender_score(r, r->algorithm, &h, scratch, scores);
    scores[mug] = scores[other] = -INFINITY;
    struct scored list[5];
    char *nos = pg_text(s.db, "select string_agg(product_no::text, ',') from products where product_id like 'p0%'");
    for (size_t i = 0; i < topk_select(scores, 41, 5, list); i++) {
        char no[32];
        snprintf(no, sizeof no, "%lld", (long long)r->product_no[list[i].item]);
        cr_expect_not_null(strstr(nos, no), "product %s is not of the customer's corner", no);
    }
    free(nos);
    recommender_free(r);
    json_free(result);
    EXPECT_TABLE(&s, "select kind, name, version, active, rows > 0, seed from models", "recommendations|recommendations|1|t|t|0\n");
    close_shop(&s);
}

static char *sum_of(struct shop *s)
{
    struct recommender *r = stored(s);
    struct buf bytes;
    unsigned char sum[SHA256_BYTES];
    char hex[2 * SHA256_BYTES + 1];
    r->trained_at = 0;
    buf_init(&bytes, 1 << 28);
    cr_assert_eq(artifact_encode(&(struct model){MODEL_RECOMMENDATIONS, {.recommender = r}}, &bytes, &s->err), MEROS_OK);
    crypto_sha256(bytes.data, bytes.len, sum);
    hex_encode(sum, sizeof sum, hex);
    buf_done(&bytes);
    recommender_free(r);
    return strdup(hex);
}

Test(train_recommendations, gives_the_same_bits_for_any_number_of_threads, .timeout = 300)
{
    static const char *const params[] = {"{\"algorithm\":\"als\",\"seed\":5}", "{\"algorithm\":\"blend\"}", "{\"algorithm\":\"ease\",\"evaluate\":false}"};
    struct shop s;
    char *sums[2][3];
    open_shop(&s);
    fill(&s, 200);
    for (int k = 0; k < 2; k++) {
        s.svc.settings.training_threads = k == 0 ? 1 : 3;
        for (int i = 0; i < 3; i++) {
            json_free(train(&s, params[i]));
            sums[k][i] = sum_of(&s);
        }
    }
    for (int i = 0; i < 3; i++) {
        cr_expect_str_eq(sums[0][i], sums[1][i], "%s", params[i]);
        free(sums[0][i]);
        free(sums[1][i]);
    }
    EXPECT_TABLE(&s, "select count(*), count(*) filter (where active) from models", "6|1\n");
    close_shop(&s);
}

Test(train_recommendations, of_odd_shops_is_a_model_or_says_why_not, .timeout = 300)
{
    struct shop s;
    open_shop(&s);
    fails(&s, "{}", "import orders, or events");
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity\no1,a,2024-01-01,p,-1\n");
    fails(&s, "{}", "nothing to recommend from");
    fails(&s, "{\"as_of\":\"2023-01-01\"}", "before 2023-01-01");

    /* One product, one customer. */
    shop_import(&s, (struct import_options){.dataset = DATASET_EVENTS}, "customer_id,type,occurred_at,product_id\nb,product_viewed,2024-01-02,q\n");
    struct json *result = train(&s, "{}");
    cr_expect(str_is(algorithm_of(result), "popular"));
    cr_expect(str_is(json_str(metric(result, "chosen_by")), "too_few_interactions"));
    cr_expect_eq(json_kind(metric(result, "test")), JSON_KIND_NULL);
    json_free(result);
    json_free(train(&s, "{\"algorithm\":\"popular\"}"));
    json_free(train(&s, "{\"algorithm\":\"als\"}"));
    fails(&s, "{\"algorithm\":\"item_knn\"}", "found nothing");
    fails(&s, "{\"algorithm\":\"ease\"}", "found nothing");
    fails(&s, "{\"algorithm\":\"sequence\"}", "found nothing");
    fails(&s, "{\"algorithm\":\"content\"}", "words");
    result = train(&s, "{\"algorithm\":\"blend\"}"); /* which nothing can be learnt for */
    cr_expect(str_is(algorithm_of(result), "popular"));
    cr_expect_neq(json_kind(json_get(candidate(result, "blend"), "left_out")), JSON_KIND_NULL);
    json_free(result);

    /* All have the same pairs. */
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "customer_id,type,occurred_at,product_id\n");
    for (int c = 0; c < 30; c++)
        for (int p = 0; p < 4; p++) buf_printf(&b, "same%d,product_viewed,2024-02-0%d,x%d\n", c, 1 + p, p);
    import(&s, DATASET_EVENTS, &b);
    result = train(&s, "{}");
    cr_expect_eq(json_int(json_get(metric(result, "test"), "users")), 30);
    cr_expect_eq(json_int(metric(result, "negative_interactions")), 1);
    json_free(result);
    close_shop(&s);
}

Test(train_recommendations, leaves_out_what_does_not_fit_and_says_so, .timeout = 300)
{
    struct shop s;
    struct buf b;
    open_shop_with(&s, 2, 64u << 20);
    buf_init(&b, 16 << 20);
    buf_str(&b, "customer_id,type,occurred_at,product_id\n");
    for (int i = 0; i < 12000; i++) buf_printf(&b, "c%d,product_viewed,2024-01-%02d,p%d\n", i % 100, 1 + i / 100 % 28, i % 4001);
    import(&s, DATASET_EVENTS, &b);
    fails(&s, "{\"algorithm\":\"ease\",\"evaluate\":false}", "63 MB");
    fails(&s, "{\"algorithm\":\"ease\",\"evaluate\":false}", "4001 products");
    s.svc.settings.training_memory_bytes = 70u << 20; /* the others fit */
    struct json *result = train(&s, "{}");
    const struct str why = json_str(json_get(candidate(result, "ease"), "left_out"));
    cr_assert(str_present(why));
    cr_expect(why.n > 20 && memmem(why.p, why.n, "4001 products", 13) != NULL, "%.*s", (int)why.n, why.p);
    cr_expect_eq(json_kind(json_get(candidate(result, "item_knn"), "left_out")), JSON_KIND_NULL);
    json_free(result);

    /* Enough for a hundred neighbours of each product, not for the two hundred that a search would go on to. */
    s.svc.settings.training_memory_bytes = 12u << 20;
    result = train(&s, "{}");
    cr_expect_eq(json_kind(json_get(candidate(result, "item_knn"), "left_out")), JSON_KIND_NULL);
    json_free(result);
    s.svc.settings.training_memory_bytes = 5u << 20;
    result = train(&s, "{}");
    cr_expect(str_is(algorithm_of(result), "popular"));
    cr_expect(str_present(json_str(json_get(candidate(result, "item_knn"), "left_out"))));
    cr_expect(str_present(json_str(json_get(candidate(result, "sequence"), "left_out"))));
    json_free(result);
    fails(&s, "{\"algorithm\":\"item_knn\"}", "4001 products");
    json_free(train(&s, "{\"algorithm\":\"popular\"}"));
    s.svc.settings.training_memory_bytes = 1u << 16;
    fails(&s, "{}", "MEROS_TRAINING_MEMORY");
    close_shop(&s);
}

Test(train_recommendations, of_products_that_nobody_has_met_takes_no_memory_for_ease, .timeout = 300)
{
    struct shop s;
    struct buf b;
    open_shop_with(&s, 2, 40u << 20);
    fill(&s, 200);
    buf_init(&b, 16 << 20);
    buf_str(&b, "product_id,name\n");
    for (int i = 0; i < 6000; i++) buf_printf(&b, "new%d,Fresh thing %d\n", i, i);
    import(&s, DATASET_PRODUCTS, &b);
    struct json *result = train(&s, "{\"algorithm\":\"ease\",\"evaluate\":false}");
    cr_expect_eq(json_int(metric(result, "products")), 6040);
    json_free(result);
    close_shop(&s);
}
