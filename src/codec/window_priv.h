/* The window of a stream that a record reader looks at: bytes from `at` to `end` are unread, in one piece. It starts
 * small and grows up to a record's limit; refilling moves what is unread to the front. */
#ifndef MEROS_CODEC_WINDOW_PRIV_H
#define MEROS_CODEC_WINDOW_PRIV_H

#include "meros/codec/csv.h"

struct window {
    char *data;
    size_t at, end, cap;
    bool eof;
    codec_read_fn read;
    void *arg;
};

enum { WINDOW_START = 128 << 10, WINDOW_MAX = RECORD_MAX + (128 << 10) };

enum meros_code window_open(struct window *w, codec_read_fn read, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
void window_done(struct window *w);
/* Reads more behind what is there, or sets eof. The unread bytes move: offsets count from `at`. */
enum meros_code window_more(struct window *w, struct meros_err *err) MEROS_MUSTCHECK;
/* Drops a UTF-8 byte order mark at the start of a stream; INVALID for a UTF-16 one. */
enum meros_code window_mark(struct window *w, struct meros_err *err) MEROS_MUSTCHECK;

#endif
