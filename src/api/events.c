/* POST /v1/events and POST /v1/campaigns/{name}/outcomes: one object or an array of them, in one pass from the body to the
 * ingest path. */
#include "posting_priv.h"

static enum meros_code nothing_good(const struct posting *x, struct meros_err *err)
{
    const char *what = x->dataset == DATASET_EVENTS ? "event" : "outcome";
    if (x->sent == 0) err_set(err, MEROS_INVALID, "The array is empty; there is nothing to do.");
    else if (x->array) err_set(err, MEROS_INVALID, "No %s of the request is valid; nothing was taken.", what);
    else err_set(err, MEROS_INVALID, "The %s is not valid.", what);
    for (size_t i = 0; i < x->n_faults; i++) err_field(err, x->faults[i].pointer, "%s", x->faults[i].detail);
    posting_note_faults(x);
    return MEROS_INVALID;
}

static enum meros_code answer(struct http_request *req, struct api_ingest *in, struct meros_err *err)
{
    struct posting *x = (struct posting *)in;
    size_t n[3] = {0};
    enum meros_code rc = posting_settle(x, n, err);
    if (rc != MEROS_OK) return rc;
    if (x->n_faults == x->sent) return nothing_good(x, err);
    posting_note_faults(x);
    struct api_reply reply;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    posting_write(x, n, w);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static enum meros_code post(struct http_request *req, enum dataset_kind dataset, enum ingest_source source, struct meros_err *err)
{
    struct json_records records;
    struct posting *x = arena_zalloc(http_arena(req), sizeof *x);
    if (x == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the request.");
    x->req = req;
    x->dataset = dataset;
    x->campaign = dataset == DATASET_OUTCOMES ? http_path_param(req, "name") : STR_NONE;
    x->prefix = "";
    x->in.answer = answer;
    enum meros_code rc = posting_read(x, http_body(req), &records, err);
    if (rc == MEROS_OK) rc = x->n == 0 ? nothing_good(x, err) : posting_prepare(x, source, err);
    if (rc == MEROS_OK) rc = api_ingest(req, &x->in, err);
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
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = POSTING_BODY_MAX, .flags = HTTP_INLINE_LIGHT, .fn = post_events},
    {.method = HTTP_POST, .pattern = "/v1/campaigns/{name}/outcomes", .name = "postOutcomes", .scopes = SCOPE_INGEST,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = POSTING_BODY_MAX, .flags = HTTP_INLINE_LIGHT, .fn = post_outcomes},
    {0},
};
