#include "meros/jobs/workers.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/thread.h"

struct job_workers {
    /* immutable */
    int n;
    void (*done)(void *arg);
    void *done_arg;
    pthread_t *threads;
    int started;

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t work;  /* a task is waiting to be picked up, or stopping */
    pthread_cond_t idle;  /* a worker became free */
    bool stopping;
    int busy; /* running a task, or promised one that is waiting */
    job_fn fn; /* handed over, not yet picked up; NULL: none */
    void *arg;
};

bool job_stop_ask(struct job_stop *s, enum job_stop_reason reason)
{
    int none = JOB_GO_ON;
    return atomic_compare_exchange_strong(&s->reason, &none, (int)reason);
}

enum job_stop_reason job_stop_asked(const struct job_stop *s)
{
    return (enum job_stop_reason)s->reason;
}

static void *worker_main(void *arg)
{
    struct job_workers *w = arg;
    pthread_mutex_lock(&w->lock);
    for (;;) {
        while (w->fn == NULL && !w->stopping)
            pthread_cond_wait(&w->work, &w->lock);
        if (w->fn == NULL)
            break;
        job_fn fn = w->fn;
        void *fn_arg = w->arg;
        w->fn = NULL;
        pthread_cond_broadcast(&w->idle);
        pthread_mutex_unlock(&w->lock);
        fn(fn_arg);
        pthread_mutex_lock(&w->lock);
        w->busy--;
        pthread_cond_broadcast(&w->idle);
        pthread_mutex_unlock(&w->lock);
        if (w->done != NULL)
            w->done(w->done_arg);
        pthread_mutex_lock(&w->lock);
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

enum meros_code job_workers_start(int workers, int nice, void (*done)(void *arg), void *arg, struct job_workers **out,
                                  struct meros_err *err)
{
    struct job_workers *w = calloc(1, sizeof *w);
    if (w == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for job workers.");
    w->n = workers;
    w->done = done;
    w->done_arg = arg;
    pthread_condattr_t monotonic;
    pthread_mutex_init(&w->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&w->work, &monotonic);
    pthread_cond_init(&w->idle, &monotonic);
    pthread_condattr_destroy(&monotonic);
    enum meros_code rc = MEROS_OK;
    w->threads = calloc(workers > 0 ? (size_t)workers : 1, sizeof *w->threads);
    if (w->threads == NULL)
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for job workers.");
    while (rc == MEROS_OK && w->started < workers) {
        rc = thread_start(&w->threads[w->started], "job", nice, worker_main, w, err);
        if (rc == MEROS_OK)
            w->started++;
    }
    if (rc != MEROS_OK) {
        job_workers_stop(w, 0);
        job_workers_free(w);
        return rc;
    }
    *out = w;
    return MEROS_OK;
}

int job_workers_free_now(struct job_workers *w)
{
    pthread_mutex_lock(&w->lock);
    int n = w->stopping ? 0 : w->n - w->busy;
    pthread_mutex_unlock(&w->lock);
    return n;
}

bool job_workers_run(struct job_workers *w, job_fn fn, void *arg)
{
    bool taken = false;
    pthread_mutex_lock(&w->lock);
    if (!w->stopping && w->busy < w->n) {
        w->busy++; /* from now on one worker is promised to it */
        while (w->fn != NULL)
            pthread_cond_wait(&w->idle, &w->lock); /* another task is on its way into a free worker's hands */
        w->fn = fn;
        w->arg = arg;
        taken = true;
        pthread_cond_signal(&w->work);
    }
    pthread_mutex_unlock(&w->lock);
    return taken;
}

bool job_workers_stop(struct job_workers *w, int deadline_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += deadline_ms / 1000;
    until.tv_nsec += (long)(deadline_ms % 1000) * 1000000;
    if (until.tv_nsec >= 1000000000) {
        until.tv_sec++;
        until.tv_nsec -= 1000000000;
    }
    pthread_mutex_lock(&w->lock);
    w->stopping = true;
    pthread_cond_broadcast(&w->work);
    while (w->busy > 0 && pthread_cond_timedwait(&w->idle, &w->lock, &until) != ETIMEDOUT)
        ;
    bool all = w->busy == 0;
    pthread_mutex_unlock(&w->lock);
    return all;
}

void job_workers_free(struct job_workers *w)
{
    if (w == NULL)
        return;
    for (int i = 0; i < w->started; i++)
        pthread_join(w->threads[i], NULL);
    pthread_cond_destroy(&w->idle);
    pthread_cond_destroy(&w->work);
    pthread_mutex_destroy(&w->lock);
    free(w->threads);
    free(w);
}
