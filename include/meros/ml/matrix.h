/* Shapes, checked sizes and aligned memory for numerical code.
 *
 * Matrices are row-major and contiguous: element (i, j) of a (rows, cols) matrix is data[i * cols + j].
 * struct ml_matrix is a view: it owns nothing.
 *
 * Before it allocates, an algorithm adds up all it will need in a struct ml_need (products and sums are
 * checked) and compares with its budget; only then does it call ml_alloc. */
#ifndef MEROS_ML_MATRIX_H
#define MEROS_ML_MATRIX_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"

struct ml_matrix { /* float32: what the measured kernels read */
    const float *data;
    size_t rows, cols;
};

struct ml_need {
    size_t bytes;
    bool overflow; /* past SIZE_MAX: certainly too much */
};
void ml_need_add(struct ml_need *need, size_t count, size_t size); /* count * size bytes more */
/* MEROS_OUT_OF_MEMORY, saying how much `what` needs and how much it may use; budget 0: no limit (overflow
 * still fails). */
enum meros_code ml_need_check(const struct ml_need *need, size_t budget, const char *what,
                              struct meros_err *err) MEROS_MUSTCHECK;

/* count * size zeroed bytes, aligned to 64 (a cache line, an AVX-512 register); free() them. NULL when out of
 * memory or past SIZE_MAX. Never returns NULL for a count of 0. */
void *ml_alloc(size_t count, size_t size);
/* The same, not zeroed: for large arrays that are written in full, by several threads, anyway. */
void *ml_alloc_raw(size_t count, size_t size);

/* The first value that is NaN or infinite: MEROS_UNPROCESSABLE naming its row and column (from 0). */
enum meros_code ml_check_finite(struct ml_matrix x, struct meros_err *err) MEROS_MUSTCHECK;

#endif
