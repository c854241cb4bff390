/* One-to-one assignment (Hungarian method) and its use here: segment ids that stay the same across retrains.
 *
 * A retrained clustering numbers its clusters anew. label_match pairs new labels with old ones so that as
 * many customers as possible keep their segment; a pair whose overlap is too small a share of the two is no
 * match: the new segment is a new one. */
#ifndef MEROS_ML_ASSIGN_H
#define MEROS_ML_ASSIGN_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"

/* Chooses for every row at most one column and for every column at most one row so that the sum of the chosen
 * values is the largest; min(rows, cols) pairs are chosen. value is (rows, cols), row-major, finite.
 * out_col_of_row[i] is -1 for rows left over. O(n^3) (Kuhn 1955 in the shortest augmenting path form of
 * Jonker & Volgenant 1987). */
enum meros_code assign_max(const double *value, size_t rows, size_t cols, int *out_col_of_row,
                           struct meros_err *err) MEROS_MUSTCHECK;

/* The default of min_share: a segment that kept less than a quarter of itself is not the same segment. */
#define LABEL_MATCH_MIN_SHARE 0.25

/* overlap is the (k_old, k_new) contingency table of the customers that both labellings know (contingency()
 * of cluster_metrics.h makes it). out_old_of_new[j] is the old label that new label j continues, or -1 for a
 * new segment; no old label is continued twice. The pairs maximise the customers that stay, over pairs whose
 * share (overlap divided by the union of the two, in 0..1) is at least min_share. An empty segment matches
 * nothing. */
enum meros_code label_match(const int64_t *overlap, int k_old, int k_new, double min_share,
                            int *out_old_of_new, struct meros_err *err) MEROS_MUSTCHECK;

#endif
