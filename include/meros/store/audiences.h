/* Audiences by rule: the rules as they are kept, the customers whom one means, and what a rule wants to know of a customer.
 *
 * Customers are found with one statement that is made of the rule's tree (audience_sql.c). It consists of constants of that file and
 * of numbers of places; whatever a client wrote is an element of an array parameter. Statements run for up to the connection's
 * statement time-out (store_set_timeout), then TIMEOUT. */
#ifndef MEROS_STORE_AUDIENCES_H
#define MEROS_STORE_AUDIENCES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/audience.h"
#include "meros/domain/clv.h"
#include "meros/store/store.h"

#define STORE_AUDIENCES_CHANNEL "meros_audiences" /* told of every change of the rules */

/* --- rules */
/* CONFLICT when there are AUDIENCES_MAX already. What is put again unchanged keeps its changed_at. */
enum meros_code store_audience_put(struct store_conn *c, struct str name, struct str description, struct str rule, bool *out_created,
                                   struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_audience_get(struct store_conn *c, struct str name, audience_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_audience_list(struct store_conn *c, struct str after, int64_t limit, audience_row_fn fn, void *arg,
                                    struct meros_err *err) MEROS_MUSTCHECK; /* by name */
enum meros_code store_audience_delete(struct store_conn *c, struct str name, struct meros_err *err) MEROS_MUSTCHECK;

/* --- whom a rule means at a moment */
struct audience_question {
    const struct audience_rule *rule;
    int64_t now;
    double half_life_days;
};
enum meros_code store_audience_count(struct store_conn *c, const struct audience_question *q, int64_t *out, struct meros_err *err) MEROS_MUSTCHECK;
/* A page of them in the order of customer_no. */
enum meros_code store_audience_page(struct store_conn *c, const struct audience_question *q, int64_t after, int64_t limit,
                                    audience_member_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Up to `most` of them, drawn by a hash, so the same ones as long as nobody comes or goes; *out_members: how many there are in all. */
enum meros_code store_audience_sample(struct store_conn *c, const struct audience_question *q, int64_t most, struct arena *arena,
                                      const struct str **out, size_t *out_n, int64_t *out_members, struct meros_err *err) MEROS_MUSTCHECK;

/* --- what rules ask of some customers, beside their state (store/stats.h) and memberships (store/segments.h) */
/* counts[k * n_leaves + l]: how many events leaf l (AUDIENCE_EVENT) is about, of customer k. */
enum meros_code store_audience_events(struct store_conn *c, const int64_t *customer_nos, size_t n, const struct audience_leaf *const *leaves,
                                      size_t n_leaves, int64_t now, int64_t *counts, struct meros_err *err) MEROS_MUSTCHECK;
/* What lists say they are worth; customer_no 0: nothing is. */
enum meros_code store_audience_clv(struct store_conn *c, const int64_t *customer_nos, size_t n, struct clv_row *out, struct meros_err *err) MEROS_MUSTCHECK;

#endif
