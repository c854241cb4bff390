/* What rules make of one customer: a value for each leaf, and the tree over what they say. */
#include "audiences_priv.h"

#include <math.h>
#include <stdatomic.h>
#include "serving_priv.h"

enum { SET_MEMORY = 256 << 20 };

struct audience_set *audience_set_new(void)
{
    struct arena arena;
    arena_init(&arena, SET_MEMORY);
    struct audience_set *s = arena_zalloc(&arena, sizeof *s);
    if (s != NULL) {
        s->items = arena_array(&arena, AUDIENCES_MAX, sizeof *s->items);
        s->asks = arena_array(&arena, AUDIENCES_MAX * AUDIENCE_LEAVES_MAX, sizeof *s->asks);
    }
    if (s == NULL || s->items == NULL || s->asks == NULL) {
        arena_done(&arena);
        return NULL;
    }
    s->arena = arena;
    atomic_init(&s->refs, 1);
    return s;
}

void audience_set_release(const struct audience_set *s)
{
    if (s == NULL) return;
    struct audience_set *mine = (struct audience_set *)(uintptr_t)s; /* the count is the one thing in it that changes */
    if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1) return;
    struct arena arena = mine->arena; /* in which the set itself lies */
    arena_done(&arena);
}

size_t audience_asks(const struct audience_rule *r)
{
    size_t n = 0;
    for (size_t l = 0; l < r->n_leaves; l++) n += r->leaves[l].field == AUDIENCE_EVENT && !audience_counted_in_stats(&r->leaves[l]);
    return n;
}

/* What the rule looks at, and where its counts will be. */
static void note_needs(struct audience_set *s, const struct audience_rule *r)
{
    for (size_t l = 0; l < r->n_leaves; l++) {
        const struct audience_leaf *leaf = &r->leaves[l];
        switch (leaf->field) {
        case AUDIENCE_EVENT:
            if (!audience_counted_in_stats(leaf)) s->asks[s->n_asks++] = leaf;
            break;
        case AUDIENCE_ATTRIBUTE: s->attributes = true; break;
        case AUDIENCE_SEGMENT: s->memberships = true; break;
        case AUDIENCE_CONSENT_PROFILING:
        case AUDIENCE_CONSENT_MARKETING:
        case AUDIENCE_CONSENT_SALE: s->consent = true; break;
        case AUDIENCE_CLV_VALUE:
        case AUDIENCE_CLV_P_ALIVE:
        case AUDIENCE_CLV_EXPECTED_ORDERS:
        case AUDIENCE_CLV_EXPECTED_ORDER_VALUE: s->clv = true; break;
        default: break;
        }
    }
}

enum meros_code audience_set_add(struct audience_set *s, struct str name, struct str rule, struct meros_err *err)
{
    struct json *v = NULL;
    struct audience_entry *to = &s->items[s->n];
    if (s->n == AUDIENCES_MAX) return MEROS_OK;
    to->name = (struct str){arena_strndup(&s->arena, name.p, name.n), name.n};
    if (!str_present(to->name)) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the audiences.");
    enum meros_code rc = json_parse_stored(rule.p, rule.n, &v, err);
    if (rc == MEROS_OK) rc = audience_rule_decode(v, "/rule", &s->arena, &to->rule, err);
    json_free(v);
    if (rc != MEROS_OK) return rc;
    to->first_ask = s->n_asks;
    note_needs(s, &to->rule);
    s->n++;
    return MEROS_OK;
}

/* --- a customer's values */

static struct audience_value list_value(const struct json *v, struct arena *arena)
{
    struct audience_value out = {.type = AUDIENCE_LIST};
    struct str *texts = arena_array(arena, json_count(v) + 1, sizeof *texts);
    for (size_t i = 0; texts != NULL && i < json_count(v); i++) {
        const struct str s = json_str(json_at(v, i));
        if (str_present(s)) texts[out.n++] = s;
    }
    out.list = texts;
    return out;
}

static struct audience_value json_value(const struct json *v, struct arena *arena)
{
    switch (json_kind(v)) {
    case JSON_KIND_NUMBER: return (struct audience_value){.type = AUDIENCE_NUMBER, .num = json_num(v)};
    case JSON_KIND_STRING: return (struct audience_value){.type = AUDIENCE_TEXT, .text = json_str(v)};
    case JSON_KIND_BOOL: return (struct audience_value){.type = AUDIENCE_BOOL, .truth = json_bool(v)};
    case JSON_KIND_ARRAY: return list_value(v, arena);
    case JSON_KIND_OBJECT: return (struct audience_value){.type = AUDIENCE_OTHER};
    default: return (struct audience_value){.type = AUDIENCE_NOTHING};
    }
}

static struct audience_value attribute_value(const struct json *object, struct str name, struct arena *arena)
{
    char key[ID_MAX + 1];
    return json_value(str_copy(key, sizeof key, name) ? json_get(object, key) : NULL, arena);
}

static struct audience_value number_value(double v)
{
    return (struct audience_value){.type = isnan(v) ? AUDIENCE_NOTHING : AUDIENCE_NUMBER, .num = v};
}

static struct audience_value segment_value(const struct stored_membership *m, struct str segmentation)
{
    while (m != NULL && !str_eq(m->segmentation, segmentation)) m = m->next;
    return (struct audience_value){.type = m == NULL ? AUDIENCE_NOTHING : AUDIENCE_TEXT, .text = m == NULL ? STR_NONE : m->segment_id};
}

static struct audience_value clv_value(enum audience_field field, const struct clv_row *clv)
{
    if (clv == NULL || clv->customer_no == 0) return (struct audience_value){.type = AUDIENCE_NOTHING};
    switch (field) {
    case AUDIENCE_CLV_VALUE: return number_value(clv->worth);
    case AUDIENCE_CLV_P_ALIVE: return number_value(clv->p_alive);
    case AUDIENCE_CLV_EXPECTED_ORDERS: return number_value(clv->expected_orders);
    default: return number_value(clv->expected_order_value);
    }
}

/* *ask: which of the set's counts is the next one's. */
static struct audience_value value_of(const struct audience_leaf *l, const struct audience_subject *x, size_t *ask)
{
    switch (l->field) {
    case AUDIENCE_EVENT:
        if (audience_counted_in_stats(l)) return number_value((double)x->stats->events[event_kind_of(l->key)].count);
        return number_value((double)x->counts[(*ask)++]);
    case AUDIENCE_ATTRIBUTE: return attribute_value(x->attributes, l->key, x->arena);
    case AUDIENCE_SEGMENT: return segment_value(x->memberships, l->key);
    case AUDIENCE_CONSENT_PROFILING: return json_value(json_get(x->consent, "profiling"), x->arena);
    case AUDIENCE_CONSENT_MARKETING: return json_value(json_get(x->consent, "marketing"), x->arena);
    case AUDIENCE_CONSENT_SALE: return json_value(json_get(x->consent, "sale"), x->arena);
    case AUDIENCE_CLV_VALUE:
    case AUDIENCE_CLV_P_ALIVE:
    case AUDIENCE_CLV_EXPECTED_ORDERS:
    case AUDIENCE_CLV_EXPECTED_ORDER_VALUE: return clv_value(l->field, x->clv);
    default: return audience_stats_value(l->field, x->stats, x->now, x->half_life_days);
    }
}

bool audience_judge(const struct audience_set *s, size_t i, const struct audience_subject *x, struct audience_value *values, bool *leaves)
{
    const struct audience_rule *r = &s->items[i].rule;
    size_t ask = s->items[i].first_ask;
    for (size_t l = 0; l < r->n_leaves; l++) {
        values[l] = value_of(&r->leaves[l], x, &ask);
        leaves[l] = audience_leaf_holds(&r->leaves[l], &values[l], x->now);
    }
    return audience_holds(r, leaves);
}

void audience_names_write(struct jsonw *w, const struct audience_set *s, const struct audience_subject *x)
{
    struct audience_value values[AUDIENCE_LEAVES_MAX];
    bool leaves[AUDIENCE_LEAVES_MAX];
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n; i++)
        if (audience_judge(s, i, x, values, leaves)) jsonw_str(w, s->items[i].name);
    jsonw_end_array(w);
}
