/* Kafka, over librdkafka: a member of a consumer group that is told where each partition begins, and a producer that waits
 * until the brokers have what it was given. Nobody else sees librdkafka's types.
 *
 * Brokers that are away are nobody's failure: librdkafka goes on trying, kafka_health_of() says so, and a warning is
 * logged when they go and a line when they come back. What librdkafka itself has to say is logged at most once in ten
 * seconds a client, with the number of lines left out; it never holds a password or a message. Settings that cannot work
 * (a mechanism that does not exist, a CA file that cannot be read) fail the opening with INVALID and a sentence. */
#ifndef MEROS_CONNECT_KAFKA_H
#define MEROS_CONNECT_KAFKA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

/* How to reach a cluster. "" where something is not set; copied on opening. */
struct kafka_access {
    const char *brokers;           /* host:port, … */
    const char *security_protocol; /* plaintext, ssl, sasl_plaintext, sasl_ssl */
    const char *sasl_mechanism;    /* PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 */
    const char *username, *password;
    const char *ca_file;           /* "": the system's */
};

struct kafka_health {
    bool up;               /* some broker is connected, as of the last seconds */
    int64_t errors;        /* since the start */
    int64_t last_error_at; /* TIME_NONE: never */
};

/* --- the consumer. All functions but kafka_consumer_health belong to one thread, which must poll at least every few
 * minutes, also while it is paused, or the group gives its partitions to somebody else. */
struct kafka_consumer;

enum { KAFKA_GROUP_MAX = 249, KAFKA_TOPIC_MAX = 249 };
#define KAFKA_BEGINNING INT64_C(-2) /* the first message that the topic still has */

struct kafka_partition {
    struct str topic;
    int32_t partition;
    int64_t next;  /* where to begin; the caller moves it on as messages are dealt with */
    bool no_place; /* what was asked for is not on the topic (any more): expired, or the topic was made anew */
};

struct kafka_message {
    struct str topic;
    int32_t partition;
    int64_t offset;
    struct str key, value; /* STR_NONE: null */
    int64_t at;            /* the message's own time, microseconds since 1970; TIME_NONE: it has none */
    void *raw;
};

enum kafka_news {
    KAFKA_MESSAGES, /* perhaps none */
    /* The group has given us the partitions that kafka_consumer_partitions() tells. Nothing is read until .next of each is
     * set and kafka_consumer_begin() called; until then poll goes on saying this. */
    KAFKA_ASSIGNED,
    KAFKA_REVOKED, /* we have none any more: whatever was read before and not landed is the next member's */
    /* Some partition has no_place: set .next of those and begin again. */
    KAFKA_NO_PLACE
};

enum meros_code kafka_consumer_open(const struct kafka_access *access, const char *group, const struct str *topics, size_t n_topics,
                                    struct kafka_consumer **out, struct meros_err *err) MEROS_MUSTCHECK;
/* Leaves the group, so that the others need not wait for a time-out; a few seconds at most. NULL is fine. */
void kafka_consumer_close(struct kafka_consumer *c);
/* Waits up to timeout_ms for the first message, then takes what is there, up to max messages or about max_bytes. With other
 * news than KAFKA_MESSAGES there are none. Messages live until kafka_messages_free(). */
enum kafka_news kafka_consumer_poll(struct kafka_consumer *c, int timeout_ms, struct kafka_message *out, size_t max,
                                    size_t max_bytes, size_t *out_n);
void kafka_messages_free(struct kafka_message *messages, size_t n);
/* Ours at present; changed only by kafka_consumer_poll. */
struct kafka_partition *kafka_consumer_partitions(struct kafka_consumer *c, size_t *out_n);
enum meros_code kafka_consumer_begin(struct kafka_consumer *c, struct meros_err *err) MEROS_MUSTCHECK;
/* Paused, poll brings no messages. What was read and not yet polled is read again afterwards. Beginning ends it. */
void kafka_consumer_pause(struct kafka_consumer *c, bool pause);
/* Tells the brokers about .next of each partition, in the background: nobody here reads it, tools that show lag do. */
void kafka_consumer_tell(struct kafka_consumer *c);
/* The first and the next-to-come offset of a partition. timeout_ms 0: as the last answer had it, else the broker is asked. False: not known. */
bool kafka_consumer_ends(struct kafka_consumer *c, const struct kafka_partition *p, int timeout_ms, int64_t *out_first,
                         int64_t *out_end);
void kafka_consumer_health(struct kafka_consumer *c, struct kafka_health *out);

/* --- the producer: idempotent, acknowledged by all replicas in sync, partitioned by key as Java's clients do. One thread
 * at a time. */
struct kafka_producer;

enum { KAFKA_HEADERS_MAX = 6 };
struct kafka_header {
    const char *name;
    struct str value;
};
struct kafka_record {
    struct str topic;
    struct str key, value; /* STR_NONE: null */
    struct kafka_header headers[KAFKA_HEADERS_MAX];
    size_t n_headers;
    enum meros_code rc; /* after sending: OK, TOO_LARGE (no broker will ever take it), UNAVAILABLE */
};

enum meros_code kafka_producer_open(const struct kafka_access *access, struct kafka_producer **out, struct meros_err *err) MEROS_MUSTCHECK;
void kafka_producer_close(struct kafka_producer *p); /* NULL is fine */
/* Returns when the brokers have acknowledged every record or given up on it: within about ten seconds, sooner once *stop
 * is true (may be NULL). OK: all of them; TOO_LARGE: all but those that are; otherwise UNAVAILABLE. Each .rc tells, err of
 * one; a record with UNAVAILABLE may have arrived all the same. Records of one key arrive in the order given. */
enum meros_code kafka_send(struct kafka_producer *p, struct kafka_record *records, size_t n, const _Atomic bool *stop,
                           struct meros_err *err) MEROS_MUSTCHECK;
void kafka_producer_health(struct kafka_producer *p, struct kafka_health *out);

#endif
