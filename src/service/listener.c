/* One thread, one connection. Once a second it sends a statement over that connection (LISTEN again, which changes
 * nothing), so a connection that died silently is noticed and what depends on NOTIFY is not deaf without knowing. */
#include "meros/service/listener.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/store/store.h"

enum { TICK_MS = 1000, HEALTHY_FOR_S = 3, SCHEMA_EVERY_S = 30, RETRY_MIN_MS = 100, RETRY_MAX_MS = 1000 };
static const int64_t NS = 1000000000;

struct subscriber {
    const char *channel; /* NULL: called every `seconds` */
    int seconds;
    int64_t due_ns;
    union {
        void (*told)(void *arg, const char *payload);
        void (*every)(void *arg);
    } fn;
    void *arg;
};

struct listener {
    struct service *svc;
    /* fixed once started */
    struct subscriber subs[LISTENER_SUBSCRIBERS_MAX];
    size_t n_subs;
    bool started;
    pthread_t thread;

    pthread_mutex_t lock; /* of stop, conn as seen by listener_stop */
    pthread_cond_t wake;
    bool stop;
    struct store_conn *conn; /* used by the thread, woken by listener_stop under the lock */

    /* for health_now, without a lock */
    _Atomic int64_t answered_ns;
    _Atomic bool schema_current;
    _Atomic int schema_version;
    int64_t schema_due_ns; /* the thread's own */
};

enum meros_code listener_new(struct service *svc, struct meros_err *err)
{
    struct listener *l = calloc(1, sizeof *l);
    if (l == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the listener.");
    l->svc = svc;
    l->answered_ns = INT64_MIN;
    pthread_mutex_init(&l->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&l->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    svc->listener = l;
    return MEROS_OK;
}

/* The same function subscribed again takes the place of the first: whoever starts anew after a failure may do so. */
static enum meros_code add(struct listener *l, const struct subscriber *s, struct meros_err *err)
{
    for (size_t i = 0; i < l->n_subs; i++) {
        struct subscriber *old = &l->subs[i];
        bool same_fn = (old->channel == NULL) == (s->channel == NULL) &&
                       (s->channel == NULL ? old->fn.every == s->fn.every : old->fn.told == s->fn.told);
        if (same_fn && (s->channel == NULL || strcmp(old->channel, s->channel) == 0)) {
            *old = *s;
            return MEROS_OK;
        }
    }
    if (l->started || l->n_subs == LISTENER_SUBSCRIBERS_MAX)
        return err_set(err, MEROS_INTERNAL, "The listener takes no more subscribers.");
    l->subs[l->n_subs++] = *s;
    return MEROS_OK;
}

enum meros_code listener_subscribe(struct service *svc, const char *channel, void (*fn)(void *arg, const char *payload),
                                   void *arg, struct meros_err *err)
{
    struct subscriber s = {.channel = channel, .fn.told = fn, .arg = arg};
    return add(svc->listener, &s, err);
}

enum meros_code listener_every(struct service *svc, int seconds, void (*fn)(void *arg), void *arg, struct meros_err *err)
{
    struct subscriber s = {.seconds = seconds, .fn.every = fn, .arg = arg};
    return add(svc->listener, &s, err);
}

static bool stopping(struct listener *l)
{
    pthread_mutex_lock(&l->lock);
    bool stop = l->stop;
    pthread_mutex_unlock(&l->lock);
    return stop;
}

static void pause_ms(struct listener *l, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += (long)ms * 1000000;
    until.tv_sec += until.tv_nsec / NS;
    until.tv_nsec %= NS;
    pthread_mutex_lock(&l->lock);
    if (!l->stop)
        pthread_cond_timedwait(&l->wake, &l->lock, &until);
    pthread_mutex_unlock(&l->lock);
}

static void hang_up(struct listener *l)
{
    pthread_mutex_lock(&l->lock);
    struct store_conn *c = l->conn;
    l->conn = NULL;
    pthread_mutex_unlock(&l->lock);
    if (c != NULL)
        store_disconnect(c);
}

static void tell(struct listener *l, const char *channel, const char *payload)
{
    for (size_t i = 0; i < l->n_subs; i++) {
        struct subscriber *s = &l->subs[i];
        if (s->channel != NULL && (channel == NULL || strcmp(s->channel, channel) == 0))
            s->fn.told(s->arg, payload);
    }
}

static enum meros_code listen_all(struct listener *l, struct store_conn *c, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; rc == MEROS_OK && i < l->n_subs; i++) {
        if (l->subs[i].channel != NULL)
            rc = store_listen(c, l->subs[i].channel, err);
    }
    return rc;
}

/* Connected, listening, and everybody told to look once. */
static bool connect_and_tell(struct listener *l)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    if (store_connect(l->svc->store, &c, &err) != MEROS_OK)
        return false;
    if (listen_all(l, c, &err) != MEROS_OK) {
        store_disconnect(c);
        return false;
    }
    pthread_mutex_lock(&l->lock);
    l->conn = c; /* now that it listens: who stops us wakes it */
    pthread_mutex_unlock(&l->lock);
    l->answered_ns = clock_mono_ns();
    tell(l, NULL, "");
    return true;
}

static void look_at_schema(struct listener *l, int64_t now)
{
    struct meros_err err = MEROS_ERR_INIT;
    bool current = false;
    int version = 0;
    if (now < l->schema_due_ns)
        return;
    if (store_schema_current(l->svc->store, &current, &version, &err) != MEROS_OK)
        return; /* the pool may just be busy: what was last seen stands */
    l->schema_current = current;
    l->schema_version = version;
    l->schema_due_ns = now + (current ? SCHEMA_EVERY_S * NS : NS);
}

static void run_due(struct listener *l)
{
    int64_t now = clock_mono_ns();
    for (size_t i = 0; i < l->n_subs; i++) {
        struct subscriber *s = &l->subs[i];
        if (s->channel == NULL && now >= s->due_ns) {
            s->due_ns = now + s->seconds * NS;
            s->fn.every(s->arg);
        }
    }
}

/* Waits for one notification, at most until the next tick. False: the connection is gone. */
static bool hear(struct listener *l, int64_t tick_ns)
{
    struct meros_err err = MEROS_ERR_INIT;
    char channel[64], payload[STORE_PAYLOAD_MAX];
    int64_t left_ms = (tick_ns - clock_mono_ns()) / 1000000;
    if (left_ms < 1)
        left_ms = 1;
    if (store_wait(l->conn, (int)left_ms, channel, payload, &err) != MEROS_OK)
        return false;
    if (channel[0] != '\0')
        tell(l, channel, payload);
    return true;
}

static void *listener_main(void *arg)
{
    struct listener *l = arg;
    int retry_ms = RETRY_MIN_MS;
    int64_t tick_ns = clock_mono_ns();
    bool said = false;
    while (!stopping(l)) {
        if (l->conn == NULL) {
            if (connect_and_tell(l)) {
                if (said)
                    log_info("listener.connected");
                said = false;
                retry_ms = RETRY_MIN_MS;
            } else {
                pause_ms(l, retry_ms);
                retry_ms = retry_ms * 2 > RETRY_MAX_MS ? RETRY_MAX_MS : retry_ms * 2;
            }
        } else if (!hear(l, tick_ns)) {
            hang_up(l);
            if (!stopping(l))
                log_warn("listener.disconnected");
            said = true;
        }
        int64_t now = clock_mono_ns();
        if (now < tick_ns)
            continue;
        tick_ns = now + (int64_t)TICK_MS * 1000000;
        if (l->conn != NULL) {
            struct meros_err err = MEROS_ERR_INIT;
            if (listen_all(l, l->conn, &err) == MEROS_OK) {
                l->answered_ns = clock_mono_ns();
                look_at_schema(l, now);
            } else {
                hang_up(l);
                said = true;
            }
        }
        run_due(l);
    }
    hang_up(l);
    return NULL;
}

enum meros_code listener_start(struct service *svc, struct meros_err *err)
{
    struct listener *l = svc->listener;
    /* Known before the first request that asks, rather than up to a second later. */
    look_at_schema(l, clock_mono_ns());
    if (l->schema_current)
        l->answered_ns = clock_mono_ns();
    enum meros_code rc = thread_start(&l->thread, "listener", 0, listener_main, l, err);
    l->started = rc == MEROS_OK;
    return rc;
}

void listener_stop(struct service *svc)
{
    struct listener *l = svc->listener;
    if (l == NULL || !l->started)
        return;
    pthread_mutex_lock(&l->lock);
    l->stop = true;
    if (l->conn != NULL)
        store_wake(l->conn);
    pthread_cond_broadcast(&l->wake);
    pthread_mutex_unlock(&l->lock);
    pthread_join(l->thread, NULL);
    l->started = false;
}

void listener_free(struct service *svc)
{
    struct listener *l = svc->listener;
    if (l == NULL)
        return;
    pthread_cond_destroy(&l->wake);
    pthread_mutex_destroy(&l->lock);
    free(l);
    svc->listener = NULL;
}

void health_now(struct service *svc, struct health *out)
{
    struct listener *l = svc->listener;
    int64_t answered = l == NULL ? INT64_MIN : l->answered_ns;
    *out = (struct health){0};
    if (answered == INT64_MIN)
        return;
    out->database = clock_mono_ns() - answered <= HEALTHY_FOR_S * NS && store_available(svc->store);
    out->schema_current = l->schema_current;
    out->schema_version = l->schema_version;
}
