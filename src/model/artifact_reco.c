/* What is in the artifact of recommendations, between the frame and the checksum. */
#include <math.h>
#include <stdlib.h>

#include "artifact_priv.h"
#include "meros/ml/item_knn.h"
#include "meros/ml/matrix.h"

/* No number of a model comes near it, and sums of products of such numbers stay within float32. */
#define VALUE_MAX 1e12f
static const char too_large[] = "a number in it is not finite or far too large";

/* --- writing */

static void put_lengths(struct buf *b, const size_t *start, size_t items)
{
    artifact_put_u8(b, start != NULL);
    for (size_t i = 0; start != NULL && i < items; i++) artifact_put_le(b, start[i + 1] - start[i], 4);
}

static void put_rows(struct buf *b, size_t items, const size_t *start, const uint32_t *item, const float *value)
{
    put_lengths(b, start, items);
    if (start == NULL) return;
    artifact_put_u32s(b, item, start[items]);
    artifact_put_floats(b, value, start[items]);
}

static void put_neighbours(struct buf *b, size_t items, const struct neighbours *t)
{
    put_rows(b, items, t->start, t->item, t->score);
}

static void put_als(struct buf *b, const struct als_model *m)
{
    artifact_put_le(b, m->item == NULL ? 0 : m->factors, 2);
    if (m->item == NULL) return;
    artifact_put_doubles(b, (const double[]){m->alpha, m->lambda, m->nu, m->mean_mass, m->loss}, 5);
    artifact_put_le(b, (uint64_t)m->iterations, 4);
    for (size_t i = 0; i < m->items; i++) artifact_put_floats(b, m->item + i * m->stride, m->factors);
    artifact_put_floats(b, m->gram, m->factors);
}

static void put_together(struct buf *b, size_t items, const struct bought_together *t)
{
    artifact_put_le(b, t->baskets, 8);
    put_neighbours(b, items, &t->table);
    if (t->table.start == NULL) return;
    artifact_put_u32s(b, t->count, t->table.n);
    artifact_put_u32s(b, t->alone, items);
}

static void put_weights(struct buf *b, const struct interaction_weights *w)
{
    artifact_put_le(b, w->n, 2);
    for (size_t i = 0; i < w->n; i++) {
        artifact_put_str(b, w->type[i]);
        artifact_put_double(b, w->weight[i]);
    }
    artifact_put_doubles(b, (const double[]){w->purchase, w->returned, w->other, w->half_life_days}, 4);
}

void artifact_put_reco(struct buf *out, const struct recommender *m)
{
    artifact_put_u8(out, m->algorithm);
    artifact_put_str(out, m->name);
    artifact_put_le(out, (uint64_t)m->as_of, 8);
    artifact_put_le(out, (uint64_t)m->trained_at, 8);
    artifact_put_le(out, (uint64_t)m->data_from, 8);
    artifact_put_le(out, (uint64_t)m->data_to, 8);
    artifact_put_le(out, m->rows, 8);
    artifact_put_le(out, m->customers, 8);
    buf_append(out, m->row_hash, sizeof m->row_hash);
    artifact_put_str(out, m->build);
    put_weights(out, &m->weights);
    artifact_put_le(out, m->items, 4);
    for (size_t i = 0; i < m->items; i++) artifact_put_le(out, (uint64_t)m->product_no[i], 8);
    artifact_put_floats(out, m->popular, m->items);
    artifact_put_floats(out, m->trending, m->items);
    artifact_put_floats(out, m->repeat_days, m->items);
    put_als(out, &m->als);
    put_rows(out, m->items, m->ease.start, m->ease.item, m->ease.value);
    put_neighbours(out, m->items, &m->item_knn);
    put_neighbours(out, m->items, &m->content);
    put_together(out, m->items, &m->together);
    put_neighbours(out, m->items, &m->next);
    artifact_put_double(out, m->next_decay);
    artifact_put_u8(out, RECO_ALGORITHMS);
    for (int c = 0; c < RECO_ALGORITHMS; c++) artifact_put_doubles(out, (const double[]){m->blend[c], m->blend_scale[c]}, 2);
}

/* --- reading */

static double get_within(struct artifact_reader *r, double least, double most)
{
    const double v = artifact_get_any_double(r);
    if (r->fault == NULL && !(v >= least && v <= most)) artifact_fail(r, "a number in it is out of range");
    return r->fault == NULL ? v : least;
}

static void *get_room(struct artifact_reader *r, size_t count, size_t size)
{
    void *p = r->fault == NULL ? ml_alloc(count, size) : NULL;
    if (p == NULL) artifact_fail(r, "memory ran out");
    return p;
}

static void get_weights(struct artifact_reader *r, struct interaction_weights *w)
{
    w->n = artifact_get_below(r, 2, INTERACTION_TYPES_MAX + 1, "it weighs too many types of event");
    for (size_t i = 0; i < w->n && r->fault == NULL; i++) {
        const struct str type = artifact_get_str(r, INTERACTION_TYPE_MAX);
        w->weight[i] = get_within(r, -100, 100);
        if (r->fault != NULL) break;
        (void)str_copy(w->type[i], sizeof w->type[i], type);
        if (type.n == 0 || (i > 0 && strcmp(w->type[i - 1], w->type[i]) >= 0)) artifact_fail(r, "its types of event do not ascend");
    }
    w->purchase = get_within(r, -100, 100);
    w->returned = get_within(r, -100, 100);
    w->other = get_within(r, -100, 100);
    w->half_life_days = get_within(r, 0, 1e9);
}

static void get_items(struct artifact_reader *r, struct recommender *m)
{
    for (size_t i = 0; i < m->items && r->fault == NULL; i++) {
        m->product_no[i] = (int64_t)artifact_get_le(r, 8);
        if (i > 0 && m->product_no[i] <= m->product_no[i - 1]) artifact_fail(r, "its products do not ascend");
    }
    artifact_get_floats(r, m->popular, m->items, 0, 1, "a popularity in it is not a share");
    artifact_get_floats(r, m->trending, m->items, 0, 1, "a popularity in it is not a share");
    artifact_get_floats(r, m->repeat_days, m->items, 0, VALUE_MAX, too_large);
}

static void get_als(struct artifact_reader *r, size_t items, struct als_model *m)
{
    const size_t factors = artifact_get_below(r, 2, ALS_FACTORS_MAX + 1, "it has too many factors");
    if (r->fault != NULL || factors == 0) return;
    m->alpha = get_within(r, 0, 1e9);
    m->lambda = get_within(r, 1e-300, 1e9);
    m->nu = get_within(r, 0, 1);
    m->mean_mass = get_within(r, 1e-300, 1e300);
    m->loss = artifact_get_double(r);
    m->iterations = (int)artifact_get_below(r, 4, INT32_MAX, "a count in it is out of range");
    if (!artifact_plausible(r, items + 1, factors * sizeof(float))) return;
    m->items = items;
    m->factors = factors;
    m->stride = (factors + 15) / 16 * 16;
    m->item = get_room(r, items, m->stride * sizeof *m->item);
    m->gram = get_room(r, m->stride, sizeof *m->gram);
    for (size_t i = 0; i < items && r->fault == NULL; i++)
        artifact_get_floats(r, m->item + i * m->stride, factors, -VALUE_MAX, VALUE_MAX, too_large);
    if (r->fault == NULL) artifact_get_floats(r, m->gram, factors, 0, VALUE_MAX * VALUE_MAX, too_large);
}

/* The lengths of rows; NULL: there are none, or a fault. */
static size_t *get_lengths(struct artifact_reader *r, size_t items)
{
    if (artifact_get_below(r, 1, 2, "a flag in it is neither 0 nor 1") == 0 || !artifact_plausible(r, items, 4)) return NULL;
    size_t *start = get_room(r, items + 1, sizeof *start);
    for (size_t i = 0; i < items && r->fault == NULL; i++)
        start[i + 1] = start[i] + artifact_get_below(r, 4, items + 1, "a row in it is longer than there are products");
    if (r->fault == NULL && artifact_plausible(r, start[items], sizeof(uint32_t) + sizeof(float))) return start;
    free(start);
    return NULL;
}

static void check_ascending(struct artifact_reader *r, size_t items, const size_t *start, const uint32_t *item)
{
    for (size_t i = 0; i < items && r->fault == NULL; i++) {
        for (size_t e = start[i]; e < start[i + 1]; e++) {
            if (item[e] >= items) artifact_fail(r, "it names a product that it has not");
            if (e > start[i] && item[e] <= item[e - 1]) artifact_fail(r, "a row in it does not ascend");
        }
    }
}

static void get_ease(struct artifact_reader *r, size_t items, struct reco_rows *t)
{
    if ((t->start = get_lengths(r, items)) == NULL) return;
    t->items = items;
    t->n = t->start[items];
    t->item = get_room(r, t->n, sizeof *t->item);
    t->value = get_room(r, t->n, sizeof *t->value);
    if (r->fault != NULL) return;
    artifact_get_u32s(r, t->item, t->n);
    artifact_get_floats(r, t->value, t->n, -VALUE_MAX, VALUE_MAX, too_large);
    check_ascending(r, items, t->start, t->item);
}

/* Best first, each other item at most once. */
static void check_neighbours(struct artifact_reader *r, const struct neighbours *t)
{
    uint32_t *seen = get_room(r, t->items, sizeof *seen); /* the last row that had an item, from 1 */
    for (size_t i = 0; i < t->items && r->fault == NULL; i++) {
        for (size_t e = t->start[i]; e < t->start[i + 1] && r->fault == NULL; e++) {
            const uint32_t j = t->item[e];
            if (j >= t->items || j == i || seen[j] == i + 1) {
                artifact_fail(r, "it names a product that it has not, or one twice");
                break;
            }
            seen[j] = (uint32_t)i + 1;
            if (!(t->score[e] > 0)) artifact_fail(r, "a neighbour in it is none");
            if (e > t->start[i] && t->score[e] > t->score[e - 1]) artifact_fail(r, "a row in it is not the best first");
        }
    }
    free(seen);
}

static void get_neighbours(struct artifact_reader *r, size_t items, struct neighbours *t)
{
    if ((t->start = get_lengths(r, items)) == NULL) return;
    t->items = items;
    t->n = t->start[items];
    t->item = get_room(r, t->n, sizeof *t->item);
    t->score = get_room(r, t->n, sizeof *t->score);
    if (r->fault != NULL) return;
    artifact_get_u32s(r, t->item, t->n);
    artifact_get_floats(r, t->score, t->n, 0, VALUE_MAX, too_large);
    if (r->fault == NULL) check_neighbours(r, t);
}

static void get_together(struct artifact_reader *r, size_t items, struct bought_together *t)
{
    t->baskets = artifact_get_le(r, 8);
    get_neighbours(r, items, &t->table);
    if (r->fault != NULL || t->table.start == NULL) return;
    if (!artifact_plausible(r, t->table.n + items, 4)) return;
    t->count = get_room(r, t->table.n, sizeof *t->count);
    t->alone = get_room(r, items, sizeof *t->alone);
    if (r->fault != NULL) return;
    artifact_get_u32s(r, t->count, t->table.n);
    artifact_get_u32s(r, t->alone, items);
    for (size_t i = 0; i < items && r->fault == NULL; i++) {
        if (t->alone[i] > t->baskets) artifact_fail(r, "a product in it is in more baskets than there are");
        for (size_t e = t->table.start[i]; e < t->table.start[i + 1]; e++) {
            if (t->count[e] == 0 || t->count[e] > t->alone[i] || t->count[e] > t->alone[t->table.item[e]])
                artifact_fail(r, "a pair in it is in more baskets than one of it");
        }
    }
}

static void get_blend(struct artifact_reader *r, struct recommender *m)
{
    if (artifact_get_below(r, 1, 256, "") != RECO_ALGORITHMS) artifact_fail(r, "its blend is of other algorithms");
    for (int c = 0; c < RECO_ALGORITHMS && r->fault == NULL; c++) {
        m->blend[c] = get_within(r, 0, 1000);
        m->blend_scale[c] = get_within(r, 0, (double)VALUE_MAX);
        if (m->blend[c] > 0 && !(m->blend_scale[c] >= 1e-9)) artifact_fail(r, "a component of its blend has no scale");
        if (m->blend[c] > 0 && (c == RECO_BLEND || !recommender_has(m, (enum reco_algorithm)c)))
            artifact_fail(r, "a component of its blend is not in it");
    }
}

static void get_content(struct artifact_reader *r, struct recommender *m)
{
    get_items(r, m);
    get_als(r, m->items, &m->als);
    get_ease(r, m->items, &m->ease);
    get_neighbours(r, m->items, &m->item_knn);
    get_neighbours(r, m->items, &m->content);
    get_together(r, m->items, &m->together);
    get_neighbours(r, m->items, &m->next);
    m->next_decay = get_within(r, 0, 1);
    if (r->fault == NULL && recommender_finish(m, NULL) != MEROS_OK) artifact_fail(r, "memory ran out");
    get_blend(r, m);
    if (r->fault == NULL && !recommender_has(m, m->algorithm)) artifact_fail(r, "the algorithm that it answers with is not in it");
}

static void get_head(struct artifact_reader *r, struct recommender *m)
{
    m->algorithm = (enum reco_algorithm)artifact_get_below(r, 1, RECO_ALGORITHMS, "its algorithm is not known");
    artifact_get_name(r, m->name, sizeof m->name);
    m->as_of = artifact_get_time(r);
    m->trained_at = artifact_get_time(r);
    m->data_from = artifact_get_time(r);
    m->data_to = artifact_get_time(r);
    m->rows = artifact_get_le(r, 8);
    m->customers = artifact_get_le(r, 8);
    const unsigned char *hash = artifact_take(r, SHA256_BYTES);
    if (hash != NULL) memcpy(m->row_hash, hash, SHA256_BYTES);
    artifact_get_build(r, m->build, sizeof m->build);
    get_weights(r, &m->weights);
}

struct recommender *artifact_get_reco(struct artifact_reader *r)
{
    struct recommender head = {0};
    get_head(r, &head);
    head.items = artifact_get_below(r, 4, RECO_NO_ITEM, "it has too many products");
    if (!artifact_plausible(r, head.items, sizeof(int64_t) + 3 * sizeof(float))) return NULL;
    struct recommender *m = recommender_new(head.items);
    if (m == NULL) {
        artifact_fail(r, "memory ran out");
        return NULL;
    }
    head.product_no = m->product_no;
    head.popular = m->popular;
    head.trending = m->trending;
    head.repeat_days = m->repeat_days;
    *m = head;
    get_content(r, m);
    if (r->fault == NULL) return m;
    recommender_free(m);
    return NULL;
}
