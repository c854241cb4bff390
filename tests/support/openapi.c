#include "openapi.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include "schema.h"
#include "yaml_tree.h"

struct openapi {
    struct json *root;
};

static const char *const methods[] = {"get", "put", "post", "delete", "options", "head", "patch", "trace", NULL};

/* "#/components/schemas/Job" -> the node. */
static const struct json *follow(const struct openapi *api, struct str ref)
{
    const struct json *node = api->root;
    char name[256];
    if (ref.n < 2 || ref.p[0] != '#') return NULL;
    const char *p = ref.p + 1, *end = ref.p + ref.n;
    while (p < end && node != NULL) {
        size_t n = 0;
        if (*p++ != '/') return NULL;
        while (p < end && *p != '/') {
            char c = *p++;
            if (c == '~' && p < end) c = *p++ == '0' ? '~' : '/';
            if (n + 1 >= sizeof name) return NULL;
            name[n++] = c;
        }
        name[n] = '\0';
        node = json_kind(node) == JSON_KIND_ARRAY ? json_at(node, (size_t)strtoul(name, NULL, 10)) : json_get(node, name);
    }
    return node;
}

const struct json *openapi_resolve(const struct openapi *api, const struct json *node)
{
    for (int hops = 0; hops < 20; hops++) {
        const struct json *ref = json_get(node, "$ref");
        if (ref == NULL) return node;
        if ((node = follow(api, json_str(ref))) == NULL) return NULL;
    }
    return NULL; /* a ring */
}

/* --- is the whole document understood? A table of OpenAPI's objects: their members, and what kind each is. */

struct shape;
static bool known(const struct openapi *api, const struct shape *shape, const struct json *node, const char *at, struct fault *f);

enum holds { HOLDS_VALUE, HOLDS_ONE, HOLDS_LIST, HOLDS_MAP, HOLDS_SCHEMA, HOLDS_SCHEMAS };
struct shape_member {
    const char *name;
    enum holds holds;
    const struct shape *shape;
};
struct shape {
    const char *what;
    const struct shape_member members[24];
};
#define V(n) {n, HOLDS_VALUE, NULL}
static const struct shape contact = {"contact", {V("name"), V("url"), V("email"), V("identifier"), V("description")}};
static const struct shape example = {"example", {V("$ref"), V("summary"), V("description"), V("value")}};
static const struct shape tag = {"tag", {V("name"), V("description"), {"externalDocs", HOLDS_ONE, &contact}}};
static const struct shape server = {"server", {V("url"), V("description"), V("variables")}};
static const struct shape info = {"info", {V("title"), V("summary"), V("description"), V("version"), V("termsOfService"),
                                           {"contact", HOLDS_ONE, &contact}, {"license", HOLDS_ONE, &contact}}};
static const struct shape header = {"header", {V("$ref"), V("description"), V("required"), V("deprecated"), V("style"), V("explode"), V("example"),
                                               {"schema", HOLDS_SCHEMA, NULL}, {"examples", HOLDS_MAP, &example}}};
static const struct shape media = {"media type", {{"schema", HOLDS_SCHEMA, NULL}, V("example"), {"examples", HOLDS_MAP, &example}}};
static const struct shape parameter = {"parameter", {V("$ref"), V("name"), V("in"), V("description"), V("required"), V("deprecated"), V("allowEmptyValue"),
                                                     V("style"), V("explode"), V("allowReserved"), V("example"), {"schema", HOLDS_SCHEMA, NULL},
                                                     {"examples", HOLDS_MAP, &example}}};
static const struct shape body = {"request body", {V("$ref"), V("description"), V("required"), {"content", HOLDS_MAP, &media}}};
static const struct shape link_shape = {"link", {V("$ref"), V("operationId"), V("operationRef"), V("parameters"), V("requestBody"), V("description")}};
static const struct shape response = {"response", {V("$ref"), V("description"), {"headers", HOLDS_MAP, &header}, {"content", HOLDS_MAP, &media},
                                                   {"links", HOLDS_MAP, &link_shape}}};
static const struct shape operation = {"operation", {V("operationId"), V("summary"), V("description"), V("tags"), V("deprecated"), V("security"),
                                                     {"externalDocs", HOLDS_ONE, &contact}, {"parameters", HOLDS_LIST, &parameter},
                                                     {"requestBody", HOLDS_ONE, &body}, {"responses", HOLDS_MAP, &response},
                                                     {"servers", HOLDS_LIST, &server}}};
static const struct shape path_item = {"path", {V("$ref"), V("summary"), V("description"), {"parameters", HOLDS_LIST, &parameter},
                                                {"get", HOLDS_ONE, &operation}, {"put", HOLDS_ONE, &operation}, {"post", HOLDS_ONE, &operation},
                                                {"delete", HOLDS_ONE, &operation}, {"options", HOLDS_ONE, &operation}, {"head", HOLDS_ONE, &operation},
                                                {"patch", HOLDS_ONE, &operation}, {"trace", HOLDS_ONE, &operation}}};
static const struct shape security = {"security scheme", {V("$ref"), V("type"), V("description"), V("name"), V("in"), V("scheme"), V("bearerFormat"),
                                                          V("flows"), V("openIdConnectUrl")}};
static const struct shape components = {"components", {{"schemas", HOLDS_SCHEMAS, NULL}, {"responses", HOLDS_MAP, &response},
                                                       {"parameters", HOLDS_MAP, &parameter}, {"examples", HOLDS_MAP, &example},
                                                       {"requestBodies", HOLDS_MAP, &body}, {"headers", HOLDS_MAP, &header},
                                                       {"securitySchemes", HOLDS_MAP, &security}, {"links", HOLDS_MAP, &link_shape}}};
static const struct shape document = {"document", {V("openapi"), V("jsonSchemaDialect"), V("security"), {"info", HOLDS_ONE, &info},
                                                   {"servers", HOLDS_LIST, &server}, {"tags", HOLDS_LIST, &tag}, {"paths", HOLDS_MAP, &path_item},
                                                   {"webhooks", HOLDS_MAP, &path_item}, {"components", HOLDS_ONE, &components}, {"externalDocs", HOLDS_ONE, &contact}}};
#undef V

static bool known_map(const struct openapi *api, const struct shape *shape, const struct json *map, const char *at, struct fault *f)
{
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char deeper[512];
    if (json_kind(map) != JSON_KIND_OBJECT) return fault_at(f, at, "must be an object");
    while (json_next(map, &it, &name, &v)) {
        print_to(deeper, sizeof deeper, "%s/%s", at, name.p);
        if (strncmp(name.p, "x-", 2) == 0 && shape != &header) continue;
        if (shape == NULL ? !schema_known(api, v, deeper, f) : !known(api, shape, v, deeper, f)) return false;
    }
    return true;
}

static bool known(const struct openapi *api, const struct shape *shape, const struct json *node, const char *at, struct fault *f)
{
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char deeper[512];
    if (json_kind(node) != JSON_KIND_OBJECT) return fault_at(f, at, "a %s must be an object", shape->what);
    if (json_get(node, "$ref") != NULL && openapi_resolve(api, node) == NULL) return fault_at(f, at, "$ref leads nowhere");
    while (json_next(node, &it, &name, &v)) {
        const struct shape_member *m = shape->members;
        if (strncmp(name.p, "x-", 2) == 0) continue;
        while (m->name != NULL && !str_is(name, m->name)) m++;
        print_to(deeper, sizeof deeper, "%s/%s", at, name.p);
        if (m->name == NULL) return fault_at(f, deeper, "a %s has no such member, or it is not known here", shape->what);
        if (m->holds == HOLDS_ONE && !known(api, m->shape, v, deeper, f)) return false;
        if (m->holds == HOLDS_SCHEMA && !schema_known(api, v, deeper, f)) return false;
        if ((m->holds == HOLDS_MAP || m->holds == HOLDS_SCHEMAS) && !known_map(api, m->shape, v, deeper, f)) return false;
        for (size_t i = 0; m->holds == HOLDS_LIST && i < json_count(v); i++) {
            print_to(deeper, sizeof deeper, "%s/%s/%zu", at, name.p, i);
            if (!known(api, m->shape, json_at(v, i), deeper, f)) return false;
        }
    }
    return true;
}

struct ids {
    const char *seen[1000];
    size_t n;
    char bad[200];
};
static void check_id(void *arg, const struct operation *op)
{
    struct ids *ids = arg;
    if (op->id[0] == '\0') print_to(ids->bad, sizeof ids->bad, "%s %s has no operationId", op->method, op->path);
    for (size_t i = 0; i < ids->n; i++)
        if (strcmp(ids->seen[i], op->id) == 0) print_to(ids->bad, sizeof ids->bad, "operationId %s stands twice", op->id);
    if (ids->n < 1000) ids->seen[ids->n++] = op->id;
}

static struct openapi *loaded(struct json *root, char *why, size_t cap)
{
    struct fault f = {why, cap};
    struct openapi *api = root == NULL ? NULL : calloc(1, sizeof *api);
    if (api == NULL) {
        json_free(root);
        return NULL;
    }
    api->root = root;
    struct ids *ids = calloc(1, sizeof *ids);
    bool ok = ids != NULL && known(api, &document, root, "", &f);
    if (ok) openapi_each(api, check_id, ids);
    if (ok && ids->bad[0] != '\0') ok = fault_at(&f, "/paths", "%s", ids->bad);
    free(ids);
    if (ok) return api;
    openapi_free(api);
    return NULL;
}

struct openapi *openapi_load(const char *path, char *why, size_t cap)
{
    return loaded(yaml_load(path, why, cap), why, cap);
}

struct openapi *openapi_load_text(const char *text, char *why, size_t cap)
{
    return loaded(yaml_load_text(text, strlen(text), why, cap), why, cap);
}

void openapi_free(struct openapi *api)
{
    if (api != NULL) json_free(api->root);
    free(api);
}

/* --- finding the operation */

void openapi_each(const struct openapi *api, void (*fn)(void *arg, const struct operation *op), void *arg)
{
    const void *it = NULL;
    struct str path;
    const struct json *item;
    while (json_next(json_get(api->root, "paths"), &it, &path, &item))
        for (int m = 0; methods[m] != NULL; m++) {
            struct operation op = {.method = methods[m], .path = path.p, .node = json_get(item, methods[m])};
            op.id = json_str(json_get(op.node, "operationId")).p;
            if (op.id == NULL) op.id = "";
            if (op.node != NULL) fn(arg, &op);
        }
}

/* Does the path fit the template? Returns one more than its concrete segments, so that "/a/popular" is nearer than "/a/{id}". */
static int fit(const char *template, const char *path, size_t n)
{
    const char *t = template, *p = path, *end = path + n;
    int concrete = 1;
    for (;;) {
        if (*t != '/' || p == end || *p != '/') return *t == '\0' && p == end ? concrete : 0;
        t++, p++;
        size_t tn = strcspn(t, "/"), pn = 0;
        while (p + pn < end && p[pn] != '/') pn++;
        if (tn > 1 && t[0] == '{' && t[tn - 1] == '}') {
            if (pn == 0) return 0;
        } else if (tn == pn && memcmp(t, p, tn) == 0) {
            concrete++;
        } else {
            return 0;
        }
        t += tn, p += pn;
    }
}

static const struct json *find_path(const struct openapi *api, const char *target, const char **out_path)
{
    const void *it = NULL;
    struct str template;
    const struct json *item, *best = NULL;
    int most = 0;
    while (json_next(json_get(api->root, "paths"), &it, &template, &item)) {
        int fits = fit(template.p, target, strcspn(target, "?"));
        if (fits > most) most = fits, best = item, *out_path = template.p;
    }
    return best;
}

/* --- checking an exchange */

static const char *answer_header(const struct exchange *x, const char *name)
{
    for (size_t i = 0; x->headers[i] != NULL; i += 2)
        if (strcasecmp(x->headers[i], name) == 0) return x->headers[i + 1];
    return NULL;
}

/* "application/json; charset=utf-8" -> the entry of `content` for application/json; ranges with a star fit too. */
static const struct json *media_of(const struct json *content, const char *type)
{
    char bare[200];
    const void *it = NULL;
    struct str name;
    const struct json *v;
    print_to(bare, sizeof bare, "%.*s", (int)strcspn(type, "; "), type);
    for (char *p = bare; *p; p++) *p = (char)tolower((unsigned char)*p);
    if (json_get(content, bare) != NULL) return json_get(content, bare);
    while (json_next(content, &it, &name, &v))
        if (str_is(name, "*/*") || (name.n > 2 && name.p[name.n - 1] == '*' && strncmp(name.p, bare, name.n - 1) == 0)) return v;
    return NULL;
}

static bool is_json(const char *type)
{
    size_t n = strcspn(type, "; ");
    return (n == 16 && strncasecmp(type, "application/json", n) == 0) || (n > 5 && strncasecmp(type + n - 5, "+json", 5) == 0);
}

static bool check_json(const struct openapi *api, const struct json *media_type, struct str text, bool closed, const char *what, struct fault *f)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct json *v = NULL;
    char at[64];
    if (json_parse_stored(text.p, text.n, &v, &err) != MEROS_OK) return fault_at(f, what, "%s", err.detail);
    print_to(at, sizeof at, "%s ", what);
    const struct json *schema = json_get(media_type, "schema");
    bool ok = schema != NULL ? schema_check(api, schema, v, closed, at, f) : fault_at(f, what, "has no schema in the document");
    json_free(v);
    return ok;
}

/* A header's or query parameter's text as the value that its schema speaks of. */
static bool check_text(const struct openapi *api, const struct json *schema, const char *text, const char *what, struct fault *f)
{
    struct buf b;
    struct jsonw w;
    struct json *v = NULL;
    struct meros_err err;
    const struct json *type = json_get(openapi_resolve(api, schema), "type");
    struct str t = json_kind(type) == JSON_KIND_ARRAY ? json_str(json_at(type, 0)) : json_str(type);
    double number;
    int64_t whole;
    buf_init(&b, 1 << 20);
    jsonw_init(&w, &b);
    if (str_is(t, "integer") ? str_to_int64(str_of(text), &whole) : str_is(t, "number") && str_to_double(str_of(text), &number)) buf_str(&b, text);
    else if (str_is(t, "boolean") && (!strcmp(text, "true") || !strcmp(text, "false"))) buf_str(&b, text);
    else jsonw_cstr(&w, text);
    bool ok = json_parse(b.data, b.len, &v, &err) == MEROS_OK ? schema_check(api, schema, v, true, what, f)
                                                               : fault_at(f, what, "is not readable: %s", err.detail);
    json_free(v);
    buf_done(&b);
    return ok;
}

/* What HTTP itself and its caches and proxies add is not part of the contract. */
static bool plain_http(const char *name)
{
    static const char *const names[] = {"content-type", "content-length", "content-encoding", "transfer-encoding", "date", "connection",
                                        "keep-alive", "vary", "server", "accept-encoding", NULL};
    for (int i = 0; names[i] != NULL; i++)
        if (strcasecmp(name, names[i]) == 0) return true;
    return strncasecmp(name, "access-control-", 15) == 0;
}

static const struct json *header_documented(const struct json *headers, const char *name)
{
    const void *it = NULL;
    struct str documented;
    const struct json *v;
    while (json_next(headers, &it, &documented, &v))
        if (strcasecmp(documented.p, name) == 0) return v;
    return NULL;
}

static bool check_headers(const struct openapi *api, const struct json *resp, const struct exchange *x, struct fault *f)
{
    const struct json *headers = json_get(resp, "headers"), *v;
    const void *it = NULL;
    struct str name;
    char what[300];
    for (size_t i = 0; x->headers[i] != NULL; i += 2) {
        if (plain_http(x->headers[i])) continue;
        print_to(what, sizeof what, "header %s", x->headers[i]);
        const struct json *h = openapi_resolve(api, header_documented(headers, x->headers[i]));
        if (h == NULL) return fault_at(f, what, "is not documented for this answer");
        if (json_get(h, "schema") != NULL && !check_text(api, json_get(h, "schema"), x->headers[i + 1], what, f)) return false;
    }
    while (json_next(headers, &it, &name, &v))
        if (json_bool(json_get(openapi_resolve(api, v), "required")) && answer_header(x, name.p) == NULL)
            return fault_at(f, name.p, "is a required header and is not there");
    return true;
}

static const struct json *response_of(const struct openapi *api, const struct json *op, int status)
{
    char name[8];
    const struct json *responses = json_get(op, "responses"), *r;
    print_to(name, sizeof name, "%d", status);
    if ((r = json_get(responses, name)) != NULL) return openapi_resolve(api, r);
    print_to(name, sizeof name, "%dXX", status / 100);
    return openapi_resolve(api, json_get(responses, name));
}

static bool check_answer(const struct openapi *api, const struct json *op, const struct exchange *x, struct fault *f)
{
    const struct json *resp = response_of(api, op, x->status), *content;
    if (resp == NULL) return fault_at(f, "status", "%d is not documented", x->status);
    if (!check_headers(api, resp, x, f)) return false;
    content = json_get(resp, "content");
    if (strcmp(x->method, "HEAD") == 0) return x->body.n == 0 || fault_at(f, "body", "an answer to HEAD has one");
    if (json_count(content) == 0) return x->body.n == 0 || fault_at(f, "body", "there is one, but none is documented");
    const char *type = answer_header(x, "Content-Type");
    if (type == NULL) return fault_at(f, "content type", "is missing");
    const struct json *media_type = media_of(content, type);
    if (media_type == NULL) return fault_at(f, "content type", "%s is not documented for status %d", type, x->status);
    return !is_json(type) || check_json(api, media_type, x->body, true, "body", f);
}

static const struct json *find_parameter(const struct openapi *api, const struct json *list, const char *in, const char *name)
{
    for (size_t i = 0; i < json_count(list); i++) {
        const struct json *p = openapi_resolve(api, json_at(list, i));
        if (str_is(json_str(json_get(p, "in")), in) && str_is(json_str(json_get(p, "name")), name)) return p;
    }
    return NULL;
}

static void percent_decode(char *s)
{
    char *to = s;
    for (; *s; s++) {
        unsigned c;
        if (*s == '%' && isxdigit((unsigned char)s[1]) && sscanf(s + 1, "%2x", &c) == 1) *to++ = (char)c, s += 2;
        else *to++ = *s == '+' ? ' ' : *s;
    }
    *to = '\0';
}

static bool check_query(const struct openapi *api, const struct json *item, const struct json *op, const char *target, struct fault *f)
{
    const char *query = strchr(target, '?');
    if (query == NULL) return true;
    char *copy = strdup(query + 1), *save = NULL;
    bool ok = true;
    for (char *pair = strtok_r(copy, "&", &save); pair != NULL && ok; pair = strtok_r(NULL, "&", &save)) {
        char *value = strchr(pair, '='), what[300];
        if (value != NULL) *value++ = '\0';
        percent_decode(pair);
        print_to(what, sizeof what, "query parameter %.200s", pair);
        const struct json *p = find_parameter(api, json_get(op, "parameters"), "query", pair);
        if (p == NULL) p = find_parameter(api, json_get(item, "parameters"), "query", pair);
        if (p == NULL) ok = fault_at(f, what, "was accepted but is not documented");
        else if (value != NULL && json_get(p, "schema") != NULL) {
            percent_decode(value);
            ok = check_text(api, json_get(p, "schema"), value, what, f);
        }
    }
    free(copy);
    return ok;
}

/* Only what was accepted must be documented: what is refused may be anything. */
static bool check_request(const struct openapi *api, const struct json *item, const struct json *op, const struct exchange *x, struct fault *f)
{
    const struct json *expected = openapi_resolve(api, json_get(op, "requestBody"));
    if (x->status < 200 || x->status > 299) return true;
    if (!check_query(api, item, op, x->target, f)) return false;
    if (x->request_body.n == 0)
        return !json_bool(json_get(expected, "required")) || x->request_type != NULL || fault_at(f, "request", "was accepted without its required body");
    if (expected == NULL) return fault_at(f, "request", "a body was accepted where none is documented");
    if (x->request_type == NULL) return true;
    const struct json *media_type = media_of(json_get(expected, "content"), x->request_type);
    if (media_type == NULL) return fault_at(f, "request", "content type %s was accepted but is not documented", x->request_type);
    return !is_json(x->request_type) || check_json(api, media_type, x->request_body, true, "request", f);
}

/* Where the document has no operation, the answer must say so as every error does. */
static bool check_nowhere(const struct openapi *api, const struct json *item, const struct exchange *x, struct fault *f)
{
    const char *type = answer_header(x, "Content-Type");
    if (item == NULL && x->status != 404) return fault_at(f, "status", "%d where no path is documented", x->status);
    if (item != NULL && x->status != 405) return fault_at(f, "status", "%d for a method that is not documented", x->status);
    if (item != NULL && answer_header(x, "Allow") == NULL) return fault_at(f, "header Allow", "is missing from a 405");
    if (strcmp(x->method, "HEAD") == 0) return true;
    if (type == NULL || strncmp(type, "application/problem+json", 24) != 0) return fault_at(f, "content type", "is not application/problem+json");
    struct meros_err err = MEROS_ERR_INIT;
    struct json *v = NULL;
    if (json_parse(x->body.p, x->body.n, &v, &err) != MEROS_OK) return fault_at(f, "body", "%s", err.detail);
    const struct json *problem = follow(api, STR("#/components/schemas/Problem"));
    bool ok = problem == NULL ? fault_at(f, "/components/schemas/Problem", "is not in the document") : schema_check(api, problem, v, true, "body ", f);
    json_free(v);
    return ok;
}

bool openapi_check(const struct openapi *api, const struct exchange *x, const char **out_operation, char *why, size_t cap)
{
    struct fault f = {why, cap};
    const char *path = NULL;
    char method[16];
    const struct json *item = find_path(api, x->target, &path), *op;
    print_to(method, sizeof method, "%s", strcmp(x->method, "HEAD") == 0 ? "GET" : x->method);
    for (char *p = method; *p; p++) *p = (char)tolower((unsigned char)*p);
    op = json_get(item, method);
    if (out_operation != NULL) *out_operation = op == NULL ? NULL : json_str(json_get(op, "operationId")).p;
    if (op != NULL) return check_answer(api, op, x, &f) && check_request(api, item, op, x, &f);
    /* OPTIONS asks what there is: an empty answer with Allow, or a preflight's. */
    if (item != NULL && strcmp(x->method, "OPTIONS") == 0 && x->status == 204)
        return x->body.n == 0 || fault_at(&f, "body", "an answer to OPTIONS has one");
    return check_nowhere(api, item, x, &f);
}

bool openapi_validate(const struct openapi *api, const struct json *schema, const struct json *value, bool closed, char *why, size_t cap)
{
    struct fault f = {why, cap};
    return schema_check(api, schema, value, closed, "", &f);
}

/* --- examples */

static bool examples_of(const struct openapi *api, const struct json *node, const char *at, struct fault *f)
{
    const struct json *schema = json_get(node, "schema"), *one = json_get(node, "example"), *many = json_get(node, "examples");
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char deeper[512];
    print_to(deeper, sizeof deeper, "%s/example", at);
    if (schema != NULL && one != NULL && !schema_check(api, schema, one, true, deeper, f)) return false;
    /* `examples` is a map of {value} beside a schema, and a list of values inside one. */
    while (schema != NULL && json_next(many, &it, &name, &v)) {
        const struct json *value = json_get(openapi_resolve(api, v), "value");
        print_to(deeper, sizeof deeper, "%s/examples/%s", at, name.p);
        if (value != NULL && !schema_check(api, schema, value, true, deeper, f)) return false;
    }
    bool is_schema = schema == NULL && (json_get(node, "type") != NULL || json_get(node, "properties") != NULL || json_get(node, "allOf") != NULL);
    if (is_schema && one != NULL && !schema_check(api, node, one, true, deeper, f)) return false;
    for (size_t i = 0; is_schema && json_kind(many) == JSON_KIND_ARRAY && i < json_count(many); i++) {
        print_to(deeper, sizeof deeper, "%s/examples/%zu", at, i);
        if (!schema_check(api, node, json_at(many, i), true, deeper, f)) return false;
    }
    return true;
}

static bool walk_examples(const struct openapi *api, const struct json *node, const char *at, struct fault *f)
{
    const void *it = NULL;
    struct str name;
    const struct json *v;
    char deeper[512];
    if (json_kind(node) == JSON_KIND_OBJECT && !examples_of(api, node, at, f)) return false;
    while (json_next(node, &it, &name, &v)) {
        if (str_is(name, "example") || str_is(name, "examples")) continue;
        print_to(deeper, sizeof deeper, "%s/%s", at, name.p);
        if (!walk_examples(api, v, deeper, f)) return false;
    }
    for (size_t i = 0; json_kind(node) == JSON_KIND_ARRAY && i < json_count(node); i++) {
        print_to(deeper, sizeof deeper, "%s/%zu", at, i);
        if (!walk_examples(api, json_at(node, i), deeper, f)) return false;
    }
    return true;
}

bool openapi_check_examples(const struct openapi *api, char *why, size_t cap)
{
    struct fault f = {why, cap};
    return walk_examples(api, api->root, "", &f);
}
