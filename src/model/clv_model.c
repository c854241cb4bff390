#include "meros/model/clv_model.h"

#include <math.h>
#include <stdlib.h>

#include "meros/base/clock.h"

/* Standard deviations: beyond it nobody was whom the coefficients were learnt from. */
#define COVARIATE_MAX 10.0

struct trained_clv *trained_clv_new(bool contract)
{
    struct trained_clv *m = calloc(1, sizeof *m);
    if (m == NULL) return NULL;
    m->contract = contract;
    (void)str_copy(m->name, sizeof m->name, contract ? STR(TRAINED_CONTRACT_NAME) : STR(TRAINED_CLV_NAME));
    m->as_of = m->trained_at = m->data_from = m->data_to = TIME_NONE;
    return m;
}

void trained_clv_free(struct trained_clv *m)
{
    if (m == NULL) return;
    prep_done(&m->prep);
    free(m);
}

const char *trained_clv_algorithm(const struct trained_clv *m)
{
    return m->contract ? "sbg" : clv_kind_name(m->model.purchase.kind);
}

bool trained_clv_converged(const struct trained_clv *m)
{
    if (m->contract) return m->sbg_fit.converged;
    return m->model.purchase.fit.converged && (m->model.spend.kind != CLV_SPEND_GAMMA_GAMMA || m->model.spend.fit.converged);
}

int32_t trained_clv_day(const struct trained_clv *m, const struct purchase_day *days, size_t n, int64_t at, int64_t now)
{
    if (at != TIME_NONE) return day_of_time(at);
    if (m->as_of == TIME_NONE) return day_of_time(now);
    const int32_t then = day_of_time(m->as_of), last = purchase_days_last(days, n, then);
    return last > then ? last : then;
}

void trained_clv_covariates(const struct trained_clv *m, const struct json *attributes, double *out)
{
    struct prep_values values;
    prep_read_json(&m->prep, attributes, &values);
    for (size_t j = 0; j < m->prep.n_columns; j++) out[j] = trained_clv_covariate(&m->prep, j, &values);
}

double trained_clv_covariate(const struct prep *p, size_t column, const struct prep_values *values)
{
    static const float none[FEATURE_COUNT];
    const struct prep_column *c = &p->columns[column];
    if (c->kind != PREP_NUMBER && values->level[c->source] < 0) return NAN;
    const double v = prep_column_raw(p, column, none, values);
    if (c->kind != PREP_NUMBER) return v;
    /* A live value may lie anywhere; what is made of it stays finite. */
    return isnan(v) ? NAN : fmax(-COVARIATE_MAX, fmin(COVARIATE_MAX, (feature_transform(c->transform, v) - c->center) / c->scale));
}

struct clv_history trained_clv_history(const struct purchase_history *h, const double *covariates)
{
    return (struct clv_history){.x = h->x, .t_x = h->t_x, .t = h->t, .mean_value = h->mean_value, .value_days = h->valued,
                                .covariates = covariates};
}
