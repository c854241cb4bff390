#include "meros/ml/blas.h"

#include <assert.h>
#include <cblas.h>
#include <f77blas.h>
#include <limits.h>
#include <math.h>
#include <string.h>

/* f77blas.h declares what is BLAS and little of LAPACK; the lengths of the two texts come last. */
extern void dsyevd_(const char *vectors, const char *half, const blasint *n, double *a, const blasint *lda, double *values,
                    double *work, const blasint *work_size, blasint *whole, const blasint *whole_size, blasint *info,
                    size_t vectors_length, size_t half_length);

void ml_start(void)
{
    openblas_set_num_threads(1);
}

void ml_gemm(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, double alpha, const double *a,
             const double *b, double beta, double *c)
{
    assert(m <= INT_MAX && n <= INT_MAX && k <= INT_MAX);
    if (m == 0 || n == 0) return;
    size_t lda = transpose_a ? m : k, ldb = transpose_b ? k : n;
    cblas_dgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans,
                transpose_b ? CblasTrans : CblasNoTrans, (blasint)m, (blasint)n, (blasint)k, alpha, a,
                (blasint)(lda > 0 ? lda : 1), b, (blasint)(ldb > 0 ? ldb : 1), beta, c, (blasint)n);
}

void ml_gram_add_f32(const float *x, size_t n, size_t d, float *sum)
{
    assert(n <= INT_MAX && d <= INT_MAX);
    if (n == 0 || d == 0) return;
    cblas_ssyrk(CblasRowMajor, CblasLower, CblasTrans, (blasint)d, (blasint)n, 1, x, (blasint)d, 1, sum, (blasint)d);
}

void ml_gram_f32(const float *x, size_t n, size_t d, float *out)
{
    memset(out, 0, d * d * sizeof *out);
    ml_gram_add_f32(x, n, d, out);
    for (size_t i = 0; i < d; i++) {
        for (size_t j = 0; j < i; j++) out[j * d + i] = out[i * d + j];
    }
}

void ml_gemm_f32(bool transpose_a, bool transpose_b, size_t m, size_t n, size_t k, float alpha, const float *a,
                 size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    cblas_sgemm(CblasRowMajor, transpose_a ? CblasTrans : CblasNoTrans, transpose_b ? CblasTrans : CblasNoTrans,
                (blasint)m, (blasint)n, (blasint)k, alpha, a, (blasint)lda, b, (blasint)ldb, beta, c, (blasint)ldc);
}

void ml_syrk_f32(bool transpose, size_t n, size_t k, float alpha, const float *a, size_t lda, float *c, size_t ldc)
{
    cblas_ssyrk(CblasRowMajor, CblasLower, transpose ? CblasTrans : CblasNoTrans, (blasint)n, (blasint)k, alpha, a,
                (blasint)lda, 1, c, (blasint)ldc);
}

void ml_trsm_f32(enum ml_side side, bool transpose, size_t m, size_t n, float alpha, const float *l, size_t ldl,
                 float *b, size_t ldb)
{
    cblas_strsm(CblasRowMajor, side == ML_LEFT ? CblasLeft : CblasRight, CblasLower,
                transpose ? CblasTrans : CblasNoTrans, CblasNonUnit, (blasint)m, (blasint)n, alpha, l, (blasint)ldl, b,
                (blasint)ldb);
}

void ml_trmm_f32(size_t m, size_t n, const float *l, size_t ldl, float *b, size_t ldb)
{
    cblas_strmm(CblasRowMajor, CblasLeft, CblasLower, CblasTrans, CblasNonUnit, (blasint)m, (blasint)n, 1, l,
                (blasint)ldl, b, (blasint)ldb);
}

/* A row-major lower half is what Fortran, column-major, calls the upper one: U = L', and U U' there is L'L here. */
bool ml_potrf_f32(float *a, size_t n, size_t lda)
{
    char upper = 'U';
    blasint order = (blasint)n, leading = (blasint)lda, info = 0;
    BLASFUNC(spotrf)(&upper, &order, a, &leading, &info);
    return info == 0;
}

void ml_trtri_f32(float *l, size_t n, size_t ldl)
{
    char upper = 'U', general = 'N';
    blasint order = (blasint)n, leading = (blasint)ldl, info = 0;
    BLASFUNC(strtri)(&upper, &general, &order, l, &leading, &info);
}

void ml_lauum_f32(float *l, size_t n, size_t ldl)
{
    char upper = 'U';
    blasint order = (blasint)n, leading = (blasint)ldl, info = 0;
    BLASFUNC(slauum)(&upper, &order, l, &leading, &info);
}

static size_t eigen_doubles(size_t n)
{
    return 1 + 6 * n + 2 * n * n;
}
static size_t eigen_whole(size_t n)
{
    return 3 + 5 * n;
}

size_t ml_eigen_work(size_t n)
{
    return eigen_doubles(n) + eigen_whole(n);
}

bool ml_eigen(double *a, size_t n, double *values, double *work)
{
    char vectors = 'V', upper = 'U'; /* of Fortran's view, as above; vectors are its columns, our rows */
    blasint order = (blasint)n, doubles = (blasint)eigen_doubles(n), whole = (blasint)eigen_whole(n), info = 0;
    assert(eigen_doubles(n) <= INT_MAX);
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j <= i; j++) {
            if (!isfinite(a[i * n + j])) return false; /* LAPACK may not come back */
        }
    }
    if (n == 0) return true;
    dsyevd_(&vectors, &upper, &order, a, &order, values, work, &doubles, (blasint *)(void *)(work + doubles), &whole, &info, 1, 1);
    return info == 0;
}

bool ml_solve_spd_f32(float *a, size_t n, size_t stride, float *b)
{
    char upper = 'U';
    blasint order = (blasint)n, leading = (blasint)stride, one = 1, info = 0;
    assert(n <= INT_MAX && stride <= INT_MAX);
    BLASFUNC(spotrf)(&upper, &order, a, &leading, &info);
    if (info == 0) BLASFUNC(spotrs)(&upper, &order, &one, a, &leading, b, &order, &info);
    return info == 0;
}
