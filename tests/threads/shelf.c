/* Shelves in memory under ThreadSanitizer: threads that peek, ask and keep something beside shelves, others that say what changed and
 * erase, sessions killed under the readers, memory so short that shelves go all the time, stopping while questions come in. Exit
 * status 0: every question was answered once, no shelf was of somebody else or older than a change that its thread had made before, and all that was kept was freed. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/serving.h"
#include "meros/service/listener.h"
#include "meros/service/shelf.h"
#include "pg.c"

enum { ASKERS = 3, EACH = 500, CUSTOMERS = 40 };

static struct service svc;
static _Atomic int asked, answered, wrong, kept, freed;
static _Atomic bool enough;

struct question {
    struct shelf_ask ask;
    char name[16];
    int customer;
    _Atomic bool done;
};

static void free_kept(void *p)
{
    free(p);
    freed++;
}

static void look_at(const struct shelf *s, int customer)
{
    if (s->customer_no != customer || s->n != 2 || s->rows[0].customer_no != customer) wrong++;
    void *p = malloc(100);
    if (shelf_keep(s, p, 100, free_kept)) kept++;
    else free(p);
}

static void come(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *err)
{
    struct question *q = ask->arg;
    (void)stale, (void)err;
    if (rc == MEROS_OK) look_at(s, q->customer);
    shelf_release(s);
    answered++;
    q->done = true;
}

static void *asking(void *arg)
{
    unsigned state = (unsigned)(uintptr_t)arg;
    struct question *all = calloc(EACH, sizeof *all); /* they live until they are answered; freed with the process */
    for (int i = 0; i < EACH; i++) {
        struct question *q = &all[i];
        struct meros_err err = MEROS_ERR_INIT;
        state = state * 1664525u + 1013904223u;
        q->customer = 1 + (int)(state >> 16) % CUSTOMERS;
        snprintf(q->name, sizeof q->name, "c%d", q->customer);
        const struct shelf *s = shelf_peek(&svc, str_of(q->name));
        if (s != NULL) {
            look_at(s, q->customer);
            shelf_release(s);
            continue;
        }
        q->ask = (struct shelf_ask){.customer_id = str_of(q->name), .done = come, .arg = q};
        if (shelf_ask(&svc, &q->ask, &err) == MEROS_OK) asked++;
        for (int k = 0; k < 2000 && !q->done && i % 4 == 0; k++) nanosleep(&(struct timespec){0, 1000000}, NULL);
    }
    return NULL;
}

static void *changing(void *arg)
{
    (void)arg;
    for (int i = 0; !enough; i++) {
        const int64_t nos[] = {1 + i % CUSTOMERS, 1 + i * 7 % CUSTOMERS};
        shelf_changed(&svc, nos, 2);
        char name[16];
        snprintf(name, sizeof name, "c%d", (int)nos[1]);
        const struct shelf_event shown = {str_of(name), nos[1], 0, STR("page_viewed"), clock_now(), 0}; /* no rows: `wrong` counts them */
        shelf_add(&svc, &shown, 1, clock_mono_ns());
        const struct shelf *s = shelf_peek(&svc, STR("nobody"));
        if (s != NULL) wrong++;
        if (i % 50 == 0) shelf_forget(&svc, nos, 1);
        if (i % 100 == 0) shelf_erase(&svc, nos[0]);
        if (i % 300 == 0) shelf_changed_all(&svc);
        if (i % 500 == 0) shelf_warm(&svc);
        nanosleep(&(struct timespec){0, 200000}, NULL);
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t askers[ASKERS], changer;
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    if (!pg_server_start() || crypto_start(&err) != MEROS_OK) return 1;
    struct pg *db = pg_fresh();
    pg_run(db, "insert into customers (customer_no, customer_id) select k, 'c' || k from generate_series(1, 40) k;"
               "insert into customer_ids select 'c' || k, k from generate_series(1, 40) k;"
               "insert into products (product_no, product_id) select k, 'p' || k from generate_series(1, 9) k;"
               "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at) "
               "select k, 0, 2, 2, now(), now() from generate_series(1, 40) k;"
               "insert into events (customer_no, event_key, kind, type, occurred_at, product_no) "
               "select k, gen_random_uuid(), 0, 'product_viewed', '2026-01-01', p from generate_series(1, 40) k, generate_series(1, 2) p");
    svc.store = db->pool;
    svc.settings.recommend_memory_bytes = 64 * 400; /* a shelf a shard */
    if (listener_new(&svc, &err) != MEROS_OK || serving_start(&svc, &err) != MEROS_OK || shelf_start(&svc, &err) != MEROS_OK) return 1;
    if (listener_start(&svc, &err) != MEROS_OK) return 1;
    pthread_create(&changer, NULL, changing, NULL);
    for (int i = 0; i < ASKERS; i++) pthread_create(&askers[i], NULL, asking, (void *)(uintptr_t)(i + 1));
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){0, 100000000}, NULL);
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid();"
                   "insert into changed_customers (customers, customer_nos) values (1, array[3])");
    }
    for (int i = 0; i < ASKERS - 1; i++) pthread_join(askers[i], NULL);
    listener_stop(&svc);
    shelf_stop(&svc); /* beside the last one, perhaps */
    pthread_join(askers[ASKERS - 1], NULL);
    enough = true;
    pthread_join(changer, NULL);
    serving_stop(&svc);
    shelf_free(&svc);
    serving_free(&svc);
    listener_free(&svc);
    pg_done(db);
    const bool right = asked == answered && wrong == 0 && kept == freed && kept > 0;
    if (!right) fprintf(stderr, "%d asked, %d answered, %d wrong, %d kept, %d freed\n", asked, answered, wrong, kept, freed);
    return right ? 0 : 1;
}
