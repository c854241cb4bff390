/* The few calls into BLAS, for shapes where it is good (large and square; tall and skinny ones have kernels
 * of their own, measured several times faster). BLAS runs one thread per caller: results then do not depend
 * on how many threads it would have started, and callers on several threads do not fight over the cores. */
#ifndef MEROS_ML_BLAS_H
#define MEROS_ML_BLAS_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"

/* Once, before the first thread that computes: pins BLAS to one thread per caller. */
void ml_start(void);

/* C = alpha * op(A) op(B) + beta * C, row-major, op(A) (m, k), op(B) (k, n), C (m, n), all contiguous. */
void ml_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha, const double *a,
             const double *b, double beta, double *c);

/* Float32, over contiguous row-major rows of d columns. X is (n, d), a Gram matrix (d, d) and symmetric, both halves
 * written. */
void ml_gram_f32(const float *x, size_t n, size_t d, float *out);     /* out = X'X */
void ml_gram_add_f32(const float *x, size_t n, size_t d, float *sum); /* sum += X'X, the lower half of sum alone */

/* Solves A x = b for a symmetric positive definite A of n rows that lie `stride` apart; b (n) becomes x. Reads the
 * lower half of A and overwrites it. False when A is not positive definite. */
bool ml_solve_spd_f32(float *a, size_t n, size_t stride, float *b) MEROS_MUSTCHECK;

#endif
