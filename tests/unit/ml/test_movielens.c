/* The published figures of MovieLens 100K, mcrec_split (Dacrema et al., TOIS 2021, Table 46): all unseen items ranked,
 * k = 10, 942 users. */
#include <limits.h>
#include <math.h>
#include <unistd.h>

#include "meros/ml/als.h"
#include "meros/ml/blas.h"
#include "meros/ml/ease.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/popularity.h"
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

static void put(const char *folder, const char *name, const void *values, size_t bytes)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *f = fopen(path, "wb");
    cr_assert_not_null(f);
    cr_assert_eq(fwrite(values, 1, bytes, f), bytes);
    fclose(f);
}

/* The order of equals in the published figure is what numpy's argpartition leaves. */
Test(movielens, most_popular_is_the_published_one_to_every_digit_with_equals_in_numpys_order, .timeout = 120)
{
    if (system("/usr/bin/python3 -c 'import numpy as n; v = n.__version__.split(\".\"); assert (int(v[0]), int(v[1])) < (1, 25)' "
               "2>/dev/null") != 0) {
        cr_skip_test("/usr/bin/python3 has no numpy before 1.25 (Debian 12: python3-numpy), whose argpartition orders equals so");
    }
    enum { K = 10 };
    struct movielens data = movielens_load();
    struct popularity p = popular(&data);
    char folder[] = "/tmp/meros-movielens-XXXXXX", command[PATH_MAX * 2];
    cr_assert_not_null(mkdtemp(folder));
    float *scores = calloc((size_t)ML_USERS * ML_ITEMS, sizeof *scores);
    struct scored *lists = calloc((size_t)ML_USERS * K, sizeof *lists);
    size_t *lengths = calloc(ML_USERS, sizeof *lengths);
    for (size_t u = 0; u < ML_USERS; u++) {
        memcpy(scores + u * ML_ITEMS, p.score, ML_ITEMS * sizeof *scores);
        for (size_t e = data.train.user.start[u]; e < data.train.user.start[u + 1]; e++) {
            scores[u * ML_ITEMS + data.train.user.col[e]] = -INFINITY;
        }
    }
    put(folder, "scores.f32", scores, (size_t)ML_USERS * ML_ITEMS * sizeof *scores);
    snprintf(command, sizeof command,
             "/usr/bin/python3 -c '\nimport numpy as np, sys\n"
             "s = np.fromfile(\"%s/scores.f32\", np.float32).reshape(%d, %d)\n"
             "for row in s:\n"
             "    best = (-row).argpartition(%d)[:%d]\n"
             "    print(*best[np.argsort(-row[best])])\n'; rm -r '%s'",
             folder, ML_USERS, ML_ITEMS, K, K, folder);
    FILE *f = popen(command, "r");
    cr_assert_not_null(f);
    for (size_t i = 0; i < (size_t)ML_USERS * K; i++) {
        cr_assert_eq(fscanf(f, "%u", &lists[i].item), 1);
        lengths[i / K] = K;
    }
    cr_assert_eq(pclose(f), 0);
    struct ranking_metrics m;
    cr_assert_eq(ranking_of_lists(lists, lengths, &data.train.user, &data.test, K, &m, NULL), MEROS_OK);
    expect_digits(&m, "0.1907 0.1180 0.1361", "TopPopular, equals as numpy leaves them");
    free(lengths);
    free(lists);
    free(scores);
    popularity_done(&p);
    movielens_done(&data);
}
