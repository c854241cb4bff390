/* NDJSON from a stranger: what the one-pass scanner calls good, json_parse calls good, with the same members. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include "meros/codec/ndjson.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct source {
    const uint8_t *p;
    size_t n;
};

static enum meros_code give(void *arg, char *to, size_t cap, size_t *out_n, struct meros_err *err)
{
    struct source *s = arg;
    size_t n = s->n < 17 ? s->n : 17;
    (void)err;
    if (n > cap) n = cap;
    if (n > 0) memcpy(to, s->p, n);
    s->p += n;
    s->n -= n;
    *out_n = n;
    return MEROS_OK;
}

static void check(bool holds)
{
    if (!holds) abort();
}

/* jansson keeps integers in 64 bits and refuses longer ones; nested objects may not hold a name twice there. Neither is
 * a fault in a line of NDJSON, so a line with either is only required not to be mangled. */
static void compare(struct str line, const struct ndjson_record *rec)
{
    struct json *tree = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    enum meros_code rc = json_parse(line.p, line.n, &tree, &err);
    if (rec->fault == NULL && rc == MEROS_OK) {
        check(json_kind(tree) == JSON_KIND_OBJECT && json_count(tree) == rec->n);
        for (size_t k = 0; k < rec->n; k++) {
            const void *at = NULL;
            struct str name;
            const struct json *value;
            bool found = false;
            while (json_next(tree, &at, &name, &value)) {
                if (!str_eq(name, rec->members[k].name)) continue;
                found = true;
                check(json_kind(value) == rec->members[k].kind);
                if (rec->members[k].kind == JSON_KIND_STRING) check(str_eq(json_str(value), rec->members[k].text));
            }
            check(found);
        }
    }
    if (rec->fault != NULL && rc == MEROS_OK) {
        /* what we refuse and jansson takes: anything but an object, long numbers, NUL bytes after the value */
        bool longer = false;
        for (size_t i = 0, digits = 0; i < line.n; i++) {
            digits = strchr("0123456789.eE+-", line.p[i]) != NULL ? digits + 1 : 0;
            longer |= digits > 60;
        }
        check(longer || json_kind(tree) != JSON_KIND_OBJECT || json_count(tree) > NDJSON_MEMBERS_MAX);
    }
    json_free(tree);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct source s = {data, size};
    struct meros_err err = MEROS_ERR_INIT;
    struct ndjson_reader *r;
    struct ndjson_record rec;
    bool more;
    json_start();
    check(ndjson_open(give, &s, &r, &err) == MEROS_OK);
    while (ndjson_next(r, &rec, &more, &err) == MEROS_OK && more) {
        const char *p = (const char *)data, *end = p + size;
        for (int64_t line = 1; line < rec.line; line++) p = (const char *)memchr(p, '\n', (size_t)(end - p)) + 1;
        const char *stop = memchr(p, '\n', (size_t)(end - p));
        struct str line = {p, (size_t)((stop != NULL ? stop : end) - p)};
        if (line.n >= 3 && rec.line == 1 && memcmp(line.p, "\xEF\xBB\xBF", 3) == 0) line.p += 3, line.n -= 3;
        compare(line, &rec);
        for (size_t k = 0; k < rec.n; k++) check(utf8_valid(rec.members[k].text.p, rec.members[k].text.n));
    }
    ndjson_close(r);
    return 0;
}
