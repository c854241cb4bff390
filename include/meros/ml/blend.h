/* Several ways to score made one: weights learnt on what users did afterwards.
 *
 * For each of some users there is a list of candidates (say, the best of each component together, and what was held out), each
 * with the scores x of C components and whether it was relevant: what the user went on to do. The blend is
 *
 *   s = sum over c of weight_c x_c / scale_c,   weight_c >= 0, adding up to 1
 *
 * scale_c is the standard deviation of x_c within lists, pooled over them; a component that never differs within a list says
 * nothing and gets scale 1 and weight 0. Weights minimise, over users u with relevant candidates R_u and others N_u,
 *
 *   mean over u, mean over r in R_u of  log(1 + sum over j in N_u of exp(s_j - s_r))  +  l2 / 2 |w|^2
 *
 * (the softmax loss of one relevant candidate against all others: Cao et al., ICML 2007, with lists of one), before they are made
 * to add up to 1, which changes no order. It is convex; projected Newton steps find its one minimum. Then the blend is compared
 * with each component alone by mean NDCG at k on the same lists: where one alone is better, that one alone is the answer, so that a
 * blend never ranks its own lists worse than the best of what it is made of.
 *
 * Lists without a relevant candidate or without another say nothing and are passed over. Deterministic. */
#ifndef MEROS_ML_BLEND_H
#define MEROS_ML_BLEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/parallel.h"

enum { BLEND_COMPONENTS_MAX = 16 };

struct blend_lists {
    size_t users, components;
    const size_t *start;     /* users + 1: user u's candidates are rows start[u] .. start[u + 1] - 1 */
    const float *score;      /* (rows, components), row-major, finite */
    const uint8_t *relevant; /* rows: 0 or 1 */
};

struct blend_params {
    double l2; /* >= 0 */
    size_t k;  /* of NDCG, >= 1 */
};
#define BLEND_PARAMS_DEFAULT                                                                                  \
    {                                                                                                        \
        .l2 = 1e-3, .k = 10                                                                                  \
    }

struct blend {
    double weight[BLEND_COMPONENTS_MAX], scale[BLEND_COMPONENTS_MAX];
    double ndcg;                         /* of the answer, on the lists given */
    double alone[BLEND_COMPONENTS_MAX];  /* of each component */
    bool single;                         /* one component alone was better */
    size_t users;                        /* whose lists said something */
    int iterations;
};

/* *out is written on success only. MEROS_UNPROCESSABLE for bad parameters, scores that are not finite, or no list that says
 * anything; MEROS_OUT_OF_MEMORY: it takes 8 bytes a row; MEROS_CANCELLED. run may be NULL. */
enum meros_code blend_fit(const struct blend_lists *lists, const struct blend_params *params, const struct ml_run *run,
                          struct blend *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Its mean NDCG at k on these lists, which need not be those that it was learnt on; 0 where none says anything. MEROS_OUT_OF_MEMORY. */
enum meros_code blend_ndcg(const struct blend_lists *lists, const struct blend *b, size_t k, double *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
