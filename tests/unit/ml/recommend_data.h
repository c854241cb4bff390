/* Interactions for tests: small random ones, and MovieLens 100K where MEROS_TEST_DATA leads to it. */
#ifndef TEST_ML_RECOMMEND_DATA_H
#define TEST_ML_RECOMMEND_DATA_H

#include <criterion/criterion.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/interactions.h"
#include "meros/ml/rng.h"

struct both { /* one matrix by users and by items */
    struct interactions user, item;
};

static inline void both_done(struct both *b)
{
    interactions_done(&b->user);
    interactions_done(&b->item);
}

static inline struct both both_of(const struct interaction *t, size_t n, size_t users, size_t items)
{
    struct both b;
    cr_assert_eq(interactions_build(t, n, users, items, 0, &b.user, NULL), MEROS_OK);
    cr_assert_eq(interactions_transpose(&b.user, 0, &b.item, NULL), MEROS_OK);
    return b;
}

/* Users like the items of their group (u mod groups) six times as much; some weights are negative if asked for. */
static inline struct both both_random(size_t users, size_t items, size_t n, size_t groups, bool negative, uint64_t seed)
{
    struct interaction *t = calloc(n, sizeof *t);
    struct ml_rng r;
    ml_rng_seed(&r, seed);
    for (size_t i = 0; i < n; i++) {
        uint32_t u = (uint32_t)ml_rng_below(&r, users), j = (uint32_t)ml_rng_below(&r, items);
        while (j % groups != u % groups && ml_rng_below(&r, 6) != 0) j = (uint32_t)ml_rng_below(&r, items);
        const float weight = (float)(1 + ml_rng_below(&r, 3));
        t[i] = (struct interaction){u, j, negative && ml_rng_below(&r, 8) == 0 ? -weight : weight};
    }
    struct both b = both_of(t, n, users, items);
    free(t);
    return b;
}

/* The whole matrix, dense: (rows, cols). */
static inline double *dense_of(const struct interactions *x)
{
    double *d = calloc(x->rows * x->cols + 1, sizeof *d);
    for (size_t r = 0; r < x->rows; r++) {
        for (size_t i = x->start[r]; i < x->start[r + 1]; i++) d[r * x->cols + x->col[i]] = (double)x->weight[i];
    }
    return d;
}

/* The mcrec_split of MovieLens 100K, binary, users and items by their numbers less 1: 943 x 1682, 80,000 and 20,000
 * pairs. Skips the test when it is not there. */
struct movielens {
    struct both train;
    struct interactions test;
};
enum { ML_USERS = 943, ML_ITEMS = 1682 };

static inline FILE *movielens_open(const char *name)
{
    char path[4096];
    const char *folder = getenv("MEROS_TEST_DATA");
    snprintf(path, sizeof path, "%s/movielens_100k/mcrec_split/%s", folder == NULL ? "" : folder, name);
    FILE *f = fopen(path, "r");
    if (f == NULL) cr_skip_test("MEROS_TEST_DATA does not lead to movielens_100k/mcrec_split/%s", name);
    return f;
}

static inline struct movielens movielens_load(void)
{
    enum { TRAIN = 80000, TEST = 20000 };
    struct movielens m;
    struct interaction *t = calloc(TRAIN, sizeof *t);
    char line[16384];
    unsigned user, item;
    size_t n = 0;
    FILE *f = movielens_open("ml-100k.train.rating");
    while (n < TRAIN && fscanf(f, "%u %u %*u", &user, &item) == 2) t[n++] = (struct interaction){user - 1, item - 1, 1};
    fclose(f);
    cr_assert_eq(n, TRAIN);
    m.train = both_of(t, n, ML_USERS, ML_ITEMS);
    f = movielens_open("ml-100k.test.rating");
    n = 0;
    while (fgets(line, sizeof line, f) != NULL) { /* a user and what they went on to see */
        char *p = line;
        user = (unsigned)strtoul(p, &p, 10);
        for (char *end; n < TEST && (item = (unsigned)strtoul(p, &end, 10), end != p); p = end) {
            t[n++] = (struct interaction){user - 1, item - 1, 1};
        }
    }
    fclose(f);
    cr_assert_eq(n, TEST);
    cr_assert_eq(interactions_build(t, n, ML_USERS, ML_ITEMS, 0, &m.test, NULL), MEROS_OK);
    free(t);
    return m;
}

static inline void movielens_done(struct movielens *m)
{
    both_done(&m->train);
    interactions_done(&m->test);
}

#endif
