/* From orders to what customers will be worth: training as a job, what becomes the active model, answers while orders come. */
#include "import_support.h"
#include <math.h>
#include <stdatomic.h>
#include "meros/model/snapshot.h"
#include "meros/service/clv_population.h"
#include "meros/service/models.h"
#include "meros/store/days.h"
#include "store_priv.h"
#include "training_support.h"

static void open_shop(struct shop *s)
{
    shop_open(s);
    training_on(&s->svc, 2, 256u << 20);
}

static void close_shop(struct shop *s)
{
    training_off(&s->svc);
    shop_close(s);
}

static double chance(uint64_t *r)
{
    *r = *r * 6364136223846793005ull + 1442695040888963407ull;
    return ((double)(*r >> 11) + 0.5) * 0x1p-53;
}

/* Customers of 2023 as BG/NBD has them: rates of their own, Gamma(1, 30 days), and a chance of leaving after each purchase,
 * Beta(1, 2); those of one country buy three times as often. */
static void fill(struct shop *s, int customers, bool countries)
{
    struct buf b, people;
    uint64_t r = 12345;
    buf_init(&b, 16 << 20);
    buf_init(&people, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,amount\n");
    buf_str(&people, "customer_id,country,odd\n");
    for (int c = 0, order = 0; c < customers; c++) {
        const bool often = c % 3 == 0;
        const double rate = -log(chance(&r)) / 30 * (often ? 3 : 1), leaving = 1 - sqrt(chance(&r)), spends = 10 - 20 * log(chance(&r));
        double day = 90 * chance(&r);
        bool stays = true;
        while (stays && day < 365) {
            int64_t y;
            unsigned m, d;
            civil_from_days(19358 + (int64_t)day, &y, &m, &d); /* 2023-01-01 and on */
            buf_printf(&b, "o%d,c%d,%lld-%02u-%02u,%.2f\n", order++, c, (long long)y, m, d, spends * (0.5 + chance(&r)));
            day += -log(chance(&r)) / rate;
            stays = chance(&r) > leaving;
        }
        buf_printf(&people, "c%d,%s,%d\n", c, often ? "FR" : "DE", c);
    }
    buf_char(&b, '\0');
    buf_char(&people, '\0');
    shop_orders(s, b.data);
    if (countries) shop_import(s, (struct import_options){.dataset = DATASET_CUSTOMERS}, people.data);
    buf_done(&b);
    buf_done(&people);
}

static const struct seen *run(struct shop *s, const char *params)
{
    return run_to_end(&s->svc, "train.clv", params);
}

/* The result of a training that succeeds; json_free it. */
static struct json *train(struct shop *s, const char *params)
{
    return succeed(&s->svc, "train.clv", params);
}

static char *json_dump(const struct json *v)
{
    struct buf b;
    struct jsonw w;
    buf_init(&b, 1 << 20);
    jsonw_init(&w, &b);
    jsonw_value(&w, v);
    buf_char(&b, '\0');
    return b.data;
}

static double metric_of(const struct json *result, const char *name, const char *member)
{
    const struct json *v = json_get(json_get(result, "metrics"), name);
    return json_num(member == NULL ? v : json_get(v, member));
}

/* --- one customer */

struct asked {
    struct serving_ask ask;
    _Atomic bool done; /* set last of all */
    enum meros_code rc;
    struct json *answer;
    char detail[600];
};

static void answered(struct serving_ask *ask, enum meros_code rc, struct buf *json, const struct meros_err *err)
{
    struct asked *a = ask->arg;
    a->rc = rc;
    if (rc == MEROS_OK) cr_assert_eq(json_parse(json->data, json->len, &a->answer, NULL), MEROS_OK);
    else snprintf(a->detail, sizeof a->detail, "%s", err->detail);
    a->done = true;
}

static struct asked ask(struct shop *s, const char *customer, int64_t at)
{
    static const struct clv_ask usual = {CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, CLV_LEVEL, true};
    struct asked a = {.ask = {.customer_id = str_of(customer), .at = at, .clv = &usual, .done = answered}};
    a.ask.arg = &a;
    cr_assert_eq(serving_ask(&s->svc, &a.ask, &s->err), MEROS_OK, "%s", s->err.detail);
    for (int i = 0; i < 6000; i++) {
        if (a.done) return a;
        nap(5);
    }
    cr_assert(false, "no answer");
    return a;
}

static double answer(struct shop *s, const char *customer, int64_t at, const char *part, const char *member)
{
    struct asked a = ask(s, customer, at);
    cr_assert_eq(a.rc, MEROS_OK, "%s", a.detail);
    const struct json *v = part == NULL ? a.answer : json_get(a.answer, part);
    const double n = json_num(json_get(v, member));
    json_free(a.answer);
    return n;
}

#define AS_OF "{\"as_of\":\"2023-12-31\",\"model\":\"%s\"}"
static const char *as_of(const char *model)
{
    static char text[200];
    snprintf(text, sizeof text, AS_OF, model);
    return text;
}

/* --- tests */

Test(train_clv, of_too_little_says_in_words_what_is_missing)
{
    struct shop s;
    open_shop(&s);
    const struct seen *seen = run(&s, "{}");
    cr_assert_eq(seen->state, JOB_FAILED);
    cr_assert_not_null(strstr(seen->error, "Nobody has bought anything yet"), "%s", seen->error);
    shop_orders(&s, "order_id,customer_id,ordered_at,amount\na,c1,2023-01-05,5\n");
    seen = run(&s, "{\"as_of\":\"2023-01-04\"}");
    cr_assert_not_null(strstr(seen->error, "Nobody had bought by 2023-01-04"), "%s", seen->error);
    seen = run(&s, "{\"as_of\":\"2023-02-04\",\"holdout_days\":60}");
    cr_assert_not_null(strstr(seen->error, "Nobody had bought by 2022-12-06"), "%s", seen->error);
    seen = run(&s, "{}"); /* one customer, one purchase */
    cr_assert_eq(seen->state, JOB_FAILED);
    cr_assert_not_null(strstr(seen->error, "Nobody has bought twice"), "%s", seen->error);
    cr_assert_not_null(strstr(seen->error, "422"), "%s", seen->error);
    struct asked a = ask(&s, "c1", TIME_NONE);
    cr_assert_eq(a.rc, MEROS_NOT_FOUND);
    cr_assert_not_null(strstr(a.detail, "train.clv"), "%s", a.detail);
    cr_assert_eq(pg_int(s.db, "select count(*) from models"), 0);
    close_shop(&s);
}

Test(train_clv, answers_follow_orders_returns_and_the_day_asked_for)
{
    struct shop s;
    const int64_t at = INT64_C(19722) * TIME_DAY; /* 2023-12-31 */
    open_shop(&s);
    fill(&s, 200, false);
    json_free(train(&s, as_of("bgnbd")));
    char *c = pg_text(s.db, "select customer_id from customer_days join customers using (customer_no) group by 1 having count(*) = 4 order by 1 limit 1");
    char rows[200];
    const double before = answer(&s, c, TIME_NONE, NULL, "clv"), repeats = answer(&s, c, TIME_NONE, "history", "repeat_purchases");
    const double value = answer(&s, c, TIME_NONE, "history", "average_value");
    cr_assert_eq(answer(&s, c, at, NULL, "clv"), before, "the model's own day is the moment of its answers");
    snprintf(rows, sizeof rows, "order_id,customer_id,ordered_at,amount\nlater,%s,2024-01-10,9000\n", c);
    shop_orders(&s, rows);
    cr_assert_eq(answer(&s, c, TIME_NONE, "history", "repeat_purchases"), repeats + 1);
    cr_assert_gt(answer(&s, c, TIME_NONE, "history", "average_value"), value);
    cr_assert_eq(answer(&s, c, at, NULL, "clv"), before, "what came later is not known on that day");
    snprintf(rows, sizeof rows, "order_id,customer_id,ordered_at,amount\nback,%s,2024-01-12,-9000\n", c);
    shop_orders(&s, rows);
    cr_assert_eq(answer(&s, c, TIME_NONE, "history", "repeat_purchases"), repeats + 1, "a return is no purchase");
    cr_assert_eq(answer(&s, c, TIME_NONE, "history", "excluded_purchases"), 1);
    cr_assert_float_eq(answer(&s, c, TIME_NONE, "history", "average_value"), value, 1e-9);
    cr_assert_eq(answer(&s, c, at + 10 * TIME_DAY, "history", "excluded_purchases"), 0, "it had not come back yet");
    free(c);
    close_shop(&s);
}

/* Both kinds of question in one queue, as they come: each gets the answer to its own. */
Test(train_clv, who_asks_for_everything_and_who_asks_for_worth_are_answered_together)
{
    enum { ASKS = 90 };
    static const struct clv_ask usual = {CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, 0, false};
    static struct asked asks[ASKS];
    static char ids[ASKS][20];
    struct shop s;
    open_shop(&s);
    fill(&s, 30, false);
    json_free(train(&s, as_of("bgnbd")));
    for (int i = 0; i < ASKS; i++) { /* in turn: everything, the worth; every third customer is unknown */
        snprintf(ids[i], sizeof ids[i], i / 2 % 3 == 2 ? "nobody%d" : "c%d", i / 3);
        asks[i] = (struct asked){.ask = {.customer_id = str_of(ids[i]), .at = TIME_NONE, .clv = i % 2 ? &usual : NULL, .done = answered}};
        asks[i].ask.arg = &asks[i];
        cr_assert_eq(serving_ask(&s.svc, &asks[i].ask, &s.err), MEROS_OK, "%s", s.err.detail);
    }
    for (int i = 0; i < ASKS; i++) {
        for (int k = 0; k < 6000 && !asks[i].done; k++) nap(5);
        cr_assert(asks[i].done);
        if (i / 2 % 3 == 2) {
            cr_expect_eq(asks[i].rc, MEROS_NOT_FOUND);
            continue;
        }
        cr_assert_eq(asks[i].rc, MEROS_OK, "%s", asks[i].detail);
        cr_expect(str_is(json_str(json_get(asks[i].answer, "customer_id")), ids[i]), "%s", ids[i]);
        const struct json *worth = i % 2 ? asks[i].answer : json_get(asks[i].answer, "clv");
        cr_expect_eq(json_get(asks[i].answer, "stats") == NULL, i % 2);
        cr_expect_eq(json_num(json_get(worth, "clv")), answer(&s, ids[i], TIME_NONE, NULL, "clv"), "%s", ids[i]);
        json_free(asks[i].answer);
    }
    close_shop(&s);
}

Test(train_clv, all_at_once_are_what_each_is_alone_also_with_covariates, .timeout = 120)
{
    struct shop s;
    const int64_t moments[] = {TIME_NONE, INT64_C(19600) * TIME_DAY};
    open_shop(&s);
    fill(&s, 300, true);
    struct json *result = train(&s, "{\"as_of\":\"2023-12-31\",\"covariates\":[\"country\",\"odd\"],\"time_unit\":\"week\"}");
    cr_assert_eq(json_count(json_get(json_get(result, "metrics"), "covariates")), 2);
    json_free(result);
    for (int m = 0; m < 2; m++) {
        struct clv_population p;
        struct clv_answer *answers = calloc(300, sizeof *answers);
        const struct clv_ask usual = CLV_ASK_USUAL;
        cr_assert_eq(clv_population_read(&s.svc, NULL, moments[m], NULL, NULL, &p, &s.err), MEROS_OK, "%s", s.err.detail);
        cr_assert_eq(p.n, 300);
        cr_assert_eq(p.n_covariates, 2);
        clv_population_score(&p, &usual, 0, p.n, answers);
        for (size_t i = 0; i < p.n; i += 37) {
            char query[120];
            snprintf(query, sizeof query, "select customer_id from customers where customer_no = %lld", (long long)p.customer_no[i]);
            char *id = pg_text(s.db, query);
            cr_assert_float_eq(answer(&s, id, moments[m], NULL, "clv"), answers[i].clv, 1e-4 * (1 + answers[i].clv), "%s", id);
            free(id);
        }
        clv_population_done(&p);
        free(answers);
    }
    close_shop(&s);
}

Test(train_clv, what_did_not_converge_never_takes_the_place_of_what_did)
{
    struct shop s;
    open_shop(&s);
    /* Everybody buys every 30 days to the end: nobody leaves, and the rate has no spread. */
    for (int c = 0; c < 12; c++)
        for (int k = 0; k < 6; k++) {
            char sql[200];
            snprintf(sql, sizeof sql, "order_id,customer_id,ordered_at,amount\nx%d-%d,x%d,2023-%02d-15,%d\n", c, k, c, k + 1, 10 + c);
            shop_orders(&s, sql);
        }
    struct json *result = train(&s, "{\"as_of\":\"2023-06-15\"}");
    cr_assert_str_eq(json_str(json_get(json_get(result, "metrics"), "status")).p, "not_converged");
    cr_assert(!json_bool(json_get(json_get(result, "metrics"), "converged")));
    cr_assert_gt(json_count(json_get(json_get(result, "metrics"), "warnings")), 0);
    cr_assert(json_bool(json_get(result, "active")), "there is no better one");
    json_free(result);
    struct asked a = ask(&s, "x1", TIME_NONE);
    cr_assert_eq(a.rc, MEROS_OK, "%s", a.detail);
    cr_assert(!json_bool(json_get(json_get(a.answer, "model"), "converged")), "its answers say so");
    json_free(a.answer);
    /* What they bought is kept aside while others make a model that converges. */
    pg_run(s.db, "create table aside as select * from customer_days; delete from customer_days");
    fill(&s, 400, false);
    result = train(&s, as_of("bgnbd"));
    char *text = json_dump(json_get(result, "metrics"));
    cr_assert(json_bool(json_get(json_get(result, "metrics"), "converged")), "%s", text);
    free(text);
    cr_assert(json_bool(json_get(result, "active")));
    json_free(result);
    pg_run(s.db, "delete from customer_days; insert into customer_days select * from aside");
    result = train(&s, "{\"as_of\":\"2023-06-15\"}");
    cr_assert(!json_bool(json_get(json_get(result, "metrics"), "converged")));
    cr_assert(!json_bool(json_get(result, "active")), "the better one stays");
    json_free(result);
    cr_assert_eq(pg_int(s.db, "select version from models where kind = 'clv' and active"), 2);
    close_shop(&s);
}

/* A shop with one price: a model of values has nothing to learn, and what an order is worth is known all the same. */
Test(train_clv, of_a_shop_with_one_price_expects_that_price_and_says_so)
{
    struct shop s;
    open_shop(&s);
    fill(&s, 400, false);
    pg_run(s.db, "update customer_days set net = 20 * purchases where purchases > 0; delete from customer_days where purchases <> 1");
    struct json *result = train(&s, as_of("bgnbd"));
    const struct json *metrics = json_get(result, "metrics");
    char *text = json_dump(metrics);
    cr_assert(json_bool(json_get(metrics, "converged")), "%s", text);
    cr_assert(str_is(json_str(json_get(metrics, "value_model")), "mean"), "%s", text);
    cr_assert_eq(metric_of(result, "value_mean", NULL), 20);
    cr_assert_not_null(strstr(text, "Every order that counts was worth the same, 20.00"), "%s", text);
    cr_assert_eq(answer(&s, "c1", TIME_NONE, NULL, "expected_order_value"), 20);
    free(text);
    json_free(result);
    close_shop(&s);
}

struct ids {
    char first[MODEL_ID_CAP];
};

static void oldest(void *arg, const struct model_row *m)
{
    (void)str_copy(((struct ids *)arg)->first, MODEL_ID_CAP, m->id); /* the newest come first */
}

Test(train_clv, an_older_version_is_made_the_active_one_again_and_every_replica_follows, .timeout = 120)
{
    struct shop s;
    struct ids ids;
    open_shop(&s);
    struct service there = {.store = s.db->pool, .settings = s.svc.settings}; /* a replica that only serves */
    cr_assert_eq(listener_new(&there, &s.err), MEROS_OK);
    cr_assert_eq(serving_start(&there, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(listener_start(&there, &s.err), MEROS_OK);
    fill(&s, 200, false);
    json_free(train(&s, as_of("bgnbd")));
    json_free(train(&s, as_of("auto")));
    cr_assert_eq(models_list(&s.svc, STR("clv"), -1, 0, 10, oldest, &ids, &s.err), MEROS_OK);
    cr_assert_eq(models_delete(&s.svc, str_of(ids.first), &s.err), MEROS_OK);
    json_free(train(&s, as_of("mbgnbd")));
    cr_assert_eq(models_list(&s.svc, STR("clv"), -1, 0, 10, oldest, &ids, &s.err), MEROS_OK);
    cr_assert_eq(models_activate(&s.svc, str_of(ids.first), &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(pg_int(s.db, "select version from models where kind = 'clv' and active"), 2);
    cr_assert_eq(models_delete(&s.svc, str_of(ids.first), &s.err), MEROS_CONFLICT);
    const struct snapshot *here = serving_snapshot(&s.svc);
    cr_assert_eq(here->clv->version, 2, "with the commit");
    snapshot_release(here);
    int version = 0;
    for (int i = 0; i < 4000 && version != 2; i++) {
        const struct snapshot *x = serving_snapshot(&there);
        version = x->clv == NULL ? 0 : x->clv->version;
        snapshot_release(x);
        nap(10);
    }
    cr_assert_eq(version, 2);
    listener_stop(&there);
    serving_stop(&there);
    serving_free(&there);
    listener_free(&there);
    close_shop(&s);
}

Test(train_clv, contracts_are_read_from_the_attributes_of_customers)
{
    struct shop s;
    struct buf b;
    /* Fader & Hardie's "Regular": 1,000 customers by year, begun in 2013, seen to the end of 2020. */
    static const int survivors[] = {1000, 631, 468, 382, 326, 289, 262, 241};
    open_shop(&s);
    buf_init(&b, 1 << 20);
    buf_str(&b, "customer_id,from,to\n");
    for (int c = 0; c < 1000; c++) {
        int lost = 0;
        for (int k = 1; k < 8 && lost == 0; k++)
            if (c >= survivors[k]) lost = k;
        if (lost > 0) buf_printf(&b, "k%d,2013-01-01,%d-12-31\n", c, 2012 + lost);
        else buf_printf(&b, "k%d,2013-01-01,\n", c);
    }
    buf_str(&b, "odd,not a day,\nnone,,\nwrong,2015-01-01,2014-01-01\nyoung,2019-12-01,\n");
    buf_char(&b, '\0');
    shop_import(&s, (struct import_options){.dataset = DATASET_CUSTOMERS}, b.data);
    buf_done(&b);
    struct json *result = train(&s, "{\"model\":\"sbg\",\"contract\":{\"start\":\"from\",\"end\":\"to\"},\"as_of\":\"2019-12-31\"}");
    cr_assert_float_eq(metric_of(result, "parameters", "alpha"), .70408, 1e-4);
    cr_assert_float_eq(metric_of(result, "parameters", "beta"), 1.18204, 1e-4);
    cr_assert_float_eq(metric_of(result, "log_likelihood", NULL), -1680.2652, 5e-3);
    cr_assert_eq(metric_of(result, "excluded", "customers"), 3);
    cr_assert_eq(metric_of(result, "excluded", "too_young"), 1);
    cr_assert_str_eq(json_str(json_get(json_get(result, "model"), "name")).p, "contract");
    json_free(result);
    close_shop(&s);
}
