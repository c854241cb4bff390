/* The stream of COPY … TO STDOUT (FORMAT binary): a header, then rows of (number of fields, then length and
 * bytes of each), then -1. PostgreSQL sends a row a message, but promises nothing: a row may be split
 * anywhere, so the beginning of an unfinished one is kept. Whole rows are handed on in place, without a copy.
 */
#include "plumbing.h"

#include <stdlib.h>

enum { HEADER = 19 };
/* A row cannot be larger than PostgreSQL's own limit of a message. */
#define ROW_MAX ((size_t)1 << 30)

static enum meros_code garbled(struct meros_err *err)
{
    return err_set(err, MEROS_INTERNAL, "The database's stream of rows is not in the form agreed on.");
}

enum meros_code copy_parser_init(struct copy_parser *k, copy_row_fn fn, void *arg, struct meros_err *err)
{
    *k = (struct copy_parser){.fn = fn, .arg = arg};
    k->fields = malloc(COPY_FIELDS_MAX * sizeof *k->fields);
    if (k->fields == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for reading rows.");
    return MEROS_OK;
}

void copy_parser_done(struct copy_parser *k)
{
    free(k->pending);
    free(k->fields);
    *k = (struct copy_parser){0};
}

/* Parses what is whole of p[0..n); *out_used bytes of it. */
static enum meros_code parse(struct copy_parser *k, const char *p, size_t n, size_t *out_used,
                             struct meros_err *err)
{
    size_t at = 0;
    enum meros_code rc = MEROS_OK;
    if (!k->header_seen) {
        if (n < HEADER) goto out;
        uint32_t flags = get32(p + 11), extension = get32(p + 15);
        if (memcmp(p, "PGCOPY\n\377\r\n", 11) != 0 || flags != 0 || extension > ROW_MAX) return garbled(err);
        if (n - HEADER < extension) goto out;
        k->header_seen = true;
        at = HEADER + extension;
    }
    while (!k->ended && n - at >= 2) {
        size_t next = at + 2;
        int count = (int16_t)get16(p + at);
        if (count == -1) {
            k->ended = true;
            at = next;
            break;
        }
        if (count < 0 || count > COPY_FIELDS_MAX) return garbled(err);
        int i = 0;
        for (; i < count; i++) {
            if (n - next < 4) goto out;
            uint32_t length = get32(p + next);
            next += 4;
            if (length == UINT32_MAX) {
                k->fields[i] = (struct copy_field){NULL, 0};
                continue;
            }
            if (length > ROW_MAX) return garbled(err);
            if (n - next < length) goto out;
            k->fields[i] = (struct copy_field){p + next, length};
            next += length;
        }
        at = next;
        rc = k->fn(k->arg, k->fields, count, err);
        if (rc != MEROS_OK) break;
    }
    if (k->ended && at < n) return garbled(err);
out:
    *out_used = at;
    return rc;
}

static bool keep(struct copy_parser *k, const char *p, size_t n)
{
    if (n > ROW_MAX - k->n) return false;
    if (k->n + n > k->cap) {
        size_t cap = k->cap == 0 ? 4096 : k->cap;
        while (cap < k->n + n) cap *= 2;
        char *pending = realloc(k->pending, cap);
        if (pending == NULL) return false;
        k->pending = pending;
        k->cap = cap;
    }
    if (n > 0) memcpy(k->pending + k->n, p, n);
    k->n += n;
    return true;
}

enum meros_code copy_parser_feed(struct copy_parser *k, const char *p, size_t n, struct meros_err *err)
{
    size_t used = 0;
    enum meros_code rc;
    if (k->n == 0) {
        rc = parse(k, p, n, &used, err);
        if (rc != MEROS_OK) return rc;
        if (used < n && !keep(k, p + used, n - used))
            return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for reading a row.");
        return MEROS_OK;
    }
    if (!keep(k, p, n)) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for reading a row.");
    rc = parse(k, k->pending, k->n, &used, err);
    if (rc != MEROS_OK) return rc;
    memmove(k->pending, k->pending + used, k->n - used);
    k->n -= used;
    return MEROS_OK;
}

enum meros_code copy_parser_end(struct copy_parser *k, struct meros_err *err)
{
    if (!k->ended || k->n != 0) return garbled(err);
    return MEROS_OK;
}
