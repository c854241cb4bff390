/* `meros serve`: builds every object in order, keeps watch, tears down in reverse.
 *
 * The main thread builds what needs no database (cluster, pool, HTTP server) and then waits for signals. The tender, a
 * thread of its own, does what may take long: it migrates the schema and starts what stands on it, as often as it takes
 * until the database answers, and from then on looks after the embedded PostgreSQL. Until it is done, `svc.up` is false
 * and requests that need more than the process are answered 503 (gate_auth below, and /readyz by itself). */
#include "app_priv.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>
#include "meros/api/api.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/http/server.h"
#include "meros/service/catalog.h"
#include "meros/service/idempotency.h"
#include "meros/service/ingest.h"
#include "meros/service/jobs.h"
#include "meros/service/kafka_in.h"
#include "meros/service/kafka_out.h"
#include "meros/service/keys.h"
#include "meros/service/listener.h"
#include "meros/service/measure.h"
#include "meros/service/reco_rules.h"
#include "meros/service/recommend.h"
#include "meros/service/rejections.h"
#include "meros/service/segment_stream.h"
#include "meros/service/serving.h"
#include "meros/service/shelf.h"
#include "meros/service/sweeper.h"
#include "meros/service/webhooks.h"
#include "meros/store/stats.h"
#include "meros/store/store.h"

/* What stands on a migrated database, in the order in which it starts. */
enum stage {
    STAGE_MIGRATE, STAGE_KEYS, STAGE_IDEMPOTENCY, STAGE_REJECTIONS, STAGE_SERVING, STAGE_RECO_RULES, STAGE_CATALOG, STAGE_RECOMMENDING,
    STAGE_SHELVES, STAGE_SWEEPER, STAGE_STREAM, STAGE_INGEST, STAGE_JOBS, STAGE_WEBHOOKS, STAGE_LISTENER, STAGE_KAFKA_IN, STAGE_KAFKA_OUT, STAGE_UP
};

/* What is being sent to receivers of webhooks may take so long once the service stops. */
enum { WEBHOOKS_DRAIN_MS = 1500 };

struct app {
    /* Set before the first thread, constant after. */
    const struct invocation *invocation;
    const struct config *config;
    int64_t started_ns;
    struct backend backend;
    struct http_server *http;
    pthread_t tender;
    bool tending;
    /* The main thread's. */
    struct config latest; /* as last reloaded; for what can be reloaded it is in effect, for the rest `config` is */
    bool reloaded;
    /* The tender's until it has been joined. */
    enum stage stage;
    /* Shared. */
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool stop;           /* under lock */
    _Atomic bool failed; /* the tender met what waiting does not cure */
};

/* --- limits and addresses */

/* Every connection is an open file; the soft limit is often a customary 1024 where the hard one is far higher. */
static void raise_open_files(void)
{
    struct rlimit r;
    if (getrlimit(RLIMIT_NOFILE, &r) != 0 || r.rlim_cur == r.rlim_max) return;
    r.rlim_cur = r.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &r) != 0) log_warn("limit.open_files", KV("detail", strerror(errno)));
}

/* Says so when the address cannot be had, before a database is started for nothing. */
static enum meros_code check_address(const struct config *config, struct meros_err *err)
{
    char port[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV}, *found = NULL;
    enum meros_code rc = MEROS_OK;
    int one = 1;
    snprintf(port, sizeof port, "%d", (int)config->port);
    int failed = getaddrinfo(config->bind, port, &hints, &found);
    if (failed != 0 || found == NULL)
        return err_set(err, MEROS_INVALID, "bind: \"%.100s\" is no address: %s", config->bind, gai_strerror(failed));
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one) == 0 &&
        bind(fd, found->ai_addr, found->ai_addrlen) != 0) {
        if (errno == EADDRINUSE)
            rc = err_set(err, MEROS_CONFLICT,
                         "port %s of %s is taken by another program; choose another with --port, MEROS_PORT or make run PORT=…",
                         port, config->bind);
        else
            rc = err_set(err, MEROS_INVALID, "cannot listen on port %s of %s: %s", port, config->bind, strerror(errno));
    }
    if (fd >= 0) close(fd);
    freeaddrinfo(found);
    return rc;
}

static const char *address(const struct app *a, char *out, size_t cap)
{
    const struct config *c = a->config;
    bool v6 = strchr(c->bind, ':') != NULL;
    snprintf(out, cap, "%s://%s%s%s:%d", c->tls_cert[0] ? "https" : "http", v6 ? "[" : "", c->bind, v6 ? "]" : "", http_port(a->http));
    return out;
}

/* --- the HTTP server */

static enum meros_code not_up(const struct service *svc, struct meros_err *err)
{
    err_set(err, MEROS_UNAVAILABLE, "%s", svc->draining ? "the service is stopping" : "the service is starting: it waits for its database");
    if (err != NULL) err->retry_after = 2;
    return MEROS_UNAVAILABLE;
}

static enum meros_code gate_auth(void *ctx, struct str key, bool may_block, bool *out_would_block, struct http_principal *out,
                                 struct meros_err *err)
{
    const struct service *svc = ctx;
    if (!svc->up) {
        *out_would_block = false;
        return not_up(svc, err);
    }
    return api_auth(ctx, key, may_block, out_would_block, out, err);
}

static enum meros_code gate_around(void *ctx, const struct http_route *route, struct http_request *req, struct meros_err *err)
{
    const struct service *svc = ctx;
    return svc->up ? api_around(ctx, route, req, err) : not_up(svc, err);
}

static int seconds(int64_t ms)
{
    return (int)((ms + 999) / 1000);
}

static enum meros_code start_http(struct app *a, struct meros_err *err)
{
    const struct config *c = a->config;
    struct http_config http = {
        .bind = c->bind,
        .port = (int)c->port,
        .http_threads = (int)c->http_threads,
        .io_threads = (int)c->io_threads,
        .max_connections = (int)c->max_connections,
        .idle_timeout_s = seconds(c->idle_timeout),
        .header_timeout_s = seconds(c->header_timeout),
        .body_idle_timeout_s = seconds(c->body_idle_timeout),
        .request_timeout_s = seconds(c->request_timeout),
        .body_max = (size_t)c->body_max,
        .queue_max = (size_t)c->queue_max,
        .cors_origins = c->cors_origins,
        .tls_cert = c->tls_cert[0] ? c->tls_cert : NULL,
        .tls_key = c->tls_key[0] ? c->tls_key : NULL,
        .access_log = c->access_log,
        .routes = api_routes(),
        .ctx = &a->backend.svc,
        .scope_words = key_scope_words,
        .auth = gate_auth,
        .around = gate_around,
    };
    return http_start(&http, &a->http, err);
}

/* Decayed activity is kept with one half-life: a new one makes the statistics anew. */
static enum meros_code agree_on_half_life(struct service *svc, struct meros_err *err)
{
    struct store_conn *c;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc != MEROS_OK) return rc;
    rc = store_stats_set_half_life(c, svc->settings.activity_half_life_days, err);
    store_release(svc->store, c);
    return rc;
}

/* --- the tender */

static enum meros_code step(struct app *a, struct meros_err *err)
{
    struct service *svc = &a->backend.svc;
    int applied = 0, version = 0;
    enum meros_code rc = MEROS_OK;
    switch (a->stage) {
    case STAGE_MIGRATE:
        rc = store_migrate(svc->store, &applied, &version, err);
        if (rc == MEROS_OK) log_info("schema.current", KV_I("version", version), KV_I("applied", applied));
        if (rc == MEROS_OK) rc = agree_on_half_life(svc, err);
        return rc;
    case STAGE_KEYS: return keys_start(svc, a->config->bootstrap_key, err);
    case STAGE_IDEMPOTENCY: return idempotency_start(svc, err);
    case STAGE_REJECTIONS: return rejections_start(svc, err);
    case STAGE_SERVING: return serving_start(svc, err);
    case STAGE_RECO_RULES: return reco_rules_start(svc, err);
    case STAGE_CATALOG: return catalog_start(svc, err);
    case STAGE_RECOMMENDING: return recommending_start(svc, err);
    case STAGE_SHELVES: return shelf_start(svc, err);
    case STAGE_SWEEPER: return sweeper_start(svc, err);
    case STAGE_INGEST: return ingest_start(svc, err);
    case STAGE_STREAM: return segment_stream_start(svc, err);
    case STAGE_JOBS: return jobs_start(svc, job_kinds, err);
    case STAGE_WEBHOOKS: return webhooks_start(svc, err);
    case STAGE_LISTENER:
        rc = measure_start(svc, err);
        return rc == MEROS_OK ? listener_start(svc, err) : rc;
    case STAGE_KAFKA_IN: return kafka_in_start(svc, err);
    case STAGE_KAFKA_OUT: return kafka_out_start(svc, err);
    case STAGE_UP: return MEROS_OK;
    }
    return MEROS_OK;
}

static bool waits_for_database(enum meros_code rc)
{
    return rc == MEROS_UNAVAILABLE || rc == MEROS_TIMEOUT;
}

/* Waits; true when the service is to stop. */
static bool rest(struct app *a, int ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += ms / 1000;
    until.tv_nsec += ms % 1000 * 1000000L;
    if (until.tv_nsec >= 1000000000L) until.tv_nsec -= 1000000000L, until.tv_sec++;
    pthread_mutex_lock(&a->lock);
    while (!a->stop && pthread_cond_timedwait(&a->wake, &a->lock, &until) != ETIMEDOUT) {}
    bool stop = a->stop;
    pthread_mutex_unlock(&a->lock);
    return stop;
}

/* Goes on until all is up. False: told to stop, or failed. */
static bool bring_up(struct app *a)
{
    struct meros_err err = MEROS_ERR_INIT;
    char said[ERR_DETAIL_MAX] = "", where[128];
    int pause_ms = 100;
    while (a->stage != STAGE_UP) {
        enum meros_code rc = step(a, &err);
        if (rc == MEROS_OK) {
            a->stage++;
            continue;
        }
        if (!waits_for_database(rc)) {
            log_error("start.failed", KV("detail", err.detail));
            a->failed = true;
            kill(getpid(), SIGTERM); /* the main thread waits for it */
            return false;
        }
        if (strcmp(said, err.detail) != 0) log_warn("database.awaited", KV("detail", err.detail));
        snprintf(said, sizeof said, "%s", err.detail);
        if (rest(a, pause_ms)) return false;
        pause_ms = pause_ms < 1000 ? pause_ms * 2 : 2000;
        if (a->backend.svc.cluster != NULL && cluster_tend(a->backend.svc.cluster, &err) != MEROS_OK)
            log_warn("cluster.failed", KV("detail", err.detail));
    }
    a->backend.svc.up = true;
    log_info("ready", KV("address", address(a, where, sizeof where)),
             KV_I("ms", (clock_mono_ns() - a->started_ns) / 1000000));
    return true;
}

/* As process 1 of a container we inherit what a killed PostgreSQL leaves behind. Programs that we wait for ourselves run
 * on this thread too (cluster_tend), so none of them is taken away here. */
static void reap_orphans(void)
{
    while (getpid() == 1 && waitpid(-1, NULL, WNOHANG) > 0) {}
}

static void *tend(void *arg)
{
    struct app *a = arg;
    struct meros_err err = MEROS_ERR_INIT;
    char said[ERR_DETAIL_MAX] = "";
    if (!bring_up(a)) return NULL;
    while (!rest(a, 1000)) {
        reap_orphans();
        if (a->backend.svc.cluster == NULL) continue;
        if (cluster_tend(a->backend.svc.cluster, &err) == MEROS_OK) {
            said[0] = '\0';
        } else if (strcmp(said, err.detail) != 0) { /* once, not every second */
            log_error("cluster.failed", KV("detail", err.detail));
            snprintf(said, sizeof said, "%s", err.detail);
        }
    }
    return NULL;
}

/* --- SIGHUP */

static void apply_reloaded(struct app *a, const struct setting *s, const struct config *fresh)
{
    struct meros_err err = MEROS_ERR_INIT;
    if (!strcmp(s->name, "metrics_public")) a->backend.svc.settings.metrics_public = fresh->metrics_public;
    if (!strcmp(s->name, "cors_origins") && http_set_cors(a->http, fresh->cors_origins, &err) != MEROS_OK)
        log_warn("reload.refused", KV("setting", s->name), KV("detail", err.detail));
    else
        log_info("reload.applied", KV("setting", s->name));
}

extern char **environ;

static void reload(struct app *a)
{
    struct meros_err err = MEROS_ERR_INIT;
    const struct config *before = a->reloaded ? &a->latest : a->config;
    const struct setting *s;
    struct config fresh;
    size_t at = 0, n = 0;
    if (config_load(&fresh, a->invocation->config_file, a->invocation->flags, a->invocation->n_flags, environ, NULL, &err) != MEROS_OK) {
        log_warn("reload.refused", KV("detail", err.detail));
        return;
    }
    log_configure((enum log_level)fresh.log_level, (enum log_format)fresh.log_format);
    while ((s = config_changed(before, &fresh, &at)) != NULL) {
        if (!(s->flags & SETTING_RELOAD)) continue;
        apply_reloaded(a, s, &fresh);
        n++;
    }
    for (at = 0; (s = config_changed(a->config, &fresh, &at)) != NULL;) {
        if (s->flags & SETTING_RELOAD) continue;
        log_warn("reload.needs_restart", KV("setting", s->name));
        n++;
    }
    if (n == 0) log_info("reload.unchanged", KV("file", a->config->file));
    if (a->reloaded) config_done(&a->latest);
    a->latest = fresh;
    a->reloaded = true;
}

/* --- up and down */

static enum meros_code start(struct app *a, struct meros_err *err)
{
    enum meros_code rc;
    if ((rc = backend_libraries(err)) != MEROS_OK) return rc;
    if (a->config->port != 0 && (rc = check_address(a->config, err)) != MEROS_OK) return rc;
    if ((rc = backend_open(&a->backend, a->config, false, err)) != MEROS_OK) return rc;
    if ((rc = listener_new(&a->backend.svc, err)) != MEROS_OK) return rc;
    if ((rc = start_http(a, err)) != MEROS_OK) return rc;
    rc = thread_start(&a->tender, "tender", 0, tend, a, err);
    a->tending = rc == MEROS_OK;
    return rc;
}

/* False: a job would not stop, its thread still runs, and nothing that it uses may be freed. */
static bool stop(struct app *a)
{
    struct service *svc = &a->backend.svc;
    svc->draining = true;
    pthread_mutex_lock(&a->lock);
    a->stop = true;
    pthread_cond_signal(&a->wake);
    pthread_mutex_unlock(&a->lock);
    if (a->tending) pthread_join(a->tender, NULL);
    if (a->http != NULL) http_drain(a->http, (int)a->config->drain_timeout);
    kafka_in_stop(svc); /* both have seen `draining` and are ending meanwhile */
    kafka_out_stop(svc);
    ingest_stop(svc); /* after those who submit to it: nothing is left in it then but what nobody waits for */
    bool idle = svc->jobs == NULL || jobs_stop(svc, 2500);
    webhooks_stop(svc, WEBHOOKS_DRAIN_MS);
    if (svc->listener != NULL) listener_stop(svc);
    segment_stream_stop(svc);
    sweeper_stop(svc);
    shelf_stop(svc);
    catalog_stop(svc);
    serving_stop(svc);
    if (!idle) {
        cluster_stop(svc->cluster);
        return false;
    }
    http_free(a->http);
    kafka_in_free(svc);
    kafka_out_free(svc);
    if (svc->jobs != NULL) jobs_free(svc);
    segment_stream_free(svc);
    sweeper_free(svc);
    webhooks_free(svc);
    reco_rules_free(svc);
    shelf_free(svc);
    recommending_free(svc);
    catalog_free(svc);
    serving_free(svc);
    rejections_free(svc);
    ingest_free(svc);
    if (svc->idempotency != NULL) idempotency_free(svc);
    if (svc->keys != NULL) keys_free(svc);
    if (svc->listener != NULL) listener_free(svc);
    backend_close(&a->backend);
    return true;
}

int command_serve(const struct invocation *in, struct config *config)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct app a = {
        .invocation = in,
        .config = config,
        .started_ns = clock_mono_ns(),
        .lock = PTHREAD_MUTEX_INITIALIZER,
        .wake = PTHREAD_COND_INITIALIZER,
    };
    log_configure((enum log_level)config->log_level, (enum log_format)config->log_format);
    signals_block();
    raise_open_files();
    log_info("start", KV("version", MEROS_VERSION), KV_I("process", getpid()),
             KV("database", config->database_url[0] ? "external" : "embedded"), KV("data_dir", config->data_dir));
    if (geteuid() == 0) log_info("start.root", KV("advice", "a user of its own would do; PostgreSQL does not run as root"));
    bool started = start(&a, &err) == MEROS_OK;
    if (!started) {
        if (isatty(STDERR_FILENO)) complain_err(&err); /* for a person in words, for a collector as a line like the others */
        else log_error("start.failed", KV("detail", err.detail));
    } else {
        for (enum signal_event event = SIGNAL_NOTHING; event != SIGNAL_STOP;) {
            event = signals_wait(3600 * 1000);
            if (event == SIGNAL_RELOAD) reload(&a);
        }
        log_info("draining", KV("advice", "a second signal ends at once"));
        signals_insist(seconds(config->drain_timeout) + 5);
    }
    bool clean = stop(&a);
    if (a.reloaded) config_done(&a.latest);
    if (started) log_info("stopped", KV_B("clean", clean));
    bool ok = started && !a.failed;
    if (!clean) _exit(ok ? EXIT_OK : EXIT_FAILED);
    return ok ? EXIT_OK : EXIT_FAILED;
}
