#include "meros/domain/rows.h"

#include <stdarg.h>
#include <stdio.h>
#include "meros/domain/canonical.h"

static const struct field customer_fields[] = {
    {"customer_id", true}, {"created_at", false}, {"email", false}, {"name", false}, {"phone", false}};
static const struct field product_fields[] = {{"product_id", true}, {"name", false},        {"category", false},
                                              {"price", false},     {"description", false}, {"available", false}};
static const struct field order_fields[] = {{"order_id", true},   {"customer_id", true}, {"ordered_at", true},
                                            {"product_id", false}, {"quantity", false},   {"unit_price", false},
                                            {"amount", false},     {"line_id", false}};
static const struct field event_fields[] = {{"event_id", false},   {"customer_id", true}, {"type", true},
                                            {"occurred_at", false}, {"product_id", false}, {"value", false},
                                            {"quantity", false},    {"properties", false}};
static const struct field outcome_fields[] = {{"campaign", true}, {"customer_id", true}, {"type", true},        {"variant", false},
                                              {"value", false},   {"occurred_at", false}, {"outcome_id", false}};

#define FIELDS(f) f, (int)(sizeof(f) / sizeof(f)[0])
const struct dataset_info datasets[DATASET_COUNT] = {
    [DATASET_CUSTOMERS] = {"customers", FIELDS(customer_fields), "attributes"},
    [DATASET_PRODUCTS] = {"products", FIELDS(product_fields), "attributes"},
    [DATASET_ORDERS] = {"orders", FIELDS(order_fields), NULL},
    [DATASET_EVENTS] = {"events", FIELDS(event_fields), "properties"},
    [DATASET_OUTCOMES] = {"outcomes", FIELDS(outcome_fields), NULL},
};

int dataset_field(enum dataset_kind d, struct str name)
{
    for (int i = 0; i < datasets[d].n_fields; i++)
        if (str_is(name, datasets[d].fields[i].name)) return i;
    return -1;
}

bool moment_plausible(int64_t t, int64_t now)
{
    return t >= -25567 * TIME_DAY && t <= now + TIME_DAY; /* 1900-01-01 is 25567 days before 1970 */
}

/* What a decoder works with: the first fault stops the row, so each reader returns at once after one. */
struct decoder {
    const struct cell *cells;
    const struct row_rules *rules;
    struct row_fault *fault;
    bool failed;
};

static void __attribute__((format(printf, 3, 4))) fail(struct decoder *d, int field, const char *format, ...)
{
    if (d->failed) return;
    d->failed = true;
    d->fault->field = field;
    va_list ap;
    va_start(ap, format);
    vsnprintf(d->fault->detail, sizeof d->fault->detail, format, ap);
    va_end(ap);
}

static bool given(const struct decoder *d, int field)
{
    return d->cells[field].kind != CELL_ABSENT && d->cells[field].kind != CELL_NULL;
}

enum { OPTIONAL, REQUIRED };

static struct str read_id(struct decoder *d, int field, int need)
{
    const struct cell *c = &d->cells[field];
    if (d->failed) return STR_NONE;
    if (!given(d, field)) {
        if (need == REQUIRED) fail(d, field, "It is missing.");
        return STR_NONE;
    }
    bool whole = c->kind == CELL_NUMBER && memchr(c->text.p, '.', c->text.n) == NULL &&
                 memchr(c->text.p, 'e', c->text.n) == NULL && memchr(c->text.p, 'E', c->text.n) == NULL;
    if (c->kind != CELL_TEXT && c->kind != CELL_STRING && !whole) {
        fail(d, field, "An id must be a string.");
    } else if (!id_valid(c->text)) {
        fail(d, field, c->text.n == 0       ? "It is empty."
                       : c->text.n > ID_MAX ? "An id has at most 200 bytes."
                                            : "An id must be UTF-8 without control characters.");
    } else {
        return c->text;
    }
    return STR_NONE;
}

static struct str read_text(struct decoder *d, int field, size_t max)
{
    const struct cell *c = &d->cells[field];
    if (d->failed || !given(d, field)) return STR_NONE;
    if (c->kind != CELL_TEXT && c->kind != CELL_STRING && c->kind != CELL_NUMBER) fail(d, field, "It must be text.");
    else if (c->text.n > max) fail(d, field, "It is longer than %zu bytes.", max);
    else return c->text;
    return STR_NONE;
}

static struct decimal read_decimal(struct decoder *d, int field, int64_t limit)
{
    const struct cell *c = &d->cells[field];
    struct decimal v = {0}, wide;
    if (d->failed || !given(d, field)) return v;
    bool text = c->kind == CELL_TEXT || c->kind == CELL_STRING || c->kind == CELL_NUMBER;
    if (text && decimal_parse(c->text, limit, &v)) return v;
    double number;
    if (text && (decimal_parse(c->text, INT64_C(9000000000000), &wide) || str_to_double(c->text, &number)))
        fail(d, field, "The number is past %lld.", (long long)limit);
    else if (text && memchr(c->text.p, ',', c->text.n) != NULL)
        fail(d, field, "It must be a number with a decimal point and without separators of thousands, such as 1234.50.");
    else fail(d, field, "It must be a number.");
    return (struct decimal){0};
}

static struct decimal read_price(struct decoder *d, int field)
{
    struct decimal v = read_decimal(d, field, PRICE_MAX);
    if (v.present && v.unscaled < 0) fail(d, field, "A price cannot be below zero.");
    return v;
}

static int64_t read_time(struct decoder *d, int field, int need)
{
    const struct cell *c = &d->cells[field];
    int64_t t;
    if (d->failed) return TIME_NONE;
    if (!given(d, field)) {
        if (need == REQUIRED) fail(d, field, "It is missing.");
        return TIME_NONE;
    }
    bool text = c->kind == CELL_TEXT || c->kind == CELL_STRING ||
                (c->kind == CELL_NUMBER && str_present(d->rules->times.pattern));
    if (!text || !timetext_read(&d->rules->times, c->text, &t)) {
        if (str_present(d->rules->times.pattern)) fail(d, field, "It is not a date of the pattern in date_format.");
        else fail(d, field, "It is not a date; write 2011-12-09T12:50:00Z, 2011-12-09 12:50 or 12/9/2011 12:50, or say date_format=.");
    } else if (t > d->rules->now + TIME_DAY) {
        fail(d, field, "It lies more than a day in the future.");
    } else if (!moment_plausible(t, d->rules->now)) {
        fail(d, field, "It lies before 1900.");
    } else {
        return t;
    }
    return TIME_NONE;
}

static int read_bool(struct decoder *d, int field)
{
    static const char *const yes[] = {"true", "1", "yes", "y", "t"}, *const no[] = {"false", "0", "no", "n", "f"};
    const struct cell *c = &d->cells[field];
    if (d->failed || !given(d, field)) return -1;
    for (size_t i = 0; c->kind != CELL_JSON && i < sizeof yes / sizeof yes[0]; i++) {
        if (str_ieq(c->text, str_of(yes[i]))) return 1;
        if (str_ieq(c->text, str_of(no[i]))) return 0;
    }
    fail(d, field, "It must be true or false.");
    return -1;
}

bool customer_decode(const struct cell *cells, const struct row_rules *rules, struct customer_row *out, struct row_fault *fault)
{
    struct decoder d = {cells, rules, fault, false};
    *out = (struct customer_row){.customer_id = read_id(&d, CUSTOMER_ID, REQUIRED)};
    out->created_at = read_time(&d, CUSTOMER_CREATED_AT, OPTIONAL);
    out->email = read_text(&d, CUSTOMER_EMAIL, EMAIL_MAX);
    out->name = read_text(&d, CUSTOMER_NAME, PERSON_NAME_MAX);
    out->phone = read_text(&d, CUSTOMER_PHONE, PHONE_MAX);
    return !d.failed;
}

bool product_decode(const struct cell *cells, const struct row_rules *rules, struct product_row *out, struct row_fault *fault)
{
    struct decoder d = {cells, rules, fault, false};
    *out = (struct product_row){.product_id = read_id(&d, PRODUCT_ID, REQUIRED)};
    out->name = read_text(&d, PRODUCT_NAME, PRODUCT_NAME_MAX);
    out->category = read_text(&d, PRODUCT_CATEGORY, CATEGORY_MAX);
    out->price = read_price(&d, PRODUCT_PRICE);
    out->description = read_text(&d, PRODUCT_DESCRIPTION, DESCRIPTION_MAX);
    out->available = read_bool(&d, PRODUCT_AVAILABLE);
    return !d.failed;
}

static struct decimal line_amount(struct decoder *d, const struct order_row *r)
{
    struct decimal amount = read_decimal(d, ORDER_AMOUNT, AMOUNT_MAX);
    if (amount.present || d->failed) return amount;
    if (!r->unit_price.present) return decimal_of(0);
    if (!decimal_multiply(r->quantity.present ? r->quantity : decimal_of(1), r->unit_price, AMOUNT_MAX, &amount))
        fail(d, ORDER_QUANTITY, "Quantity times price is past %lld.", (long long)AMOUNT_MAX);
    return amount;
}

bool order_decode(const struct cell *cells, const struct row_rules *rules, struct order_row *out, struct row_fault *fault)
{
    struct decoder d = {cells, rules, fault, false};
    *out = (struct order_row){.order_id = read_id(&d, ORDER_ID, REQUIRED)};
    out->customer_id = read_id(&d, ORDER_CUSTOMER_ID, REQUIRED);
    out->ordered_at = read_time(&d, ORDER_AT, REQUIRED);
    out->product_id = read_id(&d, ORDER_PRODUCT_ID, OPTIONAL);
    out->quantity = read_decimal(&d, ORDER_QUANTITY, PRICE_MAX);
    out->unit_price = read_price(&d, ORDER_UNIT_PRICE);
    out->amount = line_amount(&d, out);
    if (str_present(out->product_id) && !out->quantity.present) out->quantity = decimal_of(out->amount.unscaled < 0 ? -1 : 1);
    out->line_id = read_id(&d, ORDER_LINE_ID, OPTIONAL);
    return !d.failed;
}

bool event_decode(const struct cell *cells, const struct row_rules *rules, struct event_row *out, struct row_fault *fault)
{
    struct decoder d = {cells, rules, fault, false};
    *out = (struct event_row){.event_id = read_id(&d, EVENT_FIELD_ID, OPTIONAL)};
    out->customer_id = read_id(&d, EVENT_FIELD_CUSTOMER_ID, REQUIRED);
    out->type = read_id(&d, EVENT_FIELD_TYPE, REQUIRED);
    out->kind = event_kind_of(out->type);
    out->occurred_at = read_time(&d, EVENT_FIELD_AT, OPTIONAL);
    out->product_id = read_id(&d, EVENT_FIELD_PRODUCT_ID, OPTIONAL);
    out->value = read_decimal(&d, EVENT_FIELD_VALUE, AMOUNT_MAX);
    out->quantity = read_decimal(&d, EVENT_FIELD_QUANTITY, PRICE_MAX);
    return !d.failed;
}

static const char *const outcome_types[OUTCOME_TYPE_COUNT] = {
#define X(id, name) [OUTCOME_##id] = name,
    OUTCOME_TYPES(X)
#undef X
};

static enum outcome_type read_outcome_type(struct decoder *d)
{
    const struct cell *c = &d->cells[OUTCOME_FIELD_TYPE];
    if (d->failed) return OUTCOME_SENT;
    if (!given(d, OUTCOME_FIELD_TYPE)) fail(d, OUTCOME_FIELD_TYPE, "It is missing.");
    for (int t = 0; !d->failed && (c->kind == CELL_TEXT || c->kind == CELL_STRING) && t < OUTCOME_TYPE_COUNT; t++)
        if (str_is(c->text, outcome_types[t])) return (enum outcome_type)t;
    fail(d, OUTCOME_FIELD_TYPE, "It must be one of sent, delivered, opened, clicked, converted, unsubscribed and bounced.");
    return OUTCOME_SENT;
}

bool outcome_decode(const struct cell *cells, const struct row_rules *rules, struct outcome_row *out, struct row_fault *fault)
{
    struct decoder d = {cells, rules, fault, false};
    *out = (struct outcome_row){.campaign = read_id(&d, OUTCOME_FIELD_CAMPAIGN, REQUIRED)};
    out->customer_id = read_id(&d, OUTCOME_FIELD_CUSTOMER_ID, REQUIRED);
    out->type = read_outcome_type(&d);
    out->variant = read_id(&d, OUTCOME_FIELD_VARIANT, OPTIONAL);
    out->value = read_decimal(&d, OUTCOME_FIELD_VALUE, AMOUNT_MAX);
    out->occurred_at = read_time(&d, OUTCOME_FIELD_AT, OPTIONAL);
    out->outcome_id = read_id(&d, OUTCOME_FIELD_ID, OPTIONAL);
    return !d.failed;
}

/* --- identity. Fields are separated by a byte that no id holds, absent ones differ from empty ones. */
static void put_decimal(struct buf *b, struct decimal d)
{
    char number[DECIMAL_TEXT];
    buf_append(b, number, decimal_text(d, number));
    buf_char(b, 1);
}

static void put_text(struct buf *b, struct str s)
{
    if (str_present(s)) buf_append(b, s.p, s.n);
    buf_char(b, 1);
}

struct crypto_hash128 event_key(const struct event_row *r, struct buf *b)
{
    buf_clear(b);
    if (str_present(r->event_id)) {
        buf_char(b, 'i');
        buf_append(b, r->event_id.p, r->event_id.n);
    } else {
        buf_char(b, 'c');
        put_text(b, r->type);
        buf_printf(b, "%lld%c", (long long)r->occurred_at, 1);
        put_text(b, r->product_id);
        put_decimal(b, r->value);
        put_decimal(b, r->quantity);
        if (str_present(r->properties)) json_canonical(r->properties, b);
    }
    return crypto_hash128(b->data, b->len);
}

struct crypto_hash128 outcome_key(const struct outcome_row *r, struct buf *b)
{
    buf_clear(b);
    buf_char(b, str_present(r->outcome_id) ? 'i' : 'c');
    put_text(b, r->campaign);
    if (str_present(r->outcome_id)) {
        buf_append(b, r->outcome_id.p, r->outcome_id.n);
    } else {
        put_text(b, r->variant);
        buf_printf(b, "%d%c%lld%c", (int)r->type, 1, (long long)r->occurred_at, 1);
        put_decimal(b, r->value);
    }
    return crypto_hash128(b->data, b->len);
}
