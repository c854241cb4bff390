/* POST /v1/events and POST /v1/campaigns/{name}/outcomes: one object or an array of them, in one pass from the body to the
 * ingest path. A bad item is named in the answer and does not keep the others from landing. */
#include "api_priv.h"

#include <stdio.h>
#include "meros/codec/records.h"
#include "meros/service/event_fields.h"
#include "meros/service/rejections.h"

enum { ITEMS_MAX = 1000, EVENTS_BODY_MAX = 16 << 20, POINTER_MAX = 120 };

struct item_fault {
    size_t item;
    const char *pointer, *detail;
};
/* One request on its way. */
struct posting {
    struct api_ingest in; /* first: api_ingest's callbacks get this */
    struct http_request *req;
    enum dataset_kind dataset;
    struct str campaign; /* from the path; STR_NONE for events */
    struct row_rules rules;
    bool array;
    size_t sent; /* items of the body */
    struct ingest_item *items;
    size_t *places; /* which of the body each item was */
    size_t n, cap;
    struct item_fault *faults;
    size_t n_faults, cap_faults;
};

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
}

/* --- decoding */

/* "/3/occurred_at"; a name is the client's and shown up to a length, in whole characters. */
static const char *pointer_of(struct posting *x, size_t item, struct str name)
{
    char at[POINTER_MAX + 1];
    size_t n = x->array ? (size_t)snprintf(at, sizeof at, "/%zu", item) : 0;
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
        if (++x->sent > ITEMS_MAX)
            return err_set(err, MEROS_TOO_LARGE, "At most %d may come in one request.", ITEMS_MAX);
        if ((rc = make_room(x, err)) != MEROS_OK || (rc = take(x, &record, err)) != MEROS_OK) return rc;
    }
}

/* --- answering */

/* Also for who did not send it and wonders: GET /v1/rejections. */
static void note_faults(const struct posting *x)
{
    enum ingest_source source = x->dataset == DATASET_EVENTS ? INGEST_FROM_EVENTS : INGEST_FROM_OUTCOMES;
    for (size_t i = 0; i < x->n_faults; i++)
        rejections_note(api_service(x->req), source, str_of(x->faults[i].detail), str_of(x->faults[i].pointer), STR_NONE, STR_NONE,
                        str_of(http_request_id(x->req)));
}

static enum meros_code nothing_good(const struct posting *x, struct meros_err *err)
{
    const char *what = x->dataset == DATASET_EVENTS ? "event" : "outcome";
    if (x->sent == 0) err_set(err, MEROS_INVALID, "The array is empty; there is nothing to do.");
    else if (x->array) err_set(err, MEROS_INVALID, "No %s of the request is valid; nothing was taken.", what);
    else err_set(err, MEROS_INVALID, "The %s is not valid.", what);
    for (size_t i = 0; i < x->n_faults; i++) err_field(err, x->faults[i].pointer, "%s", x->faults[i].detail);
    note_faults(x);
    return MEROS_INVALID;
}

static void write_fault(struct jsonw *w, const char *pointer, const char *detail)
{
    jsonw_begin_object(w);
    jsonw_kcstr(w, "pointer", pointer);
    jsonw_kcstr(w, "detail", detail);
    jsonw_end_object(w);
}

static enum meros_code answer(struct http_request *req, struct api_ingest *in, struct meros_err *err)
{
    struct posting *x = (struct posting *)in;
    size_t n[3] = {0};
    for (size_t i = 0; i < x->n; i++) {
        const struct ingest_result *r = &in->request.results[i];
        n[r->verdict]++;
        if (r->verdict != INGEST_REJECTED) continue;
        enum meros_code rc = reject(x, x->places[i], STR_NONE, r->detail, err);
        if (rc != MEROS_OK) return rc;
    }
    if (x->n_faults == x->sent) return nothing_good(x, err);
    note_faults(x);
    struct api_reply reply;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_kint(w, "accepted", (int64_t)n[INGEST_ACCEPTED]);
    jsonw_kint(w, "duplicates", (int64_t)n[INGEST_DUPLICATE]);
    jsonw_kint(w, "rejected", (int64_t)x->n_faults);
    jsonw_key(w, "errors");
    jsonw_begin_array(w);
    for (size_t i = 0; i < x->n_faults; i++) write_fault(w, x->faults[i].pointer, x->faults[i].detail);
    jsonw_end_array(w);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static enum meros_code post(struct http_request *req, enum dataset_kind dataset, enum ingest_source source, struct meros_err *err)
{
    struct json_records records;
    struct posting *x = arena_zalloc(http_arena(req), sizeof *x);
    if (x == NULL) return no_memory(err);
    x->req = req;
    x->dataset = dataset;
    x->campaign = dataset == DATASET_OUTCOMES ? http_path_param(req, "name") : STR_NONE;
    x->rules.now = clock_now();
    const struct str body = http_body(req);
    enum meros_code rc = json_records_begin(&records, body.p, body.n, err);
    if (rc == MEROS_OK) rc = read_items(x, &records, err);
    if (rc == MEROS_OK && x->n == 0) rc = nothing_good(x, err);
    struct ingest_result *results = rc == MEROS_OK ? arena_array(http_arena(req), x->n, sizeof *results) : NULL;
    if (rc == MEROS_OK && results == NULL) rc = no_memory(err);
    if (rc == MEROS_OK) {
        x->in.answer = answer;
        x->in.request = (struct ingest_request){.source = source, .items = x->items, .results = results, .n = x->n};
        rc = api_ingest(req, &x->in, err);
    }
    json_records_done(&records);
    return rc;
}

static enum meros_code post_events(struct http_request *req, struct meros_err *err)
{
    return post(req, DATASET_EVENTS, INGEST_FROM_EVENTS, err);
}

static enum meros_code post_outcomes(struct http_request *req, struct meros_err *err)
{
    return post(req, DATASET_OUTCOMES, INGEST_FROM_OUTCOMES, err);
}

const struct http_route api_events_routes[] = {
    {.method = HTTP_POST, .pattern = "/v1/events", .name = "postEvents", .scopes = SCOPE_INGEST | SCOPE_RECOMMEND,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = EVENTS_BODY_MAX, .flags = HTTP_INLINE_LIGHT, .fn = post_events},
    {.method = HTTP_POST, .pattern = "/v1/campaigns/{name}/outcomes", .name = "postOutcomes", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = EVENTS_BODY_MAX, .flags = HTTP_INLINE_LIGHT, .fn = post_outcomes},
    {0},
};
