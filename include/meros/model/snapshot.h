/* The active models as one immutable set, shared by the threads that answer with it.
 *
 * A snapshot is built by one thread (snapshot_new, snapshot_add …), published, and from then on only read. Readers acquire
 * the published one (loading and retaining in one step under the holder's lock), use it as long as they like, and
 * release it; the last release frees it. Publishing never waits for readers. */
#ifndef MEROS_MODEL_SNAPSHOT_H
#define MEROS_MODEL_SNAPSHOT_H

#include <stddef.h>
#include "meros/model/model.h"

struct snapshot_model {
    struct segment_model *model; /* owned */
    char id[MODEL_ID_CAP];
    int version;
    int64_t model_no;
};
struct snapshot_clv {
    struct trained_clv *model; /* owned */
    char id[MODEL_ID_CAP];
    int version;
    int64_t model_no;
};
struct snapshot_recommender {
    struct recommender *recommender; /* owned, by all snapshots together that have it */
    char id[MODEL_ID_CAP];
    int version;
    int64_t model_no;
};
struct snapshot {
    const struct snapshot_model *models; /* of segmentations, by name */
    size_t n_models;
    const struct snapshot_clv *clv;      /* what lifetime values are answered from (TRAINED_CLV_NAME); NULL: none is active */
    const struct snapshot_recommender *recommender; /* what recommendations are answered from; NULL: none is active */
    /* private */
    struct snapshot_model *slots;
    size_t cap;
    struct snapshot_clv clv_slot;
    struct shared_recommender *shared;
    _Atomic long refs;
};

struct snapshot *snapshot_new(size_t cap); /* NULL: out of memory. One reference: the maker's */
/* Takes over m->model. At most `cap` times. */
void snapshot_add(struct snapshot *s, const struct snapshot_model *m);
void snapshot_add_clv(struct snapshot *s, const struct snapshot_clv *m); /* likewise; at most once */
/* Likewise; at most once, of the two. A recommender may be large: the next snapshot keeps the one of the last while the same
 * is active. */
void snapshot_add_recommender(struct snapshot *s, const struct snapshot_recommender *m);
void snapshot_keep_recommender(struct snapshot *s, const struct snapshot *last); /* last has one */
void snapshot_release(const struct snapshot *s); /* NULL is fine */
const struct snapshot_model *snapshot_find(const struct snapshot *s, struct str name); /* NULL if there is none */

struct snapshot_holder;
struct snapshot_holder *snapshot_holder_new(void); /* holds an empty snapshot; NULL: out of memory */
void snapshot_holder_free(struct snapshot_holder *h);
/* Takes over the maker's reference. */
void snapshot_publish(struct snapshot_holder *h, struct snapshot *s);
const struct snapshot *snapshot_acquire(struct snapshot_holder *h);

#endif
