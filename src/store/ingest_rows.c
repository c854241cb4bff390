/* The rows of a batch (ingest.c) whose customers and products are known by number: put in, a few by insert and many by COPY;
 * which of them landed; and what the events that did add to customer_event_stats. */
#include "ingest_priv.h"

#include <math.h>
#include <stdlib.h>
#include "event_sql_priv.h"
#include "imports_priv.h"
#include "meros/store/changed.h"
#include "plumbing.h"

/* Rows come in the order of their keys. Arrays are unnested in the select list, one row after the other: in FROM each would
 * be written into a table of its own first. */
#define PUT(condition)                                                                                       \
    "insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id) " \
    "select c, k, kind, type, t, nullif(p, 0), v, q, properties, id "                                        \
    "from (select unnest($1::bigint[]) as c, unnest($2::uuid[]) as k, unnest($3::bigint[]) as kind, unnest($4::text[]) as type, " \
    "        unnest($5::timestamptz[]) as t, unnest($6::bigint[]) as p, unnest($7::numeric[]) as v, unnest($8::numeric[]) as q, " \
    "        unnest($9::jsonb[]) as properties, unnest($10::text[]) as id) u " condition
#define ADD_ROWS(no, kind, count, sum, newest, first, days, condition)                                       \
    "insert into customer_event_stats as s (customer_no, kind, count, decayed, decayed_at, first_at) "       \
    "select * from (select unnest(" no "::bigint[]), unnest(" kind "::bigint[]), unnest(" count "::bigint[]), unnest(" sum "::float8[]), " \
    "                 unnest(" newest "::timestamptz[]), unnest(" first "::timestamptz[])) u " condition JOIN_ACTIVITY(days)
#define NOTE_ROW(customers) \
    "insert into changed_customers (customers, customer_nos) select array_length(" customers "::bigint[], 1), " customers " "
#define NOBODY_GONE "where (select last_value + is_called::int from customers_gone) = $19 "
static const struct sql PUT_EVENTS = {"ingest_put_events", PUT("") "on conflict do nothing returning customer_no, event_key", SQL_ROWS};
static const struct sql ADD = {"ingest_add_activity", ADD_ROWS("$1", "$2", "$3", "$4", "$5", "$6", "$7", ""), SQL_NOTHING};
static const struct sql NOTE = {"ingest_note_changed", NOTE_ROW("$1"), SQL_NOTHING};
/* All three as one statement: a statement costs as much as some rows. It does nothing if anybody is gone. */
static const struct sql PUT_AT_ONCE = {"ingest_put_at_once",
    "with put as (" PUT(NOBODY_GONE) "), noted as (" NOTE_ROW("$18") NOBODY_GONE ") "
    ADD_ROWS("$11", "$12", "$13", "$14", "$15", "$16", "$17", NOBODY_GONE), SQL_NOTHING};
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

enum { COPY_FROM = 400 }; /* fewer than CHANGED_ROW_MAX: landed at once, they are noted in one row */

/* --- rows */

static int by_key(const void *a, const void *b)
{
    const struct entry *x = a, *y = b;
    if (x->customer_no != y->customer_no) return x->customer_no < y->customer_no ? -1 : 1;
    const int c = memcmp(x->key->bytes, y->key->bytes, sizeof x->key->bytes);
    return c != 0 ? c : (x->at > y->at) - (x->at < y->at);
}

static enum meros_code sort_entries(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    s->event_entries = arena_alloc(b->arena, (b->n_events + 1) * sizeof *s->event_entries);
    s->outcome_entries = arena_alloc(b->arena, (b->n_outcomes + 1) * sizeof *s->outcome_entries);
    if (s->event_entries == NULL || s->outcome_entries == NULL) return ingest_no_memory(err);
    for (size_t i = 0; i < b->n_events; i++) {
        struct ingest_event *e = &b->events[i];
        if (!b->resolved) e->customer_no = ingest_customer_of(b, e->row->customer_id, e->anonymous);
        if (e->customer_no == 0) return ingest_erased(err);
        s->event_entries[i] = (struct entry){e->customer_no, &e->key, i};
    }
    for (size_t i = 0; i < b->n_outcomes; i++) {
        struct ingest_outcome *o = &b->outcomes[i];
        if (!b->resolved) o->customer_no = ingest_customer_of(b, o->row->customer_id, false);
        if (o->customer_no == 0) return ingest_erased(err);
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
    if (texts == NULL || ints == NULL || numbers == NULL || keys == NULL) return ingest_no_memory(err);
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
        products[n] = str_present(r->product_id) ? ingest_product_of(b, r->product_id) : 0;
        if (products[n] == 0 && str_present(r->product_id)) return ingest_erased(err);
        values[n] = r->value;
        quantities[n] = r->quantity;
        properties[n] = r->properties;
        ids[n++] = r->event_id;
    }
    const struct sql_param params[] = {P_INTS(customers, n), P_UUIDS(keys, n),          P_INTS(kinds, n),          P_TEXTS(types, n),
                                       P_TIMES(times, n),    P_INTS(products, n),    P_NUMERICS(values, n),     P_NUMERICS(quantities, n),
                                       P_JSONBS(properties, n), P_TEXTS(ids, n)};
    memcpy(s->params[s->n], params, sizeof params);
    if (!s->at_once) ingest_add_step(s, &PUT_EVENTS, 10, &s->events);
    return MEROS_OK;
}

bool ingest_by_copy(const struct ingest_batch *b)
{
    return b->n_events >= COPY_FROM;
}

static enum meros_code add_look(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t n = b->n_events;
    int64_t *customers = arena_alloc(b->arena, n * sizeof *customers);
    struct crypto_hash128 *keys = arena_alloc(b->arena, n * sizeof *keys);
    if (customers == NULL || keys == NULL) return ingest_no_memory(err);
    for (size_t i = 0; i < n; i++) {
        customers[i] = s->event_entries[i].customer_no;
        keys[i] = *s->event_entries[i].key;
    }
    s->params[s->n][0] = P_INTS(customers, n);
    s->params[s->n][1] = P_UUIDS(keys, n);
    ingest_add_step(s, &SEEN_EVENTS, 2, &s->seen);
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
    const int64_t product = str_present(r->product_id) ? ingest_product_of(b, r->product_id) : 0;
    unsigned char kind[2];
    if (product == 0 && str_present(r->product_id)) return ingest_erased(err);
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

enum meros_code ingest_copy_events(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
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
    if (texts == NULL || ints == NULL || values == NULL || keys == NULL) return ingest_no_memory(err);
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
    ingest_add_step(s, &PUT_OUTCOMES, 8, &s->outcomes);
    return MEROS_OK;
}

enum meros_code ingest_add_rows(struct ingest_batch *b, struct meros_err *err)
{
    TRY(sort_entries(b, err));
    presume_fates(b);
    if (!ingest_by_copy(b) && b->n_events > 0) TRY(add_events(b, err));
    else if (ingest_by_copy(b) && !b->sent->hopeful) TRY(add_look(b, err));
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

void ingest_note_fates(struct ingest_batch *b)
{
    const struct ingest_sent *s = b->sent;
    const bool told = !ingest_by_copy(b); /* which of the events landed */
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

enum meros_code ingest_add_activity(struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    const size_t most = b->n_events;
    struct activity *all = arena_alloc(b->arena, (most + 1) * sizeof *all);
    int64_t *ints = arena_alloc(b->arena, (most + 1) * 6 * sizeof *ints);
    double *sums = arena_alloc(b->arena, (most + 1) * sizeof *sums);
    if (all == NULL || ints == NULL || sums == NULL) return ingest_no_memory(err);
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
    const struct sql_param params[] = {P_INTS(nos, rows), P_INTS(kinds, rows), P_INTS(counts, rows), P_NUMS(sums, rows),
                                       P_TIMES(newest, rows), P_TIMES(first, rows), P_NUM(b->half_life_days)};
    if (s->at_once) { /* behind the rows' own parameters */
        memcpy(s->params[s->n] + 10, params, sizeof params);
        s->params[s->n][17] = P_INTS(changed, people);
        s->params[s->n][18] = P_INT(b->hints->gone);
        ingest_add_step(s, &PUT_AT_ONCE, 19, NULL);
        return MEROS_OK;
    }
    if (rows > 0) {
        memcpy(s->params[s->n], params, sizeof params);
        ingest_add_step(s, &ADD, 7, NULL);
    }
    for (size_t i = 0; s->whole && i < people; i += CHANGED_ROW_MAX) {
        s->params[s->n][0] = P_INTS(changed + i, people - i < CHANGED_ROW_MAX ? people - i : CHANGED_ROW_MAX);
        ingest_add_step(s, &NOTE, 1, NULL);
    }
    return MEROS_OK;
}
