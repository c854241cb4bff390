/* How good lists of recommendations are, against what users did afterwards.
 *
 * For one user, a list L (best first, items differ) and the set R of items that were relevant, at k:
 *   precision        hits among the first k / k          (also where the list is shorter than k)
 *   recall           hits among the first k / |R|
 *   ndcg             sum over hits at rank r (from 1) of 1 / log2(r + 1), divided by the same sum for a list that
 *                    begins with all of R: the ideal runs over all |R|, also past k (Dacrema et al., TOIS 2021, whose
 *                    published figures are computed so; with |R| > k an NDCG of 1 cannot be reached)
 *   map              sum over hits at rank r of precision at r, divided by min(|R|, k)
 *   mrr              1 / the rank of the first hit, 0 without one
 * each the mean over users with at least one relevant item; users without any are left out of everything.
 *   coverage         the share of the catalogue that was recommended to anybody
 *   novelty          mean over recommended items i of -log2(share of users who had i in training), in bits; an item
 *                    nobody had counts as if one user had (Vargas & Castells, RecSys 2011: expected self-information)
 *   hit_rate         the share of users with a hit
 *
 * Worked example: hits at ranks 2 and 5, |R| = 2, k = 5: precision .4, recall 1, mrr .5, map (1/2 + 2/5) / 2 = .45,
 * ndcg (.6309 + .3869) / (1 + .6309) = .6241. */
#ifndef MEROS_ML_RANKING_METRICS_H
#define MEROS_ML_RANKING_METRICS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/interactions.h"
#include "meros/ml/parallel.h"
#include "meros/ml/topk.h"

enum { RANKING_K_MAX = 1000 };

struct ranking_scores { /* of one list */
    double precision, recall, ndcg, average_precision, reciprocal_rank;
    size_t hits;
};
/* list: n items, of which the first k count. relevant: n_relevant > 0 items, ascending. k > 0. */
void ranking_score(const struct scored *list, size_t n, const uint32_t *relevant, size_t n_relevant, size_t k,
                   struct ranking_scores *out);

struct ranking_metrics {
    size_t users; /* that had relevant items; 0: everything below is 0 */
    size_t k;
    double precision, recall, ndcg, map, mrr, hit_rate, coverage, novelty;
    size_t items_recommended; /* different ones */
};

/* Whoever ranks: gives every item of the catalogue a score for a user (scores: as many as train has columns).
 * Called by several threads at once, `worker` as in parallel_for. */
struct ranking_model {
    void (*score)(const void *arg, size_t user, int worker, float *scores);
    const void *arg;
};

/* Ranks, for each user with an entry in test, all items but those of the user's own entries in train, and compares
 * the first k with the user's entries in test. train and test are (users, items) alike. The bits do not depend on
 * how many threads there are. Takes 4 bytes an item and a thread. MEROS_UNPROCESSABLE for shapes that differ or k
 * outside 1 .. RANKING_K_MAX; MEROS_OUT_OF_MEMORY; MEROS_CANCELLED. */
enum meros_code ranking_evaluate(const struct ranking_model *model, const struct interactions *train,
                                 const struct interactions *test, size_t k, const struct ml_run *run,
                                 struct ranking_metrics *out, struct meros_err *err) MEROS_MUSTCHECK;

/* The same of lists that are there: user u's list is lists[u * k .. + lengths[u]], lengths[u] <= k. */
enum meros_code ranking_of_lists(const struct scored *lists, const size_t *lengths, const struct interactions *train,
                                 const struct interactions *test, size_t k, struct ranking_metrics *out,
                                 struct meros_err *err) MEROS_MUSTCHECK;

#endif
