/* /v1/recommendations/rules and /v1/recommendations/experiment: what the shop decides about its shelves. */
#include "api_priv.h"
#include "meros/service/reco_rules.h"

static void write_rule(struct jsonw *w, const struct reco_rule_info *x)
{
    const struct reco_rule *r = x->rule;
    jsonw_begin_object(w);
    jsonw_kstr(w, "name", r->name);
    jsonw_kcstr(w, "kind", reco_rule_kind_words[r->kind]);
    if (r->n_products > 0) {
        jsonw_key(w, "products");
        jsonw_begin_array(w);
        for (size_t i = 0; i < r->n_products; i++) jsonw_str(w, r->product_ids[i]);
        jsonw_end_array(w);
    }
    if (str_present(r->category)) jsonw_kstr(w, "category", r->category);
    if (str_present(r->attribute)) {
        jsonw_key(w, "attribute");
        jsonw_begin_object(w);
        jsonw_kstr(w, "name", r->attribute);
        jsonw_kstr(w, "value", r->value);
        jsonw_end_object(w);
    }
    if (r->kind == RECO_PROMOTE) jsonw_knum(w, "share", r->share);
    if (r->kind == RECO_PIN) jsonw_kint(w, "place", r->place);
    if (str_present(r->within)) jsonw_kstr(w, "within", r->within);
    jsonw_ktime(w, "starts_at", r->starts_at);
    jsonw_ktime(w, "ends_at", r->ends_at);
    jsonw_kbool(w, "active", x->active);
    jsonw_ktime(w, "created_at", x->created_at);
    jsonw_ktime(w, "changed_at", x->changed_at);
    jsonw_end_object(w);
}

static void write_one(void *arg, const struct reco_rule_info *x)
{
    write_rule(arg, x);
}

static enum meros_code put_rule(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    struct api_reply r;
    bool created = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&r);
    rc = reco_rule_put(api_service(req), http_path_param(req, "name"), body, &created, write_one, w, err);
    json_free(body);
    if (rc == MEROS_OK) return api_reply_end(&r, req, created ? 201 : 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code get_rule(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = reco_rule_get(api_service(req), http_path_param(req, "name"), write_one, api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code delete_rule(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = reco_rule_delete(api_service(req), http_path_param(req, "name"), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

struct listing {
    struct jsonw *w;
    int64_t limit, n;
    char last[ID_MAX + 1];
};

static void write_item(void *arg, const struct reco_rule_info *x)
{
    struct listing *l = arg;
    if (l->n++ >= l->limit || !str_copy(l->last, sizeof l->last, x->rule->name)) return;
    write_rule(l->w, x);
}

static enum meros_code list_rules(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "recommendation-rules", "t", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = reco_rule_list(api_service(req), page.given ? page.part[0].t : STR(""), page.limit + 1, write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.t = str_of(l.last)}});
    return api_reply_end(&r, req, 200, err);
}

/* --- the experiment */

static void write_experiment(void *arg, const struct reco_experiment_info *x)
{
    struct jsonw *w = arg;
    jsonw_begin_object(w);
    jsonw_kstr(w, "name", x->name);
    jsonw_key(w, "arms");
    jsonw_begin_array(w);
    jsonw_cstr(w, recommend_strategy_words[x->arms[0]]);
    jsonw_cstr(w, recommend_strategy_words[x->arms[1]]);
    jsonw_end_array(w);
    jsonw_kcstr(w, "mode", x->interleave ? "interleave" : "split");
    if (!x->interleave) jsonw_knum(w, "share_of_second", x->share_of_second);
    jsonw_kint(w, "number", x->experiment_no);
    jsonw_ktime(w, "started_at", x->started_at);
    jsonw_end_object(w);
}

static enum meros_code put_experiment(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    struct api_reply r;
    bool started = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&r);
    rc = reco_experiment_put(api_service(req), body, &started, write_experiment, w, err);
    json_free(body);
    if (rc == MEROS_OK) return api_reply_end(&r, req, started ? 201 : 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code get_experiment(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = reco_experiment_get(api_service(req), write_experiment, api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code delete_experiment(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = reco_experiment_delete(api_service(req), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

static const struct http_param list_params[] = {API_PAGE_PARAMS, {0}};
enum { WRITES = SCOPE_ADMIN | SCOPE_TRAIN, RULE_BODY_MAX = 512 << 10 };

const struct http_route api_reco_rules_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/recommendations/rules", .name = "listRecommendationRules", .scopes = SCOPE_READ,
     .params = list_params, .fn = list_rules},
    {.method = HTTP_PUT, .pattern = "/v1/recommendations/rules/{name}", .name = "putRecommendationRule", .scopes = WRITES,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = RULE_BODY_MAX, .fn = put_rule},
    {.method = HTTP_GET, .pattern = "/v1/recommendations/rules/{name}", .name = "getRecommendationRule", .scopes = SCOPE_READ, .fn = get_rule},
    {.method = HTTP_DELETE, .pattern = "/v1/recommendations/rules/{name}", .name = "deleteRecommendationRule", .scopes = WRITES,
     .fn = delete_rule},
    {.method = HTTP_PUT, .pattern = "/v1/recommendations/experiment", .name = "putRecommendationExperiment", .scopes = WRITES,
     .body = HTTP_BODY_BUFFERED, .media = API_JSON, .body_max = 16 << 10, .fn = put_experiment},
    {.method = HTTP_GET, .pattern = "/v1/recommendations/experiment", .name = "getRecommendationExperiment", .scopes = SCOPE_READ,
     .fn = get_experiment},
    {.method = HTTP_DELETE, .pattern = "/v1/recommendations/experiment", .name = "deleteRecommendationExperiment", .scopes = WRITES,
     .fn = delete_experiment},
    {0},
};
