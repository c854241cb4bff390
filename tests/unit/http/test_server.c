#include "serve.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>
#include "meros/base/counters.h"

static struct http_server *s;
static int port;

static void with_cors(struct http_config *c)
{
    c->cors_origins = "https://shop.example http://localhost:3000";
}

static void up(void)
{
    s = serve(with_cors);
    port = http_port(s);
}

static void down(void)
{
    serve_stop(s);
}

TestSuite(server, .init = up, .fini = down, .timeout = 120);

#define H "Host: x\r\n"

static bool header_is(const struct answer *a, const char *name, const char *value)
{
    const char *v = answer_header(a, name);
    return v == NULL ? value == NULL : value != NULL && strcmp(v, value) == 0;
}

static size_t count_header(const struct answer *a, const char *line)
{
    size_t n = 0;
    for (const char *at = a->head; (at = strstr(at, line)) != NULL; at++) n++;
    return n;
}

Test(server, answers_inline_and_from_a_worker)
{
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "\r\n"), b = ask(port, "GET /hello-io HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "{\"hello\":\"world\"}");
    cr_expect(header_is(&a, "Content-Type", "application/json"));
    cr_expect_not_null(answer_header(&a, "Date"));
    cr_expect_eq(b.status, 200);
    cr_expect_str_eq(b.body, a.body);
    answer_done(&a);
    answer_done(&b);
}

Test(server, deferred_requests_are_completed_by_other_threads)
{
    struct answer a = ask(port, "GET /later HTTP/1.1\r\n" H "\r\n");
    struct answer b = ask(port, "POST /later-inline HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\nx");
    struct answer c = ask(port, "GET /defer-and-fail HTTP/1.1\r\n" H "\r\n");
    cr_expect_str_eq(a.body, "late");
    cr_expect_str_eq(b.body, "late");
    cr_expect_eq(c.status, 503);
    cr_expect(header_is(&c, "Retry-After", "7"));
    answer_done(&a);
    answer_done(&b);
    answer_done(&c);
}

Test(server, deferred_requests_are_completed_by_what_makes_their_answer_on_the_http_thread)
{
    struct answer a = ask(port, "GET /later-by HTTP/1.1\r\n" H "\r\n");
    struct answer b = ask(port, "GET /later-by HTTP/1.1\r\n" H "Fail: 1\r\n\r\n");
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "late by");
    cr_expect_eq(b.status, 409);
    answer_done(&a);
    answer_done(&b);
}

Test(server, what_makes_a_deferred_answer_is_called_also_when_the_client_has_gone)
{
    const struct linger reset = {.l_onoff = 1, .l_linger = 0};
    for (int i = 1; i <= 10; i++) {
        int fd = dial(port);
        send_text(fd, "GET /later-by HTTP/1.1\r\n" H "Linger: 1\r\n\r\n");
        wait_for(&serve_late_begun, i);
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
        close(fd);
    }
    wait_for(&serve_late_replies, 10);
}

Test(server, request_ids_are_the_clients_if_sane)
{
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "X-Request-Id: abc-123_.:/+=@~\r\n\r\n");
    cr_expect(header_is(&a, "X-Request-Id", "abc-123_.:/+=@~"));
    answer_done(&a);
    static const char *const insane[] = {"", "a b", "a\"b", "<script>", "\xC3\xA9", "a\tb"};
    for (size_t i = 0; i < sizeof insane / sizeof insane[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "GET /nowhere HTTP/1.1\r\n" H "X-Request-Id: %s\r\n\r\n", insane[i]);
        a = ask(port, text);
        const char *id = answer_header(&a, "X-Request-Id");
        cr_assert_not_null(id);
        cr_expect_eq(strlen(id), 32);
        char instance[100];
        snprintf(instance, sizeof instance, "\"instance\":\"%s\"", id);
        cr_expect_not_null(strstr(a.body, instance), "%s", a.body);
        answer_done(&a);
    }
}

Test(server, ids_of_128_characters_pass_and_129_do_not)
{
    char id[130], text[300];
    memset(id, 'x', 129);
    for (size_t n = 128; n <= 129; n++) {
        id[n] = '\0';
        snprintf(text, sizeof text, "GET /hello HTTP/1.1\r\n" H "X-Request-Id: %s\r\n\r\n", id);
        struct answer a = ask(port, text);
        cr_expect_eq(header_is(&a, "X-Request-Id", id), n == 128);
        answer_done(&a);
        id[n] = 'x';
    }
}

Test(server, errors_are_problems_from_the_one_table)
{
    for (int code = 1; code < MEROS_CODE_COUNT; code++) {
        char text[100], expected[100];
        snprintf(text, sizeof text, "GET /fail?code=%d HTTP/1.1\r\n" H "\r\n", code);
        struct answer a = ask(port, text);
        enum meros_code shown = code == MEROS_CANCELLED ? MEROS_UNAVAILABLE : (enum meros_code)code;
        cr_expect_eq(a.status, meros_code_status(shown), "%d", code);
        cr_expect(header_is(&a, "Content-Type", "application/problem+json"));
        snprintf(expected, sizeof expected, "{\"type\":\"/problems/%s\",", meros_code_slug(shown));
        cr_expect_eq(strncmp(a.body, expected, strlen(expected)), 0, "%s", a.body);
        if (code != MEROS_CANCELLED) cr_expect_not_null(strstr(a.body, "\"detail\":\"it was asked for\""));
        cr_expect_eq(answer_header(&a, "Retry-After") != NULL, a.status == 429 || a.status == 503, "%d", code);
        cr_expect_eq(answer_header(&a, "WWW-Authenticate") != NULL, a.status == 401, "%d", code);
        answer_done(&a);
    }
}

Test(server, a_handler_that_answers_nothing_is_our_mistake)
{
    struct answer a = ask(port, "GET /nothing HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 500);
    answer_done(&a);
}

Test(server, wrong_methods_get_405_with_allow)
{
    struct answer a = ask(port, "POST /things/1 HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}");
    cr_expect_eq(a.status, 405);
    cr_expect(header_is(&a, "Allow", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"), "%s", answer_header(&a, "Allow"));
    answer_done(&a);
    a = ask(port, "HEAD /upload HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 405);
    cr_expect(header_is(&a, "Allow", "POST, OPTIONS"));
    answer_done(&a);
}

Test(server, options_tells_the_methods)
{
    struct answer a = ask(port, "OPTIONS /things/x HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 204);
    cr_expect(header_is(&a, "Allow", "GET, HEAD, PUT, PATCH, DELETE, OPTIONS"));
    cr_expect_null(answer_header(&a, "Access-Control-Allow-Origin"));
    answer_done(&a);
    a = ask(port, "OPTIONS * HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 204);
    answer_done(&a);
    a = ask(port, "OPTIONS /nowhere HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 404);
    answer_done(&a);
}

Test(server, preflights_of_listed_origins_are_allowed)
{
    struct answer a = ask(port, "OPTIONS /a HTTP/1.1\r\n" H "Origin: https://shop.example\r\nAccess-Control-Request-Method: GET\r\n"
                                "Access-Control-Request-Headers: authorization\r\n\r\n");
    cr_expect_eq(a.status, 204);
    cr_expect(header_is(&a, "Access-Control-Allow-Origin", "https://shop.example"));
    cr_expect(header_is(&a, "Access-Control-Allow-Methods", "GET, HEAD, OPTIONS"));
    cr_expect(header_is(&a, "Access-Control-Allow-Headers", "authorization, content-type, idempotency-key, x-request-id"));
    cr_expect(header_is(&a, "Access-Control-Max-Age", "600"));
    cr_expect(header_is(&a, "Vary", "Origin"));
    answer_done(&a);
    static const char *const strangers[] = {"https://evil.example", "null", "https://shop.example.evil", "https://shop.exampl", ""};
    for (size_t i = 0; i < sizeof strangers / sizeof strangers[0]; i++) {
        char text[200];
        snprintf(text, sizeof text, "OPTIONS /a HTTP/1.1\r\n" H "Origin: %s\r\nAccess-Control-Request-Method: GET\r\n\r\n", strangers[i]);
        a = ask(port, text);
        cr_expect_eq(a.status, 204);
        cr_expect_null(answer_header(&a, "Access-Control-Allow-Origin"), "%s", strangers[i]);
        cr_expect(header_is(&a, "Vary", "Origin"));
        answer_done(&a);
    }
}

Test(server, answers_and_errors_are_readable_to_listed_origins)
{
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "Origin: http://localhost:3000\r\n\r\n");
    cr_expect(header_is(&a, "Access-Control-Allow-Origin", "http://localhost:3000"));
    cr_expect_not_null(strstr(answer_header(&a, "Access-Control-Expose-Headers"), "X-Request-Id"));
    answer_done(&a);
    a = ask(port, "GET /a HTTP/1.1\r\n" H "Origin: http://localhost:3000\r\n\r\n");
    cr_expect_eq(a.status, 401);
    cr_expect(header_is(&a, "Access-Control-Allow-Origin", "http://localhost:3000"));
    answer_done(&a);
}

Test(server, cors_can_be_changed_and_turned_off_while_running)
{
    struct meros_err err = MEROS_ERR_INIT;
    cr_expect_eq(http_set_cors(s, "https://other.example", &err), MEROS_OK);
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "Origin: https://other.example\r\n\r\n");
    cr_expect(header_is(&a, "Access-Control-Allow-Origin", "https://other.example"));
    answer_done(&a);
    cr_expect_eq(http_set_cors(s, "*", &err), MEROS_OK);
    a = ask(port, "GET /hello HTTP/1.1\r\n" H "Origin: https://any.example\r\n\r\n");
    cr_expect(header_is(&a, "Access-Control-Allow-Origin", "*"));
    answer_done(&a);
    cr_expect_eq(http_set_cors(s, NULL, &err), MEROS_OK);
    a = ask(port, "GET /hello HTTP/1.1\r\n" H "Origin: https://other.example\r\n\r\n");
    cr_expect_null(answer_header(&a, "Access-Control-Allow-Origin"));
    cr_expect_null(answer_header(&a, "Vary"));
    answer_done(&a);
    cr_expect_eq(http_set_cors(s, "shop.example", &err), MEROS_INVALID);
    cr_expect_eq(http_set_cors(s, "https://shop.example/", &err), MEROS_INVALID);
}

Test(server, head_is_get_without_its_body)
{
    struct answer got = ask(port, "GET /big?n=5000 HTTP/1.1\r\n" H "\r\n");
    int fd = dial(port);
    struct answer head, next;
    send_text(fd, "HEAD /big?n=5000 HTTP/1.1\r\n" H "\r\nGET /hello HTTP/1.1\r\n" H "\r\n");
    cr_assert(read_answer(fd, &head, true));
    cr_assert(read_answer(fd, &next, false));
    cr_expect_eq(head.status, 200);
    cr_expect(header_is(&head, "Content-Length", "5000"));
    cr_expect(header_is(&head, "Content-Type", "application/json"));
    cr_expect(header_is(&head, "Vary", answer_header(&got, "Vary")));
    cr_expect_str_eq(next.body, "{\"hello\":\"world\"}");
    answer_done(&got);
    answer_done(&head);
    answer_done(&next);
    close(fd);
    head = ask(port, "HEAD /fail HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(head.status, 500);
    answer_done(&head);
    head = ask(port, "HEAD /events HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(head.status, 200);
    answer_done(&head);
}

Test(server, handlers_headers_are_sent)
{
    struct answer a = ask(port, "POST /things HTTP/1.1\r\n" H "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}");
    cr_expect_eq(a.status, 201);
    cr_expect(header_is(&a, "Location", "/v1/things/1"));
    answer_done(&a);
    a = ask(port, "DELETE /things/1 HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 204);
    answer_done(&a);
}

Test(server, keys_are_asked_for_and_scopes_checked)
{
    static const struct {
        const char *path, *header;
        int status;
        const char *body;
    } rows[] = {
        {"/a", "", 401, "Bearer KEY"},
        {"/a", "Authorization: Bearer a\r\n", 200, "key=key_a;"},
        {"/a", "authorization: bEARER   a\r\n", 200, "key=key_a;"},
        {"/a", "Authorization: Bearer b\r\n", 403, "scope"},
        {"/a", "Authorization: Bearer nobody\r\n", 401, "not known"},
        {"/a", "Authorization: Bearer\r\n", 401, "no key"},
        {"/a", "Authorization: a\r\n", 401, "no key"},
        {"/a", "Authorization: \r\n", 401, "no key"},
        {"/a", "Authorization: Bearer cold-a\r\n", 200, "key=key_cold;"},
        {"/b", "Authorization: Bearer cold-a\r\n", 403, "scope"},
        {"/a", "Authorization: Bearer cold-none\r\n", 401, "not known"},
        {"/a", "Authorization: Basic YTo=\r\n", 401, "no key"},   /* not on this route */
        {"/b", "Authorization: Basic Yjo=\r\n", 200, "key=key_b;"},
        {"/b", "Authorization: Basic Yjp4\r\n", 401, "no key"},   /* b:x */
        {"/b", "Authorization: Basic !!!!\r\n", 401, "no key"},
        {"/maybe", "", 200, "key=;"},
        {"/maybe", "Authorization: Bearer a\r\n", 200, "key=key_a;"},
        {"/maybe", "Authorization: Bearer nobody\r\n", 200, "key=;"},
        {"/hello", "Authorization: Bearer nobody\r\n", 200, "world"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, "GET %s HTTP/1.1\r\n" H "%s\r\n", rows[i].path, rows[i].header);
        struct answer a = ask(port, text);
        cr_expect_eq(a.status, rows[i].status, "%s %s: %d", rows[i].path, rows[i].header, a.status);
        cr_expect_not_null(strstr(a.body, rows[i].body), "%s %s: %s", rows[i].path, rows[i].header, a.body);
        if (a.status == 401)
            cr_expect_eq(count_header(&a, "WWW-Authenticate"), strcmp(rows[i].path, "/b") == 0 ? 2 : 1);
        answer_done(&a);
    }
}

Test(server, a_missing_key_is_told_before_the_body_is_read)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "POST /a-body HTTP/1.1\r\n" H "Content-Length: 500000\r\n\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 401);
    cr_expect(at_end(fd));
    answer_done(&a);
    close(fd);
    fd = dial(port); /* also when the key had to be looked up */
    send_text(fd, "POST /a-body HTTP/1.1\r\n" H "Authorization: Bearer cold-none\r\nContent-Length: 500000\r\n\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 401);
    answer_done(&a);
    close(fd);
    a = ask(port, "POST /a-body HTTP/1.1\r\n" H "Authorization: Bearer cold-a\r\nContent-Length: 3\r\n\r\nabc");
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "3");
    answer_done(&a);
}

Test(server, query_parameters_arrive_typed)
{
    struct answer a = ask(port, "GET /things/1?limit=7&ratio=0.25&flag=true&word=a+b%2Bc&&order=desc&at=2011-12-09T12:50:00Z HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    cr_expect_not_null(strstr(a.body, "limit=7;ratio=0.25;flag=1;word=a b+c;"), "%s", a.body);
    answer_done(&a);
    a = ask(port, "GET /things/1 HTTP/1.1\r\n" H "\r\n");
    cr_expect_not_null(strstr(a.body, "limit=-1;ratio=-1;flag=0;word=;"), "%s", a.body);
    answer_done(&a);
    a = ask(port, "GET /things/1? HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 200);
    answer_done(&a);
}

Test(server, all_faults_of_a_query_are_reported_together)
{
    struct answer a = ask(port, "GET /things/1?limit=0&ratio=2&flag=yes&order=up&at=never&who=&nope=1&word=x&word=y HTTP/1.1\r\n" H "\r\n");
    static const char *const pointers[] = {"?limit", "?ratio", "?flag", "?order", "?at", "?who", "?nope", "?word"};
    cr_expect_eq(a.status, 400);
    for (size_t i = 0; i < sizeof pointers / sizeof pointers[0]; i++) {
        char expected[40];
        snprintf(expected, sizeof expected, "\"pointer\":\"%s\"", pointers[i]);
        cr_expect_not_null(strstr(a.body, expected), "%s is not in %s", expected, a.body);
    }
    answer_done(&a);
    a = ask(port, "GET /hello?x=1 HTTP/1.1\r\n" H "\r\n");
    cr_expect_eq(a.status, 400);
    answer_done(&a);
    a = ask(port, "GET /since HTTP/1.1\r\n" H "\r\n");
    cr_expect_not_null(strstr(a.body, "{\"pointer\":\"?from\",\"detail\":\"is required\"}"), "%s", a.body);
    answer_done(&a);
}

Test(server, requests_are_counted_by_route_and_status)
{
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" H "\r\n");
    answer_done(&a);
    a = ask(port, "GET /nowhere/secret HTTP/1.1\r\n" H "\r\n");
    answer_done(&a);
    a = ask(port, "HEAD /hello HTTP/1.1\r\n" H "\r\n");
    answer_done(&a);
    struct buf b;
    buf_init(&b, 1 << 20);
    /* counted when the last byte is out, which the client may see first */
    for (long until = now_milliseconds() + PATIENCE_MS; now_milliseconds() < until; usleep(2000)) {
        buf_clear(&b);
        metric_render(&b);
        if (strstr(b.data, "meros_http_in_flight_requests 0\n") != NULL) break;
    }
    cr_expect_not_null(strstr(b.data, "meros_http_requests_total{route=\"hello\",method=\"GET\",status=\"200\"} 1\n"), "%s", b.data);
    cr_expect_not_null(strstr(b.data, "meros_http_requests_total{route=\"hello\",method=\"HEAD\",status=\"200\"} 1\n"));
    cr_expect_not_null(strstr(b.data, "meros_http_requests_total{route=\"unmatched\",method=\"GET\",status=\"404\"} 1\n"));
    cr_expect_not_null(strstr(b.data, "meros_http_request_seconds_count{route=\"hello\"} 2\n"));
    cr_expect_not_null(strstr(b.data, "meros_http_in_flight_requests 0\n"));
    cr_expect_null(strstr(b.data, "secret"));
    buf_done(&b);
}
