/* BG/NBD, MBG/NBD, Pareto/NBD, Gamma-Gamma, sBG: published figures, and what must hold whatever the data. */
#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/ml/bgnbd.h"
#include "meros/ml/paretonbd.h"
#include "meros/ml/retention.h"
#include "meros/ml/rng.h"
#include "meros/ml/special.h"
#include "meros/ml/spend.h"
#include "simulate.h"

#define near(got, want, tolerance, ...)                                                                      \
    cr_expect(fabs((got) - (want)) <= (tolerance), "%s: %.10g, want %.10g", #got, (double)(got), (double)(want))

static struct meros_err err;

/* --- CDNOW, where it is */

enum { CUSTOMERS_MAX = 3000 };
struct sample {
    double x[CUSTOMERS_MAX], t_x[CUSTOMERS_MAX], t[CUSTOMERS_MAX];
    size_t n;
};

static bool cdnow(struct sample *s)
{
    char path[1000], line[200];
    const char *folder = getenv("MEROS_TEST_DATA");
    snprintf(path, sizeof path, "%s/cdnow/cdnow_customers_summary.csv", folder != NULL ? folder : "../shared/data");
    FILE *f = fopen(path, "r");
    if (f == NULL) return false;
    s->n = 0;
    if (fgets(line, sizeof line, f) != NULL)
        while (s->n < CUSTOMERS_MAX && fscanf(f, "%*d,%lf,%lf,%lf", &s->x[s->n], &s->t_x[s->n], &s->t[s->n]) == 3) s->n++;
    fclose(f);
    return true;
}

static void with_cdnow(struct purchases *p)
{
    static struct sample s;
    if (!cdnow(&s)) cr_skip_test("the CDNOW files are not there");
    cr_assert_eq(purchases_group(s.x, s.t_x, s.t, s.n, NULL, p, NULL, &err), MEROS_OK, "%s", err.detail);
}

static void fitted(const struct mle_fit *f, double ll, double want_ll, const double want[4], const double se[4])
{
    near(ll, want_ll, 5e-3);
    cr_expect(f->converged, "gradient %g, decrement %g", f->gradient_norm, f->decrement);
    for (int i = 0; i < 4; i++) {
        near(f->parameter[i], want[i], 1e-3 * want[i]);
        if (se != NULL) near(f->standard_error[i], se[i], 1e-3 * se[i]);
    }
}

Test(cdnow, bgnbd_agrees_with_fader_hardie_and_lee)
{
    struct purchases p;
    struct mle_fit f;
    double ll;
    with_cdnow(&p);
    near(p.repeat_purchases, 2457, 0);
    near(p.repeat_customers, 946, 0);
    cr_assert_eq(bgnbd_fit(BGNBD, &p, 0, NULL, &f, &ll, &err), MEROS_OK, "%s", err.detail);
    fitted(&f, ll, -9582.4256, (double[]){.242595, 4.413602, .792922, 2.425907}, (double[]){.012557, .378221, .185719, .705345});
    purchases_done(&p);
}

Test(cdnow, mbgnbd_agrees_with_batislam_and_others)
{
    struct purchases p;
    struct mle_fit f;
    double ll;
    with_cdnow(&p);
    cr_assert_eq(bgnbd_fit(MBGNBD, &p, 0, NULL, &f, &ll, &err), MEROS_OK, "%s", err.detail);
    fitted(&f, ll, -9582.1357, (double[]){.524843, 6.183086, .891359, 1.614002}, NULL);
    purchases_done(&p);
}

Test(cdnow, paretonbd_agrees_with_fader_and_hardie)
{
    struct purchases p;
    struct mle_fit f;
    double ll;
    with_cdnow(&p);
    cr_assert_eq(paretonbd_fit(&p, 0, NULL, &f, &ll, &err), MEROS_OK, "%s", err.detail);
    fitted(&f, ll, -9594.9762, (double[]){.553277, 10.577685, .606241, 11.668769}, (double[]){.0476, .8427, .1873, 6.2105});
    purchases_done(&p);
}

/* --- published figures that need no data */

Test(bgnbd, expectations_agree_with_the_published_ones)
{
    const struct bgnbd m = {BGNBD, .242595, 4.413602, .792922, 2.425907};
    const struct bgnbd rounded = {BGNBD, .243, 4.414, .793, 2.426}; /* what P(X(39) = 0) was printed for */
    const double t[] = {.1429, 1, 3, 31.8571, 32, 78}, want[] = {.0078, .0532, .1506, 1.0405, 1.0437, 1.8576};
    for (int i = 0; i < 6; i++) near(bgnbd_expected_new(&m, t[i]), want[i], t[i] < 78 ? 5.1e-5 : 1e-3 * want[i]);
    near(bgnbd_probability(&rounded, 0, 39), .5737864, 5.1e-8);
    near(bgnbd_expected(&m, 2, 30.43, 38.86, 39), 1.226, 5e-4);
    near(bgnbd_p_alive(&m, 2, 30.43, 38.86), .7266, 5e-5);
}

Test(paretonbd, expectations_agree_with_the_published_ones)
{
    const struct paretonbd m = {.553, 10.578, .606, 11.669}, u = {.55, 10.58, .61, 11.67};
    near(paretonbd_p_alive(&m, 26, 30.86, 31), .9979, 5e-5);
    near(paretonbd_expected(&m, 26, 30.86, 31, 52), 25.46, 5e-3);
    near(paretonbd_expected(&u, 132, 200, 200, 10), 6.20605, 5e-6);
    near(paretonbd_expected(&u, 133, 200, 200, 10), 6.25287, 5e-6);
}

Test(paretonbd, heavy_buyers_do_not_overflow)
{
    const struct paretonbd m = {.5143, 2.8845, .2856, 14.1087};
    const double x[] = {221, 254, 161, 204}, t_x[] = {103.42857, 97.14286, 94.71429, 98.57143}, t[] = {103.57143, 97.28571, 98.0, 99.42857};
    for (int i = 0; i < 4; i++) {
        const double p = paretonbd_p_alive(&m, x[i], t_x[i], t[i]);
        cr_expect(p > 0 && p < 1, "customer %d: %g", i, p);
    }
    for (double many = 1; many < 1e6; many *= 10) {
        cr_expect(isfinite(paretonbd_log_likelihood(&m, many, 90, 100)));
        cr_expect(isfinite(bgnbd_expected(&(struct bgnbd){BGNBD, .24, 4.4, .8, 2.4}, many, 90, 100, 52)));
    }
}

/* The integral for leaving against the closed form with hypergeometric functions, where that one is computable. */
static double hypergeometric(double a, double b, double c, double z)
{
    double term = 1, sum = 1;
    for (int n = 0; n < 20000 && fabs(term) > 1e-17 * fabs(sum); n++) {
        term *= (a + n) * (b + n) / ((c + n) * (n + 1)) * z;
        sum += term;
    }
    return sum;
}

static double closed_form(const struct paretonbd *m, double x, double t_x, double t)
{
    const double k = m->r + m->s + x, gap = fabs(m->alpha - m->beta), more = fmax(m->alpha, m->beta);
    const double second = m->alpha >= m->beta ? m->s + 1 : m->r + x;
    const double a0 = hypergeometric(k, second, k + 1, gap / (more + t_x)) / pow(more + t_x, k) -
                      hypergeometric(k, second, k + 1, gap / (more + t)) / pow(more + t, k);
    return log_gamma(m->r + x) - log_gamma(m->r) + m->r * log(m->alpha) + m->s * log(m->beta) +
           log(pow(m->alpha + t, -m->r - x) * pow(m->beta + t, -m->s) + m->s / k * a0);
}

Test(paretonbd, the_integral_equals_the_closed_form)
{
    const struct paretonbd models[] = {{.553, 10.578, .606, 11.669}, {1.4, 3, .3, 40}, {.2, 30, 2.5, 4}, {3, 8, 1, 8.001}};
    const double x[] = {0, 1, 2, 7, 12}, t_x[] = {0, 4, 10, 20, 29}, t[] = {30, 9, 10.5, 39, 31};
    for (int k = 0; k < 4; k++)
        for (int i = 0; i < 5; i++) near(paretonbd_log_likelihood(&models[k], x[i], t_x[i], t[i]), closed_form(&models[k], x[i], t_x[i], t[i]), 1e-9);
}

Test(bgnbd, chances_add_up_to_one_and_to_the_expectation)
{
    for (int kind = BGNBD; kind <= MBGNBD; kind++)
        for (double a = 0.5; a < 2; a += 0.5) { /* a = 1 is an ordinary point */
            const struct bgnbd m = {kind, .6, 5, a, 2.4};
            double all = 0, mean = 0;
            for (int k = 0; k < 400; k++) {
                all += bgnbd_probability(&m, k, 30);
                mean += k * bgnbd_probability(&m, k, 30);
            }
            near(all, 1, 1e-8);
            near(mean, bgnbd_expected_new(&m, 30), 1e-6);
        }
}

Test(expectations, grow_with_the_horizon_and_are_nought_for_none)
{
    const struct bgnbd b = {BGNBD, .24, 4.4, .79, 2.4};
    const struct paretonbd p = {.55, 10.6, .6, 11.7};
    double before_b = 0, before_p = 0;
    cr_expect_eq(bgnbd_expected(&b, 3, 10, 20, 0), 0);
    for (double h = 1e-6; h < 1e6; h *= 10) {
        const double e = bgnbd_expected(&b, 3, 10, 20, h), f = paretonbd_expected(&p, 3, 10, 20, h);
        cr_expect(e > before_b && f > before_p, "horizon %g: %g, %g", h, e, f);
        before_b = e;
        before_p = f;
    }
}

Test(gamma_gamma, expectations_agree_with_the_published_ones)
{
    const struct gamma_gamma m = {6.2496, 3.7442, 15.4435};
    const double x[] = {2, 1, 0, 0, 0, 7, 1, 0, 2, 0}, mean[] = {22.35, 11.77, 0, 0, 0, 73.74, 11.77, 0, 25.55, 0};
    const double want[] = {24.65, 18.91, 35.17, 35.17, 35.17, 71.46, 18.91, 35.17, 27.28, 35.17};
    for (int i = 0; i < 10; i++) near(gamma_gamma_expected(&m, x[i], mean[i]), want[i], 1.1e-2);
    near(gamma_gamma_expected(&m, 2, 22.35), gamma_gamma_weight(&m, 2) * 22.35 + (1 - gamma_gamma_weight(&m, 2)) * gamma_gamma_expected(&m, 0, 0), 1e-9);
}

Test(sbg, agrees_with_fader_and_hardie)
{
    static const double regular[] = {369, 163, 86, 56, 37, 27, 21}, high_end[] = {131, 126, 90, 60, 42, 34, 26};
    static const double alive[] = {.631, .468, .382, .326, .289, .262, .241};
    struct mle_fit f;
    double ll, kept[7] = {0};
    kept[6] = 241;
    cr_assert_eq(sbg_fit(regular, kept, 7, NULL, &f, &ll, &err), MEROS_OK);
    near(f.parameter[0], .70408, 1e-4);
    near(f.parameter[1], 1.18204, 1e-4);
    near(ll, -1680.2652, 5e-4);
    cr_expect(f.converged);
    const struct sbg m = {f.parameter[0], f.parameter[1]};
    for (int t = 1; t <= 7; t++) near(sbg_survival(&m, t), alive[t - 1], 8e-3);
    kept[6] = 491;
    cr_assert_eq(sbg_fit(high_end, kept, 7, NULL, &f, &ll, &err), MEROS_OK);
    near(f.parameter[0], .66809, 1e-4);
    near(f.parameter[1], 3.80609, 1e-4);
    near(ll, -1611.1581, 5e-4);
    double sum = 0;
    for (int k = 1; k < 2000; k++) sum += sbg_survival(&m, 3 + k) / sbg_survival(&m, 3) / pow(1.1, k - 1);
    near(sbg_remaining(&m, 3, .1), sum, 1e-9);
}

/* DERL of Fader & Hardie 2010: (beta+n)/(alpha+beta+n) F(1, beta+n+1; alpha+beta+n+1; 1/(1+d)) before renewal n + 1. */
Test(sbg, remaining_lifetime_is_the_closed_form_discounted_or_not)
{
    const struct sbg m = {.66809, 3.80609}, steady = {2.5, 4};
    for (int n = 0; n < 8; n++)
        for (double d = 0.05; d < 0.5; d *= 2) {
            const double b = m.beta + n;
            near(sbg_remaining(&m, n, d), b / (m.alpha + b) * hypergeometric(1, b + 1, m.alpha + b + 1, 1 / (1 + d)), 1e-9);
        }
    near(sbg_remaining(&steady, 3, 0), (4 + 3) / 1.5, 1e-12);
    cr_expect(isinf(sbg_remaining(&m, 3, 0)));
    for (int n = 1; n < 8; n++) cr_expect(sbg_remaining(&m, n, 0.1) > sbg_remaining(&m, n - 1, 0.1), "who has stayed longer stays longer");
}

Test(sbg, errors_are_those_of_the_fit_carried_over)
{
    static const double lost[] = {131, 126, 90, 60, 42, 34, 26}, kept[7] = {0, 0, 0, 0, 0, 0, 491};
    struct mle_fit f;
    cr_assert_eq(sbg_fit(lost, kept, 7, NULL, &f, NULL, &err), MEROS_OK);
    const struct sbg m = {f.parameter[0], f.parameter[1]};
    const double *c = f.covariance, whole = m.alpha + m.beta + 2;
    const double a = -m.alpha * (m.beta + 2) / (whole * whole), b = m.beta * m.alpha / (whole * whole); /* slopes of retention 3 */
    near(sbg_retention_error(&m, c, 3), sqrt(a * a * c[0] + 2 * a * b * c[1] + b * b * c[3]), 1e-8);
    for (int t = 1; t <= 7; t++) { /* no better than seven counts of 1,000 customers could tell, and not much worse */
        const double s = sbg_survival(&m, t), binomial = sqrt(s * (1 - s) / 1000);
        cr_expect(sbg_survival_error(&m, c, t) > 0.4 * binomial && sbg_survival_error(&m, c, t) < 1.1 * binomial, "%d", t);
    }
    cr_expect(sbg_remaining_error(&m, c, 0, 0.1) > 0 && sbg_remaining_error(&m, c, 0, 0.1) < 0.1 * sbg_remaining(&m, 0, 0.1));
    cr_expect(isnan(sbg_survival_error(&m, (double[]){NAN, NAN, NAN, NAN}, 2)));
}

/* --- gradients, degenerate data, recovery of what was simulated */

static void simulate(const struct bgnbd *m, size_t n, double *x, double *t_x, double *t, uint64_t seed)
{
    struct ml_rng r;
    ml_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++) {
        t[i] = 30 + floor(20 * ml_rng_uniform(&r));
        simulate_bgnbd(m, &r, t[i], &x[i], &t_x[i]);
    }
}

Test(bgnbd, parameters_of_simulated_customers_are_found_again)
{
    enum { N = 20000 };
    static double x[N], t_x[N], t[N];
    for (int kind = BGNBD; kind <= MBGNBD; kind++) {
        const struct bgnbd truth = {kind, .6, 6, .9, 2.6};
        const double want[] = {truth.r, truth.alpha, truth.a, truth.b};
        struct purchases p;
        struct mle_fit f;
        simulate(&truth, N, x, t_x, t, 7);
        cr_assert_eq(purchases_group(x, t_x, t, N, NULL, &p, NULL, &err), MEROS_OK, "%s", err.detail);
        cr_assert_eq(bgnbd_fit(kind, &p, 0, NULL, &f, NULL, &err), MEROS_OK, "%s", err.detail);
        cr_expect(f.converged);
        for (int i = 0; i < 4; i++)
            cr_expect(fabs(f.parameter[i] - want[i]) < 3 * f.standard_error[i], "kind %d, parameter %d: %g +- %g, made with %g", kind, i,
                      f.parameter[i], f.standard_error[i], want[i]);
        purchases_done(&p);
    }
}

Test(purchases, groups_keep_every_customer)
{
    const double x[] = {1, 0, 1, 2, 0, 1}, t_x[] = {3, 0, 3, 5, -0.0, 4}, t[] = {9, 9, 9, 9, 9, 9};
    uint32_t of[6];
    struct purchases p;
    cr_assert_eq(purchases_group(x, t_x, t, 6, NULL, &p, of, &err), MEROS_OK);
    cr_expect_eq(p.n, 4);
    cr_expect(of[0] == of[2] && of[1] == of[4] && of[0] != of[5]);
    cr_expect_eq(p.weight[of[0]], 2);
    cr_expect_eq(p.customers, 6);
    cr_expect_eq(p.repeat_purchases, 5);
    purchases_done(&p);
}

Test(purchases, impossible_histories_are_refused)
{
    static const double bad[][3] = {{1, 0, 9}, {0, 1, 9}, {1, 10, 9}, {1.5, 2, 9}, {-1, 2, 9}, {1, -2, 9}, {NAN, 1, 9}, {1, 1, INFINITY}};
    struct purchases p;
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        cr_expect_eq(purchases_group(&bad[i][0], &bad[i][1], &bad[i][2], 1, NULL, &p, NULL, &err), MEROS_UNPROCESSABLE, "case %zu", i);
}

Test(fits, say_what_is_missing)
{
    const double x[] = {0, 0}, t_x[] = {0, 0}, t[] = {9, 3}, lost[] = {0, 0}, kept[] = {5, 5};
    struct purchases p;
    struct mle_fit f;
    cr_assert_eq(purchases_group(x, t_x, t, 2, NULL, &p, NULL, &err), MEROS_OK);
    cr_expect_eq(bgnbd_fit(BGNBD, &p, 0, NULL, &f, NULL, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(paretonbd_fit(&p, 0, NULL, &f, NULL, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(gamma_gamma_fit(x, t, 2, 0, NULL, &f, NULL, &err), MEROS_UNPROCESSABLE);
    cr_expect_eq(sbg_fit(lost, kept, 2, NULL, &f, NULL, &err), MEROS_UNPROCESSABLE);
    purchases_done(&p);
}

Test(fits, hopeless_data_do_not_converge_and_say_so)
{
    const double x[] = {1, 1, 1}, t_x[] = {5, 5, 5}, t[] = {5, 5, 5};
    struct purchases p;
    struct mle_fit f;
    cr_assert_eq(purchases_group(x, t_x, t, 3, NULL, &p, NULL, &err), MEROS_OK);
    cr_assert_eq(bgnbd_fit(BGNBD, &p, 0, NULL, &f, NULL, &err), MEROS_OK);
    cr_expect_not(f.converged);
    cr_assert_eq(bgnbd_fit(BGNBD, &p, 0.01, NULL, &f, NULL, &err), MEROS_OK); /* a penalty makes it a question with an answer */
    cr_expect(f.converged, "decrement %g at_bound %d condition %g", f.decrement, f.at_bound, f.condition);
    purchases_done(&p);
}

Test(special, digamma_is_the_slope_of_log_gamma)
{
    near(digamma(1), -0.57721566490153286, 1e-14);
    near(digamma(0.5), -1.9635100260214235, 1e-14);
    for (double x = 1e-3; x < 1e6; x *= 3.7) near(digamma(x), (log_gamma(x * (1 + 1e-6)) - log_gamma(x * (1 - 1e-6))) / (2e-6 * x), 1e-5 * (1 + fabs(digamma(x))));
}
