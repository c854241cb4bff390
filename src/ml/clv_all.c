#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "clv_score_priv.h"
#include "meros/ml/matrix.h"
#include "meros/ml/purchases.h"

/* Customers of equal covariates, x and t expect the same while active, those of equal t_x besides are as likely to be: the
 * first is what costs, of a model that did not converge up to a tenth of a millisecond, and a million customers have some
 * thousands of (x, t). */

/* At once: between two looks at whether to go on. */
enum { PER_PART = 64, PARTS_AT_ONCE = 64, CUSTOMERS_PER_PART = 8192 };

struct scoring {
    const struct clv_model *m;
    const struct clv_data *d;
    const struct clv_scores *out;
    struct clv_question q;
    int n_covariates;
    double *z;                /* of strata: n_covariates each; NULL: none */
    uint32_t *stratum_of;     /* of customers; NULL: there is one only */
    struct purchases alike;   /* (x, t_x, t) */
    uint32_t *alike_of;       /* of customers */
    struct purchases futures; /* (x, t) */
    uint32_t *future_of;      /* of those alike */
    double *alive;            /* of those alike */
    struct clv_active *active; /* of futures */
    size_t first;             /* the part that the others are counted from */
};

static size_t end_of(size_t part, size_t n, size_t per_part)
{
    return (part + 1) * per_part < n ? (part + 1) * per_part : n;
}

static struct clv_history history_of(const struct scoring *s, const struct purchases *p, size_t i)
{
    const uint32_t stratum = p->x_stratum != NULL ? p->x_stratum[p->x[i]] : 0;
    return (struct clv_history){.x = p->xs[p->x[i]], .t_x = p->t_xs[p->t_x[i]], .t = p->ts[p->t[i]],
                                .covariates = s->z != NULL ? s->z + stratum * (size_t)s->n_covariates : NULL};
}

static void find_alive(void *arg, size_t part, int worker)
{
    struct scoring *s = arg;
    (void)worker;
    part += s->first;
    for (size_t i = part * PER_PART; i < end_of(part, s->alike.n, PER_PART); i++) {
        const struct clv_history h = history_of(s, &s->alike, i);
        s->alive[i] = clv_alive(&s->m->purchase, &h);
    }
}

static void find_active(void *arg, size_t part, int worker)
{
    struct scoring *s = arg;
    (void)worker;
    part += s->first;
    for (size_t i = part * PER_PART; i < end_of(part, s->futures.n, PER_PART); i++) {
        const struct clv_history h = history_of(s, &s->futures, i);
        s->active[i] = clv_if_active(&s->m->purchase, &s->q, &h);
    }
}

static void put(double *column, size_t i, double v)
{
    if (column != NULL) column[i] = v;
}

static void score_customers(void *arg, size_t part, int worker)
{
    const struct scoring *s = arg;
    const struct clv_data *d = s->d;
    (void)worker;
    for (size_t i = part * CUSTOMERS_PER_PART; i < end_of(part, d->n, CUSTOMERS_PER_PART); i++) {
        const uint32_t alike = s->alike_of[i];
        const double alive = s->alive[alike];
        const struct clv_active *a = &s->active[s->future_of[alike]];
        const double value = clv_order_value(&s->m->spend, d->mean_value != NULL ? d->mean_value[i] : 0, d->value_days != NULL ? d->value_days[i] : 0);
        put(s->out->p_alive, i, alive);
        put(s->out->expected_orders, i, alive * a->orders);
        put(s->out->expected_order_value, i, value);
        put(s->out->clv, i, alive * a->discounted * value);
    }
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for scoring customers.");
}

static enum meros_code make_strata(struct scoring *s, struct meros_err *err)
{
    const size_t n = s->d->n, k = (size_t)s->n_covariates;
    size_t strata;
    s->z = ml_alloc_raw(n * k, sizeof *s->z);
    s->stratum_of = ml_alloc_raw(n, sizeof *s->stratum_of);
    if (s->z == NULL || s->stratum_of == NULL) return no_memory(err);
    memcpy(s->z, s->d->covariates, n * k * sizeof *s->z);
    return purchases_strata(s->z, n, s->n_covariates, s->stratum_of, &strata, err);
}

/* Histories that differ in t_x only are made the same: as if the last purchase had been at the end. */
static enum meros_code group_futures(struct scoring *s, const struct ml_run *run, struct meros_err *err)
{
    const struct purchases *a = &s->alike;
    double *x = ml_alloc_raw(a->n, sizeof *x), *t_x = ml_alloc_raw(a->n, sizeof *t_x), *t = ml_alloc_raw(a->n, sizeof *t);
    uint32_t *stratum = ml_alloc_raw(a->n, sizeof *stratum);
    s->future_of = ml_alloc_raw(a->n, sizeof *s->future_of);
    enum meros_code rc = MEROS_OK;
    if (x == NULL || t_x == NULL || t == NULL || stratum == NULL || s->future_of == NULL) rc = no_memory(err);
    for (size_t i = 0; i < a->n && rc == MEROS_OK; i++) {
        x[i] = a->xs[a->x[i]];
        t[i] = a->ts[a->t[i]];
        t_x[i] = x[i] > 0 ? t[i] : 0;
        stratum[i] = a->x_stratum != NULL ? a->x_stratum[a->x[i]] : 0;
    }
    if (rc == MEROS_OK)
        rc = purchases_group_strata(x, t_x, t, a->x_stratum != NULL ? stratum : NULL, a->n, run, &s->futures, s->future_of, err);
    free(x);
    free(t_x);
    free(t);
    free(stratum);
    return rc;
}

/* fn for all parts of n; of what is to be done `before` of `all` is behind. */
static enum meros_code in_portions(struct scoring *s, size_t n, void (*fn)(void *arg, size_t part, int worker), double before, double all,
                                   const struct ml_run *run, struct meros_err *err)
{
    const size_t parts = (n + PER_PART - 1) / PER_PART;
    for (s->first = 0; s->first < parts; s->first += PARTS_AT_ONCE) {
        enum meros_code rc = ml_run_check(run, (before + (double)(s->first * PER_PART)) / all, "scoring", err);
        if (rc != MEROS_OK) return rc;
        parallel_for(ml_run_pool(run), parts - s->first < PARTS_AT_ONCE ? parts - s->first : PARTS_AT_ONCE, fn, s);
    }
    return MEROS_OK;
}

static enum meros_code score(struct scoring *s, const struct ml_run *run, struct meros_err *err)
{
    const struct clv_data *d = s->d;
    enum meros_code rc = s->n_covariates > 0 ? make_strata(s, err) : MEROS_OK;
    s->alike_of = ml_alloc_raw(d->n, sizeof *s->alike_of);
    if (rc == MEROS_OK && s->alike_of == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) rc = purchases_group_strata(d->x, d->t_x, d->t, s->stratum_of, d->n, run, &s->alike, s->alike_of, err);
    if (rc == MEROS_OK) rc = group_futures(s, run, err);
    if (rc != MEROS_OK) return rc;
    s->alive = ml_alloc_raw(s->alike.n, sizeof *s->alive);
    s->active = ml_alloc_raw(s->futures.n, sizeof *s->active);
    if (s->alive == NULL || s->active == NULL) return no_memory(err);
    const double all = (double)(s->alike.n + s->futures.n) + 1;
    rc = in_portions(s, s->futures.n, find_active, 0, all, run, err);
    if (rc == MEROS_OK) rc = in_portions(s, s->alike.n, find_alive, (double)s->futures.n, all, run, err);
    if (rc == MEROS_OK) parallel_for(ml_run_pool(run), (d->n + CUSTOMERS_PER_PART - 1) / CUSTOMERS_PER_PART, score_customers, s);
    return rc;
}

enum meros_code clv_score_all(const struct clv_model *m, const struct clv_question *q, const struct clv_data *d, const struct ml_run *run,
                              const struct clv_scores *out, struct meros_err *err)
{
    struct scoring s = {.m = m, .d = d, .out = out, .q = {q->horizon_days, q->annual_rate, 0},
                        .n_covariates = d->covariates != NULL ? m->purchase.n_covariates : 0};
    enum meros_code rc = clv_question_check(q, err);
    if (rc == MEROS_OK && s.n_covariates > 0 && d->n_covariates != s.n_covariates)
        rc = err_set(err, MEROS_UNPROCESSABLE, "The model has %d covariates, the customers %d.", s.n_covariates, d->n_covariates);
    if (rc == MEROS_OK) rc = score(&s, run, err);
    free(s.alive);
    free(s.active);
    free(s.alike_of);
    free(s.future_of);
    free(s.stratum_of);
    free(s.z);
    purchases_done(&s.alike);
    purchases_done(&s.futures);
    return rc;
}
