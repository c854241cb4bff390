/* What purchase models need to know of customers, and nothing else: x repeat purchases, the last of them t_x after the
 * first, and the customer seen for T after the first; 0 <= t_x <= T, t_x = 0 exactly if x = 0. Time is in whatever unit the
 * caller chose; a model's parameters are in that unit.
 *
 * Equal (x, t_x, T) are one group with a weight, and each distinct x, t_x, T is kept once: a likelihood computes its
 * logarithms and gamma functions for the few distinct values, and only an exponential a group. A million customers whose
 * times are whole days are some hundred thousand groups over some hundred values. Where customers differ in more than
 * their history (covariates), each belongs to a stratum, and values are distinct within a stratum only. */
#ifndef MEROS_ML_PURCHASES_H
#define MEROS_ML_PURCHASES_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/parallel.h"

struct purchases {
    size_t n;                  /* groups */
    uint32_t *x, *t_x, *t;     /* a group's places in the tables below */
    double *weight;            /* customers in it */
    size_t n_x, n_t_x, n_t;
    double *xs, *t_xs, *ts;    /* distinct values, in the order they were met */
    uint32_t *x_stratum, *t_x_stratum, *t_stratum; /* of those values; NULL: there is one stratum only */
    double customers, repeat_customers, repeat_purchases; /* all; with x > 0; sum of x */
    double mean_t, max_t;      /* over customers */
};

/* group_of (n of them, or NULL): the group of each customer. UNPROCESSABLE for values that break the rules above. */
enum meros_code purchases_group(const double *x, const double *t_x, const double *t, size_t n, const struct ml_run *run,
                                struct purchases *out, uint32_t *group_of, struct meros_err *err) MEROS_MUSTCHECK;
/* The same with the stratum of each customer, any numbers (NULL: all are of one). */
enum meros_code purchases_group_strata(const double *x, const double *t_x, const double *t, const uint32_t *stratum, size_t n,
                                       const struct ml_run *run, struct purchases *out, uint32_t *group_of, struct meros_err *err) MEROS_MUSTCHECK;
/* Covariates of strata: row s of z (n rows of k, best of mean 0 and deviation 1) belongs to stratum s. */
struct purchase_covariates {
    const double *z;
    size_t n;
    int k;
};
/* z: n rows of k. Which distinct row each is, numbered in the order they are met; z is left with the *n_strata distinct rows. */
enum meros_code purchases_strata(double *z, size_t n, int k, uint32_t *stratum, size_t *n_strata, struct meros_err *err) MEROS_MUSTCHECK;
void purchases_done(struct purchases *p);

#endif
