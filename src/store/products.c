#include "meros/store/products.h"

#include "imports_priv.h"

/* One statement, so that two writers of the same product meet in the unique index. */
static const struct sql PUT = {"product_put",
    "with was as (select product_id from products where product_id = $1 and not deleted) "
    "insert into products (product_no, product_id, name, category, price, description, available, attributes) "
    "values (nextval('product_nos'), $1, $2, $3, $4::text::numeric, $5, $6, coalesce($7::jsonb, '{}')) "
    "on conflict (product_id) do update set name = excluded.name, category = excluded.category, price = excluded.price, "
    "description = excluded.description, available = excluded.available, attributes = excluded.attributes, deleted = false, "
    "changed_at = now() returning not exists (select from was)", SQL_ROW};
static const struct sql DELETE = {"product_delete",
    "update products set deleted = true, name = null, category = null, price = null, description = null, available = false, "
    "attributes = '{}', changed_at = now() where product_id = $1 and not deleted", SQL_NOTHING};
#define COLUMNS "product_no, product_id, name, category, description, price::float8, available, attributes::text"
static const struct sql GET = {"product_get", "select " COLUMNS " from products where product_id = $1 and not deleted", SQL_ROW_OR_NONE};
static const struct sql LIST = {"product_list",
    "select " COLUMNS " from products where product_no > $1 and not deleted order by product_no limit $2", SQL_ROWS};

static enum meros_code unknown(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no product with this id.");
}

enum meros_code products_put(struct store_conn *c, const struct product_record *p, bool *created, struct meros_err *err)
{
    char price[DECIMAL_TEXT];
    struct rows r;
    decimal_text(p->price, price);
    TRY(sql_exec(c, &PUT, &r, err, P_TEXT(p->product_id), P_TEXT(p->name), P_TEXT(p->category),
                 p->price.present ? P_CSTR(price) : P_NULL, P_TEXT(p->description), P_BOOL(p->available), P_TEXT(p->attributes)));
    *created = rows_bool(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code products_delete(struct store_conn *c, struct str product_id, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &DELETE, &r, err, P_TEXT(product_id)));
    int64_t gone = r.affected;
    rows_done(&r);
    return gone > 0 ? MEROS_OK : unknown(err);
}

static enum meros_code give(struct rows *r, product_fn fn, void *arg, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r->n && rc == MEROS_OK; k++) {
        const struct product_record x = {.product_no = rows_int(r, k, 0), .product_id = rows_text(r, k, 1), .name = rows_text(r, k, 2),
                                         .category = rows_text(r, k, 3), .description = rows_text(r, k, 4),
                                         .price_shown = rows_num(r, k, 5), .available = rows_bool(r, k, 6),
                                         .attributes = rows_text(r, k, 7)};
        rc = fn(arg, &x, err);
    }
    rows_done(r);
    return rc;
}

enum meros_code products_get(struct store_conn *c, struct str product_id, product_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &GET, &r, err, P_TEXT(product_id)));
    if (r.n == 0) {
        rows_done(&r);
        return unknown(err);
    }
    return give(&r, fn, arg, err);
}

enum meros_code products_list(struct store_conn *c, int64_t after, int64_t limit, product_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &LIST, &r, err, P_INT(after), P_INT(limit)));
    return give(&r, fn, arg, err);
}
