/* Buying until leaving, leaving after a purchase: BG/NBD (Fader, Hardie & Lee 2005, "Counting Your Customers the Easy
 * Way") and MBG/NBD (Batislam, Denizel & Filiztekin 2007), in which a customer may also leave after the first purchase.
 *
 * While active, a customer buys at rate lambda ~ Gamma(r, alpha); after each purchase (MBG: the first one too) leaves with
 * probability p ~ Beta(a, b). alpha and every time are in the unit of the data.
 *
 * Everything is computed in logarithms. The expectations use Euler's transformation of the hypergeometric function, in
 * which nothing grows with the number of purchases and a = 1 is an ordinary point. All functions are pure. */
#ifndef MEROS_ML_BGNBD_H
#define MEROS_ML_BGNBD_H

#include "meros/ml/mle.h"
#include "meros/ml/purchases.h"

enum bgnbd_kind { BGNBD, MBGNBD };
struct bgnbd {
    enum bgnbd_kind kind;
    double r, alpha, a, b;
};

/* penalty: L2 of the parameters themselves, per customer, with times in units of the longest T (0: none). out: parameters r, alpha, a, b.
 * log_likelihood (may be NULL): without the penalty. UNPROCESSABLE when nobody has bought twice. */
enum meros_code bgnbd_fit(enum bgnbd_kind kind, const struct purchases *data, double penalty, const struct ml_run *run,
                          struct mle_fit *out, double *log_likelihood, struct meros_err *err) MEROS_MUSTCHECK;
/* Covariates multiply alpha by exp(-g1'z), a by exp(g2'z), b by exp(g3'z) (Fader & Hardie 2007); data grouped by strata; z
 * NULL: none. out: the four parameters at z = 0, then g1, g2, g3, with their joint covariance. */
enum meros_code bgnbd_fit_covariates(enum bgnbd_kind kind, const struct purchases *data, const struct purchase_covariates *z, double penalty,
                                     const struct ml_run *run, struct mle_fit *out, double *log_likelihood, struct meros_err *err) MEROS_MUSTCHECK;
double bgnbd_log_likelihood(const struct bgnbd *m, double x, double t_x, double t);
double bgnbd_p_alive(const struct bgnbd *m, double x, double t_x, double t);
/* Purchases expected in (T, T + horizon] of a customer with this history. */
double bgnbd_expected(const struct bgnbd *m, double x, double t_x, double t, double horizon);
/* Of a customer known to be active at the end of observation: the expected number of purchases within each of n <=
 * BGNBD_HORIZONS horizons (cheaper together), the chance of any, and E[n (n - 1)]. */
enum { BGNBD_HORIZONS = 12 }; /* an even number: they are computed side by side */
void bgnbd_expected_active(const struct bgnbd *m, double x, double t, const double *horizons, int n, double *out);
double bgnbd_any_active(const struct bgnbd *m, double x, double t, double horizon);
double bgnbd_pairs_active(const struct bgnbd *m, double x, double t, double horizon);
/* Repeat purchases expected within `t` after the first one, of somebody of whom nothing else is known. */
double bgnbd_expected_new(const struct bgnbd *m, double t);
/* The chance of exactly k repeat purchases within t after the first one. */
double bgnbd_probability(const struct bgnbd *m, int k, double t);

#endif
