/* How well recommendations do: impressions, clicks and what was bought after them, from events recommendation_shown and
 * recommendation_clicked whose properties.recommendation_id is one of ours.
 *
 *   impression  a product of an answer that was shown: all of the answer's, or those that properties.products or product_id name
 *   click       one event; the product is the event's, or else that of properties.slot (or .position) of the answer
 *   conversion  a click after which, within attribution_days, the same customer bought the clicked product. A line of an order
 *               belongs to the last click before it, so neither a click nor a line counts twice.
 *   revenue     what those lines came to, less what came back of them, whenever it did
 *   strategy    the step of the chain that brought the product (of products past those that the id tells of: the answer's)
 *
 * Everything is of the clicks and impressions of [from, to); what was bought may lie behind `to`. An id that is not ours, none at
 * all, and products that the answer did not have count as unknown. The database is read once, under a limit of its own. */
#ifndef MEROS_SERVICE_RECO_PERFORMANCE_H
#define MEROS_SERVICE_RECO_PERFORMANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/service.h"

enum { RECO_BY_STRATEGY = 1, RECO_BY_SLOT = 2, RECO_BY_MODEL = 4, RECO_BY_EXPERIMENT = 8 };
enum { RECO_PERFORMANCE_TIMEOUT_MS = 60000, RECO_PERFORMANCE_CLICKS_MAX = 5000000, RECO_PERFORMANCE_PEOPLE_MAX = 10000000 };

struct reco_share { /* k of n, with its 95 % interval; NaN where n is 0 */
    double rate, low, high;
};
struct reco_metrics {
    int64_t impressions, clicks, conversions;
    double revenue;
    struct reco_share clicked, converted; /* clicks of impressions, conversions of clicks */
};
struct reco_cell { /* of RECO_BY_: what is not asked for is 0 */
    int strategy;
    int slot;           /* from 1; 0: not known */
    int64_t model_no;
    struct str model;   /* its id; STR_NONE: none, or deleted */
    struct reco_metrics m;
};

/* Customers are what an experiment divides, so they are what is counted. */
struct reco_arm {
    struct str strategy;
    int64_t customers;           /* who saw or clicked something of this arm, and of a split nothing of the other */
    int64_t clickers, buyers;    /* of them, at least once */
    struct reco_share clicked, converted;
    struct reco_metrics m;       /* of their impressions and clicks */
};
struct reco_difference {
    double difference, low, high, p; /* second less first */
};
struct reco_experiment_result {
    int64_t number;
    struct str name;
    bool interleave;
    double share_of_second;
    int64_t started_at, ended_at;
    struct reco_arm arm[2];
    int64_t in_both;                           /* split: customers who met both arms (two who became one); in neither arm's numbers */
    struct reco_difference clicked, converted; /* split */
    double sample_ratio_p;                     /* split: small where customers did not divide as intended, and nothing is to be trusted */
    int64_t prefer[2], undecided;              /* interleave: customers by where they clicked more */
    struct reco_share prefer_second;           /* interleave: of those who prefer one */
    double prefer_p;                           /* interleave: two-sided sign test over customers */
};

struct reco_performance { /* all in the arena */
    struct reco_metrics total;
    int64_t unknown_impressions, unknown_clicks;
    struct reco_cell *cells; /* by strategy, slot, model */
    size_t n_cells;
    struct reco_experiment_result *experiments; /* by number; only with RECO_BY_EXPERIMENT */
    size_t n_experiments;
};

/* TIMEOUT, and UNPROCESSABLE past the limits above: a shorter period is to be asked for. */
enum meros_code reco_performance(struct service *svc, int64_t from, int64_t to, int attribution_days, unsigned by, struct arena *arena,
                                 struct reco_performance *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
