/* Audiences: rules that say which customers are meant, as a checked tree, and what a rule makes of one customer.
 *
 *   rule   = {"all": [rule, …]} | {"any": [rule, …]} | {"not": rule} | leaf
 *   leaf   = {"field": FIELD, "op": OP, "value": …}
 *          | {"event": TYPE, "count": {">=": 3}, "within_days": 30, "where": {"product_id": …, "category": …}}
 *
 * `all` of nothing is everybody. Fields and operators are the two tables below; service/audience_rule.h reads rules from JSON and
 * writes them, store/audiences.h finds customers with SQL made of the tree, and a property test holds that SQL equal to what is here.
 *
 * Meaning of a leaf
 *   - A customer without a value (no order: no recency; an attribute that is not set) meets no comparison. `!=` and `not_in` are
 *     the exact opposites of `=` and `in`, so they hold then; `exists` with false asks for just that.
 *   - Text is compared byte by byte, as it is written: "UK" is not "uk".
 *   - Attributes have no type of their own; the rule's value says how they are read. Against a number counts a number, and text that is
 *     one in plain decimals (CSV knows nothing else): at most 15 digits before the point and 40 behind it. Against true or false also the
 *     texts "true" and "false". Against a time, text as `2011-12-09`, `2011-12-09 12:50[:00]` or RFC 3339, of the years 1000 to 9999.
 *     Against text only text. `contains` looks for a part of a text, or for an element of an array.
 *   - Days count back from the moment of asking. `within_days`: from so many days ago on; what lies ahead counts up to a day
 *     (clocks differ), and no further.
 *   - Segments and lifetime values are those that lists of them show (memberships, customer_clv): written within a second of a change
 *     of the customer, and once a day for what time alone changes. So one customer and all of them are judged by the same.
 *   - An event's `count` is met by the number of such events (`>= 1` where nothing is said), 0 included.
 *
 * Everything here is pure; any thread. */
#ifndef MEROS_DOMAIN_AUDIENCE_H
#define MEROS_DOMAIN_AUDIENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/str.h"
#include "meros/domain/stats.h"

enum {
    AUDIENCE_NODES_MAX = 200, /* of a rule: leaves, and what holds them together */
    AUDIENCE_LEAVES_MAX = 100,
    AUDIENCE_DEPTH_MAX = 10,
    AUDIENCE_LIST_MAX = 1000, /* values of `in` */
    AUDIENCE_VALUES_MAX = 10000, /* of a rule: all rules are in memory, and each answer about a customer looks through them */
    AUDIENCE_TEXT_MAX = 1000, /* bytes of a value */
    AUDIENCE_COUNTS_MAX = 6,
    AUDIENCE_DAYS_MAX = 36525 /* a hundred years */
};

/* Types of values; as bits, what an operator goes with. */
enum audience_type {
    AUDIENCE_NOTHING = 0,
    AUDIENCE_NUMBER = 1,
    AUDIENCE_TEXT = 2,
    AUDIENCE_BOOL = 4,
    AUDIENCE_TIME = 8,
    AUDIENCE_LIST = 16,  /* only of a customer: an array of texts, and whatever else is in it */
    AUDIENCE_OTHER = 32, /* only of a customer: an object */
    AUDIENCE_ANY = AUDIENCE_NUMBER | AUDIENCE_TEXT | AUDIENCE_BOOL | AUDIENCE_TIME /* a field whose rule says how it is read */
};

/* id, name, type. A name that ends in "." is a family: what stands behind it is the name of an attribute or a segmentation. */
#define AUDIENCE_FIELDS(X)                                                                                   \
    X(ORDERS, "stats.orders", NUMBER)                                                                        \
    X(RETURNS, "stats.returns", NUMBER)                                                                      \
    X(PRODUCTS, "stats.products", NUMBER)                                                                    \
    X(UNITS, "stats.units", NUMBER)                                                                          \
    X(REVENUE, "stats.revenue", NUMBER)                                                                      \
    X(GROSS_REVENUE, "stats.gross_revenue", NUMBER)                                                          \
    X(RETURNED_AMOUNT, "stats.returned_amount", NUMBER)                                                      \
    X(AVERAGE_ORDER_VALUE, "stats.average_order_value", NUMBER)                                              \
    X(RECENCY_DAYS, "stats.recency_days", NUMBER)                                                            \
    X(TENURE_DAYS, "stats.tenure_days", NUMBER)                                                              \
    X(INTERPURCHASE_DAYS, "stats.interpurchase_days", NUMBER)                                                \
    X(RETURN_RATE, "stats.return_rate", NUMBER)                                                              \
    X(ENGAGEMENT, "stats.engagement", NUMBER)                                                                \
    X(FIRST_ORDER_AT, "stats.first_order_at", TIME)                                                          \
    X(LAST_ORDER_AT, "stats.last_order_at", TIME)                                                            \
    X(LAST_SEEN_AT, "stats.last_seen_at", TIME)                                                              \
    X(CLV_VALUE, "clv.value", NUMBER)                                                                        \
    X(CLV_P_ALIVE, "clv.p_alive", NUMBER)                                                                    \
    X(CLV_EXPECTED_ORDERS, "clv.expected_orders", NUMBER)                                                    \
    X(CLV_EXPECTED_ORDER_VALUE, "clv.expected_order_value", NUMBER)                                          \
    X(CONSENT_PROFILING, "consent.profiling", BOOL)                                                          \
    X(CONSENT_MARKETING, "consent.marketing", BOOL)                                                          \
    X(CONSENT_SALE, "consent.sale", BOOL)                                                                    \
    X(ATTRIBUTE, "attributes.", ANY)                                                                         \
    X(SEGMENT, "segments.", TEXT)

enum audience_field {
#define X(id, name, type) AUDIENCE_##id,
    AUDIENCE_FIELDS(X)
#undef X
    AUDIENCE_FIELD_COUNT,
    AUDIENCE_EVENT = AUDIENCE_FIELD_COUNT /* a leaf about events */
};

/* What an operator's value is. */
enum audience_takes { AUDIENCE_TAKES_ONE, AUDIENCE_TAKES_LIST, AUDIENCE_TAKES_PAIR, AUDIENCE_TAKES_TRUTH, AUDIENCE_TAKES_DAYS };

/* id, word, types of fields that it goes with, what its value is. Before and after mean what < and > do. */
#define AUDIENCE_OPS(X)                                                                                      \
    X(EQ, "=", AUDIENCE_NUMBER | AUDIENCE_TEXT | AUDIENCE_BOOL, ONE)                                         \
    X(NE, "!=", AUDIENCE_NUMBER | AUDIENCE_TEXT | AUDIENCE_BOOL, ONE)                                        \
    X(LT, "<", AUDIENCE_NUMBER | AUDIENCE_TIME, ONE)                                                         \
    X(LE, "<=", AUDIENCE_NUMBER | AUDIENCE_TIME, ONE)                                                        \
    X(GT, ">", AUDIENCE_NUMBER | AUDIENCE_TIME, ONE)                                                         \
    X(GE, ">=", AUDIENCE_NUMBER | AUDIENCE_TIME, ONE)                                                        \
    X(IN, "in", AUDIENCE_NUMBER | AUDIENCE_TEXT, LIST)                                                       \
    X(NOT_IN, "not_in", AUDIENCE_NUMBER | AUDIENCE_TEXT, LIST)                                               \
    X(CONTAINS, "contains", AUDIENCE_TEXT, ONE)                                                              \
    X(STARTS_WITH, "starts_with", AUDIENCE_TEXT, ONE)                                                        \
    X(EXISTS, "exists", AUDIENCE_ANY, TRUTH)                                                                 \
    X(BETWEEN, "between", AUDIENCE_NUMBER | AUDIENCE_TIME, PAIR) /* both ends included */                    \
    X(BEFORE, "before", AUDIENCE_TIME, ONE)                                                                  \
    X(AFTER, "after", AUDIENCE_TIME, ONE)                                                                    \
    X(WITHIN_DAYS, "within_days", AUDIENCE_TIME, DAYS)

enum audience_op {
#define X(id, word, types, takes) AUDIENCE_##id,
    AUDIENCE_OPS(X)
#undef X
    AUDIENCE_OP_COUNT
};
enum { AUDIENCE_COUNT_OPS = AUDIENCE_GE + 1 }; /* the first ones are those of a count */

extern const char *const audience_op_words[]; /* NULL-terminated */
struct audience_op_row {
    unsigned types;
    enum audience_takes takes;
};
extern const struct audience_op_row audience_ops[AUDIENCE_OP_COUNT];
struct audience_field_row {
    const char *name;
    enum audience_type type;
};
extern const struct audience_field_row audience_fields[AUDIENCE_FIELD_COUNT];
/* *out_key: what stands behind the name of a family, else STR_NONE. False: there is no such field. */
bool audience_field_find(struct str name, enum audience_field *out, struct str *out_key);
const char *audience_type_words(enum audience_type type); /* "a number" */

/* --- a rule */
struct audience_count {
    enum audience_op op;
    double n;
};
struct audience_leaf {
    enum audience_field field;
    struct str key;          /* the attribute, the segmentation, the type of event; else STR_NONE */
    enum audience_op op;
    enum audience_type type; /* of the values, and so how an attribute is read; OTHER for `exists` */
    size_t n;                /* values; in one of these: */
    const double *nums;
    const struct str *texts;
    const int64_t *times;
    bool truth;              /* of BOOL and of `exists` */
    double days;             /* of `within_days`, also of events; NaN: none */
    /* of events */
    struct audience_count counts[AUDIENCE_COUNTS_MAX];
    size_t n_counts;
    struct str product_id, category; /* STR_NONE: any */
};

/* Nodes stand in the order of reading, each before what it holds: of node i the first child is i + 1, and what stands beside it
 * comes after its `size` nodes. */
enum audience_node_kind { AUDIENCE_ALL, AUDIENCE_ANY_OF, AUDIENCE_NOT, AUDIENCE_LEAF };
struct audience_node {
    enum audience_node_kind kind;
    unsigned size; /* nodes of this part, itself included */
    unsigned leaf; /* of a leaf: its number, in the order of reading */
};
struct audience_rule { /* whoever made it says where its parts live */
    const struct audience_node *nodes;
    const struct audience_leaf *leaves;
    size_t n_nodes, n_leaves;
};

/* The times between which `within_days` holds, both included. */
void audience_window(const struct audience_leaf *l, int64_t now, int64_t *out_from, int64_t *out_to);
/* Whether the leaf is about events that customer_stats has counted, whenever they were. */
bool audience_counted_in_stats(const struct audience_leaf *l);

/* --- one customer */
struct audience_value {
    enum audience_type type;
    double num; /* of events: how many */
    struct str text;
    bool truth;
    int64_t time;
    const struct str *list;
    size_t n;
};
/* The fields stats.*; NOTHING where there is none. */
struct audience_value audience_stats_value(enum audience_field field, const struct customer_stats *s, int64_t now, double half_life_days);
bool audience_leaf_holds(const struct audience_leaf *l, const struct audience_value *v, int64_t now);
/* leaves: whether each holds. */
bool audience_holds(const struct audience_rule *r, const bool *leaves);
/* Which leaves made it so: all that hold where all had to, those that do not where one was enough to fail, and so on. */
void audience_decisive(const struct audience_rule *r, const bool *leaves, bool *out);

/* --- as audiences are kept and shown */
enum { AUDIENCES_MAX = 200 };
struct audience_row { /* views that live during the call */
    struct str name, description; /* STR_NONE: no description */
    struct str rule;              /* JSON */
    int64_t created_at, changed_at;
};
typedef void (*audience_row_fn)(void *arg, const struct audience_row *row);
typedef void (*audience_member_fn)(void *arg, int64_t customer_no, struct str customer_id);

#endif
