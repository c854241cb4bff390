/* Which customers would want a product: GET /v1/products/{id}/likely-buyers.
 *
 * In two steps. The database adds up, over everybody's pairs with the products that speak for this one in the active model
 * (recommender_voices), who comes into question; of these many more than are asked for are then scored as GET
 * /v1/customers/{id}/recommendations scores this one product for them, from the same history, so that scores and their order are the same.
 * Nearly all of the time is the first step, one pass of the database over all events and lines of orders: 0.15 s of its CPU of 177,000 events
 * of 20,000 customers, some 2 s of 2,000,000. Histories come from the shelves in memory, and by 128 from the database where they are not there. */
#ifndef MEROS_SERVICE_LIKELY_BUYERS_H
#define MEROS_SERVICE_LIKELY_BUYERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/recommend_words.h"
#include "meros/service/service.h"

enum { LIKELY_BUYERS_MAX = 1000, LIKELY_BUYERS_TIMEOUT_MS = 30000 };

struct likely_buyer {
    struct str customer_id;
    double score;
    int64_t bought_at; /* TIME_NONE: never, or all of it came back */
};
struct likely_buyers { /* all in the arena */
    enum recommend_strategy strategy;
    const char *model_id, *algorithm;
    int model_version;
    bool known;                /* the model knows the product: somebody had to do with it when it was trained */
    size_t considered;         /* customers who were scored */
    struct likely_buyer *data; /* best first */
    size_t n;
};
/* strategy AUTO: the model's own. NOT_FOUND: no such product, or no model is active. UNPROCESSABLE: a strategy that says the same to
 * everybody, or that the model has not. exclude_purchased leaves out who has it, but for whom it is due again. Blocks. */
enum meros_code likely_buyers(struct service *svc, struct str product_id, enum recommend_strategy strategy, size_t limit,
                              bool exclude_purchased, struct arena *arena, struct likely_buyers *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
