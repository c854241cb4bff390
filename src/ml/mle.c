#include "meros/ml/mle.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { BFGS_STEPS = 200, NEWTON_STEPS = 12, HALVINGS = 40 };

struct point {
    double theta[MLE_MAX], gradient[MLE_MAX], value;
};

struct search {
    const struct mle_problem *p;
    double low[MLE_MAX], high[MLE_MAX];
    int evaluations, iterations;
};

static void evaluate(struct search *s, struct point *x)
{
    s->evaluations++;
    x->value = s->p->value(s->p->arg, x->theta, x->gradient);
    for (int i = 0; i < s->p->n; i++)
        if (!isfinite(x->gradient[i])) x->value = INFINITY;
    if (isnan(x->value)) x->value = INFINITY;
}

static bool is_free(const struct mle_problem *p, int i)
{
    return i >= p->n - p->n_free;
}

static double dot(const double *a, const double *b, int n)
{
    double sum = 0;
    for (int i = 0; i < n; i++) sum += a[i] * b[i];
    return sum;
}

static double largest(const double *v, int n)
{
    double m = 0;
    for (int i = 0; i < n; i++) m = fmax(m, fabs(v[i]));
    return m;
}

/* Goes along `step` until the value falls enough (Armijo), within the bounds. False when nothing is gained. */
static bool advance(struct search *s, struct point *x, const double *step, double slope)
{
    const int n = s->p->n;
    double length = 1;
    for (int halving = 0; halving < HALVINGS; halving++, length *= halving < 4 ? 0.5 : 0.25) {
        struct point y = *x;
        for (int i = 0; i < n; i++) y.theta[i] = fmin(fmax(x->theta[i] + length * step[i], s->low[i]), s->high[i]);
        evaluate(s, &y);
        if (y.value <= x->value + 1e-4 * length * slope && y.value < x->value) {
            *x = y;
            return true;
        }
    }
    return false;
}

static void bfgs_update(double *h, int n, const double *step, const double *change)
{
    double curvature = dot(step, change, n), hy[MLE_MAX];
    if (curvature <= 1e-12 * sqrt(dot(step, step, n) * dot(change, change, n))) return;
    for (int i = 0; i < n; i++) hy[i] = dot(h + i * n, change, n);
    const double scale = (curvature + dot(change, hy, n)) / (curvature * curvature);
    for (int i = 0; i < n; i++)
        for (int j = 0; j < n; j++)
            h[i * n + j] += scale * step[i] * step[j] - (hy[i] * step[j] + step[i] * hy[j]) / curvature;
}

static enum meros_code descend(struct search *s, struct point *x, const double *guess, const struct ml_run *run, struct meros_err *err)
{
    const int n = s->p->n;
    double h[MLE_MAX * MLE_MAX] = {0};
    const double first = 1 / fmax(largest(x->gradient, n), 1); /* the first step moves a parameter by a factor e at most */
    for (int i = 0; i < n; i++) h[i * n + i] = first;
    if (guess != NULL) memcpy(h, guess, (size_t)(n * n) * sizeof *h);
    for (int k = 0; k < BFGS_STEPS; k++) {
        const struct point before = *x;
        double step[MLE_MAX], change[MLE_MAX];
        enum meros_code rc = ml_run_check(run, 0.9 * k / BFGS_STEPS, "fitting", err);
        if (rc != MEROS_OK) return rc;
        for (int i = 0; i < n; i++) step[i] = -dot(h + i * n, x->gradient, n);
        double slope = dot(step, x->gradient, n);
        const double longest = largest(step, n);
        if (longest > 3) /* never more than a factor e^3 at once */
            for (int i = 0; i < n; i++) step[i] *= 3 / longest;
        if (longest > 3) slope *= 3 / longest;
        s->iterations++;
        if (!(slope < 0) || !advance(s, x, step, slope)) break;
        for (int i = 0; i < n; i++) {
            step[i] = x->theta[i] - before.theta[i];
            change[i] = x->gradient[i] - before.gradient[i];
        }
        if (k == 0 && guess == NULL && dot(change, change, n) > 0) { /* Shanno's scaling: the size of the curvature met first */
            const double scale = fabs(dot(step, change, n)) / dot(change, change, n);
            for (int i = 0; i < n; i++) h[i * n + i] = scale;
        }
        bfgs_update(h, n, step, change);
        if (before.value - x->value < 1e-9 * (1 + 1e-9 * fabs(x->value))) break; /* the rest is Newton's */
    }
    return MEROS_OK;
}

/* Central differences of the gradient, symmetrised. */
static void hessian(struct search *s, const struct point *x, double *out)
{
    const int n = s->p->n;
    const double h = 1e-4;
    for (int j = 0; j < n; j++) {
        struct point up = *x, down = *x;
        up.theta[j] += h;
        down.theta[j] -= h;
        evaluate(s, &up);
        evaluate(s, &down);
        for (int i = 0; i < n; i++) out[i * n + j] = (up.gradient[i] - down.gradient[i]) / (2 * h);
    }
    for (int i = 0; i < n; i++)
        for (int j = 0; j < i; j++) out[i * n + j] = out[j * n + i] = (out[i * n + j] + out[j * n + i]) / 2;
}

/* Eigenvalues and vectors (columns of v) of a symmetric matrix: Jacobi's rotations (Golub & Van Loan 8.5). */
static void eigen(const double *matrix, int n, double *values, double *v)
{
    double a[MLE_MAX * MLE_MAX];
    memcpy(a, matrix, (size_t)(n * n) * sizeof *a);
    for (int i = 0; i < n * n; i++) v[i] = i % (n + 1) == 0;
    for (int sweep = 0; sweep < 60; sweep++) {
        double off = 0;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) off += a[p * n + q] * a[p * n + q];
        if (!(off > 0)) break;
        for (int p = 0; p < n; p++)
            for (int q = p + 1; q < n; q++) {
                if (fabs(a[p * n + q]) < DBL_MIN) continue;
                const double theta = (a[q * n + q] - a[p * n + p]) / (2 * a[p * n + q]);
                const double t = (theta >= 0 ? 1 : -1) / (fabs(theta) + sqrt(theta * theta + 1));
                const double c = 1 / sqrt(t * t + 1), d = t * c;
                for (int k = 0; k < n; k++) {
                    const double kp = a[k * n + p], kq = a[k * n + q];
                    a[k * n + p] = c * kp - d * kq;
                    a[k * n + q] = d * kp + c * kq;
                }
                for (int k = 0; k < n; k++) {
                    const double pk = a[p * n + k], qk = a[q * n + k];
                    a[p * n + k] = c * pk - d * qk;
                    a[q * n + k] = d * pk + c * qk;
                }
                for (int k = 0; k < n; k++) {
                    const double kp = v[k * n + p], kq = v[k * n + q];
                    v[k * n + p] = c * kp - d * kq;
                    v[k * n + q] = d * kp + c * kq;
                }
            }
    }
    for (int i = 0; i < n; i++) values[i] = a[i * n + i];
}

struct curvature {
    double value[MLE_MAX], vector[MLE_MAX * MLE_MAX];
    double low, high;
};

static void curvature_at(struct search *s, const struct point *x, struct curvature *c)
{
    double h[MLE_MAX * MLE_MAX];
    const int n = s->p->n;
    hessian(s, x, h);
    eigen(h, n, c->value, c->vector);
    c->low = INFINITY;
    c->high = 0;
    for (int i = 0; i < n; i++) {
        c->low = fmin(c->low, isnan(c->value[i]) ? -INFINITY : c->value[i]);
        c->high = fmax(c->high, fabs(c->value[i]));
    }
}

static bool definite(const struct curvature *c)
{
    return c->low > 1e-12 * c->high && isfinite(c->high);
}

/* The Newton step where the curvature is positive; along other directions, the gradient by the curvature's size. Returns
 * what a step would gain. */
static double newton_step(const struct curvature *c, const double *gradient, int n, double *step)
{
    double gain = 0;
    for (int i = 0; i < n; i++) step[i] = 0;
    for (int k = 0; k < n; k++) {
        double along = 0;
        for (int i = 0; i < n; i++) along += c->vector[i * n + k] * gradient[i];
        const double curve = fmax(fabs(c->value[k]), 1e-10 * c->high + DBL_MIN);
        for (int i = 0; i < n; i++) step[i] -= along / curve * c->vector[i * n + k];
        gain += along * along / curve / 2;
    }
    return gain;
}

static void finish(struct search *s, struct point *x, double tolerance, struct mle_fit *out)
{
    const int n = s->p->n;
    struct curvature c;
    double step[MLE_MAX];
    for (int k = 0;; k++) {
        curvature_at(s, x, &c);
        out->decrement = newton_step(&c, x->gradient, n, step);
        if ((out->decrement < tolerance / 100 && definite(&c)) || k == NEWTON_STEPS) break;
        const double longest = largest(step, n);
        for (int i = 0; i < n && longest > 2; i++) step[i] *= 2 / longest;
        s->iterations++;
        if (!advance(s, x, step, dot(step, x->gradient, n))) break; /* as far as rounding lets it */
    }
    out->n = n;
    out->value = x->value;
    out->gradient_norm = largest(x->gradient, n);
    out->condition = definite(&c) ? c.high / c.low : INFINITY;
    out->at_bound = false;
    for (int i = 0; i < n; i++) out->at_bound |= x->theta[i] <= s->low[i] || x->theta[i] >= s->high[i];
    out->converged = definite(&c) && out->decrement < tolerance && !out->at_bound;
    for (int i = 0; i < n; i++) {
        for (int j = 0; j < n; j++) {
            double sum = 0;
            for (int k = 0; k < n; k++) sum += c.vector[i * n + k] * c.vector[j * n + k] / c.value[k];
            out->covariance[i * n + j] = definite(&c) ? sum : NAN;
        }
        const bool free_ = is_free(s->p, i);
        out->parameter[i] = free_ ? x->theta[i] : exp(x->theta[i]);
        out->standard_error[i] = (free_ ? 1 : out->parameter[i]) * sqrt(out->covariance[i * n + i]);
    }
    out->evaluations = s->evaluations;
    out->iterations = s->iterations;
}

enum meros_code mle_minimise(const struct mle_problem *p, const double *starts, int n_starts, double bound, double tolerance,
                             const struct ml_run *run, struct mle_fit *out, struct meros_err *err)
{
    struct search s = {.p = p};
    struct point best = {.value = INFINITY};
    for (int i = 0; i < p->n; i++) {
        const double at = is_free(p, i) ? starts[i] : log(starts[i]), far = is_free(p, i) ? MLE_FREE_BOUND : log(bound);
        s.low[i] = at - far;
        s.high[i] = at + far;
    }
    for (int k = 0; k < n_starts; k++) {
        struct point x;
        for (int i = 0; i < p->n; i++) {
            const double start = starts[k * p->n + i];
            x.theta[i] = fmin(fmax(is_free(p, i) ? start : log(start), s.low[i]), s.high[i]);
        }
        evaluate(&s, &x);
        if (!isfinite(x.value)) continue;
        enum meros_code rc = descend(&s, &x, k == 0 ? p->covariance : NULL, run, err);
        if (rc != MEROS_OK) return rc;
        if (x.value < best.value) best = x;
    }
    if (!isfinite(best.value))
        return err_set(err, MEROS_UNPROCESSABLE, "The likelihood cannot be computed at any of the starting points.");
    finish(&s, &best, tolerance, out);
    return MEROS_OK;
}
