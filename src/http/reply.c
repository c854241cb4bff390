#include "http_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/log.h"
#include "meros/codec/gzip.h"
#include "meros/codec/json.h"
#include "meros/codec/problem.h"

enum { PROBLEM_MAX = 64 * 1024, GZIP_LEVEL = 5 };

void reply_drop(struct http_request *r)
{
    if (r->reply.memory == REPLY_MALLOC) free(r->reply.bytes);
    r->reply = (struct reply){0};
}

/* A new body replaces an old one; headers set so far stay. */
static void set_body(struct http_request *r, int status, const char *type, char *bytes, size_t n, bool is_static)
{
    if (r->reply.memory == REPLY_MALLOC) free(r->reply.bytes);
    r->reply.status = status;
    r->reply.content_type = type;
    r->reply.bytes = bytes;
    r->reply.n = n;
    r->reply.memory = is_static ? REPLY_STATIC : REPLY_MALLOC;
    r->reply.failed = bytes == NULL && n > 0;
}

void http_reply_header(struct http_request *req, const char *name, const char *value)
{
    struct reply *p = &req->reply;
    const char *kept_name = request_copy(req, str_of(name)), *kept_value = request_copy(req, str_of(value));
    if (p->n_headers == REPLY_HEADERS_MAX || kept_name == NULL || kept_value == NULL) {
        p->failed = true; /* an answer without its headers is not the answer */
        return;
    }
    p->headers[p->n_headers].name = kept_name;
    p->headers[p->n_headers++].value = kept_value;
}

void http_reply_json(struct http_request *req, int status, struct buf *json)
{
    size_t n = 0;
    char *bytes = buf_take(json, &n);
    set_body(req, status, "application/json", bytes, n, false);
    if (bytes == NULL) req->reply.failed = true;
}

void http_reply_bytes(struct http_request *req, int status, const char *content_type, struct str bytes)
{
    char *copy = malloc(bytes.n + 1);
    if (copy != NULL && bytes.n > 0) memcpy(copy, bytes.p, bytes.n);
    set_body(req, status, request_copy(req, str_of(content_type)), copy, bytes.n, false);
    if (copy == NULL || req->reply.content_type == NULL) req->reply.failed = true;
}

void http_reply_static(struct http_request *req, int status, const char *content_type, struct str bytes)
{
    union {
        const char *in;
        char *out; /* libmicrohttpd does not write to it */
    } cast = {bytes.p};
    set_body(req, status, content_type, cast.out, bytes.n, true);
}

void http_reply_empty(struct http_request *req, int status)
{
    set_body(req, status, NULL, NULL, 0, true);
}

int http_replied_status(const struct http_request *req)
{
    return req->reply.failed ? 0 : req->reply.status;
}

struct str http_replied_body(const struct http_request *req)
{
    return (struct str){req->reply.bytes != NULL ? req->reply.bytes : "", req->reply.n};
}

struct str http_replied_type(const struct http_request *req)
{
    return str_of(req->reply.content_type);
}

struct str http_replied_header(const struct http_request *req, const char *name)
{
    for (size_t i = 0; i < req->reply.n_headers; i++)
        if (str_ieq(str_of(req->reply.headers[i].name), str_of(name))) return str_of(req->reply.headers[i].value);
    return STR_NONE;
}

static void problem_json(struct buf *b, const struct http_request *r, const struct meros_err *err)
{
    struct jsonw w;
    jsonw_init(&w, b);
    problem_write(&w, err, r->id);
}

/* Headers that a handler or an admission check set before the error stay (Allow, RateLimit). */
void reply_problem(struct http_request *r, const struct meros_err *err)
{
    struct buf b;
    size_t n = 0;
    buf_init(&b, PROBLEM_MAX);
    problem_json(&b, r, err);
    char *bytes = buf_take(&b, &n);
    buf_done(&b);
    set_body(r, meros_code_status(err->code), "application/problem+json", bytes, bytes != NULL ? n : 0, false);
    if (err->retry_after > 0 || err->code == MEROS_UNAVAILABLE || err->code == MEROS_RATE_LIMITED) {
        char seconds[16];
        snprintf(seconds, sizeof seconds, "%d", err->retry_after > 0 ? err->retry_after : 1);
        http_reply_header(r, "Retry-After", seconds);
    }
    if (err->code == MEROS_UNAUTHENTICATED) {
        http_reply_header(r, "WWW-Authenticate", "Bearer realm=\"meros\"");
        if (r->route != NULL && (r->route->flags & HTTP_BASIC_AUTH))
            http_reply_header(r, "WWW-Authenticate", "Basic realm=\"meros\", charset=\"UTF-8\"");
    }
    if (err->close) r->close_after = true;
}

static void log_failure(const struct http_request *r, const struct meros_err *err)
{
    if (meros_code_status(err->code) < 500 || err->code == MEROS_UNAVAILABLE || err->code == MEROS_NOT_IMPLEMENTED) return;
    log_error("http.failed", KV("request", r->id), KV("route", r->route != NULL ? r->route->name : "unmatched"),
              KV("problem", meros_code_slug(err->code)), KV("detail", err->detail), KV("sqlstate", err->sqlstate));
}

/* Makes sure that there is a reply: what the handler set, or the problem that its error is. */
static void resolve(struct http_request *r, enum meros_code rc, const struct meros_err *err)
{
    struct meros_err mine;
    err_begin(&mine);
    if (rc == MEROS_OK && r->reply.status != 0 && !r->reply.failed) return;
    if (rc == MEROS_OK) {
        err_set(&mine, MEROS_INTERNAL, "The answer could not be made.");
        log_error("http.no_reply", KV("request", r->id), KV("route", r->route != NULL ? r->route->name : "unmatched"),
                  KV("why", r->reply.failed ? "the reply failed" : "the handler gave none"));
        err = &mine;
    } else if (rc == MEROS_CANCELLED || err == NULL || err->code == MEROS_OK) {
        /* The client of cancelled work is gone or is to come again: the service stops. */
        err_set(&mine, rc == MEROS_CANCELLED ? MEROS_UNAVAILABLE : rc, "%s",
                rc == MEROS_CANCELLED ? "The service is stopping; try again." : "");
        err = &mine;
    }
    if (rc != MEROS_OK && rc != MEROS_CANCELLED) log_failure(r, err);
    if (rc == MEROS_OK || rc == MEROS_INTERNAL) { /* what was prepared does not fit the error */
        reply_drop(r);
    }
    reply_problem(r, err);
}

static bool word_is(struct str s, const char *word)
{
    return str_ieq(s, str_of(word));
}

/* A quality value as thousandths; anything that is not one counts as 0. */
static int quality(struct str s)
{
    double q;
    return str_to_double(s, &q) && q >= 0 && q <= 1 ? (int)(q * 1000) : 0;
}

bool accepts_gzip(struct str header)
{
    int gzip = -1, star = -1;
    const char *at = header.p, *end = header.p + header.n;
    while (at < end) {
        const char *comma = memchr(at, ',', (size_t)(end - at));
        struct str item = {at, (size_t)((comma != NULL ? comma : end) - at)};
        const char *semicolon = memchr(item.p, ';', item.n);
        struct str coding = str_trim((struct str){item.p, semicolon != NULL ? (size_t)(semicolon - item.p) : item.n});
        int q = 1000;
        if (semicolon != NULL) {
            struct str weight = str_trim((struct str){semicolon + 1, item.n - (size_t)(semicolon + 1 - item.p)});
            q = weight.n > 2 && (weight.p[0] == 'q' || weight.p[0] == 'Q') && weight.p[1] == '='
                    ? quality((struct str){weight.p + 2, weight.n - 2})
                    : 0;
        }
        if (word_is(coding, "gzip") || word_is(coding, "x-gzip")) gzip = q;
        else if (str_is(coding, "*")) star = q;
        at = comma != NULL ? comma + 1 : end;
    }
    return gzip >= 0 ? gzip > 0 : star > 0;
}

static bool compressible(const struct http_request *r)
{
    const struct reply *p = &r->reply;
    if (p->n < COMPRESS_MIN || p->content_type == NULL || p->status == 204 || p->status == 304 || p->status == 206) return false;
    if (str_present(http_replied_header(r, "Content-Encoding"))) return false;
    return strncmp(p->content_type, "text/", 5) == 0 || strstr(p->content_type, "json") != NULL ||
           strstr(p->content_type, "yaml") != NULL || strstr(p->content_type, "javascript") != NULL ||
           strstr(p->content_type, "svg") != NULL || strstr(p->content_type, "xml") != NULL;
}

static bool to_compress(const struct http_request *r)
{
    return compressible(r) && r->known[H_ACCEPT_ENCODING] != NULL && accepts_gzip(r->known[H_ACCEPT_ENCODING]->value);
}

static void compress(struct http_request *r)
{
    struct buf b;
    buf_init(&b, r->reply.n + r->reply.n / 512 + 1024); /* zlib asks for room for the worst case */
    size_t n = 0;
    bool smaller = gzip_all(r->reply.bytes, r->reply.n, GZIP_LEVEL, &b) && b.len < r->reply.n;
    char *bytes = smaller ? buf_take(&b, &n) : NULL;
    buf_done(&b);
    if (bytes == NULL) return;
    set_body(r, r->reply.status, r->reply.content_type, bytes, n, false);
    http_reply_header(r, "Content-Encoding", "gzip");
}

static bool add_headers(struct http_request *r, struct MHD_Response *m, const char *content_type)
{
    const struct reply *p = &r->reply;
    bool ok = content_type == NULL || MHD_add_response_header(m, "Content-Type", content_type) == MHD_YES;
    ok = MHD_add_response_header(m, "X-Request-Id", r->id) == MHD_YES && ok;
    for (size_t i = 0; i < p->n_headers; i++)
        ok = MHD_add_response_header(m, p->headers[i].name, p->headers[i].value) == MHD_YES && ok;
    if (r->close_after || atomic_load_explicit(&r->server->stage, memory_order_relaxed) != STAGE_RUNNING)
        ok = MHD_add_response_header(m, "Connection", "close") == MHD_YES && ok;
    return ok;
}

bool stream_headers(struct http_request *r, struct MHD_Response *m, const char *content_type)
{
    r->reply.status = 200;
    cors_reply(r);
    if (strncmp(content_type, "text/event-stream", 17) == 0) { /* proxies must neither keep nor gather it */
        http_reply_header(r, "Cache-Control", "no-store");
        http_reply_header(r, "X-Accel-Buffering", "no");
    }
    return add_headers(r, m, content_type) && !r->reply.failed;
}

static struct MHD_Response *build(struct http_request *r)
{
    struct reply *p = &r->reply;
    if (compressible(r) || str_is(http_replied_header(r, "Content-Encoding"), "gzip"))
        http_reply_header(r, "Vary", "Accept-Encoding");
    cors_reply(r);
    struct MHD_Response *m = MHD_create_response_from_buffer(
        p->n, p->bytes, p->memory == REPLY_MALLOC ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
    if (m == NULL) return NULL;
    if (p->memory == REPLY_MALLOC) p->bytes = NULL; /* the response's now */
    bool ok = add_headers(r, m, p->content_type);
    if (!ok) { /* a header with a line break in it, or no memory */
        log_error("http.bad_header", KV("request", r->id), KV("route", r->route != NULL ? r->route->name : "unmatched"));
        MHD_destroy_response(m);
        return NULL;
    }
    atomic_store_explicit(&r->bytes_out, p->n, memory_order_relaxed);
    return m;
}

static void answer(struct http_request *r)
{
    struct MHD_Response *m = build(r);
    pthread_mutex_lock(&r->lock);
    if (!r->gone) {
        r->response = m; /* NULL: the connection is closed without an answer */
        m = NULL;
    }
    r->answered = true;
    bool resume = r->suspended && !r->gone;
    r->suspended = false;
    pthread_mutex_unlock(&r->lock);
    /* After unlocking, since its HTTP thread wants the lock at once; suspended, the connection cannot go meanwhile. */
    if (resume) loop_resume(r->loop, r->mhd);
    if (m != NULL) MHD_destroy_response(m);
}

void request_compress_and_answer(struct http_request *r)
{
    compress(r);
    answer(r);
}

void request_finish(struct http_request *r, enum meros_code rc, const struct meros_err *err)
{
    if (r->stream != NULL) { /* answered when the stream was opened */
        if (rc != MEROS_OK && rc != MEROS_CANCELLED && err != NULL) log_failure(r, err);
        return;
    }
    resolve(r, rc, err);
    if (to_compress(r)) {
        /* Whoever completes a deferred request may serve everybody (the one ingest writer): big work is a worker's. */
        if (!pool_is_worker() && r->reply.n > COMPRESS_INLINE_MAX && pool_submit(&r->server->io, r, TASK_COMPRESS)) return;
        compress(r);
    }
    answer(r);
}

bool request_finish_inline(struct http_request *r, enum meros_code rc, const struct meros_err *err)
{
    if (r->stream != NULL) return true;
    resolve(r, rc, err);
    if (to_compress(r)) {
        if (r->reply.n > COMPRESS_INLINE_MAX) {
            pthread_mutex_lock(&r->lock);
            bool suspended = request_suspend_locked(r);
            pthread_mutex_unlock(&r->lock);
            if (suspended && pool_submit(&r->server->io, r, TASK_COMPRESS)) return false;
            answer(r); /* no worker: plain, through the resumed connection */
            return false;
        }
        compress(r);
    }
    answer(r);
    return true;
}

void http_defer(struct http_request *req)
{
    req->deferred = true;
    request_ref(req); /* http_complete()'s */
    if (!req->on_http_thread) return;
    pthread_mutex_lock(&req->lock);
    request_suspend_locked(req);
    pthread_mutex_unlock(&req->lock);
}

void http_complete(struct http_request *req, enum meros_code rc, const struct meros_err *err)
{
    request_finish(req, rc, err);
    request_release(req);
}

void http_complete_by(struct http_request *req, enum meros_code (*reply)(struct http_request *req, void *arg, struct meros_err *err), void *arg)
{
    pthread_mutex_lock(&req->lock);
    const bool gone = req->gone;
    req->make_reply = gone ? NULL : reply;
    req->make_reply_arg = arg;
    req->answered = true;
    struct MHD_Connection *resume = req->suspended && !gone ? req->mhd : NULL;
    struct http_loop *loop = req->loop;
    req->suspended = false;
    pthread_mutex_unlock(&req->lock);
    if (gone) {
        struct meros_err err;
        err_begin(&err);
        (void)reply(req, arg, &err);
    }
    /* First, so that the HTTP thread is the last to let go of it and its memory stays there: suspended, it cannot go yet. */
    request_release(req);
    if (resume != NULL) loop_resume(loop, resume);
}
