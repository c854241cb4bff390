/* From a change of data to a change of segments, within a second of the commit: one thread takes the notes of who changed
 * (store/changed.h), judges those customers with the active models, and writes down, in the transaction that takes the
 * notes away, who left and entered which segment: memberships, the record, what webhooks are to be told. Then NOTIFY
 * meros_segments. A note outlives whoever dies before that, so nothing is left out and nothing recorded twice; several
 * replicas share the notes.
 *
 * A customer is judged as GET /v1/customers/{id} would at the same moment, by the same functions. Single changes go before
 * imports, which are judged in slices with pauses in between. Every `rejudge_hours` one replica notes everybody, for those
 * whom time alone moves (recency). */
#ifndef MEROS_SERVICE_SWEEPER_H
#define MEROS_SERVICE_SWEEPER_H

#include "meros/base/err.h"
#include "meros/service/service.h"

/* After serving_start. Starts one thread with a connection of its own. */
enum meros_code sweeper_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void sweeper_stop(struct service *svc); /* joins; before serving_stop; callable when never started */
void sweeper_free(struct service *svc);

/* After a commit in this process that noted customers: judged now rather than at the next look. Never blocks; any thread;
 * harmless where no sweeper runs. */
void sweeper_wake(struct service *svc);

#endif
