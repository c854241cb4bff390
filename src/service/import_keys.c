/* Rows into the spool and out of it again: how they lie there, and by which key.
 *
 * The key is the id of what a row is about, so that all that a file says of it comes together. Lines of orders come by
 * customer first and then by order: then a customer's statistics, and the index pages where everything of a customer lies,
 * are touched in one slice and not in each. That needs all lines of an order to have one customer, which they nearly always
 * do. Whether they do is known when the file was read: of each piece of an order (lines that follow one another and have one
 * customer) hashes of order and customer go to a spool of their own, which brings the pieces of an order together. Orders of
 * several customers are the odd ones (an order taken for odd because of another's equal hash does no harm); so is one
 * whose first line was rejected, as that line may not say its customer. If there are any the rows are sorted once more, lines of odd
 * orders behind all others, by order alone and then by line. */
#include <stdlib.h>
#include <string.h>
#include "imports_priv.h"
#include "meros/base/crypto.h"

enum { ODD_MAX = 1 << 20, LINE_BYTES = 8, ODD = 0xff /* the first byte of their keys, and of no UTF-8 text */ };

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

static void put_hash(char to[8], struct str id)
{
    const struct crypto_hash128 h = crypto_hash128(id.p, id.n);
    memcpy(to, h.bytes, 8);
}

static enum meros_code note_piece(struct importing *x, struct str order_id, struct str customer_id, struct meros_err *err)
{
    struct order_pieces *o = &x->orders;
    char order[8], customer[8];
    put_hash(order, order_id);
    put_hash(customer, customer_id);
    buf_clear(&o->order);
    buf_clear(&o->customer);
    buf_append(&o->order, order_id.p, order_id.n);
    buf_append(&o->customer, customer_id.p, customer_id.n);
    if (o->spool.block == NULL) {
        enum meros_code rc = spool_open(&o->spool, x->service->settings.spool_dir, err);
        if (rc != MEROS_OK) return rc;
    }
    return spool_put(&o->spool, (struct str){order, 8}, (struct str){customer, 8}, err);
}

/* Notes an order line; its customer is then that of the line before it of its order, in o->customer. */
static enum meros_code note_order(struct importing *x, const struct order_row *r, struct meros_err *err)
{
    const struct order_pieces *o = &x->orders;
    if (o->order.data == NULL || !str_eq(r->order_id, (struct str){o->order.data, o->order.len}))
        return note_piece(x, r->order_id, r->rejected ? (struct str){"", 0} : r->customer_id, err);
    if (r->rejected || str_eq(r->customer_id, (struct str){o->customer.data, o->customer.len})) return MEROS_OK;
    return note_piece(x, r->order_id, r->customer_id, err);
}

static uint64_t number_of(const char hash[8])
{
    uint64_t v = 0;
    for (int k = 0; k < 8; k++) v = v << 8 | (unsigned char)hash[k]; /* numbers in the order of the bytes */
    return v;
}

static enum meros_code add_odd(struct order_pieces *o, uint64_t order, struct meros_err *err)
{
    if (o->n_odd > 0 && o->odd[o->n_odd - 1] == order) return MEROS_OK;
    o->all_odd = o->n_odd == ODD_MAX;
    if (o->all_odd) return MEROS_OK;
    if (o->n_odd == o->cap_odd) {
        const size_t cap = o->cap_odd == 0 ? 64 : 2 * o->cap_odd;
        uint64_t *more = realloc(o->odd, cap * sizeof *more);
        if (more == NULL) return no_memory(err);
        o->odd = more;
        o->cap_odd = cap;
    }
    o->odd[o->n_odd++] = order;
    return MEROS_OK;
}

/* After the last row: o->odd, ascending. */
static enum meros_code find_odd(struct order_pieces *o, struct meros_err *err)
{
    struct str order, customer;
    uint64_t last_order = 0, last_customer = 0;
    bool any = false;
    if (o->spool.block == NULL) return MEROS_OK;
    enum meros_code rc = spool_end(&o->spool, err);
    while (rc == MEROS_OK && !o->all_odd && spool_head(&o->spool, &order, &customer)) {
        const uint64_t v = number_of(order.p), c = number_of(customer.p);
        if (any && v == last_order && c != last_customer) rc = add_odd(o, v, err);
        last_order = v;
        last_customer = c;
        any = true;
        if (rc == MEROS_OK) rc = spool_next(&o->spool, err);
    }
    spool_close(&o->spool);
    return rc;
}

static bool is_odd(const struct order_pieces *o, struct str order_id)
{
    char hash[8];
    size_t from = 0, to = o->n_odd;
    if (o->all_odd) return true;
    put_hash(hash, order_id);
    const uint64_t v = number_of(hash);
    while (from < to) {
        const size_t mid = from + (to - from) / 2;
        if (o->odd[mid] == v) return true;
        if (o->odd[mid] < v) from = mid + 1;
        else to = mid;
    }
    return false;
}

void import_keys_init(struct importing *x)
{
    buf_init(&x->kept, 2 * RECORD_MAX);
    buf_init(&x->key, 2 * ID_MAX + 2);
    buf_init(&x->orders.order, ID_MAX + 1);
    buf_init(&x->orders.customer, ID_MAX + 1);
    x->orders.spool.fd = -1;
}

void import_keys_done(struct importing *x)
{
    buf_done(&x->kept);
    buf_done(&x->key);
    buf_done(&x->orders.order);
    buf_done(&x->orders.customer);
    spool_close(&x->orders.spool);
    free(x->orders.odd);
    x->orders.odd = NULL;
}

/* --- a row's memory, then its strings, each behind its length (UINT32_MAX: absent) */

/* Parts of a key stand around a byte that no id holds. */
static void put_key(struct importing *x, const void *row)
{
    const struct row_shape *shape = &row_shapes[x->options->dataset];
    buf_clear(&x->key);
    if (x->options->dataset == DATASET_ORDERS) {
        if (x->orders.customer.len > 0) buf_append(&x->key, x->orders.customer.data, x->orders.customer.len);
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
    if (x->options->dataset == DATASET_ORDERS) {
        enum meros_code rc = note_order(x, row, err);
        if (rc != MEROS_OK) return rc;
    }
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

/* Lines of odd orders by order, then by the line in the file. */
static enum meros_code sort_anew(struct importing *x, struct spool *to, struct meros_err *err)
{
    struct str key, row;
    enum meros_code rc = MEROS_OK;
    while (rc == MEROS_OK && spool_head(&x->spool, &key, &row)) {
        const char *id = (const char *)memchr(key.p, 1, key.n) + 1;
        const struct str order = {id, (size_t)(key.p + key.n - id)};
        if (is_odd(&x->orders, order)) {
            struct order_row r;
            memcpy(&r, row.p, sizeof r);
            buf_clear(&x->key);
            buf_char(&x->key, (char)ODD);
            buf_append(&x->key, order.p, order.n);
            buf_char(&x->key, 1);
            for (int shift = 8 * LINE_BYTES - 8; shift >= 0; shift -= 8) buf_char(&x->key, (char)((uint64_t)r.line >> shift));
            if (x->key.failed) return no_memory(err);
            key = (struct str){x->key.data, x->key.len};
        }
        rc = spool_put(to, key, row, err);
        if (rc == MEROS_OK) rc = spool_next(&x->spool, err);
    }
    return rc;
}

enum meros_code import_sort(struct importing *x, struct meros_err *err)
{
    struct spool anew;
    enum meros_code rc = find_odd(&x->orders, err);
    if (rc == MEROS_OK) rc = spool_end(&x->spool, err);
    if (rc != MEROS_OK || x->orders.n_odd == 0) return rc;
    rc = spool_open(&anew, x->spool.dir, err);
    if (rc == MEROS_OK) rc = sort_anew(x, &anew, err);
    spool_close(&x->spool);
    x->spool = anew;
    return rc != MEROS_OK ? rc : spool_end(&x->spool, err);
}

static bool has_odd_key(const struct importing *x, struct str key)
{
    return x->options->dataset == DATASET_ORDERS && key.n > 0 && (unsigned char)key.p[0] == ODD;
}

struct str import_thing(const struct importing *x, struct str key)
{
    if (has_odd_key(x, key)) key.n -= LINE_BYTES + 1;
    return key.p[key.n - 1] != 1 ? key : STR_NONE;
}

size_t import_owner(const struct importing *x, struct str thing)
{
    if (x->options->dataset != DATASET_ORDERS || !str_present(thing) || has_odd_key(x, thing)) return 0;
    const char *end = memchr(thing.p, 1, thing.n);
    return end != NULL ? (size_t)(end - thing.p) + 1 : 0;
}
