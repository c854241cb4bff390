#include "meros/service/group_recommend.h"

#include <math.h>
#include <stdlib.h>
#include "meros/service/audiences.h"
#include "meros/store/interactions.h"
#include "meros/store/models.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"
#include "recommend_priv.h"
#include "segments_priv.h"

enum { AT_ONCE = 128 };

struct grouping {
    struct service *svc;
    const struct recommend_query *q;
    struct group_answer *out;
    int64_t model_no;          /* of the first customer; -1: none yet */
    struct interaction_weights weights;
    enum reco_algorithm algorithm;
    size_t items;
    double *sum;               /* items */
    int64_t *top;              /* items */
    int64_t *seen;             /* customer_nos */
    size_t n_seen;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for recommendations of many customers.");
}

/* --- one customer */

static bool seen_before(struct grouping *g, int64_t customer_no)
{
    for (size_t i = 0; i < g->n_seen; i++)
        if (g->seen[i] == customer_no) return true;
    g->seen[g->n_seen++] = customer_no;
    return false;
}

static bool speaks(const struct grouping *g, float score)
{
    return g->algorithm == RECO_ALS || g->algorithm == RECO_BLEND ? isfinite(score) : score > 0; /* as in recommend_score.c */
}

static void add_standardised(struct grouping *g, const struct reco_work *w)
{
    const float *scores = w->scratch->scores;
    double sum = 0, squares = 0, n = 0;
    for (size_t i = 0; i < g->items; i++) {
        if (!w->view->open[i]) continue;
        sum += (double)scores[i];
        squares += (double)scores[i] * (double)scores[i];
        n++;
    }
    const double mean = n > 0 ? sum / n : 0, variance = n > 0 ? squares / n - mean * mean : 0;
    if (!(variance > 1e-18)) return; /* the same for everything: no wish */
    const double scale = 1 / sqrt(variance);
    for (size_t i = 0; i < g->items; i++) {
        const uint32_t slot = w->view->item_slot[i];
        if (w->view->open[i] && slot != CATALOG_NONE && !reco_marked(w, slot)) g->sum[i] += ((double)scores[i] - mean) * scale;
    }
}

static void add_top(struct grouping *g, const struct reco_work *w)
{
    float *scores = w->scratch->scores;
    for (size_t i = 0; i < g->items; i++)
        if (!speaks(g, scores[i]) || (w->q->available && !w->view->open[i])) scores[i] = -INFINITY;
    size_t found = 0, from = 0;
    for (size_t k = 8 * GROUP_TOP; found < GROUP_TOP && from < g->items; k *= 8) {
        const size_t n = topk_select(scores, g->items, k < g->items ? k : g->items, w->scratch->top);
        for (; from < n && found < GROUP_TOP; from++) {
            const uint32_t slot = w->view->item_slot[w->scratch->top[from].item];
            if (slot == CATALOG_NONE || !reco_allowed(w, slot, NULL)) continue;
            g->top[w->scratch->top[from].item]++;
            found++;
        }
        if (n < k) return;
    }
}

/* With catalogue and model in hand. */
static enum meros_code add_customer(struct grouping *g, const struct customer_shelf *s, struct arena *arena, struct meros_err *err)
{
    const struct shelf shelf = {.customer_no = s->customer_no, .known = true, .profiling = true, .customer_id = s->customer_id,
                                .n = s->n, .rows = s->rows, .at = g->q->now, .model_no = g->model_no};
    struct reco_work w = {.svc = g->svc, .q = g->q, .arena = arena, .customer_id = STR_NONE, .shelf = &shelf};
    enum meros_code rc = reco_work_begin(&w, err);
    if (rc != MEROS_OK) return rc;
    if (w.active == NULL || w.active->model_no != g->model_no) {
        rc = err_set(err, MEROS_UNAVAILABLE, "Another model became active meanwhile; ask again.");
    } else if ((rc = reco_work_customer(&w, NULL, 0, err)) == MEROS_OK && w.history.n > 0) {
        recommender_score(w.model, g->algorithm, &w.history, w.scratch->extra, w.scratch->scores);
        g->out->personal++;
        add_standardised(g, &w);
        add_top(g, &w);
    }
    reco_work_end(&w);
    return rc;
}

static enum meros_code add_some(struct grouping *g, struct store_conn *c, const struct str *ids, size_t n, struct meros_err *err)
{
    struct arena arena, one;
    arena_init(&arena, 1 << 30);
    struct customer_shelf *shelves = arena_array(&arena, AT_ONCE, sizeof *shelves);
    enum meros_code rc = shelves == NULL ? no_memory(err) : store_shelves(c, ids, n, &g->weights, g->q->now, &arena, shelves, err);
    for (size_t i = 0; rc == MEROS_OK && i < n; i++) {
        if (!shelves[i].known || seen_before(g, shelves[i].customer_no)) continue;
        g->out->asked++;
        if (!shelves[i].profiling) {
            g->out->refused++;
            continue;
        }
        if (g->model_no <= 0) continue;
        arena_init(&one, 64 << 20);
        rc = add_customer(g, &shelves[i], &one, err);
        arena_done(&one);
    }
    arena_done(&arena);
    return rc;
}

/* --- all of them */

/* What everybody is asked with. */
static enum meros_code prepare(struct grouping *g, struct arena *arena, struct meros_err *err)
{
    struct reco_work w = {.svc = g->svc, .q = g->q, .arena = arena, .customer_id = STR_NONE};
    const bool automatic = g->q->strategy == RECOMMEND_AUTO;
    enum meros_code rc = MEROS_OK;
    if (!automatic && !reco_algorithm_of(g->q->strategy, &g->algorithm))
        return err_set(err, MEROS_UNPROCESSABLE, "This strategy is no score of products for a customer; ask for auto, similar, content, sequence, als, ease or blend.");
    if ((rc = reco_work_begin(&w, err)) != MEROS_OK) return rc;
    g->model_no = w.active != NULL ? w.active->model_no : 0;
    g->weights = w.model != NULL ? w.model->weights : interaction_weights_default;
    g->items = w.model != NULL ? w.model->items : 0;
    if (automatic && w.model != NULL) g->algorithm = w.model->algorithm;
    if (automatic && w.model == NULL) g->algorithm = RECO_POPULAR;
    g->out->model_no = g->model_no;
    if (w.active != NULL) {
        g->out->model_version = w.active->version;
        g->out->algorithm = reco_algorithm_words[w.model->algorithm];
        if ((g->out->model_id = arena_strdup(arena, w.active->id)) == NULL) rc = no_memory(err);
    }
    if (w.model != NULL && !automatic && !recommender_has(w.model, g->algorithm))
        rc = err_set(err, MEROS_UNPROCESSABLE, "The active model has no component for the strategy %s.", recommend_strategy_words[g->q->strategy]);
    reco_work_end(&w);
    g->out->strategy = reco_strategy_of(g->algorithm);
    if (g->algorithm == RECO_POPULAR) g->model_no = 0; /* the same for everybody: nobody is asked */
    return rc;
}

static int best_first(const void *a, const void *b)
{
    const struct group_item *x = a, *y = b;
    if (x->score != y->score) return x->score > y->score ? -1 : 1;
    return (x->product_no > y->product_no) - (x->product_no < y->product_no);
}

static enum meros_code give_wanted(struct grouping *g, struct arena *arena, struct meros_err *err)
{
    struct reco_work w = {.svc = g->svc, .q = g->q, .arena = arena, .customer_id = STR_NONE};
    struct group_item *all = malloc((g->items + 1) * sizeof *all);
    size_t n = 0;
    enum meros_code rc = all == NULL ? no_memory(err) : reco_work_begin(&w, err);
    if (rc != MEROS_OK) {
        free(all);
        return rc;
    }
    if (w.active == NULL || w.active->model_no != g->model_no) rc = err_set(err, MEROS_UNAVAILABLE, "Another model became active meanwhile; ask again.");
    if (rc == MEROS_OK) rc = reco_work_customer(&w, NULL, 0, err); /* marks what the query excludes */
    for (size_t i = 0; rc == MEROS_OK && i < g->items; i++) {
        const uint32_t slot = w.view->item_slot[i];
        const double mean = g->sum[i] / (double)g->out->personal;
        if (slot == CATALOG_NONE || !reco_allowed(&w, slot, NULL) || !(mean > 0 || g->top[i] > 0)) continue;
        all[n++] = (struct group_item){catalog_at(w.catalog, slot)->product_id, catalog_at(w.catalog, slot)->product_no, mean, g->top[i], g->out->strategy};
    }
    qsort(all, n, sizeof *all, best_first);
    for (size_t i = 0; rc == MEROS_OK && i < n && i < g->q->limit; i++) {
        const char *id = arena_strndup(arena, all[i].product_id.p, all[i].product_id.n);
        if (id == NULL) rc = no_memory(err);
        all[i].product_id.p = id;
        g->out->items[g->out->n++] = all[i];
    }
    reco_work_end(&w);
    free(all);
    return rc;
}

static bool given(const struct group_answer *a, int64_t product_no)
{
    for (size_t i = 0; i < a->n; i++)
        if (a->items[i].product_no == product_no) return true;
    return false;
}

/* Places that are left: what somebody without a name would be shown. */
static enum meros_code fill(struct grouping *g, struct arena *arena, struct meros_err *err)
{
    struct recommend_query q = *g->q;
    struct recommend_answer a;
    if (g->out->n == q.limit) return MEROS_OK;
    q.strategy = RECOMMEND_POPULAR;
    q.diversity = 0;
    q.limit = q.limit * 2 <= RECOMMEND_LIMIT_MAX ? q.limit * 2 : RECOMMEND_LIMIT_MAX;
    enum meros_code rc = recommend(g->svc, &q, STR_NONE, NULL, NULL, 0, arena, &a, err);
    if (rc != MEROS_OK) return rc;
    const struct catalog *c = catalog_read_begin(g->svc);
    for (size_t i = 0; rc == MEROS_OK && i < a.n && g->out->n < g->q->limit; i++) {
        if (given(g->out, a.picks[i].product_no)) continue;
        const struct str id = catalog_at(c, a.picks[i].slot)->product_id;
        const char *copy = arena_strndup(arena, id.p, id.n);
        if (copy == NULL) rc = no_memory(err);
        else g->out->items[g->out->n++] = (struct group_item){{copy, id.n}, a.picks[i].product_no, NAN, 0, a.picks[i].by};
    }
    catalog_read_end(g->svc);
    return rc;
}

static enum meros_code ask_all(struct grouping *g, const struct str *ids, size_t n, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire_long(g->svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, GROUP_TIMEOUT_MS, err);
    for (size_t i = 0; i < n && rc == MEROS_OK; i += AT_ONCE) rc = add_some(g, c, ids + i, n - i < AT_ONCE ? n - i : AT_ONCE, err);
    store_release(g->svc->store, c);
    return rc;
}

enum meros_code group_recommend(struct service *svc, const struct recommend_query *q, const struct str *customer_ids, size_t n,
                                struct arena *arena, struct group_answer *out, struct meros_err *err)
{
    struct grouping g = {.svc = svc, .q = q, .out = out, .model_no = -1};
    *out = (struct group_answer){.items = arena_array(arena, q->limit + 1, sizeof *out->items)};
    if (out->items == NULL) return no_memory(err);
    enum meros_code rc = prepare(&g, arena, err);
    if (rc != MEROS_OK) return rc;
    g.sum = calloc(g.items + 1, sizeof *g.sum);
    g.top = calloc(g.items + 1, sizeof *g.top);
    g.seen = malloc((n + 1) * sizeof *g.seen);
    if (g.sum == NULL || g.top == NULL || g.seen == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) rc = ask_all(&g, customer_ids, n, err);
    out->members = out->asked;
    if (rc == MEROS_OK && out->personal > 0) rc = give_wanted(&g, arena, err);
    if (rc == MEROS_OK) rc = fill(&g, arena, err);
    free(g.sum);
    free(g.top);
    free(g.seen);
    return rc;
}

/* --- a segment */

static enum meros_code take_no(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)err;
    *(int64_t *)arg = m->model_no;
    return MEROS_OK;
}

static enum meros_code sample(struct service *svc, struct str segmentation, struct str segment_id, struct arena *arena,
                              const struct str **ids, size_t *n, int64_t *members, struct meros_err *err)
{
    struct store_conn *c = NULL;
    int64_t model_no = 0;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK) rc = store_model_active(c, STR("segments"), segmentation, take_no, &model_no, err);
    if (rc == MEROS_NOT_FOUND) rc = segmentation_missing(c, segmentation, err);
    else if (rc == MEROS_OK) rc = segment_expected(c, segmentation, model_no, segment_id, err);
    if (rc == MEROS_OK) rc = store_members_sample(c, segmentation, segment_id, GROUP_MAX, arena, ids, n, members, err);
    segments_close_view(svc, c);
    return rc;
}

enum meros_code group_recommend_segment(struct service *svc, const struct recommend_query *q, struct str segmentation, struct str segment_id,
                                        struct arena *arena, struct group_answer *out, struct meros_err *err)
{
    const struct str *ids = NULL;
    size_t n = 0;
    int64_t members = 0;
    enum meros_code rc = sample(svc, segmentation, segment_id, arena, &ids, &n, &members, err);
    if (rc == MEROS_OK) rc = group_recommend(svc, q, ids, n, arena, out, err);
    if (rc == MEROS_OK) out->members = members;
    return rc;
}

enum meros_code group_recommend_audience(struct service *svc, const struct recommend_query *q, struct str audience, struct arena *arena,
                                         struct group_answer *out, struct meros_err *err)
{
    struct audience_sample s;
    enum meros_code rc = audience_sample(svc, audience, GROUP_MAX, arena, &s, err);
    if (rc == MEROS_OK) rc = group_recommend(svc, q, s.ids, s.n, arena, out, err);
    if (rc == MEROS_OK) out->members = s.customers;
    return rc;
}

void group_recommendation_id(struct service *svc, const struct recommend_query *q, const struct group_answer *a, char out[RECOMMENDATION_ID_MAX + 1])
{
    struct recommendation_parts p = {.at = q->now, .strategy = (uint8_t)a->strategy, .model_no = a->model_no,
                                     .n = a->n < RECOMMENDATION_PICKS_MAX ? a->n : RECOMMENDATION_PICKS_MAX};
    for (size_t i = 0; i < p.n; i++) {
        p.picks[i].product_no = a->items[i].product_no;
        p.picks[i].by = (uint8_t)a->items[i].by;
    }
    recommendation_id_make(svc, &p, out);
}
