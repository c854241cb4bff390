/* What a customer has to do with a product, in one number, and how it is weighed.
 *
 * A pair of customer and product has a weight: the sum over what happened between them of the base weight of its kind,
 * halved every half_life_days. The same SQL makes it for training and for a live answer (store/interactions.h).
 *
 *   an event with a product    the weight of its type; a type that is not listed: `other`
 *   review_submitted           its weight times (stars - 3) / 2, stars from 1 to 5: a bad review counts against; without stars 0
 *   a line of an order         `purchase`, whatever the quantity (order_completed and its kin are not counted besides)
 *   a line that is a return    `returned`, usually below 0 (without a quantity: money went back)
 *
 * recommendation_shown is passed over whatever its weight: it is what we did, not what the customer did. */
#ifndef MEROS_DOMAIN_INTERACTION_H
#define MEROS_DOMAIN_INTERACTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/clock.h"
#include "meros/base/str.h"

enum { INTERACTION_TYPES_MAX = 64, INTERACTION_TYPE_MAX = 100 };

struct interaction_weights {
    size_t n;
    char type[INTERACTION_TYPES_MAX][INTERACTION_TYPE_MAX + 1]; /* event types; ascending, each once */
    double weight[INTERACTION_TYPES_MAX];                       /* -100 .. 100 */
    double purchase, returned, other;
    double half_life_days; /* 0: no decay */
};
/* product_viewed 1, product_added 3, product_removed -1, checkout_started 0, recommendation_clicked 1.5, recommendation_shown 0,
 * review_submitted 3, order_completed and the other events of orders 0 (their lines count), purchase 5, returned -5, other 1; no decay. */
extern const struct interaction_weights interaction_weights_default;
/* Sets the weight of a type, in its place. False: no name (1 .. INTERACTION_TYPE_MAX bytes without NUL), or INTERACTION_TYPES_MAX are there. */
bool interaction_weights_put(struct interaction_weights *w, struct str type, double weight);
bool interaction_weights_equal(const struct interaction_weights *a, const struct interaction_weights *b);

/* One pair. */
struct interaction_row {
    int64_t customer_no, product_no;
    double weight;     /* as of the moment asked for */
    int64_t last_at;   /* of the last thing that happened, whatever its weight */
    int64_t bought_at; /* of the last line of positive quantity; TIME_NONE: never, or all of it came back */
    int32_t purchases; /* orders with such a line */
};

#endif
