/* Under ThreadSanitizer: workers that are fed, asked to stop and stopped while they work. */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include "meros/base/thread.h"
#include "meros/jobs/workers.h"

enum { WORKERS = 3, FEEDERS = 2, TASKS = 3000 };

static struct job_workers *workers;
static _Atomic int ran, freed;

struct task {
    struct job_stop stop;
    int *plain; /* written by the worker, read by the feeder after the task: the order must be given by the runner */
    _Atomic bool done;
};

static void run(void *arg)
{
    struct task *t = arg;
    (*t->plain)++;
    (void)job_stop_asked(&t->stop);
    ran++;
    t->done = true;
}

static void on_free(void *arg)
{
    (void)arg;
    freed++;
}

static void *feed(void *arg)
{
    (void)arg;
    for (int i = 0; i < TASKS; i++) {
        int plain = 0;
        struct task t = {.plain = &plain};
        while (!job_workers_run(workers, run, &t))
            (void)job_workers_free_now(workers);
        job_stop_ask(&t.stop, JOB_STOP_CANCELLED);
        while (!t.done)
            ;
        if (plain != 1) {
            fprintf(stderr, "a task ran %d times\n", plain);
            exit(1);
        }
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t threads[FEEDERS];
    if (job_workers_start(WORKERS, 0, on_free, NULL, &workers, &err) != MEROS_OK)
        return 1;
    for (int i = 0; i < FEEDERS; i++) {
        if (thread_start(&threads[i], "feeder", 0, feed, NULL, &err) != MEROS_OK)
            return 1;
    }
    for (int i = 0; i < FEEDERS; i++)
        pthread_join(threads[i], NULL);
    bool stopped = job_workers_stop(workers, 5000);
    job_workers_free(workers);
    if (!stopped || ran != FEEDERS * TASKS || freed != ran) {
        fprintf(stderr, "stopped %d, ran %d, freed %d\n", stopped, ran, freed);
        return 1;
    }
    return 0;
}
