#include "meros/service/segment_stream.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/thread.h"
#include "meros/model/segment_model.h"
#include "meros/service/listener.h"
#include "meros/store/models.h"
#include "meros/store/segment_changes.h"
#include "meros/store/store.h"
#include "segments_priv.h"

enum { LOOK_MS = 1000, FULL_MS = 50, PAGE = 500 };

struct follower {
    char segmentation[SEGMENTATION_NAME_MAX + 1], segment_id[SEGMENT_ID_MAX + 1]; /* "": any */
    segment_stream_fn fn;
    void *arg;
    int64_t last; /* change_no up to which it was served */
    bool over;    /* the thread's own: no call any more */
    bool full;    /* the thread's own: takes nothing until it says otherwise */
    struct follower *next;
};

struct segment_stream {
    struct service *svc;
    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct follower *followers; /* under lock; the thread reads what follows a head that it has seen */
    size_t n;                   /* under lock; those that are prepared included */
    bool stop, poked;           /* under lock */
};

static struct metric_family streams = {
    .name = "meros_segment_streams", .help = "Who follows changes of segments at this moment.", .kind = METRIC_GAUGE};

static void end_follower(struct follower *f)
{
    f->over = true;
    f->fn(f->arg, NULL, true);
}

/* --- one round */

struct page {
    struct follower *all;
    int64_t from; /* change_no of the place where it begins */
    size_t n;
};

static bool wants(const struct follower *f, const struct segment_change *x)
{
    return (f->segmentation[0] == '\0' || str_is(x->segmentation, f->segmentation)) &&
           (f->segment_id[0] == '\0' || str_is(x->segment_id, f->segment_id));
}

/* A page serves those who have come to the place where it begins, or beyond: nobody is given a change while an earlier one
 * is due to them. */
static enum meros_code give(void *arg, const struct segment_change *x, struct meros_err *err)
{
    struct page *p = arg;
    (void)err;
    p->n++;
    for (struct follower *f = p->all; f != NULL; f = f->next) {
        if (f->over || f->full || f->last < p->from || f->last >= x->change_no) continue;
        const enum segment_heard heard = wants(f, x) ? f->fn(f->arg, x, false) : HEARD;
        f->full = heard == HEARD_LATER;
        if (!f->full) f->last = x->change_no;
        if (heard == HEARD_ENOUGH) end_follower(f);
    }
    return MEROS_OK;
}

/* *out_more: there is more for somebody. */
static enum meros_code serve(struct store_conn *c, struct follower *all, bool *out_more, struct meros_err *err)
{
    int64_t least = INT64_MAX, most = -1;
    for (const struct follower *f = all; f != NULL; f = f->next) {
        if (f->over || f->full) continue;
        if (f->last < least) least = f->last;
        if (f->last > most) most = f->last;
    }
    *out_more = false;
    if (most < 0) return MEROS_OK;
    /* What is new for those who are up to date, then a page for whoever is furthest behind. */
    const int64_t places[] = {most, least};
    for (int i = 0; i < (least < most ? 2 : 1); i++) {
        struct page p = {.all = all, .from = places[i]};
        enum meros_code rc = store_changes_after(c, places[i], PAGE, give, &p, err);
        if (rc != MEROS_OK) return rc;
        *out_more |= p.n == PAGE;
        if (i == 1 && p.n < PAGE) { /* they have seen all there is */
            for (struct follower *f = all; f != NULL; f = f->next)
                if (!f->full && f->last < most) f->last = most;
        }
    }
    return MEROS_OK;
}

/* Whether they are there, and whether those who had no room have some. */
static void ask(struct follower *all, bool everybody)
{
    for (struct follower *f = all; f != NULL; f = f->next) {
        if (f->over || !(everybody || f->full)) continue;
        const enum segment_heard heard = f->fn(f->arg, NULL, false);
        f->full = heard == HEARD_LATER;
        if (heard == HEARD_ENOUGH) end_follower(f);
    }
}

/* How long to rest, 0: at once again. */
static int round_of(struct segment_stream *s, struct follower *all, bool look)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    bool more = false;
    ask(all, look);
    enum meros_code rc = store_available(s->svc->store) ? store_acquire(s->svc->store, &c, &err) : MEROS_UNAVAILABLE;
    if (rc == MEROS_OK) rc = serve(c, all, &more, &err);
    store_release(s->svc->store, c);
    if (rc == MEROS_OK && more) return 0;
    for (const struct follower *f = all; f != NULL; f = f->next)
        if (f->full && !f->over) return FULL_MS;
    return LOOK_MS;
}

static void drop_over(struct segment_stream *s)
{
    pthread_mutex_lock(&s->lock);
    for (struct follower **at = &s->followers; *at != NULL;) {
        struct follower *f = *at;
        if (!f->over) {
            at = &f->next;
            continue;
        }
        *at = f->next;
        s->n--;
        free(f);
    }
    metric_set(metric(&streams, NULL), (double)s->n);
    pthread_mutex_unlock(&s->lock);
}

static void *stream_main(void *arg)
{
    struct segment_stream *s = arg;
    int64_t looked_ns = 0;
    pthread_mutex_lock(&s->lock);
    while (!s->stop) {
        if (s->followers == NULL) {
            s->poked = false;
            pthread_cond_wait(&s->wake, &s->lock);
            continue;
        }
        struct follower *all = s->followers; /* new ones come before it and wait for the next round */
        s->poked = false;
        pthread_mutex_unlock(&s->lock);
        const int64_t now = clock_mono_ns();
        const bool look = now - looked_ns >= LOOK_MS * INT64_C(1000000);
        if (look) looked_ns = now;
        const int rest_ms = round_of(s, all, look);
        drop_over(s);
        const int64_t next_look_ns = looked_ns + LOOK_MS * INT64_C(1000000), rested_ns = clock_mono_ns() + rest_ms * INT64_C(1000000);
        const int64_t until_ns = rested_ns < next_look_ns ? rested_ns : next_look_ns;
        const struct timespec until = {.tv_sec = until_ns / 1000000000, .tv_nsec = until_ns % 1000000000};
        pthread_mutex_lock(&s->lock);
        while (rest_ms > 0 && !s->poked && !s->stop && pthread_cond_timedwait(&s->wake, &s->lock, &until) == 0) {}
    }
    struct follower *all = s->followers;
    pthread_mutex_unlock(&s->lock);
    for (struct follower *f = all; f != NULL; f = f->next) end_follower(f);
    drop_over(s);
    return NULL;
}

static void told(void *arg, const char *payload)
{
    struct segment_stream *s = arg;
    (void)payload;
    pthread_mutex_lock(&s->lock);
    s->poked = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
}

/* --- following */

static enum meros_code exists(void *arg, const struct model_row *m, struct meros_err *err)
{
    (void)arg;
    (void)m;
    (void)err;
    return MEROS_OK;
}

static enum meros_code check(struct service *svc, struct str segmentation, int64_t *after, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = segments_open_view(svc, &c, err);
    if (rc == MEROS_OK && str_present(segmentation)) {
        rc = store_model_active(c, STR("segments"), segmentation, exists, NULL, err);
        if (rc == MEROS_NOT_FOUND) rc = segmentation_missing(c, segmentation, err);
    }
    if (rc == MEROS_OK && *after < 0) rc = store_changes_last(c, after, err);
    segments_close_view(svc, c);
    return rc;
}

enum meros_code segment_stream_prepare(struct service *svc, struct str segmentation, struct str segment_id, int64_t after,
                                       segment_stream_fn fn, void *arg, struct follower **out, struct meros_err *err)
{
    struct segment_stream *s = svc->segment_stream;
    struct follower *f = calloc(1, sizeof *f);
    if (f == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory to follow changes.");
    f->fn = fn;
    f->arg = arg;
    enum meros_code rc = check(svc, segmentation, &after, err);
    if (rc == MEROS_OK && (!str_copy(f->segmentation, sizeof f->segmentation, segmentation) ||
                           !str_copy(f->segment_id, sizeof f->segment_id, segment_id)))
        rc = err_set(err, MEROS_NOT_FOUND, "No segment has such a long name.");
    f->last = after;
    pthread_mutex_lock(&s->lock);
    if (rc == MEROS_OK && s->n >= SEGMENT_STREAMS_MAX)
        rc = err_set(err, MEROS_RATE_LIMITED, "%d streams are open already, which is as many as one process keeps.", SEGMENT_STREAMS_MAX);
    if (rc == MEROS_OK) s->n++;
    pthread_mutex_unlock(&s->lock);
    if (rc == MEROS_OK) *out = f;
    else free(f);
    return rc;
}

void segment_stream_begin(struct service *svc, struct follower *f)
{
    struct segment_stream *s = svc->segment_stream;
    pthread_mutex_lock(&s->lock);
    const bool stop = s->stop;
    if (!stop) {
        f->next = s->followers;
        s->followers = f;
        s->poked = true;
        metric_set(metric(&streams, NULL), (double)s->n);
        pthread_cond_signal(&s->wake);
    }
    pthread_mutex_unlock(&s->lock);
    if (!stop) return;
    end_follower(f);
    segment_stream_abandon(svc, f);
}

void segment_stream_abandon(struct service *svc, struct follower *f)
{
    struct segment_stream *s = svc->segment_stream;
    pthread_mutex_lock(&s->lock);
    s->n--;
    pthread_mutex_unlock(&s->lock);
    free(f);
}

/* --- life */

enum meros_code segment_stream_start(struct service *svc, struct meros_err *err)
{
    struct segment_stream *s = calloc(1, sizeof *s);
    if (s == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for streams.");
    s->svc = svc;
    pthread_mutex_init(&s->lock, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&s->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    svc->segment_stream = s;
    enum meros_code rc = thread_start(&s->thread, "segment-stream", 0, stream_main, s, err);
    s->started = rc == MEROS_OK;
    if (rc == MEROS_OK) rc = listener_subscribe(svc, STORE_CHANGES_CHANNEL, told, s, err);
    if (rc == MEROS_OK) return MEROS_OK;
    segment_stream_stop(svc);
    segment_stream_free(svc);
    return rc;
}

void segment_stream_stop(struct service *svc)
{
    struct segment_stream *s = svc->segment_stream;
    if (s == NULL || !s->started) return;
    pthread_mutex_lock(&s->lock);
    s->stop = true;
    pthread_cond_signal(&s->wake);
    pthread_mutex_unlock(&s->lock);
    pthread_join(s->thread, NULL);
    s->started = false;
}

void segment_stream_free(struct service *svc)
{
    struct segment_stream *s = svc->segment_stream;
    if (s == NULL) return;
    svc->segment_stream = NULL;
    pthread_cond_destroy(&s->wake);
    pthread_mutex_destroy(&s->lock);
    free(s);
}
