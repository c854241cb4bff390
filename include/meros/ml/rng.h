/* Random numbers: xoshiro256** (Blackman & Vigna 2018), its state filled by splitmix64 from one 64-bit seed.
 *
 * The same seed gives the same numbers on every machine. Work that is split over threads takes one generator
 * a task (ml_rng_stream with the number of the task, never of the thread), so results do not depend on how
 * many threads run. A generator belongs to one thread. Not for secrets: those come from base/crypto.h.
 *
 * First values of ml_rng_next:   seed 0: 99ec5f36cb75f2b4 bf6e1f784956452a 1a5f849d4933e6e0
 *                                seed 1: b3f2af6d0fc710c5 853b559647364cea 92f89756082a4514
 *                               seed 42: 15780b2e0c2ec716 6104d9866d113a7e ae17533239e499a1 */
#ifndef MEROS_ML_RNG_H
#define MEROS_ML_RNG_H

#include <stddef.h>
#include <stdint.h>

struct ml_rng {
    uint64_t s[4];
    double spare; /* the second normal of a pair */
    int has_spare;
};

void ml_rng_seed(struct ml_rng *r, uint64_t seed);
/* A generator for one of many tasks of one seed: streams of different (seed, stream) are unrelated. Stream 0
 * is not ml_rng_seed(seed). */
void ml_rng_stream(struct ml_rng *r, uint64_t seed, uint64_t stream);
void ml_rng_jump(struct ml_rng *r); /* forward by 2^128 numbers: disjoint sequences from one state */

uint64_t ml_rng_next(struct ml_rng *r);
double ml_rng_uniform(struct ml_rng *r);             /* [0, 1), 53 random bits */
uint64_t ml_rng_below(struct ml_rng *r, uint64_t n); /* 0 .. n-1, unbiased; n > 0 */
double ml_rng_normal(struct ml_rng *r);              /* mean 0, variance 1 */
/* An index with probability weight / sum. Weights finite and >= 0; a sum of 0 chooses evenly. n > 0. */
size_t ml_rng_choice(struct ml_rng *r, const double *weights, size_t n);
void ml_rng_shuffle(struct ml_rng *r, size_t *values, size_t n);
/* m <= n different numbers of 0 .. n-1, ascending, every subset equally likely (selection sampling, O(n)). */
void ml_rng_sample(struct ml_rng *r, size_t n, size_t m, size_t *out);

#endif
