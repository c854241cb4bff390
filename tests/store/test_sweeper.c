/* From a change of data to a change of segments: judged once, by whichever replica, with the model that is active; and what
 * was recorded says who was where at any moment. */
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "meros/base/arena.h"
#include "meros/model/snapshot.h"
#include "meros/service/jobs.h"
#include "meros/service/listener.h"
#include "meros/service/scoring.h"
#include "meros/service/segment_changes.h"
#include "meros/service/serving.h"
#include "meros/service/sweeper.h"
#include "meros/store/changed.h"
#include "meros/store/customers.h"
#include "meros/store/segment_changes.h"
#include "meros/store/segments.h"
#include "meros/store/stats.h"
#include "pg.h"

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* --- a shop of quiet and busy visitors, and services without HTTP over it */

static void visitors(struct pg *db, int n)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, %d) i;"
             "insert into customer_ids (customer_id, customer_no) select 'c' || i, i from generate_series(1, %d) i;"
             "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at)"
             "  select i, 5, case when i %% 2 = 0 then 200 else 1 end, case when i %% 2 = 0 then 200 else 1 end, now(), now()"
             "  from generate_series(1, %d) i;", n, n, n);
    pg_run(db, sql);
}

/* Customers no. first..last have looked at so many pages, and that is noted as one transaction would. */
static void browse(struct pg *db, int first, int last, int pages)
{
    char sql[1024];
    snprintf(sql, sizeof sql,
             "begin; update customer_event_stats set count = %d, decayed = %d, decayed_at = now() where customer_no between %d and %d;"
             "insert into changed_customers (customers, customer_nos) select count(*), array_agg(i) from generate_series(%d::bigint, %d) i; commit;",
             pages, pages, first, last, first, last);
    pg_run(db, sql);
}

static void on(struct pg *db, struct service *svc)
{
    struct meros_err err = MEROS_ERR_INIT;
    *svc = (struct service){.store = db->pool};
    svc->settings.job_workers = 1;
    svc->settings.job_retention_days = 30;
    svc->settings.training_threads = 1;
    svc->settings.training_memory_bytes = 256u << 20;
    svc->settings.activity_half_life_days = 30;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    cr_assert_eq(listener_new(svc, &err), MEROS_OK);
    cr_assert_eq(store_stats_set_half_life(pg_conn(db), 30, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(serving_start(svc, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(sweeper_start(svc, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(jobs_start(svc, job_kinds, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(listener_start(svc, &err), MEROS_OK);
}

static void off(struct service *svc)
{
    cr_assert(jobs_stop(svc, 60000));
    listener_stop(svc);
    sweeper_stop(svc);
    serving_stop(svc);
    jobs_free(svc);
    sweeper_free(svc);
    serving_free(svc);
    listener_free(svc);
}

static void ended(void *arg, const struct job *job)
{
    enum job_state *state = arg;
    *state = job->state;
}

static void run(struct service *svc, const char *kind, const char *params)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *tree = NULL;
    enum job_state state = JOB_QUEUED;
    char id[JOB_ID_CAP];
    cr_assert_eq(json_parse(params, strlen(params), &tree, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(jobs_create(svc, str_of(kind), tree, "", NULL, id, &err), MEROS_OK, "%s", err.detail);
    json_free(tree);
    for (int i = 0; i < 6000 && !job_ended(state); i++) {
        cr_assert_eq(jobs_get(svc, str_of(id), ended, &state, &err), MEROS_OK);
        nap(10);
    }
    cr_assert_eq(state, JOB_SUCCEEDED);
}

static void train(struct service *svc)
{
    run(svc, "train.segments", "{\"name\":\"activity\",\"k\":2,\"seed\":1,\"features\":[\"engagement_page_viewed\"]}");
}

/* Until nobody waits to be judged. */
static void await_sweep(struct pg *db)
{
    for (int i = 0; i < 3000; i++) {
        if (pg_int(db, "select (select count(*) from changed_customers) + (select count(*) from judged_meanwhile)") == 0) return;
        nap(10);
    }
    cr_assert(false, "changed customers were not judged");
}

static char *segment_of(struct pg *db, int customer)
{
    char sql[200];
    snprintf(sql, sizeof sql, "select segment_id from memberships where customer_no = %d order by segmentation_no limit 1", customer);
    return pg_text(db, sql);
}

/* Nothing was recorded twice or left out: each membership is what the record ends in, and in the record of a customer
 * leaving and entering take turns. */
static void expect_record_to_agree(struct pg *db)
{
    cr_assert_eq(pg_int(db,
                        "select count(*) from memberships m full join (select distinct on (customer_no, segmentation_no) * from segment_changes"
                        "  order by customer_no, segmentation_no, change_no desc) h using (customer_no, segmentation_no)"
                        "where h.entered is distinct from true or m.segment_id is distinct from h.segment_id or m.since is distinct from h.at"),
                 0);
    cr_assert_eq(pg_int(db,
                        "select count(*) from (select entered, segment_id, lag(entered) over w as was, lag(segment_id) over w as was_id"
                        "  from segment_changes window w as (partition by customer_no, segmentation_no order by change_no)) h "
                        "where entered is not distinct from was or not entered and segment_id <> was_id or was is null and not entered"),
                 0);
}

/* Every member is where the active model puts them by their present statistics. */
static void expect_everybody_judged(struct service *svc, struct pg *db, int customers)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct arena arena;
    struct store_conn *c = pg_conn(db);
    int64_t *nos = calloc((size_t)customers, sizeof *nos);
    struct customer_state *states = calloc((size_t)customers, sizeof *states);
    arena_init(&arena, 1u << 30);
    for (int i = 0; i < customers; i++) nos[i] = i + 1;
    cr_assert_eq(store_stats_live_by_no(c, nos, (size_t)customers, &arena, states, &err), MEROS_OK);
    const struct snapshot *models = serving_snapshot(svc);
    cr_assert_eq(models->n_models, 1);
    const struct segment_model *m = models->models[0].model;
    for (int i = 0; i < customers; i++) {
        if (!states[i].known) continue;
        const int64_t at = segment_model_moment(m, &states[i].stats, clock_now());
        char *is = segment_of(db, i + 1);
        cr_assert_str_eq(is, m->segments[segment_model_assign_live(m, &states[i].stats, NULL, 0, at)].id, "customer %d", i + 1);
        free(is);
    }
    snapshot_release(models);
    arena_done(&arena);
    free(states);
    free(nos);
}

/* --- one replica */

Test(sweeper, a_change_moves_a_customer_and_is_recorded_as_leaving_and_entering, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    visitors(db, 40);
    on(db, &svc);
    train(&svc);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where not news"), 40, "where all are at first is history, but no news");
    char *quiet = segment_of(db, 1), *busy = segment_of(db, 2);
    cr_assert_str_neq(quiet, busy);
    browse(db, 1, 1, 180);
    sweeper_wake(&svc);
    await_sweep(db);
    char *is = segment_of(db, 1);
    cr_assert_str_eq(is, busy);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news"), 2);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes h join memberships m using (customer_no) where news and entered and m.since = h.at"), 1);
    browse(db, 1, 1, 181); /* what does not move anybody leaves no trace */
    await_sweep(db);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news"), 2);
    expect_record_to_agree(db);
    free(quiet);
    free(busy);
    free(is);
    off(&svc);
    pg_done(db);
}

Test(sweeper, a_new_customer_enters_and_an_erased_one_is_nowhere, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    struct erasure erased;
    visitors(db, 40);
    on(db, &svc);
    train(&svc);
    pg_run(db, "insert into customers (customer_no, customer_id) values (41, 'c41'); insert into customer_ids (customer_id, customer_no) values ('c41', 41);"
               "insert into changed_customers (customers, customer_nos) values (2, '{41,42}')");
    await_sweep(db);
    cr_assert_eq(pg_int(db, "select count(*) from memberships where customer_no = 41"), 1);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where customer_no = 41 and entered and news"), 1);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where customer_no = 42"), 0, "a number without a customer is passed by");
    struct store_conn *c = pg_conn(db);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(customers_erase(c, STR("c41"), &erased, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where customer_no = 41"), 0);
    off(&svc);
    pg_done(db);
}

Test(sweeper, single_changes_go_before_a_large_import, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    visitors(db, 40);
    on(db, &svc);
    train(&svc);
    /* 400 slices of numbers that nobody has: their judging takes time and changes nothing */
    pg_run(db, "insert into changed_customers (bulk, customers, customer_nos) select true, 2000, array_agg(k * 2000 + i + 1000) "
               "from generate_series(1, 400) k, generate_series(1::bigint, 2000) i group by k");
    pg_run(db, "create table left_to_do (n bigint);"
               "create function look() returns trigger language plpgsql as $$ begin"
               "  insert into left_to_do select count(*) from changed_customers where bulk; return null; end $$;"
               "create trigger look after insert on segment_changes for each statement execute function look()");
    browse(db, 1, 1, 190);
    sweeper_wake(&svc);
    for (int i = 0; i < 6000 && pg_int(db, "select count(*) from segment_changes where news") == 0; i++) nap(10);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news"), 2);
    cr_assert_gt(pg_int(db, "select min(n) from left_to_do"), 0, "the import was not done by then");
    off(&svc);
    pg_done(db);
}

Test(sweeper, without_a_model_changes_are_forgotten, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    visitors(db, 10);
    on(db, &svc);
    browse(db, 1, 5, 7);
    await_sweep(db);
    cr_assert_eq(pg_int(db, "select count(*) from memberships"), 0);
    off(&svc);
    pg_done(db);
}

Test(sweeper, everybody_is_judged_when_that_is_due_and_then_not_for_a_while, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service svc;
    visitors(db, 40);
    on(db, &svc);
    train(&svc);
    sweeper_stop(&svc);
    sweeper_free(&svc);
    /* nobody notes this one: it is what time would do */
    pg_run(db, "update customer_event_stats set count = 200, decayed = 200 where customer_no = 1;"
               "insert into meros_settings (name, value) values ('everybody_due_at', (now() - interval '25 hours')::text)");
    svc.settings.rejudge_hours = 24;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(sweeper_start(&svc, &err), MEROS_OK);
    for (int i = 0; i < 3000 && pg_int(db, "select count(*) from segment_changes where news") == 0; i++) nap(10);
    await_sweep(db);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where news and customer_no = 1"), 2);
    cr_assert_eq(pg_int(db, "select count(*) from meros_settings where name = 'everybody_due_at' and value::timestamptz > now() - interval '1 minute'"), 1);
    off(&svc);
    pg_done(db);
}

/* --- several at once */

struct storm {
    struct pg *db;
    struct service *svc;
    int customers, rounds;
};

static void *browse_on(void *arg)
{
    struct storm *s = arg;
    unsigned seed = 7;
    for (int i = 0; i < s->rounds; i++) {
        const int first = 1 + (int)(rand_r(&seed) % (unsigned)s->customers);
        const int last = first + (int)(rand_r(&seed) % 5);
        browse(s->db, first, last < s->customers ? last : s->customers, rand_r(&seed) % 2 ? 220 : 2);
        sweeper_wake(s->svc);
        nap(3);
    }
    return NULL;
}

Test(sweeper, two_replicas_record_every_change_once, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service a, b;
    pthread_t thread;
    visitors(db, 60);
    on(db, &a);
    on(db, &b);
    train(&a);
    struct storm s = {db, &b, 60, 150};
    cr_assert_eq(pthread_create(&thread, NULL, browse_on, &s), 0);
    for (int i = 0; i < 60; i++) {
        sweeper_wake(&a);
        nap(5);
    }
    pthread_join(thread, NULL);
    await_sweep(db);
    cr_assert_gt(pg_int(db, "select count(*) from segment_changes where news"), 20);
    expect_record_to_agree(db);
    expect_everybody_judged(&a, db, 60);
    off(&a);
    off(&b);
    pg_done(db);
}

Test(sweeper, a_model_that_comes_meanwhile_is_the_one_that_counts_in_the_end, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service a, b;
    pthread_t thread;
    struct meros_err err = MEROS_ERR_INIT;
    visitors(db, 60);
    on(db, &a);
    on(db, &b);
    train(&a);
    char *first = pg_text(db, "select model_id from models where version = 1");
    struct storm s = {db, &b, 60, 300};
    cr_assert_eq(pthread_create(&thread, NULL, browse_on, &s), 0);
    for (int i = 0; i < 4; i++) {
        train(&a);
        cr_assert_eq(scoring_activate(&b, str_of(first), &err), MEROS_OK, "%s", err.detail);
        run(&b, "refresh", "{}");
    }
    train(&b);
    pthread_join(thread, NULL);
    await_sweep(db);
    cr_assert_eq(serving_reload(&a, &err), MEROS_OK);
    expect_record_to_agree(db);
    expect_everybody_judged(&a, db, 60);
    free(first);
    off(&a);
    off(&b);
    pg_done(db);
}

/* Lets another model be activated while a refresh has judged everybody with the one before it. */
struct activation {
    struct service *svc;
    const char *model_id;
    enum meros_code rc;
};

static void *activate(void *arg)
{
    struct activation *a = arg;
    struct meros_err err = MEROS_ERR_INIT;
    a->rc = scoring_activate(a->svc, str_of(a->model_id), &err);
    return NULL;
}

static void *refresh(void *arg)
{
    run(arg, "refresh", "{}");
    return NULL;
}

static void await_waiting(struct pg *db, int n)
{
    for (int i = 0; i < 3000; i++) {
        if (pg_int(db, "select count(*) from pg_stat_activity where datname = current_database() and wait_event_type = 'Lock'") == n) return;
        nap(10);
    }
    cr_assert(false, "nobody waits for the segmentation");
}

Test(sweeper, a_refresh_judges_with_the_model_that_was_activated_meanwhile, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct service a, b;
    pthread_t activating, refreshing;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *holder = pg_conn(db);
    visitors(db, 60);
    on(db, &a);
    on(db, &b);
    train(&a);
    char *first = pg_text(db, "select model_id from models where version = 1");
    browse(db, 1, 20, 3000);
    await_sweep(db);
    run(&a, "train.segments", "{\"name\":\"activity\",\"k\":3,\"seed\":1,\"features\":[\"engagement_page_viewed\"]}");
    cr_assert_eq(pg_int(db, "select count(distinct segment_id) from memberships"), 3, "the two models differ");
    struct activation x = {.svc = &a, .model_id = first};
    int64_t no, next;
    cr_assert_eq(store_begin(holder, &err), MEROS_OK);
    cr_assert_eq(store_segmentation_lock(holder, STR("activity"), &no, &next, &err), MEROS_OK);
    cr_assert_eq(pthread_create(&activating, NULL, activate, &x), 0);
    await_waiting(db, 1);
    cr_assert_eq(pthread_create(&refreshing, NULL, refresh, &b), 0);
    await_waiting(db, 2);
    store_rollback(holder);
    pthread_join(activating, NULL);
    pthread_join(refreshing, NULL);
    cr_assert_eq(x.rc, MEROS_OK);
    await_sweep(db);
    cr_assert_eq(serving_reload(&a, &err), MEROS_OK);
    expect_record_to_agree(db);
    expect_everybody_judged(&a, db, 60);
    free(first);
    off(&a);
    off(&b);
    pg_done(db);
}

Test(sweeper, who_is_judged_while_somebody_extracts_is_judged_once_more, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *training = NULL, *c = pg_conn(db);
    cr_assert_eq(store_connect(db->pool, &training, &err), MEROS_OK);
    cr_assert_eq(store_changed_remember(c, (int64_t[]){1}, 1, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from judged_meanwhile"), 0, "nobody is at work");
    cr_assert_eq(store_extraction_begin(training, &err), MEROS_OK);
    cr_assert_eq(store_changed_remember(c, (int64_t[]){3, 2}, 2, &err), MEROS_OK);
    cr_assert_eq(store_changed_remember(c, (int64_t[]){3}, 1, &err), MEROS_OK);
    cr_assert_eq(store_changed_again(c, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from judged_meanwhile"), 2);
    cr_assert_eq(pg_int(db, "select count(*) from changed_customers"), 0, "somebody is still at work");
    store_disconnect(training); /* as a process that dies */
    for (int i = 0; i < 1000 && pg_int(db, "select count(*) from changed_customers") == 0; i++) {
        cr_assert_eq(store_changed_again(c, &err), MEROS_OK);
        nap(5);
    }
    cr_assert_eq(pg_int(db, "select count(*) from judged_meanwhile"), 0);
    char *again = pg_text(db, "select string_agg(customer_nos::text, ';') from changed_customers");
    cr_assert_str_eq(again, "{2,3}");
    free(again);
    pg_done(db);
}

/* --- notes */

Test(changed, notes_are_cut_into_rows_and_taken_oldest_first_each_customer_once)
{
    struct pg *db = pg_fresh();
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = pg_conn(db);
    int64_t many[CHANGED_ROW_MAX + 5], *nos = NULL, since;
    size_t n = 0;
    for (int i = 0; i < CHANGED_ROW_MAX + 5; i++) many[i] = CHANGED_ROW_MAX + 5 - i;
    cr_assert_eq(store_changed_note(c, many, CHANGED_ROW_MAX + 5, &err), MEROS_OK);
    cr_assert_eq(store_changed_note(c, (int64_t[]){7, 9, 7}, 3, &err), MEROS_OK);
    cr_assert_eq(store_changed_note(c, NULL, 0, &err), MEROS_OK);
    cr_assert_eq(pg_int(db, "select count(*) from changed_customers"), 3);
    cr_assert_eq(store_changed_take(c, true, &nos, &n, &since, &err), MEROS_OK);
    cr_assert(n == 0 && nos == NULL, "none of them is bulk");
    cr_assert_eq(store_changed_take(c, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, CHANGED_ROW_MAX);
    free(nos);
    cr_assert_eq(store_changed_take(c, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, 7, "5 of the cut row, 7 and 9: %zu", n);
    for (size_t i = 1; i < n; i++) cr_assert_lt(nos[i - 1], nos[i]);
    free(nos);
    cr_assert_eq(store_changed_take(c, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, 0);
    pg_done(db);
}

Test(changed, what_another_is_taking_is_passed_by_and_comes_back_when_it_gives_up)
{
    struct pg *db = pg_fresh();
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = pg_conn(db), *other = pg_conn(db);
    int64_t *nos = NULL, since;
    size_t n = 0;
    cr_assert_eq(store_changed_note(c, (int64_t[]){1, 2}, 2, &err), MEROS_OK);
    cr_assert_eq(store_begin(other, &err), MEROS_OK);
    cr_assert_eq(store_changed_take(other, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, 2);
    free(nos);
    cr_assert_eq(store_changed_take(c, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, 0);
    store_rollback(other);
    cr_assert_eq(store_changed_take(c, false, &nos, &n, &since, &err), MEROS_OK);
    cr_assert_eq(n, 2);
    free(nos);
    pg_done(db);
}

/* --- as of a moment */

enum { CUSTOMERS = 12, SEGMENTS = 4, MOMENTS = 60 };

struct standing {
    char ids[CUSTOMERS][16]; /* "": nowhere */
    int n;
};

static void take_member(void *arg, const struct member_row *m)
{
    struct standing *s = arg;
    (void)m->since;
    s->n++;
    cr_assert_lt(m->customer_no, CUSTOMERS + 1);
    cr_assert_str_empty(s->ids[m->customer_no - 1], "customer %lld is in two segments at once", (long long)m->customer_no);
    strcpy(s->ids[m->customer_no - 1], "!");
}

/* Who was where at a moment, asked segment by segment, page by page. */
static void ask(struct store_conn *c, int64_t at, struct standing *out)
{
    struct meros_err err = MEROS_ERR_INIT;
    *out = (struct standing){0};
    for (int k = 0; k < SEGMENTS; k++) {
        char id[16];
        snprintf(id, sizeof id, "s%d", k);
        for (int64_t after = 0;;) {
            const int before = out->n;
            cr_assert_eq(store_members_page_at(c, STR("x"), str_of(id), at, after, 2, take_member, out, &err), MEROS_OK, "%s", err.detail);
            for (int i = 0; i < CUSTOMERS; i++)
                if (strcmp(out->ids[i], "!") == 0) {
                    strcpy(out->ids[i], id);
                    if (i + 1 > after) after = i + 1;
                }
            if (out->n - before < 2) break;
        }
    }
}

Test(record, members_as_of_any_moment_are_those_of_a_replay, .timeout = 240)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    pg_run(db, "insert into segmentations (name) values ('other'), ('x'); insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, 12) i");
    const int64_t no = pg_int(db, "select segmentation_no from segmentations where name = 'x'"),
                  other = pg_int(db, "select segmentation_no from segmentations where name = 'other'");
    static struct standing replay[MOMENTS + 1];
    unsigned seed = 20260115;
    for (int t = 1; t <= MOMENTS; t++) {
        struct membership_move moves[2 * CUSTOMERS];
        char was[CUSTOMERS][16], is[CUSTOMERS][16];
        size_t n = 0;
        replay[t] = replay[t - 1];
        for (int i = 0; i < CUSTOMERS; i++) {
            if (rand_r(&seed) % 4 != 0) continue;
            const int k = (int)(rand_r(&seed) % (SEGMENTS + 1)); /* SEGMENTS: nowhere */
            strcpy(was[i], replay[t].ids[i]);
            if (k == SEGMENTS) is[i][0] = '\0';
            else snprintf(is[i], sizeof is[i], "s%d", k);
            if (strcmp(was[i], is[i]) == 0) continue;
            moves[n++] = (struct membership_move){i + 1, no, 1, (int64_t)t * 1000000, was[i][0] ? str_of(was[i]) : STR_NONE, is[i][0] ? str_of(is[i]) : STR_NONE};
            strcpy(replay[t].ids[i], is[i]);
            if (t % 7 == 0) moves[n++] = (struct membership_move){i + 1, other, 1, (int64_t)t * 1000000, STR("s9"), STR("s0")};
        }
        cr_assert_eq(store_begin(c, &err), MEROS_OK);
        cr_assert_eq(store_changes_lock(c, &err), MEROS_OK);
        cr_assert_eq(store_moves_write(c, moves, n, &err), MEROS_OK, "%s", err.detail);
        cr_assert_eq(store_commit(c, &err), MEROS_OK);
    }
    for (int t = 0; t <= MOMENTS; t++) {
        struct standing found;
        ask(c, (int64_t)t * 1000000 + 500000, &found);
        for (int i = 0; i < CUSTOMERS; i++) cr_assert_str_eq(found.ids[i], replay[t].ids[i], "customer %d at %d", i + 1, t);
    }
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes h where exists (select from segment_changes l where l.change_no > h.change_no and l.at < h.at)"), 0);
    pg_done(db);
}

struct table {
    int64_t n[SEGMENTS + 1][SEGMENTS + 1];
};

static void take_transition(void *arg, struct str from, struct str from_label, struct str to, struct str to_label, int64_t customers)
{
    struct table *t = arg;
    (void)from_label;
    (void)to_label;
    t->n[str_present(from) ? from.p[1] - '0' : SEGMENTS][str_present(to) ? to.p[1] - '0' : SEGMENTS] = customers;
}

Test(record, transitions_count_who_moved_came_left_and_stayed)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct table t = {0};
    pg_run(db, "insert into segmentations (name) values ('x'); insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, 5) i;"
               "insert into segment_changes (customer_no, segmentation_no, segment_id, entered, at, model_no)"
               "select v.no, segmentation_no, v.id, v.entered, timestamptz '2026-01-01' + make_interval(days => v.day), 1 from segmentations,"
               "(values (1, 's0', true, 0), (2, 's0', true, 0), (3, 's1', true, 0), (4, 's1', true, 0), (2, 's0', false, 5), (2, 's1', true, 5),"
               " (4, 's1', false, 6), (5, 's2', true, 6), (1, 's0', false, 20), (1, 's3', true, 20)) v (no, id, entered, day)");
    const int64_t from = pg_int(db, "select extract(epoch from timestamptz '2026-01-02')::bigint * 1000000");
    cr_assert_eq(store_transitions(c, STR("x"), from, from + 10 * TIME_DAY, take_transition, &t, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(t.n[0][0], 1);
    cr_assert_eq(t.n[0][1], 1);
    cr_assert_eq(t.n[1][1], 1);
    cr_assert_eq(t.n[1][SEGMENTS], 1, "left");
    cr_assert_eq(t.n[SEGMENTS][2], 1, "came");
    cr_assert_eq(t.n[0][3], 0, "that was later");
    pg_done(db);
}

Test(record, two_customers_who_become_one_are_in_one_segment_at_a_time)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct standing found;
    pg_run(db, "insert into segmentations (name) values ('x'), ('y'); insert into customers (customer_no, customer_id) values (1, 'kept'), (2, 'visitor');"
               "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, rows, row_hash, build, artifact, checksum, active)"
               "select 'm' || n, 'segments', n, 1, 'kmeans', '{}', '[]', '{}', 1, now(), now(), 1, '', '', '', '', true from unnest(array['x', 'y']) n");
    const int64_t x = pg_int(db, "select segmentation_no from segmentations where name = 'x'"), y = pg_int(db, "select segmentation_no from segmentations where name = 'y'");
    const struct membership_move moves[] = {{1, x, 1, 10 * TIME_DAY, STR_NONE, STR("s0")}, {2, x, 1, 20 * TIME_DAY, STR_NONE, STR("s1")},
                                            {2, y, 2, 20 * TIME_DAY, STR_NONE, STR("s0")}};
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(store_changes_lock(c, &err), MEROS_OK);
    cr_assert_eq(store_moves_write(c, moves, 3, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_changes_join(c, (int64_t[]){2}, (int64_t[]){1}, (int64_t[]){1}, 1, 30 * TIME_DAY, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    pg_run(db, "delete from customers where customer_no = 2");
    char *now = pg_table(db, "select customer_no, name, segment_id from memberships join segmentations using (segmentation_no) order by name");
    cr_assert_str_eq(now, "1|x|s0\n1|y|s0\n", "where it was nowhere it goes on where the visitor was: %s", now);
    free(now);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where customer_no = 1"), 5);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes where not entered and segment_id = 's1'"), 1);
    ask(c, 15 * TIME_DAY, &found);
    cr_assert_str_eq(found.ids[0], "s0");
    ask(c, 25 * TIME_DAY, &found);
    cr_assert_str_eq(found.ids[0], "s0", "where the one who stays was");
    ask(c, 35 * TIME_DAY, &found);
    cr_assert_str_eq(found.ids[0], "s0", "the other was left when they became one");
    pg_done(db);
}

Test(record, whoever_others_join_is_where_they_were_although_the_others_had_left_it)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct standing found;
    pg_run(db, "insert into segmentations (name) values ('x'); insert into customers (customer_no, customer_id) values (1, 'kept'), (2, 'visitor');"
               "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, evaluated_at, trained_at, rows, row_hash, build, artifact, checksum, active)"
               "values ('m', 'segments', 'x', 1, 'kmeans', '{}', '[]', '{}', 1, now(), now(), 1, '', '', '', '', true)");
    const int64_t x = pg_int(db, "select segmentation_no from segmentations where name = 'x'");
    const struct membership_move moves[] = {{1, x, 1, 10 * TIME_DAY, STR_NONE, STR("s0")}, {2, x, 1, 20 * TIME_DAY, STR_NONE, STR("s0")}},
                                 moved = {2, x, 1, 30 * TIME_DAY, STR("s0"), STR("s1")};
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(store_changes_lock(c, &err), MEROS_OK);
    cr_assert_eq(store_moves_write(c, moves, 2, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_moves_write(c, &moved, 1, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_changes_join(c, (int64_t[]){2}, (int64_t[]){1}, (int64_t[]){1}, 1, 25 * TIME_DAY, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    ask(c, 40 * TIME_DAY, &found);
    cr_assert_str_eq(found.ids[0], "s0");
    char *end = pg_table(db, "select segment_id, entered, news, extract(epoch from at)::bigint / 86400 from segment_changes order by change_no desc limit 2");
    cr_assert_str_eq(end, "s0|t|f|10\ns1|f|t|30\n", "the record ends with where they are, and nobody leaves before they came: %s", end);
    free(end);
    pg_done(db);
}

Test(record, who_moved_since_the_moment_of_an_evaluation_moves_again_after_that)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct memberships_written written;
    const int64_t both[] = {1, 2};
    const struct str ids[] = {STR("s0"), STR("s1")};
    pg_run(db, "insert into segmentations (name) values ('x'); insert into customers (customer_no, customer_id) values (1, 'a'), (2, 'b')");
    const int64_t x = pg_int(db, "select segmentation_no from segmentations where name = 'x'");
    const struct membership_move moved = {1, x, 1, 30 * TIME_DAY, STR("s0"), STR("s1")};
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    cr_assert_eq(store_memberships_write(c, x, 1, 10 * TIME_DAY, both, (int32_t[]){0, 0}, 2, ids, &written, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_moves_write(c, &moved, 1, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_memberships_write(c, x, 1, 20 * TIME_DAY, both, (int32_t[]){0, 1}, 2, ids, &written, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_commit(c, &err), MEROS_OK);
    char *since = pg_table(db, "select customer_no, segment_id, extract(day from since - timestamptz 'epoch') from memberships order by 1");
    cr_assert_str_eq(since, "1|s0|30\n2|s1|20\n", "%s", since);
    free(since);
    cr_assert_eq(pg_int(db, "select count(*) from segment_changes h where exists (select from segment_changes l "
                            "where l.customer_no = h.customer_no and l.change_no > h.change_no and l.at < h.at)"), 0);
    pg_done(db);
}
