#include "meros/service/imports.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "imports_priv.h"
#include "order_events_priv.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/service/catalog.h"
#include "meros/service/shelf.h"
#include "meros/service/sweeper.h"

enum {
    SLICE_FIRST = 4096,           /* rows of the first slice; then as many as take about SLICE_MS */
    SLICE_MIN = 2048,
    SLICE_MAX = 64 << 10,
    SLICE_BYTES = 8 << 20,
    SLICE_MS = 250,
    BATCH_ROWS = 64 << 10,        /* rows given to the database at once: a slice, unless one id has more */
    BATCH_BYTES = 16 << 20,       /* or what they weigh, if that is reached first */
    ROW_MEMORY = 64 << 10,
    ORDERS_MEMORY = 4 << 20,      /* of the names of some orders */
    ATTEMPTS = 3,
    AWAY_MS = 15000,              /* how long an import in its middle waits for a database that went away */
    STANDSTILL_MS = 15000,
    STOPPING_MS = 3000            /* how long it goes on when the service is stopping */
};

/* The merging of a spool, slice by slice. */
struct merging {
    struct importing *x;
    struct store_conn *c;     /* NULL: to be made */
    struct store_import *i;
    char *rows;               /* of a batch */
    size_t n;
    struct arena memory;      /* their strings */
    struct buf thing;         /* what the last row taken is about */
    size_t owner;             /* how much of it says whose that is */
    size_t slice_rows;        /* how many the next slice shall have */
    int64_t merged;           /* rows of slices that are committed */
    int64_t stopping_ns;      /* since when the service is stopping; 0: it is not */
    bool doubt;               /* a connection broke: its slice may have landed, and be duplicates by now */
};

/* What one slice is made of so far. */
struct slice {
    size_t rows, bytes;
    bool last;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of rows.");
}

/* Rows that say something of one thing stay in one slice; and those of one customer, if that does not make it much longer:
 * for a customer who was met in an earlier slice the database must look at what it holds. */
static bool belongs(const struct merging *m, const struct slice *s, struct str thing)
{
    if (!str_present(thing)) return false;
    if (str_eq(thing, (struct str){m->thing.data, m->thing.len})) return true;
    return m->owner > 0 && import_owner(m->x, thing) == m->owner && memcmp(thing.p, m->thing.data, m->owner) == 0 &&
           s->rows < m->slice_rows + m->slice_rows / 4 && s->bytes < SLICE_BYTES + SLICE_BYTES / 4;
}

/* Takes the rows of a batch. *more: the slice goes on behind them. */
static enum meros_code take_batch(struct merging *m, struct slice *s, bool *more, struct meros_err *err)
{
    const struct row_shape *shape = &row_shapes[m->x->options->dataset];
    struct str key, row, thing;
    enum meros_code rc = MEROS_OK;
    arena_done(&m->memory);
    *more = false;
    for (m->n = 0; rc == MEROS_OK; m->n++) {
        s->last = !spool_head(&m->x->spool, &key, &row);
        if (s->last) break;
        thing = import_thing(m->x, key);
        if ((s->rows >= m->slice_rows || s->bytes >= SLICE_BYTES) && !belongs(m, s, thing)) break;
        *more = m->n == BATCH_ROWS || m->memory.used >= BATCH_BYTES;
        if (*more) break;
        buf_clear(&m->thing);
        if (str_present(thing)) buf_append(&m->thing, thing.p, thing.n);
        if (m->thing.failed) return no_memory(err);
        m->owner = import_owner(m->x, thing);
        if ((rc = import_take(shape, row, &m->memory, m->rows + m->n * shape->size, err)) != MEROS_OK) break;
        s->rows++;
        s->bytes += row.n;
        rc = spool_next(&m->x->spool, err);
    }
    return rc;
}

static enum meros_code give_batch(struct merging *m, struct meros_err *err)
{
    const struct importing *x = m->x;
    const void *rows = m->rows;
    if (m->n == 0) return MEROS_OK;
    switch (x->options->dataset) {
    case DATASET_CUSTOMERS: return import_customers(m->i, rows, m->n, err);
    case DATASET_PRODUCTS: return import_products(m->i, rows, m->n, err);
    case DATASET_ORDERS: return import_orders(m->i, rows, m->n, err);
    case DATASET_EVENTS:
        return import_events(m->i, rows, m->n, x->rules.now, x->service->settings.activity_half_life_days, err);
    case DATASET_OUTCOMES: return import_outcomes(m->i, rows, m->n, x->rules.now, err);
    default: return err_set(err, MEROS_INTERNAL, "There is no such dataset.");
    }
}

/* The orders that follow from the events of the slice. */
static enum meros_code make_orders(struct store_conn *c, struct store_import *i, struct meros_err *err)
{
    struct told_order told[ORDER_EVENTS_MAX], after = {0};
    const int64_t *changed;
    size_t n, n_changed;
    char id[ID_MAX];
    enum meros_code rc;
    do {
        struct arena memory;
        arena_init(&memory, ORDERS_MEMORY);
        rc = import_orders_told(i, after, &memory, told, ORDER_EVENTS_MAX, &n, err);
        if (rc == MEROS_OK && n > 0) rc = order_events_apply(c, told, n, ORDER_TOLD_MAX, &memory, &changed, &n_changed, err);
        if (rc == MEROS_OK && n > 0) rc = import_orders_made(i, changed, n_changed, err);
        if (rc == MEROS_OK && n > 0) {
            memcpy(id, told[n - 1].order_id.p, told[n - 1].order_id.n);
            after = (struct told_order){told[n - 1].customer_no, {id, told[n - 1].order_id.n}};
        }
        arena_done(&memory);
    } while (rc == MEROS_OK && n == ORDER_EVENTS_MAX);
    return rc;
}

/* A slice that takes longer makes others wait longer, a shorter one costs a commit for less. */
static void set_pace(struct merging *m, size_t rows, int64_t ns)
{
    if (m->x->service->settings.import_slice_rows > 0) return;
    const double wanted = (double)rows * SLICE_MS * 1e6 / (double)(ns > 0 ? ns : 1);
    const size_t least = rows / 2 > SLICE_MIN ? rows / 2 : SLICE_MIN, most = 2 * rows < SLICE_MAX ? 2 * rows : SLICE_MAX;
    m->slice_rows = wanted < (double)least ? least : wanted > (double)most ? most : (size_t)wanted;
}

static bool changes_shelves(const struct merging *m)
{
    return m->x->options->dataset == DATASET_ORDERS || m->x->options->dataset == DATASET_EVENTS;
}

/* After the commit of a slice. */
static void tell_shelves(const struct merging *m)
{
    size_t n;
    const int64_t *nos = import_changed(m->i, &n);
    if (changes_shelves(m)) shelf_changed(m->x->service, nos, n);
}

static enum meros_code merge_once(struct merging *m, bool *last, struct meros_err *err)
{
    struct import_result *result = m->x->result;
    struct import_counts counts;
    struct slice s = {0};
    bool more = true;
    enum meros_code rc = import_begin(m->i, err);
    const int64_t began = clock_mono_ns();
    while (rc == MEROS_OK && more) {
        rc = take_batch(m, &s, &more, err);
        if (rc == MEROS_OK) rc = give_batch(m, err);
    }
    if (rc == MEROS_OK) rc = make_orders(m->c, m->i, err);
    if (rc == MEROS_OK) rc = import_commit(m->i, &counts, err);
    if (rc != MEROS_OK) return rc;
    tell_shelves(m);
    result->inserted += counts.inserted;
    result->updated += counts.updated;
    result->duplicates += counts.duplicates;
    m->merged += (int64_t)s.rows;
    *last = s.last;
    if (!s.last) set_pace(m, s.rows, clock_mono_ns() - began);
    return MEROS_OK;
}

static void leave(struct merging *m)
{
    import_free(m->i);
    store_disconnect(m->c);
    m->i = NULL;
    m->c = NULL;
}

/* A connection, and the turn. Before anything has landed a database that is away is the client's to wait for. */
static enum meros_code reach(struct merging *m, struct meros_err *err)
{
    const struct service *svc = m->x->service;
    const int64_t until = clock_mono_ns() + (m->merged > 0 ? AWAY_MS : 0) * INT64_C(1000000);
    enum meros_code rc;
    while ((rc = store_connect(svc->store, &m->c, err)) == MEROS_UNAVAILABLE && clock_mono_ns() < until && !svc->draining)
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    if (rc == MEROS_OK) rc = store_set_timeout(m->c, 0, err);
    if (rc == MEROS_OK) rc = store_set_standstill(m->c, STANDSTILL_MS, err);
    if (rc == MEROS_OK) rc = import_open(m->c, m->x->options->dataset, &m->i, err);
    if (rc != MEROS_OK) leave(m);
    return rc;
}

/* One transaction; again when the connection broke or another writer made the same id meanwhile. */
static enum meros_code merge_slice(struct merging *m, bool *last, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    spool_mark(&m->x->spool);
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        err_clear(err);
        if (m->c == NULL && (rc = reach(m, err)) != MEROS_OK) break;
        if ((rc = merge_once(m, last, err)) == MEROS_OK) break;
        import_rollback(m->i);
        m->doubt |= store_broken(m->c);
        if (store_broken(m->c)) leave(m);
        if (rc != MEROS_UNAVAILABLE && rc != MEROS_CONFLICT) break;
        struct meros_err e = MEROS_ERR_INIT;
        enum meros_code returned = spool_return(&m->x->spool, &e);
        if (returned != MEROS_OK) {
            *err = e;
            return returned;
        }
    }
    return rc;
}

static enum meros_code stop_in_time(struct merging *m, struct meros_err *err)
{
    if (!m->x->service->draining) return MEROS_OK;
    if (m->stopping_ns == 0) m->stopping_ns = clock_mono_ns();
    if (clock_mono_ns() - m->stopping_ns < STOPPING_MS * INT64_C(1000000)) return MEROS_OK;
    return err_set(err, MEROS_UNAVAILABLE, "The service is stopping.");
}

static enum meros_code explain(const struct merging *m, enum meros_code rc, struct meros_err *err)
{
    char why[sizeof err->detail];
    const struct import_result *r = m->x->result;
    if (m->merged == 0) return rc;
    snprintf(why, sizeof why, "%s", err->detail);
    snprintf(err->detail, sizeof err->detail,
             "%.300s Some of the file has landed, %lld rows of %lld; send the same file again, and the rest will land too.", why,
             (long long)m->merged, (long long)(r->received - r->rejected));
    return rc;
}

/* Before the answer, also where only some of it has landed. */
static void tell_memory(const struct merging *m)
{
    struct service *s = m->x->service;
    if (m->doubt) shelf_doubt(s);
    if (m->doubt && changes_shelves(m)) shelf_changed_all(s);
    if (changes_shelves(m) || m->x->options->dataset == DATASET_PRODUCTS) catalog_changed_many(s);
}

/* All slices. Each has all that the file says of some ids, so that it does not matter where they are cut. */
static enum meros_code merge(struct importing *x, struct meros_err *err)
{
    const size_t given = x->service->settings.import_slice_rows;
    struct merging m = {.x = x, .slice_rows = given > 0 ? given : SLICE_FIRST, .rows = malloc(BATCH_ROWS * row_shapes[x->options->dataset].size)};
    enum meros_code rc = m.rows != NULL ? import_sort(x, err) : no_memory(err);
    bool last = false;
    arena_init(&m.memory, 2 * (size_t)BATCH_BYTES);
    buf_init(&m.thing, 2 * ID_MAX + 2);
    while (rc == MEROS_OK && !last) {
        rc = merge_slice(&m, &last, err);
        if (rc != MEROS_OK) break;
        sweeper_wake(x->service);
        if (x->progress != NULL)
            x->progress(x->progress_arg, &(struct import_progress){x->result->received, x->result->rejected, m.merged});
        if (!last) rc = stop_in_time(&m, err);
    }
    if (rc != MEROS_OK) rc = explain(&m, rc, err);
    tell_memory(&m);
    if (m.c != NULL) leave(&m);
    arena_done(&m.memory);
    buf_done(&m.thing);
    free(m.rows);
    return rc;
}

static enum meros_code check_options(struct importing *x, struct meros_err *err)
{
    const struct import_options *o = x->options;
    if (str_present(o->date_format)) {
        enum meros_code rc = timetext_check(o->date_format, err);
        if (rc != MEROS_OK) return rc;
        if (o->day_first) return err_set(err, MEROS_INVALID, "day_first says nothing beside date_format; leave one of them out.");
    }
    return import_parse_map(x, err);
}

static struct metric_family rows_family = {
    .name = "meros_import_rows_total", .help = "Rows of imports by dataset and what became of them.", .kind = METRIC_COUNTER,
    .labels = {"dataset", "outcome"}};
static struct metric_family imports_family = {
    .name = "meros_imports_total", .help = "Imports by dataset and whether they landed.", .kind = METRIC_COUNTER,
    .labels = {"dataset", "outcome"}};

static void count(const struct import_options *o, const struct import_result *r, enum meros_code rc)
{
    static const char *const names[] = {[DATASET_CUSTOMERS] = "customers", [DATASET_PRODUCTS] = "products",
                                        [DATASET_ORDERS] = "orders", [DATASET_EVENTS] = "events",
                                        [DATASET_OUTCOMES] = "outcomes"};
    const struct {
        const char *outcome;
        int64_t n;
    } parts[] = {{"inserted", r->inserted}, {"updated", r->updated}, {"duplicate", r->duplicates}, {"rejected", r->rejected}};
    const char *name = names[o->dataset];
    metric_add(metric(&imports_family, (const char *const[]){name, rc == MEROS_OK ? "landed" : "failed"}), 1);
    for (size_t i = 0; i < 4 && rc == MEROS_OK; i++)
        metric_add(metric(&rows_family, (const char *const[]){name, parts[i].outcome}), (double)parts[i].n);
}

enum meros_code service_import(struct service *s, const struct import_options *options, codec_read_fn read, void *read_arg,
                               import_progress_fn progress, void *progress_arg, struct import_result *out, struct meros_err *err)
{
    int64_t started = clock_mono_ns();
    *out = (struct import_result){0};
    struct importing x = {.service = s, .options = options, .progress = progress, .progress_arg = progress_arg, .result = out};
    x.rules = (struct row_rules){{options->date_format, options->day_first}, clock_now()};
    x.spool.fd = -1;
    arena_init(&x.memory, 2 * RECORD_MAX);
    arena_init(&x.row_memory, ROW_MEMORY);
    buf_init(&x.extras, 4 * RECORD_MAX);
    buf_init(&x.inner, 2 * RECORD_MAX);
    import_keys_init(&x);
    enum meros_code rc = check_options(&x, err);
    if (rc == MEROS_OK) rc = spool_open(&x.spool, s->settings.spool_dir, err);
    if (rc == MEROS_OK) rc = import_read(&x, read, read_arg, err);
    if (rc == MEROS_OK && options->abort_on_error && out->rejected > 0)
        rc = err_set(err, MEROS_UNPROCESSABLE, "%lld of %lld rows are bad and on_error=abort: nothing was imported.",
                     (long long)out->rejected, (long long)out->received);
    if (rc == MEROS_OK && out->received > out->rejected) rc = merge(&x, err);
    spool_close(&x.spool);
    buf_done(&x.extras);
    buf_done(&x.inner);
    import_keys_done(&x);
    arena_done(&x.memory);
    arena_done(&x.row_memory);
    out->seconds = (double)(clock_mono_ns() - started) / 1e9;
    count(options, out, rc);
    return rc;
}
