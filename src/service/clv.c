#include "meros/service/clv_population.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "meros/base/clock.h"
#include "meros/service/serving.h"
#include "meros/store/days.h"
#include "meros/store/store.h"

enum { MONTHS_MAX = 1200, ROWS_PER_STEP = 4096 };

enum meros_code clv_no_model(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND,
                   "No model of lifetime value is active; POST /v1/jobs with {\"kind\": \"train.clv\"} trains one. (A model of contracts, "
                   "sbg, has its retention curve and remaining lifetimes in its metrics and answers for no single customer.)");
}

struct clv_question clv_question_of(const struct clv_ask *ask)
{
    return (struct clv_question){ask->horizon_days, ask->discount_rate, ask->level};
}

/* --- an answer in JSON */

/* {"id", "version", "algorithm", "value_model", "converged"} */
static void write_model(struct jsonw *w, const struct snapshot_clv *m)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "id", m->id);
    jsonw_kint(w, "version", m->version);
    jsonw_kcstr(w, "algorithm", trained_clv_algorithm(m->model));
    jsonw_kcstr(w, "value_model", clv_spend_name(m->model->model.spend.kind));
    jsonw_kbool(w, "converged", trained_clv_converged(m->model));
    jsonw_end_object(w);
}

static void write_day(struct jsonw *w, const char *name, int32_t day)
{
    jsonw_ktime(w, name, (int64_t)day * TIME_DAY);
}

static void write_history(struct jsonw *w, const struct purchase_history *h)
{
    jsonw_key(w, "history");
    jsonw_begin_object(w);
    jsonw_kint(w, "purchases", h->any ? h->x + 1 : 0);
    jsonw_kint(w, "repeat_purchases", h->x);
    if (h->any) write_day(w, "first_purchase_on", h->first);
    else jsonw_knull(w, "first_purchase_on");
    if (h->any) write_day(w, "last_purchase_on", h->last);
    else jsonw_knull(w, "last_purchase_on");
    write_day(w, "observed_to", h->end);
    jsonw_kint(w, "recency_days", h->t_x);
    jsonw_kint(w, "age_days", h->t);
    jsonw_kint(w, "valued_purchases", h->valued);
    jsonw_kint(w, "excluded_purchases", h->excluded);
    if (h->valued > 0) jsonw_kmoney(w, "average_value", h->mean_value);
    else jsonw_knull(w, "average_value");
    jsonw_end_object(w);
}

static void write_money(struct jsonw *w, const char *name, double v)
{
    if (isnan(v)) jsonw_knull(w, name);
    else jsonw_kmoney(w, name, v);
}

static void write_interval(struct jsonw *w, const struct clv_ask *ask, const struct clv_answer *a)
{
    jsonw_key(w, "interval");
    if (isnan(a->low)) {
        jsonw_null(w);
    } else {
        jsonw_begin_array(w);
        jsonw_money(w, a->low);
        jsonw_money(w, a->high);
        jsonw_end_array(w);
    }
    jsonw_knum(w, "interval_level", ask->level);
    jsonw_key(w, "deviation");
    jsonw_begin_object(w);
    write_money(w, "process", a->process_deviation);
    write_money(w, "parameters", a->parameter_deviation);
    jsonw_end_object(w);
}

static void write_months(struct jsonw *w, const struct trained_clv *m, const struct clv_ask *ask, const struct clv_history *h)
{
    struct clv_step *steps = malloc(MONTHS_MAX * sizeof *steps);
    struct clv_step before = {0};
    jsonw_key(w, "breakdown");
    jsonw_begin_array(w);
    const struct clv_question q = clv_question_of(ask);
    const int n = steps == NULL ? 0 : clv_breakdown(&m->model, &q, h, CLV_MONTH_DAYS, steps, MONTHS_MAX);
    for (int k = 0; k < n; k++) {
        jsonw_begin_object(w);
        jsonw_kint(w, "month", k + 1);
        jsonw_knum(w, "days", steps[k].days);
        jsonw_knum(w, "expected_orders", steps[k].orders - before.orders);
        write_money(w, "value", steps[k].value - before.value);
        write_money(w, "clv", steps[k].clv - before.clv);
        jsonw_knum(w, "cumulative_orders", steps[k].orders);
        write_money(w, "cumulative_clv", steps[k].clv);
        jsonw_end_object(w);
        before = steps[k];
    }
    jsonw_end_array(w);
    free(steps);
}

static void write_explanation(struct jsonw *w, const struct purchase_history *h, const struct clv_answer *a)
{
    char text[300];
    if (!h->any)
        snprintf(text, sizeof text, "The customer has bought nothing yet: this is what the population does from a first purchase on.");
    else if (a->population)
        snprintf(text, sizeof text, "The first purchase was on the last day looked at: this is what the population does after it.");
    else if (h->x == 0)
        snprintf(text, sizeof text, "From %d days without a second purchase. The customer's own data weigh %.0f %% in how often it buys; "
                                    "what it spends is the population's mean.", h->t, 100 * a->frequency_weight);
    else if (isnan(a->expected_order_value))
        snprintf(text, sizeof text, "From %d repeat purchase%s in %d days. The customer's own data weigh %.0f %% in how often it buys; "
                                    "nothing is known of values.", h->x, h->x == 1 ? "" : "s", h->t, 100 * a->frequency_weight);
    else
        snprintf(text, sizeof text, "From %d repeat purchase%s in %d days. The customer's own data weigh %.0f %% in how often it buys and "
                                    "%.0f %% in what it spends.", h->x, h->x == 1 ? "" : "s", h->t, 100 * a->frequency_weight, 100 * a->value_weight);
    jsonw_kcstr(w, "explanation", text);
}

void clv_write(struct jsonw *w, const struct snapshot_clv *s, const struct clv_ask *ask, const struct purchase_history *history,
               const double *covariates, int64_t at, bool full)
{
    const struct clv_history h = trained_clv_history(history, covariates);
    const struct clv_question q = clv_question_of(ask);
    struct clv_answer a;
    clv_score(&s->model->model, &q, &h, &a);
    jsonw_knum(w, "p_alive", a.p_alive);
    jsonw_knum(w, "expected_orders", a.expected_orders);
    jsonw_knum(w, "p_order", a.p_order);
    write_money(w, "expected_order_value", a.expected_order_value);
    write_money(w, "clv", a.clv);
    if (q.level > 0) write_interval(w, ask, &a);
    jsonw_knum(w, "horizon_days", q.horizon_days);
    jsonw_knum(w, "discount_rate", q.annual_rate);
    /* From the end of the last day that was looked at. Past the horizon of all questions nobody would call it a date. */
    if (a.next_order_days <= CLV_HORIZON_MAX_DAYS)
        jsonw_ktime(w, "next_order_at", ((int64_t)history->end + 1) * TIME_DAY + (int64_t)(a.next_order_days * 86400.0) * TIME_SECOND);
    else
        jsonw_knull(w, "next_order_at");
    jsonw_kcstr(w, "basis", a.population ? "population" : "customer");
    jsonw_kcstr(w, "status", trained_clv_converged(s->model) ? "ok" : "not_converged");
    if (full) {
        write_explanation(w, history, &a);
        jsonw_key(w, "weights");
        jsonw_begin_object(w);
        jsonw_knum(w, "frequency", a.frequency_weight);
        jsonw_knum(w, "value", a.value_weight);
        jsonw_end_object(w);
        write_history(w, history);
        if (ask->by_month) write_months(w, s->model, ask, &h);
    }
    jsonw_key(w, "model");
    write_model(w, s);
    jsonw_ktime(w, "evaluated_at", at);
}

/* --- everybody */

struct reading {
    struct clv_population *p;
    size_t cap, bytes, budget;
    int64_t at, now;
    bool (*step)(void *arg);
    void *arg;
};

static enum meros_code over_budget(const struct reading *r, struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY,
                   "The histories of all customers take more than the %zu MB that such work may use; raise MEROS_TRAINING_MEMORY.",
                   r->budget >> 20);
}

static bool grow(void **array, size_t n, size_t size)
{
    void *more = realloc(*array, n * size);
    if (more == NULL) return false;
    *array = more;
    return true;
}

static enum meros_code reserve(struct reading *r, struct meros_err *err)
{
    struct clv_population *p = r->p;
    if (p->n < r->cap) return MEROS_OK;
    const size_t n = r->cap == 0 ? 4096 : 2 * r->cap, k = (size_t)p->n_covariates;
    const size_t row = sizeof *p->customer_no + 4 * sizeof *p->x + sizeof *p->mean_value + k * sizeof *p->covariates;
    if (n * row > r->budget) return over_budget(r, err);
    const bool ok = grow((void **)&p->customer_no, n, sizeof *p->customer_no) && grow((void **)&p->x, n, sizeof *p->x) &&
                    grow((void **)&p->t_x, n, sizeof *p->t_x) && grow((void **)&p->t, n, sizeof *p->t) &&
                    grow((void **)&p->valued, n, sizeof *p->valued) && grow((void **)&p->mean_value, n, sizeof *p->mean_value) &&
                    (k == 0 || grow((void **)&p->covariates, n, k * sizeof *p->covariates));
    if (!ok) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    r->cap = n;
    return MEROS_OK;
}

static enum meros_code add_covariates(struct clv_population *p, struct str text, struct meros_err *err)
{
    double z[CLV_COVARIATES_MAX];
    struct json *attributes = NULL;
    if (text.n > 2) {
        enum meros_code rc = json_parse_stored(text.p, text.n, &attributes, err);
        if (rc != MEROS_OK) return rc;
    }
    trained_clv_covariates(p->model->model, attributes, z);
    for (int j = 0; j < p->n_covariates; j++) p->covariates[p->n * (size_t)p->n_covariates + (size_t)j] = (float)z[j];
    json_free(attributes);
    return MEROS_OK;
}

static enum meros_code add(void *arg, int64_t customer_no, const struct purchase_day *days, size_t n, struct str attributes,
                           struct meros_err *err)
{
    struct reading *r = arg;
    struct clv_population *p = r->p;
    if (p->n % ROWS_PER_STEP == 0 && r->step != NULL && !r->step(r->arg))
        return err_set(err, MEROS_CANCELLED, "The work was stopped.");
    const struct purchase_history h = purchase_history_of(days, n, trained_clv_day(p->model->model, days, n, r->at, r->now));
    if (!h.any) return MEROS_OK;
    enum meros_code rc = reserve(r, err);
    if (rc == MEROS_OK && p->n_covariates > 0) rc = add_covariates(p, attributes, err);
    if (rc != MEROS_OK) return rc;
    p->customer_no[p->n] = customer_no;
    p->x[p->n] = h.x;
    p->t_x[p->n] = h.t_x;
    p->t[p->n] = h.t;
    p->valued[p->n] = h.valued;
    p->mean_value[p->n++] = h.mean_value;
    return MEROS_OK;
}

/* In the present all days are read, also those of a shop whose model was trained for the past. Within a transaction. */
static enum meros_code read_days(struct store_conn *c, struct reading *r, struct meros_err *err)
{
    const bool past = r->at != TIME_NONE && r->at <= r->now;
    const bool attributes = trained_clv_needs_attributes(r->p->model->model);
    return store_days_all(c, day_of_time(past ? r->at : r->now), past, attributes, add, r, err);
}

static void set_model(struct clv_population *p, const struct snapshot_clv *model, int64_t at, int64_t now)
{
    p->model = model;
    p->n_covariates = model->model->model.purchase.n_covariates;
    p->at = at != TIME_NONE ? at : model->model->as_of != TIME_NONE ? model->model->as_of : now;
}

enum meros_code clv_population_read_by(struct service *svc, struct store_conn *c, const struct snapshot_clv *model,
                                       struct clv_population *out, struct meros_err *err)
{
    struct clv_population p = {0};
    struct reading r = {.p = &p, .budget = svc->settings.training_memory_bytes, .at = TIME_NONE, .now = clock_now()};
    set_model(&p, model, TIME_NONE, r.now);
    enum meros_code rc = read_days(c, &r, err);
    if (rc == MEROS_OK) *out = p;
    else clv_population_done(&p);
    return rc;
}

enum meros_code clv_population_read(struct service *svc, struct store_conn *c, int64_t at, bool (*step)(void *arg), void *arg,
                                    struct clv_population *out, struct meros_err *err)
{
    struct clv_population p = {.models = serving_snapshot(svc)};
    struct reading r = {.p = &p, .budget = svc->settings.training_memory_bytes, .at = at, .now = clock_now(), .step = step, .arg = arg};
    struct store_conn *own = NULL;
    enum meros_code rc = p.models->clv == NULL ? clv_no_model(err) : MEROS_OK;
    if (rc == MEROS_OK) set_model(&p, p.models->clv, at, r.now);
    if (rc == MEROS_OK && c == NULL && (rc = store_connect(svc->store, &own, err)) == MEROS_OK) {
        rc = store_set_timeout(own, 0, err);
        c = own;
    }
    if (rc == MEROS_OK) rc = store_begin_snapshot(c, err);
    if (rc == MEROS_OK) {
        rc = read_days(c, &r, err);
        store_rollback(c); /* it was only read */
    }
    store_disconnect(own);
    if (rc == MEROS_OK) *out = p;
    else clv_population_done(&p);
    return rc;
}

void clv_population_done(struct clv_population *p)
{
    snapshot_release(p->models);
    free(p->customer_no);
    free(p->x);
    free(p->t_x);
    free(p->t);
    free(p->valued);
    free(p->mean_value);
    free(p->covariates);
    *p = (struct clv_population){0};
}

void clv_population_score(const struct clv_population *p, const struct clv_ask *ask, size_t from, size_t to,
                          struct clv_answer *out)
{
    const struct clv_question q = clv_question_of(ask);
    double z[CLV_COVARIATES_MAX];
    for (size_t i = from; i < to; i++) {
        for (int j = 0; j < p->n_covariates; j++) z[j] = (double)p->covariates[i * (size_t)p->n_covariates + (size_t)j];
        const struct clv_history h = {.x = p->x[i], .t_x = p->t_x[i], .t = p->t[i], .mean_value = p->mean_value[i],
                                      .value_days = p->valued[i], .covariates = p->n_covariates > 0 ? z : NULL};
        clv_score(&p->model->model->model, &q, &h, &out[i - from]);
    }
}
