/* The judge is judged: each of these exchanges and values must be refused, or the other tests prove nothing. */
#include <stdio.h>
#include <string.h>
#include "client.h"
#include "yaml_tree.h"

static const char *const contract =
    "openapi: 3.1.0\n"
    "info: {title: T, version: '1'}\n"
    "paths:\n"
    "  /things/popular:\n"
    "    get: {operationId: popular, responses: {'204': {description: none}}}\n"
    "  /things/{id}:\n"
    "    parameters: [{name: id, in: path, required: true, schema: {type: string}}]\n"
    "    get:\n"
    "      operationId: getThing\n"
    "      parameters: [{$ref: '#/components/parameters/limit'}]\n"
    "      responses:\n"
    "        '200':\n"
    "          description: The thing.\n"
    "          headers: {X-Count: {required: true, schema: {type: integer, minimum: 1}}}\n"
    "          content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}\n"
    "        4XX: {$ref: '#/components/responses/Problem'}\n"
    "    put:\n"
    "      operationId: putThing\n"
    "      requestBody: {required: true, content: {application/json: {schema: {$ref: '#/components/schemas/Thing'}}}}\n"
    "      responses: {'204': {description: done}}\n"
    "components:\n"
    "  parameters: {limit: {name: limit, in: query, schema: {type: integer, minimum: 1, maximum: 1000}}}\n"
    "  responses: {Problem: {description: no, content: {application/problem+json: {schema: {$ref: '#/components/schemas/Problem'}}}}}\n"
    "  schemas:\n"
    "    Problem: {type: object, required: [status], properties: {status: {type: integer}}}\n"
    "    Thing: {type: object, required: [id], properties: {id: {type: string, minLength: 1}, size: {type: [number, 'null']}}}\n";

static const struct openapi *api_of(const char *yaml)
{
    static struct openapi *api;
    char why[600] = "";
    openapi_free(api);
    api = openapi_load_text(yaml, why, sizeof why);
    cr_assert_not_null(api, "%s", why);
    return api;
}

static void refuse_document(const char *yaml, const char *because)
{
    char why[600] = "";
    struct openapi *api = openapi_load_text(yaml, why, sizeof why);
    cr_assert_null(api, "taken:\n%s", yaml);
    cr_assert_not_null(strstr(why, because), "refused because %s", why);
}

static bool exchange_of(struct exchange *x, char why[600])
{
    static const char *const plain[] = {"Content-Type", "application/json", "X-Count", "3", "Date", "today", NULL};
    if (x->method == NULL) x->method = "GET";
    if (x->target == NULL) x->target = "/things/a";
    if (x->status == 0) x->status = 200;
    if (x->headers == NULL) x->headers = plain;
    if (x->body.p == NULL && x->status == 200) x->body = STR("{\"id\":\"a\"}");
    return openapi_check(api_of(contract), x, NULL, why, 600);
}
static void taken(struct exchange x)
{
    char why[600] = "";
    cr_assert(exchange_of(&x, why), "refused: %s", why);
}
static void refused(struct exchange x, const char *because)
{
    char why[600] = "";
    cr_assert_not(exchange_of(&x, why), "taken, though %s", because);
    cr_assert_not_null(strstr(why, because), "refused because %s, not because %s", why, because);
}

static const char *const no_headers[] = {NULL};
static const char *const problem_headers[] = {"content-type", "application/problem+json", NULL};
static const char *const html_headers[] = {"Content-Type", "text/html", "X-Count", "3", NULL};
static const char *const uncounted[] = {"Content-Type", "application/json", NULL};
static const char *const miscounted[] = {"Content-Type", "application/json; charset=utf-8", "X-Count", "0", NULL};
static const char *const chatty[] = {"Content-Type", "application/json", "X-Count", "1", "X-Debug", "yes", NULL};

Test(openapi, a_documented_exchange_is_taken)
{
    taken((struct exchange){0});
    taken((struct exchange){.target = "/things/a?limit=1000"});
    taken((struct exchange){.body = STR("{\"id\":\"a\",\"size\":null}")});
    taken((struct exchange){.status = 404, .headers = problem_headers, .body = STR("{\"status\":404}")});
    taken((struct exchange){.method = "PUT", .status = 204, .headers = no_headers, .request_type = "application/json", .request_body = STR("{\"id\":\"a\"}")});
    taken((struct exchange){.target = "/things/popular", .status = 204, .headers = no_headers});
}

Test(openapi, an_undocumented_status_is_refused)
{
    refused((struct exchange){.status = 201}, "201 is not documented");
    refused((struct exchange){.status = 500, .headers = problem_headers, .body = STR("{\"status\":500}")}, "500 is not documented");
    refused((struct exchange){.target = "/things/popular"}, "200 is not documented");
}

Test(openapi, an_undocumented_content_type_is_refused)
{
    refused((struct exchange){.headers = html_headers}, "text/html");
    refused((struct exchange){.headers = (const char *const[]){"X-Count", "1", NULL}}, "content type: is missing");
    refused((struct exchange){.status = 404, .headers = uncounted, .body = STR("{\"status\":404}")}, "application/json is not documented");
}

Test(openapi, headers_must_be_documented_required_ones_there_and_their_values_right)
{
    refused((struct exchange){.headers = chatty}, "X-Debug");
    refused((struct exchange){.headers = uncounted}, "X-Count");
    refused((struct exchange){.headers = miscounted}, "below the minimum");
}

Test(openapi, a_body_that_is_not_as_documented_is_refused)
{
    refused((struct exchange){.body = STR("{}")}, "lacks \"id\"");
    refused((struct exchange){.body = STR("{\"id\":7}")}, "not of type string");
    refused((struct exchange){.body = STR("{\"id\":\"\"}")}, "too short");
    refused((struct exchange){.body = STR("{\"id\":\"a\",\"colour\":\"red\"}")}, "colour: is not a documented member");
    refused((struct exchange){.body = STR("{\"id\":")}, "line 1");
    refused((struct exchange){.target = "/things/popular", .status = 204, .headers = no_headers, .body = STR("x")}, "none is documented");
    refused((struct exchange){.method = "HEAD", .body = STR("{\"id\":\"a\"}")}, "HEAD");
}

Test(openapi, what_was_accepted_must_be_documented)
{
    refused((struct exchange){.target = "/things/a?offset=1"}, "offset");
    refused((struct exchange){.target = "/things/a?limit=1001"}, "above the maximum");
    refused((struct exchange){.target = "/things/a?limit=1e1"}, "");
    struct exchange put = {.method = "PUT", .status = 204, .headers = no_headers, .request_type = "application/json", .request_body = STR("{\"id\":\"a\",\"x\":1}")};
    refused(put, "x: is not a documented member");
    put.request_type = "text/csv";
    refused(put, "text/csv");
    put.request_body = STR("");
    put.request_type = NULL;
    refused(put, "without its required body");
    refused((struct exchange){.request_type = "application/json", .request_body = STR("{}")}, "no");
}

Test(openapi, where_nothing_is_documented_only_404_and_405_fit)
{
    static const char *const allowing[] = {"Content-Type", "application/problem+json", "Allow", "GET, PUT", NULL};
    taken((struct exchange){.target = "/nowhere", .status = 404, .headers = problem_headers, .body = STR("{\"status\":404}")});
    taken((struct exchange){.method = "DELETE", .status = 405, .headers = allowing, .body = STR("{\"status\":405}")});
    refused((struct exchange){.target = "/nowhere"}, "no path is documented");
    refused((struct exchange){.target = "/things/"}, "no path is documented");
    refused((struct exchange){.target = "/things/a/b"}, "no path is documented");
    refused((struct exchange){.method = "DELETE"}, "method that is not documented");
    refused((struct exchange){.method = "DELETE", .status = 405, .headers = problem_headers, .body = STR("{\"status\":405}")}, "Allow");
    refused((struct exchange){.target = "/nowhere", .status = 404, .headers = html_headers, .body = STR("no")}, "problem+json");
    refused((struct exchange){.target = "/nowhere", .status = 404, .headers = problem_headers, .body = STR("{}")}, "lacks");
}

Test(openapi, a_document_that_is_not_understood_is_refused)
{
    const char *head = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\n";
    refuse_document(text("%scomponents: {schemas: {A: {type: string, minLenght: 3}}}\n", head), "minLenght");
    refuse_document(text("%scomponents: {schemas: {A: {type: text}}}\n", head), "type");
    refuse_document(text("%scomponents: {schemas: {A: {type: string, format: iso}}}\n", head), "format");
    refuse_document(text("%scomponents: {schemas: {A: {type: string, pattern: '(?=a)'}}}\n", head), "pattern");
    refuse_document(text("%scomponents: {schemas: {A: {minimum: '3'}}}\n", head), "wrong type");
    refuse_document(text("%scomponents: {schemas: {A: {$ref: '#/components/schemas/B'}}}\n", head), "leads nowhere");
    refuse_document(text("%scomponents: {schemas: {A: {items: {allOf: [{bad: 1}]}}}}\n", head), "allOf/0/bad");
    refuse_document(text("%spaths: {/a: {get: {operationId: a, respones: {}}}}\n", head), "respones");
    refuse_document(text("%spaths: {/a: {get: {responses: {}}}}\n", head), "no operationId");
    refuse_document(text("%spaths: {/a: {get: {operationId: x, responses: {}}}, /b: {get: {operationId: x, responses: {}}}}\n", head), "twice");
    refuse_document(text("%spaths: {/a: {get: {operationId: x, responses: {'200': {$ref: '#/nowhere'}}}}}\n", head), "leads nowhere");
    refuse_document("a: [1\n", "line");
    refuse_document("a: 1\na: 2\n", "twice");
}

static void value(const char *schema, const char *json, bool fits)
{
    char why[600] = "";
    struct json *v = NULL;
    struct meros_err err = MEROS_ERR_INIT;
    const struct openapi *api = api_of(text("openapi: 3.1.0\ninfo: {title: T, version: '1'}\ncomponents: {schemas: {S: %s, Named: {type: object, properties: {n: {type: integer}}}}}\n", schema));
    cr_assert_eq(json_parse(json, strlen(json), &v, &err), MEROS_OK, "%s", json);
    struct meros_err err2 = MEROS_ERR_INIT;
    struct json *ref = NULL;
    const char *pointer = "{\"$ref\":\"#/components/schemas/S\"}";
    cr_assert_eq(json_parse(pointer, strlen(pointer), &ref, &err2), MEROS_OK);
    bool ok = openapi_validate(api, ref, v, true, why, sizeof why);
    json_free(ref);
    json_free(v);
    cr_assert_eq(ok, fits, "%s against %s: %s", json, schema, ok ? "taken" : why);
}

Test(openapi, each_keyword_takes_what_fits_and_refuses_what_does_not)
{
    static const struct {
        const char *schema, *good, *bad;
    } cases[] = {
        {"{type: integer}", "1", "1.5"},
        {"{type: integer}", "2.0", "\"1\""},
        {"{type: number}", "1.5", "null"},
        {"{type: [string, 'null']}", "null", "1"},
        {"{type: boolean}", "false", "0"},
        {"{type: array, items: {type: string}}", "[\"a\"]", "[\"a\",1]"},
        {"{type: array, minItems: 1, maxItems: 2}", "[1]", "[]"},
        {"{type: array, minItems: 1, maxItems: 2}", "[1,2]", "[1,2,3]"},
        {"{type: array, prefixItems: [{type: string}], items: {type: number}}", "[\"a\",1]", "[\"a\",\"b\"]"},
        {"{type: array, prefixItems: [{type: string}], items: false}", "[\"a\"]", "[\"a\",1]"},
        {"{type: array, uniqueItems: true}", "[1,2]", "[1,2,1]"},
        {"{enum: [a, 1, null]}", "null", "\"b\""},
        {"{const: {a: [1]}}", "{\"a\":[1]}", "{\"a\":[2]}"},
        {"{minimum: 0, maximum: 1}", "1", "1.01"},
        {"{minimum: 0, maximum: 1}", "0", "-0.1"},
        {"{exclusiveMinimum: 0, exclusiveMaximum: 1}", "0.5", "0"},
        {"{exclusiveMinimum: 0, exclusiveMaximum: 1}", "0.5", "1"},
        {"{multipleOf: 0.5}", "1.5", "1.4"},
        {"{type: string, minLength: 2, maxLength: 3}", "\"\xC3\xA4\xC3\xA4\xC3\xA4\"", "\"\xC3\xA4\""},
        {"{type: string, maxLength: 3}", "\"abc\"", "\"abcd\""},
        {"{type: string, pattern: '^job_[a-z\\d]+$'}", "\"job_a1\"", "\"job_\""},
        {"{type: string, format: date-time}", "\"2011-12-09T12:50:00Z\"", "\"2011-12-09 12:50:00\""},
        {"{type: string, format: date-time}", "\"2011-12-09T12:50:00+01:00\"", "\"2011-12-09T12:50:00\""},
        {"{type: string, format: date}", "\"2011-12-09\"", "\"2011-13-09\""},
        {"{type: string, format: uuid}", "\"01234567-89ab-cdef-0123-456789abcdef\"", "\"x\""},
        {"{type: integer, format: int32}", "2147483647", "3000000000"},
        {"{type: object, required: [a], properties: {a: {}}}", "{\"a\":null}", "{}"},
        {"{type: object, properties: {a: {type: string}}}", "{\"a\":\"x\"}", "{\"a\":1}"},
        {"{type: object, properties: {a: {}}}", "{\"a\":1}", "{\"b\":1}"},
        {"{type: object, properties: {a: {}}, additionalProperties: true}", "{\"b\":1}", "[]"},
        {"{type: object, additionalProperties: {type: number}}", "{\"b\":1}", "{\"b\":\"x\"}"},
        {"{type: object, additionalProperties: false}", "{}", "{\"b\":1}"},
        {"{type: object}", "{\"anything\":{\"goes\":1}}", "1"},
        {"{type: object, patternProperties: {'^x_': {type: number}}, additionalProperties: false}", "{\"x_a\":1}", "{\"x_a\":\"s\"}"},
        {"{type: object, patternProperties: {'^x_': {type: number}}, additionalProperties: false}", "{}", "{\"y\":1}"},
        {"{type: object, propertyNames: {maxLength: 2}}", "{\"ab\":1}", "{\"abc\":1}"},
        {"{type: object, minProperties: 1, maxProperties: 2}", "{\"a\":1}", "{}"},
        {"{type: object, maxProperties: 1}", "{\"a\":1}", "{\"a\":1,\"b\":2}"},
        {"{type: object, dependentRequired: {a: [b]}}", "{\"a\":1,\"b\":1}", "{\"a\":1}"},
        {"{allOf: [{properties: {a: {type: number}}}, {properties: {b: {type: string}}}]}", "{\"a\":1,\"b\":\"x\"}", "{\"a\":1,\"b\":2}"},
        {"{allOf: [{properties: {a: {}}}, {properties: {b: {}}}]}", "{\"a\":1,\"b\":\"x\"}", "{\"c\":1}"},
        {"{allOf: [{$ref: '#/components/schemas/Named'}, {required: [n]}]}", "{\"n\":1}", "{\"n\":1,\"m\":1}"},
        {"{allOf: [{$ref: '#/components/schemas/Named'}], unevaluatedProperties: {type: string}}", "{\"n\":1,\"m\":\"x\"}", "{\"m\":1}"},
        {"{anyOf: [{type: string}, {type: number, minimum: 3}]}", "3", "2"},
        {"{oneOf: [{type: number}, {type: integer}]}", "1.5", "1"},
        {"{oneOf: [{type: object, required: [a], properties: {a: {}}}, {type: object, required: [b], properties: {b: {}}}]}", "{\"b\":1}", "{\"b\":1,\"c\":2}"},
        {"{oneOf: [{$ref: '#/components/schemas/Named'}, {type: 'null'}]}", "null", "{\"n\":\"x\"}"},
        {"{not: {type: string}}", "1", "\"a\""},
        {"{$ref: '#/components/schemas/Named'}", "{\"n\":1}", "{\"n\":1.5}"},
        {"{type: array, items: {$ref: '#/components/schemas/Named'}}", "[{\"n\":1}]", "[{\"n\":1,\"x\":1}]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        value(cases[i].schema, cases[i].good, true);
        value(cases[i].schema, cases[i].bad, false);
    }
}

Test(openapi, examples_are_held_against_their_schemas)
{
    char why[600] = "";
    const char *head = "openapi: 3.1.0\ninfo: {title: T, version: '1'}\ncomponents: ";
    cr_assert(openapi_check_examples(api_of(text("%s{schemas: {A: {type: number, examples: [1, 2]}}}\n", head)), why, sizeof why));
    cr_assert_not(openapi_check_examples(api_of(text("%s{schemas: {A: {type: number, examples: [1, x]}}}\n", head)), why, sizeof why));
    cr_assert_not(openapi_check_examples(api_of(text("%s{schemas: {A: {type: object, properties: {b: {type: number, example: x}}}}}\n", head)), why, sizeof why));
    cr_assert_not(openapi_check_examples(
        api_of(text("%s{responses: {R: {description: r, content: {application/json: {schema: {type: number}, example: x}}}}}\n", head)), why, sizeof why));
    cr_assert_not(openapi_check_examples(
        api_of(text("%s{responses: {R: {description: r, content: {application/json: {schema: {type: number}, examples: {e: {value: x}}}}}}}\n", head)), why,
        sizeof why));
}

Test(openapi, the_contract_itself_is_understood_and_its_examples_fit)
{
    char why[600] = "";
    cr_assert(openapi_check_examples(client_contract(), why, sizeof why), "%s", why);
}
