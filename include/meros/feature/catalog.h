/* The catalogue of behavioural features: what can be said about one customer in numbers, computed by one function from
 * `struct customer_stats` and a moment. Training (statistics as of a moment) and live scoring (statistics as kept) call the
 * same function, so a model sees the same number in both.
 *
 * A raw value is a float; NaN says "missing" (a customer without orders has no recency). What a model does with a missing
 * value is the feature's rule, applied by prep.h; profiles of segments leave missing values out instead.
 *
 * Pure functions, no allocation, thread-safe. */
#ifndef MEROS_FEATURE_CATALOG_H
#define MEROS_FEATURE_CATALOG_H

#include <stdbool.h>
#include "meros/base/str.h"
#include "meros/domain/stats.h"

enum feature_transform {
    TRANSFORM_NONE,
    TRANSFORM_LOG1P /* sign(x) * log(1 + |x|): counts, money and days have heavy tails */
};

enum feature_missing {
    MISSING_ZERO,   /* nothing happened: 0 is the truth */
    MISSING_TENURE, /* it has not happened since the customer came: as long ago as that */
    MISSING_MEDIAN  /* cannot be known: the median of the training set, which says nothing */
};

/* id, name, unit, words, transform, rule for missing values */
#define FEATURES_BEHAVIOUR(X)                                                                                \
    X(RECENCY, "recency_days", "days", "days since the last order", LOG1P, TENURE)                           \
    X(FREQUENCY, "frequency", "orders", "number of orders", LOG1P, ZERO)                                     \
    X(MONETARY, "monetary", "money", "money spent, returns taken off", LOG1P, ZERO)                          \
    X(AVERAGE_ORDER_VALUE, "average_order_value", "money", "money spent per order", LOG1P, ZERO)             \
    X(TENURE, "tenure_days", "days", "days since the customer was first known", LOG1P, ZERO)                 \
    X(INTERPURCHASE, "interpurchase_days", "days", "days between two orders on average", LOG1P, MEDIAN)      \
    X(BASKET_SIZE, "basket_size", "units", "units per order", LOG1P, ZERO)                                   \
    X(BASKET_LINES, "basket_lines", "lines", "different lines per order", LOG1P, ZERO)                       \
    X(RETURN_RATE, "return_rate", "share", "share of the spending that was returned", NONE, ZERO)            \
    X(PRODUCT_VARIETY, "product_variety", "products", "number of different products bought", LOG1P, ZERO)    \
    X(DAYS_SINCE_SEEN, "days_since_seen", "days", "days since the last order or event", LOG1P, TENURE)       \
    X(ENGAGEMENT, "engagement", "events", "recent activity, older events counting less", LOG1P, ZERO)

/* After these comes one feature a kind of event, "engagement_product_viewed" and so on: log1p, missing is zero. */
enum feature_id {
#define X(id, name, unit, words, transform, missing) FEATURE_##id,
    FEATURES_BEHAVIOUR(X)
#undef X
    FEATURE_ENGAGEMENT_FIRST,
    FEATURE_COUNT = FEATURE_ENGAGEMENT_FIRST + EVENT_KIND_COUNT
};

struct feature {
    const char *name;  /* stable: in requests, answers and artifacts */
    const char *unit;
    const char *words; /* for people: "days since the last order" */
    enum feature_transform transform;
    enum feature_missing missing;
};

const struct feature *feature_get(enum feature_id id);
bool feature_find(struct str name, enum feature_id *out);

/* Fills raw[FEATURE_COUNT] for one customer at moment `at`. What lies after `at` counts as at `at`: times are never negative. */
void features_compute(const struct customer_stats *s, int64_t at, double half_life_days, float raw[FEATURE_COUNT]);

double feature_transform(enum feature_transform t, double x);

#endif
