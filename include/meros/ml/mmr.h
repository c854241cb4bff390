/* A list of the best that are not all alike: maximal marginal relevance (Carbonell & Goldstein, SIGIR 1998).
 *
 *   MMR(i) = (1 - diversity) relevance_i - diversity max over the chosen j of alike(i, j)
 *
 * One candidate after another is chosen, each time the one of the highest MMR; equal ones by their place in the input. relevance
 * is scaled to 0 .. 1 over the candidates first, so that it can be weighed against a likeness of 0 .. 1; where all are equally
 * relevant it is 1. diversity 0 gives the candidates in order of relevance, 1 regards nothing but the likeness.
 *
 * O(n k) calls of alike. Nothing here allocates; any number of threads. */
#ifndef MEROS_ML_MMR_H
#define MEROS_ML_MMR_H

#include <stddef.h>
#include <stdint.h>

/* How alike candidates a and b are, 0 .. 1. */
typedef float (*mmr_alike_fn)(const void *arg, uint32_t a, uint32_t b);

/* Chooses min(k, n) of n candidates into out (k), best first, as their numbers 0 .. n - 1. relevance: n, finite. scratch: 2 n floats
 * of the caller. Returns how many. */
size_t mmr_select(const double *relevance, size_t n, size_t k, double diversity, mmr_alike_fn alike, const void *arg, float *scratch,
                  uint32_t *out);

#endif
