/* A body that is one JSON object or an array of them, read in a single pass without building a tree: for the paths where
 * many small objects come in. Everything is checked as codec/json.h checks it, but for names that stand twice within a
 * nested object, of which the database keeps the last, and integers beyond 64 bits inside nested values.
 *
 *   struct json_records r;
 *   rc = json_records_begin(&r, body.p, body.n, err);
 *   while (rc == MEROS_OK && (rc = json_records_next(&r, &record, &more, err)) == MEROS_OK && more) …
 *   json_records_done(&r);                             // views into r and the body end here
 *
 * A text that is not JSON is an error of the whole (INVALID with line and column, as json_parse says it): do nothing with
 * its records before the last one was read. Caller's storage; of one thread. */
#ifndef MEROS_CODEC_RECORDS_H
#define MEROS_CODEC_RECORDS_H

#include "meros/codec/ndjson.h"

enum { RECORD_MEMBERS_MAX = 64 };

struct json_record {
    bool object;                         /* false: another value, of which nothing more is told */
    const struct ndjson_member *members; /* live until the next json_records_next; their texts until json_records_done */
    size_t n;
};
struct json_records {
    bool array; /* the body is an array; else its one value is the only record */
    /* private */
    const char *base, *p, *end;
    size_t n;
    bool ended;
    struct buf text;
    struct ndjson_member members[RECORD_MEMBERS_MAX];
};

enum meros_code json_records_begin(struct json_records *r, const char *p, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code json_records_next(struct json_records *r, struct json_record *out, bool *more, struct meros_err *err) MEROS_MUSTCHECK;
void json_records_done(struct json_records *r); /* after json_records_begin in any case */

#endif
