#include "meros/model/segment_model.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/ml/kmeans.h"

const char *const segment_method_words[] = {"kmeans", "rfm", "value", NULL};

bool segmentation_name_valid(struct str name)
{
    if (name.n == 0 || name.n > SEGMENTATION_NAME_MAX) return false;
    for (size_t i = 0; i < name.n; i++) {
        char c = name.p[i];
        bool ok = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
        if (!ok) return false;
    }
    return true;
}

struct segment_model *segment_model_new(enum segment_method method, int n_segments)
{
    struct segment_model *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    m->method = method;
    m->n_segments = n_segments;
    m->as_of = m->trained_at = m->data_from = m->data_to = TIME_NONE;
    m->segments = calloc((size_t)n_segments, sizeof *m->segments);
    if (m->segments == NULL) {
        segment_model_free(m);
        return NULL;
    }
    return m;
}

void segment_model_free(struct segment_model *m)
{
    if (m == NULL) return;
    prep_done(&m->prep);
    free(m->centres);
    free(m->tiers);
    free(m->segments);
    free(m);
}

int64_t segment_model_moment(const struct segment_model *m, const struct customer_stats *s, int64_t now)
{
    if (m->as_of == TIME_NONE) return now;
    return s->last_seen_at > m->as_of ? s->last_seen_at : m->as_of;
}

static int tier_of(const struct segment_model *m, double worth)
{
    if (isnan(worth)) return m->n_segments - 1;
    int tier = 0;
    while (tier < m->n_segments - 2 && worth < m->tiers[tier]) tier++;
    return tier;
}

void segment_tier_name(int tier, int tiers, struct segment_name *out)
{
    static const char *const words[][5] = {{"Everybody who has bought"},
                                           {"High value", "Low value"},
                                           {"High value", "Medium value", "Low value"},
                                           {"Top value", "High value", "Medium value", "Low value"},
                                           {"Top value", "High value", "Medium value", "Low value", "Least value"}};
    if (tier == tiers) {
        *out = (struct segment_name){"no_purchases", "No purchases yet"};
        return;
    }
    snprintf(out->id, sizeof out->id, "tier_%d", tier + 1);
    if (tiers <= 5) snprintf(out->label, sizeof out->label, "%s", words[tiers - 1][tier]);
    else snprintf(out->label, sizeof out->label, "Value tier %d of %d%s", tier + 1, tiers, tier == 0 ? ", the best" : tier == tiers - 1 ? ", the least" : "");
}

int segment_model_assign(const struct segment_model *m, const float raw[FEATURE_COUNT], const struct prep_values *values, double worth)
{
    if (m->method == SEGMENT_RFM) return (int)rfm_group_of(rfm_score(&m->cuts, raw));
    if (m->method == SEGMENT_VALUE) return tier_of(m, worth);
    if (m->n_segments == 1) return 0;
    const size_t d = m->prep.n_columns;
    float x[PREP_COLUMNS_MAX];
    double row[PREP_COLUMNS_MAX];
    prep_row(&m->prep, raw, values, x);
    /* Through float, as the matrix that the centres were found in. */
    for (size_t j = 0; j < d; j++) row[j] = x[j];
    return kmeans_nearest(m->centres, m->n_segments, d, row, NULL);
}

int segment_model_assign_live(const struct segment_model *m, const struct customer_stats *s, const struct json *attributes,
                              double worth, int64_t at)
{
    if (m->method == SEGMENT_VALUE) return tier_of(m, worth);
    float raw[FEATURE_COUNT];
    features_compute(s, at, m->half_life_days, raw);
    struct prep_values values;
    if (segment_model_needs_attributes(m)) prep_read_json(&m->prep, attributes, &values);
    return segment_model_assign(m, raw, &values, worth);
}
