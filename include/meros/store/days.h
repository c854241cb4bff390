/* The days on which customers bought (customer_days), kept with every order; domain/purchase_days.h makes histories of them.
 *
 * Days ascend, each once. An order counts on the day it was made with all that came back of it; as of a day, with the lines
 * that it had by the end of that day. */
#ifndef MEROS_STORE_DAYS_H
#define MEROS_STORE_DAYS_H

#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/domain/purchase_days.h"
#include "meros/store/store.h"

struct customer_purchases {
    const struct purchase_day *days; /* (n), in the arena */
    size_t n;
};
/* The present, of many at once by one indexed look-up: out[i] is that of nos[i]; a number may occur twice. */
enum meros_code store_days_of(struct store_conn *c, const int64_t *nos, size_t n, struct arena *arena,
                              struct customer_purchases *out, struct meros_err *err) MEROS_MUSTCHECK;
/* One customer, as of the end of a day, from the lines of that customer alone. */
enum meros_code store_days_at(struct store_conn *c, int64_t no, int32_t day, struct arena *arena,
                              struct customer_purchases *out, struct meros_err *err) MEROS_MUSTCHECK;

/* Every customer with a day at or before `day`, in the order of customer_no, in constant memory; days live during the call.
 * as_of false: what is known now of these days (live answers say the same); true: what was known at the end of `day`.
 * attributes: also gives them, as JSON text (STR_NONE otherwise). Inside the caller's transaction; anything but OK from fn
 * stops. */
typedef enum meros_code (*store_days_fn)(void *arg, int64_t customer_no, const struct purchase_day *days, size_t n,
                                         struct str attributes, struct meros_err *err);
enum meros_code store_days_all(struct store_conn *c, int32_t day, bool as_of, bool attributes, store_days_fn fn, void *arg,
                               struct meros_err *err) MEROS_MUSTCHECK;

#endif
