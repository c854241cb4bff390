/* The first answers to Idempotency-Keys at rest. `ref` is a digest of API key, route and Idempotency-Key; answers are
 * sealed by the caller. A reservation belongs to its token until locked_until. */
#ifndef MEROS_STORE_IDEMPOTENCY_H
#define MEROS_STORE_IDEMPOTENCY_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/store.h"

enum store_idempotent_state {
    STORE_IDEMPOTENT_OURS, /* reserved: token is set */
    STORE_IDEMPOTENT_BUSY, /* another request with it is under way */
    STORE_IDEMPOTENT_DONE  /* fn was called with the answer */
};
/* Views live during the call. */
typedef void (*store_answer_fn)(void *arg, struct str fingerprint, int status, struct str answer);

enum meros_code store_idempotency_begin(struct store_conn *c, const char *ref, double lock_seconds, enum store_idempotent_state *out,
                                        int64_t *out_token, store_answer_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_idempotency_finish(struct store_conn *c, const char *ref, int64_t token, struct str fingerprint, int status,
                                         struct str answer, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_idempotency_drop(struct store_conn *c, const char *ref, int64_t token, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_idempotency_extend(struct store_conn *c, const int64_t *tokens, size_t n, double lock_seconds, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_idempotency_sweep(struct store_conn *c, struct meros_err *err) MEROS_MUSTCHECK; /* a day old */

#endif
