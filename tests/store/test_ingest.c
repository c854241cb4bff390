/* The ingest path over a database: batches, identity, statistics, poison, refusals. */
#include <math.h>
#include <pthread.h>
#include "import_support.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/domain/ingest.h"
#include "meros/service/ingest.h"
#include "meros/service/order_events.h"
#include "meros/store/customers.h"
#include "meros/store/store.h"
#include "store_priv.h"

static struct shop s;

static void open_path(struct service *svc)
{
    svc->settings.ingest_queue_items = 100000;
    svc->settings.ingest_queue_bytes = 64 << 20;
    cr_assert_eq(ingest_start(svc, &s.err), MEROS_OK, "%s", s.err.detail);
}

static void setup(void)
{
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    shop_open(&s);
    open_path(&s.svc);
}

static void teardown(void)
{
    ingest_stop(&s.svc);
    ingest_free(&s.svc);
    shop_close(&s);
}

TestSuite(ingest, .init = setup, .fini = teardown);

static struct ingest_item event(const char *customer, const char *type, const char *id)
{
    const struct str t = str_of(type);
    return (struct ingest_item){.kind = INGEST_EVENT, .customer_id = str_of(customer),
                                .event = {.type = t, .kind = event_kind_of(t), .event_id = id == NULL ? STR_NONE : str_of(id), .occurred_at = TIME_NONE}};
}

static struct ingest_item visit(const char *anonymous, const char *type, const char *id)
{
    struct ingest_item x = event(anonymous, type, id);
    x.anonymous = true;
    return x;
}

static enum meros_code try_land(struct service *svc, const struct ingest_item *items, size_t n, struct ingest_result *results, struct meros_err *err)
{
    struct ingest_request r = {.source = INGEST_FROM_EVENTS, .items = items, .n = n, .results = results};
    return ingest_land(svc, &r, err);
}

static void land(const struct ingest_item *items, size_t n, const char *verdicts)
{
    struct ingest_result results[64];
    cr_assert_eq(try_land(&s.svc, items, n, results, &s.err), MEROS_OK, "%s (%s)", s.err.detail, s.err.sqlstate);
    for (size_t i = 0; i < n; i++)
        cr_expect_eq("adr"[results[i].verdict], verdicts[i], "item %zu: %c, not %c", i, "adr"[results[i].verdict], verdicts[i]);
}
#define LAND(verdicts, ...)                                                                                  \
    land((struct ingest_item[]){__VA_ARGS__}, sizeof((struct ingest_item[]){__VA_ARGS__}) / sizeof(struct ingest_item), verdicts)

/* What the statistics are and what the raw rows say they should be: nothing may differ. */
static void expect_statistics_right(struct pg *db)
{
    EXPECT_TABLE(&(struct shop){.db = db},
        "select coalesce(s.customer_no, r.customer_no), coalesce(s.kind, r.kind), s.count, r.count, s.decayed, r.decayed "
        "from customer_event_stats s full join ("
        "  select customer_no, kind, count(*), sum(power(2, -extract(epoch from newest - occurred_at)::float8 / 86400 / 30)) as decayed, "
        "    newest, min(occurred_at) as first_at "
        "  from (select *, max(occurred_at) over (partition by customer_no, kind) as newest from events) e group by customer_no, kind, newest) r "
        "  on s.customer_no = r.customer_no and s.kind = r.kind "
        "where (s.count, s.decayed_at, s.first_at) is distinct from (r.count, r.newest, r.first_at) "
        "   or not abs(s.decayed - r.decayed) <= 1e-9 * r.decayed", "");
}

Test(ingest, what_is_told_to_have_landed_is_there_with_its_customer_and_product)
{
    struct ingest_item x = event("anna", "product_viewed", "e1");
    x.event.product_id = STR("mug");
    x.event.occurred_at = INT64_C(1768473000000000);
    x.event.value = (struct decimal){1250, 2, true};
    x.event.properties = STR("{\"a\":1}");
    LAND("a", x);
    EXPECT_TABLE(&s, "select i.customer_id, p.product_id, v.type, v.kind, v.occurred_at, v.value, v.quantity, v.properties, v.event_id "
                     "from events v join customer_ids i using (customer_no) join products p using (product_no)",
                 "anna|mug|product_viewed|0|2026-01-15 10:30:00+00|12.50|(null)|{\"a\": 1}|e1\n");
    EXPECT_TABLE(&s, "select c.customer_id, c.anonymous from customers c", "anna|f\n");
    EXPECT_TABLE(&s, "select count(distinct no), bool_and(customers = 1) from changed_customers cross join unnest(customer_nos) u (no)", "1|t\n");
    expect_statistics_right(s.db);
}

Test(ingest, duplicates_within_a_batch_and_across_batches_change_nothing)
{
    LAND("adad", event("a", "searched", "1"), event("a", "searched", "1"), event("a", "searched", "2"), event("a", "page_viewed", "2"));
    LAND("dad", event("a", "searched", "2"), event("b", "searched", "1"), event("a", "searched", "1"));
    LAND("add", event("c", "x", NULL), event("c", "x", NULL), event("c", "x", NULL));
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 4);
    cr_assert_eq(pg_int(s.db, "select count from customer_event_stats s join customer_ids i using (customer_no) where customer_id = 'a'"), 2);
    expect_statistics_right(s.db);
}

Test(ingest, the_same_event_by_an_import_is_a_duplicate)
{
    shop_import(&s, (struct import_options){.dataset = DATASET_EVENTS}, "customer_id,type,occurred_at,value,event_id\na,x,2026-01-15,1.50,\na,y,,,e9\n");
    struct ingest_item x = event("a", "x", NULL);
    x.event.occurred_at = INT64_C(1768435200000000);
    x.event.value = (struct decimal){15, 1, true};
    LAND("dda", x, event("a", "z", "e9"), event("a", "z", "e10"));
    expect_statistics_right(s.db);
}

Test(ingest, statistics_are_those_of_the_rows_whatever_comes_in_which_order)
{
    static const char *const types[] = {"page_viewed", "searched", "product_added", "odd"};
    char ids[40][16], names[12][8];
    unsigned random = 12345;
    for (int round = 0; round < 60; round++) {
        struct ingest_item items[40];
        const size_t n = 1 + (random >> 8) % 40;
        for (size_t i = 0; i < n; i++) {
            random = random * 1103515245u + 12345u;
            snprintf(names[i % 12], sizeof names[0], "c%u", (random >> 16) % 12);
            snprintf(ids[i], sizeof ids[0], "e%u", (random >> 8) % 500);
            items[i] = event(names[i % 12], types[(random >> 20) % 4], ids[i]);
            items[i].event.occurred_at = clock_now() - (int64_t)((random >> 4) % 40000000u) * 1000000;
        }
        struct ingest_result results[40];
        cr_assert_eq(try_land(&s.svc, items, n, results, &s.err), MEROS_OK, "%s", s.err.detail);
    }
    cr_assert_gt(pg_int(s.db, "select count(*) from events"), 300);
    expect_statistics_right(s.db);
}

Test(ingest, a_large_batch_lands_each_identity_once_and_knows_what_was_there)
{
    enum { N = 2000, DISTINCT = 1500 };
    static char ids[N][16], names[N][16];
    static struct ingest_item items[N];
    static struct ingest_result results[N];
    int verdicts[3] = {0};
    for (int i = 0; i < N; i++) {
        snprintf(ids[i], sizeof ids[0], "e%d", i % DISTINCT);
        snprintf(names[i], sizeof names[0], "c%d", i % DISTINCT % 70);
        items[i] = event(names[i], i % 3 ? "searched" : "odd", ids[i]);
        items[i].event.occurred_at = INT64_C(1768473000000000) + (int64_t)i * 1000000;
        items[i].event.product_id = i % 2 ? STR_NONE : str_of(names[i]);
    }
    LAND("aa", items[10], items[1499]); /* there before */
    cr_assert_eq(try_land(&s.svc, items, N, results, &s.err), MEROS_OK, "%s", s.err.detail);
    for (int i = 0; i < N; i++) verdicts[results[i].verdict]++;
    cr_expect_eq(verdicts[INGEST_ACCEPTED], DISTINCT - 2);
    cr_expect_eq(verdicts[INGEST_DUPLICATE], N - DISTINCT + 2);
    cr_expect_eq(results[3].verdict, INGEST_ACCEPTED, "of equal ones the first");
    cr_expect_eq(results[DISTINCT + 3].verdict, INGEST_DUPLICATE);
    cr_expect_eq(results[10].verdict, INGEST_DUPLICATE);
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), DISTINCT);
    cr_assert_eq(pg_int(s.db, "select count(*) from events where product_no is not null"), DISTINCT / 2);
    cr_assert_eq(pg_int(s.db, "select count(*) from events e join customers c using (customer_no) where e.event_id = 'e77' and c.customer_id = 'c7'"), 1);
    expect_statistics_right(s.db);
    cr_assert_eq(try_land(&s.svc, items, N, results, &s.err), MEROS_OK, "%s", s.err.detail);
    for (int i = 0; i < N; i++) cr_assert_eq(results[i].verdict, INGEST_DUPLICATE);
    items[500].event.event_id = STR("poisoned");
    items[500].event.properties = STR("{\"a\":\"\\u0000\"}");
    cr_assert_eq(try_land(&s.svc, items, N, results, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_expect_eq(results[500].verdict, INGEST_REJECTED);
    cr_expect_eq(results[501].verdict, INGEST_DUPLICATE);
    expect_statistics_right(s.db);
}

/* --- two services over one database, sending the same events at the same moment */

struct sender {
    struct service svc;
    pthread_t thread;
    int from, accepted, duplicates, failed;
};

enum { STORM = 400 };

static void *send_storm(void *arg)
{
    struct sender *x = arg;
    for (int i = 0; i < STORM; i++) {
        const int k = (i + x->from) % STORM;
        char customer[3][16], id[16], product[16];
        struct ingest_item items[3];
        struct ingest_result results[3];
        struct meros_err err = MEROS_ERR_INIT;
        for (int j = 0; j < 3; j++) {
            snprintf(customer[j], sizeof customer[j], "c%d", (k + j) % 50);
            snprintf(id, sizeof id, "e%d", k);
            snprintf(product, sizeof product, "p%d", k % 20);
            items[j] = event(customer[j], "searched", id);
            items[j].event.product_id = str_of(product);
        }
        if (try_land(&x->svc, items, 3, results, &err) != MEROS_OK) x->failed++;
        else for (int j = 0; j < 3; j++) x->accepted += results[j].verdict == INGEST_ACCEPTED, x->duplicates += results[j].verdict == INGEST_DUPLICATE;
    }
    return NULL;
}

Test(ingest, two_processes_that_send_the_same_land_each_event_once)
{
    struct sender senders[4] = {0};
    struct store_pool *pools[2];
    int accepted = 0, duplicates = 0;
    for (int p = 0; p < 2; p++) {
        struct store_config config = {.url = s.db->url, .max_connections = 3};
        cr_assert_eq(store_open(&config, &pools[p], &s.err), MEROS_OK);
    }
    struct service replicas[2];
    for (int p = 0; p < 2; p++) {
        replicas[p] = (struct service){.store = pools[p], .settings = s.svc.settings};
        open_path(&replicas[p]);
    }
    for (int k = 0; k < 4; k++) {
        senders[k].svc = replicas[k % 2];
        senders[k].from = k * 7;
        pthread_create(&senders[k].thread, NULL, send_storm, &senders[k]);
    }
    for (int k = 0; k < 4; k++) {
        pthread_join(senders[k].thread, NULL);
        accepted += senders[k].accepted, duplicates += senders[k].duplicates;
        cr_expect_eq(senders[k].failed, 0);
    }
    for (int p = 0; p < 2; p++) {
        ingest_stop(&replicas[p]);
        ingest_free(&replicas[p]);
        store_close(pools[p]);
    }
    cr_assert_eq(accepted, 3 * STORM);
    cr_assert_eq(duplicates, 9 * STORM);
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 3 * STORM);
    cr_assert_eq(pg_int(s.db, "select count(*) from customers"), 50);
    cr_assert_eq(pg_int(s.db, "select count(*) from products"), 20);
    expect_statistics_right(s.db);
}

/* --- values */

Test(ingest, any_text_comes_back_as_it_went_in)
{
    static const char *const texts[] = {"'; drop table events; --", "\\", "$1", "{\"", "NULL", "null", "{}", "\"", "{a,b}", "a,b",
                                        "\xc3\xa9\xf0\x9f\x98\x80", "%s%n", " leading", "trailing ", "\\x41", "E'\\n'"};
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++) {
        struct ingest_item x = event(texts[i], texts[i], texts[i]);
        x.event.product_id = str_of(texts[i]);
        LAND("a", x);
    }
    struct store_conn *c = pg_conn(s.db);
    static const struct sql ALL = {"test_texts", "select i.customer_id, v.type, v.event_id, p.product_id from events v "
                                   "join customer_ids i using (customer_no) join products p using (product_no) order by v.customer_no", SQL_ROWS};
    struct rows r;
    cr_assert_eq(sql_exec0(c, &ALL, &r, &s.err), MEROS_OK);
    cr_assert_eq(r.n, sizeof texts / sizeof texts[0]);
    for (size_t k = 0; k < r.n; k++)
        for (int col = 0; col < 4; col++) cr_expect(str_is(rows_text(&r, k, col), texts[k]), "%s", texts[k]);
    rows_done(&r);
}

Test(ingest, an_item_that_the_database_refuses_is_rejected_alone)
{
    struct ingest_item items[9];
    for (int i = 0; i < 9; i++) items[i] = event("a", "x", (const char *[]){"0", "1", "2", "3", "4", "5", "6", "7", "8"}[i]);
    items[3].event.properties = STR("{\"a\":\"\\u0000\"}"); /* what no decoder lets through */
    items[8].event.event_id = (struct str){"\0", 1};
    land(items, 9, "aaaraaaar");
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 7);
    land(items, 9, "dddrddddr");
    expect_statistics_right(s.db);
}

static struct ingest_item updated(const char *order, int nth, int revenue)
{
    static char ids[2 * ORDER_TOLD_MAX][16], properties[2 * ORDER_TOLD_MAX][80];
    snprintf(ids[nth], sizeof ids[nth], "u%d", nth);
    snprintf(properties[nth], sizeof properties[nth], "{\"order_id\":\"%s\",\"revenue\":%d}", order, revenue);
    struct ingest_item x = event("a", "order_updated", ids[nth]);
    x.event.occurred_at = INT64_C(1700000000000000) + nth;
    x.event.properties = str_of(properties[nth]);
    return x;
}

Test(ingest, as_many_events_speak_of_an_order_as_may_and_what_is_more_is_rejected_alone)
{
    static struct ingest_item items[ORDER_TOLD_MAX + 4];
    static struct ingest_result results[ORDER_TOLD_MAX + 4];
    const struct ingest_item other = updated("another", ORDER_TOLD_MAX + 10, 7);
    int n[3] = {0};
    for (int i = 0; i < ORDER_TOLD_MAX - 1; i++) items[i] = updated("undefined", i, i);
    cr_assert_eq(try_land(&s.svc, items, ORDER_TOLD_MAX - 1, results, &s.err), MEROS_OK, "%s", s.err.detail);
    for (int i = 0; i < ORDER_TOLD_MAX + 3; i++) items[i] = updated("undefined", i, i);
    items[ORDER_TOLD_MAX + 3] = items[ORDER_TOLD_MAX - 1]; /* the last that fits, again */
    cr_assert_eq(try_land(&s.svc, items, ORDER_TOLD_MAX + 4, results, &s.err), MEROS_OK, "%s", s.err.detail);
    for (int i = 0; i < ORDER_TOLD_MAX + 4; i++) n[results[i].verdict]++;
    cr_expect_eq(n[INGEST_ACCEPTED], 1);
    cr_expect_eq(n[INGEST_DUPLICATE], ORDER_TOLD_MAX);
    cr_expect_eq(n[INGEST_REJECTED], 3);
    cr_expect_eq(results[ORDER_TOLD_MAX + 2].verdict, INGEST_REJECTED);
    EXPECT_TABLE(&s, "select revenue::float8 from orders", "999\n");
    LAND("drad", items[0], items[ORDER_TOLD_MAX], other, items[5]);
    EXPECT_TABLE(&s, "select revenue::float8 from orders order by 1", "7\n999\n");
    EXPECT_TABLE(&s, "select count(*), count(*) filter (where properties ->> 'order_id' = 'undefined') from events", "1001|1000\n");
    expect_statistics_right(s.db);
}

Test(ingest, outcomes_land_once)
{
    struct ingest_item x = {.kind = INGEST_OUTCOME, .customer_id = STR("a"),
                            .outcome = {.campaign = STR("spring"), .type = OUTCOME_CONVERTED, .occurred_at = TIME_NONE, .value = {5, 0, true}}};
    struct ingest_item other = x;
    other.outcome.campaign = STR("autumn");
    LAND("adaa", x, x, other, event("a", "searched", NULL));
    LAND("dd", other, x);
    EXPECT_TABLE(&s, "select campaign, type, value from outcomes order by 1", "autumn|4|5\nspring|4|5\n");
}

#define NOT_NOTED "select customer_id from customers c where not exists (select from changed_customers n where c.customer_no = any(n.customer_nos)) order by 1"

Test(ingest, whoever_is_new_is_to_be_judged_whatever_was_said_of_them)
{
    struct ingest_item outcome = {.kind = INGEST_OUTCOME, .customer_id = STR("a"),
                                  .outcome = {.campaign = STR("spring"), .type = OUTCOME_SENT, .occurred_at = TIME_NONE}};
    LAND("a", outcome);
    EXPECT_TABLE(&s, NOT_NOTED, "");
    struct ingest_item alias = {.kind = INGEST_ALIAS, .customer_id = STR("b"), .previous_id = STR("c")}, nothing = {.kind = INGEST_TRAITS, .customer_id = STR("d")};
    LAND("aa", alias, nothing);
    EXPECT_TABLE(&s, "select customer_id from customers order by 1", "a\nb\nd\n");
    EXPECT_TABLE(&s, NOT_NOTED, "");
}

/* --- people */

Test(ingest, a_visitor_who_logs_in_brings_the_history_along)
{
    LAND("aa", visit("device-1", "page_viewed", "1"), visit("device-1", "page_viewed", "2"));
    cr_assert_eq(pg_int(s.db, "select count(*) from customers where anonymous"), 1);
    struct ingest_item login = event("anna", "signed_in", "3");
    login.anonymous_id = STR("device-1");
    LAND("a", login);
    LAND("da", visit("device-1", "page_viewed", "2"), visit("device-1", "page_viewed", "4"));
    login.event.event_id = STR("5"); /* by what is remembered of the pair, in one exchange */
    LAND("a", login);
    EXPECT_TABLE(&s, "select c.customer_id, c.anonymous, count(*) from customers c join events using (customer_no) group by 1, 2", "anna|f|5\n");
    expect_statistics_right(s.db);
}

Test(ingest, an_id_said_as_a_known_one_names_the_visitor)
{
    LAND("a", visit("x-1", "page_viewed", "1"));
    LAND("a", event("x-1", "page_viewed", "2"));
    EXPECT_TABLE(&s, "select customer_id, anonymous from customers", "x-1|f\n");
}

Test(ingest, an_alias_joins_two_customers_and_traits_change_them)
{
    LAND("aa", event("a", "searched", "1"), event("b", "searched", "1"));
    struct ingest_item alias = {.kind = INGEST_ALIAS, .customer_id = STR("a"), .previous_id = STR("b")};
    struct ingest_item traits = {.kind = INGEST_TRAITS, .customer_id = STR("b"),
                                 .traits = {.given = CHANGE_ATTRIBUTES, .created_at = TIME_NONE, .attributes = STR("{\"plan\":\"gold\"}")}};
    LAND("aaa", alias, traits, event("b", "searched", "2"));
    EXPECT_TABLE(&s, "select c.customer_id, c.attributes, (select count(*) from events v where v.customer_no = c.customer_no) from customers c",
                 "a|{\"plan\": \"gold\"}|2\n");
    expect_statistics_right(s.db);
}

Test(ingest, a_customer_who_was_erased_comes_into_being_anew)
{
    LAND("a", event("a", "searched", "1"));
    LAND("a", event("a", "searched", "2")); /* remembered as known */
    struct store_conn *c = pg_conn(s.db);
    struct erasure gone;
    cr_assert_eq(store_begin(c, &s.err), MEROS_OK);
    cr_assert_eq(customers_erase(c, STR("a"), &gone, &s.err), MEROS_OK);
    cr_assert_eq(store_commit(c, &s.err), MEROS_OK);
    LAND("a", event("a", "searched", "1"));
    LAND("dad", event("a", "searched", "1"), event("b", "searched", "1"), event("a", "searched", "1"));
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 2);
    cr_assert_eq(pg_int(s.db, "select count(*) from customers"), 2);
    expect_statistics_right(s.db);
}

struct landing_thread {
    pthread_t thread;
    int me, accepted;
    enum meros_code rc;
};

static void *land_the_same(void *arg)
{
    enum { ROUNDS = 30, EACH = 7 };
    struct landing_thread *t = arg;
    for (int k = 0; k < ROUNDS && t->rc == MEROS_OK; k++) {
        struct ingest_item items[EACH];
        struct ingest_result results[EACH];
        char ids[EACH][16], names[EACH][16];
        for (int i = 0; i < EACH; i++) {
            const int at = (i + t->me) % EACH; /* the same ones in another order */
            snprintf(ids[i], sizeof ids[0], "e%d-%d", k, at);
            snprintf(names[i], sizeof names[0], "c%d", at % 5);
            items[i] = event(names[i], "searched", ids[i]);
        }
        t->rc = try_land(&s.svc, items, EACH, results, NULL);
        for (int i = 0; i < EACH && t->rc == MEROS_OK; i++) t->accepted += results[i].verdict == INGEST_ACCEPTED;
    }
    return NULL;
}

Test(ingest, the_same_events_from_several_at_once_land_once)
{
    struct landing_thread t[6] = {0};
    int accepted = 0;
    for (int i = 0; i < 6; i++) {
        t[i].me = i;
        pthread_create(&t[i].thread, NULL, land_the_same, &t[i]);
    }
    for (int i = 0; i < 6; i++) {
        pthread_join(t[i].thread, NULL);
        cr_expect_eq(t[i].rc, MEROS_OK);
        accepted += t[i].accepted;
    }
    cr_expect_eq(accepted, 210);
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 210);
    cr_assert_eq(pg_int(s.db, "select count(*) from customers"), 5);
    expect_statistics_right(s.db);
}

/* --- a broker's offsets */

Test(ingest, offsets_land_with_the_batch_poison_or_not)
{
    struct ingest_offset offset = {.topic = STR("clicks"), .partition = 3, .from = -1, .next = 42};
    struct ingest_item items[2] = {event("a", "x", "1"), event("a", "x", "2")};
    struct ingest_result results[2];
    struct ingest_request r = {.source = INGEST_FROM_KAFKA, .items = items, .n = 2, .results = results, .offsets = &offset, .n_offsets = 1, .offsets_group = "meros"};
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);
    EXPECT_TABLE(&s, "select consumer_group, topic, partition, next_offset from kafka_offsets", "meros|clicks|3|42\n");
    items[1] = event("a", "x", "3");
    items[1].event.properties = STR("{\"a\":\"\\u0000\"}");
    offset.from = 42;
    offset.next = 44;
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(results[0].verdict, INGEST_DUPLICATE);
    cr_assert_eq(results[1].verdict, INGEST_REJECTED);
    offset.from = 44;
    offset.next = 45;
    r.n = 0;
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);
    EXPECT_TABLE(&s, "select next_offset from kafka_offsets", "45\n");
}

Test(ingest, a_reader_whose_place_another_has_moved_lands_nothing)
{
    struct ingest_offset offset = {.topic = STR("clicks"), .partition = 3, .from = -1, .next = 10};
    struct ingest_item items[2] = {event("a", "x", "1"), {.kind = INGEST_TRAITS, .customer_id = STR("a"), .traits = {.given = CHANGE_ATTRIBUTES, .created_at = TIME_NONE}}};
    struct ingest_result results[2];
    struct ingest_request r = {.source = INGEST_FROM_KAFKA, .items = items, .n = 2, .results = results, .offsets = &offset, .n_offsets = 1, .offsets_group = "meros"};
    items[1].traits.attributes = STR("{\"plan\":\"old\"}");
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);
    const struct ingest_offset first = offset;
    offset.from = 10;
    offset.next = 20;
    items[1].traits.attributes = STR("{\"plan\":\"new\"}");
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);

    offset = first; /* paused all the while, and never told that it landed */
    offset.next = 9;
    items[0] = event("a", "x", "2");
    items[1].traits.attributes = STR("{\"plan\":\"old\"}");
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_CANCELLED);
    offset.next = 25;
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_CANCELLED);
    EXPECT_TABLE(&s, "select attributes, (select count(*) from events), (select next_offset from kafka_offsets) from customers", "{\"plan\": \"new\"}|1|20\n");

    offset.from = 10; /* the second again, whose commit was in doubt: it has landed, and nothing happens */
    offset.next = 20;
    cr_assert_eq(ingest_land(&s.svc, &r, &s.err), MEROS_OK, "%s", s.err.detail);
    cr_assert_eq(results[0].verdict, INGEST_DUPLICATE);
    EXPECT_TABLE(&s, "select attributes, (select count(*) from events), (select next_offset from kafka_offsets) from customers", "{\"plan\": \"new\"}|1|20\n");
}

/* --- refusals */

struct answer {
    struct ingest_request r;
    struct ingest_item item;
    struct ingest_result result;
    char id[16];
    _Atomic int code; /* -1: none yet */
};

static void note_answer(struct ingest_request *r, enum meros_code rc, const struct meros_err *err)
{
    struct answer *a = r->arg;
    cr_assert(rc == MEROS_OK || (err != NULL && err->retry_after > 0), "a refusal says when to try again");
    a->code = (int)rc;
}

static enum meros_code submit(struct answer *a, int k, struct meros_err *err)
{
    snprintf(a->id, sizeof a->id, "e%d", k);
    a->item = event("a", "x", a->id);
    a->r = (struct ingest_request){.source = INGEST_FROM_EVENTS, .items = &a->item, .n = 1, .results = &a->result, .done = note_answer, .arg = a};
    a->code = -1;
    return ingest_submit(&s.svc, &a->r, err);
}

static void await(struct answer *a, int code)
{
    for (int i = 0; i < 6000 && a->code < 0; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    cr_assert_eq(a->code, code);
}

Test(ingest, while_an_import_holds_the_lock_events_wait_up_to_a_bound_and_not_for_ever)
{
    enum { WRITERS = 2, QUEUE = 10, LATE = WRITERS + QUEUE };
    struct answer a[LATE + 1];
    struct store_conn *c = pg_conn(s.db);
    static const struct sql HOLD = {"test_hold", "select pg_advisory_xact_lock(5565283021971719)", SQL_ROW};
    struct rows r;
    cr_assert_eq(store_begin(c, &s.err), MEROS_OK);
    cr_assert_eq(sql_exec0(c, &HOLD, &r, &s.err), MEROS_OK);
    rows_done(&r);
    s.svc.settings.ingest_queue_items = QUEUE;
    for (int i = 0; i < WRITERS; i++) { /* these are at the database, once the writers have taken them */
        cr_assert_eq(submit(&a[i], i, &s.err), MEROS_OK);
        while (pg_int(s.db, "select count(*) from pg_locks where locktype = 'advisory' and not granted"
                            " and database = (select oid from pg_database where datname = current_database())") <= i)
            nanosleep(&(struct timespec){0, 10000000}, NULL);
    }
    for (int i = WRITERS; i < LATE; i++) cr_assert_eq(submit(&a[i], i, &s.err), MEROS_OK);
    cr_assert_eq(submit(&a[LATE], LATE, &s.err), MEROS_RATE_LIMITED);
    cr_assert_gt(s.err.retry_after, 0);
    for (int i = 0; i < LATE; i++) await(&a[i], MEROS_UNAVAILABLE); /* while the statement is still stuck */
    cr_assert_eq(store_commit(c, &s.err), MEROS_OK);
    enum meros_code rc = MEROS_UNAVAILABLE;
    for (int i = 0; i < 6000 && (rc = submit(&a[LATE], LATE, &s.err)) != MEROS_OK; i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    cr_assert_eq(rc, MEROS_OK);
    await(&a[LATE], MEROS_OK);
    expect_statistics_right(s.db);
}

Test(ingest, a_connection_that_breaks_is_replaced_and_the_batch_tried_again)
{
    for (int i = 0; i < 20; i++) {
        char id[16];
        snprintf(id, sizeof id, "e%d", i);
        struct ingest_item x = event("a", "x", id);
        if (i % 4 == 2)
            pg_run(s.db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
        struct ingest_result result;
        enum meros_code rc = MEROS_UNAVAILABLE;
        for (int k = 0; k < 3000 && (rc = try_land(&s.svc, &x, 1, &result, &s.err)) == MEROS_UNAVAILABLE; k++)
            nanosleep(&(struct timespec){0, 20000000}, NULL);
        cr_assert_eq(rc, MEROS_OK, "%s", s.err.detail);
    }
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 20);
    expect_statistics_right(s.db);
}

Test(ingest, what_was_taken_is_landed_before_it_stops)
{
    struct answer a[40];
    for (int i = 0; i < 40; i++) cr_assert_eq(submit(&a[i], i, &s.err), MEROS_OK);
    ingest_stop(&s.svc);
    for (int i = 0; i < 40; i++) cr_assert_eq(a[i].code, MEROS_OK);
    struct answer late;
    cr_assert_eq(submit(&late, 41, &s.err), MEROS_UNAVAILABLE);
    cr_assert_eq(pg_int(s.db, "select count(*) from events"), 40);
}
