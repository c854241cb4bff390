/* EASE: an item-to-item model in closed form (Steck, WWW 2019, arXiv:1905.03375).
 *
 *   X (users, items) weights;  P = (X'X + lambda I)^-1;  B = I - P diag(1 / diag P), whose diagonal is 0
 *
 * B minimises |X - X B|^2 + lambda |B|^2 over matrices of zero diagonal; the score of item j for a user with the row x
 * is (x B)_j: what each item of theirs says about j, added up. New users need no training.
 *
 * Memory: 4 bytes times items squared, once: the Gram matrix, its Cholesky factor, the inverse and B take each other's
 * place. 10,000 items are 400 MB; past the budget it is MEROS_OUT_OF_MEMORY before any work, with both numbers in
 * words. Time: items cubed operations, of matrix products almost all, in tiles over the threads (EASE_TILE), so that
 * it scales, can be cancelled between tiles' steps and gives the same bits however many threads there are.
 *
 * Float32 throughout: on MovieLens 100K it ranks as double does, to every published digit.
 *
 * Degenerate input: an item without interactions says nothing and is never predicted (its row and column of B are 0);
 * no items make an empty model. */
#ifndef MEROS_ML_EASE_H
#define MEROS_ML_EASE_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/ml/interactions.h"
#include "meros/ml/parallel.h"
#include "meros/ml/ranking_metrics.h"

enum { EASE_TILE = 384, EASE_ITEMS_MAX = 100000 };

struct ease_model {
    size_t items;
    float *b; /* (items, items), row-major: row i is what item i says about the others */
};

size_t ease_memory(size_t items); /* the bytes of ease_fit at its peak, model included, beside its inputs */

/* by_item is the transpose of by_user; lambda > 0. *out is written on success only; ease_model_done frees what is in
 * it. MEROS_UNPROCESSABLE for a bad lambda, too many items or weights whose products leave float32,
 * MEROS_OUT_OF_MEMORY, MEROS_CANCELLED. run may be NULL. */
enum meros_code ease_fit(const struct interactions *by_user, const struct interactions *by_item, double lambda,
                         const struct ml_run *run, struct ease_model *out, struct meros_err *err) MEROS_MUSTCHECK;
void ease_model_done(struct ease_model *m);

/* scores (items) of a user with n items; those that the model does not know (>= items) are passed over. The user's own
 * items get scores too. Allocates nothing; any number of threads. */
void ease_score(const struct ease_model *m, const uint32_t *items, const float *weights, size_t n, float *scores);

struct ease_ranking { /* for ranking_evaluate: the model, and whose interactions */
    const struct ease_model *model;
    const struct interactions *by_user;
};
struct ranking_model ease_ranking(const struct ease_ranking *r);

#endif
