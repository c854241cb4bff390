/* The commands' side of HTTP: one connection to a running service, over libcurl (client.c is its only user), and the
 * progress that a person at a terminal sees meanwhile. Not thread-safe. */
#ifndef MEROS_CLIENT_PRIV_H
#define MEROS_CLIENT_PRIV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "app_priv.h"
#include "meros/base/buf.h"
#include "meros/base/err.h"
#include "meros/codec/json.h"

/* --- progress (progress.c): one line of standard error, drawn again at most ten times a second, only on a terminal */
struct progress {
    const char *label;
    double total;       /* 0: unknown */
    bool bytes;         /* show sizes and a rate; else only a bar and the stage */
    bool terminal;
    int64_t started_ns, drawn_ns;
};
void progress_begin(struct progress *p, const char *label, double total, bool bytes);
void progress_show(struct progress *p, double done, const char *stage); /* stage may be NULL */
void progress_end(struct progress *p); /* wipes the line */

/* --- requests */
struct client;
/* From --url and --key of the invocation, else from the settings, else data_dir/admin.key. */
enum meros_code client_open(const struct invocation *in, const struct config *config, struct client **out,
                            struct meros_err *err) MEROS_MUSTCHECK;
void client_close(struct client *c);

/* Where the bytes of an upload come from: fills up to cap, returns how many, 0 at the end, -1 on failure (err filled). */
typedef ptrdiff_t (*client_source)(void *arg, char *to, size_t cap, struct meros_err *err);
struct client_upload {
    const char *content_type, *content_encoding; /* encoding NULL: none */
    client_source source;
    void *arg;
    struct progress *progress;  /* may be NULL */
    double (*done)(void *arg);  /* how far the source is, in the unit of the progress; NULL: bytes sent */
};
/* POSTs a stream. The answer of a status below 300 is parsed into *out (json_free it); else err holds the problem. */
enum meros_code client_upload(struct client *c, const char *path, const struct client_upload *upload, struct json **out,
                              struct meros_err *err) MEROS_MUSTCHECK;
/* One small request: body is JSON or NULL. */
enum meros_code client_call(struct client *c, const char *method, const char *path, const char *body, struct json **out,
                            struct meros_err *err) MEROS_MUSTCHECK;
/* Adds "&name=value" (or "?…" the first time) with value percent-encoded. */
void client_query(struct buf *path, const char *name, const char *value);

#endif
