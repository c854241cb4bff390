/* Segment's HTTP tracking API. 200 {"success": true} for everything but JSON that is none (400), too much of it (413) and a
 * wrong key (401): SDKs throw a batch away for good when they are answered 4xx, so one bad message must not cost its
 * neighbours. How many were taken is in headers, and with ?strict=1 in the body; why not, in GET /v1/rejections. */
#include "dialect_priv.h"

#include <stdio.h>
#include "meros/service/dialect_segment.h"

enum { BATCH_MAX = 500 << 10 };

static const enum segment_call calls[] = {
    [SEGMENT_IDENTIFY] = SEGMENT_IDENTIFY, [SEGMENT_TRACK] = SEGMENT_TRACK, [SEGMENT_PAGE] = SEGMENT_PAGE, [SEGMENT_SCREEN] = SEGMENT_SCREEN,
    [SEGMENT_GROUP] = SEGMENT_GROUP,       [SEGMENT_ALIAS] = SEGMENT_ALIAS, [SEGMENT_BATCH] = SEGMENT_BATCH, [SEGMENT_IMPORT] = SEGMENT_IMPORT};

static void count_header(struct http_request *req, const char *name, size_t n)
{
    char text[24];
    snprintf(text, sizeof text, "%zu", n);
    http_reply_header(req, name, text);
}

static enum meros_code answer(struct http_request *req, struct dialect_request *x, struct meros_err *err)
{
    count_header(req, "X-Meros-Accepted", x->accepted);
    count_header(req, "X-Meros-Rejected", x->rejected);
    if (!http_query_bool(req, "strict", false)) {
        http_reply_static(req, 200, "application/json", STR("{\"success\":true}"));
        return MEROS_OK;
    }
    struct api_reply reply;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_kbool(w, "success", x->rejected == 0);
    jsonw_kint(w, "accepted", (int64_t)x->accepted);
    jsonw_key(w, "rejected");
    jsonw_begin_array(w);
    for (size_t k = 0; k < x->d.n_rejects; k++) {
        const struct dialect_reject *r = &x->d.rejects[k];
        jsonw_begin_object(w);
        jsonw_kint(w, "index", (int64_t)r->index);
        jsonw_kcstr(w, "code", r->code);
        jsonw_kcstr(w, "message", r->message);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static enum meros_code post(struct http_request *req, struct meros_err *err)
{
    struct segment_body body;
    struct dialect_request *x;
    bool again;
    enum meros_code rc = dialect_needs_body(req, err);
    if (rc == MEROS_OK) rc = segment_open(http_body(req), &body, err);
    if (rc == MEROS_OK) rc = dialect_admit(req, body.write_key, &again, err);
    if (rc != MEROS_OK || again) return rc;
    rc = dialect_begin(req, INGEST_FROM_SEGMENT, answer, &x, err);
    if (rc == MEROS_OK) rc = segment_decode(&x->d, *(const enum segment_call *)http_route_of(req)->arg, &body, err);
    return rc == MEROS_OK ? dialect_submit(x, req, err) : rc;
}

/* --- what analytics.js asks for before anything else */

/* Where it is to send: here, unless whoever loads it says otherwise. A host is repeated only if it is one. */
static void write_api_host(struct jsonw *w, struct str host)
{
    char text[300];
    for (size_t i = 0; i < host.n; i++) {
        char c = host.p[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c != '\0' && strchr(".:-[]", c) != NULL))) return;
    }
    if (host.n == 0 || host.n > 255) return;
    int n = snprintf(text, sizeof text, "%.*s/v1", (int)host.n, host.p);
    jsonw_kstr(w, "apiHost", (struct str){text, (size_t)n});
}

static enum meros_code settings(struct http_request *req, struct meros_err *err)
{
    struct str key = http_path_param(req, "write_key");
    struct api_reply reply;
    bool again;
    enum meros_code rc = dialect_admit(req, key, &again, err);
    if (rc == MEROS_UNAUTHENTICATED || rc == MEROS_FORBIDDEN) return err_set(err, MEROS_NOT_FOUND, "There is no project with this write key.");
    if (rc != MEROS_OK || again) return rc;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_key(w, "integrations");
    jsonw_begin_object(w);
    jsonw_key(w, "Segment.io");
    jsonw_begin_object(w);
    jsonw_kstr(w, "apiKey", key);
    write_api_host(w, http_header(req, "Host"));
    jsonw_key(w, "unbundledIntegrations");
    jsonw_begin_array(w);
    jsonw_end_array(w);
    jsonw_kbool(w, "addBundledMetadata", true);
    jsonw_key(w, "maybeBundledConfigIds");
    jsonw_begin_object(w);
    jsonw_end_object(w);
    jsonw_end_object(w);
    jsonw_end_object(w);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static const struct http_param params[] = {{.name = "strict", .kind = HTTP_PARAM_BOOL}, {0}};

/* SDKs name all sorts of media types, a browser's beacon text/plain; it is JSON in any case. */
#define TRACKING(path, operation, call, max, more)                                                                                   \
    {.method = HTTP_POST, .pattern = "/v1/" path, .name = operation, .scopes = SCOPE_INGEST | (more), .body = HTTP_BODY_BUFFERED,   \
     .body_max = (max), .flags = HTTP_PUBLIC | HTTP_BASIC_AUTH | HTTP_BODY_OPTIONAL | HTTP_INLINE_LIGHT, .params = params, .fn = post, .arg = &calls[call]}

const struct http_route api_segment_routes[] = {
    TRACKING("identify", "segmentIdentify", SEGMENT_IDENTIFY, DIALECT_MESSAGE_MAX, 0),
    TRACKING("track", "segmentTrack", SEGMENT_TRACK, DIALECT_MESSAGE_MAX, 0),
    TRACKING("page", "segmentPage", SEGMENT_PAGE, DIALECT_MESSAGE_MAX, 0),
    TRACKING("screen", "segmentScreen", SEGMENT_SCREEN, DIALECT_MESSAGE_MAX, 0),
    TRACKING("group", "segmentGroup", SEGMENT_GROUP, DIALECT_MESSAGE_MAX, 0),
    TRACKING("alias", "segmentAlias", SEGMENT_ALIAS, DIALECT_MESSAGE_MAX, 0),
    TRACKING("batch", "segmentBatch", SEGMENT_BATCH, BATCH_MAX, 0),
    TRACKING("import", "segmentImport", SEGMENT_IMPORT, BATCH_MAX, 0),
    /* as analytics.js calls them in a page, whose key everybody can read: one that may do no more than a storefront */
    TRACKING("i", "segmentBrowserIdentify", SEGMENT_IDENTIFY, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("t", "segmentBrowserTrack", SEGMENT_TRACK, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("p", "segmentBrowserPage", SEGMENT_PAGE, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("s", "segmentBrowserScreen", SEGMENT_SCREEN, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("g", "segmentBrowserGroup", SEGMENT_GROUP, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("a", "segmentBrowserAlias", SEGMENT_ALIAS, DIALECT_MESSAGE_MAX, SCOPE_RECOMMEND),
    TRACKING("b", "segmentBrowserBatch", SEGMENT_BATCH, BATCH_MAX, SCOPE_RECOMMEND),
    {.method = HTTP_GET, .pattern = "/v1/projects/{write_key}/settings", .name = "segmentSettings", .scopes = SCOPE_INGEST | SCOPE_RECOMMEND,
     .flags = HTTP_PUBLIC | HTTP_INLINE, .fn = settings},
    {0},
};
