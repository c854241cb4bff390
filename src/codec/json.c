#include "meros/codec/json.h"

#include "json_priv.h"

#include <ctype.h>
#include <jansson.h>
#include <math.h>

void json_start(void)
{
    json_object_seed(0);
}

/* jansson's type behind our opaque one. It takes non-const pointers even where it only reads. */
static json_t *tree(const struct json *v)
{
    return (json_t *)(uintptr_t)v;
}

static const struct json *view(const json_t *v)
{
    return (const struct json *)v;
}

/* Depth is refused before jansson builds anything: a few megabytes of "[[[[" would otherwise become a hundred. */
static bool too_deep(const char *p, size_t n, size_t *at)
{
    int depth = 0;
    bool in_string = false;
    for (size_t i = 0; i < n; i++) {
        char c = p[i];
        if (in_string) {
            if (c == '\\') i++;
            else if (c == '"') in_string = false;
        } else if (c == '"') {
            in_string = true;
        } else if (c == '[' || c == '{') {
            if (++depth > JSON_DEPTH_MAX) {
                *at = i;
                return true;
            }
        } else if (c == ']' || c == '}') {
            depth--;
        }
    }
    return false;
}

void json_line_and_column(const char *p, size_t at, int *line, int *column)
{
    *line = 1, *column = 1;
    for (size_t i = 0; i < at; i++) {
        if (p[i] == '\n') ++*line, *column = 1;
        else *column += ((unsigned char)p[i] & 0xC0) != 0x80;
    }
}

/* jansson's own words, unless they quote the text: what the client sent may be personal. */
static const char *reason(const json_error_t *e)
{
    switch (json_error_code(e)) {
    case json_error_premature_end_of_input: return "the text ends before the value does";
    case json_error_end_of_input_expected: return "there is something after the value";
    case json_error_invalid_utf8: return "the text is not valid UTF-8";
    case json_error_null_character:
    case json_error_null_byte_in_key: return "NUL characters are not allowed";
    case json_error_duplicate_key: return "a member name stands twice in one object";
    case json_error_numeric_overflow: return "a number is too large";
    case json_error_out_of_memory: return "there is not enough memory for it";
    default: return "there is something here that JSON does not allow";
    }
}

static enum meros_code parse(const char *p, size_t n, bool big_integers, struct json **out, struct meros_err *err)
{
    size_t at;
    int line, column;
    if (n == 0) return err_set(err, MEROS_INVALID, "line 1, column 1: a JSON value is expected, but the body is empty");
    if (too_deep(p, n, &at)) {
        json_line_and_column(p, at, &line, &column);
        return err_set(err, MEROS_INVALID, "line %d, column %d: arrays and objects may be nested %d deep at most", line,
                       column, JSON_DEPTH_MAX);
    }
    /* jansson 2.14 overlooks a NUL behind a number. */
    const char *nul = memchr(p, '\0', n);
    if (nul != NULL) {
        json_line_and_column(p, (size_t)(nul - p), &line, &column);
        return err_set(err, MEROS_INVALID, "line %d, column %d: not valid JSON: NUL characters are not allowed", line, column);
    }
    json_error_t e;
    json_t *root = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &e);
    if (root == NULL && big_integers && json_error_code(&e) == json_error_numeric_overflow)
        root = json_loadb(p, n, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, &e);
    if (root == NULL) {
        if (json_error_code(&e) == json_error_out_of_memory)
            return err_set(err, MEROS_OUT_OF_MEMORY, "not enough memory to read the JSON body");
        at = e.position > 0 && (size_t)e.position <= n ? (size_t)e.position - 1 : 0;
        while (at > 0 && isalnum((unsigned char)p[at]) && isalnum((unsigned char)p[at - 1])) at--; /* to the word's beginning */
        json_line_and_column(p, at, &line, &column);
        return err_set(err, MEROS_INVALID, "line %d, column %d: not valid JSON: %s", line, column, reason(&e));
    }
    *out = (struct json *)root;
    return MEROS_OK;
}

enum meros_code json_parse(const char *p, size_t n, struct json **out, struct meros_err *err)
{
    return parse(p, n, false, out, err);
}

enum meros_code json_parse_stored(const char *p, size_t n, struct json **out, struct meros_err *err)
{
    return parse(p, n, true, out, err);
}

void json_free(struct json *root)
{
    json_decref((json_t *)root);
}

enum json_kind json_kind(const struct json *v)
{
    if (v == NULL) return JSON_KIND_NULL;
    switch (json_typeof(tree(v))) {
    case JSON_OBJECT: return JSON_KIND_OBJECT;
    case JSON_ARRAY: return JSON_KIND_ARRAY;
    case JSON_STRING: return JSON_KIND_STRING;
    case JSON_INTEGER:
    case JSON_REAL: return JSON_KIND_NUMBER;
    case JSON_TRUE:
    case JSON_FALSE: return JSON_KIND_BOOL;
    case JSON_NULL: break;
    }
    return JSON_KIND_NULL;
}

const struct json *json_get(const struct json *object, const char *name)
{
    return view(json_object_get(tree(object), name));
}

size_t json_count(const struct json *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_ARRAY: return json_array_size(tree(v));
    case JSON_KIND_OBJECT: return json_object_size(tree(v));
    default: return 0;
    }
}

const struct json *json_at(const struct json *array, size_t i)
{
    return view(json_array_get(tree(array), i));
}

struct str json_str(const struct json *v)
{
    if (json_kind(v) != JSON_KIND_STRING) return STR_NONE;
    return (struct str){json_string_value(tree(v)), json_string_length(tree(v))};
}

double json_num(const struct json *v)
{
    return json_kind(v) == JSON_KIND_NUMBER ? json_number_value(tree(v)) : NAN;
}

bool json_is_int(const struct json *v)
{
    return v != NULL && json_is_integer(tree(v));
}

int64_t json_int(const struct json *v)
{
    return json_is_int(v) ? json_integer_value(tree(v)) : 0;
}

bool json_bool(const struct json *v)
{
    return v != NULL && json_is_true(tree(v));
}

bool json_next(const struct json *object, const void **at, struct str *name, const struct json **value)
{
    if (json_kind(object) != JSON_KIND_OBJECT) return false;
    void *it = *at == NULL ? json_object_iter(tree(object)) : json_object_iter_next(tree(object), (void *)(uintptr_t)*at);
    if (it == NULL) return false;
    *at = it;
    *name = (struct str){json_object_iter_key(it), json_object_iter_key_len(it)};
    *value = view(json_object_iter_value(it));
    return true;
}
