#include "serve.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/crypto.h"

int serve_count;
struct http_request *serve_kept[512];
_Atomic bool serve_gate_open;
_Atomic int serve_entered, serve_left, serve_uploads;

long now_milliseconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void wait_for(_Atomic int *n, int wanted)
{
    for (long until = now_milliseconds() + PATIENCE_MS; *n < wanted && now_milliseconds() < until;) usleep(2000);
    cr_assert_geq(*n, wanted, "%d of %d", *n, wanted);
}

bool wait_readable(int fd)
{
    char c;
    return recv(fd, &c, 1, MSG_PEEK) == 1;
}

/* --- handlers */

static enum meros_code hello(struct http_request *req, struct meros_err *err)
{
    (void)err;
    http_reply_static(req, 200, "application/json", STR("{\"hello\":\"world\"}"));
    return MEROS_OK;
}

/* Says back what the server made of the request. */
static enum meros_code echo(struct http_request *req, struct meros_err *err)
{
    struct buf b;
    (void)err;
    buf_init(&b, 4 << 20);
    struct str id = http_path_param(req, "id"), other = http_path_param(req, "other"), word = http_query_str(req, "word"),
               body = http_body(req);
    buf_printf(&b, "id=%.*s;other=%.*s;limit=%lld;ratio=%g;flag=%d;word=%.*s;key=%s;body=%.*s", (int)id.n, id.p, (int)other.n,
               other.p, (long long)http_query_int(req, "limit", -1), http_query_num(req, "ratio", -1),
               http_query_bool(req, "flag", false), (int)word.n, word.p, http_principal(req)->key_id, (int)body.n, body.p);
    http_reply_bytes(req, 200, "text/plain", (struct str){b.data, b.len});
    buf_done(&b);
    return MEROS_OK;
}

static enum meros_code size(struct http_request *req, struct meros_err *err)
{
    char text[64];
    (void)err;
    snprintf(text, sizeof text, "%zu", http_body(req).n);
    http_reply_bytes(req, 200, "text/plain", str_of(text));
    return MEROS_OK;
}

static enum meros_code big(struct http_request *req, struct meros_err *err)
{
    (void)err;
    size_t n = (size_t)http_query_int(req, "n", 100000);
    char *p = malloc(n + 1);
    cr_assert(p != NULL);
    for (size_t i = 0; i < n; i++) p[i] = "abcdefghijklmnop"[i % 16];
    http_reply_bytes(req, 200, "application/json", (struct str){p, n});
    free(p);
    return MEROS_OK;
}

static enum meros_code upload(struct http_request *req, struct meros_err *err)
{
    char *chunk = malloc(65536), text[64];
    size_t total = 0, n;
    int64_t stop_at = http_query_int(req, "stop_at", -1), pause_ms = http_query_int(req, "pause_ms", 0);
    uint32_t sum = 0;
    enum meros_code rc;
    serve_uploads++;
    while ((rc = http_body_read(req, chunk, 65536, &n, err)) == MEROS_OK && n > 0) {
        for (size_t i = 0; i < n; i += 997) sum = sum * 31 + (unsigned char)chunk[i];
        total += n;
        if (stop_at >= 0 && total >= (size_t)stop_at) {
            rc = err_set(err, MEROS_UNPROCESSABLE, "stopped after %zu bytes", total);
            break;
        }
        if (pause_ms > 0) usleep((useconds_t)pause_ms * 1000);
    }
    free(chunk);
    if (rc != MEROS_OK) return rc;
    snprintf(text, sizeof text, "%zu", total);
    http_reply_bytes(req, 200, "text/plain", str_of(text));
    return MEROS_OK;
}

static enum meros_code slow(struct http_request *req, struct meros_err *err)
{
    usleep((useconds_t)http_query_int(req, "ms", 100) * 1000);
    return hello(req, err);
}

static enum meros_code gate(struct http_request *req, struct meros_err *err)
{
    serve_entered++;
    while (!serve_gate_open) usleep(2000);
    serve_left++;
    return hello(req, err);
}

static enum meros_code keep(struct http_request *req, struct meros_err *err)
{
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    (void)err;
    http_defer(req);
    pthread_mutex_lock(&lock);
    serve_kept[serve_count] = req;
    __atomic_store_n(&serve_count, serve_count + 1, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&lock);
    return MEROS_OK;
}

static void *complete_soon(void *arg)
{
    struct http_request *req = arg;
    http_reply_static(req, 200, "text/plain", STR("late"));
    http_complete(req, MEROS_OK, NULL);
    return NULL;
}

static enum meros_code later(struct http_request *req, struct meros_err *err)
{
    pthread_t t;
    http_defer(req);
    if (pthread_create(&t, NULL, complete_soon, req) != 0) return err_set(err, MEROS_UNAVAILABLE, "no thread");
    pthread_detach(t);
    return MEROS_OK;
}

_Atomic int serve_late_begun, serve_late_replies;

static enum meros_code late_reply(struct http_request *req, void *arg, struct meros_err *err)
{
    serve_late_replies++;
    if (arg == NULL) return err_set(err, MEROS_CONFLICT, "too late");
    http_reply_static(req, 200, "text/plain", str_of(arg));
    return MEROS_OK;
}

static void *complete_by_soon(void *arg)
{
    static char text[] = "late by";
    struct http_request *req = arg;
    if (str_present(http_header(req, "Linger"))) usleep(100000);
    http_complete_by(req, late_reply, str_present(http_header(req, "Fail")) ? NULL : text);
    return NULL;
}

static enum meros_code later_by(struct http_request *req, struct meros_err *err)
{
    pthread_t t;
    http_defer(req);
    serve_late_begun++;
    if (pthread_create(&t, NULL, complete_by_soon, req) != 0) return err_set(err, MEROS_UNAVAILABLE, "no thread");
    pthread_detach(t);
    return MEROS_OK;
}

static enum meros_code defer_and_fail(struct http_request *req, struct meros_err *err)
{
    http_defer(req);
    err_set(err, MEROS_UNAVAILABLE, "the queue is full");
    err->retry_after = 7;
    return err->code;
}

static enum meros_code events(struct http_request *req, struct meros_err *err)
{
    struct http_stream *st = http_reply_stream(req, "text/event-stream");
    if (st == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory");
    int64_t n = http_query_int(req, "n", 3);
    char line[64];
    for (int64_t i = 0; i < n || n == 0; i++) {
        int len = snprintf(line, sizeof line, "data: %lld\n\n", (long long)i);
        if (!http_stream_send(st, line, (size_t)len, false)) break;
        if (n == 0) usleep(20000);
    }
    http_stream_end(st);
    return MEROS_OK;
}

static enum meros_code export(struct http_request *req, struct meros_err *err)
{
    struct http_stream *st = http_reply_stream(req, "text/csv");
    if (st == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory");
    char block[8192];
    memset(block, 'x', sizeof block);
    int64_t n = http_query_int(req, "n", 1 << 20);
    bool ok = true;
    for (int64_t left = n; left > 0 && ok; left -= (int64_t)sizeof block)
        ok = http_stream_send(st, block, left < (int64_t)sizeof block ? (size_t)left : sizeof block, true);
    if (http_query_bool(req, "flag", false)) http_stream_abort(st);
    else http_stream_end(st);
    return MEROS_OK;
}

static enum meros_code fail(struct http_request *req, struct meros_err *err)
{
    (void)req;
    return err_set(err, (enum meros_code)http_query_int(req, "code", MEROS_INTERNAL), "it was asked for");
}

static enum meros_code nothing(struct http_request *req, struct meros_err *err)
{
    (void)req, (void)err;
    return MEROS_OK;
}

static enum meros_code created(struct http_request *req, struct meros_err *err)
{
    (void)err;
    http_reply_header(req, "Location", "/v1/things/1");
    http_reply_static(req, 201, "application/json", STR("{}"));
    return MEROS_OK;
}

static enum meros_code gone(struct http_request *req, struct meros_err *err)
{
    (void)err;
    http_reply_empty(req, 204);
    return MEROS_OK;
}

static const char *const words[] = {"asc", "desc", NULL};
static const struct http_param echo_params[] = {
    {.name = "limit", .kind = HTTP_PARAM_INT, .min = 1, .max = 1000}, {.name = "ratio", .kind = HTTP_PARAM_NUM, .min = 0, .max = 1},
    {.name = "flag", .kind = HTTP_PARAM_BOOL}, {.name = "word", .kind = HTTP_PARAM_STR, .max = 20},
    {.name = "order", .kind = HTTP_PARAM_ENUM, .words = words}, {.name = "at", .kind = HTTP_PARAM_TIME},
    {.name = "who", .kind = HTTP_PARAM_ID}, {0}};
static const struct http_param number_params[] = {
    {.name = "n", .kind = HTTP_PARAM_INT, .min = 0, .max = 1e9}, {.name = "ms", .kind = HTTP_PARAM_INT, .min = 0, .max = 60000},
    {.name = "stop_at", .kind = HTTP_PARAM_INT, .min = 0, .max = 1e12}, {.name = "pause_ms", .kind = HTTP_PARAM_INT, .min = 0, .max = 1000},
    {.name = "code", .kind = HTTP_PARAM_INT, .min = 1, .max = 100}, {.name = "flag", .kind = HTTP_PARAM_BOOL}, {0}};
static const struct http_param must_params[] = {{.name = "from", .kind = HTTP_PARAM_TIME, .required = true}, {0}};

#define OPEN .flags = HTTP_PUBLIC
static const struct http_route routes[] = {
    {HTTP_GET, "/", "root", .fn = hello, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/hello", "hello", .fn = hello, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/hello-io", "helloIo", .fn = hello, OPEN},
    {HTTP_GET, "/things/{id}", "getThing", .fn = echo, OPEN, .params = echo_params},
    {HTTP_PUT, "/things/{id}", "putThing", .fn = echo, OPEN, .body = HTTP_BODY_BUFFERED, .media = "application/json text/plain"},
    {HTTP_PATCH, "/things/{id}", "patchThing", .fn = echo, OPEN, .body = HTTP_BODY_BUFFERED, .media = "application/json"},
    {HTTP_DELETE, "/things/{id}", "deleteThing", .fn = gone, OPEN},
    {HTTP_GET, "/things/special", "special", .fn = hello, OPEN},
    {HTTP_GET, "/things/{id}/parts/{other}", "getPart", .fn = echo, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/since", "since", .fn = hello, OPEN, .params = must_params},
    {HTTP_POST, "/things", "createThing", .fn = created, OPEN, .body = HTTP_BODY_BUFFERED, .media = "application/json"},
    {HTTP_POST, "/size", "size", .fn = size, OPEN, .body = HTTP_BODY_BUFFERED, .body_max = 200000},
    {HTTP_POST, "/size-inline", "sizeInline", .fn = size, .flags = HTTP_PUBLIC | HTTP_INLINE | HTTP_BODY_OPTIONAL, .body = HTTP_BODY_BUFFERED},
    {HTTP_POST, "/nobody", "nobody", .fn = hello, OPEN},
    {HTTP_POST, "/upload", "upload", .fn = upload, OPEN, .body = HTTP_BODY_STREAM, .params = number_params, .media = "text/csv application/x-ndjson"},
    {HTTP_GET, "/big", "big", .fn = big, OPEN, .params = number_params},
    {HTTP_GET, "/big-inline", "bigInline", .fn = big, .flags = HTTP_PUBLIC | HTTP_INLINE, .params = number_params},
    {HTTP_GET, "/slow", "slow", .fn = slow, OPEN, .params = number_params},
    {HTTP_GET, "/gate", "gate", .fn = gate, OPEN},
    {HTTP_GET, "/keep", "keep", .fn = keep, OPEN},
    {HTTP_GET, "/keep-inline", "keepInline", .fn = keep, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/later", "later", .fn = later, OPEN},
    {HTTP_POST, "/later-inline", "laterInline", .fn = later, .flags = HTTP_PUBLIC | HTTP_INLINE | HTTP_BODY_OPTIONAL, .body = HTTP_BODY_BUFFERED},
    {HTTP_GET, "/later-by", "laterBy", .fn = later_by, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/defer-and-fail", "deferAndFail", .fn = defer_and_fail, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/events", "events", .fn = events, .flags = HTTP_PUBLIC | HTTP_SLOW, .params = number_params},
    {HTTP_GET, "/export", "export", .fn = export, .flags = HTTP_PUBLIC | HTTP_SLOW, .params = number_params},
    {HTTP_GET, "/fail", "fail", .fn = fail, OPEN, .params = number_params},
    {HTTP_GET, "/nothing", "nothing", .fn = nothing, OPEN},
    {HTTP_GET, "/a", "needsA", .fn = echo, .scopes = SCOPE_A},
    {HTTP_GET, "/b", "needsB", .fn = echo, .scopes = SCOPE_B, .flags = HTTP_BASIC_AUTH},
    {HTTP_POST, "/a-body", "postA", .fn = size, .scopes = SCOPE_A, .body = HTTP_BODY_BUFFERED},
    {HTTP_GET, "/maybe", "maybe", .fn = echo, .scopes = SCOPE_A, .flags = HTTP_PUBLIC},
    {0}};

/* Keys "a", "b"; "cold-a" is known only to who may block. */
static enum meros_code auth(void *ctx, struct str key, bool may_block, bool *would_block, struct http_principal *out,
                            struct meros_err *err)
{
    (void)ctx;
    if (str_is(key, "cold-a")) {
        if (!may_block) {
            *would_block = true;
            return err_set(err, MEROS_UNAVAILABLE, "not in memory");
        }
        usleep(1000);
        *out = (struct http_principal){"key_cold", SCOPE_A};
        return MEROS_OK;
    }
    if (str_is(key, "cold-none") && !may_block) {
        *would_block = true;
        return err_set(err, MEROS_UNAVAILABLE, "not in memory");
    }
    if (str_is(key, "a")) *out = (struct http_principal){"key_a", SCOPE_A};
    else if (str_is(key, "b")) *out = (struct http_principal){"key_b", SCOPE_B};
    else return err_set(err, MEROS_UNAUTHENTICATED, "this key is not known");
    return MEROS_OK;
}

struct http_server *serve(void (*change)(struct http_config *c))
{
    struct meros_err err = MEROS_ERR_INIT;
    /* time-outs longer than a drain may take in serve_stop(): one that waits for them is found */
    struct http_config config = {.bind = "127.0.0.1", .routes = routes, .auth = auth, .io_threads = 4, .body_max = 1 << 20,
                                 .header_timeout_s = 100, .body_idle_timeout_s = 100, .request_timeout_s = 100, .idle_timeout_s = 100};
    struct http_server *s = NULL;
    cr_assert_eq(crypto_start(&err), MEROS_OK);
    if (change != NULL) change(&config);
    cr_assert_eq(http_start(&config, &s, &err), MEROS_OK, "%s", err.detail);
    return s;
}

void serve_stop(struct http_server *s)
{
    long at = now_milliseconds();
    http_drain(s, 2 * PATIENCE_MS);
    cr_assert_lt(now_milliseconds() - at, PATIENCE_MS, "the drain took %ld ms", now_milliseconds() - at);
    http_free(s);
}

/* --- a client without opinions */

int try_dial(int port)
{
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = PATIENCE_MS / 1000};
    if (fd < 0) return -1;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    if (connect(fd, (struct sockaddr *)&to, sizeof to) == 0) return fd;
    close(fd);
    return -1;
}

int dial(int port)
{
    int fd = try_dial(port);
    cr_assert_geq(fd, 0, "no connection: %s", strerror(errno));
    return fd;
}

void send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t sent = send(fd, p, n, MSG_NOSIGNAL);
        if (sent <= 0) return; /* the server may have had enough; what it answers is the test */
        p += sent;
        n -= (size_t)sent;
    }
}

void send_text(int fd, const char *s)
{
    send_all(fd, s, strlen(s));
}

static bool read_byte(int fd, char *c)
{
    return recv(fd, c, 1, 0) == 1;
}

static bool read_line(int fd, char *line, size_t cap)
{
    size_t n = 0;
    char c;
    while (read_byte(fd, &c)) {
        if (c == '\n') {
            line[n] = '\0';
            return true;
        }
        if (c != '\r' && n + 1 < cap) line[n++] = c;
    }
    return false;
}

static bool read_exact(int fd, struct answer *a, size_t n)
{
    a->body = realloc(a->body, a->n + n + 1);
    for (size_t got = 0; got < n;) {
        ssize_t r = recv(fd, a->body + a->n, n - got, 0);
        if (r <= 0) return false;
        got += (size_t)r;
        a->n += (size_t)r;
    }
    a->body[a->n] = '\0';
    return true;
}

static bool read_chunks(int fd, struct answer *a)
{
    char line[128];
    for (;;) {
        if (!read_line(fd, line, sizeof line)) return false;
        size_t n = strtoul(line, NULL, 16);
        if (n > 0 && !read_exact(fd, a, n)) return false;
        if (!read_line(fd, line, sizeof line)) return false;
        if (n == 0) return true;
    }
}

const char *answer_header(const struct answer *a, const char *name)
{
    static _Thread_local char value[1024]; /* loaders read answers in many threads */
    size_t n = strlen(name);
    for (const char *at = a->head; at != NULL; at = strchr(at, '\n')) {
        if (*at == '\n') at++;
        if (strncasecmp(at, name, n) != 0 || at[n] != ':') continue;
        at += n + 1;
        at += strspn(at, " ");
        snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\n"), at);
        return value;
    }
    return NULL;
}

bool read_answer(int fd, struct answer *a, bool head_only)
{
    char line[2048];
    memset(a, 0, sizeof *a);
    a->body = calloc(1, 1);
    if (!read_line(fd, line, sizeof line) || sscanf(line, "HTTP/1.%*d %d", &a->status) != 1) return false;
    size_t n = 0;
    while (read_line(fd, line, sizeof line) && line[0] != '\0')
        n += (size_t)snprintf(a->head + n, n < sizeof a->head ? sizeof a->head - n : 0, "%s\n", line);
    if (head_only || a->status == 204 || a->status == 304 || a->status == 100) return true;
    const char *length = answer_header(a, "Content-Length");
    if (length != NULL) return read_exact(fd, a, strtoul(length, NULL, 10));
    const char *coding = answer_header(a, "Transfer-Encoding");
    if (coding != NULL) return read_chunks(fd, a);
    return true;
}

void answer_done(struct answer *a)
{
    free(a->body);
    a->body = NULL;
}

bool at_end(int fd)
{
    char c;
    ssize_t n = recv(fd, &c, 1, 0);
    return n == 0 || (n < 0 && errno == ECONNRESET);
}

struct answer ask(int port, const char *request)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, request);
    read_answer(fd, &a, strncmp(request, "HEAD", 4) == 0);
    close(fd);
    return a;
}
