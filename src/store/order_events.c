#include "meros/store/order_events.h"

#include <stdlib.h>
#include "imports_priv.h"
#include "order_changes_priv.h"

/* An order that is new gets its row here, so that others wait for it; one from which no line comes loses it again. */
static const struct sql LOCK = {"order_events_lock",
    "insert into order_ids as i (order_id, order_no, customer_no) select id, nextval('order_nos'), no "
    "from unnest($1::text[], $2::bigint[]) as given (id, no) "
    "on conflict (order_id) do update set customer_no = i.customer_no "
    "returning order_id, order_no, customer_no, xmax = 0", SQL_ROWS};
#define SPEAKING(order_id)                                                                                   \
    "left(v.properties ->> 'order_id', 200) = " order_id " "                                                 \
    "and v.type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled')"
#define COUNTED(order_id, most) "(select count(*) from (select from events v where " SPEAKING(order_id) " limit " most ") few)"
/* Several of one identity are one event. */
static const struct sql EXCESS = {"order_events_excess",
    "with fresh as (select g.*, min(at) over (partition by customer_no, key) as earliest "
    "  from unnest($1::text[], $2::bigint[], $3::uuid[]) with ordinality as g (order_id, customer_no, key, at) "
    "  where not exists (select from events e where e.customer_no = g.customer_no and e.event_key = g.key)), "
    "orders as (select o.order_id, " COUNTED("o.order_id", "$4") " as there from (select distinct order_id from fresh) o), "
    "placed as (select order_id, at, dense_rank() over (partition by order_id order by earliest) as nth from fresh) "
    "select at - 1 from placed join orders using (order_id) where there + nth > $4 order by at", SQL_ROWS};
static const struct sql COUNT = {"order_events_count",
    "select " COUNTED("g.order_id", "$2::bigint + 1") " from unnest($1::text[]) with ordinality as g (order_id, at) order by at", SQL_ROWS};
static const struct sql EVENTS = {"order_events_of",
    "select g.at, e.* from unnest($1::text[]) with ordinality as g (order_id, at) cross join lateral ("
    "  select v.customer_no, uuid_send(v.event_key), v.type, v.occurred_at, v.properties::text from events v "
    "  where " SPEAKING("g.order_id") ") e order by g.at", SQL_ROWS};
static const struct sql IMPORTED = {"order_events_imported",
    "select g.at, l.* from unnest($1::bigint[], $2::bigint[], $3::bigint[]) as g (at, customer_no, order_no) cross join lateral ("
    "  select v.line_key, (select p.product_id from products p where p.product_no = v.product_no), v.ordered_at, "
    "    v.quantity::text, v.unit_price::text, v.amount::text from order_lines v "
    "  where v.customer_no = g.customer_no and v.order_no = g.order_no and not v.from_events) l order by g.at, l.line_key", SQL_ROWS};
static const struct sql FIND_PRODUCTS = {"order_events_find_products",
    "select product_id, product_no from products where product_id = any($1)", SQL_ROWS};
static const struct sql MAKE_PRODUCTS = {"order_events_make_products",
    "insert into products (product_no, product_id) select nextval('product_nos'), id from unnest($1::text[]) as given (id) "
    "on conflict do nothing returning product_id, product_no", SQL_ROWS};
static const struct sql DROP_LINES = {"order_events_drop_lines",
    "delete from order_lines l using unnest($1::bigint[], $2::bigint[], $3::bigint[]) as g (customer_no, order_no, everything) "
    "where l.customer_no = g.customer_no and l.order_no = g.order_no and (l.from_events or g.everything <> 0)", SQL_NOTHING};
static const struct sql PUT_LINES = {"order_events_put_lines",
    "insert into order_lines (customer_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount, from_events) "
    "select customer_no, order_no, line_key, nullif(product_no, 0), ordered_at, quantity, unit_price, amount, true "
    "from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::timestamptz[], $6::text[]::numeric[], "
    "  $7::text[]::numeric[], $8::text[]::numeric[]) "
    "  as g (customer_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount) "
    "order by customer_no, order_no, line_key", SQL_NOTHING};
static const struct sql MOVE_IDS = {"order_events_move_ids",
    "update order_ids i set customer_no = g.no from unnest($1::text[], $2::bigint[]) as g (id, no) "
    "where i.order_id = g.id and i.customer_no <> g.no", SQL_NOTHING};
static const struct sql DROP_IDS = {"order_events_drop_ids",
    "delete from order_ids i using unnest($1::text[], $2::bigint[]) as g (id, no) where i.order_id = g.id "
    "and not exists (select from orders o where o.customer_no = g.no and o.order_no = i.order_no)", SQL_NOTHING};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the orders of a batch.");
}

static int by_bytes(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

static struct str kept(struct arena *arena, struct str s, bool *ok)
{
    if (!str_present(s)) return STR_NONE;
    char *p = arena_strndup(arena, s.p, s.n);
    if (p == NULL) *ok = false;
    return (struct str){p, s.n};
}

/* --- how many */
enum meros_code order_events_excess(struct store_conn *c, const struct order_arrival *events, size_t n, int64_t most, struct arena *arena,
                                    size_t **out, size_t *out_n, struct meros_err *err)
{
    struct str *ids = arena_array(arena, n + 1, sizeof *ids);
    int64_t *nos = arena_array(arena, n + 1, sizeof *nos);
    struct crypto_hash128 *keys = arena_array(arena, n + 1, sizeof *keys);
    struct rows r;
    *out = arena_array(arena, n + 1, sizeof **out);
    if (ids == NULL || nos == NULL || keys == NULL || *out == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) {
        ids[k] = events[k].order_id;
        nos[k] = events[k].customer_no;
        keys[k] = events[k].key;
    }
    TRY(sql_exec(c, &EXCESS, &r, err, P_TEXTS(ids, n), P_INTS(nos, n), P_UUIDS(keys, n), P_INT(most)));
    *out_n = r.n;
    for (size_t k = 0; k < r.n; k++) (*out)[k] = (size_t)rows_int(&r, k, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code order_events_count(struct store_conn *c, const struct told_order *told, size_t n, int64_t most, struct arena *arena,
                                   int64_t *counts, struct meros_err *err)
{
    struct str *ids = arena_array(arena, n + 1, sizeof *ids);
    struct rows r;
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) ids[k] = told[k].order_id;
    TRY(sql_exec(c, &COUNT, &r, err, P_TEXTS(ids, n), P_INT(most)));
    for (size_t k = 0; k < r.n; k++) counts[k] = rows_int(&r, k, 0);
    rows_done(&r);
    return MEROS_OK;
}

/* --- reading */
struct reading {
    struct store_conn *c;
    struct arena *arena;
    struct str *ids; /* of the orders */
    struct order_making *orders;
    size_t n;
};

static int by_order(const void *a, const void *b)
{
    return by_bytes(&((const struct told_order *)a)->order_id, &((const struct told_order *)b)->order_id);
}

static enum meros_code lock_orders(struct reading *x, const struct told_order *told, size_t n, struct meros_err *err)
{
    struct told_order *sorted = arena_array(x->arena, n, sizeof *sorted);
    int64_t *nos = arena_array(x->arena, n, sizeof *nos);
    struct rows r;
    x->ids = arena_array(x->arena, n, sizeof *x->ids);
    x->orders = arena_array(x->arena, n, sizeof *x->orders);
    if (sorted == NULL || nos == NULL || x->ids == NULL || x->orders == NULL) return no_memory(err);
    memcpy(sorted, told, n * sizeof *told);
    qsort(sorted, n, sizeof *sorted, by_order);
    for (size_t k = 0; k < n; k++) {
        if (k > 0 && str_eq(sorted[k].order_id, sorted[k - 1].order_id)) continue;
        x->ids[x->n] = sorted[k].order_id;
        nos[x->n] = sorted[k].customer_no;
        x->orders[x->n++] = (struct order_making){.order_id = sorted[k].order_id};
    }
    TRY(sql_exec(x->c, &LOCK, &r, err, P_TEXTS(x->ids, x->n), P_INTS(nos, x->n)));
    for (size_t k = 0; k < r.n; k++) {
        struct order_making key = {.order_id = rows_text(&r, k, 0)};
        struct order_making *o = bsearch(&key, x->orders, x->n, sizeof *o, by_bytes); /* order_id is the first member */
        o->order_no = rows_int(&r, k, 1);
        o->holder_no = rows_bool(&r, k, 3) ? 0 : rows_int(&r, k, 2);
    }
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code read_events(struct reading *x, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(x->c, &EVENTS, &r, err, P_TEXTS(x->ids, x->n)));
    struct order_event *events = arena_array(x->arena, r.n + 1, sizeof *events);
    bool ok = events != NULL;
    for (size_t k = 0; ok && k < r.n; k++) {
        struct order_making *o = &x->orders[rows_int(&r, k, 0) - 1];
        struct str key = rows_bytes(&r, k, 2);
        events[k] = (struct order_event){.customer_no = rows_int(&r, k, 1), .type = kept(x->arena, rows_text(&r, k, 3), &ok),
                                         .occurred_at = rows_time(&r, k, 4), .properties = kept(x->arena, rows_text(&r, k, 5), &ok)};
        memcpy(events[k].key.bytes, key.p, sizeof events[k].key.bytes);
        if (o->n_events++ == 0) o->events = &events[k];
    }
    rows_done(&r);
    return ok ? MEROS_OK : no_memory(err);
}

/* Sums of imports are exact in the database; a number past what is ever imported reads as absent. */
static struct decimal number(struct str text)
{
    struct decimal d = {0};
    return str_present(text) && decimal_parse(text, INT64_C(1000000000000), &d) ? d : (struct decimal){0};
}

static enum meros_code read_imported(struct reading *x, struct meros_err *err)
{
    int64_t *at = arena_array(x->arena, x->n, sizeof *at), *nos = arena_array(x->arena, x->n, sizeof *nos);
    int64_t *order_nos = arena_array(x->arena, x->n, sizeof *order_nos);
    struct rows r;
    size_t n = 0;
    bool ok = true;
    if (at == NULL || nos == NULL || order_nos == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++) {
        if (x->orders[k].holder_no == 0) continue;
        at[n] = (int64_t)k;
        nos[n] = x->orders[k].holder_no;
        order_nos[n++] = x->orders[k].order_no;
    }
    if (n == 0) return MEROS_OK;
    TRY(sql_exec(x->c, &IMPORTED, &r, err, P_INTS(at, n), P_INTS(nos, n), P_INTS(order_nos, n)));
    struct order_event_line *lines = arena_array(x->arena, r.n + 1, sizeof *lines);
    ok = lines != NULL;
    for (size_t k = 0; ok && k < r.n; k++) {
        struct order_making *o = &x->orders[rows_int(&r, k, 0)];
        lines[k] = (struct order_event_line){rows_int(&r, k, 1), kept(x->arena, rows_text(&r, k, 2), &ok), rows_time(&r, k, 3),
                                             number(rows_text(&r, k, 4)), number(rows_text(&r, k, 5)), number(rows_text(&r, k, 6))};
        if (o->n_imported++ == 0) o->imported = &lines[k];
    }
    rows_done(&r);
    return ok ? MEROS_OK : no_memory(err);
}

enum meros_code order_events_read(struct store_conn *c, const struct told_order *told, size_t n, struct arena *arena,
                                  struct order_making **out, size_t *out_n, struct meros_err *err)
{
    struct reading x = {.c = c, .arena = arena};
    if (n > 0) {
        TRY(lock_orders(&x, told, n, err));
        TRY(read_events(&x, err));
        TRY(read_imported(&x, err));
    }
    *out = x.orders;
    *out_n = x.n;
    return MEROS_OK;
}

/* --- writing */
struct writing {
    struct store_conn *c;
    struct arena *arena;
    const struct order_making *orders; /* those that are or will be somebody's */
    size_t n, n_lines;
    struct idmap products;
};

static enum meros_code note_products(struct writing *x, const struct sql *s, struct str *ids, size_t *n, struct meros_err *err)
{
    struct rows r;
    size_t left = 0;
    TRY(sql_exec(x->c, s, &r, err, P_TEXTS(ids, *n)));
    for (size_t k = 0; k < r.n; k++) *idmap_get(&x->products, rows_text(&r, k, 0)) = rows_int(&r, k, 1);
    rows_done(&r);
    for (size_t k = 0; k < *n; k++)
        if (*idmap_get(&x->products, ids[k]) == 0) ids[left++] = ids[k];
    *n = left;
    return MEROS_OK;
}

/* The numbers of all products in the lines; new ones are made, sorted, so that writers meet them in one order. */
static enum meros_code number_products(struct writing *x, struct meros_err *err)
{
    struct str *ids = arena_array(x->arena, x->n_lines + 1, sizeof *ids);
    size_t n = 0;
    bool added;
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++)
        for (size_t l = 0; l < x->orders[k].n_lines; l++) {
            struct str id = x->orders[k].lines[l].product_id;
            if (!str_present(id)) continue;
            if (idmap_put(&x->products, id, 0, &added) == NULL) return no_memory(err);
            if (added) ids[n++] = id;
        }
    if (n == 0) return MEROS_OK;
    qsort(ids, n, sizeof *ids, by_bytes);
    TRY(note_products(x, &FIND_PRODUCTS, ids, &n, err));
    if (n > 0) TRY(note_products(x, &MAKE_PRODUCTS, ids, &n, err));
    if (n > 0) TRY(note_products(x, &FIND_PRODUCTS, ids, &n, err)); /* made by another writer meanwhile */
    return n == 0 ? MEROS_OK : err_set(err, MEROS_UNAVAILABLE, "A product was erased while an order with it came in; try again.");
}

static enum meros_code drop_lines(struct writing *x, struct meros_err *err)
{
    int64_t *nos = arena_array(x->arena, x->n, sizeof *nos), *order_nos = arena_array(x->arena, x->n, sizeof *order_nos);
    int64_t *everything = arena_array(x->arena, x->n, sizeof *everything);
    size_t n = 0;
    if (nos == NULL || order_nos == NULL || everything == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++) {
        const struct order_making *o = &x->orders[k];
        if (o->holder_no == 0) continue;
        nos[n] = o->holder_no;
        order_nos[n] = o->order_no;
        everything[n++] = o->replaces;
    }
    return n == 0 ? MEROS_OK : sql_exec(x->c, &DROP_LINES, NULL, err, P_INTS(nos, n), P_INTS(order_nos, n), P_INTS(everything, n));
}

static struct str number_text(struct arena *arena, struct decimal d, bool *ok)
{
    char text[DECIMAL_TEXT];
    if (!d.present) return STR_NONE;
    size_t n = decimal_text(d, text);
    return kept(arena, (struct str){text, n}, ok);
}

static enum meros_code put_lines(struct writing *x, struct meros_err *err)
{
    struct arena *a = x->arena;
    size_t most = x->n_lines, n = 0;
    int64_t *nos = arena_array(a, most, sizeof *nos), *order_nos = arena_array(a, most, sizeof *nos), *keys = arena_array(a, most, sizeof *nos);
    int64_t *products = arena_array(a, most, sizeof *nos), *times = arena_array(a, most, sizeof *nos);
    struct str *quantities = arena_array(a, most, sizeof *quantities), *prices = arena_array(a, most, sizeof *prices);
    struct str *amounts = arena_array(a, most, sizeof *amounts);
    bool ok = nos != NULL && order_nos != NULL && keys != NULL && products != NULL && times != NULL && quantities != NULL &&
              prices != NULL && amounts != NULL;
    for (size_t k = 0; ok && k < x->n; k++)
        for (size_t l = 0; ok && l < x->orders[k].n_lines; l++, n++) {
            const struct order_event_line *line = &x->orders[k].lines[l];
            nos[n] = x->orders[k].owner_no;
            order_nos[n] = x->orders[k].order_no;
            keys[n] = line->line_key;
            products[n] = str_present(line->product_id) ? *idmap_get(&x->products, line->product_id) : 0;
            times[n] = line->ordered_at;
            quantities[n] = number_text(a, line->quantity, &ok);
            prices[n] = number_text(a, line->unit_price, &ok);
            amounts[n] = number_text(a, line->amount, &ok);
        }
    if (!ok) return no_memory(err);
    return sql_exec(x->c, &PUT_LINES, NULL, err, P_INTS(nos, n), P_INTS(order_nos, n), P_INTS(keys, n), P_INTS(products, n),
                    P_TIMES(times, n), P_TEXTS(quantities, n), P_TEXTS(prices, n), P_TEXTS(amounts, n));
}

/* Orders of which nothing is left, or nothing came, are nobody's. */
static enum meros_code settle_ids(struct store_conn *c, const struct order_making *orders, size_t n, struct arena *arena, struct meros_err *err)
{
    struct str *moved = arena_array(arena, n, sizeof *moved), *bare = arena_array(arena, n, sizeof *bare);
    int64_t *owners = arena_array(arena, n, sizeof *owners), *nos = arena_array(arena, n, sizeof *nos);
    size_t n_moved = 0, n_bare = 0;
    if (moved == NULL || bare == NULL || owners == NULL || nos == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) {
        if (orders[k].n_lines == 0) {
            nos[n_bare] = orders[k].holder_no;
            bare[n_bare++] = orders[k].order_id;
        } else {
            owners[n_moved] = orders[k].owner_no;
            moved[n_moved++] = orders[k].order_id;
        }
    }
    if (n_moved > 0) TRY(sql_exec(c, &MOVE_IDS, NULL, err, P_TEXTS(moved, n_moved), P_INTS(owners, n_moved)));
    return n_bare == 0 ? MEROS_OK : sql_exec(c, &DROP_IDS, NULL, err, P_TEXTS(bare, n_bare), P_INTS(nos, n_bare));
}

static enum meros_code write(struct writing *x, struct meros_err *err)
{
    struct order_ref *refs = arena_array(x->arena, x->n, sizeof *refs);
    struct order_changes changes;
    if (refs == NULL) return no_memory(err);
    for (size_t k = 0; k < x->n; k++) {
        const struct order_making *o = &x->orders[k];
        refs[k] = (struct order_ref){.order_no = o->order_no, .order_id = o->order_id, .holder_no = o->holder_no, .owner_no = o->owner_no};
        x->n_lines += o->n_lines;
    }
    TRY(number_products(x, err));
    TRY(order_changes_begin(x->c, x->arena, refs, x->n, &changes, err));
    TRY(drop_lines(x, err));
    if (x->n_lines > 0) TRY(put_lines(x, err));
    return order_changes_end(x->c, &changes, err);
}

enum meros_code order_events_write(struct store_conn *c, struct order_making *orders, size_t n, struct arena *arena, struct meros_err *err)
{
    struct order_making *mine = arena_array(arena, n + 1, sizeof *mine);
    struct writing x = {.c = c, .arena = arena, .orders = mine};
    enum meros_code rc = MEROS_OK;
    if (mine == NULL) return no_memory(err);
    if (n == 0) return MEROS_OK;
    for (size_t k = 0; k < n; k++)
        if (orders[k].owner_no != 0) mine[x.n++] = orders[k];
    idmap_init(&x.products, true);
    if (x.n > 0) rc = write(&x, err);
    idmap_done(&x.products);
    return rc != MEROS_OK ? rc : settle_ids(c, orders, n, arena, err);
}
