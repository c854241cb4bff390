/* Every allocation fails once, in turn: a clean MEROS_OUT_OF_MEMORY in words, nothing leaked (AddressSanitizer
 * watches), nothing written to the result; and in the end, with none failing, the work gets done. */
#include <criterion/criterion.h>

#include "data.h"
#include "matrix_priv.h"
#include "meros/ml/assign.h"
#include "meros/ml/cluster_metrics.h"

static enum meros_code do_fit(struct blobs *b, struct meros_err *err)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_result r = {0};
    p.k = 3;
    p.n_init = 2;
    enum meros_code code = kmeans_fit(b->x, &p, NULL, &r, err);
    if (code != MEROS_OK) cr_assert_null(r.labels, "out is untouched on failure");
    kmeans_result_done(&r);
    return code;
}

static enum meros_code do_metrics(struct blobs *b, struct meros_err *err)
{
    struct cluster_metrics m = {.rows = 12345};
    struct cluster_metrics_params p = {.silhouette_rows = 40};
    enum meros_code code = cluster_metrics(b->x, b->labels, b->k, &p, NULL, &m, err);
    if (code != MEROS_OK) cr_assert_eq(m.rows, 12345, "out is untouched on failure");
    return code;
}

static enum meros_code do_choose(struct blobs *b, struct meros_err *err)
{
    struct kmeans_params p = KMEANS_PARAMS_DEFAULT;
    struct kmeans_choice c = {0};
    p.n_init = 1;
    enum meros_code code = kmeans_choose_k(b->x, &p, 2, 4, NULL, &c, err);
    if (code != MEROS_OK) cr_assert_null(c.fit.labels, "out is untouched on failure");
    kmeans_choice_done(&c);
    return code;
}

static enum meros_code do_match(struct blobs *b, struct meros_err *err)
{
    (void)b;
    int64_t table[] = {5, 1, 0, 7};
    int of[2];
    return label_match(table, 2, 2, 0.1, of, err);
}

static void torture(const char *what, enum meros_code (*work)(struct blobs *b, struct meros_err *err), long least)
{
    struct blobs b = blobs_make(60, 2, 3, 4, 1);
    long n = 0;
    for (;; n++) {
        struct meros_err err = MEROS_ERR_INIT;
        ml_alloc_fail_at(n);
        enum meros_code code = work(&b, &err);
        if (!ml_alloc_fail_at(-1)) { /* there were fewer allocations than that */
            cr_expect_eq(code, MEROS_OK, "%s: %s", what, err.detail);
            break;
        }
        cr_assert_eq(code, MEROS_OUT_OF_MEMORY, "%s, allocation %ld: code %d", what, n, code);
        cr_assert(strstr(err.detail, "memory") != NULL, "%s, allocation %ld: \"%s\"", what, n, err.detail);
    }
    cr_expect_geq(n, least, "%s: only %ld allocations were made to fail", what, n);
    blobs_done(&b);
}

Test(out_of_memory, is_met_cleanly_wherever_it_strikes)
{
    torture("kmeans_fit", do_fit, 15);
    torture("cluster_metrics", do_metrics, 15);
    torture("kmeans_choose_k", do_choose, 100);
    torture("label_match", do_match, 10);
}
