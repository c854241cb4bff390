/* Pareto/NBD (Schmittlein, Morrison & Colombo 1987; Fader & Hardie 2005): while active, a customer buys at rate lambda ~
 * Gamma(r, alpha), and becomes inactive at any time at rate mu ~ Gamma(s, beta). alpha, beta and times in the data's unit.
 *
 * The time of leaving is integrated in logarithms: by two hypergeometric series where they are short and their difference
 * does not cancel, otherwise by quadrature of what they stand for, a positive function of logarithmic time. Nothing overflows
 * for heavy buyers. All functions are pure. */
#ifndef MEROS_ML_PARETONBD_H
#define MEROS_ML_PARETONBD_H

#include "meros/ml/mle.h"
#include "meros/ml/purchases.h"

struct paretonbd {
    double r, alpha, s, beta;
};

/* As bgnbd_fit; out: parameters r, alpha, s, beta. */
enum meros_code paretonbd_fit(const struct purchases *data, double penalty, const struct ml_run *run, struct mle_fit *out,
                              double *log_likelihood, struct meros_err *err) MEROS_MUSTCHECK;
/* Covariates multiply alpha by exp(-g1'z) and beta by exp(-g2'z); as bgnbd_fit_covariates. */
enum meros_code paretonbd_fit_covariates(const struct purchases *data, const struct purchase_covariates *z, double penalty,
                                         const struct ml_run *run, struct mle_fit *out, double *log_likelihood,
                                         struct meros_err *err) MEROS_MUSTCHECK;
double paretonbd_log_likelihood(const struct paretonbd *m, double x, double t_x, double t);
double paretonbd_p_alive(const struct paretonbd *m, double x, double t_x, double t);
double paretonbd_expected(const struct paretonbd *m, double x, double t_x, double t, double horizon);
/* Of a customer known to be active at the end of observation: the expected number of purchases within the horizon, the
 * chance of any, and E[n (n - 1)]. */
double paretonbd_expected_active(const struct paretonbd *m, double x, double t, double horizon);
double paretonbd_any_active(const struct paretonbd *m, double x, double t, double horizon);
double paretonbd_pairs_active(const struct paretonbd *m, double x, double t, double horizon);

#endif
