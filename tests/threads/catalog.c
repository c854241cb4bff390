/* The catalogue in memory under ThreadSanitizer: threads that read all of it, others that put and delete products, an outsider whose
 * changes are heard of, sessions killed under its thread. Exit status 0: readers always saw mask, order and products that agree, and in
 * the end it is the table. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/catalog.h"
#include "meros/service/listener.h"
#include "meros/service/products.h"
#include "pg.c"

enum { READERS = 3, WRITERS = 2, EACH = 150, IDS = 30 };

static struct service svc;
static _Atomic bool enough;
static _Atomic int wrong, looked;

static enum meros_code ignore(void *arg, const struct product_record *r, struct meros_err *err)
{
    (void)arg, (void)r, (void)err;
    return MEROS_OK;
}

static bool agrees(size_t *out_eligible)
{
    size_t n, eligible = 0;
    bool ok = true;
    const struct catalog *c = catalog_read_begin(&svc);
    const uint32_t *order = catalog_by_sold(c, &n);
    const uint64_t *mask = catalog_eligible_mask(c);
    for (uint32_t k = 0; k < catalog_size(c); k++) {
        const struct catalog_product *p = catalog_at(c, k);
        ok &= catalog_find(c, p->product_id) == k && catalog_find_no(c, p->product_no) == k;
        ok &= catalog_eligible(p) == ((mask[k / 64] >> k % 64 & 1) != 0);
        ok &= p->deleted || !str_present(p->category) || catalog_in_category(p, STR("cat"));
        eligible += catalog_eligible(p);
    }
    for (size_t k = 0; k < n && n < 100; k++) ok &= order[k] < catalog_size(c); /* a bulk of changes is put in before its order is made */
    catalog_read_end(&svc);
    *out_eligible = eligible;
    return ok;
}

static void *reading(void *arg)
{
    size_t n;
    (void)arg;
    while (!enough) {
        if (!agrees(&n)) wrong++;
        looked++;
        nanosleep(&(struct timespec){0, 100000}, NULL);
    }
    return NULL;
}

static void *writing(void *arg)
{
    unsigned state = (unsigned)(uintptr_t)arg;
    for (int i = 0; i < EACH; i++) {
        struct meros_err err = MEROS_ERR_INIT;
        char id[16];
        bool created;
        state = state * 1664525u + 1013904223u;
        snprintf(id, sizeof id, "p%u", (state >> 16) % IDS);
        const struct product_record p = {.product_id = str_of(id), .name = STR("x"), .category = STR("cat/sub"), .available = state % 5 > 0, .attributes = STR("{}")};
        if ((state >> 8) % 4 == 0) (void)!service_delete_product(&svc, str_of(id), &err);
        else (void)!service_put_product(&svc, &p, &created, ignore, NULL, &err);
        if (i % 20 == 0) catalog_changed_many(&svc);
        if (i % 30 == 0) catalog_mentioned(&svc);
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t readers[READERS], writers[WRITERS];
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    if (!pg_server_start() || crypto_start(&err) != MEROS_OK) return 1;
    struct pg *db = pg_fresh();
    svc.store = db->pool;
    if (listener_new(&svc, &err) != MEROS_OK || catalog_start(&svc, &err) != MEROS_OK || listener_start(&svc, &err) != MEROS_OK) return 1;
    for (int i = 0; i < READERS; i++) pthread_create(&readers[i], NULL, reading, NULL);
    for (int i = 0; i < WRITERS; i++) pthread_create(&writers[i], NULL, writing, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 3; i++) {
        char sql[300];
        nanosleep(&(struct timespec){0, 100000000}, NULL);
        snprintf(sql, sizeof sql, "insert into products (product_no, product_id, category) "
                 "select nextval('product_nos'), 'other-%d-' || k, 'cat' from generate_series(1, 900) k; update products set price = %d where product_id like 'other-%%'", i, i);
        pg_run(db, sql);
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
    }
    for (int i = 0; i < WRITERS; i++) pthread_join(writers[i], NULL);
    const size_t wanted = (size_t)pg_int(db, "select count(*) from products where available and not deleted");
    size_t have = 0, in_order = 0;
    for (int ms = 0; ms < 60000 && (have != wanted || in_order != wanted); ms += 10) { /* the outsider's come by themselves */
        if (!agrees(&have)) wrong++;
        catalog_by_sold(catalog_read_begin(&svc), &in_order);
        catalog_read_end(&svc);
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    enough = true;
    for (int i = 0; i < READERS; i++) pthread_join(readers[i], NULL);
    listener_stop(&svc);
    catalog_stop(&svc);
    catalog_free(&svc);
    listener_free(&svc);
    pg_done(db);
    const bool right = wrong == 0 && have == wanted && in_order == wanted && looked > 0;
    if (!right) fprintf(stderr, "%d wrong of %d looks, %zu eligible and %zu in order of %zu\n", wrong, looked, have, in_order, wanted);
    return right ? 0 : 1;
}
