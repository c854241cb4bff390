/* What the orders of a batch that were written straight add to their customers' statistics.
 *
 * Imports come sorted by customer, so all that a slice says of a customer is here at once. Of a customer of whom nothing is
 * stored yet the rows of customer_stats, customer_products and customer_days are made here and written by COPY, in the order
 * of their keys: nothing is read, no temporary table is filled and emptied again, and it costs what copying these rows
 * costs. What the others gain is noted for bulk_changes_apply (order_changes_priv.h). */
#include "imports_orders_priv.h"

#include <stdlib.h>
#include "meros/base/clock.h"
#include "order_changes_priv.h"

enum { DAYS_TO_2000 = 10957 }; /* PostgreSQL counts days from there */

/* A customer at a time: as plain joins the planner, who knows nothing of tables that are being filled, might read all of
 * them. The import lock is held alone, so the answer stays true until the end of the slice. */
static const struct sql KNOWN = {"orders_known_customers",
    "select given.no from unnest($1::bigint[]) as given (no) cross join lateral ("
    "  select from ("
    "    select from customer_stats s where s.customer_no = given.no "
    "    union all select from customer_products p where p.customer_no = given.no "
    "    union all select from customer_days d where d.customer_no = given.no) k limit 1) k order by 1", SQL_ROWS};
static const struct sql COPY_STATS = {"orders_copy_stats",
    "copy customer_stats (customer_no, orders, returns, lines, products, units, revenue, gross_revenue, returned_amount, "
    "first_order_at, last_order_at, first_any_at, last_any_at) from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_PRODUCTS = {"orders_copy_products",
    "copy customer_products (customer_no, product_no, lines) from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_DAYS = {"orders_copy_days",
    "copy customer_days (customer_no, day, purchases, returns, net) from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_CHANGES = {"orders_copy_changes",
    "copy order_changes (" ORDER_CHANGES_COLUMNS ") from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_PAIRS = {"orders_copy_pairs",
    "copy pair_changes (" PAIR_CHANGES_COLUMNS ") from stdin (format binary)", SQL_NOTHING};

struct bought { /* lines of a product */
    int64_t product_no, lines;
};
struct day {
    int64_t day, purchases, returns; /* day: since 1970, in UTC */
    __int128 net;
};
struct customer {
    int64_t customer_no;
    const struct straight_order *orders;
    size_t n;
    bool known; /* something is stored of it, or its sums do not fit into what COPY sends */
    struct order_sums sums; /* of all orders; ordered_at and purchase say nothing */
    int64_t purchases, first_order_at, last_order_at, first_any_at, last_any_at;
    struct bought *products;
    size_t n_products;
    struct day *days;
    size_t n_days;
};
struct customers {
    struct order_batch *b;
    struct customer *of;
    size_t n, n_known;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of order lines.");
}

static enum meros_code split(struct customers *x, const struct straight_order *orders, size_t n, struct meros_err *err)
{
    if ((x->of = arena_array(&x->b->i->batch, n, sizeof *x->of)) == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) {
        if (k == 0 || orders[k].customer_no != orders[k - 1].customer_no)
            x->of[x->n++] = (struct customer){.customer_no = orders[k].customer_no, .orders = &orders[k]};
        x->of[x->n - 1].n++;
    }
    return MEROS_OK;
}

static enum meros_code find_known(struct customers *x, struct meros_err *err)
{
    struct rows r;
    int64_t *nos = arena_array(&x->b->i->batch, x->n, sizeof *nos);
    if (nos == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++) nos[k] = x->of[k].customer_no;
    TRY(sql_exec(x->b->i->c, &KNOWN, &r, err, P_INTS(nos, x->n)));
    for (size_t j = 0, k = 0; j < r.n; j++) {
        while (x->of[k].customer_no != rows_int(&r, j, 0)) k++;
        x->of[k].known = true;
    }
    rows_done(&r);
    return MEROS_OK;
}

/* --- who is new: sums */
static int by_product(const void *a, const void *b)
{
    const struct bought *x = a, *y = b;
    return (x->product_no > y->product_no) - (x->product_no < y->product_no);
}

static int by_day(const void *a, const void *b)
{
    const struct day *x = a, *y = b;
    return (x->day > y->day) - (x->day < y->day);
}

static bool adds_product(const struct batch_line *l)
{
    return l->product_no != 0 && decimal_sign(l->row->quantity) > 0;
}

/* Into `room`; gives what is left of it. */
static struct bought *sum_products(const struct order_batch *b, struct customer *c, struct bought *room)
{
    size_t n = 0;
    c->products = room;
    for (size_t j = 0; j < c->n; j++)
        for (size_t at = c->orders[j].group->first; at != SIZE_MAX; at = b->lines[at].next)
            if (adds_product(&b->lines[at])) room[n++] = (struct bought){b->lines[at].product_no, 1};
    qsort(room, n, sizeof *room, by_product);
    for (size_t k = 0; k < n; k++) {
        if (c->n_products > 0 && room[c->n_products - 1].product_no == room[k].product_no) room[c->n_products - 1].lines++;
        else room[c->n_products++] = room[k];
    }
    return room + c->n_products;
}

static int64_t day_of(int64_t t)
{
    return t / TIME_DAY - (t % TIME_DAY < 0);
}

static struct day *sum_days(struct customer *c, struct day *room)
{
    c->days = room;
    for (size_t k = 0; k < c->n; k++) {
        const struct order_sums *s = &c->orders[k].sums;
        room[k] = (struct day){day_of(s->ordered_at), s->purchase, !s->purchase, s->gross - s->returned};
    }
    qsort(room, c->n, sizeof *room, by_day);
    for (size_t k = 0; k < c->n; k++) {
        struct day *last = room + c->n_days - 1;
        if (c->n_days > 0 && last->day == room[k].day) {
            last->purchases += room[k].purchases;
            last->returns += room[k].returns;
            last->net += room[k].net;
        } else {
            room[c->n_days++] = room[k];
        }
    }
    return room + c->n_days;
}

static void sum_customer(struct customer *c)
{
    c->first_order_at = c->last_order_at = TIME_NONE;
    c->first_any_at = c->last_any_at = c->orders[0].sums.ordered_at;
    for (size_t k = 0; k < c->n; k++) {
        const struct order_sums *s = &c->orders[k].sums;
        const int64_t at = s->ordered_at;
        c->sums.lines += s->lines;
        c->sums.units += s->units;
        c->sums.gross += s->gross;
        c->sums.returned += s->returned;
        if (at < c->first_any_at) c->first_any_at = at;
        if (at > c->last_any_at) c->last_any_at = at;
        if (!s->purchase) continue;
        if (c->purchases == 0 || at < c->first_order_at) c->first_order_at = at;
        if (c->purchases == 0 || at > c->last_order_at) c->last_order_at = at;
        c->purchases++;
    }
}

static enum meros_code sum_new(struct customers *x, const struct straight_order *orders, size_t n, struct meros_err *err)
{
    size_t lines = 0;
    for (size_t k = 0; k < n; k++) lines += orders[k].group->rows;
    struct bought *products = arena_array(&x->b->i->batch, lines, sizeof *products);
    struct day *days = arena_array(&x->b->i->batch, n, sizeof *days);
    if (products == NULL || days == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++) {
        struct customer *c = &x->of[k];
        if (!c->known) {
            sum_customer(c);
            c->known = !order_sums_fit(&c->sums);
        }
        if (c->known) {
            x->n_known++;
            continue;
        }
        products = sum_products(x->b, c, products);
        days = sum_days(c, days);
    }
    return MEROS_OK;
}

/* --- writing. A table's rows of one customer; only COPY and its end are left to write_rows. */
typedef enum meros_code write_fn(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err);

static enum meros_code write_stats(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err)
{
    (void)b;
    TRY(copy_in_row(k, 13, err));
    copy_in_int8(k, c->customer_no);
    copy_in_int8(k, c->purchases);
    copy_in_int8(k, (int64_t)c->n - c->purchases);
    copy_in_int8(k, c->sums.lines);
    copy_in_int8(k, (int64_t)c->n_products);
    copy_in_sums(k, &c->sums);
    copy_in_time(k, c->first_order_at);
    copy_in_time(k, c->last_order_at);
    copy_in_time(k, c->first_any_at);
    copy_in_time(k, c->last_any_at);
    return MEROS_OK;
}

static enum meros_code write_products(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err)
{
    (void)b;
    for (size_t j = 0; j < c->n_products; j++) {
        TRY(copy_in_row(k, 3, err));
        copy_in_int8(k, c->customer_no);
        copy_in_int8(k, c->products[j].product_no);
        copy_in_int8(k, c->products[j].lines);
    }
    return MEROS_OK;
}

static enum meros_code write_days(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err)
{
    (void)b;
    for (size_t j = 0; j < c->n_days; j++) {
        TRY(copy_in_row(k, 5, err));
        copy_in_int8(k, c->customer_no);
        copy_in_int4(k, (int32_t)(c->days[j].day - DAYS_TO_2000));
        copy_in_int8(k, c->days[j].purchases);
        copy_in_int8(k, c->days[j].returns);
        copy_in_millionths(k, c->days[j].net);
    }
    return MEROS_OK;
}

static enum meros_code write_changes(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err)
{
    (void)b;
    for (size_t j = 0; j < c->n; j++) {
        const struct order_sums *s = &c->orders[j].sums;
        TRY(copy_in_row(k, 10, err));
        copy_in_int8(k, c->customer_no);
        copy_in_int4(k, s->purchase);
        copy_in_int4(k, !s->purchase);
        copy_in_int8(k, s->lines);
        copy_in_sums(k, s);
        copy_in_time(k, s->ordered_at);
        copy_in_bool(k, false);
    }
    return MEROS_OK;
}

static enum meros_code write_pairs(struct copy_in *k, const struct order_batch *b, const struct customer *c, struct meros_err *err)
{
    for (size_t j = 0; j < c->n; j++) {
        for (size_t at = c->orders[j].group->first; at != SIZE_MAX; at = b->lines[at].next) {
            if (!adds_product(&b->lines[at])) continue;
            TRY(copy_in_row(k, 3, err));
            copy_in_int8(k, c->customer_no);
            copy_in_int8(k, b->lines[at].product_no);
            copy_in_int4(k, 1);
        }
    }
    return MEROS_OK;
}

static enum meros_code write_rows(const struct customers *x, bool known, const struct sql *s, write_fn *write, struct meros_err *err)
{
    struct copy_in k;
    int64_t written;
    TRY(copy_in_begin(&k, x->b->i->c, s, err));
    for (size_t j = 0; j < x->n; j++) {
        if (x->of[j].known != known) continue;
        enum meros_code rc = write(&k, x->b, &x->of[j], err);
        if (rc != MEROS_OK) {
            copy_in_abort(&k);
            return rc;
        }
    }
    return copy_in_end(&k, &written, err);
}

enum meros_code order_batch_sums(struct order_batch *b, const struct straight_order *orders, size_t n, struct meros_err *err)
{
    struct customers x = {.b = b};
    TRY(split(&x, orders, n, err));
    TRY(find_known(&x, err));
    TRY(sum_new(&x, orders, n, err));
    if (x.n_known < x.n) {
        TRY(write_rows(&x, false, &COPY_PRODUCTS, write_products, err));
        TRY(write_rows(&x, false, &COPY_STATS, write_stats, err));
        TRY(write_rows(&x, false, &COPY_DAYS, write_days, err));
    }
    for (size_t k = 0; k < x.n; k++)
        if (!x.of[k].known) TRY(import_touched(b->i, x.of[k].customer_no, err));
    if (x.n_known == 0) return MEROS_OK;
    b->i->noted = true;
    TRY(write_rows(&x, true, &COPY_CHANGES, write_changes, err));
    return write_rows(&x, true, &COPY_PAIRS, write_pairs, err);
}
