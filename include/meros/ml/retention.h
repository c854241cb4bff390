/* Customers under contract: shifted beta-geometric (Fader & Hardie 2007, "How to Project Customer Retention"). A customer
 * leaves at the end of each period with a chance that is Beta(alpha, beta) over customers. Periods count from 1. Pure. */
#ifndef MEROS_ML_RETENTION_H
#define MEROS_ML_RETENTION_H

#include "meros/ml/mle.h"

struct sbg {
    double alpha, beta;
};

/* Cohorts as lives: lost[i] customers were lost at the end of period i + 1 (i < n_periods), kept[i] were last seen active
 * after i + 1 periods. Cohorts of any age add up. */
enum meros_code sbg_fit(const double *lost, const double *kept, size_t n_periods, const struct ml_run *run, struct mle_fit *out,
                        double *log_likelihood, struct meros_err *err) MEROS_MUSTCHECK;
double sbg_survival(const struct sbg *m, double periods);  /* the chance of still being there after so many renewals */
double sbg_retention(const struct sbg *m, double period);  /* the chance that who renewed period - 1 times renews again */
/* Renewals still expected, each discounted by 1 / (1 + rate), of a customer who has renewed n times and whose next renewal is
 * due now; rate 0: undiscounted, INFINITY when alpha <= 1. */
double sbg_remaining(const struct sbg *m, double n, double rate);

/* Standard errors of the three by the delta method; covariance: of (ln alpha, ln beta), as struct mle_fit has it (NaN gives NaN). */
double sbg_survival_error(const struct sbg *m, const double *covariance, double periods);
double sbg_retention_error(const struct sbg *m, const double *covariance, double period);
double sbg_remaining_error(const struct sbg *m, const double *covariance, double n, double rate);

#endif
