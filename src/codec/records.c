#include "meros/codec/records.h"

#include <string.h>
#include "json_priv.h"
#include "scan_priv.h"

static enum meros_code bad(struct json_records *r, const char *at, const char *what, struct meros_err *err)
{
    int line, column;
    json_line_and_column(r->base, (size_t)(at - r->base), &line, &column);
    return err_set(err, MEROS_INVALID, "line %d, column %d: not valid JSON: %s", line, column, what);
}

static struct scan scan_from(struct json_records *r)
{
    return (struct scan){.members = r->members, .max_members = RECORD_MEMBERS_MAX, .text = &r->text,
                         .base = r->base, .p = r->p, .end = r->end};
}

enum meros_code json_records_begin(struct json_records *r, const char *p, size_t n, struct meros_err *err)
{
    r->base = r->p = p;
    r->end = p + n;
    r->n = 0;
    r->ended = r->array = false;
    buf_init(&r->text, n + 4);
    if (n == 0) return err_set(err, MEROS_INVALID, "line 1, column 1: a JSON value is expected, but the body is empty");
    const char *nul = memchr(p, 0, n);
    if (nul != NULL) return bad(r, nul, "NUL characters are not allowed", err);
    if (!utf8_valid(p, n)) {
        size_t good = 0;
        for (size_t step = n; step > 0; step /= 2) /* where the valid part ends, in few looks */
            while (good + step <= n && utf8_valid(p, utf8_cut(p, good + step)) && utf8_cut(p, good + step) > good) good = utf8_cut(p, good + step);
        return bad(r, p + good, "the text is not valid UTF-8", err);
    }
    /* Decoded strings are never longer than they were: in one piece, so that views of them stay where they are. */
    if (memchr(p, '\\', n) != NULL && buf_reserve(&r->text, n + 4) == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "not enough memory to read the JSON body");
    struct scan s = scan_from(r);
    scan_blanks(&s);
    if (s.p < s.end && *s.p == '[') r->array = true, s.p++;
    r->p = s.p;
    return MEROS_OK;
}

/* Between two records, and at the end of the last. */
static enum meros_code between(struct json_records *r, struct meros_err *err)
{
    struct scan s = scan_from(r);
    scan_blanks(&s);
    if (r->array && s.p == s.end) return bad(r, s.p, "the array is not closed", err);
    if (r->array && *s.p == ']') {
        s.p++;
        r->ended = true;
    } else if (r->array && r->n > 0) {
        if (*s.p != ',') return bad(r, s.p, "a comma is missing", err);
        s.p++;
        scan_blanks(&s);
    } else if (!r->array && r->n > 0) {
        r->ended = true;
    }
    if (r->ended) {
        scan_blanks(&s);
        if (s.p < s.end) return bad(r, s.p, "there is something after the value", err);
    }
    r->p = s.p;
    return MEROS_OK;
}

enum meros_code json_records_next(struct json_records *r, struct json_record *out, bool *more, struct meros_err *err)
{
    struct str faulty;
    enum json_kind kind;
    *more = false;
    *out = (struct json_record){.members = r->members};
    if (r->ended) return MEROS_OK;
    enum meros_code rc = between(r, err);
    if (rc != MEROS_OK || r->ended) return rc;
    struct scan s = scan_from(r);
    out->object = s.p < s.end && *s.p == '{';
    const bool ok = out->object ? scan_object(&s, &out->n, &faulty) : scan_value(&s, &kind);
    if (!ok) return bad(r, s.p, s.fault, err);
    r->p = s.p;
    r->n++;
    *more = true;
    return MEROS_OK;
}

void json_records_done(struct json_records *r)
{
    buf_done(&r->text);
}
