/* How far topics were read and produced: kafka_offsets and kafka_produced. */
#ifndef MEROS_STORE_KAFKA_H
#define MEROS_STORE_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/domain/ingest.h"
#include "meros/store/store.h"

/* For the transaction that lands what was read, before anything of it is written; one entry a partition. Moves each stored
 * place from .from to .next, which may lie before it (the topic was made anew). *out_moved false: some place is not where
 * .from says, because another member has moved it; the transaction must be rolled back. Waits for a transaction that is
 * moving one of them. */
enum meros_code store_kafka_offsets_move(struct store_conn *c, const char *group, const struct ingest_offset *offsets, size_t n,
                                         bool *out_moved, struct meros_err *err) MEROS_MUSTCHECK;
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
