/* What a transaction changes about orders, added to and taken from the statistics of their customers.
 *
 * Whatever writes order_lines goes through here, and through nothing else do `orders`, customer_stats, customer_products
 * and customer_days change (erasure deletes them whole; imports write the rows of orders that are new, and of customers of whom
 * nothing is stored, by themselves: imports_orders_sums.c). An order's row is made anew from the order's own lines; a
 * customer's statistics are not: they move by the difference between the order's old row and its new one. Counts and
 * sums are exact (numeric), so taking away what was once added leaves nothing behind. The number of distinct products is
 * kept by the pairs in customer_products that appear and vanish. Only a first or last time cannot be taken away: where
 * an order that leaves its customer (or moves in time) held it, that customer's times are read anew from orders.
 *
 * The handful, for the ingest path (any number of transactions at once, under the import lock in shared mode):
 *
 *   struct order_ref refs[] = {{.order_no = 7, .order_id = id, .holder_no = 3, .owner_no = 3}};
 *   struct order_changes x;
 *   order_changes_begin(c, arena, refs, n, &x)     // one query: what is bought in these orders now
 *   … write order_lines of these orders however you like: insert, update, delete, also under another customer_no …
 *   order_changes_end(c, &x)                       // orders, customer_products, customer_stats, customer_days; one statement, rarely three
 *
 *   - Isolation is read committed. The caller holds each order's row in order_ids locked (insert … on conflict do update,
 *     or for update; in the order of order_id) since before it read what the new lines are made of: so nobody else
 *     changes the same order meanwhile. Statistics of a customer may be changed by many transactions at once; their rows
 *     are locked in the order of their keys, customer_products before customer_stats before customer_days, until the commit.
 *   - An order may stand in refs once. Between begin and end its lines must all get to be under owner_no (which may be
 *     set as late as that). An order that has no line left loses its row in orders; order_ids is the caller's.
 *   - refs and the arena must live until end. A few thousand orders at a time at most. After a failure: roll back.
 *   - Deadlocks (40P01) and lost races for a new row are UNAVAILABLE, as everywhere: try the transaction again.
 *
 * The million, for imports (which hold the import lock alone): temporary tables, COPY, and set-wise statements over the
 * same text; see the functions. */
#ifndef MEROS_STORE_ORDER_CHANGES_PRIV_H
#define MEROS_STORE_ORDER_CHANGES_PRIV_H

#include "meros/base/arena.h"
#include "store_priv.h"

/* Whether the lines l of an order are a purchase (else a return): something was bought; or, where no quantities are told, it
 * was worth something, or nothing and nothing came back. src/store/imports_orders_copy.c says the same in C. */
#define IS_PURCHASE                                                                                          \
    "case when count(l.quantity) > 0 then coalesce(max(l.quantity), 0) > 0 else sum(l.amount) > 0 or min(l.amount) >= 0 end"

struct order_ref {
    int64_t order_no;
    struct str order_id;
    int64_t holder_no; /* whose lines these are at begin; 0: the order is new */
    int64_t owner_no;  /* whose they are at end */
};

struct order_changes {
    struct arena *arena;
    const struct order_ref *refs;
    size_t n;
    int64_t *order_nos, *holder_nos, *owner_nos;
    struct str *order_ids;
    int64_t *customers, *products, *lines; /* the pairs at begin */
    size_t n_pairs;
};

enum meros_code order_changes_begin(struct store_conn *c, struct arena *arena, const struct order_ref *refs, size_t n,
                                    struct order_changes *x, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code order_changes_end(struct store_conn *c, struct order_changes *x, struct meros_err *err) MEROS_MUSTCHECK;

/* Everything that customer `from` has bought belongs to customer `into` from now on: customer_stats,
 * customer_products and customer_days of the two become one. orders, order_lines and order_ids are the caller's to
 * move, in the same transaction; customer_event_stats too. The caller keeps others from adding to `from` meanwhile. */
enum meros_code order_stats_join(struct store_conn *c, int64_t from, int64_t into, struct meros_err *err) MEROS_MUSTCHECK;

/* --- the million. Temporary tables that empty themselves with the transaction:
 *   changed_orders (order_no, order_id, holder_no, owner_no): struct order_ref as rows
 *   order_changes, pair_changes: what is to be added; new orders may be put there straight by COPY
 *
 *   bulk_changes_prepare    makes them
 *   bulk_changes_before     after changed_orders was filled, before their lines are written
 *   bulk_changes_after      after their lines were written: orders made anew, the differences noted
 *   bulk_changes_apply      once, at the end: adds up all that was noted
 *
 * before and after are for orders that exist already (or came with lines that were not COPYed straight), once a
 * transaction at most. */
#define ORDER_CHANGES_COLUMNS                                                                                \
    "customer_no, orders, returns, lines, units, revenue, gross_revenue, returned_amount, ordered_at, went"
#define PAIR_CHANGES_COLUMNS "customer_no, product_no, lines"
enum meros_code bulk_changes_prepare(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code bulk_changes_before(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code bulk_changes_after(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code bulk_changes_apply(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

#endif
