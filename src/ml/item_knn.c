#include "meros/ml/item_knn.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/matrix.h"
#include "pairs_priv.h"

struct cosine {
    const float *norm; /* an item */
    float shrink;
};

static void cosine_score(const void *arg, size_t item, const uint32_t *other, size_t n, float *sum)
{
    const struct cosine *c = arg;
    const float norm = c->norm[item];
    if (other == NULL) {
        for (size_t j = 0; j < n; j++) sum[j] /= norm * c->norm[j] + c->shrink;
    } else {
        for (size_t j = 0; j < n; j++) sum[j] /= norm * c->norm[other[j]] + c->shrink;
    }
}

static enum meros_code check(const struct item_knn_params *p, struct meros_err *err)
{
    if (p->k < 1 || p->k > NEIGHBOURS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d neighbours: it takes 1 to %d", p->k, NEIGHBOURS_MAX);
    }
    if (p->weighting != ITEM_KNN_PLAIN && p->weighting != ITEM_KNN_BM25) {
        return err_set(err, MEROS_UNPROCESSABLE, "there is no such weighting");
    }
    if (!(p->shrink >= 0 && p->shrink <= 1e9)) {
        return err_set(err, MEROS_UNPROCESSABLE, "shrink %g is not within 0 .. 1e9", p->shrink);
    }
    if (!(p->k1 > 0 && p->k1 <= 1e6)) return err_set(err, MEROS_UNPROCESSABLE, "k1 %g is not above 0 and at most 1e6", p->k1);
    if (!(p->b >= 0 && p->b <= 1)) return err_set(err, MEROS_UNPROCESSABLE, "b %g is not within 0 .. 1", p->b);
    return MEROS_OK;
}

static enum meros_code fit_cosine(struct pairs *pairs, double shrink, const struct ml_run *run, struct neighbours *out,
                                  struct meros_err *err)
{
    const struct interactions *x = pairs->by_item;
    float *norm = ml_alloc_raw(x->rows, sizeof *norm);
    if (norm == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu items", x->rows);
    for (size_t i = 0; i < x->rows; i++) { /* an item without weight meets nothing, so that 0 / 0 is never kept */
        double sum = 0;
        for (size_t e = x->start[i]; e < x->start[i + 1]; e++) sum += (double)x->weight[e] * (double)x->weight[e];
        norm[i] = (float)sqrt(sum);
    }
    const struct cosine c = {.norm = norm, .shrink = (float)shrink};
    pairs->score = cosine_score;
    pairs->arg = &c;
    enum meros_code code = pairs_fit(pairs, run, out, err);
    free(norm);
    return code;
}

/* The weights of by_item as BM25 has them; those of 0 and below become 0. */
static void weigh(const struct interactions *by_user, double k1, double b, struct interactions *by_item)
{
    double total = 0;
    for (size_t e = 0; e < by_item->n; e++) total += fmax(0, (double)by_item->weight[e]);
    const double mean = total / (double)by_item->rows;
    for (size_t i = 0; i < by_item->rows; i++) {
        double length = 0;
        for (size_t e = by_item->start[i]; e < by_item->start[i + 1]; e++) length += fmax(0, (double)by_item->weight[e]);
        for (size_t e = by_item->start[i]; e < by_item->start[i + 1]; e++) {
            const double w = fmax(0, (double)by_item->weight[e]);
            const double owns = (double)interactions_of(by_user, by_item->col[e]);
            const double idf = fmax(0, log((double)by_item->rows / (1 + owns)));
            by_item->weight[e] = w > 0 ? (float)(w * (k1 + 1) / (w + k1 * (1 - b + b * length / mean)) * idf) : 0;
        }
    }
}

static enum meros_code fit_bm25(struct pairs *pairs, const struct item_knn_params *params, const struct ml_run *run,
                                struct neighbours *out, struct meros_err *err)
{
    struct interactions by_item = {0}, by_user = {0};
    enum meros_code code = interactions_transpose(pairs->by_user, 0, &by_item, err);
    if (code != MEROS_OK) return code;
    weigh(pairs->by_user, params->k1, params->b, &by_item);
    code = interactions_transpose(&by_item, 0, &by_user, err);
    if (code == MEROS_OK) {
        pairs->by_item = &by_item;
        pairs->by_user = &by_user;
        code = fit_cosine(pairs, params->shrink, run, out, err);
    }
    interactions_done(&by_user);
    interactions_done(&by_item);
    return code;
}

/* No more neighbours than there can be. */
static size_t kept(const struct item_knn_params *params, size_t items)
{
    const size_t k = (size_t)params->k;
    return k <= items ? k : items > 0 ? items : 1;
}

size_t item_knn_memory(const struct item_knn_params *params, size_t users, size_t items, size_t n, struct ml_pool *pool)
{
    struct ml_need need = {0};
    pairs_need(items, kept(params, items), (size_t)ml_pool_threads(pool), &need);
    if (params->weighting == ITEM_KNN_BM25) ml_need_add(&need, 1, interactions_memory(items, n) + interactions_memory(users, n));
    return need.overflow ? SIZE_MAX : need.bytes;
}

enum meros_code item_knn_fit(const struct interactions *by_user, const struct interactions *by_item,
                             const struct item_knn_params *params, const struct ml_run *run, struct neighbours *out,
                             struct meros_err *err)
{
    enum meros_code code = check(params, err);
    if (code != MEROS_OK) return code;
    struct pairs pairs = {.by_user = by_user, .by_item = by_item, .k = kept(params, by_item->rows), .what = "the item neighbours"};
    if (params->weighting == ITEM_KNN_PLAIN) return fit_cosine(&pairs, params->shrink, run, out, err);
    return fit_bm25(&pairs, params, run, out, err);
}
