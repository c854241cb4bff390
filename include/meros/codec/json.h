/* JSON in and out. codec/json.c is jansson's only user; nobody else sees its types.
 *
 * Reading: json_parse gives a tree under limits (depth, size); duplicate keys, NUL, invalid UTF-8, numbers out of range
 * are refused with line and column. A tree is read either with the plain accessors, or field by field with a
 * `struct json_obj`, which collects every fault of an object with its JSON pointer and, at json_obj_end, reports the
 * members that nobody asked for:
 *
 *   struct json_obj o;
 *   json_obj_begin(&o, root, "", err);
 *   struct str kind = json_obj_id(&o, "kind", JSON_REQUIRED);
 *   int64_t k = json_obj_int(&o, "k", 0, 1, 100, 8);          // min, max, default
 *   const struct json *params = json_obj_object(&o, "params", 0);
 *   if ((rc = json_obj_end(&o)) != MEROS_OK) return rc;       // err->fields tells all that was wrong
 *
 * Views (struct str) point into the tree and live as long as it does. A tree may be read by several threads at once.
 *
 * Writing: struct jsonw appends to a buf; it knows where commas go. Numbers are written in the shortest form that reads
 * back the same (at most 17 digits), NaN and infinities as null. Output is never pretty-printed. */
#ifndef MEROS_CODEC_JSON_H
#define MEROS_CODEC_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/buf.h"
#include "meros/base/clock.h"
#include "meros/base/err.h"
#include "meros/base/str.h"

struct json; /* a value of a tree; opaque */
enum json_kind { JSON_KIND_NULL, JSON_KIND_BOOL, JSON_KIND_NUMBER, JSON_KIND_STRING, JSON_KIND_ARRAY, JSON_KIND_OBJECT };

enum { JSON_DEPTH_MAX = 32 };

/* Before threads: seeds the hash tables. */
void json_start(void);

/* Parses one value that fills the text (blanks around it allowed). INVALID with line and column otherwise. */
enum meros_code json_parse(const char *p, size_t n, struct json **out, struct meros_err *err) MEROS_MUSTCHECK;
/* The same for what comes out of the database: jsonb writes 1e300 as an integer of 301 digits. Where an integer does not
 * fit, all of the text's integers are read as reals, so that one odd number in one row stops nothing. */
enum meros_code json_parse_stored(const char *p, size_t n, struct json **out, struct meros_err *err) MEROS_MUSTCHECK;
void json_free(struct json *root);

enum json_kind json_kind(const struct json *v); /* NULL counts as null */
const struct json *json_get(const struct json *object, const char *name); /* NULL if absent or not an object */
size_t json_count(const struct json *v);                                 /* of an array or object; 0 otherwise */
const struct json *json_at(const struct json *array, size_t i);
struct str json_str(const struct json *v);   /* STR_NONE unless a string */
double json_num(const struct json *v);       /* NaN unless a number */
bool json_is_int(const struct json *v);      /* a number written as an integer, in int64 */
int64_t json_int(const struct json *v);      /* 0 unless json_is_int */
bool json_bool(const struct json *v); /* false unless true */
/* Members in the order written. *name points into the tree. Start with *at = NULL; false at the end. */
bool json_next(const struct json *object, const void **at, struct str *name, const struct json **value);

/* --- an object read field by field */
enum { JSON_OPTIONAL = 0, JSON_REQUIRED = 1, JSON_NULLABLE = 2 }; /* flags; without NULLABLE, null is an error */
enum { JSON_OBJ_FIELDS_MAX = 64 };
struct json_obj {
    const struct json *object;
    char pointer[ERR_POINTER_MAX]; /* of the object, "" for the root */
    struct meros_err *err;
    bool failed;
    size_t n_seen;
    const char *seen[JSON_OBJ_FIELDS_MAX]; /* names asked for; literals */
};
void json_obj_begin(struct json_obj *o, const struct json *v, const char *pointer, struct meros_err *err);
/* Each returns the default/"absent" value where the member is absent or wrong, and notes the fault. */
struct str json_obj_str(struct json_obj *o, const char *name, int flags, size_t max_bytes); /* any UTF-8 without NUL */
struct str json_obj_id(struct json_obj *o, const char *name, int flags);                    /* an id_valid string */
/* One of the words in `words` (NULL-terminated); returns its index, or dflt. */
int json_obj_enum(struct json_obj *o, const char *name, int flags, const char *const *words, int dflt);
int64_t json_obj_int(struct json_obj *o, const char *name, int flags, int64_t min, int64_t max, int64_t dflt);
double json_obj_num(struct json_obj *o, const char *name, int flags, double min, double max, double dflt);
bool json_obj_bool(struct json_obj *o, const char *name, int flags, bool dflt);
int64_t json_obj_time(struct json_obj *o, const char *name, int flags, int64_t dflt);
const struct json *json_obj_object(struct json_obj *o, const char *name, int flags); /* NULL if absent */
const struct json *json_obj_array(struct json_obj *o, const char *name, int flags, size_t max_items);
const struct json *json_obj_any(struct json_obj *o, const char *name, int flags);
/* Notes a fault of a member in the caller's words. */
void json_obj_fault(struct json_obj *o, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
/* Faults the members nobody asked for, and gives MEROS_INVALID if there was any fault. */
enum meros_code json_obj_end(struct json_obj *o) MEROS_MUSTCHECK;

/* --- writing */
struct jsonw {
    struct buf *out;
    bool comma; /* a value was written at this level */
};
void jsonw_init(struct jsonw *w, struct buf *out);
void jsonw_begin_object(struct jsonw *w);
void jsonw_end_object(struct jsonw *w);
void jsonw_begin_array(struct jsonw *w);
void jsonw_end_array(struct jsonw *w);
void jsonw_key(struct jsonw *w, const char *name);
void jsonw_key_str(struct jsonw *w, struct str name);
void jsonw_str(struct jsonw *w, struct str s); /* STR_NONE writes null */
void jsonw_cstr(struct jsonw *w, const char *s);
void jsonw_int(struct jsonw *w, int64_t v);
void jsonw_num(struct jsonw *w, double v);
void jsonw_money(struct jsonw *w, double v); /* rounded to a millionth, without trailing zeros; to cents past 1e9 */
void jsonw_bool(struct jsonw *w, bool v);
void jsonw_null(struct jsonw *w);
void jsonw_time(struct jsonw *w, int64_t t); /* TIME_NONE writes null */
void jsonw_raw(struct jsonw *w, struct str json); /* a complete JSON value, as it is; empty or absent writes null */
void jsonw_value(struct jsonw *w, const struct json *v); /* a tree, compact */
/* key and value in one */
void jsonw_kstr(struct jsonw *w, const char *name, struct str s);
void jsonw_kcstr(struct jsonw *w, const char *name, const char *s);
void jsonw_kint(struct jsonw *w, const char *name, int64_t v);
void jsonw_knum(struct jsonw *w, const char *name, double v);
void jsonw_kmoney(struct jsonw *w, const char *name, double v);
void jsonw_kbool(struct jsonw *w, const char *name, bool v);
void jsonw_ktime(struct jsonw *w, const char *name, int64_t t);
void jsonw_knull(struct jsonw *w, const char *name);
void jsonw_kraw(struct jsonw *w, const char *name, struct str json);

/* The shortest text that reads back as v; "null" for NaN and infinities. Returns the length. */
size_t json_number_text(double v, char out[32]);

#endif
