/* What all customers will be worth: one consistent picture of everybody's histories in arrays, and the model that they are
 * judged by. A customer's numbers are those of one customer live (service/clv.h). For use within the service; lists, tiers
 * and segments are made of it.
 *
 *   struct clv_population p;
 *   clv_population_read(svc, NULL, TIME_NONE, NULL, NULL, &p, err);
 *   clv_population_score(&p, &ask, 0, p.n, answers);      // or in parts, by several threads
 *   clv_population_done(&p);
 */
#ifndef MEROS_SERVICE_CLV_POPULATION_H
#define MEROS_SERVICE_CLV_POPULATION_H

#include <stddef.h>
#include <stdint.h>
#include "meros/codec/json.h"
#include "meros/domain/purchase_days.h"
#include "meros/ml/clv.h"
#include "meros/model/snapshot.h"
#include "meros/service/clv.h"

struct store_conn;

/* Those who have bought by the day that they are looked at, in the order of customer_no. */
struct clv_population {
    const struct snapshot *models;     /* retained; NULL: the model is the caller's */
    const struct snapshot_clv *model;  /* never NULL */
    int64_t at;                        /* the moment that the picture is of */
    size_t n;
    int64_t *customer_no;
    int32_t *x, *t_x, *t, *valued;     /* domain/purchase_days.h; times in days */
    double *mean_value;
    float *covariates;                 /* (n, n_covariates), NaN: not known; NULL: the model has none */
    int n_covariates;
};
/* at: TIME_NONE: the present (of a model trained for the past: that moment and what came later); else as of the end of that
 * day. Reads through `c`, on which no transaction is open, or (NULL) a connection of its own. step, when given, is asked
 * every so often; false stops the work with CANCELLED. NOT_FOUND: no model. OUT_OF_MEMORY over the budget of a job. */
enum meros_code clv_population_read(struct service *svc, struct store_conn *c, int64_t at, bool (*step)(void *arg), void *arg,
                                    struct clv_population *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The present, by a model that is not published yet, in the caller's transaction. `model` must outlive the population. */
enum meros_code clv_population_read_by(struct service *svc, struct store_conn *c, const struct snapshot_clv *model,
                                       struct clv_population *out, struct meros_err *err) MEROS_MUSTCHECK;
void clv_population_done(struct clv_population *p); /* an all-zero one is fine */
/* out[i - from] of customer i, from <= i < to. Pure. */
void clv_population_score(const struct clv_population *p, const struct clv_ask *ask, size_t from, size_t to,
                          struct clv_answer *out);
struct clv_question clv_question_of(const struct clv_ask *ask);

/* Into an object that is begun, what one customer will be worth: p_alive, expected_orders, p_order, expected_order_value, clv,
 * interval, horizon_days, discount_rate, next_order_at, basis ("customer", or "population" where nothing of the customer's own
 * went into it), model, evaluated_at; full: also weights, history and, if asked, breakdown. covariates may be NULL. */
void clv_write(struct jsonw *w, const struct snapshot_clv *m, const struct clv_ask *ask, const struct purchase_history *history,
               const double *covariates, int64_t at, bool full);

#endif
