#include "meros/ml/paretonbd.h"

#include <math.h>
#include <stdlib.h>
#include "meros/ml/matrix.h"
#include "meros/ml/special.h"

/* --- leaving between the last purchase and the end */

/* log of s * integral over y in (t_x, T) of ((alpha+t_x)/(alpha+y))^(r+x) ((beta+t_x)/(beta+y))^(s+1) dy / (beta + t_x), and
 * the means under that density of u = ln((alpha+y)/(alpha+t_x)), v = ln((beta+y)/(beta+t_x)), 1/(alpha+y), 1/(beta+y). */
struct leaving {
    double log_mass, u, v, inverse_alpha, inverse_beta;
};

enum { PANELS_MAX = 24 };

static void leave_between(const struct paretonbd *m, double x, double t_x, double t, struct leaving *out)
{
    const double k = m->r + x, a = m->alpha + t_x, b = m->beta + t_x, span = log1p((t - t_x) / a);
    /* In w = ln((alpha+y)/(alpha+t_x)) the density falls like e^(-rate w): past 45 / rate there is nothing left. */
    const double rate = k - 1 + (m->s + 1) * fmin(a / b, 1), length = rate * span > 45 ? 45 / rate : span;
    const double spread = fmax(rate * length / 4, fmax(length, log1p((t - t_x) / b)));
    const int panels = spread < 1 ? 1 : spread > PANELS_MAX ? PANELS_MAX : (int)ceil(spread);
    double mass = 0, u = 0, v = 0, ia = 0, ib = 0;
    for (int panel = 0; panel < panels; panel++) {
        const double from = length * panel / panels, width = length / panels;
        for (int i = 0; i < GAUSS_MANY; i++) {
            const double w = from + width * gauss_many_at[i], y = a * expm1(w), gap = log1p(y / b);
            const double density = gauss_many_weight[i] * width * exp(-(k - 1) * w - (m->s + 1) * gap);
            mass += density;
            u += density * w;
            v += density * gap;
            ia += density / (a + y);
            ib += density / (b + y);
        }
    }
    *out = (struct leaving){.log_mass = log(m->s * mass * a / b)};
    if (!(mass > 0)) {
        out->log_mass = -INFINITY;
        return;
    }
    out->u = u / mass;
    out->v = v / mass;
    out->inverse_alpha = ia / mass;
    out->inverse_beta = ib / mass;
}

/* The logarithms, without the part that depends on x alone, of: being active until T; having left between t_x and T. */
static void log_ways(const struct paretonbd *m, double x, double t_x, double t, struct leaving *l, double *active, double *left)
{
    const double k = m->r + x;
    *active = -k * log(m->alpha + t) - m->s * log(m->beta + t);
    *left = -INFINITY;
    if (!(t > t_x)) return;
    leave_between(m, x, t_x, t, l);
    *left = l->log_mass - k * log(m->alpha + t_x) - m->s * log(m->beta + t_x);
}

static double constant(const struct paretonbd *m, double x)
{
    return log_gamma(m->r + x) - log_gamma(m->r) + m->r * log(m->alpha) + m->s * log(m->beta);
}

/* --- the likelihood of groups */

enum { GROUPS_PER_PART = 128 };
struct part {
    double value, gradient[4];
};
struct likelihood {
    const struct purchases *data;
    double penalty;
    struct ml_pool *pool;
    double *log_rising, *by_r; /* of each x: ln G(r+x)/G(r), and its derivative */
    struct part *parts;
    size_t n_parts;
    struct paretonbd m;
};

static void add_part(void *arg, size_t part, int worker)
{
    const struct likelihood *l = arg;
    const struct purchases *d = l->data;
    const struct paretonbd *m = &l->m;
    const size_t from = part * GROUPS_PER_PART, to = from + GROUPS_PER_PART < d->n ? from + GROUPS_PER_PART : d->n;
    const double log_alpha = log(m->alpha), log_beta_ = log(m->beta);
    struct part sum = {0};
    (void)worker;
    for (size_t i = from; i < to; i++) {
        const double w = d->weight[i], x = d->xs[d->x[i]], t_x = d->t_xs[d->t_x[i]], t = d->ts[d->t[i]], k = m->r + x;
        struct leaving l_ = {0};
        double active, left;
        log_ways(m, x, t_x, t, &l_, &active, &left);
        const double p_left = logistic(left - active), p_active = 1 - p_left;
        const double end_a = log(m->alpha + t), end_b = log(m->beta + t), last_a = log(m->alpha + t_x), last_b = log(m->beta + t_x);
        sum.value += w * (l->log_rising[d->x[i]] + m->r * log_alpha + m->s * log_beta_ + active + softplus(left - active));
        sum.gradient[0] += w * (l->by_r[d->x[i]] + log_alpha - p_active * end_a - p_left * (last_a + l_.u));
        sum.gradient[1] += w * (m->r / m->alpha - k * (p_active / (m->alpha + t) + p_left * l_.inverse_alpha));
        sum.gradient[2] += w * (log_beta_ - p_active * end_b + p_left * (1 / m->s - last_b - l_.v));
        sum.gradient[3] += w * (m->s / m->beta - p_active * m->s / (m->beta + t) - p_left * (m->s + 1) * l_.inverse_beta);
    }
    l->parts[part] = sum;
}

static double value(void *arg, const double *theta, double *gradient)
{
    struct likelihood *l = arg;
    double p[4], total = 0, by[4] = {0};
    for (int i = 0; i < 4; i++) p[i] = exp(theta[i]);
    l->m = (struct paretonbd){p[0], p[1], p[2], p[3]};
    for (size_t i = 0; i < l->data->n_x; i++) {
        l->log_rising[i] = log_gamma(p[0] + l->data->xs[i]) - log_gamma(p[0]);
        l->by_r[i] = digamma(p[0] + l->data->xs[i]) - digamma(p[0]);
    }
    parallel_for(l->pool, l->n_parts, add_part, l);
    for (size_t k = 0; k < l->n_parts; k++) {
        total += l->parts[k].value;
        for (int i = 0; i < 4; i++) by[i] += l->parts[k].gradient[i];
    }
    const double weight = l->penalty * l->data->customers;
    for (int i = 0; i < 4; i++) {
        gradient[i] = -by[i] * p[i] + 2 * weight * p[i] * p[i];
        total -= weight * p[i] * p[i];
    }
    return -total;
}

enum meros_code paretonbd_fit(const struct purchases *data, double penalty, const struct ml_run *run, struct mle_fit *out,
                              double *log_likelihood, struct meros_err *err)
{
    if (data->repeat_customers == 0)
        return err_set(err, MEROS_UNPROCESSABLE, "Nobody has bought twice yet, so there is nothing to learn about returning from.");
    struct likelihood l = {.data = data, .penalty = penalty, .pool = ml_run_pool(run),
                           .n_parts = (data->n + GROUPS_PER_PART - 1) / GROUPS_PER_PART};
    l.log_rising = ml_alloc(data->n_x, sizeof *l.log_rising);
    l.by_r = ml_alloc(data->n_x, sizeof *l.by_r);
    l.parts = ml_alloc(l.n_parts, sizeof *l.parts);
    const struct mle_problem problem = {4, value, &l};
    const double gap = data->mean_t * data->customers / data->repeat_purchases;
    const double starts[] = {1, gap, 1, data->mean_t, 0.4, 0.4 * gap, 0.6, 0.3 * data->mean_t};
    enum meros_code rc = l.log_rising == NULL || l.by_r == NULL || l.parts == NULL
                             ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for fitting purchases.")
                             : mle_minimise(&problem, starts, 2, 1e5, 1e-6, run, out, err);
    if (rc == MEROS_OK && log_likelihood != NULL) {
        double sum = 0;
        for (int i = 0; i < 4; i++) sum += out->parameter[i] * out->parameter[i];
        *log_likelihood = -out->value + penalty * data->customers * sum;
    }
    free(l.log_rising);
    free(l.by_r);
    free(l.parts);
    return rc;
}

/* --- one customer */

double paretonbd_log_likelihood(const struct paretonbd *m, double x, double t_x, double t)
{
    struct leaving l;
    double active, left;
    log_ways(m, x, t_x, t, &l, &active, &left);
    return constant(m, x) + active + softplus(left - active);
}

double paretonbd_p_alive(const struct paretonbd *m, double x, double t_x, double t)
{
    struct leaving l;
    double active, left;
    log_ways(m, x, t_x, t, &l, &active, &left);
    return logistic(active - left);
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

double paretonbd_expected_new(const struct paretonbd *m, double t)
{
    return paretonbd_expected(m, 0, 0, 0, t);
}
