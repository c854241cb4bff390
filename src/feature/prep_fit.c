/* Choosing the columns of a model and taking their statistics. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "meros/feature/prep.h"
#include "meros/ml/quantile.h"

struct fit {
    const struct dataset *d;
    const struct prep_params *params;
    struct prep *p;
    double *scratch; /* (n) values of the column being looked at */
    struct meros_err *err;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while preparing features.");
}

/* --- what was asked for */

static bool asked_all(const struct fit *f)
{
    return f->params->n_features == 0;
}

static bool asked(const struct fit *f, struct str name)
{
    for (size_t i = 0; i < f->params->n_features; i++)
        if (str_eq(f->params->features[i], name)) return true;
    return false;
}

static bool attribute_named(const struct fit *f, struct str name)
{
    for (size_t i = 0; i < f->params->n_features; i++) {
        struct str s = f->params->features[i];
        if (s.n == name.n + 11 && memcmp(s.p, "attributes.", 11) == 0 && memcmp(s.p + 11, name.p, name.n) == 0) return true;
    }
    return false;
}

static enum meros_code check_named(const struct fit *f)
{
    for (size_t i = 0; i < f->params->n_features; i++) {
        struct str s = f->params->features[i];
        if (s.n <= 11 || memcmp(s.p, "attributes.", 11) != 0) continue;
        struct str name = {s.p + 11, s.n - 11};
        const struct attribute *a = dataset_attribute(f->d, name);
        if (a == NULL)
            return err_set(f->err, MEROS_UNPROCESSABLE,
                           "No customer has the attribute \"%.*s\" that is to be learnt from.", (int)name.n, name.p);
        if (!attribute_numeric(a) && a->overflow)
            return err_set(f->err, MEROS_UNPROCESSABLE,
                           "The attribute \"%.*s\" has more than %d different values; it is no category to divide "
                           "customers by.",
                           (int)name.n, name.p, ATTRIBUTE_LEVELS_MAX);
    }
    return MEROS_OK;
}

/* --- columns */

/* Fills scratch with the transformed values of a column and sets its statistics; false if it is constant. */
static bool measure(const struct fit *f, struct prep_column *c, const struct prep_plan *plan)
{
    const struct dataset *d = f->d;
    struct moments m = {0};
    struct prep column = *f->p; /* to read raw values through the one function that does */
    column.columns = c;
    column.n_columns = 1;
    size_t present = 0;
    for (size_t i = 0; i < d->n; i++) {
        struct prep_values values;
        if (c->kind != PREP_STAT) prep_read_dataset(f->p, plan, i, &values);
        double v = prep_column_raw(&column, 0, d->raw + i * FEATURE_COUNT, &values);
        if (!isnan(v)) f->scratch[present++] = v;
    }
    if (present == 0) return false;
    if (c->missing == MISSING_MEDIAN && present < d->n) {
        values_sort(f->scratch, present);
        c->fill = median_sorted(f->scratch, present);
    }
    if (c->kind == PREP_NUMBER) {
        struct moments raw = {0};
        for (size_t i = 0; i < present; i++) moments_add(&raw, f->scratch[i]);
        /* A numeric attribute says nothing about its shape; a long right tail of amounts is drawn in as those of the
         * catalogue are. */
        if (raw.min >= 0 && moments_skewness(&raw) > 2) c->transform = TRANSFORM_LOG1P;
    }
    for (size_t i = 0; i < d->n; i++) {
        struct prep_values values;
        const float *raw = d->raw + i * FEATURE_COUNT;
        if (c->kind != PREP_STAT) prep_read_dataset(f->p, plan, i, &values);
        double v = prep_column_raw(&column, 0, raw, &values);
        if (isnan(v)) {
            v = c->missing == MISSING_TENURE ? raw[FEATURE_TENURE] : c->fill;
            if (isnan(v)) v = 0;
        }
        f->scratch[i] = feature_transform(c->transform, v);
        moments_add(&m, f->scratch[i]);
    }
    double sd = moments_sd(&m);
    if (!(sd > 1e-9 * (1 + fabs(m.mean)))) return false;
    c->center = m.mean;
    c->scale = sd;
    if (f->params->scaling == SCALING_NONE) {
        c->center = 0;
        c->scale = 1;
    } else if (f->params->scaling == SCALING_ROBUST) {
        values_sort(f->scratch, d->n);
        double iqr = iqr_sorted(f->scratch, d->n);
        c->center = median_sorted(f->scratch, d->n);
        if (iqr > 1e-9 * (1 + fabs(c->center))) c->scale = iqr / 1.349;
    }
    return true;
}

static enum meros_code push(struct fit *f, const struct prep_column *c, const struct prep_plan *plan, bool *out_kept)
{
    struct prep *p = f->p;
    struct prep_column column = *c;
    column.weight = 1;
    *out_kept = false;
    if (p->n_columns == PREP_COLUMNS_MAX || !measure(f, &column, plan)) return MEROS_OK;
    struct prep_column *grown = realloc(p->columns, (p->n_columns + 1) * sizeof *grown);
    if (grown == NULL) return no_memory(f->err);
    p->columns = grown;
    p->columns[p->n_columns++] = column;
    *out_kept = true;
    return MEROS_OK;
}

/* Columns from `first` on say one thing together and share one feature's weight. */
static void share_weight(struct prep *p, size_t first)
{
    const size_t n = p->n_columns - first;
    for (size_t j = first; j < p->n_columns; j++) p->columns[j].weight = 1 / sqrt((double)n);
}

static enum meros_code add_behaviour(struct fit *f)
{
    enum meros_code rc;
    bool kept;
    size_t first_kind = 0;
    for (int id = 0; id < FEATURE_COUNT; id++) {
        if (id == FEATURE_ENGAGEMENT_FIRST) first_kind = f->p->n_columns;
        const struct feature *e = feature_get((enum feature_id)id);
        if (!asked_all(f) && !asked(f, str_of(e->name))) continue;
        struct prep_column c = {.kind = PREP_STAT, .source = id, .transform = e->transform, .missing = e->missing};
        if ((rc = push(f, &c, NULL, &kept)) != MEROS_OK) return rc;
    }
    if (f->p->n_columns > first_kind) share_weight(f->p, first_kind);
    return MEROS_OK;
}

static int by_count(const void *a, const void *b)
{
    const struct attribute_level *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    size_t n = x->text.n < y->text.n ? x->text.n : y->text.n;
    int c = memcmp(x->text.p, y->text.p, n);
    return c != 0 ? c : (x->text.n > y->text.n) - (x->text.n < y->text.n);
}

/* The frequent levels of a categorical attribute, most frequent first. *out_share: of the values they cover. */
static enum meros_code choose_levels(struct fit *f, const struct attribute *a, struct prep_attribute *out, double *out_share)
{
    struct attribute_level *sorted = malloc((a->n_levels + 1) * sizeof *sorted);
    out->levels = calloc(PREP_LEVELS_MAX, sizeof *out->levels);
    if (sorted == NULL || out->levels == NULL) {
        free(sorted);
        return no_memory(f->err);
    }
    memcpy(sorted, a->levels, a->n_levels * sizeof *sorted);
    qsort(sorted, a->n_levels, sizeof *sorted, by_count);
    /* A level held by very few could point at a person, and would not make a segment anyway. */
    size_t least = f->d->n / 100;
    if (least < 5) least = 5;
    size_t covered = 0;
    for (size_t l = 0; l < a->n_levels && out->n_levels < PREP_LEVELS_MAX && sorted[l].count >= least; l++) {
        out->levels[out->n_levels] = strndup(sorted[l].text.p, sorted[l].text.n);
        if (out->levels[out->n_levels] == NULL) {
            free(sorted);
            return no_memory(f->err);
        }
        out->n_levels++;
        covered += sorted[l].count;
    }
    free(sorted);
    *out_share = (double)covered / (double)a->present;
    return MEROS_OK;
}

static enum meros_code add_attribute(struct fit *f, const struct attribute *a, bool named)
{
    struct prep *p = f->p;
    struct prep_attribute *grown = realloc(p->attributes, (p->n_attributes + 1) * sizeof *grown);
    if (grown == NULL) return no_memory(f->err);
    p->attributes = grown;
    struct prep_attribute *mine = &p->attributes[p->n_attributes];
    *mine = (struct prep_attribute){.name = strndup(a->name.p, a->name.n), .numeric = attribute_numeric(a)};
    if (mine->name == NULL) return no_memory(f->err);
    const int source = (int)p->n_attributes++;

    double share = 1;
    enum meros_code rc = MEROS_OK;
    if (!mine->numeric && (rc = choose_levels(f, a, mine, &share)) != MEROS_OK) return rc;
    /* Texts of which few repeat are names or prose: no way to divide customers, unless somebody insists. */
    bool use = mine->numeric || named || share >= 0.5;
    struct prep_plan plan = {0};
    const size_t first = p->n_columns;
    if (use && (rc = prep_plan_init(p, f->d, &plan, f->err)) == MEROS_OK) {
        bool kept = false;
        if (mine->numeric) {
            struct prep_column c = {.kind = PREP_NUMBER, .source = source, .missing = MISSING_MEDIAN};
            rc = push(f, &c, &plan, &kept);
        }
        for (int l = 0; l < mine->n_levels && rc == MEROS_OK; l++) {
            struct prep_column c = {.kind = PREP_LEVEL, .source = source, .level = l, .missing = MISSING_ZERO};
            rc = push(f, &c, &plan, &kept);
        }
        if (rc == MEROS_OK && !mine->numeric) {
            struct prep_column c = {.kind = PREP_OTHER, .source = source, .missing = MISSING_ZERO};
            rc = push(f, &c, &plan, &kept);
        }
        prep_plan_done(&plan);
    }
    if (rc != MEROS_OK) return rc;
    if (p->n_columns > first) {
        share_weight(p, first);
    } else { /* not used: what the artifact does not need it must not hold */
        p->n_attributes--;
        for (int l = 0; l < mine->n_levels; l++) free(mine->levels[l]);
        free(mine->levels);
        free(mine->name);
    }
    return MEROS_OK;
}

static int by_name(const void *a, const void *b)
{
    const struct attribute *x = *(const struct attribute *const *)a, *y = *(const struct attribute *const *)b;
    return strcmp(x->name.p, y->name.p);
}

/* In the order of their names, so that it does not matter who came first. */
static enum meros_code add_attributes(struct fit *f)
{
    const struct attribute *sorted[ATTRIBUTES_MAX];
    const bool all = asked_all(f) || asked(f, STR("attributes"));
    for (size_t i = 0; i < f->d->n_attributes; i++) sorted[i] = f->d->attributes[i];
    qsort(sorted, f->d->n_attributes, sizeof *sorted, by_name);
    for (size_t i = 0; i < f->d->n_attributes; i++) {
        const bool named = attribute_named(f, sorted[i]->name);
        if (!named && (!all || (!attribute_numeric(sorted[i]) && sorted[i]->overflow))) continue;
        enum meros_code rc = add_attribute(f, sorted[i], named);
        if (rc != MEROS_OK) return rc;
    }
    return MEROS_OK;
}

enum meros_code prep_fit(const struct dataset *d, const struct prep_params *params, struct prep *out,
                         struct meros_err *err)
{
    struct prep p = {.scaling = params->scaling};
    struct fit f = {.d = d, .params = params, .p = &p, .err = err};
    f.scratch = malloc((d->n + 1) * sizeof *f.scratch);
    enum meros_code rc = f.scratch == NULL ? no_memory(err) : check_named(&f);
    if (rc == MEROS_OK) rc = add_behaviour(&f);
    if (rc == MEROS_OK) rc = add_attributes(&f);
    free(f.scratch);
    if (rc == MEROS_OK) *out = p;
    else prep_done(&p);
    return rc;
}
