#include "meros/service/rejections.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/log.h"
#include "meros/service/listener.h"
#include "meros/store/rejections.h"

enum { NOTES_MAX = 4096, FLUSH_SECONDS = 1, PRUNE_SECONDS = 60, PRUNE_ROWS = 20000 };

static struct metric_family noted = {
    .name = "meros_rejections_total", .help = "Items that were not taken, by where they came from.", .kind = METRIC_COUNTER, .labels = {"source"}};
static struct metric_family forgotten = {
    .name = "meros_rejections_not_kept_total", .help = "Rejections that were counted but not kept for GET /v1/rejections.", .kind = METRIC_COUNTER};

struct note {
    enum ingest_source source;
    int64_t at;
    char reason[200], place[128], type[ID_MAX + 1], message_id[ID_MAX + 1], request_id[130];
};
struct rejections {
    struct service *svc;
    struct metric_series *by_source[INGEST_SOURCE_COUNT], *lost;
    pthread_mutex_t lock; /* of notes and n */
    struct note *notes;   /* NOTES_MAX of them */
    size_t n;
    /* the listener's thread alone */
    struct note *writing;
    struct rejection_record *rows;
    size_t n_writing;     /* waiting from a time when the database was away */
    size_t since_pruning;
};

/* In whole characters, so that what is kept stays UTF-8. */
static void keep(char *to, size_t cap, struct str s)
{
    size_t n = s.n < cap ? s.n : utf8_cut(s.p, cap - 1);
    if (n > 0) memcpy(to, s.p, n);
    to[n] = '\0';
}

void rejections_note(struct service *svc, enum ingest_source source, struct str reason, struct str place, struct str type,
                     struct str message_id, struct str request_id)
{
    struct rejections *r = svc->rejections;
    if (r == NULL) return;
    metric_add(r->by_source[source], 1);
    pthread_mutex_lock(&r->lock);
    struct note *note = r->n < NOTES_MAX ? &r->notes[r->n++] : NULL;
    if (note != NULL) {
        note->source = source;
        note->at = clock_now();
        keep(note->reason, sizeof note->reason, reason);
        keep(note->place, sizeof note->place, place);
        keep(note->type, sizeof note->type, type);
        keep(note->message_id, sizeof note->message_id, message_id);
        keep(note->request_id, sizeof note->request_id, request_id);
    }
    pthread_mutex_unlock(&r->lock);
    if (note == NULL) metric_add(r->lost, 1);
}

static struct str or_none(const char *s)
{
    return s[0] != '\0' ? str_of(s) : STR_NONE;
}

static void take(struct rejections *r)
{
    if (r->n_writing > 0) return;
    pthread_mutex_lock(&r->lock);
    struct note *full = r->notes;
    r->notes = r->writing;
    r->writing = full;
    r->n_writing = r->n;
    r->n = 0;
    pthread_mutex_unlock(&r->lock);
    for (size_t k = 0; k < r->n_writing; k++) {
        const struct note *note = &r->writing[k];
        r->rows[k] = (struct rejection_record){
            .received_at = note->at,
            .source = str_of(ingest_source_name(note->source)),
            .reason = str_of(note->reason),
            .place = str_of(note->place),
            .type = or_none(note->type),
            .message_id = or_none(note->message_id),
            .request_id = or_none(note->request_id),
        };
    }
}

static void flush(void *arg)
{
    struct rejections *r = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    take(r);
    if (r->n_writing == 0 || !store_available(r->svc->store)) return;
    enum meros_code rc = store_acquire(r->svc->store, &c, &err);
    if (rc == MEROS_OK) rc = store_rejections_add(c, r->rows, r->n_writing, &err);
    if (rc == MEROS_OK) r->since_pruning += r->n_writing;
    if (rc != MEROS_OK && rc != MEROS_UNAVAILABLE && rc != MEROS_TIMEOUT) { /* what cannot be written down is not tried for ever */
        log_warn("rejections.lost", KV_I("rejections", r->n_writing), KV("detail", err.detail), KV("sqlstate", err.sqlstate));
        metric_add(r->lost, (double)r->n_writing);
        rc = MEROS_OK;
    }
    if (rc == MEROS_OK) r->n_writing = 0;
    if (rc == MEROS_OK && r->since_pruning >= PRUNE_ROWS) {
        if (store_rejections_prune(c, &err) == MEROS_OK) r->since_pruning = 0;
    }
    store_release(r->svc->store, c);
}

static void prune(void *arg)
{
    struct rejections *r = arg;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    if (!store_available(r->svc->store)) return;
    enum meros_code rc = store_acquire(r->svc->store, &c, &err);
    if (rc == MEROS_OK) rc = store_rejections_prune(c, &err);
    if (rc == MEROS_OK) r->since_pruning = 0;
    else if (rc != MEROS_UNAVAILABLE) log_warn("rejections.prune", KV("detail", err.detail));
    store_release(r->svc->store, c);
}

enum meros_code rejections_start(struct service *svc, struct meros_err *err)
{
    struct rejections *r = calloc(1, sizeof *r);
    if (r == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for rejections.");
    r->svc = svc;
    pthread_mutex_init(&r->lock, NULL);
    r->notes = calloc(NOTES_MAX, sizeof *r->notes);
    r->writing = calloc(NOTES_MAX, sizeof *r->writing);
    r->rows = calloc(NOTES_MAX, sizeof *r->rows);
    for (int s = 0; s < INGEST_SOURCE_COUNT; s++) r->by_source[s] = metric(&noted, (const char *const[]){ingest_source_name((enum ingest_source)s)});
    r->lost = metric(&forgotten, NULL);
    svc->rejections = r;
    enum meros_code rc = r->notes != NULL && r->writing != NULL && r->rows != NULL ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "No memory for rejections.");
    if (rc == MEROS_OK) rc = listener_every(svc, FLUSH_SECONDS, flush, r, err);
    if (rc == MEROS_OK) rc = listener_every(svc, PRUNE_SECONDS, prune, r, err);
    if (rc != MEROS_OK) {
        r->n = r->n_writing = 0;
        rejections_free(svc);
    }
    return rc;
}

void rejections_free(struct service *svc)
{
    struct rejections *r = svc->rejections;
    if (r == NULL) return;
    for (int tries = 0; tries < 2 && r->notes != NULL && r->n + r->n_writing > 0; tries++) flush(r); /* what waited, then what came since */
    svc->rejections = NULL;
    pthread_mutex_destroy(&r->lock);
    free(r->notes);
    free(r->writing);
    free(r->rows);
    free(r);
}

enum meros_code rejections_list(struct service *svc, struct str source, int64_t before, int64_t limit, rejection_seen_fn fn, void *arg,
                                struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = store_acquire(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_rejections_list(c, source, before, limit, fn, arg, err);
    store_release(svc->store, c);
    return rc;
}
