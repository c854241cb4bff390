/* The durable queue at rest. Every change of state is announced on the channel "meros_jobs" with the job's id.
 *
 * A lease is (job_id, token): the token counts the job's starts. Writes of a running job name both, and tell by *out_held
 * whether the lease still stood; when it did not, nothing was written. Times of leases are the database's own. */
#ifndef MEROS_STORE_JOBS_H
#define MEROS_STORE_JOBS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/job.h"
#include "meros/store/store.h"

#define STORE_JOBS_CHANNEL "meros_jobs"

typedef void (*store_job_fn)(void *arg, const struct job *job); /* views live during the call */

struct store_lease {
    char job_id[JOB_ID_CAP];
    int64_t token;
};

/* *out_made false: a job with this `once` is there already (out untouched); once STR_NONE: always made. */
enum meros_code store_job_insert(struct store_conn *c, const char *id, struct str kind, struct str params, int max_attempts,
                                 const char *by, struct str once, bool *out_made, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_job_by_once(struct store_conn *c, struct str once, store_job_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_job_get(struct store_conn *c, struct str id, store_job_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_job_get_many(struct store_conn *c, const struct str *ids, size_t n, store_job_fn fn, void *arg,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first; before 0: from the newest; state < 0, kind STR_NONE: any. */
enum meros_code store_job_list(struct store_conn *c, int state, struct str kind, int64_t before, int64_t limit, store_job_fn fn,
                               void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* The state after: cancelled if it was queued, running if it was asked to stop. NOT_FOUND; CONFLICT if it has ended. */
enum meros_code store_job_cancel(struct store_conn *c, struct str id, enum job_state *out_state, struct meros_err *err) MEROS_MUSTCHECK;

/* Takes the oldest job of these kinds that is due or whose lease has run out; no other claimer can take it too. fn is
 * called with it, and *out is its lease; *out_claimed false: there is none. */
enum meros_code store_job_claim(struct store_conn *c, const struct str *kinds, size_t n_kinds, const char *worker, double lease_seconds,
                                bool *out_claimed, struct store_lease *out, store_job_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Renews the lease and writes progress (never back). eta NaN: not known. stage NULL: as it was. */
enum meros_code store_job_beat(struct store_conn *c, const struct store_lease *l, double lease_seconds, double progress, const char *stage,
                               double eta, bool *out_held, bool *out_cancel, struct meros_err *err) MEROS_MUSTCHECK;
/* Locks the job's row until the transaction ends. */
enum meros_code store_job_fence(struct store_conn *c, const struct store_lease *l, bool *out_held, struct meros_err *err) MEROS_MUSTCHECK;
/* state: one that has ended. result, error: JSON or STR_NONE. */
enum meros_code store_job_finish(struct store_conn *c, const struct store_lease *l, enum job_state state, struct str result,
                                 struct str error, bool *out_held, struct meros_err *err) MEROS_MUSTCHECK;
/* Back into the queue, due in `delay_seconds`. counted false: as if this attempt had not been. */
enum meros_code store_job_requeue(struct store_conn *c, const struct store_lease *l, double delay_seconds, bool counted, bool *out_held,
                                  struct meros_err *err) MEROS_MUSTCHECK;
/* Ends what lost its lease and will not be tried again: cancelled if that was asked, else failed with `error`. */
enum meros_code store_jobs_expire(struct store_conn *c, struct str error, int64_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
/* Ends every lease: for whoever knows that nobody runs anything. */
enum meros_code store_jobs_orphan(struct store_conn *c, int64_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
/* Forgets jobs that ended more than `days` ago, and frees `once` of those made more than a day ago. */
enum meros_code store_jobs_prune(struct store_conn *c, int days, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_jobs_count(struct store_conn *c, int64_t out[JOB_STATE_COUNT], struct meros_err *err) MEROS_MUSTCHECK;

#endif
