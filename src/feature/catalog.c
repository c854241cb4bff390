#include "meros/feature/catalog.h"

#include <math.h>

static const struct feature catalog[FEATURE_COUNT] = {
#define X(id, name, unit, words, transform, missing)                                                         \
    [FEATURE_##id] = {name, unit, words, TRANSFORM_##transform, MISSING_##missing},
    FEATURES_BEHAVIOUR(X)
#undef X
#define X(id, name)                                                                                          \
    [FEATURE_ENGAGEMENT_FIRST + EVENT_##id] = {"engagement_" name, "events", "recent " name " events",       \
                                               TRANSFORM_LOG1P, MISSING_ZERO},
    EVENT_KINDS(X)
#undef X
};

const struct feature *feature_get(enum feature_id id)
{
    return &catalog[id];
}

bool feature_find(struct str name, enum feature_id *out)
{
    for (int i = 0; i < FEATURE_COUNT; i++) {
        if (str_is(name, catalog[i].name)) {
            *out = (enum feature_id)i;
            return true;
        }
    }
    return false;
}

double feature_transform(enum feature_transform t, double x)
{
    return t == TRANSFORM_LOG1P ? copysign(log1p(fabs(x)), x) : x;
}

/* Rows are float to halve what a training holds in memory. Sums of a shop can exceed float's range only by mistake; they
 * are kept finite so that such a customer is an outlier and not a NaN that spreads. */
static float narrow(double x)
{
    return isnan(x) ? NAN : (float)fmax(-1e30, fmin(1e30, x));
}

/* Days from a moment to `at`, never negative; NaN if there was no such moment. */
static double days_since(int64_t then, int64_t at)
{
    if (then == TIME_NONE) return NAN;
    return then >= at ? 0 : (double)(at - then) / (double)TIME_DAY;
}

static int64_t known_since(const struct customer_stats *s)
{
    if (s->created_at == TIME_NONE) return s->first_order_at;
    if (s->first_order_at == TIME_NONE) return s->created_at;
    /* A CRM may have learnt of a customer after the first order. */
    return s->created_at < s->first_order_at ? s->created_at : s->first_order_at;
}

void features_compute(const struct customer_stats *s, int64_t at, double half_life_days, float raw[FEATURE_COUNT])
{
    const double orders = (double)s->orders;
    const bool bought = s->orders > 0;

    raw[FEATURE_RECENCY] = narrow(days_since(s->last_order_at, at));
    raw[FEATURE_FREQUENCY] = narrow(orders);
    raw[FEATURE_MONETARY] = narrow(s->revenue);
    raw[FEATURE_AVERAGE_ORDER_VALUE] = bought ? narrow(s->revenue / orders) : NAN;
    raw[FEATURE_TENURE] = narrow(days_since(known_since(s), at));
    raw[FEATURE_INTERPURCHASE] =
        s->orders > 1 ? narrow(days_since(s->first_order_at, s->last_order_at) / (orders - 1)) : NAN;
    raw[FEATURE_BASKET_SIZE] = bought ? narrow(s->units / orders) : NAN;
    raw[FEATURE_BASKET_LINES] = bought ? narrow((double)s->lines / orders) : NAN;
    raw[FEATURE_RETURN_RATE] = s->gross_revenue > 0 ? narrow(fmin(1, s->returned_amount / s->gross_revenue)) : NAN;
    raw[FEATURE_PRODUCT_VARIETY] = narrow((double)s->products);
    raw[FEATURE_DAYS_SINCE_SEEN] = narrow(days_since(s->last_seen_at, at));

    double total = 0;
    for (int k = 0; k < EVENT_KIND_COUNT; k++) {
        double e = event_stats_at(&s->events[k], at, half_life_days);
        raw[FEATURE_ENGAGEMENT_FIRST + k] = narrow(e);
        /* What the shop showed is not something the customer did. */
        if (k != EVENT_RECOMMENDATION_SHOWN) total += e;
    }
    raw[FEATURE_ENGAGEMENT] = narrow(total);
}
