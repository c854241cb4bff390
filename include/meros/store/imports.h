/* Bulk imports: rows of one dataset merged into the tables within one transaction.
 *
 *   store_begin(c) ; import_begin(c, DATASET_ORDERS, &imp) ; import_orders(imp, rows, n) … ; import_finish(imp, &counts) ;
 *   store_commit(c) ; import_free(imp)
 *
 * import_begin waits for the import lock, which one import (or erasure) holds until its transaction ends: so imports of
 * the same rows at the same moment insert them once, and nobody deadlocks. Rows come in batches of up to
 * IMPORT_BATCH_MAX, decoded and valid, in the order of the file; the lines of one order should come in one batch where
 * they stand together in the file. Nothing may be waited for between begin and commit but the database.
 *
 * Orders that are new are written straight into the tables, sorted by primary key; lines of orders that exist already
 * go to a staging table, which import_finish merges set-wise. Customers and products that are only mentioned are made.
 * customer_stats is exact again when import_finish returns.
 *
 * After UNAVAILABLE (the connection was lost, or a writer outside of imports made the same id at the same moment) the
 * whole import may be tried again. */
#ifndef MEROS_STORE_IMPORTS_H
#define MEROS_STORE_IMPORTS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/rows.h"
#include "meros/store/order_events.h"
#include "meros/store/store.h"

enum { IMPORT_BATCH_MAX = 128 << 10 };

struct store_import;
struct import_counts {
    int64_t inserted, updated, duplicates;
};

/* Personal data as it is stored: sealed, with a keyed hash for look-up and comparison. STR_NONE: not given. */
enum { PERSONAL_HASH_BYTES = 16 };
struct sealed {
    struct str sealed, hash;
};
struct sealed_customer_row {
    struct str customer_id, attributes;
    int64_t created_at;
    struct sealed email, name, phone;
};

enum meros_code import_begin(struct store_conn *c, enum dataset_kind dataset, struct store_import **out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_customers(struct store_import *i, const struct sealed_customer_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_products(struct store_import *i, const struct product_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_orders(struct store_import *i, const struct order_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* half_life_days: of decayed activity (store/stats.h). Events without a moment get `now`. */
enum meros_code import_events(struct store_import *i, const struct event_row *rows, size_t n, int64_t now,
                              double half_life_days, struct meros_err *err) MEROS_MUSTCHECK;
/* Outcomes without a moment get `now`. */
enum meros_code import_outcomes(struct store_import *i, const struct outcome_row *rows, size_t n, int64_t now, struct meros_err *err) MEROS_MUSTCHECK;
/* After all events: the orders that they speak of, for service/order_events.h to make before import_finish. Up to cap of
 * them, in the order of (order_id, customer_no), behind `after` ({0}: from the first); none for other datasets. */
enum meros_code import_orders_told(struct store_import *i, struct told_order after, struct arena *arena, struct told_order *out,
                                   size_t cap, size_t *n, struct meros_err *err) MEROS_MUSTCHECK;
/* Whose statistics that changed. */
enum meros_code import_orders_made(struct store_import *i, const int64_t *customer_nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_finish(struct store_import *i, struct import_counts *out, struct meros_err *err) MEROS_MUSTCHECK;
void import_free(struct store_import *i); /* NULL is fine */

#endif
