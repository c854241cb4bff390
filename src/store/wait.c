/* Waiting for the server, and never for ever. libpq's own calls wait as long as it takes, and a server that was stopped
 * (SIGSTOP, a frozen machine, a paused container) keeps its sockets open and says nothing: so statements are sent without
 * blocking, and their answers waited for here.
 *
 * The deadline is the statement_timeout in force and SLACK_MS more: a server that lives ends the statement itself before
 * that. Work without a time-out (imports, trainings) is waited for as long as the server answers anybody: every ASK_EVERY_MS a
 * new connection is tried, and when that was given no answer ASK_TIMES in a row, the server is taken for frozen. */
#include "plumbing.h"

#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <stdlib.h>
#include "meros/base/clock.h"

enum { SLACK_MS = 2000, ASK_EVERY_MS = 10000, ASK_TIMES = 3, CANCEL_MS = 2000 };

struct deadline conn_deadline(const struct store_conn *c)
{
    const bool bounded = c->timeout_ms > 0;
    const int64_t ms = bounded ? (int64_t)c->timeout_ms + SLACK_MS : ASK_EVERY_MS;
    return (struct deadline){.at_ns = clock_mono_ns() + ms * 1000000, .bounded = bounded};
}

/* At the end of a stretch of waiting: whether to go on. */
static bool patience(struct store_conn *c, struct deadline *d)
{
    if (d->bounded) return false;
    d->unheard = conn_answers(c->pool) ? 0 : d->unheard + 1;
    d->at_ns = clock_mono_ns() + (int64_t)ASK_EVERY_MS * 1000000;
    return d->unheard < ASK_TIMES;
}

/* Until the socket is ready; false: the time is up, or waiting failed. */
static bool wait_for(struct store_conn *c, short events, struct deadline *d)
{
    struct pollfd fd = {.fd = PQsocket(c->pg), .events = events};
    while (!c->late) {
        const int64_t left = (d->at_ns - clock_mono_ns() + 999999) / 1000000;
        const int n = poll(&fd, 1, left <= 0 ? 0 : left > INT_MAX ? INT_MAX : (int)left);
        if (n > 0) return true;
        if (n < 0 && errno != EINTR) break;
        if (n == 0 && left <= 0 && !patience(c, d)) break;
    }
    c->late = true;
    return false;
}

bool conn_flush(struct store_conn *c, struct deadline *d)
{
    for (int r; (r = PQflush(c->pg)) != 0;)
        if (r < 0 || !wait_for(c, POLLIN | POLLOUT, d) || !PQconsumeInput(c->pg)) return false;
    return true;
}

PGresult *conn_result(struct store_conn *c, struct deadline *d)
{
    while (PQisBusy(c->pg)) {
        const int unsent = PQflush(c->pg);
        if (!wait_for(c, unsent > 0 ? POLLIN | POLLOUT : POLLIN, d)) return NULL;
        if (!PQconsumeInput(c->pg)) break; /* the result says what happened */
    }
    return PQgetResult(c->pg);
}

PGresult *conn_answer(struct store_conn *c, int sent)
{
    struct deadline d = conn_deadline(c);
    PGresult *last = NULL, *r;
    if (sent != 1) return NULL;
    while ((r = conn_result(c, &d)) != NULL) {
        const ExecStatusType status = PQresultStatus(r);
        PQclear(last);
        last = r;
        /* As PQexec does: what is copied is read by others, and a dead connection has the same to say for ever. */
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH || PQstatus(c->pg) != CONNECTION_OK) break;
    }
    if (!c->late) return last;
    PQclear(last);
    return NULL;
}

PGresult *conn_exec(struct store_conn *c, const char *text)
{
    return conn_answer(c, PQsendQuery(c->pg, text));
}

int conn_copy_data(struct store_conn *c, char **piece)
{
    int n;
    while ((n = PQgetCopyData(c->pg, piece, 1)) == 0) {
        struct deadline d = conn_deadline(c);
        if (!wait_for(c, POLLIN, &d) || !PQconsumeInput(c->pg)) return -2;
    }
    return n;
}

/* --- cancelling. libpq asks the postmaster and waits until it hangs up, which a frozen one never does: so a thread asks, and
 * is left to itself when it takes too long. */
struct asking {
    PGcancel *handle;
    pthread_mutex_t lock;
    pthread_cond_t answered;
    int users;
    bool done;
};

static void asking_leave(struct asking *a)
{
    const bool last = --a->users == 0;
    pthread_mutex_unlock(&a->lock);
    if (!last) return;
    PQfreeCancel(a->handle);
    pthread_cond_destroy(&a->answered);
    pthread_mutex_destroy(&a->lock);
    free(a);
}

static void *ask(void *arg)
{
    struct asking *a = arg;
    char message[256];
    PQcancel(a->handle, message, sizeof message);
    pthread_mutex_lock(&a->lock);
    a->done = true;
    pthread_cond_signal(&a->answered);
    asking_leave(a);
    return NULL;
}

static struct asking *asking_make(struct store_conn *c)
{
    struct asking *a = calloc(1, sizeof *a);
    pthread_condattr_t monotonic;
    if (a == NULL || (a->handle = PQgetCancel(c->pg)) == NULL) {
        free(a);
        return NULL;
    }
    a->users = 2;
    pthread_mutex_init(&a->lock, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&a->answered, &monotonic);
    pthread_condattr_destroy(&monotonic);
    return a;
}

bool conn_cancel(struct store_conn *c)
{
    struct asking *a = asking_make(c);
    pthread_attr_t detached;
    pthread_t thread;
    if (a == NULL) return true; /* nobody was asked, so nothing can arrive late */
    pthread_attr_init(&detached);
    pthread_attr_setdetachstate(&detached, PTHREAD_CREATE_DETACHED);
    const bool started = pthread_create(&thread, &detached, ask, a) == 0;
    pthread_attr_destroy(&detached);
    pthread_mutex_lock(&a->lock);
    if (!started) {
        a->users--;
        a->done = true;
    }
    const int64_t until_ns = clock_mono_ns() + (int64_t)CANCEL_MS * 1000000;
    const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
    while (!a->done && pthread_cond_timedwait(&a->answered, &a->lock, &until) == 0) {
    }
    const bool told = a->done;
    asking_leave(a);
    return told;
}
