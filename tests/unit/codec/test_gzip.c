#include "meros/codec/gzip.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/str.h"

static struct buf zip(const char *p, size_t n, int level)
{
    struct buf b;
    buf_init(&b, n + n / 100 + 1000);
    cr_assert(gzip_all(p, n, level, &b));
    return b;
}

/* Decodes with pieces of these sizes; the code, and what came out. */
static enum meros_code unzip(struct str z, size_t in_piece, size_t out_piece, size_t max_out, double ratio, struct buf *out,
                             bool *ended)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct gunzip *g = NULL;
    char *piece = malloc(out_piece);
    size_t at = 0, n, m;
    enum meros_code rc = gunzip_new(max_out, ratio, &g, &err);
    buf_init(out, (size_t)1 << 28);
    while (rc == MEROS_OK) {
        n = z.n - at < in_piece ? z.n - at : in_piece;
        m = out_piece;
        rc = gunzip_step(g, z.p + at, &n, piece, &m, &err);
        if (rc != MEROS_OK) break;
        at += n;
        buf_append(out, piece, m);
        if (n == 0 && m == 0) break;
    }
    *ended = g != NULL && gunzip_ended(g);
    if (rc != MEROS_OK) cr_expect_neq(err.detail[0], '\0');
    gunzip_free(g);
    free(piece);
    return rc;
}

static char *text(size_t n)
{
    char *p = malloc(n + 1);
    for (size_t i = 0; i < n; i++) p[i] = (char)('a' + rand() % 20);
    return p;
}

Test(gzip, what_goes_in_comes_out_in_pieces_of_any_size)
{
    static const size_t sizes[] = {0, 1, 1000, 100000}, pieces[] = {1, 7, 4096, 1 << 20};
    for (size_t i = 0; i < 4; i++)
        for (size_t k = 0; k < 4; k++) {
            char *p = text(sizes[i]);
            struct buf z = zip(p, sizes[i], 6), out;
            bool ended;
            cr_expect_eq(unzip((struct str){z.data, z.len}, pieces[k], pieces[3 - k], SIZE_MAX, 1000, &out, &ended), MEROS_OK);
            cr_expect(ended);
            cr_expect(out.len == sizes[i] && (sizes[i] == 0 || memcmp(out.data, p, sizes[i]) == 0));
            buf_done(&z);
            buf_done(&out);
            free(p);
        }
}

Test(gzip, members_after_one_another_are_one_stream)
{
    struct buf a = zip("first ", 6, 1), b = zip("second", 6, 9), out;
    bool ended;
    buf_append(&a, b.data, b.len);
    for (size_t piece = 1; piece < 100; piece += 13) {
        cr_expect_eq(unzip((struct str){a.data, a.len}, piece, 64, SIZE_MAX, 1000, &out, &ended), MEROS_OK);
        cr_expect(ended);
        cr_expect_str_eq(out.data, "first second");
        buf_done(&out);
    }
    buf_done(&a);
    buf_done(&b);
}

Test(gzip, a_cut_stream_has_not_ended)
{
    struct buf z = zip("something to cut", 16, 6), out;
    for (size_t n = 0; n < z.len; n++) {
        bool ended;
        cr_expect_eq(unzip((struct str){z.data, n}, 5, 64, SIZE_MAX, 1000, &out, &ended), MEROS_OK);
        cr_expect_not(ended, "after %zu of %zu bytes", n, z.len);
        buf_done(&out);
    }
    buf_done(&z);
}

Test(gzip, damage_anywhere_is_found)
{
    struct buf z = zip("a text of which every byte matters, as it should", 48, 6), out;
    for (size_t i = 0; i < z.len; i++) {
        if (i >= 3 && i < 10) continue; /* flags of no consequence, time and system in the header */
        bool ended;
        z.data[i] ^= 0x20;
        enum meros_code rc = unzip((struct str){z.data, z.len}, 5, 64, SIZE_MAX, 1000, &out, &ended);
        cr_expect(rc == MEROS_INVALID || !ended, "byte %zu: %d", i, rc);
        z.data[i] ^= 0x20;
        buf_done(&out);
    }
    buf_done(&z);
}

Test(gzip, limits_hold_on_size_and_growth)
{
    size_t n = 20 << 20;
    char *zeros = calloc(1, n);
    struct buf z = zip(zeros, n, 6), out;
    bool ended;
    cr_expect_eq(unzip((struct str){z.data, z.len}, 4096, 65536, n, 2000, &out, &ended), MEROS_OK);
    buf_done(&out);
    cr_expect_eq(unzip((struct str){z.data, z.len}, 4096, 65536, n - 1, 2000, &out, &ended), MEROS_TOO_LARGE);
    buf_done(&out);
    cr_expect_eq(unzip((struct str){z.data, z.len}, 4096, 65536, SIZE_MAX, 100, &out, &ended), MEROS_TOO_LARGE);
    cr_expect_lt(out.len, (size_t)2 << 20, "a bomb must be found while it is small: %zu", out.len);
    buf_done(&out);
    buf_done(&z);
    z = zip(zeros, 900000, 6); /* grows as much, but stays harmless */
    cr_expect_eq(unzip((struct str){z.data, z.len}, 4096, 65536, SIZE_MAX, 100, &out, &ended), MEROS_OK);
    buf_done(&out);
    buf_done(&z);
    free(zeros);
}

Test(gzip, text_without_gzip_is_refused)
{
    struct buf out;
    bool ended;
    cr_expect_eq(unzip(STR("hello, this is text"), 4, 64, SIZE_MAX, 100, &out, &ended), MEROS_INVALID);
    buf_done(&out);
    cr_expect_eq(unzip(STR("\x78\x9c\x03\x00\x00\x00\x00\x01"), 64, 64, SIZE_MAX, 100, &out, &ended), MEROS_INVALID);
    buf_done(&out);
}

Test(gzip, encoding_stops_at_the_buffers_limit)
{
    char *p = text(100000);
    struct buf b;
    buf_init(&b, 1000);
    cr_expect_not(gzip_all(p, 100000, 6, &b));
    buf_done(&b);
    free(p);
}
