/* An arena: memory that is given back all at once. A request and a job each own one.
 *
 * Allocations are 16-byte aligned, zeroed never (arena_zalloc is), and die with the arena. An arena has a ceiling from
 * birth: past it, or when malloc fails, allocation returns NULL. Not thread-safe: one thread at a time. */
#ifndef MEROS_BASE_ARENA_H
#define MEROS_BASE_ARENA_H

#include <stddef.h>

struct arena_chunk;
struct arena {
    struct arena_chunk *chunks; /* newest first */
    size_t used;                /* bytes handed out, padding included */
    size_t limit;
};

void arena_init(struct arena *a, size_t limit);
/* Begins in memory of the caller's, n bytes aligned as by malloc, at least ARENA_LENT_MIN, for as long as the arena is used. */
enum { ARENA_LENT_MIN = 64 };
void arena_init_in(struct arena *a, size_t limit, void *memory, size_t n);
void arena_done(struct arena *a);  /* frees all; the arena may be used again afterwards, empty */
void *arena_alloc(struct arena *a, size_t n);
void *arena_zalloc(struct arena *a, size_t n);
void *arena_array(struct arena *a, size_t count, size_t size); /* checked product; zeroed */
char *arena_strndup(struct arena *a, const char *s, size_t n); /* NUL-terminated copy */
char *arena_strdup(struct arena *a, const char *s);
char *arena_printf(struct arena *a, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
