#include "meros/service/products.h"

#include "meros/service/catalog.h"
#include "meros/store/products.h"

enum meros_code service_put_product(struct service *s, const struct product_record *p, bool *created, product_show_fn show,
                                    void *arg, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = products_put(c, p, created, err);
    if (rc == MEROS_OK) rc = products_get(c, p->product_id, show, arg, err);
    store_release(s->store, c);
    if (rc == MEROS_OK) catalog_changed(s, p->product_id);
    return rc;
}

enum meros_code service_delete_product(struct service *s, struct str product_id, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = products_delete(c, product_id, err);
    store_release(s->store, c);
    if (rc == MEROS_OK) catalog_changed(s, product_id);
    return rc;
}

enum meros_code service_get_product(struct service *s, struct str product_id, product_show_fn show, void *arg, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = products_get(c, product_id, show, arg, err);
    store_release(s->store, c);
    return rc;
}

enum meros_code service_list_products(struct service *s, int64_t after, int64_t limit, product_show_fn show, void *arg,
                                      struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(s->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = products_list(c, after, limit, show, arg, err);
    store_release(s->store, c);
    return rc;
}
