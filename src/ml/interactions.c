#include "meros/ml/interactions.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/matrix.h"

size_t interactions_memory(size_t rows, size_t n)
{
    return (rows + 1) * sizeof(size_t) + n * (sizeof(uint32_t) + sizeof(float));
}

void interactions_done(struct interactions *x)
{
    free(x->start);
    free(x->col);
    free(x->weight);
    *x = (struct interactions){0};
}

static enum meros_code check(const struct interaction *t, size_t n, size_t rows, size_t cols, struct meros_err *err)
{
    if (n > UINT32_MAX || rows > UINT32_MAX || cols > UINT32_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%zu interactions of %zu users with %zu items are too many (2^32 - 1)",
                       n, rows, cols);
    }
    for (size_t i = 0; i < n; i++) {
        if (t[i].row >= rows || t[i].col >= cols) {
            return err_set(err, MEROS_UNPROCESSABLE, "interaction %zu is of user %u with item %u, outside %zu x %zu", i,
                           t[i].row, t[i].col, rows, cols);
        }
        if (!isfinite(t[i].weight)) {
            return err_set(err, MEROS_UNPROCESSABLE, "interaction %zu weighs %s, not a number that can be used", i,
                           isnan(t[i].weight) ? "NaN" : "infinity");
        }
    }
    return MEROS_OK;
}

/* Room for n entries, start zeroed. */
static enum meros_code make(size_t rows, size_t cols, size_t n, struct interactions *out, struct meros_err *err)
{
    *out = (struct interactions){.rows = rows, .cols = cols, .n = n};
    out->start = ml_alloc(rows + 1, sizeof *out->start);
    out->col = ml_alloc_raw(n, sizeof *out->col);
    out->weight = ml_alloc_raw(n, sizeof *out->weight);
    if (out->start != NULL && out->col != NULL && out->weight != NULL) return MEROS_OK;
    interactions_done(out);
    return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu interactions", n);
}

/* Counts to places: start[r] counts row r - 1 (start[0] is 0) and becomes the place of row r. */
static void places(size_t *start, size_t rows)
{
    for (size_t r = 0; r < rows; r++) start[r + 1] += start[r];
}

/* Adds up what follows itself in the same row and column, and closes the gaps. */
static void merge(struct interactions *x)
{
    size_t to = 0, from = 0;
    for (size_t r = 0; r < x->rows; r++) {
        size_t end = x->start[r + 1];
        while (from < end) {
            const uint32_t col = x->col[from];
            double sum = 0;
            for (; from < end && x->col[from] == col; from++) sum += (double)x->weight[from];
            const float weight = (float)sum;
            if (weight == 0) continue;
            x->col[to] = col;
            x->weight[to++] = weight;
        }
        x->start[r + 1] = to;
    }
    x->n = to;
}

enum meros_code interactions_build(const struct interaction *triples, size_t n, size_t rows, size_t cols,
                                   size_t budget, struct interactions *out, struct meros_err *err)
{
    struct ml_need need = {0};
    struct interactions x = {0};
    uint32_t *order = NULL;
    size_t *by_col = NULL;
    enum meros_code code = check(triples, n, rows, cols, err);
    if (code != MEROS_OK) return code;
    ml_need_add(&need, rows + 1, 2 * sizeof(size_t));
    ml_need_add(&need, cols + 1, sizeof(size_t));
    ml_need_add(&need, n, sizeof(uint32_t) + sizeof(float) + sizeof *order);
    code = ml_need_check(&need, budget, "the matrix of interactions", err);
    if (code == MEROS_OK) code = make(rows, cols, n, &x, err);
    if (code != MEROS_OK) return code;
    order = ml_alloc_raw(n, sizeof *order);
    by_col = ml_alloc(cols + 1, sizeof *by_col);
    size_t *at = ml_alloc_raw(rows + 1, sizeof *at);
    if (order == NULL || by_col == NULL || at == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu interactions", n);
        goto out;
    }
    /* A stable counting sort by column, then one by row: rows with ascending columns, duplicates as given. */
    for (size_t i = 0; i < n; i++) {
        by_col[triples[i].col + 1]++;
        x.start[triples[i].row + 1]++;
    }
    places(by_col, cols);
    places(x.start, rows);
    for (size_t i = 0; i < n; i++) order[by_col[triples[i].col]++] = (uint32_t)i;
    for (size_t r = 0; r <= rows; r++) at[r] = x.start[r];
    for (size_t i = 0; i < n; i++) {
        const struct interaction *t = &triples[order[i]];
        const size_t place = at[t->row]++;
        x.col[place] = t->col;
        x.weight[place] = t->weight;
    }
    merge(&x);
    for (size_t i = 0; i < x.n; i++) {
        if (isfinite(x.weight[i])) continue;
        code = err_set(err, MEROS_UNPROCESSABLE, "the interactions with item %u add up to more than a float holds", x.col[i]);
        goto out;
    }
    *out = x;
    x = (struct interactions){0};
out:
    free(at);
    free(by_col);
    free(order);
    interactions_done(&x);
    return code;
}

enum meros_code interactions_transpose(const struct interactions *x, size_t budget, struct interactions *out,
                                       struct meros_err *err)
{
    struct ml_need need = {0};
    struct interactions t;
    ml_need_add(&need, x->cols + 1, 2 * sizeof(size_t));
    ml_need_add(&need, x->n, sizeof(uint32_t) + sizeof(float));
    enum meros_code code = ml_need_check(&need, budget, "the matrix of interactions by item", err);
    if (code == MEROS_OK) code = make(x->cols, x->rows, x->n, &t, err);
    if (code != MEROS_OK) return code;
    size_t *at = ml_alloc_raw(x->cols + 1, sizeof *at);
    if (at == NULL) {
        interactions_done(&t);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu interactions by item", x->n);
    }
    for (size_t i = 0; i < x->n; i++) t.start[x->col[i] + 1]++;
    places(t.start, t.rows);
    for (size_t c = 0; c <= t.rows; c++) at[c] = t.start[c];
    for (size_t r = 0; r < x->rows; r++) {
        for (size_t i = x->start[r]; i < x->start[r + 1]; i++) {
            const size_t place = at[x->col[i]]++;
            t.col[place] = (uint32_t)r;
            t.weight[place] = x->weight[i];
        }
    }
    free(at);
    *out = t;
    return MEROS_OK;
}

float interactions_at(const struct interactions *x, size_t row, uint32_t col)
{
    size_t low = x->start[row], high = x->start[row + 1];
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (x->col[middle] < col)
            low = middle + 1;
        else
            high = middle;
    }
    return low < x->start[row + 1] && x->col[low] == col ? x->weight[low] : 0;
}
