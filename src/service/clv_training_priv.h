/* What the files of "train.clv" share: clv_params.c (what may be asked for), clv_training.c (customers who buy when they like),
 * clv_contract.c (customers under contract), clv_metrics.c (what is said of the outcome). */
#ifndef MEROS_CLV_TRAINING_PRIV_H
#define MEROS_CLV_TRAINING_PRIV_H

#include "meros/ml/clv_eval.h"
#include "meros/model/clv_model.h"
#include "training_priv.h"

enum { COHORTS_MAX = 100, PERIODS_MAX = 600, HOLDOUT_MAX_DAYS = 3653 };

struct clv_params {
    bool contract;              /* sbg */
    bool automatic;             /* all kinds are tried; `kind` is not used */
    enum clv_kind kind;
    enum clv_unit unit;
    double penalty;
    int64_t as_of;              /* TIME_NONE: now */
    int holdout_days;           /* 0: none */
    struct str covariates[CLV_COVARIATES_MAX];
    size_t n_covariates;
    /* sbg */
    const struct json *cohorts; /* checked; NULL: none */
    struct str start, end;      /* names of attributes; STR_NONE: no cohorts from customers */
    double period_days, discount_rate;
};
/* INVALID (shape) or UNPROCESSABLE (sense), with pointers from "/params" on. Views point into the tree. */
enum meros_code clv_params_read(const struct json *params, int64_t now, struct clv_params *out, struct meros_err *err) MEROS_MUSTCHECK;
void clv_params_write(const struct clv_params *p, struct jsonw *w);

/* What a model learns from: arrays of n customers, in the order of customer_no. */
struct clv_table {
    size_t n, cap, bytes, budget;
    int32_t calibration, end; /* the last days of what is learnt from, and of all that is looked at (the hold-out's) */
    int32_t first_day, last_day; /* of any purchase in the calibration */
    int64_t *customer_no;
    double *x, *t_x, *t, *mean_value, *value_days; /* to the end of the calibration */
    double *orders, *value;   /* in the hold-out; NULL without one */
    double *daily;            /* (n_days) repeat purchases a day from first_day on; NULL without a hold-out */
    size_t n_days;
    double *covariates;       /* (n, n_covariates); NULL: none */
    int n_covariates;
    int64_t purchases_excluded, customers_excluded; /* from the model of values: nothing, or less, was left of them */
    int64_t later;            /* customers who first bought in the hold-out */
    double all_value, all_valued;
};

struct clv_outcome { /* of one candidate */
    struct clv_model model;
    struct clv_holdout holdout;
    bool tried, has_holdout;
};

/* One training. */
struct clv_training {
    struct training base;
    struct clv_params params;
    struct clv_table table;
    struct prep prep;         /* covariates */
    struct clv_outcome candidates[CLV_KINDS];
    const struct clv_outcome *chosen;
    char reason[CLV_REASON_MAX]; /* of the choice, where there was one */
    struct clv_tracking_step *tracking;
    size_t n_tracking;
    struct trained_clv *model;
};

/* Reads, fits and judges, up to t->model and the JSON of metrics and features. */
enum meros_code clv_train_purchases(struct clv_training *t, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code clv_train_contract(struct clv_training *t, struct meros_err *err) MEROS_MUSTCHECK;

/* clv_table.c: everybody's histories. */
enum meros_code clv_table_read(struct clv_training *t, struct meros_err *err) MEROS_MUSTCHECK;
void clv_table_done(struct clv_table *t);
struct clv_data clv_table_data(const struct clv_table *t);

void clv_metrics_write(const struct clv_training *t, struct jsonw *w);
void clv_write_fit(struct jsonw *w, const struct clv_fitted *f); /* members of "diagnostics" */

#endif
