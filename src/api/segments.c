/* /v1/segmentations: how the customers are divided, and who is where. */
#include "api_clv.h"
#include "meros/base/clock.h"
#include "meros/service/clv_lists.h"
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

/* What its members are predicted to be worth; null while nobody can say, or where none of them has bought. */
static void write_worth(struct jsonw *w, struct str segment_id, const struct clv_summary *clv)
{
    jsonw_key(w, "clv");
    for (size_t i = 0; i < clv->n_segments; i++) {
        if (!str_eq(clv->segments[i].id, segment_id)) continue;
        jsonw_begin_object(w);
        api_clv_group_write(w, &clv->segments[i].group, clv->all.total);
        jsonw_end_object(w);
        return;
    }
    jsonw_null(w);
}

/* clv: NULL where it is not asked for, or without segments. */
static void write_segmentation(struct jsonw *w, const struct segmentation_view *s, const struct clv_summary *clv)
{
    jsonw_begin_object(w);
    write_head(w, s);
    jsonw_key(w, "segments");
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n_segments; i++) {
        jsonw_begin_object(w);
        write_segment_head(w, &s->segments[i]);
        write_profile(w, s->segments[i].profile);
        if (clv != NULL) write_worth(w, s->segments[i].id, clv);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

struct getting {
    struct http_request *req;
    struct jsonw *w;
    const struct clv_summary *clv;
    enum meros_code rc;
    struct meros_err *err;
};

static void write_full(void *arg, const struct segmentation_view *s)
{
    const struct getting *g = arg;
    write_segmentation(g->w, s, g->clv);
}

static void with_worths(void *arg, const struct clv_summary *clv)
{
    struct getting *g = arg;
    g->clv = clv;
    g->rc = segmentation_get(api_service(g->req), http_path_param(g->req, "name"), write_full, g, g->err);
}

static enum meros_code get(struct http_request *req, struct meros_err *err)
{
    static const struct clv_summary nothing = {0};
    struct api_reply r;
    struct getting g = {.req = req, .w = api_reply_begin(&r), .err = err};
    enum meros_code rc = clv_summarise(api_service(req), http_path_param(req, "name"), with_worths, &g, err);
    if (rc == MEROS_NOT_FOUND) { /* no model says what customers are worth, or there is no such segmentation */
        err_clear(err);
        with_worths(&g, &nothing);
        rc = MEROS_OK;
    }
    if (rc == MEROS_OK) rc = g.rc;
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

static void write_item(void *arg, const struct segmentation_view *s)
{
    struct api_listing *l = arg;
    if (!api_listing_take(l, s->model->model_no)) return;
    write_segmentation(l->w, s, NULL);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "segmentations", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = segmentation_list(api_service(req), page.part[0].i, page.limit + 1, write_item, &l, err);
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
