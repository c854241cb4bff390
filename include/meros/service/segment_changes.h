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
/* The number of the newest news; 0: there is none. */
enum meros_code segment_changes_last(struct store_conn *c, int64_t *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
