/* Events from Kafka: one thread, `kafka-in`, is a member of a consumer group, decodes what comes, one JSON object a message,
 * and lands it on the ingest path, a batch at a time.
 *
 * A message is an item of Segment's /v1/batch ({"type": "track", "userId", …}) or, where it has a customer_id, an event as
 * POST /v1/events takes it. The key of a message says nothing here. What carries no time of its own happened when the
 * message was produced: its Kafka timestamp, so that reading it again gives the same event.
 *
 * Each message counts once, although brokers promise only "at least once":
 *   - How far each partition was read is stored by the transaction that lands what was read (kafka_offsets). Whatever dies
 *     in between, either both are there or neither is.
 *   - That transaction is refused as a whole where a stored place is not the one that its messages follow
 *     (store_kafka_offsets_move). A member that lost its partitions without knowing it (paused, cut off) cannot land the
 *     batch that it still holds once another has read on: not its traits over newer ones, nor an offset backwards. Whose
 *     batch was refused begins anew where the table says, if the partitions are still theirs.
 *   - Where to begin is read from that table whenever partitions are assigned, never taken from the brokers. They are told
 *     afterwards, for the tools of others that show lag.
 * One batch is on its way at a time, and none is passed over: while the database is away, or the path is full, the
 * partitions are paused and the same batch is tried again, with pauses from 0.2 to 5 s, until it lands, the partitions are
 * taken away, or the service stops.
 *
 * What is not JSON, not valid or larger than KAFKA_VALUE_MAX is produced to TOPIC + dead_letter_suffix, key and value as they
 * were, with the headers `error`, `source-topic`, `partition` and `offset`, and its delivery awaited before the offset is
 * stored; so each is there at least once, twice if the service dies in between: source-topic, partition and offset are what a
 * reader tells them by. One that the dead-letter topic finds too
 * large goes without its value and says so in `value-bytes`. An item that only the database refused, which decoding makes
 * sure that it does not, is sent there after its batch has landed.
 *
 * Where a stored place is not on the topic any more (expired, or the topic was made anew), a warning says so, and reading
 * goes on from where offset_reset says. With offset_reset "latest", the place where a partition was first met is stored at
 * once, so that what comes before the first landing is not passed over after a restart.
 *
 * Memory is bounded: 16 MB that librdkafka reads ahead, a batch of 1,000 messages or about 4 MB, and what they decode to. */
#ifndef MEROS_SERVICE_KAFKA_IN_H
#define MEROS_SERVICE_KAFKA_IN_H

#include "meros/base/err.h"
#include "meros/service/service.h"

enum { KAFKA_VALUE_MAX = 1 << 20 };

/* After ingest_start. Nothing where no topics are set. INVALID with a sentence where the settings cannot work; brokers
 * that are away are waited for. The thread ends by itself once svc->draining is set; stop joins it, before ingest_stop. */
enum meros_code kafka_in_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK;
void kafka_in_stop(struct service *svc);
void kafka_in_free(struct service *svc);
void kafka_in_measure(struct service *svc); /* gauges of what is asked for rather than counted */

#endif
