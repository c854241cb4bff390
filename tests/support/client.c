#include "client.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include "meros/codec/gzip.h"

/* Everything that lives until the test ends is held here, so that a leak detector finds it in use. */
static struct {
    void **held;
    size_t n, cap;
} kept;

bool keep(void *memory)
{
    if (kept.n == kept.cap) {
        kept.cap = kept.cap * 2 + 64;
        kept.held = realloc(kept.held, kept.cap * sizeof *kept.held);
        cr_assert_not_null(kept.held);
    }
    kept.held[kept.n++] = memory;
    return memory != NULL;
}

const char *text(const char *format, ...)
{
    char *out = NULL;
    va_list ap;
    va_start(ap, format);
    cr_assert_geq(vasprintf(&out, format, ap), 0);
    va_end(ap);
    keep(out);
    return out;
}

static const struct instance *used;

void client_use(const struct instance *s)
{
    used = s;
}

const struct instance *client_instance(void)
{
    return used != NULL ? used : instance_shared();
}

const struct openapi *client_contract(void)
{
    static struct openapi *api;
    char why[600] = "";
    if (api == NULL) api = openapi_load("openapi/openapi.yaml", why, sizeof why);
    if (access("openapi/openapi.yaml", F_OK) != 0) return NULL;
    cr_assert_not_null(api, "openapi/openapi.yaml: %s", why);
    return api;
}

void client_visits_file(const char *path)
{
    setenv("TEST_VISITS", path, 1);
}

static void visit(const char *operation)
{
    const char *path = getenv("TEST_VISITS");
    char line[200];
    if (path == NULL || operation == NULL) return;
    int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644); /* appended in one write: processes do not mix */
    int n = snprintf(line, sizeof line, "%s\n", operation);
    if (fd >= 0 && write(fd, line, (size_t)n) != n) perror(path);
    if (fd >= 0) close(fd);
}

/* --- curl */

struct transfer {
    const struct call *call;
    struct reply *reply;
    size_t n_headers;
    struct buf body;
};

static size_t on_header(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    size_t length = size * n;
    char *colon = memchr(p, ':', length);
    if (length > 5 && strncmp(p, "HTTP/", 5) == 0) t->n_headers = 0; /* of a 100 Continue before */
    if (colon != NULL && t->n_headers + 2 < sizeof t->reply->headers / sizeof t->reply->headers[0]) {
        struct str value = {colon + 1, length - (size_t)(colon + 1 - p)};
        while (value.n > 0 && (value.p[value.n - 1] == '\r' || value.p[value.n - 1] == '\n')) value.n--;
        value = str_trim(value);
        t->reply->headers[t->n_headers++] = text("%.*s", (int)(colon - p), p);
        t->reply->headers[t->n_headers++] = text("%.*s", (int)value.n, value.p);
    }
    t->reply->headers[t->n_headers] = NULL;
    return length;
}

static size_t on_body(char *p, size_t size, size_t n, void *arg)
{
    struct transfer *t = arg;
    if (t->call->sink != NULL && !t->call->sink(t->call->sink_arg, p, size * n)) return 0;
    buf_append(&t->body, p, size * n);
    return t->body.failed ? 0 : size * n;
}

static size_t on_source(char *to, size_t size, size_t n, void *arg)
{
    const struct call *c = arg;
    return c->source(c->source_arg, to, size * n);
}

static struct curl_slist *headers_of(const struct call *c, const char *type)
{
    const char *key = c->key != NULL ? c->key : client_instance()->key;
    struct curl_slist *list = curl_slist_append(NULL, "Expect:");
    if (key[0] != '\0') list = curl_slist_append(list, text("Authorization: Bearer %s", key));
    list = curl_slist_append(list, type != NULL ? text("Content-Type: %s", type) : "Content-Type:");
    if (c->gzip) list = curl_slist_append(list, "Content-Encoding: gzip");
    if (c->accept_gzip) list = curl_slist_append(list, "Accept-Encoding: gzip");
    if (c->source != NULL) list = curl_slist_append(list, "Transfer-Encoding: chunked");
    for (size_t i = 0; c->headers != NULL && c->headers[i] != NULL; i++) list = curl_slist_append(list, c->headers[i]);
    return list;
}

static void decode_gzip(struct reply *r)
{
    struct gunzip *g = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    struct buf out;
    size_t used_in = 0;
    buf_init(&out, 256 << 20);
    cr_assert_eq(gunzip_new(256 << 20, 1e9, &g, &err), MEROS_OK);
    for (size_t got = 1; used_in < r->n || got > 0;) {
        char block[65536];
        size_t in = r->n - used_in;
        got = sizeof block;
        cr_assert_eq(gunzip_step(g, r->body + used_in, &in, block, &got, &err), MEROS_OK, "%s: %s", r->what, err.detail);
        used_in += in;
        buf_append(&out, block, got);
    }
    cr_assert(gunzip_ended(g), "%s: the gzipped answer is cut short", r->what);
    gunzip_free(g);
    r->body = buf_take(&out, &r->n);
    keep(r->body);
}

static void check(const struct call *c, struct reply *r, const char *type, struct str sent)
{
    struct exchange x = {.method = c->method, .target = c->path, .request_type = type, .request_body = sent, .status = r->status,
                         .headers = r->headers, .body = {r->body, r->n}};
    char why[1000] = "";
    if (client_contract() == NULL) return;
    bool ok = openapi_check(client_contract(), &x, &r->operation, why, sizeof why);
    if (r->status < 400) visit(r->operation); /* an operation that was only ever refused was not visited */
    if (!ok)
        cr_assert_fail("%s answered %d, not as openapi/openapi.yaml has it (%s): %s\n%.1500s\nto %.*s", r->what, r->status,
                       r->operation == NULL ? "no operation" : r->operation, why, r->body, (int)(sent.n < 500 ? sent.n : 500),
                       sent.n > 0 ? sent.p : "");
}

struct reply *call(const struct call *c)
{
    static CURL *curl;
    struct reply *r = calloc(1, sizeof *r);
    struct transfer t = {.call = c, .reply = r};
    bool sends = c->body != NULL || c->source != NULL;
    struct str sent = {c->body, c->body == NULL ? 0 : c->n > 0 ? c->n : strlen(c->body)};
    const char *type = c->type != NULL ? (c->type[0] != '\0' ? c->type : NULL) : sends ? "application/json" : NULL;
    struct buf zipped;
    cr_assert(keep(r));
    if (curl == NULL) curl = curl_easy_init();
    curl_easy_reset(curl);
    buf_init(&t.body, 256 << 20);
    buf_init(&zipped, 256 << 20);
    r->what = text("%s %s", c->method, c->path);
    curl_easy_setopt(curl, CURLOPT_URL, text("http://127.0.0.1:%d%s", client_instance()->port, c->path));
    curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L);
    curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
    curl_easy_setopt(curl, CURLOPT_TIMEOUT_MS, (long)((c->timeout > 0 ? c->timeout : 60) * 1000));
    curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, on_header);
    curl_easy_setopt(curl, CURLOPT_HEADERDATA, &t);
    curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, on_body);
    curl_easy_setopt(curl, CURLOPT_WRITEDATA, &t);
    if (c->source != NULL) {
        curl_easy_setopt(curl, CURLOPT_POST, 1L);
        curl_easy_setopt(curl, CURLOPT_READFUNCTION, on_source);
        curl_easy_setopt(curl, CURLOPT_READDATA, c);
    } else if (c->body != NULL) {
        struct str wire = sent;
        if (c->gzip) {
            cr_assert(gzip_all(sent.p, sent.n, 6, &zipped));
            wire = (struct str){zipped.data, zipped.len};
        }
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, wire.n > 0 ? wire.p : "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)wire.n);
    } else if (strcmp(c->method, "POST") == 0 || strcmp(c->method, "PUT") == 0 || strcmp(c->method, "PATCH") == 0) {
        curl_easy_setopt(curl, CURLOPT_POSTFIELDS, "");
        curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE, 0L);
    }
    if (strcmp(c->method, "HEAD") == 0) curl_easy_setopt(curl, CURLOPT_NOBODY, 1L);
    else curl_easy_setopt(curl, CURLOPT_CUSTOMREQUEST, c->method);
    struct curl_slist *list = headers_of(c, type);
    curl_easy_setopt(curl, CURLOPT_HTTPHEADER, list);
    double began = seconds_now();
    CURLcode rc = curl_easy_perform(curl);
    long status = 0;
    r->seconds = seconds_now() - began;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
    curl_slist_free_all(list);
    r->status = rc == CURLE_OK || (c->sink != NULL && rc == CURLE_WRITE_ERROR) ? (int)status : 0;
    r->error = r->status != 0 ? "" : curl_easy_strerror(rc);
    r->body = buf_take(&t.body, &r->n);
    cr_assert(keep(r->body));
    buf_done(&zipped);
    r->type = header_of(r, "Content-Type") == NULL ? "" : header_of(r, "Content-Type");
    if (r->status == 0) {
        if (!c->may_fail) cr_assert_fail("%s: %s", r->what, r->error);
        return r;
    }
    if (header_of(r, "Content-Encoding") != NULL && strcmp(header_of(r, "Content-Encoding"), "gzip") == 0 && r->n > 0) decode_gzip(r);
    struct meros_err err = MEROS_ERR_INIT;
    struct json *v = NULL;
    if (strstr(r->type, "json") != NULL && strstr(r->type, "ndjson") == NULL && r->n > 0) {
        cr_assert_eq(json_parse_stored(r->body, r->n, &v, &err), MEROS_OK, "%s: %s\n%.600s", r->what, err.detail, r->body);
        r->json = v;
    }
    if (!c->unchecked) check(c, r, type, sent);
    return r;
}

/* --- looking at answers */

const char *header_of(const struct reply *r, const char *name)
{
    for (size_t i = 0; r->headers[i] != NULL; i += 2)
        if (strcasecmp(r->headers[i], name) == 0) return r->headers[i + 1];
    return NULL;
}

const struct json *at_json(const struct json *v, const char *pointer)
{
    while (v != NULL && *pointer == '/') {
        char name[256];
        size_t n = strcspn(++pointer, "/");
        snprintf(name, sizeof name, "%.*s", (int)n, pointer);
        v = json_kind(v) == JSON_KIND_ARRAY ? json_at(v, (size_t)strtoul(name, NULL, 10)) : json_get(v, name);
        pointer += n;
    }
    return v;
}

const struct json *at(const struct reply *r, const char *pointer)
{
    return at_json(r->json, pointer);
}

static const struct json *need(const struct reply *r, const char *pointer, enum json_kind kind, const char *what)
{
    const struct json *v = at(r, pointer);
    if (v == NULL || json_kind(v) != kind) cr_assert_fail("%s: %s is not %s in %.1500s", r->what, pointer, what, r->body);
    return v;
}

const char *text_at(const struct reply *r, const char *pointer)
{
    return json_str(need(r, pointer, JSON_KIND_STRING, "a string")).p;
}

int64_t int_at(const struct reply *r, const char *pointer)
{
    return json_int(need(r, pointer, JSON_KIND_NUMBER, "a number"));
}

double num_at(const struct reply *r, const char *pointer)
{
    return json_num(need(r, pointer, JSON_KIND_NUMBER, "a number"));
}

bool bool_at(const struct reply *r, const char *pointer)
{
    return json_bool(need(r, pointer, JSON_KIND_BOOL, "true or false"));
}

size_t count_at(const struct reply *r, const char *pointer)
{
    const struct json *v = at(r, pointer);
    if (v == NULL) cr_assert_fail("%s: there is no %s in %.1500s", r->what, pointer, r->body);
    return json_count(v);
}

bool null_at(const struct reply *r, const char *pointer)
{
    const struct json *v = at(r, pointer);
    return v != NULL && json_kind(v) == JSON_KIND_NULL;
}

bool has_fault(const struct reply *r, const char *pointer)
{
    const struct json *errors = at(r, "/errors");
    for (size_t i = 0; i < json_count(errors); i++)
        if (str_is(json_str(json_get(json_at(errors, i), "pointer")), pointer)) return true;
    return false;
}

/* --- what many tests do */

const char *key_with(const char *scopes)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_str(&b, "{\"name\":\"test\",\"scopes\":[\"");
    for (; *scopes; scopes++) buf_str(&b, *scopes == ',' ? "\",\"" : (char[]){*scopes, '\0'});
    buf_str(&b, "\"]}");
    struct reply *r = post("/v1/keys", b.data);
    buf_done(&b);
    expect(r, 201);
    return text_at(r, "/key");
}

struct reply *import_(const char *dataset, const char *query, const char *body)
{
    const char *type = body[0] == '{' ? "application/x-ndjson" : "text/csv";
    const char *path = text("/v1/imports/%s%s%s", dataset, query != NULL && query[0] != '\0' ? "?" : "", query != NULL ? query : "");
    return call(&(struct call){.method = "POST", .path = path, .type = type, .body = body});
}

struct reply *await_job(const char *id, double seconds)
{
    const char *path = text("/v1/jobs/%s", id);
    for (double until = seconds_now() + seconds;; pause_ms(50)) {
        struct reply *r = get(path);
        expect(r, 200);
        const char *state = text_at(r, "/state");
        if (strcmp(state, "queued") != 0 && strcmp(state, "running") != 0) return r;
        if (seconds_now() > until) cr_assert_fail("the job did not end in %g s: %s", seconds, r->body);
    }
}

struct reply *run_job(const char *json)
{
    struct reply *r = post("/v1/jobs", json);
    expect(r, 202);
    r = await_job(text_at(r, "/id"), 120);
    cr_assert_str_eq(text_at(r, "/state"), "succeeded", "%s", r->body);
    return r;
}

int socket_exchange(int port, const void *bytes, size_t n, char *answer, size_t cap)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval patience = {.tv_sec = EXCHANGE_PATIENCE_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), status = 0;
    size_t length = 0;
    if (fd < 0) return 0;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0 && send(fd, bytes, n, MSG_NOSIGNAL) == (ssize_t)n)
        for (ssize_t got; length + 1 < cap && (got = recv(fd, answer + length, cap - 1 - length, 0)) > 0;) length += (size_t)got;
    close(fd);
    answer[length] = '\0';
    const char *end = strstr(answer, "\r\n\r\n");
    return end != NULL && sscanf(answer, "HTTP/1.1 %d", &status) == 1 ? status : 0;
}

const char *raw_exchange(const void *bytes, size_t n, double seconds)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)client_instance()->port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct buf in;
    buf_init(&in, 16 << 20);
    cr_assert(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0);
    const char *p = bytes;
    for (ssize_t sent; n > 0 && (sent = send(fd, p, n, MSG_NOSIGNAL)) > 0; n -= (size_t)sent) p += sent;
    for (ssize_t got = 1; got > 0;) {
        struct pollfd wait = {.fd = fd, .events = POLLIN};
        if (poll(&wait, 1, seconds == SILENT ? 300 : in.len == 0 ? 60000 : (int)(seconds * 1000)) <= 0) break;
        char *to = buf_reserve(&in, 65536);
        got = to == NULL ? 0 : recv(fd, to, 65536, 0);
        if (got > 0) in.len += (size_t)got;
    }
    close(fd);
    buf_append(&in, "", 1);
    size_t length;
    char *answer = buf_take(&in, &length);
    cr_assert(keep(answer));
    return answer;
}
