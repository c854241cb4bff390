#include "meros/domain/timetext.h"

struct parts {
    int64_t year, seconds;    /* seconds: of %s */
    int month, day, day_of_year, hour, minute, second, us, offset;
    bool has_year, has_month, has_day, has_seconds, has_offset, twelve, pm, has_pm;
};

struct cursor {
    const char *p, *end;
};

static const char *const months[] = {"january", "february", "march",     "april",   "may",      "june",
                                     "july",    "august",   "september", "october", "november", "december"};
static const char *const weekdays[] = {"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};

/* Between 1 and `most` digits. */
static bool digits(struct cursor *c, int most, int64_t *out)
{
    int n = 0;
    int64_t v = 0;
    for (; n < most && c->p < c->end && *c->p >= '0' && *c->p <= '9'; n++) v = v * 10 + (*c->p++ - '0');
    *out = v;
    return n > 0;
}

static bool number(struct cursor *c, int most, int min, int max, int *out)
{
    int64_t v;
    if (!digits(c, most, &v) || v < min || v > max) return false;
    *out = (int)v;
    return true;
}

/* A name in full or by its first three letters, in any case; its index. */
static bool name(struct cursor *c, const char *const *names, int n, int *out)
{
    for (int i = 0; i < n; i++) {
        size_t length = strlen(names[i]);
        size_t left = (size_t)(c->end - c->p);
        size_t take = left >= length && str_ieq((struct str){c->p, length}, str_of(names[i])) ? length
                      : left >= 3 && str_ieq((struct str){c->p, 3}, (struct str){names[i], 3}) ? 3
                                                                                               : 0;
        if (take == 0) continue;
        c->p += take;
        *out = i;
        return true;
    }
    return false;
}

static bool am_pm(struct cursor *c, bool *pm)
{
    if (c->end - c->p < 2 || (c->p[1] | 32) != 'm' || ((c->p[0] | 32) != 'a' && (c->p[0] | 32) != 'p')) return false;
    *pm = (c->p[0] | 32) == 'p';
    c->p += 2;
    return true;
}

static bool offset(struct cursor *c, struct parts *x)
{
    int h, m = 0;
    if (c->p < c->end && (*c->p | 32) == 'z') {
        c->p++;
        x->offset = 0;
        return true;
    }
    if (c->p == c->end || (*c->p != '+' && *c->p != '-')) return false;
    int sign = *c->p++ == '-' ? -1 : 1;
    if (!number(c, 2, 0, 23, &h)) return false;
    if (c->p < c->end && *c->p == ':') c->p++;
    if (c->p < c->end && *c->p >= '0' && *c->p <= '9' && !number(c, 2, 0, 59, &m)) return false;
    x->offset = sign * (h * 3600 + m * 60);
    return true;
}

static void blanks(struct cursor *c)
{
    while (c->p < c->end && (*c->p == ' ' || *c->p == '\t')) c->p++;
}

static bool literal(struct cursor *c, struct str text)
{
    for (size_t i = 0; i < text.n; i++)
        if (c->p == c->end || *c->p++ != text.p[i]) return false;
    return true;
}

static bool fraction(struct cursor *c, int *us)
{
    int scale = 100000, n = 0;
    *us = 0;
    for (; n < 9 && c->p < c->end && *c->p >= '0' && *c->p <= '9'; n++, scale /= 10) *us += (*c->p++ - '0') * scale;
    return n > 0;
}

static bool run(struct str pattern, struct cursor *c, struct parts *x);

static bool convert(char conversion, struct cursor *c, struct parts *x)
{
    int v;
    switch (conversion) {
    case 'Y': x->has_year = true; return digits(c, 4, &x->year);
    case 'y':
        if (!number(c, 2, 0, 99, &v)) return false;
        x->has_year = true;
        x->year = v < 69 ? 2000 + v : 1900 + v; /* as POSIX has it */
        return true;
    case 'm': x->has_month = true; return number(c, 2, 1, 12, &x->month);
    case 'b':
    case 'B':
    case 'h':
        if (!name(c, months, 12, &x->month)) return false;
        x->month++;
        x->has_month = true;
        return true;
    case 'a':
    case 'A': return name(c, weekdays, 7, &v);
    case 'e': blanks(c); /* fall through */
    case 'd': x->has_day = true; return number(c, 2, 1, 31, &x->day);
    case 'j': return number(c, 3, 1, 366, &x->day_of_year);
    case 'H': return number(c, 2, 0, 23, &x->hour);
    case 'I': x->twelve = true; return number(c, 2, 1, 12, &x->hour);
    case 'M': return number(c, 2, 0, 59, &x->minute);
    case 'S': return number(c, 2, 0, 60, &x->second);
    case 'f': return fraction(c, &x->us);
    case 'p': x->has_pm = true; return am_pm(c, &x->pm);
    case 'z': return offset(c, x);
    case 's': {
        bool negative = c->p < c->end && *c->p == '-';
        if (negative) c->p++;
        if (!digits(c, 12, &x->seconds)) return false;
        if (negative) x->seconds = -x->seconds;
        return x->has_seconds = true;
    }
    case 'F': return run(STR("%Y-%m-%d"), c, x);
    case 'D': return run(STR("%m/%d/%y"), c, x);
    case 'T': return run(STR("%H:%M:%S"), c, x);
    case 'R': return run(STR("%H:%M"), c, x);
    case 'n':
    case 't': blanks(c); return true;
    case '%': return literal(c, STR("%"));
    default: return false;
    }
}

static bool zone_name(struct cursor *c)
{
    static const char *const names[] = {"UTC", "GMT", "Z"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        size_t n = strlen(names[i]);
        if ((size_t)(c->end - c->p) < n || !str_ieq((struct str){c->p, n}, str_of(names[i]))) continue;
        c->p += n;
        return true;
    }
    return false;
}

static bool run(struct str pattern, struct cursor *c, struct parts *x)
{
    for (size_t i = 0; i < pattern.n; i++) {
        char p = pattern.p[i];
        if (p == ' ' || p == '\t') {
            blanks(c); /* any run of blanks, none too, as strptime */
        } else if (p == '%' && i + 1 < pattern.n) {
            i++;
            if (pattern.p[i] == 'Z' ? !zone_name(c) : !convert(pattern.p[i], c, x)) return false;
        } else if (c->p == c->end || *c->p++ != p) {
            return false;
        }
    }
    return true;
}

static bool assemble(struct parts *x, int64_t *out)
{
    if (x->has_seconds) {
        *out = x->seconds * TIME_SECOND + x->us;
        return true;
    }
    if (x->twelve && x->has_pm) x->hour = x->hour % 12 + (x->pm ? 12 : 0);
    else if (x->has_pm && x->pm && x->hour < 12) x->hour += 12;
    if (x->year < 1 || x->year > 9999) return false;
    int64_t days;
    if (x->day_of_year > 0 && !x->has_month) {
        bool leap = days_in_month(x->year, 2) == 29;
        if (x->day_of_year > (leap ? 366 : 365)) return false;
        days = days_from_civil(x->year, 1, 1) + x->day_of_year - 1;
    } else {
        if (x->day < 1 || x->day > (int)days_in_month(x->year, (unsigned)x->month)) return false;
        days = days_from_civil(x->year, (unsigned)x->month, (unsigned)x->day);
    }
    *out = (days * 86400 + x->hour * 3600 + x->minute * 60 + x->second - x->offset) * TIME_SECOND + x->us;
    return true;
}

/* 12/1/2010, 12/1/2010 8:26, 12/1/2010 8:26:00 PM */
static bool slashes(struct str s, bool day_first, int64_t *out)
{
    struct cursor c = {s.p, s.p + s.n};
    struct parts x = {0};
    int a, b;
    if (!number(&c, 2, 1, 31, &a) || !literal(&c, STR("/")) || !number(&c, 2, 1, 31, &b) || !literal(&c, STR("/"))) return false;
    const char *year = c.p;
    if (!digits(&c, 4, &x.year) || c.p - year != 4) return false;
    x.month = day_first ? b : a;
    x.day = day_first ? a : b;
    if (x.month > 12) return false;
    if (c.p < c.end) {
        const char *gap = c.p;
        blanks(&c);
        if (c.p == gap || !number(&c, 2, 0, 23, &x.hour) || !literal(&c, STR(":")) || !number(&c, 2, 0, 59, &x.minute)) return false;
        if (c.p < c.end && *c.p == ':' && (c.p++, !number(&c, 2, 0, 60, &x.second))) return false;
        blanks(&c);
        if (c.p < c.end) {
            if (x.hour < 1 || x.hour > 12 || !am_pm(&c, &x.pm)) return false;
            x.twelve = x.has_pm = true;
        }
        if (c.p != c.end) return false;
    }
    return assemble(&x, out);
}

bool timetext_read(const struct timetext *t, struct str s, int64_t *out)
{
    if (str_present(t->pattern)) {
        struct cursor c = {s.p, s.p + s.n};
        struct parts x = {0};
        return run(t->pattern, &c, &x) && c.p == c.end && assemble(&x, out);
    }
    return time_parse(s, out) || slashes(s, t->day_first, out);
}

enum meros_code timetext_check(struct str pattern, struct meros_err *err)
{
    bool year = false, month = false, day = false, of_year = false, seconds = false;
    if (pattern.n == 0 || pattern.n > 100)
        return err_set(err, MEROS_INVALID, "date_format must be a pattern of 1 to 100 bytes, such as %%d.%%m.%%Y %%H:%%M.");
    for (size_t i = 0; i < pattern.n; i++) {
        if (pattern.p[i] != '%') continue;
        char c = ++i < pattern.n ? pattern.p[i] : '\0';
        if (c == '\0' || strchr("YymdejbBhaAHIMSpfzZsFDTRnt%", c) == NULL)
            return err_set(err, MEROS_INVALID, "date_format has the conversion '%%%c', which is not understood here.",
                           c >= ' ' && c < 127 ? c : '?');
        year |= c == 'Y' || c == 'y' || c == 'F' || c == 'D';
        month |= c == 'm' || c == 'b' || c == 'B' || c == 'h' || c == 'F' || c == 'D';
        day |= c == 'd' || c == 'e' || c == 'F' || c == 'D';
        of_year |= c == 'j';
        seconds |= c == 's';
    }
    if (!seconds && !(year && ((month && day) || of_year)))
        return err_set(err, MEROS_INVALID, "date_format must give a year, a month and a day (or %%s, or %%Y and %%j).");
    return MEROS_OK;
}
