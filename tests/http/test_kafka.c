/* Events from Kafka and segment changes to it, with the real program against librdkafka's mock of a cluster. */
#include "kafka_mock.h"
#include "client.h"
#include "meros/store/ingest.h"
#include "pg.h"
#include <signal.h>

enum { PARTITIONS = 4 };

static struct instance a, b;
static struct mock k;
static struct pg *db;

static const char *setting(const char *name, const char *value)
{
    return text("%s=%s", name, value);
}

static void start(struct instance *s, const char *group, const char *changes_topic)
{
    instance_start(s, (const char *const[]){setting("MEROS_DATABASE_URL", db->url), setting("MEROS_KAFKA_BROKERS", k.brokers),
                                            "MEROS_KAFKA_TOPICS=clicks, calls", setting("MEROS_KAFKA_GROUP", group),
                                            setting("MEROS_KAFKA_CHANGES_TOPIC", changes_topic), NULL});
}

static void begin(void)
{
    db = pg_fresh();
    mock_start(&k, 1);
    mock_topic(&k, "clicks", PARTITIONS);
    mock_topic(&k, "calls", 1);
    mock_topic(&k, "calls.dlq", 1);
}

static void end(void)
{
    mock_stop(&k);
    pg_done(db);
}

/* Messages from..to of one stream: every third as Segment has it, the others as POST /v1/events. */
static void produce(int from, int to)
{
    for (int i = from; i < to; i++) {
        char value[400];
        if (i % 3 == 0)
            snprintf(value, sizeof value,
                     "{\"type\":\"track\",\"event\":\"Product Viewed\",\"userId\":\"c%d\",\"messageId\":\"e%d\","
                     "\"timestamp\":\"2026-01-02T03:04:05Z\",\"properties\":{\"product_id\":\"p%d\"}}", i % 300, i, i % 40);
        else
            snprintf(value, sizeof value,
                     "{\"customer_id\":\"c%d\",\"type\":\"product_viewed\",\"event_id\":\"e%d\",\"occurred_at\":\"2026-01-02T03:04:05Z\","
                     "\"product_id\":\"p%d\"}", i % 300, i, i % 40);
        mock_produce(&k, "clicks", i % PARTITIONS, text("c%d", i % 300), value);
    }
    mock_flush(&k);
}

static void await_count(const char *sql, long long want, double seconds)
{
    long long n = -1;
    for (double until = seconds_now() + seconds; seconds_now() < until; pause_ms(50))
        if ((n = pg_int(db, sql)) >= want) break;
    cr_assert_geq(n, want, "%s gives %lld, not %lld", sql, n, want);
}

/* The value of a line of /metrics that begins with this; -1 if there is none. */
static double metric_of(const struct instance *s, const char *line)
{
    client_use(s);
    const char *body = get("/metrics")->body;
    for (const char *at = body; (at = strstr(at, line)) != NULL; at++)
        if ((at == body || at[-1] == '\n') && at[strlen(line)] == ' ') return atof(at + strlen(line));
    return -1;
}

static void await_metric(const struct instance *s, const char *line, double want, double seconds)
{
    double v = -2;
    for (double until = seconds_now() + seconds; seconds_now() < until; pause_ms(100))
        if ((v = metric_of(s, line)) >= want) return;
    cr_assert_fail("%s is %g, not %g", line, v, want);
}

/* Whoever has the partition; the other one shows 0, or nothing if it never had it. */
static void await_no_lag(int partition)
{
    const char *line = text("meros_kafka_lag_messages{topic=\"clicks\",partition=\"%d\"}", partition);
    double of_a = -2, of_b = -2;
    for (double until = seconds_now() + 60; seconds_now() < until; pause_ms(100)) {
        of_a = metric_of(&a, line);
        of_b = metric_of(&b, line);
        if (of_a <= 0 && of_b <= 0 && (of_a == 0 || of_b == 0)) return;
    }
    cr_assert_fail("%s is %g and %g", line, of_a, of_b);
}

Test(kafka, every_message_counts_once_through_a_kill_and_a_second_member, .timeout = 400)
{
    enum { STEP = 20000, MORE = 2000 };
    static const char *const behind = "select (select count(*) from events) - (select sum(next_offset) from kafka_offsets where topic = 'clicks')";
    int n = 0;
    begin();
    for (bool struck = false; !struck; n += STEP) { /* until it is struck while there is more to read */
        cr_assert_lt(n, 5 * STEP, "it had read everything each time before it was struck");
        produce(n, n + STEP);
        if (n == 0) start(&a, "shop", "");
        else instance_again(&a);
        await_count("select count(*) from events", n + 2000, 120);
        instance_kill(&a);
        struck = pg_int(db, "select count(*) from events") < n + STEP;
        cr_assert_eq(pg_int(db, behind), 0, "offsets and events land together");
    }
    instance_again(&a);
    start(&b, "shop", "");
    await_count("select count(*) from events", n, 120);
    await_metric(&b, "meros_kafka_rebalances_total", 1, 60); /* at least: the slower of them may join later */
    instance_await_log(&a, "event=kafka.assigned partitions=", 60);
    produce(n, n + MORE);
    await_count("select count(*) from events", n + MORE, 120);
    cr_assert_eq(pg_int(db, "select count(distinct event_id) from events"), n + MORE);
    cr_assert_eq(pg_int(db, "select sum(next_offset) from kafka_offsets where topic = 'clicks'"), n + MORE);
    cr_assert_eq(pg_int(db, "select sum(count) from customer_event_stats"), n + MORE);
    cr_assert_gt(metric_of(&b, "meros_kafka_messages_total{topic=\"clicks\"}"), 0, "both members read");
    for (int i = 0; i < PARTITIONS; i++) await_no_lag(i);
    instance_done(&b);
    instance_done(&a);
    end();
}

static void identify(const char *plan)
{
    mock_produce(&k, "calls", 0, NULL, text("{\"type\":\"identify\",\"userId\":\"c1\",\"messageId\":\"%s\",\"traits\":{\"plan\":\"%s\"}}", plan, plan));
    mock_flush(&k);
}

static void await_plan(const char *plan)
{
    await_count(text("select count(*) from customers where attributes ->> 'plan' = '%s'", plan), 1, 120);
}

/* Paused in the middle of a batch, missed by the group, and then it goes on as if nothing had happened. */
Test(kafka, a_member_that_was_paused_and_lost_its_partitions_lands_nothing_of_what_it_held, .timeout = 400)
{
    static const char *const waits = "select count(*) from pg_locks where locktype = 'advisory' and not granted and mode = 'ShareLock'";
    struct meros_err err;
    begin();
    start(&a, "shop", "");
    identify("first");
    await_plan("first");
    struct store_conn *import = pg_conn(db);
    cr_assert_eq(store_begin(import, &err), MEROS_OK);
    cr_assert_eq(store_ingest_lock(import, true, &err), MEROS_OK, "%s", err.detail);
    identify("second");
    await_count(waits, 1, 60);
    instance_signal(&a, SIGSTOP);
    store_rollback(import);
    start(&b, "shop", "");
    await_plan("second"); /* after the group has missed the other one */
    identify("third");
    await_plan("third");
    instance_signal(&a, SIGCONT);
    identify("fourth"); /* whoever has the partition */
    await_plan("fourth");
    await_count("select count(*) from kafka_offsets where topic = 'calls' and next_offset = 4", 1, 60);
    for (double until = seconds_now() + 3; seconds_now() < until; pause_ms(100)) {
        cr_assert_eq(pg_int(db, "select count(*) from customers where attributes ->> 'plan' = 'fourth'"), 1, "an older message came over it");
        cr_assert_eq(pg_int(db, "select next_offset from kafka_offsets where topic = 'calls'"), 4);
    }
    instance_done(&b);
    instance_done(&a);
    end();
}

static void check_letter(const struct mock_message *m, const char *value, const char *headers)
{
    cr_assert_str_eq(m->value, value);
    cr_assert_not_null(strstr(m->headers, headers), "%s is not in %s", headers, m->headers);
    cr_assert_eq(strncmp(m->headers, "error=", 6), 0);
    cr_assert_gt(strcspn(m->headers + 6, ";"), 10, "the error is a sentence: %s", m->headers);
}

/* As seen from outside: connections are cut and refused. */
static void database(bool there)
{
    char sql[300];
    struct pg *other = pg_empty();
    snprintf(sql, sizeof sql, "alter database \"%s\" allow_connections %s", db->name, there ? "true" : "false");
    pg_run(other, sql);
    snprintf(sql, sizeof sql, "select pg_terminate_backend(pid) from pg_stat_activity where datname = '%s'", db->name);
    if (!there) pg_run(other, sql);
    pg_done(other);
}

Test(kafka, poison_goes_aside_and_neither_an_absent_database_nor_reading_again_changes_a_thing, .timeout = 400)
{
    struct mock_message got[8];
    begin();
    produce(0, 3000);
    mock_produce(&k, "calls", 0, "key", "this is not JSON");
    mock_produce(&k, "calls", 0, NULL, "{\"customer_id\":\"c1\",\"type\":\"called\",\"minutes\":3}");
    mock_produce(&k, "calls", 0, NULL, "{\"type\":\"track\",\"event\":\"Called\"}");
    mock_produce(&k, "calls", 0, NULL, NULL);
    mock_produce(&k, "calls", 0, NULL, "{\"customer_id\":\"c1\",\"type\":\"called\"}");
    mock_produce(&k, "calls", 0, NULL, "{\"type\":\"identify\",\"userId\":\"c2\",\"traits\":{\"plan\":\"gold\"}}");
    mock_flush(&k);
    start(&a, "shop", "");
    await_count("select count(*) from events", 3001, 120);
    await_count("select next_offset from kafka_offsets where topic = 'calls'", 6, 60);
    cr_assert_eq(mock_read(&k, "calls.dlq", 1, got, 4, 60), 4);
    check_letter(&got[0], "this is not JSON", "source-topic=calls;partition=0;offset=0;");
    cr_assert_str_eq(got[0].key, "key");
    check_letter(&got[1], "{\"customer_id\":\"c1\",\"type\":\"called\",\"minutes\":3}", "source-topic=calls;partition=0;offset=1;");
    check_letter(&got[2], "{\"type\":\"track\",\"event\":\"Called\"}", "offset=2;");
    cr_assert_null(got[3].value);
    for (int i = 0; i < 4; i++) mock_message_free(&got[i]);
    cr_assert_eq(metric_of(&a, "meros_kafka_dead_letters_total{topic=\"calls\"}"), 4);
    cr_assert_str_eq(text_at(get("/v1/customers/c2"), "/attributes/plan"), "gold");

    database(false);
    produce(3000, 5000);
    instance_await_log(&a, "event=kafka.waits", 60);
    database(true);
    await_count("select count(*) from events", 5001, 120);
    cr_assert_eq(pg_int(db, "select count(*) from events"), 5001);
    cr_assert_eq(pg_int(db, "select sum(next_offset) from kafka_offsets where topic = 'clicks'"), 5000);

    /* A group that has read nothing reads all of it, from the first offset on. */
    char *before = pg_table(db, "select * from events order by customer_no, occurred_at, event_key");
    char *stats = pg_table(db, "select * from customer_event_stats order by customer_no, kind");
    start(&b, "again", "");
    await_count("select sum(next_offset) from kafka_offsets where consumer_group = 'again'", 5006, 120);
    char *after = pg_table(db, "select * from events order by customer_no, occurred_at, event_key");
    char *stats_after = pg_table(db, "select * from customer_event_stats order by customer_no, kind");
    cr_assert_str_eq(before, after);
    cr_assert_str_eq(stats, stats_after);
    free(before), free(after), free(stats), free(stats_after);
    instance_done(&b);
    instance_done(&a);
    end();
}

Test(kafka, a_stored_place_that_the_topic_lacks_is_said_and_latest_keeps_where_it_began, .timeout = 500)
{
    begin();
    produce(0, 10 * PARTITIONS);
    pg_run(db, "insert into kafka_offsets values ('shop', 'clicks', 0, 1000)");
    instance_start(&a, (const char *const[]){setting("MEROS_DATABASE_URL", db->url), setting("MEROS_KAFKA_BROKERS", k.brokers),
                                             "MEROS_KAFKA_TOPICS=clicks", "MEROS_KAFKA_GROUP=shop", "MEROS_KAFKA_OFFSET_RESET=latest", NULL});
    instance_await_log(&a, "event=kafka.place_lost", 60);
    await_count("select count(*) from kafka_offsets where topic = 'clicks' and next_offset = 10", PARTITIONS, 60);
    produce(10 * PARTITIONS, 11 * PARTITIONS);
    await_count("select count(*) from kafka_offsets where topic = 'clicks' and next_offset = 11", PARTITIONS, 60);
    cr_assert_eq(pg_int(db, "select count(*) from events"), PARTITIONS);
    cr_assert_eq(metric_of(&a, "meros_kafka_lost_places_total"), 1);
    instance_done(&a);
    end();
}

Test(kafka, segment_changes_arrive_on_their_topic_once_and_in_order, .timeout = 400)
{
    static struct mock_message got[2000];
    struct buf orders;
    begin();
    start(&a, "shop", "changes");
    client_use(&a);
    buf_init(&orders, 1 << 20);
    buf_str(&orders, "order_id,customer_id,ordered_at,amount\n");
    for (int c = 0; c < 60; c++)
        for (int o = 0; o <= c % 7; o++) buf_printf(&orders, "o%d-%d,c%d,2025-%02d-%02d,%d\n", c, o, c, 1 + (c + o) % 12, 1 + c % 28, 5 + c * c % 900);
    expect(import_("orders", "", orders.data), 200);
    buf_done(&orders);
    run_job("{\"kind\":\"train.segments\",\"params\":{\"k\":3,\"seed\":1}}");
    run_job("{\"kind\":\"train.segments\",\"params\":{\"k\":5,\"seed\":2}}");
    long long news = pg_int(db, "select count(*) from segment_changes where news");
    cr_assert_gt(news, 0, "the second training moved nobody");
    cr_assert_eq(mock_read(&k, "changes", 4, got, (size_t)news, 60), (size_t)news);
    await_count("select change_no from kafka_produced where topic = 'changes'", pg_int(db, "select max(change_no) from segment_changes where news"), 30);
    for (long long i = 0; i < news; i++) {
        struct meros_err err;
        struct json *v;
        cr_assert_eq(json_parse(got[i].value, got[i].n, &v, &err), MEROS_OK, "%s", err.detail);
        cr_assert(str_is(json_str(json_get(v, "customer_id")), got[i].key));
        struct str type = json_str(json_get(v, "type"));
        cr_assert(str_is(type, "segment.entered") || str_is(type, "segment.left"));
        cr_assert(str_is(json_str(json_get(v, "segmentation")), "behaviour"));
        json_free(v);
        mock_message_free(&got[i]);
    }
    cr_assert_eq(mock_count(&k, "changes", 4), news, "each once");
    cr_assert_eq(metric_of(&a, "meros_kafka_changes_produced_total"), (double)news);
    instance_done(&a);
    end();
}

Test(kafka, without_brokers_the_service_lives_says_so_and_stops_in_time, .timeout = 500)
{
    instance_start(&a, (const char *const[]){"MEROS_KAFKA_BROKERS=127.0.0.1:1", "MEROS_KAFKA_TOPICS=clicks", "MEROS_KAFKA_CHANGES_TOPIC=changes", NULL});
    client_use(&a);
    expect(get("/readyz"), 200);
    instance_await_log(&a, "event=kafka.away client=consumer", 60);
    cr_assert_eq(metric_of(&a, "meros_kafka_up{client=\"consumer\"}"), 0);
    cr_assert_gt(metric_of(&a, "meros_kafka_last_error_timestamp_seconds{client=\"consumer\"}"), 1e9);
    instance_done(&a);
}
