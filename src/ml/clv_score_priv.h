/* The two halves of clv_score, for whoever computes each once for all customers who have it in common (clv_all.c). */
#ifndef MEROS_ML_CLV_SCORE_PRIV_H
#define MEROS_ML_CLV_SCORE_PRIV_H

#include "meros/ml/clv.h"

/* The chance of still being active: of x, t_x and t. */
double clv_alive(const struct clv_purchase_model *m, const struct clv_history *h);

/* Purchases in the horizon of somebody who is active at its beginning: of x and t alone. */
struct clv_active {
    double orders, discounted;
};
struct clv_active clv_if_active(const struct clv_purchase_model *m, const struct clv_question *q, const struct clv_history *h);

#endif
