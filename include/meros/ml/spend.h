/* What a purchase is worth: Gamma-Gamma (Fader, Hardie & Lee 2005; Fader & Hardie 2013). The value of a customer's purchases
 * is Gamma(p, nu), and nu ~ Gamma(q, gamma) over customers, independent of how often they buy. gamma is in money. Pure. */
#ifndef MEROS_ML_SPEND_H
#define MEROS_ML_SPEND_H

#include "meros/ml/mle.h"

struct gamma_gamma {
    double p, q, gamma;
};

/* x[i] > 0 purchases of mean value mean[i] > 0. out: parameters p, q, gamma. UNPROCESSABLE for other values, or fewer than
 * two customers. */
enum meros_code gamma_gamma_fit(const double *x, const double *mean, size_t n, double penalty, const struct ml_run *run,
                                struct mle_fit *out, double *log_likelihood, struct meros_err *err) MEROS_MUSTCHECK;
/* The expected value of this customer's next purchase; x = 0: the population's mean. With q <= 1 the population has no
 * mean: INFINITY for x = 0. */
double gamma_gamma_expected(const struct gamma_gamma *m, double x, double mean);
/* The weight of the customer's own mean in that; the rest is the population's. */
double gamma_gamma_weight(const struct gamma_gamma *m, double x);

#endif
