/* The contract, as embedded in the program. */
#include <stdlib.h>
#include <string.h>
#include "api_priv.h"
#include "meros/base/crypto.h"

struct embedded_file {
    const char *name, *begin, *end;
};
extern const struct embedded_file api_files[]; /* .ci/embed */

static const struct embedded_file *find(const char *name)
{
    const struct embedded_file *f = api_files;
    while (f->name != NULL && strcmp(f->name, name) != 0)
        f++;
    return f->name == NULL ? NULL : f;
}

/* The header may list several tags, or '*'; ours has no comma in it. */
static bool matches(struct str header, const char *tag)
{
    return str_is(str_trim(header), "*") || (str_present(header) && memmem(header.p, header.n, tag, strlen(tag)) != NULL);
}

static enum meros_code openapi(struct http_request *req, struct meros_err *err)
{
    const struct embedded_file *f = find("openapi.yaml");
    if (f == NULL)
        return err_set(err, MEROS_NOT_FOUND, "This program was built without its contract.");
    struct str bytes = {f->begin, (size_t)(f->end - f->begin)};
    struct crypto_hash128 hash = crypto_hash128(bytes.p, bytes.n);
    char tag[2 * sizeof hash.bytes + 3] = "\"";
    hex_encode(hash.bytes, sizeof hash.bytes, tag + 1);
    tag[sizeof tag - 2] = '"';
    tag[sizeof tag - 1] = '\0';
    http_reply_header(req, "ETag", tag);
    http_reply_header(req, "Cache-Control", "no-cache");
    if (matches(http_header(req, "If-None-Match"), tag))
        http_reply_empty(req, 304);
    else
        http_reply_static(req, 200, "application/yaml", bytes);
    return MEROS_OK;
}

const struct http_route api_openapi_routes[] = {
    {.method = HTTP_GET, .pattern = "/openapi.yaml", .name = "getOpenApi", .flags = HTTP_INLINE | HTTP_PUBLIC, .fn = openapi},
    {0},
};
