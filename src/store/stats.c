#include "meros/store/stats.h"

#include <math.h>
#include <stdlib.h>
#include "imports_priv.h"
#include "meros/base/crypto.h"
#include "order_changes_priv.h"

/* --- the half-life */
static const struct sql GET_HALF_LIFE = {"stats_get_half_life",
    "select value::float8 from meros_settings where name = 'activity_half_life_days'", SQL_ROW_OR_NONE};
static const struct sql PUT_HALF_LIFE = {"stats_put_half_life",
    "insert into meros_settings (name, value) values ('activity_half_life_days', $1::float8::text) "
    "on conflict (name) do update set value = excluded.value", SQL_NOTHING};
static const struct sql DECAY_AGAIN = {"stats_decay_again",
    "update customer_event_stats s set decayed = e.decayed "
    "from (select e.customer_no, e.kind, "
    "             sum(power(2::float8, -least(date_part('epoch', n.decayed_at - e.occurred_at) / 86400 / $1, 1000))) as decayed "
    "      from events e join customer_event_stats n on n.customer_no = e.customer_no and n.kind = e.kind group by 1, 2) e "
    "where s.customer_no = e.customer_no and s.kind = e.kind", SQL_NOTHING};

enum meros_code store_stats_half_life(struct store_conn *c, double *out_days, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec0(c, &GET_HALF_LIFE, &r, err));
    *out_days = r.n == 1 ? rows_num(&r, 0, 0) : NAN;
    rows_done(&r);
    if (!(*out_days > 0)) return err_set(err, MEROS_INTERNAL, "The half-life of activity was never set in this database.");
    return MEROS_OK;
}

static enum meros_code set_half_life(struct store_conn *c, double days, struct meros_err *err)
{
    struct rows r;
    TRY(import_lock(c, err));
    TRY(sql_exec0(c, &GET_HALF_LIFE, &r, err));
    bool none = r.n == 0, same = !none && rows_num(&r, 0, 0) == days;
    rows_done(&r);
    if (same) return MEROS_OK;
    TRY(sql_exec(c, &PUT_HALF_LIFE, NULL, err, P_NUM(days)));
    return none ? MEROS_OK : sql_exec(c, &DECAY_AGAIN, NULL, err, P_NUM(days));
}

enum meros_code store_stats_set_half_life(struct store_conn *c, double days, struct meros_err *err)
{
    double now;
    if (!(days > 0) || !isfinite(days)) return err_set(err, MEROS_INVALID, "The half-life of activity must be above zero.");
    if (store_stats_half_life(c, &now, NULL) == MEROS_OK && now == days) return MEROS_OK; /* the usual start: no lock */
    TRY(store_set_timeout(c, 0, err));
    enum meros_code rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = set_half_life(c, days, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) store_rollback(c);
    return rc;
}

/* --- reading. Events of a customer come as one value: 34 bytes a kind, in network order:
 * kind int2, count int8, decayed float8, decayed_at int8, first_at int8 (microseconds since 2000). */
#define PACK(kind, count, decayed, decayed_at, first_at)                                                     \
    "string_agg(int2send(" kind ") || int8send(" count ") || float8send(" decayed ") || "                    \
    "timestamptz_send(" decayed_at ") || timestamptz_send(" first_at "), ''::bytea)"
enum { PACKED_KIND = 34 };
#define SINCE_2000 (INT64_C(10957) * TIME_DAY)

#define LIVE_COLUMNS                                                                                         \
    "c.customer_no, c.customer_id, c.attributes::text, c.consent::text, c.created_at, "                      \
    "s.orders, s.returns, s.lines, s.products, s.units::float8, s.revenue::float8, s.gross_revenue::float8, " \
    "s.returned_amount::float8, s.first_order_at, s.last_order_at, s.first_any_at, s.last_any_at, e.packed, " \
    "c.email, c.name, c.phone "
#define LIVE_STATS                                                                                           \
    "left join customer_stats s on s.customer_no = c.customer_no "                                           \
    "left join lateral (select " PACK("kind", "count", "decayed", "decayed_at", "first_at") " as packed "    \
    "  from customer_event_stats v where v.customer_no = c.customer_no) e on true"

static const struct sql LIVE = {"stats_live",
    "select i.at, " LIVE_COLUMNS
    "from unnest($1::text[]) with ordinality as i (id, at) "
    "join customer_ids n on n.customer_id = i.id "
    "join customers c on c.customer_no = n.customer_no " LIVE_STATS, SQL_ROWS};
static const struct sql LIVE_BY_NO = {"stats_live_by_no",
    "select i.at, " LIVE_COLUMNS
    "from unnest($1::bigint[]) with ordinality as i (no, at) "
    "join customers c on c.customer_no = i.no " LIVE_STATS, SQL_ROWS};
static const struct sql WHO = {"stats_who",
    "select i.at, c.customer_no, c.customer_id, case when $2 then c.attributes::text end "
    "from unnest($1::text[]) with ordinality as i (id, at) "
    "join customer_ids n on n.customer_id = i.id "
    "join customers c on c.customer_no = n.customer_no", SQL_ROWS};

static uint64_t big_endian(const char *p, int n)
{
    uint64_t v = 0;
    for (int k = 0; k < n; k++) v = v << 8 | (unsigned char)p[k];
    return v;
}

static double big_endian_double(const char *p)
{
    uint64_t v = big_endian(p, 8);
    double d;
    memcpy(&d, &v, sizeof d);
    return d;
}

static void earlier(int64_t *t, int64_t other)
{
    if (other != TIME_NONE && (*t == TIME_NONE || other < *t)) *t = other;
}

static void later(int64_t *t, int64_t other)
{
    if (other != TIME_NONE && (*t == TIME_NONE || other > *t)) *t = other;
}

/* Events, and what follows from both sides: created_at, last_seen_at. */
static void complete(struct customer_state *x, int64_t first_any_at, int64_t last_any_at, struct str packed)
{
    struct customer_stats *s = &x->stats;
    int64_t first = first_any_at;
    s->last_seen_at = last_any_at;
    for (int k = 0; k < EVENT_KIND_COUNT; k++) s->events[k] = (struct event_stats){.decayed_at = TIME_NONE};
    for (const char *p = packed.p; packed.n >= PACKED_KIND && p < packed.p + packed.n; p += PACKED_KIND) {
        uint64_t kind = big_endian(p, 2);
        if (kind >= EVENT_KIND_COUNT) kind = EVENT_OTHER;
        int64_t decayed_at = (int64_t)big_endian(p + 18, 8) + SINCE_2000, first_at = (int64_t)big_endian(p + 26, 8) + SINCE_2000;
        s->events[kind] = (struct event_stats){(int64_t)big_endian(p + 2, 8), big_endian_double(p + 10), decayed_at};
        earlier(&first, first_at);
        later(&s->last_seen_at, decayed_at);
    }
    s->created_at = x->created_at != TIME_NONE ? x->created_at : first;
}

static double or_zero(double v)
{
    return isnan(v) ? 0 : v;
}

static struct str kept(struct arena *arena, struct str s, bool *ok)
{
    char *p = arena_strndup(arena, s.p, s.n);
    if (p == NULL) *ok = false;
    return (struct str){p, s.n};
}

static enum meros_code live(struct store_conn *c, const struct sql *s, struct sql_param param, size_t n, struct arena *arena,
                            struct customer_state *out, struct meros_err *err)
{
    struct rows r;
    bool ok = true;
    for (size_t k = 0; k < n; k++) out[k] = (struct customer_state){0};
    TRY(sql_run(c, s, &r, err, &param, 1));
    for (size_t k = 0; k < r.n && ok; k++) {
        struct customer_state *x = &out[rows_int(&r, k, 0) - 1];
        struct customer_stats *t = &x->stats;
        x->known = true;
        t->customer_no = rows_int(&r, k, 1);
        x->customer_id = kept(arena, rows_text(&r, k, 2), &ok);
        x->attributes = kept(arena, rows_text(&r, k, 3), &ok);
        x->consent = kept(arena, rows_text(&r, k, 4), &ok);
        x->created_at = rows_time(&r, k, 5);
        t->orders = rows_int(&r, k, 6);
        t->returns = rows_int(&r, k, 7);
        t->lines = rows_int(&r, k, 8);
        t->products = rows_int(&r, k, 9);
        t->units = or_zero(rows_num(&r, k, 10));
        t->revenue = or_zero(rows_num(&r, k, 11));
        t->gross_revenue = or_zero(rows_num(&r, k, 12));
        t->returned_amount = or_zero(rows_num(&r, k, 13));
        t->first_order_at = rows_time(&r, k, 14);
        t->last_order_at = rows_time(&r, k, 15);
        complete(x, rows_time(&r, k, 16), rows_time(&r, k, 17), rows_bytes(&r, k, 18));
        struct str *const personal[] = {&x->email, &x->name, &x->phone};
        for (int p = 0; p < 3; p++)
            if (!rows_null(&r, k, 19 + p)) *personal[p] = kept(arena, rows_bytes(&r, k, 19 + p), &ok);
    }
    rows_done(&r);
    return ok ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the state of customers.");
}

enum meros_code store_stats_live(struct store_conn *c, const struct str *ids, size_t n, struct arena *arena,
                                 struct customer_state *out, struct meros_err *err)
{
    return live(c, &LIVE, P_TEXTS(ids, n), n, arena, out, err);
}

enum meros_code store_stats_live_by_no(struct store_conn *c, const int64_t *nos, size_t n, struct arena *arena,
                                       struct customer_state *out, struct meros_err *err)
{
    return live(c, &LIVE_BY_NO, P_INTS(nos, n), n, arena, out, err);
}

enum meros_code store_stats_who(struct store_conn *c, const struct str *ids, size_t n, bool attributes, struct arena *arena,
                                struct customer_state *out, struct meros_err *err)
{
    struct rows r;
    bool ok = true;
    for (size_t k = 0; k < n; k++) out[k] = (struct customer_state){0};
    TRY(sql_exec(c, &WHO, &r, err, P_TEXTS(ids, n), P_BOOL(attributes)));
    for (size_t k = 0; k < r.n && ok; k++) {
        struct customer_state *x = &out[rows_int(&r, k, 0) - 1];
        x->known = true;
        x->stats.customer_no = rows_int(&r, k, 1);
        x->customer_id = kept(arena, rows_text(&r, k, 2), &ok);
        if (attributes) x->attributes = kept(arena, rows_text(&r, k, 3), &ok);
    }
    rows_done(&r);
    return ok ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the names of customers.");
}

/* --- as of a moment */
static const struct sql SET_MOMENT = {"stats_set_moment",
    "select set_config('meros.as_of', coalesce($1::timestamptz::text, 'infinity'), true), "
    "       set_config('meros.half_life', $2::float8::text, true)", SQL_ROW};
/* The moment and the half-life are scalar subqueries: evaluated once, where current_setting would be parsed a row. */
#define MOMENT "(select t from moment)"
/* An order's sums over its lines l, as src/store/imports_orders.c keeps them. */
#define ORDER_SUMS                                                                                           \
    "min(l.ordered_at) as ordered_at, "                                                                      \
    IS_PURCHASE " as purchase, "                                                                             \
    "count(*) filter (where l.quantity > 0) as lines, "                                                      \
    "coalesce(sum(l.quantity) filter (where l.quantity > 0), 0) as units, sum(l.amount) as revenue, "        \
    "coalesce(sum(l.amount) filter (where l.amount > 0), 0) as gross_revenue, "                              \
    "coalesce(-sum(l.amount) filter (where l.amount < 0), 0) as returned_amount "
/* Orders that began before the moment count with the lines that they had by then. */
static const struct sql ASOF = {"stats_asof",
    "copy (with moment as materialized ("
    "  select current_setting('meros.as_of')::timestamptz as t, current_setting('meros.half_life')::float8 as days), "
    "late as materialized ("
    "  select distinct l.customer_no, l.order_no from order_lines l join orders x using (customer_no, order_no) "
    "  where l.ordered_at >= " MOMENT " and x.ordered_at < " MOMENT "), "
    "begun as ("
    "  select customer_no, ordered_at, purchase, lines, units, revenue, gross_revenue, returned_amount from orders x "
    "  where ordered_at < " MOMENT " and not exists "
    "    (select from late where late.customer_no = x.customer_no and late.order_no = x.order_no) "
    "  union all select customer_no, " ORDER_SUMS "from order_lines l join late using (customer_no, order_no) "
    "  where l.ordered_at < " MOMENT " group by customer_no, order_no), "
    "o as ("
    "  select customer_no, count(*) filter (where purchase) as orders, count(*) filter (where not purchase) as returns, "
    "    sum(lines)::bigint as lines, sum(units)::float8 as units, sum(revenue)::float8 as revenue, "
    "    sum(gross_revenue)::float8 as gross_revenue, sum(returned_amount)::float8 as returned_amount, "
    "    min(ordered_at) filter (where purchase) as first_order_at, max(ordered_at) filter (where purchase) as last_order_at, "
    "    min(ordered_at) as first_any_at, max(ordered_at) as last_any_at "
    "  from begun group by customer_no), "
    "p as ("
    "  select customer_no, count(*) as products from ("
    "    select distinct l.customer_no, l.product_no from order_lines l "
    "    where l.quantity > 0 and l.product_no is not null and l.ordered_at < " MOMENT ") d group by customer_no), "
    "k as ("
    "  select customer_no, kind, count(*) as count, max(occurred_at) as decayed_at, min(occurred_at) as first_at, "
    "    sum(power(2::float8, -least(date_part('epoch', newest - occurred_at) / 86400 / (select days from moment), 1000))) as decayed "
    "  from (select customer_no, kind, occurred_at, max(occurred_at) over (partition by customer_no, kind) as newest "
    "        from events where occurred_at < " MOMENT ") e group by customer_no, kind), "
    "e as ("
    "  select customer_no, " PACK("kind", "count", "decayed", "decayed_at", "first_at") " as packed from k group by customer_no) "
    "select c.customer_no, c.customer_id, c.attributes::text, c.consent::text, c.created_at, "
    "  o.orders, o.returns, o.lines, coalesce(p.products, 0), o.units, o.revenue, o.gross_revenue, o.returned_amount, "
    "  o.first_order_at, o.last_order_at, o.first_any_at, o.last_any_at, e.packed "
    "from customers c left join o using (customer_no) left join p using (customer_no) left join e using (customer_no) "
    "where o.customer_no is not null or e.customer_no is not null or c.created_at < " MOMENT
    "  or (c.created_at is null and not exists (select from orders l where l.customer_no = c.customer_no) "
    "      and not exists (select from events v where v.customer_no = c.customer_no)) "
    "order by c.customer_no) to stdout (format binary)", SQL_NOTHING};

struct asof {
    store_stats_fn fn;
    void *arg;
};

static int64_t int_or_zero(const struct copy_field *f)
{
    return f->p == NULL ? 0 : copy_int(f);
}

static int64_t time_or_none(const struct copy_field *f)
{
    return f->p == NULL ? TIME_NONE : copy_time(f);
}

static enum meros_code asof_row(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct asof *a = arg;
    struct customer_state x = {.known = true};
    struct customer_stats *t = &x.stats;
    if (n != 18) return err_set(err, MEROS_INTERNAL, "The statistics query gave %d columns.", n);
    t->customer_no = copy_int(&f[0]);
    x.customer_id = copy_text(&f[1]);
    x.attributes = copy_text(&f[2]);
    x.consent = copy_text(&f[3]);
    x.created_at = time_or_none(&f[4]);
    t->orders = int_or_zero(&f[5]);
    t->returns = int_or_zero(&f[6]);
    t->lines = int_or_zero(&f[7]);
    t->products = int_or_zero(&f[8]);
    t->units = or_zero(copy_num(&f[9]));
    t->revenue = or_zero(copy_num(&f[10]));
    t->gross_revenue = or_zero(copy_num(&f[11]));
    t->returned_amount = or_zero(copy_num(&f[12]));
    t->first_order_at = time_or_none(&f[13]);
    t->last_order_at = time_or_none(&f[14]);
    complete(&x, time_or_none(&f[15]), time_or_none(&f[16]), copy_text(&f[17]));
    return a->fn(a->arg, &x, err);
}

enum meros_code store_stats_asof(struct store_conn *c, int64_t as_of, store_stats_fn fn, void *arg, struct meros_err *err)
{
    struct asof a = {fn, arg};
    struct rows r;
    double days;
    TRY(store_stats_half_life(c, &days, err));
    TRY(sql_exec(c, &SET_MOMENT, &r, err, P_TIME(as_of), P_NUM(days)));
    rows_done(&r);
    return copy_out(c, &ASOF, asof_row, &a, err);
}

/* --- one customer as of a moment */
static const struct sql AT = {"stats_at",
    "select o.*, (select count(distinct l.product_no) from order_lines l "
    "             where l.customer_no = $1 and l.ordered_at < $2 and l.quantity > 0), e.packed "
    "from (select count(*) filter (where purchase), count(*) filter (where not purchase), sum(lines)::bigint, "
    "        sum(units)::float8, sum(revenue)::float8, sum(gross_revenue)::float8, sum(returned_amount)::float8, "
    "        min(ordered_at) filter (where purchase), max(ordered_at) filter (where purchase), min(ordered_at), max(ordered_at) "
    "      from (select " ORDER_SUMS "from order_lines l where l.customer_no = $1 and l.ordered_at < $2 group by l.order_no) b) o, "
    "  (select " PACK("kind", "count", "decayed", "newest", "first_at") " as packed "
    "   from (select kind, count(*) as count, newest, min(occurred_at) as first_at, "
    "           sum(power(2::float8, -least(date_part('epoch', newest - occurred_at) / 86400 / $3::float8, 1000))) as decayed "
    "         from (select kind, occurred_at, max(occurred_at) over (partition by kind) as newest "
    "               from events where customer_no = $1 and occurred_at < $2) v group by kind, newest) k) e", SQL_ROW};

enum meros_code store_stats_at(struct store_conn *c, int64_t at, double half_life_days, struct customer_state *x,
                               struct meros_err *err)
{
    struct rows r;
    struct customer_stats *t = &x->stats;
    TRY(sql_exec(c, &AT, &r, err, P_INT(t->customer_no), P_TIME(at), P_NUM(half_life_days)));
    t->orders = rows_int(&r, 0, 0);
    t->returns = rows_int(&r, 0, 1);
    t->lines = rows_int(&r, 0, 2);
    t->units = or_zero(rows_num(&r, 0, 3));
    t->revenue = or_zero(rows_num(&r, 0, 4));
    t->gross_revenue = or_zero(rows_num(&r, 0, 5));
    t->returned_amount = or_zero(rows_num(&r, 0, 6));
    t->first_order_at = rows_time(&r, 0, 7);
    t->last_order_at = rows_time(&r, 0, 8);
    t->products = rows_int(&r, 0, 11);
    complete(x, rows_time(&r, 0, 9), rows_time(&r, 0, 10), rows_bytes(&r, 0, 12));
    rows_done(&r);
    return MEROS_OK;
}
