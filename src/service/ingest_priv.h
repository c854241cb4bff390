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
    bool offsets; /* some request of the batch has any */
    int64_t now;
    struct landing_part sent; /* between landing_begin and landing_finish */
    bool is_sent;
};

/* Lands a part that is not plain: names, traits, events, orders, outcomes, offsets in one transaction. ingest_full.c */
enum meros_code landing_full(struct landing *l, struct landing_part *p, struct meros_err *err) MEROS_MUSTCHECK;
bool landing_plain(const struct landing *l, const struct ingest_item *item); /* whether it needs no more than that */

/* Sends the batch if it can be landed in one exchange. What goes wrong here goes wrong again in landing_finish, which
 * must follow, and is told there. */
void landing_begin(struct landing *l, struct pending *first);
/* The rest of one attempt, or another one: OK when all is committed and each item's result is set. UNPROCESSABLE never comes back: items that the
 * database refuses are rejected alone. */
enum meros_code landing_finish(struct landing *l, struct pending *first, struct meros_err *err) MEROS_MUSTCHECK;
void landing_end(struct landing *l);   /* of the batch */
void landing_close(struct landing *l); /* of the writer */

#endif
