/* Preprocessing of one model: which features it looks at, and how raw values become the numbers that a clustering
 * compares. Fitted on a dataset, kept in the model's artifact, applied to one customer at a time in training and live.
 *
 * A column's value is ((transform(raw or fill) - center) / scale) * weight:
 *   - fill stands in for a missing value by the feature's rule (catalog.h); a numeric attribute is filled with the median;
 *   - scale "standard" is the standard deviation around the mean, "robust" the interquartile range / 1.349 around the
 *     median (the standard deviation where most values are equal and that range is 0), "none" leaves transformed values;
 *   - a categorical attribute becomes one 0/1 column for each of its most frequent levels (at most PREP_LEVELS_MAX, each
 *     held by at least 1 % of the customers and never by fewer than 5) and one for all other values;
 *   - weight: the columns that say one thing together (the levels of an attribute; recent activity by kind of event)
 *     share the weight of one feature, 1 / sqrt(how many they are).
 * Constant columns tell customers apart in nothing and are left out.
 *
 * A fitted prep is immutable and may be used by several threads at once; scratch is the caller's. */
#ifndef MEROS_FEATURE_PREP_H
#define MEROS_FEATURE_PREP_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/feature/dataset.h"

enum prep_scaling { SCALING_STANDARD, SCALING_ROBUST, SCALING_NONE };
extern const char *const prep_scaling_words[]; /* NULL-terminated, in the order of the enum */

enum { PREP_LEVELS_MAX = 12, PREP_COLUMNS_MAX = 1024, PREP_FEATURES_MAX = 128 };

enum prep_kind {
    PREP_STAT,   /* a feature of the catalogue */
    PREP_NUMBER, /* a numeric attribute */
    PREP_LEVEL,  /* 1 if the attribute has this level */
    PREP_OTHER   /* 1 if the attribute has a value that is none of its levels */
};
struct prep_column {
    enum prep_kind kind;
    int source;  /* PREP_STAT: enum feature_id; else index into prep.attributes */
    int level;   /* PREP_LEVEL: index into the attribute's levels */
    enum feature_transform transform;
    enum feature_missing missing;
    double fill, center, scale, weight;
};
struct prep_attribute {
    char *name;
    bool numeric;
    char **levels; /* categorical: sorted by frequency */
    int n_levels;
};
struct prep {
    enum prep_scaling scaling;
    struct prep_column *columns;
    size_t n_columns;
    struct prep_attribute *attributes;
    size_t n_attributes;
};

/* What a training asks for. `features` are names of the catalogue, "attributes.<name>", or "attributes" for all of them;
 * none (n_features 0): everything there is. Prose and identifiers among the attributes are left out unless named. */
struct prep_params {
    enum prep_scaling scaling;
    const struct str *features;
    size_t n_features;
};
/* Is this text a feature's name, as far as can be told without data? */
bool prep_feature_known(struct str name);

/* UNPROCESSABLE when a named attribute is had by nobody or is no category; n_columns may be 0 (nobody differs from anybody). */
enum meros_code prep_fit(const struct dataset *d, const struct prep_params *params, struct prep *out,
                         struct meros_err *err) MEROS_MUSTCHECK;
void prep_done(struct prep *p); /* an all-zero one is fine */

/* The attributes of one customer as a prep reads them: numbers (NaN: missing) and level indices. */
struct prep_values {
    float number[ATTRIBUTES_MAX];
    int level[ATTRIBUTES_MAX]; /* -1: missing; n_levels: a value that is no level */
};
void prep_read_json(const struct prep *p, const struct json *attributes, struct prep_values *out); /* NULL: none */
/* The same from a dataset: a plan made once, then row by row. */
struct prep_plan {
    const struct attribute *source[ATTRIBUTES_MAX];
    int *level_map[ATTRIBUTES_MAX]; /* dataset level -> prep level */
};
enum meros_code prep_plan_init(const struct prep *p, const struct dataset *d, struct prep_plan *out,
                               struct meros_err *err) MEROS_MUSTCHECK;
void prep_plan_done(struct prep_plan *plan);
void prep_read_dataset(const struct prep *p, const struct prep_plan *plan, size_t row, struct prep_values *out);

/* One row of the matrix: out has room for n_columns. */
void prep_row(const struct prep *p, const float raw[FEATURE_COUNT], const struct prep_values *values, float *out);
/* The whole dataset: x is (d->n, n_columns), row-major. */
enum meros_code prep_matrix(const struct prep *p, const struct dataset *d, float *x, struct meros_err *err) MEROS_MUSTCHECK;

/* The name of a column in answers: "recency_days", "attributes.age", "attributes.country=FR", "attributes.country (other)". */
void prep_column_name(const struct prep *p, size_t column, struct buf *out);
/* Its raw value for a customer, NaN if missing: what profiles average. */
double prep_column_raw(const struct prep *p, size_t column, const float raw[FEATURE_COUNT], const struct prep_values *values);

#endif
