/* What a request line, its headers and its framing may look like: raw bytes in, status and fate of the connection out. */
#include "serve.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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

TestSuite(framing, .init = up, .fini = down, .timeout = 120);

#define H "Host: x\r\n"
#define J "Content-Type: application/json\r\n"

enum fate { KEEPS, CLOSES, EITHER };
struct framing_case {
    const char *what, *request;
    size_t n; /* 0: strlen(request) */
    int status;
    enum fate fate;
    const char *body; /* what the answer must hold; NULL: anything */
};
#define NUL_CASE(what, request, status, fate) {what, request, sizeof(request) - 1, status, fate, NULL}

static const struct framing_case cases[] = {
    {"plain", "GET /hello HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "world"},
    {"HTTP/1.0 closes", "GET /hello HTTP/1.0\r\n\r\n", 0, 200, CLOSES, "world"},
    {"HTTP/1.0 keep-alive", "GET /hello HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", 0, 200, KEEPS, "world"},
    {"Connection: close", "GET /hello HTTP/1.1\r\n" H "Connection: close\r\n\r\n", 0, 200, CLOSES, "world"},
    {"HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 0, 505, CLOSES, NULL},
    {"no Host", "GET /hello HTTP/1.1\r\n\r\n", 0, 400, CLOSES, NULL},
    {"two Hosts", "GET /hello HTTP/1.1\r\n" H H "\r\n", 0, 400, CLOSES, "Host"},
    {"two equal Content-Lengths", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 0, 400, CLOSES, NULL},
    {"two unequal Content-Lengths", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 2\r\nContent-Length: 5\r\n\r\n{}", 0, 400, CLOSES, NULL},
    {"Content-Length list", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 2, 2\r\n\r\n{}", 0, 400, CLOSES, NULL},
    {"Content-Length and chunked", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, CLOSES, "both"},
    {"chunked and Content-Length", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n0\r\n\r\n", 0, 400, CLOSES, "both"},
    {"two chunked", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 400, CLOSES, NULL},
    {"xchunked", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 0, 501, CLOSES, NULL},
    {"gzip, chunked", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 0, 501, CLOSES, NULL},
    {"identity coding", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: identity\r\n\r\n", 0, 501, CLOSES, NULL},
    {"Chunked in capitals", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: CHUNKED\r\n\r\n2\r\n{}\r\n0\r\n\r\n", 0, 200, KEEPS, "body={}"},
    {"Content-Length 2^64-1", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 18446744073709551615\r\n\r\n", 0, 413, CLOSES, NULL},
    {"Content-Length 2^64", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 18446744073709551616\r\n\r\n", 0, 413, CLOSES, NULL},
    {"Content-Length 2^63", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 9223372036854775808\r\n\r\n", 0, 413, CLOSES, NULL},
    {"Content-Length -1", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: -1\r\n\r\n", 0, 400, CLOSES, NULL},
    {"Content-Length +5", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: +5\r\n\r\nabcde", 0, 400, CLOSES, NULL},
    {"Content-Length 0x5", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: 0x5\r\n\r\nabcde", 0, 400, CLOSES, NULL},
    {"Content-Length empty", "PUT /things/1 HTTP/1.1\r\n" H J "Content-Length: \r\n\r\n", 0, 400, CLOSES, NULL},
    {"bad chunk size", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 0, 400, CLOSES, NULL},
    {"huge chunk size", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n", 0, 413, CLOSES, NULL},
    {"chunk extension and trailer", "PUT /things/1 HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\nT: v\r\n\r\n", 0, 200, KEEPS, "body={}"},
    {"two Authorizations", "GET /a HTTP/1.1\r\n" H "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n", 0, 400, CLOSES, NULL},
    {"two Content-Types", "PUT /things/1 HTTP/1.1\r\n" H J J "Content-Length: 2\r\n\r\n{}", 0, 400, CLOSES, NULL},
    NUL_CASE("NUL in the path", "GET /hello\0x HTTP/1.1\r\n" H "\r\n", 400, CLOSES),
    NUL_CASE("NUL in the query", "GET /things/1?word=a\0b HTTP/1.1\r\n" H "\r\n", 400, CLOSES),
    NUL_CASE("NUL in a header value", "GET /a HTTP/1.1\r\n" H "Authorization: Bearer a\0b\r\nX: y\r\n\r\n", 400, CLOSES),
    NUL_CASE("NUL in the last header value", "GET /a HTTP/1.1\r\n" H "Authorization: Bearer a\0b\r\n\r\n", 400, CLOSES),
    NUL_CASE("NUL at the end of a header value", "GET /a HTTP/1.1\r\n" H "Authorization: Bearer a\0\r\nX: y\r\n\r\n", 400, CLOSES),
    NUL_CASE("NUL in a header name", "GET /hello HTTP/1.1\r\n" H "X\0Y: y\r\n\r\n", 400, CLOSES),
    {"%00 in the path", "GET /things/a%00b HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "NUL"},
    {"%00 in the query", "GET /things/a?word=a%00b HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "?word"},
    {"%2F stays in the segment", "GET /things/a%2Fb HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "id=a/b;"},
    {"a slash divides", "GET /things/a/b HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, NULL},
    {"%2e%2e climbs nowhere", "GET /things/%2e%2e%2fhello HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "id=../hello;"},
    {"dots are a name", "GET /things/../hello HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, NULL},
    {"two parameters", "GET /things/x%20y/parts/%C3%A9 HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "id=x y;other=\xC3\xA9;"},
    {"an escaped literal", "GET /%68ello HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "world"},
    {"a literal wins over a parameter", "GET /things/special HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "world"},
    {"%zz", "GET /things/%zz HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"a cut escape", "GET /things/a%4 HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"a control character", "GET /things/a%0Ab HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "{id}"},
    {"not UTF-8, escaped", "GET /things/%ff%fe HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "UTF-8"},
    {"not UTF-8, raw", "GET /things/\xff\xfe HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "UTF-8"},
    {"overlong UTF-8", "GET /things/%c0%af HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, "UTF-8"},
    {"raw UTF-8", "GET /things/\xC3\xA9 HTTP/1.1\r\n" H "\r\n", 0, 200, KEEPS, "id=\xC3\xA9;"},
    {"an empty id", "GET /things/ HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, NULL},
    {"a trailing slash", "GET /hello/ HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, NULL},
    {"a double slash", "GET //hello HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, NULL},
    {"unknown path", "GET /nowhere HTTP/1.1\r\n" H "\r\n", 0, 404, KEEPS, "not-found"},
    {"unknown method", "BREW /hello HTTP/1.1\r\n" H "\r\n", 0, 405, KEEPS, "method-not-allowed"},
    {"method in small letters", "get /hello HTTP/1.1\r\n" H "\r\n", 0, 405, KEEPS, NULL},
    {"TRACE", "TRACE /hello HTTP/1.1\r\n" H "\r\n", 0, 405, KEEPS, NULL},
    {"CONNECT", "CONNECT x:80 HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"absolute form", "GET http://x/hello HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"star", "GET * HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"a fragment", "GET /hello#x HTTP/1.1\r\n" H "\r\n", 0, 400, KEEPS, NULL},
    {"a blank in the target (closed without a word)", "GET /hel lo HTTP/1.1\r\n" H "\r\n", 0, 0, CLOSES, NULL},
    {"folded header", "GET /hello HTTP/1.1\r\n" H "X-A: b\r\n c\r\n\r\n", 0, 400, CLOSES, NULL},
    {"folded Authorization", "GET /a HTTP/1.1\r\n" H "Authorization: Bearer\r\n a\r\n\r\n", 0, 400, CLOSES, NULL},
    {"bare line feeds", "GET /hello HTTP/1.1\nHost: x\nX: y\n\n", 0, 200, KEEPS, "world"},
    {"header without a colon", "GET /hello HTTP/1.1\r\n" H "nonsense\r\n\r\n", 0, 400, CLOSES, NULL},
    {"GET with a body", "GET /hello HTTP/1.1\r\n" H "Content-Length: 3\r\n\r\nabc", 0, 400, KEEPS, "takes no body"},
    {"GET with an empty chunked body", "GET /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0, 200, KEEPS, "world"},
    {"GET with a chunked body", "GET /hello HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n", 0, 400, CLOSES, "takes no body"},
    {"Upgrade: h2c is ignored", "GET /hello HTTP/1.1\r\n" H "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n", 0, 200, KEEPS, "world"},
};

static bool serves_again(int fd)
{
    struct answer a;
    send_text(fd, "GET /hello HTTP/1.1\r\n" H "\r\n");
    bool ok = read_answer(fd, &a, false) && a.status == 200;
    answer_done(&a);
    return ok;
}

Test(framing, every_row_of_the_table)
{
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        const struct framing_case *c = &cases[i];
        struct answer a;
        int fd = dial(port);
        send_all(fd, c->request, c->n > 0 ? c->n : strlen(c->request));
        bool got = read_answer(fd, &a, false);
        cr_expect_eq(got, c->status != 0, "%s: no answer", c->what);
        cr_expect_eq(a.status, c->status, "%s: %d instead of %d (%s)", c->what, a.status, c->status, a.body);
        if (c->body != NULL) cr_expect(strstr(a.body, c->body) != NULL, "%s: \"%s\" is not in: %s", c->what, c->body, a.body);
        /* libmicrohttpd sends some of its own refusals twice before it closes; those hold HTML */
        char type[64] = "";
        if (answer_header(&a, "Content-Type") != NULL) snprintf(type, sizeof type, "%.60s", answer_header(&a, "Content-Type"));
        bool ours = type[0] != '\0' && strstr(type, "html") == NULL;
        if (c->fate == KEEPS) cr_expect(serves_again(fd), "%s: the connection should go on", c->what);
        else if (ours) cr_expect(at_end(fd), "%s: the connection should be closed", c->what);
        if (a.status >= 400 && ours)
            cr_expect(strstr(a.body, "\"instance\":") != NULL && strcmp(type, "application/problem+json") == 0, "%s: %s", c->what, a.body);
        answer_done(&a);
        close(fd);
    }
}

Test(framing, the_same_request_in_pieces_of_one_byte)
{
    struct answer a;
    const char *request = "PUT /things/a%2Fb HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\n\r\n3\r\n{\"a\r\n5\r\n\":1}\n\r\n0\r\n\r\n";
    int fd = dial(port);
    for (const char *p = request; *p != '\0'; p++) send_all(fd, p, 1);
    cr_expect(read_answer(fd, &a, false));
    cr_expect_eq(a.status, 200);
    cr_expect(strstr(a.body, "id=a/b;") != NULL && strstr(a.body, "body={\"a\":1}\n") != NULL, "%s", a.body);
    cr_expect(serves_again(fd));
    answer_done(&a);
    close(fd);
}

Test(framing, header_bombs_and_long_addresses_are_refused)
{
    enum { BIG = 60000 };
    char *text = malloc(BIG + 100);
    struct answer a;
    size_t n = (size_t)sprintf(text, "GET /hello HTTP/1.1\r\n" H);
    for (int i = 0; i < 100; i++) n += (size_t)sprintf(text + n, "X-%d: y\r\n", i);
    sprintf(text + n, "\r\n");
    a = ask(port, text);
    cr_expect_eq(a.status, 431, "%d", a.status);
    answer_done(&a);
    n = (size_t)sprintf(text, "GET /hello HTTP/1.1\r\n" H "X: ");
    memset(text + n, 'y', 40000);
    sprintf(text + n + 40000, "\r\n\r\n");
    a = ask(port, text);
    cr_expect(a.status == 431 || a.status == 413, "%d", a.status);
    answer_done(&a);
    n = (size_t)sprintf(text, "GET /");
    memset(text + n, 'y', 40000);
    sprintf(text + n + 40000, " HTTP/1.1\r\n" H "\r\n");
    a = ask(port, text);
    cr_expect_eq(a.status, 414, "%d", a.status);
    answer_done(&a);
    free(text);
}

Test(framing, two_hundred_pipelined_requests_are_answered_in_order)
{
    enum { N = 200 };
    char *text = malloc(N * 200), expected[64];
    size_t n = 0;
    for (int i = 0; i < N; i++) {
        if (i % 3 == 0) n += (size_t)sprintf(text + n, "GET /things/%d HTTP/1.1\r\n" H "\r\n", i);
        else if (i % 3 == 1) n += (size_t)sprintf(text + n, "PUT /things/%d HTTP/1.1\r\n" H J "Content-Length: 2\r\n\r\n{}", i);
        else n += (size_t)sprintf(text + n, "PATCH /things/%d HTTP/1.1\r\n" H J "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n", i);
    }
    for (size_t piece = 37; piece <= n; piece = piece == 37 ? n : n + 1) {
        int fd = dial(port);
        for (size_t at = 0; at < n; at += piece) send_all(fd, text + at, n - at < piece ? n - at : piece);
        for (int i = 0; i < N; i++) {
            struct answer a;
            cr_assert(read_answer(fd, &a, false), "no answer to request %d (pieces of %zu)", i, piece);
            sprintf(expected, "id=%d;", i);
            cr_assert(a.status == 200 && strncmp(a.body, expected, strlen(expected)) == 0, "%d: %s", i, a.body);
            answer_done(&a);
        }
        close(fd);
    }
    free(text);
}
