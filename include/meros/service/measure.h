/* What the service measures into the gauges of base/counters.h. What is in memory (the pool, the clients of Kafka) at the
 * moment of asking; what only the database knows (jobs, changes that wait to be judged, the outbox of webhooks) by the
 * listener every MEASURE_SECONDS, so that whoever asks never waits for the database. While it is away the last known counts
 * stand; meros_db_up tells. */
#ifndef MEROS_SERVICE_MEASURE_H
#define MEROS_SERVICE_MEASURE_H

#include "meros/service/service.h"

enum { MEASURE_SECONDS = 5 };
enum meros_code measure_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* before listener_start */
void service_measure(struct service *svc); /* never blocks */

#endif
