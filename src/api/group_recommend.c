/* Recommendations for many at once: the members of a segment or of an audience, or named customers. */
#include "meros/service/group_recommend.h"

#include <math.h>
#include "meros/base/clock.h"
#include "recommend_priv.h"

static void write_items(struct jsonw *w, const struct group_answer *a)
{
    jsonw_key(w, "items");
    jsonw_begin_array(w);
    for (size_t i = 0; i < a->n; i++) {
        jsonw_begin_object(w);
        jsonw_kstr(w, "product_id", a->items[i].product_id);
        jsonw_knum(w, "score", a->items[i].score); /* NaN is null: it fills a place */
        jsonw_kint(w, "in_top_10", a->items[i].top);
        jsonw_knum(w, "share_in_top_10", a->personal > 0 ? (double)a->items[i].top / (double)a->personal : NAN);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static enum meros_code answer(struct http_request *req, const struct recommend_query *q, const struct group_answer *a, struct meros_err *err)
{
    struct api_reply r;
    char id[RECOMMENDATION_ID_MAX + 1];
    struct jsonw *w = api_reply_begin(&r);
    group_recommendation_id(api_service(req), q, a, id);
    jsonw_begin_object(w);
    jsonw_kcstr(w, "recommendation_id", id);
    jsonw_ktime(w, "evaluated_at", q->now);
    jsonw_kcstr(w, "strategy", recommend_strategy_words[a->strategy]);
    recommend_write_model(w, a->model_id, a->model_version, a->algorithm);
    jsonw_kint(w, "customers", a->members);
    jsonw_kint(w, "sampled", a->asked);
    jsonw_kint(w, "personal", a->personal);
    jsonw_kint(w, "refused_profiling", a->refused);
    write_items(w, a);
    jsonw_end_object(w);
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code segment(struct http_request *req, struct meros_err *err)
{
    struct recommend_query q;
    struct group_answer a;
    enum meros_code rc = api_recommend_query(req, &q, err);
    if (rc == MEROS_OK)
        rc = group_recommend_segment(api_service(req), &q, http_path_param(req, "name"), http_path_param(req, "id"), http_arena(req), &a, err);
    return rc == MEROS_OK ? answer(req, &q, &a, err) : rc;
}

static enum meros_code audience(struct http_request *req, struct meros_err *err)
{
    struct recommend_query q;
    struct group_answer a;
    enum meros_code rc = api_recommend_query(req, &q, err);
    if (rc == MEROS_OK) rc = group_recommend_audience(api_service(req), &q, http_path_param(req, "name"), http_arena(req), &a, err);
    return rc == MEROS_OK ? answer(req, &q, &a, err) : rc;
}

static enum meros_code group(struct http_request *req, struct meros_err *err)
{
    struct recommend_query q;
    struct group_answer a;
    struct json *body = NULL;
    struct json_obj o;
    const struct str *customers = NULL;
    size_t n = 0;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    json_obj_begin(&o, body, "", err);
    rc = api_recommend_ids(req, &o, "customers", JSON_REQUIRED, GROUP_MAX, &customers, &n, err);
    if (rc == MEROS_OK) rc = api_recommend_members(req, &o, &q, err);
    if (rc == MEROS_OK && json_get(body, "customers") != NULL && n == 0) json_obj_fault(&o, "customers", "must name at least one customer");
    if (rc == MEROS_OK) rc = json_obj_end(&o);
    if (rc == MEROS_OK) rc = group_recommend(api_service(req), &q, customers, n, http_arena(req), &a, err);
    if (rc == MEROS_OK) rc = answer(req, &q, &a, err);
    json_free(body);
    return rc;
}

static const struct http_param members_params[] = {API_RECOMMEND_FILTER_PARAMS,
                                                   {.name = "strategy", .kind = HTTP_PARAM_ENUM, .words = api_recommend_scoring},
                                                   {.name = "exclude_purchased", .kind = HTTP_PARAM_BOOL},
                                                   {.name = "exclude_seen", .kind = HTTP_PARAM_BOOL},
                                                   {0}};

const struct http_route api_group_recommend_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/segmentations/{name}/segments/{id}/recommendations", .name = "getSegmentRecommendations",
     .scopes = SCOPE_READ, .flags = HTTP_SLOW, .params = members_params, .fn = segment},
    {.method = HTTP_GET, .pattern = "/v1/audiences/{name}/recommendations", .name = "getAudienceRecommendations", .scopes = SCOPE_READ,
     .flags = HTTP_SLOW, .params = members_params, .fn = audience},
    {.method = HTTP_POST, .pattern = "/v1/recommendations/group", .name = "postGroupRecommendations", .scopes = SCOPE_READ,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .flags = HTTP_SLOW, .fn = group},
    {0},
};
