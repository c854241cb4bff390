/* The ingest path: group commit. Everything that arrives item by item joins one open batch, whoever sent it; a writer
 * lands the batch in one transaction and then tells each request how its own items fared. A request that was told OK is
 * on disk, once. While one batch commits the next fills, and a second writer sends it, so an idle service commits a lone
 * event at once and a busy one many together. What cannot be kept is refused at once: RATE_LIMITED when the queue is full,
 * UNAVAILABLE when the database is away or the service drains, both with retry_after. Nothing waits longer than its
 * patience: a request that the database leaves without an answer is refused while the statement still runs, and
 * whether its items landed is then not known; sending it again is safe, since every item has an identity. Nothing is
 * dropped silently.
 *
 * A batch whose connection broke, whose commit is in doubt or that met another writer is tried again as a whole. Should
 * the database refuse a value (decoding makes sure that it does not), the batch is landed by halves until the one item
 * is found; it alone is rejected, with a line in the log.
 *
 * Threads: ingest_submit from any thread, never blocks; it copies what it is given. done() is called once, by a writer
 * or the watch, which must not be kept: it may only reply. It may be called before ingest_submit returns. */
#ifndef MEROS_SERVICE_INGEST_H
#define MEROS_SERVICE_INGEST_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/ingest.h"
#include "meros/service/service.h"

enum { INGEST_ITEMS_MAX = 2500 /* of one request */, INGEST_PATIENCE_MS = 5000, INGEST_PATIENCE_LEAST_MS = 1000 };

/* Owned by whoever submits, until done() is called; what items and offsets point to is needed only until ingest_submit
 * returns. A request without items is landed for its offsets. */
struct ingest_request {
    enum ingest_source source;
    const struct ingest_item *items;
    struct ingest_result *results; /* n of them, filled before done() with rc OK */
    size_t n;
    const struct ingest_offset *offsets; /* moved by the request's transaction (store_kafka_offsets_move), which it has alone */
    size_t n_offsets;
    const char *offsets_group; /* the consumer group whose offsets they are */
    int patience_ms; /* INGEST_PATIENCE_LEAST_MS or more; 0: INGEST_PATIENCE_MS */
    /* rc OK: committed, results tell of each item. Otherwise nothing is known to have landed; trying again is safe. CANCELLED: the
     * offsets are not where they were expected, nothing landed and nothing will. */
    void (*done)(struct ingest_request *r, enum meros_code rc, const struct meros_err *err);
    void *arg;
    /* true: once done() was called, whoever submitted frees `spent` (NULL where done() got an error of the watch's), the path's own copy
     * of the items, and does so on the thread that submitted if he can: memory that one thread allocates and another one frees is dear. */
    bool frees_spent;
    void *spent;
};

/* Three threads; after the schema is current. */
enum meros_code ingest_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
/* An error means that it was not taken: done() is not called. */
enum meros_code ingest_submit(struct service *svc, struct ingest_request *r, struct meros_err *err) MEROS_MUSTCHECK;
/* Submits and waits for the answer: for threads that may block (an I/O worker, a consumer). r->done and r->arg are set
 * here. Returns what done() was told. */
enum meros_code ingest_land(struct service *svc, struct ingest_request *r, struct meros_err *err) MEROS_MUSTCHECK;
/* What was taken is landed and answered first; what comes later is refused. Then threads end. Whoever submits (HTTP, a
 * consumer) is drained before. */
void ingest_stop(struct service *svc);
void ingest_free(struct service *svc); /* after ingest_stop, when nobody submits any more */

#endif
