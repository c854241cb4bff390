/* The contract as the judge of tests: openapi/openapi.yaml decides whether an exchange was right.
 *
 * openapi_check() looks at one request and its answer: the operation must be documented, and so must the answer's status,
 * content type, headers (those of HTTP itself apart) and body. A member of an object that the schema does not name is a
 * fault, unless the schema says additionalProperties. A request that was accepted (2xx) must itself be documented: its
 * body, its query parameters. Where no operation fits, the answer must be 404 or 405 as problem+json.
 *
 * openapi_load() refuses a document with a keyword that is not known here, so nothing goes unchecked silently. */
#ifndef TESTS_OPENAPI_H
#define TESTS_OPENAPI_H

#include "meros/base/buf.h"
#include "meros/codec/json.h"

struct openapi;

struct openapi *openapi_load(const char *path, char *why, size_t cap);
struct openapi *openapi_load_text(const char *text, char *why, size_t cap);
void openapi_free(struct openapi *api);

struct exchange {
    const char *method, *target;       /* target: path and query as sent */
    const char *request_type;          /* NULL: none */
    struct str request_body;
    int status;
    const char *const *headers;        /* of the answer: name, value, …, NULL */
    struct str body;
};
/* True if the exchange is as documented; otherwise `why` says what is not. *out_operation (may be NULL) is the
 * operationId, or NULL when none fits; it lives as long as api. */
bool openapi_check(const struct openapi *api, const struct exchange *x, const char **out_operation, char *why, size_t cap);

/* Calls fn for every operation of the document. */
struct operation {
    const char *id, *method, *path;
    const struct json *node;
};
void openapi_each(const struct openapi *api, void (*fn)(void *arg, const struct operation *op), void *arg);

/* Follows $ref; the node itself where there is none. */
const struct json *openapi_resolve(const struct openapi *api, const struct json *node);

/* A value against a schema of this document. closed: members that no schema names are faults. */
bool openapi_validate(const struct openapi *api, const struct json *schema, const struct json *value, bool closed, char *why, size_t cap);
/* Every `example` and `examples` in the document against the schema it illustrates. */
bool openapi_check_examples(const struct openapi *api, char *why, size_t cap);

#endif
