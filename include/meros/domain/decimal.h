/* Exact decimals for money and quantities: unscaled * 10^-scale in 64 bits, at most six decimals. Pure functions. */
#ifndef MEROS_DOMAIN_DECIMAL_H
#define MEROS_DOMAIN_DECIMAL_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/str.h"

enum { DECIMAL_SCALE_MAX = 6 };

struct decimal {
    int64_t unscaled;
    int8_t scale;  /* 0 to DECIMAL_SCALE_MAX; no trailing zeros, so equal numbers are equal structs */
    bool present;
};

/* Reads [-]digits[.digits][e[+-]digits] exactly; what lies past six decimals is rounded half away from zero (floats that
 * were printed to the last digit: 2.5500000000000003). False for anything else, and past +-limit. */
bool decimal_parse(struct str s, int64_t limit, struct decimal *out);
/* a * b rounded to six decimals; false past +-limit. Both present. */
bool decimal_multiply(struct decimal a, struct decimal b, int64_t limit, struct decimal *out);
struct decimal decimal_of(int64_t whole);
struct decimal decimal_of_millionths(int64_t v);
int64_t decimal_millionths(struct decimal d); /* of a number within +-10^12; 0 if absent */
double decimal_double(struct decimal d); /* the nearest double; NaN if absent */
int decimal_sign(struct decimal d);      /* -1, 0, 1; 0 if absent */

enum { DECIMAL_TEXT = 32 };
size_t decimal_text(struct decimal d, char out[DECIMAL_TEXT]); /* "-12.5"; "" if absent */

#endif
