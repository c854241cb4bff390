/* Whether a model of lifetime value may be believed: what it expected of a time that it had not seen, against what happened
 * and against the naive rate (each customer goes on as before, x / t purchases a day); and which of several models to take.
 *
 * As in clv.h, times are in days and purchases are days with a purchase. */
#ifndef MEROS_ML_CLV_EVAL_H
#define MEROS_ML_CLV_EVAL_H

#include "meros/ml/clv.h"

enum { CLV_CLASSES = 8 }; /* calibration purchases x = 0 .. 6, 7 and more */

/* data: as of the end of the calibration, the same as the model was fitted on (mean_value and value_days may be NULL).
 * orders[i]: purchase days of customer i in the `days` after it. value[i]: what they were worth; or NULL. */
struct clv_holdout_data {
    struct clv_data data;
    double days;
    const double *orders, *value;
    double level; /* of the intervals whose coverage is counted */
};

struct clv_class {
    double customers;
    double actual, expected, naive; /* mean purchases a customer; 0 where there is no customer */
};

struct clv_holdout {
    double customers, days;
    double actual_orders, expected_orders, naive_orders; /* sums */
    double mae, rmse, naive_mae, naive_rmse;             /* of a customer's purchases */
    struct clv_class by_frequency[CLV_CLASSES];
    /* With `value` and a spend model, NaN without: undiscounted. naive: as many purchases as naive_orders, of the customer's
     * own mean value, or the population's. */
    double actual_value, expected_value, naive_value;
    double value_mae, naive_value_mae;
    double coverage;           /* share of customers whose actual value lay within [low, high] at `level` */
    double coverage_customers; /* how many that was counted on: at most CLV_COVERAGE_MAX, evenly from all */
};
enum { CLV_COVERAGE_MAX = 10000 };

/* The model's expectations are computed in parallel; sums are of fixed parts, so the bits do not depend on threads. */
enum meros_code clv_evaluate(const struct clv_model *m, const struct clv_holdout_data *h, const struct ml_run *run,
                             struct clv_holdout *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Repeat purchases cumulated over time: expected of the whole population from each customer's first purchase on, without
 * looking at what they bought; and observed. Day 0 is the day of the earliest first purchase, so the calibration ends with
 * day `max t`; daily[d] (n_days of them, to the end of the hold-out) counts repeat purchase days on day d. Steps of
 * CLV_TRACKING_DAYS, the last one shorter if need be. t are whole days. Of more than CLV_TRACKING_MAX different covariates so
 * many customers, evenly from all, stand for the rest. */
enum { CLV_TRACKING_DAYS = 7, CLV_TRACKING_MAX = 2000 };
struct clv_tracking_step {
    double day;                /* the step's last */
    double expected, observed; /* cumulated to there */
    bool holdout;              /* past the calibration */
};
/* out: room for clv_tracking_steps(n_days). */
size_t clv_tracking_steps(size_t n_days);
enum meros_code clv_tracking(const struct clv_purchase_model *m, const struct clv_data *d, const double *daily, size_t n_days,
                             const struct ml_run *run, struct clv_tracking_step *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Which candidate to take. A fit that converged goes before one that did not; then the lower hold-out RMSE, where it differs
 * by more than CLV_RMSE_ALIKE; otherwise (or without a hold-out) the higher likelihood, by AIC. */
#define CLV_RMSE_ALIKE 0.01
struct clv_candidate {
    enum clv_kind kind;
    struct clv_fitted fit;
    int n_parameters;           /* n_theta */
    double rmse;                /* NaN: no hold-out */
};
enum { CLV_REASON_MAX = 400 };
/* The place of the best of n >= 1; reason: sentences for people. */
int clv_choose(const struct clv_candidate *candidates, int n, char reason[CLV_REASON_MAX]);

#endif
