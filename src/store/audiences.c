#include "meros/store/audiences.h"

#include <math.h>
#include <stdlib.h>
#include "audience_sql_priv.h"

/* --- rules */

#define AUDIENCE "select name, description, rule::text, created_at, changed_at from audiences "

/* Of one that is there, xmax is the transaction that replaces it. */
static const struct sql PUT = {"audience_put",
    "insert into audiences as a (name, description, rule) select $1, $2, $3::json "
    "where exists (select from audiences where name = $1) or (select count(*) from audiences) < $4 "
    "on conflict (name) do update set description = excluded.description, rule = excluded.rule, "
    "changed_at = case when a.description is not distinct from excluded.description and a.rule::text = excluded.rule::text "
    "then a.changed_at else now() end returning xmax = 0", SQL_ROW_OR_NONE};
static const struct sql GET = {"audience_get", AUDIENCE "where name = $1", SQL_ROW_OR_NONE};
static const struct sql LIST = {"audience_list", AUDIENCE "where name > $1 order by name limit $2", SQL_ROWS};
static const struct sql DELETE = {"audience_delete", "delete from audiences where name = $1 returning 1", SQL_ROW_OR_NONE};

static enum meros_code give(enum meros_code rc, struct rows *r, audience_row_fn fn, void *arg)
{
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r->n; i++) {
        const struct audience_row x = {rows_text(r, i, 0), rows_text(r, i, 1), rows_text(r, i, 2), rows_time(r, i, 3), rows_time(r, i, 4)};
        fn(arg, &x);
    }
    rows_done(r);
    return MEROS_OK;
}

static enum meros_code no_such(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no audience with this name; GET /v1/audiences lists those that exist.");
}

enum meros_code store_audience_put(struct store_conn *c, struct str name, struct str description, struct str rule, bool *out_created,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &PUT, &r, err, P_TEXT(name), P_TEXT(description), P_TEXT(rule), P_INT(AUDIENCES_MAX));
    if (rc != MEROS_OK) return rc;
    if (r.n == 1) *out_created = rows_bool(&r, 0, 0);
    else rc = err_set(err, MEROS_CONFLICT, "There are %d audiences, as many as there may be; delete one first.", AUDIENCES_MAX);
    rows_done(&r);
    return rc;
}

enum meros_code store_audience_get(struct store_conn *c, struct str name, audience_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &GET, &r, err, P_TEXT(name));
    if (rc == MEROS_OK && r.n == 0) {
        rows_done(&r);
        return no_such(err);
    }
    return give(rc, &r, fn, arg);
}

enum meros_code store_audience_list(struct store_conn *c, struct str after, int64_t limit, audience_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    return give(sql_exec(c, &LIST, &r, err, P_TEXT(after), P_INT(limit)), &r, fn, arg);
}

enum meros_code store_audience_delete(struct store_conn *c, struct str name, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &DELETE, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = no_such(err);
    rows_done(&r);
    return rc;
}

/* --- whom a rule means. before and behind stand around the condition; their own parameters come after AUDIENCE_PARAMS. */

static enum meros_code ask(struct store_conn *c, const struct audience_question *q, bool everybody, const char *before, const char *behind,
                           enum sql_expect expect, const struct sql_param *own, size_t n_own, struct rows *out, struct meros_err *err)
{
    struct audience_sql x;
    struct sql_param params[AUDIENCE_PARAMS_MAX];
    struct buf text;
    buf_init(&text, 2 << 20);
    enum meros_code rc = audience_sql_make(&x, q, everybody, err);
    if (rc == MEROS_OK) {
        buf_printf(&text, "%s%s where %s%s", before, x.from.data, x.where.data, behind);
        audience_sql_params(&x, q, params);
        if (n_own > 0) memcpy(params + AUDIENCE_PARAMS, own, n_own * sizeof *own);
        if (text.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
    }
    if (rc == MEROS_OK) rc = sql_run_made(c, &(struct sql){"audience", text.data, expect}, out, err, params, AUDIENCE_PARAMS + n_own);
    buf_done(&text);
    audience_sql_done(&x);
    return rc;
}

enum meros_code store_audience_count(struct store_conn *c, const struct audience_question *q, int64_t *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = ask(c, q, true, "select count(*)", "", SQL_ROW, NULL, 0, &r, err);
    if (rc != MEROS_OK) return rc;
    *out = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_audience_page(struct store_conn *c, const struct audience_question *q, int64_t after, int64_t limit,
                                    audience_member_fn fn, void *arg, struct meros_err *err)
{
    const struct sql_param own[] = {P_INT(after), P_INT(limit)};
    struct rows r;
    enum meros_code rc = ask(c, q, false, "select c.customer_no, c.customer_id", " and c.customer_no > $6 order by c.customer_no limit $7", SQL_ROWS,
                             own, 2, &r, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) fn(arg, rows_int(&r, i, 0), rows_text(&r, i, 1));
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_audience_sample(struct store_conn *c, const struct audience_question *q, int64_t most, struct arena *arena,
                                      const struct str **out, size_t *out_n, int64_t *out_members, struct meros_err *err)
{
    const struct sql_param own[] = {P_INT(most)};
    struct rows r;
    enum meros_code rc = ask(c, q, true, "select c.customer_id, count(*) over ()", " order by hashint8(c.customer_no), c.customer_no limit $6", SQL_ROWS,
                             own, 1, &r, err);
    if (rc != MEROS_OK) return rc;
    struct str *ids = arena_array(arena, r.n + 1, sizeof *ids);
    if (ids == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the members.");
    for (size_t i = 0; i < r.n && rc == MEROS_OK; i++) {
        const struct str id = rows_text(&r, i, 0);
        ids[i] = (struct str){arena_strndup(arena, id.p, id.n), id.n};
        if (ids[i].p == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the members.");
    }
    if (rc == MEROS_OK) {
        *out = ids;
        *out_n = r.n;
        *out_members = r.n > 0 ? rows_int(&r, 0, 1) : 0;
    }
    rows_done(&r);
    return rc;
}

/* --- what rules ask of some customers */

static const struct sql EVENTS = {"audience_events",
    "select i.at, q.at, (select count(*) from events k where k.customer_no = i.no and k.kind = q.kind and k.type = q.type "
    "  and (q.since is null or k.occurred_at between q.since and q.until) "
    "  and (q.product is null or k.product_no = (select p.product_no from products p where p.product_id = q.product)) "
    "  and (q.category is null or k.product_no in (select p.product_no from products p "
    "       where p.category = q.category or starts_with(p.category, q.category || '/')))) "
    "from unnest($1::bigint[]) with ordinality as i (no, at) "
    "cross join unnest($2::bigint[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::text[], $7::text[]) "
    "  with ordinality as q (kind, type, since, until, product, category, at)", SQL_ROWS};

enum meros_code store_audience_events(struct store_conn *c, const int64_t *customer_nos, size_t n, const struct audience_leaf *const *leaves,
                                      size_t n_leaves, int64_t now, int64_t *counts, struct meros_err *err)
{
    enum { INTS = 3, TEXTS = 3 };
    struct rows r;
    int64_t *ints = calloc(INTS * n_leaves + 1, sizeof *ints);
    struct str *texts = calloc(TEXTS * n_leaves + 1, sizeof *texts);
    enum meros_code rc = ints == NULL || texts == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rules.") : MEROS_OK;
    for (size_t l = 0; l < n_leaves && rc == MEROS_OK; l++) {
        ints[l] = event_kind_of(leaves[l]->key);
        ints[n_leaves + l] = ints[2 * n_leaves + l] = TIME_NONE;
        if (!isnan(leaves[l]->days)) audience_window(leaves[l], now, &ints[n_leaves + l], &ints[2 * n_leaves + l]);
        texts[l] = leaves[l]->key;
        texts[n_leaves + l] = leaves[l]->product_id;
        texts[2 * n_leaves + l] = leaves[l]->category;
    }
    if (rc == MEROS_OK)
        rc = sql_exec(c, &EVENTS, &r, err, P_INTS(customer_nos, n), P_INTS(ints, n_leaves), P_TEXTS(texts, n_leaves), P_TIMES(ints + n_leaves, n_leaves),
                      P_TIMES(ints + 2 * n_leaves, n_leaves), P_TEXTS(texts + n_leaves, n_leaves), P_TEXTS(texts + 2 * n_leaves, n_leaves));
    free(ints);
    free(texts);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n; i++) counts[(size_t)(rows_int(&r, i, 0) - 1) * n_leaves + (size_t)(rows_int(&r, i, 1) - 1)] = rows_int(&r, i, 2);
    rows_done(&r);
    return MEROS_OK;
}

static const struct sql CLV = {"audience_clv",
    "select i.at, v.customer_no, v.worth, v.p_alive, v.expected_orders, v.expected_order_value, v.population, v.evaluated_at "
    "from unnest($1::bigint[]) with ordinality as i (no, at) join customer_clv v on v.customer_no = i.no", SQL_ROWS};

enum meros_code store_audience_clv(struct store_conn *c, const int64_t *customer_nos, size_t n, struct clv_row *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &CLV, &r, err, P_INTS(customer_nos, n));
    if (rc != MEROS_OK) return rc;
    memset(out, 0, n * sizeof *out);
    for (size_t i = 0; i < r.n; i++)
        out[rows_int(&r, i, 0) - 1] = (struct clv_row){rows_int(&r, i, 1), rows_num(&r, i, 2), rows_num(&r, i, 3), rows_num(&r, i, 4),
                                                       rows_num(&r, i, 5), rows_bool(&r, i, 6), rows_time(&r, i, 7)};
    rows_done(&r);
    return MEROS_OK;
}
