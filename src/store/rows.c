/* What results hold: cells of rows and of COPY, out of PostgreSQL's binary forms. */
#include "plumbing.h"

#include <assert.h>
#include <math.h>
#include "meros/base/clock.h"

static const char *cell(const struct rows *r, size_t row, int col, int *length)
{
    assert(row < r->n && col >= 0 && col < PQnfields(r->result));
    if (PQgetisnull(r->result, (int)row, col)) return NULL;
    *length = PQgetlength(r->result, (int)row, col);
    return PQgetvalue(r->result, (int)row, col);
}

bool rows_null(const struct rows *r, size_t row, int col)
{
    int n = 0;
    return cell(r, row, col, &n) == NULL;
}

int64_t rows_int(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return 0;
    switch (PQftype(r->result, col)) {
    case OID_INT8: return (int64_t)get64(p);
    case OID_INT4: return (int32_t)get32(p);
    case OID_INT2: return (int16_t)get16(p);
    case OID_OID: return get32(p);
    default: assert(!"an integer column"); return 0;
    }
}

static double float_of(uint32_t bits)
{
    float f;
    memcpy(&f, &bits, 4);
    return f;
}

static double double_of(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, 8);
    return d;
}

double rows_num(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return NAN;
    switch (PQftype(r->result, col)) {
    case OID_FLOAT8: return double_of(get64(p));
    case OID_FLOAT4: return float_of(get32(p));
    default: return (double)rows_int(r, row, col);
    }
}

bool rows_bool(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return false;
    assert(PQftype(r->result, col) == OID_BOOL);
    return p[0] != 0;
}

int64_t rows_time(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return TIME_NONE;
    assert(PQftype(r->result, col) == OID_TIMESTAMPTZ);
    return time_from_pg((int64_t)get64(p));
}

struct str rows_text(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return STR_NONE;
    switch (PQftype(r->result, col)) {
    case OID_JSONB: /* a version byte goes first */
        assert(n > 0 && p[0] == 1);
        return (struct str){p + 1, (size_t)n - 1};
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_BPCHAR:
    case OID_NAME:
    case OID_JSON:
    case OID_UNKNOWN: return (struct str){p, (size_t)n};
    default: assert(!"a text column"); return STR_NONE;
    }
}

struct str rows_bytes(const struct rows *r, size_t row, int col)
{
    int n = 0;
    const char *p = cell(r, row, col, &n);
    if (p == NULL) return STR_NONE;
    assert(PQftype(r->result, col) == OID_BYTEA || PQftype(r->result, col) == OID_UUID);
    return (struct str){p, (size_t)n};
}

void rows_done(struct rows *r)
{
    PQclear(r->result);
    *r = (struct rows){0};
}

int64_t copy_int(const struct copy_field *f)
{
    if (f->p == NULL) return 0;
    if (f->n == 8) return (int64_t)get64(f->p);
    if (f->n == 4) return (int32_t)get32(f->p);
    assert(f->n == 2);
    return (int16_t)get16(f->p);
}

double copy_num(const struct copy_field *f)
{
    if (f->p == NULL) return NAN;
    if (f->n == 8) return double_of(get64(f->p));
    assert(f->n == 4);
    return float_of(get32(f->p));
}

int64_t copy_time(const struct copy_field *f)
{
    if (f->p == NULL) return TIME_NONE;
    assert(f->n == 8);
    return time_from_pg((int64_t)get64(f->p));
}

struct str copy_text(const struct copy_field *f)
{
    return (struct str){f->p, f->p == NULL ? 0 : f->n};
}
