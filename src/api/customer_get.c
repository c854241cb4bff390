/* GET /v1/customers/{id}, the busiest read, and GET /v1/customers/{id}/clv. The handler runs on the HTTP thread, puts the question
 * into the live reader's queue (service/serving.h) and returns; the reader answers it together with all others that wait. */
#include "api_priv.h"
#include "meros/service/clv.h"
#include "meros/service/serving.h"

static void answered(struct serving_ask *ask, enum meros_code rc, struct buf *json, const struct meros_err *err)
{
    struct http_request *req = ask->arg;
    if (rc == MEROS_OK) http_reply_json(req, 200, json);
    http_complete(req, rc, err); /* the ask lives in the request's arena: it is gone after this */
}

/* clv: in the request's arena, or NULL. */
static enum meros_code ask_for(struct http_request *req, const struct clv_ask *clv, struct meros_err *err)
{
    struct serving_ask *ask = arena_zalloc(http_arena(req), sizeof *ask);
    if (ask == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    ask->customer_id = http_path_param(req, "id");
    ask->at = http_query_time(req, "at", TIME_NONE);
    ask->clv = clv;
    ask->done = answered;
    ask->arg = req;
    http_defer(req);
    enum meros_code rc = serving_ask(api_service(req), ask, err);
    /* Deferred already: a refusal is delivered as any other answer is. */
    if (rc != MEROS_OK) http_complete(req, rc, err);
    return MEROS_OK;
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    return ask_for(req, NULL, err);
}

static enum meros_code get_clv(struct http_request *req, struct meros_err *err)
{
    struct clv_ask *clv = arena_alloc(http_arena(req), sizeof *clv);
    if (clv == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    *clv = (struct clv_ask){
        .horizon_days = http_query_num(req, "horizon_days", CLV_HORIZON_DAYS),
        .discount_rate = http_query_num(req, "discount_rate", CLV_DISCOUNT_RATE),
        .level = http_query_num(req, "level", CLV_LEVEL),
        .by_month = http_query_given(req, "breakdown"),
    };
    return ask_for(req, clv, err);
}

static const struct http_param params[] = {{.name = "at", .kind = HTTP_PARAM_TIME}, {0}};
static const char *const breakdowns[] = {"month", NULL};
/* A hundred years; 1,000 % a year. */
static const struct http_param clv_params[] = {
    {.name = "horizon_days", .kind = HTTP_PARAM_NUM, .min = 0, .max = 36525},
    {.name = "discount_rate", .kind = HTTP_PARAM_NUM, .min = 0, .max = 10},
    {.name = "level", .kind = HTTP_PARAM_NUM, .min = .5, .max = .999},
    {.name = "at", .kind = HTTP_PARAM_TIME},
    {.name = "breakdown", .kind = HTTP_PARAM_ENUM, .words = breakdowns},
    {0},
};

const struct http_route api_customer_get_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}", .name = "getCustomer", .scopes = SCOPE_READ, .flags = HTTP_INLINE,
     .params = params, .fn = get},
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/clv", .name = "getCustomerClv", .scopes = SCOPE_READ, .flags = HTTP_INLINE,
     .params = clv_params, .fn = get_clv},
    {0},
};
