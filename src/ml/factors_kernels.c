/* The kernels of factors_priv.h for three kinds of machine, and the choice among them at run time. */
#include "factors_priv.h"
#include "kernels_priv.h"

#include <string.h>

/* --- plain C: vectors of four, which every 64-bit machine has --- */
typedef float fk_v4f __attribute__((vector_size(16)));

static inline __attribute__((always_inline)) fk_v4f v4_load(const float *p)
{
    fk_v4f v;
    memcpy(&v, p, sizeof v);
    return v;
}
static inline __attribute__((always_inline)) void v4_store(float *p, fk_v4f v)
{
    memcpy(p, &v, sizeof v);
}

static inline __attribute__((always_inline)) fk_v4f v4_load16(const uint16_t *p)
{
    const uint32_t bits[4] = {(uint32_t)p[0] << 16, (uint32_t)p[1] << 16, (uint32_t)p[2] << 16, (uint32_t)p[3] << 16};
    fk_v4f v;
    memcpy(&v, bits, sizeof v);
    return v;
}

#define FK(name) name##_portable
#define FK_TARGET
#define VF             fk_v4f
#define LANES          4
#define v_load(p)      v4_load(p)
#define v_store(p, v)  v4_store((p), (v))
#define v_load16(p)    v4_load16(p)
#define v_set1(s)      ((fk_v4f){(s), (s), (s), (s)})
#define v_zero()       ((fk_v4f){0, 0, 0, 0})
#define v_fma(a, b, c) ((a) * (b) + (c))
#define v_sum(a)       (((a)[0] + (a)[2]) + ((a)[1] + (a)[3]))
#define v_sum4(a, b, c, d, out)                                                                              \
    ((out)[0] = v_sum(a), (out)[1] = v_sum(b), (out)[2] = v_sum(c), (out)[3] = v_sum(d))
#include "factors_kernel.inc"

static const struct factors_kernel portable = {"portable", dots_portable, solve_portable};

#ifdef __x86_64__
#include <immintrin.h>

static inline __attribute__((always_inline, target("avx2,fma"))) float v8_sum(__m256 a)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps(a, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}

static inline __attribute__((always_inline, target("avx2"))) void v8_sum4(__m256 a, __m256 b, __m256 c, __m256 d,
                                                                            float *out)
{
    const __m256 s = _mm256_hadd_ps(_mm256_hadd_ps(a, b), _mm256_hadd_ps(c, d)); /* a b c d, of each half */
    _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}

#define FK(name)       name##_avx2
#define FK_TARGET      __attribute__((target("avx2,fma")))
#define VF             __m256
#define LANES          8
#define v_load(p)      _mm256_loadu_ps(p)
#define v_store(p, v)  _mm256_storeu_ps((p), (v))
#define v_load16(p)                                                                                          \
    _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(_mm_loadu_si128((const __m128i *)(const void *)(p))), 16))
#define v_set1(s)      _mm256_set1_ps(s)
#define v_zero()       _mm256_setzero_ps()
#define v_fma(a, b, c) _mm256_fmadd_ps((a), (b), (c))
#define v_sum(a)       v8_sum(a)
#define v_sum4(a, b, c, d, out) v8_sum4((a), (b), (c), (d), (out))
#include "factors_kernel.inc"

static const struct factors_kernel avx2 = {"avx2", dots_avx2, solve_avx2};

#define V16_HALVES(a) _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps((a), 1))

#define FK(name)       name##_avx512
#define FK_TARGET      __attribute__((target("avx512f,avx512dq,avx512vl")))
#define VF             __m512
#define LANES          16
#define v_load(p)      _mm512_loadu_ps(p)
#define v_store(p, v)  _mm512_storeu_ps((p), (v))
#define v_load16(p)                                                                                          \
    _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(_mm256_loadu_si256((const __m256i *)(const void *)(p))), 16))
#define v_set1(s)      _mm512_set1_ps(s)
#define v_zero()       _mm512_setzero_ps()
#define v_fma(a, b, c) _mm512_fmadd_ps((a), (b), (c))
#define v_sum(a)       _mm512_reduce_add_ps(a)
#define v_sum4(a, b, c, d, out) v8_sum4(V16_HALVES(a), V16_HALVES(b), V16_HALVES(c), V16_HALVES(d), (out))
#include "factors_kernel.inc"

static const struct factors_kernel avx512 = {"avx512", dots_avx512, solve_avx512};
#endif

static const struct factors_kernel *const kernels[KERNEL_KINDS] = {
#ifdef __x86_64__
    [KERNEL_AVX512] = &avx512,
    [KERNEL_AVX2] = &avx2,
#endif
    [KERNEL_PORTABLE] = &portable,
};
static const struct factors_kernel *forced;

const struct factors_kernel *factors_kernel_best(void)
{
    return forced != NULL ? forced : kernels[kernel_best()];
}

bool factors_force_kernel(const char *name)
{
    enum kernel_kind kind;
    const bool runs = name != NULL && kernel_named(name, &kind);
    forced = runs ? kernels[kind] : NULL;
    return runs || name == NULL;
}
