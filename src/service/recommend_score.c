/* A customer's rows, what the query lets in, and one step of the chain: the best products by one strategy. */
#include "recommend_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for recommendations.");
}

/* --- strategies */

static const struct {
    enum recommend_strategy strategy;
    enum reco_algorithm algorithm;
} scored_by[] = {
    {RECOMMEND_SIMILAR, RECO_ITEM_KNN}, {RECOMMEND_SEQUENCE, RECO_SEQUENCE}, {RECOMMEND_CONTENT, RECO_CONTENT},
    {RECOMMEND_ALS, RECO_ALS}, {RECOMMEND_EASE, RECO_EASE}, {RECOMMEND_BLEND, RECO_BLEND},
};
enum { N_SCORED_BY = sizeof scored_by / sizeof scored_by[0] };

bool reco_algorithm_of(enum recommend_strategy s, enum reco_algorithm *out)
{
    for (int i = 0; i < N_SCORED_BY; i++) {
        if (scored_by[i].strategy != s) continue;
        *out = scored_by[i].algorithm;
        return true;
    }
    return false;
}

enum recommend_strategy reco_strategy_of(enum reco_algorithm a)
{
    for (int i = 0; i < N_SCORED_BY; i++)
        if (scored_by[i].algorithm == a) return scored_by[i].strategy;
    return RECOMMEND_POPULAR;
}

bool reco_personal(enum recommend_strategy s)
{
    return s != RECOMMEND_POPULAR && s != RECOMMEND_TRENDING && s != RECOMMEND_NEWEST;
}

static enum recommend_strategy resolved(const struct reco_work *w, enum recommend_strategy s)
{
    if (s != RECOMMEND_AUTO) return s;
    return w->model != NULL ? reco_strategy_of(w->model->algorithm) : RECOMMEND_POPULAR;
}

void reco_resolve(const struct reco_work *w, enum recommend_strategy *out_first, enum recommend_strategy *out_second, struct recommend_answer *out)
{
    const struct reco_rules *rules = w->rules;
    *out_first = *out_second = w->q->strategy;
    if (w->shelf != NULL && w->shelf->known && !w->shelf->profiling) {
        *out_first = *out_second = RECOMMEND_POPULAR;
    } else if (w->q->strategy == RECOMMEND_AUTO && rules->experiment_no != 0 && str_present(w->customer_id)) {
        out->experiment_no = rules->experiment_no;
        out->experiment = arena_strndup(w->arena, rules->experiment.p, rules->experiment.n);
        out->arm = rules->interleave ? -1 : reco_rules_arm(rules, w->customer_id);
        *out_first = rules->arms[rules->interleave ? 0 : out->arm];
        *out_second = rules->interleave ? rules->arms[1] : *out_first;
    }
    *out_first = resolved(w, *out_first);
    *out_second = resolved(w, *out_second);
}

/* --- the customer */

/* As an event of this type weighs; orders, whose events weigh nothing because their lines do, as a purchase. */
static double weight_of(const struct interaction_weights *w, struct str type, bool *out_bought)
{
    *out_bought = str_is(type, "order_completed") || str_is(type, "purchase");
    if (*out_bought) return w->purchase;
    if (!str_present(type)) type = STR("product_viewed");
    for (size_t i = 0; i < w->n; i++)
        if (str_is(type, w->type[i])) return w->weight[i];
    return w->other;
}

/* The shelf's rows, then the recent products: one that is there already moves to the end and weighs more. */
static enum meros_code add_recent(struct reco_work *w, const struct recommend_recent *recent, size_t n, struct meros_err *err)
{
    struct interaction_row *rows = arena_array(w->arena, w->n_rows + n, sizeof *rows);
    size_t count = w->n_rows;
    if (rows == NULL) return no_memory(err);
    if (count > 0) memcpy(rows, w->rows, count * sizeof *rows);
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = catalog_find(w->catalog, recent[i].product_id);
        if (slot == CATALOG_NONE) continue;
        struct interaction_row row = {.product_no = catalog_at(w->catalog, slot)->product_no, .bought_at = TIME_NONE};
        for (size_t k = 0; k < count; k++) {
            if (rows[k].product_no != row.product_no) continue;
            row = rows[k];
            memmove(&rows[k], &rows[k + 1], (--count - k) * sizeof *rows);
            break;
        }
        bool bought;
        row.weight += weight_of(w->model != NULL ? &w->model->weights : &interaction_weights_default, recent[i].type, &bought);
        row.last_at = w->q->now;
        if (bought) {
            row.bought_at = w->q->now;
            row.purchases++;
        }
        rows[count++] = row;
    }
    w->rows = rows;
    w->n_rows = count;
    return MEROS_OK;
}

/* Days after which who bought this product buys it again; 0: not bought again, or not known. */
static double repeat_days(const struct reco_work *w, uint32_t slot)
{
    const uint32_t item = w->view->slot_item[slot];
    return item != RECO_NO_ITEM ? (double)w->model->repeat_days[item] : 0;
}

/* When it is time to buy this again; INT64_MAX: never. */
static int64_t due_at(const struct reco_work *w, const struct interaction_row *row, uint32_t slot)
{
    const double days = w->history.n > 0 ? repeat_days(w, slot) : 0;
    return days > 0 ? row->bought_at + (int64_t)(days * (double)TIME_DAY) : INT64_MAX;
}

static void note_bought(struct reco_work *w, const struct interaction_row *row, uint32_t slot)
{
    const int64_t due = due_at(w, row, slot);
    if (due <= w->q->now) {
        const double days = repeat_days(w, slot), elapsed = (double)(w->q->now - row->bought_at) / (double)TIME_DAY;
        const double times = row->purchases > 0 ? row->purchases : 1;
        /* Bought once it may have been for once; and the longer it is overdue, the likelier it was bought elsewhere. */
        w->due[w->n_due++] = (struct reco_due){slot, times / (times + 1) * (days / elapsed)};
        return;
    }
    if (due < w->next_due) w->next_due = due;
    if (w->q->exclude_purchased) reco_mark(w, slot);
}

enum meros_code reco_work_customer(struct reco_work *w, const struct recommend_recent *recent, size_t n_recent, struct meros_err *err)
{
    const bool known = w->shelf != NULL && w->shelf->known;
    w->next_due = INT64_MAX;
    w->rows = known ? w->shelf->rows : NULL;
    w->n_rows = known ? w->shelf->n : 0;
    w->plain = known && n_recent == 0;
    if (n_recent > 0) {
        enum meros_code rc = add_recent(w, recent, n_recent, err);
        if (rc != MEROS_OK) return rc;
    }
    uint32_t *item = arena_array(w->arena, w->n_rows + 1, sizeof *item);
    float *weight = arena_array(w->arena, w->n_rows + 1, sizeof *weight);
    w->due = arena_array(w->arena, w->n_rows + 1, sizeof *w->due);
    if (item == NULL || weight == NULL || w->due == NULL) return no_memory(err);
    /* Consent refused: what was bought is still not offered again (that is the query's own wish), but nothing is made of it. */
    if (w->model != NULL && (!known || w->shelf->profiling))
        w->history = recommender_history(w->model, w->rows, w->n_rows, item, weight);
    for (size_t i = 0; i < w->q->n_exclude; i++) {
        const uint32_t slot = catalog_find(w->catalog, w->q->exclude[i]);
        if (slot != CATALOG_NONE) reco_mark(w, slot);
    }
    for (size_t i = 0; i < w->n_rows; i++) {
        const uint32_t slot = catalog_find_no(w->catalog, w->rows[i].product_no);
        if (slot == CATALOG_NONE) continue;
        if (w->rows[i].bought_at != TIME_NONE) note_bought(w, &w->rows[i], slot);
        if (w->q->exclude_seen) reco_mark(w, slot); /* also what is due */
    }
    return MEROS_OK;
}

bool reco_allowed(const struct reco_work *w, uint32_t slot, const struct reco_rule *only)
{
    if (reco_marked(w, slot) || reco_blocked(w->view, slot)) return false;
    const struct recommend_query *q = w->q;
    const struct catalog_product *p = catalog_at(w->catalog, slot);
    if (p->deleted || (q->available && !p->available)) return false;
    /* A price that is not there compares as false. */
    if (!isnan(q->min_price) && !(p->price >= q->min_price)) return false;
    if (!isnan(q->max_price) && !(p->price <= q->max_price)) return false;
    if (str_present(q->category) && !catalog_in_category(p, q->category)) return false;
    if (only != NULL && !reco_rule_matches(only, p)) return false;
    for (size_t i = 0; i < q->n_attributes; i++)
        if (!catalog_has_attribute(p, &w->wanted[i])) return false;
    return true;
}

/* --- steps */

/* Of products in order of score, those that are allowed. */
static size_t take(const struct reco_work *w, enum recommend_strategy by, const struct reco_rule *only, const struct scored *top, size_t n,
                   size_t want, struct reco_candidate *out)
{
    size_t got = 0;
    for (size_t i = 0; i < n && got < want; i++) {
        const uint32_t slot = w->view->item_slot[top[i].item];
        if (slot != CATALOG_NONE && reco_allowed(w, slot, only))
            out[got++] = (struct reco_candidate){slot, top[i].item, (double)top[i].score, by, false};
    }
    return got;
}

/* Without an opinion of its own a neighbourhood says 0; factors and blends speak of every product. */
static bool says_nothing(enum recommend_strategy by, float score)
{
    return by != RECOMMEND_ALS && by != RECOMMEND_BLEND ? !(score > 0) : isnan(score);
}

static bool model_has(const struct recommender *r, enum recommend_strategy by)
{
    enum reco_algorithm a;
    return reco_algorithm_of(by, &a) ? recommender_has(r, a) : r->together.table.n > 0;
}

bool reco_score(struct reco_work *w, enum recommend_strategy by)
{
    struct reco_scratch *s = w->scratch;
    enum reco_algorithm a;
    if (!reco_personal(by) || w->model == NULL || w->history.n == 0 || !model_has(w->model, by)) return false;
    if (reco_algorithm_of(by, &a)) {
        recommender_score(w->model, a, &w->history, s->extra, s->scores);
        return true;
    }
    memset(s->scores, 0, w->model->items * sizeof *s->scores);
    for (size_t i = 0; i < w->history.n; i++) s->extra[i] = w->history.weight[i] > 0 ? w->history.weight[i] : 0;
    neighbours_add_scores(&w->model->together.table, w->history.item, s->extra, w->history.n, s->scores);
    return true;
}

/* -infinity for what must not be taken and does not change while what is kept is right: closed products, and bought ones that are
 * not due. Not whatever is marked: that is this query's, or stands at a place already. */
static void close_scores(struct reco_work *w, enum recommend_strategy by)
{
    const struct reco_view *v = w->view;
    float *scores = w->scratch->scores;
    for (size_t i = 0; i < v->items; i++)
        if ((w->q->available && v->open[i] == 0) || says_nothing(by, scores[i])) scores[i] = -INFINITY;
    for (size_t i = 0; i < w->n_rows && (w->q->exclude_purchased || w->q->exclude_seen); i++) {
        const struct interaction_row *row = &w->rows[i];
        const uint32_t slot = row->bought_at != TIME_NONE ? catalog_find_no(w->catalog, row->product_no) : CATALOG_NONE;
        const uint32_t item = slot != CATALOG_NONE && due_at(w, row, slot) > w->q->now ? v->slot_item[slot] : RECO_NO_ITEM;
        if (item != RECO_NO_ITEM) scores[item] = -INFINITY;
    }
}

/* The best few are looked at first, and all the others only where the query turns most of those down. */
static size_t personal_step(struct reco_work *w, enum recommend_strategy by, const struct reco_rule *only, size_t want, struct reco_candidate *out)
{
    if (w->model == NULL) return 0;
    const struct reco_kept_of of = {w->active->model_no, w->view->opened, by, w->next_due};
    const bool keep = w->plain && (w->q->exclude_purchased || w->q->exclude_seen) && w->q->available;
    struct scored kept[RECOMMEND_KEPT];
    size_t n = 0, got;
    bool all = false;
    if (keep && reco_kept_scores(w->shelf, &of, kept, &n, &all)) {
        got = take(w, by, only, kept, n, want, out);
        if (got == want || all) return got;
    }
    if (!reco_score(w, by)) return 0;
    close_scores(w, by);
    struct reco_scratch *x = w->scratch;
    const size_t items = w->model->items;
    n = topk_select(x->scores, items, RECOMMEND_KEPT, kept);
    if (keep) reco_keep_scores(w->shelf, &of, kept, n, n < RECOMMEND_KEPT);
    got = take(w, by, only, kept, n, want, out);
    if (got == want || n < RECOMMEND_KEPT) return got;
    for (size_t i = 0; i < items; i++) {
        if (!(x->scores[i] > -INFINITY)) continue;
        const uint32_t slot = w->view->item_slot[i];
        if (slot == CATALOG_NONE || !reco_allowed(w, slot, only)) x->scores[i] = -INFINITY;
    }
    n = topk_select(x->scores, items, want, x->top);
    return take(w, by, only, x->top, n, want, out);
}

static size_t popular_step(struct reco_work *w, enum recommend_strategy by, const struct reco_rule *only, size_t want, struct reco_candidate *out)
{
    if (w->model == NULL) return 0;
    const struct reco_orders *o = w->view->orders;
    const uint32_t *order = by == RECOMMEND_TRENDING ? o->trending : o->popular;
    const float *score = by == RECOMMEND_TRENDING ? w->model->trending : w->model->popular;
    const size_t n = by == RECOMMEND_TRENDING ? o->n_trending : o->n_popular;
    size_t got = 0;
    for (size_t i = 0; i < n && got < want; i++) {
        const uint32_t slot = w->view->item_slot[order[i]];
        if (slot != CATALOG_NONE && reco_allowed(w, slot, only))
            out[got++] = (struct reco_candidate){slot, order[i], (double)score[order[i]], by, false};
    }
    return got;
}

/* What the catalogue itself knows: most sold first, then the newest. Products that are not available it leaves out; with
 * available=false they follow. */
static size_t catalog_step(struct reco_work *w, const struct reco_rule *only, size_t want, struct reco_candidate *out)
{
    size_t n = 0, got = 0;
    const uint32_t *by_sold = catalog_by_sold(w->catalog, &n);
    const double most = n > 0 ? catalog_at(w->catalog, by_sold[0])->sold : 0;
    for (size_t i = 0; i < n && got < want; i++) {
        if (!reco_allowed(w, by_sold[i], only)) continue;
        const double sold = catalog_at(w->catalog, by_sold[i])->sold;
        out[got++] = (struct reco_candidate){by_sold[i], w->view->slot_item[by_sold[i]], most > 0 ? sold / most : 0,
                                             sold > 0 ? RECOMMEND_POPULAR : RECOMMEND_NEWEST, false};
    }
    for (size_t s = w->view->slots; !w->q->available && s-- > 0 && got < want;) {
        const uint32_t slot = (uint32_t)s;
        if (!catalog_eligible(catalog_at(w->catalog, slot)) && reco_allowed(w, slot, only))
            out[got++] = (struct reco_candidate){slot, w->view->slot_item[slot], 0, RECOMMEND_NEWEST, false};
    }
    return got;
}

size_t reco_step(struct reco_work *w, enum recommend_strategy by, const struct reco_rule *only, size_t want, struct reco_candidate *out)
{
    if (want == 0) return 0;
    switch (by) {
    case RECOMMEND_POPULAR:
    case RECOMMEND_TRENDING: return popular_step(w, by, only, want, out);
    case RECOMMEND_NEWEST: return catalog_step(w, only, want, out);
    default: return personal_step(w, by, only, want, out);
    }
}

/* --- reasons */

/* The item of the history that goes best with `to` in one basket. */
static uint32_t together_reason(const struct reco_work *w, uint32_t to)
{
    const struct neighbours *t = &w->model->together.table;
    uint32_t best = RECO_NO_ITEM;
    double most = 0;
    for (size_t i = 0; i < w->history.n; i++) {
        const uint32_t from = w->history.item[i];
        for (size_t e = t->start[from]; e < t->start[from + 1]; e++) {
            if (t->item[e] != to || !((double)t->score[e] * (double)w->history.weight[i] > most)) continue;
            most = (double)t->score[e] * (double)w->history.weight[i];
            best = from;
        }
    }
    return best;
}

void reco_reason(const struct reco_work *w, const struct reco_candidate *c, struct recommend_pick *pick)
{
    static const enum recommend_reason reason_of[RECO_ALGORITHMS] = {
        [RECO_POPULAR] = REASON_POPULAR, [RECO_CONTENT] = REASON_CONTENT, [RECO_ITEM_KNN] = REASON_SIMILAR_TO,
        [RECO_EASE] = REASON_SIMILAR_TO, [RECO_ALS] = REASON_SIMILAR_TO, [RECO_SEQUENCE] = REASON_SEQUENCE, [RECO_BLEND] = REASON_SIMILAR_TO};
    enum reco_algorithm a, kind = RECO_POPULAR;
    uint32_t because = RECO_NO_ITEM;
    pick->because_no = 0;
    if (c->due) {
        pick->reason = REASON_DUE_AGAIN;
        return;
    }
    if (!reco_personal(c->by)) {
        pick->reason = REASON_POPULAR;
        return;
    }
    if (reco_algorithm_of(c->by, &a)) {
        because = recommender_reason(w->model, a, &w->history, c->item, &kind);
        pick->reason = reason_of[kind];
    } else {
        because = together_reason(w, c->item);
        pick->reason = REASON_BOUGHT_TOGETHER;
    }
    const uint32_t slot = because != RECO_NO_ITEM ? w->view->item_slot[because] : CATALOG_NONE;
    if (slot != CATALOG_NONE && !catalog_at(w->catalog, slot)->deleted) pick->because_no = catalog_at(w->catalog, slot)->product_no;
}
