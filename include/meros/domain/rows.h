/* Rows of data that come in: customers, products, order lines, events, outcomes. What fields each has, and what makes a row good.
 *
 * A row arrives as cells, one a known field (absent ones are CELL_ABSENT). Decoding checks everything, so that what has
 * been decoded cannot fail in the database: ids, lengths, moments (not a day past now, not before 1900), numbers (finite,
 * exact, bounded), prices not below zero. The first fault is reported with its field. Strings in a decoded row are views
 * of the cells'. Pure functions. */
#ifndef MEROS_DOMAIN_ROWS_H
#define MEROS_DOMAIN_ROWS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/crypto.h"
#include "meros/base/str.h"
#include "meros/domain/decimal.h"
#include "meros/domain/stats.h"
#include "meros/domain/timetext.h"

enum dataset_kind { DATASET_CUSTOMERS, DATASET_PRODUCTS, DATASET_ORDERS, DATASET_EVENTS, DATASET_OUTCOMES, DATASET_COUNT };

enum customer_field { CUSTOMER_ID, CUSTOMER_CREATED_AT, CUSTOMER_EMAIL, CUSTOMER_NAME, CUSTOMER_PHONE };
enum product_field { PRODUCT_ID, PRODUCT_NAME, PRODUCT_CATEGORY, PRODUCT_PRICE, PRODUCT_DESCRIPTION, PRODUCT_AVAILABLE };
enum order_field {
    ORDER_ID, ORDER_CUSTOMER_ID, ORDER_AT, ORDER_PRODUCT_ID, ORDER_QUANTITY, ORDER_UNIT_PRICE, ORDER_AMOUNT, ORDER_LINE_ID
};
enum event_field {
    EVENT_FIELD_ID, EVENT_FIELD_CUSTOMER_ID, EVENT_FIELD_TYPE, EVENT_FIELD_AT, EVENT_FIELD_PRODUCT_ID, EVENT_FIELD_VALUE,
    EVENT_FIELD_QUANTITY, EVENT_FIELD_PROPERTIES
};
enum outcome_field {
    OUTCOME_FIELD_CAMPAIGN, OUTCOME_FIELD_CUSTOMER_ID, OUTCOME_FIELD_TYPE, OUTCOME_FIELD_VARIANT, OUTCOME_FIELD_VALUE,
    OUTCOME_FIELD_AT, OUTCOME_FIELD_ID
};
enum { ROW_FIELDS_MAX = 8 };

struct field {
    const char *name;
    bool required;
};
struct dataset_info {
    const char *name;           /* "orders" */
    const struct field *fields; /* by the enums above */
    int n_fields;
    const char *extras;         /* where other columns go: "attributes", "properties"; NULL: nowhere */
};
extern const struct dataset_info datasets[DATASET_COUNT];
int dataset_field(enum dataset_kind d, struct str name); /* -1 if there is none of that name */

/* Text of a CSV cell may mean a number or a truth; a cell of JSON says what it is. */
enum cell_kind { CELL_ABSENT, CELL_TEXT, CELL_STRING, CELL_NUMBER, CELL_BOOL, CELL_NULL, CELL_JSON };
struct cell {
    enum cell_kind kind;
    struct str text; /* CSV text, trimmed; a JSON string decoded; other JSON as written */
};

struct row_rules {
    struct timetext times;
    int64_t now;
};
struct row_fault {
    int field; /* which of the dataset's fields */
    char detail[160];
};

enum {
    EMAIL_MAX = 320, PERSON_NAME_MAX = 500, PHONE_MAX = 60, PRODUCT_NAME_MAX = 2000, CATEGORY_MAX = 1000,
    DESCRIPTION_MAX = 100 << 10, EXTRAS_MAX = 64 << 10, EXTRA_NAME_MAX = 200, KEY_SCRATCH_MAX = 6 * EXTRAS_MAX
};
#define PRICE_MAX INT64_C(1000000000)     /* of a unit; also bounds quantities */
#define AMOUNT_MAX INT64_C(1000000000000) /* of a line or an event */

struct customer_row {
    int64_t line;
    struct str customer_id, email, name, phone; /* STR_NONE: not given */
    int64_t created_at;                         /* TIME_NONE: not given */
    struct str attributes;                      /* a JSON object; STR_NONE: nothing given */
};
struct product_row {
    int64_t line;
    struct str product_id, name, category, description;
    struct decimal price;
    int available; /* -1: not given */
    struct str attributes;
};
struct order_row {
    int64_t line;
    struct str order_id, customer_id, product_id, line_id; /* product_id, line_id: STR_NONE if not given */
    int64_t ordered_at;
    struct decimal quantity; /* of a line with a product and none given: one, or minus one where its amount is below zero */
    struct decimal unit_price;
    struct decimal amount; /* always present: as given, else quantity * unit_price (a missing quantity is one), else 0 */
    bool rejected;         /* only order_id is set: the row was bad, but keeps its place among its order's lines */
};
struct event_row {
    int64_t line;
    struct str event_id, customer_id, type, product_id; /* event_id, product_id: STR_NONE if not given */
    enum event_kind kind;
    int64_t occurred_at; /* TIME_NONE: not given */
    struct decimal value, quantity;
    struct str properties; /* a JSON object; STR_NONE if empty */
};

/* What a campaign brought about with one customer. */
#define OUTCOME_TYPES(X) X(SENT, "sent") X(DELIVERED, "delivered") X(OPENED, "opened") X(CLICKED, "clicked") \
    X(CONVERTED, "converted") X(UNSUBSCRIBED, "unsubscribed") X(BOUNCED, "bounced")
enum outcome_type {
#define X(id, name) OUTCOME_##id,
    OUTCOME_TYPES(X)
#undef X
    OUTCOME_TYPE_COUNT
};
struct outcome_row {
    int64_t line;
    struct str campaign, customer_id, variant, outcome_id; /* variant, outcome_id: STR_NONE if not given */
    enum outcome_type type;
    int64_t occurred_at; /* TIME_NONE: not given */
    struct decimal value;
};

/* cells: ROW_FIELDS_MAX of them, by field. Extras (attributes; properties beside the field) are set by the caller. */
bool customer_decode(const struct cell *cells, const struct row_rules *rules, struct customer_row *out, struct row_fault *fault);
bool product_decode(const struct cell *cells, const struct row_rules *rules, struct product_row *out, struct row_fault *fault);
bool order_decode(const struct cell *cells, const struct row_rules *rules, struct order_row *out, struct row_fault *fault);
bool event_decode(const struct cell *cells, const struct row_rules *rules, struct event_row *out, struct row_fault *fault);
bool outcome_decode(const struct cell *cells, const struct row_rules *rules, struct outcome_row *out, struct row_fault *fault);

/* The identity of an event within its customer: its event_id, or its content where it has none; of an outcome the same
 * with its campaign. Content counts by what it means: properties in their canonical form (domain/canonical.h), so that
 * neither the order of members nor white space nor how a number is written makes another event of it. Whatever way a row
 * comes in, it has one identity. scratch: a buffer of up to KEY_SCRATCH_MAX; failed afterwards if memory ran out, and the key
 * is then worth nothing. */
struct crypto_hash128 event_key(const struct event_row *r, struct buf *scratch);
struct crypto_hash128 outcome_key(const struct outcome_row *r, struct buf *scratch);

/* A moment that may be recorded: from 1900 to a day from now. */
bool moment_plausible(int64_t t, int64_t now);

#endif
