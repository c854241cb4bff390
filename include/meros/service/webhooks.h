/* Webhooks: telling receivers over HTTP what happened, as Standard Webhooks (https://www.standardwebhooks.com) has it.
 *
 * What is to be told waits in the outbox (store/outbox.h), written in the transaction that made the news. One thread sends
 * it: messages of a webhook oldest first, up to WEBHOOK_IN_FLIGHT of them at a time, each webhook for itself, so that one
 * that is slow delays no other. A message is sent until it was answered 2xx, so at least once; it keeps its webhook-id, by
 * which receivers tell a repetition. Replicas share the work: a message is sent under a lease, and that of a process that
 * died is sent by another one, or by the next, once the lease is over.
 *
 * What fails is tried again after about 5 s, 30 s, 2 min, 10 min, 1 h and then every hour, with full jitter, or later where
 * the receiver says so with Retry-After. When several different messages have failed in a row, the webhook rests for such
 * times, and the newest message is tried alone; the first success brings all others back at once. Without a success for
 * webhook_give_up_hours it is switched off, and so it is at once by an answer of 410. A single message that has failed for
 * that long while others went well is dropped. Switched off, nothing is noted for it any more, and what waits goes after
 * WEBHOOK_KEPT_DAYS; putting it again before that sends it. At most WEBHOOK_OUTBOX_MAX messages wait for one webhook:
 * the oldest are dropped, and counted. */
#ifndef MEROS_SERVICE_WEBHOOKS_H
#define MEROS_SERVICE_WEBHOOKS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/service.h"

enum { WEBHOOK_IN_FLIGHT = 4, WEBHOOK_KEPT_DAYS = 7, WEBHOOK_OUTBOX_MAX = 1000000 };
enum { WEBHOOK_SECRET_MIN = 24, WEBHOOK_SECRET_MAX = 64, WEBHOOK_SECRET_CAP = 6 + 88 + 1 };

/* "segment.entered", "segment.left", "job.finished", "model.activated", NULL */
extern const char *const webhook_events[];

struct webhook_info { /* views live during the call */
    struct str name, url;
    const struct str *events;
    size_t n_events;
    struct str segmentation, segment_id; /* STR_NONE: all */
    bool enabled;
    struct str disabled_reason;          /* STR_NONE where an admin switched it off */
    int64_t disabled_at, failing_since, last_success_at, last_failure_at, created_at, changed_at; /* TIME_NONE: not so */
    struct str last_error;
    int64_t waiting, delivered, dropped; /* waiting: counted up to 100000 */
};
typedef void (*webhook_seen_fn)(void *arg, const struct webhook_info *w);

struct webhook_wish {
    struct str name, url;
    struct str events[8];
    size_t n_events;
    struct str segmentation, segment_id; /* STR_NONE: all */
    bool enabled;
    struct str secret;   /* "whsec_…"; STR_NONE: keeps the one it has, or gets one */
    bool rotate;         /* a new secret; the one before signs beside it for a day */
};
/* Makes or replaces it; enabled, it begins anew however often it has failed. *out_secret is "" unless a secret was made or
 * changed. INVALID for a url or secret that can be none (pointers /url, /secret); UNPROCESSABLE for a private address. */
enum meros_code webhooks_put(struct service *svc, const struct webhook_wish *wish, bool *out_created,
                             char out_secret[WEBHOOK_SECRET_CAP], webhook_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code webhooks_get(struct service *svc, struct str name, webhook_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* In the order of names, after `after`. */
enum meros_code webhooks_list(struct service *svc, struct str after, int64_t limit, webhook_seen_fn fn, void *arg,
                              struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code webhooks_delete(struct service *svc, struct str name, struct meros_err *err) MEROS_MUSTCHECK;
/* A message of type webhook.test, sent at once like any other; CONFLICT when it is switched off. */
enum meros_code webhooks_test(struct service *svc, struct str name, char out_id[40], struct meros_err *err) MEROS_MUSTCHECK;

struct webhook_waiting {
    int64_t delivery_no;
    struct str id, type, last_error; /* last_error STR_NONE: not tried yet */
    int64_t attempts, created_at, next_at;
};
typedef void (*webhook_waiting_fn)(void *arg, const struct webhook_waiting *w);
/* What waits for it, oldest first. */
enum meros_code webhooks_waiting(struct service *svc, struct str name, int64_t after, int64_t limit, webhook_waiting_fn fn,
                                 void *arg, struct meros_err *err) MEROS_MUSTCHECK;

/* Fills svc->webhooks and starts the sender; before listener_start(). */
enum meros_code webhooks_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
/* What is in flight has up to deadline_ms, the rest goes back into the outbox. Callable when never started. */
void webhooks_stop(struct service *svc, int deadline_ms);
void webhooks_free(struct service *svc); /* after listener_stop() */

void webhooks_measure(struct service *svc); /* sets the gauges of the outbox; asks the database */

#endif
