/* Time. Everywhere in Meros a moment is int64_t microseconds since 1970-01-01T00:00:00Z; TIME_NONE says "none". */
#ifndef MEROS_BASE_CLOCK_H
#define MEROS_BASE_CLOCK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/str.h"

#define TIME_NONE INT64_MIN
#define TIME_SECOND INT64_C(1000000)
#define TIME_DAY (INT64_C(86400) * TIME_SECOND)

int64_t clock_now(void);     /* wall clock, microseconds since 1970 UTC */
int64_t clock_mono_ns(void); /* monotonic nanoseconds, for durations */

enum { TIME_TEXT = 32 };
/* RFC 3339 in UTC with "Z"; microseconds only where they are not zero (trailing zeros cut). Returns the length. */
size_t time_format(int64_t t, char out[TIME_TEXT]);

/* RFC 3339 with an offset or Z; also a bare YYYY-MM-DD, "YYYY-MM-DD hh:mm[:ss[.f]]" with ' ' or 'T', read as UTC.
 * Years 1 to 9999; day 30 February and hour 25 are refused; second 60 counts as the next minute's 0.
 * False and *out untouched if the text is anything else. */
bool time_parse(struct str s, int64_t *out);

/* Days since 1970 of a proleptic Gregorian date and back. */
int64_t days_from_civil(int64_t y, unsigned m, unsigned d);
void civil_from_days(int64_t days, int64_t *y, unsigned *m, unsigned *d);
unsigned days_in_month(int64_t y, unsigned m);

#endif
