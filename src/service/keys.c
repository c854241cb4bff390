#include "meros/service/keys.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/buf.h"
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/key_cache.h"
#include "meros/service/listener.h"
#include "meros/store/keys.h"

enum { RELOAD_SECONDS = 10, USED_SECONDS = 60, KEY_RANDOM_BYTES = 32, BOOTSTRAP_WEAK = 16, BOOTSTRAP_MAX = 512, LIST_MAX = 100000, DIGESTS_KEPT = 16 };

const char *const key_scope_words[] = {"ingest", "read", "recommend", "train", "privacy", "admin", NULL};

unsigned key_scope_of(struct str word)
{
    for (unsigned i = 0; key_scope_words[i] != NULL; i++) {
        if (str_is(word, key_scope_words[i]))
            return 1u << i;
    }
    return 0;
}

enum meros_code key_scopes_parse(struct str text, unsigned *out, struct meros_err *err)
{
    unsigned scopes = 0;
    for (;;) {
        const char *comma = text.n > 0 ? memchr(text.p, ',', text.n) : NULL;
        struct str word = str_trim((struct str){text.p, comma == NULL ? text.n : (size_t)(comma - text.p)});
        unsigned scope = key_scope_of(word);
        if (scope == 0)
            return err_set(err, MEROS_INVALID, "\"%.*s\" is not a scope; scopes are ingest, read, recommend, train, privacy and admin.",
                           (int)(word.n > 40 ? 40 : word.n), word.n == 0 ? "" : word.p);
        scopes |= scope;
        if (comma == NULL)
            break;
        text.n -= (size_t)(comma - text.p) + 1;
        text.p = comma + 1;
    }
    *out = scopes;
    return MEROS_OK;
}

/* --- the cache kept true */

struct loading {
    struct key_entry *entries;
    size_t n, cap;
    bool failed;
};

static void to_entry(const struct store_key *key, struct key_entry *out)
{
    memcpy(out->hash, key->hash, SHA256_BYTES);
    out->scopes = key->scopes;
    if (!str_copy(out->id, sizeof out->id, key->id))
        out->id[0] = '\0'; /* no id of ours is that long: the key is not one of ours, and is not let in */
}

static void collect(void *arg, const struct store_key *key)
{
    struct loading *l = arg;
    if (l->n == l->cap) {
        size_t cap = l->cap == 0 ? 64 : l->cap * 2;
        struct key_entry *more = cap > LIST_MAX * 2 ? NULL : realloc(l->entries, cap * sizeof *more);
        if (more == NULL) {
            l->failed = true;
            return;
        }
        l->entries = more;
        l->cap = cap;
    }
    to_entry(key, &l->entries[l->n]);
    if (l->entries[l->n].id[0] != '\0')
        l->n++;
}

static enum meros_code load_all(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct loading l = {0};
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_active(c, collect, &l, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK && l.failed)
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the keys.");
    if (rc == MEROS_OK)
        rc = key_cache_load(svc->keys, l.entries, l.n, err);
    free(l.entries);
    return rc;
}

static void reload(void *arg)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct service *svc = arg;
    if (store_available(svc->store) && load_all(svc, &err) != MEROS_OK && err.code != MEROS_UNAVAILABLE)
        log_error("keys.reload", KV("detail", err.detail));
}

static void on_notify(void *arg, const char *payload)
{
    (void)payload;
    reload(arg);
}

struct used {
    struct str *ids;
    char (*texts)[KEY_ID_CAP];
    size_t n, cap;
};

static void note_used(void *arg, const char *id)
{
    struct used *u = arg;
    if (u->n == u->cap) {
        size_t cap = u->cap == 0 ? 64 : u->cap * 2;
        char(*more)[KEY_ID_CAP] = realloc(u->texts, cap * sizeof *more);
        if (more == NULL)
            return; /* last_used_at of one key stays a minute behind */
        u->texts = more;
        u->cap = cap;
    }
    memcpy(u->texts[u->n++], id, KEY_ID_CAP);
}

static void write_used(void *arg)
{
    struct service *svc = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct used u = {0};
    struct store_conn *c = NULL;
    if (!store_available(svc->store))
        return;
    key_cache_take_used(svc->keys, note_used, &u);
    if (u.n > 0 && (u.ids = calloc(u.n, sizeof *u.ids)) != NULL) {
        for (size_t i = 0; i < u.n; i++)
            u.ids[i] = str_of(u.texts[i]);
        enum meros_code rc = store_acquire(svc->store, &c, &err);
        if (rc == MEROS_OK)
            rc = store_key_used(c, u.ids, u.n, clock_now(), &err);
        if (rc != MEROS_OK && rc != MEROS_UNAVAILABLE)
            log_warn("keys.last_used", KV("detail", err.detail));
        store_release(svc->store, c);
    }
    free(u.ids);
    free(u.texts);
}

static enum meros_code bootstrap(struct service *svc, const char *text, struct meros_err *err)
{
    size_t n = strlen(text);
    unsigned char hash[SHA256_BYTES], random[6];
    char id[KEY_ID_CAP] = "key_";
    struct store_conn *c = NULL;
    bool visible = n <= BOOTSTRAP_MAX;
    for (size_t i = 0; i < n; i++)
        visible = visible && text[i] > ' ' && text[i] < 0x7f;
    if (!visible)
        return err_set(err, MEROS_INVALID, "bootstrap_key must be up to %d visible ASCII characters.", BOOTSTRAP_MAX);
    if (n < BOOTSTRAP_WEAK)
        log_warn("key.bootstrap_weak", KV_I("characters", n), KV("advice", "a short key can be guessed; 32 random characters cannot"));
    crypto_sha256(text, n, hash);
    crypto_random(random, sizeof random);
    hex_encode(random, sizeof random, id + 4);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_ensure(c, id, STR("bootstrap"), hash, KEY_ADMIN, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code keys_start(struct service *svc, const char *bootstrap_key, struct meros_err *err)
{
    enum meros_code rc = MEROS_OK;
    if (bootstrap_key != NULL && bootstrap_key[0] != '\0')
        rc = bootstrap(svc, bootstrap_key, err);
    if (rc != MEROS_OK || (rc = key_cache_new(&svc->keys, err)) != MEROS_OK)
        return rc;
    rc = load_all(svc, err);
    if (rc == MEROS_OK)
        rc = listener_subscribe(svc, STORE_KEYS_CHANNEL, on_notify, svc, err);
    if (rc == MEROS_OK)
        rc = listener_every(svc, RELOAD_SECONDS, reload, svc, err);
    if (rc == MEROS_OK)
        rc = listener_every(svc, USED_SECONDS, write_used, svc, err);
    if (rc != MEROS_OK) {
        key_cache_free(svc->keys);
        svc->keys = NULL;
    }
    return rc;
}

void keys_free(struct service *svc)
{
    if (svc->keys == NULL)
        return;
    write_used(svc);
    key_cache_free(svc->keys);
    svc->keys = NULL;
}

/* --- use cases */

enum meros_code keys_create(struct service *svc, struct str name, unsigned scopes, char out_id[KEY_ID_CAP],
                            char out_text[KEY_TEXT_CAP], struct meros_err *err)
{
    unsigned char secret[KEY_RANDOM_BYTES], random[6];
    struct key_entry e = {.scopes = scopes};
    struct store_conn *c = NULL;
    char text[KEY_TEXT_CAP] = "mk_";
    if (scopes == 0 || (scopes & ~(unsigned)KEY_SCOPES_ALL) != 0)
        return err_set(err, MEROS_INVALID, "A key needs at least one scope: ingest, read, recommend, train, privacy or admin.");
    if (name.n == 0 || name.n > KEY_NAME_MAX || !id_valid(name))
        return err_set(err, MEROS_INVALID, "A key needs a name of 1 to %d bytes without control characters.", KEY_NAME_MAX);
    crypto_random(secret, sizeof secret);
    base64_encode(secret, sizeof secret, text + 3);
    crypto_wipe(secret, sizeof secret);
    crypto_sha256(text, strlen(text), e.hash);
    crypto_random(random, sizeof random);
    memcpy(e.id, "key_", 4);
    hex_encode(random, sizeof random, e.id + 4);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_insert(c, e.id, name, e.hash, scopes, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK) {
        memcpy(out_id, e.id, KEY_ID_CAP);
        memcpy(out_text, text, KEY_TEXT_CAP);
    }
    crypto_wipe(text, sizeof text);
    return rc;
}

struct seen {
    key_seen_fn fn;
    void *arg;
};

static void show(void *arg, const struct store_key *key)
{
    struct seen *s = arg;
    struct key_info info = {
        .id = key->id,
        .name = key->name,
        .scopes = key->scopes,
        .created_at = key->created_at,
        .last_used_at = key->last_used_at,
        .revoked_at = key->revoked_at,
        .key_no = key->key_no,
    };
    s->fn(s->arg, &info);
}

enum meros_code keys_list(struct service *svc, int64_t after, int64_t limit, key_seen_fn fn, void *arg, struct meros_err *err)
{
    struct seen s = {fn, arg};
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_list(c, after, limit, show, &s, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code keys_get(struct service *svc, struct str id, key_seen_fn fn, void *arg, struct meros_err *err)
{
    struct seen s = {fn, arg};
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_by_id(c, id, show, &s, err);
    store_release(svc->store, c);
    return rc;
}

enum meros_code keys_revoke(struct service *svc, struct str id, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_revoke(c, id, err);
    store_release(svc->store, c);
    if (rc == MEROS_OK && svc->keys != NULL)
        key_cache_forget(svc->keys, id);
    return rc;
}

/* --- checking */

static enum meros_code refused(struct meros_err *err)
{
    return err_set(err, MEROS_UNAUTHENTICATED, "This API key is not known, or has been revoked.");
}

struct answer {
    struct key_entry entry;
    bool found;
};

static void note_answer(void *arg, const struct store_key *key)
{
    struct answer *a = arg;
    to_entry(key, &a->entry);
    a->found = a->entry.id[0] != '\0';
}

static enum meros_code ask(struct service *svc, const unsigned char hash[SHA256_BYTES], char out_id[KEY_ID_CAP], unsigned *out_scopes,
                           struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct answer a = {0};
    uint64_t load;
    if (!key_cache_may_ask(svc->keys, clock_mono_ns(), &load))
        return refused(err);
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK)
        rc = store_key_by_hash(c, hash, note_answer, &a, err);
    store_release(svc->store, c);
    if (rc != MEROS_OK && rc != MEROS_NOT_FOUND)
        return rc;
    key_cache_learn(svc->keys, hash, a.found ? &a.entry : NULL, load, clock_mono_ns());
    if (!a.found)
        return refused(err);
    memcpy(out_id, a.entry.id, KEY_ID_CAP);
    *out_scopes = a.entry.scopes;
    return MEROS_OK;
}

/* The digest of a key as it was sent. Most requests come with one of a few keys, and to digest one takes longer than all else that is
 * done with it, so each thread keeps some digests. They are known by a hash with a key that the thread keeps to itself: the API keys
 * stand nowhere. Whether a key is valid is looked up each time. */
static void digest_of(struct str text, unsigned char out[SHA256_BYTES])
{
    static _Thread_local struct {
        bool begun;
        unsigned char secret[MARK_KEY_BYTES];
        struct {
            bool there;
            struct crypto_hash128 mark;
            unsigned char digest[SHA256_BYTES];
        } of[DIGESTS_KEPT];
    } kept;
    if (!kept.begun) crypto_random(kept.secret, sizeof kept.secret);
    kept.begun = true;
    const struct crypto_hash128 mark = crypto_mark128(kept.secret, text.p, text.n);
    const size_t k = mark.bytes[0] % DIGESTS_KEPT;
    if (!kept.of[k].there || memcmp(kept.of[k].mark.bytes, mark.bytes, sizeof mark.bytes) != 0) {
        crypto_sha256(text.p, text.n, kept.of[k].digest);
        kept.of[k].mark = mark;
        kept.of[k].there = true;
    }
    memcpy(out, kept.of[k].digest, SHA256_BYTES);
}

enum meros_code keys_check(struct service *svc, struct str text, bool may_block, bool *out_would_block,
                           char out_id[KEY_ID_CAP], unsigned *out_scopes, struct meros_err *err)
{
    unsigned char hash[SHA256_BYTES];
    *out_would_block = false;
    if (text.n == 0 || text.n > BOOTSTRAP_MAX)
        return refused(err);
    digest_of(text, hash);
    switch (key_cache_find(svc->keys, hash, clock_mono_ns(), out_id, out_scopes)) {
    case KEY_KNOWN: return MEROS_OK;
    case KEY_UNKNOWN: return refused(err);
    case KEY_ASK: break;
    }
    if (!store_available(svc->store))
        return err_set(err, MEROS_UNAVAILABLE, "This API key cannot be checked while the database is away.");
    if (may_block)
        return ask(svc, hash, out_id, out_scopes, err);
    *out_would_block = true;
    return err_set(err, MEROS_UNAVAILABLE, "This API key cannot be checked without the database.");
}
