/* What is said of a trained model of lifetime value: `metrics` of its job and of GET /v1/models/{id}. */
#include <math.h>
#include <stdio.h>

#include "clv_training_priv.h"
#include "meros/base/clock.h"
#include "meros/service/clv.h"

static const char *const value_names[3] = {"p", "q", "gamma"};

static void write_day(struct jsonw *w, const char *name, int32_t day)
{
    char text[TIME_TEXT];
    time_format((int64_t)day * TIME_DAY, text);
    text[10] = '\0';
    jsonw_kcstr(w, name, text);
}

static void number(struct jsonw *w, const char *name, double v)
{
    jsonw_knum(w, name, isfinite(v) ? v : NAN);
}

void clv_write_fit(struct jsonw *w, const struct clv_fitted *f)
{
    jsonw_kbool(w, "converged", f->converged);
    number(w, "gradient_norm", f->gradient_norm);
    number(w, "decrement", f->decrement);
    number(w, "condition", f->condition); /* null: the Hessian is not definite */
    jsonw_kbool(w, "at_bound", f->at_bound);
    jsonw_kint(w, "evaluations", f->evaluations);
    jsonw_kint(w, "iterations", f->iterations);
}

static void write_named(struct jsonw *w, const char *name, const double *v, int n, const char *(*word)(const void *arg, int i),
                        const void *arg)
{
    jsonw_key(w, name);
    jsonw_begin_object(w);
    for (int i = 0; i < n; i++) number(w, word(arg, i), v[i]);
    jsonw_end_object(w);
}

static const char *purchase_word(const void *arg, int i)
{
    return clv_parameter_name(*(const enum clv_kind *)arg, i);
}

static const char *value_word(const void *arg, int i)
{
    (void)arg;
    return value_names[i];
}

static void write_purchases(struct jsonw *w, const struct clv_purchase_model *m)
{
    write_named(w, "parameters", m->parameter, CLV_PARAMETERS, purchase_word, &m->kind);
    write_named(w, "standard_errors", m->standard_error, CLV_PARAMETERS, purchase_word, &m->kind);
    jsonw_kcstr(w, "time_unit", clv_unit_name(m->unit));
    number(w, "log_likelihood", m->fit.log_likelihood);
    jsonw_key(w, "diagnostics");
    jsonw_begin_object(w);
    clv_write_fit(w, &m->fit);
    jsonw_end_object(w);
}

static void write_values(struct jsonw *w, const struct clv_spend_model *m)
{
    jsonw_kcstr(w, "value_model", clv_spend_name(m->kind));
    if (m->kind == CLV_SPEND_GAMMA_GAMMA) {
        write_named(w, "value_parameters", m->parameter, 3, value_word, NULL);
        write_named(w, "value_standard_errors", m->standard_error, 3, value_word, NULL);
        number(w, "value_log_likelihood", m->fit.log_likelihood);
        jsonw_key(w, "value_diagnostics");
        jsonw_begin_object(w);
        clv_write_fit(w, &m->fit);
        jsonw_end_object(w);
    } else {
        jsonw_knull(w, "value_parameters");
        jsonw_knull(w, "value_standard_errors");
        jsonw_knull(w, "value_log_likelihood");
    }
    number(w, "value_mean", m->kind == CLV_SPEND_NONE ? NAN : m->mean);
    jsonw_kint(w, "value_customers", (int64_t)m->buyers);
    number(w, "frequency_value_correlation", m->correlation);
}

static void write_covariates(struct jsonw *w, const struct trained_clv *t)
{
    const struct clv_purchase_model *m = &t->model.purchase;
    jsonw_key(w, "covariates");
    jsonw_begin_array(w);
    for (int j = 0; j < m->n_covariates; j++) {
        struct buf name;
        buf_init(&name, 4096);
        prep_column_name(&t->prep, (size_t)j, &name);
        jsonw_begin_object(w);
        jsonw_kstr(w, "covariate", (struct str){name.data, name.len});
        buf_done(&name);
        jsonw_kcstr(w, "per", t->prep.columns[j].kind == PREP_NUMBER ? "standard deviation" : "level");
        for (int e = 0; e < clv_effects(m->kind); e++) {
            jsonw_key(w, clv_effect_name(m->kind, e));
            jsonw_begin_object(w);
            number(w, "coefficient", m->coefficient[e][j]);
            number(w, "standard_error", m->coefficient_error[e][j]);
            jsonw_end_object(w);
        }
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_classes(struct jsonw *w, const struct clv_holdout *h)
{
    jsonw_key(w, "by_frequency");
    jsonw_begin_array(w);
    for (int k = 0; k < CLV_CLASSES; k++) {
        const struct clv_class *c = &h->by_frequency[k];
        char word[8];
        snprintf(word, sizeof word, k == CLV_CLASSES - 1 ? "%d+" : "%d", k);
        jsonw_begin_object(w);
        jsonw_kcstr(w, "purchases", word);
        jsonw_kint(w, "customers", (int64_t)c->customers);
        jsonw_knum(w, "actual", c->actual);
        jsonw_knum(w, "expected", c->expected);
        jsonw_knum(w, "naive", c->naive);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

/* Cumulated repeat purchases, from the first purchase of all to the end of the hold-out. */
static void write_tracking(struct jsonw *w, const struct clv_training *t)
{
    jsonw_key(w, "tracking");
    jsonw_begin_array(w);
    for (size_t k = 0; k < t->n_tracking; k++) {
        const struct clv_tracking_step *s = &t->tracking[k];
        jsonw_begin_object(w);
        jsonw_kint(w, "week", (int64_t)k + 1);
        write_day(w, "to", t->table.first_day + (int32_t)s->day);
        jsonw_knum(w, "expected", s->expected);
        jsonw_knum(w, "observed", s->observed);
        jsonw_kbool(w, "holdout", s->holdout);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_holdout(struct jsonw *w, const struct clv_training *t)
{
    const struct clv_holdout *h = &t->chosen->holdout;
    jsonw_key(w, "holdout");
    if (!t->chosen->has_holdout) {
        jsonw_null(w);
        return;
    }
    jsonw_begin_object(w);
    jsonw_kint(w, "days", t->params.holdout_days);
    write_day(w, "from", t->table.calibration + 1);
    write_day(w, "to", t->table.end);
    jsonw_kint(w, "customers", (int64_t)h->customers);
    number(w, "actual_orders", h->actual_orders);
    number(w, "expected_orders", h->expected_orders);
    number(w, "naive_orders", h->naive_orders);
    number(w, "mae", h->mae);
    number(w, "rmse", h->rmse);
    number(w, "naive_mae", h->naive_mae);
    number(w, "naive_rmse", h->naive_rmse);
    number(w, "actual_value", h->actual_value);
    number(w, "expected_value", h->expected_value);
    number(w, "naive_value", h->naive_value);
    number(w, "value_mae", h->value_mae);
    number(w, "naive_value_mae", h->naive_value_mae);
    number(w, "interval_coverage", h->coverage);
    jsonw_knum(w, "interval_level", CLV_LEVEL);
    write_classes(w, h);
    write_tracking(w, t);
    jsonw_end_object(w);
}

static void write_candidates(struct jsonw *w, const struct clv_training *t)
{
    if (!t->params.automatic) return;
    jsonw_kcstr(w, "chosen_because", t->reason);
    jsonw_key(w, "candidates");
    jsonw_begin_array(w);
    for (int k = 0; k < CLV_KINDS; k++) {
        const struct clv_outcome *o = &t->candidates[k];
        const struct clv_purchase_model *m = &o->model.purchase;
        jsonw_begin_object(w);
        jsonw_kcstr(w, "model", clv_kind_name(m->kind));
        jsonw_kbool(w, "chosen", o == t->chosen);
        jsonw_kbool(w, "converged", m->fit.converged);
        number(w, "log_likelihood", m->fit.log_likelihood);
        number(w, "aic", 2 * (m->n_theta - m->fit.log_likelihood));
        number(w, "holdout_mae", o->has_holdout ? o->holdout.mae : NAN);
        number(w, "holdout_rmse", o->has_holdout ? o->holdout.rmse : NAN);
        number(w, "holdout_expected_orders", o->has_holdout ? o->holdout.expected_orders : NAN);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

/* Why everybody's orders are expected to be worth the same. */
static void write_mean_warning(struct jsonw *w, const struct clv_spend_model *s, double penalty)
{
    char text[300];
    if (s->alike && !(s->deviation > 1e-9 * s->mean)) {
        snprintf(text, sizeof text, "Every order that counts was worth the same, %.2f: there is no spread to learn from, and everybody's "
                                    "next order is expected to be worth that.", s->mean);
        jsonw_cstr(w, text);
    } else if (s->alike) {
        snprintf(text, sizeof text, "Customers differ in what they spend no more than chance makes them; everybody's orders are expected to "
                                    "be worth the mean, %.2f.", s->mean);
        jsonw_cstr(w, text);
    } else if (penalty > 0) {
        jsonw_cstr(w, "Under this penalty nothing is learnt from what each customer spends (or they differ too little, or too few came "
                      "back); everybody's orders are expected to be worth the mean.");
    } else {
        jsonw_cstr(w, "There is too little difference in what customers spend to learn from (or too few who came back); everybody's "
                      "orders are expected to be worth the mean.");
    }
}

static void write_warnings(struct jsonw *w, const struct clv_training *t)
{
    const struct clv_purchase_model *p = &t->model->model.purchase;
    const struct clv_spend_model *s = &t->model->model.spend;
    char text[300];
    jsonw_key(w, "warnings");
    jsonw_begin_array(w);
    if (!p->fit.converged)
        jsonw_cstr(w, p->fit.at_bound ? "The parameters of buying did not settle: the likelihood rises on to where a parameter is at "
                                        "its bound. There may be too few customers who came back, or none who left; a `penalty` (say "
                                        "0.01) keeps parameters within reason."
                                      : "The parameters of buying did not settle; the diagnostics say how far they came. A `penalty` "
                                        "(say 0.01) may help.");
    if (s->kind == CLV_SPEND_GAMMA_GAMMA && !s->fit.converged)
        jsonw_cstr(w, "The parameters of what is spent did not settle; expected values of orders are to be taken with care.");
    if (s->kind == CLV_SPEND_MEAN) write_mean_warning(w, s, t->params.penalty);
    if (s->kind == CLV_SPEND_NONE) jsonw_cstr(w, "Nothing is known of what orders are worth; lifetime values are null.");
    if (s->correlation_warning) {
        snprintf(text, sizeof text,
                 "How often customers buy and how much they spend go together (correlation %.2f), which the model of values assumes "
                 "they do not: values of frequent buyers are %s.", s->correlation, s->correlation > 0 ? "too low" : "too high");
        jsonw_cstr(w, text);
    }
    if (p->repeat_customers < 30) {
        snprintf(text, sizeof text, "Only %.0f customers came back; what is learnt from so few is uncertain.", p->repeat_customers);
        jsonw_cstr(w, text);
    }
    jsonw_end_array(w);
}

void clv_metrics_write(const struct clv_training *t, struct jsonw *w)
{
    const struct clv_model *m = &t->model->model;
    const bool converged = trained_clv_converged(t->model);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "status", converged ? "converged" : "not_converged");
    jsonw_kbool(w, "converged", converged);
    write_purchases(w, &m->purchase);
    write_values(w, &m->spend);
    jsonw_kint(w, "customers", (int64_t)t->table.n);
    jsonw_kint(w, "repeat_customers", (int64_t)m->purchase.repeat_customers);
    jsonw_kint(w, "repeat_purchases", (int64_t)m->purchase.repeat_purchases);
    jsonw_key(w, "excluded");
    jsonw_begin_object(w);
    jsonw_kint(w, "purchases", t->table.purchases_excluded);
    jsonw_kint(w, "customers", t->table.customers_excluded);
    jsonw_kcstr(w, "from", "values: purchases that came to nothing or less, and customers of whom no other is left");
    jsonw_end_object(w);
    write_day(w, "observed_from", t->table.first_day);
    write_day(w, "observed_to", t->table.calibration);
    if (m->purchase.n_covariates > 0) write_covariates(w, t->model);
    write_candidates(w, t);
    write_warnings(w, t);
    write_holdout(w, t);
    jsonw_end_object(w);
}
