#include "http_priv.h"

#include <stdlib.h>
#include "meros/base/thread.h"

static _Thread_local bool is_worker;

bool pool_is_worker(void)
{
    return is_worker;
}

static void *worker(void *arg)
{
    struct pool *p = arg;
    is_worker = true;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        struct http_request *r = p->first;
        if (r == NULL) {
            if (p->stop) break;
            p->idle++;
            pthread_cond_wait(&p->wake, &p->lock);
            p->idle--;
            continue;
        }
        p->first = r->next;
        if (p->first == NULL) p->last = &p->first;
        p->queued--;
        atomic_store_explicit(&p->depth, p->queued, memory_order_relaxed);
        atomic_fetch_sub_explicit(&io_queue_depth, 1, memory_order_relaxed);
        pthread_mutex_unlock(&p->lock);
        request_run(r);
        pthread_mutex_lock(&p->lock);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static enum meros_code grow_locked(struct pool *p, struct meros_err *err)
{
    enum meros_code rc = thread_start(&p->threads[p->started], p->name, 0, worker, p, err);
    if (rc == MEROS_OK) p->started++;
    return rc;
}

enum meros_code pool_start(struct pool *p, struct http_server *s, const char *name, size_t max, bool eager,
                           struct meros_err *err)
{
    *p = (struct pool){.server = s, .name = name, .max = max};
    pthread_mutex_init(&p->lock, NULL);
    pthread_cond_init(&p->wake, NULL);
    p->last = &p->first;
    p->threads = calloc(max, sizeof *p->threads);
    if (p->threads == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu threads", max);
    enum meros_code rc = MEROS_OK;
    pthread_mutex_lock(&p->lock);
    while (eager && rc == MEROS_OK && p->started < max) rc = grow_locked(p, err);
    pthread_mutex_unlock(&p->lock);
    return rc;
}

void pool_stop(struct pool *p)
{
    if (p->threads == NULL) return;
    pthread_mutex_lock(&p->lock);
    p->stop = true;
    pthread_cond_broadcast(&p->wake);
    size_t n = p->started;
    pthread_mutex_unlock(&p->lock);
    for (size_t i = 0; i < n; i++) pthread_join(p->threads[i], NULL);
    free(p->threads);
    p->threads = NULL;
    pthread_cond_destroy(&p->wake);
    pthread_mutex_destroy(&p->lock);
}

bool pool_submit(struct pool *p, struct http_request *r, enum task task)
{
    request_ref(r);
    r->task = task;
    r->next = NULL;
    pthread_mutex_lock(&p->lock);
    /* Started threads that are busy will come back to the queue; another one only while there may be more. */
    if (p->idle <= p->queued && p->started < p->max && grow_locked(p, NULL) != MEROS_OK && p->started == 0) {
        pthread_mutex_unlock(&p->lock);
        request_release(r);
        return false;
    }
    *p->last = r;
    p->last = &r->next;
    p->queued++;
    atomic_store_explicit(&p->depth, p->queued, memory_order_relaxed);
    atomic_fetch_add_explicit(&io_queue_depth, 1, memory_order_relaxed);
    bool wake = p->idle > 0;
    pthread_mutex_unlock(&p->lock);
    if (wake) pthread_cond_signal(&p->wake); /* after unlocking: who wakes up wants the lock */
    return true;
}
