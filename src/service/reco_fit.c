/* A component of the model from a part of the data. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/base/clock.h"
#include "meros/ml/bought_together.h"
#include "meros/ml/ease.h"
#include "meros/ml/popularity.h"
#include "meros/ml/repeat.h"
#include "meros/ml/transitions.h"
#include "reco_training_priv.h"

/* What sells now: half of it was two weeks ago. */
#define TRENDING_DAYS 14
/* Entries of EASE that are kept: all of a catalogue of 2,048 items, of a larger one the strongest of each item. */
enum { EASE_ENTRIES = 1 << 22, EASE_ROW_MIN = 64 };

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while learning.");
}

/* --- matrices */

static float reads(float weight, enum reco_reading reading)
{
    if (reading != RECO_READ_SIGNED && weight < 0) return 0;
    return reading == RECO_READ_AT_MOST_ONE && weight > 1 ? 1 : weight;
}

/* The part's triples with items by `number` (NULL: as they are) among `items`. */
static enum meros_code build(const struct reco_data *d, enum reco_part part, enum reco_reading reading, const uint32_t *number,
                             size_t items, struct reco_matrix *out, struct meros_err *err)
{
    struct interaction *x = malloc((d->n + 1) * sizeof *x);
    struct reco_matrix m = {0};
    size_t n = 0;
    if (x == NULL) return no_memory(err);
    for (size_t u = 0; u < d->users; u++)
        for (size_t i = d->start[u]; i < reco_data_end(d, part, u); i++) {
            const float w = reads(d->weight[i], reading);
            if (w != 0) x[n++] = (struct interaction){(uint32_t)u, number == NULL ? d->item[i] : number[d->item[i]], w};
        }
    enum meros_code rc = interactions_build(x, n, d->users, items, 0, &m.by_user, err);
    free(x);
    if (rc == MEROS_OK) rc = interactions_transpose(&m.by_user, 0, &m.by_item, err);
    if (rc == MEROS_OK) *out = m;
    else reco_matrix_done(&m);
    return rc;
}

enum meros_code reco_matrix_build(const struct reco_data *d, enum reco_part part, enum reco_reading reading, struct reco_matrix *out,
                                  struct meros_err *err)
{
    return build(d, part, reading, NULL, d->items, out, err);
}

void reco_matrix_done(struct reco_matrix *m)
{
    interactions_done(&m->by_user);
    interactions_done(&m->by_item);
}

static size_t matrix_memory(const struct reco_data *d)
{
    return d->n * sizeof(struct interaction) + interactions_memory(d->users, d->n) + interactions_memory(d->items, d->n);
}

/* --- what everybody takes */

static void share_of_best(const struct popularity *p, float *out)
{
    float best = 0;
    for (size_t i = 0; i < p->items; i++) best = fmaxf(best, p->score[i]);
    for (size_t i = 0; i < p->items; i++) out[i] = best > 0 ? fmaxf(p->score[i], 0) / best : 0;
}

/* half_life in days; 0: as the weights are. */
static enum meros_code popular(const struct reco_data *d, enum reco_part part, double half_life, float *out, struct meros_err *err)
{
    struct popularity_event *e = malloc((d->n + 1) * sizeof *e);
    struct popularity p;
    size_t n = 0;
    if (e == NULL) return no_memory(err);
    for (size_t u = 0; u < d->users; u++)
        for (size_t i = d->start[u]; i < reco_data_end(d, part, u); i++)
            e[n++] = (struct popularity_event){d->item[i], d->weight[i], (double)(d->last_at - d->at[i]) / (double)TIME_DAY};
    enum meros_code rc = popularity_fit(e, n, d->items, half_life, NULL, 0, &p, err);
    free(e);
    if (rc != MEROS_OK) return rc;
    share_of_best(&p, out);
    popularity_done(&p);
    return MEROS_OK;
}

/* --- EASE, of the items that anybody took (d->taken of all): what nobody took says nothing and would cost as much */

static size_t number_taken(const struct reco_data *d, enum reco_part part, uint32_t *number, uint32_t *taken)
{
    size_t n = 0;
    for (size_t i = 0; i < d->items; i++) number[i] = UINT32_MAX;
    for (size_t u = 0; u < d->users; u++)
        for (size_t i = d->start[u]; i < reco_data_end(d, part, u); i++)
            if (d->weight[i] > 0) number[d->item[i]] = 0;
    for (size_t i = 0; i < d->items; i++) {
        if (number[i] == UINT32_MAX) continue;
        number[i] = (uint32_t)n;
        taken[n++] = (uint32_t)i;
    }
    return n;
}

/* How many entries of each of n items' rows are kept. */
static size_t ease_row(size_t n)
{
    size_t row = EASE_ENTRIES / (n > 0 ? n : 1);
    if (row < EASE_ROW_MIN) row = EASE_ROW_MIN;
    return row < n ? row : n;
}

/* Rows of the n items in `taken` as rows of all. */
static enum meros_code widen(struct reco_rows *rows, const uint32_t *number, const uint32_t *taken, size_t items, struct meros_err *err)
{
    size_t *start = calloc(items + 1, sizeof *start);
    if (start == NULL) return no_memory(err);
    for (size_t e = 0; e < rows->n; e++) rows->item[e] = taken[rows->item[e]];
    for (size_t i = 0; i < items; i++)
        start[i + 1] = number[i] == UINT32_MAX ? start[i] : rows->start[number[i] + 1];
    free(rows->start);
    rows->start = start;
    rows->items = items;
    return MEROS_OK;
}

static enum meros_code ease(struct recommender *r, double lambda, const struct reco_data *d, enum reco_part part, const struct ml_run *run,
                            struct meros_err *err)
{
    uint32_t *number = calloc(d->items + 1, sizeof *number), *taken = calloc(d->items + 1, sizeof *taken);
    struct reco_matrix x = {0};
    struct ease_model m = {0};
    struct reco_rows rows = {0};
    enum meros_code rc = number == NULL || taken == NULL ? no_memory(err) : MEROS_OK;
    if (rc != MEROS_OK) goto out;
    const size_t n = number_taken(d, part, number, taken);
    rc = build(d, part, RECO_READ_AT_MOST_ONE, number, n, &x, err);
    if (rc == MEROS_OK) rc = ease_fit(&x.by_user, &x.by_item, lambda, run, &m, err);
    if (rc == MEROS_OK) rc = reco_rows_of(&m, ease_row(n), &rows, err);
    if (rc == MEROS_OK) rc = widen(&rows, number, taken, d->items, err);
    if (rc == MEROS_OK) {
        r->ease = rows;
        rows = (struct reco_rows){0};
    }
out:
    reco_rows_done(&rows);
    ease_model_done(&m);
    reco_matrix_done(&x);
    free(number);
    free(taken);
    return rc;
}

/* --- the others */

static enum meros_code item_knn(struct recommender *r, const struct item_knn_params *p, const struct reco_data *d, enum reco_part part,
                                const struct ml_run *run, struct meros_err *err)
{
    struct reco_matrix x = {0};
    enum meros_code rc = reco_matrix_build(d, part, RECO_READ_POSITIVE, &x, err);
    if (rc == MEROS_OK) rc = item_knn_fit(&x.by_user, &x.by_item, p, run, &r->item_knn, err);
    if (rc == MEROS_OK) rc = recommender_finish(r, err);
    reco_matrix_done(&x);
    return rc;
}

static enum meros_code als(struct recommender *r, const struct als_params *p, const struct reco_data *d, enum reco_part part,
                           const struct ml_run *run, struct meros_err *err)
{
    struct reco_matrix x = {0};
    enum meros_code rc = reco_matrix_build(d, part, RECO_READ_SIGNED, &x, err);
    if (rc == MEROS_OK) rc = als_fit(&x.by_user, &x.by_item, p, run, &r->als, err);
    reco_matrix_done(&x);
    if (rc != MEROS_OK) return rc;
    free(r->als.user); /* customers are folded in */
    r->als.user = NULL;
    r->als.users = 0;
    return MEROS_OK;
}

/* What customers took, in order; item NULL: only where each of them begins. */
static void sequences_of(const struct reco_data *d, enum reco_part part, size_t *start, uint32_t *item)
{
    size_t n = 0;
    for (size_t u = 0; u < d->users; u++) {
        start[u] = n;
        for (size_t i = d->start[u]; i < reco_data_end(d, part, u); i++) {
            if (!(d->weight[i] > 0)) continue;
            if (item != NULL) item[n] = d->item[i];
            n++;
        }
    }
    start[d->users] = n;
}

static enum meros_code sequence(struct recommender *r, const struct reco_data *d, enum reco_part part, struct meros_err *err)
{
    const struct transitions_params p = TRANSITIONS_PARAMS_DEFAULT;
    size_t *start = malloc((d->users + 1) * sizeof *start);
    uint32_t *item = malloc((d->n + 1) * sizeof *item);
    enum meros_code rc = start == NULL || item == NULL ? no_memory(err) : MEROS_OK;
    if (rc == MEROS_OK) {
        sequences_of(d, part, start, item);
        const struct sequences s = {.n = d->users, .start = start, .item = item};
        rc = transitions_fit(&s, d->items, &p, reco_data_left(d), &r->next, err);
        r->next_decay = p.decay;
    }
    free(start);
    free(item);
    return rc;
}

static enum meros_code content(struct recommender *r, const struct reco_data *d, struct meros_err *err)
{
    const struct neighbours *c = &d->content;
    struct neighbours n = {.items = c->items, .n = c->n};
    n.start = malloc((c->items + 1) * sizeof *n.start);
    n.item = malloc((c->n + 1) * sizeof *n.item);
    n.score = malloc((c->n + 1) * sizeof *n.score);
    if (n.start == NULL || n.item == NULL || n.score == NULL) {
        neighbours_done(&n);
        return no_memory(err);
    }
    memcpy(n.start, c->start, (c->items + 1) * sizeof *n.start);
    memcpy(n.item, c->item, c->n * sizeof *n.item);
    memcpy(n.score, c->score, c->n * sizeof *n.score);
    r->content = n;
    return MEROS_OK;
}

/* --- whichever */

void reco_forget(struct recommender *r, enum reco_algorithm a)
{
    switch (a) {
    case RECO_CONTENT: neighbours_done(&r->content); break;
    case RECO_ITEM_KNN:
        neighbours_done(&r->item_knn);
        neighbours_done(&r->item_knn_turned);
        break;
    case RECO_EASE: reco_rows_done(&r->ease); break;
    case RECO_ALS:
        als_model_done(&r->als);
        r->als = (struct als_model){0};
        break;
    case RECO_SEQUENCE: neighbours_done(&r->next); break;
    case RECO_BLEND: memset(r->blend, 0, sizeof r->blend); break;
    case RECO_POPULAR:
    case RECO_ALGORITHMS: break;
    }
}

void reco_move(struct recommender *to, struct recommender *from, enum reco_algorithm a)
{
    reco_forget(to, a);
    switch (a) {
    case RECO_POPULAR: memcpy(to->popular, from->popular, from->items * sizeof *to->popular); break;
    case RECO_CONTENT:
        to->content = from->content;
        from->content = (struct neighbours){0};
        break;
    case RECO_ITEM_KNN:
        to->item_knn = from->item_knn;
        to->item_knn_turned = from->item_knn_turned;
        from->item_knn = from->item_knn_turned = (struct neighbours){0};
        break;
    case RECO_EASE:
        to->ease = from->ease;
        from->ease = (struct reco_rows){0};
        break;
    case RECO_ALS:
        to->als = from->als;
        from->als = (struct als_model){0};
        break;
    case RECO_SEQUENCE:
        to->next = from->next;
        to->next_decay = from->next_decay;
        from->next = (struct neighbours){0};
        break;
    case RECO_BLEND:
    case RECO_ALGORITHMS: break;
    }
}

enum meros_code reco_fit(struct recommender *r, enum reco_algorithm a, const struct reco_settings *s, const struct reco_data *d,
                         enum reco_part part, struct training_part *progress, struct meros_err *err)
{
    const struct ml_run run = training_ml_run(progress, d->bytes + matrix_memory(d));
    reco_forget(r, a);
    switch (a) {
    case RECO_POPULAR: return popular(d, part, 0, r->popular, err);
    case RECO_CONTENT: return d->content.n > 0 ? content(r, d, err) : MEROS_OK;
    case RECO_ITEM_KNN: return item_knn(r, &s->knn, d, part, &run, err);
    case RECO_EASE: return ease(r, s->ease_lambda, d, part, &run, err);
    case RECO_ALS: return als(r, &s->als, d, part, &run, err);
    case RECO_SEQUENCE: return sequence(r, d, part, err);
    case RECO_BLEND:
    case RECO_ALGORITHMS: break;
    }
    return err_set(err, MEROS_INTERNAL, "There is nothing to fit of this algorithm.");
}

static enum meros_code together(struct recommender *r, const struct reco_data *d, const struct ml_run *run, struct meros_err *err)
{
    const struct bought_together_params p = BOUGHT_TOGETHER_PARAMS_DEFAULT;
    struct interaction *x = malloc((d->n_lines + 1) * sizeof *x);
    struct reco_matrix m = {0};
    size_t order = 0;
    if (x == NULL) return no_memory(err);
    for (size_t i = 0; i < d->n_lines; i++) {
        order += i > 0 && d->lines[i].order_no != d->lines[i - 1].order_no;
        x[i] = (struct interaction){(uint32_t)order, reco_data_item(d, d->lines[i].product_no), 1};
    }
    enum meros_code rc = interactions_build(x, d->n_lines, d->orders, d->items, 0, &m.by_user, err);
    free(x);
    if (rc == MEROS_OK) rc = interactions_transpose(&m.by_user, 0, &m.by_item, err);
    if (rc == MEROS_OK) rc = bought_together_fit(&m.by_user, &m.by_item, &p, run, &r->together, err);
    reco_matrix_done(&m);
    return rc;
}

/* --- what is not compared */

static int by_number(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Whose lines there are: n different customers, ascending. */
static size_t buyers(const struct reco_data *d, int64_t *out)
{
    size_t n = 0;
    for (size_t i = 0; i < d->n_lines; i++) out[i] = d->lines[i].customer_no;
    qsort(out, d->n_lines, sizeof *out, by_number);
    for (size_t i = 0; i < d->n_lines; i++)
        if (n == 0 || out[n - 1] != out[i]) out[n++] = out[i];
    return n;
}

static enum meros_code repeats(struct recommender *r, const struct reco_data *d, int64_t end, struct meros_err *err)
{
    const struct repeat_params params = REPEAT_PARAMS_DEFAULT;
    const double day = (double)TIME_DAY;
    int64_t *who = malloc((d->n_lines + 1) * sizeof *who);
    struct repeat_purchase *p = malloc((d->n_lines + 1) * sizeof *p);
    struct repeat_item *items = malloc((d->items + 1) * sizeof *items);
    enum meros_code rc = who == NULL || p == NULL || items == NULL ? no_memory(err) : MEROS_OK;
    const size_t n = rc == MEROS_OK ? buyers(d, who) : 0;
    for (size_t i = 0; rc == MEROS_OK && i < d->n_lines; i++) {
        const struct reco_basket_line *l = &d->lines[i];
        const int64_t *at = bsearch(&l->customer_no, who, n, sizeof *who, by_number);
        p[i] = (struct repeat_purchase){(uint32_t)(at - who), reco_data_item(d, l->product_no), (double)l->at / day};
    }
    if (rc == MEROS_OK) rc = repeat_fit(p, d->n_lines, d->items, (double)end / day, &params, reco_data_left(d), items, err);
    for (size_t i = 0; rc == MEROS_OK && i < d->items; i++) r->repeat_days[i] = items[i].days;
    free(who);
    free(p);
    free(items);
    return rc;
}

enum meros_code reco_fit_rest(struct recommender *r, const struct reco_data *d, struct training_part *progress, struct meros_err *err)
{
    const struct ml_run run = training_ml_run(progress, d->bytes + d->n_lines * sizeof(struct interaction));
    enum meros_code rc = popular(d, RECO_PART_ALL, TRENDING_DAYS, r->trending, err);
    if (rc == MEROS_OK && d->n_lines > 0) rc = together(r, d, &run, err);
    if (rc == MEROS_OK && d->n_lines > 0) rc = repeats(r, d, progress->t->at, err);
    return rc;
}

static size_t als_bytes(const struct als_params *p, const struct reco_data *d, struct ml_pool *pool)
{
    size_t *start = calloc(d->items + 1, sizeof *start);
    if (start == NULL) return SIZE_MAX;
    for (size_t i = 0; i < d->n; i++) start[d->item[i] + 1]++;
    for (size_t i = 0; i < d->items; i++) start[i + 1] += start[i];
    const struct interactions by_user = {.rows = d->users, .cols = d->items, .n = d->n, .start = d->start};
    const struct interactions by_item = {.rows = d->items, .cols = d->users, .n = d->n, .start = start};
    const size_t bytes = als_memory(p, &by_user, &by_item, pool);
    free(start);
    return bytes;
}

static size_t sequence_bytes(const struct reco_data *d)
{
    const struct transitions_params p = TRANSITIONS_PARAMS_DEFAULT;
    size_t *start = malloc((d->users + 1) * sizeof *start);
    if (start == NULL) return SIZE_MAX;
    sequences_of(d, RECO_PART_ALL, start, NULL);
    const size_t bytes = transitions_memory(&(struct sequences){.n = d->users, .start = start}, d->items, &p);
    free(start);
    return bytes;
}

static size_t sum_of(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

size_t reco_fit_memory(enum reco_algorithm a, const struct reco_settings *s, const struct reco_data *d, struct ml_pool *pool)
{
    const size_t inputs = matrix_memory(d);
    switch (a) {
    case RECO_EASE: return sum_of(inputs + ease_row(d->taken) * d->taken * (sizeof(uint32_t) + sizeof(float)), ease_memory(d->taken));
    case RECO_ITEM_KNN: return sum_of(inputs, item_knn_memory(&s->knn, d->users, d->items, d->n, pool));
    case RECO_ALS: return sum_of(inputs, als_bytes(&s->als, d, pool));
    case RECO_SEQUENCE: return sum_of((d->users + 1) * sizeof(size_t) + d->n * sizeof(uint32_t), sequence_bytes(d));
    default: return 0;
    }
}
