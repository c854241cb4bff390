/* Many who ask, few connections: questions wait in a queue, reader threads take all that wait (up to a batch) and answer them with one
 * query each, on a connection of their own. While one batch is at the database the next one gathers, so under load the round trip is
 * shared by many and a lone question waits for nobody. The query begins after its questions were asked, so an answer is true as of a
 * commit that was there by then.
 *
 * Nothing hangs: a watch thread refuses whatever has waited for patience_ms, also what is in a batch whose query does not return. So
 * whatever the query needs of a question is copied into the reader's memory when it is taken. Who has waited for something else
 * before may say so (since_ns), and has what is left of the patience.
 *
 * A question belongs to the queue, to a batch, or to whoever took it out under the lock and answers it: no two at once. It is
 * the asker's memory, and holds a struct asker_link as its first member. */
#ifndef MEROS_SERVICE_ASKER_H
#define MEROS_SERVICE_ASKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/arena.h"
#include "meros/base/err.h"

struct store_pool;
struct store_conn;

struct asker_link {
    struct asker_link *next;
    int64_t since_ns; /* the asker's before asker_ask, by clock_mono_ns: since when its client waits; 0: since now */
};

/* A reader thread's own. */
struct asker_reader {
    struct asker *asker;
    void *ctx;               /* as given to asker_start */
    struct store_conn *conn; /* NULL: none now; asker_connect */
    struct arena arena;      /* emptied after each batch */
    void *work;              /* work_bytes, zeroed once: what `take` copied */
    size_t first;            /* of the batch: how many stand before those of which `behind` is true */
};

struct asker_kind {
    const char *reader_name, *watch_name; /* of threads */
    int readers;                          /* up to ASKER_READERS_MAX */
    size_t batch, queue_max, work_bytes, memory; /* memory: ceiling of the arena */
    int patience_ms, statement_ms;
    bool (*behind)(const struct asker_link *ask); /* whether it stands behind the others in a batch; NULL: in the order of asking */
    /* Under the lock: copies what the query needs of a question into place `at` of the work. */
    void (*take)(void *work, size_t at, const struct asker_link *ask);
    /* The query for n questions, then asker_claim(r, &asks), and each of the n is answered that is not NULL (the watch was there before). */
    void (*run)(struct asker_reader *r, size_t n);
    void (*refuse)(struct asker_link *ask, const struct meros_err *err); /* UNAVAILABLE */
};
enum { ASKER_READERS_MAX = 4 };

struct asker;
enum meros_code asker_start(const struct asker_kind *kind, void *ctx, struct store_pool *store, struct asker **out,
                            struct meros_err *err) MEROS_MUSTCHECK; /* kind stays */
void asker_stop(struct asker *a); /* refuses what waits and what comes, joins; NULL and twice are fine */
void asker_free(struct asker *a); /* after asker_stop; NULL is fine */

/* Never blocks. OK: the question will be answered or refused once, perhaps before this returns. UNAVAILABLE: it will not be. */
enum meros_code asker_ask(struct asker *a, struct asker_link *ask, struct meros_err *err) MEROS_MUSTCHECK;

/* For `run`. A connection that works, its plans generic; UNAVAILABLE at once while the database is away. */
enum meros_code asker_connect(struct asker_reader *r, struct meros_err *err) MEROS_MUSTCHECK;
/* One question of the batch, before its query: the caller's from here on. NULL: the watch was there before. */
struct asker_link *asker_take(struct asker_reader *r, size_t i);
/* After the query: from here on the questions of the batch are the caller's, but those that are NULL. */
void asker_claim(struct asker_reader *r, struct asker_link ***out);
/* What a failed query is answered with: a time-out is told as UNAVAILABLE. */
enum meros_code asker_failed(enum meros_code rc, struct meros_err *err);

#endif
