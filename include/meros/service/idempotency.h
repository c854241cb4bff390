/* Doing a thing once for each Idempotency-Key: the first answer is kept a day and given again.
 *
 * begin() reserves the key for one request; finish() keeps the answer, drop() forgets the reservation (the request
 * failed, so trying again is right: it changed nothing, or a part that will not be done twice). A reservation whose process died ends by itself within a
 * minute. What is kept is sealed with the service's key: answers may hold a secret or personal data. */
#ifndef MEROS_SERVICE_IDEMPOTENCY_H
#define MEROS_SERVICE_IDEMPOTENCY_H

#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/service.h"

enum { IDEMPOTENCY_KEY_MAX = 255, IDEMPOTENCY_BODY_MAX = 1 << 20, IDEMPOTENCY_REF_CAP = 72 };

struct idempotent {
    char ref[IDEMPOTENCY_REF_CAP]; /* names (key, route, Idempotency-Key): pass it on as `once` of what is created */
    int64_t token;                 /* of the reservation */
    bool replay;                   /* an answer is kept: the fields below are set */
    int status;
    unsigned char fingerprint[32]; /* of the request that was answered */
    char content_type[64];
    char location[256];
    struct buf body;
};

/* Fills svc->idempotency: reservations in use are kept alive by the listener. */
enum meros_code idempotency_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void idempotency_free(struct service *svc);

bool idempotency_key_valid(struct str key); /* 1 to 255 visible ASCII characters */
/* The name of (key, route, Idempotency-Key). */
void idempotency_ref(const char *principal, const char *route, struct str key, char out[IDEMPOTENCY_REF_CAP]);
/* CONFLICT (with retry_after) while another request with this key is under way. */
enum meros_code idempotency_begin(struct service *svc, const char *principal, const char *route, struct str key,
                                  struct idempotent *out, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code idempotency_finish(struct service *svc, struct idempotent *it, const unsigned char fingerprint[32], int status,
                                   struct str content_type, struct str location, struct str body, struct meros_err *err) MEROS_MUSTCHECK;
void idempotency_drop(struct service *svc, struct idempotent *it);
void idempotency_done(struct idempotent *it); /* frees; after begin() in any case */

#endif
