/* The table of routes: a resource joins by being listed here. */
#include <pthread.h>
#include <stdlib.h>
#include <stdio.h>
#include "api_priv.h"

static const struct http_route *const resources[] = {
    api_health_routes, api_metrics_routes, api_openapi_routes, api_keys_routes, api_jobs_routes,
    api_imports_routes, api_customers_routes, api_consent_routes, api_products_routes,
    api_segments_routes, api_segment_history_routes, api_audiences_routes, api_models_routes, api_customer_get_routes, api_clv_routes,
    api_rejections_routes, api_events_routes,
    api_webhooks_routes,
    api_recommendations_routes, api_reco_rules_routes, api_reco_performance_routes, api_likely_buyers_routes, api_group_recommend_routes, api_collect_routes,
    api_segment_routes, api_ga4_routes, api_posthog_routes,
};

static struct http_route *all;
static pthread_once_t once = PTHREAD_ONCE_INIT;

static void build(void)
{
    size_t n = 0;
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        for (const struct http_route *r = resources[i]; r->pattern != NULL; r++)
            n++;
    }
    all = calloc(n + 1, sizeof *all);
    if (all == NULL) { /* before anything runs: there is nobody to tell but whoever started us */
        fputs("no memory for the table of routes\n", stderr);
        abort();
    }
    n = 0;
    for (size_t i = 0; i < sizeof resources / sizeof resources[0]; i++) {
        for (const struct http_route *r = resources[i]; r->pattern != NULL; r++)
            all[n++] = *r;
    }
}

const struct http_route *api_routes(void)
{
    pthread_once(&once, build);
    return all;
}
