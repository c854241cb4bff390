/* A growing byte buffer with a ceiling from birth.
 *
 * The first append past the ceiling (or past memory) sets `failed`, keeps what was there and ignores what follows, so a
 * writer appends without checking and looks at `failed` once, at the end. `data` is always NUL-terminated once anything
 * was appended. Caller's storage: buf_init, then buf_done. Not thread-safe. */
#ifndef MEROS_BASE_BUF_H
#define MEROS_BASE_BUF_H

#include <stdbool.h>
#include <stddef.h>

struct buf {
    char *data;   /* NULL while empty */
    size_t len, cap, limit;
    bool failed;
};

void buf_init(struct buf *b, size_t limit);
void buf_done(struct buf *b);
void buf_clear(struct buf *b);  /* len = 0, failed = false; keeps the memory */
void buf_append(struct buf *b, const void *p, size_t n);
void buf_str(struct buf *b, const char *s);
void buf_char(struct buf *b, char c);
void buf_printf(struct buf *b, const char *format, ...) __attribute__((format(printf, 2, 3)));
char *buf_reserve(struct buf *b, size_t n); /* room for n bytes at data + len (caller adds to len), or NULL */
char *buf_take(struct buf *b, size_t *out_len); /* hands over the malloc'ed bytes (free() them); NULL if failed */

#endif
