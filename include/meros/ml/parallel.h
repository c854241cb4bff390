/* Work over several threads whose result does not depend on how many there are.
 *
 * The caller cuts its problem into parts by the *problem* (so many rows a part), gives every part a place of
 * its own for its result, and adds the places up in order afterwards. Which thread runs which part is then of
 * no consequence: 1, 2 or 7 threads give the same bits. Waiting is passive (a condition variable), for the
 * service shares the cores.
 *
 * A pool belongs to whoever made it (a training job makes one with its niceness); one parallel_for runs on it
 * at a time, further callers wait. Parts must not call parallel_for on the same pool. */
#ifndef MEROS_ML_PARALLEL_H
#define MEROS_ML_PARALLEL_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"

struct ml_pool;

/* threads >= 1 counts the caller of parallel_for, who works too: threads - 1 are started, with `nice` (0:
 * they inherit the creator's). threads <= 0: as many as CPUs. */
enum meros_code ml_pool_new(struct ml_pool **out, int threads, int nice,
                            struct meros_err *err) MEROS_MUSTCHECK;
void ml_pool_free(struct ml_pool *pool);
int ml_pool_threads(const struct ml_pool *pool); /* 1 for NULL; scratch "a thread" is allocated with this */

/* Calls fn(arg, part, worker) for every part in 0 .. parts-1, each once, and returns when all are done.
 * `worker` is 0 .. ml_pool_threads(pool)-1 and names the thread, for scratch. pool NULL: runs inline, in
 * order. */
void parallel_for(struct ml_pool *pool, size_t parts, void (*fn)(void *arg, size_t part, int worker),
                  void *arg);

/* What a long computation is run with. NULL instead of a struct ml_run: inline, not cancellable, no limit. */
struct ml_run {
    struct ml_pool *pool; /* NULL: inline */
    /* Asked once an outer iteration, with the work done over the work known (0..1, never falling) and what is
     * being done; false stops the computation, which then returns MEROS_CANCELLED. NULL: never. Called by the
     * thread that called the fit. */
    bool (*keep_going)(void *arg, double fraction, const char *stage);
    void *arg;
    /* Bytes it may allocate; 0: no limit. Past it, MEROS_OUT_OF_MEMORY before any work. */
    size_t memory_budget;
};

static inline struct ml_pool *ml_run_pool(const struct ml_run *run)
{
    return run == NULL ? NULL : run->pool;
}
/* MEROS_OK, or MEROS_CANCELLED with a sentence. */
enum meros_code ml_run_check(const struct ml_run *run, double fraction, const char *stage,
                             struct meros_err *err) MEROS_MUSTCHECK;

#endif
