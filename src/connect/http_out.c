/* One thread drives all transfers with curl_multi_poll. Others hand requests over in a list under the lock and wake it.
 * A transfer belongs to the thread from the moment it was taken off that list. */
#include "meros/connect/http_out.h"

#include <curl/curl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "meros/base/thread.h"
#include "meros/connect/address.h"

enum { IN_FLIGHT = 256, CONNECT_MS = 5000, WHOLE_MS = 15000, ANSWER_MAX = 64 << 10, POLL_MS = 1000, IDLE_CONNECTIONS = 64 };

struct transfer {
    struct http_out *out;
    struct transfer *next;
    CURL *curl;
    struct curl_slist *headers;
    char *body;
    void (*done)(void *arg, const struct http_out_result *r);
    void *arg;
    int64_t since_ns;
    size_t taken;    /* bytes of the answer's body */
    bool answered;   /* the answer's headers are all there */
    bool refused;    /* an address was not connected to */
    bool running;    /* added to the multi handle */
    char failure[CURL_ERROR_SIZE];
};

struct http_out {
    /* constant once started */
    struct http_out_config config;
    char *ca_file;
    CURLM *multi;
    pthread_t thread;
    bool started;
    /* the thread's */
    struct transfer *running;
    /* under the lock */
    pthread_mutex_t lock;
    struct transfer *submitted, **submitted_end;
    int in_flight;
    bool stopping;
    int64_t stop_ns; /* when what is still in flight is cancelled */
};

/* --- one transfer */

static void transfer_free(struct transfer *t)
{
    if (t == NULL) return;
    curl_easy_cleanup(t->curl);
    curl_slist_free_all(t->headers);
    free(t->body);
    free(t);
}

/* The address is the resolved one, whatever the URL said, and this is the socket that will be used. */
static curl_socket_t open_socket(void *arg, curlsocktype purpose, struct curl_sockaddr *a)
{
    struct transfer *t = arg;
    if (purpose != CURLSOCKTYPE_IPCXN || (!t->out->config.allow_private && !address_public(&a->addr, (socklen_t)a->addrlen))) {
        t->refused = true;
        return CURL_SOCKET_BAD;
    }
    return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static size_t take_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    (void)p;
    t->taken += size * n;
    return t->taken > ANSWER_MAX ? 0 : size * n; /* 0 ends the transfer; the status is known by now */
}

static size_t take_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    long status = 0;
    if (n == 2 && p[0] == '\r') {
        curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
        t->answered = status >= 200; /* not after 100 Continue */
    }
    return size * n;
}

static bool set_headers(struct transfer *t, const struct http_out_request *r)
{
    char line[1024];
    struct curl_slist *longer = curl_slist_append(NULL, "Expect:"); /* a second round trip that nobody needs */
    for (size_t i = 0; longer != NULL && i < r->n_headers; i++) {
        t->headers = longer;
        int n = snprintf(line, sizeof line, "%s: %s", r->headers[i].name, r->headers[i].value);
        longer = n > 0 && (size_t)n < sizeof line ? curl_slist_append(t->headers, line) : NULL;
    }
    if (longer != NULL) t->headers = longer;
    return longer != NULL;
}

static bool set_options(struct transfer *t, const struct http_out_request *r)
{
    const struct http_out_config *c = &t->out->config;
    CURL *h = t->curl;
    bool ok = true;
#define SET(option, value) ok = ok && curl_easy_setopt(h, option, value) == CURLE_OK
    SET(CURLOPT_URL, r->url);
    SET(CURLOPT_PRIVATE, t);
    SET(CURLOPT_ERRORBUFFER, t->failure);
    SET(CURLOPT_NOSIGNAL, 1L);
    SET(CURLOPT_QUICK_EXIT, 1L); /* stopping does not wait for a resolver that hangs */
    SET(CURLOPT_PROTOCOLS_STR, "http,https");
    SET(CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
    SET(CURLOPT_FOLLOWLOCATION, 0L);
    SET(CURLOPT_PROXY, "");
    SET(CURLOPT_NOPROXY, "*");
    SET(CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
    SET(CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
    SET(CURLOPT_SSL_VERIFYPEER, 1L);
    SET(CURLOPT_SSL_VERIFYHOST, 2L);
    if (t->out->ca_file != NULL) SET(CURLOPT_CAINFO, t->out->ca_file);
    SET(CURLOPT_CONNECTTIMEOUT_MS, (long)c->connect_timeout_ms);
    SET(CURLOPT_TIMEOUT_MS, (long)c->timeout_ms);
    SET(CURLOPT_OPENSOCKETFUNCTION, open_socket);
    SET(CURLOPT_OPENSOCKETDATA, t);
    SET(CURLOPT_WRITEFUNCTION, take_body);
    SET(CURLOPT_WRITEDATA, t);
    SET(CURLOPT_HEADERFUNCTION, take_header);
    SET(CURLOPT_HEADERDATA, t);
    SET(CURLOPT_POST, 1L);
    SET(CURLOPT_POSTFIELDS, t->body);
    SET(CURLOPT_POSTFIELDSIZE, (long)r->body.n);
    SET(CURLOPT_HTTPHEADER, t->headers);
#undef SET
    return ok;
}

static struct transfer *transfer_new(struct http_out *o, const struct http_out_request *r)
{
    struct transfer *t = calloc(1, sizeof *t);
    if (t == NULL) return NULL;
    t->out = o;
    t->done = r->done;
    t->arg = r->arg;
    t->since_ns = clock_mono_ns();
    t->body = malloc(r->body.n + 1);
    t->curl = curl_easy_init();
    if (t->body != NULL && t->curl != NULL) {
        if (r->body.n > 0) memcpy(t->body, r->body.p, r->body.n);
        t->body[r->body.n] = '\0';
        if (set_headers(t, r) && set_options(t, r)) return t;
    }
    transfer_free(t);
    return NULL;
}

/* --- the end of a transfer */

/* What curl says may name the host; its own words for the kind of failure do not. */
static const char *words(const struct transfer *t, CURLcode code)
{
    switch (code) {
    case CURLE_URL_MALFORMAT: return "the URL is not one of http or https";
    case CURLE_UNSUPPORTED_PROTOCOL: { /* of the URL, or of what came back: curl then speaks of HTTP/0.9 */
        curl_off_t sent = 0;
        curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME_T, &sent);
        return sent == 0 ? "the URL is not one of http or https" : "the receiver did not answer in HTTP";
    }
    case CURLE_COULDNT_RESOLVE_HOST: return "the host's name could not be resolved";
    case CURLE_COULDNT_CONNECT: return "no connection could be made";
    case CURLE_OPERATION_TIMEDOUT: {
        curl_off_t connected = 0;
        curl_easy_getinfo(t->curl, CURLINFO_PRETRANSFER_TIME_T, &connected);
        return connected == 0 ? "connecting took too long" : "no answer came in time";
    }
    case CURLE_PEER_FAILED_VERIFICATION: return "the receiver's certificate could not be verified";
    case CURLE_SSL_CONNECT_ERROR: return "the TLS handshake failed";
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR: return "the receiver closed the connection without an answer";
    default: return curl_easy_strerror(code);
    }
}

static void finish(struct transfer *t, const struct http_out_result *r)
{
    struct http_out *o = t->out;
    if (t->running) {
        struct transfer **at = &o->running;
        while (*at != t) at = &(*at)->next;
        *at = t->next;
        curl_multi_remove_handle(o->multi, t->curl);
    }
    pthread_mutex_lock(&o->lock);
    o->in_flight--; /* before the callback: it may submit the next one */
    pthread_mutex_unlock(&o->lock);
    t->done(t->arg, r);
    transfer_free(t);
}

static void finish_with(struct transfer *t, CURLcode code)
{
    struct http_out_result r = {.seconds = (double)(clock_mono_ns() - t->since_ns) * 1e-9};
    long status = 0;
    curl_off_t retry_after = 0;
    curl_easy_getinfo(t->curl, CURLINFO_RESPONSE_CODE, &status);
    if (t->answered) {
        /* An answer's body that never ends, or is cut, does not unsay its status. */
        curl_easy_getinfo(t->curl, CURLINFO_RETRY_AFTER, &retry_after);
        r.outcome = HTTP_OUT_ANSWERED;
        r.status = (int)status;
        r.retry_after = retry_after > 86400 ? 86400 : retry_after < 0 ? 0 : (int)retry_after;
    } else if (code == CURLE_OK) {
        r.outcome = HTTP_OUT_FAILED;
        r.error = "the receiver did not answer in HTTP";
    } else if (t->refused && code == CURLE_COULDNT_CONNECT) {
        r.outcome = HTTP_OUT_REFUSED;
        r.error = "the host's address is not one of the public internet";
    } else {
        r.outcome = HTTP_OUT_FAILED;
        r.error = words(t, code);
    }
    finish(t, &r);
}

static void cancel(struct transfer *t)
{
    finish(t, &(struct http_out_result){.outcome = HTTP_OUT_CANCELLED,
                                        .error = "the service is stopping",
                                        .seconds = (double)(clock_mono_ns() - t->since_ns) * 1e-9});
}

/* --- the thread */

static struct transfer *take_submitted(struct http_out *o)
{
    pthread_mutex_lock(&o->lock);
    struct transfer *list = o->submitted;
    o->submitted = NULL;
    o->submitted_end = &o->submitted;
    pthread_mutex_unlock(&o->lock);
    return list;
}

static void begin_submitted(struct http_out *o)
{
    for (struct transfer *t = take_submitted(o), *next; t != NULL; t = next) {
        next = t->next;
        if (curl_multi_add_handle(o->multi, t->curl) != CURLM_OK) {
            finish_with(t, CURLE_OUT_OF_MEMORY);
            continue;
        }
        t->running = true;
        t->next = o->running;
        o->running = t;
    }
}

static void end_finished(struct http_out *o)
{
    CURLMsg *m;
    int left;
    while ((m = curl_multi_info_read(o->multi, &left)) != NULL) {
        char *t = NULL;
        CURLcode code = m->data.result;
        if (m->msg != CURLMSG_DONE) continue;
        curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &t);
        finish_with((struct transfer *)(void *)t, code);
    }
}

/* How long to wait for sockets at most; -1: it is over. */
static int patience(struct http_out *o)
{
    pthread_mutex_lock(&o->lock);
    int64_t left_ms = o->stopping ? (o->stop_ns - clock_mono_ns()) / 1000000 : POLL_MS;
    bool over = o->stopping && (o->in_flight == 0 || left_ms <= 0);
    pthread_mutex_unlock(&o->lock);
    return over ? -1 : left_ms < POLL_MS ? (int)left_ms : POLL_MS;
}

static void *out_main(void *arg)
{
    struct http_out *o = arg;
    int wait_ms, active;
    while ((wait_ms = patience(o)) >= 0) {
        begin_submitted(o);
        curl_multi_perform(o->multi, &active);
        end_finished(o);
        if ((wait_ms = patience(o)) > 0) curl_multi_poll(o->multi, NULL, 0, wait_ms, NULL);
    }
    while (o->running != NULL) cancel(o->running);
    for (struct transfer *t = take_submitted(o), *next; t != NULL; t = next) {
        next = t->next;
        cancel(t);
    }
    return NULL;
}

/* --- for everybody */

enum meros_code http_out_start(const struct http_out_config *config, struct http_out **out, struct meros_err *err)
{
    struct http_out *o = calloc(1, sizeof *o);
    enum meros_code rc = MEROS_OUT_OF_MEMORY;
    if (o == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for outgoing requests.");
    o->config = *config;
    if (o->config.in_flight_max == 0) o->config.in_flight_max = IN_FLIGHT;
    if (o->config.connect_timeout_ms == 0) o->config.connect_timeout_ms = CONNECT_MS;
    if (o->config.timeout_ms == 0) o->config.timeout_ms = WHOLE_MS;
    o->submitted_end = &o->submitted;
    pthread_mutex_init(&o->lock, NULL);
    if (config->ca_file != NULL && config->ca_file[0] != '\0') {
        if (access(config->ca_file, R_OK) != 0) {
            rc = err_set(err, MEROS_INVALID, "The file of certificate authorities \"%.200s\" cannot be read.", config->ca_file);
            goto fail;
        }
        if ((o->ca_file = strdup(config->ca_file)) == NULL) goto fail;
    }
    if (curl_global_init(CURL_GLOBAL_DEFAULT) != CURLE_OK || (o->multi = curl_multi_init()) == NULL) goto fail;
    if (curl_multi_setopt(o->multi, CURLMOPT_MAXCONNECTS, (long)IDLE_CONNECTIONS) != CURLM_OK) goto fail;
    if ((rc = thread_start(&o->thread, "http-out", 0, out_main, o, err)) != MEROS_OK) goto fail;
    o->started = true;
    *out = o;
    return MEROS_OK;
fail:
    http_out_free(o);
    return rc != MEROS_OUT_OF_MEMORY ? rc : err_set(err, rc, "No memory for outgoing requests.");
}

static bool clean(const char *s)
{
    for (; *s != '\0'; s++) {
        if ((unsigned char)*s < ' ' || *s == 0x7f) return false;
    }
    return true;
}

enum meros_code http_out_submit(struct http_out *o, const struct http_out_request *r, struct meros_err *err)
{
    for (size_t i = 0; i < r->n_headers; i++) {
        if (!clean(r->headers[i].name) || !clean(r->headers[i].value))
            return err_set(err, MEROS_INVALID, "A header holds a control character.");
    }
    struct transfer *t = transfer_new(o, r);
    if (t == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for an outgoing request.");
    pthread_mutex_lock(&o->lock);
    bool taken = !o->stopping && o->in_flight < o->config.in_flight_max;
    if (taken) {
        o->in_flight++;
        *o->submitted_end = t;
        o->submitted_end = &t->next;
    }
    pthread_mutex_unlock(&o->lock);
    if (!taken) {
        transfer_free(t);
        return err_set(err, MEROS_UNAVAILABLE, "As many outgoing requests are under way as may be.");
    }
    curl_multi_wakeup(o->multi);
    return MEROS_OK;
}

void http_out_stop(struct http_out *o, int deadline_ms)
{
    if (o == NULL || !o->started) return;
    pthread_mutex_lock(&o->lock);
    o->stopping = true;
    o->stop_ns = clock_mono_ns() + (int64_t)deadline_ms * 1000000;
    pthread_mutex_unlock(&o->lock);
    curl_multi_wakeup(o->multi);
    pthread_join(o->thread, NULL);
    o->started = false;
}

void http_out_free(struct http_out *o)
{
    if (o == NULL) return;
    if (o->multi != NULL) curl_multi_cleanup(o->multi);
    pthread_mutex_destroy(&o->lock);
    free(o->ca_file);
    free(o);
}

/* --- URLs */

static enum meros_code url_part(CURLU *u, CURLUPart part, char **out, struct meros_err *err)
{
    CURLUcode rc = curl_url_get(u, part, out, 0);
    if (rc == CURLUE_OUT_OF_MEMORY) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a URL.");
    return MEROS_OK; /* a part that is not there stays NULL */
}

enum meros_code http_out_url_check(struct str url, bool allow_private, struct meros_err *err)
{
    char text[HTTP_OUT_URL_MAX + 1], *host = NULL, *user = NULL, *password = NULL, *scheme = NULL;
    enum meros_code rc = MEROS_OK;
    CURLU *u = NULL;
    if (!str_copy(text, sizeof text, url))
        return err_set(err, MEROS_INVALID, "The URL has more than %d bytes.", HTTP_OUT_URL_MAX);
    if (strlen(text) != url.n || !clean(text) || strpbrk(text, " \\") != NULL)
        return err_set(err, MEROS_INVALID, "The URL holds a blank, a backslash or a control character.");
    if ((u = curl_url()) == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for a URL.");
    if (curl_url_set(u, CURLUPART_URL, text, 0) != CURLUE_OK) {
        rc = err_set(err, MEROS_INVALID, "This is no URL such as https://example.com/hook.");
        goto out;
    }
    if ((rc = url_part(u, CURLUPART_SCHEME, &scheme, err)) != MEROS_OK || (rc = url_part(u, CURLUPART_HOST, &host, err)) != MEROS_OK ||
        (rc = url_part(u, CURLUPART_USER, &user, err)) != MEROS_OK || (rc = url_part(u, CURLUPART_PASSWORD, &password, err)) != MEROS_OK)
        goto out;
    if (scheme == NULL || (strcmp(scheme, "http") != 0 && strcmp(scheme, "https") != 0))
        rc = err_set(err, MEROS_INVALID, "The URL must begin with https:// or http://.");
    else if (strncmp(text + strlen(scheme), "://", 3) != 0 || text[strlen(scheme) + 3] == '/') /* curl takes one slash, or three */
        rc = err_set(err, MEROS_INVALID, "The URL must name its host after two slashes, as in https://example.com/hook.");
    else if (host == NULL || host[0] == '\0')
        rc = err_set(err, MEROS_INVALID, "The URL names no host.");
    else if (user != NULL || password != NULL)
        rc = err_set(err, MEROS_INVALID, "The URL must hold no user name and no password.");
    else if (!allow_private && !address_host_public(str_of(host)))
        rc = err_set(err, MEROS_UNPROCESSABLE, "The URL leads to a private address, which is refused unless configuration allows it.");
out:
    curl_free(scheme);
    curl_free(host);
    curl_free(user);
    curl_free(password);
    curl_url_cleanup(u);
    return rc;
}
