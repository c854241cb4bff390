/* Who did what with which product, and how much it says: a sparse matrix of weights by compressed rows (CSR).
 *
 * Rows are users and columns items as built; interactions_transpose gives the same matrix by items (which is the
 * CSC form of the first). Row r has the entries start[r] .. start[r + 1] - 1; their columns ascend and differ. An
 * entry is never 0; a negative one speaks against (a return, a bad review).
 *
 * Memory: 8 bytes a row and 8 bytes a triple that it was built from (an entry, of a transpose); while it is built, 4
 * bytes a triple and 8 a row and a column more.
 * A matrix owns its arrays and is read-only once built: any number of threads may read it. */
#ifndef MEROS_ML_INTERACTIONS_H
#define MEROS_ML_INTERACTIONS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"

struct interaction { /* a triple */
    uint32_t row, col;
    float weight;
};

struct interactions {
    size_t rows, cols, n; /* n entries */
    size_t *start;        /* rows + 1 */
    uint32_t *col;        /* n */
    float *weight;        /* n */
};

/* From n triples in any order (at most 2^32 - 1). Those of one row and column are added up, in double and in the
 * order given; sums of exactly 0 leave no entry. MEROS_UNPROCESSABLE names the first triple (from 0) outside
 * (rows, cols) or whose weight is not finite; MEROS_OUT_OF_MEMORY when it would take more than budget bytes
 * (0: no limit). No triples, rows or columns make an empty matrix. *out is written on success only. */
enum meros_code interactions_build(const struct interaction *triples, size_t n, size_t rows, size_t cols,
                                   size_t budget, struct interactions *out,
                                   struct meros_err *err) MEROS_MUSTCHECK;

enum meros_code interactions_transpose(const struct interactions *x, size_t budget, struct interactions *out,
                                       struct meros_err *err) MEROS_MUSTCHECK;

/* The bytes of a matrix built from n triples, or of a transpose of n entries. */
size_t interactions_memory(size_t rows, size_t n);

void interactions_done(struct interactions *x); /* takes an all-zero one */

/* The weight at (row, col), 0 where there is no entry. O(log entries of the row). */
float interactions_at(const struct interactions *x, size_t row, uint32_t col);

static inline size_t interactions_of(const struct interactions *x, size_t row)
{
    return x->start[row + 1] - x->start[row];
}

#endif
