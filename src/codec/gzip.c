#define ZLIB_CONST /* next_in is const */
#include "meros/codec/gzip.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

enum {
    WINDOW_GZIP = 15 + 16,         /* zlib: 32 KiB window, gzip wrapper only */
    RATIO_JUDGED_FROM = 1024 * 1024 /* small texts compress very well; they cannot hurt */
};

struct gunzip {
    z_stream z;
    size_t max_out;
    double max_ratio;
    size_t in, out; /* totals over all members */
    bool ended;     /* the last byte taken ended a member */
};

enum meros_code gunzip_new(size_t max_out, double max_ratio, struct gunzip **out, struct meros_err *err)
{
    struct gunzip *g = calloc(1, sizeof *g);
    if (g == NULL || inflateInit2(&g->z, WINDOW_GZIP) != Z_OK) {
        free(g);
        return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to decode gzip");
    }
    g->max_out = max_out;
    g->max_ratio = max_ratio;
    *out = g;
    return MEROS_OK;
}

void gunzip_free(struct gunzip *g)
{
    if (g == NULL) return;
    inflateEnd(&g->z);
    free(g);
}

bool gunzip_ended(const struct gunzip *g)
{
    return g->ended;
}

static enum meros_code too_much(const struct gunzip *g, struct meros_err *err)
{
    if (g->out > g->max_out)
        return err_set(err, MEROS_TOO_LARGE, "the decoded gzip body is larger than %zu bytes", g->max_out);
    if (g->out > RATIO_JUDGED_FROM && (double)g->out > g->max_ratio * (double)g->in)
        return err_set(err, MEROS_TOO_LARGE, "the gzip body grows more than %.0f-fold when decoded", g->max_ratio);
    return MEROS_OK;
}

enum meros_code gunzip_step(struct gunzip *g, const char *in, size_t *in_n, char *out, size_t *out_n,
                            struct meros_err *err)
{
    /* zlib counts in unsigned int; what does not fit is left for the next call. */
    size_t give = *in_n < UINT_MAX ? *in_n : UINT_MAX, room = *out_n < UINT_MAX ? *out_n : UINT_MAX;
    *in_n = *out_n = 0;
    g->z.next_in = (const Bytef *)in;
    g->z.avail_in = (uInt)give;
    g->z.next_out = (Bytef *)out;
    g->z.avail_out = (uInt)room;
    while (g->z.avail_in > 0 || !g->ended) {
        if (g->ended) { /* another member follows */
            if (inflateReset(&g->z) != Z_OK) return err_set(err, MEROS_INTERNAL, "gzip could not be restarted");
            g->ended = false;
        }
        size_t had_in = g->z.avail_in, had_out = g->z.avail_out;
        int rc = inflate(&g->z, Z_NO_FLUSH);
        g->in += had_in - g->z.avail_in;
        g->out += had_out - g->z.avail_out;
        enum meros_code code = too_much(g, err);
        if (code != MEROS_OK) return code;
        if (rc == Z_MEM_ERROR) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory to decode gzip");
        if (rc == Z_STREAM_END) g->ended = true;
        else if (rc == Z_BUF_ERROR) break; /* needs more input or more room */
        else if (rc != Z_OK)
            return err_set(err, MEROS_INVALID, "the body is not valid gzip (%s, at byte %zu)",
                           g->z.msg != NULL ? g->z.msg : "damaged", g->in);
        if (g->z.avail_out == 0) break;
    }
    *in_n = give - g->z.avail_in;
    *out_n = room - g->z.avail_out;
    return MEROS_OK;
}

bool gzip_all(const char *p, size_t n, int level, struct buf *out)
{
    if (n > UINT_MAX / 2) return false;
    z_stream z = {0};
    /* memLevel 8 is zlib's default; small answers do not need its 256 KiB of tables. */
    if (deflateInit2(&z, level, Z_DEFLATED, WINDOW_GZIP, n < 16384 ? 5 : 8, Z_DEFAULT_STRATEGY) != Z_OK) return false;
    /* The bound is more than n: under a ceiling of n (an answer that would not shrink) it is tried in the room there is. */
    size_t bound = deflateBound(&z, n), room = out->limit > out->len ? out->limit - out->len : 0;
    if (bound > room) bound = room;
    char *to = buf_reserve(out, bound);
    bool ok = false;
    if (to != NULL) {
        z.next_in = (const Bytef *)p;
        z.avail_in = (uInt)n;
        z.next_out = (Bytef *)to;
        z.avail_out = (uInt)bound;
        ok = deflate(&z, Z_FINISH) == Z_STREAM_END;
        if (ok) {
            out->len += bound - z.avail_out;
            out->data[out->len] = '\0';
        }
    }
    deflateEnd(&z);
    return ok;
}
