/* Statements: prepared by name at first use on each connection, parameters and results in binary. */
#include "plumbing.h"

#include <assert.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include "meros/base/buf.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"

/* --- what has been prepared, by the address of its struct sql */
static size_t slot_of(const struct store_conn *c, const struct sql *s)
{
    size_t mask = c->cap_prepared - 1, i = ((uintptr_t)s >> 3) * 0x9E3779B97F4A7C15u >> 32 & mask;
    while (c->prepared[i] != NULL && c->prepared[i]->sql != s) i = (i + 1) & mask;
    return i;
}

static bool make_room(struct store_conn *c)
{
    if (c->n_prepared * 2 < c->cap_prepared) return true;
    struct prepared **old = c->prepared;
    size_t old_cap = c->cap_prepared, cap = old_cap == 0 ? 64 : old_cap * 2;
    struct prepared **table = calloc(cap, sizeof *table);
    if (table == NULL) return false;
    c->prepared = table;
    c->cap_prepared = cap;
    for (size_t i = 0; i < old_cap; i++)
        if (old[i] != NULL) c->prepared[slot_of(c, old[i]->sql)] = old[i];
    free(old);
    return true;
}

/* The type a parameter is declared with; 0 lets the server infer it (text is sent in text form, which any
 * type reads). */
static Oid declared_type(const struct sql_param *p)
{
    switch (p->kind) {
    case P_KIND_INT: return OID_INT8;
    case P_KIND_NUM: return OID_FLOAT8;
    case P_KIND_BOOL: return OID_BOOL;
    case P_KIND_TIME: return OID_TIMESTAMPTZ;
    case P_KIND_BYTES: return OID_BYTEA;
    case P_KIND_INT_ARRAY: return OID_INT8_ARRAY;
    case P_KIND_NUM_ARRAY: return OID_FLOAT8_ARRAY;
    case P_KIND_TIME_ARRAY: return OID_TIMESTAMPTZ_ARRAY;
    case P_KIND_TEXT_ARRAY: return OID_TEXT_ARRAY;
    case P_KIND_UUID_ARRAY: return OID_UUID_ARRAY;
    case P_KIND_JSONB_ARRAY: return OID_JSONB_ARRAY;
    case P_KIND_NUMERIC_ARRAY: return OID_NUMERIC_ARRAY;
    case P_KIND_NULL:
    case P_KIND_TEXT: break;
    }
    return 0;
}

static enum meros_code prepare(struct store_conn *c, const struct sql *s, const struct sql_param *params,
                               size_t n, struct prepared **out, struct meros_err *err)
{
    if (!make_room(c))
        return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a database statement.");
    size_t i = slot_of(c, s);
    if (c->prepared[i] == NULL) {
        assert(strlen(s->name) < 64); /* the server would cut it */
        struct prepared *p = calloc(1, sizeof *p);
        if (p == NULL)
            return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a database statement.");
        p->sql = s;
        for (size_t k = 0; k < n; k++) p->types[k] = declared_type(&params[k]);
        PGresult *r = conn_answer(c, PQsendPrepare(c->pg, s->name, s->text, (int)n, p->types));
        if (PQresultStatus(r) != PGRES_COMMAND_OK) {
            free(p);
            return conn_fail(c, r, s->name, err);
        }
        PQclear(r);
        c->prepared[i] = p;
        c->n_prepared++;
    }
    *out = c->prepared[i];
    return MEROS_OK;
}

/* A parameter that was null or text when the statement was prepared now has a kind of its own: ask what was
 * inferred. */
static enum meros_code describe(struct store_conn *c, struct prepared *p, struct meros_err *err)
{
    PGresult *r = conn_answer(c, PQsendDescribePrepared(c->pg, p->sql->name));
    if (PQresultStatus(r) != PGRES_COMMAND_OK) return conn_fail(c, r, p->sql->name, err);
    for (int i = 0; i < PQnparams(r) && i < SQL_PARAMS_MAX; i++) p->types[i] = PQparamtype(r, i);
    p->described = true;
    PQclear(r);
    return MEROS_OK;
}

/* --- encoding. Everything goes into one buffer; pointers are made when it has stopped growing. */
struct encoded {
    struct buf bytes;
    size_t at[SQL_PARAMS_MAX];
    int lengths[SQL_PARAMS_MAX], formats[SQL_PARAMS_MAX];
    bool null[SQL_PARAMS_MAX];
};

static void put_be32(struct buf *b, uint32_t v)
{
    unsigned char bytes[4];
    put32(bytes, v);
    buf_append(b, bytes, 4);
}

static void put_be64(struct buf *b, uint64_t v)
{
    unsigned char bytes[8];
    put64(bytes, v);
    buf_append(b, bytes, 8);
}

static bool element_null(const struct sql_param *p, size_t i)
{
    switch (p->kind) {
    case P_KIND_TEXT_ARRAY:
    case P_KIND_JSONB_ARRAY: return !str_present(p->texts[i]);
    case P_KIND_NUM_ARRAY: return isnan(p->nums[i]);
    case P_KIND_TIME_ARRAY: return p->ints[i] == TIME_NONE;
    case P_KIND_NUMERIC_ARRAY: return !p->decimals[i].present;
    default: return false;
    }
}

static void put_element(struct buf *b, const struct sql_param *p, size_t i)
{
    unsigned char number[NUMERIC_MAX];
    size_t n;
    switch (p->kind) {
    case P_KIND_TEXT_ARRAY:
        put_be32(b, (uint32_t)p->texts[i].n);
        buf_append(b, p->texts[i].p, p->texts[i].n);
        break;
    case P_KIND_JSONB_ARRAY:
        put_be32(b, (uint32_t)p->texts[i].n + 1);
        buf_char(b, 1); /* the version of the format */
        buf_append(b, p->texts[i].p, p->texts[i].n);
        break;
    case P_KIND_UUID_ARRAY:
        put_be32(b, sizeof p->uuids[i].bytes);
        buf_append(b, p->uuids[i].bytes, sizeof p->uuids[i].bytes);
        break;
    case P_KIND_NUMERIC_ARRAY:
        n = numeric_encode(p->decimals[i].unscaled, p->decimals[i].scale, number);
        put_be32(b, (uint32_t)n);
        buf_append(b, number, n);
        break;
    default:
        put_be32(b, 8);
        put_be64(b, p->kind == P_KIND_NUM_ARRAY    ? double_bits(p->nums[i])
                    : p->kind == P_KIND_TIME_ARRAY ? (uint64_t)time_to_pg(p->ints[i])
                                                   : (uint64_t)p->ints[i]);
    }
}

/* array_recv: dimensions, has-null flag, element type, then size and lower bound, then the elements. */
static void put_array(struct buf *b, const struct sql_param *p)
{
    static const Oid elements[] = {[P_KIND_INT_ARRAY] = OID_INT8,         [P_KIND_NUM_ARRAY] = OID_FLOAT8,
                                   [P_KIND_TIME_ARRAY] = OID_TIMESTAMPTZ, [P_KIND_TEXT_ARRAY] = OID_TEXT,
                                   [P_KIND_UUID_ARRAY] = OID_UUID,        [P_KIND_JSONB_ARRAY] = OID_JSONB,
                                   [P_KIND_NUMERIC_ARRAY] = OID_NUMERIC};
    put_be32(b, p->n > 0 ? 1 : 0);
    put_be32(b, 1); /* there may be nulls; the server checks each anyway */
    put_be32(b, elements[p->kind]);
    if (p->n == 0) return;
    put_be32(b, (uint32_t)p->n);
    put_be32(b, 1);
    for (size_t i = 0; i < p->n; i++) {
        if (element_null(p, i)) put_be32(b, UINT32_MAX);
        else put_element(b, p, i);
    }
}

static bool is_null(const struct sql_param *p)
{
    switch (p->kind) {
    case P_KIND_NULL: return true;
    case P_KIND_TEXT:
    case P_KIND_BYTES: return !str_present(p->text);
    case P_KIND_NUM: return isnan(p->f);
    case P_KIND_TIME: return p->i == TIME_NONE;
    default: return false;
    }
}

/* The text form, which the server reads as whatever it had inferred for the parameter. */
static void put_as_text(struct buf *b, const struct sql_param *p)
{
    char at[TIME_TEXT];
    switch (p->kind) {
    case P_KIND_INT: buf_printf(b, "%lld", (long long)p->i); break;
    case P_KIND_NUM: buf_printf(b, "%.17g", p->f); break;
    case P_KIND_BOOL: buf_str(b, p->i ? "t" : "f"); break;
    case P_KIND_TIME: time_format(p->i, at); buf_str(b, at); break;
    default: buf_append(b, p->text.p, p->text.n); break;
    }
}

static enum meros_code encode(struct encoded *e, size_t i, const struct sql_param *p, Oid type,
                              const char *name, struct meros_err *err)
{
    struct buf *b = &e->bytes;
    e->at[i] = b->len;
    e->formats[i] = 1;
    e->null[i] = is_null(p);
    if (e->null[i]) return MEROS_OK;
    if (p->kind == P_KIND_TEXT) {
        /* libpq measures text parameters by their NUL: one inside would cut the value silently. */
        if (p->text.n > 0 && memchr(p->text.p, '\0', p->text.n) != NULL)
            return err_set(err, MEROS_UNPROCESSABLE,
                           "A text holds a NUL character, which the database cannot hold.");
        e->formats[i] = 0;
        put_as_text(b, p);
    } else if (type == declared_type(p)) {
        switch (p->kind) {
        case P_KIND_INT: put_be64(b, (uint64_t)p->i); break;
        case P_KIND_NUM: put_be64(b, double_bits(p->f)); break;
        case P_KIND_BOOL: buf_char(b, p->i ? 1 : 0); break;
        case P_KIND_TIME: put_be64(b, (uint64_t)time_to_pg(p->i)); break;
        case P_KIND_BYTES: buf_append(b, p->text.p, p->text.n); break;
        default: put_array(b, p); break;
        }
    } else if (p->kind == P_KIND_BYTES && type == OID_UUID && p->text.n == 16) {
        buf_append(b, p->text.p, 16);
    } else if (p->kind == P_KIND_BYTES || p->kind >= P_KIND_INT_ARRAY) {
        log_error("store.parameter_type", KV("statement", name), KV_I("parameter", i + 1),
                  KV_I("type", type));
        return err_set(err, MEROS_INTERNAL,
                       "A statement of the service was given a parameter of the wrong type.");
    } else {
        e->formats[i] = 0;
        put_as_text(b, p);
    }
    if (b->len - e->at[i] > INT32_MAX) b->failed = true;
    e->lengths[i] = (int)(b->len - e->at[i]);
    buf_char(b, '\0'); /* ends text; and an empty buffer still has an address */
    return MEROS_OK;
}

static enum meros_code expect(const struct sql *s, size_t n, struct meros_err *err)
{
    if ((s->expect == SQL_ROW && n != 1) || (s->expect == SQL_ROW_OR_NONE && n > 1)) {
        log_error("store.unexpected_rows", KV("statement", s->name), KV_I("rows", n));
        return err_set(err, MEROS_INTERNAL, "The database answered with an unexpected number of rows.");
    }
    return MEROS_OK;
}

static enum meros_code take_result(struct store_conn *c, const struct sql *s, PGresult *r, struct rows *out,
                                   struct meros_err *err)
{
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) return conn_fail(c, r, s->name, err);
    enum meros_code rc = expect(s, (size_t)PQntuples(r), err);
    if (rc != MEROS_OK || out == NULL) {
        PQclear(r);
        return rc;
    }
    const char *affected = PQcmdTuples(r);
    *out = (struct rows){
        .result = r, .n = (size_t)PQntuples(r), .affected = *affected ? strtoll(affected, NULL, 10) : 0};
    return MEROS_OK;
}

/* The parameters of a statement as the server takes them; values point into e. */
static enum meros_code encode_all(struct store_conn *c, struct prepared *p, struct encoded *e, const struct sql_param *params,
                                  size_t n, const char **values, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        if (p->types[i] != declared_type(&params[i]) && !is_null(&params[i]) &&
            params[i].kind != P_KIND_TEXT && !p->described)
            rc = describe(c, p, err);
        if (rc == MEROS_OK) rc = encode(e, i, &params[i], p->types[i], p->sql->name, err);
    }
    if (rc == MEROS_OK && e->bytes.failed)
        rc = err_set(err, MEROS_TOO_LARGE, "A value is larger than the database takes.");
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) values[i] = e->null[i] ? NULL : e->bytes.data + e->at[i];
    return rc;
}

enum meros_code sql_run(struct store_conn *c, const struct sql *s, struct rows *out, struct meros_err *err,
                        const struct sql_param *params, size_t n)
{
    if (out != NULL) *out = (struct rows){0};
    assert(n <= SQL_PARAMS_MAX && (out != NULL || s->expect == SQL_NOTHING));
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    struct prepared *p = NULL;
    rc = prepare(c, s, params, n, &p, err);
    if (rc != MEROS_OK) return rc;

    struct encoded e;
    buf_init(&e.bytes, (size_t)1 << 30);
    const char *values[SQL_PARAMS_MAX];
    rc = encode_all(c, p, &e, params, n, values, err);
    if (rc == MEROS_OK) {
        PGresult *r = conn_answer(c, PQsendQueryPrepared(c->pg, s->name, (int)n, values, e.lengths, e.formats, 1));
        rc = take_result(c, s, r, out, err);
    }
    buf_done(&e.bytes);
    return rc;
}

enum meros_code sql_run_made(struct store_conn *c, const struct sql *s, struct rows *out, struct meros_err *err,
                             const struct sql_param *params, size_t n)
{
    struct prepared p = {.sql = s};
    struct encoded e;
    const char *values[SQL_PARAMS_MAX];
    *out = (struct rows){0};
    assert(n <= SQL_PARAMS_MAX);
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < n; i++) p.types[i] = declared_type(&params[i]);
    buf_init(&e.bytes, (size_t)1 << 30);
    rc = encode_all(c, &p, &e, params, n, values, err);
    if (rc == MEROS_OK) {
        PGresult *r = conn_answer(c, PQsendQueryParams(c->pg, s->text, (int)n, p.types, values, e.lengths, e.formats, 1));
        rc = take_result(c, s, r, out, err);
    }
    buf_done(&e.bytes);
    return rc;
}

/* --- pipelines. What the server says while it is written to is read, so that neither side waits for the other with full
 * buffers. */
const struct sql SQL_BEGIN = {"pipeline_begin", "begin", SQL_NOTHING};
const struct sql SQL_COMMIT = {"pipeline_commit", "commit", SQL_NOTHING};

/* Out of the pipeline after something of libpq itself failed: the connection cannot be trusted to be in step any more. */
static enum meros_code pipeline_lost(struct store_conn *c, const char *what, struct meros_err *err)
{
    enum meros_code rc = conn_fail(c, NULL, what, err);
    c->broken = true;
    return rc;
}

enum meros_code sql_pipeline_send(struct store_conn *c, const struct sql_step *steps, size_t n, struct meros_err *err)
{
    struct prepared *p[SQL_STEPS_MAX];
    assert(n > 0 && n <= SQL_STEPS_MAX);
    enum meros_code rc = conn_ready(c, err);
    for (size_t i = 0; i < n; i++)
        if (steps[i].out != NULL) *steps[i].out = (struct rows){0};
    /* Preparing and asking for types are round trips of their own, so they come before; only the first time. */
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        assert(steps[i].n <= SQL_PARAMS_MAX && (steps[i].out != NULL || steps[i].sql->expect == SQL_NOTHING));
        rc = prepare(c, steps[i].sql, steps[i].params, steps[i].n, &p[i], err);
        for (size_t k = 0; k < steps[i].n && rc == MEROS_OK; k++) {
            const struct sql_param *param = &steps[i].params[k];
            if (p[i]->types[k] != declared_type(param) && !is_null(param) && param->kind != P_KIND_TEXT && !p[i]->described)
                rc = describe(c, p[i], err);
        }
    }
    if (rc != MEROS_OK) return rc;

    struct encoded e;
    const char *values[SQL_PARAMS_MAX];
    size_t sent = 0;
    buf_init(&e.bytes, (size_t)1 << 30);
    if (PQenterPipelineMode(c->pg) != 1) rc = pipeline_lost(c, steps[0].sql->name, err);
    for (; sent < n && rc == MEROS_OK; sent++) {
        const struct sql_step *s = &steps[sent];
        buf_clear(&e.bytes);
        rc = encode_all(c, p[sent], &e, s->params, s->n, values, err);
        if (rc == MEROS_OK && PQsendQueryPrepared(c->pg, s->sql->name, (int)s->n, values, e.lengths, e.formats, 1) != 1)
            rc = pipeline_lost(c, s->sql->name, err);
    }
    buf_done(&e.bytes);
    struct deadline d = conn_deadline(c);
    if (rc == MEROS_OK && (PQpipelineSync(c->pg) != 1 || !conn_flush(c, &d))) rc = pipeline_lost(c, steps[0].sql->name, err);
    /* A value that could not be encoded in the middle: what was sent runs no further than the connection lives. */
    if (rc != MEROS_OK && PQpipelineStatus(c->pg) != PQ_PIPELINE_OFF) c->broken = true;
    c->in_pipeline = rc == MEROS_OK;
    return rc;
}

enum meros_code sql_pipeline_wait(struct store_conn *c, const struct sql_step *steps, size_t n, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    struct deadline d = conn_deadline(c);
    assert(c->in_pipeline);
    c->in_pipeline = false;
    for (size_t i = 0; i < n; i++) {
        PGresult *r = conn_result(c, &d);
        if (r == NULL) { /* the connection died, or nobody answers */
            if (rc == MEROS_OK) rc = pipeline_lost(c, steps[i].sql->name, err);
            break;
        }
        if (rc != MEROS_OK) PQclear(r); /* PGRES_PIPELINE_ABORTED */
        else rc = take_result(c, steps[i].sql, r, steps[i].out, err);
        if (c->broken) break;
        r = conn_result(c, &d); /* NULL separates the statements */
        if (r == NULL && !c->late) continue;
        PQclear(r);
        rc = pipeline_lost(c, steps[i].sql->name, err);
        break;
    }
    if (!c->broken) {
        PGresult *r = conn_result(c, &d);
        bool synced = PQresultStatus(r) == PGRES_PIPELINE_SYNC;
        PQclear(r);
        if (!synced || PQexitPipelineMode(c->pg) != 1) {
            enum meros_code lost = pipeline_lost(c, steps[0].sql->name, rc == MEROS_OK ? err : NULL);
            if (rc == MEROS_OK) rc = lost;
        }
    }
    for (size_t i = 0; i < n && rc != MEROS_OK; i++)
        if (steps[i].out != NULL) rows_done(steps[i].out);
    return rc;
}
