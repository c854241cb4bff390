/* What goes with an item, and how strongly: a table of a few scored items for each item, best first.
 *
 * The common form of item-kNN, bought-together and transitions: made by their fits, read by whoever serves. Row i has
 * the entries start[i] .. start[i + 1] - 1 with descending scores (equal ones by the lower item), all above 0, never i
 * itself. Memory: 8 bytes an item and 8 bytes an entry. Read-only once made: any number of threads. */
#ifndef MEROS_ML_NEIGHBOURS_H
#define MEROS_ML_NEIGHBOURS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/ml/interactions.h"
#include "meros/ml/ranking_metrics.h"

struct neighbours {
    size_t items, n; /* n entries */
    size_t *start;   /* items + 1 */
    uint32_t *item;  /* n */
    float *score;    /* n */
};
void neighbours_done(struct neighbours *t); /* takes an all-zero one */

/* The table turned round: row i has the items that have i among theirs, ascending by number instead of best first. */
enum meros_code neighbours_turn(const struct neighbours *t, struct neighbours *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Adds to scores (items) what n items say about others: sum of weight times score. Items that the table does not know
 * (>= items) are passed over. The caller zeroes scores first, and may blend several tables into it. */
void neighbours_add_scores(const struct neighbours *t, const uint32_t *items, const float *weights, size_t n,
                           float *scores);

struct neighbours_ranking { /* for ranking_evaluate: the table, and whose interactions */
    const struct neighbours *table;
    const struct interactions *by_user;
};
struct ranking_model neighbours_ranking(const struct neighbours_ranking *r);

#endif
