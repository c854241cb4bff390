#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "meros/codec/csv.h"

/* A source that gives its bytes in small pieces, so that every record is split somewhere. */
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

/* All records as "line:field|field\n", faults as "line!field_index\n". */
static char *read_all(const char *p, size_t n, size_t piece, struct csv_options options)
{
    struct source s = {p, n, 0, piece};
    struct meros_err err = MEROS_ERR_INIT;
    struct csv_reader *r;
    struct csv_record rec;
    struct buf out;
    bool more;
    size_t length;
    buf_init(&out, 64 << 20);
    cr_assert_eq(csv_open(&options, give, &s, &r, &err), MEROS_OK);
    for (;;) {
        cr_assert_eq(csv_next(r, &rec, &more, &err), MEROS_OK, "%s", err.detail);
        if (!more) break;
        if (rec.fault != NULL) {
            buf_printf(&out, "%lld!%zd\n", (long long)rec.line, (ssize_t)rec.fault_field);
            continue;
        }
        buf_printf(&out, "%lld:", (long long)rec.line);
        for (size_t k = 0; k < rec.n; k++) {
            if (k > 0) buf_char(&out, '|');
            buf_append(&out, rec.fields[k].p, rec.fields[k].n);
        }
        buf_char(&out, '\n');
    }
    csv_close(r);
    buf_str(&out, "");
    return buf_take(&out, &length);
}

static void expect_with(const char *text, size_t n, struct csv_options options, const char *want)
{
    const size_t pieces[] = {1, 2, 3, 7, 1 << 20};
    for (size_t k = 0; k < sizeof pieces / sizeof pieces[0]; k++) {
        char *got = read_all(text, n, pieces[k], options);
        cr_expect_str_eq(got, want, "pieces of %zu gave:\n%s", pieces[k], got);
        free(got);
    }
}

static void expect(const char *text, const char *want)
{
    expect_with(text, strlen(text), (struct csv_options){0}, want);
}

Test(csv, splits_fields_and_lines)
{
    expect("a,b,c\n1,,3\n", "1:a|b|c\n2:1||3\n");
    expect("a\r\nb\r\n", "1:a\n2:b\n");
}

Test(csv, takes_a_last_line_without_an_end)
{
    expect("a,b\n1,2", "1:a|b\n2:1|2\n");
    expect("a,b\n1,", "1:a|b\n2:1|\n");
    expect("a,b\r\n1,2\r", "1:a|b\n2:1|2\n");
    expect("a\n\"x\"", "1:a\n2:x\n");
    expect("a\n\"x\"\r", "1:a\n2:x\n");
}

Test(csv, reads_quoted_fields_with_delimiters_quotes_and_line_ends)
{
    expect("a,\"b,\"\"c\"\"\nd\",e\nnext,1,2\n", "1:a|b,\"c\"\nd|e\n3:next|1|2\n");
    expect("\"\",\"\"\"\"\n", "1:|\"\n");
    expect("\"a\r\nb\"\r\nc\r\n", "1:a\r\nb\n3:c\n");
}

Test(csv, keeps_a_quote_inside_an_unquoted_field)
{
    expect("7\" single,x\n", "1:7\" single|x\n");
}

Test(csv, passes_over_blank_lines_and_counts_them)
{
    expect("a\n\n\r\n\nb\n", "1:a\n5:b\n");
    expect("a\n\"\"\n", "1:a\n2:\n");
    expect("", "");
    expect("\n\n", "");
}

Test(csv, drops_a_byte_order_mark)
{
    expect("\xEF\xBB\xBF"
           "a,b\n",
           "1:a|b\n");
    expect("\xEF\xBB\xBF\"a\",b\n", "1:a|b\n");
}

Test(csv, refuses_utf_16)
{
    struct source s = {"\xFF\xFE"
                       "a\0",
                       4, 0, 100};
    struct csv_options options = {0};
    struct meros_err err = MEROS_ERR_INIT;
    struct csv_reader *r;
    struct csv_record rec;
    bool more;
    cr_assert_eq(csv_open(&options, give, &s, &r, &err), MEROS_OK);
    cr_expect_eq(csv_next(r, &rec, &more, &err), MEROS_INVALID);
    csv_close(r);
}

Test(csv, takes_another_delimiter)
{
    expect_with("a;b,c\t\n", 7, (struct csv_options){.delimiter = ';'}, "1:a|b,c\t\n");
    expect_with("a\tb\n", 4, (struct csv_options){.delimiter = '\t'}, "1:a|b\n");
}

Test(csv, refuses_delimiters_that_mean_something_else)
{
    struct source s = {"", 0, 0, 1};
    struct meros_err err = MEROS_ERR_INIT;
    struct csv_reader *r;
    const char bad[] = {'"', '\n', '\r', (char)0xC3};
    for (size_t k = 0; k < sizeof bad; k++)
        cr_expect_eq(csv_open(&(struct csv_options){.delimiter = bad[k]}, give, &s, &r, &err), MEROS_INVALID);
}

Test(csv, reads_latin1_as_browsers_do)
{
    const char text[] = "caf\xE9,\x80 5,\"\xFC\"\"x\",plain\nascii,,,\n";
    expect_with(text, sizeof text - 1, (struct csv_options){.latin1 = true},
                "1:caf\u00e9|\u20ac 5|\u00fc\"x|plain\n2:ascii|||\n");
}

Test(csv, reports_bytes_that_are_not_utf8_with_their_field)
{
    expect("a,b\nx,caf\xE9\ny,z\n", "1:a|b\n2!1\n3:y|z\n");
}

Test(csv, reports_nul_bytes_with_their_field)
{
    const char text[] = "a,b\n\0,2\n3,4\n";
    expect_with(text, sizeof text - 1, (struct csv_options){0}, "1:a|b\n2!0\n3:3|4\n");
}

Test(csv, reports_text_after_a_closing_quote_and_goes_on_with_the_next_line)
{
    expect("a,b\nx,\"y\"z,w\n1,2\n", "1:a|b\n2!1\n3:1|2\n");
}

Test(csv, loses_one_line_to_a_quote_that_is_never_closed)
{
    expect("a,b\n1,\"2\n3,4\n5,6\n", "1:a|b\n2!-1\n3:3|4\n4:5|6\n");
}

Test(csv, recovers_from_a_quote_left_open_in_a_long_file)
{
    struct buf b;
    size_t n;
    buf_init(&b, 8 << 20);
    buf_str(&b, "a,b\n1,\"open\n");
    while (b.len < 3 << 20) buf_str(&b, "x,y\n");
    char *text = buf_take(&b, &n), *got = read_all(text, n, 70000, (struct csv_options){0});
    cr_expect(strncmp(got, "1:a|b\n2!-1\n3:x|y\n4:x|y\n", 23) == 0, "%.60s", got);
    size_t lines = 0;
    for (const char *p = got; (p = strchr(p, '\n')) != NULL; p++) lines++;
    cr_expect_eq(lines, 2 + ((3 << 20) - 12 + 3) / 4);
    free(text);
    free(got);
}

Test(csv, reports_a_line_past_the_limit_and_goes_on)
{
    size_t n = 3u << 20;
    char *text = malloc(n + 8);
    memset(text, 'x', n);
    memcpy(text, "a\n", 2);
    memcpy(text + n, "\nb,c\n", 6);
    expect_with(text, n + 5, (struct csv_options){0}, "1:a\n2!-1\n3:b|c\n");
    free(text);
}

Test(csv, takes_a_record_of_just_under_the_limit)
{
    size_t n = RECORD_MAX - 10;
    char *text = malloc(n + 8);
    memset(text, 'x', n);
    text[n] = '\n';
    memcpy(text + n + 1, "b\n", 3);
    char *got = read_all(text, n + 3, 1 << 16, (struct csv_options){0});
    cr_expect_eq(strlen(got), n + 2 + 1 + 4);
    cr_expect_str_eq(got + strlen(got) - 4, "2:b\n");
    free(text);
    free(got);
}

Test(csv, reports_too_many_fields)
{
    char text[3000];
    memset(text, ',', 1500);
    memcpy(text + 1500, "\na\n", 4);
    expect(text, "1!-1\n2:a\n");
}

static enum meros_code break_off(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    (void)arg, (void)to, (void)cap, (void)out_n;
    return err_set(err, MEROS_CANCELLED, "gone");
}

Test(csv, passes_on_that_reading_failed)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct csv_reader *r;
    struct csv_record rec;
    bool more = true;
    cr_assert_eq(csv_open(&(struct csv_options){0}, break_off, NULL, &r, &err), MEROS_OK);
    cr_expect_eq(csv_next(r, &rec, &more, &err), MEROS_CANCELLED);
    cr_expect(!more);
    csv_close(r);
}
