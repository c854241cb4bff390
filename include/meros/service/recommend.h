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
#include "meros/codec/json.h"
#include "meros/service/recommend_words.h"
#include "meros/service/service.h"

struct shelf; /* service/shelf.h */

enum { RECOMMEND_LIMIT_MAX = 100, RECOMMEND_EXCLUDE_MAX = 1000, RECOMMEND_RECENT_MAX = 200, RECOMMEND_ATTRIBUTES_MAX = 10,
       RECOMMEND_MODEL_ID_CAP = 40 /* model/segment_model.h's MODEL_ID_CAP */ };

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
    const char *why_not;          /* nothing is known of the customer for this reason ("database_away"); NULL */
    bool stale;                   /* the shelf lacks what was done since it was read: the answer says so */
};
/* limit 10, auto, exclude_purchased and available true, everything else open; now: the clock's. */
struct recommend_query recommend_query_default(void);

struct recommend_recent { /* of a visitor without a name, or on top of a shelf: oldest first */
    struct str product_id;
    struct str type;  /* of the event, which decides its weight; an order's event counts as a purchase. STR_NONE: product_viewed */
};

struct recommend_pick {
    uint32_t slot;        /* of the catalogue */
    int64_t product_no;
    double score;         /* by the step that brought it; NaN: pinned */
    enum recommend_strategy by; /* the step of the chain that brought it */
    uint8_t arm;          /* of an interleaved answer: whose list it is of, 0 or 1, or RECOMMENDATION_NO_ARM; else without meaning */
    enum recommend_reason reason;
    int64_t because_no;   /* product_no of the reason; 0: none */
};

struct recommend_answer {
    enum recommend_strategy strategy; /* what was tried first */
    bool personalised, stale;         /* stale: made of a shelf that lacks what was done since */
    const char *why_not;              /* a short word: "consent", "unknown_customer", "no_history", "no_model", "database_away"; NULL */
    unsigned fallback;                /* bit 1 << strategy of every step that had to help */
    size_t n;
    struct recommend_pick *picks;     /* in the arena */
    char model_id[RECOMMEND_MODEL_ID_CAP];      /* "": none */
    int model_version;
    int64_t model_no;
    const char *algorithm;            /* of the model; a constant */
    const char *experiment;           /* in the arena; NULL: none */
    uint32_t experiment_no;           /* 0: none */
    int arm;                          /* -1: interleaved */
    struct recommend_of {             /* what it was made from, beside the shelf: with the same it is the same until valid_until */
        int64_t model_no;
        uint64_t catalog_version, rules_version;
    } of;
    int64_t valid_until;
};

enum meros_code recommending_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void recommending_free(struct service *svc);

/* From the shelf, the recent products, or both; without either (and for a shelf of nobody) the answer is not personalised. customer_id
 * decides the arm of an experiment; STR_NONE: nobody's name, who takes part in none. */
enum meros_code recommend(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct shelf *shelf,
                          const struct recommend_recent *recent, size_t n_recent, struct arena *arena,
                          struct recommend_answer *out, struct meros_err *err) MEROS_MUSTCHECK;
/* "model": what answered; id NULL: no model is active. */
void recommend_write_model(struct jsonw *w, const char *id, int version, const char *algorithm);
/* "score": six digits, what a score of float32 is worth; NaN is null. */
void recommend_write_score(struct jsonw *w, double score);
/* The JSON object of the answer, recommendation_id included (service/recommendation_id.h). */
void recommend_write(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct recommend_answer *a,
                     struct buf *out);
/* Both in one. A query that was asked of this shelf just before (all that it depends on unchanged) costs a copy: the finished answer
 * is kept beside the shelf, and so are its best scored products, from which other queries are answered. */
enum meros_code recommend_json(struct service *svc, const struct recommend_query *q, struct str customer_id, const struct shelf *shelf,
                               const struct recommend_recent *recent, size_t n_recent, struct arena *arena, struct buf *out,
                               struct meros_err *err) MEROS_MUSTCHECK;
/* Scores a shelf that was just read, so that its first answer is as fast as the next. A fraction of a millisecond of computing. */
void recommend_prepare(struct service *svc, const struct shelf *shelf);

/* The given products in order for this customer: all of them, those that nothing is known of (not in the catalogue, or none of the
 * model's) last, with NaN as score. products: n of the caller's; place: which of product_ids it is. Of *out what the ranking is made of is set. */
struct recommend_ranked {
    uint32_t slot, place;
    double score;
};
enum meros_code recommend_rank(struct service *svc, const struct recommend_query *q, const struct shelf *shelf,
                               const struct recommend_recent *recent, size_t n_recent, struct arena *arena,
                               struct recommend_ranked *products, const struct str *product_ids, size_t n,
                               struct recommend_answer *out, struct meros_err *err) MEROS_MUSTCHECK;

void recommend_rank_write(struct str customer_id, const struct recommend_answer *a, const struct recommend_ranked *products,
                          const struct str *product_ids, size_t n, struct buf *out);

/* Of products rather than customers. The query's filters hold; strategy is SIMILAR, BOUGHT_TOGETHER (both about a product, NOT_FOUND if
 * the catalogue has it not), POPULAR or TRENDING. Similar products that run short are followed by popular ones of its category;
 * products bought together are not: who asks for them wants to know which are. */
struct recommend_pair {
    double support, confidence, lift;
};
enum meros_code recommend_products(struct service *svc, const struct recommend_query *q, struct str product_id, struct arena *arena,
                                   struct recommend_answer *out, struct recommend_pair **out_pairs, struct meros_err *err) MEROS_MUSTCHECK;
/* With "product_id" instead of "customer_id"; pairs: of bought together, else NULL. */
void recommend_products_write(struct service *svc, const struct recommend_query *q, struct str product_id,
                              const struct recommend_answer *a, const struct recommend_pair *pairs, struct buf *out);

#endif
