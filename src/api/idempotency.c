/* Idempotency-Key around every POST. The first answer that succeeded is kept and given again; an answer that is an error
 * is not, because what failed changed nothing and may be tried again.
 *
 * The request is known by its fingerprint: method, target, media type and decoded body, a keyed digest. A streamed body
 * is digested as the handler reads it (http_body_tap); a repetition of it is read to its end and compared before the kept
 * answer is given, and imports nothing. */
#include "api_priv.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/idempotency.h"

static void tap(void *arg, const char *p, size_t n)
{
    crypto_hasher_update(arg, p, n);
}

static void add_text(struct crypto_hasher *h, struct str s)
{
    uint64_t n = s.n;
    crypto_hasher_update(h, &n, sizeof n);
    if (n > 0)
        crypto_hasher_update(h, s.p, s.n);
}

static void fingerprint_begin(struct crypto_hasher *h, struct service *svc, struct http_request *req)
{
    crypto_hasher_init(h, svc->settings.pii_key);
    add_text(h, http_target(req));
    add_text(h, http_header(req, "Content-Type"));
    if (http_route_of(req)->body == HTTP_BODY_STREAM)
        http_body_tap(req, tap, h);
    else
        add_text(h, http_body(req));
}

static enum meros_code read_to_end(struct http_request *req, struct meros_err *err)
{
    char block[16384];
    size_t n = 1;
    enum meros_code rc = MEROS_OK;
    while (rc == MEROS_OK && n > 0)
        rc = http_body_read(req, block, sizeof block, &n, err);
    return rc;
}

static enum meros_code replay(struct http_request *req, struct crypto_hasher *h, const struct idempotent *it, struct meros_err *err)
{
    unsigned char fingerprint[SHA256_BYTES];
    if (http_route_of(req)->body == HTTP_BODY_STREAM) {
        enum meros_code rc = read_to_end(req, err);
        if (rc != MEROS_OK)
            return rc;
    }
    crypto_hasher_final(h, fingerprint);
    if (!crypto_equal(fingerprint, it->fingerprint, sizeof fingerprint))
        return err_set(err, MEROS_UNPROCESSABLE,
                       "This Idempotency-Key was used with another request within the last 24 hours; use a new one for a new request.");
    http_reply_header(req, "Idempotency-Replayed", "true");
    http_reply_header(req, "Cache-Control", "no-store"); /* the answer may hold a secret, as the first one did */
    if (it->location[0] != '\0')
        http_reply_header(req, "Location", it->location);
    if (it->body.len == 0)
        http_reply_empty(req, it->status);
    else
        http_reply_bytes(req, it->status, it->content_type, (struct str){it->body.data, it->body.len});
    return MEROS_OK;
}

static enum meros_code execute(struct service *svc, const struct http_route *route, struct http_request *req, struct crypto_hasher *h,
                               struct idempotent *it, struct meros_err *err)
{
    unsigned char fingerprint[SHA256_BYTES];
    struct meros_err failure = MEROS_ERR_INIT;
    enum meros_code rc = route->fn(req, err);
    int status = http_replied_status(req);
    if (rc != MEROS_OK || status < 200 || status > 299) {
        idempotency_drop(svc, it);
        return rc;
    }
    crypto_hasher_final(h, fingerprint);
    /* What was asked for has been done: that its answer cannot be kept must not turn it into a failure. */
    if (idempotency_finish(svc, it, fingerprint, status, http_replied_type(req), http_replied_header(req, "Location"),
                           http_replied_body(req), &failure) != MEROS_OK)
        log_warn("idempotency.finish", KV("request", http_request_id(req)), KV("detail", failure.detail));
    return MEROS_OK;
}

enum meros_code api_around(void *ctx, const struct http_route *route, struct http_request *req, struct meros_err *err)
{
    struct service *svc = ctx;
    struct str key = http_header(req, "Idempotency-Key");
    if (route->method != HTTP_POST || !str_present(key))
        return route->fn(req, err);
    if (!idempotency_key_valid(key))
        return err_set(err, MEROS_INVALID, "Idempotency-Key must be 1 to %d visible ASCII characters.", IDEMPOTENCY_KEY_MAX);
    struct idempotent it;
    struct crypto_hasher h;
    fingerprint_begin(&h, svc, req);
    enum meros_code rc = idempotency_begin(svc, http_principal(req)->key_id, route->name, key, &it, err);
    if (rc == MEROS_OK)
        rc = it.replay ? replay(req, &h, &it, err) : execute(svc, route, req, &h, &it, err);
    http_body_tap(req, NULL, NULL);
    idempotency_done(&it);
    return rc;
}

const char *api_once(struct http_request *req)
{
    struct str key = http_header(req, "Idempotency-Key");
    if (!str_present(key))
        return NULL;
    char ref[IDEMPOTENCY_REF_CAP];
    idempotency_ref(http_principal(req)->key_id, http_route_of(req)->name, key, ref);
    return arena_strdup(http_arena(req), ref);
}
