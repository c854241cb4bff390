#include "meros/base/counters.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

const double metric_seconds[] = {.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60};
const size_t n_metric_seconds = sizeof metric_seconds / sizeof metric_seconds[0];

struct metric_series {
    struct metric_series *next;
    const struct metric_family *family;
    char *values[METRIC_LABELS_MAX];
    _Atomic double value; /* of a histogram: the sum */
    _Atomic uint64_t *buckets; /* histogram: n_bounds + 1, not cumulative */
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* families, collectors, making a series */
static struct metric_family *first, **last = &first;
static struct {
    void (*fn)(void *);
    void *arg;
} collectors[32];
static size_t n_collectors;

static struct metric_series *find(struct metric_family *f, const char *const *values)
{
    for (struct metric_series *s = atomic_load_explicit(&f->series, memory_order_acquire); s != NULL; s = s->next) {
        bool same = true;
        for (size_t i = 0; i < METRIC_LABELS_MAX && f->labels[i] != NULL && same; i++)
            same = strcmp(s->values[i], values[i]) == 0;
        if (same) return s;
    }
    return NULL;
}

static void series_free(struct metric_series *s)
{
    for (size_t i = 0; i < METRIC_LABELS_MAX; i++) free(s->values[i]);
    free(s->buckets);
    free(s);
}

static struct metric_series *make(struct metric_family *f, const char *const *values)
{
    struct metric_series *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->family = f;
    for (size_t i = 0; i < METRIC_LABELS_MAX && f->labels[i] != NULL; i++)
        if ((s->values[i] = strdup(values[i])) == NULL) goto fail;
    if (f->kind == METRIC_HISTOGRAM && (s->buckets = calloc(f->n_bounds + 1, sizeof *s->buckets)) == NULL) goto fail;
    s->next = atomic_load(&f->series);
    atomic_store_explicit(&f->series, s, memory_order_release);
    return s;
fail:
    series_free(s);
    return NULL;
}

struct metric_series *metric(struct metric_family *f, const char *const *values)
{
    struct metric_series *s = find(f, values);
    if (s != NULL) return s;
    pthread_mutex_lock(&lock);
    if (!f->registered) {
        f->registered = 1;
        *last = f;
        last = &f->next;
    }
    s = find(f, values);
    if (s == NULL) s = make(f, values);
    pthread_mutex_unlock(&lock);
    return s;
}

static void add(_Atomic double *to, double v)
{
    double old = atomic_load_explicit(to, memory_order_relaxed);
    while (!atomic_compare_exchange_weak_explicit(to, &old, old + v, memory_order_relaxed, memory_order_relaxed)) {}
}

void metric_add(struct metric_series *s, double v)
{
    if (s != NULL) add(&s->value, v);
}

void metric_set(struct metric_series *s, double v)
{
    if (s != NULL) atomic_store_explicit(&s->value, v, memory_order_relaxed);
}

void metric_observe(struct metric_series *s, double v)
{
    if (s == NULL) return;
    size_t i = 0;
    while (i < s->family->n_bounds && v > s->family->bounds[i]) i++;
    atomic_fetch_add_explicit(&s->buckets[i], 1, memory_order_relaxed);
    add(&s->value, v);
}

double metric_value(struct metric_series *s)
{
    if (s == NULL) return 0;
    if (s->family->kind != METRIC_HISTOGRAM) return s->value;
    double n = 0;
    for (size_t i = 0; i <= s->family->n_bounds; i++) n += (double)s->buckets[i];
    return n;
}

void metric_collector(void (*fn)(void *), void *arg)
{
    pthread_mutex_lock(&lock);
    if (n_collectors < sizeof collectors / sizeof collectors[0]) {
        collectors[n_collectors].fn = fn;
        collectors[n_collectors++].arg = arg;
    }
    pthread_mutex_unlock(&lock);
}

/* Prometheus spells them so; printf does not. */
static void number(struct buf *out, double v)
{
    if (isnan(v)) buf_str(out, "NaN");
    else if (isinf(v)) buf_str(out, v > 0 ? "+Inf" : "-Inf");
    else buf_printf(out, "%.15g", v);
}

/* Escaped as the text format has it: quotes only within label values. */
static void escaped(struct buf *out, const char *text, bool quotes)
{
    for (const char *p = text; *p; p++) {
        if (*p == '\n') {
            buf_str(out, "\\n");
            continue;
        }
        if (*p == '\\' || (quotes && *p == '"')) buf_char(out, '\\');
        buf_char(out, *p);
    }
}

/* The series' labels; with `le` (a histogram's upper bound) unless it is NaN. */
static void labels(struct buf *out, const struct metric_series *s, double le)
{
    const struct metric_family *f = s->family;
    bool any = false;
    for (size_t i = 0; i < METRIC_LABELS_MAX && f->labels[i] != NULL; i++, any = true) {
        buf_printf(out, "%c%s=\"", any ? ',' : '{', f->labels[i]);
        escaped(out, s->values[i], true);
        buf_char(out, '"');
    }
    if (!isnan(le)) {
        buf_str(out, any ? ",le=\"" : "{le=\"");
        number(out, le);
        buf_char(out, '"');
        any = true;
    }
    if (any) buf_char(out, '}');
}

static void render_series(struct buf *out, const struct metric_series *s)
{
    const struct metric_family *f = s->family;
    if (f->kind != METRIC_HISTOGRAM) {
        buf_str(out, f->name);
        labels(out, s, NAN);
        buf_char(out, ' ');
        number(out, s->value);
        buf_char(out, '\n');
        return;
    }
    uint64_t total = 0;
    for (size_t i = 0; i <= f->n_bounds; i++) {
        total += s->buckets[i];
        buf_printf(out, "%s_bucket", f->name);
        labels(out, s, i < f->n_bounds ? f->bounds[i] : INFINITY);
        buf_printf(out, " %llu\n", (unsigned long long)total);
    }
    buf_printf(out, "%s_sum", f->name);
    labels(out, s, NAN);
    buf_char(out, ' ');
    number(out, s->value);
    buf_printf(out, "\n%s_count", f->name);
    labels(out, s, NAN);
    buf_printf(out, " %llu\n", (unsigned long long)total);
}

void metric_render(struct buf *out)
{
    static const char *const kinds[] = {"counter", "gauge", "histogram"};
    pthread_mutex_lock(&lock);
    size_t n = n_collectors;
    pthread_mutex_unlock(&lock);
    for (size_t i = 0; i < n; i++) collectors[i].fn(collectors[i].arg);
    pthread_mutex_lock(&lock);
    for (struct metric_family *f = first; f != NULL; f = f->next) {
        buf_printf(out, "# HELP %s ", f->name);
        escaped(out, f->help, false);
        buf_printf(out, "\n# TYPE %s %s\n", f->name, kinds[f->kind]);
        for (struct metric_series *s = atomic_load(&f->series); s != NULL; s = s->next) render_series(out, s);
    }
    pthread_mutex_unlock(&lock);
}
