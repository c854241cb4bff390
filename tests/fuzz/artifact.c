/* Artifacts from a stranger. Length and checksum are put right first, so that mutations reach what is behind them; what
 * decodes must be safe to serve, and survive another round. */
#include <math.h>
#include <stdint.h>
#include <stdlib.h>

#include "meros/model/artifact.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

static void serve(const struct segment_model *m)
{
    struct customer_stats s = {.created_at = TIME_NONE, .first_order_at = TIME_NONE, .last_order_at = TIME_NONE,
                               .last_seen_at = TIME_NONE};
    const int none = segment_model_assign_live(m, &s, NULL, NAN, 0);
    check(none >= 0 && none < m->n_segments);
    s = (struct customer_stats){.created_at = 0, .orders = 3, .lines = 4, .products = 2, .units = 9, .revenue = 1e18,
                                .gross_revenue = 1e18, .first_order_at = 5, .last_order_at = INT64_C(1) << 50,
                                .last_seen_at = INT64_C(1) << 50};
    struct json *attributes = NULL;
    static const char text[] = "{\"age\":1e300,\"country\":\"GB\",\"x\":\"y\"}";
    check(json_parse(text, sizeof text - 1, &attributes, NULL) == MEROS_OK);
    const int some = segment_model_assign_live(m, &s, attributes, 17, segment_model_moment(m, &s, INT64_C(1) << 51));
    check(some >= 0 && some < m->n_segments);
    json_free(attributes);
}

static void value(const struct trained_clv *m)
{
    static const char text[] = "{\"age\":1e300,\"country\":\"GB\",\"x\":\"y\"}";
    struct json *attributes = NULL;
    double covariates[CLV_COVARIATES_MAX];
    if (m->contract) {
        check(sbg_survival(&m->sbg, 3) <= 1);
        return;
    }
    check(json_parse(text, sizeof text - 1, &attributes, NULL) == MEROS_OK);
    trained_clv_covariates(m, attributes, covariates);
    json_free(attributes);
    const struct purchase_day days[] = {{10, 1, 5}, {40, 2, 1e12}, {45, 0, -3}};
    const struct purchase_history h = purchase_history_of(days, 3, trained_clv_day(m, days, 3, TIME_NONE, 100 * TIME_DAY));
    const struct clv_history asked = trained_clv_history(&h, covariates);
    struct clv_answer a;
    clv_score(&m->model, &(struct clv_question){365, 0.1, 0}, &asked, &a);
    check(a.p_alive >= 0 && a.p_alive <= 1);
}

static void recommend(const struct recommender *r)
{
    enum { MOST = 2000 };
    static float scratch[MOST], scores[MOST];
    uint32_t items[3];
    const float weights[] = {5, -1, 0.5f};
    if (r->items == 0 || r->items > MOST) return;
    for (size_t i = 0; i < 3; i++) items[i] = (uint32_t)(i * r->items / 3);
    const struct reco_history h = {items, weights, r->items < 3 ? 1 : 3};
    for (int a = 0; a < RECO_ALGORITHMS; a++) {
        enum reco_algorithm kind;
        recommender_score(r, (enum reco_algorithm)a, &h, scratch, scores);
        for (size_t j = 0; j < r->items; j++) check(isfinite(scores[j]));
        const uint32_t why = recommender_reason(r, (enum reco_algorithm)a, &h, (uint32_t)r->items - 1, &kind);
        check(why == RECO_NO_ITEM || why < r->items);
    }
    const float alike = recommender_alike(r, 0, (uint32_t)r->items - 1);
    check(alike >= 0 && alike <= 1);
    check(recommender_item(r, r->product_no[0]) == 0);
}

static void decode(const char *p, size_t n)
{
    struct model m = {0};
    struct meros_err err = MEROS_ERR_INIT;
    if (artifact_decode(p, n, &m, &err) != MEROS_OK) {
        check(m.segments == NULL && err.code == MEROS_UNPROCESSABLE);
        return;
    }
    if (m.kind == MODEL_SEGMENTS) serve(m.segments);
    else if (m.kind == MODEL_CLV) value(m.clv);
    else recommend(m.recommender);
    struct buf again;
    buf_init(&again, ARTIFACT_MAX);
    check(artifact_encode(&m, &again, &err) == MEROS_OK);
    /* A text that is written twice is the same text. Column levels that mean nothing are not compared. */
    struct model back = {0};
    check(artifact_decode(again.data, again.len, &back, &err) == MEROS_OK);
    check(back.kind == m.kind);
    if (m.kind == MODEL_SEGMENTS)
        check(back.segments->n_segments == m.segments->n_segments && back.segments->prep.n_columns == m.segments->prep.n_columns);
    else if (m.kind == MODEL_CLV)
        check(back.clv->contract == m.clv->contract && back.clv->rows == m.clv->rows);
    else
        check(recommender_memory(back.recommender) == recommender_memory(m.recommender));
    model_done(&back);
    buf_done(&again);
    model_done(&m);
}

/* With the frame of a kind put right. */
static void decode_as(const char *magic, const uint8_t *data, size_t size)
{
    char *sealed = malloc(size);
    check(sealed != NULL);
    memcpy(sealed, data, size);
    memcpy(sealed, magic, 8);
    memcpy(sealed + 8, "\1\0\0\0", 4);
    for (int i = 0; i < 8; i++) sealed[12 + i] = (char)(unsigned char)((uint64_t)size >> (8 * i));
    crypto_sha256(sealed, size - SHA256_BYTES, (unsigned char *)sealed + size - SHA256_BYTES);
    decode(sealed, size);
    free(sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    decode((const char *)data, size);
    if (size < 20 + SHA256_BYTES) return 0;
    decode_as("MEROSSEG", data, size);
    decode_as("MEROSCLV", data, size);
    decode_as("MEROSRCO", data, size);
    return 0;
}
