/* For tests: the n-th ml_alloc or ml_alloc_raw from now on fails (0: the next); negative: none. Returns whether
 * the one asked for before has failed. */
#ifndef MEROS_ML_MATRIX_PRIV_H
#define MEROS_ML_MATRIX_PRIV_H

#include <stdbool.h>

bool ml_alloc_fail_at(long n);

#endif
