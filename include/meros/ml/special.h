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

#endif
