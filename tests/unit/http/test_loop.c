/* How libmicrohttpd's threads wait: connections that are suspended again and again, and answers given from outside, by one thread and by
 * several, to threads that sleep and to threads that do not. A wake that gets lost, or an event, ends in a time-out of the client. */
#include "serve.h"

#include <criterion/criterion.h>
#include <pthread.h>
#include <sched.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#define H "Host: x\r\n"

static struct http_server *s;
static int port;

static void up(void)
{
    s = serve(NULL);
    port = http_port(s);
}

static void down(void)
{
    serve_stop(s);
}

TestSuite(loop, .init = up, .fini = down, .timeout = 240);

static void wait_kept(int wanted)
{
    for (long until = now_milliseconds() + PATIENCE_MS; __atomic_load_n(&serve_count, __ATOMIC_ACQUIRE) < wanted && now_milliseconds() < until;)
        usleep(200);
    cr_assert_eq(serve_count, wanted);
}

static void complete(struct http_request *req)
{
    http_reply_static(req, 200, "text/plain", STR("kept"));
    http_complete(req, MEROS_OK, NULL);
}

static void expect(int fd, const char *body)
{
    struct answer a;
    cr_assert(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, body);
    answer_done(&a);
}

Test(loop, what_comes_while_a_request_waits_is_answered_after_it)
{
    const int fd = dial(port);
    for (int round = 0; round < 30; round++) {
        serve_count = 0;
        send_text(fd, round % 2 == 0 ? "GET /keep HTTP/1.1\r\n" H "\r\n" : "GET /keep-inline HTTP/1.1\r\n" H "\r\n");
        wait_kept(1);
        if (round % 3 == 0) send_text(fd, "GET /hello HTTP/1.1\r\n" H "\r\n");
        if (round % 3 == 1) send_text(fd, "GET /hel"); /* and the rest when nothing is suspended any more */
        usleep(2000);
        complete(serve_kept[0]);
        expect(fd, "kept");
        if (round % 3 == 1) send_text(fd, "lo HTTP/1.1\r\n" H "\r\n");
        if (round % 3 != 2) expect(fd, "{\"hello\":\"world\"}");
    }
    close(fd);
}

Test(loop, a_client_that_hangs_up_while_its_request_waits_is_noticed_after_it)
{
    const int fd = dial(port);
    send_text(fd, "GET /keep HTTP/1.1\r\n" H "\r\n");
    wait_kept(1);
    shutdown(fd, SHUT_WR);
    usleep(20000);
    complete(serve_kept[0]);
    expect(fd, "kept");
    cr_expect(at_end(fd));
    close(fd);
}

/* A descriptor is given to the next connection when one was closed: what was noted of the old one does not count for it. */
Test(loop, connections_come_and_go_with_the_same_descriptors)
{
    for (int round = 0; round < 60; round++) {
        const int fd = dial(port);
        serve_count = 0;
        send_text(fd, "GET /hello HTTP/1.1\r\n" H "\r\n");
        expect(fd, "{\"hello\":\"world\"}");
        send_text(fd, "GET /keep-inline HTTP/1.1\r\n" H "\r\n");
        wait_kept(1);
        if (round % 2 == 0) shutdown(fd, SHUT_RDWR); /* away when it closes */
        complete(serve_kept[0]);
        if (round % 2 != 0) expect(fd, "kept");
        close(fd);
    }
}

enum { CLIENTS = 48, THREADS = 3, ROUNDS = 150 };

static void *complete_share(void *arg)
{
    for (int i = (int)(uintptr_t)arg; i < CLIENTS; i += THREADS) complete(serve_kept[i]);
    return NULL;
}

Test(loop, no_answer_is_lost_when_many_are_given_at_once)
{
    int fds[CLIENTS];
    pthread_t threads[THREADS];
    for (int i = 0; i < CLIENTS; i++) fds[i] = dial(port);
    for (int round = 0; round < ROUNDS; round++) {
        serve_count = 0;
        for (int i = 0; i < CLIENTS; i++) send_text(fds[i], "GET /keep-inline HTTP/1.1\r\n" H "\r\n");
        wait_kept(CLIENTS);
        for (int k = 0; k < THREADS; k++) cr_assert_eq(pthread_create(&threads[k], NULL, complete_share, (void *)(uintptr_t)k), 0);
        for (int i = 0; i < CLIENTS; i++) expect(fds[i], "kept");
        for (int k = 0; k < THREADS; k++) pthread_join(threads[k], NULL);
    }
    for (int i = 0; i < CLIENTS; i++) close(fds[i]);
}

/* One after the other, each when the one before was answered: the threads go to sleep and are called all the time. */
Test(loop, no_answer_is_lost_when_they_are_given_one_by_one)
{
    int fds[4];
    for (int i = 0; i < 4; i++) fds[i] = dial(port);
    for (int round = 0; round < 2000; round++) {
        serve_count = 0;
        send_text(fds[round % 4], "GET /keep-inline HTTP/1.1\r\n" H "\r\n");
        while (__atomic_load_n(&serve_count, __ATOMIC_ACQUIRE) == 0) sched_yield(); /* at once: while its thread is about to sleep */
        complete(serve_kept[0]);
        expect(fds[round % 4], "kept");
    }
    for (int i = 0; i < 4; i++) close(fds[i]);
}

/* MHD_quiesce_daemon and a thread of its pool may both take the listening socket out of that thread's set. */
Test(loop, what_is_taken_out_of_a_set_twice_is_no_error)
{
    int set = epoll_create1(EPOLL_CLOEXEC), ends[2];
    struct epoll_event event = {.events = EPOLLIN};
    cr_assert(set >= 0 && pipe(ends) == 0);
    cr_expect_eq(epoll_ctl(set, EPOLL_CTL_ADD, ends[0], &event), 0);
    cr_expect_eq(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), 0);
    cr_expect_eq(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), 0);
    cr_expect_eq(epoll_ctl(set, EPOLL_CTL_MOD, ends[0], &event), -1);
    close(ends[0]);
    cr_expect_eq(epoll_ctl(set, EPOLL_CTL_DEL, ends[0], NULL), -1, "what is no descriptor stays an error");
    close(ends[1]);
    close(set);
}
