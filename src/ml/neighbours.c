#include "meros/ml/neighbours.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/ml/matrix.h"
#include "pairs_priv.h"

void neighbours_done(struct neighbours *t)
{
    free(t->start);
    free(t->item);
    free(t->score);
    *t = (struct neighbours){0};
}

enum meros_code neighbours_turn(const struct neighbours *t, struct neighbours *out, struct meros_err *err)
{
    const struct interactions x = {.rows = t->items, .cols = t->items, .n = t->n, .start = t->start, .col = t->item,
                                   .weight = t->score};
    struct interactions turned;
    enum meros_code code = interactions_transpose(&x, 0, &turned, err);
    if (code != MEROS_OK) return code;
    *out = (struct neighbours){.items = t->items, .n = t->n, .start = turned.start, .item = turned.col,
                               .score = turned.weight};
    return MEROS_OK;
}

void neighbours_add_scores(const struct neighbours *t, const uint32_t *items, const float *weights, size_t n,
                           float *scores)
{
    for (size_t i = 0; i < n; i++) {
        if (items[i] >= t->items) continue;
        const float weight = weights[i];
        for (size_t e = t->start[items[i]]; e < t->start[items[i] + 1]; e++) scores[t->item[e]] += weight * t->score[e];
    }
}

static void score(const void *arg, size_t user, int worker, float *scores)
{
    (void)worker;
    const struct neighbours_ranking *r = arg;
    const size_t from = r->by_user->start[user];
    memset(scores, 0, r->table->items * sizeof *scores);
    neighbours_add_scores(r->table, r->by_user->col + from, r->by_user->weight + from, interactions_of(r->by_user, user),
                          scores);
}

struct ranking_model neighbours_ranking(const struct neighbours_ranking *r)
{
    return (struct ranking_model){.score = score, .arg = r};
}

enum meros_code neighbours_pack(const struct scored *lists, const uint32_t *length, size_t items, size_t k,
                                struct neighbours *out, struct meros_err *err)
{
    struct neighbours t = {.items = items};
    for (size_t i = 0; i < items; i++) t.n += length[i];
    t.start = ml_alloc(items + 1, sizeof *t.start);
    t.item = ml_alloc_raw(t.n, sizeof *t.item);
    t.score = ml_alloc_raw(t.n, sizeof *t.score);
    if (t.start == NULL || t.item == NULL || t.score == NULL) {
        neighbours_done(&t);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu neighbours", t.n);
    }
    size_t to = 0;
    for (size_t i = 0; i < items; i++) {
        for (uint32_t e = 0; e < length[i]; e++, to++) {
            t.item[to] = lists[i * k + e].item;
            t.score[to] = lists[i * k + e].score;
        }
        t.start[i + 1] = to;
    }
    *out = t;
    return MEROS_OK;
}

/* --- pairs --- */

/* Items of a part: rows cost what their users have, so parts are small. A stage asks keep_going in between. */
enum { ROWS = 4, STAGES = 16 };

struct work {
    const struct pairs *p;
    float *sum;          /* (threads, items), zero between rows */
    uint32_t *touched;   /* (threads, room): one more than there are steps that list */
    size_t room;
    float *late;            /* of rows that would cost too much: (threads, users), zero between rows */
    struct scored *leading; /* (threads, PAIRS_SURE * k) */
    struct scored *lists;
    uint32_t *length;
    size_t first; /* row of the stage */
    size_t rows;  /* to the end of the stage */
};

/* What a row will cost: where that is little, the items it meets are listed, otherwise all are looked through. */
static size_t pairs_of(const struct pairs *p, size_t item)
{
    size_t pairs = 0;
    for (size_t e = p->by_item->start[item]; e < p->by_item->start[item + 1]; e++) {
        pairs += interactions_of(p->by_user, p->by_item->col[e]);
    }
    return pairs;
}

/* Rows of users lie anywhere in memory: where the row of the user a few entries on begins is sent for, and a little later the row. */
static inline void fetch_ahead(const struct pairs *p, size_t e, size_t end)
{
    enum { START = 8, ROW = 3, LINE = 16, MOST = 16 * LINE };
    if (e + START < end) __builtin_prefetch(&p->by_user->start[p->by_item->col[e + START]]);
    if (e + ROW >= end) return;
    const size_t user = p->by_item->col[e + ROW], from = p->by_user->start[user], n = p->by_user->start[user + 1] - from;
    for (size_t at = 0; at < n && at < MOST; at += LINE) {
        __builtin_prefetch(&p->by_user->col[from + at]);
        __builtin_prefetch(&p->by_user->weight[from + at]);
    }
}

static void add_all(const struct pairs *p, size_t item, float *restrict sum)
{
    const size_t last = p->by_item->start[item + 1];
    for (size_t e = p->by_item->start[item]; e < last; e++) {
        fetch_ahead(p, e, last);
        const size_t user = p->by_item->col[e], end = p->by_user->start[user + 1];
        const float weight = p->by_item->weight[e];
        const uint32_t *restrict col = p->by_user->col;
        const float *restrict other = p->by_user->weight;
        if (p->count) {
            for (size_t j = p->by_user->start[user]; j < end; j++) sum[col[j]] += 1;
        } else {
            for (size_t j = p->by_user->start[user]; j < end; j++) sum[col[j]] += weight * other[j];
        }
    }
}

/* From the row's entry `first` on. Returns how many are listed: no more than there were steps. */
static size_t add_listed(const struct pairs *p, size_t item, size_t first, float *restrict sum, uint32_t *restrict touched)
{
    const uint32_t *restrict col = p->by_user->col;
    const float *restrict says = p->by_user->weight;
    size_t n = 0;
    for (size_t e = first; e < p->by_item->start[item + 1]; e++) {
        const size_t user = p->by_item->col[e];
        const float weight = p->by_item->weight[e];
        for (size_t j = p->by_user->start[user]; j < p->by_user->start[user + 1]; j++) {
            const float before = sum[col[j]];
            touched[n] = col[j];
            n += before == 0; /* sums that came back to 0 are listed twice: see compact_sums */
            sum[col[j]] = before + (p->count ? 1 : weight * says[j]);
        }
    }
    return n;
}

/* The sums of n listed items side by side, each once and without the item's own; `sum` is zero again. */
static size_t compact_sums(size_t item, float *sum, uint32_t *touched, size_t n, float *compact)
{
    size_t m = 0;
    for (size_t c = 0; c < n; c++) { /* what is listed again is 0 by then */
        const uint32_t other = touched[c];
        compact[m] = sum[other];
        touched[m] = other;
        m += sum[other] != 0 && other != item;
        sum[other] = 0;
    }
    return m;
}

static void allow_positive(float *score, size_t n)
{
    for (size_t c = 0; c < n; c++) score[c] = score[c] > 0 ? score[c] : -INFINITY;
}

/* --- rows that would cost too much */

/* The first entry of those that are gone through: the smallest users come last. One at least. */
static size_t first_of_smallest(const struct pairs *p, size_t item)
{
    size_t e = p->by_item->start[item + 1] - 1, steps = interactions_of(p->by_user, p->by_item->col[e]);
    while (e > p->by_item->start[item]) {
        steps += interactions_of(p->by_user, p->by_item->col[e - 1]);
        if (steps > p->most) break;
        e--;
    }
    return e;
}

/* Rows of items lie anywhere in memory, too. */
static inline void fetch_row(const struct interactions *x, const struct scored *list, size_t c, size_t n)
{
    enum { START = 8, ROW = 4 };
    if (c + START < n) __builtin_prefetch(&x->start[list[c + START].item]);
    if (c + ROW >= n) return;
    __builtin_prefetch(&x->col[x->start[list[c + ROW].item]]);
    __builtin_prefetch(&x->weight[x->start[list[c + ROW].item]]);
}

static uint32_t fit_large(const struct work *w, size_t item, int worker, float *sum, float *compact, uint32_t *touched,
                          struct scored *list)
{
    const struct pairs *p = w->p;
    const struct interactions *x = p->by_item;
    const size_t most = PAIRS_SURE * p->k, from = x->start[item], first = first_of_smallest(p, item);
    const uint32_t end = x->col[first];
    float *late = w->late + (size_t)worker * p->by_user->rows;
    struct scored *leading = w->leading + (size_t)worker * most;
    const size_t m = compact_sums(item, sum, touched, add_listed(p, item, first, sum, touched), compact);
    const size_t n = topk_select(compact, m, most, leading);
    for (size_t c = 0; c < n; c++) leading[c].item = touched[leading[c].item];
    for (size_t e = from; e < first; e++) late[x->col[e]] = x->weight[e];
    for (size_t c = 0; c < n; c++) {
        fetch_row(x, leading, c, n);
        const size_t last = x->start[leading[c].item + 1];
        for (size_t e = x->start[leading[c].item]; e < last && x->col[e] < end; e++) leading[c].score += late[x->col[e]] * x->weight[e];
    }
    for (size_t e = from; e < first; e++) late[x->col[e]] = 0;
    for (size_t c = 0; c < n; c++) {
        touched[c] = leading[c].item;
        compact[c] = leading[c].score;
    }
    p->score(p->arg, item, touched, n, compact);
    allow_positive(compact, n);
    return (uint32_t)topk_select_of(touched, compact, n, p->k, list);
}

static void fit_rows(void *arg, size_t part, int worker)
{
    struct work *w = arg;
    const struct pairs *p = w->p;
    const size_t items = p->by_item->rows, from = w->first + part * ROWS, end = from + ROWS < w->rows ? from + ROWS : w->rows;
    float *sum = w->sum + 2 * (size_t)worker * items, *compact = sum + items;
    uint32_t *touched = w->touched + (size_t)worker * w->room;
    for (size_t item = from; item < end; item++) {
        struct scored *list = w->lists + item * p->k;
        const size_t pairs = pairs_of(p, item);
        if (pairs == 0) {
            w->length[item] = 0;
        } else if (p->most > 0 && pairs > p->most) {
            w->length[item] = fit_large(w, item, worker, sum, compact, touched, list);
        } else if (pairs >= items / 4) {
            add_all(p, item, sum);
            sum[item] = 0;
            p->score(p->arg, item, NULL, items, sum);
            sum[item] = 0;
            allow_positive(sum, items);
            w->length[item] = (uint32_t)topk_select(sum, items, p->k, list);
            memset(sum, 0, items * sizeof *sum);
        } else {
            /* fewer than items / 4 entries, repeated ones included */
            const size_t m = compact_sums(item, sum, touched, add_listed(p, item, p->by_item->start[item], sum, touched), compact);
            p->score(p->arg, item, touched, m, compact);
            allow_positive(compact, m);
            w->length[item] = (uint32_t)topk_select_of(touched, compact, m, p->k, list);
        }
    }
}

void pairs_need(size_t items, size_t k, size_t threads, struct ml_need *need)
{
    ml_need_add(need, items + 1, threads * (2 * sizeof(float) + sizeof(uint32_t)));
    ml_need_add(need, items, k * (sizeof(struct scored) + sizeof(uint32_t) + sizeof(float)) + sizeof(size_t) + sizeof(uint32_t));
}

enum meros_code pairs_fit(const struct pairs *p, const struct ml_run *run, struct neighbours *out, struct meros_err *err)
{
    const size_t items = p->by_item->rows, threads = (size_t)ml_pool_threads(ml_run_pool(run));
    struct work w = {.p = p, .room = 1 + items};
    struct ml_need need = {0};
    enum meros_code code;
    if (p->by_item->cols != p->by_user->rows || items != p->by_user->cols || p->by_item->n != p->by_user->n) {
        return err_set(err, MEROS_UNPROCESSABLE, "the interactions by item are not those by user transposed");
    }
    /* A row that costs more than `most` may begin with a user of all items. */
    if (p->most > 0) w.room += p->most;
    const size_t late = p->most > 0 ? p->by_user->rows : 0, leading = p->most > 0 ? PAIRS_SURE * p->k : 0;
    pairs_need(items, p->k, threads, &need);
    ml_need_add(&need, threads, p->most * sizeof(uint32_t) + late * sizeof(float) + leading * sizeof(struct scored));
    code = ml_need_check(&need, run == NULL ? 0 : run->memory_budget, p->what, err);
    if (code != MEROS_OK) return code;
    w.sum = ml_alloc(threads, 2 * items * sizeof *w.sum);
    w.touched = ml_alloc_raw(threads, w.room * sizeof *w.touched);
    w.late = ml_alloc(threads, late * sizeof *w.late);
    w.leading = ml_alloc_raw(threads, leading * sizeof *w.leading);
    w.lists = ml_alloc_raw(items, p->k * sizeof *w.lists);
    w.length = ml_alloc(items, sizeof *w.length);
    if (w.sum == NULL || w.touched == NULL || w.late == NULL || w.leading == NULL || w.lists == NULL || w.length == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu neighbours of each of %zu items", p->k, items);
        goto out;
    }
    for (int stage = 0; stage < STAGES; stage++) {
        code = ml_run_check(run, (double)stage / STAGES, p->what, err);
        if (code != MEROS_OK) goto out;
        w.first = items * (size_t)stage / STAGES;
        w.rows = items * (size_t)(stage + 1) / STAGES;
        parallel_for(ml_run_pool(run), (w.rows - w.first + ROWS - 1) / ROWS, fit_rows, &w);
    }
    for (size_t i = 0; i < items; i++) {
        if (w.length[i] == 0 || isfinite(w.lists[i * p->k].score)) continue; /* the best first */
        code = err_set(err, MEROS_UNPROCESSABLE, "the weights of item %zu have sums that leave the range of numbers", i);
        goto out;
    }
    code = neighbours_pack(w.lists, w.length, items, p->k, out, err);
out:
    free(w.length);
    free(w.lists);
    free(w.leading);
    free(w.late);
    free(w.touched);
    free(w.sum);
    return code;
}
