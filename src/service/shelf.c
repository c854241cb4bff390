/* Threads: the readers and the watch of an asker, and `shelf-warm`. Entries are in shards by the hash of the name, each with a lock that is
 * held for a look-up; what may be given is decided by numbers (shelf.h) that are atomics of their own. A shelf that was given out
 * lives on its references, whatever becomes of its entry. */
#include "meros/service/shelf.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/model/snapshot.h"
#include "meros/service/listener.h"
#include "meros/service/recommend.h"
#include "meros/service/serving.h"
#include "meros/store/interactions.h"
#include "meros/store/store.h"
#include "shelf_priv.h"

enum {
    READERS = 2, STATEMENT_MS = 4000, QUERY_MEMORY = 256 << 20,
    DOUBT_S = 600,    /* far longer than a note waits to be taken */
    WARM_MAX = 50000, /* customers */
    WARM_PAUSE_MS = 5 /* between two batches: others want the database too */
};

static struct metric_family looks = {.name = "meros_shelf_looks_total",
                                     .help = "Looks for what a customer had to do with products, by whether memory had it.",
                                     .kind = METRIC_COUNTER, .labels = {"outcome"}};
static struct metric_family bytes_family = {.name = "meros_shelf_bytes", .help = "Memory of what customers had to do with products.", .kind = METRIC_GAUGE};
static struct metric_family kept_family = {.name = "meros_shelf_customers", .help = "Names of customers of whom that is in memory.", .kind = METRIC_GAUGE};
static const double batch_bounds[] = {1, 2, 4, 8, 16, 32, 64, 128};
static struct metric_family batches = {.name = "meros_shelf_reads_per_query", .help = "Customers read with one database query.",
                                       .kind = METRIC_HISTOGRAM, .bounds = batch_bounds,
                                       .n_bounds = sizeof batch_bounds / sizeof batch_bounds[0]};

/* --- shelves */

/* Of what is kept beside shelves (shelf_keep), wherever they are. */
static _Atomic int64_t kept_bytes;

void shelf_release(const struct shelf *s)
{
    if (s == NULL) return;
    struct shelf *mine = (struct shelf *)(uintptr_t)s; /* the count and what is kept are all that changes */
    if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1) return;
    void *kept = atomic_load_explicit(&mine->kept, memory_order_relaxed);
    if (kept != NULL) {
        mine->kept_free(kept);
        atomic_fetch_sub_explicit(&kept_bytes, (int64_t)mine->kept_bytes, memory_order_relaxed);
    }
    free(mine);
}

const struct shelf *shelf_retain(const struct shelf *s)
{
    atomic_fetch_add_explicit(&((struct shelf *)(uintptr_t)s)->refs, 1, memory_order_relaxed);
    return s;
}

bool shelf_keep(const struct shelf *s, void *what, size_t bytes, void (*free_it)(void *))
{
    struct shelf *mine = (struct shelf *)(uintptr_t)s;
    void *none = NULL;
    if (!atomic_compare_exchange_strong(&mine->kept, &none, what)) return false;
    mine->kept_free = free_it; /* read by the last release alone, which follows the present holder's */
    mine->kept_bytes = bytes;
    atomic_fetch_add_explicit(&kept_bytes, (int64_t)bytes, memory_order_relaxed);
    return true;
}

struct shelf *shelf_new(struct str customer_id, size_t n, struct interaction_row **out_rows)
{
    struct shelf *s = malloc(sizeof *s + n * sizeof(struct interaction_row) + customer_id.n + 1);
    if (s == NULL) return NULL;
    struct interaction_row *rows = (struct interaction_row *)(void *)(s + 1);
    char *id = (char *)(rows + n);
    if (customer_id.n > 0) memcpy(id, customer_id.p, customer_id.n);
    id[customer_id.n] = '\0';
    *s = (struct shelf){.customer_id = {id, customer_id.n}, .n = n, .rows = rows};
    atomic_init(&s->refs, 1);
    *out_rows = rows;
    return s;
}

static size_t size_of(const struct shelf *s)
{
    return sizeof *s + s->n * sizeof *s->rows + s->customer_id.n + 1;
}

/* --- numbers of changes */

struct shelf_bucket *shelf_bucket_of(struct shelves *v, int64_t customer_no)
{
    const uint64_t h = (uint64_t)customer_no * UINT64_C(0x9E3779B97F4A7C15);
    return &v->numbers[h >> (64 - SHELF_BUCKET_BITS)];
}

/* The number of the customer's last change. */
static uint64_t changed_of(struct shelves *v, int64_t customer_no)
{
    const uint64_t one = atomic_load(&shelf_bucket_of(v, customer_no)->changed), all = atomic_load(&v->all);
    return one > all ? one : all;
}

static void change(struct service *svc, const int64_t *customer_nos, size_t n, bool forget)
{
    struct shelves *v = svc->shelves;
    if (v == NULL || n == 0) return;
    pthread_mutex_lock(&v->numbering);
    const uint64_t now = atomic_fetch_add(&v->last, 1) + 1;
    for (size_t i = 0; i < n; i++) {
        struct shelf_bucket *b = shelf_bucket_of(v, customer_nos[i]);
        if (forget) atomic_store(&b->forgotten, now);
        atomic_store(&b->changed, now);
    }
    pthread_mutex_unlock(&v->numbering);
}

void shelf_changed(struct service *svc, const int64_t *customer_nos, size_t n)
{
    change(svc, customer_nos, n, false);
}

void shelf_forget(struct service *svc, const int64_t *customer_nos, size_t n)
{
    change(svc, customer_nos, n, true);
}

void shelf_changed_all(struct service *svc)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    pthread_mutex_lock(&v->numbering);
    atomic_store(&v->all, atomic_fetch_add(&v->last, 1) + 1);
    pthread_mutex_unlock(&v->numbering);
}

/* --- entries */

static uint64_t hash_of(const struct shelves *v, struct str name)
{
    uint64_t h = v->seed;
    for (size_t i = 0; i < name.n; i++) h = (h ^ (unsigned char)name.p[i]) * UINT64_C(0x100000001B3);
    unsigned __int128 m = (unsigned __int128)(h ^ name.n) * (UINT64_C(0x9E3779B97F4A7C15) ^ v->seed);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static struct shelf_shard *shard_of(struct shelves *v, uint64_t hash)
{
    return &v->shards[hash >> 58]; /* SHELF_SHARDS of them */
}

/* Under the shard's lock, as all that follow. */
static struct shelf_entry **place_of(struct shelf_shard *d, struct str name, uint64_t hash)
{
    struct shelf_entry **at = &d->chains[hash & (d->n_chains - 1)];
    while (*at != NULL && ((*at)->hash != hash || !str_eq((struct str){(*at)->name, (*at)->n}, name))) at = &(*at)->next;
    return at;
}

static void unlink_used(struct shelf_shard *d, struct shelf_entry *e)
{
    if (e->newer != NULL) e->newer->older = e->older;
    else d->newest = e->older;
    if (e->older != NULL) e->older->newer = e->newer;
    else d->oldest = e->newer;
}

static void link_newest(struct shelf_shard *d, struct shelf_entry *e)
{
    e->newer = NULL;
    e->older = d->newest;
    if (d->newest != NULL) d->newest->newer = e;
    else d->oldest = e;
    d->newest = e;
}

static void used(struct shelf_shard *d, struct shelf_entry *e)
{
    if (d->newest == e) return;
    unlink_used(d, e);
    link_newest(d, e);
}

/* Takes it out of the chain that `at` points into. */
static void drop(struct shelf_shard *d, struct shelf_entry **at)
{
    struct shelf_entry *e = *at;
    *at = e->next;
    unlink_used(d, e);
    d->n--;
    d->bytes -= e->bytes;
    shelf_release(e->shelf);
    free(e);
}

static void make_room(struct shelves *v, struct shelf_shard *d)
{
    const int64_t beside = atomic_load_explicit(&kept_bytes, memory_order_relaxed) / SHELF_SHARDS;
    while (d->oldest != NULL && d->oldest != d->newest && (int64_t)d->bytes + beside > (int64_t)v->budget)
        drop(d, place_of(d, (struct str){d->oldest->name, d->oldest->n}, d->oldest->hash));
}

static void grow(struct shelf_shard *d)
{
    const size_t n = 2 * d->n_chains;
    struct shelf_entry **chains = calloc(n, sizeof(struct shelf_entry *));
    if (chains == NULL) return; /* longer chains, that is all */
    for (size_t i = 0; i < d->n_chains; i++) {
        for (struct shelf_entry *e = d->chains[i], *next; e != NULL; e = next) {
            next = e->next;
            e->next = chains[e->hash & (n - 1)];
            chains[e->hash & (n - 1)] = e;
        }
    }
    free(d->chains);
    d->chains = chains;
    d->n_chains = n;
}

static struct shelf_entry *new_entry(struct shelf_shard *d, struct str name, uint64_t hash)
{
    struct shelf_entry *e = calloc(1, sizeof *e + name.n);
    if (e == NULL) return NULL;
    e->hash = hash;
    e->n = (uint32_t)name.n;
    memcpy(e->name, name.p, name.n);
    if (d->n >= d->n_chains) grow(d);
    struct shelf_entry **at = &d->chains[hash & (d->n_chains - 1)];
    e->next = *at;
    *at = e;
    link_newest(d, e);
    d->n++;
    return e;
}

/* What an entry holds, from now on; takes over the reference. */
void shelf_entry_set(struct shelf_shard *d, struct shelf_entry *e, const struct shelf *s, uint64_t seq, int64_t came_ns)
{
    shelf_release(e->shelf);
    d->bytes -= e->bytes;
    e->shelf = s;
    e->seq = seq;
    e->came_ns = came_ns;
    e->beside = 0;
    e->bytes = sizeof *e + e->n + size_of(s);
    d->bytes += e->bytes;
}

struct shelf_entry *shelf_entry_lock(struct shelves *v, struct str name, struct shelf_shard **out)
{
    const uint64_t hash = hash_of(v, name);
    struct shelf_shard *d = *out = shard_of(v, hash);
    pthread_mutex_lock(&d->lock);
    return *place_of(d, name, hash);
}

bool shelf_entry_counts(struct shelves *v, const struct shelf_entry *e)
{
    return e->seq >= changed_of(v, e->shelf->customer_no);
}

/* A load that began at `seq` has come in. Not kept: what has changed since, and what is older than what is there. */
static void come_in(struct shelves *v, struct str name, const struct shelf *s, uint64_t seq)
{
    const uint64_t hash = hash_of(v, name);
    struct shelf_shard *d = shard_of(v, hash);
    pthread_mutex_lock(&d->lock);
    struct shelf_entry *e = *place_of(d, name, hash);
    if (seq >= changed_of(v, s->customer_no) && (e == NULL || e->seq <= seq)) {
        if (e == NULL) e = new_entry(d, name, hash);
        if (e != NULL) {
            shelf_entry_set(d, e, shelf_retain(s), seq, clock_mono_ns());
            used(d, e);
            make_room(v, d);
        }
    }
    pthread_mutex_unlock(&d->lock);
}

const struct shelf *shelf_peek(struct service *svc, struct str customer_id)
{
    struct shelves *v = svc->shelves;
    struct shelf_shard *d;
    const struct shelf *s = NULL;
    struct shelf_entry *e = shelf_entry_lock(v, customer_id, &d);
    if (e != NULL && shelf_entry_counts(v, e)) {
        s = shelf_retain(e->shelf);
        used(d, e);
    }
    pthread_mutex_unlock(&d->lock);
    metric_add(s != NULL ? v->hits : v->misses, 1);
    return s;
}

/* What was read once and may still be given where nothing better is to be had. */
static const struct shelf *stale(struct shelves *v, struct str name)
{
    struct shelf_shard *d;
    const struct shelf *s = NULL;
    struct shelf_entry *e = shelf_entry_lock(v, name, &d);
    if (e != NULL && e->seq >= atomic_load(&shelf_bucket_of(v, e->shelf->customer_no)->forgotten)) s = shelf_retain(e->shelf);
    pthread_mutex_unlock(&d->lock);
    if (s != NULL) metric_add(metric(&looks, (const char *const[]){"stale"}), 1);
    return s;
}

void shelf_erase(struct service *svc, int64_t customer_no)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    shelf_forget(svc, &customer_no, 1); /* first: what is being read meanwhile does not come in */
    for (int k = 0; k < SHELF_SHARDS; k++) {
        struct shelf_shard *d = &v->shards[k];
        pthread_mutex_lock(&d->lock);
        for (size_t i = 0; i < d->n_chains; i++)
            for (struct shelf_entry **at = &d->chains[i]; *at != NULL;) {
                if ((*at)->shelf->customer_no == customer_no) drop(d, at);
                else at = &(*at)->next;
            }
        pthread_mutex_unlock(&d->lock);
    }
}

/* --- loading */

/* With which weights: those of the active recommender. */
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

/* Reads n names. out: n shelves, each with a reference of the caller's (NULL: no memory for it). */
static enum meros_code load(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, struct arena *arena,
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
        out[i] = made_of(&found[i], names[i], at, model_no);
        if (out[i] != NULL && out[i]->known) come_in(v, names[i], out[i], seq);
    }
    metric_observe(metric(&batches, NULL), (double)n);
    return MEROS_OK;
}

struct work {
    char ids[SHELF_BATCH][ID_MAX];
    struct str names[SHELF_BATCH];
    const struct shelf *shelves[SHELF_BATCH];
};

static void take(void *work, size_t at, const struct asker_link *link)
{
    struct work *w = work;
    const struct shelf_ask *ask = (const struct shelf_ask *)(const void *)link;
    memcpy(w->ids[at], ask->customer_id.p, ask->customer_id.n);
    w->names[at] = (struct str){w->ids[at], ask->customer_id.n};
}

static void answer(struct shelves *v, struct shelf_ask *ask, const struct shelf *s, enum meros_code rc, const struct meros_err *err)
{
    bool old = false;
    if (s == NULL && rc == MEROS_UNAVAILABLE) {
        s = stale(v, ask->customer_id);
        old = s != NULL;
    }
    ask->done(ask, s != NULL ? MEROS_OK : rc, s, old, err);
}

static void run(struct asker_reader *r, size_t n)
{
    struct shelves *v = r->ctx;
    struct work *w = r->work;
    struct asker_link **asks;
    struct meros_err err = MEROS_ERR_INIT;
    for (size_t i = 0; i < n; i++) w->shelves[i] = NULL;
    enum meros_code rc = asker_connect(r, &err);
    if (rc == MEROS_OK) rc = load(v, r->conn, w->names, n, &r->arena, w->shelves, &err);
    rc = asker_failed(rc, &err);
    if (rc == MEROS_OK) err_set(&err, MEROS_OUT_OF_MEMORY, "Out of memory."); /* for whoever has none below */
    const size_t left = asker_claim(r, &asks);
    for (size_t i = 0; i < left; i++) answer(v, (struct shelf_ask *)(void *)asks[i], w->shelves[i], err.code, &err);
    for (size_t i = left; i < n; i++) shelf_release(w->shelves[i]);
}

static void refuse(struct asker_link *link, const struct meros_err *err)
{
    struct shelf_ask *ask = (struct shelf_ask *)(void *)link;
    answer(ask->svc->shelves, ask, NULL, err->code, err);
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

/* --- warming */

static bool wait_for_call(struct shelves *v)
{
    pthread_mutex_lock(&v->warm_lock);
    while (!v->warm_called && !v->stopping) pthread_cond_wait(&v->warm_wake, &v->warm_lock);
    v->warm_called = false;
    const bool stop = v->stopping;
    pthread_mutex_unlock(&v->warm_lock);
    return !stop;
}

static bool go_on(struct shelves *v)
{
    nanosleep(&(struct timespec){.tv_nsec = WARM_PAUSE_MS * 1000000L}, NULL);
    pthread_mutex_lock(&v->warm_lock);
    const bool stop = v->stopping || v->warm_called;
    pthread_mutex_unlock(&v->warm_lock);
    return !stop;
}

static size_t bytes_now(struct shelves *v, size_t *out_names)
{
    size_t bytes = 0;
    *out_names = 0;
    for (int k = 0; k < SHELF_SHARDS; k++) {
        pthread_mutex_lock(&v->shards[k].lock);
        bytes += v->shards[k].bytes;
        *out_names += v->shards[k].n;
        pthread_mutex_unlock(&v->shards[k].lock);
    }
    return bytes;
}

static bool at_hand(struct shelves *v, struct str name)
{
    struct shelf_shard *d;
    struct shelf_entry *e = shelf_entry_lock(v, name, &d);
    const bool there = e != NULL && shelf_entry_counts(v, e);
    pthread_mutex_unlock(&d->lock);
    return there;
}

/* Half of the memory at most: the rest is for those who come. */
static enum meros_code warm_names(struct shelves *v, struct store_conn *c, const struct str *names, size_t n, struct meros_err *err)
{
    const struct shelf *shelves[SHELF_BATCH];
    struct str some[SHELF_BATCH];
    enum meros_code rc = MEROS_OK;
    size_t at_names, read = 0;
    for (size_t i = 0; i < n && rc == MEROS_OK && go_on(v) && bytes_now(v, &at_names) < v->budget * SHELF_SHARDS / 2;) {
        struct arena arena;
        size_t m = 0;
        arena_init(&arena, QUERY_MEMORY);
        for (; i < n && m < SHELF_BATCH; i++)
            if (!at_hand(v, names[i])) some[m++] = names[i];
        if (m > 0) rc = load(v, c, some, m, &arena, shelves, err);
        for (size_t k = 0; k < m && rc == MEROS_OK; k++) {
            if (shelves[k] != NULL) recommend_prepare(v->svc, shelves[k]);
            shelf_release(shelves[k]);
        }
        read += m;
        arena_done(&arena);
    }
    if (rc == MEROS_OK && read > 0) log_info("shelves.warm", KV_I("customers", (int64_t)read));
    return rc;
}

static enum meros_code warm_all(struct shelves *v, struct meros_err *err)
{
    struct store_conn *c = NULL;
    struct arena arena;
    const struct str *names;
    size_t n = 0;
    enum meros_code rc = store_connect(v->svc->store, &c, err);
    if (rc != MEROS_OK) return rc;
    arena_init(&arena, QUERY_MEMORY);
    rc = store_set_generic_plans(c, err);
    if (rc == MEROS_OK) rc = store_shelves_active(c, WARM_MAX, &arena, &names, &n, err);
    if (rc == MEROS_OK) rc = warm_names(v, c, names, n, err);
    arena_done(&arena);
    store_disconnect(c);
    return rc;
}

static void *warming(void *arg)
{
    struct shelves *v = arg;
    struct meros_err err = MEROS_ERR_INIT;
    while (wait_for_call(v)) {
        err_clear(&err);
        if (warm_all(v, &err) != MEROS_OK && err.code != MEROS_UNAVAILABLE) log_warn("shelves.warm", KV("detail", err.detail));
    }
    return NULL;
}

void shelf_warm(struct service *svc)
{
    struct shelves *v = svc->shelves;
    struct interaction_weights weights;
    if (v == NULL) return;
    shelf_weights(v, &weights);
    pthread_mutex_lock(&v->warm_lock);
    const bool differ = !interaction_weights_equal(&weights, &v->weights);
    v->weights = weights;
    v->warm_called = true;
    pthread_cond_signal(&v->warm_wake);
    pthread_mutex_unlock(&v->warm_lock);
    if (differ) shelf_changed_all(svc);
}

/* --- life */

static void measure(void *arg)
{
    struct shelves *v = arg;
    size_t names;
    const size_t bytes = bytes_now(v, &names);
    metric_set(metric(&bytes_family, NULL), (double)bytes + (double)atomic_load(&kept_bytes));
    metric_set(metric(&kept_family, NULL), (double)names);
}

static enum meros_code make(struct service *svc, struct meros_err *err)
{
    struct shelves *v = svc->shelves = calloc(1, sizeof *v);
    if (v == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    v->svc = svc;
    v->budget = svc->settings.recommend_memory_bytes / SHELF_SHARDS;
    crypto_random(&v->seed, sizeof v->seed);
    pthread_mutex_init(&v->numbering, NULL);
    pthread_mutex_init(&v->warm_lock, NULL);
    pthread_cond_init(&v->warm_wake, NULL);
    for (int k = 0; k < SHELF_SHARDS; k++) {
        struct shelf_shard *d = &v->shards[k];
        pthread_mutex_init(&d->lock, NULL);
        d->n_chains = 64;
        if ((d->chains = calloc(d->n_chains, sizeof(struct shelf_entry *))) == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    }
    v->numbers = calloc((size_t)1 << SHELF_BUCKET_BITS, sizeof *v->numbers);
    if (v->numbers == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    v->hits = metric(&looks, (const char *const[]){"hit"});
    v->misses = metric(&looks, (const char *const[]){"miss"});
    v->weights = interaction_weights_default;
    return MEROS_OK;
}

enum meros_code shelf_start(struct service *svc, struct meros_err *err)
{
    enum meros_code rc = make(svc, err);
    struct shelves *v = svc->shelves;
    if (rc == MEROS_OK) rc = asker_start(&kind, v, svc->store, &v->asker, err);
    if (rc == MEROS_OK) rc = thread_start(&v->warmer, "shelf-warm", svc->settings.job_nice, warming, v, err);
    if (rc == MEROS_OK) {
        v->started = true;
        if (svc->listener != NULL) rc = listener_subscribe(svc, "meros_shelves", told, svc, err);
        if (rc == MEROS_OK && svc->listener != NULL) rc = listener_every(svc, 5, measure, v, err);
    }
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
    if (!v->started) return;
    pthread_mutex_lock(&v->warm_lock);
    v->stopping = true;
    pthread_cond_signal(&v->warm_wake);
    pthread_mutex_unlock(&v->warm_lock);
    pthread_join(v->warmer, NULL);
    v->started = false;
}

void shelf_free(struct service *svc)
{
    struct shelves *v = svc->shelves;
    if (v == NULL) return;
    svc->shelves = NULL;
    for (int k = 0; k < SHELF_SHARDS; k++) {
        struct shelf_shard *d = &v->shards[k];
        for (size_t i = 0; i < d->n_chains && d->chains != NULL; i++)
            while (d->chains[i] != NULL) drop(d, &d->chains[i]);
        free(d->chains);
        pthread_mutex_destroy(&d->lock);
    }
    asker_free(v->asker);
    pthread_mutex_destroy(&v->numbering);
    pthread_mutex_destroy(&v->warm_lock);
    pthread_cond_destroy(&v->warm_wake);
    free(v->numbers);
    free(v);
}
