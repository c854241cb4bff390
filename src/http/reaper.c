/* Time-outs. libmicrohttpd knows only inactivity, which a client that sends a byte now and then never shows, and
 * watches no suspended connection. So one thread walks the registry of connections and cuts, with shutdown(2), those
 * that are too slow: in sending headers, in sending a body, in taking the answer, or idle too long. The kernel's own
 * counters (TCP_INFO) tell what has arrived and what was taken.
 *
 * A descriptor is used only under conns_lock: its connection leaves the registry, under that lock, before libmicrohttpd
 * closes it. */
#include "http_priv.h"

#include <netinet/in.h>
#include <linux/tcp.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include "meros/base/log.h"
#include "meros/base/thread.h"

/* What a streamed body, or the taking of an answer, must reach on average once it has gone on for the idle time-out. */
enum { FLOOR_BYTES_PER_S = 1024 };

static void tcp_look(int fd, struct tcp_info *out)
{
    socklen_t n = sizeof *out;
    memset(out, 0, sizeof *out);
    if (getsockopt(fd, IPPROTO_TCP, TCP_INFO, out, &n) != 0) memset(out, 0, sizeof *out);
}

static void cut(struct conn *c, const char *why)
{
    c->cut = true;
    shutdown(c->fd, SHUT_RDWR);
    log_debug("http.cut", KV("why", why));
}

/* The client has closed its side while more of a request is due. libmicrohttpd 0.9.75 misses that when the FIN comes with
 * the last data: its edge-triggered epoll tells once, it reads once, and not to the end. Seen twice, so that what came
 * before has been read by now, closing our reading side tells it again. */
static void check_hangup(struct conn *c, const struct tcp_info *info, bool first_look)
{
    enum { CLOSE_WAIT = 8 }; /* TCP_CLOSE_WAIT of netinet/tcp.h, which does not go with linux/tcp.h */
    bool hung_up = info->tcpi_state == CLOSE_WAIT;
    if (hung_up && !first_look && c->hung_up) shutdown(c->fd, SHUT_RD);
    c->hung_up = hung_up;
}

/* No request line yet: quiet is fine for idle_timeout, but a line that has begun must be followed by the rest. */
static void check_idle(const struct http_config *cf, struct conn *c, int64_t since, int64_t now, bool first_look)
{
    struct tcp_info info;
    if (now - since > (int64_t)cf->idle_timeout_s * 1000) {
        cut(c, "idle");
        return;
    }
    tcp_look(c->fd, &info);
    check_hangup(c, &info, first_look);
    uint64_t received = info.tcpi_bytes_received;
    if (first_look) {
        /* A new connection begins at zero; of a kept one, what came before this look is the last request's. */
        c->base_bytes = c->seen_turn <= 1 ? 0 : received;
        c->first_byte_ms = 0;
    }
    if (received > c->base_bytes && c->first_byte_ms == 0) c->first_byte_ms = now;
    if (c->first_byte_ms != 0 && now - c->first_byte_ms > (int64_t)cf->header_timeout_s * 1000) cut(c, "slow headers");
}

static void fail_body(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    if (r->in != NULL && !r->in->eof) r->in->failed = MEROS_REQUEST_TIMEOUT;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
}

static void check_body(const struct http_config *cf, struct conn *c, struct http_request *r, int64_t since, int64_t now,
                       bool first_look)
{
    uint64_t bytes = atomic_load_explicit(&r->bytes_in, memory_order_relaxed);
    pthread_mutex_lock(&r->lock);
    bool streamed = r->in != NULL, ours = r->suspended; /* suspended: it is us who do not read */
    pthread_mutex_unlock(&r->lock);
    if (!ours) {
        struct tcp_info info;
        tcp_look(c->fd, &info);
        check_hangup(c, &info, first_look || bytes != c->seen_bytes);
    }
    if (first_look) c->waited_ms = 0;
    if (first_look || bytes != c->seen_bytes || ours) {
        if (!first_look && !ours) c->waited_ms += now - c->seen_ms;
        c->seen_bytes = bytes;
        c->seen_ms = now;
    }
    int64_t quiet = now - c->seen_ms, idle_max = (int64_t)cf->body_idle_timeout_s * 1000, waited = c->waited_ms + quiet;
    bool slow = streamed ? waited > idle_max && bytes < (uint64_t)(waited / 1000) * FLOOR_BYTES_PER_S
                         : now - since > (int64_t)cf->request_timeout_s * 1000;
    if (quiet <= idle_max && !slow) return;
    fail_body(r);
    cut(c, slow ? "slow body" : "body stopped");
}

static void check_sending(const struct http_config *cf, struct conn *c, struct http_request *r, int64_t since, int64_t now,
                          bool first_look)
{
    pthread_mutex_lock(&r->lock);
    struct http_stream *st = r->stream;
    bool waiting = st == NULL || st->out.len > st->head;
    struct pollfd p = {.fd = c->fd, .events = POLLRDHUP};
    if (st != NULL && !waiting && poll(&p, 1, 0) > 0) stream_kill_locked(r); /* its client is gone */
    pthread_mutex_unlock(&r->lock);
    struct tcp_info info;
    tcp_look(c->fd, &info);
    uint64_t acked = info.tcpi_bytes_acked;
    if (first_look) c->base_bytes = acked;
    if (first_look || acked != c->seen_bytes || !waiting) {
        c->seen_bytes = acked;
        c->seen_ms = now;
    }
    int64_t idle_max = (int64_t)cf->body_idle_timeout_s * 1000;
    bool slow = st == NULL && now - since > idle_max &&
                acked - c->base_bytes < (uint64_t)((now - since) / 1000) * FLOOR_BYTES_PER_S;
    if (now - c->seen_ms <= idle_max && !slow) return;
    /* What the kernel still holds for this reader, often megabytes, is dropped with the connection. */
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &(struct linger){.l_onoff = 1}, sizeof(struct linger));
    cut(c, "slow reader");
}

static void check(const struct http_config *cf, struct conn *c, int64_t now)
{
    uint32_t turn = atomic_load_explicit(&c->turn, memory_order_acquire);
    int64_t since = atomic_load_explicit(&c->since_ms, memory_order_relaxed);
    int phase = atomic_load_explicit(&c->phase, memory_order_relaxed);
    bool first_look = turn != c->seen_turn;
    c->seen_turn = turn;
    if (c->cut) return;
    if (phase == CONN_IDLE) {
        check_idle(cf, c, since, now, first_look);
        return;
    }
    if (phase == CONN_HEADERS) {
        struct tcp_info info;
        tcp_look(c->fd, &info);
        check_hangup(c, &info, first_look);
        if (now - since > (int64_t)cf->header_timeout_s * 1000) cut(c, "slow headers");
        return;
    }
    if (phase == CONN_HANDLING) return;
    pthread_mutex_lock(&c->lock);
    if (c->req != NULL) {
        if (phase == CONN_BODY) check_body(cf, c, c->req, since, now, first_look);
        else check_sending(cf, c, c->req, since, now, first_look);
    }
    pthread_mutex_unlock(&c->lock);
}

static long tick_ms(const struct http_config *cf)
{
    int least = cf->idle_timeout_s;
    if (cf->header_timeout_s < least) least = cf->header_timeout_s;
    if (cf->body_idle_timeout_s < least) least = cf->body_idle_timeout_s;
    if (cf->request_timeout_s < least) least = cf->request_timeout_s;
    return least < 5 ? 100 : 500;
}

static void *reaper(void *arg)
{
    struct http_server *s = arg;
    long tick = tick_ms(&s->config);
    pthread_mutex_lock(&s->conns_lock);
    while (!s->reaper_stop) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += tick * 1000000;
        until.tv_sec += until.tv_nsec / 1000000000;
        until.tv_nsec %= 1000000000;
        pthread_cond_timedwait(&s->reaper_wake, &s->conns_lock, &until);
        int64_t now = now_ms();
        for (struct conn *c = s->conns; c != NULL; c = c->next) check(&s->config, c, now);
    }
    pthread_mutex_unlock(&s->conns_lock);
    return NULL;
}

enum meros_code reaper_start(struct http_server *s, struct meros_err *err)
{
    enum meros_code rc = thread_start(&s->reaper, "http-reaper", 0, reaper, s, err);
    s->reaper_started = rc == MEROS_OK;
    return rc;
}

void reaper_stop(struct http_server *s)
{
    if (!s->reaper_started) return;
    pthread_mutex_lock(&s->conns_lock);
    s->reaper_stop = true;
    pthread_cond_signal(&s->reaper_wake);
    pthread_mutex_unlock(&s->conns_lock);
    pthread_join(s->reaper, NULL);
    s->reaper_started = false;
}

void conns_close_idle(struct http_server *s)
{
    pthread_mutex_lock(&s->conns_lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next)
        if (atomic_load_explicit(&c->phase, memory_order_relaxed) == CONN_IDLE) shutdown(c->fd, SHUT_RD);
    pthread_mutex_unlock(&s->conns_lock);
}

/* Runs fn on every live request. */
static void each_request(struct http_server *s, void (*fn)(struct conn *c, struct http_request *r))
{
    pthread_mutex_lock(&s->conns_lock);
    for (struct conn *c = s->conns; c != NULL; c = c->next) {
        pthread_mutex_lock(&c->lock);
        if (c->req != NULL) {
            pthread_mutex_lock(&c->req->lock);
            fn(c, c->req);
            pthread_mutex_unlock(&c->req->lock);
        }
        pthread_mutex_unlock(&c->lock);
    }
    pthread_mutex_unlock(&s->conns_lock);
}

static void end_events(struct conn *c, struct http_request *r)
{
    (void)c;
    if (r->stream == NULL || !r->stream->events) return;
    r->stream->ended = true;
    request_wake_locked(r);
    pthread_cond_broadcast(&r->changed);
}

void conns_end_streams(struct http_server *s)
{
    each_request(s, end_events);
}

static void cut_request(struct conn *c, struct http_request *r)
{
    cut(c, "the server stops");
    if (r->in != NULL && !r->in->eof) r->in->failed = MEROS_CANCELLED;
    /* A connection that waits for its handler stays suspended until the handler is through: it reads the headers. */
    if (r->stream != NULL) stream_kill_locked(r);
    else if (r->in != NULL && r->in->paused) request_wake_locked(r);
    pthread_cond_broadcast(&r->changed);
}

void conns_cut(struct http_server *s)
{
    each_request(s, cut_request);
}
