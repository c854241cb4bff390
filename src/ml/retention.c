#include "meros/ml/retention.h"

#include <math.h>
#include "meros/ml/special.h"

struct lives {
    const double *lost, *kept;
    size_t n;
};

/* ln P(lost at t) = lnB(alpha+1, beta+t-1) - lnB(alpha, beta); ln S(t) = lnB(alpha, beta+t) - lnB(alpha, beta). */
static double value(void *arg, const double *theta, double *gradient)
{
    const struct lives *d = arg;
    const double a = exp(theta[0]), b = exp(theta[1]), all = log_beta(a, b), psi_a = digamma(a), psi_b = digamma(b), psi_ab = digamma(a + b);
    double total = 0, by_a = 0, by_b = 0;
    for (size_t i = 0; i < d->n; i++) {
        const double t = (double)i + 1, end = digamma(a + b + t);
        total += d->lost[i] * (log_beta(a + 1, b + t - 1) - all) + d->kept[i] * (log_beta(a, b + t) - all);
        by_a += d->lost[i] * (digamma(a + 1) - end - psi_a + psi_ab) + d->kept[i] * (psi_ab - end);
        by_b += d->lost[i] * (digamma(b + t - 1) - end - psi_b + psi_ab) + d->kept[i] * (digamma(b + t) - end - psi_b + psi_ab);
    }
    gradient[0] = -by_a * a;
    gradient[1] = -by_b * b;
    return -total;
}

enum meros_code sbg_fit(const double *lost, const double *kept, size_t n_periods, const struct ml_run *run, struct mle_fit *out,
                        double *log_likelihood, struct meros_err *err)
{
    double gone = 0;
    for (size_t i = 0; i < n_periods; i++) {
        if (!(lost[i] >= 0) || !(kept[i] >= 0) || !isfinite(lost[i] + kept[i]))
            return err_set(err, MEROS_UNPROCESSABLE, "Numbers of customers must not be below zero.");
        gone += lost[i];
    }
    if (gone == 0 || n_periods < 2)
        return err_set(err, MEROS_UNPROCESSABLE, "Retention needs two periods or more, and customers who were lost, to learn from.");
    struct lives d = {lost, kept, n_periods};
    const struct mle_problem problem = {.n = 2, .value = value, .arg = &d};
    const double starts[] = {1, 1, 0.5, 3, 5, 20};
    enum meros_code rc = mle_minimise(&problem, starts, 3, 1e6, 1e-7, run, out, err);
    if (rc == MEROS_OK && log_likelihood != NULL) *log_likelihood = -out->value;
    return rc;
}

double sbg_survival(const struct sbg *m, double periods)
{
    return exp(log_beta(m->alpha, m->beta + periods) - log_beta(m->alpha, m->beta));
}

double sbg_retention(const struct sbg *m, double period)
{
    return (m->beta + period - 1) / (m->alpha + m->beta + period - 1);
}

/* Sum over k >= 1 of S(n+k)/S(n) v^(k-1), v = 1/(1+rate): terms fall like v^k k^-alpha; without discount it is
 * (beta+n)/(alpha-1). */
double sbg_remaining(const struct sbg *m, double n, double rate)
{
    if (!(rate > 0)) return m->alpha > 1 ? (m->beta + n) / (m->alpha - 1) : INFINITY;
    const double v = 1 / (1 + rate);
    double term = sbg_retention(m, n + 1), sum = term;
    for (int k = 2; k < 1000000 && term > 1e-16 * sum; k++) {
        term *= sbg_retention(m, n + k) * v;
        sum += term;
    }
    return sum;
}

/* --- errors: slopes by ln alpha and ln beta in central differences */

static double survival(const struct sbg *m, double n, double unused)
{
    (void)unused;
    return sbg_survival(m, n);
}

static double retention(const struct sbg *m, double n, double unused)
{
    (void)unused;
    return sbg_retention(m, n);
}

static double error_of(double (*of)(const struct sbg *, double, double), const struct sbg *m, const double *covariance, double n, double rate)
{
    const double h = 1e-4;
    const struct sbg up_a = {m->alpha * exp(h), m->beta}, down_a = {m->alpha * exp(-h), m->beta};
    const struct sbg up_b = {m->alpha, m->beta * exp(h)}, down_b = {m->alpha, m->beta * exp(-h)};
    const double a = (of(&up_a, n, rate) - of(&down_a, n, rate)) / (2 * h), b = (of(&up_b, n, rate) - of(&down_b, n, rate)) / (2 * h);
    return sqrt(a * a * covariance[0] + a * b * (covariance[1] + covariance[2]) + b * b * covariance[3]);
}

double sbg_survival_error(const struct sbg *m, const double *covariance, double periods)
{
    return error_of(survival, m, covariance, periods, 0);
}

double sbg_retention_error(const struct sbg *m, const double *covariance, double period)
{
    return error_of(retention, m, covariance, period, 0);
}

double sbg_remaining_error(const struct sbg *m, const double *covariance, double n, double rate)
{
    return error_of(sbg_remaining, m, covariance, n, rate);
}
