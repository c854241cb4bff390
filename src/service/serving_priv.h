/* Shared by serving.c (threads, queue, models), serving_fetch.c (what the database says) and serving_answer.c (what an answer
 * says). */
#ifndef MEROS_SERVING_PRIV_H
#define MEROS_SERVING_PRIV_H

#include "meros/base/arena.h"
#include "meros/domain/stats.h"
#include "meros/codec/json.h"
#include "meros/model/snapshot.h"
#include "audiences_priv.h"
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
    const struct audience_set *audiences;   /* NULL: of the past nobody can say who was in them */
    const struct audience_subject *subject; /* for them; NULL where there are none */
};

/* --- what the database says of many customers at once */
struct serving_query {
    const struct str *ids;
    const int64_t *ats;  /* the moment each is asked about; TIME_NONE: the present */
    size_t n, whole;     /* of the first `whole` everything is wanted; of the others who they are and when they bought */
    const struct snapshot *models;
    const struct audience_set *audiences; /* that the whole ones are judged by; NULL: none */
    int64_t now;
    double half_life_days;
    bool attributes;     /* a model or an audience needs them parsed */
};
struct serving_found { /* everything in the arena */
    struct customer_state *states;         /* (n) */
    struct customer_purchases *purchases;  /* (n); empty while no model needs them */
    struct stored *memberships;
    struct clv_row *worths;                /* (whole) and */
    int64_t *counts;                       /* (whole, audiences->n_asks): what audiences need; else NULL */
};
bool serving_in_the_past(const struct serving_query *q, size_t i);
/* Who is not asked about entirely costs half as much: that is what GET /v1/customers/{id}/clv lives on. */
enum meros_code serving_fetch(struct store_conn *c, struct arena *arena, const struct serving_query *q, struct serving_found *out,
                              struct meros_err *err) MEROS_MUSTCHECK;
const struct stored_membership *serving_memberships(const struct serving_found *f, int64_t customer_no);
/* What is known of the i-th, for the query's audiences. */
struct audience_subject serving_subject(const struct serving_query *q, const struct serving_found *f, size_t i, const struct json *attributes,
                                        const struct json *consent, struct arena *arena);

/* --- The answer to GET /v1/customers/{id}, one JSON object. */
void serving_write_customer(struct buf *out, const struct serving_view *v);
/* That to GET /v1/customers/{id}/clv. A model must be there. */
void serving_write_clv(struct buf *out, const struct serving_view *v, const struct clv_ask *ask);

#endif
