/* Recommendations: from a shelf (service/shelf.h) or a visitor's recent products, with the active recommender
 * (snapshot->recommender) and the catalogue in memory, to a list that keeps every promise of the query. No database, no blocking:
 * ranking runs on whatever thread asks.
 *
 * The chain: the strategy asked for (auto: the model's own algorithm; an experiment may say otherwise), then for places that are
 * left: what goes with the history (similar, content), popular in the category, popular, and without a model what sold most in the
 * catalogue. The shelf is full as long as the catalogue holds enough eligible products that the query allows; `fallback` of the
 * answer names the steps that had to help, and `personalised` is false where nothing of the customer went in.
 * Consent to profiling refused: popular only, `reason_not_personalised` says so.
 *
 * Never, in no step: products that are not in the catalogue, deleted, not available (unless available=false was asked for), blocked by a rule,
 * excluded by the query; bought ones with exclude_purchased, except those that are due again (repeat_days of the model went by since). */
#ifndef MEROS_SERVICE_RECOMMEND_H
#define MEROS_SERVICE_RECOMMEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/model/recommender.h"
#include "meros/model/segment_model.h" /* MODEL_ID_CAP */
#include "meros/service/recommend_words.h"
#include "meros/service/service.h"
#include "meros/service/shelf.h"

enum { RECOMMEND_LIMIT_MAX = 100, RECOMMEND_EXCLUDE_MAX = 1000, RECOMMEND_RECENT_MAX = 200, RECOMMEND_ATTRIBUTES_MAX = 10 };

struct recommend_query {
    enum recommend_strategy strategy;
    size_t limit;                 /* 1 .. RECOMMEND_LIMIT_MAX */
    struct str category;          /* STR_NONE: any */
    double min_price, max_price;  /* NaN: none; a product without a price passes neither */
    struct { struct str name, value; } attributes[RECOMMEND_ATTRIBUTES_MAX];
    size_t n_attributes;
    const struct str *exclude;    /* product ids */
    size_t n_exclude;
    bool exclude_purchased, exclude_seen, available;
    double diversity;             /* 0 .. 1 */
    int64_t now;
};

struct recommend_recent { /* of a visitor without a name: oldest first */
    struct str product_id;
    double weight;
};

struct recommend_pick {
    uint32_t slot;        /* of the catalogue */
    int64_t product_no;
    double score;
    enum recommend_strategy by; /* the step of the chain that brought it */
    uint8_t arm;          /* of an interleaved experiment: 0 or 1; else 0 */
    enum recommend_reason reason;
    int64_t because_no;   /* product_no of the reason; 0: none */
};

struct recommend_answer {
    enum recommend_strategy strategy; /* what was tried first */
    bool personalised;
    const char *why_not;              /* a short word: "consent", "unknown_customer", "no_history", "no_model", "database_away"; NULL */
    unsigned fallback;                /* bit 1 << strategy of every step that had to help */
    size_t n;
    struct recommend_pick *picks;     /* in the arena */
    char model_id[MODEL_ID_CAP];      /* "": none */
    int model_version;
    int64_t model_no;
    const char *experiment;           /* in the arena; NULL: none */
    int arm;                          /* -1: interleaved */
};

enum meros_code recommending_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void recommending_free(struct service *svc);

/* Exactly one of shelf and recent (with shelf NULL). customer_id decides the arm of an experiment; STR_NONE: nobody's name. */
enum meros_code recommend(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct shelf *shelf,
                          const struct recommend_recent *recent, size_t n_recent, struct arena *arena,
                          struct recommend_answer *out, struct meros_err *err) MEROS_MUSTCHECK;
/* The JSON object of the answer, recommendation_id included (service/recommendation_id.h). */
void recommend_write(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct recommend_answer *a,
                     struct buf *out);

/* The given products in order for this customer: all of them, those without a score last. slots: n of them, in and out. */
enum meros_code recommend_rank(struct service *svc, const struct shelf *shelf, const struct recommend_recent *recent, size_t n_recent,
                               struct arena *arena, uint32_t *slots, double *scores, size_t n, struct meros_err *err) MEROS_MUSTCHECK;

#endif
