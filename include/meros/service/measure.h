/* What the service measures at the moment of asking, into the gauges of base/counters.h: the pool, the jobs, the changes
 * that wait to be judged, the outbox of webhooks. */
#ifndef MEROS_SERVICE_MEASURE_H
#define MEROS_SERVICE_MEASURE_H

#include "meros/service/service.h"

void service_measure(struct service *svc); /* may ask the database; does not wait for one that is away */

#endif
