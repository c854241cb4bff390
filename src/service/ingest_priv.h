/* A batch on its way: ingest.c gathers and answers, ingest_land.c lands. */
#ifndef MEROS_SERVICE_INGEST_PRIV_H
#define MEROS_SERVICE_INGEST_PRIV_H

#include "meros/base/arena.h"
#include "meros/service/ingest.h"
#include "meros/store/ingest.h"

/* The path's own copy of a request: one block of memory, so that the request can be answered at any moment, whatever the
 * database does with the copy. */
struct pending {
    struct pending *next;
    struct ingest_request *request; /* under the path's lock; NULL: answered */
    int64_t submitted_ns;
    size_t bytes;
    enum ingest_source source;
    size_t n, n_offsets;
    struct ingest_item *items;
    struct crypto_hash128 *keys; /* of events and outcomes */
    struct ingest_result *results;
    struct ingest_offset *offsets;
    const char *offsets_group;
};

/* What the writer works with; its thread's alone. */
struct landing {
    struct service *svc;
    struct store_conn *conn; /* NULL: none now */
    struct ingest_hints *hints;
    struct arena arena; /* of a batch */
    /* the batch, in one row: where each event and outcome comes from */
    const struct pending *first; /* NULL: not made ready */
    struct ingest_event *events;
    struct ingest_result **event_results;
    size_t n_events;
    struct ingest_outcome *outcomes;
    struct ingest_result **outcome_results;
    size_t n_outcomes;
    bool offsets; /* some request of the batch has any */
    int64_t now;
    struct ingest_batch sent; /* between landing_send and landing_finish */
    bool is_sent;
};

/* Sends the batch if it can be landed in one exchange. What goes wrong here goes wrong again in landing_finish, which
 * must follow, and is told there. */
void landing_begin(struct landing *l, struct pending *first);
/* The rest of one attempt, or another one: OK when all is committed and each item's result is set. UNPROCESSABLE never comes back: items that the
 * database refuses are rejected alone. */
enum meros_code landing_finish(struct landing *l, struct pending *first, struct meros_err *err) MEROS_MUSTCHECK;
void landing_end(struct landing *l);   /* of the batch */
void landing_close(struct landing *l); /* of the writer */

#endif
