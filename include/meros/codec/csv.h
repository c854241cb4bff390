/* CSV, record by record, in bounded memory (RFC 4180 and what real exports do to it).
 *
 * Fields are separated by one delimiter; a field that begins with a quote ends at the next lone quote and may hold
 * delimiters, line ends and doubled quotes; a quote inside an unquoted field is text. Lines end with LF or CRLF; blank
 * lines are passed over. A UTF-8 byte order mark is dropped. `latin1` is read as browsers read it: windows-1252, whose
 * printable characters are ISO 8859-1's and more.
 *
 * What is wrong with one record does not end the reading: csv_next gives it with `fault` set, and goes on after it. A
 * quote that is never closed within RECORD_MAX bytes costs its own line only: reading goes on with the line after the
 * one it began in. Lines are physical, counted from 1: a record's line is the one it begins in.
 *
 *   while ((rc = csv_next(r, &rec, &more, err)) == MEROS_OK && more) …
 *
 * Not thread-safe. A reader holds at most about 5 * RECORD_MAX bytes, and 128 KiB while records are ordinary. */
#ifndef MEROS_CODEC_CSV_H
#define MEROS_CODEC_CSV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

enum { RECORD_MAX = 1 << 20, CSV_COLUMNS_MAX = 1000 };

/* Fills `to` with up to cap bytes; *out_n = 0 at the end. */
typedef enum meros_code (*codec_read_fn)(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err);

struct csv_options {
    char delimiter; /* 0: comma. Not a quote, a line end, or a byte past ASCII */
    bool latin1;
};
struct csv_record {
    int64_t line;             /* where it begins */
    const struct str *fields; /* UTF-8 without NUL; live until the next csv_next */
    size_t n;
    const char *fault;        /* NULL: a good record; else a sentence saying what is wrong */
    size_t fault_field;       /* index of the field at fault; SIZE_MAX: the record as a whole */
};
struct csv_reader;

enum meros_code csv_open(const struct csv_options *options, codec_read_fn read, void *arg, struct csv_reader **out,
                         struct meros_err *err) MEROS_MUSTCHECK;
/* *more false: the end. Fails only when reading does, or memory ends. INVALID for UTF-16, which is no CSV of ours. */
enum meros_code csv_next(struct csv_reader *r, struct csv_record *out, bool *more, struct meros_err *err) MEROS_MUSTCHECK;
void csv_close(struct csv_reader *r); /* NULL is fine */

#endif
