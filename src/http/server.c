#include "http_priv.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"

enum {
    FDS_RESERVED = 64,          /* for files, the database, epoll and what libraries open */
    CONNECTIONS_MAX_DEFAULT = 4096,
    SLOW_THREADS_MAX = 64,
    CONNECTION_MEMORY = 16384,  /* a request's line and headers must fit; libmicrohttpd wipes all of it after each request */
    LISTEN_BACKLOG = 1024,
    LOG_PER_SECOND = 5,
    CUT_GRACE_MS = 5000
};
static const char tls_priority[] = "SECURE128:-VERS-ALL:+VERS-TLS1.3:+VERS-TLS1.2:%SERVER_PRECEDENCE";

/* Percent-decoding is ours: libmicrohttpd would do it before the path is split, and would lose %00. */
static size_t no_unescape(void *cls, struct MHD_Connection *mhd, char *s)
{
    (void)cls, (void)mhd;
    return strlen(s);
}

/* libmicrohttpd's own messages, at most a few a second: short of descriptors it can write millions. Some quote the
 * path, which may hold a customer's id, so only the first words are kept. */
static void log_library(void *cls, const char *format, va_list ap)
{
    static _Atomic int64_t second;
    static _Atomic int written;
    int64_t now = now_ms() / 1000;
    (void)cls, (void)ap;
    if (atomic_exchange_explicit(&second, now, memory_order_relaxed) != now) written = 0;
    if (atomic_fetch_add_explicit(&written, 1, memory_order_relaxed) >= LOG_PER_SECOND) return;
    char text[160];
    snprintf(text, sizeof text, "%s", format); /* the format only: its arguments may quote the request */
    text[strcspn(text, "\n")] = '\0';
    log_debug("http.library", KV("message", text));
}

static int or_default(int value, int dflt)
{
    return value > 0 ? value : dflt;
}

static void fill_defaults(struct http_config *c)
{
    int cpus = thread_cpus();
    c->http_threads = or_default(c->http_threads, 2 * cpus > 4 ? 2 * cpus : 4);
    c->io_threads = or_default(c->io_threads, 16);
    c->idle_timeout_s = or_default(c->idle_timeout_s, 75);
    c->header_timeout_s = or_default(c->header_timeout_s, 10);
    c->body_idle_timeout_s = or_default(c->body_idle_timeout_s, 30);
    c->request_timeout_s = or_default(c->request_timeout_s, 60);
    if (c->body_max == 0) c->body_max = 1024 * 1024;
    if (c->queue_max == 0) c->queue_max = 1024;
    if (c->bind == NULL) c->bind = "127.0.0.1";
}

/* Raises the soft limit of descriptors to the hard one and says how many connections that bears. */
static enum meros_code connection_limit(struct http_config *c, struct meros_err *err)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return err_set(err, MEROS_INTERNAL, "getrlimit: %s", strerror(errno));
    if (limit.rlim_cur < limit.rlim_max) {
        limit.rlim_cur = limit.rlim_max;
        if (setrlimit(RLIMIT_NOFILE, &limit) != 0) getrlimit(RLIMIT_NOFILE, &limit);
    }
    long fds = limit.rlim_cur == RLIM_INFINITY || limit.rlim_cur > 1 << 20 ? 1 << 20 : (long)limit.rlim_cur;
    long most = fds > 2 * FDS_RESERVED ? fds - FDS_RESERVED : fds / 2;
    long wanted = c->max_connections > 0 ? c->max_connections : CONNECTIONS_MAX_DEFAULT;
    if (wanted > most) wanted = most;
    /* libmicrohttpd divides the limit among its threads and refuses a thread without a share */
    if (c->http_threads > wanted) c->http_threads = (int)wanted;
    if (wanted < 4) return err_set(err, MEROS_INVALID, "only %ld file descriptors are allowed (ulimit -n): too few to serve", fds);
    c->max_connections = (int)wanted;
    return MEROS_OK;
}

static enum meros_code open_listener(struct http_server *s, bool *out_v6, struct meros_err *err)
{
    const struct http_config *c = &s->config;
    char service[16];
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICHOST | AI_NUMERICSERV}, *ai = NULL;
    int one = 1, zero = 0;
    enum meros_code rc = MEROS_OK;
    if (c->port < 0 || c->port > 65535) return err_set(err, MEROS_INVALID, "%d is not a port", c->port);
    snprintf(service, sizeof service, "%d", c->port);
    if (getaddrinfo(c->bind, service, &hints, &ai) != 0)
        return err_set(err, MEROS_INVALID, "\"%s\" is not an IP address to listen on", c->bind);
    *out_v6 = ai->ai_family == AF_INET6;
    s->listen_fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (s->listen_fd < 0) rc = err_set(err, MEROS_UNAVAILABLE, "no socket: %s", strerror(errno));
    if (rc == MEROS_OK) {
        setsockopt(s->listen_fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
        if (*out_v6) setsockopt(s->listen_fd, IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero); /* "::" is both */
        if (bind(s->listen_fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(s->listen_fd, LISTEN_BACKLOG) != 0)
            rc = err_set(err, errno == EADDRINUSE ? MEROS_CONFLICT : MEROS_UNAVAILABLE, "cannot listen on %s port %d: %s",
                         c->bind, c->port, strerror(errno));
    }
    if (rc == MEROS_OK) {
        struct sockaddr_storage at;
        socklen_t n = sizeof at;
        getsockname(s->listen_fd, (struct sockaddr *)&at, &n);
        s->port = ntohs(*out_v6 ? ((struct sockaddr_in6 *)&at)->sin6_port : ((struct sockaddr_in *)&at)->sin_port);
    }
    freeaddrinfo(ai);
    return rc;
}

static enum meros_code start_daemon(struct http_server *s, bool v6, struct meros_err *err)
{
    const struct http_config *c = &s->config;
    struct tls_files tls = {0};
    enum meros_code rc = MEROS_OK;
    bool use_tls = c->tls_cert != NULL || c->tls_key != NULL;
    if (use_tls && (rc = tls_load(c->tls_cert, c->tls_key, &tls, err)) != MEROS_OK) return rc;
    unsigned flags = MHD_USE_EPOLL_INTERNAL_THREAD | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ITC | MHD_USE_ERROR_LOG;
    if (use_tls) flags |= MHD_USE_TLS;
    if (v6) flags |= MHD_USE_IPv6;
    struct MHD_OptionItem with_tls[] = {{MHD_OPTION_HTTPS_MEM_CERT, 0, tls.cert},
                                        {MHD_OPTION_HTTPS_MEM_KEY, 0, tls.key},
                                        {MHD_OPTION_HTTPS_PRIORITIES, 0, (void *)(uintptr_t)tls_priority},
                                        {MHD_OPTION_END, 0, NULL}};
    struct MHD_OptionItem none[] = {{MHD_OPTION_END, 0, NULL}};
    s->daemon = MHD_start_daemon(
        flags, (uint16_t)s->port, NULL, NULL, on_request, s, MHD_OPTION_EXTERNAL_LOGGER, log_library, s,
        MHD_OPTION_LISTEN_SOCKET, s->listen_fd, MHD_OPTION_THREAD_POOL_SIZE, (unsigned)c->http_threads,
        MHD_OPTION_CONNECTION_LIMIT, (unsigned)c->max_connections, MHD_OPTION_CONNECTION_TIMEOUT, 0u,
        MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)CONNECTION_MEMORY, MHD_OPTION_STRICT_FOR_CLIENT, 1,
        MHD_OPTION_UNESCAPE_CALLBACK, no_unescape, NULL, MHD_OPTION_URI_LOG_CALLBACK, on_uri, s,
        MHD_OPTION_NOTIFY_COMPLETED, on_completed, s, MHD_OPTION_NOTIFY_CONNECTION, on_connection, s, MHD_OPTION_ARRAY,
        use_tls ? with_tls : none, MHD_OPTION_END);
    tls_done(&tls);
    if (s->daemon == NULL) return err_set(err, MEROS_UNAVAILABLE, "the HTTP server could not be started on port %d", s->port);
    return MEROS_OK;
}

static enum meros_code start_all(struct http_server *s, struct meros_err *err)
{
    bool v6 = false;
    struct cors *cors = NULL;
    enum meros_code rc = connection_limit(&s->config, err);
    if (rc == MEROS_OK) rc = router_new(s->config.routes, s->stats, &s->router, err);
    if (rc == MEROS_OK) rc = cors_new(s->config.cors_origins, &cors, err);
    if (rc != MEROS_OK) return rc;
    s->cors = cors;
    s->loops = loops_new(s->config.http_threads);
    if (s->loops == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the HTTP server");
    for (size_t i = 0; i < s->n_routes; i++) stats_init(&s->stats[i], &s->config.routes[i]);
    rc = open_listener(s, &v6, err);
    if (rc == MEROS_OK) rc = pool_start(&s->io, s, "http-io", (size_t)s->config.io_threads, true, err);
    if (rc == MEROS_OK) rc = pool_start(&s->slow, s, "http-slow", SLOW_THREADS_MAX, false, err);
    if (rc == MEROS_OK) rc = reaper_start(s, err);
    if (rc == MEROS_OK) rc = start_daemon(s, v6, err);
    return rc;
}

enum meros_code http_start(const struct http_config *config, struct http_server **out, struct meros_err *err)
{
    size_t n = 0;
    while (config->routes[n].pattern != NULL) n++;
    struct http_server *s = calloc(1, sizeof *s);
    struct route_stats *stats = calloc(n + 1, sizeof *stats);
    if (s == NULL || stats == NULL) {
        free(s);
        free(stats);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the HTTP server");
    }
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->reaper_wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&s->conns_lock, NULL);
    pthread_mutex_init(&s->cors_lock, NULL);
    s->config = *config;
    s->stats = stats;
    s->n_routes = n;
    s->listen_fd = -1;
    fill_defaults(&s->config);
    crypto_random(&s->id_seed, sizeof s->id_seed);
    crypto_random(&s->id_mask, sizeof s->id_mask);
    guard_start();
    loop_start();
    enum meros_code rc = start_all(s, err);
    if (rc != MEROS_OK) {
        http_drain(s, 0);
        http_free(s);
        return rc;
    }
    log_info("http.listening", KV("address", s->config.bind), KV_I("port", s->port), KV_B("tls", s->config.tls_cert != NULL),
             KV_I("connections", s->config.max_connections), KV_I("threads", s->config.http_threads),
             KV_I("io_threads", s->config.io_threads));
    *out = s;
    return MEROS_OK;
}

int http_port(const struct http_server *s)
{
    return s->port;
}

static bool wait_idle(struct http_server *s, int64_t until)
{
    while (atomic_load_explicit(&s->in_flight, memory_order_acquire) > 0) {
        if (now_ms() >= until) return false;
        /* A connection may have become idle only now, its client keeping it open. */
        conns_close_idle(s);
        nanosleep(&(struct timespec){.tv_nsec = 5 * 1000000}, NULL);
    }
    return true;
}

/* The order matters: see libmicrohttpd's manual for MHD_quiesce_daemon and MHD_suspend_connection. Stopping it with a
 * suspended connection is a panic; a client that connects into the backlog of a socket nobody accepts from hangs. */
void http_drain(struct http_server *s, int deadline_ms)
{
    if (s == NULL) return;
    bool quiet = true;
    if (s->daemon != NULL) {
        MHD_socket listener = MHD_quiesce_daemon(s->daemon);
        if (listener != MHD_INVALID_SOCKET) shutdown(listener, SHUT_RDWR);
        atomic_store(&s->stage, STAGE_DRAINING);
        conns_end_streams(s);
        conns_close_idle(s);
        quiet = wait_idle(s, now_ms() + deadline_ms);
        if (!quiet) {
            log_warn("http.drain_cut", KV_I("requests", atomic_load(&s->in_flight)));
            atomic_store(&s->stage, STAGE_CUT);
            conns_cut(s);
            quiet = wait_idle(s, now_ms() + CUT_GRACE_MS);
        }
    }
    if (s->daemon != NULL && !quiet) {
        /* A handler hangs. Its connection is suspended and its memory in use: nothing may be freed or stopped. */
        log_error("http.drain_stuck", KV_I("requests", atomic_load(&s->in_flight)));
        s->stuck = true;
        return;
    }
    reaper_stop(s);
    pool_stop(&s->io);
    pool_stop(&s->slow);
    if (s->daemon != NULL) MHD_stop_daemon(s->daemon);
    s->daemon = NULL;
    if (s->listen_fd >= 0) close(s->listen_fd);
    s->listen_fd = -1;
}

void http_free(struct http_server *s)
{
    if (s == NULL || s->stuck) return;
    router_free(s->router);
    cors_free_all(s->cors);
    free(s->stats);
    loops_give_back(s->loops);
    pthread_cond_destroy(&s->reaper_wake);
    pthread_mutex_destroy(&s->conns_lock);
    pthread_mutex_destroy(&s->cors_lock);
    free(s);
}
