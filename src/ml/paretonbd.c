#include "meros/ml/paretonbd.h"

#include <math.h>
#include "meros/ml/special.h"
#include "purchase_fit_priv.h"

/* Of x: ln G(r+x)/G(r) + r ln alpha + s ln beta, and its derivatives; r + x. */
enum { VALUE, BY_R, BY_ALPHA, BY_S, BY_BETA, EXPONENT };
/* Of a time: ln(alpha + t), 1 / (alpha + t), the same with beta; t. */
enum { LOG_A, INVERSE_A, LOG_B, INVERSE_B, TIME };

static void of_x(const double *p, double x, double *out)
{
    out[VALUE] = log_gamma(p[0] + x) - log_gamma(p[0]) + p[0] * log(p[1]) + p[2] * log(p[3]);
    out[BY_R] = digamma(p[0] + x) - digamma(p[0]) + log(p[1]);
    out[BY_ALPHA] = p[0] / p[1];
    out[BY_S] = log(p[3]);
    out[BY_BETA] = p[2] / p[3];
    out[EXPONENT] = p[0] + x;
}

static void of_time(const double *p, double t, double *out)
{
    out[LOG_A] = log(p[1] + t);
    out[INVERSE_A] = 1 / (p[1] + t);
    out[LOG_B] = log(p[3] + t);
    out[INVERSE_B] = 1 / (p[3] + t);
    out[TIME] = t;
}

/* --- leaving between the last purchase and the end:
 *   L = s integral over y in (t_x, T) of (alpha + y)^-(r+x) (beta + y)^-(s+1) dy,
 * its logarithm and the derivatives of that by r, alpha, s, beta. */

struct leaving {
    double log_mass, by[PURCHASE_PARAMETERS];
};

enum { PANELS_MAX = 24, TERMS_MAX = 1000 };

/* For any parameters: by Gauss-Legendre in w = ln((alpha+y)/(alpha+t_x)), in which the density falls like e^(-rate w); past
 * 45 / rate there is nothing left. */
static void leave_by_quadrature(const double *p, double k, const double *last, const double *end, struct leaving *out)
{
    const double s = p[2], t_x = last[TIME], t = end[TIME];
    const double a = p[1] + t_x, b = p[3] + t_x, span = log1p((t - t_x) / a);
    const double rate = k - 1 + (s + 1) * fmin(a / b, 1), length = rate * span > 45 ? 45 / rate : span;
    const double spread = fmax(rate * length / 4, fmax(length, log1p((t - t_x) / b)));
    const int panels = spread < 1 ? 1 : spread > PANELS_MAX ? PANELS_MAX : (int)ceil(spread);
    double mass = 0, u = 0, v = 0, ia = 0, ib = 0;
    for (int panel = 0; panel < panels; panel++) {
        const double from = length * panel / panels, width = length / panels;
        for (int i = 0; i < GAUSS_MANY; i++) {
            const double w = from + width * gauss_many_at[i], y = a * expm1(w), gap = log1p(y / b);
            const double density = gauss_many_weight[i] * width * exp(-(k - 1) * w - (s + 1) * gap);
            mass += density;
            u += density * w;
            v += density * gap;
            ia += density / (a + y);
            ib += density / (b + y);
        }
    }
    *out = (struct leaving){.log_mass = -INFINITY};
    if (!(mass > 0)) return;
    out->log_mass = log(s * mass * a / b) - k * last[LOG_A] - s * last[LOG_B];
    out->by[0] = -last[LOG_A] - u / mass;
    out->by[1] = -k * ia / mass;
    out->by[2] = 1 / s - last[LOG_B] - v / mass;
    out->by[3] = -(s + 1) * ib / mass;
}

/* For most parameters that come up, in closed form (Fader & Hardie 2005): with m the larger of alpha and beta, d the smaller,
 * c = r + x + s, h = s + 1 where alpha is the larger and r + x otherwise,
 *   L = s/c ((m+t_x)^-c F(z(t_x)) - (m+T)^-c F(z(T))),   z(t) = (m-d)/(m+t),   F(z) = sum of c/(c+n) (h)_n/n! z^n.
 * All terms are positive. False where they are too many, or where the difference cancels. */
static bool leave_by_series(const double *p, double k, const double *last, const double *end, struct leaving *out)
{
    const double s = p[2], c = k + s;
    const bool rate_larger = p[1] >= p[3];
    const double h = rate_larger ? s + 1 : k, gap = fabs(p[1] - p[3]);
    const double in1 = rate_larger ? last[INVERSE_A] : last[INVERSE_B], in2 = rate_larger ? end[INVERSE_A] : end[INVERSE_B];
    const double log1 = rate_larger ? last[LOG_A] : last[LOG_B], log2 = rate_larger ? end[LOG_A] : end[LOG_B];
    const double z1 = gap * in1, z2 = gap * in2;
    if (z1 > 0.8 || h * z1 > 30 * (1 - z1)) return false;
    double term1 = 1, term2 = 1, harmonic = 0; /* (h)_n/n! z^n, sum of 1/(h+i) over i < n */
    double f1 = 1, f2 = 1, c1 = 0, c2 = 0, h1 = 0, h2 = 0, z1f = 0, z2f = 0; /* F, its derivatives by c, by h, and z times that by z */
    for (int n = 1;; n++) {
        const double of_c = 1 / (c + n), ratio = (h + n - 1) / n;
        term1 *= ratio * z1;
        term2 *= ratio * z2;
        harmonic += 1 / (h + n - 1);
        const double t1 = c * of_c * term1, t2 = c * of_c * term2;
        f1 += t1;
        f2 += t2;
        c1 += n * of_c * of_c * term1;
        c2 += n * of_c * of_c * term2;
        h1 += t1 * harmonic;
        h2 += t2 * harmonic;
        z1f += n * t1;
        z2f += n * t2;
        if (n * t1 <= 1e-16 * (1 - z1) * z1f && ratio * z1 < 1) break;
        if (n == TERMS_MAX) return false;
    }
    const double fall = exp(-c * (log2 - log1)), difference = f1 - f2 * fall;
    if (!(difference > 1e-9 * f1)) return false;
    /* By c, h, gap and m of the difference; z = gap / (m + t). */
    const double by_c = c1 - fall * (c2 - (log2 - log1) * f2), by_h = h1 - fall * h2;
    const double by_gap = gap > 0 ? (z1f - fall * z2f) / gap : (h * c / (c + 1)) * (in1 - fall * in2);
    const double by_m = -(z1f * in1 - fall * z2f * in2) - fall * f2 * c * (in1 - in2);
    const double with_c = -1 / c - log1 + by_c / difference, with_h = by_h / difference;
    const double with_m = -c * in1 + by_m / difference, with_gap = by_gap / difference;
    out->log_mass = log(s / c * difference) - c * log1;
    out->by[0] = with_c + (rate_larger ? 0 : with_h);
    out->by[2] = 1 / s + with_c + (rate_larger ? with_h : 0);
    out->by[rate_larger ? 1 : 3] = with_m + with_gap;
    out->by[rate_larger ? 3 : 1] = -with_gap;
    return true;
}

/* The logarithms, without the part that depends on x alone, of: being active until T; having left between t_x and T. */
static void log_ways(const double *p, double k, const double *last, const double *end, double *active, struct leaving *left)
{
    *active = -k * end[LOG_A] - p[2] * end[LOG_B];
    *left = (struct leaving){.log_mass = -INFINITY};
    if (end[TIME] > last[TIME] && !leave_by_series(p, k, last, end, left)) leave_by_quadrature(p, k, last, end, left);
}

/* --- the likelihood */

static double customer(const double *p, const double *x, const double *last, const double *end, double *by)
{
    const double k = x[EXPONENT];
    struct leaving left;
    double active;
    log_ways(p, k, last, end, &active, &left);
    const double p_left = logistic(left.log_mass - active), p_active = 1 - p_left;
    by[0] = x[BY_R] - p_active * end[LOG_A] + p_left * left.by[0];
    by[1] = x[BY_ALPHA] - p_active * k * end[INVERSE_A] + p_left * left.by[1];
    by[2] = x[BY_S] - p_active * end[LOG_B] + p_left * left.by[2];
    by[3] = x[BY_BETA] - p_active * p[2] * end[INVERSE_B] + p_left * left.by[3];
    return x[VALUE] + active + softplus(left.log_mass - active);
}

static const struct purchase_family family = {{false, true, false, true}, 2, {{1, -1}, {3, -1}}, of_x, of_time, of_time, customer};

enum meros_code paretonbd_fit_covariates(const struct purchases *data, const struct purchase_covariates *z, double penalty,
                                         const struct ml_run *run, struct mle_fit *out, double *log_likelihood, struct meros_err *err)
{
    const double gap = data->mean_t * data->customers / fmax(data->repeat_purchases, 1);
    const double starts[PURCHASE_STARTS * PURCHASE_PARAMETERS] = {1, gap, 1, data->mean_t, 0.4, 0.4 * gap, 0.6, 0.3 * data->mean_t};
    return purchase_fit(&family, data, z, penalty, starts, run, out, log_likelihood, err);
}

enum meros_code paretonbd_fit(const struct purchases *data, double penalty, const struct ml_run *run, struct mle_fit *out,
                              double *log_likelihood, struct meros_err *err)
{
    return paretonbd_fit_covariates(data, NULL, penalty, run, out, log_likelihood, err);
}

/* --- one customer */

struct entries {
    double p[PURCHASE_PARAMETERS], last[PURCHASE_ENTRY], end[PURCHASE_ENTRY];
};

static struct entries entries_of(const struct paretonbd *m, double t_x, double t)
{
    struct entries e = {.p = {m->r, m->alpha, m->s, m->beta}};
    of_time(e.p, t_x, e.last);
    of_time(e.p, t, e.end);
    return e;
}

double paretonbd_log_likelihood(const struct paretonbd *m, double x, double t_x, double t)
{
    const struct entries e = entries_of(m, t_x, t);
    double of[PURCHASE_ENTRY], by[PURCHASE_PARAMETERS];
    of_x(e.p, x, of);
    return customer(e.p, of, e.last, e.end, by);
}

double paretonbd_p_alive(const struct paretonbd *m, double x, double t_x, double t)
{
    const struct entries e = entries_of(m, t_x, t);
    struct leaving left;
    double active;
    log_ways(e.p, m->r + x, e.last, e.end, &active, &left);
    return logistic(active - left.log_mass);
}

double paretonbd_expected_active(const struct paretonbd *m, double x, double t, double horizon)
{
    if (!(horizon > 0)) return 0;
    return (m->r + x) * (m->beta + t) / (m->alpha + t) * power_gap(-log1p(horizon / (m->beta + t)), m->s - 1);
}

double paretonbd_expected(const struct paretonbd *m, double x, double t_x, double t, double horizon)
{
    return paretonbd_p_alive(m, x, t_x, t) * paretonbd_expected_active(m, x, t, horizon);
}

/* lambda e^(-(lambda + mu) u) over u in (0, horizon), lambda ~ Gamma(k, A), mu ~ Gamma(s, B): with v = 1 - (A/(A+u))^k the
 * integral of (1 + u/B)^-s over v. */
double paretonbd_any_active(const struct paretonbd *m, double x, double t, double horizon)
{
    if (!(horizon > 0)) return 0;
    const double k = m->r + x, a = m->alpha + t, b = m->beta + t, all = -expm1(-k * log1p(horizon / a));
    double sum = 0;
    for (int i = 0; i < GAUSS_MANY; i++) {
        const double u = a * expm1(-log1p(-all * gauss_many_at[i]) / k);
        sum += gauss_many_weight[i] * exp(-m->s * log1p(u / b));
    }
    return all * sum;
}

/* Pairs: 2 lambda^2 times the integral of u e^(-mu u) over u in (0, horizon). */
double paretonbd_pairs_active(const struct paretonbd *m, double x, double t, double horizon)
{
    if (!(horizon > 0)) return 0;
    const double k = m->r + x, a = m->alpha + t, b = m->beta + t, log_u = -log1p(horizon / b);
    return 2 * k * (k + 1) * (b / a) * (b / a) * fmax(power_gap(log_u, m->s - 2) - power_gap(log_u, m->s - 1), 0);
}
