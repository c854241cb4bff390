/* One object or an array of them, in one pass from the body to items, and what became of them. */
#include "posting_priv.h"

#include <stdio.h>
#include "meros/service/event_fields.h"
#include "meros/service/rejections.h"

enum { POINTER_MAX = 120 };

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
}

/* --- decoding */

/* "/3/occurred_at"; a name is the client's and shown up to a length, in whole characters. */
static const char *pointer_of(struct posting *x, size_t item, struct str name)
{
    char at[POINTER_MAX + 1];
    size_t n = x->array ? (size_t)snprintf(at, sizeof at, "%s/%zu", x->prefix, item) : (size_t)snprintf(at, sizeof at, "%s", x->prefix);
    if (str_present(name)) at[n++] = '/';
    const size_t from = n;
    for (size_t i = 0; i < name.n && n + 2 < sizeof at; i++) {
        if (name.p[i] == '~' || name.p[i] == '/') at[n++] = '~', at[n++] = name.p[i] == '~' ? '0' : '1';
        else at[n++] = name.p[i];
    }
    n = from + utf8_cut(at + from, n - from);
    return arena_strndup(http_arena(x->req), at, n);
}

static enum meros_code reject(struct posting *x, size_t item, struct str name, const char *detail, struct meros_err *err)
{
    if (x->n_faults == x->cap_faults) {
        const size_t cap = x->cap_faults == 0 ? 16 : x->cap_faults * 4;
        struct item_fault *grown = arena_array(http_arena(x->req), cap, sizeof *grown);
        if (grown == NULL) return no_memory(err);
        if (x->n_faults > 0) memcpy(grown, x->faults, x->n_faults * sizeof *grown);
        x->faults = grown;
        x->cap_faults = cap;
    }
    struct item_fault *f = &x->faults[x->n_faults];
    *f = (struct item_fault){item, pointer_of(x, item, name), arena_strdup(http_arena(x->req), detail)};
    if (f->pointer == NULL || f->detail == NULL) return no_memory(err);
    x->n_faults++;
    return MEROS_OK;
}

static enum meros_code reject_below(struct posting *x, size_t item, const struct field_fault *fault, struct meros_err *err)
{
    enum meros_code rc = reject(x, item, fault->member, fault->detail, err);
    if (rc != MEROS_OK || fault->below[0] == '\0') return rc;
    struct item_fault *f = &x->faults[x->n_faults - 1];
    f->pointer = arena_printf(http_arena(x->req), "%s%s", f->pointer, fault->below);
    return f->pointer != NULL ? MEROS_OK : no_memory(err);
}

static enum meros_code take(struct posting *x, const struct json_record *record, struct meros_err *err)
{
    const size_t place = x->sent - 1;
    struct ingest_item *item = &x->items[x->n];
    struct field_fault fault;
    if (x->dataset == DATASET_EVENTS) {
        *item = (struct ingest_item){.kind = INGEST_EVENT, .anonymous_id = STR_NONE};
        if (!event_fields(record, &x->rules, http_arena(x->req), &item->event, &fault))
            return reject_below(x, place, &fault, err);
        item->customer_id = item->event.customer_id;
    } else {
        struct cell cells[ROW_FIELDS_MAX], *campaign = &cells[OUTCOME_FIELD_CAMPAIGN];
        struct row_fault wrong;
        if (!record_cells(x->dataset, record, cells, &fault)) return reject(x, place, fault.member, fault.detail, err);
        if (campaign->kind != CELL_ABSENT && !str_eq(campaign->text, x->campaign))
            return reject(x, place, STR("campaign"), "It is another campaign than the one in the path.", err);
        *campaign = (struct cell){CELL_STRING, x->campaign};
        *item = (struct ingest_item){.kind = INGEST_OUTCOME, .anonymous_id = STR_NONE};
        if (!outcome_decode(cells, &x->rules, &item->outcome, &wrong))
            return reject(x, place, str_of(datasets[x->dataset].fields[wrong.field].name), wrong.detail, err);
        item->customer_id = item->outcome.customer_id;
    }
    x->places[x->n++] = place;
    return MEROS_OK;
}

/* Room for one more item; what grows stays within the request's arena. */
static enum meros_code make_room(struct posting *x, struct meros_err *err)
{
    if (x->n < x->cap) return MEROS_OK;
    const size_t cap = x->cap == 0 ? (x->array ? 32 : 1) : x->cap * 4;
    struct ingest_item *items = arena_alloc(http_arena(x->req), cap * sizeof *items);
    size_t *places = arena_alloc(http_arena(x->req), cap * sizeof *places);
    if (items == NULL || places == NULL) return no_memory(err);
    if (x->n > 0) {
        memcpy(items, x->items, x->n * sizeof *items);
        memcpy(places, x->places, x->n * sizeof *places);
    }
    x->items = items;
    x->places = places;
    x->cap = cap;
    return MEROS_OK;
}

static enum meros_code read_items(struct posting *x, struct json_records *records, struct meros_err *err)
{
    struct json_record record;
    bool more;
    for (;;) {
        enum meros_code rc = json_records_next(records, &record, &more, err);
        if (rc != MEROS_OK || !more) return rc;
        x->array = records->array;
        if (++x->sent > POSTING_ITEMS_MAX)
            return err_set(err, MEROS_TOO_LARGE, "At most %d may come in one request.", POSTING_ITEMS_MAX);
        if ((rc = make_room(x, err)) != MEROS_OK || (rc = take(x, &record, err)) != MEROS_OK) return rc;
    }
}

enum meros_code posting_read(struct posting *x, struct str body, struct json_records *records, struct meros_err *err)
{
    x->rules.now = clock_now();
    enum meros_code rc = json_records_begin(records, body.p, body.n, err);
    return rc == MEROS_OK ? read_items(x, records, err) : rc;
}

enum meros_code posting_prepare(struct posting *x, enum ingest_source source, struct meros_err *err)
{
    struct ingest_result *results = arena_array(http_arena(x->req), x->n, sizeof *results);
    if (results == NULL) return no_memory(err);
    x->in.request = (struct ingest_request){.source = source, .items = x->items, .results = results, .n = x->n};
    return MEROS_OK;
}

/* --- answering */

/* Also for who did not send it and wonders: GET /v1/rejections. */
void posting_note_faults(const struct posting *x)
{
    enum ingest_source source = x->dataset == DATASET_EVENTS ? INGEST_FROM_EVENTS : INGEST_FROM_OUTCOMES;
    for (size_t i = 0; i < x->n_faults; i++)
        rejections_note(api_service(x->req), source, str_of(x->faults[i].detail), str_of(x->faults[i].pointer), STR_NONE, STR_NONE,
                        str_of(http_request_id(x->req)));
}

enum meros_code posting_settle(struct posting *x, size_t out_n[3], struct meros_err *err)
{
    for (size_t i = 0; i < x->n; i++) {
        const struct ingest_result *r = &x->in.request.results[i];
        out_n[r->verdict]++;
        if (r->verdict != INGEST_REJECTED) continue;
        enum meros_code rc = reject(x, x->places[i], STR_NONE, r->detail, err);
        if (rc != MEROS_OK) return rc;
    }
    return MEROS_OK;
}

static void write_fault(struct jsonw *w, const char *pointer, const char *detail)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "pointer", pointer);
    jsonw_kcstr(w, "detail", detail);
    jsonw_end_object(w);
}

void posting_write(const struct posting *x, const size_t n[3], struct jsonw *w)
{
    jsonw_kint(w, "accepted", (int64_t)n[INGEST_ACCEPTED]);
    jsonw_kint(w, "duplicates", (int64_t)n[INGEST_DUPLICATE]);
    jsonw_kint(w, "rejected", (int64_t)x->n_faults);
    jsonw_key(w, "errors");
    jsonw_begin_array(w);
    for (size_t i = 0; i < x->n_faults; i++) write_fault(w, x->faults[i].pointer, x->faults[i].detail);
    jsonw_end_array(w);
}
