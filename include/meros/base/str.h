/* Bytes with a length, strict number parsing, UTF-8. Pure functions; no allocation. */
#ifndef MEROS_BASE_STR_H
#define MEROS_BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* A view: not NUL-terminated, not owned. p may be NULL only with n == 0; {NULL, 0} also says "absent" where a header
 * says so (str_present). */
struct str {
    const char *p;
    size_t n;
};

#define STR(literal) ((struct str){"" literal, sizeof(literal) - 1})
#define STR_NONE     ((struct str){NULL, 0})

static inline struct str str_of(const char *s)
{
    return (struct str){s, s == NULL ? 0 : strlen(s)};
}
static inline bool str_present(struct str s)
{
    return s.p != NULL;
}
static inline bool str_eq(struct str a, struct str b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
static inline bool str_is(struct str a, const char *b)
{
    return str_eq(a, str_of(b));
}
bool str_ieq(struct str a, struct str b); /* ASCII case-insensitive */
struct str str_trim(struct str s);        /* ASCII space and tab at both ends */
bool str_copy(char *to, size_t cap, struct str s); /* NUL-terminated; false (and "") if it does not fit */

/* The whole text must be the number, in decimal, no blanks, no leading '+'; false and *out untouched otherwise.
 * Doubles must be finite. Independent of the locale. */
bool str_to_int64(struct str s, int64_t *out);
bool str_to_double(struct str s, double *out);

bool utf8_valid(const char *p, size_t n); /* well-formed, no surrogates, NUL allowed */
/* The length without a character that was cut in its middle: for a valid text of which only n bytes fitted. */
size_t utf8_cut(const char *p, size_t n);

/* An id as the contract has it: 1 to 200 bytes of UTF-8 without control characters (C0, DEL, C1). */
enum { ID_MAX = 200 };
bool id_valid(struct str s);

#endif
