/* What the dialects share: bodies in the words of other systems become items of the ingest path and rejections.
 *
 * A body holds messages; each message becomes no, one or several items, or is rejected with a reason, whole: one that is
 * wrong anywhere leaves nothing behind, and its neighbours land. Decoding is pure: no clock, no I/O; what the items point
 * to lies in the arena, so the body may go.
 *
 *   struct dialect d;
 *   dialect_init(&d, arena, now);
 *   rc = segment_decode(&d, &body, err);     // or ga4_decode, posthog_decode
 *   d.items, d.n: for ingest_submit; d.rejects, d.n_rejects: for the answer and GET /v1/rejections
 *
 * Codes of rejections are words for programs (`no_user_anon_id`), messages are sentences; neither holds contents. */
#ifndef MEROS_SERVICE_DIALECT_H
#define MEROS_SERVICE_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/codec/json.h"
#include "meros/domain/ingest.h"

enum { DIALECT_ITEMS_MAX = 2500, DIALECT_REJECTS_MAX = 5000, DIALECT_MESSAGE_MAX = 32 << 10 };

struct dialect_reject {
    size_t index;     /* of the message in the body, from 0 */
    const char *code; /* static */
    char place[120];  /* JSON pointer into the body */
    char message[160];
    struct str type, message_id; /* STR_NONE: not known */
};

struct dialect {
    struct arena *arena;
    int64_t now;     /* when the body was received */
    size_t messages; /* in the body, good and bad */
    struct ingest_item *items;
    uint32_t *message; /* of each item: the index of its message */
    size_t n, cap;
    struct dialect_reject *rejects;
    size_t n_rejects, rejects_cap;
    size_t rejected; /* messages in all; of the first DIALECT_REJECTS_MAX rejects tells */
    bool no_memory; /* the arena ended: what is here is not all */
};

void dialect_init(struct dialect *d, struct arena *arena, int64_t now);
/* OUT_OF_MEMORY if anything was lost to it. */
enum meros_code dialect_end(const struct dialect *d, struct meros_err *err) MEROS_MUSTCHECK;

/* --- one message, while it is decoded */
struct message {
    struct dialect *d;
    size_t index, items_from;
    const char *pointer;  /* of the message in the body: "" or "/batch/3" */
    struct str type, id;  /* for what is said of it when it is rejected */
    bool failed;
};
void message_begin(struct message *m, struct dialect *d, size_t index, const char *pointer);
/* The first fault rejects the message and takes its items back; later ones say nothing. place: below the message. */
void message_reject(struct message *m, const char *code, const char *place, const char *format, ...) __attribute__((format(printf, 4, 5)));
/* A zeroed item, or NULL when the message is rejected: too many, no memory. */
struct ingest_item *message_item(struct message *m, enum ingest_kind kind);

struct str message_keep(struct message *m, struct str s); /* a copy in the arena; STR_NONE of STR_NONE */
/* An id: a string, or a whole number as its digits. STR_NONE: absent, null or "" (or rejected). */
struct str message_id(struct message *m, const struct json *v, const char *place);
/* RFC 3339 text; TIME_NONE: absent, null or rejected. */
int64_t message_time(struct message *m, const struct json *v, const char *place);
/* The moment by our clock: received - (sent - said). said or sent may be TIME_NONE. What comes out impossible is taken as
 * said, or rejected. */
int64_t message_moment(struct message *m, int64_t said, int64_t sent, const char *place);
/* What a writer wrote, kept; rejects what does not fit. */
struct message_text {
    struct buf buf;
    struct jsonw w;
};
struct jsonw *message_text_begin(struct message_text *t);
struct str message_text_end(struct message *m, struct message_text *t, const char *place);

/* Whose it is. anonymous may be STR_NONE, known too, not both. */
void message_who(struct ingest_item *item, struct str known, struct str anonymous);

/* Traits of a person, from up to two objects of which the later wins: email, name (or first and last name), phone and
 * created_at into their fields, camelCase or snake_case; all others are attributes under the names they have. null
 * removes. False: rejected. */
bool message_traits(struct message *m, const struct json *const *traits, size_t n, struct customer_change *out, const char *place);

/* Numbers: a JSON number, or a string that holds one. Not present where it is none, or past the limit. */
struct decimal dialect_number(const struct json *v, int64_t limit);
/* An identity for a message that has none: of the same bytes the same. */
struct str message_fingerprint(struct message *m, struct str bytes);

#endif
