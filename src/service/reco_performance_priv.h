/* Between counting (reco_performance.c), following clicks to orders (reco_conversions.c) and finishing (reco_results.c). */
#ifndef MEROS_SERVICE_RECO_PERFORMANCE_PRIV_H
#define MEROS_SERVICE_RECO_PERFORMANCE_PRIV_H

#include "meros/service/reco_performance.h"
#include "meros/store/store.h"

enum { NOBODY = UINT32_MAX };

struct reco_click {
    int64_t customer_no, product_no, at;
    uint32_t cell, person; /* person: NOBODY outside experiments */
    uint8_t arm;           /* 0 or 1 where there is a person */
    bool converted;
    double revenue;
};

/* What one customer did in one experiment. */
struct reco_person {
    int64_t experiment, customer_no;
    int64_t impressions[2], clicks[2], conversions[2];
    double revenue[2];
};

/* From two numbers to 0, 1, 2, … in the order of their first coming. Open addressing. */
struct pair_index {
    int64_t (*keys)[2];
    uint32_t *table; /* index + 1 */
    size_t n, cap;   /* cap: of table, a power of two; keys has half of it */
};
enum meros_code pair_index_of(struct pair_index *x, int64_t a, int64_t b, uint32_t *out, bool *out_new, struct meros_err *err) MEROS_MUSTCHECK;
void pair_index_done(struct pair_index *x);

/* Fills converted and revenue of clicks that have a product; leaves them in the order of customer, product, time. */
enum meros_code reco_follow_clicks(struct store_conn *c, struct reco_click *clicks, size_t n, int64_t window, struct meros_err *err) MEROS_MUSTCHECK;

void reco_metrics_finish(struct reco_metrics *m);
/* Experiments from their people; out->experiments is filled. */
enum meros_code reco_experiments_finish(struct store_conn *c, const struct reco_person *people, size_t n, struct arena *arena,
                                        struct reco_performance *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
