#include "meros/feature/dataset.h"

#include <math.h>
#include <stdlib.h>

enum { SLOTS = 2048 }; /* power of two, at least twice ATTRIBUTE_LEVELS_MAX */

static enum meros_code over_budget(const struct dataset *d, struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY,
                   "The training needs more than its memory budget of %zu MB for %zu customers; raise "
                   "MEROS_TRAINING_MEMORY or train on fewer features.",
                   d->budget >> 20, d->n);
}

/* Every allocation of a dataset is counted against its budget. */
static void *take(struct dataset *d, void *old, size_t old_bytes, size_t bytes)
{
    if (bytes - old_bytes > d->budget - d->bytes) return NULL;
    void *p = realloc(old, bytes);
    if (p != NULL) d->bytes += bytes - old_bytes;
    return p;
}

void dataset_init(struct dataset *d, int64_t at, double half_life_days, size_t budget)
{
    *d = (struct dataset){.at = at, .half_life_days = half_life_days, .budget = budget, .first_at = TIME_NONE, .last_at = TIME_NONE};
}

static void attribute_free(struct attribute *a)
{
    if (a == NULL) return;
    for (size_t l = 0; l < a->n_levels; l++) free((void *)(uintptr_t)a->levels[l].text.p);
    free((void *)(uintptr_t)a->name.p);
    free(a->number);
    free(a->level);
    free(a->levels);
    free(a->slots);
    free(a);
}

void dataset_done(struct dataset *d)
{
    for (size_t i = 0; i < d->n_attributes; i++) attribute_free(d->attributes[i]);
    free(d->customer_no);
    free(d->raw);
    dataset_init(d, d->at, d->half_life_days, d->budget);
}

size_t dataset_row_bytes(void)
{
    return sizeof(int64_t) + FEATURE_COUNT * sizeof(float);
}

static bool grow_attribute(struct dataset *d, struct attribute *a, size_t from, size_t to)
{
    float *number = take(d, a->number, from * sizeof *number, to * sizeof *number);
    if (number == NULL) return false;
    a->number = number;
    int32_t *level = take(d, a->level, from * sizeof *level, to * sizeof *level);
    if (level == NULL) return false;
    a->level = level;
    return true;
}

enum meros_code dataset_reserve(struct dataset *d, size_t n, struct meros_err *err)
{
    if (n <= d->cap) return MEROS_OK;
    if (n > SIZE_MAX / 2 / dataset_row_bytes()) return over_budget(d, err);
    int64_t *no = take(d, d->customer_no, d->cap * sizeof *no, n * sizeof *no);
    if (no == NULL) return over_budget(d, err);
    d->customer_no = no;
    const size_t row = FEATURE_COUNT * sizeof(float);
    float *raw = take(d, d->raw, d->cap * row, n * row);
    if (raw == NULL) return over_budget(d, err);
    d->raw = raw;
    for (size_t i = 0; i < d->n_attributes; i++)
        if (!grow_attribute(d, d->attributes[i], d->cap, n)) return over_budget(d, err);
    d->cap = n;
    return MEROS_OK;
}

/* --- attributes */

static struct str copy_text(struct dataset *d, struct str s)
{
    char *p = take(d, NULL, 0, s.n + 1);
    if (p == NULL) return STR_NONE;
    memcpy(p, s.p, s.n);
    p[s.n] = '\0';
    return (struct str){p, s.n};
}

/* A new attribute: missing for all customers so far. */
static struct attribute *attribute_new(struct dataset *d, struct str name)
{
    struct attribute *a = calloc(1, sizeof *a);
    if (a == NULL) return NULL;
    a->name = copy_text(d, name);
    a->slots = take(d, NULL, 0, SLOTS * sizeof *a->slots);
    a->levels = take(d, NULL, 0, ATTRIBUTE_LEVELS_MAX * sizeof *a->levels);
    if (!str_present(a->name) || a->slots == NULL || a->levels == NULL || !grow_attribute(d, a, 0, d->cap)) {
        attribute_free(a);
        return NULL;
    }
    memset(a->slots, 0, SLOTS * sizeof *a->slots);
    for (size_t i = 0; i <= d->n; i++) {
        a->number[i] = NAN;
        a->level[i] = -1;
    }
    return a;
}

static uint32_t text_hash(struct str s)
{
    uint32_t h = 2166136261u; /* FNV-1a; a table has at most 1000 entries, so a bad input costs little */
    for (size_t i = 0; i < s.n; i++) h = (h ^ (unsigned char)s.p[i]) * 16777619u;
    return h;
}

/* The index of a text among the levels, added if new; -1 once there are too many; -2 out of memory. */
static int32_t level_of(struct dataset *d, struct attribute *a, struct str text)
{
    if (a->overflow) return -1;
    uint32_t at = text_hash(text) & (SLOTS - 1);
    while (a->slots[at] != 0 && !str_eq(a->levels[a->slots[at] - 1].text, text)) at = (at + 1) & (SLOTS - 1);
    if (a->slots[at] == 0) {
        if (a->n_levels == ATTRIBUTE_LEVELS_MAX) {
            a->overflow = true;
            return -1;
        }
        struct str copy = copy_text(d, text);
        if (!str_present(copy)) return -2;
        a->levels[a->n_levels++] = (struct attribute_level){copy, 0};
        a->slots[at] = (uint32_t)a->n_levels;
    }
    return (int32_t)a->slots[at] - 1;
}

void attribute_value_read(const struct json *v, struct attribute_value *out)
{
    *out = (struct attribute_value){.missing = true, .number = NAN, .text = STR_NONE};
    switch (json_kind(v)) {
    case JSON_KIND_NUMBER:
        out->number = json_num(v);
        out->text = (struct str){out->buf, json_number_text(out->number, out->buf)};
        break;
    case JSON_KIND_BOOL:
        out->text = json_bool(v) ? STR("true") : STR("false");
        break;
    case JSON_KIND_STRING: {
        struct str s = str_trim(json_str(v));
        if (s.n == 0 || s.n > ATTRIBUTE_TEXT_MAX) return;
        out->text = s;
        (void)str_to_double(s, &out->number);
        break;
    }
    default: return;
    }
    out->missing = false;
}

static struct attribute *find_attribute(const struct dataset *d, struct str name)
{
    for (size_t i = 0; i < d->n_attributes; i++)
        if (str_eq(d->attributes[i]->name, name)) return d->attributes[i];
    return NULL;
}

const struct attribute *dataset_attribute(const struct dataset *d, struct str name)
{
    return find_attribute(d, name);
}

bool attribute_numeric(const struct attribute *a)
{
    return a->present > 0 && a->numbers == a->present;
}

static enum meros_code add_attributes(struct dataset *d, const struct json *attributes, struct meros_err *err)
{
    const void *at = NULL;
    struct str name;
    const struct json *v;
    while (json_next(attributes, &at, &name, &v)) {
        struct attribute_value value;
        attribute_value_read(v, &value);
        if (value.missing) continue;
        struct attribute *a = find_attribute(d, name);
        if (a == NULL) {
            if (d->n_attributes == ATTRIBUTES_MAX) {
                d->dropped_attributes++;
                continue;
            }
            a = attribute_new(d, name);
            if (a == NULL) return over_budget(d, err);
            d->attributes[d->n_attributes++] = a;
        }
        int32_t level = level_of(d, a, value.text);
        if (level == -2) return over_budget(d, err);
        if (level >= 0) a->levels[level].count++;
        a->level[d->n] = level;
        a->number[d->n] = (float)fmax(-1e30, fmin(1e30, value.number));
        if (isnan(value.number)) a->number[d->n] = NAN;
        else a->numbers++;
        a->present++;
    }
    return MEROS_OK;
}

static void widen(struct dataset *d, int64_t t)
{
    if (t == TIME_NONE) return;
    if (d->first_at == TIME_NONE || t < d->first_at) d->first_at = t;
    if (t > d->last_at) d->last_at = t; /* TIME_NONE is before all */
}

enum meros_code dataset_add(struct dataset *d, const struct customer_stats *s, const struct json *attributes, int64_t at,
                            struct meros_err *err)
{
    if (d->n == d->cap) {
        enum meros_code rc = dataset_reserve(d, d->cap == 0 ? 1024 : d->cap + d->cap / 2, err);
        if (rc != MEROS_OK) return rc;
    }
    d->customer_no[d->n] = s->customer_no;
    features_compute(s, at, d->half_life_days, d->raw + d->n * FEATURE_COUNT);
    for (size_t i = 0; i < d->n_attributes; i++) {
        d->attributes[i]->number[d->n] = NAN;
        d->attributes[i]->level[d->n] = -1;
    }
    if (attributes != NULL) {
        enum meros_code rc = add_attributes(d, attributes, err);
        if (rc != MEROS_OK) return rc;
    }
    widen(d, s->created_at);
    widen(d, s->first_order_at);
    widen(d, s->last_seen_at);
    d->n++;
    return MEROS_OK;
}
