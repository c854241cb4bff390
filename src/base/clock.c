#include "meros/base/clock.h"

#include <stdio.h>
#include <time.h>

int64_t clock_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (int64_t)t.tv_sec * TIME_SECOND + t.tv_nsec / 1000;
}

int64_t clock_mono_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * INT64_C(1000000000) + t.tv_nsec;
}

/* Howard Hinnant, "chrono-compatible low-level date algorithms". */
int64_t days_from_civil(int64_t y, unsigned m, unsigned d)
{
    y -= m <= 2;
    int64_t era = (y >= 0 ? y : y - 399) / 400;
    unsigned yoe = (unsigned)(y - era * 400);
    unsigned doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
    unsigned doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
    return era * 146097 + (int64_t)doe - 719468;
}

void civil_from_days(int64_t z, int64_t *y, unsigned *m, unsigned *d)
{
    z += 719468;
    int64_t era = (z >= 0 ? z : z - 146096) / 146097;
    unsigned doe = (unsigned)(z - era * 146097);
    unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
    unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    unsigned mp = (5 * doy + 2) / 153;
    *d = doy - (153 * mp + 2) / 5 + 1;
    *m = mp < 10 ? mp + 3 : mp - 9;
    *y = (int64_t)yoe + era * 400 + (*m <= 2);
}

unsigned days_in_month(int64_t y, unsigned m)
{
    static const unsigned char days[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;
    return m == 2 && leap ? 29 : days[m - 1];
}

/* Digits by hand: an answer holds several times, and printf was a tenth of its cost. */
static char *put_digits(char *p, unsigned v, int digits)
{
    for (int i = digits - 1; i >= 0; i--, v /= 10) p[i] = (char)('0' + v % 10);
    return p + digits;
}

size_t time_format(int64_t t, char out[TIME_TEXT])
{
    int64_t seconds = t / TIME_SECOND, us = t % TIME_SECOND;
    if (us < 0) us += TIME_SECOND, seconds--;
    int64_t days = seconds / 86400, in_day = seconds % 86400;
    if (in_day < 0) in_day += 86400, days--;
    int64_t y;
    unsigned m, d;
    civil_from_days(days, &y, &m, &d);
    char *p = out;
    if (y >= 0 && y <= 9999) p = put_digits(p, (unsigned)y, 4);
    else p += snprintf(p, 12, "%04d", (int)y);
    *p++ = '-';
    p = put_digits(p, m, 2);
    *p++ = '-';
    p = put_digits(p, d, 2);
    *p++ = 'T';
    p = put_digits(p, (unsigned)(in_day / 3600), 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)(in_day / 60 % 60), 2);
    *p++ = ':';
    p = put_digits(p, (unsigned)(in_day % 60), 2);
    if (us != 0 && p - out < TIME_TEXT - 9) {
        *p++ = '.';
        p = put_digits(p, (unsigned)us, 6);
        while (p[-1] == '0') p--;
    }
    *p++ = 'Z';
    *p = '\0';
    return (size_t)(p - out);
}

/* Reads exactly `digits` digits. */
static bool number(const char **p, const char *end, int digits, int *out)
{
    int v = 0;
    if (end - *p < digits) return false;
    for (int i = 0; i < digits; i++) {
        char c = (*p)[i];
        if (c < '0' || c > '9') return false;
        v = v * 10 + (c - '0');
    }
    *p += digits;
    *out = v;
    return true;
}

static bool skip(const char **p, const char *end, char c)
{
    if (*p == end || **p != c) return false;
    (*p)++;
    return true;
}

bool time_parse(struct str s, int64_t *out)
{
    if (s.n < 10) return false;
    const char *p = s.p, *end = s.p + s.n;
    int y, mo, d, h = 0, mi = 0, se = 0, us = 0, offset = 0;
    if (!number(&p, end, 4, &y) || !skip(&p, end, '-') || !number(&p, end, 2, &mo) || !skip(&p, end, '-') ||
        !number(&p, end, 2, &d))
        return false;
    if (y < 1 || mo < 1 || mo > 12 || d < 1 || d > (int)days_in_month(y, (unsigned)mo)) return false;
    if (p < end) {
        if (!skip(&p, end, 'T') && !skip(&p, end, 't') && !skip(&p, end, ' ')) return false;
        if (!number(&p, end, 2, &h) || !skip(&p, end, ':') || !number(&p, end, 2, &mi)) return false;
        if (skip(&p, end, ':')) {
            if (!number(&p, end, 2, &se)) return false;
            if (skip(&p, end, '.')) {
                int scale = 100000, n = 0;
                for (; p < end && *p >= '0' && *p <= '9'; p++, n++) {
                    us += (*p - '0') * scale;
                    scale /= 10;
                }
                if (n == 0 || n > 12) return false;
            }
        }
        if (h > 23 || mi > 59 || se > 60) return false;
        if (p < end && !skip(&p, end, 'Z') && !skip(&p, end, 'z')) {
            int sign = *p == '-' ? -1 : 1, oh, om = 0;
            if (*p != '+' && *p != '-') return false;
            p++;
            if (!number(&p, end, 2, &oh)) return false;
            bool colon = skip(&p, end, ':');
            if ((colon || p < end) && !number(&p, end, 2, &om)) return false;
            if (oh > 23 || om > 59) return false;
            offset = sign * (oh * 3600 + om * 60);
        }
    }
    if (p != end) return false;
    int64_t seconds = days_from_civil(y, (unsigned)mo, (unsigned)d) * 86400 + h * 3600 + mi * 60 + se - offset;
    /* An offset or second 60 may lead out of the years that time_format and PostgreSQL write with four digits. */
    if (seconds < days_from_civil(1, 1, 1) * 86400 || seconds >= days_from_civil(10000, 1, 1) * 86400) return false;
    *out = seconds * TIME_SECOND + us;
    return true;
}
