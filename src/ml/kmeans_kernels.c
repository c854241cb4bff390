/* The kernels of k-means and of the silhouette for three kinds of machine, and the choice among them at run
 * time. */
#include "kernels_priv.h"
#include "kmeans_priv.h"

#include <math.h>
#include <string.h>

/* Moves one row (its columns are `stride` apart) from the sums of one label to another's; from < 0: it had
 * none. */
static void km_move(const float *x, size_t stride, size_t d, int32_t from, int32_t to, double *restrict sums,
                    int64_t *restrict counts)
{
    double *s = sums + (size_t)to * d;
    for (size_t f = 0; f < d; f++) s[f] += (double)x[f * stride];
    counts[to]++;
    if (from < 0) return;
    s = sums + (size_t)from * d;
    for (size_t f = 0; f < d; f++) s[f] -= (double)x[f * stride];
    counts[from]--;
}

/* --- plain C: vectors of four, which every 64-bit machine has --- */
typedef float km_v4f __attribute__((vector_size(16)));
typedef int32_t km_v4i __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) km_v4f v4_load(const float *p)
{
    km_v4f v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline __attribute__((always_inline)) km_v4i v4i_load(const int32_t *p)
{
    km_v4i v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline __attribute__((always_inline)) void v4_store(float *p, km_v4f v)
{
    memcpy(p, &v, sizeof v);
}
static inline __attribute__((always_inline)) void v4i_store(int32_t *p, km_v4i v)
{
    memcpy(p, &v, sizeof v);
}
static inline __attribute__((always_inline)) km_v4f v4_where(km_v4i m, km_v4f a, km_v4f b)
{
    return (km_v4f)((m & (km_v4i)a) | (~m & (km_v4i)b));
}
static inline __attribute__((always_inline)) km_v4f v4_sqrt(km_v4f a)
{
    return (km_v4f){sqrtf(a[0]), sqrtf(a[1]), sqrtf(a[2]), sqrtf(a[3])};
}
static inline __attribute__((always_inline)) uint32_t v4i_differ(km_v4i a, km_v4i b)
{
    km_v4i m = a != b;
    return (uint32_t)((m[0] & 1) | (m[1] & 2) | (m[2] & 4) | (m[3] & 8));
}

#define KM(name) name##_portable
#define KM_TARGET
#define VF             km_v4f
#define VI             km_v4i
#define LANES          4
#define TILE           6
#define v_load(p)      v4_load(p)
#define v_store(p, v)  v4_store((p), (v))
#define v_set1(s)      ((km_v4f){(s), (s), (s), (s)})
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_sub(a, b)    ((a) - (b))
#define v_sqrt(a)      v4_sqrt(a)
#define v_min(a, b)    v4_where((a) < (b), (a), (b))
#define vi_load(p)     v4i_load(p)
#define vi_store(p, v) v4i_store((p), (v))
#define vi_set1(s)     ((km_v4i){(s), (s), (s), (s)})
#define v_take_greater(best, arg, value, index)                                                              \
    do {                                                                                                     \
        km_v4i more_ = (value) > (best);                                                                     \
        (best) = v4_where(more_, (value), (best));                                                           \
        (arg) = (more_ & (index)) | (~more_ & (arg));                                                        \
    } while (0)
#define vi_differ(a, b) v4i_differ((a), (b))
#include "kmeans_kernel.inc"

static const struct km_kernel portable = {"portable",
                                          8,
                                          6,
                                          pack_portable,
                                          assign_portable,
                                          inertia_portable,
                                          try_seeds_portable,
                                          add_seed_portable,
                                          distance_sums_portable};

#ifdef __x86_64__
#include <immintrin.h>

#define KM(name)       name##_avx2
#define KM_TARGET      __attribute__((target("avx2,fma")))
#define VF             __m256
#define VI             __m256i
#define LANES          8
#define TILE           6
#define v_load(p)      _mm256_loadu_ps(p)
#define v_store(p, v)  _mm256_storeu_ps((p), (v))
#define v_set1(s)      _mm256_set1_ps(s)
#define v_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define v_sub(a, b)    _mm256_sub_ps((a), (b))
#define v_sqrt(a)      _mm256_sqrt_ps(a)
#define v_min(a, b)    _mm256_min_ps((a), (b))
#define vi_load(p)     _mm256_loadu_si256((const __m256i *)(p))
#define vi_store(p, v) _mm256_storeu_si256((__m256i *)(p), (v))
#define vi_set1(s)     _mm256_set1_epi32(s)
#define v_take_greater(best, arg, value, index)                                                              \
    do {                                                                                                     \
        __m256 more_ = _mm256_cmp_ps((value), (best), _CMP_GT_OQ);                                           \
        (best) = _mm256_blendv_ps((best), (value), more_);                                                   \
        (arg) = _mm256_castps_si256(                                                                         \
            _mm256_blendv_ps(_mm256_castsi256_ps(arg), _mm256_castsi256_ps(index), more_));                  \
    } while (0)
#define vi_differ(a, b)                                                                                      \
    (0xffu & ~(uint32_t)_mm256_movemask_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32((a), (b)))))
#include "kmeans_kernel.inc"

static const struct km_kernel avx2 = {
    "avx2", 16, 6, pack_avx2, assign_avx2, inertia_avx2, try_seeds_avx2, add_seed_avx2, distance_sums_avx2};

#define KM(name)       name##_avx512
#define KM_TARGET      __attribute__((target("avx512f,avx512dq,avx512vl")))
#define VF             __m512
#define VI             __m512i
#define LANES          16
#define TILE           12
#define v_load(p)      _mm512_loadu_ps(p)
#define v_store(p, v)  _mm512_storeu_ps((p), (v))
#define v_set1(s)      _mm512_set1_ps(s)
#define v_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define v_sub(a, b)    _mm512_sub_ps((a), (b))
#define v_sqrt(a)      _mm512_sqrt_ps(a)
#define v_min(a, b)    _mm512_min_ps((a), (b))
#define vi_load(p)     _mm512_loadu_si512(p)
#define vi_store(p, v) _mm512_storeu_si512((p), (v))
#define vi_set1(s)     _mm512_set1_epi32(s)
#define v_take_greater(best, arg, value, index)                                                              \
    do {                                                                                                     \
        __mmask16 more_ = _mm512_cmp_ps_mask((value), (best), _CMP_GT_OQ);                                   \
        (best) = _mm512_mask_mov_ps((best), more_, (value));                                                 \
        (arg) = _mm512_mask_mov_epi32((arg), more_, (index));                                                \
    } while (0)
#define vi_differ(a, b) ((uint32_t)_mm512_cmpneq_epi32_mask((a), (b)))
#include "kmeans_kernel.inc"

static const struct km_kernel avx512 = {"avx512",
                                        32,
                                        12,
                                        pack_avx512,
                                        assign_avx512,
                                        inertia_avx512,
                                        try_seeds_avx512,
                                        add_seed_avx512,
                                        distance_sums_avx512};
#endif

static const struct km_kernel *const kernels[KERNEL_KINDS] = {
#ifdef __x86_64__
    [KERNEL_AVX512] = &avx512,
    [KERNEL_AVX2] = &avx2,
#endif
    [KERNEL_PORTABLE] = &portable,
};
static const struct km_kernel *forced;

const struct km_kernel *km_kernel_best(void)
{
    return forced != NULL ? forced : kernels[kernel_best()];
}

const char *kmeans_kernel(void)
{
    return km_kernel_best()->name;
}

bool kmeans_force_kernel(const char *name)
{
    enum kernel_kind kind;
    const bool runs = name != NULL && kernel_named(name, &kind);
    forced = runs ? kernels[kind] : NULL;
    return runs || name == NULL;
}
