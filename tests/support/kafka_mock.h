/* librdkafka's own mock of a cluster, in the test's process; other processes reach it over loopback. It keeps about 5 MB
 * a partition, and a group's first member waits about three seconds for others. Each test makes a cluster of its own.
 *
 *   struct mock k;
 *   mock_start(&k, 2);                            // 2 brokers; k.brokers is the list for clients
 *   mock_topic(&k, "events", 4);                  // 4 partitions
 *   mock_produce(&k, "events", 0, "key", "{…}");  // by partition; mock_flush() waits until all have arrived
 *   mock_read(&k, "out", 1, &got, 10);            // reads a topic from its beginning, without a group
 *   mock_count(&k, "out", 1);                     // how many there are in all
 *   mock_stop(&k); */
#ifndef TESTS_KAFKA_MOCK_H
#define TESTS_KAFKA_MOCK_H

#ifndef cr_assert_eq /* a program without criterion has its own */
#include <criterion/criterion.h>
#endif
#include <librdkafka/rdkafka.h>
#include <librdkafka/rdkafka_mock.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

struct mock {
    rd_kafka_t *rk; /* hosts the cluster and produces */
    rd_kafka_mock_cluster_t *cluster;
    char brokers[256];
    int undelivered;
};

static inline void mock_quiet(const rd_kafka_t *rk, int level, const char *facility, const char *text)
{
    (void)rk, (void)level, (void)facility, (void)text;
}

static inline void mock_delivered(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct mock *k = opaque;
    (void)rk;
    if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) k->undelivered++;
}

static inline void mock_set(rd_kafka_conf_t *conf, const char *name, const char *value)
{
    char why[256];
    cr_assert_eq(rd_kafka_conf_set(conf, name, value, why, sizeof why), RD_KAFKA_CONF_OK, "%s: %s", name, why);
}

static inline void mock_start(struct mock *k, int brokers)
{
    char why[256];
    memset(k, 0, sizeof *k);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, mock_quiet);
    rd_kafka_conf_set_dr_msg_cb(conf, mock_delivered);
    rd_kafka_conf_set_opaque(conf, k);
    mock_set(conf, "bootstrap.servers", "127.0.0.1:1"); /* replaced below, once the cluster is there */
    mock_set(conf, "linger.ms", "5");
    k->rk = rd_kafka_new(RD_KAFKA_PRODUCER, conf, why, sizeof why);
    cr_assert_not_null(k->rk, "%s", why);
    k->cluster = rd_kafka_mock_cluster_new(k->rk, brokers);
    cr_assert_not_null(k->cluster);
    snprintf(k->brokers, sizeof k->brokers, "%s", rd_kafka_mock_cluster_bootstraps(k->cluster));
    rd_kafka_brokers_add(k->rk, k->brokers);
}

static inline void mock_stop(struct mock *k)
{
    rd_kafka_purge(k->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
    rd_kafka_mock_cluster_destroy(k->cluster);
    rd_kafka_destroy(k->rk);
}

static inline void mock_topic(struct mock *k, const char *topic, int partitions)
{
    cr_assert_eq(rd_kafka_mock_topic_create(k->cluster, topic, partitions, 1), RD_KAFKA_RESP_ERR_NO_ERROR);
}

static inline void mock_produce_bytes(struct mock *k, const char *topic, int partition, const char *key, const void *value, size_t n)
{
    rd_kafka_resp_err_t code;
    size_t key_n = key == NULL ? 0 : strlen(key);
    do {
        code = rd_kafka_producev(k->rk, RD_KAFKA_V_TOPIC(topic), RD_KAFKA_V_PARTITION(partition),
                                 RD_KAFKA_V_KEY(key, key_n), RD_KAFKA_V_VALUE((char *)(uintptr_t)value, n),
                                 RD_KAFKA_V_MSGFLAGS(RD_KAFKA_MSG_F_COPY), RD_KAFKA_V_END);
        rd_kafka_poll(k->rk, code == RD_KAFKA_RESP_ERR__QUEUE_FULL ? 10 : 0);
    } while (code == RD_KAFKA_RESP_ERR__QUEUE_FULL);
    cr_assert_eq(code, RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(code));
}

static inline void mock_produce(struct mock *k, const char *topic, int partition, const char *key, const char *value)
{
    mock_produce_bytes(k, topic, partition, key, value, value == NULL ? 0 : strlen(value));
}

static inline void mock_flush(struct mock *k)
{
    cr_assert_eq(rd_kafka_flush(k->rk, 60000), RD_KAFKA_RESP_ERR_NO_ERROR);
    cr_assert_eq(k->undelivered, 0);
}

/* One message of a topic, copied. */
struct mock_message {
    char *key, *value; /* NUL-terminated; NULL: null */
    size_t n;
    int partition;
    long long offset;
    char headers[512]; /* "name=value;" each */
};

static inline char *mock_copy(const void *p, size_t n)
{
    if (p == NULL) return NULL;
    char *s = malloc(n + 1);
    memcpy(s, p, n);
    s[n] = '\0';
    return s;
}

static inline void mock_headers(const rd_kafka_message_t *m, char *out, size_t cap)
{
    rd_kafka_headers_t *headers;
    const char *name;
    const void *value;
    size_t n, at = 0;
    out[0] = '\0';
    if (rd_kafka_message_headers(m, &headers) != RD_KAFKA_RESP_ERR_NO_ERROR) return;
    for (size_t i = 0; rd_kafka_header_get_all(headers, i, &name, &value, &n) == RD_KAFKA_RESP_ERR_NO_ERROR && at < cap; i++)
        at += (size_t)snprintf(out + at, cap - at, "%s=%.*s;", name, (int)n, (const char *)value);
}

/* Reads partitions 0 to partitions - 1 from their beginnings until `want` messages have come or `seconds` have passed. How
 * many there were; free each with mock_message_free. */
static inline size_t mock_read(struct mock *k, const char *topic, int partitions, struct mock_message *out, size_t want, double seconds)
{
    char why[256];
    size_t n = 0;
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_log_cb(conf, mock_quiet);
    mock_set(conf, "bootstrap.servers", k->brokers);
    mock_set(conf, "group.id", "reader of tests");
    mock_set(conf, "enable.auto.commit", "false");
    mock_set(conf, "auto.offset.reset", "earliest");
    rd_kafka_t *rk = rd_kafka_new(RD_KAFKA_CONSUMER, conf, why, sizeof why);
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(partitions);
    cr_assert_not_null(rk, "%s", why);
    for (int i = 0; i < partitions; i++) rd_kafka_topic_partition_list_add(list, topic, i)->offset = RD_KAFKA_OFFSET_BEGINNING;
    rd_kafka_assign(rk, list);
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    double end = (double)t.tv_sec + (double)t.tv_nsec / 1e9 + seconds, now = 0;
    while (n < want && now < end) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(rk, 100);
        if (m != NULL && m->err == RD_KAFKA_RESP_ERR_NO_ERROR) {
            struct mock_message *o = &out[n++];
            o->key = mock_copy(m->key, m->key_len);
            o->value = mock_copy(m->payload, m->len);
            o->n = m->len;
            o->partition = m->partition;
            o->offset = m->offset;
            mock_headers(m, o->headers, sizeof o->headers);
        }
        if (m != NULL) rd_kafka_message_destroy(m);
        clock_gettime(CLOCK_MONOTONIC, &t);
        now = (double)t.tv_sec + (double)t.tv_nsec / 1e9;
    }
    rd_kafka_topic_partition_list_destroy(list);
    rd_kafka_consumer_close(rk);
    rd_kafka_destroy(rk);
    return n;
}

static inline int64_t mock_count(struct mock *k, const char *topic, int partitions)
{
    int64_t n = 0, first, end;
    for (int i = 0; i < partitions; i++) {
        rd_kafka_resp_err_t code = rd_kafka_query_watermark_offsets(k->rk, topic, i, &first, &end, 30000);
        cr_assert_eq(code, RD_KAFKA_RESP_ERR_NO_ERROR, "%s", rd_kafka_err2str(code));
        n += end - first;
    }
    return n;
}

static inline void mock_message_free(struct mock_message *m)
{
    free(m->key);
    free(m->value);
}

#endif
