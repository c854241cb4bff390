/* Jobs: long work that somebody asked for, kept in a durable queue until it has ended. */
#ifndef MEROS_DOMAIN_JOB_H
#define MEROS_DOMAIN_JOB_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/str.h"

/* queued -> running -> succeeded | failed | cancelled; running -> queued again when it is retried or handed back. */
enum job_state { JOB_QUEUED, JOB_RUNNING, JOB_SUCCEEDED, JOB_FAILED, JOB_CANCELLED, JOB_STATE_COUNT };

extern const char *const job_state_words[JOB_STATE_COUNT + 1]; /* ended by NULL */
const char *job_state_name(enum job_state s);
bool job_state_of(struct str name, enum job_state *out);
static inline bool job_ended(enum job_state s)
{
    return s >= JOB_SUCCEEDED;
}

enum { JOB_ID_CAP = 40, JOB_KIND_CAP = 64, JOB_STAGE_CAP = 80 };
#define JOB_ID_PREFIX "job_"

/* Views point into the result that the job was read from. */
struct job {
    int64_t job_no;
    struct str id, kind, params; /* params, result, error: JSON texts */
    enum job_state state;
    double progress;   /* 0..1 */
    struct str stage;  /* words for people: "clustering" */
    double eta_seconds; /* NaN: not known */
    int64_t created_at, started_at, finished_at; /* TIME_NONE: not yet */
    bool cancel_requested;
    int attempts;
    struct str result, error; /* STR_NONE: none */
};

/* Seconds left, from what was done since the attempt began: NaN while too little is known to say. */
double job_eta(double progress, double elapsed_seconds);
/* How long to wait before attempt number `attempts` + 1, in seconds: doubling, at most a minute. */
int job_backoff_seconds(int attempts);

#endif
