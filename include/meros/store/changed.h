/* Whose statistics, attributes or identity changed and who has yet to be judged anew: what ties a change of data to a
 * change of segments.
 *
 * Whoever changes customers notes them in the same transaction (store_changed_note; imports do so set-wise), and wakes the
 * sweeper after the commit (service/sweeper.h). The sweeper takes notes away in the transaction in which it writes what
 * followed from them: a note is there until somebody has judged, whatever dies in between.
 *
 * A note says which process wrote it (store_origin), and NOTIFY meros_shelves tells, with the transaction that takes notes, who changed
 * by whom: "ORIGIN NUMBER NUMBER …", ORIGIN "*" where it was several or nobody knows, "* *" for more than can be told. Who keeps something of customers
 * in memory hears of others' changes by that; notes that only have somebody judged anew ("-") are not told.
 *
 * Judging everybody (training, activation, refresh) reads the statistics long before it writes memberships. From
 * store_extraction_begin to its end whoever is judged is remembered too, and judged once more when nobody is at work any
 * longer: then by the model that is active and from the statistics that there are. */
#ifndef MEROS_STORE_CHANGED_H
#define MEROS_STORE_CHANGED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/store/store.h"

enum { CHANGED_ROW_MAX = 2000 }; /* customers of one row: what is judged in one transaction */

/* In the caller's transaction. Any order, repetitions are fine; n 0 does nothing. One statement. Takes no lock. */
enum meros_code store_changed_note(struct store_conn *c, const int64_t *customer_nos, size_t n,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* Whether `hours` have gone by since everybody was due, which begins them anew; the first time it begins them. Of several
 * replicas one is told so. */
enum meros_code store_changed_everybody_due(struct store_conn *c, int hours, bool *out_due, struct meros_err *err) MEROS_MUSTCHECK;
/* Everybody, to be judged when nothing else waits; nobody if such are waiting already. */
enum meros_code store_changed_note_everybody(struct store_conn *c, int64_t *out_rows, struct meros_err *err) MEROS_MUSTCHECK;

/* Takes notes away, the oldest first: as many as hold up to CHANGED_ROW_MAX customers together (at least one). Notes that
 * somebody else is taking are passed by. *out_nos: malloc'ed, ascending, each customer once; NULL when there are none.
 * *out_since: when the oldest of them was written. */
enum meros_code store_changed_take(struct store_conn *c, bool bulk, int64_t **out_nos, size_t *out_n, int64_t *out_since,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* How long the oldest note has been waiting in seconds (0: none waits), and how many customers wait. */
enum meros_code store_changed_waiting(struct store_conn *c, double *out_seconds, int64_t *out_customers, struct meros_err *err) MEROS_MUSTCHECK;

/* Before the statistics are read, outside of any transaction, on a connection of one's own that is closed afterwards: from
 * now until store_extraction_end, or until the connection is gone, those who are judged are remembered. Call it until the
 * commit of what was found, and beyond. */
enum meros_code store_extraction_begin(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
void store_extraction_end(struct store_conn *c);

/* For the sweeper. After taking notes and before looking which models are active, in the same transaction: remembers who
 * was taken if anybody is at work. */
enum meros_code store_changed_remember(struct store_conn *c, const int64_t *nos, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* Notes those remembered once more, if nobody is at work. */
enum meros_code store_changed_again(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Whether there is anything to take, anybody remembered, and any move pending (store/segment_changes.h). */
enum meros_code store_changed_any(struct store_conn *c, bool *out_noted, bool *out_remembered, bool *out_pending,
                                  struct meros_err *err) MEROS_MUSTCHECK;

#endif
