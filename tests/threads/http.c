/* The HTTP server under ThreadSanitizer: every way a request can take, from several clients at once, many of whom leave
 * early, while the CORS setting changes and at last the server drains under them. A plain program: criterion cannot run
 * under this sanitizer. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/counters.h"
#include "meros/base/crypto.h"
#include "meros/http/server.h"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #cond);                                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

static int port;
static _Atomic int stop, draining, answers; /* draining: a connection nobody has read yet may be reset */

static enum meros_code hello(struct http_request *req, struct meros_err *err)
{
    (void)err;
    http_reply_static(req, 200, "text/plain", STR("hello"));
    return MEROS_OK;
}

static enum meros_code big(struct http_request *req, struct meros_err *err)
{
    char *p = calloc(1, 20000);
    CHECK(p != NULL);
    (void)err;
    http_reply_bytes(req, 200, "text/plain", (struct str){p, 20000});
    free(p);
    return MEROS_OK;
}

/* One thread completes what others deferred. */
static pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t queue_wake = PTHREAD_COND_INITIALIZER;
static struct http_request *queue[1024];
static size_t queued;

static enum meros_code later(struct http_request *req, struct meros_err *err)
{
    http_defer(req);
    pthread_mutex_lock(&queue_lock);
    bool room = queued < 1024;
    if (room) queue[queued++] = req;
    pthread_cond_signal(&queue_wake);
    pthread_mutex_unlock(&queue_lock);
    return room ? MEROS_OK : err_set(err, MEROS_UNAVAILABLE, "full");
}

static enum meros_code make_late(struct http_request *req, void *arg, struct meros_err *err)
{
    (void)err;
    http_reply_static(req, 200, "text/plain", str_of(arg));
    return MEROS_OK;
}

static void *completer(void *arg)
{
    static char late[] = "late";
    unsigned turn = 0;
    (void)arg;
    pthread_mutex_lock(&queue_lock);
    while (!stop || queued > 0) {
        if (queued == 0) {
            struct timespec until;
            clock_gettime(CLOCK_REALTIME, &until);
            until.tv_sec++;
            pthread_cond_timedwait(&queue_wake, &queue_lock, &until);
            continue;
        }
        struct http_request *req = queue[--queued];
        pthread_mutex_unlock(&queue_lock);
        if (turn++ % 2 == 0) {
            http_complete_by(req, make_late, late);
        } else {
            http_reply_static(req, 200, "text/plain", STR("late"));
            http_complete(req, MEROS_OK, NULL);
        }
        pthread_mutex_lock(&queue_lock);
    }
    pthread_mutex_unlock(&queue_lock);
    return NULL;
}

static enum meros_code upload(struct http_request *req, struct meros_err *err)
{
    char chunk[4096];
    size_t n;
    enum meros_code rc;
    while ((rc = http_body_read(req, chunk, sizeof chunk, &n, err)) == MEROS_OK && n > 0) {}
    if (rc != MEROS_OK) return rc;
    return hello(req, err);
}

static enum meros_code events(struct http_request *req, struct meros_err *err)
{
    struct http_stream *st = http_reply_stream(req, "text/event-stream");
    if (st == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory");
    for (int i = 0; i < 50 && http_stream_send(st, "data: x\n\n", 9, i % 2 == 0); i++) {}
    http_stream_end(st);
    return MEROS_OK;
}

static enum meros_code auth(void *ctx, struct str key, bool may_block, bool *would_block, struct http_principal *out,
                            struct meros_err *err)
{
    (void)ctx, (void)key, (void)err;
    *would_block = !may_block;
    if (may_block) *out = (struct http_principal){"key", 1};
    return may_block ? MEROS_OK : MEROS_UNAVAILABLE;
}

static const struct http_route routes[] = {
    {HTTP_GET, "/inline/{id}", "inline", .fn = hello, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/io", "io", .fn = hello, .scopes = 1},
    {HTTP_GET, "/big", "big", .fn = big, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_GET, "/later", "later", .fn = later, .flags = HTTP_PUBLIC | HTTP_INLINE},
    {HTTP_POST, "/later", "laterIo", .fn = later, .flags = HTTP_PUBLIC, .body = HTTP_BODY_BUFFERED},
    {HTTP_POST, "/upload", "upload", .fn = upload, .flags = HTTP_PUBLIC, .body = HTTP_BODY_STREAM},
    {HTTP_GET, "/events", "events", .fn = events, .flags = HTTP_PUBLIC | HTTP_SLOW},
    {0}};

static const char *const requests[] = {
    "GET /inline/a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /io HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer k\r\nConnection: close\r\n\r\n",
    "GET /big HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nOrigin: https://a.example\r\nConnection: close\r\n\r\n",
    "GET /later HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "POST /later HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nConnection: close\r\n\r\nabc",
    "POST /upload HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n5\r\nabcde\r\n0\r\n\r\n",
    "POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\nabc", /* the client leaves */
    "GET /events HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "GET /nowhere HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"};
enum { N_REQUESTS = sizeof requests / sizeof requests[0], LEAVES = 6 };

static void *client(void *arg)
{
    size_t i = (size_t)(uintptr_t)arg;
    char p[4096];
    while (!stop) {
        int fd = socket(AF_INET, SOCK_STREAM, 0);
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        struct timeval patience = {.tv_sec = 60};
        setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        if (fd < 0 || connect(fd, (struct sockaddr *)&to, sizeof to) != 0) {
            close(fd);
            return NULL;
        }
        size_t which = i++ % N_REQUESTS;
        ssize_t n = send(fd, requests[which], strlen(requests[which]), MSG_NOSIGNAL);
        bool leave = which == LEAVES || i % 7 == 0;
        while (!leave && (n = recv(fd, p, sizeof p, 0)) > 0) {}
        CHECK(leave || n == 0 || draining);
        answers += !leave;
        close(fd);
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct http_config config = {.bind = "127.0.0.1", .routes = routes, .auth = auth, .io_threads = 3, .cors_origins = "https://a.example"};
    struct http_server *s = NULL;
    pthread_t clients[6], complete;
    CHECK(crypto_start(&err) == MEROS_OK);
    for (int round = 0; round < 3; round++) {
        stop = draining = 0;
        CHECK(http_start(&config, &s, &err) == MEROS_OK);
        port = http_port(s);
        CHECK(pthread_create(&complete, NULL, completer, NULL) == 0);
        for (size_t i = 0; i < 6; i++) CHECK(pthread_create(&clients[i], NULL, client, (void *)(uintptr_t)(i * 3)) == 0);
        for (int i = 0; i < 15; i++) {
            struct buf b;
            usleep(50000);
            CHECK(http_set_cors(s, i % 2 == 0 ? "*" : "https://a.example https://b.example", &err) == MEROS_OK);
            buf_init(&b, 1 << 20);
            metric_render(&b);
            buf_done(&b);
        }
        for (int i = 0; i < 6000 && answers < 50 * (round + 1); i++) usleep(5000); /* on a busy machine */
        draining = 1;
        stop = round > 0; /* the first drain is under load */
        http_drain(s, 60000);
        http_free(s);
        stop = 1;
        for (size_t i = 0; i < 6; i++) pthread_join(clients[i], NULL);
        pthread_join(complete, NULL);
    }
    printf("%d answers\n", answers);
    CHECK(answers > 100);
    return 0;
}
