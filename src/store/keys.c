#include "meros/store/keys.h"

#include "store_priv.h"

#define KEY_COLUMNS "key_no, key_id, name, hash, scopes, created_at, last_used_at, revoked_at"

static const struct sql INSERT = {
    "key_insert", "insert into api_keys (key_id, name, hash, scopes) values ($1, $2, $3, $4::bigint::integer)", SQL_NOTHING};
static const struct sql ENSURE = {
    "key_ensure",
    "insert into api_keys (key_id, name, hash, scopes) values ($1, $2, $3, $4::bigint::integer) "
    "on conflict (hash) do update set scopes = api_keys.scopes | excluded.scopes, revoked_at = null "
    "where api_keys.revoked_at is not null or api_keys.scopes & excluded.scopes <> excluded.scopes",
    SQL_NOTHING};
static const struct sql LIST = {
    "key_list", "select " KEY_COLUMNS " from api_keys where key_no > $1 order by key_no limit $2", SQL_ROWS};
static const struct sql ACTIVE = {
    "key_active", "select " KEY_COLUMNS " from api_keys where revoked_at is null", SQL_ROWS};
static const struct sql BY_HASH = {
    "key_by_hash", "select " KEY_COLUMNS " from api_keys where hash = $1 and revoked_at is null", SQL_ROW_OR_NONE};
static const struct sql BY_ID = {
    "key_by_id", "select " KEY_COLUMNS " from api_keys where key_id = $1", SQL_ROW_OR_NONE};
/* Touches a revoked key without changing it, so that revoking twice is told from revoking nothing. */
static const struct sql REVOKE = {
    "key_revoke", "update api_keys set revoked_at = coalesce(revoked_at, now()) where key_id = $1 returning key_no",
    SQL_ROW_OR_NONE};
static const struct sql USED = {
    "key_used", "update api_keys set last_used_at = greatest(last_used_at, $2) where key_id = any($1)", SQL_NOTHING};

static void give_rows(const struct rows *r, store_key_fn fn, void *arg)
{
    for (size_t i = 0; i < r->n; i++) {
        struct store_key k = {
            .key_no = rows_int(r, i, 0),
            .id = rows_text(r, i, 1),
            .name = rows_text(r, i, 2),
            .hash = (const unsigned char *)rows_bytes(r, i, 3).p,
            .scopes = (unsigned)rows_int(r, i, 4),
            .created_at = rows_time(r, i, 5),
            .last_used_at = rows_time(r, i, 6),
            .revoked_at = rows_time(r, i, 7),
        };
        fn(arg, &k);
    }
}

static enum meros_code no_such_key(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no API key with this id.");
}

enum meros_code store_key_insert(struct store_conn *c, const char *id, struct str name,
                                 const unsigned char hash[SHA256_BYTES], unsigned scopes, struct meros_err *err)
{
    return sql_exec(c, &INSERT, NULL, err, P_CSTR(id), P_TEXT(name), P_BYTES(hash, SHA256_BYTES), P_INT(scopes));
}

enum meros_code store_key_ensure(struct store_conn *c, const char *id, struct str name,
                                 const unsigned char hash[SHA256_BYTES], unsigned scopes, struct meros_err *err)
{
    return sql_exec(c, &ENSURE, NULL, err, P_CSTR(id), P_TEXT(name), P_BYTES(hash, SHA256_BYTES), P_INT(scopes));
}

enum meros_code store_key_list(struct store_conn *c, int64_t after, int64_t limit, store_key_fn fn, void *arg,
                               struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &LIST, &r, err, P_INT(after), P_INT(limit));
    if (rc != MEROS_OK)
        return rc;
    give_rows(&r, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_key_active(struct store_conn *c, store_key_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &ACTIVE, &r, err);
    if (rc != MEROS_OK)
        return rc;
    give_rows(&r, fn, arg);
    rows_done(&r);
    return MEROS_OK;
}

enum meros_code store_key_by_hash(struct store_conn *c, const unsigned char hash[SHA256_BYTES], store_key_fn fn, void *arg,
                                  struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &BY_HASH, &r, err, P_BYTES(hash, SHA256_BYTES));
    if (rc != MEROS_OK)
        return rc;
    if (r.n == 0)
        rc = no_such_key(err);
    give_rows(&r, fn, arg);
    rows_done(&r);
    return rc;
}

enum meros_code store_key_by_id(struct store_conn *c, struct str id, store_key_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &BY_ID, &r, err, P_TEXT(id));
    if (rc != MEROS_OK)
        return rc;
    if (r.n == 0)
        rc = no_such_key(err);
    give_rows(&r, fn, arg);
    rows_done(&r);
    return rc;
}

enum meros_code store_key_revoke(struct store_conn *c, struct str id, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &REVOKE, &r, err, P_TEXT(id));
    if (rc != MEROS_OK)
        return rc;
    if (r.n == 0)
        rc = no_such_key(err);
    rows_done(&r);
    return rc;
}

enum meros_code store_key_used(struct store_conn *c, const struct str *ids, size_t n, int64_t at, struct meros_err *err)
{
    return sql_exec(c, &USED, NULL, err, P_TEXTS(ids, n), P_TIME(at));
}
