/* What the import of each dataset shares: the lock, the numbers of ids, memory for a batch. */
#ifndef MEROS_STORE_IMPORTS_PRIV_H
#define MEROS_STORE_IMPORTS_PRIV_H

#include "idmap_priv.h"
#include "meros/base/arena.h"
#include "meros/store/imports.h"
#include "store_priv.h"

struct store_import {
    struct store_conn *c;
    enum dataset_kind dataset;
    bool turn, prepared;              /* it has its turn; its temporary tables are there */
    bool waited_for;                  /* others wanted the lock during the last slice */
    struct idmap customers, products; /* numbers looked up so far; emptied when they grow large */
    int64_t gone;                     /* customers_gone when those of customers were looked up */
    struct arena batch;               /* emptied after each batch */
    bool visitors;                    /* there are customers without a name */
    bool mark_made;                   /* numbers of ids that import_resolve makes are noted below zero */
    int64_t sequence;                 /* rows seen, in the order in which they were given */
    /* of the slice */
    struct import_counts counts;
    int64_t batches, staged;
    int64_t gaps;                     /* orders noted in order_gaps */
    int64_t told;                     /* orders that its events speak of */
    bool noted;                       /* changes of orders wait in temporary tables for bulk_changes_apply */
    int64_t *touched;                 /* customers whose statistics were written straight; at the end all whom it changed; malloced */
    size_t n_touched, cap_touched;
};

/* Two advisory locks. The turn: whoever changes much at once (an import, all of its slices; an erasure; a new half-life)
 * does so one after another. The import lock: whatever changes statistics or looks up who is who holds it to the end of its
 * transaction, batches of events shared, the others alone. The turn is taken first. */
#define IMPORT_TURN_NUMBER "5565283021971720"
#define IMPORT_LOCK_NUMBER "5565283021971719"
/* For erasure and whatever else must not meet an import in its middle: both, alone, until the transaction ends. */
enum meros_code import_lock(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

/* Makes sure that the number of each id is in the map; ids that are not known yet are made. */
enum meros_code import_resolve(struct store_import *i, struct idmap *map, const struct str *ids, size_t n,
                               struct meros_err *err) MEROS_MUSTCHECK;

/* This customer's statistics are others after this slice; may be said more than once. */
enum meros_code import_touched(struct store_import *i, int64_t customer_no, struct meros_err *err) MEROS_MUSTCHECK;

enum meros_code import_orders_prepare(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_orders_finish(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_events_prepare(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_outcomes_prepare(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_customers_prepare(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_products_prepare(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum meros_code try_rc = (call);                                                                     \
        if (try_rc != MEROS_OK) return try_rc;                                                               \
    } while (0)

#endif
