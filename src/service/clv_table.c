/* Everybody's purchases as a model learns from them, and what came of them in the hold-out. */
#include <math.h>
#include <stdlib.h>

#include "clv_training_priv.h"
#include "meros/base/clock.h"
#include "meros/service/scoring.h"
#include "meros/store/days.h"
#include "meros/store/segments.h"
#include "meros/store/store.h"

enum { ROWS_PER_STEP = 4096 };

struct reading {
    struct clv_training *t;
    struct clv_table *table;
    struct dataset attributes; /* where covariates are asked for: their values, a row a customer */
    int64_t expected;
};

void clv_table_done(struct clv_table *t)
{
    double **const columns[] = {&t->x, &t->t_x, &t->t, &t->mean_value, &t->value_days, &t->orders, &t->value, &t->daily, &t->covariates};
    for (size_t i = 0; i < sizeof columns / sizeof columns[0]; i++) free(*columns[i]);
    free(t->customer_no);
    *t = (struct clv_table){0};
}

struct clv_data clv_table_data(const struct clv_table *t)
{
    return (struct clv_data){.n = t->n, .x = t->x, .t_x = t->t_x, .t = t->t, .mean_value = t->mean_value,
                             .value_days = t->value_days, .covariates = t->covariates, .n_covariates = t->n_covariates};
}

static enum meros_code grow(struct clv_table *t, bool holdout, struct meros_err *err)
{
    double **const columns[] = {&t->x, &t->t_x, &t->t, &t->mean_value, &t->value_days, &t->orders, &t->value};
    const size_t n = t->cap == 0 ? 4096 : 2 * t->cap, used = holdout ? 7 : 5;
    t->bytes = n * (sizeof *t->customer_no + used * sizeof(double));
    if (t->bytes > t->budget)
        return err_set(err, MEROS_OUT_OF_MEMORY,
                       "The histories of all customers take more than the %zu MB that a job may use; raise MEROS_TRAINING_MEMORY.",
                       t->budget >> 20);
    int64_t *nos = realloc(t->customer_no, n * sizeof *nos);
    if (nos != NULL) t->customer_no = nos;
    bool ok = nos != NULL;
    for (size_t i = 0; i < used && ok; i++) {
        double *more = realloc(*columns[i], n * sizeof *more);
        ok = more != NULL;
        if (ok) *columns[i] = more;
    }
    if (!ok) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    t->cap = n;
    return MEROS_OK;
}

/* --- covariates: only what was asked for is kept of a customer's attributes */

static bool asked(const struct clv_params *p, struct str name)
{
    for (size_t i = 0; i < p->n_covariates; i++)
        if (str_eq(p->covariates[i], name)) return true;
    return false;
}

static enum meros_code add_attributes(struct reading *r, int64_t customer_no, struct str text, struct meros_err *err)
{
    const struct clv_params *p = &r->t->params;
    struct customer_stats nobody = {.customer_no = customer_no, .created_at = TIME_NONE, .first_order_at = TIME_NONE,
                                    .last_order_at = TIME_NONE, .last_seen_at = TIME_NONE};
    struct json *all = NULL, *named = NULL;
    struct buf kept;
    struct jsonw w;
    buf_init(&kept, 1 << 20);
    enum meros_code rc = text.n > 2 ? json_parse_stored(text.p, text.n, &all, err) : MEROS_OK;
    jsonw_init(&w, &kept);
    const void *at = NULL;
    struct str name;
    const struct json *v;
    jsonw_begin_object(&w);
    while (all != NULL && json_next(all, &at, &name, &v)) {
        if (!asked(p, name)) continue;
        jsonw_key_str(&w, name);
        jsonw_value(&w, v);
    }
    jsonw_end_object(&w);
    if (rc == MEROS_OK && kept.failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading attributes.");
    if (rc == MEROS_OK) rc = json_parse_stored(kept.data, kept.len, &named, err);
    if (rc == MEROS_OK) rc = dataset_add(&r->attributes, &nobody, named, r->t->base.at, err);
    json_free(named);
    json_free(all);
    buf_done(&kept);
    return rc;
}

/* Of an attribute's levels the most frequent one is what the others are compared with: together they would say nothing more
 * than that everybody has one. */
static void drop_references(struct prep *p)
{
    size_t kept = 0;
    for (size_t j = 0; j < p->n_columns; j++)
        if (p->columns[j].kind != PREP_LEVEL || p->columns[j].level != 0) p->columns[kept++] = p->columns[j];
    p->n_columns = kept;
}

static enum meros_code fit_prep(struct reading *r, struct prep *out, struct meros_err *err)
{
    const struct clv_params *p = &r->t->params;
    struct str features[CLV_COVARIATES_MAX];
    struct buf names[CLV_COVARIATES_MAX];
    bool ok = true;
    for (size_t i = 0; i < p->n_covariates; i++) {
        buf_init(&names[i], 4096);
        buf_printf(&names[i], "attributes.%.*s", (int)p->covariates[i].n, p->covariates[i].p);
        features[i] = (struct str){names[i].data, names[i].len};
        ok = ok && !names[i].failed;
    }
    const struct prep_params params = {SCALING_STANDARD, features, p->n_covariates};
    enum meros_code rc = ok ? prep_fit(&r->attributes, &params, out, err) : err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    for (size_t i = 0; i < p->n_covariates; i++) buf_done(&names[i]);
    if (rc != MEROS_OK) return rc;
    drop_references(out);
    if (out->n_columns > CLV_COVARIATES_MAX)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "The covariates come to %zu columns, a categorical attribute counting one for each of its frequent values but "
                       "one; at most %d can be used.", out->n_columns, CLV_COVARIATES_MAX);
    if (out->n_columns == 0)
        return err_set(err, MEROS_UNPROCESSABLE, "All customers who have bought are alike in the covariates; leave them out.");
    return MEROS_OK;
}

static enum meros_code make_covariates(struct reading *r, struct meros_err *err)
{
    struct clv_table *t = r->table;
    struct prep *prep = &r->t->prep;
    struct prep_plan plan;
    enum meros_code rc = fit_prep(r, prep, err);
    if (rc != MEROS_OK) return rc;
    const size_t k = prep->n_columns;
    t->covariates = malloc((t->n * k + 1) * sizeof *t->covariates);
    if (t->covariates == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading covariates.");
    t->n_covariates = (int)k;
    rc = prep_plan_init(prep, &r->attributes, &plan, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < t->n; i++) {
        struct prep_values values;
        prep_read_dataset(prep, &plan, i, &values);
        for (size_t j = 0; j < k; j++) t->covariates[i * k + j] = trained_clv_covariate(prep, j, &values);
    }
    prep_plan_done(&plan);
    return MEROS_OK;
}

/* --- a customer */

static double worth_between(const struct purchase_day *days, size_t n, int32_t after, int32_t until)
{
    double sum = 0;
    for (size_t k = 0; k < n && days[k].day <= until; k++)
        if (days[k].day > after) sum += days[k].net;
    return sum;
}

/* Repeat purchases a day, of those who are learnt from; at first the series ends with `end` and begins a hundred years before,
 * and is moved when the first day is known. */
static void count_days(struct clv_table *t, const struct purchase_day *days, size_t n, int32_t first)
{
    const int64_t begin = (int64_t)t->end - (int64_t)t->n_days + 1;
    for (size_t k = 0; k < n && days[k].day <= t->end; k++)
        if (days[k].purchases > 0 && days[k].day > first && days[k].day >= begin) t->daily[days[k].day - begin]++;
}

static enum meros_code add(void *arg, int64_t customer_no, const struct purchase_day *days, size_t n, struct str attributes,
                           struct meros_err *err)
{
    struct reading *r = arg;
    struct clv_table *t = r->table;
    if (t->n % ROWS_PER_STEP == 0 && !job_step(r->t->base.ctx, 0.3 * (double)t->n / (double)(r->expected + 1), "extracting"))
        return err_set(err, MEROS_CANCELLED, "The work was stopped.");
    const struct purchase_history h = purchase_history_of(days, n, t->calibration);
    const bool holdout = t->end > t->calibration;
    if (!h.any) {
        t->later += purchase_days_between(days, n, t->calibration, t->end) > 0;
        return MEROS_OK;
    }
    enum meros_code rc = t->n == t->cap ? grow(t, holdout, err) : MEROS_OK;
    if (rc == MEROS_OK && r->t->params.n_covariates > 0) rc = add_attributes(r, customer_no, attributes, err);
    if (rc != MEROS_OK) return rc;
    const size_t i = t->n++;
    t->customer_no[i] = customer_no;
    t->x[i] = h.x;
    t->t_x[i] = h.t_x;
    t->t[i] = h.t;
    t->mean_value[i] = h.mean_value;
    t->value_days[i] = h.valued;
    t->purchases_excluded += h.excluded;
    t->customers_excluded += h.x > 0 && h.valued == 0;
    t->all_value += h.all_value;
    t->all_valued += h.all_valued;
    if (i == 0 || h.first < t->first_day) t->first_day = h.first;
    if (i == 0 || h.last > t->last_day) t->last_day = h.last;
    if (!holdout) return MEROS_OK;
    t->orders[i] = purchase_days_between(days, n, t->calibration, t->end);
    t->value[i] = worth_between(days, n, t->calibration, t->end);
    if (t->daily != NULL) count_days(t, days, n, h.first);
    return MEROS_OK;
}

enum { TRACKED_DAYS_MAX = 36525 }; /* a hundred years to the end of observation */

/* The series begins with the first purchase of all. */
static void begin_with_first(struct clv_table *t)
{
    const size_t n = (size_t)(t->end - t->first_day) + 1;
    if (n > t->n_days) { /* somebody bought more than a hundred years ago */
        free(t->daily);
        t->daily = NULL;
        t->n_days = 0;
        return;
    }
    memmove(t->daily, t->daily + (t->n_days - n), n * sizeof *t->daily);
    t->n_days = n;
}

static enum meros_code read_all(struct reading *r, struct meros_err *err)
{
    struct clv_training *t = r->t;
    const bool past = t->params.as_of != TIME_NONE;
    enum meros_code rc = store_begin_snapshot(t->base.conn, err);
    if (rc != MEROS_OK) return rc;
    rc = store_customers_count(t->base.conn, &r->expected, err);
    if (rc == MEROS_OK) rc = store_days_all(t->base.conn, r->table->end, past, t->params.n_covariates > 0, add, r, err);
    store_rollback(t->base.conn); /* it was only read */
    return rc;
}

enum meros_code clv_table_read(struct clv_training *t, struct meros_err *err)
{
    struct reading r = {.t = t, .table = &t->table};
    struct clv_table *table = &t->table;
    const size_t budget = t->base.ctx->svc->settings.training_memory_bytes;
    table->budget = budget;
    table->end = day_of_time(t->base.at);
    table->calibration = table->end - t->params.holdout_days;
    dataset_init(&r.attributes, t->base.at, t->base.ctx->svc->settings.activity_half_life_days, budget);
    enum meros_code rc = MEROS_OK;
    if (t->params.holdout_days > 0) {
        table->n_days = TRACKED_DAYS_MAX;
        table->daily = calloc(table->n_days, sizeof *table->daily);
        if (table->daily == NULL) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    }
    if (rc == MEROS_OK) rc = read_all(&r, err);
    if (rc == MEROS_OK && table->daily != NULL && table->n > 0) begin_with_first(table);
    if (rc == MEROS_OK && t->params.n_covariates > 0 && table->n > 0) rc = make_covariates(&r, err);
    dataset_done(&r.attributes);
    return rc == MEROS_CANCELLED ? job_stopped(t->base.ctx, err) : rc;
}
