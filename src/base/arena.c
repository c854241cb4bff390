#include "meros/base/arena.h"

#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CHUNK = 8192, ALIGN = 16 };

struct arena_chunk {
    struct arena_chunk *next;
    size_t size, used;
    bool lent; /* not to be freed */
    _Alignas(ALIGN) unsigned char bytes[];
};

_Static_assert(sizeof(struct arena_chunk) + ALIGN <= ARENA_LENT_MIN, "room for a chunk");

void arena_init(struct arena *a, size_t limit)
{
    *a = (struct arena){.limit = limit};
}

void arena_init_in(struct arena *a, size_t limit, void *memory, size_t n)
{
    struct arena_chunk *c = memory;
    *a = (struct arena){.limit = limit, .chunks = c};
    c->next = NULL;
    c->size = n - sizeof *c;
    c->used = 0;
    c->lent = true;
}

void arena_done(struct arena *a)
{
    for (struct arena_chunk *c = a->chunks, *next; c != NULL; c = next) {
        next = c->next;
        if (!c->lent) free(c);
    }
    a->chunks = NULL;
    a->used = 0;
}

void *arena_alloc(struct arena *a, size_t n)
{
    if (n > SIZE_MAX - CHUNK) return NULL;
    n = (n + ALIGN - 1) / ALIGN * ALIGN;
    if (n == 0) n = ALIGN;
    if (a->used > a->limit || n > a->limit - a->used) return NULL;
    struct arena_chunk *c = a->chunks;
    if (c == NULL || c->size - c->used < n) {
        size_t size = n > CHUNK / 4 ? n : CHUNK;
        struct arena_chunk *fresh = malloc(sizeof *fresh + size);
        if (fresh == NULL) return NULL;
        fresh->size = size;
        fresh->used = 0;
        fresh->lent = false;
        if (size == n && c != NULL) { /* a large block goes behind the open chunk, whose rest stays usable */
            fresh->next = c->next;
            c->next = fresh;
        } else {
            fresh->next = c;
            a->chunks = fresh;
        }
        c = fresh;
    }
    void *p = c->bytes + c->used;
    c->used += n;
    a->used += n;
    return p;
}

void *arena_zalloc(struct arena *a, size_t n)
{
    void *p = arena_alloc(a, n);
    return p == NULL ? NULL : memset(p, 0, n);
}

void *arena_array(struct arena *a, size_t count, size_t size)
{
    size_t n;
    return __builtin_mul_overflow(count, size, &n) ? NULL : arena_zalloc(a, n);
}

char *arena_strndup(struct arena *a, const char *s, size_t n)
{
    char *p = n == SIZE_MAX ? NULL : arena_alloc(a, n + 1);
    if (p == NULL) return NULL;
    memcpy(p, s, n);
    p[n] = '\0';
    return p;
}

char *arena_strdup(struct arena *a, const char *s)
{
    return arena_strndup(a, s, strlen(s));
}

char *arena_printf(struct arena *a, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *p = n < 0 ? NULL : arena_alloc(a, (size_t)n + 1);
    if (p != NULL) vsnprintf(p, (size_t)n + 1, format, again);
    va_end(again);
    return p;
}
