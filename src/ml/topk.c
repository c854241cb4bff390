#include "meros/ml/topk.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "factors_priv.h"

/* Whether a comes before b. */
static bool better(struct scored a, struct scored b)
{
    return a.score > b.score || (a.score == b.score && a.item < b.item);
}

/* The heap of the best so far has the worst of them on top. */
static void sink(struct scored *heap, size_t n, size_t at, struct scored s)
{
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= n) break;
        if (child + 1 < n && better(heap[child], heap[child + 1])) child++;
        if (!better(s, heap[child])) break;
        heap[at] = heap[child];
        at = child;
    }
    heap[at] = s;
}

static void rise(struct scored *heap, size_t at, struct scored s)
{
    while (at > 0 && better(heap[(at - 1) / 2], s)) {
        heap[at] = heap[(at - 1) / 2];
        at = (at - 1) / 2;
    }
    heap[at] = s;
}

struct best {
    struct scored *heap;
    size_t k, n;
    float least; /* what a score must exceed once the heap is full; items come in ascending order */
};

static void offer(struct best *b, uint32_t item, float score)
{
    if (b->n < b->k) {
        if (!(score > -INFINITY)) return;
        rise(b->heap, b->n++, (struct scored){item, score});
    } else {
        sink(b->heap, b->n, 0, (struct scored){item, score});
    }
    if (b->n == b->k) b->least = b->heap[0].score;
}

/* Offers scores[0 .. n-1] of the items from first on. Most blocks of sixteen hold nothing better and are passed
 * with one comparison each, which the compiler makes of vectors. */
static void offer_all(struct best *b, uint32_t first, const float *scores, size_t n)
{
    enum { STEP = 16 };
    size_t i = 0;
    while (i < n) {
        if (i + STEP <= n && b->n == b->k) {
            int any = 0;
            for (size_t j = 0; j < STEP; j++) any |= scores[i + j] > b->least;
            if (!any) {
                i += STEP;
                continue;
            }
        }
        const size_t end = i + STEP <= n ? i + STEP : n;
        for (; i < end; i++) {
            if (scores[i] > b->least) offer(b, first + (uint32_t)i, scores[i]);
        }
    }
}

static size_t sorted(struct best *b)
{
    for (size_t n = b->n; n > 1; n--) {
        const struct scored worst = b->heap[0], last = b->heap[n - 1];
        sink(b->heap, n - 1, 0, last);
        b->heap[n - 1] = worst;
    }
    return b->n;
}

/* --- many of very many: rather than a heap, what exceeds the least so far is put aside, and when there is twice as much as is
 * wanted the better half of it stays. Keys are whole numbers, the smaller the better: the score's bits so turned that they order as
 * scores do, then the item. */

enum { HEAP_UP_TO = 16, ASIDE = 1024, SHORT = 16 };

static uint64_t key_of(uint32_t item, float score)
{
    uint32_t bits;
    score += 0.0f; /* -0 is 0 */
    memcpy(&bits, &score, sizeof bits);
    bits = (bits & 0x80000000) != 0 ? bits : ~bits & 0x7FFFFFFF;
    return (uint64_t)bits << 32 | item;
}

static struct scored scored_of(uint64_t key)
{
    uint32_t bits = (uint32_t)(key >> 32);
    struct scored s = {.item = (uint32_t)key};
    bits = (bits & 0x80000000) != 0 ? bits : ~bits & 0x7FFFFFFF;
    memcpy(&s.score, &bits, sizeof s.score);
    return s;
}

/* Keys before the place that is returned are not above those from there on; neither side is empty. n > SHORT, keys differ. */
static size_t part(uint64_t *key, size_t n)
{
    const uint64_t a = key[0], b = key[n / 2], c = key[n - 1];
    const uint64_t low = a < b ? a : b, high = a < b ? b : a, middle = c < low ? low : c < high ? c : high;
    size_t i = 0, j = n - 1;
    for (;; i++, j--) {
        while (key[i] < middle) i++;
        while (key[j] > middle) j--;
        if (i >= j) return i;
        const uint64_t k = key[i];
        key[i] = key[j];
        key[j] = k;
    }
}

static void sort_short(uint64_t *key, size_t n)
{
    for (size_t i = 1; i < n; i++) {
        const uint64_t k = key[i];
        size_t at = i;
        for (; at > 0 && key[at - 1] > k; at--) key[at] = key[at - 1];
        key[at] = k;
    }
}

static void sort_keys(uint64_t *key, size_t n)
{
    while (n > SHORT) {
        const size_t left = part(key, n);
        sort_keys(key, left);
        key += left;
        n -= left;
    }
    sort_short(key, n);
}

/* The k smallest come first, k < n. */
static void keep_smallest(uint64_t *key, size_t n, size_t k)
{
    while (n > SHORT) {
        const size_t left = part(key, n);
        if (k <= left) {
            n = left;
        } else {
            key += left;
            n -= left;
            k -= left;
        }
    }
    sort_short(key, n);
}

static size_t select_aside(const float *scores, size_t n, size_t k, struct scored *out)
{
    enum { STEP = 16 };
    uint64_t key[ASIDE + STEP];
    const size_t full = 2 * k < ASIDE ? 2 * k : ASIDE;
    float least = -INFINITY;
    size_t kept = 0;
    for (size_t i = 0; i < n; i += STEP) {
        const size_t end = i + STEP < n ? i + STEP : n;
        int any = end - i < STEP;
        if (!any) {
            for (size_t j = 0; j < STEP; j++) any |= scores[i + j] > least;
        }
        for (size_t j = i; any && j < end; j++) {
            if (scores[j] > least) key[kept++] = key_of((uint32_t)j, scores[j]);
        }
        if (kept < full) continue;
        keep_smallest(key, kept, k);
        kept = k;
        uint64_t worst = 0;
        for (size_t j = 0; j < k; j++) worst = key[j] > worst ? key[j] : worst;
        least = scored_of(worst).score;
    }
    if (kept > k) {
        keep_smallest(key, kept, k);
        kept = k;
    }
    sort_keys(key, kept);
    for (size_t j = 0; j < kept; j++) out[j] = scored_of(key[j]);
    return kept;
}

size_t topk_select(const float *scores, size_t n, size_t k, struct scored *out)
{
    struct best b = {.heap = out, .k = k, .least = -INFINITY};
    if (k == 0) return 0;
    if (k > HEAP_UP_TO && 2 * k <= ASIDE) return select_aside(scores, n, k, out);
    offer_all(&b, 0, scores, n);
    return sorted(&b);
}

size_t topk_select_of(const uint32_t *items, const float *scores, size_t n, size_t k, struct scored *out)
{
    struct best b = {.heap = out, .k = k, .least = -INFINITY};
    for (size_t i = 0; i < n && k > 0; i++) {
        const struct scored s = {items[i], scores[i]};
        if (!(s.score > -INFINITY)) continue;
        if (b.n < k || better(s, b.heap[0])) offer(&b, s.item, s.score);
    }
    return sorted(&b);
}

size_t topk_factors(const float *items, size_t n, size_t stride, const float *user, const uint32_t *excluded,
                    size_t n_excluded, const uint64_t *mask, size_t k, float *scratch, struct scored *out)
{
    const struct factors_kernel *kernel = factors_kernel_best();
    struct best b = {.heap = out, .k = k, .least = -INFINITY};
    size_t at = 0;
    if (k == 0) return 0;
    for (size_t first = 0; first < n; first += TOPK_BLOCK) {
        const size_t count = n - first < TOPK_BLOCK ? n - first : TOPK_BLOCK;
        kernel->dots(items + first * stride, count, stride, user, scratch);
        for (; at < n_excluded && excluded[at] < first + count; at++) {
            if (excluded[at] >= first) scratch[excluded[at] - first] = -INFINITY;
        }
        for (size_t i = 0; mask != NULL && i < count; i++) {
            if ((mask[(first + i) / 64] >> (first + i) % 64 & 1) == 0) scratch[i] = -INFINITY;
        }
        offer_all(&b, (uint32_t)first, scratch, count);
    }
    return sorted(&b);
}
