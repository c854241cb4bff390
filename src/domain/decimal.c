#include "meros/domain/decimal.h"

#include <math.h>
#include <stdio.h>

static const int64_t ten_to[] = {1, 10, 100, 1000, 10000, 100000, 1000000};

struct decimal decimal_of_millionths(int64_t v)
{
    struct decimal d = {.unscaled = v, .scale = DECIMAL_SCALE_MAX, .present = true};
    while (d.scale > 0 && d.unscaled % 10 == 0) {
        d.unscaled /= 10;
        d.scale--;
    }
    return d;
}

int64_t decimal_millionths(struct decimal d)
{
    return d.present ? d.unscaled * ten_to[DECIMAL_SCALE_MAX - d.scale] : 0;
}

struct decimal decimal_of(int64_t whole)
{
    return (struct decimal){.unscaled = whole, .scale = 0, .present = true};
}

bool decimal_parse(struct str s, int64_t limit, struct decimal *out)
{
    size_t i = 0, digits = 0;
    bool negative = s.n > 0 && s.p[0] == '-', point = false;
    __int128 v = 0;        /* all digits read, up to 30 of them */
    int kept = 0, fraction = 0, exponent = 0;
    if (s.n == 0 || s.n > 60) return false;
    if (negative) i = 1;
    for (; i < s.n; i++) {
        char c = s.p[i];
        if (c == '.' && !point) {
            point = true;
            continue;
        }
        if (c < '0' || c > '9') break;
        digits++;
        if (kept < 30) {
            v = v * 10 + (c - '0');
            if (v != 0) kept++;
            fraction += point;
        } else if (!point) {
            return false; /* more than 30 digits before the point: far past any limit */
        }
    }
    if (digits == 0) return false;
    if (i < s.n && (s.p[i] == 'e' || s.p[i] == 'E')) {
        bool minus = false;
        size_t from;
        i++;
        if (i < s.n && (s.p[i] == '+' || s.p[i] == '-')) minus = s.p[i++] == '-';
        for (from = i; i < s.n && s.p[i] >= '0' && s.p[i] <= '9'; i++)
            if (exponent < 1000) exponent = exponent * 10 + (s.p[i] - '0');
        if (i == from) return false;
        if (minus) exponent = -exponent;
    }
    if (i != s.n) return false;
    int shift = DECIMAL_SCALE_MAX - fraction + exponent; /* to millionths */
    const __int128 bound = (__int128)limit * 1000000;
    for (; shift > 0 && v != 0; shift--) {
        v *= 10;
        if (v > bound) return false;
    }
    if (shift < 0 && v != 0) {
        int last = 0; /* the digit cut off last decides; what lies below it does not matter to half-away-from-zero */
        for (; shift < 0 && (v != 0 || last != 0); shift++) {
            last = (int)(v % 10);
            v /= 10;
        }
        if (shift == 0 && last >= 5) v++;
    }
    if (v > bound) return false;
    *out = decimal_of_millionths(negative ? -(int64_t)v : (int64_t)v);
    return true;
}

bool decimal_multiply(struct decimal a, struct decimal b, int64_t limit, struct decimal *out)
{
    __int128 v = (__int128)a.unscaled * b.unscaled;
    int scale = a.scale + b.scale;
    bool negative = v < 0;
    if (negative) v = -v;
    for (; scale > DECIMAL_SCALE_MAX; scale--) {
        int last = (int)(v % 10);
        v /= 10;
        if (scale == DECIMAL_SCALE_MAX + 1 && last >= 5) v++;
    }
    v *= ten_to[DECIMAL_SCALE_MAX - scale];
    if (v > (__int128)limit * 1000000) return false;
    *out = decimal_of_millionths(negative ? -(int64_t)v : (int64_t)v);
    return true;
}

double decimal_double(struct decimal d)
{
    if (!d.present) return NAN;
    /* both operands are exact up to 2^53, so the quotient is the nearest double */
    return (double)d.unscaled / (double)ten_to[d.scale];
}

int decimal_sign(struct decimal d)
{
    return !d.present ? 0 : (d.unscaled > 0) - (d.unscaled < 0);
}

size_t decimal_text(struct decimal d, char out[DECIMAL_TEXT])
{
    out[0] = '\0';
    if (!d.present) return 0;
    uint64_t v = d.unscaled < 0 ? 0 - (uint64_t)d.unscaled : (uint64_t)d.unscaled, unit = (uint64_t)ten_to[d.scale];
    int n = snprintf(out, DECIMAL_TEXT, "%s%llu", d.unscaled < 0 ? "-" : "", (unsigned long long)(v / unit));
    if (d.scale > 0) n += snprintf(out + n, (size_t)(DECIMAL_TEXT - n), ".%0*llu", d.scale, (unsigned long long)(v % unit));
    return (size_t)n;
}
