/* Lock order: recommending.lock is held while a view is made, inside catalog_read_begin; nothing is locked under it. Making one is
 * a pass over the products, when a product, a rule or the model changed; who asks meanwhile waits for it rather than making it too. */
#include "recommend_priv.h"

#include <math.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for recommendations.");
}

/* --- popular items in order */

void reco_orders_release(struct reco_orders *o)
{
    if (o == NULL || atomic_fetch_sub_explicit(&o->refs, 1, memory_order_acq_rel) != 1) return;
    free(o->popular);
    free(o->trending);
    free(o);
}

static size_t in_order(const float *score, size_t n, uint32_t *out, struct scored *space)
{
    size_t k = topk_select(score, n, n, space);
    while (k > 0 && !(space[k - 1].score > 0)) k--;
    for (size_t i = 0; i < k; i++) out[i] = space[i].item;
    return k;
}

static struct reco_orders *orders_new(const struct snapshot_recommender *active)
{
    const struct recommender *r = active->recommender;
    const size_t n = r->items + 1; /* a model of nothing is one too */
    struct reco_orders *o = calloc(1, sizeof *o);
    struct scored *space = calloc(n, sizeof *space);
    if (o != NULL) {
        o->popular = calloc(n, sizeof *o->popular);
        o->trending = calloc(n, sizeof *o->trending);
    }
    if (o == NULL || space == NULL || o->popular == NULL || o->trending == NULL) {
        if (o != NULL) {
            free(o->popular);
            free(o->trending);
        }
        free(o);
        free(space);
        return NULL;
    }
    atomic_init(&o->refs, 1);
    o->model_no = active->model_no;
    o->items = r->items;
    o->n_popular = in_order(r->popular, r->items, o->popular, space);
    o->n_trending = in_order(r->trending, r->items, o->trending, space);
    free(space);
    return o;
}

/* --- views */

void reco_view_release(struct reco_view *v)
{
    if (v == NULL || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1) return;
    reco_orders_release(v->orders);
    free(v->item_slot);
    free(v->slot_item);
    free(v->blocked);
    free(v->open);
    free(v);
}

static bool right(const struct reco_view *v, const struct reco_work *w, uint64_t catalog_version, uint64_t rules_version)
{
    return v != NULL && v->model_no == (w->active != NULL ? w->active->model_no : 0) && v->catalog_version == catalog_version &&
           v->rules_version == rules_version && v->slots == catalog_size(w->catalog) && v->from <= w->q->now && w->q->now < v->until;
}

/* Slots stay what they are, so of the same model only those that came since are looked up. */
static void map_items(struct reco_view *v, const struct reco_view *last, const struct reco_work *w)
{
    size_t known = 0;
    if (last != NULL && last->model_no == v->model_no && last->slots <= v->slots) {
        known = last->slots;
        if (v->items > 0) memcpy(v->item_slot, last->item_slot, v->items * sizeof *v->item_slot);
        if (known > 0) memcpy(v->slot_item, last->slot_item, known * sizeof *v->slot_item);
    } else {
        for (size_t i = 0; i < v->items; i++) v->item_slot[i] = CATALOG_NONE;
    }
    for (size_t s = known; s < v->slots; s++) {
        const uint32_t item = w->model != NULL ? recommender_item(w->model, catalog_at(w->catalog, (uint32_t)s)->product_no) : RECO_NO_ITEM;
        v->slot_item[s] = item;
        if (item != RECO_NO_ITEM) v->item_slot[item] = (uint32_t)s;
    }
}

static void block(struct reco_view *v, uint32_t slot)
{
    v->blocked[slot / 64] |= UINT64_C(1) << slot % 64;
}

static enum meros_code block_products(struct reco_view *v, const struct reco_work *w, struct meros_err *err)
{
    for (size_t i = 0; i < w->rules->n; i++) {
        const struct reco_rule *rule = &w->rules->rules[i];
        /* Whatever its kind: a rule that begins or ends changes answers. */
        if (rule->starts_at != TIME_NONE && rule->starts_at > w->q->now && rule->starts_at < v->until) v->until = rule->starts_at;
        if (rule->ends_at != TIME_NONE && rule->ends_at > w->q->now && rule->ends_at < v->until) v->until = rule->ends_at;
        if (rule->kind != RECO_BLOCK || !reco_rule_active(rule, w->q->now)) continue;
        if (v->blocked == NULL && (v->blocked = calloc(v->slots / 64 + 1, sizeof *v->blocked)) == NULL) return no_memory(err);
        if (!str_present(rule->category) && !str_present(rule->attribute)) {
            for (size_t k = 0; k < rule->n_products; k++) {
                const uint32_t slot = catalog_find(w->catalog, rule->product_ids[k]);
                if (slot != CATALOG_NONE) block(v, slot);
            }
            continue;
        }
        for (size_t s = 0; s < v->slots; s++)
            if (reco_rule_matches(rule, catalog_at(w->catalog, (uint32_t)s))) block(v, (uint32_t)s);
    }
    return MEROS_OK;
}

static enum meros_code view_new(const struct reco_work *w, const struct reco_view *last, uint64_t catalog_version,
                                uint64_t rules_version, struct reco_view **out, struct meros_err *err)
{
    struct reco_view *v = calloc(1, sizeof *v);
    if (v == NULL) return no_memory(err);
    atomic_init(&v->refs, 1);
    v->model_no = w->active != NULL ? w->active->model_no : 0;
    v->catalog_version = catalog_version;
    v->rules_version = rules_version;
    v->from = w->q->now;
    v->until = INT64_MAX;
    v->items = w->model != NULL ? w->model->items : 0;
    v->slots = catalog_size(w->catalog);
    v->item_slot = calloc(v->items + 1, sizeof *v->item_slot);
    v->open = calloc(v->items + 1, sizeof *v->open);
    v->slot_item = calloc(v->slots + 1, sizeof *v->slot_item);
    if (w->active != NULL) {
        if (last != NULL && last->model_no == v->model_no) {
            v->orders = last->orders;
            atomic_fetch_add_explicit(&v->orders->refs, 1, memory_order_relaxed);
        } else {
            v->orders = orders_new(w->active);
        }
    }
    enum meros_code rc = MEROS_OK;
    if (v->item_slot == NULL || v->open == NULL || v->slot_item == NULL || (w->active != NULL && v->orders == NULL)) rc = no_memory(err);
    if (rc == MEROS_OK) {
        map_items(v, last, w);
        rc = block_products(v, w, err);
    }
    if (rc != MEROS_OK) {
        reco_view_release(v);
        return rc;
    }
    const uint64_t *eligible = catalog_eligible_mask(w->catalog);
    bool more = last == NULL || last->model_no != v->model_no;
    for (size_t i = 0; i < v->items; i++) {
        const uint32_t s = v->item_slot[i];
        v->open[i] = s != CATALOG_NONE && (eligible[s / 64] >> s % 64 & 1) != 0 && !reco_blocked(v, s);
        if (!more && v->open[i] > last->open[i]) more = true;
    }
    v->opened = more ? ++w->svc->recommending->opened : last->opened;
    *out = v;
    return MEROS_OK;
}

static enum meros_code view_acquire(struct reco_work *w, uint64_t catalog_version, uint64_t rules_version, struct meros_err *err)
{
    struct recommending *g = w->svc->recommending;
    struct reco_view *old = NULL;
    enum meros_code rc = MEROS_OK;
    pthread_mutex_lock(&g->lock);
    if (!right(g->view, w, catalog_version, rules_version)) {
        struct reco_view *fresh = NULL;
        rc = view_new(w, g->view, catalog_version, rules_version, &fresh, err);
        if (rc == MEROS_OK) {
            old = g->view;
            g->view = fresh;
        }
    }
    if (rc == MEROS_OK) {
        w->view = g->view;
        atomic_fetch_add_explicit(&w->view->refs, 1, memory_order_relaxed);
    }
    pthread_mutex_unlock(&g->lock);
    reco_view_release(old);
    return rc;
}

/* --- scratch */

static void scratch_free(struct reco_scratch *s)
{
    if (s == NULL) return;
    free(s->scores);
    free(s->extra);
    free(s->top);
    free(s->mark);
    free(s);
}

static void *floats(size_t n)
{
    return aligned_alloc(64, (n * sizeof(float) + 63) / 64 * 64);
}

/* Room for somewhat more than there is, so that a catalogue that grows does not cost a new one with every product. */
static bool scratch_fit(struct reco_scratch *s, size_t items, size_t slots)
{
    if (s->scores == NULL || s->items < items) {
        const size_t n = items + 16;
        free(s->scores);
        free(s->extra);
        free(s->top);
        s->scores = floats(n);
        s->extra = floats(n);
        s->top = calloc(n, sizeof *s->top);
        s->items = n;
        if (s->scores == NULL || s->extra == NULL || s->top == NULL) return false;
    }
    if (s->mark == NULL || s->slots < slots) {
        const size_t n = slots + slots / 8 + 64;
        free(s->mark);
        s->mark = calloc(n, sizeof *s->mark);
        s->slots = n;
        s->epoch = 0;
        if (s->mark == NULL) return false;
    }
    if (s->epoch == UINT32_MAX) {
        memset(s->mark, 0, s->slots * sizeof *s->mark);
        s->epoch = 0;
    }
    s->epoch++;
    return true;
}

static enum meros_code scratch_take(struct reco_work *w, struct meros_err *err)
{
    struct recommending *g = w->svc->recommending;
    pthread_mutex_lock(&g->lock);
    struct reco_scratch *s = g->spare;
    if (s != NULL) g->spare = s->next;
    pthread_mutex_unlock(&g->lock);
    if (s == NULL && (s = calloc(1, sizeof *s)) == NULL) return no_memory(err);
    if (!scratch_fit(s, w->view->items, w->view->slots)) {
        scratch_free(s);
        return no_memory(err);
    }
    w->scratch = s;
    return MEROS_OK;
}

/* --- */

enum meros_code reco_work_begin(struct reco_work *w, struct meros_err *err)
{
    const uint64_t rules_version = reco_rules_version(w->svc), catalog_seen = catalog_version(w->svc);
    w->snapshot = snapshot_acquire(w->svc->recommending->models);
    w->active = w->snapshot->recommender;
    w->model = w->active != NULL ? w->active->recommender : NULL;
    w->rules = reco_rules_acquire(w->svc);
    for (size_t i = 0; i < w->q->n_attributes; i++) w->wanted[i] = catalog_attribute_of(w->q->attributes[i].name, w->q->attributes[i].value);
    w->catalog = catalog_read_begin(w->svc);
    enum meros_code rc = view_acquire(w, catalog_seen, rules_version, err);
    if (rc == MEROS_OK) rc = scratch_take(w, err);
    if (rc != MEROS_OK) reco_work_end(w);
    return rc;
}

void reco_work_end(struct reco_work *w)
{
    struct recommending *g = w->svc->recommending;
    if (w->scratch != NULL) {
        pthread_mutex_lock(&g->lock);
        w->scratch->next = g->spare;
        g->spare = w->scratch;
        pthread_mutex_unlock(&g->lock);
    }
    reco_view_release(w->view);
    catalog_read_end(w->svc);
    reco_rules_release(w->rules);
    snapshot_release(w->snapshot);
}

enum meros_code recommending_new(struct snapshot_holder *models, struct recommending **out, struct meros_err *err)
{
    struct recommending *g = calloc(1, sizeof *g);
    if (g == NULL) return no_memory(err);
    pthread_mutex_init(&g->lock, NULL);
    g->models = models;
    *out = g;
    return MEROS_OK;
}

void recommending_free(struct service *svc)
{
    struct recommending *g = svc->recommending;
    if (g == NULL) return;
    svc->recommending = NULL;
    reco_view_release(g->view);
    while (g->spare != NULL) {
        struct reco_scratch *s = g->spare;
        g->spare = s->next;
        scratch_free(s);
    }
    pthread_mutex_destroy(&g->lock);
    free(g);
}
