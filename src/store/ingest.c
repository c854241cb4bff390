/* A batch of events and outcomes: its names, its exchanges with the server, and what is remembered from one batch to the next.
 * What the exchanges say of the rows themselves is in ingest_rows.c.
 *
 * What a batch costs: one exchange with the server (its commit included) while everybody in it is known and its events are
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
#include "ingest_priv.h"

#include <stdlib.h>
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
_Static_assert(CHANGED_ROW_MAX == 2000, "a note of changed customers is cut into rows of so many");

/* --- what is remembered between batches: numbers of ids. Exact, since a customer's events must not become another's. */
enum { REMEMBER_MAX = 1 << 20, CAREFUL_BATCHES = 50 };

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

enum meros_code ingest_no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for a batch of events.");
}

void ingest_add_step(struct ingest_sent *s, const struct sql *sql, size_t n_params, struct rows *out)
{
    s->steps[s->n] = (struct sql_step){sql, s->params[s->n], n_params, out};
    s->n++;
}

static void begin_steps(struct ingest_sent *s, bool with_lock)
{
    s->n = s->from = 0;
    if (!with_lock) return;
    ingest_add_step(s, &SQL_BEGIN, 0, NULL);
    ingest_add_step(s, &LOCK_GONE, 0, &s->gone);
}

enum meros_code ingest_erased(struct meros_err *err)
{
    return err_set(err, MEROS_UNAVAILABLE, "A customer was erased at this moment; try again.");
}

/* --- names */

int64_t ingest_customer_of(struct ingest_batch *b, struct str id, bool visitor)
{
    const int64_t *found = idmap_get(&b->sent->found_customers, id);
    if (found != NULL) return *found;
    found = b->hints != NULL ? idmap_get(&b->hints->customers, id) : NULL;
    return found != NULL && (visitor || (*found & 1)) ? *found >> 1 : 0;
}

int64_t ingest_product_of(struct ingest_batch *b, struct str id)
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
        if (!b->resolved && ingest_customer_of(b, id, visitor) == 0) {
            if (!visitor) known[n_known++] = id;
            anonymous[n] = visitor;
            ids[n++] = id;
        }
        if (e != NULL && str_present(e->row->product_id) && ingest_product_of(b, e->row->product_id) == 0)
            products[n_products++] = e->row->product_id;
    }
    if (n > 0) {
        s->params[s->n][0] = P_TEXTS(ids, n);
        s->params[s->n][1] = P_INTS(anonymous, n);
        ingest_add_step(s, &MAKE_CUSTOMERS, 2, NULL);
    }
    if (n_known > 0) {
        s->params[s->n][0] = P_TEXTS(known, n_known);
        ingest_add_step(s, &NAME_VISITORS, 1, NULL);
    }
    if (n > 0) {
        s->params[s->n][0] = P_TEXTS(ids, n);
        ingest_add_step(s, &FIND_CUSTOMERS, 1, &s->customers);
    }
    if (n_products > 0) {
        s->params[s->n][0] = P_TEXTS(products, n_products);
        ingest_add_step(s, &MAKE_PRODUCTS, 1, NULL);
        s->params[s->n][0] = P_TEXTS(products, n_products);
        ingest_add_step(s, &FIND_PRODUCTS, 1, &s->products);
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
    if (!add_names(b, &s->names_sent)) return ingest_no_memory(err);
    s->hopeful = s->whole && b->hints != NULL && b->hints->careful == 0;
    s->at_once = s->hopeful && !s->names_sent && b->hints->gone_known && b->n_outcomes == 0 && b->n_events > 0 && !ingest_by_copy(b);
    if (s->at_once) s->from = 1; /* without a transaction of its own, an exchange is one */
    if (!s->names_sent) TRY(ingest_add_rows(b, err));
    if (s->at_once) TRY(ingest_add_activity(b, err));
    return exchange_begin(c, s, err);
}

enum meros_code store_ingest_send(struct store_conn *c, struct ingest_batch *b, bool whole, struct meros_err *err)
{
    struct ingest_sent *s = b->sent = arena_zalloc(b->arena, sizeof *b->sent);
    if (s == NULL) return ingest_no_memory(err);
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
        if (!note_found(&s->found_customers, &s->customers) || !note_found(&s->found_products, &s->products)) return ingest_no_memory(err);
        begin_steps(s, false);
        TRY(ingest_add_rows(b, err));
        TRY(exchange(c, s, err));
    }
    if (ingest_by_copy(b)) TRY(ingest_copy_events(c, b, err));
    ingest_note_fates(b);
    begin_steps(s, false);
    TRY(ingest_add_activity(b, err));
    if (s->whole) ingest_add_step(s, &SQL_COMMIT, 0, NULL);
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
        if (str_present(e->row->product_id)) remember(&b->hints->products, e->row->product_id, ingest_product_of(b, e->row->product_id));
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
    if (rc == MEROS_OK && again) rc = ingest_erased(err);
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
    b->named = b->sent->names_sent;
    for (size_t i = 0; rc == MEROS_OK && !b->named && i < b->n_events; i++) {
        struct ingest_event *e = &b->events[i];
        e->product_no = str_present(e->row->product_id) ? ingest_product_of(b, e->row->product_id) : 0;
    }
    end(b);
    return rc;
}
