#include <criterion/criterion.h>
#include <math.h>
#include "meros/ml/mmr.h"
#include "meros/ml/rng.h"

/* Candidates on a line: alike as they are near. */
static float near(const void *arg, uint32_t a, uint32_t b)
{
    const double *at = arg;
    return (float)exp(-fabs(at[a] - at[b]));
}

static double mean_alike(const double *at, const uint32_t *list, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++) sum += (double)near(at, list[i], list[j]);
    return sum / ((double)n * (double)(n - 1) / 2);
}

Test(mmr, without_diversity_the_order_is_that_of_relevance)
{
    const double relevance[] = {.2, .9, .5, .9, -3}, at[5] = {0};
    float scratch[10];
    uint32_t out[5];
    cr_assert_eq(mmr_select(relevance, 5, 5, 0, near, at, scratch, out), 5);
    const uint32_t expected[] = {1, 3, 2, 0, 4};
    for (int i = 0; i < 5; i++) cr_assert_eq(out[i], expected[i]);
}

Test(mmr, the_second_is_the_worked_out_one)
{
    /* 0 and 1 are the same thing; 2 is less relevant and another. diversity .5, scaled relevance 1, .9, 0 … with 3 at .5:
     * after 0: 1 has .45 - .5, 3 (far away) has .25 - 0, so 3. */
    const double relevance[] = {1, .9, 0, .5}, at[] = {0, 0, 50, 100};
    float scratch[8];
    uint32_t out[2];
    mmr_select(relevance, 4, 2, .5, near, at, scratch, out);
    cr_assert_eq(out[0], 0);
    cr_assert_eq(out[1], 3);
}

Test(mmr, each_is_chosen_once_and_no_more_than_there_are)
{
    double relevance[30], at[30];
    struct ml_rng rng;
    ml_rng_seed(&rng, 3);
    for (int i = 0; i < 30; i++) {
        relevance[i] = ml_rng_uniform(&rng);
        at[i] = ml_rng_uniform(&rng) * 3;
    }
    float scratch[60];
    for (double d = 0; d <= 1; d += .25) {
        uint32_t out[40];
        bool seen[30] = {false};
        cr_assert_eq(mmr_select(relevance, 30, 40, d, near, at, scratch, out), 30);
        for (int i = 0; i < 30; i++) {
            cr_assert_not(seen[out[i]]);
            seen[out[i]] = true;
        }
    }
}

Test(mmr, more_diversity_never_makes_a_list_much_more_alike)
{
    double relevance[200], at[200], last = INFINITY;
    struct ml_rng rng;
    ml_rng_seed(&rng, 11);
    for (int i = 0; i < 200; i++) {
        at[i] = ml_rng_uniform(&rng) * 20;
        relevance[i] = -fabs(at[i] - 10) + ml_rng_uniform(&rng); /* the best are alike */
    }
    float scratch[400];
    uint32_t out[10];
    for (int step = 0; step <= 10; step++) {
        mmr_select(relevance, 200, 10, step / 10., near, at, scratch, out);
        const double alike = mean_alike(at, out, 10);
        cr_assert_leq(alike, last + .02, "diversity %.1f: %f after %f", step / 10., alike, last);
        last = alike;
    }
    cr_assert_lt(last, .3);
}

Test(mmr, equally_relevant_candidates_and_none_are_fine)
{
    const double relevance[] = {2, 2, 2}, at[] = {0, 1, 2};
    float scratch[6];
    uint32_t out[3];
    cr_assert_eq(mmr_select(relevance, 3, 2, .5, near, at, scratch, out), 2);
    cr_assert_eq(out[0], 0);
    cr_assert_eq(out[1], 2);
    cr_assert_eq(mmr_select(relevance, 0, 2, .5, near, at, scratch, out), 0);
    cr_assert_eq(mmr_select(relevance, 3, 0, .5, near, at, scratch, out), 0);
}
