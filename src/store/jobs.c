#include "meros/store/jobs.h"

#include <math.h>
#include <string.h>
#include "store_priv.h"

#define JOB_COLUMNS                                                                                          \
    "job_no, job_id, kind, params::text, state, progress, stage, eta_seconds, created_at, started_at, "      \
    "finished_at, cancel_requested, attempts, result::text, error::text, lease_token"
enum { COL_TOKEN = 15 };

static const struct sql INSERT = {
    "job_insert",
    "insert into jobs (job_id, kind, params, max_attempts, created_by, once) "
    "values ($1, $2, $3::text::json, $4::bigint::integer, $5, $6) on conflict (once) do nothing",
    SQL_NOTHING};
static const struct sql BY_ONCE = {"job_by_once", "select " JOB_COLUMNS " from jobs where once = $1", SQL_ROW_OR_NONE};
static const struct sql GET = {"job_get", "select " JOB_COLUMNS " from jobs where job_id = $1", SQL_ROW_OR_NONE};
static const struct sql GET_MANY = {"job_get_many", "select " JOB_COLUMNS " from jobs where job_id = any($1)", SQL_ROWS};
static const struct sql LIST = {
    "job_list",
    "select " JOB_COLUMNS " from jobs where ($1 = 0 or job_no < $1) and ($2::text is null or state = $2) "
    "and ($3::text is null or kind = $3) order by job_no desc limit $4",
    SQL_ROWS};
static const struct sql CANCEL = {
    "job_cancel",
    "update jobs set cancel_requested = true, "
    "finished_at = case state when 'queued' then now() end, "
    "state = case state when 'queued' then 'cancelled' else state end "
    "where job_id = $1 and state in ('queued', 'running') returning state",
    SQL_ROW_OR_NONE};
static const struct sql EXISTS = {"job_exists", "select state from jobs where job_id = $1", SQL_ROW_OR_NONE};
/* SKIP LOCKED: two claimers never wait for each other nor see the same row. */
static const struct sql CLAIM = {
    "job_claim",
    "update jobs set state = 'running', lease_token = lease_token + 1, attempts = attempts + 1, "
    "lease_until = now() + make_interval(secs => $3), worker = $2, progress = 0, stage = 'starting', eta_seconds = null, "
    "started_at = coalesce(started_at, now()) "
    "where job_no = (select job_no from jobs where kind = any($1) and not cancel_requested and "
    "((state = 'queued' and run_after <= now()) or (state = 'running' and lease_until < now() and attempts < max_attempts)) "
    "order by job_no limit 1 for update skip locked) returning " JOB_COLUMNS,
    SQL_ROW_OR_NONE};
static const struct sql BEAT = {
    "job_beat",
    "update jobs set lease_until = now() + make_interval(secs => $3), progress = greatest(progress, $4), "
    "stage = coalesce($5, stage), eta_seconds = $6 "
    "where job_id = $1 and lease_token = $2 and state = 'running' returning cancel_requested",
    SQL_ROW_OR_NONE};
static const struct sql FENCE = {
    "job_fence", "select 1::bigint from jobs where job_id = $1 and lease_token = $2 and state = 'running' for update",
    SQL_ROW_OR_NONE};
static const struct sql FINISH = {
    "job_finish",
    "update jobs set state = $3, result = $4::text::json, error = $5::text::json, finished_at = now(), lease_until = null, "
    "eta_seconds = null, progress = case $3 when 'succeeded' then 1 else progress end, "
    "stage = case $3 when 'succeeded' then 'done' else stage end "
    "where job_id = $1 and lease_token = $2 and state = 'running'",
    SQL_NOTHING};
/* What was to be cancelled is cancelled rather than queued again. */
static const struct sql REQUEUE = {
    "job_requeue",
    "update jobs set state = case when cancel_requested then 'cancelled' else 'queued' end, "
    "finished_at = case when cancel_requested then now() end, lease_until = null, worker = null, eta_seconds = null, "
    "progress = 0, stage = '', run_after = now() + make_interval(secs => $3), "
    "attempts = attempts - case when $4 then 0 else 1 end "
    "where job_id = $1 and lease_token = $2 and state = 'running'",
    SQL_NOTHING};
static const struct sql EXPIRE = {
    "jobs_expire",
    "update jobs set state = case when cancel_requested then 'cancelled' else 'failed' end, "
    "error = case when cancel_requested then null else $1::text::json end, "
    "finished_at = now(), lease_until = null, eta_seconds = null "
    "where state = 'running' and lease_until < now() and (cancel_requested or attempts >= max_attempts)",
    SQL_NOTHING};
static const struct sql ORPHAN = {
    "jobs_orphan", "update jobs set lease_until = now() - interval '1 second' where state = 'running' and lease_until >= now()",
    SQL_NOTHING};
static const struct sql PRUNE = {
    "jobs_prune", "delete from jobs where finished_at < now() - make_interval(days => $1::bigint::integer)", SQL_NOTHING};
static const struct sql FORGET_ONCE = {
    "jobs_forget_once", "update jobs set once = null where once is not null and created_at < now() - interval '1 day'",
    SQL_NOTHING};
static const struct sql COUNT = {"jobs_count", "select state, count(*) from jobs group by state", SQL_ROWS};

static void read_job(const struct rows *r, size_t i, struct job *out)
{
    *out = (struct job){
        .job_no = rows_int(r, i, 0),
        .id = rows_text(r, i, 1),
        .kind = rows_text(r, i, 2),
        .params = rows_text(r, i, 3),
        .progress = rows_num(r, i, 5),
        .stage = rows_text(r, i, 6),
        .eta_seconds = rows_num(r, i, 7),
        .created_at = rows_time(r, i, 8),
        .started_at = rows_time(r, i, 9),
        .finished_at = rows_time(r, i, 10),
        .cancel_requested = rows_bool(r, i, 11),
        .attempts = (int)rows_int(r, i, 12),
        .result = rows_text(r, i, 13),
        .error = rows_text(r, i, 14),
    };
    if (!job_state_of(rows_text(r, i, 4), &out->state))
        out->state = JOB_FAILED; /* a check constraint forbids any other word */
}

static void give_rows(const struct rows *r, store_job_fn fn, void *arg)
{
    for (size_t i = 0; i < r->n; i++) {
        struct job job;
        read_job(r, i, &job);
        fn(arg, &job);
    }
}

static enum meros_code no_such_job(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no job with this id.");
}

enum meros_code store_job_insert(struct store_conn *c, const char *id, struct str kind, struct str params, int max_attempts,
                                 const char *by, struct str once, bool *out_made, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &INSERT, &r, err, P_CSTR(id), P_TEXT(kind), P_TEXT(params), P_INT(max_attempts),
                                  P_CSTR(by), P_TEXT(once));
    if (rc != MEROS_OK)
        return rc;
    *out_made = r.affected == 1;
    rows_done(&r);
    return MEROS_OK;
}

static enum meros_code one_job(struct store_conn *c, const struct sql *s, struct str by, store_job_fn fn, void *arg,
                               struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, s, &r, err, P_TEXT(by));
    if (rc != MEROS_OK)
        return rc;
    if (r.n == 0)
        rc = no_such_job(err);
    give_rows(&r, fn, arg);
    rows_done(&r);
    return rc;
}

enum meros_code store_job_by_once(struct store_conn *c, struct str once, store_job_fn fn, void *arg, struct meros_err *err)
{
    return one_job(c, &BY_ONCE, once, fn, arg, err);
}

enum meros_code store_job_get(struct store_conn *c, struct str id, store_job_fn fn, void *arg, struct meros_err *err)
{
    return one_job(c, &GET, id, fn, arg, err);
}

enum meros_code store_job_get_many(struct store_conn *c, const struct str *ids, size_t n, store_job_fn fn, void *arg,
                                   struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &GET_MANY, &r, err, P_TEXTS(ids, n));
    if (rc != MEROS_OK)
        return rc;
    give_rows(&r, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_job_list(struct store_conn *c, int state, struct str kind, int64_t before, int64_t limit, store_job_fn fn,
                               void *arg, struct meros_err *err)
{
    struct rows r;
    struct str word = state < 0 ? STR_NONE : str_of(job_state_name((enum job_state)state));
    enum meros_code rc = sql_exec(c, &LIST, &r, err, P_INT(before), P_TEXT(word), P_TEXT(kind), P_INT(limit));
    if (rc != MEROS_OK)
        return rc;
    give_rows(&r, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_job_cancel(struct store_conn *c, struct str id, enum job_state *out_state, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &CANCEL, &r, err, P_TEXT(id));
    if (rc != MEROS_OK)
        return rc;
    bool done = r.n == 1 && job_state_of(rows_text(&r, 0, 0), out_state);
    rows_done(&r);
    if (done)
        return MEROS_OK;
    rc = sql_exec(c, &EXISTS, &r, err, P_TEXT(id));
    if (rc != MEROS_OK)
        return rc;
    enum job_state state = JOB_QUEUED;
    if (r.n == 0)
        rc = no_such_job(err);
    else if (job_state_of(rows_text(&r, 0, 0), &state))
        rc = err_set(err, MEROS_CONFLICT, "The job has already ended: it has %s.",
                     state == JOB_CANCELLED ? "been cancelled" : job_state_name(state));
    rows_done(&r);
    return rc;
}

enum meros_code store_job_claim(struct store_conn *c, const struct str *kinds, size_t n_kinds, const char *worker, double lease_seconds,
                                bool *out_claimed, struct store_lease *out, store_job_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &CLAIM, &r, err, P_TEXTS(kinds, n_kinds), P_CSTR(worker), P_NUM(lease_seconds));
    if (rc != MEROS_OK)
        return rc;
    *out_claimed = r.n == 1;
    if (r.n == 1) {
        *out = (struct store_lease){.token = rows_int(&r, 0, COL_TOKEN)};
        if (!str_copy(out->job_id, sizeof out->job_id, rows_text(&r, 0, 1)))
            rc = err_set(err, MEROS_INTERNAL, "A job in the queue has an id that is too long.");
        else
            give_rows(&r, fn, arg);
    }
    rows_done(&r);
    return rc;
}

enum meros_code store_job_beat(struct store_conn *c, const struct store_lease *l, double lease_seconds, double progress, const char *stage,
                               double eta, bool *out_held, bool *out_cancel, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &BEAT, &r, err, P_CSTR(l->job_id), P_INT(l->token), P_NUM(lease_seconds), P_NUM(progress),
                                  P_CSTR(stage), isnan(eta) ? P_NULL : P_NUM(eta));
    if (rc != MEROS_OK)
        return rc;
    *out_held = r.n == 1;
    *out_cancel = r.n == 1 && rows_bool(&r, 0, 0);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_job_fence(struct store_conn *c, const struct store_lease *l, bool *out_held, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &FENCE, &r, err, P_CSTR(l->job_id), P_INT(l->token));
    if (rc != MEROS_OK)
        return rc;
    *out_held = r.n == 1;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_job_finish(struct store_conn *c, const struct store_lease *l, enum job_state state, struct str result,
                                 struct str error, bool *out_held, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &FINISH, &r, err, P_CSTR(l->job_id), P_INT(l->token), P_CSTR(job_state_name(state)),
                                  P_TEXT(result), P_TEXT(error));
    if (rc != MEROS_OK)
        return rc;
    *out_held = r.affected == 1;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_job_requeue(struct store_conn *c, const struct store_lease *l, double delay_seconds, bool counted, bool *out_held,
                                  struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &REQUEUE, &r, err, P_CSTR(l->job_id), P_INT(l->token), P_NUM(delay_seconds), P_BOOL(counted));
    if (rc != MEROS_OK)
        return rc;
    *out_held = r.affected == 1;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_jobs_expire(struct store_conn *c, struct str error, int64_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &EXPIRE, &r, err, P_TEXT(error));
    if (rc != MEROS_OK)
        return rc;
    *out_n = r.affected;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_jobs_orphan(struct store_conn *c, int64_t *out_n, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &ORPHAN, &r, err);
    if (rc != MEROS_OK)
        return rc;
    *out_n = r.affected;
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_jobs_prune(struct store_conn *c, int days, struct meros_err *err)
{
    enum meros_code rc = sql_exec(c, &PRUNE, NULL, err, P_INT(days));
    return rc != MEROS_OK ? rc : sql_exec0(c, &FORGET_ONCE, NULL, err);
}

enum meros_code store_jobs_count(struct store_conn *c, int64_t out[JOB_STATE_COUNT], struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &COUNT, &r, err);
    if (rc != MEROS_OK)
        return rc;
    memset(out, 0, JOB_STATE_COUNT * sizeof *out);
    for (size_t i = 0; i < r.n; i++) {
        enum job_state state;
        if (job_state_of(rows_text(&r, i, 0), &state))
            out[state] = rows_int(&r, i, 1);
    }
    rows_done(&r);
    return MEROS_OK;
}
