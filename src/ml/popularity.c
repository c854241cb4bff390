#include "meros/ml/popularity.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"

void popularity_done(struct popularity *p)
{
    free(p->score);
    free(p->order);
    free(p->start);
    free(p->of);
    *p = (struct popularity){0};
}

static enum meros_code check(const struct popularity_event *e, size_t n, size_t items, double half_life,
                             const int32_t *category, size_t categories, struct meros_err *err)
{
    if (!(half_life >= 0 && isfinite(half_life))) {
        return err_set(err, MEROS_UNPROCESSABLE, "the half-life %g is not a number of at least 0", half_life);
    }
    if (items > UINT32_MAX || categories > POPULARITY_CATEGORIES_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%zu items in %zu categories are too many", items, categories);
    }
    for (size_t i = 0; i < n; i++) {
        if (e[i].item >= items || !isfinite(e[i].weight) || !isfinite(e[i].age)) {
            return err_set(err, MEROS_UNPROCESSABLE, "event %zu (item %u of %zu, weight %g, age %g) makes no sense", i,
                           e[i].item, items, (double)e[i].weight, e[i].age);
        }
    }
    for (size_t i = 0; category != NULL && i < items; i++) {
        if (category[i] < POPULARITY_NO_CATEGORY || (category[i] >= 0 && (size_t)category[i] >= categories)) {
            return err_set(err, MEROS_UNPROCESSABLE, "item %zu is of category %d of %zu", i, category[i], categories);
        }
    }
    return MEROS_OK;
}

static int better_first(const void *a, const void *b)
{
    const struct scored *x = a, *y = b;
    if (x->score != y->score) return x->score < y->score ? 1 : -1;
    return x->item < y->item ? -1 : x->item > y->item;
}

/* Deals the ordered items out to their categories. */
static void deal(struct popularity *p, const int32_t *category, size_t *at)
{
    for (size_t i = 0; i < p->n; i++) {
        if (category[p->order[i]] >= 0) p->start[category[p->order[i]] + 1]++;
    }
    for (size_t c = 0; c < p->categories; c++) {
        p->start[c + 1] += p->start[c];
        at[c] = p->start[c];
    }
    for (size_t i = 0; i < p->n; i++) {
        const int32_t c = category[p->order[i]];
        if (c >= 0) p->of[at[c]++] = p->order[i];
    }
}

enum meros_code popularity_fit(const struct popularity_event *events, size_t n, size_t items, double half_life,
                               const int32_t *category, size_t categories, struct popularity *out, struct meros_err *err)
{
    struct popularity p = {.items = items, .categories = category == NULL ? 0 : categories};
    double *sum = NULL;
    struct scored *list = NULL;
    size_t *at = NULL;
    enum meros_code code = check(events, n, items, half_life, category, categories, err);
    if (code != MEROS_OK) return code;
    sum = ml_alloc(items, sizeof *sum);
    list = ml_alloc_raw(items, sizeof *list);
    at = ml_alloc(p.categories, sizeof *at);
    p.score = ml_alloc(items, sizeof *p.score);
    p.order = ml_alloc_raw(items, sizeof *p.order);
    p.start = ml_alloc(p.categories + 1, sizeof *p.start);
    p.of = ml_alloc_raw(p.categories == 0 ? 0 : items, sizeof *p.of);
    if (sum == NULL || list == NULL || at == NULL || p.score == NULL || p.order == NULL || p.start == NULL || p.of == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the popularity of %zu items", items);
        goto out;
    }
    for (size_t i = 0; i < n; i++) {
        const double decay = half_life > 0 && events[i].age > 0 ? exp2(-events[i].age / half_life) : 1;
        sum[events[i].item] += (double)events[i].weight * decay;
    }
    for (size_t i = 0; i < items; i++) {
        p.score[i] = (float)fmin(sum[i], 3e38);
        if (p.score[i] > 0) list[p.n++] = (struct scored){(uint32_t)i, p.score[i]};
    }
    qsort(list, p.n, sizeof *list, better_first);
    for (size_t i = 0; i < p.n; i++) p.order[i] = list[i].item;
    if (category != NULL) deal(&p, category, at);
    *out = p;
    p = (struct popularity){0};
out:
    free(at);
    free(list);
    free(sum);
    popularity_done(&p);
    return code;
}

static void score(const void *arg, size_t user, int worker, float *scores)
{
    (void)user;
    (void)worker;
    const struct popularity *p = arg;
    memcpy(scores, p->score, p->items * sizeof *scores);
}

struct ranking_model popularity_ranking(const struct popularity *p)
{
    return (struct ranking_model){.score = score, .arg = p};
}
