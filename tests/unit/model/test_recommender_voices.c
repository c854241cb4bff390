/* What items say of one item is the column of what they say of all. */
#include <criterion/criterion.h>
#include <math.h>
#include "models.h"

enum { ITEMS = 40 };
static const uint32_t liked[] = {3, 9, 12, 30};
static const float weights[] = {0.25f, 0.5f, 1, 0.75f}; /* none is clipped */
static const struct reco_history history = {liked, weights, 4};

static void expect_sums(struct recommender *r, enum reco_algorithm a)
{
    float scratch[ITEMS + 16] __attribute__((aligned(64))), scores[ITEMS + 16] __attribute__((aligned(64))), voice[ITEMS + 16] __attribute__((aligned(64)));
    recommender_score(r, a, &history, scratch, scores);
    for (uint32_t to = 0; to < ITEMS; to++) {
        double sum = 0;
        cr_assert(recommender_voices(r, a, to, scratch, voice));
        for (size_t i = 0; i < history.n; i++) sum += (double)(weights[i] * voice[liked[i]]);
        cr_expect_float_eq(sum, (double)scores[to], 1e-5, "%s: item %u: %g, not %g", reco_algorithm_words[a], to, sum, (double)scores[to]);
    }
}

Test(recommender_voices, add_up_to_the_score_where_scores_are_sums)
{
    struct test_shop s = test_shop_new(ITEMS);
    expect_sums(s.r, RECO_EASE);
    expect_sums(s.r, RECO_ITEM_KNN);
    expect_sums(s.r, RECO_CONTENT);
    test_shop_done(&s);
}

/* By the full matrix: y_i' (Y'Y + lambda I)^-1 y_to is what a little weight of i adds to the score of `to`; here only its order is asked. */
Test(recommender_voices, of_als_put_items_in_the_order_in_which_each_alone_would_score_it)
{
    struct test_shop s = test_shop_new(ITEMS);
    float scratch[ITEMS + 16] __attribute__((aligned(64))), scores[ITEMS + 16] __attribute__((aligned(64))), voice[ITEMS + 16] __attribute__((aligned(64)));
    int agree = 0, pairs = 0;
    double alone[ITEMS];
    cr_assert(recommender_voices(s.r, RECO_ALS, 5, scratch, voice));
    for (uint32_t i = 0; i < ITEMS; i++) {
        const float once = 1;
        recommender_score(s.r, RECO_ALS, &(struct reco_history){&i, &once, 1}, scratch, scores);
        alone[i] = (double)scores[5];
    }
    for (int i = 0; i < ITEMS; i++)
        for (int k = 0; k < i; k++) {
            pairs++;
            agree += (alone[i] > alone[k]) == (voice[i] > voice[k]);
        }
    cr_expect_gt(agree, pairs * 9 / 10, "%d of %d pairs", agree, pairs);
    test_shop_done(&s);
}

Test(recommender_voices, there_are_none_where_everybody_is_told_the_same)
{
    struct test_shop s = test_shop_new(ITEMS);
    float scratch[ITEMS + 16] __attribute__((aligned(64))), voice[ITEMS + 16] __attribute__((aligned(64)));
    cr_expect_not(recommender_voices(s.r, RECO_POPULAR, 5, scratch, voice));
    cr_expect_not(recommender_voices(s.r, RECO_EASE, ITEMS, scratch, voice), "no such item");
    test_shop_done(&s);
}
