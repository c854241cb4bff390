/* The published figures of MovieLens 100K, mcrec_split (Dacrema et al., TOIS 2021, Table 46): all unseen items ranked,
 * k = 10, 942 users. */
#include <limits.h>
#include <math.h>
#include <stdlib.h>

#include "meros/ml/als.h"
#include "meros/ml/blas.h"
#include "meros/ml/ease.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/popularity.h"
#include "numpy_order.h"
#include "recommend_data.h"

static void expect_digits(const struct ranking_metrics *m, const char *want, const char *what)
{
    char got[64];
    snprintf(got, sizeof got, "%.4f %.4f %.4f", m->precision, m->recall, m->ndcg);
    cr_expect_str_eq(got, want, "%s: %s, published %s", what, got, want);
    cr_expect_eq(m->users, 942);
}

Test(movielens, ease_is_the_published_one_to_every_digit, .timeout = 300)
{
    struct movielens data = movielens_load();
    struct ease_model model;
    struct ranking_metrics m;
    ml_start();
    cr_assert_eq(ease_fit(&data.train.user, &data.train.item, 458, NULL, &model, NULL), MEROS_OK);
    const struct ease_ranking of = {&model, &data.train.user};
    const struct ranking_model ranking = ease_ranking(&of);
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    expect_digits(&m, "0.3739 0.2430 0.2905", "EASE, lambda 458");
    ease_model_done(&model);
    movielens_done(&data);
}

Test(movielens, item_neighbours_rank_better_than_the_published_ones, .timeout = 300)
{
    struct movielens data = movielens_load();
    struct item_knn_params p = ITEM_KNN_PARAMS_DEFAULT; /* BM25, 100 neighbours, no shrinkage */
    struct neighbours near, says;
    struct ranking_metrics m;
    cr_assert_eq(item_knn_fit(&data.train.user, &data.train.item, &p, NULL, &near, NULL), MEROS_OK);
    cr_assert_eq(neighbours_turn(&near, &says, NULL), MEROS_OK);
    const struct neighbours_ranking of = {&says, &data.train.user};
    const struct ranking_model ranking = neighbours_ranking(&of);
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    cr_expect_geq(m.ndcg, .2571, "ItemKNN: NDCG %.4f, published .2571", m.ndcg);
    cr_expect_geq(m.precision, .3293);
    cr_expect_geq(m.recall, .2152);
    neighbours_done(&says);
    neighbours_done(&near);
    movielens_done(&data);
}

Test(movielens, als_ranks_better_than_the_published_one, .timeout = 300)
{
    struct movielens data = movielens_load();
    struct als_params p = ALS_PARAMS_DEFAULT; /* 64 factors, 15 iterations, alpha 4, lambda 30, nu .5 */
    struct als_model model;
    struct ranking_metrics m;
    ml_start();
    cr_assert_eq(als_fit(&data.train.user, &data.train.item, &p, NULL, &model, NULL), MEROS_OK);
    struct ranking_model ranking = als_ranking(&model);
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    cr_expect_geq(m.ndcg, .2759 + .01, "iALS: NDCG %.4f, published .2759", m.ndcg);
    cr_expect_geq(m.precision, .3596);
    cr_expect_geq(m.recall, .2283);
    const double fitted = m.ndcg;

    /* users folded in one by one rank as well as those who were trained */
    for (size_t u = 0; u < model.users; u++) {
        als_fold_in(&model, data.train.user.col + data.train.user.start[u], data.train.user.weight + data.train.user.start[u],
                    interactions_of(&data.train.user, u), model.user + u * model.stride);
    }
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    cr_expect_geq(m.ndcg, fitted - .005, "folded in %.4f, fitted %.4f", m.ndcg, fitted);
    als_model_done(&model);
    movielens_done(&data);
}

static struct popularity popular(const struct movielens *data)
{
    struct popularity_event *e = calloc(data->train.user.n, sizeof *e);
    struct popularity p;
    for (size_t i = 0; i < data->train.user.n; i++) e[i] = (struct popularity_event){data->train.user.col[i], 1, 0};
    cr_assert_eq(popularity_fit(e, data->train.user.n, ML_ITEMS, 0, NULL, 0, &p, NULL), MEROS_OK);
    free(e);
    return p;
}

/* Several films have equal counts, and the last digit of the published figures hangs on which of them comes first. Ours
 * is the lower number. */
Test(movielens, most_popular_is_the_published_one_but_for_the_order_of_equals)
{
    struct movielens data = movielens_load();
    struct popularity p = popular(&data);
    struct ranking_metrics m;
    const struct ranking_model ranking = popularity_ranking(&p);
    cr_assert_eq(ranking_evaluate(&ranking, &data.train.user, &data.test, 10, NULL, &m, NULL), MEROS_OK);
    expect_digits(&m, "0.1904 0.1179 0.1360", "TopPopular, equals by number");
    popularity_done(&p);
    movielens_done(&data);
}

/* The order of equals in the published figure is what NumPy's selection leaves. */
Test(movielens, most_popular_is_the_published_one_to_every_digit_with_equals_in_numpys_order)
{
    enum { K = 10 };
    struct movielens data = movielens_load();
    struct popularity p = popular(&data);
    struct scored *lists = calloc((size_t)ML_USERS * K, sizeof *lists);
    size_t *lengths = calloc(ML_USERS, sizeof *lengths);
    float score[ML_ITEMS];
    uint32_t best[ML_ITEMS];
    for (size_t u = 0; u < ML_USERS; u++) {
        memcpy(score, p.score, sizeof score);
        for (size_t e = data.train.user.start[u]; e < data.train.user.start[u + 1]; e++) score[data.train.user.col[e]] = -INFINITY;
        numpy_best(score, ML_ITEMS, K, best);
        for (size_t k = 0; k < K; k++) lists[u * K + k].item = best[k];
        lengths[u] = K;
    }
    struct ranking_metrics m;
    cr_assert_eq(ranking_of_lists(lists, lengths, &data.train.user, &data.test, K, &m, NULL), MEROS_OK);
    expect_digits(&m, "0.1907 0.1180 0.1361", "TopPopular, equals as NumPy leaves them");
    free(lengths);
    free(lists);
    popularity_done(&p);
    movielens_done(&data);
}

/* --- that order against NumPy's own */

enum { ROWS = 400, ROW_MAX = 3000 };
struct row {
    uint32_t n, k;
};

/* Few different scores or many, in order, in reverse, as organ pipes, and the row that the median of three takes longest for. */
static void fill(float *score, size_t n, unsigned kind, struct ml_rng *r)
{
    const size_t different = 1 + ml_rng_below(r, kind % 2 == 0 ? 8 : 2 * n);
    for (size_t i = 0; i < n; i++) {
        const size_t pipe = i < n / 2 ? i : n - i, killer = i % 2 == 0 && i < n / 2 ? i : i < n / 2 ? n / 2 + i : 2 * (i - n / 2);
        const size_t of_kind[] = {ml_rng_below(r, different), ml_rng_below(r, different), i, n - i, pipe, killer};
        score[i] = -(float)of_kind[kind % 6];
        if (ml_rng_below(r, 20) == 0 && kind < 2) score[i] = -INFINITY;
    }
}

Test(numpy_order, is_that_of_numpy_also_among_equals_and_where_its_quickselect_gives_up, .timeout = 120)
{
    if (system("/usr/bin/python3 -c 'import numpy as n; v = n.__version__.split(\".\"); assert (int(v[0]), int(v[1])) < (1, 25)' "
               "2>/dev/null") != 0) {
        cr_skip_test("/usr/bin/python3 has no numpy before 1.25 (Debian 12: python3-numpy), whose argpartition orders equals so");
    }
    static struct row rows[ROWS];
    static float score[ROWS][ROW_MAX];
    char folder[] = "/tmp/meros-numpy-XXXXXX", path[64], command[1000];
    struct ml_rng r;
    ml_rng_seed(&r, 7);
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/rows", folder);
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f);
    for (size_t i = 0; i < ROWS; i++) {
        rows[i].n = (uint32_t)(2 + ml_rng_below(&r, i % 3 == 0 ? 40 : ROW_MAX - 2));
        rows[i].k = (uint32_t)(1 + ml_rng_below(&r, rows[i].n - 1 < 16 ? rows[i].n - 1 : 16));
        fill(score[i], rows[i].n, (unsigned)i % 6, &r);
        fwrite(&rows[i], sizeof rows[i], 1, f);
        fwrite(score[i], sizeof(float), rows[i].n, f);
    }
    cr_assert_eq(fclose(f), 0);
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c '\nimport numpy as np\n"
             "f = open(\"%s\", \"rb\")\n"
             "for i in range(%d):\n"
             "    n, k = np.fromfile(f, np.uint32, 2)\n"
             "    s = np.fromfile(f, np.float32, n)\n"
             "    best = (-s).argpartition(k)[:k]\n"
             "    print(*best[np.argsort(-s[best])])\n'; rm -r '%s'",
             path, ROWS, folder);
    f = popen(command, "r");
    cr_assert_not_null(f);
    for (size_t i = 0; i < ROWS; i++) {
        uint32_t best[ROW_MAX];
        numpy_best(score[i], rows[i].n, rows[i].k, best);
        for (size_t k = 0; k < rows[i].k; k++) {
            unsigned want = UINT_MAX;
            cr_assert_eq(fscanf(f, "%u", &want), 1);
            cr_assert_eq(best[k], want, "row %zu (%u scores): place %zu of %u is %u, not %u", i, rows[i].n, k, rows[i].k, best[k], want);
        }
    }
    cr_assert_eq(pclose(f), 0);
}
