#include "meros/codec/json_cut.h"

#include <string.h>
#include "json_priv.h"

static const char *blanks(const char *at, const char *end)
{
    while (at < end && (*at == ' ' || *at == '\n' || *at == '\r' || *at == '\t')) at++;
    return at;
}

static bool digit(const char *at, const char *end)
{
    return at < end && *at >= '0' && *at <= '9';
}

/* Each of these takes one token and gives the place behind it, or NULL where it is none; *at is where it went wrong. */

static const char *take_string(const char *p, const char *end, const char **at)
{
    static const char escapes[] = "\"\\/bfnrt";
    for (p++; p < end && *p != '"'; p++) {
        *at = p;
        if ((unsigned char)*p < 0x20) return NULL;
        if (*p != '\\') continue;
        if (++p == end) return NULL;
        if (*p == 'u') {
            for (int k = 0; k < 4; k++)
                if (++p == end || *p == '\0' || strchr("0123456789abcdefABCDEF", *p) == NULL) return NULL;
        } else if (*p == '\0' || strchr(escapes, *p) == NULL) {
            return NULL;
        }
    }
    *at = p;
    return p < end ? p + 1 : NULL;
}

static const char *take_digits(const char *p, const char *end)
{
    while (digit(p, end)) p++;
    return p;
}

static const char *take_number(const char *p, const char *end)
{
    if (*p == '-') p++;
    if (!digit(p, end)) return NULL;
    p = *p == '0' ? p + 1 : take_digits(p, end);
    if (p < end && *p == '.') {
        if (!digit(++p, end)) return NULL;
        p = take_digits(p, end);
    }
    if (p < end && (*p == 'e' || *p == 'E')) {
        p++;
        if (p < end && (*p == '+' || *p == '-')) p++;
        if (!digit(p, end)) return NULL;
        p = take_digits(p, end);
    }
    return p;
}

static const char *take_scalar(const char *p, const char *end, const char **at)
{
    static const char *const words[] = {"true", "false", "null"};
    *at = p;
    if (p == end) return NULL;
    if (*p == '"') return take_string(p, end, at);
    for (size_t k = 0; k < 3; k++) {
        size_t n = strlen(words[k]);
        if ((size_t)(end - p) >= n && memcmp(p, words[k], n) == 0) return p + n;
    }
    return take_number(p, end);
}

/* "name": */
static const char *take_name(const char *p, const char *end, const char **at)
{
    *at = p = blanks(p, end);
    if (p == end || *p != '"' || (p = take_string(p, end, at)) == NULL) return NULL;
    *at = p = blanks(p, end);
    return p < end && *p == ':' ? p + 1 : NULL;
}

/* The place behind the value, or NULL. One bit a level says whether it is an object's. */
static const char *take_value(const char *p, const char *end, const char **at)
{
    unsigned char object[JSON_CUT_DEPTH_MAX / 8] = {0};
    size_t depth = 0;
    for (;;) {
        *at = p = blanks(p, end);
        if (p < end && (*p == '{' || *p == '[')) {
            bool is_object = *p == '{';
            if (depth == JSON_CUT_DEPTH_MAX) return NULL;
            object[depth / 8] = (unsigned char)((object[depth / 8] & ~(1u << depth % 8)) | (unsigned)is_object << depth % 8);
            depth++;
            *at = p = blanks(p + 1, end);
            if (p == end) return NULL;
            if (*p != (is_object ? '}' : ']')) {
                if (is_object && (p = take_name(p, end, at)) == NULL) return NULL;
                continue;
            }
        } else {
            if ((p = take_scalar(p, end, at)) == NULL) return NULL;
            if (depth == 0) return p;
            *at = p = blanks(p, end);
        }
        /* behind a value, or at the end of an empty one */
        for (;;) {
            if (p == end) return NULL;
            bool is_object = object[(depth - 1) / 8] >> (depth - 1) % 8 & 1;
            if (*p == ',') {
                p++;
                if (is_object && (p = take_name(p, end, at)) == NULL) return NULL;
                break;
            }
            if (*p != (is_object ? '}' : ']')) return NULL;
            p++;
            if (--depth == 0) return p;
            *at = p = blanks(p, end);
        }
    }
}

enum meros_code json_check(const char *p, size_t n, struct meros_err *err)
{
    const char *end = p + n, *at = p, *behind;
    int line, column;
    if (n == 0) return err_set(err, MEROS_INVALID, "line 1, column 1: a JSON value is expected, but the body is empty");
    behind = take_value(p, end, &at);
    if (behind != NULL && (at = blanks(behind, end)) == end) return MEROS_OK;
    json_line_and_column(p, (size_t)(at - p), &line, &column);
    return err_set(err, MEROS_INVALID, "line %d, column %d: not valid JSON: %s", line, column,
                   behind != NULL ? "there is something after the value"
                   : at == end    ? "the text ends before the value does"
                                  : "there is something here that JSON does not allow");
}

bool json_cut_is(struct str value, char first)
{
    const char *at = blanks(value.p, value.p + value.n);
    return at < value.p + value.n && *at == first;
}

void json_cut_begin(struct json_cut *c, struct str value)
{
    *c = (struct json_cut){.at = value.p, .end = value.p + value.n, .object = json_cut_is(value, '{')};
    if (c->object || json_cut_is(value, '[')) c->at = blanks(c->at, c->end) + 1;
    else c->at = c->end;
}

static const char *skip_string(const char *p)
{
    for (p++; *p != '"'; p++) p += *p == '\\';
    return p + 1;
}

/* Of checked text: nothing in it can surprise. */
static const char *skip_value(const char *p, const char *end)
{
    size_t depth = 0;
    do {
        switch (*p) {
        case '"': p = skip_string(p); break;
        case '{':
        case '[': depth++, p++; break;
        case '}':
        case ']': depth--, p++; break;
        default: p++;
        }
    } while (p < end && (depth > 0 || (*p != ',' && *p != ']' && *p != '}')));
    while (p[-1] == ' ' || p[-1] == '\n' || p[-1] == '\r' || p[-1] == '\t') p--;
    return p;
}

bool json_cut_next(struct json_cut *c, struct str *name, struct str *value)
{
    const char *p = blanks(c->at, c->end);
    if (p < c->end && *p == ',') p = blanks(p + 1, c->end);
    if (p == c->end || *p == '}' || *p == ']') return false;
    *name = STR_NONE;
    if (c->object) {
        const char *behind = skip_string(p);
        *name = (struct str){p + 1, (size_t)(behind - p) - 2};
        p = blanks(blanks(behind, c->end) + 1, c->end);
    }
    c->at = skip_value(p, c->end);
    *value = (struct str){p, (size_t)(c->at - p)};
    return true;
}

struct str json_cut_plain(struct str value)
{
    if (value.n < 2 || value.p[0] != '"' || memchr(value.p, '\\', value.n) != NULL) return STR_NONE;
    return (struct str){value.p + 1, value.n - 2};
}
