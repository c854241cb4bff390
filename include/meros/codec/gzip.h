/* gzip in and out, streamed (codec/gzip.c is zlib's only user). One stream object per body; not thread-safe. */
#ifndef MEROS_CODEC_GZIP_H
#define MEROS_CODEC_GZIP_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/buf.h"
#include "meros/base/err.h"

/* Decoding. Refuses, with INVALID or TOO_LARGE, what is not gzip, what is damaged or cut short, and what grows past
 * `max_out` bytes in all or past `max_ratio` times its size (a bomb; judged from 1 MiB of output on). Concatenated
 * members are one stream, as RFC 1952 has it. */
struct gunzip;
enum meros_code gunzip_new(size_t max_out, double max_ratio, struct gunzip **out, struct meros_err *err) MEROS_MUSTCHECK;
void gunzip_free(struct gunzip *g);
/* Takes *in_n bytes at in, fills out with up to *out_n bytes; both are set to what was used. Call again while input is
 * left or the output was filled. */
enum meros_code gunzip_step(struct gunzip *g, const char *in, size_t *in_n, char *out, size_t *out_n,
                            struct meros_err *err) MEROS_MUSTCHECK;
bool gunzip_ended(const struct gunzip *g); /* at the end of a member: the body may end here */

/* Encoding a whole answer; false when out's limit or memory was reached. */
bool gzip_all(const char *p, size_t n, int level, struct buf *out);

#endif
