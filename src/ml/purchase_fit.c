#include "purchase_fit_priv.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/ml/matrix.h"

enum { GROUPS_PER_PART = 512, ENTRIES_PER_PART = 512 };
/* Past so many groups a fit to a sample of them comes first; the light ones are drawn, the heavy ones all kept. */
enum { SAMPLE_FROM = 20000, SAMPLE_LIGHT = 4000 };

struct part {
    double value, gradient[MLE_MAX];
};

struct table {
    const double *values;
    const uint32_t *stratum;
    size_t n;
    struct purchase_entry *entries;
    void (*of)(const double *p, double value, double *entry);
};

struct likelihood {
    const struct purchase_family *family;
    const struct purchases *data;
    const struct purchase_covariates *covariates;
    double penalty;
    struct ml_pool *pool;
    struct table x, t_x, t;
    double *parameters; /* four a stratum */
    size_t n_strata;
    struct part *parts;
    size_t n_parts;
    int n_theta;
};

static size_t parts_of(size_t n, size_t each)
{
    return (n + each - 1) / each;
}

static void fill_part(void *arg, size_t part, int worker)
{
    const struct likelihood *l = arg;
    const struct table *t = &l->x;
    (void)worker;
    if (part >= parts_of(l->x.n, ENTRIES_PER_PART)) {
        part -= parts_of(l->x.n, ENTRIES_PER_PART);
        t = &l->t_x;
        if (part >= parts_of(l->t_x.n, ENTRIES_PER_PART)) {
            part -= parts_of(l->t_x.n, ENTRIES_PER_PART);
            t = &l->t;
        }
    }
    const size_t from = part * ENTRIES_PER_PART, to = from + ENTRIES_PER_PART < t->n ? from + ENTRIES_PER_PART : t->n;
    for (size_t i = from; i < to; i++)
        t->of(l->parameters + (t->stratum != NULL ? t->stratum[i] : 0) * PURCHASE_PARAMETERS, t->values[i], t->entries[i].v);
}

static void add_part(void *arg, size_t part, int worker)
{
    const struct likelihood *l = arg;
    const struct purchases *d = l->data;
    const struct purchase_family *f = l->family;
    const int k = l->covariates != NULL ? l->covariates->k : 0;
    const size_t from = part * GROUPS_PER_PART, to = from + GROUPS_PER_PART < d->n ? from + GROUPS_PER_PART : d->n;
    struct part *out = &l->parts[part];
    double value = 0, gradient[PURCHASE_PARAMETERS] = {0};
    (void)worker;
    memset(out, 0, sizeof *out);
    for (size_t i = from; i < to; i++) {
        const size_t stratum = d->x_stratum != NULL ? d->x_stratum[d->x[i]] : 0;
        const double *p = l->parameters + stratum * PURCHASE_PARAMETERS;
        double by[PURCHASE_PARAMETERS];
        value += d->weight[i] * f->customer(p, l->x.entries[d->x[i]].v, l->t_x.entries[d->t_x[i]].v, l->t.entries[d->t[i]].v, by);
        for (int j = 0; j < PURCHASE_PARAMETERS; j++) {
            by[j] *= d->weight[i] * p[j];
            gradient[j] += by[j];
        }
        if (k == 0) continue;
        const double *z = l->covariates->z + stratum * (size_t)k;
        for (int e = 0; e < f->n_effects; e++)
            for (int c = 0; c < k; c++)
                out->gradient[PURCHASE_PARAMETERS + e * k + c] += f->effect[e].sign * by[f->effect[e].parameter] * z[c];
    }
    out->value = value;
    memcpy(out->gradient, gradient, sizeof gradient);
}

static void parameters_of_strata(struct likelihood *l, const double *theta)
{
    for (size_t s = 0; s < l->n_strata; s++) {
        double *p = l->parameters + s * PURCHASE_PARAMETERS, log_p[PURCHASE_PARAMETERS];
        memcpy(log_p, theta, sizeof log_p);
        for (int e = 0; l->covariates != NULL && e < l->family->n_effects; e++)
            for (int c = 0; c < l->covariates->k; c++)
                log_p[l->family->effect[e].parameter] += l->family->effect[e].sign * theta[PURCHASE_PARAMETERS + e * l->covariates->k + c] *
                                                         l->covariates->z[s * (size_t)l->covariates->k + (size_t)c];
        for (int j = 0; j < PURCHASE_PARAMETERS; j++) p[j] = exp(log_p[j]);
    }
}

/* A customer's share of the penalty: squares of the parameters, times in units of the longest seen, so that it does not
 * depend on whether the data are in days or weeks; and of the coefficients. */
static double penalised(const struct likelihood *l, const double *theta, double *gradient)
{
    double sum = 0;
    for (int i = 0; i < l->n_theta; i++) {
        const bool positive = i < PURCHASE_PARAMETERS;
        const double v = !positive ? theta[i] : exp(theta[i]) / (l->family->is_time[i] ? l->data->max_t : 1);
        sum += v * v;
        if (gradient != NULL) gradient[i] = positive ? 2 * v * v : 2 * v;
    }
    return sum;
}

static double value(void *arg, const double *theta, double *gradient)
{
    struct likelihood *l = arg;
    double total = 0, slope[MLE_MAX];
    parameters_of_strata(l, theta);
    parallel_for(l->pool, parts_of(l->x.n, ENTRIES_PER_PART) + parts_of(l->t_x.n, ENTRIES_PER_PART) + parts_of(l->t.n, ENTRIES_PER_PART),
                 fill_part, l);
    parallel_for(l->pool, l->n_parts, add_part, l);
    for (int i = 0; i < l->n_theta; i++) gradient[i] = 0;
    for (size_t k = 0; k < l->n_parts; k++) {
        total -= l->parts[k].value;
        for (int i = 0; i < l->n_theta; i++) gradient[i] -= l->parts[k].gradient[i];
    }
    const double weight = l->penalty * l->data->customers;
    if (weight > 0) total += weight * penalised(l, theta, slope);
    for (int i = 0; weight > 0 && i < l->n_theta; i++) gradient[i] += weight * slope[i];
    return total;
}

static enum meros_code prepare(struct likelihood *l, struct meros_err *err)
{
    const struct purchases *d = l->data;
    l->x = (struct table){d->xs, d->x_stratum, d->n_x, ml_alloc(d->n_x, sizeof *l->x.entries), l->family->of_x};
    l->t_x = (struct table){d->t_xs, d->t_x_stratum, d->n_t_x, ml_alloc(d->n_t_x, sizeof *l->t_x.entries), l->family->of_t_x};
    l->t = (struct table){d->ts, d->t_stratum, d->n_t, ml_alloc(d->n_t, sizeof *l->t.entries), l->family->of_t};
    l->n_strata = l->covariates != NULL ? l->covariates->n : 1;
    l->parameters = ml_alloc(l->n_strata, PURCHASE_PARAMETERS * sizeof *l->parameters);
    l->n_parts = parts_of(d->n, GROUPS_PER_PART);
    l->parts = ml_alloc(l->n_parts, sizeof *l->parts);
    l->n_theta = PURCHASE_PARAMETERS + (l->covariates != NULL ? l->family->n_effects * l->covariates->k : 0);
    if (l->x.entries != NULL && l->t_x.entries != NULL && l->t.entries != NULL && l->parameters != NULL && l->parts != NULL) return MEROS_OK;
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for fitting purchases.");
}

static void release(struct likelihood *l)
{
    free(l->x.entries);
    free(l->t_x.entries);
    free(l->t.entries);
    free(l->parameters);
    free(l->parts);
}

/* The four parameters of each start, and coefficients of 0. */
static void widen(const double *starts, int n_starts, int n_theta, double *out)
{
    for (int k = 0; k < n_starts; k++)
        for (int i = 0; i < n_theta; i++) out[k * n_theta + i] = i < PURCHASE_PARAMETERS ? starts[k * PURCHASE_PARAMETERS + i] : 0;
}

static enum meros_code minimise(struct likelihood *l, const double *starts, int n_starts, const double *covariance, const struct ml_run *run,
                                struct mle_fit *out, struct meros_err *err)
{
    enum meros_code rc = prepare(l, err);
    const struct mle_problem problem = {l->n_theta, l->n_theta - PURCHASE_PARAMETERS, value, l, covariance};
    if (rc == MEROS_OK) rc = mle_minimise(&problem, starts, n_starts, 1e5, 1e-6, run, out, err);
    release(l);
    return rc;
}

/* --- a sample of groups: those of much weight, and every so-manieth of the others with the weight of all of them */

static enum meros_code draw(const struct purchases *all, struct purchases *out, struct meros_err *err)
{
    const double heavy = 4 * all->customers / (double)all->n;
    const size_t stride = all->n / SAMPLE_LIGHT + 1;
    size_t light = 0;
    *out = *all;
    out->n = 0;
    out->x = ml_alloc_raw(all->n, sizeof *out->x);
    out->t_x = ml_alloc_raw(all->n, sizeof *out->t_x);
    out->t = ml_alloc_raw(all->n, sizeof *out->t);
    out->weight = ml_alloc_raw(all->n, sizeof *out->weight);
    if (out->x == NULL || out->t_x == NULL || out->t == NULL || out->weight == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a sample of customers.");
    for (size_t i = 0; i < all->n; i++) {
        const bool is_heavy = all->weight[i] > heavy;
        if (!is_heavy && light++ % stride != 0) continue;
        out->x[out->n] = all->x[i];
        out->t_x[out->n] = all->t_x[i];
        out->t[out->n] = all->t[i];
        out->weight[out->n++] = all->weight[i] * (is_heavy ? 1 : (double)stride);
    }
    return MEROS_OK;
}

/* The start for all of them, with the covariance there; false when the sample does not lead anywhere. */
static enum meros_code fit_sample(const struct likelihood *whole, const double *starts, const struct ml_run *run, struct mle_fit *out,
                                  struct meros_err *err)
{
    struct purchases sample;
    struct likelihood l = *whole;
    enum meros_code rc = draw(whole->data, &sample, err);
    l.data = &sample;
    if (rc == MEROS_OK) rc = minimise(&l, starts, PURCHASE_STARTS, NULL, run, out, err);
    free(sample.x);
    free(sample.t_x);
    free(sample.t);
    free(sample.weight);
    return rc;
}

enum meros_code purchase_fit(const struct purchase_family *family, const struct purchases *data, const struct purchase_covariates *covariates,
                             double penalty, const double *starts, const struct ml_run *run, struct mle_fit *out, double *log_likelihood,
                             struct meros_err *err)
{
    if (data->repeat_customers == 0)
        return err_set(err, MEROS_UNPROCESSABLE, "Nobody has bought twice yet, so there is nothing to learn about returning from.");
    struct likelihood l = {.family = family, .data = data, .covariates = covariates, .penalty = penalty, .pool = ml_run_pool(run)};
    const int n_theta = PURCHASE_PARAMETERS + (covariates != NULL ? family->n_effects * covariates->k : 0);
    double wide[PURCHASE_STARTS * MLE_MAX];
    struct mle_fit sampled = {.converged = false};
    enum meros_code rc = MEROS_OK;
    l.n_theta = n_theta;
    widen(starts, PURCHASE_STARTS, n_theta, wide);
    /* With a stratum a customer the tables are as long as the data, and a sample would save little. */
    if (data->n > SAMPLE_FROM && data->n_x < data->n / 4) rc = fit_sample(&l, wide, run, &sampled, err);
    if (rc == MEROS_OK && sampled.converged) rc = minimise(&l, sampled.parameter, 1, sampled.covariance, run, out, err);
    if (rc == MEROS_OK && (!sampled.converged || !out->converged)) rc = minimise(&l, wide, PURCHASE_STARTS, NULL, run, out, err);
    if (rc == MEROS_OK && log_likelihood != NULL) {
        double theta[MLE_MAX];
        for (int i = 0; i < n_theta; i++) theta[i] = i < PURCHASE_PARAMETERS ? log(out->parameter[i]) : out->parameter[i];
        *log_likelihood = -out->value + (penalty > 0 ? penalty * data->customers * penalised(&l, theta, NULL) : 0);
    }
    return rc;
}
