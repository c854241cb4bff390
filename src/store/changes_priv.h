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

/* Whoever an import touched, as an array in any order, or (changed_note_gathered) the table import_changed (customer_no), of the transaction; any number of rows a customer. */
enum meros_code changed_gather_prepare(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code changed_note_bulk(struct store_conn *c, const int64_t *customer_nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code changed_note_gathered(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

#endif
