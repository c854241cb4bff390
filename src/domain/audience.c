#include "meros/domain/audience.h"

#include <math.h>

const char *const audience_op_words[] = {
#define X(id, word, types, takes) word,
    AUDIENCE_OPS(X)
#undef X
    NULL
};
const struct audience_op_row audience_ops[AUDIENCE_OP_COUNT] = {
#define X(id, word, types, takes) {types, AUDIENCE_TAKES_##takes},
    AUDIENCE_OPS(X)
#undef X
};
const struct audience_field_row audience_fields[AUDIENCE_FIELD_COUNT] = {
#define X(id, name, type) {name, AUDIENCE_##type},
    AUDIENCE_FIELDS(X)
#undef X
};

bool audience_field_find(struct str name, enum audience_field *out, struct str *out_key)
{
    for (int i = 0; i < AUDIENCE_FIELD_COUNT; i++) {
        const struct str f = str_of(audience_fields[i].name);
        const bool family = f.p[f.n - 1] == '.';
        if (family ? name.n < f.n || memcmp(name.p, f.p, f.n) != 0 : !str_eq(name, f)) continue;
        *out_key = family ? (struct str){name.p + f.n, name.n - f.n} : STR_NONE;
        *out = (enum audience_field)i;
        return !family || id_valid(*out_key);
    }
    return false;
}

const char *audience_type_words(enum audience_type type)
{
    switch (type) {
    case AUDIENCE_NUMBER: return "a number";
    case AUDIENCE_TEXT: return "a text";
    case AUDIENCE_BOOL: return "true or false";
    case AUDIENCE_TIME: return "a time";
    default: return "a value";
    }
}

void audience_window(const struct audience_leaf *l, int64_t now, int64_t *out_from, int64_t *out_to)
{
    *out_from = now - (int64_t)(l->days * (double)TIME_DAY);
    *out_to = now + TIME_DAY;
}

bool audience_counted_in_stats(const struct audience_leaf *l)
{
    return l->field == AUDIENCE_EVENT && isnan(l->days) && !str_present(l->product_id) && !str_present(l->category) &&
           event_kind_of(l->key) != EVENT_OTHER;
}

/* --- a customer's statistics. In doubles throughout: features are floats, and a bound of 19.99 must hold for 19.99. */

static double days_between(int64_t from, int64_t to)
{
    if (from == TIME_NONE || to == TIME_NONE) return NAN;
    return from >= to ? 0 : (double)(to - from) / (double)TIME_DAY;
}

/* A CRM may have learnt of a customer after the first order. */
static int64_t known_since(const struct customer_stats *s)
{
    if (s->created_at == TIME_NONE) return s->first_order_at;
    return s->first_order_at != TIME_NONE && s->first_order_at < s->created_at ? s->first_order_at : s->created_at;
}

static double engagement(const struct customer_stats *s, int64_t now, double half_life_days)
{
    double sum = 0;
    for (int k = 0; k < EVENT_KIND_COUNT; k++)
        if (k != EVENT_RECOMMENDATION_SHOWN) sum += event_stats_at(&s->events[k], now, half_life_days);
    return sum;
}

static double stats_number(enum audience_field field, const struct customer_stats *s, int64_t now, double half_life_days)
{
    switch (field) {
    case AUDIENCE_ORDERS: return (double)s->orders;
    case AUDIENCE_RETURNS: return (double)s->returns;
    case AUDIENCE_PRODUCTS: return (double)s->products;
    case AUDIENCE_UNITS: return s->units;
    case AUDIENCE_REVENUE: return s->revenue;
    case AUDIENCE_GROSS_REVENUE: return s->gross_revenue;
    case AUDIENCE_RETURNED_AMOUNT: return s->returned_amount;
    case AUDIENCE_AVERAGE_ORDER_VALUE: return s->orders > 0 ? s->revenue / (double)s->orders : NAN;
    case AUDIENCE_RECENCY_DAYS: return days_between(s->last_order_at, now);
    case AUDIENCE_TENURE_DAYS: return days_between(known_since(s), now);
    case AUDIENCE_INTERPURCHASE_DAYS:
        return s->orders > 1 ? days_between(s->first_order_at, s->last_order_at) / (double)(s->orders - 1) : NAN;
    case AUDIENCE_RETURN_RATE: return s->gross_revenue > 0 ? fmin(1, s->returned_amount / s->gross_revenue) : NAN;
    case AUDIENCE_ENGAGEMENT: return engagement(s, now, half_life_days);
    default: return NAN;
    }
}

struct audience_value audience_stats_value(enum audience_field field, const struct customer_stats *s, int64_t now, double half_life_days)
{
    struct audience_value v = {.type = AUDIENCE_NOTHING};
    if (audience_fields[field].type == AUDIENCE_TIME) {
        v.time = field == AUDIENCE_FIRST_ORDER_AT ? s->first_order_at : field == AUDIENCE_LAST_ORDER_AT ? s->last_order_at : s->last_seen_at;
        if (v.time != TIME_NONE) v.type = AUDIENCE_TIME;
    } else {
        v.num = stats_number(field, s, now, half_life_days);
        if (!isnan(v.num)) v.type = AUDIENCE_NUMBER;
    }
    return v;
}

/* --- reading a customer's value as what the rule asks for. src/store/audience_sql.c says the same in SQL. */

static bool digits(const char **p, const char *end, int least, int most)
{
    int n = 0;
    for (; *p < end && n < most && **p >= '0' && **p <= '9'; n++) (*p)++;
    return n >= least;
}

static bool one_of(const char **p, const char *end, const char *which)
{
    if (*p == end || **p == '\0' || strchr(which, **p) == NULL) return false;
    (*p)++;
    return true;
}

static bool as_number(const struct audience_value *v, double *out)
{
    if (v->type == AUDIENCE_NUMBER) {
        *out = v->num; /* PostgreSQL would refuse to make a double of what lies beyond */
        return fabs(v->num) < 1e300 && (v->num == 0 || fabs(v->num) > 1e-300);
    }
    if (v->type != AUDIENCE_TEXT || v->text.n == 0) return false;
    const char *p = v->text.p, *end = p + v->text.n;
    (void)one_of(&p, end, "-");
    if (!digits(&p, end, 1, 15)) return false;
    if (one_of(&p, end, ".") && !digits(&p, end, 1, 40)) return false;
    return p == end && str_to_double(v->text, out);
}

static bool as_bool(const struct audience_value *v, bool *out)
{
    if (v->type == AUDIENCE_TEXT) {
        *out = str_is(v->text, "true");
        return *out || str_is(v->text, "false");
    }
    *out = v->truth;
    return v->type == AUDIENCE_BOOL;
}

/* HH:MM:SS and a fraction */
static bool clock_part(const char **p, const char *end, bool *out_seconds)
{
    if (!digits(p, end, 2, 2) || !one_of(p, end, ":") || !digits(p, end, 2, 2)) return false;
    *out_seconds = one_of(p, end, ":");
    if (!*out_seconds) return true;
    const char *second = *p;
    if (!digits(p, end, 2, 2) || *second > '5') return false; /* no leap seconds */
    return !one_of(p, end, ".") || digits(p, end, 1, 6);
}

static bool as_time(const struct audience_value *v, int64_t *out)
{
    *out = v->time;
    if (v->type != AUDIENCE_TEXT) return v->type == AUDIENCE_TIME;
    const char *p = v->text.p, *end = p + v->text.n;
    bool seconds = false;
    if (v->text.n < 10 || *p == '0') return false;
    p += 10;
    if (p < end) {
        if (!one_of(&p, end, " T") || !clock_part(&p, end, &seconds)) return false;
        if (p < end && !seconds) return false;
        if (p < end && !one_of(&p, end, "Z")) {
            const char *hours = p + 1;
            if (!one_of(&p, end, "+-") || !digits(&p, end, 2, 2) || !one_of(&p, end, ":") || !digits(&p, end, 2, 2)) return false;
            if (hours[-1] == '-' && memcmp(v->text.p, "9999", 4) == 0) return false; /* it may end in the year 10000 */
            if (hours[0] > '1' || (hours[0] == '1' && hours[1] > '4')) return false;
        }
    }
    return p == end && time_parse(v->text, out);
}

/* --- leaves */

static bool compares(enum audience_op op, double x, double to)
{
    switch (op) {
    case AUDIENCE_EQ: return x == to;
    case AUDIENCE_NE: return x != to;
    case AUDIENCE_LT: return x < to;
    case AUDIENCE_LE: return x <= to;
    case AUDIENCE_GT: return x > to;
    case AUDIENCE_GE: return x >= to;
    default: return false;
    }
}

/* The opposites are asked for by their positives; the caller turns the answer. */
static bool number_holds(const struct audience_leaf *l, enum audience_op op, double x)
{
    if (op == AUDIENCE_BETWEEN) return x >= l->nums[0] && x <= l->nums[1];
    if (op != AUDIENCE_IN) return compares(op, x, l->nums[0]);
    for (size_t i = 0; i < l->n; i++)
        if (x == l->nums[i]) return true;
    return false;
}

static bool time_holds(const struct audience_leaf *l, enum audience_op op, int64_t t, int64_t now)
{
    int64_t from, to;
    switch (op) {
    case AUDIENCE_LT:
    case AUDIENCE_BEFORE: return t < l->times[0];
    case AUDIENCE_LE: return t <= l->times[0];
    case AUDIENCE_GT:
    case AUDIENCE_AFTER: return t > l->times[0];
    case AUDIENCE_GE: return t >= l->times[0];
    case AUDIENCE_BETWEEN: return t >= l->times[0] && t <= l->times[1];
    case AUDIENCE_WITHIN_DAYS: audience_window(l, now, &from, &to); return t >= from && t <= to;
    default: return false;
    }
}

static bool text_holds(const struct audience_leaf *l, enum audience_op op, struct str s)
{
    const struct str to = l->texts[0];
    switch (op) {
    case AUDIENCE_EQ: return str_eq(s, to);
    case AUDIENCE_CONTAINS: return to.n == 0 || (s.n > 0 && memmem(s.p, s.n, to.p, to.n) != NULL);
    case AUDIENCE_STARTS_WITH: return s.n >= to.n && (to.n == 0 || memcmp(s.p, to.p, to.n) == 0);
    default: break;
    }
    for (size_t i = 0; i < l->n; i++)
        if (str_eq(s, l->texts[i])) return true;
    return false;
}

static bool list_contains(const struct audience_value *v, struct str s)
{
    for (size_t i = 0; i < v->n; i++)
        if (str_eq(v->list[i], s)) return true;
    return false;
}

static bool value_holds(const struct audience_leaf *l, enum audience_op op, const struct audience_value *v, int64_t now)
{
    double x;
    bool truth;
    int64_t t;
    switch (l->type) {
    case AUDIENCE_NUMBER: return as_number(v, &x) && number_holds(l, op, x);
    case AUDIENCE_BOOL: return as_bool(v, &truth) && truth == l->truth;
    case AUDIENCE_TIME: return as_time(v, &t) && time_holds(l, op, t, now);
    case AUDIENCE_TEXT:
        if (v->type == AUDIENCE_LIST && op == AUDIENCE_CONTAINS) return list_contains(v, l->texts[0]);
        return v->type == AUDIENCE_TEXT && text_holds(l, op, v->text);
    default: return false;
    }
}

bool audience_leaf_holds(const struct audience_leaf *l, const struct audience_value *v, int64_t now)
{
    if (l->field == AUDIENCE_EVENT) {
        for (size_t i = 0; i < l->n_counts; i++)
            if (!compares(l->counts[i].op, v->num, l->counts[i].n)) return false;
        return true;
    }
    switch (l->op) {
    case AUDIENCE_EXISTS: return (v->type != AUDIENCE_NOTHING) == l->truth;
    case AUDIENCE_NE: return !value_holds(l, AUDIENCE_EQ, v, now);
    case AUDIENCE_NOT_IN: return !value_holds(l, AUDIENCE_IN, v, now);
    default: return value_holds(l, l->op, v, now);
    }
}

/* --- the tree. Recursion is as deep as a rule may be. */

static bool holds(const struct audience_rule *r, size_t at, const bool *leaves)
{
    const struct audience_node *n = &r->nodes[at];
    if (n->kind == AUDIENCE_LEAF) return leaves[n->leaf];
    if (n->kind == AUDIENCE_NOT) return !holds(r, at + 1, leaves);
    for (size_t i = at + 1; i < at + n->size; i += r->nodes[i].size)
        if (holds(r, i, leaves) == (n->kind == AUDIENCE_ANY_OF)) return n->kind == AUDIENCE_ANY_OF;
    return n->kind == AUDIENCE_ALL;
}

bool audience_holds(const struct audience_rule *r, const bool *leaves)
{
    return holds(r, 0, leaves);
}

static void decide(const struct audience_rule *r, size_t at, const bool *leaves, bool *out)
{
    const struct audience_node *n = &r->nodes[at];
    const bool result = holds(r, at, leaves);
    if (n->kind == AUDIENCE_LEAF) out[n->leaf] = true;
    for (size_t i = at + 1; i < at + n->size; i += r->nodes[i].size)
        if (n->kind == AUDIENCE_NOT || holds(r, i, leaves) == result) decide(r, i, leaves, out);
}

void audience_decisive(const struct audience_rule *r, const bool *leaves, bool *out)
{
    memset(out, 0, r->n_leaves * sizeof *out);
    decide(r, 0, leaves, out);
}
