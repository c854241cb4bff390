#include "bench.h"

#include "meros/ml/ease.h"

static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"lambda", "columns", NULL};
    struct interactions by_user = {0}, by_item = {0};
    struct ease_model m = {0};
    struct ml_run with = {.pool = a->pool};
    double lambda;
    int64_t columns;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_number(a, "lambda", 500, &lambda, err);
    if (code == MEROS_OK) code = bench_whole(a, "columns", 8, &columns, err);
    if (code == MEROS_OK) code = bench_interactions(a, &by_user, &by_item, err);
    if (code != MEROS_OK) goto out;
    double start = bench_seconds();
    code = ease_fit(&by_user, &by_item, lambda, &with, &m, err);
    double seconds = bench_seconds() - start;
    if (code == MEROS_OK && a->out != NULL) {
        const size_t some = columns >= 1 && (size_t)columns < m.items ? (size_t)columns : m.items;
        code = npy_save(a->out, m.b, m.items, some, m.items, err);
    }
    if (code != MEROS_OK) goto out;
    bench_print("ease", by_user.rows, seconds, "\"items\": %zu, \"interactions\": %zu, \"memory_mb\": %.1f, \"threads\": %d",
                m.items, by_user.n, (double)ease_memory(m.items) / 1e6, ml_pool_threads(a->pool));
out:
    ease_model_done(&m);
    interactions_done(&by_item);
    interactions_done(&by_user);
    return code;
}

const struct bench_task bench_ease = {
    .name = "ease",
    .usage = "    --x (n, 3)  user, item (numbers from 0), weight     --out  the first columns of B\n"
             "    --param lambda=500 columns=8\n"
             "    quality: items, interactions, memory_mb, threads\n",
    .run = run,
};
