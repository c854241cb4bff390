/* The producer. kafka_send hands over all records, then serves delivery reports until each has come; librdkafka itself
 * gives up on a record after message.timeout.ms, so that every wait ends and no report can come after the records have
 * gone. A fatal error (the brokers forgot an idempotent producer's state) leaves librdkafka's object of no more use: the
 * next kafka_send makes a new one. */
#include "kafka_priv.h"

#include <stdlib.h>
#include <string.h>
#include "meros/base/clock.h"
#include "meros/base/crypto.h"

/* The largest message is the broker's to refuse. */
static const struct kafka_option options[] = {
    {"enable.idempotence", "true"},
    {"acks", "all"},
    {"message.timeout.ms", "10000"},
    {"linger.ms", "5"},
    {"partitioner", "murmur2_random"},
    {"message.max.bytes", "67108864"},
    {"queue.buffering.max.messages", "100000"},
    {"queue.buffering.max.kbytes", "131072"},
};

struct kafka_producer {
    struct kafka_client client; /* first: the opaque pointer of the callbacks */
    rd_kafka_t *rk;             /* NULL: to be made anew */
    /* a copy of how to reach the cluster */
    char *brokers, *security_protocol, *sasl_mechanism, *username, *password, *ca_file;
    /* of the present kafka_send */
    size_t outstanding;
    rd_kafka_resp_err_t failed; /* the first that was not delivered */
};

static enum meros_code outcome(rd_kafka_resp_err_t code)
{
    switch (code) {
    case RD_KAFKA_RESP_ERR_NO_ERROR: return MEROS_OK;
    case RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE: /* librdkafka's own limit, or the broker's */
    case RD_KAFKA_RESP_ERR_RECORD_LIST_TOO_LARGE: return MEROS_TOO_LARGE;
    default: return MEROS_UNAVAILABLE;
    }
}

static void settle(struct kafka_producer *p, struct kafka_record *r, rd_kafka_resp_err_t code)
{
    r->rc = outcome(code);
    if (r->rc != MEROS_OK && p->failed == RD_KAFKA_RESP_ERR_NO_ERROR) p->failed = code;
}

static void on_delivery(rd_kafka_t *rk, const rd_kafka_message_t *m, void *opaque)
{
    struct kafka_producer *p = opaque;
    (void)rk;
    settle(p, m->_private, m->err);
    p->outstanding--;
    if (m->err == RD_KAFKA_RESP_ERR_NO_ERROR) kafka_client_is(&p->client, true, "");
}

static enum meros_code connect_(struct kafka_producer *p, struct meros_err *err)
{
    const struct kafka_access access = {.brokers = p->brokers,
                                        .security_protocol = p->security_protocol,
                                        .sasl_mechanism = p->sasl_mechanism,
                                        .username = p->username,
                                        .password = p->password,
                                        .ca_file = p->ca_file};
    rd_kafka_conf_t *conf = rd_kafka_conf_new();
    rd_kafka_conf_set_dr_msg_cb(conf, on_delivery);
    return kafka_client_open(&p->client, RD_KAFKA_PRODUCER, conf, &access, options, sizeof options / sizeof options[0], &p->rk, err);
}

static bool copy(char **to, const char *from)
{
    return (*to = strdup(from == NULL ? "" : from)) != NULL;
}

enum meros_code kafka_producer_open(const struct kafka_access *access, struct kafka_producer **out, struct meros_err *err)
{
    struct kafka_producer *p = calloc(1, sizeof *p);
    enum meros_code rc;
    if (p == NULL || !copy(&p->brokers, access->brokers) || !copy(&p->security_protocol, access->security_protocol) ||
        !copy(&p->sasl_mechanism, access->sasl_mechanism) || !copy(&p->username, access->username) ||
        !copy(&p->password, access->password) || !copy(&p->ca_file, access->ca_file)) {
        kafka_producer_close(p);
        return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for Kafka's producer.");
    }
    p->client.name = "producer";
    if ((rc = connect_(p, err)) == MEROS_OK) *out = p;
    else kafka_producer_close(p);
    return rc;
}

void kafka_producer_close(struct kafka_producer *p)
{
    if (p == NULL) return;
    if (p->rk != NULL) rd_kafka_destroy(p->rk);
    if (p->password != NULL) crypto_wipe(p->password, strlen(p->password));
    free(p->brokers);
    free(p->security_protocol);
    free(p->sasl_mechanism);
    free(p->username);
    free(p->password);
    free(p->ca_file);
    free(p);
}

/* False: librdkafka's queue is full, or it would not take the record, which is then settled. */
static bool hand_over(struct kafka_producer *p, struct kafka_record *r)
{
    char topic[KAFKA_TOPIC_MAX + 1];
    rd_kafka_vu_t vus[4 + KAFKA_HEADERS_MAX];
    size_t n = 0;
    if (!str_copy(topic, sizeof topic, r->topic)) {
        settle(p, r, RD_KAFKA_RESP_ERR_TOPIC_EXCEPTION);
        return true;
    }
    vus[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_TOPIC, .u.cstr = topic};
    /* without RD_KAFKA_MSG_F_COPY librdkafka only reads: the records are ours until all reports have come */
    vus[n].vtype = RD_KAFKA_VTYPE_VALUE;
    memcpy(&vus[n].u.mem.ptr, &r->value.p, sizeof vus[n].u.mem.ptr);
    vus[n++].u.mem.size = r->value.n;
    vus[n].vtype = RD_KAFKA_VTYPE_KEY;
    memcpy(&vus[n].u.mem.ptr, &r->key.p, sizeof vus[n].u.mem.ptr);
    vus[n++].u.mem.size = r->key.n;
    vus[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_OPAQUE, .u.ptr = r};
    for (size_t i = 0; i < r->n_headers; i++)
        vus[n++] = (rd_kafka_vu_t){.vtype = RD_KAFKA_VTYPE_HEADER,
                                   .u.header = {.name = r->headers[i].name, .val = r->headers[i].value.p,
                                                .size = (ssize_t)r->headers[i].value.n}};
    rd_kafka_error_t *error = rd_kafka_produceva(p->rk, vus, n);
    if (error == NULL) {
        p->outstanding++;
        return true;
    }
    rd_kafka_resp_err_t code = rd_kafka_error_code(error);
    rd_kafka_error_destroy(error);
    if (code == RD_KAFKA_RESP_ERR__QUEUE_FULL) return false;
    settle(p, r, code);
    return true;
}

static bool told(const _Atomic bool *stop)
{
    return stop != NULL && *stop;
}

enum meros_code kafka_send(struct kafka_producer *p, struct kafka_record *records, size_t n, const _Atomic bool *stop,
                           struct meros_err *err)
{
    enum meros_code rc;
    bool purged = false;
    for (size_t i = 0; i < n; i++) records[i].rc = MEROS_UNAVAILABLE;
    p->failed = RD_KAFKA_RESP_ERR_NO_ERROR;
    if (p->rk == NULL && (rc = connect_(p, err)) != MEROS_OK) return rc;
    for (size_t i = 0; i < n || p->outstanding > 0;) {
        if (told(stop)) {
            if (!purged) rd_kafka_purge(p->rk, RD_KAFKA_PURGE_F_QUEUE | RD_KAFKA_PURGE_F_INFLIGHT);
            purged = true;
            i = n;
        }
        while (i < n && hand_over(p, &records[i])) i++;
        rd_kafka_poll(p->rk, i < n || p->outstanding > 0 ? 50 : 0);
    }
    if (rd_kafka_fatal_error(p->rk, NULL, 0) != RD_KAFKA_RESP_ERR_NO_ERROR) {
        rd_kafka_destroy(p->rk);
        p->rk = NULL;
    }
    rc = MEROS_OK;
    for (size_t i = 0; i < n && rc != MEROS_UNAVAILABLE; i++)
        if (records[i].rc != MEROS_OK) rc = records[i].rc;
    return rc == MEROS_OK ? rc
                          : err_set(err, rc, "Kafka did not take what was produced: %s",
                                    purged ? "the service stops" : rd_kafka_err2str(p->failed));
}

void kafka_producer_health(struct kafka_producer *p, struct kafka_health *out)
{
    kafka_client_health(&p->client, out);
}
