#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/blend.h"
#include "meros/ml/rng.h"

enum { USERS = 150, LIST = 40, C = 4 };

struct lists {
    struct blend_lists of;
    size_t start[USERS + 1];
    float score[USERS * LIST * C];
    uint8_t relevant[USERS * LIST];
};

/* One or two of each list are relevant; components 0 and 1 each see a part of why, in units of their own, 2 is noise, 3 is always the
 * same. */
static struct lists *made(uint64_t seed, double noise)
{
    struct lists *l = calloc(1, sizeof *l);
    struct ml_rng r;
    ml_rng_seed(&r, seed);
    for (size_t u = 0; u < USERS; u++) {
        l->start[u + 1] = (u + 1) * LIST;
        for (size_t i = 0; i < LIST; i++) {
            const size_t row = u * LIST + i;
            const double relevant = l->relevant[row] = i == 7 || (i == 20 && u % 2 == 0);
            l->score[row * C] = (float)(1000 * (1.2 * relevant + noise * ml_rng_normal(&r)));
            l->score[row * C + 1] = (float)(0.01 * (1.5 * relevant + noise * ml_rng_normal(&r)));
            l->score[row * C + 2] = (float)ml_rng_normal(&r);
            l->score[row * C + 3] = (float)u;
        }
    }
    l->of = (struct blend_lists){USERS, C, l->start, l->score, l->relevant};
    return l;
}

static double loss(const struct lists *l, const struct blend *b, const double *w, double l2)
{
    double sum = 0;
    for (size_t u = 0; u < USERS; u++) {
        double s[LIST], others = 0, n = 0, one = 0;
        for (size_t i = 0; i < LIST; i++) {
            s[i] = 0;
            for (size_t c = 0; c < C; c++) s[i] += w[c] * (double)l->score[(u * LIST + i) * C + c] / b->scale[c];
            if (!l->relevant[u * LIST + i]) others += exp(s[i]);
        }
        for (size_t i = 0; i < LIST; i++) {
            if (!l->relevant[u * LIST + i]) continue;
            one += log(1 + others / exp(s[i]));
            n++;
        }
        sum += one / n / USERS;
    }
    for (size_t c = 0; c < C; c++) sum += l2 / 2 * w[c] * w[c];
    return sum;
}

Test(blend, takes_from_each_component_what_it_knows_and_beats_them_all)
{
    struct lists *l = made(4, 1);
    struct blend_params p = BLEND_PARAMS_DEFAULT;
    struct blend b;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
    cr_expect_eq(b.users, USERS);
    cr_expect(!b.single);
    cr_expect_float_eq(b.weight[0] + b.weight[1] + b.weight[2] + b.weight[3], 1, 1e-12);
    cr_expect(b.weight[0] > 0.3 && b.weight[1] > b.weight[0], "%g, %g", b.weight[0], b.weight[1]);
    cr_expect_lt(b.weight[2], 0.1, "noise counts %g", b.weight[2]);
    cr_expect(b.weight[3] == 0 && b.scale[3] == 1);
    cr_expect_gt(b.scale[0], 1e4 * b.scale[1]);
    cr_expect(b.ndcg > b.alone[0] + 0.05 && b.ndcg > b.alone[1] + 0.05 && b.alone[1] > b.alone[2] + 0.1, "%g of %g, %g, %g", b.ndcg,
              b.alone[0], b.alone[1], b.alone[2]);
    free(l);
}

Test(blend, weights_are_at_the_minimum_of_the_loss_but_for_their_sum)
{
    struct lists *l = made(9, 1);
    struct blend_params p = {.l2 = 0.05, .k = 5};
    struct blend b;
    double best = INFINITY, length = 0;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
    for (double t = 0.05; t < 10; t += 0.002) { /* how long they were before */
        double w[C];
        for (size_t c = 0; c < C; c++) w[c] = t * b.weight[c];
        const double at = loss(l, &b, w, p.l2);
        if (at < best) {
            best = at;
            length = t;
        }
    }
    for (size_t c = 0; c < C; c++) {
        for (int way = -1; way <= 1; way += 2) {
            double w[C];
            for (size_t i = 0; i < C; i++) w[i] = length * b.weight[i];
            w[c] += way * 0.02;
            if (w[c] >= 0 && c != 3) cr_expect_gt(loss(l, &b, w, p.l2), best - 1e-7, "component %zu, %d", c, way);
        }
    }
    free(l);
}

Test(blend, what_misleads_gets_nothing)
{
    struct lists *l = made(2, 0.7);
    struct blend_params p = BLEND_PARAMS_DEFAULT;
    struct blend b;
    for (size_t r = 0; r < USERS * LIST; r++) l->score[r * C + 1] *= -1;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
    cr_expect_eq(b.weight[1], 0);
    cr_expect_gt(b.weight[0], 0.8);
    free(l);
}

Test(blend, never_ranks_its_lists_worse_than_one_component_alone)
{
    for (uint64_t seed = 1; seed < 20; seed++) {
        struct lists *l = made(seed, 0.1 * (double)seed);
        /* the loss minds the tail of component 0 that NDCG at 1 does not see */
        for (size_t u = 0; u < USERS; u += 4) l->score[(u * LIST + 7) * C] = -1e5f;
        struct blend_params p = {.l2 = 1e-3, .k = 1};
        struct blend b;
        cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
        for (size_t c = 0; c < C; c++) cr_expect_geq(b.ndcg, b.alone[c], "seed %d, component %zu", (int)seed, c);
        free(l);
    }
}

Test(blend, one_component_that_tells_all_apart_stays_finite)
{
    struct lists *l = made(1, 0);
    struct blend_params p = {.l2 = 0, .k = 10};
    struct blend b;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
    cr_expect_eq(b.ndcg, 1);
    for (size_t c = 0; c < C; c++) cr_expect(isfinite(b.weight[c]) && b.weight[c] >= 0);
    free(l);
}

Test(blend, is_judged_by_lists_that_it_was_not_learnt_on)
{
    struct lists *l = made(3, 1);
    struct blend_params p = BLEND_PARAMS_DEFAULT;
    struct blend b, none = {.scale = {1, 1, 1, 1}};
    double ndcg = 0, other = 0;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &b, NULL), MEROS_OK);
    cr_assert_eq(blend_ndcg(&l->of, &b, p.k, &ndcg, NULL), MEROS_OK);
    cr_expect_eq(ndcg, b.ndcg, "its own lists");
    for (size_t c = 0; c < C; c++) {
        struct blend one = none;
        one.weight[c] = 1;
        cr_assert_eq(blend_ndcg(&l->of, &one, p.k, &ndcg, NULL), MEROS_OK);
        cr_expect_float_eq(ndcg, b.alone[c], 1e-12, "component %zu alone", c);
    }
    const struct blend_lists first = {USERS / 2, C, l->start, l->score, l->relevant}, rest = {USERS - USERS / 2, C, l->start + USERS / 2, l->score, l->relevant};
    cr_assert_eq(blend_ndcg(&first, &b, p.k, &ndcg, NULL), MEROS_OK);
    cr_assert_eq(blend_ndcg(&rest, &b, p.k, &other, NULL), MEROS_OK);
    cr_expect_float_eq((ndcg + other) / 2, b.ndcg, 1e-12);
    memset(l->relevant, 0, sizeof l->relevant);
    cr_assert_eq(blend_ndcg(&l->of, &b, p.k, &ndcg, NULL), MEROS_OK);
    cr_expect_eq(ndcg, 0, "of lists that say nothing");
    free(l);
}

Test(blend, lists_that_say_nothing_are_passed_over_and_none_are_refused)
{
    struct lists *l = made(6, 1);
    struct blend_params p = BLEND_PARAMS_DEFAULT;
    struct blend all, some;
    for (size_t i = 0; i < LIST; i++) l->relevant[i] = 0;
    for (size_t i = 0; i < LIST; i++) l->relevant[LIST + i] = 1;
    cr_assert_eq(blend_fit(&l->of, &p, NULL, &all, NULL), MEROS_OK);
    cr_expect_eq(all.users, USERS - 2);
    const struct blend_lists rest = {USERS - 2, C, l->start + 2, l->score, l->relevant};
    cr_assert_eq(blend_fit(&rest, &p, NULL, &some, NULL), MEROS_OK);
    for (size_t c = 0; c < C; c++) cr_expect_eq(all.weight[c], some.weight[c]);
    const struct blend_lists none = {2, C, l->start, l->score, l->relevant};
    cr_expect_eq(blend_fit(&none, &p, NULL, &some, NULL), MEROS_UNPROCESSABLE);
    l->score[LIST * C * 5] = NAN;
    cr_expect_eq(blend_fit(&l->of, &p, NULL, &some, NULL), MEROS_UNPROCESSABLE);
    p.k = 0;
    cr_expect_eq(blend_fit(&rest, &p, NULL, &some, NULL), MEROS_UNPROCESSABLE);
    free(l);
}
