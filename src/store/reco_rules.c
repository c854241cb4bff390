#include "meros/store/reco_rules.h"

#include "store_priv.h"

#define RULE "select name, definition::text, created_at, changed_at from recommendation_rules "
#define EXPERIMENT                                                                                           \
    "select experiment_no, name, first_arm, second_arm, share_of_second, interleave, started_at, ended_at from recommendation_experiments "

/* Of one that is there, xmax is the transaction that replaces it. */
static const struct sql PUT = {
    "reco_rule_put",
    "insert into recommendation_rules as r (name, definition) select $1, $2::jsonb "
    "where exists (select from recommendation_rules where name = $1) or (select count(*) from recommendation_rules) < $3 "
    "on conflict (name) do update set definition = excluded.definition, changed_at = now() returning xmax = 0", SQL_ROW_OR_NONE};
static const struct sql GET = {"reco_rule_get", RULE "where name = $1", SQL_ROW_OR_NONE};
static const struct sql LIST = {"reco_rule_list", RULE "where name > $1 order by name limit $2", SQL_ROWS};
static const struct sql DELETE = {"reco_rule_delete", "delete from recommendation_rules where name = $1 returning 1", SQL_ROW_OR_NONE};

static const struct sql RUNNING = {"reco_experiment_running", EXPERIMENT "where ended_at is null", SQL_ROWS};
static const struct sql ALL = {"reco_experiments_all", EXPERIMENT "order by experiment_no", SQL_ROWS};
static const struct sql START = {
    "reco_experiment_start",
    "insert into recommendation_experiments (name, first_arm, second_arm, share_of_second, interleave) values ($1, $2, $3, $4, $5)", SQL_NOTHING};
static const struct sql END = {
    "reco_experiment_end", "update recommendation_experiments set ended_at = now() where ended_at is null returning 1", SQL_ROWS};

static enum meros_code give_rules(enum meros_code rc, struct rows *r, reco_rule_fn fn, void *arg)
{
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r->n; i++) {
        const struct reco_rule_row x = {rows_text(r, i, 0), rows_text(r, i, 1), rows_time(r, i, 2), rows_time(r, i, 3)};
        fn(arg, &x);
    }
    rows_done(r);
    return MEROS_OK;
}

static enum meros_code no_such_rule(struct meros_err *err)
{
    return err_set(err, MEROS_NOT_FOUND, "There is no rule with this name; GET /v1/recommendations/rules lists those that exist.");
}

enum meros_code store_reco_rule_put(struct store_conn *c, struct str name, struct str definition, bool *out_created, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &PUT, &r, err, P_TEXT(name), P_TEXT(definition), P_INT(RECO_RULES_MAX));
    if (rc != MEROS_OK) return rc;
    if (r.n == 1) *out_created = rows_bool(&r, 0, 0);
    else rc = err_set(err, MEROS_CONFLICT, "There are %d rules, as many as there may be; delete one first.", RECO_RULES_MAX);
    rows_done(&r);
    return rc;
}

enum meros_code store_reco_rule_get(struct store_conn *c, struct str name, reco_rule_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &GET, &r, err, P_TEXT(name));
    if (rc == MEROS_OK && r.n == 0) {
        rows_done(&r);
        return no_such_rule(err);
    }
    return give_rules(rc, &r, fn, arg);
}

enum meros_code store_reco_rule_list(struct store_conn *c, struct str after, int64_t limit, reco_rule_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    return give_rules(sql_exec(c, &LIST, &r, err, P_TEXT(after), P_INT(limit)), &r, fn, arg);
}

enum meros_code store_reco_rule_delete(struct store_conn *c, struct str name, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec(c, &DELETE, &r, err, P_TEXT(name));
    if (rc != MEROS_OK) return rc;
    if (r.n == 0) rc = no_such_rule(err);
    rows_done(&r);
    return rc;
}

static enum meros_code give_experiments(enum meros_code rc, struct rows *r, reco_experiment_fn fn, void *arg)
{
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < r->n; i++) {
        const struct reco_experiment_row x = {rows_int(r, i, 0), rows_text(r, i, 1), {rows_text(r, i, 2), rows_text(r, i, 3)},
                                              rows_num(r, i, 4), rows_bool(r, i, 5), rows_time(r, i, 6), rows_time(r, i, 7)};
        fn(arg, &x);
    }
    rows_done(r);
    return MEROS_OK;
}

enum meros_code store_reco_experiment_running(struct store_conn *c, reco_experiment_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    return give_experiments(sql_exec0(c, &RUNNING, &r, err), &r, fn, arg);
}

enum meros_code store_reco_experiments_all(struct store_conn *c, reco_experiment_fn fn, void *arg, struct meros_err *err)
{
    struct rows r;
    return give_experiments(sql_exec0(c, &ALL, &r, err), &r, fn, arg);
}

enum meros_code store_reco_experiment_start(struct store_conn *c, const struct reco_experiment_row *x, struct meros_err *err)
{
    bool any;
    enum meros_code rc = store_reco_experiment_end(c, &any, err);
    if (rc == MEROS_OK)
        rc = sql_exec(c, &START, NULL, err, P_TEXT(x->name), P_TEXT(x->arms[0]), P_TEXT(x->arms[1]), P_NUM(x->share_of_second), P_BOOL(x->interleave));
    return rc != MEROS_CONFLICT ? rc : err_set(err, rc, "Another request starts an experiment at this moment.");
}

enum meros_code store_reco_experiment_end(struct store_conn *c, bool *out_any, struct meros_err *err)
{
    struct rows r;
    enum meros_code rc = sql_exec0(c, &END, &r, err);
    if (rc != MEROS_OK) return rc;
    *out_any = r.n > 0;
    rows_done(&r);
    return MEROS_OK;
}
