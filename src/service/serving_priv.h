/* Shared by serving.c (threads, queue, models) and serving_answer.c (what an answer says). */
#ifndef MEROS_SERVING_PRIV_H
#define MEROS_SERVING_PRIV_H

#include "meros/base/arena.h"
#include "meros/domain/stats.h"
#include "meros/codec/json.h"
#include "meros/model/snapshot.h"
#include "meros/service/serving.h"
#include "meros/store/days.h"
#include "meros/store/stats.h"

struct stored_membership { /* what the memberships table says of one customer */
    struct str segmentation, segment_id;
    int64_t since;
    struct stored_membership *next;
};

/* What is known of one customer, and when and with what it is looked at. */
struct serving_view {
    const struct customer_state *state;
    const struct json *attributes; /* parsed, or NULL where no model needs them */
    const struct customer_purchases *purchases;
    const struct snapshot *models;
    const struct stored_membership *memberships;
    int64_t at, now; /* at: as asked (TIME_NONE: now) */
    double half_life_days;
};

/* The answer to GET /v1/customers/{id}, one JSON object. */
void serving_write_customer(struct buf *out, const struct serving_view *v);
/* That to GET /v1/customers/{id}/clv. A model must be there. */
void serving_write_clv(struct buf *out, const struct serving_view *v, const struct clv_ask *ask);

#endif
