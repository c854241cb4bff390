/* How well a model foretells what was held out: with the function that answers are made by. */
#include <stdlib.h>

#include "meros/ml/matrix.h"
#include "reco_training_priv.h"

static enum meros_code rows_of(const struct reco_data *d, enum reco_part part, bool held_out, struct interactions *out, struct meros_err *err)
{
    struct interaction *x = malloc((d->n + 1) * sizeof *x);
    size_t n = 0;
    if (x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while holding out.");
    for (size_t u = 0; u < d->users; u++) {
        const size_t end = reco_data_end(d, part, u), next = part == RECO_PART_VALIDATION ? d->test_from[u] : d->start[u + 1];
        for (size_t i = held_out ? end : d->start[u]; i < (held_out ? next : end); i++)
            if (!held_out || d->weight[i] > 0) x[n++] = (struct interaction){(uint32_t)u, d->item[i], held_out ? 1 : d->weight[i]};
    }
    enum meros_code rc = interactions_build(x, n, d->users, d->items, 0, out, err);
    free(x);
    return rc;
}

enum meros_code reco_judges_of(const struct reco_data *d, enum reco_part part, struct reco_judges *out, struct meros_err *err)
{
    struct reco_judges j = {.data = d, .part = part};
    enum meros_code rc = rows_of(d, part, false, &j.seen, err);
    if (rc == MEROS_OK) rc = rows_of(d, part, true, &j.took, err);
    if (rc == MEROS_OK) *out = j;
    else reco_judges_done(&j);
    return rc;
}

void reco_judges_done(struct reco_judges *j)
{
    interactions_done(&j->seen);
    interactions_done(&j->took);
}

struct measuring {
    const struct recommender *r;
    enum reco_algorithm a;
    const struct reco_judges *j;
    float *scratch; /* a row of items a thread */
    size_t row;
};

static void score(const void *arg, size_t user, int worker, float *scores)
{
    const struct measuring *m = arg;
    const struct reco_data *d = m->j->data;
    const size_t from = d->start[user];
    const struct reco_history h = {.item = d->item + from, .weight = d->weight + from, .n = reco_data_end(d, m->j->part, user) - from};
    recommender_score(m->r, m->a, &h, m->scratch + (size_t)worker * m->row, scores);
}

enum meros_code reco_measure(const struct recommender *r, enum reco_algorithm a, const struct reco_judges *j, struct training_part *progress,
                             struct ranking_metrics *out, struct meros_err *err)
{
    const struct ml_run run = training_ml_run(progress, j->data->bytes);
    struct measuring m = {.r = r, .a = a, .j = j, .row = (r->items + 15) / 16 * 16};
    m.scratch = ml_alloc(m.row * (size_t)ml_pool_threads(run.pool), sizeof *m.scratch);
    if (m.scratch == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while evaluating.");
    const struct ranking_model model = {score, &m};
    enum meros_code rc = ranking_evaluate(&model, &j->seen, &j->took, RECO_K, &run, out, err);
    free(m.scratch);
    return rc;
}
