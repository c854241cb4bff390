#include "meros/service/dialect_ga4.h"

#include <ctype.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/codec/json_cut.h"
#include "meros/domain/rows.h"
#include "meros/service/dialect_ecommerce.h"

enum { NAME_MAX_BYTES = 40, PARAMS_MAX = 25, PROPERTIES_MAX = 25, PROPERTY_NAME_MAX = 24, PROPERTY_VALUE_MAX = 36, VALUE_MAX = 100, ITEMS_MAX = 200 };
#define AGE_MAX (3 * TIME_DAY)

static const struct {
    const char *theirs, *ours;
    bool per_item;
} names[] = {
    {"view_item", "product_viewed", true},
    {"add_to_cart", "product_added", true},
    {"remove_from_cart", "product_removed", true},
    {"select_item", "Product Clicked", true},
    {"add_to_wishlist", "Product Added to Wishlist", true},
    {"view_item_list", "Product List Viewed", false},
    {"view_cart", "Cart Viewed", false},
    {"begin_checkout", "checkout_started", false},
    {"add_payment_info", "Payment Info Entered", false},
    {"view_promotion", "Promotion Viewed", false},
    {"select_promotion", "Promotion Clicked", false},
    {"purchase", "order_completed", false},
    {"refund", "order_refunded", false},
    {"search", "searched", false},
    {"view_search_results", "searched", false},
    {"page_view", "page_viewed", false},
    {"screen_view", "screen_viewed", false},
};

static const char *const reserved[] = {
    "ad_activeview", "ad_click", "ad_exposure", "ad_query", "ad_reward", "adunit_exposure", "app_background", "app_clear_data",
    "app_exception", "app_remove", "app_store_refund", "app_store_subscription_cancel", "app_store_subscription_convert",
    "app_store_subscription_renew", "app_update", "app_upgrade", "dynamic_link_app_open", "dynamic_link_app_update",
    "dynamic_link_first_open", "error", "firebase_campaign", "firebase_in_app_message_action", "firebase_in_app_message_dismiss",
    "firebase_in_app_message_impression", "first_open", "first_visit", "in_app_purchase", "notification_dismiss",
    "notification_foreground", "notification_open", "notification_receive", "os_update", "session_start", "user_engagement"};

/* One body and what was read of it. */
struct hit {
    struct dialect *d;
    bool pedantic;
    struct str client, user, events;
    int64_t at;
    struct json *properties, *consent; /* NULL: none */
};

/* Microseconds since 1970, as a number or as digits in a string. TIME_NONE: absent or rejected. */
static int64_t micros(struct message *m, const struct json *v, const char *place)
{
    int64_t t = TIME_NONE;
    if (json_kind(v) == JSON_KIND_NULL) return TIME_NONE;
    if (json_is_int(v)) t = json_int(v);
    else if (json_kind(v) == JSON_KIND_NUMBER && fabs(json_num(v)) < 9e17) t = (int64_t)json_num(v);
    else if (!str_to_int64(json_str(v), &t)) t = TIME_NONE;
    if (t == TIME_NONE || !moment_plausible(t, m->d->now)) {
        message_reject(m, "VALUE_INVALID", place, "timestamp_micros is a number of microseconds since 1970, not in the future.");
        return TIME_NONE;
    }
    return t;
}

static bool name_good(struct str s)
{
    if (s.n == 0 || s.n > NAME_MAX_BYTES || !isalpha((unsigned char)s.p[0])) return false;
    for (size_t i = 0; i < s.n; i++)
        if (!isalnum((unsigned char)s.p[i]) && s.p[i] != '_') return false;
    return true;
}

static bool event_name(struct message *m, struct str name)
{
    if (name.n == 0) message_reject(m, "VALUE_REQUIRED", "/name", "An event has a name.");
    else if (!name_good(name))
        message_reject(m, "NAME_INVALID", "/name", "The name of an event begins with a letter and has at most %d letters, digits and underscores.", NAME_MAX_BYTES);
    for (size_t k = 0; !m->failed && k < sizeof reserved / sizeof reserved[0]; k++)
        if (str_is(name, reserved[k])) message_reject(m, "NAME_RESERVED", "/name", "This name of an event is reserved.");
    return !m->failed;
}

/* --- Google's own limits, for those who ask */

static size_t length(struct str s)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) n += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    return n;
}

static void check_params(struct message *m, const struct json *params)
{
    const void *at = NULL;
    struct str name;
    const struct json *v;
    size_t n = 0;
    while (json_next(params, &at, &name, &v)) {
        bool page = str_is(name, "page_location") || str_is(name, "page_referrer") || str_is(name, "page_title");
        if (str_is(name, "items")) {
            if (json_count(v) > ITEMS_MAX) message_reject(m, "EXCEEDED_MAX_ENTITIES", "/params/items", "An event has at most %d items.", ITEMS_MAX);
            continue;
        }
        if (++n > PARAMS_MAX) message_reject(m, "EXCEEDED_MAX_ENTITIES", "/params", "An event has at most %d parameters.", PARAMS_MAX);
        if (!name_good(name)) message_reject(m, "NAME_INVALID", "/params", "The name of a parameter begins with a letter and has at most %d letters, digits and underscores.", NAME_MAX_BYTES);
        if (!page && length(json_str(v)) > VALUE_MAX) message_reject(m, "VALUE_OUT_OF_BOUNDS", "/params", "The value of a parameter has at most %d characters.", VALUE_MAX);
    }
}

/* What cannot be read as items must not pass for an order or a look at nothing. */
static void check_items(struct message *m, const struct json *items, bool pedantic)
{
    char place[48];
    if (json_kind(items) == JSON_KIND_NULL) return;
    if (json_kind(items) != JSON_KIND_ARRAY) message_reject(m, "VALUE_INVALID", "/params/items", "items must be an array of objects.");
    for (size_t k = 0, n = json_count(items); k < n && !m->failed; k++) {
        const struct json *item = json_at(items, k);
        snprintf(place, sizeof place, "/params/items/%zu", k);
        if (json_kind(item) != JSON_KIND_OBJECT) message_reject(m, "VALUE_INVALID", place, "An item must be an object.");
        else if (pedantic && json_kind(json_get(item, "item_id")) == JSON_KIND_NULL && json_kind(json_get(item, "item_name")) == JSON_KIND_NULL)
            message_reject(m, "VALUE_REQUIRED", place, "An item has an item_id or an item_name.");
    }
}

static void check_properties(struct message *m, const struct json *properties)
{
    const void *at = NULL;
    struct str name;
    const struct json *v;
    if (json_count(properties) > PROPERTIES_MAX) message_reject(m, "EXCEEDED_MAX_ENTITIES", "", "There are at most %d user properties.", PROPERTIES_MAX);
    while (json_next(properties, &at, &name, &v)) {
        if (name.n > PROPERTY_NAME_MAX) message_reject(m, "NAME_INVALID", "", "The name of a user property has at most %d characters.", PROPERTY_NAME_MAX);
        if (length(json_str(json_get(v, "value"))) > PROPERTY_VALUE_MAX)
            message_reject(m, "VALUE_OUT_OF_BOUNDS", "", "The value of a user property has at most %d characters.", PROPERTY_VALUE_MAX);
    }
}

/* --- their parameters in our words */

static void write_category(struct jsonw *w, const struct json *item)
{
    static const char *const levels[] = {"item_category", "item_category2", "item_category3", "item_category4", "item_category5"};
    char path[512];
    size_t n = 0;
    for (size_t k = 0; k < 5; k++) {
        struct str s = json_str(json_get(item, levels[k]));
        if (s.n == 0 || n + s.n + 1 > sizeof path) break;
        if (n > 0) path[n++] = '/';
        memcpy(path + n, s.p, s.n);
        n += s.n;
    }
    if (n > 0) jsonw_kstr(w, "category", (struct str){path, n});
}

static const char *item_word(struct str name)
{
    static const char *const words[][2] = {{"item_name", "name"}, {"item_brand", "brand"}, {"item_variant", "variant"}, {"index", "position"}};
    for (size_t k = 0; k < 4; k++)
        if (str_is(name, words[k][0])) return words[k][1];
    return NULL;
}

/* other: the object whose members stand beside these, and win. */
static void write_item(struct jsonw *w, const struct json *item, const struct json *other)
{
    const void *at = NULL;
    struct str name;
    const struct json *v, *id = json_get(item, "item_id");
    char text[NAME_MAX_BYTES + 1];
    if (json_kind(id) == JSON_KIND_NULL) id = json_get(item, "item_name");
    jsonw_key(w, "product_id");
    jsonw_value(w, id);
    write_category(w, item);
    while (json_next(item, &at, &name, &v)) {
        const char *word = item_word(name);
        if (str_is(name, "item_id") || str_is(name, "product_id") || str_is(name, "category") ||
            (name.n >= 13 && memcmp(name.p, "item_category", 13) == 0))
            continue;
        if (word != NULL && json_get(item, word) != NULL) continue; /* it is there under our word already */
        if (word == NULL && !str_copy(text, sizeof text, name)) continue;
        if (json_get(other, word != NULL ? word : text) != NULL) continue;
        jsonw_key_str(w, word != NULL ? str_of(word) : name);
        jsonw_value(w, v);
    }
}

/* The parameters with an order's in its own words. item: of an event about one; NULL: the event keeps its list. */
static void write_params(struct jsonw *w, const struct json *params, const struct json *item, bool order, bool search)
{
    const void *at = NULL;
    struct str name;
    const struct json *v, *items = json_get(params, "items");
    if (item != NULL) write_item(w, item, params);
    if (order && json_kind(json_get(params, "transaction_id")) != JSON_KIND_NULL && json_get(params, "order_id") == NULL) {
        jsonw_key(w, "order_id");
        jsonw_value(w, json_get(params, "transaction_id"));
    }
    if (order && json_kind(json_get(params, "value")) != JSON_KIND_NULL && json_get(params, "revenue") == NULL) {
        jsonw_key(w, "revenue");
        jsonw_value(w, json_get(params, "value"));
    }
    if (search && json_get(params, "query") == NULL && json_get(params, "search_term") != NULL) {
        jsonw_key(w, "query");
        jsonw_value(w, json_get(params, "search_term"));
    }
    if (item == NULL && json_count(items) > 0 && json_get(params, "products") == NULL) {
        jsonw_key(w, "products");
        jsonw_begin_array(w);
        for (size_t k = 0, n = json_count(items); k < n; k++) {
            jsonw_begin_object(w);
            write_item(w, json_at(items, k), NULL);
            jsonw_end_object(w);
        }
        jsonw_end_array(w);
    }
    while (json_next(params, &at, &name, &v)) {
        if (str_is(name, "items") || (order && str_is(name, "transaction_id")) || (item != NULL && (str_is(name, "product_id") || str_is(name, "category"))))
            continue;
        jsonw_key_str(w, name);
        jsonw_value(w, v);
    }
}

static void land(struct message *m, const struct hit *h, struct str name, int64_t at, const struct json *params, const struct json *item)
{
    struct message_text text;
    struct json *tree = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    struct ingest_item *it = message_item(m, INGEST_EVENT);
    if (it == NULL) return;
    message_who(it, h->user, h->client);
    it->event.occurred_at = at;
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    write_params(w, params, item, str_is(name, "order_completed") || str_is(name, "order_refunded"), str_is(name, "searched"));
    jsonw_end_object(w);
    struct str ours = message_text_end(m, &text, "/params");
    if (m->failed) return;
    if (json_parse(ours.p, ours.n, &tree, &err) != MEROS_OK) {
        message_reject(m, "VALUE_INVALID", "/params", "%.150s", err.detail);
        return;
    }
    shop_event(m, name, tree, &it->event, "/params");
    it->event.type = message_keep(m, it->event.type);
    w = message_text_begin(&text);
    jsonw_begin_object(w);
    shop_properties(w, &it->event, tree, NULL);
    jsonw_end_object(w);
    it->event.properties = message_text_end(m, &text, "/params");
    if (str_is(it->event.properties, "{}")) it->event.properties = STR_NONE;
    shop_order(m, &it->event, "/params");
    json_free(tree);
}

static void event(struct message *m, const struct hit *h, const struct json *v)
{
    const struct json *params = json_get(v, "params"), *items = json_get(params, "items");
    struct str name = json_str(json_get(v, "name"));
    int64_t at = micros(m, json_get(v, "timestamp_micros"), "/timestamp_micros");
    bool per_item = false, known = false;
    if (json_kind(v) != JSON_KIND_OBJECT) message_reject(m, "VALUE_INVALID", "", "An event must be an object.");
    if (m->failed || !event_name(m, name)) return;
    m->type = message_keep(m, name);
    if (json_kind(params) != JSON_KIND_NULL && json_kind(params) != JSON_KIND_OBJECT)
        message_reject(m, "VALUE_INVALID", "/params", "params must be an object.");
    if (!str_present(h->client) && !str_present(h->user))
        message_reject(m, "VALUE_REQUIRED", "", "The body names neither client_id, app_instance_id nor user_id.");
    if (at == TIME_NONE) at = h->at;
    if (h->pedantic && at < h->d->now - AGE_MAX) message_reject(m, "VALUE_OUT_OF_BOUNDS", "/timestamp_micros", "An event may lie up to 72 hours back.");
    if (h->pedantic) check_params(m, params);
    for (size_t k = 0; k < sizeof names / sizeof names[0]; k++) {
        if (!str_is(name, names[k].theirs)) continue;
        name = str_of(names[k].ours);
        per_item = names[k].per_item;
        known = true;
        break;
    }
    if (known || h->pedantic) check_items(m, items, h->pedantic);
    size_t n = per_item && json_kind(items) == JSON_KIND_ARRAY ? json_count(items) : 0;
    for (size_t k = 0; k < n && !m->failed; k++) land(m, h, name, at, params, json_at(items, k));
    if (n == 0 && !m->failed) land(m, h, name, at, params, NULL);
}

static void events(struct hit *h)
{
    struct json_cut c;
    struct str name, bytes;
    struct meros_err err = MEROS_ERR_INIT;
    json_cut_begin(&c, h->events);
    for (; json_cut_next(&c, &name, &bytes); h->d->messages++) {
        char pointer[40];
        struct message m;
        struct json *tree = NULL;
        snprintf(pointer, sizeof pointer, "/events/%zu", h->d->messages);
        message_begin(&m, h->d, h->d->messages, pointer);
        if (h->d->messages >= GA4_EVENTS_MAX) message_reject(&m, "EXCEEDED_MAX_ENTITIES", "", "A request holds at most %d events.", GA4_EVENTS_MAX);
        else if (bytes.n > DIALECT_MESSAGE_MAX) message_reject(&m, "too_large", "", "An event has at most %d bytes.", DIALECT_MESSAGE_MAX);
        else if (json_parse(bytes.p, bytes.n, &tree, &err) != MEROS_OK) message_reject(&m, "VALUE_INVALID", "", "%.150s", err.detail);
        else event(&m, h, tree);
        json_free(tree);
    }
}

/* --- what is said of the person */

static void write_user_properties(struct jsonw *w, const struct json *properties)
{
    const void *at = NULL;
    struct str name;
    const struct json *v;
    jsonw_begin_object(w);
    while (json_next(properties, &at, &name, &v)) {
        jsonw_key_str(w, name);
        jsonw_value(w, json_kind(v) == JSON_KIND_OBJECT ? json_get(v, "value") : v);
    }
    jsonw_end_object(w);
}

static void consent(struct message *m, const struct json *said, struct customer_change *out)
{
    static const char *const words[2][2] = {{"ad_personalization", "marketing"}, {"ad_user_data", "sale"}};
    struct message_text text;
    bool any = false;
    struct jsonw *w = message_text_begin(&text);
    jsonw_begin_object(w);
    for (size_t k = 0; k < 2; k++) {
        struct str s = json_str(json_get(said, words[k][0]));
        bool yes = str_ieq(s, STR("GRANTED"));
        if (!yes && !str_ieq(s, STR("DENIED"))) continue;
        any = true;
        jsonw_kbool(w, words[k][1], yes);
    }
    jsonw_end_object(w);
    out->consent = message_text_end(m, &text, "");
    if (any) out->given |= CHANGE_CONSENT;
    else out->consent = STR_NONE;
}

static void person(struct hit *h)
{
    struct message m;
    struct message_text text;
    struct json *flat = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    if (json_count(h->properties) == 0 && json_count(h->consent) == 0) return;
    if (!str_present(h->client) && !str_present(h->user)) return; /* each event says so */
    message_begin(&m, h->d, h->d->messages++, "/user_properties");
    struct ingest_item *item = message_item(&m, INGEST_TRAITS);
    if (item == NULL) return;
    message_who(item, h->user, h->client);
    if (h->pedantic) check_properties(&m, h->properties);
    write_user_properties(message_text_begin(&text), h->properties);
    struct str traits = message_text_end(&m, &text, "");
    if (!m.failed && json_parse(traits.p, traits.n, &flat, &err) == MEROS_OK) {
        const struct json *const of[] = {flat};
        if (message_traits(&m, of, 1, &item->traits, "")) consent(&m, h->consent, &item->traits);
    }
    json_free(flat);
}

/* A member of the body; what cannot be read is as if it were not there, but for what must be. */
static void member(struct hit *h, struct message *m, struct str name, struct str value)
{
    struct json *tree = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    if (str_is(name, "events")) {
        h->events = value;
        return;
    }
    if (json_parse(value.p, value.n, &tree, &err) != MEROS_OK) return;
    if (str_is(name, "client_id") || (str_is(name, "app_instance_id") && !str_present(h->client))) h->client = message_id(m, tree, "/client_id");
    else if (str_is(name, "user_id")) h->user = message_id(m, tree, "/user_id");
    else if (str_is(name, "timestamp_micros")) h->at = micros(m, tree, "/timestamp_micros");
    else if (str_is(name, "user_properties") && h->properties == NULL && json_kind(tree) == JSON_KIND_OBJECT) h->properties = tree, tree = NULL;
    else if (str_is(name, "consent") && h->consent == NULL && json_kind(tree) == JSON_KIND_OBJECT) h->consent = tree, tree = NULL;
    json_free(tree);
}

enum meros_code ga4_decode(struct dialect *d, struct str body, bool pedantic, struct meros_err *err)
{
    struct hit h = {.d = d, .pedantic = pedantic, .at = TIME_NONE};
    struct meros_err fault = MEROS_ERR_INIT;
    struct json_cut c;
    struct message m;
    struct str name, value;
    message_begin(&m, d, 0, "");
    if (json_check(body.p, body.n, &fault) != MEROS_OK) message_reject(&m, "VALUE_INVALID", "", "%.150s", fault.detail);
    else if (!json_cut_is(body, '{')) message_reject(&m, "VALUE_INVALID", "", "The body must be an object.");
    if (!m.failed) {
        json_cut_begin(&c, body);
        while (json_cut_next(&c, &name, &value)) member(&h, &m, name, value);
        if (!str_present(h.events) || !json_cut_is(h.events, '[')) message_reject(&m, "VALUE_REQUIRED", "/events", "events must be an array.");
    }
    if (m.failed) d->messages = 1; /* all of it */
    if (h.at == TIME_NONE) h.at = d->now;
    if (!m.failed) events(&h);
    if (!m.failed) person(&h);
    json_free(h.properties);
    json_free(h.consent);
    return dialect_end(d, err);
}

const char *ga4_validation_code(const struct dialect_reject *r)
{
    if (isupper((unsigned char)r->code[0])) return r->code;
    if (strncmp(r->code, "missing", 7) == 0) return "VALUE_REQUIRED";
    return strncmp(r->code, "too_", 4) == 0 ? "EXCEEDED_MAX_ENTITIES" : "VALUE_INVALID";
}

void ga4_field_path(const struct dialect_reject *r, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (const char *at = r->place; *at == '/' && n < cap;) {
        size_t len = strcspn(++at, "/");
        bool number = len > 0 && strspn(at, "0123456789") == len;
        n += (size_t)snprintf(out + n, cap - n, number ? "[%.*s]" : n > 0 ? ".%.*s" : "%.*s", (int)len, at);
        at += len;
    }
}
