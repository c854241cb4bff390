#include "meros/service/jobs.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "jobs_priv.h"
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/listener.h"

enum { PARAMS_MAX = 256 << 10 };

/* --- start and stop */

static void on_change(void *arg, const char *payload)
{
    (void)payload; /* new, ended or to be cancelled: the keeper and the watcher look for themselves */
    job_keeper_poke(arg);
    job_watch_poke(arg);
}

static void on_worker_free(void *arg)
{
    job_keeper_poke(arg);
}

static struct job_runner *runner_new(struct service *svc, const struct job_kind *const *kinds)
{
    struct job_runner *r = calloc(1, sizeof *r);
    if (r == NULL)
        return NULL;
    r->svc = svc;
    r->kinds = kinds;
    while (kinds[r->n_kinds] != NULL && r->n_kinds < JOB_KINDS_MAX) {
        r->kind_names[r->n_kinds] = str_of(kinds[r->n_kinds]->name);
        r->n_kinds++;
    }
    char host[40] = "";
    gethostname(host, sizeof host - 1);
    snprintf(r->worker, sizeof r->worker, "%s:%d", host, (int)getpid());
    pthread_condattr_t monotonic;
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->wake, &monotonic);
    pthread_cond_init(&r->watch_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return r;
}

/* The embedded database is this process's alone, so whoever held a lease there is dead: no need to wait until it runs out. */
static enum meros_code take_over_at_once(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    int64_t n = 0;
    if (svc->cluster == NULL)
        return MEROS_OK;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_jobs_orphan(c, &n, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK && n > 0)
        log_info("jobs.orphaned", KV_I("jobs", n));
    return rc;
}

enum meros_code jobs_start(struct service *svc, const struct job_kind *const *kinds, struct meros_err *err)
{
    enum meros_code rc = take_over_at_once(svc, err);
    if (rc != MEROS_OK)
        return rc;
    struct job_runner *r = runner_new(svc, kinds);
    if (r == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for jobs.");
    svc->jobs = r;
    int workers = svc->settings.job_workers > JOB_WORKERS_MAX ? JOB_WORKERS_MAX : svc->settings.job_workers;
    rc = listener_subscribe(svc, STORE_JOBS_CHANNEL, on_change, r, err);
    if (rc == MEROS_OK)
        rc = job_workers_start(workers, svc->settings.job_nice, on_worker_free, r, &r->workers, err);
    if (rc == MEROS_OK)
        rc = job_watch_start(r, err);
    if (rc == MEROS_OK)
        rc = job_keeper_start(r, err);
    if (rc != MEROS_OK) {
        jobs_stop(svc, 0);
        jobs_free(svc);
    }
    return rc;
}

static void stop_all(struct job_runner *r, enum job_stop_reason reason, int deadline_ms)
{
    pthread_mutex_lock(&r->lock);
    r->draining = true;
    r->settle_until_ns = clock_mono_ns() + (int64_t)deadline_ms * 1000000;
    for (struct job_run *run = r->running; run != NULL; run = run->next)
        job_tell_stop(run, reason);
    pthread_mutex_unlock(&r->lock);
}

/* What would not stop is given back all the same: its thread can no longer write once another has claimed the job. */
static void give_back(struct job_runner *r)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    struct store_lease left[JOB_WORKERS_MAX];
    size_t n = 0;
    pthread_mutex_lock(&r->lock);
    for (struct job_run *run = r->running; run != NULL && n < JOB_WORKERS_MAX; run = run->next)
        left[n++] = run->lease;
    pthread_mutex_unlock(&r->lock);
    enum meros_code rc = store_acquire(r->svc->store, &c, &err);
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        bool held = false;
        rc = store_job_requeue(c, &left[i], 0, false, &held, &err);
        log_warn("job.would_not_stop", KV("job", left[i].job_id), KV_B("given_back", rc == MEROS_OK && held));
    }
    store_release(r->svc->store, c);
}

bool jobs_stop(struct service *svc, int deadline_ms)
{
    struct job_runner *r = svc->jobs;
    bool all = true;
    if (r == NULL)
        return true;
    stop_all(r, JOB_STOP_HAND_BACK, deadline_ms);
    if (r->workers != NULL)
        all = job_workers_stop(r->workers, deadline_ms);
    if (!all)
        give_back(r);
    pthread_mutex_lock(&r->lock);
    r->stop = true;
    pthread_cond_broadcast(&r->wake);
    pthread_cond_broadcast(&r->watch_wake);
    pthread_mutex_unlock(&r->lock);
    if (r->keeper_started)
        pthread_join(r->keeper, NULL);
    if (r->watch_started)
        pthread_join(r->watch_thread, NULL);
    r->keeper_started = r->watch_started = false;
    return all;
}

void jobs_free(struct service *svc)
{
    struct job_runner *r = svc->jobs;
    if (r == NULL)
        return;
    job_workers_free(r->workers);
    pthread_cond_destroy(&r->watch_wake);
    pthread_cond_destroy(&r->wake);
    pthread_mutex_destroy(&r->lock);
    free(r);
    svc->jobs = NULL;
}

/* --- use cases */

static void list_kinds(const struct job_runner *r, char *out, size_t cap)
{
    size_t at = 0;
    out[0] = '\0';
    for (size_t i = 0; i < r->n_kinds && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s%s", i == 0 ? "" : ", ", r->kinds[i]->name);
}

static enum meros_code check(struct service *svc, struct str kind, const struct json *params, const struct job_kind **out,
                             struct meros_err *err)
{
    char known[ERR_FIELD_DETAIL_MAX - 40];
    *out = job_kind_find(svc->jobs, kind);
    if (*out != NULL)
        return (*out)->check_params(svc, params, err);
    list_kinds(svc->jobs, known, sizeof known);
    err_set(err, MEROS_INVALID, "There is no such kind of job. Known kinds: %s.", known[0] != '\0' ? known : "none");
    return err_field(err, "/kind", "is not a kind of job; there are: %s", known[0] != '\0' ? known : "none");
}

static void copy_id(void *arg, const struct job *job)
{
    char *out = arg;
    if (!str_copy(out, JOB_ID_CAP, job->id))
        out[0] = '\0';
}

static enum meros_code insert(struct service *svc, const struct job_kind *kind, struct str params, const char *by, const char *once,
                              char out_id[JOB_ID_CAP], struct meros_err *err)
{
    struct store_conn *c = NULL;
    unsigned char random[12];
    char id[JOB_ID_CAP] = JOB_ID_PREFIX;
    bool made = false;
    crypto_random(random, sizeof random);
    hex_encode(random, sizeof random, id + strlen(JOB_ID_PREFIX));
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_job_insert(c, id, str_of(kind->name), params, kind->max_attempts > 0 ? kind->max_attempts : 3, by, str_of(once),
                              &made, err);
    if (rc == MEROS_OK && !made)
        rc = store_job_by_once(c, str_of(once), copy_id, id, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK)
        memcpy(out_id, id, JOB_ID_CAP);
    return rc;
}

enum meros_code jobs_create(struct service *svc, struct str kind, const struct json *params, const char *by, const char *once,
                            char out_id[JOB_ID_CAP], struct meros_err *err)
{
    const struct job_kind *k = NULL;
    struct json *none = NULL;
    struct buf text;
    buf_init(&text, PARAMS_MAX);
    enum meros_code rc = params != NULL ? MEROS_OK : json_parse("{}", 2, &none, err);
    const struct json *given = params != NULL ? params : none;
    if (rc == MEROS_OK)
        rc = check(svc, kind, given, &k, err);
    if (rc == MEROS_OK) {
        struct jsonw w;
        jsonw_init(&w, &text);
        jsonw_value(&w, given);
        if (text.failed)
            rc = err_set(err, MEROS_TOO_LARGE, "The params of a job may have at most %d bytes.", PARAMS_MAX);
    }
    if (rc == MEROS_OK)
        rc = insert(svc, k, (struct str){text.data, text.len}, by, once, out_id, err);
    buf_done(&text);
    json_free(none);
    return rc;
}

enum meros_code jobs_get(struct service *svc, struct str id, job_seen_fn fn, void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_job_get(c, id, fn, arg, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code jobs_list(struct service *svc, int state, struct str kind, int64_t before, int64_t limit, job_seen_fn fn,
                          void *arg, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_job_list(c, state, kind, before, limit, fn, arg, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code jobs_cancel(struct service *svc, struct str id, enum job_state *out_state, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_job_cancel(c, id, out_state, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code jobs_count(struct service *svc, int64_t out[JOB_STATE_COUNT], struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_jobs_count(c, out, err);
    store_release(svc->store, c);
    return rc;
}

void job_write(struct jsonw *w, const struct job *job)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", job->id);
    jsonw_kstr(w, "kind", job->kind);
    jsonw_kraw(w, "params", job->params);
    jsonw_kcstr(w, "state", job_state_name(job->state));
    jsonw_knum(w, "progress", job->progress);
    jsonw_kstr(w, "stage", job->stage.n > 0 ? job->stage : STR_NONE);
    jsonw_knum(w, "eta_seconds", job->state == JOB_RUNNING ? round(job->eta_seconds * 10) / 10 : NAN);
    jsonw_kint(w, "attempts", job->attempts);
    jsonw_kbool(w, "cancel_requested", job->cancel_requested);
    jsonw_ktime(w, "created_at", job->created_at);
    jsonw_ktime(w, "started_at", job->started_at);
    jsonw_ktime(w, "finished_at", job->finished_at);
    jsonw_kraw(w, "result", job->result);
    jsonw_kraw(w, "error", job->error);
    jsonw_end_object(w);
}
