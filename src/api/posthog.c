/* PostHog's capture API, and an empty answer to who asks for feature flags: there are none here. */
#include "dialect_priv.h"

#include "meros/service/dialect_posthog.h"

enum { BATCH_MAX = 1 << 20, FLAGS_MAX = 64 << 10 };

static enum meros_code answer(struct http_request *req, struct dialect_request *x, struct meros_err *err)
{
    (void)x, (void)err;
    http_reply_static(req, 200, "application/json", STR("{\"status\":1}"));
    return MEROS_OK;
}

static enum meros_code capture(struct http_request *req, struct meros_err *err)
{
    struct posthog_body body;
    struct dialect_request *x;
    bool again;
    enum meros_code rc = dialect_needs_body(req, err);
    if (rc == MEROS_OK) rc = posthog_open(http_body(req), &body, err);
    if (rc == MEROS_OK) rc = dialect_admit(req, body.api_key, &again, err);
    if (rc != MEROS_OK || again) return rc;
    rc = dialect_begin(req, INGEST_FROM_POSTHOG, answer, &x, err);
    if (rc == MEROS_OK) rc = posthog_decode(&x->d, &body, err);
    return rc == MEROS_OK ? dialect_submit(x, req, err) : rc;
}

static enum meros_code flags(struct http_request *req, struct meros_err *err)
{
    struct posthog_body body;
    bool again;
    enum meros_code rc = dialect_needs_body(req, err);
    if (rc == MEROS_OK) rc = posthog_open(http_body(req), &body, err);
    if (rc == MEROS_OK) rc = dialect_admit(req, body.api_key, &again, err);
    if (rc != MEROS_OK || again) return rc;
    http_reply_static(req, 200, "application/json",
                      STR("{\"flags\":{},\"featureFlags\":{},\"featureFlagPayloads\":{},\"errorsWhileComputingFlags\":false}"));
    return MEROS_OK;
}

static const struct http_param flag_params[] = {{.name = "v", .kind = HTTP_PARAM_INT, .min = 1, .max = 100}, {0}};

/* With and without a slash at the end: SDKs write it, people do not. */
#define CAPTURE(path, operation)                                                                                                    \
    {.method = HTTP_POST, .pattern = path, .name = operation, .scopes = SCOPE_INGEST | SCOPE_RECOMMEND, .body = HTTP_BODY_BUFFERED, \
     .body_max = BATCH_MAX, .flags = HTTP_PUBLIC | HTTP_BODY_OPTIONAL | HTTP_INLINE_LIGHT, .fn = capture}
#define FLAGS(path, operation)                                                                                                      \
    {.method = HTTP_POST, .pattern = path, .name = operation, .scopes = SCOPE_INGEST | SCOPE_RECOMMEND, .body = HTTP_BODY_BUFFERED, \
     .body_max = FLAGS_MAX, .flags = HTTP_PUBLIC | HTTP_BODY_OPTIONAL | HTTP_INLINE_LIGHT, .params = flag_params, .fn = flags}

const struct http_route api_posthog_routes[] = {
    CAPTURE("/batch/", "posthogBatch"),
    CAPTURE("/batch", "posthogBatchBare"),
    FLAGS("/flags/", "posthogFlags"),
    FLAGS("/flags", "posthogFlagsBare"),
    {0},
};
