/* Migrations. Any number of starters may come at once: a session-level advisory lock lets one work while the
 * others wait and then find nothing to do. Each file runs in a transaction together with the row that records
 * it, so a killed migration leaves nothing behind. */
#include "plumbing.h"

#include <stdio.h>
#include <stdlib.h>
#include "meros/base/crypto.h"
#include "meros/base/log.h"

/* The files of sql/migrations, in order of name (see .ci/embed), each followed by a NUL. */
extern const struct embedded {
    const char *name, *begin, *end;
} store_migrations[];

static const struct sql LOCK = {"migrate_lock", "select pg_advisory_lock(5280531474083053617)", SQL_ROW};
static const struct sql UNLOCK = {"migrate_unlock", "select pg_advisory_unlock(5280531474083053617)",
                                  SQL_ROW};
static const struct sql PATIENCE = {"migrate_patience", "select set_config('lock_timeout', '0', false)",
                                    SQL_ROW};
static const struct sql EXISTS = {"migrate_exists", "select to_regclass('schema_migrations') is not null",
                                  SQL_ROW};
static const struct sql APPLIED = {
    "migrate_applied", "select version, name, checksum from schema_migrations order by version", SQL_ROWS};
static const struct sql RECORD = {
    "migrate_record", "insert into schema_migrations (version, name, checksum) values ($1, $2, $3)",
    SQL_NOTHING};
static const char create_table[] =
    "create table if not exists schema_migrations (version integer primary key, name text not null,"
    " checksum text not null, applied_at timestamptz not null default now())";

static int version_of(const struct embedded *m)
{
    return (int)strtol(m->name, NULL, 10);
}

static void checksum_of(const struct embedded *m, char out[2 * SHA256_BYTES + 1])
{
    unsigned char digest[SHA256_BYTES];
    crypto_sha256(m->begin, (size_t)(m->end - m->begin), digest);
    hex_encode(digest, sizeof digest, out);
}

/* Compares what the database says with our files. *out_n: how many of ours are applied, CONFLICT if they do
 * not match one for one from the first. */
static enum meros_code compare(struct store_conn *c, int *out_n, struct meros_err *err)
{
    struct rows r = {0};
    enum meros_code rc = sql_exec0(c, &EXISTS, &r, err);
    bool exists = rc == MEROS_OK && rows_bool(&r, 0, 0);
    rows_done(&r);
    if (rc == MEROS_OK && exists) rc = sql_exec0(c, &APPLIED, &r, err);
    if (rc != MEROS_OK) return rc;
    size_t i = 0;
    for (; rc == MEROS_OK && i < r.n; i++) {
        const struct embedded *m = &store_migrations[i];
        int version = (int)rows_int(&r, i, 0);
        char checksum[2 * SHA256_BYTES + 1];
        struct str name = rows_text(&r, i, 1);
        if (m->name == NULL)
            rc = err_set(
                err, MEROS_CONFLICT,
                "The database is newer than this program: it has migration %04d, which this version does not "
                "know. Use the newer program.",
                version);
        else if (version != version_of(m))
            rc = err_set(
                err, MEROS_CONFLICT,
                "The database and this program disagree about history: where the database has migration %04d "
                "(%.*s), the program has %s.",
                version, (int)name.n, name.p, m->name);
        else if (checksum_of(m, checksum), !str_is(rows_text(&r, i, 2), checksum))
            rc = err_set(
                err, MEROS_CONFLICT,
                "Migration %s was applied to this database in another form than this program has. Migrations "
                "never change once released; use the program that applied it.",
                m->name);
    }
    *out_n = (int)i;
    rows_done(&r);
    return rc;
}

static enum meros_code apply(struct store_conn *c, const struct embedded *m, struct meros_err *err)
{
    enum meros_code rc = store_begin(c, err);
    if (rc != MEROS_OK) return rc;
    PGresult *r = conn_exec(c, m->begin);
    ExecStatusType status = PQresultStatus(r);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        const char *state = PQresultErrorField(r, PG_DIAG_SQLSTATE);
        const char *text = PQresultErrorField(r, PG_DIAG_MESSAGE_PRIMARY),
                   *at = PQresultErrorField(r, PG_DIAG_STATEMENT_POSITION);
        char primary[300];
        sqlstate_primary(state == NULL ? "" : state, text == NULL ? "the connection was lost" : text, primary,
                         sizeof primary);
        int line = 1;
        for (long i = 0, end = at == NULL ? 0 : strtol(at, NULL, 10); i < end && m->begin[i]; i++)
            line += m->begin[i] == '\n';
        rc = conn_fail(c, r, m->name, err);
        rc = err_set(err, rc, "Migration %s failed near line %d: %s. Nothing of it was kept.", m->name, line,
                     primary);
        store_rollback(c);
        return rc;
    }
    PQclear(r);
    char checksum[2 * SHA256_BYTES + 1];
    checksum_of(m, checksum);
    rc = sql_exec(c, &RECORD, NULL, err, P_INT(version_of(m)), P_CSTR(m->name), P_CSTR(checksum));
    if (rc == MEROS_OK) rc = store_commit(c, err);
    if (rc != MEROS_OK) store_rollback(c);
    return rc;
}

enum meros_code store_migrate(struct store_pool *p, int *out_applied, int *out_version, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct rows r = {0};
    int n = 0, applied = 0;
    enum meros_code rc = store_connect(p, &c, err);
    if (rc != MEROS_OK) return rc;
    if ((rc = store_set_timeout(c, 0, err)) != MEROS_OK) goto out;
    if ((rc = sql_exec0(c, &PATIENCE, &r, err)) != MEROS_OK) goto out;
    rows_done(&r);
    if ((rc = sql_exec0(c, &LOCK, &r, err)) != MEROS_OK) goto out;
    rows_done(&r);
    if ((rc = compare(c, &n, err)) != MEROS_OK) goto out;
    if (store_migrations[n].name != NULL) rc = conn_simple(c, create_table, "migrate_create_table", err);
    for (; rc == MEROS_OK && store_migrations[n].name != NULL; n++) {
        rc = apply(c, &store_migrations[n], err);
        if (rc == MEROS_OK) {
            applied++;
            log_info("store.migrated", KV("file", store_migrations[n].name));
        }
    }
    if (rc != MEROS_OK) goto out;
    rc = sql_exec0(c, &UNLOCK, &r, err);
    if (rc != MEROS_OK) goto out;
    *out_applied = applied;
    *out_version = n == 0 ? 0 : version_of(&store_migrations[n - 1]);
out:
    rows_done(&r);
    store_disconnect(c); /* gives the lock back on every path */
    return rc;
}

enum meros_code store_schema_current(struct store_pool *p, bool *out_current, int *out_version,
                                     struct meros_err *err)
{
    struct store_conn *c = NULL;
    int n = 0;
    enum meros_code rc = store_acquire(p, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = compare(c, &n, err);
    store_release(p, c);
    if (rc != MEROS_OK) return rc;
    *out_current = store_migrations[n].name == NULL;
    *out_version = n == 0 ? 0 : version_of(&store_migrations[n - 1]);
    return MEROS_OK;
}
