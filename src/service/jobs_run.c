/* Running jobs: the keeper thread claims them, renews their leases and hands them to workers; a worker runs one and
 * writes its end.
 *
 * The keeper holds a connection of its own, so that a busy pool never costs a lease. It wakes when told (NOTIFY, a worker
 * becoming free) and otherwise every second. A lease is lost only when the database says so: while the database is away
 * nobody else can take the job either, so the work goes on and its end is written when the database is back. */
#include "jobs_priv.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/codec/problem.h"

enum { BEAT_MS = 1000, EXPIRE_MS = 2000, PRUNE_MS = 600000, RECONNECT_MIN_MS = 100, RECONNECT_MAX_MS = 1000, SETTLE_RETRY_MS = 250 };
static const int64_t MS = 1000000;

static struct metric_family ended_family = {
    .name = "meros_jobs_ended_total", .help = "Jobs that this process ended, by kind and how.", .kind = METRIC_COUNTER,
    .labels = {"kind", "state"}};
static struct metric_family seconds_family = {
    .name = "meros_job_seconds", .help = "How long the attempts of jobs ran.", .kind = METRIC_HISTOGRAM, .labels = {"kind"},
    .bounds = (const double[]){0.1, 0.5, 1, 5, 10, 30, 60, 300, 900, 3600, 14400}, .n_bounds = 11};

const struct job_kind *job_kind_find(const struct job_runner *r, struct str name)
{
    for (size_t i = 0; i < r->n_kinds; i++) {
        if (str_eq(name, r->kind_names[i]))
            return r->kinds[i];
    }
    return NULL;
}

void job_keeper_poke(struct job_runner *r)
{
    pthread_mutex_lock(&r->lock);
    r->keeper_poked = true;
    pthread_cond_signal(&r->wake);
    pthread_mutex_unlock(&r->lock);
}

static double progress_of(const struct job_run *run)
{
    return (double)run->ppm / 1e6;
}

/* --- what a running job calls */

bool job_step(void *job_ctx, double fraction, const char *stage)
{
    struct job_run *run = ((struct job_ctx *)job_ctx)->run;
    if (fraction > 0) { /* NaN fails this */
        int ppm = fraction >= 1 ? 1000000 : (int)(fraction * 1e6), old = run->ppm;
        while (ppm > old && !atomic_compare_exchange_weak(&run->ppm, &old, ppm))
            ;
    }
    if (stage != NULL)
        run->stage = stage;
    return job_stop_asked(&run->stop) == JOB_GO_ON;
}

void job_uses(struct job_ctx *ctx, struct store_conn *c)
{
    struct job_runner *r = ctx->run->runner;
    pthread_mutex_lock(&r->lock);
    ctx->run->conn = c;
    pthread_mutex_unlock(&r->lock);
}

/* Told once: a second cancellation would hit what the job does to end well. */
void job_tell_stop(struct job_run *run, enum job_stop_reason reason)
{
    if (job_stop_ask(&run->stop, reason) && run->conn != NULL)
        store_cancel(run->conn);
}

enum meros_code job_stopped(struct job_ctx *ctx, struct meros_err *err)
{
    switch (job_stop_asked(&ctx->run->stop)) {
    case JOB_STOP_HAND_BACK: return err_set(err, MEROS_CANCELLED, "The service is stopping; the job goes back into the queue.");
    case JOB_STOP_LOST: return err_set(err, MEROS_CANCELLED, "The job has been taken over by another process.");
    default: return err_set(err, MEROS_CANCELLED, "The job was cancelled.");
    }
}

static enum meros_code lost(struct job_ctx *ctx, struct meros_err *err)
{
    job_stop_ask(&ctx->run->stop, JOB_STOP_LOST);
    return err_set(err, MEROS_CANCELLED, "The job has been taken over by another process, so this one must not write.");
}

enum meros_code job_fence(struct job_ctx *ctx, struct store_conn *c, struct meros_err *err)
{
    bool held = false;
    enum meros_code rc = store_job_fence(c, &ctx->run->lease, &held, err);
    return rc != MEROS_OK || held ? rc : lost(ctx, err);
}

enum meros_code job_finish_in(struct job_ctx *ctx, struct store_conn *c, struct meros_err *err)
{
    struct job_run *run = ctx->run;
    bool held = false;
    if (run->result.failed)
        return err_set(err, MEROS_INTERNAL, "The result of the job is larger than %d bytes.", JOB_RESULT_MAX);
    struct str result = {run->result.data, run->result.len};
    enum meros_code rc = store_job_finish(c, &run->lease, JOB_SUCCEEDED, result, STR_NONE, &held, err);
    if (rc != MEROS_OK)
        return rc;
    if (!held)
        return lost(ctx, err);
    run->finished = true;
    return MEROS_OK;
}

/* --- the end of an attempt */

struct ending {
    enum { END_STATE, END_REQUEUE, END_NOTHING } what;
    enum job_state state;
    double delay;
    bool counted;
    struct str result, error;
    const char *word; /* for log and metrics */
};

static struct ending judge(const struct job_run *run, enum meros_code rc)
{
    enum job_stop_reason asked = job_stop_asked(&run->stop);
    if (rc == MEROS_OK && run->finished)
        return (struct ending){.what = END_NOTHING, .word = "succeeded"};
    if (rc == MEROS_OK)
        return (struct ending){.what = END_STATE, .state = JOB_SUCCEEDED, .result = {run->result.data, run->result.len}, .word = "succeeded"};
    if (asked == JOB_STOP_LOST)
        return (struct ending){.what = END_NOTHING, .word = "lost"};
    if (asked == JOB_STOP_CANCELLED && rc == MEROS_CANCELLED)
        return (struct ending){.what = END_STATE, .state = JOB_CANCELLED, .word = "cancelled"};
    bool again = rc == MEROS_UNAVAILABLE || rc == MEROS_TIMEOUT;
    if (asked == JOB_STOP_HAND_BACK && (again || rc == MEROS_CANCELLED))
        return (struct ending){.what = END_REQUEUE, .counted = false, .word = "handed_back"};
    if (again && run->ctx.attempt < run->max_attempts)
        return (struct ending){.what = END_REQUEUE, .counted = true, .delay = job_backoff_seconds(run->ctx.attempt), .word = "retried"};
    return (struct ending){.what = END_STATE, .state = JOB_FAILED, .word = "failed"};
}

static enum meros_code write_ending(struct job_run *run, const struct ending *e, bool *out_held, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(run->runner->svc->store, &c, err);
    if (rc == MEROS_OK && e->what == END_REQUEUE)
        rc = store_job_requeue(c, &run->lease, e->delay, e->counted, out_held, err);
    else if (rc == MEROS_OK)
        rc = store_job_finish(c, &run->lease, e->state, e->result, e->error, out_held, err);
    store_release(run->runner->svc->store, c);
    return rc;
}

static bool may_still_settle(struct job_runner *r)
{
    pthread_mutex_lock(&r->lock);
    bool may = r->settle_until_ns == 0 || clock_mono_ns() < r->settle_until_ns;
    pthread_mutex_unlock(&r->lock);
    return may;
}

/* Writes the end, for as long as the database is away and nobody else has the job. */
static void settle(struct job_run *run, struct ending *e, struct meros_err *why)
{
    struct buf problem;
    buf_init(&problem, 64 << 10);
    for (;;) {
        struct meros_err err = MEROS_ERR_INIT;
        bool held = false;
        if (e->what == END_STATE && e->state == JOB_FAILED) {
            struct jsonw w;
            buf_clear(&problem);
            jsonw_init(&w, &problem);
            problem_write(&w, why, run->ctx.id);
            e->error = (struct str){problem.data, problem.len};
        }
        enum meros_code rc = write_ending(run, e, &held, &err);
        if (rc == MEROS_OK) {
            if (!held)
                e->word = "lost";
            break;
        }
        if (rc != MEROS_UNAVAILABLE && rc != MEROS_TIMEOUT) {
            log_error("job.settle", KV("job", run->ctx.id), KV("detail", err.detail));
            if (e->what == END_STATE && e->state == JOB_FAILED)
                break; /* the lease runs out, and the queue ends it */
            *e = (struct ending){.what = END_STATE, .state = JOB_FAILED, .word = "failed"};
            *why = err;
            continue;
        }
        if (job_stop_asked(&run->stop) == JOB_STOP_LOST || !may_still_settle(run->runner)) {
            e->word = "lost";
            break;
        }
        nanosleep(&(struct timespec){.tv_nsec = SETTLE_RETRY_MS * MS}, NULL);
    }
    buf_done(&problem);
}

static void forget(struct job_run *run)
{
    struct job_runner *r = run->runner;
    pthread_mutex_lock(&r->lock);
    struct job_run **at = &r->running;
    while (*at != run)
        at = &(*at)->next;
    *at = run->next;
    pthread_mutex_unlock(&r->lock);
    json_free(run->params);
    buf_done(&run->result);
    free(run->params_text);
    free(run);
}

static void run_job(void *arg)
{
    struct job_run *run = arg;
    struct meros_err err = MEROS_ERR_INIT;
    enum meros_code rc = json_parse(run->params_text, strlen(run->params_text), &run->params, &err);
    run->ctx.params = run->params;
    run->ctx.started_at = clock_now();
    log_info("job.started", KV("job", run->ctx.id), KV("kind", run->kind->name), KV_I("attempt", run->ctx.attempt));
    /* Checked when it was queued, but perhaps by an older version of the program. */
    if (rc == MEROS_OK)
        rc = run->kind->check_params(run->runner->svc, run->params, &err);
    if (rc == MEROS_OK)
        rc = run->kind->run(&run->ctx, &err);
    if (rc == MEROS_OK && run->result.failed && !run->finished)
        rc = err_set(&err, MEROS_INTERNAL, "The result of the job is larger than %d bytes.", JOB_RESULT_MAX);
    if (rc != MEROS_OK && err.code != rc) /* a run() that left no words */
        err_set(&err, rc, "%s.", meros_code_title(rc));
    struct ending e = judge(run, rc);
    if (e.what != END_NOTHING)
        settle(run, &e, &err);
    double seconds = (double)(clock_mono_ns() - run->started_ns) * 1e-9;
    metric_add(metric(&ended_family, (const char *const[]){run->kind->name, e.word}), 1);
    metric_observe(metric(&seconds_family, (const char *const[]){run->kind->name}), seconds);
    if (rc == MEROS_OK || rc == MEROS_CANCELLED)
        log_info("job.ended", KV("job", run->ctx.id), KV("kind", run->kind->name), KV("state", e.word), KV_F("seconds", seconds));
    else
        log_warn("job.ended", KV("job", run->ctx.id), KV("kind", run->kind->name), KV("state", e.word), KV_F("seconds", seconds),
                 KV("detail", err.detail));
    forget(run);
}

/* --- the keeper */

struct taken {
    struct job_runner *runner;
    struct job_run *run; /* NULL: no memory */
};

/* Takes over what it needs of a claimed job; the views die with the result. */
static void take_job(void *arg, const struct job *job)
{
    struct taken *t = arg;
    struct job_run *run = calloc(1, sizeof *run);
    if (run == NULL)
        return;
    run->params_text = strndup(job->params.p, job->params.n);
    if (run->params_text == NULL || !str_copy(run->ctx.id, sizeof run->ctx.id, job->id)) {
        free(run->params_text);
        free(run);
        return;
    }
    buf_init(&run->result, JOB_RESULT_MAX);
    jsonw_init(&run->w, &run->result);
    run->runner = t->runner;
    run->kind = job_kind_find(t->runner, job->kind); /* claimed by these names, so it is there */
    run->max_attempts = run->kind->max_attempts > 0 ? run->kind->max_attempts : 3;
    run->stage = "starting";
    run->started_ns = clock_mono_ns();
    run->ctx.svc = t->runner->svc;
    run->ctx.attempt = job->attempts;
    run->ctx.run = run;
    run->ctx.result = &run->w;
    t->run = run;
}

/* False: nothing to claim, or it failed. */
static bool claim_one(struct job_runner *r, struct store_conn *c, struct meros_err *err)
{
    struct taken t = {.runner = r};
    struct store_lease lease;
    bool claimed = false, held = false;
    enum meros_code rc = store_job_claim(c, r->kind_names, r->n_kinds, r->worker, JOB_LEASE_SECONDS, &claimed, &lease, take_job, &t, err);
    if (rc != MEROS_OK || !claimed)
        return false;
    struct job_run *run = t.run;
    if (run != NULL) {
        run->lease = lease;
        pthread_mutex_lock(&r->lock);
        bool draining = r->draining;
        run->next = r->running;
        r->running = run;
        pthread_mutex_unlock(&r->lock);
        if (!draining && job_workers_run(r->workers, run_job, run))
            return true;
        forget(run);
    }
    /* No memory, or draining since: as if it had not been claimed. */
    if (store_job_requeue(c, &lease, 1, false, &held, err) != MEROS_OK)
        log_warn("job.unclaim", KV("job", lease.job_id), KV("detail", err->detail));
    return false;
}

struct beat {
    struct store_lease lease;
    double progress, eta;
    const char *stage;
};

static void apply_beat(struct job_runner *r, const struct store_lease *lease, enum job_stop_reason reason)
{
    pthread_mutex_lock(&r->lock);
    for (struct job_run *run = r->running; run != NULL; run = run->next) {
        if (run->lease.token == lease->token && strcmp(run->lease.job_id, lease->job_id) == 0)
            job_tell_stop(run, reason);
    }
    pthread_mutex_unlock(&r->lock);
}

/* Renews all leases. A job that is being ended this moment may be reported lost: its worker no longer looks. */
static enum meros_code beat_all(struct job_runner *r, struct store_conn *c, struct meros_err *err)
{
    struct beat beats[JOB_WORKERS_MAX];
    size_t n = 0;
    int64_t now = clock_mono_ns();
    pthread_mutex_lock(&r->lock);
    for (struct job_run *run = r->running; run != NULL && n < JOB_WORKERS_MAX; run = run->next) {
        double progress = progress_of(run);
        beats[n++] = (struct beat){run->lease, progress, job_eta(progress, (double)(now - run->started_ns) * 1e-9), run->stage};
    }
    pthread_mutex_unlock(&r->lock);
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        bool held = false, cancel = false;
        rc = store_job_beat(c, &beats[i].lease, JOB_LEASE_SECONDS, beats[i].progress, beats[i].stage, beats[i].eta, &held, &cancel, err);
        if (rc == MEROS_OK && !held)
            apply_beat(r, &beats[i].lease, JOB_STOP_LOST);
        else if (rc == MEROS_OK && cancel)
            apply_beat(r, &beats[i].lease, JOB_STOP_CANCELLED);
    }
    return rc;
}

static enum meros_code end_expired(struct store_conn *c, struct meros_err *err)
{
    static const char problem[] =
        "{\"type\":\"" PROBLEM_TYPE_PREFIX "internal\",\"title\":\"Something went wrong in the service\",\"status\":500,"
        "\"detail\":\"Each process that ran this job stopped answering before the job ended (killed, or out of memory), and it "
        "has been tried as often as it may. Look into the logs of the service, then queue it again.\"}";
    int64_t n = 0;
    enum meros_code rc = store_jobs_expire(c, (struct str){problem, sizeof problem - 1}, &n, err);
    if (rc == MEROS_OK && n > 0)
        log_warn("jobs.expired", KV_I("jobs", n));
    return rc;
}

/* Waits until poked or until the moment; true: stop. */
static bool keeper_wait(struct job_runner *r, int64_t until_ns)
{
    struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    pthread_mutex_lock(&r->lock);
    while (!r->keeper_poked && !r->stop && pthread_cond_timedwait(&r->wake, &r->lock, &until) == 0)
        ;
    r->keeper_poked = false;
    bool stop = r->stop;
    pthread_mutex_unlock(&r->lock);
    return stop;
}

static bool is_draining(struct job_runner *r)
{
    pthread_mutex_lock(&r->lock);
    bool draining = r->draining;
    pthread_mutex_unlock(&r->lock);
    return draining;
}

struct due {
    int64_t expire_ns, prune_ns;
};

static enum meros_code keep(struct job_runner *r, struct store_conn *c, struct due *due, struct meros_err *err)
{
    int64_t now = clock_mono_ns();
    enum meros_code rc = beat_all(r, c, err);
    if (rc == MEROS_OK && now >= due->expire_ns) {
        due->expire_ns = now + EXPIRE_MS * MS;
        rc = end_expired(c, err);
    }
    if (rc == MEROS_OK && now >= due->prune_ns) {
        due->prune_ns = now + PRUNE_MS * MS;
        rc = store_jobs_prune(c, r->svc->settings.job_retention_days, err);
    }
    while (rc == MEROS_OK && !is_draining(r) && job_workers_free_now(r->workers) > 0 && claim_one(r, c, err))
        ;
    return rc != MEROS_OK ? rc : err->code;
}

static void *keeper_main(void *arg)
{
    struct job_runner *r = arg;
    struct store_conn *c = NULL;
    struct due due = {0};
    int retry_ms = RECONNECT_MIN_MS;
    int64_t wait_ms = 0;
    while (!keeper_wait(r, clock_mono_ns() + wait_ms * MS)) {
        struct meros_err err = MEROS_ERR_INIT;
        wait_ms = BEAT_MS;
        enum meros_code rc = c != NULL ? MEROS_OK : store_connect(r->svc->store, &c, &err);
        if (rc == MEROS_OK)
            rc = keep(r, c, &due, &err);
        if (rc == MEROS_OK) {
            retry_ms = RECONNECT_MIN_MS;
            continue;
        }
        if (rc != MEROS_UNAVAILABLE)
            log_error("jobs.keeper", KV("detail", err.detail));
        store_disconnect(c); /* NULL is fine; whatever was wrong with it, a new one is clean */
        c = NULL;
        wait_ms = retry_ms;
        retry_ms = retry_ms * 2 > RECONNECT_MAX_MS ? RECONNECT_MAX_MS : retry_ms * 2;
    }
    store_disconnect(c);
    return NULL;
}

enum meros_code job_keeper_start(struct job_runner *r, struct meros_err *err)
{
    enum meros_code rc = thread_start(&r->keeper, "jobs", 0, keeper_main, r, err);
    r->keeper_started = rc == MEROS_OK;
    return rc;
}
