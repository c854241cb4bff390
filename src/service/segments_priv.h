/* What segments.c and segment_history.c share. */
#ifndef MEROS_SEGMENTS_PRIV_H
#define MEROS_SEGMENTS_PRIV_H

#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/service.h"

struct store_conn;

/* One read-only view of the database for all queries of one question. Close it in any case. */
enum meros_code segments_open_view(struct service *svc, struct store_conn **c, struct meros_err *err) MEROS_MUSTCHECK;
void segments_close_view(struct service *svc, struct store_conn *c); /* NULL is fine */

/* NOT_FOUND, in words that name the segmentations that there are. */
enum meros_code segmentation_missing(struct store_conn *c, struct str name, struct meros_err *err) MEROS_MUSTCHECK;

/* NOT_FOUND, in words that name the segments that there are, unless a segmentation's model has this one. */
enum meros_code segment_expected(struct store_conn *c, struct str name, int64_t model_no, struct str segment_id,
                                 struct meros_err *err) MEROS_MUSTCHECK;

/* A list of names for such words: "a, b, c". */
struct naming {
    struct buf list;
    size_t n;
};
void naming_add(struct naming *n, struct str name);

#endif
