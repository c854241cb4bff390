/* Events from Kafka under ThreadSanitizer: two members of a group on one ingest path, messages produced meanwhile, one member
 * stopped and started again, sessions killed. Exit status 0: each message is there once, and the offsets say so. */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include "meros/base/crypto.h"
#include "meros/base/log.h"
#include "meros/service/ingest.h"
#include "meros/service/kafka_in.h"
#include "pg.c"

static struct meros_err err;
#define CHECK(cond)                                                                                          \
    do {                                                                                                     \
        if (!(cond)) {                                                                                       \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, #cond, err.detail);                       \
            exit(1);                                                                                         \
        }                                                                                                    \
    } while (0)
#define cr_assert_eq(a, b, ...)   CHECK((a) == (b))
#define cr_assert_not_null(a, ...) CHECK((a) != NULL)
#include "c11_threads.h"
#include "kafka_mock.h"

/* librdkafka itself is not compiled for the sanitizer, which sees its locks but not its atomics. What it does with its own
 * memory is not looked at; what ours do in its threads is. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "called_from_lib:librdkafka.so\n";
}

enum { PARTITIONS = 4, MESSAGES = 3000, POISON = 3 };

static struct pg *db;
static struct mock k;
static struct service path, a, b; /* the path is there once in a process, as in the program */
static struct ingest *ingest;

static void nap(int ms)
{
    nanosleep(&(struct timespec){.tv_sec = ms / 1000, .tv_nsec = (long)(ms % 1000) * 1000000}, NULL);
}

static void settings(struct service *svc)
{
    svc->settings.activity_half_life_days = 30;
    svc->settings.ingest_queue_items = 10000;
    svc->settings.ingest_queue_bytes = 16 << 20;
    svc->settings.kafka = (struct kafka_settings){.brokers = k.brokers, .topics = "clicks", .group = "shop", .offset_reset = "earliest", .dead_letter_suffix = ".dlq",
                                                  .changes_topic = "", .security_protocol = "plaintext", .sasl_mechanism = "", .username = "", .password = "", .ca_file = ""};
}

static void on(struct service *svc)
{
    *svc = (struct service){.store = db->pool, .ingest = ingest};
    settings(svc);
    CHECK(kafka_in_start(svc, &err) == MEROS_OK);
}

static void off(struct service *svc)
{
    svc->draining = true;
    kafka_in_stop(svc);
    kafka_in_free(svc);
}

static void *produce(void *arg)
{
    (void)arg;
    for (int i = 0; i < MESSAGES; i++) {
        char value[300];
        if (i % 3 == 0)
            snprintf(value, sizeof value, "{\"type\":\"track\",\"event\":\"Product Viewed\",\"userId\":\"c%d\",\"messageId\":\"e%d\",\"properties\":{\"product_id\":\"p%d\"}}", i % 30, i, i % 7);
        else snprintf(value, sizeof value, "{\"customer_id\":\"c%d\",\"type\":\"product_viewed\",\"event_id\":\"e%d\",\"product_id\":\"p%d\"}", i % 30, i, i % 7);
        mock_produce(&k, "clicks", i % PARTITIONS, NULL, value);
        if (i % 1000 == 500) mock_produce(&k, "clicks", 0, NULL, "no JSON");
        if (i % 100 == 0) nap(20);
    }
    mock_flush(&k);
    return NULL;
}

static void *measure(void *arg)
{
    const _Atomic bool *stop = arg;
    while (!*stop) {
        kafka_in_measure(&a);
        nap(20);
    }
    return NULL;
}

int main(void)
{
    static _Atomic bool stop;
    pthread_t producer, measurer;
    if (!pg_server_start()) return 0;
    CHECK(crypto_start(&err) == MEROS_OK);
    log_configure(LOG_ERROR + 1, LOG_KEY_VALUE);
    db = pg_fresh();
    mock_start(&k, 1);
    mock_topic(&k, "clicks", PARTITIONS);
    mock_topic(&k, "clicks.dlq", 1);
    path.store = db->pool;
    settings(&path);
    CHECK(ingest_start(&path, &err) == MEROS_OK);
    ingest = path.ingest;
    on(&a);
    on(&b);
    CHECK(pthread_create(&producer, NULL, produce, NULL) == 0);
    CHECK(pthread_create(&measurer, NULL, measure, &stop) == 0);
    for (int i = 0; i < 2; i++) {
        nap(1500);
        pg_run(db, "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() and pid <> pg_backend_pid()");
        off(&b);
        on(&b);
    }
    pthread_join(producer, NULL);
    long long rows = 0, offsets = 0;
    for (int i = 0; i < 2000 && (rows < MESSAGES || offsets < MESSAGES + POISON); i++) {
        rows = pg_int(db, "select count(*) from events");
        offsets = pg_int(db, "select coalesce(sum(next_offset), 0) from kafka_offsets");
        nap(100);
    }
    stop = true;
    pthread_join(measurer, NULL);
    off(&a);
    off(&b);
    ingest_stop(&path);
    ingest_free(&path);
    const long long counted = pg_int(db, "select sum(count) from customer_event_stats"), letters = mock_count(&k, "clicks.dlq", 1);
    pg_done(db);
    mock_stop(&k);
    printf("kafka_in: %lld events, %lld counted, %lld passed, %lld dead letters\n", rows, counted, offsets, letters);
    return rows == MESSAGES && counted == MESSAGES && offsets == MESSAGES + POISON && letters >= POISON ? 0 : 1;
}
