#include <math.h>

#include "factors_priv.h"
#include "meros/ml/als.h"
#include "meros/ml/blas.h"
#include "meros/ml/parallel.h"
#include "recommend_data.h"

/* The loss as als.h defines it, over every pair, in double. */
static double naive_ridge(const double *w, size_t n, size_t step, double alpha, double lambda, double nu, double mean)
{
    double mass = 0;
    for (size_t i = 0; i < n; i++) mass += 1 + alpha * fabs(w[i * step]);
    return lambda * pow(mass / mean, nu);
}

static double naive_loss(const struct als_model *m, const struct interactions *x, const struct als_params *p)
{
    double *w = dense_of(x), loss = 0, total = 0;
    const size_t users = x->rows, items = x->cols;
    for (size_t i = 0; i < users * items; i++) total += 1 + p->alpha * fabs(w[i]);
    for (size_t u = 0; u < users; u++) {
        for (size_t i = 0; i < items; i++) {
            double s = 0;
            const double weight = w[u * items + i];
            for (size_t k = 0; k < m->factors; k++) s += (double)m->user[u * m->stride + k] * (double)m->item[i * m->stride + k];
            loss += (1 + p->alpha * fabs(weight)) * ((weight > 0) - s) * ((weight > 0) - s);
        }
        const double ridge = naive_ridge(w + u * items, items, 1, p->alpha, p->lambda, p->nu, total / (double)users);
        for (size_t k = 0; k < m->stride; k++) loss += ridge * pow((double)m->user[u * m->stride + k], 2);
    }
    for (size_t i = 0; i < items; i++) {
        const double ridge = naive_ridge(w + i, users, items, p->alpha, p->lambda, p->nu, total / (double)items);
        for (size_t k = 0; k < m->stride; k++) loss += ridge * pow((double)m->item[i * m->stride + k], 2);
    }
    free(w);
    return loss;
}

static struct als_params params(void)
{
    struct als_params p = ALS_PARAMS_DEFAULT;
    p.factors = 10;
    p.iterations = 8;
    p.alpha = 4;
    p.lambda = 3;
    p.trace = true;
    p.seed = 6;
    return p;
}

static struct als_model fit(const struct both *b, const struct als_params *p)
{
    struct als_model m;
    struct meros_err err = MEROS_ERR_INIT;
    ml_start();
    cr_assert_eq(als_fit(&b->user, &b->item, p, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

Test(als, loss_is_the_sum_over_every_pair)
{
    struct both b = both_random(70, 45, 600, 3, true, 2);
    static const double nus[] = {0, 0.5, 1};
    for (int i = 0; i < 3; i++) {
        struct als_params p = params();
        p.nu = nus[i];
        struct als_model m = fit(&b, &p);
        const double want = naive_loss(&m, &b.user, &p);
        cr_expect_float_eq(m.loss / want, 1, 1e-5, "nu %g: %.10g, naive %.10g", p.nu, m.loss, want);
        cr_expect_eq(m.loss, m.trace[p.iterations - 1]);
        als_model_done(&m);
    }
    both_done(&b);
}

/* An exact solver is at the minimum over the rows it has just solved: moving any of their numbers makes it worse. */
Test(als, exact_solver_never_raises_the_loss_and_ends_at_a_minimum_over_the_items)
{
    struct both b = both_random(70, 45, 600, 3, true, 2);
    struct als_params p = params();
    p.solver = ALS_CHOLESKY;
    p.iterations = 25;
    struct als_model m = fit(&b, &p);
    for (int i = 1; i < p.iterations; i++) {
        cr_expect_leq(m.trace[i], m.trace[i - 1] * (1 + 1e-6), "iteration %d: %.9g after %.9g", i, m.trace[i], m.trace[i - 1]);
    }
    const double least = naive_loss(&m, &b.user, &p);
    for (size_t i = 0; i < 45; i += 4) {
        for (int way = -1; way <= 1; way += 2) {
            float *v = &m.item[i * m.stride + i % m.factors], was = *v;
            *v += (float)way * 0.01f;
            cr_expect_gt(naive_loss(&m, &b.user, &p), least * (1 - 1e-9));
            *v = was;
        }
    }
    als_model_done(&m);
    both_done(&b);
}

Test(als, conjugate_gradients_reach_the_loss_of_the_exact_solver_within_half_a_percent)
{
    struct both b = both_random(300, 120, 4000, 4, false, 12);
    struct als_params p = params();
    p.factors = 20;
    p.iterations = 15;
    struct als_model cg = fit(&b, &p);
    p.solver = ALS_CHOLESKY;
    struct als_model exact = fit(&b, &p);
    cr_expect_lt(cg.loss, 1.005 * exact.loss, "%.9g, exact %.9g", cg.loss, exact.loss);
    als_model_done(&cg);
    als_model_done(&exact);
    both_done(&b);
}

Test(als, every_kernel_gives_the_same_but_for_the_last_digits)
{
    struct both b = both_random(100, 60, 1500, 3, true, 5);
    struct als_params p = params();
    static const char *const kernels[] = {"portable", "avx2", "avx512"};
    double first = 0;
    p.factors = 33;
    for (int i = 0; i < 3; i++) {
        if (!factors_force_kernel(kernels[i])) continue;
        struct als_model m = fit(&b, &p);
        if (first == 0) first = m.loss;
        cr_expect_float_eq(m.loss / first, 1, 1e-4, "%s: %.9g, portable %.9g", kernels[i], m.loss, first);
        als_model_done(&m);
    }
    factors_force_kernel(NULL);
    both_done(&b);
}

Test(als, is_the_same_to_the_bit_with_any_number_of_threads)
{
    struct both b = both_random(1500, 1300, 20000, 4, true, 7);
    for (int solver = ALS_CG; solver <= ALS_CHOLESKY; solver++) {
        struct als_params p = params();
        p.solver = (enum als_solver)solver;
        p.iterations = 3;
        struct als_model one = fit(&b, &p);
        for (int threads = 2; threads <= 5; threads += 3) {
            struct ml_run run = {0};
            struct als_model m;
            cr_assert_eq(ml_pool_new(&run.pool, threads, 0, NULL), MEROS_OK);
            cr_assert_eq(als_fit(&b.user, &b.item, &p, &run, &m, NULL), MEROS_OK);
            cr_expect_arr_eq(m.user, one.user, m.users * m.stride * sizeof *m.user);
            cr_expect_arr_eq(m.item, one.item, m.items * m.stride * sizeof *m.item);
            cr_expect_eq(m.loss, one.loss);
            als_model_done(&m);
            ml_pool_free(run.pool);
        }
        als_model_done(&one);
    }
    both_done(&b);
}

Test(als, folds_a_user_in_at_the_minimum_of_their_part_of_the_loss)
{
    struct both b = both_random(200, 80, 2500, 4, true, 3);
    struct als_params p = params();
    p.nu = 1;
    p.solver = ALS_CHOLESKY;
    struct als_model m = fit(&b, &p);
    float *x = aligned_alloc(64, m.stride * sizeof *x);
    for (size_t u = 0; u < 200; u += 37) {
        als_fold_in(&m, b.user.col + b.user.start[u], b.user.weight + b.user.start[u], interactions_of(&b.user, u), x);
        memcpy(m.user + u * m.stride, x, m.stride * sizeof *x);
        const double least = naive_loss(&m, &b.user, &p);
        for (size_t k = 0; k < m.factors; k++) {
            float *v = &m.user[u * m.stride + k];
            for (int way = -1; way <= 1; way += 2) {
                *v = x[k] + (float)way * 0.02f;
                cr_expect_gt(naive_loss(&m, &b.user, &p), least, "user %zu, factor %zu", u, k);
            }
            *v = x[k];
        }
    }
    free(x);
    als_model_done(&m);
    both_done(&b);
}

Test(als, nobody_s_factors_are_zero_and_unknown_items_are_passed_over)
{
    const struct interaction t[] = {{0, 0, 1}, {0, 1, 2}, {2, 1, 1}, {3, 2, -1}};
    struct both b = both_of(t, 4, 5, 4);
    struct als_params p = params();
    struct als_model m = fit(&b, &p);
    for (size_t k = 0; k < m.stride; k++) {
        cr_expect_eq(m.user[1 * m.stride + k], 0);
        cr_expect_eq(m.user[3 * m.stride + k], 0, "only spoke against something");
        cr_expect_eq(m.item[3 * m.stride + k], 0);
        cr_expect(k < m.factors || m.user[k] == 0);
    }
    const uint32_t items[] = {77, 1, 4}, known[] = {1};
    const float weights[] = {1, 1, 5};
    float a[16] __attribute__((aligned(64))), c[16] __attribute__((aligned(64)));
    als_fold_in(&m, items, weights, 3, a);
    als_fold_in(&m, known, weights, 1, c);
    cr_expect_arr_eq(a, c, sizeof a);
    als_fold_in(&m, items, weights, 1, a);
    for (int k = 0; k < 16; k++) cr_expect_eq(a[k], 0);
    als_model_done(&m);
    both_done(&b);

    b = both_of(NULL, 0, 3, 2);
    m = fit(&b, &p);
    cr_expect_eq(m.loss, 0);
    als_model_done(&m);
    both_done(&b);
    b = both_of(NULL, 0, 0, 0);
    m = fit(&b, &p);
    als_model_done(&m);
    both_done(&b);
}

static bool never(void *arg, double fraction, const char *stage)
{
    (void)fraction;
    (void)stage;
    return --*(int *)arg > 0;
}

Test(als, refuses_what_makes_no_sense_stops_when_told_and_keeps_its_budget)
{
    struct both b = both_random(100, 60, 900, 3, false, 5);
    struct als_params p = params();
    struct meros_err err = MEROS_ERR_INIT;
    struct als_model m = {0};
    p.lambda = NAN;
    cr_expect_eq(als_fit(&b.user, &b.item, &p, NULL, &m, &err), MEROS_UNPROCESSABLE);
    p = params();
    p.factors = ALS_FACTORS_MAX + 1;
    cr_expect_eq(als_fit(&b.user, &b.item, &p, NULL, &m, &err), MEROS_UNPROCESSABLE);
    p = params();
    cr_expect_eq(als_fit(&b.user, &b.user, &p, NULL, &m, &err), MEROS_UNPROCESSABLE, "not the transpose");
    int left = 5;
    struct ml_run run = {.keep_going = never, .arg = &left};
    cr_expect_eq(als_fit(&b.user, &b.item, &p, &run, &m, &err), MEROS_CANCELLED);
    cr_expect_eq(left, 0);
    run = (struct ml_run){.memory_budget = als_memory(&p, &b.user, &b.item, NULL)};
    cr_assert_eq(als_fit(&b.user, &b.item, &p, &run, &m, &err), MEROS_OK);
    als_model_done(&m);
    run.memory_budget--;
    cr_expect_eq(als_fit(&b.user, &b.item, &p, &run, &m, &err), MEROS_OUT_OF_MEMORY);
    cr_assert_null(m.item);
    both_done(&b);
}

Test(als, a_score_is_the_sum_of_what_each_item_adds_to_it)
{
    struct both b = both_random(60, 30, 500, 3, true, 8);
    struct als_params p = ALS_PARAMS_DEFAULT;
    struct als_model m;
    p.factors = 6;
    p.lambda = 3;
    cr_assert_eq(als_fit(&b.user, &b.item, &p, NULL, &m, NULL), MEROS_OK);
    const uint32_t items[] = {3, 9, 12, 999, 7, 20};
    const float weights[] = {2, 1, -1, 4, 0.5f, 3};
    float user[16] __attribute__((aligned(64))), scores[30], adds[6];
    als_fold_in(&m, items, weights, 6, user);
    als_score(&m, user, scores);
    for (uint32_t to = 0; to < 30; to++) {
        double sum = 0;
        als_explain(&m, items, weights, 6, to, adds);
        for (size_t i = 0; i < 6; i++) sum += (double)adds[i];
        cr_assert_float_eq(sum, (double)scores[to], 1e-5, "item %u", to);
        cr_assert(adds[2] == 0 && adds[3] == 0, "a no and what is not known speak for nothing");
    }
    als_explain(&m, items, weights, 6, 30, adds);
    for (size_t i = 0; i < 6; i++) cr_assert_eq(adds[i], 0);
    als_model_done(&m);
    both_done(&b);
}

Test(als, items_are_as_alike_as_their_factors_point_the_same_way)
{
    static float item[4 * 16] __attribute__((aligned(64))) = {1, 1};
    item[16] = 3;
    item[17] = 3;
    item[32] = -1;
    const struct als_model m = {.items = 4, .factors = 2, .stride = 16, .item = item};
    cr_assert_float_eq((double)als_alike(&m, 0, 1), 1, 1e-6);
    cr_assert_eq(als_alike(&m, 0, 2), 0);
    cr_assert_eq(als_alike(&m, 0, 3), 0);
}
