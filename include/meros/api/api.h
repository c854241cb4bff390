/* HTTP meets the domain: the table of routes. http_ctx() of every handler is the `struct service *`.
 *
 * One file a resource (customers.c, jobs.c, …): decode, validate, call a service, encode. Each exports its routes as
 * `const struct http_route api_<resource>_routes[]` (ended by pattern NULL) in api_priv.h; routes.c puts them together. */
#ifndef MEROS_API_API_H
#define MEROS_API_API_H

#include "meros/http/server.h"

/* Scopes of keys (bits of http_route.scopes). admin is let in everywhere. */
enum {
    SCOPE_INGEST = 1,
    SCOPE_READ = 2,
    SCOPE_RECOMMEND = 4,
    SCOPE_TRAIN = 8,
    SCOPE_PRIVACY = 16,
    SCOPE_ADMIN = 32
};

const struct http_route *api_routes(void); /* built once; ended by pattern NULL */
/* http_config.auth and .around: keys from service/keys.h, Idempotency-Key from service/idempotency.h. */
enum meros_code api_auth(void *ctx, struct str key, bool may_block, bool *out_would_block, struct http_principal *out,
                         struct meros_err *err);
enum meros_code api_around(void *ctx, const struct http_route *route, struct http_request *req, struct meros_err *err);

#endif
