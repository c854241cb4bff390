#include "meros/store/idempotency.h"

#include "store_priv.h"

/* Also takes over what is a day old, and what a process that died had reserved. */
static const struct sql RESERVE = {
    "idempotency_reserve",
    "insert into idempotency (ref, locked_until) values ($1, now() + make_interval(secs => $2)) "
    "on conflict (ref) do update set token = default, locked_until = excluded.locked_until, created_at = now(), "
    "fingerprint = null, status = null, answer = null "
    "where idempotency.created_at < now() - interval '1 day' "
    "or (idempotency.answer is null and idempotency.locked_until < now()) returning token",
    SQL_ROW_OR_NONE};
static const struct sql SELECT = {
    "idempotency_select", "select fingerprint, status, answer from idempotency where ref = $1", SQL_ROW_OR_NONE};
static const struct sql FINISH = {
    "idempotency_finish",
    "update idempotency set locked_until = null, fingerprint = $3, status = $4::bigint::integer, answer = $5 "
    "where ref = $1 and token = $2",
    SQL_NOTHING};
static const struct sql DROP = {
    "idempotency_drop", "delete from idempotency where ref = $1 and token = $2 and answer is null", SQL_NOTHING};
static const struct sql EXTEND = {
    "idempotency_extend",
    "update idempotency set locked_until = now() + make_interval(secs => $2) where token = any($1) and answer is null",
    SQL_NOTHING};
static const struct sql SWEEP = {
    "idempotency_sweep",
    "delete from idempotency where created_at < now() - interval '1 day' and (answer is not null or locked_until < now())",
    SQL_NOTHING};

enum meros_code store_idempotency_begin(struct store_conn *c, const char *ref, double lock_seconds, enum store_idempotent_state *out,
                                        int64_t *out_token, store_answer_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &RESERVE, &r, err, P_CSTR(ref), P_NUM(lock_seconds));
    if (rc != MEROS_OK)
        return rc;
    if (r.n == 1) {
        *out_token = rows_int(&r, 0, 0);
        *out = STORE_IDEMPOTENT_OURS;
        rows_done(&r);
        return MEROS_OK;
    }
    rows_done(&r);
    rc = sql_exec(c, &SELECT, &r, err, P_CSTR(ref));
    if (rc != MEROS_OK)
        return rc;
    /* Gone since: whoever held it dropped it this moment. Busy makes the client ask again, which is right. */
    *out = STORE_IDEMPOTENT_BUSY;
    if (r.n == 1 && !rows_null(&r, 0, 2)) {
        *out = STORE_IDEMPOTENT_DONE;
        fn(arg, rows_bytes(&r, 0, 0), (int)rows_int(&r, 0, 1), rows_bytes(&r, 0, 2));
    }
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_idempotency_finish(struct store_conn *c, const char *ref, int64_t token, struct str fingerprint, int status,
                                         struct str answer, struct meros_err *err)
{
    return sql_exec(c, &FINISH, NULL, err, P_CSTR(ref), P_INT(token), P_BYTES(fingerprint.p, fingerprint.n), P_INT(status),
                    P_BYTES(answer.p, answer.n));
}

enum meros_code store_idempotency_drop(struct store_conn *c, const char *ref, int64_t token, struct meros_err *err)
{
    return sql_exec(c, &DROP, NULL, err, P_CSTR(ref), P_INT(token));
}

enum meros_code store_idempotency_extend(struct store_conn *c, const int64_t *tokens, size_t n, double lock_seconds, struct meros_err *err)
{
    return sql_exec(c, &EXTEND, NULL, err, P_INTS(tokens, n), P_NUM(lock_seconds));
}

enum meros_code store_idempotency_sweep(struct store_conn *c, struct meros_err *err)
{
    return sql_exec0(c, &SWEEP, NULL, err);
}
