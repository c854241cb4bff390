/* Order lines into their tables, and into the staging table, by COPY. */
#include "imports_orders_priv.h"

#include <stdlib.h>

static const struct sql COPY_ORDERS = {"orders_copy",
    "copy orders (customer_no, order_no, order_id, ordered_at, purchase, lines, units, revenue, gross_revenue, "
    "returned_amount) from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_LINES = {"orders_copy_lines",
    "copy order_lines (customer_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount, line_id) "
    "from stdin (format binary)", SQL_NOTHING};
static const struct sql COPY_STAGE = {"orders_copy_stage",
    "copy order_stage (seq, order_id, order_no, fresh, holder_no, customer_no, line_key, line_id, product_no, ordered_at, "
    "quantity, unit_price, amount, rejected) from stdin (format binary)", SQL_NOTHING};

/* Millionths, summed in 128 bits. */
static __int128 millionths(struct decimal d)
{
    static const int64_t up[] = {1000000, 100000, 10000, 1000, 100, 10, 1};
    return (__int128)d.unscaled * up[d.scale];
}

bool order_sums_fit(const struct order_sums *s)
{
    const __int128 fits = INT64_MAX;
    return s->units < fits && s->gross < fits && s->returned < fits;
}

/* False when a sum does not fit into what COPY sends: the database then adds up. */
static bool sum_group(const struct order_batch *b, const struct order_group *g, struct order_sums *s)
{
    bool quantities = false;
    *s = (struct order_sums){.ordered_at = INT64_MAX};
    for (size_t k = g->first; k != SIZE_MAX; k = b->lines[k].next) {
        const struct order_row *r = b->lines[k].row;
        if (r->ordered_at < s->ordered_at) s->ordered_at = r->ordered_at;
        quantities |= r->quantity.present;
        if (decimal_sign(r->quantity) > 0) {
            s->lines++;
            s->units += millionths(r->quantity);
        }
        if (r->amount.unscaled > 0) s->gross += millionths(r->amount);
        else s->returned -= millionths(r->amount);
    }
    s->purchase = quantities ? s->lines > 0 : s->gross > s->returned || s->returned == 0;
    return order_sums_fit(s);
}

/* In the order of the primary key. */
static int by_key(const void *a, const void *b)
{
    const struct straight_order *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    return (x->order_no > y->order_no) - (x->order_no < y->order_no);
}

static void put_decimal(struct copy_in *k, struct decimal d)
{
    if (d.present) copy_in_numeric(k, d.unscaled, d.scale);
    else copy_in_null(k);
}

void copy_in_millionths(struct copy_in *k, __int128 v)
{
    int64_t left = (int64_t)v;
    int scale = 6;
    for (; scale > 0 && left % 10 == 0; scale--) left /= 10;
    copy_in_numeric(k, left, scale);
}

void copy_in_sums(struct copy_in *k, const struct order_sums *s)
{
    copy_in_millionths(k, s->units);
    copy_in_millionths(k, s->gross - s->returned);
    copy_in_millionths(k, s->gross);
    copy_in_millionths(k, s->returned);
}

static void put_number(struct copy_in *k, int64_t no)
{
    if (no != 0) copy_in_int8(k, no);
    else copy_in_null(k);
}

static enum meros_code copy_lines(struct order_batch *b, const struct straight_order *order, size_t n, struct meros_err *err)
{
    struct copy_in k;
    int64_t written;
    enum meros_code rc;
    TRY(copy_in_begin(&k, b->i->c, &COPY_LINES, err));
    for (size_t j = 0; j < n; j++) {
        int64_t position = 0;
        for (size_t at = order[j].group->first; at != SIZE_MAX; at = b->lines[at].next) {
            const struct batch_line *l = &b->lines[at];
            position++;
            if ((rc = copy_in_row(&k, 9, err)) != MEROS_OK) {
                copy_in_abort(&k);
                return rc;
            }
            copy_in_int8(&k, order[j].customer_no);
            copy_in_int8(&k, order[j].order_no);
            copy_in_int8(&k, l->line_key != 0 ? l->line_key : position);
            put_number(&k, l->product_no);
            copy_in_time(&k, l->row->ordered_at);
            put_decimal(&k, l->row->quantity);
            put_decimal(&k, l->row->unit_price);
            put_decimal(&k, l->row->amount);
            copy_in_text(&k, l->row->line_id);
        }
    }
    TRY(copy_in_end(&k, &written, err));
    b->i->counts.inserted += written;
    return MEROS_OK;
}

static enum meros_code copy_orders(struct order_batch *b, const struct straight_order *order, size_t n, struct meros_err *err)
{
    struct copy_in k;
    int64_t written;
    enum meros_code rc;
    TRY(copy_in_begin(&k, b->i->c, &COPY_ORDERS, err));
    for (size_t j = 0; j < n; j++) {
        if ((rc = copy_in_row(&k, 10, err)) != MEROS_OK) {
            copy_in_abort(&k);
            return rc;
        }
        const struct order_sums *s = &order[j].sums;
        copy_in_int8(&k, order[j].customer_no);
        copy_in_int8(&k, order[j].order_no);
        copy_in_text(&k, order[j].group->order_id);
        copy_in_time(&k, s->ordered_at);
        copy_in_bool(&k, s->purchase);
        copy_in_int8(&k, s->lines);
        copy_in_sums(&k, s);
    }
    TRY(copy_in_end(&k, &written, err));
    return MEROS_OK;
}

enum meros_code order_batch_straight(struct order_batch *b, struct meros_err *err)
{
    struct straight_order *order = arena_array(&b->i->batch, b->n_groups + 1, sizeof *order);
    size_t n = 0;
    if (order == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of order lines.");
    for (size_t g = 0; g < b->n_groups; g++) {
        struct order_group *group = &b->groups[g];
        if (group->staged) continue;
        order[n] = (struct straight_order){group->holder_no, group->order_no, group, {0}};
        if (sum_group(b, group, &order[n].sums)) n++;
        else group->staged = true;
    }
    if (n == 0) return MEROS_OK;
    qsort(order, n, sizeof *order, by_key);
    TRY(copy_lines(b, order, n, err));
    TRY(copy_orders(b, order, n, err));
    return order_batch_sums(b, order, n, err);
}

/* A row for the stage; line NULL: a rejected one of an earlier batch, before all others. */
static enum meros_code stage_row(struct copy_in *k, const struct order_group *g, const struct batch_line *line, int64_t seq, struct meros_err *err)
{
    static const struct order_row gone = {.ordered_at = TIME_NONE, .rejected = true};
    static const struct batch_line gap = {.row = &gone};
    const struct batch_line *l = line != NULL ? line : &gap;
    TRY(copy_in_row(k, 14, err));
    copy_in_int8(k, line != NULL ? seq : -1);
    copy_in_text(k, g->order_id);
    copy_in_int8(k, g->order_no);
    copy_in_bool(k, g->fresh);
    copy_in_int8(k, g->holder_no);
    put_number(k, l->customer_no);
    put_number(k, l->line_key);
    copy_in_text(k, l->row->line_id);
    put_number(k, l->product_no);
    copy_in_time(k, l->row->rejected ? TIME_NONE : l->row->ordered_at);
    put_decimal(k, l->row->quantity);
    put_decimal(k, l->row->unit_price);
    put_decimal(k, l->row->amount);
    copy_in_bool(k, l->row->rejected);
    return MEROS_OK;
}

enum meros_code order_batch_stage(struct order_batch *b, struct meros_err *err)
{
    struct copy_in k;
    int64_t written;
    size_t n = 0;
    enum meros_code rc = MEROS_OK;
    for (size_t g = 0; g < b->n_groups; g++) n += b->groups[g].staged && b->groups[g].order_no != 0;
    if (n == 0) return MEROS_OK;
    TRY(copy_in_begin(&k, b->i->c, &COPY_STAGE, err));
    for (size_t g = 0; g < b->n_groups && rc == MEROS_OK; g++)
        for (int64_t j = 0; j < b->groups[g].gap && rc == MEROS_OK; j++) rc = stage_row(&k, &b->groups[g], NULL, 0, err);
    for (size_t at = 0; at < b->n && rc == MEROS_OK; at++) {
        const struct order_group *g = &b->groups[b->lines[at].group];
        if (!g->staged || g->order_no == 0) continue; /* an unknown order of rejected rows alone leaves but a gap */
        rc = stage_row(&k, g, &b->lines[at], b->i->sequence + (int64_t)at, err);
    }
    if (rc != MEROS_OK) {
        copy_in_abort(&k);
        return rc;
    }
    TRY(copy_in_end(&k, &written, err));
    b->i->staged += written;
    return MEROS_OK;
}
