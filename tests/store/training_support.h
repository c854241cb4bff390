/* A service that trains, without HTTP: its threads, and jobs that are waited for. */
#ifndef MEROS_TESTS_TRAINING_SUPPORT_H
#define MEROS_TESTS_TRAINING_SUPPORT_H

#include <criterion/criterion.h>
#include <string.h>
#include <time.h>

#include "meros/service/jobs.h"
#include "meros/service/listener.h"
#include "meros/service/serving.h"

static inline void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

/* svc->store is open; the other settings are the caller's. */
static inline void training_on(struct service *svc, int threads, size_t memory)
{
    struct meros_err err = MEROS_ERR_INIT;
    svc->settings.job_workers = 1;
    svc->settings.job_retention_days = 30;
    svc->settings.training_threads = threads;
    svc->settings.training_memory_bytes = memory;
    cr_assert_eq(listener_new(svc, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(serving_start(svc, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(jobs_start(svc, job_kinds, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(listener_start(svc, &err), MEROS_OK, "%s", err.detail);
}

static inline void training_off(struct service *svc)
{
    cr_assert(jobs_stop(svc, 30000));
    listener_stop(svc);
    serving_stop(svc);
    jobs_free(svc);
    serving_free(svc);
    listener_free(svc);
}

/* A job that has ended. */
struct seen {
    enum job_state state;
    char result[65536], error[2000];
};

static inline void see(void *arg, const struct job *job)
{
    struct seen *s = arg;
    s->state = job->state;
    str_copy(s->result, sizeof s->result, job->result);
    str_copy(s->error, sizeof s->error, job->error);
}

/* Queues a job and waits for its end, ten minutes at most. What comes back is that of the last call. */
static inline const struct seen *run_to_end(struct service *svc, const char *kind, const char *params)
{
    static struct seen seen;
    struct meros_err err = MEROS_ERR_INIT;
    struct json *tree = NULL;
    char id[JOB_ID_CAP];
    cr_assert_eq(json_parse(params, strlen(params), &tree, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(jobs_create(svc, str_of(kind), tree, "", NULL, id, &err), MEROS_OK, "%s", err.detail);
    json_free(tree);
    for (int i = 0; i < 60000; i++) {
        seen = (struct seen){0};
        cr_assert_eq(jobs_get(svc, str_of(id), see, &seen, &err), MEROS_OK, "%s", err.detail);
        if (job_ended(seen.state)) return &seen;
        nap(10);
    }
    cr_assert(false, "the job did not end");
    return &seen;
}

/* The result of one that succeeds; json_free it. */
static inline struct json *succeed(struct service *svc, const char *kind, const char *params)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *result = NULL;
    const struct seen *seen = run_to_end(svc, kind, params);
    cr_assert_eq(seen->state, JOB_SUCCEEDED, "%s: %s", params, seen->error);
    cr_assert_eq(json_parse(seen->result, strlen(seen->result), &result, &err), MEROS_OK, "%s", err.detail);
    return result;
}

#endif
