#include "meros/store/days.h"

#include <stdlib.h>
#include "meros/base/clock.h"
#include "order_changes_priv.h"

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum meros_code try_rc = (call);                                                                     \
        if (try_rc != MEROS_OK) return try_rc;                                                               \
    } while (0)

/* Dates come as days since 2000, as PostgreSQL counts. */
enum { DAYS_TO_2000 = 10957 };
#define DAY_NUMBER(day) "(" day " - date '1970-01-01')"
#define DAY_OF(at) "(" at " at time zone 'UTC')::date"

/* A customer at a time: as a plain join the planner, who knows nothing of a table that was just filled, reads all of it. */
static const struct sql OF = {"days_of",
    "select i.at, d.* from unnest($1::bigint[]) with ordinality as i (no, at) cross join lateral ("
    "  select " DAY_NUMBER("day") " as day, purchases, net::float8 from customer_days where customer_no = i.no order by customer_days.day) d "
    "order by i.at, d.day", SQL_ROWS};
static const struct sql AT = {"days_at",
    "select " DAY_NUMBER(DAY_OF("o.ordered_at")) ", count(*) filter (where o.purchase), sum(o.revenue)::float8 from ("
    "  select min(l.ordered_at) as ordered_at, " IS_PURCHASE " as purchase, sum(l.amount) as revenue "
    "  from order_lines l where l.customer_no = $1 and l.ordered_at < $2 group by l.order_no) o group by 1 order by 1", SQL_ROWS};

static const struct sql SET_DAY = {"days_set_day",
    "select set_config('meros.day', (date '1970-01-01' + $1::bigint::integer)::text, true)", SQL_ROW};
#define BY_THEN "day <= (select last from until)"
#define UNTIL                                                                                                \
    "copy (with until as materialized ("                                                                     \
    "  select current_setting('meros.day')::date as last, (current_setting('meros.day')::date + 1)::timestamp at time zone 'UTC' as t) "
#define NOW_DAYS UNTIL "select d.customer_no, d.day, d.purchases, d.net::float8, "
/* Orders that had begun by then and have lines that came later are taken out whole and come back with the lines of then. */
#define ASOF_DAYS                                                                                            \
    UNTIL ", late as materialized ("                                                                         \
    "  select distinct l.customer_no, l.order_no from order_lines l join orders x using (customer_no, order_no) " \
    "  where l.ordered_at >= (select t from until) and x.ordered_at < (select t from until)), "              \
    "known as ("                                                                                             \
    "  select customer_no, day, purchases, net from customer_days where " BY_THEN                            \
    "  union all "                                                                                           \
    "  select x.customer_no, " DAY_OF("x.ordered_at") ", -x.purchase::int::bigint, -x.revenue "              \
    "  from late join orders x using (customer_no, order_no) "                                               \
    "  union all "                                                                                           \
    "  select customer_no, " DAY_OF("ordered_at") ", purchase::int::bigint, revenue from ("                  \
    "    select l.customer_no, min(l.ordered_at) as ordered_at, " IS_PURCHASE " as purchase, sum(l.amount) as revenue " \
    "    from late join order_lines l using (customer_no, order_no) where l.ordered_at < (select t from until) " \
    "    group by l.customer_no, l.order_no) o) "                                                            \
    "select d.customer_no, d.day, d.purchases, d.net::float8, "
#define BY_CUSTOMER " order by d.customer_no, d.day) to stdout (format binary)"
static const struct sql ALL = {"days_all", NOW_DAYS "null::text from customer_days d where d." BY_THEN BY_CUSTOMER, SQL_NOTHING};
static const struct sql ALL_WITH = {"days_all_with",
    NOW_DAYS "c.attributes::text from customer_days d join customers c using (customer_no) where d." BY_THEN BY_CUSTOMER, SQL_NOTHING};
static const struct sql ASOF = {"days_asof", ASOF_DAYS "null::text from known d" BY_CUSTOMER, SQL_NOTHING};
static const struct sql ASOF_WITH = {"days_asof_with",
    ASOF_DAYS "c.attributes::text from known d join customers c using (customer_no)" BY_CUSTOMER, SQL_NOTHING};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the days on which customers bought.");
}

static int32_t small(int64_t v)
{
    return v > INT32_MAX ? INT32_MAX : (int32_t)v;
}

enum meros_code store_days_of(struct store_conn *c, const int64_t *nos, size_t n, struct arena *arena,
                              struct customer_purchases *out, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &OF, &r, err, P_INTS(nos, n)));
    struct purchase_day *days = arena_array(arena, r.n + 1, sizeof *days);
    for (size_t k = 0; k < n; k++) out[k] = (struct customer_purchases){0};
    for (size_t k = 0; days != NULL && k < r.n; k++) {
        struct customer_purchases *x = &out[rows_int(&r, k, 0) - 1];
        days[k] = (struct purchase_day){(int32_t)rows_int(&r, k, 1), small(rows_int(&r, k, 2)), rows_num(&r, k, 3)};
        if (x->n++ == 0) x->days = &days[k];
    }
    rows_done(&r);
    return days != NULL ? MEROS_OK : no_memory(err);
}

enum meros_code store_days_at(struct store_conn *c, int64_t no, int32_t day, struct arena *arena,
                              struct customer_purchases *out, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &AT, &r, err, P_INT(no), P_TIME(((int64_t)day + 1) * TIME_DAY)));
    struct purchase_day *days = arena_array(arena, r.n + 1, sizeof *days);
    for (size_t k = 0; days != NULL && k < r.n; k++)
        days[k] = (struct purchase_day){(int32_t)rows_int(&r, k, 0), small(rows_int(&r, k, 1)), rows_num(&r, k, 2)};
    *out = (struct customer_purchases){days, r.n};
    rows_done(&r);
    return days != NULL ? MEROS_OK : no_memory(err);
}

/* --- everybody: rows of a customer follow one another */
struct gathering {
    store_days_fn fn;
    void *arg;
    int64_t customer_no; /* 0: none yet */
    struct purchase_day *days;
    size_t n, cap;
    char *attributes; /* of the customer, copied: the row goes away */
    size_t attributes_n, attributes_cap;
    bool has_attributes;
};

/* Days that corrections have emptied are left out: nothing happened on them by then. */
static enum meros_code give(struct gathering *g, struct meros_err *err)
{
    if (g->customer_no == 0 || g->n == 0) return MEROS_OK;
    const struct str attributes = g->has_attributes ? (struct str){g->attributes, g->attributes_n} : STR_NONE;
    return g->fn(g->arg, g->customer_no, g->days, g->n, attributes, err);
}

static enum meros_code keep_attributes(struct gathering *g, struct str text, struct meros_err *err)
{
    g->has_attributes = str_present(text);
    if (!g->has_attributes) return MEROS_OK;
    if (text.n + 1 > g->attributes_cap) {
        char *more = realloc(g->attributes, 2 * (text.n + 1));
        if (more == NULL) return no_memory(err);
        g->attributes = more;
        g->attributes_cap = 2 * (text.n + 1);
    }
    memcpy(g->attributes, text.p, text.n);
    g->attributes_n = text.n;
    return MEROS_OK;
}

static enum meros_code add_day(struct gathering *g, struct purchase_day day, struct meros_err *err)
{
    if (g->n > 0 && g->days[g->n - 1].day == day.day) {
        g->days[g->n - 1].purchases += day.purchases;
        g->days[g->n - 1].net += day.net;
        return MEROS_OK;
    }
    if (g->n == g->cap) {
        struct purchase_day *more = realloc(g->days, 2 * (g->cap + 64) * sizeof *more);
        if (more == NULL) return no_memory(err);
        g->days = more;
        g->cap = 2 * (g->cap + 64);
    }
    g->days[g->n++] = day;
    return MEROS_OK;
}

static enum meros_code gather(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    struct gathering *g = arg;
    if (n != 5) return err_set(err, MEROS_INTERNAL, "The query for days gave %d columns.", n);
    const int64_t no = copy_int(&f[0]);
    if (no != g->customer_no) {
        TRY(give(g, err));
        g->customer_no = no;
        g->n = 0;
        TRY(keep_attributes(g, copy_text(&f[4]), err));
    }
    return add_day(g, (struct purchase_day){(int32_t)copy_int(&f[1]) + DAYS_TO_2000, small(copy_int(&f[2])), copy_num(&f[3])}, err);
}

enum meros_code store_days_all(struct store_conn *c, int32_t day, bool as_of, bool attributes, store_days_fn fn, void *arg,
                               struct meros_err *err)
{
    struct gathering g = {.fn = fn, .arg = arg};
    struct rows r;
    TRY(sql_exec(c, &SET_DAY, &r, err, P_INT(day)));
    rows_done(&r);
    const struct sql *sql = as_of ? attributes ? &ASOF_WITH : &ASOF : attributes ? &ALL_WITH : &ALL;
    enum meros_code rc = copy_out(c, sql, gather, &g, err);
    if (rc == MEROS_OK) rc = give(&g, err);
    free(g.days);
    free(g.attributes);
    return rc;
}
