/* Rules of audiences as SQL: a FROM clause over customers c and a condition that is true or false, never null. */
#ifndef MEROS_STORE_AUDIENCE_SQL_PRIV_H
#define MEROS_STORE_AUDIENCE_SQL_PRIV_H

#include "meros/base/buf.h"
#include "meros/store/audiences.h"
#include "store_priv.h"

/* What a client wrote, in the order in which the text asks for it: element i of an array parameter. */
struct audience_sql {
    struct buf from, where;
    struct str *texts;
    double *nums;
    int64_t *times;
    size_t n_texts, n_nums, n_times;
    struct arena arena; /* of the above */
};
/* Parameters of every such statement; its own ones come behind them. */
enum { AUDIENCE_PARAMS = 5, AUDIENCE_PARAMS_MAX = AUDIENCE_PARAMS + 2 };
/* everybody: the statement looks at all customers; else at some, in the order of their numbers, until it has enough. */
enum meros_code audience_sql_make(struct audience_sql *x, const struct audience_question *q, bool everybody, struct meros_err *err) MEROS_MUSTCHECK;
void audience_sql_params(const struct audience_sql *x, const struct audience_question *q, struct sql_param out[AUDIENCE_PARAMS]);
void audience_sql_done(struct audience_sql *x); /* after a failure too */

#endif
