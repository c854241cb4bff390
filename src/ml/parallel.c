#include "meros/ml/parallel.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/thread.h"

/* One job at a time: parallel_for publishes it under `lock`; helpers that wake while it is open join it and
 * take parts off `next` until none is left. The caller works too, closes the job when no part is left and
 * waits only for helpers that joined: one that the system had no core for does not hold the others up, and
 * finds the job closed when it wakes. */
struct ml_pool {
    /* Immutable once made */
    int threads; /* helpers + the caller */
    pthread_t *helper;
    int n_helpers;

    pthread_mutex_t busy; /* held by the caller of parallel_for: one job at a time */

    pthread_mutex_t lock; /* guards all below except next */
    pthread_cond_t work, done;
    unsigned long round; /* counts jobs */
    bool open;           /* parts of this one may be left */
    int active;          /* helpers that joined it and have not left */
    int started;         /* for giving helpers their numbers */
    bool stop;
    void (*fn)(void *arg, size_t part, int worker);
    void *arg;
    size_t parts;
    atomic_size_t next;
};

static void take_parts(struct ml_pool *p, void (*fn)(void *, size_t, int), void *arg, size_t parts,
                       int worker)
{
    for (;;) {
        size_t part = atomic_fetch_add_explicit(&p->next, 1, memory_order_relaxed);
        if (part >= parts) return;
        fn(arg, part, worker);
    }
}

static void *helper_main(void *arg)
{
    struct ml_pool *p = arg;
    pthread_mutex_lock(&p->lock);
    int worker = ++p->started;
    unsigned long seen = 0;
    for (;;) {
        while (!(p->open && p->round != seen) && !p->stop) pthread_cond_wait(&p->work, &p->lock);
        if (p->stop) break;
        seen = p->round;
        p->active++;
        void (*fn)(void *, size_t, int) = p->fn;
        void *fn_arg = p->arg;
        size_t parts = p->parts;
        pthread_mutex_unlock(&p->lock);
        take_parts(p, fn, fn_arg, parts, worker);
        pthread_mutex_lock(&p->lock);
        if (--p->active == 0) pthread_cond_signal(&p->done);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

enum meros_code ml_pool_new(struct ml_pool **out, int threads, int nice, struct meros_err *err)
{
    if (threads <= 0) threads = thread_cpus();
    struct ml_pool *p = calloc(1, sizeof *p);
    if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for a pool of %d threads", threads);
    p->threads = threads;
    pthread_mutex_init(&p->busy, NULL);
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->work, NULL);
    pthread_cond_init(&p->done, NULL);
    p->helper = calloc((size_t)threads, sizeof *p->helper);
    if (p->helper == NULL) {
        ml_pool_free(p);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for a pool of %d threads", threads);
    }
    for (int i = 1; i < threads; i++) {
        char name[16];
        snprintf(name, sizeof name, "ml-%d", i);
        enum meros_code code = thread_start(&p->helper[p->n_helpers], name, nice, helper_main, p, err);
        if (code != MEROS_OK) {
            ml_pool_free(p);
            return code;
        }
        p->n_helpers++;
    }
    *out = p;
    return MEROS_OK;
}

void ml_pool_free(struct ml_pool *p)
{
    if (p == NULL) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < p->n_helpers; i++) pthread_join(p->helper[i], NULL);
    pthread_cond_destroy(&p->done);
    pthread_cond_destroy(&p->work);
    pthread_mutex_destroy(&p->lock);
    pthread_mutex_destroy(&p->busy);
    free(p->helper);
    free(p);
}

int ml_pool_threads(const struct ml_pool *p)
{
    return p == NULL ? 1 : p->threads;
}

void parallel_for(struct ml_pool *p, size_t parts, void (*fn)(void *arg, size_t part, int worker), void *arg)
{
    if (p == NULL || p->n_helpers == 0 || parts < 2) {
        for (size_t i = 0; i < parts; i++) fn(arg, i, 0);
        return;
    }
    pthread_mutex_lock(&p->busy);
    pthread_mutex_lock(&p->lock);
    p->fn = fn;
    p->arg = arg;
    p->parts = parts;
    p->open = true;
    p->round++;
    atomic_store_explicit(&p->next, 0, memory_order_relaxed); /* nobody reads it between jobs */
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);

    take_parts(p, fn, arg, parts, 0);

    pthread_mutex_lock(&p->lock);
    p->open = false;
    while (p->active > 0) pthread_cond_wait(&p->done, &p->lock);
    pthread_mutex_unlock(&p->lock);
    pthread_mutex_unlock(&p->busy);
}

enum meros_code ml_run_check(const struct ml_run *run, double fraction, const char *stage,
                             struct meros_err *err)
{
    if (run == NULL || run->keep_going == NULL || run->keep_going(run->arg, fraction, stage)) return MEROS_OK;
    return err_set(err, MEROS_CANCELLED, "cancelled at %.0f %% (%s)", fraction * 100, stage);
}
