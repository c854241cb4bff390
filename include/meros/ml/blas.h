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

/* Eigenvectors and eigenvalues of a symmetric A (n, n), of which the lower half is read: values (n) ascend, row i of A becomes the
 * vector of value i, of length 1. work: ml_eigen_work(n) doubles. False when it does not converge or A is not finite. */
size_t ml_eigen_work(size_t n);
bool ml_eigen(double *a, size_t n, double *values, double *work) MEROS_MUSTCHECK;

/* Solves A x = b for a symmetric positive definite A of n rows that lie `stride` apart; b (n) becomes x. Reads the
 * lower half of A and overwrites it. False when A is not positive definite. */
bool ml_solve_spd_f32(float *a, size_t n, size_t stride, float *b) MEROS_MUSTCHECK;

/* On tiles of larger matrices, float32, row-major, each with its distance between rows (ld…). L and T are lower
 * triangles. */
enum ml_side { ML_LEFT, ML_RIGHT };
/* C = alpha op(A) op(B) + beta C */
void ml_gemm_f32(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha, const float *a,
                 size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);
/* The lower half of C (n, n) += alpha A A' with A (n, k), or alpha A'A with A (k, n) when transposed. */
void ml_syrk_f32(bool transpose, size_t n, size_t k, float alpha, const float *a, size_t lda, float *c, size_t ldc);
/* B (m, n) = alpha op(L)^-1 B from the left, alpha B op(L)^-1 from the right. */
void ml_trsm_f32(enum ml_side side, bool transpose, size_t m, size_t n, float alpha, const float *l, size_t ldl,
                 float *b, size_t ldb);
void ml_trmm_f32(size_t m, size_t n, const float *l, size_t ldl, float *b, size_t ldb); /* B (m, n) = L'B */
bool ml_potrf_f32(float *a, size_t n, size_t lda) MEROS_MUSTCHECK; /* lower half: A = L L'; false: not pos. definite */
void ml_trtri_f32(float *l, size_t n, size_t ldl);                 /* L = L^-1 */
void ml_lauum_f32(float *l, size_t n, size_t ldl);                 /* lower half: L'L */

#endif
