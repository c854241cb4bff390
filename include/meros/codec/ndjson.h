/* NDJSON (one JSON object a line), record by record, in bounded memory and without allocation per record.
 *
 * One pass checks the whole of each line as codec/json.h would (UTF-8, escapes, numbers in range, depth up to
 * JSON_DEPTH_MAX, no NUL, no duplicate names at the top), and gives the members of the object: strings decoded, nested
 * values as the JSON text they are. As with csv.h, what is wrong with one line is reported in it (`fault`) and does not
 * end the reading. Blank lines are passed over, a byte order mark is dropped, lines are at most RECORD_MAX bytes. */
#ifndef MEROS_CODEC_NDJSON_H
#define MEROS_CODEC_NDJSON_H

#include "meros/codec/csv.h"
#include "meros/codec/json.h"

enum { NDJSON_MEMBERS_MAX = 1000 };

struct ndjson_member {
    struct str name; /* decoded */
    enum json_kind kind;
    struct str text; /* a string's characters, decoded; any other value's JSON text */
};
struct ndjson_record {
    int64_t line;
    const struct ndjson_member *members; /* live until the next ndjson_next */
    size_t n;
    const char *fault;       /* NULL: a good record */
    size_t fault_column;     /* byte of the line where it is, from 1 */
    struct str fault_member; /* the name of the top-level member it is in; STR_NONE: none */
};
struct ndjson_reader;

enum meros_code ndjson_open(codec_read_fn read, void *arg, struct ndjson_reader **out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code ndjson_next(struct ndjson_reader *r, struct ndjson_record *out, bool *more, struct meros_err *err) MEROS_MUSTCHECK;
void ndjson_close(struct ndjson_reader *r); /* NULL is fine */

#endif
