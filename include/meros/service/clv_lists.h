/* What all customers together are predicted to be worth: who is worth most, how it is spread, and by segment. Read from what
 * the active model last wrote down about everybody who has bought (store/clv_list.h), over CLV_HORIZON_DAYS at
 * CLV_DISCOUNT_RATE. It is written by training, activation and `refresh`, of whoever changed within a second
 * (service/sweeper.h), and of everybody every `rejudge_hours`, because time alone changes it too.
 *
 * Pages are read from an index. Summaries go through everybody, so each is kept for twenty times as long as making it took,
 * at most a minute: of a small shop they are of this moment, of a million customers half a minute old. While one is being
 * made others are given the one before. A model or a segmentation that has changed since makes it anew at once.
 *
 * Intervals of sums know that the parameters are uncertain for all customers at once and the process for each alone
 * (clv_total, ml/clv.h). They come from all customers of a group, or, where it has many, from a part of them drawn evenly. */
#ifndef MEROS_SERVICE_CLV_LISTS_H
#define MEROS_SERVICE_CLV_LISTS_H

#include "meros/base/err.h"
#include "meros/domain/clv.h"
#include "meros/service/service.h"

struct trained_clv; /* model/clv_model.h */
struct store_conn;

enum meros_code clv_lists_new(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* fills svc->clv_lists */
void clv_lists_free(struct service *svc);

/* NOT_FOUND: no model; no such segmentation; no such segment of it. */
enum meros_code clv_list(struct service *svc, const struct clv_filter *f, const struct clv_place *after, int64_t limit,
                         clv_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* segmentation STR_NONE: of all only. NOT_FOUND: no model; no such segmentation. The summary lives during the call. */
typedef void (*clv_summary_fn)(void *arg, const struct clv_summary *s);
enum meros_code clv_summarise(struct service *svc, struct str segmentation, clv_summary_fn fn, void *arg,
                              struct meros_err *err) MEROS_MUSTCHECK;

/* For those who make a model the active one, or judge everybody anew by the one that is: everybody's numbers, in the caller's
 * transaction, which should do little after it. Those in tiers of value are noted to be judged by the new numbers.
 * *out_customers may be NULL. */
enum meros_code clv_lists_replace(struct service *svc, struct store_conn *c, int64_t model_no, const struct trained_clv *m,
                                  int64_t *out_customers, struct meros_err *err) MEROS_MUSTCHECK;

#endif
