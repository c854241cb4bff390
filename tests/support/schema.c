#include "schema.h"

#include <math.h>
#include <regex.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { POINTER = 512 };

void print_to(char *out, size_t cap, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    vsnprintf(out, cap, format, ap);
    va_end(ap);
}

bool fault_at(struct fault *f, const char *pointer, const char *format, ...)
{
    if (f == NULL || f->cap == 0) return false;
    int n = snprintf(f->why, f->cap, "%s: ", pointer[0] == '\0' ? "(the whole)" : pointer);
    va_list ap;
    va_start(ap, format);
    if (n >= 0 && (size_t)n < f->cap) vsnprintf(f->why + n, f->cap - (size_t)n, format, ap);
    va_end(ap);
    return false;
}

static void child(char out[POINTER], const char *pointer, struct str name)
{
    print_to(out, POINTER, "%s/%.*s", pointer, (int)(name.n < 200 ? name.n : 200), name.p);
}

static const char *member(const struct json *v, const char *name)
{
    return json_str(json_get(v, name)).p;
}

/* --- is everything that the schema says understood? */

enum says { SAYS_ANYTHING, SAYS_SCHEMA, SAYS_SCHEMAS, SAYS_SCHEMA_MAP, SAYS_NUMBER, SAYS_STRINGS, SAYS_STRING, SAYS_ARRAY, SAYS_BOOL, SAYS_SCHEMA_OR_BOOL };
static const struct {
    const char *keyword;
    enum says says;
} keywords[] = {
    {"$ref", SAYS_STRING}, {"type", SAYS_ANYTHING}, {"enum", SAYS_ARRAY}, {"const", SAYS_ANYTHING},
    {"properties", SAYS_SCHEMA_MAP}, {"patternProperties", SAYS_SCHEMA_MAP}, {"additionalProperties", SAYS_SCHEMA_OR_BOOL},
    {"unevaluatedProperties", SAYS_SCHEMA_OR_BOOL}, {"propertyNames", SAYS_SCHEMA}, {"required", SAYS_STRINGS},
    {"minProperties", SAYS_NUMBER}, {"maxProperties", SAYS_NUMBER}, {"dependentRequired", SAYS_ANYTHING},
    {"items", SAYS_SCHEMA_OR_BOOL}, {"prefixItems", SAYS_SCHEMAS}, {"minItems", SAYS_NUMBER}, {"maxItems", SAYS_NUMBER}, {"uniqueItems", SAYS_BOOL},
    {"minimum", SAYS_NUMBER}, {"maximum", SAYS_NUMBER}, {"exclusiveMinimum", SAYS_NUMBER}, {"exclusiveMaximum", SAYS_NUMBER},
    {"multipleOf", SAYS_NUMBER}, {"minLength", SAYS_NUMBER}, {"maxLength", SAYS_NUMBER}, {"pattern", SAYS_STRING}, {"format", SAYS_STRING},
    {"allOf", SAYS_SCHEMAS}, {"anyOf", SAYS_SCHEMAS}, {"oneOf", SAYS_SCHEMAS}, {"not", SAYS_SCHEMA},
    /* These only describe. */
    {"title", SAYS_STRING}, {"description", SAYS_STRING}, {"$comment", SAYS_STRING}, {"default", SAYS_ANYTHING}, {"example", SAYS_ANYTHING},
    {"examples", SAYS_ARRAY}, {"deprecated", SAYS_BOOL}, {"readOnly", SAYS_BOOL}, {"writeOnly", SAYS_BOOL}, {"externalDocs", SAYS_ANYTHING},
    {"discriminator", SAYS_ANYTHING}, {"contentMediaType", SAYS_STRING}, {"contentEncoding", SAYS_STRING}};

static const char *const types[] = {"null", "boolean", "number", "string", "array", "object", "integer", NULL};
static const char *const formats[] = {"date-time", "date", "uuid", "int32", "int64", "double", "float", "binary", "password",
                                      "email", "uri", "uri-reference", NULL}; /* from "binary" on: not checked, hints to readers */

static bool one_of(struct str s, const char *const *words)
{
    for (; *words != NULL; words++)
        if (str_is(s, *words)) return true;
    return false;
}

/* ECMA's \d, \w and \s in the words of POSIX. Lookaround and non-greedy matching have none. */
static bool compile(const char *pattern, regex_t *out)
{
    char posix[1024];
    size_t n = 0;
    bool in_set = false;
    for (const char *p = pattern; *p; p++) {
        const char *as = NULL;
        if (*p == '\\' && (p[1] == 'd' || p[1] == 'w' || p[1] == 's')) {
            as = p[1] == 'd' ? "0-9" : p[1] == 'w' ? "A-Za-z0-9_" : " \t\r\n\f\v";
        } else if (*p == '\\' && p[1] == '-') {
            p++; /* an escaped minus, outside of sets the same as a plain one */
            if (in_set) return false;
        } else if (*p == '(' && p[1] == '?') {
            return false;
        }
        if (n + 20 > sizeof posix) return false;
        if (as != NULL) {
            n += (size_t)snprintf(posix + n, sizeof posix - n, in_set ? "%s" : "[%s]", as);
            p++;
        } else if (*p == '\\' && p[1] != '\0' && !in_set) {
            posix[n++] = *p++;
            posix[n++] = *p;
        } else {
            if (*p == '[' && !in_set) in_set = true;
            else if (*p == ']') in_set = false;
            posix[n++] = *p;
        }
    }
    posix[n] = '\0';
    return regcomp(out, posix, REG_EXTENDED | REG_NOSUB) == 0;
}

static bool kind_fits(enum says says, const struct json *v)
{
    enum json_kind k = json_kind(v);
    switch (says) {
    case SAYS_ANYTHING: return true;
    case SAYS_SCHEMA: return k == JSON_KIND_OBJECT;
    case SAYS_SCHEMA_OR_BOOL: return k == JSON_KIND_OBJECT || k == JSON_KIND_BOOL;
    case SAYS_SCHEMA_MAP: return k == JSON_KIND_OBJECT;
    case SAYS_NUMBER: return k == JSON_KIND_NUMBER;
    case SAYS_STRING: return k == JSON_KIND_STRING;
    case SAYS_BOOL: return k == JSON_KIND_BOOL;
    case SAYS_SCHEMAS:
    case SAYS_STRINGS:
    case SAYS_ARRAY: return k == JSON_KIND_ARRAY;
    }
    return false;
}

static bool type_known(const struct json *type)
{
    if (json_kind(type) == JSON_KIND_STRING) return one_of(json_str(type), types);
    for (size_t i = 0; i < json_count(type); i++)
        if (!one_of(json_str(json_at(type, i)), types)) return false;
    return json_kind(type) == JSON_KIND_ARRAY && json_count(type) > 0;
}

static bool keyword_known(const struct openapi *api, struct str name, const struct json *v, const char *at, struct fault *f)
{
    size_t k = 0, n = sizeof keywords / sizeof keywords[0];
    char deeper[POINTER];
    while (k < n && !str_is(name, keywords[k].keyword)) k++;
    if (k == n) return fault_at(f, at, "a keyword that is not known here");
    if (!kind_fits(keywords[k].says, v)) return fault_at(f, at, "has the wrong type");
    if (str_is(name, "type") && !type_known(v)) return fault_at(f, at, "is no type");
    if (str_is(name, "format") && !one_of(json_str(v), formats)) return fault_at(f, at, "is a format that is not known here");
    if (str_is(name, "pattern")) {
        regex_t re;
        if (!compile(json_str(v).p, &re)) return fault_at(f, at, "a pattern that is not understood here");
        regfree(&re);
    }
    if (keywords[k].says == SAYS_SCHEMA || (keywords[k].says == SAYS_SCHEMA_OR_BOOL && json_kind(v) == JSON_KIND_OBJECT))
        return schema_known(api, v, at, f);
    if (keywords[k].says == SAYS_SCHEMAS)
        for (size_t i = 0; i < json_count(v); i++) {
            print_to(deeper, sizeof deeper, "%s/%zu", at, i);
            if (!schema_known(api, json_at(v, i), deeper, f)) return false;
        }
    if (keywords[k].says == SAYS_SCHEMA_MAP) {
        const void *it = NULL;
        struct str key;
        const struct json *value;
        while (json_next(v, &it, &key, &value)) {
            child(deeper, at, key);
            regex_t re;
            if (str_is(name, "patternProperties")) {
                if (!compile(key.p, &re)) return fault_at(f, deeper, "a pattern that is not understood here");
                regfree(&re);
            }
            if (!schema_known(api, value, deeper, f)) return false;
        }
    }
    return true;
}

bool schema_known(const struct openapi *api, const struct json *schema, const char *pointer, struct fault *f)
{
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char at[POINTER];
    if (json_kind(schema) != JSON_KIND_OBJECT) return fault_at(f, pointer, "a schema must be an object");
    if (json_get(schema, "$ref") != NULL && openapi_resolve(api, schema) == NULL)
        return fault_at(f, pointer, "$ref %s leads nowhere", member(schema, "$ref"));
    while (json_next(schema, &it, &name, &v)) {
        child(at, pointer, name);
        if (name.n > 2 && strncmp(name.p, "x-", 2) == 0) continue;
        if (!keyword_known(api, name, v, at, f)) return false;
    }
    return true;
}

/* --- does a value fit? */

static bool same(const struct json *a, const struct json *b)
{
    if (json_kind(a) != json_kind(b) || json_count(a) != json_count(b)) return false;
    switch (json_kind(a)) {
    case JSON_KIND_NULL: return true;
    case JSON_KIND_BOOL: return json_bool(a) == json_bool(b);
    case JSON_KIND_NUMBER:
        return json_is_int(a) && json_is_int(b) ? json_int(a) == json_int(b) : json_num(a) == json_num(b);
    case JSON_KIND_STRING: return str_eq(json_str(a), json_str(b));
    case JSON_KIND_ARRAY:
        for (size_t i = 0; i < json_count(a); i++)
            if (!same(json_at(a, i), json_at(b, i))) return false;
        return true;
    case JSON_KIND_OBJECT: break;
    }
    const void *it = NULL;
    struct str name;
    const struct json *v;
    while (json_next(a, &it, &name, &v))
        if (json_get(b, name.p) == NULL || !same(v, json_get(b, name.p))) return false;
    return true;
}

static bool is_type(struct str type, const struct json *v)
{
    switch (json_kind(v)) {
    case JSON_KIND_NULL: return str_is(type, "null");
    case JSON_KIND_BOOL: return str_is(type, "boolean");
    case JSON_KIND_NUMBER:
        return str_is(type, "number") || (str_is(type, "integer") && (json_is_int(v) || json_num(v) == rint(json_num(v))));
    case JSON_KIND_STRING: return str_is(type, "string");
    case JSON_KIND_ARRAY: return str_is(type, "array");
    case JSON_KIND_OBJECT: return str_is(type, "object");
    }
    return false;
}

static bool check_type(const struct json *schema, const struct json *v, const char *at, struct fault *f)
{
    static const char *const kinds[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};
    const struct json *type = json_get(schema, "type");
    if (type == NULL) return true;
    if (json_kind(type) == JSON_KIND_STRING) {
        if (is_type(json_str(type), v)) return true;
        return fault_at(f, at, "is %s, not of type %s", kinds[json_kind(v)], json_str(type).p);
    }
    for (size_t i = 0; i < json_count(type); i++)
        if (is_type(json_str(json_at(type, i)), v)) return true;
    return fault_at(f, at, "is %s, which is none of the documented types", kinds[json_kind(v)]);
}

static bool check_number(const struct json *schema, const struct json *v, const char *at, struct fault *f)
{
    double x = json_num(v);
    struct str format = json_str(json_get(schema, "format"));
    if (x < json_num(json_get(schema, "minimum"))) return fault_at(f, at, "%.17g is below the minimum", x);
    if (x > json_num(json_get(schema, "maximum"))) return fault_at(f, at, "%.17g is above the maximum", x);
    if (x <= json_num(json_get(schema, "exclusiveMinimum"))) return fault_at(f, at, "%.17g is not above the minimum", x);
    if (x >= json_num(json_get(schema, "exclusiveMaximum"))) return fault_at(f, at, "%.17g is not below the maximum", x);
    double step = json_num(json_get(schema, "multipleOf"));
    if (step > 0 && fabs(x / step - rint(x / step)) > 1e-9) return fault_at(f, at, "%.17g is no multiple of %g", x, step);
    if (str_is(format, "int32") && fabs(x) > 2147483648.0) return fault_at(f, at, "%.17g is no int32", x);
    if (str_is(format, "int64") && !json_is_int(v)) return fault_at(f, at, "%.17g is not written as an int64", x);
    return true;
}

static bool is_date_time(struct str s)
{
    int64_t t;
    return s.n >= 20 && s.p[10] == 'T' && time_parse(s, &t) && (s.p[s.n - 1] == 'Z' || strpbrk(s.p + 19, "+-") != NULL);
}

static bool matches(const char *pattern, struct str s)
{
    regex_t re;
    if (!compile(pattern, &re)) return false;
    bool ok = regexec(&re, s.p, 0, NULL, 0) == 0;
    regfree(&re);
    return ok;
}

static bool check_string(const struct json *schema, const struct json *v, const char *at, struct fault *f)
{
    struct str s = json_str(v), format = json_str(json_get(schema, "format"));
    double characters = 0;
    int64_t t;
    for (size_t i = 0; i < s.n; i++) characters += ((unsigned char)s.p[i] & 0xC0) != 0x80;
    if (characters < json_num(json_get(schema, "minLength"))) return fault_at(f, at, "\"%.100s\" is too short", s.p);
    if (characters > json_num(json_get(schema, "maxLength"))) return fault_at(f, at, "\"%.100s\" is too long", s.p);
    const char *pattern = member(schema, "pattern");
    if (pattern != NULL && !matches(pattern, s)) return fault_at(f, at, "\"%.100s\" does not match %s", s.p, pattern);
    if (str_is(format, "date-time") && !is_date_time(s)) return fault_at(f, at, "\"%.100s\" is no date-time", s.p);
    if (str_is(format, "date") && (s.n != 10 || !time_parse(s, &t))) return fault_at(f, at, "\"%.100s\" is no date", s.p);
    if (str_is(format, "uuid") && !matches("^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$", s))
        return fault_at(f, at, "\"%.100s\" is no UUID", s.p);
    return true;
}

static bool check_array(const struct openapi *api, const struct json *schema, const struct json *v, bool closed, const char *at, struct fault *f)
{
    size_t n = json_count(v), prefix = json_count(json_get(schema, "prefixItems"));
    char deeper[POINTER];
    if ((double)n < json_num(json_get(schema, "minItems"))) return fault_at(f, at, "has only %zu items", n);
    if ((double)n > json_num(json_get(schema, "maxItems"))) return fault_at(f, at, "has %zu items, too many", n);
    const struct json *items = json_get(schema, "items");
    for (size_t i = 0; i < n; i++) {
        print_to(deeper, sizeof deeper, "%s/%zu", at, i);
        if (i < prefix) {
            if (!schema_check(api, json_at(json_get(schema, "prefixItems"), i), json_at(v, i), closed, deeper, f)) return false;
        } else if (json_kind(items) == JSON_KIND_BOOL) {
            if (!json_bool(items)) return fault_at(f, deeper, "is one item too many");
        } else if (items != NULL && !schema_check(api, items, json_at(v, i), closed, deeper, f)) {
            return false;
        }
        for (size_t j = 0; json_bool(json_get(schema, "uniqueItems")) && j < i; j++)
            if (same(json_at(v, i), json_at(v, j))) return fault_at(f, deeper, "stands there twice");
    }
    return true;
}

static const struct json *pattern_property(const struct json *schema, struct str name)
{
    const void *it = NULL;
    struct str pattern;
    const struct json *v;
    while (json_next(json_get(schema, "patternProperties"), &it, &pattern, &v))
        if (matches(pattern.p, name)) return v;
    return NULL;
}

static bool check_object(const struct openapi *api, const struct json *schema, const struct json *v, bool closed, const char *at, struct fault *f)
{
    const struct json *required = json_get(schema, "required"), *others = json_get(schema, "additionalProperties");
    const void *it = NULL;
    struct str name;
    const struct json *value;
    char deeper[POINTER];
    for (size_t i = 0; i < json_count(required); i++)
        if (json_get(v, json_str(json_at(required, i)).p) == NULL)
            return fault_at(f, at, "lacks \"%s\"", json_str(json_at(required, i)).p);
    if ((double)json_count(v) < json_num(json_get(schema, "minProperties"))) return fault_at(f, at, "has too few members");
    if ((double)json_count(v) > json_num(json_get(schema, "maxProperties"))) return fault_at(f, at, "has too many members");
    while (json_next(json_get(schema, "dependentRequired"), &it, &name, &value))
        for (size_t i = 0; json_get(v, name.p) != NULL && i < json_count(value); i++)
            if (json_get(v, json_str(json_at(value, i)).p) == NULL)
                return fault_at(f, at, "has \"%s\" without \"%s\"", name.p, json_str(json_at(value, i)).p);
    it = NULL;
    while (json_next(v, &it, &name, &value)) {
        child(deeper, at, name);
        if (json_get(schema, "propertyNames") != NULL) {
            struct buf quoted;
            struct jsonw w;
            struct json *as_value = NULL;
            buf_init(&quoted, 1 << 20);
            jsonw_init(&w, &quoted);
            jsonw_str(&w, name);
            struct meros_err err;
            bool ok = json_parse(quoted.data, quoted.len, &as_value, &err) == MEROS_OK &&
                      schema_check(api, json_get(schema, "propertyNames"), as_value, closed, deeper, f);
            json_free(as_value);
            buf_done(&quoted);
            if (!ok) return false;
        }
        const struct json *mine = json_get(json_get(schema, "properties"), name.p), *pattern = pattern_property(schema, name);
        if (mine != NULL && !schema_check(api, mine, value, closed, deeper, f)) return false;
        if (pattern != NULL && !schema_check(api, pattern, value, closed, deeper, f)) return false;
        if (mine != NULL || pattern != NULL || others == NULL) continue;
        if (json_kind(others) == JSON_KIND_BOOL) {
            if (!json_bool(others)) return fault_at(f, deeper, "is not a documented member");
        } else if (!schema_check(api, others, value, closed, deeper, f)) {
            return false;
        }
    }
    return true;
}

static bool check_one(const struct openapi *api, const struct json *schema, const struct json *v, bool closed, const char *at, struct fault *f);

/* Does this schema, or one that it is composed of and that v fits, speak of the member? */
static bool names(const struct openapi *api, const struct json *schema, struct str name, const struct json *v)
{
    static const char *const choices[] = {"oneOf", "anyOf"};
    schema = openapi_resolve(api, schema);
    const struct json *others = json_get(schema, "additionalProperties"), *all = json_get(schema, "allOf");
    if (json_get(json_get(schema, "properties"), name.p) != NULL || pattern_property(schema, name) != NULL) return true;
    if (others != NULL && (json_kind(others) != JSON_KIND_BOOL || json_bool(others))) return true;
    for (size_t i = 0; i < json_count(all); i++)
        if (names(api, json_at(all, i), name, v)) return true;
    bool composed = all != NULL;
    for (int c = 0; c < 2; c++) {
        const struct json *any = json_get(schema, choices[c]);
        composed = composed || any != NULL;
        for (size_t i = 0; i < json_count(any); i++)
            if (check_one(api, json_at(any, i), v, false, "", NULL) && names(api, json_at(any, i), name, v)) return true;
    }
    /* An object of which nothing is said may hold anything; {required: […]} alone says nothing of other members either. */
    return !composed && others == NULL && json_get(schema, "properties") == NULL && json_get(schema, "required") == NULL;
}

static bool check_choices(const struct openapi *api, const struct json *schema, const struct json *v, bool closed, const char *at, struct fault *f)
{
    const struct json *all = json_get(schema, "allOf"), *any = json_get(schema, "anyOf"), *one = json_get(schema, "oneOf");
    const struct json *no = json_get(schema, "not");
    size_t fits = 0;
    (void)closed; /* composed schemas are open to each other; what none of them names is found by schema_check */
    for (size_t i = 0; i < json_count(all); i++)
        if (!check_one(api, json_at(all, i), v, closed, at, f)) return false;
    for (size_t i = 0; i < json_count(any) && fits == 0; i++) fits += check_one(api, json_at(any, i), v, closed, at, f);
    if (any != NULL && fits == 0) {
        char last[300];
        print_to(last, sizeof last, "%s", f == NULL ? "" : f->why);
        return fault_at(f, at, "fits none of anyOf (the last: %.200s)", last);
    }
    fits = 0;
    for (size_t i = 0; i < json_count(one); i++) fits += check_one(api, json_at(one, i), v, closed, at, f);
    if (one != NULL && fits != 1) {
        char last[300];
        print_to(last, sizeof last, "%s", f == NULL ? "" : f->why);
        return fault_at(f, at, "fits %zu of oneOf (the last fault: %.200s)", fits, last);
    }
    if (no != NULL && check_one(api, no, v, false, at, NULL)) return fault_at(f, at, "is what it must not be");
    return true;
}

static bool check_one(const struct openapi *api, const struct json *schema, const struct json *v, bool closed, const char *at, struct fault *f)
{
    const struct json *target = openapi_resolve(api, schema), *allowed;
    if (target == NULL) return fault_at(f, at, "the schema's $ref leads nowhere");
    /* In 3.1 siblings of $ref count too. */
    if (target != schema && !check_one(api, target, v, closed, at, f)) return false;
    if (!check_type(schema, v, at, f)) return false;
    if ((allowed = json_get(schema, "const")) != NULL && !same(allowed, v)) return fault_at(f, at, "is not the only value allowed");
    if ((allowed = json_get(schema, "enum")) != NULL) {
        size_t i = 0;
        while (i < json_count(allowed) && !same(json_at(allowed, i), v)) i++;
        if (i == json_count(allowed)) return fault_at(f, at, "\"%.100s\" is none of the values allowed", json_kind(v) == JSON_KIND_STRING ? json_str(v).p : "…");
    }
    switch (json_kind(v)) {
    case JSON_KIND_NUMBER:
        if (!check_number(schema, v, at, f)) return false;
        break;
    case JSON_KIND_STRING:
        if (!check_string(schema, v, at, f)) return false;
        break;
    case JSON_KIND_ARRAY:
        if (!check_array(api, schema, v, closed, at, f)) return false;
        break;
    case JSON_KIND_OBJECT:
        if (!check_object(api, schema, v, closed, at, f)) return false;
        break;
    default: break;
    }
    return check_choices(api, schema, v, closed, at, f);
}

bool schema_check(const struct openapi *api, const struct json *schema, const struct json *value, bool closed, const char *pointer,
                  struct fault *f)
{
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char at[POINTER];
    if (!check_one(api, schema, value, closed, pointer, f)) return false;
    const struct json *target = openapi_resolve(api, schema), *rest = json_get(target, "unevaluatedProperties");
    if (json_kind(value) != JSON_KIND_OBJECT) return true;
    while ((closed || rest != NULL) && json_next(value, &it, &name, &v)) {
        if (names(api, schema, name, value)) continue;
        child(at, pointer, name);
        if (rest != NULL && json_kind(rest) == JSON_KIND_OBJECT) {
            if (!schema_check(api, rest, v, closed, at, f)) return false;
        } else if (rest == NULL || !json_bool(rest)) {
            return fault_at(f, at, "is not a documented member");
        }
    }
    return true;
}
