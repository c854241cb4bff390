/* The sender: one thread with a connection of its own that claims messages, has them sent, and writes down what came of
 * each. What it knows of receivers it reads anew every second; what it holds in memory is claimed, so nothing is lost with
 * it. connect/http_out.h calls back on a thread of its own, which only puts results into a list and wakes this one. */
#include "webhooks_priv.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/connect/http_out.h"
#include "meros/service/listener.h"
#include "meros/store/segment_changes.h"
#include "meros/store/webhooks.h"

enum {
    LOOK_MS = 1000,
    TURN_MS = 5,         /* between two turns with the database, while there is more to do */
    UNSETTLED_MAX = 128, /* or sooner, when so many messages are finished */
    TIDY_MS = 60000,
    RETRY_MS = 500,
    AHEAD_MAX = 64,      /* messages claimed and not yet in flight, of a receiver that is quick */
    HOLD_S = 30,         /* how long at most; then they are given back */
    LEASE_MARGIN_S = 15, /* of the lease, beyond holding and sending */
    STATEMENT_MS = 120000,
    BODY_MAX = 256 << 10,
    RETRY_AFTER_MAX_S = 86400
};
static const int64_t MS = 1000000, S = 1000000000;

static struct metric_family seconds_family = {
    .name = "meros_webhook_seconds", .help = "How long receivers of webhooks took to answer, or not to.", .kind = METRIC_HISTOGRAM};
struct list {
    struct webhook_message *first, **end;
    size_t n;
};

struct receiver {
    int64_t webhook_no;
    char *name, *url;
    struct webhook_secret secret, old;
    bool seen;         /* when the webhooks were last read */
    bool usable;       /* seen, with all that is needed for sending */
    bool said;         /* that its secret cannot be read */
    int64_t failures, last_success_at;
    int64_t rest_until_ns;
    int in_flight;
    struct list queue; /* claimed, not yet sent */
    int64_t ahead;     /* how many to hold in it */
};

struct webhook_sender {
    struct service *svc;
    struct http_out *out;
    pthread_t thread;
    bool started;
    double give_up_s, lease_s;
    /* under the lock */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct list finished;
    bool poked, changed, stop;
    int stop_ms;
    /* the thread's */
    struct store_conn *conn;
    struct receiver *receivers[WEBHOOKS_MAX];
    size_t n;
    struct list unsettled; /* finished, and not written down yet */
    int64_t turn_ns;          /* when the database may be asked again */
    int64_t load_ns, tidy_ns; /* when it is due; 0: now */
    bool began;   /* connected once */
    bool failing; /* the last round did not go well; said once */
};

/* --- lists */

static void list_init(struct list *l)
{
    l->first = NULL;
    l->end = &l->first;
    l->n = 0;
}

static void list_add(struct list *l, struct webhook_message *m)
{
    m->next = NULL;
    *l->end = m;
    l->end = &m->next;
    l->n++;
}

static struct webhook_message *list_take(struct list *l)
{
    struct webhook_message *m = l->first;
    if (m == NULL) return NULL;
    l->n--;
    l->first = m->next;
    if (l->first == NULL) l->end = &l->first;
    return m;
}

static void message_free(struct webhook_message *m)
{
    buf_done(&m->body);
    free(m);
}

/* --- receivers */

static struct receiver *receiver_of(struct webhook_sender *s, int64_t webhook_no)
{
    for (size_t i = 0; i < s->n; i++) {
        if (s->receivers[i]->webhook_no == webhook_no) return s->receivers[i];
    }
    return NULL;
}

static void receiver_free(struct receiver *r)
{
    crypto_wipe(&r->secret, sizeof r->secret);
    crypto_wipe(&r->old, sizeof r->old);
    free(r->name);
    free(r->url);
    free(r);
}

static bool set_text(char **to, struct str text)
{
    if (*to != NULL && str_is(text, *to)) return true;
    char *copy = strndup(text.p, text.n);
    if (copy == NULL) return false;
    free(*to);
    *to = copy;
    return true;
}

static void give_back_queue(struct webhook_sender *s, struct receiver *r)
{
    for (struct webhook_message *m; (m = list_take(&r->queue)) != NULL;) {
        m->came = WEBHOOK_BACK;
        list_add(&s->unsettled, m);
    }
}

static void note_receiver(void *arg, const struct webhook_row *w)
{
    struct webhook_sender *s = arg;
    struct receiver *r = receiver_of(s, w->webhook_no);
    if (r == NULL) {
        if (s->n == WEBHOOKS_MAX || (r = calloc(1, sizeof *r)) == NULL) return; /* seen again in a second */
        r->webhook_no = w->webhook_no;
        r->ahead = WEBHOOK_IN_FLIGHT;
        list_init(&r->queue);
        s->receivers[s->n++] = r;
    }
    r->seen = true;
    r->usable = set_text(&r->name, w->name) && set_text(&r->url, w->url) && webhook_unseal(s->svc, w->secret, &r->secret);
    if (!webhook_unseal(s->svc, w->old_secret, &r->old)) r->old.n = 0;
    if (!r->usable && !r->said)
        log_error("webhook.secret", KV("webhook", r->name == NULL ? "" : r->name),
                  KV("advice", "its secret was sealed with another pii_key; put it again with rotate_secret"));
    r->said = !r->usable;
    r->failures = w->failures;
    r->last_success_at = w->last_success_at;
    r->rest_until_ns = w->resting_seconds > 0 ? clock_mono_ns() + (int64_t)(w->resting_seconds * 1e9) : 0;
}

static enum meros_code load(struct webhook_sender *s, struct meros_err *err)
{
    for (size_t i = 0; i < s->n; i++) s->receivers[i]->seen = s->receivers[i]->usable = false;
    enum meros_code rc = store_webhooks_enabled(s->conn, note_receiver, s, err);
    if (rc != MEROS_OK) return rc;
    s->load_ns = clock_mono_ns() + LOOK_MS * MS;
    for (size_t i = 0; i < s->n;) {
        struct receiver *r = s->receivers[i];
        if (!r->usable) give_back_queue(s, r);
        if (!r->seen && r->in_flight == 0) {
            receiver_free(r);
            s->receivers[i] = s->receivers[--s->n];
        } else {
            i++;
        }
    }
    return MEROS_OK;
}

/* --- sending */

static void on_done(void *arg, const struct http_out_result *x)
{
    struct webhook_message *m = arg;
    struct webhook_sender *s = m->sender;
    m->status = x->status;
    m->retry_after = x->retry_after > RETRY_AFTER_MAX_S ? RETRY_AFTER_MAX_S : x->retry_after;
    if (x->outcome == HTTP_OUT_CANCELLED) m->came = WEBHOOK_BACK;
    else m->came = x->status >= 200 && x->status < 300 ? WEBHOOK_DELIVERED : WEBHOOK_FAILED;
    if (x->status != 0) snprintf(m->error, sizeof m->error, "It answered %d.", x->status);
    else snprintf(m->error, sizeof m->error, "Not delivered: %s.", x->error);
    metric_observe(metric(&seconds_family, NULL), x->seconds);
    pthread_mutex_lock(&s->lock);
    list_add(&s->finished, m);
    s->poked = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static bool submit(struct webhook_sender *s, struct receiver *r, struct webhook_message *m)
{
    char signature[WEBHOOK_SIGNATURE_CAP], timestamp[24];
    struct meros_err err = MEROS_ERR_INIT;
    const int64_t now = clock_now() / TIME_SECOND;
    const struct str body = {m->body.data, m->body.len};
    if (!webhook_sign(&r->secret, &r->old, m->id, now, body, signature)) return false;
    snprintf(timestamp, sizeof timestamp, "%lld", (long long)now);
    const struct http_out_header headers[] = {{"Content-Type", "application/json"},
                                              {"User-Agent", "Meros/" MEROS_VERSION},
                                              {"webhook-id", m->id},
                                              {"webhook-timestamp", timestamp},
                                              {"webhook-signature", signature}};
    return http_out_submit(s->out,
                           &(struct http_out_request){.url = r->url,
                                                      .headers = headers,
                                                      .n_headers = sizeof headers / sizeof headers[0],
                                                      .body = body,
                                                      .done = on_done,
                                                      .arg = m},
                           &err) == MEROS_OK;
}

static int window(const struct receiver *r)
{
    return r->failures >= WEBHOOK_RESTS_AFTER ? 1 : WEBHOOK_IN_FLIGHT;
}

static void send_queued(struct webhook_sender *s)
{
    const int64_t now = clock_mono_ns();
    for (size_t i = 0; i < s->n; i++) {
        struct receiver *r = s->receivers[i];
        if (r->queue.first != NULL && now - r->queue.first->claimed_ns > HOLD_S * S) {
            give_back_queue(s, r);
            r->ahead = WEBHOOK_IN_FLIGHT;
        }
        while (r->queue.first != NULL && r->in_flight < window(r)) {
            struct webhook_message *m = list_take(&r->queue);
            if (submit(s, r, m)) {
                r->in_flight++;
                continue;
            }
            m->came = WEBHOOK_BACK; /* no memory */
            list_add(&s->unsettled, m);
            break;
        }
    }
}

/* --- claiming */

static void take_claimed(void *arg, const struct outbox_message *x)
{
    struct webhook_sender *s = arg;
    struct receiver *r = receiver_of(s, x->webhook_no);
    struct webhook_message *m = r == NULL ? NULL : calloc(1, sizeof *m);
    if (m == NULL) return; /* due again when the lease is over */
    m->sender = s;
    m->webhook_no = x->webhook_no;
    m->delivery_no = x->delivery_no;
    m->attempts = x->attempts;
    m->created_at = x->created_at;
    m->claimed_ns = clock_mono_ns();
    buf_init(&m->body, BODY_MAX);
    if (x->about != OUTBOX_GONE) webhook_body(&m->body, x, str_of(r->name));
    if (x->about == OUTBOX_GONE) {
        m->came = WEBHOOK_GONE;
        list_add(&s->unsettled, m);
    } else if (m->body.failed || !str_copy(m->id, sizeof m->id, x->id)) {
        m->came = WEBHOOK_FAILED;
        snprintf(m->error, sizeof m->error, "Not delivered: there was no memory for the message.");
        list_add(&s->unsettled, m);
    } else {
        list_add(&r->queue, m);
    }
}

/* How many more to claim for it. A quick receiver is given more ahead, so that a claim serves many messages. */
static int64_t wanted(struct receiver *r, bool probing, int64_t now)
{
    if (!r->usable || now < r->rest_until_ns || probing != (window(r) == 1)) return 0;
    if (probing) return r->in_flight == 0 && r->queue.n == 0;
    return (int64_t)r->queue.n > r->ahead / 2 ? 0 : r->ahead - (int64_t)r->queue.n;
}

/* Claims for those that are well, or for those that are tried with a single message. *out_more: perhaps more is due. */
static enum meros_code claim(struct webhook_sender *s, bool probing, bool *out_more, struct meros_err *err)
{
    int64_t nos[WEBHOOKS_MAX], wants[WEBHOOKS_MAX], before[WEBHOOKS_MAX], now = clock_mono_ns();
    struct receiver *asked[WEBHOOKS_MAX];
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) {
        struct receiver *r = s->receivers[i];
        if ((wants[n] = wanted(r, probing, now)) == 0) continue;
        nos[n] = r->webhook_no;
        before[n] = (int64_t)r->queue.n;
        asked[n++] = r;
    }
    if (n == 0) return MEROS_OK;
    enum meros_code rc = store_outbox_claim(s->conn, nos, wants, n, probing, s->lease_s, take_claimed, s, err);
    for (size_t i = 0; rc == MEROS_OK && i < n && !probing; i++) {
        bool all = (int64_t)asked[i]->queue.n - before[i] == wants[i];
        if (!all) continue;
        *out_more = true;
        if (before[i] == 0 && asked[i]->ahead < AHEAD_MAX) asked[i]->ahead *= 2;
    }
    return rc;
}

/* --- rounds */

/* Of finished messages: their receivers have room again. */
static void take_finished(struct webhook_sender *s)
{
    pthread_mutex_lock(&s->lock);
    struct list finished = s->finished;
    if (finished.first == NULL) finished.end = &finished.first;
    list_init(&s->finished);
    pthread_mutex_unlock(&s->lock);
    for (struct webhook_message *m; (m = list_take(&finished)) != NULL;) {
        struct receiver *r = receiver_of(s, m->webhook_no);
        if (r != NULL) {
            r->in_flight--;
            bool old = (double)(clock_now() - m->created_at) > s->give_up_s * (double)TIME_SECOND;
            m->drop = m->came == WEBHOOK_FAILED && old && r->last_success_at != TIME_NONE && r->last_success_at > m->created_at;
            if (m->came == WEBHOOK_FAILED) r->ahead = WEBHOOK_IN_FLIGHT;
            if (m->came == WEBHOOK_DELIVERED && r->failures > 0) s->load_ns = 0; /* it is well again */
        }
        list_add(&s->unsettled, m);
    }
}

static enum meros_code settle(struct webhook_sender *s, struct meros_err *err)
{
    bool changed = false;
    if (s->unsettled.first == NULL) return MEROS_OK;
    enum meros_code rc = webhook_settle(s->conn, s->unsettled.first, s->give_up_s, &changed, err);
    if (rc != MEROS_OK) return rc;
    for (struct webhook_message *m; (m = list_take(&s->unsettled)) != NULL;) message_free(m);
    if (changed) s->load_ns = 0;
    return MEROS_OK;
}

static enum meros_code tidy(struct webhook_sender *s, struct meros_err *err)
{
    int64_t dropped = 0;
    enum meros_code rc = store_outbox_tidy(s->conn, WEBHOOK_OUTBOX_MAX, WEBHOOK_KEPT_DAYS, &dropped, err);
    if (rc != MEROS_OK) return rc;
    s->tidy_ns = clock_mono_ns() + TIDY_MS * MS;
    if (dropped > 0) log_warn("webhook.outbox_full", KV_I("dropped", dropped), KV_I("most", WEBHOOK_OUTBOX_MAX));
    return MEROS_OK;
}

/* Those that rest, or that a failure has just made rest, hold nothing. */
static void clear_resting(struct webhook_sender *s)
{
    const int64_t now = clock_mono_ns();
    for (size_t i = 0; i < s->n; i++) {
        struct receiver *r = s->receivers[i];
        if (now < r->rest_until_ns || (r->failures >= WEBHOOK_RESTS_AFTER && r->queue.n > 1)) give_back_queue(s, r);
    }
}

static enum meros_code turn(struct webhook_sender *s, bool *out_more, struct meros_err *err)
{
    enum meros_code rc = settle(s, err);
    const int64_t now = clock_mono_ns();
    if (rc == MEROS_OK && now >= s->tidy_ns) rc = tidy(s, err);
    if (rc == MEROS_OK && now >= s->load_ns) rc = load(s, err);
    if (rc != MEROS_OK) return rc;
    clear_resting(s);
    rc = claim(s, false, out_more, err);
    if (rc == MEROS_OK) rc = claim(s, true, out_more, err);
    send_queued(s);
    /* What was given back or found to be gone is written down now rather than in a second. */
    return rc != MEROS_OK ? rc : settle(s, err);
}

static enum meros_code connect_first(struct webhook_sender *s, struct meros_err *err)
{
    int64_t n = 0;
    enum meros_code rc = store_connect(s->svc->store, &s->conn, err);
    if (rc == MEROS_OK) rc = store_set_timeout(s->conn, STATEMENT_MS, err);
    if (rc == MEROS_OK) rc = store_outbox_session(s->conn, err);
    /* Nobody else uses an embedded database: what is claimed was so by a process that is no more. */
    if (rc == MEROS_OK && s->svc->cluster != NULL && !s->began) rc = store_outbox_orphan(s->conn, &n, err);
    s->began = s->began || rc == MEROS_OK;
    return rc;
}

/* What was finished makes room for what is queued; the database is asked for many messages at once, so that a quick
 * receiver does not wait for it after each. */
static void one_round(struct webhook_sender *s, int *out_wait_ms)
{
    struct meros_err err = MEROS_ERR_INIT;
    bool more = false;
    take_finished(s);
    send_queued(s);
    int64_t left = s->turn_ns - clock_mono_ns();
    if (left > 0 && (s->conn == NULL || s->unsettled.n < UNSETTLED_MAX)) {
        *out_wait_ms = (int)(left / MS) + 1;
        return;
    }
    enum meros_code rc = s->conn != NULL ? MEROS_OK : connect_first(s, &err);
    if (rc == MEROS_OK) rc = turn(s, &more, &err);
    if (rc == MEROS_OK) {
        s->turn_ns = clock_mono_ns() + TURN_MS * MS;
        *out_wait_ms = more || s->unsettled.n > 0 ? TURN_MS : LOOK_MS;
        s->failing = false;
        return;
    }
    if (rc != MEROS_UNAVAILABLE && !s->failing) log_error("webhooks.sender", KV("detail", err.detail));
    s->failing = true;
    store_disconnect(s->conn); /* NULL is fine; whatever was wrong with it, a new one is clean */
    s->conn = NULL;
    s->turn_ns = clock_mono_ns() + RETRY_MS * MS;
    *out_wait_ms = RETRY_MS;
}

/* Until woken, or so many milliseconds, or the end of a rest; true: stop. */
static bool wait_for_work(struct webhook_sender *s, int wait_ms)
{
    int64_t until = clock_mono_ns() + wait_ms * MS;
    for (size_t i = 0; i < s->n && !s->failing; i++) {
        const struct receiver *r = s->receivers[i];
        if (r->rest_until_ns > clock_mono_ns() && r->rest_until_ns < until) until = r->rest_until_ns;
    }
    struct timespec t = {.tv_sec = until / S, .tv_nsec = until % S};
    pthread_mutex_lock(&s->lock);
    while (!s->poked && !s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &t) == 0) {}
    s->poked = false;
    if (s->changed) s->load_ns = 0;
    s->changed = false;
    bool stop = s->stop;
    pthread_mutex_unlock(&s->lock);
    return stop;
}

static void *sender_main(void *arg)
{
    struct webhook_sender *s = arg;
    struct meros_err err = MEROS_ERR_INIT;
    int wait_ms = 0;
    while (!wait_for_work(s, wait_ms)) one_round(s, &wait_ms);
    http_out_stop(s->out, s->stop_ms); /* every message in flight is in the list then */
    take_finished(s);
    for (size_t i = 0; i < s->n; i++) give_back_queue(s, s->receivers[i]);
    if (s->conn != NULL && settle(s, &err) != MEROS_OK) log_warn("webhooks.give_back", KV("detail", err.detail));
    store_disconnect(s->conn);
    return NULL;
}

/* --- from outside */

static void poke(struct webhook_sender *s, bool changed)
{
    pthread_mutex_lock(&s->lock);
    s->poked = true;
    s->changed = s->changed || changed;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

static void on_change(void *arg, const char *payload)
{
    (void)payload;
    poke(arg, true);
}

static void on_segments(void *arg, const char *payload)
{
    (void)payload;
    poke(arg, false);
}

enum meros_code webhooks_start(struct service *svc, struct meros_err *err)
{
    struct webhook_sender *s = calloc(1, sizeof *s);
    const struct http_out_config out = {.in_flight_max = WEBHOOKS_MAX * WEBHOOK_IN_FLIGHT, /* room for each, so none waits for another */
                                        .timeout_ms = svc->settings.webhook_timeout_ms,
                                        .connect_timeout_ms = svc->settings.webhook_timeout_ms < 5000 ? svc->settings.webhook_timeout_ms : 5000,
                                        .allow_private = svc->settings.webhook_allow_private,
                                        .ca_file = svc->settings.webhook_ca_file};
    if (s == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for webhooks.");
    s->svc = svc;
    s->give_up_s = svc->settings.webhook_give_up_hours * 3600;
    s->lease_s = HOLD_S + LEASE_MARGIN_S + svc->settings.webhook_timeout_ms * 1e-3;
    list_init(&s->finished);
    list_init(&s->unsettled);
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    svc->webhooks = s;
    enum meros_code rc = listener_subscribe(svc, STORE_WEBHOOKS_CHANNEL, on_change, s, err);
    if (rc == MEROS_OK) rc = listener_subscribe(svc, STORE_CHANGES_CHANNEL, on_segments, s, err);
    if (rc == MEROS_OK) rc = http_out_start(&out, &s->out, err);
    if (rc == MEROS_OK) rc = thread_start(&s->thread, "webhooks", 0, sender_main, s, err);
    if (rc != MEROS_OK) {
        webhooks_free(svc);
        return rc;
    }
    s->started = true;
    return MEROS_OK;
}

void webhooks_stop(struct service *svc, int deadline_ms)
{
    struct webhook_sender *s = svc->webhooks;
    if (s == NULL || !s->started) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    s->stop_ms = deadline_ms;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
}

void webhooks_free(struct service *svc)
{
    struct webhook_sender *s = svc->webhooks;
    if (s == NULL) return;
    http_out_stop(s->out, 0);
    http_out_free(s->out);
    for (size_t i = 0; i < s->n; i++) receiver_free(s->receivers[i]);
    for (struct webhook_message *m; (m = list_take(&s->unsettled)) != NULL;) message_free(m); /* the database was away: their leases run out */
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
    svc->webhooks = NULL;
}
