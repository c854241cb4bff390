/* Threads that run long work: (fn, arg) on a fixed number of workers at lower priority, apart from everything that
 * answers requests. Nothing waits in line here: a task is taken only when a worker is free, because the line is the
 * durable queue elsewhere. Knows neither SQL nor models. All functions are thread-safe.
 *
 * Cancelling is by asking: a task is handed its `struct job_stop`, looks at it between steps (job_stop_asked) and
 * returns when asked. The first reason given stays. */
#ifndef MEROS_JOBS_WORKERS_H
#define MEROS_JOBS_WORKERS_H

#include <stdbool.h>
#include "meros/base/err.h"

enum job_stop_reason {
    JOB_GO_ON = 0,
    JOB_STOP_CANCELLED, /* somebody no longer wants it */
    JOB_STOP_HAND_BACK, /* this process is ending; another will run it */
    JOB_STOP_LOST       /* it is somebody else's by now: stop and write nothing */
};
struct job_stop {
    _Atomic int reason; /* enum job_stop_reason */
};
/* False if a reason had been given before. */
bool job_stop_ask(struct job_stop *s, enum job_stop_reason reason);
enum job_stop_reason job_stop_asked(const struct job_stop *s);

struct job_workers;
typedef void (*job_fn)(void *arg);

/* `done` (may be NULL) is called by the worker, without a lock held, each time it becomes free. */
enum meros_code job_workers_start(int workers, int nice, void (*done)(void *arg), void *arg, struct job_workers **out,
                                  struct meros_err *err) MEROS_MUSTCHECK;
int job_workers_free_now(struct job_workers *w); /* how many could take a task */
bool job_workers_run(struct job_workers *w, job_fn fn, void *arg); /* false: none is free, or stopping */
/* Refuses new tasks and waits for the running ones, at most deadline_ms; false if some still run. */
bool job_workers_stop(struct job_workers *w, int deadline_ms);
/* After a stop that returned true: joins and frees. NULL is fine. */
void job_workers_free(struct job_workers *w);

#endif
