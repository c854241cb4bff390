#include "unit_receiver.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <stdint.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { REQUESTS_MAX = 100000, CONNECTIONS_MAX = 4096, REQUEST_MAX = 4 << 20 };

struct receiver {
    int fd, port;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /* under the lock */
    struct receiver_way way;
    struct received *got;
    size_t n;
    int connections;
    int open[CONNECTIONS_MAX];
    pthread_t threads[CONNECTIONS_MAX];
    bool stopping;
};
struct connection {
    struct receiver *r;
    int fd, index;
};

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static void give_up(const char *what)
{
    perror(what);
    abort();
}

/* Waits, unless the receiver is stopped meanwhile. False: it is. */
static bool rest(struct receiver *r, double seconds)
{
    double until = now() + seconds;
    bool stopping = false;
    while (!stopping && now() < until) {
        pthread_mutex_lock(&r->lock);
        stopping = r->stopping;
        pthread_mutex_unlock(&r->lock);
        if (!stopping) nanosleep(&(struct timespec){.tv_nsec = 5000000}, NULL);
    }
    return !stopping;
}

static bool send_all(int fd, const char *p, size_t n)
{
    while (n > 0) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static struct receiver_way note(struct receiver *r, char *head, const char *body, size_t n)
{
    struct received x = {.head = head, .body_n = n, .at = now()};
    char *copy = malloc(n + 1), *target = strchr(head, ' ');
    if (copy == NULL || target == NULL) give_up("receiver");
    memcpy(copy, body, n);
    copy[n] = '\0';
    x.body = copy;
    x.target = strndup(target + 1, strcspn(target + 1, " \r\n"));
    pthread_mutex_lock(&r->lock);
    if (r->n == REQUESTS_MAX) give_up("receiver: too many requests");
    r->got[r->n++] = x;
    struct receiver_way way = r->way;
    pthread_cond_broadcast(&r->changed);
    pthread_mutex_unlock(&r->lock);
    return way;
}

/* False: the connection is to be closed. */
static bool answer(struct receiver *r, int fd, struct receiver_way way)
{
    char text[1024];
    static const char zeros[65536];
    int status = way.status == 0 ? 204 : way.status;
    bool endless = way.mode == RECEIVER_DRIP || way.mode == RECEIVER_FLOOD;
    if (way.mode == RECEIVER_CLOSE) return false;
    if (way.mode == RECEIVER_BABBLE) {
        static const char greeting[] = "220 mail.example.com ESMTP\r\n";
        send_all(fd, greeting, sizeof greeting - 1);
        return false;
    }
    if (way.mode == RECEIVER_HANG) {
        while (rest(r, 60)) {}
        return false;
    }
    if (way.delay_ms > 0 && !rest(r, way.delay_ms * 1e-3)) return false;
    int n = snprintf(text, sizeof text, "HTTP/1.1 %d X\r\n%s%s\r\n", status, way.headers == NULL ? "" : way.headers,
                     status == 204 ? "" : endless ? "Content-Length: 1000000000000\r\n" : "Content-Length: 2\r\n");
    if (!send_all(fd, text, (size_t)n)) return false;
    if (!endless) return status == 204 || send_all(fd, "ok", 2);
    while (send_all(fd, zeros, way.mode == RECEIVER_DRIP ? 1 : sizeof zeros) && (way.mode == RECEIVER_FLOOD || rest(r, 0.05))) {}
    return false;
}

static void *serve(void *arg)
{
    struct connection *c = arg;
    char *buffer = malloc(REQUEST_MAX + 1);
    size_t have = 0;
    if (buffer == NULL) give_up("receiver");
    for (;;) {
        char *end = NULL;
        size_t body = 0, head_n;
        buffer[have] = '\0';
        while ((end = strstr(buffer, "\r\n\r\n")) == NULL) {
            ssize_t k = have < REQUEST_MAX ? recv(c->fd, buffer + have, REQUEST_MAX - have, 0) : 0;
            if (k <= 0) goto out;
            have += (size_t)k;
            buffer[have] = '\0';
        }
        head_n = (size_t)(end - buffer) + 4;
        char *head = strndup(buffer, head_n);
        char *length = received_header(&(struct received){.head = head}, "Content-Length");
        if (length != NULL) body = strtoul(length, NULL, 10);
        free(length);
        while (have < head_n + body) {
            ssize_t k = have < REQUEST_MAX ? recv(c->fd, buffer + have, REQUEST_MAX - have, 0) : 0;
            if (k <= 0) {
                free(head);
                goto out;
            }
            have += (size_t)k;
        }
        struct receiver_way way = note(c->r, head, buffer + head_n, body);
        memmove(buffer, buffer + head_n + body, have - head_n - body);
        have -= head_n + body;
        if (!answer(c->r, c->fd, way)) break;
    }
out:
    pthread_mutex_lock(&c->r->lock);
    close(c->fd);
    c->r->open[c->index] = -1;
    pthread_mutex_unlock(&c->r->lock);
    free(buffer);
    free(c);
    return NULL;
}

static void *take(void *arg)
{
    struct receiver *r = arg;
    int fd;
    while ((fd = accept4(r->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct connection *c = calloc(1, sizeof *c);
        if (c == NULL) give_up("receiver");
        pthread_mutex_lock(&r->lock);
        if (r->connections == CONNECTIONS_MAX) give_up("receiver: too many connections");
        *c = (struct connection){r, fd, r->connections++};
        r->open[c->index] = fd;
        if (pthread_create(&r->threads[c->index], NULL, serve, c) != 0) give_up("receiver");
        pthread_mutex_unlock(&r->lock);
    }
    return NULL;
}

struct receiver *receiver_start(void)
{
    struct receiver *r = calloc(1, sizeof *r);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    if (r == NULL || (r->got = calloc(REQUESTS_MAX, sizeof *r->got)) == NULL) give_up("receiver");
    pthread_mutex_init(&r->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&r->changed, &monotonic);
    pthread_condattr_destroy(&monotonic);
    r->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (r->fd < 0 || bind(r->fd, (struct sockaddr *)&a, sizeof a) != 0 || listen(r->fd, 512) != 0 ||
        getsockname(r->fd, (struct sockaddr *)&a, &n) != 0)
        give_up("receiver");
    r->port = ntohs(a.sin_port);
    if (pthread_create(&r->thread, NULL, take, r) != 0) give_up("receiver");
    return r;
}

int receiver_port(const struct receiver *r)
{
    return r->port;
}

void receiver_behaves(struct receiver *r, struct receiver_way way)
{
    pthread_mutex_lock(&r->lock);
    r->way = way;
    pthread_mutex_unlock(&r->lock);
}

size_t receiver_count(struct receiver *r)
{
    pthread_mutex_lock(&r->lock);
    size_t n = r->n;
    pthread_mutex_unlock(&r->lock);
    return n;
}

bool receiver_await(struct receiver *r, size_t n, double seconds)
{
    double until = now() + seconds;
    struct timespec t = {.tv_sec = (time_t)until, .tv_nsec = (long)((until - (double)(time_t)until) * 1e9)};
    pthread_mutex_lock(&r->lock);
    while (r->n < n && pthread_cond_timedwait(&r->changed, &r->lock, &t) == 0) {}
    bool there = r->n >= n;
    pthread_mutex_unlock(&r->lock);
    return there;
}

struct received receiver_get(struct receiver *r, size_t i)
{
    pthread_mutex_lock(&r->lock);
    if (i >= r->n) give_up("receiver: no such request");
    struct received x = r->got[i];
    pthread_mutex_unlock(&r->lock);
    return x;
}

char *received_header(const struct received *x, const char *name)
{
    size_t n = strlen(name);
    for (const char *line = strstr(x->head, "\r\n"); line != NULL && line[2] != '\0'; line = strstr(line + 2, "\r\n")) {
        const char *p = line + 2;
        if (strncasecmp(p, name, n) != 0 || p[n] != ':') continue;
        p += n + 1;
        p += strspn(p, " ");
        return strndup(p, strcspn(p, "\r"));
    }
    return NULL;
}

int receiver_connections(struct receiver *r)
{
    pthread_mutex_lock(&r->lock);
    int n = r->connections;
    pthread_mutex_unlock(&r->lock);
    return n;
}

void receiver_stop(struct receiver *r)
{
    if (r == NULL) return;
    pthread_mutex_lock(&r->lock);
    r->stopping = true;
    pthread_mutex_unlock(&r->lock);
    shutdown(r->fd, SHUT_RDWR);
    pthread_join(r->thread, NULL);
    close(r->fd);
    pthread_mutex_lock(&r->lock);
    for (int i = 0; i < r->connections; i++)
        if (r->open[i] >= 0) shutdown(r->open[i], SHUT_RDWR);
    pthread_mutex_unlock(&r->lock);
    for (int i = 0; i < r->connections; i++) pthread_join(r->threads[i], NULL);
    for (size_t i = 0; i < r->n; i++) {
        free((void *)(uintptr_t)r->got[i].head);
        free((void *)(uintptr_t)r->got[i].body);
        free((void *)(uintptr_t)r->got[i].target);
    }
    free(r->got);
    pthread_cond_destroy(&r->changed);
    pthread_mutex_destroy(&r->lock);
    free(r);
}
