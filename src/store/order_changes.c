/* Two entry points over one text: the common table expressions below, which differ only in where their rows come from. */
#include "order_changes_priv.h"

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum meros_code try_rc = (call);                                                                     \
        if (try_rc != MEROS_OK) return try_rc;                                                               \
    } while (0)

/* Makes the rows of orders anew from their lines. ref: struct order_ref as rows. change: what each order takes from its
 * customer and what it brings; `went` where the customer does not keep an order of that kind at that moment. Joins to big
 * tables are lateral look-ups, so that their cost follows ref whatever the planner believes. */
#define CHANGED_ORDERS                                                                                       \
    "old as ("                                                                                               \
    "  select o.* from ref r cross join lateral ("                                                           \
    "    select x.customer_no, x.order_no, x.ordered_at, x.purchase, x.lines, x.units, x.revenue, x.gross_revenue, " \
    "           x.returned_amount "                                                                          \
    "    from orders x where x.customer_no = r.holder_no and x.order_no = r.order_no limit 1) o), "          \
    "new as ("                                                                                               \
    "  select r.owner_no as customer_no, r.order_no, r.order_id, s.* from ref r cross join lateral ("        \
    "    select min(l.ordered_at) as ordered_at, "                                                           \
    "           " IS_PURCHASE " as purchase, "                                                             \
    "           count(*) filter (where l.quantity > 0) as lines, "                                           \
    "           coalesce(sum(l.quantity) filter (where l.quantity > 0), 0) as units, sum(l.amount) as revenue, " \
    "           coalesce(sum(l.amount) filter (where l.amount > 0), 0) as gross_revenue, "                   \
    "           coalesce(-sum(l.amount) filter (where l.amount < 0), 0) as returned_amount "                 \
    "    from order_lines l where l.customer_no = r.owner_no and l.order_no = r.order_no having count(*) > 0) s), " \
    "gone as ("                                                                                              \
    "  delete from orders x using old where x.customer_no = old.customer_no and x.order_no = old.order_no "  \
    "  and not exists (select from new where new.customer_no = old.customer_no and new.order_no = old.order_no)), " \
    "put as ("                                                                                               \
    "  insert into orders (customer_no, order_no, order_id, ordered_at, purchase, lines, units, revenue, gross_revenue, " \
    "                      returned_amount) "                                                                \
    "  select customer_no, order_no, order_id, ordered_at, purchase, lines, units, revenue, gross_revenue, returned_amount " \
    "  from new order by customer_no, order_no "                                                             \
    "  on conflict (customer_no, order_no) do update set ordered_at = excluded.ordered_at, purchase = excluded.purchase, " \
    "    lines = excluded.lines, units = excluded.units, revenue = excluded.revenue, "                       \
    "    gross_revenue = excluded.gross_revenue, returned_amount = excluded.returned_amount), "              \
    "change as ("                                                                                            \
    "  select customer_no, -purchase::int as orders, -(not purchase)::int as returns, -lines as lines, -units as units, " \
    "    -revenue as revenue, -gross_revenue as gross_revenue, -returned_amount as returned_amount, ordered_at, " \
    "    not exists (select from new where (new.customer_no, new.order_no, new.ordered_at, new.purchase) = " \
    "                (old.customer_no, old.order_no, old.ordered_at, old.purchase)) as went from old "       \
    "  union all "                                                                                           \
    "  select customer_no, purchase::int, (not purchase)::int, lines, units, revenue, gross_revenue, returned_amount, " \
    "    ordered_at, false from new) "

/* The pairs in the orders of `ref`, as lines of the customer in its column `who`. */
#define BOUGHT_IN(who, n, ref)                                                                               \
    "select r." who " as customer_no, l.product_no, l.n as lines from " ref " r cross join lateral ("        \
    "  select x.product_no, " n " as n from order_lines x where x.customer_no = r." who " and x.order_no = r.order_no " \
    "  and x.quantity > 0 and x.product_no is not null group by x.product_no) l "

/* Adds the rows of `changes` to customer_stats, the customer's pairs in `bought` (customer_no, products) with them. Times
 * that went are candidates too: they lie within what is stored, so they change nothing, and a row of a customer who only
 * loses has times in it as any other. */
#define ADDED(changes)                                                                                       \
    "insert into customer_stats as s (customer_no, orders, returns, lines, products, units, revenue, gross_revenue, " \
    "  returned_amount, first_order_at, last_order_at, first_any_at, last_any_at) "                          \
    "select d.customer_no, d.orders, d.returns, d.lines, coalesce(b.products, 0), d.units, d.revenue, d.gross_revenue, " \
    "  d.returned_amount, d.first_order_at, d.last_order_at, d.first_any_at, d.last_any_at "                 \
    "from (select customer_no, sum(orders)::bigint as orders, sum(returns)::bigint as returns, "             \
    "        sum(lines)::bigint as lines, sum(units) as units, sum(revenue) as revenue, "                    \
    "        sum(gross_revenue) as gross_revenue, sum(returned_amount) as returned_amount, "                 \
    "        min(ordered_at) filter (where orders <> 0) as first_order_at, "                                 \
    "        max(ordered_at) filter (where orders <> 0) as last_order_at, "                                  \
    "        min(ordered_at) as first_any_at, max(ordered_at) as last_any_at "                               \
    "      from " changes " group by customer_no) d "                                                        \
    "left join bought b using (customer_no) order by d.customer_no "                                         \
    "on conflict (customer_no) do update set orders = s.orders + excluded.orders, returns = s.returns + excluded.returns, " \
    "  lines = s.lines + excluded.lines, products = s.products + excluded.products, units = s.units + excluded.units, " \
    "  revenue = s.revenue + excluded.revenue, gross_revenue = s.gross_revenue + excluded.gross_revenue, "   \
    "  returned_amount = s.returned_amount + excluded.returned_amount, "                                     \
    "  first_order_at = least(s.first_order_at, excluded.first_order_at), "                                  \
    "  last_order_at = greatest(s.last_order_at, excluded.last_order_at), "                                  \
    "  first_any_at = least(s.first_any_at, excluded.first_any_at), "                                        \
    "  last_any_at = greatest(s.last_any_at, excluded.last_any_at)"

/* What the rows of `changes` make of the days of customers. */
#define DAY_OF(at) "(" at " at time zone 'UTC')::date"
#define DAYS(changes)                                                                                        \
    "select customer_no, " DAY_OF("ordered_at") " as day, sum(orders)::bigint as purchases, sum(returns)::bigint as returns, " \
    "  sum(revenue) as net from " changes " group by 1, 2 "                                                  \
    "having (sum(orders), sum(returns), sum(revenue)) is distinct from (0::bigint, 0::bigint, 0::numeric)"

/* After orders went: days and customers without any lose their row; those of whom the first or last went have their times read
 * anew. A statement of its own, after the one that locked the rows of these customers: only so does it see what other
 * transactions that changed them have committed. went: (customer_no, purchase, ordered_at). */
#define FORGET(went)                                                                                         \
    "with went as (select customer_no, purchase, ordered_at from " went "), "                                \
    "empty as (delete from customer_days d using (select distinct customer_no, " DAY_OF("ordered_at") " as day from went) w " \
    "          where d.customer_no = w.customer_no and d.day = w.day and d.purchases + d.returns = 0), "       \
    "none as (delete from customer_stats s using (select distinct customer_no from went) w "                 \
    "         where s.customer_no = w.customer_no and s.orders + s.returns = 0), "                           \
    "ends as materialized ("                                                                                 \
    "  select s.customer_no from customer_stats s join ("                                                    \
    "    select customer_no, min(ordered_at) filter (where purchase) as first_order_at, "                    \
    "      max(ordered_at) filter (where purchase) as last_order_at, min(ordered_at) as first_any_at, "      \
    "      max(ordered_at) as last_any_at from went group by customer_no) w using (customer_no) "            \
    "  where s.orders + s.returns > 0 and (s.first_order_at = w.first_order_at or s.last_order_at = w.last_order_at " \
    "    or s.first_any_at = w.first_any_at or s.last_any_at = w.last_any_at)) "                             \
    "update customer_stats s set first_order_at = o.first_order_at, last_order_at = o.last_order_at, "       \
    "  first_any_at = o.first_any_at, last_any_at = o.last_any_at "                                          \
    "from ends cross join lateral ("                                                                         \
    "  select min(x.ordered_at) filter (where x.purchase) as first_order_at, "                               \
    "    max(x.ordered_at) filter (where x.purchase) as last_order_at, min(x.ordered_at) as first_any_at, "  \
    "    max(x.ordered_at) as last_any_at from orders x where x.customer_no = ends.customer_no) o "          \
    "where s.customer_no = ends.customer_no"

/* --- a handful */
static const struct sql PAIRS = {"order_changes_pairs",
    "with ref as (select * from unnest($1::bigint[], $2::bigint[]) as r (holder_no, order_no)) "
    "select customer_no, product_no, sum(lines)::bigint from (" BOUGHT_IN("holder_no", "count(*)", "ref") ") p group by 1, 2", SQL_ROWS};

/* Gives what may have to be forgotten: orders that went; a row of nulls where a pair vanished. */
static const struct sql CHANGE = {"order_changes_change",
    "with ref as (select * from unnest($1::bigint[], $2::text[], $3::bigint[], $4::bigint[]) as r (order_no, order_id, holder_no, owner_no)), "
    CHANGED_ORDERS ", "
    "pair as ("
    "  select customer_no, product_no, sum(lines)::bigint as lines from ("
    "    select customer_no, product_no, -lines as lines from unnest($5::bigint[], $6::bigint[], $7::bigint[]) as b (customer_no, product_no, lines) "
    "    union all " BOUGHT_IN("owner_no", "count(*)", "ref") ") p "
    "  group by customer_no, product_no having sum(lines) <> 0), "
    "kept as ("
    "  insert into customer_products as p (customer_no, product_no, lines) "
    "  select customer_no, product_no, lines from pair order by customer_no, product_no "
    "  on conflict (customer_no, product_no) do update set lines = p.lines + excluded.lines "
    "  returning customer_no, product_no, lines), "
    "bought as (" /* a pair that was not there has by now what was added; one that is gone has nothing */
    "  select customer_no, count(*) filter (where k.lines = p.lines) - count(*) filter (where k.lines = 0) as products "
    "  from kept k join pair p using (customer_no, product_no) group by customer_no), "
    "added as (" ADDED("change") "), "
    "dated as ("
    "  insert into customer_days as d (customer_no, day, purchases, returns, net) " DAYS("change") " order by 1, 2 "
    "  on conflict (customer_no, day) do update set purchases = d.purchases + excluded.purchases, "
    "    returns = d.returns + excluded.returns, net = d.net + excluded.net) "
    "select customer_no, orders <> 0, ordered_at from change where went "
    "union all (select null::bigint, null::boolean, null::timestamptz from kept where lines = 0 limit 1)", SQL_ROWS};
static const struct sql FORGET_SOME = {"order_changes_forget",
    FORGET("(select customer_no, purchase <> 0 as purchase, ordered_at "
           " from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) as w (customer_no, purchase, ordered_at)) w"), SQL_NOTHING};
static const struct sql FORGET_PAIRS = {"order_changes_forget_pairs",
    "delete from customer_products p using unnest($1::bigint[], $2::bigint[]) as b (customer_no, product_no) "
    "where p.customer_no = b.customer_no and p.product_no = b.product_no and p.lines = 0", SQL_NOTHING};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the orders of a transaction.");
}

enum meros_code order_changes_begin(struct store_conn *c, struct arena *arena, const struct order_ref *refs, size_t n,
                                    struct order_changes *x, struct meros_err *err)
{
    struct rows r;
    *x = (struct order_changes){.arena = arena, .refs = refs, .n = n};
    x->order_nos = arena_array(arena, n + 1, sizeof *x->order_nos);
    x->holder_nos = arena_array(arena, n + 1, sizeof *x->holder_nos);
    x->owner_nos = arena_array(arena, n + 1, sizeof *x->owner_nos);
    x->order_ids = arena_array(arena, n + 1, sizeof *x->order_ids);
    if (x->order_nos == NULL || x->holder_nos == NULL || x->owner_nos == NULL || x->order_ids == NULL) return no_memory(err);
    size_t known = 0;
    for (size_t k = 0; k < n; k++) {
        x->order_nos[k] = refs[k].order_no;
        x->order_ids[k] = refs[k].order_id;
        x->holder_nos[k] = refs[k].holder_no;
        known += refs[k].holder_no != 0;
    }
    if (known == 0) return MEROS_OK;
    TRY(sql_exec(c, &PAIRS, &r, err, P_INTS(x->holder_nos, n), P_INTS(x->order_nos, n)));
    x->n_pairs = r.n;
    x->customers = arena_array(arena, r.n + 1, sizeof *x->customers);
    x->products = arena_array(arena, r.n + 1, sizeof *x->products);
    x->lines = arena_array(arena, r.n + 1, sizeof *x->lines);
    bool ok = x->customers != NULL && x->products != NULL && x->lines != NULL;
    for (size_t k = 0; ok && k < r.n; k++) {
        x->customers[k] = rows_int(&r, k, 0);
        x->products[k] = rows_int(&r, k, 1);
        x->lines[k] = rows_int(&r, k, 2);
    }
    rows_done(&r);
    return ok ? MEROS_OK : no_memory(err);
}

static enum meros_code forget(struct store_conn *c, const struct order_changes *x, const struct rows *went, struct meros_err *err)
{
    int64_t *customers = arena_array(x->arena, went->n, sizeof *customers);
    int64_t *purchase = arena_array(x->arena, went->n, sizeof *purchase);
    int64_t *at = arena_array(x->arena, went->n, sizeof *at);
    size_t n = 0;
    bool vanished = false;
    if (customers == NULL || purchase == NULL || at == NULL) return no_memory(err);
    for (size_t k = 0; k < went->n; k++) {
        if (rows_null(went, k, 0)) {
            vanished = true;
            continue;
        }
        customers[n] = rows_int(went, k, 0);
        purchase[n] = rows_bool(went, k, 1);
        at[n++] = rows_time(went, k, 2);
    }
    if (n > 0) TRY(sql_exec(c, &FORGET_SOME, NULL, err, P_INTS(customers, n), P_INTS(purchase, n), P_TIMES(at, n)));
    if (!vanished) return MEROS_OK;
    return sql_exec(c, &FORGET_PAIRS, NULL, err, P_INTS(x->customers, x->n_pairs), P_INTS(x->products, x->n_pairs));
}

enum meros_code order_changes_end(struct store_conn *c, struct order_changes *x, struct meros_err *err)
{
    struct rows went;
    if (x->n == 0) return MEROS_OK;
    for (size_t k = 0; k < x->n; k++) x->owner_nos[k] = x->refs[k].owner_no;
    TRY(sql_exec(c, &CHANGE, &went, err, P_INTS(x->order_nos, x->n), P_TEXTS(x->order_ids, x->n), P_INTS(x->holder_nos, x->n),
                 P_INTS(x->owner_nos, x->n), P_INTS(x->customers, x->n_pairs), P_INTS(x->products, x->n_pairs),
                 P_INTS(x->lines, x->n_pairs)));
    enum meros_code rc = went.n > 0 ? forget(c, x, &went, err) : MEROS_OK;
    rows_done(&went);
    return rc;
}

/* --- two customers who are one */
static const struct sql JOIN_PAIRS = {"order_stats_join_pairs",
    "with moved as (delete from customer_products where customer_no = $1 returning product_no, lines), "
    "kept as (insert into customer_products as p (customer_no, product_no, lines) "
    "         select $2, product_no, lines from moved order by product_no "
    "         on conflict (customer_no, product_no) do update set lines = p.lines + excluded.lines returning product_no, lines) "
    "select count(*) from kept k join moved m using (product_no) where k.lines > m.lines", SQL_ROW};
static const struct sql JOIN_STATS = {"order_stats_join",
    "with moved as (delete from customer_stats where customer_no = $1 returning *) "
    "insert into customer_stats as s (customer_no, orders, returns, lines, products, units, revenue, gross_revenue, "
    "  returned_amount, first_order_at, last_order_at, first_any_at, last_any_at) "
    "select $2, orders, returns, lines, products - $3, units, revenue, gross_revenue, "
    "  returned_amount, first_order_at, last_order_at, first_any_at, last_any_at from moved "
    "on conflict (customer_no) do update set orders = s.orders + excluded.orders, returns = s.returns + excluded.returns, "
    "  lines = s.lines + excluded.lines, products = s.products + excluded.products, units = s.units + excluded.units, "
    "  revenue = s.revenue + excluded.revenue, gross_revenue = s.gross_revenue + excluded.gross_revenue, "
    "  returned_amount = s.returned_amount + excluded.returned_amount, "
    "  first_order_at = least(s.first_order_at, excluded.first_order_at), "
    "  last_order_at = greatest(s.last_order_at, excluded.last_order_at), "
    "  first_any_at = least(s.first_any_at, excluded.first_any_at), "
    "  last_any_at = greatest(s.last_any_at, excluded.last_any_at)", SQL_NOTHING};

static const struct sql JOIN_DAYS = {"order_stats_join_days",
    "with moved as (delete from customer_days where customer_no = $1 returning *) "
    "insert into customer_days as d (customer_no, day, purchases, returns, net) "
    "select $2, day, purchases, returns, net from moved order by day "
    "on conflict (customer_no, day) do update set purchases = d.purchases + excluded.purchases, "
    "  returns = d.returns + excluded.returns, net = d.net + excluded.net", SQL_NOTHING};

enum meros_code order_stats_join(struct store_conn *c, int64_t from, int64_t into, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &JOIN_PAIRS, &r, err, P_INT(from), P_INT(into)));
    int64_t both = rows_int(&r, 0, 0); /* products that both had bought count once */
    rows_done(&r);
    TRY(sql_exec(c, &JOIN_STATS, NULL, err, P_INT(from), P_INT(into), P_INT(both)));
    return sql_exec(c, &JOIN_DAYS, NULL, err, P_INT(from), P_INT(into));
}

/* --- the million */
static const struct sql MAKE_REFS = {"bulk_changes_make_refs",
    "create temp table if not exists changed_orders (order_no bigint, order_id text, holder_no bigint, owner_no bigint) "
    "on commit delete rows", SQL_NOTHING};
static const struct sql MAKE_ORDERS = {"bulk_changes_make_orders",
    "create temp table if not exists order_changes (customer_no bigint, orders integer, returns integer, lines bigint, "
    "units numeric, revenue numeric, gross_revenue numeric, returned_amount numeric, ordered_at timestamptz, went boolean) "
    "on commit delete rows", SQL_NOTHING};
static const struct sql MAKE_PAIRS = {"bulk_changes_make_pairs",
    "create temp table if not exists pair_changes (customer_no bigint, product_no bigint, lines integer) on commit delete rows",
    SQL_NOTHING};
static const struct sql ANALYZE_REFS = {"bulk_changes_analyze_refs", "analyze changed_orders", SQL_NOTHING};
static const struct sql NOTE_OLD_PAIRS = {"bulk_changes_old_pairs",
    "insert into pair_changes (" PAIR_CHANGES_COLUMNS ") " BOUGHT_IN("holder_no", "-count(*)::integer", "changed_orders"), SQL_NOTHING};
static const struct sql NOTE_NEW_PAIRS = {"bulk_changes_new_pairs",
    "insert into pair_changes (" PAIR_CHANGES_COLUMNS ") " BOUGHT_IN("owner_no", "count(*)::integer", "changed_orders"), SQL_NOTHING};
static const struct sql NOTE_ORDERS = {"bulk_changes_orders",
    "with ref as (select order_no, order_id, holder_no, owner_no from changed_orders), " CHANGED_ORDERS
    "insert into order_changes (" ORDER_CHANGES_COLUMNS ") select " ORDER_CHANGES_COLUMNS " from change", SQL_NOTHING};
/* Nobody else writes meanwhile: what there is of a pair is looked up first, in the order of the key, so that new pairs need
 * no arbitration (which costs more than twice as much), and each pair is inserted, updated or deleted at once. */
static const struct sql APPLY = {"bulk_changes_apply",
    "with pair as materialized ("
    "  select customer_no, product_no, d.lines, p.lines as had from ("
    "    select customer_no, product_no, sum(lines) as lines from pair_changes "
    "    group by customer_no, product_no having sum(lines) <> 0 order by customer_no, product_no) d left join lateral ("
    "    select x.lines from customer_products x where x.customer_no = d.customer_no and x.product_no = d.product_no limit 1) p on true), "
    "made as ("
    "  insert into customer_products (customer_no, product_no, lines) "
    "  select customer_no, product_no, lines from pair where had is null order by customer_no, product_no), "
    "moved as ("
    "  update customer_products p set lines = d.had + d.lines from pair d "
    "  where d.had + d.lines <> 0 and p.customer_no = d.customer_no and p.product_no = d.product_no), "
    "vanished as ("
    "  delete from customer_products p using pair d "
    "  where d.had + d.lines = 0 and p.customer_no = d.customer_no and p.product_no = d.product_no), "
    "bought as ("
    "  select customer_no, count(*) filter (where had is null) - count(*) filter (where had + lines = 0) as products "
    "  from pair group by customer_no) "
    ADDED("order_changes"), SQL_NOTHING};
static const struct sql APPLY_DAYS = {"bulk_changes_apply_days",
    "with today as materialized ("
    "  select c.customer_no, c.day, c.purchases, c.returns, c.net, d.known is not null as known "
    "  from (" DAYS("order_changes") ") c left join lateral ("
    "    select true as known from customer_days x where x.customer_no = c.customer_no and x.day = c.day limit 1) d on true), "
    "made as ("
    "  insert into customer_days (customer_no, day, purchases, returns, net) "
    "  select customer_no, day, purchases, returns, net from today where not known order by customer_no, day) "
    "update customer_days d set purchases = d.purchases + c.purchases, returns = d.returns + c.returns, net = d.net + c.net "
    "from today c where c.known and d.customer_no = c.customer_no and d.day = c.day", SQL_NOTHING};
static const struct sql FORGET_ALL = {"bulk_changes_forget",
    FORGET("(select customer_no, orders <> 0 as purchase, ordered_at from order_changes where went) w"), SQL_NOTHING};

enum meros_code bulk_changes_prepare(struct store_conn *c, struct meros_err *err)
{
    TRY(sql_exec0(c, &MAKE_REFS, NULL, err));
    TRY(sql_exec0(c, &MAKE_ORDERS, NULL, err));
    return sql_exec0(c, &MAKE_PAIRS, NULL, err);
}

enum meros_code bulk_changes_before(struct store_conn *c, struct meros_err *err)
{
    TRY(sql_exec0(c, &ANALYZE_REFS, NULL, err));
    return sql_exec0(c, &NOTE_OLD_PAIRS, NULL, err);
}

enum meros_code bulk_changes_after(struct store_conn *c, struct meros_err *err)
{
    TRY(sql_exec0(c, &NOTE_NEW_PAIRS, NULL, err));
    return sql_exec0(c, &NOTE_ORDERS, NULL, err);
}

enum meros_code bulk_changes_apply(struct store_conn *c, struct meros_err *err)
{
    TRY(sql_exec0(c, &APPLY, NULL, err));
    TRY(sql_exec0(c, &APPLY_DAYS, NULL, err));
    return sql_exec0(c, &FORGET_ALL, NULL, err);
}
