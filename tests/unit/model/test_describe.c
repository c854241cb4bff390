#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>

#include "meros/model/describe.h"

static const int64_t NOW = INT64_C(1700000000) * TIME_SECOND;

static void add(struct dataset *d, int64_t orders, double revenue, int recency_days, int tenure_days)
{
    struct customer_stats s = {
        .customer_no = (int64_t)d->n + 1,
        .created_at = NOW - tenure_days * TIME_DAY,
        .orders = orders,
        .lines = orders * 3,
        .products = orders * 2,
        .units = (double)orders * 5,
        .revenue = revenue,
        .gross_revenue = revenue,
        .first_order_at = orders == 0 ? TIME_NONE : NOW - (tenure_days - 1) * TIME_DAY,
        .last_order_at = orders == 0 ? TIME_NONE : NOW - recency_days * TIME_DAY,
        .last_seen_at = NOW - recency_days * TIME_DAY,
    };
    cr_assert_eq(dataset_add(d, &s, NULL, d->at, NULL), MEROS_OK);
}

/* 40 loyal big spenders, 100 one-time buyers of long ago, 60 who never bought. */
static void shop(struct dataset *d, int32_t *labels)
{
    dataset_init(d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 40; i++) add(d, 20 + i % 5, 5000 + i, 3 + i % 4, 400), labels[d->n - 1] = 0;
    for (int i = 0; i < 100; i++) add(d, 1, 40 + i % 7, 250 + i % 30, 300), labels[d->n - 1] = 1;
    for (int i = 0; i < 60; i++) add(d, 0, 0, 30 + i, 100), labels[d->n - 1] = 2;
}

static size_t feature(const struct describe *d, const char *name)
{
    for (size_t j = 0; j < d->n_features; j++)
        if (strcmp(d->names[j], name) == 0) return j;
    cr_assert(false, "no feature %s", name);
    return 0;
}

Test(describe, sizes_shares_and_revenue_add_up)
{
    struct dataset d;
    struct describe e;
    struct prep none = {0};
    int32_t labels[200];
    shop(&d, labels);
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 3, NULL), MEROS_OK);
    double share = 0, revenue = 0;
    for (int s = 0; s < 3; s++) {
        share += e.segments[s].share;
        revenue += e.segments[s].revenue_share;
    }
    cr_assert_float_eq(share, 1, 1e-12);
    cr_assert_float_eq(revenue, 1, 1e-12);
    cr_assert_eq(e.segments[0].size, 40);
    cr_assert_eq(e.segments[2].size, 60);
    cr_assert_gt(e.segments[0].revenue_share, 0.9);
    describe_done(&e);
    dataset_done(&d);
}

Test(describe, profiles_leave_missing_values_out)
{
    struct dataset d;
    struct describe e;
    struct prep none = {0};
    int32_t labels[200];
    shop(&d, labels);
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 3, NULL), MEROS_OK);
    const size_t recency = feature(&e, "recency_days"), orders = feature(&e, "frequency");
    cr_assert_float_eq(e.segments[0].features[recency].mean, 4.5, 1e-4);
    cr_assert_float_eq(e.segments[0].features[recency].median, 4.5, 1e-4);
    cr_assert(isnan(e.segments[2].features[recency].mean));
    cr_assert_eq(e.segments[2].features[orders].mean, 0);
    cr_assert_gt(e.segments[0].features[orders].z, 1);
    cr_assert_lt(e.segments[2].features[orders].z, 0);
    for (size_t i = 1; i < e.segments[0].n_distinguishing; i++) {
        const size_t a = e.segments[0].distinguishing[i - 1], b = e.segments[0].distinguishing[i];
        cr_assert_geq(fabs(e.segments[0].features[a].z), fabs(e.segments[0].features[b].z));
    }
    /* Variance within and between segments make up all of it: with z of 1 as everybody's variance, between is at most 1. */
    for (size_t j = 0; j < e.n_features; j++)
        cr_assert(describe_importance(&e, j) >= 0 && describe_importance(&e, j) <= 1, "%s", e.names[j]);
    cr_assert_gt(describe_importance(&e, orders), 0.9);
    cr_assert_eq(describe_importance(&e, feature(&e, "return_rate")), 0);
    for (size_t i = 0; i < e.segments[2].n_distinguishing; i++)
        cr_assert_str_neq(e.names[e.segments[2].distinguishing[i]], "recency_days", "nobody there has any");
    describe_done(&e);
    dataset_done(&d);
}

Test(describe, labels_say_who_they_are)
{
    struct dataset d;
    struct describe e;
    struct prep none = {0};
    int32_t labels[200];
    char out[3][SEGMENT_LABEL_MAX + 1];
    shop(&d, labels);
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 3, NULL), MEROS_OK);
    describe_label(&e, out);
    cr_assert_not_null(strstr(out[0], "loyal big spenders"), "%s", out[0]);
    cr_assert_not_null(strstr(out[1], "apsed one-time"), "%s", out[1]);
    cr_assert_not_null(strstr(out[2], "never bought"), "%s", out[2]);
    struct buf text;
    buf_init(&text, 4096);
    describe_text(&e, 0, NULL, &text);
    cr_assert_not_null(strstr(text.data, "40 customers (20.0 %)"), "%s", text.data);
    buf_done(&text);
    describe_done(&e);
    dataset_done(&d);
}

Test(describe, labels_are_unique_even_among_twins)
{
    struct dataset d;
    struct describe e;
    struct prep none = {0};
    int32_t labels[200];
    char out[5][SEGMENT_LABEL_MAX + 1];
    shop(&d, labels);
    for (size_t i = 0; i < d.n; i++) labels[i] = (int32_t)(i % 5); /* five alike mixtures */
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 5, NULL), MEROS_OK);
    describe_label(&e, out);
    for (int a = 0; a < 5; a++)
        for (int b = 0; b < a; b++) cr_assert_str_neq(out[a], out[b]);
    describe_done(&e);
    dataset_done(&d);
}

Test(describe, one_segment_is_all_customers_and_an_empty_one_is_told_as_such)
{
    struct dataset d;
    struct describe e;
    struct prep none = {0};
    int32_t labels[200];
    char out[3][SEGMENT_LABEL_MAX + 1];
    struct buf text;
    shop(&d, labels);
    for (size_t i = 0; i < d.n; i++) labels[i] = 0;
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 1, NULL), MEROS_OK);
    describe_label(&e, out);
    cr_assert_str_eq(out[0], "All customers");
    describe_done(&e);
    cr_assert_eq(describe_fit(&e, &d, &none, labels, 3, NULL), MEROS_OK);
    cr_assert(isnan(e.segments[1].features[0].mean));
    buf_init(&text, 4096);
    describe_text(&e, 1, "Lead.", &text);
    cr_assert_str_eq(text.data, "Lead. 0 customers (0.0 %) with 0.0 % of the revenue.");
    buf_done(&text);
    describe_done(&e);
    dataset_done(&d);
}
