/* The kernels under matrix factorisation and its serving, for the kinds of machine that there are. Rows of factors
 * have `stride` float32s, a multiple of 16, the last ones zero; they begin at 64-byte boundaries.
 *
 * The kernels differ in the last bits only. Which one runs is one for the process. */
#ifndef MEROS_ML_FACTORS_PRIV_H
#define MEROS_ML_FACTORS_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

enum { FACTORS_LANES = 16, FACTORS_STRIDE_MAX = 512, FACTORS_AHEAD = 16 };

/* One row's system A x = b of implicit least squares (als.h):
 *   A = diag(diagonal + ridge) + sum over entries of extra_i y_i y_i',   b = sum over entries of target_i y_i
 * where y_i is row item[i] of y. The Gram matrix of all of y is diagonal: y lies along its axes (als.c). */
struct factors_system {
    const float *diagonal; /* stride, >= 0 */
    float ridge;
    const float *y; /* (any, stride) */
    const uint16_t *y16; /* the same as bfloat16 (factors_round), which the first pack_rows rows are read from; NULL: read y */
    size_t stride;
    const uint32_t *item;
    const float *extra, *target;
    size_t n;
    size_t ahead; /* >= n: so many of item may be read, to fetch the rows of systems to come */
    /* Room for the first pack_rows <= n rows side by side: every step passes through them, and in a row they stream
     * where scattered ones wait for memory. */
    float *pack;
    size_t pack_rows;
};

struct factors_kernel {
    const char *name;
    /* out[i] = rows[i] . x, n rows one after the other. */
    void (*dots)(const float *rows, size_t n, size_t stride, const float *x, float *out);
    /* Improves x (stride) by `steps` steps of conjugate gradients, preconditioned by A's diagonal, fewer when the squared residual,
     * by the preconditioner's inverse, falls to `enough` times what it was. */
    void (*solve)(const struct factors_system *s, int steps, float enough, float *x);
};

/* The nearest bfloat16: the upper half of a float, 8 bits of mantissa. */
static inline uint16_t factors_round(float v)
{
    uint32_t bits;
    memcpy(&bits, &v, sizeof bits);
    return (uint16_t)((bits + 0x7FFF + (bits >> 16 & 1)) >> 16);
}

const struct factors_kernel *factors_kernel_best(void); /* of this machine, or the forced one */

/* For tests and measurements: false if this machine cannot run it; NULL goes back to the best. Not thread-safe. */
bool factors_force_kernel(const char *name);

#endif
