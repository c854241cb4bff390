#include "meros/service/idempotency.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/listener.h"
#include "meros/store/idempotency.h"

enum { EXTEND_SECONDS = 10, SWEEP_SECONDS = 600 };
#define LOCK_SECONDS 60.0

struct idempotency {
    struct service *svc;
    pthread_mutex_t lock; /* of what follows: tokens of requests under way */
    int64_t *tokens;
    size_t n, cap;
};

/* A long import holds its reservation for as long as it runs; the listener renews all. */
static void extend(void *arg)
{
    struct idempotency *k = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    pthread_mutex_lock(&k->lock);
    size_t n = k->n;
    int64_t *tokens = n > 0 ? malloc(n * sizeof *tokens) : NULL;
    if (tokens != NULL)
        memcpy(tokens, k->tokens, n * sizeof *tokens);
    pthread_mutex_unlock(&k->lock);
    if (tokens == NULL || !store_available(k->svc->store)) {
        free(tokens);
        return;
    }
    enum meros_code rc = store_acquire(k->svc->store, &c, &err);
    if (rc == MEROS_OK)
        rc = store_idempotency_extend(c, tokens, n, LOCK_SECONDS, &err);
    if (rc != MEROS_OK && rc != MEROS_UNAVAILABLE)
        log_warn("idempotency.extend", KV("detail", err.detail));
    store_release(k->svc->store, c);
    free(tokens);
}

static void sweep(void *arg)
{
    struct idempotency *k = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    if (!store_available(k->svc->store))
        return;
    enum meros_code rc = store_acquire(k->svc->store, &c, &err);
    if (rc == MEROS_OK)
        rc = store_idempotency_sweep(c, &err);
    if (rc != MEROS_OK && rc != MEROS_UNAVAILABLE)
        log_warn("idempotency.sweep", KV("detail", err.detail));
    store_release(k->svc->store, c);
}

enum meros_code idempotency_start(struct service *svc, struct meros_err *err)
{
    struct idempotency *k = calloc(1, sizeof *k);
    if (k == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for Idempotency-Keys.");
    k->svc = svc;
    pthread_mutex_init(&k->lock, NULL);
    svc->idempotency = k;
    enum meros_code rc = listener_every(svc, EXTEND_SECONDS, extend, k, err);
    if (rc == MEROS_OK)
        rc = listener_every(svc, SWEEP_SECONDS, sweep, k, err);
    if (rc != MEROS_OK)
        idempotency_free(svc);
    return rc;
}

void idempotency_free(struct service *svc)
{
    struct idempotency *k = svc->idempotency;
    if (k == NULL)
        return;
    pthread_mutex_destroy(&k->lock);
    free(k->tokens);
    free(k);
    svc->idempotency = NULL;
}

static bool hold(struct idempotency *k, int64_t token)
{
    pthread_mutex_lock(&k->lock);
    if (k->n == k->cap) {
        size_t cap = k->cap == 0 ? 16 : k->cap * 2;
        int64_t *more = realloc(k->tokens, cap * sizeof *more);
        if (more != NULL) {
            k->tokens = more;
            k->cap = cap;
        }
    }
    bool held = k->n < k->cap;
    if (held)
        k->tokens[k->n++] = token;
    pthread_mutex_unlock(&k->lock);
    return held;
}

static void let_go(struct idempotency *k, int64_t token)
{
    pthread_mutex_lock(&k->lock);
    for (size_t i = 0; i < k->n; i++) {
        if (k->tokens[i] == token) {
            k->tokens[i] = k->tokens[--k->n];
            break;
        }
    }
    pthread_mutex_unlock(&k->lock);
}

bool idempotency_key_valid(struct str key)
{
    if (key.n == 0 || key.n > IDEMPOTENCY_KEY_MAX)
        return false;
    for (size_t i = 0; i < key.n; i++) {
        if (key.p[i] <= ' ' || key.p[i] >= 0x7f)
            return false;
    }
    return true;
}

void idempotency_ref(const char *principal, const char *route, struct str key, char out[IDEMPOTENCY_REF_CAP])
{
    /* A NUL between the parts: none of them can hold one. */
    char text[40 + 256 + IDEMPOTENCY_KEY_MAX + 3];
    unsigned char digest[SHA256_BYTES];
    size_t n = 0;
    struct str parts[] = {str_of(principal), str_of(route), key};
    for (size_t i = 0; i < 3; i++) {
        size_t room = sizeof text - 1 - n, take = parts[i].n < room ? parts[i].n : room;
        if (take > 0)
            memcpy(text + n, parts[i].p, take);
        n += take;
        text[n++] = '\0';
    }
    crypto_sha256(text, n, digest);
    hex_encode(digest, sizeof digest, out);
}

/* --- what is kept: the type, NUL, the place, NUL, the body; sealed */

struct opening {
    struct service *svc;
    struct idempotent *it;
    bool failed;
};

static bool unpack(struct idempotent *it, const char *p, size_t n)
{
    const char *type_end = memchr(p, 0, n);
    if (type_end == NULL)
        return false;
    const char *place = type_end + 1, *place_end = memchr(place, 0, n - (size_t)(place - p));
    if (place_end == NULL)
        return false;
    buf_append(&it->body, place_end + 1, n - (size_t)(place_end + 1 - p));
    return str_copy(it->content_type, sizeof it->content_type, (struct str){p, (size_t)(type_end - p)}) &&
           str_copy(it->location, sizeof it->location, (struct str){place, (size_t)(place_end - place)}) && !it->body.failed;
}

static void open_answer(void *arg, struct str fingerprint, int status, struct str answer)
{
    struct opening *o = arg;
    char *plain = malloc(answer.n);
    o->failed = plain == NULL || answer.n < SEAL_OVERHEAD || fingerprint.n != sizeof o->it->fingerprint ||
                !crypto_open(o->svc->settings.pii_key, (const unsigned char *)answer.p, answer.n, plain) ||
                !unpack(o->it, plain, answer.n - SEAL_OVERHEAD);
    if (!o->failed) {
        memcpy(o->it->fingerprint, fingerprint.p, sizeof o->it->fingerprint);
        o->it->status = status;
        o->it->replay = true;
    }
    if (plain != NULL)
        crypto_wipe(plain, answer.n);
    free(plain);
}

enum meros_code idempotency_begin(struct service *svc, const char *principal, const char *route, struct str key,
                                  struct idempotent *out, struct meros_err *err)
{
    struct opening o = {svc, out, false};
    enum store_idempotent_state state = STORE_IDEMPOTENT_BUSY;
    struct store_conn *c = NULL;
    *out = (struct idempotent){0};
    buf_init(&out->body, IDEMPOTENCY_BODY_MAX);
    idempotency_ref(principal, route, key, out->ref);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_idempotency_begin(c, out->ref, LOCK_SECONDS, &state, &out->token, open_answer, &o, err);
    store_release(svc->store, c);
    if (rc != MEROS_OK)
        return rc;
    if (state == STORE_IDEMPOTENT_BUSY) {
        err_set(err, MEROS_CONFLICT, "A request with this Idempotency-Key is under way; ask again when it has ended.");
        err->retry_after = 1;
        return MEROS_CONFLICT;
    }
    if (o.failed)
        return err_set(err, MEROS_INTERNAL, "The answer kept for this Idempotency-Key cannot be read (has the service's key changed?); "
                                            "use a new Idempotency-Key.");
    if (state == STORE_IDEMPOTENT_OURS && !hold(svc->idempotency, out->token)) {
        idempotency_drop(svc, out);
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for this request.");
    }
    return MEROS_OK;
}

static bool pack(struct service *svc, struct str content_type, struct str location, struct str body, struct buf *sealed)
{
    struct buf plain;
    buf_init(&plain, IDEMPOTENCY_BODY_MAX + 512);
    if (content_type.n > 0)
        buf_append(&plain, content_type.p, content_type.n);
    buf_char(&plain, '\0');
    if (location.n > 0)
        buf_append(&plain, location.p, location.n);
    buf_char(&plain, '\0');
    if (body.n > 0)
        buf_append(&plain, body.p, body.n);
    buf_init(sealed, IDEMPOTENCY_BODY_MAX + 1024);
    char *room = plain.failed ? NULL : buf_reserve(sealed, plain.len + SEAL_OVERHEAD);
    if (room != NULL) {
        crypto_seal(svc->settings.pii_key, plain.data, plain.len, (unsigned char *)room);
        sealed->len += plain.len + SEAL_OVERHEAD;
    }
    if (plain.data != NULL)
        crypto_wipe(plain.data, plain.len);
    buf_done(&plain);
    return room != NULL;
}

enum meros_code idempotency_finish(struct service *svc, struct idempotent *it, const unsigned char fingerprint[32], int status,
                                   struct str content_type, struct str location, struct str body, struct meros_err *err)
{
    struct buf sealed;
    struct store_conn *c = NULL;
    enum meros_code rc;
    if (content_type.n >= sizeof it->content_type || location.n >= sizeof it->location ||
        !pack(svc, content_type, location, body, &sealed)) {
        idempotency_drop(svc, it);
        return err_set(err, MEROS_TOO_LARGE, "The answer is too large to be kept.");
    }
    rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_idempotency_finish(c, it->ref, it->token, (struct str){(const char *)fingerprint, 32}, status,
                                      (struct str){sealed.data, sealed.len}, err);
    store_release(svc->store, c);
    let_go(svc->idempotency, it->token);
    buf_done(&sealed);
    return rc;
}

void idempotency_drop(struct service *svc, struct idempotent *it)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    let_go(svc->idempotency, it->token);
    if (store_acquire(svc->store, &c, &err) != MEROS_OK || store_idempotency_drop(c, it->ref, it->token, &err) != MEROS_OK)
        log_warn("idempotency.drop", KV("detail", err.detail)); /* it ends by itself within a minute */
    store_release(svc->store, c);
}

void idempotency_done(struct idempotent *it)
{
    if (it->body.data != NULL)
        crypto_wipe(it->body.data, it->body.len);
    buf_done(&it->body);
}
