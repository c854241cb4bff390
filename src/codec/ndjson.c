#include "meros/codec/ndjson.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "scan_priv.h"
#include "window_priv.h"

struct ndjson_reader {
    struct window w;
    bool started;
    int64_t line;
    struct ndjson_member members[NDJSON_MEMBERS_MAX];
    struct buf text; /* decoded strings that hold escapes; never longer than the line, so reserved in one piece */
};

enum meros_code ndjson_open(codec_read_fn read, void *arg, struct ndjson_reader **out, struct meros_err *err)
{
    *out = NULL;
    struct ndjson_reader *r = malloc(sizeof *r);
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for reading NDJSON.");
    enum meros_code rc = window_open(&r->w, read, arg, err);
    if (rc != MEROS_OK) {
        free(r);
        return rc;
    }
    r->started = false;
    r->line = 1;
    buf_init(&r->text, RECORD_MAX + 1024);
    *out = r;
    return MEROS_OK;
}

void ndjson_close(struct ndjson_reader *r)
{
    if (r == NULL) return;
    window_done(&r->w);
    buf_done(&r->text);
    free(r);
}

/* Passes over the rest of a line that is too long for the window. */
static enum meros_code skip_line(struct ndjson_reader *r, struct meros_err *err)
{
    for (;;) {
        char *newline = memchr(r->w.data + r->w.at, '\n', r->w.end - r->w.at);
        if (newline != NULL) {
            r->w.at = (size_t)(newline - r->w.data) + 1;
            return MEROS_OK;
        }
        r->w.at = r->w.end;
        if (r->w.eof) return MEROS_OK;
        enum meros_code rc = window_more(&r->w, err);
        if (rc != MEROS_OK) return rc;
    }
}

enum meros_code ndjson_next(struct ndjson_reader *r, struct ndjson_record *out, bool *more, struct meros_err *err)
{
    enum meros_code rc;
    size_t looked = 0;
    *more = false;
    *out = (struct ndjson_record){.members = r->members};
    if (!r->started) {
        if ((rc = window_mark(&r->w, err)) != MEROS_OK) return rc;
        r->started = true;
    }
    for (;;) {
        const char *from = r->w.data + r->w.at;
        size_t have = r->w.end - r->w.at;
        const char *newline = memchr(from + looked, '\n', have - looked);
        size_t length = newline != NULL ? (size_t)(newline - from) : have;
        looked = have;
        if (length > RECORD_MAX) {
            *more = true;
            out->line = r->line++;
            out->fault = "The line is longer than 1 MiB.";
            out->fault_column = RECORD_MAX;
            return skip_line(r, err);
        }
        if (newline == NULL && !r->w.eof) {
            if ((rc = window_more(&r->w, err)) != MEROS_OK) return rc;
            continue;
        }
        if (newline == NULL && have == 0) return MEROS_OK;
        buf_clear(&r->text);
        if (buf_reserve(&r->text, length + 4) == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a line of NDJSON.");
        struct scan s = {.members = r->members, .max_members = NDJSON_MEMBERS_MAX, .text = &r->text, .base = from, .p = from, .end = from + length};
        r->w.at += length + (newline != NULL);
        out->line = r->line++;
        looked = 0;
        scan_blanks(&s);
        if (s.p == s.end) continue; /* a blank line */
        *more = true;
        if (!scan_line(&s, &out->n, &out->fault_member)) {
            out->n = 0;
            out->fault = s.fault;
            out->fault_column = (size_t)(s.p - s.base) + 1;
        }
        return MEROS_OK;
    }
}
