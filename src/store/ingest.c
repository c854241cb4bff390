/* Sets of columns go to the server as binary arrays and come back as the few rows that did not land, so that a batch
 * costs the network one exchange and the server five short statements. */
#include "meros/store/ingest.h"

#include <stdlib.h>
#include "event_sql_priv.h"
#include "imports_priv.h"
#include "meros/store/changed.h"
#include "plumbing.h"

/* Look-ups by key are the only good plan for a batch, and the planner cannot know: arrays have no statistics, and tables
 * of a young shop grow a thousandfold before they are analyzed again. */
static const char settings[] =
    "select set_config('enable_seqscan', 'off', false), set_config('enable_hashjoin', 'off', false), "
    "set_config('enable_mergejoin', 'off', false), set_config('plan_cache_mode', 'force_generic_plan', false)";

static const struct sql LOCK_SHARED = {"ingest_lock_shared", "select pg_advisory_xact_lock_shared(" IMPORT_LOCK_NUMBER ")", SQL_ROW};
static const struct sql LOCK_ALONE = {"ingest_lock_alone", "select pg_advisory_xact_lock(" IMPORT_LOCK_NUMBER ")", SQL_ROW};

static const struct sql MAKE_CUSTOMERS = {"ingest_make_customers",
    "with given as (select id, bool_and(anonymous <> 0) as anonymous from unnest($1::text[], $2::bigint[]) as u (id, anonymous) "
    "               group by id), "
    "     made as (insert into customer_ids (customer_id, customer_no) select id, nextval('customer_nos') from given g "
    "              where not exists (select from customer_ids i where i.customer_id = g.id) order by id collate \"C\" "
    "              on conflict do nothing returning customer_id, customer_no) "
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

/* What comes back is what did not land (with $12, everything): the first of equal ones is inserted, so a later one in
 * the batch, and any whose identity is stored, is not. */
static const struct sql LAND_EVENTS = {"ingest_land_events",
    "with given as materialized ("
    "  select g.*, i.customer_no, p.product_no, i.customer_no is null or (g.product_id is not null and p.product_no is null) as lost, "
    "    row_number() over (partition by i.customer_no, g.event_key order by g.seq) as nth "
    "  from unnest($1::text[], $2::uuid[], $3::bigint[], $4::text[], $5::timestamptz[], $6::text[], $7::numeric[], $8::numeric[], "
    "              $9::jsonb[], $10::text[]) with ordinality "
    "    as g (customer_id, event_key, kind, type, occurred_at, product_id, value, quantity, properties, event_id, seq) "
    "  left join customer_ids i on i.customer_id = g.customer_id "
    "  left join products p on p.product_id = g.product_id), "
    "landed as ("
    "  insert into events (customer_no, event_key, kind, type, occurred_at, product_no, value, quantity, properties, event_id) "
    "  select customer_no, event_key, kind, type, coalesce(occurred_at, $11), product_no, value, quantity, properties, event_id "
    "  from given where not lost and nth = 1 order by customer_no, event_key "
    "  on conflict do nothing returning customer_no, event_key, kind, occurred_at), "
    "activity as (" ADD_ACTIVITY("landed", "$13") "), "
    "note as ("
    "  insert into changed_customers (customers, customer_nos) select count(*), array_agg(customer_no) "
    "  from (select customer_no, row_number() over () as place from (select distinct customer_no from landed where not $12) d) p "
    "  group by (place - 1) / 2000) "
    "select seq, customer_no, lost, new and nth = 1 as landed "
    "from (select seq, customer_no, lost, nth, bool_or(fresh) over (partition by customer_no, event_key) as new "
    "      from (select seq, customer_no, event_key, lost, nth, false as fresh from given "
    "            union all select null, customer_no, event_key, null, null, true from landed) u) w "
    "where seq is not null and ($12 or lost or nth > 1 or not new)", SQL_ROWS};

_Static_assert(CHANGED_ROW_MAX == 2000, "the note above is in rows of so many customers");

static const struct sql LAND_OUTCOMES = {"ingest_land_outcomes",
    "with given as materialized ("
    "  select g.*, i.customer_no, row_number() over (partition by i.customer_no, g.outcome_key order by g.seq) as nth "
    "  from unnest($1::text[], $2::uuid[], $3::text[], $4::text[], $5::bigint[], $6::timestamptz[], $7::numeric[], $8::text[]) "
    "    with ordinality as g (customer_id, outcome_key, campaign, variant, type, occurred_at, value, outcome_id, seq) "
    "  left join customer_ids i on i.customer_id = g.customer_id), "
    "landed as ("
    "  insert into outcomes (customer_no, outcome_key, campaign, variant, type, occurred_at, value, outcome_id) "
    "  select customer_no, outcome_key, campaign, variant, type, coalesce(occurred_at, $9), value, outcome_id "
    "  from given where customer_no is not null and nth = 1 order by customer_no, outcome_key "
    "  on conflict do nothing returning customer_no, outcome_key) "
    "select seq, customer_no is null as lost "
    "from (select seq, customer_no, nth, bool_or(fresh) over (partition by customer_no, outcome_key) as new "
    "      from (select seq, customer_no, outcome_key, nth, false as fresh from given "
    "            union all select null, customer_no, outcome_key, null, true from landed) u) w "
    "where seq is not null and (customer_no is null or nth > 1 or not new)", SQL_ROWS};

/* --- hints: hashes of ids, four places for each; a new one takes the place of any. */
enum { WAYS = 4, SETS = 1 << 16 };
struct ingest_hints {
    unsigned char key[SEAL_KEY_BYTES];
    unsigned turn;
    uint64_t sets[SETS][WAYS];
};

struct ingest_hints *ingest_hints_new(void)
{
    struct ingest_hints *h = calloc(1, sizeof *h);
    if (h != NULL) crypto_random(h->key, sizeof h->key);
    return h;
}

void ingest_hints_free(struct ingest_hints *h)
{
    free(h);
}

void ingest_hints_clear(struct ingest_hints *h)
{
    memset(h->sets, 0, sizeof h->sets);
}

/* Ids are the clients' choice; the seed keeps anybody from aiming for collisions, which would only cost a second try. */
static uint64_t hint_of(const struct ingest_hints *h, struct str id, uint64_t kind)
{
    uint64_t v, w;
    memcpy(&v, h->key, 8);
    v ^= kind << 56;
    const char *p = id.p;
    size_t left = id.n;
    for (; left > 0; p += w, left -= w) {
        uint64_t piece = 0, k;
        w = left < 8 ? left : 8;
        memcpy(&piece, p, w);
        memcpy(&k, h->key + 8, 8);
        unsigned __int128 product = (unsigned __int128)(v ^ piece) * (k | 1);
        v = (uint64_t)product ^ (uint64_t)(product >> 64);
    }
    v ^= id.n * UINT64_C(0x9E3779B97F4A7C15);
    v ^= v >> 29;
    return v == 0 ? 1 : v;
}

/* What of an id is known: of a product that it is there; of a customer's that it is there, as a visitor's perhaps, or that
 * it is one by which the customer is known. */
enum { HINT_PRODUCT, HINT_VISITOR, HINT_NAMED, HINT_PAIR };

static bool hinted(const struct ingest_hints *h, struct str id, uint64_t kind)
{
    const uint64_t hint = hint_of(h, id, kind), *set = h->sets[hint % SETS];
    for (int k = 0; k < WAYS; k++)
        if (set[k] == hint) return true;
    return false;
}

static bool customer_hinted(const struct ingest_hints *h, struct str id, bool anonymous)
{
    return h != NULL && (hinted(h, id, HINT_NAMED) || (anonymous && hinted(h, id, HINT_VISITOR)));
}

static void hint_add(struct ingest_hints *h, struct str id, uint64_t kind)
{
    const uint64_t hint = hint_of(h, id, kind);
    if (!hinted(h, id, kind)) h->sets[hint % SETS][h->turn++ % WAYS] = hint;
}

/* Two ids as one text; 1 is a byte that no id holds. */
static struct str pair_of(struct str customer_id, struct str anonymous_id, char text[2 * ID_MAX + 1])
{
    memcpy(text, customer_id.p, customer_id.n);
    text[customer_id.n] = 1;
    memcpy(text + customer_id.n + 1, anonymous_id.p, anonymous_id.n);
    return (struct str){text, customer_id.n + 1 + anonymous_id.n};
}

bool ingest_hints_paired(const struct ingest_hints *h, struct str customer_id, struct str anonymous_id)
{
    char text[2 * ID_MAX + 1];
    return hinted(h, pair_of(customer_id, anonymous_id, text), HINT_PAIR);
}

void ingest_hints_pair(struct ingest_hints *h, struct str customer_id, struct str anonymous_id)
{
    char text[2 * ID_MAX + 1];
    hint_add(h, pair_of(customer_id, anonymous_id, text), HINT_PAIR);
}

/* --- columns. A batch's events turned on their side. */
enum { STEPS = 8 };
struct ingest_sent {
    struct sql_step steps[STEPS];
    size_t n;
    struct sql_param params[STEPS][13];
    struct rows lock, events, outcomes;
    bool whole;
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

/* Those that have to be made or named, perhaps: all of whom no hint says that they are. */
static bool add_names(struct ingest_batch *b)
{
    struct ingest_sent *s = b->sent;
    const size_t most = b->n_events + b->n_outcomes;
    struct str *texts = arena_array(b->arena, most + 1, 3 * sizeof *texts), *ids = texts, *known = texts + most, *products = known + most;
    int64_t *anonymous = arena_array(b->arena, most + 1, sizeof *anonymous);
    size_t n = 0, n_known = 0, n_products = 0;
    if (texts == NULL || anonymous == NULL) return false;
    for (size_t i = 0; i < most; i++) {
        const struct ingest_event *e = i < b->n_events ? &b->events[i] : NULL;
        const struct str id = e != NULL ? e->row->customer_id : b->outcomes[i - b->n_events].row->customer_id;
        const bool visitor = e != NULL && e->anonymous;
        if (!b->resolved && !customer_hinted(b->hints, id, visitor)) {
            if (!visitor) known[n_known++] = id;
            anonymous[n] = visitor;
            ids[n++] = id;
        }
        if (e != NULL && str_present(e->row->product_id) && (b->hints == NULL || !hinted(b->hints, e->row->product_id, HINT_PRODUCT)))
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
    if (n_products > 0) {
        s->params[s->n][0] = P_TEXTS(products, n_products);
        add_step(s, &MAKE_PRODUCTS, 1, NULL);
    }
    return true;
}

static bool add_events(struct ingest_batch *b)
{
    struct ingest_sent *s = b->sent;
    const size_t n = b->n_events;
    struct str *texts = arena_array(b->arena, n, 5 * sizeof *texts);
    int64_t *ints = arena_array(b->arena, n, 2 * sizeof *ints);
    struct decimal *numbers = arena_array(b->arena, n, 2 * sizeof *numbers);
    struct crypto_hash128 *keys = arena_array(b->arena, n, sizeof *keys);
    if (texts == NULL || ints == NULL || numbers == NULL || keys == NULL) return false;
    struct str *customers = texts, *types = texts + n, *products = texts + 2 * n, *properties = texts + 3 * n, *ids = texts + 4 * n;
    int64_t *kinds = ints, *times = ints + n;
    struct decimal *values = numbers, *quantities = numbers + n;
    for (size_t i = 0; i < n; i++) {
        const struct event_row *r = b->events[i].row;
        customers[i] = r->customer_id;
        keys[i] = b->events[i].key;
        kinds[i] = (int64_t)r->kind;
        types[i] = r->type;
        times[i] = r->occurred_at;
        products[i] = r->product_id;
        values[i] = r->value;
        quantities[i] = r->quantity;
        properties[i] = r->properties;
        ids[i] = r->event_id;
    }
    const struct sql_param params[] = {P_TEXTS(customers, n),    P_UUIDS(keys, n),         P_INTS(kinds, n),
                                       P_TEXTS(types, n),        P_TIMES(times, n),        P_TEXTS(products, n),
                                       P_NUMERICS(values, n),    P_NUMERICS(quantities, n), P_JSONBS(properties, n),
                                       P_TEXTS(ids, n),          P_TIME(b->now),           P_BOOL(!s->whole),
                                       P_NUM(b->half_life_days)};
    memcpy(s->params[s->n], params, sizeof params);
    add_step(s, &LAND_EVENTS, 13, &s->events);
    return true;
}

static bool add_outcomes(struct ingest_batch *b)
{
    struct ingest_sent *s = b->sent;
    const size_t n = b->n_outcomes;
    struct str *texts = arena_array(b->arena, n, 4 * sizeof *texts);
    int64_t *ints = arena_array(b->arena, n, 2 * sizeof *ints);
    struct decimal *values = arena_array(b->arena, n, sizeof *values);
    struct crypto_hash128 *keys = arena_array(b->arena, n, sizeof *keys);
    if (texts == NULL || ints == NULL || values == NULL || keys == NULL) return false;
    struct str *customers = texts, *campaigns = texts + n, *variants = texts + 2 * n, *ids = texts + 3 * n;
    int64_t *types = ints, *times = ints + n;
    for (size_t i = 0; i < n; i++) {
        const struct outcome_row *r = b->outcomes[i].row;
        customers[i] = r->customer_id;
        keys[i] = b->outcomes[i].key;
        campaigns[i] = r->campaign;
        variants[i] = r->variant;
        types[i] = (int64_t)r->type;
        times[i] = r->occurred_at;
        values[i] = r->value;
        ids[i] = r->outcome_id;
    }
    const struct sql_param params[] = {P_TEXTS(customers, n), P_UUIDS(keys, n),      P_TEXTS(campaigns, n),
                                       P_TEXTS(variants, n),  P_INTS(types, n),      P_TIMES(times, n),
                                       P_NUMERICS(values, n), P_TEXTS(ids, n),       P_TIME(b->now)};
    memcpy(s->params[s->n], params, sizeof params);
    add_step(s, &LAND_OUTCOMES, 9, &s->outcomes);
    return true;
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

enum meros_code store_ingest_send(struct store_conn *c, struct ingest_batch *b, bool whole, struct meros_err *err)
{
    struct ingest_sent *s = b->sent = arena_zalloc(b->arena, sizeof *b->sent);
    if (s == NULL) return no_memory(err);
    s->whole = whole;
    if (whole) {
        add_step(s, &SQL_BEGIN, 0, NULL);
        add_step(s, &LOCK_SHARED, 0, &s->lock);
    }
    bool ok = add_names(b);
    if (ok && b->n_events > 0) ok = add_events(b);
    if (ok && b->n_outcomes > 0) ok = add_outcomes(b);
    if (!ok) return no_memory(err);
    if (whole) add_step(s, &SQL_COMMIT, 0, NULL);
    return s->n == 0 ? MEROS_OK : sql_pipeline_send(c, s->steps, s->n, err);
}

static void note_fates(struct ingest_batch *b)
{
    const struct ingest_sent *s = b->sent;
    for (size_t i = 0; i < b->n_events; i++) b->events[i].fate = INGEST_FATE_LANDED, b->events[i].customer_no = 0;
    for (size_t k = 0; k < s->events.n; k++) {
        struct ingest_event *e = &b->events[rows_int(&s->events, k, 0) - 1];
        e->customer_no = rows_int(&s->events, k, 1);
        e->fate = rows_bool(&s->events, k, 2) ? INGEST_FATE_LOST : rows_bool(&s->events, k, 3) ? INGEST_FATE_LANDED : INGEST_FATE_SEEN;
    }
    for (size_t i = 0; i < b->n_outcomes; i++) b->outcomes[i].fate = INGEST_FATE_LANDED;
    for (size_t k = 0; k < s->outcomes.n; k++)
        b->outcomes[rows_int(&s->outcomes, k, 0) - 1].fate = rows_bool(&s->outcomes, k, 1) ? INGEST_FATE_LOST : INGEST_FATE_SEEN;
}

/* Only after a commit of our own: what a transaction made may yet be rolled back. */
static void learn(struct ingest_batch *b)
{
    struct ingest_hints *h = b->hints;
    for (size_t i = 0; i < b->n_events; i++) {
        const struct event_row *r = b->events[i].row;
        if (b->events[i].fate == INGEST_FATE_LOST) continue;
        hint_add(h, r->customer_id, b->events[i].anonymous ? HINT_VISITOR : HINT_NAMED);
        if (str_present(r->product_id)) hint_add(h, r->product_id, HINT_PRODUCT);
    }
    for (size_t i = 0; i < b->n_outcomes; i++)
        if (b->outcomes[i].fate != INGEST_FATE_LOST) hint_add(h, b->outcomes[i].row->customer_id, HINT_NAMED);
}

enum meros_code store_ingest_wait(struct store_conn *c, struct ingest_batch *b, struct meros_err *err)
{
    struct ingest_sent *s = b->sent;
    if (s->n == 0) return MEROS_OK;
    enum meros_code rc = sql_pipeline_wait(c, s->steps, s->n, err);
    if (rc == MEROS_OK) {
        note_fates(b);
        if (b->hints != NULL && s->whole) learn(b);
    }
    rows_done(&s->lock);
    rows_done(&s->events);
    rows_done(&s->outcomes);
    return rc;
}
