#include "meros/store/changed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "changes_priv.h"
#include "meros/base/clock.h"

/* Rows of $1 customers each; more than fit into one are bulk. */
#define SLICED(customers)                                                                                    \
    "select max(part) over () > 0, count, nos "                                                              \
    "from (select (place - 1) / $1::bigint as part, count(*), array_agg(customer_no) as nos "                \
    "      from (select customer_no, row_number() over (order by customer_no) as place from " customers ") numbered " \
    "      group by 1) slices order by part"

static const struct sql NOTE = {"changed_note",
    "insert into changed_customers (customers, customer_nos) "
    "select count(*), array_agg(no) from unnest($1::bigint[]) with ordinality as given (no, place) group by (place - 1) / $2",
    SQL_NOTHING};
static const struct sql EVERYBODY = {"changed_note_everybody",
    "insert into changed_customers (bulk, origin, customers, customer_nos) "
    "select true, '-', count(*), array_agg(customer_no) "
    "from (select customer_no, (row_number() over (order by customer_no) - 1) / $1::bigint as part from customers) c "
    "where not exists (select from changed_customers where bulk) group by part order by part", SQL_NOTHING};
static const struct sql EVERYBODY_DUE = {"changed_everybody_due",
    "insert into meros_settings as s (name, value) values ('everybody_due_at', clock_timestamp()::text) "
    "on conflict (name) do update set value = excluded.value "
    "where s.value::timestamptz < clock_timestamp() - make_interval(hours => $1::bigint::int) returning xmax::text <> '0'", SQL_ROW_OR_NONE};
/* Rows that another replica is taking are locked; the first is taken however large it is. */
static const struct sql TAKE = {"changed_take",
    "with waiting as materialized (select change_no, customers from changed_customers where bulk = $1::boolean "
    "  order by change_no limit 500 for update skip locked), "
    "few as (select change_no from (select change_no, customers, sum(customers) over (order by change_no) as up_to from waiting) w "
    "        where up_to <= $2 or up_to = customers), "
    "taken as (delete from changed_customers d using few where d.bulk = $1::boolean and d.change_no = few.change_no "
    "          returning d.customer_nos, d.changed_at, nullif(coalesce(d.origin, '*'), '-') as origin) "
    "select no, min(min(changed_at)) over (), case when min(origin) <> max(origin) then '*' else min(origin) end "
    "from taken cross join unnest(customer_nos) as u (no) group by no order by no", SQL_ROWS};
static const struct sql TELL = {"changed_tell", "select count(pg_notify('meros_shelves', p)) from unnest($1::text[]) as u (p)", SQL_ROW};
static const struct sql WAITING = {"changed_waiting",
    "select coalesce(extract(epoch from clock_timestamp() - min(changed_at)), 0)::float8, coalesce(sum(customers), 0)::bigint "
    "from changed_customers", SQL_ROW};

/* A shared lock of the session says that somebody is at work; it goes with the session, however that ends. */
static const struct sql BEGIN = {"extraction_begin", "select pg_advisory_lock_shared(" CHANGES_LOCKS ", 2)", SQL_ROW};
static const struct sql END = {"extraction_end", "select pg_advisory_unlock_shared(" CHANGES_LOCKS ", 2)", SQL_ROW};
static const struct sql REMEMBER = {"changed_remember",
    "insert into judged_meanwhile (customer_no) select no from unnest($1::bigint[]) as judged (no) "
    "where (select exists (select from pg_locks where locktype = 'advisory' and classid = " CHANGES_LOCKS " and objid = 2 "
    "                      and objsubid = 2 and granted "
    "                      and database = (select oid from pg_database where datname = current_database()))) "
    "order by no on conflict do nothing", SQL_NOTHING};
static const struct sql AGAIN = {"changed_again",
    "with gone as (delete from judged_meanwhile where (select pg_try_advisory_xact_lock(" CHANGES_LOCKS ", 2)) returning customer_no) "
    "insert into changed_customers (bulk, origin, customers, customer_nos) "
    "select bulk, '-', customers, nos from (" SLICED("gone") ") s (bulk, customers, nos)", SQL_NOTHING};
static const struct sql ANY = {"changed_any",
    "select exists (select from changed_customers), exists (select from judged_meanwhile), exists (select from pending_moves)", SQL_ROW};

enum meros_code store_changed_note(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err)
{
    if (n == 0) return MEROS_OK;
    return sql_exec(c, &NOTE, NULL, err, P_INTS(customer_nos, n), P_INT(CHANGED_ROW_MAX));
}

enum meros_code store_changed_note_everybody(struct store_conn *c, int64_t *out_rows, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &EVERYBODY, &r, err, P_INT(CHANGED_ROW_MAX));
    if (rc != MEROS_OK) return rc;
    *out_rows = r.affected;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_changed_everybody_due(struct store_conn *c, int hours, bool *out_due, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &EVERYBODY_DUE, &r, err, P_INT(hours));
    if (rc != MEROS_OK) return rc;
    *out_due = r.n == 1 && rows_bool(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

/* --- whoever keeps something of customers in memory hears who changed, unless they did it themselves */
enum { TOLD_MAX = 32 };
struct telling {
    struct str payloads[TOLD_MAX];
    size_t n, len; /* len: of the last one */
    char *memory;  /* TOLD_MAX payloads */
};

static void tell_one(struct telling *t, struct str origin, int64_t no)
{
    char number[24];
    const size_t digits = (size_t)snprintf(number, sizeof number, " %lld", (long long)no);
    struct str *last = &t->payloads[t->n > 0 ? t->n - 1 : 0];
    if (t->n == 0 || last->n + digits >= STORE_PAYLOAD_MAX || !str_eq((struct str){last->p, origin.n}, origin)) {
        if (t->n == TOLD_MAX) return;
        last = &t->payloads[t->n];
        *last = (struct str){t->memory + t->n * STORE_PAYLOAD_MAX, origin.n};
        memcpy(t->memory + t->n * STORE_PAYLOAD_MAX, origin.p, origin.n);
        t->n++;
    }
    memcpy(t->memory + (t->n - 1) * STORE_PAYLOAD_MAX + last->n, number, digits);
    last->n += digits;
}

/* Rows (number, …, origin): those of one origin after another, so that few messages hold many. */
static bool put_origins(struct telling *t, const struct rows *r)
{
    struct str seen[TOLD_MAX];
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++) {
        const struct str origin = rows_text(r, i, 2);
        size_t k = 0;
        while (k < n && !str_eq(seen[k], origin)) k++;
        if (rows_null(r, i, 2) || k < n) continue;
        if (n == TOLD_MAX || origin.n > 64) return false;
        seen[n++] = origin;
        for (size_t j = i; j < r->n; j++)
            if (!rows_null(r, j, 2) && str_eq(rows_text(r, j, 2), origin)) tell_one(t, origin, rows_int(r, j, 0));
    }
    return t->n < TOLD_MAX;
}

static enum meros_code tell(struct store_conn *c, const struct rows *taken, struct meros_err *err)
{
    struct telling t = {.memory = malloc((size_t)TOLD_MAX * STORE_PAYLOAD_MAX)};
    struct rows r;
    if (t.memory == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the customers that changed.");
    if (!put_origins(&t, taken)) { /* everybody may be meant */
        t.payloads[0] = STR("* *");
        t.n = 1;
    }
    enum meros_code rc = MEROS_OK;
    if (t.n > 0 && (rc = sql_exec(c, &TELL, &r, err, P_TEXTS(t.payloads, t.n))) == MEROS_OK) rows_done(&r);
    free(t.memory);
    return rc;
}

enum meros_code store_changed_take(struct store_conn *c, bool bulk, int64_t **out_nos, size_t *out_n, int64_t *out_since,
                                   struct meros_err *err)
{
    struct rows r;
    int64_t *nos = NULL;
    enum meros_code rc = sql_exec(c, &TAKE, &r, err, P_BOOL(bulk), P_INT(CHANGED_ROW_MAX));
    if (rc != MEROS_OK) return rc;
    if (r.n > 0 && (nos = malloc(r.n * sizeof *nos)) == NULL) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the customers that changed.");
    } else {
        for (size_t i = 0; i < r.n; i++) nos[i] = rows_int(&r, i, 0);
        *out_nos = nos;
        *out_n = r.n;
        *out_since = r.n > 0 ? rows_time(&r, 0, 1) : TIME_NONE;
        rc = tell(c, &r, err);
    }
    rows_done(&r);
    return rc;
}

enum meros_code store_changed_waiting(struct store_conn *c, double *out_seconds, int64_t *out_customers, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &WAITING, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_seconds = rows_num(&r, 0, 0);
    *out_customers = rows_int(&r, 0, 1);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_extraction_begin(struct store_conn *c, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &BEGIN, &r, err);
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

void store_extraction_end(struct store_conn *c)
{
    struct rows r;
    if (c != NULL && !store_broken(c) && sql_exec0(c, &END, &r, NULL) == MEROS_OK) rows_done(&r);
}

enum meros_code store_changed_remember(struct store_conn *c, const int64_t *nos, size_t n, struct meros_err *err)
{
    return n == 0 ? MEROS_OK : sql_exec(c, &REMEMBER, NULL, err, P_INTS(nos, n));
}

enum meros_code store_changed_again(struct store_conn *c, struct meros_err *err)
{
    return sql_exec(c, &AGAIN, NULL, err, P_INT(CHANGED_ROW_MAX));
}

/* By look-ups: those noted may be everybody, and are nearly always few. */
static const struct sql GONE = {"changed_gone",
    "select distinct no from (select unnest(customer_nos) as no from changed_customers union all select customer_no from judged_meanwhile) n "
    "where not exists (select from customers c where c.customer_no = n.no offset 0)", SQL_ROWS};

enum meros_code changed_gone(struct store_conn *c, int64_t **out_nos, size_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &GONE, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_n = r.n;
    *out_nos = calloc(r.n + 1, sizeof **out_nos);
    for (size_t i = 0; *out_nos != NULL && i < r.n; i++) (*out_nos)[i] = rows_int(&r, i, 0);
    rows_done(&r);
    return *out_nos != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for customers who are gone.");
}

enum meros_code store_changed_any(struct store_conn *c, bool *out_noted, bool *out_remembered, bool *out_pending, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &ANY, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_noted = rows_bool(&r, 0, 0);
    *out_remembered = rows_bool(&r, 0, 1);
    *out_pending = rows_bool(&r, 0, 2);
    rows_done(&r);
    return MEROS_OK;
}

/* --- imports: whoever they touched is gathered in a temporary table, whatever the dataset */
static const struct sql MAKE_GATHERED = {"changed_make_gathered",
    "create temp table if not exists import_changed (customer_no bigint) on commit delete rows", SQL_NOTHING};
static const struct sql NOTE_GATHERED = {"changed_note_gathered",
    "with s (bulk, customers, nos) as materialized (" SLICED("(select distinct customer_no from import_changed) d") "), "
    "noted as (insert into changed_customers (bulk, customers, customer_nos) select bulk, customers, nos from s) "
    "select unnest(nos) from s", SQL_ROWS};
static const struct sql NOTE_BULK = {"changed_note_bulk",
    "insert into changed_customers (bulk, customers, customer_nos) " SLICED("(select distinct no as customer_no from unnest($2::bigint[]) as u (no)) d"), SQL_NOTHING};

enum meros_code changed_gather_prepare(struct store_conn *c, struct meros_err *err)
{
    return sql_exec0(c, &MAKE_GATHERED, NULL, err);
}

enum meros_code changed_note_gathered(struct store_conn *c, changed_fn *fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &NOTE_GATHERED, &r, err, P_INT(CHANGED_ROW_MAX));
    if (rc != MEROS_OK) return rc;
    for (size_t k = 0; k < r.n && rc == MEROS_OK; k++) rc = fn(arg, rows_int(&r, k, 0), err);
    rows_done(&r);
    return rc;
}

enum meros_code changed_note_bulk(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err)
{
    return sql_exec(c, &NOTE_BULK, NULL, err, P_INT(CHANGED_ROW_MAX), P_INTS(customer_nos, n));
}
