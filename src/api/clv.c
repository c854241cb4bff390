/* What customers will be worth: all in order of it, and all together. One of them: customer_get.c. */
#include "api_clv.h"

#include <math.h>
#include "meros/service/clv.h"
#include "meros/service/clv_lists.h"

/* --- GET /v1/clv */

static const char *const orders[] = {"desc", "asc", NULL};

static enum meros_code read_filter(struct http_request *req, struct clv_filter *out, struct meros_err *err)
{
    *out = (struct clv_filter){
        .ascending = str_is(http_query_str(req, "order"), "asc"),
        .min_worth = http_query_num(req, "min_clv", -INFINITY),
        .max_worth = http_query_num(req, "max_clv", INFINITY),
        .min_p_alive = http_query_num(req, "min_p_alive", 0),
        .max_p_alive = http_query_num(req, "max_p_alive", 1),
        .segmentation = http_query_str(req, "segmentation"),
        .segment_id = http_query_str(req, "segment"),
    };
    if (out->min_worth > out->max_worth) return err_field(err, "?min_clv", "lies above max_clv");
    if (out->min_p_alive > out->max_p_alive) return err_field(err, "?min_p_alive", "lies above max_p_alive");
    if (str_present(out->segmentation) && !str_present(out->segment_id))
        return err_field(err, "?segment", "is missing: which segment of the segmentation?");
    if (str_present(out->segment_id) && !str_present(out->segmentation))
        return err_field(err, "?segmentation", "is missing: of which segmentation is the segment?");
    return MEROS_OK;
}

struct listing {
    struct jsonw *w;
    int64_t limit, n;
    struct api_part last[2];
};

static void write_row(void *arg, struct str customer_id, const struct clv_row *row)
{
    struct listing *l = arg;
    if (l->n++ >= l->limit) return;
    l->last[0].d = row->worth;
    l->last[1].i = row->customer_no;
    struct jsonw *w = l->w;
    jsonw_begin_object(w);
    jsonw_kstr(w, "customer_id", customer_id);
    if (isnan(row->expected_order_value)) jsonw_knull(w, "clv");
    else jsonw_kmoney(w, "clv", row->worth);
    jsonw_knum(w, "p_alive", row->p_alive);
    jsonw_knum(w, "expected_orders", row->expected_orders);
    api_number_or_null(w, "expected_order_value", row->expected_order_value);
    jsonw_kcstr(w, "basis", row->population ? "population" : "customer");
    jsonw_ktime(w, "evaluated_at", row->evaluated_at);
    jsonw_end_object(w);
}

static enum meros_code list(struct http_request *req, struct meros_err *err)
{
    struct clv_filter filter;
    struct api_page page;
    struct api_reply r;
    enum meros_code rc = read_filter(req, &filter, err);
    if (rc == MEROS_OK) rc = api_page_read(req, filter.ascending ? "clv_asc" : "clv_desc", "di", &page, err);
    if (rc != MEROS_OK) return rc;
    const struct clv_place after = {page.given, page.part[0].d, page.part[1].i};
    struct listing l = {.w = api_reply_begin(&r), .limit = page.limit};
    api_page_begin(&page, l.w);
    rc = clv_list(api_service(req), &filter, &after, page.limit + 1, write_row, &l, err);
    if (rc != MEROS_OK) {
        api_reply_drop(&r);
        return rc;
    }
    api_page_end(&page, l.w, l.n > l.limit, l.last);
    return api_reply_end(&r, req, 200, err);
}

/* --- GET /v1/clv/summary */

void api_number_or_null(struct jsonw *w, const char *name, double v)
{
    if (isfinite(v)) jsonw_kmoney(w, name, v);
    else jsonw_knull(w, name);
}

static void write_interval(struct jsonw *w, const char *name, double low, double high)
{
    if (!isfinite(low) || !isfinite(high)) {
        jsonw_knull(w, name);
        return;
    }
    jsonw_key(w, name);
    jsonw_begin_array(w);
    jsonw_money(w, low);
    jsonw_money(w, high);
    jsonw_end_array(w);
}

void api_clv_group_write(struct jsonw *w, const struct clv_group *g, double total_of_all)
{
    const double n = (double)g->customers;
    jsonw_kint(w, "customers", g->customers);
    api_number_or_null(w, "total", g->total);
    write_interval(w, "total_interval", g->total_low, g->total_high);
    api_number_or_null(w, "mean", g->total / n); /* of nobody: null */
    write_interval(w, "mean_interval", g->total_low / n, g->total_high / n);
    api_number_or_null(w, "share", g->total / total_of_all);
    api_number_or_null(w, "expected_orders", g->customers == 0 ? NAN : g->expected_orders / n);
    api_number_or_null(w, "p_alive", g->customers == 0 ? NAN : g->p_alive / n);
    jsonw_kint(w, "population_basis", g->population);
}

static void write_quantiles(struct jsonw *w, const struct clv_summary *s)
{
    jsonw_key(w, "quantiles");
    jsonw_begin_array(w);
    for (int i = 0; i < CLV_QUANTILES; i++) {
        jsonw_begin_object(w);
        jsonw_knum(w, "p", clv_quantile_points[i]);
        api_number_or_null(w, "clv", s->quantiles[i]);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_deciles(struct jsonw *w, const struct clv_summary *s)
{
    jsonw_key(w, "deciles");
    jsonw_begin_array(w);
    for (int i = 0; i < CLV_DECILES; i++) {
        const struct clv_decile *d = &s->deciles[i];
        jsonw_begin_object(w);
        jsonw_kint(w, "decile", i + 1);
        jsonw_kint(w, "customers", d->customers);
        api_number_or_null(w, "min", d->low);
        api_number_or_null(w, "max", d->high);
        api_number_or_null(w, "mean", d->total / (double)d->customers);
        api_number_or_null(w, "total", d->total);
        api_number_or_null(w, "share", d->total / s->all.total);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_concentration(struct jsonw *w, const struct clv_summary *s)
{
    jsonw_key(w, "concentration");
    jsonw_begin_object(w);
    api_number_or_null(w, "gini", s->gini);
    jsonw_key(w, "top");
    jsonw_begin_array(w);
    for (int i = 0; i < CLV_SHARES; i++) {
        jsonw_begin_object(w);
        jsonw_knum(w, "customers", clv_share_points[i]);
        api_number_or_null(w, "value", s->shares[i]);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
    jsonw_end_object(w);
}

static void write_segments(struct jsonw *w, const struct clv_summary *s)
{
    jsonw_kstr(w, "segmentation", s->segmentation);
    jsonw_key(w, "segments");
    jsonw_begin_array(w);
    for (size_t i = 0; i < s->n_segments; i++) {
        jsonw_begin_object(w);
        jsonw_kstr(w, "id", s->segments[i].id);
        jsonw_kstr(w, "label", s->segments[i].label);
        api_clv_group_write(w, &s->segments[i].group, s->all.total);
        jsonw_end_object(w);
    }
    jsonw_end_array(w);
}

static void write_summary(void *arg, const struct clv_summary *s)
{
    struct jsonw *w = arg;
    jsonw_begin_object(w);
    api_clv_group_write(w, &s->all, s->all.total);
    jsonw_knum(w, "interval_level", CLV_LEVEL);
    jsonw_kbool(w, "interval_sampled", s->sampled);
    write_quantiles(w, s);
    write_deciles(w, s);
    write_concentration(w, s);
    if (str_present(s->segmentation)) write_segments(w, s);
    jsonw_knum(w, "horizon_days", CLV_HORIZON_DAYS);
    jsonw_knum(w, "discount_rate", CLV_DISCOUNT_RATE);
    jsonw_key(w, "model");
    jsonw_begin_object(w);
    jsonw_kstr(w, "id", s->model_id);
    jsonw_kint(w, "version", s->model_version);
    jsonw_kstr(w, "algorithm", s->algorithm);
    jsonw_end_object(w);
    jsonw_key(w, "evaluated");
    jsonw_begin_object(w);
    jsonw_ktime(w, "from", s->evaluated_from);
    jsonw_ktime(w, "to", s->evaluated_to);
    jsonw_end_object(w);
    jsonw_ktime(w, "computed_at", s->computed_at);
    jsonw_end_object(w);
}

static enum meros_code summary(struct http_request *req, struct meros_err *err)
{
    struct api_reply r;
    struct jsonw *w = api_reply_begin(&r);
    enum meros_code rc = clv_summarise(api_service(req), http_query_str(req, "segmentation"), write_summary, w, err);
    if (rc == MEROS_OK) return api_reply_end(&r, req, 200, err);
    api_reply_drop(&r);
    return rc;
}

/* --- */

static const struct http_param list_params[] = {
    API_PAGE_PARAMS,
    {.name = "order", .kind = HTTP_PARAM_ENUM, .words = orders},
    {.name = "min_clv", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1e15},
    {.name = "max_clv", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1e15},
    {.name = "min_p_alive", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1},
    {.name = "max_p_alive", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1},
    {.name = "segmentation", .kind = HTTP_PARAM_ID},
    {.name = "segment", .kind = HTTP_PARAM_ID},
    {0},
};
static const struct http_param summary_params[] = {{.name = "segmentation", .kind = HTTP_PARAM_ID}, {0}};

const struct http_route api_clv_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/clv", .name = "listClv", .scopes = SCOPE_READ, .params = list_params, .fn = list},
    {.method = HTTP_GET, .pattern = "/v1/clv/summary", .name = "getClvSummary", .scopes = SCOPE_READ, .params = summary_params, .fn = summary},
    {0},
};
