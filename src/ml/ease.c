#include "meros/ml/ease.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"
#include "spd_priv.h"

enum { ROWS = 16, BLOCK = 64 };
/* What the Gram matrix is of the whole work, for keep_going: little. */
static const double GRAM_SHARE = 0.02;

struct fit {
    const struct interactions *by_user, *by_item;
    float *a; /* (items, items) */
    float *diagonal;
    float lambda;
    size_t items;
};

size_t ease_memory(size_t items)
{
    struct ml_need need = {0};
    size_t cells;
    if (__builtin_mul_overflow(items, items, &cells)) return SIZE_MAX;
    ml_need_add(&need, cells, sizeof(float));
    ml_need_add(&need, items, sizeof(float));
    return need.overflow ? SIZE_MAX : need.bytes;
}

/* The lower half of X'X + lambda I, a row an item: what its users did with the items up to it. */
static void gram_rows(void *arg, size_t part, int worker)
{
    (void)worker;
    const struct fit *f = arg;
    const size_t end = (part + 1) * ROWS < f->items ? (part + 1) * ROWS : f->items;
    for (size_t i = part * ROWS; i < end; i++) {
        float *row = f->a + i * f->items;
        memset(row, 0, f->items * sizeof *row);
        for (size_t e = f->by_item->start[i]; e < f->by_item->start[i + 1]; e++) {
            const size_t user = f->by_item->col[e];
            const float weight = f->by_item->weight[e];
            const size_t from = f->by_user->start[user], to = f->by_user->start[user + 1];
            for (size_t j = from; j < to && f->by_user->col[j] <= i; j++) row[f->by_user->col[j]] += weight * f->by_user->weight[j];
        }
        row[i] += f->lambda;
    }
}

/* The square block (at, at2) of B and the one across the diagonal, from the inverse's lower half. */
static void mirror_blocks(void *arg, size_t part, int worker)
{
    (void)worker;
    const struct fit *f = arg;
    const size_t n = f->items, top = part * BLOCK, bottom = top + BLOCK < n ? top + BLOCK : n;
    for (size_t left = 0; left < bottom; left += BLOCK) {
        for (size_t i = top; i < bottom; i++) {
            const size_t end = left + BLOCK < i ? left + BLOCK : i;
            const float divisor = -f->diagonal[i];
            for (size_t j = left; j < end; j++) {
                const float p = f->a[i * n + j];
                f->a[j * n + i] = p / divisor;
                f->a[i * n + j] = -p / f->diagonal[j];
            }
        }
    }
    for (size_t i = top; i < bottom; i++) f->a[i * n + i] = 0;
}

static bool finite_rows(const struct fit *f)
{
    for (size_t i = 0; i < f->items; i++) {
        if (!(isfinite(f->diagonal[i]) && f->diagonal[i] > 0)) return false;
    }
    return true;
}

void ease_model_done(struct ease_model *m)
{
    free(m->b);
    *m = (struct ease_model){0};
}

enum meros_code ease_fit(const struct interactions *by_user, const struct interactions *by_item, double lambda,
                         const struct ml_run *run, struct ease_model *out, struct meros_err *err)
{
    const size_t n = by_user->cols;
    struct ml_need need = {.bytes = ease_memory(n)};
    struct fit f = {.by_user = by_user, .by_item = by_item, .lambda = (float)lambda, .items = n};
    if (!(lambda > 0 && lambda <= 1e12)) {
        return err_set(err, MEROS_UNPROCESSABLE, "lambda %g is not above 0 and at most 1e12", lambda);
    }
    if (by_item->rows != by_user->cols || by_item->cols != by_user->rows || by_item->n != by_user->n) {
        return err_set(err, MEROS_UNPROCESSABLE, "the interactions by item are not those by user transposed");
    }
    if (n > EASE_ITEMS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "EASE over %zu items: it takes at most %d", n, EASE_ITEMS_MAX);
    }
    enum meros_code code = ml_need_check(&need, run == NULL ? 0 : run->memory_budget, "EASE", err);
    if (code != MEROS_OK) return code;
    f.a = ml_alloc_raw(n, n * sizeof *f.a);
    f.diagonal = ml_alloc_raw(n, sizeof *f.diagonal);
    if (f.a == NULL || f.diagonal == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for EASE over %zu items", n);
        goto out;
    }
    code = ml_run_check(run, 0, "counting what goes together", err);
    if (code != MEROS_OK) goto out;
    parallel_for(ml_run_pool(run), (n + ROWS - 1) / ROWS, gram_rows, &f);
    code = spd_invert(f.a, n, EASE_TILE, run, GRAM_SHARE, err);
    if (code != MEROS_OK) goto out;
    for (size_t i = 0; i < n; i++) f.diagonal[i] = f.a[i * n + i];
    if (!finite_rows(&f)) {
        code = err_set(err, MEROS_UNPROCESSABLE, "the weights' products have left the range of numbers");
        goto out;
    }
    parallel_for(ml_run_pool(run), (n + BLOCK - 1) / BLOCK, mirror_blocks, &f);
    *out = (struct ease_model){.items = n, .b = f.a};
    f.a = NULL;
out:
    free(f.diagonal);
    free(f.a);
    return code;
}

void ease_score(const struct ease_model *m, const uint32_t *items, const float *weights, size_t n, float *scores)
{
    memset(scores, 0, m->items * sizeof *scores);
    for (size_t i = 0; i < n; i++) {
        if (items[i] >= m->items) continue;
        const float *row = m->b + items[i] * m->items, weight = weights[i];
        for (size_t j = 0; j < m->items; j++) scores[j] += weight * row[j];
    }
}

static void score(const void *arg, size_t user, int worker, float *scores)
{
    (void)worker;
    const struct ease_ranking *r = arg;
    const size_t from = r->by_user->start[user];
    ease_score(r->model, r->by_user->col + from, r->by_user->weight + from, interactions_of(r->by_user, user), scores);
}

struct ranking_model ease_ranking(const struct ease_ranking *r)
{
    return (struct ranking_model){.score = score, .arg = r};
}
