#include "bench.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/als.h"

enum meros_code bench_interactions(const struct bench_args *a, struct interactions *by_user,
                                   struct interactions *by_item, struct meros_err *err)
{
    struct npy x = {0};
    struct interaction *triples = NULL;
    size_t rows = 0, cols = 0;
    if (a->x == NULL) return err_set(err, MEROS_INVALID, "this task needs --x");
    enum meros_code code = npy_load(a->x, NPY_F64, &x, err);
    if (code == MEROS_OK && x.cols != 3) {
        code = err_set(err, MEROS_INVALID, "--x has %zu columns; it takes user, item, weight", x.cols);
    }
    if (code != MEROS_OK) goto out;
    triples = calloc(x.rows + 1, sizeof *triples);
    if (triples == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu interactions", x.rows);
        goto out;
    }
    for (size_t i = 0; i < x.rows; i++) {
        const double *t = x.f64 + 3 * i;
        if (!(t[0] >= 0 && t[0] < 1e9 && t[1] >= 0 && t[1] < 1e9)) {
            code = err_set(err, MEROS_INVALID, "row %zu of --x is not a user and an item by number", i);
            goto out;
        }
        triples[i] = (struct interaction){(uint32_t)t[0], (uint32_t)t[1], (float)t[2]};
        if (triples[i].row >= rows) rows = triples[i].row + 1;
        if (triples[i].col >= cols) cols = triples[i].col + 1;
    }
    code = interactions_build(triples, x.rows, rows, cols, 0, by_user, err);
    if (code == MEROS_OK) code = interactions_transpose(by_user, 0, by_item, err);
out:
    free(triples);
    npy_done(&x);
    return code;
}

static enum meros_code save(const struct als_model *m, const char *path, struct meros_err *err)
{
    float *both = malloc((m->users + m->items) * m->stride * sizeof *both);
    if (both == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to save factors");
    memcpy(both, m->user, m->users * m->stride * sizeof *both);
    memcpy(both + m->users * m->stride, m->item, m->items * m->stride * sizeof *both);
    enum meros_code code = npy_save(path, both, m->users + m->items, m->factors, m->stride, err);
    free(both);
    return code;
}

static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"factors", "iterations", "alpha", "lambda", "nu", "cholesky", "cg_steps", "seed",
                                        NULL};
    struct als_params p = ALS_PARAMS_DEFAULT;
    struct interactions by_user = {0}, by_item = {0};
    struct als_model m = {0};
    struct ml_run with = {.pool = a->pool};
    int64_t factors, iterations, cholesky, cg_steps, seed;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "factors", p.factors, &factors, err);
    if (code == MEROS_OK) code = bench_whole(a, "iterations", p.iterations, &iterations, err);
    if (code == MEROS_OK) code = bench_number(a, "alpha", p.alpha, &p.alpha, err);
    if (code == MEROS_OK) code = bench_number(a, "lambda", p.lambda, &p.lambda, err);
    if (code == MEROS_OK) code = bench_number(a, "nu", p.nu, &p.nu, err);
    if (code == MEROS_OK) code = bench_whole(a, "cholesky", 0, &cholesky, err);
    if (code == MEROS_OK) code = bench_whole(a, "cg_steps", p.cg_steps, &cg_steps, err);
    if (code == MEROS_OK) code = bench_whole(a, "seed", 0, &seed, err);
    if (code == MEROS_OK) code = bench_interactions(a, &by_user, &by_item, err);
    if (code != MEROS_OK) goto out;
    p.factors = factors >= 1 && factors <= ALS_FACTORS_MAX ? (int)factors : 0; /* refused in words by the fit */
    p.iterations = iterations >= 1 && iterations <= 1000 ? (int)iterations : 0;
    p.cg_steps = cg_steps >= 1 && cg_steps <= 100 ? (int)cg_steps : 0;
    p.solver = cholesky != 0 ? ALS_CHOLESKY : ALS_CG;
    p.seed = (uint64_t)seed;
    double start = bench_seconds();
    code = als_fit(&by_user, &by_item, &p, &with, &m, err);
    double seconds = bench_seconds() - start;
    if (code == MEROS_OK && a->out != NULL) code = save(&m, a->out, err);
    if (code != MEROS_OK) goto out;
    bench_print("als", by_user.rows, seconds,
                "\"loss\": %.9g, \"items\": %zu, \"interactions\": %zu, \"memory_mb\": %.1f, \"threads\": %d", m.loss,
                m.items, by_user.n, (double)als_memory(&p, &by_user, &by_item, a->pool) / 1e6, ml_pool_threads(a->pool));
out:
    als_model_done(&m);
    interactions_done(&by_item);
    interactions_done(&by_user);
    return code;
}

const struct bench_task bench_als = {
    .name = "als",
    .usage = "    --x (n, 3)  user, item (numbers from 0), weight     --out  the factors, users' then items'\n"
             "    --param factors=64 iterations=15 alpha=4 lambda=30 nu=0.5 cholesky=0 cg_steps=3 seed=0\n"
             "    quality: loss, items, interactions, memory_mb, threads\n",
    .run = run,
};
