#include <math.h>

#include "meros/ml/item_knn.h"
#include "recommend_data.h"

static struct item_knn_params params(enum item_knn_weighting weighting, int k, double shrink)
{
    struct item_knn_params p = ITEM_KNN_PARAMS_DEFAULT;
    p.weighting = weighting;
    p.k = k;
    p.shrink = shrink;
    return p;
}

static struct neighbours fit(const struct both *b, const struct item_knn_params *p, const struct ml_run *run)
{
    struct neighbours t;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(item_knn_fit(&b->user, &b->item, p, run, &t, &err), MEROS_OK, "%s", err.detail);
    return t;
}

/* The similarities of item_knn.h over the dense matrix, in double: (items, items). */
static double *naive(const struct interactions *x, const struct item_knn_params *p)
{
    double *w = dense_of(x), mean = 0;
    const size_t users = x->rows, items = x->cols;
    double *s = calloc(items * items, sizeof *s);
    for (size_t c = 0; c < users * items; c++) mean += fmax(0, w[c]) / (double)items;
    if (p->weighting == ITEM_KNN_BM25) {
        for (size_t i = 0; i < items; i++) {
            double length = 0;
            for (size_t u = 0; u < users; u++) length += fmax(0, w[u * items + i]);
            for (size_t u = 0; u < users; u++) {
                double *v = &w[u * items + i];
                const double idf = fmax(0, log((double)items / (1 + (double)interactions_of(x, u))));
                *v = *v > 0 ? *v * (p->k1 + 1) / (*v + p->k1 * (1 - p->b + p->b * length / mean)) * idf : 0;
            }
        }
    }
    for (size_t i = 0; i < items; i++) {
        for (size_t j = 0; j < items; j++) {
            double dot = 0, a = 0, b = 0;
            for (size_t u = 0; u < users; u++) {
                dot += w[u * items + i] * w[u * items + j];
                a += w[u * items + i] * w[u * items + i];
                b += w[u * items + j] * w[u * items + j];
            }
            s[i * items + j] = i != j && dot > 0 ? dot / (sqrt(a * b) + p->shrink) : 0;
        }
    }
    free(w);
    return s;
}

static void expect_naive(const struct both *b, const struct item_knn_params *p, const struct ml_run *run)
{
    struct neighbours t = fit(b, p, run);
    double *s = naive(&b->user, p);
    const size_t items = b->user.cols;
    for (size_t i = 0; i < items; i++) {
        size_t positive = 0;
        const size_t n = t.start[i + 1] - t.start[i];
        for (size_t j = 0; j < items; j++) positive += s[i * items + j] > 1e-7;
        cr_assert_eq(n, positive < (size_t)p->k ? positive : (size_t)p->k, "item %zu: %zu of %zu", i, n, positive);
        for (size_t e = t.start[i]; e < t.start[i + 1]; e++) {
            double *at = &s[i * items + t.item[e]];
            cr_assert_float_eq((double)t.score[e], *at, 1e-5);
            cr_assert(e == t.start[i] || t.score[e] <= t.score[e - 1]);
            *at = 0;
        }
        for (size_t j = 0; n > 0 && j < items; j++) { /* nothing left out is better than the last that is in */
            cr_assert_leq(s[i * items + j], (double)t.score[t.start[i + 1] - 1] + 1e-5);
        }
    }
    free(s);
    neighbours_done(&t);
}

Test(item_knn, is_the_definition_for_every_weighting_and_shrinkage_dense_or_sparse)
{
    struct both dense = both_random(80, 50, 900, 3, true, 1), sparse = both_random(80, 400, 300, 7, true, 2);
    for (int weighting = ITEM_KNN_PLAIN; weighting <= ITEM_KNN_BM25; weighting++) {
        for (double shrink = 0; shrink < 20; shrink += 7.5) {
            const struct item_knn_params p = params((enum item_knn_weighting)weighting, 8, shrink);
            expect_naive(&dense, &p, NULL);
            expect_naive(&sparse, &p, NULL);
        }
    }
    both_done(&dense);
    both_done(&sparse);
}

Test(item_knn, of_hand_worked_items)
{
    /* item 0: users 0 1 2, item 1: users 0 1, item 2: user 2 with weight 2, item 3: nobody */
    const struct interaction t[] = {{0, 0, 1}, {1, 0, 1}, {2, 0, 1}, {0, 1, 1}, {1, 1, 1}, {2, 2, 2}};
    struct both b = both_of(t, 6, 3, 4);
    const struct item_knn_params p = params(ITEM_KNN_PLAIN, 3, 1);
    struct neighbours n = fit(&b, &p, NULL), turned;
    const size_t start[] = {0, 2, 3, 4, 4};
    const uint32_t item[] = {1, 2, 0, 0};
    cr_assert_eq(n.n, 4);
    cr_expect_arr_eq(n.start, start, sizeof start);
    cr_expect_arr_eq(n.item, item, sizeof item);
    cr_expect_float_eq(n.score[0], 2 / (sqrt(6) + 1), 1e-6);
    cr_expect_float_eq(n.score[1], 2 / (2 * sqrt(3) + 1), 1e-6);
    float scores[4] = {0};
    const uint32_t history[] = {0, 9};
    const float weights[] = {2, 5};
    cr_assert_eq(neighbours_turn(&n, &turned, NULL), MEROS_OK);
    neighbours_add_scores(&turned, history, weights, 2, scores);
    cr_expect_float_eq(scores[1], 2 * 2 / (sqrt(6) + 1), 1e-6);
    cr_expect_eq(scores[0] + scores[3], 0);
    neighbours_done(&turned);
    neighbours_done(&n);
    both_done(&b);
}

Test(item_knn, is_the_same_with_any_number_of_threads_and_with_nothing_is_empty)
{
    struct both b = both_random(300, 200, 3000, 5, false, 4);
    struct item_knn_params p = params(ITEM_KNN_BM25, 15, 0);
    struct neighbours one = fit(&b, &p, NULL);
    struct ml_run run = {0};
    cr_assert_eq(ml_pool_new(&run.pool, 3, 0, NULL), MEROS_OK);
    struct neighbours three = fit(&b, &p, &run);
    ml_pool_free(run.pool);
    cr_assert_eq(one.n, three.n);
    cr_expect_arr_eq(one.item, three.item, one.n * sizeof *one.item);
    cr_expect_arr_eq(one.score, three.score, one.n * sizeof *one.score);
    neighbours_done(&one);
    neighbours_done(&three);
    both_done(&b);
    b = both_of(NULL, 0, 4, 0);
    one = fit(&b, &p, NULL);
    cr_expect_eq(one.n, 0);
    neighbours_done(&one);
    both_done(&b);
}

Test(item_knn, refuses_what_makes_no_sense_and_keeps_its_budget)
{
    struct both b = both_random(30, 20, 100, 5, false, 4);
    struct meros_err err = MEROS_ERR_INIT;
    struct neighbours t = {0};
    struct item_knn_params p = params(ITEM_KNN_PLAIN, 0, 0);
    cr_expect_eq(item_knn_fit(&b.user, &b.item, &p, NULL, &t, &err), MEROS_UNPROCESSABLE);
    p = params(ITEM_KNN_PLAIN, 5, NAN);
    cr_expect_eq(item_knn_fit(&b.user, &b.item, &p, NULL, &t, &err), MEROS_UNPROCESSABLE);
    p = params(ITEM_KNN_PLAIN, 5, 0);
    cr_expect_eq(item_knn_fit(&b.user, &b.user, &p, NULL, &t, &err), MEROS_UNPROCESSABLE);
    struct ml_run run = {.memory_budget = 100};
    cr_expect_eq(item_knn_fit(&b.user, &b.item, &p, &run, &t, &err), MEROS_OUT_OF_MEMORY);
    cr_assert_null(t.start);
    run.memory_budget = item_knn_memory(&p, 30, 20, b.user.n, NULL);
    cr_expect_eq(item_knn_fit(&b.user, &b.item, &p, &run, &t, &err), MEROS_OK, "what it says that it takes is enough");
    neighbours_done(&t);
    run.memory_budget--;
    cr_expect_eq(item_knn_fit(&b.user, &b.item, &p, &run, &t, &err), MEROS_OUT_OF_MEMORY);
    p.k = NEIGHBOURS_MAX;
    cr_expect_lt(item_knn_memory(&p, 30, 20, b.user.n, NULL), 20 * 20 * 20, "no more neighbours than there can be");
    both_done(&b);
}
