#include "meros/domain/stats.h"

#include <criterion/criterion.h>
#include <math.h>

Test(stats, event_kinds_are_found_by_their_names)
{
    for (int k = 0; k < EVENT_KIND_COUNT; k++)
        cr_assert_eq(event_kind_of(str_of(event_kind_name((enum event_kind)k))), (enum event_kind)k);
    cr_assert_eq(event_kind_of(STR("product_viewed")), EVENT_PRODUCT_VIEWED);
    cr_assert_eq(event_kind_of(STR("Product_Viewed")), EVENT_OTHER);
    cr_assert_eq(event_kind_of(STR("product_viewed ")), EVENT_OTHER);
    cr_assert_eq(event_kind_of(STR("")), EVENT_OTHER);
    cr_assert_eq(event_kind_of(STR_NONE), EVENT_OTHER);
}

Test(stats, nothing_seen_is_no_activity)
{
    struct event_stats e = {.decayed_at = TIME_NONE};
    cr_assert_eq(event_stats_at(&e, clock_now(), 30), 0);
}

Test(stats, activity_halves_every_half_life)
{
    struct event_stats e = {.decayed_at = TIME_NONE};
    event_stats_add(&e, 100 * TIME_DAY, 30);
    cr_assert_eq(e.count, 1);
    cr_assert_eq(e.decayed_at, 100 * TIME_DAY);
    cr_assert_float_eq(event_stats_at(&e, 100 * TIME_DAY, 30), 1, 1e-15);
    cr_assert_float_eq(event_stats_at(&e, 130 * TIME_DAY, 30), 0.5, 1e-15);
    cr_assert_float_eq(event_stats_at(&e, 190 * TIME_DAY, 30), 0.125, 1e-15);
    event_stats_add(&e, 130 * TIME_DAY, 30);
    cr_assert_float_eq(e.decayed, 1.5, 1e-15);
}

Test(stats, before_the_newest_event_activity_is_as_of_that_event)
{
    struct event_stats e = {.decayed_at = TIME_NONE};
    event_stats_add(&e, 100 * TIME_DAY, 30);
    cr_assert_eq(event_stats_at(&e, 0, 30), 1);
}

/* The sum that the struct promises, term by term. */
static double naive(const int64_t *t, int n, int64_t at, double half_life)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += exp2(-(double)(at - t[i]) / (double)TIME_DAY / half_life);
    return sum;
}

Test(stats, the_order_of_arrival_does_not_matter)
{
    enum { N = 400 };
    int64_t t[N], newest = INT64_MIN;
    uint64_t r = 3;
    for (int round = 0; round < 50; round++) {
        struct event_stats e = {.decayed_at = TIME_NONE};
        newest = INT64_MIN;
        for (int i = 0; i < N; i++) {
            r = r * UINT64_C(6364136223846793005) + 1442695040888963407u;
            t[i] = (int64_t)(r >> 20) % (700 * TIME_DAY) - 100 * TIME_DAY; /* also before 1970, also the same moment twice */
            if (i % 7 == 3) t[i] = t[i - 1];
            if (t[i] > newest) newest = t[i];
            event_stats_add(&e, t[i], 30);
        }
        cr_assert_eq(e.count, N);
        cr_assert_eq(e.decayed_at, newest);
        double want = naive(t, N, newest, 30);
        cr_assert_float_eq(e.decayed, want, 1e-12 * want);
        int64_t later = newest + 45 * TIME_DAY;
        want = naive(t, N, later, 30);
        cr_assert_float_eq(event_stats_at(&e, later, 30), want, 1e-12 * want);
    }
}

Test(stats, events_of_another_age_fade_to_nothing_and_never_to_nan)
{
    struct event_stats e = {.decayed_at = TIME_NONE};
    event_stats_add(&e, -50000 * TIME_DAY, 1);
    event_stats_add(&e, 50000 * TIME_DAY, 1);
    event_stats_add(&e, -50000 * TIME_DAY, 1);
    cr_assert_eq(e.decayed, 1);
    cr_assert_eq(e.count, 3);
    cr_assert_eq(event_stats_at(&e, 2000000 * TIME_DAY, 1), 0);
}
