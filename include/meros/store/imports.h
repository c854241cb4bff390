/* Bulk imports: rows of one dataset merged into the tables, slice by slice.
 *
 *   import_open(c, DATASET_ORDERS, &imp) ;
 *   for each slice: import_begin(imp) ; import_orders(imp, rows, n) … ; import_commit(imp, &counts) ;
 *   import_free(imp)
 *
 * c is a connection of the import's own, outside of a transaction. import_open waits for the import's turn, which it has
 * until import_free: imports (and erasures) go one after another, so the later one has the last word. A slice is one
 * transaction that holds the import lock alone; between two slices others have it, batches of live events above all, and
 * PostgreSQL gives it to whoever waited longest. So a slice should take well under a second.
 *
 * A slice holds all rows of an import that say something of one order (one customer, product, or event or outcome with an
 * id): then it does not matter where an import is cut into slices, neither for the tables nor for the counts. Rows of a slice
 * come in batches of up to IMPORT_BATCH_MAX, decoded and valid, those of one id in the order of the file. Nothing may be
 * waited for between begin and commit but the database.
 *
 * Orders that are new are written straight into the tables, sorted by primary key, and so are the statistics of customers of
 * whom nothing was stored; lines of orders that exist already go to a staging table, which import_commit merges set-wise, and
 * what customers who have statistics gain is added to them there. So a file goes fastest where a slice has all that it says of a
 * customer. Customers and products that are only mentioned are made. Statistics are exact again when import_commit returns,
 * and who changed is noted.
 *
 * After a failure: import_rollback. After UNAVAILABLE or CONFLICT (the connection was lost, or a writer outside of imports
 * made the same id at the same moment) the slice may be tried again, with a new connection and import if the old one is
 * broken. If the commit itself broke, the slice may have landed; its rows are duplicates then. */
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

enum meros_code import_open(struct store_conn *c, enum dataset_kind dataset, struct store_import **out, struct meros_err *err) MEROS_MUSTCHECK;
void import_free(struct store_import *i); /* before the connection goes; NULL is fine */
enum meros_code import_begin(struct store_import *i, struct meros_err *err) MEROS_MUSTCHECK;
/* out: of the slice. */
enum meros_code import_commit(struct store_import *i, struct import_counts *out, struct meros_err *err) MEROS_MUSTCHECK;
/* After import_commit: whom the slice changed, those who were noted, in any order, perhaps more than once; until the next import_begin. */
const int64_t *import_changed(const struct store_import *i, size_t *n);
void import_rollback(struct store_import *i);
enum meros_code import_customers(struct store_import *i, const struct sealed_customer_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_products(struct store_import *i, const struct product_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code import_orders(struct store_import *i, const struct order_row *rows, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* half_life_days: of decayed activity (store/stats.h). Events without a moment get `now`. */
enum meros_code import_events(struct store_import *i, const struct event_row *rows, size_t n, int64_t now,
                              double half_life_days, struct meros_err *err) MEROS_MUSTCHECK;
/* Outcomes without a moment get `now`. */
enum meros_code import_outcomes(struct store_import *i, const struct outcome_row *rows, size_t n, int64_t now, struct meros_err *err) MEROS_MUSTCHECK;
/* After all events of a slice: the orders that they speak of, for service/order_events.h to make before import_commit. Up to cap of
 * them, in the order of (order_id, customer_no), behind `after` ({0}: from the first); none for other datasets. */
enum meros_code import_orders_told(struct store_import *i, struct told_order after, struct arena *arena, struct told_order *out,
                                   size_t cap, size_t *n, struct meros_err *err) MEROS_MUSTCHECK;
/* Whose statistics that changed. */
enum meros_code import_orders_made(struct store_import *i, const int64_t *customer_nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;

#endif
