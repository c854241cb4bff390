/* What is in the artifact of a segmentation, between the frame and the checksum. */
#include <math.h>
#include <stdlib.h>

#include "artifact_priv.h"

void artifact_put_segments(struct buf *out, const struct segment_model *m)
{
    artifact_put_u8(out, m->method);
    artifact_put_str(out, m->name);
    artifact_put_le(out, m->seed, 8);
    artifact_put_le(out, (uint64_t)m->as_of, 8);
    artifact_put_le(out, (uint64_t)m->trained_at, 8);
    artifact_put_le(out, (uint64_t)m->data_from, 8);
    artifact_put_le(out, (uint64_t)m->data_to, 8);
    artifact_put_double(out, m->half_life_days);
    artifact_put_le(out, m->rows, 8);
    buf_append(out, m->row_hash, sizeof m->row_hash);
    artifact_put_str(out, m->build);
    artifact_put_le(out, (uint64_t)m->n_segments, 2);
    for (int s = 0; s < m->n_segments; s++) {
        artifact_put_str(out, m->segments[s].id);
        artifact_put_str(out, m->segments[s].label);
    }
    if (m->method == SEGMENT_KMEANS) {
        artifact_put_prep(out, &m->prep);
        for (size_t i = 0; i < (size_t)m->n_segments * m->prep.n_columns; i++) artifact_put_double(out, m->centres[i]);
    } else if (m->method == SEGMENT_VALUE) {
        artifact_put_doubles(out, m->tiers, (size_t)m->n_segments - 2);
    } else {
        for (int i = 0; i < RFM_LEVELS - 1; i++) artifact_put_double(out, m->cuts.recency[i]);
        for (int i = 0; i < RFM_LEVELS - 1; i++) artifact_put_double(out, m->cuts.frequency[i]);
        for (int i = 0; i < RFM_LEVELS - 1; i++) artifact_put_double(out, m->cuts.monetary[i]);
    }
}

static void get_kmeans(struct artifact_reader *r, struct segment_model *m)
{
    artifact_get_prep(r, &m->prep);
    const size_t n = (size_t)m->n_segments * m->prep.n_columns; /* at most 100 * 1024 */
    if (!artifact_plausible(r, n, 8)) return;
    m->centres = calloc(n + 1, sizeof *m->centres);
    if (m->centres == NULL) {
        artifact_fail(r, "memory ran out");
        return;
    }
    for (size_t i = 0; i < n; i++) m->centres[i] = artifact_get_double(r);
    for (size_t i = 0; i < n; i++)
        if (fabs(m->centres[i]) > 1e7) artifact_fail(r, "a centre in it lies where no customer can be");
}

static void get_cuts(struct artifact_reader *r, double *cuts)
{
    for (int i = 0; i < RFM_LEVELS - 1; i++) {
        cuts[i] = artifact_get_any_double(r); /* +inf: a score that nobody gets */
        if (isnan(cuts[i]) || cuts[i] == -INFINITY || (i > 0 && cuts[i] < cuts[i - 1]))
            artifact_fail(r, "its cut points do not ascend");
    }
}

static void get_tiers(struct artifact_reader *r, struct segment_model *m)
{
    const size_t n = (size_t)m->n_segments - 2;
    if (!artifact_plausible(r, n, 8)) return;
    m->tiers = calloc(n + 1, sizeof *m->tiers);
    if (m->tiers == NULL) {
        artifact_fail(r, "memory ran out");
        return;
    }
    for (size_t i = 0; i < n; i++) m->tiers[i] = artifact_get_double(r);
    for (size_t i = 0; i < n && r->fault == NULL; i++)
        if (!(m->tiers[i] >= 0) || (i > 0 && m->tiers[i] >= m->tiers[i - 1])) artifact_fail(r, "its tiers do not descend");
}

static void get_segments(struct artifact_reader *r, struct segment_model *m)
{
    for (int s = 0; s < m->n_segments && r->fault == NULL; s++) {
        struct str id = artifact_get_str(r, SEGMENT_ID_MAX);
        struct str label = artifact_get_str(r, SEGMENT_LABEL_MAX);
        if (r->fault != NULL) return;
        if (!id_valid(id) || label.n == 0) {
            artifact_fail(r, "a segment in it has no valid name");
            return;
        }
        for (int before = 0; before < s; before++)
            if (str_is(id, m->segments[before].id)) artifact_fail(r, "two segments in it have the same id");
        (void)str_copy(m->segments[s].id, sizeof m->segments[s].id, id);
        (void)str_copy(m->segments[s].label, sizeof m->segments[s].label, label);
    }
}

struct segment_model *artifact_get_segments(struct artifact_reader *r)
{
    struct segment_model head = {0};
    const unsigned method = artifact_get_below(r, 1, SEGMENT_METHOD_COUNT, "its method is not known");
    artifact_get_name(r, head.name, sizeof head.name);
    head.seed = artifact_get_le(r, 8);
    head.as_of = artifact_get_time(r);
    head.trained_at = artifact_get_time(r);
    head.data_from = artifact_get_time(r);
    head.data_to = artifact_get_time(r);
    head.half_life_days = artifact_get_double(r);
    if (r->fault == NULL && !(head.half_life_days > 0)) artifact_fail(r, "its half-life is not positive");
    head.rows = artifact_get_le(r, 8);
    const unsigned char *hash = artifact_take(r, SHA256_BYTES);
    artifact_get_build(r, head.build, sizeof head.build);
    const unsigned n = artifact_get_below(r, 2, SEGMENTS_MAX + 1, "it has too many segments");
    if (r->fault == NULL && (n == 0 || (method == SEGMENT_RFM && n != RFM_GROUP_COUNT) || (method == SEGMENT_VALUE && n < 2)))
        artifact_fail(r, "it has not the number of segments its method makes");
    if (r->fault != NULL) return NULL;

    struct segment_model *m = segment_model_new((enum segment_method)method, (int)n);
    if (m == NULL) {
        artifact_fail(r, "memory ran out");
        return NULL;
    }
    head.method = m->method;
    head.n_segments = m->n_segments;
    head.segments = m->segments;
    memcpy(head.row_hash, hash, SHA256_BYTES);
    *m = head;
    get_segments(r, m);
    if (m->method == SEGMENT_KMEANS) {
        get_kmeans(r, m);
    } else if (m->method == SEGMENT_VALUE) {
        get_tiers(r, m);
    } else {
        get_cuts(r, m->cuts.recency);
        get_cuts(r, m->cuts.frequency);
        get_cuts(r, m->cuts.monetary);
        for (int g = 0; g < RFM_GROUP_COUNT && r->fault == NULL; g++)
            if (strcmp(m->segments[g].id, rfm_group_slug((enum rfm_group)g)) != 0) artifact_fail(r, "its groups are not RFM's");
    }
    if (r->fault == NULL) return m;
    segment_model_free(m);
    return NULL;
}
