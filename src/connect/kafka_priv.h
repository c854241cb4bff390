/* What consumer and producer share: configuration, what librdkafka says, whether a broker is there. */
#ifndef MEROS_KAFKA_PRIV_H
#define MEROS_KAFKA_PRIV_H

#include <librdkafka/rdkafka.h>
#include <stdatomic.h>
#include "meros/connect/kafka.h"

/* The first member of both; librdkafka hands it to every callback. Written by librdkafka's threads too. */
struct kafka_client {
    const char *name; /* "consumer", "producer" */
    _Atomic bool up, known; /* known: it was up or seen to be away before, so a change is worth a line */
    _Atomic int64_t errors, last_error_at;
    _Atomic int64_t said_ns, unsaid; /* the last line, and how many were left out since */
};

struct kafka_option {
    const char *name, *value;
};

/* Makes the client with the options of its kind; k is the opaque pointer of all callbacks. */
enum meros_code kafka_client_open(struct kafka_client *k, rd_kafka_type_t type, rd_kafka_conf_t *conf,
                                  const struct kafka_access *access, const struct kafka_option *options, size_t n,
                                  rd_kafka_t **out, struct meros_err *err) MEROS_MUSTCHECK;
void kafka_client_is(struct kafka_client *k, bool up, const char *detail);
void kafka_client_failed(struct kafka_client *k, rd_kafka_resp_err_t code, const char *detail);
void kafka_client_health(struct kafka_client *k, struct kafka_health *out);

#endif
