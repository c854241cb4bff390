/* Who entered and left which segment: the one shape in which that is told, following it, and looking it up.
 *
 * The shape is the same in histories, in the stream, in webhooks' `data` and on Kafka:
 *   {"type": "segment.entered" | "segment.left", "customer_id", "segmentation", "segment": {"id", "label"}, "at",
 *    "model": {"id", "version"}}
 * Whoever follows keeps the last change_no that was dealt with and asks for what comes after it: the numbers are in the
 * order of the commits, so nothing appears behind one's back. NOTIFY on channel "meros_segments" says that there is more.
 * Where everybody was when a segmentation was first evaluated is history, but no news: who follows is not told. */
#ifndef MEROS_SERVICE_SEGMENT_CHANGES_H
#define MEROS_SERVICE_SEGMENT_CHANGES_H

#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/domain/segment.h"
#include "meros/service/service.h"

struct store_conn;

void segment_change_write(struct jsonw *w, const struct segment_change *x);
const char *segment_change_type(const struct segment_change *x); /* "segment.entered", "segment.left" */

/* News above `after`, in order, at most limit; views live during the call, anything but OK from fn stops. *out_last (may
 * be NULL) is the number of the last one that fn was given, or `after`. Also inside a transaction of the caller's. */
typedef enum meros_code (*segment_news_fn)(void *arg, const struct segment_change *x, struct meros_err *err);
enum meros_code segment_changes_after(struct store_conn *c, int64_t after, int64_t limit, segment_news_fn fn, void *arg,
                                      int64_t *out_last, struct meros_err *err) MEROS_MUSTCHECK;

/* --- looking it up, newest first; `before` is the change_no of the last one seen (0: from the newest) */
typedef void (*segment_change_show_fn)(void *arg, const struct segment_change *x);
/* NOT_FOUND: there is no such customer. Of a customer whom others have joined, theirs too. */
enum meros_code customer_history(struct service *svc, struct str customer_id, int64_t before, int64_t limit, segment_change_show_fn fn,
                                 void *arg, struct meros_err *err) MEROS_MUSTCHECK;
struct segment_history_filter {
    struct str segment_id; /* absent: any */
    int entered;           /* 1: entered, 0: left, -1: both */
    int64_t since, until;  /* since <= at < until; TIME_NONE: no bound */
};
/* NOT_FOUND names the segmentations, or the segments, that there are. */
enum meros_code segmentation_history(struct service *svc, struct str name, const struct segment_history_filter *f, int64_t before,
                                     int64_t limit, segment_change_show_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Who was in a segment at a moment, as far as it was recorded by now: nobody before the segmentation was first evaluated.
 * INVALID for a moment in the future. */
typedef void (*segment_member_fn)(void *arg, const struct member_row *m);
enum meros_code segment_members_at(struct service *svc, struct str name, struct str segment_id, int64_t at, int64_t after, int64_t limit,
                                   segment_member_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* How many were in which segment at one moment and in which at another, the most first. STR_NONE: in none, as those are
 * who came or went in between. INVALID for a moment in the future, or if `from` is not before `to`. */
typedef void (*segment_transition_fn)(void *arg, struct str from_id, struct str from_label, struct str to_id, struct str to_label,
                                      int64_t customers);
enum meros_code segment_transitions(struct service *svc, struct str name, int64_t from, int64_t to, segment_transition_fn fn, void *arg,
                                    struct meros_err *err) MEROS_MUSTCHECK;

#endif
