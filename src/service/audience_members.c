/* Whom rules mean: everybody by SQL, one customer by what is known of them. */
#include "audiences_priv.h"

#include "meros/base/clock.h"
#include "serving_priv.h"

/* --- everybody */

static enum meros_code told(enum meros_code rc, struct meros_err *err)
{
    return rc != MEROS_TIMEOUT ? rc
                               : err_set(err, rc, "Evaluating the rule over all customers took longer than %d seconds. Conditions on events cost the most: "
                                         "give them `within_days`, and put conditions beside them that few customers meet.", AUDIENCE_TIMEOUT_MS / 1000);
}

/* Of everybody: a few at a time, so that they do not have all connections. */
static enum meros_code open_conn(struct service *svc, struct store_conn **c, struct meros_err *err)
{
    enum meros_code rc = store_acquire_long(svc->store, c, err);
    return rc == MEROS_OK ? store_set_timeout(*c, AUDIENCE_TIMEOUT_MS, err) : rc;
}

static struct audience_question question(struct service *svc, const struct audience_rule *rule)
{
    return (struct audience_question){rule, clock_now(), svc->settings.activity_half_life_days};
}

struct adding {
    struct audience_set *set;
    enum meros_code rc;
    struct meros_err *err;
};

static void add(void *arg, const struct audience_row *row)
{
    struct adding *x = arg;
    x->rc = audience_set_add(x->set, row->name, row->rule, x->err);
    if (x->rc == MEROS_INVALID) x->rc = err_set(x->err, MEROS_INTERNAL, "The rule was written by another version of this service.");
}

/* A set of this audience alone, as the database has it: whoever put it through another process finds it too. */
static enum meros_code find(struct store_conn *c, struct str name, struct audience_set **out, struct meros_err *err)
{
    struct adding x = {.set = audience_set_new(), .err = err};
    if (x.set == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the rule.");
    enum meros_code rc = store_audience_get(c, name, add, &x, err);
    if (rc == MEROS_OK) rc = x.rc;
    if (rc == MEROS_OK) *out = x.set;
    else audience_set_release(x.set);
    return rc;
}

static enum meros_code draw(struct service *svc, struct store_conn *c, const struct audience_rule *rule, int64_t most, struct arena *arena,
                            struct audience_sample *out, struct meros_err *err)
{
    const struct audience_question q = question(svc, rule);
    out->evaluated_at = q.now;
    return told(store_audience_sample(c, &q, most, arena, &out->ids, &out->n, &out->customers, err), err);
}

enum meros_code audience_preview(struct service *svc, const struct json *definition, struct arena *arena, struct audience_sample *out,
                                 struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct audience_rule rule = {0};
    struct json_obj o;
    json_obj_begin(&o, definition, "", err);
    const struct json *v = json_obj_any(&o, "rule", JSON_REQUIRED);
    enum meros_code rc = v == NULL ? MEROS_OK : audience_rule_decode(v, "/rule", arena, &rule, err);
    if (rc == MEROS_OK || rc == MEROS_INVALID) rc = json_obj_end(&o) == MEROS_OK ? rc : MEROS_INVALID;
    if (rc == MEROS_OK) rc = open_conn(svc, &c, err);
    if (rc == MEROS_OK) rc = draw(svc, c, &rule, AUDIENCE_SAMPLE, arena, out, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code audience_sample(struct service *svc, struct str name, int64_t most, struct arena *arena, struct audience_sample *out,
                                struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct audience_set *set = NULL;
    enum meros_code rc = open_conn(svc, &c, err);
    if (rc == MEROS_OK) rc = find(c, name, &set, err);
    if (rc == MEROS_OK) rc = draw(svc, c, &set->items[0].rule, most, arena, out, err);
    audience_set_release(set);
    store_release(svc->store, c);
    return rc;
}

enum meros_code audience_members(struct service *svc, struct str name, int64_t after, int64_t limit, audience_member_fn fn, void *arg,
                                 struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct audience_set *set = NULL;
    enum meros_code rc = open_conn(svc, &c, err);
    if (rc == MEROS_OK) rc = find(c, name, &set, err);
    if (rc == MEROS_OK) {
        const struct audience_question q = question(svc, &set->items[0].rule);
        rc = told(store_audience_page(c, &q, after, limit, fn, arg, err), err);
    }
    audience_set_release(set);
    store_release(svc->store, c);
    return rc;
}

/* --- one customer */

static void write_value(struct jsonw *w, const struct audience_leaf *l, const struct audience_subject *x, const struct audience_value *v)
{
    switch (v->type) {
    case AUDIENCE_NUMBER: jsonw_num(w, v->num); return;
    case AUDIENCE_TEXT: jsonw_str(w, v->text); return;
    case AUDIENCE_BOOL: jsonw_bool(w, v->truth); return;
    case AUDIENCE_TIME: jsonw_time(w, v->time); return;
    case AUDIENCE_LIST:
    case AUDIENCE_OTHER: { /* only attributes are so */
        char key[ID_MAX + 1];
        (void)str_copy(key, sizeof key, l->key);
        jsonw_value(w, json_get(x->attributes, key));
        return;
    }
    default: jsonw_null(w);
    }
}

static void write_reasons(struct jsonw *w, const struct audience_rule *r, const struct audience_subject *x, const struct audience_value *values,
                          const bool *leaves)
{
    bool decisive[AUDIENCE_LEAVES_MAX];
    char pointer[ERR_POINTER_MAX];
    audience_decisive(r, leaves, decisive);
    jsonw_key(w, "reasons");
    jsonw_begin_array(w);
    for (size_t l = 0; l < r->n_leaves; l++) {
        if (!decisive[l]) continue;
        jsonw_begin_object(w);
        if (!audience_leaf_pointer(r, l, pointer, sizeof pointer)) pointer[0] = '\0';
        jsonw_kcstr(w, "pointer", pointer);
        jsonw_key(w, "condition");
        audience_leaf_write(w, &r->leaves[l]);
        jsonw_key(w, "value");
        write_value(w, &r->leaves[l], x, &values[l]);
        jsonw_kbool(w, "met", leaves[l]);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_judgement(struct jsonw *w, const struct audience_set *set, const struct customer_state *state, const struct audience_subject *x)
{
    struct audience_value values[AUDIENCE_LEAVES_MAX];
    bool leaves[AUDIENCE_LEAVES_MAX];
    const bool in = audience_judge(set, 0, x, values, leaves);
    jsonw_begin_object(w);
    jsonw_kstr(w, "audience", set->items[0].name);
    jsonw_kstr(w, "customer_id", state->customer_id);
    jsonw_kbool(w, "in", in);
    jsonw_ktime(w, "evaluated_at", x->now);
    write_reasons(w, &set->items[0].rule, x, values, leaves);
    jsonw_end_object(w);
}

/* q and found: of this one customer. */
static enum meros_code judge(const struct serving_query *q, const struct serving_found *f, struct arena *arena, struct jsonw *w, struct meros_err *err)
{
    const struct customer_state *s = &f->states[0];
    struct json *attributes = NULL, *consent = NULL;
    if (!s->known) return err_set(err, MEROS_NOT_FOUND, "There is no customer with this id.");
    enum meros_code rc = json_parse_stored(s->attributes.p, s->attributes.n, &attributes, err);
    if (rc == MEROS_OK) rc = json_parse_stored(s->consent.p, s->consent.n, &consent, err);
    if (rc == MEROS_OK) {
        const struct audience_subject x = serving_subject(q, f, 0, attributes, consent, arena);
        write_judgement(w, q->audiences, s, &x);
    }
    json_free(attributes);
    json_free(consent);
    return rc;
}

enum meros_code audience_explain(struct service *svc, struct str name, struct str customer_id, struct jsonw *w, struct meros_err *err)
{
    enum { MEMORY = 64 << 20 };
    struct store_conn *c = NULL;
    struct audience_set *set = NULL;
    struct serving_found found;
    struct arena arena;
    const int64_t present = TIME_NONE;
    arena_init(&arena, MEMORY);
    const struct snapshot *models = serving_snapshot(svc);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, AUDIENCE_TIMEOUT_MS, err);
    if (rc == MEROS_OK) rc = store_begin_snapshot(c, err);
    if (rc == MEROS_OK) rc = find(c, name, &set, err);
    if (rc == MEROS_OK) {
        const struct serving_query q = {.ids = &customer_id, .ats = &present, .n = 1, .whole = 1, .models = models, .audiences = set,
                                        .now = clock_now(), .half_life_days = svc->settings.activity_half_life_days};
        rc = told(serving_fetch(c, &arena, &q, &found, err), err);
        if (rc == MEROS_OK) rc = judge(&q, &found, &arena, w, err);
    }
    if (c != NULL) store_rollback(c);
    store_release(svc->store, c);
    snapshot_release(models);
    audience_set_release(set);
    arena_done(&arena);
    return rc;
}
