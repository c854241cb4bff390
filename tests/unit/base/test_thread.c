#include "meros/base/thread.h"

#include <criterion/criterion.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

struct seen {
    char name[32];
    int nice;
    bool blocked;
};
static void *look(void *arg)
{
    struct seen *s = arg;
    pthread_getname_np(pthread_self(), s->name, sizeof s->name);
    s->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
    sigset_t set;
    pthread_sigmask(SIG_BLOCK, NULL, &set);
    s->blocked = sigismember(&set, SIGTERM) == 1 && sigismember(&set, SIGHUP) == 1;
    return s;
}

Test(thread, has_a_name_and_takes_no_signals)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct seen s = {0};
    pthread_t t;
    cr_assert_eq(thread_start(&t, "a-name-longer-than-fits", 0, look, &s, &err), MEROS_OK);
    void *back;
    pthread_join(t, &back);
    cr_assert_eq(back, &s);
    cr_assert_str_eq(s.name, "a-name-longer-t");
    cr_assert(s.blocked);
    sigset_t mine;
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    cr_assert_eq(sigismember(&mine, SIGTERM), 0, "the starter's own mask is as before");
}

Test(thread, nice_is_the_threads_own)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct seen s = {0};
    pthread_t t;
    int before = getpriority(PRIO_PROCESS, 0);
    cr_assert_eq(thread_start(&t, "low", 10, look, &s, &err), MEROS_OK);
    pthread_join(t, NULL);
    cr_assert_eq(s.nice, 10);
    cr_assert_eq(getpriority(PRIO_PROCESS, (id_t)gettid()), before);
}

Test(thread, there_is_at_least_one_cpu)
{
    cr_assert_geq(thread_cpus(), 1);
}
