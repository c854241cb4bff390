/* What customers lately had to do with products, in memory: a recommendation for a known customer asks no database.
 *
 * A shelf is an immutable, counted answer of store_shelves for one name. Whoever commits something about customers says so
 * (shelf_changed, before it answers its client), and from then on what was read before counts no longer: the next request reads anew,
 * so a new event changes the very next answer. Other replicas hear of it within a second or so by channel "meros_shelves", on which the
 * sweeper tells whose notes it took, and who knows already (store/changed.h).
 *
 * Freshness is a number. A load has the number of the last change when it began; a change puts its own into the bucket of the
 * customer; a shelf counts while its load's number is no lower than its bucket's. So a change costs two atomic writes, whoever reads
 * meanwhile keeps nothing that is too old, and two customers who share a bucket read anew a little more often than they would have to.
 * A plain event is put into the shelf of its customer rather than taking it out (shelf_add): the same sum as the database's, made of what
 * the shelf says and the event, where no read can have seen it already.
 *
 * What no longer counts stays at hand until it is replaced or memory is short: with the database away it is given all the same
 * (stale), unless it was forgotten (an erasure, a change of consent, or what another replica did). Names that nobody has are not kept.
 *
 * When memory is short (setting recommend_memory_mb) the least recently used go. What is kept beside shelves, which is made again without
 * the database, goes first where it takes more than half of it. When another recommender was published, and when what others did may
 * have been missed, those who were asked for last are read and ranked again in the background, before they ask.
 *
 * Readers: service/asker.h, one query for many requests; nothing hangs: who waits more than SHELF_PATIENCE_MS is refused. */
#ifndef MEROS_SERVICE_SHELF_H
#define MEROS_SERVICE_SHELF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include "meros/base/err.h"
#include "meros/base/str.h"
#include "meros/domain/interaction.h"
#include "meros/service/asker.h"
#include "meros/service/service.h"

enum { SHELF_BATCH = 128, SHELF_QUEUE_MAX = 8192, SHELF_PATIENCE_MS = 2000 };

struct shelf {
    int64_t customer_no;    /* 0: nobody has this name */
    bool known, profiling;
    struct str customer_id; /* the canonical one */
    size_t n;
    const struct interaction_row *rows; /* oldest first, then by product_no; weights as of `at` with the weights of `model_no` */
    int64_t at, model_no;   /* model_no: a model with these weights; 0: the default weights, no model was there */
    /* For whoever ranks: one answer kept beside the shelf (service/recommend.c), freed with it by kept_free. Set once by shelf_keep. */
    void *_Atomic kept;
    void (*kept_free)(void *);
    /* private */
    _Atomic size_t kept_bytes;
    int64_t events; /* as struct customer_shelf */
    uint8_t shard;  /* in whose account what is kept is; set before anybody else has the shelf */
    _Atomic long refs;
};
void shelf_release(const struct shelf *s); /* NULL is fine */
/* Offers something to keep, of so many bytes; false: something is there already, the caller keeps what is theirs. */
bool shelf_keep(const struct shelf *s, void *what, size_t bytes, void (*free_it)(void *));
/* So many are its bytes now. By whoever holds a reference. */
void shelf_keep_size(const struct shelf *s, size_t bytes);

enum meros_code shelf_start(struct service *svc, struct meros_err *err) MEROS_MUSTCHECK; /* after serving_start, before listener_start */
void shelf_stop(struct service *svc);
void shelf_free(struct service *svc);

/* At once from memory, one reference to be released; NULL: shelf_ask for it. Never blocks for long; any thread. */
const struct shelf *shelf_peek(struct service *svc, struct str customer_id);

/* The same, or what was there before a change that it lacks (*out_stale): while the database is away. NULL: nothing that may be given. */
const struct shelf *shelf_at_hand(struct service *svc, struct str customer_id, bool *out_stale);

struct shelf_ask { /* the asker's memory; lives until done() */
    struct asker_link link; /* .since_ns: since when its client waits, 0: since now */
    struct service *svc;    /* private */
    struct str customer_id;
    /* OK: s is the callee's to release. It must not block. */
    void (*done)(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *err);
    void *arg;
};
/* Never blocks. OK: done() will be called once, perhaps before this returns. UNAVAILABLE: it will not be. */
enum meros_code shelf_ask(struct service *svc, struct shelf_ask *ask, struct meros_err *err) MEROS_MUSTCHECK;

/* After a commit: these customers' shelves are no longer right. Any thread; harmless when never started. */
void shelf_changed(struct service *svc, const int64_t *customer_nos, size_t n);
/* After the commit of events that were not there before: as shelf_changed, but where the shelf in memory is known to be what the database
 * had before that commit, a new one with the event in it takes its place, so that no database need be asked. sent_ns: when the
 * transaction was sent, by clock_mono_ns. */
struct shelf_event {
    struct str customer_id; /* as the event named them */
    int64_t customer_no, product_no; /* product_no 0: none */
    struct str type;
    int64_t occurred_at;
    double value;           /* NaN: none */
};
void shelf_add(struct service *svc, const struct shelf_event *events, size_t n, int64_t sent_ns);
void shelf_changed_all(struct service *svc); /* whoever it may be */
/* As shelf_changed, and what was read before is not given as a stale answer either: a change of consent. */
void shelf_forget(struct service *svc, const int64_t *customer_nos, size_t n);
void shelf_erase(struct service *svc, int64_t customer_no); /* as shelf_forget, and it goes from memory at once */
/* Something may have been committed, or may yet be, of which this process was told nothing: for a while it takes its own notes, too, for another's. */
void shelf_doubt(struct service *svc);
/* After models were published, of any kind: another recommender is warmed for, other weights make all shelves count no longer. Returns at once. */
void shelf_models_changed(struct service *svc);
void shelf_warm(struct service *svc); /* reads in the background what may be asked for next; returns at once */

#endif
