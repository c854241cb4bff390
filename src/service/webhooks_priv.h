/* What the files of webhooks share. */
#ifndef MEROS_SERVICE_WEBHOOKS_PRIV_H
#define MEROS_SERVICE_WEBHOOKS_PRIV_H

#include "meros/base/buf.h"
#include "meros/service/webhooks.h"
#include "meros/store/outbox.h"

/* --- webhook_message.c: pure */

struct webhook_secret {
    unsigned char bytes[WEBHOOK_SECRET_MAX];
    size_t n; /* 0: none */
};
/* "whsec_" + base64 of WEBHOOK_SECRET_MIN to _MAX bytes; false for anything else. */
bool webhook_secret_parse(struct str text, struct webhook_secret *out);
void webhook_secret_text(const struct webhook_secret *s, char out[WEBHOOK_SECRET_CAP]);

/* The value of webhook-signature: "v1,<base64>", and after a blank that of the old secret where there is one. */
enum { WEBHOOK_SIGNATURE_CAP = 2 * (3 + 44) + 2 };
bool webhook_sign(const struct webhook_secret *secret, const struct webhook_secret *old, const char *id, int64_t timestamp_s,
                  struct str body, char out[WEBHOOK_SIGNATURE_CAP]);

/* {"type", "timestamp", "data"} */
void webhook_body(struct buf *out, const struct outbox_message *m, struct str webhook_name);

/* Opens what webhook_seal() made of a secret's text; false if that was sealed with another key. STR_NONE: no secret. */
bool webhook_unseal(const struct service *svc, struct str sealed, struct webhook_secret *out);

/* Seconds until the attempt after this many failed ones; chance is in [0, 1). At least a tenth of the step. */
double webhook_backoff(int64_t failures, double chance);

/* --- a message that this process has claimed */

struct webhook_message {
    struct webhook_message *next;
    struct webhook_sender *sender;
    int64_t webhook_no, delivery_no, attempts, created_at;
    int64_t claimed_ns;
    char id[40];
    struct buf body;
    /* what came of it */
    enum {
        WEBHOOK_DELIVERED,
        WEBHOOK_FAILED,
        WEBHOOK_GONE, /* there is nothing to tell any more */
        WEBHOOK_BACK  /* not tried, or not to the end: due again at once */
    } came;
    bool drop; /* failed, and is not tried again */
    int status, retry_after;
    char error[160];
};

/* webhook_settle.c: writes down what came of messages, in the order in which they were finished, in one transaction: of
 * each, and of each webhook (failures, rest, switching off). *out_changed: how a webhook is to be treated has changed. */
enum meros_code webhook_settle(struct store_conn *c, const struct webhook_message *first, double give_up_s, bool *out_changed,
                               struct meros_err *err) MEROS_MUSTCHECK;

#endif
