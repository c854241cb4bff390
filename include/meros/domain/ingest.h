/* What comes in one item at a time, whichever dialect it was said in: an event, traits of a person, two names of one
 * person, an outcome of a campaign. A dialect (service/dialect_*.h) makes items; the ingest path (service/ingest.h)
 * lands them. An item is decoded and valid: nothing in it can fail in the database. Strings are views. */
#ifndef MEROS_DOMAIN_INGEST_H
#define MEROS_DOMAIN_INGEST_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/str.h"
#include "meros/domain/records.h"
#include "meros/domain/rows.h"

enum ingest_kind {
    INGEST_EVENT,
    INGEST_TRAITS, /* a PATCH of the customer */
    INGEST_ALIAS,  /* previous_id is another name of customer_id: whatever either has becomes one customer */
    INGEST_OUTCOME
};

/* Where an item came from: the label of metrics and what GET /v1/rejections names. */
#define INGEST_SOURCES(X) X(EVENTS, "events") X(SEGMENT, "segment") X(GA4, "ga4") X(POSTHOG, "posthog") X(OUTCOMES, "outcomes") X(KAFKA, "kafka")
enum ingest_source {
#define X(id, name) INGEST_FROM_##id,
    INGEST_SOURCES(X)
#undef X
    INGEST_SOURCE_COUNT
};

/* Who: customer_id is the known id where the message has one, else the anonymous one (`anonymous` is then true). An
 * anonymous_id beside a known customer_id says that both are one person: what was known of an anonymous visitor joins
 * the customer, history included. Two people who were both identified are joined by INGEST_ALIAS alone, so that a shared
 * device does not melt them together. */
struct ingest_item {
    enum ingest_kind kind;
    struct str customer_id;
    bool anonymous;
    struct str anonymous_id; /* STR_NONE: none */
    union {
        struct event_row event; /* .customer_id is not read: the one above is */
        struct customer_change traits;
        struct str previous_id;
        struct outcome_row outcome;
    };
};

enum ingest_verdict {
    INGEST_ACCEPTED,
    INGEST_DUPLICATE, /* it was there already: nothing changed */
    INGEST_REJECTED   /* only this one; its neighbours landed */
};
struct ingest_result {
    enum ingest_verdict verdict;
    const char *detail; /* of a rejected one: a sentence, constant text; else NULL */
};

/* How far a partition of a topic was read, stored in the transaction that lands what was read: what makes a broker's "at
 * least once" exactly once (service/kafka_in.h). */
struct ingest_offset {
    struct str topic;
    int32_t partition;
    int64_t from; /* what is stored before, < 0: nothing; the fence: whoever finds another place there lands nothing */
    int64_t next; /* the first message that has not been read; stored after */
};

const char *ingest_source_name(enum ingest_source s);

#endif
