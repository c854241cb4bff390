#include "meros/service/imports.h"

#include <stdlib.h>
#include "imports_priv.h"
#include "order_events_priv.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/service/sweeper.h"

enum {
    BATCH_ROWS = 64 << 10,        /* rows given to the database at once */
    BATCH_BYTES = 32 << 20,       /* or what they weigh, if that is reached first */
    ROW_MEMORY = 64 << 10,
    ORDERS_MEMORY = 4 << 20,      /* of the names of some orders */
    ATTEMPTS = 3
};

struct batch {
    char *rows; /* IMPORT_BATCH_MAX of them */
    size_t n;
    struct arena memory; /* their strings */
};

static enum meros_code give(struct importing *x, struct store_import *i, struct batch *b, double half_life_days, struct meros_err *err)
{
    const void *rows = b->rows;
    switch (x->options->dataset) {
    case DATASET_CUSTOMERS: return import_customers(i, rows, b->n, err);
    case DATASET_PRODUCTS: return import_products(i, rows, b->n, err);
    case DATASET_ORDERS: return import_orders(i, rows, b->n, err);
    case DATASET_EVENTS: return import_events(i, rows, b->n, x->rules.now, half_life_days, err);
    case DATASET_OUTCOMES: return import_outcomes(i, rows, b->n, x->rules.now, err);
    default: return err_set(err, MEROS_INTERNAL, "There is no such dataset.");
    }
}

/* Lines of one order that stand together in the file stay together in a batch. */
static bool belongs(const struct importing *x, const struct batch *b, const void *next)
{
    if (x->options->dataset != DATASET_ORDERS || b->n == 0) return false;
    const struct order_row *last = (const struct order_row *)(const void *)b->rows + (b->n - 1), *row = next;
    return str_eq(last->order_id, row->order_id);
}

static enum meros_code give_batches(struct importing *x, struct store_import *i, struct batch *b, double half_life_days,
                                    struct meros_err *err)
{
    const struct row_shape *shape = &row_shapes[x->options->dataset];
    int64_t merged = 0;
    enum meros_code rc;
    for (;;) {
        char *next = b->rows + b->n * shape->size;
        bool got;
        if ((rc = import_take(&x->spool, shape, &b->memory, next, &got, err)) != MEROS_OK) return rc;
        bool full = b->n >= BATCH_ROWS || b->memory.used >= BATCH_BYTES;
        if (got && (!full || (b->n < IMPORT_BATCH_MAX && b->memory.used < 2 * BATCH_BYTES && belongs(x, b, next)))) {
            b->n++;
            continue;
        }
        if ((rc = give(x, i, b, half_life_days, err)) != MEROS_OK) return rc;
        merged += (int64_t)b->n;
        if (x->progress != NULL)
            x->progress(x->progress_arg, &(struct import_progress){x->result->received, x->result->rejected, merged});
        if (!got) return MEROS_OK;
        /* the row in hand begins the next batch; its strings move to fresh memory */
        struct arena old = b->memory;
        arena_init(&b->memory, old.limit);
        memcpy(b->rows, next, shape->size);
        for (size_t k = 0; k < shape->n_strings; k++) {
            struct str t;
            memcpy(&t, b->rows + shape->strings[k], sizeof t);
            if (str_present(t) && (t.p = arena_strndup(&b->memory, t.p, t.n)) == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of rows.");
            memcpy(b->rows + shape->strings[k], &t, sizeof t);
        }
        arena_done(&old);
        b->n = 1;
        if (rc != MEROS_OK) return rc;
    }
}

/* The orders that follow from the events of the import. */
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
        if (rc == MEROS_OK && n > 0) rc = order_events_apply(c, told, n, &memory, &changed, &n_changed, err);
        if (rc == MEROS_OK && n > 0) rc = import_orders_made(i, changed, n_changed, err);
        if (rc == MEROS_OK && n > 0) {
            memcpy(id, told[n - 1].order_id.p, told[n - 1].order_id.n);
            after = (struct told_order){told[n - 1].customer_no, {id, told[n - 1].order_id.n}};
        }
        arena_done(&memory);
    } while (rc == MEROS_OK && n == ORDER_EVENTS_MAX);
    return rc;
}

static enum meros_code merge_once(struct importing *x, struct store_conn *c, struct batch *b, struct meros_err *err)
{
    struct import_counts counts;
    struct store_import *i = NULL;
    double half_life_days = x->service->settings.activity_half_life_days;
    enum meros_code rc = spool_rewind(&x->spool, err);
    b->n = 0;
    if (rc == MEROS_OK) rc = store_set_timeout(c, 0, err);
    if (rc == MEROS_OK) rc = store_begin(c, err);
    if (rc == MEROS_OK) rc = import_begin(c, x->options->dataset, &i, err);
    if (rc == MEROS_OK) rc = give_batches(x, i, b, half_life_days, err);
    if (rc == MEROS_OK) rc = make_orders(c, i, err);
    if (rc == MEROS_OK) rc = import_finish(i, &counts, err);
    if (rc == MEROS_OK) rc = store_commit(c, err);
    else store_rollback(c);
    import_free(i);
    arena_done(&b->memory);
    if (rc != MEROS_OK) return rc;
    x->result->inserted = counts.inserted;
    x->result->updated = counts.updated;
    x->result->duplicates = counts.duplicates;
    return MEROS_OK;
}

/* One transaction over all rows; again when the connection broke or another writer made the same id meanwhile. */
static enum meros_code merge(struct importing *x, struct meros_err *err)
{
    struct batch b = {.rows = malloc((IMPORT_BATCH_MAX + 1) * row_shapes[x->options->dataset].size)};
    enum meros_code rc = MEROS_OK;
    if (b.rows == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of rows.");
    arena_init(&b.memory, 3 * (size_t)BATCH_BYTES);
    for (int attempt = 1; attempt <= ATTEMPTS; attempt++) {
        struct store_conn *c;
        err_clear(err);
        rc = store_connect(x->service->store, &c, err);
        if (rc != MEROS_OK) break;
        rc = merge_once(x, c, &b, err);
        store_disconnect(c);
        if (rc != MEROS_UNAVAILABLE && rc != MEROS_CONFLICT) break;
    }
    free(b.rows);
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
    enum meros_code rc = check_options(&x, err);
    if (rc == MEROS_OK) rc = spool_open(&x.spool, s->settings.spool_dir, err);
    if (rc == MEROS_OK) rc = import_read(&x, read, read_arg, err);
    if (rc == MEROS_OK && options->abort_on_error && out->rejected > 0)
        rc = err_set(err, MEROS_UNPROCESSABLE, "%lld of %lld rows are bad and on_error=abort: nothing was imported.",
                     (long long)out->rejected, (long long)out->received);
    if (rc == MEROS_OK && out->received > out->rejected) rc = merge(&x, err);
    if (rc == MEROS_OK) sweeper_wake(s);
    spool_close(&x.spool);
    buf_done(&x.extras);
    buf_done(&x.inner);
    arena_done(&x.memory);
    arena_done(&x.row_memory);
    out->seconds = (double)(clock_mono_ns() - started) / 1e9;
    count(options, out, rc);
    return rc;
}
