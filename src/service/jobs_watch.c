/* Following jobs: one thread for all who watch. While anybody watches it looks at all watched jobs in one query, when
 * NOTIFY says that something changed and otherwise twice a second. */
#include "jobs_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/thread.h"

enum { LOOK_MS = 500, ID_BATCH = 256 };

struct job_watcher {
    char id[JOB_ID_CAP];
    job_watch_fn fn;
    void *arg;
    bool over;  /* the watcher thread's own: no call any more */
    bool shown; /* in this round */
    bool any;   /* something was shown before: what follows tells what */
    enum job_state state;
    double progress;
    char stage[JOB_STAGE_CAP];
    struct job_watcher *next;
};

void job_watch_poke(struct job_runner *r)
{
    pthread_mutex_lock(&r->lock);
    r->watch_poked = true;
    pthread_cond_signal(&r->watch_wake);
    pthread_mutex_unlock(&r->lock);
}

static void end_watcher(struct job_watcher *w, const struct job *job)
{
    w->over = true;
    w->fn(w->arg, job, true);
}

static void show(struct job_watcher *w, const struct job *job)
{
    w->shown = true;
    if (job_ended(job->state)) {
        end_watcher(w, job);
        return;
    }
    char stage[JOB_STAGE_CAP];
    if (!str_copy(stage, sizeof stage, job->stage))
        stage[0] = '\0';
    bool same = w->any && w->state == job->state && w->progress == job->progress && strcmp(w->stage, stage) == 0;
    w->any = true;
    w->state = job->state;
    w->progress = job->progress;
    memcpy(w->stage, stage, sizeof stage);
    if (!w->fn(w->arg, same ? NULL : job, false))
        end_watcher(w, NULL);
}

static void show_all(void *arg, const struct job *job)
{
    for (struct job_watcher *w = arg; w != NULL; w = w->next) {
        if (!w->over && str_is(job->id, w->id))
            show(w, job);
    }
}

/* One round over the list as it is now; new watchers are put before its head meanwhile, and wait for the next. */
static void look(struct job_runner *r, struct job_watcher *all)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    for (struct job_watcher *w = all; w != NULL; w = w->next)
        w->shown = false;
    enum meros_code rc = store_available(r->svc->store) ? store_acquire(r->svc->store, &c, &err) : MEROS_UNAVAILABLE;
    for (struct job_watcher *w = all; w != NULL && rc == MEROS_OK;) {
        struct str ids[ID_BATCH];
        size_t n = 0;
        for (; w != NULL && n < ID_BATCH; w = w->next)
            ids[n++] = str_of(w->id);
        rc = store_job_get_many(c, ids, n, show_all, all, &err);
    }
    store_release(r->svc->store, c);
    for (struct job_watcher *w = all; w != NULL; w = w->next) {
        if (w->over || w->shown)
            continue;
        if (rc == MEROS_OK || !w->fn(w->arg, NULL, false)) /* the job is gone from the table, or nobody listens */
            end_watcher(w, NULL);
    }
}

static void drop_over(struct job_runner *r)
{
    pthread_mutex_lock(&r->lock);
    for (struct job_watcher **at = &r->watchers; *at != NULL;) {
        struct job_watcher *w = *at;
        if (!w->over) {
            at = &w->next;
            continue;
        }
        *at = w->next;
        free(w);
    }
    pthread_mutex_unlock(&r->lock);
}

static void *watch_main(void *arg)
{
    struct job_runner *r = arg;
    pthread_mutex_lock(&r->lock);
    while (!r->stop) {
        if (r->watchers == NULL) {
            r->watch_poked = false;
            pthread_cond_wait(&r->watch_wake, &r->lock);
            continue;
        }
        struct job_watcher *all = r->watchers;
        pthread_mutex_unlock(&r->lock);
        look(r, all);
        drop_over(r);
        int64_t until_ns = clock_mono_ns() + (int64_t)LOOK_MS * 1000000;
        struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
        pthread_mutex_lock(&r->lock);
        while (!r->watch_poked && !r->stop && pthread_cond_timedwait(&r->watch_wake, &r->lock, &until) == 0)
            ;
        r->watch_poked = false;
    }
    struct job_watcher *all = r->watchers;
    pthread_mutex_unlock(&r->lock);
    for (struct job_watcher *w = all; w != NULL; w = w->next)
        end_watcher(w, NULL);
    drop_over(r);
    return NULL;
}

enum meros_code jobs_watch(struct service *svc, struct str id, job_watch_fn fn, void *arg, struct meros_err *err)
{
    struct job_runner *r = svc->jobs;
    struct job_watcher *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory to follow a job.");
    w->fn = fn;
    w->arg = arg;
    if (!str_copy(w->id, sizeof w->id, id)) {
        free(w);
        return err_set(err, MEROS_NOT_FOUND, "There is no job with this id.");
    }
    pthread_mutex_lock(&r->lock);
    bool stop = r->stop;
    if (!stop) {
        w->next = r->watchers;
        r->watchers = w;
        r->watch_poked = true;
        pthread_cond_signal(&r->watch_wake);
    }
    pthread_mutex_unlock(&r->lock);
    if (!stop)
        return MEROS_OK;
    free(w);
    return err_set(err, MEROS_UNAVAILABLE, "The service is stopping.");
}

enum meros_code job_watch_start(struct job_runner *r, struct meros_err *err)
{
    enum meros_code rc = thread_start(&r->watch_thread, "jobs-watch", 0, watch_main, r, err);
    r->watch_started = rc == MEROS_OK;
    return rc;
}
