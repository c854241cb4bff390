#include <limits.h>
#include <math.h>
#include <unistd.h>

#include "meros/ml/tfidf.h"
#include "recommend_data.h"

enum { DOCS = 70, TERMS = 90 };

/* Terms of a topic (d mod 4) more often than others; term 0 in every document, term 1 in one. */
static struct interactions documents(uint64_t seed)
{
    struct interaction t[DOCS * 12 + 1];
    struct interactions x;
    struct ml_rng r;
    size_t n = 0;
    ml_rng_seed(&r, seed);
    for (uint32_t d = 0; d < DOCS; d++) {
        t[n++] = (struct interaction){d, 0, 1};
        for (int w = 0; w < 11; w++) {
            uint32_t term = 2 + (uint32_t)ml_rng_below(&r, TERMS - 2);
            while (term % 4 != d % 4 && ml_rng_below(&r, 9) != 0) term = 2 + (uint32_t)ml_rng_below(&r, TERMS - 2);
            t[n++] = (struct interaction){d, term, (float)(1 + ml_rng_below(&r, 3))};
        }
    }
    t[n++] = (struct interaction){5, 1, 1};
    cr_assert_eq(interactions_build(t, n, DOCS, TERMS, 0, &x, NULL), MEROS_OK);
    return x;
}

/* The table has the nearest by these cosines (DOCS, DOCS), and their values. */
static void has_the_nearest(const struct neighbours *t, const double *cosine, size_t k)
{
    for (size_t d = 0; d < DOCS; d++) {
        const size_t n = t->start[d + 1] - t->start[d];
        double last = 1;
        bool listed[DOCS] = {false};
        for (size_t e = t->start[d]; e < t->start[d + 1]; e++) {
            cr_assert_float_eq((double)t->score[e], cosine[d * DOCS + t->item[e]], 2e-6, "%zu and %u", d, t->item[e]);
            listed[t->item[e]] = true;
            last = (double)t->score[e];
        }
        cr_assert(!listed[d]);
        for (size_t o = 0; o < DOCS; o++) {
            if (listed[o] || o == d) continue;
            cr_assert_leq(cosine[d * DOCS + o], (n == k ? last : 0) + 2e-6, "%zu is nearer to %zu", o, d);
        }
    }
}

static double *naive_cosines(const struct interactions *x, const struct tfidf_params *p)
{
    double *dense = dense_of(x), *cosine = calloc(DOCS * DOCS, sizeof *cosine);
    for (size_t t = 0; t < TERMS; t++) {
        double df = 0;
        for (size_t d = 0; d < DOCS; d++) df += dense[d * TERMS + t] > 0;
        const double idf = df >= p->min_df && df <= p->max_df * DOCS ? log((1.0 + DOCS) / (1 + df)) + 1 : 0;
        for (size_t d = 0; d < DOCS; d++) {
            double *v = &dense[d * TERMS + t];
            if (*v > 0) *v = (1 + log(*v)) * idf;
        }
    }
    for (size_t d = 0; d < DOCS; d++) {
        double norm2 = 0;
        for (size_t t = 0; t < TERMS; t++) norm2 += dense[d * TERMS + t] * dense[d * TERMS + t];
        for (size_t t = 0; t < TERMS && norm2 > 0; t++) dense[d * TERMS + t] /= sqrt(norm2);
    }
    for (size_t d = 0; d < DOCS; d++) {
        for (size_t o = 0; o < DOCS; o++) {
            for (size_t t = 0; t < TERMS; t++) cosine[d * DOCS + o] += dense[d * TERMS + t] * dense[o * TERMS + t];
        }
    }
    free(dense);
    return cosine;
}

Test(tfidf, lists_the_nearest_by_the_formula_whatever_the_threads)
{
    struct interactions x = documents(3);
    struct tfidf_params p = TFIDF_PARAMS_DEFAULT;
    struct neighbours t, again;
    struct ml_run run = {0};
    p.k = 9;
    p.min_df = 2;
    cr_assert_eq(ml_pool_new(&run.pool, 3, 0, NULL), MEROS_OK);
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &t, NULL), MEROS_OK);
    cr_assert_eq(tfidf_fit(&x, &p, &run, &again, NULL), MEROS_OK);
    cr_assert_eq(t.n, again.n);
    cr_assert_arr_eq(t.item, again.item, t.n * sizeof *t.item);
    cr_assert_arr_eq(t.score, again.score, t.n * sizeof *t.score);
    double *cosine = naive_cosines(&x, &p);
    has_the_nearest(&t, cosine, 9);
    size_t topical = 0;
    for (size_t d = 0; d < DOCS; d++) topical += t.item[t.start[d]] % 4 == d % 4;
    cr_assert_gt(topical, DOCS * 2 / 3, "of %d documents only %zu are nearest to one of their topic", DOCS, topical);
    free(cosine);
    ml_pool_free(run.pool);
    neighbours_done(&t);
    neighbours_done(&again);
    interactions_done(&x);
}

/* With so few steps only what shares the rarest terms is met: less is found, and all that is has its right score, in order. */
Test(tfidf, of_many_common_terms_it_finds_what_shares_the_rare_ones)
{
    struct interactions x = documents(3);
    struct tfidf_params p = TFIDF_PARAMS_DEFAULT;
    struct neighbours all, some;
    p.k = DOCS;
    p.most = 0;
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &all, NULL), MEROS_OK);
    p.k = 5;
    p.most = 40;
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &some, NULL), MEROS_OK);
    size_t nearest = 0, full = 0;
    for (size_t d = 0; d < DOCS; d++) {
        full += some.start[d + 1] - some.start[d] == 5;
        for (size_t e = some.start[d]; e < some.start[d + 1]; e++) {
            size_t at = all.start[d];
            while (at < all.start[d + 1] && all.item[at] != some.item[e]) at++;
            cr_assert(at < all.start[d + 1] && some.item[e] != d);
            cr_assert_float_eq((double)some.score[e], (double)all.score[at], 2e-6);
            if (e > some.start[d]) cr_assert_leq(some.score[e], some.score[e - 1]);
            nearest += at < all.start[d] + 5;
        }
    }
    cr_expect_gt(full, DOCS * 9 / 10);
    cr_expect_gt(nearest, DOCS * 5 * 6 / 10, "%zu of %d", nearest, DOCS * 5);
    cr_expect_lt(nearest, DOCS * 5, "so few steps do not find them all: the test tests nothing");
    neighbours_done(&all);
    neighbours_done(&some);
    interactions_done(&x);
}

Test(tfidf, agrees_with_scikit_learn, .timeout = 120)
{
    if (system("/usr/bin/python3 -c 'import sklearn' 2>/dev/null") != 0) {
        cr_skip_test("/usr/bin/python3 has no sklearn (Debian: python3-sklearn): not compared with it");
    }
    char folder[] = "/tmp/meros-tfidf-XXXXXX", path[PATH_MAX], script[PATH_MAX], command[3 * PATH_MAX];
    struct interactions x = documents(8);
    struct tfidf_params p = TFIDF_PARAMS_DEFAULT;
    struct neighbours t;
    float counts[DOCS * TERMS];
    double *dense = dense_of(&x), *cosine = calloc(DOCS * DOCS, sizeof *cosine);
    p.k = DOCS;
    p.min_df = 2;
    p.max_df = 0.6;
    for (size_t i = 0; i < DOCS * TERMS; i++) counts[i] = (float)dense[i];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/counts.f32", folder);
    FILE *f = fopen(path, "wb");
    cr_assert(f != NULL && fwrite(counts, sizeof counts, 1, f) == 1);
    fclose(f);
    snprintf(script, sizeof script, "%s", __FILE__);
    snprintf(strrchr(script, '/') + 1, 30, "tfidf_oracle.py");
    snprintf(command, sizeof command, "/usr/bin/python3 '%s' '%s' %d %d 2 0.6", script, folder, DOCS, TERMS);
    cr_assert_eq(system(command), 0);
    unlink(path);
    snprintf(path, sizeof path, "%s/cosines.f64", folder);
    f = fopen(path, "rb");
    cr_assert(f != NULL && fread(cosine, sizeof *cosine, DOCS * DOCS, f) == DOCS * DOCS);
    fclose(f);
    unlink(path);
    rmdir(folder);
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &t, NULL), MEROS_OK);
    has_the_nearest(&t, cosine, DOCS);
    neighbours_done(&t);
    free(cosine);
    free(dense);
    interactions_done(&x);
}

Test(tfidf, the_same_document_twice_is_as_near_as_can_be_and_an_empty_one_is_near_nothing)
{
    const struct interaction t[] = {{0, 0, 2}, {0, 1, 1}, {1, 0, 2}, {1, 1, 1}, {3, 2, 1}, {4, 2, 0.25f}, {4, 0, 1}, {5, 3, 1}, {6, 3, 1}};
    struct interactions x, v;
    struct tfidf_params p = TFIDF_PARAMS_DEFAULT;
    struct neighbours near;
    cr_assert_eq(interactions_build(t, 9, 7, 4, 0, &x, NULL), MEROS_OK);
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &near, NULL), MEROS_OK);
    cr_assert_eq(near.item[near.start[0]], 1);
    cr_assert(near.score[near.start[0]] <= 1 && near.score[near.start[0]] > 0.99999f);
    cr_assert_eq(near.start[2], near.start[3]);
    for (size_t e = 0; e < near.n; e++) cr_assert_neq(near.item[e], 2);
    neighbours_done(&near);
    p.max_df = 0.3; /* two of seven at most: term 0, of three, is gone */
    cr_assert_eq(tfidf_vectors(&x, &p, 0, &v, NULL), MEROS_OK);
    cr_assert_eq(interactions_of(&v, 0), 1);
    cr_assert_float_eq((double)v.weight[v.start[0]], 1, 1e-6);
    interactions_done(&v);
    interactions_done(&x);
    cr_assert_eq(interactions_build(NULL, 0, 0, 0, 0, &x, NULL), MEROS_OK);
    cr_assert_eq(tfidf_fit(&x, &p, NULL, &near, NULL), MEROS_OK);
    cr_assert_eq(near.n, 0);
    neighbours_done(&near);
    interactions_done(&x);
}

Test(tfidf, says_what_is_wrong_before_any_work)
{
    struct interactions x = documents(1);
    struct neighbours t;
    static const struct tfidf_params bad[] = {{0, 1, 0.5, true, 0}, {5, 0, 0.5, true, 0}, {5, 1, 0, true, 0}, {5, 1, NAN, true, 0}, {5, 1, 1.5, true, 0}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) cr_expect_eq(tfidf_fit(&x, &bad[i], NULL, &t, NULL), MEROS_UNPROCESSABLE);
    const struct tfidf_params p = TFIDF_PARAMS_DEFAULT;
    const struct ml_run little = {.memory_budget = 1000};
    cr_expect_eq(tfidf_fit(&x, &p, &little, &t, NULL), MEROS_OUT_OF_MEMORY);
    x.weight[3] = -1;
    cr_expect_eq(tfidf_fit(&x, &p, NULL, &t, NULL), MEROS_UNPROCESSABLE);
    interactions_done(&x);
}
