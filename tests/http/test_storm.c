/* Faults in the middle of a storm of events: what was acknowledged is there once, statistics are right, nothing hangs. */
#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <dirent.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <unistd.h>
#include "client.h"
#include "meros/store/ingest.h"
#include "pg.h"

enum { SENDERS = 4, CUSTOMERS = 12, EVENTS_MAX = 20000 };

static struct instance s;
static _Atomic int port;
static _Atomic bool over;

struct sender {
    pthread_t thread;
    int index, sent, unanswered, refused, wrong;
    double longest;
    _Atomic int acknowledged;
};

static int customer_of(int sender, int event)
{
    return (sender * 5 + event) % CUSTOMERS;
}

/* One event, or on every seventh number an array of this one and its two predecessors, as a client that retries would. */
static int send_event(const struct sender *x, int k)
{
    char body[600], request[1000], answer[2048] = "";
    int n = 0;
    const int from = k % 7 == 0 && k >= 2 ? k - 2 : k;
    for (int i = from; i <= k; i++)
        n += snprintf(body + n, sizeof body - (size_t)n, "%s{\"customer_id\":\"storm-%d\",\"type\":\"page_viewed\",\"event_id\":\"%d-%d\"}",
                      from == k ? "" : i == from ? "[" : ",", customer_of(x->index, i), x->index, i);
    if (from != k) n += snprintf(body + n, sizeof body - (size_t)n, "]");
    snprintf(request, sizeof request, "POST /v1/events HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s", s.key, n, body);
    return socket_exchange(port, request, strlen(request), answer, sizeof answer);
}

/* Sends each event until it is acknowledged, as SDKs do. */
static void *send_storm(void *arg)
{
    struct sender *x = arg;
    for (; !over && x->sent < EVENTS_MAX; x->sent++) {
        for (;;) {
            const double from = seconds_now();
            const int status = send_event(x, x->sent);
            const double took = seconds_now() - from;
            if (took > x->longest) x->longest = took;
            if (status == 200) break;
            if (status == 0) x->unanswered++;
            else if (status == 503 || status == 429 || status == 401) x->refused++; /* 401: not up yet */
            else x->wrong++;
            pause_ms(20);
        }
        x->acknowledged++;
    }
    return NULL;
}

static struct sender senders[SENDERS];

static void begin_storm(void)
{
    port = s.port;
    over = false;
    memset(senders, 0, sizeof senders);
    for (int i = 0; i < SENDERS; i++) {
        senders[i].index = i;
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_storm, &senders[i]), 0);
    }
}

static int acknowledged(void)
{
    int n = 0;
    for (int i = 0; i < SENDERS; i++) n += senders[i].acknowledged;
    return n;
}

/* Waits until more events have been acknowledged: the storm goes on. */
static void await_progress(int more)
{
    const int want = acknowledged() + more;
    for (double until = seconds_now() + 120; acknowledged() < want; pause_ms(10))
        cr_assert_lt(seconds_now(), until, "in two minutes not so many events were acknowledged");
}

static void end_storm(void)
{
    over = true;
    for (int i = 0; i < SENDERS; i++) pthread_join(senders[i].thread, NULL);
}

/* Each customer's events, as rows and as statistics, against what the senders know. */
static void expect_each_event_once(void)
{
    int want[CUSTOMERS] = {0};
    for (int i = 0; i < SENDERS; i++) {
        cr_expect_eq(senders[i].wrong, 0, "an answer that was neither 200 nor a refusal");
        cr_expect_lt(senders[i].longest, EXCHANGE_PATIENCE_S - 15, "a request hung");
        for (int k = 0; k < senders[i].sent; k++) want[customer_of(i, k)]++;
    }
    for (int c = 0; c < CUSTOMERS; c++) {
        struct reply *r = get(text("/v1/customers/storm-%d", c));
        expect(r, 200);
        cr_expect_eq(int_at(r, "/stats/events/page_viewed/count"), want[c], "customer %d has %lld, not %d", c,
                     (long long)int_at(r, "/stats/events/page_viewed/count"), want[c]);
        cr_expect_lt(fabs(num_at(r, "/stats/events/page_viewed/recent") - want[c]), 0.01 * want[c], "decayed activity");
        int rows = 0;
        const char *path = text("/v1/customers/storm-%d/events?limit=1000", c);
        for (struct reply *page = get(path);; page = get(text("%s&cursor=%s", path, text_at(page, "/next")))) {
            expect(page, 200);
            rows += (int)count_at(page, "/data");
            if (null_at(page, "/next")) break;
        }
        cr_expect_eq(rows, want[c], "customer %d has %d rows, not %d", c, rows, want[c]);
    }
}

/* A child of the postmaster that serves a connection. */
static pid_t a_backend(pid_t postmaster)
{
    DIR *d = opendir("/proc");
    pid_t found = 0;
    for (struct dirent *e; d != NULL && (e = readdir(d)) != NULL;) {
        char path[300], line[4096];
        int pid = atoi(e->d_name), parent = 0;
        snprintf(path, sizeof path, "/proc/%d/stat", pid);
        FILE *f = pid > 0 ? fopen(path, "re") : NULL;
        if (f == NULL) continue;
        const char *end = fgets(line, sizeof line, f) != NULL ? strrchr(line, ')') : NULL;
        fclose(f);
        if (end == NULL || sscanf(end + 1, " %*c %d", &parent) != 1 || parent != postmaster) continue;
        snprintf(path, sizeof path, "/proc/%d/cmdline", pid);
        f = fopen(path, "re");
        const size_t n = f != NULL ? fread(line, 1, sizeof line - 1, f) : 0;
        if (f != NULL) fclose(f);
        line[n] = '\0';
        if (strstr(line, "[local]") != NULL) found = pid;
    }
    if (d != NULL) closedir(d);
    return found;
}

Test(storm, every_acknowledged_event_is_there_once_whatever_is_killed, .timeout = 600)
{
    instance_start(&s, NULL);
    client_use(&s);
    begin_storm();
    await_progress(100);

    for (double until = seconds_now() + 60;; pause_ms(10)) { /* the server starts all of its processes anew */
        const pid_t backend = a_backend(instance_postmaster(&s));
        if (backend > 0 && kill(backend, SIGKILL) == 0) break;
        cr_assert_lt(seconds_now(), until, "no process of PostgreSQL serves a connection");
    }
    await_progress(100);

    pid_t postmaster = instance_postmaster(&s);
    cr_assert_gt(postmaster, 0);
    cr_assert_eq(kill(postmaster, SIGKILL), 0);
    await_progress(100);

    instance_kill(&s);
    instance_again(&s);
    port = s.port;
    await_progress(100);

    cr_assert_eq(instance_stop(&s), 0); /* in order, under load */
    instance_again(&s);
    port = s.port;
    await_progress(100);

    end_storm();
    expect_each_event_once();
    instance_done(&s);
}

Test(storm, slow_and_half_open_clients_do_not_hold_up_the_others, .timeout = 500)
{
    /* Whoever waited for the slow ones would wait longer than is allowed below. */
    instance_start(&s, (const char *const[]){"MEROS_HEADER_TIMEOUT=200s", "MEROS_BODY_IDLE_TIMEOUT=200s", NULL});
    client_use(&s);
    int slow[60];
    const char *half = "POST /v1/events HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 400\r\n";
    for (int i = 0; i < 60; i++) {
        struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        slow[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        cr_assert(slow[i] >= 0 && connect(slow[i], (struct sockaddr *)&to, sizeof to) == 0);
        char request[700];
        const int n = snprintf(request, sizeof request, "%sAuthorization: Bearer %s\r\n\r\n[{\"customer_id\":", half, s.key);
        const size_t part = i % 3 == 0 ? strlen(half) / 2 : (size_t)n; /* in the middle of the headers, of the body */
        cr_assert_eq(send(slow[i], request, part, MSG_NOSIGNAL), (ssize_t)part);
        if (i % 3 == 2) shutdown(slow[i], SHUT_WR); /* half open */
    }
    begin_storm();
    await_progress(400);
    end_storm();
    for (int i = 0; i < SENDERS; i++) {
        cr_expect_eq(senders[i].unanswered, 0);
        cr_expect_lt(senders[i].longest, 30);
    }
    /* and one who goes away before the answer takes nobody along */
    for (int i = 0; i < 60; i++) close(slow[i]);
    expect_each_event_once();
    instance_done(&s);
}

/* --- a disk of its own that is too small */

static char disk[64];

static void leave_disk(void)
{
    umount2(disk, MNT_DETACH);
    rmdir(disk);
}

Test(storm, a_full_disk_is_a_refusal_and_the_service_comes_back_when_there_is_room, .timeout = 600)
{
    snprintf(disk, sizeof disk, "/tmp/meros-disk-XXXXXX");
    cr_assert(mkdtemp(disk) != NULL);
    if (mount("tmpfs", disk, "tmpfs", 0, "size=160m,mode=755") != 0) {
        rmdir(disk);
        cr_skip_test("mounting a small disk needs root");
    }
    instance_start(&s, (const char *const[]){text("MEROS_DATA_DIR=%s/data", disk), NULL});
    client_use(&s);
    begin_storm();
    await_progress(50);
    /* The rest of the disk, but for a little, is taken by something else. */
    char path[100];
    snprintf(path, sizeof path, "%s/filler", disk);
    FILE *f = fopen(path, "we");
    static char block[1 << 16];
    cr_assert(f != NULL);
    setvbuf(f, NULL, _IONBF, 0);
    while (fwrite(block, 1, sizeof block, f) == sizeof block) {}
    fclose(f);
    /* Large events fill what is left of the log's segment; then nothing can be kept, and that is what clients hear. */
    char *large = malloc(80000);
    cr_assert(keep(large));
    bool refused = false;
    int landed = 0;
    for (int i = 0; i < 3000 && !refused; i++) {
        int n = sprintf(large, "{\"customer_id\":\"large\",\"type\":\"page_viewed\",\"event_id\":\"%d\",\"properties\":{\"a\":\"", i);
        for (int k = 0; k < 60000; k++) large[n++] = (char)('a' + (i * 7 + k * 31 + (int64_t)k * k / 7) % 26);
        strcpy(large + n, "\"}}");
        struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/events", .body = large});
        cr_assert(r->status == 200 || r->status == 503, "%s", r->body);
        if (r->status == 503) cr_assert(header_of(r, "Retry-After") != NULL);
        refused = r->status == 503;
        landed += !refused;
    }
    cr_assert(refused, "the disk did not fill");
    expect(get("/healthz"), 200);
    cr_assert_eq(unlink(path), 0);
    await_progress(50); /* by itself */
    end_storm();
    expect_each_event_once();
    struct reply *r = get("/v1/customers/large"); /* unless the disk was too full for the first of them */
    const int64_t there = r->status == 404 ? 0 : int_at(r, "/stats/events/page_viewed/count");
    cr_assert_geq(there, landed);
    cr_assert_leq(there, landed + 1, "the refused one may have landed");
    instance_done(&s);
    leave_disk();
}

/* --- a replica that stands still */

static int send_unread(int to_port, const char *key, const char *path, const char *body)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to_port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    const char *request = text("POST %s HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path, key, strlen(body), body);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert_geq(fd, 0);
    cr_assert_eq(connect(fd, (struct sockaddr *)&to, sizeof to), 0);
    cr_assert_eq(send(fd, request, strlen(request), MSG_NOSIGNAL), (ssize_t)strlen(request));
    return fd;
}

static void await_locks(struct pg *db, const char *granted)
{
    const char *sql = text("select count(*) from pg_locks where locktype = 'advisory' and mode = 'ShareLock' and objsubid = 1 and %s", granted);
    for (double until = seconds_now() + 60; pg_int(db, sql) == 0; pause_ms(20)) cr_assert_lt(seconds_now(), until, "nobody has %s", granted);
}

Test(storm, a_replica_that_stands_still_in_a_transaction_holds_the_others_up_for_some_seconds, .timeout = 500)
{
    struct pg *db = pg_fresh();
    struct meros_err err;
    struct instance b;
    struct reply *r;
    const char *const env[] = {text("MEROS_DATABASE_URL=%s", db->url), NULL};
    instance_start(&s, env);
    instance_start(&b, env);
    client_use(&b);
    expect(post("/v1/events", "[{\"customer_id\":\"one\",\"type\":\"searched\"},{\"customer_id\":\"two\",\"type\":\"searched\"}]"), 200);
    struct store_conn *import = pg_conn(db);
    cr_assert_eq(store_begin(import, &err), MEROS_OK);
    cr_assert_eq(store_ingest_lock(import, true, &err), MEROS_OK, "%s", err.detail);
    const int fd = send_unread(s.port, s.key, "/v1/identify", "{\"userId\":\"one\",\"traits\":{\"plan\":\"pro\"}}");
    await_locks(db, "not granted");
    instance_signal(&s, SIGSTOP);
    store_rollback(import);
    await_locks(db, "granted");
    const double from = seconds_now();
    do r = post("/v1/alias", "{\"userId\":\"one\",\"previousId\":\"two\"}"); /* needs the lock alone */
    while (r->status == 503 && seconds_now() < from + 45);
    expect(r, 200);
    cr_assert_eq(pg_int(db, "select count(*) from customers"), 1);
    instance_signal(&s, SIGCONT);
    close(fd);
    instance_done(&b);
    instance_done(&s);
    pg_done(db);
}
