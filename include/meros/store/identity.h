/* Who is who: from the names that messages carry to numbers of customers.
 *
 * Ids of customers are one namespace. Behind an id stands one customer; a customer may have any number of ids. A customer
 * of whom only anonymous ids are known is a visitor (customers.anonymous). The rules, in the order of the items:
 *
 *   - An id that was never seen makes a customer: a visitor where it was said as an anonymous one.
 *   - An id said as a known one (customer_id, userId) names its customer: a visitor becomes that customer, keeps the
 *     history and answers to this name from then on (customers.customer_id).
 *   - An anonymous id beside a known one says that both are one person. If the anonymous id is new, it becomes one more
 *     name of the customer. If it is a visitor's, the visitor joins the customer: history, statistics, orders, everything.
 *     If it belongs to an identified customer already, nothing happens: the id stays with its first owner, and the other
 *     customer is whom the message names. So on a shared device the second person to log in takes over nothing that the
 *     first did. What such a device sends under the anonymous id alone, after a log-out that did not renew the id (the
 *     browser SDKs renew it when the user changes, others on reset()), counts for the first owner.
 *   - An alias joins whatever stands behind the two ids, both identified or not. The customer who is identified survives,
 *     else the one that the alias names; of two identified ones that which it names (userId, not previousId).
 *
 * Joining moves everything to the survivor: ids, events (one of each key stays), activity, orders and their lines,
 * statistics, outcomes, memberships and their changes. The survivor's attributes and personal texts hold, the other's
 * fill the gaps; a consent that either has denied is denied. Statistics are added up, which is exact, so the cost is that
 * of the history that moves, row by row: of the two histories that is the smaller. Where the survivor's is smaller by far,
 * the survivor goes on under the number of the other, with nothing else to tell. So one of the two numbers is gone, which one
 * is not said: whoever kept a number finds no customer, or the one who it was joined to; whoever kept an id finds the same
 * person as ever. A join of two large histories holds everybody up for as long as the smaller takes: some 15 to 25
 * microseconds a row.
 *
 * Locks. Whoever resolves holds the import lock: in shared mode, as a batch of events does, everything but a join may
 * happen, and two batches (of two replicas) may make or name the same person at once: the ids are a key, and a visitor
 * can be named once. A join needs the lock in exclusive mode: it moves rows that a batch beside it may be writing.
 * identity_resolve says that (who.exclusive) before it has written anything; the caller rolls back and begins again with
 * the exclusive lock. Writers outside of that lock (PUT, memberships) meet a join at the row of the customer: they lock
 * it, at least FOR KEY SHARE, before they write rows of that customer, and find it gone afterwards or do not.
 *
 * All of it is idempotent: said again, it changes nothing. UNAVAILABLE: another writer made or named the same person in
 * this moment; roll back and try the transaction again. */
#ifndef MEROS_STORE_IDENTITY_H
#define MEROS_STORE_IDENTITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/order_events.h"
#include "meros/store/store.h"

/* What one item says of its customer. */
struct identity_item {
    struct str id;       /* customer_id of the item */
    bool anonymous;      /* it is an anonymous id */
    bool alias;          /* `other` is another name of the same person, whoever has it */
    struct str other;    /* the anonymous id beside a known one, or of an alias the previous id; STR_NONE: none */
    int64_t customer_no; /* out: after everything that the batch says */
};

struct identity_outcome {
    bool exclusive;            /* nothing was done: a join is due, which the shared lock does not allow */
    const int64_t *changed_nos; /* customers who were joined, by the number that is left: to be judged again */
    size_t n_changed;
    const int64_t *gone_nos; /* numbers that are nobody's now: to be noted too, so that what is predicted of them goes */
    size_t n_gone;
    size_t made, named, joined; /* customers made, visitors named, customers joined away */
    size_t moved;                    /* rows of history that got another number */
    const struct told_order *orders; /* of which order events moved or went: to be made again (store/order_events.h) */
    size_t n_orders;
};

/* Resolves the names of a batch, in one statement where nothing is new. Inside the caller's transaction, under the
 * import lock (`exclusive`: how it is held). Views in `out` live in the arena; items keep the views that they have. */
enum meros_code identity_resolve(struct store_conn *c, bool exclusive, struct identity_item *items, size_t n,
                                 struct arena *memory, struct identity_outcome *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Joins from_no into into_no, whatever they are; under the exclusive import lock, inside the caller's transaction. The
 * outcome as above: out->changed_nos[0] is the number that is left. */
enum meros_code identity_join(struct store_conn *c, int64_t from_no, int64_t into_no, struct arena *memory,
                              struct identity_outcome *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
