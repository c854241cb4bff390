/* Shared by serving.c (threads, queue, models) and serving_answer.c (what an answer says). */
#ifndef MEROS_SERVING_PRIV_H
#define MEROS_SERVING_PRIV_H

#include "meros/base/arena.h"
#include "meros/domain/stats.h"
#include "meros/codec/json.h"
#include "meros/model/snapshot.h"
#include "meros/service/serving.h"
#include "meros/store/stats.h"

struct stored_membership { /* what the memberships table says of one customer */
    struct str segmentation, segment_id;
    int64_t since;
    struct stored_membership *next;
};

/* The answer to GET /v1/customers/{id}, one JSON object. at: as asked (TIME_NONE: now). attributes: parsed, or NULL where
 * no model needs them. */
void serving_write_customer(struct buf *out, const struct customer_state *state, const struct json *attributes,
                            const struct snapshot *models, const struct stored_membership *memberships, int64_t at,
                            int64_t now, double half_life_days);

#endif
