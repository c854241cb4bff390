/* The catalogue, one product at a time, and its list. */
#ifndef MEROS_STORE_PRODUCTS_H
#define MEROS_STORE_PRODUCTS_H

#include "meros/base/err.h"
#include "meros/domain/records.h"
#include "meros/store/store.h"

/* Replaces the product or makes it (*created; also when it had been taken out of the catalogue). */
enum meros_code products_put(struct store_conn *c, const struct product_record *p, bool *created, struct meros_err *err) MEROS_MUSTCHECK;
/* Takes it out of the catalogue: past orders and events still refer to it by its id. NOT_FOUND. */
enum meros_code products_delete(struct store_conn *c, struct str product_id, struct meros_err *err) MEROS_MUSTCHECK;
/* The views in records live during the call. */
typedef enum meros_code (*product_fn)(void *arg, const struct product_record *r, struct meros_err *err);
enum meros_code products_get(struct store_conn *c, struct str product_id, product_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* In the order of product_no, after `after` (0: from the beginning), up to limit. */
enum meros_code products_list(struct store_conn *c, int64_t after, int64_t limit, product_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
