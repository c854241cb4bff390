/* The callbacks of libmicrohttpd: one connection's requests, step by step. All of this runs on HTTP threads and never
 * blocks. What libmicrohttpd 0.9.75 expects of its handler, and this file relies on:
 *   - it is called once when the headers are there (and again after a suspension in that state); an answer queued then
 *     stops the body from being read and closes the connection, so only refusals of a body are queued then;
 *   - then with each piece of the body: all of it must be taken, or none and the connection suspended; no answer can be
 *     queued then;
 *   - then, complete, with no data: here the answer is queued, or the connection suspended and this call repeated. */
#include "http_priv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"

enum {
    DISCARD_KEEP_MAX = 64 * 1024,         /* a refused body up to this is read, so that the connection can be kept */
    DISCARD_MAX = 64 * 1024 * 1024        /* a chunked one past its limit: then the connection is cut */
};

void conn_phase_set(struct conn *c, enum conn_phase phase)
{
    atomic_store_explicit(&c->since_ms, now_ms(), memory_order_relaxed);
    atomic_store_explicit(&c->phase, (int)phase, memory_order_relaxed);
    atomic_fetch_add_explicit(&c->turn, 1, memory_order_release);
}

static struct conn *conn_of(struct MHD_Connection *mhd)
{
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    return info != NULL ? info->socket_context : NULL;
}

void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what)
{
    struct http_server *s = cls;
    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct conn *c = calloc(1, sizeof *c);
        const union MHD_ConnectionInfo *info = MHD_get_connection_info(mhd, MHD_CONNECTION_INFO_CONNECTION_FD);
        *context = c; /* NULL: its first request is answered by closing it */
        if (c == NULL) return;
        c->fd = info != NULL ? info->connect_fd : -1;
        c->loop = loop_here(s->loops);
        pthread_mutex_init(&c->lock, NULL);
        conn_phase_set(c, CONN_IDLE);
        atomic_fetch_add_explicit(&open_connections, 1, memory_order_relaxed);
        pthread_mutex_lock(&s->conns_lock);
        c->next = s->conns;
        if (c->next != NULL) c->next->prev = c;
        s->conns = c;
        loop_connected(c->fd);
        pthread_mutex_unlock(&s->conns_lock);
        return;
    }
    struct conn *c = *context;
    *context = NULL;
    if (c == NULL) return;
    /* Before libmicrohttpd closes the socket: whoever holds conns_lock may use fd. */
    pthread_mutex_lock(&s->conns_lock);
    if (c->prev != NULL) c->prev->next = c->next;
    else s->conns = c->next;
    if (c->next != NULL) c->next->prev = c->prev;
    loop_forget(c->fd);
    pthread_mutex_unlock(&s->conns_lock);
    atomic_fetch_sub_explicit(&open_connections, 1, memory_order_relaxed);
    pthread_mutex_destroy(&c->lock);
    free(c->spare);
    free(c);
}

void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd)
{
    struct http_server *s = cls;
    struct conn *c = conn_of(mhd);
    if (c == NULL) return NULL;
    struct http_request *r = request_new(s, mhd, c, uri != NULL ? uri : "");
    if (r == NULL) return NULL;
    atomic_fetch_add_explicit(&s->in_flight, 1, memory_order_relaxed);
    atomic_fetch_add_explicit(&in_flight_requests, 1, memory_order_relaxed);
    pthread_mutex_lock(&c->lock);
    c->req = r;
    pthread_mutex_unlock(&c->lock);
    conn_phase_set(c, CONN_HEADERS);
    return r;
}

void on_completed(void *cls, struct MHD_Connection *mhd, void **req_cls, enum MHD_RequestTerminationCode why)
{
    struct http_server *s = cls;
    struct http_request *r = *req_cls;
    (void)mhd;
    *req_cls = NULL;
    if (r == NULL) return;
    struct conn *c = r->conn;
    pthread_mutex_lock(&c->lock);
    c->req = NULL;
    pthread_mutex_unlock(&c->lock);
    conn_phase_set(c, CONN_IDLE);
    pthread_mutex_lock(&r->lock);
    r->gone = true;
    enum meros_code (*make)(struct http_request *, void *, struct meros_err *) = r->make_reply;
    r->make_reply = NULL;
    bool streamed = r->stream != NULL;
    struct MHD_Response *unsent = r->response;
    r->response = NULL;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    if (unsent != NULL) MHD_destroy_response(unsent);
    if (make != NULL) { /* the client went before it could be answered; what the answer would tell of is to be noted all the same */
        struct meros_err err;
        err_begin(&err);
        (void)make(r, r->make_reply_arg, &err);
    }
    /* Without an answer of ours: libmicrohttpd's own refusal of the headers, or the client went away. */
    account(r, r->phase == REQ_SENT ? r->reply.status : why == MHD_REQUEST_TERMINATED_COMPLETED_OK ? 400 : 499, streamed);
    request_retire(r, c);
    atomic_fetch_sub_explicit(&in_flight_requests, 1, memory_order_relaxed);
    atomic_fetch_sub_explicit(&s->in_flight, 1, memory_order_release);
}

/* Gives the answer to libmicrohttpd. */
static enum MHD_Result queue_answer(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    struct MHD_Response *m = r->response;
    r->response = NULL;
    pthread_mutex_unlock(&r->lock);
    if (m == NULL) return MHD_NO;
    r->phase = REQ_SENT;
    conn_phase_set(r->conn, CONN_SENDING);
    enum MHD_Result rc = MHD_queue_response(r->mhd, (unsigned)r->reply.status, m);
    MHD_destroy_response(m);
    return rc;
}

static enum MHD_Result finish_here(struct http_request *r, enum meros_code code, const struct meros_err *err)
{
    if (request_finish_inline(r, code, err)) return queue_answer(r);
    r->phase = REQ_WAIT;
    conn_phase_set(r->conn, CONN_HANDLING);
    return MHD_YES;
}

/* Answers an error found before the body was read. */
static enum MHD_Result refuse(struct http_request *r, const struct meros_err *err)
{
    if (err->close || (r->has_body && (r->chunked || r->expect_continue || r->content_length > DISCARD_KEEP_MAX))) {
        r->close_after = true;
        return finish_here(r, err->code, err);
    }
    request_refuse(r, err);
    if (r->refusal == NULL) return MHD_NO;
    r->phase = r->has_body ? REQ_DISCARD : REQ_READY;
    conn_phase_set(r->conn, r->has_body ? CONN_BODY : CONN_HANDLING);
    return MHD_YES;
}

static enum MHD_Result refuse_busy(struct http_request *r)
{
    struct meros_err err;
    err_begin(&err);
    err_set(&err, MEROS_UNAVAILABLE, "Too many requests are waiting already; try again in a moment.");
    return refuse(r, &err);
}

static enum MHD_Result start_stream(struct http_request *r)
{
    struct pool *p = &r->server->slow;
    r->in = calloc(1, sizeof *r->in);
    if (r->in != NULL) r->in->ring = malloc(BODY_RING);
    if (r->in == NULL || r->in->ring == NULL || atomic_load_explicit(&p->depth, memory_order_relaxed) >= p->max)
        return refuse_busy(r);
    request_keep_headers(r); /* the client may go while the handler still runs */
    r->phase = REQ_STREAM;
    conn_phase_set(r->conn, CONN_BODY);
    return pool_submit(p, r, TASK_HANDLE) ? MHD_YES : refuse_busy(r);
}

/* The headers are fine; what next? */
static enum MHD_Result accept_request(struct http_request *r)
{
    const struct http_route *route = r->route;
    if (route->body == HTTP_BODY_STREAM) return start_stream(r);
    if (!r->has_body) {
        r->phase = REQ_READY;
        return MHD_YES;
    }
    size_t max = route->body_max > 0 ? route->body_max : r->server->config.body_max;
    buf_init(&r->body, route->body == HTTP_BODY_NONE ? 0 : max);
    r->phase = REQ_BODY;
    conn_phase_set(r->conn, CONN_BODY);
    return MHD_YES;
}

static enum MHD_Result after_auth(struct http_request *r)
{
    struct meros_err err;
    err_begin(&err);
    if (r->refusal != NULL) {
        struct meros_err *refusal = r->refusal;
        r->refusal = NULL;
        enum MHD_Result rc = refuse(r, refusal);
        free(refusal);
        return rc;
    }
    return admit_rest(r, &err) != MEROS_OK ? refuse(r, &err) : accept_request(r);
}

/* Hands the suspended connection's request to a worker. */
static enum MHD_Result hand_over(struct http_request *r, struct pool *p, size_t queue_max, enum task task,
                                 enum request_phase phase)
{
    if (atomic_load_explicit(&p->depth, memory_order_relaxed) >= queue_max) return refuse_busy(r);
    r->phase = phase;
    conn_phase_set(r->conn, CONN_HANDLING);
    pthread_mutex_lock(&r->lock);
    request_suspend_locked(r);
    pthread_mutex_unlock(&r->lock);
    if (pool_submit(p, r, task)) return MHD_YES;
    struct meros_err err;
    err_begin(&err);
    err_set(&err, MEROS_UNAVAILABLE, "No thread could be started; try again in a moment.");
    r->phase = REQ_WAIT;
    request_finish(r, err.code, &err);
    return MHD_YES;
}

static enum MHD_Result begin(struct http_request *r, const char *method, const char *version)
{
    struct meros_err err;
    err_begin(&err);
    if (admit_framing(r, method, version, &err) != MEROS_OK || admit_route(r, &err) != MEROS_OK) return refuse(r, &err);
    if (r->reply.status != 0) { /* OPTIONS */
        r->phase = r->has_body ? REQ_DISCARD : REQ_READY;
        return r->has_body ? finish_here(r, MEROS_OK, NULL) : MHD_YES;
    }
    if (atomic_load_explicit(&r->server->stage, memory_order_relaxed) != STAGE_RUNNING) {
        err_set(&err, MEROS_UNAVAILABLE, "The service is stopping; try again.");
        err.close = true;
        return refuse(r, &err);
    }
    bool would_block = false;
    enum meros_code rc = admit_auth(r, false, &would_block, &err);
    if (would_block) return hand_over(r, &r->server->io, r->server->config.queue_max, TASK_AUTH, REQ_AUTH);
    return rc != MEROS_OK ? refuse(r, &err) : after_auth(r);
}

/* A body that turned out wrong: the rest of it is read and dropped, then the error is sent. */
static void refuse_body(struct http_request *r, enum meros_code code, const char *detail)
{
    struct meros_err err;
    err_begin(&err);
    err_set(&err, code, "%s", detail);
    err.close = true;
    request_refuse(r, &err);
    buf_done(&r->body);
    r->phase = REQ_DISCARD;
}

static enum MHD_Result stream_data(struct http_request *r, const char *data, size_t *data_n)
{
    size_t n = *data_n;
    pthread_mutex_lock(&r->lock);
    bool unwanted = r->answered || r->in->failed != MEROS_OK; /* what comes after the answer is of no use */
    bool room = n <= BODY_RING - r->in->len;
    bool paused = !unwanted && !room && request_suspend_locked(r);
    if (paused) r->in->paused = true;
    pthread_mutex_unlock(&r->lock);
    if (paused) return MHD_YES; /* and nothing taken: it is offered again */
    if (!unwanted && room) body_push(r, data, n);
    atomic_fetch_add_explicit(&r->bytes_in, n, memory_order_relaxed);
    *data_n = 0;
    return MHD_YES;
}

static enum MHD_Result on_data(struct http_request *r, const char *data, size_t *data_n)
{
    if (r->phase == REQ_STREAM) return stream_data(r, data, data_n);
    uint64_t total = atomic_fetch_add_explicit(&r->bytes_in, *data_n, memory_order_relaxed) + *data_n;
    if (r->phase == REQ_BODY) {
        buf_append(&r->body, data, *data_n);
        if (r->body.failed) {
            if (r->body.limit == 0) refuse_body(r, MEROS_INVALID, "This operation takes no body.");
            else refuse_body(r, MEROS_TOO_LARGE, "The body is larger than this operation takes.");
        }
    } else if (total > DISCARD_MAX) {
        return MHD_NO;
    }
    *data_n = 0;
    return MHD_YES;
}

static enum MHD_Result run_inline(struct http_request *r)
{
    struct meros_err err;
    err_begin(&err);
    conn_phase_set(r->conn, CONN_HANDLING);
    r->phase = REQ_WAIT;
    r->on_http_thread = true;
    enum meros_code rc = r->route->fn(r, &err);
    r->on_http_thread = false;
    if (r->to_worker && rc == MEROS_OK) return hand_over(r, &r->server->io, r->server->config.queue_max, TASK_HANDLE, REQ_WAIT);
    if (!r->deferred) return finish_here(r, rc, &err);
    if (rc != MEROS_OK) http_complete(r, rc, &err);
    return MHD_YES;
}

static bool light(const struct http_request *r)
{
    return !r->gzip_body && r->body.len <= HTTP_LIGHT_MAX && !str_present(http_header(r, "Idempotency-Key"));
}

static enum MHD_Result handle(struct http_request *r)
{
    const struct http_route *route = r->route;
    if (r->has_body && r->body.len == 0 && route->body == HTTP_BODY_BUFFERED && !(route->flags & HTTP_BODY_OPTIONAL)) {
        struct meros_err err;
        err_begin(&err);
        err_set(&err, MEROS_INVALID, "This operation needs a body.");
        return finish_here(r, err.code, &err);
    }
    r->has_body = false; /* it is here: an error no longer leaves one unread */
    if ((route->flags & HTTP_INLINE) && !r->gzip_body) return run_inline(r);
    if ((route->flags & HTTP_INLINE_LIGHT) && light(r)) return run_inline(r);
    if (route->flags & HTTP_SLOW) return hand_over(r, &r->server->slow, r->server->slow.max, TASK_HANDLE, REQ_WAIT);
    return hand_over(r, &r->server->io, r->server->config.queue_max, TASK_HANDLE, REQ_WAIT);
}

/* What http_complete_by left to this thread. */
static enum MHD_Result make_reply(struct http_request *r)
{
    struct meros_err err;
    err_begin(&err);
    pthread_mutex_lock(&r->lock);
    enum meros_code (*make)(struct http_request *, void *, struct meros_err *) = r->make_reply;
    r->make_reply = NULL;
    if (make != NULL) r->answered = false;
    pthread_mutex_unlock(&r->lock);
    if (make == NULL) return queue_answer(r);
    const enum meros_code rc = make(r, r->make_reply_arg, &err);
    return finish_here(r, rc, &err);
}

/* The request is complete, or the connection was resumed. */
static enum MHD_Result on_whole(struct http_request *r)
{
    bool answered;
    switch (r->phase) {
    case REQ_DISCARD:
    case REQ_READY:
        if (r->refusal != NULL) return finish_here(r, r->refusal->code, r->refusal);
        if (r->reply.status != 0) return finish_here(r, MEROS_OK, NULL);
        return handle(r);
    case REQ_BODY: return handle(r);
    case REQ_STREAM:
    case REQ_WAIT:
        pthread_mutex_lock(&r->lock);
        if (r->in != NULL) r->in->eof = true;
        pthread_cond_broadcast(&r->changed);
        answered = !request_suspend_locked(r);
        pthread_mutex_unlock(&r->lock);
        r->phase = REQ_WAIT;
        if (answered) return make_reply(r);
        conn_phase_set(r->conn, CONN_HANDLING);
        return MHD_YES;
    default: return MHD_YES;
    }
}

enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *data, size_t *data_n, void **req_cls)
{
    struct http_request *r = *req_cls;
    (void)cls, (void)mhd, (void)url;
    if (r == NULL) return MHD_NO; /* there was no memory for it */
    if (r->phase == REQ_HEADERS) return begin(r, method, version);
    if (r->phase == REQ_AUTH) {
        r->phase = REQ_HEADERS;
        return after_auth(r);
    }
    return *data_n > 0 ? on_data(r, data, data_n) : on_whole(r);
}
