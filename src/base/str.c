#include "meros/base/str.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

bool str_ieq(struct str a, struct str b)
{
    if (a.n != b.n) return false;
    if (a.n > 0 && memcmp(a.p, b.p, a.n) == 0) return true; /* mostly it is written as everybody does */
    for (size_t i = 0; i < a.n; i++)
        if (lower(a.p[i]) != lower(b.p[i])) return false;
    return true;
}

struct str str_trim(struct str s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t')) s.p++, s.n--;
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t')) s.n--;
    return s;
}

bool str_copy(char *to, size_t cap, struct str s)
{
    bool fits = s.n < cap;
    if (fits && s.n > 0) memcpy(to, s.p, s.n);
    if (cap > 0) to[fits ? s.n : 0] = '\0';
    return fits;
}

bool str_to_int64(struct str s, int64_t *out)
{
    size_t i = 0;
    bool negative = s.n > 0 && s.p[0] == '-';
    if (negative) i = 1;
    if (i == s.n) return false;
    int64_t v = 0;
    for (; i < s.n; i++) {
        if (s.p[i] < '0' || s.p[i] > '9') return false;
        int digit = s.p[i] - '0';
        if (__builtin_mul_overflow(v, 10, &v) || __builtin_sub_overflow(v, digit, &v)) return false;
    }
    if (!negative && v == INT64_MIN) return false;
    *out = negative ? v : -v; /* accumulated below zero: INT64_MIN has no positive twin */
    return true;
}

bool str_to_double(struct str s, double *out)
{
    char text[64];
    size_t i = 0, digits = 0;
    if (s.n == 0 || s.n >= sizeof text) return false;
    if (s.p[0] == '-') i = 1;
    /* [-]digits[.digits][e[+-]digits]: strtod alone would take blanks, hexadecimal, inf and nan */
    for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) digits++;
    if (i < s.n && s.p[i] == '.')
        for (i++; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++) digits++;
    if (digits == 0) return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) i++;
        if (i == s.n) return false;
        for (; i < s.n && s.p[i] >= '0' && s.p[i] <= '9';) i++;
    }
    if (i != s.n) return false;
    memcpy(text, s.p, s.n);
    text[s.n] = '\0';
    double v = strtod(text, NULL); /* the program never calls setlocale: the point is a point */
    if (!isfinite(v)) return false;
    *out = v;
    return true;
}

bool utf8_valid(const char *text, size_t n)
{
    if (n == 0) return true; /* text may be NULL, and NULL + 0 is undefined in C */
    const unsigned char *p = (const unsigned char *)text, *end = p + n;
    while (p < end) {
        while (end - p >= 8) { /* eight ASCII bytes at a time */
            uint64_t w;
            memcpy(&w, p, 8);
            if (w & 0x8080808080808080ull) break;
            p += 8;
        }
        if (p == end) break;
        unsigned c = *p++;
        if (c < 0x80) continue;
        int more;
        unsigned min, v;
        if (c >= 0xC2 && c <= 0xDF) more = 1, min = 0x80, v = c & 0x1F;
        else if (c >= 0xE0 && c <= 0xEF) more = 2, min = 0x800, v = c & 0x0F;
        else if (c >= 0xF0 && c <= 0xF4) more = 3, min = 0x10000, v = c & 0x07;
        else return false;
        if (end - p < more) return false;
        for (int i = 0; i < more; i++) {
            if ((p[i] & 0xC0) != 0x80) return false;
            v = v << 6 | (p[i] & 0x3F);
        }
        if (v < min || v > 0x10FFFF || (v >= 0xD800 && v <= 0xDFFF)) return false;
        p += more;
    }
    return true;
}

size_t utf8_cut(const char *p, size_t n)
{
    /* Back over at most three continuation bytes to the lead byte; keep the character only if it is whole. */
    for (size_t back = 1; back <= 4 && back <= n; back++) {
        unsigned char c = (unsigned char)p[n - back];
        if ((c & 0xC0) == 0x80) continue;
        size_t length = c < 0x80 ? 1 : c >= 0xF0 ? 4 : c >= 0xE0 ? 3 : 2;
        return length > back ? n - back : n;
    }
    return n;
}

bool id_valid(struct str s)
{
    if (s.n < 1 || s.n > ID_MAX || !utf8_valid(s.p, s.n)) return false;
    const unsigned char *p = (const unsigned char *)s.p;
    for (size_t i = 0; i < s.n; i++) {
        if (p[i] < 0x20 || p[i] == 0x7F) return false;
        if (p[i] == 0xC2 && p[i + 1] >= 0x80 && p[i + 1] <= 0x9F) return false; /* C1; valid UTF-8, so p[i+1] is there */
    }
    return true;
}
