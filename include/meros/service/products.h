/* The catalogue, one product at a time. Views in records live during the call of show. */
#ifndef MEROS_SERVICE_PRODUCTS_H
#define MEROS_SERVICE_PRODUCTS_H

#include "meros/base/err.h"
#include "meros/domain/records.h"
#include "meros/service/service.h"

typedef enum meros_code (*product_show_fn)(void *arg, const struct product_record *r, struct meros_err *err);

enum meros_code service_put_product(struct service *s, const struct product_record *p, bool *created, product_show_fn show,
                                    void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_delete_product(struct service *s, struct str product_id, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_get_product(struct service *s, struct str product_id, product_show_fn show, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code service_list_products(struct service *s, int64_t after, int64_t limit, product_show_fn show, void *arg,
                                      struct meros_err *err) MEROS_MUSTCHECK;

#endif
