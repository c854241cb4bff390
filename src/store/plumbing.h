/* What the plumbing files share among themselves: here, and nowhere else in Meros, libpq's types are seen. */
#ifndef MEROS_STORE_PLUMBING_H
#define MEROS_STORE_PLUMBING_H

#include <libpq-fe.h>
#include <pthread.h>
#include <stdatomic.h>
#include "store_priv.h"

/* PostgreSQL counts from 2000-01-01. */
#define PG_EPOCH INT64_C(946684800000000)

/* Types of PostgreSQL by their fixed numbers (pg_type.dat). */
enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_CHAR = 18,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_OID = 26,
    OID_JSON = 114,
    OID_FLOAT4 = 700,
    OID_FLOAT8 = 701,
    OID_UNKNOWN = 705,
    OID_TEXT_ARRAY = 1009,
    OID_INT8_ARRAY = 1016,
    OID_FLOAT8_ARRAY = 1022,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIMESTAMPTZ = 1184,
    OID_TIMESTAMPTZ_ARRAY = 1185,
    OID_NUMERIC_ARRAY = 1231,
    OID_NUMERIC = 1700,
    OID_UUID = 2950,
    OID_UUID_ARRAY = 2951,
    OID_JSONB = 3802,
    OID_JSONB_ARRAY = 3807
};

enum { SQL_PARAMS_MAX = 64, SQL_STEPS_MAX = 8 };

/* A statement that this connection has prepared. types[i] is 0 where the server was left to infer it. */
struct prepared {
    const struct sql *sql;
    bool described;
    Oid types[SQL_PARAMS_MAX];
};

struct store_conn {
    /* immutable */
    struct store_pool *pool;
    PGconn *pg;
    bool pooled;
    int wake_fd;               /* eventfd; -1 until store_listen */
    /* of the thread that holds the connection */
    bool broken, copying, listening, in_pipeline;
    bool late; /* the server did not answer in time; broken as well, as soon as that was reported */
    int timeout_ms;            /* statement_timeout in force */
    struct prepared **prepared; /* hashed by address; cap is a power of two */
    size_t n_prepared, cap_prepared;
    bool is_long;              /* from store_acquire_long */
    /* of the pool, under its lock */
    struct store_conn *next;
    /* shared with store_cancel: the lock is held while the server is being told */
    pthread_mutex_t cancel_lock;
    _Atomic bool cancelled;
    _Atomic bool stray; /* a cancellation may still arrive: not for a next holder */
};

/* conn.c. `reason` is a fixed phrase for logs, never text of libpq (which may hold parts of the URL). */
enum meros_code conn_open(struct store_pool *p, const char *url, int statement_timeout_ms, int timeout_ms,
                          struct store_conn **out, const char **reason,
                          struct meros_err *err) MEROS_MUSTCHECK;
void conn_close(struct store_conn *c);
bool conn_healthy(struct store_conn *c); /* looks at the socket of an idle connection; no round trip */
bool conn_reset(struct store_conn *c);   /* makes it as new for the next holder; false: throw it away */
enum meros_code url_check(const char *url, struct meros_err *err) MEROS_MUSTCHECK;

/* Fills err from a failed result (NULL: the connection's own state), marks the connection, clears the result.
 */
enum meros_code conn_fail(struct store_conn *c, PGresult *result, const char *what, struct meros_err *err);
/* Before a statement: UNAVAILABLE on a broken connection, CANCELLED after store_cancel. */
enum meros_code conn_ready(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* One fixed statement in the simple protocol. */
enum meros_code conn_simple(struct store_conn *c, const char *text, const char *what,
                            struct meros_err *err) MEROS_MUSTCHECK;

/* wait.c: answers, within a deadline. Connections do not block: whoever sends flushes or waits for the answer. After one of
 * these failed, conn_fail(c, NULL, …) says what happened and marks the connection. */
struct deadline {
    int64_t at_ns;
    bool bounded; /* by the statement_timeout; else for as long as the server answers anybody */
    int unheard;
};
struct deadline conn_deadline(const struct store_conn *c);
bool conn_flush(struct store_conn *c, struct deadline *d); /* everything is on its way; false: it will not be */
PGresult *conn_result(struct store_conn *c, struct deadline *d); /* as PQgetResult; NULL also when it is late (c->late) */
/* The one result of what was sent (sent: what the PQsend function returned), or NULL. */
PGresult *conn_answer(struct store_conn *c, int sent);
PGresult *conn_exec(struct store_conn *c, const char *text); /* in the simple protocol, as PQexec */
int conn_copy_data(struct store_conn *c, char **piece);      /* as PQgetCopyData that waits */
/* Asks the server to end what the connection runs; from any thread. False: it did not answer, and may do it at any time. */
bool conn_cancel(struct store_conn *c);
/* conn.c: whether anybody answers at the address of the pool's database, be it with a refusal. Waits at most 3 s. */
bool conn_answers(struct store_pool *p);

/* pool.c: a connection was lost; look whether the database is still there. */
void pool_suspect(struct store_pool *p);
const char *pool_url(const struct store_pool *p);

/* sqlstate.c */
struct sqlstate {
    enum meros_code code;
    bool broken;        /* the connection is of no more use */
    const char *detail; /* for the client */
};
struct sqlstate sqlstate_look(const char *state);
/* The message's first line without what may be somebody's data. */
void sqlstate_primary(const char *state, const char *message, char *out, size_t cap);

/* numeric.c: the binary form of unscaled * 10^-scale; returns its length. */
enum { NUMERIC_MAX = 8 + 2 * 12 };
size_t numeric_encode(int64_t unscaled, int scale, unsigned char out[NUMERIC_MAX]);

/* copy_parse.c: the stream of COPY … (FORMAT binary), in pieces of any size. */
enum { COPY_FIELDS_MAX = 1664 };
struct copy_parser {
    char *pending; /* the beginning of a row whose end has not arrived */
    size_t n, cap;
    bool header_seen, ended;
    struct copy_field *fields;
    copy_row_fn fn;
    void *arg;
};
enum meros_code copy_parser_init(struct copy_parser *k, copy_row_fn fn, void *arg,
                                 struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code copy_parser_feed(struct copy_parser *k, const char *p, size_t n,
                                 struct meros_err *err) MEROS_MUSTCHECK;
/* OK only if the stream was whole. */
enum meros_code copy_parser_end(struct copy_parser *k, struct meros_err *err) MEROS_MUSTCHECK;
void copy_parser_done(struct copy_parser *k);

static inline void put16(unsigned char *p, uint16_t v)
{
    p[0] = (unsigned char)(v >> 8), p[1] = (unsigned char)v;
}
static inline void put32(unsigned char *p, uint32_t v)
{
    put16(p, (uint16_t)(v >> 16)), put16(p + 2, (uint16_t)v);
}
static inline void put64(unsigned char *p, uint64_t v)
{
    put32(p, (uint32_t)(v >> 32)), put32(p + 4, (uint32_t)v);
}
static inline uint16_t get16(const void *at)
{
    const unsigned char *p = at;
    return (uint16_t)(p[0] << 8 | p[1]);
}
static inline uint32_t get32(const void *at)
{
    const unsigned char *p = at;
    return (uint32_t)get16(p) << 16 | get16(p + 2);
}
static inline uint64_t get64(const void *at)
{
    const unsigned char *p = at;
    return (uint64_t)get32(p) << 32 | get32(p + 4);
}
static inline uint64_t double_bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, 8);
    return u;
}
/* Moments: ours to PostgreSQL's and back. Its infinities become the ends of our range. */
static inline int64_t time_to_pg(int64_t t)
{
    return t < INT64_MIN + PG_EPOCH ? INT64_MIN : t - PG_EPOCH;
}
static inline int64_t time_from_pg(int64_t t)
{
    if (t == INT64_MIN) return INT64_MIN + 1; /* -infinity; INT64_MIN itself is TIME_NONE */
    return t > INT64_MAX - PG_EPOCH ? INT64_MAX : t + PG_EPOCH;
}

#endif
