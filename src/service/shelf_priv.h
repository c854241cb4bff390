/* The inside of shelves in memory (service/shelf.h).
 *
 *   shelf_memory.c   what is in memory, by name; which of it counts; what goes when memory is short
 *   shelf.c          reading it from the database, hearing of what others did; life
 *   shelf_add.c      a plain event put into a shelf
 *   shelf_warm.c     reading it before anybody asks */
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
    struct shelf_entry *rich; /* those used before this one have nothing beside their shelves; NULL: that is all of them */
};

struct shelves {
    /* fixed */
    struct service *svc;
    struct asker *asker;
    size_t budget; /* bytes of a shard, what is beside its shelves included */
    uint64_t seed;
    struct metric_series *hits, *misses;
    struct shelf_bucket *numbers; /* 2^SHELF_BUCKET_BITS */
    bool warming;
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
    int64_t model_no;                   /* of the recommender that was warmed for; 0: none */
    struct interaction_weights weights; /* with which shelves are read */
};

/* --- shelf_memory.c */

enum meros_code shelf_memory_new(struct shelves *v, size_t bytes, struct meros_err *err) MEROS_MUSTCHECK;
void shelf_memory_free(struct shelves *v); /* also what shelf_memory_new made a part of */

/* A shelf with one reference and room for n rows; NULL: no memory. */
struct shelf *shelf_new(struct str customer_id, size_t n, struct interaction_row **out_rows);
const struct shelf *shelf_retain(const struct shelf *s);
struct shelf_bucket *shelf_bucket_of(struct shelves *v, int64_t customer_no);
/* A load of the caller's that began at `seq` has come in; nobody else has s yet. Not kept: what has changed since, and what is older than
 * what is there. */
void shelf_come_in(struct shelves *v, struct str name, struct shelf *s, uint64_t seq);
/* A reference to what counts now, NULL: it is to be read. As shelf_peek, but it is not counted as asked for. */
const struct shelf *shelf_now(struct shelves *v, struct str name);
/* What was read once and may still be given where nothing better is to be had; a reference, NULL: nothing. */
const struct shelf *shelf_stale(struct shelves *v, struct str name);
/* Of all shelves and what is beside them. out_names: NULL, or how many names. */
size_t shelf_bytes(struct shelves *v, size_t *out_names);
/* Up to `most` names that are in memory, those that were used last first, about; in the arena. */
enum meros_code shelf_names(struct shelves *v, size_t most, struct arena *arena, const struct str **out, size_t *out_n,
                            struct meros_err *err) MEROS_MUSTCHECK;

/* Locks the shard of a name; *out->lock is to be unlocked. NULL: no such entry. */
struct shelf_entry *shelf_entry_lock(struct shelves *v, struct str name, struct shelf_shard **out);
bool shelf_entry_counts(struct shelves *v, const struct shelf_entry *e); /* under that lock */
/* What an entry holds, from now on; takes over the reference. Under that lock. */
void shelf_entry_set(struct shelf_shard *d, struct shelf_entry *e, const struct shelf *s, uint64_t seq, int64_t came_ns);

/* --- shelf.c */

/* The present weights; returns the number of the model that they are of, 0: the default ones. */
int64_t shelf_weights(struct shelves *v, struct interaction_weights *out);
/* Reads n names and keeps those that are somebody's. out: n shelves, each with a reference of the caller's (NULL: no memory for it). */
enum meros_code shelf_load(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, struct arena *arena,
                           const struct shelf **out, struct meros_err *err) MEROS_MUSTCHECK;

/* --- shelf_warm.c */

enum meros_code shelf_warm_start(struct shelves *v, struct meros_err *err) MEROS_MUSTCHECK;
void shelf_warm_stop(struct shelves *v);

#endif
