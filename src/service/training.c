#include "training_priv.h"

#include <stdlib.h>

#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/feature/prep.h"
#include "meros/service/serving.h"
#include "meros/store/models.h"
#include "meros/store/store.h"

enum meros_code training_step(struct training *t, double fraction, const char *stage, struct meros_err *err)
{
    return job_step(t->ctx, fraction, stage) ? MEROS_OK : job_stopped(t->ctx, err);
}

static bool part_step(void *arg, double fraction, const char *stage)
{
    const struct training_part *p = arg;
    (void)stage;
    return job_step(p->t->ctx, p->from + (p->to - p->from) * fraction, p->stage);
}

struct ml_run training_ml_run(struct training_part *part, size_t used)
{
    const size_t budget = part->t->ctx->svc->settings.training_memory_bytes;
    return (struct ml_run){part->t->pool, part_step, part, used < budget ? budget - used : 1}; /* 0 would mean no limit */
}

void training_write_columns(struct training *t, const struct prep *p)
{
    struct jsonw w;
    jsonw_init(&w, &t->features);
    jsonw_begin_array(&w);
    for (size_t j = 0; j < p->n_columns; j++) {
        struct buf name;
        buf_init(&name, 4096);
        prep_column_name(p, j, &name);
        jsonw_str(&w, (struct str){name.data, name.len});
        buf_done(&name);
    }
    jsonw_end_array(&w);
}

/* --- storing */

static enum meros_code lock(struct training *t, struct str name, struct meros_err *err)
{
    t->active = true;
    if (t->kind->lock != NULL) return t->kind->lock(t, err);
    return store_model_lock(t->conn, str_of(model_kind_words[t->kind->model]), name, err);
}

/* row, model: all that the kind says of them. */
static enum meros_code insert(struct training *t, struct model_row *row, const struct model *model, struct meros_err *err)
{
    struct buf params;
    struct jsonw w;
    buf_init(&params, 1 << 20);
    jsonw_init(&w, &params);
    t->kind->write_params(t, &w);
    row->params = (struct str){params.data, params.len};
    row->features = (struct str){t->features.data, t->features.len};
    row->metrics = (struct str){t->metrics.data, t->metrics.len};
    row->evaluated_at = t->at;
    row->trained_at = t->trained_at;
    row->job_id = str_of(t->ctx->id);
    enum meros_code rc = t->metrics.failed || t->features.failed || params.failed
                             ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while writing down the model.")
                             : models_store(t->conn, model, row, &t->stored, err);
    buf_done(&params);
    return rc;
}

static void write_result(const struct training *t, const struct model_row *row)
{
    struct jsonw *w = t->ctx->result;
    jsonw_begin_object(w);
    jsonw_key(w, "model");
    models_write_ref(w, &t->stored, t->kind->model, row->name, row->algorithm);
    jsonw_kbool(w, "active", t->active);
    jsonw_kraw(w, "metrics", (struct str){t->metrics.data, t->metrics.len});
    if (t->kind->write_result != NULL) t->kind->write_result(t, w);
    jsonw_end_object(w);
}

/* The one transaction that others see. */
static enum meros_code write_all(struct training *t, struct model_row *row, struct model *model, struct meros_err *err)
{
    const struct training_kind *kind = t->kind;
    t->trained_at = clock_now();
    kind->row(t, row, model);
    enum meros_code rc = lock(t, row->name, err);
    if (rc == MEROS_OK) rc = insert(t, row, model, err);
    if (rc == MEROS_OK && t->active)
        rc = kind->activate != NULL ? kind->activate(t, err) : store_model_activate(t->conn, t->stored.no, t->trained_at, err);
    if (rc != MEROS_OK) return rc;
    write_result(t, row);
    rc = training_step(t, 0.99, "storing", err);
    if (rc == MEROS_OK) rc = job_finish_in(t->ctx, t->conn, err);
    return rc;
}

static enum meros_code store_it(struct training *t, struct meros_err *err)
{
    struct model_row row = {0};
    struct model model = {.kind = t->kind->model};
    enum meros_code rc = training_step(t, 0.9, "storing", err);
    if (rc == MEROS_OK) rc = store_begin(t->conn, err);
    if (rc != MEROS_OK) return rc;
    rc = write_all(t, &row, &model, err);
    if (rc == MEROS_OK) rc = serving_commit(t->ctx->svc, t->conn, err);
    if (rc != MEROS_OK) {
        store_rollback(t->conn);
        return rc;
    }
    log_info("model.trained", KV("model", t->stored.id), KV("kind", model_kind_words[model.kind]), KV("name", row.name.p),
             KV_I("version", t->stored.version), KV("algorithm", row.algorithm.p), KV_I("rows", row.rows),
             KV("active", t->active ? "true" : "false"));
    return MEROS_OK;
}

/* --- the job */

static enum meros_code open_database(struct training *t, struct meros_err *err)
{
    enum meros_code rc = store_connect(t->ctx->svc->store, &t->conn, err);
    if (rc == MEROS_OK) job_uses(t->ctx, t->conn);
    return rc == MEROS_OK ? store_set_timeout(t->conn, 0, err) : rc;
}

static void training_done(struct training *t)
{
    job_uses(t->ctx, NULL);
    store_disconnect(t->conn);
    ml_pool_free(t->pool);
    buf_done(&t->metrics);
    buf_done(&t->features);
    t->kind->done(t);
    free(t);
}

enum meros_code training_run(const struct training_kind *kind, struct job_ctx *ctx, struct meros_err *err)
{
    struct training *t = calloc(1, kind->size);
    if (t == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    t->kind = kind;
    t->ctx = ctx;
    t->as_of = TIME_NONE;
    buf_init(&t->metrics, 1 << 20);
    buf_init(&t->features, 1 << 20);
    const int64_t now = clock_now();
    enum meros_code rc = kind->read(t, now, err);
    t->at = t->as_of == TIME_NONE ? now : t->as_of;
    if (rc == MEROS_OK) rc = ml_pool_new(&t->pool, ctx->svc->settings.training_threads, 0, err);
    if (rc == MEROS_OK) rc = open_database(t, err);
    if (rc == MEROS_OK) rc = training_step(t, 0, "extracting", err);
    if (rc == MEROS_OK) rc = kind->learn(t, err);
    if (rc == MEROS_OK) rc = store_it(t, err);
    if (rc == MEROS_CANCELLED) rc = job_stopped(ctx, err);
    training_done(t);
    return rc;
}
