#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "meros/model/artifact.h"
#include "meros/model/snapshot.h"
#include "models.h"

enum { ITEMS = 40 };
static const uint32_t liked[] = {3, 9, 12, 7, 30};
static const float weights[] = {2, 0.5f, 1, -1, 4};
static const struct reco_history history = {liked, weights, 5};

static struct buf encoded(struct recommender *m)
{
    struct buf b;
    struct meros_err err = MEROS_ERR_INIT;
    buf_init(&b, ARTIFACT_MAX);
    cr_assert_eq(artifact_encode(&(struct model){MODEL_RECOMMENDATIONS, {.recommender = m}}, &b, &err), MEROS_OK, "%s", err.detail);
    return b;
}

static void reseal(struct buf *b)
{
    for (int i = 0; i < 8; i++) b->data[12 + i] = (char)(unsigned char)((uint64_t)b->len >> (8 * i));
    crypto_sha256(b->data, b->len - SHA256_BYTES, (unsigned char *)b->data + b->len - SHA256_BYTES);
}

static void score(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, float *out)
{
    float scratch[ITEMS];
    recommender_score(r, a, h, scratch, out);
}

static void same(const float *got, const float *want, const char *what)
{
    for (size_t j = 0; j < ITEMS; j++) cr_assert_float_eq((double)got[j], (double)want[j], 1e-6, "%s: item %zu", what, j);
}

/* Passing over weights of 0 and below, at most `most`. */
static size_t positive(float most, uint32_t *item, float *weight)
{
    size_t n = 0;
    for (size_t i = 0; i < history.n; i++) {
        if (weights[i] <= 0) continue;
        item[n] = liked[i];
        weight[n++] = fminf(weights[i], most);
    }
    return n;
}

Test(recommender, scores_as_the_functions_that_it_was_trained_by)
{
    struct test_shop s = test_shop_new(ITEMS);
    const struct recommender *r = s.r;
    uint32_t item[5];
    float weight[5], got[ITEMS], want[ITEMS] = {0}, user[16] __attribute__((aligned(64)));
    size_t n = positive(1, item, weight);
    cr_assert_eq(n, 4);
    score(r, RECO_EASE, &history, got);
    ease_score(&s.ease, item, weight, n, want);
    for (size_t j = 0; j < ITEMS; j++) cr_assert_eq(got[j], want[j], "EASE's kept entries are all of them");

    n = positive(INFINITY, item, weight);
    struct neighbours turned;
    memset(want, 0, sizeof want);
    test_ok(neighbours_turn(&r->item_knn, &turned, NULL));
    neighbours_add_scores(&turned, item, weight, n, want);
    neighbours_done(&turned);
    score(r, RECO_ITEM_KNN, &history, got);
    same(got, want, "item_knn");

    memset(want, 0, sizeof want);
    neighbours_add_scores(&r->content, item, weight, n, want);
    score(r, RECO_CONTENT, &history, got);
    same(got, want, "content");

    memset(want, 0, sizeof want);
    transitions_add_scores(&r->next, item, n, r->next_decay, want);
    score(r, RECO_SEQUENCE, &history, got);
    same(got, want, "sequence");

    als_fold_in(&r->als, liked, weights, 5, user);
    for (size_t j = 0; j < ITEMS; j++) {
        want[j] = 0;
        for (size_t f = 0; f < r->als.factors; f++) want[j] += user[f] * r->als.item[j * r->als.stride + f];
    }
    score(r, RECO_ALS, &history, got);
    same(got, want, "als");
    score(r, RECO_POPULAR, &history, got);
    same(got, r->popular, "popular");
    test_shop_done(&s);
}

Test(recommender, a_blend_is_the_sum_of_its_components_of_weights_of_at_most_1)
{
    struct test_shop s = test_shop_new(ITEMS);
    float clipped[5], got[ITEMS], want[ITEMS] = {0}, one[ITEMS];
    for (size_t i = 0; i < 5; i++) clipped[i] = fminf(weights[i], 1);
    const struct reco_history h = {liked, clipped, 5};
    const enum reco_algorithm components[] = {RECO_EASE, RECO_ALS, RECO_POPULAR};
    for (size_t c = 0; c < 3; c++) {
        score(s.r, components[c], &h, one);
        const double share = s.r->blend[components[c]] / s.r->blend_scale[components[c]];
        for (size_t j = 0; j < ITEMS; j++) want[j] += (float)(share * (double)one[j]);
    }
    score(s.r, RECO_BLEND, &history, got);
    for (size_t j = 0; j < ITEMS; j++) cr_assert_float_eq((double)got[j], (double)want[j], 1e-5, "item %zu", j);
    test_shop_done(&s);
}

Test(recommender, scores_one_item_as_it_does_among_all)
{
    struct test_shop s = test_shop_new(ITEMS);
    float all[ITEMS];
    for (int a = 0; a < RECO_ALGORITHMS; a++) {
        score(s.r, (enum reco_algorithm)a, &history, all);
        for (uint32_t to = 0; to < ITEMS; to++)
            cr_assert_float_eq((double)recommender_score_of(s.r, (enum reco_algorithm)a, &history, to), (double)all[to], 1e-5, "%s: item %u",
                               reco_algorithm_words[a], to);
        cr_assert_eq(recommender_score_of(s.r, (enum reco_algorithm)a, &(struct reco_history){0}, 3), a == RECO_POPULAR ? s.r->popular[3] : 0);
    }
    test_shop_done(&s);
}

Test(recommender, no_history_and_what_it_has_not_score_nothing_but_popularity)
{
    struct test_shop s = test_shop_new(ITEMS);
    struct recommender *bare = recommender_new(ITEMS);
    static const float zero[ITEMS];
    float got[ITEMS];
    enum reco_algorithm kind;
    bare->popular[3] = 1;
    for (int a = 0; a < RECO_ALGORITHMS; a++) {
        cr_assert_eq(recommender_has(bare, (enum reco_algorithm)a), a == RECO_POPULAR);
        cr_assert(recommender_has(s.r, (enum reco_algorithm)a));
        score(s.r, (enum reco_algorithm)a, &(struct reco_history){0}, got);
        same(got, a == RECO_POPULAR ? s.r->popular : zero, "no history");
        score(bare, (enum reco_algorithm)a, &history, got);
        same(got, a == RECO_POPULAR ? bare->popular : zero, "nothing learnt");
        cr_assert_eq(recommender_reason(bare, (enum reco_algorithm)a, &history, 3, &kind), RECO_NO_ITEM);
        cr_assert_eq(kind, RECO_POPULAR);
    }
    cr_assert_eq(recommender_alike(bare, 1, 2), 0);
    cr_assert_gt(recommender_memory(s.r), recommender_memory(bare));
    recommender_free(bare);
    test_shop_done(&s);
}

/* The reason is the item without which the score is the lowest: so it must be for models that add up. */
Test(recommender, gives_as_reason_the_item_that_said_the_most)
{
    struct test_shop s = test_shop_new(ITEMS);
    const enum reco_algorithm sums[] = {RECO_EASE, RECO_ITEM_KNN, RECO_CONTENT};
    float all[ITEMS], less[ITEMS];
    size_t reasons = 0;
    for (size_t c = 0; c < 3; c++) {
        score(s.r, sums[c], &history, all);
        for (uint32_t to = 0; to < ITEMS; to++) {
            enum reco_algorithm kind;
            float most = 0;
            uint32_t want = RECO_NO_ITEM;
            for (size_t i = history.n; i-- > 0;) {
                uint32_t item[4];
                float weight[4];
                size_t n = 0;
                for (size_t k = 0; k < 5; k++) {
                    if (k == i) continue;
                    item[n] = liked[k];
                    weight[n++] = weights[k];
                }
                score(s.r, sums[c], &(struct reco_history){item, weight, 4}, less);
                if (all[to] - less[to] > most + 1e-6f) {
                    most = all[to] - less[to];
                    want = liked[i];
                }
            }
            const uint32_t got = recommender_reason(s.r, sums[c], &history, to, &kind);
            cr_assert_eq(got, want, "%s, item %u: %u, not %u", reco_algorithm_words[sums[c]], to, got, want);
            cr_assert_eq(kind, want == RECO_NO_ITEM ? RECO_POPULAR : sums[c]);
            reasons += want != RECO_NO_ITEM;
        }
    }
    cr_assert_gt(reasons, 30);
    test_shop_done(&s);
}

Test(recommender, a_blend_gives_the_reason_of_the_component_that_gave_the_most)
{
    struct test_shop s = test_shop_new(ITEMS);
    enum reco_algorithm kind;
    s.r->blend[RECO_ALS] = s.r->blend[RECO_POPULAR] = 1e-6;
    const uint32_t ease = recommender_reason(s.r, RECO_EASE, &history, 6, &kind);
    cr_assert_neq(ease, RECO_NO_ITEM);
    cr_assert_eq(recommender_reason(s.r, RECO_BLEND, &history, 6, &kind), ease);
    cr_assert_eq(kind, RECO_EASE);
    s.r->blend[RECO_ALS] = 900;
    const uint32_t als = recommender_reason(s.r, RECO_ALS, &history, 6, &kind);
    cr_assert_neq(als, RECO_NO_ITEM);
    cr_assert_eq(recommender_reason(s.r, RECO_BLEND, &history, 6, &kind), als);
    cr_assert_eq(kind, RECO_ALS);
    s.r->blend[RECO_ALS] = 0;
    s.r->blend[RECO_POPULAR] = 900;
    cr_assert_eq(recommender_reason(s.r, RECO_BLEND, &history, 6, &kind), RECO_NO_ITEM);
    cr_assert_eq(kind, RECO_POPULAR);
    test_shop_done(&s);
}

Test(recommender, products_of_a_group_are_more_alike_than_others)
{
    struct test_shop s = test_shop_new(ITEMS);
    double within = 0, across = 0;
    for (int pass = 0; pass < 3; pass++) { /* by factors, by neighbours, by content */
        for (uint32_t a = 0; a < ITEMS; a++) {
            cr_assert_eq(recommender_alike(s.r, a, a), 1);
            for (uint32_t b = 0; b < a; b++) {
                const float x = recommender_alike(s.r, a, b);
                cr_assert(x >= 0 && x <= 1);
                cr_assert_eq(x, recommender_alike(s.r, b, a));
                *(a % 3 == b % 3 ? &within : &across) += (double)x / (a % 3 == b % 3 ? 1 : 2);
            }
        }
        cr_assert_gt(within, 1.5 * across);
        if (pass == 0) als_model_done(&s.r->als);
        else neighbours_done(&s.r->item_knn);
        within = across = 0;
    }
    test_shop_done(&s);
}

Test(recommender, reads_a_history_in_its_own_numbers)
{
    struct test_shop s = test_shop_new(ITEMS);
    const struct interaction_row rows[] = {{.product_no = 103, .weight = 2}, {.product_no = 104, .weight = 9}, {.product_no = 100, .weight = 0},
                                           {.product_no = 217, .weight = -1}, {.product_no = 220, .weight = 5}};
    uint32_t item[5];
    float weight[5];
    const struct reco_history h = recommender_history(s.r, rows, 5, item, weight);
    cr_assert_eq(h.n, 2);
    cr_assert(h.item[0] == 1 && h.item[1] == 39 && h.weight[0] == 2 && h.weight[1] == -1);
    cr_assert_eq(recommender_item(s.r, INT64_MIN), RECO_NO_ITEM);
    cr_assert_eq(recommender_item(s.r, INT64_MAX), RECO_NO_ITEM);
    test_shop_done(&s);
}

Test(recommender, keeps_the_strongest_entries_of_ease_of_either_sign)
{
    float b[] = {0, -5, 1, 2, /**/ 3, 0, 3, -3, /**/ 0, 0, 0, 1, /**/ 0, 0, 0, 0};
    const struct ease_model m = {.items = 4, .b = b};
    struct reco_rows t;
    test_ok(reco_rows_of(&m, 2, &t, NULL));
    const uint32_t item[] = {1, 3, 0, 2, 3};
    const float value[] = {-5, 2, 3, 3, 1};
    cr_assert_eq(t.n, 5);
    cr_assert_arr_eq(t.item, item, sizeof item);
    cr_assert_arr_eq(t.value, value, sizeof value);
    cr_assert(t.start[0] == 0 && t.start[1] == 2 && t.start[2] == 4 && t.start[3] == 5 && t.start[4] == 5);
    reco_rows_done(&t);
}

Test(recommender, an_artifact_comes_back_the_same_and_answers_the_same)
{
    struct test_shop s = test_shop_new(ITEMS);
    struct recommender *bare = recommender_new(0), *models[] = {s.r, bare};
    float want[ITEMS], got[ITEMS];
    for (size_t i = 0; i < 2; i++) {
        struct meros_err err = MEROS_ERR_INIT;
        struct model read = {0};
        struct buf b = encoded(models[i]);
        cr_assert_eq(artifact_decode(b.data, b.len, &read, &err), MEROS_OK, "%zu: %s", i, err.detail);
        cr_assert_eq(read.kind, MODEL_RECOMMENDATIONS);
        struct buf again = encoded(read.recommender);
        cr_assert_eq(again.len, b.len);
        cr_assert_arr_eq(again.data, b.data, b.len);
        cr_assert_eq(recommender_memory(read.recommender), recommender_memory(models[i]));
        for (int a = 0; a < RECO_ALGORITHMS && i == 0; a++) {
            score(s.r, (enum reco_algorithm)a, &history, want);
            score(read.recommender, (enum reco_algorithm)a, &history, got);
            cr_assert_arr_eq(got, want, sizeof want, "%s", reco_algorithm_words[a]);
        }
        buf_done(&b);
        buf_done(&again);
        model_done(&read);
    }
    recommender_free(bare);
    test_shop_done(&s);
}

Test(recommender, any_changed_byte_and_any_truncation_of_an_artifact_is_refused)
{
    struct test_shop s = test_shop_new(5);
    struct model back = {0};
    struct buf b = encoded(s.r);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x20;
        cr_assert_eq(artifact_decode(b.data, b.len, &back, NULL), MEROS_UNPROCESSABLE, "byte %zu", i);
        b.data[i] ^= 0x20;
    }
    for (size_t n = 60; n < b.len; n++) {
        struct buf cut;
        buf_init(&cut, ARTIFACT_MAX);
        buf_append(&cut, b.data, n);
        reseal(&cut);
        cr_assert_eq(artifact_decode(cut.data, cut.len, &back, NULL), MEROS_UNPROCESSABLE, "%zu", n);
        buf_done(&cut);
    }
    buf_done(&b);
    test_shop_done(&s);
}

static void bad_algorithm(struct recommender *r) { r->blend[RECO_EASE] = r->blend[RECO_ALS] = r->blend[RECO_POPULAR] = 0; }
static void bad_products(struct recommender *r) { r->product_no[4] = r->product_no[3]; }
static void bad_popular(struct recommender *r) { r->popular[2] = 1.5f; }
static void bad_trending(struct recommender *r) { r->trending[2] = NAN; }
static void bad_repeat(struct recommender *r) { r->repeat_days[1] = -1; }
static void bad_factor(struct recommender *r) { r->als.item[1] = INFINITY; }
static void bad_gram(struct recommender *r) { r->als.gram[0] = NAN; }
static void bad_lambda(struct recommender *r) { r->als.lambda = 0; }
static void bad_ease_value(struct recommender *r) { r->ease.value[7] = NAN; }
static void bad_ease_item(struct recommender *r) { r->ease.item[r->ease.n - 1] = ITEMS; }
static void bad_ease_order(struct recommender *r) { r->ease.item[1] = r->ease.item[0]; }
static void bad_neighbour(struct recommender *r) { r->item_knn.item[0] = ITEMS; }
static void bad_itself(struct recommender *r) { r->content.item[0] = 0; }
static void bad_twice(struct recommender *r) { r->content.item[1] = r->content.item[0]; }
static void bad_order(struct recommender *r) { r->item_knn.score[1] = 2 * r->item_knn.score[0]; }
static void bad_none(struct recommender *r) { r->next.score[r->next.n - 1] = 0; }
static void bad_pair(struct recommender *r) { r->together.count[0] = 10000; }
static void bad_baskets(struct recommender *r) { r->together.baskets = 1; }
static void bad_decay(struct recommender *r) { r->next_decay = 1.5; }
static void bad_blend(struct recommender *r) { r->blend[RECO_EASE] = -1; }
static void bad_scale(struct recommender *r) { r->blend_scale[RECO_EASE] = 0; }
static void bad_self(struct recommender *r) { r->blend[RECO_BLEND] = r->blend_scale[RECO_BLEND] = 1; }
static void bad_types(struct recommender *r) { memcpy(r->weights.type[1], "a", 2); }
static void bad_weight(struct recommender *r) { r->weights.purchase = 101; }
static void bad_name(struct recommender *r) { r->name[0] = '/'; }

Test(recommender, content_of_an_artifact_is_checked_behind_a_right_checksum)
{
    static const struct {
        const char *what;
        void (*spoil)(struct recommender *r);
    } cases[] = {{"answers with is not in it", bad_algorithm}, {"products do not ascend", bad_products}, {"not a share", bad_popular},
                 {"not a share", bad_trending}, {"too large", bad_repeat}, {"too large", bad_factor}, {"too large", bad_gram},
                 {"out of range", bad_lambda}, {"too large", bad_ease_value}, {"has not", bad_ease_item}, {"does not ascend", bad_ease_order},
                 {"has not", bad_neighbour}, {"has not", bad_itself}, {"one twice", bad_twice}, {"best first", bad_order}, {"is none", bad_none},
                 {"more baskets", bad_pair}, {"more baskets", bad_baskets}, {"out of range", bad_decay}, {"out of range", bad_blend},
                 {"no scale", bad_scale}, {"is not in it", bad_self}, {"do not ascend", bad_types}, {"out of range", bad_weight},
                 {"name is not valid", bad_name}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct test_shop s = test_shop_new(ITEMS);
        struct model back = {0};
        struct meros_err err = MEROS_ERR_INIT;
        cases[i].spoil(s.r);
        struct buf b = encoded(s.r);
        cr_assert_eq(artifact_decode(b.data, b.len, &back, &err), MEROS_UNPROCESSABLE, "%zu: %s", i, cases[i].what);
        cr_assert_not_null(strstr(err.detail, cases[i].what), "%zu: %s, not %s", i, cases[i].what, err.detail);
        buf_done(&b);
        test_shop_done(&s);
    }
}

Test(recommender, snapshots_share_one_while_it_is_active)
{
    struct snapshot *a = snapshot_new(1), *b = snapshot_new(0), *c = snapshot_new(0);
    cr_assert_null(a->recommender);
    snapshot_add_recommender(a, &(struct snapshot_recommender){.recommender = recommender_new(3), .version = 4, .model_no = 9});
    snapshot_add(a, &(struct snapshot_model){.model = test_rfm_model(), .version = 3});
    snapshot_keep_recommender(b, a);
    snapshot_release(a);
    cr_assert_eq(b->recommender->version, 4);
    snapshot_keep_recommender(c, b);
    snapshot_release(b);
    cr_assert_eq(c->recommender->recommender->items, 3);
    snapshot_release(c);
}
