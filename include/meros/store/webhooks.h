/* Webhooks at rest: who is told of what, and how that goes. Every change is told on STORE_WEBHOOKS_CHANNEL (outbox.h). */
#ifndef MEROS_STORE_WEBHOOKS_H
#define MEROS_STORE_WEBHOOKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/store.h"

enum { WEBHOOK_EVENTS_MAX = 8, WEBHOOKS_MAX = 100, WEBHOOK_WAITING_MAX = 100000 };

struct webhook_row {
    int64_t webhook_no;
    struct str name, url;
    struct str events[WEBHOOK_EVENTS_MAX];
    size_t n_events;
    struct str segmentation, segment_id;   /* STR_NONE: all */
    struct str secret, old_secret;         /* sealed; old_secret only while it still signs */
    bool enabled;
    struct str disabled_reason;            /* STR_NONE while enabled, and where an admin did it */
    int64_t disabled_at, created_at, changed_at;
    int64_t failures;                      /* in a row, of different messages; see store_webhook_result */
    int64_t failing_since;                 /* TIME_NONE: the last delivery went well */
    int64_t last_success_at, last_failure_at;
    struct str last_error;
    int64_t delivered, dropped;
    double resting_seconds;                /* how long no deliveries are to be tried from now on; 0: none */
    int64_t waiting;                       /* messages in the outbox, counted up to WEBHOOK_WAITING_MAX; -1 where not asked for */
};
typedef void (*webhook_row_fn)(void *arg, const struct webhook_row *w); /* views live during the call */

/* Inside the caller's transaction: locks it until the end. *out_found false: there is none. */
enum meros_code store_webhook_lock(struct store_conn *c, struct str name, bool *out_found, webhook_row_fn fn, void *arg,
                                   struct meros_err *err) MEROS_MUSTCHECK;
/* name, url, events, segmentation, segment_id, enabled and secret of `w`. CONFLICT when it is there by now, or there are
 * WEBHOOKS_MAX. */
enum meros_code store_webhook_insert(struct store_conn *c, const struct webhook_row *w, struct meros_err *err) MEROS_MUSTCHECK;
/* The same of one that is there; secret STR_NONE keeps what it has. With old_seconds above 0 the secret that is replaced
 * signs beside the new one for so long; otherwise it signs no more. Forgets failures and rests, so an enabled one is tried
 * at once. */
enum meros_code store_webhook_update(struct store_conn *c, int64_t webhook_no, const struct webhook_row *w, double old_seconds,
                                     struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_webhook_get(struct store_conn *c, struct str name, webhook_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_webhook_list(struct store_conn *c, struct str after, int64_t limit, webhook_row_fn fn, void *arg,
                                   struct meros_err *err) MEROS_MUSTCHECK; /* by name */
/* NOT_FOUND. What waited for it is deleted by store_outbox_tidy. */
enum meros_code store_webhook_delete(struct store_conn *c, struct str name, struct meros_err *err) MEROS_MUSTCHECK;

/* All that are enabled. */
enum meros_code store_webhooks_enabled(struct store_conn *c, webhook_row_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* What deliveries to one webhook have come to. */
struct webhook_outcome {
    int64_t webhook_no;
    int64_t delivered, dropped;
    bool last_failed;      /* the last attempt was a failure */
    int64_t failed_after;  /* failures since the last success: of messages tried for the first time */
    int64_t failed_again;  /* and of others: they count once as many have failed that it rests */
    struct str error;      /* of the last failure */
};
struct webhook_state {
    int64_t failures;
    double failing_seconds; /* 0: not failing */
    bool recovered;         /* it rested, and now there was a success */
};
enum { WEBHOOK_RESTS_AFTER = 3 };
enum meros_code store_webhook_result(struct store_conn *c, const struct webhook_outcome *o, struct webhook_state *out,
                                     struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_webhook_rest(struct store_conn *c, int64_t webhook_no, double seconds, struct meros_err *err) MEROS_MUSTCHECK;
/* out_name is "" where it was not enabled any more. */
enum { WEBHOOK_NAME_CAP = 201 };
enum meros_code store_webhook_switch_off(struct store_conn *c, int64_t webhook_no, struct str reason, char out_name[WEBHOOK_NAME_CAP],
                                         struct meros_err *err) MEROS_MUSTCHECK;

#endif
