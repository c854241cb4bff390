#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "meros/codec/ndjson.h"

struct source {
    const char *p;
    size_t n, at, piece;
};

static enum meros_code give(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct source *s = arg;
    size_t n = s->n - s->at;
    (void)err;
    if (n > s->piece) n = s->piece;
    if (n > cap) n = cap;
    memcpy(to, s->p + s->at, n);
    s->at += n;
    *out_n = n;
    return MEROS_OK;
}

/* All records as "line:name=kind text;…\n", faults as "line!column[member]\n". */
static char *read_all(const char *p, size_t n, size_t piece)
{
    struct source s = {p, n, 0, piece};
    struct meros_err err = MEROS_ERR_INIT;
    struct ndjson_reader *r;
    struct ndjson_record rec;
    struct buf out;
    bool more;
    size_t length;
    buf_init(&out, 64 << 20);
    cr_assert_eq(ndjson_open(give, &s, &r, &err), MEROS_OK);
    for (;;) {
        cr_assert_eq(ndjson_next(r, &rec, &more, &err), MEROS_OK, "%s", err.detail);
        if (!more) break;
        if (rec.fault != NULL) {
            buf_printf(&out, "%lld!%zu[%.*s]\n", (long long)rec.line, rec.fault_column, (int)rec.fault_member.n,
                       rec.fault_member.p != NULL ? rec.fault_member.p : "");
            continue;
        }
        buf_printf(&out, "%lld:", (long long)rec.line);
        for (size_t k = 0; k < rec.n; k++) {
            buf_append(&out, rec.members[k].name.p, rec.members[k].name.n);
            buf_printf(&out, "=%d ", rec.members[k].kind);
            buf_append(&out, rec.members[k].text.p, rec.members[k].text.n);
            buf_char(&out, ';');
        }
        buf_char(&out, '\n');
    }
    ndjson_close(r);
    buf_str(&out, "");
    return buf_take(&out, &length);
}

static void expect_bytes(const char *text, size_t n, const char *want)
{
    const size_t pieces[] = {1, 5, 1 << 20};
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        char *got = read_all(text, n, pieces[k]);
        cr_expect_str_eq(got, want, "pieces of %zu of %s gave:\n%s", pieces[k], text, got);
        free(got);
    }
}

static void expect(const char *text, const char *want)
{
    expect_bytes(text, strlen(text), want);
}

static void refused(const char *line)
{
    char *got = read_all(line, strlen(line), 1 << 20);
    cr_expect(strncmp(got, "1!", 2) == 0, "%s gave %s", line, got);
    free(got);
}

Test(ndjson, gives_members_with_their_kinds)
{
    expect("{\"a\":\"x\",\"b\":-1.5e2,\"c\":true,\"d\":null,\"e\":[1, {\"f\":\"\"}],\"g\":{}}\n",
           "1:a=3 x;b=2 -1.5e2;c=1 true;d=0 null;e=4 [1, {\"f\":\"\"}];g=5 {};\n");
    expect("{}", "1:\n");
}

Test(ndjson, counts_lines_and_passes_over_blank_ones)
{
    expect("\n{\"a\":1}\r\n  \n\t{ \"a\" : 2 } \n{\"a\":3}", "2:a=2 1;\n4:a=2 2;\n5:a=2 3;\n");
    expect("", "");
    expect("\xEF\xBB\xBF{\"a\":1}", "1:a=2 1;\n");
}

Test(ndjson, decodes_escapes)
{
    expect("{\"a\\u0062\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\u20AC\\ud83d\\ude00!\"}",
           "1:ab=3 \"\\/\b\f\n\r\t\u00e9\u20ac\U0001F600!;\n");
}

Test(ndjson, goes_on_after_a_bad_line_and_says_where_it_was)
{
    expect("{\"a\":1}\n{\"b\":x}\n{\"a\":2}\n", "1:a=2 1;\n2!6[b]\n3:a=2 2;\n");
}

Test(ndjson, refuses_names_that_come_twice)
{
    expect("{\"a\":1,\"b\":2,\"a\":3}", "1!19[a]\n");
    refused("{\"a\":1,\"\\u0061\":2}");
}

Test(ndjson, refuses_what_is_not_json)
{
    static const char *const bad[] = {
        "[]", "1", "\"a\"", "{", "{\"a\"", "{\"a\":", "{\"a\":1", "{\"a\":1,}", "{,}", "{\"a\":1}}", "{\"a\":1} x", "{a:1}",
        "{'a':1}", "{\"a\":01}", "{\"a\":+1}", "{\"a\":.5}", "{\"a\":1.}", "{\"a\":1e}", "{\"a\":-}", "{\"a\":NaN}",
        "{\"a\":Infinity}", "{\"a\":tru}", "{\"a\":\"\\x\"}", "{\"a\":\"\\u12\"}", "{\"a\":\"\\ud800\"}", "{\"a\":\"\\udc00\"}",
        "{\"a\":\"\\ud800\\u0041\"}", "{\"a\":\"\\u0000\"}", "{\"a\":[\"\\u0000\"]}", "{\"a\":[1,]}", "{\"a\":[1 2]}",
        "{\"a\":{\"b\"}}", "{\"a\":\"\t\"}", "{\"a\":\"x}", "{\"a\":1e999}", "{\"a\":[1e131000]}", "{\"a\":1 \"b\":2}", "{\"a\" 1}",
        "{\"a\":\"\xFF\"}", "{\"a\":\"\xC0\x80\"}", "//x", "{\"a\":1/**/}"};
    for (size_t k = 0; k < sizeof bad / sizeof bad[0]; k++) refused(bad[k]);
}

Test(ndjson, refuses_nul_bytes)
{
    expect_bytes("{\"a\":\"\0\"}\n{}", 12, "1!1[]\n2:\n");
}

Test(ndjson, takes_values_nested_as_deep_as_json_is_and_no_deeper)
{
    char line[200] = "{\"a\":";
    for (int depth = 1; depth <= 40; depth++) {
        int opens = depth - 1; /* the object itself is the first */
        size_t n = 5;
        for (int k = 0; k < opens; k++) line[n++] = '[';
        if (opens == 0) line[n++] = '1';
        for (int k = 0; k < opens; k++) line[n++] = ']';
        line[n++] = '}';
        line[n] = '\0';
        char *got = read_all(line, n, 1 << 20);
        cr_expect_eq(strncmp(got, "1!", 2) == 0, depth > JSON_DEPTH_MAX, "depth %d gave %s", depth, got);
        free(got);
    }
}

Test(ndjson, agrees_with_json_parse_on_what_is_good)
{
    static const char *const lines[] = {"{\"a\":1.25e-3}", "{\"a\":[[],{},\"\\u00ff\"]}", "{\"\":0}", "{\"a\":-0}", "{\"a\":1e308}",
                                        "{\"a\":12345678901234567890}", "{\"a\":1e-400}", "{\"a\":\"\x7f\"}"};
    for (size_t k = 0; k < sizeof lines / sizeof lines[0]; k++) {
        struct json *tree = NULL;
        struct meros_err err = MEROS_ERR_INIT;
        bool good = json_parse(lines[k], strlen(lines[k]), &tree, &err) == MEROS_OK;
        char *got = read_all(lines[k], strlen(lines[k]), 100);
        /* integers past 64 bits: jansson keeps no such number; for us they are decimals like others */
        if (strstr(lines[k], "1234567890123") == NULL) cr_expect_eq(strncmp(got, "1:", 2) == 0, good, "%s: %s", lines[k], got);
        json_free(tree);
        free(got);
    }
}

Test(ndjson, reports_a_line_past_the_limit_and_goes_on)
{
    size_t n = 3u << 20;
    char *text = malloc(n + 16);
    memset(text, ' ', n);
    text[0] = '{';
    memcpy(text + n, "\n{\"a\":1}\n", 10);
    char *got = read_all(text, n + 9, 99999);
    cr_expect_str_eq(got, "1!1048576[]\n2:a=2 1;\n");
    free(got);
    free(text);
}

Test(ndjson, reports_too_many_members)
{
    struct buf b;
    size_t n;
    buf_init(&b, 1 << 20);
    buf_char(&b, '{');
    for (int k = 0; k <= NDJSON_MEMBERS_MAX; k++) buf_printf(&b, "%s\"m%d\":1", k > 0 ? "," : "", k);
    buf_str(&b, "}");
    char *text = buf_take(&b, &n), *got = read_all(text, n, 5000);
    cr_expect(strncmp(got, "1!", 2) == 0);
    free(text);
    free(got);
}
