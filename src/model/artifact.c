#include "meros/model/artifact.h"

#include <math.h>
#include <stdlib.h>

static const char magic[8] = {'M', 'E', 'R', 'O', 'S', 'S', 'E', 'G'};
enum { LENGTH_AT = 12 };

/* --- writing */

static void put_u8(struct buf *b, unsigned v)
{
    buf_char(b, (char)v);
}
static void put_le(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) buf_char(b, (char)(unsigned char)(v >> (8 * i)));
}
static void put_double(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    put_le(b, bits, 8);
}
static void put_str(struct buf *b, const char *s)
{
    const size_t n = strlen(s);
    put_le(b, n, 2);
    buf_append(b, s, n);
}

static void put_prep(struct buf *b, const struct prep *p)
{
    put_u8(b, p->scaling);
    put_le(b, p->n_attributes, 2);
    for (size_t a = 0; a < p->n_attributes; a++) {
        put_str(b, p->attributes[a].name);
        put_u8(b, p->attributes[a].numeric);
        put_u8(b, (unsigned)p->attributes[a].n_levels);
        for (int l = 0; l < p->attributes[a].n_levels; l++) put_str(b, p->attributes[a].levels[l]);
    }
    put_le(b, p->n_columns, 2);
    for (size_t j = 0; j < p->n_columns; j++) {
        const struct prep_column *c = &p->columns[j];
        put_u8(b, c->kind);
        if (c->kind == PREP_STAT) put_str(b, feature_get((enum feature_id)c->source)->name);
        else put_le(b, (uint64_t)c->source, 2);
        put_u8(b, (unsigned)c->level);
        put_u8(b, c->transform);
        put_u8(b, c->missing);
        put_double(b, c->fill);
        put_double(b, c->center);
        put_double(b, c->scale);
        put_double(b, c->weight);
    }
}

enum meros_code artifact_encode(const struct segment_model *m, struct buf *out, struct meros_err *err)
{
    const size_t start = out->len;
    buf_append(out, magic, sizeof magic);
    put_le(out, ARTIFACT_VERSION, 4);
    put_le(out, 0, 8); /* the length, known at the end */
    put_u8(out, m->method);
    put_str(out, m->name);
    put_le(out, m->seed, 8);
    put_le(out, (uint64_t)m->as_of, 8);
    put_le(out, (uint64_t)m->trained_at, 8);
    put_le(out, (uint64_t)m->data_from, 8);
    put_le(out, (uint64_t)m->data_to, 8);
    put_double(out, m->half_life_days);
    put_le(out, m->rows, 8);
    buf_append(out, m->row_hash, sizeof m->row_hash);
    put_str(out, m->build);
    put_le(out, (uint64_t)m->n_segments, 2);
    for (int s = 0; s < m->n_segments; s++) {
        put_str(out, m->segments[s].id);
        put_str(out, m->segments[s].label);
    }
    if (m->method == SEGMENT_KMEANS) {
        put_prep(out, &m->prep);
        for (size_t i = 0; i < (size_t)m->n_segments * m->prep.n_columns; i++) put_double(out, m->centres[i]);
    } else {
        for (int i = 0; i < RFM_LEVELS - 1; i++) put_double(out, m->cuts.recency[i]);
        for (int i = 0; i < RFM_LEVELS - 1; i++) put_double(out, m->cuts.frequency[i]);
        for (int i = 0; i < RFM_LEVELS - 1; i++) put_double(out, m->cuts.monetary[i]);
    }
    if (out->failed || out->len - start + SHA256_BYTES > ARTIFACT_MAX)
        return err_set(err, MEROS_OUT_OF_MEMORY, "The model's artifact is larger than %d MB.", ARTIFACT_MAX >> 20);
    const uint64_t length = out->len - start + SHA256_BYTES;
    for (int i = 0; i < 8; i++) out->data[start + LENGTH_AT + (size_t)i] = (char)(unsigned char)(length >> (8 * i));
    unsigned char sum[SHA256_BYTES];
    crypto_sha256(out->data + start, out->len - start, sum);
    buf_append(out, sum, sizeof sum);
    return out->failed ? err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while writing the model's artifact.") : MEROS_OK;
}

/* --- reading: after the first fault every read gives zeros, and `fault` says what was wrong first */

struct reader {
    const unsigned char *p;
    size_t n, at;
    const char *fault;
};

static void fail(struct reader *r, const char *what)
{
    if (r->fault == NULL) r->fault = what;
}

static const unsigned char *take(struct reader *r, size_t n)
{
    if (r->fault == NULL && n > r->n - r->at) fail(r, "it is cut short");
    if (r->fault != NULL) return NULL;
    const unsigned char *p = r->p + r->at;
    r->at += n;
    return p;
}

static uint64_t get_le(struct reader *r, int bytes)
{
    const unsigned char *p = take(r, (size_t)bytes);
    uint64_t v = 0;
    for (int i = 0; p != NULL && i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

static unsigned get_below(struct reader *r, int bytes, uint64_t limit, const char *what)
{
    uint64_t v = get_le(r, bytes);
    if (v >= limit) {
        fail(r, what);
        return 0;
    }
    return (unsigned)v;
}

static double get_any_double(struct reader *r)
{
    uint64_t bits = get_le(r, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

static double get_double(struct reader *r)
{
    double v = get_any_double(r);
    if (!isfinite(v)) {
        fail(r, "a number in it is not finite");
        return 0;
    }
    return v;
}

static struct str get_str(struct reader *r, size_t max)
{
    size_t n = get_le(r, 2);
    const unsigned char *p = take(r, n);
    if (p == NULL) return STR_NONE;
    if (n > max || !utf8_valid((const char *)p, n) || memchr(p, 0, n) != NULL) {
        fail(r, "a text in it is not valid");
        return STR_NONE;
    }
    return (struct str){(const char *)p, n};
}

static char *get_text(struct reader *r, size_t max)
{
    struct str s = get_str(r, max);
    if (r->fault != NULL) return NULL;
    char *copy = strndup(s.p, s.n);
    if (copy == NULL) fail(r, "memory ran out");
    return copy;
}

/* At least `least` bytes must follow for each of `count` things: no allocation is larger than the input justifies. */
static bool plausible(struct reader *r, size_t count, size_t least)
{
    if (r->fault == NULL && count > (r->n - r->at) / least) fail(r, "it is cut short");
    return r->fault == NULL;
}

static void get_attributes(struct reader *r, struct prep *p)
{
    size_t n = get_below(r, 2, ATTRIBUTES_MAX + 1, "it has too many attributes");
    if (!plausible(r, n, 4) || n == 0) return;
    p->attributes = calloc(n, sizeof *p->attributes);
    if (p->attributes == NULL) {
        fail(r, "memory ran out");
        return;
    }
    for (size_t a = 0; a < n && r->fault == NULL; a++) {
        struct prep_attribute *out = &p->attributes[a];
        p->n_attributes = a + 1;
        out->name = get_text(r, UINT16_MAX);
        out->numeric = get_below(r, 1, 2, "a flag in it is neither 0 nor 1");
        int levels = (int)get_below(r, 1, PREP_LEVELS_MAX + 1, "an attribute in it has too many levels");
        if (r->fault != NULL) return;
        out->levels = calloc(PREP_LEVELS_MAX, sizeof *out->levels);
        if (out->levels == NULL) {
            fail(r, "memory ran out");
            return;
        }
        for (int l = 0; l < levels && r->fault == NULL; l++) {
            out->levels[l] = get_text(r, ATTRIBUTE_TEXT_MAX);
            if (out->levels[l] != NULL) out->n_levels = l + 1;
        }
        if (out->numeric && levels > 0) fail(r, "a numeric attribute in it has levels");
    }
}

static void get_column(struct reader *r, const struct prep *p, struct prep_column *c)
{
    c->kind = (enum prep_kind)get_below(r, 1, PREP_OTHER + 1, "a column in it is of no known kind");
    if (r->fault != NULL) return;
    if (c->kind == PREP_STAT) {
        enum feature_id id = 0;
        struct str name = get_str(r, 100);
        if (r->fault == NULL && !feature_find(name, &id)) fail(r, "it uses a feature that this version does not know");
        c->source = (int)id;
    } else {
        c->source = (int)get_below(r, 2, p->n_attributes, "a column in it belongs to no attribute");
    }
    c->level = (int)get_le(r, 1);
    c->transform = (enum feature_transform)get_below(r, 1, TRANSFORM_LOG1P + 1, "a column in it has no known transform");
    c->missing = (enum feature_missing)get_below(r, 1, MISSING_MEDIAN + 1, "a column in it has no known rule for missing values");
    c->fill = get_double(r);
    c->center = get_double(r);
    c->scale = get_double(r);
    c->weight = get_double(r);
    if (r->fault != NULL) return;
    if (!(c->scale > 0) || !(c->weight > 0)) fail(r, "a column in it has no positive scale and weight");
    if (c->kind == PREP_STAT) return;
    const struct prep_attribute *a = &p->attributes[c->source];
    if (a->numeric != (c->kind == PREP_NUMBER)) fail(r, "a column in it does not fit its attribute");
    if (c->kind == PREP_LEVEL && c->level >= a->n_levels) fail(r, "a column in it has no such level");
}

static void get_prep(struct reader *r, struct prep *p)
{
    p->scaling = (enum prep_scaling)get_below(r, 1, SCALING_NONE + 1, "its scaling is not known");
    get_attributes(r, p);
    size_t n = get_below(r, 2, PREP_COLUMNS_MAX + 1, "it has too many columns");
    if (!plausible(r, n, 38) || n == 0) return;
    p->columns = calloc(n, sizeof *p->columns);
    if (p->columns == NULL) {
        fail(r, "memory ran out");
        return;
    }
    p->n_columns = n;
    for (size_t j = 0; j < n && r->fault == NULL; j++) get_column(r, p, &p->columns[j]);
}

static void get_kmeans(struct reader *r, struct segment_model *m)
{
    get_prep(r, &m->prep);
    const size_t n = (size_t)m->n_segments * m->prep.n_columns; /* at most 100 * 1024 */
    if (!plausible(r, n, 8)) return;
    m->centres = calloc(n + 1, sizeof *m->centres);
    if (m->centres == NULL) {
        fail(r, "memory ran out");
        return;
    }
    for (size_t i = 0; i < n; i++) m->centres[i] = get_double(r);
    for (size_t i = 0; i < n; i++)
        if (fabs(m->centres[i]) > 1e7) fail(r, "a centre in it lies where no customer can be");
}

static void get_cuts(struct reader *r, double *cuts)
{
    for (int i = 0; i < RFM_LEVELS - 1; i++) {
        cuts[i] = get_any_double(r); /* +inf: a score that nobody gets */
        if (isnan(cuts[i]) || cuts[i] == -INFINITY || (i > 0 && cuts[i] < cuts[i - 1]))
            fail(r, "its cut points do not ascend");
    }
}

static void get_segments(struct reader *r, struct segment_model *m)
{
    for (int s = 0; s < m->n_segments && r->fault == NULL; s++) {
        struct str id = get_str(r, SEGMENT_ID_MAX);
        struct str label = get_str(r, SEGMENT_LABEL_MAX);
        if (r->fault != NULL) return;
        if (!id_valid(id) || label.n == 0) {
            fail(r, "a segment in it has no valid name");
            return;
        }
        for (int before = 0; before < s; before++)
            if (str_is(id, m->segments[before].id)) fail(r, "two segments in it have the same id");
        (void)str_copy(m->segments[s].id, sizeof m->segments[s].id, id);
        (void)str_copy(m->segments[s].label, sizeof m->segments[s].label, label);
    }
}

static int64_t get_time(struct reader *r)
{
    /* What an RFC 3339 text can say, or none. */
    int64_t t = (int64_t)get_le(r, 8);
    if (t != TIME_NONE && (t < INT64_C(-62135596800) * TIME_SECOND || t > INT64_C(253402300800) * TIME_SECOND))
        fail(r, "a time in it is out of range");
    return t;
}

static struct segment_model *get_model(struct reader *r)
{
    unsigned method = get_below(r, 1, SEGMENT_METHOD_COUNT, "its method is not known");
    struct str name = get_str(r, SEGMENTATION_NAME_MAX);
    if (r->fault == NULL && !segmentation_name_valid(name)) fail(r, "its name is not valid");
    uint64_t seed = get_le(r, 8);
    int64_t times[4];
    for (int i = 0; i < 4; i++) times[i] = get_time(r);
    double half_life = get_double(r);
    if (r->fault == NULL && !(half_life > 0)) fail(r, "its half-life is not positive");
    uint64_t rows = get_le(r, 8);
    const unsigned char *hash = take(r, SHA256_BYTES);
    struct str build = get_str(r, sizeof((struct segment_model *)0)->build - 1);
    unsigned n = get_below(r, 2, SEGMENTS_MAX + 1, "it has too many segments");
    if (r->fault == NULL && (n == 0 || (method == SEGMENT_RFM && n != RFM_GROUP_COUNT)))
        fail(r, "it has not the number of segments its method makes");
    if (r->fault != NULL) return NULL;

    struct segment_model *m = segment_model_new((enum segment_method)method, (int)n);
    if (m == NULL) {
        fail(r, "memory ran out");
        return NULL;
    }
    (void)str_copy(m->name, sizeof m->name, name);
    (void)str_copy(m->build, sizeof m->build, build);
    m->seed = seed;
    m->as_of = times[0];
    m->trained_at = times[1];
    m->data_from = times[2];
    m->data_to = times[3];
    m->half_life_days = half_life;
    m->rows = rows;
    memcpy(m->row_hash, hash, SHA256_BYTES);
    get_segments(r, m);
    if (m->method == SEGMENT_KMEANS) {
        get_kmeans(r, m);
    } else {
        get_cuts(r, m->cuts.recency);
        get_cuts(r, m->cuts.frequency);
        get_cuts(r, m->cuts.monetary);
        for (int g = 0; g < RFM_GROUP_COUNT && r->fault == NULL; g++)
            if (strcmp(m->segments[g].id, rfm_group_slug((enum rfm_group)g)) != 0) fail(r, "its groups are not RFM's");
    }
    if (r->fault == NULL && r->at != r->n) fail(r, "it has bytes too many");
    if (r->fault != NULL) {
        segment_model_free(m);
        return NULL;
    }
    return m;
}

static const char *check_frame(const unsigned char *p, size_t n)
{
    if (n < LENGTH_AT + 8 + SHA256_BYTES || n > ARTIFACT_MAX) return "its length is impossible";
    if (memcmp(p, magic, sizeof magic) != 0) return "it does not begin as one";
    struct reader r = {.p = p, .n = n, .at = sizeof magic};
    if (get_le(&r, 4) != ARTIFACT_VERSION) return "it is of another version of the format";
    if (get_le(&r, 8) != n) return "it is cut short or has bytes too many";
    unsigned char sum[SHA256_BYTES];
    crypto_sha256(p, n - SHA256_BYTES, sum);
    return crypto_equal(sum, p + n - SHA256_BYTES, SHA256_BYTES) ? NULL : "its checksum does not match";
}

enum meros_code artifact_decode(const void *p, size_t n, struct segment_model **out, struct meros_err *err)
{
    struct reader r = {.p = p, .n = n < SHA256_BYTES ? n : n - SHA256_BYTES, .at = LENGTH_AT + 8};
    r.fault = check_frame(p, n);
    struct segment_model *m = r.fault == NULL ? get_model(&r) : NULL;
    if (m == NULL) return err_set(err, MEROS_UNPROCESSABLE, "The model's artifact cannot be used: %s.", r.fault);
    *out = m;
    return MEROS_OK;
}
