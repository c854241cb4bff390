#include <criterion/criterion.h>
#include <stdatomic.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/jobs/workers.h"

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_nsec = (long)ms * 1000000}, NULL);
}

static void until(_Atomic int *v, int wanted)
{
    for (int i = 0; i < 20000 && *v != wanted; i++)
        nap(1);
    cr_assert_eq(*v, wanted);
}

static _Atomic int started, finished, freed, gate, niceness;

static void task(void *arg)
{
    (void)arg;
    started++;
    while (!gate)
        nap(1);
    finished++;
}

static void count_free(void *arg)
{
    (void)arg;
    freed++;
}

static struct job_workers *start(int workers, int nice)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct job_workers *w = NULL;
    started = finished = freed = gate = 0;
    cr_assert_eq(job_workers_start(workers, nice, count_free, NULL, &w, &err), MEROS_OK, "%s", err.detail);
    return w;
}

Test(workers, take_as_many_tasks_as_there_are_and_refuse_the_next)
{
    struct job_workers *w = start(2, 0);
    cr_assert_eq(job_workers_free_now(w), 2);
    cr_assert(job_workers_run(w, task, NULL));
    cr_assert(job_workers_run(w, task, NULL));
    cr_assert_not(job_workers_run(w, task, NULL));
    cr_assert_eq(job_workers_free_now(w), 0);
    until(&started, 2);
    gate = 1;
    until(&freed, 2);
    cr_assert_eq(job_workers_free_now(w), 2, "free when told so");
    cr_assert(job_workers_run(w, task, NULL));
    until(&finished, 3);
    cr_assert(job_workers_stop(w, 20000));
    cr_assert_not(job_workers_run(w, task, NULL), "stopped");
    job_workers_free(w);
}

Test(workers, none_run_nothing)
{
    struct job_workers *w = start(0, 0);
    cr_assert_eq(job_workers_free_now(w), 0);
    cr_assert_not(job_workers_run(w, task, NULL));
    cr_assert(job_workers_stop(w, 0));
    job_workers_free(w);
    job_workers_free(NULL);
}

Test(workers, stopping_says_when_a_task_does_not_end_in_time)
{
    struct job_workers *w = start(1, 0);
    cr_assert(job_workers_run(w, task, NULL));
    until(&started, 1);
    int64_t before = clock_mono_ns();
    cr_assert_not(job_workers_stop(w, 50));
    cr_assert_geq(clock_mono_ns() - before, 45000000);
    gate = 1;
    cr_assert(job_workers_stop(w, 20000));
    job_workers_free(w);
}

static void note_nice(void *arg)
{
    (void)arg;
    niceness = 100 + getpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid));
}

Test(workers, run_at_lower_priority)
{
    int own = getpriority(PRIO_PROCESS, 0);
    struct job_workers *w = start(1, own < 12 ? own + 7 : 19);
    niceness = 0;
    cr_assert(job_workers_run(w, note_nice, NULL));
    until(&freed, 1);
    cr_assert_eq(niceness, 100 + (own < 12 ? own + 7 : 19));
    cr_assert(job_workers_stop(w, 20000));
    job_workers_free(w);
}

Test(workers, the_first_reason_to_stop_stays)
{
    struct job_stop s = {0};
    cr_assert_eq(job_stop_asked(&s), JOB_GO_ON);
    cr_assert(job_stop_ask(&s, JOB_STOP_HAND_BACK));
    cr_assert_not(job_stop_ask(&s, JOB_STOP_CANCELLED));
    cr_assert_eq(job_stop_asked(&s), JOB_STOP_HAND_BACK);
}
