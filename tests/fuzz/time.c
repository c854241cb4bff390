/* Times and numbers from a stranger: what is taken is in range, and reads back the same from its own text. */
#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include "meros/base/clock.h"
#include "meros/base/str.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool holds)
{
    if (!holds) abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str s = {(const char *)data, size};
    int64_t t = 1, back = 2, i = 3;
    double d = 4;
    if (time_parse(s, &t)) {
        char text[TIME_TEXT];
        size_t n = time_format(t, text);
        check(n < TIME_TEXT && n >= 20 && text[n] == '\0');
        check(time_parse((struct str){text, n}, &back) && back == t);
    } else {
        check(t == 1);
    }
    if (str_to_int64(s, &i)) {
        char text[32];
        int n = snprintf(text, sizeof text, "%lld", (long long)i);
        check(str_to_int64((struct str){text, (size_t)n}, &back) && back == i);
        check(size > 20 || (str_to_double(s, &d) && d == (double)i));
    } else {
        check(i == 3);
    }
    if (str_to_double(s, &d)) check(isfinite(d));
    if (id_valid(s)) check(utf8_valid(s.p, s.n) && s.n <= ID_MAX);
    check(utf8_cut(s.p, s.n) <= s.n);
    if (utf8_valid(s.p, s.n)) check(utf8_cut(s.p, s.n) == s.n);
    return 0;
}
