#include "meros/service/dialect_ecommerce.h"

#include <stdio.h>
#include <string.h>
#include "meros/domain/rows.h"
#include "meros/service/order_events.h"

struct shop_name {
    const char *theirs; /* lower case, words joined by one blank */
    const char *ours;
    enum shop_kind kind;
};
static const struct shop_name names[] = {
    {"product viewed", "product_viewed", SHOP_PRODUCT},
    {"viewed product", "product_viewed", SHOP_PRODUCT},
    {"product added", "product_added", SHOP_PRODUCT},
    {"added product", "product_added", SHOP_PRODUCT},
    {"product removed", "product_removed", SHOP_PRODUCT},
    {"removed product", "product_removed", SHOP_PRODUCT},
    {"checkout started", "checkout_started", SHOP_OTHER},
    {"started checkout", "checkout_started", SHOP_OTHER},
    {"order completed", "order_completed", SHOP_ORDER},
    {"completed order", "order_completed", SHOP_ORDER},
    {"order updated", "order_updated", SHOP_ORDER_CHANGE},
    {"updated order", "order_updated", SHOP_ORDER_CHANGE},
    {"order refunded", "order_refunded", SHOP_ORDER_CHANGE},
    {"refunded order", "order_refunded", SHOP_ORDER_CHANGE},
    {"order cancelled", "order_cancelled", SHOP_ORDER_CHANGE},
    {"order canceled", "order_cancelled", SHOP_ORDER_CHANGE},
    {"cancelled order", "order_cancelled", SHOP_ORDER_CHANGE},
    {"canceled order", "order_cancelled", SHOP_ORDER_CHANGE},
    {"products searched", "searched", SHOP_OTHER},
    {"searched products", "searched", SHOP_OTHER},
    {"searched", "searched", SHOP_OTHER},
    {"product reviewed", "review_submitted", SHOP_REVIEW},
    {"reviewed product", "review_submitted", SHOP_REVIEW},
    {"review submitted", "review_submitted", SHOP_REVIEW},
    {"page viewed", "page_viewed", SHOP_OTHER},
    {"email opened", "email_opened", SHOP_OTHER},
    {"email link clicked", "email_clicked", SHOP_OTHER},
    {"email clicked", "email_clicked", SHOP_OTHER},
    {"recommendation shown", "recommendation_shown", SHOP_PRODUCT},
    {"recommendation clicked", "recommendation_clicked", SHOP_PRODUCT},
    /* of the first version, and without a meaning of their own here */
    {"clicked product", "Product Clicked", SHOP_PRODUCT},
    {"product clicked", "Product Clicked", SHOP_PRODUCT},
    {"viewed product category", "Product List Viewed", SHOP_OTHER},
    {"viewed promotion", "Promotion Viewed", SHOP_OTHER},
    {"clicked promotion", "Promotion Clicked", SHOP_OTHER},
    {"viewed checkout step", "Checkout Step Viewed", SHOP_OTHER},
    {"completed checkout step", "Checkout Step Completed", SHOP_OTHER},
};

/* "Order_Completed " -> "order completed"; 0 if it is longer than any name above. */
static size_t normal(struct str s, char *to, size_t cap)
{
    size_t n = 0;
    bool gap = false;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == ' ' || c == '_' || c == '-') {
            gap = n > 0;
            continue;
        }
        if (n + 2 > cap) return 0;
        if (gap) to[n++] = ' ';
        gap = false;
        to[n++] = c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
    }
    return n;
}

struct str shop_type(struct str name, enum shop_kind *kind)
{
    char text[32];
    struct str wanted = {text, normal(name, text, sizeof text)};
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!str_is(wanted, names[k].theirs)) continue;
        *kind = names[k].kind;
        return str_of(names[k].ours);
    }
    *kind = SHOP_OTHER;
    return name;
}

/* Members of an order and of its products that are numbers, however they were written. */
static bool numeric(struct str name)
{
    static const char *const of[] = {"revenue", "total", "subtotal", "shipping", "tax", "discount", "price", "quantity", "value"};
    for (size_t k = 0; k < sizeof of / sizeof of[0]; k++)
        if (str_is(name, of[k])) return true;
    return false;
}

static const struct json *first_of(const struct json *object, const char *const *members)
{
    for (; *members != NULL; members++) {
        const struct json *v = json_get(object, *members);
        if (json_is_int(v) || json_str(v).n > 0) return v;
    }
    return NULL;
}

static const char *const product_ids[] = {"product_id", "productId", "id", "sku", NULL};
static const char *const order_ids[] = {"order_id", "orderId", "id", NULL};

static bool listed(struct str name, const char *const *of)
{
    for (; *of != NULL; of++)
        if (str_is(name, *of)) return true;
    return false;
}

static struct decimal number_of(const struct json *properties, const char *name, int64_t limit)
{
    return dialect_number(json_get(properties, name), limit);
}

/* The first that is there. */
static struct decimal value_of(const struct json *properties, const char *a, const char *b, const char *c)
{
    struct decimal v = number_of(properties, a, AMOUNT_MAX);
    if (!v.present && b != NULL) v = number_of(properties, b, AMOUNT_MAX);
    if (!v.present && c != NULL) v = number_of(properties, c, AMOUNT_MAX);
    return v;
}

static void product_event(struct message *m, const struct json *properties, struct event_row *e, const char *place)
{
    struct decimal price = number_of(properties, "price", PRICE_MAX);
    e->product_id = message_id(m, first_of(properties, product_ids), place);
    e->value = number_of(properties, "value", AMOUNT_MAX);
    if (!e->value.present && price.present &&
        !decimal_multiply(price, e->quantity.present ? e->quantity : decimal_of(1), AMOUNT_MAX, &e->value))
        e->value = (struct decimal){0};
}

void shop_event(struct message *m, struct str name, const struct json *properties, struct event_row *e, const char *place)
{
    enum shop_kind kind;
    e->type = shop_type(name, &kind);
    e->kind = event_kind_of(e->type);
    e->quantity = number_of(properties, "quantity", PRICE_MAX);
    switch (kind) {
    case SHOP_PRODUCT: product_event(m, properties, e, place); break;
    case SHOP_REVIEW:
        product_event(m, properties, e, place);
        e->value = value_of(properties, "rating", "value", NULL);
        break;
    case SHOP_ORDER:
        e->value = value_of(properties, "revenue", "total", "value");
        if (first_of(properties, order_ids) == NULL && !str_present(e->event_id))
            message_reject(m, "missing_order_id", place, "An order needs an order_id, or its message a messageId.");
        break;
    case SHOP_ORDER_CHANGE:
        e->value = value_of(properties, "revenue", "total", "value");
        if (first_of(properties, order_ids) == NULL)
            message_reject(m, "missing_order_id", place, "A change of an order must say which: order_id is missing.");
        break;
    case SHOP_OTHER:
        e->value = value_of(properties, "value", "revenue", NULL);
        e->product_id = message_id(m, first_of(properties, (const char *const[]){"product_id", NULL}), place);
        break;
    }
    if (kind == SHOP_ORDER || kind == SHOP_ORDER_CHANGE) (void)message_id(m, first_of(properties, order_ids), place);
}

static void write_value(struct jsonw *w, struct str name, const struct json *v)
{
    char text[DECIMAL_TEXT];
    struct decimal n;
    jsonw_key_str(w, name);
    if (json_kind(v) == JSON_KIND_STRING && numeric(name) && (n = dialect_number(v, AMOUNT_MAX)).present)
        jsonw_raw(w, (struct str){text, decimal_text(n, text)});
    else jsonw_value(w, v);
}

/* An id as text, whatever it was. */
static void write_id(struct jsonw *w, const char *name, const struct json *v)
{
    jsonw_key(w, name);
    if (!json_is_int(v)) {
        jsonw_value(w, v);
        return;
    }
    char digits[24];
    jsonw_str(w, (struct str){digits, (size_t)snprintf(digits, sizeof digits, "%lld", (long long)json_int(v))});
}

static void write_members(struct jsonw *w, const struct json *object, const char *const *done, bool (*but)(struct str name))
{
    const void *at = NULL;
    struct str name;
    const struct json *v;
    while (json_next(object, &at, &name, &v))
        if (!listed(name, done) && (but == NULL || !but(name))) write_value(w, name, v);
}

static void write_products(struct jsonw *w, const struct json *products)
{
    static const char *const done[] = {"product_id", "productId", NULL};
    jsonw_key(w, "products");
    if (json_kind(products) != JSON_KIND_ARRAY) {
        jsonw_value(w, products);
        return;
    }
    jsonw_begin_array(w);
    for (size_t k = 0, n = json_count(products); k < n; k++) {
        const struct json *p = json_at(products, k), *id = first_of(p, product_ids);
        if (json_kind(p) != JSON_KIND_OBJECT) {
            jsonw_value(w, p);
            continue;
        }
        jsonw_begin_object(w);
        if (id != NULL) write_id(w, "product_id", id);
        write_members(w, p, done, NULL);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

void shop_properties(struct jsonw *w, const struct event_row *e, const struct json *properties, bool (*but)(struct str name))
{
    static const char *const of_order[] = {"order_id", "orderId", "products", NULL}, *const none[] = {NULL};
    bool order = str_is(e->type, "order_completed") || str_is(e->type, "order_updated") || str_is(e->type, "order_refunded") ||
                 str_is(e->type, "order_cancelled");
    if (!order) {
        if (e->kind == EVENT_REVIEW_SUBMITTED && json_get(properties, "text") == NULL && json_get(properties, "review_body") != NULL)
            write_value(w, STR("text"), json_get(properties, "review_body"));
        write_members(w, properties, none, but);
        return;
    }
    const struct json *id = first_of(properties, order_ids), *products = json_get(properties, "products");
    if (id != NULL) write_id(w, "order_id", id);
    else if (str_present(e->event_id)) jsonw_kstr(w, "order_id", e->event_id);
    if (json_kind(products) != JSON_KIND_NULL) write_products(w, products);
    write_members(w, properties, of_order, but);
}

void shop_order(struct message *m, const struct event_row *e, const char *place)
{
    struct order_fault fault;
    char at[120];
    if (m->failed || order_properties_check(e->type, e->properties, &fault)) return;
    snprintf(at, sizeof at, "%s%s", place, fault.pointer);
    message_reject(m, "invalid_order", at, "%s", fault.detail);
}
