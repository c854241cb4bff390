/* Models made up for tests. */
#ifndef TEST_MODELS_H
#define TEST_MODELS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/item_knn.h"
#include "meros/ml/rng.h"
#include "meros/ml/transitions.h"
#include "meros/model/model.h"

static inline struct segment_model *test_kmeans_model(int k)
{
    struct segment_model *m = segment_model_new(SEGMENT_KMEANS, k);
    snprintf(m->name, sizeof m->name, "behaviour");
    snprintf(m->build, sizeof m->build, "test");
    m->seed = 7;
    m->as_of = TIME_NONE;
    m->trained_at = INT64_C(1700000000) * TIME_SECOND;
    m->half_life_days = 30;
    m->rows = 10;
    memset(m->row_hash, 0xab, sizeof m->row_hash);
    m->prep.scaling = SCALING_STANDARD;
    m->prep.attributes = calloc(2, sizeof *m->prep.attributes);
    m->prep.n_attributes = 2;
    m->prep.attributes[0] = (struct prep_attribute){.name = strdup("age"), .numeric = true, .levels = calloc(12, sizeof(char *))};
    m->prep.attributes[1] = (struct prep_attribute){.name = strdup("country"), .levels = calloc(12, sizeof(char *)), .n_levels = 2};
    m->prep.attributes[1].levels[0] = strdup("GB");
    m->prep.attributes[1].levels[1] = strdup("FR");
    m->prep.columns = calloc(5, sizeof *m->prep.columns);
    m->prep.n_columns = 5;
    m->prep.columns[0] = (struct prep_column){.kind = PREP_STAT, .source = FEATURE_RECENCY, .transform = TRANSFORM_LOG1P,
                                              .missing = MISSING_TENURE, .center = 3, .scale = 1.5, .weight = 1};
    m->prep.columns[1] = (struct prep_column){.kind = PREP_NUMBER, .source = 0, .missing = MISSING_MEDIAN, .fill = 40,
                                              .center = 41, .scale = 10, .weight = 1};
    m->prep.columns[2] = (struct prep_column){.kind = PREP_LEVEL, .source = 1, .level = 0, .scale = 0.5, .weight = 0.7};
    m->prep.columns[3] = (struct prep_column){.kind = PREP_LEVEL, .source = 1, .level = 1, .scale = 0.5, .weight = 0.7};
    m->prep.columns[4] = (struct prep_column){.kind = PREP_OTHER, .source = 1, .scale = 0.5, .weight = 0.7};
    m->centres = calloc((size_t)k * 5, sizeof *m->centres);
    for (int s = 0; s < k; s++) {
        for (int j = 0; j < 5; j++) m->centres[s * 5 + j] = s * 1.25 - j * 0.5;
        snprintf(m->segments[s].id, sizeof m->segments[s].id, "s%d", s + 1);
        snprintf(m->segments[s].label, sizeof m->segments[s].label, "Segment no. %d", s + 1);
    }
    return m;
}

/* 500 or more, 100 or more, less; and those who have bought nothing. */
static inline struct segment_model *test_value_model(void)
{
    struct segment_model *m = segment_model_new(SEGMENT_VALUE, 4);
    snprintf(m->name, sizeof m->name, "value");
    m->half_life_days = 30;
    m->tiers = calloc(3, sizeof *m->tiers);
    m->tiers[0] = 500;
    m->tiers[1] = 100;
    for (int i = 0; i < 4; i++) segment_tier_name(i, 3, &m->segments[i]);
    return m;
}

static inline struct segment_model *test_rfm_model(void)
{
    struct segment_model *m = segment_model_new(SEGMENT_RFM, RFM_GROUP_COUNT);
    snprintf(m->name, sizeof m->name, "rfm");
    m->half_life_days = 30;
    for (int i = 0; i < RFM_LEVELS - 1; i++) {
        m->cuts.recency[i] = -100 + 20 * i;
        m->cuts.frequency[i] = 1 + i;
        m->cuts.monetary[i] = 50 * (1 + i);
    }
    for (int g = 0; g < RFM_GROUP_COUNT; g++) {
        snprintf(m->segments[g].id, sizeof m->segments[g].id, "%s", rfm_group_slug((enum rfm_group)g));
        snprintf(m->segments[g].label, sizeof m->segments[g].label, "%s", rfm_group_label((enum rfm_group)g));
    }
    return m;
}

/* BG/NBD and Gamma-Gamma of a music shop, with `covariates` of them: a number and a level. */
static inline struct trained_clv *test_clv_model(enum clv_kind kind, int covariates)
{
    struct trained_clv *m = trained_clv_new(false);
    struct clv_purchase_model *p = &m->model.purchase;
    struct clv_spend_model *s = &m->model.spend;
    const double parameters[] = {.2426, 4.4136, .7929, 2.4259};
    *p = (struct clv_purchase_model){.kind = kind, .unit = CLV_WEEK, .n_covariates = covariates, .customers = 2357,
                                     .repeat_customers = 946, .repeat_purchases = 2457,
                                     .fit = {-9582.4, 1e-5, 1e-12, 164, 54, 42, true, false}};
    memcpy(p->parameter, parameters, sizeof parameters);
    p->n_theta = CLV_PARAMETERS + clv_effects(kind) * covariates;
    for (int i = 0; i < p->n_theta; i++) p->covariance[i * p->n_theta + i] = 0.01 * (i + 1);
    for (int e = 0; e < clv_effects(kind); e++)
        for (int j = 0; j < covariates; j++) p->coefficient[e][j] = 0.1 * (e + 1) - 0.05 * j;
    *s = (struct clv_spend_model){.kind = CLV_SPEND_GAMMA_GAMMA, .parameter = {6.25, 3.74, 15.44}, .mean = 38.8, .deviation = 20,
                                  .buyers = 946, .correlation = .114, .fit = {-4055.9, 2e-5, 1e-12, 890, 84, 62, true, false}};
    for (int i = 0; i < 3; i++) s->covariance[i * 4] = .02;
    m->as_of = INT64_C(875577600) * TIME_SECOND;
    m->observed_to = 10134;
    m->rows = 2357;
    snprintf(m->build, sizeof m->build, "test");
    if (covariates == 0) return m;
    m->prep.attributes = calloc(2, sizeof *m->prep.attributes);
    m->prep.n_attributes = 2;
    m->prep.attributes[0] = (struct prep_attribute){.name = strdup("age"), .numeric = true, .levels = calloc(12, sizeof(char *))};
    m->prep.attributes[1] = (struct prep_attribute){.name = strdup("country"), .levels = calloc(12, sizeof(char *)), .n_levels = 2};
    m->prep.attributes[1].levels[0] = strdup("GB");
    m->prep.attributes[1].levels[1] = strdup("FR");
    m->prep.columns = calloc(2, sizeof *m->prep.columns);
    m->prep.n_columns = (size_t)covariates;
    m->prep.columns[0] = (struct prep_column){.kind = PREP_NUMBER, .source = 0, .missing = MISSING_MEDIAN, .fill = 40, .center = 41,
                                              .scale = 10, .weight = 1};
    m->prep.columns[1] = (struct prep_column){.kind = PREP_LEVEL, .source = 1, .level = 1, .scale = 1, .weight = 1};
    return m;
}

static inline struct trained_clv *test_contract_model(void)
{
    struct trained_clv *m = trained_clv_new(true);
    m->sbg = (struct sbg){.704, 1.182};
    m->sbg_fit = (struct clv_fitted){-1680.3, 1e-7, 1e-16, 19, 48, 34, true, false};
    m->period_days = 365.25;
    m->rows = 1000;
    return m;
}

/* Made by the ml functions from what 80 customers in 3 groups did with `items` products, with every component. */
struct test_shop {
    struct interactions by_user, by_item;
    struct ease_model ease; /* whole */
    struct recommender *r;
};
static inline void test_ok(enum meros_code code)
{
    if (code != MEROS_OK) abort();
}
static inline struct test_shop test_shop_new(size_t items)
{
    enum { USERS = 80, N = 900 };
    static struct interaction triples[N];
    static uint32_t sequence[N];
    struct test_shop s = {0};
    struct ml_rng rng;
    size_t starts[] = {0, N};
    ml_rng_seed(&rng, 5);
    for (size_t i = 0; i < N; i++) {
        const uint32_t u = (uint32_t)ml_rng_below(&rng, USERS);
        uint32_t j = (uint32_t)ml_rng_below(&rng, items);
        while (j % 3 != u % 3 && ml_rng_below(&rng, 5) != 0) j = (uint32_t)ml_rng_below(&rng, items);
        triples[i] = (struct interaction){u, j, ml_rng_below(&rng, 12) == 0 ? -1 : (float)(1 + ml_rng_below(&rng, 3))};
        sequence[i] = j;
    }
    test_ok(interactions_build(triples, N, USERS, items, 0, &s.by_user, NULL));
    test_ok(interactions_transpose(&s.by_user, 0, &s.by_item, NULL));
    struct recommender *r = s.r = recommender_new(items);
    struct item_knn_params knn = ITEM_KNN_PARAMS_DEFAULT;
    struct als_params als = ALS_PARAMS_DEFAULT;
    struct bought_together_params together = BOUGHT_TOGETHER_PARAMS_DEFAULT;
    struct transitions_params next = TRANSITIONS_PARAMS_DEFAULT;
    knn.k = 10;
    knn.weighting = ITEM_KNN_PLAIN;
    als.factors = 5;
    als.lambda = 5;
    next.k = 6;
    test_ok(item_knn_fit(&s.by_user, &s.by_item, &knn, NULL, &r->item_knn, NULL));
    knn.k = 4;
    knn.weighting = ITEM_KNN_BM25;
    test_ok(item_knn_fit(&s.by_user, &s.by_item, &knn, NULL, &r->content, NULL)); /* a table like any other */
    test_ok(als_fit(&s.by_user, &s.by_item, &als, NULL, &r->als, NULL));
    free(r->als.user);
    r->als.user = NULL;
    test_ok(ease_fit(&s.by_user, &s.by_item, 20, NULL, &s.ease, NULL));
    test_ok(reco_rows_of(&s.ease, items, &r->ease, NULL));
    test_ok(bought_together_fit(&s.by_user, &s.by_item, &together, NULL, &r->together, NULL));
    test_ok(transitions_fit(&(struct sequences){.n = 1, .start = starts, .item = sequence}, items, &next, 0, &r->next, NULL));
    test_ok(recommender_finish(r, NULL));
    r->next_decay = 0.5;
    r->algorithm = RECO_BLEND;
    r->blend[RECO_EASE] = 0.7;
    r->blend_scale[RECO_EASE] = 0.1;
    r->blend[RECO_ALS] = 0.4;
    r->blend_scale[RECO_ALS] = 0.3;
    r->blend[RECO_POPULAR] = 0.1;
    r->blend_scale[RECO_POPULAR] = 0.25;
    r->rows = s.by_user.n;
    r->customers = USERS;
    r->trained_at = INT64_C(1700000000) * TIME_SECOND;
    snprintf(r->build, sizeof r->build, "test");
    r->weights = (struct interaction_weights){.n = 2, .type = {"product_added", "product_viewed"}, .weight = {3, 1}, .purchase = 5,
                                              .returned = -5, .other = 1};
    for (size_t i = 0; i < items; i++) {
        r->product_no[i] = 100 + 3 * (int64_t)i;
        r->popular[i] = 1 / (float)(1 + i);
        r->trending[i] = 1 / (float)(items - i);
        r->repeat_days[i] = i % 4 == 0 ? 30 : 0;
    }
    return s;
}
static inline void test_shop_done(struct test_shop *s)
{
    interactions_done(&s->by_user);
    interactions_done(&s->by_item);
    ease_model_done(&s->ease);
    recommender_free(s->r);
}

#endif
