#include "http_priv.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/codec/gzip.h"

enum { ARENA_MAX = 256 * 1024 * 1024, DECODE_STEP = 32 * 1024, BODY_RATIO_MAX = 200 };

int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

struct http_request *request_new(struct http_server *s, struct MHD_Connection *mhd, struct conn *c, const char *uri)
{
    struct http_request *r = c->spare != NULL ? c->spare : malloc(sizeof *r);
    if (r == NULL) return NULL;
    c->spare = NULL;
    memset(r, 0, offsetof(struct http_request, headers));
    r->server = s;
    r->conn = c;
    r->loop = c->loop;
    r->mhd = mhd;
    r->started_ns = clock_mono_ns();
    atomic_init(&r->refs, 1);
    pthread_mutex_init(&r->lock, NULL);
    pthread_cond_init(&r->changed, NULL);
    arena_init_in(&r->arena, ARENA_MAX, r->scratch, SCRATCH);
    r->uri = uri;
    r->target.n = strlen(uri);
    r->target.p = request_copy(r, (struct str){uri, r->target.n});
    if (r->target.p == NULL) {
        free(r);
        return NULL;
    }
    return r;
}

void request_ref(struct http_request *r)
{
    atomic_fetch_add_explicit(&r->refs, 1, memory_order_relaxed);
}

/* Everything but the struct itself. */
static void request_clean(struct http_request *r)
{
    if (r->response != NULL) MHD_destroy_response(r->response);
    if (r->in != NULL) free(r->in->ring);
    free(r->in);
    if (r->stream != NULL) buf_done(&r->stream->out);
    free(r->stream);
    gunzip_free(r->gunzip);
    free(r->gz_in);
    free(r->refusal);
    buf_done(&r->body);
    reply_drop(r);
    arena_done(&r->arena);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
}

void request_release(struct http_request *r)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1) return;
    request_clean(r);
    free(r);
}

void request_retire(struct http_request *r, struct conn *c)
{
    if (atomic_fetch_sub_explicit(&r->refs, 1, memory_order_acq_rel) != 1) return;
    request_clean(r);
    if (c->spare == NULL) c->spare = r;
    else free(r);
}

char *request_copy(struct http_request *r, struct str s)
{
    return arena_strndup(&r->arena, s.n > 0 ? s.p : "", s.n);
}

void request_keep_headers(struct http_request *r)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        struct header *h = &r->headers[i];
        const char *name = request_copy(r, h->name), *value = request_copy(r, h->value);
        /* A header that cannot be kept is absent rather than dangling. */
        h->name = name != NULL && value != NULL ? (struct str){name, h->name.n} : STR_NONE;
        h->value = h->name.p != NULL ? (struct str){value, h->value.n} : STR_NONE;
    }
}

enum meros_code request_refuse(struct http_request *r, const struct meros_err *err)
{
    if (r->refusal == NULL) r->refusal = malloc(sizeof *r->refusal);
    if (r->refusal != NULL) *r->refusal = *err;
    if (err->close) r->close_after = true;
    return err->code;
}

/* HTTP thread only. False: there is an answer already. */
bool request_suspend_locked(struct http_request *r)
{
    if (r->answered) return false;
    MHD_suspend_connection(r->mhd);
    r->suspended = true;
    return true;
}

void request_wake_locked(struct http_request *r)
{
    if (!r->suspended || r->gone) return;
    r->suspended = false;
    loop_resume(r->loop, r->mhd);
}

void request_wake(struct http_request *r)
{
    pthread_mutex_lock(&r->lock);
    request_wake_locked(r);
    pthread_mutex_unlock(&r->lock);
}

static void run_auth(struct http_request *r)
{
    struct meros_err err;
    err_begin(&err);
    bool would_block = false;
    if (admit_auth(r, true, &would_block, &err) != MEROS_OK) request_refuse(r, &err);
    request_wake(r);
}

/* A compressed buffered body, decoded here and not on an HTTP thread. */
static enum meros_code decode_body(struct http_request *r, struct meros_err *err)
{
    struct gunzip *g = NULL;
    struct buf out;
    enum meros_code rc = gunzip_new(r->body.limit, BODY_RATIO_MAX, &g, err);
    size_t at = 0;
    buf_init(&out, r->body.limit + DECODE_STEP);
    while (rc == MEROS_OK) {
        size_t in_n = r->body.len - at, out_n = DECODE_STEP;
        char *to = buf_reserve(&out, out_n);
        if (to == NULL) {
            rc = err_set(err, MEROS_TOO_LARGE, "The decoded body may have at most %zu bytes.", r->body.limit);
            break;
        }
        rc = gunzip_step(g, r->body.data + at, &in_n, to, &out_n, err);
        if (rc != MEROS_OK) break;
        at += in_n;
        out.len += out_n;
        if (at == r->body.len && out_n < DECODE_STEP) break;
    }
    if (rc == MEROS_OK && !gunzip_ended(g)) rc = err_set(err, MEROS_INVALID, "The gzip body is cut short.");
    gunzip_free(g);
    if (rc == MEROS_OK) {
        out.limit = r->body.limit;
        buf_append(&out, "", 0);
        struct buf old = r->body;
        r->body = out;
        out = old;
    }
    buf_done(&out);
    return rc;
}

static void run_handler(struct http_request *r)
{
    const struct http_config *config = &r->server->config;
    struct meros_err err;
    err_begin(&err);
    if (r->gzip_body && r->in == NULL && r->body.len > 0) {
        enum meros_code decoded = decode_body(r, &err);
        if (decoded != MEROS_OK) {
            request_finish(r, decoded, &err);
            return;
        }
    }
    enum meros_code rc = config->around != NULL && !(r->route->flags & HTTP_INLINE)
                             ? config->around(config->ctx, r->route, r, &err)
                             : r->route->fn(r, &err);
    if (!r->deferred) {
        request_finish(r, rc, &err);
    } else if (rc != MEROS_OK) {
        http_complete(r, rc, &err); /* deferred, but then not handed to anybody */
    }
}

void request_run(struct http_request *r)
{
    switch (r->task) {
    case TASK_AUTH: run_auth(r); break;
    case TASK_HANDLE: run_handler(r); break;
    case TASK_COMPRESS: request_compress_and_answer(r); break;
    }
    request_release(r);
}

/* --- what a handler reads */

void *http_ctx(const struct http_request *req)
{
    return req->server->config.ctx;
}

bool http_may_block(const struct http_request *req)
{
    return !req->on_http_thread;
}

struct arena *http_arena(struct http_request *req)
{
    return &req->arena;
}

const struct http_route *http_route_of(const struct http_request *req)
{
    return req->route;
}

const char *http_request_id(const struct http_request *req)
{
    return req->id;
}

const struct http_principal *http_principal(const struct http_request *req)
{
    return &req->principal;
}

void http_set_principal(struct http_request *req, const struct http_principal *who)
{
    req->principal = *who;
}

void http_use_worker(struct http_request *req)
{
    req->to_worker = req->on_http_thread;
}

struct str http_target(const struct http_request *req)
{
    return req->target;
}

struct str http_path_param(const struct http_request *req, const char *name)
{
    size_t n = strlen(name);
    for (size_t i = 0; i < req->n_path_params; i++)
        if (req->path_params[i].name_n == n && memcmp(req->path_params[i].name, name, n) == 0)
            return req->path_params[i].value;
    return STR_NONE;
}

struct str http_header(const struct http_request *req, const char *name)
{
    struct str wanted = str_of(name);
    for (size_t i = 0; i < req->n_headers; i++)
        if (str_ieq(req->headers[i].name, wanted)) return req->headers[i].value;
    return STR_NONE;
}

struct str http_body(const struct http_request *req)
{
    return (struct str){req->body.data != NULL ? req->body.data : "", req->body.len};
}

static const struct query_value *query_value(const struct http_request *req, const char *name)
{
    for (const struct http_param *p = req->route->params; p != NULL && p->name != NULL; p++)
        if (strcmp(p->name, name) == 0) {
            const struct query_value *v = &req->query[p - req->route->params];
            return v->given ? v : NULL;
        }
    return NULL;
}

bool http_query_given(const struct http_request *req, const char *name)
{
    return query_value(req, name) != NULL;
}

struct str http_query_str(const struct http_request *req, const char *name)
{
    const struct query_value *v = query_value(req, name);
    return v != NULL ? v->s : STR_NONE;
}

int64_t http_query_int(const struct http_request *req, const char *name, int64_t dflt)
{
    const struct query_value *v = query_value(req, name);
    return v != NULL ? v->v.i : dflt;
}

double http_query_num(const struct http_request *req, const char *name, double dflt)
{
    const struct query_value *v = query_value(req, name);
    return v != NULL ? v->v.f : dflt;
}

bool http_query_bool(const struct http_request *req, const char *name, bool dflt)
{
    const struct query_value *v = query_value(req, name);
    return v != NULL ? v->v.i != 0 : dflt;
}

int64_t http_query_time(const struct http_request *req, const char *name, int64_t dflt)
{
    const struct query_value *v = query_value(req, name);
    return v != NULL ? v->v.i : dflt;
}
