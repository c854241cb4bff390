/* Transactions and the session's time-outs. */
#include "plumbing.h"

#include <assert.h>
#include <stdio.h>

enum meros_code store_begin(struct store_conn *c, struct meros_err *err)
{
    assert(PQtransactionStatus(c->pg) != PQTRANS_INTRANS);
    return conn_simple(c, "begin", "begin", err);
}

enum meros_code store_begin_snapshot(struct store_conn *c, struct meros_err *err)
{
    assert(PQtransactionStatus(c->pg) != PQTRANS_INTRANS);
    return conn_simple(c, "begin isolation level repeatable read read only", "begin snapshot", err);
}

enum meros_code store_commit(struct store_conn *c, struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    PGresult *r = conn_exec(c, "commit");
    if (PQresultStatus(r) != PGRES_COMMAND_OK) return conn_fail(c, r, "commit", err);
    /* The server answers a commit of a failed transaction with success and the word ROLLBACK. */
    bool committed = strcmp(PQcmdStatus(r), "COMMIT") == 0;
    PQclear(r);
    if (!committed) return err_set(err, MEROS_INTERNAL, "A transaction that had failed was to be committed.");
    return MEROS_OK;
}

enum meros_code store_unforced(struct store_conn *c, struct meros_err *err)
{
    return conn_simple(c, "set local synchronous_commit = off", "unforced commit", err);
}

void store_rollback(struct store_conn *c)
{
    PGTransactionStatusType t = PQtransactionStatus(c->pg);
    if (c->broken || t == PQTRANS_IDLE) return;
    /* Not by conn_simple: a cancelled connection must still be able to roll back. */
    PGresult *r = conn_exec(c, "rollback");
    if (PQresultStatus(r) == PGRES_COMMAND_OK) PQclear(r);
    else conn_fail(c, r, "rollback", NULL);
}

static enum meros_code set_ms(struct store_conn *c, const char *sql, int ms, struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    char text[16];
    snprintf(text, sizeof text, "%d", ms);
    PGresult *r = conn_answer(c, PQsendQueryParams(c->pg, sql, 1, NULL, (const char *const[]){text}, NULL, NULL, 0));
    if (PQresultStatus(r) != PGRES_TUPLES_OK) return conn_fail(c, r, "set timeout", err);
    PQclear(r);
    return MEROS_OK;
}

enum meros_code store_set_timeout(struct store_conn *c, int statement_ms, struct meros_err *err)
{
    const int ms = statement_ms < 0 ? 0 : statement_ms;
    enum meros_code rc = set_ms(c, "select set_config('statement_timeout', $1, false)", ms, err);
    if (rc == MEROS_OK) c->timeout_ms = ms;
    return rc;
}

enum meros_code store_set_standstill(struct store_conn *c, int ms, struct meros_err *err)
{
    return set_ms(c, "select set_config('idle_in_transaction_session_timeout', $1, false)", ms, err);
}

enum meros_code store_set_generic_plans(struct store_conn *c, struct meros_err *err)
{
    enum meros_code rc = conn_ready(c, err);
    if (rc != MEROS_OK) return rc;
    PGresult *r = conn_exec(c, "select set_config('plan_cache_mode', 'force_generic_plan', false)");
    if (PQresultStatus(r) != PGRES_TUPLES_OK) return conn_fail(c, r, "set generic plans", err);
    PQclear(r);
    return MEROS_OK;
}
