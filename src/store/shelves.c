/* What some customers had to do with products, live. What weighs how much is said in interactions_priv.h, for training too. */
#include "meros/store/interactions.h"

#include "interactions_priv.h"
#include "store_priv.h"

/* One look-up an index and customer. The events are limited before they are looked at, so that a customer with a hundred thousand
 * page views costs no more than one with two thousand. The order makes each customer's rows follow one another, oldest first. */
static const struct sql SHELVES = {"shelves",
    "select i.at, c.customer_no, c.customer_id, " PROFILING_ALLOWED ", "
    "  (select sum(s.count)::bigint from customer_event_stats s where s.customer_no = c.customer_no), "
    "  p.product_no, p.weight, p.last_at, p.bought_at, p.purchases "
    "from unnest($1::text[]) with ordinality as i (id, at) "
    "join customer_ids n on n.customer_id = i.id "
    "join customers c on c.customer_no = n.customer_no "
    "left join lateral ("
    "  select x.product_no, " PAIR_COLUMNS("$2::float8", "$3::timestamptz") " from ("
    "    select " EVENT_THING("$6::float8")
    "    from (select * from events where customer_no = c.customer_no order by occurred_at desc limit $9::bigint) e "
    "    left join unnest($4::text[], $5::float8[]) as w (type, weight) on w.type = e.type where " EVENT_COUNTS
    "    union all "
    "    select " LINE_THING("$7::float8", "$8::float8") " from order_lines l where l.customer_no = c.customer_no and " LINE_COUNTS ") x "
    "  group by x.product_no) p on true "
    "order by i.at, p.last_at, p.product_no", SQL_ROWS};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for what customers had to do with products.");
}

/* rows: as many as r holds; each customer's are a part of them. */
static bool take(const struct rows *r, struct interaction_row *rows, struct arena *arena, struct customer_shelf *out)
{
    for (size_t k = 0; k < r->n; k++) {
        struct customer_shelf *s = &out[rows_int(r, k, 0) - 1];
        if (!s->known) {
            const struct str id = rows_text(r, k, 2);
            *s = (struct customer_shelf){.known = true, .profiling = rows_bool(r, k, 3), .customer_no = rows_int(r, k, 1),
                                         .events = rows_int(r, k, 4), .rows = rows + k,
                                         .customer_id = {arena_strndup(arena, id.p, id.n), id.n}};
            if (s->customer_id.p == NULL) return false;
        }
        if (rows_null(r, k, 5)) continue; /* nothing happened */
        const int64_t purchases = rows_int(r, k, 9);
        rows[k] = (struct interaction_row){.customer_no = s->customer_no, .product_no = rows_int(r, k, 5), .weight = rows_num(r, k, 6),
                                           .last_at = rows_time(r, k, 7), .bought_at = rows_time(r, k, 8),
                                           .purchases = purchases > INT32_MAX ? INT32_MAX : (int32_t)purchases};
        s->n++;
    }
    return true;
}

enum meros_code store_shelves(struct store_conn *c, const struct str *names, size_t n, const struct interaction_weights *w, int64_t at,
                              struct arena *arena, struct customer_shelf *out, struct meros_err *err)
{
    struct str types[INTERACTION_TYPES_MAX];
    struct rows r;
    for (size_t k = 0; k < w->n; k++) types[k] = str_of(w->type[k]);
    for (size_t k = 0; k < n; k++) out[k] = (struct customer_shelf){0};
    enum meros_code rc = sql_exec(c, &SHELVES, &r, err, P_TEXTS(names, n), P_NUM(w->half_life_days), P_TIME(at), P_TEXTS(types, w->n),
                                  P_NUMS(w->weight, w->n), P_NUM(w->other), P_NUM(w->purchase), P_NUM(w->returned),
                                  P_INT(INTERACTION_EVENTS_MAX));
    if (rc != MEROS_OK) return rc;
    struct interaction_row *rows = arena_array(arena, r.n + 1, sizeof *rows);
    if (rows == NULL || !take(&r, rows, arena, out)) rc = no_memory(err);
    rows_done(&r);
    return rc;
}

/* Whoever did or bought something last. Reads everybody's statistics: for the background. */
static const struct sql ACTIVE = {"shelves_active",
    "select c.customer_id from ("
    "  select customer_no, max(at) as at from ("
    "    select customer_no, decayed_at as at from customer_event_stats union all select customer_no, last_any_at from customer_stats) a "
    "  group by customer_no order by 2 desc limit $1) l join customers c using (customer_no) order by l.at desc", SQL_ROWS};

enum meros_code store_shelves_active(struct store_conn *c, size_t most, struct arena *arena, const struct str **out, size_t *out_n,
                                     struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &ACTIVE, &r, err, P_INT((int64_t)most));
    if (rc != MEROS_OK) return rc;
    struct str *names = arena_array(arena, r.n + 1, sizeof *names);
    if (names == NULL) rc = no_memory(err);
    for (size_t k = 0; k < r.n && rc == MEROS_OK; k++) {
        const struct str id = rows_text(&r, k, 0);
        names[k] = (struct str){arena_strndup(arena, id.p, id.n), id.n};
        if (names[k].p == NULL) rc = no_memory(err);
    }
    if (rc == MEROS_OK) *out = names, *out_n = r.n;
    rows_done(&r);
    return rc;
}
