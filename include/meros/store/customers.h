/* One customer at a time, and lists. Personal texts are given and taken sealed (store/imports.h). */
#ifndef MEROS_STORE_CUSTOMERS_H
#define MEROS_STORE_CUSTOMERS_H

#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/domain/records.h"
#include "meros/store/imports.h"
#include "meros/store/store.h"

struct sealed_person {
    struct sealed email, name, phone;
};

/* Inside the caller's transaction. PUT (change->replace) makes the customer if there is none (*created); PATCH of an
 * unknown one is NOT_FOUND. */
enum meros_code customers_change(struct store_conn *c, struct str customer_id, const struct customer_change *change,
                                 const struct sealed_person *person, bool *created, struct meros_err *err) MEROS_MUSTCHECK;
/* Inside the caller's transaction. Purposes that the patch (a JSON object) names are as it says from now on, null forgets one. Nobody is named
 * by it: an id that nobody has becomes a visitor's, who may turn out to be somebody (store/identity.h). */
enum meros_code customers_consent(struct store_conn *c, struct str customer_id, struct str patch, struct meros_err *err) MEROS_MUSTCHECK;
/* PATCHes of many known customers, each at a time in the order given, inside the caller's transaction: in one statement
 * where each customer stands once. A customer of whom nothing is new keeps the row as it is; the others are put into
 * changed_nos (room for n; one who was changed twice stands there twice). A visitor stays one. */
struct customer_patch {
    int64_t customer_no;
    const struct customer_change *change; /* not replace */
    struct sealed_person person;
};
enum meros_code customers_patch(struct store_conn *c, const struct customer_patch *patches, size_t n, struct arena *arena,
                                int64_t *changed_nos, size_t *n_changed, struct meros_err *err) MEROS_MUSTCHECK;
/* Removes every row of the customer, under the import lock, inside the caller's transaction. NOT_FOUND. */
enum meros_code customers_erase(struct store_conn *c, struct str customer_id, struct erasure *out, struct meros_err *err) MEROS_MUSTCHECK;

/* The views in records live during the call; email, name and phone are sealed. */
typedef enum meros_code (*customer_fn)(void *arg, const struct customer_record *r, struct meros_err *err);
typedef enum meros_code (*order_fn)(void *arg, const struct order_record *r, struct meros_err *err);
typedef enum meros_code (*event_fn)(void *arg, const struct event_record *r, struct meros_err *err);
enum meros_code customers_get(struct store_conn *c, struct str customer_id, customer_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* In the order of customer_no, after `after` (0: from the beginning), up to limit. */
enum meros_code customers_list(struct store_conn *c, int64_t after, int64_t limit, customer_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, after (ordered_at, order_no) unless that is (TIME_NONE, 0); with lines. NOT_FOUND. */
enum meros_code customers_orders(struct store_conn *c, struct str customer_id, int64_t before, int64_t before_no, int64_t limit,
                                 struct arena *arena, order_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* Newest first, after (occurred_at, key) unless that is (TIME_NONE, ""). NOT_FOUND. */
enum meros_code customers_events(struct store_conn *c, struct str customer_id, int64_t before, struct str before_key, int64_t limit,
                                 event_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

#endif
