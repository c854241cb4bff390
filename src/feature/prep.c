#include "meros/feature/prep.h"

#include <math.h>
#include <stdlib.h>

const char *const prep_scaling_words[] = {"standard", "robust", "none", NULL};

void prep_done(struct prep *p)
{
    for (size_t a = 0; a < p->n_attributes; a++) {
        for (int l = 0; l < p->attributes[a].n_levels; l++) free(p->attributes[a].levels[l]);
        free(p->attributes[a].levels);
        free(p->attributes[a].name);
    }
    free(p->attributes);
    free(p->columns);
    *p = (struct prep){0};
}

bool prep_feature_known(struct str name)
{
    enum feature_id id;
    const size_t n = sizeof "attributes." - 1;
    return feature_find(name, &id) || str_is(name, "attributes") ||
           (name.n > n && memcmp(name.p, "attributes.", n) == 0);
}

static int find_level(const struct prep_attribute *a, struct str text)
{
    for (int l = 0; l < a->n_levels; l++)
        if (str_is(text, a->levels[l])) return l;
    return a->n_levels;
}

void prep_read_json(const struct prep *p, const struct json *attributes, struct prep_values *out)
{
    for (size_t a = 0; a < p->n_attributes; a++) {
        const struct json *v = attributes == NULL ? NULL : json_get(attributes, p->attributes[a].name);
        struct attribute_value value;
        attribute_value_read(v, &value);
        out->number[a] = isnan(value.number) ? NAN : (float)fmax(-1e30, fmin(1e30, value.number));
        out->level[a] = value.missing ? -1 : find_level(&p->attributes[a], value.text);
    }
}

enum meros_code prep_plan_init(const struct prep *p, const struct dataset *d, struct prep_plan *out,
                               struct meros_err *err)
{
    memset(out, 0, sizeof *out);
    for (size_t a = 0; a < p->n_attributes; a++) {
        const struct attribute *s = dataset_attribute(d, str_of(p->attributes[a].name));
        out->source[a] = s;
        if (s == NULL || p->attributes[a].numeric) continue;
        int *map = malloc((s->n_levels + 1) * sizeof *map);
        if (map == NULL) {
            prep_plan_done(out);
            return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while preparing attributes.");
        }
        for (size_t l = 0; l < s->n_levels; l++) map[l] = find_level(&p->attributes[a], s->levels[l].text);
        out->level_map[a] = map;
    }
    return MEROS_OK;
}

void prep_plan_done(struct prep_plan *plan)
{
    for (size_t a = 0; a < ATTRIBUTES_MAX; a++) free(plan->level_map[a]);
    memset(plan, 0, sizeof *plan);
}

void prep_read_dataset(const struct prep *p, const struct prep_plan *plan, size_t row, struct prep_values *out)
{
    for (size_t a = 0; a < p->n_attributes; a++) {
        const struct attribute *s = plan->source[a];
        out->number[a] = s == NULL ? NAN : s->number[row];
        out->level[a] = -1;
        if (s == NULL || plan->level_map[a] == NULL) continue;
        if (s->level[row] >= 0) out->level[a] = plan->level_map[a][s->level[row]];
    }
}

double prep_column_raw(const struct prep *p, size_t column, const float raw[FEATURE_COUNT], const struct prep_values *values)
{
    const struct prep_column *c = &p->columns[column];
    switch (c->kind) {
    case PREP_STAT: return raw[c->source];
    case PREP_NUMBER: return values->number[c->source];
    case PREP_LEVEL: return values->level[c->source] == c->level;
    case PREP_OTHER: return values->level[c->source] == p->attributes[c->source].n_levels;
    }
    return NAN;
}

/* The value after filling and transforming, before scaling: what prep_fit takes its statistics of. */
static double transformed(const struct prep_column *c, double value, const float raw[FEATURE_COUNT])
{
    if (isnan(value)) {
        value = c->missing == MISSING_TENURE ? raw[FEATURE_TENURE] : c->fill;
        if (isnan(value)) value = 0; /* not even known since when */
    }
    return feature_transform(c->transform, value);
}

void prep_row(const struct prep *p, const float raw[FEATURE_COUNT], const struct prep_values *values, float *out)
{
    for (size_t j = 0; j < p->n_columns; j++) {
        const struct prep_column *c = &p->columns[j];
        double t = transformed(c, prep_column_raw(p, j, raw, values), raw);
        double z = (t - c->center) / c->scale * c->weight;
        /* A live value may lie anywhere; distances of finite numbers stay finite. */
        out[j] = (float)fmax(-1e6, fmin(1e6, z));
    }
}

enum meros_code prep_matrix(const struct prep *p, const struct dataset *d, float *x, struct meros_err *err)
{
    struct prep_plan plan;
    enum meros_code rc = prep_plan_init(p, d, &plan, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < d->n; i++) {
        struct prep_values values;
        prep_read_dataset(p, &plan, i, &values);
        prep_row(p, d->raw + i * FEATURE_COUNT, &values, x + i * p->n_columns);
    }
    prep_plan_done(&plan);
    return MEROS_OK;
}

void prep_column_name(const struct prep *p, size_t column, struct buf *out)
{
    const struct prep_column *c = &p->columns[column];
    if (c->kind == PREP_STAT) {
        buf_str(out, feature_get((enum feature_id)c->source)->name);
        return;
    }
    const struct prep_attribute *a = &p->attributes[c->source];
    buf_printf(out, "attributes.%s", a->name);
    if (c->kind == PREP_LEVEL) buf_printf(out, "=%s", a->levels[c->level]);
    if (c->kind == PREP_OTHER) buf_str(out, " (other)");
}
