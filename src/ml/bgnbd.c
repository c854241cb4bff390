#include "meros/ml/bgnbd.h"

#include <math.h>
#include "meros/ml/special.h"
#include "purchase_fit_priv.h"

/* With s = 1 for MBG/NBD and 0 for BG/NBD, and d(x > 0) meaning "always" for MBG/NBD, both likelihoods are
 *   G(r+x)/G(r) * alpha^r/(alpha+T)^(r+x) * B(a, b+x+s)/B(a, b) * (1 + d(x > 0) e^D),
 *   D = ln a - ln(b+x+s-1) - (r+x) ln((alpha+t_x)/(alpha+T)). */

/* --- the terms of the likelihood: tables for the distinct values, then an exponential a group */

/* Of x: the part without times, ln G(r+x)/G(r) + ln B(a, b+x+s)/B(a, b) + r ln alpha, and its derivatives; r + x; ln a -
 * ln(b+x+s-1), -INFINITY if the customer cannot have left, and its derivative by b. */
enum { VALUE, BY_R, BY_ALPHA, BY_A, BY_B, EXPONENT, ODDS, ODDS_B };
/* Of a time: ln(alpha + t), 1 / (alpha + t). */
enum { LOG_SUM, INVERSE };

static void of_x(double s, const double *p, double x, double *out)
{
    const double r = p[0], a = p[2], b = p[3];
    const bool may_leave = x > 0 || s > 0;
    const double end = digamma(a + b + x + s), begin = digamma(a + b);
    out[VALUE] = log_gamma(r + x) - log_gamma(r) + log_gamma(b + x + s) - log_gamma(b) + log_gamma(a + b) - log_gamma(a + b + x + s) +
                 r * log(p[1]);
    out[BY_R] = digamma(r + x) - digamma(r) + log(p[1]);
    out[BY_ALPHA] = r / p[1];
    out[BY_A] = begin - end;
    out[BY_B] = digamma(b + x + s) - digamma(b) + begin - end;
    out[EXPONENT] = r + x;
    out[ODDS] = may_leave ? log(a) - log(b + x + s - 1) : -INFINITY;
    out[ODDS_B] = may_leave ? -1 / (b + x + s - 1) : 0;
}

static void of_x_bg(const double *p, double x, double *out)
{
    of_x(0, p, x, out);
}

static void of_x_mbg(const double *p, double x, double *out)
{
    of_x(1, p, x, out);
}

static void of_time(const double *p, double t, double *out)
{
    out[LOG_SUM] = log(p[1] + t);
    out[INVERSE] = 1 / (p[1] + t);
}

static double customer(const double *p, const double *x, const double *last, const double *end, double *by)
{
    const double gap = last[LOG_SUM] - end[LOG_SUM]; /* <= 0 */
    const double odds = x[ODDS] - x[EXPONENT] * gap;
    const double e = exp(-fabs(odds)), left = odds >= 0 ? 1 / (1 + e) : e / (1 + e); /* the chance of having left */
    by[0] = x[BY_R] - end[LOG_SUM] - left * gap;
    by[1] = x[BY_ALPHA] - x[EXPONENT] * (end[INVERSE] + left * (last[INVERSE] - end[INVERSE]));
    by[2] = x[BY_A] + left / p[2];
    by[3] = x[BY_B] + left * x[ODDS_B];
    return x[VALUE] - x[EXPONENT] * end[LOG_SUM] + (odds > 0 ? odds : 0) + log1p(e);
}

#define EFFECTS {{1, -1}, {2, 1}, {3, 1}}
static const struct purchase_family families[] = {
    [BGNBD] = {{false, true}, 3, EFFECTS, of_x_bg, of_time, of_time, customer},
    [MBGNBD] = {{false, true}, 3, EFFECTS, of_x_mbg, of_time, of_time, customer},
};

enum meros_code bgnbd_fit_covariates(enum bgnbd_kind kind, const struct purchases *data, const struct purchase_covariates *z, double penalty,
                                     const struct ml_run *run, struct mle_fit *out, double *log_likelihood, struct meros_err *err)
{
    /* alpha over r is the time between purchases of an average active customer. */
    const double gap = data->mean_t * data->customers / fmax(data->repeat_purchases, 1);
    const double starts[PURCHASE_STARTS * PURCHASE_PARAMETERS] = {1, gap, 1, 2, 0.3, 0.3 * gap, 0.5, 3};
    return purchase_fit(&families[kind], data, z, penalty, starts, run, out, log_likelihood, err);
}

enum meros_code bgnbd_fit(enum bgnbd_kind kind, const struct purchases *data, double penalty, const struct ml_run *run,
                          struct mle_fit *out, double *log_likelihood, struct meros_err *err)
{
    return bgnbd_fit_covariates(kind, data, NULL, penalty, run, out, log_likelihood, err);
}

/* --- one customer */

static double odds_of_having_left(const struct bgnbd *m, double x, double t_x, double t)
{
    const double s = m->kind == MBGNBD;
    if (x == 0 && m->kind == BGNBD) return -INFINITY;
    return log(m->a) - log(m->b + x + s - 1) + (m->r + x) * log1p((t - t_x) / (m->alpha + t_x));
}

double bgnbd_log_likelihood(const struct bgnbd *m, double x, double t_x, double t)
{
    const double s = m->kind == MBGNBD;
    return log_gamma(m->r + x) - log_gamma(m->r) + m->r * log(m->alpha) - (m->r + x) * log(m->alpha + t) +
           log_beta(m->a, m->b + x + s) - log_beta(m->a, m->b) + softplus(odds_of_having_left(m, x, t_x, t));
}

double bgnbd_p_alive(const struct bgnbd *m, double x, double t_x, double t)
{
    return logistic(-odds_of_having_left(m, x, t_x, t));
}

/* The future of a customer who is active at T: lambda ~ Gamma(k, A), p ~ Beta(a, b), k = r + x, A = alpha + T, b what the
 * purchases so far have made of it. With y = horizon / A, and given p,
 *   E[n]         =  (1 - (1 + p y)^-k) / p
 *   E[n (n - 1)] =  2 (1 - p) / p^2 (1 - (1 + p y)^-k (1 + k p y / (1 + p y))).
 * Over p both are hypergeometric series in z = y / (1 + y) after Euler's transformation: nothing grows with x, and a = 1 is
 * an ordinary point. The series cancel for r far above a + b, overflow for a in the hundreds and take 40 / (1 - z) terms; the
 * integral over p is taken by quadrature then. */
struct future {
    double k, scale, a, b; /* scale: A */
    double u;              /* a + b - 1 - r with the b of x = 0: the series' numerator that may be negative */
};

static struct future future_of(const struct bgnbd *m, double x, double t)
{
    const double s = m->kind == MBGNBD;
    return (struct future){m->r + x, m->alpha + t, m->a, m->b + x + s, m->a + m->b + s - 1 - m->r};
}

static bool series_will_do(const struct future *f, double z)
{
    return f->u > -5 && f->a < 40 && z < 0.98;
}

/* Sums over n >= start of c_n z^n for several z at once, c_(n+1) = c_n (u+n) (v+n) / ((c+n) (n+1)), from c_start = `first`;
 * what is left off is below 1e-16 of `size` where z is largest, and less elsewhere. */
static void series(double first, int start, double u, double v, double c, const double z[BGNBD_HORIZONS], double size,
                   double sums[BGNBD_HORIZONS])
{
    double power[BGNBD_HORIZONS], coefficient = first, leading = 1, most = 0;
    for (int j = 0; j < BGNBD_HORIZONS; j++) {
        most = fmax(most, z[j]);
        power[j] = start == 0 ? 1 : z[j];
        sums[j] = 0;
    }
    if (start == 1) leading = most;
    for (int n = start; n < 1000000; n++) {
        for (int j = 0; j < BGNBD_HORIZONS; j++) {
            sums[j] += coefficient * power[j];
            power[j] *= z[j];
        }
        coefficient *= (u + n) * (v + n) / ((c + n) * (n + 1));
        leading *= most;
        if (fabs(coefficient) * leading <= 1e-16 * (1 - most) * size) return;
    }
}

/* --- the same over p by quadrature. In y = logit p the density is log-concave, like e^(a y) to the left and e^(-b y) to the
 * right, and the whole is analytic in a strip about the real line: sums over equally spaced y converge as fast as anything
 * can, some thirty of them do for a narrow density. Every y serves all horizons; where the density still counts but nothing
 * else changes any more, the rest of the sum is a geometric series. */
typedef double given_p(const struct future *f, double p, double horizon);

static double log_density(const struct future *f, double y)
{
    return -f->a * softplus(-y) - f->b * softplus(y);
}

struct by_p {
    const struct future *f;
    given_p *of;
    const double *horizons;
    int n;
    double *out;
};

static void add_p(const struct by_p *g, double weight, double y)
{
    const double p = logistic(y);
    for (int j = 0; j < g->n; j++) g->out[j] += weight * g->of(g->f, p, g->horizons[j]);
}

/* From the peak in steps (negative: to the left) to where the density is below e^-45 of it, or to `end` and beyond, where it
 * falls by e^-rate a unit. */
static void one_side(const struct by_p *g, double peak, double step, double end, double rate, double all)
{
    const double top = log_density(g->f, peak);
    for (int i = 1;; i++) {
        const double y = peak + i * step, height = log_density(g->f, y), weight = fabs(step) * exp(height - all);
        const bool rest = step > 0 ? y >= end : y <= end;
        add_p(g, rest ? weight / -expm1(-rate * fabs(step)) : weight, y);
        if (rest || !(height > top - 45)) return;
    }
}

static void over_p(const struct future *f, given_p *of, const double *horizons, int n, double *out)
{
    const struct by_p g = {f, of, horizons, n, out};
    double longest = 0;
    for (int j = 0; j < n; j++) {
        longest = fmax(longest, horizons[j]);
        out[j] = 0;
    }
    if (!(longest > 0)) return;
    const double peak = log(f->a / f->b), all = log_beta(f->a, f->b), width = sqrt(1 / f->a + 1 / f->b);
    const double step = fmin(0.25, 0.7 * width);
    const double flat = fmin(fmin(0, -log(f->k * longest / f->scale)), -log1p(f->b)) - 18; /* left of it nothing changes */
    const double round_ = fmax(0, log1p(f->a)) + 18;
    add_p(&g, step * exp(log_density(f, peak) - all), peak);
    one_side(&g, peak, -step, fmin(flat, peak - 1), f->a, all);
    one_side(&g, peak, step, fmax(round_, peak + 1), f->b, all);
}

static double purchases_given_p(const struct future *f, double p, double horizon)
{
    return -expm1(-f->k * log1p(p * horizon / f->scale)) / p;
}

static double pairs_given_p(const struct future *f, double p, double horizon)
{
    const double y = horizon / f->scale, w = p * y, k = f->k, any = -expm1(-k * log1p(w));
    if ((k + 3) * w < 1e-4) /* by powers of w: the difference below would cancel */
        return (1 - p) * k * (k + 1) * y * y * (1 - (k + 2) * w * (2.0 / 3 - (k + 3) * w / 4));
    return 2 * (1 - p) / (p * p) * (any - (1 - any) * k * w / (1 + w));
}

/* c/(a-1) (1 - (1-z)^k F(k, b; c; z)), c = a + b - 1,  =  c power_gap(1-z, a-1) - (1-z)^(a-1) S,
 * S = sum over n >= 1 of (u)_n (a)_(n-1) / ((c+1)_(n-1) n!) z^n. c may be 0 or below, but not c + 1. */
void bgnbd_expected_active(const struct bgnbd *m, double x, double t, const double *horizons, int n, double *out)
{
    const struct future f = future_of(m, x, t);
    const double c = f.a + f.b - 1, e = f.a - 1;
    double z[BGNBD_HORIZONS] = {0}, sums[BGNBD_HORIZONS], longest = 0;
    for (int j = 0; j < n; j++) {
        z[j] = fmax(horizons[j], 0) / (f.scale + fmax(horizons[j], 0));
        longest = fmax(longest, horizons[j]);
    }
    const double log_rest = -log1p(longest / f.scale);
    if (!series_will_do(&f, -expm1(log_rest))) {
        over_p(&f, purchases_given_p, horizons, n, out);
        return;
    }
    series(f.u, 1, f.u, e, c, z, fabs(f.u) * -expm1(log_rest), sums);
    for (int j = 0; j < n; j++) {
        const double rest = -log1p(fmax(horizons[j], 0) / f.scale);
        out[j] = c * power_gap(rest, e) - exp(e * rest) * sums[j];
    }
}

double bgnbd_any_active(const struct bgnbd *m, double x, double t, double horizon)
{
    return horizon > 0 ? -expm1(-(m->r + x) * log1p(horizon / (m->alpha + t))) : 0;
}

/* The integral over y in (0, horizon / A) of 2 k (k+1) b/(a+b) y E[(1 + p y)^-(k+2)], p ~ Beta(a, b+1), which is
 * (1-z)^a F(u, a; a+b+1; z); in w = ln(1 + y). */
double bgnbd_pairs_active(const struct bgnbd *m, double x, double t, double horizon)
{
    if (!(horizon > 0)) return 0;
    const struct future f = future_of(m, x, t);
    const double span = log1p(horizon / f.scale);
    if (!series_will_do(&f, -expm1(-span))) {
        double pairs = 0;
        over_p(&f, pairs_given_p, &horizon, 1, &pairs);
        return pairs;
    }
    double z[BGNBD_HORIZONS] = {0}, sums[BGNBD_HORIZONS], sum = 0;
    for (int i = 0; i < GAUSS_FEW; i++) z[i] = -expm1(-span * gauss_few_at[i]);
    series(1, 0, f.u, f.a, f.a + f.b + 1, z, 1, sums);
    for (int i = 0; i < GAUSS_FEW; i++) {
        const double w = span * gauss_few_at[i];
        sum += gauss_few_weight[i] * span * exp(w) * expm1(w) * exp(-f.a * w) * sums[i];
    }
    return 2 * f.k * (f.k + 1) * f.b / (f.a + f.b) * sum;
}

double bgnbd_expected(const struct bgnbd *m, double x, double t_x, double t, double horizon)
{
    double active = 0;
    if (!(horizon > 0)) return 0;
    bgnbd_expected_active(m, x, t, &horizon, 1, &active);
    return bgnbd_p_alive(m, x, t_x, t) * active;
}

double bgnbd_expected_new(const struct bgnbd *m, double t)
{
    return bgnbd_expected(m, 0, 0, 0, t);
}

/* Either active throughout, or left with the k-th purchase (both by summing over what would have come after). */
double bgnbd_probability(const struct bgnbd *m, int k, double t)
{
    const double s = m->kind == MBGNBD, z = t / (m->alpha + t);
    double log_choose = log_gamma(m->r + k) - log_gamma(m->r) - log_gamma(k + 1.0);
    double active = exp(log_beta(m->a, m->b + k + s) - log_beta(m->a, m->b) + log_choose - m->r * log1p(t / m->alpha) +
                        (k > 0 ? k * log(z) : 0));
    if (k == 0 && m->kind == BGNBD) return active;
    double fewer = 0; /* chance of fewer than k purchases in t of somebody who never leaves */
    for (int j = 0; j < k; j++)
        fewer += exp(log_gamma(m->r + j) - log_gamma(m->r) - log_gamma(j + 1.0) - m->r * log1p(t / m->alpha) + (j > 0 ? j * log(z) : 0));
    return active + exp(log_beta(m->a + 1, m->b + k + s - 1) - log_beta(m->a, m->b)) * (1 - fewer);
}
