/* Bodies of any length: in, through a ring (STREAM routes), and out, through a bounded buffer (http_reply_stream). */
#include "http_priv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/codec/gzip.h"

enum { GZ_CHUNK = 65536 };
/* A CSV of one repeated row compresses about 300-fold, a bomb of zeros 1000-fold. */
static const double stream_ratio = 400;

/* --- in */

/* One thread fills the ring and one empties it, so the bytes themselves are copied outside the lock: `len` counts them
 * only once they are there, and no longer once they were taken. */
void body_push(struct http_request *r, const char *p, size_t n)
{
    struct body_in *in = r->in;
    size_t first = BODY_RING - in->tail < n ? BODY_RING - in->tail : n;
    memcpy(in->ring + in->tail, p, first);
    memcpy(in->ring, p + first, n - first);
    in->tail = (in->tail + n) % BODY_RING;
    pthread_mutex_lock(&r->lock);
    in->len += n;
    bool wake = in->reading;
    pthread_mutex_unlock(&r->lock);
    if (wake) pthread_cond_broadcast(&r->changed);
}

static void body_take(struct body_in *in, char *to, size_t n)
{
    size_t first = BODY_RING - in->head < n ? BODY_RING - in->head : n;
    memcpy(to, in->ring + in->head, first);
    memcpy(to + first, in->ring, n - first);
    in->head = (in->head + n) % BODY_RING;
}

/* At least one byte as it was sent, or *out_n = 0 at the end. */
static enum meros_code read_raw(struct http_request *r, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct body_in *in = r->in;
    enum meros_code rc = MEROS_OK;
    pthread_mutex_lock(&r->lock);
    in->reading = true;
    while (in->len == 0 && !in->eof && !r->gone && in->failed == MEROS_OK) pthread_cond_wait(&r->changed, &r->lock);
    in->reading = false;
    if (in->len > 0 && in->failed == MEROS_OK) {
        size_t n = in->len < cap ? in->len : cap;
        pthread_mutex_unlock(&r->lock);
        body_take(in, to, n);
        *out_n = n;
        pthread_mutex_lock(&r->lock);
        in->len -= n;
        if (in->paused && in->len <= BODY_RING / 2) { /* half empty: worth waking the sender for */
            in->paused = false;
            request_wake_locked(r);
        }
    } else if (in->failed != MEROS_OK) {
        rc = in->failed == MEROS_REQUEST_TIMEOUT
                 ? err_set(err, in->failed, "The body stopped coming, or came too slowly.")
                 : err_set(err, in->failed, "The service is stopping.");
    } else if (in->eof) {
        *out_n = 0;
    } else {
        rc = err_set(err, MEROS_CANCELLED, "The client went away in the middle of the body.");
    }
    pthread_mutex_unlock(&r->lock);
    return rc;
}

static enum meros_code read_gzip(struct http_request *r, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    if (r->gunzip == NULL) {
        if ((rc = gunzip_new(SIZE_MAX, stream_ratio, &r->gunzip, err)) != MEROS_OK) return rc;
        r->gz_in = malloc(GZ_CHUNK);
    }
    if (r->gz_in == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to decode gzip");
    for (;;) {
        size_t in_n = r->gz_n - r->gz_at, n = cap;
        rc = gunzip_step(r->gunzip, r->gz_in + r->gz_at, &in_n, to, &n, err);
        if (rc != MEROS_OK) return rc;
        r->gz_at += in_n;
        if (n > 0) {
            *out_n = n;
            return MEROS_OK;
        }
        if (r->gz_at < r->gz_n) continue;
        r->gz_at = r->gz_n = 0;
        rc = read_raw(r, r->gz_in, GZ_CHUNK, &r->gz_n, err);
        if (rc != MEROS_OK) return rc;
        if (r->gz_n > 0) continue;
        *out_n = 0;
        return gunzip_ended(r->gunzip) ? MEROS_OK : err_set(err, MEROS_INVALID, "The gzip body is cut short.");
    }
}

enum meros_code http_body_read(struct http_request *req, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    if (req->in == NULL || cap == 0) return err_set(err, MEROS_INTERNAL, "This route's body is not streamed.");
    enum meros_code rc = req->gzip_body ? read_gzip(req, to, cap, out_n, err) : read_raw(req, to, cap, out_n, err);
    if (rc == MEROS_OK && *out_n > 0 && req->tap != NULL) req->tap(req->tap_arg, to, *out_n);
    return rc;
}

void http_body_tap(struct http_request *req, void (*fn)(void *arg, const char *p, size_t n), void *arg)
{
    req->tap = fn;
    req->tap_arg = arg;
}

/* --- out */

/* libmicrohttpd asks for the next bytes, on the HTTP thread. */
static ssize_t next_bytes(void *cls, uint64_t at, char *to, size_t max)
{
    struct http_request *r = cls;
    struct http_stream *st = r->stream;
    ssize_t n = 0;
    (void)at;
    pthread_mutex_lock(&r->lock);
    size_t waiting = st->out.len - st->head;
    if (st->dead || st->aborted) {
        n = MHD_CONTENT_READER_END_WITH_ERROR;
    } else if (waiting > 0) {
        n = (ssize_t)(waiting < max ? waiting : max);
        memcpy(to, st->out.data + st->head, (size_t)n);
        st->head += (size_t)n;
        if (st->head == st->out.len) {
            st->head = 0;
            if (st->out.cap > STREAM_KEEP) buf_done(&st->out); /* who was behind once does not stay large */
            else buf_clear(&st->out);
        }
        st->taken += (uint64_t)n;
        atomic_store_explicit(&r->bytes_out, st->taken, memory_order_relaxed);
        pthread_cond_broadcast(&r->changed); /* room for who waits in http_stream_send */
    } else if (st->ended) {
        n = MHD_CONTENT_READER_END_OF_STREAM;
    } else {
        MHD_suspend_connection(r->mhd); /* until there is something to send */
        r->suspended = true;
    }
    pthread_mutex_unlock(&r->lock);
    return n;
}

static void reader_free(void *cls)
{
    request_release(cls);
}

struct http_stream *http_reply_stream(struct http_request *req, const char *content_type)
{
    struct http_stream *st = calloc(1, sizeof *st);
    if (st == NULL) return NULL;
    st->req = req;
    st->events = strncmp(content_type, "text/event-stream", 17) == 0;
    buf_init(&st->out, STREAM_MAX);
    request_keep_headers(req); /* the client may go while the handler still runs */
    struct MHD_Response *m = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, STREAM_BLOCK, next_bytes, req, reader_free);
    bool ok = m != NULL && stream_headers(req, m, content_type);
    if (!ok) { /* the handler's error or 500 is still to come */
        if (m != NULL) {
            request_ref(req); /* reader_free's */
            MHD_destroy_response(m);
        }
        free(st);
        return NULL;
    }
    request_ref(req); /* the response's */
    request_ref(req); /* the stream's, until http_stream_end() */
    pthread_mutex_lock(&req->lock);
    req->stream = st;
    if (!req->gone) {
        req->response = m;
        m = NULL;
    }
    req->answered = true;
    if (atomic_load(&req->server->stage) != STAGE_RUNNING && st->events) st->ended = true;
    request_wake_locked(req);
    pthread_mutex_unlock(&req->lock);
    if (m != NULL) MHD_destroy_response(m);
    return st;
}

static bool alive_locked(const struct http_stream *st)
{
    return !st->req->gone && !st->dead && !st->ended && !st->aborted;
}

/* As much of p as there is room for; the rest is for the next round. */
static size_t put_locked(struct http_stream *st, const char *p, size_t n)
{
    size_t room = st->out.limit - (st->out.len - st->head);
    if (n > room) n = room;
    if (st->head > 0 && st->out.len + n > st->out.limit / 2) {
        memmove(st->out.data, st->out.data + st->head, st->out.len - st->head);
        st->out.len -= st->head;
        st->head = 0;
    }
    buf_append(&st->out, p, n);
    return st->out.failed ? 0 : n;
}

bool http_stream_send(struct http_stream *s, const char *p, size_t n, bool wait)
{
    struct http_request *r = s->req;
    bool ok = true;
    pthread_mutex_lock(&r->lock);
    while (n > 0 && (ok = alive_locked(s))) {
        size_t room = s->out.limit - (s->out.len - s->head);
        if (wait ? room == 0 : room < n) {
            if (wait) {
                pthread_cond_wait(&r->changed, &r->lock);
                continue;
            }
            s->dead = true; /* too far behind */
            request_wake_locked(r);
            continue;
        }
        size_t put = put_locked(s, p, n);
        if (put == 0) s->dead = true; /* no memory */
        p += put;
        n -= put;
        request_wake_locked(r);
    }
    pthread_mutex_unlock(&r->lock);
    return ok;
}

bool http_stream_alive(struct http_stream *s)
{
    pthread_mutex_lock(&s->req->lock);
    bool alive = alive_locked(s);
    pthread_mutex_unlock(&s->req->lock);
    return alive;
}

size_t http_stream_waiting(struct http_stream *s)
{
    pthread_mutex_lock(&s->req->lock);
    const size_t n = s->out.len - s->head;
    pthread_mutex_unlock(&s->req->lock);
    return n;
}

static void end(struct http_stream *s, bool abort)
{
    struct http_request *r = s->req;
    pthread_mutex_lock(&r->lock);
    s->ended = true;
    if (abort) s->aborted = true;
    request_wake_locked(r);
    pthread_mutex_unlock(&r->lock);
    request_release(r);
}

void http_stream_end(struct http_stream *s)
{
    end(s, false);
}

void http_stream_abort(struct http_stream *s)
{
    end(s, true);
}

void stream_kill_locked(struct http_request *r)
{
    if (r->stream != NULL) r->stream->dead = true;
    pthread_cond_broadcast(&r->changed);
    request_wake_locked(r);
}
