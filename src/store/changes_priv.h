/* Shared by changed.c, segment_changes.c and those who note set-wise. */
#ifndef MEROS_STORE_CHANGES_PRIV_H
#define MEROS_STORE_CHANGES_PRIV_H

#include "meros/store/changed.h"
#include "meros/store/segment_changes.h"
#include "store_priv.h"

/* Advisory locks of two numbers: (CHANGES_LOCKS, 1) is the changes lock, (CHANGES_LOCKS, 2), shared, says that an
 * extraction is at work. */
#define CHANGES_LOCKS "1298494063"

/* Of the news that a statement noted, as (first, last) change_no or nulls: into the outbox of webhooks, and NOTIFY at the
 * commit. Holds the changes lock. */
enum meros_code changes_announce(struct store_conn *c, const struct rows *noted, struct meros_err *err) MEROS_MUSTCHECK;

/* Whose number is gone since the extraction began that this connection has under way: erased, or become one with another. Both
 * note it in their transaction, and a sweeper that takes a note remembers it. To be asked under the changes lock. malloc'ed. */
enum meros_code changed_gone(struct store_conn *c, int64_t **out_nos, size_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;

/* Pending moves (pending.c). settle: takes what is pending of some customers, or of a segmentation, into memberships and the
 * record; whoever writes there does so first. In a transaction; people: under the lock; all: takes it if there are any.
 * write: of new_memberships (store_memberships_write); takes the lock. any: whether anything of a segmentation is pending. */
enum meros_code pending_any(struct store_conn *c, struct str segmentation, bool *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code pending_settle_people(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code pending_settle_all(struct store_conn *c, int64_t segmentation_no, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code pending_write(struct store_conn *c, int64_t no, int64_t model_no, int64_t at, int64_t *out_changed,
                              struct meros_err *err) MEROS_MUSTCHECK;

/* Whoever an import touched, as an array in any order, or (changed_note_gathered) the table import_changed (customer_no), of the transaction; any number of rows a customer. */
enum meros_code changed_gather_prepare(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code changed_note_bulk(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
typedef enum meros_code changed_fn(void *arg, int64_t customer_no, struct meros_err *err);
enum meros_code changed_note_gathered(struct store_conn *c, changed_fn *fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK; /* fn: each of them */

#endif
