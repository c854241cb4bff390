#include "meros/codec/csv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "window_priv.h"

struct span {
    size_t from, to; /* offsets from the record's beginning, quotes left out */
    bool doubled;    /* holds doubled quotes */
};

struct csv_reader {
    struct window w;
    char delimiter;
    bool latin1, started;
    int64_t line; /* of the byte at w.at */
    struct span spans[CSV_COLUMNS_MAX];
    struct str fields[CSV_COLUMNS_MAX];
    struct buf text; /* fields that do not read as they stand: doubled quotes, latin1 */
};

/* What one look at the window found. */
struct look {
    enum { LOOK_RECORD, LOOK_MORE, LOOK_FAULT } found;
    size_t n;      /* spans */
    size_t length; /* bytes of the record with its line end */
    int64_t lines; /* line ends in it */
    bool quoted;   /* the only field was quoted, so the line is not a blank one */
    const char *fault;
    size_t fault_field;
};

enum meros_code csv_open(const struct csv_options *options, codec_read_fn read, void *arg, struct csv_reader **out,
                         struct meros_err *err)
{
    char d = options->delimiter == '\0' ? ',' : options->delimiter;
    *out = NULL;
    if (d == '"' || d == '\n' || d == '\r' || (unsigned char)d >= 0x80)
        return err_set(err, MEROS_INVALID, "The delimiter must be one ASCII character, not a quote or a line end.");
    struct csv_reader *r = malloc(sizeof *r);
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for reading CSV.");
    enum meros_code rc = window_open(&r->w, read, arg, err);
    if (rc != MEROS_OK) {
        free(r);
        return rc;
    }
    r->delimiter = d;
    r->latin1 = options->latin1;
    r->started = false;
    r->line = 1;
    buf_init(&r->text, 4 * RECORD_MAX); /* windows-1252 takes up to three bytes a character */
    *out = r;
    return MEROS_OK;
}

void csv_close(struct csv_reader *r)
{
    if (r == NULL) return;
    window_done(&r->w);
    buf_done(&r->text);
    free(r);
}

static int64_t count_lines(const char *p, size_t n)
{
    int64_t lines = 0;
    for (const char *end = p + n; (p = memchr(p, '\n', (size_t)(end - p))) != NULL; p++) lines++;
    return lines;
}

/* Splits the record at the window's beginning. Starts over when the window was too short: windows double, so the cost
 * stays within twice the bytes. */
static void look(struct csv_reader *r, struct look *l)
{
    const char *base = r->w.data + r->w.at, *p = base, *end = r->w.data + r->w.end;
    const char delimiter = r->delimiter;
    *l = (struct look){.found = LOOK_MORE, .fault_field = SIZE_MAX};
    for (;;) {
        struct span s = {0};
        if (p < end && *p == '"') {
            const char *q = ++p;
            s.from = (size_t)(p - base);
            for (;;) {
                q = memchr(q, '"', (size_t)(end - q));
                if (q == NULL) return; /* no closing quote yet */
                if (q + 1 == end && !r->w.eof) return;
                if (q + 1 == end || q[1] != '"') break;
                s.doubled = true;
                q += 2;
            }
            s.to = (size_t)(q - base);
            l->lines += count_lines(p, (size_t)(q - p));
            l->quoted = true;
            p = q + 1;
            if (p < end && *p == '\r' && p + 1 == end && !r->w.eof) return;
            if (p < end && *p == '\r' && (p + 1 == end || p[1] == '\n')) p++;
            if (p < end && *p != delimiter && *p != '\n') {
                if (l->fault == NULL) {
                    l->fault = "There is text after a closing quote; a quote inside a quoted field must be doubled.";
                    l->fault_field = l->n;
                }
                while (p < end && *p != '\n') p++;
                if (p == end && !r->w.eof) return;
            }
        } else {
            s.from = (size_t)(p - base);
            while (p < end && *p != delimiter && *p != '\n') p++;
            if (p == end && !r->w.eof) return;
            s.to = (size_t)(p - base);
            if ((p == end || *p == '\n') && s.to > s.from && base[s.to - 1] == '\r') s.to--;
        }
        if (l->n < CSV_COLUMNS_MAX) r->spans[l->n] = s;
        l->n++;
        if (p < end && *p == delimiter) {
            p++;
            if (p == end && !r->w.eof) return;
            continue;
        }
        if (p < end) p++, l->lines++; /* the line end */
        l->length = (size_t)(p - base);
        l->found = l->fault != NULL ? LOOK_FAULT : LOOK_RECORD;
        return;
    }
}

/* windows-1252 of 0x80..0x9F; five bytes it leaves undefined stay the control characters of ISO 8859-1. */
static const unsigned short windows_1252[32] = {
    0x20AC, 0x81,   0x201A, 0x192,  0x201E, 0x2026, 0x2020, 0x2021, 0x2C6,  0x2030, 0x160,
    0x2039, 0x152,  0x8D,   0x17D,  0x8F,   0x90,   0x2018, 0x2019, 0x201C, 0x201D, 0x2022,
    0x2013, 0x2014, 0x2DC,  0x2122, 0x161,  0x203A, 0x153,  0x9D,   0x17E,  0x178};

static void append_latin1(struct buf *b, unsigned char c)
{
    unsigned v = c >= 0x80 && c < 0xA0 ? windows_1252[c - 0x80] : c;
    if (v < 0x80) {
        buf_char(b, (char)v);
    } else if (v < 0x800) {
        buf_append(b, (char[]){(char)(0xC0 | v >> 6), (char)(0x80 | (v & 0x3F))}, 2);
    } else {
        buf_append(b, (char[]){(char)(0xE0 | v >> 12), (char)(0x80 | (v >> 6 & 0x3F)), (char)(0x80 | (v & 0x3F))}, 3);
    }
}

static bool ascii(const char *p, size_t n)
{
    unsigned char any = 0;
    for (size_t i = 0; i < n; i++) any |= (unsigned char)p[i];
    return any < 0x80;
}

/* Turns spans into fields. Fields in `text` are given by offset first, for the buffer moves as it grows. */
static enum meros_code give(struct csv_reader *r, const struct look *l, bool translate, struct meros_err *err)
{
    const char *base = r->w.data + r->w.at;
    buf_clear(&r->text);
    for (size_t i = 0; i < l->n; i++) {
        const struct span *s = &r->spans[i];
        r->fields[i] = (struct str){base + s->from, s->to - s->from};
        if (!s->doubled && !translate) continue;
        size_t start = r->text.len;
        for (const char *p = base + s->from, *end = base + s->to; p < end; p++) {
            if (translate) append_latin1(&r->text, (unsigned char)*p);
            else buf_char(&r->text, *p);
            if (s->doubled && *p == '"') p++;
        }
        r->fields[i] = (struct str){NULL, r->text.len - start};
    }
    if (r->text.failed) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a record of CSV.");
    size_t at = 0;
    for (size_t i = 0; i < l->n; i++)
        if (r->fields[i].p == NULL) r->fields[i].p = r->text.len == 0 ? "" : r->text.data + at, at += r->fields[i].n;
    return MEROS_OK;
}

static size_t field_of(const struct csv_reader *r, const struct look *l, bool (*bad)(const char *p, size_t n))
{
    const char *base = r->w.data + r->w.at;
    for (size_t i = 0; i < l->n; i++)
        if (bad(base + r->spans[i].from, r->spans[i].to - r->spans[i].from)) return i;
    return SIZE_MAX;
}

static bool has_nul(const char *p, size_t n)
{
    return memchr(p, 0, n) != NULL;
}

static bool not_utf8(const char *p, size_t n)
{
    return !utf8_valid(p, n);
}

/* The window holds no whole record and may not grow, or the stream has ended: the first line alone is given up. */
static enum meros_code give_up_line(struct csv_reader *r, struct csv_record *out, struct meros_err *err)
{
    bool in_quotes = r->w.eof;
    *out = (struct csv_record){.line = r->line, .fault_field = SIZE_MAX};
    for (;;) {
        char *newline = memchr(r->w.data + r->w.at, '\n', r->w.end - r->w.at);
        if (newline != NULL) {
            if ((size_t)(newline - r->w.data) - r->w.at < RECORD_MAX) in_quotes = true;
            r->w.at = (size_t)(newline - r->w.data) + 1;
            r->line++;
            break;
        }
        r->w.at = r->w.end;
        if (r->w.eof) break;
        enum meros_code rc = window_more(&r->w, err);
        if (rc != MEROS_OK) return rc;
    }
    out->fault = in_quotes ? "A quote is opened that is never closed (or its record is longer than 1 MiB)."
                           : "The line is longer than 1 MiB.";
    return MEROS_OK;
}

enum meros_code csv_next(struct csv_reader *r, struct csv_record *out, bool *more, struct meros_err *err)
{
    enum meros_code rc;
    struct look l;
    *more = false;
    if (!r->started) {
        if ((rc = window_mark(&r->w, err)) != MEROS_OK) return rc;
        r->started = true;
    }
    for (;;) {
        if (r->w.at == r->w.end && r->w.eof) return MEROS_OK;
        look(r, &l);
        if (l.found == LOOK_MORE || l.length > RECORD_MAX) {
            if (l.found == LOOK_MORE && !r->w.eof && r->w.end - r->w.at <= RECORD_MAX) {
                /* twice as much before looking again: looking costs what the window holds, however small the pieces come */
                for (size_t want = 2 * (r->w.end - r->w.at); !r->w.eof && r->w.end - r->w.at <= RECORD_MAX;) {
                    if ((rc = window_more(&r->w, err)) != MEROS_OK) return rc;
                    if (r->w.end - r->w.at >= want) break;
                }
                continue;
            }
            *more = true;
            return give_up_line(r, out, err);
        }
        if (l.n > 1 || l.quoted || r->spans[0].to > r->spans[0].from || l.found == LOOK_FAULT) break;
        r->w.at += l.length; /* a blank line */
        r->line += l.lines;
    }
    *more = true;
    *out = (struct csv_record){.line = r->line, .fields = r->fields, .fault = l.fault, .fault_field = l.fault_field};
    const char *base = r->w.data + r->w.at;
    bool plain = ascii(base, l.length);
    if (out->fault == NULL && l.n > CSV_COLUMNS_MAX) out->fault = "The line has more than 1000 fields.";
    if (l.n > CSV_COLUMNS_MAX) l.n = CSV_COLUMNS_MAX;
    if (out->fault == NULL && has_nul(base, l.length)) {
        out->fault = "There is a NUL byte.";
        out->fault_field = field_of(r, &l, has_nul);
    } else if (out->fault == NULL && !plain && !r->latin1 && !utf8_valid(base, l.length)) {
        out->fault = "There are bytes that are not UTF-8; ?charset=latin1 reads files of older spreadsheets.";
        out->fault_field = field_of(r, &l, not_utf8);
    }
    if (out->fault == NULL) {
        if ((rc = give(r, &l, r->latin1 && !plain, err)) != MEROS_OK) return rc;
        out->n = l.n;
    }
    r->w.at += l.length; /* the bytes stay in place until the next call */
    r->line += l.lines;
    return MEROS_OK;
}
