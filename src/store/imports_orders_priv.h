/* A batch of order lines between the two files that import it: imports_orders.c groups, looks up and merges,
 * imports_orders_copy.c writes. */
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

/* Writes the orders of the batch that are not staged into the tables, and notes what they add to statistics. */
enum meros_code order_batch_straight(struct order_batch *b, struct meros_err *err) MEROS_MUSTCHECK;
/* Puts the rows of the others into the staging table. */
enum meros_code order_batch_stage(struct order_batch *b, struct meros_err *err) MEROS_MUSTCHECK;

#endif
