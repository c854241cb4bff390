/* Customers under contract: how many are kept by period (ml/retention.h), from cohorts that are told, or from the attributes in
 * which customers have the start and the end of their contract. */
#include <math.h>
#include <stdlib.h>

#include "clv_training_priv.h"
#include "meros/base/arena.h"
#include "meros/base/clock.h"
#include "meros/store/segments.h"
#include "meros/store/stats.h"
#include "meros/store/store.h"

enum { BATCH = 2000, CURVE_PERIODS = 24 };

struct lives {
    struct clv_training *t;
    double lost[PERIODS_MAX], kept[PERIODS_MAX]; /* as sbg_fit wants them */
    size_t n;                                    /* periods with anything in them */
    double customers, too_young;
    int64_t excluded; /* customers without a start that reads as a time, or with an end before it */
    int64_t first, last;
};

static void count(struct lives *x, size_t period, bool lost, double n)
{
    if (period == 0 || n == 0) return;
    if (period > PERIODS_MAX) { /* who is older than all that is counted was kept that long */
        period = PERIODS_MAX;
        lost = false;
    }
    (lost ? x->lost : x->kept)[period - 1] += n;
    if (period > x->n) x->n = period;
}

static void add_cohorts(struct lives *x)
{
    const struct json *cohorts = x->t->params.cohorts;
    for (size_t i = 0; i < json_count(cohorts); i++) {
        const struct json *s = json_get(json_at(cohorts, i), "survivors");
        const size_t n = json_count(s);
        for (size_t k = 1; k < n; k++) count(x, k, true, json_num(json_at(s, k - 1)) - json_num(json_at(s, k)));
        count(x, n - 1, false, json_num(json_at(s, n - 1)));
        x->customers += json_num(json_at(s, 0));
    }
}

/* TIME_NONE: there is none. False: it is no time. */
static bool read_time(const struct json *attributes, struct str name, int64_t *out)
{
    const void *at = NULL;
    struct str key;
    const struct json *v;
    *out = TIME_NONE;
    while (attributes != NULL && json_next(attributes, &at, &key, &v)) {
        if (!str_eq(key, name)) continue;
        const struct str text = str_trim(json_str(v));
        if (json_kind(v) == JSON_KIND_NULL || (json_kind(v) == JSON_KIND_STRING && text.n == 0)) return true;
        return time_parse(text, out);
    }
    return true;
}

/* A contract that ends after k whole periods was not renewed at the end of the k-th; one that ends within a period was lost
 * with it. Who has not seen the end of a period yet says nothing. */
static void add_contract(struct lives *x, const struct json *attributes)
{
    const int64_t end_of_day = ((int64_t)day_of_time(x->t->base.at) + 1) * TIME_DAY;
    const double period = x->t->params.period_days * (double)TIME_DAY;
    int64_t start, end;
    const bool ok = read_time(attributes, x->t->params.start, &start) && read_time(attributes, x->t->params.end, &end);
    if (!ok || start == TIME_NONE || (end != TIME_NONE && end < start)) {
        x->excluded++;
        return;
    }
    if (start >= end_of_day) return;
    const bool lost = end != TIME_NONE && end < end_of_day;
    const double lived = (double)((lost ? end : end_of_day) - start) / period;
    /* Months and years are not all as long as the period: what ends a few days from its end ends with it. */
    const double slack = fmin(7.0 / x->t->params.period_days, 0.1);
    const double periods = lost ? fmax(1, ceil(lived - slack)) : floor(lived + slack);
    x->customers++;
    if (periods < 1) x->too_young++;
    count(x, (size_t)fmin(periods, PERIODS_MAX + 1), lost, 1);
    if (x->first == TIME_NONE || start < x->first) x->first = start;
    if (start > x->last) x->last = start;
}

static enum meros_code read_batch(struct lives *x, const int64_t *nos, size_t n, struct arena *arena, struct meros_err *err)
{
    struct customer_state *states = arena_array(arena, n, sizeof *states);
    enum meros_code rc = states == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.")
                                        : store_stats_live_by_no(x->t->base.conn, nos, n, arena, states, err);
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        struct json *attributes = NULL;
        if (!states[i].known) continue;
        rc = json_parse_stored(states[i].attributes.p, states[i].attributes.n, &attributes, err);
        if (rc == MEROS_OK) add_contract(x, attributes);
        json_free(attributes);
    }
    return rc;
}

static enum meros_code add_customers(struct lives *x, struct meros_err *err)
{
    struct clv_training *t = x->t;
    int64_t nos[BATCH], after = 0, expected = 0, done = 0;
    struct arena arena;
    size_t n = BATCH;
    enum meros_code rc = store_begin_snapshot(t->base.conn, err);
    if (rc != MEROS_OK) return rc;
    arena_init(&arena, 1u << 30);
    rc = store_customers_count(t->base.conn, &expected, err);
    while (rc == MEROS_OK && n > 0) {
        rc = store_customer_nos(t->base.conn, after, nos, BATCH, &n, err);
        if (rc == MEROS_OK && n > 0) rc = read_batch(x, nos, n, &arena, err);
        if (n > 0) after = nos[n - 1];
        done += (int64_t)n;
        arena_done(&arena);
        if (rc == MEROS_OK) rc = training_step(&t->base, 0.6 * (double)done / (double)(expected + 1), "extracting", err);
    }
    arena_done(&arena);
    store_rollback(t->base.conn); /* it was only read */
    return rc;
}

/* --- metrics */

static double per_period(const struct clv_params *p)
{
    return pow(1 + p->discount_rate, p->period_days / 365.25) - 1;
}

/* The curve of a customer from the start on, and what is still to come of one who has renewed so many times. */
static void write_curve(struct jsonw *w, const struct lives *x, const struct sbg *m)
{
    const double rate = per_period(&x->t->params);
    double alive = 0;
    for (size_t k = 0; k < x->n; k++) alive += x->lost[k] + x->kept[k];
    const size_t periods = x->n > CURVE_PERIODS ? x->n : CURVE_PERIODS;
    jsonw_key(w, "retention_curve");
    jsonw_begin_array(w);
    for (size_t k = 0; k <= periods; k++) {
        jsonw_begin_object(w);
        jsonw_kint(w, "period", (int64_t)k);
        jsonw_knum(w, "survival", sbg_survival(m, (double)k));
        jsonw_knum(w, "retention", k == 0 ? NAN : sbg_retention(m, (double)k));
        const double lost = k > 0 && k <= x->n ? x->lost[k - 1] : 0, seen = k > 0 && k <= x->n ? alive : 0;
        jsonw_knum(w, "observed_retention", seen > 0 ? 1 - lost / seen : NAN); /* of those of whom that period is known */
        if (k > 0 && k <= x->n) alive -= x->lost[k - 1] + x->kept[k - 1];
        const double still = sbg_remaining(m, (double)k, 0);
        jsonw_knum(w, "expected_remaining_periods", isfinite(still) ? still : NAN);
        jsonw_knum(w, "discounted_remaining_periods", rate > 0 || isfinite(still) ? sbg_remaining(m, (double)k, rate) : NAN);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_metrics(struct jsonw *w, const struct lives *x, const struct trained_clv *m, const struct mle_fit *f)
{
    const double still = sbg_remaining(&m->sbg, 0, 0), rate = per_period(&x->t->params);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "status", f->converged ? "converged" : "not_converged");
    jsonw_kbool(w, "converged", f->converged);
    jsonw_key(w, "parameters");
    jsonw_begin_object(w);
    jsonw_knum(w, "alpha", m->sbg.alpha);
    jsonw_knum(w, "beta", m->sbg.beta);
    jsonw_end_object(w);
    jsonw_key(w, "standard_errors");
    jsonw_begin_object(w);
    jsonw_knum(w, "alpha", f->standard_error[0]);
    jsonw_knum(w, "beta", f->standard_error[1]);
    jsonw_end_object(w);
    jsonw_knum(w, "log_likelihood", m->sbg_fit.log_likelihood);
    jsonw_key(w, "diagnostics");
    jsonw_begin_object(w);
    clv_write_fit(w, &m->sbg_fit);
    jsonw_end_object(w);
    jsonw_kint(w, "customers", (int64_t)(x->customers + 0.5));
    jsonw_key(w, "excluded");
    jsonw_begin_object(w);
    jsonw_kint(w, "customers", x->excluded);
    jsonw_kint(w, "too_young", (int64_t)x->too_young);
    jsonw_kcstr(w, "from", "retention: customers without a start that reads as a time or with an end before it, and those who have not "
                           "seen the end of a period yet");
    jsonw_end_object(w);
    jsonw_knum(w, "period_days", m->period_days);
    jsonw_knum(w, "discount_rate", x->t->params.discount_rate);
    jsonw_knum(w, "discount_rate_per_period", rate);
    /* Renewals still to come of a new customer; without discounting there is no end to them where alpha <= 1. */
    jsonw_knum(w, "expected_lifetime_periods", isfinite(still) ? 1 + still : NAN);
    jsonw_knum(w, "discounted_lifetime_periods", rate > 0 ? 1 + sbg_remaining(&m->sbg, 0, rate) / (1 + rate) : NAN);
    write_curve(w, x, &m->sbg);
    jsonw_key(w, "warnings");
    jsonw_begin_array(w);
    if (!f->converged)
        jsonw_cstr(w, "The parameters did not settle; the diagnostics say how far they came. There may be too few customers, or all "
                      "leave at the same rate.");
    jsonw_end_array(w);
    jsonw_end_object(w);
}

/* --- the model */

static enum meros_code make_model(struct lives *x, const struct mle_fit *f, double log_likelihood, struct meros_err *err)
{
    struct clv_training *t = x->t;
    struct trained_clv *m = trained_clv_new(true);
    if (m == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    m->sbg = (struct sbg){f->parameter[0], f->parameter[1]};
    m->sbg_fit = (struct clv_fitted){log_likelihood, f->gradient_norm, f->decrement, f->condition, f->evaluations, f->iterations,
                                     f->converged, f->at_bound};
    m->period_days = t->params.period_days;
    m->as_of = t->params.as_of;
    m->observed_to = day_of_time(t->base.at);
    m->data_from = x->first;
    m->data_to = x->last;
    m->rows = (uint64_t)(x->customers + 0.5);
    unsigned char parts[2 * SHA256_BYTES];
    crypto_sha256(x->lost, x->n * sizeof *x->lost, parts);
    crypto_sha256(x->kept, x->n * sizeof *x->kept, parts + SHA256_BYTES);
    crypto_sha256(parts, sizeof parts, m->row_hash);
    t->model = m;
    return MEROS_OK;
}

static enum meros_code fit(struct lives *x, struct meros_err *err)
{
    struct clv_training *t = x->t;
    struct mle_fit f;
    double log_likelihood = 0;
    if (x->customers - x->too_young <= 0)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "No customer has seen the end of a period of a contract yet (%lld have no start, \"%.*s\", that reads as a time).",
                       (long long)x->excluded, (int)t->params.start.n, str_present(t->params.start) ? t->params.start.p : "");
    enum meros_code rc = sbg_fit(x->lost, x->kept, x->n, NULL, &f, &log_likelihood, err);
    if (rc == MEROS_OK) rc = make_model(x, &f, log_likelihood, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw w;
    jsonw_init(&w, &t->base.metrics);
    write_metrics(&w, x, t->model, &f);
    buf_str(&t->base.features, "[]");
    return MEROS_OK;
}

enum meros_code clv_train_contract(struct clv_training *t, struct meros_err *err)
{
    struct lives *x = calloc(1, sizeof *x);
    if (x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    x->t = t;
    x->first = x->last = TIME_NONE;
    enum meros_code rc = MEROS_OK;
    if (t->params.cohorts != NULL) add_cohorts(x);
    else rc = add_customers(x, err);
    if (rc == MEROS_OK) rc = training_step(&t->base, 0.7, "fitting", err);
    if (rc == MEROS_OK) rc = fit(x, err);
    free(x);
    return rc;
}
