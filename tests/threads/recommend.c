/* The fits of recommendations give the same bits with 1, 2 and 5 threads, and models are read by several threads at
 * once; run under ThreadSanitizer. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/als.h"
#include "meros/ml/blas.h"
#include "meros/ml/bought_together.h"
#include "meros/ml/ease.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/rng.h"

enum { USERS = 700, ITEMS = 600, N = 9000 };

struct fits {
    struct als_model als;
    struct ease_model ease;
    struct neighbours knn;
    struct bought_together baskets;
    struct ranking_metrics metrics;
};

static struct interactions by_user, by_item, test;

static int fit(struct ml_pool *pool, struct fits *f)
{
    const struct ml_run run = {.pool = pool};
    struct als_params als = ALS_PARAMS_DEFAULT;
    struct item_knn_params knn = ITEM_KNN_PARAMS_DEFAULT;
    struct bought_together_params baskets = BOUGHT_TOGETHER_PARAMS_DEFAULT;
    als.factors = 16;
    als.iterations = 2;
    baskets.min_count = 2;
    if (als_fit(&by_user, &by_item, &als, &run, &f->als, NULL) != MEROS_OK) return 0;
    if (ease_fit(&by_user, &by_item, 50, &run, &f->ease, NULL) != MEROS_OK) return 0;
    if (item_knn_fit(&by_user, &by_item, &knn, &run, &f->knn, NULL) != MEROS_OK) return 0;
    if (bought_together_fit(&by_user, &by_item, &baskets, &run, &f->baskets, NULL) != MEROS_OK) return 0;
    const struct ease_ranking of = {&f->ease, &by_user};
    const struct ranking_model model = ease_ranking(&of);
    return ranking_evaluate(&model, &by_user, &test, 10, &run, &f->metrics, NULL) == MEROS_OK;
}

static void done(struct fits *f)
{
    als_model_done(&f->als);
    ease_model_done(&f->ease);
    neighbours_done(&f->knn);
    bought_together_done(&f->baskets);
}

static int same(const struct fits *a, const struct fits *b)
{
    return memcmp(a->als.user, b->als.user, USERS * a->als.stride * sizeof *a->als.user) == 0 &&
           a->als.loss == b->als.loss &&
           memcmp(a->ease.b, b->ease.b, (size_t)ITEMS * ITEMS * sizeof *a->ease.b) == 0 && a->knn.n == b->knn.n &&
           memcmp(a->knn.item, b->knn.item, a->knn.n * sizeof *a->knn.item) == 0 &&
           memcmp(a->knn.score, b->knn.score, a->knn.n * sizeof *a->knn.score) == 0 &&
           a->baskets.table.n == b->baskets.table.n &&
           memcmp(a->baskets.count, b->baskets.count, a->baskets.table.n * sizeof *a->baskets.count) == 0 &&
           memcmp(&a->metrics, &b->metrics, sizeof a->metrics) == 0;
}

static void *serve(void *arg)
{
    const struct als_model *m = arg;
    float x[16] __attribute__((aligned(64))), scratch[TOPK_BLOCK] __attribute__((aligned(64)));
    struct scored best[10];
    for (size_t u = 0; u < 200; u++) {
        const size_t from = by_user.start[u], n = interactions_of(&by_user, u);
        als_fold_in(m, by_user.col + from, by_user.weight + from, n, x);
        topk_factors(m->item, m->items, m->stride, x, by_user.col + from, n, NULL, 10, scratch, best);
    }
    return NULL;
}

int main(void)
{
    static const int threads[] = {2, 5};
    struct interaction *t = calloc(N, sizeof *t);
    struct fits want = {0};
    struct ml_rng r;
    int failed = 0;
    ml_start();
    ml_rng_seed(&r, 3);
    for (int i = 0; i < N; i++) {
        t[i] = (struct interaction){(uint32_t)ml_rng_below(&r, USERS), (uint32_t)ml_rng_below(&r, ITEMS), 1};
        if (t[i].col % 7 != t[i].row % 7) t[i].col = (uint32_t)ml_rng_below(&r, ITEMS / 7) * 7 + t[i].row % 7;
    }
    if (interactions_build(t, N, USERS, ITEMS, 0, &by_user, NULL) != MEROS_OK) return 1;
    if (interactions_transpose(&by_user, 0, &by_item, NULL) != MEROS_OK) return 1;
    if (interactions_build(t, N / 10, USERS, ITEMS, 0, &test, NULL) != MEROS_OK) return 1;
    if (!fit(NULL, &want)) return 1;
    for (int i = 0; i < 2; i++) {
        struct ml_pool *pool = NULL;
        struct fits got = {0};
        if (ml_pool_new(&pool, threads[i], 5, NULL) != MEROS_OK) return 1;
        if (!fit(pool, &got)) return 1;
        if (!same(&want, &got)) {
            fprintf(stderr, "recommend: something differs with %d threads\n", threads[i]);
            failed = 1;
        }
        done(&got);
        ml_pool_free(pool);
    }
    pthread_t second;
    if (pthread_create(&second, NULL, serve, &want.als) != 0) return 1;
    serve(&want.als);
    pthread_join(second, NULL);
    done(&want);
    interactions_done(&test);
    interactions_done(&by_item);
    interactions_done(&by_user);
    free(t);
    if (!failed) puts("recommend: same bits with 1, 2 and 5 threads");
    return failed;
}
