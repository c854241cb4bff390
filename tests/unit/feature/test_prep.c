#include <criterion/criterion.h>
#include <criterion/new/assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/feature/prep.h"

static const int64_t NOW = INT64_C(1700000000) * TIME_SECOND;

static struct customer_stats customer(int64_t no, int64_t orders, double revenue, int recency_days)
{
    return (struct customer_stats){
        .customer_no = no,
        .created_at = NOW - 400 * TIME_DAY,
        .orders = orders,
        .lines = orders * 2,
        .products = orders,
        .units = (double)orders * 3,
        .revenue = revenue,
        .gross_revenue = revenue,
        .first_order_at = orders == 0 ? TIME_NONE : NOW - 300 * TIME_DAY,
        .last_order_at = orders == 0 ? TIME_NONE : NOW - recency_days * TIME_DAY,
        .last_seen_at = NOW - (recency_days + 1) * TIME_DAY,
    };
}

static void add(struct dataset *d, const struct customer_stats *s, const char *attributes)
{
    struct json *tree = NULL;
    if (attributes != NULL) cr_assert_eq(json_parse(attributes, strlen(attributes), &tree, NULL), MEROS_OK);
    cr_assert_eq(dataset_add(d, s, tree, d->at, NULL), MEROS_OK);
    json_free(tree);
}

/* 100 customers who differ in all of the basics, with attributes of every sort. */
static void shop(struct dataset *d)
{
    dataset_init(d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 100; i++) {
        char attributes[256];
        struct customer_stats s = customer(i + 1, i % 7, i % 7 * (10 + i), i + 1);
        snprintf(attributes, sizeof attributes,
                 "{\"country\":\"%s\",\"age\":%s,\"serial\":\"id-%d\",\"vip\":%s,\"note\":\"\",\"nested\":{\"a\":1}}",
                 i % 10 == 0 ? "FR" : i % 3 == 0 ? "DE" : "GB", i % 5 == 0 ? "\"\"" : i % 2 ? "\"33\"" : "44.5", i,
                 i % 4 ? "true" : "false");
        add(d, &s, attributes);
    }
}

static struct prep fitted(const struct dataset *d, enum prep_scaling scaling, const struct str *features, size_t n)
{
    struct prep p = {0};
    struct meros_err err = MEROS_ERR_INIT;
    const struct prep_params params = {scaling, features, n};
    cr_assert_eq(prep_fit(d, &params, &p, &err), MEROS_OK, "%s", err.detail);
    return p;
}

static int column(const struct prep *p, const char *name)
{
    for (size_t j = 0; j < p->n_columns; j++) {
        struct buf b;
        buf_init(&b, 400);
        prep_column_name(p, j, &b);
        bool same = strcmp(b.data, name) == 0;
        buf_done(&b);
        if (same) return (int)j;
    }
    return -1;
}

Test(prep, standard_columns_have_mean_zero_and_deviation_of_their_weight)
{
    struct dataset d;
    shop(&d);
    struct prep p = fitted(&d, SCALING_STANDARD, NULL, 0);
    float *x = malloc(d.n * p.n_columns * sizeof *x);
    cr_assert_eq(prep_matrix(&p, &d, x, NULL), MEROS_OK);
    cr_assert_gt(p.n_columns, 8);
    for (size_t j = 0; j < p.n_columns; j++) {
        double sum = 0, squares = 0;
        for (size_t i = 0; i < d.n; i++) {
            sum += x[i * p.n_columns + j];
            squares += (double)x[i * p.n_columns + j] * x[i * p.n_columns + j];
        }
        cr_assert_float_eq(sum / (double)d.n, 0, 1e-5);
        cr_assert_float_eq(sqrt(squares / (double)d.n), p.columns[j].weight, 1e-5);
    }
    free(x);
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, a_live_row_equals_the_training_row_to_the_bit)
{
    struct dataset d;
    shop(&d);
    struct prep p = fitted(&d, SCALING_ROBUST, NULL, 0);
    float *x = malloc(d.n * p.n_columns * sizeof *x), *row = malloc(p.n_columns * sizeof *row);
    cr_assert_eq(prep_matrix(&p, &d, x, NULL), MEROS_OK);
    static const char attributes[] = "{\"country\":\"FR\",\"age\":\"\",\"serial\":\"id-0\",\"vip\":false}";
    struct json *tree = NULL;
    cr_assert_eq(json_parse(attributes, sizeof attributes - 1, &tree, NULL), MEROS_OK);
    struct customer_stats s = customer(1, 0, 0, 1);
    float raw[FEATURE_COUNT];
    struct prep_values values;
    features_compute(&s, NOW, 30, raw);
    prep_read_json(&p, tree, &values);
    prep_row(&p, raw, &values, row);
    cr_assert_arr_eq(row, x, p.n_columns * sizeof *row);
    json_free(tree);
    free(x);
    free(row);
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, attributes_become_numbers_or_levels_and_identifiers_stay_out)
{
    struct dataset d;
    shop(&d);
    struct prep p = fitted(&d, SCALING_STANDARD, NULL, 0);
    cr_assert_geq(column(&p, "attributes.age"), 0);
    cr_assert_geq(column(&p, "attributes.country=GB"), 0);
    cr_assert_geq(column(&p, "attributes.country=DE"), 0);
    cr_assert_geq(column(&p, "attributes.country=FR"), 0);
    cr_assert_geq(column(&p, "attributes.vip=true"), 0);
    for (size_t a = 0; a < p.n_attributes; a++) {
        cr_assert_str_neq(p.attributes[a].name, "serial");
        cr_assert_str_neq(p.attributes[a].name, "nested");
        cr_assert_str_neq(p.attributes[a].name, "note");
    }
    const int age = column(&p, "attributes.age");
    cr_assert_float_eq(p.columns[age].fill, 44.5 + 0, 12, "the median fills in");
    const int gb = column(&p, "attributes.country=GB");
    cr_assert_float_eq(p.columns[gb].weight, 1 / sqrt(3), 1e-9, "three levels share one feature's weight");
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, a_rare_or_unseen_level_counts_as_other)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 60; i++) {
        struct customer_stats s = customer(i + 1, 1, 10, 1);
        add(&d, &s, i < 30 ? "{\"plan\":\"basic\"}" : i < 58 ? "{\"plan\":\"plus\"}" : "{\"plan\":\"odd\"}");
    }
    struct prep p = fitted(&d, SCALING_NONE, (struct str[]){STR("attributes.plan")}, 1);
    cr_assert_eq(p.n_attributes, 1);
    cr_assert_eq(p.attributes[0].n_levels, 2);
    const int other = column(&p, "attributes.plan (other)");
    cr_assert_geq(other, 0);
    struct json *tree = NULL;
    cr_assert_eq(json_parse("{\"plan\":\"never seen\"}", 21, &tree, NULL), MEROS_OK);
    struct prep_values values;
    float raw[FEATURE_COUNT] = {0}, row[8];
    prep_read_json(&p, tree, &values);
    prep_row(&p, raw, &values, row);
    cr_assert_gt(row[other], 0);
    cr_assert_eq(row[column(&p, "attributes.plan=basic")], 0);
    json_free(tree);
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, constant_columns_are_left_out)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 20; i++) {
        struct customer_stats s = customer(i + 1, 3, 50, 10);
        add(&d, &s, "{\"country\":\"GB\"}");
    }
    struct prep p = fitted(&d, SCALING_STANDARD, NULL, 0);
    cr_assert_eq(p.n_columns, 0);
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, missing_recency_is_as_long_ago_as_the_customer_is_known)
{
    struct dataset d;
    shop(&d);
    struct prep p = fitted(&d, SCALING_NONE, (struct str[]){STR("recency_days")}, 1);
    struct customer_stats never = customer(1, 0, 0, 1);
    float raw[FEATURE_COUNT], row[1];
    features_compute(&never, NOW, 30, raw);
    prep_row(&p, raw, NULL, row);
    cr_assert_float_eq(row[0], log1p(400), 1e-4);
    prep_done(&p);
    dataset_done(&d);
}

Test(prep, an_attribute_that_nobody_has_is_an_error_by_name)
{
    struct dataset d;
    shop(&d);
    struct prep p;
    struct meros_err err = MEROS_ERR_INIT;
    const struct prep_params params = {SCALING_STANDARD, (struct str[]){STR("attributes.shoe_size")}, 1};
    cr_assert_eq(prep_fit(&d, &params, &p, &err), MEROS_UNPROCESSABLE);
    cr_assert_not_null(strstr(err.detail, "shoe_size"));
    dataset_done(&d);
}

Test(prep, robust_scaling_is_not_moved_by_one_giant)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < 101; i++) {
        struct customer_stats s = customer(i + 1, 1 + i % 9, i == 100 ? 1e12 : 100 + i, 10 + i);
        add(&d, &s, NULL);
    }
    struct prep p = fitted(&d, SCALING_ROBUST, (struct str[]){STR("monetary")}, 1);
    cr_assert_float_eq(p.columns[0].center, log1p(150), 0.05);
    cr_assert_lt(p.columns[0].scale, 1);
    prep_done(&p);
    dataset_done(&d);
}

Test(dataset, knows_to_the_microsecond_what_time_its_rows_cover)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, 1 << 20);
    cr_expect(d.first_at == TIME_NONE && d.last_at == TIME_NONE);
    struct customer_stats s = {.created_at = TIME_NONE, .first_order_at = TIME_NONE, .last_order_at = TIME_NONE, .last_seen_at = TIME_NONE};
    add(&d, &s, NULL);
    cr_expect(d.first_at == TIME_NONE && d.last_at == TIME_NONE, "of a customer without anything");
    s.created_at = NOW - 20000 * TIME_DAY - 1;
    s.last_seen_at = NOW - 1;
    add(&d, &s, NULL);
    s.created_at = s.last_seen_at = NOW - 300 * TIME_DAY;
    add(&d, &s, NULL);
    cr_expect_eq(d.first_at, NOW - 20000 * TIME_DAY - 1);
    cr_expect_eq(d.last_at, NOW - 1);
    dataset_done(&d);
}

Test(dataset, refuses_to_grow_past_its_budget)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, 200000);
    struct meros_err err = MEROS_ERR_INIT;
    struct customer_stats s = customer(1, 1, 1, 1);
    enum meros_code rc = MEROS_OK;
    for (int i = 0; i < 10000 && rc == MEROS_OK; i++) rc = dataset_add(&d, &s, NULL, NOW, &err);
    cr_assert_eq(rc, MEROS_OUT_OF_MEMORY);
    cr_assert_leq(d.bytes, 200000);
    dataset_done(&d);
}

Test(dataset, an_attribute_of_many_texts_is_no_category)
{
    struct dataset d;
    dataset_init(&d, NOW, 30, SIZE_MAX);
    for (int i = 0; i < ATTRIBUTE_LEVELS_MAX + 5; i++) {
        char attributes[64];
        struct customer_stats s = customer(i + 1, 1, 1, 1);
        snprintf(attributes, sizeof attributes, "{\"key\":\"k%d\",\"n\":%d}", i, i);
        add(&d, &s, attributes);
    }
    cr_assert(dataset_attribute(&d, STR("key"))->overflow);
    cr_assert(attribute_numeric(dataset_attribute(&d, STR("n"))), "numbers may be as many as they like");
    struct meros_err err = MEROS_ERR_INIT;
    struct prep p;
    const struct prep_params params = {SCALING_STANDARD, (struct str[]){STR("attributes.key")}, 1};
    cr_assert_eq(prep_fit(&d, &params, &p, &err), MEROS_UNPROCESSABLE);
    dataset_done(&d);
}
