/* API keys: made, listed, revoked, and checked for every request.
 *
 * A key is 256 random bits, shown once as "mk_" + base64url; the database holds its SHA-256 and a short public id. All
 * active keys are kept in memory (they are few), so checking one never needs the database: they go on working while it
 * is away. Changes reach every replica by NOTIFY within milliseconds, and by reading again every few seconds. */
#ifndef MEROS_SERVICE_KEYS_H
#define MEROS_SERVICE_KEYS_H

#include <stdbool.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/service/service.h"

enum { KEY_ID_CAP = 24, KEY_TEXT_CAP = 64, KEY_NAME_MAX = 100 };

/* Scopes are bits; their words in the same order. */
enum {
    KEY_INGEST = 1,
    KEY_READ = 2,
    KEY_RECOMMEND = 4,
    KEY_TRAIN = 8,
    KEY_PRIVACY = 16,
    KEY_ADMIN = 32,
    KEY_SCOPES_ALL = 63
};
extern const char *const key_scope_words[]; /* "ingest", … ended by NULL */
/* 0 for a word that is none. */
unsigned key_scope_of(struct str word);
/* "read,train" -> bits; INVALID naming the wrong word and the right ones. */
enum meros_code key_scopes_parse(struct str text, unsigned *out, struct meros_err *err) MEROS_MUSTCHECK;

struct key_info { /* views live during the call */
    struct str id, name;
    unsigned scopes;
    int64_t created_at, last_used_at, revoked_at; /* TIME_NONE: never */
    int64_t key_no;
};

/* Fills svc->keys; loads what is there (the database must be up) and, where bootstrap_key is not NULL or "", sees to it
 * that an admin key of this value exists (visible characters; a short one is warned about). Subscribes to svc->listener, so before
 * listener_start(). */
enum meros_code keys_start(struct service *svc, const char *bootstrap_key, struct meros_err *err) MEROS_MUSTCHECK;
void keys_free(struct service *svc); /* after all threads that ask have ended; writes last_used_at a last time */

/* These need only svc->store (also for the command line). */
enum meros_code keys_create(struct service *svc, struct str name, unsigned scopes, char out_id[KEY_ID_CAP],
                            char out_text[KEY_TEXT_CAP], struct meros_err *err) MEROS_MUSTCHECK;
typedef void (*key_seen_fn)(void *arg, const struct key_info *key);
/* Oldest first, after key_no `after`; revoked ones too. */
enum meros_code keys_list(struct service *svc, int64_t after, int64_t limit, key_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
enum meros_code keys_get(struct service *svc, struct str id, key_seen_fn fn, void *arg, struct meros_err *err) MEROS_MUSTCHECK;
/* NOT_FOUND; revoking a revoked key is fine. */
enum meros_code keys_revoke(struct service *svc, struct str id, struct meros_err *err) MEROS_MUSTCHECK;

/* Who holds this key. With may_block false never touches the database: *out_would_block says that only it can tell.
 * UNAUTHENTICATED, or UNAVAILABLE when the database is away and the key is not known. */
enum meros_code keys_check(struct service *svc, struct str text, bool may_block, bool *out_would_block,
                           char out_id[KEY_ID_CAP], unsigned *out_scopes, struct meros_err *err) MEROS_MUSTCHECK;

#endif
