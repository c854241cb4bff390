#include "bench.h"

#include <inttypes.h>

#include "meros/ml/kmeans.h"

static enum meros_code run(const struct bench_args *a, struct meros_err *err)
{
    static const char *const known[] = {"k", "max_iter", "tol", "seed", "n_init", "repeat", NULL};
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct npy x = {0}, init = {0};
    struct kmeans_result r = {0};
    struct ml_run with = {.pool = a->pool};
    int64_t k, max_iter, seed, n_init, repeat;
    double best = 0;
    enum meros_code code = bench_known(a, known, err);
    if (code == MEROS_OK) code = bench_whole(a, "k", p.k, &k, err);
    if (code == MEROS_OK) code = bench_whole(a, "max_iter", p.max_iter, &max_iter, err);
    if (code == MEROS_OK) code = bench_number(a, "tol", p.tol, &p.tol, err);
    if (code == MEROS_OK) code = bench_whole(a, "seed", 0, &seed, err);
    if (code == MEROS_OK) code = bench_whole(a, "n_init", 1, &n_init, err);
    if (code == MEROS_OK) code = bench_whole(a, "repeat", 1, &repeat, err);
    if (code == MEROS_OK && a->x == NULL) code = err_set(err, MEROS_INVALID, "kmeans needs --x");
    if (code == MEROS_OK && a->y != NULL) code = err_set(err, MEROS_INVALID, "kmeans takes no --y");
    if (code == MEROS_OK) code = npy_load(a->x, NPY_F32, &x, err);
    if (code == MEROS_OK && a->init != NULL) code = npy_load(a->init, NPY_F64, &init, err);
    if (code != MEROS_OK) goto out;
    if (a->init != NULL) {
        if (init.cols != x.cols) {
            code = err_set(err, MEROS_INVALID, "--init has %zu columns, --x has %zu", init.cols, x.cols);
            goto out;
        }
        if (bench_given(a, "k") && k != (int64_t)init.rows) {
            code = err_set(err, MEROS_INVALID, "--init has %zu centres, but k is %" PRId64, init.rows, k);
            goto out;
        }
        k = (int64_t)init.rows;
    }
    p.k = k >= 1 && k <= KMEANS_K_MAX ? (int)k : 0; /* refused in words by the fit */
    p.n_init = n_init >= 1 && n_init <= 1000 ? (int)n_init : 0;
    p.max_iter = max_iter >= 1 && max_iter <= 100000 ? (int)max_iter : 0;
    p.seed = seed >= 0 ? (uint64_t)seed : 0;
    p.init = init.f64;
    for (int i = 0; i < repeat || i == 0; i++) {
        kmeans_result_done(&r);
        double start = bench_seconds();
        code = kmeans_fit((struct ml_matrix){x.f32, x.rows, x.cols}, &p, &with, &r, err);
        double seconds = bench_seconds() - start;
        if (code != MEROS_OK) goto out;
        if (i == 0 || seconds < best) best = seconds;
    }
    bench_print("kmeans", x.rows, best,
                "\"inertia\": %.9g, \"iterations\": %d, \"converged\": %s, \"k\": %d, \"clusters\": %d, "
                "\"kernel\": \"%s\", "
                "\"threads\": %d",
                r.inertia, r.iterations, r.converged ? "true" : "false", r.k, r.n_nonempty, kmeans_kernel(),
                ml_pool_threads(a->pool));
out:
    kmeans_result_done(&r);
    npy_done(&init);
    npy_done(&x);
    return code;
}

const struct bench_task bench_kmeans = {
    .name = "kmeans",
    .usage =
        "    --x (n, d)  rows to cluster     --init (k, d)  centres to start from (k-means++ when not "
        "given)\n"
        "    --param k=8 n_init=1 max_iter=300 tol=1e-4 seed=0   repeat=1 (the best time of so many fits)\n"
        "    quality: inertia, iterations, converged, k, clusters (non-empty), kernel, threads\n",
    .run = run,
};
