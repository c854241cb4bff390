/* What the files of the recommender share (service/recommend.h).
 *
 *   recommend_view.c    what follows from model, catalogue and rules together, and memory for scoring; made once, not per request
 *   recommend_score.c   one step of the chain: the best products by one strategy that the query allows
 *   recommend.c         the chain, experiments, places of promotions and pins: from a history to an answer
 *   recommend_kept.c    what is kept beside a shelf: its best products, the finished answer
 *   recommend_write.c   the answer as JSON
 *   recommend_products.c   similar products, bought together, popular ones; ranking of given ones */
#ifndef MEROS_SERVICE_RECOMMEND_PRIV_H
#define MEROS_SERVICE_RECOMMEND_PRIV_H

#include <pthread.h>
#include "meros/base/clock.h"
#include "meros/ml/topk.h"
#include "meros/model/recommender.h"
#include "meros/model/snapshot.h"
#include "meros/service/catalog.h"
#include "meros/service/reco_rules.h"
#include "meros/service/recommend.h"
#include "meros/service/recommendation_id.h"
#include "meros/service/shelf.h"

/* POOL: as many of the best go on to diversity. KEPT: so many of a shelf's best are remembered. */
enum { RECOMMEND_POOL = 200, RECOMMEND_KEPT = 200 };

/* The popular items of a model in order; counted. */
struct reco_orders {
    _Atomic long refs;
    int64_t model_no;
    size_t items;
    uint32_t *popular, *trending; /* items each, best first, equal ones by number; those that score 0 left out */
    size_t n_popular, n_trending;
};

/* Between the numbers of a model and the slots of the catalogue, and what is closed to everybody. Immutable, counted. */
struct reco_view {
    _Atomic long refs;
    int64_t model_no; /* 0: none */
    uint64_t catalog_version, rules_version;
    int64_t from, until; /* rules that begin or end bound what it is right for: from <= now < until */
    size_t items, slots;
    uint32_t *item_slot;  /* items; CATALOG_NONE: the catalogue has it no longer */
    uint32_t *slot_item;  /* slots; RECO_NO_ITEM: the model does not know it */
    uint64_t *blocked;    /* bit of a slot: a rule blocks it. NULL: no rule blocks anything */
    uint8_t *open;        /* items: eligible and not blocked */
    uint64_t opened;      /* rises when an item is opened that was closed, and with every model: what was the best of the open ones
                             before is still so while it is the same, without those that were closed since */
    struct reco_orders *orders; /* NULL without a model */
};

/* Memory of one request under way; used again by the next. */
struct reco_scratch {
    struct reco_scratch *next;
    size_t items, slots;
    float *scores, *extra; /* items, 64-byte aligned */
    struct scored *top;    /* items */
    uint32_t *mark, epoch; /* slots: mark[s] == epoch: not to be taken (any more) */
};

struct recommending {
    struct snapshot_holder *models; /* serving's */
    pthread_mutex_t lock;
    struct reco_view *view;         /* under lock: the latest; counted */
    uint64_t opened;                /* under lock: the last one given out */
    struct reco_scratch *spare;     /* under lock */
};

/* For tests: without serving. */
enum meros_code recommending_new(struct snapshot_holder *models, struct recommending **out, struct meros_err *err) MEROS_MUSTCHECK;

/* A bought product whose time has come again. */
struct reco_due {
    uint32_t slot;
    double urgency; /* 0 .. 1: how likely it is wanted now, against the best of the others */
};

struct reco_candidate {
    uint32_t slot, item; /* item: RECO_NO_ITEM where the model does not know it */
    double score;
    enum recommend_strategy by;
    bool due;
};

/* All that one answer is made from; on the stack of whoever makes it. */
struct reco_work {
    struct service *svc;
    const struct recommend_query *q;
    struct arena *arena;
    struct str customer_id;
    const struct shelf *shelf; /* NULL: none */
    /* held from work_begin to work_end */
    const struct snapshot *snapshot;
    const struct snapshot_recommender *active; /* NULL: no model */
    const struct recommender *model;           /* NULL: no model */
    const struct reco_rules *rules;
    const struct catalog *catalog;
    struct reco_view *view;
    struct reco_scratch *scratch;
    struct catalog_attribute wanted[RECOMMEND_ATTRIBUTES_MAX]; /* of the query's attributes */
    /* the customer */
    const struct interaction_row *rows; /* of the shelf and the recent products together */
    size_t n_rows;
    struct reco_history history;
    bool plain;      /* the rows are the shelf's own: what is kept beside it may be used */
    struct reco_due *due;
    size_t n_due;
    int64_t next_due; /* when another one becomes due; INT64_MAX: none */
};

/* recommend_view.c: versions are read before the catalogue is, so what is made is at least as new as it says. */
enum meros_code reco_work_begin(struct reco_work *w, struct meros_err *err) MEROS_MUSTCHECK;
void reco_work_end(struct reco_work *w);
void reco_orders_release(struct reco_orders *o);
void reco_view_release(struct reco_view *v);

static inline bool reco_marked(const struct reco_work *w, uint32_t slot)
{
    return w->scratch->mark[slot] == w->scratch->epoch;
}
static inline void reco_mark(struct reco_work *w, uint32_t slot)
{
    w->scratch->mark[slot] = w->scratch->epoch;
}
static inline bool reco_blocked(const struct reco_view *v, uint32_t slot)
{
    return v->blocked != NULL && (v->blocked[slot / 64] >> slot % 64 & 1) != 0;
}

/* recommend_score.c */
/* Puts together rows and history, marks what the query excludes, finds what is due. */
enum meros_code reco_work_customer(struct reco_work *w, const struct recommend_recent *recent, size_t n_recent, struct meros_err *err) MEROS_MUSTCHECK;
/* Whether the query, the rules and `only` (NULL: no more than that) let this product in. */
bool reco_allowed(const struct reco_work *w, uint32_t slot, const struct reco_rule *only);
/* Up to `want` best products by one strategy that are allowed and not marked, into out; marks nothing. */
size_t reco_step(struct reco_work *w, enum recommend_strategy by, const struct reco_rule *only, size_t want, struct reco_candidate *out);
/* What a strategy asks the model for; false: it is none of a model's scores of a history (popular, trending, bought_together, newest). */
bool reco_algorithm_of(enum recommend_strategy s, enum reco_algorithm *out);
enum recommend_strategy reco_strategy_of(enum reco_algorithm a);
bool reco_personal(enum recommend_strategy s); /* made from a history */
/* The score of every item into the scratch; false where nothing is scored: this strategy is the same for everybody, the model has
 * not learnt it, or there is no history. */
bool reco_score(struct reco_work *w, enum recommend_strategy by);
/* AUTO, and what an experiment says, resolved. *out_second: of an interleaved experiment, else the same. */
void reco_resolve(const struct reco_work *w, enum recommend_strategy *out_first, enum recommend_strategy *out_second, struct recommend_answer *out);
/* Why the model scored it so. */
void reco_reason(const struct reco_work *w, const struct reco_candidate *c, struct recommend_pick *pick);

/* recommend.c */
void reco_say_model(const struct reco_work *w, struct recommend_answer *out);
void reco_say_why(const struct reco_work *w, struct recommend_answer *out); /* `personalised` is set; says whether it is stale too */

/* recommend_kept.c */
enum { RECOMMEND_KEY_MAX = 256, RECOMMEND_KEPT_PICKS = 20 };
struct reco_kept_of { /* what kept scores depend on */
    int64_t model_no;
    uint64_t opened; /* of the view */
    enum recommend_strategy strategy;
    int64_t next_due; /* the next moment at which anything is due: which products are follows from it */
};
/* The kept best products of a shelf for this strategy (closed ones and, unless due, bought ones left out). False: there are none.
 * *out_all: there are no others. */
bool reco_kept_scores(const struct shelf *s, const struct reco_kept_of *of, struct scored out[RECOMMEND_KEPT], size_t *out_n, bool *out_all);
void reco_keep_scores(const struct shelf *s, const struct reco_kept_of *of, const struct scored *top, size_t n, bool all);
/* The query as bytes; 0: too long to be kept. */
size_t reco_query_key(const struct recommend_query *q, struct str customer_id, char out[RECOMMEND_KEY_MAX]);
/* Of an answer with up to RECOMMEND_KEPT_PICKS products, what its id is made of. */
struct reco_kept_parts {
    int64_t product_no[RECOMMEND_KEPT_PICKS];
    uint8_t by[RECOMMEND_KEPT_PICKS], arms[RECOMMEND_KEPT_PICKS];
    uint32_t experiment;
    uint8_t strategy, arm, n;
};
/* Writes what comes first, with room for tail_n more bytes. */
typedef void (*reco_kept_head)(void *arg, const struct recommendation_parts *p, size_t tail_n, struct buf *out);
/* True: the kept answer is in out. */
bool reco_kept_answer(const struct shelf *s, const struct recommend_of *of, int64_t now, const char *key, size_t key_n,
                      struct recommendation_parts *out_parts, reco_kept_head head, void *arg, struct buf *out);
void reco_keep_answer(const struct shelf *s, const struct recommend_of *of, int64_t until, const char *key, size_t key_n,
                      const struct recommendation_parts *parts, const char *tail, size_t tail_n);

#endif
