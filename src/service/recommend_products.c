/* Of products: what is similar, what is bought with it, what is popular; and given products in a customer's order. */
#include "recommend_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for recommendations.");
}

/* The list that is being made. */
struct listing {
    struct reco_work *w;
    struct recommend_answer *a;
    struct recommend_pair *pairs; /* NULL: not of bought together */
};

static void put(struct listing *l, const struct recommend_pick *p)
{
    reco_mark(l->w, p->slot);
    if (p->by != l->a->strategy) l->a->fallback |= 1u << p->by;
    l->a->picks[l->a->n++] = *p;
}

/* The neighbours of an item, best first, that are allowed. */
static void put_neighbours(struct listing *l, const struct neighbours *t, uint32_t item, enum recommend_strategy by, enum recommend_reason reason)
{
    struct reco_work *w = l->w;
    if (item == RECO_NO_ITEM || t->n == 0) return;
    for (size_t e = t->start[item]; e < t->start[item + 1] && l->a->n < w->q->limit; e++) {
        const uint32_t slot = w->view->item_slot[t->item[e]];
        if (slot == CATALOG_NONE || !reco_allowed(w, slot, NULL)) continue;
        if (l->pairs != NULL) {
            const struct bought_together *b = &w->model->together;
            l->pairs[l->a->n] = (struct recommend_pair){(double)b->count[e] / (double)b->baskets, (double)b->count[e] / (double)b->alone[item],
                                                        bought_together_lift(b, item, e)};
        }
        put(l, &(struct recommend_pick){.slot = slot, .product_no = catalog_at(w->catalog, slot)->product_no, .score = (double)t->score[e],
                                        .by = by, .reason = reason, .because_no = w->model->product_no[item]});
    }
}

static void put_step(struct listing *l, enum recommend_strategy by, struct reco_candidate *space)
{
    const size_t n = reco_step(l->w, by, NULL, l->w->q->limit - l->a->n, space);
    for (size_t i = 0; i < n; i++)
        put(l, &(struct recommend_pick){.slot = space[i].slot, .product_no = catalog_at(l->w->catalog, space[i].slot)->product_no,
                                        .score = space[i].score, .by = space[i].by, .reason = REASON_POPULAR});
}

/* After what is known of the product itself: what is popular in its category, unless the query is about another one. */
static void put_similar(struct listing *l, uint32_t slot, struct reco_candidate *space)
{
    struct reco_work *w = l->w;
    const uint32_t item = w->view->slot_item[slot];
    if (w->model != NULL) {
        put_neighbours(l, &w->model->item_knn, item, RECOMMEND_SIMILAR, REASON_SIMILAR_TO);
        put_neighbours(l, &w->model->content, item, RECOMMEND_CONTENT, REASON_CONTENT);
    }
    const struct str category = catalog_at(w->catalog, slot)->category;
    if (!str_present(category)) return;
    struct recommend_query within = *w->q;
    const struct recommend_query *asked = w->q;
    const struct catalog_product narrower = {.category = category};
    if (!str_present(within.category)) within.category = category;
    else if (!catalog_in_category(&narrower, within.category)) return;
    else within.category = category;
    w->q = &within;
    put_step(l, RECOMMEND_POPULAR, space);
    put_step(l, RECOMMEND_NEWEST, space);
    w->q = asked;
}

static enum meros_code list(struct listing *l, struct str product_id, struct meros_err *err)
{
    struct reco_work *w = l->w;
    const bool about = w->q->strategy == RECOMMEND_SIMILAR || w->q->strategy == RECOMMEND_BOUGHT_TOGETHER;
    const uint32_t slot = about ? catalog_find(w->catalog, product_id) : CATALOG_NONE;
    if (about && (slot == CATALOG_NONE || catalog_at(w->catalog, slot)->deleted))
        return err_set(err, MEROS_NOT_FOUND, "There is no such product.");
    struct reco_candidate *space = arena_array(w->arena, w->q->limit, sizeof *space);
    if (space == NULL) return no_memory(err);
    for (size_t i = 0; i < w->q->n_exclude; i++) {
        const uint32_t no = catalog_find(w->catalog, w->q->exclude[i]);
        if (no != CATALOG_NONE) reco_mark(w, no);
    }
    if (about) reco_mark(w, slot);
    switch (w->q->strategy) {
    case RECOMMEND_SIMILAR: put_similar(l, slot, space); break;
    case RECOMMEND_BOUGHT_TOGETHER:
        if (w->model != NULL)
            put_neighbours(l, &w->model->together.table, w->view->slot_item[slot], RECOMMEND_BOUGHT_TOGETHER, REASON_BOUGHT_TOGETHER);
        break;
    default:
        put_step(l, w->q->strategy, space);
        if (w->q->strategy == RECOMMEND_TRENDING) put_step(l, RECOMMEND_POPULAR, space);
        put_step(l, RECOMMEND_NEWEST, space);
    }
    return MEROS_OK;
}

enum meros_code recommend_products(struct service *svc, const struct recommend_query *q, struct str product_id, struct arena *arena,
                                   struct recommend_answer *out, struct recommend_pair **out_pairs, struct meros_err *err)
{
    struct reco_work w = {.svc = svc, .q = q, .arena = arena};
    struct recommend_answer a = {.strategy = q->strategy, .picks = arena_array(arena, q->limit, sizeof *a.picks)};
    struct listing l = {.w = &w, .a = &a};
    if (q->strategy == RECOMMEND_BOUGHT_TOGETHER) l.pairs = arena_array(arena, q->limit, sizeof *l.pairs);
    if (a.picks == NULL || (q->strategy == RECOMMEND_BOUGHT_TOGETHER && l.pairs == NULL)) return no_memory(err);
    enum meros_code rc = reco_work_begin(&w, err);
    if (rc != MEROS_OK) return rc;
    rc = list(&l, product_id, err);
    if (rc == MEROS_OK) {
        reco_say_model(&w, &a);
        *out = a;
        *out_pairs = l.pairs;
    }
    reco_work_end(&w);
    return rc;
}

/* --- ranking of given products */

struct ranking {
    struct recommend_ranked product;
    double popular; /* decides among equal scores */
};

/* Best first; those without a score last, in the order given. */
static int by_score(const void *a, const void *b)
{
    const struct ranking *x = a, *y = b;
    const bool no_x = isnan(x->product.score), no_y = isnan(y->product.score);
    if (no_x != no_y) return no_x ? 1 : -1;
    if (!no_x && x->product.score != y->product.score) return x->product.score > y->product.score ? -1 : 1;
    if (x->popular != y->popular) return x->popular > y->popular ? -1 : 1;
    return x->product.place < y->product.place ? -1 : x->product.place > y->product.place;
}

static void score_given(struct reco_work *w, struct ranking *r, size_t n, struct recommend_answer *a)
{
    const bool personal = a->personalised = reco_score(w, a->strategy);
    const bool trending = a->strategy == RECOMMEND_TRENDING && w->model != NULL;
    if (!personal && !trending) a->strategy = RECOMMEND_POPULAR;
    for (size_t i = 0; i < n; i++) {
        const uint32_t slot = r[i].product.slot;
        const uint32_t item = slot != CATALOG_NONE ? w->view->slot_item[slot] : RECO_NO_ITEM;
        r[i].product.score = NAN;
        if (w->model == NULL) { /* what sold most */
            if (slot != CATALOG_NONE) r[i].popular = catalog_at(w->catalog, slot)->sold;
        } else if (item != RECO_NO_ITEM) {
            r[i].popular = (double)w->model->popular[item];
            r[i].product.score = personal ? (double)w->scratch->scores[item] : trending ? (double)w->model->trending[item] : r[i].popular;
        }
    }
}

enum meros_code recommend_rank(struct service *svc, const struct recommend_query *q, const struct shelf *shelf,
                               const struct recommend_recent *recent, size_t n_recent, struct arena *arena,
                               struct recommend_ranked *products, const struct str *product_ids, size_t n, struct recommend_answer *out,
                               struct meros_err *err)
{
    struct reco_work w = {.svc = svc, .q = q, .arena = arena, .shelf = shelf};
    struct recommend_answer a = {0};
    struct ranking *r = arena_array(arena, n + 1, sizeof *r);
    if (r == NULL) return no_memory(err);
    enum meros_code rc = reco_work_begin(&w, err);
    if (rc != MEROS_OK) return rc;
    rc = reco_work_customer(&w, recent, n_recent, err);
    if (rc == MEROS_OK) {
        enum recommend_strategy second;
        for (size_t i = 0; i < n; i++) r[i].product = (struct recommend_ranked){.slot = catalog_find(w.catalog, product_ids[i]), .place = (uint32_t)i};
        reco_resolve(&w, &a.strategy, &second, &a);
        a.experiment_no = 0; /* its lists are not what was asked for */
        score_given(&w, r, n, &a);
        qsort(r, n, sizeof *r, by_score);
        for (size_t i = 0; i < n; i++) products[i] = r[i].product;
        reco_say_model(&w, &a);
        reco_say_why(&w, &a);
        *out = a;
    }
    reco_work_end(&w);
    return rc;
}
