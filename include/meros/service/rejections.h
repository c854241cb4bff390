/* What was not taken, and why: for whoever wonders where their events went. An item that one of the ways in refused is
 * noted here with its reason and place, never with what it said; GET /v1/rejections shows the last week's, at most
 * 100,000, and /metrics counts them by source.
 *
 * Noting never blocks: notes gather in a buffer of fixed size that the listener's thread writes down about every second.
 * While the database is away they wait there; what does not fit is counted and forgotten. */
#ifndef MEROS_SERVICE_REJECTIONS_H
#define MEROS_SERVICE_REJECTIONS_H

#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/ingest.h"
#include "meros/domain/records.h"
#include "meros/service/service.h"

/* Fills svc->rejections; before listener_start(). */
enum meros_code rejections_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
/* After all threads that note have ended and the listener has stopped: writes the last ones down. NULL is fine. */
void rejections_free(struct service *svc);

/* From any thread. reason: a sentence; place: a JSON pointer into the body, or "topic/partition/offset"; type, message_id
 * and request_id may be STR_NONE. All are cut to what is kept of them. */
void rejections_note(struct service *svc, enum ingest_source source, struct str reason, struct str place, struct str type,
                     struct str message_id, struct str request_id);

typedef void (*rejection_seen_fn)(void *arg, const struct rejection_record *r);
/* Newest first, before rejection_no `before`. What was noted in the last second may still be missing. */
enum meros_code rejections_list(struct service *svc, struct str source, int64_t before, int64_t limit, rejection_seen_fn fn, void *arg,
                                struct meros_err *err) MEROS_MUSTCHECK;

#endif
