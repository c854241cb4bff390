#include "meros/connect/http_out.h"

#include <arpa/inet.h>
#include <criterion/criterion.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include "meros/base/clock.h"
#include "unit_receiver.h"

/* The results of requests, in the order in which they came. */
struct results {
    pthread_mutex_t lock;
    size_t n;
    struct http_out_result r[200];
    char error[200][100];
};
#define RESULTS {.lock = PTHREAD_MUTEX_INITIALIZER}

static void note(void *arg, const struct http_out_result *r)
{
    struct results *x = arg;
    pthread_mutex_lock(&x->lock);
    if (r->error != NULL) snprintf(x->error[x->n], sizeof x->error[0], "%s", r->error);
    x->r[x->n++] = *r;
    pthread_mutex_unlock(&x->lock);
}

static size_t count(struct results *x)
{
    pthread_mutex_lock(&x->lock);
    size_t n = x->n;
    pthread_mutex_unlock(&x->lock);
    return n;
}

static void await(struct results *x, size_t n)
{
    for (int i = 0; i < 3000 && count(x) < n; i++) nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    cr_assert_geq(count(x), n);
}

static struct http_out *out_with(struct http_out_config c)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct http_out *o = NULL;
    cr_assert_eq(http_out_start(&c, &o, &err), MEROS_OK, "%s", err.detail);
    return o;
}

static void submit(struct http_out *o, struct results *x, const char *url)
{
    struct meros_err err = MEROS_ERR_INIT;
    const struct http_out_header headers[] = {{"Content-Type", "application/json"}, {"webhook-id", "msg_1"}};
    cr_assert_eq(http_out_submit(o,
                                 &(struct http_out_request){.url = url,
                                                            .headers = headers,
                                                            .n_headers = 2,
                                                            .body = STR("{\"a\":1}"),
                                                            .done = note,
                                                            .arg = x},
                                 &err),
                 MEROS_OK, "%s", err.detail);
}

static const char *url_of(struct receiver *r, const char *path, char out[128])
{
    snprintf(out, 128, "http://127.0.0.1:%d%s", receiver_port(r), path);
    return out;
}

static void end(struct http_out *o, struct receiver *r)
{
    http_out_stop(o, 0);
    http_out_free(o);
    receiver_stop(r);
}

Test(http_out, posts_what_it_is_given_and_tells_the_status)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct results x = RESULTS;
    char url[128];
    submit(o, &x, url_of(r, "/hook?x=1", url));
    await(&x, 1);
    cr_assert_eq(x.r[0].outcome, HTTP_OUT_ANSWERED, "%s", x.error[0]);
    cr_assert_eq(x.r[0].status, 204);
    struct received got = receiver_get(r, 0);
    cr_assert_str_eq(got.target, "/hook?x=1");
    cr_assert_str_eq(got.body, "{\"a\":1}");
    cr_assert_eq(strncmp(got.head, "POST ", 5), 0);
    char *type = received_header(&got, "content-type"), *id = received_header(&got, "webhook-id"), *expects = received_header(&got, "expect");
    cr_assert_str_eq(type, "application/json");
    cr_assert_str_eq(id, "msg_1");
    cr_assert_null(expects);
    free(type);
    free(id);
    end(o, r);
}

Test(http_out, tells_statuses_and_when_to_come_again)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct results x = RESULTS;
    char url[128];
    receiver_behaves(r, (struct receiver_way){.status = 503, .headers = "Retry-After: 17\r\n"});
    submit(o, &x, url_of(r, "/", url));
    await(&x, 1);
    cr_assert_eq(x.r[0].status, 503);
    cr_assert_eq(x.r[0].retry_after, 17);
    end(o, r);
}

Test(http_out, does_not_follow_redirects)
{
    struct receiver *r = receiver_start(), *other = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct results x = RESULTS;
    char url[128];
    static char location[128];
    snprintf(location, sizeof location, "Location: http://127.0.0.1:%d/\r\n", receiver_port(other));
    receiver_behaves(r, (struct receiver_way){.status = 307, .headers = location});
    submit(o, &x, url_of(r, "/", url));
    await(&x, 1);
    cr_assert_eq(x.r[0].status, 307);
    cr_assert_eq(receiver_count(other), 0);
    receiver_stop(other);
    end(o, r);
}

Test(http_out, refuses_private_addresses_when_the_socket_is_opened)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){0});
    struct results x = RESULTS;
    char url[128];
    submit(o, &x, url_of(r, "/", url));
    snprintf(url, sizeof url, "http://localhost:%d/", receiver_port(r)); /* a name that resolves to one */
    submit(o, &x, url);
    await(&x, 2);
    for (int i = 0; i < 2; i++) {
        cr_assert_eq(x.r[i].outcome, HTTP_OUT_REFUSED, "%s", x.error[i]);
        cr_assert_eq(x.r[i].status, 0);
    }
    cr_assert_eq(receiver_connections(r), 0);
    end(o, r);
}

Test(http_out, a_receiver_that_hangs_is_given_up_and_delays_no_other)
{
    struct receiver *slow = receiver_start(), *quick = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true, .timeout_ms = 120000});
    struct results hung = RESULTS, fine = RESULTS;
    char url[128];
    receiver_behaves(slow, (struct receiver_way){.mode = RECEIVER_HANG});
    for (int i = 0; i < 20; i++) submit(o, &hung, url_of(slow, "/", url));
    cr_assert(receiver_await(slow, 20, 30));
    for (int i = 0; i < 100; i++) submit(o, &fine, url_of(quick, "/", url));
    await(&fine, 100);
    cr_assert_eq(count(&hung), 0, "all of the quick ones are done before any of the slow ones");
    http_out_stop(o, 0);
    http_out_free(o);

    struct results given_up = RESULTS;
    o = out_with((struct http_out_config){.allow_private = true, .timeout_ms = 1000});
    for (int i = 0; i < 20; i++) submit(o, &given_up, url_of(slow, "/", url));
    await(&given_up, 20);
    for (int i = 0; i < 20; i++) cr_assert_eq(given_up.r[i].outcome, HTTP_OUT_FAILED);
    cr_assert_str_eq(given_up.error[0], "no answer came in time");
    receiver_stop(slow);
    end(o, quick);
}

Test(http_out, an_answer_counts_by_its_status_whatever_becomes_of_its_body)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true, .timeout_ms = 6000}); /* in which the status must have come */
    struct results x = RESULTS;
    char url[128];
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_DRIP, .status = 200});
    submit(o, &x, url_of(r, "/", url));
    await(&x, 1);
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_FLOOD, .status = 201});
    submit(o, &x, url_of(r, "/", url));
    await(&x, 2);
    cr_assert_eq(x.r[0].status, 200);
    cr_assert_eq(x.r[1].status, 201);
    end(o, r);
}

/* A port that is taken, so that nobody else gets it, and at which nobody listens. Its socket, to be closed. */
static int port_of_nobody(char url[128])
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t n = sizeof a;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    cr_assert(fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof a) == 0 && getsockname(fd, (struct sockaddr *)&a, &n) == 0);
    snprintf(url, 128, "http://127.0.0.1:%d/", ntohs(a.sin_port));
    return fd;
}

Test(http_out, tells_in_words_why_there_is_no_answer)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct results x = RESULTS;
    char url[128];
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_CLOSE});
    submit(o, &x, url_of(r, "/", url));
    await(&x, 1);
    cr_assert_str_eq(x.error[0], "the receiver closed the connection without an answer");
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_BABBLE});
    submit(o, &x, url);
    await(&x, 2);
    cr_assert_str_eq(x.error[1], "the receiver did not answer in HTTP");
    receiver_stop(r);
    int nobody = port_of_nobody(url);
    submit(o, &x, url);
    await(&x, 3);
    cr_assert_str_eq(x.error[2], "no connection could be made");
    submit(o, &x, "ftp://127.0.0.1/");
    await(&x, 4);
    cr_assert_str_eq(x.error[3], "the URL is not one of http or https");
    http_out_stop(o, 0);
    http_out_free(o);
    close(nobody);
}

Test(http_out, takes_no_more_than_may_be_in_flight)
{
    struct receiver *r = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true, .in_flight_max = 2});
    struct results x = RESULTS;
    struct meros_err err = MEROS_ERR_INIT;
    char url[128];
    receiver_behaves(r, (struct receiver_way){.mode = RECEIVER_HANG});
    submit(o, &x, url_of(r, "/", url));
    submit(o, &x, url);
    cr_assert_eq(http_out_submit(o, &(struct http_out_request){.url = url, .done = note, .arg = &x}, &err), MEROS_UNAVAILABLE);
    end(o, r);
    cr_assert_eq(count(&x), 2, "each that was taken is told of, none else");
}

Test(http_out, stopping_waits_for_what_is_in_flight_and_cancels_what_takes_longer)
{
    struct receiver *r = receiver_start(), *slow = receiver_start();
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct results x = RESULTS, hung = RESULTS;
    struct meros_err err = MEROS_ERR_INIT;
    char url[128];
    receiver_behaves(r, (struct receiver_way){.delay_ms = 300});
    receiver_behaves(slow, (struct receiver_way){.mode = RECEIVER_HANG});
    submit(o, &x, url_of(r, "/", url));
    submit(o, &hung, url_of(slow, "/", url));
    http_out_stop(o, 8000); /* in which a busy machine makes 300 ms, too */
    cr_assert_eq(x.r[0].status, 204, "%s", x.error[0]);
    cr_assert_eq(hung.r[0].outcome, HTTP_OUT_CANCELLED);
    cr_assert_eq(http_out_submit(o, &(struct http_out_request){.url = url, .done = note, .arg = &x}, &err), MEROS_UNAVAILABLE);
    receiver_stop(slow);
    end(o, r);
}

Test(http_out, refuses_headers_that_would_be_two)
{
    struct http_out *o = out_with((struct http_out_config){.allow_private = true});
    struct meros_err err = MEROS_ERR_INIT;
    const struct http_out_header bad = {"webhook-id", "a\r\nX-Evil: 1"};
    cr_assert_eq(http_out_submit(o, &(struct http_out_request){.url = "http://127.0.0.1/", .headers = &bad, .n_headers = 1, .done = note}, &err),
                 MEROS_INVALID);
    http_out_stop(o, 0);
    http_out_free(o);
}

Test(http_out, needs_a_readable_file_of_authorities)
{
    struct http_out *o = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    cr_assert_eq(http_out_start(&(struct http_out_config){.ca_file = "/nowhere/ca.pem"}, &o, &err), MEROS_INVALID);
    cr_assert_not_null(strstr(err.detail, "/nowhere/ca.pem"));
}

static enum meros_code check(const char *url, bool allow_private)
{
    struct meros_err err = MEROS_ERR_INIT;
    return http_out_url_check(str_of(url), allow_private, &err);
}

Test(http_out, knows_which_urls_it_could_send_to)
{
    const char *const good[] = {"https://example.com/hook", "http://example.com", "https://example.com:8443/a?b=c", "https://8.8.8.8/",
                                "https://[2606:4700:4700::1111]/", NULL};
    const char *const bad[] = {"", "example.com/hook", "ftp://example.com/", "file:///etc/passwd", "https://", "https:///x", "https:/x", "https:x",
                               "https://user:secret@example.com/", "https://user@example.com/", "https://exa mple.com/",
                               "https://example.com/\r\nX: y", "https://example.com:99999/", "gopher://example.com/", "javascript:alert(1)",
                               "http:\\\\example.com\\", NULL};
    const char *const private[] = {"http://127.0.0.1:8080/", "http://localhost/", "https://127.1/", "http://0x7f000001/",
                                   "http://2130706433/", "http://[::1]/", "http://[::ffff:10.0.0.1]/", "http://10.1.2.3/",
                                   "http://169.254.169.254/latest/meta-data/", "http://db.localhost/", "http://0/", NULL};
    for (int i = 0; good[i] != NULL; i++) cr_expect_eq(check(good[i], false), MEROS_OK, "%s", good[i]);
    for (int i = 0; bad[i] != NULL; i++) cr_expect_eq(check(bad[i], true), MEROS_INVALID, "%s", bad[i]);
    for (int i = 0; private[i] != NULL; i++) {
        cr_expect_eq(check(private[i], false), MEROS_UNPROCESSABLE, "%s", private[i]);
        cr_expect_eq(check(private[i], true), MEROS_OK, "%s", private[i]);
    }
    char longer[HTTP_OUT_URL_MAX + 40];
    snprintf(longer, sizeof longer, "https://example.com/%0*d", HTTP_OUT_URL_MAX, 1);
    cr_assert_eq(check(longer, true), MEROS_INVALID);
}
