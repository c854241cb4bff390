/* The ingest path under ThreadSanitizer: threads that submit with and without waiting, sessions killed under the writer,
 * stopping while requests come in. Exit status 0: everything that was taken was answered once, and is in the table if the
 * answer said so. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/ingest.h"
#include "pg.c"

enum { THREADS = 4, EACH = 250 };

static struct service svc;
static _Atomic int taken, answered, landed, refused;

struct post {
    struct ingest_request r;
    struct ingest_item items[2];
    struct ingest_result results[2];
    char ids[2][24];
};

static void done(struct ingest_request *r, enum meros_code rc, const struct meros_err *err)
{
    (void)err;
    if (rc == MEROS_OK)
        for (size_t i = 0; i < r->n; i++) landed += r->results[i].verdict == INGEST_ACCEPTED;
    answered++;
}

static void *submit(void *arg)
{
    const int me = (int)(intptr_t)arg;
    struct post *posts = calloc(EACH, sizeof *posts); /* they live until they are answered; freed with the process */
    static const char *const customers[] = {"a", "b", "c"};
    for (int i = 0; i < EACH; i++) {
        struct post *p = &posts[i];
        struct meros_err err = MEROS_ERR_INIT;
        for (int k = 0; k < 2; k++) {
            snprintf(p->ids[k], sizeof p->ids[k], "%d-%d-%d", me, i, k);
            p->items[k] = (struct ingest_item){.kind = INGEST_EVENT, .customer_id = str_of(customers[(me + i) % 3]),
                                               .event = {.type = STR("searched"), .kind = EVENT_SEARCHED, .event_id = str_of(p->ids[k]), .occurred_at = TIME_NONE}};
        }
        p->r = (struct ingest_request){.source = INGEST_FROM_EVENTS, .items = p->items, .results = p->results, .n = 2, .done = done};
        if (i % 10 == 0) {
            if (ingest_land(&svc, &p->r, &err) == MEROS_OK)
                for (int k = 0; k < 2; k++) landed += p->results[k].verdict == INGEST_ACCEPTED;
        } else if (ingest_submit(&svc, &p->r, &err) == MEROS_OK) {
            taken++;
        } else {
            refused++;
        }
    }
    return NULL;
}

int main(void)
{
    struct meros_err err = MEROS_ERR_INIT;
    pthread_t threads[THREADS];
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    if (!pg_server_start() || crypto_start(&err) != MEROS_OK) return 1;
    struct pg *db = pg_fresh();
    svc.store = db->pool;
    svc.settings.activity_half_life_days = 30;
    svc.settings.ingest_queue_items = 300;
    svc.settings.ingest_queue_bytes = 1 << 20;
    if (ingest_start(&svc, &err) != MEROS_OK) return 1;
    for (int i = 0; i < THREADS; i++) pthread_create(&threads[i], NULL, submit, (void *)(intptr_t)i);
    for (int i = 0; i < 3; i++) {
        nanosleep(&(struct timespec){0, 50000000}, NULL);
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
    }
    for (int i = 0; i < THREADS - 1; i++) pthread_join(threads[i], NULL);
    ingest_stop(&svc); /* beside the last one, perhaps */
    pthread_join(threads[THREADS - 1], NULL);
    const long long rows = pg_int(db, "select count(*) from events"), sum = pg_int(db, "select sum(count) from customer_event_stats");
    ingest_free(&svc);
    pg_done(db);
    /* After a lost connection a batch that had landed is told as duplicates, so rows may be more than what was told as new. */
    const bool right = taken == answered && rows >= landed && sum == rows;
    if (!right || rows == 0)
        fprintf(stderr, "%d taken, %d answered, %d landed, %d refused, %lld rows, %lld counted\n", taken, answered, landed, refused, rows, sum);
    return right && rows > 0 ? 0 : 1;
}
