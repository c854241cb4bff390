#include "meros/store/interested.h"

#include "interactions_priv.h"
#include "meros/base/clock.h"
#include "store_priv.h"

/* $1, $2 event types and their weights; $3 other, $4 purchase, $5 returned, $6 half-life, $7 at; $8, $9 products and voices; $10 the most that
 * a weight counts; $11 product not to have been bought since $12; $13 limit */
static const struct sql INTERESTED = {"interested",
    "with w as materialized (select * from unnest($1::text[], $2::float8[]) as w (type, weight)), "
    "v as materialized (select * from unnest($8::bigint[], $9::float8[]) as v (product_no, says)), "
    "pairs as ("
    "  select x.customer_no, x.product_no, sum(x.weight * " DECAY("$6::float8", "$7::timestamptz") ") as weight from ("
    "    select " EVENT_THING("$3::float8") " from events e left join w on w.type = e.type "
    "    where " EVENT_COUNTS " and e.product_no in (select product_no from v) "
    "    union all "
    "    select " LINE_THING("$4::float8", "$5::float8") " from order_lines l "
    "    where " LINE_COUNTS " and l.product_no in (select product_no from v)) x "
    "  group by x.customer_no, x.product_no), "
    "have as materialized (select l.customer_no from order_lines l where l.product_no = $11 "
    "  and l.ordered_at >= coalesce($12::timestamptz, '-infinity') group by l.customer_no having sum(" LINE_UNITS ") > 0), "
    "sums as ("
    "  select p.customer_no, sum(v.says * least(p.weight, $10::float8)) as voice from pairs p join v using (product_no) "
    "  where p.weight > 0 and p.customer_no not in (select customer_no from have) group by p.customer_no) "
    "select c.customer_id, s.voice from sums s join customers c using (customer_no) "
    "where s.voice > 0 and not c.anonymous and " PROFILING_ALLOWED " order by s.voice desc, s.customer_no limit $13", SQL_ROWS};

/* A plan that knows how many products there are: one for any number of them takes ten, and then pairs everything with everything. */
static const struct sql PLAN = {"interested_plan", "select set_config('plan_cache_mode', 'force_custom_plan', true)", SQL_ROW};

static enum meros_code ask_with_own_plan(struct store_conn *c, const struct interested_ask *ask, struct rows *out, struct meros_err *err)
{
    const struct interaction_weights *w = ask->weights;
    struct str types[INTERACTION_TYPES_MAX];
    struct rows set;
    for (size_t i = 0; i < w->n; i++) types[i] = str_of(w->type[i]);
    enum meros_code rc = sql_exec(c, &PLAN, &set, err);
    if (rc != MEROS_OK) return rc;
    rows_done(&set);
    return sql_exec(c, &INTERESTED, out, err, P_TEXTS(types, w->n), P_NUMS(w->weight, w->n), P_NUM(w->other), P_NUM(w->purchase),
                    P_NUM(w->returned), P_NUM(w->half_life_days), P_TIME(ask->at), P_INTS(ask->product_nos, ask->n), P_NUMS(ask->voices, ask->n),
                    P_NUM(ask->most), P_INT(ask->product_no), P_TIME(ask->bought_since), P_INT((int64_t)ask->limit));
}

enum meros_code store_interested(struct store_conn *c, const struct interested_ask *ask, struct arena *arena, struct interested **out,
                                 size_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = store_begin(c, err);
    if (rc != MEROS_OK) return rc;
    rc = ask_with_own_plan(c, ask, &r, err);
    store_rollback(c); /* it was only read */
    if (rc != MEROS_OK) return rc;
    struct interested *found = arena_array(arena, r.n + 1, sizeof *found);
    for (size_t i = 0; found != NULL && i < r.n; i++) {
        const struct str id = rows_text(&r, i, 0);
        found[i] = (struct interested){{arena_strndup(arena, id.p, id.n), id.n}, rows_num(&r, i, 1)};
        if (!str_present(found[i].customer_id)) found = NULL;
    }
    if (found == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for customers.");
    *out = found;
    *out_n = r.n;
    rows_done(&r);
    return rc;
}
