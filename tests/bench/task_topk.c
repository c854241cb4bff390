#include "bench.h"

#include <stdlib.h>

#include "meros/ml/matrix.h"
#include "meros/ml/rng.h"
#include "meros/ml/topk.h"

/* Answers for one user after the other, on one thread: what a request costs. Checked against scores in double. */
static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"items", "factors", "k", "excluded", "users", NULL};
    enum { USERS = 64 };
    int64_t n, factors, k, n_excluded, rounds;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "items", 20000, &n, err);
    if (code == MEROS_OK) code = bench_whole(a, "factors", 64, &factors, err);
    if (code == MEROS_OK) code = bench_whole(a, "k", 10, &k, err);
    if (code == MEROS_OK) code = bench_whole(a, "excluded", 40, &n_excluded, err);
    if (code == MEROS_OK) code = bench_whole(a, "users", 2000, &rounds, err);
    if (code != MEROS_OK) return code;
    if (n < 1 || n > 10000000 || factors < 1 || factors > 512 || k < 1 || k > n || n_excluded < 0 || n_excluded > n - k ||
        rounds < 1) {
        return err_set(err, MEROS_INVALID, "topk: a parameter is out of range");
    }
    const size_t stride = ((size_t)factors + 15) / 16 * 16, items = (size_t)n;
    float *item = ml_alloc(items, stride * sizeof *item), *user = ml_alloc(USERS, stride * sizeof *user),
          *scratch = ml_alloc(TOPK_BLOCK, sizeof *scratch);
    struct scored *best = ml_alloc((size_t)k, sizeof *best);
    uint32_t *excluded = ml_alloc((size_t)n_excluded, sizeof *excluded);
    size_t *drawn = ml_alloc((size_t)n_excluded, sizeof *drawn), wrong = 0;
    if (item == NULL || user == NULL || scratch == NULL || best == NULL || excluded == NULL || drawn == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu items", items);
        goto out;
    }
    struct ml_rng rng;
    ml_rng_seed(&rng, 1);
    for (size_t i = 0; i < items * stride; i++) item[i] = i % stride < (size_t)factors ? (float)ml_rng_normal(&rng) : 0;
    for (size_t i = 0; i < USERS * stride; i++) user[i] = i % stride < (size_t)factors ? (float)ml_rng_normal(&rng) : 0;
    ml_rng_sample(&rng, items, (size_t)n_excluded, drawn);
    for (int64_t i = 0; i < n_excluded; i++) excluded[i] = (uint32_t)drawn[i];
    double start = bench_seconds();
    for (int64_t r = 0; r < rounds; r++) {
        topk_factors(item, items, stride, user + (size_t)(r % USERS) * stride, excluded, (size_t)n_excluded, NULL,
                     (size_t)k, scratch, best);
    }
    double seconds = (bench_seconds() - start) / (double)rounds;
    /* the last answer: nothing that is not in it scores more than its last by more than rounding */
    const float *u = user + (size_t)((rounds - 1) % USERS) * stride;
    for (size_t i = 0, at = 0; i < items; i++) {
        while (at < (size_t)n_excluded && excluded[at] < i) at++;
        const bool out_of_it = at < (size_t)n_excluded && excluded[at] == i;
        bool in = false;
        for (int64_t j = 0; j < k; j++) in = in || best[j].item == i;
        double s = 0;
        for (size_t f = 0; f < stride; f++) s += (double)item[i * stride + f] * (double)u[f];
        if ((in && out_of_it) || (!in && !out_of_it && s > (double)best[k - 1].score + 1e-3)) wrong++;
    }
    bench_print("topk", items, seconds, "\"wrong\": %zu, \"microseconds\": %.1f", wrong, seconds * 1e6);
out:
    free(drawn);
    free(excluded);
    free(best);
    free(scratch);
    free(user);
    free(item);
    return code;
}

const struct bench_task bench_topk = {
    .name = "topk",
    .usage = "    the best k of a catalogue by factors for one user after the other, random, on one thread\n"
             "    --param items=20000 factors=64 k=10 excluded=40 users=2000\n"
             "    n: items; seconds: of one user; quality: wrong (answers), microseconds\n",
    .run = run,
};
