/* Sums over pairs of items that share a user (or a basket), row by row, and the best of each row kept. */
#ifndef MEROS_ML_PAIRS_PRIV_H
#define MEROS_ML_PAIRS_PRIV_H

#include "meros/ml/interactions.h"
#include "meros/ml/matrix.h"
#include "meros/ml/neighbours.h"
#include "meros/ml/parallel.h"

/* How one row's sums become scores: of `n` sums, sum[c] is that of item (other == NULL ? c : other[c]), and its score
 * goes in the same place. What must not be a neighbour gets a score <= 0 or NaN; an item's own place is passed over
 * anyway. Called by several threads. */
typedef void pairs_score(const void *arg, size_t item, const uint32_t *other, size_t n, float *sum);

/* A row costs a step for each item that each of its users has. Where that is more than `most`, only its smallest users are gone
 * through, so many that it is not, and one at least: whoever shares none of them is not met. The best PAIRS_SURE * k by those sums get their whole
 * sums, so scores are right, and the k best of them are kept. For this users are numbered from the one with the most items on. */
enum { PAIRS_SURE = 4 };
struct pairs {
    const struct interactions *by_user, *by_item; /* transposes of each other */
    bool count;                                   /* every weight is taken for 1 */
    size_t k;                                     /* neighbours to keep */
    size_t most;                                  /* steps that a row may take; 0: as many as it needs. Not with `count` */
    pairs_score *score;
    const void *arg;
    const char *what; /* for errors and keep_going */
};
/* What pairs_fit allocates at its peak, beside its inputs, of pairs without `most`. */
void pairs_need(size_t items, size_t k, size_t threads, struct ml_need *need);
enum meros_code pairs_fit(const struct pairs *p, const struct ml_run *run, struct neighbours *out,
                          struct meros_err *err) MEROS_MUSTCHECK;

/* Lists of at most k an item, `length` of them used, side by side; made a table by neighbours_pack, which does not
 * free them. */
enum meros_code neighbours_pack(const struct scored *lists, const uint32_t *length, size_t items, size_t k,
                                struct neighbours *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
