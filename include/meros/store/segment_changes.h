/* The record of who entered and left which segment: written by whoever writes memberships, in the same transaction.
 *
 * store_changes_lock is taken before anything is written to memberships or to the record and held until the commit, so
 * the numbers of news are in the order of their commits and can be followed with `change_no > last`: what commits later
 * has a higher number. Order of locks: import lock, segmentation, changes lock, and none of them after it. Who comes into a segmentation
 * when it is evaluated for the first time is recorded too, but is no news: it is part of histories and of who was where,
 * and nobody who follows is told. Whoever writes news here also puts them into the outbox of webhooks (store/outbox.h) and
 * wakes those who follow (channel STORE_CHANGES_CHANNEL), at the commit. */
#ifndef MEROS_STORE_SEGMENT_CHANGES_H
#define MEROS_STORE_SEGMENT_CHANGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/store/store.h"

#define STORE_CHANGES_CHANNEL "meros_segments"

/* Waits as long as it takes (statement_timeout counts). */
enum meros_code store_changes_lock(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* In a transaction: whether nobody holds the changes lock; then nobody takes it before the commit or store_changes_looked(),
 * which must come before this transaction takes it itself (two that look would wait for each other). */
enum meros_code store_changes_look(struct store_conn *c, bool *out_alone, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_changes_looked(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

/* Where many move at once, because a whole segmentation was judged, their moves hold from that commit on for whoever reads
 * memberships, and are written into them and into the record a slice at a time. settle_some: one slice, of any
 * segmentation, in a transaction of its own; *out_n: how many moves it was, 0: nothing is pending. settle: all slices of one
 * segmentation, each in a transaction of its own: before it is judged anew. */
enum { PENDING_SLICE = 2000 }; /* some quarter of a second */
enum meros_code store_pending_settle_some(struct store_conn *c, int64_t *out_n, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_pending_settle(struct store_conn *c, struct str segmentation, struct meros_err *err) MEROS_MUSTCHECK;

/* Moves of single customers: memberships and record, in this order. The caller holds the lock. */
struct membership_move {
    int64_t customer_no, segmentation_no, model_no, at;
    struct str left, entered; /* STR_NONE: was nowhere; is nowhere */
};
enum meros_code store_moves_write(struct store_conn *c, const struct membership_move *moves, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* Keeps what the segments of this model are called, and those of the model that is active until now: before changes are
 * written that name the model, and before it is made the active one. */
enum meros_code store_changes_names(struct store_conn *c, int64_t model_no, struct meros_err *err) MEROS_MUSTCHECK;

/* Customers loser[i] and survivor[i] (each of these once) have turned out to be one, whose number is kept[i], one of the two.
 * Where the survivor is in a segment, that holds, and the other one is left; else what the other is in goes on. The two
 * records become one, which ends with what holds and since when (no news). Takes the lock. */
enum meros_code store_changes_join(struct store_conn *c, const int64_t *loser, const int64_t *survivor, const int64_t *kept, size_t n,
                                   int64_t at, struct meros_err *err) MEROS_MUSTCHECK;

/* --- reading. Views live during the call; returning anything but OK stops with that code. */
typedef enum meros_code (*segment_change_fn)(void *arg, const struct segment_change *x, struct meros_err *err);
/* News above `after`, in order. */
enum meros_code store_changes_after(struct store_conn *c, int64_t after, int64_t limit, segment_change_fn fn, void *arg,
                                    struct meros_err *err) MEROS_MUSTCHECK;
/* The number of the newest news; 0: none. */
enum meros_code store_changes_last(struct store_conn *c, int64_t *out, struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, below `before` (0: from the newest). NOT_FOUND: there is no such customer. */
enum meros_code store_changes_of_customer(struct store_conn *c, struct str customer_id, int64_t before, int64_t limit,
                                          segment_change_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
struct change_filter {
    struct str segment_id; /* absent: any */
    int entered;           /* < 0: either */
    int64_t since, until;  /* since <= at < until; TIME_NONE: no bound */
};
enum meros_code store_changes_of_segmentation(struct store_conn *c, struct str segmentation, const struct change_filter *f,
                                              int64_t before, int64_t limit, segment_change_fn fn, void *arg,
                                              struct meros_err *err) MEROS_MUSTCHECK;

/* The segments that a segmentation has or ever had. */
enum meros_code store_segments_ever(struct store_conn *c, struct str segmentation, void (*fn)(void *arg, struct str segment_id),
                                    void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* Who was in a segment at a moment, as far as it was recorded: in the order of customer_no, after `after`. */
enum meros_code store_members_page_at(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t at, int64_t after,
                                      int64_t limit, void (*fn)(void *arg, const struct member_row *m), void *arg,
                                      struct meros_err *err) MEROS_MUSTCHECK;
/* How many moved from where to where between two moments, and how many stayed; the most first. STR_NONE: nowhere. */
typedef void (*transition_fn)(void *arg, struct str from_id, struct str from_label, struct str to_id, struct str to_label, int64_t customers);
enum meros_code store_transitions(struct store_conn *c, struct str segmentation, int64_t from, int64_t to, transition_fn fn,
                                  void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
