/* What a customer agreed to: for shops whose consent banner knows of nothing else. */
#include "api_priv.h"
#include "meros/service/customers.h"

static enum meros_code show(void *arg, const struct customer_record *r, struct meros_err *err)
{
    struct jsonw *w = arg;
    (void)err;
    jsonw_begin_object(w);
    jsonw_kstr(w, "customer_id", r->customer_id);
    jsonw_kraw(w, "consent", r->consent);
    jsonw_end_object(w);
    return MEROS_OK;
}

static enum meros_code decode(struct http_request *req, const struct json *body, struct str *out, struct meros_err *err)
{
    static const char *const purposes[] = {"profiling", "marketing", "sale"};
    struct json_obj o;
    bool any = false;
    json_obj_begin(&o, body, "", err);
    for (size_t k = 0; k < 3; k++) {
        json_obj_bool(&o, purposes[k], JSON_NULLABLE, false);
        any |= json_get(body, purposes[k]) != NULL;
    }
    if (!any) json_obj_fault(&o, "", "must say something of profiling, marketing or sale");
    *out = api_object_text(&o, "", body, true, http_arena(req));
    return json_obj_end(&o);
}

static enum meros_code put(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    struct api_reply r;
    struct str patch = STR_NONE;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    rc = decode(req, body, &patch, err);
    json_free(body);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&r);
    rc = service_change_consent(api_service(req), http_path_param(req, "id"), patch, show, w, err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = service_get_consent(api_service(req), http_path_param(req, "id"), show, w, err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

const struct http_route api_consent_routes[] = {
    {.method = HTTP_PUT, .pattern = "/v1/customers/{id}/consent", .name = "putConsent", .scopes = SCOPE_INGEST | SCOPE_PRIVACY,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .fn = put},
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/consent", .name = "getConsent", .scopes = SCOPE_READ | SCOPE_PRIVACY, .fn = get},
    {0},
};
