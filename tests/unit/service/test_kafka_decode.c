#include <criterion/criterion.h>
#include <stdlib.h>
#include "kafka_priv.h"
#include "meros/base/clock.h"
#include "meros/service/kafka_in.h"

#define NOW INT64_C(1767323045000000) /* 2026-01-02T03:04:05Z */

static struct arena arena;
static struct dialect d;

static void decode_at(const char *value, int64_t at)
{
    struct kafka_message m = {.topic = STR("t"), .value = str_of(value), .at = at};
    if (arena.limit == 0) arena_init(&arena, 64 << 20);
    json_start();
    dialect_init(&d, &arena, 0);
    kafka_decode(&d, 7, &m, NOW);
}

static const struct ingest_item *good(const char *value)
{
    decode_at(value, NOW - TIME_SECOND);
    cr_assert_eq(d.n_rejects, 0, "%s: %s", value, d.rejects[0].message);
    cr_assert_eq(d.n, 1, "%s made %zu items", value, d.n);
    cr_assert_eq(d.message[0], 7);
    return &d.items[0];
}

static void bad(const char *value, const char *says)
{
    decode_at(value, NOW);
    cr_assert_eq(d.n, 0, "%s", value);
    cr_assert_eq(d.n_rejects, 1, "%s", value);
    cr_assert_eq(d.rejects[0].index, 7);
    cr_assert_not_null(strstr(d.rejects[0].message, says), "%s: %s", value, d.rejects[0].message);
}

Test(kafka_decode, an_object_with_a_customer_id_is_an_event_of_ours)
{
    const struct ingest_item *i = good("{\"customer_id\":\"c\\u0031\",\"type\":\"product_viewed\",\"event_id\":\"e\",\"product_id\":\"p\","
                                       "\"occurred_at\":\"2025-12-01T00:00:00Z\",\"value\":1.5,\"properties\":{\"a\":[1]}}");
    cr_assert_eq(i->kind, INGEST_EVENT);
    cr_assert(str_is(i->customer_id, "c1"));
    cr_assert(str_is(i->event.type, "product_viewed"));
    cr_assert(str_is(i->event.event_id, "e"));
    cr_assert(str_is(i->event.product_id, "p"));
    cr_assert(str_is(i->event.properties, "{\"a\":[1]}"));
    cr_assert_eq(i->event.occurred_at, INT64_C(1764547200000000));
}

Test(kafka_decode, any_other_object_is_a_message_as_Segment_has_it)
{
    const struct ingest_item *i = good("{\"type\":\"track\",\"event\":\"Product Viewed\",\"userId\":\"u\",\"messageId\":\"m\",\"properties\":{\"product_id\":\"p\"}}");
    cr_assert_eq(i->kind, INGEST_EVENT);
    cr_assert(str_is(i->customer_id, "u"));
    cr_assert(str_is(i->event.type, "product_viewed"));
    cr_assert(str_is(i->event.event_id, "m"));
    cr_assert_eq(good("{\"type\":\"identify\",\"userId\":\"u\",\"traits\":{\"plan\":\"gold\"}}")->kind, INGEST_TRAITS);
    cr_assert_eq(good("{\"type\":\"alias\",\"userId\":\"u\",\"previousId\":\"v\"}")->kind, INGEST_ALIAS);
}

Test(kafka_decode, what_has_no_time_happened_when_it_was_produced_so_reading_it_again_gives_the_same)
{
    cr_assert_eq(good("{\"customer_id\":\"c\",\"type\":\"x\"}")->event.occurred_at, NOW - TIME_SECOND);
    cr_assert_eq(good("{\"type\":\"track\",\"event\":\"x\",\"userId\":\"c\"}")->event.occurred_at, NOW - TIME_SECOND);
    decode_at("{\"customer_id\":\"c\",\"type\":\"x\"}", TIME_NONE);
    cr_assert_eq(d.items[0].event.occurred_at, NOW);
    decode_at("{\"customer_id\":\"c\",\"type\":\"x\"}", NOW + 30 * TIME_DAY);
    cr_assert_eq(d.items[0].event.occurred_at, NOW, "a producer whose clock is a month ahead");
}

Test(kafka_decode, what_cannot_be_read_is_rejected_with_a_reason)
{
    bad("", "no value");
    bad("not JSON", "JSON");
    bad("{\"customer_id\":\"c\",\"type\":\"x\"} trailing", "JSON");
    bad("{\"customer_id\":\"c\",\"type\":\"x\"}{}", "JSON");
    bad("{\"customer_id\":\"c\"", "JSON");
    bad("[{\"customer_id\":\"c\",\"type\":\"x\"}]", "one JSON object");
    bad("7", "one JSON object");
    bad("{\"customer_id\":\"c\",\"type\":\"x\",\"typo\":1}", "typo");
    bad("{\"customer_id\":\"c\"}", "type");
    bad("{\"customer_id\":\"\",\"type\":\"x\"}", "customer_id");
    bad("{\"customer_id\":\"c\",\"type\":\"x\",\"occurred_at\":\"yesterday\"}", "occurred_at");
    bad("{\"customer_id\":\"c\",\"type\":\"x\",\"occurred_at\":\"2030-01-01\"}", "occurred_at");
    bad("{\"type\":\"track\",\"event\":\"x\"}", "userId");
    bad("{\"type\":\"sing\",\"userId\":\"u\"}", "type");
    bad("{\"customer_id\":\"c\",\"type\":\"\\ud800\"}", "");
    char *big = calloc(1, KAFKA_VALUE_MAX + 2);
    memset(big, ' ', KAFKA_VALUE_MAX + 1);
    bad(big, "at most");
    free(big);
    decode_at("", NOW);
}

Test(kafka_decode, a_bad_message_leaves_its_neighbours_alone)
{
    static const char *const values[] = {"{\"customer_id\":\"a\",\"type\":\"x\"}", "{", "{\"customer_id\":\"b\",\"type\":\"x\"}"};
    arena_init(&arena, 1 << 20);
    json_start();
    dialect_init(&d, &arena, 0);
    for (size_t i = 0; i < 3; i++) {
        struct kafka_message m = {.topic = STR("t"), .value = str_of(values[i]), .at = NOW};
        kafka_decode(&d, i, &m, NOW);
    }
    cr_assert_eq(d.n, 2);
    cr_assert(str_is(d.items[0].customer_id, "a") && str_is(d.items[1].customer_id, "b"));
    cr_assert_eq(d.message[1], 2);
    cr_assert_eq(d.n_rejects, 1);
    cr_assert_eq(d.rejects[0].index, 1);
}
