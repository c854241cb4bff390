/* Rows into the spool and out of it again: how they lie there, and by which key.
 *
 * The key is the id of what a row is about, so that all that a file says of it comes together. Lines of orders come by
 * customer first and then by order: then a customer's statistics, and the index pages where everything of a customer lies,
 * are touched in one slice and not in each. That needs all lines of an order to have one customer, which they nearly always
 * do. It is watched while a file is read: a table of the orders seen says by hashes whose each is, for those that come again
 * after others (two orders that are taken for one do no harm). A rejected line may not name its customer; it takes that of
 * the lines of its order around it. A file of which it is not true, or one of more orders than the table may hold, is sorted
 * once more, by order alone and then by line. */
#include <stdlib.h>
#include <string.h>
#include "imports_priv.h"
#include "meros/base/crypto.h"

enum { ORDERS_SEEN_MAX = 3 << 19, LINE_BYTES = 8 }; /* orders: 32 MB at most */

const struct row_shape row_shapes[DATASET_COUNT] = {
#define AT(type, member) offsetof(struct type, member)
    [DATASET_CUSTOMERS] = {sizeof(struct sealed_customer_row), 8,
        {AT(sealed_customer_row, customer_id), AT(sealed_customer_row, attributes), AT(sealed_customer_row, email.sealed),
         AT(sealed_customer_row, email.hash), AT(sealed_customer_row, name.sealed), AT(sealed_customer_row, name.hash),
         AT(sealed_customer_row, phone.sealed), AT(sealed_customer_row, phone.hash)}, 1},
    [DATASET_PRODUCTS] = {sizeof(struct product_row), 5,
        {AT(product_row, product_id), AT(product_row, name), AT(product_row, category), AT(product_row, description),
         AT(product_row, attributes)}, 1},
    [DATASET_ORDERS] = {sizeof(struct order_row), 4,
        {AT(order_row, order_id), AT(order_row, customer_id), AT(order_row, product_id), AT(order_row, line_id)}, 1},
    [DATASET_EVENTS] = {sizeof(struct event_row), 5,
        {AT(event_row, customer_id), AT(event_row, event_id), AT(event_row, type), AT(event_row, product_id),
         AT(event_row, properties)}, 2},
    [DATASET_OUTCOMES] = {sizeof(struct outcome_row), 4,
        {AT(outcome_row, customer_id), AT(outcome_row, outcome_id), AT(outcome_row, campaign), AT(outcome_row, variant)}, 2},
#undef AT
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the rows of an import.");
}

/* --- has each order one customer? */

static uint64_t hash_of(struct str id)
{
    const struct crypto_hash128 h = crypto_hash128(id.p, id.n);
    uint64_t v;
    memcpy(&v, h.bytes, sizeof v);
    return v;
}

static struct order_seen *place_of(const struct orders_seen *o, uint64_t order)
{
    size_t at = (order >> 1) & (o->cap - 1);
    while (o->table[at].order != 0 && o->table[at].order != order) at = (at + 1) & (o->cap - 1);
    return &o->table[at];
}

static bool grow_seen(struct orders_seen *o)
{
    struct orders_seen more = {.cap = o->cap == 0 ? 1024 : 2 * o->cap};
    if ((more.table = calloc(more.cap, sizeof *more.table)) == NULL) return false;
    for (size_t k = 0; k < o->cap; k++)
        if (o->table[k].order != 0) *place_of(&more, o->table[k].order) = o->table[k];
    free(o->table);
    o->table = more.table;
    o->cap = more.cap;
    return true;
}

/* False if the order was seen before as somebody else's, or no more can be remembered. */
static bool see_order(struct orders_seen *o, struct str order_id, struct str customer_id)
{
    const struct order_seen seen = {hash_of(order_id) | 1 /* 0: a free place */, hash_of(customer_id)};
    if (4 * o->n >= 3 * o->cap && (o->n >= ORDERS_SEEN_MAX || !grow_seen(o))) return false;
    struct order_seen *place = place_of(o, seen.order);
    if (place->order != 0) return place->customer == seen.customer;
    *place = seen;
    o->n++;
    return true;
}

/* Notes an order line and gives its customer: that of the lines of its order before it. */
static struct str customer_of_order(struct importing *x, const struct order_row *r)
{
    struct orders_seen *o = &x->orders;
    if (o->order.data == NULL || !str_eq(r->order_id, (struct str){o->order.data, o->order.len})) {
        const struct str customer = r->rejected ? (struct str){"", 0} : r->customer_id;
        if (!o->irregular && !see_order(o, r->order_id, customer)) o->irregular = true;
        buf_clear(&o->order);
        buf_clear(&o->customer);
        buf_append(&o->order, r->order_id.p, r->order_id.n);
        buf_append(&o->customer, customer.p, customer.n);
    } else if (!r->rejected && !str_eq(r->customer_id, (struct str){o->customer.data, o->customer.len})) {
        o->irregular = true; /* also one whose first line was rejected, its customer not known then */
    }
    return (struct str){o->customer.data, o->customer.len};
}

void import_keys_init(struct importing *x)
{
    buf_init(&x->kept, 2 * RECORD_MAX);
    buf_init(&x->key, 2 * ID_MAX + 2);
    buf_init(&x->orders.order, ID_MAX + 1);
    buf_init(&x->orders.customer, ID_MAX + 1);
}

void import_keys_done(struct importing *x)
{
    buf_done(&x->kept);
    buf_done(&x->key);
    buf_done(&x->orders.order);
    buf_done(&x->orders.customer);
    free(x->orders.table);
    x->orders.table = NULL;
}

/* --- a row's memory, then its strings, each behind its length (UINT32_MAX: absent) */

/* Parts of a key stand around a byte that no id holds. */
static void put_key(struct importing *x, const void *row)
{
    const struct row_shape *shape = &row_shapes[x->options->dataset];
    buf_clear(&x->key);
    if (x->options->dataset == DATASET_ORDERS) {
        const struct str customer = customer_of_order(x, row);
        if (customer.n > 0) buf_append(&x->key, customer.p, customer.n);
        buf_char(&x->key, 1);
    }
    for (size_t k = 0; k < shape->n_key; k++) {
        struct str t;
        memcpy(&t, (const char *)row + shape->strings[k], sizeof t);
        if (k > 0) buf_char(&x->key, 1);
        if (str_present(t)) buf_append(&x->key, t.p, t.n);
    }
}

enum meros_code import_keep(struct importing *x, const void *row, struct meros_err *err)
{
    const struct row_shape *shape = &row_shapes[x->options->dataset];
    put_key(x, row);
    buf_clear(&x->kept);
    buf_append(&x->kept, row, shape->size);
    for (size_t k = 0; k < shape->n_strings; k++) {
        struct str t;
        memcpy(&t, (const char *)row + shape->strings[k], sizeof t);
        const uint32_t n = str_present(t) ? (uint32_t)t.n : UINT32_MAX;
        buf_append(&x->kept, &n, sizeof n);
        if (n != UINT32_MAX) buf_append(&x->kept, t.p, n);
    }
    if (x->kept.failed || x->key.failed || x->orders.order.failed || x->orders.customer.failed) return no_memory(err);
    return spool_put(&x->spool, (struct str){x->key.data, x->key.len}, (struct str){x->kept.data, x->kept.len}, err);
}

enum meros_code import_take(const struct row_shape *shape, struct str kept, struct arena *arena, void *row, struct meros_err *err)
{
    char *strings = arena_strndup(arena, kept.p + shape->size, kept.n - shape->size);
    if (strings == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a batch of rows.");
    memcpy(row, kept.p, shape->size);
    for (size_t k = 0; k < shape->n_strings; k++) {
        struct str t = STR_NONE;
        uint32_t n;
        memcpy(&n, strings, sizeof n);
        strings += sizeof n;
        if (n != UINT32_MAX) t = (struct str){strings, n};
        if (n != UINT32_MAX) strings += n;
        memcpy((char *)row + shape->strings[k], &t, sizeof t);
    }
    return MEROS_OK;
}

/* --- the end of reading */

/* By order, then by the line in the file. */
static enum meros_code sort_by_order(struct importing *x, struct spool *to, struct meros_err *err)
{
    struct str key, row;
    enum meros_code rc = MEROS_OK;
    while (rc == MEROS_OK && spool_head(&x->spool, &key, &row)) {
        const char *order = (const char *)memchr(key.p, 1, key.n) + 1;
        struct order_row r;
        memcpy(&r, row.p, sizeof r);
        buf_clear(&x->key);
        buf_append(&x->key, order, (size_t)(key.p + key.n - order));
        buf_char(&x->key, 1);
        for (int shift = 8 * LINE_BYTES - 8; shift >= 0; shift -= 8) buf_char(&x->key, (char)((uint64_t)r.line >> shift));
        if (x->key.failed) return no_memory(err);
        rc = spool_put(to, (struct str){x->key.data, x->key.len}, row, err);
        if (rc == MEROS_OK) rc = spool_next(&x->spool, err);
    }
    return rc;
}

enum meros_code import_sort(struct importing *x, struct meros_err *err)
{
    struct spool by_order;
    enum meros_code rc = spool_end(&x->spool, err);
    free(x->orders.table);
    x->orders.table = NULL;
    if (rc != MEROS_OK || !x->orders.irregular) return rc;
    rc = spool_open(&by_order, x->spool.dir, err);
    if (rc == MEROS_OK) rc = sort_by_order(x, &by_order, err);
    spool_close(&x->spool);
    x->spool = by_order;
    return rc != MEROS_OK ? rc : spool_end(&x->spool, err);
}

struct str import_thing(const struct importing *x, struct str key)
{
    if (x->orders.irregular) key.n -= LINE_BYTES + 1;
    return key.p[key.n - 1] != 1 ? key : STR_NONE;
}

size_t import_owner(const struct importing *x, struct str thing)
{
    if (x->options->dataset != DATASET_ORDERS || x->orders.irregular || !str_present(thing)) return 0;
    const char *end = memchr(thing.p, 1, thing.n);
    return end != NULL ? (size_t)(end - thing.p) + 1 : 0;
}
