/* Clients that post events as fast as they are answered: one thread, non-blocking sockets, keep-alive.
 *     build/events_load PORT KEY CLIENTS SECONDS EVENTS_A_POST CUSTOMERS PREFIX [RATE]
 * Every event has an id of its own, made of PREFIX and a number. With RATE, so many posts a second in all (an open loop: a
 * late answer does not slow the others down, and counts from when it should have been sent). Prints one line:
 *     posts events accepted refused p50_ms p99_ms max_ms seconds
 * refused: answers that are not 200. Exit status 1 when anything else went wrong. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { ANSWER = 4096, EVENT = 400, HEAD = 512 };

struct client {
    int fd;
    int busy;
    double since;
    char *request, *start; /* its memory, and where in it the request begins */
    size_t n, sent, got;
    char answer[ANSWER];
};

static const char *key, *prefix;
static int port, n_clients, a_post, customers, epoll_fd;
static double seconds, rate;
static struct client *clients;
static char head_text[HEAD - 32]; /* of every request, up to the length of its body */
static size_t n_head;
static uint64_t next_event;
static double *latencies;
static size_t n_latencies, cap_latencies;
static uint64_t posts, accepted, refused;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static void note(double latency)
{
    if (n_latencies == cap_latencies) {
        cap_latencies = cap_latencies == 0 ? 1 << 16 : cap_latencies * 2;
        latencies = realloc(latencies, cap_latencies * sizeof *latencies);
        if (latencies == NULL) die("realloc");
    }
    latencies[n_latencies++] = latency;
}

static void connect_client(struct client *c)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int one = 1;
    c->fd = socket(AF_INET, SOCK_STREAM, 0);
    if (c->fd < 0 || connect(c->fd, (struct sockaddr *)&at, sizeof at) != 0) die("connect");
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    fcntl(c->fd, F_SETFL, O_NONBLOCK);
    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, c->fd, &e) != 0) die("epoll_ctl");
    c->request = malloc(HEAD + 2 + (size_t)a_post * EVENT);
    if (c->request == NULL) die("malloc");
}

/* By hand, since the clients take their share of the same processors: printf costs more than the rest of a post. */
static char *put_text(char *to, const char *text)
{
    const size_t n = strlen(text);
    memcpy(to, text, n);
    return to + n;
}

static char *put_number(char *to, uint64_t v, int digits)
{
    char text[20];
    int n = 0;
    do text[n++] = (char)('0' + v % 10);
    while ((v /= 10) > 0 || n < digits);
    while (n > 0) *to++ = text[--n];
    return to;
}

static char *put_event(char *to)
{
    static const char *const types[] = {"product_viewed", "page_viewed", "product_added", "searched"};
    const uint64_t k = next_event++, h = k * UINT64_C(0x9E3779B97F4A7C15) >> 20;
    const uint64_t second = k % 86400, page = h / 7 % 1000;
    to = put_number(put_text(put_text(to, "{\"event_id\":\""), prefix), k, 1);
    to = put_number(put_text(to, "\",\"customer_id\":\"c"), h % (unsigned)customers, 1);
    to = put_text(put_text(to, "\",\"type\":\""), types[k % 4]);
    to = put_number(put_text(to, "\",\"occurred_at\":\"2026-01-15T"), second / 3600, 2);
    to = put_number(put_text(to, ":"), second / 60 % 60, 2);
    to = put_number(put_text(to, ":"), second % 60, 2);
    to = put_number(put_text(to, "Z\",\"product_id\":\"p"), page, 1);
    to = put_number(put_text(to, "\",\"value\":"), h % 90, 1);
    to = put_number(put_text(to, ".5,\"properties\":{\"page\":\"/p/"), page, 1);
    to = put_number(put_text(to, "\",\"referrer\":\"https://example.org/\",\"session\":"), h % 100000, 1);
    return put_text(to, "}}");
}

static void flush_client(struct client *c)
{
    while (c->sent < c->n) {
        ssize_t n = write(c->fd, c->start + c->sent, c->n - c->sent);
        if (n < 0 && errno == EAGAIN) {
            struct epoll_event e = {.events = EPOLLIN | EPOLLOUT, .data.ptr = c};
            epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
            return;
        }
        if (n <= 0) die("write");
        c->sent += (size_t)n;
    }
}

static void send_post(struct client *c, double since)
{
    char *body = c->request + HEAD, *at = body, *head = body;
    if (a_post > 1) *at++ = '[';
    for (int i = 0; i < a_post; i++) {
        if (i > 0) *at++ = ',';
        at = put_event(at);
    }
    if (a_post > 1) *at++ = ']';
    /* The head goes right before the body, its end, the length, being known last. */
    char length[24], *digits = put_number(length, (uint64_t)(at - body), 1);
    memcpy(head -= 4, "\r\n\r\n", 4);
    memcpy(head -= digits - length, length, (size_t)(digits - length));
    memcpy(head -= n_head, head_text, n_head);
    c->start = head;
    c->n = (size_t)(at - head);
    c->sent = c->got = 0;
    c->busy = 1;
    c->since = since;
    posts++;
    flush_client(c);
}

/* A whole answer: 1; not yet: 0. */
static int read_answer(struct client *c)
{
    ssize_t n = read(c->fd, c->answer + c->got, ANSWER - 1 - c->got);
    if (n < 0 && errno == EAGAIN) return 0;
    if (n <= 0) die("read");
    c->got += (size_t)n;
    c->answer[c->got] = '\0';
    const char *end = strstr(c->answer, "\r\n\r\n"), *length = strcasestr(c->answer, "content-length:");
    if (end == NULL || length == NULL || length > end) return 0;
    if ((size_t)(end + 4 - c->answer) + strtoul(length + 15, NULL, 10) > c->got) return 0;
    if (strncmp(c->answer + 9, "200", 3) == 0) {
        const char *a = strstr(end, "\"accepted\":");
        accepted += a != NULL ? strtoul(a + 11, NULL, 10) : 0;
    } else {
        refused++;
    }
    return 1;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static struct client *idle_client(void)
{
    static int at;
    for (int i = 0; i < n_clients; i++) {
        struct client *c = &clients[at++ % n_clients];
        if (!c->busy) return c;
    }
    return NULL;
}

int main(int argc, char **argv)
{
    if (argc < 8) return 2;
    port = atoi(argv[1]), key = argv[2], n_clients = atoi(argv[3]), seconds = atof(argv[4]), a_post = atoi(argv[5]);
    customers = atoi(argv[6]), prefix = argv[7], rate = argc > 8 ? atof(argv[8]) : 0;
    n_head = (size_t)snprintf(head_text, sizeof head_text, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n"
                              "Content-Type: application/json\r\nContent-Length: ", key);
    if (n_head >= sizeof head_text) return 2;
    epoll_fd = epoll_create1(0);
    clients = calloc((size_t)n_clients, sizeof *clients);
    if (clients == NULL) die("calloc");
    for (int i = 0; i < n_clients; i++) connect_client(&clients[i]);
    const double begin = now();
    double due = begin;
    int busy = 0;
    for (int i = 0; i < n_clients && rate == 0; i++, busy++) send_post(&clients[i], now());
    for (;;) {
        const double t = now();
        const int over = t - begin >= seconds;
        if (over && busy == 0) break;
        for (struct client *c; rate > 0 && !over && due <= t && (c = idle_client()) != NULL; due += 1 / rate, busy++) send_post(c, due);
        struct epoll_event events[64];
        int n = epoll_wait(epoll_fd, events, 64, rate > 0 ? 1 : 1000);
        for (int i = 0; i < n; i++) {
            struct client *c = events[i].data.ptr;
            if ((events[i].events & EPOLLOUT) && c->sent < c->n) {
                flush_client(c);
                if (c->sent == c->n) {
                    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(epoll_fd, EPOLL_CTL_MOD, c->fd, &e);
                }
            }
            if (!(events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR)) || !c->busy || !read_answer(c)) continue;
            const double at = now();
            note(at - c->since);
            c->busy = 0;
            busy--;
            if (rate == 0 && at - begin < seconds) {
                send_post(c, at);
                busy++;
            }
        }
    }
    const double took = now() - begin;
    qsort(latencies, n_latencies, sizeof *latencies, by_size);
    printf("%llu %llu %llu %llu %.2f %.2f %.2f %.3f\n", (unsigned long long)posts, (unsigned long long)next_event, (unsigned long long)accepted,
           (unsigned long long)refused, latencies[n_latencies / 2] * 1e3, latencies[(size_t)((double)n_latencies * 0.99)] * 1e3,
           latencies[n_latencies - 1] * 1e3, took);
    return 0;
}
