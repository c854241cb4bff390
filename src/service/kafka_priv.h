/* What kafka-in and kafka-out share, and the decoding of a message (kafka_decode.c). */
#ifndef MEROS_SERVICE_KAFKA_PRIV_H
#define MEROS_SERVICE_KAFKA_PRIV_H

#include "meros/base/counters.h"
#include "meros/connect/kafka.h"
#include "meros/service/dialect.h"
#include "meros/service/service.h"

/* Adds the message's items to d, or its rejection, under the number `index`. now: the clock, for what lies in the future. */
void kafka_decode(struct dialect *d, size_t index, const struct kafka_message *m, int64_t now);

struct kafka_access kafka_access_of(const struct kafka_settings *s);
void kafka_show_health(const char *client, const struct kafka_health *h); /* in the gauges */

/* Whether a complaint is due: the first of a row, then one in ten seconds. */
struct kafka_complaint {
    int64_t said_ns;
    bool open; /* something was said that is not over */
};
void kafka_complain(struct kafka_complaint *k, const char *event, const struct meros_err *err);
void kafka_relieved(struct kafka_complaint *k, const char *event);

#endif
