/* Thread `catalog` reads what changed, counts what is sold, and now and then reads everything once more. Whoever changes the catalogue
 * in memory holds `writing`, so a writer may look at it without the reader-writer lock, and takes that only to put something in:
 * a few hundred products at a time, so that those who read never wait for a whole import.
 *
 * Each read of the database has a number, given before it begins; what a read says of a product stands against reads with lower
 * numbers, whichever comes in first: they cannot have seen more. changed_at says when a transaction began, so what changed since is
 * looked for from OVERLAP before the newest change that was seen. */
#include "meros/service/catalog.h"

#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/arena.h"
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/listener.h"
#include "meros/store/interactions.h"
#include "meros/store/store.h"
#include "catalog_priv.h"

enum {
    PAGE_BITS = 10, PAGE = 1 << PAGE_BITS,
    AT_ONCE = 256,      /* products put in under one hold of the lock */
    FEW = 64,           /* changes after which the order is mended rather than made anew */
    POLL_S = 10, SOLD_S = 300, ALL_S = 900, POKED_MS = 200,
    REST = 4,           /* the thread rests so many times as long as it worked */
    STATEMENT_MS = 600000
};
#define OVERLAP (120 * TIME_SECOND)

static struct metric_family products_family = {.name = "meros_catalog_products", .help = "Products in memory, those taken out of the catalogue included.", .kind = METRIC_GAUGE};
static struct metric_family bytes_family = {.name = "meros_catalog_bytes", .help = "Memory of the catalogue.", .kind = METRIC_GAUGE};

struct page {
    struct catalog_product products[PAGE];
    void *blocks[PAGE];   /* their attributes and texts */
    uint64_t reads[PAGE]; /* the number of the read that said so */
};

struct catalog {
    struct page **pages;
    size_t n, cap_pages, bytes;
    uint32_t *ids, *numbers; /* hash tables of slot + 1; 0: empty; no more than half full */
    size_t cap;              /* of each; a power of two */
    uint64_t seed;
    uint64_t *mask;          /* room for cap_pages * PAGE bits */
    uint32_t *order;         /* eligible slots; room for cap_pages * PAGE */
    size_t n_order;
};

struct catalog_holder {
    struct service *svc;
    struct catalog c;          /* under rw; changed under writing as well */
    pthread_rwlock_t rw;
    pthread_mutex_t writing;
    int64_t newest;            /* under writing: changed_at of the newest change that a read of changes saw; TIME_NONE: none */
    _Atomic uint64_t version, reads;

    pthread_t thread;
    bool started;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    bool poked, stopping;      /* under lock */
    struct store_conn *conn;   /* the thread's; under lock where it changes */
};

/* --- reading */

const struct catalog *catalog_read_begin(struct service *svc)
{
    pthread_rwlock_rdlock(&svc->catalog->rw);
    return &svc->catalog->c;
}

void catalog_read_end(struct service *svc)
{
    pthread_rwlock_unlock(&svc->catalog->rw);
}

uint64_t catalog_version(struct service *svc)
{
    return atomic_load(&svc->catalog->version);
}

size_t catalog_size(const struct catalog *c)
{
    return c->n;
}

static struct catalog_product *at(const struct catalog *c, uint32_t slot)
{
    return &c->pages[slot >> PAGE_BITS]->products[slot & (PAGE - 1)];
}

const struct catalog_product *catalog_at(const struct catalog *c, uint32_t slot)
{
    return at(c, slot);
}

const uint64_t *catalog_eligible_mask(const struct catalog *c)
{
    return c->mask;
}

const uint32_t *catalog_by_sold(const struct catalog *c, size_t *out_n)
{
    *out_n = c->n_order;
    return c->order;
}

static uint64_t hash_id(const struct catalog *c, struct str id)
{
    uint64_t h = c->seed;
    for (size_t i = 0; i < id.n; i++) h = (h ^ (unsigned char)id.p[i]) * UINT64_C(0x100000001B3);
    const unsigned __int128 m = (unsigned __int128)(h ^ id.n) * (UINT64_C(0x9E3779B97F4A7C15) ^ c->seed);
    return (uint64_t)m ^ (uint64_t)(m >> 64);
}

static uint64_t hash_no(int64_t no)
{
    return (uint64_t)no * UINT64_C(0x9E3779B97F4A7C15) >> 20;
}

/* The place of an id or number in its table, or the empty one where it would be. */
static size_t place_of_id(const struct catalog *c, struct str id)
{
    size_t k = hash_id(c, id) & (c->cap - 1);
    while (c->ids[k] != 0 && !str_eq(at(c, c->ids[k] - 1)->product_id, id)) k = (k + 1) & (c->cap - 1);
    return k;
}

static size_t place_of_no(const struct catalog *c, int64_t no)
{
    size_t k = hash_no(no) & (c->cap - 1);
    while (c->numbers[k] != 0 && at(c, c->numbers[k] - 1)->product_no != no) k = (k + 1) & (c->cap - 1);
    return k;
}

uint32_t catalog_find(const struct catalog *c, struct str product_id)
{
    return c->ids[place_of_id(c, product_id)] - 1; /* CATALOG_NONE where the place is empty */
}

uint32_t catalog_find_no(const struct catalog *c, int64_t product_no)
{
    return c->numbers[place_of_no(c, product_no)] - 1;
}

/* --- the order by what is sold */

static bool goes_before(const struct catalog *c, uint32_t a, uint32_t b)
{
    const struct catalog_product *x = at(c, a), *y = at(c, b);
    return x->sold != y->sold ? x->sold > y->sold : x->product_no > y->product_no;
}

/* Where slot stands or would stand: the first that does not go before it. */
static size_t place_in_order(const struct catalog *c, uint32_t slot)
{
    size_t low = 0, high = c->n_order;
    while (low < high) {
        const size_t mid = low + (high - low) / 2;
        if (goes_before(c, c->order[mid], slot)) low = mid + 1;
        else high = mid;
    }
    return low;
}

struct ranked {
    double sold;
    int64_t product_no;
    uint32_t slot;
};

static int by_rank(const void *a, const void *b)
{
    const struct ranked *x = a, *y = b;
    if (x->sold != y->sold) return x->sold > y->sold ? -1 : 1;
    return (x->product_no < y->product_no) - (x->product_no > y->product_no);
}

static enum meros_code no_memory(struct meros_err *err)
{
    return err_set(err, MEROS_OUT_OF_MEMORY, "No memory for the catalogue.");
}

/* Holding `writing`. sold: of each slot, NULL: as it is. */
static enum meros_code make_order(struct catalog_holder *h, const double *sold, struct meros_err *err)
{
    struct catalog *c = &h->c;
    struct ranked *all = malloc((c->n + 1) * sizeof *all);
    uint32_t *order = malloc((c->cap_pages * PAGE + 1) * sizeof *order), *old;
    size_t n = 0;
    if (all == NULL || order == NULL) {
        free(all);
        free(order);
        return no_memory(err);
    }
    for (uint32_t s = 0; s < c->n; s++) {
        const struct catalog_product *p = at(c, s);
        if (catalog_eligible(p)) all[n++] = (struct ranked){sold != NULL ? sold[s] : p->sold, p->product_no, s};
    }
    qsort(all, n, sizeof *all, by_rank);
    for (size_t k = 0; k < n; k++) order[k] = all[k].slot;
    pthread_rwlock_wrlock(&h->rw);
    old = c->order;
    c->order = order;
    c->n_order = n;
    for (uint32_t s = 0; s < c->n && sold != NULL; s++) at(c, s)->sold = sold[s];
    pthread_rwlock_unlock(&h->rw);
    atomic_fetch_add(&h->version, 1);
    free(old);
    free(all);
    return MEROS_OK;
}

/* --- putting products in. Under both locks, as all that follow. */

static bool rehash(struct catalog *c, size_t cap)
{
    uint32_t *ids = calloc(cap, sizeof *ids), *numbers = calloc(cap, sizeof *numbers);
    if (ids == NULL || numbers == NULL) {
        free(ids);
        free(numbers);
        return false;
    }
    free(c->ids);
    free(c->numbers);
    c->bytes += (cap - c->cap) * 2 * sizeof *ids;
    c->ids = ids;
    c->numbers = numbers;
    c->cap = cap;
    for (uint32_t s = 0; s < c->n; s++) {
        c->ids[place_of_id(c, at(c, s)->product_id)] = s + 1;
        c->numbers[place_of_no(c, at(c, s)->product_no)] = s + 1;
    }
    return true;
}

/* Room for one more. */
static bool make_room(struct catalog *c)
{
    if (c->n + 1 >= CATALOG_NONE || (2 * (c->n + 1) > c->cap && !rehash(c, 2 * c->cap))) return false;
    if (c->n < c->cap_pages * PAGE && c->pages[c->n >> PAGE_BITS] != NULL) return true;
    if (c->n == c->cap_pages * PAGE) {
        const size_t cap = 2 * c->cap_pages;
        struct page **pages = realloc(c->pages, cap * sizeof(struct page *));
        if (pages == NULL) return false;
        memset(pages + c->cap_pages, 0, (cap - c->cap_pages) * sizeof(struct page *));
        c->pages = pages;
        uint64_t *mask = realloc(c->mask, cap * PAGE / 8);
        if (mask == NULL) return false;
        c->mask = mask;
        memset(c->mask + c->cap_pages * PAGE / 64, 0, (cap - c->cap_pages) * PAGE / 8);
        uint32_t *order = realloc(c->order, (cap * PAGE + 1) * sizeof *order);
        if (order == NULL) return false;
        c->order = order;
        c->bytes += (cap - c->cap_pages) * (sizeof(struct page *) + PAGE / 8 + PAGE * sizeof *order);
        c->cap_pages = cap;
    }
    if ((c->pages[c->n >> PAGE_BITS] = calloc(1, sizeof(struct page))) == NULL) return false;
    c->bytes += sizeof(struct page);
    return true;
}

/* A product as it was read, with its attributes and texts in one block. */
struct staged {
    struct catalog_product p;
    void *block;
    size_t bytes;
};

static bool same(const struct catalog_product *a, const struct catalog_product *b)
{
    return a->available == b->available && a->deleted == b->deleted && (a->price == b->price || (isnan(a->price) && isnan(b->price))) &&
           str_present(a->name) == str_present(b->name) && str_eq(a->name, b->name) &&
           str_present(a->category) == str_present(b->category) && str_eq(a->category, b->category) &&
           a->n_attributes == b->n_attributes && (a->n_attributes == 0 || memcmp(a->attributes, b->attributes, a->n_attributes * sizeof *a->attributes) == 0);
}

static void take_out_of_order(struct catalog *c, uint32_t slot)
{
    const size_t k = place_in_order(c, slot);
    if (k == c->n_order || c->order[k] != slot) return;
    memmove(c->order + k, c->order + k + 1, (--c->n_order - k) * sizeof *c->order);
}

static void put_into_order(struct catalog *c, uint32_t slot)
{
    const size_t k = place_in_order(c, slot);
    memmove(c->order + k + 1, c->order + k, (c->n_order++ - k) * sizeof *c->order);
    c->order[k] = slot;
}

static size_t block_size(const struct catalog_product *p)
{
    return p->n_attributes * sizeof *p->attributes + p->product_id.n + p->name.n + p->category.n + 3;
}

/* Takes over x->block. mend: the order is kept right too. *changed: it was not so before. False: no memory. */
static bool put(struct catalog *c, struct staged *x, uint64_t read, bool mend, bool *changed)
{
    const size_t place = place_of_no(c, x->p.product_no);
    const bool known = c->numbers[place] != 0;
    uint32_t slot = known ? c->numbers[place] - 1 : (uint32_t)c->n;
    *changed = false;
    if (!known && !make_room(c)) return false;
    struct page *page = c->pages[slot >> PAGE_BITS];
    const uint32_t k = slot & (PAGE - 1);
    struct catalog_product *p = &page->products[k];
    if (known && (page->reads[k] > read || same(p, &x->p))) {
        if (page->reads[k] < read) page->reads[k] = read;
        return true;
    }
    const bool was = known && catalog_eligible(p), is = catalog_eligible(&x->p);
    if (was && !is && mend) take_out_of_order(c, slot);
    if (known) {
        c->bytes -= block_size(p);
        free(page->blocks[k]);
        x->p.sold = p->sold;
    }
    *p = x->p;
    page->blocks[k] = x->block;
    page->reads[k] = read;
    x->block = NULL;
    c->bytes += block_size(p);
    if (!known) {
        c->ids[place_of_id(c, p->product_id)] = ++c->n; /* make_room may have moved the tables */
        c->numbers[place_of_no(c, p->product_no)] = (uint32_t)c->n;
    }
    if (is) c->mask[slot / 64] |= UINT64_C(1) << slot % 64;
    else c->mask[slot / 64] &= ~(UINT64_C(1) << slot % 64);
    if (!was && is && mend) put_into_order(c, slot);
    *changed = true;
    return true;
}

/* --- from the database */

struct reading {
    struct staged *rows;
    size_t n, cap;
    int64_t newest;
};

static void move(struct str *s, char **to)
{
    if (!str_present(*s)) return;
    memcpy(*to, s->p, s->n);
    *s = (struct str){*to, s->n};
    *to += s->n + 1;
    (*to)[-1] = '\0';
}

static enum meros_code stage(void *arg, const struct catalog_row *row, struct meros_err *err)
{
    struct reading *r = arg;
    if (r->n == r->cap) {
        const size_t cap = r->cap == 0 ? 16 : 2 * r->cap;
        struct staged *rows = realloc(r->rows, cap * sizeof *rows);
        if (rows == NULL) return no_memory(err);
        r->rows = rows;
        r->cap = cap;
    }
    struct staged *x = &r->rows[r->n];
    x->p = (struct catalog_product){.product_no = row->product_no, .product_id = row->product_id, .name = row->name,
                                    .category = row->category, .n_attributes = catalog_attributes_read(row->attributes, NULL),
                                    .price = row->price, .available = row->available, .deleted = row->deleted};
    uint64_t *values = x->block = malloc(block_size(&x->p));
    if (x->block == NULL) return no_memory(err);
    x->p.attributes = values;
    (void)catalog_attributes_read(row->attributes, values);
    for (size_t i = 0; i < x->p.n_attributes; i++) x->p.attribute_bits |= UINT64_C(1) << values[i] % 64;
    char *to = (char *)(values + x->p.n_attributes);
    move(&x->p.product_id, &to);
    move(&x->p.name, &to);
    move(&x->p.category, &to);
    if (row->changed_at > r->newest) r->newest = row->changed_at;
    r->n++;
    return MEROS_OK;
}

static void reading_done(struct reading *r)
{
    for (size_t i = 0; i < r->n; i++) free(r->rows[i].block);
    free(r->rows);
}

/* Holding `writing`. */
static enum meros_code put_all(struct catalog_holder *h, struct reading *r, uint64_t read, struct meros_err *err)
{
    const bool mend = r->n <= FEW;
    bool ok = true;
    size_t n_changed = 0;
    for (size_t i = 0; i < r->n && ok;) {
        pthread_rwlock_wrlock(&h->rw);
        for (size_t k = 0; k < AT_ONCE && i < r->n && ok; k++, i++) {
            bool changed;
            ok = put(&h->c, &r->rows[i], read, mend, &changed);
            n_changed += changed;
        }
        pthread_rwlock_unlock(&h->rw);
    }
    if (n_changed > 0) atomic_fetch_add(&h->version, 1);
    if (!ok) return no_memory(err);
    return n_changed > 0 && !mend ? make_order(h, NULL, err) : MEROS_OK;
}

/* ids NULL: what changed since (all: everything). */
static enum meros_code read_in(struct catalog_holder *h, struct store_conn *c, bool all, const struct str *ids, size_t n, struct meros_err *err)
{
    struct reading r = {.newest = TIME_NONE};
    const uint64_t read = atomic_fetch_add(&h->reads, 1) + 1;
    pthread_mutex_lock(&h->writing);
    const int64_t newest = h->newest;
    pthread_mutex_unlock(&h->writing);
    const int64_t since = all || newest == TIME_NONE ? TIME_NONE : newest - OVERLAP;
    enum meros_code rc = ids != NULL ? store_catalog_some(c, ids, n, stage, &r, err) : store_catalog_read(c, since, stage, &r, err);
    if (rc == MEROS_OK) {
        pthread_mutex_lock(&h->writing);
        rc = put_all(h, &r, read, err);
        if (rc == MEROS_OK && ids == NULL && r.newest > h->newest) h->newest = r.newest;
        pthread_mutex_unlock(&h->writing);
    }
    reading_done(&r);
    return rc;
}

static void poke(struct catalog_holder *h)
{
    pthread_mutex_lock(&h->lock);
    h->poked = true;
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
}

static void look_now(struct service *svc, const struct str *ids, size_t n)
{
    struct catalog_holder *h = svc->catalog;
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c = NULL;
    if (h == NULL) return;
    enum meros_code rc = store_acquire(svc->store, &c, &err);
    if (rc == MEROS_OK) rc = read_in(h, c, false, ids, n, &err);
    store_release(svc->store, c);
    if (rc != MEROS_OK) poke(h);
}

void catalog_changed(struct service *svc, struct str product_id)
{
    look_now(svc, &product_id, 1);
}

void catalog_changed_many(struct service *svc)
{
    look_now(svc, NULL, 0);
}

void catalog_mentioned(struct service *svc)
{
    if (svc->catalog != NULL) poke(svc->catalog);
}

/* --- the thread */

struct counting {
    struct sold {
        int64_t product_no, customers;
    } *rows;
    size_t n, cap;
    bool failed;
};

static void count_sold(void *arg, int64_t product_no, int64_t customers)
{
    struct counting *x = arg;
    if (x->n == x->cap && !x->failed) {
        const size_t cap = x->cap == 0 ? 256 : 2 * x->cap;
        struct sold *rows = realloc(x->rows, cap * sizeof *rows);
        x->failed = rows == NULL;
        if (!x->failed) x->rows = rows, x->cap = cap;
    }
    if (!x->failed) x->rows[x->n++] = (struct sold){product_no, customers};
}

static enum meros_code put_sold(struct catalog_holder *h, const struct counting *x, struct meros_err *err)
{
    pthread_mutex_lock(&h->writing);
    double *sold = calloc(h->c.n + 1, sizeof *sold);
    enum meros_code rc = sold == NULL ? no_memory(err) : MEROS_OK;
    for (size_t i = 0; i < x->n && rc == MEROS_OK; i++) {
        const uint32_t slot = catalog_find_no(&h->c, x->rows[i].product_no);
        if (slot != CATALOG_NONE) sold[slot] = (double)x->rows[i].customers;
    }
    if (rc == MEROS_OK) rc = make_order(h, sold, err);
    pthread_mutex_unlock(&h->writing);
    free(sold);
    return rc;
}

static enum meros_code read_sold(struct catalog_holder *h, struct store_conn *c, struct meros_err *err)
{
    struct counting x = {0};
    enum meros_code rc = store_catalog_sold(c, count_sold, &x, err);
    if (rc == MEROS_OK && x.failed) rc = no_memory(err);
    if (rc == MEROS_OK) rc = put_sold(h, &x, err);
    free(x.rows);
    return rc;
}

/* Sleeps until it is due or somebody pokes. False: stop. */
static bool rest(struct catalog_holder *h, int64_t at_least_ns, int64_t until_ns)
{
    const int64_t from = clock_mono_ns();
    pthread_mutex_lock(&h->lock);
    for (;;) {
        const int64_t now = clock_mono_ns(), end = h->poked && from + at_least_ns < until_ns ? from + at_least_ns : until_ns;
        if (h->stopping || now >= end) break;
        const struct timespec t = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
        pthread_cond_timedwait(&h->wake, &h->lock, &t);
    }
    h->poked = false;
    const bool stop = h->stopping;
    pthread_mutex_unlock(&h->lock);
    return !stop;
}

static enum meros_code connected(struct catalog_holder *h, struct meros_err *err)
{
    if (h->conn != NULL && !store_broken(h->conn)) return MEROS_OK;
    struct store_conn *c = NULL, *old;
    enum meros_code rc = MEROS_OK;
    if (!store_available(h->svc->store)) rc = err_set(err, MEROS_UNAVAILABLE, "The database is away.");
    if (rc == MEROS_OK) rc = store_connect(h->svc->store, &c, err);
    pthread_mutex_lock(&h->lock);
    old = h->conn;
    h->conn = c;
    pthread_mutex_unlock(&h->lock);
    store_disconnect(old);
    return rc == MEROS_OK ? store_set_timeout(c, STATEMENT_MS, err) : rc;
}

static void measure(struct catalog_holder *h)
{
    pthread_mutex_lock(&h->writing);
    metric_set(metric(&products_family, NULL), (double)h->c.n);
    metric_set(metric(&bytes_family, NULL), (double)h->c.bytes);
    pthread_mutex_unlock(&h->writing);
}

static void *follow(void *arg)
{
    struct catalog_holder *h = arg;
    const int64_t s = 1000000000;
    int64_t sold_ns = 0, all_ns = clock_mono_ns() + ALL_S * s, took = 0;
    struct meros_err err = MEROS_ERR_INIT;
    bool said = false; /* that the last look failed */
    do {
        const int64_t from = clock_mono_ns();
        const bool all = from >= all_ns, sold = from >= sold_ns;
        enum meros_code rc = connected(h, &err);
        if (rc == MEROS_OK) rc = read_in(h, h->conn, all, NULL, 0, &err);
        if (rc == MEROS_OK && sold) rc = read_sold(h, h->conn, &err);
        took = clock_mono_ns() - from;
        if (rc == MEROS_OK && all) all_ns = clock_mono_ns() + ALL_S * s + REST * took;
        if (rc == MEROS_OK && sold) sold_ns = clock_mono_ns() + SOLD_S * s + REST * took;
        if (rc == MEROS_OK) measure(h);
        else if (!said && err.code != MEROS_CANCELLED) log_warn("catalog.read", KV("detail", err.detail), KV("sqlstate", err.sqlstate));
        said = rc != MEROS_OK;
        err_clear(&err);
    } while (rest(h, POKED_MS * INT64_C(1000000) + REST * took, clock_mono_ns() + (said ? 1 : POLL_S) * s + REST * took));
    return NULL;
}

static void told(void *arg, const char *payload)
{
    (void)payload;
    poke(arg);
}

/* --- life */

static enum meros_code make(struct service *svc, struct meros_err *err)
{
    struct catalog_holder *h = svc->catalog = calloc(1, sizeof *h);
    if (h == NULL) return no_memory(err);
    h->svc = svc;
    h->newest = TIME_NONE;
    pthread_rwlockattr_t writers_first; /* or readers who follow each other closely would keep a writer out for ever */
    pthread_rwlockattr_init(&writers_first);
    pthread_rwlockattr_setkind_np(&writers_first, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
    pthread_rwlock_init(&h->rw, &writers_first);
    pthread_rwlockattr_destroy(&writers_first);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&h->writing, NULL);
    pthread_mutex_init(&h->lock, NULL);
    pthread_cond_init(&h->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    struct catalog *c = &h->c;
    crypto_random(&c->seed, sizeof c->seed);
    c->cap_pages = 1;
    c->pages = calloc(1, sizeof(struct page *));
    c->mask = calloc(1, PAGE / 8);
    c->order = calloc(PAGE + 1, sizeof *c->order);
    return c->pages != NULL && c->mask != NULL && c->order != NULL && rehash(c, 2 * PAGE) ? MEROS_OK : no_memory(err);
}

enum meros_code catalog_take(struct service *svc, const struct catalog_row *rows, size_t n, struct meros_err *err)
{
    struct reading r = {.newest = TIME_NONE};
    enum meros_code rc = svc->catalog == NULL ? make(svc, err) : MEROS_OK;
    for (size_t i = 0; i < n && rc == MEROS_OK; i++) rc = stage(&r, &rows[i], err);
    if (rc == MEROS_OK) {
        struct catalog_holder *h = svc->catalog;
        const uint64_t read = atomic_fetch_add(&h->reads, 1) + 1;
        pthread_mutex_lock(&h->writing);
        rc = put_all(h, &r, read, err);
        pthread_mutex_unlock(&h->writing);
    }
    reading_done(&r);
    return rc;
}

enum meros_code catalog_start(struct service *svc, struct meros_err *err)
{
    struct store_conn *c = NULL;
    enum meros_code rc = make(svc, err);
    struct catalog_holder *h = svc->catalog;
    if (rc == MEROS_OK) rc = store_connect(svc->store, &c, err);
    if (rc == MEROS_OK) rc = store_set_timeout(c, STATEMENT_MS, err);
    if (rc == MEROS_OK) rc = read_in(h, c, true, NULL, 0, err);
    if (rc == MEROS_OK) {
        h->conn = c;
        rc = thread_start(&h->thread, "catalog", 0, follow, h, err);
        h->started = rc == MEROS_OK;
    } else {
        store_disconnect(c);
    }
    if (rc == MEROS_OK && svc->listener != NULL) rc = listener_subscribe(svc, "meros_products", told, h, err);
    if (rc == MEROS_OK) return MEROS_OK;
    catalog_stop(svc);
    catalog_free(svc);
    return rc;
}

void catalog_stop(struct service *svc)
{
    struct catalog_holder *h = svc->catalog;
    if (h == NULL || !h->started) return;
    pthread_mutex_lock(&h->lock);
    h->stopping = true;
    if (h->conn != NULL) store_cancel(h->conn);
    pthread_cond_signal(&h->wake);
    pthread_mutex_unlock(&h->lock);
    pthread_join(h->thread, NULL);
    h->started = false;
}

void catalog_free(struct service *svc)
{
    struct catalog_holder *h = svc->catalog;
    if (h == NULL) return;
    svc->catalog = NULL;
    struct catalog *c = &h->c;
    for (size_t i = 0; i < c->cap_pages && c->pages != NULL; i++) {
        for (int k = 0; k < PAGE && c->pages[i] != NULL; k++) free(c->pages[i]->blocks[k]);
        free(c->pages[i]);
    }
    free(c->pages);
    free(c->ids);
    free(c->numbers);
    free(c->mask);
    free(c->order);
    store_disconnect(h->conn);
    pthread_rwlock_destroy(&h->rw);
    pthread_mutex_destroy(&h->writing);
    pthread_mutex_destroy(&h->lock);
    pthread_cond_destroy(&h->wake);
    free(h);
}
