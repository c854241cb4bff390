/* "train.clv": extracting, fitting, evaluating, storing. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "clv_active_priv.h"
#include "clv_training_priv.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/service/clv.h"
#include "meros/service/serving.h"
#include "meros/store/models.h"
#include "meros/store/store.h"

enum meros_code clv_step(struct clv_training *t, double fraction, const char *stage, struct meros_err *err)
{
    return job_step(t->ctx, fraction, stage) ? MEROS_OK : job_stopped(t->ctx, err);
}

/* Maps a computation's own progress to the job's. */
struct part {
    struct clv_training *t;
    double from, to;
    const char *stage; /* literal */
};

static bool part_step(void *arg, double fraction, const char *stage)
{
    const struct part *p = arg;
    (void)stage;
    return job_step(p->t->ctx, p->from + (p->to - p->from) * fraction, p->stage);
}

static struct ml_run run_of(struct part *p)
{
    const struct clv_table *table = &p->t->table;
    /* 0 would mean no limit. */
    return (struct ml_run){p->t->pool, part_step, p, table->bytes < table->budget ? table->budget - table->bytes : 1};
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
    struct part part = {t, from, from + 0.7 * (to - from), "fitting"};
    struct ml_run run = run_of(&part);
    const struct clv_data data = clv_table_data(&t->table);
    const struct clv_fit_params params = {kind, t->params.unit, t->params.penalty,
                                          t->table.all_valued > 0 ? t->table.all_value / t->table.all_valued : NAN};
    enum meros_code rc = clv_fit(&data, &params, &run, &out->model, err);
    if (rc != MEROS_OK) return rc;
    out->tried = true;
    if (t->params.holdout_days == 0) return MEROS_OK;
    part = (struct part){t, from + 0.7 * (to - from), to, "evaluating"};
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
    struct part part = {t, 0.85, 0.9, "evaluating"};
    struct ml_run run = run_of(&part);
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
    jsonw_init(&w, &t->metrics);
    clv_metrics_write(t, &w);
    jsonw_init(&w, &t->features);
    jsonw_begin_array(&w);
    for (size_t j = 0; j < t->model->prep.n_columns; j++) {
        struct buf name;
        buf_init(&name, 4096);
        prep_column_name(&t->model->prep, j, &name);
        jsonw_str(&w, (struct str){name.data, name.len});
        buf_done(&name);
    }
    jsonw_end_array(&w);
    return MEROS_OK;
}

/* --- 4. storing */

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
    enum meros_code rc = store_model_active(t->conn, STR("clv"), str_of(t->model->name), look, &there, err);
    if (rc != MEROS_OK && rc != MEROS_NOT_FOUND) return rc;
    *out = trained_clv_converged(t->model) || !there.any || !there.converged;
    return MEROS_OK;
}

static enum meros_code insert(struct clv_training *t, struct meros_err *err)
{
    struct trained_clv *m = t->model;
    struct jsonw w;
    jsonw_init(&w, &t->params_json);
    clv_params_write(&t->params, &w);
    m->trained_at = clock_now();
    snprintf(m->build, sizeof m->build, "meros %s, %s", MEROS_VERSION, __VERSION__);
    if (t->metrics.failed || t->features.failed || t->params_json.failed)
        return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while writing down the model.");
    const struct model_row row = {
        .name = str_of(m->name),
        .algorithm = str_of(trained_clv_algorithm(m)),
        .params = {t->params_json.data, t->params_json.len},
        .features = {t->features.data, t->features.len},
        .metrics = {t->metrics.data, t->metrics.len},
        .as_of = m->as_of,
        .evaluated_at = t->at,
        .trained_at = m->trained_at,
        .data_from = m->data_from,
        .data_to = m->data_to,
        .rows = (int64_t)m->rows,
        .row_hash = {(const char *)m->row_hash, SHA256_BYTES},
        .build = str_of(m->build),
        .job_id = str_of(t->ctx->id),
    };
    return models_store(t->conn, &(struct model){MODEL_CLV, {.clv = m}}, &row, &t->stored, err);
}

static void write_result(struct clv_training *t)
{
    struct jsonw *w = t->ctx->result;
    jsonw_begin_object(w);
    jsonw_key(w, "model");
    models_write_ref(w, &t->stored, MODEL_CLV, t->model->name, trained_clv_algorithm(t->model));
    jsonw_kbool(w, "active", t->active);
    jsonw_kraw(w, "metrics", (struct str){t->metrics.data, t->metrics.len});
    jsonw_end_object(w);
}

/* The one transaction that others see. */
static enum meros_code write_all(struct clv_training *t, struct meros_err *err)
{
    enum meros_code rc = store_model_lock(t->conn, STR("clv"), str_of(t->model->name), err);
    if (rc == MEROS_OK) rc = worth_it(t, &t->active, err);
    if (rc == MEROS_OK) rc = insert(t, err);
    if (rc == MEROS_OK && t->active)
        rc = clv_make_active(t->ctx->svc, t->conn, t->stored.id, t->stored.no, t->stored.version, t->model, err);
    if (rc != MEROS_OK) return rc;
    write_result(t);
    rc = clv_step(t, 0.99, "storing", err);
    if (rc == MEROS_OK) rc = job_finish_in(t->ctx, t->conn, err);
    return rc;
}

static enum meros_code store_it(struct clv_training *t, struct meros_err *err)
{
    struct snapshot *active = NULL;
    enum meros_code rc = clv_step(t, 0.9, "storing", err);
    if (rc == MEROS_OK) rc = store_begin(t->conn, err);
    if (rc != MEROS_OK) return rc;
    rc = write_all(t, err);
    if (rc == MEROS_OK) rc = serving_publish_begin(t->ctx->svc, t->conn, &active, err);
    if (rc == MEROS_OK) {
        rc = store_commit(t->conn, err);
        serving_publish_end(t->ctx->svc, active, rc == MEROS_OK);
    }
    if (rc != MEROS_OK) {
        store_rollback(t->conn);
        return rc;
    }
    log_info("model.trained", KV("model", t->stored.id), KV("clv", t->model->name), KV_I("version", t->stored.version),
             KV("algorithm", trained_clv_algorithm(t->model)), KV_I("customers", t->model->rows),
             KV("converged", trained_clv_converged(t->model) ? "true" : "false"), KV("active", t->active ? "true" : "false"));
    return MEROS_OK;
}

/* --- the job */

static void training_done(struct clv_training *t)
{
    job_uses(t->ctx, NULL);
    store_disconnect(t->conn);
    ml_pool_free(t->pool);
    clv_table_done(&t->table);
    prep_done(&t->prep);
    trained_clv_free(t->model);
    free(t->tracking);
    buf_done(&t->metrics);
    buf_done(&t->features);
    buf_done(&t->params_json);
    free(t);
}

static enum meros_code open_database(struct clv_training *t, struct meros_err *err)
{
    enum meros_code rc = store_connect(t->ctx->svc->store, &t->conn, err);
    if (rc == MEROS_OK) job_uses(t->ctx, t->conn);
    return rc == MEROS_OK ? store_set_timeout(t->conn, 0, err) : rc;
}

static enum meros_code run(struct job_ctx *ctx, struct meros_err *err)
{
    struct clv_training *t = calloc(1, sizeof *t);
    if (t == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    t->ctx = ctx;
    buf_init(&t->metrics, 1 << 20);
    buf_init(&t->features, 1 << 16);
    buf_init(&t->params_json, 1 << 20);
    enum meros_code rc = clv_params_read(ctx->params, clock_now(), &t->params, err);
    t->at = t->params.as_of == TIME_NONE ? clock_now() : t->params.as_of;
    if (rc == MEROS_OK) rc = ml_pool_new(&t->pool, ctx->svc->settings.training_threads, 0, err);
    if (rc == MEROS_OK) rc = open_database(t, err);
    if (rc == MEROS_OK) rc = clv_step(t, 0, "extracting", err);
    if (rc == MEROS_OK) rc = t->params.contract ? clv_train_contract(t, err) : clv_train_purchases(t, err);
    if (rc == MEROS_OK) rc = store_it(t, err);
    if (rc == MEROS_CANCELLED) rc = job_stopped(ctx, err);
    training_done(t);
    return rc;
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
