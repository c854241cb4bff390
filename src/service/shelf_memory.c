/* Shelves that are in memory, by name: what they are, which of them count, which go when memory is short.
 *
 * Entries are in shards by the hash of the name, each with a lock that is held for a look-up; what may be given is decided by
 * numbers (shelf.h) that are atomics of their own. A shelf that was given out lives on its references, whatever becomes of its entry. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "shelf_priv.h"

enum {
    CHAINS = 64, /* of a shard, to begin with */
    CHANGES_AT_ONCE = 2048
};

static struct metric_family looks = {.name = "meros_shelf_looks_total",
                                     .help = "Looks for what a customer had to do with products, by whether memory had it.",
                                     .kind = METRIC_COUNTER, .labels = {"outcome"}};

/* --- shelves */

/* Bytes of what is kept beside shelves (shelf_keep): of those of each shard that somebody still holds, and of those of none. */
static _Atomic int64_t beside[SHELF_SHARDS + 1];

void shelf_release(const struct shelf *s)
{
    if (s == NULL) return;
    struct shelf *mine = (struct shelf *)(uintptr_t)s; /* the count and what is kept are all that changes */
    if (atomic_fetch_sub_explicit(&mine->refs, 1, memory_order_acq_rel) != 1) return;
    void *kept = atomic_load_explicit(&mine->kept, memory_order_relaxed);
    if (kept != NULL) {
        mine->kept_free(kept);
        atomic_fetch_sub_explicit(&beside[mine->shard], (int64_t)mine->kept_bytes, memory_order_relaxed);
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
    shelf_keep_size(s, bytes);
    return true;
}

void shelf_keep_size(const struct shelf *s, size_t bytes)
{
    struct shelf *mine = (struct shelf *)(uintptr_t)s;
    atomic_fetch_add_explicit(&beside[mine->shard], (int64_t)bytes - (int64_t)atomic_exchange_explicit(&mine->kept_bytes, bytes, memory_order_relaxed),
                              memory_order_relaxed);
}

struct shelf *shelf_new(struct str customer_id, size_t n, struct interaction_row **out_rows)
{
    struct shelf *s = malloc(sizeof *s + n * sizeof(struct interaction_row) + customer_id.n + 1);
    if (s == NULL) return NULL;
    struct interaction_row *rows = (struct interaction_row *)(void *)(s + 1);
    char *id = (char *)(rows + n);
    if (customer_id.n > 0) memcpy(id, customer_id.p, customer_id.n);
    id[customer_id.n] = '\0';
    *s = (struct shelf){.customer_id = {id, customer_id.n}, .n = n, .rows = rows, .shard = SHELF_SHARDS};
    atomic_init(&s->refs, 1);
    *out_rows = rows;
    return s;
}

/* The same without what is kept beside it; NULL: no memory. */
static struct shelf *bare_copy(const struct shelf *s)
{
    struct interaction_row *rows;
    struct shelf *copy = shelf_new(s->customer_id, s->n, &rows);
    if (copy == NULL) return NULL;
    if (s->n > 0) memcpy(rows, s->rows, s->n * sizeof *rows);
    copy->customer_no = s->customer_no;
    copy->known = s->known;
    copy->profiling = s->profiling;
    copy->at = s->at;
    copy->model_no = s->model_no;
    copy->events = s->events;
    return copy;
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
    if (v == NULL) return;
    for (size_t i = 0; i < n;) { /* an import says many at once, and whoever puts an event into a shelf waits for the lock */
        pthread_mutex_lock(&v->numbering);
        const uint64_t now = atomic_fetch_add(&v->last, 1) + 1;
        for (size_t k = 0; k < CHANGES_AT_ONCE && i < n; k++, i++) {
            struct shelf_bucket *b = shelf_bucket_of(v, customer_nos[i]);
            if (forget) atomic_store(&b->forgotten, now);
            atomic_store(&b->changed, now);
        }
        pthread_mutex_unlock(&v->numbering);
    }
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
    if (d->rich == e) d->rich = e->newer;
}

static void link_newest(struct shelf_shard *d, struct shelf_entry *e)
{
    e->newer = NULL;
    e->older = d->newest;
    if (d->newest != NULL) d->newest->newer = e;
    else d->oldest = e;
    d->newest = e;
    if (d->rich == NULL) d->rich = e;
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

/* Lets go of what is beside the one whom nobody asked for the longest of those who may have something beside them. False: there is
 * none but the newest. */
static bool strip(struct shelf_shard *d)
{
    struct shelf_entry *e = d->rich;
    if (e == NULL || e == d->newest) return false;
    if (atomic_load_explicit(&e->shelf->kept, memory_order_relaxed) != NULL) {
        struct shelf *bare = bare_copy(e->shelf);
        const uint32_t n = e->beside;
        if (bare == NULL) return false;
        bare->shard = e->shelf->shard;
        shelf_entry_set(d, e, bare, e->seq, e->came_ns);
        e->beside = n;
    }
    d->rich = e->newer;
    return true;
}

/* What is beside shelves is made again from them, without the database: it may take half of the memory, and goes first. */
static void make_room(struct shelves *v, struct shelf_shard *d)
{
    const _Atomic int64_t *kept = &beside[d - v->shards];
    const int64_t budget = (int64_t)v->budget;
    while (d->oldest != d->newest && (int64_t)d->bytes + atomic_load(kept) > budget) {
        if (atomic_load(kept) > budget / 2 && strip(d)) continue;
        drop(d, place_of(d, (struct str){d->oldest->name, d->oldest->n}, d->oldest->hash));
    }
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
    const struct shelf *before = e->shelf;
    d->bytes -= e->bytes;
    e->shelf = s;
    e->seq = seq;
    e->came_ns = came_ns;
    e->beside = 0;
    e->bytes = sizeof *e + e->n + size_of(s);
    d->bytes += e->bytes;
    shelf_release(before);
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

void shelf_come_in(struct shelves *v, struct str name, struct shelf *s, uint64_t seq)
{
    const uint64_t hash = hash_of(v, name);
    struct shelf_shard *d = shard_of(v, hash);
    pthread_mutex_lock(&d->lock);
    struct shelf_entry *e = *place_of(d, name, hash);
    if (seq >= changed_of(v, s->customer_no) && (e == NULL || e->seq <= seq)) {
        if (e == NULL) e = new_entry(d, name, hash);
        if (e != NULL) {
            s->shard = (uint8_t)(d - v->shards);
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

const struct shelf *shelf_now(struct shelves *v, struct str name)
{
    struct shelf_shard *d;
    struct shelf_entry *e = shelf_entry_lock(v, name, &d);
    const struct shelf *s = e != NULL && shelf_entry_counts(v, e) ? shelf_retain(e->shelf) : NULL;
    pthread_mutex_unlock(&d->lock);
    return s;
}

const struct shelf *shelf_stale(struct shelves *v, struct str name)
{
    struct shelf_shard *d;
    const struct shelf *s = NULL;
    struct shelf_entry *e = shelf_entry_lock(v, name, &d);
    if (e != NULL && e->seq >= atomic_load(&shelf_bucket_of(v, e->shelf->customer_no)->forgotten)) s = shelf_retain(e->shelf);
    pthread_mutex_unlock(&d->lock);
    if (s != NULL) metric_add(metric(&looks, (const char *const[]){"stale"}), 1);
    return s;
}

const struct shelf *shelf_at_hand(struct service *svc, struct str customer_id, bool *out_stale)
{
    const struct shelf *s = shelf_now(svc->shelves, customer_id);
    *out_stale = false;
    if (s != NULL) return s;
    s = shelf_stale(svc->shelves, customer_id);
    *out_stale = s != NULL;
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

/* --- all of it */

size_t shelf_bytes(struct shelves *v, size_t *out_names)
{
    int64_t bytes = 0;
    size_t names = 0;
    for (int k = 0; k < SHELF_SHARDS; k++) {
        pthread_mutex_lock(&v->shards[k].lock);
        bytes += (int64_t)v->shards[k].bytes;
        names += v->shards[k].n;
        pthread_mutex_unlock(&v->shards[k].lock);
    }
    for (int k = 0; k <= SHELF_SHARDS; k++) bytes += atomic_load_explicit(&beside[k], memory_order_relaxed);
    if (out_names != NULL) *out_names = names;
    return bytes > 0 ? (size_t)bytes : 0;
}

/* Up to `most` of a shard, the last used one first. False: no memory. */
static bool names_of(struct shelf_shard *d, size_t most, struct arena *arena, struct str *out, size_t *out_n)
{
    bool ok = true;
    *out_n = 0;
    pthread_mutex_lock(&d->lock);
    for (const struct shelf_entry *e = d->newest; e != NULL && *out_n < most && ok; e = e->older) {
        char *name = arena_strndup(arena, e->name, e->n);
        ok = name != NULL;
        if (ok) out[(*out_n)++] = (struct str){name, e->n};
    }
    pthread_mutex_unlock(&d->lock);
    return ok;
}

enum meros_code shelf_names(struct shelves *v, size_t most, struct arena *arena, const struct str **out, size_t *out_n, struct meros_err *err)
{
    const size_t each = most / SHELF_SHARDS;
    struct str *names = arena_array(arena, SHELF_SHARDS * each, sizeof *names), *of = arena_array(arena, SHELF_SHARDS * each, sizeof *of);
    size_t n[SHELF_SHARDS], all = 0;
    if (names == NULL || of == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    for (size_t k = 0; k < SHELF_SHARDS; k++)
        if (!names_of(&v->shards[k], each, arena, of + k * each, &n[k])) return err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
    /* Names are spread evenly: one of each shard after the other is the order of use, as well as it has to be. */
    for (size_t i = 0; i < each; i++)
        for (size_t k = 0; k < SHELF_SHARDS; k++)
            if (i < n[k]) names[all++] = of[k * each + i];
    *out = names;
    *out_n = all;
    return MEROS_OK;
}

enum meros_code shelf_memory_new(struct shelves *v, size_t bytes, struct meros_err *err)
{
    v->budget = bytes / SHELF_SHARDS;
    crypto_random(&v->seed, sizeof v->seed);
    pthread_mutex_init(&v->numbering, NULL);
    for (int k = 0; k < SHELF_SHARDS; k++) pthread_mutex_init(&v->shards[k].lock, NULL);
    bool ok = (v->numbers = calloc((size_t)1 << SHELF_BUCKET_BITS, sizeof *v->numbers)) != NULL;
    for (int k = 0; k < SHELF_SHARDS && ok; k++) {
        v->shards[k].n_chains = CHAINS;
        ok = (v->shards[k].chains = calloc(CHAINS, sizeof(struct shelf_entry *))) != NULL;
    }
    v->hits = metric(&looks, (const char *const[]){"hit"});
    v->misses = metric(&looks, (const char *const[]){"miss"});
    return ok ? MEROS_OK : err_set(err, MEROS_OUT_OF_MEMORY, "Out of memory.");
}

void shelf_memory_free(struct shelves *v)
{
    for (int k = 0; k < SHELF_SHARDS; k++) {
        struct shelf_shard *d = &v->shards[k];
        for (size_t i = 0; i < d->n_chains && d->chains != NULL; i++)
            while (d->chains[i] != NULL) drop(d, &d->chains[i]);
        free(d->chains);
        pthread_mutex_destroy(&d->lock);
    }
    pthread_mutex_destroy(&v->numbering);
    free(v->numbers);
}
