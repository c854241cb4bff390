#include "meros/ml/clv_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "clv_score_priv.h"
#include "meros/ml/matrix.h"
#include "meros/ml/purchases.h"

/* At once: between two looks at whether to go on. */
enum { CUSTOMERS_PER_PART = 256, PARTS_AT_ONCE = 16 };

/* --- hold-out */

/* A customer's share of every sum. */
struct sums {
    double actual, expected, naive;
    double error, square, naive_error, naive_square;
    struct clv_class by_frequency[CLV_CLASSES];
    double actual_value, expected_value, naive_value, value_error, naive_value_error;
    double covered, counted;
};

struct evaluation {
    const struct clv_model *m;
    const struct clv_holdout_data *h;
    double *orders, *value; /* expected of each customer; value NULL: not asked for */
    size_t stride; /* every so many customers for the coverage */
    size_t first;  /* of the parts under way */
    struct sums parts[PARTS_AT_ONCE];
};

static struct clv_history history_of(const struct clv_data *d, size_t i)
{
    return (struct clv_history){
        .x = d->x[i], .t_x = d->t_x[i], .t = d->t[i],
        .mean_value = d->mean_value != NULL ? d->mean_value[i] : 0, .value_days = d->value_days != NULL ? d->value_days[i] : 0,
        .covariates = d->covariates != NULL ? d->covariates + i * (size_t)d->n_covariates : NULL,
    };
}

static void add_coverage(const struct evaluation *e, size_t i, struct sums *s)
{
    const struct clv_holdout_data *h = e->h;
    const struct clv_history history = history_of(&h->data, i);
    struct clv_answer a;
    clv_score(e->m, &(struct clv_question){.horizon_days = h->days, .annual_rate = 0, .level = h->level}, &history, &a);
    s->counted++;
    s->covered += h->value[i] >= a.low && h->value[i] <= a.high;
}

static void add_customer(const struct evaluation *e, size_t i, struct sums *s)
{
    const struct clv_holdout_data *h = e->h;
    const struct clv_history history = history_of(&h->data, i);
    const double actual = h->orders[i], expected = e->orders[i], naive = history.t > 0 ? history.x / history.t * h->days : 0;
    struct clv_class *c = &s->by_frequency[history.x < CLV_CLASSES - 1 ? (int)history.x : CLV_CLASSES - 1];
    c->customers++;
    c->actual += actual;
    c->expected += expected;
    c->naive += naive;
    s->actual += actual;
    s->expected += expected;
    s->naive += naive;
    s->error += fabs(expected - actual);
    s->square += (expected - actual) * (expected - actual);
    s->naive_error += fabs(naive - actual);
    s->naive_square += (naive - actual) * (naive - actual);
    if (h->value == NULL) return;
    const double naive_value = naive * (history.value_days > 0 && history.mean_value > 0 ? history.mean_value : e->m->spend.mean);
    s->actual_value += h->value[i];
    s->expected_value += e->value[i];
    s->naive_value += naive_value;
    s->value_error += fabs(e->value[i] - h->value[i]);
    s->naive_value_error += fabs(naive_value - h->value[i]);
    if (i % e->stride == 0 && h->level > 0) add_coverage(e, i, s);
}

static void add_customers(void *arg, size_t part, int worker)
{
    struct evaluation *e = arg;
    const size_t from = (e->first + part) * CUSTOMERS_PER_PART, n = e->h->data.n;
    const size_t to = from + CUSTOMERS_PER_PART < n ? from + CUSTOMERS_PER_PART : n;
    (void)worker;
    e->parts[part] = (struct sums){0};
    for (size_t i = from; i < to; i++) add_customer(e, i, &e->parts[part]);
}

/* struct sums is doubles and nothing else. */
static void add_sums(struct sums *to, const struct sums *from)
{
    enum { N = sizeof *to / sizeof(double) };
    double a[N], b[N];
    _Static_assert(sizeof a == sizeof *to, "sums are doubles");
    memcpy(a, to, sizeof a);
    memcpy(b, from, sizeof b);
    for (size_t i = 0; i < N; i++) a[i] += b[i];
    memcpy(to, a, sizeof a);
}

static void settle(const struct sums *s, const struct clv_holdout_data *h, const struct clv_model *m, struct clv_holdout *out)
{
    const double n = (double)h->data.n;
    const bool values = h->value != NULL && m->spend.kind != CLV_SPEND_NONE;
    *out = (struct clv_holdout){
        .customers = n, .days = h->days,
        .actual_orders = s->actual, .expected_orders = s->expected, .naive_orders = s->naive,
        .mae = s->error / n, .rmse = sqrt(s->square / n), .naive_mae = s->naive_error / n, .naive_rmse = sqrt(s->naive_square / n),
        .actual_value = h->value != NULL ? s->actual_value : NAN,
        .expected_value = values ? s->expected_value : NAN, .naive_value = values ? s->naive_value : NAN,
        .value_mae = values ? s->value_error / n : NAN, .naive_value_mae = values ? s->naive_value_error / n : NAN,
        .coverage = values && s->counted > 0 ? s->covered / s->counted : NAN, .coverage_customers = values ? s->counted : 0,
    };
    for (int c = 0; c < CLV_CLASSES; c++) {
        const struct clv_class *k = &s->by_frequency[c];
        const double customers = fmax(k->customers, 1);
        out->by_frequency[c] = (struct clv_class){k->customers, k->actual / customers, k->expected / customers, k->naive / customers};
    }
}

static enum meros_code add_all(struct evaluation *e, const struct ml_run *run, struct sums *all, struct meros_err *err)
{
    const size_t parts = (e->h->data.n + CUSTOMERS_PER_PART - 1) / CUSTOMERS_PER_PART;
    for (; e->first < parts; e->first += PARTS_AT_ONCE) {
        const size_t some = parts - e->first < PARTS_AT_ONCE ? parts - e->first : PARTS_AT_ONCE;
        enum meros_code rc = ml_run_check(run, 1, "comparing with the hold-out", err);
        if (rc != MEROS_OK) return rc;
        parallel_for(ml_run_pool(run), some, add_customers, e);
        for (size_t k = 0; k < some; k++) add_sums(all, &e->parts[k]);
    }
    return MEROS_OK;
}

enum meros_code clv_evaluate(const struct clv_model *m, const struct clv_holdout_data *h, const struct ml_run *run,
                             struct clv_holdout *out, struct meros_err *err)
{
    const size_t n = h->data.n;
    if (n == 0) return err_set(err, MEROS_UNPROCESSABLE, "There is no customer to compare expectations with.");
    if (!(h->days > 0 && h->days <= CLV_HORIZON_MAX_DAYS))
        return err_set(err, MEROS_UNPROCESSABLE, "The hold-out must be longer than nothing and at most %g days.", CLV_HORIZON_MAX_DAYS);
    struct evaluation e = {.m = m, .h = h, .stride = (n + CLV_COVERAGE_MAX - 1) / CLV_COVERAGE_MAX};
    struct sums all = {0};
    enum meros_code rc = MEROS_OK;
    e.orders = ml_alloc_raw(n, sizeof *e.orders);
    e.value = h->value != NULL ? ml_alloc_raw(n, sizeof *e.value) : NULL;
    if (e.orders == NULL || (h->value != NULL && e.value == NULL)) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the hold-out.");
    if (rc == MEROS_OK)
        rc = clv_score_all(m, &(struct clv_question){h->days, 0, 0}, &h->data, run, &(struct clv_scores){.expected_orders = e.orders, .clv = e.value}, err);
    if (rc == MEROS_OK) rc = add_all(&e, run, &all, err);
    if (rc == MEROS_OK) settle(&all, h, m, out);
    free(e.orders);
    free(e.value);
    return rc;
}

/* --- tracking. Of equal covariates, what a new customer is expected to have bought by an age is one curve; those of them with
 * the same t are one cohort. */

struct cohort {
    uint32_t stratum;
    double t, customers;
};

struct tracking {
    const struct clv_model *m;
    const double *z;         /* (strata, n_covariates); NULL: one stratum */
    const struct cohort *cohorts;
    const size_t *begin;     /* (n_lines + 1) the first cohort of each line; a line is the cohorts of one stratum */
    size_t n_lines, n_steps, n_days;
    double longest;
    double *parts;           /* (n_lines, n_steps) */
    double *curves;          /* (threads, n_days): NaN where it was not needed yet */
    size_t first;
};

static size_t step_end(size_t n_days, size_t step)
{
    return (step + 1) * CLV_TRACKING_DAYS < n_days - 1 ? (step + 1) * CLV_TRACKING_DAYS : n_days - 1;
}

static void track_line(void *arg, size_t part, int worker)
{
    const struct tracking *k = arg;
    const size_t line = k->first + part, width = (size_t)k->m->purchase.n_covariates;
    const struct clv_history new = {.covariates = k->z != NULL ? k->z + k->cohorts[k->begin[line]].stratum * width : NULL};
    double *sums = k->parts + line * k->n_steps, *curve = k->curves + (size_t)worker * k->n_days;
    for (size_t age = 0; age < k->n_days; age++) curve[age] = NAN;
    for (size_t c = k->begin[line]; c < k->begin[line + 1]; c++) {
        const size_t born = (size_t)(k->longest - k->cohorts[c].t + 0.5);
        for (size_t s = 0; s < k->n_steps; s++) {
            const size_t end = step_end(k->n_days, s);
            if (end <= born) continue;
            double *expected = &curve[end - born];
            if (isnan(*expected)) *expected = clv_if_active(&k->m->purchase, &(struct clv_question){(double)(end - born), 0, 0}, &new).orders;
            sums[s] += k->cohorts[c].customers * *expected;
        }
    }
}

static int by_stratum(const void *a, const void *b)
{
    const struct cohort *x = a, *y = b;
    if (x->stratum != y->stratum) return x->stratum < y->stratum ? -1 : 1;
    return x->t < y->t ? -1 : x->t > y->t;
}

/* Of more distinct covariates than can be followed, every so many customers stand for the rest. */
static size_t make_cohorts(const struct clv_data *d, const uint32_t *stratum, size_t n_strata, struct cohort *out)
{
    size_t n = 0, kept = 0;
    const size_t stride = n_strata > CLV_TRACKING_MAX ? (d->n + CLV_TRACKING_MAX - 1) / CLV_TRACKING_MAX : 1;
    for (size_t i = 0; i < d->n; i += stride)
        out[n++] = (struct cohort){stratum != NULL ? stratum[i] : 0, d->t[i], (double)(d->n - i < stride ? d->n - i : stride)};
    qsort(out, n, sizeof *out, by_stratum);
    for (size_t i = 0; i < n; i++) {
        if (kept > 0 && by_stratum(&out[kept - 1], &out[i]) == 0) out[kept - 1].customers += out[i].customers;
        else out[kept++] = out[i];
    }
    return kept;
}

size_t clv_tracking_steps(size_t n_days)
{
    return n_days <= 1 ? 0 : (n_days - 2) / CLV_TRACKING_DAYS + 1;
}

static void cumulate(const struct tracking *k, const double *daily, struct clv_tracking_step *out)
{
    size_t day = 0;
    double seen = 0;
    for (size_t s = 0; s < k->n_steps; s++) {
        const size_t end = step_end(k->n_days, s);
        double expected = 0;
        for (size_t p = 0; p < k->n_lines; p++) expected += k->parts[p * k->n_steps + s];
        for (; day <= end; day++) seen += daily[day];
        out[s] = (struct clv_tracking_step){(double)end, expected, seen, (double)end > k->longest};
    }
}

/* What tracking takes: all of it freed by its caller. */
struct tracking_memory {
    double *z, *parts, *curves;
    uint32_t *stratum;
    struct cohort *cohorts;
    size_t *begin;
};

static enum meros_code prepare_tracking(struct tracking *k, struct tracking_memory *my, const struct clv_data *d, const struct ml_run *run,
                                        struct meros_err *err)
{
    const size_t width = d->covariates != NULL ? (size_t)k->m->purchase.n_covariates : 0;
    size_t n_strata = 1;
    my->cohorts = ml_alloc_raw(d->n, sizeof *my->cohorts);
    if (width > 0) {
        my->z = ml_alloc_raw(d->n * width, sizeof *my->z);
        my->stratum = ml_alloc_raw(d->n, sizeof *my->stratum);
        if (my->z == NULL || my->stratum == NULL) goto no_memory;
        memcpy(my->z, d->covariates, d->n * width * sizeof *my->z);
        enum meros_code rc = purchases_strata(my->z, d->n, (int)width, my->stratum, &n_strata, err);
        if (rc != MEROS_OK) return rc;
    }
    if (my->cohorts == NULL) goto no_memory;
    const size_t n = make_cohorts(d, my->stratum, n_strata, my->cohorts);
    for (size_t c = 0; c < n; c++) k->n_lines += c == 0 || my->cohorts[c].stratum != my->cohorts[c - 1].stratum;
    my->begin = ml_alloc(k->n_lines + 1, sizeof *my->begin);
    my->parts = ml_alloc(k->n_lines * k->n_steps, sizeof *my->parts);
    my->curves = ml_alloc_raw((size_t)ml_pool_threads(ml_run_pool(run)) * k->n_days, sizeof *my->curves);
    if (my->begin == NULL || my->parts == NULL || my->curves == NULL) goto no_memory;
    for (size_t c = 0, line = 0; c < n; c++)
        if (c + 1 == n || my->cohorts[c].stratum != my->cohorts[c + 1].stratum) my->begin[++line] = c + 1;
    for (size_t i = 0; i < d->n; i++) k->longest = fmax(k->longest, d->t[i]);
    k->z = my->z;
    k->cohorts = my->cohorts;
    k->begin = my->begin;
    k->parts = my->parts;
    k->curves = my->curves;
    return MEROS_OK;
no_memory:
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for following purchases.");
}

enum meros_code clv_tracking(const struct clv_purchase_model *m, const struct clv_data *d, const double *daily, size_t n_days,
                             const struct ml_run *run, struct clv_tracking_step *out, struct meros_err *err)
{
    enum { LINES_AT_ONCE = 32 };
    const struct clv_model whole = {.purchase = *m, .spend = {.kind = CLV_SPEND_NONE}};
    struct tracking k = {.m = &whole, .n_steps = clv_tracking_steps(n_days), .n_days = n_days};
    struct tracking_memory my = {0};
    if (k.n_steps == 0) return MEROS_OK;
    enum meros_code rc = prepare_tracking(&k, &my, d, run, err);
    for (; rc == MEROS_OK && k.first < k.n_lines; k.first += LINES_AT_ONCE) {
        rc = ml_run_check(run, (double)k.first / (double)k.n_lines, "following the purchases week by week", err);
        if (rc == MEROS_OK)
            parallel_for(ml_run_pool(run), k.n_lines - k.first < LINES_AT_ONCE ? k.n_lines - k.first : LINES_AT_ONCE, track_line, &k);
    }
    if (rc == MEROS_OK) cumulate(&k, daily, out);
    free(my.z);
    free(my.parts);
    free(my.curves);
    free(my.stratum);
    free(my.cohorts);
    free(my.begin);
    return rc;
}

/* --- which one */

static const char *in_words(enum clv_kind k)
{
    static const char *const names[CLV_KINDS] = {"BG/NBD", "MBG/NBD", "Pareto/NBD"};
    return names[k];
}

static double aic(const struct clv_candidate *c)
{
    return 2 * c->n_parameters - 2 * c->fit.log_likelihood;
}

enum why { ONLY, CONVERGED, RMSE, LIKELIHOOD };

/* Whether b is better than a, and by what. */
static bool better(const struct clv_candidate *a, const struct clv_candidate *b, enum why *why)
{
    if (a->fit.converged != b->fit.converged) {
        *why = CONVERGED;
        return b->fit.converged;
    }
    if (isfinite(a->rmse) && isfinite(b->rmse) && fabs(a->rmse - b->rmse) > CLV_RMSE_ALIKE * fmin(a->rmse, b->rmse)) {
        *why = RMSE;
        return b->rmse < a->rmse;
    }
    *why = LIKELIHOOD;
    return aic(b) < aic(a);
}

int clv_choose(const struct clv_candidate *candidates, int n, char reason[CLV_REASON_MAX])
{
    int best = 0, second = -1;
    enum why why = ONLY;
    for (int i = 1; i < n; i++)
        if (better(&candidates[best], &candidates[i], &why)) best = i;
    for (int i = 0; i < n; i++)
        if (i != best && (second < 0 || better(&candidates[second], &candidates[i], &why))) second = i;
    const struct clv_candidate *a = &candidates[best], *b = second < 0 ? NULL : &candidates[second];
    if (b == NULL) {
        snprintf(reason, CLV_REASON_MAX, "%s was the only candidate.", in_words(a->kind));
        return best;
    }
    better(b, a, &why);
    if (why == CONVERGED)
        snprintf(reason, CLV_REASON_MAX, "%s was chosen: its fit converged, that of %s did not.", in_words(a->kind), in_words(b->kind));
    else if (why == RMSE)
        snprintf(reason, CLV_REASON_MAX, "%s was chosen: in the hold-out its error (RMSE) was %.4g purchases a customer, the next, %s, came to %.4g.",
                 in_words(a->kind), a->rmse, in_words(b->kind), b->rmse);
    else
        snprintf(reason, CLV_REASON_MAX, "%s was chosen for its likelihood (log-likelihood %.2f; %s: %.2f)%s.", in_words(a->kind),
                 a->fit.log_likelihood, in_words(b->kind), b->fit.log_likelihood,
                 isfinite(a->rmse) && isfinite(b->rmse) ? "; their hold-out errors hardly differ" : "; there was no hold-out");
    return best;
}
