#include "window_priv.h"

#include <stdlib.h>
#include <string.h>

enum meros_code window_open(struct window *w, codec_read_fn read, void *arg, struct meros_err *err)
{
    *w = (struct window){.read = read, .arg = arg, .cap = WINDOW_START, .data = malloc(WINDOW_START)};
    if (w->data == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for reading the body.");
    return MEROS_OK;
}

void window_done(struct window *w)
{
    free(w->data);
    w->data = NULL;
}

enum meros_code window_more(struct window *w, struct meros_err *err)
{
    size_t have = w->end - w->at, n = 0;
    if (w->at > 0) {
        memmove(w->data, w->data + w->at, have);
        w->at = 0;
        w->end = have;
    }
    if (w->end == w->cap) {
        size_t cap = w->cap * 2 < WINDOW_MAX ? w->cap * 2 : WINDOW_MAX;
        char *data = cap > w->cap ? realloc(w->data, cap) : NULL;
        if (data == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for reading the body.");
        w->data = data;
        w->cap = cap;
    }
    enum meros_code rc = w->read(w->arg, w->data + w->end, w->cap - w->end, &n, err);
    if (rc != MEROS_OK) return rc;
    w->end += n;
    w->eof = n == 0;
    return MEROS_OK;
}

enum meros_code window_mark(struct window *w, struct meros_err *err)
{
    while (w->end - w->at < 3 && !w->eof) {
        enum meros_code rc = window_more(w, err);
        if (rc != MEROS_OK) return rc;
    }
    const unsigned char *p = (const unsigned char *)w->data + w->at;
    size_t n = w->end - w->at;
    if (n >= 3 && p[0] == 0xEF && p[1] == 0xBB && p[2] == 0xBF) w->at += 3;
    if (n >= 2 && ((p[0] == 0xFF && p[1] == 0xFE) || (p[0] == 0xFE && p[1] == 0xFF)))
        return err_set(err, MEROS_INVALID, "The body is UTF-16; save it as UTF-8 and send it again.");
    return MEROS_OK;
}
