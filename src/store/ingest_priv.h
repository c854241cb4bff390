/* A batch of events and outcomes between the two files that land it: ingest.c finds out who and what is meant and holds the
 * exchanges with the server, ingest_rows.c says what is in them of the rows themselves. */
#ifndef MEROS_STORE_INGEST_PRIV_H
#define MEROS_STORE_INGEST_PRIV_H

#include "idmap_priv.h"
#include "meros/store/ingest.h"
#include "store_priv.h"

/* What is remembered between batches. */
struct ingest_hints {
    struct idmap customers; /* twice the number, plus one where the id is one by which the customer is known */
    struct idmap products;
    struct idmap pairs;
    int64_t gone; /* customers_gone when the first of them was looked up */
    bool gone_known;
    int careful; /* batches that are still to be landed carefully */
};

/* --- a batch under way */
enum { STEPS = 8, PARAMS = 19 };

/* What is to be inserted and what became of it: an event or an outcome, in the order of the keys. */
struct entry {
    int64_t customer_no;
    const struct crypto_hash128 *key;
    size_t at; /* which of the batch */
};

struct ingest_sent {
    bool whole;
    bool names_sent; /* the exchange under way is the one that looks up names */
    bool hopeful;    /* rows are put as if none of them were there */
    bool at_once;    /* the exchange under way is the only one */
    struct sql_step steps[STEPS];
    size_t from, n; /* those under way */
    struct sql_param params[STEPS][PARAMS];
    struct rows gone, customers, products, seen, events, outcomes;
    struct idmap found_customers, found_products; /* of this batch: what was not remembered */
    struct entry *event_entries, *outcome_entries;
};

/* ingest.c */
enum meros_code ingest_no_memory(struct meros_err *err);
enum meros_code ingest_erased(struct meros_err *err); /* somebody meant was erased meanwhile */
/* One more statement for the next exchange; its parameters are in params[n] already. out: NULL where no rows come. */
void ingest_add_step(struct ingest_sent *s, const struct sql *sql, size_t n_params, struct rows *out);
/* The number behind an id as far as it is known; 0: not known. A customer said by a known id counts only as one who is
 * known by it. */
int64_t ingest_customer_of(struct ingest_batch *b, struct str id, bool visitor);
int64_t ingest_product_of(struct ingest_batch *b, struct str id);

/* ingest_rows.c, in the order of calls. */
bool ingest_by_copy(const struct ingest_batch *b); /* so many events that they are copied */
/* Everything is known by number: adds the steps that put the rows, or, of those that are copied, look which are there. */
enum meros_code ingest_add_rows(struct ingest_batch *b, struct meros_err *err) MEROS_MUSTCHECK;
/* After that exchange, where ingest_by_copy. */
enum meros_code ingest_copy_events(struct store_conn *c, struct ingest_batch *b, struct meros_err *err) MEROS_MUSTCHECK;
/* Which landed, as the answers to the steps tell. */
void ingest_note_fates(struct ingest_batch *b);
/* Adds the steps that count what landed, and, in a whole batch, note whose events they are. */
enum meros_code ingest_add_activity(struct ingest_batch *b, struct meros_err *err) MEROS_MUSTCHECK;

#endif
