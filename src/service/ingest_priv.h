/* The inside of the ingest path: ingest_copy.c copies what is submitted, ingest.c queues and answers it, ingest_lane.c gathers
 * batches, ingest_land.c and ingest_full.c land them. */
#ifndef MEROS_SERVICE_INGEST_PRIV_H
#define MEROS_SERVICE_INGEST_PRIV_H

#include <pthread.h>
#include "meros/base/arena.h"
#include "meros/base/counters.h"
#include "meros/service/ingest.h"
#include "meros/store/ingest.h"

/* The path's own copy of a request: one block of memory, so that the request can be answered at any moment, whatever the
 * database does with the copy. */
struct pending {
    struct pending *next;
    struct ingest_request *request; /* under the path's lock; NULL: answered */
    struct ingest_request *claimed; /* of whoever answers it */
    int64_t submitted_ns, due_ns; /* due: when it is refused at the latest */
    size_t bytes;
    enum ingest_source source;
    unsigned side; /* of a single item: a number by its customer; of others: any */
    size_t n, n_offsets;
    struct ingest_item *items;
    struct crypto_hash128 *keys; /* of events and outcomes */
    struct ingest_result *results;
    struct ingest_offset *offsets;
    const char *offsets_group;
};

struct pending *pending_copy(struct service *svc, struct ingest_request *r); /* one block, free() ends it; NULL: no memory */

/* One item of the batch, whichever request it came with. */
struct landing_item {
    const struct ingest_item *item;
    const struct crypto_hash128 *key;
    struct ingest_result *result;
};
/* Some of the batch, landed in one transaction. */
struct landing_part {
    size_t from, to; /* of the batch's items */
    bool last;       /* with it go the offsets */
    bool plain;      /* one exchange lands it */
    struct ingest_batch b;
    struct ingest_result **event_results, **outcome_results; /* beside b.events and b.outcomes */
};

/* What the writer works with; its thread's alone. */
struct landing {
    struct service *svc;
    struct store_conn *conn; /* NULL: none now */
    struct ingest_hints *hints;
    struct arena arena; /* of a batch */
    const struct pending *first; /* NULL: not made ready */
    struct landing_item *items;
    size_t n;
    bool offsets; /* the batch is a request that has any: such a one lands alone (take_batch), as it may be refused alone */
    int64_t now;
};

/* Lands a part that is not plain: names, traits, events, orders, outcomes, offsets in one transaction. ingest_full.c */
enum meros_code landing_full(struct landing *l, struct landing_part *p, struct meros_err *err) MEROS_MUSTCHECK;
bool landing_plain(const struct landing *l, const struct ingest_item *item); /* whether it needs no more than that */

/* One attempt: OK when all is committed and each item's result is set. UNPROCESSABLE never comes back: items that the
 * database refuses are rejected alone. */
enum meros_code landing_land(struct landing *l, struct pending *first, struct meros_err *err) MEROS_MUSTCHECK;
void landing_end(struct landing *l);   /* of the batch */
void landing_close(struct landing *l); /* of the writer */

/* --- lanes: writers with a database connection each, which take batches from the one queue in turns: while one waits for
 * its commit the next batch gathers and is sent. Where two batches speak of the same customer the later one waits for the
 * earlier one's commit; so when many wait, each lane takes its own customers first. */
enum { INGEST_LANES = 2 };

struct lane {
    struct ingest *path;
    /* under the path's lock */
    struct pending *batch; /* at the database; the watch may take requests out */
    size_t landing;        /* requests of it */
    int64_t taken_ns;      /* when it was taken */
    /* the writer's */
    pthread_t writer;
    bool started;
    struct landing work;
    size_t expected;     /* requests that its next batch should hold, as far as one can tell */
    int64_t answered_ns; /* when it answered */
    int64_t quickest_ns; /* from sending a batch to its commit, at best, of late; 0: nothing is known */
};

struct ingest {
    struct service *svc;
    pthread_mutex_t lock;
    pthread_cond_t filled;  /* as many as wanted wait, or stopping */
    pthread_cond_t turn;    /* nobody gathers */
    pthread_cond_t stopped; /* for the watch, and for the writers' pauses */
    /* under lock: the queue */
    struct pending *head, **tail;
    size_t requests, items, bytes; /* that wait */
    int64_t newest_ns;             /* when the last of them came */
    size_t wanted;                 /* who gathers sleeps until so many requests wait; 0: is not asleep */
    bool gathering;                /* some lane does */
    /* under lock */
    int64_t away_until_ns;
    bool stopping;
    int writing; /* writers that run */
    struct lane lanes[INGEST_LANES];
    pthread_t watch;
    bool watching;
};

void lane_metrics(void);     /* once, before the threads */
void *lane_write(void *arg); /* a lane's thread */
struct timespec ingest_after_ns(int64_t ns); /* for waits on the path's conditions */
/* Tells whoever still waits for them, counts them, frees them. */
void ingest_answer_all(struct ingest *g, struct pending *first, enum meros_code rc, const struct meros_err *err);

#endif
