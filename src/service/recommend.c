/* The chain, experiments, places of promotions and pins: from a history to an answer. */
#include "recommend_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/crypto.h"
#include "meros/ml/mmr.h"
#include "meros/service/serving.h"

_Static_assert((int)RECOMMEND_MODEL_ID_CAP == (int)MODEL_ID_CAP, "room for the id of a model");

/* Which steps follow the one that was asked for. */
static const enum recommend_strategy chain[] = {RECOMMEND_SIMILAR, RECOMMEND_CONTENT, RECOMMEND_POPULAR, RECOMMEND_NEWEST};
enum { CHAIN = sizeof chain / sizeof chain[0], POOL_LEAST = 100 };
static const int64_t DUE_VALID = 60 * TIME_SECOND; /* urgency sinks slowly: what is due is weighed anew this often */

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for recommendations.");
}

struct recommend_query recommend_query_default(void)
{
    return (struct recommend_query){.strategy = RECOMMEND_AUTO, .limit = 10, .category = STR_NONE, .min_price = NAN, .max_price = NAN,
                                    .exclude_purchased = true, .available = true, .now = clock_now()};
}

/* --- one ranked list */

static int by_score(const void *a, const void *b)
{
    const struct reco_candidate *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    if (x->item != y->item) return x->item < y->item ? -1 : 1;
    return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* What is due again is worth up to what the best of the others is. */
static size_t add_due(const struct reco_work *w, enum recommend_strategy by, struct reco_candidate *c, size_t n)
{
    const double best = n > 0 ? c[0].score : 1;
    for (size_t i = 0; i < w->n_due; i++) {
        const struct reco_due *due = &w->due[i];
        if (!reco_allowed(w, due->slot, NULL)) continue;
        const double score = best > 0 ? best * due->urgency : best;
        size_t k = 0;
        while (k < n && c[k].slot != due->slot) k++;
        if (k == n) c[n++] = (struct reco_candidate){due->slot, w->view->slot_item[due->slot], score, by, true};
        c[k].due = true;
        if (score > c[k].score) c[k].score = score;
    }
    if (w->n_due > 0) qsort(c, n, sizeof *c, by_score);
    return n;
}

struct pool {
    const struct reco_work *w;
    const struct reco_candidate *c;
};

/* Products that the model does not know are as alike as their categories say. */
static float alike(const void *arg, uint32_t a, uint32_t b)
{
    const struct pool *p = arg;
    const struct reco_candidate *x = &p->c[a], *y = &p->c[b];
    if (x->item != RECO_NO_ITEM && y->item != RECO_NO_ITEM) return recommender_alike(p->w->model, x->item, y->item);
    const struct str one = catalog_at(p->w->catalog, x->slot)->category, other = catalog_at(p->w->catalog, y->slot)->category;
    return str_present(one) && str_present(other) && str_eq(one, other) ? .5f : 0;
}

static enum meros_code diversify(const struct reco_work *w, struct reco_candidate *c, size_t *n, size_t most, struct meros_err *err)
{
    double *relevance = arena_array(w->arena, *n + 1, sizeof *relevance);
    float *space = arena_array(w->arena, 2 * *n + 2, sizeof *space);
    uint32_t *order = arena_array(w->arena, most, sizeof *order);
    struct reco_candidate *old = arena_array(w->arena, *n + 1, sizeof *old);
    if (relevance == NULL || space == NULL || order == NULL || old == NULL) return no_memory(err);
    for (size_t i = 0; i < *n; i++) {
        old[i] = c[i];
        relevance[i] = c[i].score;
    }
    *n = mmr_select(relevance, *n, most, w->q->diversity, alike, &(struct pool){w, old}, space, order);
    for (size_t i = 0; i < *n; i++) c[i] = old[order[i]];
    return MEROS_OK;
}

/* The best `most` by one strategy; with diversity out of a larger pool. */
static enum meros_code rank(struct reco_work *w, enum recommend_strategy by, size_t most, struct reco_candidate **out, size_t *out_n,
                            struct meros_err *err)
{
    size_t pool = most;
    if (w->q->diversity > 0) {
        pool = most * 10 < POOL_LEAST ? POOL_LEAST : most * 10 > RECOMMEND_POOL ? RECOMMEND_POOL : most * 10;
        if (pool < most) pool = most;
    }
    struct reco_candidate *c = arena_array(w->arena, pool + w->n_due + 1, sizeof *c);
    if (c == NULL) return no_memory(err);
    size_t n = reco_step(w, by, NULL, pool, c);
    if (reco_personal(by)) n = add_due(w, by, c, n);
    if (w->q->diversity > 0) {
        enum meros_code rc = diversify(w, c, &n, most, err);
        if (rc != MEROS_OK) return rc;
    }
    *out = c;
    *out_n = n < most ? n : most;
    return MEROS_OK;
}

/* --- places */

struct shelf_places { /* what the answer is filled into */
    struct recommend_pick *pick;
    bool *full;
    size_t n, filled;
};

static struct recommend_pick pick_of(const struct reco_work *w, const struct reco_candidate *c)
{
    struct recommend_pick p = {.slot = c->slot, .product_no = catalog_at(w->catalog, c->slot)->product_no, .score = c->score, .by = c->by,
                               .arm = RECOMMENDATION_NO_ARM};
    struct reco_candidate why = *c; /* what is due is so whoever brought it */
    for (size_t i = 0; i < w->n_due; i++) why.due |= w->due[i].slot == c->slot;
    reco_reason(w, &why, &p);
    return p;
}

/* At this place, or the next that is free. Marks the product as taken. */
static void put(struct reco_work *w, struct shelf_places *s, size_t at, const struct recommend_pick *p)
{
    if (s->filled == s->n) return;
    if (at >= s->n) at = s->n - 1;
    while (s->full[at]) at = (at + 1) % s->n;
    s->pick[at] = *p;
    s->full[at] = true;
    s->filled++;
    reco_mark(w, p->slot);
}

static bool pin_applies(const struct reco_work *w, const struct reco_rule *rule)
{
    if (rule->kind != RECO_PIN || !reco_rule_active(rule, w->q->now) || rule->n_products == 0) return false;
    if (rule->place < 1 || (size_t)rule->place > w->q->limit) return false;
    if (!str_present(rule->within)) return true;
    const struct catalog_product asked = {.category = w->q->category};
    return str_present(w->q->category) && catalog_in_category(&asked, rule->within);
}

static void put_pins(struct reco_work *w, struct shelf_places *s)
{
    for (size_t i = 0; i < w->rules->n; i++) {
        const struct reco_rule *rule = &w->rules->rules[i];
        if (!pin_applies(w, rule)) continue;
        const uint32_t slot = catalog_find(w->catalog, rule->product_ids[0]);
        if (slot == CATALOG_NONE || !reco_allowed(w, slot, NULL)) continue;
        put(w, s, (size_t)rule->place - 1,
            &(struct recommend_pick){.slot = slot, .product_no = catalog_at(w->catalog, slot)->product_no, .score = NAN,
                                     .by = RECOMMEND_POPULAR, .arm = RECOMMENDATION_NO_ARM, .reason = REASON_PINNED});
    }
}

static enum meros_code put_promoted(struct reco_work *w, struct shelf_places *s, enum recommend_strategy first, struct meros_err *err)
{
    for (size_t i = 0; i < w->rules->n; i++) {
        const struct reco_rule *rule = &w->rules->rules[i];
        if (rule->kind != RECO_PROMOTE || !reco_rule_active(rule, w->q->now)) continue;
        const size_t share = (size_t)floor(rule->share * (double)s->n + 1e-9);
        struct reco_candidate *c = arena_array(w->arena, share + 1, sizeof *c);
        if (c == NULL) return no_memory(err);
        size_t got = 0;
        for (int step = -1; step < CHAIN && got < share; step++) {
            const enum recommend_strategy by = step < 0 ? first : chain[step];
            if (step >= 0 && by == first) continue;
            const size_t from = got;
            got += reco_step(w, by, rule, share - got, c + got);
            for (size_t k = from; k < got; k++) reco_mark(w, c[k].slot); /* the next step brings others */
        }
        for (size_t k = 0; k < got; k++) {
            struct recommend_pick p = pick_of(w, &c[k]);
            p.reason = REASON_PROMOTED;
            p.because_no = 0;
            put(w, s, (size_t)(((double)k + .5) * (double)s->n / (double)got), &p);
        }
    }
    return MEROS_OK;
}

/* --- two lists as one: team draft */

/* Who chooses first in a round: always the same for a customer and an experiment. */
static bool second_begins(const struct reco_work *w, size_t round)
{
    char text[ID_MAX + 32];
    const uint32_t experiment = w->rules->experiment_no, r = (uint32_t)round;
    size_t n = w->customer_id.n < ID_MAX ? w->customer_id.n : ID_MAX;
    if (n > 0) memcpy(text, w->customer_id.p, n);
    memcpy(text + n, &experiment, sizeof experiment);
    memcpy(text + n + sizeof experiment, &r, sizeof r);
    return (crypto_hash128(text, n + sizeof experiment + sizeof r).bytes[0] & 1) != 0;
}

static enum meros_code put_both(struct reco_work *w, struct shelf_places *s, enum recommend_strategy first, enum recommend_strategy second,
                                struct meros_err *err)
{
    const size_t most = s->n - s->filled;
    struct reco_candidate *list[2];
    size_t n[2], at[2] = {0, 0}, chosen[2] = {0, 0};
    enum meros_code rc = rank(w, first, most, &list[0], &n[0], err);
    if (rc == MEROS_OK) rc = rank(w, second, most, &list[1], &n[1], err);
    if (rc != MEROS_OK) return rc;
    while (s->filled < s->n) {
        for (int t = 0; t < 2; t++)
            while (at[t] < n[t] && reco_marked(w, list[t][at[t]].slot)) at[t]++;
        if (at[0] == n[0] && at[1] == n[1]) break;
        int team = chosen[0] != chosen[1] ? chosen[1] < chosen[0] : second_begins(w, chosen[0]);
        if (at[team] == n[team]) team = !team;
        struct recommend_pick p = pick_of(w, &list[team][at[team]]);
        p.arm = (uint8_t)team;
        chosen[team]++;
        put(w, s, 0, &p);
    }
    return MEROS_OK;
}

/* --- */

static enum meros_code put_chain(struct reco_work *w, struct shelf_places *s, enum recommend_strategy first, struct recommend_answer *out,
                                 struct meros_err *err)
{
    for (int step = -1; step < CHAIN && s->filled < s->n; step++) {
        const enum recommend_strategy by = step < 0 ? first : chain[step];
        if (step >= 0 && by == first) continue;
        struct reco_candidate *c;
        size_t n;
        enum meros_code rc = rank(w, by, s->n - s->filled, &c, &n, err);
        if (rc != MEROS_OK) return rc;
        for (size_t i = 0; i < n; i++) {
            const struct recommend_pick p = pick_of(w, &c[i]);
            if (p.by != first) out->fallback |= 1u << p.by;
            put(w, s, 0, &p);
        }
    }
    return MEROS_OK;
}

static enum meros_code fill(struct reco_work *w, struct recommend_answer *out, struct meros_err *err)
{
    enum recommend_strategy first, second;
    struct shelf_places s = {.n = w->q->limit};
    s.pick = arena_array(w->arena, s.n, sizeof *s.pick);
    s.full = arena_array(w->arena, s.n, sizeof *s.full);
    if (s.pick == NULL || s.full == NULL) return no_memory(err);
    reco_resolve(w, &first, &second, out);
    out->strategy = first;
    put_pins(w, &s);
    enum meros_code rc = put_promoted(w, &s, first, err);
    if (rc == MEROS_OK && out->experiment_no != 0 && out->arm < 0) rc = put_both(w, &s, first, second, err);
    if (rc == MEROS_OK) rc = put_chain(w, &s, first, out, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < s.n; i++) /* without the places that nothing was left for */
        if (s.full[i]) s.pick[out->n++] = s.pick[i];
    out->picks = s.pick;
    return MEROS_OK;
}

void reco_say_why(const struct reco_work *w, struct recommend_answer *out)
{
    out->stale = w->q->stale;
    if (out->personalised) return;
    if (w->shelf != NULL && w->shelf->known && !w->shelf->profiling) out->why_not = "consent";
    else if (w->q->why_not != NULL) out->why_not = w->q->why_not;
    else if (w->shelf != NULL && !w->shelf->known && w->history.n == 0) out->why_not = "unknown_customer";
    else if (w->model == NULL) out->why_not = "no_model";
    else if (w->history.n == 0) out->why_not = "no_history";
}

void reco_say_model(const struct reco_work *w, struct recommend_answer *out)
{
    if (w->active == NULL) return;
    memcpy(out->model_id, w->active->id, sizeof out->model_id);
    out->model_version = w->active->version;
    out->model_no = w->active->model_no;
    out->algorithm = reco_algorithm_words[w->model->algorithm];
}

enum meros_code recommend(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct shelf *shelf,
                          const struct recommend_recent *recent, size_t n_recent, struct arena *arena, struct recommend_answer *out,
                          struct meros_err *err)
{
    struct reco_work w = {.svc = svc, .q = q, .arena = arena, .customer_id = customer_id, .shelf = shelf};
    struct recommend_answer a = {0};
    enum meros_code rc = reco_work_begin(&w, err);
    if (rc != MEROS_OK) return rc;
    rc = reco_work_customer(&w, recent, n_recent, err);
    if (rc == MEROS_OK) rc = fill(&w, &a, err);
    if (rc == MEROS_OK) {
        for (size_t i = 0; i < a.n; i++) a.personalised |= a.picks[i].reason != REASON_PINNED && reco_personal(a.picks[i].by);
        reco_say_why(&w, &a);
        reco_say_model(&w, &a);
        a.valid_until = w.view->until;
        if (w.next_due < a.valid_until) a.valid_until = w.next_due;
        if (w.n_due > 0 && q->now + DUE_VALID < a.valid_until) a.valid_until = q->now + DUE_VALID;
        a.of = (struct recommend_of){w.view->model_no, w.view->catalog_version, w.view->rules_version};
        *out = a;
    }
    reco_work_end(&w);
    return rc;
}

enum meros_code recommending_start(struct service *svc, struct meros_err *err)
{
    return svc->recommending != NULL ? MEROS_OK : recommending_new(serving_models(svc), &svc->recommending, err);
}

void recommend_prepare(struct service *svc, const struct shelf *shelf)
{
    const struct recommend_query q = recommend_query_default();
    struct arena arena;
    struct buf unread; /* what matters is kept beside the shelf */
    if (svc->recommending == NULL || !shelf->known) return;
    arena_init(&arena, 16 << 20);
    buf_init(&unread, 1 << 20);
    (void)!recommend_json(svc, &q, shelf->customer_id, shelf, NULL, 0, &arena, &unread, NULL);
    buf_done(&unread);
    arena_done(&arena);
}
