#include "meros/ml/concentration.h"

#include <math.h>

static double sum_of(const double *v, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += v[i];
    return sum;
}

double top_share_sorted(const double *sorted, size_t n, double share)
{
    const double sum = sum_of(sorted, n), count = share * (double)n;
    if (!(sum > 0)) return NAN;
    const double whole = floor(count);
    size_t from = n - (size_t)whole;
    double held = sum_of(sorted + from, n - from);
    if (from > 0) held += (count - whole) * sorted[from - 1];
    return held / sum;
}

/* From the ranks: sum of (2 i - n - 1) v_i over n * sum, i from 1. */
double gini_sorted(const double *sorted, size_t n)
{
    double sum = 0, ranked = 0;
    for (size_t i = 0; i < n; i++) {
        sum += sorted[i];
        ranked += (2.0 * (double)i + 1 - (double)n) * sorted[i];
    }
    return sum > 0 ? ranked / ((double)n * sum) : NAN;
}
