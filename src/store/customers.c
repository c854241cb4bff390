#include "meros/store/customers.h"

#include <math.h>
#include "imports_priv.h"
#include "meros/store/changed.h"
#include "meros/store/segment_changes.h"

static const struct sql NUMBER = {"customer_number", "select customer_no from customer_ids where customer_id = $1", SQL_ROW_OR_NONE};
static const struct sql MAKE = {"customer_make",
    "with ids as (insert into customer_ids (customer_id, customer_no) values ($1, nextval('customer_nos')) "
    "             on conflict do nothing returning customer_id, customer_no) "
    "insert into customers (customer_no, customer_id) select customer_no, customer_id from ids returning customer_no", SQL_ROW_OR_NONE};
/* A visitor of whom a client says something under this id is that customer from now on. */
#define NAMED(param) "customer_id = case when anonymous then " param " else customer_id end, anonymous = false, "
static const struct sql REPLACE = {"customer_replace",
    "update customers set " NAMED("$11") "created_at = $2, attributes = coalesce($3::jsonb, '{}'), consent = coalesce($4::jsonb, '{}'), "
    "email = $5, email_hash = $6, name = $7, name_hash = $8, phone = $9, phone_hash = $10, changed_at = now() "
    "where customer_no = $1", SQL_NOTHING};
/* $11: which fields are meant, as bits. Members of a patch join the old ones; null removes one. */
#define JOINED(column, param)                                                                                \
    "(" column " || " param "::jsonb) - array(select key from jsonb_each(" param "::jsonb) where value = 'null')"
static const struct sql PATCH = {"customer_patch",
    "update customers set " NAMED("$12") "created_at = case when $11::bigint & 1 <> 0 then $2 else created_at end, "
    "email = case when $11 & 2 <> 0 then $5 else email end, email_hash = case when $11 & 2 <> 0 then $6 else email_hash end, "
    "name = case when $11 & 4 <> 0 then $7 else name end, name_hash = case when $11 & 4 <> 0 then $8 else name_hash end, "
    "phone = case when $11 & 8 <> 0 then $9 else phone end, phone_hash = case when $11 & 8 <> 0 then $10 else phone_hash end, "
    "attributes = case when $11 & 16 <> 0 then " JOINED("attributes", "$3") " else attributes end, "
    "consent = case when $11 & 32 <> 0 then " JOINED("consent", "$4") " else consent end, changed_at = now() "
    "where customer_no = $1", SQL_NOTHING};

static const struct sql MAKE_VISITOR = {"customer_make_visitor",
    "with ids as (insert into customer_ids (customer_id, customer_no) values ($1, nextval('customer_nos')) "
    "             on conflict do nothing returning customer_id, customer_no) "
    "insert into customers (customer_no, customer_id, anonymous) select customer_no, customer_id, true from ids returning customer_no", SQL_ROW_OR_NONE};
static const struct sql CONSENT = {"customer_consent",
    "update customers set consent = " JOINED("consent", "$2") ", changed_at = now() where customer_no = $1", SQL_NOTHING};

#define COLUMNS "c.customer_no, c.customer_id, c.created_at, c.attributes::text, c.consent::text, c.email, c.name, c.phone"
static const struct sql GET = {"customer_get",
    "select " COLUMNS " from customer_ids i join customers c on c.customer_no = i.customer_no where i.customer_id = $1", SQL_ROW_OR_NONE};
static const struct sql LIST = {"customer_list",
    "select " COLUMNS " from customers c where c.customer_no > $1 order by c.customer_no limit $2", SQL_ROWS};
static const struct sql ORDERS = {"customer_orders",
    "select order_no, order_id, ordered_at, purchase, units::float8, revenue::float8 from orders "
    "where customer_no = $1 and ($2::timestamptz is null or (ordered_at, order_no) < ($2, $3)) "
    "order by ordered_at desc, order_no desc limit $4", SQL_ROWS};
static const struct sql LINES = {"customer_order_lines",
    "select l.order_no, p.product_id, l.line_id, l.ordered_at, l.quantity::float8, l.unit_price::float8, l.amount::float8 "
    "from order_lines l left join products p on p.product_no = l.product_no "
    "where l.customer_no = $1 and l.order_no = any($2::bigint[]) order by l.order_no, l.line_key", SQL_ROWS};
static const struct sql EVENTS = {"customer_events",
    "select e.event_id, e.type, p.product_id, e.properties::text, encode(uuid_send(e.event_key), 'hex'), e.occurred_at, "
    "  e.value::float8, e.quantity::float8 "
    "from events e left join products p on p.product_no = e.product_no "
    "where e.customer_no = $1 and ($2::timestamptz is null or (e.occurred_at, e.event_key) < ($2, $3::text::uuid)) "
    "order by e.occurred_at desc, e.event_key desc limit $4", SQL_ROWS};

static const struct sql ERASE_EVENTS = {"erase_events", "delete from events where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_OUTCOMES = {"erase_outcomes", "delete from outcomes where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_ORDER_IDS = {"erase_order_ids",
    "delete from order_ids i using orders o where o.customer_no = $1 and i.order_id = o.order_id", SQL_NOTHING};
static const struct sql ERASE_LINES = {"erase_lines", "delete from order_lines where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_ORDERS = {"erase_orders", "delete from orders where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_STATS = {"erase_stats", "delete from customer_stats where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_PAIRS = {"erase_products", "delete from customer_products where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_DAYS = {"erase_days", "delete from customer_days where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_ACTIVITY = {"erase_activity", "delete from customer_event_stats where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_MEMBERSHIPS = {"erase_memberships", "delete from memberships where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_PENDING = {"erase_pending_moves", "delete from pending_moves where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_CHANGES = {"erase_changes", "delete from segment_changes where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_NAMES = {"erase_names", "delete from customer_ids where customer_no = $1", SQL_NOTHING};
static const struct sql ERASE_CUSTOMER = {"erase_customer", "delete from customers where customer_no = $1", SQL_NOTHING};

/* 0 if there is none. */
static enum meros_code number_of(struct store_conn *c, struct str customer_id, int64_t *out, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &NUMBER, &r, err, P_TEXT(customer_id)));
    *out = r.n == 1 ? rows_int(&r, 0, 0) : 0;
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code unknown(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no customer with this id.");
}

static enum meros_code being_erased(struct meros_err *err)
{
    return err_set(err, MEROS_CONFLICT, "The customer is being erased at this moment; try again.");
}

static struct sql_param bytes(struct str s)
{
    return str_present(s) ? P_BYTES(s.p, s.n) : P_NULL;
}

/* *gone: there was such a customer a moment ago, who has been erased or joined to another since. */
static enum meros_code change_once(struct store_conn *c, struct str customer_id, const struct customer_change *change,
                                   const struct sealed_person *person, bool *created, bool *gone, struct meros_err *err)
{
    int64_t no;
    struct rows r;
    TRY(number_of(c, customer_id, &no, err));
    if (no == 0 && !change->replace) return unknown(err);
    if (no == 0) {
        TRY(sql_exec(c, &MAKE, &r, err, P_TEXT(customer_id)));
        *created = r.n == 1;
        if (r.n == 1) no = rows_int(&r, 0, 0);
        rows_done(&r);
        if (no == 0) TRY(number_of(c, customer_id, &no, err)); /* another writer was first */
        *gone = no == 0;
        if (*gone) return MEROS_OK;
    }
    const struct sql_param params[] = {
        P_INT(no), P_TIME(change->created_at), P_TEXT(change->attributes), P_TEXT(change->consent),
        bytes(person->email.sealed), bytes(person->email.hash), bytes(person->name.sealed), bytes(person->name.hash),
        bytes(person->phone.sealed), bytes(person->phone.hash),
        change->replace ? P_TEXT(customer_id) : P_INT((int64_t)change->given), P_TEXT(customer_id)};
    TRY(sql_run(c, change->replace ? &REPLACE : &PATCH, &r, err, params, change->replace ? 11 : 12));
    *gone = r.affected != 1;
    rows_done(&r);
    return *gone ? MEROS_OK : store_changed_note(c, &no, 1, err);
}

enum meros_code customers_change(struct store_conn *c, struct str customer_id, const struct customer_change *change,
                                 const struct sealed_person *person, bool *created, struct meros_err *err)
{
    *created = false;
    for (int attempt = 0; attempt < 3; attempt++) {
        bool gone = false;
        TRY(change_once(c, customer_id, change, person, created, &gone, err));
        if (!gone) return MEROS_OK;
    }
    return being_erased(err);
}

static enum meros_code consent_once(struct store_conn *c, struct str customer_id, struct str patch, bool *gone, struct meros_err *err)
{
    int64_t no;
    struct rows r;
    TRY(number_of(c, customer_id, &no, err));
    if (no == 0) {
        TRY(sql_exec(c, &MAKE_VISITOR, &r, err, P_TEXT(customer_id)));
        if (r.n == 1) no = rows_int(&r, 0, 0);
        rows_done(&r);
        if (no == 0) TRY(number_of(c, customer_id, &no, err)); /* another writer was first */
    }
    TRY(sql_exec(c, &CONSENT, &r, err, P_INT(no), P_TEXT(patch)));
    *gone = r.affected != 1;
    rows_done(&r);
    return *gone ? MEROS_OK : store_changed_note(c, &no, 1, err);
}

enum meros_code customers_consent(struct store_conn *c, struct str customer_id, struct str patch, struct meros_err *err)
{
    for (int attempt = 0; attempt < 3; attempt++) {
        bool gone = false;
        TRY(consent_once(c, customer_id, patch, &gone, err));
        if (!gone) return MEROS_OK;
    }
    return being_erased(err);
}

enum meros_code customers_erase(struct store_conn *c, struct str customer_id, struct erasure *out, struct meros_err *err)
{
    const struct {
        const struct sql *sql;
        int64_t *count;
    } steps[] = {{&ERASE_EVENTS, &out->events}, {&ERASE_OUTCOMES, NULL}, {&ERASE_ORDER_IDS, NULL},  {&ERASE_LINES, &out->order_lines},
                 {&ERASE_ORDERS, &out->orders}, {&ERASE_STATS, NULL},      {&ERASE_PAIRS, NULL}, {&ERASE_DAYS, NULL},
                 {&ERASE_ACTIVITY, NULL}, {&ERASE_MEMBERSHIPS, &out->memberships}, {&ERASE_PENDING, NULL}, {&ERASE_CHANGES, NULL},
                 {&ERASE_NAMES, &out->names}, {&ERASE_CUSTOMER, NULL}};
    *out = (struct erasure){0};
    TRY(import_lock(c, err));
    TRY(number_of(c, customer_id, &out->customer_no, err));
    if (out->customer_no == 0) return unknown(err);
    TRY(store_changes_lock(c, err)); /* nobody writes a membership of theirs from here on */
    for (size_t k = 0; k < sizeof steps / sizeof steps[0]; k++) {
        struct rows r;
        TRY(sql_exec(c, steps[k].sql, &r, err, P_INT(out->customer_no)));
        if (steps[k].count != NULL) *steps[k].count = r.affected;
        rows_done(&r);
    }
    return store_changed_note(c, &out->customer_no, 1, err); /* what is predicted of them goes with the sweep at the latest */
}

static enum meros_code give_customers(struct rows *r, customer_fn fn, void *arg, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r->n && rc == MEROS_OK; k++) {
        const struct customer_record x = {rows_int(r, k, 0),  rows_text(r, k, 1),  rows_time(r, k, 2),  rows_text(r, k, 3),
                                          rows_text(r, k, 4), rows_bytes(r, k, 5), rows_bytes(r, k, 6), rows_bytes(r, k, 7)};
        rc = fn(arg, &x, err);
    }
    rows_done(r);
    return rc;
}

enum meros_code customers_get(struct store_conn *c, struct str customer_id, customer_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &GET, &r, err, P_TEXT(customer_id)));
    if (r.n == 0) {
        rows_done(&r);
        return unknown(err);
    }
    return give_customers(&r, fn, arg, err);
}

enum meros_code customers_list(struct store_conn *c, int64_t after, int64_t limit, customer_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &LIST, &r, err, P_INT(after), P_INT(limit)));
    return give_customers(&r, fn, arg, err);
}

static enum meros_code give_orders(struct rows *orders, struct rows *lines, struct arena *arena, order_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct order_line_record *all = arena_array(arena, lines->n + 1, sizeof *all);
    if (all == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "The orders do not fit into memory; ask for less with ?limit=.");
    for (size_t k = 0; k < lines->n; k++)
        all[k] = (struct order_line_record){rows_text(lines, k, 1), rows_text(lines, k, 2), rows_time(lines, k, 3),
                                            rows_num(lines, k, 4),  rows_num(lines, k, 5),  rows_num(lines, k, 6)};
    for (size_t k = 0; k < orders->n; k++) {
        int64_t no = rows_int(orders, k, 0);
        size_t low = 0, high = lines->n; /* lines come by order_no: the first of this order */
        while (low < high) {
            size_t mid = low + (high - low) / 2;
            if (rows_int(lines, mid, 0) < no) low = mid + 1;
            else high = mid;
        }
        for (high = low; high < lines->n && rows_int(lines, high, 0) == no;) high++;
        const struct order_record x = {no, rows_text(orders, k, 1), rows_time(orders, k, 2), rows_bool(orders, k, 3),
                                       rows_num(orders, k, 4), rows_num(orders, k, 5), all + low, high - low};
        TRY(fn(arg, &x, err));
    }
    return MEROS_OK;
}

enum meros_code customers_orders(struct store_conn *c, struct str customer_id, int64_t before, int64_t before_no, int64_t limit,
                                 struct arena *arena, order_fn fn, void *arg, struct meros_err *err)
{
    int64_t no;
    struct rows orders, lines;
    TRY(number_of(c, customer_id, &no, err));
    if (no == 0) return unknown(err);
    TRY(sql_exec(c, &ORDERS, &orders, err, P_INT(no), P_TIME(before), P_INT(before_no), P_INT(limit)));
    int64_t *nos = arena_array(arena, orders.n + 1, sizeof *nos);
    enum meros_code rc = nos != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a list of orders.");
    for (size_t k = 0; rc == MEROS_OK && k < orders.n; k++) nos[k] = rows_int(&orders, k, 0);
    if (rc == MEROS_OK) rc = sql_exec(c, &LINES, &lines, err, P_INT(no), P_INTS(nos, orders.n));
    if (rc == MEROS_OK) {
        rc = give_orders(&orders, &lines, arena, fn, arg, err);
        rows_done(&lines);
    }
    rows_done(&orders);
    return rc;
}

enum meros_code customers_events(struct store_conn *c, struct str customer_id, int64_t before, struct str before_key, int64_t limit,
                                 event_fn fn, void *arg, struct meros_err *err)
{
    int64_t no;
    struct rows r;
    TRY(number_of(c, customer_id, &no, err));
    if (no == 0) return unknown(err);
    TRY(sql_exec(c, &EVENTS, &r, err, P_INT(no), P_TIME(before), P_TEXT(before_key), P_INT(limit)));
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r.n && rc == MEROS_OK; k++) {
        const struct event_record x = {rows_text(&r, k, 0), rows_text(&r, k, 1), rows_text(&r, k, 2), rows_text(&r, k, 3),
                                       rows_text(&r, k, 4), rows_time(&r, k, 5), rows_num(&r, k, 6),  rows_num(&r, k, 7)};
        rc = fn(arg, &x, err);
    }
    rows_done(&r);
    return rc;
}
