/* Special functions that likelihoods are made of. Pure; safe in any thread (unlike lgamma(), which writes signgam). */
#ifndef MEROS_ML_SPECIAL_H
#define MEROS_ML_SPECIAL_H

double log_gamma(double x); /* x > 0 */
double digamma(double x);   /* x > 0: d/dx log_gamma(x); absolute error below 1e-13 past x = 1e-8 */
double log_beta(double a, double b);
double softplus(double x);  /* log(1 + e^x), without overflow */
double logistic(double x);  /* 1 / (1 + e^-x) */

/* (1 - u^k) / k, and its limit -log u at k = 0; u > 0. */
double power_gap(double log_u, double k);

double normal_quantile(double p); /* 0 < p < 1; relative error below 1e-13 */

/* Gauss-Legendre on [0, 1]: sum of weight[i] f(at[i]) is the integral of f, exact for polynomials up to degree 2n - 1. */
enum { GAUSS_FEW = 10, GAUSS_MANY = 20 };
extern const double gauss_few_at[GAUSS_FEW], gauss_few_weight[GAUSS_FEW];
extern const double gauss_many_at[GAUSS_MANY], gauss_many_weight[GAUSS_MANY];

#endif
