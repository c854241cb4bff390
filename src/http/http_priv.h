/* What the files of http/ share. Who may touch what:
 *
 * A request is used by up to two threads at once: the libmicrohttpd thread of its connection ("the HTTP thread") and
 * the one that runs its handler ("the holder"). `refs` counts them; the last frees it. Fields are grouped by who may
 * touch them; `lock` guards only the group that says so.
 *
 * Suspending: the HTTP thread suspends a connection in its callback, with lock held and before the holder can see the
 * request; anybody may resume it with request_wake(). A suspended connection never times out and its disconnection is
 * not noticed by libmicrohttpd: the reaper (reaper.c) watches. libmicrohttpd panics when it is stopped with a suspended
 * connection, so the drain (server.c) resumes every one first.
 *
 * Lock order: server.conns_lock -> conn.lock -> request.lock -> (libmicrohttpd's own). */
#ifndef MEROS_HTTP_PRIV_H
#define MEROS_HTTP_PRIV_H

#include <microhttpd.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/counters.h"
#include "meros/http/server.h"

enum {
    HEADERS_MAX = 64,
    SEGMENTS_MAX = 16,
    PATH_PARAMS_MAX = 6,
    PARAMS_MAX = 32,       /* query parameters a route may describe */
    REPLY_HEADERS_MAX = 20,
    SCRATCH = 2048,        /* of most requests: target, decoded path and query, and what its handler keeps, without a malloc */
    REQUEST_ID_MAX = 128,
    BODY_RING = 256 * 1024,
    STREAM_MAX = 1024 * 1024,
    STREAM_KEEP = 16 * 1024, /* what a stream that has nothing to send keeps of its memory */
    COMPRESS_MIN = 1024,        /* bytes of an answer from which gzip is worth it */
    COMPRESS_INLINE_MAX = 4096, /* past this an HTTP thread leaves compressing to a worker */
    STATUS_MAX = 600
};

struct header {
    struct str name, value;
};
/* Headers that the server itself looks at. */
enum known_header {
    H_HOST, H_CONTENT_LENGTH, H_TRANSFER_ENCODING, H_CONTENT_TYPE, H_CONTENT_ENCODING, H_ACCEPT_ENCODING, H_AUTHORIZATION,
    H_EXPECT, H_ORIGIN, H_REQUEST_ID, H_COUNT
};

struct query_value {
    bool given;
    struct str s;
    union {
        int64_t i; /* INT, BOOL, TIME */
        double f;
    } v;
};

struct path_param {
    const char *name;
    size_t name_n;
    struct str value;
};

/* Where a request is, seen from its HTTP thread. */
enum request_phase {
    REQ_HEADERS, /* the request line was read; headers are still coming, or were just completed */
    REQ_AUTH,    /* suspended while a worker checks the key; then looked at again */
    REQ_BODY,    /* a buffered body is coming */
    REQ_STREAM,  /* a worker runs the handler, which reads the body as it comes */
    REQ_DISCARD, /* refused: the body is read and dropped, then the refusal is sent */
    REQ_READY,   /* complete, to be handled */
    REQ_WAIT,    /* suspended until there is an answer */
    REQ_SENT     /* the answer was given to libmicrohttpd */
};
enum task { TASK_AUTH, TASK_HANDLE, TASK_COMPRESS };

struct reply {
    int status; /* 0: none yet */
    char *bytes;
    size_t n;
    enum { REPLY_MALLOC, REPLY_STATIC } memory;
    const char *content_type; /* static or in the request's memory */
    bool failed;              /* the handler's buffer had failed */
    size_t n_headers;
    struct {
        const char *name, *value;
    } headers[REPLY_HEADERS_MAX];
};

/* The body of a STREAM route on its way to the handler: a ring that the HTTP thread fills and the holder empties. */
struct body_in {
    char *ring;
    size_t tail, head; /* the HTTP thread's and the holder's own */
    size_t len;        /* this and the rest are under the request's lock */
    bool eof, paused; /* paused: the connection is suspended because the ring was full */
    enum meros_code failed;
    bool reading;     /* the holder waits in http_body_read */
};

struct http_stream {
    struct http_request *req;
    struct buf out;      /* bytes from `head` on are waiting; at most its limit */
    size_t head;
    uint64_t taken;      /* by libmicrohttpd, in all */
    bool ended, aborted, dead; /* dead: the client is gone, too slow, or the server stops */
    bool events;         /* text/event-stream: ended by a drain */
};

/* An HTTP thread, for those who resume its connections (loop.c). */
struct http_loop {
    _Atomic bool asleep, called;
    char apart[62]; /* from the next thread's cache line */
};

struct http_request {
    /* Fixed when the request line is read */
    struct http_server *server;
    struct conn *conn;           /* HTTP thread only: freed with the connection */
    struct http_loop *loop;      /* its HTTP thread */
    struct MHD_Connection *mhd;
    int64_t started_ns;
    _Atomic int refs;

    /* HTTP thread, until the request is handed to a holder; read-only afterwards */
    enum request_phase phase;
    const char *uri;             /* libmicrohttpd's own copy, for finding a NUL in it */
    struct str target, path;     /* as sent; the path without the query */
    enum http_method method;
    bool is_head, is_options, known_method;
    const struct http_route *route;
    struct route_stats *stats;
    struct http_principal principal;
    bool has_body, chunked, gzip_body, expect_continue;
    uint64_t content_length;
    size_t n_headers, n_path_params;
    const struct header *known[H_COUNT];
    struct path_param path_params[PATH_PARAMS_MAX];
    struct query_value *query;   /* one a descriptor of the route; NULL if it has none */
    char id[REQUEST_ID_MAX + 1];
    struct meros_err *refusal;   /* set: what to answer instead of running the handler */
    bool close_after;
    struct buf body;             /* BUFFERED */

    /* The holder */
    enum task task;
    struct http_request *next;   /* in a worker pool's queue; under its lock */
    struct arena arena;
    bool deferred, on_http_thread, to_worker; /* on_http_thread: an inline handler runs, the connection is not suspended.
                                               to_worker: it asked to be run again by a worker */
    struct reply reply;
    struct gunzip *gunzip;       /* of a streamed body */
    char *gz_in;                 /* raw bytes not yet decoded: gz_at of gz_n */
    size_t gz_at, gz_n;
    void (*tap)(void *arg, const char *p, size_t n); /* sees what http_body_read gives out; may be NULL */
    void *tap_arg;

    /* Under `lock` */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    bool suspended, gone /* libmicrohttpd is done with it: mhd and headers are no more */, answered;
    enum meros_code (*make_reply)(struct http_request *req, void *arg, struct meros_err *err); /* of http_complete_by; answered is set */
    void *make_reply_arg;
    struct MHD_Response *response;
    struct body_in *in;
    struct http_stream *stream;

    /* Counts, for the reaper and the access line */
    _Atomic uint64_t bytes_in, bytes_out;

    struct header headers[HEADERS_MAX];
    _Alignas(16) char scratch[SCRATCH]; /* where the arena begins */
};

/* What a connection is doing, for the reaper. */
enum conn_phase {
    CONN_IDLE,     /* no request line read yet */
    CONN_HEADERS,  /* request line read, headers coming */
    CONN_BODY,     /* body coming */
    CONN_HANDLING, /* suspended, or the handler runs */
    CONN_SENDING   /* the answer is being sent */
};
struct conn {
    struct conn *prev, *next; /* under server.conns_lock */
    int fd;
    struct http_loop *loop;
    _Atomic int phase;
    _Atomic int64_t since_ms; /* of the phase, monotonic */
    _Atomic uint32_t turn;    /* counts phase changes */
    pthread_mutex_t lock;
    struct http_request *req; /* under lock; set by the HTTP thread */
    /* the reaper only */
    uint32_t seen_turn;
    uint64_t seen_bytes, base_bytes;
    int64_t seen_ms, first_byte_ms, waited_ms;
    bool cut, hung_up;
    /* the HTTP thread only */
    struct http_request *spare; /* a freed request kept for the next one */
};

/* Worker threads with a queue of requests. Started as needed up to `max`, all at start with `eager`. */
struct pool {
    struct http_server *server;
    const char *name;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct http_request *first, **last;
    size_t queued, idle, started, max;
    pthread_t *threads;
    bool stop;
    _Atomic size_t depth; /* = queued, to be read without the lock */
};

struct route_stats {
    const struct http_route *route;
    struct metric_series *seconds;
    struct metric_series *_Atomic by_status[STATUS_MAX];
};

struct cors;
struct router;
enum stage { STAGE_RUNNING, STAGE_DRAINING, STAGE_CUT };

struct http_server {
    struct http_config config; /* defaults filled in */
    struct MHD_Daemon *daemon;
    int listen_fd, port;
    struct router *router;
    struct route_stats *stats; /* one a route */
    size_t n_routes;
    struct http_loops *loops;  /* one an HTTP thread, taken as it gets its first connection */
    _Atomic int stage;
    bool stuck; /* a handler hung through the drain: nothing may be freed */
    _Atomic long in_flight;
    uint64_t id_seed, id_mask;
    _Atomic uint64_t id_next;
    struct cors *_Atomic cors; /* replaced ones are kept in the list until the server is freed */
    pthread_mutex_t cors_lock;

    struct pool io;   /* ordinary handlers */
    struct pool slow; /* handlers that may hold a thread for as long as the client likes: streamed bodies, HTTP_SLOW */

    pthread_mutex_t conns_lock;
    struct conn *conns;
    pthread_t reaper;
    bool reaper_started;
    bool reaper_stop; /* under conns_lock */
    pthread_cond_t reaper_wake;
};

/* meros_err is large; only what is read needs to be set. */
static inline void err_begin(struct meros_err *err)
{
    err->code = MEROS_OK;
    err->detail[0] = err->sqlstate[0] = '\0';
    err->retry_after = 0;
    err->close = false;
    err->n_fields = 0;
}
int64_t now_ms(void); /* monotonic, coarse */

/* request.c */
struct http_request *request_new(struct http_server *s, struct MHD_Connection *mhd, struct conn *c, const char *uri);
void request_ref(struct http_request *r);
void request_release(struct http_request *r);
void request_retire(struct http_request *r, struct conn *c); /* the HTTP thread's release: keeps the memory for c's next */
char *request_copy(struct http_request *r, struct str s); /* NUL-terminated */
void request_keep_headers(struct http_request *r); /* copies them out of libmicrohttpd's memory */
enum meros_code request_refuse(struct http_request *r, const struct meros_err *err); /* keeps a copy; returns code */
bool request_suspend_locked(struct http_request *r);
void request_wake(struct http_request *r);
void request_wake_locked(struct http_request *r);
/* connection.c: the callback of libmicrohttpd */
enum MHD_Result on_request(void *cls, struct MHD_Connection *mhd, const char *url, const char *method,
                           const char *version, const char *data, size_t *data_n, void **req_cls);
void *on_uri(void *cls, const char *uri, struct MHD_Connection *mhd);
void on_completed(void *cls, struct MHD_Connection *mhd, void **req_cls, enum MHD_RequestTerminationCode why);
void on_connection(void *cls, struct MHD_Connection *mhd, void **context, enum MHD_ConnectionNotificationCode what);
void conn_phase_set(struct conn *c, enum conn_phase phase);

/* admit.c: what is checked before a body is read */
enum meros_code admit_framing(struct http_request *r, const char *method, const char *version, struct meros_err *err);
enum meros_code admit_route(struct http_request *r, struct meros_err *err); /* path, method; may set a reply (OPTIONS) */
enum meros_code admit_auth(struct http_request *r, bool may_block, bool *out_would_block, struct meros_err *err);
enum meros_code admit_rest(struct http_request *r, struct meros_err *err); /* query, media type, length */

/* router.c */
enum meros_code router_new(const struct http_route *routes, struct route_stats *stats, struct router **out,
                           struct meros_err *err);
void router_free(struct router *router);
struct route_match {
    const struct http_route *by_method[HTTP_METHOD_COUNT];
    struct route_stats *stats[HTTP_METHOD_COUNT];
    size_t n_params;
    size_t param_segment[PATH_PARAMS_MAX]; /* which segment each parameter of the pattern is */
};
/* NULL if no pattern fits. Literal segments win over parameters. */
const struct route_match *router_find(const struct router *router, const struct str *segments, size_t n);
const char *method_name(enum http_method m);
/* "GET, HEAD, PUT, OPTIONS" */
void router_allow(const struct route_match *m, char *out, size_t cap);

/* query.c: pure functions over bytes */
/* Decodes %XX (and, plus true, '+' as a blank) from s to `to` (s.n bytes of room). False: bad escape. */
bool url_decode(struct str s, bool plus, char *to, size_t *out_n);
/* Splits a raw path at '/' and decodes each segment into `to` (path.n bytes of room). INVALID: bad escape, NUL, UTF-8,
 * more than SEGMENTS_MAX segments. */
enum meros_code path_split(struct str path, char *to, struct str segments[SEGMENTS_MAX], size_t *out_n,
                           struct meros_err *err);
/* Decodes and checks a raw query against descriptors (NULL: none known). `to` has query.n bytes of room, values one
 * element a descriptor. All faults go to err. */
enum meros_code query_parse(struct str query, const struct http_param *params, char *to, struct query_value *values,
                            struct meros_err *err);

/* reply.c */
void reply_drop(struct http_request *r);
void reply_problem(struct http_request *r, const struct meros_err *err);
/* By the holder, once: turns what the handler left (or its error) into the answer and wakes the connection. */
void request_finish(struct http_request *r, enum meros_code rc, const struct meros_err *err);
/* The same on the HTTP thread, for an inline handler or a refusal. False: a worker compresses it; wait for it. */
bool request_finish_inline(struct http_request *r, enum meros_code rc, const struct meros_err *err);
void request_compress_and_answer(struct http_request *r); /* TASK_COMPRESS, on a worker */
bool accepts_gzip(struct str accept_encoding);
bool stream_headers(struct http_request *r, struct MHD_Response *m, const char *content_type);

/* stream.c */
enum { STREAM_BLOCK = 16384 };
void body_push(struct http_request *r, const char *p, size_t n); /* HTTP thread; there is room for n bytes */
void stream_kill_locked(struct http_request *r);

/* pool.c */
enum meros_code pool_start(struct pool *p, struct http_server *s, const char *name, size_t max, bool eager,
                           struct meros_err *err);
void pool_stop(struct pool *p); /* runs what is queued, joins */
/* Hands r over, with a reference of its own. False: no thread could be started. */
bool pool_submit(struct pool *p, struct http_request *r, enum task task);
void request_run(struct http_request *r); /* request.c: what a worker does with a request */
bool pool_is_worker(void); /* is this thread one of a pool's? */

/* reaper.c */
enum meros_code reaper_start(struct http_server *s, struct meros_err *err);
void reaper_stop(struct http_server *s);
void conns_close_idle(struct http_server *s);
void conns_cut(struct http_server *s); /* all, and lets every holder and suspended connection go */
void conns_end_streams(struct http_server *s);

/* metrics.c */
extern _Atomic long open_connections, in_flight_requests, io_queue_depth;
void stats_init(struct route_stats *st, const struct http_route *route);
void account(struct http_request *r, int status, bool streamed); /* counts, and writes the access line */

/* cors.c */
enum meros_code cors_new(const char *origins, struct cors **out, struct meros_err *err);
void cors_free_all(struct cors *c);
void cors_reply(struct http_request *r); /* adds what a browser needs; before the reply is built */
void cors_preflight(struct http_request *r, const char *allow);
struct cors *cors_chain(struct cors *fresh, struct cors *old);

/* tls.c */
struct tls_files {
    char *cert, *key; /* PEM text */
};
enum meros_code tls_load(const char *cert_path, const char *key_path, struct tls_files *out, struct meros_err *err);
void tls_done(struct tls_files *t);

/* guard.c: keeps libmicrohttpd from spinning without file descriptors */
void guard_start(void);

/* loop.c: how libmicrohttpd's threads wait and are woken. On the connection's HTTP thread but for the first three and loop_resume. */
void loop_start(void);
struct http_loops *loops_new(int n); /* for so many threads; NULL: no memory */
void loops_give_back(struct http_loops *l); /* when the threads have ended */
struct http_loop *loop_here(struct http_loops *l); /* this thread's; NULL: libmicrohttpd has more threads than it was told to */
void loop_connected(int fd);
void loop_forget(int fd); /* before it is closed */
void loop_resume(struct http_loop *l, struct MHD_Connection *mhd); /* by whoever has an answer for a suspended connection */

#endif
