/* Covariates: recovery of what was simulated, agreement with the likelihood by hand and with SciPy, predictions, edges. */
#include <criterion/criterion.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "meros/ml/clv.h"
#include "simulate.h"

#define near(got, want, tolerance, ...)                                                                      \
    cr_expect(fabs((got) - (want)) <= (tolerance), "%s: %.10g, want %.10g", #got, (double)(got), (double)(want))

static struct meros_err err;

enum { N = 8000, K = 2 };
struct people {
    size_t n;
    double x[N], t_x[N], t[N], z[N * K];
};
/* Weeks; covariate 1 is yes or no, 2 is a number about 3. */
static const double made_with[CLV_KINDS][CLV_PARAMETERS] = {{.7, 6, .9, 2.6}, {.7, 6, .9, 2.6}, {.7, 8, .8, 12}};
static const double effects[CLV_KINDS][CLV_EFFECTS_MAX][K] = {{{.6, .2}, {.4, 0}, {0, -.2}}, {{.6, .2}, {.4, 0}, {0, -.2}}, {{.6, .2}, {.5, -.3}}};

static void effective(enum clv_kind kind, const double *base, const double *z, double *p)
{
    memcpy(p, base, CLV_PARAMETERS * sizeof *p);
    for (int e = 0; e < clv_effects(kind); e++)
        p[clv_effect_parameter(kind, e)] *= exp(clv_effect_sign(kind, e) * (effects[kind][e][0] * z[0] + effects[kind][e][1] * z[1]));
}

static void make(enum clv_kind kind, size_t n, struct people *out)
{
    struct ml_rng r;
    ml_rng_seed(&r, 11);
    out->n = n;
    for (size_t i = 0; i < n; i++) {
        double *z = out->z + i * K, p[CLV_PARAMETERS];
        z[0] = ml_rng_uniform(&r) < 0.4;
        z[1] = floor(4 * (3 + ml_rng_normal(&r))) / 4;
        effective(kind, made_with[kind], z, p);
        const struct bgnbd b = {kind == CLV_MBGNBD ? MBGNBD : BGNBD, p[0], p[1], p[2], p[3]};
        const struct paretonbd q = {p[0], p[1], p[2], p[3]};
        out->t[i] = 30 + floor(20 * ml_rng_uniform(&r));
        if (kind == CLV_PARETONBD) simulate_paretonbd(&q, &r, out->t[i], &out->x[i], &out->t_x[i]);
        else simulate_bgnbd(&b, &r, out->t[i], &out->x[i], &out->t_x[i]);
        out->t[i] *= 7;
        out->t_x[i] *= 7;
    }
}

static struct clv_model fit(enum clv_kind kind, const struct people *p)
{
    struct clv_model m;
    const struct clv_data d = {.n = p->n, .x = p->x, .t_x = p->t_x, .t = p->t, .covariates = p->z, .n_covariates = K};
    const struct clv_fit_params params = {.kind = kind, .unit = CLV_WEEK};
    cr_assert_eq(clv_fit(&d, &params, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
    return m;
}

/* The sum over customers of the models' own likelihood, each with its own parameters. */
static double by_hand(const struct clv_purchase_model *m, const struct people *d)
{
    double sum = 0;
    for (size_t i = 0; i < d->n; i++) {
        double p[CLV_PARAMETERS];
        memcpy(p, m->parameter, sizeof p);
        for (int e = 0; e < clv_effects(m->kind); e++)
            p[clv_effect_parameter(m->kind, e)] *= exp(clv_effect_sign(m->kind, e) * (m->coefficient[e][0] * d->z[i * K] + m->coefficient[e][1] * d->z[i * K + 1]));
        const struct bgnbd b = {m->kind == CLV_MBGNBD ? MBGNBD : BGNBD, p[0], p[1], p[2], p[3]};
        const struct paretonbd q = {p[0], p[1], p[2], p[3]};
        sum += m->kind == CLV_PARETONBD ? paretonbd_log_likelihood(&q, d->x[i], d->t_x[i] / 7, d->t[i] / 7)
                                        : bgnbd_log_likelihood(&b, d->x[i], d->t_x[i] / 7, d->t[i] / 7);
    }
    return sum;
}

Test(covariates, parameters_and_effects_of_simulated_customers_are_found_again, .timeout = 600)
{
    static struct people p;
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind++) {
        make(kind, N, &p);
        const struct clv_model m = fit(kind, &p);
        cr_expect(m.purchase.fit.converged, "%s: decrement %g", clv_kind_name(kind), m.purchase.fit.decrement);
        for (int i = 0; i < CLV_PARAMETERS; i++)
            cr_expect(fabs(m.purchase.parameter[i] - made_with[kind][i]) < 3 * m.purchase.standard_error[i], "%s %s: %g +- %g", clv_kind_name(kind),
                      clv_parameter_name(kind, i), m.purchase.parameter[i], m.purchase.standard_error[i]);
        for (int e = 0; e < clv_effects(kind); e++)
            for (int c = 0; c < K; c++)
                cr_expect(fabs(m.purchase.coefficient[e][c] - effects[kind][e][c]) < 3 * m.purchase.coefficient_error[e][c],
                          "%s %s %d: %g +- %g, made with %g", clv_kind_name(kind), clv_effect_name(kind, e), c, m.purchase.coefficient[e][c],
                          m.purchase.coefficient_error[e][c], effects[kind][e][c]);
        near(m.purchase.fit.log_likelihood, by_hand(&m.purchase, &p), 1e-6);
    }
}

/* The errors are those of the curvature that the likelihood by hand has, and nowhere near is it higher. */
Test(covariates, the_fit_is_a_maximum_whose_curvature_gives_the_errors, .timeout = 600)
{
    static struct people p;
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind += CLV_PARETONBD) {
        make(kind, 1500, &p);
        const struct clv_model m = fit(kind, &p);
        const double top = by_hand(&m.purchase, &p);
        for (int c = 0; c < m.purchase.n_theta; c++) /* along the row of the covariance: the likelihood falls by row'H row/2 = C_cc/2 */
            for (int side = -1; side <= 1; side += 2) {
                struct clv_purchase_model moved = m.purchase;
                const double *row = m.purchase.covariance + c * m.purchase.n_theta, scale = side * 0.05 / sqrt(row[c]);
                for (int i = 0; i < CLV_PARAMETERS; i++) moved.parameter[i] *= exp(scale * row[i]);
                for (int e = 0; e < clv_effects(kind); e++)
                    for (int k = 0; k < K; k++) moved.coefficient[e][k] += scale * row[CLV_PARAMETERS + e * K + k];
                near(top - by_hand(&moved, &p), 0.05 * 0.05 / 2, 0.0002);
            }
    }
}

static bool ask(const char *kind, const struct people *p, double *answers, int n)
{
    char file[] = "/tmp/meros-clv-XXXXXX", script[PATH_MAX], command[2 * PATH_MAX];
    snprintf(script, sizeof script, "%s", __FILE__);
    snprintf(strrchr(script, '/') + 1, 40, "clv_oracle.py");
    const int fd = mkstemp(file);
    cr_assert(fd >= 0);
    FILE *f = fdopen(fd, "w");
    for (size_t i = 0; i < p->n; i++) fprintf(f, "%.17g %.17g %.17g %g %g\n", p->x[i], p->t_x[i] / 7, p->t[i] / 7, p->z[i * K], p->z[i * K + 1]);
    fclose(f);
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s' %s", script, file, kind);
    FILE *answer = popen(command, "r");
    int got = 0;
    while (got < n && fscanf(answer, "%lf", &answers[got]) == 1) got++;
    pclose(answer);
    unlink(file);
    return got == n;
}

Test(covariates, fits_agree_with_scipy, .timeout = 600)
{
    if (system("/usr/bin/python3 -c 'import scipy' 2>/dev/null") != 0)
        cr_skip_test("/usr/bin/python3 has no scipy (Debian: python3-scipy): not compared with it");
    static struct people p;
    for (enum clv_kind kind = 0; kind < CLV_KINDS; kind += CLV_PARETONBD) {
        const int n = CLV_PARAMETERS + K * clv_effects(kind);
        double want[1 + CLV_THETA_MAX];
        make(kind, 1500, &p);
        const struct clv_model m = fit(kind, &p);
        cr_assert(ask(clv_kind_name(kind), &p, want, 1 + n), "the oracle failed");
        near(m.purchase.fit.log_likelihood, want[0], 1e-3);
        for (int i = 0; i < CLV_PARAMETERS; i++) near(m.purchase.parameter[i], want[1 + i], 0.02 * m.purchase.standard_error[i]);
        for (int e = 0; e < clv_effects(kind); e++)
            for (int c = 0; c < K; c++) near(m.purchase.coefficient[e][c], want[1 + CLV_PARAMETERS + e * K + c], 0.02 * m.purchase.coefficient_error[e][c]);
    }
}

Test(covariates, predictions_follow_a_customers_own_and_the_mean_where_unknown)
{
    static struct people p;
    make(CLV_BGNBD, 1500, &p);
    struct clv_model m = fit(CLV_BGNBD, &p);
    m.spend = (struct clv_spend_model){.kind = CLV_SPEND_MEAN, .mean = 10, .deviation = 2};
    const struct clv_question q = {.horizon_days = 365, .annual_rate = 0.1, .level = 0.9};
    const double yes[K] = {1, 3}, no[K] = {0, 3}, unknown[K] = {NAN, NAN}, absurd[K] = {1e9, -1e300};
    struct clv_answer a, b, c, d, e;
    clv_score(&m, &q, &(struct clv_history){.covariates = yes}, &a);
    clv_score(&m, &q, &(struct clv_history){.covariates = no}, &b);
    clv_score(&m, &q, &(struct clv_history){.covariates = unknown}, &c);
    clv_score(&m, &q, &(struct clv_history){0}, &d);
    clv_score(&m, &q, &(struct clv_history){.covariates = absurd}, &e);
    cr_expect(a.next_order_days < 0.8 * b.next_order_days, "%g %g", a.next_order_days, b.next_order_days);
    near(c.clv, d.clv, 0);
    near(c.clv, c.expected_orders * 10, c.expected_orders * 10 * 0.1);
    cr_expect(isfinite(e.clv) && isfinite(e.high) && e.low <= e.clv && e.clv <= e.high);
    double p_eff[CLV_PARAMETERS];
    memcpy(p_eff, m.purchase.parameter, sizeof p_eff);
    for (int k = 0; k < 3; k++)
        p_eff[clv_effect_parameter(CLV_BGNBD, k)] *= exp(clv_effect_sign(CLV_BGNBD, k) * (m.purchase.coefficient[k][0] + 3 * m.purchase.coefficient[k][1]));
    near(a.expected_orders, bgnbd_expected_new(&(struct bgnbd){BGNBD, p_eff[0], p_eff[1], p_eff[2], p_eff[3]}, 365.0 / 7), 1e-9);
}

Test(covariates, that_say_nothing_are_refused)
{
    static struct people p;
    make(CLV_BGNBD, 500, &p);
    const struct clv_fit_params params = {.kind = CLV_BGNBD, .unit = CLV_WEEK};
    struct clv_data d = {.n = p.n, .x = p.x, .t_x = p.t_x, .t = p.t, .covariates = p.z, .n_covariates = K};
    struct clv_model m;
    for (size_t i = 0; i < p.n; i++) p.z[i * K + 1] = 7;
    cr_expect_eq(clv_fit(&d, &params, NULL, &m, &err), MEROS_UNPROCESSABLE);
    cr_expect_not_null(strstr(err.detail, "Covariate 2 is the same"), "%s", err.detail);
    for (size_t i = 0; i < p.n; i++) p.z[i * K + 1] = NAN;
    cr_expect_eq(clv_fit(&d, &params, NULL, &m, &err), MEROS_UNPROCESSABLE);
    for (size_t i = 0; i < p.n; i++) p.z[i * K + 1] = 2 * p.z[i * K]; /* the same twice: no maximum, said and not died of */
    cr_assert_eq(clv_fit(&d, &params, NULL, &m, &err), MEROS_OK, "%s", err.detail);
    cr_expect_not(m.purchase.fit.converged);
    cr_expect_eq(clv_check(&m, &err), MEROS_OK, "%s", err.detail);
    d.n_covariates = CLV_COVARIATES_MAX + 1;
    cr_expect_eq(clv_fit(&d, &params, NULL, &m, &err), MEROS_UNPROCESSABLE);
}
