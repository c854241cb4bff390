#include "meros/service/measure.h"

#include "meros/base/counters.h"
#include "meros/service/jobs.h"
#include "meros/service/kafka_in.h"
#include "meros/service/kafka_out.h"
#include "meros/service/listener.h"
#include "meros/service/webhooks.h"
#include "meros/store/changed.h"
#include "meros/store/store.h"

static struct metric_family jobs = {
    .name = "meros_jobs", .help = "Jobs in the queue's table by state.", .kind = METRIC_GAUGE, .labels = {"state"}};
static struct metric_family pool = {
    .name = "meros_db_connections", .help = "Connections of the pool.", .kind = METRIC_GAUGE, .labels = {"state"}};
static struct metric_family waiting = {
    .name = "meros_db_waiting", .help = "Threads that wait for a connection.", .kind = METRIC_GAUGE};
static struct metric_family acquired = {
    .name = "meros_db_acquired_total", .help = "Connections handed out.", .kind = METRIC_COUNTER};
static struct metric_family timeouts = {
    .name = "meros_db_acquire_timeouts_total", .help = "Waits for a connection that ended without one.", .kind = METRIC_COUNTER};
static struct metric_family failures = {
    .name = "meros_db_connect_failures_total", .help = "Attempts to connect that failed.", .kind = METRIC_COUNTER};
static struct metric_family changed_lag = {
    .name = "meros_changed_oldest_seconds", .help = "How long the oldest change of a customer has waited to be judged.", .kind = METRIC_GAUGE};
static struct metric_family changed = {
    .name = "meros_changed_customers_waiting", .help = "Customers that changed and wait to be judged.", .kind = METRIC_GAUGE};
static struct metric_family up = {
    .name = "meros_db_up", .help = "1 if the database has answered within the last seconds.", .kind = METRIC_GAUGE};

static void set(struct metric_family *family, const char *label, double v)
{
    metric_set(metric(family, (const char *const[]){label}), v);
}

static void measure_store(struct service *svc)
{
    struct store_stats s;
    struct health h;
    store_pool_stats(svc->store, &s);
    set(&pool, "open", s.open);
    set(&pool, "idle", s.idle);
    set(&waiting, NULL, s.waiting);
    set(&acquired, NULL, (double)s.acquired);
    set(&timeouts, NULL, (double)s.timeouts);
    set(&failures, NULL, (double)s.connect_failures);
    health_now(svc, &h);
    set(&up, NULL, h.database);
}

static void measure_jobs(struct service *svc)
{
    struct meros_err err = MEROS_ERR_INIT;
    int64_t n[JOB_STATE_COUNT];
    if (jobs_count(svc, n, &err) != MEROS_OK)
        return;
    for (int i = 0; i < JOB_STATE_COUNT; i++)
        set(&jobs, job_state_words[i], (double)n[i]);
}

static void measure_changes(struct service *svc)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    double seconds = 0;
    int64_t customers = 0;
    if (store_acquire(svc->store, &c, &err) != MEROS_OK) return;
    if (store_changed_waiting(c, &seconds, &customers, &err) == MEROS_OK) {
        set(&changed_lag, NULL, seconds);
        set(&changed, NULL, (double)customers);
    }
    store_release(svc->store, c);
}

static void measure_database(void *arg)
{
    struct service *svc = arg;
    struct health h;
    health_now(svc, &h);
    if (!h.database || !h.schema_current) return;
    measure_jobs(svc);
    webhooks_measure(svc);
    measure_changes(svc);
}

enum meros_code measure_start(struct service *svc, struct meros_err *err)
{
    return listener_every(svc, MEASURE_SECONDS, measure_database, svc, err);
}

void service_measure(struct service *svc)
{
    measure_store(svc);
    if (svc->up) { /* before that, they may be starting */
        kafka_in_measure(svc);
        kafka_out_measure(svc);
    }
}
