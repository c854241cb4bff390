/* How much each component has to say in a blend: learnt on what the validation's customers took. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/blend.h"
#include "meros/ml/topk.h"
#include "reco_training_priv.h"

/* A list has the best of each component and what was held out; so many customers say enough for a handful of weights. */
enum { LISTS_MAX = 2000, BEST_OF_EACH = 20, LIST_MAX = BEST_OF_EACH * RECO_BLEND + RECO_HOLDOUT_MAX };

struct lists {
    size_t users, n, cap;  /* n rows */
    size_t components;
    enum reco_algorithm of[RECO_BLEND];
    size_t *start;         /* users + 1 */
    float *score;          /* (n, components) */
    uint8_t *relevant;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while learning a blend.");
}

static void lists_done(struct lists *l)
{
    free(l->start);
    free(l->score);
    free(l->relevant);
    *l = (struct lists){0};
}

static bool make_room(struct lists *l, size_t rows)
{
    if (l->n + rows <= l->cap) return true;
    const size_t cap = 2 * (l->n + rows);
    float *score = realloc(l->score, cap * l->components * sizeof *score);
    if (score != NULL) l->score = score;
    uint8_t *relevant = realloc(l->relevant, cap);
    if (relevant != NULL) l->relevant = relevant;
    if (score == NULL || relevant == NULL) return false;
    l->cap = cap;
    return true;
}

/* --- one customer */

struct gathering {
    const struct recommender *r;
    const struct reco_judges *j;
    float *scores;   /* (components, items) */
    float *weight;   /* of a history, at most 1 */
    bool *listed;    /* items */
    uint32_t list[LIST_MAX];
    size_t n;
};

static void put(struct gathering *g, uint32_t item)
{
    if (g->listed[item] || g->n == LIST_MAX) return;
    g->listed[item] = true;
    g->list[g->n++] = item;
}

static bool add_list(struct gathering *g, struct lists *l, size_t u)
{
    const struct reco_data *d = g->j->data;
    const struct interactions *seen = &g->j->seen, *took = &g->j->took;
    const size_t items = d->items, from = d->start[u], n = reco_data_end(d, g->j->part, u) - from;
    struct scored best[BEST_OF_EACH];
    for (size_t i = 0; i < n; i++) g->weight[i] = fminf(d->weight[from + i], 1);
    const struct reco_history h = {.item = d->item + from, .weight = g->weight, .n = n};
    g->n = 0;
    for (size_t e = took->start[u]; e < took->start[u + 1]; e++) put(g, took->col[e]);
    for (size_t c = 0; c < l->components; c++) {
        float *s = g->scores + c * items;
        recommender_score(g->r, l->of[c], &h, NULL, s);
        for (size_t e = seen->start[u]; e < seen->start[u + 1]; e++) s[seen->col[e]] = -INFINITY;
        const size_t k = topk_select(s, items, BEST_OF_EACH, best);
        for (size_t i = 0; i < k; i++) put(g, best[i].item);
    }
    if (!make_room(l, g->n)) return false;
    for (size_t i = 0; i < g->n; i++) {
        g->listed[g->list[i]] = false;
        for (size_t c = 0; c < l->components; c++) l->score[(l->n + i) * l->components + c] = g->scores[c * items + g->list[i]];
        l->relevant[l->n + i] = i < took->start[u + 1] - took->start[u];
    }
    l->n += g->n;
    l->start[++l->users] = l->n;
    return true;
}

/* Lists of the customers held out, evenly spread over them where there are many. */
static enum meros_code gather(const struct recommender *r, const struct reco_judges *j, struct training_part *progress, struct lists *l,
                              struct meros_err *err)
{
    const struct reco_data *d = j->data;
    const struct ml_run run = training_ml_run(progress, d->bytes);
    const size_t every = (d->valid_users + LISTS_MAX - 1) / LISTS_MAX;
    struct gathering g = {.r = r, .j = j};
    size_t longest = 0, met = 0;
    for (size_t u = 0; u < d->users; u++) longest = longest < d->start[u + 1] - d->start[u] ? d->start[u + 1] - d->start[u] : longest;
    g.scores = malloc((l->components * d->items + 1) * sizeof *g.scores);
    g.weight = malloc((longest + 1) * sizeof *g.weight);
    g.listed = calloc(d->items + 1, sizeof *g.listed);
    l->start = calloc(LISTS_MAX + 1, sizeof *l->start);
    enum meros_code rc = g.scores == NULL || g.weight == NULL || g.listed == NULL || l->start == NULL ? no_memory(err) : MEROS_OK;
    for (size_t u = 0; u < d->users && rc == MEROS_OK; u++) {
        if (interactions_of(&j->took, u) == 0 || met++ % every != 0) continue;
        if (l->users % 64 == 0) rc = ml_run_check(&run, 0.6 * (double)met / (double)(d->valid_users + 1), "blending", err);
        if (rc == MEROS_OK && !add_list(&g, l, u)) rc = no_memory(err);
    }
    free(g.scores);
    free(g.weight);
    free(g.listed);
    return rc;
}

/* --- halves: what one half of the customers taught is judged by the other */

static bool half_of(const struct lists *l, size_t odd, struct lists *out)
{
    *out = (struct lists){.components = l->components};
    out->start = calloc(l->users / 2 + 2, sizeof *out->start);
    if (out->start == NULL) return false;
    for (size_t u = odd; u < l->users; u += 2) {
        const size_t rows = l->start[u + 1] - l->start[u];
        if (!make_room(out, rows)) return false;
        memcpy(out->score + out->n * l->components, l->score + l->start[u] * l->components, rows * l->components * sizeof *l->score);
        memcpy(out->relevant + out->n, l->relevant + l->start[u], rows);
        out->n += rows;
        out->start[++out->users] = out->n;
    }
    return true;
}

static struct blend_lists lists_of(const struct lists *l)
{
    return (struct blend_lists){l->users, l->components, l->start, l->score, l->relevant};
}

static enum meros_code fit_lists(const struct lists *l, const struct ml_run *run, struct blend *out, struct meros_err *err)
{
    static const struct blend_params params = BLEND_PARAMS_DEFAULT;
    const struct blend_lists lists = lists_of(l);
    return blend_fit(&lists, &params, run, out, err);
}

/* What is to be expected on customers that a blend has not seen, as a share of what it reaches on those that it has: one half of them is
 * judged by what the other half taught. 1 where there are too few to tell. */
static enum meros_code honesty(const struct lists *l, const struct ml_run *run, double *out, struct meros_err *err)
{
    struct lists halves[2] = {{0}, {0}};
    struct blend b[2];
    double own = 0, others = 0;
    enum meros_code rc = half_of(l, 0, &halves[0]) && half_of(l, 1, &halves[1]) ? MEROS_OK : no_memory(err);
    for (int h = 0; h < 2 && rc == MEROS_OK; h++) rc = fit_lists(&halves[h], run, &b[h], err);
    for (int h = 0; h < 2 && rc == MEROS_OK; h++) {
        const struct blend_lists lists = lists_of(&halves[h]);
        double by_other = 0;
        rc = blend_ndcg(&lists, &b[1 - h], RECO_K, &by_other, err);
        own += b[h].ndcg;
        others += by_other;
    }
    *out = rc == MEROS_OK && own > 0 ? fmin(others / own, 1) : 1;
    lists_done(&halves[0]);
    lists_done(&halves[1]);
    if (rc != MEROS_UNPROCESSABLE) return rc; /* a half in which nothing was relevant */
    err_clear(err);
    return MEROS_OK;
}

/* --- all */

static void take(struct reco_training *t, struct recommender *r, const struct lists *l, const struct blend *b)
{
    for (int a = 0; a < RECO_ALGORITHMS; a++) {
        t->blend[a] = 0;
        t->blend_scale[a] = 1;
    }
    for (size_t c = 0; c < l->components; c++) {
        t->blend[l->of[c]] = b->weight[c];
        t->blend_scale[l->of[c]] = fmax(b->scale[c], 1e-9);
    }
    memcpy(r->blend, t->blend, sizeof r->blend);
    memcpy(r->blend_scale, t->blend_scale, sizeof r->blend_scale);
}

/* A component of which next to nothing is used costs as much to answer with as any other. */
static void drop_small(struct blend *b, size_t components)
{
    double sum = 0;
    for (size_t c = 0; c < components; c++) {
        if (b->weight[c] < 0.02) b->weight[c] = 0;
        sum += b->weight[c];
    }
    for (size_t c = 0; c < components && sum > 0; c++) b->weight[c] /= sum;
}

enum meros_code reco_blend(struct reco_training *t, struct recommender *r, const struct reco_judges *j, struct meros_err *err)
{
    struct reco_candidate *c = &t->candidates[RECO_BLEND];
    struct lists l = {0};
    struct blend b = {0};
    double honest = 1;
    for (int a = 0; a < RECO_BLEND; a++)
        if (t->candidates[a].considered && t->candidates[a].left_out[0] == '\0' && recommender_has(r, (enum reco_algorithm)a))
            l.of[l.components++] = (enum reco_algorithm)a;
    struct training_part part = reco_work(t, RECO_BLEND, 1, "blending");
    const struct ml_run run = training_ml_run(&part, t->data.bytes);
    enum meros_code rc = gather(r, j, &part, &l, err);
    if (rc == MEROS_OK) rc = fit_lists(&l, &run, &b, err);
    if (rc == MEROS_UNPROCESSABLE) { /* nobody held out took anything that anything could have said */
        err_clear(err);
        snprintf(c->left_out, sizeof c->left_out, "What the customers held out took next teaches no blend.");
        lists_done(&l);
        return MEROS_OK;
    }
    if (rc == MEROS_OK && b.single)
        snprintf(c->left_out, sizeof c->left_out, "No blend ranks better than one of its components alone.");
    if (rc == MEROS_OK && !b.single) rc = honesty(&l, &run, &honest, err);
    if (rc == MEROS_OK && !b.single) {
        drop_small(&b, l.components);
        take(t, r, &l, &b);
        part = reco_work(t, RECO_BLEND, 1, "blending");
        rc = reco_measure(r, RECO_BLEND, j, &part, &c->validation, err);
        c->validation.ndcg *= honest;
    }
    lists_done(&l);
    return rc;
}
