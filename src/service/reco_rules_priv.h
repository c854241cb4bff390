/* What the files of rules share, and for tests of what goes by rules: made ones instead of those of a database. */
#ifndef MEROS_SERVICE_RECO_RULES_PRIV_H
#define MEROS_SERVICE_RECO_RULES_PRIV_H

#include "meros/service/reco_rules.h"

/* Fills svc->reco_rules if it is empty and puts these in the place of what was there; the texts of the rules and of the experiment
 * (NULL: none) stay the caller's and must live as long. reco_rules_free at the end. */
enum meros_code reco_rules_set(struct service *svc, const struct reco_rule *rules, size_t n, const struct reco_experiment_info *experiment,
                               struct meros_err *err) MEROS_MUSTCHECK;

/* The order of product ids in a rule, for qsort and bsearch. */
static inline int reco_rule_by_id(const void *a, const void *b)
{
    const struct str *x = a, *y = b;
    const size_t n = x->n < y->n ? x->n : y->n;
    const int c = n == 0 ? 0 : memcmp(x->p, y->p, n);
    return c != 0 ? c : (x->n > y->n) - (x->n < y->n);
}

#endif
