/* GET /v1/products/{id}/likely-buyers */
#include "meros/service/likely_buyers.h"

#include "recommend_priv.h"
#include "meros/base/clock.h"

enum { LIMIT = 100 };

static void write(struct jsonw *w, struct str product_id, const struct likely_buyers *b)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "product_id", product_id);
    jsonw_kcstr(w, "strategy", recommend_strategy_words[b->strategy]);
    recommend_write_model(w, b->model_id, b->model_version, b->algorithm);
    jsonw_kbool(w, "known_to_model", b->known);
    jsonw_kint(w, "considered", (int64_t)b->considered);
    jsonw_key(w, "data");
    jsonw_begin_array(w);
    for (size_t i = 0; i < b->n; i++) {
        jsonw_begin_object(w);
        jsonw_kstr(w, "customer_id", b->data[i].customer_id);
        recommend_write_score(w, b->data[i].score);
        jsonw_ktime(w, "bought_at", b->data[i].bought_at);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct likely_buyers b;
    struct api_reply r;
    enum meros_code rc = likely_buyers(api_service(req), http_path_param(req, "id"), api_recommend_strategy(req),
                                       (size_t)http_query_int(req, "limit", LIMIT), http_query_bool(req, "exclude_purchased", true),
                                       http_arena(req), &b, err);
    if (rc != MEROS_OK) return rc;
    write(api_reply_begin(&r), http_path_param(req, "id"), &b);
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param params[] = {{.name = "limit", .kind = HTTP_PARAM_INT, .min = 1, .max = LIKELY_BUYERS_MAX},
                                           {.name = "exclude_purchased", .kind = HTTP_PARAM_BOOL},
                                           {.name = "strategy", .kind = HTTP_PARAM_ENUM, .words = api_recommend_scoring},
                                           {0}};

const struct http_route api_likely_buyers_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/products/{id}/likely-buyers", .name = "getLikelyBuyers", .scopes = SCOPE_READ, .flags = HTTP_SLOW,
     .params = params, .fn = get},
    {0},
};
