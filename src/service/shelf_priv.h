/* The inside of shelves in memory: shelf.c keeps and reads them. */
#ifndef MEROS_SERVICE_SHELF_PRIV_H
#define MEROS_SERVICE_SHELF_PRIV_H

#include <pthread.h>
#include "meros/base/counters.h"
#include "meros/service/shelf.h"

enum { SHELF_SHARDS = 64, SHELF_BUCKET_BITS = 18 };

/* Numbers of changes (shelf.h). */
struct shelf_bucket {
    _Atomic uint64_t changed, forgotten;
};

/* A name and what is known of it. */
struct shelf_entry {
    struct shelf_entry *next;           /* of the chain */
    struct shelf_entry *newer, *older;  /* by last use */
    uint64_t hash;
    const struct shelf *shelf;          /* one reference */
    uint64_t seq;                       /* the number of the last change when its load began */
    int64_t came_ns;                    /* when the load came in: what was sent later is not in it */
    size_t bytes;
    uint32_t beside;                    /* events since then that are nothing of a shelf, of which `events` of the shelf does not know */
    uint32_t n;
    char name[];
};

struct shelf_shard {
    pthread_mutex_t lock; /* of all of it */
    struct shelf_entry **chains;
    size_t n_chains, n, bytes; /* n_chains: a power of two */
    struct shelf_entry *newest, *oldest;
};

struct shelves {
    /* fixed */
    struct service *svc;
    struct asker *asker;
    size_t budget; /* bytes of a shard */
    uint64_t seed;
    struct metric_series *hits, *misses;
    struct shelf_bucket *numbers; /* 2^SHELF_BUCKET_BITS */
    bool started;
    pthread_t warmer;

    struct shelf_shard shards[SHELF_SHARDS];
    pthread_mutex_t numbering; /* a number is given and put into its bucket under it, so that none comes in behind a later one. After a shard's lock */
    _Atomic uint64_t last; /* number of the last change of all; written under numbering, as all of these */
    _Atomic uint64_t all;  /* of the last change of everybody */
    _Atomic int64_t doubt_until_ns;

    pthread_mutex_t warm_lock;
    pthread_cond_t warm_wake;
    /* under warm_lock */
    bool warm_called, stopping;
    struct interaction_weights weights; /* with which shelves are read */
};

/* A shelf with one reference and room for n rows; NULL: no memory. */
struct shelf *shelf_new(struct str customer_id, size_t n, struct interaction_row **out_rows);
const struct shelf *shelf_retain(const struct shelf *s);
struct shelf_bucket *shelf_bucket_of(struct shelves *v, int64_t customer_no);
/* The present weights; returns the number of the model that they are of, 0: the default ones. */
int64_t shelf_weights(struct shelves *v, struct interaction_weights *out);

/* Locks the shard of a name; *out->lock is to be unlocked. NULL: no such entry. */
struct shelf_entry *shelf_entry_lock(struct shelves *v, struct str name, struct shelf_shard **out);
bool shelf_entry_counts(struct shelves *v, const struct shelf_entry *e); /* under that lock */
void shelf_entry_set(struct shelf_shard *d, struct shelf_entry *e, const struct shelf *s, uint64_t seq, int64_t came_ns);

#endif
