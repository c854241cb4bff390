/* One product: its score, why it was recommended, and how alike it is to another. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "recommender_priv.h"

/* What a component's score of one item is made of. */
struct said {
    uint32_t item; /* of the history, that says the most; RECO_NO_ITEM: none says anything for it */
    double most, total;
};

static void say(struct said *s, uint32_t item, double what)
{
    s->total += what;
    if (what > s->most) {
        s->most = what;
        s->item = item;
    }
}

/* The place of `to` in a row that ascends, or `end`. */
static size_t place_of(const uint32_t *item, size_t from, size_t end, uint32_t to)
{
    const size_t none = end;
    while (from < end) {
        const size_t middle = from + (end - from) / 2;
        if (item[middle] == to) return middle;
        if (item[middle] < to) from = middle + 1;
        else end = middle;
    }
    return none;
}

/* What `from` says of `to`; rows are best first, or ascend. 0: nothing. */
static float listed(const struct neighbours *t, uint32_t from, uint32_t to)
{
    for (size_t e = t->start[from]; e < t->start[from + 1]; e++) {
        if (t->item[e] == to) return t->score[e];
    }
    return 0;
}
static float sorted(const size_t *start, const uint32_t *item, const float *value, uint32_t from, uint32_t to)
{
    const size_t end = start[from + 1], at = place_of(item, start[from], end, to);
    return at == end ? 0 : value[at];
}

static float knows(const struct recommender *r, enum reco_algorithm a, uint32_t from, uint32_t to)
{
    const struct neighbours *knn = &r->item_knn_turned;
    switch (a) {
    case RECO_CONTENT: return listed(&r->content, from, to);
    case RECO_ITEM_KNN: return sorted(knn->start, knn->item, knn->score, from, to);
    case RECO_EASE: return sorted(r->ease.start, r->ease.item, r->ease.value, from, to);
    case RECO_SEQUENCE: return listed(&r->next, from, to);
    default: return 0;
    }
}

static void reason_als(const struct als_model *m, const struct reco_history *h, uint32_t to, float most, struct said *s)
{
    float weight[ALS_FOLD_MAX], adds[ALS_FOLD_MAX];
    const size_t from = h->n > ALS_FOLD_MAX ? h->n - ALS_FOLD_MAX : 0;
    for (size_t i = from; i < h->n; i++) weight[i - from] = fminf(h->weight[i], most);
    als_explain(m, h->item + from, weight, h->n - from, to, adds);
    for (size_t i = from; i < h->n; i++) say(s, h->item[i], (double)adds[i - from]);
}

static struct said reason_of(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to, float most)
{
    struct said s = {.item = RECO_NO_ITEM};
    double share = 1;
    if (a == RECO_POPULAR) {
        s.total = (double)r->popular[to];
        return s;
    }
    if (a == RECO_ALS) {
        reason_als(&r->als, h, to, most, &s);
        return s;
    }
    for (size_t i = h->n; i-- > 0;) {
        if (!(h->weight[i] > 0)) continue;
        double w = (double)fminf(h->weight[i], a == RECO_EASE ? 1 : most);
        if (a == RECO_SEQUENCE) {
            w = share;
            share *= r->next_decay;
        }
        say(&s, h->item[i], w * (double)knows(r, a, h->item[i], to));
    }
    return s;
}

static double score_of(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to, float most)
{
    float user[ALS_FACTORS_MAX] __attribute__((aligned(64)));
    if (a != RECO_ALS) return reason_of(r, a, h, to, most).total;
    recommender_fold(&r->als, h, most, user);
    return (double)als_score_of(&r->als, user, to);
}

float recommender_score_of(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to)
{
    double sum = 0;
    if (a == RECO_POPULAR) return r->popular[to];
    if (h->n == 0 || !recommender_has(r, a)) return 0;
    if (a != RECO_BLEND) return (float)score_of(r, a, h, to, INFINITY);
    for (int c = 0; c < RECO_BLEND; c++)
        if (recommender_blends(r, (enum reco_algorithm)c))
            sum += (double)recommender_share(r, (enum reco_algorithm)c) * score_of(r, (enum reco_algorithm)c, h, to, 1);
    return (float)sum;
}

uint32_t recommender_reason(const struct recommender *r, enum reco_algorithm a, const struct reco_history *h, uint32_t to,
                            enum reco_algorithm *out_kind)
{
    *out_kind = RECO_POPULAR;
    if (to >= r->items || h->n == 0 || !recommender_has(r, a)) return RECO_NO_ITEM;
    struct said best = {.item = RECO_NO_ITEM};
    enum reco_algorithm kind = a;
    if (a != RECO_BLEND) best = reason_of(r, a, h, to, INFINITY);
    for (int c = 0; a == RECO_BLEND && c < RECO_BLEND; c++) {
        if (!recommender_blends(r, (enum reco_algorithm)c)) continue;
        struct said s = reason_of(r, (enum reco_algorithm)c, h, to, 1);
        s.total *= (double)recommender_share(r, (enum reco_algorithm)c);
        if (!(s.total > best.total)) continue;
        best = s;
        kind = (enum reco_algorithm)c;
    }
    if (best.item != RECO_NO_ITEM) *out_kind = kind;
    return best.item;
}

static float either_way(const struct neighbours *t, uint32_t a, uint32_t b)
{
    const float x = listed(t, a, b), y = x > 0 ? x : listed(t, b, a);
    return fminf(y, 1);
}

float recommender_alike(const struct recommender *r, uint32_t a, uint32_t b)
{
    float alike = 0;
    if (a == b) return 1;
    if (r->als.item != NULL) alike = als_alike(&r->als, a, b);
    if (alike == 0 && r->item_knn.n > 0) alike = either_way(&r->item_knn, a, b);
    if (alike == 0 && r->content.n > 0) alike = either_way(&r->content, a, b);
    return alike;
}
