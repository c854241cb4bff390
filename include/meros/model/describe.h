/* What a division of customers looks like: sizes, shares, the profile of every segment, and words for people.
 *
 *   describe_fit(&d, &dataset, &prep, labels, k, err);     // numbers
 *   describe_label(&d, out_names);                         // words; or the names that a method gives (RFM)
 *   describe_text(&d, i, lead, &buf);                      // a paragraph
 *   describe_done(&d);
 *
 * Profiles cover every behavioural feature that anybody has, whether or not the model looks at it, and the attributes the
 * model uses. mean and median are of the raw values of those who have one. z is how many standard deviations (over all
 * customers) the segment's mean lies above everybody's, both taken after the feature's transform, so that a few huge
 * spenders do not hide the rest. */
#ifndef MEROS_MODEL_DESCRIBE_H
#define MEROS_MODEL_DESCRIBE_H

#include "meros/base/buf.h"
#include "meros/model/segment_model.h"

enum { DISTINGUISHING_MAX = 5 };

struct feature_summary {
    size_t present;      /* customers of the segment that have a value */
    double mean, median; /* NaN: nobody in the segment has a value */
    double z;            /* NaN likewise */
};
struct segment_summary {
    size_t size;
    double share, revenue, revenue_share; /* revenue_share NaN when nobody has bought */
    double buyers_share;                  /* of its customers, who have bought */
    struct feature_summary *features;     /* (n_features), into the describe's cells */
    size_t distinguishing[DISTINGUISHING_MAX]; /* feature indices, farthest from everybody first; most members have them */
    size_t n_distinguishing;
};
struct describe {
    size_t n, n_features;
    int k;
    char **names;        /* (n_features) as in answers: "recency_days", "attributes.country=FR" */
    int *ids;            /* (n_features) enum feature_id, -1: an attribute */
    struct segment_summary *segments; /* (k) */
    struct feature_summary *cells;    /* (k, n_features) */
};

/* labels: one a row of the dataset, 0..k-1. prep may be empty. d->n may be 0. */
enum meros_code describe_fit(struct describe *out, const struct dataset *d, const struct prep *prep, const int32_t *labels,
                             int k, struct meros_err *err) MEROS_MUSTCHECK;
/* How much of the variance of a feature (after its transform) lies between the segments: 0 tells nothing, 1 all. */
double describe_importance(const struct describe *d, size_t feature);
void describe_done(struct describe *d);

/* A label for every segment, unique among them: who they are in a marketer's words. */
void describe_label(const struct describe *d, char (*out)[SEGMENT_LABEL_MAX + 1]);
/* How many, how much revenue, what the typical one did, and what sets them apart. `lead` opens it and may be NULL. */
void describe_text(const struct describe *d, int segment, const char *lead, struct buf *out);

#endif
