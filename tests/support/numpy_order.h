/* The order in which NumPy leaves the best k of n scores: what `(-scores).argpartition(k)[:k]`, put in order by
 * `argsort(-scores[of them])`, gives. Published figures of recommenders are computed over that order, and where scores are equal it is
 * nobody's choice but what the course of the selection happens to leave; it follows from the scores alone, so it can be had without NumPy.
 *
 * NumPy selects by quickselect with the median of three as pivot, and by that of medians of five where it has cut too little for too
 * long; up to 16 are put in order by insertion. So did all versions before 1.25; later ones do where the processor has no wide
 * vectors for it. tests/unit/ml/test_movielens.c holds this against NumPy itself, where there is one. */
#ifndef TESTS_NUMPY_ORDER_H
#define TESTS_NUMPY_ORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct numpy_order {
    const float *score;
    uint32_t *at; /* places of scores, in the order so far */
};

/* Higher scores come first. */
static inline bool numpy_before(const struct numpy_order *o, size_t a, size_t b)
{
    return o->score[o->at[a]] > o->score[o->at[b]];
}

static inline void numpy_swap(const struct numpy_order *o, size_t a, size_t b)
{
    const uint32_t kept = o->at[a];
    o->at[a] = o->at[b];
    o->at[b] = kept;
}

static inline void numpy_swap_if_before(const struct numpy_order *o, size_t a, size_t b)
{
    if (numpy_before(o, a, b)) numpy_swap(o, a, b);
}

static inline void numpy_select(const struct numpy_order *o, size_t n, size_t kth);

/* The median of the medians of five each: its place. */
static inline size_t numpy_median_of_medians(const struct numpy_order *o, size_t n)
{
    for (size_t i = 0; i < n / 5; i++) {
        const struct numpy_order five = {o->score, o->at + 5 * i};
        numpy_swap_if_before(&five, 1, 0);
        numpy_swap_if_before(&five, 4, 3);
        numpy_swap_if_before(&five, 3, 0);
        numpy_swap_if_before(&five, 4, 1);
        numpy_swap_if_before(&five, 2, 1);
        const size_t median = !numpy_before(&five, 3, 2) ? 2 : numpy_before(&five, 3, 1) ? 1 : 3;
        numpy_swap(o, 5 * i + median, i);
    }
    if (n / 5 > 2) numpy_select(o, n / 5, n / 5 / 2);
    return n / 5 / 2;
}

/* Moves the kth where it belongs, what comes before it before it, and the others behind it. */
static inline void numpy_select(const struct numpy_order *o, size_t n, size_t kth)
{
    size_t low = 0, high = n - 1;
    int patience = 0;
    if (kth < 3) {
        for (size_t i = 0; i <= kth; i++) {
            size_t best = i;
            for (size_t j = i + 1; j < n; j++) best = numpy_before(o, j, best) ? j : best;
            numpy_swap(o, i, best);
        }
        return;
    }
    if (kth == n - 1) {
        size_t worst = 0;
        for (size_t j = 1; j < n; j++) worst = numpy_before(o, j, worst) ? worst : j;
        numpy_swap(o, kth, worst);
        return;
    }
    for (size_t left = n; left > 1; left /= 2) patience += 2;
    for (; low + 1 < high; patience--) {
        size_t from = low + 1, to = high;
        if (patience > 0 || to - from < 5) {
            const size_t mid = low + (high - low) / 2;
            numpy_swap_if_before(o, high, mid);
            numpy_swap_if_before(o, high, low);
            numpy_swap_if_before(o, low, mid);
            numpy_swap(o, mid, low + 1);
        } else {
            const struct numpy_order rest = {o->score, o->at + from};
            numpy_swap(o, from + numpy_median_of_medians(&rest, to - from), low);
            from--, to++;
        }
        for (;; numpy_swap(o, from, to)) { /* around the pivot, which is at low */
            do from++;
            while (numpy_before(o, from, low));
            do to--;
            while (numpy_before(o, low, to));
            if (to < from) break;
        }
        numpy_swap(o, low, to);
        if (to >= kth) high = to - 1;
        if (to <= kth) low = from;
    }
    if (high == low + 1) numpy_swap_if_before(o, high, low);
}

/* The places of the best k of n scores, best first, in at[0] .. at[k - 1]; at has room for n. 0 < k < n, k <= 16; no NaN. */
static inline void numpy_best(const float *score, size_t n, size_t k, uint32_t *at)
{
    const struct numpy_order o = {score, at};
    for (size_t i = 0; i < n; i++) at[i] = (uint32_t)i;
    numpy_select(&o, n, k);
    for (size_t i = 1; i < k; i++)
        for (size_t j = i; j > 0 && numpy_before(&o, j, j - 1); j--) numpy_swap(&o, j, j - 1);
}

#endif
