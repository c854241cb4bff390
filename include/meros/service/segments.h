/* Looking at segmentations, their segments and members: reads for the API, each from one consistent view
 * of the database. Views given to callbacks live during the call. */
#ifndef MEROS_SERVICE_SEGMENTS_H
#define MEROS_SERVICE_SEGMENTS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/service/service.h"

/* A segmentation is its active model and its segments. size, share and customers are of this moment; what segments look
 * like is of model->evaluated_at. */
struct segmentation_view {
    const struct model_row *model;
    const struct segment_row *segments;
    size_t n_segments;
    int64_t customers;
};
typedef void (*segmentation_fn)(void *arg, const struct segmentation_view *s);

/* NOT_FOUND names the segmentations that there are. */
enum meros_code segmentation_get(struct service *svc, struct str name, segmentation_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* The last activated first; model_no below `before` (0: from the newest). */
enum meros_code segmentation_list(struct service *svc, int64_t before, int64_t limit, segmentation_fn fn, void *arg,
                                  struct meros_err *err) MEROS_MUSTCHECK;
typedef void (*member_fn)(void *arg, const struct member_row *m);
/* NOT_FOUND names the segments that there are. */
enum meros_code segment_members(struct service *svc, struct str name, struct str segment_id, int64_t after, int64_t limit,
                                member_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
