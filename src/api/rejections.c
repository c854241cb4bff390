/* GET /v1/rejections: what was not taken, newest first. */
#include "api_priv.h"
#include "meros/service/rejections.h"

static void write_rejection(void *arg, const struct rejection_record *r)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, r->rejection_no)) return;
    struct jsonw *w = l->w;
    jsonw_begin_object(w);
    jsonw_ktime(w, "received_at", r->received_at);
    jsonw_kstr(w, "source", r->source);
    jsonw_kstr(w, "reason", r->reason);
    jsonw_kstr(w, "place", r->place);
    jsonw_kstr(w, "type", r->type);
    jsonw_kstr(w, "message_id", r->message_id);
    jsonw_kstr(w, "request_id", r->request_id);
    jsonw_end_object(w);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "rejections", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = rejections_list(api_service(req), http_query_str(req, "source"), page.given ? page.part[0].i : INT64_MAX, page.limit + 1,
                         write_rejection, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static const char *const sources[] = {
#define X(id, name) name,
    INGEST_SOURCES(X)
#undef X
    NULL};
static const struct http_param params[] = {API_PAGE_PARAMS, {.name = "source", .kind = HTTP_PARAM_ENUM, .words = sources}, {0}};

const struct http_route api_rejections_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/rejections", .name = "listRejections", .scopes = SCOPE_READ | SCOPE_INGEST, .params = params, .fn = list},
    {0},
};
