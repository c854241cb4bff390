/* Customer lifetime value: a fitted model of purchases (bgnbd.h, paretonbd.h) and one of what they are worth (spend.h), and
 * what both together expect of one customer.
 *
 * Units. Everything that crosses this header is in days and in money; the unit that a model's parameters are in (API:
 * time_unit) is stored in the model and converted here and nowhere else, so weeks and days cannot be mixed.
 *
 * A purchase is a day with a purchase. Of a customer, x counts purchase days after the first one, t_x is the last of them
 * less the first, t the end of observation less the first.
 *
 * Value is discounted continuously: a purchase after u days counts exp(-delta u), delta = ln(1 + annual_rate) / 365.25.
 *
 * Covariates (static, Fader & Hardie 2007, "Incorporating time-invariant covariates into the Pareto/NBD and BG/NBD models"):
 * z acts on the rate of buying as exp(g1'z), on that of leaving as exp(g2'z) (Pareto/NBD: alpha exp(-g1'z), beta exp(-g2'z));
 * BG/NBD and MBG/NBD: alpha exp(-g1'z), a exp(g2'z), b exp(g3'z).
 *
 * Everything but clv_fit is pure and safe in any thread. The structs own no memory and may be copied. */
#ifndef MEROS_ML_CLV_H
#define MEROS_ML_CLV_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"
#include "meros/ml/mle.h"
#include "meros/ml/parallel.h"

enum clv_kind { CLV_BGNBD, CLV_MBGNBD, CLV_PARETONBD, CLV_KINDS };
enum clv_unit { CLV_DAY, CLV_WEEK, CLV_UNITS };
/* MEAN: the population's mean for everybody, where Gamma-Gamma has nothing to learn from (all purchases worth the same, or
 * fewer than two buyers with a purchase that counts) or ends with a population that has no mean (q <= 1). NONE: nothing is known of values; clv and expected_order_value are NaN. */
enum clv_spend { CLV_SPEND_NONE, CLV_SPEND_MEAN, CLV_SPEND_GAMMA_GAMMA, CLV_SPENDS };

enum {
    CLV_PARAMETERS = 4,
    CLV_COVARIATES_MAX = 8,
    CLV_EFFECTS_MAX = 3,                                                          /* g1, g2, g3 above */
    CLV_THETA_MAX = CLV_PARAMETERS + CLV_EFFECTS_MAX * CLV_COVARIATES_MAX,        /* 28 */
};

const char *clv_kind_name(enum clv_kind k);   /* "bgnbd", "mbgnbd", "paretonbd" */
const char *clv_unit_name(enum clv_unit u);   /* "day", "week" */
const char *clv_spend_name(enum clv_spend s); /* "none", "mean", "gamma_gamma" */
const char *clv_parameter_name(enum clv_kind k, int i); /* "r", "alpha", "a", "b" or "r", "alpha", "s", "beta" */
int clv_effects(enum clv_kind k);             /* 3, Pareto/NBD 2: what a covariate acts on */
const char *clv_effect_name(enum clv_kind k, int i); /* "rate", "leaving_a", "leaving_b" or "rate", "leaving" */
int clv_effect_parameter(enum clv_kind k, int i);    /* the place of the parameter it acts on, by exp(sign g'z) */
double clv_effect_sign(enum clv_kind k, int i);
double clv_unit_days(enum clv_unit u);        /* 1, 7 */

/* How a fit went. converged false is an answer too (status "not_converged"), not an error. */
struct clv_fitted {
    double log_likelihood; /* without the penalty */
    double gradient_norm, decrement, condition; /* as in mle.h; condition may be INFINITY */
    int evaluations, iterations;
    bool converged, at_bound;
};

struct clv_purchase_model {
    enum clv_kind kind;
    enum clv_unit unit;                 /* of alpha and beta, and of nothing else */
    double parameter[CLV_PARAMETERS];   /* in the order of clv_parameter_name, of a customer whose covariates are all 0 */
    double standard_error[CLV_PARAMETERS]; /* NaN where the Hessian is not definite */
    int n_covariates;
    double coefficient[CLV_EFFECTS_MAX][CLV_COVARIATES_MAX];    /* g1 .. g3, per unit of the covariate as given */
    double coefficient_error[CLV_EFFECTS_MAX][CLV_COVARIATES_MAX];
    double covariate_mean[CLV_COVARIATES_MAX];                  /* what a customer of whom it is not known counts as */
    /* theta = (ln parameters, g1[0..n), g2[0..n), g3[0..n)); row-major n_theta * n_theta. All NaN where the Hessian is not
     * definite: intervals then know the process only. */
    int n_theta;
    double covariance[CLV_THETA_MAX * CLV_THETA_MAX];
    struct clv_fitted fit;
    double customers, repeat_customers, repeat_purchases; /* of the data */
};

struct clv_spend_model {
    enum clv_spend kind;
    double parameter[3];       /* p, q, gamma: > 0 and q > 1 with GAMMA_GAMMA; otherwise 0, or what a fit came to that is not used */
    double standard_error[3];
    double covariance[9];      /* of the logarithms */
    double mean;               /* observed, a purchase; what MEAN answers */
    double deviation;          /* observed standard deviation of customers' means; the spread of MEAN */
    double buyers;             /* customers that it learnt from */
    /* Pearson's, of number and mean value of purchases; NaN if it has none. Gamma-Gamma assumes none (see warn). */
    double correlation;
    bool correlation_warning;  /* |correlation| > CLV_CORRELATION_WARN */
    /* MEAN because customers do not differ in what they spend: every basket is worth the same (deviation 0), or their means
     * differ no more than chance makes them, q rising past CLV_ALIKE_Q without end. Not stored. */
    bool alike;
    struct clv_fitted fit;
};
#define CLV_CORRELATION_WARN 0.3
#define CLV_ALIKE_Q 1e3 /* beyond it what customers are expected to spend differs by 3 % (1 / sqrt(q)) and less */

struct clv_model {
    struct clv_purchase_model purchase;
    struct clv_spend_model spend;
};

/* Whether a model read from elsewhere can be used: kinds, unit, positive finite parameters, a covariance that is symmetric
 * with a diagonal above 0 or all NaN. UNPROCESSABLE in words. clv_fit's own results always pass. */
enum meros_code clv_check(const struct clv_model *m, struct meros_err *err) MEROS_MUSTCHECK;

/* --- learning */

/* n customers. Times in days. value_days[i] purchases of mean value mean_value[i] are what Gamma-Gamma learns from (the
 * first purchase is left out of both, as the models ask): rows with value_days 0 or mean_value <= 0 or not finite are left
 * out of the value model. mean_value and value_days NULL: no value model. covariates: n rows of n_covariates, NaN: not
 * known; or NULL. */
struct clv_data {
    size_t n;
    const double *x, *t_x, *t;
    const double *mean_value, *value_days;
    const double *covariates;
    int n_covariates;
};
struct clv_fit_params {
    enum clv_kind kind;
    enum clv_unit unit;
    double penalty; /* L2 of the parameters, as bgnbd.h has it; 0: none */
    /* What a purchase is worth on average, first ones included (<= 0 or NaN: not known): the mean of CLV_SPEND_MEAN where
     * nobody has a purchase that counts. */
    double mean_value;
};
/* UNPROCESSABLE when nobody bought twice, there is nobody, or a history is impossible (purchases.h). not converged: MEROS_OK
 * with fit.converged false. */
enum meros_code clv_fit(const struct clv_data *d, const struct clv_fit_params *p, const struct ml_run *run,
                        struct clv_model *out, struct meros_err *err) MEROS_MUSTCHECK;

/* --- one customer */

struct clv_history {
    double x, t_x, t;              /* t_x and t in days. Nobody yet, or first bought today: all 0 */
    double mean_value, value_days; /* value_days 0: no value of its own is known */
    const double *covariates;      /* the model's n_covariates, NaN: not known; NULL: none known */
};
struct clv_question {
    double horizon_days; /* 0 .. CLV_HORIZON_MAX_DAYS */
    double annual_rate;  /* 0.1: 10 % a year; > -1, at most CLV_RATE_MAX */
    double level;        /* of the interval, 0 < level < 1, 0.9 say. 0: no interval, several times as fast; then low, high, the
                          * deviations and slopes are NaN */
};
#define CLV_HORIZON_MAX_DAYS 36525.0 /* a hundred years */
#define CLV_RATE_MAX 100.0
#define CLV_NEXT_MAX_DAYS 1e6

struct clv_answer {
    bool population;             /* t = 0: nothing of how this customer buys went into this, it is the population's
                                  * expectation from a first purchase on */
    double p_alive;              /* the chance of still being active at the end of observation */
    double expected_orders;      /* purchases in the horizon, not discounted */
    double p_order;              /* the chance of one or more in it */
    double expected_order_value; /* NaN with CLV_SPEND_NONE */
    double clv;                  /* discounted value of the purchases in the horizon */
    /* Within it what the customer will really be worth lies with chance `level`: the spread of the process (whether still
     * active, how many purchases, of what value) and the uncertainty of the parameters. 0 <= low <= clv <= high. */
    double low, high;
    double process_deviation;    /* standard deviation of the value by the process alone */
    double parameter_deviation;  /* of `clv` by the parameters' uncertainty, delta method; NaN without a covariance */
    /* Median of the time to the next purchase, of a customer who is active and stays so: read it with p_alive. Days from the
     * end of observation, at most CLV_NEXT_MAX_DAYS; may be centuries. */
    double next_order_days;
    /* What the customer's own data weigh against the population's, 0..1: of the rate of buying, t / (alpha + t); of the
     * value of a purchase, p n / (p n + q - 1) with n = value_days. */
    double frequency_weight, value_weight;
    /* d clv / d theta, of the purchase model and of the logarithms of p, q, gamma: what clv_total needs. */
    double purchase_slope[CLV_THETA_MAX], spend_slope[3];
};

/* m: passes clv_check. h must be possible (t_x <= t, x > 0 exactly if t_x > 0, all finite); what is not is answered as the
 * nearest history that is. Some microseconds; some tens with an interval. Never NaN or infinite but where said. */
void clv_score(const struct clv_model *m, const struct clv_question *q, const struct clv_history *h, struct clv_answer *out);
/* What a purchase of a customer is expected to be worth, by the value model alone. */
double clv_order_value(const struct clv_spend_model *m, double mean_value, double value_days);
/* UNPROCESSABLE in words for a horizon, rate or level outside the above. */
enum meros_code clv_question_check(const struct clv_question *q, struct meros_err *err) MEROS_MUSTCHECK;

/* The same for all of d (its covariates as in clv_fit), without intervals, in parallel; equal histories are computed once, so
 * it costs a fraction of n calls. What is NULL is not wanted. UNPROCESSABLE for impossible histories. */
struct clv_scores {
    double *p_alive, *expected_orders, *expected_order_value, *clv; /* n each */
};
enum meros_code clv_score_all(const struct clv_model *m, const struct clv_question *q, const struct clv_data *d, const struct ml_run *run,
                              const struct clv_scores *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Cumulated to the end of each of n steps of step_days (a month is CLV_MONTH_DAYS), the last cut off at the horizon:
 * days, expected orders and value to there. The last step's are those of clv_score. Returns the number of steps used, at
 * most n. */
#define CLV_MONTH_DAYS (365.25 / 12)
struct clv_step {
    double days, orders, value, clv; /* value: not discounted */
};
int clv_breakdown(const struct clv_model *m, const struct clv_question *q, const struct clv_history *h, double step_days,
                  struct clv_step *out, int n);

/* --- many customers together: parameters are uncertain for all of them at once, the process for each alone */
struct clv_total {
    double customers, clv, expected_orders, p_alive; /* sums */
    double process_variance;
    double purchase_slope[CLV_THETA_MAX], spend_slope[3];
};
void clv_total_add(struct clv_total *t, const struct clv_answer *a); /* of one and the same question with a level; {0} to begin */
void clv_total_merge(struct clv_total *t, const struct clv_total *other);
/* The interval of the sum, by the normal distribution: for groups, not for one customer. */
void clv_total_interval(const struct clv_model *m, const struct clv_total *t, double level, double *low, double *high);

#endif
