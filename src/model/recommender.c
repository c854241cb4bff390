#include "meros/model/recommender.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/base/clock.h"
#include "meros/ml/matrix.h"
#include "meros/ml/topk.h"
#include "recommender_priv.h"

const char *const reco_algorithm_words[] = {"popular", "content", "item_knn", "ease", "als", "sequence", "blend", NULL};

/* --- EASE in sparse rows */

void reco_rows_done(struct reco_rows *t)
{
    free(t->start);
    free(t->item);
    free(t->value);
    *t = (struct reco_rows){0};
}

static int by_item(const void *a, const void *b)
{
    const uint32_t x = ((const struct scored *)a)->item, y = ((const struct scored *)b)->item;
    return (x > y) - (x < y);
}

static size_t strongest(const float *row, size_t items, size_t k, float *size, struct scored *out)
{
    if (k >= items) { /* all of it, without putting it in order twice */
        size_t n = 0;
        for (size_t j = 0; j < items; j++)
            if (row[j] != 0) out[n++].item = (uint32_t)j;
        return n;
    }
    for (size_t j = 0; j < items; j++) size[j] = row[j] == 0 ? -INFINITY : fabsf(row[j]);
    const size_t n = topk_select(size, items, k, out);
    qsort(out, n, sizeof *out, by_item);
    return n;
}

enum meros_code reco_rows_of(const struct ease_model *m, size_t k, struct reco_rows *out, struct meros_err *err)
{
    struct reco_rows t = {.items = m->items};
    float *size = ml_alloc(m->items, sizeof *size);
    struct scored *best = NULL;
    enum meros_code rc = MEROS_OK;
    k = k < m->items ? k : m->items;
    best = ml_alloc(k, sizeof *best);
    t.start = calloc(m->items + 1, sizeof *t.start);
    t.item = m->items > 0 ? calloc(k, m->items * sizeof *t.item) : malloc(1);
    t.value = m->items > 0 ? calloc(k, m->items * sizeof *t.value) : malloc(1);
    if (size == NULL || best == NULL || t.start == NULL || t.item == NULL || t.value == NULL) {
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu entries of each of %zu items", k, m->items);
        goto out;
    }
    for (size_t i = 0; i < m->items; i++) {
        const float *row = m->b + i * m->items;
        const size_t n = strongest(row, m->items, k, size, best);
        for (size_t e = 0; e < n; e++, t.n++) {
            t.item[t.n] = best[e].item;
            t.value[t.n] = row[best[e].item];
        }
        t.start[i + 1] = t.n;
    }
    *out = t;
    t = (struct reco_rows){0};
out:
    reco_rows_done(&t);
    free(best);
    free(size);
    return rc;
}

static void add_rows(const struct reco_rows *t, uint32_t item, float weight, float *scores)
{
    for (size_t e = t->start[item]; e < t->start[item + 1]; e++) scores[t->item[e]] += weight * t->value[e];
}

/* --- its life */

struct recommender *recommender_new(size_t items)
{
    struct recommender *r = calloc(1, sizeof *r);
    if (r == NULL) return NULL;
    r->items = items;
    r->as_of = r->trained_at = r->data_from = r->data_to = TIME_NONE;
    memcpy(r->name, RECOMMENDER_NAME, sizeof RECOMMENDER_NAME);
    r->product_no = ml_alloc(items, sizeof *r->product_no);
    r->popular = ml_alloc(items, sizeof *r->popular);
    r->trending = ml_alloc(items, sizeof *r->trending);
    r->repeat_days = ml_alloc(items, sizeof *r->repeat_days);
    if (r->product_no != NULL && r->popular != NULL && r->trending != NULL && r->repeat_days != NULL) return r;
    recommender_free(r);
    return NULL;
}

void recommender_free(struct recommender *r)
{
    if (r == NULL) return;
    free(r->product_no);
    free(r->popular);
    free(r->trending);
    free(r->repeat_days);
    als_model_done(&r->als);
    reco_rows_done(&r->ease);
    neighbours_done(&r->item_knn);
    neighbours_done(&r->item_knn_turned);
    neighbours_done(&r->content);
    bought_together_done(&r->together);
    neighbours_done(&r->next);
    free(r);
}

enum meros_code recommender_finish(struct recommender *r, struct meros_err *err)
{
    struct neighbours turned;
    if (r->item_knn.start == NULL) return MEROS_OK;
    enum meros_code rc = neighbours_turn(&r->item_knn, &turned, err);
    if (rc != MEROS_OK) return rc;
    neighbours_done(&r->item_knn_turned);
    r->item_knn_turned = turned;
    return MEROS_OK;
}

bool recommender_has(const struct recommender *r, enum reco_algorithm a)
{
    switch (a) {
    case RECO_POPULAR: return true;
    case RECO_CONTENT: return r->content.n > 0;
    case RECO_ITEM_KNN: return r->item_knn_turned.n > 0;
    case RECO_EASE: return r->ease.n > 0;
    case RECO_ALS: return r->als.item != NULL;
    case RECO_SEQUENCE: return r->next.n > 0;
    case RECO_BLEND:
        for (int c = 0; c < RECO_BLEND; c++) {
            if (recommender_blends(r, (enum reco_algorithm)c)) return true;
        }
        return false;
    case RECO_ALGORITHMS: break;
    }
    return false;
}

static size_t memory_of(const struct neighbours *t)
{
    return t->start == NULL ? 0 : (t->items + 1) * sizeof *t->start + t->n * (sizeof *t->item + sizeof *t->score);
}

size_t recommender_memory(const struct recommender *r)
{
    size_t bytes = sizeof *r + r->items * (sizeof *r->product_no + sizeof *r->popular + sizeof *r->trending + sizeof *r->repeat_days);
    if (r->als.item != NULL) bytes += (r->als.items + 1) * r->als.stride * sizeof(float);
    if (r->ease.start != NULL) bytes += (r->ease.items + 1) * sizeof *r->ease.start + r->ease.n * (sizeof *r->ease.item + sizeof *r->ease.value);
    if (r->together.count != NULL) bytes += r->together.table.n * sizeof *r->together.count + r->items * sizeof *r->together.alone;
    return bytes + memory_of(&r->item_knn) + memory_of(&r->item_knn_turned) + memory_of(&r->content) + memory_of(&r->together.table) +
           memory_of(&r->next);
}

uint32_t recommender_item(const struct recommender *r, int64_t product_no)
{
    size_t from = 0, to = r->items;
    while (from < to) {
        const size_t middle = from + (to - from) / 2;
        if (r->product_no[middle] < product_no) from = middle + 1;
        else to = middle;
    }
    return from < r->items && r->product_no[from] == product_no ? (uint32_t)from : RECO_NO_ITEM;
}

struct reco_history recommender_history(const struct recommender *r, const struct interaction_row *rows, size_t n, uint32_t *item,
                                        float *weight)
{
    struct reco_history h = {.item = item, .weight = weight};
    for (size_t i = 0; i < n; i++) {
        const float w = (float)rows[i].weight;
        const uint32_t of = w == 0 || !isfinite(w) ? RECO_NO_ITEM : recommender_item(r, rows[i].product_no);
        if (of == RECO_NO_ITEM) continue;
        item[h.n] = of;
        weight[h.n++] = w;
    }
    return h;
}

/* --- scores */

void recommender_fold(const struct als_model *m, const struct reco_history *h, float most, float *user)
{
    float weight[ALS_FOLD_MAX];
    const size_t from = h->n > ALS_FOLD_MAX ? h->n - ALS_FOLD_MAX : 0;
    for (size_t i = from; i < h->n; i++) weight[i - from] = fminf(h->weight[i], most);
    als_fold_in(m, h->item + from, weight, h->n - from, user);
}

/* A component's scores; weights above `most` count as it. */
static void score_component(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, float most, float *scores)
{
    if (a == RECO_POPULAR) {
        memcpy(scores, r->popular, r->items * sizeof *scores);
        return;
    }
    if (a == RECO_ALS) {
        float user[ALS_FACTORS_MAX] __attribute__((aligned(64)));
        recommender_fold(&r->als, h, most, user);
        als_score(&r->als, user, scores);
        return;
    }
    double share = 1;
    memset(scores, 0, r->items * sizeof *scores);
    for (size_t at = 0; at < h->n; at++) {
        const size_t i = a == RECO_SEQUENCE ? h->n - 1 - at : at; /* the last leads on the most */
        if (!(h->weight[i] > 0)) continue;
        float w = a == RECO_EASE ? fminf(h->weight[i], 1) : fminf(h->weight[i], most);
        switch (a) {
        case RECO_CONTENT: neighbours_add_scores(&r->content, &h->item[i], &w, 1, scores); break;
        case RECO_ITEM_KNN: neighbours_add_scores(&r->item_knn_turned, &h->item[i], &w, 1, scores); break;
        case RECO_EASE: add_rows(&r->ease, h->item[i], w, scores); break;
        default:
            w = (float)share;
            neighbours_add_scores(&r->next, &h->item[i], &w, 1, scores);
            share *= r->next_decay;
        }
    }
}

void recommender_score(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, float *scratch, float *scores)
{
    if (a != RECO_POPULAR && (h->n == 0 || !recommender_has(r, a))) {
        memset(scores, 0, r->items * sizeof *scores);
        return;
    }
    if (a != RECO_BLEND) {
        score_component(r, a, h, INFINITY, scores);
        return;
    }
    memset(scores, 0, r->items * sizeof *scores);
    for (int c = 0; c < RECO_BLEND; c++) {
        if (!recommender_blends(r, (enum reco_algorithm)c)) continue;
        const float share = recommender_share(r, (enum reco_algorithm)c);
        score_component(r, (enum reco_algorithm)c, h, 1, scratch);
        for (size_t j = 0; j < r->items; j++) scores[j] += share * scratch[j];
    }
}
