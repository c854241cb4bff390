#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/assign.h"
#include "meros/ml/cluster_metrics.h"
#include "meros/ml/rng.h"

static double best_by_trying(const double *v, size_t rows, size_t cols, size_t row, unsigned used,
                             size_t left)
{
    if (row == rows) return left == 0 ? 0 : -1e18;
    double best = rows - row > left ? best_by_trying(v, rows, cols, row + 1, used, left) : -1e18;
    for (size_t j = 0; j < cols && left > 0; j++) {
        if (used >> j & 1) continue;
        double with = v[row * cols + j] + best_by_trying(v, rows, cols, row + 1, used | 1u << j, left - 1);
        if (with > best) best = with;
    }
    return best;
}

Test(assign, is_as_good_as_trying_everything)
{
    struct ml_rng r;
    ml_rng_seed(&r, 4);
    for (int round = 0; round < 300; round++) {
        size_t rows = 1 + ml_rng_below(&r, 6), cols = 1 + ml_rng_below(&r, 6);
        double v[36], sum = 0;
        int col[6];
        for (size_t i = 0; i < rows * cols; i++)
            v[i] = round % 3 == 0 ? (double)ml_rng_below(&r, 4) : ml_rng_normal(&r);
        cr_assert_eq(assign_max(v, rows, cols, col, NULL), MEROS_OK);
        unsigned used = 0;
        size_t pairs = 0;
        for (size_t i = 0; i < rows; i++) {
            if (col[i] < 0) continue;
            cr_assert_eq(used >> col[i] & 1, 0, "a column is used twice");
            used |= 1u << col[i];
            sum += v[i * cols + (size_t)col[i]];
            pairs++;
        }
        size_t most = rows < cols ? rows : cols;
        cr_assert_eq(pairs, most);
        cr_assert_float_eq(sum, best_by_trying(v, rows, cols, 0, 0, most), 1e-9, "round %d", round);
    }
}

Test(label_match, follows_any_permutation_of_the_labels)
{
    struct ml_rng r;
    ml_rng_seed(&r, 9);
    for (int round = 0; round < 50; round++) {
        int k = 2 + (int)ml_rng_below(&r, 10);
        size_t perm[12];
        int32_t before[1000], after[1000];
        int64_t table[144];
        int old_of_new[12];
        for (int i = 0; i < k; i++) perm[i] = (size_t)i;
        ml_rng_shuffle(&r, perm, (size_t)k);
        for (int i = 0; i < 1000; i++) { /* a tenth of the customers change segment */
            before[i] = i < k ? i : (int32_t)ml_rng_below(&r, (uint64_t)k);
            bool moves = i >= k && ml_rng_uniform(&r) < 0.1;
            after[i] = (int32_t)perm[moves ? (size_t)ml_rng_below(&r, (uint64_t)k) : (size_t)before[i]];
        }
        contingency(before, k, after, k, 1000, table);
        cr_assert_eq(label_match(table, k, k, LABEL_MATCH_MIN_SHARE, old_of_new, NULL), MEROS_OK);
        for (int i = 0; i < k; i++) cr_assert_eq(old_of_new[perm[i]], i, "round %d, segment %d", round, i);
    }
}

Test(label_match, a_segment_that_kept_too_little_is_new)
{
    /* old 0 went on as new 1; old 1 was scattered over new 0 and new 2, a fifth of each */
    int64_t table[] = {2,  96, 2,  /* old 0 */
                       20, 0,  20, /* old 1 */
                       80, 0,  80 /* old 2 */};
    int of[3];
    cr_assert_eq(label_match(table, 3, 3, 0.25, of, NULL), MEROS_OK);
    cr_expect_eq(of[1], 0);
    cr_expect_eq((of[0] == 2) + (of[2] == 2), 1, "one of them continues old 2");
    cr_expect_eq((of[0] == -1) + (of[2] == -1), 1, "the other is new");
}

Test(label_match, more_or_fewer_segments_than_before)
{
    int64_t grown[] = {50, 0, 10, 0, 40, 0}, shrunk[] = {50, 0, 0, 40, 5, 6};
    int of[3];
    cr_assert_eq(label_match(grown, 2, 3, 0.25, of, NULL), MEROS_OK);
    cr_expect_eq(of[0], 0);
    cr_expect_eq(of[1], 1);
    cr_expect_eq(of[2], -1);
    cr_assert_eq(label_match(shrunk, 3, 2, 0.25, of, NULL), MEROS_OK);
    cr_expect_eq(of[0], 0);
    cr_expect_eq(of[1], 1);
}

Test(label_match, empty_segments_and_no_common_customers_match_nothing)
{
    int64_t table[] = {0, 0, 0, 7};
    int64_t none[] = {0, 0, 0, 0};
    int of[2];
    cr_assert_eq(label_match(table, 2, 2, 0, of, NULL), MEROS_OK);
    cr_expect_eq(of[0], -1);
    cr_expect_eq(of[1], 1);
    cr_assert_eq(label_match(none, 2, 2, 0, of, NULL), MEROS_OK);
    cr_expect_eq(of[0], -1);
    cr_expect_eq(of[1], -1);
}

Test(label_match, keeps_the_most_customers_rather_than_the_first_best_pair)
{
    /* greedy would take 50 (old 0 - new 0) and then 0; 48 + 40 keeps more */
    int64_t table[] = {50, 48, 40, 0};
    int of[2];
    cr_assert_eq(label_match(table, 2, 2, 0.1, of, NULL), MEROS_OK);
    cr_expect_eq(of[1], 0);
    cr_expect_eq(of[0], 1);
}
