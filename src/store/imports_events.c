/* Events into their table. The identity of an event is its event_id, or its content where it has none, within its
 * customer. A batch is staged, compared with the rows before it in the file and with what is stored, then inserted;
 * activity is kept by adding what the new events bring, and made anew for customers of whom an event was changed. */
#include "imports_priv.h"
#include "meros/base/buf.h"
#include "event_sql_priv.h"

static const struct sql MAKE_STAGE = {"events_make_stage",
    "create temp table if not exists event_stage (seq bigint, customer_no bigint, event_key uuid, kind integer, type text, "
    "occurred_at timestamptz, product_no bigint, value numeric, quantity numeric, properties jsonb, event_id text) "
    "on commit delete rows", SQL_NOTHING};
static const struct sql MAKE_MERGE = {"events_make_merge",
    "create temp table if not exists event_merge (customer_no bigint, event_key uuid, kind smallint, type text, "
    "occurred_at timestamptz, product_no bigint, value numeric, quantity numeric, properties jsonb, event_id text, "
    "outcome smallint, final boolean, stored boolean, same boolean) on commit delete rows", SQL_NOTHING};
static const struct sql EMPTY = {"events_empty", "truncate event_stage, event_merge", SQL_NOTHING};
static const struct sql COPY_STAGE = {"events_copy_stage",
    "copy event_stage (seq, customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, "
    "event_id) from stdin (format binary)", SQL_NOTHING};
static const struct sql MERGE = {"events_merge",
    "insert into event_merge "
    "select c.customer_no, c.event_key, c.kind, c.type, coalesce(c.occurred_at, e.occurred_at, $1), c.product_no, c.value, "
    "  c.quantity, c.properties, c.event_id, "
    "  case when last_value(coalesce(e.same, false)) over ends then 0 " /* ends as it was */
    "       when not c.repeated and e.occurred_at is null then 1 "
    "       when c.repeated and c.same or not c.repeated and e.same then 0 else 2 end, "
    "  c.final, e.occurred_at is not null, coalesce(e.same, false) "
    "from (select s.*, lag(s.seq) over one is not null as repeated, lead(s.seq) over one is null as final, "
    "        (s.type, s.product_no, s.value, s.quantity, s.properties) is not distinct from "
    "        (lag(s.type) over one, lag(s.product_no) over one, lag(s.value) over one, lag(s.quantity) over one, "
    "         lag(s.properties) over one) "
    "        and (s.occurred_at is null or s.occurred_at is not distinct from lag(s.occurred_at) over one) as same "
    "      from event_stage s window one as (partition by s.customer_no, s.event_key order by s.seq)) c "
    "left join lateral ("
    "  select v.occurred_at, (v.type, v.product_no, v.value, v.quantity, v.properties) is not distinct from "
    "         (c.type, c.product_no, c.value, c.quantity, c.properties) "
    "         and (c.occurred_at is null or c.occurred_at = v.occurred_at) as same "
    "  from events v where v.customer_no = c.customer_no and v.event_key = c.event_key limit 1) e on true "
    "window ends as (partition by c.customer_no, c.event_key order by c.seq rows between unbounded preceding and unbounded following)",
    SQL_NOTHING};
static const struct sql COUNT = {"events_count",
    "select count(*) filter (where outcome = 1), count(*) filter (where outcome = 2), count(*) filter (where outcome = 0), "
    "       count(*) filter (where final and stored and not same) from event_merge", SQL_ROW};
static const struct sql INSERT = {"events_insert",
    "insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id) "
    "select customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id "
    "from event_merge where final and not stored order by customer_no, event_key", SQL_NOTHING};
static const struct sql ADD = {"events_add_activity",
    ADD_ACTIVITY("event_merge where final and not stored", "$1"), SQL_NOTHING};
static const struct sql CHANGE = {"events_change",
    "update events e set kind = m.kind, type = m.type, occurred_at = m.occurred_at, product_no = m.product_no, "
    "  value = m.value, quantity = m.quantity, properties = m.properties "
    "from event_merge m where m.final and m.stored and not m.same "
    "  and e.customer_no = m.customer_no and e.event_key = m.event_key", SQL_NOTHING};
static const struct sql FORGET = {"events_forget_activity",
    "delete from customer_event_stats where customer_no in "
    "(select customer_no from event_merge where final and stored and not same)", SQL_NOTHING};
static const struct sql RECOMPUTE = {"events_recompute_activity",
    "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at) "
    "select t.customer_no, k.* from (select distinct customer_no from event_merge where final and stored and not same) t "
    "cross join lateral ("
    "  select kind, count(*), sum(power(2::float8, -least(date_part('epoch', newest - occurred_at) / 86400 / $1::float8, 1000))), "
    "    newest, min(occurred_at) "
    "  from (select kind, occurred_at, max(occurred_at) over (partition by kind) as newest from events v "
    "        where v.customer_no = t.customer_no) e group by kind, newest) k", SQL_NOTHING};
static const struct sql GATHER = {"events_gather_changed",
    "insert into import_changed select distinct customer_no from event_merge where final and not same", SQL_NOTHING};

/* Orders that the events of this import speak of, what they said before an update included. */
static const struct sql MAKE_TOLD = {"events_make_told",
    "create temp table if not exists told_orders (order_id text collate \"C\", customer_no bigint, "
    "primary key (order_id, customer_no)) on commit delete rows", SQL_NOTHING};
#define TELLS(e)                                                                                             \
    e ".type in ('order_completed', 'order_updated', 'order_refunded', 'order_cancelled') "                  \
    "and octet_length(" e ".properties ->> 'order_id') between 1 and 200 "
static const struct sql NOTE_TOLD = {"events_note_told",
    "insert into told_orders (order_id, customer_no) "
    "select distinct m.properties ->> 'order_id', m.customer_no from event_merge m where m.final and not m.same and " TELLS("m")
    "on conflict do nothing", SQL_NOTHING};
static const struct sql NOTE_TOLD_BEFORE = {"events_note_told_before",
    "insert into told_orders (order_id, customer_no) "
    "select distinct e.properties ->> 'order_id', e.customer_no from event_merge m "
    "join events e on e.customer_no = m.customer_no and e.event_key = m.event_key "
    "where m.final and m.stored and not m.same and " TELLS("e") "on conflict do nothing", SQL_NOTHING};
static const struct sql NEXT_TOLD = {"events_next_told",
    "select order_id, customer_no from told_orders where (order_id, customer_no) > ($1::text collate \"C\", $2::bigint) "
    "order by order_id, customer_no limit $3", SQL_ROWS};

/* An order may change for a customer whom no event of the import names: its holder. */
static const struct sql NOTE_HOLDERS = {"events_note_holders", "insert into import_changed select unnest($1::bigint[])", SQL_NOTHING};

enum meros_code import_orders_made(struct store_import *i, const int64_t *customer_nos, size_t n, struct meros_err *err)
{
    return n == 0 ? MEROS_OK : sql_exec(i->c, &NOTE_HOLDERS, NULL, err, P_INTS(customer_nos, n));
}

enum meros_code import_orders_told(struct store_import *i, struct told_order after, struct arena *arena, struct told_order *out,
                                   size_t cap, size_t *n, struct meros_err *err)
{
    struct rows r;
    *n = 0;
    if (i->told == 0) return MEROS_OK;
    TRY(sql_exec(i->c, &NEXT_TOLD, &r, err, P_TEXT(str_present(after.order_id) ? after.order_id : STR("")), P_INT(after.customer_no),
                 P_INT((int64_t)cap)));
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r.n && rc == MEROS_OK; k++) {
        struct str id = rows_text(&r, k, 0);
        char *kept = arena_strndup(arena, id.p, id.n);
        if (kept == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the orders of an import.");
        out[(*n)++] = (struct told_order){rows_int(&r, k, 1), {kept, id.n}};
    }
    rows_done(&r);
    return rc;
}

enum meros_code import_events_prepare(struct store_import *i, struct meros_err *err)
{
    TRY(sql_exec0(i->c, &MAKE_TOLD, NULL, err));
    TRY(sql_exec0(i->c, &MAKE_STAGE, NULL, err));
    return sql_exec0(i->c, &MAKE_MERGE, NULL, err);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of events.");
}

static void put_decimal(struct copy_in *k, struct decimal d)
{
    if (d.present) copy_in_numeric(k, d.unscaled, d.scale);
    else copy_in_null(k);
}

static enum meros_code stage(struct store_import *i, const struct event_row *rows, size_t n, struct meros_err *err)
{
    struct copy_in k;
    struct buf content;
    enum meros_code rc = copy_in_begin(&k, i->c, &COPY_STAGE, err);
    int64_t written;
    if (rc != MEROS_OK) return rc;
    buf_init(&content, KEY_SCRATCH_MAX);
    for (size_t at = 0; at < n; at++) {
        const struct event_row *r = &rows[at];
        struct crypto_hash128 key = event_key(r, &content);
        rc = content.failed ? no_memory(err) : copy_in_row(&k, 11, err);
        if (rc != MEROS_OK) break;
        copy_in_int8(&k, i->sequence + (int64_t)at);
        copy_in_int8(&k, *idmap_get(&i->customers, r->customer_id));
        copy_in_bytes(&k, key.bytes, sizeof key.bytes);
        copy_in_int4(&k, (int32_t)r->kind);
        copy_in_text(&k, r->type);
        copy_in_time(&k, r->occurred_at);
        if (str_present(r->product_id)) copy_in_int8(&k, *idmap_get(&i->products, r->product_id));
        else copy_in_null(&k);
        put_decimal(&k, r->value);
        put_decimal(&k, r->quantity);
        if (str_present(r->properties)) copy_in_jsonb(&k, r->properties);
        else copy_in_null(&k);
        copy_in_text(&k, r->event_id);
    }
    buf_done(&content);
    if (rc != MEROS_OK) {
        copy_in_abort(&k);
        return rc;
    }
    return copy_in_end(&k, &written, err);
}

static enum meros_code note_told(struct store_import *i, const struct sql *s, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec0(i->c, s, &r, err));
    i->told += r.affected;
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code merge(struct store_import *i, int64_t now, double half_life_days, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(i->c, &MERGE, NULL, err, P_TIME(now)));
    TRY(sql_exec0(i->c, &COUNT, &r, err));
    int64_t inserted = rows_int(&r, 0, 0), changed = rows_int(&r, 0, 3);
    i->counts.inserted += inserted;
    i->counts.updated += rows_int(&r, 0, 1);
    i->counts.duplicates += rows_int(&r, 0, 2);
    rows_done(&r);
    if (inserted + changed > 0) TRY(note_told(i, &NOTE_TOLD, err));
    if (inserted > 0) {
        TRY(sql_exec0(i->c, &INSERT, NULL, err));
        TRY(sql_exec(i->c, &ADD, NULL, err, P_NUM(half_life_days)));
    }
    if (changed > 0) {
        TRY(note_told(i, &NOTE_TOLD_BEFORE, err));
        TRY(sql_exec0(i->c, &CHANGE, NULL, err));
        TRY(sql_exec0(i->c, &FORGET, NULL, err));
        TRY(sql_exec(i->c, &RECOMPUTE, NULL, err, P_NUM(half_life_days)));
    }
    return inserted + changed > 0 ? sql_exec0(i->c, &GATHER, NULL, err) : MEROS_OK;
}

static enum meros_code events_batch(struct store_import *i, const struct event_row *rows, size_t n, int64_t now,
                                    double half_life_days, struct meros_err *err)
{
    struct str *ids = arena_array(&i->batch, n, sizeof *ids);
    if (ids == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) ids[k] = rows[k].customer_id;
    TRY(import_resolve(i, &i->customers, ids, n, err));
    for (size_t k = 0; k < n; k++) ids[k] = rows[k].product_id;
    TRY(import_resolve(i, &i->products, ids, n, err));
    if (i->batches++ > 0) TRY(sql_exec0(i->c, &EMPTY, NULL, err)); /* else a commit has emptied them */
    TRY(stage(i, rows, n, err));
    return merge(i, now, half_life_days, err);
}

enum meros_code import_events(struct store_import *i, const struct event_row *rows, size_t n, int64_t now,
                              double half_life_days, struct meros_err *err)
{
    enum meros_code rc = n == 0 ? MEROS_OK : events_batch(i, rows, n, now, half_life_days, err);
    i->sequence += (int64_t)n;
    arena_done(&i->batch);
    return rc;
}
