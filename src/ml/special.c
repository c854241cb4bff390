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

const double gauss_few_at[GAUSS_FEW] = {
    0.013046735741414128, 0.067468316655507732, 0.16029521585048778, 0.28330230293537639, 0.42556283050918442,
    0.57443716949081558, 0.71669769706462361, 0.83970478414951222, 0.93253168334449232, 0.98695326425858587};
const double gauss_few_weight[GAUSS_FEW] = {
    0.033335672154344034, 0.074725674575290182, 0.10954318125799101, 0.13463335965499826, 0.14776211235737649,
    0.14776211235737649, 0.13463335965499826, 0.10954318125799101, 0.074725674575290182, 0.033335672154344034};
const double gauss_many_at[GAUSS_MANY] = {
    0.0034357004074525577, 0.018014036361043095, 0.043882785874337082, 0.080441514088890609, 0.1268340467699246,
    0.18197315963674249, 0.24456649902458644, 0.31314695564229023, 0.38610707442917747, 0.46173673943325133,
    0.53826326056674867, 0.61389292557082253, 0.68685304435770977, 0.75543350097541362, 0.81802684036325757,
    0.8731659532300754, 0.91955848591110945, 0.95611721412566286, 0.98198596363895696, 0.99656429959254744};
const double gauss_many_weight[GAUSS_MANY] = {
    0.0088070035695766366, 0.020300714900193109, 0.031336024167054721, 0.041638370788352336, 0.050965059908620131,
    0.059097265980759123, 0.065844319224588263, 0.071048054659190937, 0.074586493236301829, 0.076376693565362891,
    0.076376693565362891, 0.074586493236301829, 0.071048054659190937, 0.065844319224588263, 0.059097265980759123,
    0.050965059908620131, 0.041638370788352336, 0.031336024167054721, 0.020300714900193109, 0.0088070035695766366};

/* Where the upper tail is q: a first guess good to 5e-4 (Abramowitz & Stegun 26.2.23), then Halley's steps. */
double normal_quantile(double p)
{
    const double q = p < 0.5 ? p : 1 - p, t = sqrt(-2 * log(q));
    double z = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (1 + t * (1.432788 + t * (0.189269 + t * 0.001308)));
    for (int i = 0; i < 2; i++) {
        const double step = (erfc(z / M_SQRT2) / 2 - q) / (exp(-z * z / 2) / sqrt(2 * M_PI));
        z += step / (1 + z * step / 2);
    }
    return p < 0.5 ? -z : z;
}
