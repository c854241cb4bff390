/* Who had to do with which product (domain/interaction.h): of some customers live, of all for training, and baskets. */
#ifndef MEROS_STORE_INTERACTIONS_H
#define MEROS_STORE_INTERACTIONS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/domain/interaction.h"
#include "meros/store/store.h"

enum { INTERACTION_EVENTS_MAX = 2000 }; /* live: the last so many events of a customer count, and all that they bought */

/* A customer by one of their names, and what they had to do with products. */
struct customer_shelf {
    bool known;           /* false: nobody has this name */
    bool profiling;       /* false: consent to profiling was refused */
    int64_t customer_no;
    struct str customer_id; /* the canonical one */
    int64_t events; /* that are kept of them, of any kind */
    const struct interaction_row *rows; /* in the arena; oldest last_at first, then by product_no */
    size_t n;
};
/* Live, of n names at once by indexed look-ups; out[i] is of names[i]; strings and rows live in the arena. Weights as of `at`. */
enum meros_code store_shelves(struct store_conn *c, const struct str *names, size_t n, const struct interaction_weights *w, int64_t at,
                              struct arena *arena, struct customer_shelf *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The canonical names of up to `most` customers who did or bought something last, the last one first. Reads the statistics of all. */
enum meros_code store_shelves_active(struct store_conn *c, size_t most, struct arena *arena, const struct str **out, size_t *out_n,
                                     struct meros_err *err) MEROS_MUSTCHECK;

/* All pairs, in the order of customer_no, then last_at, then product_no; only what was known at as_of (TIME_NONE: now); weights as of that
 * moment. Customers who refused profiling are left out. Inside the caller's transaction; constant memory. */
typedef enum meros_code (*interaction_fn)(void *arg, const struct interaction_row *row, struct meros_err *err);
enum meros_code store_interactions_all(struct store_conn *c, const struct interaction_weights *w, int64_t as_of, interaction_fn fn,
                                       void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* What was bought together: one call a product of an order (its lines of positive quantity), orders one after another, their products
 * ascending. Customers who refused profiling are left out here too. */
typedef enum meros_code (*basket_fn)(void *arg, int64_t order_no, int64_t customer_no, int64_t product_no, int64_t ordered_at,
                                     struct meros_err *err);
enum meros_code store_baskets_all(struct store_conn *c, int64_t as_of, basket_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* The catalogue: everything, or what changed since a moment of the database's clock (TIME_NONE: all). */
struct catalog_row {
    int64_t product_no;
    struct str product_id, name, category, description; /* STR_NONE: none */
    struct str attributes; /* JSON text */
    double price;          /* NaN: none */
    bool available, deleted;
    int64_t changed_at;
};
typedef enum meros_code (*catalog_fn)(void *arg, const struct catalog_row *row, struct meros_err *err);
/* A transaction of its own; constant memory. changed_at is when the transaction began that made the change, and transactions end in any
 * order: who reads what changed since a moment reads some time before it once more. */
enum meros_code store_catalog_read(struct store_conn *c, int64_t changed_since, catalog_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_catalog_some(struct store_conn *c, const struct str *product_ids, size_t n, catalog_fn fn, void *arg,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* How many customers bought each product that was bought. Reads all of it: for the background. */
typedef void (*catalog_sold_fn)(void *arg, int64_t product_no, int64_t customers);
enum meros_code store_catalog_sold(struct store_conn *c, catalog_sold_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
