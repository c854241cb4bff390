#include "meros/ml/bought_together.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/item_knn.h"
#include "meros/ml/matrix.h"
#include "pairs_priv.h"

struct lift {
    const uint32_t *alone;
    double baskets;
    float min_count, min_lift;
};

/* Counts to scores. */
static void lift_score(const void *arg, size_t item, const uint32_t *other, size_t n, float *sum)
{
    const struct lift *l = arg;
    const double of_item = l->baskets / (double)l->alone[item];
    for (size_t c = 0; c < n; c++) {
        if (sum[c] < l->min_count) {
            sum[c] = 0;
            continue;
        }
        const double count = (double)sum[c], lift = of_item * count / (double)l->alone[other == NULL ? c : other[c]];
        sum[c] = lift >= (double)l->min_lift ? (float)(lift * exp(-1.96 / sqrt(count))) : 0;
    }
}

/* The counts of the pairs that were kept, from the two ascending lists of baskets. */
struct counting {
    const struct interactions *by_item;
    struct bought_together *b;
};

static uint32_t shared(const struct interactions *x, size_t i, size_t j)
{
    uint32_t n = 0;
    size_t a = x->start[i], b = x->start[j];
    while (a < x->start[i + 1] && b < x->start[j + 1]) {
        if (x->col[a] == x->col[b]) n++;
        const uint32_t at = x->col[a], at2 = x->col[b];
        a += at <= at2;
        b += at2 <= at;
    }
    return n;
}

static void count_row(void *arg, size_t item, int worker)
{
    (void)worker;
    const struct counting *c = arg;
    const struct neighbours *t = &c->b->table;
    for (size_t e = t->start[item]; e < t->start[item + 1]; e++) c->b->count[e] = shared(c->by_item, item, t->item[e]);
}

void bought_together_done(struct bought_together *b)
{
    neighbours_done(&b->table);
    free(b->count);
    free(b->alone);
    *b = (struct bought_together){0};
}

enum meros_code bought_together_fit(const struct interactions *by_basket, const struct interactions *by_item,
                                    const struct bought_together_params *params, const struct ml_run *run,
                                    struct bought_together *out, struct meros_err *err)
{
    struct bought_together b = {.baskets = by_basket->rows};
    if (params->k < 1 || params->k > NEIGHBOURS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d companions: it takes 1 to %d", params->k, NEIGHBOURS_MAX);
    }
    if (params->min_count < 1 || !(params->min_lift >= 0 && isfinite(params->min_lift))) {
        return err_set(err, MEROS_UNPROCESSABLE, "at least %d baskets and a lift of %g is not what can be asked for",
                       params->min_count, params->min_lift);
    }
    b.alone = ml_alloc(by_item->rows, sizeof *b.alone);
    if (b.alone == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu items", by_item->rows);
    for (size_t i = 0; i < by_item->rows; i++) b.alone[i] = (uint32_t)interactions_of(by_item, i);
    const struct lift lift = {b.alone, (double)b.baskets, (float)params->min_count, (float)params->min_lift};
    struct pairs pairs = {.by_user = by_basket, .by_item = by_item, .count = true, .k = (size_t)params->k,
                          .score = lift_score, .arg = &lift, .what = "what is bought together"};
    if (pairs.k > by_item->rows) pairs.k = by_item->rows > 0 ? by_item->rows : 1;
    enum meros_code code = pairs_fit(&pairs, run, &b.table, err);
    if (code != MEROS_OK) goto out;
    b.count = ml_alloc_raw(b.table.n, sizeof *b.count);
    if (b.count == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu pairs", b.table.n);
        goto out;
    }
    struct counting counting = {by_item, &b};
    parallel_for(ml_run_pool(run), by_item->rows, count_row, &counting);
    *out = b;
    b = (struct bought_together){0};
out:
    bought_together_done(&b);
    return code;
}

double bought_together_lift(const struct bought_together *b, uint32_t item, size_t e)
{
    return (double)b->baskets * (double)b->count[e] / ((double)b->alone[item] * (double)b->alone[b->table.item[e]]);
}
