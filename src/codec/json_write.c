#include "meros/codec/json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void jsonw_init(struct jsonw *w, struct buf *out)
{
    *w = (struct jsonw){.out = out};
}

static void value(struct jsonw *w)
{
    if (w->comma) buf_char(w->out, ',');
    w->comma = true;
}

static void open_with(struct jsonw *w, char c)
{
    value(w);
    buf_char(w->out, c);
    w->comma = false;
}

static void close_with(struct jsonw *w, char c)
{
    buf_char(w->out, c);
    w->comma = true;
}

void jsonw_begin_object(struct jsonw *w)
{
    open_with(w, '{');
}

void jsonw_end_object(struct jsonw *w)
{
    close_with(w, '}');
}

void jsonw_begin_array(struct jsonw *w)
{
    open_with(w, '[');
}

void jsonw_end_array(struct jsonw *w)
{
    close_with(w, ']');
}

static bool plain(unsigned char c)
{
    return c >= 0x20 && c != '"' && c != '\\' && c != 0x7F;
}

static void escaped(struct buf *b, struct str s)
{
    static const char hex[] = "0123456789abcdef";
    size_t start = 0;
    buf_char(b, '"');
    for (size_t i = 0; i < s.n; i++) {
        unsigned char c = (unsigned char)s.p[i];
        if (plain(c)) continue;
        buf_append(b, s.p + start, i - start);
        start = i + 1;
        char e[6] = {'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]};
        switch (c) {
        case '"':
        case '\\': e[1] = (char)c; break;
        case '\n': e[1] = 'n'; break;
        case '\r': e[1] = 'r'; break;
        case '\t': e[1] = 't'; break;
        default: break;
        }
        buf_append(b, e, e[1] == 'u' ? 6 : 2);
    }
    buf_append(b, s.p + start, s.n - start);
    buf_char(b, '"');
}

/* The comma that is due, the text in quotes, and a colon behind a key. Nearly all texts are plain, and then it is one
 * piece of room, looked at and written in one go: an answer is made of little else. */
static void quoted(struct jsonw *w, struct str s, bool key)
{
    char *to = buf_reserve(w->out, s.n + 4), *p = to;
    if (to == NULL) return;
    if (w->comma) *p++ = ',';
    *p++ = '"';
    size_t i = 0;
    for (; i < s.n && plain((unsigned char)s.p[i]); i++) *p++ = s.p[i];
    if (i < s.n) {
        value(w);
        escaped(w->out, s);
        if (key) buf_char(w->out, ':');
    } else {
        *p++ = '"';
        if (key) *p++ = ':';
        *p = '\0';
        w->out->len += (size_t)(p - to);
    }
    w->comma = !key;
}

void jsonw_key_str(struct jsonw *w, struct str name)
{
    quoted(w, name, true);
}

void jsonw_key(struct jsonw *w, const char *name)
{
    jsonw_key_str(w, str_of(name));
}

void jsonw_str(struct jsonw *w, struct str s)
{
    if (!str_present(s)) {
        jsonw_null(w);
        return;
    }
    quoted(w, s, false);
}

void jsonw_cstr(struct jsonw *w, const char *s)
{
    jsonw_str(w, str_of(s));
}

void jsonw_int(struct jsonw *w, int64_t v)
{
    char digits[24];
    size_t i = sizeof digits;
    uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
    do digits[--i] = (char)('0' + u % 10);
    while ((u /= 10) > 0);
    if (v < 0) digits[--i] = '-';
    if (w->comma) digits[--i] = ',';
    w->comma = true;
    buf_append(w->out, digits + i, sizeof digits - i);
}

/* v as a decimal of at most 15 digits with up to six after the point, where it is one: amounts, days and rates are, and
 * printf takes ten times as long. r / 10^k is correctly rounded, so equality says that the text reads back as v, and the
 * least k gives the shortest. 0 if v is no such number. */
static size_t short_decimal(double v, char out[32])
{
    static const double powers[] = {1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6};
    const double a = fabs(v);
    if (!(a >= 1e-4 && a < 1e9)) return 0;
    for (int k = 1; k <= 6; k++) {
        const double r = rint(a * powers[k]);
        if (r / powers[k] != a) continue;
        uint64_t u = (uint64_t)r;
        char digits[24];
        size_t i = sizeof digits;
        for (int n = 0; n < k; n++, u /= 10) digits[--i] = (char)('0' + u % 10);
        digits[--i] = '.';
        do digits[--i] = (char)('0' + u % 10);
        while ((u /= 10) > 0);
        if (v < 0) digits[--i] = '-';
        memcpy(out, digits + i, sizeof digits - i);
        out[sizeof digits - i] = '\0';
        return sizeof digits - i;
    }
    return 0;
}

size_t json_number_text(double v, char out[32])
{
    if (!isfinite(v)) return (size_t)snprintf(out, 32, "null");
    if (v == rint(v) && fabs(v) < 1e15) return (size_t)snprintf(out, 32, "%lld", (long long)v);
    const size_t quick = short_decimal(v, out);
    if (quick > 0) return quick;
    int n = 0;
    for (int digits = 15; digits <= 17; digits++) {
        n = snprintf(out, 32, "%.*g", digits, v);
        if (strtod(out, NULL) == v) break;
    }
    return (size_t)n;
}

void jsonw_num(struct jsonw *w, double v)
{
    if (v == rint(v) && fabs(v) < 1e15) {
        jsonw_int(w, (int64_t)v);
        return;
    }
    char text[32];
    size_t n = json_number_text(v, text);
    value(w);
    buf_append(w->out, text, n);
}

void jsonw_money(struct jsonw *w, double v)
{
    /* Amounts have up to six digits after the point (domain/decimal.h); what binary sums carry below them is noise. Past
     * 1e9 a double no longer holds all six, and past 1e13 not even cents. */
    const double unit = fabs(v) < 1e9 ? 1e6 : 1e2;
    jsonw_num(w, fabs(v) < 1e13 ? rint(v * unit) / unit : v);
}

void jsonw_bool(struct jsonw *w, bool v)
{
    value(w);
    buf_str(w->out, v ? "true" : "false");
}

void jsonw_null(struct jsonw *w)
{
    value(w);
    buf_append(w->out, "null", 4);
}

void jsonw_time(struct jsonw *w, int64_t t)
{
    if (t == TIME_NONE) {
        jsonw_null(w);
        return;
    }
    char text[TIME_TEXT];
    quoted(w, (struct str){text, time_format(t, text)}, false);
}

void jsonw_raw(struct jsonw *w, struct str json)
{
    if (json.n == 0) {
        jsonw_null(w);
        return;
    }
    value(w);
    buf_append(w->out, json.p, json.n);
}

void jsonw_value(struct jsonw *w, const struct json *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_NULL: jsonw_null(w); return;
    case JSON_KIND_BOOL: jsonw_bool(w, json_bool(v)); return;
    case JSON_KIND_NUMBER:
        if (json_is_int(v)) jsonw_int(w, json_int(v));
        else jsonw_num(w, json_num(v));
        return;
    case JSON_KIND_STRING: jsonw_str(w, json_str(v)); return;
    case JSON_KIND_ARRAY:
        jsonw_begin_array(w);
        for (size_t i = 0, n = json_count(v); i < n; i++) jsonw_value(w, json_at(v, i));
        jsonw_end_array(w);
        return;
    case JSON_KIND_OBJECT: break;
    }
    const void *at = NULL;
    struct str name;
    const struct json *member;
    jsonw_begin_object(w);
    while (json_next(v, &at, &name, &member)) {
        jsonw_key_str(w, name);
        jsonw_value(w, member);
    }
    jsonw_end_object(w);
}

void jsonw_kstr(struct jsonw *w, const char *name, struct str s)
{
    jsonw_key(w, name);
    jsonw_str(w, s);
}

void jsonw_kcstr(struct jsonw *w, const char *name, const char *s)
{
    jsonw_key(w, name);
    jsonw_cstr(w, s);
}

void jsonw_kint(struct jsonw *w, const char *name, int64_t v)
{
    jsonw_key(w, name);
    jsonw_int(w, v);
}

void jsonw_knum(struct jsonw *w, const char *name, double v)
{
    jsonw_key(w, name);
    jsonw_num(w, v);
}

void jsonw_kmoney(struct jsonw *w, const char *name, double v)
{
    jsonw_key(w, name);
    jsonw_money(w, v);
}

void jsonw_kbool(struct jsonw *w, const char *name, bool v)
{
    jsonw_key(w, name);
    jsonw_bool(w, v);
}

void jsonw_ktime(struct jsonw *w, const char *name, int64_t t)
{
    jsonw_key(w, name);
    jsonw_time(w, t);
}

void jsonw_knull(struct jsonw *w, const char *name)
{
    jsonw_key(w, name);
    jsonw_null(w);
}

void jsonw_kraw(struct jsonw *w, const char *name, struct str json)
{
    jsonw_key(w, name);
    jsonw_raw(w, json);
}
