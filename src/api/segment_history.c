/* Who entered and left which segment: of a customer, of a segmentation, between two moments, and as it happens. */
#include "api_segments.h"

#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/service/segment_changes.h"

static void write_change(void *arg, const struct segment_change *x)
{
    struct api_listing *l = arg;
    if (api_listing_take(l, x->change_no)) segment_change_write(l->w, x);
}

/* --- of a customer */

static enum meros_code of_customer(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "customer_history", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = customer_history(api_service(req), http_path_param(req, "id"), page.part[0].i, page.limit + 1, write_change, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

/* --- of a segmentation */

static const char *const types[] = {"segment.entered", "segment.left", NULL};

static enum meros_code of_segmentation(struct http_request *req, struct meros_err *err)
{
    struct api_page page;
    enum meros_code rc = api_page_read(req, "segmentation_history", "i", &page, err);
    if (rc != MEROS_OK) return rc;
    const struct str type = http_query_str(req, "type");
    const struct segment_history_filter filter = {
        .segment_id = http_query_str(req, "segment"),
        .entered = !str_present(type) ? -1 : str_is(type, types[0]),
        .since = http_query_time(req, "since", TIME_NONE),
        .until = http_query_time(req, "until", TIME_NONE),
    };
    struct api_reply r;
    struct api_listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = segmentation_history(api_service(req), http_path_param(req, "name"), &filter, page.part[0].i, page.limit + 1, write_change, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, (struct api_part[]){{.i = l.last}});
    return api_reply_end(&r, req, 200, err);
}

/* --- between two moments */

static void write_end(struct jsonw *w, const char *name, struct str id, struct str label)
{
    if (!str_present(id)) {
        jsonw_knull(w, name);
        return;
    }
    jsonw_key(w, name);
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", id);
    jsonw_kstr(w, "label", str_present(label) ? label : id);
    jsonw_end_object(w);
}

struct transitions {
    struct jsonw *w;
    int64_t customers, stayed;
};

static void write_transition(void *arg, struct str from_id, struct str from_label, struct str to_id, struct str to_label, int64_t customers)
{
    struct transitions *t = arg;
    jsonw_begin_object(t->w);
    write_end(t->w, "from", from_id, from_label);
    write_end(t->w, "to", to_id, to_label);
    jsonw_kint(t->w, "customers", customers);
    jsonw_end_object(t->w);
    t->customers += customers;
    if (str_present(from_id) && str_present(to_id) && str_eq(from_id, to_id)) t->stayed += customers;
}

static enum meros_code transitions(struct http_request *req, struct meros_err *err)
{
    const int64_t from = http_query_time(req, "from", TIME_NONE), to = http_query_time(req, "to", clock_now());
    struct api_reply r;
    struct transitions t = {.w = api_reply_begin(&r)};
    jsonw_begin_object(t.w);
    jsonw_kstr(t.w, "name", http_path_param(req, "name"));
    jsonw_ktime(t.w, "from", from);
    jsonw_ktime(t.w, "to", to);
    jsonw_key(t.w, "transitions");
    jsonw_begin_array(t.w);
    enum meros_code rc = segment_transitions(api_service(req), http_path_param(req, "name"), from, to, write_transition, &t, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    jsonw_end_array(t.w);
    jsonw_kint(t.w, "customers", t.customers);
    jsonw_kint(t.w, "stayed", t.stayed);
    jsonw_end_object(t.w);
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param customer_params[] = {API_PAGE_PARAMS, {0}};
static const struct http_param history_params[] = {API_PAGE_PARAMS,
                                                   {.name = "segment", .kind = HTTP_PARAM_ID},
                                                   {.name = "type", .kind = HTTP_PARAM_ENUM, .words = types},
                                                   {.name = "since", .kind = HTTP_PARAM_TIME},
                                                   {.name = "until", .kind = HTTP_PARAM_TIME},
                                                   {0}};
static const struct http_param transition_params[] = {{.name = "from", .kind = HTTP_PARAM_TIME, .required = true},
                                                      {.name = "to", .kind = HTTP_PARAM_TIME},
                                                      {0}};
static const struct http_param stream_params[] = {
    {.name = "segmentation", .kind = HTTP_PARAM_ID}, {.name = "segment", .kind = HTTP_PARAM_ID}, {0}};

const struct http_route api_segment_history_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/customers/{id}/history", .name = "listCustomerHistory", .scopes = SCOPE_READ,
     .params = customer_params, .fn = of_customer},
    {.method = HTTP_GET, .pattern = "/v1/segmentations/{name}/history", .name = "listSegmentationHistory", .scopes = SCOPE_READ,
     .params = history_params, .fn = of_segmentation},
    {.method = HTTP_GET, .pattern = "/v1/segmentations/{name}/transitions", .name = "getSegmentationTransitions", .scopes = SCOPE_READ,
     .params = transition_params, .fn = transitions},
    {.method = HTTP_GET, .pattern = "/v1/stream/segments", .name = "streamSegments", .scopes = SCOPE_READ,
     .params = stream_params, .fn = api_segment_stream},
    {0},
};
