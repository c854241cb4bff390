/* Every allocation fails once, in turn: a clean MEROS_OUT_OF_MEMORY in words, nothing leaked (AddressSanitizer
 * watches), nothing written to the result; and in the end, with none failing, the work gets done. */
#include <criterion/criterion.h>

#include "data.h"
#include "matrix_priv.h"
#include "meros/ml/als.h"
#include "meros/ml/assign.h"
#include "meros/ml/bought_together.h"
#include "meros/ml/cluster_metrics.h"
#include "meros/ml/ease.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/popularity.h"
#include "meros/ml/tfidf.h"
#include "meros/ml/transitions.h"

static enum meros_code do_fit(struct blobs *b, struct meros_err *err)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_result r = {0};
    p.k = 3;
    p.n_init = 2;
    enum meros_code code = kmeans_fit(b->x, &p, NULL, &r, err);
    if (code != MEROS_OK) cr_assert_null(r.labels, "out is untouched on failure");
    kmeans_result_done(&r);
    return code;
}

static enum meros_code do_metrics(struct blobs *b, struct meros_err *err)
{
    struct cluster_metrics m = {.rows = 12345};
    struct cluster_metrics_params p = {.silhouette_rows = 40};
    enum meros_code code = cluster_metrics(b->x, b->labels, b->k, &p, NULL, &m, err);
    if (code != MEROS_OK) cr_assert_eq(m.rows, 12345, "out is untouched on failure");
    return code;
}

static enum meros_code do_choose(struct blobs *b, struct meros_err *err)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c = {0};
    p.n_init = 1;
    enum meros_code code = kmeans_choose_k(b->x, &p, 2, 4, NULL, &c, err);
    if (code != MEROS_OK) cr_assert_null(c.fit.labels, "out is untouched on failure");
    kmeans_choice_done(&c);
    return code;
}

static enum meros_code do_match(struct blobs *b, struct meros_err *err)
{
    (void)b;
    int64_t table[] = {5, 1, 0, 7};
    int of[2];
    return label_match(table, 2, 2, 0.1, of, err);
}

/* All of recommendations in a row; each frees what it made when a later one fails. */
static enum meros_code do_recommend(struct blobs *b, struct meros_err *err)
{
    enum { USERS = 30, ITEMS = 40 };
    struct interaction t[2 * USERS];
    struct popularity_event e[2] = {{1, 1, 0}, {2, 1, 0}};
    const size_t start[] = {0, 3};
    const uint32_t sequence[] = {1, 2, 3};
    const int32_t category[3] = {0, 0, 1};
    const struct sequences s = {.n = 1, .start = start, .item = sequence};
    struct interactions x = {0}, by_item = {0};
    struct als_params ap = ALS_PARAMS_DEFAULT;
    const struct item_knn_params kp = ITEM_KNN_PARAMS_DEFAULT;
    const struct bought_together_params bp = {.k = 3, .min_count = 1};
    const struct transitions_params tp = TRANSITIONS_PARAMS_DEFAULT;
    const struct tfidf_params fp = TFIDF_PARAMS_DEFAULT;
    struct als_model als = {0};
    struct ease_model ease = {0};
    struct neighbours knn = {0}, turned = {0}, next = {0}, alike = {0};
    struct bought_together baskets = {0};
    struct popularity popular = {0};
    struct ranking_metrics m;
    for (uint32_t i = 0; i < 2 * USERS; i++) t[i] = (struct interaction){i % USERS, (uint32_t)b->labels[i % 60] + i % 37, 1};
    ap.factors = 3;
    ap.iterations = 1;
    ap.trace = true;
    ap.solver = ALS_CHOLESKY;
    enum meros_code code = interactions_build(t, 2 * USERS, USERS, ITEMS, 0, &x, err);
    if (code == MEROS_OK) code = interactions_transpose(&x, 0, &by_item, err);
    if (code == MEROS_OK) code = als_fit(&x, &by_item, &ap, NULL, &als, err);
    if (code == MEROS_OK) code = ease_fit(&x, &by_item, 5, NULL, &ease, err);
    if (code == MEROS_OK) code = item_knn_fit(&x, &by_item, &kp, NULL, &knn, err);
    if (code == MEROS_OK) code = neighbours_turn(&knn, &turned, err);
    if (code == MEROS_OK) code = bought_together_fit(&x, &by_item, &bp, NULL, &baskets, err);
    if (code == MEROS_OK) code = transitions_fit(&s, 4, &tp, 0, &next, err);
    if (code == MEROS_OK) code = tfidf_fit(&x, &fp, NULL, &alike, err);
    if (code == MEROS_OK) code = popularity_fit(e, 2, 3, 1, category, 2, &popular, err);
    const struct ranking_model model = als_ranking(&als);
    if (code == MEROS_OK) code = ranking_evaluate(&model, &x, &x, 5, NULL, &m, err);
    popularity_done(&popular);
    neighbours_done(&alike);
    neighbours_done(&next);
    bought_together_done(&baskets);
    neighbours_done(&turned);
    neighbours_done(&knn);
    ease_model_done(&ease);
    als_model_done(&als);
    interactions_done(&by_item);
    interactions_done(&x);
    return code;
}

static void torture(const char *what, enum meros_code (*work)(struct blobs *b, struct meros_err *err), long least)
{
    struct blobs b = blobs_make(60, 2, 3, 4, 1);
    long n = 0;
    for (;; n++) {
        struct meros_err err = MEROS_ERR_INIT;
        ml_alloc_fail_at(n);
        enum meros_code code = work(&b, &err);
        if (!ml_alloc_fail_at(-1)) { /* there were fewer allocations than that */
            cr_expect_eq(code, MEROS_OK, "%s: %s", what, err.detail);
            break;
        }
        cr_assert_eq(code, MEROS_OUT_OF_MEMORY, "%s, allocation %ld: code %d", what, n, code);
        cr_assert(strstr(err.detail, "memory") != NULL, "%s, allocation %ld: \"%s\"", what, n, err.detail);
    }
    cr_expect_geq(n, least, "%s: only %ld allocations were made to fail", what, n);
    blobs_done(&b);
}

Test(out_of_memory, is_met_cleanly_wherever_it_strikes)
{
    torture("kmeans_fit", do_fit, 15);
    torture("cluster_metrics", do_metrics, 15);
    torture("kmeans_choose_k", do_choose, 100);
    torture("label_match", do_match, 10);
    torture("recommendations", do_recommend, 55);
}
