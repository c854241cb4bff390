#include "meros/store/models.h"

#include "store_priv.h"

#define MODEL_COLUMNS                                                                                        \
    "model_no, model_id, kind, name, version, algorithm, params::text, features::text, metrics::text, seed, as_of, "  \
    "evaluated_at, trained_at, data_from, data_to, activated_at, rows, row_hash, checksum, build, job_id, "                \
    "length(artifact), active"

static const struct sql INSERT = {
    "model_insert",
    "insert into models (model_id, kind, name, version, algorithm, params, features, metrics, seed, as_of, evaluated_at, "
    "trained_at, data_from, data_to, rows, row_hash, checksum, build, job_id, artifact) "
    "select $1, $2, $3, coalesce(max(version), 0) + 1, $4, $5::text::json, $6::text::json, $7::text::json, $8, $9, $10, "
    "$11, $12, $13, $14, $15, $16, $17, $18, $19 from models where kind = $2 and name = $3 "
    "returning model_no, version",
    SQL_ROW};
static const struct sql LOCK = {
    "model_lock", "select pg_advisory_xact_lock(hashtextextended('model ' || $1 || ' ' || $2, 0))", SQL_ROWS};
static const struct sql BY_ID = {
    "model_by_id", "select " MODEL_COLUMNS " from models where model_id = $1", SQL_ROW_OR_NONE};
static const struct sql ACTIVE = {
    "model_active", "select " MODEL_COLUMNS " from models where kind = $1 and name = $2 and active", SQL_ROW_OR_NONE};
static const struct sql LIST = {
    "model_list",
    "select " MODEL_COLUMNS " from models where ($1::text is null or kind = $1) and ($2::bigint < 0 or active = ($2 = 1)) "
    "and ($3::bigint = 0 or model_no < $3) order by model_no desc limit $4",
    SQL_ROWS};
static const struct sql ARTIFACT = {"model_artifact", "select artifact from models where model_no = $1", SQL_ROW_OR_NONE};
/* The column is stored uncompressed (migration 0003), so that of a long one only these bytes are read. */
static const struct sql ARTIFACT_PART = {
    "model_artifact_part", "select substring(artifact from ($2::bigint + 1)::int for $3::bigint::int) from models where model_id = $1",
    SQL_ROW_OR_NONE};
static const struct sql DEACTIVATE = {
    "model_deactivate",
    "update models o set active = false from models m "
    "where m.model_no = $1 and o.kind = m.kind and o.name = m.name and o.active and o.model_no <> $1",
    SQL_NOTHING};
static const struct sql ACTIVATE = {
    "model_activate", "update models set active = true, activated_at = $2 where model_no = $1 returning model_no", SQL_ROW_OR_NONE};
static const struct sql TELL = {"model_tell", "select pg_notify('models', '')", SQL_ROWS};
/* The two deletions are one statement, so a model is never left without its segments. */
static const struct sql DELETE = {
    "model_delete",
    "with gone as (delete from models where model_id = $1 and not active returning model_no), "
    "parts as (delete from segments where model_no in (select model_no from gone)) select model_no from gone",
    SQL_ROW_OR_NONE};

static enum meros_code no_such_model(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no model with this id; GET /v1/models lists those that exist.");
}

static enum meros_code give(const struct rows *r, size_t i, model_row_fn fn, void *arg, struct meros_err *err)
{
    const struct model_row m = {
        .model_no = rows_int(r, i, 0),
        .id = rows_text(r, i, 1),
        .kind = rows_text(r, i, 2),
        .name = rows_text(r, i, 3),
        .version = rows_int(r, i, 4),
        .algorithm = rows_text(r, i, 5),
        .params = rows_text(r, i, 6),
        .features = rows_text(r, i, 7),
        .metrics = rows_text(r, i, 8),
        .seed = rows_int(r, i, 9),
        .as_of = rows_time(r, i, 10),
        .evaluated_at = rows_time(r, i, 11),
        .trained_at = rows_time(r, i, 12),
        .data_from = rows_time(r, i, 13),
        .data_to = rows_time(r, i, 14),
        .activated_at = rows_time(r, i, 15),
        .rows = rows_int(r, i, 16),
        .row_hash = rows_bytes(r, i, 17),
        .checksum = rows_bytes(r, i, 18),
        .build = rows_text(r, i, 19),
        .job_id = rows_text(r, i, 20),
        .artifact_bytes = rows_int(r, i, 21),
        .active = rows_bool(r, i, 22),
    };
    return fn(arg, &m, err);
}

enum meros_code store_model_insert(struct store_conn *c, const struct model_row *m, int64_t *out_model_no,
                                   int64_t *out_version, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(
        c, &INSERT, &r, err, P_TEXT(m->id), P_TEXT(m->kind), P_TEXT(m->name), P_TEXT(m->algorithm), P_TEXT(m->params),
        P_TEXT(m->features), P_TEXT(m->metrics), P_INT(m->seed), P_TIME(m->as_of), P_TIME(m->evaluated_at),
        P_TIME(m->trained_at), P_TIME(m->data_from), P_TIME(m->data_to), P_INT(m->rows),
        P_BYTES(m->row_hash.p, m->row_hash.n), P_BYTES(m->checksum.p, m->checksum.n), P_TEXT(m->build), P_TEXT(m->job_id),
        P_BYTES(m->artifact.p, m->artifact.n));
    if (rc != MEROS_OK) return rc;
    *out_model_no = rows_int(&r, 0, 0);
    *out_version = rows_int(&r, 0, 1);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_model_lock(struct store_conn *c, struct str kind, struct str name, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LOCK, &r, err, P_TEXT(kind), P_TEXT(name));
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

enum meros_code store_model_get(struct store_conn *c, struct str id, model_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &BY_ID, &r, err, P_TEXT(id));
    if (rc != MEROS_OK) return rc;
    rc = r.n == 0 ? no_such_model(err) : give(&r, 0, fn, arg, err);
    rows_done(&r);
    return rc;
}

enum meros_code store_model_active(struct store_conn *c, struct str kind, struct str name, model_row_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &ACTIVE, &r, err, P_TEXT(kind), P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    rc = r.n == 0 ? err_set(err, MEROS_NOT_FOUND, "No model of this name is active.") : give(&r, 0, fn, arg, err);
    rows_done(&r);
    return rc;
}

enum meros_code store_model_list(struct store_conn *c, struct str kind, int active, int64_t before, int64_t limit,
                                 model_row_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LIST, &r, err, P_TEXT(kind), P_INT(active), P_INT(before), P_INT(limit));
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r.n && rc == MEROS_OK; i++) rc = give(&r, i, fn, arg, err);
    rows_done(&r);
    return rc;
}

/* A row's one column, or that there is no such model. */
static enum meros_code append_bytes(struct rows *r, struct buf *out, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    if (r->n == 0) {
        rc = no_such_model(err);
    } else {
        const struct str bytes = rows_bytes(r, 0, 0);
        buf_append(out, bytes.p, bytes.n);
        if (out->failed) rc = err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading a model's artifact.");
    }
    rows_done(r);
    return rc;
}

enum meros_code store_model_artifact(struct store_conn *c, int64_t model_no, struct buf *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &ARTIFACT, &r, err, P_INT(model_no));
    return rc == MEROS_OK ? append_bytes(&r, out, err) : rc;
}

enum meros_code store_model_artifact_part(struct store_conn *c, struct str id, size_t from, size_t most, struct buf *out, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &ARTIFACT_PART, &r, err, P_TEXT(id), P_INT((int64_t)from), P_INT((int64_t)most));
    return rc == MEROS_OK ? append_bytes(&r, out, err) : rc;
}

enum meros_code store_model_activate(struct store_conn *c, int64_t model_no, int64_t at, struct meros_err *err)
{
    enum meros_code rc = sql_exec(c, &DEACTIVATE, NULL, err, P_INT(model_no));
    if (rc != MEROS_OK) return rc;
    struct rows r;
    rc = sql_exec(c, &ACTIVATE, &r, err, P_INT(model_no), P_TIME(at));
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = no_such_model(err);
    rows_done(&r);
    if (rc != MEROS_OK) return rc;
    rc = sql_exec0(c, &TELL, &r, err);
    if (rc == MEROS_OK) rows_done(&r);
    return rc;
}

static enum meros_code still_active(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)arg;
    return err_set(err, MEROS_CONFLICT,
                   "The model is the active one of \"%.*s\"; activate another version before deleting it.",
                   (int)m->name.n, m->name.p);
}

enum meros_code store_model_delete(struct store_conn *c, struct str id, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &DELETE, &r, err, P_TEXT(id));
    if (rc != MEROS_OK) return rc;
    const bool gone = r.n == 1;
    rows_done(&r);
    return gone ? MEROS_OK : store_model_get(c, id, still_active, NULL, err);
}
