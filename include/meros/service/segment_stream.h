/* Following changes of segments without a thread of one's own: one thread for all who follow. NOTIFY wakes it; it reads
 * what is new once and gives it to everybody who wants it. Whoever begins further back (a client that was away for a
 * while) is brought up to date page by page, without holding up the others. */
#ifndef MEROS_SERVICE_SEGMENT_STREAM_H
#define MEROS_SERVICE_SEGMENT_STREAM_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/service/service.h"

enum { SEGMENT_STREAMS_MAX = 256 };

/* Before listener_start. Starts one thread. */
enum meros_code segment_stream_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void segment_stream_stop(struct service *svc); /* ends all who follow, joins; callable when never started */
void segment_stream_free(struct service *svc);

/* fn is called on that thread for every change that is wanted, in order, and about once a second with NULL (a chance to
 * see whether anybody still listens), until it says HEARD_ENOUGH. The last call, made exactly once, has ended = true and
 * NULL: fn must let go of `arg` then. fn must not block: where there is no room for a change it says HEARD_LATER, and is
 * given that one and those after it from the database once it no longer says so to NULL, which it is then asked every few
 * moments. So who reads slowly costs what fn keeps, and no more. */
enum segment_heard { HEARD_ENOUGH, HEARD, HEARD_LATER };
typedef enum segment_heard (*segment_stream_fn)(void *arg, const struct segment_change *x, bool ended);

/* In two steps, so that what is wrong with a request can be said before its answer begins. prepare: segmentation and
 * segment_id absent for any (a segment belongs to a segmentation, which must exist, else NOT_FOUND); after: the change_no
 * after which to begin, < 0 for what comes from now on. RATE_LIMITED: too many follow. Then either begin, from which on
 * fn is called, or abandon. */
struct follower;
enum meros_code segment_stream_prepare(struct service *svc, struct str segmentation, struct str segment_id, int64_t after,
                                       segment_stream_fn fn, void *arg, struct follower **out, struct meros_err *err) MEROS_MUSTCHECK;
void segment_stream_begin(struct service *svc, struct follower *f);
void segment_stream_abandon(struct service *svc, struct follower *f);

#endif
