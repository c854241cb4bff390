#include "meros/connect/kafka.h"

#include "kafka_mock.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"

static struct meros_err err;

static double now_s(void)
{
    return (double)clock_mono_ns() / 1e9;
}

static struct kafka_consumer *consumer(const struct mock *k, const char *group, const char *topic)
{
    struct kafka_consumer *c = NULL;
    const struct str topics[] = {str_of(topic)};
    const struct kafka_access access = {.brokers = k->brokers, .security_protocol = "plaintext"};
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    cr_assert_eq(kafka_consumer_open(&access, group, topics, 1, &c, &err), MEROS_OK, "%s", err.detail);
    return c;
}

static struct kafka_producer *producer(const struct mock *k)
{
    struct kafka_producer *p = NULL;
    const struct kafka_access access = {.brokers = k->brokers};
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    cr_assert_eq(kafka_producer_open(&access, &p, &err), MEROS_OK, "%s", err.detail);
    return p;
}

/* Polls until there is that news, dropping what else comes. */
static void await(struct kafka_consumer *c, enum kafka_news want)
{
    struct kafka_message m[10];
    size_t n;
    for (double end = now_s() + 40; now_s() < end;) {
        enum kafka_news news = kafka_consumer_poll(c, 100, m, 10, 1 << 20, &n);
        kafka_messages_free(m, n);
        if (news == want) return;
    }
    cr_assert_fail("the news %d did not come", (int)want);
}

static void begin(struct kafka_consumer *c, int64_t at)
{
    size_t n;
    struct kafka_partition *p = kafka_consumer_partitions(c, &n);
    for (size_t i = 0; i < n; i++) p[i].next = at;
    cr_assert_eq(kafka_consumer_begin(c, &err), MEROS_OK, "%s", err.detail);
}

/* Reads until `want` messages have come; the offset of the first one of partition 0. */
static int64_t read_some(struct kafka_consumer *c, size_t want)
{
    struct kafka_message m[100];
    int64_t first = -1;
    size_t n;
    for (double end = now_s() + 40; want > 0 && now_s() < end;) {
        cr_assert_eq(kafka_consumer_poll(c, 100, m, want < 100 ? want : 100, 1 << 20, &n), KAFKA_MESSAGES);
        for (size_t i = 0; i < n; i++)
            if (first < 0 && m[i].partition == 0) first = m[i].offset;
        want -= n;
        kafka_messages_free(m, n);
    }
    cr_assert_eq(want, 0, "%zu messages are missing", want);
    return first;
}

Test(kafka, begins_where_the_caller_says_whatever_the_brokers_remember)
{
    struct mock k;
    mock_start(&k, 1);
    mock_topic(&k, "t", 1);
    for (int i = 0; i < 20; i++) mock_produce(&k, "t", 0, "k", "v");
    mock_flush(&k);
    struct kafka_consumer *c = consumer(&k, "g", "t");
    await(c, KAFKA_ASSIGNED);
    size_t n;
    struct kafka_partition *p = kafka_consumer_partitions(c, &n);
    cr_assert_eq(n, 1);
    cr_assert(str_is(p[0].topic, "t"));
    begin(c, 7);
    cr_assert_eq(read_some(c, 13), 7);
    p[0].next = 20;
    kafka_consumer_tell(c);
    int64_t first, end;
    cr_assert(kafka_consumer_ends(c, &p[0], 5000, &first, &end));
    cr_assert_eq(first, 0);
    cr_assert_eq(end, 20);
    cr_assert(kafka_consumer_ends(c, &p[0], 0, &first, &end));
    cr_assert_eq(end, 20);
    begin(c, KAFKA_BEGINNING); /* though the brokers were told 20 */
    cr_assert_eq(read_some(c, 20), 0);
    kafka_consumer_close(c);
    mock_stop(&k);
}

Test(kafka, paused_brings_nothing_and_loses_nothing)
{
    struct mock k;
    struct kafka_message m[100];
    size_t n;
    mock_start(&k, 1);
    mock_topic(&k, "t", 2);
    for (int i = 0; i < 1000; i++) mock_produce(&k, "t", i % 2, "k", "v");
    mock_flush(&k);
    struct kafka_consumer *c = consumer(&k, "g", "t");
    await(c, KAFKA_ASSIGNED);
    begin(c, 0);
    read_some(c, 100);
    kafka_consumer_pause(c, true);
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(kafka_consumer_poll(c, 50, m, 100, 1 << 20, &n), KAFKA_MESSAGES);
        cr_assert_eq(n, 0);
    }
    kafka_consumer_pause(c, false);
    read_some(c, 900);
    cr_assert_eq(kafka_consumer_poll(c, 300, m, 100, 1 << 20, &n), KAFKA_MESSAGES);
    cr_assert_eq(n, 0);
    kafka_consumer_close(c);
    mock_stop(&k);
}

Test(kafka, a_place_the_topic_lacks_is_news_and_messages_come_whole_from_another)
{
    struct mock k;
    struct kafka_message m[1];
    int64_t before = clock_now() - TIME_SECOND;
    size_t n;
    mock_start(&k, 1);
    mock_topic(&k, "t", 1);
    for (int i = 0; i < 5; i++) mock_produce(&k, "t", 0, "k", "v");
    mock_produce(&k, "t", 0, NULL, NULL);
    mock_produce(&k, "t", 0, "key", "value");
    mock_flush(&k);
    struct kafka_consumer *c = consumer(&k, "g", "t");
    await(c, KAFKA_ASSIGNED);
    begin(c, 1000);
    await(c, KAFKA_NO_PLACE);
    cr_assert(kafka_consumer_partitions(c, &n)[0].no_place);
    begin(c, 3);
    cr_assert_not(kafka_consumer_partitions(c, &n)[0].no_place);
    cr_assert_eq(read_some(c, 2), 3);
    /* what a message is told with */
    cr_assert_eq(kafka_consumer_poll(c, 20000, m, 1, 1 << 20, &n), KAFKA_MESSAGES);
    cr_assert(n == 1 && m[0].offset == 5 && !str_present(m[0].key) && !str_present(m[0].value));
    kafka_messages_free(m, n);
    cr_assert_eq(kafka_consumer_poll(c, 20000, m, 1, 1 << 20, &n), KAFKA_MESSAGES);
    cr_assert(n == 1 && m[0].offset == 6 && str_is(m[0].topic, "t") && m[0].partition == 0);
    cr_assert(str_is(m[0].key, "key") && str_is(m[0].value, "value"));
    cr_assert(m[0].at >= before && m[0].at <= clock_now() + TIME_SECOND);
    kafka_messages_free(m, n);
    kafka_consumer_close(c);
    mock_stop(&k);
}

Test(kafka, two_members_share_the_partitions)
{
    struct mock k;
    size_t na = 0, nb = 0, n;
    struct kafka_message m[1];
    mock_start(&k, 1);
    mock_topic(&k, "t", 4);
    struct kafka_consumer *a = consumer(&k, "g", "t"), *b = NULL;
    await(a, KAFKA_ASSIGNED);
    kafka_consumer_partitions(a, &na);
    cr_assert_eq(na, 4);
    kafka_consumer_close(a); /* with an assignment that was never answered */
    a = consumer(&k, "h", "t");
    await(a, KAFKA_ASSIGNED);
    begin(a, KAFKA_BEGINNING);
    b = consumer(&k, "h", "t");
    bool revoked = false;
    for (double end = now_s() + 40; (na != 2 || nb != 2) && now_s() < end;) {
        if (kafka_consumer_poll(a, 20, m, 1, 1, &n) == KAFKA_ASSIGNED) begin(a, KAFKA_BEGINNING);
        if (kafka_consumer_poll(b, 20, m, 1, 1, &n) == KAFKA_ASSIGNED) begin(b, KAFKA_BEGINNING);
        kafka_consumer_partitions(a, &na);
        kafka_consumer_partitions(b, &nb);
        revoked |= na == 0;
    }
    cr_assert_eq(na, 2);
    cr_assert_eq(nb, 2);
    cr_assert(revoked, "partitions stayed while they changed hands");
    kafka_consumer_close(a);
    kafka_consumer_close(b);
    mock_stop(&k);
}

Test(kafka, what_was_sent_has_arrived_with_key_and_headers)
{
    struct mock k;
    struct kafka_record r[3] = {
        {.topic = STR("t"), .key = STR("a"), .value = STR("1"), .headers = {{"why", STR("because")}, {"n", STR("2")}}, .n_headers = 2},
        {.topic = STR("t"), .value = STR("")},
        {.topic = STR("t"), .key = STR("a"), .value = STR_NONE},
    };
    struct mock_message got[4];
    mock_start(&k, 1);
    mock_topic(&k, "t", 1);
    struct kafka_producer *p = producer(&k);
    cr_assert_eq(kafka_send(p, r, 3, NULL, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(kafka_send(p, NULL, 0, NULL, &err), MEROS_OK);
    for (int i = 0; i < 3; i++) cr_assert_eq(r[i].rc, MEROS_OK);
    cr_assert_eq(mock_read(&k, "t", 1, got, 3, 20), 3);
    cr_assert_str_eq(got[0].key, "a");
    cr_assert_str_eq(got[0].value, "1");
    cr_assert_str_eq(got[0].headers, "why=because;n=2;");
    cr_assert_null(got[1].key);
    cr_assert_str_eq(got[1].value, "");
    cr_assert_null(got[2].value);
    for (int i = 0; i < 3; i++) mock_message_free(&got[i]);
    struct kafka_health h;
    kafka_producer_health(p, &h);
    cr_assert(h.up);
    kafka_producer_close(p);
    mock_stop(&k);
}

Test(kafka, records_of_a_key_keep_their_order_through_errors_of_the_broker)
{
    struct mock k;
    enum { N = 500 };
    static struct kafka_record r[N];
    static char text[N][12];
    static struct mock_message got[N + 1];
    mock_start(&k, 1);
    mock_topic(&k, "t", 4);
    struct kafka_producer *p = producer(&k);
    rd_kafka_mock_push_request_errors(k.cluster, 0 /* Produce */, 3, RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
                                      RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT);
    for (int i = 0; i < N; i++) {
        snprintf(text[i], sizeof text[i], "%d", i);
        r[i] = (struct kafka_record){.topic = STR("t"), .key = STR("same"), .value = str_of(text[i])};
    }
    cr_assert_eq(kafka_send(p, r, N, NULL, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(mock_read(&k, "t", 4, got, N, 30), N);
    for (int i = 0; i < N; i++) {
        cr_assert_str_eq(got[i].value, text[i]);
        mock_message_free(&got[i]);
    }
    kafka_producer_close(p);
    mock_stop(&k);
}

Test(kafka, a_record_that_no_broker_takes_says_so_and_the_others_arrive)
{
    struct mock k;
    size_t big = (64 << 20) + 1;
    char *p64 = calloc(1, big);
    struct kafka_record r[2] = {{.topic = STR("t"), .value = {p64, big}}, {.topic = STR("t"), .value = STR("small")}};
    mock_start(&k, 1);
    mock_topic(&k, "t", 1);
    struct kafka_producer *p = producer(&k);
    cr_assert_eq(kafka_send(p, r, 2, NULL, &err), MEROS_TOO_LARGE);
    cr_assert_eq(r[0].rc, MEROS_TOO_LARGE);
    cr_assert_eq(r[1].rc, MEROS_OK);
    kafka_producer_close(p);
    mock_stop(&k);
    free(p64);
}

Test(kafka, sending_without_brokers_ends_and_says_so)
{
    const struct kafka_access access = {.brokers = "127.0.0.1:1"};
    struct kafka_producer *p;
    struct kafka_record r = {.topic = STR("t"), .value = STR("v")};
    struct kafka_health h;
    _Atomic bool stop = false;
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    cr_assert_eq(kafka_producer_open(&access, &p, &err), MEROS_OK);
    double from = now_s();
    cr_assert_eq(kafka_send(p, &r, 1, &stop, &err), MEROS_UNAVAILABLE);
    cr_assert_lt(now_s() - from, 40);
    kafka_producer_health(p, &h);
    cr_assert_not(h.up);
    cr_assert_gt(h.errors, 0);
    cr_assert_neq(h.last_error_at, TIME_NONE);
    stop = true;
    from = now_s();
    cr_assert_eq(kafka_send(p, &r, 1, &stop, &err), MEROS_UNAVAILABLE);
    cr_assert_lt(now_s() - from, 8);
    kafka_producer_close(p);
}

Test(kafka, health_follows_the_brokers_away_and_back)
{
    struct mock k;
    struct kafka_health h = {0};
    struct kafka_message m[1];
    size_t n;
    mock_start(&k, 1);
    mock_topic(&k, "t", 1);
    struct kafka_consumer *c = consumer(&k, "g", "t");
    await(c, KAFKA_ASSIGNED);
    begin(c, KAFKA_BEGINNING);
    kafka_consumer_health(c, &h);
    cr_assert(h.up);
    rd_kafka_mock_broker_set_down(k.cluster, 1);
    for (double end = now_s() + 40; h.up && now_s() < end; kafka_consumer_health(c, &h)) kafka_consumer_poll(c, 100, m, 1, 1, &n);
    cr_assert_not(h.up);
    rd_kafka_mock_broker_set_up(k.cluster, 1);
    for (double end = now_s() + 40; !h.up && now_s() < end; kafka_consumer_health(c, &h)) kafka_consumer_poll(c, 100, m, 1, 1, &n);
    cr_assert(h.up);
    kafka_consumer_close(c);
    mock_stop(&k);
}

Test(kafka, settings_that_cannot_work_fail_the_opening_with_a_sentence)
{
    static const struct kafka_access wrong[] = {
        {.brokers = "127.0.0.1:1", .security_protocol = "ssl", .ca_file = "/nonexistent/ca.pem"},
        {.brokers = "127.0.0.1:1", .security_protocol = "carrier pigeon"},
        {.brokers = "127.0.0.1:1", .security_protocol = "sasl_ssl", .sasl_mechanism = "SECRET-HANDSHAKE", .username = "u", .password = "hunter2"},
    };
    log_configure(LOG_ERROR, LOG_KEY_VALUE);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        struct kafka_producer *p = NULL;
        struct kafka_consumer *c = NULL;
        const struct str topics[] = {STR("t")};
        cr_assert_eq(kafka_producer_open(&wrong[i], &p, &err), MEROS_INVALID, "%zu", i);
        cr_assert_gt(strlen(err.detail), 20);
        cr_assert_null(strstr(err.detail, "hunter2"));
        cr_assert_eq(kafka_consumer_open(&wrong[i], "g", topics, 1, &c, &err), MEROS_INVALID);
    }
}
