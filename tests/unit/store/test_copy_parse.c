#include <criterion/criterion.h>
#include <stdlib.h>
#include "meros/base/buf.h"
#include "plumbing.h"

static const char header[] = "PGCOPY\n\377\r\n\0\0\0\0\0\0\0\0"; /* 11 bytes, flags, extension length */
enum { HEADER = 19 };

static void put_int(struct buf *b, int64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--) buf_char(b, (char)(v >> (8 * i)));
}

/* Three rows: (7, "ab"), (null, ""), (-1, 300 bytes), and the end. */
static void sample(struct buf *b)
{
    char big[300];
    memset(big, 'x', sizeof big);
    buf_init(b, 1 << 20);
    buf_append(b, header, HEADER);
    put_int(b, 2, 2), put_int(b, 8, 4), put_int(b, 7, 8), put_int(b, 2, 4), buf_str(b, "ab");
    put_int(b, 2, 2), put_int(b, -1, 4), put_int(b, 0, 4);
    put_int(b, 2, 2), put_int(b, 4, 4), put_int(b, -1, 4), put_int(b, 300, 4), buf_append(b, big, sizeof big);
    put_int(b, -1, 2);
}

struct seen {
    struct buf text;
    int stop_after, rows;
};

static enum meros_code row(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    struct seen *s = arg;
    cr_assert_eq(n, 2);
    buf_printf(&s->text, "%s%lld/%s%zu;", f[0].p == NULL ? "null " : "", (long long)copy_int(&f[0]),
               f[1].p == NULL ? "null " : "", copy_text(&f[1]).n);
    for (size_t i = 0; i < f[1].n; i++) cr_assert(f[1].p[i] == 'x' || f[1].n == 2);
    if (++s->rows == s->stop_after) return err_set(err, MEROS_CANCELLED, "enough");
    return MEROS_OK;
}

/* Feeds a copy of its own size for each piece, so that ASan sees every read past it. */
static enum meros_code feed(struct copy_parser *k, const char *p, size_t n, struct meros_err *err)
{
    char *own = malloc(n);
    if (n > 0) memcpy(own, p, n);
    enum meros_code rc = copy_parser_feed(k, own, n, err);
    free(own);
    return rc;
}

Test(copy_parser, finds_rows_however_the_stream_is_split)
{
    struct buf b;
    sample(&b);
    for (size_t size = 1; size <= b.len; size++) {
        struct seen s = {0};
        struct copy_parser k;
        struct meros_err err = MEROS_ERR_INIT;
        buf_init(&s.text, 1 << 16);
        cr_assert_eq(copy_parser_init(&k, row, &s, &err), MEROS_OK);
        for (size_t at = 0; at < b.len; at += size)
            cr_assert_eq(feed(&k, b.data + at, at + size > b.len ? b.len - at : size, &err), MEROS_OK);
        cr_assert_eq(copy_parser_end(&k, &err), MEROS_OK);
        cr_assert_str_eq(s.text.data, "7/2;null 0/0;-1/300;");
        copy_parser_done(&k);
        buf_done(&s.text);
    }
    buf_done(&b);
}

Test(copy_parser, a_stream_cut_anywhere_is_not_whole)
{
    struct buf b;
    sample(&b);
    for (size_t n = 0; n < b.len; n++) {
        struct seen s = {0};
        struct copy_parser k;
        struct meros_err err = MEROS_ERR_INIT;
        buf_init(&s.text, 1 << 16);
        cr_assert_eq(copy_parser_init(&k, row, &s, &err), MEROS_OK);
        cr_assert_eq(feed(&k, b.data, n, &err), MEROS_OK);
        cr_assert_eq(copy_parser_end(&k, &err), MEROS_INTERNAL);
        copy_parser_done(&k);
        buf_done(&s.text);
    }
    buf_done(&b);
}

Test(copy_parser, stops_with_the_code_of_the_callback)
{
    struct buf b;
    sample(&b);
    struct seen s = {.stop_after = 2};
    struct copy_parser k;
    struct meros_err err = MEROS_ERR_INIT;
    buf_init(&s.text, 1 << 16);
    cr_assert_eq(copy_parser_init(&k, row, &s, &err), MEROS_OK);
    cr_assert_eq(feed(&k, b.data, b.len, &err), MEROS_CANCELLED);
    cr_assert_eq(s.rows, 2);
    copy_parser_done(&k);
    buf_done(&s.text);
    buf_done(&b);
}

static enum meros_code any_row(void *arg, const struct copy_field *f, int n, struct meros_err *err)
{
    (void)err;
    long *sum = arg; /* touches every byte, for ASan */
    for (int i = 0; i < n; i++)
        for (size_t k = 0; k < f[i].n; k++) *sum += f[i].p[k];
    return MEROS_OK;
}

Test(copy_parser, garbage_is_refused_without_harm)
{
    struct buf b;
    sample(&b);
    unsigned seed = 12345;
    for (int round = 0; round < 20000; round++) {
        struct copy_parser k;
        struct meros_err err = MEROS_ERR_INIT;
        char bytes[512];
        long sum = 0;
        memcpy(bytes, b.data, b.len);
        for (int i = 0; i < 1 + round % 4; i++) bytes[(size_t)rand_r(&seed) % b.len] = (char)rand_r(&seed);
        size_t split = (size_t)rand_r(&seed) % b.len;
        cr_assert_eq(copy_parser_init(&k, any_row, &sum, &err), MEROS_OK);
        enum meros_code rc = feed(&k, bytes, split, &err);
        if (rc == MEROS_OK) rc = feed(&k, bytes + split, b.len - split, &err);
        if (rc == MEROS_OK) rc = copy_parser_end(&k, &err);
        cr_assert(rc == MEROS_OK || rc == MEROS_INTERNAL);
        copy_parser_done(&k);
    }
    buf_done(&b);
}

Test(copy_parser, a_wrong_signature_or_version_is_refused)
{
    struct buf b;
    sample(&b);
    for (int at = 0; at < 15; at++) {
        struct copy_parser k;
        struct meros_err err = MEROS_ERR_INIT;
        long sum = 0;
        b.data[at] ^= 1;
        cr_assert_eq(copy_parser_init(&k, any_row, &sum, &err), MEROS_OK);
        cr_assert_eq(feed(&k, b.data, b.len, &err), MEROS_INTERNAL, "byte %d", at);
        copy_parser_done(&k);
        b.data[at] ^= 1;
    }
    buf_done(&b);
}
