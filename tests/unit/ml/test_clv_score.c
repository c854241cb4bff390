/* What is expected of one customer: published tables, units, discounting, intervals, many at once, and inputs at the edge. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/clv.h"
#include "meros/ml/special.h"
#include "simulate.h"

#define near(got, want, tolerance, ...)                                                                      \
    cr_expect(fabs((got) - (want)) <= (tolerance), "%s: %.10g, want %.10g", #got, (double)(got), (double)(want))

static struct meros_err err;

/* The published CDNOW models, in weeks, with standard errors as the covariance. */
static struct clv_model published(enum clv_kind kind)
{
    struct clv_model m = {.purchase = {.kind = kind, .unit = CLV_WEEK, .parameter = {.242595, 4.413602, .792922, 2.425907}, .n_theta = 4},
                          .spend = {.kind = CLV_SPEND_GAMMA_GAMMA, .parameter = {6.2496, 3.7442, 15.4435}, .mean = 35}};
    static const double pareto[4] = {.553277, 10.577685, .606241, 11.668769}, error[4] = {.0518, .0857, .2342, .2908}, pareto_error[4] = {.086, .0797, .309, .532};
    if (kind == CLV_MBGNBD) memcpy(m.purchase.parameter, (double[]){.524843, 6.183086, .891359, 1.614002}, sizeof m.purchase.parameter);
    if (kind == CLV_PARETONBD) memcpy(m.purchase.parameter, pareto, sizeof pareto);
    for (int i = 0; i < 4; i++) m.purchase.covariance[i * 5] = pow(kind == CLV_PARETONBD ? pareto_error[i] : error[i], 2);
    for (int i = 0; i < 3; i++) m.spend.covariance[i * 4] = 0.04;
    cr_assert_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

/* The first ten customers of CDNOW as its summary has them. */
static const double ten[10][4] = {{2, 30.43, 38.86, 22.35}, {1, 1.71, 38.86, 11.77}, {0, 0, 38.86, 0}, {0, 0, 38.86, 0}, {0, 0, 38.86, 0},
                                  {7, 29.43, 38.86, 73.74}, {1, 5, 38.86, 11.77},    {0, 0, 38.86, 0}, {2, 35.71, 38.86, 25.55}, {0, 0, 38.86, 0}};

static struct clv_history customer(int i)
{
    return (struct clv_history){ten[i][0], ten[i][1] * 7, ten[i][2] * 7, ten[i][3], ten[i][0], NULL};
}

Test(clv_score, twelve_months_at_one_percent_a_month_are_worth_what_is_published)
{
    static const double want[10] = {36.278, 4.637, 8.344, 8.344, 8.344, 283.524, 6.881, 8.344, 43.354, 8.344};
    const struct clv_model m = published(CLV_BGNBD);
    const struct clv_question q = {.horizon_days = 12 * 4.345 * 7, .annual_rate = 0};
    for (int i = 0; i < 10; i++) {
        const struct clv_history h = customer(i);
        struct clv_step steps[12];
        double sum = 0;
        cr_assert_eq(clv_breakdown(&m, &q, &h, 4.345 * 7, steps, 12), 12);
        for (int k = 0; k < 12; k++) sum += (steps[k].value - (k > 0 ? steps[k - 1].value : 0)) / pow(1.01, k + 1);
        near(sum, want[i], 1e-3 * want[i]);
    }
}

Test(clv_score, fifty_two_weeks_undiscounted_are_worth_what_is_published)
{
    static const double want[10] = {38.433, 4.915, 8.851, 8.851, 8.851, 300.081, 7.294, 8.851, 45.928, 8.851};
    const struct clv_model m = published(CLV_BGNBD);
    const struct clv_question q = {.horizon_days = 364, .annual_rate = 0};
    for (int i = 0; i < 10; i++) {
        const struct clv_history h = customer(i);
        struct clv_answer a;
        clv_score(&m, &q, &h, &a);
        near(a.clv, want[i], 1e-3 * want[i]);
        near(a.clv, a.expected_orders * a.expected_order_value, 1e-12);
    }
}

Test(clv_score, is_the_same_whatever_unit_the_model_is_in)
{
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        const struct clv_model weeks = published(kind);
        struct clv_model days = weeks;
        days.purchase.unit = CLV_DAY;
        days.purchase.parameter[1] *= 7;
        if (kind == CLV_PARETONBD) days.purchase.parameter[3] *= 7;
        for (int i = 0; i < 10; i++) {
            const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1, .level = 0.9};
            const struct clv_history h = customer(i);
            struct clv_answer a, b;
            clv_score(&weeks, &q, &h, &a);
            clv_score(&days, &q, &h, &b);
            near(a.clv, b.clv, 1e-9 * a.clv);
            near(a.high, b.high, 1e-6 * a.high);
            near(a.next_order_days, b.next_order_days, 1e-9 * a.next_order_days);
            near(a.frequency_weight, b.frequency_weight, 1e-12);
        }
    }
}

Test(clv_score, discounts_every_purchase_by_when_it_comes)
{
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        const struct clv_model m = published(kind);
        const double rates[] = {0.1, 1, -0.5, 100}, horizons[] = {30, 365, 3650};
        for (int r = 0; r < 4; r++)
            for (int k = 0; k < 3; k++)
                for (int i = 0; i < 11; i++) { /* the eleventh is new */
                    enum { SLICES = 500 };
                    const struct clv_question q = {.horizon_days = horizons[k], .annual_rate = rates[r]}, plain = {.horizon_days = horizons[k]};
                    const struct clv_history h = i < 10 ? customer(i) : (struct clv_history){0};
                    static struct clv_step steps[SLICES];
                    struct clv_answer a;
                    double sum = 0;
                    clv_score(&m, &q, &h, &a);
                    if (k == 2 && i % 4 != 2) continue; /* slow */
                    const int n = clv_breakdown(&m, &plain, &h, horizons[k] / SLICES, steps, SLICES);
                    for (int s = 0; s < n; s++) {
                        const double middle = horizons[k] * (s + 0.5) / SLICES;
                        sum += (steps[s].value - (s > 0 ? steps[s - 1].value : 0)) * pow(1 + rates[r], -middle / 365.25);
                    }
                    near(a.clv, sum, 1e-3 * fabs(sum));
                }
    }
}

Test(clv_score, months_add_up_to_the_whole)
{
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        const struct clv_model m = published(kind);
        const struct clv_question q = {.horizon_days = 100, .annual_rate = 0.15};
        const struct clv_history h = customer(5);
        struct clv_step steps[12];
        struct clv_answer a;
        clv_score(&m, &q, &h, &a);
        cr_assert_eq(clv_breakdown(&m, &q, &h, CLV_MONTH_DAYS, steps, 12), 4);
        near(steps[0].days, CLV_MONTH_DAYS, 1e-12);
        near(steps[3].days, 100, 0);
        near(steps[3].orders, a.expected_orders, 1e-12);
        near(steps[3].clv, a.clv, 1e-12);
        for (int k = 1; k < 4; k++) cr_expect(steps[k].clv > steps[k - 1].clv && steps[k].value > steps[k].clv);
    }
}

Test(clv_score, a_new_customer_gets_the_populations_expectation_and_the_answer_says_so)
{
    const struct clv_model m = published(CLV_BGNBD);
    const struct clv_question q = {.horizon_days = 78 * 7};
    struct clv_answer a, b;
    clv_score(&m, &q, &(struct clv_history){0}, &a);
    cr_expect(a.population);
    near(a.expected_orders, 1.858, 5e-4);
    near(a.expected_order_value, 35.171, 1e-3);
    near(a.frequency_weight + a.value_weight, 0, 0);
    const struct clv_history one = customer(0);
    clv_score(&m, &q, &one, &b);
    cr_expect_not(b.population);
    near(b.frequency_weight, 38.86 / (4.413602 + 38.86), 1e-12);
    near(b.value_weight, 6.2496 * 2 / (6.2496 * 2 + 2.7442), 1e-12);
}

/* The future that the model means, played out: means, chances and the interval against it. */
static void play(enum clv_kind kind, const struct clv_history *h, struct ml_rng *r, const struct clv_model *m, double horizon, double *orders, double *value)
{
    const double *p = m->purchase.parameter, *g = m->spend.parameter;
    struct nature c = {gamma_draw(r, p[0] + h->x) / (p[1] + h->t / 7), 0, INFINITY};
    const double rate = gamma_draw(r, g[0] * h->value_days + g[1]) / (g[2] + h->value_days * h->mean_value);
    double last;
    *orders = *value = 0;
    struct clv_answer now;
    clv_score(m, &(struct clv_question){1, 0, 0}, h, &now);
    if (ml_rng_uniform(r) >= now.p_alive) return;
    if (kind == CLV_PARETONBD) c.leaves = exponential_draw(r, gamma_draw(r, p[2]) / (p[3] + h->t / 7));
    else {
        const double a = gamma_draw(r, p[2]);
        c.p = a / (a + gamma_draw(r, p[3] + h->x + (kind == CLV_MBGNBD)));
    }
    live(r, &c, horizon, orders, &last);
    for (int i = 0; i < *orders; i++) *value += gamma_draw(r, g[0]) / rate;
}

Test(clv_score, mean_chances_deviation_and_interval_are_those_of_futures_played_out, .timeout = 600)
{
    enum { TIMES = 20000 };
    struct ml_rng r;
    ml_rng_seed(&r, 3);
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        struct clv_model m = published(kind);
        for (int i = 0; i < 28; i++) m.purchase.covariance[i] = 0; /* the parameters are known here */
        for (int i = 0; i < 9; i++) m.spend.covariance[i] = 0;
        for (int i = 0; i < 6; i += i == 0 ? 5 : 1) {
            const struct clv_history h = customer(i);
            const struct clv_question q = {.horizon_days = 364, .annual_rate = 0, .level = 0.9};
            struct clv_answer a;
            double sum = 0, square = 0, any = 0, inside = 0, value_sum = 0;
            clv_score(&m, &q, &h, &a);
            for (int k = 0; k < TIMES; k++) {
                double orders, value;
                play(kind, &h, &r, &m, 52, &orders, &value);
                sum += orders;
                any += orders > 0;
                value_sum += value;
                square += value * value;
                inside += value >= a.low && value <= a.high;
            }
            const double mean = value_sum / TIMES, deviation = sqrt(square / TIMES - mean * mean);
            near(a.expected_orders, sum / TIMES, 0.03 * a.expected_orders + 0.01);
            near(a.p_order, any / TIMES, 0.02);
            near(a.clv, mean, 5 * deviation / sqrt(TIMES));
            near(a.process_deviation, deviation, 0.1 * deviation);
            cr_expect(inside / TIMES > 0.86 && inside / TIMES < 0.98, "%s, customer %d: %g inside [%g, %g] around %g", clv_kind_name(kind), i, inside / TIMES, a.low, a.high, a.clv);
        }
    }
}

/* By numbers, over the chance of leaving and with the rate in closed form, at parameters where either way is taken. */
Test(bgnbd, expectations_equal_the_integral_over_who_leaves, .timeout = 600)
{
    const struct bgnbd models[] = {{BGNBD, .24, 4.4, .8, 2.4}, {BGNBD, .24, 4.4, 1, 2.4}, {MBGNBD, .5, 6, .9, 1.6}, {BGNBD, 30, 60, .5, 2}, {MBGNBD, 1, 4, 60, 300}, {BGNBD, .3, .01, .4, .5}, {BGNBD, 5000, 9000, .8, 2}, {BGNBD, .5, 6, 1e4, 2e5}, {MBGNBD, .02, 300, 1200, 70}};
    for (size_t k = 0; k < sizeof models / sizeof models[0]; k++)
        for (double x = 0; x < 500; x = 3 * x + 1)
            for (double h = 0.5; h < 2000; h *= 9) {
                const struct bgnbd *m = &models[k];
                const double b = m->b + x + (m->kind == MBGNBD), t = 40, peak = log(m->a / b), step = fmin(0.02, sqrt(1 / m->a + 1 / b) / 4);
                double mean = 0, pairs = 0, mass = 0, got;
                for (double y = peak - 60 / fmin(m->a, 1); y < peak + 60 / fmin(b, 1); y += step) {
                    const double p = logistic(y), w = exp(-m->a * softplus(-y) - b * softplus(y) - log_beta(m->a, b)) * step, u = p * h / (m->alpha + t), s = m->r + x;
                    mass += w;
                    mean += w * -expm1(-s * log1p(u)) / p;
                    pairs += w * ((s + 3) * u < 1e-3 ? s * (s + 1) * pow(h / (m->alpha + t), 2) * (1 - p) * (1 - 2 * (s + 2) * u / 3 + (s + 2) * (s + 3) * u * u / 4)
                                                     : 2 * (1 - p) / (p * p) * (1 - exp(-s * log1p(u)) * (1 + s * u / (1 + u))));
                }
                near(mass, 1, 1e-6);
                bgnbd_expected_active(m, x, t, &h, 1, &got);
                near(got, mean, 1e-6 * mean);
                near(bgnbd_pairs_active(m, x, t, h), pairs, 1e-6 * pairs);
            }
}

/* --- whatever is asked */

static void sensible(const struct clv_answer *a, const char *what)
{
    cr_expect(a->p_alive >= 0 && a->p_alive <= 1 && a->p_order >= 0 && a->p_order <= 1 + 1e-12, "%s: %g %g", what, a->p_alive, a->p_order);
    cr_expect(a->expected_orders >= 0 && isfinite(a->expected_orders), "%s: orders %g", what, a->expected_orders);
    cr_expect(a->clv >= 0 && isfinite(a->clv) && a->low >= 0 && a->low <= a->clv && a->clv <= a->high && isfinite(a->high), "%s: %g [%g, %g]", what, a->clv, a->low, a->high);
    cr_expect(a->next_order_days >= 0 && a->next_order_days <= CLV_NEXT_MAX_DAYS && a->frequency_weight >= 0 && a->frequency_weight <= 1, "%s", what);
}

Test(clv_score, is_finite_whatever_the_parameters_and_the_history, .timeout = 600)
{
    static const double sizes[] = {1e-4, 0.3, 20, 1e5};
    static const double histories[][3] = {{0, 0, 0}, {0, 0, 1}, {0, 0, 9000}, {1, 1, 1}, {1, 1, 4000}, {40, 39, 40}, {3000, 3000, 3001}, {1e7, 10, 1e4}, {5, 100, 50}, {3, 0, 50}, {-1, -4, -9}, {NAN, INFINITY, NAN}};
    static const double horizons[] = {0, 1e-3, 365, CLV_HORIZON_MAX_DAYS};
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++)
        for (int i = 0; i < 256; i += 7) {
            struct clv_model m = published(kind);
            for (int k = 0; k < 4; k++) m.purchase.parameter[k] = sizes[i >> 2 * k & 3];
            for (size_t j = 0; j < sizeof histories / sizeof histories[0]; j++) {
                char what[200];
                const struct clv_history h = {histories[j][0], histories[j][1], histories[j][2], 20, histories[j][0], NULL};
                const struct clv_question q = {horizons[(i + (int)j) % 4], 0.1, 0.9};
                struct clv_answer a;
                snprintf(what, sizeof what, "%s %g %g %g %g, history %zu, horizon %g", clv_kind_name(kind), m.purchase.parameter[0], m.purchase.parameter[1], m.purchase.parameter[2], m.purchase.parameter[3], j, q.horizon_days);
                clv_score(&m, &q, &h, &a);
                sensible(&a, what);
            }
        }
}

Test(clv_score, without_a_covariance_knows_the_process_only_and_without_values_no_value)
{
    struct clv_model m = published(CLV_BGNBD);
    const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1, .level = 0.9};
    const struct clv_history h = customer(0);
    struct clv_answer a;
    for (int i = 0; i < 16; i++) m.purchase.covariance[i] = NAN;
    cr_assert_eq(clv_check(&m, &err), MEROS_OK);
    clv_score(&m, &q, &h, &a);
    sensible(&a, "no covariance");
    cr_expect(isnan(a.parameter_deviation) && a.process_deviation > 0);
    m.spend = (struct clv_spend_model){.kind = CLV_SPEND_NONE};
    clv_score(&m, &q, &h, &a);
    cr_expect(isnan(a.clv) && isnan(a.expected_order_value) && isnan(a.low) && a.expected_orders > 0);
}

Test(clv_score, refuses_questions_and_models_that_make_no_sense)
{
    const struct clv_question bad[] = {{-1, 0, 0.9}, {NAN, 0, 0.9}, {CLV_HORIZON_MAX_DAYS * 2, 0, 0}, {365, -1, 0}, {365, NAN, 0}, {365, 1e9, 0}, {365, 0, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) cr_expect_eq(clv_question_check(&bad[i], &err), MEROS_UNPROCESSABLE, "%zu", i);
    struct clv_model m = published(CLV_BGNBD);
    m.purchase.parameter[2] = 0;
    cr_expect_eq(clv_check(&m, &err), MEROS_UNPROCESSABLE);
    m = published(CLV_BGNBD);
    m.purchase.covariance[1] = 1;
    cr_expect_eq(clv_check(&m, &err), MEROS_UNPROCESSABLE);
    m = published(CLV_BGNBD);
    m.spend.parameter[1] = 0.9;
    cr_expect_eq(clv_check(&m, &err), MEROS_UNPROCESSABLE);
    m = published(CLV_BGNBD);
    m.purchase.kind = 17;
    cr_expect_eq(clv_check(&m, &err), MEROS_UNPROCESSABLE);
}

/* --- many */

Test(clv_score, all_at_once_are_what_each_is_alone)
{
    enum { N = 4000 };
    static double x[N], t_x[N], t[N], mean[N], days[N], clv[N], orders[N], alive[N], value[N];
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        const struct clv_model m = published(kind);
        const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1};
        for (int i = 0; i < N; i++) {
            const struct clv_history h = customer(i % 10);
            x[i] = h.x, t_x[i] = h.t_x, t[i] = h.t + i % 7, mean[i] = h.mean_value, days[i] = h.value_days;
        }
        const struct clv_data d = {.n = N, .x = x, .t_x = t_x, .t = t, .mean_value = mean, .value_days = days};
        cr_assert_eq(clv_score_all(&m, &q, &d, NULL, &(struct clv_scores){alive, orders, value, clv}, &err), MEROS_OK, "%s", err.detail);
        for (int i = 0; i < N; i++) {
            struct clv_answer a;
            clv_score(&m, &q, &(struct clv_history){x[i], t_x[i], t[i], mean[i], days[i], NULL}, &a);
            near(clv[i], a.clv, 1e-9 * a.clv);
            near(orders[i], a.expected_orders, 1e-12);
            near(alive[i], a.p_alive, 1e-12);
            near(value[i], a.expected_order_value, 1e-12);
        }
    }
}

Test(clv_score, a_group_is_more_certain_than_its_customers_but_not_beyond_the_parameters)
{
    const struct clv_model m = published(CLV_BGNBD);
    const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1, .level = 0.9};
    struct clv_total all = {0}, half = {0}, other = {0};
    struct clv_answer a;
    const struct clv_history h = customer(0);
    clv_score(&m, &q, &h, &a);
    for (int i = 0; i < 10000; i++) clv_total_add(&all, &a);
    for (int i = 0; i < 5000; i++) clv_total_add(&half, &a);
    clv_total_merge(&other, &half);
    clv_total_merge(&other, &half);
    double low, high, low2, high2;
    clv_total_interval(&m, &all, 0.9, &low, &high);
    clv_total_interval(&m, &other, 0.9, &low2, &high2);
    near(low, low2, 1e-6 * low);
    near(high, high2, 1e-6 * high);
    near(all.clv, 10000 * a.clv, 1e-6 * all.clv);
    const double want = 1.6448536 * sqrt(10000 * pow(a.process_deviation, 2) + pow(10000 * a.parameter_deviation, 2));
    near(high - all.clv, want, 1e-5 * want);
    cr_expect(high - low < 10000 * (a.high - a.low) / 4);
}
