/* Item-based nearest neighbours (Sarwar et al., WWW 2001; Linden, Smith & York 2003).
 *
 *   s_ij = sum_u v_ui v_uj / (|v_i| |v_j| + shrink), |v_i| = sqrt(sum_u v_ui^2), where v is
 *   ITEM_KNN_PLAIN   w itself: the cosine. Shrinkage takes from pairs that few users support (Bell & Koren 2007).
 *   ITEM_KNN_BM25    w weighted as Okapi BM25 weighs the words (users) of documents (items):
 *                    v_ui = w_ui (k1 + 1) / (w_ui + k1 (1 - b + b L_i / mean L)) idf_u, with L_i = sum_u w_ui and
 *                    idf_u = max(0, log(items / (1 + items of u))): whoever takes everything tells little. Weights of 0
 *                    and below count as absent.
 *
 * The table (neighbours.h) has each item's k most similar with s_ij > 0: the similar products of a page. A user's score
 * of j is sum_i w_ui s_ij over the items i of theirs that are among the neighbours of j: those k say the most about j
 * (keeping for each i the j it says most about ranks worse: NDCG .24 against .26 on MovieLens 100K). Scoring therefore
 * reads the table turned round: neighbours_turn.
 *
 * A row is accumulated densely by a thread (4 bytes an item and a thread) over the items of the users of the item:
 * time is the sum over users of the squared number of their items. The bits do not depend on the number of threads. */
#ifndef MEROS_ML_ITEM_KNN_H
#define MEROS_ML_ITEM_KNN_H

#include "meros/ml/interactions.h"
#include "meros/ml/neighbours.h"
#include "meros/ml/parallel.h"

enum { NEIGHBOURS_MAX = 10000 };
enum item_knn_weighting { ITEM_KNN_PLAIN, ITEM_KNN_BM25 };

struct item_knn_params {
    int k; /* neighbours an item keeps, 1 .. NEIGHBOURS_MAX */
    enum item_knn_weighting weighting;
    double shrink; /* >= 0 */
    double k1, b;  /* of BM25: > 0; 0 .. 1 */
};
#define ITEM_KNN_PARAMS_DEFAULT                                                                               \
    {                                                                                                        \
        .k = 100, .weighting = ITEM_KNN_BM25, .shrink = 0, .k1 = 1.2, .b = 0.75                              \
    }

/* The bytes that item_knn_fit will have allocated at its peak, table included, beside its inputs of n entries. */
size_t item_knn_memory(const struct item_knn_params *params, size_t users, size_t items, size_t n, struct ml_pool *pool);

/* by_item is the transpose of by_user. *out is written on success only. MEROS_UNPROCESSABLE for bad parameters or
 * sums that leave float32, MEROS_OUT_OF_MEMORY, MEROS_CANCELLED. run may be NULL. */
enum meros_code item_knn_fit(const struct interactions *by_user, const struct interactions *by_item,
                             const struct item_knn_params *params, const struct ml_run *run, struct neighbours *out,
                             struct meros_err *err) MEROS_MUSTCHECK;

#endif
