#include "http_priv.h"

#include <stdio.h>
#include "meros/base/clock.h"
#include "meros/base/log.h"

_Atomic long open_connections, in_flight_requests, io_queue_depth;

static struct metric_family requests = {
    .name = "meros_http_requests_total", .help = "Requests answered.", .kind = METRIC_COUNTER,
    .labels = {"route", "method", "status"}};
static struct metric_family seconds = {
    .name = "meros_http_request_seconds", .help = "From the request line to the last byte handed to the kernel.",
    .kind = METRIC_HISTOGRAM, .labels = {"route"}};
static struct metric_family connections = {
    .name = "meros_http_connections", .help = "Open connections.", .kind = METRIC_GAUGE};
static struct metric_family in_flight = {
    .name = "meros_http_in_flight_requests", .help = "Requests that are not answered yet.", .kind = METRIC_GAUGE};
static struct metric_family queue = {
    .name = "meros_http_io_queue_depth", .help = "Requests that wait for an I/O worker.", .kind = METRIC_GAUGE};

static void collect(void *arg)
{
    (void)arg;
    metric_set(metric(&connections, NULL), (double)open_connections);
    metric_set(metric(&in_flight, NULL), (double)in_flight_requests);
    metric_set(metric(&queue, NULL), (double)io_queue_depth);
}

static void start(void)
{
    seconds.bounds = metric_seconds;
    seconds.n_bounds = n_metric_seconds;
    metric_collector(collect, NULL);
}

void stats_init(struct route_stats *st, const struct http_route *route)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, start);
    st->route = route;
    st->seconds = metric(&seconds, (const char *const[]){route != NULL ? route->name : "unmatched"});
}

static struct metric_series *requests_series(const char *route, const char *method, int status)
{
    char text[12];
    snprintf(text, sizeof text, "%d", status);
    return metric(&requests, (const char *const[]){route, method, text});
}

/* Known method names only: a label must not come from a client. */
static const char *method_label(const struct http_request *r)
{
    if (r->is_head) return "HEAD";
    if (r->is_options) return "OPTIONS";
    return r->known_method ? method_name(r->method) : "other";
}

void account(struct http_request *r, int status, bool streamed)
{
    const char *route = r->route != NULL ? r->route->name : r->is_options && status == 204 ? "options" : "unmatched";
    double elapsed = (double)(clock_mono_ns() - r->started_ns) / 1e9;
    if (r->stats != NULL && !r->is_head && status < STATUS_MAX) {
        struct metric_series *s = atomic_load_explicit(&r->stats->by_status[status], memory_order_acquire);
        if (s == NULL) {
            s = requests_series(route, method_label(r), status);
            atomic_store_explicit(&r->stats->by_status[status], s, memory_order_release);
        }
        metric_add(s, 1);
    } else {
        metric_add(requests_series(route, method_label(r), status), 1);
    }
    if (!streamed)
        metric_observe(r->stats != NULL ? r->stats->seconds : metric(&seconds, (const char *const[]){route}), elapsed);
    if (r->server->config.access_log)
        log_info("http.request", KV("request", r->id), KV("route", route), KV("method", method_label(r)),
                 KV_I("status", status), KV_F("ms", elapsed * 1e3), KV_I("in", r->bytes_in), KV_I("out", r->bytes_out),
                 KV("key", r->principal.key_id[0] != '\0' ? r->principal.key_id : NULL));
}
