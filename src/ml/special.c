#include "meros/ml/special.h"

#include <math.h>

double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

/* Recurrence up to 10, then the asymptotic series (Abramowitz & Stegun 6.3.18). */
double digamma(double x)
{
    double below = 0;
    while (x < 10) below -= 1 / x++;
    const double z = 1 / (x * x);
    return below + log(x) - 0.5 / x -
           z * (1.0 / 12 - z * (1.0 / 120 - z * (1.0 / 252 - z * (1.0 / 240 - z * (1.0 / 132 - z * (691.0 / 32760 - z / 12))))));
}

double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

double softplus(double x)
{
    return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x));
}

double logistic(double x)
{
    return x >= 0 ? 1 / (1 + exp(-x)) : exp(x) / (1 + exp(x));
}

double power_gap(double log_u, double k)
{
    return fabs(k) < 1e-300 ? -log_u : -expm1(k * log_u) / k;
}
