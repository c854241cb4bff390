/* GET /v1/customers/{id}: the busiest read. The handler runs on the HTTP thread, puts the question into the live reader's
 * queue (service/serving.h) and returns; the reader answers it together with all others that wait. */
#include "api_priv.h"
#include "meros/service/serving.h"

static void answered(struct serving_ask *ask, enum meros_code rc, struct buf *json, const struct meros_err *err)
{
    struct http_request *req = ask->arg;
    if (rc == MEROS_OK) http_reply_json(req, 200, json);
    http_complete(req, rc, err); /* the ask lives in the request's arena: it is gone after this */
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct serving_ask *ask = arena_zalloc(http_arena(req), sizeof *ask);
    if (ask == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    ask->customer_id = http_path_param(req, "id");
    ask->at = http_query_time(req, "at", TIME_NONE);
    ask->done = answered;
    ask->arg = req;
    http_defer(req);
    enum meros_code rc = serving_ask(api_service(req), ask, err);
    /* Deferred already: a refusal is delivered as any other answer is. */
    if (rc != MEROS_OK) http_complete(req, rc, err);
    return MEROS_OK;
}

static const struct http_param params[] = {{.name = "at", .kind = HTTP_PARAM_TIME}, {0}};

const struct http_route api_customer_get_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}", .name = "getCustomer", .scopes = SCOPE_READ, .flags = HTTP_INLINE,
     .params = params, .fn = get},
    {0},
};
