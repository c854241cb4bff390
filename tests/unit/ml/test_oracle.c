/* Agreement with scikit-learn, where Debian's python3-sklearn is installed; skipped with a message elsewhere.
 */
#include <criterion/criterion.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "data.h"
#include "meros/ml/cluster_metrics.h"

enum { N = 3000, D = 6, K = 7, N_ANSWERS = 7 };

static const char *script(void) /* beside this file, wherever the tests are started from */
{
    static char path[PATH_MAX];
    snprintf(path, sizeof path, "%s", __FILE__);
    char *slash = strrchr(path, '/');
    snprintf(slash + 1, sizeof path - (size_t)(slash + 1 - path), "oracle.py");
    return path;
}

static void put(const char *folder, const char *name, const void *p, size_t bytes)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(p, 1, bytes, f), bytes);
    fclose(f);
}

static void ask(const char *folder, double answers[N_ANSWERS])
{
    char command[PATH_MAX * 2];
    int got = 0;
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s' %d %d %d", script(), folder, N, D, K);
    FILE *f = popen(command, "r");
    cr_assert_not_null(f);
    while (got < N_ANSWERS && fscanf(f, "%lf", &answers[got]) == 1) got++;
    cr_assert_eq(pclose(f), 0, "the oracle failed");
    cr_assert_eq(got, N_ANSWERS, "the oracle gave %d answers", got);
}

static void near(double ours, double theirs, double tolerance, const char *what)
{
    cr_expect(fabs(ours - theirs) <= tolerance * fabs(theirs), "%s: %.10g, scikit-learn %.10g", what, ours,
              theirs);
}

Test(oracle, kmeans_and_every_index_agree_with_scikit_learn, .timeout = 120)
{
    if (system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") != 0) {
        cr_skip_test("/usr/bin/python3 has no sklearn (Debian: python3-sklearn): not compared with it");
    }
    char folder[] = "/tmp/meros-oracle-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    struct blobs data = blobs_make(N, D, K, 1.2, 77);
    double init[K * D], want[N_ANSWERS];
    for (size_t i = 0; i < K * D; i++) init[i] = (double)data.values[i];
    int32_t *other = calloc(N, sizeof *other);
    for (size_t i = 0; i < N; i++) other[i] = i % 5 == 0 ? (int32_t)(i % K) : data.labels[i];
    put(folder, "x.f32", data.values, sizeof(float) * N * D);
    put(folder, "init.f64", init, sizeof init);
    put(folder, "a.i32", data.labels, sizeof(int32_t) * N);
    put(folder, "b.i32", other, sizeof(int32_t) * N);
    ask(folder, want);

    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_result r;
    struct cluster_metrics m;
    int64_t table[K * K];
    p.k = K;
    p.init = init;
    cr_assert_eq(kmeans_fit(data.x, &p, NULL, &r, NULL), MEROS_OK);
    near(r.inertia, want[0], 1e-4, "inertia");
    cr_expect_eq(r.iterations, (int)want[1], "iterations: %d, scikit-learn %g", r.iterations, want[1]);
    cr_expect_gt(r.iterations, 5, "a case that says something takes some iterations");
    cr_assert_eq(cluster_metrics(data.x, data.labels, K, NULL, NULL, &m, NULL), MEROS_OK);
    near(m.silhouette, want[2], 1e-5, "silhouette");
    near(m.calinski_harabasz, want[3], 1e-9, "Calinski-Harabasz");
    near(m.davies_bouldin, want[4], 1e-9, "Davies-Bouldin");
    contingency(data.labels, K, other, K, N, table);
    near(adjusted_rand_index(table, K, K), want[5], 1e-12, "adjusted Rand index");
    near(normalized_mutual_info(table, K, K), want[6], 1e-12, "normalised mutual information");

    static const char *const names[] = {"x.f32", "init.f64", "a.i32", "b.i32"};
    for (int i = 0; i < 4; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%s/%s", folder, names[i]);
        unlink(path);
    }
    rmdir(folder);
    kmeans_result_done(&r);
    free(other);
    blobs_done(&data);
}
