#include "meros/ml/clv.h"

#include <math.h>
#include <stdlib.h>
#include "meros/ml/matrix.h"
#include "meros/ml/purchases.h"

enum { PER_PART = 1024 };

struct future {
    double p_alive, orders, discounted;
};

struct scoring {
    const struct clv_model *m;
    const struct clv_data *d;
    const struct clv_scores *out;
    struct clv_question q;
    struct purchases groups; /* equal histories; none with covariates */
    uint32_t *group_of;
    struct future *futures; /* of groups */
};

static size_t end_of(size_t part, size_t n)
{
    return (part + 1) * PER_PART < n ? (part + 1) * PER_PART : n;
}

static void put(double *column, size_t i, double v)
{
    if (column != NULL) column[i] = v;
}

static void score_groups(void *arg, size_t part, int worker)
{
    const struct scoring *s = arg;
    const struct purchases *g = &s->groups;
    /* A purchase is worth 1: what comes out as value are discounted purchases. */
    const struct clv_model worth_1 = {.purchase = s->m->purchase, .spend = {.kind = CLV_SPEND_MEAN, .mean = 1}};
    (void)worker;
    for (size_t i = part * PER_PART; i < end_of(part, g->n); i++) {
        const struct clv_history h = {.x = g->xs[g->x[i]], .t_x = g->t_xs[g->t_x[i]], .t = g->ts[g->t[i]]};
        struct clv_answer a;
        clv_score(&worth_1, &s->q, &h, &a);
        s->futures[i] = (struct future){a.p_alive, a.expected_orders, a.clv};
    }
}

static void score_values(void *arg, size_t part, int worker)
{
    const struct scoring *s = arg;
    const struct clv_data *d = s->d;
    (void)worker;
    for (size_t i = part * PER_PART; i < end_of(part, d->n); i++) {
        const struct future *f = &s->futures[s->group_of[i]];
        const double value = clv_order_value(&s->m->spend, d->mean_value != NULL ? d->mean_value[i] : 0, d->value_days != NULL ? d->value_days[i] : 0);
        put(s->out->p_alive, i, f->p_alive);
        put(s->out->expected_orders, i, f->orders);
        put(s->out->expected_order_value, i, value);
        put(s->out->clv, i, f->discounted * value);
    }
}

static void score_each(void *arg, size_t part, int worker)
{
    const struct scoring *s = arg;
    const struct clv_data *d = s->d;
    (void)worker;
    for (size_t i = part * PER_PART; i < end_of(part, d->n); i++) {
        const struct clv_history h = {
            .x = d->x[i], .t_x = d->t_x[i], .t = d->t[i], .covariates = d->covariates + i * (size_t)d->n_covariates,
            .mean_value = d->mean_value != NULL ? d->mean_value[i] : 0, .value_days = d->value_days != NULL ? d->value_days[i] : 0};
        struct clv_answer a;
        clv_score(s->m, &s->q, &h, &a);
        put(s->out->p_alive, i, a.p_alive);
        put(s->out->expected_orders, i, a.expected_orders);
        put(s->out->expected_order_value, i, a.expected_order_value);
        put(s->out->clv, i, a.clv);
    }
}

enum meros_code clv_score_all(const struct clv_model *m, const struct clv_question *q, const struct clv_data *d, const struct ml_run *run,
                              const struct clv_scores *out, struct meros_err *err)
{
    struct scoring s = {.m = m, .d = d, .out = out, .q = {q->horizon_days, q->annual_rate, 0}};
    const size_t parts = (d->n + PER_PART - 1) / PER_PART;
    enum meros_code rc = clv_question_check(q, err);
    if (rc == MEROS_OK) rc = ml_run_check(run, 0, "scoring", err);
    if (rc != MEROS_OK) return rc;
    if (m->purchase.n_covariates > 0 && d->covariates != NULL) {
        if (d->n_covariates != m->purchase.n_covariates)
            return err_set(err, MEROS_UNPROCESSABLE, "The model has %d covariates, the customers %d.", m->purchase.n_covariates, d->n_covariates);
        parallel_for(ml_run_pool(run), parts, score_each, &s);
        return MEROS_OK;
    }
    s.group_of = ml_alloc_raw(d->n, sizeof *s.group_of);
    if (s.group_of == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for scoring customers.");
    if (rc == MEROS_OK) rc = purchases_group(d->x, d->t_x, d->t, d->n, run, &s.groups, s.group_of, err);
    if (rc == MEROS_OK) {
        s.futures = ml_alloc_raw(s.groups.n, sizeof *s.futures);
        if (s.futures == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for scoring customers.");
    }
    if (rc == MEROS_OK) {
        parallel_for(ml_run_pool(run), (s.groups.n + PER_PART - 1) / PER_PART, score_groups, &s);
        parallel_for(ml_run_pool(run), parts, score_values, &s);
    }
    free(s.futures);
    free(s.group_of);
    purchases_done(&s.groups);
    return rc;
}
