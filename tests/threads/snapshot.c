/* Readers acquire, use and release snapshots while others publish: ThreadSanitizer sees no race, and every snapshot that
 * a reader holds is whole (its models belong together) until it lets go. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "meros/model/snapshot.h"

enum { READERS = 4, WRITERS = 2, PUBLISHED = 400 };
static struct snapshot_holder *holder;
static _Atomic bool done;
static _Atomic long reads, torn;

static struct snapshot *make(unsigned stamp)
{
    struct snapshot *s = snapshot_new(3);
    for (int i = 2; i >= 0 && s != NULL; i--) {
        struct segment_model *m = segment_model_new(SEGMENT_RFM, RFM_GROUP_COUNT);
        if (m == NULL) abort();
        snprintf(m->name, sizeof m->name, "name%d", i);
        m->seed = stamp;
        for (int g = 0; g < RFM_GROUP_COUNT; g++)
            snprintf(m->segments[g].id, sizeof m->segments[g].id, "%s", rfm_group_slug((enum rfm_group)g));
        struct snapshot_model slot = {.model = m, .version = (int)stamp};
        snapshot_add(s, &slot);
    }
    return s;
}

static void *writer(void *arg)
{
    unsigned base = *(unsigned *)arg;
    for (unsigned i = 0; i < PUBLISHED; i++) {
        struct snapshot *s = make(base + i);
        if (s == NULL) abort();
        snapshot_publish(holder, s);
    }
    return NULL;
}

static void *reader(void *arg)
{
    (void)arg;
    while (!atomic_load(&done)) {
        const struct snapshot *s = snapshot_acquire(holder);
        if (s->n_models != 0) {
            uint64_t stamp = s->models[0].model->seed;
            float raw[FEATURE_COUNT] = {0};
            for (size_t i = 0; i < s->n_models; i++) {
                char name[32];
                snprintf(name, sizeof name, "name%zu", i);
                if (s->models[i].model->seed != stamp || strcmp(s->models[i].model->name, name) != 0 ||
                    segment_model_assign(s->models[i].model, raw, NULL, 0) != RFM_NO_PURCHASES)
                    atomic_fetch_add(&torn, 1);
            }
        }
        snapshot_release(s);
        atomic_fetch_add(&reads, 1);
    }
    return NULL;
}

int main(void)
{
    holder = snapshot_holder_new();
    if (holder == NULL) return 1;
    pthread_t r[READERS], w[WRITERS];
    unsigned base[WRITERS] = {1, 1000000};
    for (int i = 0; i < READERS; i++)
        if (pthread_create(&r[i], NULL, reader, NULL) != 0) return 1;
    for (int i = 0; i < WRITERS; i++)
        if (pthread_create(&w[i], NULL, writer, &base[i]) != 0) return 1;
    for (int i = 0; i < WRITERS; i++) pthread_join(w[i], NULL);
    atomic_store(&done, true);
    for (int i = 0; i < READERS; i++) pthread_join(r[i], NULL);
    snapshot_holder_free(holder);
    if (atomic_load(&torn) != 0) {
        fprintf(stderr, "%ld torn snapshots\n", atomic_load(&torn));
        return 1;
    }
    printf("snapshot: %ld reads while %d were published\n", atomic_load(&reads), WRITERS * PUBLISHED);
    return 0;
}
