#include "meros/model/snapshot.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

struct snapshot_holder {
    pthread_mutex_t lock;
    struct snapshot *current; /* under lock; holds one reference */
};

struct shared_recommender {
    struct snapshot_recommender of;
    _Atomic long refs; /* snapshots */
};

static void let_go(struct shared_recommender *shared)
{
    if (shared == NULL || atomic_fetch_sub_explicit(&shared->refs, 1, memory_order_acq_rel) != 1) return;
    recommender_free(shared->of.recommender);
    free(shared);
}

struct snapshot *snapshot_new(size_t cap)
{
    struct snapshot *s = calloc(1, sizeof *s);
    if (s == NULL) return NULL;
    s->slots = calloc(cap + 1, sizeof *s->slots);
    s->shared = calloc(1, sizeof *s->shared);
    if (s->slots == NULL || s->shared == NULL) {
        free(s->shared);
        free(s->slots);
        free(s);
        return NULL;
    }
    atomic_init(&s->shared->refs, 1);
    s->models = s->slots;
    s->cap = cap;
    atomic_init(&s->refs, 1);
    return s;
}

void snapshot_add(struct snapshot *s, const struct snapshot_model *m)
{
    assert(s->n_models < s->cap);
    size_t at = s->n_models++;
    while (at > 0 && strcmp(s->slots[at - 1].model->name, m->model->name) > 0) {
        s->slots[at] = s->slots[at - 1];
        at--;
    }
    s->slots[at] = *m;
}

void snapshot_add_clv(struct snapshot *s, const struct snapshot_clv *m)
{
    assert(s->clv == NULL);
    s->clv_slot = *m;
    s->clv = &s->clv_slot;
}

void snapshot_add_recommender(struct snapshot *s, const struct snapshot_recommender *m)
{
    assert(s->recommender == NULL);
    s->shared->of = *m;
    s->recommender = &s->shared->of;
}

void snapshot_keep_recommender(struct snapshot *s, const struct snapshot *last)
{
    assert(s->recommender == NULL && last->recommender != NULL);
    let_go(s->shared);
    s->shared = last->shared;
    atomic_fetch_add_explicit(&s->shared->refs, 1, memory_order_relaxed);
    s->recommender = &s->shared->of;
}

void snapshot_release(const struct snapshot *s)
{
    if (s == NULL) return;
    /* The count is the one thing in a published snapshot that changes. */
    struct snapshot *mine = (struct snapshot *)(uintptr_t)s;
    if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1) return;
    for (size_t i = 0; i < mine->n_models; i++) segment_model_free(mine->slots[i].model);
    trained_clv_free(mine->clv_slot.model);
    let_go(mine->shared);
    free(mine->slots);
    free(mine);
}

const struct snapshot_model *snapshot_find(const struct snapshot *s, struct str name)
{
    for (size_t i = 0; i < s->n_models; i++)
        if (str_is(name, s->models[i].model->name)) return &s->models[i];
    return NULL;
}

struct snapshot_holder *snapshot_holder_new(void)
{
    struct snapshot_holder *h = calloc(1, sizeof *h);
    if (h == NULL) return NULL;
    h->current = snapshot_new(0);
    if (h->current == NULL || pthread_mutex_init(&h->lock, NULL) != 0) {
        snapshot_release(h->current);
        free(h);
        return NULL;
    }
    return h;
}

void snapshot_holder_free(struct snapshot_holder *h)
{
    if (h == NULL) return;
    snapshot_release(h->current);
    pthread_mutex_destroy(&h->lock);
    free(h);
}

void snapshot_publish(struct snapshot_holder *h, struct snapshot *s)
{
    pthread_mutex_lock(&h->lock);
    struct snapshot *old = h->current;
    h->current = s;
    pthread_mutex_unlock(&h->lock);
    snapshot_release(old); /* outside the lock: freeing models takes a while */
}

const struct snapshot *snapshot_acquire(struct snapshot_holder *h)
{
    pthread_mutex_lock(&h->lock);
    struct snapshot *s = h->current;
    atomic_fetch_add_explicit(&s->refs, 1, memory_order_relaxed);
    pthread_mutex_unlock(&h->lock);
    return s;
}
