/* More than the service takes: it says so, with the time to come again, and whoever is within bounds notices nothing. */
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "client.h"
#include "pg.h"

static struct instance s;
static struct pg *db;

/* The value of a line of /metrics; -1 where there is none. */
static double metric_of(const char *name)
{
    const char *body = get("/metrics")->body, *line = text("\n%s ", name), *at = strstr(body, line);
    return at == NULL ? -1 : atof(at + strlen(line));
}

/* --- who follows changes of segments */

enum { CUSTOMERS = 1000, STREAMS_MAX = 256 };

/* Customers who have spent little and such who have spent much, told apart. */
static void open_shop(void)
{
    struct buf b;
    db = pg_fresh();
    instance_start(&s, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_LOG_LEVEL=info", "MEROS_BODY_IDLE_TIMEOUT=10m", NULL});
    client_use(&s);
    buf_init(&b, 16 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,amount\n");
    for (int i = 0; i < 2 * CUSTOMERS; i++) buf_printf(&b, "first-%d,%s-%d,2026-01-01,%d\n", i, i % 2 == 0 ? "walker" : "spender", i / 2, i % 2 == 0 ? 1 : 1000);
    expect(import_("orders", NULL, b.data), 200);
    buf_done(&b);
    run_job("{\"kind\":\"train.segments\",\"params\":{\"name\":\"money\",\"k\":2,\"seed\":1,\"features\":[\"monetary\"]}}");
}

static void close_shop(void)
{
    instance_done(&s);
    pg_done(db);
}

/* All walkers spend as the others do, or give it back: each leaves a segment and enters the other. */
static void move_everybody(int round)
{
    struct buf b;
    buf_init(&b, 16 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,amount\n");
    for (int i = 0; i < CUSTOMERS; i++) buf_printf(&b, "move-%d-%d,walker-%d,2026-01-02,%s\n", round, i, i, round % 2 == 0 ? "999" : "-999");
    expect(import_("orders", NULL, b.data), 200);
    buf_done(&b);
}

/* Asks for the stream; the head of the answer has come. -1 where it was none of 200. */
static int follow(void)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *request = text("GET /v1/stream/segments HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\n\r\n", s.key);
    struct timeval patience = {.tv_sec = 60};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 65536; /* with 4096 the kernel sends by a timer of 200 ms */
    char head_[13] = "";
    cr_assert_geq(fd, 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    if (recv(fd, head_, 12, MSG_WAITALL) == 12 && strcmp(head_, "HTTP/1.1 200") == 0) return fd;
    close(fd);
    return -1;
}

/* Reads all that comes, and looks whether the changes come in their order. */
struct reader {
    pthread_t thread;
    int fd;
    _Atomic bool stop;
    _Atomic int changes, wrong;
};

static void look_at_line(struct reader *r, const char *line, long long *last)
{
    long long id;
    if (sscanf(line, "id: %lld", &id) != 1) return;
    r->wrong += id <= *last;
    *last = id;
    r->changes++;
}

static void *read_on(void *arg)
{
    struct reader *r = arg;
    char line[4096], block[65536];
    size_t n = 0;
    long long last = 0;
    while (!r->stop) {
        struct pollfd p = {.fd = r->fd, .events = POLLIN};
        if (poll(&p, 1, 100) <= 0) continue;
        const ssize_t got = recv(r->fd, block, sizeof block, 0);
        if (got <= 0) break;
        for (ssize_t i = 0; i < got; i++) {
            if (block[i] != '\n' && n + 1 < sizeof line) {
                line[n++] = block[i];
                continue;
            }
            line[n] = '\0';
            n = 0;
            look_at_line(r, line, &last);
        }
    }
    return NULL;
}

/* News of somebody, as many as fill every buffer between the service and who does not read. */
static void make_news(int n)
{
    pg_run(db, text("insert into segment_changes (customer_no, segmentation_no, segment_id, entered, news, at, model_no) "
                    "select customer_no, segmentation_no, segment_id, entered, true, at, model_no from generate_series(1, %d), "
                    "(select * from segment_changes order by change_no limit 1) c; notify meros_segments", n));
}

static void await_changes(const struct reader *r, int n)
{
    for (double until = seconds_now() + 200; r->changes < n; pause_ms(20)) cr_assert_lt(seconds_now(), until, "%d changes came, of %d", r->changes, n);
}

Test(overload, a_stream_that_nobody_reads_waits_in_the_database_and_misses_nothing, .timeout = 500)
{
    enum { NEWS = 60000 }; /* some 15 MB */
    open_shop();
    struct reader slow = {.fd = follow()}, quick = {.fd = follow()};
    cr_assert(slow.fd >= 0 && quick.fd >= 0);
    for (double until = seconds_now() + 60; metric_of("meros_segment_streams") != 2; pause_ms(20)) cr_assert_lt(seconds_now(), until);
    cr_assert_eq(pthread_create(&quick.thread, NULL, read_on, &quick), 0);
    make_news(NEWS);
    await_changes(&quick, NEWS);
    move_everybody(0);
    await_changes(&quick, NEWS + 2 * CUSTOMERS);
    cr_assert_eq(pthread_create(&slow.thread, NULL, read_on, &slow), 0);
    await_changes(&slow, NEWS + 2 * CUSTOMERS);
    move_everybody(1);
    struct reader *const both[] = {&slow, &quick};
    for (int i = 0; i < 2; i++) {
        await_changes(both[i], NEWS + 4 * CUSTOMERS);
        both[i]->stop = true;
        pthread_join(both[i]->thread, NULL);
        close(both[i]->fd);
        cr_assert_eq(both[i]->changes, NEWS + 4 * CUSTOMERS);
        cr_assert_eq(both[i]->wrong, 0, "the changes come in their order, none twice");
    }
    close_shop();
}

Test(overload, one_stream_more_than_there_may_be_is_429_until_one_of_them_has_gone, .timeout = 400)
{
    static int fds[STREAMS_MAX];
    open_shop();
    for (int i = 0; i < STREAMS_MAX; i++) cr_assert_geq(fds[i] = follow(), 0, "stream %d", i + 1);
    struct reply *r = get("/v1/stream/segments");
    expect(r, 429);
    cr_assert_geq(atoi(header_of(r, "Retry-After")), 1);
    cr_assert_eq(strncmp(r->type, "application/problem+json", 24), 0);
    expect(get("/v1/segmentations/money"), 200); /* streams hold nobody up */
    close(fds[0]);
    fds[0] = -1;
    for (double until = seconds_now() + 100; fds[0] < 0; pause_ms(100)) {
        fds[0] = follow();
        cr_assert_lt(seconds_now(), until, "the place of who went away was not given to another");
    }
    for (int i = 0; i < STREAMS_MAX; i++) close(fds[i]);
    close_shop();
}

/* --- events while the database stands still */

enum { SENDERS = 6, EVENTS = 5 };

struct sender {
    pthread_t thread;
    int index, wrong;
};
static _Atomic int limited, unavailable; /* with a Retry-After */

static void *send_events(void *arg)
{
    struct sender *x = arg;
    for (int i = 0; i < EVENTS;) {
        char body[200], request[600], answer[4096] = "";
        const int n = snprintf(body, sizeof body, "{\"customer_id\":\"full\",\"type\":\"page_viewed\",\"event_id\":\"%d-%d\"}", x->index, i);
        snprintf(request, sizeof request, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\n"
                                          "Content-Length: %d\r\nConnection: close\r\n\r\n%s", s.key, n, body);
        const int status = socket_exchange(s.port, request, strlen(request), answer, sizeof answer);
        const char *again = strcasestr(answer, "\r\nRetry-After: ");
        const bool says_when = again != NULL && atoi(again + 15) >= 1;
        if (status == 200) i++;
        else if (status == 429 && says_when) limited++;
        else if (status == 503 && says_when) unavailable++;
        else x->wrong++;
        if (status != 200) pause_ms(10);
    }
    return NULL;
}

/* Holds the table of events until there is a row in `go`. */
static void *hold_events(void *arg)
{
    (void)arg;
    pg_run(db, "do $$ begin lock table events in access exclusive mode;"
               " while not exists (select from go) loop perform pg_sleep(0.05); end loop; end $$");
    return NULL;
}

Test(overload, a_full_queue_of_events_is_429_a_database_that_stands_still_503_and_each_event_lands_once, .timeout = 400)
{
    static struct sender senders[SENDERS];
    pthread_t holder;
    db = pg_fresh();
    instance_start(&s, (const char *const[]){text("MEROS_DATABASE_URL=%s", db->url), "MEROS_INGEST_QUEUE_ITEMS=1", NULL});
    client_use(&s);
    expect(post("/v1/events", "{\"customer_id\":\"full\",\"type\":\"page_viewed\",\"event_id\":\"first\"}"), 200);
    pg_run(db, "create table go (n int)");
    cr_assert_eq(pthread_create(&holder, NULL, hold_events, NULL), 0);
    for (double until = seconds_now() + 60; pg_int(db, "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and relation = 'events'::regclass and granted") == 0; pause_ms(20))
        cr_assert_lt(seconds_now(), until);
    for (int i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_events, &senders[i]), 0);
    }
    for (double until = seconds_now() + 100; limited == 0 || unavailable == 0; pause_ms(20))
        cr_assert_lt(seconds_now(), until, "%d answers were 429 and %d 503", limited, unavailable);
    expect(get("/healthz"), 200);
    pg_run(db, "insert into go values (1)");
    pthread_join(holder, NULL);
    for (int i = 0; i < SENDERS; i++) {
        pthread_join(senders[i].thread, NULL);
        cr_expect_eq(senders[i].wrong, 0, "answers that were none of 200, 429 and 503 with the time to come again");
    }
    struct reply *r = get("/v1/customers/full");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/stats/events/page_viewed/count"), 1 + SENDERS * EVENTS);
    cr_assert_eq(pg_int(db, "select count(*) from events"), 1 + SENDERS * EVENTS);
    close_shop();
}
