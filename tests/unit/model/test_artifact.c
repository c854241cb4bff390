#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "meros/model/artifact.h"
#include "models.h"

static struct buf encoded(struct segment_model *m)
{
    struct buf b;
    struct meros_err err = MEROS_ERR_INIT;
    buf_init(&b, ARTIFACT_MAX);
    cr_assert_eq(artifact_encode(&(struct model){MODEL_SEGMENTS, {m}}, &b, &err), MEROS_OK, "%s", err.detail);
    return b;
}

/* Makes length and checksum right again after bytes were changed, so that what is behind them is reached. */
static void reseal(struct buf *b)
{
    for (int i = 0; i < 8; i++) b->data[12 + i] = (char)(unsigned char)((uint64_t)b->len >> (8 * i));
    crypto_sha256(b->data, b->len - SHA256_BYTES, (unsigned char *)b->data + b->len - SHA256_BYTES);
}

Test(artifact, a_model_comes_back_the_same_and_encodes_to_the_same_bytes)
{
    struct segment_model *models[] = {test_kmeans_model(4), test_rfm_model(), test_value_model()};
    for (size_t i = 0; i < 3; i++) {
        struct segment_model *m = models[i];
        struct model read = {0};
        struct meros_err err = MEROS_ERR_INIT;
        struct buf b = encoded(m);
        cr_assert_eq(artifact_decode(b.data, b.len, &read, &err), MEROS_OK, "%s", err.detail);
        cr_assert_eq(read.kind, MODEL_SEGMENTS);
        struct segment_model *back = read.segments;
        struct buf again = encoded(back);
        cr_assert_eq(again.len, b.len);
        cr_assert_arr_eq(again.data, b.data, b.len);
        cr_assert_str_eq(back->name, m->name);
        cr_assert_eq(back->n_segments, m->n_segments);
        cr_assert_str_eq(back->segments[1].label, m->segments[1].label);
        buf_done(&b);
        buf_done(&again);
        segment_model_free(m);
        model_done(&read);
    }
}

Test(artifact, any_changed_byte_is_refused)
{
    struct segment_model *m = test_kmeans_model(2);
    struct model back = {0};
    struct buf b = encoded(m);
    for (size_t i = 0; i < b.len; i++) {
        b.data[i] ^= 0x20;
        cr_assert_eq(artifact_decode(b.data, b.len, &back, NULL), MEROS_UNPROCESSABLE, "byte %zu", i);
        b.data[i] ^= 0x20;
    }
    cr_assert_null(back.segments);
    buf_done(&b);
    segment_model_free(m);
}

Test(artifact, any_shorter_or_longer_text_is_refused)
{
    struct segment_model *m = test_rfm_model();
    struct model back = {0};
    struct buf b = encoded(m);
    for (size_t n = 0; n < b.len; n++) cr_assert_eq(artifact_decode(b.data, n, &back, NULL), MEROS_UNPROCESSABLE, "%zu", n);
    buf_char(&b, 'x');
    cr_assert_eq(artifact_decode(b.data, b.len, &back, NULL), MEROS_UNPROCESSABLE);
    buf_done(&b);
    segment_model_free(m);
}

Test(artifact, content_is_checked_behind_a_right_checksum)
{
    struct {
        const char *what;
        struct segment_model *m;
    } bad[8];
    size_t n = 0;
    for (; n < 8; n++) bad[n].m = test_kmeans_model(3);
    bad[0].what = "not finite";
    bad[0].m->centres[4] = NAN;
    bad[1].what = "same id";
    memcpy(bad[1].m->segments[1].id, bad[1].m->segments[0].id, sizeof bad[1].m->segments[0].id);
    bad[2].what = "positive scale";
    bad[2].m->prep.columns[0].scale = 0;
    bad[3].what = "no such level";
    bad[3].m->prep.columns[2].level = 9;
    bad[4].what = "does not fit its attribute";
    bad[4].m->prep.columns[1].source = 1;
    bad[5].what = "half-life";
    bad[5].m->half_life_days = -1;
    bad[6].what = "name is not valid";
    snprintf(bad[6].m->name, sizeof bad[6].m->name, "../up");
    bad[7].what = "where no customer can be";
    bad[7].m->centres[0] = 1e12;
    for (size_t i = 0; i < n; i++) {
        struct model back = {0};
        struct meros_err err = MEROS_ERR_INIT;
        struct buf b = encoded(bad[i].m);
        cr_assert_eq(artifact_decode(b.data, b.len, &back, &err), MEROS_UNPROCESSABLE, "%s", bad[i].what);
        cr_assert_not_null(strstr(err.detail, bad[i].what), "%s: %s", bad[i].what, err.detail);
        buf_done(&b);
        segment_model_free(bad[i].m);
    }
}

Test(artifact, tiers_that_do_not_descend_are_refused)
{
    for (int i = 0; i < 3; i++) {
        struct segment_model *m = test_value_model();
        struct model back = {0};
        struct meros_err err = MEROS_ERR_INIT;
        m->tiers[1] = i == 0 ? 500 : i == 1 ? -1 : NAN;
        struct buf b = encoded(m);
        cr_assert_eq(artifact_decode(b.data, b.len, &back, &err), MEROS_UNPROCESSABLE, "%d", i);
        buf_done(&b);
        segment_model_free(m);
    }
}

Test(model, a_tier_holds_what_is_worth_its_bound_or_more)
{
    struct segment_model *m = test_value_model();
    static const struct {
        double worth;
        const char *id, *label;
    } cases[] = {{1e9, "tier_1", "High value"}, {500, "tier_1", "High value"}, {499.99, "tier_2", "Medium value"}, {100, "tier_2", "Medium value"},
                 {99, "tier_3", "Low value"},   {0, "tier_3", "Low value"},    {NAN, "no_purchases", "No purchases yet"}};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct segment_name *s = &m->segments[segment_model_assign_live(m, &(struct customer_stats){0}, NULL, cases[i].worth, 0)];
        cr_assert_str_eq(s->id, cases[i].id, "%g", cases[i].worth);
        cr_assert_str_eq(s->label, cases[i].label);
    }
    struct segment_name one, many;
    segment_tier_name(0, 1, &one);
    segment_tier_name(6, 7, &many);
    cr_assert_str_eq(one.label, "Everybody who has bought");
    cr_assert_str_eq(many.label, "Value tier 7 of 7, the least");
    segment_model_free(m);
}

Test(artifact, every_truncation_that_is_resealed_is_refused)
{
    struct segment_model *m = test_kmeans_model(3);
    struct buf b = encoded(m);
    for (size_t n = 60; n < b.len; n++) {
        struct buf cut;
        struct model back = {0};
        buf_init(&cut, ARTIFACT_MAX);
        buf_append(&cut, b.data, n);
        reseal(&cut);
        cr_assert_eq(artifact_decode(cut.data, cut.len, &back, NULL), MEROS_UNPROCESSABLE, "%zu", n);
        buf_done(&cut);
    }
    buf_done(&b);
    segment_model_free(m);
}

Test(model, judges_at_the_present_or_at_its_own_moment_and_what_came_later)
{
    struct segment_model *m = test_rfm_model();
    struct customer_stats s = {.last_seen_at = 500};
    cr_assert_eq(segment_model_moment(m, &s, 1000), 1000);
    m->as_of = 700;
    cr_assert_eq(segment_model_moment(m, &s, 1000), 700);
    s.last_seen_at = 800;
    cr_assert_eq(segment_model_moment(m, &s, 1000), 800);
    segment_model_free(m);
}

Test(model, names_of_segmentations_fit_into_addresses_and_rules)
{
    cr_assert(segmentation_name_valid(STR("behaviour")));
    cr_assert(segmentation_name_valid(STR("Q3_value-2")));
    cr_assert_not(segmentation_name_valid(STR("")));
    cr_assert_not(segmentation_name_valid(STR("a.b")));
    cr_assert_not(segmentation_name_valid(STR("a/b")));
    cr_assert_not(segmentation_name_valid(STR("ärger")));
    char long_name[66];
    memset(long_name, 'a', sizeof long_name);
    cr_assert_not(segmentation_name_valid((struct str){long_name, 65}));
}
