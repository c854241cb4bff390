/* Cursors: base64url of one version byte, four bytes that name the list and shape, and the parts. An int64 is eight bytes,
 * big-endian; a double its bits; a text two bytes of length and its bytes. */
#include "api_priv.h"

#include <assert.h>
#include <string.h>
#include "meros/base/crypto.h"

enum { CURSOR_VERSION = 1, CURSOR_HEAD = 5, CURSOR_RAW_MAX = API_CURSOR_CAP * 3 / 4 - 4 };

static uint32_t list_tag(const char *list, const char *shape)
{
    uint32_t h = 2166136261u; /* FNV-1a */
    for (const char *p = list; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    h = (h ^ 0xff) * 16777619u;
    for (const char *p = shape; *p != 0; p++)
        h = (h ^ (unsigned char)*p) * 16777619u;
    return h;
}

static void put_be(unsigned char *to, uint64_t v, int bytes)
{
    for (int i = bytes - 1; i >= 0; i--, v >>= 8)
        to[i] = (unsigned char)v;
}

static uint64_t get_be(const unsigned char *p, int bytes)
{
    uint64_t v = 0;
    for (int i = 0; i < bytes; i++)
        v = v << 8 | p[i];
    return v;
}

size_t api_cursor_encode(const char *list, const char *shape, const struct api_part *parts, char out[API_CURSOR_CAP])
{
    unsigned char raw[CURSOR_RAW_MAX];
    size_t n = CURSOR_HEAD;
    raw[0] = CURSOR_VERSION;
    put_be(raw + 1, list_tag(list, shape), 4);
    for (size_t i = 0; shape[i] != 0; i++) {
        if (shape[i] == 't') {
            struct str t = parts[i].t;
            if (t.n > UINT16_MAX || n + 2 + t.n > sizeof raw)
                return 0;
            put_be(raw + n, t.n, 2);
            if (t.n > 0)
                memcpy(raw + n + 2, t.p, t.n);
            n += 2 + t.n;
            continue;
        }
        uint64_t bits = (uint64_t)parts[i].i;
        if (shape[i] == 'd')
            memcpy(&bits, &parts[i].d, sizeof bits);
        if (n + 8 > sizeof raw)
            return 0;
        put_be(raw + n, bits, 8);
        n += 8;
    }
    base64_encode(raw, n, out);
    return base64_length(n);
}

bool api_cursor_decode(struct str cursor, const char *list, const char *shape, struct api_part *out, char text[API_CURSOR_CAP])
{
    unsigned char raw[CURSOR_RAW_MAX];
    size_t len = 0, at = CURSOR_HEAD;
    if (!base64_decode(cursor, raw, sizeof raw, &len) || len < CURSOR_HEAD || raw[0] != CURSOR_VERSION ||
        get_be(raw + 1, 4) != list_tag(list, shape))
        return false;
    struct api_part parts[API_PARTS_MAX] = {0};
    size_t text_n = 0;
    for (size_t i = 0; shape[i] != 0; i++) {
        if (shape[i] == 't') {
            if (len - at < 2)
                return false;
            size_t n = (size_t)get_be(raw + at, 2);
            at += 2;
            /* A database takes neither NUL nor broken UTF-8, and no keyset of ours holds any. */
            if (n > len - at || memchr(raw + at, 0, n) != NULL || !utf8_valid((const char *)raw + at, n))
                return false;
            memcpy(text + text_n, raw + at, n);
            parts[i].t = (struct str){text + text_n, n};
            text_n += n;
            at += n;
            continue;
        }
        if (len - at < 8)
            return false;
        uint64_t bits = get_be(raw + at, 8);
        at += 8;
        if (shape[i] == 'd') {
            memcpy(&parts[i].d, &bits, sizeof bits);
            if (parts[i].d != parts[i].d)
                return false;
        } else {
            parts[i].i = (int64_t)bits;
        }
    }
    if (at != len)
        return false;
    memcpy(out, parts, strlen(shape) * sizeof parts[0]);
    return true;
}

enum meros_code api_page_read(struct http_request *req, const char *list, const char *shape, struct api_page *out,
                              struct meros_err *err)
{
    *out = (struct api_page){.list = list, .shape = shape};
    out->limit = http_query_int(req, "limit", API_LIMIT_DEFAULT);
    struct str cursor = http_query_str(req, "cursor");
    if (!str_present(cursor))
        return MEROS_OK;
    if (!api_cursor_decode(cursor, list, shape, out->part, out->text))
        return err_field(err, "?cursor", "is not a cursor of this list: give the `next` of the page before, as it was");
    out->given = true;
    return MEROS_OK;
}

void api_page_begin(struct api_page *p, struct jsonw *w)
{
    (void)p;
    jsonw_begin_object(w);
    jsonw_key(w, "data");
    jsonw_begin_array(w);
}

void api_page_end(struct api_page *p, struct jsonw *w, bool more, const struct api_part *last)
{
    char cursor[API_CURSOR_CAP];
    jsonw_end_array(w);
    if (more) {
        size_t n = api_cursor_encode(p->list, p->shape, last, cursor);
        assert(n > 0); /* three ids fit */
        jsonw_kstr(w, "next", (struct str){cursor, n});
    } else {
        jsonw_knull(w, "next");
    }
    jsonw_end_object(w);
}
