/* What is bought in one basket (association rules of pairs: Agrawal, Imielinski & Swami, SIGMOD 1993).
 *
 *   N baskets, n_i with item i, n_ij with both.
 *   support n_ij / N     confidence n_ij / n_i     lift_ij = N n_ij / (n_i n_j)
 *
 * Lift alone puts two things first that were bought once, together. Pairs of fewer than min_count baskets or a lift
 * below min_lift are no pairs; the others are ordered by the lower end of the lift's 95 % interval,
 *   lift_ij exp(-1.96 sqrt(1 / n_ij))
 * (n_ij taken as Poisson): high where much speaks for it. That is the table's score. */
#ifndef MEROS_ML_BOUGHT_TOGETHER_H
#define MEROS_ML_BOUGHT_TOGETHER_H

#include "meros/ml/interactions.h"
#include "meros/ml/neighbours.h"
#include "meros/ml/parallel.h"

struct bought_together_params {
    int k;           /* companions an item keeps, 1 .. 10000 */
    int min_count;   /* >= 1 */
    double min_lift; /* >= 0 */
};
#define BOUGHT_TOGETHER_PARAMS_DEFAULT                                                                        \
    {                                                                                                        \
        .k = 50, .min_count = 3, .min_lift = 1                                                               \
    }

struct bought_together {
    size_t baskets;          /* N */
    struct neighbours table; /* score: the lower end of the lift's interval */
    uint32_t *count;         /* n_ij, an entry of the table */
    uint32_t *alone;         /* n_i, an item */
};

/* by_basket is (baskets, items), whatever its weights, by_item its transpose. *out is written on success only;
 * bought_together_done frees what is in it. MEROS_UNPROCESSABLE, MEROS_OUT_OF_MEMORY, MEROS_CANCELLED. The bits do not
 * depend on the number of threads. run may be NULL. */
enum meros_code bought_together_fit(const struct interactions *by_basket, const struct interactions *by_item,
                                    const struct bought_together_params *params, const struct ml_run *run,
                                    struct bought_together *out, struct meros_err *err) MEROS_MUSTCHECK;
void bought_together_done(struct bought_together *b);

/* Of entry e of the table, in the row of `item`. */
double bought_together_lift(const struct bought_together *b, uint32_t item, size_t e);

#endif
