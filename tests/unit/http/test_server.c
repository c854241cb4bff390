#include "serve.h"

#include <criterion/criterion.h>
#include <string.h>

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

TestSuite(server, .init = up, .fini = down, .timeout = 30);

#define HOST "Host: x\r\n"

Test(server, answers_inline_and_from_a_worker)
{
    struct answer a = ask(port, "GET /hello HTTP/1.1\r\n" HOST "\r\n"), b = ask(port, "GET /hello-io HTTP/1.1\r\n" HOST "\r\n");
    cr_expect_eq(a.status, 200);
    cr_expect_str_eq(a.body, "{\"hello\":\"world\"}");
    cr_expect_str_eq(answer_header(&a, "Content-Type"), "application/json");
    cr_expect_eq(b.status, 200);
    cr_expect_str_eq(b.body, a.body);
    answer_done(&a);
    answer_done(&b);
}
