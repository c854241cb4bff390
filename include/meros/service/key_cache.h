/* The active API keys in memory: looked up for every request, by many threads, without the database.
 *
 * Holds digests, not keys; digests are compared in constant time. A read lock per look-up; loading replaces all. A key
 * that was asked of the database and not found is remembered for a second, in a table of fixed size. */
#ifndef MEROS_SERVICE_KEY_CACHE_H
#define MEROS_SERVICE_KEY_CACHE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/service/keys.h"

struct key_entry {
    unsigned char hash[SHA256_BYTES];
    char id[KEY_ID_CAP];
    unsigned scopes;
};

enum key_found {
    KEY_KNOWN,
    KEY_UNKNOWN, /* the database said no a moment ago, or has been asked about unknown keys too often just now */
    KEY_ASK      /* only the database can tell */
};

enum meros_code key_cache_new(struct key_cache **out, struct meros_err *err) MEROS_MUSTCHECK;
void key_cache_free(struct key_cache *k);

/* Replaces all keys, and forgets what was unknown. On failure (memory) the old ones stay. */
enum meros_code key_cache_load(struct key_cache *k, const struct key_entry *entries, size_t n, struct meros_err *err) MEROS_MUSTCHECK;
/* Marks the key as used. now_ns: clock_mono_ns(). */
enum key_found key_cache_find(struct key_cache *k, const unsigned char hash[SHA256_BYTES], int64_t now_ns, char out_id[KEY_ID_CAP],
                              unsigned *out_scopes);
/* Before asking the database: false when it has been asked about unknown keys too often (then KEY_UNKNOWN). *out_load
 * counts the loads, for key_cache_learn. */
bool key_cache_may_ask(struct key_cache *k, int64_t now_ns, uint64_t *out_load);
/* What the database said: one key more, unless all were loaded since (they know better); or (entry NULL) no such key. */
void key_cache_learn(struct key_cache *k, const unsigned char hash[SHA256_BYTES], const struct key_entry *entry, uint64_t load, int64_t now_ns);
void key_cache_forget(struct key_cache *k, struct str id);
/* Calls fn with the id of each key used since the last call. */
void key_cache_take_used(struct key_cache *k, void (*fn)(void *arg, const char *id), void *arg);

#endif
