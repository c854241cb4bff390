/* The inverse of a large symmetric positive definite matrix, float32, in place, in tiles over a pool's threads. */
#ifndef MEROS_ML_SPD_PRIV_H
#define MEROS_ML_SPD_PRIV_H

#include <stddef.h>
#include "meros/base/err.h"
#include "meros/ml/parallel.h"

/* a is (n, n), row-major; its lower half is read and becomes the lower half of the inverse; of the upper half only
 * what lies in the tiles on the diagonal is touched. tile: rows of a tile. MEROS_UNPROCESSABLE when it is not positive
 * definite, MEROS_CANCELLED. done: the share of the caller's work before, from which keep_going counts on to 1. */
enum meros_code spd_invert(float *a, size_t n, size_t tile, const struct ml_run *run, double done,
                           struct meros_err *err) MEROS_MUSTCHECK;

#endif
