/* Rules of audiences from JSON. Everything is checked here and once: who holds a rule may rely on it. */
#include "meros/service/audience_rule.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>

struct decoding {
    struct arena *arena;
    struct meros_err *err;
    bool no_memory, full; /* full: too many parts, which was said */
    size_t n_nodes, n_leaves, n_values;
    struct audience_node nodes[AUDIENCE_NODES_MAX];
    struct audience_leaf leaves[AUDIENCE_LEAVES_MAX];
};

static bool keep(struct decoding *d, struct str *s)
{
    if (!str_present(*s)) return true;
    s->p = arena_strndup(d->arena, s->p, s->n);
    d->no_memory |= s->p == NULL;
    return s->p != NULL;
}

/* What is below a pointer; a pointer of the depth and the lengths that a rule may have fits. */
__attribute__((format(printf, 3, 4))) static void below(char out[ERR_POINTER_MAX], const char *pointer, const char *format, ...)
{
    va_list ap;
    const size_t n = strlen(pointer);
    memcpy(out, pointer, n + 1); /* ERR_POINTER_MAX at most, as out */
    va_start(ap, format);
    vsnprintf(out + n, ERR_POINTER_MAX - n, format, ap);
    va_end(ap);
}

/* Members that nobody asked for are faults too; all of them are in err. */
static void finish(struct json_obj *o)
{
    if (json_obj_end(o) != MEROS_OK) o->failed = true;
}

/* --- values */

/* What a JSON value is for a field that may be anything. */
static enum audience_type type_of(const struct json *v, enum audience_op op)
{
    if (audience_ops[op].takes == AUDIENCE_TAKES_DAYS) return AUDIENCE_TIME;
    switch (json_kind(v)) {
    case JSON_KIND_NUMBER: return AUDIENCE_NUMBER;
    case JSON_KIND_BOOL: return AUDIENCE_BOOL;
    case JSON_KIND_STRING: return audience_ops[op].types & AUDIENCE_TEXT ? AUDIENCE_TEXT : AUDIENCE_TIME;
    default: return AUDIENCE_NOTHING;
    }
}

struct values { /* while they are read */
    double *nums;
    struct str *texts;
    int64_t *times;
};

static bool make_values(struct decoding *d, enum audience_type type, size_t n, struct values *x)
{
    *x = (struct values){0};
    if (type == AUDIENCE_NUMBER) x->nums = arena_array(d->arena, n, sizeof *x->nums);
    else if (type == AUDIENCE_TEXT) x->texts = arena_array(d->arena, n, sizeof *x->texts);
    else x->times = arena_array(d->arena, n, sizeof *x->times);
    const bool made = x->nums != NULL || x->texts != NULL || x->times != NULL;
    d->no_memory |= !made;
    return made;
}

static void read_value(struct decoding *d, const struct json *v, enum audience_type type, struct values *x, size_t at, const char *pointer)
{
    const struct str s = json_str(v);
    switch (type) {
    case AUDIENCE_NUMBER:
        x->nums[at] = json_num(v);
        if (isnan(x->nums[at])) err_field(d->err, pointer, "must be a number");
        return;
    case AUDIENCE_TIME:
        if (!str_present(s) || !time_parse(s, &x->times[at])) err_field(d->err, pointer, "must be a time, such as 2027-01-31 or 2027-01-31T12:50:00Z");
        return;
    default:
        x->texts[at] = s;
        if (!str_present(s)) err_field(d->err, pointer, "must be a text");
        else if (s.n > AUDIENCE_TEXT_MAX) err_field(d->err, pointer, "must be at most %d bytes long", AUDIENCE_TEXT_MAX);
        else (void)keep(d, &x->texts[at]);
    }
}

static void read_values(struct decoding *d, struct audience_leaf *l, const struct json *v, const char *pointer)
{
    const bool many = audience_ops[l->op].takes == AUDIENCE_TAKES_LIST || audience_ops[l->op].takes == AUDIENCE_TAKES_PAIR;
    char one[ERR_POINTER_MAX];
    struct values x;
    l->n = many ? json_count(v) : 1;
    if ((d->n_values += l->n) > AUDIENCE_VALUES_MAX) {
        err_field(d->err, pointer, "a rule has at most %d values in all", AUDIENCE_VALUES_MAX);
        d->full = true;
        return;
    }
    if (!make_values(d, l->type, l->n, &x)) return;
    for (size_t i = 0; i < l->n; i++) {
        if (many) below(one, pointer, "/%zu", i);
        read_value(d, many ? json_at(v, i) : v, l->type, &x, i, many ? one : pointer);
    }
    l->nums = x.nums;
    l->texts = x.texts;
    l->times = x.times;
    if (audience_ops[l->op].takes != AUDIENCE_TAKES_PAIR || d->err->n_fields > 0) return;
    if (x.nums != NULL ? x.nums[0] > x.nums[1] : x.times[0] > x.times[1]) err_field(d->err, pointer, "must be the lower end and the upper one");
}

/* The value of an operator that takes any of its field's type. */
static void take_values(struct decoding *d, struct json_obj *o, struct audience_leaf *l, const struct json *v, const char *pointer)
{
    const enum audience_takes takes = audience_ops[l->op].takes;
    const struct json *first = takes == AUDIENCE_TAKES_ONE ? v : json_at(v, 0);
    if (takes == AUDIENCE_TAKES_LIST && (json_kind(v) != JSON_KIND_ARRAY || json_count(v) == 0 || json_count(v) > AUDIENCE_LIST_MAX)) {
        json_obj_fault(o, "value", "must be an array of 1 to %d values", AUDIENCE_LIST_MAX);
        return;
    }
    if (takes == AUDIENCE_TAKES_PAIR && (json_kind(v) != JSON_KIND_ARRAY || json_count(v) != 2)) {
        json_obj_fault(o, "value", "must be an array of two values, the lower end and the upper one");
        return;
    }
    if (l->type == AUDIENCE_ANY) l->type = type_of(first, l->op);
    if (l->type == AUDIENCE_NOTHING) json_obj_fault(o, "value", "must be a number, a text, true or false");
    else if (!(audience_ops[l->op].types & l->type)) json_obj_fault(o, "value", "must not be %s for %s", audience_type_words(l->type), audience_op_words[l->op]);
    else if (l->type != AUDIENCE_BOOL) read_values(d, l, v, pointer);
    else if (json_kind(v) != JSON_KIND_BOOL) json_obj_fault(o, "value", "must be true or false");
    else l->truth = json_bool(v);
}

static void read_value_of(struct decoding *d, struct json_obj *o, struct audience_leaf *l)
{
    char pointer[ERR_POINTER_MAX];
    const struct json *v = json_obj_any(o, "value", audience_ops[l->op].takes == AUDIENCE_TAKES_TRUTH ? 0 : JSON_REQUIRED);
    below(pointer, o->pointer, "/value");
    switch (audience_ops[l->op].takes) {
    case AUDIENCE_TAKES_TRUTH:
        l->type = AUDIENCE_OTHER;
        l->truth = v == NULL || json_bool(v);
        if (v != NULL && json_kind(v) != JSON_KIND_BOOL) json_obj_fault(o, "value", "must be true or false");
        return;
    case AUDIENCE_TAKES_DAYS:
        l->type = AUDIENCE_TIME;
        l->days = json_num(v);
        if (v != NULL && !(l->days > 0 && l->days <= AUDIENCE_DAYS_MAX)) json_obj_fault(o, "value", "must be a number of days above 0, at most %d", AUDIENCE_DAYS_MAX);
        return;
    default:
        if (v != NULL) take_values(d, o, l, v, pointer);
    }
}

/* --- leaves */

static void decode_field(struct decoding *d, struct json_obj *o, struct audience_leaf *l)
{
    const struct str name = json_obj_str(o, "field", JSON_REQUIRED, ID_MAX + 20);
    const int op = json_obj_enum(o, "op", JSON_REQUIRED, audience_op_words, -1);
    const bool scores = name.n > 7 && memcmp(name.p, "scores.", 7) == 0;
    const bool known = str_present(name) && audience_field_find(name, &l->field, &l->key);
    if (scores) json_obj_fault(o, "field", "there are no scores of customers: no model of churn or propensity can be trained yet");
    else if (str_present(name) && !known)
        json_obj_fault(o, "field", "is no field: ask for one of stats.recency_days, attributes.NAME, segments.SEGMENTATION, clv.value, consent.marketing and their like");
    if (!known || op < 0) {
        (void)json_obj_any(o, "value", 0); /* nothing can be said of it */
        return;
    }
    l->op = (enum audience_op)op;
    l->type = audience_fields[l->field].type;
    if (!(audience_ops[op].types & l->type)) {
        json_obj_fault(o, "op", "%s does not go with %.*s, which is %s", audience_op_words[op], (int)name.n, name.p, audience_type_words(l->type));
        (void)json_obj_any(o, "value", 0);
        return;
    }
    (void)keep(d, &l->key);
    read_value_of(d, o, l);
}

static void decode_counts(struct decoding *d, const struct json *v, const char *pointer, struct audience_leaf *l)
{
    struct json_obj o;
    json_obj_begin(&o, v, pointer, d->err);
    for (int op = 0; op < AUDIENCE_COUNT_OPS; op++) {
        const int64_t n = json_obj_int(&o, audience_op_words[op], 0, 0, INT32_MAX, -1);
        if (n >= 0) l->counts[l->n_counts++] = (struct audience_count){(enum audience_op)op, (double)n};
    }
    if (!o.failed && json_count(v) == 0) err_field(d->err, pointer, "must say how many: {\">=\": 3}");
    finish(&o);
}

static void decode_where(struct decoding *d, const struct json *v, const char *pointer, struct audience_leaf *l)
{
    struct json_obj o;
    json_obj_begin(&o, v, pointer, d->err);
    l->product_id = json_obj_id(&o, "product_id", 0);
    l->category = json_obj_str(&o, "category", 0, AUDIENCE_TEXT_MAX);
    if (str_present(l->category) && l->category.n == 0) json_obj_fault(&o, "category", "must not be empty");
    if (!o.failed && json_count(v) == 0) err_field(d->err, pointer, "must name a product_id or a category");
    finish(&o);
    (void)(keep(d, &l->product_id) && keep(d, &l->category));
}

static void decode_event(struct decoding *d, struct json_obj *o, struct audience_leaf *l)
{
    char pointer[ERR_POINTER_MAX];
    l->field = AUDIENCE_EVENT;
    l->key = json_obj_id(o, "event", JSON_REQUIRED);
    l->days = json_obj_num(o, "within_days", 0, 0, AUDIENCE_DAYS_MAX, NAN);
    if (l->days == 0) json_obj_fault(o, "within_days", "must be above 0");
    (void)keep(d, &l->key);
    const struct json *count = json_obj_any(o, "count", 0), *where = json_obj_any(o, "where", 0);
    below(pointer, o->pointer, "/count");
    if (count != NULL) decode_counts(d, count, pointer, l);
    else l->counts[l->n_counts++] = (struct audience_count){AUDIENCE_GE, 1};
    below(pointer, o->pointer, "/where");
    if (where != NULL) decode_where(d, where, pointer, l);
}

static bool add_leaf(struct decoding *d, const char *pointer, struct audience_node *n, struct audience_leaf **out)
{
    if (d->n_leaves == AUDIENCE_LEAVES_MAX) {
        err_field(d->err, pointer, "a rule has at most %d conditions", AUDIENCE_LEAVES_MAX);
        d->full = true;
        return false;
    }
    n->kind = AUDIENCE_LEAF;
    n->leaf = (unsigned)d->n_leaves;
    *out = &d->leaves[d->n_leaves++];
    **out = (struct audience_leaf){.key = STR_NONE, .product_id = STR_NONE, .category = STR_NONE, .days = NAN};
    return true;
}

/* --- the tree */

static void decode_node(struct decoding *d, const struct json *v, const char *pointer, int depth);

static void decode_children(struct decoding *d, struct json_obj *o, const char *name, int depth)
{
    char pointer[ERR_POINTER_MAX];
    const struct json *list = json_obj_array(o, name, 0, AUDIENCE_NODES_MAX);
    if (list != NULL && json_count(list) == 0 && strcmp(name, "any") == 0) json_obj_fault(o, name, "must not be empty: nobody would be meant");
    for (size_t i = 0; i < json_count(list) && !d->full; i++) {
        below(pointer, o->pointer, "/%s/%zu", name, i);
        decode_node(d, json_at(list, i), pointer, depth + 1);
    }
}

static void decode_node(struct decoding *d, const struct json *v, const char *pointer, int depth)
{
    char inner[ERR_POINTER_MAX];
    struct json_obj o;
    struct audience_leaf *l = NULL;
    if (depth > AUDIENCE_DEPTH_MAX || d->n_nodes == AUDIENCE_NODES_MAX) {
        err_field(d->err, pointer, depth > AUDIENCE_DEPTH_MAX ? "a rule is at most %d levels deep" : "a rule has at most %d parts",
                  depth > AUDIENCE_DEPTH_MAX ? AUDIENCE_DEPTH_MAX : AUDIENCE_NODES_MAX);
        d->full = true;
        return;
    }
    const size_t at = d->n_nodes++;
    json_obj_begin(&o, v, pointer, d->err);
    if (o.failed) return;
    if (json_get(v, "field") != NULL) {
        if (add_leaf(d, pointer, &d->nodes[at], &l)) decode_field(d, &o, l);
    } else if (json_get(v, "event") != NULL) {
        if (add_leaf(d, pointer, &d->nodes[at], &l)) decode_event(d, &o, l);
    } else if (json_get(v, "all") != NULL) {
        d->nodes[at].kind = AUDIENCE_ALL;
        decode_children(d, &o, "all", depth);
    } else if (json_get(v, "any") != NULL) {
        d->nodes[at].kind = AUDIENCE_ANY_OF;
        decode_children(d, &o, "any", depth);
    } else if (json_get(v, "not") != NULL) {
        d->nodes[at].kind = AUDIENCE_NOT;
        below(inner, pointer, "/not");
        decode_node(d, json_obj_any(&o, "not", 0), inner, depth + 1);
    } else {
        err_field(d->err, pointer, "must be one of {\"all\": […]}, {\"any\": […]}, {\"not\": …}, {\"field\", \"op\", \"value\"} and {\"event\", …}");
        return;
    }
    d->nodes[at].size = (unsigned)(d->n_nodes - at);
    if (!d->full) finish(&o);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
}

enum meros_code audience_rule_decode(const struct json *v, const char *pointer, struct arena *arena, struct audience_rule *out,
                                     struct meros_err *err)
{
    struct arena mine;
    struct meros_err faults = MEROS_ERR_INIT;
    arena_init(&mine, sizeof(struct decoding) + 64);
    struct decoding *d = arena_zalloc(&mine, sizeof *d);
    if (d == NULL) {
        arena_done(&mine);
        return no_memory(err);
    }
    d->arena = arena;
    d->err = &faults;
    decode_node(d, v, pointer, 1);
    enum meros_code rc = faults.code;
    struct audience_node *nodes = arena_array(arena, d->n_nodes + 1, sizeof *nodes);
    struct audience_leaf *leaves = arena_array(arena, d->n_leaves + 1, sizeof *leaves);
    if (d->no_memory || nodes == NULL || leaves == NULL) {
        rc = no_memory(err);
    } else if (rc == MEROS_OK) {
        memcpy(nodes, d->nodes, d->n_nodes * sizeof *nodes);
        memcpy(leaves, d->leaves, d->n_leaves * sizeof *leaves);
        *out = (struct audience_rule){nodes, leaves, d->n_nodes, d->n_leaves};
    } else if (err != NULL) {
        for (size_t i = 0; i < faults.n_fields; i++) (void)err_field(err, faults.fields[i].pointer, "%s", faults.fields[i].detail);
        rc = err->code;
    }
    arena_done(&mine);
    return rc;
}
