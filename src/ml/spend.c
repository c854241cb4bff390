#include "meros/ml/spend.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include "meros/ml/matrix.h"
#include "meros/ml/special.h"

/* ln L = lnG(px+q) - lnG(px) - lnG(q) + q ln gamma + (px-1) ln m + px ln x - (px+q) ln(gamma + x m). */
enum { ROWS_PER_PART = 8192 };
struct part {
    double value, gradient[3];
};
struct likelihood {
    const double *mean;
    uint32_t *x_of; /* place of the row's x among the distinct ones */
    double *log_mean;
    size_t n;
    double *xs, (*of_x)[3]; /* distinct numbers of purchases; lnG(px+q) - lnG(px) + px ln x, digamma(px+q), digamma(px) */
    size_t n_x;
    double penalty, p, q, gamma;
    struct ml_pool *pool;
    struct part *parts;
    size_t n_parts;
};

static void add_part(void *arg, size_t part, int worker)
{
    const struct likelihood *l = arg;
    const size_t from = part * ROWS_PER_PART, to = from + ROWS_PER_PART < l->n ? from + ROWS_PER_PART : l->n;
    struct part sum = {0};
    (void)worker;
    for (size_t i = from; i < to; i++) {
        const double *g = l->of_x[l->x_of[i]], x = l->xs[l->x_of[i]], px = l->p * x, whole = l->gamma + x * l->mean[i];
        const double log_whole = log(whole);
        sum.value += g[0] + (px - 1) * l->log_mean[i] - (px + l->q) * log_whole;
        sum.gradient[0] += x * (g[1] - g[2] + l->log_mean[i] + log(x) - log_whole);
        sum.gradient[1] += g[1] - log_whole;
        sum.gradient[2] -= (px + l->q) / whole;
    }
    l->parts[part] = sum;
}

static double value(void *arg, const double *theta, double *gradient)
{
    struct likelihood *l = arg;
    double par[3], total = 0, by[3] = {0};
    for (int i = 0; i < 3; i++) par[i] = exp(theta[i]);
    const double p = l->p = par[0], q = l->q = par[1], n = (double)l->n;
    l->gamma = par[2];
    for (size_t i = 0; i < l->n_x; i++) {
        const double px = p * l->xs[i];
        l->of_x[i][0] = log_gamma(px + q) - log_gamma(px) + px * log(l->xs[i]);
        l->of_x[i][1] = digamma(px + q);
        l->of_x[i][2] = digamma(px);
    }
    parallel_for(l->pool, l->n_parts, add_part, l);
    for (size_t k = 0; k < l->n_parts; k++) {
        total += l->parts[k].value;
        for (int i = 0; i < 3; i++) by[i] += l->parts[k].gradient[i];
    }
    total += n * (q * theta[2] - log_gamma(q));
    by[1] += n * (theta[2] - digamma(q));
    by[2] += n * q / l->gamma;
    for (int i = 0; i < 3; i++) {
        gradient[i] = -by[i] * par[i] + 2 * l->penalty * n * par[i] * par[i];
        total -= l->penalty * n * par[i] * par[i];
    }
    return -total;
}

static int ascending(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static enum meros_code prepare(struct likelihood *l, const double *x, struct meros_err *err)
{
    const size_t n = l->n;
    l->x_of = ml_alloc(n, sizeof *l->x_of);
    l->log_mean = ml_alloc(n, sizeof *l->log_mean);
    l->xs = ml_alloc(n, sizeof *l->xs);
    l->n_parts = (n + ROWS_PER_PART - 1) / ROWS_PER_PART;
    l->parts = ml_alloc(l->n_parts, sizeof *l->parts);
    if (l->x_of == NULL || l->log_mean == NULL || l->xs == NULL || l->parts == NULL) goto no_memory;
    for (size_t i = 0; i < n; i++) {
        if (!(x[i] > 0) || !(l->mean[i] > 0) || !isfinite(x[i]) || !isfinite(l->mean[i]))
            return err_set(err, MEROS_UNPROCESSABLE, "Buyer %zu has %g purchases of %g on average; both must be above zero.", i, x[i], l->mean[i]);
        l->xs[i] = x[i];
        l->log_mean[i] = log(l->mean[i]);
    }
    qsort(l->xs, n, sizeof *l->xs, ascending);
    for (size_t i = 0; i < n; i++)
        if (l->n_x == 0 || l->xs[i] != l->xs[l->n_x - 1]) l->xs[l->n_x++] = l->xs[i];
    for (size_t i = 0; i < n; i++) {
        const double *at = bsearch(&x[i], l->xs, l->n_x, sizeof *at, ascending);
        l->x_of[i] = (uint32_t)(at - l->xs);
    }
    l->of_x = ml_alloc(l->n_x, sizeof *l->of_x);
    if (l->of_x != NULL) return MEROS_OK;
no_memory:
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for fitting the value of purchases.");
}

enum meros_code gamma_gamma_fit(const double *x, const double *mean, size_t n, double penalty, const struct ml_run *run,
                                struct mle_fit *out, double *log_likelihood, struct meros_err *err)
{
    if (n < 2) return err_set(err, MEROS_UNPROCESSABLE, "The value of purchases needs at least two buyers to learn from.");
    struct likelihood l = {.mean = mean, .n = n, .penalty = penalty, .pool = ml_run_pool(run)};
    const struct mle_problem problem = {.n = 3, .value = value, .arg = &l};
    enum meros_code rc = prepare(&l, x, err);
    if (rc == MEROS_OK) {
        double average = 0;
        for (size_t i = 0; i < n; i++) average += mean[i] / (double)n;
        const double starts[] = {2, 3, average, 6, 4, 0.5 * average, 1, 10, 5 * average};
        rc = mle_minimise(&problem, starts, 3, 1e5, 1e-6, run, out, err);
    }
    if (rc == MEROS_OK && log_likelihood != NULL) {
        double sum = 0;
        for (int i = 0; i < 3; i++) sum += out->parameter[i] * out->parameter[i];
        *log_likelihood = -out->value + penalty * (double)n * sum;
    }
    free(l.x_of);
    free(l.log_mean);
    free(l.xs);
    free(l.of_x);
    free(l.parts);
    return rc;
}

double gamma_gamma_weight(const struct gamma_gamma *m, double x)
{
    return m->p * x / (m->p * x + m->q - 1);
}

double gamma_gamma_expected(const struct gamma_gamma *m, double x, double mean)
{
    if (x == 0) return m->q > 1 ? m->p * m->gamma / (m->q - 1) : INFINITY;
    return m->p * (m->gamma + x * mean) / (m->p * x + m->q - 1);
}
