#include "http_priv.h"

#include <stdlib.h>
#include <string.h>

/* One setting of http_config.cors_origins. Requests in flight may still read a replaced one, so all live as long as the
 * server; they change by hand, a few times a year. */
struct cors {
    struct cors *older;
    bool any;
    char origins[]; /* space-separated */
};

enum meros_code cors_new(const char *origins, struct cors **out, struct meros_err *err)
{
    size_t n = origins != NULL ? strlen(origins) : 0;
    struct cors *c = malloc(sizeof *c + n + 1);
    if (c == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "no memory for the CORS origins");
    *c = (struct cors){0};
    memcpy(c->origins, n > 0 ? origins : "", n + 1);
    for (const char *at = c->origins + strspn(c->origins, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        struct str origin = {at, len};
        at += len;
        if (str_is(origin, "*")) {
            c->any = true;
            continue;
        }
        const char *host = memmem(origin.p, origin.n, "://", 3);
        if (host == NULL || host == origin.p || host + 3 == origin.p + origin.n ||
            memchr(host + 3, '/', (size_t)(origin.p + origin.n - host - 3)) != NULL) {
            free(c);
            return err_set(err, MEROS_INVALID, "\"%.*s\" is not an origin; write it as https://shop.example[:port]", (int)len,
                           origin.p);
        }
    }
    *out = c;
    return MEROS_OK;
}

struct cors *cors_chain(struct cors *fresh, struct cors *old)
{
    fresh->older = old;
    return fresh;
}

void cors_free_all(struct cors *c)
{
    while (c != NULL) {
        struct cors *older = c->older;
        free(c);
        c = older;
    }
}

static bool listed(const struct cors *c, struct str origin)
{
    for (const char *at = c->origins + strspn(c->origins, " "); *at != '\0'; at += strspn(at, " ")) {
        size_t len = strcspn(at, " ");
        if (str_eq((struct str){at, len}, origin)) return true;
        at += len;
    }
    return false;
}

/* Whether the request comes from a page that may read the answer. */
static bool allowed(const struct http_request *r, const struct cors **out)
{
    const struct cors *c = atomic_load_explicit(&r->server->cors, memory_order_acquire);
    *out = c;
    return r->known[H_ORIGIN] != NULL && (c->any || listed(c, r->known[H_ORIGIN]->value));
}

void cors_reply(struct http_request *r)
{
    const struct cors *c;
    bool ok = allowed(r, &c);
    if (c->origins[0] == '\0') return;
    if (!c->any) http_reply_header(r, "Vary", "Origin");
    if (!ok) return;
    if (c->any) {
        http_reply_header(r, "Access-Control-Allow-Origin", "*");
    } else {
        char *origin = request_copy(r, r->known[H_ORIGIN]->value);
        http_reply_header(r, "Access-Control-Allow-Origin", origin != NULL ? origin : "");
    }
    http_reply_header(r, "Access-Control-Expose-Headers", "X-Request-Id, Retry-After, Location, ETag, Idempotency-Replayed, X-Meros-Accepted, X-Meros-Rejected");
}

void cors_preflight(struct http_request *r, const char *allow)
{
    const struct cors *c;
    if (!allowed(r, &c)) return;
    http_reply_header(r, "Access-Control-Allow-Methods", allow);
    http_reply_header(r, "Access-Control-Allow-Headers", "authorization, content-type, idempotency-key, x-request-id");
    http_reply_header(r, "Access-Control-Max-Age", "600");
}

enum meros_code http_set_cors(struct http_server *s, const char *origins, struct meros_err *err)
{
    struct cors *fresh;
    enum meros_code rc = cors_new(origins, &fresh, err);
    if (rc != MEROS_OK) return rc;
    pthread_mutex_lock(&s->cors_lock);
    atomic_store_explicit(&s->cors, cors_chain(fresh, s->cors), memory_order_release);
    pthread_mutex_unlock(&s->cors_lock);
    return MEROS_OK;
}
