/* One JSON object as an event or an outcome, as POST /v1/events takes it, from a body or from a message of Kafka: the same
 * object is the same row, with the same identity, whichever way it comes. Pure functions. */
#ifndef MEROS_SERVICE_EVENT_FIELDS_H
#define MEROS_SERVICE_EVENT_FIELDS_H

#include <stdbool.h>
#include "meros/base/arena.h"
#include "meros/codec/records.h"
#include "meros/domain/rows.h"

/* What is wrong with it, and with which member (absent: with the whole). */
struct field_fault {
    struct str member;
    char below[48]; /* JSON pointer within the member: "/products/3/price", mostly "" */
    char detail[160];
};

/* The members by field; a member that there is no field for is a fault, and a time that is none. Views of the record's. */
bool record_cells(enum dataset_kind d, const struct json_record *record, struct cell cells[ROW_FIELDS_MAX], struct field_fault *fault);
/* An event whole. What the row points to is the record's, or in the arena. */
bool event_fields(const struct json_record *record, const struct row_rules *rules, struct arena *arena, struct event_row *out,
                  struct field_fault *fault);

#endif
