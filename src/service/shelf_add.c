/* A plain event put into a shelf: what store_shelves would say if it were asked again (store/interactions_priv.h has the same in SQL).
 *
 * That is known where the shelf counts (nothing else was committed that it lacks, as far as this process was told), where it came in before the event was sent (so
 * it cannot hold it), where all that it holds had happened by the moment of its weights (they are decayed further as one), and where
 * no older event falls out of the last INTERACTION_EVENTS_MAX. Where any of that is not so the shelf is taken out instead. */
#include <math.h>
#include <stdatomic.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/domain/interaction.h"
#include "meros/store/interactions.h"
#include "shelf_priv.h"

/* Whether it is anything that the customer did with a product. */
static bool counts(const struct shelf_event *e)
{
    return e->product_no != 0 && !str_is(e->type, "recommendation_shown");
}

static double left_of(double half_life_days, int64_t then, int64_t now)
{
    if (half_life_days <= 0 || now <= then) return 1;
    const double halves = (double)(now - then) / (double)TIME_DAY / half_life_days;
    return exp2(-(halves < 1000 ? halves : 1000));
}

static double weight_of(const struct interaction_weights *w, const struct shelf_event *e, int64_t at)
{
    double weight = w->other;
    for (size_t i = 0; i < w->n; i++)
        if (str_is(e->type, w->type[i])) weight = w->weight[i];
    if (str_is(e->type, "review_submitted")) weight *= isnan(e->value) ? 0 : (fmin(fmax(e->value, 1), 5) - 3) / 2;
    return weight * left_of(w->half_life_days, e->occurred_at, at);
}

static bool is_before(const struct interaction_row *a, const struct interaction_row *b)
{
    return a->last_at != b->last_at ? a->last_at < b->last_at : a->product_no < b->product_no;
}

/* NULL: no memory. */
static struct shelf *with(const struct shelf *old, const struct shelf_event *e, const struct interaction_weights *w, int64_t at)
{
    struct interaction_row *rows, row = {.customer_no = old->customer_no, .product_no = e->product_no, .last_at = e->occurred_at, .bought_at = TIME_NONE};
    const double left = left_of(w->half_life_days, old->at, at);
    size_t known = 0, k = 0;
    while (known < old->n && old->rows[known].product_no != e->product_no) known++;
    struct shelf *s = shelf_new(old->customer_id, old->n + (known == old->n), &rows);
    if (s == NULL) return NULL;
    if (known < old->n) {
        row = old->rows[known];
        row.weight *= left;
        if (e->occurred_at > row.last_at) row.last_at = e->occurred_at;
    }
    row.weight += weight_of(w, e, at);
    bool in = false;
    for (size_t i = 0; i < old->n; i++) {
        if (i == known) continue;
        if (!in && is_before(&row, &old->rows[i])) rows[k++] = row, in = true;
        rows[k] = old->rows[i];
        rows[k++].weight *= left;
    }
    if (!in) rows[k] = row;
    s->known = old->known;
    s->profiling = old->profiling;
    s->customer_no = old->customer_no;
    s->events = old->events + 1;
    s->at = at;
    s->model_no = old->model_no;
    s->shard = old->shard;
    return s;
}

static bool all_had_happened(const struct shelf *s)
{
    return s->n == 0 || s->rows[s->n - 1].last_at <= s->at; /* the last one is the latest */
}

/* The weights, read when they are needed for the first time. */
struct weighing {
    bool there;
    struct interaction_weights weights;
};

/* Under the shard's lock. What stands in the entry's place from now on; NULL: it is to go. */
static const struct shelf *successor(struct shelves *v, const struct shelf_entry *e, const struct shelf_event *x, int64_t sent_ns, int64_t at, struct weighing *w)
{
    const struct shelf *old = e->shelf;
    if (e->came_ns >= sent_ns || old->customer_no != x->customer_no || !shelf_entry_counts(v, e)) return NULL;
    if (old->events + 1 + (int64_t)e->beside > INTERACTION_EVENTS_MAX || at < old->at || !all_had_happened(old)) return NULL;
    if (!counts(x)) return shelf_retain(old); /* with all that is kept beside it */
    if (!w->there) shelf_weights(v, &w->weights);
    w->there = true;
    return with(old, x, &w->weights, at);
}

static void add_one(struct service *svc, const struct shelf_event *x, int64_t sent_ns, int64_t at, struct weighing *w)
{
    struct shelves *v = svc->shelves;
    struct shelf_shard *d;
    struct shelf_entry *e = shelf_entry_lock(v, x->customer_id, &d);
    const struct shelf *next = e != NULL ? successor(v, e, x, sent_ns, at, w) : NULL;
    if (next == NULL) {
        pthread_mutex_unlock(&d->lock);
        shelf_changed(svc, &x->customer_no, 1);
        return;
    }
    const bool same = next == e->shelf;
    pthread_mutex_lock(&v->numbering); /* a change that was told meanwhile stands in the bucket by now, or gets a later number */
    struct shelf_bucket *b = shelf_bucket_of(v, x->customer_no);
    const bool still = shelf_entry_counts(v, e);
    const uint64_t now = atomic_fetch_add(&v->last, 1) + 1;
    atomic_store(&b->changed, now);
    pthread_mutex_unlock(&v->numbering);
    const uint32_t beside = same ? e->beside + 1 : e->beside;
    if (still) {
        shelf_entry_set(d, e, next, now, e->came_ns);
        e->beside = beside;
    } else {
        shelf_release(next);
    }
    pthread_mutex_unlock(&d->lock);
}

void shelf_add(struct service *svc, const struct shelf_event *events, size_t n, int64_t sent_ns)
{
    const int64_t at = clock_now();
    struct weighing w = {0};
    if (svc->shelves == NULL) return;
    for (size_t i = 0; i < n; i++) add_one(svc, &events[i], sent_ns, at, &w);
}
