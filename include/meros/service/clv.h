/* What a customer will be worth: training, and one customer live.
 *
 * One customer: serving_ask with `clv` set (service/serving.h), answered from the active model and the customer's present
 * days by one indexed look-up, true as of the last commit; the same numbers, without an interval, are the `clv` of
 * GET /v1/customers/{id}. NOT_FOUND in words while no model is active. Everybody: service/clv_population.h. */
#ifndef MEROS_SERVICE_CLV_H
#define MEROS_SERVICE_CLV_H

#include <stdbool.h>
#include "meros/base/err.h"
#include "meros/service/jobs.h"
#include "meros/service/service.h"

extern const struct job_kind training_clv_kind; /* "train.clv" */

/* What is asked of a customer, or of everybody. */
struct clv_ask {
    double horizon_days; /* CLV_HORIZON_DAYS where nobody says otherwise; 0 to a hundred years */
    double discount_rate; /* a year: 0.1 is 10 %; CLV_DISCOUNT_RATE */
    double level;         /* of the interval: CLV_LEVEL; 0: none, several times as fast */
    bool by_month;        /* with `breakdown` */
};
#define CLV_HORIZON_DAYS 365.0
#define CLV_DISCOUNT_RATE 0.1
#define CLV_LEVEL 0.9
#define CLV_ASK_USUAL ((struct clv_ask){CLV_HORIZON_DAYS, CLV_DISCOUNT_RATE, CLV_LEVEL, false})
/* NOT_FOUND, in words: no model of lifetime value is active. */
enum meros_code clv_no_model(struct meros_err *err);

#endif
