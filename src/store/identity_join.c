/* Everything that is kept of one customer moves to another, for several pairs at once. Sums of the two are added up;
 * where both hold the same event, one stays and the activity of the survivor is made anew from its events. */
#include "identity_priv.h"

#include <stdlib.h>
#include "imports_priv.h"
#include "meros/base/clock.h"
#include "meros/store/segment_changes.h"
#include "meros/store/stats.h"
#include "order_changes_priv.h"

#define PAIRS "unnest($1::bigint[], $2::bigint[]) as j (from_no, into_no)"

/* Pairs are few and the tables may be large and, to the planner, unknown: each step is to go from the pair along the key.
 * Statements are planned when a connection first runs them; what was set before is set again at the end. */
static const struct sql PLANS = {"join_plans",
    "select current_setting('enable_seqscan'), current_setting('enable_hashjoin'), current_setting('enable_mergejoin')", SQL_ROW};
static const struct sql SET_PLANS = {"join_set_plans",
    "select set_config('enable_seqscan', $1, true), set_config('enable_hashjoin', $2, true), "
    "  set_config('enable_mergejoin', $3, true)", SQL_ROW};

static const struct sql LOCK = {"join_lock",
    "select customer_no from customers where customer_no = any($1) order by customer_no for update", SQL_ROWS};
static const struct sql ORDERS_TOLD = {"join_orders_told",
    "select distinct j.into_no, e.properties ->> 'order_id' from " PAIRS " join events e on e.customer_no = j.from_no "
    "where e.type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled') "
    "and octet_length(e.properties ->> 'order_id') between 1 and 200", SQL_ROWS};

static const struct sql DROP_TWINS = {"join_drop_twins",
    "with gone as (delete from events e using " PAIRS ", events k "
    "  where e.customer_no = j.from_no and k.customer_no = j.into_no and k.event_key = e.event_key returning j.into_no) "
    "select distinct into_no from gone", SQL_ROWS};
static const struct sql MOVE_EVENTS = {"join_move_events",
    "update events e set customer_no = j.into_no from " PAIRS " where e.customer_no = j.from_no", SQL_NOTHING};
/* Two sums of decayed activity add up at the later of their moments. */
static const struct sql ADD_ACTIVITY = {"join_add_activity",
    "insert into customer_event_stats as s (customer_no, kind, count, decayed, decayed_at, first_at) "
    "select j.into_no, f.kind, f.count, f.decayed, f.decayed_at, f.first_at "
    "from " PAIRS " join customer_event_stats f on f.customer_no = j.from_no order by 1, 2 "
    "on conflict (customer_no, kind) do update set count = s.count + excluded.count, "
    "  decayed = s.decayed * power(2::float8, -least(greatest(date_part('epoch', excluded.decayed_at - s.decayed_at), 0) / 86400 / $3::float8, 1000)) "
    "    + excluded.decayed * power(2::float8, -least(greatest(date_part('epoch', s.decayed_at - excluded.decayed_at), 0) / 86400 / $3::float8, 1000)), "
    "  decayed_at = greatest(s.decayed_at, excluded.decayed_at), first_at = least(s.first_at, excluded.first_at)", SQL_NOTHING};
static const struct sql DROP_ACTIVITY = {"join_drop_activity",
    "delete from customer_event_stats where customer_no = any($1)", SQL_NOTHING};
static const struct sql COUNT_ACTIVITY = {"join_count_activity",
    "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at) "
    "select t.customer_no, k.* from unnest($1::bigint[]) as t (customer_no) cross join lateral ("
    "  select kind, count(*), sum(power(2::float8, -least(date_part('epoch', newest - occurred_at) / 86400 / $2::float8, 1000))), "
    "    newest, min(occurred_at) "
    "  from (select kind, occurred_at, max(occurred_at) over (partition by kind) as newest from events v "
    "        where v.customer_no = t.customer_no) e group by kind, newest) k", SQL_NOTHING};

static const struct sql MOVE_ORDER_IDS = {"join_move_order_ids",
    "update order_ids i set customer_no = j.into_no from " PAIRS ", orders o "
    "where o.customer_no = j.from_no and i.order_id = o.order_id", SQL_NOTHING};
static const struct sql MOVE_LINES = {"join_move_lines",
    "update order_lines l set customer_no = j.into_no from " PAIRS " where l.customer_no = j.from_no", SQL_NOTHING};
static const struct sql MOVE_ORDERS = {"join_move_orders",
    "update orders o set customer_no = j.into_no from " PAIRS " where o.customer_no = j.from_no", SQL_NOTHING};

static const struct sql DROP_TWIN_OUTCOMES = {"join_drop_twin_outcomes",
    "delete from outcomes o using " PAIRS ", outcomes k "
    "where o.customer_no = j.from_no and k.customer_no = j.into_no and k.outcome_key = o.outcome_key", SQL_NOTHING};
static const struct sql MOVE_OUTCOMES = {"join_move_outcomes",
    "update outcomes o set customer_no = j.into_no from " PAIRS " where o.customer_no = j.from_no", SQL_NOTHING};
/* The survivor's hold, the other's fill the gaps; what either denied is denied. */
static const struct sql FILL = {"join_fill",
    "update customers i set created_at = coalesce(i.created_at, f.created_at), attributes = f.attributes || i.attributes, "
    "  consent = f.consent || i.consent || (select coalesce(jsonb_object_agg(d.key, d.value), '{}') from "
    "    (select * from jsonb_each(f.consent) union all select * from jsonb_each(i.consent)) d where d.value = 'false'), "
    "  email = coalesce(i.email, f.email), email_hash = coalesce(i.email_hash, f.email_hash), "
    "  name = coalesce(i.name, f.name), name_hash = coalesce(i.name_hash, f.name_hash), "
    "  phone = coalesce(i.phone, f.phone), phone_hash = coalesce(i.phone_hash, f.phone_hash), "
    "  recorded_at = least(i.recorded_at, f.recorded_at), changed_at = now() "
    "from " PAIRS ", customers f where i.customer_no = j.into_no and f.customer_no = j.from_no", SQL_NOTHING};
static const struct sql MOVE_IDS = {"join_move_ids",
    "update customer_ids i set customer_no = j.into_no from " PAIRS " where i.customer_no = j.from_no", SQL_NOTHING};
/* The survivor's is computed anew: its statistics changed. */
static const struct sql DROP_CLV = {"join_drop_clv", "delete from customer_clv where customer_no = any($1)", SQL_NOTHING};
static const struct sql DROP_CUSTOMERS = {"join_drop_customers", "delete from customers where customer_no = any($1)", SQL_NOTHING};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for joining customers.");
}

/* A round: each survivor once. */
struct round {
    struct store_conn *c;
    const int64_t *from, *into;
    size_t n;
    double half_life_days;
};

static enum meros_code lock(const struct round *x, struct arena *memory, struct meros_err *err)
{
    int64_t *nos = arena_array(memory, 2 * x->n, sizeof *nos);
    struct rows r;
    if (nos == NULL) return no_memory(err);
    memcpy(nos, x->from, x->n * sizeof *nos);
    memcpy(nos + x->n, x->into, x->n * sizeof *nos);
    TRY(sql_exec(x->c, &LOCK, &r, err, P_INTS(nos, 2 * x->n)));
    bool all = r.n == 2 * x->n;
    rows_done(&r);
    return all ? MEROS_OK : err_set(err, MEROS_UNAVAILABLE, "A customer who is to be joined is being erased; try again.");
}

/* The orders that events of the moved customers speak of, added to out->orders. */
static enum meros_code list_orders(const struct round *x, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = MEROS_OK;
    TRY(sql_exec(x->c, &ORDERS_TOLD, &r, err, P_INTS(x->from, x->n), P_INTS(x->into, x->n)));
    if (r.n > 0) {
        struct told_order *orders = arena_array(memory, out->n_orders + r.n, sizeof *orders);
        if (orders == NULL) rc = no_memory(err);
        if (rc == MEROS_OK && out->n_orders > 0) memcpy(orders, out->orders, out->n_orders * sizeof *orders);
        for (size_t k = 0; k < r.n && rc == MEROS_OK; k++) {
            struct str id = rows_text(&r, k, 1);
            const char *kept = arena_strndup(memory, id.p, id.n);
            if (kept == NULL) rc = no_memory(err);
            orders[out->n_orders + k] = (struct told_order){rows_int(&r, k, 0), {kept, id.n}};
        }
        if (rc == MEROS_OK) {
            out->orders = orders;
            out->n_orders += r.n;
        }
    }
    rows_done(&r);
    return rc;
}

static enum meros_code move_events(const struct round *x, struct arena *memory, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(x->c, &DROP_TWINS, &r, err, P_INTS(x->from, x->n), P_INTS(x->into, x->n)));
    size_t n = r.n;
    int64_t *twins = arena_array(memory, n + 1, sizeof *twins);
    for (size_t k = 0; twins != NULL && k < n; k++) twins[k] = rows_int(&r, k, 0);
    rows_done(&r);
    if (twins == NULL) return no_memory(err);
    TRY(sql_exec(x->c, &MOVE_EVENTS, NULL, err, P_INTS(x->from, x->n), P_INTS(x->into, x->n)));
    TRY(sql_exec(x->c, &ADD_ACTIVITY, NULL, err, P_INTS(x->from, x->n), P_INTS(x->into, x->n), P_NUM(x->half_life_days)));
    TRY(sql_exec(x->c, &DROP_ACTIVITY, NULL, err, P_INTS(x->from, x->n)));
    if (n == 0) return MEROS_OK;
    TRY(sql_exec(x->c, &DROP_ACTIVITY, NULL, err, P_INTS(twins, n)));
    return sql_exec(x->c, &COUNT_ACTIVITY, NULL, err, P_INTS(twins, n), P_NUM(x->half_life_days));
}

static enum meros_code move_rows(const struct round *x, struct meros_err *err)
{
    enum { FROM = 1, BOTH };
    static const struct {
        const struct sql *sql;
        int takes;
    } steps[] = {
        {&MOVE_ORDER_IDS, BOTH}, {&MOVE_LINES, BOTH}, {&MOVE_ORDERS, BOTH}, {&DROP_TWIN_OUTCOMES, BOTH}, {&MOVE_OUTCOMES, BOTH},
        {&FILL, BOTH},
        {&MOVE_IDS, BOTH}, {&DROP_CUSTOMERS, FROM}};
    for (size_t k = 0; k < x->n; k++) TRY(order_stats_join(x->c, x->from[k], x->into[k], err));
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        const struct sql_param params[] = {P_INTS(x->from, x->n), P_INTS(x->into, x->n)};
        TRY(sql_run(x->c, steps[k].sql, NULL, err, params, steps[k].takes == BOTH ? 2 : 1));
    }
    /* Last, because of the locks that they take. */
    TRY(store_changes_join(x->c, x->from, x->into, x->n, clock_now(), err));
    return sql_exec(x->c, &DROP_CLV, NULL, err, P_INTS(x->from, x->n));
}

static enum meros_code run_round(const struct round *x, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    TRY(lock(x, memory, err));
    TRY(list_orders(x, memory, out, err));
    TRY(move_events(x, memory, err));
    return move_rows(x, err);
}

struct pair {
    int64_t into, from;
};

static int by_survivor(const void *a, const void *b)
{
    const struct pair *x = a, *y = b;
    if (x->into != y->into) return x->into < y->into ? -1 : 1;
    return (x->from > y->from) - (x->from < y->from);
}

static enum meros_code set_plans(struct store_conn *c, struct str seqscan, struct str hashjoin, struct str mergejoin, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &SET_PLANS, &r, err, P_TEXT(seqscan), P_TEXT(hashjoin), P_TEXT(mergejoin)));
    rows_done(&r);
    return MEROS_OK;
}

/* The k-th who joins a survivor does so in the k-th round. */
static enum meros_code run_rounds(struct round *x, const struct pair *pairs, size_t n, int64_t *from, int64_t *into,
                                  struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    for (size_t round = 0, left = n; left > 0; round++) {
        size_t place = 0;
        x->n = 0;
        for (size_t k = 0; k < n; k++) {
            place = k > 0 && pairs[k].into == pairs[k - 1].into ? place + 1 : 0;
            if (place != round) continue;
            from[x->n] = pairs[k].from;
            into[x->n++] = pairs[k].into;
        }
        left -= x->n;
        TRY(run_round(x, memory, out, err));
    }
    return MEROS_OK;
}

enum meros_code identity_move(struct store_conn *c, const int64_t *from, const int64_t *into, size_t n, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err)
{
    struct pair *pairs = arena_array(memory, n, sizeof *pairs);
    int64_t *f = arena_array(memory, n, sizeof *f), *t = arena_array(memory, n, sizeof *t), *changed = arena_array(memory, n, sizeof *changed);
    struct rows plans;
    struct round x = {.c = c, .from = f, .into = t};
    if (pairs == NULL || f == NULL || t == NULL || changed == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) pairs[k] = (struct pair){into[k], from[k]};
    qsort(pairs, n, sizeof *pairs, by_survivor);
    for (size_t k = 0; k < n; k++)
        if (k == 0 || pairs[k].into != pairs[k - 1].into) changed[out->n_changed++] = pairs[k].into;
    out->changed_nos = changed;
    out->joined += n;
    TRY(store_stats_half_life(c, &x.half_life_days, err));
    TRY(sql_exec0(c, &PLANS, &plans, err));
    enum meros_code rc = set_plans(c, STR("off"), STR("off"), STR("off"), err);
    if (rc == MEROS_OK) rc = run_rounds(&x, pairs, n, f, t, memory, out, err);
    if (rc == MEROS_OK) rc = set_plans(c, rows_text(&plans, 0, 0), rows_text(&plans, 0, 1), rows_text(&plans, 0, 2), err);
    rows_done(&plans);
    return rc;
}
