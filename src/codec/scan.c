#include "scan_priv.h"

#include <stdint.h>
#include <string.h>

bool scan_fault(struct scan *s, const char *what)
{
    if (s->fault == NULL) s->fault = what;
    return false;
}

void scan_blanks(struct scan *s)
{
    while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r' || *s->p == '\n')) s->p++;
}

static bool hex4(struct scan *s, unsigned *out)
{
    unsigned v = 0;
    if (s->end - s->p < 4) return scan_fault(s, "An escape is cut short.");
    for (int i = 0; i < 4; i++) {
        char c = s->p[i];
        unsigned digit;
        if (c >= '0' && c <= '9') digit = (unsigned)(c - '0');
        else if (c >= 'a' && c <= 'f') digit = (unsigned)(c - 'a') + 10;
        else if (c >= 'A' && c <= 'F') digit = (unsigned)(c - 'A') + 10;
        else return scan_fault(s, "An escape \\u needs four hexadecimal digits.");
        v = v << 4 | digit;
    }
    s->p += 4;
    *out = v;
    return true;
}

static void append_utf8(struct buf *b, unsigned v)
{
    char t[4];
    size_t n;
    if (v < 0x80) {
        t[0] = (char)v, n = 1;
    } else if (v < 0x800) {
        t[0] = (char)(0xC0 | v >> 6), t[1] = (char)(0x80 | (v & 0x3F)), n = 2;
    } else if (v < 0x10000) {
        t[0] = (char)(0xE0 | v >> 12), t[1] = (char)(0x80 | (v >> 6 & 0x3F)), t[2] = (char)(0x80 | (v & 0x3F)), n = 3;
    } else {
        t[0] = (char)(0xF0 | v >> 18), t[1] = (char)(0x80 | (v >> 12 & 0x3F));
        t[2] = (char)(0x80 | (v >> 6 & 0x3F)), t[3] = (char)(0x80 | (v & 0x3F)), n = 4;
    }
    buf_append(b, t, n);
}

/* After the backslash. Decodes into `to` unless that is NULL. */
static bool escape(struct scan *s, struct buf *to)
{
    unsigned v, low;
    if (s->p == s->end) return scan_fault(s, "A string is not closed.");
    switch (*s->p++) {
    case '"': v = '"'; break;
    case '\\': v = '\\'; break;
    case '/': v = '/'; break;
    case 'b': v = '\b'; break;
    case 'f': v = '\f'; break;
    case 'n': v = '\n'; break;
    case 'r': v = '\r'; break;
    case 't': v = '\t'; break;
    case 'u':
        if (!hex4(s, &v)) return false;
        if (v == 0) return scan_fault(s, "\\u0000 cannot be stored.");
        if (v >= 0xDC00 && v <= 0xDFFF) return scan_fault(s, "A surrogate escape stands alone.");
        if (v >= 0xD800 && v <= 0xDBFF) {
            if (s->end - s->p < 2 || s->p[0] != '\\' || s->p[1] != 'u') return scan_fault(s, "A surrogate escape stands alone.");
            s->p += 2;
            if (!hex4(s, &low)) return false;
            if (low < 0xDC00 || low > 0xDFFF) return scan_fault(s, "A surrogate escape stands alone.");
            v = 0x10000 + ((v - 0xD800) << 10) + (low - 0xDC00);
        }
        break;
    default: s->p--; return scan_fault(s, "There is no such escape.");
    }
    if (to != NULL) append_utf8(to, v);
    return true;
}

/* Behind the bytes of a string that stand for themselves, eight at a time. A byte is found by what a subtraction borrows, which is right
 * for the first one found and may be wrong for those behind it (Mycroft's test for a zero byte). */
static const char *plain_run(const char *p, const char *end)
{
    const uint64_t ones = UINT64_C(0x0101010101010101);
    while (__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ && end - p >= 8) {
        uint64_t w;
        memcpy(&w, p, 8);
        const uint64_t quote = w ^ ones * '"', escape = w ^ ones * '\\';
        const uint64_t found = (((quote - ones) & ~quote) | ((escape - ones) & ~escape) | ((w - ones * 0x20) & ~w)) & ones * 0x80;
        if (found != 0) return p + __builtin_ctzll(found) / 8;
        p += 8;
    }
    while (p < end && *p != '"' && *p != '\\' && (unsigned char)*p >= 0x20) p++;
    return p;
}

/* At a quote. out NULL: only checked. The line as a whole is known to be UTF-8. */
static bool string(struct scan *s, struct str *out)
{
    const char *from = ++s->p;
    struct buf *to = NULL;
    size_t start = s->text->len;
    for (;;) {
        const char *run = s->p;
        s->p = plain_run(run, s->end);
        if (to != NULL) buf_append(to, run, (size_t)(s->p - run));
        if (s->p == s->end) return scan_fault(s, "A string is not closed.");
        if (*s->p == '"') break;
        if (*s->p != '\\') return scan_fault(s, "A control character stands in a string.");
        if (to == NULL && out != NULL) {
            to = s->text;
            buf_append(to, from, (size_t)(s->p - from));
        }
        s->p++;
        if (!escape(s, to)) return false;
    }
    if (out != NULL && to == NULL) *out = (struct str){from, (size_t)(s->p - from)};
    if (to != NULL) *out = (struct str){to->data + start, to->len - start};
    s->p++;
    return true;
}

static bool number(struct scan *s)
{
    const char *from = s->p;
    double v;
    if (*s->p == '-') s->p++;
    if (s->p < s->end && *s->p == '0') {
        s->p++;
    } else {
        if (s->p == s->end || *s->p < '1' || *s->p > '9') return scan_fault(s, "That is not a number.");
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
    }
    if (s->p < s->end && *s->p == '.') {
        const char *digits = ++s->p;
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
        if (s->p == digits) return scan_fault(s, "A digit is missing after the point.");
    }
    if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
        s->p++;
        if (s->p < s->end && (*s->p == '+' || *s->p == '-')) s->p++;
        const char *digits = s->p;
        while (s->p < s->end && *s->p >= '0' && *s->p <= '9') s->p++;
        if (s->p == digits) return scan_fault(s, "A digit is missing in the exponent.");
    }
    size_t n = (size_t)(s->p - from);
    bool small = n <= 15 && memchr(from, 'e', n) == NULL && memchr(from, 'E', n) == NULL; /* cannot be out of range */
    if (!small && !str_to_double((struct str){from, n}, &v)) return scan_fault(s, "The number is out of range.");
    return true;
}

static bool word(struct scan *s, const char *text)
{
    size_t n = strlen(text);
    if ((size_t)(s->end - s->p) < n || memcmp(s->p, text, n) != 0) return scan_fault(s, "There is no value here that JSON knows.");
    s->p += n;
    return true;
}

/* An object, array or scalar, checked only. Recursion ends at JSON_DEPTH_MAX. */
static bool value(struct scan *s, int depth, enum json_kind *kind)
{
    enum json_kind inner;
    if (s->p == s->end) return scan_fault(s, "A value is missing.");
    switch (*s->p) {
    case '"': *kind = JSON_KIND_STRING; return string(s, NULL);
    case 't': *kind = JSON_KIND_BOOL; return word(s, "true");
    case 'f': *kind = JSON_KIND_BOOL; return word(s, "false");
    case 'n': *kind = JSON_KIND_NULL; return word(s, "null");
    case '{':
    case '[': break;
    default: *kind = JSON_KIND_NUMBER; return number(s);
    }
    bool object = *s->p == '{';
    char close = object ? '}' : ']';
    *kind = object ? JSON_KIND_OBJECT : JSON_KIND_ARRAY;
    if (depth > JSON_DEPTH_MAX) return scan_fault(s, "The value is nested too deep.");
    s->p++;
    scan_blanks(s);
    if (s->p < s->end && *s->p == close) {
        s->p++;
        return true;
    }
    for (;;) {
        scan_blanks(s);
        if (object) {
            if (s->p == s->end || *s->p != '"') return scan_fault(s, "A member's name is missing.");
            if (!string(s, NULL)) return false;
            scan_blanks(s);
            if (s->p == s->end || *s->p != ':') return scan_fault(s, "A colon is missing after a name.");
            s->p++;
            scan_blanks(s);
        }
        if (!value(s, depth + 1, &inner)) return false;
        scan_blanks(s);
        if (s->p == s->end) return scan_fault(s, "An object or array is not closed.");
        char c = *s->p++;
        if (c == close) return true;
        if (c != ',') {
            s->p--;
            return scan_fault(s, "A comma is missing.");
        }
    }
}

static bool member(struct scan *s, struct ndjson_member *m)
{
    *m = (struct ndjson_member){0};
    if (s->p == s->end || *s->p != '"') return scan_fault(s, "A member's name is missing.");
    if (!string(s, &m->name)) return false;
    scan_blanks(s);
    if (s->p == s->end || *s->p != ':') return scan_fault(s, "A colon is missing after a name.");
    s->p++;
    scan_blanks(s);
    if (s->p < s->end && *s->p == '"') {
        m->kind = JSON_KIND_STRING;
        return string(s, &m->text);
    }
    const char *from = s->p;
    if (!value(s, 2, &m->kind)) return false;
    m->text = (struct str){from, (size_t)(s->p - from)};
    return true;
}

bool scan_object(struct scan *s, size_t *out_n, struct str *out_faulty)
{
    struct ndjson_member *members = s->members;
    size_t n = 0;
    *out_faulty = STR_NONE;
    *out_n = 0;
    if (s->p == s->end || *s->p != '{') return scan_fault(s, "This is not a JSON object.");
    s->p++;
    scan_blanks(s);
    if (s->p < s->end && *s->p == '}') {
        s->p++;
        return true;
    }
    for (;;) {
        struct ndjson_member m;
        scan_blanks(s);
        bool ok = member(s, &m);
        if (ok && n == s->max_members)
            ok = scan_fault(s, n == NDJSON_MEMBERS_MAX ? "The object has more than 1000 members." : "The object has too many members.");
        for (size_t i = 0; ok && i < n; i++)
            if (str_eq(members[i].name, m.name)) ok = scan_fault(s, "The name is there twice.");
        if (!ok) {
            *out_faulty = m.name;
            return false;
        }
        members[n++] = m;
        scan_blanks(s);
        if (s->p == s->end) return scan_fault(s, "The object is not closed.");
        char c = *s->p++;
        if (c == '}') break;
        if (c != ',') {
            s->p--;
            return scan_fault(s, "A comma is missing.");
        }
    }
    *out_n = n;
    return true;
}

bool scan_value(struct scan *s, enum json_kind *kind)
{
    return value(s, 2, kind);
}

bool scan_text(struct scan *s)
{
    const char *nul = memchr(s->base, 0, (size_t)(s->end - s->base));
    if (nul != NULL) return scan_fault(s, "There is a NUL byte.");
    if (!utf8_valid(s->base, (size_t)(s->end - s->base))) return scan_fault(s, "There are bytes that are not UTF-8.");
    return true;
}

bool scan_line(struct scan *s, size_t *out_n, struct str *out_faulty)
{
    *out_faulty = STR_NONE;
    if (!scan_text(s)) return false;
    if (*s->p != '{') return scan_fault(s, "The line is not a JSON object.");
    if (!scan_object(s, out_n, out_faulty)) return false;
    scan_blanks(s);
    return s->p == s->end || scan_fault(s, "There is text after the object.");
}
