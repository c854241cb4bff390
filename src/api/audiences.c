/* /v1/audiences: rules that say which customers are meant, and who they are. */
#include "api_priv.h"
#include "meros/service/audiences.h"

/* Without the end of the object. */
static void write_head(struct jsonw *w, const struct audience_row *x)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "name", x->name);
    jsonw_kstr(w, "description", x->description);
    jsonw_kraw(w, "rule", x->rule);
    jsonw_ktime(w, "created_at", x->created_at);
    jsonw_ktime(w, "changed_at", x->changed_at);
}

static void write_one(void *arg, const struct audience_row *x)
{
    write_head(arg, x);
    jsonw_end_object(arg);
}

static enum meros_code put_audience(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    struct api_reply r;
    bool created = false;
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    struct jsonw *w = api_reply_begin(&r);
    rc = audience_put(api_service(req), http_path_param(req, "name"), body, &created, write_one, w, err);
    json_free(body);
    if (rc == MEROS_OK) return api_reply_end(&r, req, created ? 201 : 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code get_audience(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = audience_get(api_service(req), http_path_param(req, "name"), write_one, api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static enum meros_code delete_audience(struct http_request *req, struct meros_err *err)
{
    enum meros_code rc = audience_delete(api_service(req), http_path_param(req, "name"), err);
    if (rc == MEROS_OK) http_reply_empty(req, 204);
    return rc;
}

struct listing {
    struct jsonw *w;
    int64_t limit, n;
    char last[ID_MAX + 1];
};

static void write_item(void *arg, const struct audience_row *x)
{
    struct listing *l = arg;
    if (l->n++ >= l->limit || !str_copy(l->last, sizeof l->last, x->name)) return;
    write_one(l->w, x);
}

static enum meros_code list_audiences(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "audiences", "t", &page, err);
    if (rc != MEROS_OK) return rc;
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = audience_list(api_service(req), page.given ? page.part[0].t : STR(""), page.limit + 1, write_item, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.t = str_of(l.last)}});
    return api_reply_end(&r, req, 200, err);
}

/* --- who is meant */

static enum meros_code answer_sample(struct http_request *req, const struct audience_sample *s, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    jsonw_begin_object(w);
    jsonw_kint(w, "customers", s->customers);
    jsonw_key(w, "sample");
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n; i++) jsonw_str(w, s->ids[i]);
    jsonw_end_array(w);
    jsonw_ktime(w, "evaluated_at", s->evaluated_at);
    jsonw_end_object(w);
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code preview(struct http_request *req, struct meros_err *err)
{
    struct json *body = NULL;
    struct audience_sample s = {0};
    enum meros_code rc = api_body_json(req, &body, err);
    if (rc != MEROS_OK) return rc;
    rc = audience_preview(api_service(req), body, http_arena(req), &s, err);
    json_free(body);
    return rc == MEROS_OK ? answer_sample(req, &s, err) : rc;
}

static enum meros_code summary(struct http_request *req, struct meros_err *err)
{
    struct audience_sample s = {0};
    enum meros_code rc = audience_sample(api_service(req), http_path_param(req, "name"), AUDIENCE_SAMPLE, http_arena(req), &s, err);
    return rc == MEROS_OK ? answer_sample(req, &s, err) : rc;
}

static void write_member(void *arg, int64_t customer_no, struct str customer_id)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, customer_no)) return;
    jsonw_begin_object(l->w);
    jsonw_kstr(l->w, "customer_id", customer_id);
    jsonw_end_object(l->w);
}

static enum meros_code members(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = api_page_read(req, "audience-members", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = audience_members(api_service(req), http_path_param(req, "name"), page.part[0].i, page.limit + 1, write_member, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static enum meros_code explain(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    enum meros_code rc = audience_explain(api_service(req), http_path_param(req, "name"), http_path_param(req, "id"), api_reply_begin(&r), err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static const struct http_param page_params[] = {API_PAGE_PARAMS, {0}};
enum { WRITES = SCOPE_ADMIN | SCOPE_TRAIN, RULE_BODY_MAX = 1 << 20 };

/* Evaluating a rule over everybody may take seconds, and must not hold the threads that others' requests need. */
const struct http_route api_audiences_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/audiences", .name = "listAudiences", .scopes = SCOPE_READ, .params = page_params, .fn = list_audiences},
    {.method = HTTP_POST, .pattern = "/v1/audiences/preview", .name = "previewAudience", .scopes = SCOPE_READ, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = RULE_BODY_MAX, .flags = HTTP_SLOW, .fn = preview},
    {.method = HTTP_PUT, .pattern = "/v1/audiences/{name}", .name = "putAudience", .scopes = WRITES, .body = HTTP_BODY_BUFFERED,
     .media = API_JSON, .body_max = RULE_BODY_MAX, .fn = put_audience},
    {.method = HTTP_GET, .pattern = "/v1/audiences/{name}", .name = "getAudience", .scopes = SCOPE_READ, .fn = get_audience},
    {.method = HTTP_DELETE, .pattern = "/v1/audiences/{name}", .name = "deleteAudience", .scopes = WRITES, .fn = delete_audience},
    {.method = HTTP_GET, .pattern = "/v1/audiences/{name}/summary", .name = "getAudienceSummary", .scopes = SCOPE_READ, .flags = HTTP_SLOW, .fn = summary},
    {.method = HTTP_GET, .pattern = "/v1/audiences/{name}/customers", .name = "listAudienceCustomers", .scopes = SCOPE_READ, .flags = HTTP_SLOW,
     .params = page_params, .fn = members},
    {.method = HTTP_GET, .pattern = "/v1/audiences/{name}/customers/{id}", .name = "explainAudience", .scopes = SCOPE_READ, .fn = explain},
    {0},
};
