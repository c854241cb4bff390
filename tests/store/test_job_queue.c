#include <criterion/criterion.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/store/jobs.h"
#include "pg.h"

#define OK(call)                                                                                             \
    do {                                                                                                     \
        struct meros_err *e_ = &err;                                                                         \
        err_clear(e_);                                                                                       \
        cr_assert_eq((call), MEROS_OK, "%s", err.detail);                                                    \
    } while (0)

static const struct str KINDS[] = {{"a", 1}, {"b", 1}};

struct copy {
    int calls;
    struct job job;
    char id[JOB_ID_CAP], result[200], error[200], params[200], stage[JOB_STAGE_CAP];
};

static void copy_job(void *arg, const struct job *job)
{
    struct copy *c = arg;
    c->calls++;
    c->job = *job;
    str_copy(c->id, sizeof c->id, job->id);
    str_copy(c->params, sizeof c->params, job->params);
    str_copy(c->stage, sizeof c->stage, job->stage);
    str_copy(c->result, sizeof c->result, job->result);
    str_copy(c->error, sizeof c->error, job->error);
}

static void add(struct store_conn *c, const char *id, const char *kind)
{
    struct meros_err err = MEROS_ERR_INIT;
    bool made = false;
    OK(store_job_insert(c, id, str_of(kind), STR("{\"z\": 1, \"a\": 2.50}"), 2, "key_x", STR_NONE, &made, &err));
    cr_assert(made);
}

static bool claim(struct store_conn *c, double lease, struct store_lease *out, struct copy *job)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct copy unused = {0};
    bool claimed = false;
    OK(store_job_claim(c, KINDS, 2, "test:1", lease, &claimed, out, copy_job, job == NULL ? &unused : job, &err));
    return claimed;
}

static struct copy get(struct store_conn *c, const char *id)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct copy job = {0};
    OK(store_job_get(c, str_of(id), copy_job, &job, &err));
    return job;
}

Test(job_queue, a_job_is_kept_as_it_was_given)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    add(c, "job_1", "a");
    struct copy j = get(c, "job_1");
    cr_assert_str_eq(j.params, "{\"z\": 1, \"a\": 2.50}");
    cr_assert_eq(j.job.state, JOB_QUEUED);
    cr_assert_eq(j.job.started_at, TIME_NONE);
    cr_assert(isnan(j.job.eta_seconds));
    cr_assert_not(str_present(j.job.result));
    pg_done(db);
}

Test(job_queue, jobs_are_taken_in_order_of_arrival_and_only_of_known_kinds)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct store_lease l;
    add(c, "job_0", "unknown");
    add(c, "job_1", "b");
    add(c, "job_2", "a");
    struct copy j = {0};
    cr_assert(claim(c, 10, &l, &j));
    cr_assert_str_eq(l.job_id, "job_1");
    cr_assert_eq(j.job.state, JOB_RUNNING);
    cr_assert_eq(j.job.attempts, 1);
    cr_assert_neq(j.job.started_at, TIME_NONE);
    cr_assert(claim(c, 10, &l, NULL));
    cr_assert_str_eq(l.job_id, "job_2");
    cr_assert_not(claim(c, 10, &l, NULL), "the unknown kind stays in the queue");
    pg_done(db);
}

enum { CLAIMERS = 4, MANY = 60 };
struct claimer {
    struct pg *db;
    int got[MANY];
    int n;
};

static void *claim_all(void *arg)
{
    struct claimer *k = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    struct store_lease l;
    if (store_acquire(k->db->pool, &c, &err) != MEROS_OK)
        return NULL;
    for (bool claimed = true; claimed;) {
        struct copy j = {0};
        if (store_job_claim(c, KINDS, 2, "w", 30, &claimed, &l, copy_job, &j, &err) != MEROS_OK)
            break;
        if (claimed)
            k->got[k->n++] = atoi(l.job_id + 4);
    }
    store_release(k->db->pool, c);
    return NULL;
}

Test(job_queue, two_workers_never_take_the_same_job)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    pthread_t threads[CLAIMERS];
    struct claimer k[CLAIMERS] = {0};
    int seen[MANY] = {0}, total = 0;
    for (int i = 0; i < MANY; i++) {
        char id[16];
        snprintf(id, sizeof id, "job_%d", i);
        add(c, id, "a");
    }
    for (int i = 0; i < CLAIMERS; i++) {
        k[i].db = db;
        pthread_create(&threads[i], NULL, claim_all, &k[i]);
    }
    for (int i = 0; i < CLAIMERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CLAIMERS; i++) {
        for (int j = 0; j < k[i].n; j++, total++)
            seen[k[i].got[j]]++;
    }
    cr_assert_eq(total, MANY);
    for (int i = 0; i < MANY; i++)
        cr_assert_eq(seen[i], 1, "job %d was taken %d times", i, seen[i]);
    pg_done(db);
}

Test(job_queue, a_lease_that_ran_out_is_taken_over_and_the_old_holder_can_write_nothing)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease old, new;
    struct copy j = {0};
    bool held = true, cancel = false;
    add(c, "job_1", "a");
    cr_assert(claim(c, 10, &old, NULL));
    cr_assert_not(claim(c, 10, &new, NULL), "the lease still stands");
    pg_run(db, "update jobs set lease_until = now() - interval '1 second'");
    cr_assert(claim(c, 10, &new, &j));
    cr_assert_eq(j.job.attempts, 2);
    cr_assert_gt(new.token, old.token);
    OK(store_job_beat(c, &old, 10, 0.9, "x", NAN, &held, &cancel, &err));
    cr_assert_not(held);
    OK(store_job_finish(c, &old, JOB_SUCCEEDED, STR("{\"old\":true}"), STR_NONE, &held, &err));
    cr_assert_not(held);
    OK(store_job_requeue(c, &old, 0, true, &held, &err));
    cr_assert_not(held);
    OK(store_begin(c, &err));
    OK(store_job_fence(c, &old, &held, &err));
    cr_assert_not(held);
    OK(store_job_fence(c, &new, &held, &err));
    cr_assert(held);
    store_rollback(c);
    OK(store_job_finish(c, &new, JOB_SUCCEEDED, STR("{\"new\":true}"), STR_NONE, &held, &err));
    cr_assert(held);
    j = get(c, "job_1");
    cr_assert_str_eq(j.result, "{\"new\":true}");
    cr_assert_eq(j.job.progress, 1);
    pg_done(db);
}

Test(job_queue, a_holder_whose_lease_nobody_took_may_renew_it_late)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease l, other;
    bool held = false, cancel = true;
    add(c, "job_1", "a");
    cr_assert(claim(c, 10, &l, NULL));
    pg_run(db, "update jobs set lease_until = now() - interval '1 hour'");
    OK(store_job_beat(c, &l, 10, 0.5, "half", 12.5, &held, &cancel, &err));
    cr_assert(held);
    cr_assert_not(cancel);
    cr_assert_not(claim(c, 10, &other, NULL));
    struct copy j = get(c, "job_1");
    cr_assert_eq(j.job.progress, 0.5);
    cr_assert_eq(j.job.eta_seconds, 12.5);
    cr_assert_str_eq(j.stage, "half");
    OK(store_job_beat(c, &l, 10, 0.25, NULL, NAN, &held, &cancel, &err));
    cr_assert_eq(get(c, "job_1").job.progress, 0.5, "progress never goes back");
    pg_done(db);
}

Test(job_queue, a_job_that_killed_every_process_fails_in_the_end)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease l;
    int64_t n = -1;
    add(c, "job_1", "a"); /* two attempts */
    for (int i = 0; i < 2; i++) {
        cr_assert(claim(c, 10, &l, NULL));
        OK(store_jobs_expire(c, STR("{\"detail\":\"x\"}"), &n, &err));
        cr_assert_eq(n, 0);
        pg_run(db, "update jobs set lease_until = now() - interval '1 second'");
    }
    cr_assert_not(claim(c, 10, &l, NULL));
    OK(store_jobs_expire(c, STR("{\"detail\":\"x\"}"), &n, &err));
    cr_assert_eq(n, 1);
    struct copy j = get(c, "job_1");
    cr_assert_eq(j.job.state, JOB_FAILED);
    cr_assert_str_eq(j.error, "{\"detail\":\"x\"}");
    cr_assert_neq(j.job.finished_at, TIME_NONE);
    pg_done(db);
}

Test(job_queue, handing_back_does_not_count_as_an_attempt_and_a_retry_does)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease l;
    struct copy j = {0};
    bool held = false;
    add(c, "job_1", "a");
    cr_assert(claim(c, 10, &l, NULL));
    OK(store_job_requeue(c, &l, 0, false, &held, &err));
    cr_assert(held);
    j = get(c, "job_1");
    cr_assert_eq(j.job.state, JOB_QUEUED);
    cr_assert_eq(j.job.attempts, 0);
    cr_assert(claim(c, 10, &l, &j));
    cr_assert_eq(j.job.attempts, 1);
    OK(store_job_requeue(c, &l, 3600, true, &held, &err));
    cr_assert_eq(get(c, "job_1").job.attempts, 1);
    cr_assert_not(claim(c, 10, &l, NULL), "not due for an hour");
    pg_done(db);
}

Test(job_queue, cancelling_ends_a_queued_job_and_asks_a_running_one)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease l;
    enum job_state state = JOB_FAILED;
    bool held = false, cancel = false;
    add(c, "job_1", "a");
    add(c, "job_2", "a");
    cr_assert(claim(c, 10, &l, NULL));
    OK(store_job_cancel(c, STR("job_2"), &state, &err));
    cr_assert_eq(state, JOB_CANCELLED);
    cr_assert_eq(store_job_cancel(c, STR("job_2"), &state, &err), MEROS_CONFLICT);
    cr_assert_eq(store_job_cancel(c, STR("job_none"), &state, &err), MEROS_NOT_FOUND);
    OK(store_job_cancel(c, STR("job_1"), &state, &err));
    cr_assert_eq(state, JOB_RUNNING);
    OK(store_job_beat(c, &l, 10, 0, NULL, NAN, &held, &cancel, &err));
    cr_assert(held);
    cr_assert(cancel, "the heartbeat brings the wish");
    OK(store_job_requeue(c, &l, 0, false, &held, &err));
    cr_assert_eq(get(c, "job_1").job.state, JOB_CANCELLED, "handed back, it is not queued again");
    pg_done(db);
}

Test(job_queue, the_same_once_makes_one_job)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct copy j = {0};
    bool made = false;
    OK(store_job_insert(c, "job_1", STR("a"), STR("{}"), 3, "", STR("ref"), &made, &err));
    cr_assert(made);
    OK(store_job_insert(c, "job_2", STR("a"), STR("{}"), 3, "", STR("ref"), &made, &err));
    cr_assert_not(made);
    OK(store_job_by_once(c, STR("ref"), copy_job, &j, &err));
    cr_assert_str_eq(j.id, "job_1");
    pg_run(db, "update jobs set created_at = now() - interval '25 hours'");
    OK(store_jobs_prune(c, 30, &err));
    OK(store_job_insert(c, "job_3", STR("a"), STR("{}"), 3, "", STR("ref"), &made, &err));
    cr_assert(made, "a day later it is new");
    pg_done(db);
}

Test(job_queue, lists_newest_first_by_state_and_kind_and_forgets_the_old)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct copy j = {0};
    int64_t n[JOB_STATE_COUNT];
    add(c, "job_1", "a");
    add(c, "job_2", "b");
    add(c, "job_3", "a");
    pg_run(db, "update jobs set state = 'succeeded', finished_at = now() - interval '31 days' where job_id = 'job_3'");
    OK(store_job_list(c, -1, STR_NONE, 0, 10, copy_job, &j, &err));
    cr_assert_eq(j.calls, 3);
    cr_assert_str_eq(j.id, "job_1", "the last shown is the oldest");
    j = (struct copy){0};
    OK(store_job_list(c, JOB_QUEUED, STR("a"), 0, 10, copy_job, &j, &err));
    cr_assert_eq(j.calls, 1);
    j = (struct copy){0};
    OK(store_job_list(c, -1, STR_NONE, 3, 1, copy_job, &j, &err));
    cr_assert_str_eq(j.id, "job_2");
    OK(store_jobs_count(c, n, &err));
    cr_assert_eq(n[JOB_QUEUED], 2);
    cr_assert_eq(n[JOB_SUCCEEDED], 1);
    OK(store_jobs_prune(c, 30, &err));
    cr_assert_eq(store_job_get(c, STR("job_3"), copy_job, &j, &err), MEROS_NOT_FOUND);
    pg_done(db);
}

Test(job_queue, leases_of_the_dead_can_be_ended_at_once)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    struct meros_err err = MEROS_ERR_INIT;
    struct store_lease l, next;
    int64_t n = 0;
    add(c, "job_1", "a");
    cr_assert(claim(c, 3600, &l, NULL));
    OK(store_jobs_orphan(c, &n, &err));
    cr_assert_eq(n, 1);
    cr_assert(claim(c, 3600, &next, NULL));
    cr_assert_gt(next.token, l.token);
    pg_done(db);
}
