/* The best of many scores.
 *
 * Higher scores come first, equal ones by the lower item number, so that an answer is one answer. What scores NaN
 * or -infinity is never taken: setting -infinity is how an item is excluded. Nothing here allocates; any number of
 * threads may call. */
#ifndef MEROS_ML_TOPK_H
#define MEROS_ML_TOPK_H

#include <stddef.h>
#include <stdint.h>

struct scored {
    uint32_t item;
    float score;
};

/* The best k of n scores, best first, into out (k). Returns how many there are: less than k where fewer can be
 * taken. O(n) comparisons and a heap of k that is touched O(k log n/k) times on average. */
size_t topk_select(const float *scores, size_t n, size_t k, struct scored *out);

/* The same where score i is that of item items[i], in any order. */
size_t topk_select_of(const uint32_t *items, const float *scores, size_t n, size_t k, struct scored *out);

/* The best k items of a catalogue by factors: item i scores row i of `items` ((n, stride) row-major, stride a
 * multiple of 16, rows 64-byte aligned) times `user` (stride), but not the n_excluded items in `excluded`
 * (ascending). mask: bit i % 64 of mask[i / 64] says whether item i may be taken; NULL: all may.
 * `scratch` is (TOPK_BLOCK) floats, 64-byte aligned, of the caller. One pass over the items in blocks that stay in
 * the cache; 20,000 x 64 takes some 0.3 ms on one core, the time that 5 MB take from the third cache (tests/bench/topk.sh). */
enum { TOPK_BLOCK = 1024 };
size_t topk_factors(const float *items, size_t n, size_t stride, const float *user, const uint32_t *excluded,
                    size_t n_excluded, const uint64_t *mask, size_t k, float *scratch, struct scored *out);

#endif
