/* Does the process live, and can it serve? Both answer from memory: a probe never waits for the database. */
#include "api_priv.h"
#include "meros/service/listener.h"

static enum meros_code healthz(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "status", "ok");
    jsonw_kcstr(w, "version", MEROS_VERSION);
    jsonw_end_object(w);
    http_reply_header(req, "Cache-Control", "no-store");
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code readyz(struct http_request *req, struct meros_err *err)
{
    struct service *svc = api_service(req);
    struct health h;
    health_now(svc, &h);
    http_reply_header(req, "Cache-Control", "no-store");
    if (svc->draining)
        return err_set(err, MEROS_UNAVAILABLE, "The service is stopping.");
    if (!svc->up)
        return err_set(err, MEROS_UNAVAILABLE, "The service is starting; it waits for its database.");
    if (!h.database)
        return err_set(err, MEROS_UNAVAILABLE, "The database does not answer.");
    if (!h.schema_current)
        return err_set(err, MEROS_UNAVAILABLE, "The database's schema is at version %d, which is not this program's; run `meros migrate`.",
                       h.schema_version);
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "status", "ready");
    jsonw_kint(w, "schema_version", h.schema_version);
    jsonw_end_object(w);
    return api_reply_end(&r, req, 200, err);
}

const struct http_route api_health_routes[] = {
    {.method = HTTP_GET, .pattern = "/healthz", .name = "getHealth", .flags = HTTP_INLINE | HTTP_PUBLIC, .fn = healthz},
    {.method = HTTP_GET, .pattern = "/readyz", .name = "getReadiness", .flags = HTTP_INLINE | HTTP_PUBLIC, .fn = readyz},
    {0},
};
