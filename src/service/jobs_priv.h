/* What jobs.c (use cases), jobs_run.c (claiming, leases, ending) and jobs_watch.c (following) share. */
#ifndef MEROS_SERVICE_JOBS_PRIV_H
#define MEROS_SERVICE_JOBS_PRIV_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include "meros/jobs/workers.h"
#include "meros/service/jobs.h"
#include "meros/store/jobs.h"

enum { JOB_KINDS_MAX = 32, JOB_WORKERS_MAX = 64, JOB_RESULT_MAX = 1 << 20 };
#define JOB_LEASE_SECONDS 10.0 /* a replica that dies loses its jobs after this */

/* One job that this process runs. Made by the keeper, owned by the worker that runs it. */
struct job_run {
    struct job_runner *runner;
    struct store_lease lease;
    const struct job_kind *kind;
    char *params_text;
    struct json *params;
    struct buf result;
    struct jsonw w;
    struct job_ctx ctx;
    int max_attempts;
    int64_t started_ns;
    bool finished; /* job_finish_in wrote the end; the worker's own */
    struct job_stop stop;
    _Atomic int ppm;               /* progress in millionths, never back */
    const char *_Atomic stage;     /* a literal */
    struct store_conn *conn;       /* what job_uses named; under runner->lock, as is next */
    struct job_run *next;
};

struct job_watcher;

struct job_runner {
    /* fixed once started */
    struct service *svc;
    const struct job_kind *const *kinds;
    struct str kind_names[JOB_KINDS_MAX];
    size_t n_kinds;
    char worker[64]; /* host:pid, for people who look into the table */
    struct job_workers *workers;
    pthread_t keeper, watch_thread;
    bool keeper_started, watch_started;

    pthread_mutex_t lock; /* of all that follows */
    pthread_cond_t wake;  /* the keeper: something to do */
    bool keeper_poked;
    bool draining;        /* claim nothing more */
    bool stop;            /* keeper and watcher end */
    int64_t settle_until_ns; /* 0: no limit; when draining, how long ends may be tried to be written */
    struct job_run *running;
    pthread_cond_t watch_wake;
    bool watch_poked;
    struct job_watcher *watchers; /* taken over by the watcher thread, which alone removes */
};

/* jobs_run.c */
enum meros_code job_keeper_start(struct job_runner *r, struct meros_err *err) MEROS_MUSTCHECK;
void job_keeper_poke(struct job_runner *r);
void job_tell_stop(struct job_run *run, enum job_stop_reason reason); /* under runner->lock */
const struct job_kind *job_kind_find(const struct job_runner *r, struct str name);

/* jobs_watch.c */
enum meros_code job_watch_start(struct job_runner *r, struct meros_err *err) MEROS_MUSTCHECK;
void job_watch_poke(struct job_runner *r);

#endif
