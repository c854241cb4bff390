/* What a batch costs: one exchange with the server (its commit included) while everybody in it is known and its events are
 * not too many, two or three otherwise; and in the server a few short statements over binary arrays:
 *
 *   names     only for ids that are not remembered: made where they are not there, then looked up
 *   rows      hopefully: inserted (many: copied) as if none were there, for nearly always none is, and the statistics of all
 *             are sent along. Should one be there after all, the identity's index refuses the whole transaction (23505), and
 *             the batch, and some after it, are landed carefully: insert … on conflict do nothing, or a look-up of many
 *             before the copy, and the statistics of those that were new
 *   activity  what the new events add to customer_event_stats, summed up here; who changed; commit
 *
 * The first exchange also takes the lock and looks whether any customer is gone since the numbers were remembered
 * (customers_gone counts erasures and joins, which need the lock alone): then nothing is done and all are looked up again. */
#include "meros/store/ingest.h"

#include <math.h>
#include <stdlib.h>
#include "event_sql_priv.h"
#include "idmap_priv.h"
#include "imports_priv.h"
#include "meros/store/changed.h"
#include "plumbing.h"

/* Look-ups by key are the only good plan for a batch, and the planner cannot know: arrays have no statistics, and tables
 * of a young shop grow a thousandfold before they are analyzed again. */
static const char settings[] =
    "select set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), "
    "set_config('enable_mergejoin', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false)";

static const struct sql LOCK_SHARED = {"ingest_lock_shared",
    "select pg_advisory_xact_lock_shared(" IMPORT_LOCK_NUMBER ")", SQL_ROW};
static const struct sql LOCK_ALONE = {"ingest_lock_alone", "select pg_advisory_xact_lock(" IMPORT_LOCK_NUMBER ")", SQL_ROW};
/* The shared lock, and how many are gone, read when the lock is held since it depends on what taking it gave. (A sequence
 * shows what it is and not what it was when the statement began.) */
static const struct sql LOCK_GONE = {"ingest_lock_gone",
    "select (select last_value + is_called::int from customers_gone where l.held is not null) "
    "from (select pg_advisory_xact_lock_shared(" IMPORT_LOCK_NUMBER ") as held offset 0) l", SQL_ROW};
static const struct sql MAKE_CUSTOMERS = {"ingest_make_customers",
    "with given as (select id, bool_and(anonymous <> 0) as anonymous from unnest($1::text[], $2::bigint[]) as u (id, anonymous) "
    "               group by id), "
    "     made as (insert into customer_ids (customer_id, customer_no) select id, nextval('customer_nos') from given g "
    "              where not exists (select from customer_ids i where i.customer_id = g.id) order by id collate \"C\" "
    "              on conflict do nothing returning customer_id, customer_no), "
    "     noted as (insert into changed_customers (customers, customer_nos) " /* to be judged, also if they do nothing that counts */
    "               select count(*), array_agg(customer_no) from (select customer_no, row_number() over () as place from made) m "
    "               group by (place - 1) / 2000) "
    "insert into customers (customer_no, customer_id, anonymous) "
    "select max(no), id, bool_and(anonymous) " /* a join of the two would be one of all with all */
    "from (select id, anonymous, null::bigint as no from given union all select customer_id, true, customer_no from made) u "
    "group by id having max(no) is not null", SQL_NOTHING};
/* A visitor whose id is said as a known one is that customer from now on (store/identity.h). */
static const struct sql NAME_VISITORS = {"ingest_name_visitors",
    "update customers c set customer_id = k.id, anonymous = false, changed_at = now() "
    "from (select customer_no, min(customer_id) as id from customer_ids where customer_id = any($1) "
    "      group by customer_no order by customer_no) k "
    "where c.customer_no = k.customer_no and c.anonymous", SQL_NOTHING};
static const struct sql MAKE_PRODUCTS = {"ingest_make_products",
    "insert into products (product_no, product_id) "
    "select nextval('product_nos'), id from (select distinct id from unnest($1::text[]) as u (id)) g "
    "where not exists (select from products p where p.product_id = g.id) order by id collate \"C\" on conflict do nothing", SQL_NOTHING};

static const struct sql FIND_CUSTOMERS = {"ingest_find_customers",
    "select customer_id, customer_no from customer_ids where customer_id = any($1)", SQL_ROWS};
static const struct sql FIND_PRODUCTS = {"ingest_find_products",
    "select product_id, product_no from products where product_id = any($1)", SQL_ROWS};

/* Rows come in the order of their keys. Arrays are unnested in the select list, one row after the other: in FROM each would
 * be written into a table of its own first. */
#define PUT(condition)                                                                                       \
    "insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id) " \
    "select c, k, kind, type, t, nullif(p, 0), v, q, properties, id "                                        \
    "from (select unnest($1::bigint[]) as c, unnest($2::uuid[]) as k, unnest($3::bigint[]) as kind, unnest($4::text[]) as type, " \
    "        unnest($5::timestamptz[]) as t, unnest($6::bigint[]) as p, unnest($7::numeric[]) as v, unnest($8::numeric[]) as q, " \
    "        unnest($9::jsonb[]) as properties, unnest($10::text[]) as id) u " condition
#define ADD_ROWS(condition)                                                                                  \
    "insert into customer_event_stats as s (customer_no, kind, count, decayed, decayed_at, first_at) "       \
    "select * from (select unnest($1::bigint[]), unnest($2::bigint[]), unnest($3::bigint[]), unnest($4::float8[]), " \
    "                 unnest($5::timestamptz[]), unnest($6::timestamptz[])) u " condition JOIN_ACTIVITY("$7")
#define NOBODY_GONE(number) "where (select last_value + is_called::int from customers_gone) = " number " "
static const struct sql PUT_EVENTS = {"ingest_put_events", PUT("") "on conflict do nothing returning customer_no, event_key", SQL_ROWS};
static const struct sql ADD = {"ingest_add_activity", ADD_ROWS(""), SQL_NOTHING};
static const struct sql NOTE = {"ingest_note_changed",
    "insert into changed_customers (customers, customer_nos) values (array_length($1::bigint[], 1), $1)", SQL_NOTHING};
/* All in one exchange: each does nothing if anybody is gone. */
static const struct sql PUT_AT_ONCE = {"ingest_put_at_once", PUT(NOBODY_GONE("$11")), SQL_NOTHING};
static const struct sql ADD_AT_ONCE = {"ingest_add_at_once", ADD_ROWS(NOBODY_GONE("$8")), SQL_NOTHING};
static const struct sql NOTE_AT_ONCE = {"ingest_note_at_once",
    "insert into changed_customers (customers, customer_nos) select array_length($1::bigint[], 1), $1 " NOBODY_GONE("$2"), SQL_NOTHING};
/* Many rows go in faster by COPY, which knows no conflicts. */
static const struct sql SEEN_EVENTS = {"ingest_seen_events",
    "select at - 1 from unnest($1::bigint[], $2::uuid[]) with ordinality as u (c, k, at) "
    "where exists (select from events e where e.customer_no = u.c and e.event_key = u.k)", SQL_ROWS};
static const struct sql COPY_EVENTS = {"ingest_copy_events",
    "copy events (customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id) "
    "from stdin (format binary)", SQL_NOTHING};
static const struct sql PUT_OUTCOMES = {"ingest_put_outcomes",
    "insert into outcomes (customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id) "
    "select * from unnest($1::bigint[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::numeric[], $8::text[]) "
    "on conflict do nothing returning customer_no, outcome_key", SQL_ROWS};
_Static_assert(CHANGED_ROW_MAX == 2000, "a note of changed customers is cut into rows of so many");

/* --- what is remembered between batches: numbers of ids. Exact, since a customer's events must not become another's. */
enum { REMEMBER_MAX = 1 << 20 };
struct ingest_hints {
    struct idmap customers; /* twice the number, plus one where the id is one by which the customer is known */
    struct idmap products;
    struct idmap pairs;
    int64_t gone; /* customers_gone when the first of them was looked up */
    bool gone_known;
    int careful; /* batches that are still to be landed carefully */
};

struct ingest_hints *ingest_hints_new(void)
{
    struct ingest_hints *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    idmap_init(&h->customers, false);
    idmap_init(&h->products, false);
    idmap_init(&h->pairs, false);
    return h;
}

void ingest_hints_free(struct ingest_hints *h)
{
    if (h == NULL) return;
    idmap_done(&h->customers);
    idmap_done(&h->products);
    idmap_done(&h->pairs);
    free(h);
}

static void forget_customers(struct ingest_hints *h)
{
    idmap_clear(&h->customers);
    idmap_clear(&h->pairs);
    h->gone_known = false;
}

static void remember(struct idmap *m, struct str key, int64_t value)
{
    bool added;
    if (m->n >= REMEMBER_MAX) idmap_clear(m);
    int64_t *at = idmap_put(m, key, value, &added); /* without memory it is looked up again, that is all */
    if (at != NULL && value > *at) *at = value;
}

/* Two ids as one text; 1 is a byte that no id holds. */
static struct str pair_of(struct str customer_id, struct str anonymous_id, char text[2 * ID_MAX + 1])
{
    memcpy(text, customer_id.p, customer_id.n);
    text[customer_id.n] = 1;
    memcpy(text + customer_id.n + 1, anonymous_id.p, anonymous_id.n);
    return (struct str){text, customer_id.n + 1 + anonymous_id.n};
}

bool ingest_hints_paired(struct ingest_hints *h, struct str customer_id, struct str anonymous_id)
{
    char text[2 * ID_MAX + 1];
    return idmap_get(&h->pairs, pair_of(customer_id, anonymous_id, text)) != NULL;
}

void ingest_hints_pair(struct ingest_hints *h, struct str customer_id, struct str anonymous_id)
{
    char text[2 * ID_MAX + 1];
    remember(&h->pairs, pair_of(customer_id, anonymous_id, text), 1);
}

/* --- a batch under way */
enum { STEPS = 8, PARAMS = 11, COPY_FROM = 400, CAREFUL_BATCHES = 50 };

/* What is to be inserted and what became of it: an event or an outcome, in the order of the keys. */
struct entry {
    int64_t customer_no;
    const struct crypto_hash128 *key;
    size_t at; /* which of the batch */
};

struct ingest_sent {
    bool whole;
    bool names_sent; /* the exchange under way is the one that looks up names */
    bool hopeful;    /* rows are put as if none of them were there */
    bool at_once;    /* the exchange under way is the only one */
    struct sql_step steps[STEPS];
    size_t from, n; /* those under way */
    struct sql_param params[STEPS][PARAMS];
    struct rows gone, customers, products, seen, events, outcomes;
    struct idmap found_customers, found_products; /* of this batch: what was not remembered */
    struct entry *event_entries, *outcome_entries;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a batch of events.");
}

static void add_step(struct ingest_sent *s, const struct sql *sql, size_t n_params, struct rows *out)
{
    s->steps[s->n] = (struct sql_step){sql, s->params[s->n], n_params, out};
    s->n++;
}

static void begin_steps(struct ingest_sent *s, bool with_lock)
{
    s->n = s->from = 0;
    if (!with_lock) return;
    add_step(s, &SQL_BEGIN, 0, NULL);
    add_step(s, &LOCK_GONE, 0, &s->gone);
}

/* --- names */

/* The number behind an id as far as it is known; 0: not known. A customer said by a known id counts only as one who is
 * known by it. */
static int64_t customer_of(struct ingest_batch *b, struct str id, bool visitor)
{
    const int64_t *found = idmap_get(&b->sent->found_customers, id);
    if (found != NULL) return *found;
    found = b->hints != NULL ? idmap_get(&b->hints->customers, id) : NULL;
    return found != NULL && (visitor || (*found & 1)) ? *found >> 1 : 0;
}

static int64_t product_of(struct ingest_batch *b, struct str id)
{
    const int64_t *found = idmap_get(&b->sent->found_products, id);
    if (found == NULL && b->hints != NULL) found = idmap_get(&b->hints->products, id);
    return found != NULL ? *found : 0;
}

/* Looks for those of whom nothing is known. *any: there are such, and steps were added. */
static bool add_names(struct ingest_batch *b, bool *any)
{
    struct ingest_sent *s = b->sent;
    const size_t most = b->n_events + b->n_outcomes;
    struct str *texts = arena_alloc(b->arena, (3 * most + 1) * sizeof *texts), *ids = texts, *known = texts + most, *products = known + most;
    int64_t *anonymous = arena_alloc(b->arena, (most + 1) * sizeof *anonymous);
    size_t n = 0, n_known = 0, n_products = 0;
    if (texts == NULL || anonymous == NULL) return false;
    for (size_t i = 0; i < most; i++) {
        const struct ingest_event *e = i < b->n_events ? &b->events[i] : NULL;
        const struct str id = e != NULL ? e->row->customer_id : b->outcomes[i - b->n_events].row->customer_id;
        const bool visitor = e != NULL && e->anonymous;
        if (!b->resolved && customer_of(b, id, visitor) == 0) {
            if (!visitor) known[n_known++] = id;
            anonymous[n] = visitor;
            ids[n++] = id;
        }
        if (e != NULL && str_present(e->row->product_id) && product_of(b, e->row->product_id) == 0)
            products[n_products++] = e->row->product_id;
    }
    if (n > 0) {
        s->params[s->n][0] = P_TEXTS(ids, n);
        s->params[s->n][1] = P_INTS(anonymous, n);
        add_step(s, &MAKE_CUSTOMERS, 2, NULL);
    }
    if (n_known > 0) {
        s->params[s->n][0] = P_TEXTS(known, n_known);
        add_step(s, &NAME_VISITORS, 1, NULL);
    }
    if (n > 0) {
        s->params[s->n][0] = P_TEXTS(ids, n);
        add_step(s, &FIND_CUSTOMERS, 1, &s->customers);
    }
    if (n_products > 0) {
        s->params[s->n][0] = P_TEXTS(products, n_products);
        add_step(s, &MAKE_PRODUCTS, 1, NULL);
        s->params[s->n][0] = P_TEXTS(products, n_products);
        add_step(s, &FIND_PRODUCTS, 1, &s->products);
    }
    *any = n + n_products > 0;
    return true;
}

static bool note_found(struct idmap *m, const struct rows *r)
{
    bool added;
    for (size_t k = 0; k < r->n; k++)
        if (idmap_put(m, rows_text(r, k, 0), rows_int(r, k, 1), &added) == NULL) return false;
    return true;
}

/* --- rows */

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    const int c = memcmp(x->key->bytes, y->key->bytes, sizeof x->key->bytes);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static enum meros_code erased(struct meros_err *err)
{
    return err_set(err, MEROS_UNAVAILABLE, "A customer was erased at this moment; try again.");
}

static enum meros_code sort_entries(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    s->event_entries = arena_alloc(b->arena, (b->n_events + 1) * sizeof *s->event_entries);
    s->outcome_entries = arena_alloc(b->arena, (b->n_outcomes + 1) * sizeof *s->outcome_entries);
    if (s->event_entries == NULL || s->outcome_entries == NULL) return no_memory(err);
    for (size_t i = 0; i < b->n_events; i++) {
        struct ingest_event *e = &b->events[i];
        if (!b->resolved) e->customer_no = customer_of(b, e->row->customer_id, e->anonymous);
        if (e->customer_no == 0) return erased(err);
        s->event_entries[i] = (struct entry){e->customer_no, &e->key, i};
    }
    for (size_t i = 0; i < b->n_outcomes; i++) {
        struct ingest_outcome *o = &b->outcomes[i];
        if (!b->resolved) o->customer_no = customer_of(b, o->row->customer_id, false);
        if (o->customer_no == 0) return erased(err);
        s->outcome_entries[i] = (struct entry){o->customer_no, &o->key, i};
    }
    if (b->n_events > 1) qsort(s->event_entries, b->n_events, sizeof *s->event_entries, by_key);
    if (b->n_outcomes > 1) qsort(s->outcome_entries, b->n_outcomes, sizeof *s->outcome_entries, by_key);
    return MEROS_OK;
}

static enum meros_code add_events(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t most = b->n_events;
    size_t n = 0;
    struct str *texts = arena_alloc(b->arena, most * 3 * sizeof *texts);
    int64_t *ints = arena_alloc(b->arena, most * 4 * sizeof *ints);
    struct decimal *numbers = arena_alloc(b->arena, most * 2 * sizeof *numbers);
    struct crypto_hash128 *keys = arena_alloc(b->arena, most * sizeof *keys);
    if (texts == NULL || ints == NULL || numbers == NULL || keys == NULL) return no_memory(err);
    struct str *types = texts, *properties = texts + most, *ids = texts + 2 * most;
    int64_t *customers = ints, *kinds = ints + most, *times = ints + 2 * most, *products = ints + 3 * most;
    struct decimal *values = numbers, *quantities = numbers + most;
    for (size_t i = 0; i < most; i++) {
        const struct entry *x = &s->event_entries[i];
        const struct event_row *r = b->events[x->at].row;
        if (b->events[x->at].fate != INGEST_FATE_LANDED) continue; /* an equal one goes before it */
        customers[n] = x->customer_no;
        keys[n] = *x->key;
        kinds[n] = (int64_t)r->kind;
        types[n] = r->type;
        times[n] = r->occurred_at == TIME_NONE ? b->now : r->occurred_at;
        products[n] = str_present(r->product_id) ? product_of(b, r->product_id) : 0;
        if (products[n] == 0 && str_present(r->product_id)) return erased(err);
        values[n] = r->value;
        quantities[n] = r->quantity;
        properties[n] = r->properties;
        ids[n++] = r->event_id;
    }
    const struct sql_param params[] = {P_INTS(customers, n), P_UUIDS(keys, n),          P_INTS(kinds, n),          P_TEXTS(types, n),
                                       P_TIMES(times, n),    P_INTS(products, n),    P_NUMERICS(values, n),     P_NUMERICS(quantities, n),
                                       P_JSONBS(properties, n), P_TEXTS(ids, n)};
    memcpy(s->params[s->n], params, sizeof params);
    if (s->at_once) {
        s->params[s->n][10] = P_INT(b->hints->gone);
        add_step(s, &PUT_AT_ONCE, 11, NULL);
    } else {
        add_step(s, &PUT_EVENTS, 10, &s->events);
    }
    return MEROS_OK;
}

static bool by_copy(const struct ingest_batch *b)
{
    return b->n_events >= COPY_FROM;
}

static enum meros_code add_look(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t n = b->n_events;
    int64_t *customers = arena_alloc(b->arena, n * sizeof *customers);
    struct crypto_hash128 *keys = arena_alloc(b->arena, n * sizeof *keys);
    if (customers == NULL || keys == NULL) return no_memory(err);
    for (size_t i = 0; i < n; i++) {
        customers[i] = s->event_entries[i].customer_no;
        keys[i] = *s->event_entries[i].key;
    }
    s->params[s->n][0] = P_INTS(customers, n);
    s->params[s->n][1] = P_UUIDS(keys, n);
    add_step(s, &SEEN_EVENTS, 2, &s->seen);
    return MEROS_OK;
}

static void put_decimal(struct copy_in *k, struct decimal d)
{
    if (d.present) copy_in_numeric(k, d.unscaled, d.scale);
    else copy_in_null(k);
}

static enum meros_code copy_event(struct copy_in *k, struct ingest_batch *b, const struct entry *x, struct meros_err *err)
{
    const struct event_row *r = b->events[x->at].row;
    const int64_t product = str_present(r->product_id) ? product_of(b, r->product_id) : 0;
    unsigned char kind[2];
    if (product == 0 && str_present(r->product_id)) return erased(err);
    TRY(copy_in_row(k, 10, err));
    copy_in_int8(k, x->customer_no);
    copy_in_bytes(k, x->key->bytes, sizeof x->key->bytes);
    put16(kind, (uint16_t)r->kind);
    copy_in_bytes(k, kind, sizeof kind);
    copy_in_text(k, r->type);
    copy_in_time(k, r->occurred_at == TIME_NONE ? b->now : r->occurred_at);
    if (product != 0) copy_in_int8(k, product);
    else copy_in_null(k);
    put_decimal(k, r->value);
    put_decimal(k, r->quantity);
    copy_in_jsonb(k, r->properties);
    copy_in_text(k, r->event_id);
    return MEROS_OK;
}

/* Of equal ones the first lands, as far as the batch itself can tell. */
static void presume_fates(struct ingest_batch *b)
{
    const struct ingest_sent *s = b->sent;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct entry *x = &s->event_entries[i], *before = x - 1;
        const bool again = i > 0 && x->customer_no == before->customer_no && memcmp(x->key->bytes, before->key->bytes, sizeof x->key->bytes) == 0;
        b->events[x->at].fate = again ? INGEST_FATE_SEEN : INGEST_FATE_LANDED;
    }
}

static enum meros_code copy_events(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    struct copy_in k;
    size_t fresh = 0;
    for (size_t i = 0; i < s->seen.n; i++) b->events[s->event_entries[rows_int(&s->seen, i, 0)].at].fate = INGEST_FATE_SEEN;
    for (size_t i = 0; i < b->n_events; i++) fresh += b->events[i].fate == INGEST_FATE_LANDED;
    if (fresh == 0) return MEROS_OK;
    enum meros_code rc = copy_in_begin(&k, c, &COPY_EVENTS, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < b->n_events && rc == MEROS_OK; i++)
        if (b->events[s->event_entries[i].at].fate == INGEST_FATE_LANDED) rc = copy_event(&k, b, &s->event_entries[i], err);
    if (rc == MEROS_OK) return copy_in_end(&k, NULL, err);
    copy_in_abort(&k);
    return rc;
}

static enum meros_code add_outcomes(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t n = b->n_outcomes;
    struct str *texts = arena_alloc(b->arena, n * 3 * sizeof *texts);
    int64_t *ints = arena_alloc(b->arena, n * 3 * sizeof *ints);
    struct decimal *values = arena_alloc(b->arena, n * sizeof *values);
    struct crypto_hash128 *keys = arena_alloc(b->arena, n * sizeof *keys);
    if (texts == NULL || ints == NULL || values == NULL || keys == NULL) return no_memory(err);
    struct str *campaigns = texts, *variants = texts + n, *ids = texts + 2 * n;
    int64_t *customers = ints, *types = ints + n, *times = ints + 2 * n;
    for (size_t i = 0; i < n; i++) {
        const struct entry *x = &s->outcome_entries[i];
        const struct outcome_row *r = b->outcomes[x->at].row;
        customers[i] = x->customer_no;
        keys[i] = *x->key;
        campaigns[i] = r->campaign;
        variants[i] = r->variant;
        types[i] = (int64_t)r->type;
        times[i] = r->occurred_at == TIME_NONE ? b->now : r->occurred_at;
        values[i] = r->value;
        ids[i] = r->outcome_id;
    }
    const struct sql_param params[] = {P_INTS(customers, n), P_UUIDS(keys, n),  P_TEXTS(campaigns, n),  P_TEXTS(variants, n),
                                       P_INTS(types, n),     P_TIMES(times, n), P_NUMERICS(values, n), P_TEXTS(ids, n)};
    memcpy(s->params[s->n], params, sizeof params);
    add_step(s, &PUT_OUTCOMES, 8, &s->outcomes);
    return MEROS_OK;
}

/* Everything is known by number: the rows themselves. */
static enum meros_code add_rows(struct ingest_batch *b, struct meros_err *err)
{
    TRY(sort_entries(b, err));
    presume_fates(b);
    if (!by_copy(b) && b->n_events > 0) TRY(add_events(b, err));
    else if (by_copy(b) && !b->sent->hopeful) TRY(add_look(b, err));
    if (b->n_outcomes > 0) TRY(add_outcomes(b, err));
    return MEROS_OK;
}

/* --- what came of it */

static int by_identity(int64_t no, const void *key, const struct entry *x)
{
    if (no != x->customer_no) return no < x->customer_no ? -1 : 1;
    return memcmp(key, x->key->bytes, sizeof x->key->bytes);
}

/* The first entry of an identity: entries are sorted, and equal ones in the order in which they came. */
static const struct entry *find_entry(const struct entry *entries, size_t n, int64_t no, const void *key)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (by_identity(no, key, &entries[mid]) > 0) low = mid + 1;
        else high = mid;
    }
    return low < n && by_identity(no, key, &entries[low]) == 0 ? &entries[low] : NULL;
}

static void note_fates(struct ingest_batch *b)
{
    const struct ingest_sent *s = b->sent;
    const bool told = !by_copy(b); /* which of the events landed */
    for (size_t i = 0; i < b->n_events && told; i++) b->events[i].fate = INGEST_FATE_SEEN;
    for (size_t i = 0; i < b->n_outcomes; i++) b->outcomes[i].fate = INGEST_FATE_SEEN;
    for (size_t k = 0; k < s->events.n; k++) {
        const struct entry *x = find_entry(s->event_entries, b->n_events, rows_int(&s->events, k, 0), rows_bytes(&s->events, k, 1).p);
        if (x != NULL) b->events[x->at].fate = INGEST_FATE_LANDED;
    }
    for (size_t k = 0; k < s->outcomes.n; k++) {
        const struct entry *x = find_entry(s->outcome_entries, b->n_outcomes, rows_int(&s->outcomes, k, 0), rows_bytes(&s->outcomes, k, 1).p);
        if (x != NULL) b->outcomes[x->at].fate = INGEST_FATE_LANDED;
    }
}

/* --- activity: one row a customer and kind */
struct activity {
    int64_t customer_no, kind, at;
};

static int by_activity(const void *a, const void *b)
{
    const struct activity *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    if (x->kind != y->kind) return x->kind < y->kind ? -1 : 1;
    return (x->at > y->at) - (x->at < y->at);
}

static double decayed(const struct activity *from, size_t n, double half_life_days)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        const double days = (double)(from[n - 1].at - from[i].at) / (double)TIME_DAY / half_life_days;
        sum += exp2(-(days < 1000 ? days : 1000));
    }
    return sum;
}

static enum meros_code add_activity(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t most = b->n_events;
    struct activity *all = arena_alloc(b->arena, (most + 1) * sizeof *all);
    int64_t *ints = arena_alloc(b->arena, (most + 1) * 6 * sizeof *ints);
    double *sums = arena_alloc(b->arena, (most + 1) * sizeof *sums);
    if (all == NULL || ints == NULL || sums == NULL) return no_memory(err);
    int64_t *nos = ints, *kinds = nos + most, *counts = kinds + most, *newest = counts + most, *first = newest + most, *changed = first + most;
    size_t n = 0, rows = 0, people = 0;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct ingest_event *e = &b->events[i];
        if (e->fate == INGEST_FATE_LANDED)
            all[n++] = (struct activity){e->customer_no, (int64_t)e->row->kind, e->row->occurred_at == TIME_NONE ? b->now : e->row->occurred_at};
    }
    if (n > 1) qsort(all, n, sizeof *all, by_activity);
    for (size_t i = 0, to; i < n; i = to) {
        for (to = i; to < n && all[to].customer_no == all[i].customer_no && all[to].kind == all[i].kind; to++) {}
        nos[rows] = all[i].customer_no;
        kinds[rows] = all[i].kind;
        counts[rows] = (int64_t)(to - i);
        sums[rows] = decayed(all + i, to - i, b->half_life_days);
        newest[rows] = all[to - 1].at;
        first[rows] = all[i].at;
        rows++;
        if (people == 0 || changed[people - 1] != all[i].customer_no) changed[people++] = all[i].customer_no;
    }
    if (rows > 0) {
        const struct sql_param params[] = {P_INTS(nos, rows), P_INTS(kinds, rows), P_INTS(counts, rows), P_NUMS(sums, rows),
                                           P_TIMES(newest, rows), P_TIMES(first, rows), P_NUM(b->half_life_days)};
        memcpy(s->params[s->n], params, sizeof params);
        if (s->at_once) s->params[s->n][7] = P_INT(b->hints->gone);
        add_step(s, s->at_once ? &ADD_AT_ONCE : &ADD, s->at_once ? 8 : 7, NULL);
    }
    for (size_t i = 0; s->whole && i < people; i += CHANGED_ROW_MAX) {
        s->params[s->n][0] = P_INTS(changed + i, people - i < CHANGED_ROW_MAX ? people - i : CHANGED_ROW_MAX);
        if (s->at_once) s->params[s->n][1] = P_INT(b->hints->gone);
        add_step(s, s->at_once ? &NOTE_AT_ONCE : &NOTE, s->at_once ? 2 : 1, NULL);
    }
    return MEROS_OK;
}

/* --- */

enum meros_code store_ingest_connect(struct store_pool *p, struct store_conn **out, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_connect(p, &c, err);
    if (rc == MEROS_OK) rc = conn_simple(c, settings, "ingest settings", err);
    if (rc == MEROS_OK) *out = c;
    else store_disconnect(c);
    return rc;
}

enum meros_code store_ingest_lock(struct store_conn *c, bool exclusive, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, exclusive ? &LOCK_ALONE : &LOCK_SHARED, &r, err);
    rows_done(&r);
    return rc;
}

static void drop_results(struct ingest_sent *s)
{
    rows_done(&s->gone);
    rows_done(&s->customers);
    rows_done(&s->products);
    rows_done(&s->seen);
    rows_done(&s->events);
    rows_done(&s->outcomes);
}

static void end(struct ingest_batch *b)
{
    drop_results(b->sent);
    idmap_done(&b->sent->found_customers);
    idmap_done(&b->sent->found_products);
}

static enum meros_code exchange_begin(struct store_conn *c, struct ingest_sent *s, struct meros_err *err)
{
    return s->n == 0 ? MEROS_OK : sql_pipeline_send(c, s->steps + s->from, s->n - s->from, err);
}

static enum meros_code exchange_end(struct store_conn *c, struct ingest_sent *s, struct meros_err *err)
{
    return s->n == 0 ? MEROS_OK : sql_pipeline_wait(c, s->steps + s->from, s->n - s->from, err);
}

static enum meros_code exchange(struct store_conn *c, struct ingest_sent *s, struct meros_err *err)
{
    TRY(exchange_begin(c, s, err));
    return exchange_end(c, s, err);
}

/* The first exchange: names if any is not known, else the rows at once. */
static enum meros_code send_first(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    begin_steps(s, s->whole);
    if (!add_names(b, &s->names_sent)) return no_memory(err);
    s->hopeful = s->whole && b->hints != NULL && b->hints->careful == 0;
    s->at_once = s->hopeful && !s->names_sent && b->hints->gone_known && b->n_outcomes == 0 && b->n_events > 0 && !by_copy(b);
    if (s->at_once) s->from = 1; /* without a transaction of its own, an exchange is one */
    if (!s->names_sent) TRY(add_rows(b, err));
    if (s->at_once) TRY(add_activity(b, err));
    return exchange_begin(c, s, err);
}

enum meros_code store_ingest_send(struct store_conn *c, struct ingest_batch *b, bool whole, struct meros_err *err)
{
    struct ingest_sent *s = b->sent = arena_zalloc(b->arena, sizeof *b->sent);
    if (s == NULL) return no_memory(err);
    s->whole = whole;
    idmap_init(&s->found_customers, false);
    idmap_init(&s->found_products, false);
    enum meros_code rc = send_first(c, b, err);
    if (rc != MEROS_OK) end(b);
    return rc;
}

/* Waits for the exchange under way. *again: customers are gone that were remembered; nothing was done. */
static enum meros_code wait_first(struct store_conn *c, struct ingest_batch *b, bool *again, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    *again = false;
    TRY(exchange_end(c, s, err));
    if (s->whole && b->hints != NULL) {
        const int64_t gone = rows_int(&s->gone, 0, 0);
        *again = b->hints->gone_known && gone != b->hints->gone;
        if (*again) forget_customers(b->hints);
        b->hints->gone = gone;
        b->hints->gone_known = true;
    }
    return MEROS_OK;
}

static enum meros_code land_rows(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    if (s->names_sent) {
        if (!note_found(&s->found_customers, &s->customers) || !note_found(&s->found_products, &s->products)) return no_memory(err);
        begin_steps(s, false);
        TRY(add_rows(b, err));
        TRY(exchange(c, s, err));
    }
    if (by_copy(b)) TRY(copy_events(c, b, err));
    note_fates(b);
    begin_steps(s, false);
    TRY(add_activity(b, err));
    if (s->whole) add_step(s, &SQL_COMMIT, 0, NULL);
    return exchange(c, s, err);
}

/* Only after a commit of our own: what a transaction made may yet be rolled back. */
static void learn(struct ingest_batch *b)
{
    const struct ingest_sent *s = b->sent;
    if (!s->names_sent) return;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct ingest_event *e = &b->events[i];
        remember(&b->hints->customers, e->row->customer_id, e->customer_no * 2 + !e->anonymous);
        if (str_present(e->row->product_id)) remember(&b->hints->products, e->row->product_id, product_of(b, e->row->product_id));
    }
    for (size_t i = 0; i < b->n_outcomes; i++)
        remember(&b->hints->customers, b->outcomes[i].row->customer_id, b->outcomes[i].customer_no * 2 + 1);
}

static enum meros_code send_again(struct store_conn *c, struct ingest_batch *b, bool *again, struct meros_err *err)
{
    if (!b->sent->at_once) store_rollback(c);
    drop_results(b->sent);
    idmap_clear(&b->sent->found_customers); /* some of them were made, and are no more */
    idmap_clear(&b->sent->found_products);
    TRY(send_first(c, b, err));
    return wait_first(c, b, again, err);
}

static enum meros_code land(struct store_conn *c, struct ingest_batch *b, bool first, struct meros_err *err)
{
    bool again = false;
    enum meros_code rc = first ? wait_first(c, b, &again, err) : send_again(c, b, &again, err);
    if (rc == MEROS_OK && again) rc = send_again(c, b, &again, err);
    if (rc == MEROS_OK && again) rc = erased(err);
    if (rc == MEROS_OK && !b->sent->at_once) rc = land_rows(c, b, err);
    return rc;
}

enum meros_code store_ingest_wait(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
{
    enum meros_code rc = land(c, b, true, err);
    if (rc == MEROS_CONFLICT && b->sent->hopeful && !store_broken(c)) { /* some event was there already */
        b->hints->careful = CAREFUL_BATCHES;
        err_clear(err);
        rc = land(c, b, false, err);
    } else if (b->sent->whole && b->hints != NULL && b->hints->careful > 0) {
        b->hints->careful--;
    }
    if (rc == MEROS_OK && b->sent->whole && b->hints != NULL) learn(b);
    end(b);
    return rc;
}
