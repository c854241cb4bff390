/* Whether a product is in a category or has an attribute. Attributes are read once, when a product comes in, from jsonb's output, whose
 * form is fixed ({"name": value, …}, each name once, escapes only where there must be): a text is known by the bytes between its
 * quotes, and what is looked for is escaped the same way. */
#include "meros/service/catalog.h"

#include <stdlib.h>
#include "meros/base/crypto.h"

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

/* --- as numbers */

static void begin(struct crypto_hasher *h)
{
    static const unsigned char key[SEAL_KEY_BYTES] = "attributes of the catalogue"; /* known to all: it only tells from other hashes */
    crypto_hasher_init(h, key);
}

static uint64_t end_of(struct crypto_hasher *h)
{
    unsigned char hash[SHA256_BYTES];
    uint64_t v;
    crypto_hasher_final(h, hash);
    memcpy(&v, hash, sizeof v);
    return v;
}

/* A NUL, which is in no name, parts it from the value; the next byte keeps texts and numbers apart. */
static void add_text(struct crypto_hasher *h)
{
    crypto_hasher_update(h, "\0=", 2);
}

static void add_number(struct crypto_hasher *h, double number)
{
    const double v = number + 0.0; /* -0 is 0 */
    crypto_hasher_update(h, "\0#", 2);
    crypto_hasher_update(h, &v, sizeof v);
}

/* As PostgreSQL writes it. */
static void add_escaped(struct crypto_hasher *h, struct str s)
{
    static const char from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt", hex[] = "0123456789abcdef";
    for (size_t i = 0; i < s.n; i++) {
        const unsigned char c = (unsigned char)s.p[i];
        const char *k = c != 0 ? strchr(from, c) : NULL;
        if (k != NULL) crypto_hasher_update(h, (const char[]){'\\', to[k - from]}, 2);
        else if (c < 0x20) crypto_hasher_update(h, (const char[]){'\\', 'u', '0', '0', hex[c >> 4], hex[c & 15]}, 6);
        else crypto_hasher_update(h, &s.p[i], 1);
    }
}

struct catalog_attribute catalog_attribute_of(struct str name, struct str value)
{
    struct crypto_hasher h;
    struct catalog_attribute a;
    double number;
    begin(&h);
    add_escaped(&h, name);
    add_text(&h);
    add_escaped(&h, value);
    a.text = a.number = end_of(&h);
    if (!str_to_double(value, &number)) return a;
    begin(&h);
    add_escaped(&h, name);
    add_number(&h, number);
    a.number = end_of(&h);
    return a;
}

/* --- of a product */

struct found {
    uint64_t *out; /* NULL: they are only counted */
    size_t n;
};

/* A text, number or boolean; nothing else is equal to anything. */
static void add_scalar(struct found *f, struct str key, const char *at, const char *end)
{
    const struct str word = {at, (size_t)(end - at)};
    struct crypto_hasher h;
    double number;
    if (word.n == 0 || *at == '{' || *at == '[' || str_is(word, "null") || (*at == '"' && word.n < 2)) return;
    if (f->out == NULL) {
        f->n++;
        return;
    }
    begin(&h);
    crypto_hasher_update(&h, key.p, key.n);
    if (*at == '"') {
        add_text(&h);
        crypto_hasher_update(&h, at + 1, word.n - 2);
    } else if (str_to_double(word, &number)) {
        add_number(&h, number);
    } else {
        add_text(&h);
        crypto_hasher_update(&h, word.p, word.n);
    }
    f->out[f->n++] = end_of(&h);
}

static void add_value(struct found *f, struct str key, const char *at, const char *end)
{
    if (at == end || *at != '[') {
        add_scalar(f, key, at, end);
        return;
    }
    for (at++; at < end && *at != ']';) {
        const char *to = skip_value(at, end);
        add_scalar(f, key, at, to);
        for (at = to; at < end && (*at == ',' || *at == ' ');) at++;
    }
}

size_t catalog_attributes_read(struct str json, uint64_t *out)
{
    const char *at = json.p, *end = at + json.n;
    struct found f = {.out = out};
    if (json.n < 2 || *at != '{') return 0;
    for (at++; at < end && *at == '"';) {
        const char *key = at + 1, *key_end = skip_string(at, end) - 1, *from = key_end + 1;
        while (from < end && (*from == ':' || *from == ' ')) from++;
        const char *to = skip_value(from, end);
        if (key_end >= key) add_value(&f, (struct str){key, (size_t)(key_end - key)}, from, to);
        for (at = to; at < end && (*at == ',' || *at == ' ');) at++;
    }
    return f.n;
}

bool catalog_has_attribute(const struct catalog_product *p, const struct catalog_attribute *a)
{
    if (((p->attribute_bits >> a->text % 64 | p->attribute_bits >> a->number % 64) & 1) == 0) return false;
    for (size_t i = 0; i < p->n_attributes; i++)
        if (p->attributes[i] == a->text || p->attributes[i] == a->number) return true;
    return false;
}
