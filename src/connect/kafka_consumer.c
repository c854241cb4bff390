/* The consumer. Partitions come and go as a whole (the eager protocol of rebalancing), so a member never has to tell old
 * ones from new: after KAFKA_REVOKED nothing is ours, after KAFKA_ASSIGNED everything begins where the caller says. Where
 * an assignment is answered outside librdkafka's callback, as here, librdkafka waits for the answer and goes on with its
 * heartbeats, so the caller may take its time to learn the offsets. */
#include "kafka_priv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"

/* Session and heartbeat: a member that died is missed after six seconds. The queue bounds what is read ahead. Resetting is
 * an error to librdkafka, so that no place is ever changed behind the caller's back. */
static const struct kafka_option options[] = {
    {"enable.auto.commit", "false"},
    {"enable.auto.offset.store", "false"},
    {"auto.offset.reset", "error"},
    {"session.timeout.ms", "6000"},
    {"heartbeat.interval.ms", "2000"},
    {"max.poll.interval.ms", "300000"},
    {"partition.assignment.strategy", "roundrobin,range"},
    {"queued.max.messages.kbytes", "16384"},
    {"queued.min.messages", "10000"},
    {"fetch.max.bytes", "8388608"},
    {"fetch.message.max.bytes", "1048576"},
    {"topic.metadata.refresh.interval.ms", "10000"}, /* a topic that is made later, new partitions */
    {"enable.partition.eof", "false"},
};

struct kafka_consumer {
    struct kafka_client client; /* first: the opaque pointer of the callbacks */
    rd_kafka_t *rk;
    rd_kafka_topic_partition_list_t *ours; /* owns the names that parts show; NULL: none */
    struct kafka_partition *parts;
    int64_t *told; /* of each, what the brokers were told; -1: nothing */
    size_t n_parts;
    enum kafka_news news;
    bool waiting; /* assigned, not begun: librdkafka waits for rd_kafka_assign */
    bool paused;
};

static void forget_parts(struct kafka_consumer *c)
{
    if (c->ours != NULL) rd_kafka_topic_partition_list_destroy(c->ours);
    free(c->parts);
    free(c->told);
    c->ours = NULL;
    c->parts = NULL;
    c->told = NULL;
    c->n_parts = 0;
}

static bool take_parts(struct kafka_consumer *c, const rd_kafka_topic_partition_list_t *list)
{
    size_t n = (size_t)list->cnt;
    forget_parts(c);
    c->ours = rd_kafka_topic_partition_list_copy(list);
    c->parts = calloc(n + 1, sizeof *c->parts);
    c->told = calloc(n + 1, sizeof *c->told);
    if (c->ours == NULL || c->parts == NULL || c->told == NULL) {
        forget_parts(c);
        return false;
    }
    for (size_t i = 0; i < n; i++) {
        const rd_kafka_topic_partition_t *p = &c->ours->elems[i];
        c->parts[i] = (struct kafka_partition){.topic = str_of(p->topic), .partition = p->partition, .next = KAFKA_BEGINNING};
        c->told[i] = -1;
    }
    c->n_parts = n;
    return true;
}

/* On the thread that polls, from within kafka_consumer_poll or kafka_consumer_close. */
static void on_rebalance(rd_kafka_t *rk, rd_kafka_resp_err_t code, rd_kafka_topic_partition_list_t *list, void *opaque)
{
    struct kafka_consumer *c = opaque;
    if (code == RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS && take_parts(c, list)) {
        kafka_client_is(&c->client, true, "");
        c->waiting = true;
        c->paused = false;
        c->news = KAFKA_ASSIGNED;
        return;
    }
    if (code != RD_KAFKA_RESP_ERR__REVOKE_PARTITIONS) /* also when there was no memory to take them */
        kafka_client_failed(&c->client, code, "the partitions that the group gave could not be taken");
    else if (!rd_kafka_assignment_lost(rk))
        kafka_consumer_tell(c);
    kafka_consumer_pause(c, false); /* a partition would stay paused until it comes back */
    rd_kafka_assign(rk, NULL);
    forget_parts(c);
    c->waiting = c->paused = false;
    c->news = KAFKA_REVOKED;
}

enum meros_code kafka_consumer_open(const struct kafka_access *access, const char *group, const struct str *topics, size_t n_topics,
                                    struct kafka_consumer **out, struct meros_err *err)
{
    struct kafka_consumer *c = calloc(1, sizeof *c);
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)n_topics);
    rd_kafka_resp_err_t failed;
    char why[256], topic[KAFKA_TOPIC_MAX + 1];
    enum meros_code rc;
    if (c == NULL || list == NULL) {
        rd_kafka_conf_destroy(conf);
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for Kafka's consumer.");
        goto out;
    }
    c->client.name = "consumer";
    if (rd_kafka_conf_set(conf, "group.id", group, why, sizeof why) != RD_KAFKA_CONF_OK) {
        rd_kafka_conf_destroy(conf);
        rc = err_set(err, MEROS_INVALID, "Kafka's group cannot be used: %s", why);
        goto out;
    }
    rd_kafka_conf_set_rebalance_cb(conf, on_rebalance);
    rc = kafka_client_open(&c->client, RD_KAFKA_CONSUMER, conf, access, options, sizeof options / sizeof options[0], &c->rk, err);
    if (rc != MEROS_OK) goto out;
    rd_kafka_poll_set_consumer(c->rk); /* one queue for everything: callbacks run where messages are polled */
    for (size_t i = 0; i < n_topics; i++)
        if (str_copy(topic, sizeof topic, topics[i])) rd_kafka_topic_partition_list_add(list, topic, RD_KAFKA_PARTITION_UA);
    if (list->cnt != (int)n_topics) {
        rc = err_set(err, MEROS_INVALID, "The name of a Kafka topic has at most %d characters.", KAFKA_TOPIC_MAX);
        goto out;
    }
    failed = rd_kafka_subscribe(c->rk, list);
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR)
        rc = err_set(err, MEROS_INVALID, "Kafka's topics cannot be subscribed to: %s", rd_kafka_err2str(failed));
out:
    if (list != NULL) rd_kafka_topic_partition_list_destroy(list);
    if (rc == MEROS_OK) *out = c;
    else kafka_consumer_close(c);
    return rc;
}

void kafka_consumer_close(struct kafka_consumer *c)
{
    if (c == NULL) return;
    if (c->rk != NULL) {
        if (c->waiting) rd_kafka_assign(c->rk, NULL); /* closing would wait for the answer */
        rd_kafka_consumer_close(c->rk);
        rd_kafka_destroy(c->rk);
    }
    forget_parts(c);
    free(c);
}

static int64_t moment_of(const rd_kafka_message_t *m)
{
    rd_kafka_timestamp_type_t type;
    int64_t ms = rd_kafka_message_timestamp(m, &type);
    return type == RD_KAFKA_TIMESTAMP_NOT_AVAILABLE || ms <= 0 || ms > INT64_MAX / 1000 ? TIME_NONE : ms * 1000;
}

static void place_is_gone(struct kafka_consumer *c, const rd_kafka_message_t *m)
{
    const char *topic = rd_kafka_topic_name(m->rkt);
    for (size_t i = 0; i < c->n_parts; i++)
        if (c->parts[i].partition == m->partition && str_is(c->parts[i].topic, topic)) {
            c->parts[i].no_place = true;
            c->news = KAFKA_NO_PLACE;
        }
}

enum kafka_news kafka_consumer_poll(struct kafka_consumer *c, int timeout_ms, struct kafka_message *out, size_t max,
                                    size_t max_bytes, size_t *out_n)
{
    size_t n = 0, bytes = 0;
    c->news = c->waiting ? KAFKA_ASSIGNED : KAFKA_MESSAGES;
    while (n < max && bytes < max_bytes) {
        rd_kafka_message_t *m = rd_kafka_consumer_poll(c->rk, n == 0 ? timeout_ms : 0);
        if (m == NULL) break; /* time is up, nothing more is there, or a callback ran */
        if (m->err != RD_KAFKA_RESP_ERR_NO_ERROR) {
            if (m->err == RD_KAFKA_RESP_ERR__AUTO_OFFSET_RESET && m->rkt != NULL) place_is_gone(c, m);
            else kafka_client_failed(&c->client, m->err, rd_kafka_message_errstr(m));
            rd_kafka_message_destroy(m);
            if (c->news != KAFKA_MESSAGES || n == 0) break;
            continue;
        }
        out[n++] = (struct kafka_message){
            .topic = str_of(rd_kafka_topic_name(m->rkt)),
            .partition = m->partition,
            .offset = m->offset,
            .key = {m->key, m->key_len},
            .value = {m->payload, m->len},
            .at = moment_of(m),
            .raw = m,
        };
        bytes += m->len + m->key_len;
    }
    if (c->news != KAFKA_MESSAGES) { /* what was read along the way is read again from where the caller says */
        kafka_messages_free(out, n);
        n = 0;
    } else if (n > 0) {
        kafka_client_is(&c->client, true, "");
    }
    *out_n = n;
    return c->news;
}

void kafka_messages_free(struct kafka_message *messages, size_t n)
{
    for (size_t i = 0; i < n; i++) rd_kafka_message_destroy(messages[i].raw);
}

struct kafka_partition *kafka_consumer_partitions(struct kafka_consumer *c, size_t *out_n)
{
    *out_n = c->n_parts;
    return c->parts;
}

enum meros_code kafka_consumer_begin(struct kafka_consumer *c, struct meros_err *err)
{
    if (c->ours == NULL) return MEROS_OK;
    kafka_consumer_pause(c, false);
    for (size_t i = 0; i < c->n_parts; i++) {
        c->ours->elems[i].offset = c->parts[i].next == KAFKA_BEGINNING ? RD_KAFKA_OFFSET_BEGINNING : c->parts[i].next;
        c->parts[i].no_place = false;
    }
    rd_kafka_resp_err_t failed = rd_kafka_assign(c->rk, c->ours);
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR)
        return err_set(err, MEROS_UNAVAILABLE, "Kafka's partitions could not be taken: %s", rd_kafka_err2str(failed));
    c->waiting = c->paused = false;
    return MEROS_OK;
}

void kafka_consumer_pause(struct kafka_consumer *c, bool pause)
{
    if (c->ours == NULL || c->waiting || c->paused == pause) return;
    c->paused = pause;
    if (pause) rd_kafka_pause_partitions(c->rk, c->ours);
    else rd_kafka_resume_partitions(c->rk, c->ours);
}

void kafka_consumer_tell(struct kafka_consumer *c)
{
    if (c->ours == NULL || c->waiting) return;
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)c->n_parts);
    for (size_t i = 0; i < c->n_parts; i++) {
        struct kafka_partition *p = &c->parts[i];
        if (p->next < 0 || p->next == c->told[i]) continue;
        rd_kafka_topic_partition_list_add(list, c->ours->elems[i].topic, p->partition)->offset = p->next;
        c->told[i] = p->next;
    }
    if (list->cnt > 0) rd_kafka_commit(c->rk, list, 1);
    rd_kafka_topic_partition_list_destroy(list);
}

bool kafka_consumer_ends(struct kafka_consumer *c, const struct kafka_partition *p, int timeout_ms, int64_t *out_first,
                         int64_t *out_end)
{
    char topic[KAFKA_TOPIC_MAX + 1];
    int64_t low = -1, high = -1;
    if (!str_copy(topic, sizeof topic, p->topic)) return false;
    rd_kafka_resp_err_t failed = timeout_ms == 0 ? rd_kafka_get_watermark_offsets(c->rk, topic, p->partition, &low, &high)
                                                 : rd_kafka_query_watermark_offsets(c->rk, topic, p->partition, &low, &high, timeout_ms);
    if (failed != RD_KAFKA_RESP_ERR_NO_ERROR || low < 0 || high < 0) return false;
    *out_first = low;
    *out_end = high;
    return true;
}

void kafka_consumer_health(struct kafka_consumer *c, struct kafka_health *out)
{
    kafka_client_health(&c->client, out);
}
