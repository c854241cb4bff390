#include "meros/store/clv_list.h"

#include <math.h>
#include <stdlib.h>
#include "changes_priv.h"
#include "imports_priv.h"
#include "meros/store/changed.h"

/* --- everybody */

static const struct sql REPLACE_LOCK = {"clv_replace_lock", "lock table customer_clv in share row exclusive mode", SQL_NOTHING};
static const struct sql REPLACE_CLEAR = {"clv_replace_clear", "delete from customer_clv", SQL_NOTHING};
static const struct sql REPLACE_IN = {"clv_replace_in",
    "copy customer_clv (customer_no, worth, p_alive, expected_orders, expected_order_value, population, evaluated_at, model_no) "
    "from stdin (format binary)", SQL_NOTHING};
static const struct sql REPLACE_DROP_ERASED = {"clv_replace_drop_erased",
    "delete from customer_clv v where not exists (select from customers c where c.customer_no = v.customer_no)", SQL_NOTHING};

static const struct sql REPLACE_NOTE = {"clv_replace_note",
    "insert into changed_customers (bulk, customers, customer_nos) select true, count(*), array_agg(customer_no) "
    "from (select customer_no, (row_number() over (order by customer_no) - 1) / $1::bigint as part from customer_clv) c "
    "where exists (select from models where kind = 'segments' and algorithm = 'value' and active) group by part order by part", SQL_NOTHING};

struct clv_replacing {
    struct store_conn *conn;
    struct copy_in copy;
    int64_t model_no;
};

enum meros_code store_clv_replace_lock(struct store_conn *c, struct meros_err *err)
{
    return sql_exec0(c, &REPLACE_LOCK, NULL, err);
}

enum meros_code store_clv_replace_begin(struct store_conn *c, int64_t model_no, struct clv_replacing **out, struct meros_err *err)
{
    struct clv_replacing *k = calloc(1, sizeof *k);
    if (k == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for writing predictions.");
    k->conn = c;
    k->model_no = model_no;
    enum meros_code rc = sql_exec0(c, &REPLACE_CLEAR, NULL, err);
    if (rc == MEROS_OK) rc = copy_in_begin(&k->copy, c, &REPLACE_IN, err);
    if (rc == MEROS_OK) *out = k;
    else free(k);
    return rc;
}

enum meros_code store_clv_replace_row(struct clv_replacing *k, const struct clv_row *row, struct meros_err *err)
{
    enum meros_code rc = copy_in_row(&k->copy, 8, err);
    if (rc != MEROS_OK) return rc;
    copy_in_int8(&k->copy, row->customer_no);
    copy_in_float8(&k->copy, row->worth);
    copy_in_float8(&k->copy, row->p_alive);
    copy_in_float8(&k->copy, row->expected_orders);
    copy_in_float8(&k->copy, row->expected_order_value);
    copy_in_bool(&k->copy, row->population);
    copy_in_time(&k->copy, row->evaluated_at);
    copy_in_int8(&k->copy, k->model_no);
    return MEROS_OK;
}

enum meros_code store_clv_replace_end(struct clv_replacing *k, struct meros_err *err)
{
    enum meros_code rc = copy_in_end(&k->copy, NULL, err);
    if (rc == MEROS_OK) rc = sql_exec0(k->conn, &REPLACE_DROP_ERASED, NULL, err);
    if (rc == MEROS_OK) rc = sql_exec(k->conn, &REPLACE_NOTE, NULL, err, P_INT(CHANGED_ROW_MAX));
    store_clv_replace_abort(k);
    return rc;
}

void store_clv_replace_abort(struct clv_replacing *k)
{
    if (k == NULL) return;
    copy_in_abort(&k->copy);
    free(k);
}

/* --- those who changed */

static const struct sql WRITE_LOCK = {"clv_write_lock", "lock table customer_clv in row exclusive mode", SQL_NOTHING};
/* After the lock: sees what whoever held it before has committed. */
static const struct sql IS_ACTIVE = {"clv_is_active", "select exists (select from models where model_no = $1 and active)", SQL_ROW};
/* The key is looked up before anything is written: nearly all who changed are worth what they were worth. */
static const struct sql WRITE = {"clv_write",
    "insert into customer_clv as v (customer_no, worth, p_alive, expected_orders, expected_order_value, population, evaluated_at, model_no) "
    "select n.no, n.worth, n.p_alive, n.orders, n.value, n.population <> 0, n.at, $8 "
    "from unnest($1::bigint[], $2::float8[], $3::float8[], $4::float8[], $5::float8[], $6::bigint[], $7::timestamptz[]) "
    "  as n (no, worth, p_alive, orders, value, population, at) "
    "left join customer_clv o on o.customer_no = n.no and o.model_no = $8 "
    "where (o.worth, o.p_alive, o.population) is distinct from (n.worth, n.p_alive, n.population <> 0) "
    "and exists (select from customers c where c.customer_no = n.no) order by n.no "
    "on conflict (customer_no) do update set worth = excluded.worth, p_alive = excluded.p_alive, "
    "  expected_orders = excluded.expected_orders, expected_order_value = excluded.expected_order_value, "
    "  population = excluded.population, evaluated_at = excluded.evaluated_at, model_no = excluded.model_no "
    "where v.model_no <> excluded.model_no or v.evaluated_at <= excluded.evaluated_at", SQL_NOTHING};
static const struct sql FORGET = {"clv_forget", "delete from customer_clv where customer_no = any($1)", SQL_NOTHING};
static const struct sql ACTIVE = {"clv_active",
    "select coalesce((select model_no from models where kind = 'clv' and name = $1 and active), 0)", SQL_ROW};

enum meros_code store_clv_write_lock(struct store_conn *c, struct meros_err *err)
{
    return sql_exec0(c, &WRITE_LOCK, NULL, err);
}

enum meros_code store_clv_forget(struct store_conn *c, int64_t customer_no, struct meros_err *err)
{
    return sql_exec(c, &FORGET, NULL, err, P_INTS(&customer_no, 1));
}

static enum meros_code write_rows(struct store_conn *c, int64_t model_no, const struct clv_row *rows, size_t n, struct meros_err *err)
{
    enum { NUMBERS = 4, INTS = 3 };
    double *nums = malloc(NUMBERS * n * sizeof *nums);
    int64_t *ints = malloc(INTS * n * sizeof *ints);
    enum meros_code rc = nums == NULL || ints == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for writing predictions.") : MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        nums[i] = rows[i].worth;
        nums[n + i] = rows[i].p_alive;
        nums[2 * n + i] = rows[i].expected_orders;
        nums[3 * n + i] = rows[i].expected_order_value;
        ints[i] = rows[i].customer_no;
        ints[n + i] = rows[i].population;
        ints[2 * n + i] = rows[i].evaluated_at;
    }
    if (rc == MEROS_OK)
        rc = sql_exec(c, &WRITE, NULL, err, P_INTS(ints, n), P_NUMS(nums, n), P_NUMS(nums + n, n), P_NUMS(nums + 2 * n, n),
                      P_NUMS(nums + 3 * n, n), P_INTS(ints + n, n), P_TIMES(ints + 2 * n, n), P_INT(model_no));
    free(nums);
    free(ints);
    return rc;
}

enum meros_code store_clv_write(struct store_conn *c, int64_t model_no, const struct clv_row *rows, size_t n, const int64_t *without,
                                size_t n_without, bool *out_active, struct meros_err *err)
{
    struct rows r;
    *out_active = true;
    if (n + n_without == 0) return MEROS_OK;
    TRY(store_clv_write_lock(c, err));
    TRY(sql_exec(c, &IS_ACTIVE, &r, err, P_INT(model_no)));
    *out_active = rows_bool(&r, 0, 0);
    rows_done(&r);
    if (!*out_active) return MEROS_OK;
    if (n > 0) TRY(write_rows(c, model_no, rows, n, err));
    return n_without == 0 ? MEROS_OK : sql_exec(c, &FORGET, NULL, err, P_INTS(without, n_without));
}

enum meros_code store_clv_active(struct store_conn *c, struct str name, int64_t *out_model_no, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &ACTIVE, &r, err, P_TEXT(name)));
    *out_model_no = rows_int(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

/* --- reading. All bounds are always given, so that one plan serves every page: a range of customer_clv_worth. */

#define PAGE_COLUMNS "v.customer_no, c.customer_id, v.worth, v.p_alive, v.expected_orders, v.expected_order_value, v.population, v.evaluated_at"
#define PAGE(from, than, direction)                                                                          \
    "select " PAGE_COLUMNS " from (select v.* from customer_clv v " from                                     \
    "  where (v.worth, v.customer_no) " than " ($1::float8, $2::bigint) and v.worth >= $3 and v.worth <= $4 " \
    "  and v.p_alive >= $5 and v.p_alive <= $6 "                                                             \
    "  and exists (select from customers k where k.customer_no = v.customer_no offset 0) "                   \
    "  order by v.worth " direction ", v.customer_no " direction " limit $7) v "                             \
    "join customers c on c.customer_no = v.customer_no order by v.worth " direction ", v.customer_no " direction
#define OF_SEGMENT                                                                                           \
    "join memberships m on m.customer_no = v.customer_no and m.segment_id = $8 "                             \
    "  and m.segmentation_no = (select segmentation_no from segmentations where name = $9) "
/* While moves are pending (pending.c): by look-ups, since the two tables in one would be joined as a whole. */
#define OF_SEGMENT_PENDING                                                                                   \
    "cross join lateral (select 1 from memberships m where m.customer_no = v.customer_no and m.segment_id = $8 " \
    "  and m.segmentation_no = (select segmentation_no from segmentations where name = $9) and not exists "  \
    "    (select from pending_moves p where p.customer_no = m.customer_no and p.segmentation_no = m.segmentation_no) " \
    "  union all select 1 from pending_moves p where p.customer_no = v.customer_no and p.segment_id = $8 "     \
    "  and p.segmentation_no = (select segmentation_no from segmentations where name = $9)) m "
static const struct sql PAGES[3][2] = {
    {{"clv_page_desc", PAGE("", "<", "desc"), SQL_ROWS}, {"clv_page_asc", PAGE("", ">", "asc"), SQL_ROWS}},
    {{"clv_page_segment_desc", PAGE(OF_SEGMENT, "<", "desc"), SQL_ROWS}, {"clv_page_segment_asc", PAGE(OF_SEGMENT, ">", "asc"), SQL_ROWS}},
    {{"clv_page_pending_desc", PAGE(OF_SEGMENT_PENDING, "<", "desc"), SQL_ROWS}, {"clv_page_pending_asc", PAGE(OF_SEGMENT_PENDING, ">", "asc"), SQL_ROWS}},
};

enum meros_code store_clv_page(struct store_conn *c, const struct clv_filter *f, const struct clv_place *after, int64_t limit,
                               clv_row_fn fn, void *arg, struct meros_err *err)
{
    const bool segment = str_present(f->segmentation);
    const double end = f->ascending ? -INFINITY : INFINITY;
    const struct sql_param params[] = {
        P_NUM(after->given ? after->worth : end), P_INT(after->given ? after->customer_no : f->ascending ? 0 : INT64_MAX),
        P_NUM(f->min_worth), P_NUM(f->max_worth), P_NUM(f->min_p_alive), P_NUM(f->max_p_alive), P_INT(limit),
        P_TEXT(f->segment_id), P_TEXT(f->segmentation)};
    struct rows r;
    bool pending = false;
    if (segment) TRY(pending_any(c, f->segmentation, &pending, err));
    TRY(sql_run(c, &PAGES[pending ? 2 : segment][f->ascending], &r, err, params, segment ? 9 : 7));
    for (size_t i = 0; i < r.n; i++) {
        const struct clv_row row = {rows_int(&r, i, 0), rows_num(&r, i, 2),  rows_num(&r, i, 3), rows_num(&r, i, 4),
                                    rows_num(&r, i, 5), rows_bool(&r, i, 6), rows_time(&r, i, 7)};
        fn(arg, rows_text(&r, i, 1), &row);
    }
    rows_done(&r);
    return MEROS_OK;
}

/* COPY takes no parameters; the segmentation is passed as a setting of the transaction. */
static const struct sql SET_SEGMENTATION = {"clv_set_segmentation",
    "select set_config('meros.clv_segmentation', coalesce((select segmentation_no from segmentations where name = $1), 0)::text, true)", SQL_ROW};
#define EACH_COLUMNS "v.customer_no, v.worth, v.p_alive, v.expected_orders, v.expected_order_value, v.population::int, v.evaluated_at"
static const struct sql EACH = {"clv_each",
    "copy (select null::text, " EACH_COLUMNS " from customer_clv v) to stdout (format binary)", SQL_NOTHING};
static const struct sql EACH_SEGMENT = {"clv_each_segment",
    "copy (select case when p.customer_no is null then m.segment_id else p.segment_id end, " EACH_COLUMNS " from customer_clv v "
    "left join memberships m on m.customer_no = v.customer_no and m.segmentation_no = (select current_setting('meros.clv_segmentation')::bigint) "
    "left join pending_moves p on p.customer_no = v.customer_no and p.segmentation_no = (select current_setting('meros.clv_segmentation')::bigint)) "
    "to stdout (format binary)", SQL_NOTHING};

struct each {
    clv_each_fn fn;
    void *arg;
};

static enum meros_code each_row(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    const struct each *e = arg;
    (void)n;
    const struct clv_row row = {copy_int(&f[1]), copy_num(&f[2]), copy_num(&f[3]), copy_num(&f[4]),
                                copy_num(&f[5]), copy_int(&f[6]) != 0, copy_time(&f[7])};
    return e->fn(e->arg, f[0].p == NULL ? STR_NONE : copy_text(&f[0]), &row, err);
}

enum meros_code store_clv_each(struct store_conn *c, struct str segmentation, clv_each_fn fn, void *arg, struct meros_err *err)
{
    struct each e = {fn, arg};
    struct rows r;
    if (!str_present(segmentation)) return copy_out(c, &EACH, each_row, &e, err);
    TRY(sql_exec(c, &SET_SEGMENTATION, &r, err, P_TEXT(segmentation)));
    rows_done(&r);
    return copy_out(c, &EACH_SEGMENT, each_row, &e, err);
}
