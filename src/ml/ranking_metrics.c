#include "meros/ml/ranking_metrics.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/matrix.h"

static double discount(size_t rank) /* from 1 */
{
    return 1 / log2((double)rank + 1);
}

static bool among(const uint32_t *sorted, size_t n, uint32_t item)
{
    size_t low = 0, high = n;
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (sorted[middle] < item)
            low = middle + 1;
        else
            high = middle;
    }
    return low < n && sorted[low] == item;
}

void ranking_score(const struct scored *list, size_t n, const uint32_t *relevant, size_t n_relevant, size_t k,
                   struct ranking_scores *out)
{
    struct ranking_scores s = {0};
    double dcg = 0, ideal = 0;
    for (size_t i = 0; i < n && i < k; i++) {
        if (!among(relevant, n_relevant, list[i].item)) continue;
        s.hits++;
        dcg += discount(i + 1);
        s.average_precision += (double)s.hits / (double)(i + 1);
        if (s.hits == 1) s.reciprocal_rank = 1 / (double)(i + 1);
    }
    for (size_t i = 0; i < n_relevant; i++) ideal += discount(i + 1);
    s.precision = (double)s.hits / (double)k;
    s.recall = (double)s.hits / (double)n_relevant;
    s.ndcg = dcg / ideal;
    s.average_precision /= (double)(n_relevant < k ? n_relevant : k);
    *out = s;
}

/* What lists add up to, one user after the other. */
struct sums {
    struct ranking_metrics m;
    double recommended; /* items, repeated */
    size_t *owners;     /* an item's users in training */
    uint8_t *seen;
    size_t n_users, n_items;
};

static enum meros_code sums_init(struct sums *s, const struct interactions *train, const struct interactions *test,
                                 size_t k, struct meros_err *err)
{
    *s = (struct sums){.m.k = k, .n_users = train->rows, .n_items = train->cols};
    if (train->rows != test->rows || train->cols != test->cols) {
        return err_set(err, MEROS_UNPROCESSABLE, "training is of %zu users and %zu items, the test of %zu and %zu",
                       train->rows, train->cols, test->rows, test->cols);
    }
    if (k < 1 || k > RANKING_K_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "lists of %zu items cannot be measured (1 .. %d)", k, RANKING_K_MAX);
    }
    s->owners = ml_alloc(train->cols, sizeof *s->owners);
    s->seen = ml_alloc(train->cols, sizeof *s->seen);
    if (s->owners == NULL || s->seen == NULL) {
        free(s->owners);
        free(s->seen);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to measure recommendations");
    }
    for (size_t i = 0; i < train->n; i++) s->owners[train->col[i]]++;
    return MEROS_OK;
}

static void sums_add(struct sums *s, const struct scored *list, size_t n, const struct interactions *test, size_t user)
{
    struct ranking_scores r;
    const size_t n_relevant = interactions_of(test, user);
    if (n_relevant == 0) return;
    ranking_score(list, n, test->col + test->start[user], n_relevant, s->m.k, &r);
    s->m.users++;
    s->m.precision += r.precision;
    s->m.recall += r.recall;
    s->m.ndcg += r.ndcg;
    s->m.map += r.average_precision;
    s->m.mrr += r.reciprocal_rank;
    s->m.hit_rate += r.hits > 0 ? 1 : 0;
    for (size_t i = 0; i < n; i++) {
        const size_t owners = s->owners[list[i].item];
        s->m.novelty -= log2((double)(owners > 0 ? owners : 1) / (double)s->n_users);
        s->seen[list[i].item] = 1;
    }
    s->recommended += (double)n;
}

static void sums_finish(struct sums *s, struct ranking_metrics *out)
{
    struct ranking_metrics *m = &s->m;
    for (size_t i = 0; i < s->n_items; i++) m->items_recommended += s->seen[i];
    if (m->users > 0) {
        const double users = (double)m->users;
        m->precision /= users;
        m->recall /= users;
        m->ndcg /= users;
        m->map /= users;
        m->mrr /= users;
        m->hit_rate /= users;
        m->coverage = (double)m->items_recommended / (double)s->n_items;
        if (s->recommended > 0) m->novelty /= s->recommended;
    }
    *out = *m;
}

static void sums_done(struct sums *s)
{
    free(s->owners);
    free(s->seen);
}

enum meros_code ranking_of_lists(const struct scored *lists, const size_t *lengths, const struct interactions *train,
                                 const struct interactions *test, size_t k, struct ranking_metrics *out,
                                 struct meros_err *err)
{
    struct sums s;
    enum meros_code code = sums_init(&s, train, test, k, err);
    if (code != MEROS_OK) return code;
    for (size_t u = 0; u < test->rows; u++) sums_add(&s, lists + u * k, lengths[u], test, u);
    sums_finish(&s, out);
    sums_done(&s);
    return MEROS_OK;
}

/* A batch of users is ranked in parallel, a user a part, and added up in order. */
enum { BATCH = 256 };

struct ranking {
    const struct ranking_model *model;
    const struct interactions *train, *test;
    size_t k, first;
    float *scores;         /* (threads, items) */
    struct scored *lists;  /* (BATCH, k) */
    size_t lengths[BATCH];
};

static void rank_one(void *arg, size_t part, int worker)
{
    struct ranking *r = arg;
    const size_t user = r->first + part, n = r->train->cols;
    float *scores = r->scores + (size_t)worker * n;
    if (interactions_of(r->test, user) == 0) return;
    r->model->score(r->model->arg, user, worker, scores);
    for (size_t i = r->train->start[user]; i < r->train->start[user + 1]; i++) scores[r->train->col[i]] = -INFINITY;
    r->lengths[part] = topk_select(scores, n, r->k, r->lists + part * r->k);
}

enum meros_code ranking_evaluate(const struct ranking_model *model, const struct interactions *train,
                                 const struct interactions *test, size_t k, const struct ml_run *run,
                                 struct ranking_metrics *out, struct meros_err *err)
{
    struct sums s;
    struct ranking r = {.model = model, .train = train, .test = test, .k = k};
    const size_t threads = (size_t)ml_pool_threads(ml_run_pool(run));
    enum meros_code code = sums_init(&s, train, test, k, err);
    if (code != MEROS_OK) return code;
    size_t floats;
    if (__builtin_mul_overflow(threads, train->cols, &floats)) floats = SIZE_MAX;
    r.scores = ml_alloc_raw(floats, sizeof *r.scores);
    r.lists = ml_alloc_raw(BATCH * k, sizeof *r.lists);
    if (r.scores == NULL || r.lists == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory to rank %zu items", train->cols);
        goto out;
    }
    for (r.first = 0; r.first < test->rows; r.first += BATCH) {
        const size_t users = test->rows - r.first < BATCH ? test->rows - r.first : BATCH;
        code = ml_run_check(run, (double)r.first / (double)test->rows, "measuring recommendations", err);
        if (code != MEROS_OK) goto out;
        parallel_for(ml_run_pool(run), users, rank_one, &r);
        for (size_t i = 0; i < users; i++) sums_add(&s, r.lists + i * k, r.lengths[i], test, r.first + i);
    }
    sums_finish(&s, out);
out:
    sums_done(&s);
    free(r.lists);
    free(r.scores);
    return code;
}
