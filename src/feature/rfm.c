#include "meros/feature/rfm.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/quantile.h"

static const struct {
    const char *slug, *label, *words;
} groups[] = {
#define X(id, slug, label, words) {slug, label, words},
    RFM_GROUPS(X)
#undef X
};

const char *rfm_group_slug(enum rfm_group g)
{
    return groups[g].slug;
}
const char *rfm_group_label(enum rfm_group g)
{
    return groups[g].label;
}
const char *rfm_group_words(enum rfm_group g)
{
    return groups[g].words;
}

static const unsigned char by_scores[RFM_LEVELS][RFM_LEVELS] = {
    /* R 1 */ {RFM_LOST, RFM_HIBERNATING, RFM_AT_RISK, RFM_AT_RISK, RFM_CANT_LOSE_THEM},
    /* R 2 */ {RFM_HIBERNATING, RFM_HIBERNATING, RFM_AT_RISK, RFM_AT_RISK, RFM_CANT_LOSE_THEM},
    /* R 3 */ {RFM_ABOUT_TO_SLEEP, RFM_ABOUT_TO_SLEEP, RFM_NEED_ATTENTION, RFM_LOYAL, RFM_LOYAL},
    /* R 4 */ {RFM_PROMISING, RFM_POTENTIAL_LOYALISTS, RFM_POTENTIAL_LOYALISTS, RFM_LOYAL, RFM_LOYAL},
    /* R 5 */ {RFM_NEW_CUSTOMERS, RFM_POTENTIAL_LOYALISTS, RFM_POTENTIAL_LOYALISTS, RFM_CHAMPIONS, RFM_CHAMPIONS},
};

enum rfm_group rfm_group_of(struct rfm_scores s)
{
    if (s.r == 0) return RFM_NO_PURCHASES;
    return (enum rfm_group)by_scores[s.r - 1][(s.f + s.m + 1) / 2 - 1];
}

static bool has_bought(const float raw[FEATURE_COUNT])
{
    return raw[FEATURE_FREQUENCY] > 0;
}

/* Recency counts the other way round: the negative is scored, so that "more" is better in all three. */
static double value_of(const float raw[FEATURE_COUNT], enum feature_id id)
{
    return id == FEATURE_RECENCY ? -(double)raw[id] : (double)raw[id];
}

enum meros_code rfm_fit(const struct dataset *d, struct rfm_cuts *out, struct meros_err *err)
{
    double *values = malloc((d->n + 1) * sizeof *values);
    if (values == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while scoring %zu customers.", d->n);
    const struct {
        enum feature_id id;
        enum score_ties ties;
        double *cuts;
    } axes[] = {{FEATURE_RECENCY, SCORE_TIES_MID, out->recency},
                {FEATURE_FREQUENCY, SCORE_TIES_LOW, out->frequency},
                {FEATURE_MONETARY, SCORE_TIES_MID, out->monetary}};
    size_t n = 0;
    for (size_t a = 0; a < 3; a++) {
        n = 0;
        for (size_t i = 0; i < d->n; i++) {
            const float *raw = d->raw + i * FEATURE_COUNT;
            if (has_bought(raw)) values[n++] = value_of(raw, axes[a].id);
        }
        if (n == 0) break;
        values_sort(values, n);
        score_cuts(values, n, RFM_LEVELS, axes[a].ties, axes[a].cuts);
    }
    free(values);
    if (n == 0)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "RFM scores customers by their purchases, and none of the %zu customers has bought anything yet.",
                       d->n);
    return MEROS_OK;
}

struct rfm_scores rfm_score(const struct rfm_cuts *c, const float raw[FEATURE_COUNT])
{
    if (!has_bought(raw)) return (struct rfm_scores){0, 0, 0};
    return (struct rfm_scores){score_of(c->recency, RFM_LEVELS, value_of(raw, FEATURE_RECENCY)),
                               score_of(c->frequency, RFM_LEVELS, value_of(raw, FEATURE_FREQUENCY)),
                               score_of(c->monetary, RFM_LEVELS, value_of(raw, FEATURE_MONETARY))};
}
