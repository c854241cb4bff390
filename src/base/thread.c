#include "meros/base/thread.h"

#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct start {
    void *(*fn)(void *);
    void *arg;
    int nice;
    char name[16];
};

static void *body(void *p)
{
    struct start s = *(struct start *)p;
    free(p);
    pthread_setname_np(pthread_self(), s.name);
    /* Linux keeps niceness per thread; a lower priority needs no privilege and cannot fail for a live thread. */
    if (s.nice > 0) setpriority(PRIO_PROCESS, (id_t)gettid(), s.nice);
    return s.fn(s.arg);
}

enum meros_code thread_start(pthread_t *out, const char *name, int nice, void *(*fn)(void *), void *arg,
                             struct meros_err *err)
{
    struct start *s = malloc(sizeof *s);
    if (s == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for thread %s", name);
    *s = (struct start){.fn = fn, .arg = arg, .nice = nice};
    snprintf(s->name, sizeof s->name, "%s", name);
    sigset_t all, old;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    int rc = pthread_create(out, NULL, body, s);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (rc != 0) {
        free(s);
        return err_set(err, MEROS_UNAVAILABLE, "thread %s could not be started: %s", name, strerror(rc));
    }
    return MEROS_OK;
}

int thread_cpus(void)
{
    cpu_set_t set;
    if (sched_getaffinity(0, sizeof set, &set) == 0 && CPU_COUNT(&set) > 0) return CPU_COUNT(&set);
    return 1;
}
