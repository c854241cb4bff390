/* Metrics of ranked lists, and the choice of the best of many scores. */
#include <math.h>

#include "factors_priv.h"
#include "meros/ml/ranking_metrics.h"
#include "meros/ml/topk.h"
#include "recommend_data.h"

Test(ranking_metrics, of_the_worked_example)
{
    const struct scored list[] = {{9, 5}, {3, 4}, {8, 3}, {7, 2}, {4, 1}};
    const uint32_t relevant[] = {3, 4};
    struct ranking_scores s;
    ranking_score(list, 5, relevant, 2, 5, &s);
    cr_expect_float_eq(s.precision, .4, 1e-12);
    cr_expect_float_eq(s.recall, 1, 1e-12);
    cr_expect_float_eq(s.reciprocal_rank, .5, 1e-12);
    cr_expect_float_eq(s.average_precision, (.5 + .4) / 2, 1e-12);
    cr_expect_float_eq(s.ndcg, .6241, 5e-5);
    cr_expect_eq(s.hits, 2);
}

Test(ranking_metrics, take_the_ideal_over_all_relevant_items_and_count_short_lists_at_k)
{
    const struct scored list[] = {{1, 2}, {2, 1}};
    const uint32_t relevant[] = {1, 2, 3, 4};
    struct ranking_scores s;
    ranking_score(list, 2, relevant, 4, 3, &s);
    const double dcg = 1 + 1 / log2(3), ideal = dcg + 1 / log2(4) + 1 / log2(5);
    cr_expect_float_eq(s.ndcg, dcg / ideal, 1e-12);
    cr_expect_float_eq(s.precision, 2. / 3, 1e-12);
    cr_expect_float_eq(s.recall, .5, 1e-12);
    cr_expect_float_eq(s.average_precision, 2. / 3, 1e-12);
    ranking_score(list, 0, relevant, 4, 3, &s);
    cr_expect_eq(s.ndcg + s.precision + s.recall + s.average_precision + s.reciprocal_rank, 0);
}

/* Four items; user 0 owns item 0, user 1 items 0 and 1, user 2 nothing. */
static void by_number(const void *arg, size_t user, int worker, float *scores)
{
    (void)worker;
    (void)user;
    memcpy(scores, arg, 4 * sizeof *scores);
}

Test(ranking_metrics, average_over_users_with_something_to_find_and_never_rank_what_they_own)
{
    const struct interaction train[] = {{0, 0, 1}, {1, 0, 1}, {1, 1, 1}}, test[] = {{0, 1, 1}, {1, 3, 1}};
    const float scores[] = {9, 8, 7, 6};
    struct interactions a, b;
    struct ranking_metrics m;
    cr_assert_eq(interactions_build(train, 3, 3, 4, 0, &a, NULL), MEROS_OK);
    cr_assert_eq(interactions_build(test, 2, 3, 4, 0, &b, NULL), MEROS_OK);
    const struct ranking_model model = {by_number, scores};
    cr_assert_eq(ranking_evaluate(&model, &a, &b, 2, NULL, &m, NULL), MEROS_OK);
    /* user 0 is shown 1 and 2, user 1 is shown 2 and 3; user 2 is not asked */
    cr_expect_eq(m.users, 2);
    cr_expect_float_eq(m.precision, .5, 1e-12);
    cr_expect_float_eq(m.recall, 1, 1e-12);
    cr_expect_float_eq(m.mrr, .75, 1e-12);
    cr_expect_float_eq(m.map, .75, 1e-12);
    cr_expect_float_eq(m.ndcg, (1 + 1 / log2(3)) / 2, 1e-12);
    cr_expect_float_eq(m.hit_rate, 1, 1e-12);
    cr_expect_eq(m.items_recommended, 3);
    cr_expect_float_eq(m.coverage, .75, 1e-12);
    cr_expect_float_eq(m.novelty, log2(3), 1e-12, "of three users one has item 1; 2 and 3 count as one's too");
    struct meros_err err = MEROS_ERR_INIT;
    cr_expect_eq(ranking_evaluate(&model, &a, &b, 0, NULL, &m, &err), MEROS_UNPROCESSABLE);
    interactions_done(&b);
    cr_assert_eq(interactions_build(NULL, 0, 3, 4, 0, &b, NULL), MEROS_OK);
    cr_assert_eq(ranking_evaluate(&model, &a, &b, 2, NULL, &m, NULL), MEROS_OK);
    cr_expect_eq(m.users, 0);
    cr_expect_eq(m.ndcg + m.coverage + m.novelty, 0);
    interactions_done(&b);
    interactions_done(&a);
}

static int by_score(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

Test(topk, takes_what_a_full_sort_takes_whatever_the_ties)
{
    enum { N = 1500 };
    static float scores[N];
    static struct scored all[N], got[N + 5];
    struct ml_rng r;
    ml_rng_seed(&r, 3);
    for (size_t round = 0; round < 300; round++) {
        const size_t n = ml_rng_below(&r, N + 1), k = ml_rng_below(&r, round % 2 == 0 ? 12 : N + 5);
        const uint64_t kinds = 1 + ml_rng_below(&r, 1000);
        size_t takeable = 0;
        for (size_t i = 0; i < n; i++) {
            scores[i] = (float)ml_rng_below(&r, kinds) - (float)(kinds / 2);
            if (ml_rng_below(&r, 10) == 0) scores[i] = -INFINITY;
            if (ml_rng_below(&r, 20) == 0) scores[i] = NAN;
            if (scores[i] > -INFINITY) all[takeable++] = (struct scored){(uint32_t)i, scores[i]};
        }
        qsort(all, takeable, sizeof *all, by_score);
        const size_t m = topk_select(scores, n, k, got);
        cr_assert_eq(m, takeable < k ? takeable : k);
        for (size_t i = 0; i < m; i++) cr_assert(got[i].item == all[i].item && got[i].score == all[i].score, "round %zu, place %zu", round, i);
    }
}

Test(topk, of_factors_agrees_with_the_products_for_every_kernel_and_takes_nothing_excluded_or_masked)
{
    enum { N = 2500, D = 48, K = 25 };
    float *items = aligned_alloc(64, N * D * sizeof *items), *user = aligned_alloc(64, D * sizeof *user),
          *scratch = aligned_alloc(64, TOPK_BLOCK * sizeof *scratch);
    static const char *const kernels[] = {"portable", "avx2", "avx512"};
    struct ml_rng r;
    ml_rng_seed(&r, 8);
    for (size_t i = 0; i < N * D; i++) items[i] = (float)ml_rng_normal(&r);
    for (size_t i = 0; i < D; i++) user[i] = (float)ml_rng_normal(&r);
    uint32_t excluded[N / 4];
    uint64_t mask[N / 64 + 1];
    size_t n_excluded = 0;
    static float scores[N];
    for (size_t i = 0; i < N / 64 + 1; i++) mask[i] = ml_rng_next(&r);
    for (size_t i = 0; i < N; i++) {
        double s = 0;
        for (size_t f = 0; f < D; f++) s += (double)items[i * D + f] * (double)user[f];
        scores[i] = (float)s;
        if (ml_rng_below(&r, 4) == 0 && n_excluded < N / 4) {
            excluded[n_excluded++] = (uint32_t)i;
            scores[i] = -INFINITY;
        }
        if ((mask[i / 64] >> i % 64 & 1) == 0) scores[i] = -INFINITY;
    }
    struct scored want[K], got[K];
    cr_assert_eq(topk_select(scores, N, K, want), K);
    for (int kernel = 0; kernel < 3; kernel++) {
        if (!factors_force_kernel(kernels[kernel])) continue;
        cr_assert_eq(topk_factors(items, N, D, user, excluded, n_excluded, mask, K, scratch, got), K);
        for (int i = 0; i < K; i++) {
            cr_expect_eq(got[i].item, want[i].item, "%s, place %d", kernels[kernel], i);
            cr_expect_float_eq(got[i].score, want[i].score, 1e-4);
        }
    }
    factors_force_kernel(NULL);
    cr_expect_eq(topk_factors(items, N, D, user, NULL, 0, NULL, 0, scratch, got), 0);
    free(items);
    free(user);
    free(scratch);
}
