/* How unevenly something is spread: what share of a sum the largest values hold (the Lorenz curve, read from its top), and
 * Gini's coefficient, the mean absolute difference of two values over twice their mean. Pure. */
#ifndef MEROS_ML_CONCENTRATION_H
#define MEROS_ML_CONCENTRATION_H

#include <stddef.h>

/* sorted: n values of nought or more, ascending. Both are NaN where the sum is nought or n is. */

/* Of the sum, what the largest `share` (0..1) of the values hold; of a value on the border, its part. */
double top_share_sorted(const double *sorted, size_t n, double share);
/* 0: all values are equal; towards 1: one holds all. The population's, not corrected for n. */
double gini_sorted(const double *sorted, size_t n);

#endif
