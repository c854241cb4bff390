/* From the events of an order to its lines, by the rules of service/order_events.h. Amounts are in millionths. */
#include <stdlib.h>
#include <string.h>
#include "meros/domain/rows.h"
#include "order_events_priv.h"

/* An event that could be understood. */
struct word {
    const struct order_event *event;
    struct order_said said;
};

/* What is left of a product in the order; one without an id is what has no product. */
struct stock {
    struct str product_id;
    struct decimal price;
    int64_t quantity, amount;
};

struct fold {
    struct order_making *order;
    struct arena *arena;
    struct word *words; /* in their order */
    size_t n_words, first; /* those before `first` were cancelled */
    struct order_event_line *lines;
    size_t n_lines, cap_lines;
    struct stock *stocks;
    size_t n_stocks;
    int64_t ordered_at;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the lines of an order.");
}

static int by_place(const void *a, const void *b)
{
    const struct order_event *x = a, *y = b;
    if (x->occurred_at != y->occurred_at) return x->occurred_at < y->occurred_at ? -1 : 1;
    int wx = (int)order_word_of(x->type), wy = (int)order_word_of(y->type);
    return wx != wy ? wx - wy : memcmp(x->key.bytes, y->key.bytes, sizeof x->key.bytes);
}

static int by_key(const void *a, const void *b)
{
    const struct order_event *x = a, *y = b;
    int c = memcmp(x->key.bytes, y->key.bytes, sizeof x->key.bytes);
    return c != 0 ? c : by_place(a, b);
}

/* The events in their order, each key once, those that nobody understands left out. */
static enum meros_code read_words(struct fold *f, struct meros_err *err)
{
    const struct order_making *o = f->order;
    struct order_event *sorted = arena_array(f->arena, o->n_events + 1, sizeof *sorted);
    size_t n = 0;
    f->words = arena_array(f->arena, o->n_events + 1, sizeof *f->words);
    if (sorted == NULL || f->words == NULL) return no_memory(err);
    if (o->n_events > 0) memcpy(sorted, o->events, o->n_events * sizeof *sorted);
    qsort(sorted, o->n_events, sizeof *sorted, by_key);
    for (size_t k = 0; k < o->n_events; k++) /* two customers may each have sent the same one */
        if (n == 0 || memcmp(sorted[n - 1].key.bytes, sorted[k].key.bytes, sizeof sorted[k].key.bytes) != 0) sorted[n++] = sorted[k];
    qsort(sorted, n, sizeof *sorted, by_place);
    for (size_t k = 0; k < n; k++) {
        struct word *w = &f->words[f->n_words];
        struct order_fault fault;
        w->event = &sorted[k];
        if (order_said_read(order_word_of(sorted[k].type), sorted[k].properties, f->arena, &w->said, &fault)) f->n_words++;
        order_said_done(&w->said); /* its items are in the arena; of many events one tree at a time is in memory */
        if (w->said.starved) return no_memory(err);
    }
    return MEROS_OK;
}

/* Whether the order was cancelled for good. */
static bool cancelled(struct fold *f)
{
    bool gone = false;
    for (size_t k = 0; k < f->n_words; k++) {
        enum order_word word = f->words[k].said.word;
        if (word == ORDER_CANCELLED) gone = true;
        else if (gone && word == ORDER_COMPLETED) {
            gone = false;
            f->first = k;
        }
    }
    return gone;
}

/* The k-th of parts of `whole` in proportion to weights: what the first k + 1 get less what the first k get, so that all
 * parts together are the whole to the last millionth. */
struct sharing {
    __int128 whole, all, done;
    int64_t given;
};

static int64_t share(struct sharing *s, int64_t weight)
{
    s->done += weight;
    int64_t upto = s->all == 0 ? 0 : (int64_t)((s->whole * s->done + s->all / 2) / s->all);
    int64_t part = upto - s->given;
    s->given = upto;
    return part;
}

static struct order_event_line *add_line(struct fold *f)
{
    if (f->n_lines == f->cap_lines) {
        size_t cap = f->cap_lines == 0 ? 16 : 2 * f->cap_lines;
        struct order_event_line *more = arena_array(f->arena, cap, sizeof *more);
        if (more == NULL) return NULL;
        if (f->n_lines > 0) memcpy(more, f->lines, f->n_lines * sizeof *more);
        f->lines = more;
        f->cap_lines = cap;
    }
    return &f->lines[f->n_lines++];
}

/* --- what the order holds */
/* Weights are costs; quantities where nothing has a price; one each where there are no quantities either. */
static enum meros_code list_items(struct fold *f, const struct order_said *list, struct decimal value, struct meros_err *err)
{
    __int128 cost = 0, units = 0;
    struct decimal each;
    int64_t *costs = arena_array(f->arena, list->n_items + 1, sizeof *costs);
    if (costs == NULL) return no_memory(err);
    for (size_t k = 0; k < list->n_items; k++) {
        const struct order_item *i = &list->items[k];
        if (i->price.present && decimal_multiply(i->quantity, i->price, AMOUNT_MAX, &each)) costs[k] = decimal_millionths(each);
        cost += costs[k];
        units += decimal_millionths(i->quantity);
    }
    struct sharing s = {.whole = decimal_millionths(value), .all = cost > 0 ? cost : units > 0 ? units : (__int128)list->n_items};
    for (size_t k = 0; k < list->n_items; k++) {
        const struct order_item *i = &list->items[k];
        struct order_event_line *l = add_line(f);
        if (l == NULL) return no_memory(err);
        int64_t amount = share(&s, cost > 0 ? costs[k] : units > 0 ? decimal_millionths(i->quantity) : 1);
        *l = (struct order_event_line){(int64_t)k + 1, i->product_id, f->ordered_at, i->quantity, i->price, decimal_of_millionths(amount)};
    }
    return MEROS_OK;
}

/* Finds who holds it, when it was ordered, and what the last list and value are. False: no event says. */
static enum meros_code hold(struct fold *f, bool *held, struct meros_err *err)
{
    const struct order_said *list = NULL;
    const struct word *first = NULL;
    struct decimal value = {0};
    for (size_t k = f->first; k < f->n_words; k++) {
        const struct word *w = &f->words[k];
        const struct order_said *s = &w->said;
        if (s->word != ORDER_COMPLETED && s->word != ORDER_UPDATED) continue;
        if (s->word == ORDER_UPDATED && s->n_items == 0 && !s->value.present) continue; /* says nothing of what it holds */
        if (first == NULL || (first->said.word == ORDER_UPDATED && s->word == ORDER_COMPLETED)) first = w;
        f->order->owner_no = w->event->customer_no;
        if (s->n_items > 0) list = s;
        if (s->value.present) value = s->value;
    }
    *held = first != NULL;
    if (first == NULL) return MEROS_OK;
    f->ordered_at = first->event->occurred_at;
    f->order->replaces = true;
    if (!value.present) value = decimal_of(0);
    if (list != NULL) return list_items(f, list, value, err);
    /* one of something: with no quantity and no amount it would be taken for a return */
    struct order_event_line *l = add_line(f);
    if (l == NULL) return no_memory(err);
    *l = (struct order_event_line){1, STR_NONE, f->ordered_at, decimal_of(1), {0}, value};
    return MEROS_OK;
}

/* --- refunds */
/* Imported lines may add up to more than any one amount may be; what is past it cannot be refunded by events. */
static int64_t bounded(__int128 v)
{
    const __int128 most = (__int128)AMOUNT_MAX * 1000000;
    return (int64_t)(v > most ? most : v < -most ? -most : v);
}

static struct stock *find_stock(struct fold *f, struct str product_id)
{
    for (size_t k = 0; k < f->n_stocks; k++)
        if (str_present(product_id) ? str_eq(f->stocks[k].product_id, product_id) : !str_present(f->stocks[k].product_id)) return &f->stocks[k];
    return NULL;
}

static enum meros_code take_stock(struct fold *f, const struct order_event_line *lines, size_t n, struct meros_err *err)
{
    f->stocks = arena_array(f->arena, n + 2, sizeof *f->stocks); /* and one for what refunds without a product take */
    if (f->stocks == NULL) return no_memory(err);
    for (size_t k = 0; k < n; k++) {
        struct stock *s = find_stock(f, lines[k].product_id);
        if (s == NULL) {
            s = &f->stocks[f->n_stocks++];
            *s = (struct stock){.product_id = lines[k].product_id, .price = lines[k].unit_price};
        }
        s->quantity = bounded((__int128)s->quantity + decimal_millionths(lines[k].quantity));
        s->amount = bounded((__int128)s->amount + decimal_millionths(lines[k].amount));
    }
    return MEROS_OK;
}

static int64_t amount_left(const struct fold *f)
{
    __int128 sum = 0;
    for (size_t k = 0; k < f->n_stocks; k++) sum += f->stocks[k].amount;
    return sum > 0 ? bounded(sum) : 0;
}

/* Keys of refunded lines never meet a position. */
static int64_t refund_key(const struct word *w, uint64_t nth)
{
    unsigned char text[sizeof w->event->key.bytes + sizeof nth];
    uint64_t v;
    memcpy(text, w->event->key.bytes, sizeof w->event->key.bytes);
    memcpy(text + sizeof w->event->key.bytes, &nth, sizeof nth);
    struct crypto_hash128 h = crypto_hash128(text, sizeof text);
    memcpy(&v, h.bytes, sizeof v);
    return (int64_t)(v | UINT64_C(1) << 63);
}

/* One refund on its way: of each product, how many and what they are worth. */
struct refund {
    const struct word *word;
    struct {
        struct stock *stock;
        struct decimal price;
        int64_t quantity, worth;
    } *parts;
    size_t n;
    __int128 worth, quantity;
};

static void add_part(struct refund *r, struct stock *s, struct decimal price, int64_t quantity)
{
    int64_t worth = s->amount <= 0 || s->quantity <= 0 ? 0 : (int64_t)((__int128)s->amount * quantity / s->quantity);
    r->parts[r->n].stock = s;
    r->parts[r->n].price = price;
    r->parts[r->n].quantity = quantity;
    r->parts[r->n++].worth = worth;
    r->worth += worth;
    r->quantity += quantity;
    s->quantity -= quantity; /* several items of one product share what is left of it */
    s->amount -= worth;
}

static enum meros_code add_refund_line(struct fold *f, const struct refund *r, struct str product_id, int64_t quantity,
                                       struct decimal price, int64_t amount, struct meros_err *err)
{
    struct order_event_line *l = add_line(f);
    if (l == NULL) return no_memory(err);
    int64_t at = r->word->event->occurred_at;
    *l = (struct order_event_line){refund_key(r->word, f->n_lines), product_id, at > f->ordered_at ? at : f->ordered_at,
                                   quantity != 0 ? decimal_of_millionths(-quantity) : (struct decimal){0}, price, decimal_of_millionths(-amount)};
    return MEROS_OK;
}

/* The parts become lines that are worth `value` together. */
static enum meros_code give_back(struct fold *f, struct refund *r, int64_t value, struct meros_err *err)
{
    struct sharing s = {.whole = value, .all = r->worth > 0 ? r->worth : r->quantity};
    enum meros_code rc = MEROS_OK;
    for (size_t k = 0; k < r->n && rc == MEROS_OK; k++) {
        struct stock *stock = r->parts[k].stock;
        int64_t amount = share(&s, r->worth > 0 ? r->parts[k].worth : r->parts[k].quantity);
        stock->amount += r->parts[k].worth - amount;
        rc = add_refund_line(f, r, stock->product_id, r->parts[k].quantity, r->parts[k].price, amount, err);
    }
    return rc;
}

static enum meros_code give_amount(struct fold *f, const struct refund *r, int64_t amount, struct meros_err *err)
{
    struct stock *s = find_stock(f, STR_NONE);
    if (amount == 0) return MEROS_OK;
    if (s == NULL) {
        s = &f->stocks[f->n_stocks++];
        *s = (struct stock){.product_id = STR_NONE};
    }
    s->amount -= amount;
    return add_refund_line(f, r, STR_NONE, 0, (struct decimal){0}, amount, err);
}

static enum meros_code refund(struct fold *f, const struct word *w, struct meros_err *err)
{
    const struct order_said *said = &w->said;
    struct refund r = {.word = w};
    const int64_t left = amount_left(f), told = decimal_millionths(said->value);
    const int64_t most = said->value.present && told < left ? told : left;
    size_t cap = said->n_items > f->n_stocks ? said->n_items : f->n_stocks;
    if ((r.parts = arena_array(f->arena, cap + 1, sizeof *r.parts)) == NULL) return no_memory(err);
    if (said->n_items == 0 && said->value.present && told < left) return give_amount(f, &r, told, err);
    if (said->n_items == 0) {
        for (size_t k = 0; k < f->n_stocks; k++)
            if (f->stocks[k].quantity > 0) add_part(&r, &f->stocks[k], f->stocks[k].price, f->stocks[k].quantity);
        return r.n > 0 ? give_back(f, &r, left, err) : give_amount(f, &r, left, err);
    }
    for (size_t k = 0; k < said->n_items; k++) {
        const struct order_item *i = &said->items[k];
        struct stock *s = find_stock(f, i->product_id);
        int64_t quantity = decimal_millionths(i->quantity);
        if (s != NULL && quantity > s->quantity) quantity = s->quantity;
        if (s != NULL && quantity > 0) add_part(&r, s, i->price, quantity);
    }
    if (r.n == 0) return give_amount(f, &r, said->value.present || said->cost > left ? most : said->cost, err);
    return give_back(f, &r, said->value.present || r.worth > most ? most : (int64_t)r.worth, err);
}

static enum meros_code fold(struct fold *f, struct meros_err *err)
{
    struct order_making *o = f->order;
    bool held;
    enum meros_code rc = read_words(f, err);
    if (rc != MEROS_OK) return rc;
    if (cancelled(f)) {
        o->owner_no = o->holder_no;
        o->replaces = true;
        return MEROS_OK;
    }
    rc = hold(f, &held, err);
    if (rc != MEROS_OK) return rc;
    if (!held) {
        o->owner_no = o->holder_no;
        f->ordered_at = o->n_imported > 0 ? o->imported[0].ordered_at : 0;
        for (size_t k = 1; k < o->n_imported; k++)
            if (o->imported[k].ordered_at < f->ordered_at) f->ordered_at = o->imported[k].ordered_at;
    }
    rc = take_stock(f, held ? f->lines : o->imported, held ? f->n_lines : o->n_imported, err);
    for (size_t k = f->first; rc == MEROS_OK && k < f->n_words; k++)
        if (f->words[k].said.word == ORDER_REFUNDED) rc = refund(f, &f->words[k], err);
    return rc;
}

enum meros_code order_fold(struct order_making *order, struct arena *arena, struct meros_err *err)
{
    struct fold f = {.order = order, .arena = arena};
    order->owner_no = 0;
    order->replaces = false;
    order->lines = NULL;
    order->n_lines = 0;
    enum meros_code rc = fold(&f, err);
    if (rc != MEROS_OK) return rc;
    order->lines = f.lines;
    order->n_lines = f.n_lines;
    return MEROS_OK;
}
