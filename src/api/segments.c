/* /v1/segmentations: how the customers are divided, and who is where. */
#include "api_priv.h"
#include "meros/base/clock.h"
#include "meros/service/segment_changes.h"
#include "meros/service/segments.h"

static void write_model_ref(struct jsonw *w, const struct model_row *m)
{
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", m->id);
    jsonw_kint(w, "version", m->version);
    jsonw_end_object(w);
}

static void write_head(struct jsonw *w, const struct segmentation_view *s)
{
    jsonw_kstr(w, "name", s->model->name);
    jsonw_kstr(w, "method", s->model->algorithm);
    write_model_ref(w, s->model);
    jsonw_ktime(w, "trained_at", s->model->trained_at);
    jsonw_ktime(w, "evaluated_at", s->model->evaluated_at);
    jsonw_ktime(w, "as_of", s->model->as_of);
    jsonw_kint(w, "customers", s->customers);
    jsonw_kraw(w, "metrics", s->model->metrics);
}

static void write_segment_head(struct jsonw *w, const struct segment_row *s)
{
    jsonw_kstr(w, "id", s->id);
    jsonw_kstr(w, "label", s->label);
    jsonw_kstr(w, "description", s->description);
    jsonw_kint(w, "size", s->size);
    jsonw_knum(w, "share", s->share);
    jsonw_knum(w, "revenue_share", s->revenue_share);
}

/* The profile is stored as one object; its members (features, distinguishing, rfm) belong to the segment. */
static void write_profile(struct jsonw *w, struct str text)
{
    struct json *profile = NULL;
    if (json_parse_stored(text.p, text.n, &profile, NULL) != MEROS_OK) return;
    const void *at = NULL;
    struct str name;
    const struct json *v;
    while (json_next(profile, &at, &name, &v)) {
        jsonw_key_str(w, name);
        jsonw_value(w, v);
    }
    json_free(profile);
}

static void write_full(void *arg, const struct segmentation_view *s)
{
    struct jsonw *w = arg;
    jsonw_begin_object(w);
    write_head(w, s);
    jsonw_key(w, "segments");
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n_segments; i++) {
        jsonw_begin_object(w);
        write_segment_head(w, &s->segments[i]);
        write_profile(w, s->segments[i].profile);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = segmentation_get(api_service(req), http_path_param(req, "name"), write_full, w, err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static void write_summary(void *arg, const struct segmentation_view *s)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, s->model->model_no)) return;
    write_full(l->w, s);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "segmentations", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = segmentation_list(api_service(req), page.part[0].i, page.limit + 1, write_summary, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static void write_member(void *arg, const struct member_row *m)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, m->customer_no)) return;
    jsonw_begin_object(l->w);
    jsonw_kstr(l->w, "customer_id", m->customer_id);
    jsonw_ktime(l->w, "since", m->since);
    jsonw_end_object(l->w);
}

static enum meros_code members(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "members", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    const struct str name = http_path_param(req, "name"), id = http_path_param(req, "id");
    const int64_t at = http_query_time(req, "at", TIME_NONE);
    rc = at == TIME_NONE ? segment_members(api_service(req), name, id, page.part[0].i, page.limit + 1, write_member, &l, err)
                         : segment_members_at(api_service(req), name, id, at, page.part[0].i, page.limit + 1, write_member, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param page_params[] = {API_PAGE_PARAMS, {0}};
static const struct http_param member_params[] = {API_PAGE_PARAMS, {.name = "at", .kind = HTTP_PARAM_TIME}, {0}};

const struct http_route api_segments_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/segmentations", .name = "listSegmentations", .scopes = SCOPE_READ,
     .params = page_params, .fn = list},
    {.method = HTTP_GET, .pattern = "/v1/segmentations/{name}", .name = "getSegmentation", .scopes = SCOPE_READ, .fn = get},
    {.method = HTTP_GET, .pattern = "/v1/segmentations/{name}/segments/{id}/customers", .name = "listSegmentCustomers",
     .scopes = SCOPE_READ, .params = member_params, .fn = members},
    {0},
};
