/* From customers in the database to answers about one of them: training, ids that stay, activation, refresh, serving. */
#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/model/snapshot.h"
#include "meros/service/scoring.h"
#include "meros/service/models.h"
#include "meros/service/segments.h"
#include "meros/service/segment_training.h"
#include "meros/store/stats.h"
#include "pg.h"
#include "store_priv.h"
#include "training_support.h"

#define AS_OF "2024-01-01T00:00:00Z"

/* --- a shop: groups of customers that differ clearly, and their statistics */

static const char RESTAT[] =
    "truncate customer_stats;"
    "insert into customer_stats select customer_no, count(*) filter (where purchase), count(*) filter (where not purchase),"
    "  sum(lines), count(*), sum(units), sum(revenue), sum(gross_revenue), sum(returned_amount),"
    "  min(ordered_at) filter (where purchase), max(ordered_at) filter (where purchase), min(ordered_at), max(ordered_at)"
    "  from orders group by customer_no;";

/* Customers no. first..last: so many orders each, the last one `recency` days before AS_OF, `gap` days between two. */
static void customers(struct pg *db, int first, int last, int orders, int recency, int gap, int amount)
{
    char sql[2048];
    snprintf(sql, sizeof sql,
             "insert into customers (customer_no, customer_id, attributes) select i, 'c' || i,"
             "  jsonb_build_object('country', (array['GB','DE','FR'])[1 + i %% 3], 'age', (20 + i %% 40)::text)"
             "  from generate_series(%d, %d) i;"
             "insert into customer_ids select 'c' || i, i from generate_series(%d, %d) i;"
             "insert into orders select i, i * 1000 + j, 'o' || i || '-' || j,"
             "  timestamptz '" AS_OF "' - make_interval(days => %d + (i * 7 %% 5) + j * %d, hours => i %% 20 + 1), true,"
             "  1 + i %% 3, 2 + i %% 4, %d + i %% 11, %d + i %% 11, 0"
             "  from generate_series(%d, %d) i, generate_series(0, %d) j;"
             "insert into order_lines select customer_no, order_no, k, null, ordered_at,"
             "  case k when 1 then units - 0.25 * (lines - 1) else 0.25 end, null, case k when 1 then revenue else 0 end, null"
             "  from orders, generate_series(1, lines) k where customer_no between %d and %d;%s",
             first, last, first, last, recency, gap, amount, amount, first, last, orders - 1, first,
             last, RESTAT);
    pg_run(db, sql);
}

static void shop(struct pg *db)
{
    customers(db, 1, 60, 12, 3, 15, 150);   /* loyal */
    customers(db, 61, 160, 1, 300, 1, 20);  /* gone after one order */
    customers(db, 161, 240, 1, 8, 1, 25);   /* new */
    customers(db, 241, 280, 5, 150, 20, 90); /* once good */
}

/* --- a service without HTTP */

static void on_with(struct pg *db, struct service *svc, int threads, size_t memory)
{
    struct meros_err err = MEROS_ERR_INIT;
    *svc = (struct service){.store = db->pool};
    svc->settings.activity_half_life_days = 30;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    struct store_conn *c = pg_conn(db);
    cr_assert_eq(store_stats_set_half_life(c, 30, &err), MEROS_OK, "%s", err.detail);
    training_on(svc, threads, memory);
}

static void on(struct pg *db, struct service *svc)
{
    on_with(db, svc, 2, 256u << 20);
}

static void train(struct service *svc, const char *params)
{
    json_free(succeed(svc, "train.segments", params));
}

/* --- asking about one customer and waiting for the answer */

struct waiting {
    pthread_mutex_t lock;
    pthread_cond_t done;
    bool answered;
    enum meros_code rc;
    char json[8192];
};

static void answered(struct serving_ask *ask, enum meros_code rc, struct buf *json, const struct meros_err *err)
{
    struct waiting *w = ask->arg;
    (void)err;
    pthread_mutex_lock(&w->lock);
    w->rc = rc;
    if (rc == MEROS_OK) str_copy(w->json, sizeof w->json, (struct str){json->data, json->len});
    w->answered = true;
    pthread_cond_signal(&w->done);
    pthread_mutex_unlock(&w->lock);
}

static enum meros_code ask(struct service *svc, const char *id, int64_t at, char *out, size_t cap)
{
    struct waiting w = {.lock = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    struct serving_ask a = {.customer_id = str_of(id), .at = at, .done = answered, .arg = &w};
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(serving_ask(svc, &a, &err), MEROS_OK, "%s", err.detail);
    pthread_mutex_lock(&w.lock);
    while (!w.answered) pthread_cond_wait(&w.done, &w.lock);
    pthread_mutex_unlock(&w.lock);
    if (w.rc == MEROS_OK) cr_assert(str_copy(out, cap, str_of(w.json)));
    return w.rc;
}

/* The segment that the live answer says; "" for none. */
static void live_segment(struct service *svc, int customer, const char *segmentation, int64_t at, char out[64])
{
    char id[16], json[8192];
    struct json *tree = NULL;
    snprintf(id, sizeof id, "c%d", customer);
    cr_assert_eq(ask(svc, id, at, json, sizeof json), MEROS_OK, "%s", id);
    cr_assert_eq(json_parse(json, strlen(json), &tree, NULL), MEROS_OK, "%s", json);
    struct str segment = json_str(json_get(json_get(json_get(tree, "segments"), segmentation), "id"));
    cr_assert(str_copy(out, 64, segment));
    json_free(tree);
}

static int64_t as_of(void)
{
    int64_t t;
    cr_assert(time_parse(STR(AS_OF), &t));
    return t;
}

static char *stored(struct pg *db, const char *segmentation)
{
    char sql[256];
    snprintf(sql, sizeof sql,
             "select string_agg(segment_id, ' ' order by customer_no) from memberships join segmentations using (segmentation_no) "
             "where name = '%s'",
             segmentation);
    return pg_text(db, sql);
}

static void check_stored_equals_live(struct pg *db, struct service *svc, const char *segmentation)
{
    char *all = stored(db, segmentation), *next = all;
    int customer = 0;
    while (next != NULL) {
        char *id = strsep(&next, " "), live[64];
        live_segment(svc, ++customer, segmentation, as_of(), live);
        cr_assert_str_eq(live, id, "customer %d of %s", customer, segmentation);
    }
    cr_assert_gt(customer, 200);
    free(all);
}

Test(segments, what_training_stored_is_what_a_live_answer_says, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"k\":4}");
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"name\":\"rfm\",\"method\":\"rfm\"}");
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"name\":\"robust\",\"scaling\":\"robust\",\"features\":[\"recency_days\",\"attributes\"]}");
    check_stored_equals_live(db, &svc, "behaviour");
    check_stored_equals_live(db, &svc, "rfm");
    check_stored_equals_live(db, &svc, "robust");
    training_off(&svc);
    pg_done(db);
}

Test(segments, groups_that_differ_clearly_are_found_and_named, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"k\":4,\"features\":[\"recency_days\",\"frequency\",\"monetary\",\"tenure_days\"]}");
    char *sizes = pg_table(db, "select size from segments order by 1");
    cr_assert_str_eq(sizes, "40\n60\n80\n100\n");
    cr_assert_eq(pg_int(db, "select count(distinct label) from segments"), 4);
    cr_assert_eq(pg_int(db, "select count(*) from segments where size = 60 and label like '%loyal big spenders%'"), 1);
    cr_assert_eq(pg_int(db, "select count(*) from segments where size = 100 and label ilike '%lapsed one-time%'"), 1);
    cr_assert_eq(pg_int(db, "select count(*) from segments where size = 80 and label like 'New one-time%'"), 1);
    cr_assert_float_eq(pg_num(db, "select sum(share)::float8 from segments"), 1, 1e-9);
    cr_assert_float_eq(pg_num(db, "select sum(revenue_share)::float8 from segments"), 1, 1e-9);
    free(sizes);
    training_off(&svc);
    pg_done(db);
}

Test(segments, ids_stay_the_same_however_the_clusters_are_numbered, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"k\":4,\"seed\":0}");
    char *first = stored(db, "behaviour");
    for (int seed = 1; seed <= 6; seed++) {
        char params[128];
        snprintf(params, sizeof params, "{\"as_of\":\"" AS_OF "\",\"k\":4,\"seed\":%d}", seed);
        train(&svc, params);
        char *again = stored(db, "behaviour");
        cr_assert_str_eq(again, first, "seed %d", seed);
        free(again);
    }
    cr_assert_eq(pg_int(db, "select max(version) from models"), 7);
    cr_assert_eq(pg_int(db, "select next_segment from segmentations"), 5, "no id was made in vain");
    free(first);
    training_off(&svc);
    pg_done(db);
}

Test(segments, a_new_group_gets_an_id_that_was_never_used, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    const char *features = "\"features\":[\"recency_days\",\"frequency\",\"monetary\",\"tenure_days\"]";
    char params[256];
    shop(db);
    on(db, &svc);
    snprintf(params, sizeof params, "{\"as_of\":\"" AS_OF "\",\"k\":4,%s}", features);
    train(&svc, params);
    char *before = stored(db, "behaviour");
    customers(db, 281, 360, 60, 1, 2, 4000); /* giants appear */
    snprintf(params, sizeof params, "{\"as_of\":\"" AS_OF "\",\"k\":5,%s}", features);
    train(&svc, params);
    char *after = stored(db, "behaviour");
    cr_assert_eq(strncmp(before, after, strlen(before)), 0, "the others keep theirs");
    cr_assert_eq(pg_int(db, "select count(*) from memberships where customer_no > 280 and segment_id = 's5'"), 80);
    free(before);
    free(after);
    training_off(&svc);
    pg_done(db);
}

Test(segments, the_same_seed_gives_the_same_numbers_on_any_number_of_threads, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    for (int threads = 1; threads <= 4; threads += 3) {
        on_with(db, &svc, threads, 256u << 20);
        train(&svc, "{\"as_of\":\"" AS_OF "\",\"seed\":11,\"name\":\"a\"}");
        training_off(&svc);
    }
    cr_assert_eq(pg_int(db, "select count(distinct metrics::text) from models"), 1);
    cr_assert_eq(pg_int(db, "select count(distinct row_hash) from models"), 1);
    cr_assert_eq(pg_int(db, "select count(*) from (select 1 from segments group by segment_id having count(distinct profile::text) > 1) s"), 0);
    /* From the segments' centres on, the artifacts are the same bytes but for the checksum; trained_at lies before. */
    cr_assert_eq(pg_int(db, "select count(distinct substr(artifact, 200, length(artifact) - 232)) from models"), 1);
    pg_done(db);
}

Test(segments, rolling_back_brings_back_members_and_answers, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    shop(db);
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"k\":4}");
    char *four = stored(db, "behaviour"), *id = pg_text(db, "select model_id from models where active");
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"k\":2}");
    char *two = stored(db, "behaviour"), *other = pg_text(db, "select model_id from models where active");
    cr_assert_str_neq(two, four);
    cr_assert_eq(models_delete(&svc, str_of(other), &err), MEROS_CONFLICT);
    cr_assert_eq(models_activate(&svc, str_of(id), &err), MEROS_OK, "%s", err.detail);
    char *again = stored(db, "behaviour");
    cr_assert_str_eq(again, four);
    check_stored_equals_live(db, &svc, "behaviour");
    cr_assert_eq(pg_int(db, "select count(*) from models where active"), 1);
    cr_assert_eq(models_delete(&svc, str_of(other), &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(models_delete(&svc, str_of(other), &err), MEROS_NOT_FOUND);
    cr_assert_eq(pg_int(db, "select count(*) from segments"), 4);
    cr_assert_eq(models_activate(&svc, str_of("mdl_none"), &err), MEROS_NOT_FOUND);
    free(four), free(two), free(again), free(id), free(other);
    training_off(&svc);
    pg_done(db);
}

Test(segments, members_who_stay_keep_since_and_refresh_moves_those_who_changed, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char sql[1024], live[64];
    shop(db);
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"name\":\"rfm\",\"method\":\"rfm\"}");
    char *was = pg_text(db, "select segment_id from memberships where customer_no = 100");
    /* Customer 100, gone for long, comes back for ten orders. */
    snprintf(sql, sizeof sql,
             "insert into orders select 100, 900000 + j, 'late' || j, timestamptz '" AS_OF "' + make_interval(days => j), true, 2, 5,"
             " 500, 500, 0 from generate_series(1, 10) j;%s",
             RESTAT);
    pg_run(db, sql);
    live_segment(&svc, 100, "rfm", TIME_NONE, live);
    cr_assert_str_eq(live, "champions", "the answer is fresh before any job");
    cr_assert_str_neq(was, "champions");
    struct seen s = *run_to_end(&svc, "refresh", "{}");
    cr_assert_eq(s.state, JOB_SUCCEEDED, "%s", s.error);
    char *is = pg_text(db, "select segment_id from memberships where customer_no = 100");
    cr_assert_str_eq(is, "champions");
    cr_assert_not_null(strstr(s.result, "\"changed\": 1") != NULL ? s.result : strstr(s.result, "\"changed\":1"), "%s", s.result);
    cr_assert_eq(pg_int(db, "select count(*) from memberships where since = '" AS_OF "'"), 280);
    free(was), free(is);
    training_off(&svc);
    pg_done(db);
}

Test(segments, who_never_bought_is_in_a_group_of_its_own_in_rfm, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char live[64];
    shop(db);
    pg_run(db, "insert into customers (customer_no, customer_id, created_at) values (281, 'c281', '2023-05-05');"
               "insert into customer_ids values ('c281', 281)");
    on(db, &svc);
    train(&svc, "{\"as_of\":\"" AS_OF "\",\"name\":\"rfm\",\"method\":\"rfm\"}");
    live_segment(&svc, 281, "rfm", as_of(), live);
    cr_assert_str_eq(live, "no_purchases");
    cr_assert_eq(pg_int(db, "select size from segments where segment_id = 'no_purchases'"), 1);
    training_off(&svc);
    pg_done(db);
}

/* --- too little to divide */

static struct seen train_few(int n, const char *params)
{
    struct pg *db = pg_fresh();
    struct service svc;
    if (n > 0) customers(db, 1, n, 2, 10, 5, 30);
    /* All the same but for their names. */
    pg_run(db, "update orders set ordered_at = timestamptz '2023-06-01' + make_interval(days => (order_no % 1000)::int), "
               "lines = 1, units = 1, revenue = 10, gross_revenue = 10; truncate order_lines; "
               "insert into order_lines select customer_no, order_no, 1, null, ordered_at, 1, null, 10, null from orders; "
               "update customers set attributes = '{}'");
    pg_run(db, RESTAT);
    on(db, &svc);
    struct seen s = *run_to_end(&svc, "train.segments", params);
    training_off(&svc);
    pg_done(db);
    return s;
}

Test(segments, nobody_is_an_error_that_says_what_to_do, .timeout = 240)
{
    struct seen s = train_few(0, "{}");
    cr_assert_eq(s.state, JOB_FAILED);
    cr_assert_not_null(strstr(s.error, "import customers"), "%s", s.error);
}

Test(segments, one_or_two_or_alike_customers_make_one_segment, .timeout = 240)
{
    for (int n = 1; n <= 21; n += n == 1 ? 1 : 19) {
        struct seen s = train_few(n, "{}");
        cr_assert_eq(s.state, JOB_SUCCEEDED, "%d customers: %s", n, s.error);
        cr_assert_not_null(strstr(s.result, "All customers"), "%s", s.result);
    }
}

Test(segments, more_segments_than_can_be_told_apart_are_refused, .timeout = 240)
{
    struct seen s = train_few(2, "{\"k\":5}");
    cr_assert_eq(s.state, JOB_FAILED);
    cr_assert_not_null(strstr(s.error, "only 2 customers"), "%s", s.error);
    s = train_few(21, "{\"k\":3}");
    cr_assert_eq(s.state, JOB_FAILED);
    cr_assert_not_null(strstr(s.error, "alike"), "%s", s.error);
}

Test(segments, rfm_of_alike_customers_is_one_group, .timeout = 240)
{
    struct seen s = train_few(21, "{\"method\":\"rfm\",\"as_of\":\"2023-07-01\"}");
    cr_assert_eq(s.state, JOB_SUCCEEDED, "%s", s.error);
    cr_assert_not_null(strstr(s.result, "\"share\": 1") != NULL ? s.result : strstr(s.result, "\"share\":1"), "%s", s.result);
}

Test(segments, a_training_over_its_budget_is_refused_before_it_reads, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on_with(db, &svc, 1, 20000);
    struct seen s = *run_to_end(&svc, "train.segments", "{}");
    cr_assert_eq(s.state, JOB_FAILED);
    cr_assert_not_null(strstr(s.error, "out-of-memory"), "%s", s.error);
    cr_assert_eq(pg_int(db, "select count(*) from models"), 0);
    training_off(&svc);
    pg_done(db);
}

Test(segments, an_as_of_before_everything_is_an_error, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on(db, &svc);
    struct seen s = *run_to_end(&svc, "train.segments", "{\"as_of\":\"1999-01-01\"}");
    cr_assert_eq(s.state, JOB_FAILED);
    cr_assert_not_null(strstr(s.error, "1999-01-01"), "%s", s.error);
    training_off(&svc);
    pg_done(db);
}

/* --- parameters */

static void expect_fault(const char *params, enum meros_code code, const char *pointer)
{
    struct json *tree = NULL;
    struct segment_params p;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(json_parse(params, strlen(params), &tree, NULL), MEROS_OK, "%s", params);
    cr_assert_eq(segment_params_read(tree, as_of(), &p, &err), code, "%s: %s", params, err.detail);
    cr_assert_geq(err.n_fields, 1, "%s", params);
    cr_assert_str_eq(err.fields[0].pointer, pointer, "%s", params);
    json_free(tree);
}

Test(training_params, faults_of_shape_are_400_and_of_sense_422_each_with_its_place)
{
    expect_fault("{\"kk\":3}", MEROS_INVALID, "/params/kk");
    expect_fault("{\"k\":0}", MEROS_INVALID, "/params/k");
    expect_fault("{\"k\":2.5}", MEROS_INVALID, "/params/k");
    expect_fault("{\"k\":\"many\"}", MEROS_INVALID, "/params/k");
    expect_fault("{\"name\":\"a b\"}", MEROS_INVALID, "/params/name");
    expect_fault("{\"method\":\"magic\"}", MEROS_INVALID, "/params/method");
    expect_fault("{\"scaling\":\"log\"}", MEROS_INVALID, "/params/scaling");
    expect_fault("{\"seed\":-1}", MEROS_INVALID, "/params/seed");
    expect_fault("{\"as_of\":\"yesterday\"}", MEROS_INVALID, "/params/as_of");
    expect_fault("{\"features\":[]}", MEROS_INVALID, "/params/features");
    expect_fault("{\"features\":[\"frequency\",3]}", MEROS_INVALID, "/params/features/1");
    expect_fault("{\"features\":[\"frequency\",\"frequency\"]}", MEROS_INVALID, "/params/features/1");
    expect_fault("{\"features\":[\"frequency\",\"charm\"]}", MEROS_UNPROCESSABLE, "/params/features/1");
    expect_fault("{\"method\":\"dbscan\"}", MEROS_UNPROCESSABLE, "/params/method");
    expect_fault("{\"method\":\"hdbscan\"}", MEROS_UNPROCESSABLE, "/params/method");
    expect_fault("{\"eps\":0.5}", MEROS_UNPROCESSABLE, "/params/eps");
    expect_fault("{\"reduce\":{\"method\":\"pca\"}}", MEROS_UNPROCESSABLE, "/params/reduce");
    expect_fault("{\"method\":\"rfm\",\"k\":3}", MEROS_UNPROCESSABLE, "/params/k");
    expect_fault("{\"as_of\":\"2031-01-01\"}", MEROS_UNPROCESSABLE, "/params/as_of");
}

/* --- serving */

/* The end of a training and its effect are one: no answer after the one is without the other. */
Test(serving, answers_with_the_new_model_as_soon_as_the_job_has_ended, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    shop(db);
    on(db, &svc);
    for (int version = 1; version <= 5; version++) {
        char json[8192], expected[64];
        struct meros_err err = MEROS_ERR_INIT;
        char id[JOB_ID_CAP];
        struct json *params = NULL;
        static struct seen s;
        cr_assert_eq(json_parse("{\"method\":\"rfm\"}", 16, &params, NULL), MEROS_OK);
        cr_assert_eq(jobs_create(&svc, STR("train.segments"), params, "", NULL, id, &err), MEROS_OK, "%s", err.detail);
        json_free(params);
        do cr_assert_eq(jobs_get(&svc, str_of(id), see, &s, &err), MEROS_OK); /* without a pause */
        while (!job_ended(s.state));
        cr_assert_eq(s.state, JOB_SUCCEEDED, "%s", s.error);
        cr_assert_eq(ask(&svc, "c1", TIME_NONE, json, sizeof json), MEROS_OK);
        snprintf(expected, sizeof expected, "\"version\":%d}", version);
        cr_assert_not_null(strstr(json, expected), "version %d: %s", version, json);
    }
    training_off(&svc);
    pg_done(db);
}

Test(serving, an_unknown_customer_is_not_found_and_an_alias_answers_with_the_customers_name, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char json[8192];
    shop(db);
    pg_run(db, "insert into customer_ids values ('old name', 7)");
    on(db, &svc);
    cr_assert_eq(ask(&svc, "nobody", TIME_NONE, json, sizeof json), MEROS_NOT_FOUND);
    cr_assert_eq(ask(&svc, "old name", TIME_NONE, json, sizeof json), MEROS_OK);
    cr_assert_not_null(strstr(json, "\"customer_id\":\"c7\""), "%s", json);
    cr_assert_not_null(strstr(json, "\"segments\":{}"), "%s", json);
    cr_assert_not_null(strstr(json, "\"clv\":null"), "%s", json);
    training_off(&svc);
    pg_done(db);
}

Test(serving, another_replica_follows_by_itself, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service here, there;
    struct meros_err err = MEROS_ERR_INIT;
    shop(db);
    on(db, &here);
    /* A replica that only serves. */
    there = (struct service){.store = db->pool};
    there.settings = here.settings;
    cr_assert_eq(listener_new(&there, &err), MEROS_OK);
    cr_assert_eq(serving_start(&there, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(listener_start(&there, &err), MEROS_OK);
    train(&here, "{\"as_of\":\"" AS_OF "\"}");
    size_t models = 0;
    for (int i = 0; i < 4000 && models == 0; i++) {
        const struct snapshot *s = serving_snapshot(&there);
        models = s->n_models;
        snapshot_release(s);
        nap(10);
    }
    cr_assert_eq(models, 1);
    listener_stop(&there);
    serving_stop(&there);
    serving_free(&there);
    listener_free(&there);
    training_off(&here);
    pg_done(db);
}

Test(serving, survives_the_loss_of_its_connections, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char json[8192];
    shop(db);
    on(db, &svc);
    cr_assert_eq(ask(&svc, "c1", TIME_NONE, json, sizeof json), MEROS_OK);
    pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
    enum meros_code rc = MEROS_OK;
    for (int i = 0; i < 2000; i++) {
        rc = ask(&svc, "c1", TIME_NONE, json, sizeof json);
        if (rc == MEROS_OK) break;
        cr_assert_eq(rc, MEROS_UNAVAILABLE);
        nap(20);
    }
    cr_assert_eq(rc, MEROS_OK, "it comes back by itself");
    training_off(&svc);
    pg_done(db);
}

Test(serving, a_database_that_does_not_answer_is_said_to_be_away_within_seconds, .timeout = 240)
{
    static const struct sql LOCK = {"test_lock", "lock table customers in access exclusive mode", SQL_NOTHING};
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = pg_conn(db);
    char json[8192];
    shop(db);
    on(db, &svc);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(sql_exec0(c, &LOCK, NULL, &err), MEROS_OK, "%s", err.detail);
    const int64_t start = clock_mono_ns();
    cr_assert_eq(ask(&svc, "c1", TIME_NONE, json, sizeof json), MEROS_UNAVAILABLE);
    cr_assert_lt(clock_mono_ns() - start, 25 * INT64_C(1000000000)); /* a statement may take 30 */
    store_rollback(c);
    enum meros_code rc = MEROS_UNAVAILABLE;
    for (int i = 0; i < 3000 && (rc = ask(&svc, "c1", TIME_NONE, json, sizeof json)) != MEROS_OK; i++) nap(10);
    cr_assert_eq(rc, MEROS_OK);
    training_off(&svc);
    pg_done(db);
}

Test(serving, refuses_after_it_was_stopped, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    on(db, &svc);
    serving_stop(&svc);
    struct serving_ask a = {.customer_id = STR("c1"), .at = TIME_NONE};
    cr_assert_eq(serving_ask(&svc, &a, &err), MEROS_UNAVAILABLE);
    training_off(&svc);
    pg_done(db);
}
