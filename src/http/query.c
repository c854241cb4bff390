#include "http_priv.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include "meros/base/clock.h"

enum { QUERY_PARTS_MAX = 64, STR_MAX_DEFAULT = 1024 };

static int hex_value(char c)
{
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool url_decode(struct str s, bool plus, char *to, size_t *out_n)
{
    size_t n = 0;
    for (size_t i = 0; i < s.n; i++) {
        char c = s.p[i];
        if (c == '%') {
            int high = i + 2 < s.n ? hex_value(s.p[i + 1]) : -1, low = i + 2 < s.n ? hex_value(s.p[i + 2]) : -1;
            if (high < 0 || low < 0) return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (plus && c == '+') {
            c = ' ';
        }
        to[n++] = c;
    }
    *out_n = n;
    return true;
}

enum meros_code path_split(struct str path, char *to, struct str segments[SEGMENTS_MAX], size_t *out_n,
                           struct meros_err *err)
{
    if (path.n == 0 || path.p[0] != '/')
        return err_set(err, MEROS_INVALID, "The request's target must be a path that begins with '/'.");
    size_t n = 0;
    const char *at = path.p + 1, *end = path.p + path.n;
    for (;;) {
        const char *slash = memchr(at, '/', (size_t)(end - at));
        struct str raw = {at, (size_t)((slash != NULL ? slash : end) - at)};
        if (n == SEGMENTS_MAX) return err_set(err, MEROS_NOT_FOUND, "There is nothing at this path.");
        size_t len;
        if (!url_decode(raw, false, to, &len))
            return err_set(err, MEROS_INVALID, "The path holds a '%%' that is not followed by two hexadecimal digits.");
        if (memchr(to, '\0', len) != NULL) return err_set(err, MEROS_INVALID, "The path holds a NUL byte.");
        if (!utf8_valid(to, len)) return err_set(err, MEROS_INVALID, "The path is not valid UTF-8.");
        segments[n++] = (struct str){to, len};
        to += len;
        if (slash == NULL) break;
        at = slash + 1;
    }
    *out_n = n;
    return MEROS_OK;
}

static bool text_ok(struct str s)
{
    if (!utf8_valid(s.p, s.n)) return false;
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (c < 0x20 || c == 0x7F || (c == 0xC2 && i + 1 < s.n && (unsigned char)s.p[i + 1] < 0xA0)) return false;
    }
    return true;
}

/* "a, b, c" for a message; cut where it gets long. */
static void list_words(const char *const *words, char *out, size_t cap)
{
    size_t n = 0;
    out[0] = '\0';
    for (; *words != NULL && n + strlen(*words) + 3 < cap; words++)
        n += (size_t)snprintf(out + n, cap - n, "%s%s", n > 0 ? ", " : "", *words);
}

/* Checks s against the descriptor and fills v; a fault goes to err under pointer. */
static void value_parse(const struct http_param *p, const char *pointer, struct str s, struct query_value *v,
                        struct meros_err *err)
{
    char words[150];
    size_t max = p->max > 0 ? (size_t)p->max : STR_MAX_DEFAULT;
    v->s = s;
    switch (p->kind) {
    case HTTP_PARAM_STR:
        if (s.n > max) err_field(err, pointer, "is longer than %zu bytes", max);
        else if (!text_ok(s) && !str_is(s, "\t")) /* a delimiter may be a tab */
            err_field(err, pointer, "must be UTF-8 without control characters");
        break;
    case HTTP_PARAM_ID:
        if (!id_valid(s))
            err_field(err, pointer, "must be an id: 1 to %d bytes of UTF-8 without control characters", ID_MAX);
        break;
    case HTTP_PARAM_INT:
        if (!str_to_int64(s, &v->v.i)) err_field(err, pointer, "must be a whole number from %.0f to %.0f", p->min, p->max);
        else if ((double)v->v.i < p->min || (double)v->v.i > p->max)
            err_field(err, pointer, "must be from %.0f to %.0f", p->min, p->max);
        break;
    case HTTP_PARAM_NUM:
        if (!str_to_double(s, &v->v.f)) err_field(err, pointer, "must be a number from %g to %g", p->min, p->max);
        else if (!(v->v.f >= p->min && v->v.f <= p->max)) err_field(err, pointer, "must be from %g to %g", p->min, p->max);
        break;
    case HTTP_PARAM_BOOL:
        v->v.i = str_is(s, "true") || str_is(s, "1");
        if (!v->v.i && !str_is(s, "false") && !str_is(s, "0")) err_field(err, pointer, "must be true or false");
        break;
    case HTTP_PARAM_TIME:
        if (!time_parse(s, &v->v.i))
            err_field(err, pointer, "must be a time such as 2011-12-09T12:50:00Z (write '+' of an offset as %%2B)");
        break;
    case HTTP_PARAM_ENUM:
        for (const char *const *w = p->words; *w != NULL; w++)
            if (str_is(s, *w)) return;
        list_words(p->words, words, sizeof words);
        err_field(err, pointer, "must be one of %s", words);
        break;
    }
}

/* "?name", with what cannot be printed left out: names come from clients. */
static void make_pointer(struct str name, char out[ERR_POINTER_MAX])
{
    size_t n = 0;
    out[n++] = '?';
    if (utf8_valid(name.p, name.n)) {
        size_t keep = name.n < 60 ? name.n : utf8_cut(name.p, 60);
        for (size_t i = 0; i < keep; i++)
            if ((unsigned char)name.p[i] >= 0x20 && name.p[i] != 0x7F) out[n++] = name.p[i];
    }
    out[n] = '\0';
}

static const struct http_param *find_param(const struct http_param *params, struct str name)
{
    for (const struct http_param *p = params; p != NULL && p->name != NULL; p++)
        if (str_is(name, p->name)) return p;
    return NULL;
}

static void part_parse(struct str part, const struct http_param *params, char **to, struct query_value *values,
                       struct meros_err *err)
{
    char pointer[ERR_POINTER_MAX];
    const char *equals = memchr(part.p, '=', part.n);
    struct str raw_name = {part.p, equals != NULL ? (size_t)(equals - part.p) : part.n};
    struct str raw_value = equals != NULL ? (struct str){equals + 1, part.n - raw_name.n - 1} : (struct str){"", 0};
    struct str name = {*to, 0}, value;
    if (!url_decode(raw_name, true, *to, &name.n)) {
        err_field(err, "?", "a parameter's name holds a '%%' that is not followed by two hexadecimal digits");
        return;
    }
    make_pointer(name, pointer);
    *to += name.n;
    const struct http_param *p = find_param(params, name);
    if (p == NULL) {
        err_field(err, pointer, "is not a parameter of this operation");
        return;
    }
    value = (struct str){*to, 0};
    if (!url_decode(raw_value, true, *to, &value.n)) {
        err_field(err, pointer, "holds a '%%' that is not followed by two hexadecimal digits");
        return;
    }
    *to += value.n;
    struct query_value *v = &values[p - params];
    if (v->given) {
        err_field(err, pointer, "is given more than once");
        return;
    }
    v->given = true;
    if (memchr(value.p, '\0', value.n) != NULL) err_field(err, pointer, "holds a NUL byte");
    else value_parse(p, pointer, value, v, err);
}

enum meros_code query_parse(struct str query, const struct http_param *params, char *to, struct query_value *values,
                            struct meros_err *err)
{
    size_t parts = 0;
    for (const struct http_param *p = params; p != NULL && p->name != NULL; p++) values[p - params].given = false;
    const char *at = query.p, *end = query.p + query.n;
    while (at < end) {
        const char *amp = memchr(at, '&', (size_t)(end - at));
        struct str part = {at, (size_t)((amp != NULL ? amp : end) - at)};
        if (++parts > QUERY_PARTS_MAX)
            return err_set(err, MEROS_INVALID, "The query has more than %d parameters.", QUERY_PARTS_MAX);
        if (part.n > 0) part_parse(part, params, &to, values, err);
        at = amp != NULL ? amp + 1 : end;
    }
    for (const struct http_param *p = params; p != NULL && p->name != NULL; p++) {
        if (!p->required || values[p - params].given) continue;
        char pointer[ERR_POINTER_MAX];
        make_pointer(str_of(p->name), pointer);
        err_field(err, pointer, "is required");
    }
    return err->code;
}
