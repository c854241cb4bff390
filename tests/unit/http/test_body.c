/* Bodies: limits, media types, gzip both ways, 100-continue, streamed uploads. */
#include "serve.h"

#include <criterion/criterion.h>
#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>
#include "meros/codec/gzip.h"

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

TestSuite(body, .init = up, .fini = down, .timeout = 120);

#define H "Host: x\r\n"
#define J "Content-Type: application/json\r\n"

static struct answer post(const char *path, const char *headers, const char *p, size_t n)
{
    struct answer a;
    char head[600];
    int fd = dial(port);
    size_t len = (size_t)snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" H "%sContent-Length: %zu\r\n\r\n", path, headers, n);
    send_all(fd, head, len);
    send_all(fd, p, n);
    read_answer(fd, &a, false);
    close(fd);
    return a;
}

Test(body, media_types_are_checked_parameters_allowed)
{
    static const struct {
        const char *type;
        int status;
    } rows[] = {{"Content-Type: application/json\r\n", 200}, {"Content-Type: Application/JSON ; charset=utf-8\r\n", 200},
                {"Content-Type: text/plain;charset=UTF-8\r\n", 200}, {"Content-Type: application/xml\r\n", 415},
                {"Content-Type: application/x-www-form-urlencoded\r\n", 415}, {"Content-Type: application/jsonx\r\n", 415},
                {"Content-Type: \r\n", 415}, {"", 415}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[300];
        snprintf(text, sizeof text, "PUT /things/1 HTTP/1.1\r\n" H "%sContent-Length: 2\r\n\r\n{}", rows[i].type);
        struct answer a = ask(port, text);
        cr_expect_eq(a.status, rows[i].status, "%s: %d", rows[i].type, a.status);
        answer_done(&a);
    }
}

Test(body, a_needed_body_may_not_be_empty_an_optional_one_may)
{
    struct answer a = post("/size", "", "", 0), b = post("/size-inline", "", "", 0), c = post("/nobody", "", "", 0);
    cr_expect_eq(a.status, 400);
    cr_expect_str_eq(b.body, "0");
    cr_expect_eq(c.status, 200);
    answer_done(&a);
    answer_done(&b);
    answer_done(&c);
    a = ask(port, "POST /size HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    cr_expect_eq(a.status, 400);
    answer_done(&a);
    a = post("/nobody", "", "x", 1);
    cr_expect_eq(a.status, 400);
    answer_done(&a);
}

Test(body, limits_hold_to_the_byte)
{
    char *p = calloc(1, 200001);
    struct answer a = post("/size", "", p, 200000), b = post("/size", "", p, 200001);
    cr_expect_str_eq(a.body, "200000");
    cr_expect_eq(b.status, 413);
    answer_done(&a);
    answer_done(&b);
    free(p);
}

Test(body, too_large_is_told_before_the_body_is_read)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "POST /size HTTP/1.1\r\n" H "Content-Length: 50000000\r\n\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 413);
    cr_expect(at_end(fd));
    answer_done(&a);
    close(fd);
}

Test(body, chunked_past_the_limit_is_413)
{
    struct answer a;
    int fd = dial(port);
    char *chunk = malloc(10010);
    int n = sprintf(chunk, "%x\r\n", 10000);
    memset(chunk + n, 'x', 10000);
    memcpy(chunk + n + 10000, "\r\n", 2);
    send_text(fd, "POST /size HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 30; i++) send_all(fd, chunk, (size_t)n + 10002);
    send_text(fd, "0\r\n\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 413);
    cr_expect(at_end(fd));
    answer_done(&a);
    free(chunk);
    close(fd);
}

Test(body, an_endless_chunked_body_is_cut)
{
    int fd = dial(port);
    char *chunk = calloc(1, 1 << 20);
    send_text(fd, "POST /size HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n7fffffff\r\n");
    ssize_t sent = 1;
    size_t total = 0;
    while (sent > 0 && total < (size_t)200 << 20) {
        sent = send(fd, chunk, 1 << 20, MSG_NOSIGNAL);
        if (sent > 0) total += (size_t)sent;
    }
    cr_expect_lt(total, (size_t)100 << 20, "%zu bytes were read", total);
    free(chunk);
    close(fd);
}

Test(body, expect_100_is_answered_only_for_what_is_wanted)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 100);
    answer_done(&a);
    send_text(fd, "{}");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    close(fd);
    static const struct {
        const char *head;
        int status;
    } refused[] = {{"POST /size HTTP/1.1\r\n" H "Content-Length: 5000000\r\nExpect: 100-continue\r\n\r\n", 413},
                   {"POST /a-body HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 401},
                   {"POST /a-body HTTP/1.1\r\n" H "Authorization: Bearer cold-none\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n", 401},
                   {"PUT /things/1 HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 415},
                   {"POST /nowhere HTTP/1.1\r\n" H "Content-Length: 5\r\nExpect: 100-continue\r\n\r\n", 404}};
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++) {
        fd = dial(port);
        send_text(fd, refused[i].head);
        cr_expect(read_answer(fd, &a, false));
        cr_expect_eq(a.status, refused[i].status, "%d", a.status);
        cr_expect(at_end(fd));
        answer_done(&a);
        close(fd);
    }
}

Test(body, small_refused_bodies_do_not_cost_the_connection)
{
    struct answer a;
    int fd = dial(port);
    send_text(fd, "PUT /things/1 HTTP/1.1\r\n" H "Content-Length: 5\r\n\r\nabcdeGET /hello HTTP/1.1\r\n" H "\r\n");
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 415);
    answer_done(&a);
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 200);
    answer_done(&a);
    close(fd);
}

static struct buf zipped(const char *p, size_t n)
{
    struct buf b;
    buf_init(&b, n + n / 500 + 1000);
    cr_assert(gzip_all(p, n, 6, &b));
    return b;
}

Test(body, gzip_bodies_are_decoded)
{
    char *p = malloc(100000);
    for (size_t i = 0; i < 100000; i++) p[i] = (char)(rand() % 64 + 32);
    struct buf z = zipped(p, 100000);
    struct answer a = post("/size", "Content-Encoding: gzip\r\n", z.data, z.len);
    cr_expect_str_eq(a.body, "100000");
    answer_done(&a);
    a = post("/size-inline", "Content-Encoding: x-gzip\r\n", z.data, z.len);
    cr_expect_str_eq(a.body, "100000");
    answer_done(&a);
    a = post("/size", "Content-Encoding: gzip\r\n", z.data, z.len - 5);
    cr_expect_eq(a.status, 400);
    answer_done(&a);
    a = post("/size", "Content-Encoding: gzip\r\n", p, 1000);
    cr_expect_eq(a.status, 400);
    answer_done(&a);
    a = post("/size", "Content-Encoding: br\r\n", z.data, z.len);
    cr_expect_eq(a.status, 415);
    cr_expect_str_eq(answer_header(&a, "Accept-Encoding"), "gzip");
    answer_done(&a);
    a = post("/size", "Content-Encoding: identity\r\n", p, 1000);
    cr_expect_str_eq(a.body, "1000");
    answer_done(&a);
    buf_done(&z);
    free(p);
}

Test(body, gzip_bombs_are_refused)
{
    enum { BIG = 40 << 20 };
    char *zeros = calloc(1, BIG);
    struct buf z = zipped(zeros, BIG), fits = zipped(zeros, 200000), over = zipped(zeros, 200001);
    struct answer a = post("/size", "Content-Encoding: gzip\r\n", z.data, z.len);
    cr_expect_eq(a.status, 413);
    answer_done(&a);
    a = post("/upload", "Content-Encoding: gzip\r\nContent-Type: text/csv\r\n", z.data, z.len);
    cr_expect_eq(a.status, 413, "%d %s", a.status, a.body);
    answer_done(&a);
    a = post("/size", "Content-Encoding: gzip\r\n", fits.data, fits.len);
    cr_expect_str_eq(a.body, "200000");
    answer_done(&a);
    a = post("/size", "Content-Encoding: gzip\r\n", over.data, over.len);
    cr_expect_eq(a.status, 413);
    answer_done(&a);
    buf_done(&z);
    buf_done(&fits);
    buf_done(&over);
    free(zeros);
}

static size_t drop(char *p, size_t size, size_t n, void *arg)
{
    (void)p;
    *(size_t *)arg += size * n;
    return size * n;
}

/* One GET through libcurl; the decoded size, and the size on the wire. */
static long get(const char *path, const char *accept, size_t *out_n, curl_off_t *out_wire, char encoding[32])
{
    char url[200];
    CURL *c = curl_easy_init();
    struct curl_slist *headers = accept != NULL ? curl_slist_append(NULL, accept) : NULL;
    struct curl_header *h;
    long status = 0;
    *out_n = 0;
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, drop);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, out_n);
    cr_assert_eq(curl_easy_perform(c), CURLE_OK);
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_easy_getinfo(c, CURLINFO_SIZE_DOWNLOAD_T, out_wire);
    encoding[0] = '\0';
    if (curl_easy_header(c, "Content-Encoding", 0, CURLH_HEADER, -1, &h) == CURLHE_OK) snprintf(encoding, 32, "%s", h->value);
    cr_expect(curl_easy_header(c, "Vary", 0, CURLH_HEADER, -1, &h) == (strstr(path, "n=1000") && !strstr(path, "n=1000000") ? CURLHE_MISSING : CURLHE_OK));
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return status;
}

Test(body, large_answers_are_gzipped_for_who_accepts_it)
{
    static const struct {
        const char *accept;
        bool gzip;
    } rows[] = {{"Accept-Encoding: gzip", true}, {"Accept-Encoding: br, GZIP;q=0.1", true}, {"Accept-Encoding: *", true},
                {"Accept-Encoding: gzip;q=0", false}, {"Accept-Encoding: gzip;q=0, *;q=1", false}, {"Accept-Encoding: identity", false},
                {"Accept-Encoding: *;q=0", false}, {"Accept-Encoding: gzip; q=0.000", false}, {"Accept-Encoding: gzip;q=x", false}, {NULL, false}};
    static const char *const paths[] = {"/big?n=2000", "/big-inline?n=2000", "/big?n=1000000", "/big-inline?n=1000000"};
    size_t n;
    curl_off_t wire;
    char encoding[32];
    for (size_t p = 0; p < sizeof paths / sizeof paths[0]; p++)
        for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
            cr_expect_eq(get(paths[p], rows[i].accept, &n, &wire, encoding), 200);
            cr_expect_str_eq(encoding, rows[i].gzip ? "gzip" : "", "%s %s", paths[p], rows[i].accept);
            cr_expect_eq(wire < 10000, rows[i].gzip || p < 2);
        }
    cr_expect_eq(get("/big?n=1000", "Accept-Encoding: gzip", &n, &wire, encoding), 200);
    cr_expect_str_eq(encoding, "", "1000 bytes are not worth it");
}

Test(body, head_of_a_gzipped_answer_tells_the_same_length)
{
    struct answer h = ask(port, "HEAD /big?n=50000 HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n");
    struct answer g = ask(port, "GET /big?n=50000 HTTP/1.1\r\n" H "Accept-Encoding: gzip\r\n\r\n");
    char length[32];
    snprintf(length, sizeof length, "%s", answer_header(&g, "Content-Length"));
    cr_expect_str_eq(answer_header(&h, "Content-Length"), length);
    cr_expect_str_eq(answer_header(&h, "Content-Encoding"), "gzip");
    answer_done(&h);
    answer_done(&g);
}

/* --- streamed uploads */

struct source {
    size_t left;
};

static size_t feed(char *p, size_t size, size_t n, void *arg)
{
    struct source *src = arg;
    size_t give = size * n < src->left ? size * n : src->left;
    memset(p, 'x', give);
    src->left -= give;
    return give;
}

static size_t keep_text(char *p, size_t size, size_t n, void *arg)
{
    strncat(arg, p, size * n < 400 - strlen(arg) ? size * n : 0);
    return size * n;
}

static long upload(const char *path, size_t n, bool chunked, char text[400])
{
    char url[200];
    struct source src = {n};
    CURL *c = curl_easy_init();
    struct curl_slist *headers = curl_slist_append(NULL, "Content-Type: text/csv");
    long status = 0;
    text[0] = '\0';
    if (chunked) headers = curl_slist_append(headers, "Transfer-Encoding: chunked");
    snprintf(url, sizeof url, "http://127.0.0.1:%d%s", port, path);
    curl_easy_setopt(c, CURLOPT_URL, url);
    curl_easy_setopt(c, CURLOPT_POST, 1L);
    curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers);
    curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 512L * 1024);
    curl_easy_setopt(c, CURLOPT_READFUNCTION, feed);
    curl_easy_setopt(c, CURLOPT_READDATA, &src);
    if (!chunked) curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)n);
    curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, keep_text);
    curl_easy_setopt(c, CURLOPT_WRITEDATA, text);
    CURLcode rc = curl_easy_perform(c);
    cr_expect_eq(rc, CURLE_OK, "%s", curl_easy_strerror(rc));
    curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(headers);
    curl_easy_cleanup(c);
    return status;
}

Test(body, a_stream_of_any_length_arrives_whole_in_flat_memory)
{
    char text[400];
    struct rusage before, after;
    cr_expect_eq(upload("/upload", 1 << 20, false, text), 200);
    getrusage(RUSAGE_SELF, &before);
    cr_expect_eq(upload("/upload", (size_t)256 << 20, false, text), 200);
    cr_expect_str_eq(text, "268435456");
    cr_expect_eq(upload("/upload", (size_t)64 << 20, true, text), 200);
    cr_expect_str_eq(text, "67108864");
    getrusage(RUSAGE_SELF, &after);
    cr_expect_lt(after.ru_maxrss - before.ru_maxrss, 20000, "%ld KB more", after.ru_maxrss - before.ru_maxrss);
}

Test(body, a_slow_reader_of_a_stream_holds_its_sender_back)
{
    char text[400];
    cr_expect_eq(upload("/upload?pause_ms=5", (size_t)8 << 20, false, text), 200);
    cr_expect_str_eq(text, "8388608");
}

Test(body, a_stream_may_be_empty)
{
    struct answer a = post("/upload", "Content-Type: text/csv\r\n", "", 0);
    cr_expect_str_eq(a.body, "0");
    answer_done(&a);
    a = ask(port, "POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n");
    cr_expect_str_eq(a.body, "0");
    answer_done(&a);
}

Test(body, a_handler_may_stop_reading_and_still_answer)
{
    char text[400];
    cr_expect_eq(upload("/upload?stop_at=100000", (size_t)32 << 20, false, text), 422);
    cr_expect_not_null(strstr(text, "stopped after"), "%s", text);
    cr_expect_eq(upload("/upload?stop_at=100000", (size_t)8 << 20, true, text), 422);
}

Test(body, gzip_streams_are_decoded_on_the_way)
{
    size_t n = 3000000;
    char *p = malloc(n), expected[20];
    for (size_t i = 0; i < n; i++) p[i] = (char)(rand() % 40 + 40);
    struct buf z = zipped(p, n);
    struct answer a = post("/upload", "Content-Encoding: gzip\r\nContent-Type: text/csv\r\n", z.data, z.len);
    snprintf(expected, sizeof expected, "%zu", n);
    cr_expect_str_eq(a.body, expected);
    answer_done(&a);
    a = post("/upload", "Content-Encoding: gzip\r\nContent-Type: text/csv\r\n", z.data, z.len / 2);
    cr_expect_eq(a.status, 400);
    cr_expect_not_null(strstr(a.body, "cut short"), "%s", a.body);
    answer_done(&a);
    buf_done(&z);
    free(p);
}

Test(body, a_client_that_goes_in_mid_stream_ends_the_handler)
{
    for (int i = 0; i < 20; i++) {
        int fd = dial(port);
        send_text(fd, "POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\nabc");
        if (i % 2 == 0) usleep(2000);
        close(fd);
    }
    char text[400];
    cr_expect_eq(upload("/upload", 1000, false, text), 200);
}

/* --- a suite of its own: others must not be cut when it is their client that is slow for once */
static void quick(struct http_config *c)
{
    c->body_idle_timeout_s = 1;
}

static void up_quick(void)
{
    s = serve(quick);
    port = http_port(s);
}

TestSuite(quick_body, .init = up_quick, .fini = down, .timeout = 120);

Test(quick_body, a_stream_that_stops_coming_is_given_up)
{
    struct answer a;
    int fd = dial(port);
    long at = now_milliseconds();
    send_text(fd, "POST /upload HTTP/1.1\r\n" H "Content-Type: text/csv\r\nContent-Length: 1000000\r\n\r\nabc");
    read_answer(fd, &a, false);
    long took = now_milliseconds() - at;
    cr_expect(took > 800 && took < PATIENCE_MS, "%ld ms", took);
    answer_done(&a);
    close(fd);
}
