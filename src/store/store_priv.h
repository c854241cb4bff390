/* The plumbing that every file of src/store/ stands on: statements, results, transactions, COPY. libpq's
 * types stay inside plumbing files (plumbing.h, conn.c, stmt.c, copy.c, …); aggregate files (customers.c,
 * jobs.c, …) use only what is here.
 *
 * All SQL is `static const struct sql` text with parameters $1…, prepared on each connection at first use
 * under its name, and executed with what it expects to come back. Only rules of audiences are SQL made at run time, of
 * constants of audience_sql.c (sql_run_made).
 *
 *   static const struct sql SELECT_KEY = {
 *       "key_by_hash", "select id, scopes from api_keys where hash = $1", SQL_ROW_OR_NONE};
 *   struct rows r;
 *   enum meros_code rc = sql_exec(c, &SELECT_KEY, &r, err, P_BYTES(hash, 32));
 *   if (rc == MEROS_OK && r.n == 1) scopes = rows_int(&r, 0, 1);
 *   rows_done(&r);
 *
 * Errors: SQLSTATE classes map in one table (sqlstate.c): 23505 -> CONFLICT; 08*, 53*, 57P0* -> UNAVAILABLE
 * (the connection is marked broken and replaced by the pool); 57014 -> TIMEOUT (CANCELLED after store_cancel);
 * 40001, 40P01, 55P03 -> UNAVAILABLE (retryable); 22* and 23* -> UNPROCESSABLE; others INTERNAL. Messages for
 * clients never hold the database's own text of values; err->sqlstate tells kinds apart. A failed statement
 * inside a transaction fails the transaction: roll back. */
#ifndef MEROS_STORE_PRIV_H
#define MEROS_STORE_PRIV_H

#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/decimal.h"
#include "meros/store/store.h"

enum sql_expect { SQL_NOTHING, SQL_ROW, SQL_ROW_OR_NONE, SQL_ROWS };
struct sql {
    const char *name; /* unique in the program; at most 63 bytes */
    const char *text;
    enum sql_expect expect; /* SQL_ROW: anything but one row is INTERNAL */
};

struct sql_param {
    enum {
        P_KIND_NULL,
        P_KIND_TEXT,
        P_KIND_INT,
        P_KIND_NUM,
        P_KIND_BOOL,
        P_KIND_TIME,
        P_KIND_BYTES,
        P_KIND_INT_ARRAY,
        P_KIND_NUM_ARRAY,
        P_KIND_TIME_ARRAY,
        P_KIND_TEXT_ARRAY,
        P_KIND_UUID_ARRAY,
        P_KIND_JSONB_ARRAY,
        P_KIND_NUMERIC_ARRAY
    } kind;
    struct str text;         /* TEXT (also jsonb, numeric, uuid as text), BYTES; absent is null */
    int64_t i;               /* INT (bigint), BOOL, TIME (timestamptz; TIME_NONE is null) */
    double f;                /* NUM (float8; NaN is null, as reading null gives NaN) */
    const int64_t *ints;     /* INT_ARRAY (bigint[]), TIME_ARRAY (timestamptz[], TIME_NONE is null) */
    const double *nums;      /* NUM_ARRAY (float8[], NaN is null) */
    const struct str
        *texts; /* TEXT_ARRAY (text[], STR_NONE is null; write $1::jsonb[] or ::numeric[] for others), JSONB_ARRAY */
    const struct crypto_hash128 *uuids; /* UUID_ARRAY */
    const struct decimal *decimals;     /* NUMERIC_ARRAY (absent is null) */
    size_t n;
};
#define P_NULL          ((struct sql_param){.kind = P_KIND_NULL})
#define P_TEXT(s)       ((struct sql_param){.kind = P_KIND_TEXT, .text = (s)}) /* struct str; STR_NONE is null */
#define P_CSTR(s)       P_TEXT(str_of(s))
#define P_INT(v)        ((struct sql_param){.kind = P_KIND_INT, .i = (v)})
#define P_NUM(v)        ((struct sql_param){.kind = P_KIND_NUM, .f = (v)})
#define P_BOOL(v)       ((struct sql_param){.kind = P_KIND_BOOL, .i = (v)})
#define P_TIME(v)       ((struct sql_param){.kind = P_KIND_TIME, .i = (v)})
#define P_BYTES(p, len) ((struct sql_param){.kind = P_KIND_BYTES, .text = {(const char *)(p), (len)}})
#define P_INTS(p, len)  ((struct sql_param){.kind = P_KIND_INT_ARRAY, .ints = (p), .n = (len)})
#define P_NUMS(p, len)  ((struct sql_param){.kind = P_KIND_NUM_ARRAY, .nums = (p), .n = (len)})
#define P_TIMES(p, len) ((struct sql_param){.kind = P_KIND_TIME_ARRAY, .ints = (p), .n = (len)})
#define P_TEXTS(p, len) ((struct sql_param){.kind = P_KIND_TEXT_ARRAY, .texts = (p), .n = (len)})
#define P_UUIDS(p, len) ((struct sql_param){.kind = P_KIND_UUID_ARRAY, .uuids = (p), .n = (len)})
#define P_JSONBS(p, len) ((struct sql_param){.kind = P_KIND_JSONB_ARRAY, .texts = (p), .n = (len)})
#define P_NUMERICS(p, len) ((struct sql_param){.kind = P_KIND_NUMERIC_ARRAY, .decimals = (p), .n = (len)})

/* A result, in binary format; rows_done() frees it (also an empty one, also twice). */
struct rows {
    void *result;
    size_t n;          /* rows */
    int64_t affected;  /* of insert/update/delete */
};

/* Runs a prepared statement. `out` may be NULL with SQL_NOTHING. On failure *out is empty. */
enum meros_code sql_run(struct store_conn *c, const struct sql *s, struct rows *out, struct meros_err *err,
                        const struct sql_param *params, size_t n) MEROS_MUSTCHECK;
#define sql_exec(c, s, out, err, ...)                                                                        \
    sql_run(c, s, out, err, (const struct sql_param[]){__VA_ARGS__},                                         \
            sizeof((const struct sql_param[]){__VA_ARGS__}) / sizeof(struct sql_param))
#define sql_exec0(c, s, out, err) sql_run(c, s, out, err, NULL, 0)
/* The same for a text that lives no longer than the call: planned for these parameters, and not kept. Every parameter has a kind of
 * its own (no null of none). Nothing that came from a client may be part of the text. */
enum meros_code sql_run_made(struct store_conn *c, const struct sql *s, struct rows *out, struct meros_err *err,
                             const struct sql_param *params, size_t n) MEROS_MUSTCHECK;

/* Several statements sent together and answered together: one round trip. The first that fails ends the pipeline, and
 * its error is the call's; those behind it have not run. A transaction may begin and end in it (SQL_BEGIN, SQL_COMMIT);
 * after a failure the caller rolls back. On failure every `out` is empty, else the caller frees them.
 *
 * sql_pipeline_send returns when all is on its way, sql_pipeline_wait takes the answers: between the two the thread may
 * do other work, but not with this connection, and the wait must follow. Parameters are needed until the send returns. */
struct sql_step {
    const struct sql *sql;
    const struct sql_param *params;
    size_t n;
    struct rows *out; /* NULL with SQL_NOTHING */
};
extern const struct sql SQL_BEGIN, SQL_COMMIT;
enum meros_code sql_pipeline_send(struct store_conn *c, const struct sql_step *steps, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code sql_pipeline_wait(struct store_conn *c, const struct sql_step *steps, size_t n, struct meros_err *err) MEROS_MUSTCHECK;

/* Cells. Types must match what the statement selects: int reads int2/int4/int8, num float4/float8 (cast
 * numeric to float8 in SQL) and ints, time timestamptz, text text/varchar/jsonb/uuid-as-text, bytes bytea,
 * bool bool. A mismatch is our own mistake (assert). Null gives 0, NaN, TIME_NONE, STR_NONE, false. Views
 * live until rows_done(). */
bool rows_null(const struct rows *r, size_t row, int col);
int64_t rows_int(const struct rows *r, size_t row, int col);
double rows_num(const struct rows *r, size_t row, int col);
bool rows_bool(const struct rows *r, size_t row, int col);
int64_t rows_time(const struct rows *r, size_t row, int col);
struct str rows_text(const struct rows *r, size_t row, int col);
struct str rows_bytes(const struct rows *r, size_t row, int col);
void rows_done(struct rows *r);

/* COPY … FROM STDIN (FORMAT binary). One at a time on a connection, inside a transaction. Rows are built
 * field by field and sent in blocks of about 128 KB; as many fields must follow copy_in_row as it announced.
 * On any error call copy_in_abort (harmless after copy_in_end and after a failed copy_in_begin) and roll
 * back; statement_timeout covers the whole COPY, so raise it for long ones. Field functions cannot fail: out
 * of memory shows at the next copy_in_row. */
struct copy_in {
    struct store_conn *conn;
    const char *name;
    char *block;
    size_t len, cap;
    int64_t rows;
    int fields_due;
    bool failed, active;
};
enum meros_code copy_in_begin(struct copy_in *k, struct store_conn *c, const struct sql *s,
                              struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code copy_in_row(struct copy_in *k, int n_fields,
                            struct meros_err *err) MEROS_MUSTCHECK; /* starts a row; flushes when due */
void copy_in_null(struct copy_in *k);
void copy_in_text(struct copy_in *k, struct str s);  /* text; STR_NONE is null */
void copy_in_int8(struct copy_in *k, int64_t v);
void copy_in_int4(struct copy_in *k, int32_t v);
void copy_in_float8(struct copy_in *k, double v);      /* NaN is null */
void copy_in_bool(struct copy_in *k, bool v);
void copy_in_time(struct copy_in *k, int64_t t);     /* timestamptz; TIME_NONE is null */
void copy_in_bytes(struct copy_in *k, const void *p, size_t n); /* bytea; also uuid with n = 16 */
void copy_in_jsonb(struct copy_in *k, struct str json);
void copy_in_numeric(struct copy_in *k, int64_t unscaled,
                     int scale); /* unscaled * 10^-scale, 0 <= scale <= 12 */
enum meros_code copy_in_end(struct copy_in *k, int64_t *out_rows, struct meros_err *err) MEROS_MUSTCHECK;
void copy_in_abort(struct copy_in *k);

/* COPY (select …) TO STDOUT (FORMAT binary), row by row in constant memory, without parameters: pass a moment
 * or a range through a temporary table or set_config. fn gets the fields of one row as views that live until
 * it returns; returning anything but OK stops, with that code (an open transaction has then failed: roll
 * back). */
struct copy_field {
    const char *p; /* NULL: null */
    size_t n;
};
int64_t copy_int(const struct copy_field *f);   /* int2, int4, int8 */
double copy_num(const struct copy_field *f);    /* float4, float8; NaN for null */
int64_t copy_time(const struct copy_field *f);
struct str copy_text(const struct copy_field *f);
typedef enum meros_code (*copy_row_fn)(void *arg, const struct copy_field *fields, int n,
                                       struct meros_err *err);
enum meros_code copy_out(struct store_conn *c, const struct sql *s, copy_row_fn fn, void *arg,
                         struct meros_err *err) MEROS_MUSTCHECK;

#endif
