/* Items that were not taken: kept for a week, the newest 100,000 of them. */
#ifndef MEROS_STORE_REJECTIONS_H
#define MEROS_STORE_REJECTIONS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/records.h"
#include "meros/store/store.h"

enum { STORE_REJECTIONS_MAX = 100000 };

typedef void (*store_rejection_fn)(void *arg, const struct rejection_record *r);

/* In the order given; rejection_no is not read. */
enum meros_code store_rejections_add(struct store_conn *c, const struct rejection_record *list, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, before rejection_no `before` (INT64_MAX: from the newest). source STR_NONE: all. */
enum meros_code store_rejections_list(struct store_conn *c, struct str source, int64_t before, int64_t limit, store_rejection_fn fn,
                                      void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_rejections_prune(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;

#endif
