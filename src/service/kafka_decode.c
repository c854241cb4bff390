/* A message of Kafka: one JSON object, in one of two dialects, told apart by customer_id, which Segment's do not have. */
#include "kafka_priv.h"

#include "meros/base/clock.h"
#include "meros/codec/records.h"
#include "meros/domain/rows.h"
#include "meros/service/dialect_segment.h"
#include "meros/service/event_fields.h"
#include "meros/service/kafka_in.h"

static bool has(const struct json_record *record, const char *name)
{
    for (size_t i = 0; i < record->n; i++)
        if (str_is(record->members[i].name, name)) return true;
    return false;
}

/* An event of ours. The record's texts end with it, so they are kept. */
static void event(struct message *x, const struct json_record *record, int64_t now)
{
    const struct row_rules rules = {.now = now};
    struct event_row row = {0};
    struct field_fault fault;
    if (!event_fields(record, &rules, x->d->arena, &row, &fault)) {
        message_reject(x, "invalid_event", "", "%.*s%s%s", (int)(fault.member.n < 60 ? fault.member.n : 60),
                       fault.member.n > 0 ? fault.member.p : "", fault.member.n > 0 ? ": " : "", fault.detail);
        return;
    }
    struct ingest_item *item = message_item(x, INGEST_EVENT);
    if (item == NULL) return;
    item->event = row;
    item->customer_id = item->event.customer_id = message_keep(x, row.customer_id);
    item->event.event_id = message_keep(x, row.event_id);
    item->event.type = message_keep(x, row.type);
    item->event.product_id = message_keep(x, row.product_id);
    item->event.properties = message_keep(x, row.properties);
    if (row.occurred_at == TIME_NONE) item->event.occurred_at = x->d->now;
}

void kafka_decode(struct dialect *d, size_t index, const struct kafka_message *m, int64_t now)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json_records records;
    struct json_record record;
    struct message x;
    bool more;
    d->now = m->at != TIME_NONE && moment_plausible(m->at, now) ? m->at : now;
    message_begin(&x, d, index, "");
    if (!str_present(m->value) || m->value.n == 0) {
        message_reject(&x, "empty", "", "The message has no value.");
        return;
    }
    if (m->value.n > KAFKA_VALUE_MAX) {
        message_reject(&x, "too_large", "", "A message has at most %d bytes.", KAFKA_VALUE_MAX);
        return;
    }
    enum meros_code rc = json_records_begin(&records, m->value.p, m->value.n, &err);
    if (rc == MEROS_OK) rc = json_records_next(&records, &record, &more, &err);
    if (rc == MEROS_OK && (records.array || !record.object)) {
        message_reject(&x, "invalid_message", "", "A message must be one JSON object.");
    } else if (rc == MEROS_OK && !has(&record, "customer_id")) {
        segment_decode_message(d, index, m->value);
    } else if (rc == MEROS_OK) {
        event(&x, &record, now);
        rc = json_records_next(&records, &record, &more, &err); /* behind the object there must be nothing */
    }
    if (rc != MEROS_OK) message_reject(&x, "invalid_json", "", "%.150s", err.detail);
    json_records_done(&records);
}
