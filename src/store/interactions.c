#include "meros/store/interactions.h"

#include "interactions_priv.h"
#include "meros/base/clock.h"
#include "store_priv.h"

#define TRY(call)                                                                                            \
    do {                                                                                                     \
        enum meros_code try_rc = (call);                                                                     \
        if (try_rc != MEROS_OK) return try_rc;                                                               \
    } while (0)

/* COPY takes no parameters, so they are settings of the transaction; arrays as text come back as they were. */
static const struct sql SET = {"interactions_set",
    "select set_config('meros.as_of', coalesce($1::timestamptz, 'infinity')::text, true), "
    "  set_config('meros.weigh_at', coalesce($1::timestamptz, now())::text, true), "
    "  set_config('meros.weigh_types', $2::text[]::text, true), set_config('meros.weigh_weights', $3::float8[]::text, true), "
    "  set_config('meros.weigh_numbers', $4::float8[]::text, true)", SQL_ROW};

/* Scalar subqueries: evaluated once, where current_setting would be parsed a row. */
#define GIVEN                                                                                                \
    "given as materialized ("                                                                                \
    "  select current_setting('meros.as_of')::timestamptz as until, current_setting('meros.weigh_at')::timestamptz as at, " \
    "    n[1] as purchase, n[2] as returned, n[3] as other, n[4] as half_life "                              \
    "  from (select current_setting('meros.weigh_numbers')::float8[] as n) s), "                             \
    "w as materialized (select * from unnest(current_setting('meros.weigh_types')::text[], "                 \
    "  current_setting('meros.weigh_weights')::float8[]) as w (type, weight)) "
#define OF_GIVEN(column) "(select " column " from given)"

static const struct sql ALL = {"interactions_all",
    "copy (with " GIVEN ", refused as materialized (select c.customer_no from customers c where not (" PROFILING_ALLOWED ")) "
    "select p.* from ("
    "  select x.customer_no, x.product_no, " PAIR_COLUMNS(OF_GIVEN("half_life"), OF_GIVEN("at")) " from ("
    "    select " EVENT_THING(OF_GIVEN("other")) " from events e left join w on w.type = e.type "
    "    where " EVENT_COUNTS " and e.occurred_at < " OF_GIVEN("until")
    "    union all "
    "    select " LINE_THING(OF_GIVEN("purchase"), OF_GIVEN("returned")) " from order_lines l "
    "    where " LINE_COUNTS " and l.ordered_at < " OF_GIVEN("until") ") x "
    "  where not exists (select from refused r where r.customer_no = x.customer_no) "
    "  group by x.customer_no, x.product_no) p "
    "order by p.customer_no, p.last_at, p.product_no) to stdout (format binary)", SQL_NOTHING};

static const struct sql SET_UNTIL = {"interactions_set_until",
    "select set_config('meros.as_of', coalesce($1::timestamptz, 'infinity')::text, true)", SQL_ROW};
static const struct sql BASKETS = {"interactions_baskets",
    "copy (with given as materialized (select current_setting('meros.as_of')::timestamptz as until), "
    "refused as materialized (select c.customer_no from customers c where not (" PROFILING_ALLOWED ")) "
    "select l.order_no, l.customer_no, l.product_no, min(l.ordered_at) from order_lines l "
    "where " LINE_COUNTS " and " LINE_UNITS " > 0 and l.ordered_at < " OF_GIVEN("until")
    "  and not exists (select from refused r where r.customer_no = l.customer_no) "
    "group by l.order_no, l.customer_no, l.product_no order by l.order_no, l.product_no) to stdout (format binary)", SQL_NOTHING};

struct reading {
    interaction_fn row;
    basket_fn basket;
    void *arg;
};

static enum meros_code pair(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct reading *r = arg;
    if (n != 6) return err_set(err, MEROS_INTERNAL, "The query for interactions gave %d columns.", n);
    const int64_t purchases = copy_int(&f[5]);
    const struct interaction_row row = {
        .customer_no = copy_int(&f[0]),
        .product_no = copy_int(&f[1]),
        .weight = copy_num(&f[2]),
        .last_at = copy_time(&f[3]),
        .bought_at = f[4].p == NULL ? TIME_NONE : copy_time(&f[4]),
        .purchases = purchases > INT32_MAX ? INT32_MAX : (int32_t)purchases,
    };
    return r->row(r->arg, &row, err);
}

static enum meros_code basket(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct reading *r = arg;
    if (n != 4) return err_set(err, MEROS_INTERNAL, "The query for baskets gave %d columns.", n);
    return r->basket(r->arg, copy_int(&f[0]), copy_int(&f[1]), copy_int(&f[2]), copy_time(&f[3]), err);
}

enum meros_code store_interactions_all(struct store_conn *c, const struct interaction_weights *w, int64_t as_of, interaction_fn fn,
                                       void *arg, struct meros_err *err)
{
    struct reading reading = {.row = fn, .arg = arg};
    struct str types[INTERACTION_TYPES_MAX];
    const double numbers[] = {w->purchase, w->returned, w->other, w->half_life_days};
    struct rows r;
    for (size_t i = 0; i < w->n; i++) types[i] = str_of(w->type[i]);
    TRY(sql_exec(c, &SET, &r, err, P_TIME(as_of), P_TEXTS(types, w->n), P_NUMS(w->weight, w->n), P_NUMS(numbers, 4)));
    rows_done(&r);
    return copy_out(c, &ALL, pair, &reading, err);
}

enum meros_code store_baskets_all(struct store_conn *c, int64_t as_of, basket_fn fn, void *arg, struct meros_err *err)
{
    struct reading reading = {.basket = fn, .arg = arg};
    struct rows r;
    TRY(sql_exec(c, &SET_UNTIL, &r, err, P_TIME(as_of)));
    rows_done(&r);
    return copy_out(c, &BASKETS, basket, &reading, err);
}
