/* The few calls into BLAS, for shapes where it is good (large and square; tall and skinny ones have kernels
 * of their own, measured several times faster). BLAS runs one thread per caller: results then do not depend
 * on how many threads it would have started, and callers on several threads do not fight over the cores. */
#ifndef MEROS_ML_BLAS_H
#define MEROS_ML_BLAS_H

#include <stdbool.h>
#include <stddef.h>

/* Once, before the first thread that computes: pins BLAS to one thread per caller. */
void ml_start(void);

/* C = alpha * op(A) op(B) + beta * C, row-major, op(A) (m, k), op(B) (k, n), C (m, n), all contiguous. */
void ml_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha, const double *a,
             const double *b, double beta, double *c);

#endif
