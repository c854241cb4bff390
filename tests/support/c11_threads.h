/* The threads of C11 by those of POSIX, which ThreadSanitizer knows: librdkafka uses the former, and the sanitizer dies of a
 * thread that it did not see begin. Included by one file of a program, whose definitions then take the place of glibc's
 * (they are in the program itself, which the dynamic linker asks first). glibc's own types are those of POSIX inside. */
#ifndef TESTS_C11_THREADS_H
#define TESTS_C11_THREADS_H

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <threads.h>

_Static_assert(sizeof(mtx_t) >= sizeof(pthread_mutex_t) && sizeof(cnd_t) >= sizeof(pthread_cond_t), "as glibc has them");

struct c11_thread {
    thrd_start_t fn;
    void *arg;
};

static void *c11_run(void *p)
{
    struct c11_thread t = *(struct c11_thread *)p;
    free(p);
    return (void *)(intptr_t)t.fn(t.arg);
}

int thrd_create(thrd_t *out, thrd_start_t fn, void *arg)
{
    struct c11_thread *t = malloc(sizeof *t);
    if (t == NULL) return thrd_nomem;
    *t = (struct c11_thread){fn, arg};
    if (pthread_create(out, NULL, c11_run, t) == 0) return thrd_success;
    free(t);
    return thrd_error;
}

int thrd_join(thrd_t t, int *out)
{
    void *result;
    if (pthread_join(t, &result) != 0) return thrd_error;
    if (out != NULL) *out = (int)(intptr_t)result;
    return thrd_success;
}

/* The sanitizer learns of what locks order, not of librdkafka's coming upon them, which it orders by atomics. */
void AnnotateIgnoreReadsBegin(const char *file, int line);
void AnnotateIgnoreReadsEnd(const char *file, int line);
void AnnotateIgnoreWritesBegin(const char *file, int line);
void AnnotateIgnoreWritesEnd(const char *file, int line);
static void unseen(bool begin)
{
    (begin ? AnnotateIgnoreReadsBegin : AnnotateIgnoreReadsEnd)(__FILE__, __LINE__);
    (begin ? AnnotateIgnoreWritesBegin : AnnotateIgnoreWritesEnd)(__FILE__, __LINE__);
}

static int c11_of(int rc)
{
    return rc == 0 ? thrd_success : rc == ETIMEDOUT ? thrd_timedout : rc == EBUSY ? thrd_busy : thrd_error;
}

#define UNSEEN(call)               \
    __extension__({                \
        unseen(true);              \
        const int rc_ = c11_of(call); \
        unseen(false);             \
        rc_;                       \
    })

int mtx_init(mtx_t *m, int type)
{
    pthread_mutexattr_t a;
    pthread_mutexattr_init(&a);
    pthread_mutexattr_settype(&a, (type & mtx_recursive) != 0 ? PTHREAD_MUTEX_RECURSIVE : PTHREAD_MUTEX_NORMAL);
    unseen(true);
    const int rc = pthread_mutex_init((pthread_mutex_t *)m, &a);
    unseen(false);
    pthread_mutexattr_destroy(&a);
    return c11_of(rc);
}

int mtx_lock(mtx_t *m)
{
    return UNSEEN(pthread_mutex_lock((pthread_mutex_t *)m));
}

int mtx_unlock(mtx_t *m)
{
    return UNSEEN(pthread_mutex_unlock((pthread_mutex_t *)m));
}

void mtx_destroy(mtx_t *m)
{
    (void)UNSEEN(pthread_mutex_destroy((pthread_mutex_t *)m));
}

int cnd_init(cnd_t *c)
{
    return UNSEEN(pthread_cond_init((pthread_cond_t *)c, NULL));
}

int cnd_signal(cnd_t *c)
{
    return UNSEEN(pthread_cond_signal((pthread_cond_t *)c));
}

int cnd_broadcast(cnd_t *c)
{
    return UNSEEN(pthread_cond_broadcast((pthread_cond_t *)c));
}

int cnd_wait(cnd_t *c, mtx_t *m)
{
    return UNSEEN(pthread_cond_wait((pthread_cond_t *)c, (pthread_mutex_t *)m));
}

int cnd_timedwait(cnd_t *restrict c, mtx_t *restrict m, const struct timespec *restrict until)
{
    return UNSEEN(pthread_cond_timedwait((pthread_cond_t *)c, (pthread_mutex_t *)m, until));
}

void cnd_destroy(cnd_t *c)
{
    (void)UNSEEN(pthread_cond_destroy((pthread_cond_t *)c));
}

#endif
