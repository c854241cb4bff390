#include "meros/service/kafka_in.h"

#include <stdio.h>
#include <stdlib.h>
#include "kafka_priv.h"
#include "meros/base/clock.h"
#include "meros/base/log.h"
#include "meros/base/thread.h"
#include "meros/service/ingest.h"
#include "meros/service/rejections.h"
#include "meros/store/kafka.h"

enum {
    MESSAGES_MAX = 1000,
    BATCH_BYTES = 4 << 20,
    ARENA_MAX = 128 << 20,
    ITEMS_OF_A_MESSAGE = 16, /* more than any becomes */
    PAUSE_MIN_MS = 200,
    PAUSE_MAX_MS = 5000,
    LOOK_EVERY_MS = 1000,
    ASK_EVERY_MS = 10000
};

static struct metric_family lag_family = {.name = "meros_kafka_lag_messages",
                                          .help = "Messages of a partition that have not landed yet; 0 where another replica has the partition.",
                                          .kind = METRIC_GAUGE,
                                          .labels = {"topic", "partition"}};
static struct metric_family read_family = {
    .name = "meros_kafka_messages_total", .help = "Messages read and landed.", .kind = METRIC_COUNTER, .labels = {"topic"}};
static struct metric_family dead_family = {.name = "meros_kafka_dead_letters_total",
                                           .help = "Messages that were sent to the dead-letter topic.",
                                           .kind = METRIC_COUNTER,
                                           .labels = {"topic"}};
static struct metric_family rebalances = {
    .name = "meros_kafka_rebalances_total", .help = "Times that the group gave partitions anew.", .kind = METRIC_COUNTER};
static struct metric_family fenced = {.name = "meros_kafka_fenced_batches_total",
                                      .help = "Batches that were not landed because another member of the group had read on.",
                                      .kind = METRIC_COUNTER};
static struct metric_family lost_places = {.name = "meros_kafka_lost_places_total",
                                           .help = "Partitions whose stored place was not on the topic any more.",
                                           .kind = METRIC_COUNTER};

/* A message that goes to the dead-letter topic. */
struct letter {
    const struct kafka_message *message;
    char topic[KAFKA_TOPIC_MAX + 1], error[ERR_DETAIL_MAX], partition[16], offset[24], bytes[24];
};

/* A partition that we have or had: its series lives as long as the process. */
struct lag {
    char topic[KAFKA_TOPIC_MAX + 1];
    int32_t partition;
    struct metric_series *series;
};

struct kafka_in {
    /* constant once the thread runs */
    struct service *svc;
    const struct kafka_settings *settings;
    struct kafka_consumer *consumer;
    struct kafka_producer *dead;
    pthread_t thread;
    bool running;
    /* the thread's */
    struct arena arena; /* of the present batch */
    struct kafka_message *messages;
    struct ingest_result *results;
    bool unplaced; /* partitions are assigned that have not begun */
    int64_t place_at_ns, looked_ns, asked_ns;
    int place_pause_ms;
    bool resting; /* partitions are paused: librdkafka does not learn how far they go */
    struct kafka_complaint landing, placing, dying;
    struct lag *lags;
    size_t n_lags;
};

static bool stopping(const struct kafka_in *in)
{
    return in->svc->draining;
}

static struct kafka_partition *part_of(struct kafka_in *in, struct str topic, int32_t partition)
{
    size_t n;
    struct kafka_partition *p = kafka_consumer_partitions(in->consumer, &n);
    for (size_t i = 0; i < n; i++)
        if (p[i].partition == partition && str_eq(p[i].topic, topic)) return &p[i];
    return NULL;
}

static void count(struct metric_family *family, struct str topic, double n)
{
    char name[KAFKA_TOPIC_MAX + 1];
    if (str_copy(name, sizeof name, topic)) metric_add(metric(family, (const char *const[]){name}), n);
}

/* --- lag */

static struct lag *lag_of(struct kafka_in *in, const struct kafka_partition *p)
{
    char partition[16];
    for (size_t i = 0; i < in->n_lags; i++)
        if (in->lags[i].partition == p->partition && str_is(p->topic, in->lags[i].topic)) return &in->lags[i];
    struct lag *grown = realloc(in->lags, (in->n_lags + 1) * sizeof *grown);
    if (grown == NULL) return NULL;
    in->lags = grown;
    struct lag *l = &grown[in->n_lags];
    if (!str_copy(l->topic, sizeof l->topic, p->topic)) return NULL;
    l->partition = p->partition;
    snprintf(partition, sizeof partition, "%d", (int)p->partition);
    l->series = metric(&lag_family, (const char *const[]){l->topic, partition});
    in->n_lags++;
    return l;
}

/* About every second: what is left to do, shown here and told to the brokers. */
static void look(struct kafka_in *in)
{
    int64_t now = clock_mono_ns(), first, end;
    size_t n;
    if (now - in->looked_ns < LOOK_EVERY_MS * INT64_C(1000000)) return;
    in->looked_ns = now;
    bool ask = in->resting && now - in->asked_ns > ASK_EVERY_MS * INT64_C(1000000);
    if (ask) in->asked_ns = now;
    struct kafka_partition *parts = kafka_consumer_partitions(in->consumer, &n);
    for (size_t i = 0; i < n; i++) (void)lag_of(in, &parts[i]);
    for (size_t i = 0; i < in->n_lags; i++) {
        struct kafka_partition *p = part_of(in, str_of(in->lags[i].topic), in->lags[i].partition);
        if (p == NULL) {
            metric_set(in->lags[i].series, 0);
            continue;
        }
        if (ask && !kafka_consumer_ends(in->consumer, p, 1000, &first, &end)) ask = false; /* the others would not answer either */
        if (!kafka_consumer_ends(in->consumer, p, 0, &first, &end)) continue;
        int64_t from = p->next < first ? first : p->next;
        metric_set(in->lags[i].series, end > from ? (double)(end - from) : 0);
    }
    kafka_consumer_tell(in->consumer);
}

/* --- where to begin */

/* By the setting, where nothing is stored or what is stored is not on the topic. Stores a place that is not the beginning,
 * and one that goes backwards. */
static enum meros_code reset(struct kafka_in *in, struct store_conn *c, struct kafka_partition *p, int64_t stored, struct meros_err *err)
{
    bool latest = in->settings->offset_reset[0] == 'l';
    int64_t first, end;
    if (stored < 0 && !latest) {
        p->next = KAFKA_BEGINNING;
        return MEROS_OK;
    }
    if (!kafka_consumer_ends(in->consumer, p, 5000, &first, &end))
        return err_set(err, MEROS_UNAVAILABLE, "Kafka's brokers do not say how far a partition goes.");
    p->next = latest ? end : first;
    if (stored >= 0) {
        metric_add(metric(&lost_places, NULL), 1);
        log_warn("kafka.place_lost", KV_I("partition", p->partition), KV_I("stored", stored), KV_I("first", first), KV_I("end", end),
                 KV_I("goes_on_at", p->next), KV("advice", "messages expired before they were read, or the topic was made anew"));
    }
    const struct ingest_offset o = {.topic = p->topic, .partition = p->partition, .from = stored, .next = p->next};
    bool moved;
    enum meros_code rc = store_kafka_offsets_move(c, in->settings->group, &o, 1, &moved, err);
    if (rc != MEROS_OK || moved) return rc;
    return err_set(err, MEROS_UNAVAILABLE, "Another member of the group has begun the partition meanwhile.");
}

static enum meros_code place_with(struct kafka_in *in, struct store_conn *c, struct meros_err *err)
{
    size_t n;
    struct kafka_partition *parts = kafka_consumer_partitions(in->consumer, &n);
    struct ingest_offset *stored = calloc(n + 1, sizeof *stored);
    if (stored == NULL) return err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for the offsets of Kafka.");
    for (size_t i = 0; i < n; i++) stored[i] = (struct ingest_offset){.topic = parts[i].topic, .partition = parts[i].partition};
    enum meros_code rc = store_kafka_offsets_read(c, in->settings->group, stored, n, err);
    for (size_t i = 0; rc == MEROS_OK && i < n; i++) {
        if (stored[i].next < 0 || parts[i].no_place) rc = reset(in, c, &parts[i], stored[i].next, err);
        else parts[i].next = stored[i].next;
    }
    free(stored);
    return rc == MEROS_OK ? kafka_consumer_begin(in->consumer, err) : rc;
}

/* Called again and again until it is done. */
static void place(struct kafka_in *in)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct store_conn *c;
    if (clock_mono_ns() < in->place_at_ns) return;
    enum meros_code rc = store_acquire(in->svc->store, &c, &err);
    if (rc == MEROS_OK) {
        rc = place_with(in, c, &err);
        store_release(in->svc->store, c);
    }
    if (rc == MEROS_OK) {
        in->unplaced = false;
        in->place_pause_ms = PAUSE_MIN_MS;
        kafka_relieved(&in->placing, "kafka.begun");
        return;
    }
    kafka_complain(&in->placing, "kafka.cannot_begin", &err);
    in->place_at_ns = clock_mono_ns() + in->place_pause_ms * INT64_C(1000000);
    in->place_pause_ms = in->place_pause_ms * 2 < PAUSE_MAX_MS ? in->place_pause_ms * 2 : PAUSE_MAX_MS;
}

static void hear(struct kafka_in *in, enum kafka_news news)
{
    size_t n;
    kafka_consumer_partitions(in->consumer, &n);
    if (news == KAFKA_ASSIGNED && !in->unplaced) {
        metric_add(metric(&rebalances, NULL), 1);
        log_info("kafka.assigned", KV_I("partitions", n));
    }
    in->unplaced = news != KAFKA_REVOKED;
    if (news != KAFKA_ASSIGNED) in->looked_ns = 0;
}

/* --- a batch */

/* Waits without leaving the group. False: the batch is not to be tried again by us. */
static bool rest(struct kafka_in *in, int ms)
{
    struct kafka_message m[1];
    int64_t until = clock_mono_ns() + ms * INT64_C(1000000);
    size_t n;
    kafka_consumer_pause(in->consumer, true);
    in->resting = true;
    while (clock_mono_ns() < until && !stopping(in)) {
        enum kafka_news news = kafka_consumer_poll(in->consumer, 50, m, 1, 1, &n);
        kafka_messages_free(m, n);
        if (n > 0) news = KAFKA_NO_PLACE; /* paused partitions bring nothing; should they, all begins again where it is stored */
        if (news != KAFKA_MESSAGES) {
            hear(in, news);
            in->resting = false;
            return false;
        }
        look(in);
    }
    return !stopping(in);
}

static void resume(struct kafka_in *in)
{
    kafka_consumer_pause(in->consumer, false);
    in->resting = false;
}

static void address_letter(struct kafka_in *in, struct letter *l, const struct kafka_message *m, const char *error, struct kafka_record *r)
{
    l->message = m;
    snprintf(l->topic, sizeof l->topic, "%.*s%s", (int)m->topic.n, m->topic.p, in->settings->dead_letter_suffix);
    snprintf(l->error, sizeof l->error, "%s", error);
    snprintf(l->partition, sizeof l->partition, "%d", (int)m->partition);
    snprintf(l->offset, sizeof l->offset, "%lld", (long long)m->offset);
    *r = (struct kafka_record){.topic = str_of(l->topic),
                               .key = m->key,
                               .value = m->value,
                               .headers = {{"error", str_of(l->error)},
                                           {"source-topic", m->topic},
                                           {"partition", str_of(l->partition)},
                                           {"offset", str_of(l->offset)}},
                               .n_headers = 4};
}

/* Sends letters until the brokers have them. False: given up, because the batch is not ours any more or the service stops. */
static bool send_letters(struct kafka_in *in, struct letter *letters, struct kafka_record *records, size_t n)
{
    struct meros_err err = MEROS_ERR_INIT;
    for (int pause = PAUSE_MIN_MS; n > 0; pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS) {
        enum meros_code rc = kafka_send(in->dead, records, n, &in->svc->draining, &err);
        if (rc == MEROS_OK) break;
        for (size_t i = 0; i < n; i++) {
            if (records[i].rc != MEROS_TOO_LARGE || records[i].n_headers > 4) continue;
            snprintf(letters[i].bytes, sizeof letters[i].bytes, "%zu", records[i].value.n);
            records[i].value = STR_NONE;
            records[i].headers[records[i].n_headers++] = (struct kafka_header){"value-bytes", str_of(letters[i].bytes)};
        }
        if (rc == MEROS_TOO_LARGE) continue;
        kafka_complain(&in->dying, "kafka.dead_letters_wait", &err);
        if (!rest(in, pause)) return false;
    }
    kafka_relieved(&in->dying, "kafka.dead_letters_sent");
    for (size_t i = 0; i < n; i++) count(&dead_family, letters[i].message->topic, 1);
    return true;
}

/* For GET /v1/rejections. */
static void note(struct kafka_in *in, const struct kafka_message *m, const char *reason, struct str type, struct str id)
{
    char place[KAFKA_TOPIC_MAX + 48];
    snprintf(place, sizeof place, "%.*s/%d/%lld", (int)m->topic.n, m->topic.p, (int)m->partition, (long long)m->offset);
    rejections_note(in->svc, INGEST_FROM_KAFKA, str_of(reason), str_of(place), type, id, STR_NONE);
}

/* What decoding refused. False: not sent. */
static bool reject(struct kafka_in *in, const struct dialect *d, const struct kafka_message *m)
{
    struct letter *letters = calloc(d->n_rejects + 1, sizeof *letters);
    struct kafka_record *records = calloc(d->n_rejects + 1, sizeof *records);
    bool sent = letters != NULL && records != NULL;
    for (size_t i = 0; sent && i < d->n_rejects; i++)
        address_letter(in, &letters[i], &m[d->rejects[i].index], d->rejects[i].message, &records[i]);
    sent = sent && send_letters(in, letters, records, d->n_rejects);
    for (size_t i = 0; sent && i < d->n_rejects; i++) note(in, &m[d->rejects[i].index], d->rejects[i].message, d->rejects[i].type, d->rejects[i].message_id);
    free(letters);
    free(records);
    return sent;
}

/* What the database refused, though it was valid. */
static bool reject_landed(struct kafka_in *in, const struct dialect *d, const struct kafka_message *m)
{
    struct letter letter;
    struct kafka_record record;
    for (size_t i = 0; i < d->n; i++) {
        if (in->results[i].verdict != INGEST_REJECTED) continue;
        if (i > 0 && d->message[i] == d->message[i - 1] && in->results[i - 1].verdict == INGEST_REJECTED) continue;
        address_letter(in, &letter, &m[d->message[i]], in->results[i].detail, &record);
        if (!send_letters(in, &letter, &record, 1)) return false;
        note(in, letter.message, letter.error, STR_NONE, STR_NONE);
    }
    return true;
}

/* Decodes as many of the messages as fit into one request, at least one; how many. */
static size_t decode(struct kafka_in *in, struct dialect *d, const struct kafka_message *m, size_t n)
{
    int64_t now = clock_now();
    for (;; n = (n + 1) / 2) {
        size_t done = 0;
        arena_done(&in->arena);
        dialect_init(d, &in->arena, now);
        while (done < n && d->n + ITEMS_OF_A_MESSAGE <= INGEST_ITEMS_MAX && d->rejected < DIALECT_REJECTS_MAX && !d->no_memory) {
            kafka_decode(d, done, &m[done], now);
            done++;
        }
        if (!d->no_memory) return done;
        if (n == 1) { /* alone in 128 MB: it says too much */
            arena_done(&in->arena);
            dialect_init(d, &in->arena, now);
            struct message x;
            message_begin(&x, d, 0, "");
            message_reject(&x, "too_large", "", "The message is too large when it is decoded.");
            return 1;
        }
    }
}

/* From where to where the messages take each partition; how many partitions. */
static size_t offsets_of(struct kafka_in *in, const struct kafka_message *m, size_t n, struct ingest_offset *out)
{
    size_t n_out = 0, at = 0;
    for (size_t i = 0; i < n; i++) {
        if (at >= n_out || out[at].partition != m[i].partition || !str_eq(out[at].topic, m[i].topic))
            for (at = 0; at < n_out && (out[at].partition != m[i].partition || !str_eq(out[at].topic, m[i].topic)); at++) {}
        if (at == n_out) {
            const struct kafka_partition *p = part_of(in, m[i].topic, m[i].partition);
            out[n_out++] = (struct ingest_offset){.topic = m[i].topic, .partition = m[i].partition, .from = p != NULL ? p->next : -1};
        }
        out[at].next = m[i].offset + 1;
    }
    return n_out;
}

/* Lands the messages, or as many of them as fit, in one transaction with their offsets; how many, 0: given up. */
static size_t land(struct kafka_in *in, const struct kafka_message *m, size_t n)
{
    struct meros_err err = MEROS_ERR_INIT;
    struct dialect d;
    n = decode(in, &d, m, n);
    struct ingest_offset *offsets = arena_array(&in->arena, n, sizeof *offsets);
    if (offsets == NULL || !reject(in, &d, m)) return 0;
    struct ingest_request r = {.source = INGEST_FROM_KAFKA,
                               .items = d.items,
                               .results = in->results,
                               .n = d.n,
                               .offsets = offsets,
                               .n_offsets = offsets_of(in, m, n, offsets),
                               .offsets_group = in->settings->group};
    enum meros_code rc;
    for (int pause = PAUSE_MIN_MS; (rc = ingest_land(in->svc, &r, &err)) != MEROS_OK;
         pause = pause * 2 < PAUSE_MAX_MS ? pause * 2 : PAUSE_MAX_MS) {
        if (rc == MEROS_CANCELLED) {
            metric_add(metric(&fenced, NULL), 1);
            log_info("kafka.fenced", KV("detail", err.detail));
            return 0;
        }
        kafka_complain(&in->landing, "kafka.waits", &err);
        if (!rest(in, pause)) return 0;
    }
    kafka_relieved(&in->landing, "kafka.goes_on");
    if (!reject_landed(in, &d, m)) return 0;
    for (size_t i = 0; i < r.n_offsets; i++) {
        struct kafka_partition *p = part_of(in, offsets[i].topic, offsets[i].partition);
        if (p != NULL) p->next = offsets[i].next;
    }
    for (size_t i = 0, from = 0; i < n; i++)
        if (i + 1 == n || !str_eq(m[i + 1].topic, m[from].topic)) {
            count(&read_family, m[from].topic, (double)(i + 1 - from));
            from = i + 1;
        }
    return n;
}

/* What was polled did not land. Whatever of it is still ours is read again, from the places that are stored. */
static void give_up(struct kafka_in *in)
{
    size_t n;
    kafka_consumer_partitions(in->consumer, &n);
    if (n > 0) in->unplaced = true;
    in->resting = false;
}

static void *run(void *arg)
{
    struct kafka_in *in = arg;
    while (!stopping(in)) {
        size_t n, done = 0, landed = 1;
        enum kafka_news news = kafka_consumer_poll(in->consumer, 100, in->messages, MESSAGES_MAX, BATCH_BYTES, &n);
        if (news != KAFKA_MESSAGES) hear(in, news);
        if (in->unplaced) {
            kafka_messages_free(in->messages, n); /* they lie behind others that have not landed, and come again */
            n = 0;
            place(in);
        }
        while (done < n && landed > 0 && !stopping(in)) {
            landed = land(in, in->messages + done, n - done);
            done += landed;
        }
        kafka_messages_free(in->messages, n);
        if (landed == 0) give_up(in);
        else if (in->resting) resume(in);
        look(in);
    }
    kafka_consumer_tell(in->consumer);
    return NULL;
}

/* --- from outside */

static size_t split(const char *text, struct str *out, size_t max)
{
    size_t n = 0;
    for (text += strspn(text, " ,"); *text != '\0' && n < max; text += strspn(text, " ,")) {
        out[n] = (struct str){text, strcspn(text, " ,")};
        text += out[n++].n;
    }
    return n;
}

enum meros_code kafka_in_start(struct service *svc, struct meros_err *err)
{
    const struct kafka_settings *s = &svc->settings.kafka;
    const struct kafka_access access = kafka_access_of(s);
    enum meros_code rc = MEROS_OK;
    if (s->topics == NULL || s->topics[0] == '\0') return MEROS_OK;
    size_t most = strlen(s->topics) / 2 + 1;
    struct str *topics = calloc(most, sizeof *topics);
    struct kafka_in *in = calloc(1, sizeof *in);
    svc->kafka_in = in;
    if (topics != NULL && in != NULL) {
        *in = (struct kafka_in){.svc = svc, .settings = s, .place_pause_ms = PAUSE_MIN_MS};
        arena_init(&in->arena, ARENA_MAX);
        in->messages = calloc(MESSAGES_MAX, sizeof *in->messages);
        in->results = calloc(INGEST_ITEMS_MAX, sizeof *in->results);
    }
    if (topics == NULL || in == NULL || in->messages == NULL || in->results == NULL)
        rc = err_set(err, MEROS_OUT_OF_MEMORY, "There is no memory for reading from Kafka.");
    if (rc == MEROS_OK) rc = kafka_consumer_open(&access, s->group, topics, split(s->topics, topics, most), &in->consumer, err);
    if (rc == MEROS_OK) rc = kafka_producer_open(&access, &in->dead, err);
    if (rc == MEROS_OK) rc = thread_start(&in->thread, "kafka-in", 0, run, in, err);
    if (rc == MEROS_OK) in->running = true;
    else kafka_in_free(svc);
    free(topics);
    return rc;
}

void kafka_in_stop(struct service *svc)
{
    struct kafka_in *in = svc->kafka_in;
    if (in == NULL || !in->running) return;
    pthread_join(in->thread, NULL);
    in->running = false;
    kafka_consumer_close(in->consumer); /* leaves the group: the others need not wait until it is missed */
    kafka_producer_close(in->dead);
    in->consumer = NULL;
    in->dead = NULL;
}

void kafka_in_free(struct service *svc)
{
    struct kafka_in *in = svc->kafka_in;
    if (in == NULL) return;
    kafka_consumer_close(in->consumer);
    kafka_producer_close(in->dead);
    arena_done(&in->arena);
    free(in->messages);
    free(in->results);
    free(in->lags);
    free(in);
    svc->kafka_in = NULL;
}

void kafka_in_measure(struct service *svc)
{
    struct kafka_health h;
    if (svc->kafka_in == NULL || !svc->kafka_in->running) return;
    kafka_consumer_health(svc->kafka_in->consumer, &h);
    kafka_show_health("consumer", &h);
    kafka_producer_health(svc->kafka_in->dead, &h);
    kafka_show_health("dead_letters", &h);
}
