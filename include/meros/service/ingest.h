/* The ingest path: group commit. Everything that arrives item by item joins one open batch, whoever sent it; one writer
 * lands the batch in one transaction and then tells each request how its own items fared. A request that was told OK is
 * on disk, once. While one batch commits the next fills, so an idle service commits a lone event at once and a busy one
 * many together. What cannot be kept (the queue is full, the database is away, the service drains) is refused at once
 * with RATE_LIMITED or UNAVAILABLE; nothing waits longer than its deadline, and nothing is dropped silently.
 *
 * Threads: ingest_submit from any thread, never blocks; done() is called once by the writer or the watch, from a thread
 * that must not be kept: it may only reply. */
#ifndef MEROS_SERVICE_INGEST_H
#define MEROS_SERVICE_INGEST_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/ingest.h"
#include "meros/service/service.h"

enum { INGEST_ITEMS_MAX = 2500 }; /* of one request */

/* Owned by whoever submits, with all that it points to, until done() is called. */
struct ingest_request {
    enum ingest_source source;
    const struct ingest_item *items;
    struct ingest_result *results; /* n of them, filled before done() */
    size_t n;
    const struct ingest_offset *offsets; /* written by the batch's transaction (store_kafka_offsets_write) */
    size_t n_offsets;
    /* rc OK: committed, results tell of each item. Otherwise nothing is known to have landed; trying again is safe. */
    void (*done)(struct ingest_request *r, enum meros_code rc, const struct meros_err *err);
    void *arg;
    /* private to the ingest path */
    struct ingest_request *next;
    int64_t submitted_ns;
    size_t bytes;
};

enum meros_code ingest_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code ingest_submit(struct service *svc, struct ingest_request *r, struct meros_err *err) MEROS_MUSTCHECK;
void ingest_stop(struct service *svc); /* what was taken is landed and answered first, within the drain's time */

#endif
