#include "meros/service/key_cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { UNKNOWN_SLOTS = 4096, ASK_BURST = 100, ASK_PER_SECOND = 50 };
static const int64_t UNKNOWN_FOR_NS = 1000000000;

struct slot {
    struct key_entry entry; /* id "": free */
    _Atomic bool used;      /* since key_cache_take_used */
};
struct unknown {
    unsigned char hash[SHA256_BYTES];
    int64_t until_ns;
};

struct key_cache {
    pthread_rwlock_t lock; /* of the table; `used` of a slot is set under the read lock */
    struct slot *slots;    /* open addressing by the digest's first bytes, at most half full */
    size_t mask, count;
    uint64_t loads;

    pthread_mutex_t miss_lock; /* of what follows */
    struct unknown unknown[UNKNOWN_SLOTS];
    double tokens; /* look-ups of unknown keys that may be made now */
    int64_t tokens_ns;
};

static size_t spread(const unsigned char hash[SHA256_BYTES])
{
    size_t h;
    memcpy(&h, hash, sizeof h); /* a digest is as good as random */
    return h;
}

static struct slot *slots_new(size_t n, size_t *out_mask)
{
    size_t cap = 16;
    while (cap < n * 2)
        cap *= 2;
    *out_mask = cap - 1;
    return calloc(cap, sizeof(struct slot));
}

static struct slot *find(struct slot *slots, size_t mask, const unsigned char hash[SHA256_BYTES])
{
    for (size_t i = spread(hash) & mask;; i = (i + 1) & mask) {
        if (slots[i].entry.id[0] == '\0')
            return NULL;
        if (crypto_equal(slots[i].entry.hash, hash, SHA256_BYTES))
            return &slots[i];
    }
}

static void insert(struct slot *slots, size_t mask, const struct key_entry *e, bool used)
{
    size_t i = spread(e->hash) & mask;
    while (slots[i].entry.id[0] != '\0')
        i = (i + 1) & mask;
    slots[i].entry = *e;
    slots[i].used = used;
}

enum meros_code key_cache_new(struct key_cache **out, struct meros_err *err)
{
    struct key_cache *k = calloc(1, sizeof *k);
    if (k == NULL || (k->slots = slots_new(0, &k->mask)) == NULL) {
        free(k);
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the keys.");
    }
    k->tokens = ASK_BURST;
    pthread_rwlock_init(&k->lock, NULL);
    pthread_mutex_init(&k->miss_lock, NULL);
    *out = k;
    return MEROS_OK;
}

void key_cache_free(struct key_cache *k)
{
    if (k == NULL)
        return;
    pthread_mutex_destroy(&k->miss_lock);
    pthread_rwlock_destroy(&k->lock);
    free(k->slots);
    free(k);
}

enum meros_code key_cache_load(struct key_cache *k, const struct key_entry *entries, size_t n, struct meros_err *err)
{
    size_t mask;
    struct slot *fresh = slots_new(n, &mask);
    if (fresh == NULL)
        return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the keys.");
    pthread_rwlock_wrlock(&k->lock);
    for (size_t i = 0; i < n; i++) {
        struct slot *old = find(k->slots, k->mask, entries[i].hash);
        insert(fresh, mask, &entries[i], old != NULL && old->used);
    }
    struct slot *gone = k->slots;
    k->slots = fresh;
    k->mask = mask;
    k->count = n;
    k->loads++;
    pthread_rwlock_unlock(&k->lock);
    free(gone);
    pthread_mutex_lock(&k->miss_lock);
    memset(k->unknown, 0, sizeof k->unknown);
    pthread_mutex_unlock(&k->miss_lock);
    return MEROS_OK;
}

static struct unknown *unknown_slot(struct key_cache *k, const unsigned char hash[SHA256_BYTES])
{
    return &k->unknown[spread(hash) % UNKNOWN_SLOTS];
}

enum key_found key_cache_find(struct key_cache *k, const unsigned char hash[SHA256_BYTES], int64_t now_ns, char out_id[KEY_ID_CAP],
                              unsigned *out_scopes)
{
    pthread_rwlock_rdlock(&k->lock);
    struct slot *s = find(k->slots, k->mask, hash);
    if (s != NULL) {
        memcpy(out_id, s->entry.id, KEY_ID_CAP);
        *out_scopes = s->entry.scopes;
        if (!s->used) /* most requests find it set: no write to a line that all threads read */
            s->used = true;
    }
    pthread_rwlock_unlock(&k->lock);
    if (s != NULL)
        return KEY_KNOWN;
    pthread_mutex_lock(&k->miss_lock);
    struct unknown *u = unknown_slot(k, hash);
    bool unknown = u->until_ns > now_ns && crypto_equal(u->hash, hash, SHA256_BYTES);
    pthread_mutex_unlock(&k->miss_lock);
    return unknown ? KEY_UNKNOWN : KEY_ASK;
}

bool key_cache_may_ask(struct key_cache *k, int64_t now_ns, uint64_t *out_load)
{
    pthread_rwlock_rdlock(&k->lock);
    *out_load = k->loads;
    pthread_rwlock_unlock(&k->lock);
    pthread_mutex_lock(&k->miss_lock);
    if (now_ns > k->tokens_ns) {
        if (k->tokens_ns != 0)
            k->tokens += (double)(now_ns - k->tokens_ns) * 1e-9 * ASK_PER_SECOND;
        k->tokens = k->tokens > ASK_BURST ? ASK_BURST : k->tokens;
        k->tokens_ns = now_ns;
    }
    bool may = k->tokens >= 1;
    if (may)
        k->tokens -= 1;
    pthread_mutex_unlock(&k->miss_lock);
    return may;
}

/* Under the write lock. When memory is short the key is simply not kept: it will be asked for again. */
static void add_one(struct key_cache *k, const struct key_entry *e)
{
    if (find(k->slots, k->mask, e->hash) != NULL)
        return;
    if ((k->count + 1) * 2 > k->mask + 1) {
        size_t mask;
        struct slot *bigger = slots_new(k->count + 1, &mask);
        if (bigger == NULL)
            return;
        for (size_t i = 0; i <= k->mask; i++) {
            if (k->slots[i].entry.id[0] != '\0')
                insert(bigger, mask, &k->slots[i].entry, k->slots[i].used);
        }
        free(k->slots);
        k->slots = bigger;
        k->mask = mask;
    }
    insert(k->slots, k->mask, e, true);
    k->count++;
}

void key_cache_learn(struct key_cache *k, const unsigned char hash[SHA256_BYTES], const struct key_entry *entry, uint64_t load, int64_t now_ns)
{
    if (entry == NULL) {
        pthread_mutex_lock(&k->miss_lock);
        struct unknown *u = unknown_slot(k, hash);
        memcpy(u->hash, hash, SHA256_BYTES);
        u->until_ns = now_ns + UNKNOWN_FOR_NS;
        pthread_mutex_unlock(&k->miss_lock);
        return;
    }
    pthread_rwlock_wrlock(&k->lock);
    if (k->loads == load)
        add_one(k, entry);
    pthread_rwlock_unlock(&k->lock);
}

void key_cache_forget(struct key_cache *k, struct str id)
{
    pthread_rwlock_wrlock(&k->lock);
    k->loads++; /* an answer that is under way may be about this key: it must not bring it back */
    for (size_t i = 0; i <= k->mask; i++) {
        struct slot *s = &k->slots[i];
        /* The slot stays taken, so that others are still found past it, but no digest is all zero and no scope is left. */
        if (str_is(id, s->entry.id)) {
            memset(s->entry.hash, 0, SHA256_BYTES);
            s->entry.scopes = 0;
        }
    }
    pthread_rwlock_unlock(&k->lock);
}

void key_cache_take_used(struct key_cache *k, void (*fn)(void *arg, const char *id), void *arg)
{
    pthread_rwlock_rdlock(&k->lock);
    for (size_t i = 0; i <= k->mask; i++) {
        struct slot *s = &k->slots[i];
        if (s->entry.id[0] != '\0' && atomic_exchange(&s->used, false))
            fn(arg, s->entry.id);
    }
    pthread_rwlock_unlock(&k->lock);
}
