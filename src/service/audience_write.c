/* Rules of audiences as JSON, in their canonical form. */
#include "meros/service/audience_rule.h"

#include <math.h>
#include <stdio.h>

static void write_one(struct jsonw *w, const struct audience_leaf *l, size_t i)
{
    if (l->type == AUDIENCE_NUMBER) jsonw_num(w, l->nums[i]);
    else if (l->type == AUDIENCE_TEXT) jsonw_str(w, l->texts[i]);
    else if (l->type == AUDIENCE_TIME) jsonw_time(w, l->times[i]);
    else jsonw_bool(w, l->truth);
}

static void write_value(struct jsonw *w, const struct audience_leaf *l)
{
    const enum audience_takes takes = audience_ops[l->op].takes;
    jsonw_key(w, "value");
    if (takes == AUDIENCE_TAKES_DAYS) {
        jsonw_num(w, l->days);
    } else if (takes == AUDIENCE_TAKES_LIST || takes == AUDIENCE_TAKES_PAIR) {
        jsonw_begin_array(w);
        for (size_t i = 0; i < l->n; i++) write_one(w, l, i);
        jsonw_end_array(w);
    } else {
        write_one(w, l, 0);
    }
}

static void write_event(struct jsonw *w, const struct audience_leaf *l)
{
    jsonw_kstr(w, "event", l->key);
    jsonw_key(w, "count");
    jsonw_begin_object(w);
    for (size_t i = 0; i < l->n_counts; i++) jsonw_kint(w, audience_op_words[l->counts[i].op], (int64_t)l->counts[i].n);
    jsonw_end_object(w);
    if (!isnan(l->days)) jsonw_knum(w, "within_days", l->days);
    if (!str_present(l->product_id) && !str_present(l->category)) return;
    jsonw_key(w, "where");
    jsonw_begin_object(w);
    if (str_present(l->product_id)) jsonw_kstr(w, "product_id", l->product_id);
    if (str_present(l->category)) jsonw_kstr(w, "category", l->category);
    jsonw_end_object(w);
}

void audience_leaf_write(struct jsonw *w, const struct audience_leaf *l)
{
    jsonw_begin_object(w);
    if (l->field == AUDIENCE_EVENT) {
        write_event(w, l);
    } else {
        char name[ID_MAX + 40];
        snprintf(name, sizeof name, "%s%.*s", audience_fields[l->field].name, (int)l->key.n, str_present(l->key) ? l->key.p : "");
        jsonw_kcstr(w, "field", name);
        jsonw_kcstr(w, "op", audience_op_words[l->op]);
        write_value(w, l);
    }
    jsonw_end_object(w);
}

static void write_node(struct jsonw *w, const struct audience_rule *r, size_t at)
{
    const struct audience_node *n = &r->nodes[at];
    if (n->kind == AUDIENCE_LEAF) {
        audience_leaf_write(w, &r->leaves[n->leaf]);
        return;
    }
    jsonw_begin_object(w);
    jsonw_key(w, n->kind == AUDIENCE_ALL ? "all" : n->kind == AUDIENCE_ANY_OF ? "any" : "not");
    if (n->kind != AUDIENCE_NOT) jsonw_begin_array(w);
    for (size_t i = at + 1; i < at + n->size; i += r->nodes[i].size) write_node(w, r, i);
    if (n->kind != AUDIENCE_NOT) jsonw_end_array(w);
    jsonw_end_object(w);
}

void audience_rule_write(struct jsonw *w, const struct audience_rule *r)
{
    write_node(w, r, 0);
}

bool audience_leaf_pointer(const struct audience_rule *r, size_t leaf, char *out, size_t cap)
{
    size_t target = 0, at = 0, n = 0;
    if (cap == 0) return false;
    out[0] = '\0';
    while (r->nodes[target].kind != AUDIENCE_LEAF || r->nodes[target].leaf != leaf) target++;
    while (at != target) {
        const struct audience_node *of = &r->nodes[at];
        int place = 0;
        for (at++; at + r->nodes[at].size <= target; at += r->nodes[at].size) place++;
        const int wrote = of->kind == AUDIENCE_NOT ? snprintf(out + n, cap - n, "/not")
                                                   : snprintf(out + n, cap - n, "/%s/%d", of->kind == AUDIENCE_ALL ? "all" : "any", place);
        if (wrote < 0 || (size_t)wrote >= cap - n) return false;
        n += (size_t)wrote;
    }
    return true;
}
