/* Starting, reloading and stopping. */
#include <arpa/inet.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include "client.h"

Test(lifecycle, without_its_database_it_lives_says_so_and_comes_up_when_it_comes, .timeout = 500)
{
    /* An address where nothing listens, then something that is no PostgreSQL: the service goes on waiting. */
    struct instance s;
    instance_start_unready(&s, (const char *const[]){"MEROS_DATABASE_URL=postgresql://meros@127.0.0.1:1/meros", NULL});
    client_use(&s);
    expect(get("/healthz"), 200);
    expect(get("/readyz"), 503);
    struct reply *r = get("/v1/jobs");
    expect(r, 503);
    cr_assert_not_null(header_of(r, "Retry-After"));
    cr_assert(instance_logged(&s, "event=database.awaited"));
    struct stat st;
    cr_assert_eq(stat(text("%s/secret.key", s.data), &st), 0, "no secret key was made");
    cr_assert_eq(st.st_mode & 0777, 0600, "the secret key is open to others: %o", st.st_mode & 0777);
    double begin = seconds_now();
    cr_assert_eq(instance_stop(&s), 0);
    cr_assert_lt(seconds_now() - begin, 30.0);
}

Test(lifecycle, a_taken_port_is_said_and_the_exit_code_is_1)
{
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    char command[600], said[4096] = "";
    const char *binary = getenv("MEROS_TEST_BINARY");
    cr_assert(bind(listener, (struct sockaddr *)&a, sizeof a) == 0 && listen(listener, 1) == 0);
    cr_assert_eq(getsockname(listener, (struct sockaddr *)&a, &n), 0);
    snprintf(command, sizeof command, "%s serve --port %d --data-dir %s/never 2>&1", binary != NULL ? binary : "build/asan/meros",
             ntohs(a.sin_port), instance_shared()->folder);
    FILE *p = popen(command, "r");
    cr_assert_not_null(p);
    size_t got = fread(said, 1, sizeof said - 1, p);
    said[got] = '\0';
    cr_assert_eq(pclose(p) >> 8, 1);
    cr_assert_not_null(strstr(said, "is taken by another program"), "%s", said);
    close(listener);
}

Test(lifecycle, a_second_service_on_the_same_folder_is_refused)
{
    const struct instance *s = instance_shared();
    char command[600], said[4096] = "";
    const char *binary = getenv("MEROS_TEST_BINARY");
    snprintf(command, sizeof command, "%s serve --port 0 --data-dir %s 2>&1", binary != NULL ? binary : "build/asan/meros", s->data);
    FILE *p = popen(command, "r");
    cr_assert_not_null(p);
    size_t got = fread(said, 1, sizeof said - 1, p);
    said[got] = '\0';
    cr_assert_eq(pclose(p) >> 8, 1);
    cr_assert_not_null(strstr(said, "already serves"), "%s", said);
}

Test(lifecycle, hangup_takes_over_what_reloads_and_names_what_needs_a_restart, .timeout = 500)
{
    struct instance s;
    char path[] = "/tmp/meros-test-reload-XXXXXX";
    int fd = mkstemp(path);
    cr_assert(fd >= 0 && dprintf(fd, "metrics_public = false\npool_size = 8\n") > 0);
    instance_start(&s, (const char *const[]){text("MEROS_CONFIG=%s", path), NULL});
    client_use(&s);
    const struct call metrics = {.method = "GET", .path = "/metrics", .key = ""};
    expect(call(&metrics), 401);
    cr_assert(lseek(fd, 0, SEEK_SET) == 0 && ftruncate(fd, 0) == 0 && dprintf(fd, "metrics_public = true\npool_size = 9\n") > 0);
    instance_signal(&s, SIGHUP);
    instance_await_log(&s, "event=reload.needs_restart setting=pool_size", 60);
    cr_assert(instance_logged(&s, "event=reload.applied setting=metrics_public"));
    expect(call(&metrics), 200);

    cr_assert(lseek(fd, 0, SEEK_SET) == 0 && ftruncate(fd, 0) == 0 && dprintf(fd, "metrics_public = perhaps\n") > 0);
    instance_signal(&s, SIGHUP);
    instance_await_log(&s, "event=reload.refused", 60);
    expect(call(&metrics), 200); /* what was in effect still is */
    close(fd);
    unlink(path);
    instance_done(&s);
}

Test(lifecycle, killed_outright_it_comes_back_with_its_keys_and_its_data, .timeout = 500)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    expect(import_("customers", "", "customer_id,country\nlife-1,DE\n"), 200);
    instance_kill(&s);
    instance_again(&s);
    client_use(&s);
    struct reply *r = import_("customers", "", "customer_id,country\nlife-1,DE\n");
    expect(r, 200);
    cr_assert_eq(int_at(r, "/duplicates"), 1);
    instance_done(&s);
}

Test(lifecycle, the_end_of_its_postgresql_is_mended_and_meanwhile_answered_503, .timeout = 500)
{
    struct instance s;
    instance_start(&s, NULL);
    client_use(&s);
    pid_t postmaster = instance_postmaster(&s);
    cr_assert(postmaster > 1 && kill(postmaster, SIGKILL) == 0);
    double until = seconds_now() + 60;
    int status = 0;
    while (seconds_now() < until && status != 200) {
        status = get("/v1/keys")->status;
        cr_assert(status == 200 || status == 503, "%d", status);
        expect(get("/healthz"), 200);
        if (status != 200) pause_ms(50);
    }
    /* It may have been asked before it noticed; a request after the restart shows that it is mended. */
    instance_await_log(&s, "event=cluster.died", 60);
    until = seconds_now() + 90;
    do {
        status = get("/v1/keys")->status;
        if (status != 200) pause_ms(50);
    } while (status != 200 && seconds_now() < until);
    cr_assert_eq(status, 200);
    instance_done(&s);
}

/* Waits until so many requests are under way, beside the one that asks. */
static void await_in_flight(int n)
{
    for (double until = seconds_now() + 60;; pause_ms(10)) {
        const char *at = strstr(get("/metrics")->body, "\nmeros_http_in_flight_requests ");
        if (at != NULL && atoi(strchr(at + 1, ' ')) > n) return;
        cr_assert_lt(seconds_now(), until);
    }
}

Test(lifecycle, terminated_in_the_middle_of_a_request_it_answers_that_and_leaves, .timeout = 500)
{
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_DRAIN_TIMEOUT=100s", NULL});
    client_use(&s);
    /* A streamed import whose sender takes a second: in flight when the signal comes. */
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    const char *body = "customer_id,country\nlast-1,FR\n";
    cr_assert_gt(dprintf(fd, "POST /v1/imports/customers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\n"
                             "Content-Length: %zu\r\n\r\n%.20s", s.key, strlen(body), body), 0);
    await_in_flight(1);
    instance_signal(&s, SIGTERM);
    instance_await_log(&s, "event=draining", 60);
    pause_ms(200);
    cr_assert_gt(dprintf(fd, "%s", body + 20), 0);
    char answer[4096] = "";
    size_t n = 0;
    for (ssize_t got; n < sizeof answer - 1 && (got = read(fd, answer + n, sizeof answer - 1 - n)) > 0;) n += (size_t)got;
    close(fd);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 200", 12), 0, "%s", answer);
    cr_assert_not_null(strstr(answer, "\"inserted\":1"), "%s", answer);
    cr_assert_eq(instance_wait(&s, 60), 0);
}

Test(lifecycle, a_second_signal_ends_at_once, .timeout = 500)
{
    struct instance s;
    instance_start(&s, (const char *const[]){"MEROS_DRAIN_TIMEOUT=200s", NULL});
    client_use(&s);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)s.port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    cr_assert_eq(connect(fd, (struct sockaddr *)&a, sizeof a), 0);
    cr_assert_gt(dprintf(fd, "POST /v1/imports/customers HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\n"
                             "Content-Length: 100\r\n\r\ncustomer_id\n", s.key), 0);
    await_in_flight(1);
    instance_signal(&s, SIGTERM);
    instance_await_log(&s, "event=draining", 60);
    siginfo_t ended = {0};
    for (double until = seconds_now() + 60; ended.si_pid == 0 && seconds_now() < until;) { /* those of the first moment are one with the first */
        pause_ms(700);
        instance_signal(&s, SIGTERM);
        waitid(P_PID, (id_t)s.pid, &ended, WEXITED | WNOHANG | WNOWAIT);
    }
    cr_assert_eq(ended.si_pid, s.pid, "the drain would take 200 s");
    cr_assert_eq(instance_wait(&s, 60), 128 + SIGTERM);
    close(fd);
}
