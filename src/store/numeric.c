/* numeric in PostgreSQL's binary form (numeric_recv): four 16-bit numbers — how many digits follow, the
 * weight of the first (its power of 10000), the sign (0 or 0x4000), how many decimals to show — then the
 * digits in base 10000 without zeros at either end. */
#include "plumbing.h"

#include <assert.h>

size_t numeric_encode(int64_t unscaled, int scale, unsigned char out[NUMERIC_MAX])
{
    assert(scale >= 0 && scale <= 12);
    unsigned __int128 v = unscaled < 0 ? (unsigned __int128)-(__int128)unscaled : (unsigned __int128)unscaled;
    int groups = (scale + 3) / 4; /* base-10000 digits after the point */
    for (int i = scale; i < groups * 4; i++) v *= 10;

    uint16_t digits[12]; /* least significant first: 19 + 3 decimal digits fit in 6, 12 leaves room */
    int n = 0;
    for (; v != 0; v /= 10000) digits[n++] = (uint16_t)(v % 10000);
    int weight = n - 1 - groups, first = 0;
    while (first < n && digits[first] == 0) first++;
    if (n == 0) weight = 0;

    put16(out, (uint16_t)(n - first));
    put16(out + 2, (uint16_t)weight);
    put16(out + 4, unscaled < 0 ? 0x4000 : 0);
    put16(out + 6, (uint16_t)scale);
    size_t len = 8;
    for (int i = n - 1; i >= first; i--, len += 2) put16(out + len, digits[i]);
    return len;
}
