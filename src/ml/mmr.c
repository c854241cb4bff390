#include "meros/ml/mmr.h"

#include <math.h>

size_t mmr_select(const double *relevance, size_t n, size_t k, double diversity, mmr_alike_fn alike, const void *arg, float *scratch,
                  uint32_t *out)
{
    float *scaled = scratch, *closest = scratch + n; /* closest: to any that is chosen; NaN: chosen itself */
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < n; i++) {
        if (relevance[i] < low) low = relevance[i];
        if (relevance[i] > high) high = relevance[i];
    }
    for (size_t i = 0; i < n; i++) {
        scaled[i] = high > low ? (float)((relevance[i] - low) / (high - low)) : 1;
        closest[i] = 0;
    }
    size_t chosen = 0;
    while (chosen < k && chosen < n) {
        size_t best = n;
        double most = -INFINITY;
        for (size_t i = 0; i < n; i++) {
            const double worth = (1 - diversity) * (double)scaled[i] - diversity * (double)closest[i];
            if (worth > most) { /* never of a chosen one */
                most = worth;
                best = i;
            }
        }
        out[chosen++] = (uint32_t)best;
        closest[best] = NAN;
        if (diversity == 0 || chosen == k) continue;
        for (size_t i = 0; i < n; i++) {
            if (isnan(closest[i])) continue;
            const float a = alike(arg, (uint32_t)best, (uint32_t)i);
            if (a > closest[i]) closest[i] = a;
        }
    }
    return chosen;
}
