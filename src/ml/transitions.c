#include "meros/ml/transitions.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/interactions.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/matrix.h"
#include "pairs_priv.h"

static enum meros_code check(const struct sequences *s, size_t items, const struct transitions_params *p,
                             struct meros_err *err)
{
    if (p->k < 1 || p->k > NEIGHBOURS_MAX) {
        return err_set(err, MEROS_UNPROCESSABLE, "%d followers: it takes 1 to %d", p->k, NEIGHBOURS_MAX);
    }
    if (p->window < 1 || p->window > 100) return err_set(err, MEROS_UNPROCESSABLE, "a window of %d is not within 1 .. 100", p->window);
    if (!(p->decay > 0 && p->decay <= 1)) return err_set(err, MEROS_UNPROCESSABLE, "decay %g is not above 0 and at most 1", p->decay);
    if (!(p->shrink >= 0 && p->shrink <= 1e9)) return err_set(err, MEROS_UNPROCESSABLE, "shrink %g is not within 0 .. 1e9", p->shrink);
    for (size_t i = 0; i < s->start[s->n]; i++) {
        if (s->item[i] >= items) return err_set(err, MEROS_UNPROCESSABLE, "event %zu is of item %u of %zu", i, s->item[i], items);
        if (s->weight != NULL && !(s->weight[i] >= 0 && isfinite(s->weight[i]))) {
            return err_set(err, MEROS_UNPROCESSABLE, "event %zu weighs %g", i, (double)s->weight[i]);
        }
    }
    return MEROS_OK;
}

/* The steps, as triples (a, b, weight); only counted while out is NULL. */
static size_t steps_of(const struct sequences *s, const struct transitions_params *p, struct interaction *out)
{
    size_t n = 0;
    for (size_t seq = 0; seq < s->n; seq++) {
        for (size_t q = s->start[seq] + 1; q < s->start[seq + 1]; q++) {
            double weight = s->weight == NULL ? 1 : (double)s->weight[q];
            for (size_t gap = 1; gap <= (size_t)p->window && q >= s->start[seq] + gap; gap++, weight *= p->decay) {
                if (s->item[q - gap] == s->item[q]) continue;
                if (out != NULL) out[n] = (struct interaction){s->item[q - gap], s->item[q], (float)weight};
                n++;
            }
        }
    }
    return n;
}

/* Of n steps: the triples, their matrix and its sorting; the lists and the table. */
static void need_of(size_t n, size_t items, const struct transitions_params *p, struct ml_need *need)
{
    ml_need_add(need, n, sizeof(struct interaction) + 12);
    ml_need_add(need, items, 4 * sizeof(size_t));
    ml_need_add(need, items, (size_t)p->k * 16);
}

size_t transitions_memory(const struct sequences *s, size_t items, const struct transitions_params *p)
{
    struct ml_need need = {0};
    size_t steps = 0;
    for (size_t seq = 0; seq < s->n; seq++) {
        const size_t n = s->start[seq + 1] - s->start[seq];
        for (size_t gap = 1; gap <= (size_t)p->window && gap < n; gap++) steps += n - gap;
    }
    need_of(steps, items, p, &need);
    return need.overflow ? SIZE_MAX : need.bytes;
}

static enum meros_code keep_best(const struct interactions *steps, const struct transitions_params *p,
                                 struct neighbours *out, struct meros_err *err)
{
    const size_t k = (size_t)p->k < steps->cols ? (size_t)p->k : steps->cols;
    struct scored *lists = ml_alloc_raw(steps->rows, k * sizeof *lists);
    uint32_t *length = ml_alloc(steps->rows, sizeof *length);
    enum meros_code code = MEROS_OK;
    if (lists == NULL || length == NULL) {
        code = err_set(err, MEROS_OUT_OF_MEMORY, "no memory for what follows %zu items", steps->rows);
        goto out;
    }
    for (size_t a = 0; a < steps->rows; a++) {
        const size_t from = steps->start[a], n = interactions_of(steps, a);
        double total = p->shrink;
        for (size_t e = from; e < from + n; e++) total += (double)steps->weight[e];
        for (size_t e = from; e < from + n; e++) steps->weight[e] = (float)((double)steps->weight[e] / total);
        length[a] = (uint32_t)topk_select_of(steps->col + from, steps->weight + from, n, k, lists + a * k);
    }
    code = neighbours_pack(lists, length, steps->rows, k, out, err);
out:
    free(length);
    free(lists);
    return code;
}

enum meros_code transitions_fit(const struct sequences *s, size_t items, const struct transitions_params *params,
                                size_t budget, struct neighbours *out, struct meros_err *err)
{
    struct interactions steps = {0};
    enum meros_code code = check(s, items, params, err);
    if (code != MEROS_OK) return code;
    const size_t n = steps_of(s, params, NULL);
    struct ml_need need = {0};
    need_of(n, items, params, &need);
    code = ml_need_check(&need, budget, "what follows what", err);
    if (code != MEROS_OK) return code;
    struct interaction *triples = ml_alloc_raw(n, sizeof *triples);
    if (triples == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for %zu steps", n);
    steps_of(s, params, triples);
    code = interactions_build(triples, n, items, items, 0, &steps, err);
    free(triples);
    if (code == MEROS_OK) code = keep_best(&steps, params, out, err);
    interactions_done(&steps);
    return code;
}

void transitions_add_scores(const struct neighbours *t, const uint32_t *recent, size_t n, double decay, float *scores)
{
    double weight = 1;
    for (size_t i = n; i-- > 0; weight *= decay) {
        const float w = (float)weight;
        neighbours_add_scores(t, &recent[i], &w, 1, scores);
    }
}
