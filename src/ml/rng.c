#include "meros/ml/rng.h"

#include <math.h>

static uint64_t rotl(uint64_t x, int k)
{
    return (x << k) | (x >> (64 - k));
}

static uint64_t splitmix64(uint64_t *state)
{
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

void ml_rng_seed(struct ml_rng *r, uint64_t seed)
{
    *r = (struct ml_rng){0};
    for (int i = 0; i < 4; i++) r->s[i] = splitmix64(&seed); /* never all zero: splitmix64 is a bijection */
}

void ml_rng_stream(struct ml_rng *r, uint64_t seed, uint64_t stream)
{
    /* Two rounds of mixing, so that (seed, stream + 1) and (seed + 1, stream) have nothing in common. */
    uint64_t a = seed, b = stream ^ 0xd1b54a32d192ed03u;
    uint64_t mixed = splitmix64(&a) ^ rotl(splitmix64(&b), 32);
    ml_rng_seed(r, splitmix64(&mixed));
}

uint64_t ml_rng_next(struct ml_rng *r)
{
    uint64_t *s = r->s;
    uint64_t result = rotl(s[1] * 5, 7) * 9, t = s[1] << 17;
    s[2] ^= s[0];
    s[3] ^= s[1];
    s[1] ^= s[2];
    s[0] ^= s[3];
    s[2] ^= t;
    s[3] = rotl(s[3], 45);
    return result;
}

void ml_rng_jump(struct ml_rng *r)
{
    static const uint64_t poly[4] = {0x180ec6d33cfd0aba, 0xd5a61266f0c9392c, 0xa9582618e03fc9aa,
                                     0x39abdc4529b1661c};
    uint64_t s[4] = {0};
    for (int i = 0; i < 4; i++) {
        for (int b = 0; b < 64; b++) {
            if (poly[i] >> b & 1) {
                for (int j = 0; j < 4; j++) s[j] ^= r->s[j];
            }
            ml_rng_next(r);
        }
    }
    for (int j = 0; j < 4; j++) r->s[j] = s[j];
    r->has_spare = 0;
}

double ml_rng_uniform(struct ml_rng *r)
{
    return (double)(ml_rng_next(r) >> 11) * 0x1p-53;
}

uint64_t ml_rng_below(struct ml_rng *r, uint64_t n)
{
    /* Lemire 2019: the high half of a 128-bit product, redrawn in the sliver that would be biased. */
    unsigned __int128 m = (unsigned __int128)ml_rng_next(r) * n;
    if ((uint64_t)m < n) {
        uint64_t threshold = -n % n;
        while ((uint64_t)m < threshold) m = (unsigned __int128)ml_rng_next(r) * n;
    }
    return (uint64_t)(m >> 64);
}

double ml_rng_normal(struct ml_rng *r)
{
    if (r->has_spare) {
        r->has_spare = 0;
        return r->spare;
    }
    double u, v, q; /* Marsaglia's polar method */
    do {
        u = 2 * ml_rng_uniform(r) - 1;
        v = 2 * ml_rng_uniform(r) - 1;
        q = u * u + v * v;
    } while (q >= 1 || q == 0);
    double f = sqrt(-2 * log(q) / q);
    r->spare = v * f;
    r->has_spare = 1;
    return u * f;
}

size_t ml_rng_choice(struct ml_rng *r, const double *weights, size_t n)
{
    double total = 0;
    for (size_t i = 0; i < n; i++) total += weights[i];
    if (!(total > 0)) return (size_t)ml_rng_below(r, n);
    double left = ml_rng_uniform(r) * total;
    size_t last = 0;
    for (size_t i = 0; i < n; i++) {
        if (weights[i] <= 0) continue;
        last = i;
        if (left < weights[i]) return i;
        left -= weights[i];
    }
    return last; /* rounding used the total up: the last index that may be chosen */
}

void ml_rng_shuffle(struct ml_rng *r, size_t *values, size_t n)
{
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)ml_rng_below(r, i), t = values[i - 1];
        values[i - 1] = values[j];
        values[j] = t;
    }
}

void ml_rng_sample(struct ml_rng *r, size_t n, size_t m, size_t *out)
{
    for (size_t i = 0; m > 0; i++) {
        if (ml_rng_below(r, n - i) < m) {
            *out++ = i;
            m--;
        }
    }
}
