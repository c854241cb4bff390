/* Everything that is kept of one customer moves to another, for several pairs at once. Who survives is said by the rules of
 * the header; under which of the two numbers is decided here, by size: history is moved row by row, so the larger one stays
 * where it is, and the few rows that make somebody who they are (customers, customer_ids, memberships) follow it. Sums of
 * the two are added up; where both hold the same event, the survivor's stays and the activity is made anew from the events.
 * What they were predicted to be worth (customer_clv) is left to whoever judges both numbers: it is locked for as long as
 * everybody's is written, and all events would wait behind a join that waits for it. */
#include "identity_priv.h"

#include <stdlib.h>
#include "imports_priv.h"
#include "meros/base/clock.h"
#include "meros/store/segment_changes.h"
#include "meros/store/stats.h"
#include "order_changes_priv.h"

/* Who goes by the rules and who stays, and which number goes and which stays. */
#define PEOPLE "unnest($1::bigint[], $2::bigint[], $3::bigint[]) as j (loser_no, survivor_no, kept_no)"
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
/* How many rows of each would have to move, about: counts that are kept, and those of outcomes. */
static const struct sql SIZES = {"join_sizes",
    "select g.no, (coalesce((select sum(a.count) from customer_event_stats a where a.customer_no = g.no), 0) "
    "  + coalesce((select 2 * (s.orders + s.returns) + s.lines + s.products from customer_stats s where s.customer_no = g.no), 0) "
    "  + (select count(*) from outcomes o where o.customer_no = g.no))::bigint from unnest($1::bigint[]) as g (no)", SQL_ROWS};
static const struct sql ORDERS_TOLD = {"join_orders_told",
    "select distinct j.into_no, e.properties ->> 'order_id' from " PAIRS " join events e on e.customer_no = j.from_no "
    "where e.type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled') "
    "and octet_length(e.properties ->> 'order_id') between 1 and 200", SQL_ROWS};

/* What both have: the survivor's stays. Row by row of the smaller history, one look-up each in the other (offsets keep the
 * planner from turning that round). */
#define TWINS(table, key)                                                                                    \
    "twins as materialized ("                                                                                \
    "  select j.loser_no, j.kept_no, k." key " from " PEOPLE ", lateral ("                                   \
    "    select x." key " from " table " x where x.customer_no = j.loser_no + j.survivor_no - j.kept_no offset 0) k " \
    "  where exists (select from " table " y where y.customer_no = j.kept_no and y." key " = k." key " offset 0)), " \
    "gone as (delete from " table " e using twins t where e.customer_no = t.loser_no and e." key " = t." key " returning t.kept_no, e.*) "
static const struct sql DROP_TWINS = {"join_drop_twins",
    "with " TWINS("events", "event_key")
    "select distinct kept_no, case when type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled') "
    "  and octet_length(properties ->> 'order_id') between 1 and 200 then properties ->> 'order_id' end from gone", SQL_ROWS};
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
    "with " TWINS("outcomes", "outcome_key") "select count(*) from gone", SQL_ROW};
static const struct sql MOVE_OUTCOMES = {"join_move_outcomes",
    "update outcomes o set customer_no = j.into_no from " PAIRS " where o.customer_no = j.from_no", SQL_NOTHING};
/* The survivor's hold, the other's fill the gaps; what either denied is denied. */
static const struct sql FILL = {"join_fill",
    "update customers k set customer_id = i.customer_id, anonymous = i.anonymous, "
    "  created_at = coalesce(i.created_at, f.created_at), attributes = f.attributes || i.attributes, "
    "  consent = f.consent || i.consent || (select coalesce(jsonb_object_agg(d.key, d.value), '{}') from "
    "    (select * from jsonb_each(f.consent) union all select * from jsonb_each(i.consent)) d where d.value = 'false'), "
    "  email = coalesce(i.email, f.email), email_hash = coalesce(i.email_hash, f.email_hash), "
    "  name = coalesce(i.name, f.name), name_hash = coalesce(i.name_hash, f.name_hash), "
    "  phone = coalesce(i.phone, f.phone), phone_hash = coalesce(i.phone_hash, f.phone_hash), "
    "  recorded_at = least(i.recorded_at, f.recorded_at), changed_at = now() "
    "from " PEOPLE ", customers i, customers f "
    "where k.customer_no = j.kept_no and i.customer_no = j.survivor_no and f.customer_no = j.loser_no", SQL_NOTHING};
static const struct sql MOVE_IDS = {"join_move_ids",
    "update customer_ids i set customer_no = j.into_no from " PAIRS " where i.customer_no = j.from_no", SQL_NOTHING};
static const struct sql DROP_CUSTOMERS = {"join_drop_customers", "delete from customers where customer_no = any($1)", SQL_NOTHING};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for joining customers.");
}

/* A round: each survivor once. */
struct round {
    struct store_conn *c;
    int64_t *loser, *survivor; /* by the rules */
    int64_t *gone, *kept;      /* the same two, by whose history is the larger */
    size_t n;
    int64_t spare;
    double half_life_days;
};
#define P_PEOPLE(x) P_INTS((x)->loser, (x)->n), P_INTS((x)->survivor, (x)->n), P_INTS((x)->kept, (x)->n)
#define P_NUMBERS(x) P_INTS((x)->gone, (x)->n), P_INTS((x)->kept, (x)->n)

/* Both rows of each pair, locked; and whose number stays. */
static enum meros_code lock(struct round *x, struct arena *memory, struct meros_err *err)
{
    int64_t *nos = arena_array(memory, 2 * x->n, sizeof *nos);
    struct rows r;
    if (nos == NULL) return no_memory(err);
    memcpy(nos, x->loser, x->n * sizeof *nos);
    memcpy(nos + x->n, x->survivor, x->n * sizeof *nos);
    TRY(sql_exec(x->c, &LOCK, &r, err, P_INTS(nos, 2 * x->n)));
    bool all = r.n == 2 * x->n;
    rows_done(&r);
    if (!all) return err_set(err, MEROS_UNAVAILABLE, "A customer who is to be joined is being erased; try again.");
    TRY(sql_exec(x->c, &SIZES, &r, err, P_INTS(nos, 2 * x->n)));
    for (size_t k = 0; k < x->n; k++) {
        const bool turned = rows_int(&r, k, 1) > rows_int(&r, x->n + k, 1) + x->spare;
        x->gone[k] = turned ? x->survivor[k] : x->loser[k];
        x->kept[k] = turned ? x->loser[k] : x->survivor[k];
    }
    rows_done(&r);
    return MEROS_OK;
}

/* Adds orders to out->orders: rows of (customer_no, order_id); order_id may be null. */
static enum meros_code add_orders(const struct rows *r, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    struct told_order *orders = arena_array(memory, out->n_orders + r->n + 1, sizeof *orders);
    if (orders == NULL) return no_memory(err);
    if (out->n_orders > 0) memcpy(orders, out->orders, out->n_orders * sizeof *orders);
    for (size_t k = 0; k < r->n; k++) {
        struct str id = rows_text(r, k, 1);
        if (!str_present(id)) continue;
        const char *kept = arena_strndup(memory, id.p, id.n);
        if (kept == NULL) return no_memory(err);
        orders[out->n_orders++] = (struct told_order){rows_int(r, k, 0), {kept, id.n}};
    }
    out->orders = orders;
    return MEROS_OK;
}

/* The orders that events of the moved history speak of. One that only the other's speak of is what it was: its events and
 * their customer are the same, unless one of them is a twin that goes (drop_twins). */
static enum meros_code list_orders(const struct round *x, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(x->c, &ORDERS_TOLD, &r, err, P_NUMBERS(x)));
    enum meros_code rc = r.n == 0 ? MEROS_OK : add_orders(&r, memory, out, err);
    rows_done(&r);
    return rc;
}

/* twins: the kept numbers of those who had any. */
static enum meros_code drop_twins(const struct round *x, struct arena *memory, struct identity_outcome *out, int64_t **twins,
                                  size_t *n, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(x->c, &DROP_TWINS, &r, err, P_PEOPLE(x)));
    *n = 0;
    *twins = arena_array(memory, r.n + 1, sizeof **twins);
    enum meros_code rc = *twins == NULL ? no_memory(err) : add_orders(&r, memory, out, err);
    for (size_t k = 0; rc == MEROS_OK && k < r.n; k++) {
        const int64_t no = rows_int(&r, k, 0);
        size_t seen = 0;
        while (seen < *n && (*twins)[seen] != no) seen++;
        if (seen == *n) (*twins)[(*n)++] = no;
    }
    rows_done(&r);
    return rc;
}

static enum meros_code move(const struct round *x, const struct sql *s, struct identity_outcome *out, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(x->c, s, &r, err, P_NUMBERS(x)));
    out->moved += (size_t)r.affected;
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code move_events(const struct round *x, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    int64_t *twins;
    size_t n;
    TRY(drop_twins(x, memory, out, &twins, &n, err));
    TRY(move(x, &MOVE_EVENTS, out, err));
    TRY(sql_exec(x->c, &ADD_ACTIVITY, NULL, err, P_NUMBERS(x), P_NUM(x->half_life_days)));
    TRY(sql_exec(x->c, &DROP_ACTIVITY, NULL, err, P_INTS(x->gone, x->n)));
    if (n == 0) return MEROS_OK;
    TRY(sql_exec(x->c, &DROP_ACTIVITY, NULL, err, P_INTS(twins, n)));
    return sql_exec(x->c, &COUNT_ACTIVITY, NULL, err, P_INTS(twins, n), P_NUM(x->half_life_days));
}

static enum meros_code move_rows(const struct round *x, struct identity_outcome *out, struct meros_err *err)
{
    struct rows r;
    static const struct sql *const history[] = {&MOVE_ORDER_IDS, &MOVE_LINES, &MOVE_ORDERS, &MOVE_OUTCOMES, &MOVE_IDS};
    for (size_t k = 0; k < x->n; k++) TRY(order_stats_join(x->c, x->gone[k], x->kept[k], err));
    TRY(sql_exec(x->c, &DROP_TWIN_OUTCOMES, &r, err, P_PEOPLE(x)));
    rows_done(&r);
    for (size_t k = 0; k < sizeof history / sizeof history[0]; k++) TRY(move(x, history[k], out, err));
    TRY(sql_exec(x->c, &FILL, NULL, err, P_PEOPLE(x)));
    TRY(sql_exec(x->c, &DROP_CUSTOMERS, NULL, err, P_INTS(x->gone, x->n)));
    /* Last, because of the lock that it takes. */
    return store_changes_join(x->c, x->loser, x->survivor, x->kept, x->n, clock_now(), err);
}

static enum meros_code run_round(struct round *x, struct arena *memory, struct identity_outcome *out, struct meros_err *err)
{
    TRY(lock(x, memory, err));
    TRY(list_orders(x, memory, out, err));
    TRY(move_events(x, memory, out, err));
    return move_rows(x, out, err);
}

struct pair {
    int64_t into, from;
    size_t given; /* its place among the caller's */
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

/* The k-th who joins a survivor does so in the k-th round. now: of each pair the number that its survivor has by then. */
static enum meros_code run_rounds(struct round *x, const struct pair *pairs, size_t n, int64_t *now, int64_t *gone, struct arena *memory,
                                  struct identity_outcome *out, struct meros_err *err)
{
    for (size_t round = 0, left = n; left > 0; round++) {
        size_t place = 0, done = 0;
        x->n = 0;
        for (size_t k = 0; k < n; k++) {
            place = k > 0 && pairs[k].into == pairs[k - 1].into ? place + 1 : 0;
            if (place != round) continue;
            x->loser[x->n] = pairs[k].from;
            x->survivor[x->n++] = now[k];
        }
        left -= x->n;
        TRY(run_round(x, memory, out, err));
        memcpy(gone + out->n_gone, x->gone, x->n * sizeof *gone);
        out->n_gone += x->n;
        for (size_t k = 0; k < n && done < x->n; k++) {
            if (now[k] != x->survivor[done]) continue;
            now[k] = x->kept[done];
            if (k + 1 == n || pairs[k + 1].into != pairs[k].into) done++;
        }
    }
    return MEROS_OK;
}

static enum meros_code arrays(struct round *x, size_t n, struct arena *memory, struct meros_err *err)
{
    int64_t **const each[] = {&x->loser, &x->survivor, &x->gone, &x->kept};
    for (size_t k = 0; k < sizeof each / sizeof each[0]; k++)
        if ((*each[k] = arena_array(memory, n, sizeof **each[k])) == NULL) return no_memory(err);
    return MEROS_OK;
}

/* What became of whom, for the caller. */
static void tell(const struct pair *pairs, const int64_t *now, size_t n, int64_t *into, int64_t *changed, struct identity_outcome *out)
{
    for (size_t k = 0; k < n; k++) {
        into[pairs[k].given] = now[k];
        if (k == 0 || pairs[k].into != pairs[k - 1].into) changed[out->n_changed++] = now[k];
    }
    out->changed_nos = changed;
    out->joined += n;
}

enum meros_code identity_move(struct store_conn *c, const int64_t *from, int64_t *into, size_t n, int64_t spare, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err)
{
    struct pair *pairs = arena_array(memory, n, sizeof *pairs);
    int64_t *now = arena_array(memory, n, sizeof *now), *changed = arena_array(memory, n, sizeof *changed),
            *gone = arena_array(memory, n, sizeof *gone);
    struct rows plans;
    struct round x = {.c = c, .spare = spare};
    if (pairs == NULL || now == NULL || changed == NULL || gone == NULL) return no_memory(err);
    TRY(arrays(&x, n, memory, err));
    for (size_t k = 0; k < n; k++) pairs[k] = (struct pair){into[k], from[k], k};
    qsort(pairs, n, sizeof *pairs, by_survivor);
    for (size_t k = 0; k < n; k++) now[k] = pairs[k].into;
    out->gone_nos = gone;
    out->n_gone = 0;
    TRY(store_stats_half_life(c, &x.half_life_days, err));
    TRY(sql_exec0(c, &PLANS, &plans, err));
    enum meros_code rc = set_plans(c, STR("off"), STR("off"), STR("off"), err);
    if (rc == MEROS_OK) rc = run_rounds(&x, pairs, n, now, gone, memory, out, err);
    if (rc == MEROS_OK) rc = set_plans(c, rows_text(&plans, 0, 0), rows_text(&plans, 0, 1), rows_text(&plans, 0, 2), err);
    rows_done(&plans);
    if (rc == MEROS_OK) tell(pairs, now, n, into, changed, out);
    return rc;
}
