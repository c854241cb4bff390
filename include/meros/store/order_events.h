/* Orders that follow from events: reads what is stored of an order's events and lines, and writes the lines that were
 * made of them. How events become lines is said in service/order_events.h.
 *
 *   order_events_read(c, told, n, arena, &orders, &n_orders) ; …fold each… ; order_events_write(c, orders, n_orders, arena)
 *
 * Inside the caller's transaction (read committed), under the import lock in either mode. Reading locks each order, known
 * or not, in the order of its id, and only then reads its events: of two transactions that bring events of one order the
 * second waits, and sees the events of the first. Writing keeps orders, customer_stats and customer_products right
 * (src/store/order_changes_priv.h). Deadlocks are UNAVAILABLE: try the transaction again. */
#ifndef MEROS_STORE_ORDER_EVENTS_H
#define MEROS_STORE_ORDER_EVENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/decimal.h"
#include "meros/store/store.h"

/* An order that events of a customer speak of. */
struct told_order {
    int64_t customer_no;
    struct str order_id;
};

/* An event of an order: of any customer who spoke of it. */
struct order_event {
    int64_t customer_no;
    struct crypto_hash128 key;
    struct str type, properties;
    int64_t occurred_at;
};
struct order_event_line {
    int64_t line_key;      /* as order_lines has it: a position, or below zero */
    struct str product_id; /* STR_NONE: none */
    int64_t ordered_at;
    struct decimal quantity, unit_price, amount;
};
struct order_making {
    struct str order_id;
    int64_t order_no, holder_no; /* holder: who has the order; 0: it is new */
    const struct order_event *events; /* of whichever customers */
    size_t n_events;
    const struct order_event_line *imported; /* lines that did not come from events */
    size_t n_imported;
    /* set by the fold before writing */
    int64_t owner_no;  /* whose the order is; 0: nothing is made, an order that is new is not */
    bool replaces;     /* the lines below are all there are; else imported lines stay */
    const struct order_event_line *lines;
    size_t n_lines;
};

/* An event that is about to land. */
struct order_arrival {
    struct str order_id;
    int64_t customer_no;
    struct crypto_hash128 key;
};
/* Which of them, by place, would make more than `most` events speak of one order; those that are there already never do.
 * Under the lock of a batch others may land as many at the same moment, so an order may come to have a few more. In the arena. */
enum meros_code order_events_excess(struct store_conn *c, const struct order_arrival *events, size_t n, int64_t most, struct arena *arena,
                                    size_t **out, size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
/* How many events speak of each order; past `most` they are not counted. */
enum meros_code order_events_count(struct store_conn *c, const struct told_order *told, size_t n, int64_t most, struct arena *arena,
                                   int64_t *counts, struct meros_err *err) MEROS_MUSTCHECK;

enum { ORDER_EVENTS_MAX = 256 }; /* orders at a time */
/* An order may be given several times, by several customers; it comes out once. Everything lives in the arena. */
enum meros_code order_events_read(struct store_conn *c, const struct told_order *told, size_t n, struct arena *arena,
                                  struct order_making **out, size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
/* Products that are not known yet are made. */
enum meros_code order_events_write(struct store_conn *c, struct order_making *orders, size_t n, struct arena *arena,
                                   struct meros_err *err) MEROS_MUSTCHECK;

#endif
