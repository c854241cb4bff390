#include "meros/ml/clv_eval.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/ml/matrix.h"

/* At once: between two looks at whether to go on; of a model that did not converge a customer may take a millisecond. */
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

static void add_customer(const struct evaluation *e, size_t i, struct sums *s)
{
    const struct clv_holdout_data *h = e->h;
    const struct clv_history history = history_of(&h->data, i);
    const bool cover = h->value != NULL && i % e->stride == 0 && h->level > 0;
    const struct clv_question q = {.horizon_days = h->days, .annual_rate = 0, .level = cover ? h->level : 0};
    const double actual = h->orders[i], naive = history.t > 0 ? history.x / history.t * h->days : 0;
    struct clv_answer a;
    clv_score(e->m, &q, &history, &a);
    struct clv_class *c = &s->by_frequency[history.x < CLV_CLASSES - 1 ? (int)history.x : CLV_CLASSES - 1];
    c->customers++;
    c->actual += actual;
    c->expected += a.expected_orders;
    c->naive += naive;
    s->actual += actual;
    s->expected += a.expected_orders;
    s->naive += naive;
    s->error += fabs(a.expected_orders - actual);
    s->square += (a.expected_orders - actual) * (a.expected_orders - actual);
    s->naive_error += fabs(naive - actual);
    s->naive_square += (naive - actual) * (naive - actual);
    if (h->value == NULL) return;
    const double naive_value = naive * (history.value_days > 0 && history.mean_value > 0 ? history.mean_value : e->m->spend.mean);
    s->actual_value += h->value[i];
    s->expected_value += a.clv;
    s->naive_value += naive_value;
    s->value_error += fabs(a.clv - h->value[i]);
    s->naive_value_error += fabs(naive_value - h->value[i]);
    if (!cover) return;
    s->counted++;
    s->covered += h->value[i] >= a.low && h->value[i] <= a.high;
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

enum meros_code clv_evaluate(const struct clv_model *m, const struct clv_holdout_data *h, const struct ml_run *run,
                             struct clv_holdout *out, struct meros_err *err)
{
    const size_t n = h->data.n, parts = (n + CUSTOMERS_PER_PART - 1) / CUSTOMERS_PER_PART;
    if (n == 0) return err_set(err, MEROS_UNPROCESSABLE, "There is no customer to compare expectations with.");
    if (!(h->days > 0 && h->days <= CLV_HORIZON_MAX_DAYS))
        return err_set(err, MEROS_UNPROCESSABLE, "The hold-out must be longer than nothing and at most %g days.", CLV_HORIZON_MAX_DAYS);
    struct evaluation e = {.m = m, .h = h, .stride = (n + CLV_COVERAGE_MAX - 1) / CLV_COVERAGE_MAX};
    struct sums all = {0};
    for (; e.first < parts; e.first += PARTS_AT_ONCE) {
        const size_t some = parts - e.first < PARTS_AT_ONCE ? parts - e.first : PARTS_AT_ONCE;
        enum meros_code rc = ml_run_check(run, (double)e.first / (double)parts, "comparing with the hold-out", err);
        if (rc != MEROS_OK) return rc;
        parallel_for(ml_run_pool(run), some, add_customers, &e);
        for (size_t k = 0; k < some; k++) add_sums(&all, &e.parts[k]);
    }
    settle(&all, h, m, out);
    return MEROS_OK;
}

/* --- tracking: customers with the same t (and, with covariates, each alone) are one cohort */

struct cohort {
    double t, customers;
    const double *covariates;
};

struct tracking {
    const struct clv_model *m;
    const struct cohort *cohorts;
    size_t n_cohorts, n_steps;
    double longest, n_days;
    double *parts; /* n_steps for each part */
};
enum { COHORTS_PER_PART = 16 };

static double step_end(double n_days, size_t step)
{
    return fmin((double)(step + 1) * CLV_TRACKING_DAYS, n_days - 1);
}

static void track_cohorts(void *arg, size_t part, int worker)
{
    const struct tracking *k = arg;
    const size_t from = part * COHORTS_PER_PART, to = from + COHORTS_PER_PART < k->n_cohorts ? from + COHORTS_PER_PART : k->n_cohorts;
    double *sums = k->parts + part * k->n_steps;
    (void)worker;
    for (size_t c = from; c < to; c++) {
        const struct clv_history new = {.covariates = k->cohorts[c].covariates};
        const double born = k->longest - k->cohorts[c].t;
        for (size_t s = 0; s < k->n_steps; s++) {
            const double age = step_end(k->n_days, s) - born;
            struct clv_answer a;
            if (!(age > 0)) continue;
            clv_score(k->m, &(struct clv_question){age, 0, 0}, &new, &a);
            sums[s] += k->cohorts[c].customers * a.expected_orders;
        }
    }
}

static int by_t(const void *a, const void *b)
{
    const struct cohort *x = a, *y = b;
    return x->t < y->t ? -1 : x->t > y->t;
}

static size_t make_cohorts(const struct clv_data *d, bool each, struct cohort *out)
{
    size_t n = 0, kept = 0;
    const size_t stride = each ? (d->n + CLV_TRACKING_MAX - 1) / CLV_TRACKING_MAX : 1;
    for (size_t i = 0; i < d->n; i += stride)
        out[n++] = (struct cohort){d->t[i], (double)(d->n - i < stride ? d->n - i : stride),
                                   each ? d->covariates + i * (size_t)d->n_covariates : NULL};
    qsort(out, n, sizeof *out, by_t);
    for (size_t i = 0; i < n; i++) {
        if (!each && kept > 0 && out[kept - 1].t == out[i].t) out[kept - 1].customers += out[i].customers;
        else out[kept++] = out[i];
    }
    return kept;
}

size_t clv_tracking_steps(size_t n_days)
{
    return n_days <= 1 ? 0 : (n_days - 2) / CLV_TRACKING_DAYS + 1;
}

static void cumulate(const struct tracking *k, size_t parts, const double *daily, struct clv_tracking_step *out)
{
    size_t day = 0;
    double seen = 0;
    for (size_t s = 0; s < k->n_steps; s++) {
        const double end = step_end(k->n_days, s);
        double expected = 0;
        for (size_t p = 0; p < parts; p++) expected += k->parts[p * k->n_steps + s];
        for (; (double)day <= end; day++) seen += daily[day];
        out[s] = (struct clv_tracking_step){end, expected, seen, end > k->longest};
    }
}

enum meros_code clv_tracking(const struct clv_purchase_model *m, const struct clv_data *d, const double *daily, size_t n_days,
                             const struct ml_run *run, struct clv_tracking_step *out, struct meros_err *err)
{
    const struct clv_model whole = {.purchase = *m, .spend = {.kind = CLV_SPEND_NONE}};
    struct cohort *cohorts = ml_alloc_raw(d->n, sizeof *cohorts);
    struct tracking k = {.m = &whole, .cohorts = cohorts, .n_steps = clv_tracking_steps(n_days), .n_days = (double)n_days};
    enum meros_code rc = ml_run_check(run, 0, "following the purchases week by week", err);
    size_t parts = 0;
    if (rc == MEROS_OK && cohorts != NULL) {
        k.n_cohorts = make_cohorts(d, d->covariates != NULL && m->n_covariates > 0, cohorts);
        for (size_t i = 0; i < d->n; i++) k.longest = fmax(k.longest, d->t[i]);
        parts = (k.n_cohorts + COHORTS_PER_PART - 1) / COHORTS_PER_PART;
        k.parts = ml_alloc(parts * k.n_steps, sizeof *k.parts);
    }
    if (rc == MEROS_OK && (cohorts == NULL || k.parts == NULL)) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for following purchases.");
    if (rc == MEROS_OK) {
        parallel_for(ml_run_pool(run), parts, track_cohorts, &k);
        cumulate(&k, parts, daily, out);
    }
    free(k.parts);
    free(cohorts);
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
