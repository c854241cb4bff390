#include "meros/model/describe.h"

#include <math.h>
#include <stdlib.h>

#include "meros/ml/quantile.h"

/* A z below this is no difference worth a word. */
static const double NOTABLE = 0.3;

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while describing segments.");
}

void describe_done(struct describe *d)
{
    for (size_t j = 0; j < d->n_features; j++) free(d->names == NULL ? NULL : d->names[j]);
    free(d->names);
    free(d->ids);
    free(d->segments);
    free(d->cells);
    *d = (struct describe){0};
}

/* The columns that a profile covers, as a prep to read them through. */
static bool anybody_has(const struct dataset *d, int id)
{
    for (size_t i = 0; i < d->n; i++) {
        float v = d->raw[i * FEATURE_COUNT + (size_t)id];
        if (!isnan(v) && v != 0) return true;
    }
    return false;
}

static enum meros_code choose_features(struct describe *out, const struct dataset *d, const struct prep *prep,
                                       struct prep *view, struct meros_err *err)
{
    const size_t cap = FEATURE_COUNT + prep->n_columns;
    *view = *prep;
    view->n_columns = 0;
    view->columns = calloc(cap, sizeof *view->columns);
    out->names = calloc(cap, sizeof *out->names);
    out->ids = calloc(cap, sizeof *out->ids);
    if (view->columns == NULL || out->names == NULL || out->ids == NULL) return no_memory(err);
    for (int id = 0; id < FEATURE_COUNT; id++) {
        /* The twelve of behaviour are always told; activity by kind of event only where there are such events. */
        if (id >= FEATURE_ENGAGEMENT_FIRST && !anybody_has(d, id)) continue;
        out->ids[view->n_columns] = id;
        view->columns[view->n_columns++] = (struct prep_column){
            .kind = PREP_STAT, .source = id, .transform = feature_get((enum feature_id)id)->transform};
    }
    for (size_t j = 0; j < prep->n_columns; j++) {
        if (prep->columns[j].kind == PREP_STAT) continue;
        out->ids[view->n_columns] = -1;
        view->columns[view->n_columns++] = prep->columns[j];
    }
    for (size_t j = 0; j < view->n_columns; j++) {
        struct buf name;
        size_t length;
        buf_init(&name, 1024);
        prep_column_name(view, j, &name);
        out->names[j] = buf_take(&name, &length);
        buf_done(&name);
        if (out->names[j] == NULL) return no_memory(err);
        out->n_features = j + 1;
    }
    return MEROS_OK;
}

struct work {
    const struct dataset *d;
    const struct prep *view;
    struct prep_plan plan;
    size_t *order; /* (n) rows, segment by segment */
    size_t *start; /* (k + 1) where each segment begins in order */
    double *values;
};

/* One feature in all segments: `values` is filled in the order of segments, then each block is summed and sorted. */
static void profile_feature(struct describe *out, struct work *w, size_t j)
{
    const struct prep_column *c = &w->view->columns[j];
    struct moments all = {0};
    double *t_mean = malloc((size_t)out->k * sizeof *t_mean);
    for (int s = 0; s < out->k; s++) {
        struct moments raw = {0}, t = {0};
        size_t present = 0;
        for (size_t at = w->start[s]; at < w->start[s + 1]; at++) {
            const size_t row = w->order[at];
            struct prep_values values;
            if (c->kind != PREP_STAT) prep_read_dataset(w->view, &w->plan, row, &values);
            double v = prep_column_raw(w->view, j, w->d->raw + row * FEATURE_COUNT, &values);
            if (isnan(v)) continue;
            w->values[present++] = v;
            moments_add(&raw, v);
            moments_add(&t, feature_transform(c->transform, v));
        }
        moments_merge(&all, &t);
        struct feature_summary *cell = &out->segments[s].features[j];
        *cell = (struct feature_summary){present, NAN, NAN, NAN};
        if (t_mean != NULL) t_mean[s] = present == 0 ? NAN : t.mean;
        if (present == 0) continue;
        values_sort(w->values, present);
        cell->mean = raw.mean;
        cell->median = median_sorted(w->values, present);
    }
    const double sd = moments_sd(&all);
    for (int s = 0; s < out->k && t_mean != NULL; s++) {
        if (isnan(t_mean[s])) continue;
        out->segments[s].features[j].z = sd > 1e-9 * (1 + fabs(all.mean)) ? (t_mean[s] - all.mean) / sd : 0;
    }
    free(t_mean);
}

static void choose_distinguishing(const struct describe *d, struct segment_summary *s)
{
    for (size_t j = 0; j < d->n_features; j++) {
        const double z = fabs(s->features[j].z);
        if (!(z >= NOTABLE) || 2 * s->features[j].present < s->size) continue;
        size_t at = s->n_distinguishing < DISTINGUISHING_MAX ? s->n_distinguishing++ : DISTINGUISHING_MAX;
        while (at > 0 && fabs(s->features[s->distinguishing[at - 1]].z) < z) {
            if (at < DISTINGUISHING_MAX) s->distinguishing[at] = s->distinguishing[at - 1];
            at--;
        }
        if (at < DISTINGUISHING_MAX) s->distinguishing[at] = j;
    }
}

double describe_importance(const struct describe *d, size_t feature)
{
    double between = 0;
    size_t present = 0;
    for (int s = 0; s < d->k; s++) {
        const struct feature_summary *f = &d->segments[s].features[feature];
        if (f->present == 0) continue;
        between += (double)f->present * f->z * f->z;
        present += f->present;
    }
    return present == 0 ? 0 : fmin(1, between / (double)present);
}

static void count_segments(struct describe *out, const struct dataset *d)
{
    double revenue = 0;
    for (int s = 0; s < out->k; s++) revenue += out->segments[s].revenue;
    for (int s = 0; s < out->k; s++) {
        struct segment_summary *e = &out->segments[s];
        e->share = d->n == 0 ? 0 : (double)e->size / (double)d->n;
        e->buyers_share = e->size == 0 ? 0 : e->buyers_share / (double)e->size;
        e->revenue_share = revenue > 0 ? e->revenue / revenue : NAN;
    }
}

enum meros_code describe_fit(struct describe *out, const struct dataset *d, const struct prep *prep, const int32_t *labels,
                             int k, struct meros_err *err)
{
    struct describe it = {.n = d->n, .k = k};
    struct prep view = {0};
    struct work w = {.d = d, .view = &view};
    enum meros_code rc = choose_features(&it, d, prep, &view, err);
    if (rc == MEROS_OK) rc = prep_plan_init(&view, d, &w.plan, err);
    if (rc != MEROS_OK) goto out;
    it.segments = calloc((size_t)k, sizeof *it.segments);
    it.cells = calloc((size_t)k * it.n_features, sizeof *it.cells);
    w.order = malloc((d->n + 1) * sizeof *w.order);
    w.start = calloc((size_t)k + 1, sizeof *w.start);
    w.values = malloc((d->n + 1) * sizeof *w.values);
    if (it.segments == NULL || it.cells == NULL || w.order == NULL || w.start == NULL || w.values == NULL) {
        rc = no_memory(err);
        goto out;
    }
    for (int s = 0; s < k; s++) it.segments[s].features = it.cells + (size_t)s * it.n_features;
    for (size_t i = 0; i < d->n; i++) {
        struct segment_summary *s = &it.segments[labels[i]];
        const float *raw = d->raw + i * FEATURE_COUNT;
        s->size++;
        s->revenue += raw[FEATURE_MONETARY];
        s->buyers_share += raw[FEATURE_FREQUENCY] > 0;
    }
    for (int s = 0; s < k; s++) w.start[s + 1] = w.start[s] + it.segments[s].size;
    for (size_t i = 0; i < d->n; i++) w.order[w.start[labels[i]]++] = i;
    for (int s = k; s > 0; s--) w.start[s] = w.start[s - 1];
    w.start[0] = 0;
    count_segments(&it, d);
    for (size_t j = 0; j < it.n_features; j++) profile_feature(&it, &w, j);
    for (int s = 0; s < k; s++) choose_distinguishing(&it, &it.segments[s]);
    *out = it;
    it = (struct describe){0};
out:
    describe_done(&it);
    prep_plan_done(&w.plan);
    free(view.columns); /* its attributes are the prep's */
    free(w.order);
    free(w.start);
    free(w.values);
    return rc;
}
