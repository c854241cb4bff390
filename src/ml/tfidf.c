#include "meros/ml/tfidf.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/item_knn.h"
#include "meros/ml/matrix.h"
#include "pairs_priv.h"

static enum meros_code check(const struct interactions *counts, const struct tfidf_params *p, struct meros_err *err)
{
    if (p->k < 1 || p->k > NEIGHBOURS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d neighbours: it takes 1 to %d", p->k, NEIGHBOURS_MAX);
    }
    if (p->min_df < 1) return err_set(err, MEROS_UNPROCESSABLE, "terms of at least %d documents: it takes 1 or more", p->min_df);
    if (!(p->max_df > 0 && p->max_df <= 1)) {
        return err_set(err, MEROS_UNPROCESSABLE, "max_df %g is not above 0 and at most 1", p->max_df);
    }
    for (size_t e = 0; e < counts->n; e++) {
        if (counts->weight[e] > 0 && isfinite(counts->weight[e])) continue;
        return err_set(err, MEROS_UNPROCESSABLE, "a document has a term %g times", (double)counts->weight[e]);
    }
    return MEROS_OK;
}

/* How much a term tells; 0: it is left out. */
static void idf_of(const struct interactions *counts, const struct tfidf_params *p, double *idf)
{
    const double n = (double)counts->rows;
    for (size_t e = 0; e < counts->n; e++) idf[counts->col[e]]++;
    for (size_t t = 0; t < counts->cols; t++) {
        const double df = idf[t];
        idf[t] = df >= (double)p->min_df && df <= p->max_df * n ? log((1 + n) / (1 + df)) + 1 : 0;
    }
}

static double tf_of(double count, bool sublinear)
{
    return sublinear && count > 1 ? 1 + log(count) : count;
}

/* Row d of the vectors; returns how many entries it has. */
static size_t weigh(const struct interactions *counts, size_t d, bool sublinear, const double *idf, uint32_t *col, float *weight)
{
    size_t n = 0;
    double norm2 = 0;
    for (size_t e = counts->start[d]; e < counts->start[d + 1]; e++) {
        const double v = tf_of((double)counts->weight[e], sublinear) * idf[counts->col[e]];
        norm2 += v * v;
    }
    for (size_t e = counts->start[d]; e < counts->start[d + 1]; e++) {
        const double v = tf_of((double)counts->weight[e], sublinear) * idf[counts->col[e]];
        if (v == 0) continue;
        col[n] = counts->col[e];
        weight[n++] = (float)(v / sqrt(norm2));
    }
    return n;
}

enum meros_code tfidf_vectors(const struct interactions *counts, const struct tfidf_params *params, size_t budget,
                              struct interactions *out, struct meros_err *err)
{
    struct interactions x = {.rows = counts->rows, .cols = counts->cols};
    struct ml_need need = {.bytes = interactions_memory(counts->rows, counts->n)};
    enum meros_code code = check(counts, params, err);
    if (code != MEROS_OK) return code;
    ml_need_add(&need, counts->cols, sizeof(double));
    code = ml_need_check(&need, budget, "the weights of terms", err);
    if (code != MEROS_OK) return code;
    double *idf = ml_alloc(counts->cols, sizeof *idf);
    x.start = ml_alloc(counts->rows + 1, sizeof *x.start);
    x.col = ml_alloc_raw(counts->n, sizeof *x.col);
    x.weight = ml_alloc_raw(counts->n, sizeof *x.weight);
    if (idf == NULL || x.start == NULL || x.col == NULL || x.weight == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the terms of %zu documents", counts->rows);
        goto out;
    }
    idf_of(counts, params, idf);
    for (size_t d = 0; d < counts->rows; d++) {
        x.n += weigh(counts, d, params->sublinear, idf, x.col + x.n, x.weight + x.n);
        x.start[d + 1] = x.n;
    }
    *out = x;
    x = (struct interactions){0};
out:
    interactions_done(&x);
    free(idf);
    return code;
}

/* The sums are the cosines, but for what rounding adds to those of documents that are the same. */
static void cosine(const void *arg, size_t item, const uint32_t *other, size_t n, float *sum)
{
    (void)arg, (void)item, (void)other;
    for (size_t j = 0; j < n; j++) sum[j] = sum[j] < 1 ? sum[j] : 1;
}

struct size {
    uint32_t term, documents;
};

static int commonest(const void *a, const void *b)
{
    const struct size *x = a, *y = b;
    if (x->documents != y->documents) return x->documents > y->documents ? -1 : 1;
    return (x->term > y->term) - (x->term < y->term);
}

/* The rows of by_term from the commonest term on; without those of a single document, which is near nobody for it. */
static enum meros_code put_in_order(const struct interactions *by_term, struct interactions *out, struct meros_err *err)
{
    struct interactions x = {.cols = by_term->cols};
    struct size *sizes = ml_alloc_raw(by_term->rows, sizeof *sizes);
    x.start = ml_alloc(by_term->rows + 1, sizeof *x.start);
    x.col = ml_alloc_raw(by_term->n, sizeof *x.col);
    x.weight = ml_alloc_raw(by_term->n, sizeof *x.weight);
    if (sizes == NULL || x.start == NULL || x.col == NULL || x.weight == NULL) {
        free(sizes);
        interactions_done(&x);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the terms of %zu documents", by_term->cols);
    }
    for (size_t t = 0; t < by_term->rows; t++) sizes[t] = (struct size){(uint32_t)t, (uint32_t)interactions_of(by_term, t)};
    qsort(sizes, by_term->rows, sizeof *sizes, commonest);
    for (size_t t = 0; t < by_term->rows && sizes[t].documents > 1; t++) {
        const size_t from = by_term->start[sizes[t].term];
        memcpy(x.col + x.n, by_term->col + from, sizes[t].documents * sizeof *x.col);
        memcpy(x.weight + x.n, by_term->weight + from, sizes[t].documents * sizeof *x.weight);
        x.start[++x.rows] = x.n += sizes[t].documents;
    }
    free(sizes);
    *out = x;
    return MEROS_OK;
}

enum meros_code tfidf_fit(const struct interactions *counts, const struct tfidf_params *params, const struct ml_run *run,
                          struct neighbours *out, struct meros_err *err)
{
    const size_t budget = run == NULL ? 0 : run->memory_budget;
    struct interactions by_document = {0}, by_term = {0}, any_order = {0};
    enum meros_code code = tfidf_vectors(counts, params, budget, &by_document, err);
    if (code == MEROS_OK) code = interactions_transpose(&by_document, budget, &any_order, err);
    interactions_done(&by_document);
    if (code == MEROS_OK) code = put_in_order(&any_order, &by_term, err);
    interactions_done(&any_order);
    if (code == MEROS_OK) code = interactions_transpose(&by_term, budget, &by_document, err);
    if (code == MEROS_OK) {
        struct pairs pairs = {.by_user = &by_term, .by_item = &by_document, .k = (size_t)params->k, .most = params->most, .score = cosine,
                              .what = "what reads alike"};
        if (pairs.k > counts->rows) pairs.k = counts->rows > 0 ? counts->rows : 1;
        code = pairs_fit(&pairs, run, out, err);
    }
    interactions_done(&by_term);
    interactions_done(&by_document);
    return code;
}
