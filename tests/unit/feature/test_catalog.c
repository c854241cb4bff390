#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>

#include "meros/feature/catalog.h"

static const int64_t NOW = INT64_C(1700000000) * TIME_SECOND;

static struct customer_stats buyer(void)
{
    return (struct customer_stats){
        .customer_no = 1,
        .created_at = NOW - 100 * TIME_DAY,
        .orders = 4,
        .lines = 12,
        .products = 9,
        .units = 20,
        .revenue = 180,
        .gross_revenue = 200,
        .returned_amount = 20,
        .first_order_at = NOW - 91 * TIME_DAY,
        .last_order_at = NOW - 1 * TIME_DAY,
        .last_seen_at = NOW - TIME_DAY / 2,
    };
}

Test(catalog, every_feature_has_a_name_of_its_own_by_which_it_is_found)
{
    for (int i = 0; i < FEATURE_COUNT; i++) {
        enum feature_id id;
        const struct feature *f = feature_get((enum feature_id)i);
        cr_assert_not_null(f->name, "feature %d", i);
        cr_assert_not_null(f->words, "feature %d", i);
        cr_assert(feature_find(str_of(f->name), &id) && (int)id == i, "%s", f->name);
    }
    enum feature_id id;
    cr_assert_not(feature_find(STR("shoe_size"), &id));
}

Test(catalog, computes_a_buyers_features)
{
    struct customer_stats s = buyer();
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    cr_assert_float_eq(raw[FEATURE_RECENCY], 1, 1e-6);
    cr_assert_float_eq(raw[FEATURE_FREQUENCY], 4, 1e-6);
    cr_assert_float_eq(raw[FEATURE_MONETARY], 180, 1e-4);
    cr_assert_float_eq(raw[FEATURE_AVERAGE_ORDER_VALUE], 45, 1e-4);
    cr_assert_float_eq(raw[FEATURE_TENURE], 100, 1e-4);
    cr_assert_float_eq(raw[FEATURE_INTERPURCHASE], 30, 1e-4);
    cr_assert_float_eq(raw[FEATURE_BASKET_SIZE], 5, 1e-6);
    cr_assert_float_eq(raw[FEATURE_BASKET_LINES], 3, 1e-6);
    cr_assert_float_eq(raw[FEATURE_RETURN_RATE], 0.1, 1e-6);
    cr_assert_float_eq(raw[FEATURE_PRODUCT_VARIETY], 9, 1e-6);
    cr_assert_float_eq(raw[FEATURE_DAYS_SINCE_SEEN], 0.5, 1e-6);
}

Test(catalog, says_missing_where_there_is_nothing_to_say)
{
    struct customer_stats s = {
        .created_at = TIME_NONE, .first_order_at = TIME_NONE, .last_order_at = TIME_NONE, .last_seen_at = TIME_NONE};
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    const int missing[] = {FEATURE_RECENCY,       FEATURE_AVERAGE_ORDER_VALUE, FEATURE_TENURE,         FEATURE_INTERPURCHASE,
                           FEATURE_BASKET_SIZE,   FEATURE_BASKET_LINES,        FEATURE_RETURN_RATE,    FEATURE_DAYS_SINCE_SEEN};
    for (size_t i = 0; i < sizeof missing / sizeof *missing; i++)
        cr_assert(isnan(raw[missing[i]]), "%s", feature_get((enum feature_id)missing[i])->name);
    cr_assert_eq(raw[FEATURE_FREQUENCY], 0);
    cr_assert_eq(raw[FEATURE_MONETARY], 0);
    cr_assert_eq(raw[FEATURE_ENGAGEMENT], 0);
}

Test(catalog, time_between_orders_needs_two_of_them)
{
    struct customer_stats s = buyer();
    s.orders = 1;
    s.first_order_at = s.last_order_at;
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    cr_assert(isnan(raw[FEATURE_INTERPURCHASE]));
    cr_assert_not(isnan(raw[FEATURE_RECENCY]));
}

Test(catalog, tenure_counts_from_the_first_order_where_the_record_is_younger)
{
    struct customer_stats s = buyer();
    s.created_at = NOW - TIME_DAY;
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    cr_assert_float_eq(raw[FEATURE_TENURE], 91, 1e-4);
}

Test(catalog, nothing_lies_in_the_future)
{
    struct customer_stats s = buyer();
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW - 50 * TIME_DAY, 30, raw);
    cr_assert_eq(raw[FEATURE_RECENCY], 0);
    cr_assert_eq(raw[FEATURE_DAYS_SINCE_SEEN], 0);
    cr_assert_float_eq(raw[FEATURE_TENURE], 50, 1e-4);
}

Test(catalog, engagement_decays_by_half_every_half_life_and_leaves_out_what_the_shop_showed)
{
    struct customer_stats s = buyer();
    s.events[EVENT_PRODUCT_VIEWED] = (struct event_stats){.count = 8, .decayed = 8, .decayed_at = NOW - 30 * TIME_DAY};
    s.events[EVENT_RECOMMENDATION_SHOWN] = (struct event_stats){.count = 5, .decayed = 5, .decayed_at = NOW};
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    cr_assert_float_eq(raw[FEATURE_ENGAGEMENT_FIRST + EVENT_PRODUCT_VIEWED], 4, 1e-5);
    cr_assert_float_eq(raw[FEATURE_ENGAGEMENT_FIRST + EVENT_RECOMMENDATION_SHOWN], 5, 1e-5);
    cr_assert_float_eq(raw[FEATURE_ENGAGEMENT], 4, 1e-5);
}

Test(catalog, absurd_sums_stay_finite)
{
    struct customer_stats s = buyer();
    s.revenue = 1e300;
    s.units = 1e300;
    float raw[FEATURE_COUNT];
    features_compute(&s, NOW, 30, raw);
    for (int i = 0; i < FEATURE_COUNT; i++) cr_assert_not(isinf(raw[i]), "%s", feature_get((enum feature_id)i)->name);
}

Test(catalog, log_transform_keeps_the_sign)
{
    cr_assert_float_eq(feature_transform(TRANSFORM_LOG1P, -(M_E - 1)), -1, 1e-12);
    cr_assert_float_eq(feature_transform(TRANSFORM_LOG1P, M_E - 1), 1, 1e-12);
    cr_assert_eq(feature_transform(TRANSFORM_NONE, -3), -3);
}
