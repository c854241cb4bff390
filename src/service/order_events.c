#include "order_events_priv.h"

#include <stdio.h>
#include <stdlib.h>
#include "meros/domain/rows.h"

enum order_word order_word_of(struct str type)
{
    static const char *const words[] = {[ORDER_COMPLETED] = "order_completed", [ORDER_UPDATED] = "order_updated",
                                        [ORDER_REFUNDED] = "order_refunded", [ORDER_CANCELLED] = "order_cancelled"};
    if (type.n < 13 || memcmp(type.p, "order_", 6) != 0) return ORDER_WORD_NONE;
    for (int w = ORDER_COMPLETED; w <= ORDER_CANCELLED; w++)
        if (str_is(type, words[w])) return (enum order_word)w;
    return ORDER_WORD_NONE;
}

/* --- reading properties. The first fault ends it. */
struct reader {
    struct order_fault *fault;
    int item; /* of products; -1: a property of the order */
    bool failed, starved;
};

static void fail(struct reader *r, const char *name, const char *detail)
{
    if (r->failed) return;
    r->failed = true;
    if (r->item < 0) snprintf(r->fault->pointer, sizeof r->fault->pointer, "/%s", name);
    else snprintf(r->fault->pointer, sizeof r->fault->pointer, "/products/%d%s%s", r->item, *name == '\0' ? "" : "/", name);
    snprintf(r->fault->detail, sizeof r->fault->detail, "%s", detail);
}

/* A number, also one in quotes, as shops often send them. */
static struct decimal read_number(struct reader *r, const struct json *object, const char *name, int64_t limit)
{
    const struct json *v = json_get(object, name);
    char text[32];
    struct str s = STR_NONE;
    struct decimal d = {0};
    if (json_kind(v) == JSON_KIND_NUMBER) s = (struct str){text, json_number_text(json_num(v), text)};
    else if (json_kind(v) == JSON_KIND_STRING) s = str_trim(json_str(v));
    if (json_kind(v) == JSON_KIND_NULL || (str_present(s) && s.n == 0)) return d;
    if (!str_present(s) || !decimal_parse(s, limit, &d)) fail(r, name, "It must be a number, and not an enormous one.");
    else if (d.unscaled < 0) fail(r, name, "It cannot be below zero.");
    return d;
}

/* An id: a string, or a whole number written into `number`. Absent where it is null or empty. */
static struct str read_id(struct reader *r, const struct json *object, const char *name, char number[24])
{
    const struct json *v = json_get(object, name);
    if (json_kind(v) == JSON_KIND_NULL || (json_kind(v) == JSON_KIND_STRING && json_str(v).n == 0)) return STR_NONE;
    if (json_is_int(v)) return (struct str){number, (size_t)snprintf(number, 24, "%lld", (long long)json_int(v))};
    if (json_kind(v) == JSON_KIND_STRING && id_valid(json_str(v))) return json_str(v);
    fail(r, name, "An id is a string of 1 to 200 bytes without control characters.");
    return STR_NONE;
}

/* The product's id: product_id, else sku. */
static struct str read_product_id(struct reader *r, const struct json *v, struct arena *arena)
{
    char number[24];
    struct str id = read_id(r, v, "product_id", number);
    if (!str_present(id) && !r->failed) id = read_id(r, v, "sku", number);
    if (!str_present(id) || arena == NULL) return id;
    const char *kept = arena_strndup(arena, id.p, id.n);
    if (kept == NULL) r->failed = r->starved = true;
    return (struct str){kept, id.n};
}

static void read_items(struct reader *r, const struct json *products, struct arena *arena, struct order_said *out)
{
    __int128 sum = 0;
    if (json_kind(products) == JSON_KIND_NULL) return;
    if (json_kind(products) != JSON_KIND_ARRAY) fail(r, "products", "It must be an array of objects.");
    else if (json_count(products) > ORDER_PRODUCTS_MAX) fail(r, "products", "An order has at most 1000 products.");
    if (r->failed) return;
    size_t n = json_count(products);
    if (arena != NULL && (out->items = arena_array(arena, n + 1, sizeof *out->items)) == NULL) r->failed = r->starved = true;
    for (size_t k = 0; k < n && !r->failed; k++) {
        const struct json *v = json_at(products, k);
        struct order_item item = {.quantity = decimal_of(1)};
        struct decimal given, cost = {0};
        r->item = (int)k;
        if (json_kind(v) != JSON_KIND_OBJECT) fail(r, "", "It must be an object.");
        item.product_id = read_product_id(r, v, arena);
        given = read_number(r, v, "quantity", PRICE_MAX);
        if (given.present) item.quantity = given;
        item.price = read_number(r, v, "price", PRICE_MAX);
        if (item.price.present && !decimal_multiply(item.quantity, item.price, AMOUNT_MAX, &cost))
            fail(r, "quantity", "Quantity times price is past any order.");
        sum += decimal_millionths(cost);
        if (arena != NULL) out->items[k] = item;
    }
    r->item = -1;
    out->n_items = r->failed ? 0 : n;
    if (sum > (__int128)AMOUNT_MAX * 1000000) fail(r, "products", "Their sum is past any order.");
    else out->cost = (int64_t)sum;
}

static struct decimal at_least_zero(__int128 millionths)
{
    return decimal_of_millionths(millionths > 0 ? (int64_t)millionths : 0);
}

/* revenue, else subtotal, else total − shipping − tax; of an order with priced products else their sum − discount. */
static struct decimal read_value(struct reader *r, const struct json *v, bool priced, int64_t cost)
{
    struct decimal revenue = read_number(r, v, "revenue", AMOUNT_MAX), subtotal = read_number(r, v, "subtotal", AMOUNT_MAX);
    struct decimal total = read_number(r, v, "total", AMOUNT_MAX), shipping = read_number(r, v, "shipping", AMOUNT_MAX);
    struct decimal tax = read_number(r, v, "tax", AMOUNT_MAX), discount = read_number(r, v, "discount", AMOUNT_MAX);
    if (r->failed) return (struct decimal){0};
    if (revenue.present) return revenue;
    if (subtotal.present) return subtotal;
    if (total.present)
        return at_least_zero((__int128)decimal_millionths(total) - decimal_millionths(shipping) - decimal_millionths(tax));
    return priced ? at_least_zero((__int128)cost - decimal_millionths(discount)) : (struct decimal){0};
}

bool order_said_read(enum order_word word, struct str properties, struct arena *arena, struct order_said *out, struct order_fault *fault)
{
    struct reader r = {.fault = fault, .item = -1};
    struct meros_err err = MEROS_ERR_INIT;
    *out = (struct order_said){.word = word};
    *fault = (struct order_fault){0};
    if (!str_present(properties)) return true;
    if (json_parse_stored(properties.p, properties.n, &out->tree, &err) != MEROS_OK) {
        out->starved = err.code == MEROS_OUT_OF_MEMORY;
        snprintf(fault->detail, sizeof fault->detail, "It is not JSON that can be read.");
        return false;
    }
    out->order_id = read_id(&r, out->tree, "order_id", out->number);
    if (!str_present(out->order_id) || word == ORDER_CANCELLED) return !r.failed;
    read_items(&r, json_get(out->tree, "products"), arena, out);
    out->value = read_value(&r, out->tree, word != ORDER_REFUNDED && out->n_items > 0, out->cost);
    out->starved = r.starved;
    return !r.failed;
}

void order_said_done(struct order_said *s)
{
    json_free(s->tree);
    s->tree = NULL;
}

bool order_properties_check(struct str type, struct str properties, struct order_fault *fault)
{
    struct order_said said;
    enum order_word word = order_word_of(type);
    if (word == ORDER_WORD_NONE) return true;
    bool ok = order_said_read(word, properties, NULL, &said, fault);
    order_said_done(&said);
    return ok;
}

struct str order_properties_id(struct str type, struct str properties, struct arena *arena)
{
    struct order_said said;
    struct order_fault fault;
    enum order_word word = order_word_of(type);
    struct str id = STR_NONE;
    if (word == ORDER_WORD_NONE) return STR_NONE;
    if (order_said_read(ORDER_CANCELLED, properties, NULL, &said, &fault) && str_present(said.order_id)) {
        char *kept = arena_strndup(arena, said.order_id.p, said.order_id.n);
        if (kept != NULL) id = (struct str){kept, said.order_id.n};
    }
    order_said_done(&said);
    return id;
}

/* --- applying */
static enum meros_code apply_slice(struct store_conn *c, const struct told_order *told, size_t n, struct arena *arena,
                                   int64_t *changed, size_t *n_changed, struct meros_err *err)
{
    struct order_making *orders;
    size_t n_orders;
    enum meros_code rc = order_events_read(c, told, n, arena, &orders, &n_orders, err);
    for (size_t k = 0; rc == MEROS_OK && k < n_orders; k++) {
        rc = order_fold(&orders[k], arena, err);
        if (orders[k].holder_no != 0) changed[(*n_changed)++] = orders[k].holder_no;
        if (orders[k].owner_no != 0 && orders[k].owner_no != orders[k].holder_no) changed[(*n_changed)++] = orders[k].owner_no;
    }
    return rc != MEROS_OK ? rc : order_events_write(c, orders, n_orders, arena, err);
}

/* A slice is so many events at most, unless one order has more: 64 KB of each, and its products, are in memory. */
enum { SLICE_MEMORY = 256 << 20, SLICE_EVENTS = ORDER_TOLD_MAX };

static enum meros_code too_many(struct str order_id, int64_t most, struct meros_err *err)
{
    return err_set(err, MEROS_UNPROCESSABLE, "More than %lld events speak of the order \"%.*s\", which is as many as may speak of one.",
                   (long long)most, (int)(order_id.n < 100 ? order_id.n : 100), order_id.p);
}

static int by_order(const void *a, const void *b)
{
    const struct str x = ((const struct told_order *)a)->order_id, y = ((const struct told_order *)b)->order_id;
    const int c = memcmp(x.p, y.p, x.n < y.n ? x.n : y.n);
    return c != 0 ? c : (x.n > y.n) - (x.n < y.n);
}

/* Each order once. */
static size_t unique(struct told_order *told, size_t n)
{
    size_t left = 0;
    qsort(told, n, sizeof *told, by_order);
    for (size_t k = 0; k < n; k++)
        if (left == 0 || !str_eq(told[left - 1].order_id, told[k].order_id)) told[left++] = told[k];
    return left;
}

enum meros_code order_events_apply(struct store_conn *c, const struct told_order *given, size_t n, int64_t most, struct arena *arena,
                                   const int64_t **changed_nos, size_t *n_changed, struct meros_err *err)
{
    int64_t *changed = arena_array(arena, 2 * n + 1, sizeof *changed), *counts = arena_array(arena, n + 1, sizeof *counts);
    struct told_order *told = arena_array(arena, n + 1, sizeof *told);
    if (changed == NULL || counts == NULL || told == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the orders of a batch.");
    if (n > 0) memcpy(told, given, n * sizeof *told);
    n = unique(told, n);
    enum meros_code rc = order_events_count(c, told, n, most > SLICE_EVENTS ? most : SLICE_EVENTS, arena, counts, err);
    *n_changed = 0;
    for (size_t k = 0; rc == MEROS_OK && most > 0 && k < n; k++)
        if (counts[k] > most) rc = too_many(told[k].order_id, most, err);
    for (size_t at = 0, to; rc == MEROS_OK && at < n; at = to) {
        int64_t events = counts[at];
        for (to = at + 1; to < n && to - at < ORDER_EVENTS_MAX && events + counts[to] <= SLICE_EVENTS; to++) events += counts[to];
        struct arena slice;
        arena_init(&slice, SLICE_MEMORY);
        rc = apply_slice(c, told + at, to - at, &slice, changed, n_changed, err);
        arena_done(&slice);
    }
    *changed_nos = changed;
    return rc;
}
