/* The assignment problem by shortest augmenting paths with potentials: rows are brought in one by one; each
 * takes the cheapest path of reduced costs to a free column, along which the earlier rows give way. */
#include "meros/ml/assign.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

#include "meros/ml/matrix.h"

/* Minimises over n rows, m >= n columns; cost(i, j) = -value of the original orientation. Columns and rows
 * count from 1 here: column 0 stands for "the row being brought in". */
struct solve {
    const double *value;
    size_t rows, cols; /* of value */
    bool transposed;   /* n runs over value's columns */
    size_t n, m;
    double *u, *v, *least; /* potentials; the least reduced cost found to a column */
    size_t *row_of, *way;  /* row that holds a column; the column before it on the path */
    bool *done;
};

static double cost(const struct solve *s, size_t i, size_t j)
{
    return -(s->transposed ? s->value[(j - 1) * s->cols + (i - 1)] : s->value[(i - 1) * s->cols + (j - 1)]);
}

static void bring_in(struct solve *s, size_t row)
{
    s->row_of[0] = row;
    for (size_t j = 0; j <= s->m; j++) {
        s->least[j] = INFINITY;
        s->done[j] = false;
    }
    size_t j0 = 0;
    do { /* Dijkstra over columns */
        s->done[j0] = true;
        size_t i = s->row_of[j0], next = 0;
        double delta = INFINITY;
        for (size_t j = 1; j <= s->m; j++) {
            if (s->done[j]) continue;
            double reduced = cost(s, i, j) - s->u[i] - s->v[j];
            if (reduced < s->least[j]) {
                s->least[j] = reduced;
                s->way[j] = j0;
            }
            if (s->least[j] < delta) {
                delta = s->least[j];
                next = j;
            }
        }
        for (size_t j = 0; j <= s->m; j++) {
            if (s->done[j]) {
                s->u[s->row_of[j]] += delta;
                s->v[j] -= delta;
            } else {
                s->least[j] -= delta;
            }
        }
        j0 = next;
    } while (s->row_of[j0] != 0);
    while (j0 != 0) { /* shift the rows along the path */
        size_t before = s->way[j0];
        s->row_of[j0] = s->row_of[before];
        j0 = before;
    }
}

enum meros_code assign_max(const double *value, size_t rows, size_t cols, int *out_col_of_row,
                           struct meros_err *err)
{
    struct solve s = {.value = value, .rows = rows, .cols = cols, .transposed = rows > cols};
    enum meros_code code = MEROS_OK;
    s.n = s.transposed ? cols : rows;
    s.m = s.transposed ? rows : cols;
    s.u = ml_alloc(s.n + 1, sizeof *s.u);
    s.v = ml_alloc(s.m + 1, sizeof *s.v);
    s.least = ml_alloc(s.m + 1, sizeof *s.least);
    s.row_of = ml_alloc(s.m + 1, sizeof *s.row_of);
    s.way = ml_alloc(s.m + 1, sizeof *s.way);
    s.done = ml_alloc(s.m + 1, sizeof *s.done);
    if (s.u == NULL || s.v == NULL || s.least == NULL || s.row_of == NULL || s.way == NULL ||
        s.done == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory to match %zu with %zu", rows, cols);
        goto out;
    }
    for (size_t i = 1; i <= s.n; i++) bring_in(&s, i);
    for (size_t i = 0; i < rows; i++) out_col_of_row[i] = -1;
    for (size_t j = 1; j <= s.m; j++) {
        if (s.row_of[j] == 0) continue;
        if (s.transposed)
            out_col_of_row[j - 1] = (int)(s.row_of[j] - 1);
        else
            out_col_of_row[s.row_of[j] - 1] = (int)(j - 1);
    }
out:
    free(s.u);
    free(s.v);
    free(s.least);
    free(s.row_of);
    free(s.way);
    free(s.done);
    return code;
}

enum meros_code label_match(const int64_t *overlap, int k_old, int k_new, double min_share,
                            int *out_old_of_new, struct meros_err *err)
{
    size_t rows = (size_t)k_old, cols = (size_t)k_new;
    enum meros_code code = MEROS_OK;
    double *kept = ml_alloc(rows * cols, sizeof *kept);
    int64_t *size_old = ml_alloc(rows, sizeof *size_old), *size_new = ml_alloc(cols, sizeof *size_new);
    int *new_of_old = ml_alloc(rows, sizeof *new_of_old);
    if (kept == NULL || size_old == NULL || size_new == NULL || new_of_old == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory to match %d segments with %d", k_old, k_new);
        goto out;
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            size_old[i] += overlap[i * cols + j];
            size_new[j] += overlap[i * cols + j];
        }
    }
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < cols; j++) {
            double both = (double)overlap[i * cols + j], either = (double)(size_old[i] + size_new[j]) - both;
            kept[i * cols + j] = both > 0 && both >= min_share * either ? both : 0;
        }
    }
    code = assign_max(kept, rows, cols, new_of_old, err);
    if (code != MEROS_OK) goto out;
    for (size_t j = 0; j < cols; j++) out_old_of_new[j] = -1;
    for (size_t i = 0; i < rows; i++) { /* pairs of no worth are only there because all must be paired */
        if (new_of_old[i] >= 0 && kept[i * cols + (size_t)new_of_old[i]] > 0)
            out_old_of_new[new_of_old[i]] = (int)i;
    }
out:
    free(kept);
    free(size_old);
    free(size_new);
    free(new_of_old);
    return code;
}
