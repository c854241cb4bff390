#include "meros/store/reco_feedback.h"

#include "meros/base/clock.h"
#include "meros/domain/stats.h"
#include "store_priv.h"

enum { PRODUCTS_MAX = 1000 };

static const struct sql SET_RANGE = {"feedback_range",
    "select set_config('meros.feedback_from', $1::timestamptz::text, true), set_config('meros.feedback_to', $2::timestamptz::text, true)", SQL_ROW};

_Static_assert(EVENT_RECOMMENDATION_SHOWN == 10 && EVENT_RECOMMENDATION_CLICKED == 11, "EVENTS and the index of migration 0017");
/* Products of a list are ids, or objects with one. A list that is too long for what an answer holds is cut. */
static const struct sql EVENTS = {"feedback_events",
    "copy (select e.kind, e.customer_no, e.occurred_at, e.product_no, e.properties ->> 'recommendation_id', "
    "  case when coalesce(e.properties ->> 'slot', e.properties ->> 'position') ~ '^[1-9][0-9]{0,2}$' "
    "    then coalesce(e.properties ->> 'slot', e.properties ->> 'position')::bigint end, "
    "  case when jsonb_typeof(e.properties -> 'products') = 'array' then coalesce(("
    "    select string_agg(coalesce(p.product_no, 0)::text, ' ' order by x.at) "
    "    from jsonb_array_elements(e.properties -> 'products') with ordinality x (v, at) "
    "    left join products p on p.product_id = case when jsonb_typeof(x.v) = 'string' then x.v #>> '{}' else x.v ->> 'product_id' end "
    "    where x.at <= 1000), '') end "
    "from events e where e.kind in (10, 11) and e.occurred_at >= current_setting('meros.feedback_from')::timestamptz "
    "  and e.occurred_at < current_setting('meros.feedback_to')::timestamptz) to stdout (format binary)", SQL_NOTHING};
_Static_assert(PRODUCTS_MAX == 1000, "EVENTS cuts lists");

/* A pair at a time: as a plain join the planner, who knows nothing of the arrays, reads all lines there are. */
static const struct sql LINES = {"feedback_lines",
    "select i.at, l.ordered_at, l.returned, l.amount from unnest($1::bigint[], $2::bigint[], $3::timestamptz[]) "
    "  with ordinality i (customer_no, product_no, since, at) cross join lateral ("
    "  select ordered_at, coalesce(quantity, amount) < 0 as returned, amount::float8 from order_lines o "
    "  where o.customer_no = i.customer_no and o.product_no = i.product_no and o.ordered_at >= i.since) l "
    "order by i.at, l.ordered_at, l.returned, l.amount", SQL_ROWS};

static const struct sql MODELS = {"feedback_models",
    "select i.at, m.model_id from unnest($1::bigint[]) with ordinality i (no, at) join models m on m.model_no = i.no", SQL_ROWS};

struct reading {
    feedback_event_fn fn;
    void *arg;
    int64_t products[PRODUCTS_MAX];
};

static size_t numbers(struct str s, int64_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n && n < PRODUCTS_MAX; i++) {
        int64_t v = 0;
        for (; i < s.n && s.p[i] != ' '; i++) v = v * 10 + (s.p[i] - '0');
        out[n++] = v;
    }
    return n;
}

static enum meros_code take(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    struct reading *x = arg;
    if (n != 7) return err_set(err, MEROS_INTERNAL, "The query for recommendations' events gave %d columns.", n);
    struct feedback_event e = {
        .click = copy_int(&f[0]) == EVENT_RECOMMENDATION_CLICKED,
        .customer_no = copy_int(&f[1]),
        .at = copy_time(&f[2]),
        .product_no = f[3].p != NULL ? copy_int(&f[3]) : 0,
        .recommendation_id = copy_text(&f[4]),
        .slot = f[5].p != NULL ? (int)copy_int(&f[5]) : 0,
        .listed = f[6].p != NULL,
        .products = x->products,
    };
    if (e.listed) e.n_products = numbers(copy_text(&f[6]), x->products);
    return x->fn(x->arg, &e, err);
}

enum meros_code store_feedback_events(struct store_conn *c, int64_t from, int64_t to, feedback_event_fn fn, void *arg, struct meros_err *err)
{
    struct reading x = {.fn = fn, .arg = arg};
    struct rows r;
    enum meros_code rc = sql_exec(c, &SET_RANGE, &r, err, P_TIME(from), P_TIME(to));
    if (rc != MEROS_OK) return rc;
    rows_done(&r);
    return copy_out(c, &EVENTS, take, &x, err);
}

enum meros_code store_feedback_lines(struct store_conn *c, const int64_t *customer_nos, const int64_t *product_nos, const int64_t *since,
                                     size_t n, feedback_line_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LINES, &r, err, P_INTS(customer_nos, n), P_INTS(product_nos, n), P_TIMES(since, n));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) {
        const struct feedback_line l = {(size_t)rows_int(&r, i, 0) - 1, rows_time(&r, i, 1), rows_bool(&r, i, 2), rows_num(&r, i, 3)};
        fn(arg, &l);
    }
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_feedback_models(struct store_conn *c, const int64_t *model_nos, size_t n, struct arena *arena, struct str *out,
                                      struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &MODELS, &r, err, P_INTS(model_nos, n));
    for (size_t i = 0; i < n; i++) out[i] = STR_NONE;
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n && rc == MEROS_OK; i++) {
        const struct str id = rows_text(&r, i, 1);
        const char *copy = arena_strndup(arena, id.p, id.n);
        if (copy == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for names of models.");
        else out[rows_int(&r, i, 0) - 1] = (struct str){copy, id.n};
    }
    rows_done(&r);
    return rc;
}
