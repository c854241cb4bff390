/* "train.clv": extracting, fitting, evaluating, what is stored. The course of the job: training.c. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clv_active_priv.h"
#include "clv_training_priv.h"
#include "meros/base/clock.h"
#include "meros/service/clv.h"
#include "meros/store/models.h"
#include "meros/store/store.h"

static struct ml_run run_of(const struct clv_training *t, struct training_part *part)
{
    return training_ml_run(part, t->table.bytes);
}

/* --- 1. what there is to learn from */

static enum meros_code nothing(const struct clv_training *t, struct meros_err *err)
{
    char day[TIME_TEXT];
    time_format((int64_t)t->table.calibration * TIME_DAY, day);
    if (t->table.later > 0)
        return err_set(err, MEROS_UNPROCESSABLE,
                       "Nobody had bought by %.10s, where the hold-out of %d days begins; ask for a shorter one, or none.", day,
                       t->params.holdout_days);
    if (t->params.as_of != TIME_NONE)
        return err_set(err, MEROS_UNPROCESSABLE, "Nobody had bought by %.10s, the last day of this training; say another `as_of`.", day);
    return err_set(err, MEROS_UNPROCESSABLE, "Nobody has bought anything yet; import orders first.");
}

/* --- 2. fitting */

static enum meros_code fit_one(struct clv_training *t, enum clv_kind kind, double from, double to, struct meros_err *err)
{
    struct clv_outcome *out = &t->candidates[kind];
    struct training_part part = {&t->base, from, from + 0.7 * (to - from), "fitting"};
    struct ml_run run = run_of(t, &part);
    const struct clv_data data = clv_table_data(&t->table);
    const struct clv_fit_params params = {kind, t->params.unit, t->params.penalty,
                                          t->table.all_valued > 0 ? t->table.all_value / t->table.all_valued : NAN};
    enum meros_code rc = clv_fit(&data, &params, &run, &out->model, err);
    if (rc != MEROS_OK) return rc;
    out->tried = true;
    if (t->params.holdout_days == 0) return MEROS_OK;
    part = (struct training_part){&t->base, from + 0.7 * (to - from), to, "evaluating"};
    const struct clv_holdout_data holdout = {data, t->params.holdout_days, t->table.orders, t->table.value, CLV_LEVEL};
    rc = clv_evaluate(&out->model, &holdout, &run, &out->holdout, err);
    out->has_holdout = rc == MEROS_OK;
    return rc;
}

static void choose(struct clv_training *t)
{
    struct clv_candidate list[CLV_KINDS];
    for (int k = 0; k < CLV_KINDS; k++) {
        const struct clv_outcome *o = &t->candidates[k];
        list[k] = (struct clv_candidate){(enum clv_kind)k, o->model.purchase.fit, o->model.purchase.n_theta,
                                         o->has_holdout ? o->holdout.rmse : NAN};
    }
    t->chosen = &t->candidates[clv_choose(list, CLV_KINDS, t->reason)];
}

static enum meros_code fit(struct clv_training *t, struct meros_err *err)
{
    const double from = 0.3, to = 0.85;
    enum meros_code rc = MEROS_OK;
    if (!t->params.automatic) {
        rc = fit_one(t, t->params.kind, from, to, err);
        t->chosen = &t->candidates[t->params.kind];
        return rc;
    }
    for (int k = 0; k < CLV_KINDS && rc == MEROS_OK; k++)
        rc = fit_one(t, (enum clv_kind)k, from + (to - from) * k / CLV_KINDS, from + (to - from) * (k + 1) / CLV_KINDS, err);
    if (rc == MEROS_OK) choose(t);
    return rc;
}

static enum meros_code track(struct clv_training *t, struct meros_err *err)
{
    struct training_part part = {&t->base, 0.85, 0.9, "evaluating"};
    struct ml_run run = run_of(t, &part);
    const struct clv_data data = clv_table_data(&t->table);
    if (t->table.daily == NULL) return MEROS_OK;
    t->n_tracking = clv_tracking_steps(t->table.n_days);
    t->tracking = malloc((t->n_tracking + 1) * sizeof *t->tracking);
    if (t->tracking == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while evaluating.");
    return clv_tracking(&t->chosen->model.purchase, &data, t->table.daily, t->table.n_days, &run, t->tracking, err);
}

/* --- 3. the model */

static void hash_rows(const struct clv_table *t, unsigned char out[SHA256_BYTES])
{
    const void *const columns[] = {t->customer_no, t->x, t->t_x, t->t, t->mean_value, t->value_days};
    enum { COLUMNS = sizeof columns / sizeof columns[0] };
    unsigned char parts[(COLUMNS + 1) * SHA256_BYTES];
    for (int i = 0; i < COLUMNS; i++) crypto_sha256(columns[i], t->n * sizeof(double), parts + i * SHA256_BYTES);
    crypto_sha256(t->covariates, t->n * (size_t)t->n_covariates * sizeof(double), parts + COLUMNS * SHA256_BYTES);
    crypto_sha256(parts, sizeof parts, out);
}

static enum meros_code make_model(struct clv_training *t, struct meros_err *err)
{
    struct trained_clv *m = trained_clv_new(false);
    if (m == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    m->model = t->chosen->model;
    m->prep = t->prep; /* the model's from here on */
    t->prep = (struct prep){0};
    m->as_of = t->params.as_of;
    m->observed_to = t->table.calibration;
    m->data_from = (int64_t)t->table.first_day * TIME_DAY;
    m->data_to = (int64_t)t->table.last_day * TIME_DAY;
    m->rows = t->table.n;
    hash_rows(&t->table, m->row_hash);
    t->model = m;
    return MEROS_OK;
}

enum meros_code clv_train_purchases(struct clv_training *t, struct meros_err *err)
{
    enum meros_code rc = clv_table_read(t, err);
    if (rc == MEROS_OK && t->table.n == 0) rc = nothing(t, err);
    if (rc == MEROS_OK) rc = fit(t, err);
    if (rc == MEROS_OK) rc = track(t, err);
    if (rc == MEROS_OK) rc = make_model(t, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw w;
    jsonw_init(&w, &t->base.metrics);
    clv_metrics_write(t, &w);
    training_write_columns(&t->base, &t->model->prep);
    return MEROS_OK;
}

/* --- 4. whether it takes over */

struct there { /* the active model of the name */
    bool any, converged;
};

static enum meros_code look(void *arg, const struct model_row *m, struct meros_err *err)
{
    struct there *there = arg;
    struct json *metrics = NULL;
    there->any = true;
    enum meros_code rc = json_parse_stored(m->metrics.p, m->metrics.n, &metrics, err);
    if (rc == MEROS_OK) there->converged = json_bool(json_get(metrics, "converged"));
    json_free(metrics);
    return rc;
}

/* A model that did not converge never takes the place of one that did. Where there is no better it answers all the same, and
 * its answers say so. */
static enum meros_code worth_it(struct clv_training *t, bool *out, struct meros_err *err)
{
    struct there there = {false, false};
    enum meros_code rc = store_model_active(t->base.conn, STR("clv"), str_of(t->model->name), look, &there, err);
    if (rc != MEROS_OK && rc != MEROS_NOT_FOUND) return rc;
    *out = trained_clv_converged(t->model) || !there.any || !there.converged;
    return MEROS_OK;
}

/* --- 5. what the course of a training asks of this kind */

static struct clv_training *of(struct training *t)
{
    return (struct clv_training *)t;
}

static enum meros_code read(struct training *base, int64_t now, struct meros_err *err)
{
    struct clv_training *t = of(base);
    enum meros_code rc = clv_params_read(base->ctx->params, now, &t->params, err);
    base->as_of = t->params.as_of;
    return rc;
}

static void write_params(const struct training *base, struct jsonw *w)
{
    clv_params_write(&((const struct clv_training *)base)->params, w);
}

static enum meros_code learn(struct training *base, struct meros_err *err)
{
    struct clv_training *t = of(base);
    enum meros_code rc = t->params.contract ? clv_train_contract(t, err) : clv_train_purchases(t, err);
    if (rc == MEROS_OK) snprintf(t->model->build, sizeof t->model->build, "meros %s, %s", MEROS_VERSION, __VERSION__);
    return rc;
}

static enum meros_code lock(struct training *base, struct meros_err *err)
{
    struct clv_training *t = of(base);
    enum meros_code rc = store_model_lock(base->conn, STR("clv"), str_of(t->model->name), err);
    return rc == MEROS_OK ? worth_it(t, &base->active, err) : rc;
}

static void row(struct training *base, struct model_row *row, struct model *out)
{
    struct trained_clv *m = of(base)->model;
    m->trained_at = base->trained_at;
    out->clv = m;
    row->name = str_of(m->name);
    row->algorithm = str_of(trained_clv_algorithm(m));
    row->as_of = m->as_of;
    row->data_from = m->data_from;
    row->data_to = m->data_to;
    row->rows = (int64_t)m->rows;
    row->row_hash = (struct str){(const char *)m->row_hash, SHA256_BYTES};
    row->build = str_of(m->build);
}

static enum meros_code activate(struct training *base, struct meros_err *err)
{
    return clv_make_active(base->ctx->svc, base->conn, base->stored.id, base->stored.no, base->stored.version, of(base)->model, err);
}

static void done(struct training *base)
{
    struct clv_training *t = of(base);
    clv_table_done(&t->table);
    prep_done(&t->prep);
    trained_clv_free(t->model);
    free(t->tracking);
}

static const struct training_kind kind = {
    .model = MODEL_CLV,
    .size = sizeof(struct clv_training),
    .read = read,
    .write_params = write_params,
    .learn = learn,
    .lock = lock,
    .row = row,
    .activate = activate,
    .done = done,
};

static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
{
    return training_run(&kind, ctx, err);
}

static enum meros_code check(struct service *svc, const struct json *params, struct meros_err *err)
{
    (void)svc;
    struct clv_params ignored;
    return clv_params_read(params, clock_now(), &ignored, err);
}

const struct job_kind training_clv_kind = {
    .name = "train.clv",
    .help = "Learn how often customers buy, when they leave and what they spend.",
    .check_params = check,
    .run = run,
};
