#include <criterion/criterion.h>
#include <stdlib.h>
#include "meros/store/kafka.h"
#include "pg.h"

#define at(topic_, partition_, next_) {.topic = STR(topic_), .partition = (partition_), .next = (next_)}

static struct meros_err err;

static void write_(struct store_conn *c, const char *group, const struct ingest_offset *o, size_t n)
{
    cr_assert_eq(store_kafka_offsets_write(c, group, o, n, &err), MEROS_OK, "%s", err.detail);
}

static void is_stored(struct pg *db, const char *want)
{
    char *got = pg_table(db, "select consumer_group, topic, partition, next_offset from kafka_offsets order by 1, 2, 3");
    cr_assert_str_eq(got, want);
    free(got);
}

Test(kafka, offsets_only_go_forward)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    write_(c, "g", (const struct ingest_offset[]){at("b", 1, 7), at("a", 0, 5)}, 2);
    write_(c, "g", (const struct ingest_offset[]){at("a", 0, 4), at("b", 1, 9), at("b", 0, 1)}, 3);
    write_(c, "h", (const struct ingest_offset[]){at("a", 0, 1)}, 1);
    write_(c, "g", NULL, 0);
    is_stored(db, "g|a|0|5\ng|b|0|1\ng|b|1|9\nh|a|0|1\n");
    pg_done(db);
}

Test(kafka, offsets_go_backwards_only_when_the_topic_was_made_anew)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    write_(c, "g", (const struct ingest_offset[]){at("a", 0, 50), at("a", 1, 60)}, 2);
    cr_assert_eq(store_kafka_offsets_reset(c, "g", (const struct ingest_offset[]){at("a", 0, 0)}, 1, &err), MEROS_OK, "%s", err.detail);
    is_stored(db, "g|a|0|0\ng|a|1|60\n");
    pg_done(db);
}

Test(kafka, offsets_are_read_in_the_order_asked_for_and_minus_one_says_none)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    write_(c, "g", (const struct ingest_offset[]){at("a", 0, 5), at("b", 1, INT64_MAX)}, 2);
    struct ingest_offset o[] = {at("b", 1, 0), at("a", 1, 0), at("a", 0, 0), at("it's", 2, 0)};
    cr_assert_eq(store_kafka_offsets_read(c, "g", o, 4, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(o[0].next, INT64_MAX);
    cr_assert_eq(o[1].next, -1);
    cr_assert_eq(o[2].next, 5);
    cr_assert_eq(o[3].next, -1);
    cr_assert_eq(store_kafka_offsets_read(c, "other", o, 4, &err), MEROS_OK);
    cr_assert_eq(o[0].next, -1);
    pg_done(db);
}

Test(kafka, offsets_vanish_with_the_transaction_they_were_written_in)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    cr_assert_eq(store_begin(c, &err), MEROS_OK);
    write_(c, "g", (const struct ingest_offset[]){at("a", 0, 5)}, 1);
    store_rollback(c);
    is_stored(db, "");
    pg_done(db);
}

Test(kafka, one_connection_at_a_time_leads_a_topic)
{
    struct pg *db = pg_fresh();
    struct store_conn *a, *b;
    bool leads = false;
    cr_assert_eq(store_connect(db->pool, &a, &err), MEROS_OK);
    cr_assert_eq(store_connect(db->pool, &b, &err), MEROS_OK);
    cr_assert_eq(store_kafka_produced_lead(a, "t", &leads, &err), MEROS_OK, "%s", err.detail);
    cr_assert(leads);
    cr_assert_eq(store_kafka_produced_lead(b, "t", &leads, &err), MEROS_OK);
    cr_assert_not(leads);
    cr_assert_eq(store_kafka_produced_lead(b, "u", &leads, &err), MEROS_OK);
    cr_assert(leads);
    store_disconnect(a); /* the server notices a moment later */
    for (leads = false; !leads;) cr_assert_eq(store_kafka_produced_lead(b, "t", &leads, &err), MEROS_OK);
    store_disconnect(b);
    pg_done(db);
}

Test(kafka, the_cursor_of_what_was_produced_only_goes_forward)
{
    struct pg *db = pg_fresh();
    struct store_conn *c = pg_conn(db);
    int64_t no = -1;
    cr_assert_eq(store_kafka_produced_read(c, "t", &no, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(no, 0);
    cr_assert_eq(store_kafka_produced_write(c, "t", 12, &err), MEROS_OK, "%s", err.detail);
    cr_assert_eq(store_kafka_produced_write(c, "t", 11, &err), MEROS_OK);
    cr_assert_eq(store_kafka_produced_read(c, "t", &no, &err), MEROS_OK);
    cr_assert_eq(no, 12);
    pg_done(db);
}
