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
 * A rule has `starts_at` and `ends_at` (both optional). Immutable once read; acquire and release as a snapshot. */
#ifndef MEROS_SERVICE_RECO_RULES_H
#define MEROS_SERVICE_RECO_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/catalog.h"
#include "meros/service/recommend.h"
#include "meros/service/service.h"

enum reco_rule_kind { RECO_BLOCK, RECO_PIN, RECO_PROMOTE };
struct reco_rule {
    enum reco_rule_kind kind;
    struct str name;
    const struct str *product_ids; /* n of them; of a pin exactly one */
    size_t n_products;
    struct str category;           /* STR_NONE: none */
    struct str attribute, value;   /* STR_NONE: none */
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
    _Atomic long refs;
};

enum meros_code reco_rules_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* reads; subscribes; before listener_start */
void reco_rules_free(struct service *svc);
const struct reco_rules *reco_rules_acquire(struct service *svc); /* never NULL after start */
void reco_rules_release(const struct reco_rules *r);
uint64_t reco_rules_version(struct service *svc); /* cheap; rises with every change */

static inline bool reco_rule_active(const struct reco_rule *r, int64_t now)
{
    return (r->starts_at == TIME_NONE || r->starts_at <= now) && (r->ends_at == TIME_NONE || now < r->ends_at);
}
/* Whether the rule speaks of this product. */
bool reco_rule_matches(const struct reco_rule *r, const struct catalog_product *p);
/* 0 or 1, always the same for a customer and an experiment. */
int reco_rules_arm(const struct reco_rules *r, struct str customer_id);

#endif
