/* Landing a batch of what came in item by item (service/ingest.h): events and outcomes.
 *
 * A plain batch (events and outcomes, no traits, no joining of customers, no order events, no offsets) is one round trip or
 * two, its transaction included:
 *
 *   store_ingest_send(c, &batch, true, err) ; …other work… ; store_ingest_wait(c, &batch, err)     // committed
 *
 * Any other batch is a transaction of the caller's, in which the same happens as one step of several:
 *
 *   store_begin(c) ; store_ingest_lock(c) ; …names, traits… ; store_ingest_send(c, &batch, false) ; store_ingest_wait ;
 *   …orders… ; store_commit(c)
 *
 * Customers and products that are only mentioned are made. Rows are taken in the order of their keys, so that writers of
 * several processes do not wait for each other in a circle; where it happens nevertheless (40P01, 40001, 23505) the whole
 * transaction may be tried again, as it may after the connection broke: what had landed then comes back as a duplicate.
 * Statistics are exact as of the commit. Nothing here may fail because of one row; should a value slip through that the
 * database refuses (SQLSTATE 22, 23, 54), the call fails with UNPROCESSABLE and the caller finds the row by halves. */
#ifndef MEROS_STORE_INGEST_H
#define MEROS_STORE_INGEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/domain/rows.h"
#include "meros/store/store.h"

/* Numbers of ids that are remembered between batches, so that a batch need not look them up. They hold as long as no
 * customer was erased or joined to another, which each batch sees for itself. Bounded memory; of one thread. */
struct ingest_hints;
struct ingest_hints *ingest_hints_new(void); /* NULL: no memory */
void ingest_hints_free(struct ingest_hints *h);
/* That an anonymous id is known to belong to a customer who has this id, or may have been given to somebody before. */
bool ingest_hints_paired(struct ingest_hints *h, struct str customer_id, struct str anonymous_id);
void ingest_hints_pair(struct ingest_hints *h, struct str customer_id, struct str anonymous_id);

enum ingest_fate {
    INGEST_FATE_LANDED,
    INGEST_FATE_SEEN /* its identity was there already: nothing changed */
};
struct ingest_event {
    const struct event_row *row;
    bool anonymous; /* a customer made for it is a visitor */
    struct crypto_hash128 key; /* event_key() */
    int64_t customer_no; /* in, where the batch is resolved; else out */
    enum ingest_fate fate; /* out */
    int64_t product_no; /* out, unless the batch is `named`; 0: none */
};
struct ingest_outcome {
    const struct outcome_row *row;
    struct crypto_hash128 key; /* outcome_key() */
    int64_t customer_no;
    enum ingest_fate fate;
};
struct ingest_batch {
    struct ingest_event *events;
    size_t n_events;
    struct ingest_outcome *outcomes;
    size_t n_outcomes;
    int64_t now; /* of what has no moment of its own */
    double half_life_days;
    struct ingest_hints *hints; /* NULL: everything is looked up */
    bool resolved;              /* customer_no of each is given (store/identity.h) */
    struct arena *arena;        /* until store_ingest_wait returns */
    bool named; /* out: customers or products were looked up by name, and may be new, or visitors known by name now */
    /* private */
    struct ingest_sent *sent;
};

/* A connection for one writer, its plans fixed to look-ups by key. */
enum meros_code store_ingest_connect(struct store_pool *p, struct store_conn **out, struct meros_err *err) MEROS_MUSTCHECK;
/* Within a transaction, before anything else: keeps imports and erasure out until it ends, and lets other batches in.
 * exclusive: those are kept out too (customers are joined). */
enum meros_code store_ingest_lock(struct store_conn *c, bool exclusive, struct meros_err *err) MEROS_MUSTCHECK;
/* whole: with begin, lock, the note of changed customers and commit. Otherwise only what lies between; the caller has the
 * lock and notes changed customers itself. */
enum meros_code store_ingest_send(struct store_conn *c, struct ingest_batch *b, bool whole, struct meros_err *err) MEROS_MUSTCHECK;
/* Must follow a send that went well. After an error: store_rollback. */
enum meros_code store_ingest_wait(struct store_conn *c, struct ingest_batch *b, struct meros_err *err) MEROS_MUSTCHECK;

#endif
