/* Whether a product is in a category or has an attribute. Attributes are looked for in the text as it came from the database: jsonb's
 * output, whose form is fixed ({"name": value, …}, each name once, escapes only where there must be). No memory is taken. */
#include "meros/service/catalog.h"

#include <math.h>

bool catalog_in_category(const struct catalog_product *p, struct str category)
{
    const struct str is = p->category;
    if (!str_present(is) || is.n < category.n || memcmp(is.p, category.p, category.n) != 0) return false;
    return is.n == category.n || is.p[category.n] == '/';
}

/* Behind the string that begins at `at`. */
static const char *skip_string(const char *at, const char *end)
{
    for (at++; at < end && *at != '"'; at++)
        if (*at == '\\') at++;
    return at < end ? at + 1 : end;
}

/* Behind the value that begins at `at`, whatever is in it. */
static const char *skip_value(const char *at, const char *end)
{
    int depth = 0;
    for (; at < end; at++) {
        if (*at == '"') at = skip_string(at, end) - 1;
        else if (*at == '{' || *at == '[') depth++;
        else if ((*at == '}' || *at == ']') && depth-- == 0) return at;
        else if (*at == ',' && depth == 0) return at;
    }
    return end;
}

static int hex_digit(unsigned v)
{
    return (int)(v < 10 ? '0' + v : 'a' + v - 10);
}

/* Whether a JSON string (between the quotes, as PostgreSQL writes it) says that text. */
static bool same_text(const char *at, const char *end, struct str text)
{
    for (size_t i = 0; i < text.n; i++) {
        const unsigned char c = (unsigned char)text.p[i];
        const char *shorts = "\"\"\\\\\bb\ff\nn\rr\tt", *k = shorts;
        while (*k != '\0' && (unsigned char)*k != c) k += 2;
        if (c != '\0' && *k != '\0') {
            if (end - at < 2 || at[0] != '\\' || at[1] != k[1]) return false;
            at += 2;
        } else if (c < 0x20) {
            if (end - at < 6 || memcmp(at, "\\u00", 4) != 0 || at[4] != hex_digit(c >> 4) || at[5] != hex_digit(c & 15)) return false;
            at += 6;
        } else {
            if (at == end || (unsigned char)*at != c) return false;
            at++;
        }
    }
    return at == end;
}

/* A text, number or boolean; nothing else is equal to anything. */
static bool same_scalar(const char *at, const char *end, struct str value)
{
    double is, wanted;
    if (at == end) return false;
    if (*at == '"') return end - at >= 2 && same_text(at + 1, end - 1, value);
    const struct str word = {at, (size_t)(end - at)};
    if (*at == '{' || *at == '[' || str_is(word, "null")) return false;
    if (str_eq(word, value)) return true;
    return str_to_double(word, &is) && str_to_double(value, &wanted) && is == wanted;
}

static bool same_value(const char *at, const char *end, struct str value)
{
    if (at == end || *at != '[') return same_scalar(at, end, value);
    for (at++; at < end && *at != ']';) {
        const char *to = skip_value(at, end);
        if (same_scalar(at, to, value)) return true;
        for (at = to; at < end && (*at == ',' || *at == ' ');) at++;
    }
    return false;
}

bool catalog_has_attribute(const struct catalog_product *p, struct str name, struct str value)
{
    const char *at = p->attributes.p, *end = at + p->attributes.n;
    if (p->attributes.n < 2 || *at != '{') return false;
    for (at++; at < end && *at == '"';) {
        const char *key = at + 1, *key_end = skip_string(at, end) - 1, *from = key_end + 1;
        while (from < end && (*from == ':' || *from == ' ')) from++;
        const char *to = skip_value(from, end);
        if (same_text(key, key_end, name)) return same_value(from, to, value);
        for (at = to; at < end && (*at == ',' || *at == ' ');) at++;
    }
    return false;
}
