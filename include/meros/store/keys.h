/* API keys at rest: the SHA-256 of each, never the key. Changes are announced on the channel "meros_keys". */
#ifndef MEROS_STORE_KEYS_H
#define MEROS_STORE_KEYS_H

#include <stdint.h>
#include "meros/base/crypto.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/store/store.h"

#define STORE_KEYS_CHANNEL "meros_keys"

struct store_key { /* views live during the callback */
    int64_t key_no;
    struct str id, name;
    const unsigned char *hash; /* SHA256_BYTES */
    unsigned scopes;
    int64_t created_at, last_used_at, revoked_at; /* TIME_NONE: never */
};
typedef void (*store_key_fn)(void *arg, const struct store_key *key);

enum meros_code store_key_insert(struct store_conn *c, const char *id, struct str name,
                                 const unsigned char hash[SHA256_BYTES], unsigned scopes, struct meros_err *err) MEROS_MUSTCHECK;
/* A key with this hash exists afterwards, active and with at least these scopes. */
enum meros_code store_key_ensure(struct store_conn *c, const char *id, struct str name,
                                 const unsigned char hash[SHA256_BYTES], unsigned scopes, struct meros_err *err) MEROS_MUSTCHECK;
/* Oldest first, after key_no `after`; revoked ones too. */
enum meros_code store_key_list(struct store_conn *c, int64_t after, int64_t limit, store_key_fn fn, void *arg,
                               struct meros_err *err) MEROS_MUSTCHECK;
/* All that are not revoked. */
enum meros_code store_key_active(struct store_conn *c, store_key_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* NOT_FOUND where there is none, or it is revoked. */
enum meros_code store_key_by_hash(struct store_conn *c, const unsigned char hash[SHA256_BYTES], store_key_fn fn, void *arg,
                                  struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_key_by_id(struct store_conn *c, struct str id, store_key_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code store_key_revoke(struct store_conn *c, struct str id, struct meros_err *err) MEROS_MUSTCHECK; /* NOT_FOUND */
/* last_used_at never goes back. */
enum meros_code store_key_used(struct store_conn *c, const struct str *ids, size_t n, int64_t at, struct meros_err *err) MEROS_MUSTCHECK;

#endif
