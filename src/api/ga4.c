/* Google Analytics 4's Measurement Protocol: 204 whatever the body was, as long as the key is right; what was wrong is told
 * by /debug/mp/collect, which lands nothing, and by GET /v1/rejections. */
#include "dialect_priv.h"

#include "meros/base/clock.h"
#include "meros/service/dialect_ga4.h"

static enum meros_code answer(struct http_request *req, struct dialect_request *x, struct meros_err *err)
{
    (void)x, (void)err;
    http_reply_empty(req, 204);
    return MEROS_OK;
}

static enum meros_code collect(struct http_request *req, struct meros_err *err)
{
    struct dialect_request *x;
    bool again;
    enum meros_code rc = dialect_admit(req, http_query_str(req, "api_secret"), &again, err);
    if (rc != MEROS_OK || again) return rc;
    rc = dialect_begin(req, INGEST_FROM_GA4, answer, &x, err);
    if (rc == MEROS_OK) rc = ga4_decode(&x->d, http_body(req), false, err);
    return rc == MEROS_OK ? dialect_submit(x, req, err) : rc;
}

static enum meros_code validate(struct http_request *req, struct meros_err *err)
{
    struct dialect d;
    struct api_reply reply;
    char path[160];
    bool again;
    enum meros_code rc = dialect_admit(req, http_query_str(req, "api_secret"), &again, err);
    if (rc != MEROS_OK || again) return rc;
    dialect_init(&d, http_arena(req), clock_now());
    rc = ga4_decode(&d, http_body(req), true, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&reply);
    jsonw_begin_object(w);
    jsonw_key(w, "validationMessages");
    jsonw_begin_array(w);
    for (size_t k = 0; k < d.n_rejects; k++) {
        ga4_field_path(&d.rejects[k], path, sizeof path);
        jsonw_begin_object(w);
        jsonw_kcstr(w, "fieldPath", path);
        jsonw_kcstr(w, "description", d.rejects[k].message);
        jsonw_kcstr(w, "validationCode", ga4_validation_code(&d.rejects[k]));
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
    return api_reply_end(&reply, req, 200, err);
}

static const struct http_param params[] = {
    {.name = "measurement_id", .kind = HTTP_PARAM_STR},
    {.name = "firebase_app_id", .kind = HTTP_PARAM_STR},
    {.name = "api_secret", .kind = HTTP_PARAM_STR},
    {0},
};

#define HIT(path, operation, handler)                                                                                               \
    {.method = HTTP_POST, .pattern = path, .name = operation, .scopes = SCOPE_INGEST | SCOPE_RECOMMEND, .body = HTTP_BODY_BUFFERED, \
     .body_max = GA4_BODY_MAX, .flags = HTTP_PUBLIC | HTTP_BODY_OPTIONAL | HTTP_INLINE_LIGHT, .params = params, .fn = handler}

const struct http_route api_ga4_routes[] = {
    HIT("/mp/collect", "ga4Collect", collect),
    HIT("/debug/mp/collect", "ga4Validate", validate),
    {0},
};
