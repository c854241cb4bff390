/* Every operation met with what nobody should send: whatever it is, the answer is one that the contract documents, and
 * never the service's own fault (5xx). */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "client.h"

/* The operation's path with ids that may or may not exist. */
static const char *path_of(const struct operation *op)
{
    struct buf b;
    buf_init(&b, 1000);
    for (const char *p = op->path; *p; p++) {
        if (*p == '{') {
            buf_str(&b, strncmp(p, "{dataset}", 9) == 0 ? "orders" : "hostile");
            p = strchr(p, '}');
        } else {
            buf_char(&b, *p);
        }
    }
    const char *path = text("%s", b.data);
    buf_done(&b);
    return path;
}

static const char *method_of(const struct operation *op)
{
    static const char *const upper[] = {"GET", "PUT", "POST", "DELETE", "PATCH"};
    for (size_t i = 0; i < sizeof upper / sizeof upper[0]; i++)
        if (strcasecmp(upper[i], op->method) == 0) return upper[i];
    return op->method;
}

/* --- query parameters */

static const struct json *query_parameter(const struct operation *op, size_t i)
{
    return openapi_resolve(client_contract(), json_at(json_get(op->node, "parameters"), i));
}

static void try_parameters(void *arg, const struct operation *op)
{
    static const char *const limits[] = {"-1", "0", "1001", "1e3", "9223372036854775808", "", "%00"};
    int *tried = arg;
    struct reply *r = call(&(struct call){.method = method_of(op), .path = text("%s?no_such_parameter=1", path_of(op))});
    expect_fault(r, 400, "?no_such_parameter");
    for (size_t p = 0; p < json_count(json_get(op->node, "parameters")); p++) {
        const struct json *parameter = query_parameter(op, p);
        if (!str_is(json_str(json_get(parameter, "in")), "query")) continue;
        struct str name = json_str(json_get(parameter, "name"));
        for (size_t i = 0; str_is(name, "limit") && i < sizeof limits / sizeof limits[0]; i++)
            expect_fault(call(&(struct call){.method = method_of(op), .path = text("%s?limit=%s", path_of(op), limits[i])}), 400, "?limit");
        expect_fault(call(&(struct call){.method = method_of(op), .path = text("%s?%s=a&%s=b", path_of(op), name.p, name.p)}), 400, text("?%s", name.p));
        expect_fault(call(&(struct call){.method = method_of(op), .path = text("%s?%s=%%FF", path_of(op), name.p)}), 400, text("?%s", name.p));
        ++*tried;
    }
}

Test(hostile, no_operation_ignores_a_parameter_or_takes_a_wrong_one, .timeout = 500)
{
    int tried = 0;
    openapi_each(client_contract(), try_parameters, &tried);
    cr_assert_gt(tried, 15);
}

/* --- JSON bodies: the documented example with one value after the other replaced by something else */

static const char *const nasty[] = {
    "null", "true", "false", "0", "-1", "1.5", "1e308", "-1e308", "9223372036854775807", "-9223372036854775808", "\"\"", "\" \"", "\"x\"", "[]", "{}", "[[[[]]]]",
    "{\"a\":{\"b\":[null]}}", "[null]", "[1,\"a\",{}]", "\"'; drop table customers; --\"", "\"\\\\\"", "\"$1\"", "\"\xF0\x9F\x98\x80\"", "\"\\n\\t\\u0001\"",
    "\"2011-12-09T12:50:00Z\"", "\"9999-12-31T23:59:59Z\"", "\"0001-01-01\"", "\"NaN\"", NULL /* 100,000 letters */};
enum { NASTY = sizeof nasty / sizeof nasty[0] };
static char endless[100003];

/* Writes v; the value number `*at` of a walk over the tree becomes `with`, or is left out with its name where that is "". */
static void write_changed(struct jsonw *w, const struct json *v, int *at, const char *with)
{
    const void *it = NULL;
    struct str name;
    const struct json *member;
    if ((*at)-- == 0) {
        jsonw_raw(w, str_of(with));
        return;
    }
    if (json_kind(v) == JSON_KIND_OBJECT) {
        jsonw_begin_object(w);
        while (json_next(v, &it, &name, &member)) {
            if (*at == 0 && with[0] == '\0') {
                --*at;
                continue;
            }
            jsonw_key_str(w, name);
            write_changed(w, member, at, with);
        }
        jsonw_end_object(w);
    } else if (json_kind(v) == JSON_KIND_ARRAY) {
        jsonw_begin_array(w);
        for (size_t i = 0; i < json_count(v); i++) write_changed(w, json_at(v, i), at, with);
        jsonw_end_array(w);
    } else {
        jsonw_value(w, v);
    }
}

struct mutations {
    int sent, refused, operations;
};

static void send_changed(const struct operation *op, const char *type, const struct json *example, int at, const char *with, struct mutations *m)
{
    struct buf b;
    struct jsonw w;
    buf_init(&b, 1 << 20);
    jsonw_init(&w, &b);
    write_changed(&w, example, &at, with);
    cr_assert_not(b.failed);
    /* Calls of SDKs are answered with success whatever one message is like, so what they took says nothing. */
    const bool sdk = str_is(json_str(json_at(json_get(op->node, "tags"), 0)), "sdks");
    struct reply *r = call(&(struct call){.method = method_of(op), .path = path_of(op), .type = type, .body = b.data, .n = b.len, .unchecked = sdk});
    cr_assert_lt(r->status, 500, "%s answered %d to %.300s: %s", r->what, r->status, b.data, r->body);
    m->sent += !sdk;
    m->refused += !sdk && r->status >= 400;
    buf_done(&b);
}

static void mutate(void *arg, const struct operation *op)
{
    struct mutations *m = arg;
    const struct json *content = json_get(openapi_resolve(client_contract(), json_get(op->node, "requestBody")), "content"), *media;
    const void *it = NULL;
    struct str type;
    while (json_next(content, &it, &type, &media)) {
        const struct json *example = json_get(media, "example");
        if (strstr(type.p, "json") == NULL || strstr(type.p, "ndjson") != NULL) continue;
        if (example == NULL) example = json_get(openapi_resolve(client_contract(), json_get(media, "schema")), "example");
        if (example == NULL) { /* of several, the first */
            const void *first = NULL;
            struct str name;
            const struct json *named;
            if (json_next(json_get(media, "examples"), &first, &name, &named)) example = json_get(named, "value");
        }
        cr_assert_not_null(example, "%s has no example to begin with", op->id);
        m->operations++;
        for (int at = 0;; at++) {
            int left = at;
            struct buf sink;
            struct jsonw w;
            buf_init(&sink, 1 << 20);
            jsonw_init(&w, &sink);
            write_changed(&w, example, &left, "0");
            buf_done(&sink);
            if (left >= 0) break; /* past the last value */
            for (size_t n = 0; n < NASTY; n++) send_changed(op, type.p, example, at, nasty[n] != NULL ? nasty[n] : endless, m);
            if (at > 0) send_changed(op, type.p, example, at, "", m);
        }
    }
}

Test(hostile, every_body_with_one_value_wrong_is_answered_as_documented, .timeout = 500)
{
    struct instance s;
    struct mutations m = {0};
    memset(endless, 'x', sizeof endless - 1);
    endless[0] = endless[sizeof endless - 2] = '"';
    instance_start(&s, (const char *const[]){"MEROS_JOB_WORKERS=0", "MEROS_LOG_LEVEL=info", NULL});
    client_use(&s);
    openapi_each(client_contract(), mutate, &m);
    cr_assert(m.operations >= 5 && m.sent > 500 && m.refused > m.sent / 3, "%d operations, %d sent, %d refused", m.operations, m.sent, m.refused);
    expect(get("/readyz"), 200);
    instance_done(&s);
}

/* --- rows */

static void field(struct buf *b, const char *value, size_t n)
{
    buf_char(b, '"');
    for (size_t i = 0; i < n; i++) {
        if (value[i] == '"') buf_char(b, '"');
        buf_char(b, value[i]);
    }
    buf_char(b, '"');
}

Test(hostile, rows_with_one_value_wrong_are_all_accounted_for, .timeout = 500)
{
    static const struct {
        const char *dataset, *columns[8], *good[8];
    } sets[] = {
        {"orders", {"order_id", "customer_id", "ordered_at", "product_id", "quantity", "unit_price", "line_id", NULL}, {"h-o", "h-c", "2026-01-01", "h-p", "1", "2.5", "l"}},
        {"customers", {"customer_id", "created_at", "email", "name", "phone", "note", NULL}, {"h-c", "2026-01-01", "h@example.org", "H", "1", "x"}},
        {"products", {"product_id", "name", "category", "price", "description", "available", "note", NULL}, {"h-p", "P", "a/b", "1.5", "d", "true", "x"}},
        {"events", {"event_id", "customer_id", "type", "occurred_at", "product_id", "value", "note", NULL}, {"h-e", "h-c", "page_viewed", "2026-01-01", "h-p", "1", "x"}}};
    static const char *const values[] = {"", " ", "x", "-1", "0", "1e400", "1e308", "-1e308", "NaN", "inf", "99999999999999999999999999", "0x10", "1,5", "1.5.5", "0001-01-01", "9999-12-31",
                                         "10000-01-01", "2026-02-30", "12/31/2025 8:26", "31/12/2025", "\xFF\xFE", "\xED\xA0\x80", "a\nb", "a\tb", "\x01", "\x7F", "\\N", "\\.", "{", "null",
                                         "'; --", "$1", "a\"b", "true", "\xF0\x9F\x98\x80", "1e-400", "0.000000000000000000000001", "123456789012.123456789"};
    enum { VALUES = sizeof values / sizeof values[0] };
    for (size_t s = 0; s < sizeof sets / sizeof sets[0]; s++) {
        struct buf b;
        int rows = 0;
        buf_init(&b, 16 << 20);
        for (size_t c = 0; sets[s].columns[c] != NULL; c++) buf_printf(&b, "%s%s", c > 0 ? "," : "", sets[s].columns[c]);
        buf_char(&b, '\n');
        for (size_t wrong = 0; sets[s].columns[wrong] != NULL; wrong++)
            for (size_t v = 0; v < VALUES + 2; v++, rows++) {
                static char huge[100000];
                memset(huge, 'y', sizeof huge);
                for (size_t c = 0; sets[s].columns[c] != NULL; c++) {
                    if (c > 0) buf_char(&b, ',');
                    if (c != wrong && c == 0) buf_printf(&b, "h-%zu-%zu", wrong, v); /* distinct rows */
                    else if (c != wrong) buf_str(&b, sets[s].good[c]);
                    else if (v == VALUES) field(&b, huge, sizeof huge);
                    else if (v == VALUES + 1) field(&b, "a\0b", 3);
                    else field(&b, values[v], strlen(values[v]));
                }
                buf_char(&b, '\n');
            }
        struct reply *r = call(&(struct call){.method = "POST", .path = text("/v1/imports/%s", sets[s].dataset), .type = "text/csv", .body = b.data, .n = b.len});
        buf_done(&b);
        expect(r, 200);
        cr_assert_eq(int_at(r, "/received"), rows, "%s: %.300s", sets[s].dataset, r->body);
        cr_assert_eq(int_at(r, "/inserted") + int_at(r, "/updated") + int_at(r, "/duplicates") + int_at(r, "/rejected"), rows, "%s: %.300s", sets[s].dataset, r->body);
        cr_assert(int_at(r, "/rejected") > rows / 10 && int_at(r, "/inserted") > rows / 10, "%s: %.300s", sets[s].dataset, r->body);
    }
    expect(get("/readyz"), 200);
}

/* --- at the same time */

struct sender {
    pthread_t thread;
    const char *request;
    int status;
    char answer[4096];
};
static void *send_one(void *arg)
{
    struct sender *s = arg;
    s->status = socket_exchange(instance_shared()->port, s->request, strlen(s->request), s->answer, sizeof s->answer);
    return NULL;
}

Test(hostile, the_same_file_sent_eight_times_at_once_lands_once, .timeout = 500)
{
    enum { SENDERS = 8, LINES = 500 };
    static struct sender senders[SENDERS];
    struct buf b;
    buf_init(&b, 1 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,unit_price\n");
    for (int i = 0; i < LINES; i++) buf_printf(&b, "once-%d,once-c%d,2026-01-%02d,once-p%d,1,1\n", i / 2, i / 2 % 20, 1 + i % 28, i % 40);
    const char *request = text("POST /v1/imports/orders HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer %s\r\nContent-Type: text/csv\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s",
                               client_instance()->key, b.len, b.data);
    buf_done(&b);
    int inserted = 0, duplicates = 0;
    for (int i = 0; i < SENDERS; i++) {
        senders[i].request = request;
        cr_assert_eq(pthread_create(&senders[i].thread, NULL, send_one, &senders[i]), 0);
    }
    for (int i = 0; i < SENDERS; i++) {
        int in = 0, twice = 0;
        pthread_join(senders[i].thread, NULL);
        cr_assert_eq(senders[i].status, 200, "%s", senders[i].answer);
        const char *at_in = strstr(senders[i].answer, "\"inserted\":"), *at_twice = strstr(senders[i].answer, "\"duplicates\":");
        cr_assert(at_in != NULL && at_twice != NULL && sscanf(at_in, "\"inserted\":%d", &in) == 1 && sscanf(at_twice, "\"duplicates\":%d", &twice) == 1);
        inserted += in;
        duplicates += twice;
    }
    cr_assert(inserted == LINES && duplicates == LINES * (SENDERS - 1), "%d inserted, %d duplicates", inserted, duplicates);
    double revenue = 0;
    for (int c = 0; c < 20; c++) revenue += num_at(get(text("/v1/customers/once-c%d", c)), "/stats/revenue");
    cr_assert_eq(revenue, LINES);
}
