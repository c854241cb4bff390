/* GET /v1/recommendations/performance */
#include "api_priv.h"

#include <math.h>
#include "meros/base/clock.h"
#include "meros/service/reco_performance.h"
#include "meros/service/recommend_words.h"

enum { PERIOD_DAYS = 28, PERIOD_DAYS_MAX = 1100, ATTRIBUTION_DAYS = 7 };

static void write_share(struct jsonw *w, const char *rate, const char *interval, const struct reco_share *s)
{
    jsonw_knum(w, rate, s->rate); /* NaN is null: of nothing there is no share */
    jsonw_key(w, interval);
    if (!isfinite(s->low)) {
        jsonw_null(w);
        return;
    }
    jsonw_begin_array(w);
    jsonw_num(w, s->low);
    jsonw_num(w, s->high);
    jsonw_end_array(w);
}

static void write_metrics(struct jsonw *w, const struct reco_metrics *m)
{
    jsonw_kint(w, "impressions", m->impressions);
    jsonw_kint(w, "clicks", m->clicks);
    write_share(w, "click_through_rate", "click_through_interval", &m->clicked);
    jsonw_kint(w, "conversions", m->conversions);
    write_share(w, "conversion_rate", "conversion_interval", &m->converted);
    jsonw_kmoney(w, "revenue", m->revenue);
}

static void write_strategy(struct jsonw *w, int strategy)
{
    if (strategy >= 0 && strategy < RECOMMEND_STRATEGIES) jsonw_kcstr(w, "strategy", recommend_strategy_words[strategy]);
    else jsonw_knull(w, "strategy"); /* of an id that a newer version made */
}

static void write_cell(struct jsonw *w, const struct reco_cell *x, unsigned by)
{
    jsonw_begin_object(w);
    if (by & RECO_BY_STRATEGY) write_strategy(w, x->strategy);
    if (by & RECO_BY_SLOT && x->slot > 0) jsonw_kint(w, "slot", x->slot);
    else if (by & RECO_BY_SLOT) jsonw_knull(w, "slot");
    if (by & RECO_BY_MODEL) jsonw_kstr(w, "model", x->model);
    write_metrics(w, &x->m);
    jsonw_end_object(w);
}

static void write_difference(struct jsonw *w, const char *name, const struct reco_difference *d)
{
    const struct reco_share s = {d->difference, d->low, d->high};
    jsonw_key(w, name);
    jsonw_begin_object(w);
    write_share(w, "difference", "interval", &s);
    jsonw_knum(w, "p_value", d->p);
    jsonw_end_object(w);
}

static void write_arm(struct jsonw *w, const struct reco_arm *a)
{
    jsonw_begin_object(w);
    jsonw_kstr(w, "strategy", a->strategy);
    jsonw_kint(w, "customers", a->customers);
    jsonw_kint(w, "customers_who_clicked", a->clickers);
    write_share(w, "customer_click_rate", "customer_click_interval", &a->clicked);
    jsonw_kint(w, "customers_who_bought", a->buyers);
    write_share(w, "customer_conversion_rate", "customer_conversion_interval", &a->converted);
    write_metrics(w, &a->m);
    jsonw_end_object(w);
}

static void write_experiment(struct jsonw *w, const struct reco_experiment_result *x)
{
    jsonw_begin_object(w);
    jsonw_kint(w, "number", x->number);
    jsonw_kstr(w, "name", x->name);
    jsonw_kcstr(w, "mode", x->interleave ? "interleave" : "split");
    jsonw_ktime(w, "started_at", x->started_at);
    jsonw_ktime(w, "ended_at", x->ended_at);
    jsonw_kcstr(w, "unit", "customer");
    jsonw_key(w, "arms");
    jsonw_begin_array(w);
    for (int i = 0; i < 2; i++) write_arm(w, &x->arm[i]);
    jsonw_end_array(w);
    if (x->interleave) {
        jsonw_kint(w, "customers_preferring_first", x->prefer[0]);
        jsonw_kint(w, "customers_preferring_second", x->prefer[1]);
        jsonw_kint(w, "customers_undecided", x->undecided);
        write_share(w, "preference_for_second", "preference_interval", &x->prefer_second);
        jsonw_knum(w, "p_value", x->prefer_p);
    } else {
        jsonw_knum(w, "share_of_second", x->share_of_second);
        jsonw_kint(w, "customers_in_both", x->in_both);
        jsonw_knum(w, "sample_ratio_p_value", x->sample_ratio_p);
        write_difference(w, "customer_click_rate", &x->clicked);
        write_difference(w, "customer_conversion_rate", &x->converted);
    }
    jsonw_end_object(w);
}

static const struct {
    const char *word;
    unsigned bit;
} dimensions[] = {{"strategy", RECO_BY_STRATEGY}, {"slot", RECO_BY_SLOT}, {"model", RECO_BY_MODEL}, {"experiment", RECO_BY_EXPERIMENT}};
enum { DIMENSIONS = sizeof dimensions / sizeof dimensions[0] };

static enum meros_code read_by(struct str s, unsigned *out, struct meros_err *err)
{
    *out = 0;
    if (!str_present(s)) {
        *out = RECO_BY_STRATEGY | RECO_BY_SLOT;
        return MEROS_OK;
    }
    for (size_t from = 0; from <= s.n;) {
        const char *comma = memchr(s.p + from, ',', s.n - from);
        const size_t to = comma != NULL ? (size_t)(comma - s.p) : s.n;
        unsigned bit = 0;
        for (size_t k = 0; k < DIMENSIONS; k++)
            if (str_is((struct str){s.p + from, to - from}, dimensions[k].word)) bit = dimensions[k].bit;
        if (bit == 0) return err_field(err, "?by", "must be of strategy, slot, model and experiment, separated by commas");
        *out |= bit;
        from = to + 1;
    }
    return MEROS_OK;
}

static void write_performance(struct jsonw *w, const struct reco_performance *p, int64_t from, int64_t to, int64_t days, unsigned by)
{
    jsonw_begin_object(w);
    jsonw_ktime(w, "from", from);
    jsonw_ktime(w, "to", to);
    jsonw_kint(w, "attribution_days", days);
    jsonw_key(w, "by");
    jsonw_begin_array(w);
    for (size_t k = 0; k < DIMENSIONS; k++)
        if (by & dimensions[k].bit) jsonw_cstr(w, dimensions[k].word);
    jsonw_end_array(w);
    jsonw_key(w, "total");
    jsonw_begin_object(w);
    write_metrics(w, &p->total);
    jsonw_end_object(w);
    jsonw_key(w, "unknown");
    jsonw_begin_object(w);
    jsonw_kint(w, "impressions", p->unknown_impressions);
    jsonw_kint(w, "clicks", p->unknown_clicks);
    jsonw_end_object(w);
    jsonw_key(w, "data");
    jsonw_begin_array(w);
    for (size_t i = 0; i < p->n_cells && by != RECO_BY_EXPERIMENT; i++) write_cell(w, &p->cells[i], by);
    jsonw_end_array(w);
    if (by & RECO_BY_EXPERIMENT) {
        jsonw_key(w, "experiments");
        jsonw_begin_array(w);
        for (size_t i = 0; i < p->n_experiments; i++) write_experiment(w, &p->experiments[i]);
        jsonw_end_array(w);
    }
    jsonw_end_object(w);
}

static enum meros_code performance(struct http_request *req, struct meros_err *err)
{
    struct reco_performance p;
    struct api_reply r;
    unsigned by;
    const int64_t to = http_query_time(req, "to", clock_now()), from = http_query_time(req, "from", to - PERIOD_DAYS * TIME_DAY);
    const int64_t days = http_query_int(req, "attribution_days", ATTRIBUTION_DAYS);
    enum meros_code rc = read_by(http_query_str(req, "by"), &by, err);
    if (rc == MEROS_OK && from >= to) rc = err_field(err, "?from", "must lie before to");
    if (rc == MEROS_OK && to - from > PERIOD_DAYS_MAX * TIME_DAY) rc = err_field(err, "?from", "lies more than %d days before to", PERIOD_DAYS_MAX);
    if (rc == MEROS_OK) rc = reco_performance(api_service(req), from, to, (int)days, by, http_arena(req), &p, err);
    if (rc != MEROS_OK) return rc;
    write_performance(api_reply_begin(&r), &p, from, to, days, by);
    return api_reply_end(&r, req, 200, err);
}

static const struct http_param params[] = {{.name = "from", .kind = HTTP_PARAM_TIME},
                                           {.name = "to", .kind = HTTP_PARAM_TIME},
                                           {.name = "by", .kind = HTTP_PARAM_STR, .max = 100},
                                           {.name = "attribution_days", .kind = HTTP_PARAM_INT, .min = 1, .max = 90},
                                           {0}};

const struct http_route api_reco_performance_routes[] = {
    {.method = HTTP_GET, .pattern = "/v1/recommendations/performance", .name = "getRecommendationPerformance", .scopes = SCOPE_READ,
     .flags = HTTP_SLOW, .params = params, .fn = performance},
    {0},
};
