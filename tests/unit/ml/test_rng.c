#include <criterion/criterion.h>
#include <math.h>

#include "meros/ml/rng.h"

Test(rng, gives_the_first_values_that_its_header_shows)
{
    static const struct {
        uint64_t seed, want[3];
    } known[] = {{0, {0x99ec5f36cb75f2b4, 0xbf6e1f784956452a, 0x1a5f849d4933e6e0}},
                 {1, {0xb3f2af6d0fc710c5, 0x853b559647364cea, 0x92f89756082a4514}},
                 {42, {0x15780b2e0c2ec716, 0x6104d9866d113a7e, 0xae17533239e499a1}}};
    for (int i = 0; i < 3; i++) {
        struct ml_rng r;
        ml_rng_seed(&r, known[i].seed);
        for (int j = 0; j < 3; j++) cr_expect_eq(ml_rng_next(&r), known[i].want[j]);
    }
}

Test(rng, streams_and_jumps_do_not_meet)
{
    struct ml_rng a, b, c, d;
    ml_rng_seed(&a, 5);
    ml_rng_stream(&b, 5, 0);
    ml_rng_stream(&c, 5, 1);
    ml_rng_seed(&d, 5);
    ml_rng_jump(&d);
    uint64_t v[4] = {ml_rng_next(&a), ml_rng_next(&b), ml_rng_next(&c), ml_rng_next(&d)};
    for (int i = 0; i < 4; i++) {
        for (int j = 0; j < i; j++) cr_expect_neq(v[i], v[j]);
    }
}

Test(rng, uniform_normal_and_below_have_their_moments)
{
    struct ml_rng r;
    ml_rng_seed(&r, 2);
    double sum = 0, sum2 = 0, u = 0;
    int count[7] = {0};
    for (int i = 0; i < 200000; i++) {
        double x = ml_rng_normal(&r), y = ml_rng_uniform(&r);
        cr_assert(y >= 0 && y < 1);
        sum += x;
        sum2 += x * x;
        u += y;
        count[ml_rng_below(&r, 7)]++;
    }
    cr_expect_float_eq(sum / 200000, 0, 0.01);
    cr_expect_float_eq(sum2 / 200000, 1, 0.015);
    cr_expect_float_eq(u / 200000, 0.5, 0.005);
    for (int i = 0; i < 7; i++) cr_expect(abs(count[i] - 200000 / 7) < 800, "%d came %d times", i, count[i]);
}

Test(rng, choice_follows_the_weights)
{
    struct ml_rng r;
    ml_rng_seed(&r, 2);
    double w[] = {0, 1, 0, 3}, zero[] = {0, 0};
    int count[4] = {0}, even[2] = {0};
    for (int i = 0; i < 40000; i++) {
        count[ml_rng_choice(&r, w, 4)]++;
        even[ml_rng_choice(&r, zero, 2)]++;
    }
    cr_expect_eq(count[0] + count[2], 0);
    cr_expect(abs(count[1] - 10000) < 500);
    cr_expect(abs(even[0] - 20000) < 600);
}

Test(rng, samples_are_different_ascending_and_even)
{
    struct ml_rng r;
    ml_rng_seed(&r, 2);
    int count[10] = {0};
    for (int round = 0; round < 20000; round++) {
        size_t s[3];
        ml_rng_sample(&r, 10, 3, s);
        cr_assert(s[0] < s[1] && s[1] < s[2] && s[2] < 10);
        for (int i = 0; i < 3; i++) count[s[i]]++;
    }
    for (int i = 0; i < 10; i++) cr_expect(abs(count[i] - 6000) < 350, "%d came %d times", i, count[i]);
    size_t all[4];
    ml_rng_sample(&r, 4, 4, all);
    for (size_t i = 0; i < 4; i++) cr_expect_eq(all[i], i);
}

Test(rng, shuffle_keeps_every_value)
{
    struct ml_rng r;
    size_t v[50], seen = 0, moved = 0;
    ml_rng_seed(&r, 2);
    for (size_t i = 0; i < 50; i++) v[i] = i;
    ml_rng_shuffle(&r, v, 50);
    for (size_t i = 0; i < 50; i++) {
        seen += v[i];
        moved += v[i] != i;
    }
    cr_expect_eq(seen, 49 * 50 / 2);
    cr_expect_gt(moved, 30);
}
