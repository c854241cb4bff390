/* Moving the history of customers who turned out to be others (identity_join.c), for identity.c. */
#ifndef MEROS_STORE_IDENTITY_PRIV_H
#define MEROS_STORE_IDENTITY_PRIV_H

#include "meros/store/identity.h"

enum { IDENTITY_SPARE = 200 };

/* Joins from[k] into into[k]. No number is both in from and in into, each from occurs once. into[k] becomes the number that
 * the survivor has afterwards: that of the loser where the loser's history is larger by more than `spare` rows (a survivor
 * keeps the own number where little is to be won, so that whoever reads page by page by numbers meets them once). Adds the
 * orders that may come out differently to out->orders. Under the exclusive import lock. */
enum meros_code identity_move(struct store_conn *c, const int64_t *from, int64_t *into, size_t n, int64_t spare, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
