#include "meros/base/buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void buf_init(struct buf *b, size_t limit)
{
    *b = (struct buf){.limit = limit};
}

void buf_done(struct buf *b)
{
    free(b->data);
    *b = (struct buf){.limit = b->limit};
}

void buf_clear(struct buf *b)
{
    b->len = 0;
    b->failed = false;
    if (b->data != NULL) b->data[0] = '\0';
}

char *buf_reserve(struct buf *b, size_t n)
{
    if (b->failed) return NULL;
    size_t need;
    if (n > b->limit || b->len > b->limit - n || __builtin_add_overflow(b->len + n, 1, &need)) {
        b->failed = true;
        return NULL;
    }
    if (need > b->cap) {
        size_t cap = b->cap < 256 ? 256 : b->cap + b->cap / 2;
        if (cap < need) cap = need;
        char *p = realloc(b->data, cap);
        if (p == NULL) {
            b->failed = true;
            return NULL;
        }
        b->data = p;
        b->cap = cap;
    }
    return b->data + b->len;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    char *to = buf_reserve(b, n);
    if (to == NULL) return;
    if (n > 0) memcpy(to, p, n);
    to[n] = '\0';
    b->len += n;
}

void buf_str(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

void buf_char(struct buf *b, char c)
{
    if (b->len + 1 < b->cap && b->len < b->limit && !b->failed) { /* the writer of JSON calls this for every comma */
        b->data[b->len++] = c;
        b->data[b->len] = '\0';
        return;
    }
    buf_append(b, &c, 1);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    int n = vsnprintf(NULL, 0, format, ap);
    va_end(ap);
    char *to = n < 0 ? NULL : buf_reserve(b, (size_t)n);
    if (to != NULL) {
        vsnprintf(to, (size_t)n + 1, format, again);
        b->len += (size_t)n;
    }
    va_end(again);
}

char *buf_take(struct buf *b, size_t *out_len)
{
    if (!b->failed && b->data == NULL) buf_append(b, "", 0);
    if (b->failed) return NULL;
    char *p = b->data;
    *out_len = b->len;
    *b = (struct buf){.limit = b->limit};
    return p;
}
