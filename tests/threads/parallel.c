/* parallel_for and everything that stands on it give the same bits with 1, 2, 3 and 7 threads; run under
 * ThreadSanitizer, which also finds what only looks right. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/cluster_metrics.h"
#include "meros/ml/parallel.h"
#include "meros/ml/rng.h"

enum { N = 20000, D = 5, K = 7, PARTS = 300 };

static int failed;
static void expect(int ok, const char *what, int threads)
{
    if (ok) return;
    fprintf(stderr, "parallel: %s differs with %d threads\n", what, threads);
    failed = 1;
}

struct sums {
    const float *x;
    double of[PARTS];
};
static void sum_part(void *arg, size_t part, int worker)
{
    (void)worker;
    struct sums *s = arg;
    s->of[part] = 0;
    for (size_t i = part * N / PARTS; i < (part + 1) * N / PARTS; i++) s->of[part] += (double)s->x[i * D];
}

/* Two threads that share a pool must wait for each other, not mix their parts. */
struct sharer {
    struct ml_pool *pool;
    struct sums sums;
};
static void *share(void *arg)
{
    struct sharer *s = arg;
    for (int i = 0; i < 50; i++) parallel_for(s->pool, PARTS, sum_part, &s->sums);
    return NULL;
}

int main(void)
{
    float *x = malloc(sizeof(float) * N * D);
    struct ml_rng r;
    ml_rng_seed(&r, 12);
    for (size_t i = 0; i < (size_t)N * D; i++)
        x[i] = (float)(ml_rng_normal(&r) + 4 * (double)ml_rng_below(&r, 3));
    struct ml_matrix m = {x, N, D};
    struct kmeans_params params = KMEANS_PARAMS_DEFAULT;
    params.k = K;
    params.n_init = 2;
    params.max_iter = 12;
    struct cluster_metrics_params mp = {.silhouette_rows = 1000};

    static struct sums want_sums;
    struct kmeans_result want = {0};
    struct cluster_metrics want_metrics;
    want_sums.x = x;
    parallel_for(NULL, PARTS, sum_part, &want_sums);
    if (kmeans_fit(m, &params, NULL, &want, NULL) != MEROS_OK) return 1;
    if (cluster_metrics(m, want.labels, K, &mp, NULL, &want_metrics, NULL) != MEROS_OK) return 1;

    static const int threads[] = {1, 2, 3, 7};
    for (int t = 0; t < 4; t++) {
        struct ml_run run = {0};
        struct kmeans_result got = {0};
        struct cluster_metrics metrics;
        if (ml_pool_new(&run.pool, threads[t], 5, NULL) != MEROS_OK) return 1;
        static struct sums sums;
        sums.x = x;
        parallel_for(run.pool, PARTS, sum_part, &sums);
        expect(memcmp(sums.of, want_sums.of, sizeof sums.of) == 0, "parallel_for", threads[t]);
        if (kmeans_fit(m, &params, &run, &got, NULL) != MEROS_OK) return 1;
        expect(memcmp(got.labels, want.labels, N * sizeof *got.labels) == 0, "a label", threads[t]);
        expect(memcmp(got.centres, want.centres, K * D * sizeof *got.centres) == 0, "a centre", threads[t]);
        expect(got.inertia == want.inertia && got.iterations == want.iterations, "the inertia", threads[t]);
        if (cluster_metrics(m, got.labels, K, &mp, &run, &metrics, NULL) != MEROS_OK) return 1;
        expect(metrics.silhouette == want_metrics.silhouette, "the silhouette", threads[t]);
        expect(metrics.davies_bouldin == want_metrics.davies_bouldin, "Davies-Bouldin", threads[t]);

        static struct sharer a, b;
        pthread_t second;
        a = (struct sharer){.pool = run.pool, .sums.x = x};
        b = (struct sharer){.pool = run.pool, .sums.x = x};
        if (pthread_create(&second, NULL, share, &b) != 0) return 1;
        share(&a);
        pthread_join(second, NULL);
        expect(memcmp(a.sums.of, want_sums.of, sizeof a.sums.of) == 0, "a shared pool", threads[t]);
        expect(memcmp(b.sums.of, want_sums.of, sizeof b.sums.of) == 0, "a shared pool", threads[t]);
        kmeans_result_done(&got);
        ml_pool_free(run.pool);
    }
    kmeans_result_done(&want);
    free(x);
    if (!failed) puts("parallel: same bits with 1, 2, 3 and 7 threads");
    return failed;
}
