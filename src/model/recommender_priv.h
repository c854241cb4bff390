/* What scoring and its reasons have in common. */
#ifndef MEROS_MODEL_RECOMMENDER_PRIV_H
#define MEROS_MODEL_RECOMMENDER_PRIV_H

#include "meros/model/recommender.h"

/* Whether the blend has component c, and what its scores are multiplied by there. */
static inline bool recommender_blends(const struct recommender *r, enum reco_algorithm c)
{
    return r->blend[c] > 0 && recommender_has(r, c);
}
static inline float recommender_share(const struct recommender *r, enum reco_algorithm c)
{
    return (float)(r->blend[c] / r->blend_scale[c]);
}

/* The customer's factors by ALS (user: ALS_FACTORS_MAX, 64-byte aligned); weights above `most` count as it. */
void recommender_fold(const struct als_model *m, const struct reco_history *h, float most, float *user);

#endif
