/* One text for JSON that means the same, so that content can be compared, and hashed, by its bytes.
 *
 * As RFC 8785 (JSON Canonicalization Scheme) does it, no white space, members sorted by name, the shortest way to write a
 * string, but for two things: members are sorted by the bytes of their names as written, not by UTF-16; and numbers are not
 * rounded to doubles but keep all of their digits, as the database's numeric does: 1, 1.0 and 10e-1 are one number,
 * 9007199254740993 and 9007199254740992 are two. A number is written as JavaScript would write it if it had that many
 * digits (1e21 as 1e+21, 0.0000001 as 1e-7). Of members of the same name the last one holds.
 *
 * Domain has this of its own because identity of content (event_key in domain/rows.h) is a rule of the business; codec reads
 * and writes JSON for everybody else. Pure; any thread. */
#ifndef MEROS_DOMAIN_CANONICAL_H
#define MEROS_DOMAIN_CANONICAL_H

#include <stdbool.h>
#include "meros/base/buf.h"
#include "meros/base/str.h"

enum { CANONICAL_GROWTH = 5, CANONICAL_DEPTH_MAX = 512 }; /* the result is at most so many times as long: 1e20 is written out */

/* Appends the canonical form; out->failed as usual. Text that is in that form already is found to be so in one pass, and
 * appended as it is; so is text that is not one JSON value, or is nested deeper than CANONICAL_DEPTH_MAX. */
void json_canonical(struct str text, struct buf *out);

#endif
