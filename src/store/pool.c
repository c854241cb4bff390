/* The pool and its circuit breaker.
 *
 * Idle connections form a stack, so that a quiet service uses few and their prepared statements stay warm. A
 * connection is looked at (one poll(2), no round trip) before it is handed out. Opening happens outside the
 * lock.
 *
 * The breaker opens when a connection cannot be made. From then on store_acquire fails at once, and a thread
 * of the pool tries again with delays of 20 ms doubling to 1 s, each shortened at random by up to half so
 * that replicas do not knock together. Its first success closes the breaker. The same thread looks at idle
 * connections every second and whenever one was lost, so that store_available() is true to life on an idle
 * service too. */
#include "plumbing.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"

enum { CONNECT_TIMEOUT_MS = 3000, DELAY_MIN_MS = 20, DELAY_MAX_MS = 1000, LOOK_EVERY_MS = 1000, LONG_SHARE = 5 };

struct store_pool {
    /* immutable */
    char *url;
    int max, acquire_timeout_ms, statement_timeout_ms;
    pthread_t tender;
    /* mutable, under lock */
    pthread_mutex_t lock;
    pthread_cond_t freed; /* a connection, or room for one, or the breaker moved */
    pthread_cond_t tend;  /* there is something for the tender to do */
    pthread_cond_t long_freed;
    struct store_conn *idle;
    int n_open, n_idle, n_waiting;
    int n_long, n_long_waiting; /* store_acquire_long */
    bool available, suspect, closing;
    int64_t acquired, timeouts, connect_failures;
};

static void timed_cond_init(pthread_cond_t *c)
{
    pthread_condattr_t a;
    pthread_condattr_init(&a);
    pthread_condattr_setclock(&a, CLOCK_MONOTONIC);
    pthread_cond_init(c, &a);
    pthread_condattr_destroy(&a);
}

static struct timespec after_ms(int ms)
{
    int64_t ns = clock_mono_ns() + (int64_t)ms * 1000000;
    return (struct timespec){.tv_sec = ns / 1000000000, .tv_nsec = ns % 1000000000};
}

static enum meros_code unavailable(struct meros_err *err, const char *detail)
{
    err_set(err, MEROS_UNAVAILABLE, "%s", detail);
    if (err != NULL) err->retry_after = 1;
    return MEROS_UNAVAILABLE;
}

static void pool_lock(struct store_pool *p)
{
    pthread_mutex_lock(&p->lock);
}

static void pool_unlock(struct store_pool *p)
{
    pthread_mutex_unlock(&p->lock);
}

/* Opens without the lock; the caller has counted the connection in n_open. */
static enum meros_code open_counted(struct store_pool *p, int timeout_ms, struct store_conn **out,
                                    struct meros_err *err)
{
    const char *reason = NULL;
    enum meros_code rc = conn_open(p, p->url, p->statement_timeout_ms, timeout_ms, out, &reason, err);
    pool_lock(p);
    if (rc == MEROS_OK) {
        (*out)->pooled = true;
    } else {
        p->n_open--;
        p->connect_failures++;
        if (p->available) log_warn("store.unavailable", KV("reason", reason));
        p->available = false;
        pthread_cond_broadcast(&p->freed);
        pthread_cond_signal(&p->tend);
    }
    pool_unlock(p);
    return rc;
}

static void push_idle(struct store_pool *p, struct store_conn *c)
{
    c->next = p->idle;
    p->idle = c;
    p->n_idle++;
    pthread_cond_signal(&p->freed);
}

/* Takes the dead ones out of the idle stack and returns them as a list, to be closed without the lock. */
static struct store_conn *take_dead(struct store_pool *p)
{
    struct store_conn *dead = NULL;
    for (struct store_conn **at = &p->idle; *at != NULL;) {
        struct store_conn *c = *at;
        if (conn_healthy(c)) {
            at = &c->next;
        } else {
            *at = c->next;
            c->next = dead;
            dead = c;
            p->n_idle--;
            p->n_open--;
        }
    }
    return dead;
}

static bool close_all(struct store_conn *list)
{
    bool any = list != NULL;
    while (list != NULL) {
        struct store_conn *next = list->next;
        conn_close(list);
        list = next;
    }
    return any;
}

/* Whether the database is there: one connection made and, if there is room, kept. Called without the lock. */
static bool probe(struct store_pool *p)
{
    struct store_conn *c = NULL;
    const char *reason = NULL;
    if (conn_open(p, p->url, p->statement_timeout_ms, CONNECT_TIMEOUT_MS, &c, &reason, NULL) != MEROS_OK) {
        pool_lock(p);
        p->connect_failures++;
        if (p->available) log_warn("store.unavailable", KV("reason", reason));
        p->available = false;
        pthread_cond_broadcast(&p->freed);
        pool_unlock(p);
        return false;
    }
    c->pooled = true;
    pool_lock(p);
    if (!p->available) log_info("store.available", KV_I("open", p->n_open));
    p->available = true;
    pthread_cond_broadcast(&p->freed);
    if (p->n_open < p->max && !p->closing) {
        p->n_open++;
        push_idle(p, c);
        c = NULL;
    }
    pool_unlock(p);
    conn_close(c);
    return true;
}

static void *tender(void *arg)
{
    struct store_pool *p = arg;
    int delay = DELAY_MIN_MS;
    uint64_t random = (uint64_t)clock_mono_ns() | 1;
    pool_lock(p);
    while (!p->closing) {
        if (p->available && !p->suspect) {
            struct timespec until = after_ms(LOOK_EVERY_MS);
            pthread_cond_timedwait(&p->tend, &p->lock, &until);
        }
        if (p->closing) break;
        bool look = !p->available || p->suspect;
        p->suspect = false;
        struct store_conn *dead = take_dead(p);
        pool_unlock(p);
        if (close_all(dead)) look = true;
        bool there = !look || probe(p);
        pool_lock(p);
        if (there) {
            delay = DELAY_MIN_MS;
            continue;
        }
        random ^= random << 13, random ^= random >> 7, random ^= random << 17;
        struct timespec until = after_ms(delay - (int)(random % (uint64_t)(delay / 2)));
        while (!p->closing && pthread_cond_timedwait(&p->tend, &p->lock, &until) == 0) {
        }
        if (delay < DELAY_MAX_MS) delay = delay * 2 < DELAY_MAX_MS ? delay * 2 : DELAY_MAX_MS;
    }
    pool_unlock(p);
    return NULL;
}

enum meros_code store_open(const struct store_config *config, struct store_pool **out, struct meros_err *err)
{
    enum meros_code rc = url_check(config->url, err);
    if (rc != MEROS_OK) return rc;
    struct store_pool *p = calloc(1, sizeof *p);
    if (p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the connection pool.");
    pthread_mutex_init(&p->lock, NULL);
    timed_cond_init(&p->freed);
    timed_cond_init(&p->tend);
    timed_cond_init(&p->long_freed);
    p->max = config->max_connections > 0 ? config->max_connections : 16;
    p->acquire_timeout_ms = config->acquire_timeout_ms > 0 ? config->acquire_timeout_ms : 2000;
    p->statement_timeout_ms = config->statement_timeout_ms > 0 ? config->statement_timeout_ms : 30000;
    p->available = true;

    struct store_conn *first = NULL;
    const char *reason = NULL;
    p->url = strdup(config->url);
    if (p->url == NULL) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the connection pool.");
        goto out;
    }
    /* A service starts without its database rather than not at all. */
    rc = conn_open(p, p->url, p->statement_timeout_ms, CONNECT_TIMEOUT_MS, &first, &reason, err);
    if (rc == MEROS_OK) {
        first->pooled = true;
        p->n_open = 1;
        push_idle(p, first);
    } else if (rc == MEROS_UNAVAILABLE) {
        log_warn("store.unavailable", KV("reason", reason));
        p->available = false;
        p->connect_failures++;
        err_clear(err);
    } else {
        goto out;
    }
    rc = thread_start(&p->tender, "store-tender", 0, tender, p, err);
    if (rc == MEROS_OK) *out = p, p = NULL;
out:
    if (p != NULL) {
        close_all(p->idle);
        free(p->url);
        pthread_cond_destroy(&p->freed);
        pthread_cond_destroy(&p->tend);
        pthread_cond_destroy(&p->long_freed);
        pthread_mutex_destroy(&p->lock);
        free(p);
    }
    return rc;
}

void store_close(struct store_pool *p)
{
    if (p == NULL) return;
    pool_lock(p);
    p->closing = true;
    pthread_cond_broadcast(&p->tend);
    pthread_cond_broadcast(&p->freed);
    pool_unlock(p);
    pthread_join(p->tender, NULL);
    close_all(p->idle);
    pthread_cond_destroy(&p->freed);
    pthread_cond_destroy(&p->tend);
    pthread_cond_destroy(&p->long_freed);
    pthread_mutex_destroy(&p->lock);
    free(p->url);
    free(p);
}

/* Under the lock: a healthy idle connection or NULL; dead ones go to *dead. */
static struct store_conn *pop_idle(struct store_pool *p, struct store_conn **dead)
{
    while (p->idle != NULL) {
        struct store_conn *c = p->idle;
        p->idle = c->next;
        c->next = NULL;
        p->n_idle--;
        if (conn_healthy(c)) return c;
        p->n_open--;
        c->next = *dead;
        *dead = c;
    }
    return NULL;
}

enum meros_code store_acquire(struct store_pool *p, struct store_conn **out, struct meros_err *err)
{
    int64_t start = clock_mono_ns();
    struct timespec until = after_ms(p->acquire_timeout_ms);
    struct store_conn *dead = NULL, *c = NULL;
    enum meros_code rc = MEROS_OK;
    bool connect = false, late = false;
    pool_lock(p);
    for (;;) {
        if (p->closing || !p->available) {
            rc = unavailable(err, "The database is away right now; the service comes back by itself.");
            break;
        }
        if ((c = pop_idle(p, &dead)) != NULL) break;
        if (p->n_open < p->max) {
            p->n_open++;
            connect = true;
            break;
        }
        if (late) {
            p->timeouts++;
            rc = unavailable(err, "Every connection to the database is busy; try again.");
            break;
        }
        p->n_waiting++;
        late = pthread_cond_timedwait(&p->freed, &p->lock, &until) == ETIMEDOUT;
        p->n_waiting--;
    }
    pool_unlock(p);
    close_all(dead);
    if (connect) {
        int left = p->acquire_timeout_ms - (int)((clock_mono_ns() - start) / 1000000);
        rc = open_counted(p, left < 100 ? 100 : left, &c, err);
    }
    if (rc != MEROS_OK) return rc;
    pool_lock(p);
    p->acquired++;
    pool_unlock(p);
    *out = c;
    return MEROS_OK;
}

/* Under the lock. */
static bool room_for_long(const struct store_pool *p)
{
    return p->n_long < (p->max < 2 * LONG_SHARE ? 1 : p->max / LONG_SHARE);
}

static void end_long(struct store_pool *p)
{
    p->n_long--;
    pthread_cond_signal(&p->long_freed);
}

enum meros_code store_acquire_long(struct store_pool *p, struct store_conn **out, struct meros_err *err)
{
    const struct timespec until = after_ms(p->acquire_timeout_ms);
    pool_lock(p);
    if (!room_for_long(p) && p->n_long_waiting < p->max) {
        p->n_long_waiting++;
        while (!room_for_long(p) && pthread_cond_timedwait(&p->long_freed, &p->lock, &until) != ETIMEDOUT) {
        }
        p->n_long_waiting--;
    }
    const bool room = room_for_long(p);
    if (room) p->n_long++;
    else p->timeouts++;
    pool_unlock(p);
    if (!room) return unavailable(err, "As many questions that take long are being answered as may be at a time; try again.");
    enum meros_code rc = store_acquire(p, out, err);
    if (rc == MEROS_OK) {
        (*out)->is_long = true;
    } else {
        pool_lock(p);
        end_long(p);
        pool_unlock(p);
    }
    return rc;
}

void store_release(struct store_pool *p, struct store_conn *c)
{
    if (c == NULL) return;
    bool keep = conn_reset(c);
    if (keep && c->timeout_ms != p->statement_timeout_ms)
        keep = store_set_timeout(c, p->statement_timeout_ms, NULL) == MEROS_OK;
    pool_lock(p);
    if (c->is_long) end_long(p);
    c->is_long = false;
    if (keep && !p->closing) {
        push_idle(p, c);
        c = NULL;
    } else {
        p->n_open--;
        pthread_cond_signal(&p->freed);
    }
    pool_unlock(p);
    conn_close(c);
}

enum meros_code store_connect(struct store_pool *p, struct store_conn **out, struct meros_err *err)
{
    if (!store_available(p))
        return unavailable(err, "The database is away right now; the service comes back by itself.");
    const char *reason = NULL;
    enum meros_code rc = conn_open(p, p->url, p->statement_timeout_ms, CONNECT_TIMEOUT_MS, out, &reason, err);
    if (rc != MEROS_OK) pool_suspect(p);
    return rc;
}

void store_disconnect(struct store_conn *c)
{
    conn_close(c);
}

void pool_suspect(struct store_pool *p)
{
    pool_lock(p);
    p->suspect = true;
    pthread_cond_signal(&p->tend);
    pool_unlock(p);
}

const char *pool_url(const struct store_pool *p)
{
    return p->url;
}

bool store_available(struct store_pool *p)
{
    pool_lock(p);
    bool available = p->available;
    pool_unlock(p);
    return available;
}

void store_pool_stats(struct store_pool *p, struct store_stats *out)
{
    pool_lock(p);
    *out = (struct store_stats){.open = p->n_open,
                                .idle = p->n_idle,
                                .waiting = p->n_waiting,
                                .acquired = p->acquired,
                                .timeouts = p->timeouts,
                                .connect_failures = p->connect_failures};
    pool_unlock(p);
}
