/* The runner against a real queue: kinds made up for the test, one or two runners on the same database. */
#include <criterion/criterion.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/service/jobs.h"
#include "meros/service/listener.h"
#include "meros/store/jobs.h"
#include "pg.h"
#include "store_priv.h"

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static enum meros_code no_params(struct service *svc, const struct json *params, struct meros_err *err)
{
    (void)svc;
    struct json_obj o;
    json_obj_begin(&o, params, "/params", err);
    json_obj_int(&o, "n", 0, 0, 10, 1);
    return json_obj_end(&o);
}

static enum meros_code run_quick(struct job_ctx *ctx, struct meros_err *err)
{
    (void)err;
    jsonw_begin_object(ctx->result);
    jsonw_kint(ctx->result, "n", json_int(json_get(ctx->params, "n")));
    jsonw_end_object(ctx->result);
    return MEROS_OK;
}

static _Atomic int slow_runs;

static enum meros_code run_slow(struct job_ctx *ctx, struct meros_err *err)
{
    slow_runs++;
    for (int i = 0; i < 1000; i++) { /* two minutes, which it is never given */
        if (!job_step(ctx, i / 1000.0, "walking"))
            return job_stopped(ctx, err);
        nap(120);
    }
    return MEROS_OK;
}

static _Atomic int flaky_runs;

static enum meros_code run_flaky(struct job_ctx *ctx, struct meros_err *err)
{
    if (++flaky_runs == 1)
        return err_set(err, MEROS_UNAVAILABLE, "Not now.");
    jsonw_begin_object(ctx->result);
    jsonw_kint(ctx->result, "attempt", ctx->attempt);
    jsonw_end_object(ctx->result);
    return MEROS_OK;
}

static enum meros_code run_broken(struct job_ctx *ctx, struct meros_err *err)
{
    (void)ctx;
    return err_set(err, MEROS_UNPROCESSABLE, "There are no customers yet.");
}

/* The effect and the end in one transaction. */
static enum meros_code run_effect(struct job_ctx *ctx, struct meros_err *err)
{
    struct store_conn *c = NULL;
    jsonw_begin_object(ctx->result);
    jsonw_kcstr(ctx->result, "job", ctx->id);
    jsonw_end_object(ctx->result);
    enum meros_code rc = store_acquire(ctx->svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_begin(c, err);
    if (rc == MEROS_OK)
        rc = job_finish_in(ctx, c, err);
    if (rc == MEROS_OK)
        rc = store_commit(c, err);
    store_release(ctx->svc->store, c);
    return rc;
}

/* One statement that would take a minute. */
static enum meros_code run_stuck(struct job_ctx *ctx, struct meros_err *err)
{
    static const struct sql SLEEP = {"test_sleep", "select pg_sleep(60)", SQL_ROWS};
    struct store_conn *c = NULL;
    struct rows r = {0};
    enum meros_code rc = store_connect(ctx->svc->store, &c, err);
    if (rc == MEROS_OK)
        job_uses(ctx, c);
    if (rc == MEROS_OK)
        rc = store_set_timeout(c, 0, err);
    if (rc == MEROS_OK)
        rc = sql_exec0(c, &SLEEP, &r, err);
    rows_done(&r);
    job_uses(ctx, NULL);
    store_disconnect(c);
    return rc == MEROS_CANCELLED ? job_stopped(ctx, err) : rc;
}

static const struct job_kind quick = {"quick", "", no_params, run_quick, 0}, slow = {"slow", "", no_params, run_slow, 0},
                             flaky = {"flaky", "", no_params, run_flaky, 0}, broken = {"broken", "", no_params, run_broken, 0},
                             effect = {"effect", "", no_params, run_effect, 0},
                             stuck = {"stuck", "", no_params, run_stuck, 0};
static const struct job_kind *const kinds[] = {&quick, &slow, &flaky, &broken, &effect, &stuck, NULL};

static void on(struct pg *db, struct service *svc, int workers)
{
    struct meros_err err = MEROS_ERR_INIT;
    *svc = (struct service){.store = db->pool};
    svc->settings.job_workers = workers;
    svc->settings.job_retention_days = 30;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    cr_assert_eq(listener_new(svc, &err), MEROS_OK);
    cr_assert_eq(jobs_start(svc, kinds, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(listener_start(svc, &err), MEROS_OK);
}

static void off(struct service *svc)
{
    cr_assert(jobs_stop(svc, 30000));
    listener_stop(svc);
    jobs_free(svc);
    listener_free(svc);
}

static void queue(struct service *svc, const char *kind, char id[JOB_ID_CAP])
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(jobs_create(svc, str_of(kind), NULL, "key_1", NULL, id, &err), MEROS_OK, "%s", err.detail);
}

struct seen {
    enum job_state state;
    int attempts;
    double progress;
    char result[200], error[600];
};

static void see(void *arg, const struct job *job)
{
    struct seen *s = arg;
    s->state = job->state;
    s->attempts = job->attempts;
    s->progress = job->progress;
    str_copy(s->result, sizeof s->result, job->result);
    str_copy(s->error, sizeof s->error, job->error);
}

static struct seen get(struct service *svc, const char *id)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct seen s = {0};
    cr_assert_eq(jobs_get(svc, str_of(id), see, &s, &err), MEROS_OK, "%s", err.detail);
    return s;
}

static struct seen wait_until(struct service *svc, const char *id, enum job_state state, int ms)
{
    struct seen s = get(svc, id);
    for (int64_t end = clock_mono_ns() + (int64_t)ms * 1000000; s.state != state && clock_mono_ns() < end; s = get(svc, id))
        nap(10);
    cr_assert_eq(s.state, state, "the job is %s: %s", job_state_name(s.state), s.error);
    return s;
}

Test(jobs, a_queued_job_runs_and_leaves_its_result)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    struct json *params = NULL;
    char id[JOB_ID_CAP];
    on(db, &svc, 1);
    cr_assert_eq(json_parse("{\"n\":7}", 7, &params, &err), MEROS_OK);
    cr_assert_eq(jobs_create(&svc, STR("quick"), params, "", NULL, id, &err), MEROS_OK, "%s", err.detail);
    json_free(params);
    struct seen s = wait_until(&svc, id, JOB_SUCCEEDED, 40000);
    cr_assert_str_eq(s.result, "{\"n\":7}");
    cr_assert_eq(s.progress, 1);
    queue(&svc, "effect", id);
    s = wait_until(&svc, id, JOB_SUCCEEDED, 40000);
    cr_assert_not_null(strstr(s.result, id));
    off(&svc);
    pg_done(db);
}

/* Polled for, each would wait out the second that began when the one before it was found; the quickest tells, since the
 * machine may be busy. */
Test(jobs, a_worker_is_woken_and_does_not_find_the_job_by_polling)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char id[JOB_ID_CAP];
    int64_t least = INT64_MAX;
    on(db, &svc, 1);
    for (int i = 0; i < 50 && least >= 600000000; i++) {
        const int64_t start = clock_mono_ns();
        queue(&svc, "quick", id);
        wait_until(&svc, id, JOB_SUCCEEDED, 40000);
        const int64_t took = clock_mono_ns() - start;
        if (i > 0 && took < least) least = took;
    }
    cr_assert_lt(least, 600000000);
    off(&svc);
    pg_done(db);
}

Test(jobs, an_unknown_kind_or_param_is_refused_before_it_is_queued)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    struct json *params = NULL;
    char id[JOB_ID_CAP];
    on(db, &svc, 0);
    cr_assert_eq(jobs_create(&svc, STR("nonsense"), NULL, "", NULL, id, &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "quick, slow"), "%s", err.detail);
    cr_assert_str_eq(err.fields[0].pointer, "/kind");
    err_clear(&err);
    cr_assert_eq(json_parse("{\"n\":11,\"m\":1}", 14, &params, &err), MEROS_OK);
    cr_assert_eq(jobs_create(&svc, STR("quick"), params, "", NULL, id, &err), MEROS_INVALID);
    cr_assert_eq(err.n_fields, 2);
    cr_assert_str_eq(err.fields[0].pointer, "/params/n");
    cr_assert_str_eq(err.fields[1].pointer, "/params/m");
    json_free(params);
    cr_assert_eq(pg_int(db, "select count(*) from jobs"), 0);
    off(&svc);
    pg_done(db);
}

Test(jobs, a_running_job_stops_soon_after_being_cancelled_from_another_replica)
{
    struct pg *db = pg_fresh();
    struct service runs, asks;
    struct meros_err err = MEROS_ERR_INIT;
    enum job_state state;
    char id[JOB_ID_CAP];
    on(db, &runs, 1);
    on(db, &asks, 0);
    queue(&asks, "slow", id);
    wait_until(&asks, id, JOB_RUNNING, 40000);
    int64_t start = clock_mono_ns();
    cr_assert_eq(jobs_cancel(&asks, str_of(id), &state, &err), MEROS_OK);
    cr_assert_eq(state, JOB_RUNNING);
    wait_until(&asks, id, JOB_CANCELLED, 40000);
    cr_assert_lt(clock_mono_ns() - start, 60000000000); /* by itself it runs for two minutes */
    cr_assert_eq(jobs_cancel(&asks, str_of(id), &state, &err), MEROS_CONFLICT);
    off(&asks);
    off(&runs);
    pg_done(db);
}

Test(jobs, a_job_stops_in_the_middle_of_a_long_statement)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    enum job_state state;
    char id[JOB_ID_CAP];
    on(db, &svc, 1);
    queue(&svc, "stuck", id);
    wait_until(&svc, id, JOB_RUNNING, 40000);
    nap(300);
    cr_assert_eq(jobs_cancel(&svc, str_of(id), &state, &err), MEROS_OK);
    wait_until(&svc, id, JOB_CANCELLED, 40000);
    queue(&svc, "stuck", id);
    wait_until(&svc, id, JOB_RUNNING, 40000);
    nap(300);
    off(&svc); /* which asserts that it stopped by itself */
    pg_done(db);
}

Test(jobs, what_is_unavailable_is_tried_again_and_what_is_wrong_fails_with_the_reason)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char id[JOB_ID_CAP], other[JOB_ID_CAP];
    on(db, &svc, 2);
    queue(&svc, "flaky", id);
    queue(&svc, "broken", other);
    struct seen s = wait_until(&svc, other, JOB_FAILED, 40000);
    cr_assert_not_null(strstr(s.error, "\"status\":422"), "%s", s.error);
    cr_assert_not_null(strstr(s.error, "There are no customers yet."), "%s", s.error);
    cr_assert_eq(s.attempts, 1);
    s = wait_until(&svc, id, JOB_SUCCEEDED, 40000);
    cr_assert_str_eq(s.result, "{\"attempt\":2}");
    off(&svc);
    pg_done(db);
}

Test(jobs, stopping_hands_the_job_back_and_another_replica_runs_it)
{
    struct pg *db = pg_fresh();
    struct service first, second;
    struct meros_err err = MEROS_ERR_INIT;
    enum job_state state;
    char id[JOB_ID_CAP];
    slow_runs = 0;
    on(db, &first, 1);
    queue(&first, "slow", id);
    wait_until(&first, id, JOB_RUNNING, 40000);
    for (int i = 0; i < 4000 && get(&first, id).progress == 0; i++) nap(10); /* until a heartbeat has written it */
    cr_assert_gt(get(&first, id).progress, 0);
    int64_t start = clock_mono_ns();
    off(&first);
    cr_assert_lt(clock_mono_ns() - start, 60000000000);
    on(db, &second, 1);
    struct seen s = wait_until(&second, id, JOB_RUNNING, 40000);
    cr_assert_eq(s.attempts, 1, "handing back is not an attempt");
    cr_assert_eq(jobs_cancel(&second, str_of(id), &state, &err), MEROS_OK);
    wait_until(&second, id, JOB_CANCELLED, 40000);
    cr_assert_eq(slow_runs, 2);
    off(&second);
    pg_done(db);
}

Test(jobs, a_worker_that_lost_its_lease_stops_and_writes_nothing)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char id[JOB_ID_CAP];
    on(db, &svc, 1);
    queue(&svc, "slow", id);
    wait_until(&svc, id, JOB_RUNNING, 40000);
    pg_run(db, "update jobs set lease_token = lease_token + 1, worker = 'another', lease_until = now() + interval '1 hour'");
    nap(2500);
    struct seen s = get(&svc, id);
    cr_assert_eq(s.state, JOB_RUNNING, "it is the other's");
    off(&svc);
    cr_assert_eq(pg_int(db, "select count(*) from jobs where worker = 'another' and state = 'running'"), 1);
    pg_done(db);
}

Test(jobs, the_job_of_a_process_that_died_is_taken_over)
{
    struct pg *db = pg_fresh();
    struct service svc;
    char id[JOB_ID_CAP];
    on(db, &svc, 0);
    queue(&svc, "quick", id);
    pg_run(db, "update jobs set state = 'running', lease_token = 1, attempts = 1, worker = 'dead', lease_until = now() + interval '1 second'");
    off(&svc);
    on(db, &svc, 1);
    struct seen s = wait_until(&svc, id, JOB_SUCCEEDED, 40000);
    cr_assert_eq(s.attempts, 2);
    off(&svc);
    pg_done(db);
}

struct watched {
    _Atomic int changes, ended, calls_after_end;
    _Atomic int last_state;
};

static bool watch(void *arg, const struct job *job, bool ended)
{
    struct watched *w = arg;
    if (w->ended)
        w->calls_after_end++;
    if (job != NULL) {
        w->changes++;
        w->last_state = (int)job->state;
    }
    if (ended)
        w->ended++;
    return true;
}

Test(jobs, those_who_follow_a_job_see_it_change_and_end_once)
{
    struct pg *db = pg_fresh();
    struct service svc;
    struct meros_err err = MEROS_ERR_INIT;
    struct watched a = {0}, b = {0}, none = {0};
    enum job_state state;
    char id[JOB_ID_CAP];
    on(db, &svc, 1);
    queue(&svc, "slow", id);
    cr_assert_eq(jobs_watch(&svc, str_of(id), watch, &a, &err), MEROS_OK);
    cr_assert_eq(jobs_watch(&svc, str_of(id), watch, &b, &err), MEROS_OK);
    cr_assert_eq(jobs_watch(&svc, STR("job_none"), watch, &none, &err), MEROS_OK);
    wait_until(&svc, id, JOB_RUNNING, 40000);
    for (int i = 0; i < 6000 && a.changes < 3; i++) nap(10);
    cr_assert_geq(a.changes, 3, "%d changes seen", a.changes);
    cr_assert_eq(none.ended, 1);
    cr_assert_eq(jobs_cancel(&svc, str_of(id), &state, &err), MEROS_OK);
    wait_until(&svc, id, JOB_CANCELLED, 40000);
    for (int i = 0; i < 3000 && (a.ended == 0 || b.ended == 0); i++)
        nap(10);
    cr_assert_eq(a.ended, 1);
    cr_assert_eq(b.ended, 1);
    cr_assert_eq(a.last_state, JOB_CANCELLED);
    cr_assert_eq(jobs_watch(&svc, str_of(id), watch, &none, &err), MEROS_OK);
    off(&svc);
    cr_assert_eq(a.calls_after_end, 0);
    cr_assert_eq(none.ended, 2);
    pg_done(db);
}
