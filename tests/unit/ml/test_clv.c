/* Lifetime value of a customer: published figures, units, discounting, intervals, and inputs at the edge. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "cdnow.h"
#include "meros/ml/clv.h"
#include "meros/ml/clv_eval.h"
#include "meros/ml/rng.h"
#include "meros/ml/special.h"
#include "simulate.h"

#define near(got, want, tolerance, ...)                                                                      \
    cr_expect(fabs((got) - (want)) <= (tolerance), "%s: %.10g, want %.10g", #got, (double)(got), (double)(want))

static struct meros_err err;

static void with_cdnow(struct cdnow *c)
{
    if (!cdnow_load(c)) cr_skip_test("the CDNOW files are not there");
}

static struct clv_model fit_cdnow(const struct cdnow *c, enum clv_kind kind, enum clv_unit unit)
{
    struct clv_model m;
    const struct clv_data d = {.n = c->n, .x = c->x, .t_x = c->t_x, .t = c->t, .mean_value = c->mean_value, .value_days = c->value_days};
    const struct clv_fit_params p = {.kind = kind, .unit = unit};
    cr_assert_eq(clv_fit(&d, &p, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

Test(clv, fits_on_the_transactions_agree_with_the_published_ones)
{
    static struct cdnow c;
    with_cdnow(&c);
    cr_assert_eq(c.n, 2357);
    struct clv_model m = fit_cdnow(&c, CLV_BGNBD, CLV_WEEK);
    near(m.purchase.repeat_purchases, 2457, 0);
    near(m.purchase.repeat_customers, 946, 0);
    near(m.purchase.fit.log_likelihood, -9582.4292, 5e-4);
    const double want[] = {.242595, 4.413602, .792922, 2.425907};
    for (int i = 0; i < 4; i++) near(m.purchase.parameter[i], want[i], 1e-3 * want[i]);
    near(m.spend.parameter[0], 6.2496, 1e-3 * 6.2496);
    near(m.spend.parameter[1], 3.7442, 1e-3 * 3.7442);
    near(m.spend.parameter[2], 15.4435, 1e-3 * 15.4435);
    near(m.spend.fit.log_likelihood, -4055.9177, 5e-3);
    cr_expect(m.purchase.fit.converged && m.spend.fit.converged);
    near(m.spend.buyers, 946, 0);
    struct clv_question q = {.horizon_days = 364, .annual_rate = 0, .level = 0.9};
    const struct clv_history h = {2, 213, 272, 22.345, 2, NULL};
    struct clv_answer a;
    clv_score(&m, &q, &h, &a);
    near(a.clv, 38.433, .05);
}

/* --- hold-out of CDNOW */

static struct clv_holdout hold_out(const struct cdnow *c, enum clv_kind kind)
{
    const struct clv_model m = fit_cdnow(c, kind, CLV_WEEK);
    const struct clv_holdout_data h = {{.n = c->n, .x = c->x, .t_x = c->t_x, .t = c->t, .mean_value = c->mean_value, .value_days = c->value_days},
                                       CDNOW_HOLDOUT_DAYS, c->later_days, c->later_value, 0.9};
    struct clv_holdout out;
    cr_assert_eq(clv_evaluate(&m, &h, NULL, &out, &err), MEROS_OK, "%s", err.detail);
    return out;
}

static void by_class(const struct clv_holdout *o, const double actual[8], const double expected[8])
{
    for (int k = 0; k < CLV_CLASSES; k++) {
        near(o->by_frequency[k].actual, actual[k], 5.1e-4);
        near(o->by_frequency[k].expected, expected[k], 5.1e-4);
    }
}

static const double held_out[8] = {.237, .697, 1.393, 1.560, 2.532, 2.947, 3.862, 6.359};

Test(holdout, bgnbd_errs_as_published)
{
    static struct cdnow c;
    with_cdnow(&c);
    const struct clv_holdout o = hold_out(&c, CLV_BGNBD);
    near(o.actual_orders, 1882, 0);
    near(o.expected_orders, 1653.4, .051);
    near(o.mae, .7855, 5.1e-5);
    near(o.rmse, 1.6080, 5.1e-5);
    near(o.naive_mae, 1.0237, 5.1e-5);
    by_class(&o, held_out, (double[]){.225, .523, 1.044, 1.520, 2.164, 2.654, 3.504, 6.157});
}

Test(holdout, paretonbd_errs_as_published)
{
    static struct cdnow c;
    with_cdnow(&c);
    const struct clv_holdout o = hold_out(&c, CLV_PARETONBD);
    near(o.expected_orders, 1665.5, .051);
    near(o.mae, .7545, 5.1e-5);
    near(o.rmse, 1.6028, 5.1e-5);
    by_class(&o, held_out, (double[]){.138, .599, 1.196, 1.714, 2.398, 2.907, 3.819, 6.403});
}

Test(holdout, intervals_cover_about_as_many_customers_as_they_say)
{
    static struct cdnow c;
    with_cdnow(&c);
    for (enum clv_kind k = 0; k < CLV_KINDS; k++) {
        const struct clv_holdout o = hold_out(&c, k);
        cr_expect(o.coverage > 0.87 && o.coverage < 0.96, "%s: %g", clv_kind_name(k), o.coverage);
        cr_expect(o.value_mae < o.naive_value_mae);
    }
}

Test(holdout, tracking_adds_up_to_what_was_bought_and_what_a_population_is_expected_to_buy)
{
    static struct cdnow c;
    with_cdnow(&c);
    const struct clv_model m = fit_cdnow(&c, CLV_BGNBD, CLV_WEEK);
    const struct clv_data d = {.n = c.n, .x = c.x, .t_x = c.t_x, .t = c.t};
    enum { DAYS = CDNOW_CALIBRATION_DAYS + CDNOW_HOLDOUT_DAYS + 1 };
    struct clv_tracking_step steps[DAYS];
    const size_t n = clv_tracking_steps(DAYS);
    cr_assert_eq(n, 78);
    cr_assert_eq(clv_tracking(&m.purchase, &d, c.daily, DAYS, NULL, steps, &err), MEROS_OK);
    double expected = 0;
    for (size_t i = 0; i < c.n; i++) {
        struct clv_answer a;
        clv_score(&m, &(struct clv_question){c.t[i] + CDNOW_HOLDOUT_DAYS, 0, 0}, &(struct clv_history){0}, &a);
        expected += a.expected_orders;
    }
    near(steps[n - 1].day, DAYS - 1, 0);
    near(steps[n - 1].observed, 2457 + 1882, 0);
    near(steps[n - 1].expected, expected, 1e-6 * expected);
    for (size_t k = 1; k < n; k++) {
        cr_expect(steps[k].expected > steps[k - 1].expected && steps[k].observed >= steps[k - 1].observed);
        cr_expect_eq(steps[k].holdout, steps[k].day > CDNOW_CALIBRATION_DAYS);
    }
    near(steps[38].expected, steps[38].observed, 0.1 * steps[38].observed); /* the day after the calibration */
}

static struct clv_candidate candidate(enum clv_kind kind, double ll, bool converged, double rmse)
{
    return (struct clv_candidate){kind, {.log_likelihood = ll, .converged = converged}, 4, rmse};
}

Test(choice, goes_by_convergence_then_error_then_likelihood)
{
    char reason[CLV_REASON_MAX];
    const struct clv_candidate error[] = {candidate(CLV_BGNBD, -100, true, 1.7), candidate(CLV_PARETONBD, -110, true, 1.5)};
    const struct clv_candidate alike[] = {candidate(CLV_BGNBD, -100, true, 1.608), candidate(CLV_PARETONBD, -99, true, 1.603)};
    const struct clv_candidate none[] = {candidate(CLV_BGNBD, -100, true, NAN), candidate(CLV_MBGNBD, -90, false, NAN), candidate(CLV_PARETONBD, -101, true, NAN)};
    cr_expect_eq(clv_choose(error, 2, reason), 1);
    cr_expect_not_null(strstr(reason, "Pareto/NBD was chosen"), "%s", reason);
    cr_expect_eq(clv_choose(alike, 2, reason), 1);
    cr_expect_not_null(strstr(reason, "likelihood"), "%s", reason);
    cr_expect_eq(clv_choose(none, 3, reason), 0);
    cr_expect_not_null(strstr(reason, "there was no hold-out"), "%s", reason);
    cr_expect_eq(clv_choose(none + 1, 2, reason), 1);
    cr_expect_not_null(strstr(reason, "did not"), "%s", reason);
    cr_expect_eq(clv_choose(none, 1, reason), 0);
}

/* --- data at the edge */

static enum meros_code fit_of(const double rows[][5], size_t n, enum clv_kind kind, struct clv_model *m)
{
    static double column[5][1000];
    for (size_t i = 0; i < n; i++)
        for (int c = 0; c < 5; c++) column[c][i] = rows[i][c];
    const struct clv_data d = {.n = n, .x = column[0], .t_x = column[1], .t = column[2], .mean_value = column[3], .value_days = column[4]};
    const struct clv_fit_params p = {.kind = kind, .unit = CLV_DAY, .mean_value = 12};
    return clv_fit(&d, &p, NULL, m, &err);
}

static void usable(const struct clv_model *m)
{
    cr_expect_eq(clv_check(m, &err), MEROS_OK, "%s", err.detail);
    const struct clv_question q = {365, 0.1, 0.9};
    const struct clv_history histories[] = {{0}, {.t = 100}, {3, 90, 100, 20, 3, NULL}, {1e6, 5000, 5000, 20, 1e6, NULL}};
    for (int i = 0; i < 4; i++) {
        struct clv_answer a;
        clv_score(m, &q, &histories[i], &a);
        cr_expect(isfinite(a.clv) && a.clv >= 0 && a.low <= a.clv && a.clv <= a.high && isfinite(a.high), "%s history %d: %g [%g, %g]",
                  clv_kind_name(m->purchase.kind), i, a.clv, a.low, a.high);
    }
}

Test(clv, data_at_the_edge_are_refused_in_words_or_fitted_and_usable, .timeout = 600)
{
    static const double nobody_again[][5] = {{0, 0, 9}, {0, 0, 30}}, one[][5] = {{3, 50, 80, 20, 3}}, just_come[][5] = {{0, 0, 0}, {0, 0, 0}};
    static const double huge[][5] = {{1e6, 2999, 3000, 5, 1e6}, {0, 0, 3000}, {1, 20, 400, 7, 1}, {3, 300, 500, 7, 3}};
    static double same[200][5];
    struct clv_model m;
    for (int i = 0; i < 200; i++) memcpy(same[i], (double[]){4, 70, 90, 25, 4}, sizeof same[i]);
    for (enum clv_kind k = 0; k < CLV_KINDS; k++) {
        cr_expect_eq(fit_of(one, 0, k, &m), MEROS_UNPROCESSABLE);
        cr_expect_eq(fit_of(nobody_again, 2, k, &m), MEROS_UNPROCESSABLE);
        cr_expect_eq(fit_of(just_come, 2, k, &m), MEROS_UNPROCESSABLE);
        cr_assert_eq(fit_of(one, 1, k, &m), MEROS_OK, "%s", err.detail);
        cr_expect_eq(m.spend.kind, CLV_SPEND_MEAN);
        near(m.spend.mean, 20, 0);
        usable(&m);
        cr_assert_eq(fit_of(same, 200, k, &m), MEROS_OK, "%s", err.detail);
        cr_expect_eq(m.spend.kind, CLV_SPEND_MEAN); /* everything is worth 25 */
        cr_expect(isnan(m.spend.correlation));
        usable(&m);
        cr_assert_eq(fit_of(huge, 4, k, &m), MEROS_OK, "%s", err.detail);
        usable(&m);
    }
}

Test(clv, purchases_worth_nothing_leave_the_value_model_and_nothing_known_leaves_the_mean)
{
    static const double worthless[][5] = {{3, 50, 80, 0, 3}, {1, 20, 80, -4, 1}, {2, 30, 80, NAN, 2}, {0, 0, 80}, {0, 0, 60}, {0, 0, 50}};
    struct clv_model m;
    cr_assert_eq(fit_of(worthless, 6, CLV_BGNBD, &m), MEROS_OK, "%s", err.detail);
    cr_expect_eq(m.spend.kind, CLV_SPEND_MEAN);
    near(m.spend.mean, 12, 0);
    near(m.spend.buyers, 0, 0);
}

Test(clv, a_correlation_of_frequency_and_value_is_warned_of)
{
    static double rows[300][5];
    struct clv_model m;
    for (int i = 0; i < 300; i++) memcpy(rows[i], (double[]){1 + i % 9, 60 + i % 20, 90, (1 + i % 9) * 10 + i % 7, 1 + i % 9}, sizeof rows[i]);
    cr_assert_eq(fit_of(rows, 300, CLV_BGNBD, &m), MEROS_OK, "%s", err.detail);
    cr_expect(m.spend.correlation > 0.9 && m.spend.correlation_warning, "%g", m.spend.correlation);
}

Test(clv, fits_in_days_and_in_weeks_are_one_model_penalty_or_not)
{
    static struct cdnow c;
    with_cdnow(&c);
    const struct clv_data d = {.n = c.n, .x = c.x, .t_x = c.t_x, .t = c.t};
    for (enum clv_kind k = 0; k < CLV_KINDS; k++)
        for (double penalty = 0; penalty < 0.02; penalty += 0.01) {
            struct clv_model day, week;
            cr_assert_eq(clv_fit(&d, &(struct clv_fit_params){k, CLV_DAY, penalty, 0}, NULL, &day, &err), MEROS_OK);
            cr_assert_eq(clv_fit(&d, &(struct clv_fit_params){k, CLV_WEEK, penalty, 0}, NULL, &week, &err), MEROS_OK);
            near(day.purchase.parameter[0], week.purchase.parameter[0], 1e-4 * week.purchase.parameter[0]);
            near(day.purchase.parameter[1], 7 * week.purchase.parameter[1], 7e-4 * week.purchase.parameter[1]);
            near(day.purchase.parameter[2], week.purchase.parameter[2], 1e-3 * week.purchase.parameter[2]);
        }
}

/* Enough groups for a sample to be fitted first. */
Test(clv, a_fit_that_began_with_a_sample_is_the_maximum_of_all, .timeout = 600)
{
    enum { N = 40000 };
    static double x[N], t_x[N], t[N];
    const struct bgnbd truth = {BGNBD, .8, 5, .6, 3};
    struct ml_rng r;
    ml_rng_seed(&r, 21);
    for (size_t i = 0; i < N; i++) {
        t[i] = 200 + floor(300 * ml_rng_uniform(&r));
        simulate_bgnbd(&truth, &r, t[i] / 7, &x[i], &t_x[i]);
        t_x[i] *= 7;
    }
    const struct clv_data d = {.n = N, .x = x, .t_x = t_x, .t = t};
    struct clv_model m;
    cr_assert_eq(clv_fit(&d, &(struct clv_fit_params){CLV_BGNBD, CLV_WEEK, 0, 0}, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_expect(m.purchase.fit.converged && m.purchase.fit.decrement < 1e-6);
    const double want[] = {.8, 5, .6, 3};
    for (int i = 0; i < 4; i++)
        cr_expect(fabs(m.purchase.parameter[i] - want[i]) < 3 * m.purchase.standard_error[i], "%d: %g +- %g", i, m.purchase.parameter[i], m.purchase.standard_error[i]);
}

static bool stop_at_once(void *arg, double fraction, const char *stage)
{
    (void)fraction, (void)stage;
    return --*(int *)arg > 0;
}

Test(holdout, with_covariates_both_are_the_sum_over_customers_and_stop_when_told)
{
    enum { N = 700, DAYS = 400 };
    static double t[N], z[N], x[N], t_x[N], orders[N], daily[DAYS];
    const struct clv_model m = {.purchase = {.kind = CLV_BGNBD, .unit = CLV_DAY, .parameter = {0.6, 20, 0.8, 2.4}, .n_theta = 7, .n_covariates = 1,
                                             .coefficient = {{0.5}, {-0.2}, {0.1}}, .covariate_mean = {0.4}}};
    struct clv_tracking_step steps[DAYS];
    for (int i = 0; i < N; i++) {
        t[i] = 150 + i % 90;
        z[i] = i % 7 == 6 ? NAN : i % 3; /* not known: as the mean */
        x[i] = i % 4;
        t_x[i] = x[i] > 0 ? 10 + i % 60 : 0;
    }
    const struct clv_data d = {.n = N, .x = x, .t_x = t_x, .t = t, .covariates = z, .n_covariates = 1};
    const struct clv_holdout_data h = {d, 160, orders, NULL, 0};
    struct clv_holdout held;
    cr_assert_eq(clv_tracking(&m.purchase, &d, daily, DAYS, NULL, steps, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(clv_evaluate(&m, &h, NULL, &held, &err), MEROS_OK, "%s", err.detail);
    double tracked = 0, later = 0;
    for (int i = 0; i < N; i++) {
        struct clv_answer a;
        clv_score(&m, &(struct clv_question){DAYS - 1 - (239 - t[i]), 0, 0}, &(struct clv_history){.covariates = &z[i]}, &a);
        tracked += a.expected_orders;
        clv_score(&m, &(struct clv_question){160, 0, 0}, &(struct clv_history){x[i], t_x[i], t[i], 0, 0, &z[i]}, &a);
        later += a.expected_orders;
    }
    near(steps[clv_tracking_steps(DAYS) - 1].expected, tracked, 1e-9 * tracked);
    near(held.expected_orders, later, 1e-9 * later);
    for (int asked = 1; asked < 3; asked++) { /* at the first question, and at a later one */
        int left = asked;
        const struct ml_run run = {.keep_going = stop_at_once, .arg = &left};
        cr_expect_eq(clv_evaluate(&m, &h, &run, &held, &err), MEROS_CANCELLED);
    }
    int left = 1;
    cr_expect_eq(clv_tracking(&m.purchase, &d, daily, DAYS, &(struct ml_run){.keep_going = stop_at_once, .arg = &left}, steps, &err), MEROS_CANCELLED);
}

/* --- customers who spend alike */

enum baskets { ONE_PRICE, ROUNDED, TWO_PRICES };

static struct clv_model fit_baskets(enum baskets what)
{
    enum { N = 1500 };
    static double x[N], t_x[N], t[N], mean[N], days[N];
    struct ml_rng rng;
    struct clv_model m;
    ml_rng_seed(&rng, 7);
    for (int i = 0; i < N; i++) {
        t[i] = 300;
        simulate_bgnbd(&(struct bgnbd){BGNBD, 0.8, 20, 0.8, 2.5}, &rng, t[i], &x[i], &t_x[i]);
        double sum = 0;
        for (int k = 0; k < x[i]; k++) {
            const double u = ml_rng_uniform(&rng);
            sum += what == ONE_PRICE ? 20 : what == ROUNDED ? 20 + 0.01 * (u - 0.5) : u < 0.5 ? 10 : 20;
        }
        mean[i] = x[i] > 0 ? sum / x[i] : 0;
        days[i] = x[i];
    }
    const struct clv_data d = {.n = N, .x = x, .t_x = t_x, .t = t, .mean_value = mean, .value_days = days};
    cr_assert_eq(clv_fit(&d, &(struct clv_fit_params){CLV_BGNBD, CLV_DAY, 0, NAN}, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_assert(m.purchase.fit.converged);
    return m;
}

Test(clv, customers_who_spend_alike_are_expected_to_spend_the_mean)
{
    const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1, .level = 0.9};
    for (enum baskets what = ONE_PRICE; what <= TWO_PRICES; what++) {
        const struct clv_model m = fit_baskets(what);
        struct clv_answer a;
        cr_expect_eq(m.spend.kind, CLV_SPEND_MEAN, "%d", what);
        cr_expect(m.spend.alike, "%d", what);
        cr_expect_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
        near(m.spend.mean, what == TWO_PRICES ? 15 : 20, what == TWO_PRICES ? 0.3 : 0.01);
        clv_score(&m, &q, &(struct clv_history){3, 100, 150, 12, 3, NULL}, &a);
        near(a.expected_order_value, m.spend.mean, 0);
        cr_expect(a.low <= a.clv && a.clv <= a.high && a.high > a.low);
    }
}
