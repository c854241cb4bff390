/* POST /v1/events and POST /v1/campaigns/{name}/outcomes: one object or an array of them, in one pass from the body to the
 * ingest path. A bad item is named in the answer and does not keep the others from landing. */
#include "api_priv.h"

#include <stdio.h>
#include "meros/codec/records.h"

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

static struct cell cell_of(const struct ndjson_member *m)
{
    static const enum cell_kind kinds[] = {[JSON_KIND_NULL] = CELL_NULL,     [JSON_KIND_BOOL] = CELL_BOOL,  [JSON_KIND_NUMBER] = CELL_NUMBER,
                                           [JSON_KIND_STRING] = CELL_STRING, [JSON_KIND_ARRAY] = CELL_JSON, [JSON_KIND_OBJECT] = CELL_JSON};
    return (struct cell){kinds[m->kind], m->text};
}

/* The properties as imports keep them, so that one event has one identity whichever way it comes: without blanks behind
 * the brace, and absent where there are none. NULL, or what is wrong. */
static const char *properties_of(struct posting *x, const struct cell *c, struct str *out)
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
    char *p = arena_alloc(http_arena(x->req), inner.n + 2);
    if (p == NULL) return "There is no memory for it.";
    p[0] = '{';
    memcpy(p + 1, inner.p, inner.n);
    p[inner.n + 1] = '}';
    *out = (struct str){p, inner.n + 2};
    return NULL;
}

static bool time_wrong(const struct cell *c)
{
    int64_t t;
    return c->kind != CELL_ABSENT && c->kind != CELL_NULL && (c->kind != CELL_STRING || !time_parse(c->text, &t));
}

static enum meros_code take(struct posting *x, const struct json_record *record, struct meros_err *err)
{
    const struct dataset_info *d = &datasets[x->dataset];
    const int time_field = x->dataset == DATASET_EVENTS ? (int)EVENT_FIELD_AT : (int)OUTCOME_FIELD_AT;
    const size_t place = x->sent - 1;
    struct cell cells[ROW_FIELDS_MAX] = {0};
    struct row_fault fault;
    if (!record->object) return reject(x, place, STR_NONE, "It must be a JSON object.", err);
    for (size_t k = 0; k < record->n; k++) {
        const int f = dataset_field(x->dataset, record->members[k].name);
        if (f < 0) return reject(x, place, record->members[k].name, "There is no such field.", err);
        cells[f] = cell_of(&record->members[k]);
    }
    if (time_wrong(&cells[time_field]))
        return reject(x, place, str_of(d->fields[time_field].name), "It must be a time such as 2011-12-09T12:50:00Z.", err);
    struct ingest_item *item = &x->items[x->n];
    bool good;
    if (x->dataset == DATASET_EVENTS) {
        *item = (struct ingest_item){.kind = INGEST_EVENT, .anonymous_id = STR_NONE};
        good = event_decode(cells, &x->rules, &item->event, &fault);
        const char *wrong = good ? properties_of(x, &cells[EVENT_FIELD_PROPERTIES], &item->event.properties) : NULL;
        if (wrong != NULL) return reject(x, place, STR("properties"), wrong, err);
        item->customer_id = item->event.customer_id;
    } else {
        struct cell *campaign = &cells[OUTCOME_FIELD_CAMPAIGN];
        if (campaign->kind != CELL_ABSENT && !str_eq(campaign->text, x->campaign))
            return reject(x, place, STR("campaign"), "It is another campaign than the one in the path.", err);
        *campaign = (struct cell){CELL_STRING, x->campaign};
        *item = (struct ingest_item){.kind = INGEST_OUTCOME, .anonymous_id = STR_NONE};
        good = outcome_decode(cells, &x->rules, &item->outcome, &fault);
        item->customer_id = item->outcome.customer_id;
    }
    if (!good) return reject(x, place, str_of(d->fields[fault.field].name), fault.detail, err);
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

static enum meros_code nothing_good(const struct posting *x, struct meros_err *err)
{
    const char *what = x->dataset == DATASET_EVENTS ? "event" : "outcome";
    if (x->sent == 0) err_set(err, MEROS_INVALID, "The array is empty; there is nothing to do.");
    else if (x->array) err_set(err, MEROS_INVALID, "No %s of the request is valid; nothing was taken.", what);
    else err_set(err, MEROS_INVALID, "The %s is not valid.", what);
    for (size_t i = 0; i < x->n_faults; i++) err_field(err, x->faults[i].pointer, "%s", x->faults[i].detail);
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
