/* What the shop decides about its shelves, beside the model: rules (`/v1/recommendations/rules/{name}`) and one experiment at a time
 * (`/v1/recommendations/experiment`), kept in PostgreSQL, read into memory, the same on all replicas within a second or so.
 *
 *   block     products, a category or an attribute that are never recommended
 *   pin       a product at a place (1 = first) of every answer whose query allows it, or of answers within a category
 *   promote   a share of the places (0..1, rounded down, at least one from 1/limit up) for products of a category, attribute or list, the
 *             customer's best ones first, spread evenly over the answer
 *   experiment  two strategies; customers are split by a hash of id and experiment ("split"), or both lists are interleaved
 *             (team draft, Radlinski, Kurup & Joachims 2008) ("interleave")
 *
 * A rule has `starts_at` and `ends_at` (both optional). Of products, category and attribute a block or promotion names at least one,
 * and a product must meet all that are named. Immutable once read; acquire and release as a snapshot.
 *
 * An experiment has a number, which is in every recommendation_id: whatever of it is changed makes another one, so that results
 * never mix. It speaks to customers with a name; visitors without one are in none. */
#ifndef MEROS_SERVICE_RECO_RULES_H
#define MEROS_SERVICE_RECO_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/service/catalog.h"
#include "meros/service/recommend_words.h"
#include "meros/service/service.h"

enum { RECO_RULE_PRODUCTS_MAX = 1000, RECO_RULE_TEXT_MAX = 1000 };
enum reco_rule_kind { RECO_BLOCK, RECO_PIN, RECO_PROMOTE };
extern const char *const reco_rule_kind_words[]; /* "block", "pin", "promote"; NULL-terminated */
struct reco_rule {
    enum reco_rule_kind kind;
    struct str name;
    const struct str *product_ids; /* n of them, ascending, each once; of a pin exactly one */
    size_t n_products;
    struct str category;           /* STR_NONE: none */
    struct str attribute, value;   /* STR_NONE: none */
    struct catalog_attribute wanted; /* catalog_attribute_of these two */
    double share;                  /* promote */
    int place;                     /* pin: from 1 */
    struct str within;             /* pin: only in answers about this category; STR_NONE: all */
    int64_t starts_at, ends_at;    /* TIME_NONE: open */
};
struct reco_rules {
    const struct reco_rule *rules; /* active or not: reco_rule_active; in the order of names */
    size_t n;
    uint32_t experiment_no;        /* 0: none */
    struct str experiment;
    enum recommend_strategy arms[2];
    double share_of_second;        /* 0 .. 1 */
    bool interleave;
    /* private */
    const unsigned char *key; /* of the split: the service's sealing key */
    struct arena arena;       /* everything above */
    _Atomic long refs;
};

enum meros_code reco_rules_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* reads; subscribes; before listener_start */
void reco_rules_free(struct service *svc);
const struct reco_rules *reco_rules_acquire(struct service *svc); /* never NULL after start */
void reco_rules_release(const struct reco_rules *r);
uint64_t reco_rules_version(struct service *svc); /* cheap; rises with every change, and within a second of a rule's beginning or end */

static inline bool reco_rule_active(const struct reco_rule *r, int64_t now)
{
    return (r->starts_at == TIME_NONE || r->starts_at <= now) && (r->ends_at == TIME_NONE || now < r->ends_at);
}
/* Whether the rule speaks of this product. */
bool reco_rule_matches(const struct reco_rule *r, const struct catalog_product *p);
/* 0 or 1, always the same for a customer and an experiment, on all replicas (a keyed hash); 0 without a name or an experiment. */
int reco_rules_arm(const struct reco_rules *r, struct str customer_id);

/* --- as the shop sees and changes them. A change is in effect in this process when the call returns, on other replicas within a
 * second or so. */
struct reco_rule_info { /* lives during the call */
    const struct reco_rule *rule;
    bool active;
    int64_t created_at, changed_at;
};
typedef void (*reco_rule_seen_fn)(void *arg, const struct reco_rule_info *r);
/* INVALID with pointers into the definition; CONFLICT when there are too many. */
enum meros_code reco_rule_put(struct service *svc, struct str name, const struct json *definition, bool *out_created,
                              reco_rule_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code reco_rule_get(struct service *svc, struct str name, reco_rule_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code reco_rule_list(struct service *svc, struct str after, int64_t limit, reco_rule_seen_fn fn, void *arg,
                               struct meros_err *err) MEROS_MUSTCHECK; /* by name */
enum meros_code reco_rule_delete(struct service *svc, struct str name, struct meros_err *err) MEROS_MUSTCHECK;
/* A definition to a rule whose texts are copied into the arena; name is the caller's. For tests and for the above. */
enum meros_code reco_rule_decode(const struct json *definition, struct arena *arena, struct reco_rule *out, struct meros_err *err) MEROS_MUSTCHECK;

struct reco_experiment_info {
    int64_t experiment_no;
    struct str name;
    enum recommend_strategy arms[2];
    double share_of_second;
    bool interleave;
    int64_t started_at;
};
typedef void (*reco_experiment_seen_fn)(void *arg, const struct reco_experiment_info *x);
/* *out_started: it is another one than ran before (or none did); put again unchanged it goes on. */
enum meros_code reco_experiment_put(struct service *svc, const struct json *definition, bool *out_started, reco_experiment_seen_fn fn,
                                    void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code reco_experiment_get(struct service *svc, reco_experiment_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code reco_experiment_delete(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;

#endif
