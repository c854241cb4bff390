/* Bulk imports: a body of CSV or NDJSON becomes rows in the database.
 *
 * The body is read, decoded and checked as it comes, in flat memory, without holding anything in the database; the good
 * rows wait in a spool. When the body has ended (and abort_on_error has nothing to say) they are merged, slice by slice
 * (store/imports.h), each a transaction that is tried again when the connection breaks. When service_import returns OK, all
 * rows are committed. When it fails after the first slice, a part is: the detail says so, and the same file imported again
 * brings the rest, with the same end as if it had been imported once. While the service is stopping, merging goes on for
 * a few seconds only. */
#ifndef MEROS_SERVICE_IMPORTS_H
#define MEROS_SERVICE_IMPORTS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/codec/csv.h"
#include "meros/domain/rows.h"
#include "meros/service/service.h"

enum import_format { IMPORT_CSV, IMPORT_NDJSON };

struct import_options {
    enum dataset_kind dataset;
    enum import_format format;
    struct str map;         /* "InvoiceNo:order_id,StockCode:product_id"; a backslash takes the next character as it is */
    struct str date_format; /* domain/timetext.h */
    struct str delimiter;   /* one character, or the word "tab"; STR_NONE: comma */
    bool day_first, latin1;
    bool abort_on_error;    /* a bad row: nothing lands */
};

enum { IMPORT_ERRORS_MAX = 100, IMPORT_COLUMN_MAX = 204 };
struct import_error {
    int64_t line;
    char column[IMPORT_COLUMN_MAX]; /* as the file calls it; "": the row as a whole */
    char detail[200];
};
struct import_result {
    int64_t received, inserted, updated, duplicates, rejected;
    double seconds;
    size_t n_errors; /* of the first IMPORT_ERRORS_MAX rejected rows */
    struct import_error errors[IMPORT_ERRORS_MAX];
};

struct import_progress {
    int64_t received, rejected; /* rows read so far */
    int64_t merged;             /* rows that are committed; 0 while reading */
};
typedef void (*import_progress_fn)(void *arg, const struct import_progress *progress);

/* progress (may be NULL) is called every few ten thousand rows read and after each slice, by this thread. INVALID: the options or the header are
 * wrong, nothing was imported. UNPROCESSABLE with out->errors filled: abort_on_error, and there was a bad row. */
enum meros_code service_import(struct service *s, const struct import_options *options, codec_read_fn read, void *read_arg,
                               import_progress_fn progress, void *progress_arg, struct import_result *out,
                               struct meros_err *err) MEROS_MUSTCHECK;

#endif
