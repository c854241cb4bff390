/* An import on its way: reading (import_rows.c) fills the spool, merging (imports.c) empties it. */
#ifndef MEROS_SERVICE_IMPORTS_PRIV_H
#define MEROS_SERVICE_IMPORTS_PRIV_H

#include "meros/base/arena.h"
#include "meros/base/buf.h"
#include "meros/codec/json.h"
#include "meros/codec/ndjson.h"
#include "meros/service/imports.h"
#include "meros/store/imports.h"
#include "spool_priv.h"

enum { MAP_MAX = 200 };
struct renaming {
    struct str from, to;
    bool used;
};

/* Where a column goes: a field (0 and up), the extras, or nowhere. */
enum { TO_EXTRAS = -1, TO_NOTHING = -2 };
struct target {
    int to;
    struct str name; /* as the file calls it, for reports; of an extra as it shall be called */
    struct str extra;
};

/* How a row of each dataset lies in memory, for the spool. */
struct row_shape {
    size_t size;
    size_t n_strings;
    size_t strings[10]; /* offsets of its struct str members */
    size_t n_key;       /* how many of them, the first ones, are its key in the spool (import_keys.c) */
};
extern const struct row_shape row_shapes[DATASET_COUNT];

/* Whose the orders of a file are (import_keys.c). */
struct order_pieces {
    struct spool spool;         /* of hashes of order and customer of each piece; opened with the first */
    struct buf order, customer; /* of the last line */
    uint64_t *odd;              /* hashes of orders of several customers, ascending */
    size_t n_odd, cap_odd;
    bool all_odd;               /* too many to be told apart */
};

struct importing {
    struct service *service;
    const struct import_options *options;
    import_progress_fn progress;
    void *progress_arg;
    struct import_result *result;
    struct row_rules rules;
    struct arena memory;      /* of the import: renamings, targets */
    struct arena row_memory;  /* of a row: sealed texts */
    struct buf extras, inner; /* of a row */
    struct buf kept, key;     /* a row as it goes into the spool */
    struct order_pieces orders;
    struct renaming *map;
    size_t n_map;
    struct target *columns;   /* of a CSV header */
    size_t n_columns;
    int field_column[ROW_FIELDS_MAX]; /* CSV: which column gives a field */
    struct spool spool;
};

enum meros_code import_read(struct importing *x, codec_read_fn read, void *read_arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_parse_map(struct importing *x, struct meros_err *err) MEROS_MUSTCHECK;
void import_keys_init(struct importing *x);
void import_keys_done(struct importing *x);
enum meros_code import_keep(struct importing *x, const void *row, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_sort(struct importing *x, struct meros_err *err) MEROS_MUSTCHECK; /* after the last: ready to be read */
/* What a row of that key is about: rows of one thing must be merged together. STR_NONE: of nothing that another row could
 * be about. Events and outcomes without an id are what their content is: of equal ones the second is a duplicate wherever
 * it stands. */
struct str import_thing(const struct importing *x, struct str key);
/* How many of the first bytes of a thing say whose it is, where rows come by customer; else 0. */
size_t import_owner(const struct importing *x, struct str thing);
/* A row from what the spool gave; its strings in the arena. */
enum meros_code import_take(const struct row_shape *shape, struct str kept, struct arena *arena, void *row, struct meros_err *err) MEROS_MUSTCHECK;

#endif
