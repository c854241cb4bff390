/* The catalogue for whoever keeps it in memory. */
#include "meros/store/interactions.h"

#include "store_priv.h"

#define COLUMNS                                                                                              \
    "product_no, product_id, name, category, description, attributes::text, price::float8, available::int, deleted::int, changed_at"
static const struct sql SET_SINCE = {"catalog_set_since",
    "select set_config('meros.changed_since', coalesce($1::timestamptz::text, '-infinity'), true)", SQL_ROW};
/* A scalar subquery: evaluated once, and good for the index. */
static const struct sql SINCE = {"catalog_since",
    "copy (select " COLUMNS " from products where changed_at >= (select current_setting('meros.changed_since')::timestamptz)) "
    "to stdout (format binary)", SQL_NOTHING};
static const struct sql ALL = {"catalog_all", "copy (select " COLUMNS " from products order by product_no) to stdout (format binary)", SQL_NOTHING};
static const struct sql SOME = {"catalog_some", "select " COLUMNS " from products where product_id = any($1)", SQL_ROWS};
static const struct sql SOLD = {"catalog_sold",
    "copy (select product_no, count(*) from customer_products group by product_no) to stdout (format binary)", SQL_NOTHING};

struct giving {
    catalog_fn fn;
    void *arg;
};

static enum meros_code give(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct giving *g = arg;
    if (n != 10) return err_set(err, MEROS_INTERNAL, "The query for products gave %d columns.", n);
    const struct catalog_row row = {.product_no = copy_int(&f[0]), .product_id = copy_text(&f[1]), .name = copy_text(&f[2]),
                                    .category = copy_text(&f[3]), .description = copy_text(&f[4]), .attributes = copy_text(&f[5]),
                                    .price = copy_num(&f[6]), .available = copy_int(&f[7]) != 0, .deleted = copy_int(&f[8]) != 0,
                                    .changed_at = copy_time(&f[9])};
    return g->fn(g->arg, &row, err);
}

static enum meros_code read_since(struct store_conn *c, int64_t since, struct giving *g, struct meros_err *err)
{
    struct rows r;
    if (since == TIME_NONE) return copy_out(c, &ALL, give, g, err);
    enum meros_code rc = sql_exec(c, &SET_SINCE, &r, err, P_TIME(since));
    if (rc != MEROS_OK) return rc;
    rows_done(&r);
    return copy_out(c, &SINCE, give, g, err);
}

enum meros_code store_catalog_read(struct store_conn *c, int64_t changed_since, catalog_fn fn, void *arg, struct meros_err *err)
{
    struct giving g = {fn, arg};
    enum meros_code rc = store_begin_snapshot(c, err);
    if (rc != MEROS_OK) return rc;
    rc = read_since(c, changed_since, &g, err);
    store_rollback(c);
    return rc;
}

enum meros_code store_catalog_some(struct store_conn *c, const struct str *product_ids, size_t n, catalog_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &SOME, &r, err, P_TEXTS(product_ids, n));
    for (size_t k = 0; rc == MEROS_OK && k < r.n; k++) {
        const struct catalog_row row = {.product_no = rows_int(&r, k, 0), .product_id = rows_text(&r, k, 1), .name = rows_text(&r, k, 2),
                                        .category = rows_text(&r, k, 3), .description = rows_text(&r, k, 4),
                                        .attributes = rows_text(&r, k, 5), .price = rows_num(&r, k, 6), .available = rows_int(&r, k, 7) != 0,
                                        .deleted = rows_int(&r, k, 8) != 0, .changed_at = rows_time(&r, k, 9)};
        rc = fn(arg, &row, err);
    }
    rows_done(&r);
    return rc;
}

struct selling {
    catalog_sold_fn fn;
    void *arg;
};

static enum meros_code give_sold(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct selling *s = arg;
    if (n != 2) return err_set(err, MEROS_INTERNAL, "The query for what was sold gave %d columns.", n);
    s->fn(s->arg, copy_int(&f[0]), copy_int(&f[1]));
    return MEROS_OK;
}

enum meros_code store_catalog_sold(struct store_conn *c, catalog_sold_fn fn, void *arg, struct meros_err *err)
{
    struct selling s = {fn, arg};
    return copy_out(c, &SOLD, give_sold, &s, err);
}
