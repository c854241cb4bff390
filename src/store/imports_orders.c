/* Order lines into the tables.
 *
 * A batch is grouped by order. An order that nobody knows yet, whose lines have one customer and nothing odd about them,
 * is written straight into orders and order_lines, the batch sorted by primary key: COPY into the target is what makes an
 * import fast (imports_orders_copy.c). Everything else (an order that exists, lines scattered over the file, rejected rows
 * between, several customers, equal line_ids) goes to the staging table with the place of each row in the file, and is
 * merged set-wise at the end:
 * A rejected row keeps its place even where nothing else is known of its order yet: how many came so is noted in a table
 * of its own (order_gaps), and the order's first good batch begins behind them.
 *   1. each staged row gets its identity: line_id, or its position among the order's rows in this file;
 *   2. it is compared with the row before it of the same identity in the file, else with the stored line: inserted,
 *      updated or duplicate, as if the rows had come one by one;
 *   3. orders whose last row names another customer move to that customer with all of their lines;
 *   4. lines are upserted, lines that events had made of these orders give way, the orders' sums made anew from the lines, and what changed in them noted.
 * At the end the statistics of customers are moved by all that was noted (order_changes_priv.h).
 * Joins to big tables are written as lateral look-ups: however stale the planner's statistics are, the cost follows the
 * rows of the import, not the table. */
#include <stdlib.h>
#include "imports_orders_priv.h"
#include "meros/base/crypto.h"
#include "order_changes_priv.h"

/* --- SQL */
static const struct sql MAKE_STAGE = {"orders_make_stage",
    "create temp table if not exists order_stage (seq bigint, order_id text, order_no bigint, fresh boolean, "
    "holder_no bigint, customer_no bigint, line_key bigint, line_id text, product_no bigint, ordered_at timestamptz, "
    "quantity numeric, unit_price numeric, amount numeric, rejected boolean) on commit delete rows", SQL_NOTHING};
static const struct sql MAKE_MERGE = {"orders_make_merge",
    "create temp table if not exists order_merge (order_id text, order_no bigint, holder_no bigint, owner_no bigint, "
    "line_key bigint, line_id text, product_no bigint, ordered_at timestamptz, quantity numeric, unit_price numeric, "
    "amount numeric, outcome smallint, apply boolean) on commit delete rows", SQL_NOTHING};
static const struct sql MAKE_GAPS = {"orders_make_gaps",
    "create temp table if not exists order_gaps (order_id text collate \"C\", n bigint) on commit delete rows", SQL_NOTHING};
static const struct sql INDEX_GAPS = {"orders_index_gaps",
    "create index if not exists order_gaps_order on order_gaps (order_id)", SQL_NOTHING};
static const struct sql COPY_GAPS = {"orders_copy_gaps", "copy order_gaps (order_id, n) from stdin (format binary)", SQL_NOTHING};
static const struct sql FIND_GAPS = {"orders_find_gaps",
    "select order_id, sum(n)::bigint from order_gaps where order_id = any($1) group by order_id", SQL_ROWS};
static const struct sql FIND_ORDERS = {"orders_find",
    "select order_id, order_no, customer_no, xmin = pg_current_xact_id()::xid from order_ids where order_id = any($1)", SQL_ROWS};
static const struct sql NUMBERS = {"orders_numbers", "select nextval('order_nos') from generate_series(1, $1)", SQL_ROWS};
static const struct sql COPY_IDS = {"orders_copy_ids",
    "copy order_ids (order_id, order_no, customer_no) from stdin (format binary)", SQL_NOTHING};
static const struct sql ANALYZE_STAGE = {"orders_analyze_stage", "analyze order_stage", SQL_NOTHING};
static const struct sql ANALYZE_MERGE = {"orders_analyze_merge", "analyze order_merge", SQL_NOTHING};

static const struct sql MERGE = {"orders_merge",
    "with written as (" /* lines that this import wrote straight: positions taken in this file */
    "  select o.order_no, n.n from (select distinct order_no, holder_no from order_stage where fresh) o "
    "  cross join lateral (select count(*) as n from order_lines l "
    "                      where l.customer_no = o.holder_no and l.order_no = o.order_no) n), "
    "placed as ("
    "  select s.*, coalesce(s.line_key, coalesce(w.n, 0) + row_number() over (partition by s.order_no order by s.seq)) as key "
    "  from order_stage s left join written w using (order_no)), "
    "owner as ("
    "  select distinct on (order_no) order_no, customer_no as owner_no from order_stage where not rejected "
    "  order by order_no, seq desc), "
    "chained as ("
    "  select p.*, o.owner_no, lag(p.seq) over one is not null as repeated, lead(p.seq) over one is null as final, "
    "         lag(p.customer_no) over one as was_customer, lag(p.product_no) over one as was_product, "
    "         lag(p.ordered_at) over one as was_at, lag(p.quantity) over one as was_quantity, "
    "         lag(p.unit_price) over one as was_price, lag(p.amount) over one as was_amount "
    "  from placed p join owner o using (order_no) where not p.rejected "
    "  window one as (partition by p.order_no, p.key order by p.seq)) "
    "insert into order_merge (order_id, order_no, holder_no, owner_no, line_key, line_id, product_no, ordered_at, quantity, "
    "                         unit_price, amount, outcome, apply) "
    "select order_id, order_no, holder_no, owner_no, key, line_id, product_no, ordered_at, quantity, unit_price, amount, "
    "       case when owner_no = holder_no and last_value(coalesce(same, false)) over ends then 0 " /* ends as it was */
    "            when not repeated and same is null then 1 "
    "            when repeated and (customer_no, product_no, ordered_at, quantity, unit_price, amount) "
    "                 is not distinct from (was_customer, was_product, was_at, was_quantity, was_price, was_amount) then 0 "
    "            when not repeated and customer_no = holder_no and same then 0 "
    "            else 2 end, "
    "       final and not coalesce(same, false) "
    "from chained c left join lateral ("
    "  select (l.product_no, l.ordered_at, l.quantity, l.unit_price, l.amount) "
    "         is not distinct from (c.product_no, c.ordered_at, c.quantity, c.unit_price, c.amount) as same "
    "  from order_lines l where l.customer_no = c.holder_no and l.order_no = c.order_no and l.line_key = c.key limit 1) e on true "
    "window ends as (partition by order_no, key order by seq rows between unbounded preceding and unbounded following)",
    SQL_NOTHING};
static const struct sql COUNT = {"orders_count",
    "select count(*) filter (where outcome = 1), count(*) filter (where outcome = 2), count(*) filter (where outcome = 0) "
    "from order_merge", SQL_ROW};
static const struct sql CHANGED = {"orders_changed",
    "insert into changed_orders (order_no, order_id, holder_no, owner_no) "
    "select distinct order_no, order_id, holder_no, owner_no from order_merge where outcome <> 0", SQL_NOTHING};
static const struct sql MOVE_LINES = {"orders_move_lines",
    "update order_lines l set customer_no = m.owner_no from changed_orders m "
    "where m.owner_no <> m.holder_no and l.customer_no = m.holder_no and l.order_no = m.order_no", SQL_NOTHING};
static const struct sql MOVE_IDS = {"orders_move_ids",
    "update order_ids i set customer_no = m.owner_no from changed_orders m "
    "where m.owner_no <> m.holder_no and i.order_id = m.order_id", SQL_NOTHING};
static const struct sql UPSERT_LINES = {"orders_upsert_lines",
    "insert into order_lines (customer_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount, line_id) "
    "select owner_no, order_no, line_key, product_no, ordered_at, quantity, unit_price, amount, line_id "
    "from order_merge where apply order by owner_no, order_no, line_key "
    "on conflict (customer_no, order_no, line_key) do update set product_no = excluded.product_no, "
    "ordered_at = excluded.ordered_at, quantity = excluded.quantity, unit_price = excluded.unit_price, "
    "amount = excluded.amount, line_id = excluded.line_id, from_events = false", SQL_NOTHING};
/* Whoever spoke last of an order holds: where the file changes anything of it, what events had made of it is either in the
 * file too, and then the file's, or gone. */
static const struct sql TAKE_LINES = {"orders_take_lines",
    "update order_lines l set from_events = false from order_merge m where m.outcome = 0 and l.customer_no = m.owner_no "
    "and l.order_no = m.order_no and l.line_key = m.line_key and l.from_events "
    "and exists (select from changed_orders o where o.order_no = m.order_no)", SQL_NOTHING};
static const struct sql DROP_TOLD_LINES = {"orders_drop_told_lines",
    "delete from order_lines l using changed_orders m where l.customer_no = m.owner_no and l.order_no = m.order_no "
    "and l.from_events", SQL_NOTHING};
static const struct sql GATHER = {"orders_gather_changed",
    "insert into import_changed select customer_no from order_changes union select customer_no from pair_changes "
    "union select holder_no from changed_orders union select owner_no from changed_orders", SQL_NOTHING}; /* also of whom no sum is another */

enum meros_code import_orders_prepare(struct store_import *i, struct meros_err *err)
{
    TRY(sql_exec0(i->c, &MAKE_STAGE, NULL, err));
    TRY(sql_exec0(i->c, &MAKE_MERGE, NULL, err));
    TRY(bulk_changes_prepare(i->c, err));
    TRY(sql_exec0(i->c, &MAKE_GAPS, NULL, err));
    TRY(sql_exec0(i->c, &INDEX_GAPS, NULL, err));
    return MEROS_OK;
}

/* --- a batch */
static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of order lines.");
}

/* The key of a line_id: 63 bits of a hash, below zero so that it never meets a position. */
static int64_t line_key_of(struct str line_id)
{
    struct crypto_hash128 h = crypto_hash128(line_id.p, line_id.n);
    uint64_t v;
    memcpy(&v, h.bytes, sizeof v);
    return (int64_t)(v | 1ull << 63);
}

static enum meros_code group_rows(struct order_batch *b, const struct order_row *rows, struct meros_err *err)
{
    size_t g = SIZE_MAX;
    bool added;
    for (size_t k = 0; k < b->n; k++) {
        const struct order_row *r = &rows[k];
        if (g == SIZE_MAX || !str_eq(b->groups[g].order_id, r->order_id)) {
            int64_t *at = idmap_put(&b->by_id, r->order_id, (int64_t)b->n_groups, &added);
            if (at == NULL) return no_memory(err);
            g = (size_t)*at;
            if (added) b->groups[b->n_groups++] = (struct order_group){.order_id = r->order_id, .first = k, .last = k};
        }
        struct order_group *group = &b->groups[g];
        b->lines[k] = (struct batch_line){.row = r, .next = SIZE_MAX, .group = g};
        if (group->rows++ > 0) b->lines[group->last].next = k;
        group->last = k;
        group->good += !r->rejected;
        if (str_present(r->line_id)) b->lines[k].line_key = line_key_of(r->line_id);
    }
    return MEROS_OK;
}

/* Numbers of the customers and products of all rows. */
static enum meros_code number_rows(struct order_batch *b, struct meros_err *err)
{
    struct store_import *i = b->i;
    struct str *ids = arena_array(&i->batch, b->n, sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < b->n; k++) ids[k] = b->lines[k].row->customer_id;
    TRY(import_resolve(i, &i->customers, ids, b->n, err));
    for (size_t k = 0; k < b->n; k++) ids[k] = b->lines[k].row->product_id;
    TRY(import_resolve(i, &i->products, ids, b->n, err));
    for (size_t k = 0; k < b->n; k++) {
        struct batch_line *l = &b->lines[k];
        if (l->row->rejected) continue;
        bool same = k > 0 && str_eq(l->row->customer_id, l[-1].row->customer_id);
        l->customer_no = same ? l[-1].customer_no : *idmap_get(&i->customers, l->row->customer_id);
        if (str_present(l->row->product_id)) l->product_no = *idmap_get(&i->products, l->row->product_id);
    }
    return MEROS_OK;
}

/* Finds the orders that exist. */
static enum meros_code find_orders(struct order_batch *b, struct meros_err *err)
{
    struct str *ids = arena_array(&b->i->batch, b->n_groups, sizeof *ids);
    struct rows r;
    if (ids == NULL) return no_memory(err);
    for (size_t g = 0; g < b->n_groups; g++) ids[g] = b->groups[g].order_id;
    TRY(sql_exec(b->i->c, &FIND_ORDERS, &r, err, P_TEXTS(ids, b->n_groups)));
    for (size_t k = 0; k < r.n; k++) {
        int64_t *at = idmap_get(&b->by_id, rows_text(&r, k, 0));
        if (at == NULL) continue;
        struct order_group *g = &b->groups[*at];
        g->known = true;
        g->order_no = rows_int(&r, k, 1);
        g->holder_no = rows_int(&r, k, 2);
        g->fresh = rows_bool(&r, k, 3);
    }
    rows_done(&r);
    return MEROS_OK;
}

/* Notes the places of rejected rows of orders that nothing else is known of, and finds those noted before. */
static enum meros_code find_gaps(struct order_batch *b, struct meros_err *err)
{
    struct str *ids = arena_array(&b->i->batch, b->n_groups, sizeof *ids);
    struct copy_in k;
    struct rows r;
    size_t found = 0, none = 0;
    int64_t written;
    if (ids == NULL) return no_memory(err);
    for (size_t g = 0; g < b->n_groups; g++) {
        if (b->groups[g].known) continue;
        if (b->groups[g].good > 0) ids[found++] = b->groups[g].order_id;
        else none++;
    }
    if (found > 0 && b->i->gaps > 0) {
        TRY(sql_exec(b->i->c, &FIND_GAPS, &r, err, P_TEXTS(ids, found)));
        for (size_t j = 0; j < r.n; j++) {
            int64_t *at = idmap_get(&b->by_id, rows_text(&r, j, 0));
            if (at != NULL) b->groups[*at].gap = rows_int(&r, j, 1);
        }
        rows_done(&r);
    }
    if (none == 0) return MEROS_OK;
    TRY(copy_in_begin(&k, b->i->c, &COPY_GAPS, err));
    for (size_t g = 0; g < b->n_groups; g++) {
        const struct order_group *group = &b->groups[g];
        if (group->known || group->good > 0) continue;
        enum meros_code rc = copy_in_row(&k, 2, err);
        if (rc != MEROS_OK) {
            copy_in_abort(&k);
            return rc;
        }
        copy_in_text(&k, group->order_id);
        copy_in_int8(&k, (int64_t)group->rows);
    }
    TRY(copy_in_end(&k, &written, err));
    b->i->gaps += written;
    return MEROS_OK;
}

/* Whether the lines of a new order can be written as they stand. */
static bool straight(const struct order_batch *b, const struct order_group *g)
{
    if (g->known || g->gap > 0 || g->good != g->rows) return false;
    for (size_t k = g->first; k != SIZE_MAX; k = b->lines[k].next) {
        const struct batch_line *l = &b->lines[k];
        if (l->customer_no != g->holder_no) return false;
        if (l->line_key == 0) continue;
        if (g->rows > 1000) return false; /* looking for equal line_ids pair by pair would take too long */
        for (size_t j = g->first; j != k; j = b->lines[j].next)
            if (b->lines[j].line_key == l->line_key) return false;
    }
    return true;
}

/* Makes the orders that are new and have a good row, and decides which way each group goes. */
static enum meros_code make_orders(struct order_batch *b, struct meros_err *err)
{
    struct copy_in k;
    struct rows numbers;
    int64_t made;
    size_t n = 0, next = 0;
    for (size_t g = 0; g < b->n_groups; g++) n += !b->groups[g].known && b->groups[g].good > 0;
    if (n > 0) {
        TRY(sql_exec(b->i->c, &NUMBERS, &numbers, err, P_INT((int64_t)n)));
        for (size_t g = 0; g < b->n_groups; g++) {
            struct order_group *group = &b->groups[g];
            if (group->known || group->good == 0) continue;
            size_t at = group->first;
            while (b->lines[at].row->rejected) at = b->lines[at].next;
            group->holder_no = b->lines[at].customer_no;
            group->order_no = rows_int(&numbers, next++, 0);
        }
        rows_done(&numbers);
        TRY(copy_in_begin(&k, b->i->c, &COPY_IDS, err));
        for (size_t g = 0; g < b->n_groups; g++) {
            const struct order_group *group = &b->groups[g];
            if (group->known || group->good == 0) continue;
            enum meros_code rc = copy_in_row(&k, 3, err);
            if (rc != MEROS_OK) {
                copy_in_abort(&k);
                return rc;
            }
            copy_in_text(&k, group->order_id);
            copy_in_int8(&k, group->order_no);
            copy_in_int8(&k, group->holder_no);
        }
        TRY(copy_in_end(&k, &made, err));
    }
    for (size_t g = 0; g < b->n_groups; g++) {
        struct order_group *group = &b->groups[g];
        group->staged = !straight(b, group);
        if (!group->known && group->good > 0) group->fresh = true;
    }
    return MEROS_OK;
}

enum meros_code import_orders(struct store_import *i, const struct order_row *rows, size_t n, struct meros_err *err)
{
    struct order_batch b = {.i = i, .n = n};
    enum meros_code rc = MEROS_OK;
    if (n == 0) return MEROS_OK;
    idmap_init(&b.by_id, true);
    b.lines = arena_array(&i->batch, n, sizeof *b.lines);
    b.groups = arena_array(&i->batch, n, sizeof *b.groups);
    if (b.lines == NULL || b.groups == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) rc = group_rows(&b, rows, err);
    if (rc == MEROS_OK) rc = number_rows(&b, err);
    if (rc == MEROS_OK) rc = find_orders(&b, err);
    if (rc == MEROS_OK) rc = find_gaps(&b, err);
    if (rc == MEROS_OK) rc = make_orders(&b, err);
    if (rc == MEROS_OK) rc = order_batch_straight(&b, err);
    if (rc == MEROS_OK) rc = order_batch_stage(&b, err);
    i->sequence += (int64_t)n;
    idmap_done(&b.by_id);
    arena_done(&i->batch);
    return rc;
}

static enum meros_code merge_lines(struct store_conn *c, struct meros_err *err)
{
    TRY(sql_exec0(c, &CHANGED, NULL, err));
    TRY(bulk_changes_before(c, err));
    TRY(sql_exec0(c, &MOVE_LINES, NULL, err));
    TRY(sql_exec0(c, &MOVE_IDS, NULL, err));
    TRY(sql_exec0(c, &UPSERT_LINES, NULL, err));
    TRY(sql_exec0(c, &TAKE_LINES, NULL, err));
    TRY(sql_exec0(c, &DROP_TOLD_LINES, NULL, err));
    return bulk_changes_after(c, err);
}

enum meros_code import_orders_finish(struct store_import *i, struct meros_err *err)
{
    struct rows r;
    if (i->staged > 0) {
        TRY(sql_exec0(i->c, &ANALYZE_STAGE, NULL, err));
        TRY(sql_exec0(i->c, &MERGE, NULL, err));
        TRY(sql_exec0(i->c, &ANALYZE_MERGE, NULL, err));
        TRY(sql_exec0(i->c, &COUNT, &r, err));
        int64_t inserted = rows_int(&r, 0, 0), updated = rows_int(&r, 0, 1);
        i->counts.inserted += inserted;
        i->counts.updated += updated;
        i->counts.duplicates += rows_int(&r, 0, 2);
        rows_done(&r);
        if (inserted + updated > 0) {
            TRY(merge_lines(i->c, err));
            i->noted = true;
        }
    }
    if (!i->noted) return MEROS_OK; /* not even looked at: a transaction that used no temporary table has none to empty */
    TRY(bulk_changes_apply(i->c, err));
    return sql_exec0(i->c, &GATHER, NULL, err);
}
