/* Moments as other people's exports write them. Without a pattern: everything time_parse takes, and 12/1/2010 [8:26[:00]]
 * [AM|PM], month first unless day_first. With a pattern: strptime's conversions below and nothing else; all times are UTC
 * unless the text has an offset (%z).
 *   %Y %y %m %d %e %j %b %B %h %a %A %H %I %M %S %p %f (fraction of a second) %z %Z (UTC, GMT or Z) %s (seconds since
 *   1970) %F (%Y-%m-%d) %D (%m/%d/%y) %T (%H:%M:%S) %R (%H:%M) %n %t %% */
#ifndef MEROS_DOMAIN_TIMETEXT_H
#define MEROS_DOMAIN_TIMETEXT_H

#include <stdbool.h>
#include "meros/base/clock.h"
#include "meros/base/err.h"

struct timetext {
    struct str pattern; /* checked by timetext_check; STR_NONE: ISO and slashes */
    bool day_first;
};

/* INVALID with a sentence if the pattern has a conversion that is not known, or does not give a whole date. */
enum meros_code timetext_check(struct str pattern, struct meros_err *err) MEROS_MUSTCHECK;
bool timetext_read(const struct timetext *t, struct str s, int64_t *out);

#endif
