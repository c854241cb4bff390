/* Matrix factorisation of implicit feedback by alternating least squares (Hu, Koren & Volinsky, ICDM 2008).
 *
 *   w (users, items)   weights of interactions; x_u, y_i rows of f factors; the score of an item is x_u . y_i
 *   e_ui = alpha |w_ui|   what an interaction adds to the confidence 1 that every pair has
 *   p_ui = 1 where w_ui > 0, else 0: a negative weight is a confident "no"
 *
 *   loss = sum over all pairs of (1 + e_ui) (p_ui - x_u . y_i)^2 + sum_u l_u |x_u|^2 + sum_i l_i |y_i|^2
 *
 * with frequency-scaled regularisation (Rendle, Krichene, Zhang & Koren, RecSys 2022, arXiv:2110.14037):
 *   l_u = lambda (m_u / mean m)^nu,  m_u = items + sum_i e_ui,   and alike for items (m_i = users + sum_u e_ui).
 * Dividing by the mean, ours, keeps lambda of one meaning for every nu: what a row of mean mass gets. nu = 0 is the
 * regularisation of Hu et al.
 *
 * A row's system is solved by ALS_CG, a few conjugate gradient steps from the row's last value (Takacs, Pilaszy &
 * Tikk, RecSys 2011), or exactly by ALS_CHOLESKY. Ours is that both sides are turned, before each half of an iteration, to the
 * axes of the Gram matrix of the side that stands still, which changes no score and no length: the matrix is diagonal there, and
 * with the diagonal as preconditioner two steps come nearer to the exact solution than three did without (their loss after 15
 * iterations: .02 % above it), none of them multiplying by a dense matrix.
 * Everything is float32, but that conjugate gradients gather the factors of the side that stands still as bfloat16, half the
 * memory to wait for (which changes the loss by 1e-5 of it). The loss is computed exactly, in double from
 * float32 scores, in the form that visits only the interactions: sum over them of (1 + e)(p - s)^2 - s^2, plus
 * <X'X, Y'Y>.
 *
 * Deterministic: the same data, parameters, CPU kind and seed give the same bits, however many threads work.
 *
 * Degenerate input: users and items without (positive) interactions get factors of exactly 0 and score 0. No
 * interactions at all: all factors are 0. More factors than users or items only cost time.
 *
 * 50,000 x 10,000 with 2,000,000 interactions, 64 factors, 15 iterations: tests/bench/als.sh. */
#ifndef MEROS_ML_ALS_H
#define MEROS_ML_ALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/interactions.h"
#include "meros/ml/parallel.h"
#include "meros/ml/ranking_metrics.h"

enum { ALS_FACTORS_MAX = 512, ALS_FOLD_MAX = 4096 };
enum als_solver { ALS_CG, ALS_CHOLESKY };

struct als_params {
    int factors;    /* 1 .. ALS_FACTORS_MAX */
    int iterations; /* 1 .. 1000, each users and then items */
    double alpha;   /* >= 0 */
    double lambda;  /* > 0 */
    double nu;      /* 0 .. 1 */
    enum als_solver solver;
    int cg_steps; /* 1 .. 100 */
    bool trace;   /* also compute the loss after every iteration; some 5 % of the time */
    uint64_t seed;
};
#define ALS_PARAMS_DEFAULT                                                                                    \
    {                                                                                                        \
        .factors = 64, .iterations = 15, .alpha = 4, .lambda = 30, .nu = 0.5, .solver = ALS_CG,              \
        .cg_steps = 2, .trace = false, .seed = 0                                                             \
    }

struct als_model {
    size_t users, items;
    size_t factors, stride; /* stride: factors rounded up to 16; what is past factors is 0 */
    float *user;            /* (users, stride), 64-byte aligned; NULL in a model that only serves by fold-in */
    float *item;            /* (items, stride) */
    float *gram;            /* stride: the diagonal of Y'Y, for folding in; it has no other entries, as factors are turned to its axes */
    double alpha, lambda, nu, mean_mass; /* what folding a user in needs of the training */
    double loss;
    double *trace; /* the loss after each of `iterations`; NULL when not asked for */
    int iterations;
};

/* The bytes that als_fit will have allocated at its peak, model included, beside its inputs. */
size_t als_memory(const struct als_params *params, const struct interactions *by_user,
                  const struct interactions *by_item, struct ml_pool *pool);

/* by_item is the transpose of by_user. *out is written on success only; als_model_done frees what is in it (and takes
 * an all-zero one). MEROS_UNPROCESSABLE for bad parameters or numbers that leave float32, MEROS_OUT_OF_MEMORY,
 * MEROS_CANCELLED. run may be NULL. */
enum meros_code als_fit(const struct interactions *by_user, const struct interactions *by_item,
                        const struct als_params *params, const struct ml_run *run, struct als_model *out,
                        struct meros_err *err) MEROS_MUSTCHECK;
void als_model_done(struct als_model *m);

/* The factors of a user with these n different items, as the training would compute them with the items' factors as
 * they are: for somebody the training has not seen, or who did something since. Items that the model does not know
 * (>= items) are passed over; of more than ALS_FOLD_MAX the last ones count. out: stride floats, 64-byte aligned; all
 * zero when nothing speaks for anything, or when numbers leave float32. Allocates nothing (56 KB of stack), any number of
 * threads may call; 2 to 5 microseconds with 64 factors and 40 items. */
void als_fold_in(const struct als_model *m, const uint32_t *items, const float *weights, size_t n, float *out);

/* The scores of all items (items) for such factors. */
void als_score(const struct als_model *m, const float *user, float *scores);
float als_score_of(const struct als_model *m, const float *user, uint32_t item); /* of one */

/* Why item `to` scores what it does for the user of als_fold_in: its score is the sum of what each of the n items adds,
 *   (1 + e_i) p_i y_to' A^-1 y_i   where A is the matrix of the user's system (Hu et al., section 5).
 * out: n floats; 0 for items that are passed over. Costs and stack as als_fold_in. */
void als_explain(const struct als_model *m, const uint32_t *items, const float *weights, size_t n, uint32_t to, float *out);

/* The cosine of two items' factors, not below 0; 0 where either has none. */
float als_alike(const struct als_model *m, uint32_t a, uint32_t b);

/* Scores by the model's own user factors, for ranking_evaluate. The model must outlive it. */
struct ranking_model als_ranking(const struct als_model *m);

#endif
