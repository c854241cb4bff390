/* Two passes over the same grammar: `kept` looks whether a text is canonical and writes nothing; `put` makes it so. Grammar is
 * looked at only as far as is needed not to run astray: whoever calls has checked the text. */
#include "meros/domain/canonical.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

static const char *blanks(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\n' || *p == '\r' || *p == '\t')) p++;
    return p;
}

static bool digit(char c)
{
    return c >= '0' && c <= '9';
}

static bool of_number(char c)
{
    return digit(c) || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

/* --- numbers: sign, digits without zeros at either end, and where the point is: 0.DIGITS × 10^point */
enum { POINT_MAX = 1000000000, PLAIN_MAX = 21, SMALL_MAX = 6 };
struct number {
    bool negative;
    const char *first, *last; /* of the digits that count, both included; there may be a point between them */
    int64_t n, point;         /* digits from first to last; n 0: zero */
};

static int64_t exponent_of(const char *p, const char *end)
{
    int64_t v = 0;
    const bool negative = p < end && *p == '-';
    if (p < end && (*p == '-' || *p == '+')) p++;
    for (; p < end && digit(*p); p++)
        if (v < POINT_MAX) v = v * 10 + (*p - '0');
    return negative ? -v : v;
}

static struct number read_number(const char *p, const char *end)
{
    struct number x = {.negative = *p == '-'};
    int64_t before = 0, at = 0, first = 0, last = 0; /* places of digits, counted from 1 */
    bool pointed = false;
    for (p += x.negative; p < end && *p != 'e' && *p != 'E'; p++) {
        if (!digit(*p)) {
            pointed = true;
            continue;
        }
        at++;
        before += !pointed;
        if (*p == '0') continue;
        if (first == 0) {
            first = at;
            x.first = p;
        }
        last = at;
        x.last = p;
    }
    if (first == 0) return (struct number){0}; /* minus zero is zero */
    x.n = last - first + 1;
    x.point = before - first + 1 + (p < end ? exponent_of(p + 1, end) : 0);
    return x;
}

/* The digits, with a point behind the first `whole` of them if more follow. */
static void put_digits(const struct number *x, int64_t whole, struct buf *out)
{
    int64_t n = 0;
    for (const char *p = x->first; p <= x->last; p++) {
        if (!digit(*p)) continue;
        if (n++ == whole) buf_char(out, '.');
        buf_char(out, *p);
    }
}

static void put_zeros(int64_t n, struct buf *out)
{
    while (n-- > 0) buf_char(out, '0');
}

static void put_number(const char *p, const char *end, struct buf *out)
{
    const struct number x = read_number(p, end);
    if (x.n == 0) {
        buf_char(out, '0');
        return;
    }
    if (x.negative) buf_char(out, '-');
    if (x.point > 0 && x.point <= PLAIN_MAX) {
        put_digits(&x, x.point, out);
        put_zeros(x.point - x.n, out);
    } else if (x.point <= 0 && x.point > -SMALL_MAX) {
        buf_str(out, "0.");
        put_zeros(-x.point, out);
        put_digits(&x, x.n, out);
    } else {
        put_digits(&x, 1, out);
        buf_printf(out, "e%+lld", (long long)x.point - 1);
    }
}

static const char *behind_number(const char *p, const char *end)
{
    while (p < end && of_number(*p)) p++;
    return p;
}

static bool number_kept(const char *p, const char *end)
{
    const char *first = p + (*p == '-');
    if (first < end && *first >= '1' && *first <= '9' && end - first <= PLAIN_MAX) { /* most are plain integers */
        while (first < end && digit(*first)) first++;
        if (first == end) return true;
    }
    struct buf b;
    buf_init(&b, (size_t)(end - p) * CANONICAL_GROWTH + 64);
    put_number(p, end, &b);
    const bool same = !b.failed && b.len == (size_t)(end - p) && memcmp(b.data, p, b.len) == 0;
    buf_done(&b);
    return same;
}

/* --- is it canonical? Gives the place behind the value, or NULL. */
static const char *string_kept(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
        if (*p == '\\' || (unsigned char)*p < 0x20) return NULL; /* what has escapes is written anew, be it the same */
    return p < end ? p + 1 : NULL;
}

static int compare(const char *a, size_t n, const char *b, size_t m)
{
    const int c = memcmp(a, b, n < m ? n : m);
    return c != 0 ? c : (n > m) - (n < m);
}

static const char *kept(const char *p, const char *end, int depth)
{
    const char *name = NULL, *behind;
    size_t name_n = 0;
    if (p == end || depth > CANONICAL_DEPTH_MAX) return NULL;
    if (*p == '"') return string_kept(p, end);
    if (digit(*p) || *p == '-') {
        behind = behind_number(p, end);
        return number_kept(p, behind) ? behind : NULL;
    }
    if (*p == 't' || *p == 'n') return end - p >= 4 ? p + 4 : NULL;
    if (*p == 'f') return end - p >= 5 ? p + 5 : NULL;
    if (*p != '{' && *p != '[') return NULL;
    const char close = *p == '{' ? '}' : ']';
    if (++p < end && *p == close) return p + 1;
    for (;;) {
        if (close == '}') {
            if (p == end || *p != '"' || (behind = string_kept(p, end)) == NULL || behind == end || *behind != ':') return NULL;
            const size_t n = (size_t)(behind - p) - 2;
            if (name != NULL && compare(name, name_n, p + 1, n) >= 0) return NULL;
            name = p + 1;
            name_n = n;
            p = behind + 1;
        }
        if ((p = kept(p, end, depth + 1)) == NULL || p == end) return NULL;
        if (*p == close) return p + 1;
        if (*p++ != ',') return NULL;
    }
}

/* --- writing. Gives the place behind the value and the blanks after it, or NULL. */
static int hex_of(const char *p)
{
    int v = 0;
    for (int k = 0; k < 4; k++) {
        const char c = p[k];
        const int d = digit(c) ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
        if (d < 0) return -1;
        v = v * 16 + d;
    }
    return v;
}

static void put_character(uint32_t c, struct buf *out)
{
    static const char shorts[] = "btn\0fr"; /* from 8 on */
    if (c == '"' || c == '\\') {
        buf_char(out, '\\');
        buf_char(out, (char)c);
    } else if (c >= 8 && c <= 13 && shorts[c - 8] != '\0') {
        buf_char(out, '\\');
        buf_char(out, shorts[c - 8]);
    } else if (c < 0x20 || (c >= 0xd800 && c <= 0xdfff)) { /* half of a pair has no other way to be written */
        buf_printf(out, "\\u%04x", (unsigned)c);
    } else if (c < 0x80) {
        buf_char(out, (char)c);
    } else {
        if (c >= 0x10000) buf_char(out, (char)(0xf0 | c >> 18));
        if (c >= 0x10000) buf_char(out, (char)(0x80 | (c >> 12 & 0x3f)));
        else if (c >= 0x800) buf_char(out, (char)(0xe0 | c >> 12));
        buf_char(out, (char)(c >= 0x800 ? 0x80 | (c >> 6 & 0x3f) : 0xc0 | c >> 6));
        buf_char(out, (char)(0x80 | (c & 0x3f)));
    }
}

/* p: behind the backslash. */
static const char *put_escape(const char *p, const char *end, struct buf *out)
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    if (p == end) return NULL;
    if (*p != 'u') {
        const char *at = strchr(from, *p);
        put_character(at != NULL && *p != '\0' ? (unsigned char)to[at - from] : (unsigned char)*p, out);
        return p + 1;
    }
    int c = end - p >= 5 ? hex_of(p + 1) : -1, low;
    if (c < 0) return NULL;
    p += 5;
    if (c >= 0xd800 && c < 0xdc00 && end - p >= 6 && p[0] == '\\' && p[1] == 'u' && (low = hex_of(p + 2)) >= 0xdc00 && low < 0xe000) {
        put_character(0x10000 + ((uint32_t)(c - 0xd800) << 10) + (uint32_t)(low - 0xdc00), out);
        return p + 6;
    }
    put_character((uint32_t)c, out);
    return p;
}

static const char *put_string(const char *p, const char *end, struct buf *out)
{
    if (p == end || *p != '"') return NULL;
    buf_char(out, '"');
    for (p++; p != NULL && p < end && *p != '"';) {
        const char *run = p;
        while (p < end && *p != '"' && *p != '\\') p++;
        buf_append(out, run, (size_t)(p - run));
        if (p < end && *p == '\\') p = put_escape(p + 1, end, out);
    }
    if (p == NULL || p == end) return NULL;
    buf_char(out, '"');
    return blanks(p + 1, end);
}

static const char *put(const char *p, const char *end, int depth, struct buf *out);

struct member {
    size_t at, name_n, end; /* in what was written: "name":value; the name without its quotes */
    const char *text;
};

static int compare_names(const struct member *x, const struct member *y)
{
    return compare(x->text + x->at + 1, x->name_n, y->text + y->at + 1, y->name_n);
}

/* By name; of equal names the last one first. */
static int by_name(const void *a, const void *b)
{
    const struct member *x = a, *y = b;
    const int c = compare_names(x, y);
    return c != 0 ? c : (x->at < y->at) - (x->at > y->at);
}

/* What was written from `base` on are the members, one after another: written again in their order. */
static void sort_members(struct member *members, size_t n, size_t base, struct buf *out)
{
    char *text = malloc(out->len - base + 1);
    if (text == NULL || out->failed) { /* what is half written has no names to compare */
        out->failed = true;
        free(text);
        return;
    }
    memcpy(text, out->data + base, out->len - base);
    for (size_t k = 0; k < n; k++) members[k].text = text;
    qsort(members, n, sizeof *members, by_name);
    out->len = base;
    const struct member *before = NULL;
    for (size_t k = 0; k < n; k++) {
        const struct member *m = &members[k];
        if (before != NULL && compare_names(before, m) == 0) continue;
        if (before != NULL) buf_char(out, ',');
        buf_append(out, text + m->at, m->end - m->at);
        before = m;
    }
    free(text);
}

static const char *put_members(const char *p, const char *end, int depth, struct buf *out)
{
    struct member some[16], *members = some;
    size_t n = 0, cap = sizeof some / sizeof some[0];
    const size_t base = out->len;
    for (bool more = true; p != NULL && more;) {
        if (n == cap) {
            struct member *wider = malloc(2 * cap * sizeof *wider);
            if (wider == NULL) {
                out->failed = true;
                p = NULL;
                break;
            }
            memcpy(wider, members, n * sizeof *wider);
            if (members != some) free(members);
            members = wider;
            cap *= 2;
        }
        struct member *m = &members[n++];
        m->at = out->len - base;
        if ((p = put_string(p, end, out)) == NULL || p == end || *p != ':') {
            p = NULL;
            break;
        }
        m->name_n = out->len - base - m->at - 2;
        buf_char(out, ':');
        p = put(blanks(p + 1, end), end, depth, out);
        m->end = out->len - base;
        more = p != NULL && p < end && *p == ',';
        if (more) p = blanks(p + 1, end);
    }
    if (p != NULL) sort_members(members, n, base, out);
    if (members != some) free(members);
    return p;
}

static const char *put_elements(const char *p, const char *end, int depth, struct buf *out)
{
    for (;;) {
        if ((p = put(p, end, depth, out)) == NULL || p == end || *p != ',') return p;
        buf_char(out, ',');
        p = blanks(p + 1, end);
    }
}

static const char *put(const char *p, const char *end, int depth, struct buf *out)
{
    static const char *const words[] = {"true", "false", "null"};
    if (p == end || depth > CANONICAL_DEPTH_MAX) return NULL;
    if (*p == '"') return put_string(p, end, out);
    if (digit(*p) || *p == '-') {
        const char *behind = behind_number(p, end);
        put_number(p, behind, out);
        return blanks(behind, end);
    }
    for (size_t k = 0; k < 3; k++) {
        const size_t n = strlen(words[k]);
        if ((size_t)(end - p) < n || memcmp(p, words[k], n) != 0) continue;
        buf_append(out, p, n);
        return blanks(p + n, end);
    }
    if (*p != '{' && *p != '[') return NULL;
    const char close = *p == '{' ? '}' : ']';
    buf_char(out, *p);
    p = blanks(p + 1, end);
    if (p < end && *p != close) p = close == '}' ? put_members(p, end, depth + 1, out) : put_elements(p, end, depth + 1, out);
    if (p == NULL || p == end || *p != close) return NULL;
    buf_char(out, close);
    return blanks(p + 1, end);
}

void json_canonical(struct str text, struct buf *out)
{
    const char *end = text.p + text.n;
    const size_t base = out->len;
    if (kept(text.p, end, 0) != end) {
        if (put(blanks(text.p, end), end, 0, out) == end) return;
        if (out->failed) return;
        out->len = base;
    }
    buf_append(out, text.p, text.n);
}
