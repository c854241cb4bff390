/* Maximum likelihood in a few positive parameters.
 *
 * The caller gives the negative log-likelihood (with a penalty, if any) as a function of the parameters' logarithms, with
 * its gradient. From each start BFGS goes downhill; Newton steps finish, with the Hessian from central differences of the
 * gradient (Nocedal & Wright 2006, chapters 3 and 6). The best end is taken.
 *
 * Converged means: the Hessian there is positive definite and a Newton step would gain less than `tolerance` in
 * log-likelihood; no parameter stands at its bound. Otherwise the diagnostics say how far it came; that is a result too,
 * not an error. */
#ifndef MEROS_ML_MLE_H
#define MEROS_ML_MLE_H

#include <stdbool.h>
#include "meros/base/err.h"
#include "meros/ml/parallel.h"

enum { MLE_MAX = 8 };

struct mle_problem {
    int n; /* parameters, at most MLE_MAX */
    /* The value at theta (logarithms), and its gradient there; +INFINITY where it cannot be computed. */
    double (*value)(void *arg, const double *theta, double *gradient);
    void *arg;
};

struct mle_fit {
    int n;
    double parameter[MLE_MAX];           /* exp(theta) */
    double standard_error[MLE_MAX];      /* of the parameters, by the delta method; NaN if the Hessian is not definite */
    double covariance[MLE_MAX * MLE_MAX]; /* of theta, row-major n * n */
    double value;                        /* the minimum found */
    double gradient_norm;                /* largest component of the gradient by theta */
    double decrement;                    /* what a further Newton step would gain */
    double condition;                    /* of the Hessian by theta: largest eigenvalue over smallest; INFINITY: not definite */
    int evaluations, iterations;
    bool converged, at_bound;
};

/* starts: n_starts rows of n positive parameters. bound: how far a parameter may go from its first start, as a factor
 * (1e5). tolerance: of the log-likelihood (1e-7 is usual). CANCELLED when run says so. */
enum meros_code mle_minimise(const struct mle_problem *p, const double *starts, int n_starts, double bound, double tolerance,
                             const struct ml_run *run, struct mle_fit *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
