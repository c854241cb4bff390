#include "bench.h"

#include <stdlib.h>
#include <string.h>

#include "meros/ml/item_knn.h"

/* A row an item: k neighbours, then their k scores; -1 and 0 where there are fewer. */
static enum meros_code save(const struct neighbours *t, size_t k, const char *path, struct meros_err *err)
{
    float *rows = calloc(t->items * 2 * k + 1, sizeof *rows);
    if (rows == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to save neighbours");
    for (size_t i = 0; i < t->items; i++) {
        float *row = rows + i * 2 * k;
        for (size_t j = 0; j < k; j++) {
            const size_t e = t->start[i] + j;
            row[j] = e < t->start[i + 1] ? (float)t->item[e] : -1;
            row[k + j] = e < t->start[i + 1] ? t->score[e] : 0;
        }
    }
    enum meros_code code = npy_save(path, rows, t->items, 2 * k, 2 * k, err);
    free(rows);
    return code;
}

static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"k", "bm25", "shrink", NULL};
    struct item_knn_params p = ITEM_KNN_PARAMS_DEFAULT;
    struct interactions by_user = {0}, by_item = {0};
    struct neighbours t = {0};
    struct ml_run with = {.pool = a->pool};
    int64_t k, bm25;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "k", p.k, &k, err);
    if (code == MEROS_OK) code = bench_whole(a, "bm25", 0, &bm25, err);
    if (code == MEROS_OK) code = bench_number(a, "shrink", p.shrink, &p.shrink, err);
    if (code == MEROS_OK) code = bench_interactions(a, &by_user, &by_item, err);
    if (code != MEROS_OK) goto out;
    p.k = k >= 1 && k <= NEIGHBOURS_MAX ? (int)k : 0; /* refused in words by the fit */
    p.weighting = bm25 != 0 ? ITEM_KNN_BM25 : ITEM_KNN_PLAIN;
    double start = bench_seconds();
    code = item_knn_fit(&by_user, &by_item, &p, &with, &t, err);
    double seconds = bench_seconds() - start;
    if (code == MEROS_OK && a->out != NULL) code = save(&t, (size_t)k, a->out, err);
    if (code != MEROS_OK) goto out;
    bench_print("item_knn", by_user.rows, seconds, "\"items\": %zu, \"interactions\": %zu, \"neighbours\": %zu, \"threads\": %d",
                t.items, by_user.n, t.n, ml_pool_threads(a->pool));
out:
    neighbours_done(&t);
    interactions_done(&by_item);
    interactions_done(&by_user);
    return code;
}

const struct bench_task bench_item_knn = {
    .name = "item_knn",
    .usage = "    --x (n, 3)  user, item (numbers from 0), weight     --out  k neighbours and their k scores, a row an item\n"
             "    --param k=100 bm25=0 shrink=0\n"
             "    quality: items, interactions, neighbours, threads\n",
    .run = run,
};
