#include "meros/ml/quantile.h"

#include <math.h>
#include <stdlib.h>

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

void values_sort(double *values, size_t n)
{
    if (n > 1) qsort(values, n, sizeof *values, ascending);
}

double quantile_sorted(const double *sorted, size_t n, double p)
{
    if (n == 0) return NAN;
    double at = p * (double)(n - 1);
    if (!(at > 0)) return sorted[0];
    if (at >= (double)(n - 1)) return sorted[n - 1];
    size_t below = (size_t)at;
    double part = at - (double)below, a = sorted[below], b = sorted[below + 1];
    return a == b ? a : a + part * (b - a); /* a == b also keeps two equal infinities */
}

double median_sorted(const double *sorted, size_t n)
{
    return quantile_sorted(sorted, n, 0.5);
}

double iqr_sorted(const double *sorted, size_t n)
{
    return quantile_sorted(sorted, n, 0.75) - quantile_sorted(sorted, n, 0.25);
}

double mad_sorted(const double *sorted, size_t n, double *scratch)
{
    double median = median_sorted(sorted, n);
    for (size_t i = 0; i < n; i++) scratch[i] = fabs(sorted[i] - median);
    values_sort(scratch, n);
    return median_sorted(scratch, n);
}

void score_cuts(const double *sorted, size_t n, int levels, enum score_ties ties, double *out_cuts)
{
    int reached = 1; /* cuts of scores 2 .. reached are set */
    for (size_t i = 0; i < n && reached < levels;) {
        size_t end = i + 1;
        while (end < n && sorted[end] == sorted[i]) end++;
        /* twice the rank, in whole numbers: 5 * 20 / 100 must be exactly 1 */
        size_t rank2 = ties == SCORE_TIES_LOW ? 2 * i : i + end;
        unsigned __int128 level = (unsigned __int128)rank2 * (unsigned)levels / (2 * n);
        for (int score = 1 + (int)level; reached < score && reached < levels; reached++)
            out_cuts[reached - 1] = sorted[i];
        i = end;
    }
    for (; reached < levels; reached++) out_cuts[reached - 1] = INFINITY;
}

int score_of(const double *cuts, int levels, double value)
{
    int score = 1;
    while (score < levels && cuts[score - 1] <= value) score++;
    return score;
}

void moments_add(struct moments *m, double value)
{
    double n = (double)++m->n, delta = value - m->mean, part = delta / n, term = delta * part * (n - 1);
    m->m3 += term * part * (n - 2) - 3 * part * m->m2;
    m->m2 += term;
    m->mean += part;
    if (m->n == 1 || value < m->min) m->min = value;
    if (m->n == 1 || value > m->max) m->max = value;
}

void moments_merge(struct moments *m, const struct moments *other)
{
    if (other->n == 0) return;
    if (m->n == 0) {
        *m = *other;
        return;
    }
    double a = (double)m->n, b = (double)other->n, n = a + b, delta = other->mean - m->mean;
    m->m3 += other->m3 + delta * delta * delta * a * b * (a - b) / (n * n) +
             3 * delta * (a * other->m2 - b * m->m2) / n;
    m->m2 += other->m2 + delta * delta * a * b / n;
    m->mean += delta * b / n;
    m->n += other->n;
    if (other->min < m->min) m->min = other->min;
    if (other->max > m->max) m->max = other->max;
}

double moments_variance(const struct moments *m)
{
    return m->n < 2 || m->m2 <= 0 ? 0 : m->m2 / (double)m->n;
}

double moments_sd(const struct moments *m)
{
    return sqrt(moments_variance(m));
}

double moments_skewness(const struct moments *m)
{
    double variance = moments_variance(m);
    return variance > 0 ? m->m3 / (double)m->n / (variance * sqrt(variance)) : 0;
}
