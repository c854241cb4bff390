/* How far topics were read and produced: kafka_offsets and kafka_produced. */
#ifndef MEROS_STORE_KAFKA_H
#define MEROS_STORE_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/ingest.h"
#include "meros/store/store.h"

/* For the transaction that lands what was read; one entry a partition. An offset only goes forward, so that a member of
 * the group that lost a partition and lands its last batch late does not take the next member back. */
enum meros_code store_kafka_offsets_write(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                          struct meros_err *err) MEROS_MUSTCHECK;
/* As given, also backwards: where the topic itself does not have the stored place any more. */
enum meros_code store_kafka_offsets_reset(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                          struct meros_err *err) MEROS_MUSTCHECK;
/* Fills .next of each; -1 where nothing is stored. */
enum meros_code store_kafka_offsets_read(struct store_conn *c, const char *group, struct ingest_offset *offsets, size_t n,
                                         struct meros_err *err) MEROS_MUSTCHECK;

/* Whether this connection is the one that produces to this topic, now and until it closes: at most one at a time is. The
 * connection must not be one of the pool. */
enum meros_code store_kafka_produced_lead(struct store_conn *c, const char *topic, bool *out_leads, struct meros_err *err) MEROS_MUSTCHECK;
/* The last change that is known to be on the topic; 0: none. Writing only goes forward. */
enum meros_code store_kafka_produced_read(struct store_conn *c, const char *topic, int64_t *out_change_no, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_kafka_produced_write(struct store_conn *c, const char *topic, int64_t change_no, struct meros_err *err) MEROS_MUSTCHECK;

#endif
