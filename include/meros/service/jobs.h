/* The durable queue of long work, and the registry of what can be queued.
 *
 * A kind is a name, a check of its parameters, and what runs. Kinds are listed in src/service/kinds.c; to add one, define
 * a `const struct job_kind` in your file and put it there. run() is called on a worker thread of low priority:
 *
 *   static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
 *   {
 *       // steps; every second at least, and per iteration of anything long:
 *       if (!job_step(ctx, 0.3, "clustering")) return job_stopped(ctx, err);
 *       // the effect and the end of the job, in one transaction:
 *       jsonw_...(ctx->result, …)                       // the job's `result`, a JSON object
 *       store_begin(c, err); …write…; job_finish_in(ctx, c, err); store_commit(c, err);
 *       return MEROS_OK;
 *   }
 *
 * Leases: the replica that runs a job renews its lease every second; one that dies loses it within LEASE seconds, and
 * another replica starts the job again from its beginning (attempt 2). A worker that lost its lease cannot write: every
 * final write carries the lease's token, and job_finish_in / job_fence fail with CANCELLED once the token is stale. So
 * a run() must write what others can see only in one transaction with job_finish_in (best), or after job_fence in the
 * same transaction, keyed by the job's id so that doing it again replaces it.
 *
 * What run() returns: OK: succeeded (finished by job_finish_in, or with ctx->result after run() returns). UNAVAILABLE and
 * TIMEOUT: tried again with backoff, up to max_attempts. CANCELLED after job_step() said stop: cancelled, or handed back
 * to the queue (draining), or dropped (lease lost). Anything else: failed, with the error as the job's problem.
 *
 * Threads: one keeper (claims, heartbeats, wakes, prunes), N workers, one watcher for all who follow a job. */
#ifndef MEROS_SERVICE_JOBS_H
#define MEROS_SERVICE_JOBS_H

#include "meros/base/buf.h"
#include "meros/codec/json.h"
#include "meros/domain/job.h"
#include "meros/service/service.h"

struct store_conn;

struct job_ctx {
    struct service *svc;
    char id[JOB_ID_CAP];
    const struct json *params; /* as checked by check_params; an object, possibly empty */
    int64_t started_at;        /* of this attempt */
    int attempt;               /* 1 the first time */
    struct jsonw *result;      /* begun by run(): one JSON value, at most 1 MiB */
    struct job_run *run;       /* private to jobs.c */
};

/* Reports progress (0..1, never goes back) and asks whether to go on; false: return job_stopped() soon. Cheap: call it
 * often, from any thread that works for the job. The signature is that of ml's keep_going. stage must be a literal. */
bool job_step(void *job_ctx, double fraction, const char *stage);
/* Names the connection on which the job's statements run: when the job is told to stop, the statement that runs on it is
 * cancelled and fails with CANCELLED, however long it would have taken. NULL before the connection is given back. */
void job_uses(struct job_ctx *ctx, struct store_conn *c);
/* CANCELLED, with the reason in words. */
enum meros_code job_stopped(struct job_ctx *ctx, struct meros_err *err);
/* Inside the caller's transaction: CANCELLED if the job is no longer ours. Holds the job's row until the transaction ends. */
enum meros_code job_fence(struct job_ctx *ctx, struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Inside the caller's transaction: marks the job succeeded with ctx->result, fenced. The caller commits, then returns OK. */
enum meros_code job_finish_in(struct job_ctx *ctx, struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

struct job_kind {
    const char *name; /* "train.segments" */
    const char *help; /* one line */
    /* Strict: unknown members are faults. Pointers start at "/params". May be asked on an HTTP worker and again before
     * run(). Must not block for long. */
    enum meros_code (*check_params)(struct service *svc, const struct json *params, struct meros_err *err);
    enum meros_code (*run)(struct job_ctx *ctx, struct meros_err *err);
    int max_attempts; /* 0: 3 */
};
extern const struct job_kind *const job_kinds[]; /* ended by NULL; src/service/kinds.c */

/* Fills svc->jobs. Workers, niceness and retention come from svc->settings. kinds must outlive the runner. With 0 workers
 * only queueing and watching work (a replica that never trains). */
enum meros_code jobs_start(struct service *svc, const struct job_kind *const *kinds, struct meros_err *err) MEROS_MUSTCHECK;
/* Hands running jobs back to the queue and stops the threads. False if a job would not stop within deadline_ms: its lease
 * has been given back all the same, but its thread still runs, so the process must exit without freeing what it uses. */
bool jobs_stop(struct service *svc, int deadline_ms);
void jobs_free(struct service *svc); /* after a jobs_stop that returned true */

/* Queues a job. `params` may be NULL for {}. `once` (may be NULL) makes creation idempotent: a second call with the same
 * `once` within a day gives the first job. INVALID with pointers for an unknown kind or wrong params.
 * *out_id is filled. `by` is the public id of the key that asked, or "". */
enum meros_code jobs_create(struct service *svc, struct str kind, const struct json *params, const char *by, const char *once,
                            char out_id[JOB_ID_CAP], struct meros_err *err) MEROS_MUSTCHECK;
/* Calls fn with the job, whose views live during the call. NOT_FOUND otherwise. */
typedef void (*job_seen_fn)(void *arg, const struct job *job);
enum meros_code jobs_get(struct service *svc, struct str id, job_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, older than job_no `before` (0: from the newest). state < 0 and kind absent: any. */
enum meros_code jobs_list(struct service *svc, int state, struct str kind, int64_t before, int64_t limit, job_seen_fn fn,
                          void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* A queued job is cancelled at once; a running one is asked to stop. CONFLICT if it has ended. *out_state: after. */
enum meros_code jobs_cancel(struct service *svc, struct str id, enum job_state *out_state, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code jobs_count(struct service *svc, int64_t out[JOB_STATE_COUNT], struct meros_err *err) MEROS_MUSTCHECK;

/* Following a job without a thread of one's own: the watcher thread calls fn with the job at first and whenever it
 * changed, and about twice a second with NULL (a chance to see whether anybody still listens), until fn returns false or
 * the job has ended. The last call, always made exactly once, has ended = true and NULL or the ended job: fn must let go
 * of `arg` then. fn must not block. On failure fn is never called. */
typedef bool (*job_watch_fn)(void *arg, const struct job *job, bool ended);
enum meros_code jobs_watch(struct service *svc, struct str id, job_watch_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* A job as the contract shows it, one JSON object. */
void job_write(struct jsonw *w, const struct job *job);

#endif
