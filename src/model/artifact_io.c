#include "artifact_priv.h"

#include <math.h>
#include <stdlib.h>

/* --- writing */

void artifact_put_u8(struct buf *b, unsigned v)
{
    buf_char(b, (char)v);
}
void artifact_put_le(struct buf *b, uint64_t v, int bytes)
{
    for (int i = 0; i < bytes; i++) buf_char(b, (char)(unsigned char)(v >> (8 * i)));
}
void artifact_put_double(struct buf *b, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    artifact_put_le(b, bits, 8);
}
void artifact_put_doubles(struct buf *b, const double *v, size_t n)
{
    for (size_t i = 0; i < n; i++) artifact_put_double(b, v[i]);
}
/* Many at once: an artifact of recommendations has millions. */
void artifact_put_u32s(struct buf *b, const uint32_t *v, size_t n)
{
    unsigned char *to = (unsigned char *)buf_reserve(b, 4 * n);
    if (to == NULL) return;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < 4; k++) to[4 * i + k] = (unsigned char)(v[i] >> (8 * k));
    }
    b->len += 4 * n;
}
void artifact_put_floats(struct buf *b, const float *v, size_t n)
{
    enum { BLOCK = 1024 };
    uint32_t bits[BLOCK];
    for (size_t at = 0; at < n; at += BLOCK) {
        const size_t count = n - at < BLOCK ? n - at : BLOCK;
        memcpy(bits, v + at, count * sizeof *bits);
        artifact_put_u32s(b, bits, count);
    }
}
void artifact_put_str(struct buf *b, const char *s)
{
    const size_t n = strlen(s);
    artifact_put_le(b, n, 2);
    buf_append(b, s, n);
}

void artifact_put_prep(struct buf *b, const struct prep *p)
{
    artifact_put_u8(b, p->scaling);
    artifact_put_le(b, p->n_attributes, 2);
    for (size_t a = 0; a < p->n_attributes; a++) {
        artifact_put_str(b, p->attributes[a].name);
        artifact_put_u8(b, p->attributes[a].numeric);
        artifact_put_u8(b, (unsigned)p->attributes[a].n_levels);
        for (int l = 0; l < p->attributes[a].n_levels; l++) artifact_put_str(b, p->attributes[a].levels[l]);
    }
    artifact_put_le(b, p->n_columns, 2);
    for (size_t j = 0; j < p->n_columns; j++) {
        const struct prep_column *c = &p->columns[j];
        artifact_put_u8(b, c->kind);
        if (c->kind == PREP_STAT) artifact_put_str(b, feature_get((enum feature_id)c->source)->name);
        else artifact_put_le(b, (uint64_t)c->source, 2);
        artifact_put_u8(b, (unsigned)c->level);
        artifact_put_u8(b, c->transform);
        artifact_put_u8(b, c->missing);
        artifact_put_double(b, c->fill);
        artifact_put_double(b, c->center);
        artifact_put_double(b, c->scale);
        artifact_put_double(b, c->weight);
    }
}

/* --- reading: after the first fault every read gives zeros, and `fault` says what was wrong first */

void artifact_fail(struct artifact_reader *r, const char *what)
{
    if (r->fault == NULL) r->fault = what;
}

const unsigned char *artifact_take(struct artifact_reader *r, size_t n)
{
    if (r->fault == NULL && n > r->n - r->at) artifact_fail(r, "it is cut short");
    if (r->fault != NULL) return NULL;
    const unsigned char *p = r->p + r->at;
    r->at += n;
    return p;
}

uint64_t artifact_get_le(struct artifact_reader *r, int bytes)
{
    const unsigned char *p = artifact_take(r, (size_t)bytes);
    uint64_t v = 0;
    for (int i = 0; p != NULL && i < bytes; i++) v |= (uint64_t)p[i] << (8 * i);
    return v;
}

unsigned artifact_get_below(struct artifact_reader *r, int bytes, uint64_t limit, const char *what)
{
    uint64_t v = artifact_get_le(r, bytes);
    if (v >= limit) {
        artifact_fail(r, what);
        return 0;
    }
    return (unsigned)v;
}

double artifact_get_any_double(struct artifact_reader *r)
{
    uint64_t bits = artifact_get_le(r, 8);
    double v;
    memcpy(&v, &bits, sizeof v);
    return v;
}

double artifact_get_double(struct artifact_reader *r)
{
    double v = artifact_get_any_double(r);
    if (!isfinite(v)) {
        artifact_fail(r, "a number in it is not finite");
        return 0;
    }
    return v;
}

void artifact_get_u32s(struct artifact_reader *r, uint32_t *out, size_t n)
{
    const unsigned char *p = artifact_take(r, 4 * n);
    for (size_t i = 0; p != NULL && i < n; i++, p += 4) {
        out[i] = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
    }
}

void artifact_get_floats(struct artifact_reader *r, float *out, size_t n, float least, float most, const char *what)
{
    const unsigned char *p = artifact_take(r, 4 * n);
    bool good = true;
    for (size_t i = 0; p != NULL && i < n; i++, p += 4) {
        const uint32_t bits = (uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
        memcpy(&out[i], &bits, sizeof bits);
        good &= out[i] >= least && out[i] <= most;
    }
    if (!good) artifact_fail(r, what);
}

struct str artifact_get_str(struct artifact_reader *r, size_t max)
{
    size_t n = artifact_get_le(r, 2);
    const unsigned char *p = artifact_take(r, n);
    if (p == NULL) return STR_NONE;
    if (n > max || !utf8_valid((const char *)p, n) || memchr(p, 0, n) != NULL) {
        artifact_fail(r, "a text in it is not valid");
        return STR_NONE;
    }
    return (struct str){(const char *)p, n};
}

char *artifact_get_text(struct artifact_reader *r, size_t max)
{
    struct str s = artifact_get_str(r, max);
    if (r->fault != NULL) return NULL;
    char *copy = strndup(s.p, s.n);
    if (copy == NULL) artifact_fail(r, "memory ran out");
    return copy;
}

/* At least `least` bytes must follow for each of `count` things: no allocation is larger than the input justifies. */
bool artifact_plausible(struct artifact_reader *r, size_t count, size_t least)
{
    if (r->fault == NULL && count > (r->n - r->at) / least) artifact_fail(r, "it is cut short");
    return r->fault == NULL;
}

static void get_attributes(struct artifact_reader *r, struct prep *p)
{
    size_t n = artifact_get_below(r, 2, ATTRIBUTES_MAX + 1, "it has too many attributes");
    if (!artifact_plausible(r, n, 4) || n == 0) return;
    p->attributes = calloc(n, sizeof *p->attributes);
    if (p->attributes == NULL) {
        artifact_fail(r, "memory ran out");
        return;
    }
    for (size_t a = 0; a < n && r->fault == NULL; a++) {
        struct prep_attribute *out = &p->attributes[a];
        p->n_attributes = a + 1;
        out->name = artifact_get_text(r, UINT16_MAX);
        out->numeric = artifact_get_below(r, 1, 2, "a flag in it is neither 0 nor 1");
        int levels = (int)artifact_get_below(r, 1, PREP_LEVELS_MAX + 1, "an attribute in it has too many levels");
        if (r->fault != NULL) return;
        out->levels = calloc(PREP_LEVELS_MAX, sizeof *out->levels);
        if (out->levels == NULL) {
            artifact_fail(r, "memory ran out");
            return;
        }
        for (int l = 0; l < levels && r->fault == NULL; l++) {
            out->levels[l] = artifact_get_text(r, ATTRIBUTE_TEXT_MAX);
            if (out->levels[l] != NULL) out->n_levels = l + 1;
        }
        if (out->numeric && levels > 0) artifact_fail(r, "a numeric attribute in it has levels");
    }
}

static void get_column(struct artifact_reader *r, const struct prep *p, struct prep_column *c)
{
    c->kind = (enum prep_kind)artifact_get_below(r, 1, PREP_OTHER + 1, "a column in it is of no known kind");
    if (r->fault != NULL) return;
    if (c->kind == PREP_STAT) {
        enum feature_id id = 0;
        struct str name = artifact_get_str(r, 100);
        if (r->fault == NULL && !feature_find(name, &id)) artifact_fail(r, "it uses a feature that this version does not know");
        c->source = (int)id;
    } else {
        c->source = (int)artifact_get_below(r, 2, p->n_attributes, "a column in it belongs to no attribute");
    }
    c->level = (int)artifact_get_le(r, 1);
    c->transform = (enum feature_transform)artifact_get_below(r, 1, TRANSFORM_LOG1P + 1, "a column in it has no known transform");
    c->missing = (enum feature_missing)artifact_get_below(r, 1, MISSING_MEDIAN + 1, "a column in it has no known rule for missing values");
    c->fill = artifact_get_double(r);
    c->center = artifact_get_double(r);
    c->scale = artifact_get_double(r);
    c->weight = artifact_get_double(r);
    if (r->fault != NULL) return;
    if (!(c->scale > 0) || !(c->weight > 0)) artifact_fail(r, "a column in it has no positive scale and weight");
    if (c->kind == PREP_STAT) return;
    const struct prep_attribute *a = &p->attributes[c->source];
    if (a->numeric != (c->kind == PREP_NUMBER)) artifact_fail(r, "a column in it does not fit its attribute");
    if (c->kind == PREP_LEVEL && c->level >= a->n_levels) artifact_fail(r, "a column in it has no such level");
}

void artifact_get_prep(struct artifact_reader *r, struct prep *p)
{
    p->scaling = (enum prep_scaling)artifact_get_below(r, 1, SCALING_NONE + 1, "its scaling is not known");
    get_attributes(r, p);
    size_t n = artifact_get_below(r, 2, PREP_COLUMNS_MAX + 1, "it has too many columns");
    if (!artifact_plausible(r, n, 38) || n == 0) return;
    p->columns = calloc(n, sizeof *p->columns);
    if (p->columns == NULL) {
        artifact_fail(r, "memory ran out");
        return;
    }
    p->n_columns = n;
    for (size_t j = 0; j < n && r->fault == NULL; j++) get_column(r, p, &p->columns[j]);
}

int64_t artifact_get_time(struct artifact_reader *r)
{
    /* What an RFC 3339 text can say, or none. */
    int64_t t = (int64_t)artifact_get_le(r, 8);
    if (t != TIME_NONE && (t < INT64_C(-62135596800) * TIME_SECOND || t > INT64_C(253402300800) * TIME_SECOND))
        artifact_fail(r, "a time in it is out of range");
    return t;
}

void artifact_get_name(struct artifact_reader *r, char *out, size_t cap)
{
    const struct str name = artifact_get_str(r, SEGMENTATION_NAME_MAX);
    if (r->fault == NULL && (!segmentation_name_valid(name) || !str_copy(out, cap, name))) artifact_fail(r, "its name is not valid");
}

void artifact_get_build(struct artifact_reader *r, char *out, size_t cap)
{
    const struct str build = artifact_get_str(r, cap - 1);
    if (r->fault == NULL) (void)str_copy(out, cap, build);
}
