#include "meros/base/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

Test(arena, blocks_are_aligned_and_do_not_overlap)
{
    struct arena a;
    arena_init(&a, 64 << 20);
    enum { N = 3000 };
    static unsigned char *block[N];
    static size_t size[N];
    uint32_t r = 1;
    for (int i = 0; i < N; i++) {
        r = r * 1664525u + 1013904223u;
        size[i] = (r >> 8) % (i % 50 == 0 ? 20000 : 300);
        block[i] = arena_alloc(&a, size[i]);
        cr_assert_not_null(block[i]);
        cr_assert_eq((uintptr_t)block[i] % 16, 0);
        memset(block[i], i & 0xFF, size[i]);
    }
    for (int i = 0; i < N; i++)
        for (size_t j = 0; j < size[i]; j++) cr_assert_eq(block[i][j], i & 0xFF);
    arena_done(&a);
}

Test(arena, zero_bytes_still_give_a_block_of_their_own)
{
    struct arena a;
    arena_init(&a, 1000);
    void *p = arena_alloc(&a, 0), *q = arena_alloc(&a, 0);
    cr_assert_not_null(p);
    cr_assert_neq(p, q);
    arena_done(&a);
}

Test(arena, refuses_past_its_ceiling_and_keeps_what_it_gave)
{
    struct arena a;
    arena_init(&a, 100);
    char *p = arena_alloc(&a, 96);
    cr_assert_not_null(p);
    memset(p, 7, 96);
    cr_assert_null(arena_alloc(&a, 16));
    cr_assert_eq(p[95], 7);
    cr_assert_eq(a.used, 96);
    arena_done(&a);
}

Test(arena, absurd_sizes_are_refused_not_wrapped)
{
    struct arena a;
    arena_init(&a, SIZE_MAX);
    cr_assert_null(arena_alloc(&a, SIZE_MAX));
    cr_assert_null(arena_alloc(&a, SIZE_MAX - 15));
    cr_assert_null(arena_array(&a, SIZE_MAX / 2, 3));
    cr_assert_null(arena_strndup(&a, "x", SIZE_MAX));
    arena_done(&a);
}

Test(arena, zalloc_and_array_are_zeroed)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    memset(arena_alloc(&a, 4000), 0xFF, 4000);
    arena_done(&a);
    unsigned char *p = arena_zalloc(&a, 4000), *q = arena_array(&a, 100, 40);
    for (int i = 0; i < 4000; i++) cr_assert(p[i] == 0 && q[i] == 0);
    arena_done(&a);
}

Test(arena, may_be_used_again_after_done)
{
    struct arena a;
    arena_init(&a, 64);
    for (int i = 0; i < 10; i++) {
        cr_assert_not_null(arena_alloc(&a, 64));
        cr_assert_null(arena_alloc(&a, 1));
        arena_done(&a);
        cr_assert_eq(a.used, 0);
    }
    arena_done(&a);
}

Test(arena, begins_in_memory_of_its_owners_and_goes_on_beyond_it)
{
    _Alignas(16) char memory[256];
    struct arena a;
    for (int round = 0; round < 2; round++) {
        arena_init_in(&a, 1 << 20, memory, sizeof memory);
        char *first = arena_alloc(&a, 100), *second = arena_alloc(&a, 150), *large = arena_alloc(&a, 5000);
        cr_assert(first > memory && first + 100 <= memory + sizeof memory, "what fits is in it");
        cr_assert(second != NULL && (second < memory || second >= memory + sizeof memory), "and what does not is elsewhere");
        cr_assert_not_null(large);
        memset(first, 1, 100);
        memset(second, 2, 150);
        memset(large, 3, 5000);
        cr_assert(first[99] == 1 && second[0] == 2);
        arena_done(&a);
    }
    cr_assert_not_null(arena_alloc(&a, 100), "it may be used again, in memory of its own");
    arena_done(&a);
}

Test(arena, a_large_block_leaves_the_open_chunk_usable)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    char *first = arena_alloc(&a, 16);
    cr_assert_not_null(arena_alloc(&a, 100000));
    char *second = arena_alloc(&a, 16);
    cr_assert_eq(second, first + 16, "the small block after a large one comes from the same chunk");
    arena_done(&a);
}

Test(arena, copies_and_prints_strings)
{
    struct arena a;
    arena_init(&a, 1 << 20);
    cr_assert_str_eq(arena_strdup(&a, "hello"), "hello");
    cr_assert_str_eq(arena_strndup(&a, "hello", 2), "he");
    cr_assert_str_eq(arena_printf(&a, "%s-%05d", "x", 42), "x-00042");
    char *big = arena_printf(&a, "%20000d", 1);
    cr_assert_eq(strlen(big), 20000);
    arena_done(&a);
}
