/* Order statistics, scores by quantile, moments. No value may be NaN. Nothing here allocates.
 *
 * Quantiles are definition 7 of Hyndman & Fan (1996), numpy's and R's default: the value at position
 * p * (n - 1) of the sorted values, linear in between. */
#ifndef MEROS_ML_QUANTILE_H
#define MEROS_ML_QUANTILE_H

#include <stddef.h>

void values_sort(double *values, size_t n); /* ascending, in place */
double quantile_sorted(const double *sorted, size_t n, double p); /* NaN when n is 0; p in 0..1 */
double median_sorted(const double *sorted, size_t n);
double iqr_sorted(const double *sorted, size_t n); /* quantile .75 - quantile .25 */
/* Median absolute deviation from the median, unscaled (times 1.4826 it estimates a normal's sigma). scratch:
 * n values. */
double mad_sorted(const double *sorted, size_t n, double *scratch);

/* --- scores 1 .. levels by quantile (RFM: levels 5) ---
 * Equal values always get equal scores. Where a group of equal values spans several quantiles, it scores as
 *   SCORE_TIES_LOW   its lowest member would: with 60 % of customers at frequency 1, those score 1, the
 *                    others 4 and 5;
 *   SCORE_TIES_MID   its middle member would: those score 2, the others 4 and 5; all values equal: the middle
 *                    score.
 * In terms of ranks: 1 + floor(levels * r / n), r = the number of smaller values (LOW), plus half the equal
 * ones (MID).
 *
 * A scoring is kept as its cuts, so that a live value is scored as training would: score = 1 + the number of
 * cuts that are <= value. A score that no value gets has the cut of the next higher one; past the largest
 * value cuts are +inf. */
enum score_ties { SCORE_TIES_LOW, SCORE_TIES_MID };
void score_cuts(const double *sorted, size_t n, int levels, enum score_ties ties,
                double *out_cuts /* levels - 1 */);
int score_of(const double *cuts, int levels, double value);

/* --- mean, variance, skewness in one pass (Welford 1962, Pébay 2008); all zero is the empty state --- */
struct moments {
    size_t n;
    double mean, m2, m3, min, max;
};
void moments_add(struct moments *m, double value);
void moments_merge(struct moments *m, const struct moments *other); /* as if other's values had been added */
double moments_variance(const struct moments *m); /* population (divides by n); 0 when n < 2 */
double moments_sd(const struct moments *m);
double moments_skewness(const struct moments *m); /* population; 0 when the variance is 0 */

#endif
