#include "meros/ml/proportions.h"

#include <math.h>
#include "meros/ml/special.h"

static const double Z95 = 1.959963984540054;

static double clamp(double v, double low, double high)
{
    return v < low ? low : v > high ? high : v;
}

struct ml_interval wilson_interval(double k, double n)
{
    if (!(n > 0)) return (struct ml_interval){NAN, NAN};
    const double p = k / n, z2 = Z95 * Z95, centre = p + z2 / (2 * n), half = Z95 * sqrt(p * (1 - p) / n + z2 / (4 * n * n));
    const struct ml_interval x = {(centre - half) / (1 + z2 / n), (centre + half) / (1 + z2 / n)};
    /* at the ends the formula gives 0 and 1 up to rounding */
    return (struct ml_interval){k <= 0 ? 0 : clamp(x.low, 0, 1), k >= n ? 1 : clamp(x.high, 0, 1)};
}

struct ml_interval newcombe_interval(double k1, double n1, double k2, double n2)
{
    if (!(n1 > 0) || !(n2 > 0)) return (struct ml_interval){NAN, NAN};
    const struct ml_interval a = wilson_interval(k1, n1), b = wilson_interval(k2, n2);
    const double p1 = k1 / n1, p2 = k2 / n2, d = p2 - p1;
    return (struct ml_interval){clamp(d - hypot(p2 - b.low, a.high - p1), -1, 1), clamp(d + hypot(b.high - p2, p1 - a.low), -1, 1)};
}

static double two_sided(double z)
{
    return erfc(fabs(z) / sqrt(2));
}

double two_proportions_p(double k1, double n1, double k2, double n2)
{
    if (!(n1 > 0) || !(n2 > 0)) return NAN;
    const double pooled = (k1 + k2) / (n1 + n2), variance = pooled * (1 - pooled) * (1 / n1 + 1 / n2);
    return variance > 0 ? two_sided((k2 / n2 - k1 / n1) / sqrt(variance)) : 1;
}

/* Terms from the largest down; what is left out is below a part in 10^17 of what was added. */
double sign_test_p(double k, double n)
{
    if (!(n > 0)) return NAN;
    const double m = k < n - k ? k : n - k;
    double term = exp(log_gamma(n + 1) - log_gamma(m + 1) - log_gamma(n - m + 1) - n * M_LN2), sum = term;
    for (double i = m; i > 0 && term > sum * 1e-17; i--) {
        term *= i / (n - i + 1);
        sum += term;
    }
    return sum < 0.5 ? 2 * sum : 1;
}

double share_p(double k, double n, double p)
{
    if (!(n > 0) || !(p > 0 && p < 1)) return NAN;
    return two_sided((k - n * p) / sqrt(n * p * (1 - p)));
}
