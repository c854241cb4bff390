/* The sweeper under ThreadSanitizer, twice on one database, with those who follow changes of segments: customers change in
 * two threads while one service is stopped and started again and sessions are killed. Exit status 0: everybody was judged,
 * the record agrees with the memberships, and each follower heard each change once and in order. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/jobs.h"
#include "meros/service/listener.h"
#include "meros/service/segment_stream.h"
#include "meros/service/serving.h"
#include "meros/service/sweeper.h"
#include "meros/store/segment_changes.h"
#include "meros/store/stats.h"
#include "pg.c"

#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, err.detail);                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)

enum { CUSTOMERS = 60, ROUNDS = 60, RESTARTS = 3 };

static struct pg *db;
static struct service a, b;
static struct meros_err err;

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void on(struct service *svc)
{
    *svc = (struct service){.store = db->pool};
    svc->settings.job_workers = 1;
    svc->settings.job_retention_days = 30;
    svc->settings.training_threads = 1;
    svc->settings.training_memory_bytes = 256u << 20;
    svc->settings.activity_half_life_days = 30;
    CHECK(listener_new(svc, &err) == MEROS_OK);
    CHECK(serving_start(svc, &err) == MEROS_OK);
    CHECK(segment_stream_start(svc, &err) == MEROS_OK);
    CHECK(sweeper_start(svc, &err) == MEROS_OK);
    CHECK(jobs_start(svc, job_kinds, &err) == MEROS_OK);
    CHECK(listener_start(svc, &err) == MEROS_OK);
}

static void off(struct service *svc)
{
    segment_stream_stop(svc);
    CHECK(jobs_stop(svc, 60000));
    listener_stop(svc);
    sweeper_stop(svc);
    serving_stop(svc);
    jobs_free(svc);
    sweeper_free(svc);
    serving_free(svc);
    segment_stream_free(svc);
    listener_free(svc);
}

static void ended(void *arg, const struct job *job)
{
    *(enum job_state *)arg = job->state;
}

static void train(struct service *svc)
{
    static const char params[] = "{\"name\":\"activity\",\"k\":2,\"seed\":1,\"features\":[\"engagement_page_viewed\"]}";
    struct json *tree = NULL;
    enum job_state state = JOB_QUEUED;
    char id[JOB_ID_CAP];
    CHECK(json_parse(params, strlen(params), &tree, &err) == MEROS_OK);
    CHECK(jobs_create(svc, STR("train.segments"), tree, "", NULL, id, &err) == MEROS_OK);
    json_free(tree);
    while (!job_ended(state)) {
        CHECK(jobs_get(svc, str_of(id), ended, &state, &err) == MEROS_OK);
        nap(10);
    }
    CHECK(state == JOB_SUCCEEDED);
}

static void *browse(void *arg)
{
    unsigned seed = (unsigned)(uintptr_t)arg;
    char sql[700];
    for (int i = 0; i < ROUNDS; i++) {
        const int first = 1 + (int)(rand_r(&seed) % CUSTOMERS), last = first + 4 < CUSTOMERS ? first + 4 : CUSTOMERS;
        const int pages = rand_r(&seed) % 2 == 0 ? 2 : 220;
        snprintf(sql, sizeof sql,
                 "begin; select 1 from customer_event_stats where customer_no between %d and %d order by customer_no for update;"
                 "update customer_event_stats set count = %d, decayed = %d, decayed_at = now() where customer_no between %d and %d;"
                 "insert into changed_customers (customers, customer_nos) select count(*), array_agg(i) from generate_series(%d::bigint, %d) i; commit;",
                 first, last, pages, pages, first, last, first, last);
        pg_run(db, sql);
        sweeper_wake(&a);
        nap(2);
    }
    return NULL;
}

struct heard {
    _Atomic int changes, wrong, ends;
    int64_t last, refused; /* of the stream's own thread */
};

static enum segment_heard hear(void *arg, const struct segment_change *x, bool over)
{
    struct heard *h = arg;
    if (over) h->ends++;
    if (x == NULL) return over ? HEARD_ENOUGH : HEARD;
    if (x->change_no % 3 == 0 && h->refused != x->change_no) { /* comes again */
        h->refused = x->change_no;
        return HEARD_LATER;
    }
    h->wrong += x->change_no <= h->last;
    h->last = x->change_no;
    h->changes++;
    return HEARD;
}

static void follow(struct service *svc, struct heard *h)
{
    struct follower *f = NULL;
    enum meros_code rc;
    for (int i = 0; i < 3000 && (rc = segment_stream_prepare(svc, STR_NONE, STR_NONE, 0, hear, h, &f, &err)) != MEROS_OK; i++) nap(10);
    CHECK(f != NULL);
    segment_stream_begin(svc, f);
}

int main(void)
{
    static struct heard ha, hb[RESTARTS + 1];
    pthread_t browsers[2];
    if (!pg_server_start()) return 0;
    CHECK(crypto_start(&err) == MEROS_OK);
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    db = pg_fresh();
    pg_run(db, "insert into customers (customer_no, customer_id) select i, 'c' || i from generate_series(1, 60) i;"
               "insert into customer_ids (customer_id, customer_no) select 'c' || i, i from generate_series(1, 60) i;"
               "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at)"
               "  select i, 5, case when i % 2 = 0 then 200 else 1 end, case when i % 2 = 0 then 200 else 1 end, now(), now() from generate_series(1, 60) i");
    struct store_conn *c = pg_conn(db);
    CHECK(store_stats_set_half_life(c, 30, &err) == MEROS_OK);
    on(&a);
    on(&b);
    train(&a);
    follow(&a, &ha);
    follow(&b, &hb[0]);
    for (uintptr_t i = 0; i < 2; i++) CHECK(pthread_create(&browsers[i], NULL, browse, (void *)(i + 7)) == 0);
    for (int i = 1; i <= RESTARTS; i++) {
        nap(150);
        off(&b);
        on(&b);
        follow(&b, &hb[i]);
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()"
                   " and query <> '' and query not like '%generate_series%' order by random() limit 2");
    }
    for (int i = 0; i < 2; i++) pthread_join(browsers[i], NULL);
    for (int i = 0; i < 20000 && pg_int(db, "select (select count(*) from changed_customers) + (select count(*) from judged_meanwhile)") > 0; i++) nap(10);
    const long long news = pg_int(db, "select count(*) from segment_changes where news");
    for (int i = 0; i < 6000 && (ha.changes < news || hb[RESTARTS].changes < news); i++) nap(10);
    const long long odd = pg_int(db, "select count(*) from memberships m full join (select distinct on (customer_no, segmentation_no) * from segment_changes"
                                     "  order by customer_no, segmentation_no, change_no desc) h using (customer_no, segmentation_no)"
                                     " where h.entered is distinct from true or m.segment_id is distinct from h.segment_id or m.since is distinct from h.at");
    const long long misjudged = pg_int(db, "select count(*) from memberships m join customer_event_stats s using (customer_no)"
                                           " where (s.count > 100) <> (m.segment_id = (select segment_id from memberships join customer_event_stats using (customer_no)"
                                           "  where count > 100 limit 1))");
    off(&a);
    off(&b);
    pg_done(db);
    bool right = news > 0 && odd == 0 && misjudged == 0 && ha.changes == news && hb[RESTARTS].changes == news && ha.wrong == 0 && ha.ends == 1;
    for (int i = 0; i <= RESTARTS; i++) right &= hb[i].wrong == 0 && hb[i].ends == 1;
    printf("sweeper: %lld changes, %d and %d heard, %lld odd, %lld misjudged\n", news, ha.changes, hb[RESTARTS].changes, odd, misjudged);
    return right ? 0 : 1;
}
