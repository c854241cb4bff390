/* The pipeline over a made catalogue and a made model: whatever is asked, nothing comes that the query, the rules or the catalogue
 * exclude, the shelf is full as long as anything is left, and what is kept beside a shelf says what would be said anew. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "../../../src/service/catalog_priv.h"
#include "../../../src/service/reco_rules_priv.h"
#include "../../../src/service/recommend_priv.h"
#include "../../../src/service/shelf_priv.h"
#include "meros/base/clock.h"
#include "meros/ml/rng.h"

/* Products 0 .. ITEMS - 1 are the model's, the others came after it. Product p has number p + 1. Every twentieth is bought again. */
enum { PRODUCTS = 500, ITEMS = 400, NEAR = 12, SHELVES = 40, KINDS = 5, REPEAT_DAYS = 30, RECENT = 4 };
static const int64_t now = INT64_C(1795294830) * TIME_SECOND;

static int64_t today; /* goes on while queries are asked, so that things become due */

static struct service svc;
static struct ml_rng rng;
static struct snapshot_holder *models;
static bool modelled;
static bool available[PRODUCTS], deleted[PRODUCTS];
static char id[PRODUCTS][8], category[PRODUCTS][24], attributes[PRODUCTS][64];
static struct shelf *shelves[SHELVES];
static struct interaction_row *rows_of[SHELVES];

static uint32_t below(uint32_t n)
{
    return (uint32_t)ml_rng_below(&rng, n);
}

static double price_of(int p)
{
    return p % 10 == 9 ? NAN : 1 + p % 37;
}

static bool again(int p)
{
    return p < ITEMS && p % 20 == 0;
}

static struct catalog_row row_of(int p)
{
    snprintf(id[p], sizeof id[p], "p%d", p);
    snprintf(category[p], sizeof category[p], "kind%d/sub%d", p % KINDS, p % 3);
    snprintf(attributes[p], sizeof attributes[p], "{\"colour\":\"%s\",\"size\":%d,\"tags\":[\"t%d\"]}", p % 4 == 0 ? "red" : "blue", p % 6, p % 7);
    return (struct catalog_row){.product_no = p + 1, .product_id = str_of(id[p]), .name = STR_NONE, .category = str_of(category[p]), .description = STR_NONE,
                                .attributes = str_of(attributes[p]), .price = price_of(p), .available = available[p], .deleted = deleted[p], .changed_at = now};
}

static void make_catalog(void)
{
    static struct catalog_row rows[PRODUCTS];
    struct meros_err err = MEROS_ERR_INIT;
    for (int p = 0; p < PRODUCTS; p++) {
        available[p] = below(10) != 0;
        deleted[p] = below(20) == 0;
        rows[p] = row_of(p);
    }
    cr_assert_eq(catalog_take(&svc, rows, PRODUCTS, &err), MEROS_OK, "%s", err.detail);
}

static void near_table(struct neighbours *t)
{
    t->items = ITEMS;
    t->n = (size_t)ITEMS * NEAR;
    t->start = calloc(ITEMS + 1, sizeof *t->start);
    t->item = calloc(t->n, sizeof *t->item);
    t->score = calloc(t->n, sizeof *t->score);
    for (uint32_t i = 0; i < ITEMS; i++) {
        t->start[i + 1] = t->start[i] + NEAR;
        for (uint32_t k = 0; k < NEAR; k++) {
            t->item[i * NEAR + k] = (i + 1 + k * 29 + i % 3) % ITEMS;
            t->score[i * NEAR + k] = 1 - (float)k / NEAR + (float)(i % 11) * 1e-3f;
        }
    }
}

static void make_model(int64_t model_no)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct recommender *r = recommender_new(ITEMS);
    r->algorithm = RECO_ITEM_KNN;
    r->weights = interaction_weights_default;
    for (int i = 0; i < ITEMS; i++) {
        r->product_no[i] = i + 1;
        r->popular[i] = i % 17 == 0 ? 0 : 1 - (float)i / ITEMS;
        r->trending[i] = (float)(i % 50) / 50;
        r->repeat_days[i] = again(i) ? REPEAT_DAYS : 0;
    }
    near_table(&r->item_knn);
    near_table(&r->content);
    near_table(&r->next);
    near_table(&r->together.table);
    r->together.baskets = 1000;
    r->together.count = calloc(r->together.table.n, sizeof *r->together.count);
    r->together.alone = calloc(ITEMS, sizeof *r->together.alone);
    for (size_t e = 0; e < r->together.table.n; e++) r->together.count[e] = 5;
    for (int i = 0; i < ITEMS; i++) r->together.alone[i] = 20;
    r->next_decay = .5;
    cr_assert_eq(recommender_finish(r, &err), MEROS_OK, "%s", err.detail);
    struct snapshot *s = snapshot_new(0);
    snapshot_add_recommender(s, &(struct snapshot_recommender){.recommender = r, .id = "mdl_x", .version = 1, .model_no = model_no});
    snapshot_publish(models, s);
    modelled = true;
}

static struct shelf *make_shelf(const char *name, const struct interaction_row *rows, size_t n, struct interaction_row **out)
{
    struct interaction_row *to;
    struct shelf *s = shelf_new(str_of(name), n, &to);
    memcpy(to, rows, n * sizeof *rows);
    s->customer_no = 1;
    s->known = s->profiling = true;
    *out = to;
    return s;
}

static void make_shelves(void)
{
    for (int i = 0; i < SHELVES; i++) {
        struct interaction_row rows[40];
        char name[16];
        bool there[PRODUCTS] = {false};
        size_t n = 0;
        for (uint32_t left = 1 + below(40); left > 0; left--) {
            const int p = below(3) == 0 ? 20 * (int)below(ITEMS / 20) : (int)below(PRODUCTS);
            if (there[p]) continue;
            there[p] = true;
            const bool bought = below(2) == 0;
            rows[n++] = (struct interaction_row){.product_no = p + 1, .weight = bought ? 5 : below(5) == 0 ? -1 : 1, .last_at = now - TIME_DAY,
                                                 .bought_at = bought ? now - (int64_t)(1 + below(60)) * TIME_DAY : TIME_NONE, .purchases = bought ? 1 + (int)below(4) : 0};
        }
        snprintf(name, sizeof name, "c%d", i);
        shelves[i] = make_shelf(name, rows, n, &rows_of[i]);
    }
}

static void begin(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    ml_rng_seed(&rng, 77);
    today = now;
    memset(svc.settings.pii_key, 3, sizeof svc.settings.pii_key);
    cr_assert_eq(reco_rules_set(&svc, NULL, 0, NULL, &err), MEROS_OK, "%s", err.detail);
    models = snapshot_holder_new();
    cr_assert_eq(recommending_new(models, &svc.recommending, &err), MEROS_OK);
    make_catalog();
    make_shelves();
}

static void end(void)
{
    for (int i = 0; i < SHELVES; i++) shelf_release(shelves[i]);
    recommending_free(&svc);
    catalog_free(&svc);
    reco_rules_free(&svc);
    snapshot_holder_free(models);
}

/* --- what may come, worked out without the pipeline */

static bool admits(const struct recommend_query *q, const struct shelf *s, const struct reco_rule *rules, size_t n_rules, int p)
{
    if (deleted[p] || (q->available && !available[p])) return false;
    for (size_t i = 0; i < n_rules; i++) {
        if (rules[i].kind != RECO_BLOCK || !reco_rule_active(&rules[i], q->now)) continue;
        if (str_present(rules[i].category) && strncmp(category[p], rules[i].category.p, rules[i].category.n) == 0) return false;
        for (size_t k = 0; k < rules[i].n_products; k++)
            if (str_is(rules[i].product_ids[k], id[p])) return false;
    }
    if (str_present(q->category) && strncmp(category[p], q->category.p, q->category.n) != 0) return false;
    if (!isnan(q->min_price) && !(price_of(p) >= q->min_price)) return false;
    if (!isnan(q->max_price) && !(price_of(p) <= q->max_price)) return false;
    for (size_t i = 0; i < q->n_attributes; i++) {
        if (str_is(q->attributes[i].name, "colour") && str_is(q->attributes[i].value, "red") != (p % 4 == 0)) return false;
        if (str_is(q->attributes[i].name, "size") && q->attributes[i].value.p[0] - '0' != p % 6) return false;
        if (str_is(q->attributes[i].name, "tags") && q->attributes[i].value.p[1] - '0' != p % 7) return false;
    }
    for (size_t i = 0; i < q->n_exclude; i++)
        if (str_is(q->exclude[i], id[p])) return false;
    for (size_t i = 0; s != NULL && i < s->n; i++) {
        const struct interaction_row *r = &s->rows[i];
        if (r->product_no != p + 1) continue;
        if (q->exclude_seen) return false;
        const bool due = modelled && again(p) && r->bought_at != TIME_NONE && r->bought_at + REPEAT_DAYS * TIME_DAY <= q->now && s->profiling;
        if (q->exclude_purchased && r->bought_at != TIME_NONE && !due) return false;
    }
    return true;
}

static struct recommend_query any_query(struct str *exclude)
{
    static const char *const kinds[] = {"kind0", "kind1/sub2", "kind3", "kind4/sub0", "none"}, *const colours[] = {"red", "blue"},
                      *const sizes[] = {"0", "3", "5"}, *const tags[] = {"t0", "t4"};
    struct recommend_query q = recommend_query_default();
    q.now = today;
    q.strategy = below(2) == 0 ? RECOMMEND_AUTO : (enum recommend_strategy)below(RECOMMEND_NEWEST);
    q.limit = below(2) == 0 ? 10 : 1 + below(RECOMMEND_LIMIT_MAX);
    if (below(3) == 0) q.category = str_of(kinds[below(5)]);
    if (below(4) == 0) q.min_price = below(30);
    if (below(4) == 0) q.max_price = 10 + below(30);
    if (below(5) == 0) q.attributes[q.n_attributes].name = STR("colour"), q.attributes[q.n_attributes++].value = str_of(colours[below(2)]);
    if (below(6) == 0) q.attributes[q.n_attributes].name = STR("size"), q.attributes[q.n_attributes++].value = str_of(sizes[below(3)]);
    if (below(8) == 0) q.attributes[q.n_attributes].name = STR("tags"), q.attributes[q.n_attributes++].value = str_of(tags[below(2)]);
    q.exclude = exclude;
    for (uint32_t k = below(3) == 0 ? below(30) : 0; k > 0; k--) exclude[q.n_exclude++] = str_of(id[below(PRODUCTS)]);
    q.exclude_purchased = below(3) != 0;
    q.exclude_seen = below(4) == 0;
    q.available = below(5) != 0;
    if (below(4) == 0) q.diversity = below(11) / 10.;
    return q;
}

static bool promoted(const struct reco_rule *rules, size_t n_rules, int p)
{
    for (size_t i = 0; i < n_rules; i++)
        if (rules[i].kind == RECO_PROMOTE && strncmp(category[p], rules[i].category.p, rules[i].category.n) == 0) return true;
    return false;
}

/* Nothing that is excluded, nothing twice. How many products might have come. */
static size_t only_what_may_come(const struct recommend_query *q, const struct shelf *s, const struct recommend_answer *a,
                                 const struct reco_rule *rules, size_t n_rules)
{
    bool came[PRODUCTS] = {false};
    size_t possible = 0;
    for (int p = 0; p < PRODUCTS; p++) possible += admits(q, s, rules, n_rules, p);
    for (size_t i = 0; i < a->n; i++) {
        const int p = (int)a->picks[i].product_no - 1;
        cr_assert(admits(q, s, rules, n_rules, p), "%s came, for reason %s by %s", id[p], recommend_reason_words[a->picks[i].reason],
                  recommend_strategy_words[a->picks[i].by]);
        cr_assert_not(came[p], "%s came twice", id[p]);
        if (a->picks[i].reason == REASON_PROMOTED) cr_assert(promoted(rules, n_rules, p), "%s was not to be promoted", id[p]);
        came[p] = true;
    }
    return possible;
}

static void check(const struct recommend_query *q, const struct shelf *s, const struct recommend_answer *a, const struct reco_rule *rules, size_t n_rules)
{
    const size_t possible = only_what_may_come(q, s, a, rules, n_rules);
    cr_assert_eq(a->n, possible < q->limit ? possible : q->limit, "%zu of %zu places are filled, %zu products may come", a->n, q->limit, possible);
}

/* From "customer_id" on: before it is what differs between two answers. */
static const char *said(struct buf *b, const struct recommend_query *q, const struct shelf *s, struct arena *arena)
{
    struct meros_err err = MEROS_ERR_INIT;
    buf_clear(b);
    cr_assert_eq(recommend_json(&svc, q, s->customer_id, s, NULL, 0, arena, b, &err), MEROS_OK, "%s", err.detail);
    return strstr(b->data, "\"customer_id\"");
}

/* The shelf as the answer has to see it: some have refused profiling, and with some queries come recent products, which count as
 * rows of their own. */
static struct shelf *beside(const struct shelf *s, const struct recommend_recent *recent, size_t n_recent, bool profiling)
{
    struct interaction_row rows[40 + RECENT], *to;
    char name[ID_MAX + 1];
    size_t n = s != NULL ? s->n : 0;
    cr_assert(str_copy(name, sizeof name, s != NULL ? s->customer_id : STR("nobody")));
    if (n > 0) memcpy(rows, s->rows, n * sizeof *rows);
    for (size_t i = 0; i < n_recent; i++) {
        if (recent[i].product_id.p[0] != 'p') continue;
        const bool bought = str_present(recent[i].type);
        rows[n++] = (struct interaction_row){.product_no = atoi(recent[i].product_id.p + 1) + 1, .weight = 1, .bought_at = bought ? today : TIME_NONE};
    }
    struct shelf *out = make_shelf(name, rows, n, &to);
    out->profiling = profiling;
    return out;
}

static void ask_one(const struct recommend_query *q, const struct shelf *s, const struct reco_rule *rules, size_t n_rules, struct arena *arena)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct recommend_answer a;
    struct recommend_recent recent[RECENT];
    const size_t n_recent = below(4) == 0 ? below(RECENT + 1) : 0;
    const bool profiling = s == NULL || below(8) != 0;
    for (size_t i = 0; i < n_recent; i++)
        recent[i] = (struct recommend_recent){below(9) == 0 ? STR("nowhere") : str_of(id[below(PRODUCTS)]), below(3) == 0 ? STR("order_completed") : STR_NONE};
    struct shelf *seen = beside(s, recent, n_recent, profiling), *asked = s != NULL ? beside(s, NULL, 0, profiling) : NULL;
    cr_assert_eq(recommend(&svc, q, s != NULL ? s->customer_id : STR_NONE, profiling ? s : asked, recent, n_recent, arena, &a, &err), MEROS_OK, "%s", err.detail);
    check(q, seen, &a, rules, n_rules);
    for (size_t i = 0; i < a.n && !profiling; i++) cr_assert_not(reco_personal(a.picks[i].by), "%s came by %s", id[a.picks[i].product_no - 1], recommend_strategy_words[a.picks[i].by]);
    cr_assert(profiling || (!a.personalised && strcmp(a.why_not, "consent") == 0 && a.experiment_no == 0));
    shelf_release(seen);
    shelf_release(asked);
}

/* Of products: what is similar to one, bought with it, popular, trending. */
static void ask_of_products(struct recommend_query q, const struct reco_rule *rules, size_t n_rules, struct arena *arena)
{
    static const enum recommend_strategy of[] = {RECOMMEND_SIMILAR, RECOMMEND_BOUGHT_TOGETHER, RECOMMEND_POPULAR, RECOMMEND_TRENDING};
    struct meros_err err = MEROS_ERR_INIT;
    struct recommend_answer a;
    struct recommend_pair *pairs;
    const int p = (int)below(PRODUCTS);
    const uint32_t which = below(4);
    q.strategy = of[which];
    const enum meros_code rc = recommend_products(&svc, &q, str_of(id[p]), arena, &a, &pairs, &err);
    if (which < 2 && deleted[p]) {
        cr_assert_eq(rc, MEROS_NOT_FOUND);
        return;
    }
    cr_assert_eq(rc, MEROS_OK, "%s", err.detail);
    for (size_t i = 0; i < a.n && which < 2; i++) cr_assert_neq(a.picks[i].product_no, p + 1, "%s is similar to itself", id[p]);
    if (which < 2) only_what_may_come(&q, NULL, &a, rules, n_rules);
    else check(&q, NULL, &a, rules, n_rules);
}

/* What differs from the last query in one thing only must not be taken for it. */
static void ask_for_something_close(const struct recommend_query *last, const struct shelf *s, struct arena *arena)
{
    struct recommend_query q = *last;
    struct str exclude[30];
    struct buf one, other;
    for (size_t i = 0; i < q.n_exclude; i++) exclude[i] = q.exclude[i];
    q.exclude = exclude;
    switch (below(10)) {
    case 0: q.limit = q.limit % RECOMMEND_LIMIT_MAX + 1; break;
    case 1: q.strategy = (q.strategy + 1) % RECOMMEND_NEWEST; break;
    case 2: q.min_price = isnan(q.min_price) ? 20 : q.min_price + 10; break;
    case 3: q.max_price = isnan(q.max_price) ? 20 : q.max_price - 7; break;
    case 4: q.diversity = q.diversity > .5 ? 0 : .9; break;
    case 5: q.exclude_purchased = !q.exclude_purchased; break;
    case 6: q.exclude_seen = !q.exclude_seen; break;
    case 7: q.available = !q.available; break;
    case 8:
        if (q.n_exclude > 0) exclude[below((uint32_t)q.n_exclude)] = str_of(id[below(PRODUCTS)]);
        else q.category = str_present(q.category) ? STR_NONE : STR("kind1");
        break;
    default:
        if (q.n_attributes > 0 && below(3) == 0) {
            q.attributes[0].name = STR("nothing");
            break;
        }
        if (q.n_attributes == 0) q.attributes[q.n_attributes++].name = STR("size");
        q.attributes[0].value = str_is(q.attributes[0].name, "colour") ? (str_is(q.attributes[0].value, "red") ? STR("blue") : STR("red"))
                                : str_is(q.attributes[0].name, "size") ? STR("1") : STR("t2");
    }
    buf_init(&one, 1 << 20);
    buf_init(&other, 1 << 20);
    struct shelf *fresh = beside(s, NULL, 0, true);
    cr_assert_str_eq(said(&one, &q, s, arena), said(&other, &q, fresh, arena));
    shelf_release(fresh);
    buf_done(&one);
    buf_done(&other);
}

static void ask_at_random(int queries, const struct reco_rule *rules, size_t n_rules)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct buf one, other;
    buf_init(&one, 1 << 20);
    buf_init(&other, 1 << 20);
    for (int i = 0; i < queries; i++) {
        struct str exclude[30];
        struct arena arena;
        const struct recommend_query q = any_query(exclude);
        const uint32_t k = below(SHELVES + 4);
        const struct shelf *s = k < SHELVES ? shelves[k] : NULL;
        arena_init(&arena, 64 << 20);
        ask_one(&q, s, rules, n_rules, &arena);
        if (i % 5 == 0) ask_of_products(q, rules, n_rules, &arena);
        if (s != NULL && i % 4 == 0) { /* the second of these is a copy; a shelf that was just read has nothing beside it */
            struct shelf *fresh = beside(s, NULL, 0, true);
            const char *first = said(&one, &q, s, &arena), *anew = said(&other, &q, fresh, &arena);
            cr_assert_str_eq(first, anew);
            cr_assert_str_eq(said(&one, &q, s, &arena), anew);
            shelf_release(fresh);
            ask_for_something_close(&q, s, &arena);
        }
        arena_done(&arena);
        if (i % 200 == 199) today += TIME_DAY;
        if (i % 50 == 0) { /* the catalogue changes under what is kept */
            const int p = (int)below(PRODUCTS);
            available[p] = !available[p];
            const struct catalog_row row = row_of(p);
            cr_assert_eq(catalog_take(&svc, &row, 1, &err), MEROS_OK);
        }
    }
    buf_done(&one);
    buf_done(&other);
}

Test(recommend, ten_thousand_combinations_return_nothing_that_they_exclude)
{
    begin();
    ask_at_random(1000, NULL, 0); /* without a model */
    make_model(1);
    ask_at_random(6000, NULL, 0);
    struct meros_err err = MEROS_ERR_INIT;
    static const struct str some[] = {{"p10", 3}, {"p11", 3}, {"p5", 2}}, pinned[] = {{"p42", 3}}, other[] = {{"p43", 3}};
    const struct reco_rule rules[] = {
        {.kind = RECO_BLOCK, .name = STR("a"), .product_ids = some, .n_products = 3, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
        {.kind = RECO_BLOCK, .name = STR("b"), .category = STR("kind2"), .attribute = STR_NONE, .value = STR_NONE, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = today + 5 * TIME_DAY},
        {.kind = RECO_PIN, .name = STR("c"), .product_ids = pinned, .n_products = 1, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .place = 2, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
        {.kind = RECO_PIN, .name = STR("d"), .product_ids = other, .n_products = 1, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .place = 2, .within = STR("kind3"), .starts_at = TIME_NONE, .ends_at = TIME_NONE},
        {.kind = RECO_PROMOTE, .name = STR("e"), .category = STR("kind1"), .attribute = STR_NONE, .value = STR_NONE, .share = .3, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
    };
    cr_assert_eq(reco_rules_set(&svc, rules, 5, NULL, &err), MEROS_OK);
    ask_at_random(2000, rules, 5);
    const struct reco_experiment_info x = {.experiment_no = 5, .name = STR("two"), .arms = {RECOMMEND_SIMILAR, RECOMMEND_TRENDING}, .interleave = true};
    cr_assert_eq(reco_rules_set(&svc, rules, 5, &x, &err), MEROS_OK);
    ask_at_random(1000, rules, 5);
    end();
}

Test(recommend, an_interleaved_answer_has_as_many_of_either_list)
{
    begin();
    make_model(1);
    struct meros_err err = MEROS_ERR_INIT;
    const struct reco_experiment_info x = {.experiment_no = 5, .name = STR("two"), .arms = {RECOMMEND_SIMILAR, RECOMMEND_TRENDING}, .interleave = true};
    cr_assert_eq(reco_rules_set(&svc, NULL, 0, &x, &err), MEROS_OK);
    size_t begins[2] = {0, 0};
    for (int i = 0; i < SHELVES; i++) {
        struct recommend_query q = recommend_query_default();
        struct recommend_answer a;
        struct arena arena;
        q.now = now;
        if (shelves[i]->n < 10) continue;
        arena_init(&arena, 64 << 20);
        cr_assert_eq(recommend(&svc, &q, shelves[i]->customer_id, shelves[i], NULL, 0, &arena, &a, &err), MEROS_OK);
        cr_assert_eq(a.arm, -1);
        cr_assert_eq(a.experiment_no, 5);
        size_t of[2] = {0, 0};
        for (size_t k = 0; k < a.n; k++) of[a.picks[k].arm]++;
        cr_assert(of[0] == 5 && of[1] == 5, "%zu and %zu", of[0], of[1]);
        begins[a.picks[0].arm]++;
        arena_done(&arena);
    }
    cr_assert(begins[0] > 0 && begins[1] > 0, "chance decides who begins");
    end();
}

Test(recommend, what_a_rule_puts_into_an_interleaved_answer_is_of_neither_list)
{
    begin();
    make_model(1);
    struct meros_err err = MEROS_ERR_INIT;
    static const struct str pinned[] = {{"p499", 4}}, some[] = {{"p20", 3}, {"p21", 3}, {"p22", 3}};
    available[499] = true;
    deleted[499] = false;
    const struct catalog_row row = row_of(499);
    cr_assert_eq(catalog_take(&svc, &row, 1, &err), MEROS_OK);
    const struct reco_rule rules[] = {
        {.kind = RECO_PIN, .name = STR("c"), .product_ids = pinned, .n_products = 1, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .place = 1, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
        {.kind = RECO_PROMOTE, .name = STR("e"), .product_ids = some, .n_products = 3, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .share = .2, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
    };
    const struct reco_experiment_info x = {.experiment_no = 5, .name = STR("two"), .arms = {RECOMMEND_SIMILAR, RECOMMEND_TRENDING}, .interleave = true};
    cr_assert_eq(reco_rules_set(&svc, rules, 2, &x, &err), MEROS_OK);
    size_t by_rules = 0;
    for (int i = 0; i < SHELVES; i++) {
        struct recommend_query q = recommend_query_default();
        struct recommend_answer a;
        struct arena arena;
        q.now = now;
        if (shelves[i]->n < 10) continue;
        arena_init(&arena, 64 << 20);
        cr_assert_eq(recommend(&svc, &q, shelves[i]->customer_id, shelves[i], NULL, 0, &arena, &a, &err), MEROS_OK);
        for (size_t k = 0; k < a.n; k++) {
            const bool by_rule = a.picks[k].reason == REASON_PINNED || a.picks[k].reason == REASON_PROMOTED;
            cr_assert_eq(a.picks[k].arm == RECOMMENDATION_NO_ARM, by_rule, "place %zu", k);
            by_rules += by_rule;
        }
        arena_done(&arena);
    }
    cr_assert_gt(by_rules, 0);
    end();
}

Test(recommend, promoted_products_are_spread_and_pinned_ones_are_at_their_place)
{
    begin();
    make_model(1);
    struct meros_err err = MEROS_ERR_INIT;
    static const struct str pinned[] = {{"p499", 4}};
    available[499] = true;
    deleted[499] = false;
    const struct catalog_row row = row_of(499);
    cr_assert_eq(catalog_take(&svc, &row, 1, &err), MEROS_OK);
    const struct reco_rule rules[] = {
        {.kind = RECO_PIN, .name = STR("c"), .product_ids = pinned, .n_products = 1, .category = STR_NONE, .attribute = STR_NONE, .value = STR_NONE, .place = 1, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
        {.kind = RECO_PROMOTE, .name = STR("e"), .category = STR("kind1"), .attribute = STR_NONE, .value = STR_NONE, .share = .29, .within = STR_NONE, .starts_at = TIME_NONE, .ends_at = TIME_NONE},
    };
    cr_assert_eq(reco_rules_set(&svc, rules, 2, NULL, &err), MEROS_OK);
    for (int i = 0; i < SHELVES; i++) {
        struct recommend_query q = recommend_query_default();
        struct recommend_answer a;
        struct arena arena;
        bool had = false;
        q.now = now;
        for (size_t k = 0; k < shelves[i]->n; k++) had |= shelves[i]->rows[k].product_no == 500;
        arena_init(&arena, 64 << 20);
        cr_assert_eq(recommend(&svc, &q, STR_NONE, shelves[i], NULL, 0, &arena, &a, &err), MEROS_OK);
        cr_assert(had || (a.picks[0].product_no == 500 && a.picks[0].reason == REASON_PINNED));
        cr_assert_eq(a.picks[2].reason, REASON_PROMOTED, "two of ten, in the middles of the halves");
        cr_assert_eq(a.picks[7].reason, REASON_PROMOTED);
        arena_done(&arena);
    }
    end();
}

Test(recommend, what_is_kept_does_not_outlive_the_moment_at_which_something_becomes_due)
{
    begin();
    make_model(1);
    struct buf one, other;
    buf_init(&one, 1 << 20);
    buf_init(&other, 1 << 20);
    for (int i = 0; i < SHELVES; i++) {
        for (int day = 0; day < 60; day += 2) {
            struct recommend_query q = recommend_query_default();
            struct arena arena;
            arena_init(&arena, 64 << 20);
            q.now = now + day * TIME_DAY;
            q.strategy = RECOMMEND_CONTENT;
            q.limit = RECOMMEND_LIMIT_MAX;
            struct shelf *fresh = beside(shelves[i], NULL, 0, true);
            cr_assert_str_eq(said(&one, &q, shelves[i], &arena), said(&other, &q, fresh, &arena), "c%d, day %d", i, day);
            shelf_release(fresh);
            arena_done(&arena);
        }
    }
    buf_done(&one);
    buf_done(&other);
    end();
}

static int64_t next_due(const struct shelf *s)
{
    int64_t next = INT64_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const struct interaction_row *r = &s->rows[i];
        const int64_t due = r->bought_at != TIME_NONE && again((int)r->product_no - 1) ? r->bought_at + REPEAT_DAYS * TIME_DAY : INT64_MAX;
        if (due > clock_now() && due < next) next = due;
    }
    return next;
}

Test(recommend, changes_that_open_nothing_leave_what_is_kept)
{
    begin();
    make_model(1);
    struct meros_err err = MEROS_ERR_INIT;
    struct scored top[RECOMMEND_KEPT];
    size_t n;
    bool all;
    recommend_prepare(&svc, shelves[0]);
    const uint64_t opened = svc.recommending->view->opened;
    const struct reco_kept_of of = {1, opened, RECOMMEND_SIMILAR, next_due(shelves[0])};
    cr_assert(reco_kept_scores(shelves[0], &of, top, &n, &all));
    int p = 0;
    while (!available[p] || deleted[p]) p++;
    available[p] = false;
    struct catalog_row row = row_of(p);
    cr_assert_eq(catalog_take(&svc, &row, 1, &err), MEROS_OK);
    recommend_prepare(&svc, shelves[1]);
    cr_assert_eq(svc.recommending->view->opened, opened, "one product less");
    available[p] = true;
    row = row_of(p);
    cr_assert_eq(catalog_take(&svc, &row, 1, &err), MEROS_OK);
    recommend_prepare(&svc, shelves[1]);
    cr_assert_gt(svc.recommending->view->opened, opened, "it might be among the best");
    make_model(2);
    recommend_prepare(&svc, shelves[0]);
    cr_assert_not(reco_kept_scores(shelves[0], &of, top, &n, &all), "of another model");
    end();
}
