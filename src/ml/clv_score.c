#include "clv_score_priv.h"

#include <math.h>
#include <string.h>
#include "meros/ml/bgnbd.h"
#include "meros/ml/paretonbd.h"
#include "meros/ml/special.h"
#include "meros/ml/spend.h"

/* --- one customer as the purchase model sees it: parameters with the covariates in them, times in the model's unit */

struct seen {
    enum clv_kind kind;
    double parameter[CLV_PARAMETERS];
    double x, t_x, t;
    double z[CLV_COVARIATES_MAX];
};

static double at_least_0(double v)
{
    return v > 0 && isfinite(v) ? v : 0;
}

static struct seen look_at(const struct clv_purchase_model *m, const struct clv_history *h)
{
    const double unit = clv_unit_days(m->unit);
    struct seen s = {.kind = m->kind, .x = fmin(at_least_0(h->x), 1e9), .t = at_least_0(h->t) / unit};
    s.t_x = s.x > 0 ? fmin(at_least_0(h->t_x) / unit, s.t) : 0;
    memcpy(s.parameter, m->parameter, sizeof s.parameter);
    for (int k = 0; k < m->n_covariates; k++)
        s.z[k] = h->covariates != NULL && isfinite(h->covariates[k]) ? h->covariates[k] : m->covariate_mean[k];
    for (int e = 0; e < clv_effects(m->kind) && m->n_covariates > 0; e++) {
        double usual = 0, own = 0;
        for (int k = 0; k < m->n_covariates; k++) {
            usual += m->coefficient[e][k] * m->covariate_mean[k];
            own += m->coefficient[e][k] * (s.z[k] - m->covariate_mean[k]);
        }
        /* A covariate far outside of what was learnt from must not make a parameter 0 or infinite. */
        s.parameter[clv_effect_parameter(m->kind, e)] *= exp(clv_effect_sign(m->kind, e) * (usual + fmin(fmax(own, -30), 30)));
    }
    return s;
}

static struct bgnbd as_bgnbd(const struct seen *s)
{
    const double *p = s->parameter;
    return (struct bgnbd){s->kind == CLV_MBGNBD ? MBGNBD : BGNBD, p[0], p[1], p[2], p[3]};
}

static struct paretonbd as_paretonbd(const struct seen *s)
{
    const double *p = s->parameter;
    return (struct paretonbd){p[0], p[1], p[2], p[3]};
}

static double p_alive(const struct seen *s)
{
    const struct bgnbd b = as_bgnbd(s);
    const struct paretonbd p = as_paretonbd(s);
    return s->kind == CLV_PARETONBD ? paretonbd_p_alive(&p, s->x, s->t_x, s->t) : bgnbd_p_alive(&b, s->x, s->t_x, s->t);
}

static void expected_active(const struct seen *s, const double *horizons, int n, double *out)
{
    const struct bgnbd b = as_bgnbd(s);
    const struct paretonbd p = as_paretonbd(s);
    if (s->kind != CLV_PARETONBD) bgnbd_expected_active(&b, s->x, s->t, horizons, n, out);
    else
        for (int i = 0; i < n; i++) out[i] = paretonbd_expected_active(&p, s->x, s->t, horizons[i]);
}

static double any_active(const struct seen *s, double horizon)
{
    const struct bgnbd b = as_bgnbd(s);
    const struct paretonbd p = as_paretonbd(s);
    return s->kind == CLV_PARETONBD ? paretonbd_any_active(&p, s->x, s->t, horizon) : bgnbd_any_active(&b, s->x, s->t, horizon);
}

static double pairs_active(const struct seen *s, double horizon)
{
    const struct bgnbd b = as_bgnbd(s);
    const struct paretonbd p = as_paretonbd(s);
    return s->kind == CLV_PARETONBD ? paretonbd_pairs_active(&p, s->x, s->t, horizon) : bgnbd_pairs_active(&b, s->x, s->t, horizon);
}

/* --- discounting. With E(u) expected within u, the discounted purchases within h are
 *   e^(-delta h) E(h) + delta integral over (0, h) of e^(-delta u) E(u) du,
 * in panels of ln(1 + u / (alpha + T)), in which E is smooth. What lies where e^(-delta u) < e^-40 is left out. */

enum { PANELS_MAX = 32 };

static struct clv_active expect(const struct seen *s, double delta, double horizon)
{
    const double scale = s->parameter[1] + s->t;
    double at[BGNBD_HORIZONS] = {horizon}, within[BGNBD_HORIZONS];
    if (!(horizon > 0)) return (struct clv_active){0, 0};
    if (delta == 0) {
        expected_active(s, at, 1, within);
        return (struct clv_active){within[0], within[0]};
    }
    const double most = delta > 0 ? fmin(horizon, 40 / delta) : horizon;
    const int panels = (int)fmin(ceil(fabs(delta) * most / 2), PANELS_MAX);
    double sum = 0, orders = 0;
    for (int panel = 0; panel < panels; panel++) {
        const double from = most * panel / panels, to = most * (panel + 1) / panels, span = log((scale + to) / (scale + from));
        for (int i = 0; i < GAUSS_FEW; i++) at[i] = from + (scale + from) * expm1(span * gauss_few_at[i]);
        at[GAUSS_FEW] = horizon;
        const int last = panel == panels - 1;
        expected_active(s, at, GAUSS_FEW + last, within);
        for (int i = 0; i < GAUSS_FEW; i++)
            sum += gauss_few_weight[i] * span * (scale + at[i]) * exp(-delta * at[i]) * within[i];
        if (last) orders = within[GAUSS_FEW];
    }
    return (struct clv_active){orders, fmax(exp(-delta * horizon) * orders + delta * sum, 0)};
}

/* --- the value of a purchase */

struct worth {
    double mean, weight;
    double square, product; /* E of one purchase's value squared, of two different ones' product, over mean^2 */
    double slope[3];        /* of mean by ln p, ln q, ln gamma */
};

static struct worth value_of(const struct clv_spend_model *m, const struct clv_history *h)
{
    const double n = at_least_0(h->value_days), own = at_least_0(h->mean_value);
    const bool known = n > 0 && own > 0;
    if (m->kind == CLV_SPEND_NONE) return (struct worth){.mean = NAN};
    if (m->kind == CLV_SPEND_MEAN) {
        const double spread = 1 + (m->deviation / m->mean) * (m->deviation / m->mean);
        return (struct worth){.mean = m->mean, .square = spread, .product = spread};
    }
    const struct gamma_gamma g = {m->parameter[0], m->parameter[1], m->parameter[2]};
    const double shape = (known ? g.p * n : 0) + g.q;
    /* nu given the data is Gamma(shape, .): 1/nu has no variance for shape <= 2. The spread is then taken as at 2.25, beyond
     * which it grows without bound while the bulk of the distribution hardly changes. */
    const double ratio = (fmax(shape, 2.25) - 1) / (fmax(shape, 2.25) - 2);
    struct worth w = {.mean = gamma_gamma_expected(&g, known ? n : 0, own), .weight = known ? gamma_gamma_weight(&g, n) : 0,
                      .product = ratio, .square = (g.p + 1) / g.p * ratio};
    w.slope[0] = w.mean * (1 - w.weight);
    w.slope[1] = -w.mean * g.q / (shape - 1);
    w.slope[2] = g.p * g.gamma / (shape - 1);
    return w;
}

double clv_order_value(const struct clv_spend_model *m, double mean_value, double value_days)
{
    return value_of(m, &(struct clv_history){.mean_value = mean_value, .value_days = value_days}).mean;
}

/* --- the interval */

static double quadratic(const double *covariance, const double *slope, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) sum += slope[i] * covariance[i * n + j] * slope[j];
    return sum;
}

/* What is known of it; *whole false where a covariance is missing. */
static double variance_of_parameters(const struct clv_model *m, const double *purchase_slope, const double *spend_slope, bool *whole)
{
    const double purchase = quadratic(m->purchase.covariance, purchase_slope, m->purchase.n_theta);
    const double spend = m->spend.kind == CLV_SPEND_GAMMA_GAMMA ? quadratic(m->spend.covariance, spend_slope, 3) : 0;
    *whole = isfinite(purchase) && isfinite(spend);
    return at_least_0(purchase) + at_least_0(spend);
}

/* By ln parameter in forward differences, good to 1e-4; by a coefficient it is z times that. */
static void slopes(const struct clv_purchase_model *m, const struct seen *s, double delta, double horizon, double value, double base,
                   double *out)
{
    const double step = 1e-4;
    for (int i = 0; i < CLV_PARAMETERS; i++) {
        struct seen moved = *s;
        moved.parameter[i] *= exp(step);
        out[i] = value * (p_alive(&moved) * expect(&moved, delta, horizon).discounted - base) / step;
    }
    for (int e = 0; e < clv_effects(m->kind); e++)
        for (int k = 0; k < m->n_covariates; k++)
            out[CLV_PARAMETERS + e * m->n_covariates + k] = clv_effect_sign(m->kind, e) * s->z[k] * out[clv_effect_parameter(m->kind, e)];
}

/* Nothing with chance 1 - some; otherwise log-normal, with the mean and variance that the whole shall have. */
static double quantile(double some, double mean, double variance, double p)
{
    if (!(p > 1 - some) || !(mean > 0)) return 0;
    const double of_some = mean / some, square = (variance + mean * mean) / some, ratio = fmax(square / (of_some * of_some), 1);
    const double spread = sqrt(log(ratio));
    return of_some * exp(spread * normal_quantile(fmin((p - (1 - some)) / some, 1 - 1e-15)) - spread * spread / 2);
}

static void no_interval(struct clv_answer *a)
{
    a->low = a->high = a->process_deviation = a->parameter_deviation = NAN;
    for (int i = 0; i < CLV_THETA_MAX; i++) a->purchase_slope[i] = NAN;
    for (int i = 0; i < 3; i++) a->spend_slope[i] = NAN;
}

static void interval(const struct clv_model *m, const struct clv_question *q, const struct seen *s, const struct worth *w,
                     double delta, double horizon, double discounted, struct clv_answer *a)
{
    memset(a->purchase_slope, 0, sizeof a->purchase_slope);
    slopes(&m->purchase, s, delta, horizon, w->mean, discounted, a->purchase_slope);
    for (int i = 0; i < 3; i++) a->spend_slope[i] = w->slope[i] * discounted;
    /* Undiscounted, then scaled as the mean is by discounting: when within the horizon purchases come matters little here. */
    const double pairs = a->p_alive * pairs_active(s, horizon), orders = a->expected_orders;
    const double rate = orders > 0 ? discounted / orders * w->mean : 0;
    const double process = fmax(orders * w->square + pairs * w->product - orders * orders, 0) * rate * rate;
    bool whole;
    const double parameters = variance_of_parameters(m, a->purchase_slope, a->spend_slope, &whole);
    a->process_deviation = sqrt(process);
    a->parameter_deviation = whole ? sqrt(parameters) : NAN;
    const double variance = process + parameters, tail = (1 - q->level) / 2;
    a->low = fmin(quantile(a->p_order, a->clv, variance, tail), a->clv);
    a->high = fmax(quantile(a->p_order, a->clv, variance, 1 - tail), a->clv);
}

/* --- what is offered */

enum meros_code clv_question_check(const struct clv_question *q, struct meros_err *err)
{
    if (!(q->horizon_days >= 0 && q->horizon_days <= CLV_HORIZON_MAX_DAYS))
        return err_set(err, MEROS_UNPROCESSABLE, "The horizon must be 0 to %g days.", CLV_HORIZON_MAX_DAYS);
    if (!(q->annual_rate > -1 && q->annual_rate <= CLV_RATE_MAX))
        return err_set(err, MEROS_UNPROCESSABLE, "The discount rate must be above -1 and at most %g a year (0.1 is 10 %%).", CLV_RATE_MAX);
    if (!(q->level >= 0 && q->level < 1)) return err_set(err, MEROS_UNPROCESSABLE, "The level of an interval must be between 0 and 1.");
    return MEROS_OK;
}

/* A day's discount, in the model's unit. */
static double delta_of(const struct clv_purchase_model *m, const struct clv_question *q)
{
    return log1p(q->annual_rate) / 365.25 * clv_unit_days(m->unit);
}

void clv_score(const struct clv_model *m, const struct clv_question *q, const struct clv_history *h, struct clv_answer *out)
{
    const struct seen s = look_at(&m->purchase, h);
    const struct worth w = value_of(&m->spend, h);
    const double unit = clv_unit_days(m->purchase.unit), horizon = at_least_0(q->horizon_days) / unit, delta = delta_of(&m->purchase, q);
    const double alive = p_alive(&s), scale = s.parameter[1] + s.t;
    struct clv_active e = expect(&s, delta, horizon);
    *out = (struct clv_answer){
        .population = s.t == 0,
        .p_alive = alive,
        .expected_orders = alive * e.orders,
        .p_order = alive * any_active(&s, horizon),
        .expected_order_value = w.mean,
        .clv = alive * e.discounted * w.mean,
        .next_order_days = fmin(scale * expm1(M_LN2 / (s.parameter[0] + s.x)) * unit, CLV_NEXT_MAX_DAYS),
        .frequency_weight = s.t / scale,
        .value_weight = w.weight,
    };
    if (q->level > 0 && m->spend.kind != CLV_SPEND_NONE) interval(m, q, &s, &w, delta, horizon, alive * e.discounted, out);
    else no_interval(out);
}

double clv_alive(const struct clv_purchase_model *m, const struct clv_history *h)
{
    const struct seen s = look_at(m, h);
    return p_alive(&s);
}

struct clv_active clv_if_active(const struct clv_purchase_model *m, const struct clv_question *q, const struct clv_history *h)
{
    const struct seen s = look_at(m, h);
    return expect(&s, delta_of(m, q), at_least_0(q->horizon_days) / clv_unit_days(m->unit));
}

int clv_breakdown(const struct clv_model *m, const struct clv_question *q, const struct clv_history *h, double step_days,
                  struct clv_step *out, int n)
{
    const struct seen s = look_at(&m->purchase, h);
    const struct worth w = value_of(&m->spend, h);
    const double unit = clv_unit_days(m->purchase.unit), delta = delta_of(&m->purchase, q), alive = p_alive(&s);
    for (int i = 0; i < n; i++) {
        const double days = fmin((i + 1) * step_days, q->horizon_days);
        const struct clv_active e = expect(&s, delta, days / unit);
        out[i] = (struct clv_step){days, alive * e.orders, alive * e.orders * w.mean, alive * e.discounted * w.mean};
        if (!(days < q->horizon_days)) return i + 1;
    }
    return n;
}

void clv_total_add(struct clv_total *t, const struct clv_answer *a)
{
    t->customers++;
    t->clv += a->clv;
    t->expected_orders += a->expected_orders;
    t->p_alive += a->p_alive;
    t->process_variance += a->process_deviation * a->process_deviation;
    for (int i = 0; i < CLV_THETA_MAX; i++) t->purchase_slope[i] += a->purchase_slope[i];
    for (int i = 0; i < 3; i++) t->spend_slope[i] += a->spend_slope[i];
}

void clv_total_merge(struct clv_total *t, const struct clv_total *other)
{
    t->customers += other->customers;
    t->clv += other->clv;
    t->expected_orders += other->expected_orders;
    t->p_alive += other->p_alive;
    t->process_variance += other->process_variance;
    for (int i = 0; i < CLV_THETA_MAX; i++) t->purchase_slope[i] += other->purchase_slope[i];
    for (int i = 0; i < 3; i++) t->spend_slope[i] += other->spend_slope[i];
}

void clv_total_interval(const struct clv_model *m, const struct clv_total *t, double level, double *low, double *high)
{
    bool whole;
    const double parameters = variance_of_parameters(m, t->purchase_slope, t->spend_slope, &whole);
    const double reach = normal_quantile((1 + level) / 2) * sqrt(t->process_variance + parameters);
    *low = fmax(t->clv - reach, 0);
    *high = t->clv + reach;
}
