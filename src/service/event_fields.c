#include "meros/service/event_fields.h"

#include <stdio.h>
#include <string.h>
#include "meros/service/order_events.h"

static bool wrong(struct field_fault *fault, struct str member, const char *detail)
{
    fault->member = member;
    fault->below[0] = '\0';
    snprintf(fault->detail, sizeof fault->detail, "%s", detail);
    return false;
}

static struct cell cell_of(const struct ndjson_member *m)
{
    static const enum cell_kind kinds[] = {[JSON_KIND_NULL] = CELL_NULL,     [JSON_KIND_BOOL] = CELL_BOOL,  [JSON_KIND_NUMBER] = CELL_NUMBER,
                                           [JSON_KIND_STRING] = CELL_STRING, [JSON_KIND_ARRAY] = CELL_JSON, [JSON_KIND_OBJECT] = CELL_JSON};
    return (struct cell){kinds[m->kind], m->text};
}

static bool time_wrong(const struct cell *c)
{
    int64_t t;
    return c->kind != CELL_ABSENT && c->kind != CELL_NULL && (c->kind != CELL_STRING || !time_parse(c->text, &t));
}

bool record_cells(enum dataset_kind d, const struct json_record *record, struct cell cells[ROW_FIELDS_MAX], struct field_fault *fault)
{
    const int time_field = d == DATASET_EVENTS ? (int)EVENT_FIELD_AT : (int)OUTCOME_FIELD_AT;
    memset(cells, 0, ROW_FIELDS_MAX * sizeof *cells);
    if (!record->object) return wrong(fault, STR_NONE, "It must be a JSON object.");
    for (size_t i = 0; i < record->n; i++) {
        const int f = dataset_field(d, record->members[i].name);
        if (f < 0) return wrong(fault, record->members[i].name, "There is no such field.");
        cells[f] = cell_of(&record->members[i]);
    }
    return !time_wrong(&cells[time_field]) ||
           wrong(fault, str_of(datasets[d].fields[time_field].name), "It must be a time such as 2011-12-09T12:50:00Z.");
}

/* The properties as imports keep them, so that one event has one identity whichever way it comes: without blanks behind
 * the brace, and absent where there are none. NULL, or what is wrong. */
static const char *properties_of(struct arena *arena, const struct cell *c, struct str *out)
{
    *out = STR_NONE;
    if (c->kind == CELL_ABSENT || c->kind == CELL_NULL) return NULL;
    if (c->kind != CELL_JSON || c->text.p[0] != '{') return "It must be a JSON object.";
    if (c->text.n > EXTRAS_MAX) return "The properties are longer than 64 KiB.";
    struct str inner = {c->text.p + 1, c->text.n - 2};
    while (inner.n > 0 && (unsigned char)inner.p[0] <= ' ') inner.p++, inner.n--;
    if (inner.n == 0) return NULL;
    *out = c->text;
    if (inner.p == c->text.p + 1) return NULL;
    char *p = arena_alloc(arena, inner.n + 2);
    if (p == NULL) return "There is no memory for it.";
    p[0] = '{';
    memcpy(p + 1, inner.p, inner.n);
    p[inner.n + 1] = '}';
    *out = (struct str){p, inner.n + 2};
    return NULL;
}

bool event_fields(const struct json_record *record, const struct row_rules *rules, struct arena *arena, struct event_row *out,
                  struct field_fault *fault)
{
    struct cell cells[ROW_FIELDS_MAX];
    struct row_fault row;
    struct order_fault order;
    if (!record_cells(DATASET_EVENTS, record, cells, fault)) return false;
    if (!event_decode(cells, rules, out, &row)) return wrong(fault, str_of(datasets[DATASET_EVENTS].fields[row.field].name), row.detail);
    const char *bad = properties_of(arena, &cells[EVENT_FIELD_PROPERTIES], &out->properties);
    if (bad != NULL) return wrong(fault, STR("properties"), bad);
    if (order_properties_check(out->type, out->properties, &order)) return true;
    (void)wrong(fault, STR("properties"), order.detail);
    (void)str_copy(fault->below, sizeof fault->below, str_of(order.pointer));
    return false;
}
