/* A batch of order lines between the three files that import it: imports_orders.c groups, looks up and merges,
 * imports_orders_copy.c writes, imports_orders_sums.c writes what that adds to customers. */
#ifndef MEROS_STORE_IMPORTS_ORDERS_PRIV_H
#define MEROS_STORE_IMPORTS_ORDERS_PRIV_H

#include "imports_priv.h"

struct order_group { /* the rows of one order in a batch */
    struct str order_id;
    int64_t order_no, holder_no; /* holder: the customer who has it now */
    size_t first, rows, good;    /* first: index of its first row; linked through line.next */
    int64_t gap;                 /* rejected rows of earlier batches, before anything was known of the order */
    size_t last;
    bool known, fresh; /* fresh: made by this import */
    bool staged;
};
struct batch_line {
    const struct order_row *row;
    size_t next; /* of the same group; SIZE_MAX at the end */
    size_t group;
    int64_t customer_no, product_no; /* 0: none */
    int64_t line_key; /* of a line_id; 0: by position */
};
struct order_batch {
    struct store_import *i;
    struct batch_line *lines;
    struct order_group *groups;
    struct idmap by_id;
    size_t n, n_groups;
};

struct order_sums { /* in millionths; revenue is gross - returned */
    int64_t ordered_at, lines;
    __int128 units, gross, returned;
    bool purchase;
};
struct straight_order { /* one that is written as it stands */
    int64_t customer_no, order_no;
    const struct order_group *group;
    struct order_sums sums;
};

/* Whether COPY can send them. */
bool order_sums_fit(const struct order_sums *s);
/* Fields of a row: a number of millionths that fits into 64 bits; units, revenue, gross_revenue and returned_amount. */
void copy_in_millionths(struct copy_in *k, __int128 v);
void copy_in_sums(struct copy_in *k, const struct order_sums *s);

/* Writes the orders of the batch that are not staged into the tables, and notes what they add to statistics. */
enum meros_code order_batch_straight(struct order_batch *b, struct meros_err *err) MEROS_MUSTCHECK;
/* Writes, or notes, what these orders (sorted by customer) add to statistics. */
enum meros_code order_batch_sums(struct order_batch *b, const struct straight_order *orders, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* Puts the rows of the others into the staging table. */
enum meros_code order_batch_stage(struct order_batch *b, struct meros_err *err) MEROS_MUSTCHECK;

#endif
