/* Moving the history of customers who turned out to be others (identity_join.c), for identity.c. */
#ifndef MEROS_STORE_IDENTITY_PRIV_H
#define MEROS_STORE_IDENTITY_PRIV_H

#include "meros/store/identity.h"

/* Joins from[k] into into[k]. No number is both in from and in into, each from occurs once. Adds the orders that moved to
 * out->orders. Under the exclusive import lock. */
enum meros_code identity_move(struct store_conn *c, const int64_t *from, const int64_t *into, size_t n, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
