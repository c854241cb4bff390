#include "meros/ml/bgnbd.h"

#include <math.h>
#include <stdlib.h>
#include "meros/ml/matrix.h"
#include "meros/ml/special.h"

/* With s = 1 for MBG/NBD and 0 for BG/NBD, and d(x > 0) meaning "always" for MBG/NBD, both likelihoods are
 *   G(r+x)/G(r) * alpha^r/(alpha+T)^(r+x) * B(a, b+x+s)/B(a, b) * (1 + d(x > 0) e^D),
 *   D = ln a - ln(b+x+s-1) - (r+x) ln((alpha+t_x)/(alpha+T)). */

/* --- the likelihood of groups: tables for the distinct values, then an exponential a group */

struct by_x {
    double value, by_r, by_a, by_b; /* of ln G(r+x)/G(r) + ln B(a, b+x+s)/B(a, b) */
    double exponent;                /* r + x */
    double odds, odds_b;            /* ln a - ln(b+x+s-1), and its derivative by b; odds -INFINITY: cannot have left */
};
struct by_time {
    double log_sum, inverse; /* ln(alpha + t), 1 / (alpha + t) */
};

enum { GROUPS_PER_PART = 4096 };
struct part {
    double value, gradient[4];
};
struct likelihood {
    const struct purchases *data;
    enum bgnbd_kind kind;
    double penalty;
    struct ml_pool *pool;
    struct by_x *x;
    struct by_time *t_x, *t;
    struct part *parts;
    size_t n_parts;
    double r, alpha, a, b;
};

static struct by_x of_x(const struct likelihood *l, double x)
{
    const double s = l->kind == MBGNBD, r = l->r, a = l->a, b = l->b;
    const bool may_leave = x > 0 || l->kind == MBGNBD;
    return (struct by_x){
        .value = log_gamma(r + x) - log_gamma(r) + log_gamma(b + x + s) - log_gamma(b) + log_gamma(a + b) - log_gamma(a + b + x + s),
        .by_r = digamma(r + x) - digamma(r),
        .by_a = digamma(a + b) - digamma(a + b + x + s),
        .by_b = digamma(b + x + s) - digamma(b) + digamma(a + b) - digamma(a + b + x + s),
        .exponent = r + x,
        .odds = may_leave ? log(a) - log(b + x + s - 1) : -INFINITY,
        .odds_b = may_leave ? -1 / (b + x + s - 1) : 0,
    };
}

static void of_times(struct by_time *out, const double *values, size_t n, double alpha)
{
    for (size_t i = 0; i < n; i++) out[i] = (struct by_time){log(alpha + values[i]), 1 / (alpha + values[i])};
}

static void add_part(void *arg, size_t part, int worker)
{
    const struct likelihood *l = arg;
    const struct purchases *d = l->data;
    const size_t from = part * GROUPS_PER_PART, to = from + GROUPS_PER_PART < d->n ? from + GROUPS_PER_PART : d->n;
    const double log_alpha = log(l->alpha), r_alpha = l->r / l->alpha;
    struct part sum = {0};
    (void)worker;
    for (size_t i = from; i < to; i++) {
        const struct by_x *x = &l->x[d->x[i]];
        const struct by_time *last = &l->t_x[d->t_x[i]], *end = &l->t[d->t[i]];
        const double w = d->weight[i], gap = last->log_sum - end->log_sum; /* <= 0 */
        const double odds = x->odds - x->exponent * gap;
        const double e = exp(-fabs(odds)), left = odds >= 0 ? 1 / (1 + e) : e / (1 + e); /* the chance of having left */
        sum.value += w * (x->value + l->r * log_alpha - x->exponent * end->log_sum + (odds > 0 ? odds : 0) + log1p(e));
        sum.gradient[0] += w * (x->by_r + log_alpha - end->log_sum - left * gap);
        sum.gradient[1] += w * (r_alpha - x->exponent * (end->inverse + left * (last->inverse - end->inverse)));
        sum.gradient[2] += w * (x->by_a + left / l->a);
        sum.gradient[3] += w * (x->by_b + left * x->odds_b);
    }
    l->parts[part] = sum;
}

static double value(void *arg, const double *theta, double *gradient)
{
    struct likelihood *l = arg;
    double p[4], total = 0, by[4] = {0};
    for (int i = 0; i < 4; i++) p[i] = exp(theta[i]);
    l->r = p[0];
    l->alpha = p[1];
    l->a = p[2];
    l->b = p[3];
    for (size_t i = 0; i < l->data->n_x; i++) l->x[i] = of_x(l, l->data->xs[i]);
    of_times(l->t_x, l->data->t_xs, l->data->n_t_x, l->alpha);
    of_times(l->t, l->data->ts, l->data->n_t, l->alpha);
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

enum meros_code bgnbd_fit(enum bgnbd_kind kind, const struct purchases *data, double penalty, const struct ml_run *run,
                          struct mle_fit *out, double *log_likelihood, struct meros_err *err)
{
    if (data->repeat_customers == 0)
        return err_set(err, MEROS_UNPROCESSABLE, "Nobody has bought twice yet, so there is nothing to learn about returning from.");
    struct likelihood l = {.data = data, .kind = kind, .penalty = penalty, .pool = ml_run_pool(run),
                           .n_parts = (data->n + GROUPS_PER_PART - 1) / GROUPS_PER_PART};
    l.x = ml_alloc(data->n_x, sizeof *l.x);
    l.t_x = ml_alloc(data->n_t_x, sizeof *l.t_x);
    l.t = ml_alloc(data->n_t, sizeof *l.t);
    l.parts = ml_alloc(l.n_parts, sizeof *l.parts);
    const struct mle_problem problem = {4, value, &l};
    /* alpha over r is the time between purchases of an average active customer. */
    const double gap = data->mean_t * data->customers / data->repeat_purchases;
    const double starts[] = {1, gap, 1, 2, 0.3, 0.3 * gap, 0.5, 3};
    enum meros_code rc = l.x == NULL || l.t_x == NULL || l.t == NULL || l.parts == NULL
                             ? err_set(err, MEROS_OUT_OF_MEMORY, "No memory for fitting purchases.")
                             : mle_minimise(&problem, starts, 2, 1e5, 1e-6, run, out, err);
    if (rc == MEROS_OK && log_likelihood != NULL) {
        double sum = 0;
        for (int i = 0; i < 4; i++) sum += out->parameter[i] * out->parameter[i];
        *log_likelihood = -out->value + penalty * data->customers * sum;
    }
    free(l.x);
    free(l.t_x);
    free(l.t);
    free(l.parts);
    return rc;
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

/* With c = a + b + x + s - 1, z = horizon / (alpha + T + horizon), e = a - 1: an active customer is expected to buy
 *   c/e (1 - (1-z)^(r+x) F(r+x, b+x+s; c; z))  =  c/e (1 - (1-z)^e F(a+b+s-1-r, e; c; z))     (Euler)
 *   =  c (power_gap(1-z, e) - (1-z)^e S),   S = sum over n >= 1 of (a+b+s-1-r)_n (a)_(n-1) / ((c)_n n!) z^n. */
static double expected_of_active(const struct bgnbd *m, double x, double t, double horizon)
{
    const double s = m->kind == MBGNBD, c = m->a + m->b + x + s - 1, u = m->a + m->b + s - 1 - m->r, e = m->a - 1;
    const double z = horizon / (m->alpha + t + horizon), log_rest = log((m->alpha + t) / (m->alpha + t + horizon));
    double term = u / c * z, sum = term;
    for (int n = 1; n < 200000 && fabs(term) > 1e-17 * fabs(sum); n++) {
        term *= (u + n) * (m->a + n - 1) / ((c + n) * (n + 1)) * z;
        sum += term;
    }
    return c * (power_gap(log_rest, e) - exp(e * log_rest) * sum);
}

double bgnbd_expected(const struct bgnbd *m, double x, double t_x, double t, double horizon)
{
    if (!(horizon > 0)) return 0;
    return bgnbd_p_alive(m, x, t_x, t) * expected_of_active(m, x, t, horizon);
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
