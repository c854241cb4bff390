#include "meros/base/buf.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

Test(buf, grows_and_stays_terminated)
{
    struct buf b;
    buf_init(&b, 1 << 20);
    cr_assert_null(b.data);
    for (int i = 0; i < 5000; i++) {
        buf_char(&b, 'a');
        cr_assert_eq(b.data[b.len], '\0');
    }
    cr_assert_eq(b.len, 5000);
    cr_assert_not(b.failed);
    buf_done(&b);
    cr_assert_null(b.data);
}

Test(buf, takes_bytes_strings_and_formats)
{
    struct buf b;
    buf_init(&b, 1000);
    buf_append(&b, "a\0b", 3);
    buf_str(&b, "cd");
    buf_printf(&b, "%d|%s", -5, "x");
    buf_append(&b, NULL, 0);
    cr_assert_eq(b.len, 9);
    cr_assert_eq(memcmp(b.data, "a\0bcd-5|x", 10), 0);
    buf_done(&b);
}

Test(buf, first_append_past_the_ceiling_fails_and_the_rest_is_ignored)
{
    struct buf b;
    buf_init(&b, 10);
    buf_str(&b, "123456");
    buf_str(&b, "12345");
    cr_assert(b.failed);
    cr_assert_str_eq(b.data, "123456", "what was there is kept");
    buf_str(&b, "1");
    buf_printf(&b, "%d", 1);
    cr_assert_eq(b.len, 6, "nothing is added after a failure, even what would fit");
    cr_assert_null(buf_reserve(&b, 1));
    size_t n = 77;
    cr_assert_null(buf_take(&b, &n));
    buf_done(&b);
}

Test(buf, can_be_filled_to_the_last_byte)
{
    struct buf b;
    buf_init(&b, 10);
    buf_str(&b, "1234567890");
    cr_assert_not(b.failed);
    cr_assert_str_eq(b.data, "1234567890");
    buf_done(&b);
}

Test(buf, absurd_sizes_fail_and_never_wrap)
{
    struct buf b;
    buf_init(&b, (size_t)-1);
    buf_str(&b, "x");
    cr_assert_null(buf_reserve(&b, (size_t)-1 - 1));
    cr_assert(b.failed);
    buf_done(&b);
    buf_init(&b, (size_t)-1);
    cr_assert_null(buf_reserve(&b, (size_t)-1), "len + n + 1 would be zero");
    buf_done(&b);
}

Test(buf, clear_keeps_memory_forgets_failure_and_is_empty_text)
{
    struct buf b;
    buf_init(&b, 8);
    buf_str(&b, "1234");
    buf_str(&b, "too long");
    char *memory = b.data;
    buf_clear(&b);
    cr_assert_not(b.failed);
    cr_assert_eq(b.len, 0);
    cr_assert_str_eq(b.data, "");
    buf_str(&b, "ok");
    cr_assert_eq(b.data, memory);
    cr_assert_str_eq(b.data, "ok");
    buf_done(&b);
}

Test(buf, take_hands_over_the_bytes_and_leaves_an_empty_buffer)
{
    struct buf b;
    buf_init(&b, 100);
    buf_str(&b, "abc");
    size_t n = 0;
    char *p = buf_take(&b, &n);
    cr_assert_str_eq(p, "abc");
    cr_assert_eq(n, 3);
    cr_assert_null(b.data);
    cr_assert_eq(b.limit, 100);
    free(p);
    p = buf_take(&b, &n);
    cr_assert_str_eq(p, "", "an empty buffer gives an empty text");
    cr_assert_eq(n, 0);
    free(p);
}

Test(buf, reserve_gives_room_that_the_caller_counts)
{
    struct buf b;
    buf_init(&b, 1000);
    char *p = buf_reserve(&b, 300);
    cr_assert_not_null(p);
    memset(p, 'z', 300);
    b.len += 300;
    buf_char(&b, '!');
    cr_assert_eq(b.data[299], 'z');
    cr_assert_eq(b.data[300], '!');
    buf_done(&b);
}
