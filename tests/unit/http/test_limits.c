/* Streams out, time-outs, the drain, and what libmicrohttpd by itself would get wrong under load. */
#include "serve.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/buf.h"
#include "meros/base/counters.h"

#define H "Host: x\r\n"

static struct http_server *s;
static int port;

static void short_patience(struct http_config *c)
{
    c->header_timeout_s = 1;
    c->body_idle_timeout_s = 1;
    c->request_timeout_s = 2;
    c->idle_timeout_s = 3;
}

static void up(void)
{
    s = serve(short_patience);
    port = http_port(s);
}

static void up_patient(void)
{
    s = serve(NULL);
    port = http_port(s);
}

static void down(void)
{
    serve_stop(s);
}

/* Far above short_patience: what is over before these was not ended by them. */
static void long_patience(struct http_config *c)
{
    c->header_timeout_s = c->body_idle_timeout_s = c->request_timeout_s = c->idle_timeout_s = 120;
}

TestSuite(timeouts, .init = up, .fini = down, .timeout = 120);
TestSuite(streams, .init = up_patient, .fini = down, .timeout = 120);
TestSuite(drain, .timeout = 120);
TestSuite(load, .timeout = 120);

/* Sends `head`, then one byte of `drip` each 100 ms for ever; how long until the server cut it, in ms; PATIENCE_MS or
 * more if it never did. */
static long trickle(const char *head, char drip)
{
    int fd = dial(port);
    long began = now_milliseconds();
    send_text(fd, head);
    for (;;) {
        char c;
        long gone = now_milliseconds() - began;
        if (gone >= PATIENCE_MS || send(fd, &drip, 1, MSG_NOSIGNAL) != 1 || recv(fd, &c, 1, MSG_DONTWAIT) == 0) {
            close(fd);
            return gone;
        }
        usleep(100000);
    }
}

Test(timeouts, a_request_line_that_trickles_is_cut)
{
    long took = trickle("GET /", 'x');
    cr_expect(took > 800 && took < PATIENCE_MS, "%ld ms", took);
}

Test(timeouts, headers_that_trickle_are_cut)
{
    long took = trickle("GET /hello HTTP/1.1\r\n" H "X: ", 'x');
    cr_expect(took > 800 && took < PATIENCE_MS, "%ld ms", took);
}

Test(timeouts, a_body_that_trickles_is_cut)
{
    long took = trickle("POST /size HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n", 'x');
    cr_expect(took > 800 && took < PATIENCE_MS, "%ld ms", took);
    took = trickle("POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\n", 'x');
    cr_expect(took > 800 && took < PATIENCE_MS, "a stream: %ld ms", took);
}

Test(timeouts, a_second_request_that_trickles_on_a_kept_connection_is_cut)
{
    struct answer a;
    char c;
    int fd = dial(port);
    send_text(fd, "GET /hello HTTP/1.1\r\n" H "\r\n");
    cr_assert(read_answer(fd, &a, false));
    answer_done(&a);
    usleep(300000);
    long began = now_milliseconds();
    while (now_milliseconds() - began < PATIENCE_MS && send(fd, "G", 1, MSG_NOSIGNAL) == 1 && recv(fd, &c, 1, MSG_DONTWAIT) != 0) usleep(100000);
    cr_expect_lt(now_milliseconds() - began, PATIENCE_MS);
    close(fd);
}

/* How long until no request is in flight any more, in ms; at_most if it takes longer. */
static long until_quiet(long at_most)
{
    long began = now_milliseconds();
    bool quiet = false;
    while (!quiet && now_milliseconds() - began < at_most) {
        struct buf b;
        buf_init(&b, 1 << 20);
        metric_render(&b);
        quiet = strstr(b.data, "meros_http_in_flight_requests 0\n") != NULL;
        buf_done(&b);
        usleep(20000);
    }
    return now_milliseconds() - began;
}

Test(timeouts, a_client_that_does_not_read_its_answer_is_cut)
{
    int fd = dial(port), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    send_text(fd, "GET /big?n=50000000 HTTP/1.1\r\n" H "\r\n");
    cr_assert(wait_readable(fd));
    long took = until_quiet(PATIENCE_MS);
    cr_expect_lt(took, PATIENCE_MS);
    close(fd);
}

Test(timeouts, a_client_that_sips_its_answer_is_cut)
{
    int fd = dial(port), small = 4096;
    char p[32];
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    send_text(fd, "GET /big?n=50000000 HTTP/1.1\r\n" H "\r\n");
    long began = now_milliseconds();
    cr_assert(wait_readable(fd));
    while (now_milliseconds() - began < PATIENCE_MS && recv(fd, p, sizeof p, 0) > 0 && until_quiet(50) >= 50) {}
    long took = now_milliseconds() - began;
    cr_expect(took > 800 && took < PATIENCE_MS, "%ld ms", took);
    close(fd);
}

Test(timeouts, an_export_that_nobody_takes_frees_its_thread)
{
    int fd = dial(port), small = 4096;
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
    send_text(fd, "GET /export?n=1000000000 HTTP/1.1\r\n" H "\r\n");
    cr_assert(wait_readable(fd));
    long took = until_quiet(PATIENCE_MS);
    cr_expect_lt(took, PATIENCE_MS);
    close(fd);
}

Test(hangups, clients_that_hang_up_with_their_last_bytes_are_noticed, .timeout = 120)
{
    s = serve(long_patience);
    port = http_port(s);
    static const char *const left[] = {"GET /hel", "GET /hello HTTP/1.1\r\nHost", "POST /size HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\nabc",
                                       "POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nContent-Length: 1000\r\n\r\nabc"};
    for (int i = 0; i < 80; i++) {
        int fd = dial(port);
        send_text(fd, left[i % 4]);
        close(fd);
    }
    int half = dial(port); /* a whole request, then no more: it is answered; by then those before it were seen */
    struct answer a;
    send_text(half, "GET /slow?ms=1000 HTTP/1.1\r\n" H "\r\n");
    shutdown(half, SHUT_WR);
    cr_expect(read_answer(half, &a, false));
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    close(half);
    cr_expect_lt(until_quiet(PATIENCE_MS), PATIENCE_MS);
    serve_stop(s);
}

Test(timeouts, idle_connections_are_closed_and_busy_ones_are_not)
{
    int idle = dial(port), busy = dial(port);
    struct answer a;
    long began = now_milliseconds();
    send_text(busy, "GET /gate HTTP/1.1\r\n" H "\r\n");
    wait_for(&serve_entered, 1);
    cr_expect(at_end(idle));
    long took = now_milliseconds() - began;
    cr_expect(took > 2500 && took < PATIENCE_MS, "%ld ms", took);
    usleep(3500000); /* longer than idle connections have */
    serve_gate_open = true;
    cr_expect(read_answer(busy, &a, false));
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    close(idle);
    close(busy);
}

/* --- streams */

Test(streams, events_come_chunk_by_chunk_and_end)
{
    struct answer a = ask(port, "GET /events?n=3 HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n");
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(answer_header(&a, "Content-Type"), "text/event-stream");
    cr_expect_null(answer_header(&a, "Content-Encoding"));
    cr_expect_str_eq(a.body, "data: 0\n\ndata: 1\n\ndata: 2\n\n");
    answer_done(&a);
}

Test(streams, an_endless_stream_is_seen_while_it_runs)
{
    int fd = dial(port);
    char text[2000] = "";
    size_t n = 0;
    send_text(fd, "GET /events?n=0 HTTP/1.1\r\n" H "\r\n");
    while (strstr(text, "data: 3") == NULL && n < sizeof text - 1) {
        ssize_t got = recv(fd, text + n, sizeof text - 1 - n, 0);
        cr_assert_gt(got, 0);
        n += (size_t)got;
        text[n] = '\0';
    }
    close(fd);
}

Test(streams, an_export_arrives_whole_on_a_connection_that_goes_on)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "GET /export?n=10000000 HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    cr_assert(read_answer(fd, &a, false));
    cr_expect_eq(a.n, 10000000);
    answer_done(&a);
    cr_assert(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    close(fd);
    a = ask(port, "GET /export?n=100000 HTTP/1.0\r\n\r\n");
    cr_expect_eq(a.status, 200);
    answer_done(&a);
}

Test(streams, an_aborted_export_does_not_end_like_a_whole_one)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "GET /export?n=100000&flag=true HTTP/1.1\r\n" H "\r\n");
    cr_expect_not(read_answer(fd, &a, false), "the last chunk was sent");
    answer_done(&a);
    close(fd);
}

Test(streams, readers_that_leave_free_their_threads)
{
    for (int i = 0; i < 100; i++) {
        int fd = dial(port);
        send_text(fd, i % 2 == 0 ? "GET /events?n=0 HTTP/1.1\r\n" H "\r\n" : "GET /export?n=100000000 HTTP/1.1\r\n" H "\r\n");
        if (i % 3 == 0) usleep(1000);
        close(fd);
    }
    struct answer a = {0};
    for (long until = now_milliseconds() + PATIENCE_MS; a.status != 200 && now_milliseconds() < until;) {
        answer_done(&a);
        a = ask(port, "GET /events?n=1 HTTP/1.1\r\n" H "\r\n");
        if (a.status != 200) usleep(100000);
    }
    cr_expect_eq(a.status, 200);
    answer_done(&a);
}

Test(streams, two_hundred_clients_leave_while_their_requests_are_deferred)
{
    int fds[200];
    for (int i = 0; i < 200; i++) {
        fds[i] = dial(port);
        send_text(fds[i], i % 2 == 0 ? "GET /keep HTTP/1.1\r\n" H "\r\n" : "GET /keep-inline HTTP/1.1\r\n" H "\r\n");
    }
    for (long until = now_milliseconds() + PATIENCE_MS; __atomic_load_n(&serve_count, __ATOMIC_ACQUIRE) < 200 && now_milliseconds() < until;)
        usleep(5000);
    cr_assert_eq(serve_count, 200);
    for (int i = 0; i < 200; i++) close(fds[i]);
    usleep(50000);
    for (int i = 0; i < 200; i++) {
        http_reply_static(serve_kept[i], 200, "text/plain", STR("too late"));
        http_complete(serve_kept[i], MEROS_OK, NULL);
    }
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    answer_done(&a);
}

static void tiny_queue(struct http_config *c)
{
    c->io_threads = c->http_threads = 1;
    c->queue_max = 2;
}

static int readable(const int *fds, int n)
{
    int count = 0;
    char c;
    for (int i = 0; i < n; i++) count += recv(fds[i], &c, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
    return count;
}

Test(load, past_the_queue_requests_are_refused_and_the_quick_ones_go_on)
{
    s = serve(tiny_queue);
    port = http_port(s);
    int fds[20], refused = 0, served = 0;
    for (int i = 0; i < 20; i++) {
        fds[i] = dial(port);
        send_text(fds[i], "GET /gate HTTP/1.1\r\n" H "\r\n");
        if (i == 0) wait_for(&serve_entered, 1);
    }
    for (long until = now_milliseconds() + PATIENCE_MS; readable(fds, 20) < 17 && now_milliseconds() < until;) usleep(2000);
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    serve_gate_open = true;
    for (int i = 0; i < 20; i++) {
        cr_assert(read_answer(fds[i], &a, false));
        if (a.status == 503) {
            refused++;
            cr_expect_str_eq(answer_header(&a, "Retry-After"), "1");
        } else if (a.status == 200) {
            served++;
        }
        answer_done(&a);
        close(fds[i]);
    }
    cr_expect(refused == 17 && served == 3, "%d refused, %d served", refused, served); /* one ran, two waited */
    serve_stop(s);
}

/* --- the drain */

static _Atomic int cut_short;

/* Asks until the server is gone; runs in a process of its own, so it asserts nothing. */
static void *loader(void *arg)
{
    const char *request = arg;
    for (int fd; (fd = try_dial(port)) >= 0; close(fd))
        for (int i = 0; i < 50; i++) {
            struct answer a;
            send_text(fd, request);
            bool whole = read_answer(fd, &a, false);
            if (!whole && a.status != 0) cut_short++;
            answer_done(&a);
            if (!whole) break;
        }
    return NULL;
}

static _Atomic int left_at_end = -1; /* how many of the gate's requests were through when the drain was */

static void *drain(void *arg)
{
    http_drain(s, PATIENCE_MS);
    left_at_end = serve_left;
    return arg;
}

Test(drain, finishes_what_is_in_flight_and_closes_the_rest)
{
    s = serve(NULL);
    port = http_port(s);
    int slow[4], idle[8];
    struct answer a;
    for (int i = 0; i < 8; i++) {
        idle[i] = dial(port);
        if (i % 2 == 0) {
            send_text(idle[i], "GET /hello HTTP/1.1\r\n" H "\r\n");
            cr_assert(read_answer(idle[i], &a, false));
            answer_done(&a);
        }
    }
    for (int i = 0; i < 4; i++) {
        slow[i] = dial(port);
        send_text(slow[i], "GET /gate HTTP/1.1\r\n" H "\r\n");
    }
    int events = dial(port);
    send_text(events, "GET /events?n=0 HTTP/1.1\r\n" H "\r\n");
    wait_for(&serve_entered, 4);
    cr_assert(wait_readable(events));
    pthread_t drainer;
    cr_assert_eq(pthread_create(&drainer, NULL, drain, NULL), 0);
    usleep(200000);
    cr_expect_eq(left_at_end, -1, "the drain did not wait");
    long at = now_milliseconds();
    serve_gate_open = true;
    pthread_join(drainer, NULL);
    long took = now_milliseconds() - at;
    cr_expect_eq(left_at_end, 4);
    cr_expect_lt(took, PATIENCE_MS / 2, "%ld ms", took);
    for (int i = 0; i < 4; i++) {
        cr_expect(read_answer(slow[i], &a, false));
        cr_expect_eq(a.status, 200);
        answer_done(&a);
        close(slow[i]);
    }
    cr_expect(read_answer(events, &a, false), "the events did not end properly");
    answer_done(&a);
    close(events);
    for (int i = 0; i < 8; i++) {
        cr_expect(at_end(idle[i]));
        close(idle[i]);
    }
    http_free(s);
}

Test(drain, cuts_what_outlives_the_deadline)
{
    s = serve(NULL);
    port = http_port(s);
    int export = dial(port), upload = dial(port), slow = dial(port);
    send_text(export, "GET /export?n=1000000000 HTTP/1.1\r\n" H "\r\n");
    send_text(upload, "POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nContent-Length: 100000\r\n\r\nabc");
    send_text(slow, "GET /slow?ms=600 HTTP/1.1\r\n" H "\r\n");
    cr_assert(wait_readable(export));
    wait_for(&serve_uploads, 1);
    long at = now_milliseconds();
    http_drain(s, 200);
    long took = now_milliseconds() - at;
    cr_expect(took >= 190 && took < 5000, "%ld ms", took); /* with a handler that does not end it gives up after 5,200 */
    http_free(s);
    close(export);
    close(upload);
    close(slow);
}

/* Forked while there are no threads: a sanitizer's locks would otherwise be copied in whatever state they are. */
static pid_t start_clients(int *out_port_pipe)
{
    static char requests[3][60] = {"GET /hello HTTP/1.1\r\n" H "\r\n", "GET /slow?ms=5 HTTP/1.1\r\n" H "\r\n", "GET /later HTTP/1.1\r\n" H "\r\n"};
    int fds[2];
    cr_assert_eq(pipe(fds), 0);
    pid_t child = fork();
    if (child != 0) {
        close(fds[0]);
        *out_port_pipe = fds[1];
        return child;
    }
    pthread_t t[24];
    alarm(100);
    if (read(fds[0], &port, sizeof port) != sizeof port) _exit(2);
    for (size_t i = 0; i < 24; i++) pthread_create(&t[i], NULL, loader, requests[i % 3]);
    for (size_t i = 0; i < 24; i++) pthread_join(t[i], NULL);
    _exit(cut_short > 0 ? 3 : 0);
}

Test(drain, under_load_with_suspended_connections)
{
    for (int round = 0; round < 5; round++) {
        int port_pipe = -1, status = 0;
        pid_t child = start_clients(&port_pipe);
        s = serve(NULL);
        port = http_port(s);
        cr_assert_eq(write(port_pipe, &port, sizeof port), (ssize_t)sizeof port);
        close(port_pipe);
        usleep(100000);
        long at = now_milliseconds();
        http_drain(s, PATIENCE_MS);
        cr_expect_lt(now_milliseconds() - at, PATIENCE_MS / 2, "%ld ms", now_milliseconds() - at);
        http_free(s);
        waitpid(child, &status, 0);
        cr_expect(WIFEXITED(status) && WEXITSTATUS(status) == 0, "answers were cut short, or clients hung: %d", status);
    }
}

Test(drain, forty_starts_and_stops_under_churn)
{
    for (int i = 0; i < 40; i++) {
        s = serve(NULL);
        port = http_port(s);
        int fds[8];
        for (int k = 0; k < 8; k++) {
            fds[k] = dial(port);
            send_text(fds[k], k % 2 == 0 ? "GET /slow?ms=3 HTTP/1.1\r\n" H "\r\n" : "GET /later HTTP/1.1\r\n" H "\r\n");
        }
        serve_stop(s);
        for (int k = 0; k < 8; k++) close(fds[k]);
    }
}

/* --- what libmicrohttpd 0.9.75 gets wrong by itself */

static void one_thread(struct http_config *c)
{
    c->http_threads = 1;
}

/* A server in a child process, so that it can be stopped with SIGSTOP or starved of descriptors. */
static pid_t serve_in_child(void (*change)(struct http_config *c), int nofile)
{
    int pipe_fds[2];
    cr_assert_eq(pipe(pipe_fds), 0);
    pid_t child = fork();
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (nofile > 0) {
            struct rlimit limit = {(rlim_t)nofile, (rlim_t)nofile};
            setrlimit(RLIMIT_NOFILE, &limit);
        }
        s = serve(change);
        port = http_port(s);
        if (write(pipe_fds[1], &port, sizeof port) != sizeof port) _exit(1);
        for (;;) pause();
    }
    cr_assert_eq(read(pipe_fds[0], &port, sizeof port), (ssize_t)sizeof port);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
    return child;
}

static void end_child(pid_t child)
{
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
}

Test(load, n_connections_that_become_ready_at_once_are_all_answered)
{
    static const int counts[] = {127, 128, 129, 256};
    pid_t child = serve_in_child(one_thread, 0);
    int fds[256];
    struct answer a;
    for (int i = 0; i < 256; i++) {
        fds[i] = dial(port);
        send_text(fds[i], "GET /hello HTTP/1.1\r\n" H "\r\n");
        cr_assert(read_answer(fds[i], &a, false));
        answer_done(&a);
    }
    for (size_t k = 0; k < sizeof counts / sizeof counts[0]; k++) {
        int got = 0;
        usleep(20000);
        kill(child, SIGSTOP);
        for (int i = 0; i < counts[k]; i++) send_text(fds[i], "GET /hello HTTP/1.1\r\n" H "\r\n");
        usleep(20000);
        kill(child, SIGCONT);
        for (int i = 0; i < counts[k]; i++) {
            bool ok = read_answer(fds[i], &a, false);
            got += ok;
            answer_done(&a);
            if (!ok) break; /* the others would take as long each */
        }
        cr_assert_eq(got, counts[k], "%d of %d", got, counts[k]);
    }
    for (int i = 0; i < 256; i++) close(fds[i]);
    end_child(child);
}

static double cpu_seconds(pid_t pid)
{
    char path[64], text[1024] = "";
    unsigned long user = 0, system = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *f = fopen(path, "r");
    cr_assert_not_null(f);
    if (fgets(text, sizeof text, f) == NULL) text[0] = '\0';
    fclose(f);
    const char *at = strrchr(text, ')');
    cr_assert(at != NULL && sscanf(at + 2, "%*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu", &user, &system) == 2);
    return (double)(user + system) / (double)sysconf(_SC_CLK_TCK);
}

Test(load, without_descriptors_it_neither_spins_nor_floods_the_log)
{
    char log[] = "/tmp/meros-http-test-XXXXXX";
    int log_fd = mkstemp(log), keep_err = dup(STDERR_FILENO), fds[150];
    dup2(log_fd, STDERR_FILENO);
    pid_t child = serve_in_child(NULL, 80);
    dup2(keep_err, STDERR_FILENO);
    close(keep_err);
    for (int i = 0; i < 150; i++) fds[i] = dial(port);
    double before = cpu_seconds(child);
    sleep(2);
    double used = cpu_seconds(child) - before;
    cr_expect_lt(used, 1, "%.2f s of CPU in 2 s", used);
    off_t written = lseek(log_fd, 0, SEEK_END);
    cr_expect_lt(written, 5000, "%ld bytes of log", (long)written);
    for (int i = 0; i < 150; i++) close(fds[i]);
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    end_child(child);
    close(log_fd);
    unlink(log);
}

static void greedy(struct http_config *c)
{
    c->max_connections = 1000000; /* cannot be had: the limit of descriptors decides */
}

Test(load, descriptors_taken_by_others_do_not_make_it_spin)
{
    /* All descriptors but those of the connections allowed are taken; then even those fail to open. */
    pid_t child = serve_in_child(greedy, 0);
    struct rlimit limit = {12, 12};
    cr_assert_eq(prlimit(child, RLIMIT_NOFILE, &limit, NULL), 0);
    int fds[40];
    for (int i = 0; i < 40; i++) fds[i] = dial(port);
    double before = cpu_seconds(child);
    sleep(1);
    double used = cpu_seconds(child) - before;
    cr_expect_lt(used, 0.5, "%.2f s of CPU in 1 s", used);
    for (int i = 0; i < 40; i++) close(fds[i]);
    end_child(child);
}

Test(load, a_port_in_use_and_nonsense_addresses_are_told_plainly)
{
    static const struct http_route none[] = {{0}};
    struct meros_err err = MEROS_ERR_INIT;
    struct http_server *other = NULL;
    s = serve(NULL);
    struct http_config config = {.bind = "127.0.0.1", .port = http_port(s), .routes = none};
    cr_expect_eq(http_start(&config, &other, &err), MEROS_CONFLICT);
    cr_expect_not_null(strstr(err.detail, "in use"), "%s", err.detail);
    config.bind = "shop.example";
    cr_expect_eq(http_start(&config, &other, &err), MEROS_INVALID);
    config.bind = "::1";
    config.port = 0;
    if (access("/proc/net/if_inet6", R_OK) == 0) {
        cr_expect_eq(http_start(&config, &other, &err), MEROS_OK, "%s", err.detail);
        http_drain(other, 100);
        http_free(other);
    }
    serve_stop(s);
}
