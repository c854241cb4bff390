/* A small HTTP/1.1 server over libmicrohttpd (http/ is its only user) that has never heard of a customer.
 *
 * The caller gives a table of routes. For each request the server finds the route, checks framing, method, media type,
 * authentication and scope, parses path and query parameters by their descriptors, and runs the handler:
 *   - HTTP_INLINE routes run on the HTTP thread and must never block (snapshots, health, embedded files);
 *   - all others run on one of `io_threads` worker threads while the connection is suspended: they may block;
 *   - a handler may http_defer() and return; somebody calls http_complete() later, from any thread, exactly once.
 * A handler replies with exactly one http_reply_*() and returns MEROS_OK, or fills err and returns its code: the server
 * then sends application/problem+json. Memory from http_arena() lives until the answer has been sent.
 *
 * Bodies: HTTP_BODY_BUFFERED are whole before the handler runs (body_max; gzip decoded); HTTP_BODY_STREAM are read by
 * the handler with http_body_read(), which blocks, with back-pressure on the sender: of any length in flat memory.
 * Every limit and time-out is in http_config. The server adds X-Request-Id, Date, CORS headers, gzip of answers over
 * 1 KiB, HEAD and OPTIONS, 405 with Allow; it writes one access line and counts metrics by route name and status.
 *
 * Threads: every function on a request may be called by the thread that holds the request: the handler, or after
 * http_defer() the one that will complete it. http_stream_* may be called from any thread. */
#ifndef MEROS_HTTP_SERVER_H
#define MEROS_HTTP_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"

struct http_server;
struct http_request;
struct http_stream;

enum http_method { HTTP_GET, HTTP_POST, HTTP_PUT, HTTP_PATCH, HTTP_DELETE, HTTP_METHOD_COUNT }; /* HEAD is GET without body */

enum http_body { HTTP_BODY_NONE, HTTP_BODY_BUFFERED, HTTP_BODY_STREAM };
enum {
    HTTP_INLINE = 1,       /* the handler never blocks: run it on the HTTP thread */
    HTTP_PUBLIC = 2,       /* no key needed; with scopes besides, http_principal() tells who sent a valid one */
    HTTP_BASIC_AUTH = 4,   /* also takes HTTP Basic with the key as user name */
    HTTP_BODY_OPTIONAL = 8, /* an empty body is allowed on a BUFFERED route */
    HTTP_INLINE_LIGHT = 32, /* HTTP_INLINE for a small request: a body of up to HTTP_LIGHT_MAX that is not compressed, and no
                               Idempotency-Key. Any other one runs on an I/O worker, `around` included; http_may_block() tells */
    HTTP_SLOW = 16         /* the handler may take as long as the client likes (exports, waiting): it gets a thread of a
                              second, growing pool, so that it keeps no I/O worker. STREAM routes are so by themselves */
};

enum { HTTP_LIGHT_MAX = 64 << 10 };

enum http_param_kind {
    HTTP_PARAM_STR,   /* valid UTF-8 without control characters (or one tab alone), up to max bytes (0: 1024) */
    HTTP_PARAM_ID,    /* an id_valid string */
    HTTP_PARAM_INT,   /* min..max */
    HTTP_PARAM_NUM,   /* min..max */
    HTTP_PARAM_BOOL,  /* true|false|1|0 */
    HTTP_PARAM_TIME,  /* time_parse */
    HTTP_PARAM_ENUM   /* one of words */
};
struct http_param {
    const char *name;
    enum http_param_kind kind;
    double min, max;           /* INT, NUM; STR: max bytes */
    const char *const *words;  /* ENUM: NULL-terminated */
    bool required;
};

typedef enum meros_code (*http_handler)(struct http_request *req, struct meros_err *err);

struct http_route {
    enum http_method method;
    const char *pattern; /* "/v1/customers/{id}": a segment in braces matches one non-empty segment; its value, percent-
                            decoded (so it may hold '/'), must be an id_valid string, else 400 */
    const char *name;    /* the operationId; label of metrics and log lines */
    unsigned scopes;     /* any of these bits lets a key in; 0 only with HTTP_PUBLIC */
    enum http_body body;
    const char *media;   /* space-separated media types the body may have, e.g. "application/json"; NULL: any */
    size_t body_max;     /* BUFFERED: 0 = the server's default */
    unsigned flags;
    const struct http_param *params; /* query parameters, ended by name NULL; any other in a request is 400 */
    http_handler fn;
    const void *arg;     /* for the handler: http_route_arg() */
};

/* Who is asking. */
struct http_principal {
    char key_id[40];  /* public id of the key; "" for nobody */
    unsigned scopes;
};

/* Checks a key. Called on the HTTP thread with may_block false: answer from memory, or MEROS_UNAVAILABLE with
 * *out_would_block = true, and it is called again on an I/O worker with may_block true. UNAUTHENTICATED otherwise. */
typedef enum meros_code (*http_auth_fn)(void *ctx, struct str key, bool may_block, bool *out_would_block,
                                        struct http_principal *out, struct meros_err *err);
/* Wraps every non-inline handler call (idempotency keys live here). May be NULL; else it must call route->fn(req, err). */
typedef enum meros_code (*http_around_fn)(void *ctx, const struct http_route *route, struct http_request *req,
                                          struct meros_err *err);

struct http_config {
    const char *bind;      /* address: "127.0.0.1", "0.0.0.0", "::1" */
    int port;              /* 0: any free one; http_port() tells */
    int http_threads;      /* 0: max(4, 2 * cpus) */
    int io_threads;        /* 0: 16 */
    int max_connections;   /* 0: what RLIMIT_NOFILE bears, at most 4096 */
    int idle_timeout_s;    /* keep-alive; 0: 75 */
    int header_timeout_s;  /* from the connection's or request's first byte to the end of its headers; 0: 10 */
    int body_idle_timeout_s; /* without any byte of a body, or without the reader taking any of the answer; 0: 30 */
    int request_timeout_s; /* whole buffered request; 0: 60. Streamed bodies have only the idle time-out and a floor rate */
    size_t body_max;       /* default for BUFFERED; 0: 1 MiB */
    size_t queue_max;      /* requests waiting for an I/O worker before 503; 0: 1024 */
    const char *cors_origins; /* space-separated, "*" = any; NULL or "": CORS off. Reloadable: http_set_cors() */
    const char *tls_cert, *tls_key; /* PEM file paths, both or none */
    bool access_log;
    const struct http_route *routes; /* ended by pattern NULL; must outlive the server */
    void *ctx;             /* http_ctx() */
    const char *const *scope_words; /* of bit 0, 1, … of scopes, ended by NULL; a 403 names those that are needed. May be NULL */
    http_auth_fn auth;
    http_around_fn around;
};

enum meros_code http_start(const struct http_config *config, struct http_server **out, struct meros_err *err) MEROS_MUSTCHECK;
int http_port(const struct http_server *s);
enum meros_code http_set_cors(struct http_server *s, const char *origins, struct meros_err *err) MEROS_MUSTCHECK;
/* Stops in the order that libmicrohttpd bears: no new connections, idle ones closed, in-flight requests finish (up to
 * deadline_ms, then they are cut), streams are ended, threads joined. */
void http_drain(struct http_server *s, int deadline_ms);
void http_free(struct http_server *s); /* after http_drain; NULL is fine */

/* --- what a handler reads */
void *http_ctx(const struct http_request *req);
struct arena *http_arena(struct http_request *req);
const struct http_route *http_route_of(const struct http_request *req);
const char *http_request_id(const struct http_request *req);
const struct http_principal *http_principal(const struct http_request *req);
/* Of an HTTP_PUBLIC route whose handler found the key where the server does not look (a body): for the access line. */
void http_set_principal(struct http_request *req, const struct http_principal *who);
/* A handler that runs on the HTTP thread and finds that it must block says so and returns OK without a reply: it is called
 * again on an I/O worker. */
void http_use_worker(struct http_request *req);
struct str http_target(const struct http_request *req);                     /* raw path and query as sent */
struct str http_path_param(const struct http_request *req, const char *name); /* decoded */
struct str http_header(const struct http_request *req, const char *name);     /* STR_NONE if absent */
bool http_may_block(const struct http_request *req); /* false on an HTTP thread */
struct str http_body(const struct http_request *req);                        /* BUFFERED; NUL-terminated behind n */
/* Query parameters by the route's descriptors; already validated. */
bool http_query_given(const struct http_request *req, const char *name);
struct str http_query_str(const struct http_request *req, const char *name); /* STR_NONE if absent; also ENUM, ID */
int64_t http_query_int(const struct http_request *req, const char *name, int64_t dflt);
double http_query_num(const struct http_request *req, const char *name, double dflt);
bool http_query_bool(const struct http_request *req, const char *name, bool dflt);
int64_t http_query_time(const struct http_request *req, const char *name, int64_t dflt);

/* STREAM bodies: blocks until at least one byte is there. *out_n = 0 at the end of the body. REQUEST_TIMEOUT, INVALID
 * (gzip) or CANCELLED (client gone) otherwise. */
enum meros_code http_body_read(struct http_request *req, char *to, size_t cap, size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;

/* fn sees every piece that http_body_read gives out from now on; NULL ends it. */
void http_body_tap(struct http_request *req, void (*fn)(void *arg, const char *p, size_t n), void *arg);

/* --- what a handler answers; copies what it is given unless said otherwise */
void http_reply_header(struct http_request *req, const char *name, const char *value); /* before the reply */
void http_reply_json(struct http_request *req, int status, struct buf *json); /* takes over the buffer's memory */
void http_reply_bytes(struct http_request *req, int status, const char *content_type, struct str bytes);
void http_reply_static(struct http_request *req, int status, const char *content_type, struct str bytes); /* not copied: lives for ever */
void http_reply_empty(struct http_request *req, int status);
/* The answer that was set, for recording it (idempotency): status 0 if none. */
int http_replied_status(const struct http_request *req);
struct str http_replied_body(const struct http_request *req);
struct str http_replied_type(const struct http_request *req);
struct str http_replied_header(const struct http_request *req, const char *name);

/* --- answering later. http_defer() before the request is shown to whoever will complete it. A handler that deferred and
 * returns an error says that nobody else will complete it: the server then does. */
void http_defer(struct http_request *req);
/* rc and err as a handler would return them; err may be NULL when rc is OK. */
void http_complete(struct http_request *req, enum meros_code rc, const struct meros_err *err);
/* The same for whoever completes many: on the HTTP thread of its connection `reply` makes the answer, as a handler would;
 * it must not block, and is called once, also if the client is gone by then (nobody hears it; headers are none then). */
void http_complete_by(struct http_request *req, enum meros_code (*reply)(struct http_request *req, void *arg, struct meros_err *err), void *arg);

/* --- answering bit by bit (server-sent events, exports): replies 200 with a body that ends at http_stream_end() */
struct http_stream *http_reply_stream(struct http_request *req, const char *content_type); /* NULL: no memory; the
                                                  handler returns an error as usual */
/* Queues bytes. False when the client is gone or further than 1 MiB behind (a slow reader is cut): stop sending.
 * wait true: block until there is room instead (for exports, on an I/O worker). */
bool http_stream_send(struct http_stream *s, const char *p, size_t n, bool wait);
bool http_stream_alive(struct http_stream *s);
size_t http_stream_waiting(struct http_stream *s); /* bytes that the client has not taken */
void http_stream_end(struct http_stream *s); /* always, exactly once, also when not alive */
void http_stream_abort(struct http_stream *s); /* instead of _end: cuts the connection, so that the client sees that the
                                                  body is not complete */

#endif
