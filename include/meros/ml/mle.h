/* Maximum likelihood in a few parameters, most of them positive.
 *
 * The caller gives the negative log-likelihood (with a penalty, if any) as a function of theta, with its gradient: the
 * logarithms of the positive parameters, then the free ones (coefficients) as they are. From each start BFGS goes downhill; Newton steps finish, with the Hessian from central differences of the
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

enum { MLE_MAX = 28 };

struct mle_problem {
    int n;      /* parameters, at most MLE_MAX */
    int n_free; /* the last so many of them are free */
    /* The value at theta (logarithms), and its gradient there; +INFINITY where it cannot be computed. */
    double (*value)(void *arg, const double *theta, double *gradient);
    void *arg;
    const double *covariance; /* of theta, n * n, as guessed for the first start: BFGS begins with it. NULL: no idea */
};

struct mle_fit {
    int n;
    double parameter[MLE_MAX];           /* exp(theta), or theta itself of free ones */
    double standard_error[MLE_MAX];      /* of the parameters, by the delta method; NaN if the Hessian is not definite */
    double covariance[MLE_MAX * MLE_MAX]; /* of theta, row-major n * n */
    double value;                        /* the minimum found */
    double gradient_norm;                /* largest component of the gradient by theta */
    double decrement;                    /* what a further Newton step would gain */
    double condition;                    /* of the Hessian by theta: largest eigenvalue over smallest; INFINITY: not definite */
    int evaluations, iterations;
    bool converged, at_bound;
};

/* starts: n_starts rows of n parameters. bound: how far a positive parameter may go from its first start, as a factor
 * (1e5); a free one, MLE_FREE_BOUND to either side. tolerance: of the log-likelihood (1e-7 is usual). CANCELLED when run says so. */
#define MLE_FREE_BOUND 20.0
enum meros_code mle_minimise(const struct mle_problem *p, const double *starts, int n_starts, double bound, double tolerance,
                             const struct ml_run *run, struct mle_fit *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
