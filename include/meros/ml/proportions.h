/* Shares of counts: how sure they are, and whether two of them differ. All at 95 %. Pure.
 *
 * Wilson, E. B. (1927), Probable inference, the law of succession, and statistical inference. Newcombe, R. G. (1998), Interval
 * estimation for the difference between independent proportions, method 10. Where there is nothing to tell of (n = 0), NaN. */
#ifndef MEROS_ML_PROPORTIONS_H
#define MEROS_ML_PROPORTIONS_H

struct ml_interval {
    double low, high;
};

/* k of n, 0 <= k <= n. Within [0, 1], also for k = 0 and k = n. */
struct ml_interval wilson_interval(double k, double n);
/* Of k2 / n2 - k1 / n1; within [-1, 1]. */
struct ml_interval newcombe_interval(double k1, double n1, double k2, double n2);
/* Two-sided p of the two-proportion z-test, variance pooled. 1 where both shares are 0, or both 1. */
double two_proportions_p(double k1, double n1, double k2, double n2);
/* Two-sided exact p of k successes in n fair coins: 2 P(X <= min(k, n - k)), at most 1. n up to millions. */
double sign_test_p(double k, double n);
/* Two-sided p, by the normal approximation, of k in n where the share p was intended: for sample ratios. 0 < p < 1. */
double share_p(double k, double n, double p);

#endif
