#include "meros/service/kafka_out.h"

#include <stdlib.h>
#include "kafka_priv.h"
#include "meros/base/arena.h"
#include "meros/base/buf.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/segment_changes.h"
#include "meros/store/kafka.h"
#include "meros/store/store.h"

enum { CHANGES_MAX = 500, CHANGE_TEXT_MAX = 4 << 20, LOOK_EVERY_MS = 500, LEAD_EVERY_MS = 2000, PAUSE_MS = 1000 };

static struct metric_family produced = {
    .name = "meros_kafka_changes_produced_total", .help = "Segment changes that the topic has acknowledged.", .kind = METRIC_COUNTER};
static struct metric_family leads = {
    .name = "meros_kafka_changes_leader", .help = "1 if this replica is the one that produces segment changes.", .kind = METRIC_GAUGE};

struct kafka_out {
    /* constant once the thread runs */
    struct service *svc;
    struct kafka_producer *producer;
    pthread_t thread;
    bool running;
    /* the thread's */
    struct store_conn *conn; /* NULL: none now; holds the lock while `leading` */
    bool leading;
    int64_t cursor; /* the last change that the topic has */
    struct kafka_complaint complaint;
};

/* Changes as they will be sent. */
struct pack {
    struct arena arena;
    struct buf text;
    struct kafka_record *records;
    size_t n;
    struct str topic;
};

static bool stopping(const struct kafka_out *out)
{
    return out->svc->draining;
}

static void let_go(struct kafka_out *out)
{
    store_disconnect(out->conn); /* the lock goes with it */
    out->conn = NULL;
    out->leading = false;
    metric_set(metric(&leads, NULL), 0);
}

/* In steps, so that stopping is noticed. */
static void rest(const struct kafka_out *out, int ms)
{
    const struct timespec step = {0, 100000000L};
    for (; ms > 0 && !stopping(out); ms -= 100) nanosleep(&step, NULL);
}

/* A connection of our own that listens and, sooner or later, leads. */
static enum meros_code lead(struct kafka_out *out, struct meros_err *err)
{
    const char *topic = out->svc->settings.kafka.changes_topic;
    enum meros_code rc = MEROS_OK;
    if (out->conn == NULL && (rc = store_connect(out->svc->store, &out->conn, err)) == MEROS_OK)
        rc = store_listen(out->conn, "meros_segments", err);
    if (rc == MEROS_OK) rc = store_kafka_produced_lead(out->conn, topic, &out->leading, err);
    if (rc == MEROS_OK && out->leading) rc = store_kafka_produced_read(out->conn, topic, &out->cursor, err);
    if (rc == MEROS_OK && out->leading) {
        metric_set(metric(&leads, NULL), 1);
        log_info("kafka.changes.leading", KV_I("after", out->cursor));
    }
    return rc;
}

static enum meros_code add(void *arg, const struct segment_change *x, struct meros_err *err)
{
    struct pack *p = arg;
    struct jsonw w;
    struct str key = {arena_strndup(&p->arena, x->customer_id.p, x->customer_id.n), x->customer_id.n};
    buf_clear(&p->text);
    jsonw_init(&w, &p->text);
    segment_change_write(&w, x);
    struct str value = {p->text.failed ? NULL : arena_strndup(&p->arena, p->text.data, p->text.len), p->text.len};
    if (key.p == NULL || value.p == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for producing segment changes.");
    p->records[p->n++] = (struct kafka_record){.topic = p->topic, .key = key, .value = value};
    return MEROS_OK;
}

/* Produces the next changes and moves the cursor. *out_more: there may be others at once. */
static enum meros_code follow(struct kafka_out *out, bool *out_more, struct meros_err *err)
{
    const char *topic = out->svc->settings.kafka.changes_topic;
    struct pack p = {.topic = str_of(topic)};
    int64_t last = out->cursor;
    arena_init(&p.arena, CHANGE_TEXT_MAX);
    buf_init(&p.text, CHANGE_TEXT_MAX / 4);
    p.records = arena_array(&p.arena, CHANGES_MAX, sizeof *p.records);
    enum meros_code rc = p.records == NULL ? err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for producing segment changes.")
                                           : segment_changes_after(out->conn, out->cursor, CHANGES_MAX, add, &p, &last, err);
    if (rc == MEROS_OK && p.n > 0) {
        rc = kafka_send(out->producer, p.records, p.n, &out->svc->draining, err);
        if (rc == MEROS_OK) rc = store_kafka_produced_write(out->conn, topic, last, err);
        if (rc == MEROS_OK) {
            out->cursor = last;
            metric_add(metric(&produced, NULL), (double)p.n);
        }
    }
    *out_more = p.n == CHANGES_MAX;
    buf_done(&p.text);
    arena_done(&p.arena);
    return rc;
}

static void *run(void *arg)
{
    struct kafka_out *out = arg;
    struct meros_err err = MEROS_ERR_INIT;
    char channel[64], payload[STORE_PAYLOAD_MAX];
    while (!stopping(out)) {
        bool more = false;
        enum meros_code rc = out->leading ? MEROS_OK : lead(out, &err);
        if (rc == MEROS_OK && !out->leading) {
            rest(out, LEAD_EVERY_MS); /* another replica does it */
            continue;
        }
        if (rc == MEROS_OK) rc = follow(out, &more, &err);
        if (rc == MEROS_OK && !more) rc = store_wait(out->conn, LOOK_EVERY_MS, channel, payload, &err);
        if (rc == MEROS_OK) {
            kafka_relieved(&out->complaint, "kafka.changes.go_on");
            continue;
        }
        if (stopping(out)) break;
        kafka_complain(&out->complaint, "kafka.changes.wait", &err);
        if (out->conn == NULL || store_broken(out->conn)) let_go(out);
        rest(out, PAUSE_MS);
    }
    let_go(out);
    return NULL;
}

enum meros_code kafka_out_start(struct service *svc, struct meros_err *err)
{
    const struct kafka_settings *s = &svc->settings.kafka;
    const struct kafka_access access = kafka_access_of(s);
    if (s->changes_topic == NULL || s->changes_topic[0] == '\0') return MEROS_OK;
    struct kafka_out *out = calloc(1, sizeof *out);
    if (out == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for producing to Kafka.");
    svc->kafka_out = out;
    out->svc = svc;
    enum meros_code rc = kafka_producer_open(&access, &out->producer, err);
    if (rc == MEROS_OK) rc = thread_start(&out->thread, "kafka-out", 0, run, out, err);
    if (rc == MEROS_OK) out->running = true;
    else kafka_out_free(svc);
    return rc;
}

void kafka_out_stop(struct service *svc)
{
    struct kafka_out *out = svc->kafka_out;
    if (out == NULL || !out->running) return;
    pthread_join(out->thread, NULL);
    out->running = false;
}

void kafka_out_free(struct service *svc)
{
    if (svc->kafka_out == NULL) return;
    kafka_producer_close(svc->kafka_out->producer);
    free(svc->kafka_out);
    svc->kafka_out = NULL;
}

void kafka_out_measure(struct service *svc)
{
    struct kafka_health h;
    if (svc->kafka_out == NULL) return;
    kafka_producer_health(svc->kafka_out->producer, &h);
    kafka_show_health("changes", &h);
}
