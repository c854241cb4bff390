#include "meros/store/imports.h"

#include <stdlib.h>
#include <time.h>
#include "changes_priv.h"
#include "imports_priv.h"

enum { BATCH_MEMORY = 128 << 20, CACHE_IDS_MAX = 200000, STEP_ASIDE_MS = 5 };

/* Whoever waits for its turn, or for the lock, waits as long as it takes, and sorts what it staged in memory rather than
 * on disk. The connection's statement time-out is the caller's. */
static const struct sql PATIENCE = {"import_patience",
    "select set_config('lock_timeout', '0', $1::bigint <> 0), set_config('work_mem', '64MB', $1::bigint <> 0)", SQL_ROW};
static const struct sql TURN = {"import_turn", "select pg_advisory_lock(" IMPORT_TURN_NUMBER ")", SQL_ROW};
static const struct sql END_TURN = {"import_end_turn", "select pg_advisory_unlock(" IMPORT_TURN_NUMBER ")", SQL_ROW};
static const struct sql TURN_ONCE = {"import_turn_once", "select pg_advisory_xact_lock(" IMPORT_TURN_NUMBER ")", SQL_ROW};
static const struct sql LOCK = {"import_lock", "select pg_advisory_xact_lock(" IMPORT_LOCK_NUMBER ")", SQL_ROW};
/* Customers without a name are rare, and numbers of customers hold as long as nobody is erased or joined. */
static const struct sql LOOK = {"import_look",
    "select (select customer_no from customers where anonymous order by customer_no limit 1) is not null, "
    "       last_value + is_called::int from customers_gone", SQL_ROW};

static const struct sql WAITING = {"import_waiting",
    "select exists (select from pg_locks where locktype = 'advisory' and not granted and objsubid = 1 "
    "and (classid::bigint << 32) + objid::bigint = " IMPORT_LOCK_NUMBER " "
    "and database = (select oid from pg_database where datname = current_database()))", SQL_ROW};

static enum meros_code run(struct store_conn *c, const struct sql *s, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec0(c, s, &r, err));
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code be_patient(struct store_conn *c, bool transaction, struct meros_err *err)
{
    struct rows r;
    TRY(sql_exec(c, &PATIENCE, &r, err, P_INT(transaction)));
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code import_lock(struct store_conn *c, struct meros_err *err)
{
    TRY(be_patient(c, true, err));
    TRY(run(c, &TURN_ONCE, err));
    return run(c, &LOCK, err);
}

enum meros_code import_open(struct store_conn *c, enum dataset_kind dataset, struct store_import **out, struct meros_err *err)
{
    *out = NULL;
    struct store_import *i = calloc(1, sizeof *i);
    if (i == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an import.");
    i->c = c;
    i->dataset = dataset;
    idmap_init(&i->customers, false);
    idmap_init(&i->products, false);
    arena_init(&i->batch, BATCH_MEMORY);
    enum meros_code rc = be_patient(c, false, err);
    if (rc == MEROS_OK) rc = run(c, &TURN, err);
    i->turn = rc == MEROS_OK;
    if (rc != MEROS_OK) {
        import_free(i);
        return rc;
    }
    *out = i;
    return MEROS_OK;
}

void import_free(struct store_import *i)
{
    if (i == NULL) return;
    if (i->turn && !store_broken(i->c)) (void)run(i->c, &END_TURN, NULL); /* or it ends with the connection */
    idmap_done(&i->customers);
    idmap_done(&i->products);
    arena_done(&i->batch);
    free(i->touched);
    free(i);
}

static enum meros_code prepare(struct store_import *i, struct meros_err *err)
{
    static enum meros_code (*const prepare_dataset[DATASET_COUNT])(struct store_import *, struct meros_err *) = {
        [DATASET_CUSTOMERS] = import_customers_prepare,
        [DATASET_PRODUCTS] = import_products_prepare,
        [DATASET_ORDERS] = import_orders_prepare,
        [DATASET_EVENTS] = import_events_prepare,
        [DATASET_OUTCOMES] = import_outcomes_prepare,
    };
    if (i->prepared) return MEROS_OK;
    if (i->dataset != DATASET_PRODUCTS) TRY(changed_gather_prepare(i->c, err));
    return prepare_dataset[i->dataset](i, err);
}

/* Whoever waited for the last slice has the lock now, as a rule a batch of events that was cut before most of those who
 * wait came. So it is waited for, and the next batch, with all of them, comes before this slice. */
static enum meros_code step_aside(struct store_conn *c, struct meros_err *err)
{
    TRY(store_begin(c, err));
    TRY(run(c, &LOCK, err));
    TRY(store_commit(c, err));
    nanosleep(&(struct timespec){.tv_nsec = STEP_ASIDE_MS * 1000000}, NULL);
    return MEROS_OK;
}

enum meros_code import_begin(struct store_import *i, struct meros_err *err)
{
    struct rows r;
    if (i->waited_for) TRY(step_aside(i->c, err));
    TRY(store_begin(i->c, err));
    TRY(run(i->c, &LOCK, err));
    TRY(sql_exec0(i->c, &LOOK, &r, err));
    const int64_t gone = rows_int(&r, 0, 1);
    i->visitors = rows_bool(&r, 0, 0);
    rows_done(&r);
    if (gone != i->gone) idmap_clear(&i->customers);
    i->gone = gone;
    i->counts = (struct import_counts){0};
    i->batches = i->staged = i->gaps = i->told = 0;
    i->noted = false;
    i->n_touched = 0;
    return prepare(i, err);
}

static enum meros_code gather(void *arg, int64_t customer_no, struct meros_err *err)
{
    return import_touched(arg, customer_no, err);
}

enum meros_code import_commit(struct store_import *i, struct import_counts *out, struct meros_err *err)
{
    struct rows r;
    if (i->dataset == DATASET_ORDERS) TRY(import_orders_finish(i, err));
    if (i->n_touched > 0) TRY(changed_note_bulk(i->c, i->touched, i->n_touched, err));
    if (i->dataset != DATASET_PRODUCTS && (i->dataset != DATASET_ORDERS || i->noted)) TRY(changed_note_gathered(i->c, gather, i, err));
    TRY(sql_exec0(i->c, &WAITING, &r, err));
    i->waited_for = rows_bool(&r, 0, 0);
    rows_done(&r);
    TRY(store_commit(i->c, err));
    i->prepared = true;
    *out = i->counts;
    return MEROS_OK;
}

const int64_t *import_changed(const struct store_import *i, size_t *n)
{
    *n = i->n_touched;
    return i->touched;
}

void import_rollback(struct store_import *i)
{
    store_rollback(i->c);
    idmap_clear(&i->customers); /* they may hold numbers that are nobody's now */
    idmap_clear(&i->products);
}

enum meros_code import_touched(struct store_import *i, int64_t customer_no, struct meros_err *err)
{
    if (i->n_touched == i->cap_touched) {
        const size_t cap = i->cap_touched == 0 ? 1024 : 2 * i->cap_touched;
        int64_t *more = realloc(i->touched, cap * sizeof *more);
        if (more == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the customers of an import.");
        i->touched = more;
        i->cap_touched = cap;
    }
    i->touched[i->n_touched++] = customer_no;
    return MEROS_OK;
}

/* --- numbers of ids */
static const struct sql FIND_CUSTOMERS = {"import_find_customers",
    "select customer_id, customer_no from customer_ids where customer_id = any($1)", SQL_ROWS};
static const struct sql MAKE_CUSTOMERS = {"import_make_customers",
    "with ids as (insert into customer_ids (customer_id, customer_no) "
    "             select id, nextval('customer_nos') from unnest($1::text[]) as given (id) "
    "             on conflict do nothing returning customer_id, customer_no), "
    "     made as (insert into customers (customer_no, customer_id) select customer_no, customer_id from ids) "
    "select customer_id, customer_no from ids", SQL_ROWS};
/* A visitor's id that an import says as a customer's makes the visitor that customer. Rare, and free where there are none. */
static const struct sql NAME_VISITORS = {"import_name_visitors",
    "update customers c set customer_id = i.customer_id, anonymous = false, changed_at = now() from customer_ids i "
    "where c.anonymous and i.customer_no = c.customer_no and i.customer_id = any($1)", SQL_NOTHING};
static const struct sql FIND_PRODUCTS = {"import_find_products",
    "select product_id, product_no from products where product_id = any($1)", SQL_ROWS};
static const struct sql MAKE_PRODUCTS = {"import_make_products",
    "insert into products (product_no, product_id) "
    "select nextval('product_nos'), id from unnest($1::text[]) as given (id) "
    "on conflict do nothing returning product_id, product_no", SQL_ROWS};

static int by_bytes(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    int c = memcmp(x->p, y->p, x->n < y->n ? x->n : y->n);
    return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

/* Runs a statement that gives (id, number) and notes them; then takes out of ids what the map knows. */
static enum meros_code note(struct store_import *i, const struct sql *s, struct idmap *map, struct str *ids, size_t *n,
                            struct meros_err *err)
{
    struct rows r;
    bool added;
    int64_t sign = i->mark_made && (s == &MAKE_CUSTOMERS || s == &MAKE_PRODUCTS) ? -1 : 1;
    TRY(sql_exec(i->c, s, &r, err, P_TEXTS(ids, *n)));
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r.n && rc == MEROS_OK; k++)
        if (idmap_put(map, rows_text(&r, k, 0), sign * rows_int(&r, k, 1), &added) == NULL)
            rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the ids of an import.");
    rows_done(&r);
    if (rc != MEROS_OK) return rc;
    size_t left = 0;
    for (size_t k = 0; k < *n; k++)
        if (idmap_get(map, ids[k]) == NULL) ids[left++] = ids[k];
    *n = left;
    return MEROS_OK;
}

enum meros_code import_resolve(struct store_import *i, struct idmap *map, const struct str *ids, size_t n,
                               struct meros_err *err)
{
    bool customers = map == &i->customers, added;
    const struct sql *find = customers ? &FIND_CUSTOMERS : &FIND_PRODUCTS;
    const struct sql *make = customers ? &MAKE_CUSTOMERS : &MAKE_PRODUCTS;
    struct idmap distinct;
    struct str *unknown = arena_array(&i->batch, n + 1, sizeof *unknown);
    enum meros_code rc = MEROS_OK;
    size_t left = 0;
    if (unknown == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the ids of an import.");
    if (map->n > CACHE_IDS_MAX) idmap_clear(map);
    idmap_init(&distinct, true);
    for (size_t k = 0; k < n; k++) {
        if (!str_present(ids[k]) || (k > 0 && str_eq(ids[k], ids[k - 1])) || idmap_get(map, ids[k]) != NULL) continue;
        if (idmap_put(&distinct, ids[k], 0, &added) == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the ids of an import.");
        if (added) unknown[left++] = ids[k];
    }
    idmap_done(&distinct);
    /* sorted, so that writers that make the same ids outside of imports meet them in one order */
    if (left > 1) qsort(unknown, left, sizeof *unknown, by_bytes);
    if (rc == MEROS_OK && left > 0 && customers && i->visitors) rc = sql_exec(i->c, &NAME_VISITORS, NULL, err, P_TEXTS(unknown, left));
    if (rc == MEROS_OK && left > 0) rc = note(i, find, map, unknown, &left, err);
    if (rc == MEROS_OK && left > 0) rc = note(i, make, map, unknown, &left, err);
    if (rc == MEROS_OK && left > 0) rc = note(i, find, map, unknown, &left, err); /* made by another writer meanwhile */
    if (rc == MEROS_OK && left > 0) rc = err_set(err, MEROS_UNAVAILABLE, "An id was erased while it was imported; try again.");
    return rc;
}
