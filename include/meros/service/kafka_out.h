/* Segment changes to Kafka: one thread, `kafka-out`, produces what segment_changes_after() tells to the topic of the
 * setting kafka_changes_topic, a change a message, in the one shape that histories, streams and webhooks have; the key is
 * the customer_id, so that the changes of one customer stay in order within their partition.
 *
 * One replica at a time does it: whoever holds an advisory lock on a connection of its own; another one takes over when
 * that connection ends. Every message is waited for until all replicas in sync have it, then the cursor (kafka_produced)
 * moves. So each change arrives at least once and in order; when a process dies or brokers fail in between, some are
 * repeated from the cursor on. A topic begins with the first change that is on record, also those of the time before the
 * setting was made.
 *
 * While brokers or database are away it waits and goes on from the cursor; nothing is passed over. */
#ifndef MEROS_SERVICE_KAFKA_OUT_H
#define MEROS_SERVICE_KAFKA_OUT_H

#include "meros/base/err.h"
#include "meros/service/service.h"

/* Nothing where no topic is set. INVALID with a sentence where the settings cannot work. The thread ends by itself once
 * svc->draining is set; stop joins it. */
enum meros_code kafka_out_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void kafka_out_stop(struct service *svc);
void kafka_out_free(struct service *svc);
void kafka_out_measure(struct service *svc);

#endif
