/* COPY in binary, into the database and out of it. */
#include "plumbing.h"

#include <assert.h>
#include <math.h>
#include <stdlib.h>
#include "meros/base/clock.h"

enum { BLOCK = 128 * 1024 };
static const char signature[] = "PGCOPY\n\377\r\n"; /* with its NUL: 11 bytes */

/* --- in */
static unsigned char *room(struct copy_in *k, size_t n)
{
    if (k->failed) return NULL;
    if (k->len + n > k->cap) {
        size_t cap = k->cap;
        while (cap < k->len + n) cap *= 2;
        char *block = cap > (size_t)1 << 30 ? NULL : realloc(k->block, cap);
        if (block == NULL) {
            k->failed = true;
            return NULL;
        }
        k->block = block;
        k->cap = cap;
    }
    unsigned char *p = (unsigned char *)k->block + k->len;
    k->len += n;
    return p;
}

/* The next field's length and room for its bytes; NULL when memory is out (k->failed). */
static unsigned char *field(struct copy_in *k, size_t n)
{
    assert(k->fields_due > 0);
    k->fields_due--;
    if (n > INT32_MAX) k->failed = true;
    unsigned char *p = room(k, 4 + n);
    if (p == NULL) return NULL;
    put32(p, (uint32_t)n);
    return p + 4;
}

void copy_in_null(struct copy_in *k)
{
    assert(k->fields_due > 0);
    k->fields_due--;
    unsigned char *p = room(k, 4);
    if (p != NULL) put32(p, UINT32_MAX);
}

void copy_in_bytes(struct copy_in *k, const void *bytes, size_t n)
{
    unsigned char *p = field(k, n);
    if (p != NULL && n > 0) memcpy(p, bytes, n);
}

void copy_in_text(struct copy_in *k, struct str s)
{
    if (str_present(s)) copy_in_bytes(k, s.p, s.n);
    else copy_in_null(k);
}

void copy_in_int8(struct copy_in *k, int64_t v)
{
    unsigned char *p = field(k, 8);
    if (p != NULL) put64(p, (uint64_t)v);
}

void copy_in_int4(struct copy_in *k, int32_t v)
{
    unsigned char *p = field(k, 4);
    if (p != NULL) put32(p, (uint32_t)v);
}

void copy_in_float8(struct copy_in *k, double v)
{
    if (isnan(v)) copy_in_null(k);
    else copy_in_int8(k, (int64_t)double_bits(v));
}

void copy_in_bool(struct copy_in *k, bool v)
{
    unsigned char *p = field(k, 1);
    if (p != NULL) *p = v;
}

void copy_in_time(struct copy_in *k, int64_t t)
{
    if (t == TIME_NONE) copy_in_null(k);
    else copy_in_int8(k, time_to_pg(t));
}

void copy_in_jsonb(struct copy_in *k, struct str json)
{
    if (!str_present(json)) {
        copy_in_null(k);
        return;
    }
    unsigned char *p = field(k, json.n + 1);
    if (p == NULL) return;
    p[0] = 1; /* the version of the format */
    memcpy(p + 1, json.p, json.n);
}

void copy_in_numeric(struct copy_in *k, int64_t unscaled, int scale)
{
    unsigned char bytes[NUMERIC_MAX];
    size_t n = numeric_encode(unscaled, scale, bytes);
    copy_in_bytes(k, bytes, n);
}

/* After the server has stopped listening: what it said. Leaves the connection out of the COPY. */
static enum meros_code copy_outcome(struct store_conn *c, const char *name, int64_t *out_rows,
                                    struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    PGresult *r;
    struct deadline d = conn_deadline(c);
    while ((r = conn_result(c, &d)) != NULL) {
        ExecStatusType status = PQresultStatus(r);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH) {
            /* Only when the connection died: libpq would report this for ever. */
            PQclear(r);
            rc = conn_fail(c, NULL, name, err);
            break;
        }
        if (status == PGRES_COMMAND_OK) {
            if (out_rows != NULL) *out_rows = strtoll(PQcmdTuples(r), NULL, 10);
            PQclear(r);
        } else if (rc == MEROS_OK) {
            rc = conn_fail(c, r, name, err);
        } else {
            PQclear(r);
        }
    }
    c->copying = false;
    if ((rc == MEROS_OK && PQstatus(c->pg) != CONNECTION_OK) || c->late) rc = conn_fail(c, NULL, name, err);
    return rc;
}

static enum meros_code flush(struct copy_in *k, struct meros_err *err)
{
    if (k->failed) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rows to be copied.");
    enum meros_code rc = conn_ready(k->conn, err);
    if (rc != MEROS_OK) return rc;
    struct deadline d = conn_deadline(k->conn);
    if (PQputCopyData(k->conn->pg, k->block, (int)k->len) != 1 || !conn_flush(k->conn, &d)) {
        k->active = false;
        rc = copy_outcome(k->conn, k->name, NULL, err);
        return rc != MEROS_OK ? rc : conn_fail(k->conn, NULL, k->name, err);
    }
    k->len = 0;
    return MEROS_OK;
}

enum meros_code copy_in_begin(struct copy_in *k, struct store_conn *c, const struct sql *s,
                              struct meros_err *err)
{
    *k = (struct copy_in){.conn = c, .name = s->name};
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    k->block = malloc(2 * BLOCK);
    if (k->block == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rows to be copied.");
    k->cap = 2 * BLOCK;
    PGresult *r = conn_exec(c, s->text);
    if (PQresultStatus(r) != PGRES_COPY_IN) {
        free(k->block);
        k->block = NULL;
        return conn_fail(c, r, s->name, err);
    }
    PQclear(r);
    c->copying = k->active = true;
    memcpy(room(k, 11), signature, 11);
    memset(room(k, 8), 0, 8); /* no flags, no extension */
    return MEROS_OK;
}

enum meros_code copy_in_row(struct copy_in *k, int n_fields, struct meros_err *err)
{
    assert(k->fields_due == 0 && n_fields > 0 && n_fields <= COPY_FIELDS_MAX);
    if (k->failed || k->len >= BLOCK) {
        enum meros_code rc = flush(k, err);
        if (rc != MEROS_OK) return rc;
    }
    unsigned char *p = room(k, 2);
    if (p != NULL) put16(p, (uint16_t)n_fields);
    k->fields_due = n_fields;
    k->rows++;
    return MEROS_OK;
}

enum meros_code copy_in_end(struct copy_in *k, int64_t *out_rows, struct meros_err *err)
{
    assert(k->fields_due == 0);
    unsigned char *p = room(k, 2);
    if (p != NULL) put16(p, UINT16_MAX);
    enum meros_code rc = flush(k, err);
    if (rc != MEROS_OK) goto out;
    int64_t rows = 0;
    k->active = false;
    if (PQputCopyEnd(k->conn->pg, NULL) != 1) rc = conn_fail(k->conn, NULL, k->name, err);
    if (rc == MEROS_OK) rc = copy_outcome(k->conn, k->name, &rows, err);
    if (rc == MEROS_OK && out_rows != NULL) *out_rows = rows;
out:
    copy_in_abort(k);
    return rc;
}

void copy_in_abort(struct copy_in *k)
{
    if (k->active) {
        k->active = false;
        struct meros_err ignored = MEROS_ERR_INIT;
        PGresult *r;
        struct deadline d = conn_deadline(k->conn);
        if (PQputCopyEnd(k->conn->pg, "abandoned by the service") == 1)
            while ((r = conn_result(k->conn, &d)) != NULL) {
                bool stuck = PQresultStatus(r) == PGRES_COPY_IN;
                PQclear(r);
                if (stuck) break;
            }
        k->conn->copying = false;
        if (k->conn->late || PQstatus(k->conn->pg) != CONNECTION_OK || PQtransactionStatus(k->conn->pg) == PQTRANS_ACTIVE)
            conn_fail(k->conn, NULL, k->name, &ignored);
    }
    free(k->block);
    k->block = NULL;
    k->len = k->cap = 0;
    k->fields_due = 0;
}

/* --- out */
enum meros_code copy_out(struct store_conn *c, const struct sql *s, copy_row_fn fn, void *arg,
                         struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    struct copy_parser parser;
    rc = copy_parser_init(&parser, fn, arg, err);
    if (rc != MEROS_OK) return rc;
    PGresult *r = conn_exec(c, s->text);
    if (PQresultStatus(r) != PGRES_COPY_OUT) {
        rc = conn_fail(c, r, s->name, err);
        goto out;
    }
    PQclear(r);
    c->copying = true;
    char *piece = NULL;
    int n;
    while ((n = conn_copy_data(c, &piece)) > 0) {
        if (rc == MEROS_OK) {
            rc = copy_parser_feed(&parser, piece, (size_t)n, err);
            /* Stopping early: tell the server, then read away what is under way. */
            if (rc != MEROS_OK && !conn_cancel(c)) c->stray = true;
        }
        PQfreemem(piece);
    }
    enum meros_code outcome = copy_outcome(c, s->name, NULL, rc == MEROS_OK ? err : NULL);
    if (rc == MEROS_OK) rc = outcome;
    if (rc == MEROS_OK) rc = copy_parser_end(&parser, err);
out:
    copy_parser_done(&parser);
    return rc;
}
