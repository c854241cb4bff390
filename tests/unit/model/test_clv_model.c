#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "meros/model/artifact.h"
#include "meros/model/snapshot.h"
#include "models.h"

static struct buf encoded(struct trained_clv *m)
{
    struct buf b;
    struct meros_err err = MEROS_ERR_INIT;
    buf_init(&b, ARTIFACT_MAX);
    cr_assert_eq(artifact_encode(&(struct model){MODEL_CLV, {.clv = m}}, &b, &err), MEROS_OK, "%s", err.detail);
    return b;
}

static void reseal(struct buf *b)
{
    for (int i = 0; i < 8; i++) b->data[12 + i] = (char)(unsigned char)((uint64_t)b->len >> (8 * i));
    crypto_sha256(b->data, b->len - SHA256_BYTES, (unsigned char *)b->data + b->len - SHA256_BYTES);
}

Test(clv_model, a_model_comes_back_the_same_and_encodes_to_the_same_bytes)
{
    struct trained_clv *models[] = {test_clv_model(CLV_BGNBD, 0), test_clv_model(CLV_PARETONBD, 2), test_contract_model()};
    for (size_t i = 0; i < 3; i++) {
        struct meros_err err = MEROS_ERR_INIT;
        struct model read = {0};
        struct buf b = encoded(models[i]);
        cr_assert_eq(artifact_decode(b.data, b.len, &read, &err), MEROS_OK, "%zu: %s", i, err.detail);
        cr_assert_eq(read.kind, MODEL_CLV);
        struct buf again = encoded(read.clv);
        cr_assert_eq(again.len, b.len);
        cr_assert_arr_eq(again.data, b.data, b.len);
        cr_assert_str_eq(trained_clv_algorithm(read.clv), trained_clv_algorithm(models[i]));
        cr_assert_eq(read.clv->observed_to, models[i]->observed_to);
        cr_assert_eq(trained_clv_needs_attributes(read.clv), i == 1);
        buf_done(&b);
        buf_done(&again);
        model_done(&read);
        trained_clv_free(models[i]);
    }
}

Test(clv_model, any_changed_byte_and_any_truncation_is_refused)
{
    struct trained_clv *m = test_clv_model(CLV_MBGNBD, 2);
    struct model back = {0};
    struct buf b = encoded(m);
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
    trained_clv_free(m);
}

Test(clv_model, content_is_checked_behind_a_right_checksum)
{
    struct {
        const char *what;
        struct trained_clv *m;
    } bad[6];
    for (size_t i = 0; i < 6; i++) bad[i].m = i < 5 ? test_clv_model(CLV_BGNBD, 2) : test_contract_model();
    bad[0].what = "parameters cannot be used";
    bad[0].m->model.purchase.parameter[1] = -4;
    bad[1].what = "parameters cannot be used";
    bad[1].m->model.spend.parameter[2] = NAN;
    bad[2].what = "not those of its parameters";
    bad[2].m->prep.n_columns = 1;
    bad[3].what = "is no attribute";
    bad[3].m->prep.columns[0] = (struct prep_column){.kind = PREP_STAT, .source = FEATURE_RECENCY, .scale = 1, .weight = 1};
    bad[4].what = "number of parameters";
    bad[4].m->model.purchase.n_theta = 5;
    bad[5].what = "not positive";
    bad[5].m->sbg.beta = 0;
    for (size_t i = 0; i < 6; i++) {
        struct model back = {0};
        struct meros_err err = MEROS_ERR_INIT;
        struct buf b = encoded(bad[i].m);
        cr_assert_eq(artifact_decode(b.data, b.len, &back, &err), MEROS_UNPROCESSABLE, "%s", bad[i].what);
        cr_assert_not_null(strstr(err.detail, bad[i].what), "%s: %s", bad[i].what, err.detail);
        buf_done(&b);
        bad[i].m->prep.n_columns = bad[i].m->contract ? 0 : 2;
        trained_clv_free(bad[i].m);
    }
}

Test(clv_model, judges_on_the_day_asked_for_or_today_or_on_its_own_and_what_came_later)
{
    struct trained_clv *m = test_clv_model(CLV_BGNBD, 0);
    const struct purchase_day days[] = {{10000, 1, 5}, {10200, 1, 5}};
    const int64_t now = INT64_C(20000) * TIME_DAY + 5, at = INT64_C(10050) * TIME_DAY + 7;
    cr_assert_eq(trained_clv_day(m, days, 2, at, now), 10050);
    cr_assert_eq(trained_clv_day(m, days, 1, TIME_NONE, now), 10134, "the day of as_of");
    cr_assert_eq(trained_clv_day(m, days, 2, TIME_NONE, now), 10200, "the customer bought since");
    m->as_of = TIME_NONE;
    cr_assert_eq(trained_clv_day(m, days, 2, TIME_NONE, now), 20000);
    trained_clv_free(m);
}

Test(clv_model, covariates_are_standard_numbers_and_levels_and_unknown_where_nothing_is_said)
{
    struct trained_clv *m = test_clv_model(CLV_BGNBD, 2);
    struct json *attributes = NULL;
    double z[CLV_COVARIATES_MAX];
    static const char text[] = "{\"age\": 51, \"country\": \"FR\"}";
    cr_assert_eq(json_parse(text, sizeof text - 1, &attributes, NULL), MEROS_OK);
    trained_clv_covariates(m, attributes, z);
    cr_assert_float_eq(z[0], 1, 1e-6);
    cr_assert_eq(z[1], 1);
    json_free(attributes);
    trained_clv_covariates(m, NULL, z);
    cr_assert(isnan(z[0]) && isnan(z[1]));
    trained_clv_free(m);
}

Test(clv_model, a_snapshot_holds_one_and_frees_it)
{
    struct snapshot *s = snapshot_new(1);
    cr_assert_null(s->clv);
    snapshot_add_clv(s, &(struct snapshot_clv){.model = test_clv_model(CLV_BGNBD, 0), .version = 4});
    snapshot_add(s, &(struct snapshot_model){.model = test_rfm_model(), .version = 3});
    cr_assert_eq(s->clv->version, 4);
    cr_assert_eq(s->n_models, 1);
    snapshot_release(s);
}
