/* What everybody is predicted to be worth, as the active model last said (table customer_clv): what lists and summaries are
 * read from. An answer about one customer is computed from its present state instead (service/serving.h).
 *
 * Writers: training, activation and refresh replace all rows in the transaction in which the model becomes the active one
 * (store_clv_replace_lock … _end); whoever judges customers that changed writes theirs (store_clv_write). Both take a lock
 * of the table first: what the one writes is never overwritten by what the other computed with another model. Readers never
 * wait. Everybody's are written for as long as that takes, so nobody may wait for the lock who holds the import lock or the
 * changes lock: a sweep takes it before that one, and joins and erasures leave rows of who is gone to a sweep. */
#ifndef MEROS_STORE_CLV_LIST_H
#define MEROS_STORE_CLV_LIST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/clv.h"
#include "meros/store/store.h"

/* --- everybody, in the caller's transaction: the lock, then everybody's histories are read, then the rows. Customers erased
 * meanwhile are left out. Where there are tiers of value, everybody is noted to be judged anew (store/changed.h), for what is
 * said of their value has changed. After a failure roll back. */
struct clv_replacing;
enum meros_code store_clv_replace_lock(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_clv_replace_begin(struct store_conn *c, int64_t model_no, struct clv_replacing **out,
                                        struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_clv_replace_row(struct clv_replacing *k, const struct clv_row *row, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_clv_replace_end(struct clv_replacing *k, struct meros_err *err) MEROS_MUSTCHECK; /* frees, always */
void store_clv_replace_abort(struct clv_replacing *k); /* instead of _end; NULL is fine */

/* --- those who changed, in the caller's transaction. Takes the lock; *out_active false: another model than model_no is the
 * active one by now, and nothing was written. Rows ascend by customer_no; those that hold the same already, or what was
 * computed later, stay as they are. without: who have bought nothing and lose their row. */
enum meros_code store_clv_write(struct store_conn *c, int64_t model_no, const struct clv_row *rows, size_t n, const int64_t *without,
                                size_t n_without, bool *out_active, struct meros_err *err) MEROS_MUSTCHECK;
/* The lock alone, before locks that others wait for. */
enum meros_code store_clv_write_lock(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Of one who was erased; waits while everybody's are written. */
enum meros_code store_clv_forget(struct store_conn *c, int64_t customer_no, struct meros_err *err) MEROS_MUSTCHECK;
/* The model of this name that is active; 0: none is. */
enum meros_code store_clv_active(struct store_conn *c, struct str name, int64_t *out_model_no, struct meros_err *err) MEROS_MUSTCHECK;

/* --- reading */
enum meros_code store_clv_page(struct store_conn *c, const struct clv_filter *f, const struct clv_place *after, int64_t limit,
                               clv_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* Streams everybody in no order, each with the segment that they are in of a segmentation (STR_NONE: of none, or not asked).
 * In the caller's transaction. */
typedef enum meros_code (*clv_each_fn)(void *arg, struct str segment_id, const struct clv_row *row, struct meros_err *err);
enum meros_code store_clv_each(struct store_conn *c, struct str segmentation, clv_each_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
