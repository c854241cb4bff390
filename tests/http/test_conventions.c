/* What holds for every operation: errors, headers, bodies, parameters, encodings. */
#include <stdio.h>
#include <string.h>
#include "client.h"

/* --- errors */

static void is_problem(const struct reply *r, int status, const char *slug)
{
    expect(r, status);
    cr_assert_eq(strncmp(r->type, "application/problem+json", 24), 0, "%s has type %s", r->what, r->type);
    cr_assert_eq(int_at(r, "/status"), status);
    const char *type = text_at(r, "/type"), *tail = strrchr(type, slug[0] == '/' ? '/' : slug[0]);
    cr_assert(tail != NULL && strstr(type, slug) != NULL && strcmp(strstr(type, slug), slug) == 0, "type is %s", type);
    cr_assert_gt(strlen(text_at(r, "/title")), 0);
    cr_assert_gt(strlen(text_at(r, "/detail")), 10, "a detail is a sentence: %s", r->body);
    cr_assert_str_eq(text_at(r, "/instance"), header_of(r, "X-Request-Id"));
}

Test(conventions, an_unknown_path_is_404)
{
    static const char *const paths[] = {"/nowhere", "/v1", "/v1/", "/v1//jobs", "/v1/jobs/", "/V1/jobs", "/v1/jobs/a/b", "/v1/../etc/passwd",
                                        "/v1/%2e%2e/%2e%2e/etc/passwd", "/v1%2Fjobs", "/.git/config", "//v1/jobs"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) is_problem(get(paths[i]), 404, "not-found");
}

Test(conventions, a_wrong_method_is_405_and_says_what_is_allowed)
{
    struct reply *r = put("/v1/jobs", "{}");
    is_problem(r, 405, "method-not-allowed");
    cr_assert_str_eq(header_of(r, "Allow"), "GET, HEAD, POST, OPTIONS");
    r = call(&(struct call){.method = "POST", .path = "/healthz", .body = "{}"});
    expect(r, 405);
    cr_assert_str_eq(header_of(r, "Allow"), "GET, HEAD, OPTIONS");
    static const char *const odd[] = {"TRACE", "BREW", "PROPFIND", "get"};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++) expect(call(&(struct call){.method = odd[i], .path = "/v1/jobs"}), 405);
}

Test(conventions, without_a_key_it_is_401)
{
    struct reply *r = call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = ""});
    is_problem(r, 401, "unauthenticated");
    cr_assert_not_null(strstr(header_of(r, "WWW-Authenticate"), "Bearer"));
}

Test(conventions, a_key_that_is_none_is_401)
{
    static const char *const keys[] = {"x", "mk_", "mk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "'; drop table keys; --",
                                       "null", "Bearer", "\xC3\xA4"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct reply *r = call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = keys[i]});
        is_problem(r, 401, "unauthenticated");
        cr_assert_not_null(header_of(r, "WWW-Authenticate"));
        cr_assert_null(strstr(r->body, keys[2] + 3), "the key is not given back");
    }
}

static struct reply *with_authorization(const char *value)
{
    return call(&(struct call){.method = "GET", .path = "/v1/jobs", .key = "", .headers = (const char *const[]){text("Authorization: %s", value), NULL}});
}

Test(conventions, the_scheme_may_be_written_in_any_case_and_no_other_is_taken)
{
    const char *key = client_instance()->key;
    expect(with_authorization(text("bearer %s", key)), 200);
    expect(with_authorization(text("BEARER   %s  ", key)), 200);
    expect(with_authorization(key), 401);
    expect(with_authorization(text("Token %s", key)), 401);
    expect(with_authorization(text("Basic %s", key)), 401);
    expect(with_authorization("Bearer"), 401);
    expect(with_authorization(text("Bearer %sx", key)), 401);
    expect(with_authorization(text("Bearer %.*s", (int)strlen(key) - 1, key)), 401);
}

Test(conventions, two_authorizations_are_ambiguous)
{
    const char *key = client_instance()->key;
    struct reply *r = call(&(struct call){.method = "GET", .path = "/v1/jobs",
                                          .headers = (const char *const[]){text("Authorization: Bearer %s", key), NULL}});
    is_problem(r, 400, "invalid-request");
}

Test(conventions, a_key_without_the_scope_is_403)
{
    const char *key = key_with("recommend");
    struct reply *r = call(&(struct call){.method = "GET", .path = "/v1/keys", .key = key});
    is_problem(r, 403, "forbidden");
}

Test(conventions, what_is_not_there_is_404)
{
    is_problem(get("/v1/jobs/job_nope"), 404, "not-found");
}

/* --- request ids */

Test(conventions, every_answer_has_a_request_id)
{
    struct reply *a = get("/healthz"), *b = get("/healthz");
    cr_assert_str_neq(header_of(a, "X-Request-Id"), header_of(b, "X-Request-Id"));
    static const char *const kept[] = {"abc-123", "01234567-89ab-cdef-0123-456789abcdef", "a"};
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++) {
        struct reply *r = call(&(struct call){.method = "GET", .path = "/nowhere", .headers = (const char *const[]){text("X-Request-Id: %s", kept[i]), NULL}});
        cr_assert_str_eq(header_of(r, "X-Request-Id"), kept[i]);
    }
    char endless[3000];
    memset(endless, 'a', sizeof endless);
    static const char *const replaced[] = {"a b", "<script>", "a\"b", "event=forged", "\xC3\xA4"};
    for (size_t i = 0; i <= sizeof replaced / sizeof replaced[0]; i++) {
        const char *sent = i < sizeof replaced / sizeof replaced[0] ? replaced[i] : text("%.*s", 2999, endless);
        struct reply *r = call(&(struct call){.method = "GET", .path = "/healthz", .headers = (const char *const[]){text("X-Request-Id: %s", sent), NULL}});
        if (strchr(sent, '=') == NULL) cr_assert_str_neq(header_of(r, "X-Request-Id"), sent);
        cr_assert_lt(strlen(header_of(r, "X-Request-Id")), 200);
    }
}

/* --- HEAD and OPTIONS */

Test(conventions, head_is_get_without_the_body)
{
    static const char *const paths[] = {"/healthz", "/v1/jobs", "/openapi.yaml", "/nowhere", "/v1/jobs/job_nope"};
    for (size_t i = 0; i < sizeof paths / sizeof paths[0]; i++) {
        struct reply *g = get(paths[i]), *h = head(paths[i]);
        expect(h, g->status);
        cr_assert_str_eq(h->type, g->type);
        cr_assert_eq(h->n, 0);
        cr_assert_str_eq(header_of(h, "Content-Length"), header_of(g, "Content-Length"), "%s", paths[i]);
    }
    expect(call(&(struct call){.method = "HEAD", .path = "/v1/jobs", .key = ""}), 401);
}

Test(conventions, options_tells_the_methods_without_a_key)
{
    struct reply *r = call(&(struct call){.method = "OPTIONS", .path = "/v1/jobs", .key = ""});
    expect(r, 204);
    cr_assert_str_eq(header_of(r, "Allow"), "GET, HEAD, POST, OPTIONS");
    expect(call(&(struct call){.method = "OPTIONS", .path = "/nowhere", .key = ""}), 404);
    const char *all = "OPTIONS * HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", *answer = raw_exchange(all, strlen(all), 30);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 204", 12), 0, "%s", answer);
}

/* --- bodies */

Test(conventions, json_that_is_none_is_400_with_line_and_column)
{
    struct reply *r = post("/v1/jobs", "{\n  \"kind\": train\n}");
    is_problem(r, 400, "invalid-request");
    cr_assert_not_null(strstr(text_at(r, "/detail"), "line 2, column 11"), "%s", r->body);
    static const char *const bad[] = {"{", "[1,]", "{\"kind\":\"a\",}", "nul", "{\"kind\":\"a\"} x", "{\"kind\":1e400}", "{'kind':1}",
                                      "{\"kind\":\"\xFF\"}", "{\"kind\":\"\\u0000\"}", "{\"kind\":\"\\ud800\"}", "\xEF\xBB\xBF{}", "{\"kind\":1,\"kind\":2}"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        r = post("/v1/jobs", bad[i]);
        is_problem(r, 400, "invalid-request");
        cr_assert_not_null(strstr(text_at(r, "/detail"), "line 1, column "), "%s: %s", bad[i], r->body);
    }
}

Test(conventions, a_body_nested_past_all_reason_is_400)
{
    char bomb[20000];
    memset(bomb, '[', sizeof bomb);
    struct reply *r = call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = bomb, .n = sizeof bomb});
    is_problem(r, 400, "invalid-request");
}

Test(conventions, a_missing_body_is_400)
{
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs"}), 400, "invalid-request");
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = ""}), 400, "invalid-request");
}

Test(conventions, a_body_that_is_no_object_is_400_at_its_root)
{
    expect_fault(post("/v1/jobs", "[]"), 400, "");
    expect_fault(post("/v1/jobs", "\"train.segments\""), 400, "");
    expect_fault(post("/v1/jobs", "null"), 400, "");
}

Test(conventions, wrong_missing_and_unknown_fields_are_pointed_at_all_at_once)
{
    struct reply *r = post("/v1/jobs", "{\"params\":[],\"nkid\":\"x\",\"a/b~c\":1}");
    is_problem(r, 400, "invalid-request");
    cr_assert(has_fault(r, "/kind") && has_fault(r, "/params") && has_fault(r, "/nkid") && has_fault(r, "/a~1b~0c"), "%s", r->body);
    cr_assert_eq(count_at(r, "/errors"), 4);
}

Test(conventions, a_wrong_media_type_is_415)
{
    static const char *const types[] = {"text/plain", "application/xml", "application/x-www-form-urlencoded", "json", "application/jsonx", ""};
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "{}", .type = types[i]}), 415, "unsupported-media-type");
    expect(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "{}", .type = "application/json; charset=utf-8"}), 400);
    expect(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "{}", .type = "Application/JSON"}), 400);
}

struct endless {
    size_t left;
};
static size_t blanks(void *arg, char *to, size_t cap)
{
    struct endless *e = arg;
    size_t n = e->left < cap ? e->left : cap;
    memset(to, ' ', n);
    e->left -= n;
    return n;
}

Test(conventions, a_body_that_is_too_large_is_413_however_it_is_sent)
{
    size_t n = 3 << 20;
    char *big = calloc(1, n + 1);
    memset(big, ' ', n);
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = big, .n = n}), 413, "too-large");
    free(big);
    struct endless e = {20 << 20};
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .source = blanks, .source_arg = &e}), 413, "too-large");
}

Test(conventions, a_gzipped_body_is_taken)
{
    expect_fault(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "{\"kind\":\"train.nothing\"}", .gzip = true}), 400, "/kind");
}

Test(conventions, a_gzip_bomb_is_413)
{
    size_t n = 64 << 20;
    char *bomb = calloc(1, n);
    memset(bomb, ' ', n);
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = bomb, .n = n, .gzip = true}), 413, "too-large");
    free(bomb);
}

Test(conventions, a_damaged_gzip_body_is_400_and_another_coding_415)
{
    static const char *const gzip[] = {"Content-Encoding: gzip", NULL}, *const brotli[] = {"Content-Encoding: br", NULL};
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "{\"kind\":\"a\"}", .headers = gzip}), 400, "invalid-request");
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "\x1f\x8b\x08\x00\x00", .n = 5, .headers = gzip}), 400, "invalid-request");
    is_problem(call(&(struct call){.method = "POST", .path = "/v1/jobs", .body = "x", .headers = brotli}), 415, "unsupported-media-type");
}

Test(conventions, large_answers_are_gzipped_for_those_who_accept_it)
{
    struct reply *plain = get("/openapi.yaml"), *zipped = call(&(struct call){.method = "GET", .path = "/openapi.yaml", .accept_gzip = true});
    cr_assert_null(header_of(plain, "Content-Encoding"));
    cr_assert_str_eq(header_of(zipped, "Content-Encoding"), "gzip");
    cr_assert_not_null(header_of(zipped, "Vary"));
    cr_assert(zipped->n == plain->n && memcmp(zipped->body, plain->body, plain->n) == 0);
    struct reply *refused = call(&(struct call){.method = "GET", .path = "/openapi.yaml", .headers = (const char *const[]){"Accept-Encoding: gzip;q=0, br", NULL}});
    cr_assert_null(header_of(refused, "Content-Encoding"));
    cr_assert_null(header_of(call(&(struct call){.method = "GET", .path = "/healthz", .accept_gzip = true}), "Content-Encoding"), "under 1 KiB it does not pay");
}

/* --- parameters */

Test(conventions, unknown_and_repeated_query_parameters_are_400)
{
    struct reply *r = get("/v1/jobs?limit=5&ofset=3&page=1");
    is_problem(r, 400, "invalid-request");
    cr_assert(has_fault(r, "?ofset") && has_fault(r, "?page") && !has_fault(r, "?limit"), "%s", r->body);
    expect_fault(get("/v1/jobs?limit=5&limit=6"), 400, "?limit");
    expect_fault(get("/healthz?x"), 400, "?x");
}

Test(conventions, limits_are_whole_numbers_from_1_to_1000)
{
    static const char *const bad[] = {"-1", "0", "1001", "1e3", "+5", "5.0", "0x10", "%205", "5%20", "", "2147483648", "9223372036854775808",
                                      "99999999999999999999999", "1000000000", "NaN", "five", "%00", "5%00"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_fault(get(text("/v1/jobs?limit=%s", bad[i])), 400, "?limit");
    expect(get("/v1/jobs?limit=1"), 200);
    expect(get("/v1/jobs?limit=1000"), 200);
}

Test(conventions, a_cursor_that_we_did_not_give_is_400)
{
    static const char *const bad[] = {"x", "AAAA", "1", "%FF", "..%2F..", "bnVsbA"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) expect_fault(get(text("/v1/jobs?cursor=%s", bad[i])), 400, "?cursor");
}

Test(conventions, words_are_from_their_list)
{
    expect_fault(get("/v1/jobs?state=sleeping"), 400, "?state");
    expect_fault(get("/v1/jobs?state=Queued"), 400, "?state");
    expect(get("/v1/jobs?state=queued"), 200);
}

Test(conventions, broken_percent_encodings_and_bytes_are_400)
{
    static const char *const bad[] = {"/v1/jobs/%zz", "/v1/jobs/%", "/v1/jobs/%4", "/v1/jobs/%00", "/v1/jobs/a%00b", "/v1/jobs/%FF", "/v1/jobs/%C3",
                                      "/v1/jobs/%ED%A0%80", "/v1/jobs/a%0Ab", "/v1/jobs/%7F", "/v1/jobs/%C2%85"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) is_problem(get(bad[i]), 400, "invalid-request");
    char id[202];
    memset(id, 'x', sizeof id);
    is_problem(get(text("/v1/jobs/%.*s", 200, id)), 404, "not-found");
    is_problem(get(text("/v1/jobs/%.*s", 201, id)), 400, "invalid-request");
}

/* --- CORS */

Test(conventions, cors_is_off_until_origins_are_configured)
{
    static const char *const origin[] = {"Origin: https://shop.example", "Access-Control-Request-Method: GET", NULL};
    struct reply *r = call(&(struct call){.method = "GET", .path = "/healthz", .headers = origin});
    cr_assert_null(header_of(r, "Access-Control-Allow-Origin"));
    r = call(&(struct call){.method = "OPTIONS", .path = "/v1/jobs", .key = "", .headers = origin});
    cr_assert_null(header_of(r, "Access-Control-Allow-Origin"));
    cr_assert_null(header_of(r, "Access-Control-Allow-Methods"));
}

/* --- framing, byte by byte */

static int raw_status(const char *bytes, size_t n)
{
    int status = 0;
    const char *answer = raw_exchange(bytes, n, 30);
    if (sscanf(answer, "HTTP/1.%*c %d", &status) != 1) status = 0;
    return status;
}
#define RAW(literal) raw_status(literal, sizeof(literal) - 1)

Test(conventions, framing_that_two_readers_read_differently_is_refused_and_the_connection_closed)
{
    cr_assert_eq(RAW("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}"), 400);
    cr_assert_eq(RAW("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n"), 400);
    cr_assert_eq(RAW("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"), 501);
    cr_assert_eq(RAW("GET /healthz HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n"), 400);
    cr_assert_eq(RAW("GET /heal\0thz HTTP/1.1\r\nHost: x\r\n\r\n"), 400);
    cr_assert_eq(RAW("GET /healthz HTTP/1.1\r\nHost: x\r\nX-A: b\0c\r\n\r\n"), 400);
    cr_assert_eq(RAW("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 18446744073709551615\r\n\r\n"), 413);
    cr_assert_eq(RAW("GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n"), 400);
    const char *two = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n";
    const char *answer = raw_exchange(two, strlen(two), 30);
    cr_assert_null(strstr(answer + 9, "HTTP/1.1 200"), "what follows ambiguous framing is not answered: %s", answer);
}

Test(conventions, pipelined_requests_are_answered_in_order)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    for (int i = 0; i < 50; i++)
        buf_printf(&b, "GET /%s HTTP/1.1\r\nHost: x\r\nX-Request-Id: n%d\r\nAuthorization: Bearer %s\r\n%s\r\n", i % 3 == 0 ? "healthz" : i % 3 == 1 ? "nowhere" : "v1/jobs?limit=1",
                   i, client_instance()->key, i == 49 ? "Connection: close\r\n" : "");
    const char *at = raw_exchange(b.data, b.len, 60);
    buf_done(&b);
    for (int i = 0; i < 50; i++) {
        const char *id = text("n%d\r\n", i);
        at = strcasestr(at, "X-Request-Id: ");
        cr_assert(at != NULL && strncmp(at + 14, id, strlen(id)) == 0, "answer %d", i);
        at += 14;
    }
}

Test(conventions, expect_100_is_answered_before_the_body_and_a_refusal_instead_of_it)
{
    const char *key = client_instance()->key;
    const char *ask = text("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n", key);
    const char *answer = raw_exchange(ask, strlen(ask), 1);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 100", 12), 0, "%s", answer);
    ask = text("POST /v1/jobs HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nContent-Length: 99999999\r\nExpect: 100-continue\r\n\r\n", key);
    answer = raw_exchange(ask, strlen(ask), 1);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 413", 12), 0, "%s", answer);
    ask = "POST /v1/jobs HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n";
    answer = raw_exchange(ask, strlen(ask), 1);
    cr_assert_eq(strncmp(answer, "HTTP/1.1 401", 12), 0, "%s", answer);
}

Test(conventions, header_bombs_and_endless_addresses_are_refused)
{
    struct buf b;
    buf_init(&b, 4 << 20);
    buf_str(&b, "GET /healthz HTTP/1.1\r\nHost: x\r\n");
    for (int i = 0; i < 3000; i++) buf_printf(&b, "X-H-%d: value\r\n", i);
    buf_str(&b, "\r\n");
    cr_assert_eq(raw_status(b.data, b.len), 431);
    buf_clear(&b);
    buf_str(&b, "GET /");
    for (int i = 0; i < 60000; i++) buf_char(&b, 'a');
    buf_str(&b, " HTTP/1.1\r\nHost: x\r\n\r\n");
    cr_assert_eq(raw_status(b.data, b.len), 414);
    buf_done(&b);
    expect(get("/healthz"), 200);
}

/* --- the contract itself */

Test(conventions, the_contract_is_served_as_it_is_in_the_repository)
{
    struct reply *r = call(&(struct call){.method = "GET", .path = "/openapi.yaml", .key = ""});
    expect(r, 200);
    FILE *f = fopen("openapi/openapi.yaml", "re");
    cr_assert_not_null(f);
    char *file = calloc(1, r->n + 2);
    cr_assert_eq(fread(file, 1, r->n + 1, f), r->n);
    cr_assert_eq(memcmp(file, r->body, r->n), 0);
    free(file);
    fclose(f);
}

Test(conventions, health_needs_no_key)
{
    struct reply *r = call(&(struct call){.method = "GET", .path = "/healthz", .key = ""});
    expect(r, 200);
    expect(call(&(struct call){.method = "GET", .path = "/readyz", .key = ""}), 200);
}
