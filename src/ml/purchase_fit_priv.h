/* Fitting a model of when customers buy, whichever it is: groups of customers, tables for the distinct values, covariates,
 * penalty, starts. A family gives what differs: its terms. */
#ifndef MEROS_ML_PURCHASE_FIT_PRIV_H
#define MEROS_ML_PURCHASE_FIT_PRIV_H

#include "meros/ml/mle.h"
#include "meros/ml/purchases.h"

enum { PURCHASE_PARAMETERS = 4, PURCHASE_EFFECTS_MAX = 3, PURCHASE_ENTRY = 8 };

/* What is computed once of a distinct value: up to PURCHASE_ENTRY numbers, named by the family. */
struct purchase_entry {
    double v[PURCHASE_ENTRY];
};

struct purchase_family {
    bool is_time[PURCHASE_PARAMETERS]; /* in the unit of the data */
    int n_effects;
    struct {
        int parameter; /* a covariate z multiplies it by exp(sign * g'z) */
        double sign;
    } effect[PURCHASE_EFFECTS_MAX];
    /* parameters -> entries of distinct x, t_x, t */
    void (*of_x)(const double *p, double x, double *entry);
    void (*of_t_x)(const double *p, double t_x, double *entry);
    void (*of_t)(const double *p, double t, double *entry);
    /* The log-likelihood of one customer, and by[4] its derivatives by the parameters themselves. */
    double (*customer)(const double *p, const double *x, const double *t_x, const double *t, double *by);
};

/* As bgnbd_fit; starts: PURCHASE_STARTS rows of the four parameters. out: the parameters, then the coefficients, effect by
 * effect. */
enum { PURCHASE_STARTS = 2 };
enum meros_code purchase_fit(const struct purchase_family *family, const struct purchases *data, const struct purchase_covariates *covariates,
                             double penalty, const double *starts, const struct ml_run *run, struct mle_fit *out, double *log_likelihood,
                             struct meros_err *err) MEROS_MUSTCHECK;

#endif
