/* A trained segmentation: everything needed to say which segment a customer is in, and nothing else.
 *
 * A model is built once (by training or by decoding an artifact), then immutable and shared by threads. It owns its
 * memory; segment_model_free takes NULL and half-built ones.
 *
 * One function, segment_model_assign, decides membership. Training writes memberships with it and live scoring answers
 * with it, so that the two agree to the bit for the same statistics at the same moment. Tiers of value are bounds only: what
 * a customer is worth is said by whichever model of lifetime value is the active one, so that a tier and the value that is
 * shown beside it never contradict each other. */
#ifndef MEROS_MODEL_SEGMENT_MODEL_H
#define MEROS_MODEL_SEGMENT_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/feature/prep.h"
#include "meros/feature/rfm.h"

enum segment_method { SEGMENT_KMEANS, SEGMENT_RFM, SEGMENT_VALUE, SEGMENT_METHOD_COUNT };
extern const char *const segment_method_words[]; /* NULL-terminated, in the order of the enum */

enum { SEGMENTATION_NAME_MAX = 64, SEGMENT_ID_MAX = 40, SEGMENT_LABEL_MAX = 120, SEGMENTS_MAX = 100, MODEL_ID_CAP = 40 };
#define MODEL_ID_PREFIX "mdl_"
/* 1 to 64 letters, digits, '-' and '_': a name is part of addresses and of rules ("segments.behaviour"). */
bool segmentation_name_valid(struct str name);

struct segment_name {
    char id[SEGMENT_ID_MAX + 1];       /* stays the same across retrains */
    char label[SEGMENT_LABEL_MAX + 1]; /* for people */
};

struct segment_model {
    enum segment_method method;
    char name[SEGMENTATION_NAME_MAX + 1]; /* of the segmentation */
    uint64_t seed;
    int64_t as_of;       /* the moment it was trained for; TIME_NONE: its present */
    int64_t trained_at;
    int64_t data_from, data_to; /* the earliest first and the latest last thing seen of its customers */
    double half_life_days;
    uint64_t rows;       /* customers it was trained on */
    unsigned char row_hash[SHA256_BYTES]; /* of their numbers and features, in order */
    char build[96];      /* versions and numerical kernel that trained it */
    struct prep prep;    /* kmeans; empty for others */
    double *centres;     /* kmeans: (n_segments, prep.n_columns) */
    struct rfm_cuts cuts; /* rfm */
    /* value: (n_segments - 2), descending, above 0: tier i holds those worth tiers[i] or more and less than tiers[i - 1]. The
     * last segment is that of customers who have bought nothing. */
    double *tiers;
    int n_segments;
    struct segment_name *segments; /* rfm: in the order of enum rfm_group; value: the best tier first */
};

struct segment_model *segment_model_new(enum segment_method method, int n_segments); /* NULL: out of memory */
void segment_model_free(struct segment_model *m);

/* The moment at which a customer is judged when nobody says otherwise: now, or, for a model trained for a moment in the
 * past, that moment or the newest thing seen of the customer since. */
int64_t segment_model_moment(const struct segment_model *m, const struct customer_stats *s, int64_t now);

/* Which segment; raw are the features at the moment (features_compute). values may be NULL when !m->prep.n_attributes.
 * worth: of method value, what the active model of lifetime value says of the customer (struct clv_row, domain/clv.h); NaN:
 * nothing bought; others do not look at it. */
int segment_model_assign(const struct segment_model *m, const float raw[FEATURE_COUNT], const struct prep_values *values, double worth);
/* The same from statistics and attributes (JSON object or NULL). */
int segment_model_assign_live(const struct segment_model *m, const struct customer_stats *s, const struct json *attributes,
                              double worth, int64_t at);
/* What tier `tier` (0: the best) of so many is called; `tiers` is the group of those who have bought nothing. */
void segment_tier_name(int tier, int tiers, struct segment_name *out);
static inline bool segment_model_needs_attributes(const struct segment_model *m)
{
    return m->prep.n_attributes > 0;
}

#endif
