/* Synthetic data and the naive versions that the fast ones are compared with. */
#ifndef TEST_ML_DATA_H
#define TEST_ML_DATA_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/kmeans.h"
#include "meros/ml/rng.h"

struct blobs {
    struct ml_matrix x;
    float *values;
    int32_t *labels; /* the blob each row was drawn from */
    int k;
};

/* n rows around k centres `spread` apart, each coordinate with standard deviation 1. */
static inline struct blobs blobs_make(size_t n, size_t d, int k, double spread, uint64_t seed)
{
    struct blobs b = {.k = k};
    struct ml_rng r;
    ml_rng_seed(&r, seed);
    b.values = calloc(n * d, sizeof *b.values);
    b.labels = calloc(n, sizeof *b.labels);
    double *centre = calloc((size_t)k * d, sizeof *centre);
    for (size_t i = 0; i < (size_t)k * d; i++) centre[i] = spread * ml_rng_normal(&r);
    for (size_t i = 0; i < n; i++) {
        b.labels[i] = (int32_t)ml_rng_below(&r, (uint64_t)k);
        for (size_t f = 0; f < d; f++) {
            b.values[i * d + f] = (float)(centre[(size_t)b.labels[i] * d + f] + ml_rng_normal(&r));
        }
    }
    free(centre);
    b.x = (struct ml_matrix){b.values, n, d};
    return b;
}

static inline void blobs_done(struct blobs *b)
{
    free(b->values);
    free(b->labels);
}

#endif
