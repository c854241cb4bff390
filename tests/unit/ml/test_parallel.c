#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdlib.h>

#include "meros/ml/blas.h"
#include "meros/ml/matrix.h"
#include "meros/ml/parallel.h"

struct count {
    atomic_int runs[1000];
    atomic_int bad_worker;
    int threads;
};
static void count_part(void *arg, size_t part, int worker)
{
    struct count *c = arg;
    atomic_fetch_add(&c->runs[part], 1);
    if (worker < 0 || worker >= c->threads) atomic_store(&c->bad_worker, 1);
}

Test(parallel, runs_every_part_once_whatever_the_threads)
{
    for (int threads = 1; threads <= 5; threads++) {
        struct ml_pool *pool = NULL;
        cr_assert_eq(ml_pool_new(&pool, threads, 0, NULL), MEROS_OK);
        cr_expect_eq(ml_pool_threads(pool), threads);
        for (size_t parts = 0; parts <= 1000; parts = parts * 3 + 1) {
            struct count c = {.threads = threads};
            parallel_for(pool, parts, count_part, &c);
            for (size_t i = 0; i < 1000; i++) cr_assert_eq(c.runs[i], i < parts, "part %zu of %zu", i, parts);
            cr_assert_eq(c.bad_worker, 0);
        }
        ml_pool_free(pool);
    }
}

Test(parallel, without_a_pool_runs_inline)
{
    struct count c = {.threads = 1};
    parallel_for(NULL, 10, count_part, &c);
    for (int i = 0; i < 10; i++) cr_expect_eq(c.runs[i], 1);
    cr_expect_eq(ml_pool_threads(NULL), 1);
    ml_pool_free(NULL);
}

static bool never(void *arg, double fraction, const char *stage)
{
    (void)arg;
    (void)fraction;
    (void)stage;
    return false;
}

Test(parallel, a_no_is_a_cancellation_in_words)
{
    struct ml_run run = {.keep_going = never};
    struct meros_err err = MEROS_ERR_INIT;
    cr_expect_eq(ml_run_check(NULL, 0.5, "working", &err), MEROS_OK);
    cr_expect_eq(ml_run_check(&run, 0.5, "working", &err), MEROS_CANCELLED);
    cr_expect_str_eq(err.detail, "cancelled at 50 % (working)");
}

Test(need, adds_up_and_refuses_in_words)
{
    struct ml_need need = {0};
    struct meros_err err = MEROS_ERR_INIT;
    ml_need_add(&need, 1000, 8);
    ml_need_add(&need, 10, 1);
    cr_expect_eq(need.bytes, 8010);
    cr_expect_eq(ml_need_check(&need, 8010, "it", &err), MEROS_OK);
    cr_expect_eq(ml_need_check(&need, 0, "it", &err), MEROS_OK);
    cr_expect_eq(ml_need_check(&need, 8009, "it", &err), MEROS_OUT_OF_MEMORY);
    ml_need_add(&need, SIZE_MAX / 2, 4);
    cr_expect_eq(ml_need_check(&need, 0, "it", &err), MEROS_OUT_OF_MEMORY);
}

Test(alloc, is_aligned_zeroed_and_refuses_absurd_sizes)
{
    unsigned char *p = ml_alloc(100, 3), *none = ml_alloc(0, 8);
    cr_expect_eq((uintptr_t)p % 64, 0);
    for (int i = 0; i < 300; i++) cr_assert_eq(p[i], 0);
    cr_expect_not_null(none);
    size_t absurd = SIZE_MAX / 2;
    cr_expect_null(ml_alloc(absurd, 4));
    free(p);
    free(none);
}

Test(blas, multiplies_row_major_with_either_side_transposed)
{
    ml_start();
    double a[] = {1, 2, 3, 4, 5, 6}, b[] = {1, 0, 2, 1, 0, 3}, at[] = {1, 4, 2, 5, 3, 6},
           bt[] = {1, 2, 0, 0, 1, 3}, c[4];
    double want[] = {1 + 4, 2 + 9, 4 + 10, 5 + 18}; /* (2, 3) (3, 2) */
    for (int i = 0; i < 4; i++) {
        ml_gemm(i & 1, i & 2, 2, 2, 3, 1, i & 1 ? at : a, i & 2 ? bt : b, 0, c);
        for (int j = 0; j < 4; j++) cr_expect_eq(c[j], want[j], "case %d, element %d: %g", i, j, c[j]);
    }
}
