/* The customers of one training as a table: raw behavioural features and the attributes seen, row by row.
 *
 *   dataset_init(&d, at, half_life, budget);
 *   dataset_reserve(&d, n, err);                          // optional: how many are to come
 *   dataset_add(&d, &stats, attributes, d.at, err);       // in the order the result shall have; attributes may be NULL
 *   ...
 *   dataset_done(&d);
 *
 * An attribute is a member of the customer's attributes object: a number, a text of at most ATTRIBUTE_TEXT_MAX bytes or a
 * boolean; null, "" and anything nested are missing. It is numeric if all its values read as numbers (also written as
 * text, as they come out of CSV), categorical otherwise. One with more than ATTRIBUTE_LEVELS_MAX different texts is an
 * identifier or prose, and no category.
 *
 * The dataset owns all its memory and refuses with OUT_OF_MEMORY to grow past its budget. One thread at a time. */
#ifndef MEROS_FEATURE_DATASET_H
#define MEROS_FEATURE_DATASET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/domain/stats.h"
#include "meros/feature/catalog.h"

enum { ATTRIBUTES_MAX = 64, ATTRIBUTE_TEXT_MAX = 100, ATTRIBUTE_LEVELS_MAX = 1000 };

struct attribute_level {
    struct str text;
    size_t count;
};

struct attribute {
    struct str name;
    size_t present;   /* customers with a value */
    size_t numbers;   /* of these, values that read as numbers */
    bool overflow;    /* more than ATTRIBUTE_LEVELS_MAX texts: `level` is not to be used */
    float *number;    /* (n) NaN: missing or no number */
    int32_t *level;   /* (n) index into levels; -1: missing */
    struct attribute_level *levels;
    size_t n_levels;
    uint32_t *slots;  /* open addressing over levels: index + 1, 0 free */
};

struct dataset {
    int64_t at;
    double half_life_days;
    int64_t first_at, last_at; /* the earliest and the latest thing known of anybody; TIME_NONE: nothing */
    size_t n, cap;
    int64_t *customer_no; /* (n) */
    float *raw;           /* (n, FEATURE_COUNT), row-major, NaN: missing */
    struct attribute *attributes[ATTRIBUTES_MAX]; /* in the order first seen */
    size_t n_attributes;
    size_t dropped_attributes; /* values of attributes past ATTRIBUTES_MAX */
    size_t bytes, budget;
};

void dataset_init(struct dataset *d, int64_t at, double half_life_days, size_t budget);
void dataset_done(struct dataset *d);
enum meros_code dataset_reserve(struct dataset *d, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* `at` is the moment this customer's features are taken at: d->at, unless customers are judged each at a moment of their own. */
enum meros_code dataset_add(struct dataset *d, const struct customer_stats *s, const struct json *attributes, int64_t at,
                            struct meros_err *err) MEROS_MUSTCHECK;
/* Bytes a customer takes, without attributes. */
size_t dataset_row_bytes(void);
const struct attribute *dataset_attribute(const struct dataset *d, struct str name); /* NULL if nobody has it */
bool attribute_numeric(const struct attribute *a);

/* How one JSON value is read as an attribute's value, in training and in live scoring. */
struct attribute_value {
    bool missing;
    double number;   /* NaN if it does not read as a number */
    struct str text; /* points into the tree or into `buf` */
    char buf[32];
};
void attribute_value_read(const struct json *v, struct attribute_value *out);

#endif
