#include "meros/ml/purchases.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include "meros/ml/matrix.h"

/* Open addressing, at most half full, doubling. Slots hold a place in the caller's table plus one. */
struct index {
    uint32_t *slots;
    size_t cap, used;
};

static uint64_t mix(uint64_t h)
{
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    h ^= h >> 32;
    h *= UINT64_C(0xd6e8feb86659fd93);
    return h ^ h >> 32;
}

static uint64_t bits(double v)
{
    uint64_t u;
    memcpy(&u, &v, sizeof u);
    return u;
}

static bool index_init(struct index *i, size_t cap)
{
    *i = (struct index){.slots = ml_alloc(cap, sizeof *i->slots), .cap = cap};
    return i->slots != NULL;
}

static uint64_t hash_value(double v, uint32_t stratum)
{
    return mix(bits(v) + UINT64_C(0x9e3779b97f4a7c15) * stratum);
}

static uint64_t hash_group(uint32_t x, uint32_t t_x, uint32_t t)
{
    return mix(mix((uint64_t)x << 32 | t_x) ^ t);
}

/* A table of distinct values with its index. */
struct table {
    double *values;
    uint32_t *strata;
    size_t n, cap;
    struct index index;
};

static bool table_init(struct table *t)
{
    t->cap = 256;
    t->n = 0;
    t->values = malloc(t->cap * sizeof *t->values);
    t->strata = malloc(t->cap * sizeof *t->strata);
    return index_init(&t->index, 1024) && t->values != NULL && t->strata != NULL;
}

static bool table_grow(struct table *t)
{
    if (t->n == t->cap) {
        double *more = realloc(t->values, 2 * t->cap * sizeof *more);
        if (more != NULL) t->values = more;
        uint32_t *strata = realloc(t->strata, 2 * t->cap * sizeof *strata);
        if (strata != NULL) t->strata = strata;
        if (more == NULL || strata == NULL) return false;
        t->cap *= 2;
    }
    if (2 * t->n < t->index.cap) return true;
    struct index wider;
    if (!index_init(&wider, 4 * t->index.cap)) return false;
    for (size_t k = 0; k < t->n; k++) {
        size_t at = hash_value(t->values[k], t->strata[k]) & (wider.cap - 1);
        while (wider.slots[at] != 0) at = (at + 1) & (wider.cap - 1);
        wider.slots[at] = (uint32_t)k + 1;
    }
    free(t->index.slots);
    t->index = wider;
    return true;
}

static bool table_place(struct table *t, double v, uint32_t stratum, uint32_t *out)
{
    v += 0.0; /* -0 is 0 */
    size_t at = hash_value(v, stratum) & (t->index.cap - 1);
    for (; t->index.slots[at] != 0; at = (at + 1) & (t->index.cap - 1))
        if (t->values[t->index.slots[at] - 1] == v && t->strata[t->index.slots[at] - 1] == stratum) {
            *out = t->index.slots[at] - 1;
            return true;
        }
    t->index.slots[at] = (uint32_t)t->n + 1;
    t->values[t->n] = v;
    t->strata[t->n] = stratum;
    *out = (uint32_t)t->n++;
    return table_grow(t);
}

struct grouping {
    struct table x, t_x, t;
    struct index groups;
    struct purchases p;
    size_t cap;
};

static bool groups_grow(struct grouping *g)
{
    struct purchases *p = &g->p;
    if (p->n == g->cap) {
        const size_t cap = 2 * g->cap;
        uint32_t *x = realloc(p->x, cap * sizeof *x);
        if (x != NULL) p->x = x;
        uint32_t *t_x = realloc(p->t_x, cap * sizeof *t_x);
        if (t_x != NULL) p->t_x = t_x;
        uint32_t *t = realloc(p->t, cap * sizeof *t);
        if (t != NULL) p->t = t;
        double *weight = realloc(p->weight, cap * sizeof *weight);
        if (weight != NULL) p->weight = weight;
        if (x == NULL || t_x == NULL || t == NULL || weight == NULL) return false;
        g->cap = cap;
    }
    if (2 * p->n < g->groups.cap) return true;
    struct index wider;
    if (!index_init(&wider, 4 * g->groups.cap)) return false;
    for (size_t k = 0; k < p->n; k++) {
        size_t at = hash_group(p->x[k], p->t_x[k], p->t[k]) & (wider.cap - 1);
        while (wider.slots[at] != 0) at = (at + 1) & (wider.cap - 1);
        wider.slots[at] = (uint32_t)k + 1;
    }
    free(g->groups.slots);
    g->groups = wider;
    return true;
}

static bool place_group(struct grouping *g, double x, double t_x, double t, uint32_t s, uint32_t *out)
{
    struct purchases *p = &g->p;
    uint32_t i, j, k;
    if (!table_place(&g->x, x, s, &i) || !table_place(&g->t_x, t_x, s, &j) || !table_place(&g->t, t, s, &k)) return false;
    size_t at = hash_group(i, j, k) & (g->groups.cap - 1);
    for (; g->groups.slots[at] != 0; at = (at + 1) & (g->groups.cap - 1)) {
        const uint32_t found = g->groups.slots[at] - 1;
        if (p->x[found] == i && p->t_x[found] == j && p->t[found] == k) {
            p->weight[found]++;
            *out = found;
            return true;
        }
    }
    g->groups.slots[at] = (uint32_t)p->n + 1;
    p->x[p->n] = i;
    p->t_x[p->n] = j;
    p->t[p->n] = k;
    p->weight[p->n] = 1;
    *out = (uint32_t)p->n++;
    return groups_grow(g);
}

static enum meros_code check(double x, double t_x, double t, size_t row, struct meros_err *err)
{
    if (isfinite(x) && isfinite(t_x) && isfinite(t) && x >= 0 && x == floor(x) && t_x >= 0 && t_x <= t && (x > 0) == (t_x > 0))
        return MEROS_OK;
    return err_set(err, MEROS_UNPROCESSABLE,
                   "Customer %zu has %g repeat purchases, the last after %g, seen for %g: the number must be whole, and the "
                   "last must lie after the first purchase and before the end.", row, x, t_x, t);
}

static bool grouping_init(struct grouping *g)
{
    *g = (struct grouping){.cap = 1024};
    struct purchases *p = &g->p;
    p->x = malloc(g->cap * sizeof *p->x);
    p->t_x = malloc(g->cap * sizeof *p->t_x);
    p->t = malloc(g->cap * sizeof *p->t);
    p->weight = malloc(g->cap * sizeof *p->weight);
    bool tables = table_init(&g->x) & table_init(&g->t_x) & table_init(&g->t) & index_init(&g->groups, 4096);
    return tables && p->x != NULL && p->t_x != NULL && p->t != NULL && p->weight != NULL;
}

static void drop_strata(struct purchases *p)
{
    free(p->x_stratum);
    free(p->t_x_stratum);
    free(p->t_stratum);
    p->x_stratum = p->t_x_stratum = p->t_stratum = NULL;
}

enum meros_code purchases_group(const double *x, const double *t_x, const double *t, size_t n, const struct ml_run *run,
                                struct purchases *out, uint32_t *group_of, struct meros_err *err)
{
    return purchases_group_strata(x, t_x, t, NULL, n, run, out, group_of, err);
}

enum meros_code purchases_group_strata(const double *x, const double *t_x, const double *t, const uint32_t *stratum, size_t n,
                                       const struct ml_run *run, struct purchases *out, uint32_t *group_of, struct meros_err *err)
{
    struct grouping g;
    enum meros_code rc = grouping_init(&g) && n < UINT32_MAX ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for grouping customers.");
    double sum_t = 0;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) {
        uint32_t group = 0;
        rc = check(x[i], t_x[i], t[i], i, err);
        if (rc == MEROS_OK && i % 65536 == 0) rc = ml_run_check(run, 0, "grouping", err);
        if (rc != MEROS_OK) break;
        if (!place_group(&g, x[i], t_x[i], t[i], stratum != NULL ? stratum[i] : 0, &group)) rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for grouping customers.");
        if (group_of != NULL) group_of[i] = group;
        g.p.repeat_customers += x[i] > 0;
        g.p.repeat_purchases += x[i];
        sum_t += t[i];
        g.p.max_t = fmax(g.p.max_t, t[i]);
    }
    g.p.customers = (double)n;
    g.p.mean_t = n > 0 ? sum_t / (double)n : 0;
    g.p.xs = g.x.values;
    g.p.t_xs = g.t_x.values;
    g.p.ts = g.t.values;
    g.p.x_stratum = g.x.strata;
    g.p.t_x_stratum = g.t_x.strata;
    g.p.t_stratum = g.t.strata;
    if (stratum == NULL) drop_strata(&g.p);
    g.p.n_x = g.x.n;
    g.p.n_t_x = g.t_x.n;
    g.p.n_t = g.t.n;
    free(g.x.index.slots);
    free(g.t_x.index.slots);
    free(g.t.index.slots);
    free(g.groups.slots);
    if (rc == MEROS_OK) *out = g.p;
    else purchases_done(&g.p);
    return rc;
}

void purchases_done(struct purchases *p)
{
    drop_strata(p);
    free(p->x);
    free(p->t_x);
    free(p->t);
    free(p->weight);
    free(p->xs);
    free(p->t_xs);
    free(p->ts);
    *p = (struct purchases){0};
}

enum meros_code purchases_strata(double *z, size_t n, int k, uint32_t *stratum, size_t *n_strata, struct meros_err *err)
{
    struct index seen;
    size_t cap = 1024, found = 0;
    while (cap < 2 * n) cap *= 2;
    if (n >= UINT32_MAX || !index_init(&seen, cap)) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the covariates.");
    const size_t width = (size_t)k;
    for (size_t i = 0; i < n; i++) {
        uint64_t h = 0;
        for (size_t c = 0; c < width; c++) h = mix(h ^ bits(z[i * width + c] += 0.0));
        size_t at = h & (cap - 1);
        while (seen.slots[at] != 0 && memcmp(z + (seen.slots[at] - 1) * width, z + i * width, width * sizeof *z) != 0) at = (at + 1) & (cap - 1);
        if (seen.slots[at] == 0) {
            memmove(z + found * width, z + i * width, width * sizeof *z);
            seen.slots[at] = (uint32_t)++found;
        }
        stratum[i] = seen.slots[at] - 1;
    }
    free(seen.slots);
    *n_strata = found;
    return MEROS_OK;
}
