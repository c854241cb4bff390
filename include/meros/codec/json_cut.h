/* A JSON text in pieces, without building it, so that one piece that json_parse refuses (a number too large, half of a
 * surrogate pair, a NUL, a name twice, depth) does not take its neighbours along.
 *
 *   if ((rc = json_check(body.p, body.n, err)) != MEROS_OK) return rc;   // grammar alone: once, of the whole text
 *   struct json_cut c;
 *   json_cut_begin(&c, body);
 *   while (json_cut_next(&c, &name, &value)) …                           // value: JSON text, for json_parse or another cut
 *
 * Pure functions; pieces are views of the text. */
#ifndef MEROS_CODEC_JSON_CUT_H
#define MEROS_CODEC_JSON_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include "meros/base/err.h"
#include "meros/base/str.h"

enum { JSON_CUT_DEPTH_MAX = 512 };

/* Whether the text is one JSON value by RFC 8259, whatever its strings and numbers mean. INVALID with line and column. */
enum meros_code json_check(const char *p, size_t n, struct meros_err *err) MEROS_MUSTCHECK;

/* The rest is for text that json_check took (or a piece of it). */
struct json_cut {
    const char *at, *end;
    bool object;
};
/* The pieces of an object or array; of any other value there are none. */
void json_cut_begin(struct json_cut *c, struct str value);
/* name: as written between its quotes, escapes and all; STR_NONE in an array. */
bool json_cut_next(struct json_cut *c, struct str *name, struct str *value);
bool json_cut_is(struct str value, char first); /* '{', '[', '"': an object, array, string? */
/* The characters of a string without escapes; STR_NONE for anything else. */
struct str json_cut_plain(struct str value);

#endif
