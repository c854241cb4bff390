/* Rules of recommendations and experiments at rest (service/reco_rules.h says what they mean). Every change is told on
 * STORE_RECO_RULES_CHANNEL. */
#ifndef MEROS_STORE_RECO_RULES_H
#define MEROS_STORE_RECO_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/store.h"

#define STORE_RECO_RULES_CHANNEL "meros_reco_rules"
enum { RECO_RULES_MAX = 500, RECO_ARM_CAP = 32 };

struct reco_rule_row {
    struct str name, definition; /* JSON */
    int64_t created_at, changed_at;
};
typedef void (*reco_rule_fn)(void *arg, const struct reco_rule_row *r); /* views live during the call */

/* Makes or replaces; *out_created tells which. CONFLICT where there are RECO_RULES_MAX. */
enum meros_code store_reco_rule_put(struct store_conn *c, struct str name, struct str definition, bool *out_created,
                                    struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_reco_rule_get(struct store_conn *c, struct str name, reco_rule_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_reco_rule_list(struct store_conn *c, struct str after, int64_t limit, reco_rule_fn fn, void *arg,
                                     struct meros_err *err) MEROS_MUSTCHECK; /* by name */
enum meros_code store_reco_rule_delete(struct store_conn *c, struct str name, struct meros_err *err) MEROS_MUSTCHECK; /* NOT_FOUND */

struct reco_experiment_row {
    int64_t experiment_no;
    struct str name, arms[2]; /* words of strategies */
    double share_of_second;
    bool interleave;
    int64_t started_at, ended_at; /* TIME_NONE: it runs */
};
typedef void (*reco_experiment_fn)(void *arg, const struct reco_experiment_row *x);

/* The one that runs; fn is not called where none does. */
enum meros_code store_reco_experiment_running(struct store_conn *c, reco_experiment_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_reco_experiments_all(struct store_conn *c, reco_experiment_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Inside the caller's transaction: ends the one that runs and starts this one. CONFLICT if another request does so at this moment. */
enum meros_code store_reco_experiment_start(struct store_conn *c, const struct reco_experiment_row *x, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_reco_experiment_end(struct store_conn *c, bool *out_any, struct meros_err *err) MEROS_MUSTCHECK;

#endif
