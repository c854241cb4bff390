/* What customers had to do with products, in memory: never older than what was committed before the question, given without the database
 * where it may be, and dropped when others change it. */
#include "import_support.h"
#include <pthread.h>
#include <time.h>
#include <math.h>
#include "meros/base/clock.h"
#include "meros/base/counters.h"
#include "meros/model/snapshot.h"
#include "meros/service/catalog.h"
#include "meros/service/customers.h"
#include "meros/service/ingest.h"
#include "meros/service/listener.h"
#include "meros/service/serving.h"
#include "meros/service/shelf.h"
#include "meros/service/sweeper.h"
#include "meros/store/interactions.h"

enum { LIMIT_MS = 60000 };

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static _Atomic bool listening;
static void listens(void *arg, const char *payload)
{
    (void)arg, (void)payload;
    listening = true;
}

static void on(struct shop *s, size_t memory)
{
    shop_open(s);
    struct service *svc = &s->svc;
    svc->settings.recommend_memory_bytes = memory;
    svc->settings.ingest_queue_items = 1000;
    svc->settings.ingest_queue_bytes = 1 << 20;
    pg_run(s->db, "insert into customers (customer_no, customer_id) select k, 'c' || k from generate_series(1, 200) k;"
                  "insert into customer_ids select 'c' || k, k from generate_series(1, 200) k;"
                  "insert into products (product_no, product_id) select k, 'p' || k from generate_series(1, 9) k;"
                  "select setval('customer_nos', 1000); select setval('product_nos', 1000);"
                  "insert into events (customer_no, event_key, kind, type, occurred_at, product_no) "
                  "select k, gen_random_uuid(), 0, 'product_viewed', '2026-01-01', p from generate_series(1, 200) k, generate_series(1, 3) p");
    cr_assert_eq(listener_new(svc, &s->err), MEROS_OK);
    cr_assert_eq(serving_start(svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(catalog_start(svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(shelf_start(svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(sweeper_start(svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(ingest_start(svc, &s->err), MEROS_OK, "%s", s->err.detail);
    cr_assert_eq(listener_subscribe(svc, "meros_shelves", listens, NULL, &s->err), MEROS_OK); /* told after the shelves were */
    cr_assert_eq(listener_start(svc, &s->err), MEROS_OK);
    for (int ms = 0; ms < LIMIT_MS && !listening; ms += 5) nap(5);
}

static void off(struct shop *s)
{
    struct service *svc = &s->svc;
    ingest_stop(svc);
    listener_stop(svc);
    sweeper_stop(svc);
    shelf_stop(svc);
    catalog_stop(svc);
    serving_stop(svc);
    sweeper_free(svc);
    shelf_free(svc);
    catalog_free(svc);
    serving_free(svc);
    ingest_free(svc);
    listener_free(svc);
    shop_close(s);
}

/* --- asking */

struct answer {
    struct shelf_ask ask;
    pthread_mutex_t lock;
    pthread_cond_t come;
    bool done, stale;
    enum meros_code rc;
    const struct shelf *s;
};

static void come(struct shelf_ask *ask, enum meros_code rc, const struct shelf *s, bool stale, const struct meros_err *err)
{
    struct answer *a = ask->arg;
    (void)err;
    pthread_mutex_lock(&a->lock);
    a->done = true;
    a->rc = rc;
    a->s = s;
    a->stale = stale;
    pthread_cond_signal(&a->come);
    pthread_mutex_unlock(&a->lock);
}

static void ask(struct shop *s, const char *name, struct answer *a)
{
    *a = (struct answer){.ask = {.customer_id = str_of(name), .done = come, .arg = a},
                         .lock = PTHREAD_MUTEX_INITIALIZER, .come = PTHREAD_COND_INITIALIZER};
    cr_assert_eq(shelf_ask(&s->svc, &a->ask, &s->err), MEROS_OK, "%s", s->err.detail);
}

static void await(struct answer *a)
{
    pthread_mutex_lock(&a->lock);
    while (!a->done) pthread_cond_wait(&a->come, &a->lock);
    pthread_mutex_unlock(&a->lock);
}

/* As a request does it: from memory, else from the database. Rows of it. */
static size_t rows_of(struct shop *s, const char *name)
{
    const struct shelf *have = shelf_peek(&s->svc, str_of(name));
    if (have == NULL) {
        struct answer a;
        ask(s, name, &a);
        await(&a);
        cr_assert_eq(a.rc, MEROS_OK);
        cr_assert(!a.stale);
        have = a.s;
    }
    const size_t n = have->n;
    shelf_release(have);
    return n;
}

static bool in_memory(struct shop *s, const char *name)
{
    const struct shelf *have = shelf_peek(&s->svc, str_of(name));
    shelf_release(have);
    return have != NULL;
}

static void await_gone(struct shop *s, const char *name)
{
    for (int ms = 0; ms < LIMIT_MS; ms += 5) {
        if (!in_memory(s, name)) return;
        nap(5);
    }
    cr_assert_fail("%s is still in memory", name);
}

/* --- doing */

static void event(struct shop *s, const char *customer, const char *type, const char *product, const char *id)
{
    struct ingest_item item = {.kind = INGEST_EVENT, .customer_id = str_of(customer),
                               .event = {.type = str_of(type), .kind = event_kind_of(str_of(type)), .event_id = str_of(id),
                                         .product_id = product == NULL ? STR_NONE : str_of(product), .occurred_at = TIME_NONE}};
    struct ingest_result result;
    struct ingest_request r = {.source = INGEST_FROM_EVENTS, .items = &item, .results = &result, .n = 1};
    cr_assert_eq(ingest_land(&s->svc, &r, &s->err), MEROS_OK, "%s", s->err.detail);
}

/* As another process would: with its note in the same transaction. */
static void event_of_another(struct shop *s, int customer, int product)
{
    char sql[512];
    snprintf(sql, sizeof sql,
             "begin; insert into events (customer_no, event_key, kind, type, occurred_at, product_no) "
             "values (%d, gen_random_uuid(), 0, 'product_viewed', now(), %d);"
             "insert into changed_customers (customers, customer_nos) values (1, array[%d]); commit", customer, product, customer);
    pg_run(s->db, sql);
}

Test(shelf_memory, an_event_changes_the_very_next_answer, .timeout = 300)
{
    struct shop s;
    char id[16];
    on(&s, 64 << 20);
    cr_assert_eq(rows_of(&s, "c1"), 3);
    cr_assert(in_memory(&s, "c1"));
    for (int k = 0; k < 50; k++) {
        char product[16];
        snprintf(id, sizeof id, "e%d", k);
        snprintf(product, sizeof product, "n%d", k);
        event(&s, "c1", "product_viewed", product, id);
        cr_assert_eq(rows_of(&s, "c1"), (size_t)4 + k);
    }
    event(&s, "c1", "product_viewed", "n1", "e1"); /* again: nothing is new */
    cr_assert_eq(rows_of(&s, "c1"), 53);
    off(&s);
}

Test(shelf_memory, names_that_nobody_has_are_not_kept_and_aliases_are_all_dropped, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    pg_run(s.db, "insert into customer_ids values ('alias', 2)");
    cr_assert_eq(rows_of(&s, "nobody"), 0);
    cr_assert(!in_memory(&s, "nobody"));
    cr_assert_eq(rows_of(&s, "alias"), 3);
    cr_assert_eq(rows_of(&s, "c2"), 3);
    cr_assert(in_memory(&s, "alias") && in_memory(&s, "c2"));
    event(&s, "c2", "product_viewed", "p7", "x");
    cr_assert_eq(rows_of(&s, "alias"), 4);
    off(&s);
}

Test(shelf_memory, what_another_process_did_is_heard_of_and_what_this_one_did_is_not_heard_of_twice, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    event(&s, "c3", "product_viewed", "p7", "x");
    cr_assert_eq(rows_of(&s, "c3"), 4);
    cr_assert_eq(rows_of(&s, "c4"), 3);
    for (int ms = 0; ms < LIMIT_MS && pg_int(s.db, "select count(*) from changed_customers") > 0; ms += 10) nap(10);
    event_of_another(&s, 4, 8); /* noted after ours was taken, so told after it */
    await_gone(&s, "c4");
    cr_assert(in_memory(&s, "c3"));
    cr_assert_eq(rows_of(&s, "c4"), 4);
    event_of_another(&s, 3, 8);
    await_gone(&s, "c3");
    cr_assert_eq(rows_of(&s, "c3"), 5);
    shelf_doubt(&s.svc); /* now its own notes are another's, too */
    event(&s, "c3", "page_viewed", NULL, "y");
    cr_assert_eq(rows_of(&s, "c3"), 5);
    await_gone(&s, "c3");
    off(&s);
}

Test(shelf_memory, many_changes_of_another_are_told_whole, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    cr_assert_eq(rows_of(&s, "c1"), 3);
    cr_assert_eq(rows_of(&s, "c200"), 3);
    pg_run(s.db, "insert into changed_customers (bulk, customers, customer_nos) "
                 "select true, 2000, array_agg(k + 90000000000) || 1::bigint || 200::bigint from generate_series(1, 1998) k");
    await_gone(&s, "c1");
    await_gone(&s, "c200");
    off(&s);
}

static void *hold_the_table(void *arg)
{
    pg_run(arg, "begin; lock table customers in access exclusive mode; select pg_sleep(1); commit");
    return NULL;
}

static pthread_t hold(struct shop *s)
{
    pthread_t t;
    pthread_create(&t, NULL, hold_the_table, s->db);
    for (int ms = 0; ms < LIMIT_MS; ms += 5) {
        if (pg_int(s->db, "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation = 'customers'::regclass") > 0) break;
        nap(5);
    }
    return t;
}

Test(shelf_memory, what_was_read_before_a_change_and_comes_in_after_it_is_not_kept, .timeout = 300)
{
    struct shop s;
    struct answer a;
    on(&s, 64 << 20);
    pthread_t t = hold(&s);
    ask(&s, "c5", &a);
    nap(100); /* whether the query has begun or not, it comes in after the change */
    shelf_changed(&s.svc, &(int64_t){5}, 1);
    await(&a);
    pthread_join(t, NULL);
    if (a.rc == MEROS_OK) shelf_release(a.s);
    /* A query that began after the change may be kept; ask again so that one certainly did. */
    const bool kept = in_memory(&s, "c5");
    cr_assert_eq(rows_of(&s, "c5"), 3);
    cr_assert(in_memory(&s, "c5"));
    cr_log_info("kept %d", kept);
    shelf_changed_all(&s.svc);
    cr_assert(!in_memory(&s, "c5"));
    off(&s);
}

Test(shelf_memory, with_the_database_away_what_was_read_once_is_given_unless_it_was_forgotten, .timeout = 300)
{
    struct shop s;
    struct answer a;
    on(&s, 64 << 20);
    for (int k = 6; k < 10; k++) cr_assert_eq(rows_of(&s, (char[]){'c', (char)('0' + k), 0}), 3);
    pg_run(s.db, "update pg_database set datallowconn = false where datname = current_database();"
                 "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
    shelf_changed(&s.svc, &(int64_t){6}, 1);
    shelf_forget(&s.svc, &(int64_t){7}, 1);
    shelf_erase(&s.svc, 8);
    cr_assert(in_memory(&s, "c9"));
    ask(&s, "c6", &a);
    await(&a);
    cr_assert(a.rc == MEROS_OK && a.stale && a.s->n == 3);
    shelf_release(a.s);
    ask(&s, "c7", &a);
    await(&a);
    cr_assert_eq(a.rc, MEROS_UNAVAILABLE);
    ask(&s, "c8", &a);
    await(&a);
    cr_assert_eq(a.rc, MEROS_UNAVAILABLE);
    off(&s);
}

/* --- events put into shelves that are there */

/* The weights of a model of its own, as training would publish them. */
static void publish_weights(struct shop *s, double half_life_days)
{
    struct snapshot *models = snapshot_new(0);
    struct recommender *r = recommender_new(1);
    cr_assert(r != NULL && models != NULL);
    r->weights = interaction_weights_default;
    r->weights.half_life_days = half_life_days;
    r->weights.other = .75;
    snapshot_add_recommender(models, &(struct snapshot_recommender){.recommender = r, .id = "mdl_x", .version = 1, .model_no = 7});
    snapshot_publish(serving_models(&s->svc), models);
}

static unsigned below(uint64_t *state, unsigned n)
{
    *state = *state * 6364136223846793005ull + 1442695040888963407ull;
    return (unsigned)(*state >> 33) % n;
}

static void random_event(struct shop *s, uint64_t *state, int step)
{
    static const char *const types[] = {"product_viewed", "product_added", "product_removed", "review_submitted", "recommendation_shown", "wished_for", "page_viewed"};
    char id[16], product[16], customer[16];
    const char *type = types[below(state, 7)];
    snprintf(id, sizeof id, "e%d", step);
    snprintf(product, sizeof product, "p%u", 1 + below(state, 9));
    snprintf(customer, sizeof customer, "c%u", 1 + below(state, 3));
    struct ingest_item item = {.kind = INGEST_EVENT, .customer_id = str_of(customer),
                               .event = {.type = str_of(type), .kind = event_kind_of(str_of(type)), .event_id = str_of(id), .occurred_at = TIME_NONE}};
    if (below(state, 8) > 0) item.event.product_id = str_of(product);
    if (below(state, 3) > 0) item.event.value = decimal_of(below(state, 7));
    if (below(state, 2) == 0) item.event.occurred_at = clock_now() - (int64_t)below(state, 400) * TIME_DAY / 4; /* late, or of long ago */
    if (below(state, 40) == 0) item.event.occurred_at = clock_now() + TIME_DAY / 2;
    struct ingest_result result;
    struct ingest_request r = {.source = INGEST_FROM_EVENTS, .items = &item, .results = &result, .n = 1};
    cr_assert_eq(ingest_land(&s->svc, &r, &s->err), MEROS_OK, "%s", s->err.detail);
}

static void as_the_database_says(struct shop *s, const char *name, const struct shelf *have, const struct interaction_weights *w)
{
    struct customer_shelf is;
    struct arena arena;
    arena_init(&arena, 1 << 20);
    struct store_conn *c = NULL;
    cr_assert_eq(store_acquire(s->db->pool, &c, &s->err), MEROS_OK);
    cr_assert_eq(store_shelves(c, &(struct str){name, strlen(name)}, 1, w, have->at, &arena, &is, &s->err), MEROS_OK, "%s", s->err.detail);
    store_release(s->db->pool, c);
    cr_assert(is.n == have->n && is.customer_no == have->customer_no && is.profiling == have->profiling, "%zu rows, %zu in memory", is.n, have->n);
    for (size_t k = 0; k < is.n; k++) {
        const struct interaction_row *a = &is.rows[k], *b = &have->rows[k];
        cr_assert(a->product_no == b->product_no && a->last_at == b->last_at && a->bought_at == b->bought_at && a->purchases == b->purchases &&
                      a->customer_no == b->customer_no, "%s: row %zu", name, k);
        cr_assert_leq(fabs(a->weight - b->weight), 1e-9 * fmax(1, fabs(a->weight)), "%s: %.17g is not %.17g", name, b->weight, a->weight);
    }
    arena_done(&arena);
}

static void events_make_what_a_reload_would(double half_life_days)
{
    struct shop s;
    uint64_t state = 5;
    int from_memory = 0;
    on(&s, 64 << 20);
    publish_weights(&s, half_life_days);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,amount\no1,c1,2026-01-01,p5,1,5\no2,c2,2026-01-02,p6,2,5\n");
    struct interaction_weights w = interaction_weights_default;
    w.half_life_days = half_life_days;
    w.other = .75;
    for (int step = 0; step < 500; step++) {
        random_event(&s, &state, step);
        for (int k = 1; k <= 3; k++) {
            const char *const names[] = {"c1", "c2", "c3"}, *name = names[k - 1];
            const struct shelf *have = shelf_peek(&s.svc, str_of(name));
            from_memory += have != NULL;
            if (have == NULL) {
                struct answer a;
                ask(&s, name, &a);
                await(&a);
                cr_assert_eq(a.rc, MEROS_OK);
                have = a.s;
            }
            cr_assert_eq(have->model_no, 7);
            as_the_database_says(&s, name, have, &w);
            shelf_release(have);
        }
    }
    cr_assert_gt(from_memory, 1000, "%d of 1500 from memory", from_memory);
    off(&s);
}

Test(shelf_memory, events_put_into_shelves_make_what_a_reload_would, .timeout = 300)
{
    events_make_what_a_reload_would(0);
}

Test(shelf_memory, events_put_into_shelves_make_what_a_reload_would_with_decay, .timeout = 300)
{
    events_make_what_a_reload_would(20);
}

Test(shelf_memory, what_is_no_interaction_leaves_what_is_kept_beside_a_shelf, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    char id[24];
    for (int k = 0; k < 40; k++) { /* each writer looks names up once; then both know them */
        snprintf(id, sizeof id, "known%d", k);
        event(&s, "c1", "product_viewed", k % 2 == 0 ? "p4" : "p5", id);
        cr_assert_eq(rows_of(&s, "c1"), k == 0 ? 4 : 5);
    }
    int kept = 0, put = 0;
    for (int k = 0; k < 40; k++) {
        cr_assert_eq(rows_of(&s, "c1"), 5);
        const struct shelf *before = shelf_peek(&s.svc, STR("c1"));
        snprintf(id, sizeof id, "shown%d", k);
        event(&s, "c1", "recommendation_shown", "p4", id);
        const struct shelf *after = shelf_peek(&s.svc, STR("c1"));
        kept += before != NULL && after == before;
        shelf_release(after);
        snprintf(id, sizeof id, "more%d", k);
        event(&s, "c1", "product_viewed", "p5", id);
        after = shelf_peek(&s.svc, STR("c1"));
        put += before != NULL && after != NULL && after != before && after->n == 5;
        shelf_release(after);
        shelf_release(before);
    }
    cr_assert(kept > 20 && put > 20, "%d kept, %d put in", kept, put);
    event(&s, "c1", "product_viewed", "p5", "more");
    event(&s, "c1", "product_viewed", "p5", "more"); /* again: of that nobody knows when it came */
    cr_assert(!in_memory(&s, "c1"));
    off(&s);
}

static int freed;
static void free_kept(void *p)
{
    freed++;
    free(p);
}

Test(shelf_memory, keeps_no_more_than_it_may_and_lets_go_of_what_is_beside_shelves_with_them, .timeout = 300)
{
    struct shop s;
    char name[16];
    on(&s, 64 * 1200); /* shards of 1200 bytes: three shelves or so each */
    for (int k = 1; k <= 200; k++) {
        snprintf(name, sizeof name, "c%d", k);
        cr_assert_eq(rows_of(&s, name), 3);
    }
    int n = 0;
    for (int k = 1; k <= 200; k++) {
        snprintf(name, sizeof name, "c%d", k);
        n += in_memory(&s, name);
    }
    cr_assert(n >= 60 && n < 190, "%d", n);
    cr_assert_eq(rows_of(&s, "c1"), 3);
    const struct shelf *one = shelf_peek(&s.svc, STR("c1"));
    cr_assert(one != NULL);
    void *p = malloc(10);
    cr_assert(shelf_keep(one, p, 10, free_kept));
    cr_assert(!shelf_keep(one, &s, 10, free_kept), "one thing is kept");
    shelf_release(one);
    shelf_erase(&s.svc, 1);
    cr_assert_eq(freed, 1);
    off(&s);
}

Test(shelf_memory, what_is_beside_shelves_goes_before_shelves_do, .timeout = 300)
{
    struct shop s;
    char name[16];
    freed = 0;
    on(&s, 64 * 8000); /* shards of 8000 bytes, three shelves of 400 bytes or so in each */
    for (int k = 1; k <= 200; k++) {
        snprintf(name, sizeof name, "c%d", k);
        cr_assert_eq(rows_of(&s, name), 3);
        const struct shelf *one = shelf_peek(&s.svc, str_of(name));
        cr_assert(one != NULL && shelf_keep(one, malloc(10), 1500, free_kept));
        shelf_release(one);
    }
    int bare = 0;
    for (int k = 1; k <= 200; k++) {
        snprintf(name, sizeof name, "c%d", k);
        const struct shelf *one = shelf_peek(&s.svc, str_of(name));
        cr_assert(one != NULL && one->n == 3, "%s", name);
        bare += one->kept == NULL;
        if (k == 200) cr_assert(one->kept != NULL, "the last one was asked for just now");
        shelf_release(one);
    }
    cr_assert(bare > 0 && bare == freed, "%d bare, %d freed", bare, freed);
    off(&s);
    cr_assert_eq(freed, 200);
}

static enum meros_code ignore(void *arg, const struct customer_record *r, struct meros_err *err)
{
    (void)arg, (void)r, (void)err;
    return MEROS_OK;
}

Test(shelf_memory, imports_consent_and_erasure_are_seen_by_the_next_question, .timeout = 300)
{
    struct shop s;
    struct erasure e;
    on(&s, 64 << 20);
    cr_assert_eq(rows_of(&s, "c10"), 3);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,amount\no1,c10,2026-01-01,fresh,1,5\n");
    cr_assert_eq(rows_of(&s, "c10"), 4);
    const struct catalog *c = catalog_read_begin(&s.svc);
    cr_assert_neq(catalog_find(c, STR("fresh")), CATALOG_NONE, "what an import made is in the catalogue before its answer");
    catalog_read_end(&s.svc);
    pg_run(s.db, "update customers set consent = '{}' where customer_no = 10");
    const struct shelf *have = shelf_peek(&s.svc, STR("c10"));
    cr_assert(have != NULL && have->profiling);
    shelf_release(have);
    struct customer_change change = {.given = CHANGE_CONSENT, .created_at = TIME_NONE, .consent = STR("{\"profiling\": false}")};
    bool created;
    cr_assert_eq(service_change_customer(&s.svc, STR("c10"), &change, &created, ignore, NULL, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(rows_of(&s, "c10"), 4);
    have = shelf_peek(&s.svc, STR("c10"));
    cr_assert(have != NULL && !have->profiling);
    shelf_release(have);
    cr_assert_eq(service_erase_customer(&s.svc, STR("c10"), &e, &s.err), MEROS_OK);
    cr_assert(!in_memory(&s, "c10"));
    cr_assert_eq(rows_of(&s, "c10"), 0);
    off(&s);
}

/* Of three products and eight orders of six customers: orders change and change hands, some lines come back, some have no quantity. */
static void import_orders_at_random(struct shop *s, uint64_t *state)
{
    struct buf b;
    buf_init(&b, 1 << 16);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,amount\n");
    for (unsigned order = below(state, 8), lines = 1 + below(state, 3), customer = 1 + below(state, 6); lines > 0; lines--) {
        buf_printf(&b, "o%u,c%u,2026-01-%02u,p%u,", order, customer, 1 + below(state, 3), 1 + below(state, 3));
        if (below(state, 4) == 0) buf_str(&b, ",5\n");
        else buf_printf(&b, "%d,5\n", (int)below(state, 4) - 2);
    }
    buf_char(&b, '\0');
    shop_orders(s, b.data);
    buf_done(&b);
}

static void import_events_at_random(struct shop *s, uint64_t *state)
{
    static const char *const types[] = {"product_viewed", "review_submitted", "order_completed"};
    struct buf b;
    buf_init(&b, 1 << 16);
    for (unsigned n = 1 + below(state, 2); n > 0; n--)
        buf_printf(&b, "{\"customer_id\":\"c%u\",\"type\":\"%s\",\"event_id\":\"i%u\",\"occurred_at\":\"2026-02-01\",\"product_id\":\"p%u\",\"value\":%u,"
                   "\"properties\":{\"order_id\":\"o%u\",\"products\":[{\"product_id\":\"p%u\",\"quantity\":1}]}}\n",
                   1 + below(state, 6), types[below(state, 3)], below(state, 6), 1 + below(state, 3), below(state, 6), below(state, 8), 1 + below(state, 3));
    buf_char(&b, '\0');
    shop_import(s, (struct import_options){.dataset = DATASET_EVENTS, .format = IMPORT_NDJSON}, b.data);
    buf_done(&b);
}

Test(shelf_memory, an_import_takes_out_whom_it_changed_and_nobody_else, .timeout = 300)
{
    struct shop s;
    uint64_t state = 11;
    int there = 0;
    on(&s, 64 << 20);
    shop_orders(&s, "order_id,customer_id,ordered_at,product_id,quantity,amount\no1,c1,2026-01-01,p1,1,5\n");
    for (int step = 0; step < 150; step++) {
        char name[16];
        for (int k = 1; k <= 12; k++) {
            snprintf(name, sizeof name, "c%d", k);
            rows_of(&s, name);
        }
        (below(&state, 3) == 0 ? import_events_at_random : import_orders_at_random)(&s, &state);
        for (int k = 1; k <= 12; k++) {
            snprintf(name, sizeof name, "c%d", k);
            const struct shelf *have = shelf_peek(&s.svc, str_of(name));
            if (have != NULL) as_the_database_says(&s, name, have, &interaction_weights_default);
            cr_assert(have != NULL || k <= 6, "%s was not in the file", name);
            there += have != NULL;
            shelf_release(have);
        }
    }
    cr_assert(there >= 150 * 8, "%d of %d are in memory", there, 150 * 12);
    cr_assert_lt(there, 150 * 12);
    off(&s);
}

/* Breaks each connection that holds the import lock, once it is seen to. */
static _Atomic bool broken;
static void *break_the_import(void *arg)
{
    for (int ms = 0; ms < LIMIT_MS && !broken; ms++) {
        broken = pg_int(arg, "select count(pg_terminate_backend(pid)) from pg_locks where locktype = 'advisory' and granted "
                             "and (classid::bigint << 32) + objid::bigint = 5565283021971719") > 0;
        nap(1);
    }
    return NULL;
}

Test(shelf_memory, where_it_is_not_known_what_an_import_landed_everybody_is_taken_out, .timeout = 300)
{
    struct shop s;
    pthread_t t;
    struct buf b;
    on(&s, 64 << 20);
    cr_assert_eq(rows_of(&s, "c200"), 3);
    buf_init(&b, 8 << 20);
    buf_str(&b, "order_id,customer_id,ordered_at,product_id,quantity,amount\n");
    for (int k = 0; k < 30000; k++) buf_printf(&b, "o%d,c%d,2026-01-01,p1,1,5\n", k, 1 + k % 100);
    buf_char(&b, '\0');
    broken = false;
    pthread_create(&t, NULL, break_the_import, s.db);
    shop_orders(&s, b.data);
    pthread_join(t, NULL);
    buf_done(&b);
    cr_assert(broken);
    cr_assert(!in_memory(&s, "c200"));
    cr_assert_eq(rows_of(&s, "c200"), 3);
    off(&s);
}

static double warm_looks(void)
{
    struct buf text;
    buf_init(&text, 1 << 20);
    metric_render(&text);
    buf_char(&text, '\0');
    const char *at = strstr(text.data, "\nmeros_shelf_warm_looks_total ");
    const double n = at == NULL ? 0 : atof(strchr(at + 1, ' '));
    buf_done(&text);
    return n;
}

Test(shelf_memory, only_another_recommender_is_warmed_for, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    for (int ms = 0; ms < LIMIT_MS && warm_looks() < 1; ms += 5) nap(5); /* when listening began */
    const double before = warm_looks();
    cr_assert_eq(before, 1);
    cr_assert_eq(rows_of(&s, "c1"), 3);
    for (int k = 0; k < 20; k++) {
        cr_assert_eq(serving_reload(&s.svc, &s.err), MEROS_OK); /* a segmentation, say */
        nap(10);
    }
    cr_assert(in_memory(&s, "c1"));
    cr_assert_eq(warm_looks(), before);
    publish_weights(&s, 3);
    shelf_models_changed(&s.svc);
    for (int ms = 0; ms < LIMIT_MS && warm_looks() == before; ms += 5) nap(5);
    cr_assert_eq(warm_looks(), before + 1);
    for (int ms = 0; ms < LIMIT_MS && !in_memory(&s, "c1"); ms += 5) nap(5); /* it was there, so it is read again */
    const struct shelf *one = shelf_peek(&s.svc, STR("c1"));
    cr_assert(one != NULL && one->model_no == 7, "other weights make other shelves");
    shelf_release(one);
    off(&s);
}

Test(shelf_memory, those_who_were_active_last_are_warmed, .timeout = 300)
{
    struct shop s;
    on(&s, 64 << 20);
    pg_run(s.db, "insert into customer_event_stats (customer_no, kind, count, decayed, decayed_at, first_at) "
                 "select k, 0, 3, 3, '2026-01-01', '2026-01-01' from generate_series(50, 60) k");
    shelf_warm(&s.svc);
    bool there = false;
    for (int ms = 0; ms < LIMIT_MS && !there; ms += 10) {
        there = in_memory(&s, "c50") && in_memory(&s, "c60");
        if (!there) nap(10);
    }
    cr_assert(there);
    cr_assert(!in_memory(&s, "c61"));
    off(&s);
}
