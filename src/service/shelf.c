/* Threads: the readers and the watch of an asker. */
#include "meros/service/shelf.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/model/snapshot.h"
#include "meros/service/listener.h"
#include "meros/service/serving.h"
#include "meros/store/interactions.h"
#include "meros/store/store.h"
#include "shelf_priv.h"

enum {
    READERS = 2, STATEMENT_MS = 4000, QUERY_MEMORY = 256 << 20,
    DOUBT_S = 600 /* far longer than a note waits to be taken */
};

static struct metric_family bytes_family = {.name = "meros_shelf_bytes", .help = "Memory of what customers had to do with products.", .kind = METRIC_GAUGE};
static struct metric_family names_family = {.name = "meros_shelf_customers", .help = "Names of customers of whom that is in memory.", .kind = METRIC_GAUGE};
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128};
static struct metric_family batches = {.name = "meros_shelf_reads_per_query", .help = "Customers read with one database query.",
                                       .kind = METRIC_HISTOGRAM, .bounds = batch_bounds,
                                       .n_bounds = sizeof batch_bounds / sizeof batch_bounds[0]};

/* --- loading */

int64_t shelf_weights(struct shelves *v, struct interaction_weights *out)
{
    const struct snapshot *models = serving_snapshot(v->svc);
    const struct snapshot_recommender *active = models->recommender;
    const int64_t model_no = active != NULL ? active->model_no : 0;
    *out = active != NULL ? active->recommender->weights : interaction_weights_default;
    snapshot_release(models);
    return model_no;
}

static struct shelf *made_of(const struct customer_shelf *c, struct str name, int64_t at, int64_t model_no)
{
    struct interaction_row *rows;
    struct shelf *s = shelf_new(c->known ? c->customer_id : name, c->n, &rows);
    if (s == NULL) return NULL;
    if (c->n > 0) memcpy(rows, c->rows, c->n * sizeof *rows);
    s->known = c->known;
    s->profiling = !c->known || c->profiling;
    s->customer_no = c->customer_no;
    s->events = c->events;
    s->at = at;
    s->model_no = model_no;
    return s;
}

enum meros_code shelf_load(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, struct arena *arena,
                           const struct shelf **out, struct meros_err *err)
{
    struct interaction_weights *weights = arena_alloc(arena, sizeof *weights);
    struct customer_shelf *found = arena_array(arena, n, sizeof *found);
    if (weights == NULL || found == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory while reading customers.");
    const uint64_t seq = atomic_load(&v->last); /* before anything is read, the weights included */
    const int64_t at = clock_now(), model_no = shelf_weights(v, weights);
    enum meros_code rc = store_shelves(c, names, n, weights, at, arena, found, err);
    if (rc != MEROS_OK) return rc;
    for (size_t i = 0; i < n; i++) {
        struct shelf *s = made_of(&found[i], names[i], at, model_no);
        if (s != NULL && s->known) shelf_come_in(v, names[i], s, seq);
        out[i] = s;
    }
    metric_observe(metric(&batches, NULL), (double)n);
    return MEROS_OK;
}

struct work {
    char ids[SHELF_BATCH][ID_MAX];
    struct str names[SHELF_BATCH];
    /* of those that are read */
    size_t n, places[SHELF_BATCH];
    struct str missing[SHELF_BATCH];
    const struct shelf *shelves[SHELF_BATCH];
};

static void take(void *work, size_t at, const struct asker_link *link)
{
    struct work *w = work;
    const struct shelf_ask *ask = (const struct shelf_ask *)(const void *)link;
    memcpy(w->ids[at], ask->customer_id.p, ask->customer_id.n);
    w->names[at] = (struct str){w->ids[at], ask->customer_id.n};
}

static void answer(struct shelf_ask *ask, const struct shelf *s, enum meros_code rc, const struct meros_err *err)
{
    bool stale = false;
    if (s == NULL && rc == MEROS_UNAVAILABLE) s = shelf_at_hand(ask->svc, ask->customer_id, &stale);
    ask->done(ask, s != NULL ? MEROS_OK : rc, s, stale, err);
}

/* Those who are in memory by now are answered: an event was put there (shelf_add), or another question read it. The others are to be read. */
static void answer_at_hand(struct asker_reader *r, size_t n)
{
    struct shelves *v = r->ctx;
    struct work *w = r->work;
    w->n = 0;
    for (size_t i = 0; i < n; i++) {
        const struct shelf *s = shelf_now(v, w->names[i]);
        struct asker_link *ask = s != NULL ? asker_take(r, i) : NULL;
        if (ask != NULL) answer((struct shelf_ask *)(void *)ask, s, MEROS_OK, NULL);
        else shelf_release(s);
        if (s != NULL) continue;
        w->shelves[w->n] = NULL;
        w->missing[w->n] = w->names[i];
        w->places[w->n++] = i;
    }
}

static void run(struct asker_reader *r, size_t n)
{
    struct shelves *v = r->ctx;
    struct work *w = r->work;
    struct asker_link **asks;
    struct meros_err err = MEROS_ERR_INIT;
    answer_at_hand(r, n);
    enum meros_code rc = w->n > 0 ? asker_connect(r, &err) : MEROS_OK;
    if (rc == MEROS_OK && w->n > 0) rc = shelf_load(v, r->conn, w->missing, w->n, &r->arena, w->shelves, &err);
    rc = asker_failed(rc, &err);
    if (rc == MEROS_OK) err_set(&err, MEROS_OUT_OF_MEMORY, "Out of memory."); /* for whoever has none below */
    asker_claim(r, &asks);
    for (size_t k = 0; k < w->n; k++) {
        struct asker_link *ask = asks[w->places[k]];
        if (ask != NULL) answer((struct shelf_ask *)(void *)ask, w->shelves[k], err.code, &err);
        else shelf_release(w->shelves[k]);
    }
}

static void refuse(struct asker_link *link, const struct meros_err *err)
{
    struct shelf_ask *ask = (struct shelf_ask *)(void *)link;
    answer(ask, NULL, err->code, err);
}

static const struct asker_kind kind = {
    .reader_name = "shelf-reader", .watch_name = "shelf-watch", .readers = READERS, .batch = SHELF_BATCH, .queue_max = SHELF_QUEUE_MAX,
    .work_bytes = sizeof(struct work), .memory = QUERY_MEMORY, .patience_ms = SHELF_PATIENCE_MS, .statement_ms = STATEMENT_MS,
    .take = take, .run = run, .refuse = refuse};

enum meros_code shelf_ask(struct service *svc, struct shelf_ask *ask, struct meros_err *err)
{
    ask->svc = svc;
    return asker_ask(svc->shelves->asker, &ask->link, err);
}

/* --- what others did */

void shelf_doubt(struct service *svc)
{
    if (svc->shelves != NULL) atomic_store(&svc->shelves->doubt_until_ns, clock_mono_ns() + DOUBT_S * INT64_C(1000000000));
}

/* "WHO NUMBER NUMBER …": these changed by WHO, who knows ("*": by several); "WHO *": too many to name. "": something may have been missed. */
static void told(void *arg, const char *payload)
{
    struct service *svc = arg;
    const char *at = strchr(payload, ' ');
    if (at == NULL) { /* also when listening begins: what was read before may be out of date */
        shelf_changed_all(svc);
        shelf_warm(svc);
        return;
    }
    const bool mine = str_eq((struct str){payload, (size_t)(at - payload)}, str_of(store_origin()));
    if (mine && clock_mono_ns() >= atomic_load(&svc->shelves->doubt_until_ns)) return;
    while (*at == ' ') {
        char *end;
        const int64_t no = strtoll(at + 1, &end, 10);
        if (end == at + 1) {
            shelf_changed_all(svc);
            return;
        }
        shelf_forget(svc, &no, 1);
        at = end;
    }
}

/* --- life */

static void measure(void *arg)
{
    size_t names;
    const size_t bytes = shelf_bytes(arg, &names);
    metric_set(metric(&bytes_family, NULL), (double)bytes);
    metric_set(metric(&names_family, NULL), (double)names);
}

enum meros_code shelf_start(struct service *svc, struct meros_err *err)
{
    struct shelves *v = svc->shelves = calloc(1, sizeof *v);
    if (v == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    v->svc = svc;
    pthread_mutex_init(&v->warm_lock, NULL);
    pthread_cond_init(&v->warm_wake, NULL);
    enum meros_code rc = shelf_memory_new(v, svc->settings.recommend_memory_bytes, err);
    if (rc == MEROS_OK) rc = shelf_warm_start(v, err);
    if (rc == MEROS_OK) rc = asker_start(&kind, v, svc->store, &v->asker, err);
    if (rc == MEROS_OK && svc->listener != NULL) rc = listener_subscribe(svc, "meros_shelves", told, svc, err);
    if (rc == MEROS_OK && svc->listener != NULL) rc = listener_every(svc, 5, measure, v, err);
    if (rc == MEROS_OK) return MEROS_OK;
    shelf_stop(svc);
    shelf_free(svc);
    return rc;
}

void shelf_stop(struct service *svc)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    asker_stop(v->asker);
    shelf_warm_stop(v);
}

void shelf_free(struct service *svc)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    svc->shelves = NULL;
    shelf_memory_free(v);
    asker_free(v->asker);
    pthread_mutex_destroy(&v->warm_lock);
    pthread_cond_destroy(&v->warm_wake);
    free(v);
}
