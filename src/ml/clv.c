#include "meros/ml/clv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/ml/bgnbd.h"
#include "meros/ml/matrix.h"
#include "meros/ml/paretonbd.h"
#include "meros/ml/spend.h"

/* --- names */

const char *clv_kind_name(enum clv_kind k)
{
    static const char *const names[CLV_KINDS] = {"bgnbd", "mbgnbd", "paretonbd"};
    return names[k];
}

const char *clv_unit_name(enum clv_unit u)
{
    static const char *const names[CLV_UNITS] = {"day", "week"};
    return names[u];
}

const char *clv_spend_name(enum clv_spend s)
{
    static const char *const names[CLV_SPENDS] = {"none", "mean", "gamma_gamma"};
    return names[s];
}

const char *clv_parameter_name(enum clv_kind k, int i)
{
    static const char *const beta_geometric[CLV_PARAMETERS] = {"r", "alpha", "a", "b"}, *const pareto[CLV_PARAMETERS] = {"r", "alpha", "s", "beta"};
    return (k == CLV_PARETONBD ? pareto : beta_geometric)[i];
}

int clv_effects(enum clv_kind k)
{
    return k == CLV_PARETONBD ? 2 : 3;
}

int clv_effect_parameter(enum clv_kind k, int i)
{
    static const int beta_geometric[] = {1, 2, 3}, pareto[] = {1, 3};
    return k == CLV_PARETONBD ? pareto[i] : beta_geometric[i];
}

double clv_effect_sign(enum clv_kind k, int i)
{
    return i == 0 || k == CLV_PARETONBD ? -1 : 1;
}

const char *clv_effect_name(enum clv_kind k, int i)
{
    static const char *const beta_geometric[] = {"rate", "leaving_a", "leaving_b"}, *const pareto[] = {"rate", "leaving"};
    return k == CLV_PARETONBD ? pareto[i] : beta_geometric[i];
}

double clv_unit_days(enum clv_unit u)
{
    return u == CLV_WEEK ? 7 : 1;
}

/* --- checking what comes from elsewhere */

static bool covariance_makes_sense(const double *c, int n)
{
    bool all_nan = true, fine = true;
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++) {
            const double v = c[i * n + j], w = c[j * n + i];
            all_nan = all_nan && isnan(v);
            fine = fine && isfinite(v) && fabs(v - w) <= 1e-9 * sqrt(c[i * n + i] * c[j * n + j]) && (i != j || v > 0);
        }
    return all_nan || fine;
}

static bool all_positive(const double *v, int n)
{
    for (int i = 0; i < n; i++)
        if (!(v[i] > 0) || !isfinite(v[i])) return false;
    return true;
}

static enum meros_code check_purchase(const struct clv_purchase_model *m, struct meros_err *err)
{
    if ((unsigned)m->kind >= CLV_KINDS || (unsigned)m->unit >= CLV_UNITS)
        return err_set(err, MEROS_UNPROCESSABLE, "The model of purchases is of no known kind or unit.");
    if (!all_positive(m->parameter, CLV_PARAMETERS))
        return err_set(err, MEROS_UNPROCESSABLE, "A parameter of the model of purchases is not a number above 0.");
    if (m->n_covariates < 0 || m->n_covariates > CLV_COVARIATES_MAX ||
        m->n_theta != CLV_PARAMETERS + clv_effects(m->kind) * m->n_covariates)
        return err_set(err, MEROS_UNPROCESSABLE, "The number of covariates does not fit the model of purchases.");
    for (int k = 0; k < m->n_covariates; k++) {
        bool fine = isfinite(m->covariate_mean[k]);
        for (int e = 0; e < clv_effects(m->kind); e++) fine = fine && isfinite(m->coefficient[e][k]);
        if (!fine) return err_set(err, MEROS_UNPROCESSABLE, "A coefficient of the model of purchases is not a number.");
    }
    if (!covariance_makes_sense(m->covariance, m->n_theta))
        return err_set(err, MEROS_UNPROCESSABLE, "The covariance of the model of purchases is not one.");
    return MEROS_OK;
}

enum meros_code clv_check(const struct clv_model *m, struct meros_err *err)
{
    const struct clv_spend_model *s = &m->spend;
    enum meros_code rc = check_purchase(&m->purchase, err);
    if (rc != MEROS_OK) return rc;
    if ((unsigned)s->kind >= CLV_SPENDS) return err_set(err, MEROS_UNPROCESSABLE, "The model of values is of no known kind.");
    if (s->kind == CLV_SPEND_MEAN && !(s->mean > 0 && isfinite(s->mean) && s->deviation >= 0 && isfinite(s->deviation)))
        return err_set(err, MEROS_UNPROCESSABLE, "The mean value of a purchase is not a number above 0.");
    if (s->kind == CLV_SPEND_GAMMA_GAMMA &&
        !(all_positive(s->parameter, 3) && s->parameter[1] > 1 && covariance_makes_sense(s->covariance, 3)))
        return err_set(err, MEROS_UNPROCESSABLE, "A parameter of the Gamma-Gamma model is outside of what it can be, or its covariance is not one.");
    return MEROS_OK;
}

/* --- learning */

static struct clv_fitted fitted(const struct mle_fit *f, double log_likelihood)
{
    return (struct clv_fitted){log_likelihood, f->gradient_norm, f->decrement, f->condition, f->evaluations, f->iterations, f->converged, f->at_bound};
}

/* Times in the model's unit; covariates standardised, those that are not known at their mean. */
struct prepared {
    double *t_x, *t, *z;
    uint32_t *stratum;
    double mean[CLV_COVARIATES_MAX], deviation[CLV_COVARIATES_MAX];
    struct purchase_covariates covariates;
    struct purchases data;
};

static enum meros_code standardise(const struct clv_data *d, struct prepared *p, struct meros_err *err)
{
    const size_t k = (size_t)d->n_covariates;
    for (size_t c = 0; c < k; c++) {
        double known = 0, sum = 0, square = 0;
        for (size_t i = 0; i < d->n; i++)
            if (isfinite(d->covariates[i * k + c])) {
                known++;
                sum += d->covariates[i * k + c];
            }
        const double mean = known > 0 ? sum / known : 0;
        for (size_t i = 0; i < d->n; i++) {
            const double v = d->covariates[i * k + c];
            if (isfinite(v)) square += (v - mean) * (v - mean) / known;
        }
        if (!(square > 1e-18 * mean * mean) || !isfinite(square))
            return err_set(err, MEROS_UNPROCESSABLE, "Covariate %zu is the same for all customers, or nobody's is known, so nothing follows from it.", c + 1);
        p->mean[c] = mean;
        p->deviation[c] = sqrt(square);
        for (size_t i = 0; i < d->n; i++) {
            const double v = d->covariates[i * k + c];
            p->z[i * k + c] = isfinite(v) ? (v - mean) / p->deviation[c] : 0;
        }
    }
    return MEROS_OK;
}

static enum meros_code prepare(const struct clv_data *d, double unit, const struct ml_run *run, struct prepared *p, struct meros_err *err)
{
    const size_t k = d->covariates != NULL ? (size_t)d->n_covariates : 0;
    enum meros_code rc = MEROS_OK;
    *p = (struct prepared){.t_x = ml_alloc_raw(d->n, sizeof *p->t_x), .t = ml_alloc_raw(d->n, sizeof *p->t)};
    p->z = ml_alloc_raw(d->n * k, sizeof *p->z);
    p->stratum = k > 0 ? ml_alloc_raw(d->n, sizeof *p->stratum) : NULL;
    if (p->t_x == NULL || p->t == NULL || p->z == NULL || (k > 0 && p->stratum == NULL))
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for grouping customers.");
    for (size_t i = 0; i < d->n; i++) {
        p->t_x[i] = d->t_x[i] / unit;
        p->t[i] = d->t[i] / unit;
    }
    if (k > 0) rc = standardise(d, p, err);
    p->covariates = (struct purchase_covariates){p->z, 0, (int)k};
    if (rc == MEROS_OK && k > 0) rc = purchases_strata(p->z, d->n, (int)k, p->stratum, &p->covariates.n, err);
    if (rc == MEROS_OK) rc = purchases_group_strata(d->x, p->t_x, p->t, p->stratum, d->n, run, &p->data, NULL, err);
    return rc;
}

static void prepared_done(struct prepared *p)
{
    free(p->t_x);
    free(p->t);
    free(p->z);
    free(p->stratum);
    purchases_done(&p->data);
}

/* From standardised covariates to those given, theta = J theta': a coefficient is per deviation, and the parameters are moved
 * from the mean customer to one whose covariates are 0. */
static enum meros_code restate(const struct mle_fit *f, const struct prepared *p, struct clv_purchase_model *m, struct meros_err *err)
{
    const int n = f->n, k = p->covariates.k;
    double j[CLV_THETA_MAX][CLV_THETA_MAX] = {{0}}, theta[CLV_THETA_MAX] = {0};
    for (int i = 0; i < CLV_PARAMETERS; i++) j[i][i] = 1;
    for (int e = 0; e < clv_effects(m->kind); e++)
        for (int c = 0; c < k; c++) {
            const int at = CLV_PARAMETERS + e * k + c;
            j[at][at] = 1 / p->deviation[c];
            j[clv_effect_parameter(m->kind, e)][at] = -clv_effect_sign(m->kind, e) * p->mean[c] / p->deviation[c];
        }
    for (int a = 0; a < n; a++)
        for (int b = 0; b < n; b++) theta[a] += j[a][b] * (b < CLV_PARAMETERS ? log(f->parameter[b]) : f->parameter[b]);
    for (int a = 0; a < n; a++)
        for (int b = 0; b <= a; b++) {
            double sum = 0;
            for (int c = 0; c < n; c++)
                for (int d = 0; d < n; d++) sum += j[a][c] * f->covariance[c * n + d] * j[b][d];
            m->covariance[a * n + b] = m->covariance[b * n + a] = sum;
        }
    for (int i = 0; i < CLV_PARAMETERS; i++) {
        m->parameter[i] = exp(theta[i]);
        m->standard_error[i] = m->parameter[i] * sqrt(m->covariance[i * n + i]);
        if (!(m->parameter[i] > 1e-250 && m->parameter[i] < 1e250))
            return err_set(err, MEROS_UNPROCESSABLE, "A covariate is so far from 0, for how little it differs, that nothing can be said of a "
                                                     "customer with 0: subtract its mean from it.");
    }
    for (int e = 0; e < clv_effects(m->kind); e++)
        for (int c = 0; c < k; c++) {
            const int at = CLV_PARAMETERS + e * k + c;
            m->coefficient[e][c] = theta[at];
            m->coefficient_error[e][c] = sqrt(m->covariance[at * n + at]);
        }
    memcpy(m->covariate_mean, p->mean, sizeof p->mean);
    return MEROS_OK;
}

static enum meros_code fit_purchases(const struct clv_data *d, const struct clv_fit_params *p, const struct ml_run *run,
                                     struct clv_purchase_model *out, struct meros_err *err)
{
    struct prepared prepared;
    struct mle_fit f;
    double log_likelihood;
    enum meros_code rc = prepare(d, clv_unit_days(p->unit), run, &prepared, err);
    const struct purchase_covariates *z = prepared.covariates.k > 0 ? &prepared.covariates : NULL;
    if (rc != MEROS_OK) goto out;
    if (p->kind == CLV_PARETONBD) rc = paretonbd_fit_covariates(&prepared.data, z, p->penalty, run, &f, &log_likelihood, err);
    else rc = bgnbd_fit_covariates(p->kind == CLV_MBGNBD ? MBGNBD : BGNBD, &prepared.data, z, p->penalty, run, &f, &log_likelihood, err);
    if (rc != MEROS_OK) goto out;
    *out = (struct clv_purchase_model){.kind = p->kind, .unit = p->unit, .n_theta = f.n, .n_covariates = prepared.covariates.k,
                                       .fit = fitted(&f, log_likelihood), .customers = prepared.data.customers,
                                       .repeat_customers = prepared.data.repeat_customers, .repeat_purchases = prepared.data.repeat_purchases};
    rc = restate(&f, &prepared, out, err);
out:
    prepared_done(&prepared);
    return rc;
}

/* Moments of the rows that count: the mean of a purchase, the deviation of customers' means, their correlation with how many. */
static void observe(struct clv_spend_model *m, const double *n, const double *mean, size_t rows, double otherwise)
{
    double purchases = 0, value = 0, sum_n = 0, sum_m = 0, nn = 0, mm = 0, nm = 0;
    for (size_t i = 0; i < rows; i++) {
        purchases += n[i];
        value += n[i] * mean[i];
        sum_n += n[i] / (double)rows;
        sum_m += mean[i] / (double)rows;
    }
    for (size_t i = 0; i < rows; i++) {
        nn += (n[i] - sum_n) * (n[i] - sum_n);
        mm += (mean[i] - sum_m) * (mean[i] - sum_m);
        nm += (n[i] - sum_n) * (mean[i] - sum_m);
    }
    m->buyers = (double)rows;
    m->mean = purchases > 0 ? value / purchases : otherwise;
    m->deviation = rows > 1 ? sqrt(mm / (double)(rows - 1)) : 0;
    m->correlation = nn > 0 && mm > 0 ? nm / sqrt(nn * mm) : NAN;
    m->correlation_warning = fabs(m->correlation) > CLV_CORRELATION_WARN;
    m->kind = m->mean > 0 && isfinite(m->mean) ? CLV_SPEND_MEAN : CLV_SPEND_NONE;
}

static enum meros_code fit_values(const double *n, const double *mean, size_t rows, const struct clv_fit_params *p, const struct ml_run *run,
                                  struct clv_spend_model *out, struct meros_err *err)
{
    struct mle_fit f;
    double log_likelihood;
    *out = (struct clv_spend_model){0};
    observe(out, n, mean, rows, p->mean_value);
    /* A deviation of rounding is none: all purchases are worth the same, and the likelihood has no maximum. */
    out->alike = rows > 1 && !(out->deviation > 1e-9 * out->mean);
    if (rows < 2 || out->alike) return MEROS_OK;
    enum meros_code rc = gamma_gamma_fit(n, mean, rows, p->penalty, run, &f, &log_likelihood, err);
    if (rc != MEROS_OK) return rc;
    out->fit = fitted(&f, log_likelihood);
    memcpy(out->parameter, f.parameter, sizeof out->parameter);
    memcpy(out->standard_error, f.standard_error, sizeof out->standard_error);
    memcpy(out->covariance, f.covariance, sizeof out->covariance);
    /* Where customers differ no more than chance makes their means differ, the likelihood rises with q without end. */
    out->alike = !f.converged && out->parameter[1] > CLV_ALIKE_Q;
    if (out->parameter[1] > 1 && !out->alike) out->kind = CLV_SPEND_GAMMA_GAMMA;
    return MEROS_OK;
}

static enum meros_code fit_spend(const struct clv_data *d, const struct clv_fit_params *p, const struct ml_run *run,
                                 struct clv_spend_model *out, struct meros_err *err)
{
    const bool given = d->mean_value != NULL && d->value_days != NULL;
    double *n = ml_alloc_raw(given ? d->n : 0, sizeof *n), *mean = ml_alloc_raw(given ? d->n : 0, sizeof *mean);
    size_t rows = 0;
    enum meros_code rc = MEROS_OK;
    if (n == NULL || mean == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for fitting the value of purchases.");
    for (size_t i = 0; given && i < d->n && rc == MEROS_OK; i++) {
        if (!(d->value_days[i] > 0) || !isfinite(d->value_days[i]) || !(d->mean_value[i] > 0) || !isfinite(d->mean_value[i])) continue;
        n[rows] = d->value_days[i];
        mean[rows++] = d->mean_value[i];
    }
    if (rc == MEROS_OK) rc = fit_values(n, mean, rows, p, run, out, err);
    free(n);
    free(mean);
    return rc;
}

enum meros_code clv_fit(const struct clv_data *d, const struct clv_fit_params *p, const struct ml_run *run,
                        struct clv_model *out, struct meros_err *err)
{
    if (d->covariates != NULL && (d->n_covariates < 0 || d->n_covariates > CLV_COVARIATES_MAX))
        return err_set(err, MEROS_UNPROCESSABLE, "At most %d covariates can be fitted.", CLV_COVARIATES_MAX);
    if (!(p->penalty >= 0) || !isfinite(p->penalty)) return err_set(err, MEROS_UNPROCESSABLE, "The penalty must be 0 or more.");
    enum meros_code rc = fit_purchases(d, p, run, &out->purchase, err);
    if (rc == MEROS_OK) rc = fit_spend(d, p, run, &out->spend, err);
    return rc;
}
