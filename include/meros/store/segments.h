/* Segmentations, the segments of their models, and memberships, all written set-wise. */
#ifndef MEROS_STORE_SEGMENTS_H
#define MEROS_STORE_SEGMENTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/segment.h"
#include "meros/store/store.h"

/* Makes the segmentation if it is new and locks its row until the transaction ends: changes of one segmentation follow
 * one another. */
enum meros_code store_segmentation_lock(struct store_conn *c, struct str name, int64_t *out_no, int64_t *out_next_segment,
                                        struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_segmentation_set_next(struct store_conn *c, int64_t no, int64_t next_segment, struct meros_err *err) MEROS_MUSTCHECK;

/* Every segmentation with its active model, by number. */
typedef enum meros_code (*active_fn)(void *arg, int64_t segmentation_no, struct str name, int64_t model_no, struct meros_err *err);
enum meros_code store_segmentations_active(struct store_conn *c, active_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* How many customers there are, for estimates before work. */
enum meros_code store_customers_count(struct store_conn *c, int64_t *out, struct meros_err *err) MEROS_MUSTCHECK;
/* Up to cap customer_nos after `after`, ascending: for going through everybody in batches. */
enum meros_code store_customer_nos(struct store_conn *c, int64_t after, int64_t *out, size_t cap, size_t *out_n,
                                   struct meros_err *err) MEROS_MUSTCHECK;

typedef enum meros_code (*segment_row_fn)(void *arg, const struct segment_row *s, struct meros_err *err);
/* Replaces the segments of a model. */
enum meros_code store_segments_write(struct store_conn *c, int64_t model_no, const struct segment_row *rows, size_t n,
                                     struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_segments_read(struct store_conn *c, int64_t model_no, segment_row_fn fn, void *arg,
                                    struct meros_err *err) MEROS_MUSTCHECK;
/* The moment a model's customers were last judged at. */
enum meros_code store_segments_evaluated(struct store_conn *c, int64_t model_no, int64_t at, struct meros_err *err) MEROS_MUSTCHECK;

/* How many are in each segment of a segmentation now. */
typedef void (*segment_size_fn)(void *arg, struct str segment_id, int64_t size);
enum meros_code store_segment_sizes(struct store_conn *c, struct str segmentation, segment_size_fn fn, void *arg,
                                    struct meros_err *err) MEROS_MUSTCHECK;

/* Streams (customer_no, segment_id) in the order of customer_no. */
typedef enum meros_code (*membership_fn)(void *arg, int64_t customer_no, struct str segment_id, struct meros_err *err);
enum meros_code store_memberships_read(struct store_conn *c, int64_t segmentation_no, membership_fn fn, void *arg,
                                       struct meros_err *err) MEROS_MUSTCHECK;
/* Makes the memberships of a segmentation exactly these: segment_ids[labels[i]] for customer_nos[i], and records who moved
 * (store/segment_changes.h). Who stays in a segment keeps `since`; who changes gets `at`, or their former `since` where that
 * is later: they moved while everybody was judged. Customers erased meanwhile are left out. In the caller's transaction,
 * which holds the segmentation and commits soon: other changes wait for it from the moment when this has found who moves. Of
 * more than PENDING_SLICE moves that commit makes all of them hold; they are written down by and by (store/segment_changes.h). */
struct memberships_written {
    int64_t changed; /* how many moved, came or left */
    bool first;      /* it was never evaluated before: where everybody is is no news */
};
enum meros_code store_memberships_write(struct store_conn *c, int64_t segmentation_no, int64_t model_no, int64_t at,
                                        const int64_t *customer_nos, const int32_t *labels, size_t n,
                                        const struct str *segment_ids, struct memberships_written *out,
                                        struct meros_err *err) MEROS_MUSTCHECK;

/* Members in the order of customer_no, after `after` (0: from the first). */
typedef void (*member_row_fn)(void *arg, const struct member_row *m);
enum meros_code store_members_page(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t after,
                                   int64_t limit, member_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* The names of up to `most` members, drawn by a hash of their numbers: the same ones as long as nobody comes or goes. *out_members: how many
 * there are in all. In the arena. */
enum meros_code store_members_sample(struct store_conn *c, struct str segmentation, struct str segment_id, int64_t most, struct arena *arena,
                                     const struct str **out, size_t *out_n, int64_t *out_members, struct meros_err *err) MEROS_MUSTCHECK;

/* All memberships of some customers, for answering many at once. */
typedef void (*membership_of_fn)(void *arg, int64_t customer_no, struct str segmentation, struct str segment_id, int64_t since);
enum meros_code store_memberships_of(struct store_conn *c, const int64_t *customer_nos, size_t n, membership_of_fn fn, void *arg,
                                     struct meros_err *err) MEROS_MUSTCHECK;

#endif
